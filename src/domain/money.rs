//! Money and amounts as exact decimals. Nothing here ever passes through a float.

#![cfg_attr(not(test), deny(clippy::float_arithmetic))]

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// An amount that its type does not allow: not a number, or out of the type's range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value} is not a valid {kind}: {allowed}")]
pub struct InvalidAmount {
    /// The type that refused the value.
    pub kind: &'static str,
    /// The value as it was given.
    pub value: String,
    /// What the type allows.
    pub allowed: &'static str,
}

macro_rules! amount {
    ($(#[$meta:meta])* $name:ident, $kind:literal, $allowed:literal, $valid:expr) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "Decimal", into = "Decimal")]
        pub struct $name(Decimal);

        impl $name {
            /// Checks the range and wraps the decimal.
            pub fn new(value: Decimal) -> Result<Self, InvalidAmount> {
                let valid: fn(&Decimal) -> bool = $valid;
                if valid(&value) {
                    Ok(Self(value))
                } else {
                    Err(InvalidAmount { kind: $kind, value: value.to_string(), allowed: $allowed })
                }
            }

            /// The bare decimal.
            pub const fn value(self) -> Decimal {
                self.0
            }
        }

        impl TryFrom<Decimal> for $name {
            type Error = InvalidAmount;
            fn try_from(value: Decimal) -> Result<Self, Self::Error> {
                Self::new(value)
            }
        }

        impl From<$name> for Decimal {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidAmount;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let value = Decimal::from_str_exact(text.trim()).map_err(|_| InvalidAmount {
                    kind: $kind,
                    value: text.to_owned(),
                    allowed: $allowed,
                })?;
                Self::new(value)
            }
        }

        /// Plain decimal notation without trailing zeros.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.normalize(), f)
            }
        }
    };
}

amount!(
    /// USDT for one unit of the coin; always above zero.
    Price, "price", "a decimal above zero", |value| *value > Decimal::ZERO
);
amount!(
    /// Units of the coin, unsigned: the side says the sign.
    Quantity, "quantity", "a decimal of zero or more", |value| *value >= Decimal::ZERO
);
amount!(
    /// Price times quantity, in USDT, unsigned.
    Notional, "notional", "a decimal of zero or more", |value| *value >= Decimal::ZERO
);
amount!(
    /// A signed amount of USDT: balances, fees, profit and loss.
    Usdt, "amount", "a decimal", |_| true
);

impl Price {
    /// What `quantity` of the coin costs at this price.
    pub fn notional(self, quantity: Quantity) -> Notional {
        Notional(self.0 * quantity.0)
    }
}

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self(Decimal::ZERO);

    /// Whether this is no quantity at all.
    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

impl Usdt {
    /// No money.
    pub const ZERO: Self = Self(Decimal::ZERO);

    /// Wraps a decimal; every decimal is a valid amount.
    pub const fn of(value: Decimal) -> Self {
        Self(value)
    }
}

impl std::ops::Add for Usdt {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl std::ops::Sub for Usdt {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl std::ops::Neg for Usdt {
    type Output = Self;
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl std::iter::Sum for Usdt {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, |total, amount| total + amount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_of_zero_is_refused_and_says_what_is_allowed() {
        let refusal = "0".parse::<Price>().unwrap_err();
        assert_eq!(refusal.to_string(), "0 is not a valid price: a decimal above zero");
    }

    #[test]
    fn amounts_travel_as_json_strings_and_keep_every_digit() {
        let price: Price = serde_json::from_str("\"0.00001230\"").unwrap();
        assert_eq!(serde_json::to_string(&price).unwrap(), "\"0.00001230\"");
        assert_eq!(price.to_string(), "0.0000123");
    }

    #[test]
    fn notional_is_price_times_quantity() {
        let price: Price = "66491.80".parse().unwrap();
        assert_eq!(price.notional("0.002".parse().unwrap()).to_string(), "132.9836");
    }
}
