//! What changed since the last time, small enough to be written after every request.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::account::{Account, Position, Settings};
use super::types::{AlgoOrder, AlgoStatus, Income, Order, Trade};
use super::{AccountId, Counters, Engine, EngineState, Happening, What};
use crate::domain::Symbol;

/// The difference between two states of an engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineDelta {
    counters: Counters,
    accounts: Vec<AccountDelta>,
}

/// The changed account: small things whole, histories by their new and changed rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct AccountDelta {
    index: usize,
    cross_wallet: Decimal,
    updated: i64,
    positions: BTreeMap<Symbol, Position>,
    settings: BTreeMap<Symbol, Settings>,
    orders: Vec<Order>,
    algos: Vec<AlgoOrder>,
    trades: Vec<Trade>,
    income: Vec<Income>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    called: BTreeSet<Symbol>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    cross_called: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next_share: Option<Decimal>,
}

impl Engine {
    /// What changed since the last call, given everything the engine reported since then. `None` when only the whole
    /// state tells it: at the start, after a new account, after something was forgotten.
    pub fn changes(&mut self, reported: &[Happening]) -> Option<EngineDelta> {
        let touched = std::mem::take(&mut self.touched);
        let told = std::mem::replace(&mut self.told, self.state.counters.clone());
        if std::mem::take(&mut self.whole) {
            return None;
        }
        let mut orders: BTreeMap<usize, BTreeSet<i64>> = BTreeMap::new();
        let mut algos: BTreeMap<usize, BTreeSet<i64>> = BTreeMap::new();
        for happening in reported {
            let index = happening.account.0;
            match &happening.what {
                What::Order { order, .. } => {
                    orders.entry(index).or_default().insert(order.id);
                }
                What::Algo(algo) => {
                    algos.entry(index).or_default().insert(algo.id);
                }
                What::Balance { .. } | What::MarginCall { .. } | What::Leverage { .. } => {}
            }
        }
        let accounts = touched
            .into_iter()
            .filter_map(|index| {
                let account = self.state.accounts.get(index)?;
                let changed_orders = orders.remove(&index).unwrap_or_default();
                let mut changed_algos = algos.remove(&index).unwrap_or_default();
                // Trailing stops follow the price without a report.
                changed_algos.extend(
                    account.waiting().filter(|algo| algo.callback_rate.is_some()).map(|algo| algo.id),
                );
                Some(AccountDelta::of(index, account, &changed_orders, &changed_algos, &told))
            })
            .collect();
        Some(EngineDelta { counters: self.state.counters.clone(), accounts })
    }

    /// The next [`Engine::changes`] is `None`: what was to be kept before could not be.
    pub fn forget_changes(&mut self) {
        self.whole = true;
    }
}

impl AccountDelta {
    fn of(
        index: usize,
        account: &Account,
        orders: &BTreeSet<i64>,
        algos: &BTreeSet<i64>,
        told: &Counters,
    ) -> Self {
        let trades = account.trades.partition_point(|trade| trade.id < told.trade);
        let income = account.income.partition_point(|row| row.id < told.ledger);
        Self {
            index,
            cross_wallet: account.cross_wallet,
            updated: account.updated,
            positions: account.positions.clone(),
            settings: account.settings.clone(),
            orders: orders.iter().filter_map(|id| account.orders.get(*id)).cloned().collect(),
            algos: algos.iter().filter_map(|id| account.algos.get(*id)).cloned().collect(),
            trades: account.trades[trades..].to_vec(),
            income: account.income[income..].to_vec(),
            called: account.called.clone(),
            cross_called: account.cross_called,
            next_share: account.next_share,
        }
    }

    fn apply(self, account: &mut Account) {
        account.cross_wallet = self.cross_wallet;
        account.updated = self.updated;
        account.positions = self.positions;
        account.settings = self.settings;
        for order in self.orders {
            if order.is_open() {
                account.open_orders.insert(order.id);
            } else {
                account.open_orders.remove(&order.id);
            }
            account.orders.insert(order.id, order);
        }
        for algo in self.algos {
            if algo.status == AlgoStatus::New {
                account.open_algos.insert(algo.id);
            } else {
                account.open_algos.remove(&algo.id);
            }
            account.algos.insert(algo.id, algo);
        }
        account.trades.extend(self.trades);
        account.income.extend(self.income);
        account.called = self.called;
        account.cross_called = self.cross_called;
        account.next_share = self.next_share;
    }
}

impl EngineState {
    /// Whether there is such an account.
    pub fn has(&self, account: AccountId) -> bool {
        account.0 < self.accounts.len()
    }

    /// Takes a difference over; `false` when it belongs to another state, which is then as it was.
    #[must_use]
    pub fn apply(&mut self, delta: EngineDelta) -> bool {
        if delta.accounts.iter().any(|changed| changed.index >= self.accounts.len()) {
            return false;
        }
        self.counters = delta.counters;
        for changed in delta.accounts {
            if let Some(account) = self.accounts.get_mut(changed.index) {
                changed.apply(account);
            }
        }
        true
    }
}
