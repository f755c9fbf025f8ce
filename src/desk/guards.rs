//! The guards between a proposal and an order.
//!
//! They run in a fixed order; the first that says no ends the matter with its name, its limit and the value it saw.
//! Only this module can build an [`Approved`] order, and execution takes nothing else.

#![cfg_attr(not(test), deny(clippy::float_arithmetic))]

use rust_decimal::Decimal;

use super::signals::{Signal, signal};
use super::sizing::{SizingInput, size};
use crate::domain::{
    AccountName, Confidence, Direction, Outcome, OutcomeKind, Position, Price, PricePercent, Proposal,
    Quantity, Rule, Symbol,
};
use crate::exchange::{SymbolRules, Toward};

/// An order that passed every guard. It cannot be built elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved<T>(T);

impl<T> Approved<T> {
    /// The order.
    pub fn order(&self) -> &T {
        &self.0
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

/// How far the mark may have moved since the model saw the price.
const LARGEST_MOVE_SINCE_BRIEF: Decimal = Decimal::from_parts(1, 0, 0, false, 2);

/// Everything the guards look at for one proposal.
#[derive(Debug)]
pub struct Case<'a> {
    /// What the model proposed; usable.
    pub proposal: &'a Proposal,
    /// What the account holds in the coin.
    pub position: Option<&'a Position>,
    /// Confidence from which an opening is allowed.
    pub threshold: Confidence,
    /// The price the model saw.
    pub price_in_brief: Option<Price>,
    /// The price now.
    pub price_now: Option<Price>,
    /// Whether another order of this account and coin is unresolved.
    pub unresolved: bool,
    /// The exchange's rules for the coin.
    pub rules: Option<&'a SymbolRules>,
    /// How far from the entry the stop will rest.
    pub stop_distance: PricePercent,
    /// What the size depends on; the price is filled in by the guards.
    pub sizing: SizingInput,
}

/// Takes one proposal through the guards.
pub fn judge(case: &Case<'_>) -> Verdict {
    let (Some(decision), Some(confidence)) = (case.proposal.decision, case.proposal.confidence) else {
        return Verdict::Settled(refused(Rule::Malformed, "the row is not usable".to_owned()));
    };
    match signal(decision, case.position) {
        Signal::Nothing => Verdict::Settled(Outcome {
            kind: OutcomeKind::None,
            rule: None,
            detail: match case.position {
                Some(_) => "the position is kept".to_owned(),
                None => "no position is wanted".to_owned(),
            },
            orders: Vec::new(),
        }),
        Signal::NotAllowed(why) => {
            Verdict::Settled(refused(Rule::AllowedAction, format!("{decision} not allowed: {why}")))
        }
        Signal::Close => match case.position {
            Some(position) => Verdict::Close(close_whole(&case.proposal.account, position)),
            None => {
                Verdict::Settled(refused(Rule::AllowedAction, "there is no position to close".to_owned()))
            }
        },
        Signal::Open(direction) => match opening(case, direction, confidence) {
            Ok(order) => Verdict::Open(Approved(order)),
            Err(outcome) => Verdict::Settled(outcome),
        },
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

fn opening(case: &Case<'_>, direction: Direction, confidence: Confidence) -> Result<OpenOrder, Outcome> {
    above_threshold(case, confidence)?;
    nothing_unresolved(case)?;
    let (seen, now) = both_prices(case)?;
    not_run_away(seen, now)?;
    stop_protects(case, direction, now)?;
    let (quantity, margin) = sized(case, now)?;
    Ok(OpenOrder {
        account: case.proposal.account.clone(),
        symbol: case.proposal.symbol.clone(),
        direction,
        quantity,
        reference: now,
        margin,
    })
}

fn above_threshold(case: &Case<'_>, confidence: Confidence) -> Result<(), Outcome> {
    if confidence >= case.threshold {
        return Ok(());
    }
    Err(refused(Rule::Threshold, format!("low confidence: {confidence} is below {}", case.threshold)))
}

fn nothing_unresolved(case: &Case<'_>) -> Result<(), Outcome> {
    if case.unresolved {
        let detail = "an earlier order for this coin is still unresolved; nothing new until it is known";
        return Err(refused(Rule::Unresolved, detail.to_owned()));
    }
    Ok(())
}

fn both_prices(case: &Case<'_>) -> Result<(Price, Price), Outcome> {
    match (case.price_in_brief, case.price_now) {
        (Some(seen), Some(now)) => Ok((seen, now)),
        _ => Err(refused(Rule::NoPrice, "no price for this coin".to_owned())),
    }
}

fn not_run_away(seen: Price, now: Price) -> Result<(), Outcome> {
    let moved = ((now.value() - seen.value()) / seen.value()).abs();
    if moved <= LARGEST_MOVE_SINCE_BRIEF {
        return Ok(());
    }
    let detail = format!(
        "the price moved {} % since the model saw it ({seen} then, {now} now); at most 1 % is allowed",
        (moved * Decimal::ONE_HUNDRED).round_dp(2)
    );
    Err(refused(Rule::StaleData, detail))
}

/// The stop must lie on the losing side of the entry and before the exchange would liquidate: a loss of the whole margin
/// is a move of one part in `leverage`.
fn stop_protects(case: &Case<'_>, direction: Direction, price: Price) -> Result<(), Outcome> {
    let distance = case.stop_distance;
    let no_stop = |why: &str| refused(Rule::Stop, format!("a stop {distance} from the entry {why}"));
    if distance.share() * Decimal::from(case.sizing.leverage) >= Decimal::ONE {
        let leverage = case.sizing.leverage;
        return Err(no_stop(&format!("lies beyond liquidation at {leverage}x; lower stop_loss or leverage")));
    }
    let exact = distance.stop_from(price, direction).ok_or_else(|| no_stop("is no price"))?;
    let toward = match direction {
        Direction::Long => Toward::Higher,
        Direction::Short => Toward::Lower,
    };
    let trigger = case.rules.and_then(|rules| rules.round_price(exact, toward).ok());
    let beside = match (trigger, direction) {
        (Some(trigger), Direction::Long) => trigger < price,
        (Some(trigger), Direction::Short) => trigger > price,
        (None, _) => false,
    };
    if beside { Ok(()) } else { Err(no_stop("is not apart from it on the exchange's price grid")) }
}

fn sized(case: &Case<'_>, price: Price) -> Result<(Quantity, Decimal), Outcome> {
    let no_size = |detail: String| refused(Rule::Sizing, detail);
    let rules = case.rules.ok_or_else(|| no_size("the exchange does not list this coin".to_owned()))?;
    let size = size(&SizingInput { price, ..case.sizing }).map_err(no_size)?;
    let quantity = rules.round_quantity_down(size.quantity);
    rules.check_opening(quantity, price).map_err(|violation| no_size(violation.to_string()))?;
    Ok((quantity, size.margin))
}

fn refused(rule: Rule, detail: String) -> Outcome {
    Outcome { kind: OutcomeKind::Refused, rule: Some(rule), detail, orders: Vec::new() }
}

#[cfg(test)]
mod tests;
