//! Hand-written sources in their true wire shapes, on one in-process host, for the tests of this room.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use serde_json::{Value, json};

use crate::domain::{Interval, ManualClock, Symbol, Timestamp};
use crate::net::Transport;

use super::addresses::SourceAddresses;
use super::simsar::{Simsar, SimsarOptions};

/// A Monday, two and a half hours into a candle of 4 h, with New York still asleep.
pub(crate) fn noon() -> Timestamp {
    "2026-03-02T10:30:00Z".parse().unwrap()
}

pub(crate) fn symbol(name: &str) -> Symbol {
    Symbol::new(name).unwrap()
}

#[derive(Clone)]
struct Override {
    status: u16,
    retry_after: Option<&'static str>,
    body: String,
    times: usize,
}

#[derive(Default)]
struct Inner {
    overrides: Mutex<HashMap<String, Override>>,
    silent: Mutex<Vec<String>>,
    listed: Mutex<Vec<String>>,
    used_weight: Mutex<Option<&'static str>>,
    requests: Mutex<Vec<(String, HeaderMap)>>,
    carried: Mutex<HashMap<String, Vec<(&'static str, &'static str)>>>,
}

/// The host. Answers well unless told otherwise, and remembers what it was asked.
#[derive(Clone)]
pub(crate) struct Served {
    inner: Arc<Inner>,
    pub(crate) clock: Arc<ManualClock>,
}

impl Served {
    pub(crate) fn new() -> Self {
        Self { inner: Arc::default(), clock: Arc::new(ManualClock::new(noon())) }
    }

    /// From now on `path` answers 200 with this body.
    pub(crate) fn says(&self, path: &str, body: impl Into<String>) {
        self.answers(path, 200, None, body, usize::MAX);
    }

    /// `path` answers like this the next `times` times; a redirect says where to instead of when again.
    pub(crate) fn answers(
        &self,
        path: &str,
        status: u16,
        retry_after: Option<&'static str>,
        body: impl Into<String>,
        times: usize,
    ) {
        let answer = Override { status, retry_after, body: body.into(), times };
        self.inner.overrides.lock().unwrap().insert(path.to_owned(), answer);
    }

    /// The answers of `path` carry these headers.
    pub(crate) fn carries(&self, path: &str, headers: &[(&'static str, &'static str)]) {
        self.inner.carried.lock().unwrap().insert(path.to_owned(), headers.to_vec());
    }

    /// The headers of the last request for `path`.
    pub(crate) fn headers_of(&self, path: &str) -> HeaderMap {
        let requests = self.inner.requests.lock().unwrap();
        requests.iter().rev().find(|(target, _)| target.ends_with(path)).unwrap().1.clone()
    }

    /// Every answer says that this much weight was used.
    pub(crate) fn uses_weight(&self, weight: &'static str) {
        *self.inner.used_weight.lock().unwrap() = Some(weight);
    }

    /// Everything below this path stays without an answer.
    pub(crate) fn falls_silent(&self, prefix: &str) {
        self.inner.silent.lock().unwrap().push(prefix.to_owned());
    }

    /// From now on the exchange also knows this contract on shares.
    pub(crate) fn lists(&self, symbol: &str) {
        self.inner.listed.lock().unwrap().push(symbol.to_owned());
    }

    fn is_unknown(&self, symbol: &str) -> bool {
        let on_shares = ["SPYUSDT", "QQQUSDT"].contains(&symbol);
        on_shares && !self.inner.listed.lock().unwrap().iter().any(|listed| listed == symbol)
    }

    /// Paths and queries asked for, in order.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.inner.requests.lock().unwrap().iter().map(|(target, _)| target.clone()).collect()
    }

    /// The headers of the last request.
    pub(crate) fn last_headers(&self) -> HeaderMap {
        self.inner.requests.lock().unwrap().last().unwrap().1.clone()
    }

    pub(crate) fn transport(&self) -> Transport {
        Transport::in_process(axum::Router::new().fallback(serve).with_state(self.clone()))
    }

    pub(crate) fn options() -> SimsarOptions {
        SimsarOptions {
            addresses: SourceAddresses::one_host("http://sources"),
            finnhub_token: Some("finnhub-secret".to_owned().into()),
            symbols: vec![symbol("BTCUSDT"), symbol("ETHUSDT")],
            concurrency: 64,
            built_in: false,
            data_dir: None,
        }
    }

    pub(crate) fn simsar(&self) -> Simsar {
        Simsar::new(Self::options(), self.transport(), self.clock.clone())
    }

    fn overridden(&self, path: &str) -> Option<Override> {
        let mut overrides = self.inner.overrides.lock().unwrap();
        let answer = overrides.get_mut(path).filter(|answer| answer.times > 0)?;
        answer.times -= 1;
        Some(answer.clone())
    }
}

async fn serve(
    State(served): State<Served>,
    uri: Uri,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    served.inner.requests.lock().unwrap().push((uri.to_string(), headers));
    let path = uri.path();
    let silent = served.inner.silent.lock().unwrap().iter().any(|prefix| path.starts_with(prefix));
    if silent {
        std::future::pending::<()>().await;
    }
    let unknown = query.get("symbol").is_some_and(|symbol| served.is_unknown(symbol));
    let (status, retry_after, body) = match served.overridden(path) {
        _ if unknown => (400, None, json!({ "code": -1121, "msg": "Invalid symbol." }).to_string()),
        Some(answer) => (answer.status, answer.retry_after, answer.body),
        None => match usual(path, &query) {
            Some(body) => (200, None, body.to_string()),
            None => {
                (404, None, json!({ "code": -5000, "msg": format!("Path {path} is invalid") }).to_string())
            }
        },
    };
    let mut response = Response::builder().status(status);
    for (name, value) in served.inner.carried.lock().unwrap().get(path).into_iter().flatten() {
        response = response.header(*name, *value);
    }
    if (300..400).contains(&status) && retry_after.is_some() {
        response = response.header("location", retry_after.unwrap_or_default());
    } else if let Some(seconds) = retry_after {
        response = response.header("retry-after", seconds);
    }
    if let Some(weight) = *served.inner.used_weight.lock().unwrap() {
        response = response.header("X-MBX-USED-WEIGHT-1M", weight);
    }
    response.body(Body::from(body)).unwrap()
}

/// What a path usually answers.
pub(crate) fn usual(path: &str, query: &HashMap<String, String>) -> Option<Value> {
    let now = noon().timestamp_millis();
    let symbol = query.get("symbol").cloned().unwrap_or_default();
    Some(match path {
        "/fapi/v2/ticker/price" => json!({ "symbol": symbol, "price": "66491.80", "time": now - 400 }),
        "/fapi/v1/premiumIndex" => json!({
            "symbol": symbol, "markPrice": "66490.12345678", "indexPrice": "66495.10000000",
            "estimatedSettlePrice": "66400.0", "lastFundingRate": "0.00010000", "interestRate": "0.0001",
            "nextFundingTime": 1_772_467_200_000_i64, "time": now - 300,
        }),
        "/fapi/v1/klines" => klines(query, now),
        "/fapi/v1/fundingRate" => json!([
            { "symbol": symbol, "fundingRate": "0.00008000", "fundingTime": now - 9_000_003, "markPrice": "66000" },
            { "symbol": symbol, "fundingRate": "-0.00003750", "fundingTime": now - 37_800_000, "rateType": "Regular" },
        ]),
        "/fapi/v1/openInterest" => {
            json!({ "openInterest": "91234.567", "symbol": symbol, "time": now - 100 })
        }
        "/futures/data/openInterestHist" => json!([
            { "symbol": symbol, "sumOpenInterest": "90000.1", "sumOpenInterestValue": "5984100000.5", "timestamp": now - 3_600_000 },
            { "symbol": symbol, "sumOpenInterest": "91000.2", "sumOpenInterestValue": "6050600000.5", "timestamp": now.to_string() },
        ]),
        "/fapi/v1/fundingInfo" => json!([
            { "symbol": "ETHUSDT", "adjustedFundingRateCap": "0.02", "adjustedFundingRateFloor": "-0.02", "fundingIntervalHours": 4, "disclaimer": false },
            { "symbol": "XUSDT", "fundingIntervalHours": 0 },
        ]),
        "/futures/data/globalLongShortAccountRatio"
        | "/futures/data/topLongShortPositionRatio"
        | "/futures/data/topLongShortAccountRatio" => json!([
            { "symbol": symbol, "longShortRatio": "1.2500", "longAccount": "0.5556", "shortAccount": "0.4444", "timestamp": (now - 1_800_000).to_string() },
            { "symbol": symbol, "longShortRatio": "1.1000", "longAccount": "0.5238", "shortAccount": "0.4762", "timestamp": now - 5_400_000 },
        ]),
        "/fng/" => json!({
            "name": "Fear and Greed Index", "metadata": { "error": null },
            "data": [{ "value": "25", "value_classification": "Extreme Fear", "timestamp": "1772409600", "time_until_update": "48600" }],
        }),
        "/api/v1/news" => json!([
            { "category": query["category"], "datetime": now / 1000 - 60, "headline": "Coins calm ahead of data", "id": 2, "source": "Wire", "url": "https://example.org/2" },
            { "category": query["category"], "datetime": now / 1000 - 30, "headline": "Fund reports inflows", "id": 3, "source": "Post", "summary": "" },
        ]),
        "/api/v1/calendar/economic" => json!({ "economicCalendar": [
            { "actual": null, "country": "US", "estimate": 3.4, "event": "Inflation Rate YoY", "impact": "high", "prev": 3.3, "time": "2026-03-04 13:30:00", "unit": "%" },
            { "actual": 51.2, "country": "DE", "estimate": null, "event": "Services PMI", "impact": "", "prev": "50.9", "time": "2026-03-02 09:00:00", "unit": "" },
        ] }),
        "/v8/finance/chart/%5EDJI" => dow(),
        _ => return None,
    })
}

/// Bars from the formula below, up to and with the running one, as the exchange sends them.
fn klines(query: &HashMap<String, String>, now: i64) -> Value {
    let length = query["interval"].parse::<Interval>().unwrap().millis().unwrap_or(31 * 86_400_000);
    let limit: i64 = query.get("limit").map_or(500, |limit| limit.parse().unwrap());
    let end: i64 = query.get("endTime").map_or(now, |end| end.parse().unwrap());
    let last = end.min(now) / length;
    ((last - limit + 1)..=last)
        .map(|bar| {
            let open = close_of(bar - 1);
            let close = close_of(bar);
            let open_time = bar * length;
            json!([
                open_time,
                format!("{open}.50"),
                format!("{}.50", open.max(close) + 7),
                format!("{}.50", open.min(close) - 9),
                format!("{close}.50"),
                format!("{}.125", 100 + bar % 17),
                open_time + length - 1,
                "0",
                9,
                "0",
                "0",
                "0"
            ])
        })
        .collect()
}

/// A price path that goes up and down.
pub(crate) fn close_of(bar: i64) -> i64 {
    60_000 + (bar * 7919) % 1013 - (bar * 104_729) % 911
}

/// Five closed sessions and today's, which has not begun; one hole.
pub(crate) fn dow() -> Value {
    let day = 86_400;
    let monday = 1_772_461_800; // 2026-03-02T14:30:00Z
    let starts = [monday - 7 * day, monday - 6 * day, monday - 5 * day, monday - 4 * day, monday - 3 * day];
    json!({ "chart": { "error": null, "result": [{
        "meta": {
            "symbol": "^DJI", "regularMarketPrice": 53277.01, "regularMarketTime": monday - 3 * day + 23_400,
            "chartPreviousClose": 52224.64, "gmtoffset": -18000,
            "currentTradingPeriod": { "regular": { "start": monday, "end": monday + 23_400, "gmtoffset": -18000 } },
        },
        "timestamp": starts,
        "indicators": { "quote": [{
            "open": [53842.8, 53663.1, null, 53463.4, 53381.2],
            "high": [53890.8, 53663.2, null, 53710.0, 53381.3],
            "low": [53673.4, 53395.2, null, 53399.5, 52754.8],
            "close": [53732.4, 53459.7, null, 53463.0, 52759.2],
            "volume": [319_610_000, 436_700_000, null, 451_460_000, 434_340_000],
        }] },
    }] } })
}
