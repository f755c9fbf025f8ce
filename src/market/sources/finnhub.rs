//! Finnhub: news in three categories, and the economic calendar (data.md §3.2). The key travels in a header only.

use std::collections::HashSet;

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
/// Columns a headline or an event name may take.
const LONGEST_TEXT: usize = 300;
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
}

/// One entry of the economic calendar.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CalendarEntry {
    /// When it is published.
    pub at: Timestamp,
    /// Country, two letters; empty when the source gave none.
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
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Calendar {
    /// The entries.
    pub entries: Vec<CalendarEntry>,
    /// Rows without an event or a time.
    pub refused: usize,
}

pub(crate) struct Finnhub {
    pub(crate) upstream: Upstream,
    pub(crate) token: Option<SecretString>,
}

impl Finnhub {
    /// The latest headlines of a category.
    pub(crate) async fn news(&self, category: NewsCategory) -> Result<News, SourceError> {
        let target = format!("/api/v1/news?category={}&minId=0", category.as_str());
        let rows: Vec<Value> = self.upstream.get(&target, &self.headers()?).await?;
        if rows.is_empty() {
            return Err(self.upstream.empty("news in this category"));
        }
        let read: Vec<_> = rows.iter().filter_map(read_headline).collect();
        if read.is_empty() {
            return Err(self.upstream.malformed("no row with a headline and a time"));
        }
        let refused = rows.len() - read.len();
        let mut seen = HashSet::new();
        let mut headlines: Vec<_> =
            read.into_iter().filter(|headline| seen.insert(headline.text.raw().to_lowercase())).collect();
        headlines.sort_by(|a, b| b.at.cmp(&a.at));
        Ok(News { headlines, refused })
    }

    /// Today's entries and those of the next seven days.
    pub(crate) async fn calendar(&self, now: Timestamp) -> Result<Calendar, SourceError> {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(rename = "economicCalendar")]
            entries: Option<Vec<Value>>,
        }
        let from = now.date_naive();
        let to = from.checked_add_days(DAYS_AHEAD).unwrap_or(from);
        let target = format!("/api/v1/calendar/economic?from={from}&to={to}");
        let wire: Wire = self.upstream.get(&target, &self.headers()?).await?;
        let rows = wire.entries.ok_or_else(|| self.upstream.malformed("no economicCalendar in it"))?;
        let mut entries: Vec<_> = rows.iter().filter_map(read_entry).collect();
        if entries.is_empty() && !rows.is_empty() {
            return Err(self.upstream.malformed("no calendar row with an event and a time"));
        }
        entries.sort_by_key(|entry| entry.at);
        let refused = rows.len() - entries.len();
        Ok(Calendar { entries, refused })
    }

    fn headers(&self) -> Result<HeaderMap, SourceError> {
        let token = self.token.as_ref().ok_or_else(|| self.upstream.no_key())?;
        let mut value = HeaderValue::from_str(token.expose_secret())
            .map_err(|_| self.upstream.malformed("the key has characters no header can carry"))?;
        value.set_sensitive(true);
        Ok(HeaderMap::from_iter([(TOKEN_HEADER, value)]))
    }
}

/// Cleans at the door: what is kept can be shown anywhere and is still marked as somebody else's.
fn cleaned(value: &Value) -> Untrusted {
    Untrusted::new(Untrusted::new(wire::text(value)).line(LONGEST_TEXT))
}

fn read_headline(row: &Value) -> Option<Headline> {
    let text = cleaned(&row["headline"]);
    let at = wire::seconds(&row["datetime"])?;
    (!text.is_empty()).then(|| Headline { text, source: cleaned(&row["source"]), at })
}

fn read_entry(row: &Value) -> Option<CalendarEntry> {
    let event = cleaned(&row["event"]);
    let at = utc_without_zone(wire::text(&row["time"]))?;
    let country = wire::text(&row["country"]);
    let plain = country.len() <= 3 && country.bytes().all(|byte| byte.is_ascii_uppercase());
    (!event.is_empty()).then(|| CalendarEntry {
        at,
        country: if plain { country.to_owned() } else { String::new() },
        event,
        impact: impact(wire::text(&row["impact"])),
        estimate: wire::float(&row["estimate"]),
        previous: wire::float(&row["prev"]),
        actual: wire::float(&row["actual"]),
        unit: cleaned(&row["unit"]),
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
