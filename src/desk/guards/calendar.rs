//! Staying out of the way of announcements.

use super::readings::{Sight, reading};
use super::{Case, Guard, MarketFacts, Refusal};
use crate::config::Span;
use crate::domain::{GuardReading, Rule, Timestamp, Untrusted};

/// Columns of an entry's name.
const NAME_COLUMNS: usize = 50;

/// Around a high-impact announcement the next minute is a coin toss with a wide spread: nothing is opened shortly
/// before and after one.
#[derive(Debug)]
pub struct EventBlackout(pub Option<Span>);

impl EventBlackout {
    /// The nearest entry within the limit.
    fn near<'m>(&self, market: &'m MarketFacts, now: Timestamp) -> Option<&'m (Timestamp, Untrusted)> {
        let limit = self.0?.length();
        let near = market.events.iter().filter(|(at, _)| (*at - now).abs() <= limit);
        near.min_by_key(|(at, _)| (*at - now).abs())
    }
}

impl Guard for EventBlackout {
    fn rule(&self) -> Rule {
        Rule::EventBlackout
    }

    fn limit(&self) -> Option<String> {
        self.0.map(|limit| format!("{limit} around a high-impact entry"))
    }

    fn judge(&self, case: &Case<'_>) -> Option<Refusal> {
        case.opens()?;
        let (at, what) = self.near(case.market, case.now)?;
        let when = format!("at {}; nothing is opened within {}", at.format("%H:%MZ"), self.0?);
        let detail = format!("{} {when}", what.line(NAME_COLUMNS));
        // The name is somebody else's; the hour finds it in the prompt's calendar.
        Some(Refusal::quoting(Rule::EventBlackout, detail, format!("a high-impact entry {when}")))
    }

    fn is_known_beforehand(&self) -> bool {
        true
    }

    fn readings(&self, sight: &Sight<'_>) -> Vec<GuardReading> {
        let near = self.near(sight.market, sight.now);
        let next = near.or_else(|| {
            let coming = sight.market.events.iter().filter(|(at, _)| *at > sight.now);
            coming.min_by_key(|(at, _)| *at)
        });
        let value = next.map_or("none in sight".to_owned(), |(at, what)| {
            format!("{}, {}", what.line(NAME_COLUMNS), at.format("%d %b %H:%MZ"))
        });
        vec![reading(self.rule(), None, self.limit(), value, None, near.is_some())]
    }
}
