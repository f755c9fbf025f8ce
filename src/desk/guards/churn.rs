//! Against trading for its own sake: every round trip costs, whoever is right.

use rust_decimal::Decimal;

use super::readings::{Sight, reading};
use super::{Action, Case, Guard, Refusal, percent};
use crate::config::{EquityMultiple, Span};
use crate::domain::{Direction, GuardReading, Rule};

/// Taker commission of one side as a share of the notional (the desk's fee table).
const TAKER_FEE: Decimal = Decimal::from_parts(5, 0, 0, false, 4);

/// Commission of opening and closing at market, as a share of the notional, while an account's own rate is not known.
pub(super) fn round_trip() -> Decimal {
    Decimal::TWO * TAKER_FEE
}

/// An account that holds everything has chosen nothing. What was approved earlier in the same cycle counts as held.
#[derive(Debug)]
pub struct MaximumPositions(pub Option<u32>);

impl Guard for MaximumPositions {
    fn rule(&self) -> Rule {
        Rule::MaximumPositions
    }

    fn limit(&self) -> Option<String> {
        self.0.map(|limit| format!("{limit} positions"))
    }

    fn judge(&self, case: &Case<'_>) -> Option<Refusal> {
        case.opens()?;
        let limit = self.0?;
        let held = case.account.holdings.len();
        let full = held >= usize::try_from(limit).unwrap_or(usize::MAX);
        let detail = || format!("the account holds {held} positions; at most {limit} are allowed");
        full.then(|| Refusal::new(Rule::MaximumPositions, detail()))
    }

    fn is_known_beforehand(&self) -> bool {
        true
    }

    fn readings(&self, sight: &Sight<'_>) -> Vec<GuardReading> {
        let each = sight.book.accounts.iter().map(|account| {
            let held = account.holdings.len();
            let used = self.0.map(|limit| Decimal::from(held) / Decimal::from(limit));
            let refuses = used.is_some_and(|used| used >= Decimal::ONE);
            reading(self.rule(), Some(&account.name), self.limit(), held.to_string(), used, refuses)
        });
        each.collect()
    }
}

/// A reason good enough to open is good enough to wait for: the model may close what is younger than this at a loss only
/// when the price went half the way to the stop. What is not lost may be taken at any time. Operators, guardians and stops
/// are never asked.
#[derive(Debug)]
pub struct MinimumHold(pub Option<Span>);

impl Guard for MinimumHold {
    fn rule(&self) -> Rule {
        Rule::MinimumHold
    }

    fn limit(&self) -> Option<String> {
        self.0.map(|limit| limit.to_string())
    }

    fn judge(&self, case: &Case<'_>) -> Option<Refusal> {
        let Action::Close(position) = case.action else { return None };
        let limit = self.0?;
        let held = case.now - position.opened_at?;
        if held >= limit.length() {
            return None;
        }
        let price = case.coin.now.unwrap_or(position.mark);
        let moved = match position.direction {
            Direction::Long => price.value() / position.entry.value() - Decimal::ONE,
            Direction::Short => Decimal::ONE - price.value() / position.entry.value(),
        };
        let half = case.stop_distance.share() / Decimal::TWO;
        let detail = || {
            format!(
                "held for {} min and {} from the entry; before {limit} a loss is taken only from {} on",
                held.num_minutes().max(0),
                percent_fine(moved),
                percent(half)
            )
        };
        (moved < Decimal::ZERO && moved > -half).then(|| Refusal::new(Rule::MinimumHold, detail()))
    }
}

/// A coin that was just closed or stopped out has just been wrong: coming back at once is revenge, and pays twice.
#[derive(Debug)]
pub struct Cooldown(pub Option<Span>);

impl Guard for Cooldown {
    fn rule(&self) -> Rule {
        Rule::Cooldown
    }

    fn limit(&self) -> Option<String> {
        self.0.map(|limit| format!("{limit} after a close"))
    }

    fn judge(&self, case: &Case<'_>) -> Option<Refusal> {
        case.opens()?;
        let limit = self.0?;
        let closed = *case.account.closed.get(&case.proposal.symbol)?;
        let over = closed + limit.length();
        let detail =
            || format!("closed at {}; left alone until {}", closed.format("%H:%MZ"), over.format("%H:%MZ"));
        (case.now < over).then(|| Refusal::new(Rule::Cooldown, detail()))
    }

    fn is_known_beforehand(&self) -> bool {
        true
    }

    fn readings(&self, sight: &Sight<'_>) -> Vec<GuardReading> {
        let each = sight.book.accounts.iter().map(|account| {
            let cooling = account
                .closed
                .iter()
                .filter(|(_, closed)| self.0.is_some_and(|limit| sight.now < **closed + limit.length()));
            let coins: Vec<&str> = cooling.map(|(symbol, _)| symbol.coin()).collect();
            let value = if coins.is_empty() { "none".to_owned() } else { coins.join(" ") };
            reading(self.rule(), Some(&account.name), self.limit(), value, None, !coins.is_empty())
        });
        each.collect()
    }
}

/// What is paid for trading grows with what is traded, not with what is earned. Counts every fill of the last 24 hours
/// and what was approved in this cycle; a close is never held back by it.
#[derive(Debug)]
pub struct Turnover(pub Option<EquityMultiple>);

impl Guard for Turnover {
    fn rule(&self) -> Rule {
        Rule::Turnover
    }

    fn limit(&self) -> Option<String> {
        self.0.map(|limit| format!("{limit} of equity in 24 h"))
    }

    fn judge(&self, case: &Case<'_>) -> Option<Refusal> {
        case.opens()?;
        let limit = self.0?;
        let account = case.account;
        let traded = account.traded + case.notional();
        let most = limit.share() * account.equity;
        let detail = || {
            format!(
                "{} USDT traded in 24 h with this opening; at most {} USDT ({limit} of equity) are allowed",
                traded.round_dp(2),
                most.round_dp(2)
            )
        };
        (traded > most).then(|| Refusal::new(Rule::Turnover, detail()))
    }

    fn readings(&self, sight: &Sight<'_>) -> Vec<GuardReading> {
        let each = sight.book.accounts.iter().map(|account| {
            let worth = account.equity > Decimal::ZERO;
            let share = if worth { account.traded / account.equity } else { Decimal::ZERO };
            let used = self.0.map(|limit| share / limit.share());
            let refuses = used.is_some_and(|used| used >= Decimal::ONE);
            reading(self.rule(), Some(&account.name), self.limit(), percent(share), used, refuses)
        });
        each.collect()
    }
}

/// A coin that hardly moves cannot earn back what opening and closing it costs: by the account's own commission where it
/// is known, else by the usual one.
#[derive(Debug)]
pub struct ExpectedMove(pub Option<Decimal>);

impl Guard for ExpectedMove {
    fn rule(&self) -> Rule {
        Rule::ExpectedMove
    }

    fn limit(&self) -> Option<String> {
        self.0.map(|times| {
            format!("ATR of 4 h at least {} ({times} round trips)", percent(times * round_trip()))
        })
    }

    fn judge(&self, case: &Case<'_>) -> Option<Refusal> {
        case.opens()?;
        let least = self.0? * case.round_trip.unwrap_or_else(round_trip);
        let price = case.coin.price()?;
        let refusal = |detail: String| Some(Refusal::new(Rule::ExpectedMove, detail));
        let Some(atr) = case.coin.atr else {
            return refusal("no ATR(14) to tell whether a move could pay for itself".to_owned());
        };
        let moves = atr / price.value();
        if moves >= least {
            return None;
        }
        refusal(format!(
            "the coin moves {} in 4 h (ATR); a round trip has to be worth {}",
            percent_fine(moves),
            percent_fine(least)
        ))
    }

    fn is_known_beforehand(&self) -> bool {
        true
    }
}

/// A share in percent, to a hundredth: moves worth refusing are small.
fn percent_fine(share: Decimal) -> String {
    format!("{} %", (share * Decimal::ONE_HUNDRED).round_dp(2).normalize())
}
