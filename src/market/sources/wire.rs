//! Values as sources really send them: numbers as text, text as numbers, null, and words for "not a number".

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::Value;

use crate::domain::{Timestamp, Untrusted};

/// A decimal from a number or from text. `None` for null, empty text, NaN and everything else.
pub(crate) fn decimal(value: &Value) -> Option<Decimal> {
    match value {
        Value::String(text) => decimal_of(text),
        Value::Number(number) => decimal_of(&number.to_string()),
        _ => None,
    }
}

/// A decimal from text, scientific notation included.
pub(crate) fn decimal_of(text: &str) -> Option<Decimal> {
    let text = text.trim();
    Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text)).ok()
}

/// A finite float from a number or from text.
pub(crate) fn float(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}

/// An integer from a number or from text.
pub(crate) fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// An instant from Unix milliseconds; zero means absent.
pub(crate) fn millis(value: &Value) -> Option<Timestamp> {
    integer(value).filter(|millis| *millis > 0).and_then(DateTime::<Utc>::from_timestamp_millis)
}

/// An instant from Unix seconds; zero means absent.
pub(crate) fn seconds(value: &Value) -> Option<Timestamp> {
    integer(value).filter(|seconds| *seconds > 0).and_then(|seconds| DateTime::from_timestamp(seconds, 0))
}

/// Text, empty when absent.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default().trim()
}

/// Columns, and characters, a headline or an event name may take.
const LONGEST_TEXT: usize = 300;

/// Somebody else's line, cleaned at the door: what is kept can be shown anywhere and stays marked as theirs.
pub(crate) fn cleaned(value: &Value) -> Untrusted {
    cleaned_text(text(value))
}

/// The same for text that is already at hand.
pub(crate) fn cleaned_text(text: &str) -> Untrusted {
    let line = Untrusted::new(text).line(LONGEST_TEXT);
    // Combining marks take no column of their own.
    Untrusted::new(line.chars().take(LONGEST_TEXT).collect::<String>())
}

/// A country or currency code; empty for anything else.
pub(crate) fn country(value: &Value) -> String {
    let code = text(value);
    let plain = code.len() <= 3 && code.bytes().all(|byte| byte.is_ascii_uppercase());
    if plain { code.to_owned() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn words_for_not_a_number_are_absent() {
        for word in ["NaN", "Infinity", "-inf", "", "n/a"] {
            assert_eq!((decimal(&json!(word)), float(&json!(word))), (None, None), "{word}");
        }
        assert_eq!((decimal(&Value::Null), float(&Value::Null)), (None, None));
    }

    #[test]
    fn a_number_in_scientific_notation_is_a_decimal() {
        assert_eq!(decimal(&json!(1e-7)).unwrap().to_string(), "0.0000001");
        assert_eq!(decimal(&json!("1E-7")).unwrap().to_string(), "0.0000001");
    }

    #[test]
    fn a_time_of_zero_is_absent() {
        assert_eq!((millis(&json!(0)), seconds(&json!("0"))), (None, None));
    }

    proptest! {
        #[test]
        fn a_decimal_keeps_every_digit_of_its_text(mantissa in 0_i64.., scale in 0_u32..=18) {
            let exact = Decimal::new(mantissa, scale);
            prop_assert_eq!(decimal(&json!(exact.to_string())), Some(exact));
        }

        #[test]
        fn no_text_makes_the_parsers_panic(text in "\\PC*") {
            let value = json!(text);
            let _ = (decimal(&value), float(&value), integer(&value), millis(&value), seconds(&value));
        }
    }
}
