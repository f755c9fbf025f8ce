//! What the model is told of its own past: the theses of what is open, what closed trades came to, and lessons counted
//! by code. Holdings come from the exchange, outcomes from booked money; of the model's own words only quotations are
//! kept, as data.

use chrono::TimeDelta;
use rust_decimal::Decimal;

use super::prompt::{LessonInput, MemoryInput, OutcomeInput, ThesisInput};
use crate::domain::{
    AccountState, Confidence, CycleReport, DecisionWord, Direction, Position, Proposal, Symbol, Timestamp,
};
use crate::store::{CoinMoney, LedgerKind, Opening};

/// How far back it reaches.
pub const REACH: TimeDelta = TimeDelta::days(90);
/// Closed trades shown one by one.
const OUTCOMES: usize = 10;
/// Lessons shown.
const LESSONS: usize = 8;
/// Fewer cases are chance.
const FEWEST_CASES: usize = 3;

/// A trade that is over and whose money is booked.
#[derive(Debug, Clone)]
struct Closed<'a> {
    opening: &'a Opening,
    net: Decimal,
}

/// Puts the memory together. `openings` and `money` are those of the last [`REACH`], oldest first.
pub fn remember(
    accounts: &[AccountState],
    openings: &[Opening],
    money: &[CoinMoney],
    last: Option<&CycleReport>,
    now: Timestamp,
) -> MemoryInput {
    let theses = accounts
        .iter()
        .filter(|state| state.trouble.is_none())
        .flat_map(|state| state.positions.iter().map(move |position| (state, position)))
        .filter_map(|(state, position)| thesis(state, position, openings, last, now))
        .collect();
    let closed = closed(accounts, openings, money);
    let outcomes = closed.iter().rev().take(OUTCOMES).filter_map(|trade| outcome(trade, now)).collect();
    MemoryInput { theses, outcomes, lessons: lessons(&closed), ..MemoryInput::default() }
}

/// Why an open position was opened. One that points another way than its opening is somebody else's, and so is one whose
/// opening came to its end before it began.
fn thesis(
    state: &AccountState,
    position: &Position,
    openings: &[Opening],
    last: Option<&CycleReport>,
    now: Timestamp,
) -> Option<ThesisInput> {
    let opening = openings.iter().rev().find(|opening| is_of(&opening.proposal, state, &position.symbol))?;
    if !opening.is_held || direction(&opening.proposal)? != position.direction {
        return None;
    }
    let said_last = last.and_then(|report| {
        let mut rows = report.decisions.iter().map(|row| &row.proposal);
        rows.find(|proposal| is_of(proposal, state, &position.symbol)).cloned()
    });
    Some(ThesisInput { opening: opening.proposal.clone(), age: now - opening.at, last: said_last })
}

fn is_of(proposal: &Proposal, state: &AccountState, symbol: &Symbol) -> bool {
    proposal.account == state.name && &proposal.symbol == symbol
}

fn direction(proposal: &Proposal) -> Option<Direction> {
    match proposal.decision? {
        DecisionWord::Long => Some(Direction::Long),
        DecisionWord::Short => Some(Direction::Short),
        DecisionWord::NoTrade | DecisionWord::Hold | DecisionWord::Close => None,
    }
}

/// Every opening that is over: another one followed, or its account was read and holds nothing there. Without a
/// realised result its money is not booked yet, and what was paid in another coin has no value here: nothing is said
/// about either.
fn closed<'a>(accounts: &[AccountState], openings: &'a [Opening], money: &[CoinMoney]) -> Vec<Closed<'a>> {
    openings
        .iter()
        .enumerate()
        .filter_map(|(index, opening)| {
            let same = |other: &Proposal| {
                other.account == opening.proposal.account && other.symbol == opening.proposal.symbol
            };
            let next = openings[index + 1..].iter().find(|other| same(&other.proposal)).map(|other| other.at);
            let is_over = next.is_some()
                || accounts.iter().any(|state| {
                    state.name == opening.proposal.account
                        && state.trouble.is_none()
                        && state.position(&opening.proposal.symbol).is_none()
                });
            let moved = || {
                money.iter().filter(|row| {
                    row.account == opening.proposal.account
                        && row.symbol == opening.proposal.symbol
                        && row.at >= opening.at
                        && next.is_none_or(|next| row.at < next)
                })
            };
            let is_booked = moved().any(|row| row.kind == LedgerKind::RealisedPnl && !row.amount.is_zero());
            let is_counted = moved().all(|row| row.asset == "USDT");
            (is_over && is_booked && is_counted)
                .then(|| Closed { opening, net: moved().map(|row| row.amount).sum() })
        })
        .collect()
}

fn outcome(trade: &Closed<'_>, now: Timestamp) -> Option<OutcomeInput> {
    let proposal = &trade.opening.proposal;
    Some(OutcomeInput {
        account: proposal.account.clone(),
        symbol: proposal.symbol.clone(),
        direction: direction(proposal)?,
        confidence: proposal.confidence,
        age: now - trade.opening.at,
        net: trade.net,
    })
}

/// Groups of closed trades with at least a few cases, the largest first.
fn lessons(closed: &[Closed<'_>]) -> Vec<LessonInput> {
    let mut groups: Vec<(String, Vec<&Closed<'_>>)> = Vec::new();
    for trade in closed {
        for group in groups_of(&trade.opening.proposal) {
            match groups.iter_mut().find(|(name, _)| *name == group) {
                Some((_, cases)) => cases.push(trade),
                None => groups.push((group, vec![trade])),
            }
        }
    }
    groups.retain(|(_, cases)| cases.len() >= FEWEST_CASES);
    groups.sort_by(|left, right| right.1.len().cmp(&left.1.len()).then_with(|| left.0.cmp(&right.0)));
    groups.truncate(LESSONS);
    groups.into_iter().map(|(group, cases)| lesson(group, &cases)).collect()
}

/// What a trade is a case of.
fn groups_of(proposal: &Proposal) -> Vec<String> {
    let mut groups = Vec::new();
    if let Some(word) = proposal.decision {
        groups.push(format!("all {word}"));
        groups.push(format!("{} {word}", proposal.symbol));
    }
    if let Some(confidence) = proposal.confidence {
        let band = match confidence.value() {
            value if value >= Decimal::new(90, 2) => "confidence 0.90-1.00",
            value if value >= Decimal::new(80, 2) => "confidence 0.80-0.89",
            _ => "confidence below 0.80",
        };
        groups.push(band.to_owned());
    }
    groups
}

fn lesson(group: String, cases: &[&Closed<'_>]) -> LessonInput {
    let count = Decimal::from(cases.len());
    let confidence: Decimal =
        cases.iter().filter_map(|trade| trade.opening.proposal.confidence).map(Confidence::value).sum();
    LessonInput {
        group,
        cases: cases.len(),
        won: cases.iter().filter(|trade| trade.net > Decimal::ZERO).count(),
        net: cases.iter().map(|trade| trade.net).sum(),
        mean_confidence: confidence / count,
    }
}

#[cfg(test)]
mod tests;
