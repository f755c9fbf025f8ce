//! FairEconomy: this week's economic calendar without a key, for when Finnhub's is not to be had (data.md §3.4).

use std::time::Duration;

use chrono::DateTime;
use http::HeaderMap;
use serde_json::Value;

use crate::domain::{Timestamp, Untrusted};
use crate::market::error::SourceError;
use crate::market::upstream::Upstream;

use super::finnhub::{Calendar, CalendarEntry};
use super::wire;

/// Over its limit it answers 200 with a web page; it is left alone for this long then.
const QUIET_AFTER_PAGE: Duration = Duration::from_mins(5);

#[derive(Debug, Clone)]
pub(crate) struct FairEconomy {
    pub(crate) upstream: Upstream,
}

impl FairEconomy {
    /// The entries of this week from today on. It never has actual values.
    pub(crate) async fn calendar(&self, now: Timestamp) -> Result<Calendar, SourceError> {
        let rows = self.upstream.list("/ff_calendar_thisweek.json", &HeaderMap::new()).await;
        let rows = rows.inspect_err(|error| {
            if matches!(error, SourceError::Malformed { .. }) {
                self.upstream.keep_quiet(QUIET_AFTER_PAGE);
            }
        })?;
        let read: Vec<_> = rows.iter().filter_map(read_entry).collect();
        if read.is_empty() {
            return Err(self.upstream.empty("readable calendar entries"));
        }
        let refused = rows.len() - read.len();
        let today = now.date_naive();
        let mut entries: Vec<_> = read.into_iter().filter(|entry| entry.at.date_naive() >= today).collect();
        entries.sort_by_key(|entry| entry.at);
        Ok(Calendar { entries, refused, source: self.upstream.name_shared(), instead_of: None })
    }
}

/// `country` is a currency here, the date carries New York's offset, and values are free text such as `-0.1%`.
fn read_entry(row: &Value) -> Option<CalendarEntry> {
    let event = wire::cleaned(&row["title"]);
    let at = DateTime::parse_from_rfc3339(wire::text(&row["date"])).ok()?.to_utc();
    let (estimate, unit) = value_and_unit(wire::text(&row["forecast"]));
    let (previous, previous_unit) = value_and_unit(wire::text(&row["previous"]));
    (!event.is_empty()).then(|| CalendarEntry {
        at,
        country: wire::country(&row["country"]),
        event,
        impact: match wire::text(&row["impact"]) {
            "High" => "high",
            "Medium" => "medium",
            "Low" | "Holiday" => "low",
            _ => "unknown",
        },
        estimate,
        previous,
        actual: None,
        unit: if unit.is_empty() { previous_unit } else { unit },
    })
}

fn value_and_unit(text: &str) -> (Option<f64>, Untrusted) {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-')).unwrap_or(text.len());
    match text[..end].parse::<f64>() {
        Ok(value) => (Some(value), Untrusted::new(Untrusted::new(&text[end..]).line(8))),
        Err(_) => (None, Untrusted::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::test_sources::Served;

    const FINNHUB: &str = "/api/v1/calendar/economic";
    const WEEK: &str = "/ff_calendar_thisweek.json";
    const ROWS: &str = r#"[
        {"title":"CPI m/m","country":"USD","date":"2026-03-04T08:30:00-05:00","impact":"High","forecast":"-0.1%","previous":"0.5%"},
        {"title":"Bank Holiday","country":"All","date":"2026-03-03T00:00:00-05:00","impact":"Holiday","forecast":"","previous":""},
        {"title":"Claims","country":"USD","date":"2026-03-05T08:30:00-05:00","impact":"Medium","forecast":"","previous":"231K"},
        {"title":"Gone","country":"EUR","date":"2026-03-01T08:30:00-05:00","impact":"Low","forecast":"1.5","previous":""},
        {"title":"No time","country":"EUR","date":"soon"}]"#;

    fn without_finnhub(served: &Served) {
        served.answers(
            FINNHUB,
            403,
            None,
            r#"{"error":"You don't have access to this resource."}"#,
            usize::MAX,
        );
    }

    #[tokio::test]
    async fn it_stands_in_for_a_key_without_access_and_is_named() {
        let served = Served::new();
        without_finnhub(&served);
        served.says(WEEK, ROWS);
        let simsar = served.simsar();
        let calendar = simsar.calendar().await.unwrap();
        let [holiday, cpi, claims] = calendar.value.entries.as_slice() else { panic!("{calendar:?}") };
        assert_eq!(cpi.at.to_rfc3339(), "2026-03-04T13:30:00+00:00");
        assert_eq!(
            (cpi.estimate, cpi.previous, cpi.actual, cpi.unit.raw()),
            (Some(-0.1), Some(0.5), None, "%")
        );
        assert_eq!((holiday.country.as_str(), holiday.impact, holiday.estimate), ("", "low", None));
        assert_eq!((claims.previous, claims.unit.raw(), calendar.value.refused), (Some(231.0), "K", 1));
        assert!(calendar.note.unwrap().contains("1 row(s)"));
        let answer: Value = serde_json::from_slice(&simsar.call("/calendar", &[]).await.body).unwrap();
        assert_eq!(answer["source"], "fair_economy");
        assert!(
            answer["instead_of"].as_str().unwrap().starts_with("finnhub: the key has no access"),
            "{answer}"
        );
        let brief = simsar.brief(&[], Duration::from_secs(5)).await;
        assert!(brief.sources.iter().any(|source| source.name == "fair_economy/calendar"));
        let asked = served.requests().iter().filter(|target| target.contains("calendar")).count();
        assert_eq!(asked, 2, "neither is asked again within the hour");
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_that_says_no_leaves_it_alone_and_both_failures_are_told() {
        let served = Served::new();
        without_finnhub(&served);
        served.says(WEEK, "<html>Request Denied</html>");
        let simsar = served.simsar();
        let error = simsar.calendar().await.unwrap_err().to_string();
        assert!(error.contains("finnhub: the key") && error.contains("fair_economy: unusable"), "{error}");
        tokio::time::advance(Duration::from_mins(2)).await;
        assert!(simsar.calendar().await.unwrap_err().to_string().contains("fair_economy: rate-limited"));
        assert_eq!(served.requests().iter().filter(|target| target.contains("ff_calendar")).count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_finnhub_that_is_only_down_is_not_replaced() {
        let served = Served::new();
        served.answers(FINNHUB, 500, None, "", usize::MAX);
        served.says(WEEK, ROWS);
        assert!(
            served.simsar().calendar().await.unwrap_err().to_string().contains("finnhub: answered HTTP 500")
        );
    }
}
