//! How numbers stand on the wire: money as strings with fixed digits, ids and times as numbers.

use rust_decimal::Decimal;
use serde_json::{Number, Value};

/// Digits after the point of a balance.
const MONEY: u32 = 8;

/// A decimal with exactly so many digits after the point; no negative zero.
pub(crate) fn fixed(value: Decimal, digits: u32) -> String {
    let mut value = value.round_dp(digits);
    if value.is_zero() {
        value = Decimal::ZERO;
    }
    value.rescale(digits);
    value.to_string()
}

/// An amount of USDT.
pub(crate) fn money(value: Decimal) -> String {
    fixed(value, MONEY)
}

/// A price that need not lie on the grid, such as an average.
pub(crate) fn average(value: Decimal, digits: u32) -> String {
    fixed(value, digits.max(MONEY))
}

/// A decimal as a JSON number, for the few places where the wire has one.
pub(crate) fn number(value: Decimal) -> Value {
    let text = value.normalize().to_string();
    text.parse::<Number>().map_or(Value::String(text), Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_fixed_digits_and_no_negative_zero() {
        assert_eq!(fixed(Decimal::new(15, 1), 3), "1.500");
        assert_eq!(fixed(-Decimal::new(1, 9), 8), "0.00000000");
        assert_eq!(number(Decimal::new(65, 4)).to_string(), "0.0065");
        assert_eq!(number(Decimal::from(10_000)).to_string(), "10000");
    }
}
