//! Candles and their intervals.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::money::Price;
use super::symbol::InvalidName;

/// The intervals the exchange serves, spelled as on its wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[expect(missing_docs, reason = "each name is its meaning")]
pub enum Interval {
    Minute1,
    Minute3,
    Minute5,
    Minute15,
    Minute30,
    Hour1,
    Hour2,
    Hour4,
    Hour6,
    Hour8,
    Hour12,
    Day1,
    Day3,
    Week1,
    Month1,
}

impl Interval {
    /// Every interval with its wire word, shortest first.
    pub const ALL: [(Self, &'static str); 15] = [
        (Self::Minute1, "1m"),
        (Self::Minute3, "3m"),
        (Self::Minute5, "5m"),
        (Self::Minute15, "15m"),
        (Self::Minute30, "30m"),
        (Self::Hour1, "1h"),
        (Self::Hour2, "2h"),
        (Self::Hour4, "4h"),
        (Self::Hour6, "6h"),
        (Self::Hour8, "8h"),
        (Self::Hour12, "12h"),
        (Self::Day1, "1d"),
        (Self::Day3, "3d"),
        (Self::Week1, "1w"),
        (Self::Month1, "1M"),
    ];

    /// The wire word, such as `4h`.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(interval, _)| *interval == self).map_or("", |(_, word)| word)
    }

    /// Length in milliseconds; `None` for the calendar month, which has no fixed one.
    pub const fn millis(self) -> Option<i64> {
        const MINUTE: i64 = 60_000;
        const HOUR: i64 = 60 * MINUTE;
        Some(match self {
            Self::Minute1 => MINUTE,
            Self::Minute3 => 3 * MINUTE,
            Self::Minute5 => 5 * MINUTE,
            Self::Minute15 => 15 * MINUTE,
            Self::Minute30 => 30 * MINUTE,
            Self::Hour1 => HOUR,
            Self::Hour2 => 2 * HOUR,
            Self::Hour4 => 4 * HOUR,
            Self::Hour6 => 6 * HOUR,
            Self::Hour8 => 8 * HOUR,
            Self::Hour12 => 12 * HOUR,
            Self::Day1 => 24 * HOUR,
            Self::Day3 => 72 * HOUR,
            Self::Week1 => 168 * HOUR,
            Self::Month1 => return None,
        })
    }
}

impl FromStr for Interval {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().find(|(_, word)| *word == text).map(|(interval, _)| *interval).ok_or_else(|| {
            InvalidName {
                kind: "interval",
                value: text.to_owned(),
                allowed: "one of 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w 1M",
            }
        })
    }
}

impl TryFrom<String> for Interval {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Interval> for String {
    fn from(interval: Interval) -> Self {
        interval.as_str().to_owned()
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One bar: where the price opened, went and closed, and how much was traded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candle {
    /// Start of the bar, UTC milliseconds.
    pub open_time: i64,
    /// First price.
    pub open: Price,
    /// Highest price.
    pub high: Price,
    /// Lowest price.
    pub low: Price,
    /// Last price.
    pub close: Price,
    /// Traded volume in units of the coin.
    pub volume: Decimal,
}

impl Candle {
    /// Whether the four prices can belong to one bar and the volume is not negative.
    pub fn is_consistent(&self) -> bool {
        self.low <= self.open.min(self.close)
            && self.high >= self.open.max(self.close)
            && self.volume >= Decimal::ZERO
    }
}
