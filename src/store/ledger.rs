//! Every movement of money, once, with the id its source gave it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::Store;
use super::error::StoreError;
use super::values::{decimal, instant, money, unword, word};
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
    /// The source's own id, unique for venue, account and kind.
    pub source_id: String,
}

/// What all movements of a kind and asset come to.
pub type Total = (LedgerKind, String, Usdt);

/// The totals that were added up last, by venue and account, with the number of movements they are of.
pub(super) type KnownTotals = Mutex<BTreeMap<(Arc<str>, AccountName), (i64, Vec<Total>)>>;

pub(super) fn insert(connection: &Connection, venue: &str, row: &LedgerRow) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO ledger (venue, account, kind, source_id, amount, asset, symbol, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (venue, account, kind, source_id) DO NOTHING",
    )?;
    let added = statement.execute(params![
        venue,
        row.account.as_str(),
        word(&row.kind)?,
        row.source_id,
        money(row.amount),
        row.asset,
        row.symbol.as_ref().map(Symbol::as_str),
        row.at.timestamp_millis(),
    ])?;
    Ok(added == 1)
}

impl Store {
    /// Keeps a movement of money; false when it is there already.
    pub async fn add_ledger(&self, row: &LedgerRow) -> Result<bool, StoreError> {
        let (venue, row) = (Arc::clone(&self.venue), row.clone());
        self.write(move |connection| insert(connection, &venue, &row)).await
    }

    /// The time of the last movement of a kind (market time): where a catch-up begins.
    pub async fn last_ledger_time(
        &self,
        account: &AccountName,
        kind: LedgerKind,
    ) -> Result<Option<Timestamp>, StoreError> {
        let (venue, account) = (Arc::clone(&self.venue), account.clone());
        self.read(move |connection| {
            let last: Option<i64> = connection.query_row(
                "SELECT max(at) FROM ledger WHERE venue = ?1 AND account = ?2 AND kind = ?3",
                params![venue, account.as_str(), word(&kind)?],
                |row| row.get(0),
            )?;
            last.map(|millis| instant("ledger.at", millis)).transpose()
        })
        .await
    }

    /// The exact sum of an account's movements of each kind and asset at this venue. A year of them is added up once:
    /// no movement is ever changed or taken away, so as many as before are the same ones.
    pub async fn ledger_totals(&self, account: &AccountName) -> Result<Vec<Total>, StoreError> {
        let (venue, account, inner) = (Arc::clone(&self.venue), account.clone(), Arc::clone(&self.inner));
        self.read(move |connection| {
            let count: i64 = connection
                .prepare_cached("SELECT count(*) FROM ledger WHERE venue = ?1 AND account = ?2")?
                .query_row(params![venue, account.as_str()], |row| row.get(0))?;
            let whose = (venue, account);
            let mut known = inner.totals.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((of, totals)) = known.get(&whose)
                && *of == count
            {
                return Ok(totals.clone());
            }
            let totals = add_up(connection, &whose.0, &whose.1)?;
            known.insert(whose, (count, totals.clone()));
            Ok(totals)
        })
        .await
    }
}

fn add_up(connection: &Connection, venue: &str, account: &AccountName) -> Result<Vec<Total>, StoreError> {
    // Added up here: SQL's sum() would turn the decimals into floats.
    let mut statement = connection
        .prepare_cached("SELECT kind, asset, amount FROM ledger WHERE venue = ?1 AND account = ?2")?;
    let mut rows = statement.query(params![venue, account.as_str()])?;
    let mut totals: Vec<(String, String, Usdt)> = Vec::new();
    while let Some(row) = rows.next()? {
        let text = |at: usize| Ok::<_, StoreError>(row.get_ref(at)?.as_str().map_err(rusqlite::Error::from)?);
        add(&mut totals, (text(0)?, text(1)?), Usdt::of(decimal("ledger.amount", text(2)?)?));
    }
    totals.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
    let known = |(kind, asset, sum): (String, String, Usdt)| Ok((unword("ledger.kind", &kind)?, asset, sum));
    totals.into_iter().map(known).collect()
}

/// Adds to the total of a kind and asset. There are few of them, and rows of a kind follow each other.
fn add(totals: &mut Vec<(String, String, Usdt)>, (kind, asset): (&str, &str), amount: Usdt) {
    match totals.iter_mut().rev().find(|(known, of, _)| known == kind && of == asset) {
        Some((.., sum)) => *sum = *sum + amount,
        None => totals.push((kind.to_owned(), asset.to_owned(), amount)),
    }
}
