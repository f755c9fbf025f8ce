//! When the next cycle is due. The schedule only says "now"; whether a slot is run is decided in the store.

use chrono::{SubsecRound, TimeDelta};
use croner::Cron;

use crate::domain::Timestamp;

/// A slot that was missed by more than this is not made up for.
const LATEST_START: TimeDelta = TimeDelta::minutes(10);

/// Counting missed slots ends here: a schedule of every second that slept for a year needs no exact number.
const MOST_COUNTED: u32 = 100_000;

/// Slots in which no desk was at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    /// How many.
    pub count: u32,
    /// The oldest.
    pub first: Timestamp,
    /// The newest.
    pub last: Timestamp,
}

/// A cron expression in UTC, seconds first.
#[derive(Debug, Clone)]
pub struct Schedule {
    cron: Cron,
    text: String,
}

/// A cron expression that cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{text:?} is not a cron expression with seconds first, such as \"0 5 * * * *\": {reason}")]
pub struct InvalidCron {
    text: String,
    reason: String,
}

impl Schedule {
    /// Reads six fields: seconds, minutes, hours, day of month, month, day of week.
    pub fn parse(text: &str) -> Result<Self, InvalidCron> {
        let cron = croner::parser::CronParser::builder()
            .seconds(croner::parser::Seconds::Required)
            .build()
            .parse(text)
            .map_err(|error| InvalidCron { text: text.to_owned(), reason: error.to_string() })?;
        Ok(Self { cron, text: text.to_owned() })
    }

    /// The expression as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first slot after an instant.
    pub fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        // A slot is a whole second; a fraction would make every restart a slot of its own.
        self.cron.find_next_occurrence(&now.trunc_subsecs(0), false).ok()
    }

    /// The slots after one and before another: their number, the first and the last. `None` when there are none.
    pub fn between(&self, after: Timestamp, before: Timestamp) -> Option<Missed> {
        let mut slot = self.next_after(after).filter(|slot| *slot < before)?;
        let mut missed = Missed { count: 0, first: slot, last: slot };
        while slot < before && missed.count < MOST_COUNTED {
            missed.count += 1;
            missed.last = slot;
            match self.next_after(slot) {
                Some(next) => slot = next,
                None => break,
            }
        }
        Some(missed)
    }

    /// The slots that came after one that was taken and are too old by now to be run.
    pub fn missed_since(&self, taken: Timestamp, now: Timestamp) -> Option<Missed> {
        self.between(taken, now - LATEST_START + TimeDelta::milliseconds(1))
    }

    /// The slot that is due now: the newest one not older than ten minutes.
    pub fn due(&self, now: Timestamp) -> Option<Timestamp> {
        let mut due = None;
        let mut slot = self.next_after(now - LATEST_START)?;
        while slot <= now {
            due = Some(slot);
            slot = self.next_after(slot)?;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_next_slot_is_five_past_the_hour() {
        let schedule = Schedule::parse("0 5 * * * *").unwrap();
        assert_eq!(schedule.next_after(at("2026-03-02T08:04:59Z")), Some(at("2026-03-02T08:05:00Z")));
        assert_eq!(schedule.next_after(at("2026-03-02T08:05:00Z")), Some(at("2026-03-02T09:05:00Z")));
    }

    #[test]
    fn a_slot_is_due_for_ten_minutes_and_then_missed() {
        let schedule = Schedule::parse("0 5 * * * *").unwrap();
        assert_eq!(schedule.due(at("2026-03-02T08:04:59Z")), None);
        assert_eq!(schedule.due(at("2026-03-02T08:05:00Z")), Some(at("2026-03-02T08:05:00Z")));
        assert_eq!(schedule.due(at("2026-03-02T08:14:59Z")), Some(at("2026-03-02T08:05:00Z")));
        assert_eq!(schedule.due(at("2026-03-02T08:15:00Z")), None);
    }

    #[test]
    fn the_slot_is_the_same_whatever_the_fraction_of_the_second() {
        let schedule = Schedule::parse("0 5 * * * *").unwrap();
        for fraction in ["08:05:00.001", "08:05:26.326", "08:14:59.999"] {
            let due = schedule.due(at(&format!("2026-03-02T{fraction}Z")));
            assert_eq!(due, Some(at("2026-03-02T08:05:00Z")), "{fraction}");
        }
    }

    #[test]
    fn after_a_long_sleep_only_the_newest_slot_is_due() {
        let schedule = Schedule::parse("0 * * * * *").unwrap();
        assert_eq!(schedule.due(at("2026-03-02T08:30:30Z")), Some(at("2026-03-02T08:30:00Z")));
    }

    #[test]
    fn missed_slots_lie_between_the_last_taken_one_and_those_that_may_still_be_run() {
        let schedule = Schedule::parse("0 5 * * * *").unwrap();
        let taken = at("2026-03-02T08:05:00Z");
        // The slot of nine is due until a quarter past.
        for early in ["2026-03-02T08:05:00Z", "2026-03-02T09:05:00Z", "2026-03-02T09:14:59.999Z"] {
            assert_eq!(schedule.missed_since(taken, at(early)), None, "{early}");
        }
        let nine = at("2026-03-02T09:05:00Z");
        let one = Some(Missed { count: 1, first: nine, last: nine });
        assert_eq!(schedule.missed_since(taken, at("2026-03-02T09:15:00Z")), one);
        assert_eq!(schedule.missed_since(taken, at("2026-03-02T10:14:59Z")), one, "that of ten is due");
        assert_eq!(schedule.between(taken, at("2026-03-02T10:05:00Z")), one, "that of ten was taken");
        let night = schedule.missed_since(taken, at("2026-03-03T07:59:00Z")).unwrap();
        assert_eq!((night.count, night.first, night.last), (23, nine, at("2026-03-03T07:05:00Z")));
        assert_eq!(schedule.missed_since(taken, at("2026-03-01T00:00:00Z")), None, "a clock that went back");
    }

    #[test]
    fn an_expression_without_seconds_is_refused_with_an_example() {
        assert!(Schedule::parse("5 * * * *").unwrap_err().to_string().contains("0 5 * * * *"));
    }
}
