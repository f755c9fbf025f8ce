//! Yahoo's chart endpoint: the Dow Jones index, its quote and its daily bars (data.md §3.3).

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{Timestamp, Untrusted};
use crate::market::error::SourceError;
use crate::market::upstream::Upstream;

use super::wire;

/// Without a browser's name the edge answers 429 (data.md §3.3).
const BROWSER: HeaderValue = HeaderValue::from_static(
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
);

/// It is left alone for this long when it refuses.
pub(crate) const QUIET: Duration = Duration::from_mins(15);

/// One daily bar of an index: points, not money.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct IndexBar {
    /// Start of the session, UTC milliseconds.
    pub open_time: i64,
    /// First value.
    pub open: f64,
    /// Highest value.
    pub high: f64,
    /// Lowest value.
    pub low: f64,
    /// Last value.
    pub close: f64,
    /// Traded volume, where the source gives one.
    pub volume: Option<f64>,
}

/// The index: its quote and its closed daily bars.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexChart {
    /// The latest value; absent when the source has none (it sends zero then).
    pub price: Option<f64>,
    /// When that value was taken.
    pub price_time: Option<Timestamp>,
    /// Whether the session is running at the time of reading.
    pub session_open: bool,
    /// Closed daily bars, oldest first.
    pub bars: Vec<IndexBar>,
    /// The close before the value, from a source that has closes but no bars.
    pub previous: Option<f64>,
    /// Bars that are incomplete or inconsistent.
    pub refused: usize,
    /// What the value is of: `^DJI` and `DJIA` are the index, anything else is a proxy for it.
    pub instrument: &'static str,
    /// Who it comes from.
    pub source: Arc<str>,
    /// What kept the first source from being read, if this comes from a stand-in.
    pub instead_of: Option<String>,
}

impl IndexChart {
    /// Percent from the close of the session before the one the value belongs to. While New York is closed the value
    /// is the last bar's own close, so the bar before it counts.
    pub fn change_pct(&self) -> Option<f64> {
        let value = self.price?;
        if let Some(previous) = self.previous {
            return Some((value / previous - 1.0) * 100.0);
        }
        let (last, earlier) = self.bars.split_last()?;
        let before = if self.session_open { last } else { earlier.last()? };
        Some((value / before.close - 1.0) * 100.0)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Yahoo {
    pub(crate) upstream: Upstream,
}

#[derive(Deserialize)]
struct Wire {
    chart: WireChart,
}

#[derive(Deserialize)]
struct WireChart {
    #[serde(default)]
    result: Option<Vec<Value>>,
    #[serde(default)]
    error: Value,
}

impl Yahoo {
    /// The Dow Jones: quote and daily bars of the last month.
    pub(crate) async fn us30(&self, now: Timestamp) -> Result<IndexChart, SourceError> {
        let headers = HeaderMap::from_iter([(header::USER_AGENT, BROWSER)]);
        let target = "/v8/finance/chart/%5EDJI?interval=1d&range=1mo&includePrePost=false";
        let wire = self.upstream.object(target, &headers).await;
        let wire: Wire = wire.inspect_err(|error| {
            if matches!(error, SourceError::NoAccess { .. }) {
                self.upstream.keep_quiet(QUIET);
            }
        })?;
        if !wire.chart.error.is_null() {
            let words = wire::text(&wire.chart.error["description"]);
            return Err(self.upstream.malformed(format!("it reports: {}", Untrusted::new(words).line(120))));
        }
        let result = wire.chart.result.unwrap_or_default();
        let result = result.first().ok_or_else(|| self.upstream.empty("chart of the index"))?;
        let chart = read_chart(result, now, self.upstream.name_shared());
        if chart.price.is_none() && chart.bars.is_empty() {
            return Err(self.upstream.malformed("neither a value nor a bar"));
        }
        Ok(chart)
    }
}

fn read_chart(result: &Value, now: Timestamp, source: Arc<str>) -> IndexChart {
    let meta = &result["meta"];
    let regular = &meta["currentTradingPeriod"]["regular"];
    let session = wire::seconds(&regular["start"]).zip(wire::seconds(&regular["end"]));
    let no_times = Vec::new();
    let times = result["timestamp"].as_array().unwrap_or(&no_times);
    let quote = &result["indicators"]["quote"][0];
    let mut bars: Vec<IndexBar> = Vec::new();
    let mut refused = 0;
    for (index, time) in times.iter().enumerate() {
        let Some(start) = wire::seconds(time) else {
            refused += 1;
            continue;
        };
        if !is_closed(start, session, now) {
            continue;
        }
        if is_hole(quote, index) {
            continue;
        }
        match read_bar(quote, index, start).filter(|bar| is_after(*bar, &bars)) {
            Some(bar) => bars.push(bar),
            None => refused += 1,
        }
    }
    IndexChart {
        price: wire::float(&meta["regularMarketPrice"]).filter(|price| *price > 0.0).map(points),
        price_time: wire::seconds(&meta["regularMarketTime"]),
        session_open: session.is_some_and(|(start, end)| start <= now && now < end),
        bars,
        previous: None,
        refused,
        instrument: "^DJI",
        source,
        instead_of: None,
    }
}

/// The last bar is the running session until the session's end; without session times, until a day is over.
fn is_closed(start: Timestamp, session: Option<(Timestamp, Timestamp)>, now: Timestamp) -> bool {
    match session {
        Some((opens, ends)) if start >= opens => ends <= now,
        Some(_) => start < now,
        None => start + chrono::Duration::days(1) <= now,
    }
}

/// A session without trades has null in every column.
fn is_hole(quote: &Value, index: usize) -> bool {
    ["open", "high", "low", "close"].iter().all(|name| quote[*name][index].is_null())
}

fn is_after(bar: IndexBar, bars: &[IndexBar]) -> bool {
    bars.last().is_none_or(|last| last.open_time < bar.open_time)
}

/// Index points have two digits; more are the noise of the source's single-precision floats.
fn points(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn read_bar(quote: &Value, index: usize, start: Timestamp) -> Option<IndexBar> {
    let number = |name: &str| wire::float(&quote[name][index]).filter(|value| *value > 0.0);
    let field = |name: &str| number(name).map(points);
    let bar = IndexBar {
        open_time: start.timestamp_millis(),
        open: field("open")?,
        high: field("high")?,
        low: field("low")?,
        close: field("close")?,
        volume: number("volume"),
    };
    (bar.low <= bar.open.min(bar.close) && bar.high >= bar.open.max(bar.close)).then_some(bar)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::test_sources::{Served, dow};

    const CHART: &str = "/v8/finance/chart/%5EDJI";

    #[tokio::test]
    async fn a_hole_is_no_bar_and_an_impossible_bar_is_counted() {
        let served = Served::new();
        let mut body = dow();
        body["chart"]["result"][0]["indicators"]["quote"][0]["high"][0] = serde_json::json!(1.0);
        body["chart"]["result"][0]["indicators"]["quote"][0]["close"][1] = Value::Null;
        served.says(CHART, body.to_string());
        let chart = served.simsar().us30().await.unwrap();
        assert_eq!((chart.value.bars.len(), chart.value.refused, chart.value.price), (2, 2, Some(53277.01)));
        assert!(!chart.stale, "New York sleeps: Friday's value is the latest");
        assert!(served.last_headers()["user-agent"].to_str().unwrap().starts_with("Mozilla/"));
    }

    #[tokio::test]
    async fn the_running_session_is_no_bar_until_it_ends() {
        let mut body = dow();
        let result = &mut body["chart"]["result"][0];
        let start = result["meta"]["currentTradingPeriod"]["regular"]["start"].clone();
        result["timestamp"][4] = start.clone();
        result["meta"]["regularMarketTime"] = serde_json::json!(start.as_i64().unwrap() + 600);
        let served = Served::new();
        served.says(CHART, body.to_string());
        for (now, bars, open) in [
            ("2026-03-02T14:45:00Z", 3, true),
            ("2026-03-02T20:59:59Z", 3, true),
            ("2026-03-02T21:00:00Z", 4, false),
        ] {
            served.clock.set(now.parse().unwrap());
            let chart = served.simsar().us30().await.unwrap();
            assert_eq!((chart.value.bars.len(), chart.value.session_open), (bars, open), "{now}");
            let change = chart.value.change_pct().unwrap();
            assert!((change - (53277.01 / 53463.0 - 1.0) * 100.0).abs() < 1e-9, "{now}: {change}");
        }
    }

    #[tokio::test]
    async fn an_old_value_in_a_running_session_is_stale() {
        let served = Served::new();
        served.clock.set("2026-03-02T15:30:00Z".parse().unwrap());
        assert!(served.simsar().us30().await.unwrap().stale);
    }

    #[tokio::test]
    async fn a_value_of_zero_is_absent() {
        let mut body = dow();
        body["chart"]["result"][0]["meta"]["regularMarketPrice"] = serde_json::json!(0.0);
        let served = Served::new();
        served.says(CHART, body.to_string());
        assert_eq!(served.simsar().us30().await.unwrap().value.price, None);
    }

    #[tokio::test]
    async fn without_session_times_a_bar_is_closed_after_a_day() {
        let mut body = dow();
        body["chart"]["result"][0]["meta"] = serde_json::json!({ "regularMarketPrice": "53000.5" });
        let served = Served::new();
        served.clock.set("2026-02-28T14:00:00Z".parse().unwrap());
        served.says(CHART, body.to_string());
        let chart = served.simsar().us30().await.unwrap().value;
        assert_eq!((chart.bars.len(), chart.price), (3, Some(53000.5)));
    }

    #[tokio::test]
    async fn errors_and_empty_charts_are_errors() {
        for body in [
            r#"{"chart":{"result":null,"error":{"code":"Not Found","description":"No data found"}}}"#,
            r#"{"chart":{"result":[],"error":null}}"#,
            r#"{"chart":{"result":[{}],"error":null}}"#,
            "Edge: Too Many Requests",
        ] {
            let served = Served::new();
            served.says(CHART, body);
            let error = served.simsar().us30().await.unwrap_err().to_string();
            assert!(error.starts_with("yahoo: "), "{body}: {error}");
        }
    }
}
