//! What an account may set: leverage, margin type, isolated margin.

use rust_decimal::Decimal;

use super::account::money;
use super::refusal::{self, Refusal};
use super::types::MarginType;
use super::{AccountId, Engine, What};
use crate::domain::Symbol;

/// More than any account has, USDT (1 000 000 · 2³²): such an amount is refused before it is counted with.
const MOST_MOVED: Decimal = Decimal::from_parts(0, 1_000_000, 0, false, 0);

impl Engine {
    /// Sets the leverage of a contract and returns the largest notional it allows.
    pub fn set_leverage(
        &mut self,
        id: AccountId,
        symbol: &Symbol,
        leverage: u32,
        now: i64,
    ) -> Result<Decimal, Refusal> {
        let contract = self.contract(symbol)?;
        if !(1..=contract.max_leverage()).contains(&leverage) {
            return Err(Refusal::told(-4028, format!("Leverage {leverage} is not valid")));
        }
        let max_notional = contract.max_notional(leverage);
        let account = self.account(id);
        let before = account.settings(symbol);
        let holds = !account.amount(symbol).is_zero();
        if holds && before.margin == MarginType::Isolated && leverage < before.leverage {
            return Err(refusal::LEVERAGE_REDUCTION);
        }
        let standing = self.standing(id, symbol);
        if standing.notional.abs() > max_notional {
            return Err(refusal::MAX_POSITION);
        }
        if leverage < before.leverage {
            // An isolated position has its margin already; lower leverage is refused with one anyway.
            let of_position = match before.margin {
                MarginType::Cross => standing.position_initial,
                MarginType::Isolated => Decimal::ZERO,
            };
            let now_tied = of_position + standing.open_order_initial;
            let then_tied = now_tied * Decimal::from(before.leverage) / Decimal::from(leverage);
            if then_tied - now_tied > self.totals(id).available {
                return Err(refusal::LEVERAGE_TOO_SMALL);
            }
        }
        if leverage != before.leverage {
            self.account_mut(id).settings.entry(symbol.clone()).or_default().leverage = leverage;
            self.reweigh(id, symbol);
            self.tell(id, now, What::Leverage { symbol: symbol.clone(), leverage });
        }
        Ok(max_notional)
    }

    /// Sets cross or isolated margin; possible only without position and orders.
    pub fn set_margin_type(
        &mut self,
        id: AccountId,
        symbol: &Symbol,
        margin: MarginType,
        now: i64,
    ) -> Result<(), Refusal> {
        self.contract(symbol)?;
        let account = self.account(id);
        if account.settings(symbol).margin == margin {
            return Err(refusal::MARGIN_TYPE_SAME);
        }
        if !account.amount(symbol).is_zero() {
            return Err(refusal::MARGIN_TYPE_POSITION);
        }
        let clean = |tally: &super::index::Tally| tally.resting.is_empty() && tally.waiting.is_empty();
        if !self.tally(id, symbol).is_none_or(clean) {
            return Err(refusal::MARGIN_TYPE_ORDERS);
        }
        self.account_mut(id).settings.entry(symbol.clone()).or_default().margin = margin;
        self.reweigh(id, symbol);
        self.tell_balance(id, now, "MARGIN_TYPE_CHANGE", Some(symbol), Decimal::ZERO);
        Ok(())
    }

    /// Moves margin into (above zero) or out of (below zero) an isolated position.
    pub fn move_margin(
        &mut self,
        id: AccountId,
        symbol: &Symbol,
        amount: Decimal,
        now: i64,
    ) -> Result<(), Refusal> {
        self.contract(symbol)?;
        let account = self.account(id);
        if account.settings(symbol).margin != MarginType::Isolated || account.amount(symbol).is_zero() {
            return Err(refusal::NO_POSITION_MARGIN);
        }
        if amount.abs() > MOST_MOVED {
            return Err(if amount.is_sign_positive() {
                refusal::CROSS_BALANCE
            } else {
                refusal::ISOLATED_BALANCE
            });
        }
        let amount = money(amount);
        let standing = self.standing(id, symbol);
        if amount > self.totals(id).available {
            return Err(refusal::CROSS_BALANCE);
        }
        if amount < Decimal::ZERO && standing.isolated_margin + amount < standing.position_initial {
            return Err(refusal::ISOLATED_BALANCE);
        }
        let account = self.account_mut(id);
        if let Some(position) = account.positions.get_mut(symbol) {
            position.isolated_wallet += amount;
            position.updated = now;
            account.cross_wallet -= amount;
            account.updated = now;
        }
        self.tell_balance(id, now, "MARGIN_TRANSFER", Some(symbol), -amount);
        Ok(())
    }
}
