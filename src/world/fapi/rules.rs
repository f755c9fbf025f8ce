//! What the exchange says about its contracts: filters, brackets, limits.

use serde_json::{Value, json};

use super::Call;
use super::error::ApiError;
use super::limits::{ORDERS_MINUTE, ORDERS_TEN_SECONDS, WEIGHT_LIMIT};
use super::wire::{fixed, number};
use crate::world::engine::{Contract, LIQUIDATION_FEE, MAX_OPEN_ORDERS, PRICE_BAND};

/// When contracts without an end are delivered, ms: the exchange's own far future.
const NEVER: i64 = 4_133_404_800_000;
/// When every contract of this world was listed, ms.
const LISTED: i64 = 1_569_398_400_000;

/// `GET /fapi/v1/exchangeInfo`.
#[expect(clippy::unnecessary_wraps, reason = "a row of the endpoint table")]
pub(super) fn exchange_info(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let symbols: Vec<Value> = call.core.engine.contracts().values().map(contract_row).collect();
    let mut limits = vec![json!({
        "rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": WEIGHT_LIMIT,
    })];
    if let Value::Array(orders) = order_limits() {
        limits.extend(orders);
    }
    Ok(json!({
        "exchangeFilters": [],
        "rateLimits": limits,
        "serverTime": call.now,
        "timezone": "UTC",
        "futuresType": "U_MARGINED",
        "assets": [{"asset": "USDT", "marginAvailable": true, "autoAssetExchange": "-10000"}],
        "symbols": symbols,
    }))
}

/// `GET /fapi/v1/rateLimit/order`.
pub(super) fn order_limits() -> Value {
    json!([
        {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": ORDERS_MINUTE},
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": ORDERS_TEN_SECONDS},
    ])
}

fn contract_row(contract: &Contract) -> Value {
    let listing = &contract.listing;
    let (price, quantity) = (contract.price_digits(), contract.quantity_digits());
    let band = |sign: rust_decimal::Decimal| fixed(rust_decimal::Decimal::ONE + sign * PRICE_BAND, 4);
    let one = rust_decimal::Decimal::ONE;
    json!({
        "symbol": listing.symbol, "pair": listing.symbol, "contractType": "PERPETUAL",
        "deliveryDate": NEVER, "onboardDate": LISTED, "status": "TRADING",
        "maintMarginPercent": "2.5000", "requiredMarginPercent": "5.0000",
        "baseAsset": listing.symbol.coin(), "quoteAsset": "USDT", "marginAsset": "USDT",
        "pricePrecision": price, "quantityPrecision": quantity, "baseAssetPrecision": 8, "quotePrecision": 8,
        "underlyingType": "COIN", "underlyingSubType": [], "settlePlan": 0, "triggerProtect": fixed(PRICE_BAND, 4),
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": fixed(contract.min_price, price),
             "maxPrice": fixed(contract.max_price, price), "tickSize": fixed(listing.tick, price)},
            {"filterType": "LOT_SIZE", "minQty": fixed(listing.step, quantity),
             "maxQty": fixed(contract.max_quantity, quantity), "stepSize": fixed(listing.step, quantity)},
            {"filterType": "MARKET_LOT_SIZE", "minQty": fixed(listing.step, quantity),
             "maxQty": fixed(contract.max_market_quantity, quantity), "stepSize": fixed(listing.step, quantity)},
            {"filterType": "MAX_NUM_ORDERS", "limit": MAX_OPEN_ORDERS},
            {"filterType": "MIN_NOTIONAL", "notional": listing.minimum_notional.normalize().to_string()},
            {"filterType": "PERCENT_PRICE", "multiplierUp": band(one), "multiplierDown": band(-one),
             "multiplierDecimal": "4"},
            {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
        ],
        "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET",
                       "TRAILING_STOP_MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
        "liquidationFee": fixed(LIQUIDATION_FEE, 6), "marketTakeBound": "0.05",
    })
}

/// `GET /fapi/v1/leverageBracket`: always an array, one element when a symbol was named.
pub(super) fn leverage_bracket(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let rows = call.symbols()?.into_iter().map(|symbol| {
        let brackets: Vec<Value> = call
            .contract(&symbol)?
            .brackets
            .iter()
            .map(|bracket| {
                json!({
                    "bracket": bracket.number, "initialLeverage": bracket.leverage,
                    "notionalCap": number(bracket.cap), "notionalFloor": number(bracket.floor),
                    "maintMarginRatio": number(bracket.ratio), "cum": number(bracket.cumulative),
                })
            })
            .collect();
        Ok(json!({"symbol": symbol, "brackets": brackets}))
    });
    rows.collect()
}
