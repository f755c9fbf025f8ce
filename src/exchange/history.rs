//! The account's past: fills and bookings, page by page.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::domain::{Symbol, Timestamp, Usdt};

use super::client::{ExchangeClient, Security};
use super::error::ExchangeError;
use super::reads::{known_symbol, millis, price, quantity, side, with_symbol};
use super::signing::Params;
use super::types::{Fill, Income, TradesFrom};
use super::wire::{Num, instant, int, opt_bool, opt_int};

const TRADES: &str = "/fapi/v1/userTrades";
const INCOME: &str = "/fapi/v1/income";
/// Rows of a full page of fills or bookings; a shorter one is the last of its window.
pub const PAGE: usize = 1000;
/// The longest window a question about the past may have: a week, less the instant both ends share.
const WINDOW_MS: i64 = 7 * 86_400_000 - 1;

impl ExchangeClient {
    /// Fills of a contract, oldest first, at most 1000 (weight 5).
    pub async fn user_trades(&self, symbol: &Symbol, from: TradesFrom) -> Result<Vec<Fill>, ExchangeError> {
        let params = with_symbol(Some(symbol)).with("limit", "1000");
        let params = match from {
            TradesFrom::Id(id) => params.with_number("fromId", id),
            TradesFrom::Time(at) => params.with("startTime", millis(at)),
            TradesFrom::Order(order) => params.with_number("orderId", order),
        };
        self.fills(symbol, params).await
    }

    /// Bookings of the wallet since an instant, oldest first, at most 1000 (weight 30). Without an instant: seven days.
    pub async fn income(&self, since: Option<Timestamp>) -> Result<Vec<Income>, ExchangeError> {
        let params = Params::new().with_some("startTime", since.map(millis)).with("limit", "1000");
        self.bookings(params).await
    }

    /// Every fill of a contract from a fill or an instant up to `until`, oldest first, as many pages as it takes
    /// (weight 5 a page). The exchange remembers three months.
    pub async fn all_user_trades(
        &self,
        symbol: &Symbol,
        from: TradesFrom,
        until: Timestamp,
    ) -> Result<Vec<Fill>, ExchangeError> {
        // A page asked for by its time ends with its week; from its last id on, ids lead to the end.
        let (mut fills, mut more) = match from {
            TradesFrom::Order(_) => (self.user_trades(symbol, from).await?, false),
            TradesFrom::Id(_) => {
                let page = self.user_trades(symbol, from).await?;
                let full = page.len() >= PAGE;
                (page, full)
            }
            TradesFrom::Time(since) => (self.first_fills(symbol, since, until).await?, true),
        };
        while more && let Some(last) = fills.last().map(|fill| fill.id) {
            let page = self.user_trades(symbol, TradesFrom::Id(last.saturating_add(1))).await?;
            if page.first().is_some_and(|first| first.id <= last) {
                return Err(ExchangeError::bad_answer(TRADES, &"the pages of fills overlap"));
            }
            more = page.len() >= PAGE && page.last().is_some_and(|last| last.at <= until);
            fills.extend(page);
        }
        fills.retain(|fill| fill.at <= until);
        Ok(fills)
    }

    /// The first page that has something in it.
    async fn first_fills(
        &self,
        symbol: &Symbol,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Fill>, ExchangeError> {
        for (start, end) in windows(since, until) {
            let params = with_symbol(Some(symbol)).with("limit", PAGE.to_string());
            let fills = self.fills(symbol, within(params, start, end)).await?;
            if !fills.is_empty() {
                return Ok(fills);
            }
        }
        Ok(Vec::new())
    }

    /// Every booking of the wallet from `since` to `until`, oldest first, as many pages as it takes (weight 30 a
    /// page). The exchange remembers three months.
    pub async fn all_income(&self, since: Timestamp, until: Timestamp) -> Result<Vec<Income>, ExchangeError> {
        let mut bookings = Vec::new();
        let mut seen = BTreeSet::new();
        for (start, end) in windows(since, until) {
            let mut from = start;
            loop {
                let params = Params::new().with("limit", PAGE.to_string());
                let page = self.bookings(within(params, from, end)).await?;
                let full = page.len() >= PAGE;
                let last = page.last().map(|booking| booking.at.timestamp_millis());
                // Pages are asked for by time, so rows of the millisecond they meet in come twice.
                bookings.extend(
                    page.into_iter()
                        .filter(|row| seen.insert((row.transaction_id, row.kind.raw().to_owned()))),
                );
                match last {
                    Some(last) if full && last > from => from = last,
                    Some(_) if full => {
                        let reason = "more bookings in one millisecond than fit on a page";
                        return Err(ExchangeError::bad_answer(INCOME, &reason));
                    }
                    _ => break,
                }
            }
        }
        Ok(bookings)
    }

    async fn fills(&self, symbol: &Symbol, params: Params) -> Result<Vec<Fill>, ExchangeError> {
        let rows: Vec<RawFill> = self.read(TRADES, params, Security::READ).await?;
        rows.into_iter().map(|row| row.into_fill(symbol, TRADES)).collect()
    }

    async fn bookings(&self, params: Params) -> Result<Vec<Income>, ExchangeError> {
        let rows: Vec<RawIncome> = self.read(INCOME, params, Security::READ).await?;
        rows.into_iter()
            .map(|row| {
                row.into_income()
                    .ok_or_else(|| ExchangeError::bad_answer(INCOME, &"a booking without a time"))
            })
            .collect()
    }
}

fn within(params: Params, start: i64, end: i64) -> Params {
    params.with_number("startTime", start).with_number("endTime", end)
}

/// The stretch from `since` to `until` in windows the exchange accepts, both ends inclusive, milliseconds.
fn windows(since: Timestamp, until: Timestamp) -> impl Iterator<Item = (i64, i64)> {
    let until = until.timestamp_millis();
    let starts =
        std::iter::successors(Some(since.timestamp_millis()), |start| start.checked_add(WINDOW_MS + 1));
    starts
        .take_while(move |start| *start <= until)
        .map(move |start| (start, start.saturating_add(WINDOW_MS).min(until)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFill {
    #[serde(deserialize_with = "int")]
    id: i64,
    #[serde(deserialize_with = "int")]
    order_id: i64,
    side: String,
    price: Num,
    qty: Num,
    commission: Num,
    commission_asset: String,
    realized_pnl: Num,
    #[serde(default, deserialize_with = "opt_bool")]
    maker: Option<bool>,
    #[serde(deserialize_with = "int")]
    time: i64,
}

impl RawFill {
    fn into_fill(self, symbol: &Symbol, path: &str) -> Result<Fill, ExchangeError> {
        let missing = |what: &str| ExchangeError::bad_answer(path, &format!("a fill without {what}"));
        Ok(Fill {
            id: self.id,
            order_id: self.order_id,
            symbol: symbol.clone(),
            side: side(&self.side, path)?,
            price: price(Some(self.price.0)).ok_or_else(|| missing("a price"))?,
            quantity: quantity(Some(self.qty.0)).ok_or_else(|| missing("a quantity"))?,
            commission: self.commission.0,
            commission_asset: self.commission_asset.into(),
            realised: Usdt::of(self.realized_pnl.0),
            maker: self.maker.unwrap_or(false),
            at: instant(Some(self.time)).ok_or_else(|| missing("a time"))?,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawIncome {
    #[serde(default)]
    symbol: String,
    income_type: String,
    income: Num,
    #[serde(default)]
    asset: String,
    #[serde(deserialize_with = "int")]
    tran_id: i64,
    #[serde(default, deserialize_with = "opt_int")]
    trade_id: Option<i64>,
    #[serde(deserialize_with = "int")]
    time: i64,
}

impl RawIncome {
    fn into_income(self) -> Option<Income> {
        Some(Income {
            symbol: if self.symbol.is_empty() { None } else { known_symbol(&self.symbol) },
            kind: self.income_type.into(),
            amount: self.income.0,
            asset: self.asset.into(),
            transaction_id: self.tran_id,
            trade_id: self.trade_id,
            at: instant(Some(self.time))?,
        })
    }
}
