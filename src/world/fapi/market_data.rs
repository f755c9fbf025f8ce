//! Public prices: tickers, candles, funding.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::Call;
use super::error::ApiError;
use super::history::window;
use super::table::FromPrices;
use super::wire::{fixed, money, push_fixed};
use crate::domain::{Interval, Symbol};
use crate::world::World;
use crate::world::market::Bar;

/// Share of a bar's volume bought by takers, for the fields nobody has data for.
const TAKER_SHARE: Decimal = Decimal::from_parts(5, 0, 0, false, 1);
const DAY: i64 = 86_400_000;

/// `GET /fapi/v{1,2}/ticker/price`.
pub(super) fn price(call: &mut Call<'_>) -> Result<Value, ApiError> {
    call.one_or_all(|call, symbol| {
        let quote = call.core.engine.quote(symbol)?;
        let digits = call.contract(symbol)?.price_digits();
        Ok(json!({"symbol": symbol, "price": fixed(quote.last, digits), "time": call.now}))
    })
}

/// `GET /fapi/v1/premiumIndex`.
pub(super) fn premium_index(call: &mut Call<'_>) -> Result<Value, ApiError> {
    call.one_or_all(|call, symbol| {
        let quote = call.core.engine.quote(symbol)?;
        let market = call.world.market();
        Ok(json!({
            "symbol": symbol, "markPrice": money(quote.mark), "indexPrice": money(quote.index),
            "estimatedSettlePrice": money(quote.index),
            "lastFundingRate": money(market.funding_rate(symbol, call.now)), "interestRate": "0.00010000",
            "nextFundingTime": market.next_funding_ms(symbol, call.now), "time": call.now,
        }))
    })
}

/// `GET /fapi/v1/klines`. A desk asks for fifteen thousand of these rows an hour; they are written as text at once.
pub(super) fn klines(call: &mut Call<'_>) -> Result<FromPrices, ApiError> {
    let symbol = call.symbol()?;
    let interval: Interval =
        call.params.required("interval")?.parse().map_err(|_| ApiError::new(-1120, "Invalid interval."))?;
    let limit = call.params.limit(500, 1500)?;
    let (start, end) = window(call)?;
    let contract = call.contract(&symbol)?;
    let digits = (contract.price_digits(), contract.quantity_digits());
    let now = call.now;
    Ok(Box::new(move |market| rows(&market.bars(&symbol, interval, start, end, limit, now), digits)))
}

/// The rows of bars, with so many digits after the point of a price and of a quantity.
fn rows(bars: &[Bar], (price, quantity): (u32, u32)) -> String {
    /// About what a row takes.
    const ROW: usize = 160;
    let mut text = String::with_capacity(2 + bars.len() * ROW);
    text.push('[');
    for bar in bars {
        if text.len() > 1 {
            text.push(',');
        }
        text.push('[');
        push_number(&mut text, bar.open_time);
        for value in [bar.open, bar.high, bar.low, bar.close] {
            push_quoted(&mut text, value, price);
        }
        push_quoted(&mut text, bar.volume, quantity);
        text.push(',');
        push_number(&mut text, bar.close_time);
        push_quoted(&mut text, bar.quote_volume, 5);
        text.push(',');
        push_number(&mut text, bar.trades);
        push_quoted(&mut text, bar.volume * TAKER_SHARE, quantity);
        push_quoted(&mut text, bar.quote_volume * TAKER_SHARE, 5);
        text.push_str(",\"0\"]");
    }
    text.push(']');
    text
}

/// A comma and a decimal as text.
fn push_quoted(text: &mut String, value: Decimal, digits: u32) {
    text.push_str(",\"");
    push_fixed(text, value, digits);
    text.push('"');
}

fn push_number(text: &mut String, number: impl std::fmt::Display) {
    use std::fmt::Write;
    // Writing to a text cannot fail.
    let _ = write!(text, "{number}");
}

/// What the last day looked like.
pub(super) struct DaySummary {
    pub open: Decimal,
    pub high: Decimal,
    pub low: Decimal,
    pub volume: Decimal,
    pub quote_volume: Decimal,
    pub trades: u64,
    pub open_time: i64,
}

impl DaySummary {
    /// How far `last` is from the open, in percent.
    pub fn change_percent(&self, last: Decimal) -> Decimal {
        if self.open.is_zero() {
            Decimal::ZERO
        } else {
            (last - self.open) / self.open * Decimal::ONE_HUNDRED
        }
    }

    /// The average price by volume; `last` when nothing was traded.
    pub fn weighted(&self, last: Decimal) -> Decimal {
        if self.volume.is_zero() { last } else { self.quote_volume / self.volume }
    }
}

/// Sums the hourly bars of the day before `now`.
pub(super) fn day_summary(world: &World, symbol: &Symbol, now: i64) -> Option<DaySummary> {
    let bars = world.market().bars(symbol, Interval::Hour1, Some(now - DAY), None, 25, now);
    let first = bars.first()?;
    Some(DaySummary {
        open: first.open,
        high: bars.iter().map(|bar| bar.high).max()?,
        low: bars.iter().map(|bar| bar.low).min()?,
        volume: bars.iter().map(|bar| bar.volume).sum(),
        quote_volume: bars.iter().map(|bar| bar.quote_volume).sum(),
        trades: bars.iter().map(|bar| bar.trades).sum(),
        open_time: first.open_time,
    })
}

/// `GET /fapi/v1/ticker/24hr`.
pub(super) fn day(call: &mut Call<'_>) -> Result<Value, ApiError> {
    call.one_or_all(|call, symbol| {
        let quote = call.core.engine.quote(symbol)?;
        let contract = call.contract(symbol)?;
        let day = day_summary(call.world, symbol, call.now).ok_or(crate::world::engine::refusal::NO_PRICE)?;
        let price = |value| fixed(value, contract.price_digits());
        let quantity = |value| fixed(value, contract.quantity_digits());
        Ok(json!({
            "symbol": symbol, "priceChange": price(quote.last - day.open), "priceChangePercent": fixed(day.change_percent(quote.last), 3),
            "weightedAvgPrice": price(day.weighted(quote.last)), "lastPrice": price(quote.last),
            "lastQty": quantity(contract.listing.step), "openPrice": price(day.open),
            "highPrice": price(day.high.max(quote.last)), "lowPrice": price(day.low.min(quote.last)),
            "volume": quantity(day.volume), "quoteVolume": fixed(day.quote_volume, 2),
            "openTime": day.open_time, "closeTime": call.now, "firstId": 1, "lastId": day.trades,
            "count": day.trades,
        }))
    })
}

/// `GET /fapi/v1/trades`: one print a second, the latest last.
pub(super) fn trades(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let symbol = call.symbol()?;
    let limit = i64::try_from(call.params.limit(500, 1000)?).unwrap_or(500);
    let contract = call.contract(&symbol)?;
    let (price, quantity) = (contract.price_digits(), contract.quantity_digits());
    let market = call.world.market();
    let last = call.now.div_euclid(1000);
    Ok((last - limit + 1..=last)
        .filter_map(|second| {
            let quote = market.quote(&symbol, second * 1000)?;
            let size = contract.listing.step;
            Some(json!({
                "id": second, "price": fixed(quote.last, price), "qty": fixed(size, quantity),
                "quoteQty": fixed(quote.last * size, price + quantity), "time": second * 1000,
                "isBuyerMaker": quote.last == quote.bid,
            }))
        })
        .collect())
}

/// `GET /fapi/v1/aggTrades`: the same prints, each an aggregate of its own; from an id or a start the oldest, else the
/// newest.
pub(super) fn aggregate_trades(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let symbol = call.symbol()?;
    let limit = i64::try_from(call.params.limit(500, 1000)?).unwrap_or(500);
    let from = call.params.integer("fromId")?;
    let (start, end) = window(call)?;
    if from.is_some() && (start.is_some() || end.is_some()) {
        return Err(crate::world::engine::refusal::COMBINATION.into());
    }
    let newest = call.now.min(end.unwrap_or(call.now)).div_euclid(1000);
    let first = match (from, start) {
        (Some(id), _) => id.max(0),
        (None, Some(start)) => (start + 999).div_euclid(1000),
        (None, None) => newest - limit + 1,
    };
    let contract = call.contract(&symbol)?;
    let (price, quantity) = (contract.price_digits(), contract.quantity_digits());
    let market = call.world.market();
    Ok((first..=newest.min(first.saturating_add(limit - 1)))
        .filter_map(|second| {
            let quote = market.quote(&symbol, second * 1000)?;
            Some(json!({
                "a": second, "p": fixed(quote.last, price), "q": fixed(contract.listing.step, quantity),
                "nq": fixed(contract.listing.step, quantity), "f": second, "l": second, "T": second * 1000,
                "m": quote.last == quote.bid,
            }))
        })
        .collect())
}

/// `GET /fapi/v1/fundingRate`, oldest first.
pub(super) fn funding_rate(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let limit = call.params.limit(100, 1000)?;
    let (start, end) = window(call)?;
    let end = end.unwrap_or(call.now).min(call.now);
    let market = call.world.market();
    let mut rows = Vec::new();
    for symbol in call.symbols()? {
        // With a start the oldest rows of the window are wanted, without one the newest.
        let mut found =
            market.funding_history(&symbol, start, end, if start.is_some() { 100_000 } else { limit });
        found.truncate(limit);
        rows.extend(found.into_iter().map(|(time, rate, mark)| (time, symbol.clone(), rate, mark)));
    }
    rows.sort_by_key(|(time, ..)| *time);
    let surplus = if start.is_some() { 0 } else { rows.len().saturating_sub(limit) };
    Ok(rows
        .into_iter()
        .skip(surplus)
        .take(limit)
        .map(|(time, symbol, rate, mark)| {
            json!({
                "symbol": symbol, "fundingRate": money(rate), "fundingTime": time, "markPrice": money(mark),
                "rateType": "Regular",
            })
        })
        .collect())
}

/// `GET /fapi/v1/fundingInfo`: only contracts that differ from the usual 8 hours.
#[expect(clippy::unnecessary_wraps, reason = "a row of the endpoint table")]
pub(super) fn funding_info(call: &mut Call<'_>) -> Result<Value, ApiError> {
    Ok(call
        .core
        .engine
        .contracts()
        .values()
        .filter(|contract| contract.listing.funding_hours != 8)
        .map(|contract| {
            json!({
                "symbol": contract.listing.symbol, "adjustedFundingRateCap": "0.02000000",
                "adjustedFundingRateFloor": "-0.02000000",
                "fundingIntervalHours": contract.listing.funding_hours, "disclaimer": false,
            })
        })
        .collect())
}
