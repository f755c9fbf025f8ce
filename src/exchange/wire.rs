//! Decoding that survives what the exchange adds, drops or changes the type of.

use std::str::FromStr;

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use crate::domain::Timestamp;

/// A decimal sent as a string or a number. The empty string and null mean absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Num(pub(super) Decimal);

impl<'de> Deserialize<'de> for Num {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        opt_num(deserializer)?.map(Num).ok_or_else(|| de::Error::custom("an amount is empty"))
    }
}

/// For `#[serde(default, deserialize_with = …)]`: a decimal that may be absent, null or empty.
pub(super) fn opt_num<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Decimal>, D::Error> {
    let text = match Value::deserialize(deserializer)? {
        Value::Null => return Ok(None),
        Value::String(text) if text.trim().is_empty() => return Ok(None),
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        _ => return Err(de::Error::custom("expected a decimal as a string or a number")),
    };
    let text = text.trim();
    Decimal::from_str(text)
        .or_else(|_| Decimal::from_scientific(text))
        .map(Some)
        .map_err(|_| de::Error::custom("an amount is not a decimal"))
}

/// A whole number sent as a number or a string; `""` means absent.
pub(super) fn opt_int<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::String(text) if text.trim().is_empty() => Ok(None),
        Value::String(text) => {
            text.trim().parse().map(Some).map_err(|_| de::Error::custom("an id is not a whole number"))
        }
        Value::Number(number) => {
            number.as_i64().map(Some).ok_or_else(|| de::Error::custom("an id is not a whole number"))
        }
        _ => Err(de::Error::custom("expected a whole number")),
    }
}

/// A required whole number, as a number or a string.
pub(super) fn int<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    opt_int(deserializer)?.ok_or_else(|| de::Error::custom("a number is empty"))
}

/// A truth value sent as such or as `"true"`/`"false"`; anything else means absent.
pub(super) fn opt_bool<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Bool(flag) => Some(flag),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    })
}

/// Milliseconds since 1970 as an instant; 0 means that there is none.
pub(super) fn instant(millis: Option<i64>) -> Option<Timestamp> {
    millis.filter(|millis| *millis != 0).and_then(Timestamp::from_timestamp_millis)
}

/// An array, or its only element without the brackets.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany<T> {
    Many(Vec<T>),
    One(T),
}

impl<T> OneOrMany<T> {
    pub(super) fn into_vec(self) -> Vec<T> {
        match self {
            Self::Many(items) => items,
            Self::One(item) => vec![item],
        }
    }
}

/// The envelope of calls that only succeed: `code` is a number, but a string from some endpoints.
pub(super) fn decode_success(body: &[u8]) -> Result<(), serde_json::Error> {
    #[derive(Deserialize)]
    struct Envelope {
        #[serde(deserialize_with = "int")]
        code: i64,
    }
    let envelope: Envelope = serde_json::from_slice(body)?;
    if envelope.code == 200 {
        Ok(())
    } else {
        Err(de::Error::custom(format!("expected code 200, got {}", envelope.code)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Row {
        #[serde(default, deserialize_with = "opt_num")]
        amount: Option<Decimal>,
        #[serde(default, deserialize_with = "opt_int")]
        id: Option<i64>,
    }

    #[test]
    fn absent_empty_and_null_are_not_zero() {
        for text in ["{}", r#"{"amount":"","id":""}"#, r#"{"amount":null,"id":null}"#] {
            let row: Row = serde_json::from_str(text).unwrap();
            assert_eq!((row.amount, row.id), (None, None), "{text}");
        }
    }

    #[test]
    fn strings_numbers_and_exponents_are_the_same_decimal() {
        for text in [r#""0.0065""#, "0.0065", r#""6.5e-3""#, "6.5e-3"] {
            let row: Row = serde_json::from_str(&format!(r#"{{"amount":{text}}}"#)).unwrap();
            assert_eq!(row.amount, Some(Decimal::new(65, 4)), "{text}");
        }
    }

    #[test]
    fn success_may_say_its_code_as_text() {
        assert!(decode_success(br#"{"code":"200","msg":"success"}"#).is_ok());
        assert!(decode_success(br#"{"code":200}"#).is_ok());
        assert!(decode_success(br#"{"code":-2011,"msg":"x"}"#).is_err());
        assert!(decode_success(b"{}").is_err());
    }
}
