//! The order book: a ladder of sizes behind the market's best prices, made from a seed.
//!
//! The best price holds enough for ordinary orders; behind it stands one level per basis point (or per tick where a
//! tick is coarser), so that a large order pays more with every level it eats. The ladder is a function of seed,
//! contract and price only: the same market has the same book. It ends after [`LEVELS`] levels, and what lies outside
//! the price band is out of reach for orders.

use rust_decimal::Decimal;

use super::contract::Contract;
use crate::domain::{Side, Symbol};
use crate::world::market::Quote;

/// Levels on each side of the book.
pub const LEVELS: u32 = 200;
/// Least USDT at a best price before the wobble.
const LEAST_BEST: i64 = 20_000;
/// USDT per basis point of each contract: what such coins usually show, in thousands.
const THOUSANDS: [(&str, i64); 10] = [
    ("BTCUSDT", 3_000),
    ("ETHUSDT", 2_000),
    ("SOLUSDT", 600),
    ("XRPUSDT", 400),
    ("BNBUSDT", 250),
    ("DOGEUSDT", 250),
    ("ADAUSDT", 120),
    ("LINKUSDT", 100),
    ("AVAXUSDT", 80),
    ("PAXGUSDT", 20),
];
/// USDT per basis point of every other contract, in thousands.
const OTHERS: i64 = 50;
/// The share of a level's usual size it really holds, percent: from here, so many steps up.
const LEAST_SHARE: i64 = 60;
const SHARES: u64 = 81;

/// How much rests in the book of a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// USDT per basis point away from the best price.
    pub per_point: i64,
    /// USDT at the best price.
    pub best: i64,
    seed: u64,
}

/// One price of the book and what rests there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// Price, USDT.
    pub price: Decimal,
    /// Units of the coin.
    pub quantity: Decimal,
}

impl Depth {
    /// The depth of a contract in a world of this seed.
    pub fn of(symbol: &Symbol, seed: u64) -> Self {
        let known = THOUSANDS.iter().find(|(name, _)| *name == symbol.as_str());
        let per_point = known.map_or(OTHERS, |(_, thousands)| *thousands) * 1000;
        let named = symbol.as_str().bytes().fold(seed, |hash, byte| mix(hash ^ u64::from(byte)));
        Self { per_point, best: (per_point / 4).max(LEAST_BEST), seed: named }
    }

    /// A number from 0 to 1 in steps of a percent around the usual size of level `number` at `price`.
    fn share(&self, price: Decimal, tick_digits: u32, number: u32) -> i64 {
        let mut grid = price;
        grid.rescale(tick_digits);
        let low = grid.mantissa().unsigned_abs() & u128::from(u64::MAX);
        let hash = mix(self.seed ^ u64::try_from(low).unwrap_or_default() ^ (u64::from(number) << 48));
        LEAST_SHARE + i64::try_from(hash % SHARES).unwrap_or_default()
    }
}

/// Spreads the bits of a number over all of them (the finisher of the `SplitMix64` generator).
fn mix(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// What an order wants from the book.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    /// Units.
    pub quantity: Decimal,
    /// The worst price it takes; `None` takes any, and the last level then has no end.
    pub limit: Option<Decimal>,
}

impl Contract {
    /// The first `count` levels that orders of side `taker` meet, best first: asks for a buyer, bids for a seller.
    pub fn levels(&self, quote: Quote, taker: Side, count: u32) -> impl Iterator<Item = Level> + '_ {
        let (best, away) = match taker {
            Side::Buy => (quote.ask, Decimal::ONE),
            Side::Sell => (quote.bid, Decimal::NEGATIVE_ONE),
        };
        let tick = self.listing.tick;
        let spacing = ((best / Decimal::from(10_000) / tick).trunc() * tick).max(tick);
        let behind = if best.is_zero() {
            Decimal::ZERO
        } else {
            Decimal::from(self.depth.per_point) * spacing * Decimal::from(10_000) / best
        };
        (0..count.min(LEVELS))
            .map(move |number| (number, best + away * spacing * Decimal::from(number)))
            .take_while(|(_, price)| *price > Decimal::ZERO)
            .map(move |(number, price)| {
                let usual = if number == 0 { Decimal::from(self.depth.best) } else { behind };
                Level { price, quantity: self.size(usual, price, number) }
            })
    }

    /// The units on one level: its usual value with its wobble, on the grid, never nothing.
    fn size(&self, usual: Decimal, price: Decimal, number: u32) -> Decimal {
        let step = self.listing.step;
        let value = usual * Decimal::new(self.depth.share(price, self.price_digits(), number), 2);
        ((value / price / step).trunc() * step).max(step)
    }

    /// What an order of side `taker` gets, level by level, when `taken` units of that side are already gone.
    pub(super) fn sweep(&self, quote: Quote, taker: Side, taken: Decimal, wish: Wish) -> Vec<Level> {
        let best = match taker {
            Side::Buy => quote.ask,
            Side::Sell => quote.bid,
        };
        if !wish.accepts(taker, best) || wish.quantity <= Decimal::ZERO {
            return Vec::new();
        }
        // Most orders fit into the best level; whole steps fit exactly when their value does.
        let there = Decimal::new(self.depth.best * self.depth.share(best, self.price_digits(), 0), 2);
        if (taken + wish.quantity) * best <= there {
            return vec![Level { price: best, quantity: wish.quantity }];
        }
        let (mut gone, mut open, mut slices) = (taken, wish.quantity, Vec::new());
        let mut last = best;
        for level in self.levels(quote, taker, LEVELS) {
            if open.is_zero() || !wish.accepts(taker, level.price) {
                break;
            }
            last = level.price;
            let left = level.quantity - gone.min(level.quantity);
            gone -= gone.min(level.quantity);
            let quantity = left.min(open);
            if !quantity.is_zero() {
                open -= quantity;
                slices.push(Level { price: level.price, quantity });
            }
        }
        if wish.limit.is_none() && !open.is_zero() {
            // Nobody may be left with a liquidated position: the exchange itself takes the rest.
            slices.push(Level { price: last, quantity: open });
        }
        slices
    }
}

impl Wish {
    fn accepts(&self, taker: Side, price: Decimal) -> bool {
        match (self.limit, taker) {
            (None, _) => true,
            (Some(limit), Side::Buy) => price <= limit,
            (Some(limit), Side::Sell) => price >= limit,
        }
    }
}
