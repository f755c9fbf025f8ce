//! What changes state at the exchange. Every method sends exactly once and answers an [`Outcome`].

use http::Method;
use rust_decimal::Decimal;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::domain::{ClientOrderId, Price, Quantity, Side, Symbol};

use super::client::{ExchangeClient, ListenKey, Security};
use super::outcome::{Outcome, codes};
use super::signing::Params;
use super::types::{AlgoAck, AlgoStatus, OrderAck, OrderStatus};
use super::wire::{decode_success, instant, int, opt_int, opt_num};

/// An order at the market's price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarketOrder {
    /// The contract.
    pub symbol: Symbol,
    /// Side.
    pub side: Side,
    /// Units of the coin, on the contract's step.
    pub quantity: Quantity,
    /// Whether it may only reduce; always set for closes.
    pub reduce_only: bool,
    /// Our name for it, written down before it is sent.
    pub client_order_id: ClientOrderId,
}

/// A stop that rests at the exchange and sells or buys at market when the mark price reaches its trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopOrder {
    /// The contract.
    pub symbol: Symbol,
    /// The side that closes the position.
    pub side: Side,
    /// The mark price that triggers it, on the contract's tick.
    pub trigger: Price,
    /// How much it closes.
    pub size: StopSize,
    /// Our name for it; the triggered order carries it too.
    pub client_order_id: ClientOrderId,
}

/// How much a stop closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopSize {
    /// Whatever is there when it triggers. The exchange removes it when the position is gone, refuses it while flat
    /// (-4509), and allows one a direction (-4130).
    WholePosition,
    /// This much, reduce-only. It may rest beside others and outlives its position.
    ReduceOnly(Quantity),
}

impl ExchangeClient {
    /// Orders at market. The answer carries no price.
    pub async fn place_market(&self, order: &MarketOrder) -> Outcome<OrderAck> {
        let mut params = Params::new()
            .with("symbol", order.symbol.as_str())
            .with("side", order.side.as_str())
            .with("type", "MARKET")
            .with_decimal("quantity", order.quantity.value())
            .with("newClientOrderId", order.client_order_id.as_str())
            .with("newOrderRespType", "RESULT");
        if order.reduce_only {
            params = params.with("reduceOnly", "true");
        }
        self.write(Method::POST, "/fapi/v1/order", params, decode_order).await
    }

    /// Places a stop on the mark price. Stops are conditional orders of their own endpoint since December 2025.
    pub async fn place_stop(&self, order: &StopOrder) -> Outcome<AlgoAck> {
        let params = Params::new()
            .with("algoType", "CONDITIONAL")
            .with("symbol", order.symbol.as_str())
            .with("side", order.side.as_str())
            .with("type", "STOP_MARKET")
            .with_decimal("triggerPrice", order.trigger.value())
            .with("workingType", "MARK_PRICE")
            .with("clientAlgoId", order.client_order_id.as_str());
        let params = match order.size {
            StopSize::WholePosition => params.with("closePosition", "true"),
            StopSize::ReduceOnly(quantity) => {
                params.with_decimal("quantity", quantity.value()).with("reduceOnly", "true")
            }
        };
        self.write(Method::POST, "/fapi/v1/algoOrder", params, decode_algo).await
    }

    /// Takes back a conditional order. Refused with -2011 when it is no longer open, -2013 when it is not known.
    pub async fn cancel_algo(&self, id: &ClientOrderId) -> Outcome<()> {
        let params = Params::new().with("clientAlgoId", id.as_str());
        self.write(Method::DELETE, "/fapi/v1/algoOrder", params, decode_success).await
    }

    /// Takes back a plain order. Refused with -2011 when it is no longer open.
    pub async fn cancel_order(&self, symbol: &Symbol, id: &ClientOrderId) -> Outcome<OrderAck> {
        let params = Params::new().with("symbol", symbol.as_str()).with("origClientOrderId", id.as_str());
        self.write(Method::DELETE, "/fapi/v1/order", params, decode_order).await
    }

    /// Sets the leverage of a contract; answers the leverage that now holds. Harmless to repeat.
    pub async fn set_leverage(&self, symbol: &Symbol, leverage: u32) -> Outcome<u32> {
        #[derive(Deserialize)]
        struct Set {
            leverage: u32,
        }
        let params =
            Params::new().with("symbol", symbol.as_str()).with_number("leverage", i64::from(leverage));
        self.write(Method::POST, "/fapi/v1/leverage", params, |body| {
            serde_json::from_slice::<Set>(body).map(|set| set.leverage)
        })
        .await
    }

    /// Makes the margin of a contract isolated; already isolated is success. Harmless to repeat.
    pub async fn set_isolated(&self, symbol: &Symbol) -> Outcome<()> {
        let params = Params::new().with("symbol", symbol.as_str()).with("marginType", "ISOLATED");
        self.write(Method::POST, "/fapi/v1/marginType", params, decode_success)
            .await
            .or_if_code(codes::MARGIN_TYPE_SET, ())
    }

    /// Puts the account into one-way mode; already there is success. Harmless to repeat.
    pub async fn set_one_way(&self) -> Outcome<()> {
        let params = Params::new().with("dualSidePosition", "false");
        self.write(Method::POST, "/fapi/v1/positionSide/dual", params, decode_success)
            .await
            .or_if_code(codes::POSITION_MODE_SET, ())
    }

    /// Opens the user stream for an hour, or extends it: the key stays the same while it lives.
    pub async fn start_listen_key(&self) -> Outcome<ListenKey> {
        self.listen_key(Method::POST, |body| {
            #[derive(Deserialize)]
            #[serde(rename_all = "camelCase")]
            struct Key {
                listen_key: String,
            }
            serde_json::from_slice::<Key>(body).map(|key| ListenKey(SecretString::from(key.listen_key)))
        })
        .await
    }

    /// Extends the user stream by an hour. Refused with -1125 when there is none.
    pub async fn extend_listen_key(&self) -> Outcome<()> {
        self.listen_key(Method::PUT, |_| Ok(())).await
    }

    /// Ends the account's user stream, for every program that listens to it.
    pub async fn end_listen_key(&self) -> Outcome<()> {
        self.listen_key(Method::DELETE, |_| Ok(())).await
    }

    async fn listen_key<T>(
        &self,
        method: Method,
        decode: impl FnOnce(&[u8]) -> Result<T, serde_json::Error>,
    ) -> Outcome<T> {
        self.write_with(method, "/fapi/v1/listenKey", Params::new(), Security::Key, decode).await
    }
}

impl ListenKey {
    /// The address of the user stream. It contains the key: never print it.
    pub(super) fn stream_url(&self, ws_url: &str) -> String {
        format!("{}/private/ws?listenKey={}", ws_url.trim_end_matches('/'), self.0.expose_secret())
    }

    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

fn decode_order(body: &[u8]) -> Result<OrderAck, serde_json::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Raw {
        #[serde(deserialize_with = "int")]
        order_id: i64,
        status: Option<String>,
        #[serde(default, deserialize_with = "opt_num")]
        executed_qty: Option<Decimal>,
        #[serde(default, deserialize_with = "opt_int")]
        update_time: Option<i64>,
    }
    serde_json::from_slice::<Raw>(body).map(|raw| OrderAck {
        order_id: raw.order_id,
        status: raw.status.as_deref().map(OrderStatus::from_wire),
        executed: raw.executed_qty.and_then(|executed| Quantity::new(executed).ok()),
        updated_at: instant(raw.update_time),
    })
}

fn decode_algo(body: &[u8]) -> Result<AlgoAck, serde_json::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Raw {
        #[serde(deserialize_with = "int")]
        algo_id: i64,
        algo_status: Option<String>,
        #[serde(default, deserialize_with = "opt_num")]
        trigger_price: Option<Decimal>,
    }
    serde_json::from_slice::<Raw>(body).map(|raw| AlgoAck {
        algo_id: raw.algo_id,
        status: raw.algo_status.as_deref().map(AlgoStatus::from_wire),
        trigger: raw.trigger_price.and_then(|trigger| Price::new(trigger).ok()),
    })
}
