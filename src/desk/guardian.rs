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

use super::execution::{AccountDesk, Finding, Seen};
use super::reconciliation::{self, Reconciler};
use crate::domain::{
    AccountState, ClientOrderId, Direction, Event, HaltLevel, Position, Quantity, Severity, Symbol,
};
use crate::exchange::AccountBalance;

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
    last: Option<Seen>,
    /// The balance as it was read last.
    balance: Option<AccountBalance>,
    is_poor_told: bool,
    is_key_told: bool,
    told_unclear: BTreeSet<Symbol>,
    told_liquidations: BTreeSet<Symbol>,
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
            balance: None,
            is_poor_told: false,
            is_key_told: false,
            told_unclear: BTreeSet::new(),
            told_liquidations: BTreeSet::new(),
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

    /// One look at the account, and what has to be done about it. The balance comes last: nothing that protects waits for
    /// it.
    pub async fn pass(&mut self) {
        self.account.recall_unresolved().await;
        let looked = self.account.look().await;
        self.tell_key();
        let seen = match looked {
            Ok(seen) => seen,
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
        self.tell_unclear(&seen);
        // Protection first: nothing that is only booked or told comes before it.
        self.protect_naked(&seen).await;
        self.told_naked
            .retain(|symbol| seen.position(symbol).is_some_and(|position| position.stop.is_none()));
        self.account.resolve_unresolved().await;
        self.mend_stops(&seen).await;
        self.sweep_orphans(&seen).await;
        self.vanished(&seen).await;
        self.account.book_what_is_left(&self.changed(&seen)).await;
        // Repairs change what is seen, so the account is told as it is after them.
        let repaired = seen.positions.iter().any(|position| position.stop.is_none());
        let seen = if repaired { self.account.look().await.unwrap_or(seen) } else { seen };
        self.tell_liquidations(&seen);
        self.tell(&seen).await;
        self.last = Some(seen);
    }

    /// Tells the account with its balance and keeps the books. A balance that cannot be read leaves the money of the last
    /// time beside what is held now.
    async fn tell(&mut self, seen: &Seen) {
        match self.account.client().account().await {
            Ok(balance) => {
                self.is_poor_told = false;
                self.balance = Some(balance);
                let state = self.account.state_of(&balance, seen);
                self.account.tell(Event::Account { state: state.clone() });
                self.keep_books(&state).await;
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_poor_told, true) {
                    let text = format!(
                        "{}: the balance cannot be read: {error}; positions and stops are watched all the same",
                        self.account.name()
                    );
                    self.account.alarm(Severity::Warning, text);
                }
                if let Some(balance) = &self.balance {
                    self.account.tell(Event::Account { state: self.account.state_of(balance, seen) });
                }
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

    /// A position whose row makes no sense can neither be protected nor closed by its size: an operator has to look.
    fn tell_unclear(&mut self, seen: &Seen) {
        self.told_unclear.retain(|symbol| seen.unreadable.iter().any(|(known, _)| known == symbol));
        for (symbol, reason) in &seen.unreadable {
            if self.told_unclear.insert(symbol.clone()) {
                let text = format!(
                    "{} {symbol}: something is held that cannot be read ({reason}); nothing is traded there",
                    self.account.name()
                );
                self.account.alarm(Severity::Critical, text);
            }
        }
    }

    /// A stop behind the liquidation price protects nothing: somebody raised the leverage or took margin out.
    fn tell_liquidations(&mut self, seen: &Seen) {
        let mut exposed = BTreeSet::new();
        for position in &seen.positions {
            let (Some(stop), Some(liquidation)) = (&position.stop, position.liquidation) else { continue };
            let is_before = match position.direction {
                Direction::Long => liquidation >= stop.trigger,
                Direction::Short => liquidation <= stop.trigger,
            };
            if is_before {
                exposed.insert(position.symbol.clone());
                if !self.told_liquidations.contains(&position.symbol) {
                    let text = format!(
                        "{} {}: the position would be liquidated at {liquidation}, before its stop at {}: lower its leverage or add margin",
                        self.account.name(),
                        position.symbol,
                        stop.trigger
                    );
                    self.account.alarm(Severity::Critical, text);
                }
            }
        }
        self.told_liquidations = exposed;
    }

    /// Coins whose position is another than at the last look, whoever changed it.
    fn changed(&self, state: &Seen) -> Vec<Symbol> {
        let held = |state: &Seen| -> BTreeMap<Symbol, (Direction, Quantity)> {
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
        match self.account.check_settings().await {
            Ok(changed) => {
                for text in changed {
                    self.account.alarm(Severity::Warning, text);
                }
            }
            Err(error) => {
                tracing::warn!(account = %self.account.name(), %error, "leverage and margin modes could not be checked");
            }
        }
        let Some(names) = self.reconciler.look(&self.account).await else { return };
        match self.account.look_for_others(names, is_first).await {
            Ok(None) => {}
            Ok(Some(halt)) => {
                let what = if halt.level == HaltLevel::Frozen { "traded" } else { "opened" };
                let text = format!("{}: nothing is {what}{}", self.account.name(), halt.because());
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
    async fn protect_naked(&mut self, state: &Seen) {
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
    async fn mend_stops(&mut self, seen: &Seen) {
        let odd = self.account.odd_stops(&seen.positions, &seen.stops).await;
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

    async fn sweep_orphans(&mut self, seen: &Seen) {
        let orphans = self.account.orphaned_stops(seen);
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

    async fn vanished(&mut self, state: &Seen) {
        let gone: Vec<Position> = self
            .last
            .iter()
            .flat_map(|last| &last.positions)
            .filter(|position| state.is_flat(&position.symbol))
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
}
