//! Orders as they stood a while ago: what a read that lags behind the books tells.

use std::borrow::Cow;
use std::collections::VecDeque;

use rust_decimal::Decimal;

use super::Call;
use crate::world::engine::{
    AccountId, AlgoOrder, AlgoStatus, Execution, Happening, Order, OrderStatus, What,
};

/// Changes of orders that are remembered.
const REMEMBERED: usize = 10_000;

/// What became of orders lately, by the wall time it was carried out: a client waits in wall time, whatever the market's
/// clock does.
#[derive(Debug, Default)]
pub(crate) struct Heard(VecDeque<(i64, Happening)>);

impl Heard {
    /// Remembers what the engine reported at this wall time.
    pub fn note(&mut self, happenings: Vec<Happening>, wall_ms: i64) {
        let of_orders = happenings
            .into_iter()
            .filter(|happening| matches!(happening.what, What::Order { .. } | What::Algo(_)));
        self.0.extend(of_orders.map(|happening| (wall_ms, happening)));
        let surplus = self.0.len().saturating_sub(REMEMBERED);
        self.0.drain(..surplus);
    }

    /// The last report that `wanted` picks up to `seen_to`, and the first one after it.
    fn around<'a, T>(
        &'a self,
        who: AccountId,
        seen_to: i64,
        wanted: impl Fn(&'a What) -> Option<T>,
    ) -> (Option<T>, Option<T>) {
        let (mut seen, mut unseen) = (None, None);
        for (wall_ms, happening) in self.0.iter().filter(|(_, happening)| happening.account == who) {
            let Some(found) = wanted(&happening.what) else { continue };
            if *wall_ms <= seen_to {
                seen = Some(found);
            } else {
                unseen = Some(found);
                break;
            }
        }
        (seen, unseen)
    }
}

/// Up to when a request hears of things, wall time, ms; `None` when it is not late.
fn seen_to(call: &Call<'_>) -> Option<i64> {
    (call.twist.lag_ms != 0).then(|| call.world.wall_ms().saturating_sub(call.twist.lag_ms))
}

/// A conditional order as this request sees it; `None` when it has not heard of it yet.
pub(super) fn algo<'a>(
    call: &'a Call<'_>,
    who: AccountId,
    algo: &'a AlgoOrder,
) -> Option<Cow<'a, AlgoOrder>> {
    let Some(seen_to) = seen_to(call) else { return Some(Cow::Borrowed(algo)) };
    let (seen, unseen) = call.core.heard.around(who, seen_to, |what| match what {
        What::Algo(told) if told.id == algo.id => Some(told.as_ref()),
        _ => None,
    });
    match (seen, unseen) {
        (_, None) => Some(Cow::Borrowed(algo)),
        (Some(seen), Some(_)) => Some(Cow::Borrowed(seen)),
        // Its first report is its acceptance; every other one ends its waiting.
        (None, Some(first)) if first.status == AlgoStatus::New => None,
        (None, Some(_)) => Some(Cow::Owned(AlgoOrder {
            status: AlgoStatus::New,
            actual_order: None,
            actual_price: Decimal::ZERO,
            actual_quantity: Decimal::ZERO,
            fail_reason: None,
            updated: algo.created,
            triggered: 0,
            ..algo.clone()
        })),
    }
}

/// An order as this request sees it: with what it has heard of; `None` when it has not heard of it yet.
pub(super) fn order<'a>(call: &'a Call<'_>, who: AccountId, order: &'a Order) -> Option<Cow<'a, Order>> {
    let Some(seen_to) = seen_to(call) else { return Some(Cow::Borrowed(order)) };
    let (seen, unseen) = call.core.heard.around(who, seen_to, |what| match what {
        What::Order { order: told, execution } if told.id == order.id => Some((told.as_ref(), execution)),
        _ => None,
    });
    match (seen, unseen) {
        (_, None) => Some(Cow::Borrowed(order)),
        (Some((seen, _)), Some(_)) => Some(Cow::Borrowed(seen)),
        (None, Some((first, execution))) => before(first, execution).map(Cow::Owned),
    }
}

/// An order before a change that was reported of it; `None` before its acceptance.
fn before(order: &Order, execution: &Execution) -> Option<Order> {
    let mut then = Order { expiry_reason: 0, ..order.clone() };
    match execution {
        Execution::New | Execution::Calculated => return None,
        Execution::Trade(trade) => {
            then.executed -= trade.quantity;
            then.executed_quote -= trade.quantity * trade.price;
        }
        Execution::Canceled | Execution::Expired | Execution::Amended => {}
    }
    then.status = if then.executed.is_zero() { OrderStatus::New } else { OrderStatus::PartiallyFilled };
    then.updated = order.created;
    Some(then)
}
