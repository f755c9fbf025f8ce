//! What happened: the ledger and the fills.

use serde_json::{Value, json};

use super::Call;
use super::error::ApiError;
use super::wire::{fixed, money};
use crate::world::engine::IncomeKind;

const DAY: i64 = 86_400_000;
/// Longest window of a listing, ms.
pub(super) const WEEK: i64 = 7 * DAY;
/// How far ledger and fills are told, ms.
const THREE_MONTHS: i64 = 90 * DAY;

/// Cuts rows of rising ids to a page: from an asked-for first id on, else the newest of the window.
pub(super) fn page<T>(rows: &mut Vec<T>, limit: usize, from_first: bool) {
    let surplus = rows.len().saturating_sub(limit);
    if from_first { rows.truncate(limit) } else { drop(rows.drain(..surplus)) }
}

/// The start and the end a listing asks for, each if it does. They must not be the wrong way round.
pub(super) fn window(call: &Call<'_>) -> Result<(Option<i64>, Option<i64>), ApiError> {
    let (start, end) = (call.params.time("startTime")?, call.params.time("endTime")?);
    if start.zip(end).is_some_and(|(start, end)| start > end) {
        return Err(ApiError::new(-1023, "Start time is greater than end time."));
    }
    Ok((start, end))
}

/// The window a listing asks for, at most a week long; the last week when nothing is said.
pub(super) fn week(call: &Call<'_>) -> Result<(i64, i64), ApiError> {
    let (from, to) = match window(call)? {
        (None, None) => (call.now - WEEK, call.now),
        (Some(from), None) => (from, from.saturating_add(WEEK)),
        (None, Some(to)) => (to.saturating_sub(WEEK), to),
        (Some(from), Some(to)) => (from, to),
    };
    if to.saturating_sub(from) > WEEK {
        return Err(ApiError::new(-4165, "Maximum time interval is 7 days."));
    }
    Ok((from, to))
}

/// `GET /fapi/v1/income`: the oldest rows of the window, at most three months back.
pub(super) fn income(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let who = call.account()?;
    let symbol = call.optional_symbol()?;
    let (start, end) = window(call)?;
    let kind = call.params.get("incomeType");
    let kind = match kind {
        None => None,
        Some(word) => match IncomeKind::from_word(word) {
            Some(kind) => Some(kind),
            // The exchange knows more kinds than can happen here.
            None => return Ok(json!([])),
        },
    };
    let limit = call.params.limit(100, 1000)?;
    let from = start.unwrap_or(call.now - WEEK).max(call.now - THREE_MONTHS);
    let to = end.unwrap_or(call.now);
    let account = call.core.engine.account(who);
    Ok(account
        .income
        .iter()
        .filter(|row| (from..=to).contains(&row.time))
        .filter(|row| kind.is_none_or(|kind| row.kind == kind))
        .filter(|row| symbol.is_none() || row.symbol == symbol)
        .take(limit)
        .map(|row| {
            let trade = row.trade_id.map(|id| id.to_string()).unwrap_or_default();
            let info = match row.kind {
                IncomeKind::Transfer => "TRANSFER",
                IncomeKind::FundingFee => "FUNDING_FEE",
                _ => trade.as_str(),
            };
            json!({
                "symbol": row.symbol.as_ref().map_or("", |symbol| symbol.as_str()),
                "incomeType": row.kind.as_str(), "income": money(row.amount), "asset": "USDT", "info": info,
                "time": row.time, "tranId": row.id, "tradeId": trade,
            })
        })
        .collect())
}

/// `GET /fapi/v1/userTrades`: the limit keeps the oldest rows of the window.
pub(super) fn user_trades(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let (who, symbol) = (call.account()?, call.symbol()?);
    let limit = call.params.limit(500, 1000)?;
    let (order, first) = (call.params.integer("orderId")?, call.params.integer("fromId")?);
    let timed = call.params.get("startTime").is_some() || call.params.get("endTime").is_some();
    if first.is_some() && timed {
        return Err(crate::world::engine::refusal::COMBINATION.into());
    }
    let oldest = call.now - THREE_MONTHS;
    let (from, to) = if first.is_some() || (order.is_some() && !timed) {
        (oldest, call.now)
    } else {
        let (from, to) = week(call)?;
        (from.max(oldest), to)
    };
    let contract = call.contract(&symbol)?;
    let (price, quantity) = (contract.price_digits(), contract.quantity_digits());
    let account = call.core.engine.account(who);
    Ok(account
        .trades
        .iter()
        .filter(|trade| trade.symbol == symbol && (from..=to).contains(&trade.time))
        .filter(|trade| order.is_none_or(|order| trade.order_id == order))
        .filter(|trade| first.is_none_or(|first| trade.id >= first))
        .take(limit)
        .map(|trade| {
            json!({
                "id": trade.id, "orderId": trade.order_id, "symbol": symbol, "pair": symbol, "side": trade.side,
                "positionSide": "BOTH", "price": fixed(trade.price, price), "qty": fixed(trade.quantity, quantity),
                "quoteQty": money(trade.price * trade.quantity), "baseQty": "0",
                "commission": money(trade.commission), "commissionAsset": "USDT", "marginAsset": "USDT",
                "realizedPnl": money(trade.realized), "buyer": trade.side == crate::domain::Side::Buy,
                "maker": trade.maker, "time": trade.time,
            })
        })
        .collect())
}
