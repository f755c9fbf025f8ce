//! Figures as an operator reads them: fixed decimals, thousands separators, short durations.

use rust_decimal::Decimal;

use crate::domain::{Price, Quantity, Timestamp, Usdt};

/// A decimal with `places` decimals and commas between thousands.
pub fn grouped(value: Decimal, places: u32) -> String {
    let rounded = value.round_dp(places);
    let text = format!("{:.*}", places as usize, rounded.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut out = String::with_capacity(text.len() + 4);
    if rounded.is_sign_negative() && !rounded.is_zero() {
        out.push('-');
    }
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

/// A price with as many decimals as its size makes useful.
pub fn price(price: Price) -> String {
    grouped(price.value(), places(price))
}

/// A price with every digit it has: one that somebody typed, and that will be sent as it stands.
pub fn exact_price(price: Price) -> String {
    let value = price.value().normalize();
    grouped(value, value.scale().max(places(price)))
}

fn places(price: Price) -> u32 {
    let value = price.value();
    [(10_000, 1), (100, 2), (10, 3), (1, 4)]
        .into_iter()
        .find(|(from, _)| value >= Decimal::from(*from))
        .map_or(5, |(_, places)| places)
}

/// An amount of USDT with two decimals.
pub fn usdt(amount: Usdt) -> String {
    grouped(amount.value(), 2)
}

/// A gain or loss in USDT; a gain carries its plus sign. From ten thousand on, whole dollars are enough.
pub fn signed_usdt(amount: Usdt) -> String {
    let places = if amount.value().abs() >= Decimal::from(10_000) { 0 } else { 2 };
    plus(amount.value().round_dp(places), grouped(amount.value(), places))
}

/// A gain or loss in percent; a gain carries its plus sign. Large ones need fewer decimals.
pub fn signed_percent(points: Decimal) -> String {
    let size = points.abs();
    let places = if size < Decimal::from(100) { 2 } else { u32::from(size < Decimal::from(1_000)) };
    plus(points.round_dp(places), format!("{}%", grouped(points, places)))
}

fn plus(value: Decimal, text: String) -> String {
    if value > Decimal::ZERO { format!("+{text}") } else { text }
}

/// An amount of coin without trailing zeros and with separators.
pub fn quantity(quantity: Quantity) -> String {
    let value = quantity.value().round_dp(8).normalize();
    grouped(value, value.scale())
}

/// A count: `812`, `19.8k`, `1.2M`.
pub fn thousands(count: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", count / unit, count % unit * 10 / unit);
    match count {
        0..1_000 => count.to_string(),
        1_000..1_000_000 => format!("{}k", tenths(1_000)),
        _ => format!("{}M", tenths(1_000_000)),
    }
}

/// How long something has lasted, in two units: `45s`, `12m08s`, `3h12m`, `5d04h`.
pub fn lasted(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    if days > 99 {
        format!("{days}d")
    } else if days > 0 {
        format!("{days}d{:02}h", hours % 24)
    } else if hours > 0 {
        format!("{hours}h{:02}m", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes}m{:02}s", seconds % 60)
    } else {
        format!("{seconds}s")
    }
}

/// How long a position has been held, to the minute: a second hand in every row would only be restless.
pub fn held(seconds: i64) -> String {
    match seconds.max(0) {
        0..60 => "<1m".to_owned(),
        60..3_600 => format!("{}m", seconds / 60),
        _ => lasted(seconds),
    }
}

/// Time left, written so that it is not taken for a time of day: `in 24m 07s`, `in 1h 24m`.
pub fn countdown(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("in {rest}s"),
        (0, _) => format!("in {minutes}m {rest:02}s"),
        _ => format!("in {hours}h {minutes:02}m"),
    }
}

/// The time of day, UTC.
pub fn time(at: Timestamp) -> String {
    at.format("%H:%M:%S").to_string()
}

/// A size: `812 B`, `1.2 KB`, `3.4 MB`.
pub fn bytes(count: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", count / unit, count % unit * 10 / unit);
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{} KB", tenths(1_000)),
        _ => format!("{} MB", tenths(1_000_000)),
    }
}

/// About how many tokens an answer of the tool is. Figures are dense: measured were 1.6 bytes a token for tables and 2.3
/// for JSON.
pub const fn tokens(bytes: u64) -> u64 {
    bytes.div_ceil(2)
}

/// A duration: `0.4 ms`, `38 ms`, `1.2 s`.
pub fn millis(ms: f64) -> String {
    if ms < 9.95 {
        format!("{ms:.1} ms")
    } else if ms < 999.5 {
        format!("{ms:.0} ms")
    } else {
        format!("{:.1} s", ms / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated_and_the_sign_stays_in_front() {
        assert_eq!(grouped("-1234567.891".parse().unwrap(), 2), "-1,234,567.89");
        assert_eq!(grouped("999.999".parse().unwrap(), 2), "1,000.00");
        assert_eq!(grouped("-0.001".parse().unwrap(), 2), "0.00");
        assert_eq!(grouped("123456".parse().unwrap(), 0), "123,456");
    }

    #[test]
    fn a_price_keeps_the_decimals_its_size_needs() {
        for (value, shown) in [
            ("66491.8", "66,491.8"),
            ("2345.678", "2,345.68"),
            ("13.4821", "13.482"),
            ("1.23456", "1.2346"),
            ("0.081234", "0.08123"),
        ] {
            assert_eq!(price(value.parse().unwrap()), shown);
        }
    }

    #[test]
    fn a_gain_carries_its_sign_and_nothing_is_nothing() {
        assert_eq!(signed_usdt("12.345".parse().unwrap()), "+12.34");
        assert_eq!(signed_usdt("-0.5".parse().unwrap()), "-0.50");
        assert_eq!(signed_usdt("0.001".parse().unwrap()), "0.00");
        assert_eq!(signed_percent("1.239".parse().unwrap()), "+1.24%");
        assert_eq!(signed_percent("-123.45".parse().unwrap()), "-123.4%");
        assert_eq!(signed_usdt("-12345.67".parse().unwrap()), "-12,346");
    }

    #[test]
    fn durations_use_their_two_largest_units() {
        let shown: Vec<_> = [-5, 45, 728, 11_520, 446_400].into_iter().map(lasted).collect();
        assert_eq!(shown, ["0s", "45s", "12m08s", "3h12m", "5d04h"]);
        assert_eq!([held(-1), held(59), held(60), held(11_520)], ["<1m", "<1m", "1m", "3h12m"]);
        assert_eq!([countdown(1447), countdown(5047), countdown(7)], ["in 24m 07s", "in 1h 24m", "in 7s"]);
    }

    #[test]
    fn sizes_and_waits_are_short() {
        assert_eq!([bytes(812), bytes(1_250), bytes(3_400_000)], ["812 B", "1.2 KB", "3.4 MB"]);
        assert_eq!([thousands(812), thousands(19_870), thousands(1_250_000)], ["812", "19.8k", "1.2M"]);
        assert_eq!([millis(0.42), millis(38.4), millis(1234.0)], ["0.4 ms", "38 ms", "1.2 s"]);
    }
}
