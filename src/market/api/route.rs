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

/// The paths beside those of market data.
pub(super) fn other_paths() -> [&'static str; 5] {
    ["/", "/health", "/symbols", "/openapi.json", "/brief"]
}

/// The paths of market data, each news category and indicator on its own.
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

    /// Whether it is one of market data: the model's tool reaches nothing else.
    pub(crate) fn is_for_tool(&self) -> bool {
        !matches!(self, Self::Index | Self::Health | Self::Symbols | Self::OpenApi | Self::Brief)
    }

    /// The refusal of a path that does not exist, with the nearest that does.
    pub(crate) fn unknown(path: &str) -> Refusal {
        let mut allowed = tool_paths();
        allowed.extend(other_paths().map(str::to_owned));
        let nearest = nearest(path, &allowed).to_owned();
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

/// The known path nearest to one that is not; the list of all where none resembles it.
fn nearest<'a>(asked: &str, known: &'a [String]) -> &'a str {
    let asked = asked.trim_matches('/');
    let furthest = (asked.chars().take(64).count() / 2).max(FORGOTTEN);
    let best = known.iter().map(|known| (distance(asked, known), known.as_str())).min_by_key(|(far, _)| *far);
    best.filter(|(far, _)| *far <= furthest).map_or("/", |(_, known)| known)
}

/// A word of a path that was left out; a symbol left out is a smaller slip.
const FORGOTTEN: usize = 2;
const FORGOTTEN_SYMBOL: usize = 1;
/// Text in the place of a symbol that does not look like one.
const ODD_SYMBOL: usize = 2;

/// How far a path is from a known one: the cheapest way to make one from the other by changing, leaving out and adding
/// words.
fn distance(asked: &str, known: &str) -> usize {
    let asked: Vec<&str> = asked.split('/').take(8).collect();
    // The least it costs to make the known words so far from none, one, two, … of those asked.
    let mut row: Vec<usize> = std::iter::once(0)
        .chain(asked.iter().scan(0, |sum, word| {
            *sum += superfluous(word);
            Some(*sum)
        }))
        .collect();
    for word in known.trim_matches('/').split('/') {
        let forgotten = if word == SYMBOL { FORGOTTEN_SYMBOL } else { FORGOTTEN };
        let mut diagonal = row[0];
        row[0] += forgotten;
        for (place, asked) in asked.iter().enumerate() {
            let changed = diagonal + change(asked, word);
            diagonal = row[place + 1];
            row[place + 1] = changed.min(diagonal + forgotten).min(row[place] + superfluous(asked));
        }
    }
    row[asked.len()]
}

fn superfluous(word: &str) -> usize {
    3 + word.chars().take(16).count()
}

/// What it costs to take one word for another.
fn change(asked: &str, known: &str) -> usize {
    if known == SYMBOL {
        let asked = asked.to_ascii_uppercase();
        let usual = ["USDT", "USDC", "BUSD"].iter().any(|quote| asked.len() > 4 && asked.ends_with(quote));
        return if usual { 0 } else { ODD_SYMBOL };
    }
    let asked = asked.to_ascii_lowercase();
    if asked == known {
        0
    } else if !asked.is_empty()
        && !known.is_empty()
        && (known.starts_with(&asked) || asked.starts_with(known))
    {
        1
    } else {
        edits(&asked, known)
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
