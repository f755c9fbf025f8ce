//! What may not trade, looked up at the last moment before an order leaves.
//!
//! A halt stands in the store and is restored before anything else happens at a start. Of one scope there may be a halt
//! by an operator, one by a guard and one by the desk itself, side by side: the strictest counts, each goes by its own
//! time, and only a resume takes all of them. So no pause that runs out, and no weaker halt, ends what the desk or a guard
//! began. The halt file is a halt of its own that lasts as long as the file is there.

mod flatten;
mod ladder;
pub mod mailbox;
mod notice;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub use mailbox::{HaltRequest, Request};

use crate::domain::{AccountName, Halt, HaltLevel, HaltScope, Symbol, Timestamp};

/// The halts in force.
#[derive(Debug, Default)]
pub struct Halts {
    inner: RwLock<Inner>,
    /// Held while a halt is written or forgotten, so that the store ends with what stands here.
    writing: tokio::sync::Mutex<()>,
    /// The data folder, where requests and the halt file are looked for.
    folder: Option<PathBuf>,
    /// Rung when a halt may have something to close.
    flattening: tokio::sync::Notify,
}

#[derive(Debug, Default)]
struct Inner {
    standing: Vec<Standing>,
    file: Option<Halt>,
    numbers: u64,
    /// Requests that are carried out once these halts are stored.
    waiting: BTreeMap<PathBuf, u64>,
}

/// A halt that was put in force, and by which of all the times that one was.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Standing {
    number: u64,
    halt: Halt,
    is_stored: bool,
}

impl Inner {
    fn put(&mut self, halt: Halt) -> u64 {
        self.numbers += 1;
        self.standing.retain(|known| !is_of_one_hand(&known.halt, &halt));
        self.standing.push(Standing { number: self.numbers, halt, is_stored: false });
        self.numbers
    }
}

impl Halts {
    /// Starts from what the store remembers.
    pub fn new(stored: Vec<Halt>, folder: Option<PathBuf>) -> Self {
        let mut inner = Inner::default();
        for halt in stored {
            inner.put(halt);
        }
        inner.standing.iter_mut().for_each(|standing| standing.is_stored = true);
        Self { inner: RwLock::new(inner), folder, ..Self::default() }
    }

    /// The strictest halt in force for an account and coin.
    pub fn over(&self, account: &AccountName, symbol: &Symbol, now: Timestamp) -> Option<Halt> {
        self.in_force(now)
            .into_iter()
            .filter(|halt| halt.scope.covers(account, symbol))
            .max_by_key(|halt| halt.level)
    }

    /// Why nothing may be opened here now; `None` when it may.
    pub fn against_opening(&self, account: &AccountName, symbol: &Symbol, now: Timestamp) -> Option<String> {
        self.over(account, symbol, now).map(|halt| told(&halt))
    }

    /// Why the model may not close here now; `None` when it may. An operator always may.
    pub fn against_model(&self, account: &AccountName, symbol: &Symbol, now: Timestamp) -> Option<String> {
        self.over(account, symbol, now).filter(|halt| halt.level >= HaltLevel::Frozen).map(|halt| told(&halt))
    }

    /// Every halt that has not run out, one a scope: of several the strictest, and of equals the one that lasts longest.
    pub fn in_force(&self, now: Timestamp) -> Vec<Halt> {
        let inner = self.read();
        let lasting = inner.standing.iter().map(|standing| &standing.halt).chain(&inner.file);
        let mut halts: Vec<Halt> = Vec::new();
        for halt in lasting.filter(|halt| !has_run_out(halt, now)) {
            match halts.iter_mut().find(|known| known.scope == halt.scope) {
                Some(known) if outranks(halt, known) => *known = halt.clone(),
                Some(_) => {}
                None => halts.push(halt.clone()),
            }
        }
        halts
    }

    /// The halt in force of exactly this scope.
    fn in_force_of(&self, scope: &HaltScope, now: Timestamp) -> Option<Halt> {
        self.in_force(now).into_iter().find(|halt| &halt.scope == scope)
    }

    /// The strictest halt of exactly this scope, the file's not counted.
    pub fn standing(&self, scope: &HaltScope) -> Option<Halt> {
        self.all_of(scope)
            .into_iter()
            .map(|standing| standing.halt)
            .reduce(|strictest, halt| if outranks(&halt, &strictest) { halt } else { strictest })
    }

    /// Every halt of exactly this scope, the file's not counted.
    fn all_of(&self, scope: &HaltScope) -> Vec<Standing> {
        self.read().standing.iter().filter(|standing| &standing.halt.scope == scope).cloned().collect()
    }

    /// Puts a halt in the place of an earlier one by the same hand, and numbers it.
    fn put(&self, halt: Halt) -> u64 {
        self.write().put(halt)
    }

    /// The same, unless the earlier one is as strict and lasts as long: nobody but an operator ever loosens a halt.
    fn put_if_stricter(&self, halt: Halt) -> Option<u64> {
        let mut inner = self.write();
        let mut of_this_hand = inner.standing.iter().filter(|known| is_of_one_hand(&known.halt, &halt));
        let is_new = of_this_hand.all(|known| outranks(&halt, &known.halt));
        is_new.then(|| inner.put(halt))
    }

    /// Takes back the very halt that was given this number, and no later one in its place.
    fn remove(&self, number: u64) -> bool {
        let mut inner = self.write();
        let before = inner.standing.len();
        inner.standing.retain(|standing| standing.number != number);
        inner.standing.len() < before
    }

    fn run_out(&self, now: Timestamp) -> Vec<Standing> {
        self.read().standing.iter().filter(|standing| has_run_out(&standing.halt, now)).cloned().collect()
    }

    /// What would be lost with this run.
    fn unstored(&self) -> Vec<Standing> {
        self.read().standing.iter().filter(|standing| !standing.is_stored).cloned().collect()
    }

    fn is_standing(&self, number: u64) -> bool {
        self.read().standing.iter().any(|standing| standing.number == number)
    }

    fn set_stored(&self, number: u64) {
        let mut inner = self.write();
        for standing in inner.standing.iter_mut().filter(|standing| standing.number == number) {
            standing.is_stored = true;
        }
    }

    /// The request stays where it is until the halt it asked for is stored.
    fn keep_waiting(&self, request: &Path, number: u64) {
        self.write().waiting.insert(request.to_owned(), number);
    }

    /// Whether a request was carried out but for its halt's storing, and if so, whether that is done by now, or there is
    /// nothing left to store.
    fn has_waited(&self, request: &Path) -> Option<bool> {
        let mut inner = self.write();
        let number = *inner.waiting.get(request)?;
        let is_done = inner.standing.iter().all(|standing| standing.number != number || standing.is_stored);
        if is_done {
            inner.waiting.remove(request);
        }
        Some(is_done)
    }

    fn set_file(&self, file: Option<Halt>) {
        self.write().file = file;
    }

    fn file(&self) -> Option<Halt> {
        self.read().file.clone()
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_of_one_hand(one: &Halt, other: &Halt) -> bool {
    one.scope == other.scope && one.origin.hand() == other.origin.hand()
}

/// Whether one halt is stricter than another, or as strict and lasts longer.
fn outranks(one: &Halt, other: &Halt) -> bool {
    let lasts_longer = match (one.until, other.until) {
        (None, until) => until.is_some(),
        (Some(_), None) => false,
        (Some(one), Some(other)) => one > other,
    };
    one.level > other.level || (one.level == other.level && lasts_longer)
}

fn has_run_out(halt: &Halt, now: Timestamp) -> bool {
    halt.until.is_some_and(|until| until <= now)
}

/// A halt in one sentence.
pub fn told(halt: &Halt) -> String {
    let what = match halt.level {
        HaltLevel::NoEntries => "nothing is opened",
        HaltLevel::Frozen => "all orders are frozen",
        HaltLevel::Flattened => "everything is closed and nothing is opened",
    };
    let until =
        halt.until.map_or_else(String::new, |until| format!(" until {}", until.format("%Y-%m-%d %H:%M:%SZ")));
    format!("{} is halted ({what}){until}{}", halt.scope, halt.because())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::HaltOrigin;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_timestamp(1_772_400_000 + seconds, 0).unwrap()
    }

    fn halt(scope: HaltScope, level: HaltLevel, until: Option<Timestamp>) -> Halt {
        Halt {
            scope,
            level,
            origin: HaltOrigin::Operator,
            reason: crate::domain::Untrusted::default(),
            since: at(0),
            until,
        }
    }

    #[test]
    fn the_strictest_halt_that_covers_a_coin_counts_and_one_that_ran_out_does_not() {
        let (mirat, btc) = (AccountName::new("mirat").unwrap(), Symbol::new("BTCUSDT").unwrap());
        let eth = Symbol::new("ETHUSDT").unwrap();
        let halts = Halts::new(
            vec![
                halt(HaltScope::Coin(btc.clone()), HaltLevel::Frozen, Some(at(60))),
                halt(HaltScope::Account(mirat.clone()), HaltLevel::NoEntries, None),
            ],
            None,
        );
        assert_eq!(halts.over(&mirat, &btc, at(59)).unwrap().level, HaltLevel::Frozen);
        assert_eq!(halts.over(&mirat, &btc, at(60)).unwrap().level, HaltLevel::NoEntries);
        assert!(halts.against_opening(&mirat, &eth, at(0)).is_some());
        assert!(halts.against_model(&mirat, &eth, at(0)).is_none(), "the model may still close");
        let other = AccountName::new("ece").unwrap();
        assert!(halts.against_opening(&other, &eth, at(0)).is_none());
        assert!(halts.against_model(&other, &btc, at(0)).is_some());
    }

    #[test]
    fn the_file_never_loosens_a_stricter_halt_and_leaves_it_when_it_goes() {
        let halts = Halts::new(vec![halt(HaltScope::Desk, HaltLevel::Flattened, None)], None);
        let frozen = Halt { origin: HaltOrigin::File, ..halt(HaltScope::Desk, HaltLevel::Frozen, None) };
        halts.set_file(Some(frozen.clone()));
        assert_eq!(halts.in_force(at(0)).len(), 1);
        assert_eq!(halts.in_force(at(0))[0].level, HaltLevel::Flattened);
        halts.put(halt(HaltScope::Desk, HaltLevel::NoEntries, None));
        assert_eq!(halts.in_force(at(0)), [frozen]);
        halts.set_file(None);
        assert_eq!(halts.in_force(at(0))[0].level, HaltLevel::NoEntries);
    }

    #[test]
    fn the_file_stands_beside_halts_of_other_scopes() {
        let account = HaltScope::Account(AccountName::new("mirat").unwrap());
        let halts = Halts::new(vec![halt(account.clone(), HaltLevel::Flattened, None)], None);
        assert_eq!(halts.file(), None);
        let frozen = halt(HaltScope::Desk, HaltLevel::Frozen, None);
        halts.set_file(Some(frozen.clone()));
        assert_eq!(halts.file(), Some(frozen.clone()));
        assert_eq!(halts.standing(&HaltScope::Desk), None, "the file's is not counted");
        assert_eq!(halts.in_force(at(0)), [halt(account, HaltLevel::Flattened, None), frozen]);
    }

    #[test]
    fn a_standing_halt_as_strict_as_the_file_is_the_one_that_is_told() {
        let standing = halt(HaltScope::Desk, HaltLevel::Frozen, None);
        let halts = Halts::new(vec![standing.clone()], None);
        halts.set_file(Some(Halt { origin: HaltOrigin::File, ..standing.clone() }));
        assert_eq!(halts.in_force(at(0)), [standing]);
    }

    #[test]
    fn a_scope_has_one_halt_and_taking_it_back_leaves_the_others() {
        let coin = HaltScope::Coin(Symbol::new("BTCUSDT").unwrap());
        let account = HaltScope::Account(AccountName::new("mirat").unwrap());
        let halts = Halts::new(Vec::new(), None);
        for scope in [&coin, &account, &HaltScope::Desk] {
            halts.put(halt(scope.clone(), HaltLevel::Frozen, None));
        }
        let loosened = halt(account.clone(), HaltLevel::NoEntries, Some(at(5)));
        let number = halts.put(loosened.clone());
        assert_eq!(halts.standing(&account), Some(loosened.clone()));
        assert_eq!(halts.in_force(at(0)).len(), 3);
        assert_eq!(halts.run_out(at(4)), []);
        let over = halts.run_out(at(5));
        assert_eq!(over.iter().map(|over| &over.halt).collect::<Vec<_>>(), [&loosened]);
        assert!(halts.remove(number));
        assert!(!halts.remove(number));
        assert_eq!(
            halts.in_force(at(0)).iter().map(|halt| &halt.scope).collect::<Vec<_>>(),
            [&coin, &HaltScope::Desk]
        );
    }

    #[test]
    fn a_halt_that_came_in_the_place_of_one_that_ran_out_is_not_taken_back_with_it() {
        let scope = HaltScope::Desk;
        let halts = Halts::new(vec![halt(scope.clone(), HaltLevel::NoEntries, Some(at(5)))], None);
        let seen = halts.run_out(at(5));
        // Even one that says the same is another one.
        let anew = halt(scope.clone(), HaltLevel::NoEntries, Some(at(5)));
        halts.put(anew.clone());
        assert!(!halts.remove(seen[0].number));
        assert_eq!(halts.standing(&scope), Some(anew));
    }

    #[test]
    fn halts_of_several_hands_stand_side_by_side_and_the_strictest_counts() {
        use HaltLevel::{Flattened, Frozen, NoEntries};
        let by = |origin: HaltOrigin, level, until| Halt { origin, ..halt(HaltScope::Desk, level, until) };
        let (desk, operator) = (|| HaltOrigin::Desk, || HaltOrigin::Operator);
        let halts = Halts::new(vec![by(desk(), Frozen, None)], None);
        let in_force = |seconds| halts.in_force(at(seconds)).pop().map(|halt| (halt.level, halt.until));
        halts.put(by(operator(), NoEntries, None));
        assert_eq!(in_force(0), Some((Frozen, None)), "a weaker one of another hand loosens nothing");
        halts.put(by(operator(), Frozen, Some(at(9))));
        assert_eq!(in_force(0), Some((Frozen, None)), "of equals the one that lasts");
        halts.put(by(operator(), Flattened, Some(at(9))));
        assert_eq!(in_force(0), Some((Flattened, Some(at(9)))));
        assert_eq!(in_force(9), Some((Frozen, None)), "what was there before comes back");
        assert_eq!(halts.in_force(at(0)).len(), 1, "a scope is told once");
        let guard = || HaltOrigin::Guard(crate::domain::Rule::DailyLoss);
        assert!(halts.put_if_stricter(by(guard(), NoEntries, Some(at(5)))).is_some());
        assert!(halts.put_if_stricter(by(guard(), NoEntries, Some(at(5)))).is_none());
        assert!(halts.put_if_stricter(by(guard(), NoEntries, None)).is_some(), "it lasts longer");
        assert!(halts.put_if_stricter(by(desk(), NoEntries, None)).is_none());
        assert_eq!(halts.all_of(&HaltScope::Desk).len(), 3);
    }

    #[test]
    fn what_the_store_remembered_needs_no_storing() {
        let halts = Halts::new(vec![halt(HaltScope::Desk, HaltLevel::Frozen, None)], None);
        assert_eq!(halts.unstored(), []);
        let number = halts.put(halt(HaltScope::Desk, HaltLevel::NoEntries, None));
        assert_eq!(halts.unstored().len(), 1);
        assert!(halts.is_standing(number) && !halts.is_standing(number + 1));
    }

    #[test]
    fn of_halts_of_several_hands_the_strictest_stands_and_of_equals_the_one_that_lasts_longest() {
        use HaltLevel::{Frozen, NoEntries};
        for (operators, desks) in [
            ((Frozen, None), (NoEntries, None)),
            ((NoEntries, None), (NoEntries, Some(at(9)))),
            ((NoEntries, Some(at(9))), (NoEntries, Some(at(5)))),
        ] {
            let by = |origin, (level, until)| Halt { origin, ..halt(HaltScope::Desk, level, until) };
            let strictest = by(HaltOrigin::Operator, operators);
            let weaker = by(HaltOrigin::Desk, desks);
            for both in [vec![strictest.clone(), weaker.clone()], vec![weaker, strictest.clone()]] {
                assert_eq!(Halts::new(both, None).standing(&HaltScope::Desk), Some(strictest.clone()));
            }
        }
    }

    #[test]
    fn a_request_waits_for_its_halt_until_it_is_stored_or_gone() {
        let halts = Halts::default();
        let (one, other) = (Path::new("1.json"), Path::new("2.json"));
        assert_eq!(halts.has_waited(one), None);
        let number = halts.put(halt(HaltScope::Desk, HaltLevel::Frozen, None));
        halts.keep_waiting(one, number);
        assert_eq!((halts.has_waited(one), halts.unstored().len()), (Some(false), 1));
        halts.set_stored(number);
        assert_eq!((halts.has_waited(one), halts.has_waited(one)), (Some(true), None));
        assert_eq!(halts.unstored(), []);
        let number = halts.put(halt(HaltScope::Desk, HaltLevel::Frozen, None));
        halts.keep_waiting(other, number);
        halts.remove(number);
        assert_eq!(halts.has_waited(other), Some(true));
    }

    #[test]
    fn a_halt_says_what_may_not_happen_until_when_and_why() {
        let plain = halt(HaltScope::Desk, HaltLevel::Frozen, None);
        assert_eq!(told(&plain), format!("{} is halted (all orders are frozen)", HaltScope::Desk));
        let full =
            Halt { reason: "news".into(), ..halt(HaltScope::Desk, HaltLevel::NoEntries, Some(at(60))) };
        let until = at(60).format("%Y-%m-%d %H:%M:%SZ");
        let expected = format!("{} is halted (nothing is opened) until {until}: news", HaltScope::Desk);
        assert_eq!(told(&full), expected);
    }
}
