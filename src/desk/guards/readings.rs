//! How the guards stand between two cycles.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::{Book, MarketFacts};
use crate::domain::{AccountName, GuardReading, Halt, Rule, Timestamp};

/// What readings are taken from.
#[derive(Debug, Clone, Copy)]
pub struct Sight<'a> {
    /// The accounts.
    pub book: &'a Book,
    /// The market as the last cycle saw it.
    pub market: &'a MarketFacts,
    /// Market time.
    pub now: Timestamp,
    /// The halts in force.
    pub halts: &'a [Halt],
    /// The coins of which no price was heard for too long, with the longest silence in seconds.
    pub silent: Option<(usize, u64)>,
    /// What the model cost today and may cost in a day, US dollars; `None` for one that costs nothing.
    pub budget: Option<(Decimal, Decimal)>,
}

/// One reading; a guard without a limit is off.
pub(super) fn reading(
    rule: Rule,
    account: Option<&AccountName>,
    limit: Option<String>,
    value: String,
    used: Option<Decimal>,
    refuses: bool,
) -> GuardReading {
    GuardReading {
        rule,
        account: account.cloned(),
        on: limit.is_some(),
        limit: limit.unwrap_or_default(),
        value,
        // To a thousandth: a reading is told again only when it changed enough to be seen.
        used: used.and_then(|used| used.round_dp(3).to_f64()),
        refuses,
    }
}

/// A guard of which nothing can be measured between cycles.
pub(super) fn limit_alone(rule: Rule, limit: Option<String>) -> GuardReading {
    reading(rule, None, limit, String::new(), None, false)
}
