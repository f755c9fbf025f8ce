//! What the engine tells the account's owner, in the order it happened.

use rust_decimal::Decimal;

use super::AccountId;
use super::types::{AlgoOrder, MarginType, Order, Trade};
use crate::domain::Symbol;

/// Why an order is reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Execution {
    /// It was accepted.
    New,
    /// It was taken back.
    Canceled,
    /// The exchange ended it.
    Expired,
    /// The exchange sent it against a position in liquidation.
    Calculated,
    /// Its price or quantity was changed by its owner.
    Amended,
    /// It filled, whole or in part.
    Trade(Trade),
}

/// A position as a balance report shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PositionReport {
    /// Contract.
    pub symbol: Symbol,
    /// Signed units.
    pub amount: Decimal,
    /// Average entry.
    pub entry: Decimal,
    /// Entry with fees.
    pub break_even: Decimal,
    /// Realised so far, USDT.
    pub realized: Decimal,
    /// At mark, USDT.
    pub unrealized: Decimal,
    /// Cross or isolated.
    pub margin: MarginType,
    /// Margin set aside, USDT.
    pub isolated_wallet: Decimal,
}

/// A position whose margin runs short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarginCallRow {
    /// Contract.
    pub symbol: Symbol,
    /// Signed units.
    pub amount: Decimal,
    /// Cross or isolated.
    pub margin: MarginType,
    /// Margin set aside, USDT; zero with cross margin.
    pub isolated_wallet: Decimal,
    /// Mark price.
    pub mark: Decimal,
    /// At mark, USDT.
    pub unrealized: Decimal,
    /// Maintenance margin, USDT.
    pub maintenance: Decimal,
}

/// One report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// Whose.
    pub account: AccountId,
    /// Market time, ms.
    pub time: i64,
    /// What.
    pub what: What,
}

/// The kinds of reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// An order changed.
    Order {
        /// The order afterwards.
        order: Box<Order>,
        /// Why it is reported.
        execution: Execution,
    },
    /// Money or a position changed.
    Balance {
        /// The wire's reason word, such as `ORDER` or `FUNDING_FEE`.
        reason: &'static str,
        /// The contract of a funding fee.
        symbol: Option<Symbol>,
        /// The whole wallet, USDT.
        wallet: Decimal,
        /// The wallet without isolated margin, USDT.
        cross_wallet: Decimal,
        /// Change other than profit and commission, USDT.
        change: Decimal,
        /// The changed position.
        position: Option<PositionReport>,
    },
    /// A conditional order changed.
    Algo(Box<AlgoOrder>),
    /// Maintenance has eaten most of the margin; told once until it recovers.
    MarginCall {
        /// The wallet without isolated margin, USDT; only when cross positions are called.
        cross_wallet: Option<Decimal>,
        /// The positions.
        positions: Vec<MarginCallRow>,
    },
    /// The leverage of a contract was set.
    Leverage {
        /// Contract.
        symbol: Symbol,
        /// Times.
        leverage: u32,
    },
}
