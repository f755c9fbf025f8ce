//! FRED: the daily closes of the Dow Jones as CSV without a key, a day late (data.md §3.3).

use std::sync::Arc;

use chrono::{Days, NaiveDate};
use http::HeaderMap;

use super::yahoo::IndexChart;
use crate::domain::{Timestamp, Untrusted};
use crate::market::error::SourceError;
use crate::market::upstream::Upstream;

/// How far back is asked for: holidays make gaps.
const DAYS_BACK: Days = Days::new(14);
/// New York closes at 21:00 UTC in winter and at 20:00 in summer; the later one never claims too much.
const CLOSE_HOUR: u32 = 21;

#[derive(Debug, Clone)]
pub(crate) struct Fred {
    pub(crate) upstream: Upstream,
}

impl Fred {
    /// The last close, and the one before it for the change. There are no bars.
    pub(crate) async fn us30(&self, now: Timestamp) -> Result<IndexChart, SourceError> {
        let from = now.date_naive().checked_sub_days(DAYS_BACK).unwrap_or_default();
        let target = format!("/graph/fredgraph.csv?id=DJIA&cosd={from}");
        let body = self.upstream.bytes(&target, &HeaderMap::new()).await?;
        let text = String::from_utf8_lossy(&body);
        let mut lines = text.lines();
        let header = lines.next().unwrap_or_default();
        if !header.trim().ends_with("DJIA") {
            let header = Untrusted::new(header).line(60);
            return Err(self
                .upstream
                .malformed(format!("a table headed {header:?} instead of dates and DJIA")));
        }
        let closes: Vec<(NaiveDate, f64)> = lines.filter_map(read_line).collect();
        let Some((date, price)) = closes.last().copied() else {
            return Err(self.upstream.empty("close of the index"));
        };
        Ok(IndexChart {
            price: Some(price),
            price_time: date.and_hms_opt(CLOSE_HOUR, 0, 0).map(|close| close.and_utc().min(now)),
            session_open: false,
            bars: Vec::new(),
            previous: closes.len().checked_sub(2).map(|before| closes[before].1),
            refused: 0,
            instrument: "DJIA",
            source: Arc::clone(&self.upstream.name_shared()),
            instead_of: None,
        })
    }
}

/// `2026-02-27,48977.92`; a point stands for a day without a value.
fn read_line(line: &str) -> Option<(NaiveDate, f64)> {
    let (date, value) = line.trim().split_once(',')?;
    let value = value.parse().ok().filter(|value: &f64| value.is_finite() && *value > 0.0)?;
    Some((date.parse().ok()?, value))
}
