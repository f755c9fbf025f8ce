//! What was executed, as the exchange says it. Arrives by stream and by query, so everything may come twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rusqlite::{Connection, Row, params};
use rust_decimal::Decimal;

use super::Store;
use super::error::StoreError;
use super::ledger::{self, LedgerRow};
use super::values::{collect, count, decimal, instant, money, uncount, unword, unword_some, word};
use crate::domain::{AccountName, ClientOrderId, Price, Quantity, Side, Symbol, Timestamp, Usdt};

/// One execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fill {
    /// Whose.
    pub account: AccountName,
    /// Which coin.
    pub symbol: Symbol,
    /// The exchange's id of the trade, unique for venue, account and coin.
    pub trade_id: u64,
    /// The exchange's id of the order.
    pub exchange_id: String,
    /// Our name for the order. `None` when it is added: the store finds it by the exchange's id of the order, now or as
    /// soon as the order learns that id. `None` when it is read: no order in the journal has that id.
    pub client_order_id: Option<ClientOrderId>,
    /// Buy or sell.
    pub side: Side,
    /// At which price.
    pub price: Price,
    /// How much.
    pub quantity: Quantity,
    /// What it cost; positive is paid.
    pub commission: Usdt,
    /// What the commission was paid in.
    pub commission_asset: String,
    /// Profit or loss it realised, before commission.
    pub realised: Usdt,
    /// When (market time).
    pub at: Timestamp,
}

const COLUMNS: &str =
    "account, symbol, trade_id, exchange_id, client_order_id, side, price, quantity, commission,
    commission_asset, realised, at";

fn insert(connection: &Connection, venue: &str, fill: &Fill) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO fills (venue, account, symbol, trade_id, exchange_id, client_order_id, side, price,
                            quantity, commission, commission_asset, realised, at)
         VALUES (?1, ?2, ?3, ?4, ?5,
             coalesce(?6, (SELECT client_order_id FROM orders WHERE venue = ?1 AND account = ?2
                           AND symbol = ?3 AND exchange_id = ?5)),
             ?7, ?8, ?9, ?10, ?11, ?12, ?13)
         ON CONFLICT (venue, account, symbol, trade_id) DO NOTHING",
    )?;
    let added = statement.execute(params![
        venue,
        fill.account.as_str(),
        fill.symbol.as_str(),
        count(fill.trade_id)?,
        fill.exchange_id,
        fill.client_order_id.as_ref().map(ClientOrderId::as_str),
        word(&fill.side)?,
        money(fill.price),
        money(fill.quantity),
        money(fill.commission),
        fill.commission_asset,
        money(fill.realised),
        fill.at.timestamp_millis(),
    ])?;
    Ok(added == 1)
}

impl Store {
    /// Keeps a fill; false when it is there already.
    pub async fn add_fill(&self, fill: &Fill) -> Result<bool, StoreError> {
        self.book_fill(fill, Vec::new()).await
    }

    /// Keeps a fill together with what it moved in the wallet, all of it or nothing; false when the fill is there already.
    pub async fn book_fill(&self, fill: &Fill, money: Vec<LedgerRow>) -> Result<bool, StoreError> {
        let (venue, fill) = (Arc::clone(&self.venue), fill.clone());
        let added = self.write(move |connection| {
            for row in &money {
                ledger::insert(connection, &venue, row)?;
            }
            insert(connection, &venue, &fill)
        });
        let added = added.await?;
        if added {
            self.inner.fills.fetch_add(1, Ordering::AcqRel);
        }
        Ok(added)
    }

    /// How many fills were new since the file was opened, at any venue: another number than before means that what was
    /// read of them is old.
    pub fn fills_taken(&self) -> u64 {
        self.inner.fills.load(Ordering::Acquire)
    }

    /// The highest trade id known of an account and coin: where a catch-up begins.
    pub async fn last_fill_id(
        &self,
        account: &AccountName,
        symbol: &Symbol,
    ) -> Result<Option<u64>, StoreError> {
        let (venue, account, symbol) = (Arc::clone(&self.venue), account.clone(), symbol.clone());
        self.read(move |connection| {
            let last: Option<i64> = connection.query_row(
                "SELECT max(trade_id) FROM fills WHERE venue = ?1 AND account = ?2 AND symbol = ?3",
                [&*venue, account.as_str(), symbol.as_str()],
                |row| row.get(0),
            )?;
            last.map(|id| uncount("fills.trade_id", id)).transpose()
        })
        .await
    }

    /// What the fills of an account add up to by coin; above zero is long. Coins that are flat are left out.
    pub async fn booked_positions(
        &self,
        account: &AccountName,
    ) -> Result<BTreeMap<Symbol, Decimal>, StoreError> {
        let (venue, account) = (Arc::clone(&self.venue), account.clone());
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT symbol, side, quantity FROM fills WHERE venue = ?1 AND account = ?2",
            )?;
            let rows = collect(&mut statement, params![venue, account.as_str()], |row| {
                let text = |index: usize| row.get::<_, String>(index);
                let symbol: Symbol = unword("fills.symbol", &text(0)?)?;
                let side: Side = unword("fills.side", &text(1)?)?;
                let quantity = decimal("fills.quantity", &text(2)?)?;
                Ok((symbol, if side == Side::Buy { quantity } else { -quantity }))
            })?;
            let mut sums: BTreeMap<Symbol, Decimal> = BTreeMap::new();
            for (symbol, signed) in rows {
                *sums.entry(symbol).or_default() += signed;
            }
            sums.retain(|_, sum| !sum.is_zero());
            Ok(sums)
        })
        .await
    }

    /// What the fills of one coin add up to; above zero is long, zero is flat.
    pub async fn booked_position(
        &self,
        account: &AccountName,
        symbol: &Symbol,
    ) -> Result<Decimal, StoreError> {
        let (venue, account, symbol) = (Arc::clone(&self.venue), account.clone(), symbol.clone());
        self.read(move |connection| {
            let fills = fills_of_coin(connection, &venue, &account, &symbol)?;
            Ok(fills.iter().map(|fill| fill.signed).sum())
        })
        .await
    }

    /// When the position of a coin began that our fills say is there now (market time); `None` when they say flat.
    pub async fn present_began(
        &self,
        account: &AccountName,
        symbol: &Symbol,
    ) -> Result<Option<Timestamp>, StoreError> {
        let (venue, account, symbol) = (Arc::clone(&self.venue), account.clone(), symbol.clone());
        self.read(move |connection| {
            let fills = fills_of_coin(connection, &venue, &account, &symbol)?;
            Ok(of_the_present(&fills).first().map(|fill| fill.at))
        })
        .await
    }

    /// The fills of an account from an instant on, oldest first.
    pub async fn fills_since(
        &self,
        account: &AccountName,
        since: Timestamp,
    ) -> Result<Vec<Fill>, StoreError> {
        let (venue, account) = (Arc::clone(&self.venue), account.clone());
        self.read(move |connection| {
            let query = format!(
                "SELECT {COLUMNS} FROM fills WHERE venue = ?1 AND account = ?2 AND at >= ?3 ORDER BY at, trade_id"
            );
            let mut statement = connection.prepare_cached(&query)?;
            collect(&mut statement, params![venue, account.as_str(), since.timestamp_millis()], fill_of)
        })
        .await
    }
}

/// A fill as far as it makes a position.
pub(super) struct CoinFill {
    /// The order of ours behind it.
    pub(super) order: Option<ClientOrderId>,
    /// Its size, sales below zero.
    signed: Decimal,
    pub(super) at: Timestamp,
}

/// The fills of one coin, oldest first.
pub(super) fn fills_of_coin(
    connection: &Connection,
    venue: &str,
    account: &AccountName,
    symbol: &Symbol,
) -> Result<Vec<CoinFill>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT client_order_id, side, quantity, at FROM fills WHERE venue = ?1 AND account = ?2 AND symbol = ?3
         ORDER BY at, trade_id",
    )?;
    collect(&mut statement, params![venue, account.as_str(), symbol.as_str()], |row| {
        let side: Side = unword("fills.side", &row.get::<_, String>(1)?)?;
        let quantity = decimal("fills.quantity", &row.get::<_, String>(2)?)?;
        let order = unword_some("fills.client_order_id", row.get::<_, Option<String>>(0)?.as_deref())?;
        let signed = if side == Side::Buy { quantity } else { -quantity };
        Ok(CoinFill { order, signed, at: instant("fills.at", row.get(3)?)? })
    })
}

/// The fills that made the position there is now: those since the fills last added up to nothing, or turned around.
pub(super) fn of_the_present(fills: &[CoinFill]) -> &[CoinFill] {
    let (mut sum, mut began) = (Decimal::ZERO, 0);
    for (index, fill) in fills.iter().enumerate() {
        let after = sum + fill.signed;
        if after.is_zero() {
            began = index + 1;
        } else if after * sum < Decimal::ZERO {
            began = index;
        }
        sum = after;
    }
    fills.get(began..).unwrap_or_default()
}

/// Whether an opening made the position there is now. One whose fills are not known yet is taken to.
pub(super) fn made_the_present(fills: &[CoinFill], opening: &ClientOrderId) -> bool {
    let is_its = |fill: &CoinFill| fill.order.as_ref() == Some(opening);
    !fills.iter().any(is_its) || of_the_present(fills).iter().any(is_its)
}

/// Gives the fills of an order its name, now that the exchange's id of it is known.
pub(super) fn link_to_order(
    connection: &Connection,
    venue: &str,
    id: &ClientOrderId,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "UPDATE fills SET client_order_id = o.client_order_id
         FROM (SELECT * FROM orders WHERE venue = ?1 AND client_order_id = ?2 AND exchange_id IS NOT NULL) AS o
         WHERE fills.venue = o.venue AND fills.account = o.account AND fills.symbol = o.symbol
             AND fills.exchange_id = o.exchange_id AND fills.client_order_id IS NULL",
    )?;
    statement.execute([venue, id.as_str()])?;
    Ok(())
}

fn fill_of(row: &Row<'_>) -> Result<Fill, StoreError> {
    let text = |index: usize| row.get::<_, String>(index);
    Ok(Fill {
        account: unword("fills.account", &text(0)?)?,
        symbol: unword("fills.symbol", &text(1)?)?,
        trade_id: uncount("fills.trade_id", row.get(2)?)?,
        exchange_id: text(3)?,
        client_order_id: unword_some("fills.client_order_id", row.get::<_, Option<String>>(4)?.as_deref())?,
        side: unword("fills.side", &text(5)?)?,
        price: unword("fills.price", &text(6)?)?,
        quantity: unword("fills.quantity", &text(7)?)?,
        commission: unword("fills.commission", &text(8)?)?,
        commission_asset: text(9)?,
        realised: unword("fills.realised", &text(10)?)?,
        at: instant("fills.at", row.get(11)?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fills(rows: &[(&str, i64)]) -> Vec<CoinFill> {
        let at = Timestamp::UNIX_EPOCH;
        let row = |(order, signed): &(&str, i64)| CoinFill {
            order: ClientOrderId::new(*order).ok(),
            signed: (*signed).into(),
            at,
        };
        rows.iter().map(row).collect()
    }

    #[test]
    fn an_opening_made_the_present_only_while_the_fills_never_came_to_nothing() {
        let made =
            |rows: &[(&str, i64)]| made_the_present(&fills(rows), &ClientOrderId::new("ours").unwrap());
        assert!(made(&[("ours", 2), ("ours", 1)]));
        assert!(made(&[("older", -1), ("older", 1), ("ours", 2), ("half", -1)]), "a part of it is left");
        assert!(!made(&[("ours", 2), ("stop", -2), ("web", 2)]), "another hand opened it anew");
        assert!(!made(&[("ours", 2), ("web", -3)]), "turned around");
        assert!(!made(&[("ours", 2), ("stop", -2)]), "nothing is there");
        assert!(made(&[("web", 1)]), "its fills are not known yet");
    }
}
