//! What a cycle may use of the model, and the refusal to go on when it is used up.

use std::time::Duration;

use rust_decimal::Decimal;

use crate::domain::Usage;

/// What one conversation may use.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    /// Requests in all, repair included.
    pub iterations: u32,
    /// Time in all.
    pub time: Duration,
    /// Input and output tokens of all requests together.
    pub tokens: u64,
    /// Money; `None` for a model that costs none.
    pub money: Option<MoneyBudget>,
}

/// US dollars, for one cycle and for the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MoneyBudget {
    /// For this cycle.
    pub cycle: Decimal,
    /// For the day, midnight to midnight UTC by the wall clock: that is what is paid for.
    pub day: Decimal,
    /// Of the day's, spent before this cycle began.
    pub spent_before: Decimal,
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
}

impl Budget {
    /// Whether another request may be made after `used`. A request under way is never cut short, so the last one may go
    /// over by what it costs itself.
    pub fn check(&self, used: &Usage) -> Result<(), Spent> {
        let tokens = tokens_of(used);
        if tokens >= self.tokens {
            return Err(Spent::Tokens { limit: self.tokens, used: tokens });
        }
        let Some(money) = self.money else { return Ok(()) };
        let day = money.spent_before + used.cost_usd;
        if day >= money.day {
            return Err(Spent::Day { limit: money.day, used: day.round_dp(4) });
        }
        if used.cost_usd >= money.cycle {
            return Err(Spent::Cycle { limit: money.cycle, used: used.cost_usd.round_dp(4) });
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

    fn budget(money: Option<MoneyBudget>) -> Budget {
        Budget { iterations: 10, time: Duration::from_mins(4), tokens: 1000, money }
    }

    fn used(tokens: u64, cents: i64) -> Usage {
        Usage { cache_read_input_tokens: tokens, cost_usd: Decimal::new(cents, 2), ..Usage::default() }
    }

    #[test]
    fn tokens_of_every_kind_count_and_the_last_one_is_refused() {
        assert_eq!(budget(None).check(&used(999, 9999)), Ok(()));
        assert_eq!(budget(None).check(&used(1000, 0)), Err(Spent::Tokens { limit: 1000, used: 1000 }));
    }

    #[test]
    fn what_was_spent_before_this_cycle_counts_for_the_day_and_not_for_the_cycle() {
        let money =
            MoneyBudget { cycle: Decimal::ONE, day: Decimal::from(5), spent_before: Decimal::new(450, 2) };
        let budget = budget(Some(money));
        assert_eq!(budget.check(&used(0, 49)), Ok(()));
        assert_eq!(
            budget.check(&used(0, 50)),
            Err(Spent::Day { limit: Decimal::from(5), used: Decimal::from(5) })
        );
        let fresh = Budget { money: Some(MoneyBudget { spent_before: Decimal::ZERO, ..money }), ..budget };
        assert!(matches!(fresh.check(&used(0, 100)), Err(Spent::Cycle { .. })));
    }

    #[test]
    fn a_budget_of_nothing_allows_not_even_the_first_request() {
        let nothing = MoneyBudget { cycle: Decimal::ONE, day: Decimal::ZERO, spent_before: Decimal::ZERO };
        assert!(matches!(budget(Some(nothing)).check(&Usage::default()), Err(Spent::Day { .. })));
    }
}
