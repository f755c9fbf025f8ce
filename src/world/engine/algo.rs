//! Conditional orders: placed, waiting, triggered (facts §1.7, §3).

use rust_decimal::Decimal;

use super::contract::{Contract, MAX_ALGO_ORDERS, PRICE_BAND};
use super::order::{Handle, valid_client_id};
use super::refusal::{self, Refusal};
use super::types::{
    AlgoKind, AlgoOrder, AlgoRequest, AlgoStatus, Order, OrderKind, OrderRequest, TimeInForce, WorkingType,
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
        let quote = self.check_algo(id, &request)?;
        let algo_id = Counters::next(&mut self.state.counters.algo);
        let trailing = request.kind == AlgoKind::TrailingStopMarket;
        let algo = AlgoOrder {
            id: algo_id,
            client_id: request.client_id.unwrap_or_else(|| format!("web_{algo_id}")),
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
            created: now,
            updated: now,
            triggered: 0,
        };
        let account = self.account_mut(id);
        account.open_algos.insert(algo_id);
        account.algos.insert(algo_id, algo.clone());
        self.tell(id, now, What::Algo(Box::new(algo.clone())));
        Ok(algo)
    }

    fn check_algo(&self, id: AccountId, request: &AlgoRequest) -> Result<Quote, Refusal> {
        let contract = self.contract(&request.symbol)?;
        let quote = self.quote(&request.symbol)?;
        let account = self.account(id);
        if let Some(client_id) = &request.client_id {
            if !valid_client_id(client_id) {
                return Err(refusal::CLIENT_ID);
            }
            if account.waiting().any(|algo| algo.client_id == *client_id) {
                return Err(refusal::DUPLICATE_CLIENT_ID);
            }
        }
        if account.open_algos.len() >= MAX_ALGO_ORDERS {
            return Err(refusal::MAX_ALGO_ORDERS);
        }
        check_prices(contract, request)?;
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
        let exists = account.waiting().any(|algo| {
            algo.close_position
                && algo.symbol == request.symbol
                && algo.side == request.side
                && algo.kind.is_take_profit() == request.kind.is_take_profit()
        });
        if exists { Err(refusal::CLOSE_EXISTS) } else { Ok(()) }
    }

    /// Finds a conditional order by number or by the client's name, the latest of that name.
    pub fn algo(&self, id: AccountId, handle: &Handle) -> Option<&AlgoOrder> {
        let algos = &self.account(id).algos;
        match handle {
            Handle::Id(algo_id) => algos.get(algo_id),
            Handle::Client(name) => algos.values().rev().find(|algo| algo.client_id == *name),
        }
    }

    /// Takes a waiting conditional order back: unknown ones are told from finished ones.
    pub fn cancel_algo(&mut self, id: AccountId, handle: &Handle, now: i64) -> Result<AlgoOrder, Refusal> {
        let account = self.account(id);
        let waiting = match handle {
            Handle::Id(algo_id) => account.open_algos.contains(algo_id).then_some(*algo_id),
            Handle::Client(name) => {
                account.waiting().find(|algo| algo.client_id == *name).map(|algo| algo.id)
            }
        };
        match waiting {
            Some(algo_id) => {
                self.end_algo(id, algo_id, AlgoStatus::Canceled, now).ok_or(refusal::UNKNOWN_ORDER)
            }
            None if self.algo(id, handle).is_some() => Err(refusal::UNKNOWN_ORDER),
            None => Err(refusal::NO_SUCH_ORDER),
        }
    }

    /// Takes every waiting conditional order of a contract back.
    pub fn cancel_all_algos(&mut self, id: AccountId, symbol: &Symbol, now: i64) -> Result<(), Refusal> {
        self.contract(symbol)?;
        let ids: Vec<i64> =
            self.account(id).waiting().filter(|algo| algo.symbol == *symbol).map(|algo| algo.id).collect();
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
        let account = self.account_mut(id);
        account.open_algos.remove(&algo_id);
        self.change_algo(id, algo_id, now, |algo| algo.status = status)
    }

    fn change_algo(
        &mut self,
        id: AccountId,
        algo_id: i64,
        now: i64,
        change: impl FnOnce(&mut AlgoOrder),
    ) -> Option<AlgoOrder> {
        let algo = self.account_mut(id).algos.get_mut(&algo_id)?;
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

    /// Fires the waiting conditional orders of one account whose price is reached.
    pub(super) fn fire_algos(&mut self, id: AccountId, now: i64) {
        let due: Vec<i64> = {
            let quotes = &self.quotes;
            let account = &mut self.state.accounts[id.0];
            let algos = &mut account.algos;
            account
                .open_algos
                .iter()
                .copied()
                .filter(|algo_id| {
                    algos.get_mut(algo_id).is_some_and(|algo| {
                        quotes.get(&algo.symbol).is_some_and(|quote| is_due(algo, *quote))
                    })
                })
                .collect()
        };
        for algo_id in due {
            // An earlier one of this batch may have made the position flat and ended this one.
            if self.account(id).open_algos.contains(&algo_id) {
                self.fire(id, algo_id, now);
            }
        }
    }

    fn fire(&mut self, id: AccountId, algo_id: i64, now: i64) {
        self.account_mut(id).open_algos.remove(&algo_id);
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
            client_id: Some(algo.client_id.clone()),
        };
        let checked = self.check_reduce_only(id, &request).and_then(|()| {
            let quote = self.quote(&request.symbol)?;
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

/// The price a working type watches.
fn watched_price(working: WorkingType, quote: Quote) -> Decimal {
    match working {
        WorkingType::Contract => quote.last,
        WorkingType::Mark => quote.mark,
    }
}

/// Whether a stop or a take profit with this trigger would fire at `price`.
fn reached(kind: AlgoKind, side: Side, trigger: Decimal, price: Decimal) -> bool {
    match (kind.is_take_profit(), side) {
        (false, Side::Buy) | (true, Side::Sell) => price >= trigger,
        (false, Side::Sell) | (true, Side::Buy) => price <= trigger,
    }
}

fn is_due(algo: &mut AlgoOrder, quote: Quote) -> bool {
    let price = watched_price(algo.working, quote);
    if algo.price_protect && (quote.mark - quote.last).abs() > quote.mark * PRICE_BAND {
        return false;
    }
    if algo.callback_rate.is_none() {
        return reached(algo.kind, algo.side, algo.trigger_price, price);
    }
    if algo.extreme.is_none() {
        let active = algo.activate_price.is_none_or(|activation| match algo.side {
            Side::Sell => price >= activation,
            Side::Buy => price <= activation,
        });
        if !active {
            return false;
        }
    }
    let best = algo.extreme.unwrap_or(price);
    match algo.side {
        Side::Sell => {
            algo.extreme = Some(best.max(price));
            price <= algo.level()
        }
        Side::Buy => {
            algo.extreme = Some(best.min(price));
            price >= algo.level()
        }
    }
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
