//! Open interest and trader ratios (`/futures/data/*`). Statistics, so floats are welcome.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::Call;
use super::error::ApiError;
use super::wire::{fixed, money};
use crate::domain::{Interval, Symbol};
use crate::world::market::Market;

/// How far these series reach back, ms.
const REACH: i64 = 30 * 86_400_000;
/// Periods offered.
const PERIODS: [&str; 9] = ["5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d"];

/// The contract and the instants a series request asks for, oldest first.
fn window(call: &Call<'_>) -> Result<(Symbol, Vec<i64>), ApiError> {
    let symbol = call.symbol()?;
    let period = call.params.required("period")?;
    let length = PERIODS
        .contains(&period)
        .then(|| period.parse::<Interval>().ok().and_then(Interval::millis))
        .flatten()
        .ok_or_else(|| ApiError::invalid("period"))?;
    let limit = call.params.limit(30, 500)?;
    let oldest = call.now - REACH;
    let start = call.params.time("startTime")?;
    let end = call.params.time("endTime")?.unwrap_or(call.now).min(call.now);
    let first = start.unwrap_or(oldest).max(oldest);
    let mut times = Vec::new();
    if start.is_some() {
        let mut at = (first + length - 1).div_euclid(length) * length;
        while at <= end && times.len() < limit {
            times.push(at);
            at += length;
        }
    } else {
        let mut at = end.div_euclid(length) * length;
        while at >= first && times.len() < limit {
            times.push(at);
            at -= length;
        }
        times.reverse();
    }
    Ok((symbol, times))
}

fn ratio_series(call: &Call<'_>, ratio: impl Fn(&Market, &Symbol, i64) -> f64) -> Result<Value, ApiError> {
    let (symbol, times) = window(call)?;
    let market = call.world.market();
    Ok(times
        .into_iter()
        .filter(|at| market.quote(&symbol, *at).is_some())
        .map(|at| {
            let ratio = ratio(&market, &symbol, at);
            let long = ratio / (1.0 + ratio);
            json!({
                "symbol": symbol, "longShortRatio": format!("{ratio:.4}"), "longAccount": format!("{long:.4}"),
                "shortAccount": format!("{:.4}", 1.0 - long), "timestamp": at,
            })
        })
        .collect())
}

/// `GET /futures/data/globalLongShortAccountRatio`.
pub(super) fn global_ratio(call: &mut Call<'_>) -> Result<Value, ApiError> {
    ratio_series(call, Market::long_short_ratio)
}

/// `GET /futures/data/topLongShortAccountRatio`.
pub(super) fn top_account_ratio(call: &mut Call<'_>) -> Result<Value, ApiError> {
    ratio_series(call, Market::top_trader_account_ratio)
}

/// `GET /futures/data/topLongShortPositionRatio`.
pub(super) fn top_position_ratio(call: &mut Call<'_>) -> Result<Value, ApiError> {
    ratio_series(call, Market::top_trader_position_ratio)
}

/// `GET /futures/data/takerlongshortRatio`: the one series without a symbol field.
pub(super) fn taker_ratio(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let (symbol, times) = window(call)?;
    let market = call.world.market();
    Ok(times
        .into_iter()
        .map(|at| (at, market.taker_ratio(&symbol, at)))
        .filter(|(_, (bought, sold))| *bought > 0.0 && *sold > 0.0)
        .map(|(at, (bought, sold))| {
            json!({
                "buySellRatio": format!("{:.4}", bought / sold), "buyVol": format!("{bought:.4}"),
                "sellVol": format!("{sold:.4}"), "timestamp": at,
            })
        })
        .collect())
}

/// `GET /futures/data/openInterestHist`.
pub(super) fn open_interest_history(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let (symbol, times) = window(call)?;
    let market = call.world.market();
    Ok(times
        .into_iter()
        .filter_map(|at| {
            let quote = market.quote(&symbol, at)?;
            let open = market.open_interest(&symbol, at);
            Some(json!({
                "symbol": symbol, "sumOpenInterest": money(open), "sumOpenInterestValue": money(open * quote.mark),
                "CMCCirculatingSupply": money(Decimal::ZERO), "timestamp": at,
            }))
        })
        .collect())
}

/// `GET /fapi/v1/openInterest`.
pub(super) fn open_interest(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let symbol = call.symbol()?;
    let digits = call.contract(&symbol)?.quantity_digits();
    let open = call.world.market().open_interest(&symbol, call.now);
    Ok(json!({"openInterest": fixed(open, digits), "symbol": symbol, "time": call.now}))
}
