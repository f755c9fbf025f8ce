//! Whether the stop of a position is where it should be, by the terms or by an operator's word, and what is done when it
//! is not.

use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

use super::AccountDesk;
use super::bridge::Unlaid;
use super::journal::{Cause, Unjournaled, in_time};
use super::protect::Protection;
use super::reading::covers;
use super::watch::{Finding, left_behind};
use crate::domain::{
    ClientOrderId, Direction, OrderPurpose, OrderState, Position, Price, Severity, Symbol, Timestamp,
};
use crate::exchange::{AlgoOrder, ExchangePosition};
use crate::store::{Origin, StoredOrder};
use rust_decimal::Decimal;

/// How often the guardian replaced, or tried to replace, a stop that protects one position.
#[derive(Debug, Default)]
pub(super) struct Replaced {
    /// Another entry is another position, or one that was changed: its stop belongs elsewhere.
    of: Option<(Direction, Price)>,
    /// When, and whether another stop came to rest.
    tries: Vec<(Instant, bool)>,
}

impl Replaced {
    fn allow(&mut self, position: &ExchangePosition) -> bool {
        let of = Some((position.direction, position.entry));
        if self.of != of {
            *self = Self { of, tries: Vec::new() };
        }
        self.tries.retain(|(at, _)| at.elapsed() < REPLACED_WITHIN);
        let done = self.tries.iter().filter(|(_, is_done)| *is_done).count();
        done < MOST_REPLACED && self.tries.len() < MOST_TRIED
    }

    fn note(&mut self, is_done: bool) {
        self.tries.push((Instant::now(), is_done));
    }
}

#[cfg(test)]
mod tests;

/// So often the guardian replaces a stop that protects, for one and the same position and within [`REPLACED_WITHIN`].
const MOST_REPLACED: usize = 4;
/// So often it tries to, when the exchange does not let it.
const MOST_TRIED: usize = 40;
/// After so long the earlier times do not count any more.
const REPLACED_WITHIN: Duration = Duration::from_hours(1);
/// A stop may lie this share of its configured distance away from where it should be.
const PLACE_TOLERANCE: Decimal = Decimal::from_parts(2, 0, 0, false, 1);

impl AccountDesk {
    /// Puts the stop of a position where an operator wants it.
    /// It stays where it is when that position points another way than the one the operator looked at: it is another one.
    pub async fn move_stop(
        &self,
        cause: &Cause,
        (symbol, direction): (&Symbol, Direction),
        trigger: Price,
    ) -> Result<String, String> {
        let _coin = self.hold_coin(symbol).await;
        let _under_way = self.under_way(symbol, false);
        if self.is_dry() {
            return Err("dry-run is on: no order is sent".to_owned());
        }
        let (position, stops) = self.position_and_stops(symbol).await?;
        let position = position.ok_or_else(|| format!("{} has no position in {symbol}", self.name()))?;
        if position.direction != direction {
            return Err(format!("{}; its stop was not moved", turned_around(direction, position.direction)));
        }
        self.check_stop_price(&position, trigger)?;
        let before = stops.iter().filter(|stop| covers(stop, &position)).find_map(|stop| stop.trigger);
        self.replace_stop(cause, &position, &stops, trigger).await.map_err(|unlaid| unlaid.reason)?;
        let from = before.map_or_else(|| "without a stop".to_owned(), |before| format!("from {before}"));
        Ok(format!(
            "the stop of {} {} moved {from} to {trigger}",
            position.direction.as_str(),
            position.quantity
        ))
    }

    /// Whether a stop may rest at this price: on the exchange's grid, not beyond the mark, and before liquidation.
    fn check_stop_price(&self, position: &ExchangePosition, trigger: Price) -> Result<(), String> {
        let symbol = &position.symbol;
        let rules =
            self.shared.rules_of_stop(symbol).ok_or("the exchange's rules for this coin are not known")?;
        rules.check_trigger(trigger).map_err(|violation| violation.to_string())?;
        let long = position.direction == Direction::Long;
        let (side, mark) = (if long { "below" } else { "above" }, position.mark);
        if (long && trigger >= mark) || (!long && trigger <= mark) {
            return Err(format!(
                "a {}'s stop must lie {side} the mark price {mark}",
                position.direction.as_str()
            ));
        }
        match position.liquidation {
            Some(liquidation) if (long && trigger <= liquidation) || (!long && trigger >= liquidation) => {
                Err(format!("the position would be liquidated at {liquidation}, before a stop at {trigger}"))
            }
            _ => Ok(()),
        }
    }

    async fn position_and_stops(
        &self,
        symbol: &Symbol,
    ) -> Result<(Option<ExchangePosition>, Vec<AlgoOrder>), String> {
        let read = tokio::try_join!(self.client.held(), self.client.open_algo_orders(Some(symbol)));
        let (held, stops) = read.map_err(|error| error.to_string())?;
        let position = held.of(symbol)?.cloned();
        Ok((position, stops.into_iter().filter(|stop| &stop.symbol == symbol).collect()))
    }

    /// Where an operator last wanted the stop of the position that is open now. The price may have passed it since: then
    /// he wanted to be out by now.
    pub(super) async fn moved_trigger(&self, position: &ExchangePosition) -> Option<Price> {
        match self.word_on(position).await {
            Ok(word) => word,
            Err(error) => {
                let symbol = &position.symbol;
                tracing::error!(account = %self.name(), %symbol, %error, "the journal of a coin could not be read");
                None
            }
        }
    }

    /// What an operator last said about the stop of the position that is open now, wherever the price is by now.
    async fn word_on(&self, position: &ExchangePosition) -> Result<Option<Price>, Unjournaled> {
        let (store, symbol) = (&self.shared.store, &position.symbol);
        in_time(async {
            // No fill of ours says when it began: nobody knows of which position an operator spoke.
            let Some(began) = store.present_began(self.name(), symbol).await? else { return Ok(None) };
            let orders = store.orders_since(self.name(), symbol, began).await?;
            Ok(operators_word(&orders, position, began))
        })
        .await
    }

    /// Whether a resting stop is as it should be: triggered by the mark price and nothing else, and within a fifth of the
    /// configured distance, or where an operator put it, whoever placed it there.
    async fn is_well_placed(&self, stop: &AlgoOrder, position: &ExchangePosition) -> bool {
        let Some(trigger) = stop.trigger else { return false };
        if !stop.is_by_mark() {
            return false;
        }
        if is_near(position, trigger, self.terms.stop_distance.share()) {
            return true;
        }
        let looked = in_time(async {
            let Some(id) = &stop.client_order_id else { return Ok(None) };
            self.shared.store.order(id).await
        })
        .await;
        let is_said = match (looked, self.word_on(position).await) {
            (Ok(order), Ok(word)) => {
                let is_his =
                    order.is_some_and(|order| matches!(order.intent.origin, Origin::Operator { .. }));
                Ok(is_his || word == Some(trigger))
            }
            (Err(error), _) | (_, Err(error)) => Err(error),
        };
        is_said.unwrap_or_else(|error| {
            tracing::error!(account = %self.name(), symbol = %position.symbol, %error, "a stop could not be looked up in the journal");
            // Unknown is no reason to touch a stop that protects.
            true
        })
    }

    /// The positions whose stops have to be looked at closely: not exactly one, or one that is not as it should be.
    pub async fn odd_stops(&self, positions: &[Position], stops: &[AlgoOrder]) -> Vec<Symbol> {
        let odd = positions.iter().map(|position| async move {
            let mine: Vec<&AlgoOrder> =
                stops.iter().filter(|stop| stop.symbol == position.symbol && is_stop(stop)).collect();
            let seen = as_seen(position);
            let mut names = mine.iter().filter_map(|stop| stop.client_order_id.as_ref());
            if names.any(|id| self.is_of_another_desk(id)) {
                return None;
            }
            let is_fine = match mine.as_slice() {
                // Without any, it is the naked repair's matter.
                [] => true,
                [only] => {
                    only.close_position && covers(only, &seen) && self.is_well_placed(only, &seen).await
                }
                _ => false,
            };
            (!is_fine).then(|| position.symbol.clone())
        });
        futures_util::future::join_all(odd).await.into_iter().flatten().collect()
    }

    /// Looks again, with the coin in hand, and leaves exactly one stop over the whole position at its place.
    pub async fn repair_stop(&self, symbol: &Symbol) -> Finding {
        let Ok(_coin) = self.wait_for_coin(symbol).await else { return Finding::Busy };
        let _under_way = self.under_way(symbol, false);
        let (position, stops) = match self.position_and_stops(symbol).await {
            Ok((Some(position), stops)) => (position, stops),
            Ok((None, _)) => return Finding::Nothing,
            Err(error) => return Finding::Unrepaired(error),
        };
        let resting: Vec<&AlgoOrder> = stops.iter().filter(|stop| is_stop(stop)).collect();
        let mut good = None;
        for stop in &resting {
            let is_whole = stop.close_position && covers(stop, &position);
            if is_whole && self.is_well_placed(stop, &position).await {
                good = Some(*stop);
                break;
            }
        }
        if good.is_some() && resting.len() == 1 {
            return Finding::Nothing;
        }
        if self.is_dry() {
            return Finding::Unrepaired("dry-run sends no order".to_owned());
        }
        let seen = resting.iter().map(|stop| described(stop)).collect::<Vec<_>>().join(", ");
        if let Some(good) = good {
            let others: Vec<&AlgoOrder> =
                resting.iter().copied().filter(|stop| stop.algo_id != good.algo_id).collect();
            return match self.remove_each(&others).await.as_slice() {
                [] => Finding::Repaired(format!("several stops rested ({seen}); {} stays", described(good))),
                _ => Finding::Unrepaired(format!("several stops rest ({seen}) and cannot be removed")),
            };
        }
        let wanted = match self.moved_trigger(&position).await {
            Some(moved) => Some(moved),
            None => self.trigger_for(symbol, position.direction, position.entry),
        };
        let Some(wanted) = wanted else {
            return Finding::Unrepaired("no stop price can be computed".to_owned());
        };
        if !loses(&position, wanted) && !self.opened_by_us(&position).await {
            return Finding::Left(format!(
                "its stop is not as it should be ({seen}); {}",
                left_behind(wanted)
            ));
        }
        // What protects is not taken away again and again, whatever keeps it from being as it should be.
        let protects = resting.iter().any(|stop| covers(stop, &position));
        if protects && !self.may_replace(&position) {
            return Finding::Unrepaired(format!(
                "its stop was replaced again and again and is still not as it should be ({seen}, wanted at {wanted}); it is left so for an hour: look who changes it"
            ));
        }
        let cause = self.guardian_cause("stop");
        let replaced = self.replace_stop(&cause, &position, &stops, wanted).await;
        if protects {
            self.note_replaced(&position, replaced.is_ok());
        }
        match replaced {
            Ok(_) => Finding::Repaired(format!(
                "its stop was not as it should be ({seen}); one rests at {wanted} now"
            )),
            Err(unlaid) if unlaid.would_trigger && !self.opened_by_us(&position).await => {
                Finding::Left(format!("its stop is not as it should be ({seen}); {}", left_behind(wanted)))
            }
            Err(unlaid) if unlaid.would_trigger => {
                // What was to be risked at most is lost already; waiting for the odd stop would only lose more.
                let why = format!(
                    "its stop is not as it should be ({seen}), and the price is already beyond {wanted}"
                );
                self.give_up(&cause, &position, &why).await
            }
            Err(Unlaid { reason, .. }) => {
                Finding::Unrepaired(format!("its stop is not as it should be ({seen}): {reason}"))
            }
        }
    }

    /// Whether the guardian may replace a stop that protects once more.
    fn may_replace(&self, position: &ExchangePosition) -> bool {
        let mut tries = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        tries.entry(position.symbol.clone()).or_default().allow(position)
    }

    fn note_replaced(&self, position: &ExchangePosition, is_done: bool) {
        let mut tries = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        tries.entry(position.symbol.clone()).or_default().note(is_done);
    }

    /// Closes a position at market that cannot have the stop it should have. The caller holds the coin.
    async fn give_up(&self, cause: &Cause, position: &ExchangePosition, why: &str) -> Finding {
        let symbol = &position.symbol;
        self.alarm(Severity::Critical, format!("{} {symbol}: {why}; closing at market", self.name()));
        match self.close_at_market(cause, symbol, position.direction, why).await {
            Protection::Resting { .. } | Protection::Flat => Finding::Nothing,
            Protection::Emptied { reason, .. } => {
                self.book_fills(symbol).await;
                Finding::Repaired(format!("{reason}; closed at market"))
            }
            Protection::Naked { reason } => Finding::Unrepaired(reason),
        }
    }

    /// Tells what was done about stops that were not as they should be.
    pub fn tell_stop_finding(&self, symbol: &Symbol, severity: Severity, what: &str) {
        self.alarm(severity, format!("{} {symbol}: {what}", self.name()));
    }
}

/// A market stop that lives, whichever way it points and whoever placed it.
pub(super) fn is_stop(stop: &AlgoOrder) -> bool {
    stop.kind.raw() == "STOP_MARKET" && stop.status.is_live()
}

fn described(stop: &AlgoOrder) -> String {
    let price = stop.trigger.map_or_else(|| "without a price".to_owned(), |trigger| format!("at {trigger}"));
    let size = stop
        .quantity
        .filter(|_| !stop.close_position)
        .map_or_else(|| "all".to_owned(), |size| size.to_string());
    let id = stop.client_order_id.as_ref().map_or("unnamed", ClientOrderId::as_str);
    format!("{} {size} {price} ({id})", stop.side.as_str())
}

/// Whether a trigger lies within a fifth of the configured distance from where the configuration puts it.
fn is_near(position: &ExchangePosition, trigger: Price, distance: Decimal) -> bool {
    let move_to = trigger.value() / position.entry.value() - Decimal::ONE;
    let away = if position.direction == Direction::Long { -move_to } else { move_to };
    (away - distance).abs() <= distance * PLACE_TOLERANCE
}

/// The operator's last word about this position: said since it began, about a stop that closes it.
fn operators_word(
    newest_first: &[StoredOrder],
    position: &ExchangePosition,
    began: Timestamp,
) -> Option<Price> {
    for order in newest_first.iter().take_while(|order| order.intent.market_time >= began) {
        let is_moved = matches!(order.intent.origin, Origin::Operator { .. });
        match (order.intent.purpose, order.state) {
            // Sent for nothing: it says nothing about the position.
            (_, OrderState::Rejected | OrderState::NotPlaced) => {}
            // The position that is open now began later than this.
            (OrderPurpose::Open | OrderPurpose::Close | OrderPurpose::Emergency, _)
            | (OrderPurpose::Stop, OrderState::Filled) => return None,
            (OrderPurpose::Stop, _) if is_moved => {
                let closes = order.intent.side == position.direction.closing_side();
                return order.intent.trigger.filter(|_| closes);
            }
            (OrderPurpose::Stop, _) => {}
        }
    }
    None
}

/// Whether a price lies where the position would have lost.
pub(super) fn loses(position: &ExchangePosition, trigger: Price) -> bool {
    match position.direction {
        Direction::Long => trigger < position.mark,
        Direction::Short => trigger > position.mark,
    }
}

/// What is said to an operator whose position gave way to one that points the other way.
pub(super) fn turned_around(looked_at: Direction, now: Direction) -> String {
    format!("it is a {} by now, not the {} that was looked at", now.as_str(), looked_at.as_str())
}

fn as_seen(position: &Position) -> ExchangePosition {
    ExchangePosition {
        symbol: position.symbol.clone(),
        direction: position.direction,
        quantity: position.quantity,
        entry: position.entry,
        mark: position.mark,
        unrealised: position.unrealised,
        isolated_margin: position.margin,
        liquidation: position.liquidation,
        updated_at: None,
    }
}
