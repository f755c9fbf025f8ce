//! The economic calendar, on Finnhub's wire (with results) and on FairEconomy's (without).

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::{BUILT_IN, Parameters, Sources, date_of, finnhub_error, format_time, has_token};
use crate::world::market::announcements::{Announcement, Impact, between, week_start};
use crate::world::market::calendar_time::{DAY_MS, new_york_offset};
use crate::world::market::rng::{hash_text, normal_at};

const LONGEST: i64 = 366 * DAY_MS;

/// What was expected of a figure, what it was before, and what it is: all drawn from the seed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Values {
    pub(super) actual: f64,
    pub(super) estimate: f64,
    pub(super) previous: f64,
}

impl Values {
    pub(super) fn of(announcement: &Announcement, seed: u64) -> Self {
        let figure = announcement.figure;
        let seed = seed ^ hash_text(figure.title);
        let drawn = |at_ms: i64| figure.usual + figure.spread * normal_at(seed, at_ms.div_euclid(DAY_MS));
        let before = between(announcement.at_ms - 70 * DAY_MS, announcement.at_ms);
        let previous = before
            .iter()
            .rev()
            .find(|earlier| earlier.figure.title == figure.title)
            .map_or(figure.usual, |earlier| drawn(earlier.at_ms));
        let guess = 0.3 * figure.spread * normal_at(seed ^ 1, announcement.at_ms.div_euclid(DAY_MS));
        let estimate = figure.usual + 0.5 * (previous - figure.usual) + guess;
        let round = |value: f64| {
            let unit = libm::pow(10.0, f64::from(figure.decimals));
            // adding zero turns a rounded -0 into 0
            (value * unit).round() / unit + 0.0
        };
        Self {
            actual: round(drawn(announcement.at_ms)),
            estimate: round(estimate),
            previous: round(previous),
        }
    }
}

/// A value as it is printed: `0.3%`, `225K`.
pub(super) fn printed(announcement: &Announcement, value: f64) -> String {
    format!("{value:.*}{}", announcement.figure.decimals as usize, announcement.figure.unit)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FinnhubAnswer {
    economic_calendar: Vec<FinnhubRow>,
}

#[derive(Serialize)]
struct FinnhubRow {
    actual: Option<f64>,
    country: &'static str,
    estimate: f64,
    event: &'static str,
    impact: &'static str,
    prev: f64,
    time: String,
    unit: &'static str,
    source: &'static str,
}

/// `GET /api/v1/calendar/economic?from=YYYY-MM-DD&to=YYYY-MM-DD`: both days included; without them, the week ahead.
pub(super) async fn finnhub(
    State(sources): State<Sources>,
    Query(parameters): Parameters,
    headers: HeaderMap,
) -> Response {
    if !has_token(&parameters, &headers) {
        return finnhub_error(StatusCode::UNAUTHORIZED, "Please use an API key.");
    }
    let now = sources.now();
    let today = now.div_euclid(DAY_MS) * DAY_MS;
    let span = date_of(&parameters, "from", today)
        .and_then(|from| Ok((from, date_of(&parameters, "to", from + 7 * DAY_MS)?)));
    let (from, to) = match span {
        Ok(span) => span,
        Err(reason) => return finnhub_error(StatusCode::BAD_REQUEST, &reason),
    };
    if to < from || to - from > LONGEST {
        return finnhub_error(StatusCode::BAD_REQUEST, "to: 0 to 366 days after from are wanted");
    }
    let seed = sources.market().seed();
    let rows = between(from, to + DAY_MS)
        .iter()
        .map(|announcement| {
            let values = Values::of(announcement, seed);
            FinnhubRow {
                actual: (announcement.at_ms <= now).then_some(values.actual),
                country: announcement.figure.country,
                estimate: values.estimate,
                event: announcement.figure.title,
                impact: match announcement.figure.impact {
                    Impact::High => "high",
                    Impact::Medium => "medium",
                    Impact::Low => "low",
                },
                prev: values.previous,
                time: format_time(announcement.at_ms, 0, "%Y-%m-%d %H:%M:%S"),
                unit: announcement.figure.unit,
                source: BUILT_IN,
            }
        })
        .collect();
    Json(FinnhubAnswer { economic_calendar: rows }).into_response()
}

#[derive(Serialize)]
struct FairEconomyRow {
    title: &'static str,
    country: &'static str,
    date: String,
    impact: &'static str,
    forecast: String,
    previous: String,
    source: &'static str,
}

/// `GET /ff_calendar_thisweek.json`: Sunday to Saturday around market time, dates with New York's offset.
pub(super) async fn fair_economy(State(sources): State<Sources>) -> Response {
    let seed = sources.market().seed();
    let start = week_start(sources.now());
    let rows: Vec<FairEconomyRow> = between(start, start + 7 * DAY_MS)
        .iter()
        .map(|announcement| {
            let values = Values::of(announcement, seed);
            FairEconomyRow {
                title: announcement.figure.title,
                country: announcement.figure.currency,
                date: new_york_time(announcement.at_ms),
                impact: match announcement.figure.impact {
                    Impact::High => "High",
                    Impact::Medium => "Medium",
                    Impact::Low => "Low",
                },
                forecast: printed(announcement, values.estimate),
                previous: printed(announcement, values.previous),
                source: BUILT_IN,
            }
        })
        .collect();
    Json(rows).into_response()
}

/// RFC 3339 with New York's offset, such as `2026-09-14T08:30:00-04:00`.
fn new_york_time(at_ms: i64) -> String {
    let offset = new_york_offset(at_ms);
    format!("{}-{:02}:00", format_time(at_ms, offset, "%Y-%m-%dT%H:%M:%S"), -offset / 3_600_000)
}
