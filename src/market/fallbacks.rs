//! Who stands in for whom: the order in which sources are asked for the same thing (data.md §3).

use chrono::Duration as Span;

use super::calendar_file;
use super::error::SourceError;
use super::indicators::to_float;
use super::simsar::Inner;
use super::sources::finnhub::{Calendar, News, NewsCategory};
use super::sources::yahoo::{IndexBar, IndexChart};
use crate::domain::{Interval, Symbol, Timestamp};

/// The exchange's own contracts on American shares, the nearer one first. A proxy: their daily moves follow the
/// index, their level does not.
const PROXIES: [&str; 2] = ["SPYUSDT", "QQQUSDT"];
/// Daily bars read of a proxy.
const PROXY_BARS: usize = 22;
/// A copy on disk stands in for this long: after a week no entry of it is ahead any more.
const CALENDAR_KEPT: Span = Span::days(7);

impl Inner {
    /// Finnhub's headlines; where the key does not cover them, those of the feeds, and why.
    pub(crate) async fn read_news(&self, category: NewsCategory) -> Result<News, SourceError> {
        match self.finnhub.news(category).await {
            Err(error) if error.is_no_access() => match self.rss.news(category, self.clock.now()).await {
                None => Err(error),
                Some(Ok(news)) => Ok(News { instead_of: Some(error.to_string()), ..news }),
                Some(Err(then)) => Err(both(error, then)),
            },
            news => news,
        }
    }

    /// Finnhub's calendar, else FairEconomy's where the key does not cover it, else the copy on disk; with the time
    /// it was read.
    pub(crate) async fn read_calendar(&self) -> Result<(Calendar, Timestamp), SourceError> {
        let now = self.clock.now();
        let failure = match self.finnhub.calendar(now).await {
            Ok(calendar) => return Ok((self.keep(calendar, now).await, now)),
            Err(error) if error.is_no_access() => match self.fair_economy.calendar(now).await {
                Ok(calendar) => {
                    let calendar = Calendar { instead_of: Some(error.to_string()), ..calendar };
                    return Ok((self.keep(calendar, now).await, now));
                }
                Err(then) => both(error, then),
            },
            Err(error) => error,
        };
        let kept = match &self.data_dir {
            Some(folder) => calendar_file::load(folder, now).await,
            None => None,
        };
        match kept.filter(|(_, at)| now - *at < CALENDAR_KEPT) {
            Some((calendar, at)) => Ok((Calendar { instead_of: Some(failure.to_string()), ..calendar }, at)),
            None => Err(failure),
        }
    }

    async fn keep(&self, calendar: Calendar, now: Timestamp) -> Calendar {
        if let Some(folder) = &self.data_dir {
            calendar_file::save(folder, &calendar, now).await;
        }
        calendar
    }

    /// Yahoo's chart of the index, else a proxy at the exchange, else FRED's closes.
    pub(crate) async fn read_us30(&self) -> Result<IndexChart, SourceError> {
        let now = self.clock.now();
        let mut failure = match self.yahoo.us30(now).await {
            Ok(chart) => return Ok(chart),
            Err(error) => error,
        };
        for name in PROXIES {
            match self.proxy(name, now).await {
                Ok(chart) => return Ok(IndexChart { instead_of: Some(failure.to_string()), ..chart }),
                Err(error) => failure = both(failure, error),
            }
        }
        match self.fred.us30(now).await {
            Ok(chart) => Ok(IndexChart { instead_of: Some(failure.to_string()), ..chart }),
            Err(error) => Err(both(failure, error)),
        }
    }

    async fn proxy(&self, name: &'static str, now: Timestamp) -> Result<IndexChart, SourceError> {
        let upstream = &self.binance.upstream;
        let symbol = Symbol::new(name).map_err(|error| upstream.malformed(error.to_string()))?;
        let (price, window) = tokio::join!(
            self.binance.price(&symbol),
            self.binance.closed_candles(&symbol, Interval::Day1, PROXY_BARS, now)
        );
        let ((price, price_time), window) = (price?, window?);
        let bars = window.candles.iter().map(|candle| IndexBar {
            open_time: candle.open_time,
            open: to_float(candle.open.value()),
            high: to_float(candle.high.value()),
            low: to_float(candle.low.value()),
            close: to_float(candle.close.value()),
            volume: Some(to_float(candle.volume)),
        });
        Ok(IndexChart {
            price: Some(to_float(price.value())),
            price_time,
            // It trades day and night.
            session_open: true,
            bars: bars.collect(),
            previous: None,
            refused: window.refused.len(),
            instrument: name,
            source: format!("{} ({name}, a proxy for US30)", upstream.name()).into(),
            instead_of: None,
        })
    }
}

fn both(first: SourceError, then: SourceError) -> SourceError {
    SourceError::Both { first: Box::new(first), then: Box::new(then) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::market::simsar::{Simsar, SimsarOptions};
    use crate::market::test_sources::{Served, noon};

    const CHART: &str = "/v8/finance/chart/%5EDJI";
    const FRED: &str = "/graph/fredgraph.csv";
    const FINNHUB: &str = "/api/v1/calendar/economic";

    async fn asked(simsar: &Simsar, path: &str) -> (u16, Value) {
        let answer = simsar.call(path, &[]).await;
        (answer.status, serde_json::from_slice(&answer.body).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn the_index_comes_from_the_nearest_source_that_answers_and_says_which() {
        let served = Served::new();
        served.says(CHART, "Edge: Too Many Requests");
        served.says(FRED, "observation_date,DJIA\n2026-02-26,49000\n2026-02-27,48510.00\n2026-03-02,.\n");
        let (_, fred) = asked(&served.simsar(), "/macro/us30").await;
        assert_eq!((&fred["source"], &fred["price"]), (&json!("fred"), &json!(48510.0)));
        assert_eq!((&fred["as_of"], &fred["last_close"]), (&json!("2026-02-27T21:00:00Z"), &json!(49000.0)));
        assert!((fred["change_pct"].as_f64().unwrap() + 1.0).abs() < 1e-9);
        let (status, _) = asked(&served.simsar(), "/macro/us30/candles").await;
        assert_eq!(status, 502, "closes are no bars");
        served.lists("QQQUSDT");
        let (_, qqq) = asked(&served.simsar(), "/macro/us30").await;
        assert_eq!(qqq["source"], "binance (QQQUSDT, a proxy for US30)");
        served.lists("SPYUSDT");
        let simsar = served.simsar();
        let (_, spy) = asked(&simsar, "/macro/us30").await;
        assert_eq!(
            (&spy["source"], &spy["instrument"]),
            (&json!("binance (SPYUSDT, a proxy for US30)"), &json!("SPYUSDT"))
        );
        assert!(spy["instead_of"].as_str().unwrap().starts_with("yahoo: unusable answer"), "{spy}");
        let (_, candles) = asked(&simsar, "/macro/us30/candles").await;
        assert_eq!(candles["candles"].as_array().unwrap().len(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusing_yahoo_is_left_alone_for_a_quarter_of_an_hour() {
        for status in [429, 403] {
            let served = Served::new();
            served.lists("SPYUSDT");
            served.answers(CHART, status, None, "Edge: Too Many Requests", 1);
            let simsar = served.simsar();
            for minute in 0..14 {
                assert_eq!(simsar.us30().await.unwrap().value.instrument, "SPYUSDT", "minute {minute}");
                tokio::time::advance(std::time::Duration::from_mins(1)).await;
                served.clock.advance(chrono::Duration::minutes(1));
            }
            assert_eq!(served.requests().iter().filter(|target| target.contains("chart")).count(), 1);
            tokio::time::advance(std::time::Duration::from_mins(5)).await;
            served.clock.advance(chrono::Duration::minutes(5));
            assert_eq!(simsar.us30().await.unwrap().value.instrument, "^DJI");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn fred_that_sends_a_page_or_only_points_is_no_source() {
        for body in ["<html>sorry</html>", "observation_date,DJIA\n2026-03-02,.\n", "a,b\n2026-02-26,5"] {
            let served = Served::new();
            served.says(CHART, "{}");
            served.says(FRED, body);
            let (status, answer) = asked(&served.simsar(), "/macro/us30").await;
            assert_eq!(status, 502, "{body}");
            assert!(answer["error"].as_str().unwrap().contains("fred: "), "{answer}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_calendar_survives_a_restart_and_is_marked_stale() {
        let folder = tempfile::tempdir().unwrap();
        let served = Served::new();
        let simsar = || {
            let options = SimsarOptions { data_dir: Some(folder.path().to_owned()), ..Served::options() };
            Simsar::new(options, served.transport(), served.clock.clone())
        };
        let first = simsar().calendar().await.unwrap();
        served.answers(FINNHUB, 500, None, "", usize::MAX);
        served.clock.advance(chrono::Duration::hours(30));
        let kept = simsar().calendar().await.unwrap();
        assert_eq!(kept.value.entries, first.value.entries[1..], "yesterday's entry is gone");
        assert!(kept.stale && kept.as_of == noon(), "{kept:?}");
        assert_eq!(&*kept.value.source, "finnhub, kept on disk");
        assert!(kept.value.instead_of.as_ref().unwrap().contains("HTTP 500"));
        served.clock.advance(chrono::Duration::days(7));
        tokio::time::advance(std::time::Duration::from_mins(1)).await;
        assert!(simsar().calendar().await.is_err(), "too old");
        std::fs::write(folder.path().join("calendar.json"), "{\"as_of\":\"2026").unwrap();
        assert!(simsar().calendar().await.is_err(), "a torn file is no calendar");
    }
}
