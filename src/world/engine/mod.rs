//! The exchange's core: accounts, orders, margin, funding, liquidation. Pure and deterministic: no I/O, no clock.
//!
//! Requests and prices come in with their market time, results and [`Happening`]s go out. A refused request leaves
//! everything as it was. The wallet is the sum of the ledger, to the last digit.

#![cfg_attr(not(test), deny(clippy::float_arithmetic))]

mod account;
mod advance;
mod algo;
mod contract;
mod depth;
mod fill;
mod happening;
mod history;
mod index;
mod journal;
mod liquidation;
mod margin;
mod memory;
mod order;
mod place;
pub mod refusal;
mod setting;
#[cfg(test)]
mod tests;
mod types;
mod vanish;

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

pub use account::{Account, MONEY_DIGITS, Position, Settings, money};
pub use contract::{
    Bracket, Contract, LIQUIDATION_FEE, MAKER_FEE, MARGIN_CALL_SHARE, MAX_ALGO_ORDERS, MAX_AMENDMENTS,
    MAX_OPEN_ORDERS, PRICE_BAND, TAKER_FEE,
};
pub use depth::{Depth, LEVELS, Level};
pub use happening::{Execution, Happening, MarginCallRow, PositionReport, What};
pub use history::History;
use index::{Pit, Shelf};
pub use journal::EngineDelta;
pub use margin::{Standing, Totals};
pub use memory::MOST_ROWS;
pub use order::{Handle, valid_client_id};
pub use refusal::Refusal;
pub use types::{
    AlgoKind, AlgoOrder, AlgoRequest, AlgoStatus, Amendment, ClientId, Income, IncomeKind, MarginType, Order,
    OrderKind, OrderRequest, OrderStatus, TimeInForce, Trade, WorkingType,
};

use crate::domain::{AccountName, Symbol};
use crate::world::market::{Listing, Quote};

/// Names an account of this engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountId(usize);

/// The next number of each kind; every number is used once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Counters {
    order: i64,
    trade: i64,
    algo: i64,
    ledger: i64,
}

impl Default for Counters {
    /// Starts with as many digits as the real exchange uses today, so that clients meet them.
    fn default() -> Self {
        Self {
            order: 870_000_000_001,
            trade: 6_500_000_001,
            algo: 4_000_001_000_000_001,
            ledger: 9_100_000_001,
        }
    }
}

impl Counters {
    fn next(counter: &mut i64) -> i64 {
        let id = *counter;
        *counter += 1;
        id
    }
}

/// What survives a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineState {
    accounts: Vec<Account>,
    counters: Counters,
}

/// The engine.
#[derive(Debug)]
pub struct Engine {
    contracts: BTreeMap<Symbol, Contract>,
    pits: BTreeMap<Symbol, Pit>,
    shelves: Vec<Shelf>,
    /// When resting orders end by themselves: market time in ms, account, order.
    expiries: BTreeSet<(i64, usize, i64)>,
    state: EngineState,
    happenings: Vec<Happening>,
    /// Accounts changed since the last delta.
    touched: BTreeSet<usize>,
    /// The counters at the last delta.
    told: Counters,
    /// Whether a delta cannot tell what changed.
    whole: bool,
    /// The day of market time up to which old rows were forgotten.
    forgot_day: i64,
}

impl Engine {
    /// An exchange without accounts, with the books of seed 0.
    pub fn new(listings: impl IntoIterator<Item = Listing>) -> Self {
        let state = EngineState { accounts: Vec::new(), counters: Counters::default() };
        Self::resume(listings, state)
    }

    /// The exchange as it was when the state was taken. Prices must be told again.
    pub fn resume(listings: impl IntoIterator<Item = Listing>, state: EngineState) -> Self {
        let contracts: BTreeMap<Symbol, Contract> =
            listings.into_iter().map(|listing| (listing.symbol.clone(), Contract::new(listing))).collect();
        let mut engine = Self {
            pits: contracts.keys().map(|symbol| (symbol.clone(), Pit::default())).collect(),
            contracts,
            shelves: Vec::new(),
            expiries: BTreeSet::new(),
            told: state.counters.clone(),
            state,
            happenings: Vec::new(),
            touched: BTreeSet::new(),
            whole: true,
            forgot_day: 0,
        };
        engine.index_all();
        engine
    }

    /// The same exchange with the order books of a world of this seed.
    #[must_use]
    pub fn seeded(mut self, seed: u64) -> Self {
        self.contracts = std::mem::take(&mut self.contracts)
            .into_iter()
            .map(|(symbol, contract)| (symbol, contract.seeded(seed)))
            .collect();
        self
    }

    /// What survives a restart.
    pub fn state(&self) -> &EngineState {
        &self.state
    }

    /// Opens an account and pays `balance` in.
    pub fn open_account(&mut self, name: AccountName, balance: Decimal, now: i64) -> AccountId {
        let mut account = Account::new(name, now);
        account.cross_wallet = money(balance);
        account.book(Income {
            id: Counters::next(&mut self.state.counters.ledger),
            kind: IncomeKind::Transfer,
            symbol: None,
            amount: money(balance),
            trade_id: None,
            time: now,
        });
        self.state.accounts.push(account);
        self.shelves.push(Shelf::default());
        self.whole = true;
        AccountId(self.state.accounts.len() - 1)
    }

    /// Every account with its id.
    pub fn accounts(&self) -> impl Iterator<Item = (AccountId, &Account)> {
        self.state.accounts.iter().enumerate().map(|(index, account)| (AccountId(index), account))
    }

    /// One account.
    pub fn account(&self, id: AccountId) -> &Account {
        &self.state.accounts[id.0]
    }

    fn account_mut(&mut self, id: AccountId) -> &mut Account {
        self.touched.insert(id.0);
        &mut self.state.accounts[id.0]
    }

    /// Every contract, by symbol.
    pub fn contracts(&self) -> &BTreeMap<Symbol, Contract> {
        &self.contracts
    }

    /// The rules of one contract.
    pub fn contract(&self, symbol: &Symbol) -> Result<&Contract, Refusal> {
        self.contracts.get(symbol).ok_or(refusal::INVALID_SYMBOL)
    }

    /// The prices a contract trades at now.
    pub fn quote(&self, symbol: &Symbol) -> Result<Quote, Refusal> {
        let pit = self.pits.get(symbol).ok_or(refusal::NO_PRICE)?;
        let quote = pit.quote.ok_or(refusal::NO_PRICE)?;
        if pit.frozen { Err(refusal::FROZEN) } else { Ok(quote) }
    }

    /// The prices last told for a contract, frozen or not: for what something is worth, never for a trade.
    pub fn last_quote(&self, symbol: &Symbol) -> Option<Quote> {
        self.pits.get(symbol)?.quote
    }

    /// Whether a contract's prices are too old to trade at.
    pub(super) fn is_frozen(&self, symbol: &Symbol) -> bool {
        self.pits.get(symbol).is_some_and(|pit| pit.frozen)
    }

    /// Stops a contract at the last price known of it until the next one is told: positions keep a worth, stops can be
    /// placed and everything can be taken back, and nothing trades.
    pub fn freeze(&mut self, symbol: &Symbol, last: Quote) {
        let pit = self.pits.entry(symbol.clone()).or_default();
        pit.freeze(last);
    }

    /// The number of a contract's present order book: it rises with every price and every moment.
    pub fn book_id(&self, symbol: &Symbol) -> i64 {
        self.pits.get(symbol).map_or(0, Pit::book)
    }

    /// Takes the reports since the last call.
    pub fn drain_happenings(&mut self) -> Vec<Happening> {
        // About as many will come until the next call.
        let room = Vec::with_capacity(self.happenings.len());
        std::mem::replace(&mut self.happenings, room)
    }

    fn tell(&mut self, account: AccountId, time: i64, what: What) {
        self.happenings.push(Happening { account, time, what });
    }

    fn tell_order(&mut self, account: AccountId, time: i64, order: &Order, execution: Execution) {
        self.tell(account, time, What::Order { order: Box::new(order.clone()), execution });
    }

    fn tell_balance(
        &mut self,
        id: AccountId,
        time: i64,
        reason: &'static str,
        changed: Option<&Symbol>,
        change: Decimal,
    ) {
        let account = self.account(id);
        let position = changed.map(|symbol| self.position_report(id, symbol));
        let symbol = changed.filter(|_| reason == "FUNDING_FEE").cloned();
        let what = What::Balance {
            reason,
            symbol,
            wallet: account.wallet(),
            cross_wallet: account.cross_wallet,
            change,
            position,
        };
        self.tell(id, time, what);
    }

    /// The position of a contract as it is told; a flat one where none was ever opened.
    fn position_report(&self, id: AccountId, symbol: &Symbol) -> PositionReport {
        let account = self.account(id);
        let flat = Position::default();
        let position = account.positions.get(symbol).unwrap_or(&flat);
        let mark = self.last_quote(symbol).map_or(position.entry, |quote| quote.mark);
        PositionReport {
            symbol: symbol.clone(),
            amount: position.amount,
            entry: position.entry,
            break_even: position.break_even(),
            realized: position.realized,
            unrealized: position.unrealized(mark),
            margin: account.settings(symbol).margin,
            isolated_wallet: position.isolated_wallet,
        }
    }
}
