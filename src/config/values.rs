//! Values with rules of their own that only the settings have.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;

use crate::domain::{InvalidAmount, MarginPercent, PricePercent};

/// A share of an account's equity: the margin one position may bind. Not a share of price, nor of margin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EquityPercent(Decimal);

impl EquityPercent {
    const KIND: &'static str = "equity percent";
    const ALLOWED: &'static str = "percent points with the sign, above 0% and up to 100%, as in \"8%\"";

    /// From percent points: `8` is eight percent. Allowed: above 0, up to 100.
    pub fn from_points(points: Decimal) -> Result<Self, InvalidAmount> {
        if points > Decimal::ZERO && points <= Decimal::ONE_HUNDRED {
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
impl FromStr for EquityPercent {
    type Err = InvalidAmount;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || InvalidAmount { kind: Self::KIND, value: text.to_owned(), allowed: Self::ALLOWED };
        let points = text.trim().strip_suffix('%').ok_or_else(refused)?;
        Self::from_points(Decimal::from_str_exact(points.trim()).map_err(|_| refused())?)
    }
}

impl fmt::Display for EquityPercent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0.normalize())
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
    fn the_same_stop_is_three_times_closer_in_price_on_the_basis_of_margin_at_3x() {
        let by_price = StopLoss::Price("12%".parse().unwrap());
        let by_margin = StopLoss::Margin("12%".parse().unwrap());
        assert_eq!(by_price.price_percent(3).unwrap().to_string(), "12%");
        assert_eq!(by_margin.price_percent(3).unwrap().to_string(), "4%");
    }
}
