//! Conditional orders: placed, waiting, triggered.

use rust_decimal::Decimal;

use super::contract::{Contract, MAX_ALGO_ORDERS, PRICE_BAND};
use super::index::{own_name, watched_price};
use super::order::{Handle, check_good_till, valid_client_id, whole_seconds};
use super::refusal::{self, Refusal};
use super::types::{
    AlgoKind, AlgoOrder, AlgoRequest, AlgoStatus, ClientId, Order, OrderKind, OrderRequest, TimeInForce,
};
use super::{AccountId, Counters, Engine, What};
use crate::domain::{Side, Symbol};
use crate::world::market::Quote;

const HUNDRED: Decimal = Decimal::ONE_HUNDRED;

impl Engine {
    /// Places a conditional order. It is not checked against margin before its trigger.
    pub fn place_algo(
        &mut self,
        id: AccountId,
        request: AlgoRequest,
        now: i64,
    ) -> Result<AlgoOrder, Refusal> {
        let quote = self.check_algo(id, &request, now)?;
        let algo_id = Counters::next(&mut self.state.counters.algo);
        let trailing = request.kind == AlgoKind::TrailingStopMarket;
        let named = request.client_id.as_deref().and_then(ClientId::new);
        let algo = AlgoOrder {
            id: algo_id,
            client_id: named.clone().unwrap_or_else(|| own_name(algo_id)),
            symbol: request.symbol,
            side: request.side,
            kind: request.kind,
            time_in_force: request.time_in_force,
            quantity: request.quantity.unwrap_or_default(),
            price: request.price.unwrap_or_default(),
            trigger_price: request.trigger_price.unwrap_or_default(),
            callback_rate: request.callback_rate,
            activate_price: request.activate_price,
            extreme: (trailing && request.activate_price.is_none())
                .then(|| watched_price(request.working, quote)),
            working: request.working,
            close_position: request.close_position,
            reduce_only: request.reduce_only,
            price_protect: request.price_protect,
            status: AlgoStatus::New,
            actual_order: None,
            actual_price: Decimal::ZERO,
            actual_quantity: Decimal::ZERO,
            fail_reason: None,
            good_till: request.good_till.map_or(0, whole_seconds),
            created: now,
            updated: now,
            triggered: 0,
        };
        if let Some(name) = named {
            self.shelves[id.0].algos.insert(name, algo_id);
        }
        self.make_room(id);
        self.account_mut(id).algos.insert(algo_id, algo.clone());
        self.wait(id, &algo);
        self.tell(id, now, What::Algo(Box::new(algo.clone())));
        Ok(algo)
    }

    fn check_algo(&self, id: AccountId, request: &AlgoRequest, now: i64) -> Result<Quote, Refusal> {
        let contract = self.contract(&request.symbol)?;
        // It only waits, so a frozen price will do: what protects must be possible while nothing trades.
        let quote = self.last_quote(&request.symbol).ok_or(refusal::NO_PRICE)?;
        let account = self.account(id);
        if let Some(client_id) = &request.client_id {
            if !valid_client_id(client_id) {
                return Err(refusal::CLIENT_ID);
            }
            let latest = self.algo(id, &Handle::Client(client_id.clone()));
            if latest.is_some_and(|algo| algo.status == AlgoStatus::New) {
                return Err(refusal::DUPLICATE_CLIENT_ID);
            }
        }
        if account.open_algos.len() >= MAX_ALGO_ORDERS {
            return Err(refusal::MAX_ALGO_ORDERS);
        }
        check_prices(contract, request)?;
        check_good_till(request.time_in_force, request.good_till, now)?;
        if request.close_position {
            self.check_close_position(id, request)?;
        } else {
            let quantity = request.quantity.ok_or(refusal::QUANTITY_NOT_POSITIVE)?;
            contract.check_quantity(quantity, !request.kind.is_limit())?;
        }
        let watched = watched_price(request.working, quote);
        if request.trigger_price.is_some_and(|trigger| reached(request.kind, request.side, trigger, watched))
        {
            return Err(refusal::WOULD_TRIGGER);
        }
        // A trailing stop waits for a better price first: above the market for a seller, below for a buyer.
        if request.activate_price.is_some_and(|activation| match request.side {
            Side::Sell => activation <= watched,
            Side::Buy => activation >= watched,
        }) {
            return Err(refusal::WOULD_TRIGGER);
        }
        Ok(quote)
    }

    /// `closePosition` lives and dies with the position, and stands alone of its kind and side.
    fn check_close_position(&self, id: AccountId, request: &AlgoRequest) -> Result<(), Refusal> {
        if !matches!(request.kind, AlgoKind::StopMarket | AlgoKind::TakeProfitMarket) {
            return Err(refusal::COMBINATION);
        }
        if request.quantity.is_some_and(|quantity| !quantity.is_zero()) {
            return Err(refusal::CLOSE_WITH_QUANTITY);
        }
        if request.reduce_only {
            return Err(refusal::CLOSE_WITH_REDUCE_ONLY);
        }
        let account = self.account(id);
        let position = account.positions.get(&request.symbol);
        if position.and_then(super::Position::closing_side) != Some(request.side) {
            return Err(refusal::CLOSE_WHILE_FLAT);
        }
        let waiting = self.tally(id, &request.symbol).into_iter().flat_map(|tally| &tally.waiting);
        let exists = waiting.filter_map(|algo_id| account.algos.get(*algo_id)).any(|algo| {
            algo.close_position
                && algo.side == request.side
                && algo.kind.is_take_profit() == request.kind.is_take_profit()
        });
        if exists { Err(refusal::CLOSE_EXISTS) } else { Ok(()) }
    }

    /// Finds a conditional order by number or by the client's name, the latest of that name.
    pub fn algo(&self, id: AccountId, handle: &Handle) -> Option<&AlgoOrder> {
        let algos = &self.account(id).algos;
        match handle {
            Handle::Id(algo_id) => algos.get(*algo_id),
            Handle::Client(name) => {
                let latest = self.shelves.get(id.0)?.algo_named(name)?;
                algos.get(latest).filter(|algo| algo.client_id.as_str() == name)
            }
        }
    }

    /// Takes a waiting conditional order back: unknown ones are told from finished ones.
    pub fn cancel_algo(&mut self, id: AccountId, handle: &Handle, now: i64) -> Result<AlgoOrder, Refusal> {
        let account = self.account(id);
        let known = self.algo(id, handle);
        let waiting = known.map(|algo| algo.id).filter(|algo_id| account.open_algos.contains(algo_id));
        match waiting {
            Some(algo_id) => {
                self.end_algo(id, algo_id, AlgoStatus::Canceled, now).ok_or(refusal::UNKNOWN_ORDER)
            }
            None if known.is_some() => Err(refusal::UNKNOWN_ORDER),
            None => Err(refusal::NO_SUCH_ORDER),
        }
    }

    /// Takes every waiting conditional order of a contract back.
    pub fn cancel_all_algos(&mut self, id: AccountId, symbol: &Symbol, now: i64) -> Result<(), Refusal> {
        self.contract(symbol)?;
        let ids: Vec<i64> = self.tally(id, symbol).map(|tally| tally.waiting.clone()).unwrap_or_default();
        for algo_id in ids {
            self.end_algo(id, algo_id, AlgoStatus::Canceled, now);
        }
        Ok(())
    }

    /// Ends a waiting conditional order without an order.
    pub(super) fn end_algo(
        &mut self,
        id: AccountId,
        algo_id: i64,
        status: AlgoStatus,
        now: i64,
    ) -> Option<AlgoOrder> {
        self.unwait(id, algo_id);
        self.change_algo(id, algo_id, now, |algo| algo.status = status)
    }

    fn change_algo(
        &mut self,
        id: AccountId,
        algo_id: i64,
        now: i64,
        change: impl FnOnce(&mut AlgoOrder),
    ) -> Option<AlgoOrder> {
        let algo = self.account_mut(id).algos.get_mut(algo_id)?;
        change(algo);
        algo.updated = now;
        let algo = algo.clone();
        self.tell(id, now, What::Algo(Box::new(algo.clone())));
        Some(algo)
    }

    /// When the order a conditional order became is done, so is the conditional order.
    pub(super) fn finish_algo(&mut self, id: AccountId, order: &Order, now: i64) {
        if let Some(algo_id) = order.algo_id.filter(|_| !order.is_open()) {
            let (price, quantity) = (order.average(), order.executed);
            self.change_algo(id, algo_id, now, |algo| {
                algo.status = AlgoStatus::Finished;
                algo.actual_price = price;
                algo.actual_quantity = quantity;
            });
        }
    }

    /// Lets a trailing stop follow the price; whether it fires.
    pub(super) fn trail(&mut self, id: AccountId, algo_id: i64, quote: Quote) -> bool {
        let Some(algo) = self.state.accounts[id.0].algos.get_mut(algo_id) else { return false };
        let price = watched_price(algo.working, quote);
        if algo.extreme.is_none() {
            let active = algo.activate_price.is_none_or(|activation| match algo.side {
                Side::Sell => price >= activation,
                Side::Buy => price <= activation,
            });
            if !active {
                return false;
            }
        }
        let before = algo.extreme;
        let best = before.unwrap_or(price);
        let (best, back) = match algo.side {
            Side::Sell => (best.max(price), Side::Sell),
            Side::Buy => (best.min(price), Side::Buy),
        };
        algo.extreme = Some(best);
        let level = algo.level();
        if before != Some(best) {
            self.touched.insert(id.0);
        }
        if back == Side::Sell { price <= level } else { price >= level }
    }

    /// Whether a protected order must wait because last and mark are too far apart.
    pub(super) fn is_protected(&self, id: AccountId, algo_id: i64) -> bool {
        let Some(algo) = self.account(id).algos.get(algo_id).filter(|algo| algo.price_protect) else {
            return false;
        };
        self.quote(&algo.symbol).is_ok_and(|quote| (quote.mark - quote.last).abs() > quote.mark * PRICE_BAND)
    }

    /// Turns a waiting conditional order into an order.
    pub(super) fn fire(&mut self, id: AccountId, algo_id: i64, now: i64) {
        self.unwait(id, algo_id);
        let Some(algo) = self.change_algo(id, algo_id, now, |algo| {
            algo.status = AlgoStatus::Triggering;
            algo.triggered = now;
        }) else {
            return;
        };
        let request = OrderRequest {
            quantity: if algo.close_position {
                self.account(id).amount(&algo.symbol).abs()
            } else {
                algo.quantity
            },
            symbol: algo.symbol.clone(),
            side: algo.side,
            kind: if algo.kind.is_limit() { OrderKind::Limit } else { OrderKind::Market },
            time_in_force: if algo.kind.is_limit() { algo.time_in_force } else { TimeInForce::Gtc },
            price: algo.price,
            reduce_only: algo.reduce_only || algo.close_position,
            client_id: Some(algo.client_id.to_string()),
            good_till: (algo.good_till != 0).then_some(algo.good_till),
        };
        let checked = self.check_reduce_only(id, &request).and_then(|()| {
            let quote = self.quote(&request.symbol)?;
            if request.kind == OrderKind::Limit {
                self.check_filters(id, &request, quote)?;
            }
            self.check_size(id, &request, quote)
        });
        if let Err(refused) = checked {
            let reason = if refused == refusal::REDUCE_ONLY {
                "Reduce Only reject".to_owned()
            } else {
                refused.message.into_owned()
            };
            self.change_algo(id, algo_id, now, |algo| {
                algo.status = AlgoStatus::Rejected;
                algo.fail_reason = Some(reason);
            });
            return;
        }
        let order_id = self.state.counters.order;
        self.change_algo(id, algo_id, now, |algo| {
            algo.status = AlgoStatus::Triggered;
            algo.actual_order = Some(order_id);
        });
        self.accept(id, request, Some((algo_id, algo.close_position)), now);
    }
}

impl AlgoOrder {
    /// The price at which it acts next, as far as is known now: its trigger, or where a trailing stop stands.
    pub(super) fn level(&self) -> Decimal {
        match (self.callback_rate, self.extreme) {
            (None, _) => self.trigger_price,
            (Some(_), None) => self.activate_price.unwrap_or_default(),
            (Some(callback), Some(best)) => match self.side {
                Side::Sell => best * (HUNDRED - callback) / HUNDRED,
                Side::Buy => best * (HUNDRED + callback) / HUNDRED,
            },
        }
    }
}

/// Whether such an order fires when the price rises to its trigger, and not when it falls to it.
pub(super) fn rises(kind: AlgoKind, side: Side) -> bool {
    kind.is_take_profit() == (side == Side::Sell)
}

/// Whether a stop or a take profit with this trigger would fire at `price`.
fn reached(kind: AlgoKind, side: Side, trigger: Decimal, price: Decimal) -> bool {
    if rises(kind, side) { price >= trigger } else { price <= trigger }
}

fn check_prices(contract: &Contract, request: &AlgoRequest) -> Result<(), Refusal> {
    if request.kind == AlgoKind::TrailingStopMarket {
        let (lowest, highest) = (Decimal::new(1, 1), Decimal::from(20));
        if !request.callback_rate.is_some_and(|rate| rate >= lowest && rate <= highest) {
            return Err(Refusal::fixed(-2007, "Invalid callBack rate."));
        }
        return request.activate_price.map_or(Ok(()), |price| contract.check_price(price));
    }
    contract.check_price(request.trigger_price.ok_or(refusal::PRICE_NOT_POSITIVE)?)?;
    if request.kind.is_limit() {
        contract.check_price(request.price.ok_or(refusal::PRICE_NOT_POSITIVE)?)?;
    }
    Ok(())
}
