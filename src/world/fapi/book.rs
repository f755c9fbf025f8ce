//! The order book: the market's best prices, with made-up sizes behind them.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::Call;
use super::error::ApiError;
use super::wire::fixed;
use crate::world::engine::Contract;
use crate::world::market::Quote;

/// Usual USDT at the best price.
const BEST_DEPTH: i64 = 40_000;
/// Depths the wire offers.
const LIMITS: [i64; 7] = [5, 10, 20, 50, 100, 500, 1000];

/// The size on level `level` of a side, in coins; the deeper, the larger. A function of price and level only.
pub(super) fn size(contract: &Contract, price: Decimal, level: u32) -> Decimal {
    let step = contract.listing.step;
    let ticks = (price / contract.listing.tick).trunc().mantissa().unsigned_abs();
    // A share between 40 % and 160 %, taken from the digits of the price.
    let spread = ticks.wrapping_mul(2_654_435_761).wrapping_add(u128::from(level) * 97) % 121;
    let share = Decimal::new(40 + i64::try_from(spread).unwrap_or_default(), 2);
    let value = Decimal::from(BEST_DEPTH) * share * (Decimal::ONE + Decimal::new(i64::from(level), 1));
    ((value / price / step).trunc() * step).max(step)
}

/// The first `limit` levels of both sides: bids falling, asks rising.
pub(super) fn levels(contract: &Contract, quote: Quote, limit: u32) -> (Vec<Value>, Vec<Value>) {
    let (price_digits, quantity_digits) = (contract.price_digits(), contract.quantity_digits());
    let side = |best: Decimal, direction: Decimal| {
        (0..limit)
            .map(|level| (best + direction * contract.listing.tick * Decimal::from(level), level))
            .take_while(|(price, _)| *price > Decimal::ZERO)
            .map(|(price, level)| {
                json!([fixed(price, price_digits), fixed(size(contract, price, level), quantity_digits)])
            })
            .collect()
    };
    (side(quote.bid, Decimal::NEGATIVE_ONE), side(quote.ask, Decimal::ONE))
}

/// `GET /fapi/v1/depth`.
pub(super) fn depth(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let symbol = call.symbol()?;
    let limit = call.params.integer("limit")?.unwrap_or(500);
    if !LIMITS.contains(&limit) {
        return Err(ApiError::new(-4021, format!("{limit} is not valid depth limit.")));
    }
    let quote = call.core.engine.quote(&symbol)?;
    let (bids, asks) = levels(call.contract(&symbol)?, quote, u32::try_from(limit).unwrap_or(500));
    Ok(json!({"lastUpdateId": call.now, "E": call.now, "T": call.now, "bids": bids, "asks": asks}))
}

/// `GET /fapi/v1/ticker/bookTicker`.
pub(super) fn book_ticker(call: &mut Call<'_>) -> Result<Value, ApiError> {
    call.one_or_all(|call, symbol| {
        let quote = call.core.engine.quote(symbol)?;
        let contract = call.contract(symbol)?;
        let (price, quantity) = (contract.price_digits(), contract.quantity_digits());
        Ok(json!({
            "symbol": symbol, "bidPrice": fixed(quote.bid, price),
            "bidQty": fixed(size(contract, quote.bid, 0), quantity), "askPrice": fixed(quote.ask, price),
            "askQty": fixed(size(contract, quote.ask, 0), quantity), "time": call.now,
        }))
    })
}
