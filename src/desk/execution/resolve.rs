//! Orders nobody knows the fate of. They are asked about, never sent again.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::join_all;
use rust_decimal::Decimal;

use super::journal::{Journaled, Learned, in_time};
use super::reading::next_trade;
use super::{AccountDesk, Unresolved};
use crate::domain::{Direction, OrderPurpose, OrderState, Price, Quantity, Severity, Symbol, Usdt};
use crate::exchange::{AlgoOrder, AlgoStatus, Fill, OrderReport, TradesFrom};
use crate::store::StoredOrder;

/// Pauses between questions within a cycle; what stays unknown after them is left to the guardian.
const QUESTIONS: [Duration; 9] = [
    Duration::from_millis(200),
    Duration::from_millis(300),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(2),
    Duration::from_secs(2),
    Duration::from_secs(3),
];
/// Time one question may take: a lost one must not hide what the next would see.
const QUESTION_TIME: Duration = Duration::from_millis(1500);

/// How long questions about the orders of one coin may keep it from others.
const COIN_TIME: Duration = Duration::from_secs(4);

/// "Not found" proves absence only after the request window has closed and late copies are refused
/// (3 s window, plus 180 s for queueing behind the gateway).
const PROOF_OF_ABSENCE: TimeDelta = TimeDelta::seconds(183);

impl AccountDesk {
    /// Whether an opening is found at the exchange within the next seconds: by its name, or by the position that was
    /// not there before it.
    pub(super) async fn await_evidence(&self, order: &Journaled, direction: Direction) -> bool {
        for pause in QUESTIONS {
            tokio::select! {
                biased;
                () = self.stirred.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
            let (by_name, by_position) = tokio::join!(
                tokio::time::timeout(QUESTION_TIME, self.client.order(&order.symbol, &order.id)),
                tokio::time::timeout(QUESTION_TIME, self.position_of(&order.symbol)),
            );
            let is_there = matches!(&by_position, Ok(Ok(Some(position))) if position.direction == direction);
            if is_there || matches!(by_name, Ok(Ok(Some(_)))) {
                return true;
            }
        }
        false
    }

    /// Blocks every coin with an order that an earlier run left open, before anything is asked: the exchange may not answer,
    /// and until it does nobody knows what those orders did. Done once; when the journal cannot be read, all coins are
    /// blocked until it can.
    pub async fn recall_unresolved(&self) {
        if self.recalled.load(Ordering::SeqCst) {
            return;
        }
        match in_time(self.shared.store.unresolved_orders()).await {
            Ok(open) => {
                self.recalled.store(true, Ordering::SeqCst);
                let mut counts: BTreeMap<&Symbol, Unresolved> = BTreeMap::new();
                let open = open.iter().map(|order| &order.intent);
                for order in open.filter(|order| &order.account == self.name() && is_of_market(order.purpose))
                {
                    counts.entry(&order.symbol).or_default().add(order.purpose);
                }
                for (symbol, left) in counts {
                    self.set_unresolved(symbol, left);
                }
            }
            Err(error) => {
                tracing::error!(account = %self.name(), %error, "unresolved orders could not be read from the journal");
                for symbol in &self.terms.symbols {
                    self.set_unresolved(symbol, Unresolved::OPENING);
                }
            }
        }
    }

    /// Settles what a crash or a broken connection left open, and what has come to its end at the exchange since it was
    /// accepted: stops that were triggered above all. Called at start and by every guardian pass.
    pub async fn resolve_unresolved(&self) {
        let (open, accepted) = tokio::join!(
            self.shared.store.unresolved_orders(),
            self.shared.store.accepted_orders(self.name())
        );
        let (open, accepted) = match (open, accepted) {
            (Ok(open), Ok(accepted)) => (open, accepted),
            (Err(error), _) | (_, Err(error)) => {
                tracing::error!(account = %self.name(), %error, "unresolved orders could not be read from the journal");
                return;
            }
        };
        let mut by_coin: BTreeMap<Symbol, Vec<StoredOrder>> =
            self.terms.symbols.iter().map(|symbol| (symbol.clone(), Vec::new())).collect();
        for stored in open.into_iter().chain(accepted).filter(|stored| &stored.intent.account == self.name())
        {
            by_coin.entry(stored.intent.symbol.clone()).or_default().push(stored);
        }
        join_all(by_coin.iter().map(|(symbol, orders)| async move {
            // A coin somebody works on has its orders in hand, and its own opinion of what is unresolved.
            let Ok(_coin) = self.try_hold_coin(symbol) else { return };
            // A question that hangs must not keep the coin from whoever has to protect it; what was not answered by then
            // is as unresolved as before.
            match tokio::time::timeout(COIN_TIME, self.resolve_all(orders)).await {
                Ok(left) => self.set_unresolved(symbol, left),
                Err(_elapsed) => {
                    tracing::warn!(account = %self.name(), %symbol, "what became of its orders could not be asked in time");
                }
            }
        }))
        .await;
    }

    /// Asks about the orders of one coin, stops side by side; returns those that stay in doubt.
    async fn resolve_all(&self, orders: &[StoredOrder]) -> Unresolved {
        let (market, stops): (Vec<_>, Vec<_>) =
            orders.iter().partition(|stored| is_of_market(stored.intent.purpose));
        let market = async {
            let mut left = Unresolved::NONE;
            for stored in market {
                if !self.resolve(stored).await {
                    left.add(stored.intent.purpose);
                }
            }
            left
        };
        let (mut left, known) =
            tokio::join!(market, join_all(stops.iter().map(|stored| self.resolve(stored))));
        for (stored, _) in stops.iter().zip(known).filter(|(_, is_known)| !is_known) {
            left.add(stored.intent.purpose);
        }
        left
    }

    /// Returns whether the order's fate is known now.
    pub(super) async fn resolve(&self, listed: &StoredOrder) -> bool {
        // Whoever held the coin until now may have settled it.
        let Ok(Some(stored)) = self.shared.store.order(&listed.intent.client_order_id).await else {
            return false;
        };
        if !matches!(stored.state, OrderState::Sent | OrderState::Unknown | OrderState::Accepted) {
            return true;
        }
        let order = Journaled::recalled(&stored.intent);
        match stored.intent.purpose {
            OrderPurpose::Stop => self.resolve_stop(&order, &stored).await,
            OrderPurpose::Open | OrderPurpose::Close | OrderPurpose::Emergency => {
                self.resolve_market(&order, &stored).await
            }
        }
    }

    async fn resolve_market(&self, order: &Journaled, stored: &StoredOrder) -> bool {
        match self.client.order(&order.symbol, &order.id).await {
            Ok(Some(report)) => {
                self.adopt(order, stored, &report).await;
                true
            }
            Ok(None) if self.traded(order).await => true,
            Ok(None) if stored.state == OrderState::Accepted => {
                // A position spoke for it once. Without a name or a fill by now, that position was another's.
                if stored.exchange_id.is_none() && self.absence_is_proven(stored) {
                    let why = "not known at the exchange; the position seen after it was not its";
                    self.learn_failure(order, OrderState::Rejected, why).await;
                }
                true
            }
            Ok(None) if self.absence_is_proven(stored) => {
                self.learn_failure(order, OrderState::NotPlaced, "never reached the exchange").await;
                true
            }
            Ok(None) => {
                if stored.state == OrderState::Sent {
                    self.learn_failure(order, OrderState::Unknown, "not found at the exchange yet").await;
                }
                false
            }
            Err(error) => {
                tracing::warn!(account = %self.name(), order = %order.id, %error, "an unresolved order could not be asked about");
                false
            }
        }
    }

    async fn adopt(&self, order: &Journaled, stored: &StoredOrder, report: &OrderReport) {
        let executed = report.executed.is_some_and(|quantity| !quantity.is_zero());
        let state = match (report.status.is_final(), executed) {
            (_, true) => OrderState::Filled,
            (true, false) => OrderState::Rejected,
            (false, false) => OrderState::Accepted,
        };
        if state == stored.state {
            return;
        }
        self.learn(
            order,
            state,
            Learned {
                exchange_id: Some(report.order_id.to_string()),
                price: report.average_price,
                executed: report.executed,
                error: None,
            },
        )
        .await;
        if stored.state != OrderState::Accepted {
            let text = format!(
                "{} {}: an order left open by an interruption was found and settled",
                self.name(),
                order.symbol
            );
            self.alarm(Severity::Info, text);
        }
        self.book_fills(&order.symbol).await;
    }

    /// Whether new fills of exactly this order's side and size tell of an order the exchange does not find by its name:
    /// some of its endpoints forget for a while.
    async fn traded(&self, order: &Journaled) -> bool {
        let last = match self.shared.store.last_fill_id(self.name(), &order.symbol).await {
            Ok(last) => TradesFrom::Id(next_trade(last)),
            Err(_) => return false,
        };
        let Ok(fills) = self.client.user_trades(&order.symbol, last).await else { return false };
        let mut by_order: BTreeMap<i64, Vec<Fill>> = BTreeMap::new();
        for fill in fills.into_iter().filter(|fill| fill.side == order.side) {
            by_order.entry(fill.order_id).or_default().push(fill);
        }
        let candidates = by_order.into_iter().filter_map(|(id, fills)| {
            let (quantity, price) = executed(&fills)?;
            (Some(quantity) == order.quantity).then_some((id, quantity, price))
        });
        let mut found = None;
        for candidate in candidates {
            // A stop that fired in its place trades the same: the exchange's own word on the name goes before the size.
            let report = self.client.order_by_number(&order.symbol, candidate.0).await;
            let name = report.ok().flatten().and_then(|report| report.client_order_id);
            if name.is_none_or(|name| name == order.id) {
                found = Some(candidate);
                break;
            }
        }
        let Some((id, quantity, price)) = found else { return false };
        let learned = Learned {
            exchange_id: Some(id.to_string()),
            price: Some(price),
            executed: Some(quantity),
            error: None,
        };
        self.learn(order, OrderState::Filled, learned).await;
        self.book_fills(&order.symbol).await;
        true
    }

    /// A stop in doubt blocks nothing: the guardian looks at positions and resting stops, not at this row.
    async fn resolve_stop(&self, order: &Journaled, stored: &StoredOrder) -> bool {
        match self.client.algo_order(&order.id).await {
            Ok(Some(stop)) => self.stop_stands(order, stored, &stop).await,
            Ok(None) if self.absence_is_proven(stored) && self.is_not_resting(order).await => {
                let (state, why) = if stored.state == OrderState::Accepted {
                    (OrderState::Cancelled, "the exchange does not know it any more")
                } else {
                    (OrderState::NotPlaced, "not resting at the exchange")
                };
                self.learn_failure(order, state, why).await;
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(account = %self.name(), order = %order.id, %error, "a stop could not be asked about");
            }
        }
        true
    }

    /// Asks what became of the stops of a coin that the journal says rest. The caller holds the coin.
    pub(super) async fn settle_stops(&self, symbol: &Symbol) {
        let accepted = match self.shared.store.accepted_orders(self.name()).await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::error!(account = %self.name(), %error, "accepted orders could not be read from the journal");
                return;
            }
        };
        let stops = accepted
            .iter()
            .filter(|order| order.intent.purpose == OrderPurpose::Stop && &order.intent.symbol == symbol);
        join_all(stops.map(|stored| self.resolve(stored))).await;
    }

    /// A stop that is not found by its name may rest all the same.
    async fn is_not_resting(&self, order: &Journaled) -> bool {
        match self.client.open_algo_orders(Some(&order.symbol)).await {
            Ok(stops) => !stops.iter().any(|stop| stop.client_order_id.as_ref() == Some(&order.id)),
            Err(_) => false,
        }
    }

    /// Notes where a stop stands by the exchange's word, and tells when it was executed.
    async fn stop_stands(&self, order: &Journaled, stored: &StoredOrder, stop: &AlgoOrder) {
        if let Some(order_id) = stop.order_id {
            return self.stop_executed(order, stop, order_id).await;
        }
        match stop.status {
            AlgoStatus::Canceled | AlgoStatus::Expired => {
                self.learn(order, OrderState::Cancelled, Learned::default()).await;
            }
            AlgoStatus::Rejected => {
                self.learn_failure(
                    order,
                    OrderState::Rejected,
                    "refused by the exchange when it was triggered",
                )
                .await;
            }
            _ if stored.state != OrderState::Accepted => {
                let learned = Learned { exchange_id: Some(stop.algo_id.to_string()), ..Learned::default() };
                self.learn(order, OrderState::Accepted, learned).await;
            }
            _ => {}
        }
    }

    async fn stop_executed(&self, order: &Journaled, stop: &AlgoOrder, order_id: i64) {
        let fills = match self.client.user_trades(&order.symbol, TradesFrom::Order(order_id)).await {
            Ok(fills) => fills,
            Err(error) => {
                tracing::warn!(account = %self.name(), order = %order.id, %error, "the fills of a stop could not be read yet");
                return;
            }
        };
        let Some((quantity, price)) = executed(&fills) else { return };
        let learned = Learned {
            exchange_id: Some(order_id.to_string()),
            price: Some(price),
            executed: Some(quantity),
            error: None,
        };
        self.learn(order, OrderState::Filled, learned).await;
        let realised = fills.iter().fold(Usdt::ZERO, |sum, fill| sum + fill.realised);
        let trigger = stop.trigger.map_or_else(|| "its price".to_owned(), |trigger| trigger.to_string());
        let text = format!(
            "{} {}: the stop at {trigger} was triggered: {quantity} closed at {price}, {} USDT before fees",
            self.name(),
            order.symbol,
            realised.value().round_dp(2)
        );
        self.alarm(Severity::Warning, text);
        self.book_fills(&order.symbol).await;
    }

    fn absence_is_proven(&self, stored: &StoredOrder) -> bool {
        self.shared.wall.now().signed_duration_since(stored.intent.sent_at) > PROOF_OF_ABSENCE
    }
}

/// Whether an order trades at once. A stop in doubt blocks nothing.
const fn is_of_market(purpose: OrderPurpose) -> bool {
    !matches!(purpose, OrderPurpose::Stop)
}

/// What fills add up to, and their average price.
fn executed(fills: &[Fill]) -> Option<(Quantity, Price)> {
    let total: Decimal = fills.iter().map(|fill| fill.quantity.value()).sum();
    let paid: Decimal = fills.iter().map(|fill| fill.quantity.value() * fill.price.value()).sum();
    let price = Price::new(paid.checked_div(total)?).ok()?;
    Some((Quantity::new(total).ok()?, price))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Side, Timestamp, Untrusted};

    fn fill(quantity: &str, price: &str) -> Fill {
        Fill {
            id: 1,
            order_id: 1,
            symbol: Symbol::new("BTCUSDT").unwrap(),
            side: Side::Sell,
            price: price.parse().unwrap(),
            quantity: quantity.parse().unwrap(),
            commission: Decimal::ZERO,
            commission_asset: Untrusted::new("USDT"),
            realised: Usdt::ZERO,
            maker: false,
            at: Timestamp::from_timestamp(1_772_400_000, 0).unwrap(),
        }
    }

    #[test]
    fn fills_add_up_and_their_price_is_weighed_by_size() {
        let (quantity, price) = executed(&[fill("0.003", "100"), fill("0.001", "200")]).unwrap();
        assert_eq!((quantity.value(), price.value()), ("0.004".parse().unwrap(), Decimal::from(125)));
        assert_eq!(executed(&[]), None);
    }
}
