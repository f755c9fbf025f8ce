//! Money over a span of days.

use std::time::Duration;

use chrono::NaiveTime;

use super::super::pages::Asked;
use super::super::state::State;
use super::super::update::{Effect, Step};
use super::super::view;
use crate::domain::{Event, MoneyPage, OrderState, Query, Timestamp};

/// How long after a fill an account that is read may bring its money: a fill is told before it is booked, and an account
/// after it.
const BOOKED_WITHIN: Duration = Duration::from_secs(30);

/// The spans there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Period {
    /// Since midnight, UTC.
    Today,
    /// Today and the six days before.
    #[default]
    Week,
    /// Today and the 29 days before.
    Month,
    /// Everything on record.
    All,
}

impl Period {
    /// All spans, the shortest first.
    pub const ALL: [Self; 4] = [Self::Today, Self::Week, Self::Month, Self::All];

    /// Its name.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Today => "today",
            Self::Week => "7 days",
            Self::Month => "30 days",
            Self::All => "all",
        }
    }

    /// Where it begins and ends at a market time.
    pub fn span(self, now: Timestamp) -> (Timestamp, Timestamp) {
        let midnight = now.date_naive().and_time(NaiveTime::MIN).and_utc();
        let from = match self {
            Self::Today => midnight,
            Self::Week => midnight - chrono::Duration::days(6),
            Self::Month => midnight - chrono::Duration::days(29),
            Self::All => Timestamp::UNIX_EPOCH,
        };
        (from, midnight + chrono::Duration::days(1))
    }
}

/// What the screen knows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Money {
    /// The span in sight.
    pub period: Period,
    /// The answer.
    pub page: Asked<MoneyPage>,
    /// The first table row in sight.
    pub top: usize,
    /// When an order was filled last, in wall time since the console began.
    pub filled_at: Option<Duration>,
}

/// Whether an event may have changed what is shown.
pub fn is_overtaken_by(state: &mut State, event: &Event) -> bool {
    match event {
        Event::CycleFinished { .. } => true,
        Event::Order { state: OrderState::Filled, .. } => {
            state.money.filled_at = Some(state.now);
            true
        }
        Event::Account { .. } => {
            state.money.filled_at.is_some_and(|at| state.now.saturating_sub(at) < BOOKED_WITHIN)
        }
        _ => false,
    }
}

/// What the screen needs.
pub fn query(state: &State) -> Option<Query> {
    let (from, to) = state.money.period.span(state.market_time()?);
    Some(Query::Money { from, to })
}

/// The next or the previous span.
pub fn turn(state: &mut State, forward: bool) -> Vec<Effect> {
    let here = Period::ALL.iter().position(|period| *period == state.money.period).unwrap_or(0);
    let next = if forward { here + 1 } else { here.wrapping_sub(1) };
    let Some(period) = Period::ALL.get(next) else { return Vec::new() };
    state.money.period = *period;
    state.money.page = Asked::default();
    state.money.top = 0;
    super::ask(state)
}

/// Other rows of the tables.
pub fn scroll(state: &mut State, step: Step) {
    let (lines, rows) = view::money::extent(state);
    state.money.top = step.from(state.money.top, lines.saturating_sub(rows) + 1, rows);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_is_today_and_the_six_days_before() {
        let (from, to) = Period::Week.span("2026-03-08T13:05:00Z".parse().unwrap());
        assert_eq!(from, "2026-03-02T00:00:00Z".parse::<Timestamp>().unwrap());
        assert_eq!(to, "2026-03-09T00:00:00Z".parse::<Timestamp>().unwrap());
    }
}
