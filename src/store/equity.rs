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
