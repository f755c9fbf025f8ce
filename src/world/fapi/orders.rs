//! Market and limit orders.

use std::borrow::Cow;

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::Call;
use super::account::success;
use super::error::ApiError;
use super::history::{page, week};
use super::lag;
use super::params::Params;
use super::wire::{average, fixed};
use crate::domain::{Side, Symbol};
use crate::world::World;
use crate::world::engine::{
    AccountId, AlgoKind, Amendment, Contract, Handle, Order, OrderKind, OrderRequest, OrderStatus,
    TimeInForce, refusal,
};

const DAY: i64 = 86_400_000;
/// Orders that ended without a fill are told so long.
const UNFILLED_KEPT: i64 = 3 * DAY;
/// Orders are told so long.
const KEPT: i64 = 90 * DAY;
/// Elements of a batch: placed and cancelled.
const BATCH: usize = 5;
const CANCEL_BATCH: usize = 10;

/// `BUY` or `SELL`.
pub(super) fn side(params: &Params) -> Result<Side, ApiError> {
    match params.required("side")? {
        "BUY" => Ok(Side::Buy),
        "SELL" => Ok(Side::Sell),
        _ => Err(ApiError::new(-1117, "Invalid side.")),
    }
}

/// One-way mode knows only `BOTH`.
pub(super) fn check_position_side(params: &Params) -> Result<(), ApiError> {
    match params.get("positionSide") {
        None | Some("BOTH") => Ok(()),
        Some("LONG" | "SHORT") => {
            Err(ApiError::new(-4061, "Order's position side does not match user's setting."))
        }
        Some(_) => Err(ApiError::new(-4060, "Invalid position side.")),
    }
}

/// What an order may say of how it meets others. Prices are named here, not taken from the book, and orders of this
/// exchange's accounts never meet each other, so that there is nothing to prevent: only the usual values are taken.
pub(super) fn check_matching(params: &Params) -> Result<(), ApiError> {
    for (name, usual) in [("priceMatch", "NONE"), ("selfTradePreventionMode", "EXPIRE_MAKER")] {
        if params.get(name).is_some_and(|value| value != usual) {
            return Err(ApiError::new(
                -1130,
                format!("Data sent for parameter '{name}' is not valid; only {usual} is offered."),
            ));
        }
    }
    Ok(())
}

/// The time in force, good-till-cancelled when absent.
pub(super) fn time_in_force(params: &Params) -> Result<Option<TimeInForce>, ApiError> {
    match params.get("timeInForce") {
        // The undocumented spelling that closePosition orders are accepted with.
        Some("GTE_GTC") => Ok(Some(TimeInForce::Gtc)),
        Some(word) => {
            TimeInForce::from_word(word).map(Some).ok_or_else(|| ApiError::new(-1115, "Invalid timeInForce."))
        }
        None => Ok(None),
    }
}

/// Reads an order; nothing is checked against the account yet.
fn request(call: &Call<'_>, params: &Params) -> Result<OrderRequest, ApiError> {
    let symbol = params.symbol()?.ok_or_else(|| ApiError::missing("symbol"))?;
    call.core.engine.contract(&symbol)?;
    let side = side(params)?;
    let word = params.required("type")?;
    if AlgoKind::from_word(word).is_some() {
        return Err(ApiError::new(
            -4120,
            "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
        ));
    }
    let kind = match word {
        "MARKET" => OrderKind::Market,
        "LIMIT" => OrderKind::Limit,
        _ => return Err(ApiError::new(-1116, "Invalid orderType.")),
    };
    check_position_side(params)?;
    check_matching(params)?;
    let wanted = time_in_force(params)?;
    let quantity = params.decimal("quantity")?.ok_or_else(|| ApiError::missing("quantity"))?;
    let price = params.decimal("price")?;
    let (time_in_force, price) = match kind {
        OrderKind::Limit => (
            wanted.ok_or_else(|| ApiError::missing("timeInForce"))?,
            price.ok_or_else(|| ApiError::missing("price"))?,
        ),
        _ if price.is_some_and(|price| !price.is_zero()) => {
            return Err(ApiError::new(-1106, "Parameter 'price' sent when not required."));
        }
        _ => (TimeInForce::Gtc, Decimal::ZERO),
    };
    Ok(OrderRequest {
        symbol,
        side,
        kind,
        time_in_force,
        quantity,
        price,
        reduce_only: params.flag("reduceOnly")?.unwrap_or(false),
        client_id: params.get("newClientOrderId").map(ToOwned::to_owned),
        good_till: params.integer("goodTillDate")?,
    })
}

fn place_one(call: &mut Call<'_>, params: &Params) -> Result<Value, ApiError> {
    let who = call.account()?;
    let request = request(call, params)?;
    let full = wants_result(params)?;
    if let Some(share) = call.twist.fill_share {
        // What is refused must not leave the share behind for the next order.
        call.core.engine.check(who, &request, call.now)?;
        call.core.engine.fill_only(who, share);
    }
    let mut order = call.core.engine.place(who, request, call.now)?;
    if !full {
        // An acknowledgement tells nothing of what followed.
        order.status = OrderStatus::New;
        order.executed = Decimal::ZERO;
    }
    Ok(acknowledged(&order, call.contract(&order.symbol)?))
}

/// Whether the answer should tell the outcome instead of the mere acceptance.
fn wants_result(params: &Params) -> Result<bool, ApiError> {
    match params.get("newOrderRespType") {
        None | Some("ACK") => Ok(false),
        Some("RESULT") => Ok(true),
        Some(_) => Err(ApiError::invalid("newOrderRespType")),
    }
}

/// `POST /fapi/v1/order`.
pub(super) fn place(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let params = call.params;
    place_one(call, params)
}

/// `POST /fapi/v1/order/test`: checked like an order, placed never.
pub(super) fn test(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let who = call.account()?;
    let request = request(call, call.params)?;
    wants_result(call.params)?;
    call.core.engine.check(who, &request, call.now)?;
    Ok(json!({}))
}

/// The elements of a batch.
fn batch(call: &Call<'_>) -> Result<Vec<serde_json::Map<String, Value>>, ApiError> {
    let text = call.params.required("batchOrders")?;
    let elements: Vec<serde_json::Map<String, Value>> =
        serde_json::from_str(text).map_err(|_| ApiError::invalid("batchOrders"))?;
    if elements.is_empty() || elements.len() > BATCH {
        return Err(ApiError::new(-4082, "Invalid number of batch place orders."));
    }
    Ok(elements)
}

/// `POST /fapi/v1/batchOrders`: orders and refusals in request order.
pub(super) fn place_batch(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let elements = batch(call)?;
    Ok(elements
        .iter()
        .map(|element| place_one(call, &Params::from_object(element)).unwrap_or_else(|error| error.body()))
        .collect())
}

/// `PUT /fapi/v1/order`: price and quantity of a resting limit order, both named.
pub(super) fn amend(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let params = call.params;
    amend_one(call, params)
}

fn amend_one(call: &mut Call<'_>, params: &Params) -> Result<Value, ApiError> {
    let who = call.account()?;
    let symbol = params.symbol()?.ok_or_else(|| ApiError::missing("symbol"))?;
    call.core.engine.contract(&symbol)?;
    let change = Amendment {
        handle: handle_in(params)?,
        side: side(params)?,
        quantity: params.decimal("quantity")?.ok_or_else(|| ApiError::missing("quantity"))?,
        price: params.decimal("price")?.ok_or_else(|| ApiError::missing("price"))?,
        symbol,
    };
    let order = call.core.engine.modify(who, &change, call.now)?;
    Ok(acknowledged(&order, call.contract(&order.symbol)?))
}

/// `PUT /fapi/v1/batchOrders`: amended orders and refusals in request order.
pub(super) fn amend_batch(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let elements = batch(call)?;
    Ok(elements
        .iter()
        .map(|element| amend_one(call, &Params::from_object(element)).unwrap_or_else(|error| error.body()))
        .collect())
}

fn handle(call: &Call<'_>) -> Result<Handle, ApiError> {
    handle_in(call.params)
}

fn handle_in(params: &Params) -> Result<Handle, ApiError> {
    if let Some(id) = params.integer("orderId")? {
        return Ok(Handle::Id(id));
    }
    let name = params.get("origClientOrderId");
    name.map(|name| Handle::Client(name.to_owned())).ok_or_else(|| ApiError::missing("orderId"))
}

/// Whether the exchange still tells of an order.
fn is_told(order: &Order, now: i64) -> bool {
    let unfilled =
        matches!(order.status, OrderStatus::Canceled | OrderStatus::Expired) && order.executed.is_zero();
    order.is_open() || now - order.created <= if unfilled { UNFILLED_KEPT } else { KEPT }
}

/// `GET /fapi/v1/order`.
pub(super) fn query(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let (who, symbol) = (call.account()?, call.symbol()?);
    let handle = handle(call)?;
    let order = call.core.engine.order(who, &symbol, &handle).filter(|order| is_told(order, call.now));
    let order = order.and_then(|order| lag::order(call, who, order));
    let order = order.ok_or(refusal::NO_SUCH_ORDER)?;
    Ok(queried(&order, call.contract(&symbol)?))
}

/// `GET /fapi/v1/openOrder`.
pub(super) fn query_open(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let (who, symbol) = (call.account()?, call.symbol()?);
    let handle = handle(call)?;
    let order = call.core.engine.order(who, &symbol, &handle).and_then(|order| lag::order(call, who, order));
    let order = order.filter(|order| order.is_open());
    let order = order.ok_or(refusal::NO_SUCH_ORDER)?;
    Ok(queried(&order, call.contract(&symbol)?))
}

/// `DELETE /fapi/v1/order`.
pub(super) fn cancel(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let (who, symbol) = (call.account()?, call.symbol()?);
    cancel_one(call, who, &symbol, &handle(call)?)
}

fn cancel_one(
    call: &mut Call<'_>,
    who: AccountId,
    symbol: &Symbol,
    handle: &Handle,
) -> Result<Value, ApiError> {
    let order = call.core.engine.cancel(who, symbol, handle, call.now)?;
    Ok(acknowledged(&order, call.contract(symbol)?))
}

/// `DELETE /fapi/v1/batchOrders`. The lists are also taken by the lower-case names that ccxt sends and the exchange
/// takes.
pub(super) fn cancel_batch(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let (who, symbol) = (call.account()?, call.symbol()?);
    let named = |names: [&'static str; 2]| names.into_iter().find_map(|name| call.params.get(name));
    let handles: Vec<Handle> = if let Some(text) = named(["orderIdList", "orderidlist"]) {
        let ids: Vec<i64> = serde_json::from_str(text).map_err(|_| ApiError::invalid("orderIdList"))?;
        ids.into_iter().map(Handle::Id).collect()
    } else {
        let text = named(["origClientOrderIdList", "origclientorderidlist"])
            .ok_or_else(|| ApiError::missing("origClientOrderIdList"))?;
        let names: Vec<String> =
            serde_json::from_str(text).map_err(|_| ApiError::invalid("origClientOrderIdList"))?;
        names.into_iter().map(Handle::Client).collect()
    };
    if handles.is_empty() || handles.len() > CANCEL_BATCH {
        return Err(ApiError::new(-4083, "Invalid number of batch cancel orders."));
    }
    Ok(handles
        .iter()
        .map(|handle| cancel_one(call, who, &symbol, handle).unwrap_or_else(|error| error.body()))
        .collect())
}

/// `DELETE /fapi/v1/allOpenOrders`: conditional orders stay.
pub(super) fn cancel_all(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let (who, symbol, now) = (call.account()?, call.symbol()?, call.now);
    call.core.engine.cancel_all(who, &symbol, now)?;
    let mut envelope = success();
    envelope["msg"] = json!("The operation of cancel all open order is done.");
    Ok(envelope)
}

/// `POST /fapi/v1/countdownCancelAll`: 0 disarms.
pub(super) fn countdown(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let (who, symbol) = (call.account()?, call.symbol()?);
    let after = call.params.integer("countdownTime")?.ok_or_else(|| ApiError::missing("countdownTime"))?;
    if after < 0 {
        return Err(ApiError::invalid("countdownTime"));
    }
    if after == 0 {
        call.core.countdowns.remove(&(who, symbol.clone()));
    } else {
        call.core.countdowns.insert((who, symbol.clone()), call.now.saturating_add(after));
    }
    World::touch(call.core);
    Ok(json!({"symbol": symbol, "countdownTime": after.to_string()}))
}

/// `GET /fapi/v1/openOrders`.
pub(super) fn open_orders(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let who = call.account()?;
    let symbol = call.optional_symbol()?;
    let account = call.core.engine.account(who);
    let known: Vec<&Order> =
        if call.twist.lag_ms == 0 { account.resting().collect() } else { account.orders.values().collect() };
    known
        .into_iter()
        .filter_map(|order| lag::order(call, who, order))
        .filter(|order| order.is_open())
        .filter(|order| symbol.as_ref().is_none_or(|symbol| order.symbol == *symbol))
        .map(|order| Ok(queried(&order, call.contract(&order.symbol)?)))
        .collect()
}

/// `GET /fapi/v1/allOrders`.
pub(super) fn all_orders(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let who = call.account()?;
    let symbol = call.optional_symbol()?;
    let limit = call.params.limit(500, 1000)?;
    let first = call.params.integer("orderId")?;
    let (from, to) = if first.is_some() { (0, i64::MAX) } else { week(call)? };
    let mut rows: Vec<Cow<'_, Order>> = call
        .core
        .engine
        .account(who)
        .orders
        .values()
        .filter(|order| symbol.as_ref().is_none_or(|symbol| order.symbol == *symbol))
        .filter(|order| (from..=to).contains(&order.created) && is_told(order, call.now))
        .filter(|order| first.is_none_or(|first| order.id >= first))
        .filter_map(|order| lag::order(call, who, order))
        .collect();
    page(&mut rows, limit, first.is_some());
    let row = |order: &Order| {
        let mut body = queried(order, call.contract(&order.symbol)?);
        body["pair"] = json!(order.symbol);
        body["marginAsset"] = json!("USDT");
        // Amounts of coin-margined contracts, of which there are none here.
        (body["baseQty"], body["cumBase"]) = (json!("0"), json!("0"));
        Ok(body)
    };
    rows.iter().map(|order| row(order)).collect()
}

fn common(order: &Order, contract: &Contract) -> Value {
    let quantity = contract.quantity_digits();
    json!({
        "orderId": order.id, "symbol": order.symbol, "status": order.status.as_str(),
        "clientOrderId": order.client_id, "price": fixed(order.price, contract.price_digits()),
        "origQty": fixed(order.quantity, quantity), "executedQty": fixed(order.executed, quantity),
        "timeInForce": order.time_in_force.as_str(), "type": order.kind.as_str(),
        "origType": order.kind.as_str(), "reduceOnly": order.reduce_only, "closePosition": order.close_position,
        "side": order.side, "positionSide": "BOTH", "stopPrice": "0", "workingType": "CONTRACT_PRICE",
        "priceProtect": false, "priceMatch": "NONE", "selfTradePreventionMode": "EXPIRE_MAKER",
        "goodTillDate": order.good_till, "updateTime": order.updated,
    })
}

/// What placing and cancelling answer: without average price and value since July 2026.
fn acknowledged(order: &Order, contract: &Contract) -> Value {
    let mut body = common(order, contract);
    body["cumQty"] = json!(fixed(order.executed, contract.quantity_digits()));
    body
}

/// What asking for an order answers.
fn queried(order: &Order, contract: &Contract) -> Value {
    let mut body = common(order, contract);
    body["avgPrice"] = json!(average(order.average(), contract.price_digits()));
    body["cumQuote"] = json!(average(order.executed_quote, contract.price_digits()));
    body["time"] = json!(order.created);
    body
}
