//! Query parameters: each is known, comes once, and is within its range, or the answer is 400.

use serde_json::{Value, json};

use crate::domain::Interval;
use crate::market::simsar::PERIODS;

use super::route::SYMBOL;
use super::{Refusal, shown};

/// Longest period of an indicator; the window has one bar less, so it is the first that always lacks history.
pub(super) const LONGEST_PERIOD: u32 = 499;
/// Most candles in one answer.
pub(super) const MOST_CANDLES: u32 = 1500;
/// Most paid fundings in one answer.
pub(super) const MOST_FUNDINGS: u32 = 1000;
/// Most points of a statistic in one answer.
pub(super) const MOST_POINTS: u32 = 500;
/// Most standard deviations of a band.
pub(super) const MOST_DEVIATIONS: f64 = 10.0;
/// How the largest traders are counted: by position size, or each once.
pub(super) const TRADERS: [&str; 2] = ["positions", "accounts"];

/// What a parameter may be.
pub(super) enum Kind {
    Whole(u32, u32),
    /// Above zero, up to this.
    Positive(f64),
    Words(fn() -> Vec<&'static str>),
}

type Known = (&'static str, Kind);

const INTERVAL: Known = ("interval", Kind::Words(intervals));
const CANDLES: Known = ("limit", Kind::Whole(1, MOST_CANDLES));
const POINTS: Known = ("limit", Kind::Whole(1, MOST_POINTS));
const STATISTIC: Known = ("period", Kind::Words(statistics_periods));

/// An indicator's period, or another of its lengths in bars.
const fn bars(name: &'static str, least: u32) -> Known {
    (name, Kind::Whole(least, LONGEST_PERIOD))
}

/// The parameters a path knows, a template with its symbol in braces.
pub(super) fn parameters_of(path: &str) -> &'static [Known] {
    match path.trim_start_matches('/').split('/').collect::<Vec<_>>().as_slice() {
        ["candles", SYMBOL] => const { &[INTERVAL, CANDLES] },
        ["indicators", name, SYMBOL] => indicator_parameters(name),
        ["futures", "funding-rate", SYMBOL] => const { &[("limit", Kind::Whole(1, MOST_FUNDINGS))] },
        ["futures", "open-interest" | "long-short-ratio", SYMBOL] => const { &[STATISTIC, POINTS] },
        ["futures", "top-trader-ratio", SYMBOL] => {
            const { &[STATISTIC, POINTS, ("by", Kind::Words(ways_to_count))] }
        }
        ["macro", "us30", "candles"] => const { &[CANDLES] },
        _ => &[],
    }
}

/// The parameters an indicator knows.
pub(super) fn indicator_parameters(name: &str) -> &'static [Known] {
    match name {
        "macd" => const { &[INTERVAL, CANDLES, bars("fast", 2), bars("slow", 2), bars("signal", 1)] },
        "bbands" => {
            const { &[INTERVAL, CANDLES, bars("period", 2), ("deviations", Kind::Positive(MOST_DEVIATIONS))] }
        }
        "stoch" => const { &[INTERVAL, CANDLES, bars("period", 1), bars("slow_k", 1), bars("slow_d", 1)] },
        "obv" => const { &[INTERVAL, CANDLES, bars("period", 1)] },
        _ => const { &[INTERVAL, CANDLES, bars("period", 2)] },
    }
}

fn intervals() -> Vec<&'static str> {
    Interval::ALL.iter().map(|(_, word)| *word).collect()
}

fn statistics_periods() -> Vec<&'static str> {
    PERIODS.iter().map(|(word, _)| *word).collect()
}

fn ways_to_count() -> Vec<&'static str> {
    TRADERS.to_vec()
}

/// The parameters of one request, checked against those its path knows.
pub(crate) struct Params<'a> {
    pairs: &'a [(String, String)],
}

impl<'a> Params<'a> {
    /// Refuses unknown and repeated parameters.
    pub(crate) fn of(pairs: &'a [(String, String)], known: &[Known]) -> Result<Self, Refusal> {
        let known: Vec<_> = known.iter().map(|(name, _)| *name).collect();
        for (index, (name, _)) in pairs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                return Err(refusal(format!("unknown parameter {:?}", shown(name)), json!(known)));
            }
            if pairs[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(refusal(format!("parameter {name:?} is given more than once"), json!(known)));
            }
        }
        Ok(Self { pairs })
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The candle interval, 4 h by default.
    pub(crate) fn interval(&self) -> Result<Interval, Refusal> {
        let Some(text) = self.text("interval") else { return Ok(Interval::Hour4) };
        text.parse()
            .map_err(|_| refusal(format!("interval {:?} is not served", shown(text)), json!(intervals())))
    }

    /// A whole number within a range, if it is given.
    pub(crate) fn whole(&self, name: &str, least: u32, most: u32) -> Result<Option<u32>, Refusal> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && (least..=most).contains(number));
        number.map(Some).ok_or_else(|| {
            refusal(
                format!("{name} {:?} is out of range", shown(text)),
                json!(format!("a whole number from {least} to {most}")),
            )
        })
    }

    /// A positive number up to a limit, if it is given.
    pub(crate) fn positive(&self, name: &str, most: f64) -> Result<Option<f64>, Refusal> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let plain = text.starts_with(|first: char| first.is_ascii_digit());
        let number = text.parse::<f64>().ok().filter(|number| plain && *number > 0.0 && *number <= most);
        number.map(Some).ok_or_else(|| {
            refusal(
                format!("{name} {:?} is out of range", shown(text)),
                json!(format!("a number above 0, up to {most}")),
            )
        })
    }

    /// The period of the exchange's statistics, 1 h by default.
    pub(crate) fn statistics_period(&self) -> Result<&'static str, Refusal> {
        let Some(text) = self.text("period") else { return Ok("1h") };
        let known = PERIODS.iter().map(|(word, _)| *word).find(|word| *word == text);
        known.ok_or_else(|| {
            refusal(format!("period {:?} is not served", shown(text)), json!(statistics_periods()))
        })
    }

    /// Whether the largest traders are counted by head instead of by size.
    pub(crate) fn by_accounts(&self) -> Result<bool, Refusal> {
        match self.text("by") {
            None | Some("positions") => Ok(false),
            Some("accounts") => Ok(true),
            Some(other) => Err(refusal(format!("by {:?} is not known", shown(other)), json!(TRADERS))),
        }
    }
}

/// A 400.
pub(crate) fn refusal(error: String, allowed: Value) -> Refusal {
    Refusal::Parameter { error, allowed }
}
