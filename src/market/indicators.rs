//! The twelve indicators, computed by the `ta-lib` crate on closed candles.
//!
//! Conventions are TA-Lib's (data.md §2.3): Wilder smoothing for RSI, ADX and ATR, population deviation for the
//! bands, slow stochastic smoothed by simple averages, OBV starting at the first bar's volume. A flat market has an
//! RSI of 50.

use rust_decimal::Decimal;
use ta_lib::{Core, MAType, OutRange, RetCode};

use crate::domain::Candle;

/// Indicators are always computed on up to this many closed candles, whatever the caller wants to see. With the
/// running one that makes 499 rows, the most the exchange sends at its second lowest price.
pub const WINDOW: usize = 498;

/// The library refused what was asked; the settings are outside its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the indicator library refused these settings ({0:?}); use periods from 2 to 499")]
pub struct IndicatorError(RetCode);

/// A series of bars as floats, oldest first, all columns of one length.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bars {
    /// Highest prices.
    pub high: Vec<f64>,
    /// Lowest prices.
    pub low: Vec<f64>,
    /// Closing prices.
    pub close: Vec<f64>,
    /// Volumes.
    pub volume: Vec<f64>,
}

impl Bars {
    /// The columns of candles.
    pub fn of(candles: &[Candle]) -> Self {
        let column = |field: fn(&Candle) -> Decimal| candles.iter().map(|c| to_float(field(c))).collect();
        Self {
            high: column(|candle| candle.high.value()),
            low: column(|candle| candle.low.value()),
            close: column(|candle| candle.close.value()),
            volume: column(|candle| candle.volume),
        }
    }
}

/// The nearest float of a decimal. Exact division when both parts fit a float, else through text.
pub fn to_float(value: Decimal) -> f64 {
    const EXACT: i128 = 1 << 53;
    const POWERS: [f64; 23] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17,
        1e18, 1e19, 1e20, 1e21, 1e22,
    ];
    let (mantissa, power) = (value.mantissa(), POWERS.get(value.scale() as usize));
    match power {
        #[expect(clippy::cast_precision_loss, reason = "guarded: below 2^53 every integer is a float")]
        Some(power) if mantissa.abs() < EXACT => mantissa as f64 / power,
        _ => value.to_string().parse().unwrap_or(f64::NAN),
    }
}

/// An indicator with its settings.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "each name is its meaning; periods are in bars")]
pub enum Indicator {
    Rsi { period: i32 },
    Macd { fast: i32, slow: i32, signal: i32 },
    Adx { period: i32 },
    Bbands { period: i32, deviations: f64 },
    Atr { period: i32 },
    Stoch { fast_k: i32, slow_k: i32, slow_d: i32 },
    Ema { period: i32 },
    Sma { period: i32 },
    Obv,
    Mfi { period: i32 },
    Cci { period: i32 },
    Willr { period: i32 },
}

/// One output of an indicator, a value a bar; `None` during the warm-up.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its name in answers: `value`, or `line`, `signal`, `histogram`, `lower`, `middle`, `upper`, `k`, `d`.
    pub name: &'static str,
    /// The values, aligned with the bars.
    pub values: Vec<Option<f64>>,
}

impl Line {
    /// The value of the last bar.
    pub fn last(&self) -> Option<f64> {
        self.values.last().copied().flatten()
    }
}

impl Indicator {
    /// The names in our paths, in the order of the reference.
    pub const NAMES: [&'static str; 12] =
        ["rsi", "macd", "adx", "bbands", "atr", "stoch", "ema", "sma", "obv", "mfi", "cci", "willr"];

    /// An indicator by name with its default settings: 14; ema, sma, cci and bbands 20; macd 12, 26, 9;
    /// stoch 14, 3, 3.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "rsi" => Self::Rsi { period: 14 },
            "macd" => Self::Macd { fast: 12, slow: 26, signal: 9 },
            "adx" => Self::Adx { period: 14 },
            "bbands" => Self::Bbands { period: 20, deviations: 2.0 },
            "atr" => Self::Atr { period: 14 },
            "stoch" => Self::Stoch { fast_k: 14, slow_k: 3, slow_d: 3 },
            "ema" => Self::Ema { period: 20 },
            "sma" => Self::Sma { period: 20 },
            "obv" => Self::Obv,
            "mfi" => Self::Mfi { period: 14 },
            "cci" => Self::Cci { period: 20 },
            "willr" => Self::Willr { period: 14 },
            _ => return None,
        })
    }

    /// The same with another period. MACD and OBV have none and stay as they are.
    #[must_use]
    pub fn with_period(self, period: i32) -> Self {
        match self {
            Self::Rsi { .. } => Self::Rsi { period },
            Self::Adx { .. } => Self::Adx { period },
            Self::Bbands { deviations, .. } => Self::Bbands { period, deviations },
            Self::Atr { .. } => Self::Atr { period },
            Self::Stoch { slow_k, slow_d, .. } => Self::Stoch { fast_k: period, slow_k, slow_d },
            Self::Ema { .. } => Self::Ema { period },
            Self::Sma { .. } => Self::Sma { period },
            Self::Mfi { .. } => Self::Mfi { period },
            Self::Cci { .. } => Self::Cci { period },
            Self::Willr { .. } => Self::Willr { period },
            unchanged @ (Self::Macd { .. } | Self::Obv) => unchanged,
        }
    }

    /// Computes every output over the bars. Too few bars give outputs without a single value, not an error.
    pub fn over(self, bars: &Bars) -> Result<Vec<Line>, IndicatorError> {
        let length = bars.close.len();
        let Some(end) = length.checked_sub(1) else {
            return Ok(self.line_names().iter().map(|name| Line { name, values: Vec::new() }).collect());
        };
        let core = Core::new();
        let Bars { high, low, close, volume } = bars;
        let mut a = vec![0.0; length];
        let mut b = vec![0.0; length];
        let mut c = vec![0.0; length];
        let range = match self {
            Self::Rsi { period } => core.rsi(0, end, close, period, &mut a),
            Self::Macd { fast, slow, signal } => {
                core.macd(0, end, close, fast, slow, signal, &mut a, &mut b, &mut c)
            }
            Self::Adx { period } => core.adx(0, end, high, low, close, period, &mut a),
            Self::Bbands { period, deviations } => core.bbands(
                0,
                end,
                close,
                period,
                deviations,
                deviations,
                MAType::SMA,
                &mut c,
                &mut b,
                &mut a,
            ),
            Self::Atr { period } => core.atr(0, end, high, low, close, period, &mut a),
            Self::Stoch { fast_k, slow_k, slow_d } => core.stoch(
                0,
                end,
                high,
                low,
                close,
                fast_k,
                slow_k,
                MAType::SMA,
                slow_d,
                MAType::SMA,
                &mut a,
                &mut b,
            ),
            Self::Ema { period } => core.ema(0, end, close, period, &mut a),
            Self::Sma { period } => core.sma(0, end, close, period, &mut a),
            Self::Obv => core.obv(0, end, close, volume, &mut a),
            Self::Mfi { period } => core.mfi(0, end, high, low, close, volume, period, &mut a),
            Self::Cci { period } => core.cci(0, end, high, low, close, period, &mut a),
            Self::Willr { period } => core.willr(0, end, high, low, close, period, &mut a),
        }
        .map_err(IndicatorError)?;
        let outputs = [a, b, c];
        Ok(self
            .line_names()
            .iter()
            .zip(&outputs)
            .map(|(name, output)| Line { name, values: aligned(output, range, length) })
            .collect())
    }

    /// The names of the outputs, in the order they are computed in.
    pub fn line_names(self) -> &'static [&'static str] {
        match self {
            Self::Macd { .. } => &["line", "signal", "histogram"],
            Self::Bbands { .. } => &["lower", "middle", "upper"],
            Self::Stoch { .. } => &["k", "d"],
            _ => &["value"],
        }
    }
}

/// Puts the values at the bars they belong to; what is not finite is no value.
fn aligned(output: &[f64], range: OutRange, length: usize) -> Vec<Option<f64>> {
    let mut values = vec![None; length];
    for (slot, value) in values.iter_mut().skip(range.beg_idx).zip(output.iter().take(range.count)) {
        *slot = value.is_finite().then_some(*value);
    }
    values
}

/// Average change a bar over the last `period` bars: for OBV, whose level means nothing, its slope says the trend.
pub fn slope(values: &[Option<f64>], period: u32) -> Option<f64> {
    let last = values.len().checked_sub(1)?;
    let before = last.checked_sub(period as usize)?;
    Some((values[last]? - values[before]?) / f64::from(period))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn flat(length: usize) -> Bars {
        let column = vec![100.0; length];
        Bars { high: column.clone(), low: column.clone(), close: column.clone(), volume: column }
    }

    fn value(name: &str, bars: &Bars) -> Option<f64> {
        Indicator::named(name).unwrap().over(bars).unwrap()[0].last()
    }

    #[test]
    fn a_flat_market_has_an_rsi_of_50_and_zero_oscillators() {
        let bars = flat(60);
        assert_eq!(value("rsi", &bars), Some(50.0));
        for name in ["adx", "cci", "mfi", "willr", "stoch"] {
            assert_eq!(value(name, &bars), Some(0.0), "{name}");
        }
        assert_eq!(value("bbands", &bars), Some(100.0));
    }

    #[test]
    fn one_bar_below_the_warm_up_there_is_no_value() {
        let first = [
            ("rsi", 14),
            ("macd", 33),
            ("adx", 27),
            ("bbands", 19),
            ("atr", 14),
            ("stoch", 17),
            ("ema", 19),
            ("sma", 19),
            ("obv", 0),
            ("mfi", 14),
            ("cci", 19),
            ("willr", 13),
        ];
        for (name, lookback) in first {
            assert_eq!(value(name, &flat(lookback)), None, "{name}");
            assert!(value(name, &flat(lookback + 1)).is_some(), "{name}");
        }
    }

    #[test]
    fn a_period_the_library_does_not_know_is_an_error() {
        assert!(Indicator::Rsi { period: 0 }.over(&flat(60)).is_err());
    }

    #[test]
    fn the_slope_is_the_average_change_a_bar() {
        let values = [Some(1.0), Some(5.0), Some(2.0), Some(7.0)];
        assert_eq!(slope(&values, 2), Some(1.0));
        assert_eq!((slope(&values, 4), slope(&[], 1)), (None, None));
    }

    proptest! {
        #[test]
        fn a_decimal_becomes_the_float_its_text_means(mantissa in any::<i64>(), scale in 0_u32..=28) {
            let value = Decimal::new(mantissa, scale);
            let through_text: f64 = value.to_string().parse().unwrap();
            prop_assert_eq!(to_float(value).to_bits(), through_text.to_bits());
        }
    }
}
