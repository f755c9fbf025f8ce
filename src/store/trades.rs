//! What a trade began with and what it came to: openings of the journal with the decision behind them, and the money
//! that moved for their coin.

use std::sync::Arc;

use rusqlite::params;
use rust_decimal::Decimal;

use super::Store;
use super::decisions::row_of;
use super::error::StoreError;
use super::values::{collect, decimal, instant, unword};
use crate::domain::{AccountName, Proposal, Symbol, Timestamp};

use super::ledger::LedgerKind;

/// An opening that was filled, with the proposal it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// Market time of the cycle's order.
    pub at: Timestamp,
    /// What the model had proposed; names account and coin.
    pub proposal: Proposal,
}

/// Money that moved for a coin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoinMoney {
    /// Whose.
    pub account: AccountName,
    /// For which coin.
    pub symbol: Symbol,
    /// Why.
    pub kind: LedgerKind,
    /// Negative leaves the account.
    pub amount: Decimal,
    /// Of what; a commission may be paid in another coin than USDT.
    pub asset: String,
    /// When (market time).
    pub at: Timestamp,
}

impl Store {
    /// The filled openings of this venue's cycles from an instant on (market time), oldest first.
    pub async fn openings_since(&self, since: Timestamp) -> Result<Vec<Opening>, StoreError> {
        let venue = Arc::clone(&self.venue);
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT d.account, d.symbol, d.decision, d.confidence, d.reason, d.market_bias, d.risk_note, NULL, NULL,
                     NULL, NULL, o.market_time
                 FROM orders o
                 JOIN decisions d ON d.cycle = o.cycle AND d.account = o.account AND d.symbol = o.symbol
                 WHERE o.venue = ?1 AND o.purpose = 'open' AND o.state = 'filled' AND o.market_time >= ?2
                 ORDER BY o.market_time, o.rowid",
            )?;
            collect(&mut statement, params![venue, since.timestamp_millis()], |row| {
                let (proposal, _) = row_of(row)?;
                Ok(Opening { at: instant("orders.market_time", row.get(11)?)?, proposal })
            })
        })
        .await
    }

    /// Every movement of money at this venue that belongs to a coin, from an instant on (market time), oldest first.
    pub async fn coin_money_since(&self, since: Timestamp) -> Result<Vec<CoinMoney>, StoreError> {
        let venue = Arc::clone(&self.venue);
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT account, symbol, kind, amount, asset, at FROM ledger
                 WHERE venue = ?1 AND symbol IS NOT NULL AND at >= ?2 ORDER BY at",
            )?;
            collect(&mut statement, params![venue, since.timestamp_millis()], |row| {
                let text = |index: usize| row.get::<_, String>(index);
                Ok(CoinMoney {
                    account: unword("ledger.account", &text(0)?)?,
                    symbol: unword("ledger.symbol", &text(1)?)?,
                    kind: unword("ledger.kind", &text(2)?)?,
                    amount: decimal("ledger.amount", &text(3)?)?,
                    asset: text(4)?,
                    at: instant("ledger.at", row.get(5)?)?,
                })
            })
        })
        .await
    }
}
