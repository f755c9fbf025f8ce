//! The oracle's own reading of what rests at the exchange: off the wire, with nothing of the product's in between.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use jarvis::domain::Direction;
use jarvis::exchange::ExchangePosition;
use rust_decimal::Decimal;
use serde_json::Value;

use super::{Faults, signed_anew};

/// How far from the entry the terms of every account put the stop.
const CONFIGURED: Decimal = Decimal::from_parts(10, 0, 0, false, 2);
/// Part of that distance by which a stop may lie beside its place.
const TOLERANCE: Decimal = Decimal::from_parts(20, 0, 0, false, 2);

/// A conditional order as the exchange lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestingStop {
    pub id: i64,
    pub name: String,
    pub symbol: String,
    pub close_position: bool,
    kind: String,
    side: String,
    status: String,
    working: String,
    trigger: Decimal,
    quantity: Decimal,
    reduce_only: bool,
    price_protect: bool,
}

impl RestingStop {
    fn of(row: &Value) -> Self {
        let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
        let number = |field: &str| text(field).parse().unwrap_or_default();
        let flag = |field: &str| row[field].as_bool().unwrap_or_else(|| panic!("no {field} in {row}"));
        Self {
            id: row["algoId"].as_i64().unwrap(),
            name: text("clientAlgoId"),
            symbol: text("symbol"),
            close_position: flag("closePosition"),
            kind: text("orderType"),
            side: text("side"),
            status: text("algoStatus"),
            working: text("workingType"),
            trigger: number("triggerPrice"),
            quantity: number("quantity"),
            reduce_only: flag("reduceOnly"),
            price_protect: flag("priceProtect"),
        }
    }

    /// Whether it would end this position, and nothing but this position, when the mark price reaches its place: a live
    /// market stop on the losing side, for all that is held, that can only reduce, watches the mark, is not held back by
    /// price protection, and lies where the terms want it.
    pub fn protects(&self, position: &ExchangePosition) -> bool {
        let side = if position.direction == Direction::Long { "SELL" } else { "BUY" };
        let covers = self.close_position || (self.reduce_only && self.quantity >= position.quantity.value());
        self.symbol == position.symbol.as_str()
            && (self.kind.as_str(), self.status.as_str()) == ("STOP_MARKET", "NEW")
            && (self.side.as_str(), self.working.as_str()) == (side, "MARK_PRICE")
            && covers
            && !self.price_protect
            && (self.away(position) - CONFIGURED).abs() <= TOLERANCE * CONFIGURED
    }

    /// How far it lies behind a position's entry, as a share of it; below zero where it lies before it.
    fn away(&self, position: &ExchangePosition) -> Decimal {
        let share = self.trigger / position.entry.value() - Decimal::ONE;
        if position.direction == Direction::Long { -share } else { share }
    }
}

impl Faults {
    /// Everything conditional that rests in an account, past all faults and all weather.
    pub async fn resting_stops(&self, account: usize) -> Vec<RestingStop> {
        let (key, secret) = &self.keys[account];
        let query = signed_anew("recvWindow=60000&timestamp=0", secret, self.clock.now_ms());
        let request = Request::get(format!("http://truth/fapi/v1/openAlgoOrders?{query}"))
            .header("x-mbx-apikey", key)
            .body(Bytes::new())
            .unwrap();
        let answer = self.calm.fetch(request, Duration::from_secs(5), 64 << 20).await.unwrap();
        let rows: Value = serde_json::from_slice(&answer.body).unwrap();
        rows.as_array().unwrap_or_else(|| panic!("{rows}")).iter().map(RestingStop::of).collect()
    }
}
