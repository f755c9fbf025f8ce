//! What the exchange forgets, so that a long life does not grow without end.

use rust_decimal::Decimal;

use super::account::Account;
use super::types::{AlgoStatus, OrderStatus};
use super::{AccountId, Engine};

const DAY: i64 = 86_400_000;
/// Orders that ended without a fill are kept so long.
const UNFILLED: i64 = 3 * DAY;
/// Orders, fills and ledger rows are kept so long.
const KEPT: i64 = 90 * DAY;
/// Rows of each history an account may have; beyond, the oldest go before their time.
pub const MOST_ROWS: usize = 100_000;

impl Engine {
    /// Forgets what is too old, once a day of market time. Age is counted to the day's beginning, and what ended after it
    /// stays: what is forgotten on a day must not depend on the moment of it, or an exchange that was resumed would forget
    /// other rows than one that never stopped.
    pub(super) fn forget(&mut self, now: i64) {
        let day = now.div_euclid(DAY);
        if day <= self.forgot_day {
            return;
        }
        self.forgot_day = day;
        for index in 0..self.state.accounts.len() {
            if self.state.accounts[index].forget_old(day * DAY) {
                self.whole = true;
                self.index_names(AccountId(index));
            }
        }
    }

    /// Makes room in the histories of an account that grew too long.
    pub(super) fn make_room(&mut self, id: AccountId) {
        let account = &mut self.state.accounts[id.0];
        if account.is_crowded() && account.forget_surplus() {
            self.whole = true;
            self.index_names(id);
        }
    }
}

impl Account {
    /// Returns whether anything was forgotten.
    fn forget_old(&mut self, now: i64) -> bool {
        let before = self.rows();
        self.orders.retain(|order| {
            let unfilled = order.executed.is_zero()
                && matches!(order.status, OrderStatus::Canceled | OrderStatus::Expired);
            let kept = if unfilled { UNFILLED } else { KEPT };
            order.is_open() || order.updated >= now || now - order.created <= kept
        });
        self.algos.retain(|algo| {
            let unfilled =
                matches!(algo.status, AlgoStatus::Canceled | AlgoStatus::Expired | AlgoStatus::Rejected);
            let done = unfilled || algo.status == AlgoStatus::Finished;
            let kept = if unfilled { UNFILLED } else { KEPT };
            !done || algo.updated >= now || now - algo.created <= kept
        });
        let trades = self.trades.partition_point(|trade| now - trade.time > KEPT);
        self.trades.drain(..trades);
        let rows = self.income.partition_point(|row| now - row.time > KEPT);
        self.forget_income(rows);
        self.rows() != before
    }

    fn forget_income(&mut self, count: usize) {
        self.forgotten += self.income.drain(..count).map(|row| row.amount).sum::<Decimal>();
    }

    fn rows(&self) -> [usize; 4] {
        [self.orders.len(), self.algos.len(), self.trades.len(), self.income.len()]
    }

    fn is_crowded(&self) -> bool {
        self.rows().iter().any(|rows| *rows >= MOST_ROWS)
    }

    /// Brings every history that is full down to three quarters.
    fn forget_surplus(&mut self) -> bool {
        let surplus = |rows: usize| if rows >= MOST_ROWS { rows - MOST_ROWS / 4 * 3 } else { 0 };
        let before = self.rows();
        let [orders, algos, trades, income] = before.map(surplus);
        let mut surplus = orders;
        self.orders.retain(|order| order.is_open() || !take_one(&mut surplus));
        let mut surplus = algos;
        self.algos.retain(|algo| {
            matches!(algo.status, AlgoStatus::New | AlgoStatus::Triggered) || !take_one(&mut surplus)
        });
        self.trades.drain(..trades);
        self.forget_income(income);
        self.rows() != before
    }
}

/// Takes one from a number while there is one.
fn take_one(number: &mut usize) -> bool {
    let some = *number > 0;
    *number -= usize::from(some);
    some
}
