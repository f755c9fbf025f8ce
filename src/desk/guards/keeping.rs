//! The guards between cycles: what they remember, how they stand, and the halts that a loss calls for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::TimeDelta;
use rust_decimal::Decimal;
use tokio::sync::broadcast::error::RecvError;

use super::past::{Past, Resumed};
use super::readings::Sight;
use super::{Book, Guards, LastSeen, MarketFacts};
use crate::config::{Provider, Settings};
use crate::desk::floor::Floor;
use crate::domain::{
    AccountName, AccountState, BudgetReading, CycleId, Event, Halt, HaltScope, OrderState, Rule, Severity,
    Symbol, Timestamp,
};
use crate::exchange::LeverageBrackets;
use crate::market::Brief;
use crate::store::StoreError;

/// How long the exchange's leverage steps and the account's commission are taken to hold.
const TERMS_AGE: TimeDelta = TimeDelta::hours(24);

/// The guards and what they remember.
#[derive(Debug)]
pub struct GuardRoom {
    guards: Guards,
    memory: Mutex<Memory>,
}

#[derive(Debug)]
pub(super) struct Memory {
    past: Arc<Past>,
    pub(super) market: Arc<MarketFacts>,
    /// The exchange's leverage steps for an account, and when they were read.
    brackets: BTreeMap<AccountName, (Timestamp, BTreeMap<Symbol, LeverageBrackets>)>,
    /// What opening and closing at market costs an account, as a share of the notional, and when it was read.
    round_trips: BTreeMap<AccountName, (Timestamp, Decimal)>,
    /// Every account as it was read last.
    last_seen: BTreeMap<AccountName, LastSeen>,
    /// How many fills the store had been given when the past was read.
    fills: u64,
    doubts: Doubts,
}

/// What the last try could not read or do, and why. What is remembered instead may be of any age, so that nothing may be
/// opened by it.
#[derive(Debug, Default)]
struct Doubts {
    /// The past as a whole.
    past: Option<String>,
    /// What was traded since.
    trades: Option<String>,
    /// Whether a loss calls for a halt.
    losses: Option<String>,
}

impl GuardRoom {
    /// The guards as the settings want them, with nothing remembered yet.
    pub fn new(settings: &Settings) -> Self {
        let memory = Memory {
            past: Arc::default(),
            market: Arc::new(MarketFacts::unknown()),
            brackets: BTreeMap::new(),
            round_trips: BTreeMap::new(),
            last_seen: BTreeMap::new(),
            fills: 0,
            doubts: Doubts::default(),
        };
        Self { guards: Guards::of(settings), memory: Mutex::new(memory) }
    }

    /// The guards.
    pub fn guards(&self) -> &Guards {
        &self.guards
    }

    pub(super) fn past(&self) -> Arc<Past> {
        Arc::clone(&self.memory().past)
    }

    pub(super) fn market(&self) -> Arc<MarketFacts> {
        Arc::clone(&self.memory().market)
    }

    pub(super) fn brackets(&self, account: &AccountName, symbol: &Symbol) -> Option<LeverageBrackets> {
        self.memory().brackets.get(account)?.1.get(symbol).cloned()
    }

    pub(super) fn round_trip(&self, account: &AccountName) -> Option<Decimal> {
        self.memory().round_trips.get(account).map(|(_, share)| *share)
    }

    /// The book of these readings. What could be read is remembered, and what could not is in it as it was seen last.
    pub(super) fn book(&self, states: &[AccountState], past: &Past) -> Book {
        let mut memory = self.memory();
        memory.last_seen.extend(states.iter().filter_map(LastSeen::of).map(|seen| (seen.name.clone(), seen)));
        let lost = states.iter().filter(|state| state.trouble.is_some());
        let unreadable = lost.filter_map(|state| memory.last_seen.get(&state.name).cloned()).collect();
        Book { unreadable, ..Book::of(states, past) }
    }

    /// Takes over a past that was read when the store had been given so many fills.
    fn remember(&self, past: Past, fills: u64) {
        let mut memory = self.memory();
        (memory.past, memory.fills) = (Arc::new(past), fills);
        memory.doubts.trades = None;
    }

    /// Why nothing may be opened by what is remembered, if so.
    pub(super) fn doubt(&self) -> Option<String> {
        let memory = self.memory();
        let Doubts { past, trades, losses } = &memory.doubts;
        let said = |what: &str, why: Option<&String>| {
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            Some(format!("{what}, so nothing is opened{why}"))
        };
        match (past.as_ref().or(trades.as_ref()), losses) {
            (why, _) if why.is_some() || memory.past.as_of.is_none() => {
                said("what the accounts did before could not be read", why)
            }
            (_, Some(why)) => said("whether a loss calls for a halt could not be checked", Some(why)),
            _ => None,
        }
    }

    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Floor {
    /// Reads the past that the guards judge by. Without it nothing may be opened.
    pub(in crate::desk) async fn recall(&self) -> Result<(), StoreError> {
        let recalled = self.read_past().await;
        self.guards.memory().doubts.past = recalled.as_ref().err().map(ToString::to_string);
        recalled
    }

    async fn read_past(&self) -> Result<(), StoreError> {
        let resumed = self.resumed().await?;
        let names: Vec<AccountName> = self.accounts.iter().map(|account| account.name().clone()).collect();
        let fills = self.shared.store.fills_taken();
        let past = Past::read(&self.shared.store, &names, &resumed, self.shared.clock.now()).await?;
        self.guards.remember(past, fills);
        Ok(())
    }

    /// Reads again what every fill changes.
    pub(in crate::desk) async fn recall_trades(&self) -> Result<(), StoreError> {
        let mut past = Past::clone(&self.guards.past());
        let fills = self.shared.store.fills_taken();
        let read = past.read_trades(&self.shared.store, self.shared.clock.now()).await;
        match &read {
            Ok(()) => self.guards.remember(past, fills),
            Err(error) => self.guards.memory().doubts.trades = Some(error.to_string()),
        }
        read
    }

    /// Reads what the exchange grants and charges each account, where that is not known or old.
    pub(in crate::desk) async fn learn_terms(&self) {
        tokio::join!(self.learn_brackets(), self.learn_commission());
    }

    /// The account's commission, read for its first coin: it goes by the account's volume. Without it the usual rate
    /// counts.
    async fn learn_commission(&self) {
        let now = self.shared.clock.now();
        let fresh = |name: &AccountName| {
            self.guards.memory().round_trips.get(name).is_some_and(|(read, _)| now - *read < TERMS_AGE)
        };
        let old = self.accounts.iter().filter(|account| !fresh(account.name()));
        futures_util::future::join_all(old.map(|account| async {
            let Some(symbol) = account.terms().symbols.first() else { return };
            match account.client().commission_rate(symbol).await {
                Ok(rate) => {
                    let known = (now, rate.taker_round_trip());
                    self.guards.memory().round_trips.insert(account.name().clone(), known);
                }
                Err(error) => {
                    tracing::warn!(account = %account.name(), %error, "the account's commission could not be read");
                }
            }
        }))
        .await;
    }

    /// The exchange's leverage steps. Without them the exchange itself refuses what is too large.
    async fn learn_brackets(&self) {
        let now = self.shared.clock.now();
        let fresh = |name: &AccountName| {
            let memory = self.guards.memory();
            memory.brackets.get(name).is_some_and(|(read, _)| now - *read < TERMS_AGE)
        };
        let old = self.accounts.iter().filter(|account| !fresh(account.name()));
        futures_util::future::join_all(old.map(|account| async {
            match account.client().leverage_brackets(None).await {
                Ok(steps) => {
                    let of_coin = steps.into_iter().map(|steps| (steps.symbol.clone(), steps));
                    let known = (now, of_coin.collect());
                    self.guards.memory().brackets.insert(account.name().clone(), known);
                }
                Err(error) => {
                    tracing::warn!(account = %account.name(), %error, "the exchange's leverage steps could not be read");
                }
            }
        }))
        .await;
    }

    /// Takes over the market of a new brief.
    pub(in crate::desk) fn see_market(&self, brief: &Brief) {
        let market = self.market_facts(brief);
        self.guards.memory().market = Arc::new(market);
    }

    /// Begins the halts that losses call for and that do not stand yet. A loss is believed only after what was moved in
    /// the wallet is booked and the account was read again. Until they can be told from what is none, nothing is opened.
    pub(in crate::desk) async fn check_losses(&self, cycle: Option<&CycleId>) {
        if self.halts_due().is_empty() {
            self.guards.memory().doubts.losses = None;
            return;
        }
        for account in &self.accounts {
            account.book_income().await;
        }
        let states = self.read_accounts().await;
        // Nothing is told before: an account that is told is checked again, and this would go round without a pause.
        if let Err(error) = self.recall().await {
            tracing::error!(%error, "losses could not be checked: the past could not be read");
            let known = self.guards.memory().doubts.losses.replace(error.to_string());
            if known.is_none() {
                let text =
                    format!("losses could not be checked, nothing is opened until they can be: {error}");
                self.shared.bulletin.record(None, Event::Alarm { severity: Severity::Warning, text });
            }
            return;
        }
        for state in states {
            self.shared.bulletin.tell(cycle, Event::Account { state });
        }
        for halt in self.halts_due() {
            self.begin_halt(halt).await;
        }
        self.guards.memory().doubts.losses = None;
    }

    /// The halts that present equity calls for, without those that a halt of the same scope covers already.
    fn halts_due(&self) -> Vec<Halt> {
        let past = self.guards.past();
        let (book, halts) = self
            .shared
            .bulletin
            .read(|present| (self.guards.book(&present.accounts, &past), present.halts.clone()));
        let mut due = self.guards.guards().halts(&book, self.shared.clock.now());
        due.retain(|halt| !halts.iter().any(|standing| standing.scope == halt.scope));
        // The same scope twice would replace itself; the one that ends later stays.
        due.sort_by_key(|halt| halt.until.is_some());
        let mut kept: Vec<Halt> = Vec::new();
        for halt in due {
            if !kept.iter().any(|known| known.scope == halt.scope) {
                kept.push(halt);
            }
        }
        kept
    }

    /// Tells how the guards stand, if that changed. Logged when it belongs to a cycle.
    pub(in crate::desk) fn tell_guards(&self, cycle: Option<&CycleId>) {
        let (past, market) = (self.guards.past(), self.guards.market());
        let model = &self.settings.model;
        let (told, readings) = self.shared.bulletin.read(|present| {
            let book = self.guards.book(&present.accounts, &past);
            let sight = Sight {
                book: &book,
                market: &market,
                now: self.shared.clock.now(),
                halts: &present.halts,
                silent: self.silence(),
                budget: (model.provider != Provider::Builtin)
                    .then_some((present.cost_today.cost_usd, model.daily_budget_usd)),
            };
            (present.guards.clone(), self.guards.guards().readings(&sight))
        });
        match cycle {
            Some(cycle) => self.shared.bulletin.record(Some(cycle), Event::Guards { readings }),
            None if readings != told => self.shared.bulletin.tell(None, Event::Guards { readings }),
            None => {}
        }
    }

    /// Tells how much of what the exchange allows is used, if that changed.
    fn tell_budget(&self) {
        let Some(limits) = &self.limits else { return };
        let meter = limits.meter();
        let reading = BudgetReading {
            enforced: meter.enforced,
            weight: (meter.used_weight, meter.weight_limit),
            orders_10s: (meter.orders_10s, meter.order_limits.0),
            orders_1m: (meter.orders_1m, meter.order_limits.1),
            closed_until: meter.banned_until,
        };
        if self.shared.bulletin.read(|present| present.budget != Some(reading)) {
            self.shared.bulletin.tell(None, Event::Budget { reading });
        }
    }

    /// Looks at the guards whenever an account was read, a halt began or ended, or an order was filled. Never ends by
    /// itself.
    ///
    /// An order is told as filled before its fills are booked, so that nothing holds up its stop: what was traded is read
    /// again with the first news after the booking.
    pub(in crate::desk) async fn keep_guards(self: Arc<Self>) {
        let (_, mut events) = self.shared.bulletin.subscribe();
        self.recall_or_say().await;
        self.recall_market().await;
        self.tell_guards(None);
        self.tell_budget();
        loop {
            let mut heard = vec![events.recv().await];
            while let Ok(event) = events.try_recv() {
                heard.push(Ok(event));
            }
            let mut news = News::default();
            for one in heard {
                match one {
                    Ok(envelope) => news.hear(&envelope.event),
                    Err(RecvError::Lagged(_)) => news.accounts = true,
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            }
            self.take_news(&news).await;
        }
    }

    /// One look at the guards after accounts were read and perhaps traded, for a desk of which nobody keeps the guards.
    pub(in crate::desk) async fn look_at_guards(&self) {
        self.take_news(&News { accounts: true, filled: true, ..News::default() }).await;
    }

    async fn take_news(&self, news: &News) {
        let another_day = self
            .guards
            .past()
            .as_of
            .is_none_or(|read| read.date_naive() != self.shared.clock.now().date_naive());
        // With a halt's end losses may be counted from another moment.
        if news.resumed || (news.accounts && another_day) {
            self.recall_or_say().await;
        } else if (news.filled || self.guards.memory().fills != self.shared.store.fills_taken())
            && let Err(error) = self.recall_trades().await
        {
            tracing::error!(%error, "what was traded could not be read for the guards");
        }
        if news.accounts {
            self.check_losses(None).await;
        }
        if news.is_any() {
            self.tell_guards(None);
            self.tell_budget();
        }
    }

    async fn recall_or_say(&self) {
        if let Err(error) = self.recall().await {
            tracing::error!(%error, "the past could not be read for the guards");
        }
    }

    /// From now on losses of this scope are counted from here: an operator who resumes has seen what was lost. The end of
    /// a bad day leaves the highest equity as it was.
    pub(in crate::desk) async fn count_anew(&self, scope: &HaltScope, rule: Rule) {
        let now = self.shared.clock.now().timestamp_millis().to_string();
        let counts: &[Count] =
            if rule == Rule::Drawdown { &[Count::Day, Count::Highest] } else { &[Count::Day] };
        for count in counts {
            let Some(key) = resumed_key(self.shared.store.venue(), scope, *count) else { return };
            if let Err(error) = self.shared.store.set_meta(&key, &now).await {
                let text = format!("the halt of {scope} may come back: its end could not be noted ({error})");
                self.shared.bulletin.record(None, Event::Alarm { severity: Severity::Warning, text });
            }
        }
    }

    async fn resumed(&self) -> Result<BTreeMap<Option<AccountName>, Resumed>, StoreError> {
        let store = &self.shared.store;
        let read = async |scope: &HaltScope, count: Count| -> Result<Option<Timestamp>, StoreError> {
            let Some(key) = resumed_key(store.venue(), scope, count) else { return Ok(None) };
            let millis = store.meta(&key).await?.and_then(|text| text.parse().ok());
            Ok(millis.and_then(Timestamp::from_timestamp_millis))
        };
        let mut resumed = BTreeMap::new();
        let accounts = self.accounts.iter().map(|account| Some(account.name().clone()));
        for whose in accounts.chain([None]) {
            let scope = whose.clone().map_or(HaltScope::Desk, HaltScope::Account);
            let from = Resumed {
                day: read(&scope, Count::Day).await?,
                highest: read(&scope, Count::Highest).await?,
            };
            resumed.insert(whose, from);
        }
        Ok(resumed)
    }

    /// Begins a halt, unless a stricter one is in force, and says so.
    pub(in crate::desk) async fn begin_halt(&self, halt: Halt) {
        let text = halt.alarm();
        if self.shared.impose(halt).await {
            self.shared.bulletin.record(None, Event::Alarm { severity: Severity::Critical, text });
        }
    }
}

/// What of the events heard concerns the guards.
#[derive(Debug, Default)]
struct News {
    accounts: bool,
    filled: bool,
    halts: bool,
    resumed: bool,
}

impl News {
    fn hear(&mut self, event: &Event) {
        match event {
            Event::Account { .. } => self.accounts = true,
            Event::Order { state: OrderState::Filled, .. } => self.filled = true,
            Event::Halted { .. } => self.halts = true,
            Event::Resumed { .. } => (self.halts, self.resumed) = (true, true),
            _ => {}
        }
    }

    fn is_any(&self) -> bool {
        self.accounts || self.filled || self.halts
    }
}

/// What is counted anew after a halt.
#[derive(Debug, Clone, Copy)]
enum Count {
    Day,
    Highest,
}

/// Where it is noted that losses are counted anew; coins have none of their own.
fn resumed_key(venue: &str, scope: &HaltScope, count: Count) -> Option<String> {
    let what = match count {
        Count::Day => "day",
        Count::Highest => "highest",
    };
    match scope {
        HaltScope::Coin(_) => None,
        HaltScope::Account(name) => Some(format!("losses_from/{venue}/{what}/account/{name}")),
        HaltScope::Desk => Some(format!("losses_from/{venue}/{what}/desk")),
    }
}
