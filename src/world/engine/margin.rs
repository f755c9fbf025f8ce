//! Margins, balances and liquidation prices as the exchange computes them.

use rust_decimal::Decimal;

use super::account::{Position, money, sign};
use super::contract::Contract;
use super::index::Tally;
use super::types::MarginType;
use super::{AccountId, Engine};
use crate::domain::{Side, Symbol};

/// A contract's margins in one account, USDT unless said otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Mark price.
    pub mark: Decimal,
    /// Signed value at mark.
    pub notional: Decimal,
    /// Profit or loss at mark.
    pub unrealized: Decimal,
    /// Initial margin of the position.
    pub position_initial: Decimal,
    /// Initial margin of resting orders beyond the position's.
    pub open_order_initial: Decimal,
    /// Maintenance margin.
    pub maintenance: Decimal,
    /// Value of resting buy orders.
    pub bid_notional: Decimal,
    /// Value of resting sell orders.
    pub ask_notional: Decimal,
    /// Isolated wallet with unrealised result; zero with cross margin.
    pub isolated_margin: Decimal,
}

/// An account's totals, USDT.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// The whole wallet.
    pub wallet: Decimal,
    /// The wallet without isolated margin.
    pub cross_wallet: Decimal,
    /// Profit or loss of all positions at mark.
    pub unrealized: Decimal,
    /// Of the cross positions.
    pub cross_unrealized: Decimal,
    /// Initial margin of all positions.
    pub position_initial: Decimal,
    /// Initial margin of all resting orders.
    pub open_order_initial: Decimal,
    /// Maintenance margin of all positions.
    pub maintenance: Decimal,
    /// Maintenance margin of the cross positions.
    pub cross_maintenance: Decimal,
    /// What is left of the money when everything tied up is taken away; below zero when losses ate into it.
    pub free: Decimal,
    /// What new orders may use: what is free, never below zero.
    pub available: Decimal,
}

impl Standing {
    /// Initial margin of the resting orders: what the largest position they can lead to needs beyond the present one.
    fn initial_of_orders(&self, leverage: Decimal) -> Decimal {
        if self.bid_notional.is_zero() && self.ask_notional.is_zero() {
            return Decimal::ZERO;
        }
        let held = self.notional.abs();
        let bought = (self.notional + self.bid_notional).abs();
        let sold = (self.notional - self.ask_notional).abs();
        money((bought.max(sold).max(held) - held) / leverage)
    }

    /// What the contract does to the account's free money: the result of a cross position counts, and what position and
    /// resting orders tie up is gone. An isolated position has its own money.
    fn weight(&self, margin: MarginType) -> Decimal {
        match margin {
            MarginType::Cross => self.unrealized - self.position_initial - self.open_order_initial,
            MarginType::Isolated => -self.open_order_initial,
        }
    }

    /// The initial margin that one more order of this value on `side` ties up.
    pub(super) fn initial_of_one_more(&self, side: Side, value: Decimal, leverage: u32) -> Decimal {
        let mut with = *self;
        match side {
            Side::Buy => with.bid_notional += value,
            Side::Sell => with.ask_notional += value,
        }
        with.initial_of_orders(Decimal::from(leverage.max(1))) - self.open_order_initial
    }
}

impl Engine {
    /// The margins of one contract in an account.
    pub fn standing(&self, id: AccountId, symbol: &Symbol) -> Standing {
        let account = self.account(id);
        let settings = account.settings(symbol);
        let position = account.positions.get(symbol);
        let mark = self.last_quote(symbol).map_or(Decimal::ZERO, |quote| quote.mark);
        let mut standing = Standing { mark, ..Standing::default() };
        if let Some(position) = position.filter(|position| !position.is_flat()) {
            standing.notional = position.amount * mark;
            standing.unrealized = position.unrealized(mark);
            standing.maintenance = self
                .contracts
                .get(symbol)
                .map_or(Decimal::ZERO, |contract| contract.maintenance(standing.notional.abs()));
            if settings.margin == MarginType::Isolated {
                standing.isolated_margin = position.isolated_wallet + standing.unrealized;
            }
        }
        if let Some(tally) = self.tally(id, symbol) {
            standing.bid_notional = *tally.notional.of(Side::Buy);
            standing.ask_notional = *tally.notional.of(Side::Sell);
        }
        let leverage = Decimal::from(settings.leverage.max(1));
        let held = standing.notional.abs();
        if !held.is_zero() {
            standing.position_initial = money(held / leverage);
        }
        standing.open_order_initial = standing.initial_of_orders(leverage);
        standing.maintenance = money(standing.maintenance);
        standing
    }

    /// The contracts an account holds or has resting orders in.
    pub fn active_symbols(&self, id: AccountId) -> Vec<Symbol> {
        let resting = self.resting_symbols(id).filter(|symbol| self.account(id).amount(symbol).is_zero());
        let mut symbols: Vec<Symbol> = self.held(id).chain(resting).cloned().collect();
        symbols.sort();
        symbols
    }

    /// The contracts an account holds.
    pub(super) fn held(&self, id: AccountId) -> impl Iterator<Item = &Symbol> {
        let positions = self.account(id).positions.iter();
        positions.filter(|(_, position)| !position.is_flat()).map(|(symbol, _)| symbol)
    }

    /// The contracts an account has resting orders in.
    fn resting_symbols(&self, id: AccountId) -> impl Iterator<Item = &Symbol> {
        let tallies = self.shelves.get(id.0).into_iter().flat_map(|shelf| &shelf.tallies);
        tallies.filter(|(_, tally)| !tally.resting.is_empty()).map(|(symbol, _)| symbol)
    }

    /// The account's balances and margins.
    pub fn totals(&self, id: AccountId) -> Totals {
        let account = self.account(id);
        let mut totals =
            Totals { wallet: account.wallet(), cross_wallet: account.cross_wallet, ..Totals::default() };
        let mut tied = Decimal::ZERO;
        let resting = self.resting_symbols(id).filter(|symbol| account.amount(symbol).is_zero());
        for symbol in self.held(id).chain(resting) {
            let standing = self.standing(id, symbol);
            totals.unrealized += standing.unrealized;
            totals.position_initial += standing.position_initial;
            totals.open_order_initial += standing.open_order_initial;
            totals.maintenance += standing.maintenance;
            tied += standing.open_order_initial;
            if account.settings(symbol).margin == MarginType::Cross {
                totals.cross_unrealized += standing.unrealized;
                totals.cross_maintenance += standing.maintenance;
                tied += standing.position_initial;
            }
        }
        totals.free = totals.cross_wallet + totals.cross_unrealized - tied;
        totals.available = totals.free.max(Decimal::ZERO);
        totals
    }

    /// [`Totals::free`] alone, the standing of one contract being known.
    pub(super) fn free(&self, id: AccountId, symbol: &Symbol, standing: &Standing) -> Decimal {
        let account = self.account(id);
        let tallies = self.shelves.get(id.0).into_iter().flat_map(|shelf| &shelf.tallies);
        tallies.fold(account.cross_wallet, |free, (name, tally)| {
            if name == symbol {
                free + standing.weight(account.settings(name).margin)
            } else {
                free + self.weight(id, name, tally)
            }
        })
    }

    /// What a contract does to the account's free money.
    fn weight(&self, id: AccountId, symbol: &Symbol, tally: &Tally) -> Decimal {
        let price = self.pits.get(symbol).map_or(0, |pit| pit.changes);
        match tally.weight.get() {
            Some((then, weight)) if then == price => weight,
            _ => {
                let weight = self.standing(id, symbol).weight(self.account(id).settings(symbol).margin);
                tally.weight.set(Some((price, weight)));
                weight
            }
        }
    }

    /// The mark price at which a position would be liquidated; zero when there is none.
    pub fn liquidation_price(&self, id: AccountId, symbol: &Symbol) -> Decimal {
        self.liquidation_price_within(id, symbol, &self.totals(id))
    }

    /// The same, the account's totals being known.
    pub(super) fn liquidation_price_within(
        &self,
        id: AccountId,
        symbol: &Symbol,
        totals: &Totals,
    ) -> Decimal {
        let account = self.account(id);
        let (Some(position), Some(contract)) = (account.positions.get(symbol), self.contracts.get(symbol))
        else {
            return Decimal::ZERO;
        };
        let Some(closing) = position.closing_side() else { return Decimal::ZERO };
        let behind = if account.settings(symbol).margin == MarginType::Isolated {
            position.isolated_wallet
        } else {
            let own = self.standing(id, symbol);
            totals.cross_wallet - (totals.cross_maintenance - own.maintenance)
                + (totals.cross_unrealized - own.unrealized)
        };
        liquidation_price(position, contract, behind, -sign(closing))
    }
}

/// Solves `behind + unrealised(price) = maintenance(price)` in the bracket the solution lies in.
fn liquidation_price(
    position: &Position,
    contract: &Contract,
    behind: Decimal,
    direction: Decimal,
) -> Decimal {
    let held = position.amount.abs();
    let solve = |bracket: &super::Bracket| {
        (behind + bracket.cumulative - direction * held * position.entry)
            / (held * (bracket.ratio - direction))
    };
    let price = contract
        .brackets
        .iter()
        .map(|bracket| (bracket, solve(bracket)))
        .find(|(bracket, price)| {
            let notional = held * *price;
            notional >= bracket.floor && notional < bracket.cap
        })
        .map(|(_, price)| price)
        .or_else(|| contract.bracket(held * position.entry).map(solve))
        .unwrap_or_default();
    if price <= Decimal::ZERO { Decimal::ZERO } else { price.round_dp(contract.price_digits() + 6) }
}
