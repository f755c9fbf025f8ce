//! Which way an order and a position point.

use serde::{Deserialize, Serialize};

/// The side of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Side {
    /// Buys the coin.
    Buy,
    /// Sells the coin.
    Sell,
}

impl Side {
    /// The wire word: `BUY` or `SELL`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Buy => "BUY",
            Self::Sell => "SELL",
        }
    }
}

/// The direction of a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Direction {
    /// Gains when the price rises.
    Long,
    /// Gains when the price falls.
    Short,
}

impl Direction {
    /// `LONG` or `SHORT`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Long => "LONG",
            Self::Short => "SHORT",
        }
    }

    /// The side of the order that opens such a position.
    pub const fn opening_side(self) -> Side {
        match self {
            Self::Long => Side::Buy,
            Self::Short => Side::Sell,
        }
    }

    /// The side of the order that closes such a position, and of its stop.
    pub const fn closing_side(self) -> Side {
        match self {
            Self::Long => Side::Sell,
            Self::Short => Side::Buy,
        }
    }
}

/// Why an order exists; part of its client order id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderPurpose {
    /// Opens a position at market.
    Open,
    /// Closes a position at market, reduce-only.
    Close,
    /// The protective stop that rests at the exchange.
    Stop,
    /// Closes a position that could not be protected, reduce-only.
    Emergency,
}

impl OrderPurpose {
    /// `open`, `close`, `stop` or `emergency`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Close => "close",
            Self::Stop => "stop",
            Self::Emergency => "emergency",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_an_order_are_the_same_on_the_wire_and_in_the_store() {
        let word = |word: &str| serde_json::Value::from(word);
        for side in [Side::Buy, Side::Sell] {
            assert_eq!(serde_json::to_value(side).unwrap(), word(side.as_str()));
        }
        for direction in [Direction::Long, Direction::Short] {
            assert_eq!(serde_json::to_value(direction).unwrap(), word(direction.as_str()));
            assert_ne!(direction.opening_side(), direction.closing_side());
        }
        for purpose in [OrderPurpose::Open, OrderPurpose::Close, OrderPurpose::Stop, OrderPurpose::Emergency]
        {
            assert_eq!(serde_json::to_value(purpose).unwrap(), word(purpose.as_str()));
        }
    }
}
