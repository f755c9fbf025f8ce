//! What is fixed about a contract: filters, leverage brackets, fees.

use rust_decimal::Decimal;

use super::depth::Depth;
use super::refusal::{self, Refusal};
use crate::world::market::Listing;

/// Commission of an order that takes, as a share of notional (0.05 %).
pub const TAKER_FEE: Decimal = Decimal::from_parts(5, 0, 0, false, 4);
/// Commission of an order that rested, as a share of notional (0.02 %).
pub const MAKER_FEE: Decimal = Decimal::from_parts(2, 0, 0, false, 4);
/// What a liquidation costs, as a share of notional (`liquidationFee` of the exchange's rules).
pub const LIQUIDATION_FEE: Decimal = Decimal::from_parts(125, 0, 0, false, 4);
/// How far an order's price may lie from the mark, and a protected trigger's two prices from each other.
pub const PRICE_BAND: Decimal = Decimal::from_parts(5, 0, 0, false, 2);
/// The highest and the lowest price inside the band, as shares of the mark.
pub(super) const BAND: (Decimal, Decimal) =
    (Decimal::from_parts(105, 0, 0, false, 2), Decimal::from_parts(95, 0, 0, false, 2));
/// Open orders allowed on one contract.
pub const MAX_OPEN_ORDERS: usize = 200;
/// Share of the margin that maintenance may eat before the owner is called. The exchange tells of the call but
/// publishes no share.
pub const MARGIN_CALL_SHARE: Decimal = Decimal::from_parts(8, 0, 0, false, 1);
/// How often one order may be amended.
pub const MAX_AMENDMENTS: u32 = 10_000;
/// Untriggered conditional orders allowed in one account (since 2025-12-29).
pub const MAX_ALGO_ORDERS: usize = 200;

/// One step of the maintenance margin table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bracket {
    /// Counted from 1.
    pub number: u32,
    /// Highest leverage in this bracket.
    pub leverage: u32,
    /// Notional from which it holds, USDT.
    pub floor: Decimal,
    /// Notional up to which it holds, USDT.
    pub cap: Decimal,
    /// Maintenance margin as a share of notional.
    pub ratio: Decimal,
    /// Deduction that keeps the maintenance margin continuous, USDT.
    pub cumulative: Decimal,
}

/// A listed contract with all its rules.
#[derive(Debug, Clone)]
pub struct Contract {
    /// What the market lists.
    pub listing: Listing,
    /// Lowest order price.
    pub min_price: Decimal,
    /// Highest order price.
    pub max_price: Decimal,
    /// Largest quantity of a limit order.
    pub max_quantity: Decimal,
    /// Largest quantity of a market order.
    pub max_market_quantity: Decimal,
    /// Leverage brackets by rising notional.
    pub brackets: Vec<Bracket>,
    /// What rests in its book.
    pub depth: Depth,
    price_digits: u32,
    quantity_digits: u32,
}

/// Brackets of the two deepest contracts: leverage, cap in USDT, maintenance ratio in units of 0.01 %.
const DEEP: [(u32, i64, i64); 10] = [
    (125, 300_000, 40),
    (100, 800_000, 50),
    (75, 3_000_000, 65),
    (50, 12_000_000, 100),
    (25, 70_000_000, 200),
    (20, 100_000_000, 250),
    (10, 230_000_000, 500),
    (5, 480_000_000, 1000),
    (2, 1_200_000_000, 2500),
    (1, 1_800_000_000, 5000),
];
/// Brackets of every other contract.
const SHALLOW: [(u32, i64, i64); 9] = [
    (75, 10_000, 65),
    (50, 50_000, 100),
    (25, 500_000, 200),
    (20, 1_000_000, 250),
    (10, 5_000_000, 500),
    (5, 10_000_000, 1000),
    (4, 12_500_000, 1250),
    (2, 25_000_000, 2500),
    (1, 50_000_000, 5000),
];

impl Contract {
    /// The rules of a listing.
    pub fn new(listing: Listing) -> Self {
        let deep = matches!(listing.symbol.as_str(), "BTCUSDT" | "ETHUSDT");
        let tick = listing.tick;
        let step = listing.step;
        Self {
            depth: Depth::of(&listing.symbol, 0),
            price_digits: listing.price_digits.max(tick.normalize().scale()),
            quantity_digits: step.normalize().scale(),
            min_price: tick,
            max_price: tick * Decimal::from(50_000_000),
            max_quantity: step * Decimal::from(10_000_000),
            max_market_quantity: step * Decimal::from(1_000_000),
            brackets: brackets(if deep { &DEEP } else { &SHALLOW }),
            listing,
        }
    }

    /// The same contract with the book of a world of this seed.
    #[must_use]
    pub fn seeded(mut self, seed: u64) -> Self {
        self.depth = Depth::of(&self.listing.symbol, seed);
        self
    }

    /// Digits after the point of a price on the wire.
    pub fn price_digits(&self) -> u32 {
        self.price_digits
    }

    /// Digits after the point of a quantity on the wire.
    pub fn quantity_digits(&self) -> u32 {
        self.quantity_digits
    }

    /// Highest leverage offered.
    pub fn max_leverage(&self) -> u32 {
        self.brackets.first().map_or(1, |bracket| bracket.leverage)
    }

    /// Largest notional a position may have at `leverage`.
    pub fn max_notional(&self, leverage: u32) -> Decimal {
        // The larger the notional, the lower the leverage.
        let last = self.brackets.iter().rev().find(|bracket| bracket.leverage >= leverage);
        last.map_or(Decimal::ZERO, |bracket| bracket.cap)
    }

    /// The bracket a notional falls into; the last one beyond the table.
    pub fn bracket(&self, notional: Decimal) -> Option<&Bracket> {
        self.brackets.iter().find(|bracket| notional < bracket.cap).or_else(|| self.brackets.last())
    }

    /// Maintenance margin of a position of this notional, USDT.
    pub fn maintenance(&self, notional: Decimal) -> Decimal {
        self.bracket(notional).map_or(Decimal::ZERO, |bracket| notional * bracket.ratio - bracket.cumulative)
    }

    /// Whether a price stands on the grid and inside the bounds.
    pub fn check_price(&self, price: Decimal) -> Result<(), Refusal> {
        if !is_above_zero(price) {
            return Err(refusal::PRICE_NOT_POSITIVE);
        }
        if price > self.max_price {
            return Err(refusal::PRICE_TOO_HIGH);
        }
        if has_more_digits(price, self.price_digits()) {
            return Err(refusal::PRECISION);
        }
        if price < self.min_price {
            return Err(refusal::PRICE_TOO_LOW);
        }
        if is_off_grid(price, self.listing.tick) {
            return Err(refusal::PRICE_OFF_TICK);
        }
        Ok(())
    }

    /// Whether a quantity stands on the grid and inside the bounds.
    pub fn check_quantity(&self, quantity: Decimal, market: bool) -> Result<(), Refusal> {
        if !is_above_zero(quantity) {
            return Err(refusal::QUANTITY_NOT_POSITIVE);
        }
        if quantity > if market { self.max_market_quantity } else { self.max_quantity } {
            return Err(refusal::QUANTITY_TOO_LARGE);
        }
        if has_more_digits(quantity, self.quantity_digits()) {
            return Err(refusal::PRECISION);
        }
        if quantity < self.listing.step {
            return Err(refusal::QUANTITY_TOO_SMALL);
        }
        if is_off_grid(quantity, self.listing.step) {
            return Err(refusal::QUANTITY_OFF_STEP);
        }
        Ok(())
    }
}

fn is_above_zero(number: Decimal) -> bool {
    number.is_sign_positive() && !number.is_zero()
}

/// Whether a number is no multiple of `grid`.
fn is_off_grid(number: Decimal, grid: Decimal) -> bool {
    // Most grids are 0.1, 0.01 and so on: what has no more digits stands on them, which needs no division to see.
    let surely_on = grid.mantissa() == 1 && number.scale() <= grid.scale();
    !surely_on && !(number % grid).is_zero()
}

/// Whether a number needs more than `digits` behind the point.
fn has_more_digits(number: Decimal, digits: u32) -> bool {
    number.scale() > digits && number.normalize().scale() > digits
}

fn brackets(table: &[(u32, i64, i64)]) -> Vec<Bracket> {
    let mut floor = Decimal::ZERO;
    let mut before = Decimal::ZERO;
    let mut cumulative = Decimal::ZERO;
    let mut result = Vec::with_capacity(table.len());
    for (number, (leverage, cap, ratio)) in (1_u32..).zip(table) {
        let ratio = Decimal::new(*ratio, 4);
        if number > 1 {
            cumulative += floor * (ratio - before);
        }
        let cap = Decimal::from(*cap);
        result.push(Bracket { number, leverage: *leverage, floor, cap, ratio, cumulative });
        (floor, before) = (cap, ratio);
    }
    result
}
