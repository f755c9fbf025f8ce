//! The economic calendar of this world: which figures come out when. Prices grow restless at their hour.

use super::calendar_time::{DAY_MS, HOUR_MS, civil, from_civil, new_york_offset, nth_weekday, weekday};

/// How much a figure matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Impact {
    /// Moves markets.
    High,
    /// Sometimes moves markets.
    Medium,
    /// Rarely noticed.
    Low,
}

/// One figure that comes out at a known time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Announcement {
    /// When, UTC milliseconds.
    pub(crate) at_ms: i64,
    /// What.
    pub(crate) figure: &'static Figure,
}

/// A figure of the calendar.
#[derive(Debug, PartialEq)]
pub(crate) struct Figure {
    pub(crate) title: &'static str,
    pub(crate) country: &'static str,
    pub(crate) currency: &'static str,
    pub(crate) impact: Impact,
    /// New York time, minutes after midnight.
    minute: i64,
    rule: Rule,
    /// Usual value, how far values spread around it, its unit and decimals.
    pub(crate) usual: f64,
    pub(crate) spread: f64,
    pub(crate) unit: &'static str,
    pub(crate) decimals: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// The n-th weekday (Monday 0) of every month.
    Monthly(i64, i64),
    /// A weekday of every week.
    Weekly(i64),
    /// The third Wednesday of these months.
    RateMeetings([u32; 8]),
}

const HALF_PAST_EIGHT: i64 = 8 * 60 + 30;
const TEN: i64 = 10 * 60;
const TWO: i64 = 14 * 60;

const fn figure(title: &'static str, impact: Impact, minute: i64, rule: Rule) -> Figure {
    Figure {
        title,
        country: "US",
        currency: "USD",
        impact,
        minute,
        rule,
        usual: 0.2,
        spread: 0.1,
        unit: "%",
        decimals: 1,
    }
}

static FIGURES: [Figure; 11] = [
    figure("CPI m/m", Impact::High, HALF_PAST_EIGHT, Rule::Monthly(2, 2)),
    Figure {
        usual: 2.9,
        spread: 0.2,
        ..figure("CPI y/y", Impact::High, HALF_PAST_EIGHT, Rule::Monthly(2, 2))
    },
    Figure {
        usual: 95.0,
        spread: 70.0,
        unit: "K",
        decimals: 0,
        ..figure("Non-Farm Employment Change", Impact::High, HALF_PAST_EIGHT, Rule::Monthly(4, 1))
    },
    Figure {
        usual: 4.3,
        spread: 0.1,
        ..figure("Unemployment Rate", Impact::High, HALF_PAST_EIGHT, Rule::Monthly(4, 1))
    },
    Figure {
        usual: 3.75,
        spread: 0.0,
        decimals: 2,
        ..figure("Federal Funds Rate", Impact::High, TWO, Rule::RateMeetings([1, 3, 4, 6, 7, 9, 10, 12]))
    },
    Figure { spread: 0.2, ..figure("PPI m/m", Impact::Medium, HALF_PAST_EIGHT, Rule::Monthly(3, 2)) },
    Figure {
        usual: 0.3,
        spread: 0.4,
        ..figure("Retail Sales m/m", Impact::Medium, HALF_PAST_EIGHT, Rule::Monthly(1, 3))
    },
    Figure {
        usual: 49.6,
        spread: 1.2,
        unit: "",
        ..figure("ISM Manufacturing PMI", Impact::Medium, TEN, Rule::Monthly(0, 1))
    },
    Figure {
        usual: 225.0,
        spread: 12.0,
        unit: "K",
        decimals: 0,
        ..figure("Unemployment Claims", Impact::Medium, HALF_PAST_EIGHT, Rule::Weekly(3))
    },
    Figure {
        usual: 2.0,
        spread: 0.0,
        decimals: 2,
        country: "EU",
        currency: "EUR",
        ..figure("Main Refinancing Rate", Impact::High, 8 * 60 + 15, Rule::Monthly(3, 1))
    },
    Figure {
        usual: -1.2,
        spread: 2.5,
        unit: "M",
        ..figure("Crude Oil Inventories", Impact::Low, TEN + 30, Rule::Weekly(2))
    },
];

/// Everything that comes out in `from_ms..to_ms`, in order of time.
pub(crate) fn between(from_ms: i64, to_ms: i64) -> Vec<Announcement> {
    let mut found = Vec::new();
    let mut day = from_ms.div_euclid(DAY_MS) * DAY_MS - DAY_MS;
    while day < to_ms {
        for figure in &FIGURES {
            if falls_on(figure.rule, day) {
                let noon = day + 12 * HOUR_MS;
                let at_ms = day + figure.minute * 60_000 - new_york_offset(noon);
                if (from_ms..to_ms).contains(&at_ms) {
                    found.push(Announcement { at_ms, figure });
                }
            }
        }
        day += DAY_MS;
    }
    found.sort_by_key(|announcement| announcement.at_ms);
    found
}

/// What the announcements add to the logarithm of volatility in the hour that begins here.
pub(super) fn excitement(hour_ms: i64) -> f64 {
    // figures come out between 8:15 and 14:00 New York time, 12:15 to 19:00 UTC: other hours need no look
    let hour = hour_ms.rem_euclid(DAY_MS) / HOUR_MS;
    if !(12..=20).contains(&hour) || weekday(hour_ms) >= 5 {
        return 0.0;
    }
    between(hour_ms - HOUR_MS, hour_ms + HOUR_MS)
        .iter()
        .map(|announcement| match (announcement.figure.impact, announcement.at_ms >= hour_ms) {
            (Impact::High, true) => 0.55,
            (Impact::High, false) => 0.25,
            (Impact::Medium, true) => 0.12,
            _ => 0.0,
        })
        .fold(0.0, f64::max)
}

fn falls_on(rule: Rule, day: i64) -> bool {
    let (year, month, _) = civil(day);
    match rule {
        Rule::Weekly(wanted) => weekday(day) == wanted,
        Rule::Monthly(wanted, nth) => weekday(day) == wanted && day == nth_weekday(year, month, wanted, nth),
        Rule::RateMeetings(months) => months.contains(&month) && day == nth_weekday(year, month, 2, 3),
    }
}

/// Midnight UTC of the Sunday that begins the calendar week of an instant.
pub(crate) fn week_start(at_ms: i64) -> i64 {
    let (year, month, day) = civil(at_ms);
    let midnight = from_civil(year, month, day);
    midnight - (weekday(midnight) + 1).rem_euclid(7) * DAY_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<chrono::DateTime<chrono::Utc>>().unwrap().timestamp_millis()
    }

    #[test]
    fn payrolls_come_out_on_the_first_friday_at_half_past_eight_in_new_york() {
        let summer = between(at("2026-07-01T00:00:00Z"), at("2026-07-31T00:00:00Z"));
        let payrolls: Vec<i64> = summer
            .iter()
            .filter(|found| found.figure.title == "Non-Farm Employment Change")
            .map(|found| found.at_ms)
            .collect();
        assert_eq!(payrolls, [at("2026-07-03T12:30:00Z")]);
        let winter = between(at("2026-12-04T13:30:00Z"), at("2026-12-04T13:30:01Z"));
        assert!(winter.iter().any(|found| found.figure.title == "Non-Farm Employment Change"));
    }

    #[test]
    fn prices_are_restless_in_the_hour_of_a_great_figure_and_quiet_at_weekends() {
        assert!(excitement(at("2026-07-03T12:00:00Z")) > 0.5);
        assert!(excitement(at("2026-07-03T13:00:00Z")) > 0.2);
        assert!(excitement(at("2026-07-04T12:00:00Z")).abs() < 1e-12);
    }
}
