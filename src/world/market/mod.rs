//! The world's prices: one seeded path for each coin, from which every interval, mark, fill and trigger is taken.

use rust_decimal::Decimal;

use crate::domain::Symbol;

/// What the exchange of this world lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The contract.
    pub symbol: Symbol,
    /// Price increment.
    pub tick: Decimal,
    /// Quantity increment.
    pub step: Decimal,
    /// Smallest notional of an opening order, USDT.
    pub minimum_notional: Decimal,
    /// Hours between fundings.
    pub funding_hours: u32,
}

/// The prices of one coin at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote {
    /// Last traded price, on the tick grid.
    pub last: Decimal,
    /// Mark price.
    pub mark: Decimal,
    /// Index price.
    pub index: Decimal,
    /// Best bid.
    pub bid: Decimal,
    /// Best ask.
    pub ask: Decimal,
}

/// One bar with what the kline wire needs beyond a candle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// Start, UTC milliseconds.
    pub open_time: i64,
    /// Last millisecond of the bar.
    pub close_time: i64,
    /// First price.
    pub open: Decimal,
    /// Highest price.
    pub high: Decimal,
    /// Lowest price.
    pub low: Decimal,
    /// Last price.
    pub close: Decimal,
    /// Volume in coins.
    pub volume: Decimal,
    /// Volume in USDT.
    pub quote_volume: Decimal,
    /// Number of trades.
    pub trades: u64,
}
