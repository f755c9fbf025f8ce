//! Binance USDⓈ-M futures: signed REST calls, symbol rules, the private user stream, errors.
//!
//! Reads are retried and answer `Result<_, ExchangeError>`. Whatever changes state at the exchange leaves exactly
//! once and answers an [`Outcome`], which keeps "refused", "never sent" and "nobody knows" apart: a timeout is not a
//! refusal. Decoding is tolerant: unknown fields and words never fail, and an absent amount is never read as zero.

#![cfg_attr(not(test), deny(clippy::float_arithmetic))]

mod budget;
mod client;
mod error;
mod history;
mod key;
mod limits;
mod orders;
mod outcome;
mod reads;
mod rules;
mod signing;
mod types;
pub mod user_events;
pub mod user_stream;
mod wire;

pub use budget::OrderCounts;
pub use client::{Credentials, ExchangeClient, ListenKey};
pub use error::ExchangeError;
pub use history::PAGE as HISTORY_PAGE;
pub use limits::{Limits, Meter};
pub use orders::{CancelledAll, LimitOrder, MarketOrder, StopOrder, StopSize, TimeInForce};
pub use outcome::{Outcome, Rejection, codes};
pub use rules::{Bounds, RuleViolation, SymbolRules, Toward};
pub use types::{
    AccountBalance, AccountFlags, AlgoAck, AlgoOrder, AlgoStatus, Bracket, CommissionRate, ExchangePosition,
    Fill, Held, Income, KeyPermissions, LeverageBrackets, OrderAck, OrderReport, OrderStatus, PositionMode,
    SymbolConfig, TradesFrom,
};
pub use user_events::{AccountUpdate, AlgoUpdate, OrderUpdate, PositionUpdate, UserEvent};

#[cfg(test)]
mod robustness_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod user_stream_tests;
