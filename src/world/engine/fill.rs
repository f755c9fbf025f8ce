//! A fill: position, wallet, ledger, order and reports, all at once.

use rust_decimal::Decimal;

use super::account::money;
use super::contract::{LIQUIDATION_FEE, MAKER_FEE, TAKER_FEE};
use super::happening::Execution;
use super::types::{AlgoStatus, Income, IncomeKind, MarginType, Order, OrderStatus, Trade};
use super::{AccountId, Counters, Engine};
use crate::domain::Symbol;

/// In which role an order fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It crossed the book.
    Taker,
    /// It rested.
    Maker,
    /// It closes a position that lost its margin.
    Liquidation,
}

impl Role {
    /// Commission as a share of notional.
    fn fee_rate(self) -> Decimal {
        match self {
            Self::Taker => TAKER_FEE,
            Self::Maker => MAKER_FEE,
            Self::Liquidation => Decimal::ZERO,
        }
    }
}

/// What fills did to the position they met.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Aftermath {
    /// The position that was held is gone, though an opposite one may have come.
    pub closed_out: bool,
    /// Some of the position is gone.
    pub reduced: bool,
    /// The account could not pay for all of it.
    pub unpaid: bool,
}

/// Expiry reason of an order whose margin is not there when it fills: none of the exchange's numbered ones.
pub(super) const ER_UNPAID: u8 = 0;
/// Expiry reason: reduce-only order without a position to reduce (`er` in the stream).
const ER_NOTHING_TO_REDUCE: u8 = 4;

impl Engine {
    /// Fills `quantity` of an order at `price` and tells everything that follows from it. The caller keeps the order's
    /// place in the books and calls [`Engine::after_fills`] when it is back there.
    pub(super) fn fill(
        &mut self,
        id: AccountId,
        order: &mut Order,
        quantity: Decimal,
        price: Decimal,
        role: Role,
        now: i64,
    ) -> Aftermath {
        let notional = quantity * price;
        let trade_id = Counters::next(&mut self.state.counters.trade);
        order.executed += quantity;
        order.executed_quote += notional;
        order.updated = now;
        order.status =
            if order.remaining().is_zero() { OrderStatus::Filled } else { OrderStatus::PartiallyFilled };

        self.touched.insert(id.0);
        let account = &mut self.state.accounts[id.0];
        let counters = &mut self.state.counters;
        let settings = account.settings(&order.symbol);
        let position = account.positions.entry(order.symbol.clone()).or_default();
        let held = position.amount.abs();
        let effect = position.apply(order.side, quantity, price, settings);
        position.updated = now;
        let commission = money(notional * role.fee_rate());
        if !position.is_flat() {
            let opening_fee = match effect.closed {
                closed if closed.is_zero() => commission,
                closed if closed == quantity => Decimal::ZERO,
                closed => money(commission * (quantity - closed) / quantity),
            };
            position.open_fees += opening_fee;
        }
        let flat = position.is_flat();
        account.cross_wallet += effect.released + effect.realized - effect.reserved - commission;
        let mut clearing = Decimal::ZERO;
        if role == Role::Liquidation {
            let left = match settings.margin {
                MarginType::Isolated => effect.released + effect.realized,
                MarginType::Cross => account.cross_wallet,
            };
            clearing = liquidation_clearing(left, notional, settings.margin);
        }
        for (kind, amount) in
            [(IncomeKind::RealizedPnl, effect.realized), (IncomeKind::Commission, -commission)]
        {
            if !amount.is_zero() {
                let ledger_id = Counters::next(&mut counters.ledger);
                account.book(Income {
                    id: ledger_id,
                    kind,
                    symbol: Some(order.symbol.clone()),
                    amount,
                    trade_id: Some(trade_id),
                    time: now,
                });
            }
        }
        let trade = Trade {
            id: trade_id,
            order_id: order.id,
            symbol: order.symbol.clone(),
            side: order.side,
            price,
            quantity,
            commission,
            realized: effect.realized,
            maker: role == Role::Maker,
            time: now,
        };
        account.trades.push(trade.clone());
        self.reweigh(id, &order.symbol);
        if flat != held.is_zero() {
            self.note_holding(id, &order.symbol, !flat);
        }
        self.tell_order(id, now, order, Execution::Trade(trade));
        self.tell_balance(id, now, "ORDER", Some(&order.symbol), Decimal::ZERO);
        if !clearing.is_zero() {
            self.clear(id, Some(&order.symbol), Some(trade_id), clearing, now);
        }
        self.finish_algo(id, order, now);
        Aftermath {
            closed_out: !held.is_zero() && effect.closed == held,
            reduced: !effect.closed.is_zero(),
            unpaid: false,
        }
    }

    /// How many of `quantity` units an order may fill: all, or only those that close when the money is not there to set
    /// margin aside for the rest. An order is accepted by what stood then; a position that something else closed since,
    /// or a book that was thinner than assumed, may leave it unpaid.
    pub(super) fn payable(
        &self,
        id: AccountId,
        order: &Order,
        quantity: Decimal,
        price: Decimal,
        role: Role,
    ) -> Decimal {
        let account = self.account(id);
        let settings = account.settings(&order.symbol);
        if role == Role::Liquidation || settings.margin != MarginType::Isolated {
            return quantity;
        }
        let fee = money(quantity * price * role.fee_rate());
        let mut position = account.positions.get(&order.symbol).cloned().unwrap_or_default();
        let effect = position.apply(order.side, quantity, price, settings);
        let left = account.cross_wallet + effect.released + effect.realized - effect.reserved - fee;
        if effect.reserved.is_zero() || left >= Decimal::ZERO { quantity } else { effect.closed }
    }

    /// What a smaller position ends. One that is gone, even when an opposite one took its place, ends its
    /// `closePosition` orders and resting reduce-only orders; one that shrank ends the latest reduce-only orders that
    /// no longer fit. Reduce-only conditional orders with a quantity stay as orphans.
    pub(super) fn after_fills(&mut self, id: AccountId, symbol: &Symbol, aftermath: Aftermath, now: i64) {
        if !aftermath.reduced {
            return;
        }
        if aftermath.closed_out {
            self.account_mut(id).called.remove(symbol);
        }
        let account = self.account(id);
        let Some(tally) = self.tally(id, symbol) else { return };
        let room = if aftermath.closed_out { Decimal::ZERO } else { account.amount(symbol).abs() };
        let mut surplus = tally.reducing - room;
        let mut ended = Vec::new();
        if surplus > Decimal::ZERO {
            for order in tally.resting.iter().rev().filter_map(|order_id| account.orders.get(*order_id)) {
                if order.reduce_only && surplus > Decimal::ZERO {
                    surplus -= order.remaining();
                    ended.push(order.id);
                }
            }
            ended.reverse();
        }
        let mut algos = Vec::new();
        if aftermath.closed_out {
            let waiting = tally.waiting.iter().filter_map(|algo_id| account.algos.get(*algo_id));
            algos.extend(waiting.filter(|algo| algo.close_position).map(|algo| algo.id));
        }
        for algo in algos {
            self.end_algo(id, algo, AlgoStatus::Expired, now);
        }
        for order in ended {
            self.expire_resting(id, order, ER_NOTHING_TO_REDUCE, now);
        }
    }

    /// Ends a resting order on the exchange's own account.
    pub(super) fn expire_resting(&mut self, id: AccountId, order_id: i64, reason: u8, now: i64) {
        let Some(mut order) = self.take_resting(id, order_id) else { return };
        self.expire(id, &mut order, reason, now);
        self.account_mut(id).orders.insert(order_id, order);
    }

    /// Takes an order out of its place in the queue, to change it and put it back into the books.
    pub(super) fn take_resting(&mut self, id: AccountId, order_id: i64) -> Option<Order> {
        let account = self.account(id);
        let order = account.orders.get(order_id).filter(|order| account.open_orders.contains(&order.id))?;
        let order = order.clone();
        self.unrest(id, &order);
        Some(order)
    }

    /// Ends an order that does not rest.
    pub(super) fn expire(&mut self, id: AccountId, order: &mut Order, reason: u8, now: i64) {
        order.status = OrderStatus::Expired;
        order.expiry_reason = reason;
        order.updated = now;
        self.tell_order(id, now, order, Execution::Expired);
        self.finish_algo(id, order, now);
    }
}

/// What the insurance fund pays (above zero) or the liquidation costs (below), given the money left after the close.
fn liquidation_clearing(left: Decimal, notional: Decimal, margin: MarginType) -> Decimal {
    if left >= Decimal::ZERO {
        -money(notional * LIQUIDATION_FEE).min(left)
    } else if margin == MarginType::Isolated {
        -left
    } else {
        // A cross account may still be saved by its other positions; what is missing in the end is covered then.
        Decimal::ZERO
    }
}
