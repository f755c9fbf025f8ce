//! Market and limit orders.

use rust_decimal::Decimal;

use super::account::sign;
use super::contract::{Contract, MAX_OPEN_ORDERS, PRICE_BAND, TAKER_FEE};
use super::fill::Role;
use super::happening::Execution;
use super::refusal::{self, Refusal};
use super::types::{Order, OrderKind, OrderRequest, OrderStatus, TimeInForce};
use super::{AccountId, Counters, Engine};
use crate::domain::{Side, Symbol};
use crate::world::market::Quote;

/// Expiry reason: what an immediate-or-cancel order could not fill.
pub(super) const ER_IOC_REMAINDER: u8 = 2;

/// How a client names an order it placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handle {
    /// By the exchange's number.
    Id(i64),
    /// By the client's own name.
    Client(String),
}

/// Whether a client order id is spelled as the exchange allows: 1 to 36 of letters, digits and `.:/_-`.
pub fn valid_client_id(text: &str) -> bool {
    (1..=36).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:/_-".contains(&byte))
}

impl Engine {
    /// Places an order. The returned order is as it stands after everything it caused.
    pub fn place(&mut self, id: AccountId, request: OrderRequest, now: i64) -> Result<Order, Refusal> {
        self.check(id, &request)?;
        Ok(self.accept(id, request, None, now))
    }

    /// Whether an order would be accepted; changes nothing.
    pub fn check(&self, id: AccountId, request: &OrderRequest) -> Result<(), Refusal> {
        let contract = self.contract(&request.symbol)?;
        let quote = self.quote(&request.symbol)?;
        let account = self.account(id);
        if let Some(client_id) = &request.client_id {
            if !valid_client_id(client_id) {
                return Err(refusal::CLIENT_ID);
            }
            if account.resting().any(|order| order.client_id == *client_id) {
                return Err(refusal::DUPLICATE_CLIENT_ID);
            }
        }
        let market = request.kind != OrderKind::Limit;
        contract.check_quantity(request.quantity, market)?;
        if !market {
            contract.check_price(request.price)?;
            check_band(contract, request, quote)?;
            if account.resting().filter(|order| order.symbol == request.symbol).count() >= MAX_OPEN_ORDERS {
                return Err(refusal::MAX_OPEN_ORDERS);
            }
            check_time_in_force(request, quote)?;
        }
        self.check_reduce_only(id, request)?;
        self.check_size(id, request, quote)
    }

    /// Reduce-only needs a position on the other side; a limit order must also fit into what others leave of it.
    pub(super) fn check_reduce_only(&self, id: AccountId, request: &OrderRequest) -> Result<(), Refusal> {
        if !request.reduce_only {
            return Ok(());
        }
        let account = self.account(id);
        let position = account.positions.get(&request.symbol);
        if position.and_then(super::Position::closing_side) != Some(request.side) {
            return Err(refusal::REDUCE_ONLY);
        }
        if request.kind == OrderKind::Limit {
            let others: Decimal = account
                .resting()
                .filter(|order| order.reduce_only && order.symbol == request.symbol)
                .map(Order::remaining)
                .sum();
            if request.quantity + others > account.amount(&request.symbol).abs() {
                return Err(refusal::REDUCE_ONLY);
            }
        }
        Ok(())
    }

    /// Minimum notional, margin and the largest position the leverage allows.
    pub(super) fn check_size(
        &self,
        id: AccountId,
        request: &OrderRequest,
        quote: Quote,
    ) -> Result<(), Refusal> {
        if request.reduce_only {
            return Ok(());
        }
        let contract = self.contract(&request.symbol)?;
        let market = request.kind != OrderKind::Limit;
        let value_price = if market { quote.mark } else { request.price };
        let minimum = contract.listing.minimum_notional;
        if request.quantity * value_price < minimum {
            return Err(Refusal::told(
                -4164,
                format!(
                    "Order's notional must be no smaller than {minimum} (unless you choose reduce only)."
                ),
            ));
        }
        let account = self.account(id);
        let settings = account.settings(&request.symbol);
        let held = account.amount(&request.symbol);
        let after = held + sign(request.side) * request.quantity;
        let closing = if (held * sign(request.side)).is_sign_negative() {
            held.abs().min(request.quantity)
        } else {
            Decimal::ZERO
        };
        let opening = request.quantity - closing;
        if opening.is_zero() {
            return Ok(());
        }
        let resting: Decimal = account
            .resting()
            .filter(|order| {
                order.symbol == request.symbol && order.side == request.side && !order.reduce_only
            })
            .map(Order::remaining)
            .sum();
        let exposure = (after.abs() + resting) * quote.mark;
        if exposure > contract.max_notional(settings.leverage) {
            return Err(refusal::MAX_POSITION);
        }
        // The closed part of a reversal sets its margin free and books its result first.
        let freed = if closing.is_zero() {
            Decimal::ZERO
        } else {
            let mut position = account.positions.get(&request.symbol).cloned().unwrap_or_default();
            let effect = position.apply(request.side, closing, assumed_price(request, quote), settings);
            let cross_initial = if settings.margin == super::MarginType::Cross {
                held.abs() * quote.mark / Decimal::from(settings.leverage)
            } else {
                effect.realized
            };
            effect.released + cross_initial
        };
        if cost(opening, request, quote, settings.leverage) > self.totals(id).available + freed {
            return Err(refusal::MARGIN_INSUFFICIENT);
        }
        Ok(())
    }

    /// Books an order that passed its checks, fills what can be filled, lets the rest rest or expire.
    pub(super) fn accept(
        &mut self,
        id: AccountId,
        request: OrderRequest,
        from_algo: Option<(i64, bool)>,
        now: i64,
    ) -> Order {
        let order_id = Counters::next(&mut self.state.counters.order);
        let held = self.account(id).amount(&request.symbol).abs();
        let quantity = if request.reduce_only { request.quantity.min(held) } else { request.quantity };
        let order = Order {
            id: order_id,
            client_id: request.client_id.unwrap_or_else(|| format!("web_{order_id}")),
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
        };
        let account = self.account_mut(id);
        account.orders.insert(order_id, order.clone());
        account.open_orders.insert(order_id);
        let (execution, role) = if order.kind == OrderKind::Liquidation {
            (Execution::Calculated, Role::Liquidation)
        } else {
            (Execution::New, Role::Taker)
        };
        self.tell_order(id, now, &order, execution);
        let taken = self.quotes.get(&order.symbol).and_then(|quote| taking_price(&order, *quote));
        if let Some(price) = taken {
            self.fill(id, order_id, quantity, price, role, now);
        } else if order.kind == OrderKind::Market || order.time_in_force == TimeInForce::Ioc {
            self.expire_order(id, order_id, ER_IOC_REMAINDER, now);
        }
        self.account(id).orders.get(&order_id).cloned().unwrap_or(order)
    }

    /// Finds an order by number or by the client's name, the latest of that name.
    pub fn order(&self, id: AccountId, symbol: &Symbol, handle: &Handle) -> Option<&Order> {
        let orders = &self.account(id).orders;
        match handle {
            Handle::Id(order_id) => orders.get(order_id),
            Handle::Client(name) => orders.values().rev().find(|order| order.client_id == *name),
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
        let found = self.account(id).resting().find(|order| {
            order.symbol == *symbol
                && match handle {
                    Handle::Id(order_id) => order.id == *order_id,
                    Handle::Client(name) => order.client_id == *name,
                }
        });
        let order_id = found.map(|order| order.id).ok_or(refusal::UNKNOWN_ORDER)?;
        self.cancel_resting(id, order_id, now).ok_or(refusal::UNKNOWN_ORDER)
    }

    /// Takes every resting order of a contract back; conditional orders stay.
    pub fn cancel_all(&mut self, id: AccountId, symbol: &Symbol, now: i64) -> Result<(), Refusal> {
        self.contract(symbol)?;
        let ids: Vec<i64> = self
            .account(id)
            .resting()
            .filter(|order| order.symbol == *symbol)
            .map(|order| order.id)
            .collect();
        for order_id in ids {
            self.cancel_resting(id, order_id, now);
        }
        Ok(())
    }

    fn cancel_resting(&mut self, id: AccountId, order_id: i64, now: i64) -> Option<Order> {
        let account = self.account_mut(id);
        account.open_orders.remove(&order_id);
        let order = account.orders.get_mut(&order_id)?;
        order.status = OrderStatus::Canceled;
        order.updated = now;
        let order = order.clone();
        self.tell_order(id, now, &order, Execution::Canceled);
        self.finish_algo(id, &order, now);
        Some(order)
    }
}

/// The price at which an order would fill now; `None` if it does not cross the book.
pub(super) fn taking_price(order: &Order, quote: Quote) -> Option<Decimal> {
    let opposite = match order.side {
        Side::Buy => quote.ask,
        Side::Sell => quote.bid,
    };
    let crosses = match (order.kind, order.side) {
        (OrderKind::Market | OrderKind::Liquidation, _) => true,
        (OrderKind::Limit, Side::Buy) => order.price >= opposite,
        (OrderKind::Limit, Side::Sell) => order.price <= opposite,
    };
    crosses.then_some(opposite)
}

/// The price the margin check assumes (facts §3): a market long pays a little more than the ask.
fn assumed_price(request: &OrderRequest, quote: Quote) -> Decimal {
    match (request.kind, request.side) {
        (OrderKind::Limit, _) => request.price,
        (_, Side::Buy) => quote.ask * (Decimal::ONE + TAKER_FEE),
        (_, Side::Sell) => quote.bid.max(quote.mark),
    }
}

/// What an opening ties up: initial margin, the loss it starts with, and its fee (facts §3).
fn cost(quantity: Decimal, request: &OrderRequest, quote: Quote, leverage: u32) -> Decimal {
    let price = assumed_price(request, quote);
    let notional = quantity * price;
    let open_loss = (sign(request.side) * (price - quote.mark)).max(Decimal::ZERO) * quantity;
    notional / Decimal::from(leverage.max(1)) + open_loss + notional * TAKER_FEE
}

fn check_band(contract: &Contract, request: &OrderRequest, quote: Quote) -> Result<(), Refusal> {
    let digits = contract.price_digits();
    let upper = (quote.mark * (Decimal::ONE + PRICE_BAND)).round_dp(digits);
    let lower = (quote.mark * (Decimal::ONE - PRICE_BAND)).round_dp(digits);
    match request.side {
        Side::Buy if request.price > upper => {
            Err(Refusal::told(-4016, format!("Limit price can't be higher than {upper}.")))
        }
        Side::Sell if request.price < lower => {
            Err(Refusal::told(-4024, format!("Limit price can't be lower than {lower}.")))
        }
        _ => Ok(()),
    }
}

fn check_time_in_force(request: &OrderRequest, quote: Quote) -> Result<(), Refusal> {
    let crosses = match request.side {
        Side::Buy => request.price >= quote.ask,
        Side::Sell => request.price <= quote.bid,
    };
    match request.time_in_force {
        TimeInForce::Gtx if crosses => Err(refusal::POST_ONLY),
        TimeInForce::Fok if !crosses => Err(refusal::FILL_OR_KILL),
        _ => Ok(()),
    }
}
