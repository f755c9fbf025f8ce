//! Parameters of a request: from the query and the body, in any order and content type.

use std::str::FromStr;

use rust_decimal::Decimal;

use super::error::ApiError;
use crate::domain::Symbol;

/// Decoded parameters; the query's come first and win.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads `a=b&c=d` of query and body.
    pub fn parse(query: &str, body: &str) -> Self {
        let pairs = query.split('&').chain(body.split('&')).filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            Some((decode(name.trim()), decode(value)))
        });
        Self(pairs.collect())
    }

    /// The members of a JSON object, as one element of a batch.
    pub fn from_object(object: &serde_json::Map<String, serde_json::Value>) -> Self {
        let text = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Self(object.iter().map(|(name, value)| (name.clone(), text(value))).collect())
    }

    /// A parameter that was sent and is not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).filter(|v| !v.is_empty())
    }

    pub fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.get(name).ok_or_else(|| ApiError::missing(name))
    }

    fn parsed<T: FromStr>(&self, name: &str) -> Result<Option<T>, ApiError> {
        self.get(name).map(|text| text.trim().parse().map_err(|_| ApiError::missing(name))).transpose()
    }

    /// A whole number.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, ApiError> {
        self.parsed(name)
    }

    /// An instant in UTC milliseconds, kept between 1970 and the exchange's far future.
    pub fn time(&self, name: &str) -> Result<Option<i64>, ApiError> {
        const FAR: i64 = 4_133_404_800_000;
        Ok(self.integer(name)?.map(|time| time.clamp(0, FAR)))
    }

    /// A row limit between 1 and `most`.
    pub fn limit(&self, usual: usize, most: usize) -> Result<usize, ApiError> {
        match self.integer("limit")? {
            None => Ok(usual),
            Some(limit) => usize::try_from(limit)
                .ok()
                .filter(|limit| *limit >= 1)
                .map(|limit| limit.min(most))
                .ok_or_else(|| ApiError::invalid("limit")),
        }
    }

    /// A plain decimal: digits with at most one point, no exponent, no sign except a leading minus.
    pub fn decimal(&self, name: &str) -> Result<Option<Decimal>, ApiError> {
        const RANGE: &str = r"^([0-9]{1,20})(\.[0-9]{1,20})?$";
        let Some(text) = self.get(name) else { return Ok(None) };
        let text = text.trim();
        let digits = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let numeric = |part: &str| part.len() <= 20 && part.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !numeric(whole) || !numeric(fraction) {
            return Err(ApiError::illegal(name, RANGE));
        }
        match Decimal::from_str_exact(text) {
            Ok(value) => Ok(Some(value.normalize())),
            Err(_) => Err(crate::world::engine::refusal::PRECISION.into()),
        }
    }

    /// `true` or `false` in any case.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        self.get(name)
            .map(|text| match text.to_ascii_lowercase().as_str() {
                "true" => Ok(true),
                "false" => Ok(false),
                _ => Err(ApiError::invalid(name)),
            })
            .transpose()
    }

    /// A contract's name, not yet known to be listed.
    pub fn symbol(&self) -> Result<Option<Symbol>, ApiError> {
        self.get("symbol")
            .map(|text| Symbol::new(text).map_err(|_| crate::world::engine::refusal::INVALID_SYMBOL.into()))
            .transpose()
    }
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escaped = (*byte == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (escaped, *byte) {
            (Some(value), _) => {
                decoded.push(value);
                at += 2;
            }
            (None, b'+') => decoded.push(b' '),
            (None, other) => decoded.push(other),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_query_wins_over_the_body_and_escapes_are_decoded() {
        let params = Params::parse("a=1&b=%5B1%2C2%5D", "a=2&c=x+y&d=[{\"q\":\"1\"}]");
        assert_eq!(params.get("a"), Some("1"));
        assert_eq!(params.get("b"), Some("[1,2]"));
        assert_eq!(params.get("c"), Some("x y"));
        assert_eq!(params.get("d"), Some("[{\"q\":\"1\"}]"));
        assert_eq!(params.get("e"), None);
    }

    #[test]
    fn numbers_in_other_notations_are_refused() {
        for bad in ["1e3", "abc", "1,5", "--1", "", ".", "1.2.3", "∞", "123456789012345678901"] {
            let params = Params(vec![("quantity".to_owned(), bad.to_owned())]);
            assert!(bad.is_empty() || params.decimal("quantity").is_err(), "{bad}");
        }
        let params = Params::parse("quantity=0.0100", "");
        assert_eq!(params.decimal("quantity").unwrap().unwrap().to_string(), "0.01");
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_parser(query in ".*", body in ".*") {
            let params = Params::parse(&query, &body);
            let _ = (params.decimal("q"), params.integer("q"), params.flag("q"), params.symbol());
        }
    }
}
