//! Paths: which there are, and which one a wrong one was probably meant to be.

use serde_json::json;

use crate::domain::Symbol;
use crate::market::indicators::Indicator;
use crate::market::sources::binance::RatioKind;
use crate::market::sources::finnhub::NewsCategory;

use super::{Refusal, shown};

/// What a path asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Target {
    Index,
    Health,
    Symbols,
    OpenApi,
    Brief,
    Price(Symbol),
    Candles(Symbol),
    Indicator(&'static str, Indicator, Symbol),
    FundingRate(Symbol),
    OpenInterest(Symbol),
    Ratio(RatioKind, Symbol),
    FearGreed,
    News(NewsCategory),
    Calendar,
    Us30,
    Us30Candles,
}

/// The place of a contract in a template.
pub(super) const SYMBOL: &str = "{symbol}";

/// The paths beside those of SPEC §3.
pub(super) fn other_paths() -> [&'static str; 5] {
    ["/", "/health", "/symbols", "/openapi.json", "/brief"]
}

/// The paths of SPEC §3, each news category and indicator on its own.
pub fn tool_paths() -> Vec<String> {
    let mut paths = vec![format!("/price/{SYMBOL}"), format!("/candles/{SYMBOL}")];
    paths.extend(Indicator::NAMES.map(|name| format!("/indicators/{name}/{SYMBOL}")));
    let futures = ["funding-rate", "open-interest", "long-short-ratio", "top-trader-ratio"];
    paths.extend(futures.map(|name| format!("/futures/{name}/{SYMBOL}")));
    paths.push("/fear-greed".to_owned());
    paths.extend(NewsCategory::ALL.map(|category| format!("/news/{}", category.as_str())));
    paths.extend(["/calendar", "/macro/us30", "/macro/us30/candles"].map(str::to_owned));
    paths
}

impl Target {
    /// Reads a path. `symbols` are the allowed contracts; empty allows every well-spelled one.
    pub(crate) fn find(path: &str, symbols: &[Symbol]) -> Result<Self, Refusal> {
        let trimmed = path.strip_prefix('/').unwrap_or(path);
        let segments: Vec<&str> = trimmed.split('/').collect();
        let symbol = |text: &str| allowed_symbol(text, symbols);
        Ok(match segments.as_slice() {
            [""] => Self::Index,
            ["health"] => Self::Health,
            ["symbols"] => Self::Symbols,
            ["openapi.json"] => Self::OpenApi,
            ["brief"] => Self::Brief,
            ["price", name] => Self::Price(symbol(name)?),
            ["candles", name] => Self::Candles(symbol(name)?),
            ["indicators", word, name] => {
                let known = Indicator::NAMES.iter().find(|known| *known == word);
                match known.and_then(|known| Some((*known, Indicator::named(known)?))) {
                    Some((known, indicator)) => Self::Indicator(known, indicator, symbol(name)?),
                    None => return Err(Self::unknown(path)),
                }
            }
            ["futures", "funding-rate", name] => Self::FundingRate(symbol(name)?),
            ["futures", "open-interest", name] => Self::OpenInterest(symbol(name)?),
            ["futures", "long-short-ratio", name] => Self::Ratio(RatioKind::AllAccounts, symbol(name)?),
            ["futures", "top-trader-ratio", name] => Self::Ratio(RatioKind::TopPositions, symbol(name)?),
            ["fear-greed"] => Self::FearGreed,
            ["news", word] => match NewsCategory::ALL.into_iter().find(|known| known.as_str() == *word) {
                Some(category) => Self::News(category),
                None => return Err(Self::unknown(path)),
            },
            ["calendar"] => Self::Calendar,
            ["macro", "us30"] => Self::Us30,
            ["macro", "us30", "candles"] => Self::Us30Candles,
            _ => return Err(Self::unknown(path)),
        })
    }

    /// Whether SPEC §3 lists it: the model's tool reaches nothing else.
    pub(crate) fn is_for_tool(&self) -> bool {
        !matches!(self, Self::Index | Self::Health | Self::Symbols | Self::OpenApi | Self::Brief)
    }

    /// The refusal of a path that does not exist, with the nearest that does.
    pub(crate) fn unknown(path: &str) -> Refusal {
        let mut allowed = tool_paths();
        allowed.extend(other_paths().map(str::to_owned));
        let nearest = allowed.iter().min_by_key(|known| distance(path, known)).cloned().unwrap_or_default();
        Refusal::Path { asked: path.to_owned(), nearest, allowed }
    }
}

fn allowed_symbol(text: &str, symbols: &[Symbol]) -> Result<Symbol, Refusal> {
    let symbol = Symbol::new(text).ok();
    match symbol.filter(|symbol| symbols.is_empty() || symbols.contains(symbol)) {
        Some(symbol) => Ok(symbol),
        None => Err(Refusal::Parameter {
            error: format!("{:?} is not a symbol of this desk", shown(text)),
            allowed: if symbols.is_empty() {
                json!("2 to 20 capital letters and digits, such as BTCUSDT")
            } else {
                json!(symbols)
            },
        }),
    }
}

/// How far a path is from a known one, segment by segment; any text stands for the symbol.
fn distance(asked: &str, known: &str) -> usize {
    let mut asked = asked.trim_matches('/').split('/').take(8);
    let mut known = known.trim_matches('/').split('/');
    let mut total = 0;
    loop {
        total += match (asked.next(), known.next()) {
            (None, None) => return total,
            (Some(_), Some(SYMBOL)) => 0,
            (Some(asked), Some(known)) => edits(asked, known),
            // A missing symbol is a smaller slip than a wrong word.
            (None, Some(SYMBOL)) => 1,
            (Some(extra), None) | (None, Some(extra)) => 3 + extra.len().min(16),
        };
    }
}

/// Edit distance of two words, of which only the beginning counts when they are long.
fn edits(a: &str, b: &str) -> usize {
    const LONGEST: usize = 32;
    let b: Vec<char> = b.chars().take(LONGEST).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().take(LONGEST).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
