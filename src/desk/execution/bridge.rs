//! Another stop for a position: the new one rests before the old one goes.
//!
//! A stop over the whole position allows no second one of its kind (-4130), so the way leads over a bridge: a
//! reduce-only stop of the position's size at the new price, which may rest beside others. Once it is seen, the old
//! stop goes, the new whole one comes, and the bridge goes.

use rust_decimal::Decimal;

use super::AccountDesk;
use super::close::MOST_PARTS;
use super::journal::{Cause, Draft, Learned, in_time};
use super::protect::SIGHTINGS;
use super::restop::is_stop;
use crate::domain::{ClientOrderId, OrderPurpose, OrderState, Price, Quantity};
use crate::exchange::{AlgoOrder, ExchangePosition, Outcome, StopOrder, StopSize, SymbolRules, codes};

/// Why a stop was not laid.
pub(super) struct Unlaid {
    pub(super) reason: String,
    /// The price is already beyond the trigger.
    pub(super) would_trigger: bool,
}

impl From<String> for Unlaid {
    fn from(reason: String) -> Self {
        Self { reason, would_trigger: false }
    }
}

/// The reduce-only stops that rest while a whole one gives way to another.
struct Bridge {
    first: ClientOrderId,
    others: Vec<ClientOrderId>,
}

impl Bridge {
    fn parts(&self) -> impl Iterator<Item = &ClientOrderId> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The attempt by which the next stop of the same cause is named.
    fn next_attempt(&self) -> u32 {
        u32::try_from(self.parts().count() + 1).unwrap_or(u32::MAX)
    }
}

impl AccountDesk {
    /// Puts a stop at a price and removes every other one, without a moment in which none rests. The caller holds the
    /// coin. On an error what protected before still does.
    pub(super) async fn replace_stop(
        &self,
        cause: &Cause,
        position: &ExchangePosition,
        stops: &[AlgoOrder],
        trigger: Price,
    ) -> Result<ClientOrderId, Unlaid> {
        let old: Vec<&AlgoOrder> = stops.iter().filter(|stop| is_stop(stop)).collect();
        let side = position.direction.closing_side();
        if !old.iter().any(|stop| stop.close_position && stop.side == side) {
            let whole = self.lay_stop(cause, position, trigger, StopSize::WholePosition, 1).await?;
            self.remove_each(&old).await;
            return Ok(whole);
        }
        let bridge = self.lay_bridge(cause, position, trigger).await?;
        let left = self.remove_each(&old).await;
        if left.iter().any(|stop| stop.close_position && stop.side == side) {
            // The answer may be lost and the old stop gone: with the bridge beside it something rests in any case, and
            // the guardian's next look leaves one of them.
            let reason = "the old stop may still rest beside the new one; one of them stays".to_owned();
            return Err(reason.into());
        }
        match self.lay_stop(cause, position, trigger, StopSize::WholePosition, bridge.next_attempt()).await {
            Ok(whole) => {
                self.remove_bridge(&bridge).await;
                Ok(whole)
            }
            Err(Unlaid { reason, .. }) => {
                // The bridge protects all there is now; the guardian tries again to put a whole one beside it.
                tracing::warn!(account = %self.name(), symbol = %position.symbol, reason, "a reduce-only stop stays");
                Ok(bridge.first)
            }
        }
    }

    /// Reduce-only stops that together are as large as the position: one, or as many as the exchange's largest market
    /// order asks for. On an error none of them stays.
    async fn lay_bridge(
        &self,
        cause: &Cause,
        position: &ExchangePosition,
        trigger: Price,
    ) -> Result<Bridge, Unlaid> {
        let sizes = parts(position.quantity, self.shared.rules_of_stop(&position.symbol).as_ref());
        let mut laid: Option<Bridge> = None;
        for size in sizes {
            let attempt = laid.as_ref().map_or(1, Bridge::next_attempt);
            match (
                self.lay_stop(cause, position, trigger, StopSize::ReduceOnly(size), attempt).await,
                &mut laid,
            ) {
                (Ok(part), Some(bridge)) => bridge.others.push(part),
                (Ok(first), None) => laid = Some(Bridge { first, others: Vec::new() }),
                (Err(unlaid), begun) => {
                    if let Some(begun) = begun {
                        self.remove_bridge(begun).await;
                    }
                    return Err(unlaid);
                }
            }
        }
        laid.ok_or_else(|| "the position has no size".to_owned().into())
    }

    async fn remove_bridge(&self, bridge: &Bridge) {
        for part in bridge.parts() {
            self.remove_stop(part).await;
        }
    }

    /// Journals a stop, places it and sees it resting.
    async fn lay_stop(
        &self,
        cause: &Cause,
        position: &ExchangePosition,
        trigger: Price,
        size: StopSize,
        attempt: u32,
    ) -> Result<ClientOrderId, Unlaid> {
        let side = position.direction.closing_side();
        let quantity = match size {
            StopSize::WholePosition => None,
            StopSize::ReduceOnly(quantity) => Some(quantity),
        };
        let (symbol, purpose) = (&position.symbol, OrderPurpose::Stop);
        let draft = Draft { cause, symbol, purpose, side, quantity, trigger: Some(trigger), attempt };
        let order = match cause {
            // Without its entry nobody would know later that the operator wanted it there.
            Cause::Operator(_) => in_time(self.journal(&draft))
                .await
                .map_err(|error| format!("the stop could not be journaled, so it was not sent: {error}"))?,
            Cause::Cycle(_) | Cause::Guardian(_) => self.journal_or_alarm(&draft).await,
        };
        let stop = StopOrder {
            symbol: position.symbol.clone(),
            side,
            trigger,
            size,
            client_order_id: order.id.clone(),
        };
        let reason = match self.client.place_stop(&stop).await {
            Outcome::Accepted(_) => "acknowledged, but not seen resting".to_owned(),
            Outcome::Rejected(rejection) if rejection.code != codes::DUPLICATE_ID => {
                self.learn_failure(&order, OrderState::Rejected, &rejection.to_string()).await;
                return Err(Unlaid {
                    reason: format!("the exchange refused the stop: {rejection}"),
                    would_trigger: rejection.code == codes::WOULD_TRIGGER,
                });
            }
            Outcome::NotSent(reason) => {
                self.learn_failure(&order, OrderState::NotPlaced, &reason).await;
                return Err(format!("the stop never left: {reason}").into());
            }
            Outcome::Rejected(rejection) => rejection.to_string(),
            Outcome::Unknown(reason) => reason,
        };
        for pause in SIGHTINGS {
            tokio::time::sleep(pause).await;
            let Ok(stops) = self.client.open_algo_orders(Some(&position.symbol)).await else { continue };
            if let Some(seen) = stops.iter().find(|stop| stop.client_order_id.as_ref() == Some(&order.id)) {
                let exchange_id = Some(seen.algo_id.to_string());
                self.learn(&order, OrderState::Accepted, Learned { exchange_id, ..Learned::default() }).await;
                return Ok(order.id);
            }
        }
        self.learn_failure(&order, OrderState::Unknown, &reason).await;
        // It may rest all the same, and would be a second one: what cannot be seen is taken back.
        self.remove_stop(&order.id).await;
        Err(format!("the new stop was not seen resting ({reason})").into())
    }

    /// Removes stops, ours and others; returns those that may still be there.
    pub(super) async fn remove_each<'a>(&self, stops: &[&'a AlgoOrder]) -> Vec<&'a AlgoOrder> {
        let mut left = Vec::new();
        for stop in stops {
            let gone = match &stop.client_order_id {
                Some(id) => self.remove_stop(id).await,
                None => false,
            };
            if !gone {
                left.push(*stop);
            }
        }
        left
    }
}

/// A quantity in parts of about the same size, each of which the exchange takes in one order. Without rules, or where no
/// division fits them, it stays whole: only the exchange knows.
fn parts(quantity: Quantity, rules: Option<&SymbolRules>) -> Vec<Quantity> {
    let Some(rules) = rules else { return vec![quantity] };
    let divided = (1..=MOST_PARTS).find_map(|count| {
        let share = Quantity::new(quantity.value() / Decimal::from(count)).ok()?;
        let share = rules.round_quantity_down(share);
        let rest = quantity.value() - share.value() * Decimal::from(count - 1);
        let rest = Quantity::new(rest).ok()?;
        let fits = !share.is_zero() && rules.round_quantity_down(rest) == rest;
        fits.then(|| {
            let mut parts = vec![share; usize::try_from(count - 1).unwrap_or_default()];
            parts.push(rest);
            parts
        })
    });
    divided.unwrap_or_else(|| vec![quantity])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Bounds;

    #[test]
    fn a_quantity_is_divided_into_as_few_orders_as_the_largest_allows() {
        let number = |text: &str| text.parse().unwrap();
        let rules = SymbolRules {
            symbol: crate::domain::Symbol::new("BTCUSDT").unwrap(),
            status: "TRADING".into(),
            contract: "PERPETUAL".into(),
            quote: "USDT".into(),
            price: Bounds { min: number("0.1"), max: number("1000000"), step: number("0.1") },
            market_quantity: Bounds { min: number("0.01"), max: number("100"), step: number("0.001") },
            min_notional: "5".parse().unwrap(),
        };
        for (whole, expected) in [
            ("0.036", &["0.036"][..]),
            ("100", &["100"]),
            ("100.001", &["50", "50.001"]),
            ("250", &["83.333", "83.333", "83.334"]),
            // The rest of a division by two would be too large.
            ("199.999", &["99.999", "100"]),
            // Nobody can divide these; the exchange says what it thinks of them.
            ("0.0363", &["0.0363"]),
            ("0.001", &["0.001"]),
            ("5001", &["5001"]),
        ] {
            let divided = parts(whole.parse().unwrap(), Some(&rules));
            let expected: Vec<Quantity> = expected.iter().map(|part| part.parse().unwrap()).collect();
            assert_eq!(divided, expected, "{whole}");
        }
        assert_eq!(parts("5000".parse().unwrap(), Some(&rules)).len(), 50);
        assert_eq!(parts("5001".parse().unwrap(), None), ["5001".parse().unwrap()]);
    }
}
