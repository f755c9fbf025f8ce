//! What a client needs to keep a copy of the order book: the changes since the last message, in a chain.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::wire::fixed;
use crate::domain::{Side, Symbol};
use crate::world::engine::{Contract, Engine, LEVELS};
use crate::world::market::Quote;

/// Books of one contract that are remembered as shown.
const SHOWN: usize = 256;

/// The books that were shown whole between two messages of a stream, by contract: number and prices.
///
/// A client may have begun its copy with any of them. Its next message must take away what only that book had.
#[derive(Debug, Default)]
pub(crate) struct ShownBooks(BTreeMap<Symbol, VecDeque<(i64, Quote)>>);

impl ShownBooks {
    pub fn note(&mut self, symbol: &Symbol, book: i64, quote: Quote) {
        let shown = self.0.entry(symbol.clone()).or_default();
        match shown.back_mut() {
            Some((number, last)) if *last == quote => *number = book,
            _ => shown.push_back((book, quote)),
        }
        if shown.len() > SHOWN {
            shown.pop_front();
        }
    }

    fn since(&self, symbol: &Symbol, book: i64) -> impl Iterator<Item = Quote> + '_ {
        let shown = self.0.get(symbol).into_iter().flatten();
        shown.filter(move |(number, _)| *number > book).map(|(_, quote)| *quote)
    }
}

type Levels = BTreeMap<Decimal, Decimal>;

/// A book as a stream last told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ToldBook {
    number: i64,
    bids: Levels,
    asks: Levels,
}

impl ToldBook {
    /// The book as it is.
    pub fn present(engine: &Engine, symbol: &Symbol) -> Option<Self> {
        let contract = engine.contracts().get(symbol)?;
        let quote = engine.quote(symbol).ok()?;
        let (bids, asks) = (levels(contract, quote, Side::Sell), levels(contract, quote, Side::Buy));
        Some(Self { number: engine.book_id(symbol), bids, asks })
    }
}

fn levels(contract: &Contract, quote: Quote, taker: Side) -> Levels {
    contract.levels(quote, taker, LEVELS).map(|level| (level.price, level.quantity)).collect()
}

/// The message of `<symbol>@depth` that leads from the book told last to the present one; nothing when nothing changed.
/// The first one tells the whole book.
pub(super) fn difference(
    contract: &Contract,
    shown: &ShownBooks,
    told: Option<&ToldBook>,
    present: &ToldBook,
    now: i64,
) -> Option<Value> {
    let symbol = &contract.listing.symbol;
    let ToldBook { number, bids, asks } = present;
    let (first, previous) = told.map_or((*number, number - 1), |told| (told.number + 1, told.number));
    let (mut begun_bids, mut begun_asks) = (BTreeSet::new(), BTreeSet::new());
    for quote in shown.since(symbol, previous) {
        begun_bids.extend(levels(contract, quote, Side::Sell).into_keys());
        begun_asks.extend(levels(contract, quote, Side::Buy).into_keys());
    }
    let changes = |before: Option<&Levels>, present: &Levels, begun: &BTreeSet<Decimal>| -> Vec<Value> {
        let gone = before
            .into_iter()
            .flat_map(BTreeMap::keys)
            .chain(begun)
            .filter(|price| !present.contains_key(price));
        let gone: BTreeSet<Decimal> = gone.copied().collect();
        let changed = present.iter().filter(|(price, quantity)| {
            begun.contains(price) || before.and_then(|before| before.get(price)) != Some(quantity)
        });
        let rows = gone.iter().map(|price| (price, &Decimal::ZERO)).chain(changed);
        rows.map(|(price, quantity)| {
            json!([fixed(*price, contract.price_digits()), fixed(*quantity, contract.quantity_digits())])
        })
        .collect()
    };
    let bid_changes = changes(told.map(|told| &told.bids), bids, &begun_bids);
    let ask_changes = changes(told.map(|told| &told.asks), asks, &begun_asks);
    if bid_changes.is_empty() && ask_changes.is_empty() {
        return None;
    }
    Some(json!({
        "e": "depthUpdate", "E": now, "T": now, "s": symbol, "ps": symbol, "st": 1, "U": first, "u": number,
        "pu": previous, "b": bid_changes, "a": ask_changes,
    }))
}
