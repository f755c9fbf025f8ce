//! Parameters of a request: from the query and the body, in any order and content type.

use rust_decimal::Decimal;

use super::error::ApiError;
use crate::domain::Symbol;

/// What a whole number may look like, in the exchange's words.
const WHOLE: &str = "^[0-9]{1,20}$";
/// What a decimal may look like, in the exchange's words.
const DECIMAL: &str = r"^([0-9]{1,20})(\.[0-9]{1,20})?$";

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

    /// A whole number: digits alone, no sign except a leading minus.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        if !is_digits(text.strip_prefix('-').unwrap_or(text)) {
            return Err(ApiError::illegal(name, WHOLE));
        }
        // Digits that are too many for any number of the exchange.
        text.parse().map(Some).map_err(|_| ApiError::invalid(name))
    }

    /// A whole number that is never below zero, such as a time or a duration.
    pub fn natural(&self, name: &str) -> Result<Option<i64>, ApiError> {
        match self.integer(name)? {
            Some(number) if number < 0 => Err(ApiError::illegal(name, WHOLE)),
            number => Ok(number),
        }
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
        let Some(text) = self.get(name) else { return Ok(None) };
        let digits = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        if !is_digits(whole) || !is_digits(fraction) {
            return Err(ApiError::illegal(name, DECIMAL));
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

/// One to twenty digits and nothing else.
fn is_digits(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
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
        let sent = |text: &str| Params(vec![("number".to_owned(), text.to_owned())]);
        for bad in [
            "1e3",
            "abc",
            "1,5",
            "--1",
            ".",
            ".5",
            "5.",
            "1.2.3",
            "∞",
            "123456789012345678901",
            " 1",
            "1 ",
            "+1",
        ] {
            let error = sent(bad).decimal("number").unwrap_err();
            assert_eq!((error.code, error.message.contains(DECIMAL)), (-1100, true), "{bad}");
        }
        for bad in ["1.7e12", "0x18", "null", "1.5", "1_0", "-", "--1", "+1", " 1", "1 ", "\u{661}"] {
            let error = sent(bad).integer("number").unwrap_err();
            let told = "Illegal characters found in parameter 'number'; legal range is '^[0-9]{1,20}$'.";
            assert_eq!((error.code, error.message.as_ref()), (-1100, told), "{bad}");
        }
        assert_eq!(sent("99999999999999999999").integer("number").unwrap_err().code, -1130);
        assert_eq!(sent("-3").integer("number"), Ok(Some(-3)));
        assert_eq!(sent("-3").natural("number").unwrap_err().code, -1100);
        assert_eq!((sent("").integer("number"), sent("").decimal("number")), (Ok(None), Ok(None)));
        assert_eq!(sent("0.0100").decimal("number").unwrap().unwrap().to_string(), "0.01");
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_parser(query in ".*", body in ".*") {
            let params = Params::parse(&query, &body);
            let _ = (params.decimal("q"), params.integer("q"), params.flag("q"), params.symbol());
        }
    }
}
