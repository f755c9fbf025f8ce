//! The world's data providers, each on its own wire: Alternative.me, Finnhub, Yahoo, FairEconomy, RSS and FRED.
//!
//! | path | provider | parameters |
//! |---|---|---|
//! | `/fng/` | Alternative.me | `limit` (1; 0 is all), `format=json`, `date_format=us\|cn\|kr\|world` |
//! | `/api/v1/news` | Finnhub | `category=general\|crypto\|forex\|merger`, `minId`; any token |
//! | `/api/v1/calendar/economic` | Finnhub | `from`, `to` as `YYYY-MM-DD`, at most 366 days; any token |
//! | `/v8/finance/chart/{symbol}` | Yahoo | `^DJI`, `YM=F`, `GC=F`; `interval`, `range` or `period1` and `period2` |
//! | `/ff_calendar_thisweek.json` | FairEconomy | none |
//! | `/rss/{feed}` | RSS 2.0 | `general`, `crypto`, `forex` |
//! | `/fredgraph.csv` | FRED | `id=DJIA`, `cosd`, `coed` |
//!
//! Everything is a function of the market's path and of market time; each answer carries `x-source: built-in world`, and
//! a field saying so where the wire has room. Recorded Dow Jones and Fear & Greed figures replace the made-up ones where
//! they cover the time. A parameter the provider ignores is ignored; a value it cannot use is answered 4xx with a reason.
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "volumes, delays and counts for display: far below 2^52 and never below zero"
)]

mod calendar;
mod charts;
mod fear_greed;
mod feeds;
mod macro_files;
mod news;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use axum::Router;
use axum::extract::Query;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

pub use self::macro_files::{MacroError, MacroFiles};
use crate::domain::Clock;
use crate::world::market::Market;

/// How made-up data name their origin.
const BUILT_IN: &str = "built-in world";

/// What every provider reads.
#[derive(Clone)]
struct Sources {
    market: Arc<RwLock<Market>>,
    clock: Arc<dyn Clock>,
    recorded: Option<Arc<MacroFiles>>,
}

type Parameters = Query<BTreeMap<String, String>>;

impl Sources {
    /// Market time, UTC milliseconds.
    fn now(&self) -> i64 {
        self.clock.now().timestamp_millis()
    }

    fn market(&self) -> RwLockReadGuard<'_, Market> {
        self.market.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The providers over one market. `clock` tells market time; the market must be extended to it by whoever moves time.
/// `macro_files` are recorded figures to be preferred where they reach.
pub fn router(market: Arc<RwLock<Market>>, clock: Arc<dyn Clock>, macro_files: Option<MacroFiles>) -> Router {
    let sources = Sources { market, clock, recorded: macro_files.map(Arc::new) };
    Router::new()
        .route("/fng/", get(fear_greed::serve))
        .route("/fng", get(fear_greed::serve))
        .route("/api/v1/news", get(feeds::finnhub_news))
        .route("/api/v1/calendar/economic", get(calendar::finnhub))
        .route("/v8/finance/chart/{symbol}", get(charts::yahoo))
        .route("/fredgraph.csv", get(charts::fred))
        .route("/ff_calendar_thisweek.json", get(calendar::fair_economy))
        .route("/rss/{feed}", get(feeds::rss))
        .layer(map_response(mark))
        .with_state(sources)
}

async fn mark(mut response: Response) -> Response {
    response.headers_mut().insert(HeaderName::from_static("x-source"), HeaderValue::from_static(BUILT_IN));
    response
}

/// An error in Finnhub's shape.
fn finnhub_error(status: StatusCode, reason: &str) -> Response {
    (status, axum::Json(serde_json::json!({ "error": reason }))).into_response()
}

/// Whether a request carries a Finnhub token: `token` in the query or `X-Finnhub-Token`.
fn has_token(parameters: &BTreeMap<String, String>, headers: &axum::http::HeaderMap) -> bool {
    parameters.get("token").is_some_and(|token| !token.trim().is_empty())
        || headers.get("x-finnhub-token").is_some_and(|token| !token.as_bytes().trim_ascii().is_empty())
}

/// The date parameter `name` as midnight UTC, or `default` without one; else what is wanted.
fn date_of(parameters: &BTreeMap<String, String>, name: &str, default: i64) -> Result<i64, String> {
    parameters.get(name).map_or(Ok(default), |text| {
        parse_date(text).ok_or_else(|| format!("{name}: a date such as 2026-11-22 is wanted"))
    })
}

/// Midnight UTC of a date spelled `YYYY-MM-DD`.
fn parse_date(text: &str) -> Option<i64> {
    let date = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis())
}

/// An instant in a chrono format, shifted by an offset in milliseconds.
fn format_time(at_ms: i64, offset_ms: i64, format: &str) -> String {
    chrono::DateTime::from_timestamp_millis(at_ms + offset_ms)
        .map_or_else(String::new, |time| time.format(format).to_string())
}

#[cfg(test)]
mod tests;
