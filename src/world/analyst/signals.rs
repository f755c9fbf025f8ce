//! Reads a coin's table: every rule adds a weight between -1 and 1 and says what it saw.
//!
//! The rules are the textbook's: trend (averages, MACD, scaled by ADX), momentum (RSI), mean reversion at the Bollinger
//! edges while there is no trend, crowded funding, the mood of the stock market and of the headlines (PAXG the other way
//! round), Fear & Greed at its extremes, the last candles, and what the tool brought.

use serde_json::Value;

use super::reading::{Bar, CoinFigures, General, Reading, number_of};

/// A shape of the last candles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Formation {
    BullishEngulfing,
    BearishEngulfing,
    Hammer,
    ShootingStar,
}

/// What a rule saw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fact {
    /// The fast average against the slow one, with the ADX behind it.
    Trend { adx: Option<f64> },
    /// The MACD histogram.
    Macd,
    /// RSI away from its middle.
    Momentum { rsi: f64 },
    /// RSI at an extreme.
    Stretched { rsi: f64 },
    /// Price at or beyond a band without a trend.
    BandEdge,
    /// Price beyond a band with a trend.
    BandBreak,
    /// Funding that tells of a crowd.
    Funding { percent: f64 },
    /// Stock market and headlines.
    Mood { mood: f64 },
    /// The same, for gold.
    Haven { mood: f64 },
    /// Fear & Greed at an extreme.
    FearGreed { value: f64 },
    /// Last candles.
    Shape(Formation),
    /// RSI on 1 h, fetched.
    HourlyRsi { rsi: f64 },
    /// Longs for each short, fetched.
    Crowd { ratio: f64 },
}

/// A fact and what it is worth; the sign says which way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Evidence {
    pub fact: Fact,
    pub weight: f64,
}

/// The analyst's view of one coin.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct View {
    /// -1 (fall) to 1 (rise).
    pub score: f64,
    /// What led to it, heaviest first.
    pub evidence: Vec<Evidence>,
    /// ATR in percent of the price.
    pub atr_percent: Option<f64>,
    /// Whether there was anything to read.
    pub known: bool,
}

/// Below this ADX a market is a range.
const RANGE_ADX: f64 = 22.0;
/// From this ADX on it is a trend.
const TREND_ADX: f64 = 28.0;
/// Funding in percent from which one side is crowded.
const CROWDED_FUNDING: f64 = 0.03;

/// The view of one coin.
pub(super) fn view(symbol: &str, coin: &CoinFigures, mood: f64, reading: &Reading) -> View {
    let Some(price) = coin.price.filter(|price| *price > 0.0) else { return View::default() };
    let unit = coin.atr.unwrap_or(price * 0.01);
    let gold = symbol.starts_with("PAXG");
    let mut evidence = Vec::new();
    let mut add = |fact: Fact, weight: f64| {
        if weight.is_finite() && weight.abs() > 0.004 {
            evidence.push(Evidence { fact, weight });
        }
    };
    let range = coin.adx.is_none_or(|adx| adx < RANGE_ADX);
    let trending = coin.adx.is_some_and(|adx| adx >= TREND_ADX);
    let trend = trend_of(&coin.bars, unit);
    let strength = coin.adx.map_or(0.5, |adx| ((adx - 12.0) / 22.0).clamp(0.25, 1.0));
    add(Fact::Trend { adx: coin.adx }, 0.45 * trend * strength);
    if let Some(histogram) = coin.macd_hist {
        add(Fact::Macd, 0.15 * libm::tanh(histogram / unit * 3.0));
    }
    if let Some(rsi) = coin.rsi {
        let away = (rsi - 50.0) / 20.0;
        if away.abs() < 1.25 {
            add(Fact::Momentum { rsi }, 0.22 * away.clamp(-1.0, 1.0));
        } else {
            let weight = if trending { 0.05 } else { -0.18 };
            add(Fact::Stretched { rsi }, weight * away.signum());
        }
    }
    if let (Some(lower), Some(upper)) = (coin.band_lower, coin.band_upper)
        && upper > lower
    {
        let place = (price - f64::midpoint(lower, upper)) / ((upper - lower) / 2.0);
        if place.abs() >= 0.9 && range {
            add(Fact::BandEdge, -0.30 * place.signum());
        } else if place.abs() >= 1.0 && trending {
            add(Fact::BandBreak, 0.10 * place.signum());
        }
    }
    if let Some(percent) = coin.funding.filter(|percent| percent.abs() >= CROWDED_FUNDING) {
        let weight = if trending { 0.04 * trend.signum() } else { -0.10 * percent.signum() };
        add(Fact::Funding { percent }, weight);
    }
    if gold {
        add(Fact::Haven { mood }, -0.22 * mood);
    } else {
        add(Fact::Mood { mood }, 0.14 * mood);
        if let Some(value) = reading.general.fear_greed.filter(|value| !(20.0..=80.0).contains(value)) {
            add(Fact::FearGreed { value }, if value < 20.0 { 0.07 } else { -0.07 });
        }
    }
    if let Some(formation) = formation(&coin.bars) {
        let up = matches!(formation, Formation::BullishEngulfing | Formation::Hammer);
        add(Fact::Shape(formation), if up { 0.06 } else { -0.06 });
    }
    if let Some(rsi) = fetched_rsi(symbol, reading) {
        let away = (rsi - 50.0) / 15.0;
        let weight = if away.abs() > 2.0 { -0.06 * away.signum() } else { 0.10 * libm::tanh(away) };
        add(Fact::HourlyRsi { rsi }, weight);
    }
    if let Some(ratio) = fetched_ratio(symbol, reading) {
        let weight = if ratio > 2.0 {
            -0.05
        } else if ratio < 0.6 {
            0.05
        } else {
            0.0
        };
        add(Fact::Crowd { ratio }, weight);
    }
    evidence.sort_by(|left, right| right.weight.abs().total_cmp(&left.weight.abs()));
    View {
        score: evidence.iter().map(|item| item.weight).sum::<f64>().clamp(-1.0, 1.0),
        evidence,
        atr_percent: coin.atr.map(|atr| atr / price * 100.0),
        known: true,
    }
}

/// The appetite for risk from -1 (flight) to 1 (greed): the Dow Jones over days and today, and the headlines.
pub(super) fn mood(general: &General, news: f64) -> f64 {
    let week = match (general.us30_closes.first(), general.us30_closes.last()) {
        (Some(first), Some(last)) if *first > 0.0 => libm::tanh((last / first - 1.0) * 50.0),
        _ => 0.0,
    };
    let today = general.us30_change.map_or(0.0, libm::tanh);
    (0.5 * week + 0.3 * today + 0.2 * news).clamp(-1.0, 1.0)
}

/// What the headlines do to the mood, -1 to 1: words of fear against words of relief.
pub(super) fn news_mood<'a>(headlines: impl Iterator<Item = &'a str>) -> f64 {
    const FEAR: [&str; 16] = [
        "war",
        "attack",
        "crash",
        "plunge",
        "hack",
        "exploit",
        "sanction",
        "tariff",
        "recession",
        "default",
        "selloff",
        "sell-off",
        "liquidat",
        "lawsuit",
        "outflow",
        "slump",
    ];
    const RELIEF: [&str; 14] = [
        "rally",
        "surge",
        "record high",
        "approval",
        "approve",
        "inflow",
        "rate cut",
        "ceasefire",
        "truce",
        "deal",
        "upgrade",
        "rebound",
        "adoption",
        "stimulus",
    ];
    let (mut fear, mut relief) = (0_i32, 0_i32);
    for headline in headlines {
        let words = headline.to_lowercase();
        fear += i32::from(FEAR.iter().any(|word| words.contains(word)));
        relief += i32::from(RELIEF.iter().any(|word| words.contains(word)));
    }
    f64::from(relief - fear) / f64::from((relief + fear).max(3))
}

/// The distance of the fast average from the slow one in units of the ATR, squeezed into -1 to 1.
fn trend_of(bars: &[Bar], unit: f64) -> f64 {
    let (Some(fast), Some(slow)) = (average(bars, 5.0), average(bars, 20.0)) else { return 0.0 };
    libm::tanh((fast - slow) / unit * 0.9)
}

/// Exponential moving average of the closes.
fn average(bars: &[Bar], period: f64) -> Option<f64> {
    let share = 2.0 / (period + 1.0);
    bars.iter().map(|bar| bar.close).reduce(|level, close| level + share * (close - level))
}

fn formation(bars: &[Bar]) -> Option<Formation> {
    let [.., before, last] = bars else { return None };
    let body = last.close - last.open;
    let body_before = before.close - before.open;
    let span = last.high - last.low;
    if span <= 0.0 {
        return None;
    }
    if body > 0.0 && body_before < 0.0 && last.close > before.open && last.open <= before.close {
        return Some(Formation::BullishEngulfing);
    }
    if body < 0.0 && body_before > 0.0 && last.close < before.open && last.open >= before.close {
        return Some(Formation::BearishEngulfing);
    }
    let above = last.high - last.open.max(last.close);
    let below = last.open.min(last.close) - last.low;
    if below > span * 0.6 && above < span * 0.15 {
        Some(Formation::Hammer)
    } else if above > span * 0.6 && below < span * 0.15 {
        Some(Formation::ShootingStar)
    } else {
        None
    }
}

fn fetched_rsi(symbol: &str, reading: &Reading) -> Option<f64> {
    number_of(reading.finding(&format!("/indicators/rsi/{symbol}"))?.get("value")?)
        .filter(|rsi| (0.0..=100.0).contains(rsi))
}

fn fetched_ratio(symbol: &str, reading: &Reading) -> Option<f64> {
    named_number(reading.finding(&format!("/futures/long-short-ratio/{symbol}"))?, "ratio")
        .filter(|ratio| *ratio > 0.0)
}

/// The number under the first field whose name contains `part`; in a list, the last entry counts.
pub(super) fn named_number(value: &Value, part: &str) -> Option<f64> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| name.to_ascii_lowercase().contains(part))
            .find_map(|(_, field)| number_of(field))
            .or_else(|| fields.values().find_map(|field| named_number(field, part))),
        Value::Array(list) => list.last().and_then(|last| named_number(last, part)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(open: f64, high: f64, low: f64, close: f64) -> Bar {
        Bar { open, high, low, close }
    }

    #[test]
    fn engulfing_and_hammer_are_told_apart() {
        let down = bar(10.0, 10.1, 8.9, 9.0);
        assert_eq!(formation(&[down, bar(8.9, 10.4, 8.8, 10.3)]), Some(Formation::BullishEngulfing));
        assert_eq!(formation(&[down, bar(9.0, 9.2, 7.0, 9.1)]), Some(Formation::Hammer));
        assert_eq!(formation(&[down, bar(9.0, 9.0, 9.0, 9.0)]), None);
    }

    #[test]
    fn fear_in_the_headlines_and_a_falling_dow_are_a_bad_mood() {
        let general =
            General { us30_closes: vec![49_000.0, 48_000.0], us30_change: Some(-1.0), ..General::default() };
        let news = news_mood(["Markets crash as war fears grow", "Exchange hack drains funds"].into_iter());
        assert!(news < -0.5);
        assert!(mood(&general, news) < -0.6);
    }

    #[test]
    fn a_number_is_found_by_its_name_wherever_it_stands() {
        let answer = serde_json::json!({"as_of": "x", "rows": [{"long_short_ratio": "1.1"},
                                                              {"long_short_ratio": "2.4"}]});
        assert_eq!(named_number(&answer, "ratio"), Some(2.4));
        assert_eq!(named_number(&answer, "rate"), None);
    }
}
