//! A position that no stop protects is closed at market, again and again until it is surely flat.

use std::sync::PoisonError;
use std::time::Duration;

use super::AccountDesk;
use super::close::MOST_PARTS;
use super::flat::unclear;
use super::journal::{Cause, Draft, Learned, Unjournaled};
use super::protect::{ONE_SIGHTING, Protection};
use crate::domain::{ClientOrderId, Direction, OrderPurpose, OrderState, Quantity, Severity, Symbol};
use crate::exchange::{ExchangePosition, MarketOrder, Outcome};
use crate::store::StoreError;

/// How often an emergency close is tried in one go; the guardian goes on after that.
const EMERGENCY_TRIES: u32 = 5;
/// Time a look at the position may take in between.
const EMERGENCY_LOOK: Duration = Duration::from_millis(1500);
/// Time the question may take what became of a close.
const REPORT_TIME: Duration = Duration::from_millis(1500);
/// Pause between emergency closes.
const EMERGENCY_PAUSE: Duration = Duration::from_secs(2);

/// A close that the exchange took.
pub(super) struct SentClose {
    /// Its name.
    pub(super) id: ClientOrderId,
    /// What was executed of it, if told.
    pub(super) executed: Option<Quantity>,
    /// Whether it was for a part of the position only: the exchange takes no larger one.
    pub(super) is_part: bool,
}

impl AccountDesk {
    /// Closes at market what cannot be protected, unless a stop whose answer was lost has come to rest since.
    pub(super) async fn emergency(
        &self,
        cause: &Cause,
        symbol: &Symbol,
        direction: Direction,
        reason: &str,
    ) -> Protection {
        // Told once, however often it is tried again until it ends.
        if self.emergencies.lock().unwrap_or_else(PoisonError::into_inner).insert(symbol.clone()) {
            let text = format!("{} {symbol}: no stop ({reason}); closing at market", self.name());
            self.alarm(Severity::Critical, text);
        }
        let ended = match self.sighted(symbol, direction, &ONE_SIGHTING).await {
            Some((stop, trigger)) => Protection::Resting { trigger, order: stop.client_order_id },
            None => self.close_at_market(cause, symbol, direction, reason).await,
        };
        if matches!(ended, Protection::Emptied { .. }) {
            let text = format!("{} {symbol}: closed at market, as it had no stop", self.name());
            self.alarm(Severity::Info, text);
        }
        if !matches!(ended, Protection::Naked { .. }) {
            self.emergencies.lock().unwrap_or_else(PoisonError::into_inner).remove(symbol);
        }
        ended
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
    pub(super) async fn position_in_time(&self, symbol: &Symbol) -> Result<Option<ExchangePosition>, String> {
        let looked = tokio::time::timeout(EMERGENCY_LOOK, self.position_of(symbol)).await;
        looked.unwrap_or_else(|_elapsed| Err("no answer about the position in time".to_owned()))
    }

    pub(super) async fn doubt_in_time(&self, symbol: &Symbol) -> Option<String> {
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
                    tokio::time::timeout(REPORT_TIME, self.client.order(&position.symbol, &order.id)).await;
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
}
