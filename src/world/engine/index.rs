//! Where everything waits, by contract and by account: what lets a price find whom it concerns without a search.
//!
//! None of this is saved: it is derived from the accounts and rebuilt when a world is resumed.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

use rust_decimal::Decimal;

use super::algo::rises;
use super::types::{AlgoOrder, ClientId, Order, WorkingType};
use super::{AccountId, Engine};
use crate::domain::{Side, Symbol};
use crate::world::market::Quote;

/// How long any order rests at most, ms: a year.
const LONGEST_REST: i64 = 365 * 86_400_000;

/// One contract's market and everything that waits in it, over all accounts.
#[derive(Debug, Default)]
pub(super) struct Pit {
    /// The prices last told.
    pub quote: Option<Quote>,
    /// Whether they are too old to trade at.
    pub frozen: bool,
    /// How often they changed.
    pub changes: u64,
    /// When they were told, market time, ms.
    told: i64,
    /// The number of the book they make: market time, and always more than the number before.
    book: i64,
    /// Units taken from the book since then, by the side of the takers.
    pub taken: BySide<Decimal>,
    /// Units traded at the best price since then against resting orders that stand there, by their side.
    pub printed: BySide<Decimal>,
    /// Accounts with a position.
    pub holders: BTreeSet<usize>,
    /// Resting orders: best price first, then by their place in the queue.
    resting: BySide<BTreeSet<(Decimal, i64, i64, usize)>>,
    /// Conditional orders that fire when the price rises to their trigger, by price watched.
    rising: [BTreeSet<(Decimal, i64, usize)>; 2],
    /// Conditional orders that fire when the price falls to their trigger, by price watched.
    falling: [BTreeSet<(Decimal, i64, usize)>; 2],
    /// Trailing stops: number and account.
    trailing: BTreeSet<(i64, usize)>,
}

/// One value for buyers and one for sellers.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct BySide<T>([T; 2]);

impl<T> BySide<T> {
    pub fn of(&self, side: Side) -> &T {
        &self.0[usize::from(side == Side::Sell)]
    }

    pub fn of_mut(&mut self, side: Side) -> &mut T {
        &mut self.0[usize::from(side == Side::Sell)]
    }
}

/// What an account has waiting in one contract.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Resting orders, oldest first.
    pub resting: Vec<i64>,
    /// Waiting conditional orders, oldest first.
    pub waiting: Vec<i64>,
    /// Value of resting orders that may open, USDT, by side.
    pub notional: BySide<Decimal>,
    /// Units of resting orders that may open, by side.
    pub units: BySide<Decimal>,
    /// Units of resting reduce-only orders.
    pub reducing: Decimal,
    /// What the contract does to the account's free money (USDT), and the number of the price at which it does: kept
    /// until position, settings or resting orders change, because every order asks for it.
    pub weight: Cell<Option<(u64, Decimal)>>,
}

/// What an account has waiting, and the names its client gave.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    pub tallies: BTreeMap<Symbol, Tally>,
    /// The latest order of a name.
    pub orders: HashMap<ClientId, i64>,
    /// The latest conditional order of a name.
    pub algos: HashMap<ClientId, i64>,
}

/// The name the exchange gives to an order whose client gave none.
pub(super) fn own_name(id: i64) -> ClientId {
    numbered("web_", id)
}

/// A name with a number behind it.
pub(super) fn numbered(name: &str, number: i64) -> ClientId {
    let mut written = ClientId::empty();
    // A number has 20 signs at most; a name that leaves it no room is cut.
    let _ = write!(written, "{name}{number}");
    written
}

/// The number in a name the exchange gave.
fn own_number(name: &str) -> Option<i64> {
    name.strip_prefix("web_")?.parse().ok()
}

impl Shelf {
    /// The number of the latest order with this name, if it is still known.
    pub fn order_named(&self, name: &str) -> Option<i64> {
        ClientId::new(name).and_then(|name| self.orders.get(&name).copied()).or_else(|| own_number(name))
    }

    /// The number of the latest conditional order with this name, if it is still known.
    pub fn algo_named(&self, name: &str) -> Option<i64> {
        ClientId::new(name).and_then(|name| self.algos.get(&name).copied()).or_else(|| own_number(name))
    }
}

impl Pit {
    /// Takes the prices of a moment over, with a full book; whether they or the moment are new.
    pub fn see(&mut self, quote: Quote, now: i64) -> bool {
        if self.quote == Some(quote) && self.told == now {
            return false;
        }
        if self.quote != Some(quote) {
            self.changes += 1;
        }
        (self.quote, self.told) = (Some(quote), now);
        self.book = now.max(self.book.saturating_add(1));
        (self.taken, self.printed) = (BySide::default(), BySide::default());
        true
    }

    /// Keeps the last prices known without letting anything trade at them.
    pub fn freeze(&mut self, last: Quote) {
        self.quote = Some(last);
        self.changes += 1;
        self.frozen = true;
    }

    /// The number of the present book.
    pub fn book(&self) -> i64 {
        self.book
    }

    /// The side of the book's orders that trade at the last price: what they get when it only touches them.
    fn key(order: &Order) -> (Decimal, i64) {
        (if order.side == Side::Buy { -order.price } else { order.price }, order.queued)
    }

    /// Resting orders that the prices reach, in the order they fill: number and account.
    pub fn reached_orders(&self, side: Side) -> Vec<(i64, usize)> {
        let Some(quote) = self.quote else { return Vec::new() };
        let nearest = match side {
            Side::Buy => -quote.last.min(quote.ask),
            Side::Sell => quote.last.max(quote.bid),
        };
        let reached = self.resting.of(side).iter().take_while(|(price, ..)| *price <= nearest);
        reached.map(|(_, _, id, account)| (*id, *account)).collect()
    }

    /// Conditional orders whose trigger the prices reach: number and account.
    pub fn reached_triggers(&self) -> impl Iterator<Item = (i64, usize)> + '_ {
        let watched = |working| self.quote.map(|quote| watched_price(working, quote));
        [WorkingType::Contract, WorkingType::Mark].into_iter().flat_map(move |working| {
            let price = watched(working);
            let slot = slot(working);
            let up = self.rising[slot].iter().take_while(move |(at, ..)| price.is_some_and(|p| *at <= p));
            let down =
                self.falling[slot].iter().rev().take_while(move |(at, ..)| price.is_some_and(|p| *at >= p));
            up.chain(down).map(|(_, id, account)| (*id, *account))
        })
    }

    /// Trailing stops: number and account.
    pub fn trailing(&self) -> impl Iterator<Item = (i64, usize)> + '_ {
        self.trailing.iter().copied()
    }

    /// The prices at which something waits next to the market, trailing stops excepted.
    pub fn nearest_levels(&self) -> impl Iterator<Item = Decimal> + '_ {
        let resting = self.resting.0.iter().filter_map(|set| set.first()).map(|place| place.0.abs());
        let rising = self.rising.iter().filter_map(|set| set.first()).map(|place| place.0);
        let falling = self.falling.iter().filter_map(|set| set.last()).map(|place| place.0);
        resting.chain(rising).chain(falling)
    }

    /// Whether a new price could change anything here.
    pub fn is_exposed(&self) -> bool {
        !self.holders.is_empty()
            || !self.trailing.is_empty()
            || self.resting.0.iter().any(|set| !set.is_empty())
            || self.rising.iter().chain(&self.falling).any(|set| !set.is_empty())
    }
}

fn slot(working: WorkingType) -> usize {
    usize::from(working == WorkingType::Mark)
}

/// Puts a number into its place among rising ones: nearly always the end.
fn put(numbers: &mut Vec<i64>, number: i64) {
    let place = numbers.partition_point(|other| *other < number);
    if numbers.get(place) != Some(&number) {
        numbers.insert(place, number);
    }
}

/// Takes a number from rising ones.
fn take(numbers: &mut Vec<i64>, number: i64) {
    if let Ok(place) = numbers.binary_search(&number) {
        numbers.remove(place);
    }
}

/// The price a working type watches.
pub(super) fn watched_price(working: WorkingType, quote: Quote) -> Decimal {
    match working {
        WorkingType::Contract => quote.last,
        WorkingType::Mark => quote.mark,
    }
}

/// When a resting order ends by itself, market time, ms.
fn ends(order: &Order) -> i64 {
    let longest = order.created.saturating_add(LONGEST_REST);
    if order.good_till == 0 { longest } else { order.good_till.min(longest) }
}

impl Engine {
    /// Rebuilds everything from the accounts.
    pub(super) fn index_all(&mut self) {
        self.shelves.clear();
        self.expiries.clear();
        for index in 0..self.state.accounts.len() {
            self.shelves.push(Shelf::default());
            let id = AccountId(index);
            let account = self.account(id);
            let resting: Vec<Order> = account.resting().cloned().collect();
            let waiting: Vec<AlgoOrder> = account.waiting().cloned().collect();
            let held: Vec<Symbol> = account
                .positions
                .iter()
                .filter(|(_, position)| !position.is_flat())
                .map(|(symbol, _)| symbol.clone())
                .collect();
            for order in resting {
                self.rest(id, &order);
            }
            for algo in waiting {
                self.wait(id, &algo);
            }
            for symbol in held {
                self.reweigh(id, &symbol);
                self.pits.entry(symbol).or_default().holders.insert(index);
            }
            self.index_names(id);
        }
    }

    /// Rebuilds the names of one account's orders.
    pub(super) fn index_names(&mut self, id: AccountId) {
        let account = &self.state.accounts[id.0];
        let Some(shelf) = self.shelves.get_mut(id.0) else { return };
        shelf.orders = account.orders.values().map(|order| (order.client_id.clone(), order.id)).collect();
        shelf.algos = account.algos.values().map(|algo| (algo.client_id.clone(), algo.id)).collect();
    }

    /// What an account has waiting in a contract.
    pub(super) fn tally(&self, id: AccountId, symbol: &Symbol) -> Option<&Tally> {
        self.shelves.get(id.0)?.tallies.get(symbol)
    }

    fn tally_mut(&mut self, id: AccountId, symbol: &Symbol) -> &mut Tally {
        // An account is opened together with its shelf.
        let tally = self.shelves[id.0].tallies.entry(symbol.clone()).or_default();
        tally.weight.set(None);
        tally
    }

    /// Position, settings or resting orders of an account in a contract have changed: what was derived from them is old.
    pub(super) fn reweigh(&mut self, id: AccountId, symbol: &Symbol) {
        self.tally_mut(id, symbol);
    }

    /// Puts an order among the resting ones.
    pub(super) fn rest(&mut self, id: AccountId, order: &Order) {
        self.account_mut(id).open_orders.insert(order.id);
        let tally = self.tally_mut(id, &order.symbol);
        put(&mut tally.resting, order.id);
        let remaining = order.remaining();
        if order.reduce_only {
            tally.reducing += remaining;
        } else {
            *tally.notional.of_mut(order.side) += remaining * order.price;
            *tally.units.of_mut(order.side) += remaining;
        }
        let (price, queued) = Pit::key(order);
        let pit = self.pits.entry(order.symbol.clone()).or_default();
        pit.resting.of_mut(order.side).insert((price, queued, order.id, id.0));
        self.expiries.insert((ends(order), id.0, order.id));
    }

    /// Takes an order from the resting ones; `order` must be as it was put there.
    pub(super) fn unrest(&mut self, id: AccountId, order: &Order) {
        self.account_mut(id).open_orders.remove(&order.id);
        let tally = self.tally_mut(id, &order.symbol);
        take(&mut tally.resting, order.id);
        let remaining = order.remaining();
        if order.reduce_only {
            tally.reducing -= remaining;
        } else {
            *tally.notional.of_mut(order.side) -= remaining * order.price;
            *tally.units.of_mut(order.side) -= remaining;
        }
        let (price, queued) = Pit::key(order);
        if let Some(pit) = self.pits.get_mut(&order.symbol) {
            pit.resting.of_mut(order.side).remove(&(price, queued, order.id, id.0));
        }
        self.expiries.remove(&(ends(order), id.0, order.id));
    }

    /// Puts a conditional order among the waiting ones.
    pub(super) fn wait(&mut self, id: AccountId, algo: &AlgoOrder) {
        self.account_mut(id).open_algos.insert(algo.id);
        put(&mut self.tally_mut(id, &algo.symbol).waiting, algo.id);
        let pit = self.pits.entry(algo.symbol.clone()).or_default();
        let place = (algo.trigger_price, algo.id, id.0);
        if algo.callback_rate.is_some() {
            pit.trailing.insert((algo.id, id.0));
        } else if rises(algo.kind, algo.side) {
            pit.rising[slot(algo.working)].insert(place);
        } else {
            pit.falling[slot(algo.working)].insert(place);
        }
    }

    /// Takes a conditional order from the waiting ones.
    pub(super) fn unwait(&mut self, id: AccountId, algo_id: i64) {
        let account = self.account_mut(id);
        account.open_algos.remove(&algo_id);
        let Some(algo) = account.algos.get(algo_id) else { return };
        let (symbol, slot, place) =
            (algo.symbol.clone(), slot(algo.working), (algo.trigger_price, algo_id, id.0));
        take(&mut self.tally_mut(id, &symbol).waiting, algo_id);
        if let Some(pit) = self.pits.get_mut(&symbol) {
            pit.trailing.remove(&(algo_id, id.0));
            pit.rising[slot].remove(&place);
            pit.falling[slot].remove(&place);
        }
    }

    /// Whether and what an account holds of a contract has changed.
    pub(super) fn note_holding(&mut self, id: AccountId, symbol: &Symbol, held: bool) {
        let Some(pit) = self.pits.get_mut(symbol) else { return };
        if held {
            pit.holders.insert(id.0);
        } else {
            pit.holders.remove(&id.0);
        }
    }

    /// When the next resting order ends by itself, market time, ms.
    pub fn next_expiry(&self) -> Option<i64> {
        self.expiries.first().map(|(at, ..)| *at)
    }
}
