//! Hours and days of the world's markets: UTC days, weekends, New York's summer time and sessions.

/// One hour in milliseconds.
pub(crate) const HOUR_MS: i64 = 3_600_000;
/// One day in milliseconds.
pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;

/// The instants a market is asked about: 1970 to the end of 9999. Others are moved to the nearer end.
pub(crate) fn sane(at_ms: i64) -> i64 {
    at_ms.clamp(0, 253_402_300_799_999)
}

/// Day of the week of an instant, Monday 0 to Sunday 6.
pub(crate) fn weekday(at_ms: i64) -> i64 {
    // 1970-01-01 was a Thursday
    (at_ms.div_euclid(DAY_MS) + 3).rem_euclid(7)
}

/// Saturday or Sunday, UTC.
pub(crate) fn is_weekend(at_ms: i64) -> bool {
    weekday(at_ms) >= 5
}

/// Year, month and day of a UTC instant.
pub(crate) fn civil(at_ms: i64) -> (i64, u32, u32) {
    // days counted in eras of 400 years that begin on a 1 March
    let days = at_ms.div_euclid(DAY_MS) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month as u32, day as u32)
}

/// Midnight UTC of a date, milliseconds. Months beyond 12 run into the next year.
pub(crate) fn from_civil(year: i64, month: u32, day: u32) -> i64 {
    let (year, month) = (year + i64::from((month - 1) / 12), (month - 1) % 12 + 1);
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let shifted_month = i64::from(if month > 2 { month - 3 } else { month + 9 });
    let day_of_year = (153 * shifted_month + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era - 719_468) * DAY_MS
}

/// The n-th (from 1) given weekday of a month, midnight UTC.
pub(crate) fn nth_weekday(year: i64, month: u32, wanted: i64, nth: i64) -> i64 {
    let first = from_civil(year, month, 1);
    let ahead = (wanted - weekday(first)).rem_euclid(7);
    first + (ahead + 7 * (nth - 1)) * DAY_MS
}

/// New York's distance from UTC at an instant, milliseconds: summer time runs from 2:00 on the second Sunday of March
/// to 2:00 on the first Sunday of November.
pub(crate) fn new_york_offset(at_ms: i64) -> i64 {
    let (year, _, _) = civil(at_ms);
    let begins = nth_weekday(year, 3, 6, 2) + 7 * HOUR_MS;
    let ends = nth_weekday(year, 11, 6, 1) + 6 * HOUR_MS;
    if (begins..ends).contains(&at_ms) { -4 * HOUR_MS } else { -5 * HOUR_MS }
}

/// Start and end of the regular New York session (9:30 to 16:00) on the New York date of an instant; none at weekends.
/// The world keeps no exchange holidays.
pub(crate) fn new_york_session(at_ms: i64) -> Option<(i64, i64)> {
    let offset = new_york_offset(at_ms);
    let midnight = (at_ms + offset).div_euclid(DAY_MS) * DAY_MS;
    if is_weekend(midnight) {
        return None;
    }
    let half = HOUR_MS / 2;
    Some((midnight - offset + 9 * HOUR_MS + half, midnight - offset + 16 * HOUR_MS))
}

/// Whether the hour that begins here has a part in the regular New York session.
pub(crate) fn is_new_york_session(hour_ms: i64) -> bool {
    new_york_session(hour_ms).is_some_and(|(start, end)| hour_ms + HOUR_MS > start && hour_ms < end)
}

/// Whether US futures trade: from Sunday 18:00 to Friday 17:00 New York time, with an hour's pause each day at 17:00.
pub(crate) fn is_futures_session(at_ms: i64) -> bool {
    let local = at_ms + new_york_offset(at_ms);
    let hour = local.rem_euclid(DAY_MS) / HOUR_MS;
    match weekday(local) {
        5 => false,
        6 => hour >= 18,
        4 => hour < 17,
        _ => hour != 17,
    }
}

#[cfg(test)]
mod tests {
    use chrono::{Datelike, TimeZone, Utc};

    use super::*;

    #[test]
    fn dates_agree_with_a_calendar_library_over_a_century() {
        for day in (-9_000..40_000).step_by(17) {
            let at = day * DAY_MS + 5;
            let date = Utc.timestamp_millis_opt(at).unwrap();
            assert_eq!(civil(at), (i64::from(date.year()), date.month(), date.day()));
            assert_eq!(weekday(at), i64::from(date.weekday().num_days_from_monday()));
            assert_eq!(from_civil(i64::from(date.year()), date.month(), date.day()), day * DAY_MS);
        }
    }

    #[test]
    fn new_york_changes_its_clock_twice_a_year() {
        let at = |text: &str| text.parse::<chrono::DateTime<Utc>>().unwrap().timestamp_millis();
        assert_eq!(new_york_offset(at("2026-03-08T06:59:59Z")), -5 * HOUR_MS);
        assert_eq!(new_york_offset(at("2026-03-08T07:00:00Z")), -4 * HOUR_MS);
        assert_eq!(new_york_offset(at("2026-11-01T05:59:59Z")), -4 * HOUR_MS);
        assert_eq!(new_york_offset(at("2026-11-01T06:00:00Z")), -5 * HOUR_MS);
        let session = new_york_session(at("2026-08-21T15:00:00Z")).unwrap();
        assert_eq!(session, (at("2026-08-21T13:30:00Z"), at("2026-08-21T20:00:00Z")));
        assert_eq!(new_york_session(at("2026-08-22T15:00:00Z")), None);
    }
}
