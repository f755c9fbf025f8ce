//! Finnhub: news in three categories, and the economic calendar (data.md §3.2). The key travels in a header only.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use chrono::{Days, NaiveDate, NaiveDateTime};
use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{Timestamp, Untrusted};
use crate::market::error::SourceError;
use crate::market::upstream::Upstream;

use super::wire;

const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-finnhub-token");
/// How far the calendar looks ahead.
const DAYS_AHEAD: Days = Days::new(7);

/// The news categories the desk reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NewsCategory {
    /// Everything.
    General,
    /// Crypto.
    Crypto,
    /// Currencies.
    Forex,
}

impl NewsCategory {
    /// Every category, in the order of the brief.
    pub const ALL: [Self; 3] = [Self::General, Self::Crypto, Self::Forex];

    /// The word on the wire and in our paths.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::General => "general",
            Self::Crypto => "crypto",
            Self::Forex => "forex",
        }
    }
}

/// One headline, cleaned and cut, still somebody else's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Headline {
    /// The headline.
    pub text: Untrusted,
    /// Who published it.
    pub source: Untrusted,
    /// When.
    pub at: Timestamp,
}

/// News of one category, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct News {
    /// The headlines.
    pub headlines: Vec<Headline>,
    /// Rows without a headline or a time.
    pub refused: usize,
    /// Who they come from.
    pub source: Arc<str>,
    /// What kept the first source from being read, if these come from its stand-in.
    pub instead_of: Option<String>,
}

/// Newest first, each headline once: the same words count as one whatever their case and punctuation, and so do
/// long headlines that begin alike.
pub(crate) fn without_doubles(mut headlines: Vec<Headline>) -> Vec<Headline> {
    headlines.sort_by_key(|headline| std::cmp::Reverse(headline.at));
    let mut seen = HashSet::new();
    headlines.retain(|headline| seen.insert(gist(headline.text.raw())));
    headlines
}

/// What two tellings of one headline have in common.
pub(crate) fn gist(text: &str) -> String {
    const LETTERS: usize = 60;
    let letters: String =
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).take(LETTERS).collect();
    if letters.is_empty() { text.to_owned() } else { letters }
}

/// One entry of the economic calendar.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CalendarEntry {
    /// When it is published.
    pub at: Timestamp,
    /// Country, two letters, or currency, three; empty when the source gave none.
    pub country: String,
    /// What is published.
    pub event: Untrusted,
    /// `high`, `medium`, `low` or `unknown`.
    pub impact: &'static str,
    /// What is expected.
    pub estimate: Option<f64>,
    /// The value before.
    pub previous: Option<f64>,
    /// The value, once it is out.
    pub actual: Option<f64>,
    /// The unit of the three values.
    pub unit: Untrusted,
}

/// The calendar, soonest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Calendar {
    /// Who it comes from.
    pub source: Arc<str>,
    /// What kept the first source from being read, if this comes from its stand-in.
    pub instead_of: Option<String>,
    /// The entries.
    pub entries: Vec<CalendarEntry>,
    /// Rows without an event or a time.
    pub refused: usize,
}

pub(crate) struct Finnhub {
    pub(crate) upstream: Upstream,
    pub(crate) token: Option<SecretString>,
    /// The status with which the key was refused the calendar; zero as long as it was not. A plan does not change
    /// while we run.
    pub(crate) calendar_denied: AtomicU16,
}

impl Finnhub {
    /// The latest headlines of a category.
    pub(crate) async fn news(&self, category: NewsCategory) -> Result<News, SourceError> {
        let target = format!("/api/v1/news?category={}&minId=0", category.as_str());
        let rows = self.upstream.list(&target, &self.headers()?).await?;
        if rows.is_empty() {
            return Err(self.upstream.empty("news in this category"));
        }
        let read: Vec<_> = rows.iter().filter_map(read_headline).collect();
        if read.is_empty() {
            return Err(self.upstream.malformed("no row with a headline and a time"));
        }
        let refused = rows.len() - read.len();
        Ok(News {
            headlines: without_doubles(read),
            refused,
            source: self.upstream.name_shared(),
            instead_of: None,
        })
    }

    /// Today's entries and those of the next seven days.
    pub(crate) async fn calendar(&self, now: Timestamp) -> Result<Calendar, SourceError> {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(rename = "economicCalendar")]
            entries: Option<Vec<Value>>,
        }
        let denied = self.calendar_denied.load(Ordering::Relaxed);
        if denied != 0 {
            return Err(SourceError::NoAccess { upstream: self.upstream.name_shared(), status: denied });
        }
        let from = now.date_naive();
        let to = from.checked_add_days(DAYS_AHEAD).unwrap_or(from);
        let target = format!("/api/v1/calendar/economic?from={from}&to={to}");
        let wire = self.upstream.object(&target, &self.headers()?).await;
        let wire: Wire = wire.inspect_err(|error| {
            if let SourceError::NoAccess { status, .. } = error {
                self.calendar_denied.store(*status, Ordering::Relaxed);
            }
        })?;
        let rows = wire.entries.ok_or_else(|| self.upstream.malformed("no economicCalendar in it"))?;
        let mut entries: Vec<_> = rows.iter().filter_map(read_entry).collect();
        if entries.is_empty() && !rows.is_empty() {
            return Err(self.upstream.malformed("no calendar row with an event and a time"));
        }
        entries.sort_by_key(|entry| entry.at);
        let refused = rows.len() - entries.len();
        Ok(Calendar { entries, refused, source: self.upstream.name_shared(), instead_of: None })
    }

    fn headers(&self) -> Result<HeaderMap, SourceError> {
        let token = self.token.as_ref().ok_or_else(|| self.upstream.no_key())?;
        let mut value = HeaderValue::from_str(token.expose_secret())
            .map_err(|_| self.upstream.malformed("the key has characters no header can carry"))?;
        value.set_sensitive(true);
        Ok(HeaderMap::from_iter([(TOKEN_HEADER, value)]))
    }
}

fn read_headline(row: &Value) -> Option<Headline> {
    let text = wire::cleaned(&row["headline"]);
    let at = wire::seconds(&row["datetime"])?;
    (!text.is_empty()).then(|| Headline { text, source: wire::cleaned(&row["source"]), at })
}

/// An entry from its row.
pub(crate) fn read_entry(row: &Value) -> Option<CalendarEntry> {
    let event = wire::cleaned(&row["event"]);
    let at = utc_without_zone(wire::text(&row["time"]))?;
    (!event.is_empty()).then(|| CalendarEntry {
        at,
        country: wire::country(&row["country"]),
        event,
        impact: impact(wire::text(&row["impact"])),
        estimate: wire::float(&row["estimate"]),
        previous: wire::float(&row["prev"]),
        actual: wire::float(&row["actual"]),
        unit: wire::cleaned(&row["unit"]),
    })
}

/// Times are UTC without a zone, `2026-09-11 12:30:00`; a whole-day entry may be a date only.
fn utc_without_zone(text: &str) -> Option<Timestamp> {
    ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0))
        .map(|naive| naive.and_utc())
}

fn impact(word: &str) -> &'static str {
    match word.to_ascii_lowercase().as_str() {
        "high" | "3" => "high",
        "medium" | "2" => "medium",
        "low" | "1" => "low",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::simsar::{Simsar, SimsarOptions};
    use crate::market::test_sources::{Served, noon};

    const NEWS: &str = "/api/v1/news";
    const CALENDAR: &str = "/api/v1/calendar/economic";

    #[tokio::test]
    async fn the_key_travels_in_a_header_and_never_in_the_address() {
        let served = Served::new();
        served.simsar().news(NewsCategory::Forex).await.unwrap();
        assert_eq!(served.requests(), ["http://sources/api/v1/news?category=forex&minId=0"]);
        assert_eq!(served.last_headers()["x-finnhub-token"], "finnhub-secret");
    }

    #[tokio::test]
    async fn without_a_key_nothing_is_asked() {
        let served = Served::new();
        let options = SimsarOptions { finnhub_token: None, ..Served::options() };
        let simsar = Simsar::new(options, served.transport(), served.clock.clone());
        let error = simsar.news(NewsCategory::Crypto).await.unwrap_err();
        assert!(matches!(error, SourceError::NoKey { .. }) && served.requests().is_empty());
    }

    #[tokio::test]
    async fn headlines_are_newest_first_without_doubles_and_broken_rows_are_counted() {
        let served = Served::new();
        served.says(
            NEWS,
            r#"[{"datetime":1772440000,"headline":"Older","source":"A"},
                {"datetime":1772440060,"headline":"Newer","source":"B","id":"7","unknown":{}},
                {"datetime":1772440030,"headline":"NEWER","source":"C"},
                {"datetime":0,"headline":"No time"}, {"datetime":1772440000,"headline":null}, 5]"#,
        );
        let news = served.simsar().news(NewsCategory::General).await.unwrap();
        let texts: Vec<_> = news.value.headlines.iter().map(|headline| headline.text.raw()).collect();
        assert_eq!((texts, news.value.refused), (vec!["Newer", "Older"], 3));
        assert!(news.note.unwrap().contains("3 row(s)"));
    }

    #[test]
    fn two_tellings_of_one_headline_have_one_gist() {
        assert_eq!(gist("Bitcoin slips, again!"), gist("BITCOIN: slips again"));
        assert_ne!(gist("Up 5%"), gist("Up 6%"));
        assert_ne!(gist("🚀"), gist("💀"));
    }

    #[tokio::test]
    async fn a_headline_of_combining_marks_is_cut_by_characters_too() {
        let served = Served::new();
        let headline = "e\u{301}\u{301}".repeat(290);
        let rows = serde_json::json!([{ "datetime": 1_772_440_000, "headline": headline }]);
        served.says(NEWS, rows.to_string());
        let news = served.simsar().news(NewsCategory::General).await.unwrap();
        assert_eq!(news.value.headlines[0].text.raw().chars().count(), 300);
    }

    #[tokio::test]
    async fn a_hostile_headline_is_cleaned_and_cut_at_the_door() {
        let served = Served::new();
        let headline = format!("\u{1b}[2Jbuy\u{202e} now\n{}", "x".repeat(500));
        let rows = serde_json::json!([{ "datetime": 1_772_440_000, "headline": headline }]);
        served.says(NEWS, rows.to_string());
        let news = served.simsar().news(NewsCategory::General).await.unwrap();
        let text = news.value.headlines[0].text.raw();
        assert!(text.starts_with("buy now xxx") && text.chars().count() == 300, "{text:?}");
    }

    #[tokio::test]
    async fn calendar_times_are_utc_and_null_is_not_zero() {
        let served = Served::new();
        let calendar = served.simsar().calendar().await.unwrap();
        let [first, second] = calendar.value.entries.as_slice() else { panic!("{calendar:?}") };
        assert_eq!(first.at.to_rfc3339(), "2026-03-02T09:00:00+00:00");
        assert_eq!((first.estimate, first.previous, first.actual), (None, Some(50.9), Some(51.2)));
        assert_eq!((first.impact, second.impact, second.country.as_str()), ("unknown", "high", "US"));
        assert_eq!(
            served.requests(),
            ["http://sources/api/v1/calendar/economic?from=2026-03-02&to=2026-03-09"]
        );
    }

    #[tokio::test]
    async fn an_empty_week_is_fine_and_a_missing_list_is_not() {
        let served = Served::new();
        served.says(CALENDAR, r#"{"economicCalendar":[]}"#);
        assert!(served.simsar().calendar().await.unwrap().value.entries.is_empty());
        for body in
            [r"{}", r#"{"economicCalendar":null}"#, r#"{"economicCalendar":[{"event":"x","time":"soon"}]}"#]
        {
            let served = Served::new();
            served.says(CALENDAR, body);
            assert!(served.simsar().calendar().await.is_err(), "{body}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_without_access_is_remembered() {
        let served = Served::new();
        let simsar = served.simsar();
        let body = r#"{"error":"You don't have access to this resource."}"#;
        served.answers(CALENDAR, 403, None, body, 1);
        for _ in 0..3 {
            assert!(simsar.calendar().await.unwrap_err().is_no_access());
            tokio::time::advance(std::time::Duration::from_secs(5)).await;
        }
        assert_eq!(served.requests().iter().filter(|target| target.contains(CALENDAR)).count(), 1);
        tokio::time::advance(std::time::Duration::from_hours(3)).await;
        served.clock.advance(chrono::Duration::hours(3));
        assert!(simsar.calendar().await.is_err());
        let asked = served.requests().iter().filter(|target| target.contains(CALENDAR)).count();
        assert_eq!(asked, 1, "a plan does not change while we run");
        assert!(simsar.news(NewsCategory::Crypto).await.is_ok(), "news are covered by every key");
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_news_stand_in_marked_stale_when_the_source_fails() {
        let served = Served::new();
        let simsar = served.simsar();
        simsar.news(NewsCategory::Crypto).await.unwrap();
        served.answers(NEWS, 500, None, "", usize::MAX);
        served.clock.advance(chrono::Duration::minutes(10));
        let news = simsar.news(NewsCategory::Crypto).await.unwrap();
        assert!(news.stale && news.note.unwrap().contains("HTTP 500"));
        assert_eq!(news.as_of, noon());
        served.clock.advance(chrono::Duration::hours(6));
        tokio::time::advance(std::time::Duration::from_secs(2)).await;
        assert!(simsar.news(NewsCategory::Crypto).await.is_err(), "too old to stand in");
    }
}
