//! What may not trade, looked up at the last moment before an order leaves.
//!
//! A halt stands in the store and is restored before anything else happens at a start. The halt file is a halt of its
//! own that lasts as long as the file is there.

mod flatten;
mod ladder;
pub mod mailbox;

use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};

pub use mailbox::{HaltRequest, Request};

use crate::domain::{AccountName, Halt, HaltLevel, HaltScope, Symbol, Timestamp};

/// The halts in force.
#[derive(Debug, Default)]
pub struct Halts {
    inner: RwLock<Inner>,
    /// The data folder, where requests and the halt file are looked for.
    folder: Option<PathBuf>,
    /// Rung when a halt may have something to close.
    flattening: tokio::sync::Notify,
}

#[derive(Debug, Default)]
struct Inner {
    standing: Vec<Halt>,
    file: Option<Halt>,
}

impl Halts {
    /// Starts from what the store remembers.
    pub fn new(standing: Vec<Halt>, folder: Option<PathBuf>) -> Self {
        let inner = RwLock::new(Inner { standing, file: None });
        Self { inner, folder, flattening: tokio::sync::Notify::new() }
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

    /// Every halt that has not run out, one a scope: where the file and another halt share one, the stricter.
    pub fn in_force(&self, now: Timestamp) -> Vec<Halt> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let mut halts: Vec<Halt> =
            inner.standing.iter().filter(|halt| !has_run_out(halt, now)).cloned().collect();
        if let Some(file) = &inner.file {
            match halts.iter_mut().find(|halt| halt.scope == file.scope) {
                Some(same) if same.level >= file.level => {}
                Some(same) => *same = file.clone(),
                None => halts.push(file.clone()),
            }
        }
        halts
    }

    /// The halt of exactly this scope, the file's not counted.
    pub fn standing(&self, scope: &HaltScope) -> Option<Halt> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.standing.iter().find(|halt| &halt.scope == scope).cloned()
    }

    fn put(&self, halt: Halt) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.standing.retain(|known| known.scope != halt.scope);
        inner.standing.push(halt);
    }

    fn remove(&self, scope: &HaltScope) -> Option<Halt> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let at = inner.standing.iter().position(|halt| &halt.scope == scope)?;
        Some(inner.standing.remove(at))
    }

    fn run_out(&self, now: Timestamp) -> Vec<HaltScope> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let over = inner.standing.iter().filter(|halt| has_run_out(halt, now));
        over.map(|halt| halt.scope.clone()).collect()
    }

    fn set_file(&self, file: Option<Halt>) {
        self.inner.write().unwrap_or_else(PoisonError::into_inner).file = file;
    }

    fn file(&self) -> Option<Halt> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).file.clone()
    }
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
        halts.put(loosened.clone());
        assert_eq!(halts.standing(&account), Some(loosened.clone()));
        assert_eq!(halts.in_force(at(0)).len(), 3);
        assert_eq!(halts.run_out(at(4)), []);
        assert_eq!(halts.run_out(at(5)), std::slice::from_ref(&account));
        assert_eq!(halts.remove(&account), Some(loosened));
        assert_eq!(halts.remove(&account), None);
        assert_eq!(
            halts.in_force(at(0)).iter().map(|halt| &halt.scope).collect::<Vec<_>>(),
            [&coin, &HaltScope::Desk]
        );
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
