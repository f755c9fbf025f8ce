//! Margins, balances and liquidation prices as the exchange computes them (facts §3).

use rust_decimal::Decimal;

use super::account::{Position, money, sign};
use super::contract::Contract;
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
    /// What new orders may use.
    pub available: Decimal,
}

impl Engine {
    /// The margins of one contract in an account.
    pub fn standing(&self, id: AccountId, symbol: &Symbol) -> Standing {
        let account = self.account(id);
        let settings = account.settings(symbol);
        let position = account.positions.get(symbol);
        let mark = self.quotes.get(symbol).map_or(Decimal::ZERO, |quote| quote.mark);
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
        for order in account.resting().filter(|order| order.symbol == *symbol && !order.reduce_only) {
            match order.side {
                Side::Buy => standing.bid_notional += order.remaining() * order.price,
                Side::Sell => standing.ask_notional += order.remaining() * order.price,
            }
        }
        let leverage = Decimal::from(settings.leverage.max(1));
        let held = standing.notional.abs();
        let largest = (standing.notional + standing.bid_notional)
            .abs()
            .max((standing.notional - standing.ask_notional).abs())
            .max(held);
        standing.position_initial = money(held / leverage);
        standing.open_order_initial = money((largest - held) / leverage);
        standing.maintenance = money(standing.maintenance);
        standing
    }

    /// The contracts an account holds or has resting orders in.
    pub fn active_symbols(&self, id: AccountId) -> Vec<Symbol> {
        let account = self.account(id);
        let mut symbols: Vec<Symbol> = account
            .positions
            .iter()
            .filter(|(_, position)| !position.is_flat())
            .map(|(symbol, _)| symbol.clone())
            .collect();
        for order in account.resting() {
            if !symbols.contains(&order.symbol) {
                symbols.push(order.symbol.clone());
            }
        }
        symbols.sort();
        symbols
    }

    /// The account's balances and margins.
    pub fn totals(&self, id: AccountId) -> Totals {
        let account = self.account(id);
        let mut totals =
            Totals { wallet: account.wallet(), cross_wallet: account.cross_wallet, ..Totals::default() };
        let mut tied = Decimal::ZERO;
        for symbol in self.active_symbols(id) {
            let standing = self.standing(id, &symbol);
            totals.unrealized += standing.unrealized;
            totals.position_initial += standing.position_initial;
            totals.open_order_initial += standing.open_order_initial;
            totals.maintenance += standing.maintenance;
            tied += standing.open_order_initial;
            if account.settings(&symbol).margin == MarginType::Cross {
                totals.cross_unrealized += standing.unrealized;
                totals.cross_maintenance += standing.maintenance;
                tied += standing.position_initial;
            }
        }
        totals.available = (totals.cross_wallet + totals.cross_unrealized - tied).max(Decimal::ZERO);
        totals
    }

    /// The mark price at which a position would be liquidated; zero when there is none.
    pub fn liquidation_price(&self, id: AccountId, symbol: &Symbol) -> Decimal {
        let account = self.account(id);
        let (Some(position), Some(contract)) = (account.positions.get(symbol), self.contracts.get(symbol))
        else {
            return Decimal::ZERO;
        };
        let Some(closing) = position.closing_side() else { return Decimal::ZERO };
        let behind = if account.settings(symbol).margin == MarginType::Isolated {
            position.isolated_wallet
        } else {
            let totals = self.totals(id);
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
