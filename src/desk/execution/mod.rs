//! One account's hands: the only code that changes anything at the exchange for it.
//!
//! The protocol, in short: an order is journaled before it is sent; an opening leaves at most once, ever; closes and
//! stops are harmless to repeat and are repeated; a stop follows the position that is seen at the exchange, never a
//! belief about an order; an answer that proves nothing is a state of its own, and blocks the coin until it is known.

#![cfg_attr(not(test), deny(clippy::float_arithmetic))]

mod bridge;
mod close;
mod emergency;
mod flat;
mod ids;
mod journal;
mod licence;
mod open;
mod others;
mod protect;
mod reading;
mod resolve;
mod restop;
mod room;
mod rules;
#[cfg(test)]
mod tests;
mod underway;
mod unexplained;
mod watch;
mod worth;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

pub use close::would_close;
pub use ids::{is_ours, tag_in, tag_of};
pub use journal::Cause;
pub use licence::{Arming, Licence};
pub use open::would_open;
pub use protect::Protection;
pub use reading::Seen;
pub use watch::Finding;

use tokio_util::sync::CancellationToken;

use super::bulletin::Bulletin;
use super::halts::Halts;
use super::sizing::CoinAllocation;
use crate::domain::{
    AccountName, Clock, OrderPurpose, Outcome, OutcomeKind, PricePercent, Symbol, Timestamp,
};
use crate::exchange::{ExchangeClient, ExchangeError, PositionMode, SymbolRules};
use crate::store::Store;

/// What the settings say about an account.
#[derive(Debug, Clone)]
pub struct AccountTerms {
    /// Its name.
    pub name: AccountName,
    /// Leverage its openings use.
    pub leverage: u32,
    /// The coins it may trade.
    pub symbols: Vec<Symbol>,
    /// What each coin is given.
    pub allocation: CoinAllocation,
    /// How far from the entry its stops rest.
    pub stop_distance: PricePercent,
}

/// What every account shares.
#[derive(Clone)]
pub struct Shared {
    /// Names this installation in order ids.
    pub install: Arc<str>,
    /// Market time.
    pub clock: Arc<dyn Clock>,
    /// Wall time, for what the exchange judges by its own watch.
    pub wall: Arc<dyn Clock>,
    /// The journal.
    pub store: Store,
    /// Where happenings are told.
    pub bulletin: Arc<Bulletin>,
    /// While true, nothing that changes state leaves.
    pub dry_run: Arc<AtomicBool>,
    /// Who was armed on a live desk; `None` in every other mode, where nobody needs to be.
    pub arming: Arc<RwLock<Option<Arming>>>,
    /// Cancelled when the desk ends: nothing is opened any more.
    pub ending: CancellationToken,
    /// What may not trade.
    pub halts: Arc<Halts>,
    /// The exchange's rules by coin, refreshed each cycle.
    pub rules: Arc<RwLock<BTreeMap<Symbol, SymbolRules>>>,
    /// The rules as they were kept last: a stop is priced by them while there are no others.
    pub last_rules: Arc<RwLock<BTreeMap<Symbol, SymbolRules>>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

impl Shared {
    /// The rules of one coin.
    pub fn rules_of(&self, symbol: &Symbol) -> Option<SymbolRules> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).get(symbol).cloned()
    }

    /// Whether nothing that changes state may leave.
    pub fn is_dry_run(&self) -> bool {
        self.dry_run.load(Ordering::SeqCst)
    }
}

/// One account's hands.
#[derive(Debug)]
pub struct AccountDesk {
    terms: AccountTerms,
    client: ExchangeClient,
    shared: Shared,
    /// Held for the whole of an opening, closing or repair of a coin, so that none of them meets another half done.
    coins: BTreeMap<Symbol, tokio::sync::Mutex<()>>,
    /// Coins whose leverage and margin mode were seen right or set.
    prepared: Mutex<BTreeSet<Symbol>>,
    /// How many orders of a coin nobody knows the fate of.
    unresolved: Mutex<BTreeMap<Symbol, Unresolved>>,
    /// Coins for which something may be on its way to the exchange.
    under_way: underway::UnderWay,
    /// Whether the journal was asked which orders an earlier run left open.
    recalled: AtomicBool,
    /// Coins of which there may be fills that are not booked.
    unbooked: Mutex<BTreeSet<Symbol>>,
    /// Whether the account was seen in one-way mode; nothing is opened before.
    one_way: AtomicBool,
    /// Since when coins read empty that our fills say are held.
    empty_since: Mutex<BTreeMap<Symbol, tokio::time::Instant>>,
    /// Other installations seen on the account.
    others: Mutex<others::Others>,
    /// How many conditional orders the account has room for.
    room: room::Room,
    /// Closes by orders the journal does not know, until the exchange tells whose they are.
    unexplained: Mutex<BTreeMap<(Symbol, i64), unexplained::Unexplained>>,
    /// Set once what earlier runs left of them was looked up.
    unexplained_recalled: tokio::sync::OnceCell<()>,
    /// Coins of which it was told that they are closed for want of a stop, until they are.
    emergencies: Mutex<BTreeSet<Symbol>>,
    /// What the account was worth when that was believed last, and since when it is told otherwise.
    worth: Mutex<worth::Worth>,
    /// How often the guardian replaced stops that protect.
    replaced: Mutex<BTreeMap<Symbol, restop::Replaced>>,
    /// Rung by every event of the account's user stream.
    stirred: tokio::sync::Notify,
}

impl AccountDesk {
    /// Puts an account's terms and client together.
    pub fn new(terms: AccountTerms, client: ExchangeClient, shared: Shared) -> Self {
        let coins =
            terms.symbols.iter().map(|symbol| (symbol.clone(), tokio::sync::Mutex::default())).collect();
        // After a start nobody knows what happened before it.
        let unbooked = Mutex::new(terms.symbols.iter().cloned().collect());
        Self {
            terms,
            client,
            shared,
            coins,
            prepared: Mutex::default(),
            unresolved: Mutex::default(),
            under_way: underway::UnderWay::default(),
            recalled: AtomicBool::new(false),
            unbooked,
            one_way: AtomicBool::new(false),
            empty_since: Mutex::default(),
            others: Mutex::default(),
            room: room::Room::default(),
            unexplained: Mutex::default(),
            unexplained_recalled: tokio::sync::OnceCell::new(),
            emergencies: Mutex::default(),
            worth: Mutex::default(),
            replaced: Mutex::default(),
            stirred: tokio::sync::Notify::new(),
        }
    }

    /// Something happened to the account at the exchange: whoever waits for an order looks now.
    pub fn stir(&self) {
        self.stirred.notify_waiters();
    }

    /// What the settings say.
    pub fn terms(&self) -> &AccountTerms {
        &self.terms
    }

    /// The account's name.
    pub fn name(&self) -> &AccountName {
        &self.terms.name
    }

    /// What every account shares.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The journal.
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// Market time.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// The client, for reads that belong to no order.
    pub fn client(&self) -> &ExchangeClient {
        &self.client
    }

    /// Whether an order of this coin is unresolved.
    pub fn is_unresolved(&self, symbol: &Symbol) -> bool {
        self.unresolved.lock().unwrap_or_else(PoisonError::into_inner).contains_key(symbol)
    }

    /// Whether an opening of this coin has an unknown fate.
    fn may_have_opened(&self, symbol: &Symbol) -> bool {
        let coins = self.unresolved.lock().unwrap_or_else(PoisonError::into_inner);
        coins.get(symbol).is_some_and(|left| left.may_open)
    }

    /// How many orders of the account nobody knows the fate of.
    fn unresolved_count(&self) -> usize {
        let coins = self.unresolved.lock().unwrap_or_else(PoisonError::into_inner);
        coins.values().map(|left| left.count).sum()
    }

    fn set_unresolved(&self, symbol: &Symbol, left: Unresolved) {
        let mut coins = self.unresolved.lock().unwrap_or_else(PoisonError::into_inner);
        if left.count > 0 {
            coins.insert(symbol.clone(), left);
        } else {
            coins.remove(symbol);
        }
    }

    fn is_prepared(&self, symbol: &Symbol) -> bool {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner).contains(symbol)
    }

    /// Somebody changed a setting of the account at the exchange, or we did: what is not as the terms want it is looked
    /// at again before the next opening.
    pub fn settings_changed(&self, symbol: Option<&Symbol>, leverage: Option<u32>) {
        match symbol {
            Some(_) if leverage == Some(self.terms.leverage) => {}
            Some(symbol) => {
                self.prepared.lock().unwrap_or_else(PoisonError::into_inner).remove(symbol);
            }
            None => self.forget_prepared(),
        }
    }

    /// Compares leverage and margin mode of every prepared coin with the terms. Those that differ are set again before
    /// their next opening; says what an operator should know of each.
    pub async fn check_settings(&self) -> Result<Vec<String>, ExchangeError> {
        let prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if prepared.is_empty() {
            return Ok(Vec::new());
        }
        let mut changed = Vec::new();
        for config in self.client.symbol_configs(None).await? {
            let is_ours = config.isolated && config.leverage == self.terms.leverage;
            if is_ours || !prepared.contains(&config.symbol) {
                continue;
            }
            self.prepared.lock().unwrap_or_else(PoisonError::into_inner).remove(&config.symbol);
            let margin = if config.isolated { "isolated" } else { "cross" };
            changed.push(format!(
                "{} {}: somebody set it to {}x, {margin} margin; before the next opening it is set to {}x, isolated margin",
                self.name(),
                config.symbol,
                config.leverage,
                self.terms.leverage
            ));
        }
        Ok(changed)
    }

    /// What was seen right before may have been changed by somebody else since: it is looked at again.
    pub fn forget_prepared(&self) {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.one_way.store(false, Ordering::SeqCst);
    }

    fn set_prepared(&self, symbol: &Symbol) {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner).insert(symbol.clone());
    }

    async fn hold_coin(&self, symbol: &Symbol) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        match self.coins.get(symbol) {
            Some(coin) => Some(coin.lock().await),
            None => None,
        }
    }

    fn try_hold_coin(&self, symbol: &Symbol) -> Result<Option<tokio::sync::MutexGuard<'_, ()>>, Busy> {
        match self.coins.get(symbol) {
            Some(coin) => coin.try_lock().map(Some).map_err(|_| Busy),
            None => Ok(None),
        }
    }

    /// Waits until no coin is between an order and its stop.
    pub async fn settle_down(&self) {
        for coin in self.coins.values() {
            let _quiet = coin.lock().await;
        }
    }

    /// Whether any coin is between an order and its stop, or has an order nobody knows the fate of.
    pub fn is_busy(&self) -> bool {
        let unresolved = self.unresolved.lock().unwrap_or_else(PoisonError::into_inner);
        !unresolved.is_empty() || self.coins.values().any(|coin| coin.try_lock().is_err())
    }

    /// Measures the exchange's clock; without it nothing signed is believed.
    pub async fn sync_clock(&self) -> Result<(), ExchangeError> {
        self.client.sync_clock().await.map(|_| ())
    }

    /// Makes sure of one-way mode, leverage and margin mode, so that no opening has to wait for them. What is held keeps
    /// its own. What fails here is tried again by the opening that needs it; says what an operator should know now.
    pub async fn prepare_account(&self) -> Result<(), String> {
        self.ensure_one_way().await?;
        if self.may_open() {
            // One read for all coins: each by itself would cost ten times the weight.
            let (held, configs) = tokio::join!(self.client.held(), self.client.symbol_configs(None));
            let held = held.map_err(|error| format!("what is held could not be read: {error}"))?;
            let configs = configs.unwrap_or_else(|error| {
                tracing::warn!(account = %self.name(), %error, "leverage and margin modes could not be read at once");
                Vec::new()
            });
            let configs = &configs;
            let flat = self.terms.symbols.iter().filter(|coin| matches!(held.of(coin), Ok(None)));
            let prepared = futures_util::future::join_all(flat.map(|coin| async move {
                match configs.iter().find(|config| &config.symbol == coin) {
                    Some(config) => self.set_up_coin(coin, Some(config)).await,
                    // The opening that needs it looks again.
                    None => Ok(()),
                }
            }))
            .await;
            if let Some(reason) = prepared.into_iter().find_map(Result::err) {
                tracing::warn!(account = %self.name(), reason, "a coin could not be prepared yet");
            }
        }
        Ok(())
    }

    /// In hedge mode an order needs a side of its own, and a stop or a close without one is refused: nothing may be
    /// opened there. A flat account is switched.
    async fn ensure_one_way(&self) -> Result<(), String> {
        if self.one_way.load(Ordering::SeqCst) {
            return Ok(());
        }
        if self.client.position_mode().await.map_err(|error| error.to_string())? == PositionMode::Hedge {
            const ADVICE: &str = "the account is in hedge mode; switch it to one-way mode at the exchange";
            if !self.may_open() {
                return Err(format!("{ADVICE} (a dry run, or a desk that is not armed, does not)"));
            }
            let positions = self.client.positions().await.map_err(|error| error.to_string())?;
            if !positions.is_empty() {
                return Err(format!("{ADVICE}, once its positions are closed"));
            }
            if let Some(trouble) = self.client.set_one_way().await.trouble() {
                return Err(format!("{ADVICE}: {trouble}"));
            }
        }
        self.one_way.store(true, Ordering::SeqCst);
        Ok(())
    }

    fn is_unbooked(&self, symbol: &Symbol) -> bool {
        self.unbooked.lock().unwrap_or_else(PoisonError::into_inner).contains(symbol)
    }

    fn set_unbooked(&self, symbol: &Symbol, unbooked: bool) {
        let mut coins = self.unbooked.lock().unwrap_or_else(PoisonError::into_inner);
        if unbooked {
            coins.insert(symbol.clone());
        } else {
            coins.remove(symbol);
        }
    }
}

/// Orders of one coin nobody knows the fate of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Unresolved {
    count: usize,
    /// Whether one of them may have opened something.
    may_open: bool,
}

impl Unresolved {
    /// One opening.
    const OPENING: Self = Self { count: 1, may_open: true };
    const NONE: Self = Self { count: 0, may_open: false };

    fn add(&mut self, purpose: OrderPurpose) {
        self.count += 1;
        self.may_open |= purpose == OrderPurpose::Open;
    }
}

/// Something else is working on the coin.
#[derive(Debug, Clone, Copy)]
struct Busy;

fn failed(detail: String, orders: Vec<crate::domain::ClientOrderId>) -> Outcome {
    Outcome { kind: OutcomeKind::Failed, rule: None, detail, orders }
}
