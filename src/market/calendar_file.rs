//! The last economic calendar on disk, for a start on a day when nobody serves one.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::sources::finnhub::{Calendar, read_entry};
use crate::domain::Timestamp;

const FILE: &str = "calendar.json";

#[derive(Serialize, Deserialize)]
struct Kept {
    as_of: Timestamp,
    source: String,
    /// In the wire shape of the calendar's own source, so that it is read back through the same door.
    rows: Vec<Value>,
}

/// Writes it beside the old one and then in its place. A failure is logged: the calendar is at hand all the same.
pub(crate) async fn save(folder: &Path, calendar: &Calendar, as_of: Timestamp) {
    let rows = calendar
        .entries
        .iter()
        .map(|entry| {
            json!({
                "time": entry.at.format("%Y-%m-%d %H:%M:%S").to_string(), "country": entry.country,
                "event": entry.event, "impact": entry.impact, "estimate": entry.estimate,
                "prev": entry.previous, "actual": entry.actual, "unit": entry.unit,
            })
        })
        .collect();
    let kept = Kept { as_of, source: calendar.source.to_string(), rows };
    let file = folder.join(FILE);
    if let Err(error) = write(&file, &kept).await {
        tracing::warn!(file = %file.display(), %error, "the calendar could not be kept");
    }
}

async fn write(file: &Path, kept: &Kept) -> std::io::Result<()> {
    let text = serde_json::to_vec(kept)?;
    let beside: PathBuf = file.with_extension("json.new");
    tokio::fs::write(&beside, text).await?;
    tokio::fs::rename(&beside, file).await
}

/// The kept calendar from today on, and when it was read; `None` when there is none or it cannot be read.
pub(crate) async fn load(folder: &Path, now: Timestamp) -> Option<(Calendar, Timestamp)> {
    let file = folder.join(FILE);
    let text = tokio::fs::read(&file).await.ok()?;
    let kept: Kept = serde_json::from_slice(&text)
        .inspect_err(
            |error| tracing::warn!(file = %file.display(), %error, "the kept calendar is not readable"),
        )
        .ok()?;
    let today = now.date_naive();
    let entries = kept.rows.iter().filter_map(read_entry).filter(|entry| entry.at.date_naive() >= today);
    let calendar = Calendar {
        source: format!("{}, kept on disk", kept.source).into(),
        instead_of: None,
        entries: entries.collect(),
        refused: 0,
    };
    Some((calendar, kept.as_of))
}
