//! The Dow Jones and gold: Yahoo's chart wire, and FRED's daily file.

use std::fmt::Write as _;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{BUILT_IN, Parameters, Sources, date_of, format_time, parse_date};
use crate::world::market::Market;
use crate::world::market::calendar_time::{
    DAY_MS, HOUR_MS, is_futures_session, new_york_offset, new_york_session,
};
use crate::world::market::reference::{Reference, ReferenceBar, Sessions};

/// What Yahoo says about a symbol.
struct Instrument {
    symbol: &'static str,
    exchange: &'static str,
    full_exchange: &'static str,
    kind: &'static str,
    name: &'static str,
    reference: Reference,
    /// Trades nearly around the clock instead of in New York's session.
    future: bool,
}

static INSTRUMENTS: [Instrument; 3] = [
    Instrument {
        symbol: "^DJI",
        exchange: "DJI",
        full_exchange: "DJI",
        kind: "INDEX",
        name: "Dow Jones Industrial Average",
        reference: Reference::Dow,
        future: false,
    },
    Instrument {
        symbol: "YM=F",
        exchange: "CBT",
        full_exchange: "CBOT",
        kind: "FUTURE",
        name: "Mini Dow Jones Indus.-$5",
        reference: Reference::Dow,
        future: true,
    },
    Instrument {
        symbol: "GC=F",
        exchange: "CMX",
        full_exchange: "COMEX",
        kind: "FUTURE",
        name: "Gold",
        reference: Reference::Gold,
        future: true,
    },
];

const INTERVALS: [(&str, i64); 6] = [
    ("5m", HOUR_MS / 12),
    ("15m", HOUR_MS / 4),
    ("30m", HOUR_MS / 2),
    ("60m", HOUR_MS),
    ("1h", HOUR_MS),
    ("1d", DAY_MS),
];

const RANGES: [(&str, i64); 11] = [
    ("1d", 1),
    ("5d", 5),
    ("1mo", 30),
    ("3mo", 91),
    ("6mo", 182),
    ("1y", 365),
    ("2y", 730),
    ("5y", 1826),
    ("10y", 3652),
    ("ytd", 0),
    ("max", 36_500),
];

/// Where a chart's prices come from.
struct Prices<'a> {
    market: &'a Market,
    recorded: Option<&'a Sessions>,
    instrument: &'static Instrument,
    now: i64,
}

impl Prices<'_> {
    fn bar(&self, from: i64, to: i64) -> Option<ReferenceBar> {
        match self.recorded {
            Some(sessions) => sessions.bar(from, to, self.now),
            None => self.market.reference(self.instrument.reference, from, to, self.now),
        }
    }

    fn start(&self) -> Option<i64> {
        match self.recorded {
            Some(sessions) => sessions.reach().map(|(start, _)| start),
            None => self.market.reference_start(self.instrument.reference),
        }
    }

    /// The trading day on New York's date of an instant: its label, start and end.
    fn day(&self, at_ms: i64) -> Option<(i64, i64, i64)> {
        let (start, end) = new_york_session(at_ms)?;
        if !self.instrument.future {
            return Some((start, start, end));
        }
        // a future's day runs from 18:00 of the evening before to 17:00
        let midnight = end - 16 * HOUR_MS;
        Some((midnight, midnight - 6 * HOUR_MS, midnight + 17 * HOUR_MS))
    }

    /// Bars of the trading days from `from` up to now, oldest first, with their start.
    fn bars(&self, from: i64, until: i64, length: i64) -> Vec<(i64, ReferenceBar)> {
        let mut bars = Vec::new();
        let from = from.max(self.start().unwrap_or(i64::MAX));
        let mut noon = from.div_euclid(DAY_MS) * DAY_MS + 17 * HOUR_MS;
        while noon < until.saturating_add(DAY_MS) {
            if let Some((label, start, end)) = self.day(noon) {
                if length == DAY_MS {
                    bars.extend(self.bar(start, end).map(|bar| (label, bar)));
                } else {
                    let mut open = start;
                    while open < end {
                        let close = (open + length).min(end);
                        if !self.instrument.future || is_futures_session(open) {
                            bars.extend(self.bar(open, close).map(|bar| (open, bar)));
                        }
                        open = close;
                    }
                }
            }
            noon += DAY_MS;
        }
        bars.retain(|(start, _)| (from..until).contains(start));
        bars
    }
}

/// `GET /v8/finance/chart/{symbol}?interval=1h&range=1mo` (or `period1` and `period2`, unix seconds). Defaults as
/// Yahoo's: one day, by the day. The last bar is the running one while the session lasts.
pub(super) async fn yahoo(
    State(sources): State<Sources>,
    Path(symbol): Path<String>,
    Query(parameters): Parameters,
) -> Response {
    let Some(instrument) = INSTRUMENTS.iter().find(|known| known.symbol == symbol) else {
        let reason = "No data found, symbol may be delisted (this world knows ^DJI, YM=F and GC=F)";
        return refuse(StatusCode::NOT_FOUND, "Not Found", reason);
    };
    let word = parameters.get("interval").map_or("1d", String::as_str);
    let Some(&(_, length)) = INTERVALS.iter().find(|(known, _)| *known == word) else {
        let reason = format!(
            "Invalid input - interval={word} is not supported. Valid intervals: [5m, 15m, 30m, 60m, 1h, 1d]"
        );
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, "Unprocessable Entity", &reason);
    };
    let now = sources.now();
    let (range, from, until) = match window(&parameters, now) {
        Ok(window) => window,
        Err(reason) => return refuse(StatusCode::UNPROCESSABLE_ENTITY, "Unprocessable Entity", &reason),
    };
    let market = sources.market();
    let recorded = sources
        .recorded
        .as_ref()
        .filter(|_| instrument.reference == Reference::Dow)
        .and_then(|files| files.dow_at(now));
    let prices = Prices { market: &market, recorded, instrument, now };
    let bars = prices.bars(from, until.min(now + 1), length);
    if bars.is_empty() && prices.start().is_none() {
        return refuse(StatusCode::NOT_FOUND, "Not Found", "No data found for this date range");
    }
    Json(json!({ "chart": { "result": [chart(&prices, &bars, word, &range, from)], "error": null } }))
        .into_response()
}

fn refuse(status: StatusCode, code: &str, description: &str) -> Response {
    (
        status,
        Json(json!({ "chart": { "result": null, "error": { "code": code, "description": description } } })),
    )
        .into_response()
}

/// The span of a chart: its range word, start and end.
fn window(
    parameters: &std::collections::BTreeMap<String, String>,
    now: i64,
) -> Result<(String, i64, i64), String> {
    let seconds = |name: &str| {
        parameters
            .get(name)
            .map(|text| {
                text.parse::<i64>()
                    .ok()
                    .filter(|seconds| (-10_000_000_000..=100_000_000_000).contains(seconds))
                    .map(|seconds| seconds * 1000)
                    .ok_or_else(|| format!("Invalid input - {name}={text} is not a time in unix seconds"))
            })
            .transpose()
    };
    let (first, last) = (seconds("period1")?, seconds("period2")?);
    if let Some(first) = first {
        return Ok((String::new(), first, last.unwrap_or(now + 1)));
    }
    let word = parameters.get("range").map_or("1d", String::as_str);
    let Some((_, days)) = RANGES.iter().find(|(known, _)| *known == word) else {
        let known: Vec<&str> = RANGES.iter().map(|(word, _)| *word).collect();
        return Err(format!(
            "Invalid input - range={word} is not supported. Valid ranges: [{}]",
            known.join(", ")
        ));
    };
    let today = now.div_euclid(DAY_MS) * DAY_MS;
    let from = match word {
        "ytd" => parse_date(&format_time(now, 0, "%Y-01-01")).unwrap_or(today),
        // days with a session: a weekend does not count
        "1d" | "5d" => trading_days_back(now, *days),
        _ => today - days * DAY_MS,
    };
    Ok((word.to_owned(), from, now + 1))
}

/// Midnight UTC of the n-th last weekday whose New York session has begun.
fn trading_days_back(now: i64, days: i64) -> i64 {
    let mut day = now.div_euclid(DAY_MS) * DAY_MS;
    let mut left = days;
    loop {
        if new_york_session(day + 17 * HOUR_MS).is_some_and(|(start, _)| start <= now) {
            left -= 1;
            if left <= 0 {
                return day;
            }
        }
        day -= DAY_MS;
    }
}

fn chart(prices: &Prices<'_>, bars: &[(i64, ReferenceBar)], interval: &str, range: &str, from: i64) -> Value {
    let column = |of: fn(&ReferenceBar) -> f64| -> Vec<f64> { bars.iter().map(|(_, bar)| of(bar)).collect() };
    let close = column(|bar| bar.close);
    let mut indicators = json!({ "quote": [{
        "open": column(|bar| bar.open),
        "high": column(|bar| bar.high),
        "low": column(|bar| bar.low),
        "close": close.clone(),
        "volume": bars.iter().map(|(_, bar)| bar.volume.round() as u64).collect::<Vec<u64>>(),
    }] });
    if interval == "1d" {
        indicators["adjclose"] = json!([{ "adjclose": close }]);
    }
    let timestamps: Vec<i64> = bars.iter().map(|(start, _)| start / 1000).collect();
    json!({
        "meta": meta(prices, bars, interval, range, from),
        "timestamp": timestamps,
        "indicators": indicators,
    })
}

fn meta(prices: &Prices<'_>, bars: &[(i64, ReferenceBar)], interval: &str, range: &str, from: i64) -> Value {
    let (now, instrument) = (prices.now, prices.instrument);
    let offset = new_york_offset(now);
    let zone = if offset == -4 * HOUR_MS { "EDT" } else { "EST" };
    let (_, start, end) = trading_day(prices, now);
    let year = prices.bars(now - 365 * DAY_MS, now + 1, DAY_MS);
    let today = year.last().map(|(_, bar)| *bar);
    let before = prices.bars(from - 10 * DAY_MS, from, DAY_MS).last().map(|(_, bar)| bar.close);
    let price = today.map(|bar| round2(bar.close));
    let period = |start: i64, end: i64| json!({ "timezone": zone, "start": start / 1000, "end": end / 1000, "gmtoffset": offset / 1000 });
    let (pre, post) = if instrument.future { (0, 0) } else { (5 * HOUR_MS + HOUR_MS / 2, 4 * HOUR_MS) };
    json!({
        "currency": "USD",
        "symbol": instrument.symbol,
        "exchangeName": instrument.exchange,
        "fullExchangeName": instrument.full_exchange,
        "instrumentType": instrument.kind,
        "firstTradeDate": prices.start().map(|start| start / 1000),
        "regularMarketTime": now.min(end).max(bars.first().map_or(0, |(start, _)| *start).min(now)) / 1000,
        "hasPrePostMarketData": false,
        "gmtoffset": offset / 1000,
        "timezone": zone,
        "exchangeTimezoneName": "America/New_York",
        "regularMarketPrice": price,
        "fiftyTwoWeekHigh": year.iter().map(|(_, bar)| bar.high).reduce(f64::max).map(round2),
        "fiftyTwoWeekLow": year.iter().map(|(_, bar)| bar.low).reduce(f64::min).map(round2),
        "regularMarketDayHigh": today.map(|bar| round2(bar.high)),
        "regularMarketDayLow": today.map(|bar| round2(bar.low)),
        "regularMarketVolume": today.map(|bar| bar.volume.round() as u64),
        "longName": instrument.name,
        "shortName": instrument.name,
        "chartPreviousClose": before.or(bars.first().map(|(_, bar)| bar.open)).map(round2),
        "priceHint": 2,
        "currentTradingPeriod": {
            "pre": period(start - pre, start),
            "regular": period(start, end),
            "post": period(end, end + post),
        },
        "dataGranularity": interval,
        "range": range,
        "validRanges": RANGES.map(|(word, _)| word),
        "source": if prices.recorded.is_some() { "macro files" } else { BUILT_IN },
    })
}

/// The trading day of an instant, or the last one before a weekend.
fn trading_day(prices: &Prices<'_>, now: i64) -> (i64, i64, i64) {
    (0..4).find_map(|back| prices.day(now - back * DAY_MS)).unwrap_or((now, now, now))
}

fn round2(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// `GET /fredgraph.csv?id=DJIA[&cosd=YYYY-MM-DD&coed=YYYY-MM-DD]`: daily closes, a day late, `.` where there is none.
pub(super) async fn fred(State(sources): State<Sources>, Query(parameters): Parameters) -> Response {
    if parameters.get("id").map(String::as_str) != Some("DJIA") {
        return (StatusCode::NOT_FOUND, "id: this world knows the series DJIA").into_response();
    }
    let now = sources.now();
    let today = now.div_euclid(DAY_MS) * DAY_MS;
    let span = date_of(&parameters, "cosd", i64::MIN / 2)
        .and_then(|from| Ok((from, date_of(&parameters, "coed", today - DAY_MS)?)));
    let (from, until) = match span {
        Ok((from, until)) => (from, (until + DAY_MS).min(today)),
        Err(reason) => return (StatusCode::BAD_REQUEST, reason).into_response(),
    };
    let market = sources.market();
    let recorded = sources.recorded.as_ref().and_then(|files| files.dow_at(now));
    let prices = Prices { market: &market, recorded, instrument: &INSTRUMENTS[0], now };
    let mut text = "observation_date,DJIA\n".to_owned();
    let closes = prices.bars(from, until, DAY_MS);
    let mut known = closes.iter().peekable();
    let mut date = closes.first().map_or(until, |(start, _)| start.div_euclid(DAY_MS) * DAY_MS);
    while date < until {
        let close = known.next_if(|(start, _)| *start < date + DAY_MS);
        if new_york_session(date + 17 * HOUR_MS).is_some() {
            let value = close.map_or_else(|| ".".to_owned(), |(_, bar)| format!("{:.2}", bar.close));
            // writing to a string cannot fail
            let _ = writeln!(text, "{},{value}", format_time(date, 0, "%Y-%m-%d"));
        }
        date += DAY_MS;
    }
    ([(header::CONTENT_TYPE, "application/csv")], text).into_response()
}
