//! The order book as the wire shows it.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::Call;
use super::error::ApiError;
use super::wire::fixed;
use crate::domain::Side;
use crate::world::engine::Contract;
use crate::world::market::Quote;

/// Depths the wire offers.
const LIMITS: [i64; 7] = [5, 10, 20, 50, 100, 500, 1000];

/// The size at the best price orders of side `taker` meet, in coins.
pub(super) fn best_size(contract: &Contract, quote: Quote, taker: Side) -> Decimal {
    contract.levels(quote, taker, 1).next().map_or(Decimal::ZERO, |level| level.quantity)
}

/// The first `limit` levels of both sides: bids falling, asks rising.
pub(super) fn levels(contract: &Contract, quote: Quote, limit: u32) -> (Vec<Value>, Vec<Value>) {
    let (price, quantity) = (contract.price_digits(), contract.quantity_digits());
    let side = |taker| {
        contract
            .levels(quote, taker, limit)
            .map(|level| json!([fixed(level.price, price), fixed(level.quantity, quantity)]))
            .collect()
    };
    (side(Side::Sell), side(Side::Buy))
}

/// `GET /fapi/v1/depth`.
pub(super) fn depth(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let symbol = call.symbol()?;
    let limit = call.params.integer("limit")?.unwrap_or(500);
    if !LIMITS.contains(&limit) {
        return Err(ApiError::new(-4021, format!("{limit} is not valid depth limit.")));
    }
    let quote = call.core.engine.quote(&symbol)?;
    let book = call.core.engine.book_id(&symbol);
    if call.world.feed().is_heard() {
        call.core.shown_books.note(&symbol, book, quote);
    }
    let (bids, asks) = levels(call.contract(&symbol)?, quote, u32::try_from(limit).unwrap_or(500));
    Ok(json!({"lastUpdateId": book, "E": call.now, "T": call.now, "bids": bids, "asks": asks}))
}

/// `GET /fapi/v1/ticker/bookTicker`.
pub(super) fn book_ticker(call: &mut Call<'_>) -> Result<Value, ApiError> {
    call.one_or_all(|call, symbol| {
        let quote = call.core.engine.quote(symbol)?;
        let contract = call.contract(symbol)?;
        let (price, quantity) = (contract.price_digits(), contract.quantity_digits());
        Ok(json!({
            "symbol": symbol, "bidPrice": fixed(quote.bid, price),
            "bidQty": fixed(best_size(contract, quote, Side::Sell), quantity), "askPrice": fixed(quote.ask, price),
            "askQty": fixed(best_size(contract, quote, Side::Buy), quantity), "time": call.now,
        }))
    })
}
