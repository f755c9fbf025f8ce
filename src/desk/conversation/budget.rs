//! What a cycle may use of the model, and the refusal to go on when it is used up.

use std::cmp::Ordering;
use std::time::Duration;

use rust_decimal::Decimal;

use crate::domain::Usage;
use crate::store::Spending;

/// What one conversation may use.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    /// Requests in all, repair included.
    pub iterations: u32,
    /// Time in all.
    pub time: Duration,
    /// Input and output tokens of all requests together.
    pub tokens: u64,
    /// What a model that is paid for may cost; `None` for the built-in analyst, whose figures are estimates.
    pub paid: Option<PaidBudget>,
}

/// What a paid model may cost, in the cycle and in the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaidBudget {
    /// US dollars for this cycle.
    pub cycle: Decimal,
    /// For the day, midnight to midnight UTC by the wall clock: that is what is paid for.
    pub day: Spending,
    /// Of the day's, spent before this cycle began.
    pub spent_before: Spending,
}

/// Which budget is used up. Nothing more is asked until the operator or the clock changes that; closing by hand goes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Spent {
    /// Tokens of the cycle.
    #[error(
        "the cycle's budget of {limit} tokens is used up ({used}); raise model.cycle_tokens if that is right"
    )]
    Tokens {
        /// Allowed.
        limit: u64,
        /// Used.
        used: u64,
    },
    /// Money of the cycle.
    #[error(
        "the cycle's budget of ${limit} is spent (${used}); raise model.cycle_budget_usd if that is right"
    )]
    Cycle {
        /// Allowed.
        limit: Decimal,
        /// Spent.
        used: Decimal,
    },
    /// Tokens of the day.
    #[error(
        "the day's budget of {limit} tokens is used up ({used} since midnight UTC); raise model.daily_tokens or wait"
    )]
    DayTokens {
        /// Allowed.
        limit: u64,
        /// Used.
        used: u64,
    },
    /// Time of the day.
    #[error(
        "the day's budget of {limit} s of the model's time is used up ({used} s since midnight UTC); raise model.daily_seconds or wait"
    )]
    DaySeconds {
        /// Allowed.
        limit: u64,
        /// Used.
        used: u64,
    },
    /// Money of the day.
    #[error(
        "the day's budget of ${limit} is spent (${used} since midnight UTC); raise model.daily_budget_usd or wait"
    )]
    Day {
        /// Allowed.
        limit: Decimal,
        /// Spent.
        used: Decimal,
    },
    /// One of them, by what the next request is certain to take.
    #[error("with the next request {0}")]
    Next(Box<Spent>),
}

impl Budget {
    /// Bounds only the number of requests and the time: for answers that cost nothing.
    pub const fn unbounded(iterations: u32, time: Duration) -> Self {
        Self { iterations, time, tokens: u64::MAX, paid: None }
    }

    /// Whether another request may be made after `used`, for which the model was waited for so long. `next` is what it is
    /// certain to take. A request under way is never cut short, so the last one may go over by what it costs beyond that.
    pub fn check_next(&self, used: &Usage, waited: Duration, next: Usage) -> Result<(), Spent> {
        self.compare(used, waited, Ordering::is_ge)?;
        let mut together = *used;
        together += next;
        self.compare(&together, waited, Ordering::is_gt).map_err(|spent| Spent::Next(Box::new(spent)))
    }

    /// Whether what was used stayed within: an answer that went over is not acted on.
    pub fn check_after(&self, used: &Usage, waited: Duration) -> Result<(), Spent> {
        self.compare(used, waited, Ordering::is_gt)
    }

    /// Compares what was used to each limit.
    fn compare(
        &self,
        used: &Usage,
        waited: Duration,
        is_spent: impl Fn(Ordering) -> bool,
    ) -> Result<(), Spent> {
        let tokens = tokens_of(used);
        if is_spent(tokens.cmp(&self.tokens)) {
            return Err(Spent::Tokens { limit: self.tokens, used: tokens });
        }
        let Some(PaidBudget { cycle, day, spent_before }) = self.paid else { return Ok(()) };
        let today = Spending {
            usd: spent_before.usd + used.cost_usd,
            tokens: spent_before.tokens.saturating_add(tokens),
            time: spent_before.time.saturating_add(waited),
        };
        if is_spent(today.usd.cmp(&day.usd)) {
            return Err(Spent::Day { limit: day.usd, used: today.usd.round_dp(4) });
        }
        if is_spent(today.tokens.cmp(&day.tokens)) {
            return Err(Spent::DayTokens { limit: day.tokens, used: today.tokens });
        }
        if is_spent(today.time.cmp(&day.time)) {
            return Err(Spent::DaySeconds { limit: day.time.as_secs(), used: today.time.as_secs() });
        }
        if is_spent(used.cost_usd.cmp(&cycle)) {
            return Err(Spent::Cycle { limit: cycle, used: used.cost_usd.round_dp(4) });
        }
        Ok(())
    }
}

fn tokens_of(usage: &Usage) -> u64 {
    [
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_input_tokens,
        usage.cache_creation_input_tokens,
    ]
    .into_iter()
    .fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(paid: Option<PaidBudget>) -> Budget {
        Budget { iterations: 10, time: Duration::from_mins(4), tokens: 1000, paid }
    }

    fn spending(cents: i64, tokens: u64, seconds: u64) -> Spending {
        Spending { usd: Decimal::new(cents, 2), tokens, time: Duration::from_secs(seconds) }
    }

    /// A dollar for the cycle; five dollars, ten thousand tokens and ten minutes for the day.
    fn paid(spent_before: Spending) -> Budget {
        budget(Some(PaidBudget { cycle: Decimal::ONE, day: spending(500, 10_000, 600), spent_before }))
    }

    fn used(tokens: u64, cents: i64) -> Usage {
        Usage { cache_read_input_tokens: tokens, cost_usd: Decimal::new(cents, 2), ..Usage::default() }
    }

    /// Whether a request of which nothing is certain may follow.
    fn check(budget: &Budget, used: &Usage, waited: Duration) -> Result<(), Spent> {
        budget.check_next(used, waited, Usage::default())
    }

    #[test]
    fn an_answer_may_use_a_budget_up_and_not_go_over_it() {
        let budget = paid(spending(450, 9_000, 590));
        let second = Duration::from_secs(1);
        assert_eq!(budget.check_after(&used(1000, 50), 10 * second), Ok(()));
        assert!(matches!(budget.check_after(&used(1001, 50), second), Err(Spent::Tokens { .. })));
        assert!(matches!(budget.check_after(&used(1000, 51), second), Err(Spent::Day { .. })));
        assert!(matches!(budget.check_after(&used(1, 1), 11 * second), Err(Spent::DaySeconds { .. })));
        let fresh = paid(Spending::default());
        assert_eq!(fresh.check_after(&used(1, 100), second), Ok(()));
        assert!(matches!(fresh.check_after(&used(1, 101), second), Err(Spent::Cycle { .. })));
    }

    #[test]
    fn a_request_that_is_certain_to_go_over_is_not_made() {
        let next = |tokens, cents| {
            paid(Spending::default()).check_next(&used(600, 60), Duration::ZERO, used(tokens, cents))
        };
        assert_eq!(next(400, 40), Ok(()));
        let told = next(401, 0).unwrap_err().to_string();
        assert!(
            told.starts_with("with the next request the cycle's budget of 1000 tokens is used up (1001)"),
            "{told}"
        );
        assert!(matches!(next(0, 41), Err(Spent::Next(inner)) if matches!(*inner, Spent::Cycle { .. })));
    }

    #[test]
    fn tokens_of_every_kind_count_and_the_last_one_is_refused() {
        let check = |tokens, cents| check(&budget(None), &used(tokens, cents), Duration::from_hours(9));
        assert_eq!(check(999, 9999), Ok(()));
        assert_eq!(check(1000, 0), Err(Spent::Tokens { limit: 1000, used: 1000 }));
    }

    #[test]
    fn what_was_spent_before_this_cycle_counts_for_the_day_and_not_for_the_cycle() {
        let budget = paid(spending(450, 0, 0));
        assert_eq!(check(&budget, &used(0, 49), Duration::ZERO), Ok(()));
        let spent = Spent::Day { limit: Decimal::from(5), used: Decimal::from(5) };
        assert_eq!(check(&budget, &used(0, 50), Duration::ZERO), Err(spent));
        let fresh = paid(Spending::default());
        assert!(matches!(check(&fresh, &used(0, 100), Duration::ZERO), Err(Spent::Cycle { .. })));
    }

    #[test]
    fn a_day_has_tokens_and_seconds_of_its_own() {
        let tokens = paid(spending(0, 9_500, 0));
        assert_eq!(check(&tokens, &used(499, 1), Duration::ZERO), Ok(()));
        let spent = Spent::DayTokens { limit: 10_000, used: 10_000 };
        assert_eq!(check(&tokens, &used(500, 1), Duration::ZERO), Err(spent));
        let seconds = paid(spending(0, 0, 590));
        assert_eq!(check(&seconds, &used(1, 1), Duration::from_millis(9_999)), Ok(()));
        let spent = Spent::DaySeconds { limit: 600, used: 600 };
        assert_eq!(check(&seconds, &used(1, 1), Duration::from_secs(10)), Err(spent));
    }

    #[test]
    fn a_budget_of_nothing_allows_not_even_the_first_request() {
        let nothing = PaidBudget {
            cycle: Decimal::ONE,
            day: spending(0, 10_000, 600),
            spent_before: Spending::default(),
        };
        let checked = check(&budget(Some(nothing)), &Usage::default(), Duration::ZERO);
        assert!(matches!(checked, Err(Spent::Day { .. })));
    }
}
