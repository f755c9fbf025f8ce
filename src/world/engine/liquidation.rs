//! Margin that runs out: the call before, and the liquidation.

use rust_decimal::Decimal;

use super::contract::MARGIN_CALL_SHARE;
use super::happening::MarginCallRow;
use super::index::numbered;
use super::types::{Income, IncomeKind, MarginType, OrderKind, OrderRequest, TimeInForce};
use super::{AccountId, Counters, Engine, What};
use crate::domain::Symbol;

/// Expiry reason: the account was liquidated.
const ER_LIQUIDATED: u8 = 5;

/// Money behind positions, and what they need of it, USDT.
#[derive(Debug, Clone, Copy, Default)]
struct Margin {
    balance: Decimal,
    maintenance: Decimal,
}

impl Margin {
    fn is_lost(self) -> bool {
        self.balance <= self.maintenance
    }

    fn is_short(self) -> bool {
        self.maintenance >= self.balance * MARGIN_CALL_SHARE
    }
}

impl Engine {
    /// Looks after an account whose positions have a new mark: liquidates what lost its margin, calls for the rest.
    pub(super) fn supervise(&mut self, id: AccountId, now: i64) {
        let account = self.account(id);
        let mut cross = Margin { balance: account.cross_wallet, maintenance: Decimal::ZERO };
        let mut holds_cross = false;
        let mut isolated = Vec::new();
        for (symbol, position) in account.positions.iter().filter(|(_, position)| !position.is_flat()) {
            let Some((unrealized, maintenance)) = self.weigh(symbol, position) else { continue };
            if account.settings(symbol).margin == MarginType::Cross {
                holds_cross = true;
                cross.balance += unrealized;
                cross.maintenance += maintenance;
            } else {
                let margin = Margin { balance: position.isolated_wallet + unrealized, maintenance };
                if margin.is_short() || account.called.contains(symbol) {
                    isolated.push((symbol.clone(), margin));
                }
            }
        }
        let cross_called = account.cross_called;
        for (symbol, margin) in isolated {
            if margin.is_lost() && self.is_frozen(&symbol) {
                // Nobody is liquidated at a price of the past; the next one decides.
            } else if margin.is_lost() {
                self.expire_orders_of(id, Some(&symbol), now);
                self.liquidate_position(id, &symbol, now);
            } else {
                self.call_isolated(id, &symbol, margin, now);
            }
        }
        if holds_cross && cross.is_lost() {
            self.liquidate_cross(id, now);
        } else if cross_called || (holds_cross && cross.is_short()) {
            self.call_cross(id, holds_cross && cross.is_short(), now);
        }
    }

    /// Unrealised result and maintenance margin of a position at mark, USDT.
    fn weigh(&self, symbol: &Symbol, position: &super::Position) -> Option<(Decimal, Decimal)> {
        let mark = self.pits.get(symbol)?.quote?.mark;
        let maintenance = self.contracts.get(symbol)?.maintenance((position.amount * mark).abs());
        Some((position.unrealized(mark), super::money(maintenance)))
    }

    fn call_isolated(&mut self, id: AccountId, symbol: &Symbol, margin: Margin, now: i64) {
        let called = &mut self.account_mut(id).called;
        if !margin.is_short() {
            called.remove(symbol);
        } else if called.insert(symbol.clone()) {
            let positions = self.margin_call_rows(id, |name| name == symbol);
            self.tell(id, now, What::MarginCall { cross_wallet: None, positions });
        }
    }

    fn call_cross(&mut self, id: AccountId, short: bool, now: i64) {
        let account = self.account_mut(id);
        let before = std::mem::replace(&mut account.cross_called, short);
        if short && !before {
            let account = self.account(id);
            let wallet = account.cross_wallet;
            let rows =
                self.margin_call_rows(id, |symbol| account.settings(symbol).margin == MarginType::Cross);
            self.tell(id, now, What::MarginCall { cross_wallet: Some(wallet), positions: rows });
        }
    }

    fn margin_call_rows(&self, id: AccountId, wanted: impl Fn(&Symbol) -> bool) -> Vec<MarginCallRow> {
        let account = self.account(id);
        self.held(id)
            .filter(|symbol| wanted(symbol))
            .filter_map(|symbol| {
                let position = account.positions.get(symbol)?;
                let standing = self.standing(id, symbol);
                Some(MarginCallRow {
                    symbol: symbol.clone(),
                    amount: position.amount,
                    margin: account.settings(symbol).margin,
                    isolated_wallet: position.isolated_wallet,
                    mark: standing.mark,
                    unrealized: standing.unrealized,
                    maintenance: standing.maintenance,
                })
            })
            .collect()
    }

    /// Takes the account's cross orders away, then closes its cross positions one after the other, the one that needs
    /// most maintenance first, until the rest stands on its own. What is missing in the end is covered.
    fn liquidate_cross(&mut self, id: AccountId, now: i64) {
        self.expire_orders_of(id, None, now);
        loop {
            let totals = self.totals(id);
            if totals.cross_wallet + totals.cross_unrealized > totals.cross_maintenance {
                break;
            }
            let account = self.account(id);
            let cross = self.held(id).filter(|symbol| account.settings(symbol).margin == MarginType::Cross);
            let weighed = cross.filter(|symbol| !self.is_frozen(symbol)).filter_map(|symbol| {
                let (_, maintenance) = self.weigh(symbol, account.positions.get(symbol)?)?;
                Some((maintenance, symbol.clone()))
            });
            let Some((_, heaviest)) = weighed.max() else { break };
            self.liquidate_position(id, &heaviest, now);
        }
        let account = self.account(id);
        let stands = self.held(id).any(|symbol| account.settings(symbol).margin == MarginType::Cross);
        self.touched.insert(id.0);
        let account = &mut self.state.accounts[id.0];
        account.cross_called = false;
        // What still stands answers for a wallet below zero with its profit.
        if !stands && account.cross_wallet.is_sign_negative() && !account.cross_wallet.is_zero() {
            let covered = -account.cross_wallet;
            self.clear(id, None, None, covered, now);
        }
    }

    /// What the insurance fund takes or gives, in the ledger and to whoever follows the account.
    pub(super) fn clear(
        &mut self,
        id: AccountId,
        symbol: Option<&Symbol>,
        trade_id: Option<i64>,
        amount: Decimal,
        now: i64,
    ) {
        let ledger_id = Counters::next(&mut self.state.counters.ledger);
        let account = &mut self.state.accounts[id.0];
        account.cross_wallet += amount;
        account.book(Income {
            id: ledger_id,
            kind: IncomeKind::InsuranceClear,
            symbol: symbol.cloned(),
            amount,
            trade_id,
            time: now,
        });
        self.tell_balance(id, now, "INSURANCE_CLEAR", None, amount);
    }

    /// Ends the resting orders of one contract, or of every contract with cross margin.
    fn expire_orders_of(&mut self, id: AccountId, only: Option<&Symbol>, now: i64) {
        let account = self.account(id);
        let concerned = |symbol: &Symbol| match only {
            Some(only) => symbol == only,
            None => account.settings(symbol).margin == MarginType::Cross,
        };
        let orders: Vec<i64> =
            account.resting().filter(|order| concerned(&order.symbol)).map(|order| order.id).collect();
        for order_id in orders {
            self.expire_resting(id, order_id, ER_LIQUIDATED, now);
        }
    }

    /// Closes the position with an order of the exchange's own.
    fn liquidate_position(&mut self, id: AccountId, symbol: &Symbol, now: i64) {
        let Some(position) = self.account(id).positions.get(symbol) else { return };
        let Some(side) = position.closing_side() else { return };
        let request = OrderRequest {
            symbol: symbol.clone(),
            side,
            kind: OrderKind::Liquidation,
            time_in_force: TimeInForce::Ioc,
            quantity: position.amount.abs(),
            price: Decimal::ZERO,
            reduce_only: true,
            client_id: Some(numbered("autoclose-", self.state.counters.order).to_string()),
            good_till: None,
        };
        self.accept(id, request, None, now);
    }
}
