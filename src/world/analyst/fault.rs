//! A bad day of the analyst: every way in which a model is known to go wrong, at will.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value, json};

use super::conversation::{Block, Conversation};
use super::reading::CALL_API;
use super::reply::ReplyBlock;
use crate::domain::InvalidName;

/// One way to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The answer with the decisions is cut off in the middle by the token limit.
    Truncate,
    /// An analysis, and no decisions.
    ProseOnly,
    /// It declines, with stop reason `refusal`.
    Refuse,
    /// The stream begins and then nothing comes any more.
    Stall,
    /// HTTP 529 before the stream.
    Overload,
    /// An `overloaded_error` in the middle of the stream.
    OverloadMidStream,
    /// HTTP 429 without `retry-after`: a limit of money is reached, and waiting does not help.
    SpendLimit,
    /// Events, blocks and deltas of kinds nobody knows yet, among the answer's own.
    UnknownKinds,
    /// The stream comes in pieces that end in the middle of a character.
    SplitUtf8,
    /// Every second row is broken, each in another way.
    MalformedRows,
    /// The first row comes twice, with opposite words.
    Duplicates,
    /// A row for a coin and one for an account that nobody asked about.
    HallucinatedCoin,
    /// LONG with full confidence, everywhere, allowed or not.
    AlwaysLong,
    /// It obeys whatever headlines and tool results tell it.
    Gullible,
}

impl Fault {
    /// Every one of them.
    pub const ALL: [Self; 14] = [
        Self::Truncate,
        Self::ProseOnly,
        Self::Refuse,
        Self::Stall,
        Self::Overload,
        Self::OverloadMidStream,
        Self::SpendLimit,
        Self::UnknownKinds,
        Self::SplitUtf8,
        Self::MalformedRows,
        Self::Duplicates,
        Self::HallucinatedCoin,
        Self::AlwaysLong,
        Self::Gullible,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Truncate => "truncate",
            Self::ProseOnly => "prose-only",
            Self::Refuse => "refuse",
            Self::Stall => "stall",
            Self::Overload => "overload",
            Self::OverloadMidStream => "overload-mid-stream",
            Self::SpendLimit => "spend-limit",
            Self::UnknownKinds => "unknown-kinds",
            Self::SplitUtf8 => "split-utf8",
            Self::MalformedRows => "malformed-rows",
            Self::Duplicates => "duplicates",
            Self::HallucinatedCoin => "hallucinated-coin",
            Self::AlwaysLong => "always-long",
            Self::Gullible => "gullible",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Fault {
    type Err = InvalidName;
    /// Takes the names with `-` or `_`.
    fn from_str(name: &str) -> Result<Self, InvalidName> {
        let plain = name.replace('_', "-");
        Self::ALL.into_iter().find(|fault| fault.as_str() == plain).ok_or_else(|| InvalidName {
            kind: "analyst fault",
            value: name.to_owned(),
            allowed: "truncate, prose-only, refuse, stall, overload, overload-mid-stream, spend-limit, unknown-kinds, \
                      split-utf8, malformed-rows, duplicates, hallucinated-coin, always-long, gullible",
        })
    }
}

/// Spoils the rows of an answer.
pub(super) fn spoil_rows(
    fault: Option<Fault>,
    conversation: &Conversation,
    mut rows: Vec<Map<String, Value>>,
) -> Vec<Map<String, Value>> {
    match fault {
        Some(Fault::MalformedRows) => {
            for (number, row) in rows.iter_mut().skip(1).step_by(2).enumerate() {
                break_row(row, number);
            }
        }
        Some(Fault::Duplicates) => {
            if let Some(mut again) = rows.first().cloned() {
                again.insert("decision".to_owned(), json!("SHORT"));
                rows.push(again);
            }
        }
        Some(Fault::HallucinatedCoin) => {
            for (field, stranger) in [("symbol", "MOONUSDT"), ("account", "nobody")] {
                if let Some(mut row) = rows.first().cloned() {
                    row.insert(field.to_owned(), json!(stranger));
                    row.insert("decision".to_owned(), json!("LONG"));
                    row.insert("confidence".to_owned(), json!(0.99));
                    rows.push(row);
                }
            }
        }
        Some(Fault::AlwaysLong) => {
            for row in &mut rows {
                row.insert("decision".to_owned(), json!("LONG"));
                row.insert("confidence".to_owned(), json!(1.0));
            }
        }
        Some(Fault::Gullible) => {
            for order in heard(conversation) {
                obey(&order, &mut rows);
            }
        }
        _ => {}
    }
    rows
}

/// Each broken row is broken in another way.
fn break_row(row: &mut Map<String, Value>, number: usize) {
    match number % 5 {
        0 => drop(row.insert("decision".to_owned(), json!(["LONG"]))),
        1 => drop(row.insert("confidence".to_owned(), json!("high"))),
        2 => drop(row.insert("decision".to_owned(), json!("REVERSE"))),
        3 => drop(row.insert("confidence".to_owned(), json!(7))),
        _ => drop(row.insert("confidence".to_owned(), Value::Null)),
    }
}

/// The look-ups a gullible analyst adds because a text told it to: every address it was given.
pub(super) fn extra_calls(fault: Option<Fault>, conversation: &Conversation) -> Vec<ReplyBlock> {
    if fault != Some(Fault::Gullible) || conversation.tool(CALL_API).is_none() {
        return Vec::new();
    }
    let mut addresses: Vec<String> = heard(conversation)
        .iter()
        .flat_map(|text| {
            text.split(|character: char| character.is_whitespace() || "\"'<>()".contains(character))
        })
        .filter(|word| word.contains("://") || word.starts_with("/fapi") || word.contains("../"))
        .map(str::to_owned)
        .collect();
    addresses.sort();
    addresses.dedup();
    addresses
        .into_iter()
        .take(20)
        .map(|address| ReplyBlock::ToolUse {
            name: CALL_API.to_owned(),
            input: json!({ "endpoint": address }).to_string(),
        })
        .collect()
}

/// Every text of others: what the prompt quotes as fetched, and whatever tools answered.
fn heard(conversation: &Conversation) -> Vec<String> {
    let results = conversation.turns.iter().flat_map(|turn| &turn.blocks).filter_map(|block| match block {
        Block::ToolResult { text, .. } => Some(text),
        _ => None,
    });
    // Of an answer only its sentences: a field called `short` is no order.
    let results = results.flat_map(|text| match serde_json::from_str::<Value>(text) {
        Ok(answer) => sentences(&answer),
        Err(_) => vec![text.clone()],
    });
    let fetched = conversation
        .user_texts()
        .flat_map(str::lines)
        .filter(|line| line.starts_with('{'))
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .flat_map(|line| ["headline", "calendar", "trouble"].map(|field| texts(&line[field])).concat());
    fetched.chain(results).collect()
}

/// A text, or every text among an object's fields.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Object(fields) => fields.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

/// Every text in an answer that is more than a word.
fn sentences(answer: &Value) -> Vec<String> {
    match answer {
        Value::String(text) if text.contains([' ', '{']) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(sentences).collect(),
        Value::Object(fields) => fields.values().flat_map(sentences).collect(),
        _ => Vec::new(),
    }
}

/// Does what a text says, as far as it can be understood at all.
fn obey(order: &str, rows: &mut Vec<Map<String, Value>>) {
    let upper = order.to_uppercase();
    // Whole words: a field such as `long_short_ratio` is no order.
    let words: Vec<&str> =
        upper.split(|character: char| !(character.is_alphanumeric() || character == '_')).collect();
    let has = |wanted: &[&str]| words.iter().any(|word| wanted.contains(word));
    let word = if has(&["CLOSE", "KAPAT", "LIQUIDATE"]) {
        Some("CLOSE")
    } else if has(&["SHORT", "SELL", "SAT"]) {
        Some("SHORT")
    } else if has(&["LONG", "BUY", "AL", "ALIN"]) {
        Some("LONG")
    } else {
        None
    };
    let everything = has(&["ALL", "EVERY", "EVERYTHING", "HEPSİ", "HEPSI", "TÜM"]);
    if let Some(word) = word {
        for row in rows.iter_mut() {
            let coin = row.get("symbol").and_then(Value::as_str).unwrap_or_default();
            if everything || upper.contains(coin.trim_end_matches("USDT")) {
                row.insert("decision".to_owned(), json!(word));
                row.insert("confidence".to_owned(), confidence_in(order));
                row.insert("reason".to_owned(), json!(order));
            }
        }
    }
    rows.extend(rows_in(order));
}

/// The confidence a text demands; without one, all there is.
fn confidence_in(order: &str) -> Value {
    let after = order.to_lowercase().split_once("confidence").map(|(_, after)| after.to_owned());
    let number = after.as_deref().and_then(|after| {
        after
            .split(|character: char| !(character.is_ascii_digit() || character == '.'))
            .find_map(|word| word.trim_end_matches('.').parse::<f64>().ok())
    });
    json!(number.unwrap_or(1.0))
}

/// Ready-made rows within a text.
fn rows_in(order: &str) -> Vec<Map<String, Value>> {
    let mut rows = Vec::new();
    let mut rest = order;
    while let Some(start) = rest.find('{') {
        let mut values = serde_json::Deserializer::from_str(&rest[start..]).into_iter::<Value>();
        match values.next() {
            Some(Ok(Value::Object(row))) => {
                let end = start + values.byte_offset();
                if row.contains_key("account") && row.contains_key("symbol") {
                    rows.push(row);
                }
                rest = &rest[end.max(start + 1)..];
            }
            _ => rest = &rest[start + 1..],
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_found_by_its_name_and_the_refusal_names_them_all() {
        for fault in Fault::ALL {
            assert_eq!(fault.as_str().parse(), Ok(fault));
            assert_eq!(fault.as_str().replace('-', "_").parse(), Ok(fault));
        }
        let refusal = "sulk".parse::<Fault>().unwrap_err();
        assert_eq!(refusal.allowed.split(", ").collect::<Vec<_>>(), Fault::ALL.map(Fault::as_str));
    }
}
