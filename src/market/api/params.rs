//! Query parameters: each is known, comes once, and is within its range, or the answer is 400.

use serde_json::{Value, json};

use crate::domain::Interval;
use crate::market::simsar::PERIODS;

use super::{Refusal, shown};

/// The parameters of one request, checked against those its path knows.
pub(crate) struct Params<'a> {
    pairs: &'a [(String, String)],
}

impl<'a> Params<'a> {
    /// Refuses unknown and repeated parameters.
    pub(crate) fn of(pairs: &'a [(String, String)], known: &[&str]) -> Result<Self, Refusal> {
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
        text.parse().map_err(|_| {
            let allowed: Vec<_> = Interval::ALL.iter().map(|(_, word)| *word).collect();
            refusal(format!("interval {:?} is not served", shown(text)), json!(allowed))
        })
    }

    /// A whole number within a range, if it is given.
    pub(crate) fn whole(&self, name: &str, least: u32, most: u32) -> Result<Option<u32>, Refusal> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
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
        let number = text.parse::<f64>().ok().filter(|number| *number > 0.0 && *number <= most);
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
            let allowed: Vec<_> = PERIODS.iter().map(|(word, _)| *word).collect();
            refusal(format!("period {:?} is not served", shown(text)), json!(allowed))
        })
    }
}

/// A 400.
pub(crate) fn refusal(error: String, allowed: Value) -> Refusal {
    Refusal::Parameter { error, allowed }
}
