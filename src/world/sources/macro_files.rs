//! Recorded figures beside the candles: `daily_DJI.csv` and `crypto_fear_greed_daily.csv`.

use std::collections::BTreeMap;
use std::path::Path;

use super::parse_date;
use crate::world::market::calendar_time::{DAY_MS, HOUR_MS, new_york_session};
use crate::world::market::reference::Sessions;

/// Recorded figures that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MacroError {
    /// A file is there but cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Neither of the known files is there.
    #[error("{path} holds neither daily_DJI.csv nor crypto_fear_greed_daily.csv")]
    Empty {
        /// The folder.
        path: String,
    },
    /// A line is not what its file holds.
    #[error("{path}:{line}: {reason}")]
    Malformed {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

/// Recorded Dow Jones sessions and Fear & Greed values; either may be missing.
#[derive(Debug)]
pub struct MacroFiles {
    dow: Option<Sessions>,
    /// Value by midnight UTC of its day.
    fear_greed: BTreeMap<i64, i64>,
}

impl MacroFiles {
    /// Reads the known files of a folder. Fails when none is there, or one holds something else.
    pub fn read(folder: &Path) -> Result<Self, MacroError> {
        let dow = rows(&folder.join("daily_DJI.csv"), dow_row)?;
        let fear_greed = rows(&folder.join("crypto_fear_greed_daily.csv"), fear_greed_row)?;
        if dow.is_none() && fear_greed.is_none() {
            return Err(MacroError::Empty { path: folder.display().to_string() });
        }
        let dow = dow.map(|mut sessions| {
            sessions.sort_by_key(|(start, ..)| *start);
            sessions.dedup_by_key(|(start, ..)| *start);
            Sessions::new(sessions.into_iter(), 0)
        });
        Ok(Self { dow, fear_greed: fear_greed.unwrap_or_default().into_iter().collect() })
    }

    /// The recorded Dow Jones, if its sessions reach to an instant (a long weekend after the last one included).
    pub(super) fn dow_at(&self, at_ms: i64) -> Option<&Sessions> {
        let sessions = self.dow.as_ref()?;
        let (start, end) = sessions.reach()?;
        (start..end + 4 * DAY_MS).contains(&at_ms).then_some(sessions)
    }

    /// The recorded Fear & Greed value of the day that begins at an instant.
    pub(super) fn fear_greed(&self, day_ms: i64) -> Option<i64> {
        self.fear_greed.get(&day_ms).copied()
    }
}

/// The rows of a file with a header; nothing when the file is not there.
fn rows<T>(path: &Path, row: fn(&[&str]) -> Option<T>) -> Result<Option<Vec<T>>, MacroError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(MacroError::Read { path: path.display().to_string(), source }),
    };
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate().skip(1).filter(|(_, line)| !line.trim().is_empty()) {
        let columns: Vec<&str> = line.split(',').map(str::trim).collect();
        found.push(row(&columns).ok_or_else(|| MacroError::Malformed {
            path: path.display().to_string(),
            line: number + 1,
            reason: format!("{line:?} does not fit the header"),
        })?);
    }
    Ok(Some(found))
}

/// `date,symbol,open,high,low,close,change,volume`: a session.
fn dow_row(columns: &[&str]) -> Option<(i64, i64, [f64; 4], f64)> {
    let day = parse_date(columns.first()?)?;
    // recorded sessions count even where the calendar knows better: a weekend date is refused
    let (start, end) = new_york_session(day + 17 * HOUR_MS)?;
    let number = |place: usize| {
        columns.get(place)?.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)
    };
    let prices = [number(2)?, number(3)?, number(4)?, number(5)?];
    prices.iter().all(|price| (1.0..1e7).contains(price)).then_some((
        start,
        end,
        prices,
        number(7).unwrap_or(0.0),
    ))
}

/// `date,timestamp,value,classification`: a day's index.
fn fear_greed_row(columns: &[&str]) -> Option<(i64, i64)> {
    let value: f64 = columns.get(2)?.parse().ok()?;
    (0.0..=100.0).contains(&value).then_some((parse_date(columns.first()?)?, value.round() as i64))
}
