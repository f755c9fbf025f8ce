//! How large an opening is: margin first, then notional, then a quantity the exchange accepts.

#![cfg_attr(not(test), deny(clippy::float_arithmetic))]

use rust_decimal::prelude::FromPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};

use crate::domain::{Price, Profile, Quantity};

/// What a coin is given under profile `classic`, and at most under `guarded`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CoinAllocation {
    /// Equity divided by the number of the account's coins.
    Equal {
        /// How many coins share the equity.
        coins: usize,
    },
    /// A fixed margin in USDT.
    Amount(Decimal),
}

/// Everything a size depends on.
#[derive(Debug, Clone, Copy)]
pub struct SizingInput {
    /// `classic` takes the whole allocation, `guarded` a share scaled by volatility.
    pub profile: Profile,
    /// The coin's allocation.
    pub allocation: CoinAllocation,
    /// Leverage of the account.
    pub leverage: u32,
    /// Wallet plus unrealised profit and loss, USDT.
    pub equity: Decimal,
    /// Free margin not yet promised to another opening, USDT.
    pub free_margin: Decimal,
    /// Present price of the coin.
    pub price: Price,
    /// ATR(14) of 4 h candles in USDT; `guarded` refuses to size without it.
    pub atr: Option<f64>,
    /// Share of equity used as margin under `guarded` (0.08 is 8 %).
    pub margin_share: Decimal,
    /// ATR as a share of price at which the full margin share is used; above it the margin shrinks in proportion.
    pub target_volatility: Decimal,
}

/// A quantity with the margin it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Unrounded quantity in coins.
    pub quantity: Quantity,
    /// Margin it ties up, USDT.
    pub margin: Decimal,
}

/// Kept back from the free margin for fees and the price moving between sizing and fill.
const MARGIN_KEPT_BACK: Decimal = Decimal::from_parts(2, 0, 0, false, 2);

/// The size of an opening, or a sentence that says why there is none.
pub fn size(input: &SizingInput) -> Result<Size, String> {
    let wanted = match input.profile {
        Profile::Classic => allocation(input),
        Profile::Guarded => {
            let share = input.equity * input.margin_share * volatility_scale(input)?;
            match input.allocation {
                CoinAllocation::Amount(amount) => share.min(amount),
                CoinAllocation::Equal { .. } => share,
            }
        }
    };
    let available = input.free_margin * (Decimal::ONE - MARGIN_KEPT_BACK);
    let margin = wanted.min(available);
    if margin <= Decimal::ZERO {
        return Err(format!(
            "no free margin: {} USDT wanted, {} USDT free",
            wanted.round_dp(2),
            input.free_margin.round_dp(2)
        ));
    }
    let notional = margin * Decimal::from(input.leverage);
    // Sixteen decimals keep the quantity far finer than any step without growing the number's tail.
    let quantity = (notional / input.price.value()).round_dp_with_strategy(16, RoundingStrategy::ToZero);
    Quantity::new(quantity).map(|quantity| Size { quantity, margin }).map_err(|error| error.to_string())
}

fn allocation(input: &SizingInput) -> Decimal {
    match input.allocation {
        CoinAllocation::Equal { coins } => input.equity / Decimal::from(coins.max(1)),
        CoinAllocation::Amount(amount) => amount,
    }
}

/// 1 in calm markets, target ÷ ATR in wilder ones (both as shares of the price).
fn volatility_scale(input: &SizingInput) -> Result<Decimal, String> {
    let atr = input
        .atr
        .and_then(Decimal::from_f64)
        .filter(|atr| *atr > Decimal::ZERO)
        .ok_or("no ATR(14) to scale the size by")?;
    let volatility = atr / input.price.value();
    Ok((input.target_volatility / volatility).min(Decimal::ONE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rust_decimal_macros::dec;

    fn input() -> SizingInput {
        SizingInput {
            profile: Profile::Guarded,
            allocation: CoinAllocation::Equal { coins: 10 },
            leverage: 3,
            equity: dec!(1000),
            free_margin: dec!(1000),
            price: "100".parse().unwrap(),
            atr: Some(1.0),
            margin_share: dec!(0.08),
            target_volatility: dec!(0.02),
        }
    }

    #[test]
    fn classic_takes_the_whole_allocation_of_the_coin() {
        let size = size(&SizingInput { profile: Profile::Classic, ..input() }).unwrap();
        assert_eq!((size.margin, size.quantity.value()), (dec!(100), dec!(3)));
    }

    #[test]
    fn guarded_takes_eight_percent_of_equity_in_a_calm_market() {
        let size = size(&input()).unwrap();
        assert_eq!((size.margin, size.quantity.value()), (dec!(80), dec!(2.4)));
    }

    #[test]
    fn guarded_halves_the_margin_when_the_range_is_twice_the_target() {
        assert_eq!(size(&SizingInput { atr: Some(4.0), ..input() }).unwrap().margin, dec!(40));
    }

    #[test]
    fn guarded_refuses_to_size_without_a_volatility() {
        for atr in [None, Some(0.0), Some(f64::NAN)] {
            assert!(size(&SizingInput { atr, ..input() }).is_err());
        }
    }

    #[test]
    fn a_fixed_amount_is_the_margin_in_classic_and_the_cap_in_guarded() {
        let fixed = SizingInput { allocation: CoinAllocation::Amount(dec!(25)), ..input() };
        assert_eq!(size(&SizingInput { profile: Profile::Classic, ..fixed }).unwrap().margin, dec!(25));
        assert_eq!(size(&fixed).unwrap().margin, dec!(25));
    }

    #[test]
    fn an_empty_account_opens_nothing() {
        assert!(
            size(&SizingInput { free_margin: dec!(0), ..input() }).unwrap_err().contains("no free margin")
        );
    }

    proptest! {
        #[test]
        fn margin_never_exceeds_share_or_free_margin(equity in 0_i64..10_000_000, free in 0_i64..10_000_000,
                                                     price in 1_i64..10_000_000, atr in 0.000_001_f64..1e6) {
            let input = SizingInput {
                equity: Decimal::new(equity, 2),
                free_margin: Decimal::new(free, 2),
                price: Price::new(Decimal::new(price, 2)).unwrap(),
                atr: Some(atr),
                ..input()
            };
            if let Ok(size) = size(&input) {
                prop_assert!(size.margin <= input.equity * input.margin_share);
                prop_assert!(size.margin < input.free_margin);
                prop_assert!(size.quantity.value() * input.price.value() <= size.margin * dec!(3));
            }
        }
    }
}
