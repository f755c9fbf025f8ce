//! What prices and time do to accounts: liquidation, triggers, resting fills, funding.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use super::account::money;
use super::depth::Wish;
use super::fill::{Aftermath, ER_UNPAID, Role};
use super::order::crosses;
use super::types::{AlgoOrder, Income, IncomeKind, MarginType, Order};
use super::{AccountId, Counters, Engine};
use crate::domain::{Side, Symbol};
use crate::world::market::Quote;

/// Expiry reason of an order whose time is up: none of the exchange's numbered ones.
const ER_TIME: u8 = 0;

impl Engine {
    /// Takes new prices and carries out everything they cause: first liquidations (at mark), then triggers, then
    /// resting orders. Whatever fires fills from here on, however far behind its trigger lies. A new price or a later
    /// moment fills the book of a contract up again; without either nothing has happened, and nothing is done.
    pub fn update(&mut self, quotes: impl IntoIterator<Item = (Symbol, Quote)>, now: i64) {
        self.forget(now);
        self.end_expired(now);
        let mut symbols = Vec::new();
        let mut holders = vec![false; self.state.accounts.len()];
        for (symbol, quote) in quotes {
            let pit = self.pits.entry(symbol.clone()).or_default();
            let was_frozen = std::mem::take(&mut pit.frozen);
            if !pit.see(quote, now) && !was_frozen {
                continue;
            }
            for index in &pit.holders {
                holders[*index] = true;
            }
            symbols.push(symbol);
        }
        for (index, holds) in holders.into_iter().enumerate() {
            if holds {
                self.supervise(AccountId(index), now);
            }
        }
        self.fire_reached(&symbols, now);
        for symbol in &symbols {
            for side in [Side::Buy, Side::Sell] {
                self.fill_reached(symbol, side, now);
            }
        }
    }

    /// Takes over the prices that were known when the state was taken, without anything they caused: that has happened.
    pub fn recall(&mut self, quotes: impl IntoIterator<Item = (Symbol, Quote)>, then: i64) {
        for (symbol, quote) in quotes {
            self.pits.entry(symbol).or_default().see(quote, then);
        }
    }

    /// Whether prices can change anything: some account holds a position or has an order waiting.
    pub fn is_exposed(&self) -> bool {
        self.pits.values().any(super::index::Pit::is_exposed)
    }

    /// How far, as a share of the price, the nearest trigger, resting order or liquidation price of each contract is.
    pub fn distances(&self) -> BTreeMap<Symbol, Decimal> {
        let mut nearest = BTreeMap::new();
        let mut see = |symbol: &Symbol, level: Decimal, price: Decimal| {
            if !level.is_zero() && !price.is_zero() {
                let distance = ((price - level) / price).abs();
                nearest
                    .entry(symbol.clone())
                    .and_modify(|known: &mut Decimal| *known = (*known).min(distance))
                    .or_insert(distance);
            }
        };
        let mut holders = BTreeSet::new();
        for (symbol, pit) in &self.pits {
            let Some(last) = pit.quote.map(|quote| quote.last) else { continue };
            for level in pit.nearest_levels() {
                see(symbol, level, last);
            }
            for (algo_id, index) in pit.trailing() {
                let algo = self.state.accounts[index].algos.get(algo_id);
                see(symbol, algo.map_or(Decimal::ZERO, AlgoOrder::level), last);
            }
            holders.extend(pit.holders.iter().copied());
        }
        for index in holders {
            let id = AccountId(index);
            let totals = self.totals(id);
            for symbol in self.held(id) {
                if let Some(last) = self.pits.get(symbol).and_then(|pit| pit.quote).map(|quote| quote.last) {
                    see(symbol, self.liquidation_price_within(id, symbol, &totals), last);
                }
            }
        }
        nearest
    }

    /// Pays funding of one contract: a positive rate goes from longs to shorts.
    pub fn fund(&mut self, symbol: &Symbol, rate: Decimal, mark: Decimal, now: i64) {
        let holders: Vec<usize> =
            self.pits.get(symbol).map(|pit| pit.holders.iter().copied().collect()).unwrap_or_default();
        for index in holders {
            let id = AccountId(index);
            self.touched.insert(index);
            let account = &mut self.state.accounts[index];
            let isolated = account.settings(symbol).margin == MarginType::Isolated;
            let Some(position) = account.positions.get_mut(symbol) else { continue };
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
            self.tell_balance(id, now, "FUNDING_FEE", Some(symbol), amount);
        }
    }

    /// Ends the resting orders whose time is up.
    fn end_expired(&mut self, now: i64) {
        while let Some((at, index, order_id)) = self.expiries.first().copied()
            && at <= now
        {
            self.expiries.pop_first();
            self.expire_resting(AccountId(index), order_id, ER_TIME, now);
        }
    }

    /// Fires the conditional orders the prices reach, account by account, oldest first.
    fn fire_reached(&mut self, symbols: &[Symbol], now: i64) {
        let mut due = Vec::new();
        for symbol in symbols {
            let Some(pit) = self.pits.get(symbol) else { continue };
            due.extend(pit.reached_triggers().map(|(algo_id, index)| (index, algo_id)));
            let trailing: Vec<(i64, usize)> = pit.trailing().collect();
            let Some(quote) = pit.quote else { continue };
            for (algo_id, index) in trailing {
                if self.trail(AccountId(index), algo_id, quote) {
                    due.push((index, algo_id));
                }
            }
        }
        due.sort_unstable();
        for (index, algo_id) in due {
            // An earlier one of this batch may have made the position flat and ended this one.
            let id = AccountId(index);
            if self.account(id).open_algos.contains(&algo_id) && !self.is_protected(id, algo_id) {
                self.fire(id, algo_id, now);
            }
        }
    }

    /// Fills the resting orders of one side that the prices reach, as far as enough trades there.
    fn fill_reached(&mut self, symbol: &Symbol, side: Side, now: i64) {
        let Some(pit) = self.pits.get(symbol) else { return };
        for (order_id, index) in pit.reached_orders(side) {
            let id = AccountId(index);
            let Some(order) = self.account(id).orders.get(order_id) else { continue };
            if !order.is_open() {
                continue;
            }
            let open = order.remaining();
            let wanted =
                if order.reduce_only { open.min(self.account(id).amount(symbol).abs()) } else { open };
            let order = order.clone();
            let quantity = self.met(&order, wanted);
            if quantity.is_zero() {
                continue;
            }
            let Some(mut order) = self.take_resting(id, order_id) else { continue };
            let price = order.price;
            let payable = self.payable(id, &order, quantity, price, Role::Maker);
            let mut aftermath = Aftermath::default();
            if !payable.is_zero() {
                aftermath = self.fill(id, &mut order, payable, price, Role::Maker, now);
            }
            if payable < quantity {
                self.expire(id, &mut order, ER_UNPAID, now);
            } else if order.is_open() {
                self.rest(id, &order);
            }
            self.account_mut(id).orders.insert(order_id, order);
            self.after_fills(id, symbol, aftermath, now);
        }
    }

    /// How many of `wanted` units come to a resting order: what the other side's book offers up to its price when the
    /// market stands beyond it, or what trades at the best price when the market only touches it.
    fn met(&mut self, order: &Order, wanted: Decimal) -> Decimal {
        let Some(contract) = self.contracts.get(&order.symbol) else { return Decimal::ZERO };
        let Some(pit) = self.pits.get_mut(&order.symbol) else { return Decimal::ZERO };
        let Some(quote) = pit.quote else { return Decimal::ZERO };
        if crosses(order.side, order.price, quote) {
            let wish = Wish { quantity: wanted, limit: Some(order.price) };
            let slices = contract.sweep(quote, order.side, *pit.taken.of(order.side), wish);
            let met = slices.iter().map(|slice| slice.quantity).sum();
            *pit.taken.of_mut(order.side) += met;
            met
        } else {
            let passing = contract.levels(quote, opposite(order.side), 1).next();
            let printed = pit.printed.of_mut(order.side);
            let left = passing.map_or(Decimal::ZERO, |level| level.quantity - *printed).max(Decimal::ZERO);
            let met = wanted.min(left);
            *printed += met;
            met
        }
    }
}

fn opposite(side: Side) -> Side {
    match side {
        Side::Buy => Side::Sell,
        Side::Sell => Side::Buy,
    }
}
