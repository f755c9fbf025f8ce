//! The stop behind a position. It follows the position seen at the exchange, never a belief about an order.

use std::time::Duration;

use chrono::TimeDelta;
use rust_decimal::RoundingStrategy;
use tokio::time::Instant;

use super::AccountDesk;
use super::flat::unclear;
use super::journal::{Cause, Draft, Journaled, Learned, in_time};
use crate::domain::{
    ClientOrderId, Direction, Event, OrderPurpose, OrderState, Price, Severity, Symbol, Timestamp,
};
use crate::exchange::{AlgoOrder, Outcome, StopOrder, StopSize, Toward, codes};

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

/// Pauses before the tries to place a stop.
const STOP_PAUSES: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(300),
    Duration::from_millis(700),
    Duration::from_secs(1),
    Duration::from_millis(1500),
];
/// Time one try to place a stop may take: answers that are lost several times must leave time for another try.
const STOP_TIME: Duration = Duration::from_secs(1);
/// No try begins later than this after the fill: what is left of the limit is for the close.
const LAST_TRY: Duration = Duration::from_millis(4200);
/// No try is waited for longer than this after the fill.
const LAST_ANSWER: Duration = Duration::from_millis(4500);
/// Pauses before the looks for a stop that may rest.
pub(super) const SIGHTINGS: [Duration; 3] =
    [Duration::ZERO, Duration::from_millis(100), Duration::from_millis(300)];
/// One look, where the time for it was spent on waiting already.
pub(super) const ONE_SIGHTING: [Duration; 1] = [Duration::ZERO];
/// Time one look may take.
const LOOK_TIME: Duration = Duration::from_millis(700);

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

/// What became of one try to place a stop.
enum Placed {
    /// It rests, or may rest: the list of resting stops decides.
    Perhaps(String),
    /// Like [`Self::Perhaps`], after a wait that was long enough for it to be seen by now.
    Unanswered,
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
        let mut reason = String::new();
        let (mut in_doubt, mut seen_flat, mut is_beyond) = (false, false, false);
        let mut has_waited = false;
        for pause in STOP_PAUSES {
            if !std::mem::take(&mut has_waited) {
                tokio::time::sleep(pause).await;
            }
            if naked_since.elapsed() >= LAST_TRY {
                break;
            }
            let patience = STOP_TIME.min(LAST_ANSWER.saturating_sub(naked_since.elapsed()));
            match self.try_stop(symbol, direction, trigger, (&id, patience)).await {
                Placed::Perhaps(why) => {
                    in_doubt = true;
                    if let Some(resting) = self.sighted(symbol, direction, &SIGHTINGS).await {
                        return Ok(self.resting(&journaled, &id, &resting).await);
                    }
                    reason = why;
                }
                Placed::Unanswered => {
                    (in_doubt, has_waited) = (true, true);
                    if let Some(resting) = self.sighted(symbol, direction, &ONE_SIGHTING).await {
                        return Ok(self.resting(&journaled, &id, &resting).await);
                    }
                    "no answer to the stop in time".clone_into(&mut reason);
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
        (id, patience): (&ClientOrderId, Duration),
    ) -> Placed {
        let stop = StopOrder {
            symbol: symbol.clone(),
            side: direction.closing_side(),
            trigger,
            size: StopSize::WholePosition,
            client_order_id: id.clone(),
        };
        match tokio::time::timeout(patience, self.client.place_stop(&stop)).await {
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
            Err(_elapsed) => Placed::Unanswered,
        }
    }

    /// A stop over the whole position that is seen resting for this direction, with its trigger.
    pub(super) async fn sighted(
        &self,
        symbol: &Symbol,
        direction: Direction,
        looks: &[Duration],
    ) -> Option<(AlgoOrder, Price)> {
        for pause in looks {
            tokio::time::sleep(*pause).await;
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
