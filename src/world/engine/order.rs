//! Market and limit orders: what is checked before one is accepted.

use rust_decimal::Decimal;

use super::contract::{BAND, Contract, MAX_OPEN_ORDERS, TAKER_FEE};
use super::depth::Wish;
use super::refusal::{self, Refusal};
use super::types::{MarginType, Order, OrderKind, OrderRequest, TimeInForce};
use super::{AccountId, Engine};
use crate::domain::Side;
use crate::world::market::Quote;

/// How long a good-till-date order lives at least, ms.
const LEAST_LIFE: i64 = 600_000;
/// No good-till-date order lives so long, ms.
const LAST_DATE: i64 = 253_402_300_799_000;

/// What a market buyer pays for one USDT of coins, USDT.
const WITH_TAKER_FEE: Decimal = Decimal::from_parts(10_005, 0, 0, false, 4);

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
        self.check(id, &request, now)?;
        let gtd = request.time_in_force == TimeInForce::Gtd;
        let good_till = request.good_till.filter(|_| gtd);
        Ok(self.accept(id, OrderRequest { good_till, ..request }, None, now))
    }

    /// Whether an order would be accepted; changes nothing.
    pub fn check(&self, id: AccountId, request: &OrderRequest, now: i64) -> Result<(), Refusal> {
        let contract = self.contract(&request.symbol)?;
        let quote = self.quote(&request.symbol)?;
        let account = self.account(id);
        if let Some(client_id) = &request.client_id {
            if !valid_client_id(client_id) {
                return Err(refusal::CLIENT_ID);
            }
            let latest = self.shelves.get(id.0).and_then(|shelf| shelf.order_named(client_id));
            let latest = latest.and_then(|order_id| account.orders.get(order_id));
            if latest.is_some_and(|order| order.is_open() && order.client_id.as_str() == client_id) {
                return Err(refusal::DUPLICATE_CLIENT_ID);
            }
        }
        let market = request.kind != OrderKind::Limit;
        contract.check_quantity(request.quantity, market)?;
        if !market {
            contract.check_price(request.price)?;
            self.check_filters(id, request, quote)?;
            check_good_till(request.time_in_force, request.good_till, now)?;
            self.check_time_in_force(contract, request, quote)?;
        } else if is_out_of_band(request.side, quote) {
            return Err(refusal::COUNTERPARTY_PRICE);
        }
        self.check_reduce_only(id, request)?;
        self.check_size(id, request, quote)
    }

    /// The filters `PERCENT_PRICE` and `MAX_NUM_ORDERS`, for an order that may rest.
    pub(super) fn check_filters(
        &self,
        id: AccountId,
        request: &OrderRequest,
        quote: Quote,
    ) -> Result<(), Refusal> {
        check_band(self.contract(&request.symbol)?, request.side, request.price, quote)?;
        let resting = self.tally(id, &request.symbol).map_or(0, |tally| tally.resting.len());
        if resting >= MAX_OPEN_ORDERS { Err(refusal::MAX_OPEN_ORDERS) } else { Ok(()) }
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
            let others = self.tally(id, &request.symbol).map_or(Decimal::ZERO, |tally| tally.reducing);
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
        let tally = self.tally(id, &request.symbol);
        let resting = tally.map_or(Decimal::ZERO, |tally| *tally.units.of(request.side));
        let reverses = !held.is_zero() && held.is_sign_negative() == (request.side == Side::Buy);
        // What rests on this side already closes first; only what it leaves of the position can be closed for nothing.
        let closing = if reverses {
            (held.abs() - resting).max(Decimal::ZERO).min(request.quantity)
        } else {
            Decimal::ZERO
        };
        let opening = request.quantity - closing;
        if opening.is_zero() {
            return Ok(());
        }
        let after = held + towards(request.side, resting + request.quantity);
        if after.abs() * quote.mark > contract.max_notional(settings.leverage) {
            return Err(refusal::MAX_POSITION);
        }
        let price = assumed_price(request, quote);
        let standing = self.standing(id, &request.symbol);
        let initial = standing.initial_of_one_more(request.side, request.quantity * price, settings.leverage);
        // The rule counts on a closed position to leave the margin its value asks for; an isolated one leaves what it has.
        let freed = if reverses && settings.margin == MarginType::Isolated {
            standing.isolated_margin - standing.position_initial
        } else {
            Decimal::ZERO
        };
        if initial + beside_margin(opening, request, price, quote)
            > self.free(id, &request.symbol, &standing) + freed
        {
            return Err(refusal::MARGIN_INSUFFICIENT);
        }
        Ok(())
    }
}

/// Whether a limit order would meet the other side of the book.
pub(super) fn crosses(side: Side, price: Decimal, quote: Quote) -> bool {
    match side {
        Side::Buy => price >= quote.ask,
        Side::Sell => price <= quote.bid,
    }
}

/// An amount with the sign of a trade on this side.
fn towards(side: Side, amount: Decimal) -> Decimal {
    match side {
        Side::Buy => amount,
        Side::Sell => -amount,
    }
}

/// The end of a good-till-date order counts in whole seconds.
pub(super) const fn whole_seconds(at_ms: i64) -> i64 {
    at_ms.div_euclid(1000).saturating_mul(1000)
}

/// A good-till-date order names its end, at least ten minutes away and before the year 10 000; no other order has one.
pub(super) fn check_good_till(
    time_in_force: TimeInForce,
    good_till: Option<i64>,
    now: i64,
) -> Result<(), Refusal> {
    match (time_in_force, good_till.filter(|end| *end != 0)) {
        (TimeInForce::Gtd, None) => Err(refusal::GOOD_TILL_MISSING),
        (TimeInForce::Gtd, Some(end)) => {
            let end = whole_seconds(end);
            let bounds = now.saturating_add(LEAST_LIFE)..LAST_DATE;
            if end != bounds.start && bounds.contains(&end) { Ok(()) } else { Err(refusal::GOOD_TILL) }
        }
        // The exchange ignores the parameter elsewhere.
        _ => Ok(()),
    }
}

/// The price the margin check assumes: a market long pays a little more than the ask.
fn assumed_price(request: &OrderRequest, quote: Quote) -> Decimal {
    match (request.kind, request.side) {
        (OrderKind::Limit, _) => request.price,
        (_, Side::Buy) => quote.ask * WITH_TAKER_FEE,
        (_, Side::Sell) => quote.bid.max(quote.mark),
    }
}

/// What opening costs beside its margin: the loss it starts with, and its fee.
fn beside_margin(opening: Decimal, request: &OrderRequest, price: Decimal, quote: Quote) -> Decimal {
    let open_loss = towards(request.side, price - quote.mark).max(Decimal::ZERO);
    opening * (open_loss + price * TAKER_FEE)
}

/// Whether a limit price lies inside the band around the mark (the `PERCENT_PRICE` filter).
pub(super) fn check_band(
    contract: &Contract,
    side: Side,
    price: Decimal,
    quote: Quote,
) -> Result<(), Refusal> {
    let edge = edge_of_band(side, quote.mark).round_dp(contract.price_digits());
    match side {
        Side::Buy if price > edge => {
            Err(Refusal::told(-4016, format!("Limit price can't be higher than {edge}.")))
        }
        Side::Sell if price < edge => {
            Err(Refusal::told(-4024, format!("Limit price can't be lower than {edge}.")))
        }
        _ => Ok(()),
    }
}

/// Whether the best price an order of this side meets lies outside the band around the mark.
fn is_out_of_band(side: Side, quote: Quote) -> bool {
    let edge = edge_of_band(side, quote.mark);
    match side {
        Side::Buy => quote.ask > edge,
        Side::Sell => quote.bid < edge,
    }
}

/// The worst price an order of this side may ask for or take: the edge of the price band around the mark.
pub(super) fn edge_of_band(side: Side, mark: Decimal) -> Decimal {
    match side {
        Side::Buy => mark * BAND.0,
        Side::Sell => mark * BAND.1,
    }
}

impl Engine {
    /// Post-only must not take; fill-or-kill must find its whole quantity in the book.
    fn check_time_in_force(
        &self,
        contract: &Contract,
        request: &OrderRequest,
        quote: Quote,
    ) -> Result<(), Refusal> {
        match request.time_in_force {
            TimeInForce::Gtx if crosses(request.side, request.price, quote) => Err(refusal::POST_ONLY),
            TimeInForce::Fok => {
                let taken = self.pits.get(&request.symbol).map(|pit| *pit.taken.of(request.side));
                let wish = Wish { quantity: request.quantity, limit: Some(request.price) };
                let found = contract.sweep(quote, request.side, taken.unwrap_or_default(), wish);
                let found: Decimal = found.iter().map(|level| level.quantity).sum();
                if found < request.quantity { Err(refusal::FILL_OR_KILL) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }
}
