//! What a trade began with and what it came to: openings of the journal with the decision behind them, and the money
//! that moved for their coin.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use rusqlite::params;
use rust_decimal::Decimal;

use super::Store;
use super::decisions::row_of;
use super::error::StoreError;
use super::fills::{CoinFill, fills_of_coin, made_the_present};
use super::values::{collect, decimal, instant, unword};
use crate::domain::{AccountName, ClientOrderId, Direction, Proposal, Side, Symbol, Timestamp, Usdt};

use super::ledger::LedgerKind;

/// An opening that was filled, with the proposal it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// Market time of the cycle's order.
    pub at: Timestamp,
    /// What the model had proposed; names account and coin.
    pub proposal: Proposal,
    /// Whether what it opened is still there by our fills: they never added up to nothing since.
    pub is_held: bool,
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

/// Money put in or taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferRow {
    /// Whose.
    pub account: AccountName,
    /// When (market time).
    pub at: Timestamp,
    /// How much; negative leaves the account.
    pub amount: Usdt,
}

/// An operator's last close of a coin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedByHand {
    /// Whose.
    pub account: AccountName,
    /// Which coin.
    pub symbol: Symbol,
    /// Market time.
    pub at: Timestamp,
    /// Wall time.
    pub sent_at: Timestamp,
}

impl Store {
    /// The filled openings of this venue's cycles from an instant on (market time), oldest first.
    pub async fn openings_since(&self, since: Timestamp) -> Result<Vec<Opening>, StoreError> {
        let venue = Arc::clone(&self.venue);
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT d.account, d.symbol, d.decision, d.confidence, d.reason, d.market_bias, d.risk_note, NULL, NULL,
                     NULL, NULL, o.market_time, o.client_order_id
                 FROM orders o
                 JOIN decisions d ON d.cycle = o.cycle AND d.account = o.account AND d.symbol = o.symbol
                 WHERE o.venue = ?1 AND o.purpose = 'open' AND o.state = 'filled' AND o.market_time >= ?2
                 ORDER BY o.market_time, o.rowid",
            )?;
            let rows = collect(&mut statement, params![venue, since.timestamp_millis()], |row| {
                let (proposal, _) = row_of(row)?;
                let id: ClientOrderId = unword("orders.client_order_id", &row.get::<_, String>(12)?)?;
                Ok((instant("orders.market_time", row.get(11)?)?, proposal, id))
            })?;
            let mut fills: BTreeMap<(AccountName, Symbol), Vec<CoinFill>> = BTreeMap::new();
            let mut openings = Vec::with_capacity(rows.len());
            for (at, proposal, id) in rows {
                let own = match fills.entry((proposal.account.clone(), proposal.symbol.clone())) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) => {
                        let (account, symbol) = new.key();
                        let read = fills_of_coin(connection, &venue, account, symbol)?;
                        new.insert(read)
                    }
                };
                openings.push(Opening { at, is_held: made_the_present(own, &id), proposal });
            }
            Ok(openings)
        })
        .await
    }

    /// When an operator last closed a position through the desk, by account and coin: the market time it was done and the
    /// wall time it was sent. What a halt flattened is not among it: taking the halt back is a word of its own.
    pub async fn closed_by_hand(&self) -> Result<Vec<ClosedByHand>, StoreError> {
        let venue = Arc::clone(&self.venue);
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT account, symbol, max(market_time), max(sent_at) FROM orders
                 WHERE venue = ?1 AND purpose = 'close' AND operator NOT LIKE 'flatten%'
                     AND state IN ('filled', 'accepted')
                 GROUP BY account, symbol",
            )?;
            collect(&mut statement, params![venue], |row| {
                let text = |index: usize| row.get::<_, String>(index);
                Ok(ClosedByHand {
                    account: unword("orders.account", &text(0)?)?,
                    symbol: unword("orders.symbol", &text(1)?)?,
                    at: instant("orders.market_time", row.get(2)?)?,
                    sent_at: instant("orders.sent_at", row.get(3)?)?,
                })
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

    /// Every transfer of USDT into and out of this venue's accounts from an instant on (market time), oldest first.
    pub async fn transfers_since(&self, since: Timestamp) -> Result<Vec<TransferRow>, StoreError> {
        let venue = Arc::clone(&self.venue);
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT account, at, amount FROM ledger
                 WHERE venue = ?1 AND kind = 'transfer' AND asset = 'USDT' AND at >= ?2 ORDER BY at",
            )?;
            collect(&mut statement, params![venue, since.timestamp_millis()], |row| {
                let (account, amount): (String, String) = (row.get(0)?, row.get(2)?);
                Ok(TransferRow {
                    account: unword("ledger.account", &account)?,
                    at: instant("ledger.at", row.get(1)?)?,
                    amount: Usdt::of(decimal("ledger.amount", &amount)?),
                })
            })
        })
        .await
    }

    /// What each account of this venue traded from an instant on (market time): price times quantity of its fills, USDT.
    pub async fn traded_since(&self, since: Timestamp) -> Result<Vec<(AccountName, Decimal)>, StoreError> {
        let venue = Arc::clone(&self.venue);
        self.read(move |connection| {
            // Added up here: SQL's sum() would turn the decimals into floats.
            let mut statement = connection.prepare_cached(
                "SELECT account, price, quantity FROM fills WHERE venue = ?1 AND at >= ?2 ORDER BY account",
            )?;
            let rows = collect(&mut statement, params![venue, since.timestamp_millis()], |row| {
                let text = |index: usize| row.get::<_, String>(index);
                let notional = decimal("fills.price", &text(1)?)? * decimal("fills.quantity", &text(2)?)?;
                Ok((unword("fills.account", &text(0)?)?, notional))
            })?;
            Ok(rows.into_iter().fold(
                Vec::new(),
                |mut totals: Vec<(AccountName, Decimal)>, (account, notional)| {
                    match totals.last_mut().filter(|(known, _)| *known == account) {
                        Some((_, total)) => *total += notional,
                        None => totals.push((account, notional)),
                    }
                    totals
                },
            ))
        })
        .await
    }

    /// When a position was last closed, by account and coin, from an instant on (market time). A fill closes when it
    /// realised something, or when its order is a close or a stop of ours: one may well close at its entry price.
    pub async fn closes_since(
        &self,
        since: Timestamp,
    ) -> Result<Vec<(AccountName, Symbol, Timestamp)>, StoreError> {
        let venue = Arc::clone(&self.venue);
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT f.account, f.symbol, max(f.at) FROM fills f
                 LEFT JOIN orders o ON o.venue = f.venue AND o.client_order_id = f.client_order_id
                 WHERE f.venue = ?1 AND f.at >= ?2
                     AND (trim(f.realised, '-0.') <> '' OR o.purpose IN ('close', 'stop', 'emergency'))
                 GROUP BY f.account, f.symbol",
            )?;
            collect(&mut statement, params![venue, since.timestamp_millis()], |row| {
                let text = |index: usize| row.get::<_, String>(index);
                Ok((
                    unword("fills.account", &text(0)?)?,
                    unword("fills.symbol", &text(1)?)?,
                    instant("fills.at", row.get(2)?)?,
                ))
            })
        })
        .await
    }

    /// The directions of the last openings at this venue that were executed, by any account, oldest first.
    pub async fn last_openings(&self, count: u32) -> Result<Vec<Direction>, StoreError> {
        let venue = Arc::clone(&self.venue);
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT side FROM orders
                 WHERE venue = ?1 AND purpose = 'open' AND state IN ('filled', 'accepted')
                 ORDER BY market_time DESC, rowid DESC LIMIT ?2",
            )?;
            let mut directions = collect(&mut statement, params![venue, count], |row| {
                let side: String = row.get(0)?;
                Ok(match unword("orders.side", &side)? {
                    Side::Buy => Direction::Long,
                    Side::Sell => Direction::Short,
                })
            })?;
            directions.reverse();
            Ok(directions)
        })
        .await
    }
}
