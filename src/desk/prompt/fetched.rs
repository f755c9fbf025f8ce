//! What others wrote, as it stands in the prompt: JSON strings inside an envelope, and nowhere else.

use rust_decimal::Decimal;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::input::{CalendarInput, PromptInput};
use crate::domain::Untrusted;

/// Calendar entries shown; with more than these, the low-impact ones go first.
const CALENDAR_ENTRIES: usize = 20;
/// Headlines shown in all.
const HEADLINES: usize = 30;
/// Columns of one headline.
const HEADLINE_COLUMNS: usize = 140;
/// Columns of a name or a note that somebody else wrote.
const NAME_COLUMNS: usize = 60;

/// The entries that are shown, in order.
pub(super) fn calendar_entries(input: &PromptInput) -> impl Iterator<Item = &CalendarInput> {
    let crowded = input.calendar.len() > CALENDAR_ENTRIES;
    input
        .calendar
        .iter()
        .filter(move |entry| !(crowded && entry.impact.raw().eq_ignore_ascii_case("low")))
        .take(CALENDAR_ENTRIES)
}

/// What others wrote, harmless inside its envelope.
pub(super) fn lines(input: &PromptInput) -> Result<Vec<String>, serde_json::Error> {
    let mut lines = Vec::new();
    let names: serde_json::Map<String, serde_json::Value> = (1..)
        .zip(calendar_entries(input))
        .map(|(number, entry): (usize, _)| {
            let name = format!("{} {}", entry.country.line(20), entry.event.line(NAME_COLUMNS));
            (number.to_string(), name.trim().into())
        })
        .collect();
    if !names.is_empty() {
        lines.push(serde_json::to_string(&serde_json::json!({ "calendar": names }))?);
    }
    lines.extend(headlines(input)?);
    let trouble = |of: &str, name: &str, words: &str| {
        let words = Untrusted::new(words).line(NAME_COLUMNS);
        serde_json::to_string(&serde_json::json!({ of: name, "trouble": words }))
    };
    for source in &input.sources {
        if let Some(error) = &source.error {
            lines.push(trouble("of_source", &source.name, error)?);
        }
    }
    for account in &input.accounts {
        if let Some(words) = &account.state.trouble {
            lines.push(trouble("of_account", account.state.name.as_str(), words)?);
        }
    }
    Ok(lines.iter().map(|line| inert(line)).collect())
}

#[derive(Serialize)]
struct Headline<'a> {
    /// This and the source only where they differ from the line before.
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    age_min: i64,
    #[serde(rename = "headline")]
    text: String,
}

fn headlines(input: &PromptInput) -> Result<Vec<String>, serde_json::Error> {
    input
        .news
        .iter()
        .take(HEADLINES)
        .enumerate()
        .map(|(place, news)| {
            let before = place.checked_sub(1).map(|before| &input.news[before]);
            let is_new_category = before.is_none_or(|before| before.category != news.category);
            let is_new_source = before.is_none_or(|before| before.source != news.source);
            serde_json::to_string(&Headline {
                category: is_new_category.then_some(news.category.as_str()),
                source: is_new_source.then(|| news.source.line(NAME_COLUMNS)),
                age_min: (input.market_time - news.published).num_minutes().max(0),
                text: news.headline.line(HEADLINE_COLUMNS),
            })
        })
        .collect()
}

/// Inside a JSON string these three could look like the end of the envelope or of a fence; JSON lets them be spelled.
pub(super) fn inert(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('`', "\\u0060")
}

/// A word no text from outside can contain, because it is a hash over all of them, the prices and the hour.
pub(super) fn nonce(input: &PromptInput) -> String {
    let mut hasher = Sha256::new();
    hasher.update(input.market_time.timestamp_millis().to_le_bytes());
    let headlines = input.news.iter().flat_map(|news| [news.source.raw(), news.headline.raw()]);
    let names = input.calendar.iter().flat_map(|entry| [entry.country.raw(), entry.event.raw()]);
    let troubles = input.sources.iter().filter_map(|source| source.error.as_deref());
    let accounts = input.accounts.iter().filter_map(|account| account.state.trouble.as_deref());
    for text in headlines.chain(names).chain(troubles).chain(accounts) {
        hasher.update(text);
        hasher.update([0]);
    }
    for price in input.coins.iter().filter_map(|coin| coin.price) {
        hasher.update(price_bytes(price));
    }
    hex::encode(hasher.finalize()).chars().take(16).collect()
}

fn price_bytes(price: Decimal) -> [u8; 16] {
    price.normalize().serialize()
}
