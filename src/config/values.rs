//! Values with rules of their own that only the settings have.

use std::fmt;
use std::str::FromStr;

use chrono::TimeDelta;
use rust_decimal::Decimal;

use crate::domain::{InvalidAmount, MarginPercent, PricePercent};

macro_rules! percent_of {
    ($(#[$meta:meta])* $name:ident, $kind:literal, $largest:literal, $allowed:literal) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(Decimal);

        impl $name {
            const KIND: &'static str = $kind;
            const ALLOWED: &'static str = $allowed;

            /// From percent points: `8` is eight percent. Allowed: above 0, up to what the type's own text says.
            pub fn from_points(points: Decimal) -> Result<Self, InvalidAmount> {
                if points > Decimal::ZERO && points <= Decimal::from($largest) {
                    Ok(Self(points))
                } else {
                    Err(InvalidAmount { kind: Self::KIND, value: points.to_string(), allowed: Self::ALLOWED })
                }
            }

            /// Percent points: eight percent is `8`.
            pub const fn points(self) -> Decimal {
                self.0
            }

            /// As a share of one: eight percent is `0.08`.
            pub fn share(self) -> Decimal {
                (self.0 / Decimal::ONE_HUNDRED).normalize()
            }
        }

        /// Written with the sign, as in `8%`.
        impl FromStr for $name {
            type Err = InvalidAmount;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let refused =
                    || InvalidAmount { kind: Self::KIND, value: text.to_owned(), allowed: Self::ALLOWED };
                let points = text.trim().strip_suffix('%').ok_or_else(refused)?;
                Self::from_points(Decimal::from_str_exact(points.trim()).map_err(|_| refused())?)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}%", self.0.normalize())
            }
        }
    };
}

percent_of!(
    /// A share of an account's equity: the margin one position may bind, or a loss. Not a share of price, nor of margin.
    EquityPercent,
    "equity percent",
    100,
    "percent points with the sign, above 0% and up to 100%, as in \"8%\""
);
percent_of!(
    /// A multiple of equity: what is held or traded with leverage may well be more than there is.
    EquityMultiple,
    "multiple of equity",
    10_000,
    "percent points of equity with the sign, above 0% and up to 10000%, as in \"150%\""
);
percent_of!(
    /// A part of a whole that is neither price, margin nor equity: of a number of openings, or of a full size.
    Part,
    "part",
    100,
    "percent points with the sign, above 0% and up to 100%, as in \"80%\""
);

/// A length of time of whole minutes, up to thirty days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(TimeDelta);

impl Span {
    const ALLOWED: &'static str = "whole minutes or hours up to 30 days, as in \"30m\" or \"4h\"";

    /// From minutes; 1 to 43 200.
    pub fn of_minutes(minutes: i64) -> Result<Self, InvalidAmount> {
        if (1..=30 * 24 * 60).contains(&minutes) {
            Ok(Self(TimeDelta::minutes(minutes)))
        } else {
            Err(InvalidAmount { kind: "span", value: minutes.to_string(), allowed: Self::ALLOWED })
        }
    }

    /// The length.
    pub const fn length(self) -> TimeDelta {
        self.0
    }
}

/// Written with its unit, as in `30m` or `4h`.
impl FromStr for Span {
    type Err = InvalidAmount;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || InvalidAmount { kind: "span", value: text.to_owned(), allowed: Self::ALLOWED };
        let text = text.trim();
        let (number, minutes) = match (text.strip_suffix('m'), text.strip_suffix('h')) {
            (Some(number), _) => (number, 1),
            (None, Some(number)) => (number, 60),
            (None, None) => return Err(refused()),
        };
        let number: i64 = number.trim().parse().map_err(|_| refused())?;
        Self::of_minutes(number.checked_mul(minutes).ok_or_else(refused)?)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.num_hours(), self.0.num_minutes() % 60) {
            (hours, 0) => write!(f, "{hours}h"),
            _ => write!(f, "{}m", self.0.num_minutes()),
        }
    }
}

/// How far from the entry the protective stop lies, and of what that is a percentage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopLoss {
    /// This far away in price.
    Price(PricePercent),
    /// Where this share of the margin is lost.
    Margin(MarginPercent),
}

impl StopLoss {
    /// Ten percent, of the margin or of the price.
    #[expect(clippy::expect_used, reason = "ten percent points lie within both ranges")]
    pub(super) fn ten_percent(of_margin: bool) -> Self {
        if of_margin {
            Self::Margin(MarginPercent::from_points(Decimal::TEN).expect("10 % is a percentage"))
        } else {
            Self::Price(PricePercent::from_points(Decimal::TEN).expect("10 % is a percentage"))
        }
    }

    /// The distance in price for a position of this leverage.
    pub fn price_percent(self, leverage: u32) -> Result<PricePercent, InvalidAmount> {
        match self {
            Self::Price(percent) => Ok(percent),
            Self::Margin(percent) => percent.to_price_percent(leverage),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_equity_must_carry_its_sign_and_be_possible() {
        assert_eq!("8%".parse::<EquityPercent>().unwrap().share().to_string(), "0.08");
        assert_eq!("12.50%".parse::<EquityPercent>().unwrap().to_string(), "12.5%");
        for bad in ["8", "0.08", "0%", "-1%", "101%", "%", "x%"] {
            assert!(bad.parse::<EquityPercent>().is_err(), "{bad}");
        }
    }

    #[test]
    fn exposure_may_be_more_than_there_is_but_a_part_may_not() {
        assert_eq!("150%".parse::<EquityMultiple>().unwrap().share().to_string(), "1.5");
        assert!("10001%".parse::<EquityMultiple>().is_err() && "0%".parse::<EquityMultiple>().is_err());
        assert!("101%".parse::<Part>().is_err() && "100%".parse::<Part>().is_ok());
    }

    #[test]
    fn a_span_needs_its_unit_and_is_told_as_it_was_written() {
        for (text, minutes) in [("30m", 30), ("4h", 240), ("90m", 90), ("720h", 43_200)] {
            let span: Span = text.parse().unwrap();
            assert_eq!((span.length(), span.to_string()), (TimeDelta::minutes(minutes), text.to_owned()));
        }
        for bad in ["4", "0m", "-1h", "721h", "1.5h", "h", "3 days", "9223372036854775807h"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_same_stop_is_three_times_closer_in_price_on_the_basis_of_margin_at_3x() {
        let by_price = StopLoss::Price("12%".parse().unwrap());
        let by_margin = StopLoss::Margin("12%".parse().unwrap());
        assert_eq!(by_price.price_percent(3).unwrap().to_string(), "12%");
        assert_eq!(by_margin.price_percent(3).unwrap().to_string(), "4%");
    }
}
