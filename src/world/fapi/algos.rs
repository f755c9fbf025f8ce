//! Conditional orders: a store of its own until the trigger.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::Call;
use super::account::success;
use super::error::ApiError;
use super::history::{page, week};
use super::lag;
use super::orders::{check_matching, check_position_side, side, time_in_force};
use super::wire::{average, fixed};
use crate::world::engine::{
    AlgoKind, AlgoOrder, AlgoRequest, AlgoStatus, Contract, Handle, TimeInForce, WorkingType, refusal,
};
use crate::world::faults::carry::Vanishing;

fn request(call: &Call<'_>) -> Result<AlgoRequest, ApiError> {
    let params = call.params;
    if params.required("algoType")? != "CONDITIONAL" {
        return Err(ApiError::invalid("algoType"));
    }
    let symbol = call.symbol()?;
    let side = side(params)?;
    let kind = AlgoKind::from_word(params.required("type")?)
        .ok_or_else(|| ApiError::new(-1116, "Invalid orderType."))?;
    check_position_side(params)?;
    check_matching(params)?;
    let working = match params.get("workingType") {
        None => WorkingType::Contract,
        Some(word) => WorkingType::from_word(word).ok_or_else(|| ApiError::invalid("workingType"))?,
    };
    let close_position = params.flag("closePosition")?.unwrap_or(false);
    let quantity = params.decimal("quantity")?;
    if !close_position && quantity.is_none() {
        return Err(ApiError::missing("quantity"));
    }
    let trailing = kind == AlgoKind::TrailingStopMarket;
    let trigger_price = params.decimal("triggerPrice")?;
    let price = params.decimal("price")?;
    let callback_rate = params.decimal("callbackRate")?;
    if !trailing && trigger_price.is_none() {
        return Err(ApiError::missing("triggerPrice"));
    }
    if trailing && callback_rate.is_none() {
        return Err(ApiError::missing("callbackRate"));
    }
    if kind.is_limit() && price.is_none() {
        return Err(ApiError::missing("price"));
    }
    Ok(AlgoRequest {
        symbol,
        side,
        kind,
        time_in_force: time_in_force(params)?.unwrap_or(TimeInForce::Gtc),
        quantity,
        price: price.filter(|_| kind.is_limit()),
        trigger_price: trigger_price.filter(|_| !trailing),
        callback_rate: callback_rate.filter(|_| trailing),
        activate_price: params.decimal("activatePrice")?.filter(|_| trailing),
        working,
        close_position,
        reduce_only: params.flag("reduceOnly")?.unwrap_or(false),
        price_protect: params.flag("priceProtect")?.unwrap_or(false),
        client_id: params.get("clientAlgoId").map(ToOwned::to_owned),
        good_till: params.integer("goodTillDate")?.filter(|_| kind.is_limit()),
    })
}

/// `POST /fapi/v1/algoOrder`.
pub(super) fn place(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let who = call.account()?;
    let request = request(call)?;
    let algo = call.core.engine.place_algo(who, request, call.now)?;
    if let Some(after) = call.twist.vanish_after_ms {
        let at_ms = call.world.wall_ms().saturating_add(i64::try_from(after).unwrap_or(i64::MAX));
        call.core.vanishing.push(Vanishing { at_ms, account: who, algo: algo.id });
    }
    Ok(common(&algo, call.contract(&algo.symbol)?))
}

fn handle(call: &Call<'_>) -> Result<Handle, ApiError> {
    if let Some(id) = call.params.integer("algoId")? {
        return Ok(Handle::Id(id));
    }
    let name = call.params.get("clientAlgoId");
    name.map(|name| Handle::Client(name.to_owned())).ok_or_else(|| ApiError::missing("algoId"))
}

/// `GET /fapi/v1/algoOrder`.
pub(super) fn query(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let who = call.account()?;
    let algo = call.core.engine.algo(who, &handle(call)?).and_then(|algo| lag::algo(call, who, algo));
    let algo = algo.ok_or(refusal::NO_SUCH_ORDER)?;
    Ok(listed(&algo, call.contract(&algo.symbol)?))
}

/// `DELETE /fapi/v1/algoOrder`: its envelope's code is a string.
pub(super) fn cancel(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let who = call.account()?;
    let handle = handle(call)?;
    let algo = call.core.engine.cancel_algo(who, &handle, call.now)?;
    Ok(json!({"algoId": algo.id, "clientAlgoId": algo.client_id, "code": "200", "msg": "success"}))
}

/// `DELETE /fapi/v1/algoOpenOrders`.
pub(super) fn cancel_all(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let (who, symbol, now) = (call.account()?, call.symbol()?, call.now);
    call.core.engine.cancel_all_algos(who, &symbol, now)?;
    let mut envelope = success();
    envelope["msg"] = json!("The operation of cancel all open order is done.");
    Ok(envelope)
}

/// `GET /fapi/v1/openAlgoOrders`.
pub(super) fn open_orders(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let who = call.account()?;
    let symbol = call.optional_symbol()?;
    let id = call.params.integer("algoId")?;
    let account = call.core.engine.account(who);
    let known: Vec<&AlgoOrder> =
        if call.twist.lag_ms == 0 { account.waiting().collect() } else { account.algos.values().collect() };
    known
        .into_iter()
        .filter_map(|algo| lag::algo(call, who, algo))
        .filter(|algo| algo.status == AlgoStatus::New)
        .filter(|algo| symbol.as_ref().is_none_or(|symbol| algo.symbol == *symbol))
        .filter(|algo| id.is_none_or(|id| algo.id == id))
        .map(|algo| Ok(listed(&algo, call.contract(&algo.symbol)?)))
        .collect()
}

/// `GET /fapi/v1/allAlgoOrders`.
pub(super) fn all_orders(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let (who, symbol) = (call.account()?, call.symbol()?);
    let limit = call.params.limit(500, 1000)?;
    let first = call.params.integer("algoId")?;
    let (from, to) = if first.is_some() { (0, i64::MAX) } else { week(call)? };
    let contract = call.contract(&symbol)?;
    let mut rows: Vec<Cow<'_, AlgoOrder>> = call
        .core
        .engine
        .account(who)
        .algos
        .values()
        .filter(|algo| algo.symbol == symbol && (from..=to).contains(&algo.created))
        .filter(|algo| first.is_none_or(|first| algo.id >= first))
        .filter_map(|algo| lag::algo(call, who, algo))
        .collect();
    page(&mut rows, limit, first.is_some());
    Ok(rows.iter().map(|algo| listed(algo, contract)).collect())
}

fn common(algo: &AlgoOrder, contract: &Contract) -> Value {
    let price = contract.price_digits();
    json!({
        "algoId": algo.id, "clientAlgoId": algo.client_id, "algoType": "CONDITIONAL",
        "orderType": algo.kind.as_str(), "symbol": algo.symbol, "side": algo.side, "positionSide": "BOTH",
        "timeInForce": algo.time_in_force.as_str(),
        "quantity": fixed(algo.quantity, contract.quantity_digits()), "algoStatus": algo.status.as_str(),
        "triggerPrice": fixed(algo.trigger_price, price), "price": fixed(algo.price, price),
        "icebergQuantity": null, "selfTradePreventionMode": "EXPIRE_MAKER",
        "workingType": algo.working.as_str(), "priceMatch": "NONE", "closePosition": algo.close_position,
        "priceProtect": algo.price_protect, "reduceOnly": algo.reduce_only,
        "activatePrice": algo.activate_price.map(|value| fixed(value, price)).unwrap_or_default(),
        "callbackRate": algo.callback_rate.map(|value| value.normalize().to_string()).unwrap_or_default(),
        "createTime": algo.created, "updateTime": algo.updated, "triggerTime": algo.triggered,
        "goodTillDate": algo.good_till,
    })
}

fn listed(algo: &AlgoOrder, contract: &Contract) -> Value {
    let mut body = common(algo, contract);
    // Only an answer to placing carries these empty: clients read what a list carries as numbers.
    if algo.kind != AlgoKind::TrailingStopMarket
        && let Some(members) = body.as_object_mut()
    {
        members.shift_remove("activatePrice");
        members.shift_remove("callbackRate");
    }
    body["actualOrderId"] = json!(algo.actual_order.map(|id| id.to_string()).unwrap_or_default());
    body["actualPrice"] = json!(average(algo.actual_price, contract.price_digits()));
    body["actualQty"] = json!(fixed(algo.actual_quantity, contract.quantity_digits()));
    // Stays false even after the trigger, as measured on the live exchange.
    body["isActivated"] = json!(false);
    if algo.status == AlgoStatus::Finished {
        body["actualType"] = json!(if algo.kind.is_limit() { "LIMIT" } else { "MARKET" });
    }
    if let Some(reason) = &algo.fail_reason {
        body["failReason"] = json!(reason);
    }
    body
}
