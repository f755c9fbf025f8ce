//! The guards' limits, one key each, and how they are read from `[risk]`.

use rust_decimal::Decimal;

use super::error::ConfigError;
use super::toml_reader::{AllowedText, Section};
use super::values::{EquityMultiple, EquityPercent, Part, Span};
use crate::domain::PricePercent;

/// What each guard lets through. `None` switches a guard off, in the file the word `"off"`.
///
/// The threshold, the allowed action, halts, unresolved orders, missing prices and a stop that could not protect cannot
/// be switched off. Profile `classic` asks none of these but `stale_data` and `price_sanity`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardSettings {
    /// How far the mark may have moved since the model saw the price.
    pub stale_data: Option<PricePercent>,
    /// How far mark, last and index price may lie apart; the last candle's close is given room besides.
    pub price_sanity: Option<PricePercent>,
    /// Loss since midnight UTC from which nothing is opened.
    pub daily_loss: Option<EquityPercent>,
    /// Fall from the highest equity from which nothing is opened.
    pub drawdown: Option<EquityPercent>,
    /// Positions an account may hold.
    pub maximum_positions: Option<u32>,
    /// How long a coin is left alone after its position was closed.
    pub cooldown: Option<Span>,
    /// Multiple of the round trip's cost that the 4 h ATR has to reach.
    pub expected_move: Option<Decimal>,
    /// Distance in time to a high-impact calendar entry within which nothing is opened, before and after.
    pub event_blackout: Option<Span>,
    /// Share of the last 20 openings that may point against the market.
    pub long_bias: Option<Part>,
    /// What an account may trade within 24 hours, as a multiple of its equity.
    pub turnover: Option<EquityMultiple>,
    /// Beta-weighted exposure, both directions added.
    pub exposure: Option<EquityMultiple>,
    /// Beta-weighted exposure in one direction.
    pub exposure_direction: Option<EquityMultiple>,
    /// Correlation to bitcoin, whatever its sign, below which a position hedges nothing.
    pub hedge_correlation: Decimal,
    /// How long the model must hold what it opened and loses on, unless the price went half the way to the stop.
    pub minimum_hold: Option<Span>,
    /// Margin of an opening right at the confidence threshold, as a part of what full confidence is given.
    pub confidence_scale: Option<Part>,
}

impl Default for GuardSettings {
    #[expect(clippy::expect_used, reason = "constants within their ranges; the tests build every default")]
    fn default() -> Self {
        let equity = |points: u32| EquityPercent::from_points(points.into()).expect("a percentage");
        let multiple = |points: u32| EquityMultiple::from_points(points.into()).expect("a multiple");
        let part = |points: u32| Part::from_points(points.into()).expect("a part");
        let span = |minutes: i64| Span::of_minutes(minutes).expect("a span");
        let price = PricePercent::from_points(Decimal::ONE).expect("1 % is a percentage");
        Self {
            stale_data: Some(price),
            price_sanity: Some(price),
            daily_loss: Some(equity(4)),
            drawdown: Some(equity(12)),
            maximum_positions: Some(6),
            cooldown: Some(span(240)),
            expected_move: Some(Decimal::from(3)),
            event_blackout: Some(span(30)),
            long_bias: Some(part(80)),
            turnover: Some(multiple(300)),
            exposure: Some(multiple(150)),
            exposure_direction: Some(multiple(100)),
            hedge_correlation: Decimal::new(5, 1),
            minimum_hold: Some(span(180)),
            confidence_scale: Some(part(50)),
        }
    }
}

impl GuardSettings {
    /// Everything switched off that can be.
    pub fn off() -> Self {
        Self {
            stale_data: None,
            price_sanity: None,
            daily_loss: None,
            drawdown: None,
            maximum_positions: None,
            cooldown: None,
            expected_move: None,
            event_blackout: None,
            long_bias: None,
            turnover: None,
            exposure: None,
            exposure_direction: None,
            hedge_correlation: Self::default().hedge_correlation,
            minimum_hold: None,
            confidence_scale: None,
        }
    }

    /// Reads the guards' keys of `[risk]`; what is not there keeps its default.
    pub(super) fn read(&mut self, section: &mut Section<'_>) -> Result<(), ConfigError> {
        switched(section, "stale_data", &mut self.stale_data)?;
        switched(section, "price_sanity", &mut self.price_sanity)?;
        switched(section, "daily_loss", &mut self.daily_loss)?;
        switched(section, "drawdown", &mut self.drawdown)?;
        self.read_maximum_positions(section)?;
        switched(section, "cooldown", &mut self.cooldown)?;
        self.read_expected_move(section)?;
        switched(section, "event_blackout", &mut self.event_blackout)?;
        switched(section, "long_bias", &mut self.long_bias)?;
        switched(section, "turnover", &mut self.turnover)?;
        switched(section, "exposure", &mut self.exposure)?;
        switched(section, "exposure_direction", &mut self.exposure_direction)?;
        self.read_hedge_correlation(section)?;
        switched(section, "minimum_hold", &mut self.minimum_hold)?;
        switched(section, "confidence_scale", &mut self.confidence_scale)
    }

    fn read_maximum_positions(&mut self, section: &mut Section<'_>) -> Result<(), ConfigError> {
        const ALLOWED: &str = "a whole number from 1 to 1000, or \"off\"";
        if let Some(entry) = section.take("maximum_positions") {
            self.maximum_positions = if entry.string(ALLOWED).is_ok_and(|word| word == OFF) {
                None
            } else {
                let number = entry.decimal().filter(Decimal::is_integer);
                let number = number.and_then(|number| u32::try_from(number).ok());
                let number = number.filter(|number| (1..=1000).contains(number));
                Some(number.ok_or_else(|| entry.refuse(ALLOWED))?)
            };
        }
        Ok(())
    }

    fn read_expected_move(&mut self, section: &mut Section<'_>) -> Result<(), ConfigError> {
        const ALLOWED: &str = "a number above 0 and up to 100, or \"off\"";
        if let Some(entry) = section.take("expected_move") {
            self.expected_move = if entry.string(ALLOWED).is_ok_and(|word| word == OFF) {
                None
            } else {
                let fits = |times: &Decimal| *times > Decimal::ZERO && *times <= Decimal::ONE_HUNDRED;
                Some(entry.decimal().filter(fits).ok_or_else(|| entry.refuse(ALLOWED))?)
            };
        }
        Ok(())
    }

    fn read_hedge_correlation(&mut self, section: &mut Section<'_>) -> Result<(), ConfigError> {
        const ALLOWED: &str = "a number above 0 and up to 1";
        if let Some(entry) = section.take("hedge_correlation") {
            let fits = |value: &Decimal| *value > Decimal::ZERO && *value <= Decimal::ONE;
            self.hedge_correlation = entry.decimal().filter(fits).ok_or_else(|| entry.refuse(ALLOWED))?;
        }
        Ok(())
    }
}

/// The word that switches a guard off.
const OFF: &str = "off";

/// A limit in its own notation, or the word that switches its guard off.
fn switched<T>(
    section: &mut Section<'_>,
    key: &'static str,
    target: &mut Option<T>,
) -> Result<(), ConfigError>
where
    T: std::str::FromStr<Err: AllowedText>,
{
    if let Some(entry) = section.take(key) {
        let off = entry.string("a text in quotes").is_ok_and(|word| word == OFF);
        *target = if off { None } else { Some(entry.parsed()?) };
    }
    Ok(())
}
