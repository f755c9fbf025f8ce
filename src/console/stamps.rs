//! The desk writes times into its sentences in UTC. A console shows them as it shows every other time: in the operator's
//! zone and in one form.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveTime, Utc};

use crate::domain::{CycleReport, Event, Outcome, Snapshot};

/// A sentence with its times in a zone: `2026-03-02 13:05:00Z`, `2026-03-02T13:05:00Z` and `02 Mar 13:05Z` become
/// `02 Mar 16:05`, and `13:05Z` becomes `16:05`.
pub fn in_zone(text: &str, zone: FixedOffset) -> String {
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    for (end, _) in text.match_indices('Z') {
        let goes_on =
            text.get(end + 1..).and_then(|rest| rest.chars().next()).is_some_and(char::is_alphanumeric);
        if let Some((start, shown)) =
            stamp_before(text, end, zone).filter(|(start, _)| !goes_on && *start >= copied)
        {
            out.push_str(text.get(copied..start).unwrap_or_default());
            out.push_str(&shown);
            copied = end + 1;
        }
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    out
}

/// Where the stamp that ends here begins, and how it is shown.
fn stamp_before(text: &str, end: usize, zone: FixedOffset) -> Option<(usize, String)> {
    let (start, time) = time_before(text, end)?;
    let Some((begin, date)) = date_before(text, start) else {
        let format = if end - start > 5 { "%H:%M:%S" } else { "%H:%M" };
        let (time, _) =
            time.overflowing_add_signed(chrono::TimeDelta::seconds(zone.local_minus_utc().into()));
        return Some((start, time.format(format).to_string()));
    };
    let at: DateTime<Utc> = date.and_time(time).and_utc();
    Some((begin, at.with_timezone(&zone).format("%d %b %H:%M").to_string()))
}

fn time_before(text: &str, end: usize) -> Option<(usize, NaiveTime)> {
    [(8, "%H:%M:%S"), (5, "%H:%M")].into_iter().find_map(|(length, format)| {
        let start = end.checked_sub(length)?;
        let word =
            text.get(start..end).filter(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
        Some((start, NaiveTime::parse_from_str(word, format).ok()?))
    })
}

fn date_before(text: &str, end: usize) -> Option<(usize, NaiveDate)> {
    /// Whichever: a day and a month alone name no year, and none is shown.
    const LEAP_YEAR: &str = "2024";
    let whole = end.checked_sub(11).and_then(|start| {
        let word = text.get(start..end)?;
        let date = word.strip_suffix([' ', 'T'])?;
        Some((start, NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()?))
    });
    whole.or_else(|| {
        let start = end.checked_sub(7)?;
        let date = format!("{} {LEAP_YEAR}", text.get(start..end)?.strip_suffix(' ')?);
        Some((start, NaiveDate::parse_from_str(&date, "%d %b %Y").ok()?))
    })
}

/// Puts the times of everything a desk wrote into a zone.
pub fn localize(desk: &mut Snapshot, zone: FixedOffset) {
    for alarm in &mut desk.alarms {
        put(&mut alarm.text, zone);
    }
    localize_guards(desk, zone);
    localize_outcomes(desk, zone);
}

/// The same for what an event, applied just now, brought.
pub fn localize_news(desk: &mut Snapshot, event: &Event, zone: FixedOffset) {
    match event {
        Event::Alarm { .. } => {
            if let Some(newest) = desk.alarms.last_mut() {
                put(&mut newest.text, zone);
            }
        }
        Event::Guards { .. } => localize_guards(desk, zone),
        Event::Settled { .. } | Event::CycleFinished { .. } => localize_outcomes(desk, zone),
        _ => {}
    }
}

fn localize_guards(desk: &mut Snapshot, zone: FixedOffset) {
    for reading in &mut desk.guards {
        put(&mut reading.value, zone);
    }
}

fn localize_outcomes(desk: &mut Snapshot, zone: FixedOffset) {
    let outcomes = desk.cycle.iter_mut().flat_map(|cycle| &mut cycle.decisions);
    for outcome in outcomes.filter_map(|(_, outcome)| outcome.as_mut()) {
        put(&mut outcome.detail, zone);
    }
}

/// The same for a report of the past.
pub fn localize_report(report: &mut CycleReport, zone: FixedOffset) {
    for Outcome { detail, .. } in report.decisions.iter_mut().map(|row| &mut row.outcome) {
        put(detail, zone);
    }
    for error in &mut report.errors {
        put(error, zone);
    }
}

fn put(text: &mut String, zone: FixedOffset) {
    // Most of what is said names no time.
    if text.contains('Z') {
        *text = in_zone(text, zone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn east() -> FixedOffset {
        FixedOffset::east_opt(3 * 3600).unwrap()
    }

    #[test]
    fn every_form_of_a_time_becomes_one() {
        for (told, shown) in [
            ("until 2026-03-02 22:30:00Z: rates", "until 03 Mar 01:30: rates"),
            ("at 2026-03-02T13:05:00Z", "at 02 Mar 16:05"),
            ("US CPI, 02 Mar 13:15Z", "US CPI, 02 Mar 16:15"),
            ("closed at 22:02Z; left alone until 00:02Z", "closed at 01:02; left alone until 03:02"),
            ("ölçüldü 13:05:09Z", "ölçüldü 16:05:09"),
        ] {
            assert_eq!(in_zone(told, east()), shown);
            assert_eq!(in_zone(shown, east()), shown, "once is enough");
        }
        assert_eq!(in_zone("until 2026-03-02 15:00:00Z", chrono::Offset::fix(&Utc)), "until 02 Mar 15:00");
    }

    #[test]
    fn what_is_no_time_stays() {
        for text in ["Z", "25:00Z", "c20260302T080500Z-0001", "13:05Zulu", "a:bcZ", "€€:€€Z", "ZECUSDT 12:30"]
        {
            assert_eq!(in_zone(text, east()), text);
        }
    }
}
