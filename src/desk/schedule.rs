//! When the next cycle is due. The schedule only says "now"; whether a slot is run is decided in the store.

use chrono::{SubsecRound, TimeDelta};
use croner::Cron;

use crate::domain::Timestamp;

/// A slot that was missed by more than this is not made up for.
const LATEST_START: TimeDelta = TimeDelta::minutes(10);

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
    fn an_expression_without_seconds_is_refused_with_an_example() {
        assert!(Schedule::parse("5 * * * *").unwrap_err().to_string().contains("0 5 * * * *"));
    }
}
