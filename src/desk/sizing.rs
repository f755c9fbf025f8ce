//! How large an opening is: margin first, then notional, then a quantity the exchange accepts.

#![cfg_attr(not(test), deny(clippy::float_arithmetic))]

use rust_decimal::{Decimal, RoundingStrategy};

use crate::domain::{Confidence, Price, Profile, Quantity};
use crate::exchange::SymbolRules;

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
    /// `classic` takes the whole allocation, `guarded` a share scaled by volatility and confidence.
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
    pub atr: Option<Decimal>,
    /// Share of equity used as margin under `guarded` (0.08 is 8 %).
    pub margin_share: Decimal,
    /// ATR as a share of price at which the full margin share is used; above it the margin shrinks in proportion.
    pub target_volatility: Decimal,
    /// How sure the model is.
    pub confidence: Confidence,
    /// Confidence from which openings are allowed.
    pub threshold: Confidence,
    /// Part of the margin that the threshold itself is given; `None` gives the whole at any confidence.
    pub confidence_scale: Option<Decimal>,
    /// What the guards left of a full size, 0 to 1; applies to `guarded`.
    pub scale: Decimal,
    /// The largest notional the exchange allows at this leverage, USDT, where it is known.
    pub most_notional: Option<Decimal>,
}

/// A size on the exchange's step, with the margin it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sized {
    /// Quantity in coins; may be zero or below the exchange's minimum.
    pub quantity: Quantity,
    /// The price it was computed by.
    pub price: Price,
    /// Margin it ties up, USDT.
    pub margin: Decimal,
}

/// Kept back from the free margin for fees and the price moving between sizing and fill.
const MARGIN_KEPT_BACK: Decimal = Decimal::from_parts(2, 0, 0, false, 2);

/// The size of an opening, or a sentence that says why there is none. It is only ever rounded down.
pub fn size(input: &SizingInput, rules: &SymbolRules) -> Result<Sized, String> {
    let wanted = match input.profile {
        Profile::Classic => allocation(input),
        Profile::Guarded => {
            let share = input.equity
                * input.margin_share
                * volatility_scale(input)?
                * confidence_scale(input)
                * input.scale;
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
    let leverage = Decimal::from(input.leverage.max(1));
    let notional = margin * leverage;
    let notional = input.most_notional.map_or(notional, |most| notional.min(most));
    // Sixteen decimals keep the quantity far finer than any step without growing the number's tail.
    let exact = (notional / input.price.value()).round_dp_with_strategy(16, RoundingStrategy::ToZero);
    let exact = Quantity::new(exact).map_err(|error| error.to_string())?;
    let quantity = rules.round_quantity_down(exact);
    let margin = input.price.notional(quantity).value() / leverage;
    Ok(Sized { quantity, price: input.price, margin })
}

fn allocation(input: &SizingInput) -> Decimal {
    match input.allocation {
        CoinAllocation::Equal { coins } => input.equity / Decimal::from(coins.max(1)),
        CoinAllocation::Amount(amount) => amount,
    }
}

/// 1 in calm markets, target ÷ ATR in wilder ones (both as shares of the price).
fn volatility_scale(input: &SizingInput) -> Result<Decimal, String> {
    let atr = input.atr.filter(|atr| *atr > Decimal::ZERO).ok_or("no ATR(14) to scale the size by")?;
    let volatility = atr / input.price.value();
    if volatility <= input.target_volatility {
        return Ok(Decimal::ONE);
    }
    Ok(input.target_volatility / volatility)
}

/// Linear from the setting's part at the threshold to 1 at full confidence.
fn confidence_scale(input: &SizingInput) -> Decimal {
    let (Some(part), threshold) = (input.confidence_scale, input.threshold.value()) else {
        return Decimal::ONE;
    };
    let above = (input.confidence.value() - threshold).max(Decimal::ZERO);
    let room = Decimal::ONE - threshold;
    if room <= Decimal::ZERO {
        return Decimal::ONE;
    }
    part + (Decimal::ONE - part) * above / room
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Symbol, Untrusted};
    use crate::exchange::Bounds;
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
            atr: Some(dec!(1)),
            margin_share: dec!(0.08),
            target_volatility: dec!(0.02),
            confidence: Confidence::new(dec!(1)).unwrap(),
            threshold: Confidence::new(dec!(0.75)).unwrap(),
            confidence_scale: Some(dec!(0.5)),
            scale: dec!(1),
            most_notional: None,
        }
    }

    fn rules() -> SymbolRules {
        SymbolRules {
            symbol: Symbol::new("SOLUSDT").unwrap(),
            status: Untrusted::new("TRADING"),
            contract: Untrusted::new("PERPETUAL"),
            quote: Untrusted::new("USDT"),
            price: Bounds { min: dec!(0.01), max: dec!(1000000), step: dec!(0.01) },
            market_quantity: Bounds { min: dec!(0.01), max: dec!(50), step: dec!(0.01) },
            min_notional: "5".parse().unwrap(),
        }
    }

    fn size(input: &SizingInput) -> Result<Sized, String> {
        super::size(input, &rules())
    }

    #[test]
    fn classic_takes_the_whole_allocation_of_the_coin_whatever_the_guards_would_leave() {
        let classic = SizingInput {
            profile: Profile::Classic,
            atr: None,
            scale: dec!(0.5),
            confidence: Confidence::new(dec!(0.75)).unwrap(),
            ..input()
        };
        let size = size(&classic).unwrap();
        assert_eq!((size.margin, size.quantity.value()), (dec!(100), dec!(3)));
    }

    #[test]
    fn guarded_takes_eight_percent_of_equity_in_a_calm_market() {
        let size = size(&input()).unwrap();
        assert_eq!((size.margin, size.quantity.value()), (dec!(80), dec!(2.4)));
        assert_eq!(super::size(&SizingInput { atr: Some(dec!(2)), ..input() }, &rules()).unwrap(), size);
    }

    #[test]
    fn guarded_halves_the_margin_when_the_range_is_twice_the_target() {
        assert_eq!(size(&SizingInput { atr: Some(dec!(4)), ..input() }).unwrap().margin, dec!(40));
    }

    #[test]
    fn guarded_refuses_to_size_without_a_volatility() {
        for atr in [None, Some(dec!(0)), Some(dec!(-1))] {
            assert!(size(&SizingInput { atr, ..input() }).unwrap_err().contains("ATR"));
        }
    }

    #[test]
    fn the_margin_grows_in_a_line_from_the_threshold_to_full_confidence() {
        let margin = |confidence: Decimal, scale: Option<Decimal>| {
            let confidence = Confidence::new(confidence).unwrap();
            size(&SizingInput { confidence, confidence_scale: scale, ..input() }).unwrap().margin
        };
        assert_eq!(margin(dec!(0.75), Some(dec!(0.5))), dec!(40));
        assert_eq!(margin(dec!(0.875), Some(dec!(0.5))), dec!(60));
        assert_eq!(margin(dec!(1), Some(dec!(0.5))), dec!(80));
        assert_eq!(margin(dec!(0.75), None), dec!(80));
        let certain = Confidence::new(dec!(1)).unwrap();
        let only_certain = SizingInput { threshold: certain, confidence: certain, ..input() };
        assert_eq!(size(&only_certain).unwrap().margin, dec!(80));
    }

    #[test]
    fn what_the_guards_leave_is_all_that_is_taken() {
        assert_eq!(size(&SizingInput { scale: dec!(0.5), ..input() }).unwrap().margin, dec!(40));
    }

    #[test]
    fn a_fixed_amount_is_the_margin_in_classic_and_the_cap_in_guarded() {
        let fixed = SizingInput { allocation: CoinAllocation::Amount(dec!(25)), ..input() };
        assert_eq!(size(&SizingInput { profile: Profile::Classic, ..fixed }).unwrap().margin, dec!(25));
        assert_eq!(size(&fixed).unwrap().margin, dec!(25));
        let ample = SizingInput { allocation: CoinAllocation::Amount(dec!(500)), ..input() };
        assert_eq!(size(&ample).unwrap().margin, dec!(80));
    }

    #[test]
    fn without_leverage_the_margin_is_the_whole_position_and_without_other_coins_it_is_the_whole_equity() {
        for leverage in [0, 1] {
            let size = size(&SizingInput { leverage, ..input() }).unwrap();
            assert_eq!((size.margin, size.quantity.value()), (dec!(80), dec!(0.8)), "{leverage}x");
        }
        for coins in [0, 1] {
            let allocation = CoinAllocation::Equal { coins };
            let alone =
                SizingInput { profile: Profile::Classic, allocation, free_margin: dec!(5000), ..input() };
            assert_eq!(size(&alone).unwrap().margin, dec!(1000), "{coins} coins");
        }
    }

    #[test]
    fn bracket_and_filter_cut_the_size_and_the_margin_is_that_of_what_is_left() {
        let bracketed = size(&SizingInput { most_notional: Some(dec!(150)), ..input() }).unwrap();
        assert_eq!((bracketed.quantity.value(), bracketed.margin), (dec!(1.5), dec!(50)));
        let rich = SizingInput { equity: dec!(1000000), free_margin: dec!(1000000), ..input() };
        assert_eq!(size(&rich).unwrap().quantity.value(), dec!(50), "the largest market order");
        let between = size(&SizingInput { price: "101".parse().unwrap(), ..input() }).unwrap();
        assert_eq!(between.quantity.value(), dec!(2.37), "rounded down");
    }

    #[test]
    fn an_empty_account_opens_nothing() {
        for free_margin in [dec!(0), dec!(-5)] {
            let empty = SizingInput { free_margin, ..input() };
            assert!(size(&empty).unwrap_err().contains("no free margin"));
        }
        let scarce = SizingInput { free_margin: dec!(50), ..input() };
        assert_eq!(size(&scarce).unwrap().quantity.value(), dec!(1.47), "two hundredths are kept back");
    }

    proptest! {
        #[test]
        fn margin_never_exceeds_share_or_free_margin(equity in 0_i64..10_000_000, free in 0_i64..10_000_000,
                                                     price in 1_i64..10_000_000, atr in 1_i64..1_000_000_000,
                                                     confidence in 0_i64..=100, scale in 0_i64..=100,
                                                     most in 0_i64..10_000_000, classic in any::<bool>()) {
            let input = SizingInput {
                profile: if classic { Profile::Classic } else { Profile::Guarded },
                equity: Decimal::new(equity, 2),
                free_margin: Decimal::new(free, 2),
                price: Price::new(Decimal::new(price, 2)).unwrap(),
                atr: Some(Decimal::new(atr, 4)),
                confidence: Confidence::new(Decimal::new(confidence, 2)).unwrap(),
                scale: Decimal::new(scale, 2),
                most_notional: Some(Decimal::new(most, 2)),
                ..input()
            };
            if let Ok(size) = size(&input) {
                let notional = size.quantity.value() * input.price.value();
                let volatility = input.atr.unwrap() / input.price.value();
                let ceiling = if classic {
                    input.equity / dec!(10)
                } else {
                    input.equity * dec!(0.08) * (dec!(0.02) / volatility).min(dec!(1)) * input.scale
                };
                prop_assert!(size.margin <= ceiling + dec!(0.000001), "{} beyond {}", size.margin, ceiling);
                prop_assert!(size.margin < input.free_margin);
                prop_assert!(notional <= size.margin * dec!(3) + dec!(0.000001));
                prop_assert!(notional <= input.most_notional.unwrap());
                prop_assert!(size.quantity.is_zero() || rules().market_quantity.allows(size.quantity.value()));
            }
        }
    }
}
