//! Binance USDⓈ-M public data: prices, candles, funding, open interest, long/short ratios.

mod klines;

use std::collections::HashMap;

use http::HeaderMap;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{Candle, Interval, Price, Symbol, Timestamp};
use crate::market::error::SourceError;
use crate::market::upstream::Upstream;

use self::klines::Row;
use super::wire;

/// Most rows of one klines request.
const MOST_KLINES: usize = 1500;

/// The public futures API.
#[derive(Debug, Clone)]
pub(crate) struct Binance {
    pub(crate) upstream: Upstream,
}

/// Closed candles, oldest first, without a hole where one was refused.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CandleWindow {
    /// The candles.
    pub candles: Vec<Candle>,
    /// Open times of rows that cannot be candles (milliseconds; 0 where even the time is unreadable).
    pub refused: Vec<i64>,
}

impl CandleWindow {
    /// The last `count` candles.
    pub fn last(&self, count: usize) -> &[Candle] {
        &self.candles[self.candles.len().saturating_sub(count)..]
    }

    /// What a reader should know about refused rows.
    pub fn note(&self) -> Option<String> {
        let first = self.refused.first()?;
        Some(format!(
            "{} candle(s) refused as inconsistent, the first with open time {first}; only later ones are used",
            self.refused.len()
        ))
    }
}

/// Mark price and funding of a contract.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Premium {
    /// Mark price, if it is above zero.
    pub mark_price: Option<Price>,
    /// Index price, if it is above zero.
    pub index_price: Option<Price>,
    /// Rate of the running funding interval; positive: longs pay. A share, not a percentage.
    pub funding_rate: Option<Decimal>,
    /// When it is paid next.
    pub next_funding: Option<Timestamp>,
    /// The exchange's time of it.
    pub time: Option<Timestamp>,
}

/// One paid funding.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FundingPaid {
    /// When.
    pub time: Timestamp,
    /// The rate, as a share.
    pub rate: Decimal,
    /// The mark price then, if it was given.
    #[serde(skip)]
    pub mark_price: Option<Price>,
}

/// Open interest at a moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OpenInterest {
    /// When.
    pub time: Option<Timestamp>,
    /// Contracts, in units of the coin.
    pub open_interest: Decimal,
    /// Its worth in USDT, where the source says it.
    pub value: Option<Decimal>,
}

/// How traders are positioned at a moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LongShort {
    /// When.
    pub time: Timestamp,
    /// Long divided by short.
    pub ratio: Decimal,
    /// Share of longs, if it was given.
    pub long: Option<Decimal>,
    /// Share of shorts, if it was given.
    pub short: Option<Decimal>,
}

/// Which traders a ratio counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RatioKind {
    /// All accounts, each counted once.
    AllAccounts,
    /// The largest traders, by position size.
    TopPositions,
    /// The largest traders, each counted once.
    TopAccounts,
}

impl RatioKind {
    /// Its name in our paths and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::AllAccounts => "long-short-ratio",
            Self::TopPositions => "top-trader-ratio",
            Self::TopAccounts => "top-trader-accounts",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::AllAccounts => "globalLongShortAccountRatio",
            Self::TopPositions => "topLongShortPositionRatio",
            Self::TopAccounts => "topLongShortAccountRatio",
        }
    }
}

impl Binance {
    /// The last traded price and its time.
    pub(crate) async fn price(&self, symbol: &Symbol) -> Result<(Price, Option<Timestamp>), SourceError> {
        #[derive(Deserialize)]
        struct Wire {
            price: Value,
            #[serde(default)]
            time: Value,
        }
        let wire: Wire = self.object(&format!("/fapi/v2/ticker/price?symbol={symbol}")).await?;
        let price =
            price_of(&wire.price).ok_or_else(|| self.upstream.malformed("a price that is no price"))?;
        Ok((price, wire::millis(&wire.time)))
    }

    /// Mark price and funding.
    pub(crate) async fn premium(&self, symbol: &Symbol) -> Result<Premium, SourceError> {
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        struct Wire {
            mark_price: Value,
            index_price: Value,
            last_funding_rate: Value,
            next_funding_time: Value,
            time: Value,
        }
        let wire: Wire = self.object(&format!("/fapi/v1/premiumIndex?symbol={symbol}")).await?;
        let premium = Premium {
            mark_price: price_of(&wire.mark_price),
            index_price: price_of(&wire.index_price),
            funding_rate: wire::decimal(&wire.last_funding_rate),
            next_funding: wire::millis(&wire.next_funding_time),
            time: wire::millis(&wire.time),
        };
        if premium.mark_price.is_none() && premium.funding_rate.is_none() {
            return Err(self.upstream.malformed("neither a mark price nor a funding rate"));
        }
        Ok(premium)
    }

    /// The last `count` candles closed before `now`, oldest first. The running candle is asked for and dropped.
    pub(crate) async fn closed_candles(
        &self,
        symbol: &Symbol,
        interval: Interval,
        count: usize,
        now: Timestamp,
    ) -> Result<CandleWindow, SourceError> {
        let limit = (count + 1).min(MOST_KLINES);
        let mut rows = self.klines(symbol, interval, limit, None).await?;
        let oldest = rows.first().map(|row| row.open_time).filter(|oldest| *oldest > 0);
        if let Some(oldest) = oldest.filter(|_| limit <= count && rows.len() == limit) {
            let mut earlier =
                self.klines(symbol, interval, count + 1 - limit, Some(oldest.saturating_sub(1))).await?;
            earlier.append(&mut rows);
            rows = earlier;
        }
        if rows.is_empty() {
            return Err(self.upstream.empty("candles of this contract"));
        }
        Ok(window(rows, count, now.timestamp_millis()))
    }

    async fn klines(
        &self,
        symbol: &Symbol,
        interval: Interval,
        limit: usize,
        end_time: Option<i64>,
    ) -> Result<Vec<Row>, SourceError> {
        let end = end_time.map(|end| format!("&endTime={end}")).unwrap_or_default();
        let target = format!("/fapi/v1/klines?symbol={symbol}&interval={interval}&limit={limit}{end}");
        self.upstream.array(&target, klines::read).await
    }

    /// Hours between two fundings of the contracts that do not keep the usual eight.
    pub(crate) async fn funding_intervals(&self) -> Result<HashMap<String, u8>, SourceError> {
        let rows = self.list("/fapi/v1/fundingInfo").await?;
        let read = |row: &Value| {
            let hours = wire::integer(&row["fundingIntervalHours"])?;
            let hours = u8::try_from(hours).ok().filter(|hours| (1..=24).contains(hours))?;
            Some((wire::text(&row["symbol"]).to_owned(), hours))
        };
        Ok(rows.iter().filter_map(read).collect())
    }

    /// Paid fundings, oldest first.
    pub(crate) async fn funding_history(
        &self,
        symbol: &Symbol,
        limit: u32,
    ) -> Result<Vec<FundingPaid>, SourceError> {
        self.fundings(&format!("/fapi/v1/fundingRate?symbol={symbol}&limit={limit}")).await
    }

    /// Fundings paid at or after an instant (UTC milliseconds), oldest first, at most a thousand.
    pub(crate) async fn fundings_since(
        &self,
        symbol: &Symbol,
        start_ms: i64,
    ) -> Result<Vec<FundingPaid>, SourceError> {
        self.fundings(&format!("/fapi/v1/fundingRate?symbol={symbol}&startTime={start_ms}&limit=1000")).await
    }

    async fn fundings(&self, target: &str) -> Result<Vec<FundingPaid>, SourceError> {
        let rows = self.list(target).await?;
        let mut paid: Vec<_> = rows
            .iter()
            .filter_map(|row| {
                Some(FundingPaid {
                    time: wire::millis(&row["fundingTime"])?,
                    rate: wire::decimal(&row["fundingRate"])?,
                    mark_price: price_of(&row["markPrice"]),
                })
            })
            .collect();
        paid.sort_by_key(|paid| paid.time);
        self.unless_all_refused(rows.len(), paid, "readable funding rates")
    }

    /// Open interest now.
    pub(crate) async fn open_interest(&self, symbol: &Symbol) -> Result<OpenInterest, SourceError> {
        let row: Value = self.object(&format!("/fapi/v1/openInterest?symbol={symbol}")).await?;
        let open_interest = wire::decimal(&row["openInterest"])
            .ok_or_else(|| self.upstream.malformed("an open interest that is no number"))?;
        Ok(OpenInterest { time: wire::millis(&row["time"]), open_interest, value: None })
    }

    /// Open interest over time, oldest first.
    pub(crate) async fn open_interest_history(
        &self,
        symbol: &Symbol,
        period: &str,
        limit: u32,
    ) -> Result<Vec<OpenInterest>, SourceError> {
        let target = format!("/futures/data/openInterestHist?symbol={symbol}&period={period}&limit={limit}");
        let rows = self.list(&target).await?;
        let mut history: Vec<_> = rows
            .iter()
            .filter_map(|row| {
                Some(OpenInterest {
                    time: Some(wire::millis(&row["timestamp"])?),
                    open_interest: wire::decimal(&row["sumOpenInterest"])?,
                    value: wire::decimal(&row["sumOpenInterestValue"]),
                })
            })
            .collect();
        history.sort_by_key(|entry| entry.time);
        if history.is_empty() {
            return Err(self.upstream.empty("readable open interest history of this contract"));
        }
        Ok(history)
    }

    /// Long/short ratios, oldest first, at least one.
    pub(crate) async fn long_short(
        &self,
        kind: RatioKind,
        symbol: &Symbol,
        period: &str,
        limit: u32,
    ) -> Result<Vec<LongShort>, SourceError> {
        let target = format!("/futures/data/{}?symbol={symbol}&period={period}&limit={limit}", kind.path());
        let rows = self.list(&target).await?;
        let mut ratios: Vec<_> = rows
            .iter()
            .filter_map(|row| {
                Some(LongShort {
                    time: wire::millis(&row["timestamp"])?,
                    ratio: wire::decimal(&row["longShortRatio"])?,
                    long: wire::decimal(&row["longAccount"]),
                    short: wire::decimal(&row["shortAccount"]),
                })
            })
            .collect();
        ratios.sort_by_key(|entry| entry.time);
        if ratios.is_empty() {
            return Err(self.upstream.empty("readable long/short ratios of this contract"));
        }
        Ok(ratios)
    }

    async fn object<T: serde::de::DeserializeOwned>(&self, target: &str) -> Result<T, SourceError> {
        self.upstream.object(target, &HeaderMap::new()).await
    }

    async fn list(&self, target: &str) -> Result<Vec<Value>, SourceError> {
        self.upstream.list(target, &HeaderMap::new()).await
    }

    /// Rows that were all unreadable are a broken answer, not an empty one.
    fn unless_all_refused<T>(
        &self,
        rows: usize,
        read: Vec<T>,
        what: &'static str,
    ) -> Result<Vec<T>, SourceError> {
        if rows > 0 && read.is_empty() { Err(self.upstream.empty(what)) } else { Ok(read) }
    }
}

/// A price above zero from a number or from text.
pub(crate) fn price_of(value: &Value) -> Option<Price> {
    wire::decimal(value).and_then(|value| Price::new(value).ok())
}

/// Keeps what is closed and, so that no indicator computes across a hole, only what follows the last refused row.
fn window(rows: Vec<Row>, count: usize, now: i64) -> CandleWindow {
    let mut window = CandleWindow::default();
    for row in rows {
        if row.close_time.is_some_and(|close| close >= now) {
            continue;
        }
        let last = window.candles.last().map_or(i64::MIN, |candle: &Candle| candle.open_time);
        if let Some(candle) = row.candle.filter(|candle| candle.open_time > last) {
            window.candles.push(candle);
        } else {
            window.refused.push(row.open_time);
            window.candles.clear();
        }
    }
    let surplus = window.candles.len().saturating_sub(count);
    window.candles.drain(..surplus);
    window
}

#[cfg(test)]
mod tests;
