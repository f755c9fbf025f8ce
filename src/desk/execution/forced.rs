//! What the exchange closed by itself: liquidations, auto-deleveraging, settlement. Their orders carry the exchange's names.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use rust_decimal::Decimal;
use tokio::time::Instant;

use super::AccountDesk;
use super::journal::{Unjournaled, in_time};
use crate::domain::{Severity, Symbol, Usdt};
use crate::exchange::Fill;
use crate::store::ActionKind;

/// How many orders of a coin are looked through for the one behind a fill.
const ORDERS_BACK: u32 = 50;
/// How long the exchange is asked who closed something.
const ASKED_FOR: Duration = Duration::from_hours(24);

/// A close of which nobody knows yet who sent it.
#[derive(Debug, Clone)]
pub(super) struct Unexplained {
    quantity: Decimal,
    realised: Usdt,
    since: Instant,
}

impl AccountDesk {
    /// Finds out of fills that were just booked which the exchange made by itself, and tells the operator and the next
    /// cycle. Whoever cannot be asked now is asked again.
    pub(super) async fn tell_forced(&self, symbol: &Symbol, booked: &[Fill]) {
        let mut by_order: BTreeMap<i64, Unexplained> = BTreeMap::new();
        for fill in booked.iter().filter(|fill| fill.realised != Usdt::ZERO) {
            let one = by_order.entry(fill.order_id).or_insert_with(|| Unexplained {
                quantity: Decimal::ZERO,
                realised: Usdt::ZERO,
                since: Instant::now(),
            });
            one.quantity += fill.quantity.value();
            one.realised = one.realised + fill.realised;
        }
        // Before anything is asked: the asking may be cut short.
        {
            let mut unexplained = self.unexplained.lock().unwrap_or_else(PoisonError::into_inner);
            for (order_id, close) in &by_order {
                unexplained.insert((symbol.clone(), *order_id), close.clone());
            }
        }
        for (order_id, close) in &by_order {
            self.explain(symbol, *order_id, close).await;
        }
    }

    /// Asks again who closed what nobody could tell so far.
    pub(in crate::desk) async fn ask_again_who_closed(&self) {
        let unexplained = {
            let mut all = self.unexplained.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|_, close| close.since.elapsed() < ASKED_FOR);
            all.clone()
        };
        for ((symbol, order_id), close) in &unexplained {
            self.explain(symbol, *order_id, close).await;
        }
    }

    async fn explain(&self, symbol: &Symbol, order_id: i64, close: &Unexplained) {
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
                tracing::warn!(account = %self.name(), %symbol, order_id, %error, "who closed a position could not be asked");
                return;
            }
        };
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
            close.quantity,
            close.realised.value().round_dp(2)
        );
        self.alarm(Severity::Critical, text.clone());
        self.shared.note_operator(ActionKind::ByExchange, Some(self.name()), Some(symbol), text).await;
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
