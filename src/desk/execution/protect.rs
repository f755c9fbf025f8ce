//! The stop behind a position. It follows the position seen at the exchange, never a belief about an order.

use std::time::Duration;

use chrono::TimeDelta;
use rust_decimal::RoundingStrategy;
use tokio::time::Instant;

use super::AccountDesk;
use super::close::MOST_PARTS;
use super::flat::unclear;
use super::journal::{Cause, Draft, Journaled, Learned, Unjournaled, in_time};
use crate::domain::{
    ClientOrderId, Direction, Event, OrderPurpose, OrderState, Price, Quantity, Severity, Symbol, Timestamp,
};
use crate::exchange::{
    AlgoOrder, ExchangePosition, MarketOrder, Outcome, StopOrder, StopSize, Toward, codes,
};
use crate::store::StoreError;

/// How protecting a position ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protection {
    /// A stop was seen resting at the exchange.
    Resting {
        /// Its trigger.
        trigger: Price,
        /// Its name, when it was placed now; `None` when one rested already.
        order: Option<ClientOrderId>,
    },
    /// There was no position any more.
    Flat,
    /// No stop could be placed, so the position was closed at market.
    Emptied {
        /// Why no stop could be placed.
        reason: String,
        /// The closing order.
        order: ClientOrderId,
    },
    /// Neither stop nor close succeeded yet.
    Naked {
        /// Why.
        reason: String,
    },
}

/// A position must not be without a stop longer than this; then it is closed.
const NAKED_LIMIT: Duration = Duration::from_secs(5);
/// Pauses before the tries to place a stop.
const STOP_PAUSES: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(300),
    Duration::from_millis(700),
    Duration::from_secs(1),
    Duration::from_millis(1500),
];
/// Time one try to place a stop may take: a lost answer must leave time for another.
const STOP_TIME: Duration = Duration::from_millis(1500);
/// Pauses before the looks for a stop that may rest.
pub(super) const SIGHTINGS: [Duration; 3] =
    [Duration::ZERO, Duration::from_millis(100), Duration::from_millis(300)];
/// Time one look may take.
const LOOK_TIME: Duration = Duration::from_millis(700);
/// How often an emergency close is tried in one go; the guardian goes on after that.
const EMERGENCY_TRIES: u32 = 5;
/// Time a look at the position may take in between.
const EMERGENCY_LOOK: Duration = Duration::from_millis(1500);
/// Pause between emergency closes.
const EMERGENCY_PAUSE: Duration = Duration::from_secs(2);

/// An opening's fill is told with a time that lies at most so far before its stop.
const FILLED_WITHIN: TimeDelta = TimeDelta::minutes(1);
/// Significant digits of a stop's price where the grid of prices is not known.
const COARSE_DIGITS: u32 = 4;

/// Why no stop rests behind a position.
pub(super) struct Unprotected {
    pub(super) reason: String,
    /// The price is already beyond where the stop belongs.
    pub(super) is_beyond: bool,
}

/// A close that the exchange took.
pub(super) struct SentClose {
    /// Its name.
    pub(super) id: ClientOrderId,
    /// What was executed of it, if told.
    pub(super) executed: Option<Quantity>,
    /// Whether it was for a part of the position only: the exchange takes no larger one.
    pub(super) is_part: bool,
}

/// What became of one try to place a stop.
enum Placed {
    /// It rests, or may rest: the list of resting stops decides.
    Perhaps(String),
    /// The price is already beyond the trigger.
    Breached,
    PositionGone,
    /// Surely not placed.
    NotYet(String),
}

impl AccountDesk {
    /// Puts a stop behind a position and sees it resting, or closes the position. The caller holds the coin.
    pub(super) async fn protect(
        &self,
        cause: &Cause,
        (symbol, direction): (&Symbol, Direction),
        entry: Price,
        naked_since: Instant,
    ) -> Protection {
        let Some(trigger) = self.trigger_for(symbol, direction, entry) else {
            return self.emergency(cause, symbol, direction, "no stop price can be computed").await;
        };
        self.protect_at(cause, (symbol, direction), trigger, naked_since).await
    }

    /// Like [`Self::protect`], at a price that is known.
    pub(super) async fn protect_at(
        &self,
        cause: &Cause,
        (symbol, direction): (&Symbol, Direction),
        trigger: Price,
        naked_since: Instant,
    ) -> Protection {
        match self.try_protect(cause, (symbol, direction), trigger, naked_since).await {
            Ok(protection) => protection,
            Err(Unprotected { reason, .. }) => self.emergency(cause, symbol, direction, &reason).await,
        }
    }

    /// Like [`Self::protect_at`], but closes nothing.
    pub(super) async fn try_protect(
        &self,
        cause: &Cause,
        (symbol, direction): (&Symbol, Direction),
        trigger: Price,
        naked_since: Instant,
    ) -> Result<Protection, Unprotected> {
        let (side, began) = (direction.closing_side(), self.now());
        // A stop protects; it goes out even when the journal cannot take it, or not in time. The alarm says so.
        let purpose = OrderPurpose::Stop;
        let draft =
            Draft { cause, symbol, purpose, side, quantity: None, trigger: Some(trigger), attempt: 1 };
        let journaled = self.journal_or_alarm(&draft).await;
        let id = journaled.id.clone();
        let deadline = naked_since + NAKED_LIMIT;
        let mut reason = String::new();
        let (mut in_doubt, mut seen_flat, mut is_beyond) = (false, false, false);
        for pause in STOP_PAUSES {
            tokio::time::sleep(pause).await;
            if Instant::now() >= deadline {
                break;
            }
            match self.try_stop(symbol, direction, trigger, &id).await {
                Placed::Perhaps(why) => {
                    in_doubt = true;
                    if let Some(resting) = self.sighted(symbol, direction).await {
                        return Ok(self.resting(&journaled, &id, &resting).await);
                    }
                    reason = why;
                }
                Placed::PositionGone => {
                    // Right after a fill the exchange may not see the position yet: once is not enough, and our fills
                    // have to say the same.
                    "the exchange sees no position to protect".clone_into(&mut reason);
                    if seen_flat && matches!(self.position_in_time(symbol).await, Ok(None)) {
                        let Some(doubt) = self.doubt_about_fill(cause, symbol, began).await else {
                            self.not_resting(&journaled, in_doubt, "no position to protect").await;
                            return Ok(Protection::Flat);
                        };
                        reason = unclear(symbol, &doubt);
                    }
                    seen_flat = true;
                }
                Placed::Breached => {
                    "the price is already beyond the stop".clone_into(&mut reason);
                    is_beyond = true;
                    break;
                }
                Placed::NotYet(why) => reason = why,
            }
        }
        self.not_resting(&journaled, in_doubt, &reason).await;
        Err(Unprotected { reason, is_beyond })
    }

    /// A stop does not rest. Where one of its tries may have arrived, it may have fired: that is asked about later.
    async fn not_resting(&self, stop: &Journaled, in_doubt: bool, why: &str) {
        let state = if in_doubt { OrderState::Unknown } else { OrderState::Rejected };
        self.stop_learned(stop, state, None, Some(why)).await;
    }

    /// Why a position that is read as gone may be there all the same. Right after an opening its own fill has to be among
    /// those that add up to nothing.
    async fn doubt_about_fill(&self, cause: &Cause, symbol: &Symbol, began: Timestamp) -> Option<String> {
        if let Some(doubt) = self.doubt_in_time(symbol).await {
            return Some(doubt);
        }
        let Cause::Cycle(_) = cause else { return None };
        let since = began.checked_sub_signed(FILLED_WITHIN).unwrap_or(began);
        match in_time(self.shared.store.fills_since(self.name(), since)).await {
            Ok(fills) if fills.iter().any(|fill| &fill.symbol == symbol) => None,
            Ok(_) => Some("the fill of its opening is not told yet".to_owned()),
            Err(error) => Some(error.to_string()),
        }
    }

    /// A stop was seen resting: ours, or another one that protects as well.
    async fn resting(
        &self,
        order: &Journaled,
        id: &ClientOrderId,
        resting: &(AlgoOrder, Price),
    ) -> Protection {
        let (stop, trigger) = resting;
        if stop.client_order_id.as_ref() == Some(id) {
            self.stop_learned(order, OrderState::Accepted, Some(stop.algo_id), None).await;
            return Protection::Resting { trigger: *trigger, order: Some(id.clone()) };
        }
        self.stop_learned(order, OrderState::NotPlaced, None, Some("another stop rests already")).await;
        Protection::Resting { trigger: *trigger, order: None }
    }

    /// The trigger this account's terms put behind an entry, on the price grid, rounded towards the entry. Where nobody
    /// knows the grid, to so few digits that it is on the grid of every usual contract.
    pub(super) fn trigger_for(&self, symbol: &Symbol, direction: Direction, entry: Price) -> Option<Price> {
        let exact = self.terms.stop_distance.stop_from(entry, direction)?;
        let toward = match direction {
            Direction::Long => Toward::Higher,
            Direction::Short => Toward::Lower,
        };
        match self.shared.rules_of_stop(symbol) {
            Some(rules) => rules.round_price(exact, toward).ok(),
            None => coarsely(exact, toward),
        }
    }

    async fn try_stop(
        &self,
        symbol: &Symbol,
        direction: Direction,
        trigger: Price,
        id: &ClientOrderId,
    ) -> Placed {
        let stop = StopOrder {
            symbol: symbol.clone(),
            side: direction.closing_side(),
            trigger,
            size: StopSize::WholePosition,
            client_order_id: id.clone(),
        };
        match tokio::time::timeout(STOP_TIME, self.client.place_stop(&stop)).await {
            Ok(Outcome::Accepted(_)) => Placed::Perhaps("acknowledged, but not seen resting".to_owned()),
            Ok(Outcome::Rejected(rejection)) => match rejection.code {
                codes::WOULD_TRIGGER => Placed::Breached,
                codes::STOP_EXISTS | codes::DUPLICATE_ID => {
                    Placed::Perhaps("the exchange says a stop rests already, but none is seen".to_owned())
                }
                codes::FLAT => Placed::PositionGone,
                _ => Placed::NotYet(rejection.to_string()),
            },
            Ok(Outcome::NotSent(reason)) => Placed::NotYet(reason),
            // A second stop under the same name and for the same position is refused, so asking again is harmless.
            Ok(Outcome::Unknown(reason)) => Placed::Perhaps(reason),
            Err(_elapsed) => Placed::Perhaps("no answer to the stop in time".to_owned()),
        }
    }

    /// A stop over the whole position that is seen resting for this direction, with its trigger.
    async fn sighted(&self, symbol: &Symbol, direction: Direction) -> Option<(AlgoOrder, Price)> {
        for pause in SIGHTINGS {
            tokio::time::sleep(pause).await;
            let looked = tokio::time::timeout(LOOK_TIME, self.client.open_algo_orders(Some(symbol))).await;
            let Ok(Ok(stops)) = looked else { continue };
            let resting = stops
                .into_iter()
                .find(|stop| &stop.symbol == symbol && stop.protects(direction) && stop.close_position);
            if let Some(stop) = resting {
                return stop.trigger.map(|trigger| (stop, trigger));
            }
        }
        None
    }

    /// Closes at market what cannot be protected, unless a stop whose answer was lost has come to rest since.
    pub(super) async fn emergency(
        &self,
        cause: &Cause,
        symbol: &Symbol,
        direction: Direction,
        reason: &str,
    ) -> Protection {
        self.alarm(
            Severity::Critical,
            format!("{} {symbol}: no stop ({reason}); closing at market", self.name()),
        );
        if let Some((stop, trigger)) = self.sighted(symbol, direction).await {
            return Protection::Resting { trigger, order: stop.client_order_id };
        }
        self.close_at_market(cause, symbol, direction, reason).await
    }

    /// Closes at market, again and again until it is surely flat or the guardian takes over. The caller holds the coin.
    pub(super) async fn close_at_market(
        &self,
        cause: &Cause,
        symbol: &Symbol,
        direction: Direction,
        reason: &str,
    ) -> Protection {
        let mut last = reason.to_owned();
        let mut sent: Option<ClientOrderId> = None;
        let mut is_explained = false;
        let (mut attempt, mut tries) = (0, 0);
        while tries <= EMERGENCY_TRIES {
            (attempt, tries) = (attempt + 1, tries + 1);
            let position = match self.position_in_time(symbol).await {
                Ok(Some(position)) if position.direction == direction => position,
                Ok(seen) => {
                    // A position the other way is not what was to be closed; "none" has to be explained.
                    let is_gone = seen.is_some() || is_explained;
                    let doubt = if is_gone { None } else { self.doubt_in_time(symbol).await };
                    let Some(doubt) = doubt else {
                        return match sent {
                            Some(order) => Protection::Emptied { reason: reason.to_owned(), order },
                            None => Protection::Flat,
                        };
                    };
                    last = unclear(symbol, &doubt);
                    tokio::time::sleep(EMERGENCY_PAUSE).await;
                    continue;
                }
                Err(error) => {
                    last = error;
                    tokio::time::sleep(EMERGENCY_PAUSE).await;
                    continue;
                }
            };
            if tries > EMERGENCY_TRIES {
                break;
            }
            match self.send_close(cause, &position, OrderPurpose::Emergency, attempt).await {
                Ok(order) => {
                    is_explained = order.executed.is_some_and(|executed| executed >= position.quantity);
                    if order.is_part && attempt < MOST_PARTS {
                        // What one order may not take the next ones do; a part is no try that failed.
                        tries -= 1;
                    }
                    sent = Some(order.id);
                }
                Err(error) => {
                    last = error;
                    tokio::time::sleep(EMERGENCY_PAUSE).await;
                }
            }
        }
        Protection::Naked { reason: last }
    }

    /// A lost answer must not hold up an emergency: the question is asked again.
    async fn position_in_time(&self, symbol: &Symbol) -> Result<Option<ExchangePosition>, String> {
        let looked = tokio::time::timeout(EMERGENCY_LOOK, self.position_of(symbol)).await;
        looked.unwrap_or_else(|_elapsed| Err("no answer about the position in time".to_owned()))
    }

    async fn doubt_in_time(&self, symbol: &Symbol) -> Option<String> {
        let looked = tokio::time::timeout(2 * EMERGENCY_LOOK, self.doubt_that_flat(symbol)).await;
        looked.unwrap_or_else(|_elapsed| Some("its fills and stops could not be read in time".to_owned()))
    }

    /// Sends one reduce-only market order over the whole position, or as much of it as the exchange takes at once, and
    /// says how it was named and what was executed.
    pub(super) async fn send_close(
        &self,
        cause: &Cause,
        position: &ExchangePosition,
        purpose: OrderPurpose,
        attempt: u32,
    ) -> Result<SentClose, String> {
        let side = position.direction.closing_side();
        let size = self.closable_at_once(position);
        let (symbol, quantity) = (&position.symbol, Some(size));
        let draft = Draft { cause, symbol, purpose, side, quantity, trigger: None, attempt };
        let order = match self.journal_in_time(&draft).await {
            Ok(order) => order,
            Err(Unjournaled::Store(error @ StoreError::DuplicateOrder(_))) => return Err(error.to_string()),
            // It only reduces, and what it closes may be lost otherwise: it goes out without a journal entry.
            Err(error) => self.without_entry(&draft, &error),
        };
        let request = MarketOrder {
            symbol: position.symbol.clone(),
            side,
            quantity: size,
            reduce_only: true,
            client_order_id: order.id.clone(),
        };
        match self.client.place_market(&request).await {
            Outcome::Accepted(ack) => {
                let told =
                    tokio::time::timeout(STOP_TIME, self.client.order(&position.symbol, &order.id)).await;
                let report = told.ok().and_then(Result::ok).flatten();
                let status = report.as_ref().map(|report| report.status.clone()).or(ack.status);
                let executed = report.as_ref().and_then(|report| report.executed).or(ack.executed);
                let state = match (status, executed.is_some_and(|executed| !executed.is_zero())) {
                    (Some(status), true) if status.is_final() => OrderState::Filled,
                    (Some(status), false) if status.is_final() => OrderState::Rejected,
                    // The guardian asks again what became of it.
                    _ => OrderState::Accepted,
                };
                self.learn(
                    &order,
                    state,
                    Learned {
                        exchange_id: Some(ack.order_id.to_string()),
                        price: report.and_then(|report| report.average_price),
                        executed,
                        error: None,
                    },
                )
                .await;
                Ok(SentClose { id: order.id, executed, is_part: size < position.quantity })
            }
            Outcome::Rejected(rejection) => {
                let detail = rejection.to_string();
                self.learn_failure(&order, OrderState::Rejected, &detail).await;
                Err(detail)
            }
            Outcome::NotSent(reason) => {
                self.learn_failure(&order, OrderState::NotPlaced, &reason).await;
                Err(reason)
            }
            Outcome::Unknown(reason) => {
                // Reduce-only: the position that is read next tells whether it was executed.
                self.learn_failure(&order, OrderState::Unknown, &reason).await;
                Err(reason)
            }
        }
    }

    /// As much of a position as the exchange takes in one market order. Without rules, or where they allow nothing of it,
    /// the whole is tried: only the exchange knows.
    fn closable_at_once(&self, position: &ExchangePosition) -> Quantity {
        let rules = self.shared.rules_of_stop(&position.symbol);
        let fitting = rules.map(|rules| rules.round_quantity_down(position.quantity));
        fitting.filter(|fitting| !fitting.is_zero()).unwrap_or(position.quantity)
    }

    /// Tells the operator of something, and stores it.
    pub fn alarm(&self, severity: Severity, text: String) {
        self.shared.bulletin.record(None, Event::Alarm { severity, text });
    }

    async fn stop_learned(
        &self,
        order: &Journaled,
        state: OrderState,
        algo_id: Option<i64>,
        error: Option<&str>,
    ) {
        // No price: a stop has none before it is executed, and its trigger is in the journal.
        let learned = Learned {
            exchange_id: algo_id.map(|id| id.to_string()),
            error: error.map(str::to_owned),
            ..Learned::default()
        };
        self.learn(order, state, learned).await;
    }
}

/// A price with few digits on the given side of it.
fn coarsely(price: Price, toward: Toward) -> Option<Price> {
    let strategy = match toward {
        Toward::Lower => RoundingStrategy::ToZero,
        Toward::Higher => RoundingStrategy::AwayFromZero,
    };
    Price::new(price.value().round_sf_with_strategy(COARSE_DIGITS, strategy)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_without_a_known_grid_keeps_few_digits_on_the_side_of_the_entry() {
        for (exact, lower, higher) in [
            ("59842.6234", "59840", "59850"),
            ("0.351249", "0.3512", "0.3513"),
            ("0.000012345", "0.00001234", "0.00001235"),
            ("1.5", "1.5", "1.5"),
            ("123456", "123400", "123500"),
        ] {
            for (toward, expected) in [(Toward::Lower, lower), (Toward::Higher, higher)] {
                let coarse = coarsely(exact.parse().unwrap(), toward).unwrap();
                assert_eq!(coarse, expected.parse().unwrap(), "{exact} {toward:?}");
            }
        }
    }
}
