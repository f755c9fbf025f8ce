//! What the closed candles of a coin say in one line each: returns, volatility, its tie to bitcoin, and the state of
//! a timeframe.

use std::collections::HashMap;

use serde::Serialize;

use super::indicators::{Bars, Indicator, slope};
use crate::domain::{Candle, Interval};

/// Bars over which the nearest high and low are looked for.
const RANGE: usize = 20;
/// Bars over which the slope of OBV is taken.
const OBV_BARS: u32 = 14;
/// Below this many pairs of returns a correlation says nothing.
const LEAST_PAIRS: usize = 30;
/// ADX from which a market counts as trending.
const TRENDING: f64 = 20.0;

/// Where a timeframe goes, by its average and its directional strength.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Trend {
    /// Above EMA(20), which rises, with an ADX of 20 or more.
    Up,
    /// Below EMA(20), which falls, with an ADX of 20 or more.
    Down,
    /// Neither.
    Flat,
}

impl Trend {
    /// The word in prompts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Flat => "flat",
        }
    }
}

/// One timeframe of one coin, on closed candles. What the history is too short for is absent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TimeframeLine {
    /// Length of its bars.
    pub interval: Interval,
    /// Where it goes.
    pub trend: Option<Trend>,
    /// RSI(14).
    pub rsi: Option<f64>,
    /// MACD histogram as a percentage of the price, so that coins compare.
    pub macd_histogram_pct: Option<f64>,
    /// ADX(14).
    pub adx: Option<f64>,
    /// ATR(14) as a percentage of the price.
    pub atr_pct: Option<f64>,
    /// Percent from the last close up to the highest price of the last 20 bars.
    pub to_high_pct: Option<f64>,
    /// Percent from the last close down to the lowest price of the last 20 bars, so never above zero.
    pub to_low_pct: Option<f64>,
    /// Average change of OBV a bar over 14 bars as a percentage of the average volume: the level of OBV means nothing.
    pub obv_slope_pct: Option<f64>,
}

/// The line of a timeframe.
pub fn timeframe(interval: Interval, bars: &Bars) -> TimeframeLine {
    let last = bars.close.last().copied();
    let of_price = |value: Option<f64>| Some(value? / last? * 100.0);
    let adx = last_of("adx", 0, bars);
    TimeframeLine {
        interval,
        trend: trend(bars, adx),
        rsi: last_of("rsi", 0, bars),
        macd_histogram_pct: of_price(last_of("macd", 2, bars)),
        adx,
        atr_pct: of_price(last_of("atr", 0, bars)),
        to_high_pct: of_price(extreme(&bars.high, f64::max).zip(last).map(|(high, last)| high - last)),
        to_low_pct: of_price(extreme(&bars.low, f64::min).zip(last).map(|(low, last)| low - last)),
        obv_slope_pct: obv_slope(bars),
    }
}

/// The last value of an output of an indicator with its default settings, which are never refused.
pub(crate) fn last_of(name: &str, output: usize, bars: &Bars) -> Option<f64> {
    Indicator::named(name)?.over(bars).ok()?.get(output)?.last()
}

fn trend(bars: &Bars, adx: Option<f64>) -> Option<Trend> {
    let ema = Indicator::named("ema")?.over(bars).ok()?.into_iter().next()?.values;
    let [.., before, now] = ema.as_slice() else { return None };
    let (before, now, adx, last) = ((*before)?, (*now)?, adx?, *bars.close.last()?);
    Some(if adx < TRENDING {
        Trend::Flat
    } else if last > now && now > before {
        Trend::Up
    } else if last < now && now < before {
        Trend::Down
    } else {
        Trend::Flat
    })
}

/// The extreme of the last 20 values; absent when there are fewer.
fn extreme(values: &[f64], choose: fn(f64, f64) -> f64) -> Option<f64> {
    let start = values.len().checked_sub(RANGE)?;
    values[start..].iter().copied().reduce(choose)
}

fn obv_slope(bars: &Bars) -> Option<f64> {
    let obv = Indicator::Obv.over(bars).ok()?.into_iter().next()?;
    let start = bars.volume.len().checked_sub(OBV_BARS as usize)?;
    let average = bars.volume[start..].iter().sum::<f64>() / f64::from(OBV_BARS);
    (average > 0.0).then(|| slope(&obv.values, OBV_BARS).map(|slope| slope / average * 100.0))?
}

/// Percent between the last close and the one `bars` before it.
pub fn change_pct(closes: &[f64], bars: usize) -> Option<f64> {
    let last = closes.len().checked_sub(1)?;
    let before = closes[last.checked_sub(bars)?];
    Some((closes[last] / before - 1.0) * 100.0)
}

/// Realised volatility: the root of the mean squared log return of the last `count` bars, in percent, scaled to a
/// span of `bars_in_span` bars.
pub fn volatility_pct(closes: &[f64], count: usize, bars_in_span: f64) -> Option<f64> {
    let start = closes.len().checked_sub(count + 1)?;
    let squares: Vec<f64> =
        closes[start..].windows(2).map(|pair| libm::pow(libm::log(pair[1] / pair[0]), 2.0)).collect();
    Some(libm::sqrt(mean(&squares)? * bars_in_span) * 100.0)
}

/// How a coin moved with another one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tie {
    /// Correlation of the log returns, -1 to 1.
    pub correlation: f64,
    /// Percent the coin moved for each percent of the other.
    pub beta: f64,
}

/// Correlation and beta of the returns of `coin` to those of `other` over the last `count` bars both have. Bars are
/// paired by their open time: a coin may have holes.
pub fn tie(coin: &[Candle], other: &[Candle], count: usize) -> Option<Tie> {
    let theirs: HashMap<i64, f64> = returns(other, count).collect();
    let pairs: Vec<(f64, f64)> =
        returns(coin, count).filter_map(|(time, ours)| Some((ours, *theirs.get(&time)?))).collect();
    if pairs.len() < LEAST_PAIRS {
        return None;
    }
    let (ours, theirs): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
    let (our_mean, their_mean) = (mean(&ours)?, mean(&theirs)?);
    let sum = |term: &dyn Fn(f64, f64) -> f64| -> f64 {
        ours.iter().zip(&theirs).map(|(a, b)| term(a - our_mean, b - their_mean)).sum()
    };
    let (shared, own, other) = (sum(&|a, b| a * b), sum(&|a, _| a * a), sum(&|_, b| b * b));
    let tie = Tie { correlation: shared / libm::sqrt(own * other), beta: shared / other };
    (tie.correlation.is_finite() && tie.beta.is_finite()).then_some(tie)
}

/// Log returns of the last `count` bars with the time each bar opened.
fn returns(candles: &[Candle], count: usize) -> impl Iterator<Item = (i64, f64)> {
    let start = candles.len().saturating_sub(count + 1);
    candles[start..].windows(2).map(|pair| {
        let close = |candle: &Candle| super::indicators::to_float(candle.close.value());
        (pair[1].open_time, libm::log(close(&pair[1]) / close(&pair[0])))
    })
}

fn mean(values: &[f64]) -> Option<f64> {
    let count = u32::try_from(values.len()).ok().filter(|count| *count > 0)?;
    Some(values.iter().sum::<f64>() / f64::from(count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Price;
    use proptest::prelude::*;
    use rust_decimal::Decimal;

    fn candles(closes: &[f64]) -> Vec<Candle> {
        (0_i64..)
            .zip(closes)
            .map(|(bar, close)| {
                let price = Price::new(Decimal::try_from(*close).unwrap()).unwrap();
                Candle {
                    open_time: bar * 1000,
                    open: price,
                    high: price,
                    low: price,
                    close: price,
                    volume: Decimal::ONE,
                }
            })
            .collect()
    }

    /// A wiggling path whose log returns are `scale` times those of the path with scale one.
    fn path(scale: f64) -> Vec<f64> {
        let steps = (0..60_i32).map(|bar| f64::from((bar * 7 + bar * bar) % 11 - 5) * 0.002);
        steps
            .scan(0.0, |sum, step| {
                *sum += step * scale;
                Some(100.0 * libm::exp(*sum))
            })
            .collect()
    }

    #[test]
    fn a_coin_that_moves_twice_as_far_has_a_beta_of_two_and_is_tied_fully() {
        let tie = tie(&candles(&path(2.0)), &candles(&path(1.0)), 50).unwrap();
        assert!((tie.beta - 2.0).abs() < 1e-6 && (tie.correlation - 1.0).abs() < 1e-6, "{tie:?}");
        let against = super::tie(&candles(&path(-0.5)), &candles(&path(1.0)), 50).unwrap();
        assert!((against.beta + 0.5).abs() < 1e-6 && (against.correlation + 1.0).abs() < 1e-6);
    }

    #[test]
    fn returns_are_paired_by_time_and_too_few_pairs_say_nothing() {
        let mut holed = candles(&path(1.0));
        holed.drain(..10);
        let tie_of_holed = tie(&holed, &candles(&path(1.0)), 1000).unwrap();
        assert!((tie_of_holed.beta - 1.0).abs() < 1e-9);
        assert_eq!(tie(&candles(&path(1.0)[..30]), &candles(&path(1.0)), 50), None, "29 returns");
        let flat = vec![100.0; 60];
        assert_eq!(tie(&candles(&path(1.0)), &candles(&flat), 50), None, "nothing to be tied to");
    }

    #[test]
    fn volatility_is_that_of_the_returns_scaled_to_the_span() {
        let closes = [100.0, 101.0, 100.0, 101.0, 100.0];
        let step = libm::log(1.01) * 100.0;
        assert!((volatility_pct(&closes, 4, 1.0).unwrap() - step).abs() < 1e-12);
        assert!((volatility_pct(&closes, 4, 4.0).unwrap() - 2.0 * step).abs() < 1e-12);
        assert_eq!(volatility_pct(&closes, 5, 1.0), None);
    }

    fn rising(length: i32) -> Bars {
        let close: Vec<f64> = (0..length).map(|bar| 100.0 + f64::from(bar)).collect();
        let off = |by: f64| close.iter().map(|close| close + by).collect();
        Bars { high: off(2.0), low: off(-1.0), volume: vec![50.0; close.len()], close }
    }

    #[test]
    fn a_rising_market_is_called_up_and_its_distances_are_those_of_twenty_bars() {
        let line = timeframe(Interval::Hour1, &rising(60));
        assert_eq!((line.trend, line.rsi), (Some(Trend::Up), Some(100.0)));
        let last = 159.0;
        assert!((line.to_high_pct.unwrap() - 2.0 / last * 100.0).abs() < 1e-9);
        assert!((line.to_low_pct.unwrap() - (139.0 - last) / last * 100.0).abs() < 1e-9);
        assert_eq!(line.obv_slope_pct, Some(100.0), "every bar adds its whole volume");
        let mut falling = rising(60);
        for column in [&mut falling.high, &mut falling.low, &mut falling.close] {
            column.reverse();
        }
        assert_eq!(timeframe(Interval::Hour1, &falling).trend, Some(Trend::Down));
    }

    #[test]
    fn a_young_timeframe_has_no_line_but_its_name() {
        let line = timeframe(Interval::Day1, &rising(10));
        let nothing = TimeframeLine {
            interval: Interval::Day1,
            trend: None,
            rsi: None,
            macd_histogram_pct: None,
            adx: None,
            atr_pct: None,
            to_high_pct: None,
            to_low_pct: None,
            obv_slope_pct: None,
        };
        assert_eq!(line, nothing);
    }

    proptest! {
        #[test]
        fn a_tie_is_a_correlation_or_nothing(a in prop::collection::vec(1.0_f64..1e5, 0..80),
                                             b in prop::collection::vec(1.0_f64..1e5, 0..80)) {
            if let Some(tie) = tie(&candles(&a), &candles(&b), 60) {
                prop_assert!(tie.correlation.abs() <= 1.0 + 1e-9 && tie.beta.is_finite());
            }
        }
    }
}
