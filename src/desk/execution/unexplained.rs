//! Fills that no order of ours in the journal explains: what the exchange closed by itself (liquidations,
//! auto-deleveraging, settlement; their orders carry its names), and orders of ours that were taken for never placed.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use chrono::TimeDelta;
use rust_decimal::Decimal;
use tokio::time::Instant;

use super::AccountDesk;
use super::journal::{Journaled, Learned, Unjournaled, in_time};
use crate::domain::{OrderState, Quantity, Severity, Symbol, Usdt};
use crate::exchange::{Fill, OrderReport};
use crate::store::{ActionKind, StoreError};

/// How many orders of a coin are looked through for the one behind a fill.
const ORDERS_BACK: u32 = 50;
/// How long the exchange is asked whose an order was.
const ASKED_FOR: Duration = Duration::from_hours(24);
/// How far back a start looks for fills that an earlier run booked and did not live to explain.
const RECALLED: TimeDelta = TimeDelta::hours(24);
/// At most so many orders are asked about after a start, the newest: those of another hand stay unexplained for good.
const RECALLED_ORDERS: usize = 40;

/// What was executed of an order of which nobody knows yet who sent it.
#[derive(Debug, Clone)]
pub(super) struct Unexplained {
    quantity: Decimal,
    realised: Usdt,
    since: Instant,
}

impl Unexplained {
    fn nothing() -> Self {
        Self { quantity: Decimal::ZERO, realised: Usdt::ZERO, since: Instant::now() }
    }

    fn add(&mut self, quantity: Quantity, realised: Usdt) {
        self.quantity += quantity.value();
        self.realised = self.realised + realised;
    }
}

impl AccountDesk {
    /// Finds out of fills that were just booked whose they are. Which the exchange made by itself the operator and the next
    /// cycle are told. What cannot be asked now is asked again.
    pub(super) async fn explain_fills(&self, symbol: &Symbol, booked: &[Fill]) {
        // Before the first is explained: what this run tells must not be found as something an earlier one left.
        self.recall_unexplained().await;
        let mut by_order: BTreeMap<i64, Unexplained> = BTreeMap::new();
        for fill in booked {
            let one = by_order.entry(fill.order_id).or_insert_with(Unexplained::nothing);
            one.add(fill.quantity, fill.realised);
        }
        // Before anything is asked: the asking may be cut short.
        {
            let mut unexplained = self.unexplained.lock().unwrap_or_else(PoisonError::into_inner);
            for (order_id, executed) in &mut by_order {
                let known =
                    unexplained.entry((symbol.clone(), *order_id)).or_insert_with(|| executed.clone());
                // What was recalled holds these fills and those before them.
                if known.quantity < executed.quantity {
                    *known = executed.clone();
                }
                *executed = known.clone();
            }
        }
        for (order_id, executed) in &by_order {
            self.explain(symbol, *order_id, executed).await;
        }
    }

    /// Looks up what earlier runs booked and nobody explained, once: a death in between must not lose a cause. What cannot
    /// be read now is read the next time.
    async fn recall_unexplained(&self) {
        let recalled = self.unexplained_recalled.get_or_try_init(|| async {
            let left = self.left_unexplained().await?;
            self.unexplained.lock().unwrap_or_else(PoisonError::into_inner).extend(left);
            Ok::<(), StoreError>(())
        });
        if let Err(error) = recalled.await {
            tracing::error!(account = %self.name(), %error, "fills that nobody explained could not be read from the journal");
        }
    }

    async fn left_unexplained(&self) -> Result<BTreeMap<(Symbol, i64), Unexplained>, StoreError> {
        let store = &self.shared.store;
        let fills = store.fills_since(self.name(), self.now() - RECALLED).await?;
        let mut left = BTreeMap::new();
        let mut newest_first = Vec::new();
        for fill in fills.into_iter().rev().filter(|fill| fill.client_order_id.is_none()) {
            let Ok(order_id) = fill.exchange_id.parse() else { continue };
            let whose = (fill.symbol, order_id);
            let one = left.entry(whose.clone()).or_insert_with(|| {
                newest_first.push(whose);
                Unexplained::nothing()
            });
            one.add(fill.quantity, fill.realised);
        }
        for whose in newest_first.split_off(newest_first.len().min(RECALLED_ORDERS)) {
            left.remove(&whose);
        }
        for (symbol, order_id) in newest_first {
            if store.meta(&self.told_key(&symbol, order_id)).await?.is_some() {
                left.remove(&(symbol, order_id));
            }
        }
        Ok(left)
    }

    /// Where it is noted that a close of the exchange's was told: its fills never bear a name.
    fn told_key(&self, symbol: &Symbol, order_id: i64) -> String {
        format!("forced_told/{}/{}/{symbol}/{order_id}", self.shared.store.venue(), self.name())
    }

    /// Asks again who traded what nobody could tell so far.
    pub(in crate::desk) async fn ask_again_who_traded(&self) {
        self.recall_unexplained().await;
        let unexplained = {
            let mut all = self.unexplained.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|_, executed| executed.since.elapsed() < ASKED_FOR);
            all.clone()
        };
        for ((symbol, order_id), executed) in &unexplained {
            self.explain(symbol, *order_id, executed).await;
        }
    }

    async fn explain(&self, symbol: &Symbol, order_id: i64, executed: &Unexplained) {
        let is_explained = || {
            let mut all = self.unexplained.lock().unwrap_or_else(PoisonError::into_inner);
            all.remove(&(symbol.clone(), order_id)).is_some()
        };
        match self.is_known_order(symbol, order_id).await {
            Ok(true) => {
                is_explained();
                return;
            }
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(account = %self.name(), %symbol, %error, "a fill could not be matched with the journal");
            }
        }
        let report = match self.client.order_by_number(symbol, order_id).await {
            Ok(Some(report)) => report,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(account = %self.name(), %symbol, order_id, %error, "whose a fill is could not be asked");
                return;
            }
        };
        match self.recognise(&report).await {
            Ok(true) => {}
            // Whoever settles it notes its number, and it is known then.
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(account = %self.name(), %symbol, order_id, %error, "an order could not be looked up in the journal");
                return;
            }
        }
        // Only one of those who asked tells it.
        if !is_explained() {
            return;
        }
        let Some(how) = report.client_order_id.as_ref().and_then(|id| forced_by(id.as_str())) else {
            return;
        };
        let text = format!(
            "{} {symbol}: {how} by the exchange: {} closed, {} USDT before fees",
            self.name(),
            executed.quantity,
            executed.realised.value().round_dp(2)
        );
        self.alarm(Severity::Critical, text.clone());
        self.shared.note_operator(ActionKind::ByExchange, Some(self.name()), Some(symbol), text).await;
        if let Err(error) = self.shared.store.set_meta(&self.told_key(symbol, order_id), "told").await {
            tracing::error!(account = %self.name(), %symbol, order_id, %error, "that a forced close was told could not be noted; the next start tells it again");
        }
    }

    /// Whether an order that was executed needs no more asking. One of ours that the journal ended without a fill is noted
    /// as filled now, which is told: it was found nowhere for minutes, and arrived all the same. One of ours that is still
    /// open is left to whoever settles it.
    async fn recognise(&self, report: &OrderReport) -> Result<bool, Unjournaled> {
        let Some(id) = &report.client_order_id else { return Ok(true) };
        let Some(stored) = in_time(self.shared.store.order(id)).await? else { return Ok(true) };
        let is_open = matches!(stored.state, OrderState::Sent | OrderState::Unknown | OrderState::Accepted);
        if is_open {
            return Ok(false);
        }
        let order = Journaled::recalled(&stored.intent);
        let learned = Learned {
            exchange_id: Some(report.order_id.to_string()),
            price: report.average_price,
            executed: report.executed,
            error: None,
        };
        self.learn(&order, OrderState::Filled, learned).await;
        if stored.state == OrderState::Filled {
            return Ok(true);
        }
        let text = format!(
            "{} {}: an order that had been given up as {} was executed at the exchange after all: {id}",
            self.name(),
            order.symbol,
            stored.state.as_str().replace('_', " "),
        );
        self.alarm(Severity::Warning, text);
        Ok(true)
    }

    async fn is_known_order(&self, symbol: &Symbol, order_id: i64) -> Result<bool, Unjournaled> {
        let number = order_id.to_string();
        let orders = in_time(self.shared.store.orders_of(self.name(), symbol, ORDERS_BACK)).await?;
        Ok(orders.iter().any(|order| order.exchange_id.as_deref() == Some(number.as_str())))
    }
}

/// What the exchange did, by the name it gave the order; `None` for the names of others.
fn forced_by(name: &str) -> Option<&'static str> {
    if name.starts_with("settlement_autoclose-") {
        Some("settled")
    } else if name.starts_with("adl_autoclose") {
        Some("auto-deleveraged")
    } else if name.starts_with("autoclose-") {
        Some("liquidated")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exchanges_own_names_are_forced_closes() {
        for (name, expected) in [
            ("autoclose-177", Some("liquidated")),
            ("adl_autoclose", Some("auto-deleveraged")),
            ("settlement_autoclose-9", Some("settled")),
            ("web_autoclose-1", None),
            ("j2c0123456789", None),
        ] {
            assert_eq!(forced_by(name), expected, "{name}");
        }
    }
}
