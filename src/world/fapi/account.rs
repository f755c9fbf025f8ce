//! Balances, positions and settings, and the listen key.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Call;
use super::error::ApiError;
use super::wire::{average, fixed, money, number};
use crate::domain::Symbol;
use crate::world::World;
use crate::world::engine::{AccountId, MAKER_FEE, MarginType, TAKER_FEE, Totals};

fn balance_row(totals: &Totals, updated: i64) -> Value {
    json!({
        "accountAlias": "jarvis", "asset": "USDT", "balance": money(totals.wallet),
        "crossWalletBalance": money(totals.cross_wallet), "crossUnPnl": money(totals.cross_unrealized),
        "availableBalance": money(totals.available), "maxWithdrawAmount": money(withdrawable(totals)),
        "marginAvailable": true, "updateTime": updated,
    })
}

fn withdrawable(totals: &Totals) -> Decimal {
    totals.available.min(totals.cross_wallet).max(Decimal::ZERO)
}

/// `GET /fapi/v{2,3}/balance`.
pub(super) fn balance(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let who = call.account()?;
    let updated = call.core.engine.account(who).updated;
    Ok(json!([balance_row(&call.core.engine.totals(who), updated)]))
}

fn totals_body(totals: &Totals, updated: i64) -> Value {
    let margin_balance = money(totals.wallet + totals.unrealized);
    let initial = money(totals.position_initial + totals.open_order_initial);
    json!({
        "totalInitialMargin": initial, "totalMaintMargin": money(totals.maintenance),
        "totalWalletBalance": money(totals.wallet), "totalUnrealizedProfit": money(totals.unrealized),
        "totalMarginBalance": margin_balance, "totalPositionInitialMargin": money(totals.position_initial),
        "totalOpenOrderInitialMargin": money(totals.open_order_initial),
        "totalCrossWalletBalance": money(totals.cross_wallet), "totalCrossUnPnl": money(totals.cross_unrealized),
        "availableBalance": money(totals.available), "maxWithdrawAmount": money(withdrawable(totals)),
        "assets": [{
            "asset": "USDT", "walletBalance": money(totals.wallet),
            "unrealizedProfit": money(totals.unrealized), "marginBalance": margin_balance,
            "maintMargin": money(totals.maintenance), "initialMargin": initial,
            "positionInitialMargin": money(totals.position_initial),
            "openOrderInitialMargin": money(totals.open_order_initial),
            "crossWalletBalance": money(totals.cross_wallet), "crossUnPnl": money(totals.cross_unrealized),
            "availableBalance": money(totals.available), "maxWithdrawAmount": money(withdrawable(totals)),
            "marginAvailable": true, "updateTime": updated,
        }],
        "positions": [],
    })
}

/// `GET /fapi/v3/account`: positions only where something is held or rests.
pub(super) fn account_v3(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let who = call.account()?;
    let engine = &call.core.engine;
    let mut body = totals_body(&engine.totals(who), engine.account(who).updated);
    body["positions"] = engine
        .active_symbols(who)
        .iter()
        .map(|symbol| {
            let row = position(call, who, symbol)?;
            Ok(pick(
                &row,
                &[
                    "symbol",
                    "positionSide",
                    "positionAmt",
                    "unrealizedProfit",
                    "isolatedMargin",
                    "notional",
                    "isolatedWallet",
                    "initialMargin",
                    "maintMargin",
                    "updateTime",
                ],
            ))
        })
        .collect::<Result<_, ApiError>>()?;
    Ok(body)
}

/// `GET /fapi/v2/account`: with settings, and every contract among the positions.
pub(super) fn account_v2(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let who = call.account()?;
    let engine = &call.core.engine;
    let mut body = json!({
        "feeTier": 0, "feeBurn": false, "canTrade": true, "canDeposit": true, "canWithdraw": true,
        "updateTime": 0, "multiAssetsMargin": false, "tradeGroupId": -1,
    });
    let totals = totals_body(&engine.totals(who), engine.account(who).updated);
    if let (Some(body), Value::Object(totals)) = (body.as_object_mut(), totals) {
        body.extend(totals);
    }
    body["positions"] = engine
        .contracts()
        .keys()
        .map(|symbol| {
            let row = position(call, who, symbol)?;
            Ok(pick(
                &row,
                &[
                    "symbol",
                    "initialMargin",
                    "maintMargin",
                    "unrealizedProfit",
                    "positionInitialMargin",
                    "openOrderInitialMargin",
                    "leverage",
                    "isolated",
                    "entryPrice",
                    "breakEvenPrice",
                    "maxNotional",
                    "bidNotional",
                    "askNotional",
                    "positionSide",
                    "positionAmt",
                    "notional",
                    "isolatedMargin",
                    "isolatedWallet",
                    "updateTime",
                ],
            ))
        })
        .collect::<Result<_, ApiError>>()?;
    Ok(body)
}

/// `GET /fapi/v3/positionRisk`: a contract with only a resting order appears with amount 0.
pub(super) fn position_risk_v3(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let who = call.account()?;
    let named = call.optional_symbol()?;
    call.core
        .engine
        .active_symbols(who)
        .iter()
        .filter(|symbol| named.as_ref().is_none_or(|named| named == *symbol))
        .map(|symbol| {
            let row = position(call, who, symbol)?;
            Ok(pick(
                &row,
                &[
                    "symbol",
                    "positionSide",
                    "positionAmt",
                    "entryPrice",
                    "breakEvenPrice",
                    "markPrice",
                    "unRealizedProfit",
                    "liquidationPrice",
                    "isolatedMargin",
                    "notional",
                    "marginAsset",
                    "isolatedWallet",
                    "initialMargin",
                    "maintMargin",
                    "positionInitialMargin",
                    "openOrderInitialMargin",
                    "adl",
                    "bidNotional",
                    "askNotional",
                    "updateTime",
                ],
            ))
        })
        .collect()
}

/// `GET /fapi/v2/positionRisk`: every contract, with leverage and margin type.
pub(super) fn position_risk_v2(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let who = call.account()?;
    call.symbols()?
        .iter()
        .map(|symbol| {
            let row = position(call, who, symbol)?;
            Ok(pick(
                &row,
                &[
                    "symbol",
                    "positionAmt",
                    "entryPrice",
                    "breakEvenPrice",
                    "markPrice",
                    "unRealizedProfit",
                    "liquidationPrice",
                    "leverage",
                    "maxNotionalValue",
                    "marginType",
                    "isolatedMargin",
                    "isAutoAddMargin",
                    "positionSide",
                    "notional",
                    "isolatedWallet",
                    "updateTime",
                ],
            ))
        })
        .collect()
}

/// Every field any of the position answers has.
fn position(call: &Call<'_>, who: AccountId, symbol: &Symbol) -> Result<Value, ApiError> {
    let engine = &call.core.engine;
    let contract = call.contract(symbol)?;
    let account = engine.account(who);
    let settings = account.settings(symbol);
    let standing = engine.standing(who, symbol);
    let held = account.positions.get(symbol).cloned().unwrap_or_default();
    let digits = contract.price_digits();
    let isolated = settings.margin == MarginType::Isolated;
    let max_notional = contract.max_notional(settings.leverage).normalize().to_string();
    Ok(json!({
        "symbol": symbol, "positionSide": "BOTH",
        "positionAmt": fixed(held.amount, contract.quantity_digits()),
        "entryPrice": average(held.entry, digits), "breakEvenPrice": average(held.break_even(), digits),
        "markPrice": money(standing.mark), "unRealizedProfit": money(standing.unrealized),
        "unrealizedProfit": money(standing.unrealized),
        "liquidationPrice": average_or_zero(engine.liquidation_price(who, symbol), digits),
        "isolatedMargin": money(standing.isolated_margin), "notional": money(standing.notional),
        "marginAsset": "USDT", "isolatedWallet": money(held.isolated_wallet),
        "initialMargin": money(standing.position_initial + standing.open_order_initial),
        "maintMargin": money(standing.maintenance), "positionInitialMargin": money(standing.position_initial),
        "openOrderInitialMargin": money(standing.open_order_initial), "adl": i32::from(!held.is_flat()),
        "bidNotional": money(standing.bid_notional), "askNotional": money(standing.ask_notional),
        "leverage": settings.leverage.to_string(), "isolated": isolated,
        "marginType": if isolated { "isolated" } else { "cross" }, "isAutoAddMargin": "false",
        "maxNotional": max_notional, "maxNotionalValue": max_notional, "updateTime": held.updated,
    }))
}

fn average_or_zero(price: Decimal, digits: u32) -> String {
    if price.is_zero() { "0".to_owned() } else { average(price, digits) }
}

fn pick(row: &Value, fields: &[&str]) -> Value {
    fields.iter().map(|field| ((*field).to_owned(), row[*field].clone())).collect()
}

/// `GET /fapi/v1/symbolConfig`.
pub(super) fn symbol_config(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let who = call.account()?;
    call.symbols()?
        .iter()
        .map(|symbol| {
            let settings = call.core.engine.account(who).settings(symbol);
            let max_notional = call.contract(symbol)?.max_notional(settings.leverage);
            Ok(json!({
                "symbol": symbol, "marginType": settings.margin.as_str(), "isAutoAddMargin": false,
                "leverage": settings.leverage, "maxNotionalValue": max_notional.normalize().to_string(),
            }))
        })
        .collect()
}

/// `GET /fapi/v1/accountConfig`.
#[expect(clippy::unnecessary_wraps, reason = "a row of the endpoint table")]
pub(super) fn account_config(_call: &mut Call<'_>) -> Result<Value, ApiError> {
    Ok(json!({
        "feeTier": 0, "canTrade": true, "canDeposit": true, "canWithdraw": true, "dualSidePosition": false,
        "updateTime": 0, "multiAssetsMargin": false, "tradeGroupId": -1,
    }))
}

/// `GET /sapi/v1/account/apiRestrictions`: a world's keys trade futures and nothing else.
#[expect(clippy::unnecessary_wraps, reason = "a row of the endpoint table")]
pub(super) fn key_permissions(call: &mut Call<'_>) -> Result<Value, ApiError> {
    Ok(json!({
        "ipRestrict": true, "createTime": call.core.created_ms, "enableReading": true,
        "enableWithdrawals": false, "enableInternalTransfer": false, "enableMargin": false, "enableFutures": true,
        "permitsUniversalTransfer": false, "enableVanillaOptions": false, "enableFixApiTrade": false,
        "enableFixReadOnly": false, "enableSpotAndMarginTrading": false, "enablePortfolioMarginTrading": false,
    }))
}

/// `POST /fapi/v1/leverage`.
pub(super) fn set_leverage(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let (who, symbol, now) = (call.account()?, call.symbol()?, call.now);
    let leverage = call.params.integer("leverage")?.ok_or_else(|| ApiError::missing("leverage"))?;
    let leverage = u32::try_from(leverage)
        .map_err(|_| ApiError::new(-4028, format!("Leverage {leverage} is not valid")))?;
    let most = call.core.engine.set_leverage(who, &symbol, leverage, now)?;
    Ok(json!({"leverage": leverage, "maxNotionalValue": most.normalize().to_string(), "symbol": symbol}))
}

/// `POST /fapi/v1/marginType`.
pub(super) fn set_margin_type(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let (who, symbol, now) = (call.account()?, call.symbol()?, call.now);
    let word = call.params.required("marginType")?.to_ascii_uppercase();
    let margin = match word.as_str() {
        "CROSS" => MarginType::Cross,
        word => MarginType::from_word(word).ok_or_else(|| ApiError::new(-4167, "Invalid margin type."))?,
    };
    call.core.engine.set_margin_type(who, &symbol, margin, now)?;
    World::touch(call.core);
    Ok(success())
}

/// `POST /fapi/v1/positionMargin`.
pub(super) fn position_margin(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let (who, symbol, now) = (call.account()?, call.symbol()?, call.now);
    let amount = call.params.decimal("amount")?.ok_or_else(|| ApiError::missing("amount"))?;
    if amount <= Decimal::ZERO || amount > Decimal::from(1_000_000_000) {
        return Err(ApiError::invalid("amount"));
    }
    let kind = call.params.integer("type")?.ok_or_else(|| ApiError::missing("type"))?;
    let signed = match kind {
        1 => amount,
        2 => -amount,
        _ => return Err(ApiError::invalid("type")),
    };
    call.core.engine.move_margin(who, &symbol, signed, now)?;
    call.core.margin_moves.push(MarginMove { account: who, symbol, amount, kind, time: now });
    Ok(json!({
        "amount": number(amount), "code": 200, "msg": "Successfully modify position margin.", "type": kind,
    }))
}

/// Margin that its owner moved into or out of an isolated position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MarginMove {
    account: AccountId,
    symbol: Symbol,
    /// USDT, above zero.
    amount: Decimal,
    /// 1 in, 2 out.
    kind: i64,
    /// Market time, ms.
    time: i64,
}

/// `GET /fapi/v1/positionMargin/history`: what was moved since the world began, oldest first; the limit keeps the
/// newest.
pub(super) fn position_margin_history(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let (who, symbol) = (call.account()?, call.symbol()?);
    let kind = call.params.integer("type")?;
    if kind.is_some_and(|kind| kind != 1 && kind != 2) {
        return Err(ApiError::invalid("type"));
    }
    let limit = call.params.limit(500, 500)?;
    let (start, end) = super::history::window(call)?;
    let (from, to) = (start.unwrap_or(0), end.unwrap_or(i64::MAX));
    let mut rows: Vec<Value> = call
        .core
        .margin_moves
        .iter()
        .filter(|moved| moved.account == who && moved.symbol == symbol && (from..=to).contains(&moved.time))
        .filter(|moved| kind.is_none_or(|kind| moved.kind == kind))
        .map(|moved| {
            json!({
                "symbol": symbol, "type": moved.kind, "deltaType": "USER_ADJUST", "amount": money(moved.amount),
                "asset": "USDT", "time": moved.time, "positionSide": "BOTH",
            })
        })
        .collect();
    rows.drain(..rows.len().saturating_sub(limit));
    Ok(Value::Array(rows))
}

/// `POST /fapi/v1/positionSide/dual`: this exchange is one-way.
pub(super) fn set_position_side(call: &mut Call<'_>) -> Result<Value, ApiError> {
    match call.params.flag("dualSidePosition")? {
        None => Err(ApiError::missing("dualSidePosition")),
        Some(false) => Err(ApiError::new(-4059, "No need to change position side.")),
        Some(true) => Err(ApiError::new(-4060, "Invalid position side: this exchange is one-way only.")),
    }
}

/// `POST /fapi/v1/multiAssetsMargin`: this exchange is single-asset.
pub(super) fn set_multi_assets(call: &mut Call<'_>) -> Result<Value, ApiError> {
    match call.params.flag("multiAssetsMargin")? {
        None => Err(ApiError::missing("multiAssetsMargin")),
        Some(false) => Err(ApiError::new(-4171, "No need to change multi-assets mode.")),
        Some(true) => Err(ApiError::invalid("multiAssetsMargin")),
    }
}

/// `GET /fapi/v1/commissionRate`.
pub(super) fn commission_rate(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let symbol = call.symbol()?;
    Ok(json!({
        "symbol": symbol, "makerCommissionRate": MAKER_FEE.normalize().to_string(),
        "takerCommissionRate": TAKER_FEE.normalize().to_string(), "rpiCommissionRate": "0.00005",
    }))
}

/// The envelope of a change that has nothing else to say.
pub(super) fn success() -> Value {
    json!({"code": 200, "msg": "success"})
}

/// `POST /fapi/v1/listenKey`.
pub(super) fn open_listen_key(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let who = call.account()?;
    Ok(json!({"listenKey": call.core.listen_keys.open(who, call.wall)}))
}

/// `PUT /fapi/v1/listenKey`.
pub(super) fn extend_listen_key(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let who = call.account()?;
    let key = call.core.listen_keys.extend(who, call.wall);
    key.map(|key| json!({"listenKey": key}))
        .ok_or_else(|| ApiError::new(-1125, "This listenKey does not exist."))
}

/// `DELETE /fapi/v1/listenKey`.
pub(super) fn close_listen_key(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let who = call.account()?;
    call.core.listen_keys.close(who);
    Ok(json!({}))
}
