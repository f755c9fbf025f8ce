//! From views to decisions: one row for every account and coin of the task, never a word that is not allowed.

use std::collections::BTreeMap;

use super::reading::{Holding, Reading, Task, TaskCoin};
use super::signals::View;

/// From this score on (either way) an opening is worth proposing.
const OPENING_SCORE: f64 = 0.22;
/// The analyst's own idea of a strong opening.
const STRONG: f64 = 0.75;
/// The same in hundredths.
const STRONG_HUNDREDTHS: u32 = 75;
/// Coins opened with conviction in one hour.
const STRONG_OPENINGS: usize = 3;
/// Positions in one account beyond which nothing is added with conviction.
const FULL_BOOK: usize = 5;
/// A score that may stand as counterweight to openings of the other direction.
const COUNTERWEIGHT_SCORE: f64 = 0.35;
/// ATR in percent of the price below which costs eat the move.
const QUIET_ATR_PERCENT: f64 = 0.35;
/// Positions younger than this are left alone unless the loss is large.
const YOUNG_HOURS: f64 = 3.0;
/// Loss in percent of the price that is large: half the usual stop distance.
const LARGE_LOSS_PERCENT: f64 = 5.0;

/// Why a row says what it says, beside the evidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Ground {
    /// The signal speaks for it.
    Signal,
    /// The strongest signal there is on an empty book.
    Strongest,
    /// An opening against the direction of the others.
    Counterweight,
    /// Strong enough, but enough openings are proposed already.
    Enough,
    /// The signal is too weak.
    Weak,
    /// The signal points where no opening is allowed.
    NotAllowed,
    /// The market does not move enough to pay for itself.
    Quiet,
    /// There are no figures.
    NoData,
    /// Too young to close.
    Young,
    /// The signal still carries the position.
    Carried,
    /// Nothing says the position is wrong.
    Unbroken,
    /// The profit target is reached.
    Target,
    /// The signal turned against the position.
    Turned,
    /// The loss is large and the signal does not help.
    LargeLoss,
}

/// One decision.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Decision {
    pub account: String,
    pub symbol: String,
    /// The word of the task's vocabulary.
    pub word: String,
    /// Hundredths of confidence.
    pub confidence: u32,
    pub ground: Ground,
    /// Gain of the position in percent of the price, if one is held.
    pub gain_percent: Option<f64>,
}

impl Decision {
    /// Whether it is an opening that is meant to be carried out.
    pub fn is_strong_opening(&self) -> bool {
        let opens = matches!(self.word.to_ascii_uppercase().as_str(), "LONG" | "SHORT");
        opens && self.confidence >= STRONG_HUNDREDTHS
    }
}

/// Decides every pair of the task.
pub(super) fn decide(task: &Task, reading: &Reading, views: &BTreeMap<String, View>) -> Vec<Decision> {
    let strong = strong_openings(task, views);
    task.accounts
        .iter()
        .flat_map(|account| account.coins.iter().map(move |coin| (account, coin)))
        .map(|(account, coin)| {
            let unknown = View::default();
            let view = views.get(&coin.symbol).unwrap_or(&unknown);
            let (word, confidence, ground, gain_percent) = match &coin.position {
                Some(position) => {
                    let price = reading.coins.get(&coin.symbol).and_then(|figures| figures.price);
                    manage(coin, position, price, view)
                }
                None => open(coin, view, &strong),
            };
            Decision {
                account: account.account.clone(),
                symbol: coin.symbol.clone(),
                word,
                confidence: hundredths(confidence),
                ground,
                gain_percent,
            }
        })
        .collect()
}

fn hundredths(confidence: f64) -> u32 {
    let scaled = (confidence.clamp(0.35, 0.92) * 100.0).round();
    // Within 35 to 92, so nothing can be lost.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped just above")]
    let whole = scaled as u32;
    whole
}

/// Whether the task allows a word, in any spelling of case.
pub(super) fn allows(coin: &TaskCoin, word: &str) -> bool {
    coin.allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(word))
}

fn direction(score: f64) -> &'static str {
    if score < 0.0 { "SHORT" } else { "LONG" }
}

fn plain_confidence(view: &View) -> f64 {
    0.42 + 0.55 * view.score.abs()
}

fn moves_enough(view: &View) -> bool {
    view.atr_percent.is_none_or(|percent| percent >= QUIET_ATR_PERCENT)
}

/// Coins opened with conviction: confidence and why.
type Strong = BTreeMap<String, (f64, Ground)>;

/// The coins whose opening is proposed with conviction.
fn strong_openings(task: &Task, views: &BTreeMap<String, View>) -> Strong {
    let candidates = candidates(task, views, None);
    let fullest = task
        .accounts
        .iter()
        .map(|account| account.coins.iter().filter(|coin| coin.position.is_some()).count())
        .max()
        .unwrap_or(0);
    let limit = STRONG_OPENINGS.min(FULL_BOOK.saturating_sub(fullest));
    let mut strong = Strong::new();
    let mut same_side = [0_usize; 2];
    for (symbol, view) in candidates.iter().filter(|(_, view)| plain_confidence(view) >= STRONG) {
        let room = match counterweight(&candidates, view.score) {
            Some(_) => limit.saturating_sub(1).max(1),
            None => limit,
        };
        let [long, short] = &mut same_side;
        let taken = if view.score < 0.0 { short } else { long };
        if strong.len() < limit && *taken < room {
            *taken += 1;
            strong.insert((*symbol).clone(), (plain_confidence(view), Ground::Signal));
        }
    }
    if fullest == 0 {
        start_the_book(&mut strong, task, views);
    }
    strong
}

/// The strongest candidate that points the other way, if it is strong enough to stand against a score.
fn counterweight<'a>(candidates: &[(&'a String, &'a View)], score: f64) -> Option<(&'a String, &'a View)> {
    candidates
        .iter()
        .find(|(_, view)| view.score * score < 0.0 && view.score.abs() >= COUNTERWEIGHT_SCORE)
        .copied()
}

/// With nothing held anywhere, every account gets its best signal, and one direction is not left alone.
fn start_the_book(strong: &mut Strong, task: &Task, views: &BTreeMap<String, View>) {
    let lifted = |view: &View| 0.76 + 0.1 * view.score.abs();
    for account in &task.accounts {
        let served = account.coins.iter().any(|coin| {
            let view = views.get(&coin.symbol);
            strong.contains_key(&coin.symbol) && view.is_some_and(|view| allows(coin, direction(view.score)))
        });
        if !served && let Some((symbol, view)) = candidates(task, views, Some(&account.account)).first() {
            strong.insert((*symbol).clone(), (lifted(view), Ground::Strongest));
        }
    }
    let scores: Vec<f64> =
        strong.keys().filter_map(|symbol| views.get(symbol)).map(|view| view.score).collect();
    let one_sided = scores.iter().all(|score| *score >= 0.0) || scores.iter().all(|score| *score < 0.0);
    if let Some(score) = scores.first().filter(|_| one_sided && strong.len() < STRONG_OPENINGS)
        && let Some((symbol, view)) = counterweight(&candidates(task, views, None), *score)
    {
        strong.insert(symbol.clone(), (lifted(view), Ground::Counterweight));
    }
}

/// Coins that may be opened in the direction of their signal, strongest first; of one account, or of all.
fn candidates<'a>(
    task: &'a Task,
    views: &'a BTreeMap<String, View>,
    account: Option<&str>,
) -> Vec<(&'a String, &'a View)> {
    let mut found: Vec<(&String, &View)> = task
        .accounts
        .iter()
        .filter(|candidate| account.is_none_or(|name| candidate.account == name))
        .flat_map(|candidate| &candidate.coins)
        .filter(|coin| coin.position.is_none())
        .filter_map(|coin| {
            let view = views.get(&coin.symbol).filter(|view| view.known && moves_enough(view))?;
            allows(coin, direction(view.score)).then_some((&coin.symbol, view))
        })
        .collect();
    found.sort_by(|left, right| {
        right.1.score.abs().total_cmp(&left.1.score.abs()).then_with(|| left.0.cmp(right.0))
    });
    found.dedup_by(|left, right| left.0 == right.0);
    found
}

type Verdict = (String, f64, Ground, Option<f64>);

fn open(coin: &TaskCoin, view: &View, strong: &BTreeMap<String, (f64, Ground)>) -> Verdict {
    let word = direction(view.score);
    let stay = |confidence: f64, ground: Ground| (staying(coin, "NO_TRADE"), confidence, ground, None);
    if !view.known {
        return stay(0.35, Ground::NoData);
    }
    let doubt = 0.72 - 1.3 * view.score.abs();
    if !allows(coin, word) {
        return stay(doubt, Ground::NotAllowed);
    }
    if let Some((confidence, ground)) = strong.get(&coin.symbol) {
        return (word.to_owned(), *confidence, *ground, None);
    }
    if !moves_enough(view) {
        return stay(0.55 + 0.1 * view.score.abs(), Ground::Quiet);
    }
    if view.score.abs() < OPENING_SCORE {
        return stay(doubt, Ground::Weak);
    }
    let confidence = plain_confidence(view);
    let ground = if confidence >= STRONG { Ground::Enough } else { Ground::Signal };
    (word.to_owned(), confidence.min(STRONG - 0.01), ground, None)
}

fn manage(coin: &TaskCoin, position: &Holding, price: Option<f64>, view: &View) -> Verdict {
    let gain = match (position.entry(), price) {
        (Some(entry), Some(price)) => Some(position.direction() * (price / entry - 1.0) * 100.0),
        _ => None,
    };
    let support = view.score * position.direction();
    let (close, confidence, ground) = verdict(position, gain, support, view);
    let (preferred, other) = if close { ("CLOSE", "HOLD") } else { ("HOLD", "CLOSE") };
    let word = if allows(coin, preferred) || !allows(coin, other) { preferred } else { other };
    (word.to_owned(), confidence, ground, gain)
}

/// Whether to close, how sure, and why.
fn verdict(position: &Holding, gain: Option<f64>, support: f64, view: &View) -> (bool, f64, Ground) {
    if !view.known {
        return (false, 0.40, Ground::NoData);
    }
    let young = position.held_h.is_some_and(|hours| hours < YOUNG_HOURS);
    let loss = gain.map_or(0.0, |gain| (-gain).max(0.0));
    if loss >= LARGE_LOSS_PERCENT && support < 0.0 {
        return (true, 0.70 + 0.2 * support.abs(), Ground::LargeLoss);
    }
    if young {
        return (false, 0.55 + 0.2 * support, Ground::Young);
    }
    let target = (3.0 * view.atr_percent.unwrap_or(1.0)).max(2.5);
    if gain.is_some_and(|gain| gain >= target) && support < 0.45 {
        return (true, 0.72 + 0.1 * (0.45 - support), Ground::Target);
    }
    if support < -0.30 {
        return (true, 0.55 + 0.4 * support.abs(), Ground::Turned);
    }
    if support >= OPENING_SCORE {
        (false, 0.52 + 0.4 * support, Ground::Carried)
    } else {
        (false, 0.50 + 0.2 * support, Ground::Unbroken)
    }
}

/// The word for doing nothing; if the task does not allow it, whatever it does allow.
fn staying(coin: &TaskCoin, word: &str) -> String {
    if coin.allowed.is_empty() || allows(coin, word) {
        return word.to_owned();
    }
    let quiet = ["NO_TRADE", "HOLD"].into_iter().find(|quiet| allows(coin, quiet)).map(str::to_owned);
    quiet.or_else(|| coin.allowed.first().cloned()).unwrap_or_else(|| word.to_owned())
}
