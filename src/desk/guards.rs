//! The guards between a proposal and an order.
//!
//! Each guard is a small type with a name ([`Rule`]), a limit from the settings and one question. They are asked in a
//! fixed order ([`Guards::of`]); the first that says no ends the matter with its name, its limit and the value it saw.
//! Only this module can build an [`Approved`] order, and execution takes nothing else.
//!
//! The order: is the row worth looking at (threshold, allowed action), can its figures be believed (price, stale data,
//! sanity), may anything leave (halts, unresolved orders), is there room (positions, stop, size, exposure), is it wise
//! (anti-churn, bias, calendar), may more be risked at all (losses, the model's budget). A size is computed before the
//! first guard is asked, from all parts that guards leave to it ([`Guard::scale`]), so that exposure and turnover count
//! what would really be opened. Three guards that the list of the design does not name stand where their question
//! belongs: a missing price before the checks of prices, an unresolved order with the halts, a stop that could not
//! protect before the size.

#![cfg_attr(not(test), deny(clippy::float_arithmetic))]

mod bias;
mod calendar;
mod case;
mod churn;
mod exposure;
mod judging;
mod keeping;
mod money;
mod past;
mod readings;
mod recalled;
mod safety;

use rust_decimal::Decimal;

pub use bias::Trend;
pub use case::{AccountFacts, Action, Book, Case, CoinFacts, Facts, Holding, LastSeen, MarketFacts};
pub use judging::{Bar, Judged};
pub use keeping::GuardRoom;
pub use past::{AccountPast, Past, Standing, Track};
pub use readings::Sight;

use super::signals::{Signal, signal};
use crate::config::{Provider, Settings};
use crate::domain::{
    AccountName, Direction, GuardReading, Halt, Outcome, OutcomeKind, Position, Price, Profile, Quantity,
    Rule, Symbol, Timestamp,
};

/// An order that passed every guard. It cannot be built elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved<T>(T);

impl<T> Approved<T> {
    /// The order.
    pub fn order(&self) -> &T {
        &self.0
    }

    /// For tests of what comes after the guards.
    #[cfg(test)]
    pub(super) fn unseen(order: T) -> Self {
        Self(order)
    }
}

/// Opens a position at market.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenOrder {
    /// For whom.
    pub account: AccountName,
    /// Which coin.
    pub symbol: Symbol,
    /// Which way.
    pub direction: Direction,
    /// How much, on the exchange's step.
    pub quantity: Quantity,
    /// The price it was sized by.
    pub reference: Price,
    /// Margin it ties up, USDT.
    pub margin: Decimal,
}

/// Closes a whole position at market, reduce-only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseOrder {
    /// For whom.
    pub account: AccountName,
    /// Which coin.
    pub symbol: Symbol,
    /// The direction of the position it closes.
    pub direction: Direction,
    /// The whole position.
    pub quantity: Quantity,
}

/// What the guards made of a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Open a position.
    Open(Approved<OpenOrder>),
    /// Close the position.
    Close(Approved<CloseOrder>),
    /// Leave everything as it is, or a guard said no.
    Settled(Outcome),
}

/// A guard's no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Whose no it is.
    pub rule: Rule,
    /// One sentence with limit and value.
    pub detail: String,
    /// The same where the sentence holds words that somebody else wrote: in our own alone, for a prompt.
    told: Option<String>,
}

impl Refusal {
    fn new(rule: Rule, detail: impl Into<String>) -> Self {
        Self { rule, detail: detail.into(), told: None }
    }

    /// A no whose sentence holds somebody else's words, and `told`, which holds none.
    fn quoting(rule: Rule, detail: impl Into<String>, told: impl Into<String>) -> Self {
        Self { told: Some(told.into()), ..Self::new(rule, detail) }
    }

    /// The sentence as the model may read it outside of an envelope: our own words and nobody else's.
    pub fn told(&self) -> &str {
        self.told.as_deref().unwrap_or(&self.detail)
    }

    fn outcome(self) -> Outcome {
        Outcome { kind: OutcomeKind::Refused, rule: Some(self.rule), detail: self.detail, orders: Vec::new() }
    }
}

/// One limit, and the question whether a case keeps it.
pub trait Guard: std::fmt::Debug + Send + Sync {
    /// Its name.
    fn rule(&self) -> Rule;

    /// Its limit in words; `None` while it is switched off.
    fn limit(&self) -> Option<String>;

    /// Its no, if it has one. A guard that is switched off has none.
    fn judge(&self, case: &Case<'_>) -> Option<Refusal>;

    /// The part of a full size that it leaves to an opening it does not refuse; 1 is all of it.
    fn scale(&self, _case: &Case<'_>) -> Decimal {
        Decimal::ONE
    }

    /// What an operator should hear about an opening that is not refused.
    fn remark(&self, _case: &Case<'_>) -> Option<String> {
        None
    }

    /// Whether its no is certain before the model is asked, so that what it refuses need not be offered.
    fn is_known_beforehand(&self) -> bool {
        false
    }

    /// Halts that its limit calls for as things stand.
    fn halts(&self, _book: &Book, _now: Timestamp) -> Vec<Halt> {
        Vec::new()
    }

    /// How it stands, one reading for each whom it watches. Without anything to measure between cycles, its limit alone.
    fn readings(&self, _sight: &Sight<'_>) -> Vec<GuardReading> {
        vec![readings::limit_alone(self.rule(), self.limit())]
    }
}

/// All guards, in the order they are asked.
#[derive(Debug)]
pub struct Guards {
    list: Vec<Box<dyn Guard>>,
}

impl Guards {
    /// The guards as the settings want them. Those that a profile or a key switches off stay in the list, so that they
    /// can be shown as being off.
    pub fn of(settings: &Settings) -> Self {
        let limits = &settings.risk.guards;
        let guarded = match settings.profile {
            Profile::Guarded => limits.clone(),
            Profile::Classic => crate::config::GuardSettings {
                stale_data: limits.stale_data,
                price_sanity: limits.price_sanity,
                ..crate::config::GuardSettings::off()
            },
        };
        let model = &settings.model;
        let paid = (model.provider != Provider::Builtin).then_some(model.daily_budget_usd);
        Self {
            // This is the order, and nothing else is. A test fixes it.
            list: vec![
                Box::new(safety::Threshold(model.confidence_threshold)),
                Box::new(safety::AllowedAction),
                Box::new(safety::NoPrice),
                Box::new(safety::StaleData(guarded.stale_data)),
                Box::new(safety::PriceSanity(guarded.price_sanity)),
                Box::new(safety::Halted),
                Box::new(safety::Unresolved),
                Box::new(churn::MaximumPositions(guarded.maximum_positions)),
                Box::new(safety::StopProtects),
                Box::new(money::Sizing),
                Box::new(exposure::Exposure {
                    gross: guarded.exposure,
                    direction: guarded.exposure_direction,
                    hedge_correlation: guarded.hedge_correlation,
                }),
                Box::new(churn::MinimumHold(guarded.minimum_hold)),
                Box::new(churn::Cooldown(guarded.cooldown)),
                Box::new(churn::Turnover(guarded.turnover)),
                Box::new(churn::ExpectedMove(guarded.expected_move)),
                Box::new(bias::LongBias(guarded.long_bias)),
                Box::new(calendar::EventBlackout(guarded.event_blackout)),
                Box::new(money::DailyLoss(guarded.daily_loss)),
                Box::new(money::Drawdown(guarded.drawdown)),
                Box::new(money::ModelBudget(paid)),
            ],
        }
    }

    /// The same without one of them.
    #[cfg(test)]
    fn without(mut self, rule: Rule) -> Self {
        self.list.retain(|guard| guard.rule() != rule);
        self
    }

    /// The names, in the order they are asked.
    pub fn names(&self) -> Vec<Rule> {
        self.list.iter().map(|guard| guard.rule()).collect()
    }

    /// The limits of those that are on, by name, in words.
    pub fn limits(&self) -> Vec<(Rule, String)> {
        self.list.iter().filter_map(|guard| Some((guard.rule(), guard.limit()?))).collect()
    }

    /// Takes one proposal through the guards.
    pub fn judge(&self, facts: &Facts<'_>) -> Verdict {
        let proposal = facts.proposal;
        let (Some(decision), Some(confidence)) = (proposal.decision, proposal.confidence) else {
            return settled(Refusal::new(Rule::Malformed, "the row is not usable"));
        };
        let not_allowed =
            |why: &str| settled(Refusal::new(Rule::AllowedAction, format!("{decision} not allowed: {why}")));
        let close = |position: &Position| match self.first_no(&Case::closing(*facts, position)) {
            Some(refusal) => settled(refusal),
            None => Verdict::Close(close_whole(&proposal.account, position)),
        };
        match (signal(decision, facts.position), decision.opens(), facts.position) {
            (Signal::Nothing, ..) => Verdict::Settled(kept(facts.position)),
            (Signal::Close, _, Some(position)) => close(position),
            // What an opening word may not do here, the guard of that name says.
            (Signal::Open(direction), ..) | (Signal::NotAllowed(_), Some(direction), _) => {
                self.judge_opening(&self.opening(facts, direction, confidence))
            }
            (Signal::NotAllowed(why), None, _) => not_allowed(why),
            (Signal::Close, _, None) => not_allowed("there is no position to close"),
        }
    }

    /// An opening with the size that all guards together leave to it.
    fn opening<'a>(
        &self,
        facts: &Facts<'a>,
        direction: Direction,
        confidence: crate::domain::Confidence,
    ) -> Case<'a> {
        let bare = Case::opening(*facts, direction, confidence);
        let scale = self.list.iter().map(|guard| guard.scale(&bare)).product();
        bare.sized(scale)
    }

    fn judge_opening(&self, case: &Case<'_>) -> Verdict {
        if let Some(refusal) = self.first_no(case) {
            return settled(refusal);
        }
        match case.order() {
            Ok(order) => Verdict::Open(Approved(order)),
            Err(refusal) => settled(refusal),
        }
    }

    fn first_no(&self, case: &Case<'_>) -> Option<Refusal> {
        self.list.iter().find_map(|guard| guard.judge(case))
    }

    /// What an operator should hear about a proposal that opens, whether or not it is refused afterwards.
    pub fn remarks(&self, facts: &Facts<'_>) -> Vec<String> {
        let opening = facts.proposal.decision.and_then(crate::domain::DecisionWord::opens);
        let (Some(direction), Some(confidence)) = (opening, facts.proposal.confidence) else {
            return Vec::new();
        };
        let case = Case::opening(*facts, direction, confidence);
        self.list.iter().filter_map(|guard| guard.remark(&case)).collect()
    }

    /// The no to an opening that is certain before anybody is asked.
    pub fn bar(&self, facts: &Facts<'_>, direction: Direction) -> Option<Refusal> {
        let case = Case::opening(*facts, direction, facts.threshold_or_full());
        self.list.iter().filter(|guard| guard.is_known_beforehand()).find_map(|guard| guard.judge(&case))
    }

    /// The no to a close that is certain before anybody is asked.
    pub fn bar_close(&self, facts: &Facts<'_>, position: &Position) -> Option<Refusal> {
        let case = Case::closing(*facts, position);
        self.list.iter().filter(|guard| guard.is_known_beforehand()).find_map(|guard| guard.judge(&case))
    }

    /// Every halt that a limit calls for as things stand.
    pub fn halts(&self, book: &Book, now: Timestamp) -> Vec<Halt> {
        self.list.iter().flat_map(|guard| guard.halts(book, now)).collect()
    }

    /// How all guards stand, in the order they are asked.
    pub fn readings(&self, sight: &Sight<'_>) -> Vec<GuardReading> {
        self.list.iter().flat_map(|guard| guard.readings(sight)).collect()
    }
}

/// A close that needs no further question: it can only reduce. For the operator and for emergencies, too.
pub fn close_whole(account: &AccountName, position: &Position) -> Approved<CloseOrder> {
    Approved(CloseOrder {
        account: account.clone(),
        symbol: position.symbol.clone(),
        direction: position.direction,
        quantity: position.quantity,
    })
}

fn settled(refusal: Refusal) -> Verdict {
    Verdict::Settled(refusal.outcome())
}

fn kept(position: Option<&Position>) -> Outcome {
    let detail = if position.is_some() { "the position is kept" } else { "no position is wanted" };
    Outcome { kind: OutcomeKind::None, rule: None, detail: detail.to_owned(), orders: Vec::new() }
}

/// A share in percent, to a tenth.
fn percent(share: Decimal) -> String {
    format!("{} %", (share * Decimal::ONE_HUNDRED).round_dp(1).normalize())
}

#[cfg(test)]
mod limits;
#[cfg(test)]
mod liquidation;
#[cfg(test)]
mod properties;
#[cfg(test)]
pub(crate) mod scene;
#[cfg(test)]
mod shown;
#[cfg(test)]
mod taken;
#[cfg(test)]
mod tests;
