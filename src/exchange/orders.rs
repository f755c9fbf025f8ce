//! What changes state at the exchange. Every method sends exactly once and answers an [`Outcome`].

use std::time::Duration;

use http::Method;
use rust_decimal::Decimal;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::domain::{ClientOrderId, Price, Quantity, Side, Symbol, Timestamp};

use super::client::{ExchangeClient, ListenKey, Security};
use super::outcome::{Outcome, codes};
use super::signing::Params;
use super::types::{AlgoAck, AlgoStatus, OrderAck, OrderStatus};
use super::wire::{decode_success, instant, int, opt_int, opt_num};

const ORDER: &str = "/fapi/v1/order";
const ORDER_TEST: &str = "/fapi/v1/order/test";

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

/// How long a limit order stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeInForce {
    /// Until it is taken back, a year at most.
    GoodTillCancelled,
    /// What cannot be filled at once expires.
    ImmediateOrCancel,
    /// Filled at once and whole, or refused (-5021).
    FillOrKill,
    /// Only if it rests; one that would take is refused (-5022) or expires.
    PostOnly,
    /// Until an instant; the exchange takes whole seconds.
    GoodTillDate(Timestamp),
}

/// An order at a price or better.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitOrder {
    /// The contract.
    pub symbol: Symbol,
    /// Side.
    pub side: Side,
    /// Units of the coin, on the contract's step.
    pub quantity: Quantity,
    /// The worst acceptable price, on the contract's tick.
    pub price: Price,
    /// How long it stays.
    pub time_in_force: TimeInForce,
    /// Whether it may only reduce.
    pub reduce_only: bool,
    /// Our name for it, written down before it is sent.
    pub client_order_id: ClientOrderId,
}

impl MarketOrder {
    fn params(&self) -> Params {
        let params = Params::new()
            .with("symbol", self.symbol.as_str())
            .with("side", self.side.as_str())
            .with("type", "MARKET")
            .with_decimal("quantity", self.quantity.value())
            .with("newClientOrderId", self.client_order_id.as_str())
            .with("newOrderRespType", "RESULT");
        params.with_some("reduceOnly", self.reduce_only.then_some("true"))
    }
}

impl LimitOrder {
    fn params(&self) -> Params {
        let (word, until) = match self.time_in_force {
            TimeInForce::GoodTillCancelled => ("GTC", None),
            TimeInForce::ImmediateOrCancel => ("IOC", None),
            TimeInForce::FillOrKill => ("FOK", None),
            TimeInForce::PostOnly => ("GTX", None),
            TimeInForce::GoodTillDate(until) => ("GTD", Some(until.timestamp() * 1000)),
        };
        let params = Params::new()
            .with("symbol", self.symbol.as_str())
            .with("side", self.side.as_str())
            .with("type", "LIMIT")
            .with("timeInForce", word)
            .with_some("goodTillDate", until.map(|until| until.to_string()))
            .with_decimal("quantity", self.quantity.value())
            .with_decimal("price", self.price.value())
            .with("newClientOrderId", self.client_order_id.as_str())
            .with("newOrderRespType", "RESULT");
        params.with_some("reduceOnly", self.reduce_only.then_some("true"))
    }
}

/// What became of taking back everything in a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelledAll {
    /// Of the plain orders.
    pub orders: Outcome<()>,
    /// Of the conditional orders.
    pub conditional: Outcome<()>,
}

impl CancelledAll {
    /// Whether the exchange took both calls.
    pub const fn is_complete(&self) -> bool {
        matches!((&self.orders, &self.conditional), (Outcome::Accepted(()), Outcome::Accepted(())))
    }
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
        self.write_order(ORDER, order.params(), order.reduce_only, decode_order).await
    }

    /// Orders at a limit.
    pub async fn place_limit(&self, order: &LimitOrder) -> Outcome<OrderAck> {
        self.write_order(ORDER, order.params(), order.reduce_only, decode_order).await
    }

    /// Has the exchange check an order at market without placing it. Counts as an order all the same.
    pub async fn test_market(&self, order: &MarketOrder) -> Outcome<()> {
        self.write_order(ORDER_TEST, order.params(), false, decode_object).await
    }

    /// Has the exchange check an order at a limit without placing it. Counts as an order all the same.
    pub async fn test_limit(&self, order: &LimitOrder) -> Outcome<()> {
        self.write_order(ORDER_TEST, order.params(), false, decode_object).await
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
        self.write_order("/fapi/v1/algoOrder", params, true, decode_algo).await
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

    /// Takes back everything that rests in a contract. The exchange keeps plain and conditional orders apart, so these
    /// are two calls with an outcome each; they are sent side by side. This takes stops away too.
    pub async fn cancel_all(&self, symbol: &Symbol) -> CancelledAll {
        let named = || Params::new().with("symbol", symbol.as_str());
        let (orders, conditional) = tokio::join!(
            self.write(Method::DELETE, "/fapi/v1/allOpenOrders", named(), decode_success),
            self.write(Method::DELETE, "/fapi/v1/algoOpenOrders", named(), decode_success),
        );
        CancelledAll { orders, conditional }
    }

    /// Has the exchange take back all plain orders of a contract after `after`, unless called again before; zero
    /// disarms it. Conditional orders, and with them stops, stay.
    pub async fn countdown_cancel_all(&self, symbol: &Symbol, after: Duration) -> Outcome<()> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Armed {
            #[serde(deserialize_with = "int")]
            countdown_time: i64,
        }
        let after_ms = i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
        let params = Params::new().with("symbol", symbol.as_str()).with_number("countdownTime", after_ms);
        self.write(Method::POST, "/fapi/v1/countdownCancelAll", params, |body| {
            let armed: Armed = serde_json::from_slice(body)?;
            if armed.countdown_time == after_ms {
                Ok(())
            } else {
                Err(serde::de::Error::custom(format!("armed for {} ms instead", armed.countdown_time)))
            }
        })
        .await
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
        self.set_margin_type(symbol, "ISOLATED").await
    }

    /// Makes the margin of a contract that of the whole account; already so is success. Harmless to repeat.
    pub async fn set_cross(&self, symbol: &Symbol) -> Outcome<()> {
        self.set_margin_type(symbol, "CROSSED").await
    }

    async fn set_margin_type(&self, symbol: &Symbol, word: &str) -> Outcome<()> {
        let params = Params::new().with("symbol", symbol.as_str()).with("marginType", word);
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

/// A success that tells nothing, such as that of an order test.
fn decode_object(body: &[u8]) -> Result<(), serde_json::Error> {
    serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body).map(|_| ())
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
