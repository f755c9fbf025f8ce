//! One account's book: wallet, positions, orders of both stores, trades, ledger.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::history::History;
use super::types::{AlgoOrder, Income, IncomeKind, MarginType, Order, Trade};
use crate::domain::{AccountName, Side, Symbol};

/// Digits after the point of every booked amount.
pub const MONEY_DIGITS: u32 = 8;
/// Digits after the point an entry price is kept with.
const ENTRY_DIGITS: u32 = 16;

/// Rounds an amount to what the ledger keeps.
pub fn money(amount: Decimal) -> Decimal {
    amount.round_dp(MONEY_DIGITS)
}

/// The sign of a trade on this side: 1 or -1.
pub fn sign(side: Side) -> Decimal {
    match side {
        Side::Buy => Decimal::ONE,
        Side::Sell => Decimal::NEGATIVE_ONE,
    }
}

/// What the account has set for a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Times.
    pub leverage: u32,
    /// Cross or isolated.
    pub margin: MarginType,
}

impl Default for Settings {
    /// 20x cross, as the exchange starts every account.
    fn default() -> Self {
        Self { leverage: 20, margin: MarginType::Cross }
    }
}

/// A one-way position.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Signed units: below zero is short.
    pub amount: Decimal,
    /// Average entry price; zero when flat.
    pub entry: Decimal,
    /// Margin set aside for it, USDT; zero with cross margin.
    pub isolated_wallet: Decimal,
    /// Fees paid for the units still held, USDT.
    pub open_fees: Decimal,
    /// Realised so far in this contract, USDT.
    pub realized: Decimal,
    /// Market time of the last change, ms.
    pub updated: i64,
}

/// What a fill does to a position's money.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FillEffect {
    /// Profit or loss of the closed part.
    pub realized: Decimal,
    /// Margin set free by the closed part.
    pub released: Decimal,
    /// Margin set aside for the opened part.
    pub reserved: Decimal,
    /// Units closed.
    pub closed: Decimal,
}

impl Position {
    /// Whether nothing is held.
    pub fn is_flat(&self) -> bool {
        self.amount.is_zero()
    }

    /// The side whose orders close it; `None` when flat.
    pub fn closing_side(&self) -> Option<Side> {
        if self.amount.is_zero() {
            None
        } else if self.amount.is_sign_positive() {
            Some(Side::Sell)
        } else {
            Some(Side::Buy)
        }
    }

    /// Profit or loss at `mark`, USDT.
    pub fn unrealized(&self, mark: Decimal) -> Decimal {
        money((mark - self.entry) * self.amount)
    }

    /// Entry price with the fees paid so far, where closing would leave nothing.
    pub fn break_even(&self) -> Decimal {
        if self.amount.is_zero() {
            Decimal::ZERO
        } else {
            (self.entry + self.open_fees / self.amount).round_dp(MONEY_DIGITS)
        }
    }

    /// Books a fill: closes against the held units first, opens with the rest.
    pub fn apply(&mut self, side: Side, quantity: Decimal, price: Decimal, settings: Settings) -> FillEffect {
        let mut effect = FillEffect::default();
        let direction = sign(side);
        if self.closing_side() == Some(side) {
            let held = self.amount.abs();
            let closed = quantity.min(held);
            effect.closed = closed;
            effect.realized = money((self.entry - price) * closed * direction);
            if closed == held {
                effect.released = self.isolated_wallet;
                self.open_fees = Decimal::ZERO;
                self.entry = Decimal::ZERO;
                self.amount = Decimal::ZERO;
            } else {
                effect.released = money(self.isolated_wallet * closed / held);
                self.open_fees = money(self.open_fees * (held - closed) / held);
                self.amount += direction * closed;
            }
            self.isolated_wallet -= effect.released;
            self.realized += effect.realized;
        }
        let opened = quantity - effect.closed;
        if opened > Decimal::ZERO {
            let held = self.amount.abs();
            self.entry = ((held * self.entry + opened * price) / (held + opened)).round_dp(ENTRY_DIGITS);
            self.amount += direction * opened;
            if settings.margin == MarginType::Isolated {
                effect.reserved = money(opened * price / Decimal::from(settings.leverage));
                self.isolated_wallet += effect.reserved;
            }
        }
        effect
    }
}

/// An account and everything that ever happened in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its name in the settings.
    pub name: AccountName,
    /// USDT that is not set aside in isolated positions.
    pub cross_wallet: Decimal,
    /// Market time of the last change of the wallet, ms; never zero.
    pub updated: i64,
    /// Held and once held positions.
    pub positions: BTreeMap<Symbol, Position>,
    /// Leverage and margin type where they were changed.
    pub settings: BTreeMap<Symbol, Settings>,
    /// Every order.
    pub orders: History<Order>,
    /// The orders that rest.
    pub open_orders: BTreeSet<i64>,
    /// Every conditional order.
    pub algos: History<AlgoOrder>,
    /// The conditional orders that wait.
    pub open_algos: BTreeSet<i64>,
    /// Every fill, oldest first.
    pub trades: Vec<Trade>,
    /// The ledger, oldest first.
    pub income: Vec<Income>,
    /// Sum of the ledger's rows that are no longer kept, USDT.
    #[serde(default, skip_serializing_if = "Decimal::is_zero")]
    pub forgotten: Decimal,
    /// Isolated positions whose owner was called for margin.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub called: BTreeSet<Symbol>,
    /// Whether the owner was called for the margin of the cross positions.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cross_called: bool,
    /// The share of its quantity the next order may take at once; an injected fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_share: Option<Decimal>,
}

impl Account {
    /// A new account without money.
    pub fn new(name: AccountName, now: i64) -> Self {
        Self {
            name,
            cross_wallet: Decimal::ZERO,
            updated: now,
            positions: BTreeMap::new(),
            settings: BTreeMap::new(),
            orders: History::default(),
            open_orders: BTreeSet::new(),
            algos: History::default(),
            open_algos: BTreeSet::new(),
            trades: Vec::new(),
            income: Vec::new(),
            forgotten: Decimal::ZERO,
            called: BTreeSet::new(),
            cross_called: false,
            next_share: None,
        }
    }

    /// The whole wallet: free and set aside, USDT.
    pub fn wallet(&self) -> Decimal {
        self.cross_wallet + self.positions.values().map(|position| position.isolated_wallet).sum::<Decimal>()
    }

    /// The whole ledger, rows no longer kept included; always equal to the wallet, USDT.
    pub fn ledger_sum(&self) -> Decimal {
        self.forgotten + self.income.iter().map(|row| row.amount).sum::<Decimal>()
    }

    /// Leverage and margin type of a contract.
    pub fn settings(&self, symbol: &Symbol) -> Settings {
        self.settings.get(symbol).copied().unwrap_or_default()
    }

    /// Held units, signed; zero when flat.
    pub fn amount(&self, symbol: &Symbol) -> Decimal {
        self.positions.get(symbol).map_or(Decimal::ZERO, |position| position.amount)
    }

    /// The orders that rest, oldest first.
    pub fn resting(&self) -> impl Iterator<Item = &Order> {
        self.open_orders.iter().filter_map(|id| self.orders.get(*id))
    }

    /// The conditional orders that wait, oldest first.
    pub fn waiting(&self) -> impl Iterator<Item = &AlgoOrder> {
        self.open_algos.iter().filter_map(|id| self.algos.get(*id))
    }

    /// Writes a ledger row; the caller has moved the money. Zero amounts leave no row.
    pub(super) fn book(&mut self, row: Income) {
        if !row.amount.is_zero() || row.kind == IncomeKind::Transfer {
            self.updated = row.time;
            self.income.push(row);
        }
    }
}
