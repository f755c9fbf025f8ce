//! Orders nobody knows the fate of. They are asked about, never sent again.

use std::time::Duration;

use chrono::TimeDelta;

use super::AccountDesk;
use super::journal::{Cause, Journaled, Learned};
use crate::domain::{OrderPurpose, OrderState, Severity, Symbol};
use crate::exchange::OrderReport;
use crate::store::StoredOrder;

/// Pauses between questions within a cycle; what stays unknown after them is left to the guardian.
const QUESTIONS: [Duration; 4] =
    [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(8)];

/// "Not found" proves absence only after the request window has closed and late copies are refused
/// (3 s window, plus 180 s for queueing behind the gateway).
const PROOF_OF_ABSENCE: TimeDelta = TimeDelta::seconds(183);

impl AccountDesk {
    /// Whether the order is found at the exchange within the next seconds.
    pub(super) async fn await_evidence(&self, order: &Journaled) -> bool {
        for pause in QUESTIONS {
            tokio::time::sleep(pause).await;
            if let Ok(Some(_)) = self.client.order(&order.symbol, &order.id).await {
                return true;
            }
        }
        false
    }

    /// Settles what a crash or a broken connection left open. Called at start and by every guardian pass.
    pub async fn resolve_unresolved(&self) {
        let open = match self.shared.store.unresolved_orders().await {
            Ok(open) => open,
            Err(error) => {
                tracing::error!(account = %self.name(), %error, "unresolved orders could not be read from the journal");
                return;
            }
        };
        let mut blocked: Vec<Symbol> = Vec::new();
        for stored in open.into_iter().filter(|stored| &stored.intent.account == self.name()) {
            // A coin somebody works on has its orders in hand.
            let Ok(_coin) = self.try_hold_coin(&stored.intent.symbol) else { continue };
            if !self.resolve(&stored).await {
                blocked.push(stored.intent.symbol);
            }
        }
        for symbol in &self.terms.symbols {
            self.set_unresolved(symbol, blocked.contains(symbol));
        }
    }

    /// Returns whether the order's fate is known now.
    async fn resolve(&self, stored: &StoredOrder) -> bool {
        let order = Journaled {
            id: stored.intent.client_order_id.clone(),
            cause: Cause::Guardian("recovery".to_owned()),
            symbol: stored.intent.symbol.clone(),
            purpose: stored.intent.purpose,
            side: stored.intent.side,
            quantity: stored.intent.quantity,
            price: stored.intent.trigger,
        };
        match stored.intent.purpose {
            OrderPurpose::Stop => self.resolve_stop(&order, stored).await,
            OrderPurpose::Open | OrderPurpose::Close | OrderPurpose::Emergency => {
                self.resolve_market(&order, stored).await
            }
        }
    }

    async fn resolve_market(&self, order: &Journaled, stored: &StoredOrder) -> bool {
        match self.client.order(&order.symbol, &order.id).await {
            Ok(Some(report)) => {
                self.adopt(order, &report).await;
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

    async fn adopt(&self, order: &Journaled, report: &OrderReport) {
        let executed = report.executed.is_some_and(|quantity| !quantity.is_zero());
        let state = match (report.status.is_final(), executed) {
            (_, true) => OrderState::Filled,
            (true, false) => OrderState::Rejected,
            (false, false) => OrderState::Accepted,
        };
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
        let text = format!(
            "{} {}: an order left open by an interruption was found and settled",
            self.name(),
            order.symbol
        );
        self.alarm(Severity::Info, text);
        self.book_fills(&order.symbol).await;
    }

    /// A stop in doubt blocks nothing: the guardian looks at positions and resting stops, not at this row.
    async fn resolve_stop(&self, order: &Journaled, stored: &StoredOrder) -> bool {
        match self.client.open_algo_orders(Some(&order.symbol)).await {
            Ok(resting) if resting.iter().any(|stop| stop.client_order_id.as_ref() == Some(&order.id)) => {
                self.learn(order, OrderState::Accepted, Learned::default()).await;
            }
            Ok(_) if self.absence_is_proven(stored) => {
                self.learn_failure(order, OrderState::NotPlaced, "not resting at the exchange").await;
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(account = %self.name(), order = %order.id, %error, "an unresolved stop could not be asked about");
            }
        }
        true
    }

    fn absence_is_proven(&self, stored: &StoredOrder) -> bool {
        self.shared.wall.now().signed_duration_since(stored.intent.sent_at) > PROOF_OF_ABSENCE
    }
}
