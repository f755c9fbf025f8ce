//! Reading an account, and booking what the exchange executed for it and moved in its wallet.

use std::sync::PoisonError;
use std::time::Duration;

use chrono::TimeDelta;

use super::AccountDesk;
use super::journal::in_time;
use crate::domain::{
    AccountName, AccountState, ClientOrderId, Position, ProtectiveStop, Symbol, Timestamp, Usdt,
};
use crate::exchange::{
    AccountBalance, AlgoOrder, ExchangeError, ExchangePosition, HISTORY_PAGE, Income, TradesFrom,
};
use crate::store::{Fill, LedgerKind, LedgerRow};

/// How long booking the fills of one coin may take.
const BOOK_TIME: Duration = Duration::from_secs(4);
/// How far before the last known funding a catch-up begins: the coins of one funding time are booked one after another.
const INCOME_OVERLAP: TimeDelta = TimeDelta::minutes(1);

/// What an account holds, and everything conditional that rests there.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The positions whose rows make sense.
    pub positions: Vec<Position>,
    /// Every conditional order that rests: the list of all coins is the dearest read there is, and is not asked for twice.
    pub stops: Vec<AlgoOrder>,
    /// Coins that hold something nobody can read, with what is wrong: they are not flat.
    pub unreadable: Vec<(Symbol, String)>,
    /// When it was read (market time).
    pub as_of: Timestamp,
}

impl Seen {
    /// The position of a coin, if it has one that can be read.
    pub fn position(&self, symbol: &Symbol) -> Option<&Position> {
        self.positions.iter().find(|position| &position.symbol == symbol)
    }

    /// Whether a coin is read as flat: neither a position nor a row that makes no sense.
    pub fn is_flat(&self, symbol: &Symbol) -> bool {
        self.position(symbol).is_none() && !self.unreadable.iter().any(|(known, _)| known == symbol)
    }
}

impl AccountDesk {
    /// Balances, positions and stops in one reading.
    pub async fn read(&self) -> Result<AccountState, ExchangeError> {
        let (balance, seen) = tokio::try_join!(self.balance(), self.look())?;
        Ok(self.state_of(&balance, &seen))
    }

    /// What is held and what rests, without the balance: what protects does not wait for it.
    pub async fn look(&self) -> Result<Seen, ExchangeError> {
        let (held, stops) = tokio::try_join!(self.client.held(), self.client.open_algo_orders(None))?;
        self.room.saw(stops.len());
        // Side by side: a disk that hangs holds up the look by one patience, not by one for each coin.
        let described = held.positions.into_iter().map(|position| self.described(position, &stops));
        let positions = futures_util::future::join_all(described).await;
        Ok(Seen { positions, stops, unreadable: held.unreadable, as_of: self.shared.clock.now() })
    }

    /// An account as it is told: what was seen, with a balance.
    pub fn state_of(&self, balance: &AccountBalance, seen: &Seen) -> AccountState {
        AccountState {
            name: self.name().clone(),
            leverage: self.terms.leverage,
            symbols: self.terms.symbols.clone(),
            wallet: balance.wallet,
            equity: balance.equity,
            available: balance.available,
            positions: seen.positions.clone(),
            as_of: seen.as_of,
            trouble: None,
        }
    }

    async fn described(&self, position: ExchangePosition, stops: &[AlgoOrder]) -> Position {
        let stop = stops.iter().filter(|stop| covers(stop, &position)).find_map(protective);
        let opened_at = match in_time(self.shared.store.opened_at(self.name(), &position.symbol)).await {
            Ok(Some(at)) => Some(at),
            Ok(None) => position.updated_at,
            Err(error) => {
                tracing::warn!(%error, "the opening time of a position could not be read");
                position.updated_at
            }
        };
        Position {
            symbol: position.symbol,
            direction: position.direction,
            quantity: position.quantity,
            entry: position.entry,
            mark: position.mark,
            unrealised: position.unrealised,
            margin: position.isolated_margin,
            liquidation: position.liquidation,
            opened_at,
            stop,
        }
    }

    /// Stores every fill of a coin that is not stored yet, with its commission and realised profit. Returns the
    /// realised profit and loss of the newly stored fills; `None` when they could not be read, or not in time: whoever
    /// holds the coin must not keep it for the books alone.
    pub(super) async fn book_fills(&self, symbol: &Symbol) -> Option<Usdt> {
        let Ok(booked) = tokio::time::timeout(BOOK_TIME, self.book_new_fills(symbol)).await else {
            tracing::warn!(account = %self.name(), %symbol, "fills could not be booked in time; they are booked at the next reading");
            self.set_unbooked(symbol, true);
            return None;
        };
        booked
    }

    async fn book_new_fills(&self, symbol: &Symbol) -> Option<Usdt> {
        let from = match self.shared.store.last_fill_id(self.name(), symbol).await {
            Ok(last) => TradesFrom::Id(next_trade(last)),
            Err(error) => {
                tracing::error!(%error, "the last stored fill could not be read");
                return None;
            }
        };
        let fills = match self.client.user_trades(symbol, from).await {
            Ok(fills) => fills,
            Err(error) => {
                tracing::warn!(account = %self.name(), %symbol, %error, "fills could not be read; they are booked at the next reading");
                return None;
            }
        };
        let mut realised = Usdt::ZERO;
        let mut booked = 0;
        for fill in &fills {
            // The next reading begins behind the last one that is booked: nothing goes in before what it follows.
            if !self.book_fill(fill).await {
                break;
            }
            realised = realised + fill.realised;
            booked += 1;
        }
        // A full page is not the last: the next reading goes on where it ends.
        self.set_unbooked(symbol, booked < fills.len() || fills.len() >= HISTORY_PAGE);
        self.explain_fills(symbol, &fills[..booked]).await;
        Some(realised)
    }

    /// Whether every fill that is known of is in the books.
    pub(in crate::desk) fn is_all_booked(&self) -> bool {
        self.unbooked.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Books what is not booked of coins nobody is working on. Coins that trade without us are looked at when their
    /// position changed.
    pub async fn book_what_is_left(&self, changed: &[Symbol]) {
        let mut left = self.unbooked.lock().unwrap_or_else(PoisonError::into_inner).clone();
        left.extend(changed.iter().cloned());
        futures_util::future::join_all(left.iter().map(|symbol| async move {
            self.set_unbooked(symbol, true);
            if let Ok(_coin) = self.try_hold_coin(symbol) {
                self.book_fills(symbol).await;
            }
        }))
        .await;
    }

    async fn book_fill(&self, fill: &crate::exchange::Fill) -> bool {
        let Ok(trade_id) = u64::try_from(fill.id) else {
            tracing::error!(account = %self.name(), id = fill.id, "a fill has a negative id and cannot be booked");
            return true;
        };
        let source = format!("trade/{}/{}", fill.symbol, fill.id);
        let row = |kind, amount, asset: &str| LedgerRow {
            account: self.name().clone(),
            kind,
            amount: Usdt::of(amount),
            asset: asset.to_owned(),
            symbol: Some(fill.symbol.clone()),
            at: fill.at,
            source_id: source.clone(),
        };
        let commission = row(LedgerKind::Commission, -fill.commission, fill.commission_asset.raw());
        let realised = row(LedgerKind::RealisedPnl, fill.realised.value(), "USDT");
        let stored = Fill {
            account: self.name().clone(),
            symbol: fill.symbol.clone(),
            trade_id,
            exchange_id: fill.order_id.to_string(),
            client_order_id: None,
            side: fill.side,
            price: fill.price,
            quantity: fill.quantity,
            commission: Usdt::of(fill.commission),
            commission_asset: fill.commission_asset.raw().to_owned(),
            realised: fill.realised,
            at: fill.at,
        };
        match self.shared.store.book_fill(&stored, vec![commission, realised]).await {
            Ok(_) => true,
            Err(error) => {
                tracing::error!(account = %self.name(), %error, "a fill could not be booked");
                false
            }
        }
    }

    /// Stores the funding, transfers and other movements of the wallet that belong to no fill and are not stored yet.
    pub async fn book_income(&self) {
        let mut since = match self.shared.store.last_ledger_time(self.name(), LedgerKind::Funding).await {
            Ok(last) => last.and_then(|at| at.checked_sub_signed(INCOME_OVERLAP)),
            Err(error) => {
                tracing::error!(account = %self.name(), %error, "the last stored funding could not be read");
                return;
            }
        };
        loop {
            let mut page = match self.client.income(since).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(account = %self.name(), %error, "income could not be read; it is booked at the next reading");
                    return;
                }
            };
            page.sort_by_key(|income| income.at);
            let newest = page.last().map(|income| income.at);
            let full = page.len() >= HISTORY_PAGE;
            for row in page.iter().filter_map(|income| movement(self.name(), income)) {
                if let Err(error) = self.shared.store.add_ledger(&row).await {
                    // Nothing later is booked, so that the next catch-up begins before this one.
                    tracing::error!(account = %self.name(), %error, "a movement of the wallet could not be booked");
                    return;
                }
            }
            if !full || newest <= since {
                return;
            }
            since = newest;
        }
    }

    /// Stores what the account was worth when it was read.
    pub async fn book_equity(&self, state: &AccountState) {
        let stored = self.shared.store.put_equity(self.name(), state.as_of, state.wallet, state.equity).await;
        if let Err(error) = stored {
            tracing::error!(account = %self.name(), %error, "the equity could not be booked");
        }
    }
}

/// The ledger's row of a booking; `None` for what the fills bring already.
fn movement(account: &AccountName, income: &Income) -> Option<LedgerRow> {
    let id = income.transaction_id;
    let (kind, source_id) = match income.kind.raw() {
        "COMMISSION" | "REALIZED_PNL" => return None,
        "FUNDING_FEE" => (LedgerKind::Funding, id.to_string()),
        "INSURANCE_CLEAR" => (LedgerKind::Insurance, id.to_string()),
        "TRANSFER" => (LedgerKind::Transfer, id.to_string()),
        // Transaction ids are unique only within one of the exchange's kinds.
        other => (LedgerKind::Other, format!("{other}/{id}")),
    };
    Some(LedgerRow {
        account: account.clone(),
        kind,
        amount: Usdt::of(income.amount),
        asset: income.asset.raw().to_owned(),
        symbol: income.symbol.clone(),
        at: income.at,
        source_id,
    })
}

/// The id after the last known one; 0 asks for all there are.
pub(super) fn next_trade(last: Option<u64>) -> i64 {
    last.and_then(|id| i64::try_from(id).ok()).map_or(0, |id| id + 1)
}

/// Whether a stop rests that closes this position, and all of it.
pub(super) fn covers(stop: &AlgoOrder, position: &ExchangePosition) -> bool {
    stop.symbol == position.symbol
        && stop.protects(position.direction)
        && (stop.close_position || stop.quantity.is_some_and(|quantity| quantity >= position.quantity))
}

fn protective(stop: &AlgoOrder) -> Option<ProtectiveStop> {
    let id = stop.client_order_id.clone().or_else(|| ClientOrderId::new(stop.algo_id.to_string()).ok())?;
    Some(ProtectiveStop { trigger: stop.trigger?, client_order_id: id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trades_are_asked_for_after_the_last_known_one_and_from_the_first_without_any() {
        assert_eq!([None, Some(0), Some(41), Some(u64::MAX)].map(next_trade), [0, 1, 42, 0]);
    }
}
