//! The crypto Fear & Greed index on Alternative.me's wire.
//!
//! Made up from bitcoin's daily closes by the regression that explains most of the real index: returns over 30 and 7
//! days, volatility over 30, depth below the 90-day high; plus noise that lasts for days.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use rust_decimal::prelude::ToPrimitive;
use serde::Serialize;

use super::{BUILT_IN, Parameters, Sources, format_time};
use crate::domain::Interval;
use crate::world::market::Market;
use crate::world::market::calendar_time::DAY_MS;
use crate::world::market::rng::{hash_text, normal_at};

/// Days that must lie behind a day before it has an index.
const WARM_UP: usize = 8;

#[derive(Serialize)]
struct Answer {
    name: &'static str,
    data: Vec<Row>,
    metadata: Metadata,
}

#[derive(Serialize)]
struct Row {
    value: String,
    value_classification: &'static str,
    timestamp: String,
    time_until_update: String,
}

#[derive(Serialize)]
struct Metadata {
    error: Option<String>,
    source: &'static str,
}

/// `GET /fng/?limit=N&date_format=…`
pub(super) async fn serve(State(sources): State<Sources>, Query(parameters): Parameters) -> Response {
    let limit = match parameters.get("limit").map_or(Ok(1), |text| text.parse::<usize>()) {
        Ok(0) => usize::MAX,
        Ok(limit) => limit,
        Err(_) => return refuse("limit: a whole number is wanted; 0 is all"),
    };
    let date_format = match parameters.get("date_format").map(String::as_str) {
        None | Some("") => None,
        Some("us") => Some("%m-%d-%Y"),
        Some("cn" | "kr") => Some("%Y-%m-%d"),
        Some("world") => Some("%d-%m-%Y"),
        Some(_) => return refuse("date_format: one of us, cn, kr, world"),
    };
    if parameters.get("format").is_some_and(|format| format != "json") {
        return refuse("format: only json is served here");
    }
    let now = sources.now();
    let (mut data, mut recorded) = (Vec::new(), true);
    for (day, value, from_files) in indices(&sources, now, limit) {
        recorded &= from_files;
        data.push(Row {
            value: value.to_string(),
            value_classification: classify(value),
            timestamp: date_format
                .map_or_else(|| (day / 1000).to_string(), |format| format_time(day, 0, format)),
            time_until_update: if data.is_empty() {
                ((day + DAY_MS - now).max(0) / 1000).to_string()
            } else {
                String::new()
            },
        });
    }
    let source = if recorded && !data.is_empty() { "macro files" } else { BUILT_IN };
    Json(Answer { name: "Fear and Greed Index", data, metadata: Metadata { error: None, source } })
        .into_response()
}

fn refuse(reason: &str) -> Response {
    let metadata = Metadata { error: Some(reason.to_owned()), source: BUILT_IN };
    (StatusCode::BAD_REQUEST, Json(Answer { name: "Fear and Greed Index", data: Vec::new(), metadata }))
        .into_response()
}

/// Bounds measured on eight years of the real index.
fn classify(value: i64) -> &'static str {
    match value {
        ..=25 => "Extreme Fear",
        26..=46 => "Fear",
        47..=54 => "Neutral",
        55..=75 => "Greed",
        _ => "Extreme Greed",
    }
}

/// The last `limit` days with an index, newest first: midnight UTC, value, and whether it is recorded.
fn indices(sources: &Sources, now: i64, limit: usize) -> Vec<(i64, i64, bool)> {
    let market = sources.market();
    let closes = daily_closes(&market, now);
    (WARM_UP..=closes.len())
        .rev()
        .take(limit)
        .map(|known| {
            let day = closes[known - 1].0 + DAY_MS;
            match sources.recorded.as_ref().and_then(|files| files.fear_greed(day)) {
                Some(value) => (day, value, true),
                None => (day, index(&closes[..known], day, market.seed()), false),
            }
        })
        .collect()
}

/// Closed days of bitcoin (or of the first coin there is): midnight, close.
fn daily_closes(market: &Market, now: i64) -> Vec<(i64, f64)> {
    let Some(listing) = market.listings().first() else { return Vec::new() };
    let bars = market.bars(&listing.symbol, Interval::Day1, None, None, 4000, now);
    bars.iter()
        .filter(|bar| bar.close_time < now)
        .map(|bar| (bar.open_time, bar.close.to_f64().unwrap_or(1.0)))
        .collect()
}

/// The index of the day after the last of these closes.
fn index(closes: &[(i64, f64)], day: i64, seed: u64) -> i64 {
    let count = closes.len();
    let price = closes[count - 1].1;
    let back = |days: usize| libm::log(price / closes[count - 1 - days.min(count - 1)].1);
    let month = &closes[count.saturating_sub(31)..];
    let returns: Vec<f64> = month.windows(2).map(|pair| libm::log(pair[1].1 / pair[0].1)).collect();
    let square: f64 = returns.iter().map(|r| r * r).sum();
    let days = f64::from(u32::try_from(returns.len()).unwrap_or(1).max(1));
    let volatility = libm::sqrt(square / days * 365.0);
    let high = closes[count.saturating_sub(90)..].iter().fold(price, |high, (_, close)| high.max(*close));
    let mood = 55.9 + 36.4 * back(30) + 11.7 * back(7) + 13.3 * volatility + 113.0 * libm::log(price / high);
    (mood + noise(seed, day)).clamp(3.0, 97.0).round() as i64
}

/// Noise of about nine points that half forgets itself in a week.
fn noise(seed: u64, day: i64) -> f64 {
    let seed = seed ^ hash_text("fear and greed");
    let number = day.div_euclid(DAY_MS);
    let (mut weight, mut sum) = (1.0, 0.0);
    for back in 0..40 {
        sum += weight * normal_at(seed, number - back);
        weight *= 0.9;
    }
    4.0 * sum
}
