//! Every movement of money, once, with the id its source gave it.

use rusqlite::params;
use serde::{Deserialize, Serialize};

use super::Store;
use super::error::StoreError;
use super::values::{collect, decimal, money, unword, word};
use crate::domain::{AccountName, Symbol, Timestamp, Usdt};

/// Why money moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerKind {
    /// The exchange's fee for an execution.
    Commission,
    /// Funding paid or received.
    Funding,
    /// Profit or loss of a closed position.
    RealisedPnl,
    /// Money put in or taken out.
    Transfer,
    /// The fee of a liquidation.
    Insurance,
    /// Anything else the exchange booked.
    Other,
}

/// One movement of money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRow {
    /// Whose.
    pub account: AccountName,
    /// Why.
    pub kind: LedgerKind,
    /// How much; negative leaves the account.
    pub amount: Usdt,
    /// Of what.
    pub asset: String,
    /// Which coin it belongs to, if to one.
    pub symbol: Option<Symbol>,
    /// When (market time).
    pub at: Timestamp,
    /// The source's own id, unique for account and kind.
    pub source_id: String,
}

impl Store {
    /// Keeps a movement of money; false when it is there already.
    pub async fn add_ledger(&self, row: &LedgerRow) -> Result<bool, StoreError> {
        let row = row.clone();
        self.write(move |connection| {
            let mut statement = connection.prepare_cached(
                "INSERT INTO ledger (account, kind, source_id, amount, asset, symbol, at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (account, kind, source_id) DO NOTHING",
            )?;
            let added = statement.execute(params![
                row.account.as_str(),
                word(&row.kind)?,
                row.source_id,
                money(row.amount),
                row.asset,
                row.symbol.as_ref().map(Symbol::as_str),
                row.at.timestamp_millis(),
            ])?;
            Ok(added == 1)
        })
        .await
    }

    /// The exact sum of an account's movements of each kind and asset from an instant on.
    pub async fn ledger_totals(
        &self,
        account: &AccountName,
        since: Timestamp,
    ) -> Result<Vec<(LedgerKind, String, Usdt)>, StoreError> {
        let account = account.clone();
        self.read(move |connection| {
            // Added up here: SQL's sum() would turn the decimals into floats.
            let mut statement = connection.prepare_cached(
                "SELECT kind, asset, amount FROM ledger WHERE account = ?1 AND at >= ?2 ORDER BY kind, asset",
            )?;
            let parameters = params![account.as_str(), since.timestamp_millis()];
            let rows = collect(&mut statement, parameters, |row| {
                let (kind, amount): (String, String) = (row.get(0)?, row.get(2)?);
                let amount = Usdt::of(decimal("ledger.amount", &amount)?);
                Ok((unword("ledger.kind", &kind)?, row.get::<_, String>(1)?, amount))
            })?;
            Ok(rows.into_iter().fold(Vec::new(), add_to_last))
        })
        .await
    }
}

type Totals = Vec<(LedgerKind, String, Usdt)>;

/// Adds to the last total when it is of the same kind and asset; the rows come sorted.
fn add_to_last(mut totals: Totals, row: (LedgerKind, String, Usdt)) -> Totals {
    match totals.last_mut() {
        Some(last) if last.0 == row.0 && last.1 == row.1 => last.2 = last.2 + row.2,
        _ => totals.push(row),
    }
    totals
}
