//! A fill: position, wallet, ledger, order and reports, all at once.

use rust_decimal::Decimal;

use super::account::money;
use super::contract::{LIQUIDATION_FEE, MAKER_FEE, TAKER_FEE};
use super::happening::Execution;
use super::types::{AlgoStatus, Income, IncomeKind, MarginType, OrderStatus, Trade};
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

/// Expiry reason: reduce-only order without a position to reduce (facts §1.8 `er`).
pub(super) const ER_NOTHING_TO_REDUCE: u8 = 4;

impl Engine {
    /// Fills `quantity` of an order at `price` and tells everything that follows from it.
    pub(super) fn fill(
        &mut self,
        id: AccountId,
        order_id: i64,
        quantity: Decimal,
        price: Decimal,
        role: Role,
        now: i64,
    ) {
        let Self { state, .. } = self;
        let account = &mut state.accounts[id.0];
        let counters = &mut state.counters;
        let Some(order) = account.orders.get_mut(&order_id) else { return };
        let (symbol, side) = (order.symbol.clone(), order.side);
        let notional = quantity * price;
        let trade_id = Counters::next(&mut counters.trade);

        order.executed += quantity;
        order.executed_quote += notional;
        order.updated = now;
        order.status =
            if order.remaining().is_zero() { OrderStatus::Filled } else { OrderStatus::PartiallyFilled };
        if !order.is_open() {
            account.open_orders.remove(&order_id);
        }
        let order = order.clone();

        let settings = account.settings.get(&symbol).copied().unwrap_or_default();
        let position = account.positions.entry(symbol.clone()).or_default();
        let effect = position.apply(side, quantity, price, settings);
        position.updated = now;
        let flat = position.is_flat();
        account.cross_wallet += effect.released + effect.realized - effect.reserved;
        let fee_rate = match role {
            Role::Taker => TAKER_FEE,
            Role::Maker => MAKER_FEE,
            Role::Liquidation => Decimal::ZERO,
        };
        let commission = money(notional * fee_rate);
        account.cross_wallet -= commission;
        if let Some(position) = account.positions.get_mut(&symbol).filter(|position| !position.is_flat()) {
            position.open_fees += money(commission * (quantity - effect.closed) / quantity);
        }
        let mut rows =
            vec![(IncomeKind::RealizedPnl, effect.realized), (IncomeKind::Commission, -commission)];
        if role == Role::Liquidation {
            let left = match settings.margin {
                MarginType::Isolated => effect.released + effect.realized,
                MarginType::Cross => account.cross_wallet,
            };
            let clearing = liquidation_clearing(left, notional, settings.margin);
            account.cross_wallet += clearing;
            rows.push((IncomeKind::InsuranceClear, clearing));
        }
        for (kind, amount) in rows {
            let ledger_id = Counters::next(&mut counters.ledger);
            account.book(Income {
                id: ledger_id,
                kind,
                symbol: Some(symbol.clone()),
                amount,
                trade_id: Some(trade_id),
                time: now,
            });
        }
        let trade = Trade {
            id: trade_id,
            order_id,
            symbol: symbol.clone(),
            side,
            price,
            quantity,
            commission,
            realized: effect.realized,
            maker: role == Role::Maker,
            time: now,
        };
        account.trades.push(trade.clone());
        self.tell_order(id, now, &order, Execution::Trade(trade));
        self.tell_balance(id, now, "ORDER", std::slice::from_ref(&symbol), Decimal::ZERO);
        self.finish_algo(id, &order, now);
        if flat {
            self.after_flat(id, &symbol, now);
        }
    }

    /// A flat position ends its `closePosition` orders and resting reduce-only orders; reduce-only conditional
    /// orders with a quantity stay as orphans (facts §3).
    fn after_flat(&mut self, id: AccountId, symbol: &Symbol, now: i64) {
        let account = self.account(id);
        let algos: Vec<i64> = account
            .waiting()
            .filter(|algo| algo.close_position && algo.symbol == *symbol)
            .map(|algo| algo.id)
            .collect();
        let orders: Vec<i64> = account
            .resting()
            .filter(|order| order.reduce_only && order.symbol == *symbol)
            .map(|order| order.id)
            .collect();
        for algo in algos {
            self.end_algo(id, algo, AlgoStatus::Expired, now);
        }
        for order in orders {
            self.expire_order(id, order, ER_NOTHING_TO_REDUCE, now);
        }
    }

    /// Ends a resting order on the exchange's own account.
    pub(super) fn expire_order(&mut self, id: AccountId, order_id: i64, reason: u8, now: i64) {
        let account = self.account_mut(id);
        account.open_orders.remove(&order_id);
        let Some(order) = account.orders.get_mut(&order_id) else { return };
        order.status = OrderStatus::Expired;
        order.expiry_reason = reason;
        order.updated = now;
        let order = order.clone();
        self.tell_order(id, now, &order, Execution::Expired);
        self.finish_algo(id, &order, now);
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
