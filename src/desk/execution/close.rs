//! Closing a position: reduce-only, verified flat by the exchange, its stop removed after.

use std::time::Duration;

use super::journal::{Cause, Journaled, Learned, in_time};
use super::open::refused_by_halt;
use super::restop::turned_around;
use super::{AccountDesk, failed};
use crate::desk::guards::{Approved, CloseOrder};
use crate::domain::{OrderPurpose, OrderState, Outcome, OutcomeKind, Severity, Symbol};
use crate::exchange::{ExchangePosition, Outcome as Sent, codes};

/// How often a close is sent before it is left to the operator.
const CLOSE_TRIES: u32 = 3;
/// In so many orders the exchange's largest market order may divide a position.
pub(super) const MOST_PARTS: u32 = 50;
/// Pause before a close is tried again.
const CLOSE_PAUSE: Duration = Duration::from_millis(500);
/// Pauses between looks at a position that should be gone.
const FLAT_LOOKS: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(100), Duration::from_millis(400), Duration::from_secs(1)];

impl AccountDesk {
    /// Carries out an approved close and returns what became of it.
    pub async fn close(&self, cause: &Cause, approved: &Approved<CloseOrder>) -> Outcome {
        self.carry_out_close(cause, approved.order()).await
    }

    /// Closes a position as it is seen at the exchange, whoever opened it.
    pub async fn close_position(&self, cause: &Cause, position: &ExchangePosition) -> Outcome {
        let order = CloseOrder {
            account: self.name().clone(),
            symbol: position.symbol.clone(),
            direction: position.direction,
            quantity: position.quantity,
        };
        self.carry_out_close(cause, &order).await
    }

    async fn carry_out_close(&self, cause: &Cause, order: &CloseOrder) -> Outcome {
        let _coin = self.hold_coin(&order.symbol).await;
        if self.keeps_back(cause) {
            return would_close(order);
        }
        let _under_way = self.under_way(&order.symbol, false);
        let mut orders = Vec::new();
        let mut last = String::from("no answer");
        let (mut attempt, mut tries) = (0, 0);
        while tries < CLOSE_TRIES {
            if attempt > 0 {
                tokio::time::sleep(CLOSE_PAUSE).await;
            }
            (attempt, tries) = (attempt + 1, tries + 1);
            // The size is read afresh each time: whatever is open now is what gets closed.
            let position = match self.position_of(&order.symbol).await {
                Ok(Some(position)) if position.direction == order.direction => position,
                // Another hand turned it around: that is another position, and not what was to be closed.
                Ok(Some(other)) if orders.is_empty() => {
                    let turned = turned_around(order.direction, other.direction);
                    return failed(format!("{turned}; nothing was closed"), orders);
                }
                Ok(Some(_)) => return self.closed(order, orders).await,
                Ok(None) => match self.sure_that_flat(&order.symbol).await {
                    Ok(()) => return self.closed(order, orders).await,
                    Err(doubt) => {
                        last = doubt;
                        continue;
                    }
                },
                Err(error) => {
                    last = error;
                    continue;
                }
            };
            if self.keeps_back(cause) {
                return failed("dry-run was switched on before the close was sent".to_owned(), orders);
            }
            // The model's closes are orders like others; an operator's go out whatever is halted.
            if matches!(cause, Cause::Cycle(_))
                && let Some(reason) =
                    self.shared.halts.against_model(self.name(), &order.symbol, self.shared.clock.now())
            {
                return refused_by_halt(reason);
            }
            let mut is_explained = false;
            match self.send_close(cause, &position, OrderPurpose::Close, attempt).await {
                Ok(sent) => {
                    // The exchange's own word that all of it was executed: an empty reading is no surprise.
                    is_explained = sent.executed.is_some_and(|executed| executed >= position.quantity);
                    if sent.is_part && attempt < MOST_PARTS {
                        // What one order may not take the next ones do; a part is no try that failed.
                        tries -= 1;
                    }
                    orders.push(sent.id);
                }
                Err(error) => last = error,
            }
            if self.reads_flat(&order.symbol).await {
                if is_explained {
                    return self.closed(order, orders).await;
                }
                match self.sure_that_flat(&order.symbol).await {
                    Ok(()) => return self.closed(order, orders).await,
                    Err(doubt) => last = doubt,
                }
            }
        }
        let detail = format!(
            "{} {}: the position is still open after {CLOSE_TRIES} closes: {last}",
            self.name(),
            order.symbol
        );
        self.alarm(Severity::Critical, detail);
        failed(format!("still open after {CLOSE_TRIES} tries: {last}"), orders)
    }

    async fn reads_flat(&self, symbol: &Symbol) -> bool {
        for pause in FLAT_LOOKS {
            tokio::time::sleep(pause).await;
            if let Ok(None) = self.position_of(symbol).await {
                return true;
            }
        }
        false
    }

    async fn closed(&self, order: &CloseOrder, orders: Vec<crate::domain::ClientOrderId>) -> Outcome {
        let realised = self.book_fills(&order.symbol).await;
        if !orders.is_empty() {
            // Only when our fills say flat, too; otherwise its stops stay until the guardian has sorted it out.
            let booked = self.shared.store.booked_position(self.name(), &order.symbol).await;
            if realised.is_some() && booked.is_ok_and(|booked| booked.is_zero()) {
                self.remove_stops(&order.symbol).await;
            }
            // What the exchange removed by itself with the position comes to its end in the journal, too.
            self.settle_stops(&order.symbol).await;
        }
        let detail = match (orders.is_empty(), realised) {
            (true, _) => "the position was already gone at the exchange".to_owned(),
            (false, Some(realised)) => format!(
                "{} {} closed, {} USDT before fees",
                order.direction.as_str(),
                order.quantity,
                realised.value().round_dp(2)
            ),
            (false, None) => format!("{} {} closed", order.direction.as_str(), order.quantity),
        };
        Outcome { kind: OutcomeKind::Closed, rule: None, detail, orders }
    }

    /// Cancels our stops of a coin that has no position. A stop the exchange removed by itself is as good.
    pub(super) async fn remove_stops(&self, symbol: &Symbol) {
        let stops = match self.client.open_algo_orders(Some(symbol)).await {
            Ok(stops) => stops,
            Err(error) => {
                tracing::warn!(account = %self.name(), %symbol, %error, "stops could not be listed after a close; the guardian sweeps them");
                return;
            }
        };
        for id in
            stops.into_iter().filter(|stop| &stop.symbol == symbol).filter_map(|stop| stop.client_order_id)
        {
            if !super::is_ours(id.as_str(), &self.shared.install) {
                continue;
            }
            self.remove_stop(&id).await;
        }
    }

    /// Takes one stop back; returns whether it is surely gone.
    pub(super) async fn remove_stop(&self, id: &crate::domain::ClientOrderId) -> bool {
        match self.client.cancel_algo(id).await {
            Sent::Accepted(()) => self.stop_cancelled(id).await,
            Sent::Rejected(rejection)
                if matches!(rejection.code, codes::CANCEL_REJECTED | codes::NO_SUCH_ORDER) =>
            {
                return self.is_gone_by_itself(id).await;
            }
            other => {
                let trouble = other.trouble().unwrap_or_default();
                tracing::warn!(account = %self.name(), order = %id, trouble, "a stop could not be removed; the guardian sweeps it");
                return false;
            }
        }
        true
    }

    /// A stop that could not be taken back because it does not rest any more: removed by the exchange, or triggered just
    /// now, which is no cancellation. Returns whether it is surely gone.
    async fn is_gone_by_itself(&self, id: &crate::domain::ClientOrderId) -> bool {
        match self.client.algo_order(id).await {
            Ok(Some(stop)) if stop.order_id.is_some() => {
                if let Ok(Some(stored)) = self.shared.store.order(id).await {
                    self.resolve(&stored).await;
                }
                true
            }
            Ok(Some(stop)) if stop.status.is_live() => false,
            Ok(_) => {
                self.stop_cancelled(id).await;
                true
            }
            Err(error) => {
                tracing::warn!(account = %self.name(), order = %id, %error, "a stop that does not rest any more could not be asked about");
                false
            }
        }
    }

    /// Writes down that a stop was taken back, and tells it: whoever read that it rests reads that it does not any more.
    async fn stop_cancelled(&self, id: &crate::domain::ClientOrderId) {
        match in_time(self.shared.store.order(id)).await {
            // How it ended was told.
            Ok(Some(stored))
                if matches!(
                    stored.state,
                    OrderState::Filled | OrderState::Rejected | OrderState::Cancelled
                ) => {}
            Ok(Some(stored)) => {
                self.learn(&Journaled::recalled(&stored.intent), OrderState::Cancelled, Learned::default())
                    .await;
            }
            Ok(None) => tracing::warn!(order = %id, "a stop was removed that is not in the journal"),
            Err(error) => tracing::error!(order = %id, %error, "a removed stop could not be noted"),
        }
    }
}

/// The outcome of a close that is only computed.
pub fn would_close(order: &CloseOrder) -> Outcome {
    Outcome {
        kind: OutcomeKind::DryRun,
        rule: None,
        detail: format!("would close {} {}", order.direction.as_str(), order.quantity),
        orders: Vec::new(),
    }
}
