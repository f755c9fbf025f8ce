//! What the model proposes for one account and coin, and what became of it.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ids::ClientOrderId;
use super::money::InvalidAmount;
use super::order::Direction;
use super::symbol::{AccountName, Symbol};
use super::untrusted::Untrusted;

/// The five words a decision may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "each name is its meaning")]
pub enum DecisionWord {
    Long,
    Short,
    NoTrade,
    Hold,
    Close,
}

impl DecisionWord {
    /// All words, in the order they are told to the model.
    pub const ALL: [Self; 5] = [Self::Long, Self::Short, Self::NoTrade, Self::Hold, Self::Close];

    /// The wire word, such as `NO_TRADE`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Long => "LONG",
            Self::Short => "SHORT",
            Self::NoTrade => "NO_TRADE",
            Self::Hold => "HOLD",
            Self::Close => "CLOSE",
        }
    }

    /// The direction of the position it would open.
    pub const fn opens(self) -> Option<Direction> {
        match self {
            Self::Long => Some(Direction::Long),
            Self::Short => Some(Direction::Short),
            Self::NoTrade | Self::Hold | Self::Close => None,
        }
    }
}

impl FromStr for DecisionWord {
    type Err = ();
    /// Letter case does not matter; anything else does.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|word| word.as_str().eq_ignore_ascii_case(text.trim())).ok_or(())
    }
}

impl fmt::Display for DecisionWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The model's view of where a coin is heading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "each name is its meaning")]
pub enum MarketBias {
    Bullish,
    Bearish,
    Neutral,
}

impl FromStr for MarketBias {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [("bullish", Self::Bullish), ("bearish", Self::Bearish), ("neutral", Self::Neutral)]
            .into_iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(text.trim()))
            .map(|(_, bias)| bias)
            .ok_or(())
    }
}

/// How sure the model says it is: 0 to 1, exact, so that 0.75 meets a threshold of 0.75.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Confidence(Decimal);

impl Confidence {
    /// Checks the range 0 to 1, both included.
    pub fn new(value: Decimal) -> Result<Self, InvalidAmount> {
        if (Decimal::ZERO..=Decimal::ONE).contains(&value) {
            Ok(Self(value))
        } else {
            Err(InvalidAmount {
                kind: "confidence",
                value: value.to_string(),
                allowed: "a number from 0 to 1",
            })
        }
    }

    /// The bare decimal.
    pub const fn value(self) -> Decimal {
        self.0
    }
}

impl fmt::Display for Confidence {
    /// Two decimals, cut rather than rounded, so that 0.749 is never shown as 0.75.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:.2}", self.0.trunc_with_scale(2)))
    }
}

/// In JSON a confidence is a number.
impl Serialize for Confidence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        rust_decimal::serde::float::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Confidence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = rust_decimal::serde::float::deserialize(deserializer)?;
        Self::new(value.normalize()).map_err(serde::de::Error::custom)
    }
}

/// One row of the model's answer after checking. Words and numbers that were not usable are absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// For which account.
    pub account: AccountName,
    /// For which coin.
    pub symbol: Symbol,
    /// What to do; `None` when the row was missing or unusable.
    pub decision: Option<DecisionWord>,
    /// How sure; `None` when the row was missing or unusable.
    pub confidence: Option<Confidence>,
    /// The model's reason, in its words.
    pub reason: Untrusted,
    /// The model's view of the coin.
    pub market_bias: Option<MarketBias>,
    /// A warning the model attached.
    pub risk_note: Option<Untrusted>,
}

impl Proposal {
    /// A row of which nothing could be used, or that was not there.
    pub fn empty(account: AccountName, symbol: Symbol) -> Self {
        Self {
            account,
            symbol,
            decision: None,
            confidence: None,
            reason: Untrusted::default(),
            market_bias: None,
            risk_note: None,
        }
    }
}

/// A proposal together with what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionRow {
    /// What the model proposed.
    #[serde(flatten)]
    pub proposal: Proposal,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The kind of end it came to.
    pub kind: OutcomeKind,
    /// The rule that decided, where one did.
    pub rule: Option<Rule>,
    /// One sentence with the figures.
    pub detail: String,
    /// The orders it caused.
    pub orders: Vec<ClientOrderId>,
}

/// How a proposal ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// A position was opened.
    Opened,
    /// A position was closed.
    Closed,
    /// Nothing was asked for.
    None,
    /// A guard said no.
    Refused,
    /// The row was not usable.
    Invalid,
    /// The account was unreadable or an order failed.
    Failed,
    /// Would have traded.
    DryRun,
}

impl OutcomeKind {
    /// The wire word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Closed => "closed",
            Self::None => "none",
            Self::Refused => "refused",
            Self::Invalid => "invalid",
            Self::Failed => "failed",
            Self::DryRun => "dry_run",
        }
    }
}

/// The name of the rule behind an outcome: a guard's, or what was wrong with the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Confidence below the threshold.
    Threshold,
    /// Not among the decisions allowed for this account and coin.
    AllowedAction,
    /// No price for the coin.
    NoPrice,
    /// The price moved or aged too much since the brief.
    StaleData,
    /// No stop that protects can stand behind the position.
    Stop,
    /// The size rounds to nothing or lies below the exchange's minimum.
    Sizing,
    /// Another order of this account and coin is still unresolved.
    Unresolved,
    /// The coin, the account or the whole desk is halted.
    Halted,
    /// Mark, last, index price and last candle contradict each other.
    PriceSanity,
    /// The account holds as many positions as it may.
    MaximumPositions,
    /// Beta-weighted exposure would pass its limit.
    Exposure,
    /// A position is held for its minimum time before the model may close it.
    MinimumHold,
    /// The coin was closed or stopped out a short while ago.
    Cooldown,
    /// The account traded as much as it may in a day.
    Turnover,
    /// The coin does not move enough to earn the cost of a round trip.
    ExpectedMove,
    /// Too many of the last openings were long while the market fell.
    LongBias,
    /// A high-impact calendar entry is near.
    EventBlackout,
    /// The account, or all together, lost as much today as they may.
    DailyLoss,
    /// The account, or all together, fell as far from the highest equity as they may.
    Drawdown,
    /// The model cost as much as it may.
    ModelBudget,
    /// No row for this account and coin.
    Missing,
    /// The row is not an object of the agreed shape.
    Malformed,
    /// More than one row for this account and coin.
    Duplicate,
    /// The confidence is not within 0 to 1.
    OutOfRange,
    /// A word outside the vocabulary.
    UnknownWord,
}

impl Rule {
    /// The wire word, such as `allowed_action`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Threshold => "threshold",
            Self::AllowedAction => "allowed_action",
            Self::NoPrice => "no_price",
            Self::StaleData => "stale_data",
            Self::Stop => "stop",
            Self::Sizing => "sizing",
            Self::Unresolved => "unresolved",
            Self::Halted => "halted",
            Self::PriceSanity => "price_sanity",
            Self::MaximumPositions => "maximum_positions",
            Self::Exposure => "exposure",
            Self::MinimumHold => "minimum_hold",
            Self::Cooldown => "cooldown",
            Self::Turnover => "turnover",
            Self::ExpectedMove => "expected_move",
            Self::LongBias => "long_bias",
            Self::EventBlackout => "event_blackout",
            Self::DailyLoss => "daily_loss",
            Self::Drawdown => "drawdown",
            Self::ModelBudget => "model_budget",
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Duplicate => "duplicate",
            Self::OutOfRange => "out_of_range",
            Self::UnknownWord => "unknown_word",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confidence_just_below_the_threshold_is_never_shown_as_meeting_it() {
        let nearly = Confidence::new("0.7499".parse().unwrap()).unwrap();
        assert_eq!(nearly.to_string(), "0.74");
    }

    #[test]
    fn confidence_keeps_its_exact_value_through_json() {
        let read: Confidence = serde_json::from_str("0.75").unwrap();
        assert_eq!(read.value(), "0.75".parse().unwrap());
        assert_eq!(serde_json::to_string(&read).unwrap(), "0.75");
        assert!(serde_json::from_str::<Confidence>("1.7").is_err());
    }

    #[test]
    fn words_ignore_case_but_not_spelling() {
        assert_eq!("no_trade".parse(), Ok(DecisionWord::NoTrade));
        assert!("BUY".parse::<DecisionWord>().is_err());
    }
}
