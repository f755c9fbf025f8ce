//! Orders as they stood a while ago: what a read that lags behind the books tells.

use std::borrow::Cow;

use rust_decimal::Decimal;

use super::Call;
use crate::world::engine::{AccountId, AlgoOrder, AlgoStatus, Order, OrderStatus};

/// A conditional order as this request sees it; `None` when it has not heard of it yet.
pub(super) fn algo<'a>(call: &Call<'_>, algo: &'a AlgoOrder) -> Option<Cow<'a, AlgoOrder>> {
    let seen_to = call.now.saturating_sub(call.twist.lag_ms);
    if call.twist.lag_ms == 0 || algo.updated <= seen_to {
        return Some(Cow::Borrowed(algo));
    }
    // Everything that can happen to a conditional order after its beginning ends its waiting.
    (algo.created <= seen_to).then(|| {
        Cow::Owned(AlgoOrder {
            status: AlgoStatus::New,
            actual_order: None,
            actual_price: Decimal::ZERO,
            actual_quantity: Decimal::ZERO,
            fail_reason: None,
            updated: algo.created,
            triggered: 0,
            ..algo.clone()
        })
    })
}

/// An order as this request sees it: with the fills it has heard of.
pub(super) fn order<'a>(call: &Call<'_>, who: AccountId, order: &'a Order) -> Option<Cow<'a, Order>> {
    let seen_to = call.now.saturating_sub(call.twist.lag_ms);
    if call.twist.lag_ms == 0 || order.updated <= seen_to {
        return Some(Cow::Borrowed(order));
    }
    if order.created > seen_to {
        return None;
    }
    let mut then = Order {
        executed: Decimal::ZERO,
        executed_quote: Decimal::ZERO,
        status: OrderStatus::New,
        expiry_reason: 0,
        updated: order.created,
        ..order.clone()
    };
    let trades = &call.core.engine.account(who).trades;
    for trade in trades.iter().filter(|trade| trade.order_id == order.id && trade.time <= seen_to) {
        then.executed += trade.quantity;
        then.executed_quote += trade.quantity * trade.price;
        then.status = OrderStatus::PartiallyFilled;
        then.updated = trade.time;
    }
    Some(Cow::Owned(then))
}
