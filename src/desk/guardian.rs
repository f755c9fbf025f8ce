//! Watches every position of an account and acts on what it sees, whatever anybody believes.
//!
//! It runs first at start, then on every event of the user stream and every few seconds. It needs no journal to be
//! right: a position without a stop gets one or is closed, a stop without a position is removed, a position that
//! vanished is booked and told.
//!
//! Three go side by side, so that none waits for what is not its own: the watchdog looks and has coins repaired, each
//! by itself; the chores settle, sweep and tell what was seen; the books are kept.

mod chores;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use self::chores::{Books, Chores, Told};
use super::execution::{AccountDesk, Finding, Seen};
use crate::domain::{Severity, Symbol};

/// Time from one look to the next when nothing happens.
pub const PERIOD: Duration = Duration::from_secs(15);
/// Time from a look to the glance that follows it: only at the stops of what is held, which weighs little. A stop that
/// vanishes untold is then missed early enough for several tries to replace it.
const GLANCE_AFTER: Duration = Duration::from_millis(7500);
/// Time between looks while a position has no stop or the account cannot be read.
const URGENT_PERIOD: Duration = Duration::from_secs(2);
/// The longest time between two repairs of a coin that resists: what the exchange refuses again and again must not use up
/// what the other coins' repairs need of its budget.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// Time between looks while the desk starts and nothing is told yet: what an earlier run sent may be executed now.
const START_PERIOD: Duration = Duration::from_secs(3);
/// Stream events that arrive together are answered by one look.
const GATHER: Duration = Duration::from_millis(250);
/// However much the stream tells, looks begin at least so far apart: they are dear.
const LEAST_PAUSE: Duration = Duration::from_secs(1);

/// What makes the guardian look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nudge {
    /// The user stream told something.
    Look,
    /// The user stream is back: what happened meanwhile nobody told.
    Reconnected,
}

/// The watch over one account.
#[derive(Debug)]
pub struct Guardian {
    watchdog: Watchdog,
    chores: Chores,
    books: Books,
}

/// One look, as it is handed on.
#[derive(Debug, Clone)]
struct Round {
    seen: Arc<Seen>,
    /// How often the stream came back: after a gap nothing seen before it counts.
    gaps: u64,
}

/// What was to be repaired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repair {
    Naked,
    Odd,
}

/// A coin without a stop that could not be given one.
#[derive(Debug, Clone, Copy)]
struct Resistance {
    /// How many repairs failed, one after another.
    failures: u32,
    /// No repair begins before.
    again: Instant,
}

/// Looks, and has repaired what does not stand as it should.
#[derive(Debug)]
struct Watchdog {
    account: Arc<AccountDesk>,
    repairs: JoinSet<(Symbol, Repair, Finding)>,
    /// The coins that are being repaired.
    running: BTreeSet<Symbol>,
    /// Coins without a stop whose last repair failed.
    resisting: BTreeMap<Symbol, Resistance>,
    is_key_told: bool,
    unreadable: bool,
    told_naked: BTreeSet<Symbol>,
    /// Stops that could not be put right, with what was told of them.
    told_odd: BTreeMap<Symbol, String>,
    /// The coins that had a stop behind their position at the last look.
    covered: BTreeSet<Symbol>,
    gaps: u64,
}

impl Guardian {
    /// Begins to watch an account.
    pub fn new(account: Arc<AccountDesk>) -> Self {
        Self {
            watchdog: Watchdog {
                account: Arc::clone(&account),
                repairs: JoinSet::new(),
                running: BTreeSet::new(),
                resisting: BTreeMap::new(),
                is_key_told: false,
                unreadable: false,
                told_naked: BTreeSet::new(),
                told_odd: BTreeMap::new(),
                covered: BTreeSet::new(),
                gaps: 0,
            },
            chores: Chores::new(Arc::clone(&account)),
            books: Books::new(account),
        }
    }

    /// Watches for ever: looks at every nudge, and every [`PERIOD`] without one. Ends when the nudges end.
    pub async fn watch(mut self, nudges: mpsc::Receiver<Nudge>) {
        let (look, looks) = watch::channel(None);
        let (tell, told) = watch::channel(None);
        tokio::select! {
            biased;
            () = self.watchdog.run(nudges, look) => {}
            () = self.chores.run(looks, tell) => {}
            () = self.books.run(told) => {}
        }
    }

    /// Watches after the first pass, until the slowest account has had its own and the desk is at work. It only looks, which
    /// may be cut off anywhere; what is being repaired then goes on, and [`Self::watch`] tells how it ended.
    pub async fn watch_the_start(&mut self) {
        loop {
            tokio::time::sleep(START_PERIOD).await;
            self.watchdog.take_ended();
            if !self.watchdog.account.is_all_covered().await
                && let Some(seen) = self.watchdog.look().await
            {
                self.watchdog.begin_repairs(&seen).await;
            }
        }
    }

    /// One look at the account, and everything that has to be done about it, one after the other. The balance comes
    /// last: nothing that protects waits for it.
    pub async fn pass(&mut self) {
        let Some(seen) = self.watchdog.look().await else { return };
        self.watchdog.begin_repairs(&seen).await;
        while let Some(ended) = self.watchdog.repairs.join_next().await {
            self.watchdog.ended(ended);
        }
        self.chores.settle(&seen).await;
        // Repairs change what is seen, so the account is told as it is after them.
        let is_repaired = seen.positions.iter().any(|position| position.stop.is_none());
        let seen = if is_repaired { self.watchdog.account.look().await.unwrap_or(seen) } else { seen };
        let state = self.chores.tell(Arc::new(seen)).await;
        self.books.keep(&Told { state, gaps: self.watchdog.gaps }).await;
    }
}

impl Watchdog {
    async fn run(&mut self, mut nudges: mpsc::Receiver<Nudge>, look: watch::Sender<Option<Round>>) {
        let mut last = Instant::now();
        let mut due = last + PERIOD;
        let mut glance_due: Option<Instant> = None;
        loop {
            tokio::select! {
                biased;
                // Who watches goes before who talks: a stream that never ends must not keep it from looking.
                () = tokio::time::sleep_until(due) => {
                    last = Instant::now();
                    if let Some(seen) = self.look().await {
                        self.begin_repairs(&seen).await;
                        look.send_replace(Some(Round { seen: Arc::new(seen), gaps: self.gaps }));
                    }
                    due = self.next_look(last);
                    glance_due = (!self.covered.is_empty()).then(|| last + GLANCE_AFTER);
                }
                () = tokio::time::sleep_until(glance_due.unwrap_or(due)), if glance_due.is_some() => {
                    glance_due = None;
                    if !self.account.are_covered(&self.covered).await {
                        due = due.min(Instant::now());
                    }
                }
                Some(ended) = self.repairs.join_next() => {
                    self.ended(ended);
                    due = due.min(soon(last));
                }
                nudge = nudges.recv() => {
                    match nudge {
                        None => return,
                        Some(Nudge::Look) => {}
                        Some(Nudge::Reconnected) => {
                            self.gaps += 1;
                            self.account.forget_prepared();
                        }
                    }
                    due = due.min(soon(last));
                }
            }
        }
    }

    /// When to look again after a look that nothing follows.
    fn next_look(&self, last: Instant) -> Instant {
        let usual = if self.unreadable { Instant::now() + URGENT_PERIOD } else { last + PERIOD };
        let again = self.resisting.values().map(|resistance| resistance.again).min();
        again.map_or(usual, |again| again.min(usual)).max(soon(last))
    }

    /// What the account holds; `None` when it cannot be read, which is told.
    async fn look(&mut self) -> Option<Seen> {
        self.account.recall_unresolved().await;
        let looked = self.account.look().await;
        self.tell_key();
        match looked {
            Ok(seen) => {
                self.unreadable = false;
                Some(seen)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.unreadable, true) {
                    let text = format!("{}: the account cannot be read: {error}", self.account.name());
                    self.account.alarm(Severity::Warning, text);
                }
                None
            }
        }
    }

    /// A key that is refused freezes the openings of its account; what rests there stays.
    fn tell_key(&mut self) {
        let refusal = self.account.client().key_trouble();
        if let Some(refusal) = &refusal
            && !self.is_key_told
        {
            let text = format!(
                "{}: the exchange refuses the key of this account ({refusal}): check the key, its permission for futures and its allowed addresses; nothing is opened until it answers again, and its stops stay",
                self.account.name()
            );
            self.account.alarm(Severity::Critical, text);
        }
        self.is_key_told = refusal.is_some();
    }

    /// Has every coin repaired that does not stand as it should, side by side: one that resists delays no other.
    async fn begin_repairs(&mut self, seen: &Seen) {
        let is_naked =
            |symbol: &Symbol| seen.position(symbol).is_some_and(|position| position.stop.is_none());
        self.told_naked.retain(is_naked);
        self.resisting.retain(|symbol, _| is_naked(symbol));
        let covered = seen.positions.iter().filter(|position| position.stop.is_some());
        self.covered = covered.map(|position| position.symbol.clone()).collect();
        let naked = seen.positions.iter().filter(|position| position.stop.is_none());
        let naked: Vec<Symbol> = naked.map(|position| position.symbol.clone()).collect();
        // Protection first: what is only misplaced is looked up in the journal.
        for symbol in naked {
            if self.resisting.get(&symbol).is_none_or(|resistance| Instant::now() >= resistance.again) {
                self.begin(symbol, Repair::Naked);
            }
        }
        let odd = self.account.odd_stops(&seen.positions, &seen.stops).await;
        self.told_odd.retain(|symbol, _| odd.contains(symbol));
        for symbol in odd {
            self.begin(symbol, Repair::Odd);
        }
    }

    fn begin(&mut self, symbol: Symbol, repair: Repair) {
        if !self.running.insert(symbol.clone()) {
            return;
        }
        let account = Arc::clone(&self.account);
        self.repairs.spawn(async move {
            let finding = match repair {
                Repair::Naked => account.repair_naked(&symbol).await,
                Repair::Odd => account.repair_stop(&symbol).await,
            };
            (symbol, repair, finding)
        });
    }

    /// Tells of the repairs that have ended by now.
    fn take_ended(&mut self) {
        while let Some(ended) = self.repairs.try_join_next() {
            self.ended(ended);
        }
    }

    fn ended(&mut self, ended: Result<(Symbol, Repair, Finding), JoinError>) {
        let (symbol, repair, finding) = match ended {
            Ok(ended) => ended,
            // A repair that died takes the desk with it, as every task does.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_cancelled) => return,
        };
        self.running.remove(&symbol);
        match repair {
            Repair::Naked => self.tell_naked(symbol, finding),
            Repair::Odd => self.tell_odd(&symbol, finding),
        }
    }

    fn tell_naked(&mut self, symbol: Symbol, finding: Finding) {
        let failures = self.resisting.remove(&symbol).map_or(0, |resistance| resistance.failures);
        match finding {
            Finding::Nothing => {}
            Finding::Busy => self.resists(symbol, failures),
            Finding::Repaired(what) => {
                let text = format!("{} {symbol}: had no stop; {what}", self.account.name());
                self.account.alarm(Severity::Warning, text);
            }
            Finding::Unrepaired(why) => {
                self.tell_no_stop(&symbol, &why);
                self.resists(symbol, failures + 1);
            }
            Finding::Left(why) => self.tell_no_stop(&symbol, &why),
        }
    }

    fn resists(&mut self, symbol: Symbol, failures: u32) {
        self.resisting.insert(symbol, Resistance { failures, again: Instant::now() + pause_after(failures) });
    }

    fn tell_no_stop(&mut self, symbol: &Symbol, why: &str) {
        if self.told_naked.insert(symbol.clone()) {
            let text = format!("{} {symbol}: NO STOP behind this position: {why}", self.account.name());
            self.account.alarm(Severity::Critical, text);
        }
    }

    /// What became of a stop whose place, size, number or owner was not as it should be.
    fn tell_odd(&mut self, symbol: &Symbol, finding: Finding) {
        let (severity, why) = match finding {
            Finding::Nothing | Finding::Busy => return,
            Finding::Repaired(what) => {
                return self.account.tell_stop_finding(symbol, Severity::Warning, &what);
            }
            Finding::Unrepaired(why) => (Severity::Warning, why),
            Finding::Left(why) => (Severity::Critical, why),
        };
        if self.told_odd.insert(symbol.clone(), why.clone()).is_none() {
            self.account.tell_stop_finding(symbol, severity, &why);
        }
    }
}

/// Time to the next repair of a coin after so many that failed.
fn pause_after(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(2).min(8);
    (URGENT_PERIOD * 2u32.pow(doublings)).min(LONGEST_PAUSE)
}

/// The next look after something happened.
fn soon(last: Instant) -> Instant {
    (Instant::now() + GATHER).max(last + LEAST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coin_that_resists_is_tried_again_after_longer_and_longer_pauses_up_to_a_limit() {
        let pauses = [0, 1, 2, 3, 4, 5, u32::MAX].map(|failures| pause_after(failures).as_secs());
        assert_eq!(pauses, [2, 2, 2, 4, 8, 8, 8]);
    }
}
