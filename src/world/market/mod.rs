//! The world's prices: one seeded path for each coin, from which every interval, mark, fill and trigger is taken.
//!
//! A [`Market`] is a plain value without a clock: every question names its instant, and the same question has the same
//! answer for ever. It is either made up ([`Market::synthetic`]) or read from files ([`Market::recorded`]); a third kind
//! ([`Market::fed`]) has no path and knows only what it was told last.
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "statistics: counts, ticks and milliseconds are far below 2^52, and prices above zero"
)]

pub(crate) mod announcements;
mod assets;
mod bars;
pub(crate) mod calendar_time;
mod context;
mod fed;
mod path;
mod process;
mod quotes;
mod recorded;
pub(crate) mod reference;
pub(crate) mod rng;
mod shocks;
mod synthetic;

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

pub use self::fed::{FedQuote, Heard};
use self::path::Path as PricePath;
use self::process::Generator;
use self::shocks::Shocks;
use crate::domain::{Interval, Symbol};

/// What the exchange of this world lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The contract.
    pub symbol: Symbol,
    /// Price increment.
    pub tick: Decimal,
    /// Digits after the point that prices are written with; at least the increment's own.
    pub price_digits: u32,
    /// Quantity increment.
    pub step: Decimal,
    /// Smallest notional of an opening order, USDT.
    pub minimum_notional: Decimal,
    /// Hours between fundings.
    pub funding_hours: u32,
}

/// The prices of one coin at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

/// What a market cannot do.
#[derive(Debug, thiserror::Error)]
pub enum MarketError {
    /// The folder of recorded candles, or one of its files, cannot be read.
    #[error("cannot read {path}: {source}; --candles wants a folder with files named like BTCUSDT-1h.csv")]
    Read {
        /// The folder or file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The folder holds no file named `SYMBOL-{1h,4h,1d}.csv`.
    #[error("{path} holds no candles: files named SYMBOL-1h.csv, SYMBOL-4h.csv or SYMBOL-1d.csv are wanted")]
    Empty {
        /// The folder.
        path: String,
    },
    /// A line of a recorded file is not a candle.
    #[error(
        "{path}:{line}: {reason}; a line is open_time,open,high,low,close,volume,close_time,quote_volume,count,…"
    )]
    Malformed {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// No recorded coin has a candle at the instant the market is to start.
    #[error(
        "no recorded candle at {from_ms} (UTC milliseconds); the files reach from {first_ms} to {last_ms}"
    )]
    NotCovered {
        /// The instant asked for.
        from_ms: i64,
        /// First recorded instant.
        first_ms: i64,
        /// End of the last recorded candle.
        last_ms: i64,
    },
    /// The market does not list the contract.
    #[error("{0} is not listed in this world")]
    UnknownSymbol(Symbol),
    /// A jump where prices are told from outside.
    #[error("the prices of this world are told from outside and cannot be set")]
    Fed,
    /// A jump to a price that cannot be.
    #[error(
        "{symbol} cannot jump to {price}: a multiple of {tick} between a hundredth and a hundred times the price is wanted"
    )]
    BadPrice {
        /// The contract.
        symbol: Symbol,
        /// The price asked for.
        price: Decimal,
        /// The contract's price increment.
        tick: Decimal,
    },
    /// A jump at an instant without a price, or before an earlier jump.
    #[error("{symbol} cannot jump at {at_ms}: it has no price there, or jumped later already")]
    BadTime {
        /// The contract.
        symbol: Symbol,
        /// The instant asked for, UTC milliseconds.
        at_ms: i64,
    },
}

/// One listed coin: its rules, its path, and what an operator did to it.
#[derive(Debug, Clone)]
struct Coin {
    behaviour: context::Behaviour,
    path: PricePath,
    shocks: Shocks,
    /// Closed bars exactly as recorded, by interval.
    files: Vec<(Interval, Vec<Bar>)>,
    rate: context::LastRate,
}

/// The prices of a world.
#[derive(Debug, Clone)]
pub struct Market {
    seed: u64,
    listings: Vec<Listing>,
    coins: Vec<Coin>,
    /// The Dow Jones future in hundredths of a point; the index is this path in New York's hours.
    dow: PricePath,
    /// Its price where the logarithm of the process is zero (synthetic).
    dow_reference: f64,
    /// What lives on; nothing in a recorded market.
    generator: Option<Generator>,
    /// First instant with five-minute bars (synthetic).
    fine_from_ms: i64,
    jumps: Vec<(i64, Symbol, Decimal)>,
    /// What was told last of each contract, where prices come from outside.
    heard: Option<BTreeMap<Symbol, Heard>>,
}

impl Market {
    /// Whether the prices come from recorded candles.
    pub fn is_recorded(&self) -> bool {
        self.generator.is_none() && self.heard.is_none()
    }

    /// The seed the market was made from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Every listed contract, in the exchange's order.
    pub fn listings(&self) -> &[Listing] {
        &self.listings
    }

    /// One listed contract.
    pub fn listing(&self, symbol: &Symbol) -> Option<&Listing> {
        self.listings.iter().find(|listing| listing.symbol == *symbol)
    }

    /// The jumps an operator made, oldest first: with the seed and the anchor, all that has to be kept.
    pub fn jumps(&self) -> &[(i64, Symbol, Decimal)] {
        &self.jumps
    }

    /// End of the known path.
    fn known_to_ms(&self) -> i64 {
        self.coins.iter().filter_map(|coin| coin.path.end()).max().unwrap_or(0)
    }

    fn coin(&self, symbol: &Symbol) -> Option<(&Listing, &Coin)> {
        let number = self.listings.iter().position(|listing| listing.symbol == *symbol)?;
        Some((&self.listings[number], self.coins.get(number)?))
    }
}

#[cfg(test)]
mod tests;
