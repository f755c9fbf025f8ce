//! Opening a position: at most one order, ever, and a stop behind it before anything else.

use std::time::Duration;

use super::journal::{Cause, Journaled, Learned};
use super::protect::Protection;
use super::{AccountDesk, failed};
use crate::desk::guards::{Approved, OpenOrder};
use crate::domain::{
    ClientOrderId, Direction, OrderPurpose, OrderState, Outcome, OutcomeKind, Price, Quantity,
};
use crate::exchange::{MarketOrder, OrderAck, OrderReport, OrderStatus, codes};

/// Pauses between questions for the price of a fill; the first is asked at once.
const FILL_QUESTIONS: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_millis(600),
    Duration::from_secs(1),
];

/// What is known of a fill.
struct Filled {
    price: Price,
    quantity: Quantity,
    /// The exchange's id, when the order itself told the fill.
    order_id: Option<i64>,
}

impl AccountDesk {
    /// Carries out an approved opening and returns what became of it, stop included.
    pub async fn open(&self, cause: &Cause, approved: &Approved<OpenOrder>) -> Outcome {
        let order = approved.order();
        let Some(_coin) = self.hold_coin(&order.symbol).await else {
            return failed(format!("{} is not among this account's coins", order.symbol), Vec::new());
        };
        if self.shared.is_dry_run() {
            return would_open(order);
        }
        if let Err(reason) = self.prepare_coin(&order.symbol).await {
            return failed(
                format!("leverage or margin mode could not be set, nothing was sent: {reason}"),
                Vec::new(),
            );
        }
        let journaled = match self
            .journal(
                cause,
                &order.symbol,
                OrderPurpose::Open,
                order.direction.opening_side(),
                (Some(order.quantity), None),
                1,
            )
            .await
        {
            Ok(journaled) => journaled,
            Err(error) => {
                return failed(
                    format!("the order could not be journaled, so it was not sent: {error}"),
                    Vec::new(),
                );
            }
        };
        let orders = vec![journaled.id.clone()];
        let request = MarketOrder {
            symbol: order.symbol.clone(),
            side: order.direction.opening_side(),
            quantity: order.quantity,
            reduce_only: false,
            client_order_id: journaled.id.clone(),
        };
        match self.client.place_market(&request).await {
            crate::exchange::Outcome::Accepted(ack) => {
                self.after_acceptance(order, &journaled, Some(&ack)).await
            }
            crate::exchange::Outcome::Rejected(rejection) => {
                let detail = rejection.to_string();
                self.learn_failure(&journaled, OrderState::Rejected, &detail).await;
                failed(format!("the exchange refused the order: {detail}"), orders)
            }
            crate::exchange::Outcome::NotSent(reason) => {
                self.learn_failure(&journaled, OrderState::NotPlaced, &reason).await;
                failed(format!("the order never left: {reason}"), orders)
            }
            crate::exchange::Outcome::Unknown(reason) => {
                self.learn_failure(&journaled, OrderState::Unknown, &reason).await;
                self.set_unresolved(&order.symbol, true);
                if self.await_evidence(&journaled).await {
                    self.set_unresolved(&order.symbol, false);
                    return self.after_acceptance(order, &journaled, None).await;
                }
                failed(
                    format!(
                        "nobody knows whether the order was executed ({reason}); the coin is blocked until it is known"
                    ),
                    orders,
                )
            }
        }
    }

    /// The order is at the exchange: find the fill, place the stop.
    async fn after_acceptance(
        &self,
        order: &OpenOrder,
        journaled: &Journaled,
        ack: Option<&OrderAck>,
    ) -> Outcome {
        let mut orders = vec![journaled.id.clone()];
        let filled = match self.fill_of(order, journaled, ack).await {
            Ok(Some(filled)) => filled,
            Ok(None) => {
                self.learn_failure(journaled, OrderState::Rejected, "expired without a fill").await;
                return failed("the order expired without a fill".to_owned(), orders);
            }
            Err(reason) => {
                // The position may be there: the stop follows the position, whatever is known of the order.
                tracing::warn!(order = %journaled.id, reason, "the fill could not be read; protecting by position");
                Filled { price: order.reference, quantity: order.quantity, order_id: None }
            }
        };
        self.learn(
            journaled,
            OrderState::Filled,
            Learned {
                exchange_id: ack.map(|ack| ack.order_id).or(filled.order_id).map(|id| id.to_string()),
                price: Some(filled.price),
                executed: Some(filled.quantity),
                error: None,
            },
        )
        .await;
        let protection = self.protect(&journaled.cause, &order.symbol, order.direction, filled.price).await;
        self.book_fills(&order.symbol).await;
        opened(order.direction, &filled, protection, &mut orders)
    }

    /// The average price and quantity of the fill, from whichever tells it first: the order or the position.
    async fn fill_of(
        &self,
        order: &OpenOrder,
        journaled: &Journaled,
        ack: Option<&OrderAck>,
    ) -> Result<Option<Filled>, String> {
        let expired = |status: &Option<OrderStatus>, executed: Option<Quantity>| {
            matches!(status, Some(OrderStatus::Expired | OrderStatus::Canceled | OrderStatus::Rejected))
                && executed.is_none_or(Quantity::is_zero)
        };
        if ack.is_some_and(|ack| expired(&ack.status, ack.executed)) {
            return Ok(None);
        }
        let mut last = String::from("no answer");
        for pause in FILL_QUESTIONS {
            tokio::time::sleep(pause).await;
            match self.client.order(&order.symbol, &journaled.id).await {
                Ok(Some(report)) => match filled_by(&report) {
                    Some(filled) => return Ok(Some(filled)),
                    None if expired(&Some(report.status.clone()), report.executed) => return Ok(None),
                    None => last = format!("the order is {:?}", report.status),
                },
                Ok(None) => "the order is not found yet".clone_into(&mut last),
                Err(error) => last = error.to_string(),
            }
            if let Ok(positions) = self.client.positions().await {
                let opened = positions.iter().find(|position| {
                    position.symbol == order.symbol && position.direction == order.direction
                });
                if let Some(position) = opened {
                    return Ok(Some(Filled {
                        price: position.entry,
                        quantity: position.quantity,
                        order_id: None,
                    }));
                }
            }
        }
        Err(last)
    }

    /// Leverage and isolated margin for a coin, read first and set only where they differ.
    async fn prepare_coin(&self, symbol: &crate::domain::Symbol) -> Result<(), String> {
        if self.is_prepared(symbol) {
            return Ok(());
        }
        let config = self
            .client
            .symbol_configs(Some(symbol))
            .await
            .map_err(|error| error.to_string())?
            .into_iter()
            .find(|config| &config.symbol == symbol);
        if config.as_ref().is_none_or(|config| !config.isolated) {
            confirmed(self.client.set_isolated(symbol).await, codes::MARGIN_TYPE_SET)?;
        }
        if config.is_none_or(|config| config.leverage != self.terms.leverage) {
            confirmed(self.client.set_leverage(symbol, self.terms.leverage).await, 0)?;
        }
        self.set_prepared(symbol);
        Ok(())
    }

    pub(super) async fn learn_failure(&self, order: &Journaled, state: OrderState, reason: &str) {
        self.learn(order, state, Learned { error: Some(reason.to_owned()), ..Learned::default() }).await;
    }
}

/// A setting that repeating does not harm: accepted, or already as wanted.
fn confirmed<T>(outcome: crate::exchange::Outcome<T>, already: i64) -> Result<(), String> {
    match outcome {
        crate::exchange::Outcome::Accepted(_) => Ok(()),
        crate::exchange::Outcome::Rejected(rejection) if rejection.code == already => Ok(()),
        other => Err(other.trouble().unwrap_or_default()),
    }
}

fn filled_by(report: &OrderReport) -> Option<Filled> {
    let quantity = report.executed.filter(|quantity| !quantity.is_zero())?;
    report.status.is_final().then_some(())?;
    Some(Filled { price: report.average_price?, quantity, order_id: Some(report.order_id) })
}

/// The outcome of an opening that is only computed.
pub fn would_open(order: &OpenOrder) -> Outcome {
    let notional = order.reference.notional(order.quantity);
    Outcome {
        kind: OutcomeKind::DryRun,
        rule: None,
        detail: format!(
            "would open {} {} at about {} ({} USDT)",
            order.direction.as_str(),
            order.quantity,
            order.reference,
            notional.value().round_dp(2)
        ),
        orders: Vec::new(),
    }
}

fn opened(
    direction: Direction,
    filled: &Filled,
    protection: Protection,
    orders: &mut Vec<ClientOrderId>,
) -> Outcome {
    let what = format!("{} {} at {}", direction.as_str(), filled.quantity, filled.price);
    let (kind, detail) = match protection {
        Protection::Resting { trigger, order } => {
            orders.extend(order);
            (OutcomeKind::Opened, format!("{what}, stop at {trigger}"))
        }
        Protection::Flat => {
            (OutcomeKind::Failed, format!("{what}, but the position was gone before its stop was placed"))
        }
        Protection::Emptied { reason, order } => {
            orders.push(order);
            (
                OutcomeKind::Failed,
                format!("{what}, but no stop could be placed ({reason}); closed again at market"),
            )
        }
        Protection::Naked { reason } => {
            (OutcomeKind::Failed, format!("{what}, but WITHOUT A STOP: {reason}; the guardian keeps trying"))
        }
    };
    Outcome { kind, rule: None, detail, orders: std::mem::take(orders) }
}
