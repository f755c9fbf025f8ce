//! The brake on a model that only knows one direction.

use rust_decimal::Decimal;
use rust_decimal::prelude::FromPrimitive;
use serde::{Deserialize, Serialize};

use super::readings::{Sight, reading};
use super::{Case, Guard, Refusal};
use crate::config::Part;
use crate::domain::{Direction, GuardReading, Rule};

/// The first desk opened 38 of 41 times long while the market fell. Openings against the market's own direction are
/// counted among the last 20 of all accounts: from 20 points below the limit on the operator is told, from 10 points
/// below the size is halved, and what would pass the limit is refused. In a rising market the same holds for shorts.
#[derive(Debug)]
pub struct LongBias(pub Option<Part>);

/// Openings that are looked at, the one in question among them.
const WINDOW: usize = 20;
/// Points below the limit from which the size is halved.
const HALVED_BELOW: Decimal = Decimal::from_parts(1, 0, 0, false, 1);
/// Points below the limit from which the operator is told.
const TOLD_BELOW: Decimal = Decimal::from_parts(2, 0, 0, false, 1);
/// Half of a size.
const HALF: Decimal = Decimal::from_parts(5, 0, 0, false, 1);

/// Where the market as a whole goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each name is its meaning")]
pub enum Trend {
    Rising,
    Falling,
    #[default]
    Flat,
}

impl Trend {
    /// By the middle coin, of each its change in percent over 24 hours and over seven days: more than 1 % in a day, or in
    /// a quiet day more than 3 % in the week.
    pub fn of(changes: impl Iterator<Item = [Option<f64>; 2]>) -> Self {
        let (days, weeks): (Vec<_>, Vec<_>) = changes.map(|[day, week]| (day, week)).unzip();
        let day = Self::by(middle(days.into_iter().flatten()), Decimal::ONE);
        day.or(Self::by(middle(weeks.into_iter().flatten()), Decimal::from(3)))
    }

    fn by(change_pct: Option<Decimal>, least: Decimal) -> Self {
        match change_pct {
            Some(change) if change > least => Self::Rising,
            Some(change) if change < -least => Self::Falling,
            _ => Self::Flat,
        }
    }

    fn or(self, other: Self) -> Self {
        if self == Self::Flat { other } else { self }
    }

    /// The direction that goes against it.
    pub const fn against(self) -> Option<Direction> {
        match self {
            Self::Rising => Some(Direction::Short),
            Self::Falling => Some(Direction::Long),
            Self::Flat => None,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Rising => "rising",
            Self::Falling => "falling",
            Self::Flat => "flat",
        }
    }
}

/// The value in the middle, the lower one of two.
fn middle(changes: impl Iterator<Item = f64>) -> Option<Decimal> {
    let mut changes: Vec<Decimal> = changes.filter_map(Decimal::from_f64).collect();
    changes.sort_unstable();
    let place = changes.len().checked_sub(1)? / 2;
    changes.get(place).copied()
}

impl LongBias {
    /// How many of the last openings would go against the market with this one, if it does.
    fn count(case: &Case<'_>) -> Option<usize> {
        let direction = case.opens()?;
        if case.market.trend.against() != Some(direction) {
            return None;
        }
        Some(against(&case.book.openings, direction, WINDOW - 1) + 1)
    }

    /// Whether so many of the window lie above the limit less some points.
    fn is_above(&self, count: usize, points: Decimal) -> bool {
        self.0.is_some_and(|limit| Decimal::from(count) > (limit.share() - points) * Decimal::from(WINDOW))
    }

    fn told(count: usize, case: &Case<'_>) -> String {
        let word = case.opens().map_or("", Direction::as_str);
        format!(
            "{count} of the last {WINDOW} openings would be {word} in a {} market",
            case.market.trend.as_str()
        )
    }
}

fn against(openings: &[Direction], direction: Direction, last: usize) -> usize {
    openings.iter().rev().take(last).filter(|opened| **opened == direction).count()
}

impl Guard for LongBias {
    fn rule(&self) -> Rule {
        Rule::LongBias
    }

    fn limit(&self) -> Option<String> {
        self.0.map(|limit| format!("{limit} of {WINDOW} openings against the market"))
    }

    fn judge(&self, case: &Case<'_>) -> Option<Refusal> {
        let count = Self::count(case)?;
        let detail = || {
            format!("{}; at most {} are allowed", Self::told(count, case), self.limit().unwrap_or_default())
        };
        self.is_above(count, Decimal::ZERO).then(|| Refusal::new(Rule::LongBias, detail()))
    }

    fn scale(&self, case: &Case<'_>) -> Decimal {
        let halved = Self::count(case).is_some_and(|count| self.is_above(count, HALVED_BELOW));
        if halved { HALF } else { Decimal::ONE }
    }

    fn remark(&self, case: &Case<'_>) -> Option<String> {
        let count = Self::count(case)?;
        let told = || {
            format!(
                "one-sided: {}; sizes are halved 10 points below {} and nothing is opened beyond it",
                Self::told(count, case),
                self.limit().unwrap_or_default()
            )
        };
        self.is_above(count, TOLD_BELOW).then(told)
    }

    fn is_known_beforehand(&self) -> bool {
        true
    }

    fn readings(&self, sight: &Sight<'_>) -> Vec<GuardReading> {
        let trend = sight.market.trend;
        let direction = trend.against().unwrap_or(Direction::Long);
        let count = against(&sight.book.openings, direction, WINDOW);
        // A young desk has not opened so often yet.
        let known = sight.book.openings.len().min(WINDOW);
        let value = format!("{count} of {known} {}, market {}", direction.as_str(), trend.as_str());
        let most = self.0.map(|limit| limit.share() * Decimal::from(WINDOW));
        let used = most.map(|most| Decimal::from(count) / most);
        let next = against(&sight.book.openings, direction, WINDOW - 1) + 1;
        let refuses = trend.against().is_some() && self.is_above(next, Decimal::ZERO);
        vec![reading(self.rule(), None, self.limit(), value, used, refuses)]
    }
}
