//! What prices and time do to accounts: liquidation, triggers, resting fills, funding.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::account::money;
use super::fill::Role;
use super::order::taking_price;
use super::types::{Income, IncomeKind, MarginType, OrderKind, OrderRequest, TimeInForce};
use super::{AccountId, Counters, Engine};
use crate::domain::{Side, Symbol};
use crate::world::market::Quote;

/// Expiry reason: the account was liquidated.
const ER_LIQUIDATED: u8 = 5;

impl Engine {
    /// Takes new prices and carries out everything they cause: first liquidations (at mark), then triggers, then
    /// resting orders. Whatever fires fills at these prices, however far behind its trigger lies.
    pub fn update(&mut self, quotes: impl IntoIterator<Item = (Symbol, Quote)>, now: i64) {
        for (symbol, quote) in quotes {
            self.quotes.insert(symbol, quote);
        }
        for index in 0..self.state.accounts.len() {
            let id = AccountId(index);
            self.liquidate(id, now);
            if !self.account(id).open_algos.is_empty() {
                self.fire_algos(id, now);
            }
            if !self.account(id).open_orders.is_empty() {
                self.fill_resting(id, now);
            }
        }
    }

    /// Whether prices can change anything: some account holds a position or has an order waiting.
    pub fn is_exposed(&self) -> bool {
        self.state.accounts.iter().any(|account| {
            !account.open_orders.is_empty()
                || !account.open_algos.is_empty()
                || account.positions.values().any(|position| !position.is_flat())
        })
    }

    /// How far, as a share of the price, the nearest trigger, resting order or liquidation price of each contract is.
    pub fn distances(&self) -> BTreeMap<Symbol, Decimal> {
        let mut nearest = BTreeMap::new();
        let mut see = |symbol: &Symbol, level: Decimal| {
            let Some(price) = self.quotes.get(symbol).map(|quote| quote.last) else { return };
            if !level.is_zero() && !price.is_zero() {
                let distance = ((price - level) / price).abs();
                nearest
                    .entry(symbol.clone())
                    .and_modify(|known: &mut Decimal| *known = (*known).min(distance))
                    .or_insert(distance);
            }
        };
        for (id, account) in self.accounts() {
            for algo in account.waiting() {
                see(&algo.symbol, algo.level());
            }
            for order in account.resting() {
                see(&order.symbol, order.price);
            }
            for (symbol, _) in account.positions.iter().filter(|(_, position)| !position.is_flat()) {
                see(symbol, self.liquidation_price(id, symbol));
            }
        }
        nearest
    }

    /// Pays funding of one contract: a positive rate goes from longs to shorts (facts §3).
    pub fn fund(&mut self, symbol: &Symbol, rate: Decimal, mark: Decimal, now: i64) {
        for index in 0..self.state.accounts.len() {
            let id = AccountId(index);
            let account = &mut self.state.accounts[index];
            let isolated = account.settings(symbol).margin == MarginType::Isolated;
            let Some(position) = account.positions.get_mut(symbol).filter(|position| !position.is_flat())
            else {
                continue;
            };
            let amount = -money(position.amount * mark * rate);
            if amount.is_zero() {
                continue;
            }
            if isolated {
                position.isolated_wallet += amount;
                position.updated = now;
            } else {
                account.cross_wallet += amount;
            }
            let ledger_id = Counters::next(&mut self.state.counters.ledger);
            account.book(Income {
                id: ledger_id,
                kind: IncomeKind::FundingFee,
                symbol: Some(symbol.clone()),
                amount,
                trade_id: None,
                time: now,
            });
            // The report names the contract; the face leaves the position out for cross margin.
            self.tell_balance(id, now, "FUNDING_FEE", std::slice::from_ref(symbol), amount);
        }
    }

    fn fill_resting(&mut self, id: AccountId, now: i64) {
        let due: Vec<(i64, Decimal)> = self
            .account(id)
            .resting()
            .filter_map(|order| {
                let quote = self.quotes.get(&order.symbol)?;
                let touched = match order.side {
                    Side::Buy => quote.last <= order.price,
                    Side::Sell => quote.last >= order.price,
                };
                (touched || taking_price(order, *quote).is_some()).then_some((order.id, order.price))
            })
            .collect();
        for (order_id, price) in due {
            let account = self.account(id);
            let Some(order) = account.orders.get(&order_id).filter(|order| order.is_open()) else { continue };
            let open = order.remaining();
            let quantity =
                if order.reduce_only { open.min(account.amount(&order.symbol).abs()) } else { open };
            if !quantity.is_zero() {
                self.fill(id, order_id, quantity, price, Role::Maker, now);
            }
        }
    }

    fn liquidate(&mut self, id: AccountId, now: i64) {
        let account = self.account(id);
        if account.positions.values().all(super::Position::is_flat) {
            return;
        }
        let isolated: Vec<Symbol> = account
            .positions
            .iter()
            .filter(|(symbol, position)| {
                !position.is_flat()
                    && account.settings(symbol).margin == MarginType::Isolated
                    && self.quotes.contains_key(symbol)
            })
            .filter(|(symbol, _)| {
                let standing = self.standing(id, symbol);
                standing.isolated_margin <= standing.maintenance
            })
            .map(|(symbol, _)| symbol.clone())
            .collect();
        for symbol in isolated {
            self.liquidate_position(id, &symbol, now);
        }
        self.liquidate_cross(id, now);
    }

    fn liquidate_cross(&mut self, id: AccountId, now: i64) {
        let account = self.account(id);
        let held: Vec<Symbol> = account
            .positions
            .iter()
            .filter(|(symbol, position)| {
                !position.is_flat() && account.settings(symbol).margin == MarginType::Cross
            })
            .map(|(symbol, _)| symbol.clone())
            .collect();
        if held.is_empty() {
            return;
        }
        let totals = self.totals(id);
        if totals.cross_wallet + totals.cross_unrealized > totals.cross_maintenance {
            return;
        }
        for symbol in held {
            self.liquidate_position(id, &symbol, now);
        }
        let account = &mut self.state.accounts[id.0];
        if account.cross_wallet.is_sign_negative() {
            let covered = -account.cross_wallet;
            account.cross_wallet = Decimal::ZERO;
            let ledger_id = Counters::next(&mut self.state.counters.ledger);
            account.book(Income {
                id: ledger_id,
                kind: IncomeKind::InsuranceClear,
                symbol: None,
                amount: covered,
                trade_id: None,
                time: now,
            });
            self.tell_balance(id, now, "INSURANCE_CLEAR", &[], covered);
        }
    }

    /// Ends the contract's resting orders and closes the position with an order of the exchange's own.
    fn liquidate_position(&mut self, id: AccountId, symbol: &Symbol, now: i64) {
        let account = self.account(id);
        let Some(position) = account.positions.get(symbol) else { return };
        let Some(side) = position.closing_side() else { return };
        let quantity = position.amount.abs();
        let resting: Vec<i64> =
            account.resting().filter(|order| order.symbol == *symbol).map(|order| order.id).collect();
        for order_id in resting {
            self.expire_order(id, order_id, ER_LIQUIDATED, now);
        }
        let client_id = format!("autoclose-{}", self.state.counters.order);
        let request = OrderRequest {
            symbol: symbol.clone(),
            side,
            kind: OrderKind::Liquidation,
            time_in_force: TimeInForce::Ioc,
            quantity,
            price: Decimal::ZERO,
            reduce_only: true,
            client_id: Some(client_id),
        };
        self.accept(id, request, None, now);
    }
}
