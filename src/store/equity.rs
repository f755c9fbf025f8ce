//! How much each account was worth, and when.

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
        let account = account.clone();
        self.write(move |connection| {
            connection.execute(
                "INSERT INTO equity (account, at, wallet, equity) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (account, at) DO UPDATE SET wallet = excluded.wallet, equity = excluded.equity",
                params![account.as_str(), at.timestamp_millis(), money(wallet), money(equity)],
            )?;
            Ok(())
        })
        .await
    }

    /// An account's equity from an instant on, oldest first.
    pub async fn equity_since(
        &self,
        account: &AccountName,
        since: Timestamp,
    ) -> Result<Vec<(Timestamp, Usdt)>, StoreError> {
        let account = account.clone();
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT at, equity FROM equity WHERE account = ?1 AND at >= ?2 ORDER BY at",
            )?;
            collect(&mut statement, params![account.as_str(), since.timestamp_millis()], |row| {
                let equity: String = row.get(1)?;
                Ok((instant("equity.at", row.get(0)?)?, unword("equity.equity", &equity)?))
            })
        })
        .await
    }
}
