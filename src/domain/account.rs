//! What an account holds, as the exchange says it.

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;
use super::ids::ClientOrderId;
use super::money::{Price, Quantity, Usdt};
use super::order::Direction;
use super::symbol::{AccountName, Symbol};

/// One reading of an account: balances and open positions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountState {
    /// Which account.
    pub name: AccountName,
    /// Leverage its openings use.
    pub leverage: u32,
    /// The coins it may trade, in the settings' order.
    pub symbols: Vec<Symbol>,
    /// Wallet balance: cash without open profit and loss.
    pub wallet: Usdt,
    /// Wallet plus unrealised profit and loss.
    pub equity: Usdt,
    /// What is free for new margin.
    pub available: Usdt,
    /// Open positions, by symbol.
    pub positions: Vec<Position>,
    /// When this was read (market time).
    pub as_of: Timestamp,
    /// Why the account could not be read or must not trade, if so.
    pub trouble: Option<String>,
}

impl AccountState {
    /// The open position in a coin.
    pub fn position(&self, symbol: &Symbol) -> Option<&Position> {
        self.positions.iter().find(|position| &position.symbol == symbol)
    }
}

/// One open position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The contract.
    pub symbol: Symbol,
    /// Which way it points.
    pub direction: Direction,
    /// Its size, unsigned.
    pub quantity: Quantity,
    /// Average entry price.
    pub entry: Price,
    /// Mark price at the time of reading.
    pub mark: Price,
    /// Unrealised profit and loss at `mark`.
    pub unrealised: Usdt,
    /// Isolated margin behind it, if the exchange told it.
    pub margin: Option<Usdt>,
    /// The exchange's liquidation price, if there is one.
    pub liquidation: Option<Price>,
    /// When it was opened, if known (market time).
    pub opened_at: Option<Timestamp>,
    /// The stop resting at the exchange; `None` is an alarm.
    pub stop: Option<ProtectiveStop>,
}

impl Position {
    /// Unrealised profit and loss if the mark were `mark`.
    pub fn unrealised_at(&self, mark: Price) -> Usdt {
        let gain = match self.direction {
            Direction::Long => mark.value() - self.entry.value(),
            Direction::Short => self.entry.value() - mark.value(),
        };
        Usdt::of(gain * self.quantity.value())
    }
}

/// A stop that was seen resting at the exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectiveStop {
    /// The price that triggers it.
    pub trigger: Price,
    /// Its name at the exchange.
    pub client_order_id: ClientOrderId,
}
