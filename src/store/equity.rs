//! How much each account was worth, and when.

use std::sync::Arc;

use rusqlite::params;

use super::Store;
use super::error::StoreError;
use super::values::{collect, instant, money, unword};
use crate::domain::{AccountName, Timestamp, Usdt};

impl Store {
    /// Notes an account's worth; a second reading of the same instant takes the place of the first.
    pub async fn put_equity(
        &self,
        account: &AccountName,
        at: Timestamp,
        wallet: Usdt,
        equity: Usdt,
    ) -> Result<(), StoreError> {
        let (venue, account) = (Arc::clone(&self.venue), account.clone());
        self.write(move |connection| {
            connection.execute(
                "INSERT INTO equity (venue, account, at, wallet, equity) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (venue, account, at) DO UPDATE SET wallet = excluded.wallet, equity = excluded.equity",
                params![venue, account.as_str(), at.timestamp_millis(), money(wallet), money(equity)],
            )?;
            Ok(())
        })
        .await
    }

    /// An account's equity at this venue over a span of market time, oldest first: the first reading, the last, and
    /// evenly spread ones between them, about so many. The others are never in memory.
    pub async fn equity_curve(
        &self,
        account: &AccountName,
        (from, to): (Timestamp, Timestamp),
        points: u32,
    ) -> Result<Vec<(Timestamp, Usdt)>, StoreError> {
        let (venue, account) = (Arc::clone(&self.venue), account.clone());
        self.read(move |connection| {
            let span = params![venue, account.as_str(), from.timestamp_millis(), to.timestamp_millis()];
            let count: u32 = connection.query_row(
                "SELECT count(*) FROM equity WHERE venue = ?1 AND account = ?2 AND at >= ?3 AND at < ?4",
                span,
                |row| row.get(0),
            )?;
            let last = count.saturating_sub(1);
            let step = last.div_ceil(points.saturating_sub(1).max(1)).max(1);
            let mut statement = connection.prepare_cached(
                "SELECT at, equity FROM equity WHERE venue = ?1 AND account = ?2 AND at >= ?3 AND at < ?4 ORDER BY at",
            )?;
            let mut rows = statement.query(span)?;
            let mut curve = Vec::new();
            let mut place = 0;
            while let Some(row) = rows.next()? {
                if place % step == 0 || place == last {
                    let equity: String = row.get(1)?;
                    curve.push((instant("equity.at", row.get(0)?)?, unword("equity.equity", &equity)?));
                }
                place += 1;
            }
            Ok(curve)
        })
        .await
    }

    /// An account's equity at this venue from an instant on, oldest first.
    pub async fn equity_since(
        &self,
        account: &AccountName,
        since: Timestamp,
    ) -> Result<Vec<(Timestamp, Usdt)>, StoreError> {
        let (venue, account) = (Arc::clone(&self.venue), account.clone());
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT at, equity FROM equity WHERE venue = ?1 AND account = ?2 AND at >= ?3 ORDER BY at",
            )?;
            collect(&mut statement, params![venue, account.as_str(), since.timestamp_millis()], |row| {
                let equity: String = row.get(1)?;
                Ok((instant("equity.at", row.get(0)?)?, unword("equity.equity", &equity)?))
            })
        })
        .await
    }
}
