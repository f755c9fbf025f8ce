//! Orders on their way into the books: taking what crosses, resting, amending, being taken back.

use rust_decimal::Decimal;

use super::contract::MAX_AMENDMENTS;
use super::depth::Wish;
use super::fill::{Aftermath, ER_UNPAID, Role};
use super::happening::Execution;
use super::index::own_name;
use super::order::{Handle, check_band, crosses, edge_of_band, whole_seconds};
use super::refusal::{self, Refusal};
use super::types::{Amendment, ClientId, Order, OrderKind, OrderRequest, OrderStatus, TimeInForce};
use super::{AccountId, Counters, Engine};
use crate::domain::Symbol;

/// Expiry reason: what an immediate-or-cancel order could not fill.
const ER_IOC_REMAINDER: u8 = 2;
/// Expiry reason: what a market order could not fill inside the book.
const ER_MARKET_REMAINDER: u8 = 9;

impl Engine {
    /// Books an order that passed its checks, fills what can be filled, lets the rest rest or expire.
    pub(super) fn accept(
        &mut self,
        id: AccountId,
        request: OrderRequest,
        from_algo: Option<(i64, bool)>,
        now: i64,
    ) -> Order {
        self.make_room(id);
        let order_id = Counters::next(&mut self.state.counters.order);
        let quantity = if request.reduce_only {
            request.quantity.min(self.account(id).amount(&request.symbol).abs())
        } else {
            request.quantity
        };
        let named = request.client_id.as_deref().and_then(ClientId::new);
        if let Some(name) = &named {
            self.shelves[id.0].orders.insert(name.clone(), order_id);
        }
        let mut order = Order {
            id: order_id,
            client_id: named.unwrap_or_else(|| own_name(order_id)),
            symbol: request.symbol,
            side: request.side,
            kind: request.kind,
            time_in_force: request.time_in_force,
            price: request.price,
            quantity,
            executed: Decimal::ZERO,
            executed_quote: Decimal::ZERO,
            reduce_only: request.reduce_only,
            close_position: from_algo.is_some_and(|(_, close)| close),
            status: OrderStatus::New,
            expiry_reason: 0,
            algo_id: from_algo.map(|(algo, _)| algo),
            created: now,
            updated: now,
            queued: now,
            good_till: request.good_till.map_or(0, whole_seconds),
            amendments: 0,
        };
        let liquidation = order.kind == OrderKind::Liquidation;
        let execution = if liquidation { Execution::Calculated } else { Execution::New };
        self.tell_order(id, now, &order, execution);
        let share = if liquidation { None } else { self.account_mut(id).next_share.take() };
        let aftermath = self.take(id, &mut order, share, now);
        self.shelve(id, &mut order, aftermath.unpaid, now);
        self.account_mut(id).orders.insert(order_id, order.clone());
        self.after_fills(id, &order.symbol, aftermath, now);
        order
    }

    /// Fills what an order gets from the book at once, one trade for each price.
    fn take(&mut self, id: AccountId, order: &mut Order, share: Option<Decimal>, now: i64) -> Aftermath {
        let role = if order.kind == OrderKind::Liquidation { Role::Liquidation } else { Role::Taker };
        let mut aftermath = Aftermath::default();
        let Some(contract) = self.contracts.get(&order.symbol) else { return aftermath };
        let Some(pit) = self.pits.get_mut(&order.symbol) else { return aftermath };
        let Some(quote) = pit.quote else { return aftermath };
        let limit = match order.kind {
            OrderKind::Liquidation => None,
            OrderKind::Limit => Some(order.price),
            OrderKind::Market => Some(edge_of_band(order.side, quote.mark)),
        };
        let open = order.remaining();
        let quantity = match share {
            Some(share) if order.time_in_force != TimeInForce::Fok => {
                let step = contract.listing.step;
                (open * share / step).trunc() * step
            }
            _ => open,
        };
        if order.time_in_force == TimeInForce::Gtx && order.kind == OrderKind::Limit {
            return aftermath;
        }
        let taken = pit.taken.of_mut(order.side);
        let slices = contract.sweep(quote, order.side, *taken, Wish { quantity, limit });
        let whole: Decimal = slices.iter().map(|slice| slice.quantity).sum();
        if order.time_in_force == TimeInForce::Fok && whole < quantity {
            return aftermath;
        }
        *taken += whole;
        let mut open = whole;
        for slice in slices {
            let quantity = self.payable(id, order, slice.quantity, slice.price, role);
            aftermath.unpaid = quantity < slice.quantity;
            if !quantity.is_zero() {
                let filled = self.fill(id, order, quantity, slice.price, role, now);
                open -= quantity;
                aftermath.closed_out |= filled.closed_out;
                aftermath.reduced |= filled.reduced;
            }
            if aftermath.unpaid {
                break;
            }
        }
        if let Some(pit) = self.pits.get_mut(&order.symbol).filter(|_| aftermath.unpaid) {
            *pit.taken.of_mut(order.side) -= open;
        }
        aftermath
    }

    /// Lets what is left of an order rest, or ends it; one that could not be paid for does not rest.
    fn shelve(&mut self, id: AccountId, order: &mut Order, unpaid: bool, now: i64) {
        if !order.is_open() {
            return;
        }
        let reason = match (order.kind, order.time_in_force) {
            (OrderKind::Market | OrderKind::Liquidation, _) => Some(ER_MARKET_REMAINDER),
            (OrderKind::Limit, TimeInForce::Ioc | TimeInForce::Fok) => Some(ER_IOC_REMAINDER),
            // Only a triggered order gets here: one that a client places is refused before.
            (OrderKind::Limit, TimeInForce::Gtx) => {
                let quote = self.quote(&order.symbol);
                quote.is_ok_and(|quote| crosses(order.side, order.price, quote)).then_some(0)
            }
            (OrderKind::Limit, TimeInForce::Gtc | TimeInForce::Gtd) => unpaid.then_some(ER_UNPAID),
        };
        match reason {
            Some(reason) => self.expire(id, order, reason, now),
            None => self.rest(id, order),
        }
    }

    /// From now on the next order of this account takes only this share of its quantity from the book at once: an
    /// injected partial fill. What is left expires (market, immediate-or-cancel) or rests (limit). Fill-or-kill orders
    /// and liquidations are not touched. `share` is cut to 0 … 1; the share is rounded down to whole steps.
    pub fn fill_only(&mut self, id: AccountId, share: Decimal) {
        self.account_mut(id).next_share = Some(share.clamp(Decimal::ZERO, Decimal::ONE));
    }

    /// Changes price and quantity of a resting limit order, which goes to the end of the queue. An order whose filled
    /// part is already as large as its new quantity, or a post-only one that would take at its new price, is taken
    /// back instead.
    pub fn modify(&mut self, id: AccountId, change: &Amendment, now: i64) -> Result<Order, Refusal> {
        let before = self.check_amendment(id, change)?;
        let would_take = {
            let quote = self.quote(&change.symbol)?;
            before.time_in_force == TimeInForce::Gtx && crosses(before.side, change.price, quote)
        };
        if change.quantity <= before.executed || would_take {
            return self.cancel_resting(id, before.id, now).ok_or(refusal::NO_SUCH_ORDER);
        }
        // The order itself ties up nothing while its new form is checked.
        self.unrest(id, &before);
        let rest = OrderRequest {
            symbol: before.symbol.clone(),
            side: before.side,
            kind: before.kind,
            time_in_force: before.time_in_force,
            quantity: change.quantity - before.executed,
            price: change.price,
            reduce_only: before.reduce_only,
            client_id: None,
            good_till: None,
        };
        let checked = self.check_reduce_only(id, &rest).and_then(|()| {
            let quote = self.quote(&rest.symbol)?;
            self.check_size(id, &rest, quote)
        });
        if let Err(refused) = checked {
            self.rest(id, &before);
            return Err(refused);
        }
        let mut order = before;
        order.price = change.price;
        order.quantity = change.quantity;
        order.amendments += 1;
        (order.updated, order.queued) = (now, now);
        self.tell_order(id, now, &order, Execution::Amended);
        let aftermath = self.take(id, &mut order, None, now);
        self.shelve(id, &mut order, aftermath.unpaid, now);
        self.account_mut(id).orders.insert(order.id, order.clone());
        self.after_fills(id, &order.symbol, aftermath, now);
        Ok(order)
    }

    /// The order as it rests, when the change is one that its contract allows.
    fn check_amendment(&self, id: AccountId, change: &Amendment) -> Result<Order, Refusal> {
        let contract = self.contract(&change.symbol)?;
        let quote = self.quote(&change.symbol)?;
        let order = self
            .order(id, &change.symbol, &change.handle)
            .filter(|order| order.is_open())
            .ok_or(refusal::NO_SUCH_ORDER)?;
        if order.kind != OrderKind::Limit {
            return Err(refusal::AMEND_LIMIT_ONLY);
        }
        if order.side != change.side {
            return Err(refusal::INVALID_SIDE);
        }
        contract.check_quantity(change.quantity, false)?;
        contract.check_price(change.price)?;
        check_band(contract, change.side, change.price, quote)?;
        if order.quantity == change.quantity && order.price == change.price {
            return Err(refusal::AMEND_NOTHING);
        }
        if order.amendments >= MAX_AMENDMENTS {
            return Err(refusal::AMEND_TOO_OFTEN);
        }
        let minimum = contract.listing.minimum_notional;
        if !order.reduce_only && change.quantity * change.price < minimum {
            return Err(Refusal::told(
                -5029,
                format!(
                    "Order's notional must be no smaller than {minimum} (unless you choose reduce only)."
                ),
            ));
        }
        Ok(order.clone())
    }

    /// Finds an order by number or by the client's name, the latest of that name.
    pub fn order(&self, id: AccountId, symbol: &Symbol, handle: &Handle) -> Option<&Order> {
        let orders = &self.account(id).orders;
        match handle {
            Handle::Id(order_id) => orders.get(*order_id),
            Handle::Client(name) => {
                let latest = self.shelves.get(id.0)?.order_named(name)?;
                orders.get(latest).filter(|order| order.client_id.as_str() == name)
            }
        }
        .filter(|order| order.symbol == *symbol)
    }

    /// Takes a resting order back.
    pub fn cancel(
        &mut self,
        id: AccountId,
        symbol: &Symbol,
        handle: &Handle,
        now: i64,
    ) -> Result<Order, Refusal> {
        self.contract(symbol)?;
        let order_id = self.order(id, symbol, handle).map(|order| order.id).ok_or(refusal::UNKNOWN_ORDER)?;
        self.cancel_resting(id, order_id, now).ok_or(refusal::UNKNOWN_ORDER)
    }

    /// Takes every resting order of a contract back; conditional orders stay.
    pub fn cancel_all(&mut self, id: AccountId, symbol: &Symbol, now: i64) -> Result<(), Refusal> {
        self.contract(symbol)?;
        let ids: Vec<i64> = self.tally(id, symbol).map(|tally| tally.resting.clone()).unwrap_or_default();
        for order_id in ids {
            self.cancel_resting(id, order_id, now);
        }
        Ok(())
    }

    fn cancel_resting(&mut self, id: AccountId, order_id: i64, now: i64) -> Option<Order> {
        let mut order = self.take_resting(id, order_id)?;
        order.status = OrderStatus::Canceled;
        order.updated = now;
        self.account_mut(id).orders.insert(order_id, order.clone());
        self.tell_order(id, now, &order, Execution::Canceled);
        self.finish_algo(id, &order, now);
        Some(order)
    }
}
