//! Percentages that cannot be confused: of the price, and of the margin.

#![cfg_attr(not(test), deny(clippy::float_arithmetic))]

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::money::{InvalidAmount, Price};
use super::order::Direction;

macro_rules! percent {
    ($(#[$meta:meta])* $name:ident, $kind:literal) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Decimal);

        impl $name {
            /// From percent points: `10` is ten percent. Allowed: above 0, up to 100.
            pub fn from_points(points: Decimal) -> Result<Self, InvalidAmount> {
                if points > Decimal::ZERO && points <= Decimal::ONE_HUNDRED {
                    Ok(Self(points))
                } else {
                    Err(InvalidAmount {
                        kind: $kind,
                        value: points.to_string(),
                        allowed: "percent points above 0 and up to 100, as in \"10%\"",
                    })
                }
            }

            /// Percent points: ten percent is `10`.
            pub const fn points(self) -> Decimal {
                self.0
            }

            /// As a share of one: ten percent is `0.1`.
            pub fn share(self) -> Decimal {
                (self.0 / Decimal::ONE_HUNDRED).normalize()
            }
        }

        /// Written with the sign, as in `10%`; a bare number is refused, because 0.1 and 10 both look plausible.
        impl FromStr for $name {
            type Err = InvalidAmount;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let refused = || InvalidAmount {
                    kind: $kind,
                    value: text.to_owned(),
                    allowed: "percent points with the sign, as in \"10%\"",
                };
                let points = text.trim().strip_suffix('%').ok_or_else(refused)?;
                Self::from_points(Decimal::from_str_exact(points.trim()).map_err(|_| refused())?)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidAmount;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}%", self.0.normalize())
            }
        }
    };
}

percent!(
    /// A share of the price: a stop 10 % away in price.
    PricePercent, "price percent"
);
percent!(
    /// A share of the margin: at 3x leverage, 10 % of margin is 3.33 % of price.
    MarginPercent, "margin percent"
);

impl MarginPercent {
    /// The same loss expressed in price: margin percent divided by leverage.
    pub fn to_price_percent(self, leverage: u32) -> Result<PricePercent, InvalidAmount> {
        PricePercent::from_points(self.0 / Decimal::from(leverage.max(1)))
    }
}

impl PricePercent {
    /// The price this far on the losing side of `entry`, unrounded. `None` when it would not be above zero.
    pub fn stop_from(self, entry: Price, direction: Direction) -> Option<Price> {
        let factor = match direction {
            Direction::Long => Decimal::ONE - self.share(),
            Direction::Short => Decimal::ONE + self.share(),
        };
        Price::new(entry.value() * factor).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_percent_must_carry_its_sign() {
        assert!("10".parse::<PricePercent>().is_err());
        assert!("0.1".parse::<PricePercent>().is_err());
        assert_eq!("10%".parse::<PricePercent>().unwrap().share().to_string(), "0.1");
    }

    #[test]
    fn a_stop_lies_on_the_losing_side() {
        let ten: PricePercent = "10%".parse().unwrap();
        let entry: Price = "200".parse().unwrap();
        assert_eq!(ten.stop_from(entry, Direction::Long).unwrap().to_string(), "180");
        assert_eq!(ten.stop_from(entry, Direction::Short).unwrap().to_string(), "220");
    }

    #[test]
    fn margin_percent_is_divided_by_leverage() {
        let thirty: MarginPercent = "30%".parse().unwrap();
        assert_eq!(thirty.to_price_percent(3).unwrap().to_string(), "10%");
    }
}
