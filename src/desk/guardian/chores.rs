//! What follows a look at an account and protects nothing: settling, sweeping, telling, and the books.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::Round;
use crate::desk::execution::{AccountDesk, Seen};
use crate::desk::reconciliation::{self, Reconciler};
use crate::domain::{
    AccountState, ClientOrderId, Direction, Event, HaltLevel, Position, Quantity, Severity, Symbol,
};
use crate::exchange::AccountBalance;

/// A stop without a position is removed when it was seen so twice, this far apart.
const ORPHAN_AGE: Duration = Duration::from_secs(10);

/// An account as it was told.
#[derive(Debug, Clone)]
pub(super) struct Told {
    /// `None` when its balance could not be read.
    pub(super) state: Option<AccountState>,
    /// How often the stream came back.
    pub(super) gaps: u64,
}

/// Settles and tells what was seen.
#[derive(Debug)]
pub(super) struct Chores {
    account: Arc<AccountDesk>,
    last: Option<Arc<Seen>>,
    /// The balance as it was read last.
    balance: Option<AccountBalance>,
    is_poor_told: bool,
    told_unclear: BTreeSet<Symbol>,
    told_liquidations: BTreeSet<Symbol>,
    orphans: BTreeMap<ClientOrderId, Instant>,
}

/// Keeps equity, income and settings, and compares the books with the exchange.
#[derive(Debug)]
pub(super) struct Books {
    account: Arc<AccountDesk>,
    booked: Option<Instant>,
    gaps: u64,
    reconciler: Reconciler,
}

impl Chores {
    pub(super) fn new(account: Arc<AccountDesk>) -> Self {
        Self {
            account,
            last: None,
            balance: None,
            is_poor_told: false,
            told_unclear: BTreeSet::new(),
            told_liquidations: BTreeSet::new(),
            orphans: BTreeMap::new(),
        }
    }

    /// After every look; of those that came meanwhile the last counts.
    pub(super) async fn run(
        &mut self,
        mut looks: watch::Receiver<Option<Round>>,
        tell: watch::Sender<Option<Told>>,
    ) {
        while looks.changed().await.is_ok() {
            let round = looks.borrow_and_update().clone();
            let Some(Round { seen, gaps }) = round else { continue };
            self.settle(&seen).await;
            let state = self.tell(seen).await;
            tell.send_replace(Some(Told { state, gaps }));
        }
    }

    /// Finds out what became of orders, removes what is left over and books what vanished.
    pub(super) async fn settle(&mut self, seen: &Seen) {
        self.tell_unclear(seen);
        self.account.resolve_unresolved().await;
        self.sweep_orphans(seen).await;
        self.vanished(seen).await;
        self.account.book_what_is_left(&self.changed(seen)).await;
    }

    /// Tells the account with its balance, and returns what was told. A balance that cannot be read leaves the money of
    /// the last time beside what is held now.
    pub(super) async fn tell(&mut self, seen: Arc<Seen>) -> Option<AccountState> {
        self.tell_liquidations(&seen);
        let read = self.account.balance().await;
        let state = match read {
            Ok(balance) => {
                self.is_poor_told = false;
                self.balance = Some(balance);
                Some(self.account.state_of(&balance, &seen))
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
                    self.account.tell(Event::Account { state: self.account.state_of(balance, &seen) });
                }
                None
            }
        };
        if let Some(state) = &state {
            self.account.tell(Event::Account { state: state.clone() });
        }
        self.last = Some(seen);
        state
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
        let (now, before) = (held(state), self.last.as_deref().map(held).unwrap_or_default());
        let coins: BTreeSet<&Symbol> = now.keys().chain(before.keys()).collect();
        coins.into_iter().filter(|coin| now.get(*coin) != before.get(*coin)).cloned().collect()
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

impl Books {
    pub(super) fn new(account: Arc<AccountDesk>) -> Self {
        Self { account, booked: None, gaps: 0, reconciler: Reconciler::default() }
    }

    /// After everything that was told; of what came meanwhile the last counts.
    pub(super) async fn run(&mut self, mut told: watch::Receiver<Option<Told>>) {
        while told.changed().await.is_ok() {
            let told = told.borrow_and_update().clone();
            if let Some(told) = told {
                self.keep(&told).await;
            }
        }
    }

    /// After a gap in the stream nothing seen before it counts: settings are verified and books compared again.
    pub(super) async fn keep(&mut self, told: &Told) {
        let was_away = std::mem::replace(&mut self.gaps, told.gaps) != told.gaps;
        if was_away {
            self.booked = None;
        }
        if let Some(state) = &told.state {
            self.keep_books(state).await;
        }
        if was_away && let Err(reason) = self.account.prepare_account().await {
            let text = format!("{}: nothing is opened: {reason}", self.account.name());
            self.account.alarm(Severity::Warning, text);
        }
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
        self.account.ask_again_who_traded().await;
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
}
