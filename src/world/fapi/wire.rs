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

/// [`fixed`] at the end of a text, without a text of its own in between.
pub(crate) fn push_fixed(out: &mut String, value: Decimal, digits: u32) {
    /// Twenty digits of the largest number and a point.
    const LONGEST: usize = 21;
    let places = usize::try_from(digits).unwrap_or(LONGEST);
    let Some(mut rest) = rescaled(value, digits).filter(|_| places < LONGEST - 1) else {
        out.push_str(&fixed(value, digits));
        return;
    };
    // From the last digit to the first, at least one before the point.
    let mut text = [b'0'; LONGEST];
    let mut at = LONGEST;
    let mut written = 0;
    while rest > 0 || written <= places {
        if written == places && places > 0 {
            at -= 1;
            text[at] = b'.';
        }
        at -= 1;
        text[at] = b"0123456789"[(rest % 10) as usize];
        rest /= 10;
        written += 1;
    }
    out.push_str(std::str::from_utf8(&text[at..]).unwrap_or_default());
}

/// How many units of the last of so many digits a value is, rounded half to even; `None` for what is negative or too
/// large for quick arithmetic.
fn rescaled(value: Decimal, digits: u32) -> Option<u64> {
    let whole = u64::try_from(value.mantissa()).ok()?;
    if let Some(more) = digits.checked_sub(value.scale()) {
        return whole.checked_mul(10_u64.checked_pow(more)?);
    }
    let unit = 10_u64.checked_pow(value.scale() - digits)?;
    let (down, left) = (whole / unit, whole % unit);
    let up = match left.cmp(&(unit - left)) {
        std::cmp::Ordering::Less => 0,
        std::cmp::Ordering::Equal => down % 2,
        std::cmp::Ordering::Greater => 1,
    };
    Some(down + up)
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
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_number_pushed_is_a_number_fixed(mantissa in any::<i64>(), scale in 0_u32..20, digits in 0_u32..20, small in any::<bool>()) {
            let mantissa = if small { mantissa % 1000 } else { mantissa };
            let value = Decimal::new(mantissa, scale);
            let mut text = "x".to_owned();
            push_fixed(&mut text, value, digits);
            prop_assert_eq!(text, format!("x{}", fixed(value, digits)));
        }
    }

    #[test]
    fn amounts_have_fixed_digits_and_no_negative_zero() {
        assert_eq!(fixed(Decimal::new(15, 1), 3), "1.500");
        assert_eq!(fixed(-Decimal::new(1, 9), 8), "0.00000000");
        assert_eq!(number(Decimal::new(65, 4)).to_string(), "0.0065");
        assert_eq!(number(Decimal::from(10_000)).to_string(), "10000");
    }
}
