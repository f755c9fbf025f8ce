//! What the exchange closed by itself: liquidations, auto-deleveraging, settlement. Their orders carry the exchange's names.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::AccountDesk;
use crate::domain::{Severity, Symbol, Usdt};
use crate::exchange::Fill;
use crate::store::{ActionKind, StoreError};

impl AccountDesk {
    /// Finds out of fills that were just booked which the exchange made by itself, and tells the operator and the next
    /// cycle.
    pub(super) async fn tell_forced(&self, symbol: &Symbol, booked: &[Fill]) {
        let mut by_order: BTreeMap<i64, (Decimal, Usdt)> = BTreeMap::new();
        for fill in booked.iter().filter(|fill| fill.realised != Usdt::ZERO) {
            let (quantity, realised) = by_order.entry(fill.order_id).or_insert((Decimal::ZERO, Usdt::ZERO));
            *quantity += fill.quantity.value();
            *realised = *realised + fill.realised;
        }
        for (order_id, (quantity, realised)) in by_order {
            match self.is_known_order(symbol, order_id).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(account = %self.name(), %symbol, %error, "a fill could not be matched with the journal");
                }
            }
            let report = match self.client.order_by_number(symbol, order_id).await {
                Ok(Some(report)) => report,
                Ok(None) => continue,
                Err(error) => {
                    tracing::warn!(account = %self.name(), %symbol, order_id, %error, "who closed a position could not be asked");
                    continue;
                }
            };
            let Some(how) = report.client_order_id.as_ref().and_then(|id| forced_by(id.as_str())) else {
                continue;
            };
            let text = format!(
                "{} {symbol}: {how} by the exchange: {quantity} closed, {} USDT before fees",
                self.name(),
                realised.value().round_dp(2)
            );
            self.alarm(Severity::Critical, text.clone());
            self.shared.note_operator(ActionKind::ByExchange, Some(self.name()), Some(symbol), text).await;
        }
    }

    async fn is_known_order(&self, symbol: &Symbol, order_id: i64) -> Result<bool, StoreError> {
        let number = order_id.to_string();
        let orders = self.shared.store.orders_of(self.name(), symbol, super::restop::ORDERS_BACK).await?;
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
