//! Watches every position of an account and acts on what it sees, whatever anybody believes.
//!
//! It runs first at start, then on every event of the user stream and every few seconds. It needs no journal to be
//! right: a position without a stop gets one or is closed, a stop without a position is removed, a position that
//! vanished is booked and told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::execution::{AccountDesk, Finding};
use super::reconciliation::{self, Reconciler};
use crate::domain::{AccountState, ClientOrderId, Direction, Event, Position, Quantity, Severity, Symbol};
use crate::exchange::AlgoOrder;

/// Time between passes when nothing happens.
pub const PERIOD: Duration = Duration::from_secs(15);
/// Time between passes while a position has no stop or the account cannot be read.
const URGENT_PERIOD: Duration = Duration::from_secs(2);
/// Stream events that arrive together are answered by one pass.
const GATHER: Duration = Duration::from_millis(250);
/// A stop without a position is removed when it was seen so twice, this far apart.
const ORPHAN_AGE: Duration = Duration::from_secs(10);

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
    account: Arc<AccountDesk>,
    last: Option<AccountState>,
    orphans: BTreeMap<ClientOrderId, Instant>,
    told_naked: Vec<Symbol>,
    unreadable: bool,
    /// Whether the last pass left something that cannot wait.
    is_urgent: bool,
    booked: Option<Instant>,
    is_to_prepare: bool,
    reconciler: Reconciler,
    /// Stops that could not be put right, with what was told of them.
    told_odd: BTreeMap<Symbol, String>,
}

impl Guardian {
    /// Begins to watch an account.
    pub fn new(account: Arc<AccountDesk>) -> Self {
        Self {
            account,
            last: None,
            orphans: BTreeMap::new(),
            told_naked: Vec::new(),
            unreadable: false,
            is_urgent: false,
            booked: None,
            is_to_prepare: false,
            reconciler: Reconciler::default(),
            told_odd: BTreeMap::new(),
        }
    }

    /// Passes for ever: at every nudge, and every [`PERIOD`] without one. Ends when the nudges end.
    pub async fn watch(mut self, mut nudges: mpsc::Receiver<Nudge>) {
        loop {
            let period = if self.is_urgent { URGENT_PERIOD } else { PERIOD };
            match tokio::time::timeout(period, nudges.recv()).await {
                Ok(None) => return,
                Ok(Some(first)) => {
                    tokio::time::sleep(GATHER).await;
                    let mut all = vec![first];
                    while let Ok(nudge) = nudges.try_recv() {
                        all.push(nudge);
                    }
                    if all.contains(&Nudge::Reconnected) {
                        self.look_anew();
                    }
                }
                Err(_elapsed) => {}
            }
            self.pass().await;
            if std::mem::take(&mut self.is_to_prepare)
                && let Err(reason) = self.account.prepare_account().await
            {
                let text = format!("{}: nothing is opened: {reason}", self.account.name());
                self.account.alarm(Severity::Warning, text);
            }
        }
    }

    /// After a gap in the stream nothing seen before it counts: settings are verified and books compared again.
    fn look_anew(&mut self) {
        self.booked = None;
        self.is_to_prepare = true;
        self.account.forget_prepared();
    }

    /// One look at the account, and what has to be done about it.
    pub async fn pass(&mut self) {
        let (state, stops) = match self.account.read_with_stops().await {
            Ok(read) => read,
            Err(error) => {
                if !self.unreadable {
                    let text = format!("{}: the account cannot be read: {error}", self.account.name());
                    self.account.alarm(Severity::Warning, text);
                }
                self.unreadable = true;
                self.is_urgent = true;
                return;
            }
        };
        self.unreadable = false;
        // Protection first: nothing that is only booked or told comes before it.
        self.protect_naked(&state).await;
        self.told_naked
            .retain(|symbol| state.position(symbol).is_some_and(|position| position.stop.is_none()));
        self.account.resolve_unresolved().await;
        self.mend_stops(&state, &stops).await;
        self.sweep_orphans(&state, &stops).await;
        self.vanished(&state).await;
        self.account.book_what_is_left(&self.changed(&state)).await;
        // Repairs change what is seen, so the account is told as it is after them.
        let repaired = state.positions.iter().any(|position| position.stop.is_none());
        let seen = if repaired { self.account.read().await.unwrap_or(state) } else { state };
        self.tell(&seen);
        self.keep_books(&seen).await;
        self.last = Some(seen);
    }

    /// Coins whose position is another than at the last look, whoever changed it.
    fn changed(&self, state: &AccountState) -> Vec<Symbol> {
        let held = |state: &AccountState| -> BTreeMap<Symbol, (Direction, Quantity)> {
            let each = state.positions.iter();
            each.map(|position| (position.symbol.clone(), (position.direction, position.quantity))).collect()
        };
        let (now, before) = (held(state), self.last.as_ref().map(held).unwrap_or_default());
        let coins: BTreeSet<&Symbol> = now.keys().chain(before.keys()).collect();
        coins.into_iter().filter(|coin| now.get(*coin) != before.get(*coin)).cloned().collect()
    }

    /// Equity and income, at the first pass and then once a minute: no repair waits for them, and income is a dear read.
    async fn keep_books(&mut self, state: &AccountState) {
        let period =
            if self.reconciler.is_in_doubt() { reconciliation::CONFIRM } else { reconciliation::PERIOD };
        if self.booked.is_some_and(|at| at.elapsed() < period) {
            return;
        }
        let is_first = self.booked.is_none();
        self.booked = Some(Instant::now());
        self.account.book_equity(state).await;
        self.account.book_income().await;
        let Some(names) = self.reconciler.look(&self.account).await else { return };
        match self.account.look_for_others(names, is_first).await {
            Ok(None) => {}
            Ok(Some(halt)) => {
                let text = format!("{}: nothing is traded: {}", self.account.name(), halt.reason);
                if self.account.shared().impose(halt).await {
                    self.account.alarm(Severity::Critical, text);
                }
            }
            Err(error) => {
                tracing::warn!(account = %self.account.name(), %error, "other desks could not be looked for");
            }
        }
    }

    /// Repairs every position without a stop, side by side: one that resists delays no other.
    async fn protect_naked(&mut self, state: &AccountState) {
        let naked: Vec<&Symbol> = state
            .positions
            .iter()
            .filter(|position| position.stop.is_none())
            .map(|position| &position.symbol)
            .collect();
        let findings = join_all(naked.iter().map(|symbol| self.account.repair_naked(symbol))).await;
        self.is_urgent = findings.iter().any(|finding| matches!(finding, Finding::Unrepaired(_)));
        for (symbol, finding) in naked.into_iter().zip(findings) {
            self.tell_finding(symbol, finding);
        }
    }

    fn tell_finding(&mut self, symbol: &Symbol, finding: Finding) {
        match finding {
            Finding::Nothing | Finding::Busy => {}
            Finding::Repaired(what) => {
                let text = format!("{} {symbol}: had no stop; {what}", self.account.name());
                self.account.alarm(Severity::Warning, text);
            }
            Finding::Unrepaired(why) => {
                if !self.told_naked.contains(symbol) {
                    self.told_naked.push(symbol.clone());
                    let text =
                        format!("{} {symbol}: NO STOP behind this position: {why}", self.account.name());
                    self.account.alarm(Severity::Critical, text);
                }
            }
        }
    }

    /// Puts right every stop that is not as it should be: its place, its size, its number, whose it is.
    async fn mend_stops(&mut self, state: &AccountState, stops: &[AlgoOrder]) {
        let odd = self.account.odd_stops(&state.positions, stops).await;
        self.told_odd.retain(|symbol, _| odd.contains(symbol));
        for symbol in odd {
            match self.account.repair_stop(&symbol).await {
                Finding::Nothing | Finding::Busy => {}
                Finding::Repaired(what) => {
                    self.account.tell_stop_finding(&symbol, Severity::Warning, &what);
                }
                Finding::Unrepaired(why) => {
                    if self.told_odd.insert(symbol.clone(), why.clone()).is_none() {
                        self.account.tell_stop_finding(&symbol, Severity::Warning, &why);
                    }
                }
            }
        }
    }

    async fn sweep_orphans(&mut self, state: &AccountState, stops: &[AlgoOrder]) {
        let orphans = self.account.orphaned_stops(state, stops);
        self.orphans.retain(|id, _| orphans.iter().any(|(_, orphan)| orphan == id));
        for (symbol, id) in orphans {
            let first_seen = *self.orphans.entry(id.clone()).or_insert_with(Instant::now);
            if first_seen.elapsed() >= ORPHAN_AGE && self.account.remove_orphan(&symbol).await {
                self.orphans.remove(&id);
                let text = format!("{} {symbol}: a stop without a position was removed", self.account.name());
                self.account.alarm(Severity::Info, text);
            }
        }
    }

    async fn vanished(&mut self, state: &AccountState) {
        let gone: Vec<Position> = self
            .last
            .iter()
            .flat_map(|last| &last.positions)
            .filter(|position| state.position(&position.symbol).is_none())
            .cloned()
            .collect();
        for position in gone {
            if let Some(realised) = self.account.book_vanished(&position.symbol).await {
                let text = format!(
                    "{} {}: {} {} was closed at the exchange, {} USDT before fees",
                    self.account.name(),
                    position.symbol,
                    position.direction.as_str(),
                    position.quantity,
                    realised.value().round_dp(2)
                );
                self.account.alarm(Severity::Warning, text);
            }
        }
    }

    fn tell(&self, state: &AccountState) {
        self.account.tell(Event::Account { state: state.clone() });
    }
}
