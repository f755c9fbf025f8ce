//! Numbers as the prompt writes them: at most five significant digits, plain notation, absent is an empty cell.

use chrono::SecondsFormat;
use rust_decimal::{Decimal, RoundingStrategy};

use crate::domain::Timestamp;

/// Digits that carry meaning in a market table; more cost tokens and add nothing.
const DIGITS: usize = 5;
const ROUGH_DIGITS: usize = 3;

/// A statistic with at most five significant digits; an absent or non-finite one is empty, never zero.
pub fn significant(value: Option<f64>) -> String {
    with_digits(value, DIGITS)
}

/// A statistic that is not read to more than three digits: a ratio, a change, a volatility.
pub fn rough(value: Option<f64>) -> String {
    with_digits(value, ROUGH_DIGITS)
}

fn with_digits(value: Option<f64>, digits: usize) -> String {
    let Some(value) = value.filter(|value| value.is_finite()) else { return String::new() };
    let scientific = format!("{value:.*e}", digits - 1);
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return String::new() };
    let exponent: i64 = exponent.parse().unwrap_or(0);
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let sign = if mantissa.starts_with('-') { "-" } else { "" };
    let plain = place_point(&digits, exponent);
    if plain == "0" { plain } else { format!("{sign}{plain}") }
}

/// An exact decimal with at most five significant digits.
pub fn significant_decimal(value: Decimal) -> String {
    let rounded = value.round_sf_with_strategy(
        u32::try_from(DIGITS).unwrap_or(u32::MAX),
        RoundingStrategy::MidpointAwayFromZero,
    );
    rounded.unwrap_or(value).normalize().to_string()
}

/// A volume to three digits, in thousands (`k`), millions (`M`) or billions (`B`) from there on.
pub fn shortened(value: Decimal) -> String {
    let rounded = value.round_sf(3).unwrap_or(value);
    let (scale, letter) = [(9, "B"), (6, "M"), (3, "k")]
        .into_iter()
        .find(|(scale, _)| rounded.abs() >= Decimal::from(10_i64.pow(*scale)))
        .unwrap_or((0, ""));
    format!("{}{letter}", (rounded / Decimal::from(10_i64.pow(scale))).normalize())
}

/// An amount of USDT to the cent.
pub fn cents(value: Decimal) -> String {
    let mut rounded = value.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
    rounded.rescale(2);
    if rounded.is_zero() {
        rounded.set_sign_positive(true);
    }
    rounded.to_string()
}

/// An instant to the second, `2026-03-02T08:05:00Z`.
pub fn instant(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Puts the decimal point behind the digit that belongs to `exponent`, without trailing zeros.
fn place_point(digits: &str, exponent: i64) -> String {
    let trimmed = digits.trim_end_matches('0');
    if trimmed.is_empty() {
        return "0".to_owned();
    }
    let Ok(whole) = usize::try_from(exponent + 1) else {
        let zeros = usize::try_from(-exponent - 1).unwrap_or(0);
        return format!("0.{}{trimmed}", "0".repeat(zeros));
    };
    if whole == 0 {
        format!("0.{trimmed}")
    } else if trimmed.len() <= whole {
        format!("{trimmed}{}", "0".repeat(whole - trimmed.len()))
    } else {
        let (before, after) = trimmed.split_at(whole);
        format!("{before}.{after}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn five_digits_are_kept_and_notation_is_plain() {
        for (value, text) in [
            (66_491.8, "66492"),
            (1_234_567.0, "1234600"),
            (0.000_012_345_6, "0.000012346"),
            (-0.5, "-0.5"),
            (9.999_99, "10"),
            (61.0, "61"),
            (0.0, "0"),
            (-0.0, "0"),
            (0.1, "0.1"),
        ] {
            assert_eq!(significant(Some(value)), text);
        }
    }

    #[test]
    fn a_rough_figure_has_three_digits() {
        for (value, text) in [(6_012.3, "6010"), (-0.051_29, "-0.0513"), (1.25, "1.25"), (0.0, "0")] {
            assert_eq!(rough(Some(value)), text);
        }
        assert_eq!(rough(None), "");
    }

    #[test]
    fn what_is_not_known_is_empty_and_not_zero() {
        for value in [None, Some(f64::NAN), Some(f64::INFINITY)] {
            assert_eq!(significant(value), "");
        }
    }

    #[test]
    fn money_is_written_to_the_cent() {
        assert_eq!(cents("-0.425".parse().unwrap()), "-0.43");
        assert_eq!(cents("1000".parse().unwrap()), "1000.00");
        assert_eq!(cents("-0.001".parse().unwrap()), "0.00");
    }

    #[test]
    fn volumes_keep_three_digits_and_carry_their_scale() {
        let told = |text: &str| shortened(text.parse().unwrap());
        assert_eq!(
            ["0", "6.2379", "999.4", "999.6", "42018", "1507300", "999999", "233680000", "2668800000"]
                .map(told),
            ["0", "6.24", "999", "1k", "42k", "1.51M", "1M", "234M", "2.67B"]
        );
    }

    proptest! {
        #[test]
        fn a_written_number_is_within_five_digits_of_the_real_one(value in -1e9_f64..1e9) {
            let written: f64 = significant(Some(value)).parse().unwrap();
            prop_assert!((written - value).abs() <= value.abs() * 5.1e-5 + 1e-300);
        }

    #[test]
        fn decimals_and_floats_are_written_alike(units in 1_i64..9_999_999, scale in 0_u32..8) {
            let exact = Decimal::new(units, scale);
            let written = significant_decimal(exact);
            prop_assert!(written.chars().filter(char::is_ascii_digit).collect::<String>()
                .trim_start_matches('0').trim_end_matches('0').len() <= 5);
        }
    }
}
