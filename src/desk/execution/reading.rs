//! Reading an account, and booking what the exchange executed for it.

use super::AccountDesk;
use crate::domain::{AccountState, ClientOrderId, Position, ProtectiveStop, Symbol, Usdt};
use crate::exchange::{AlgoOrder, ExchangeError, ExchangePosition, TradesFrom};
use crate::store::{Fill, LedgerKind, LedgerRow};

impl AccountDesk {
    /// Balances, positions and stops in one reading.
    pub async fn read(&self) -> Result<AccountState, ExchangeError> {
        let (balance, positions, stops) = tokio::try_join!(
            self.client.account(),
            self.client.positions(),
            self.client.open_algo_orders(None)
        )?;
        let mut read = Vec::with_capacity(positions.len());
        for position in positions {
            read.push(self.described(position, &stops).await);
        }
        Ok(AccountState {
            name: self.name().clone(),
            leverage: self.terms.leverage,
            symbols: self.terms.symbols.clone(),
            wallet: balance.wallet,
            equity: balance.equity,
            available: balance.available,
            positions: read,
            as_of: self.shared.clock.now(),
            trouble: None,
        })
    }

    async fn described(&self, position: ExchangePosition, stops: &[AlgoOrder]) -> Position {
        let stop = stops
            .iter()
            .filter(|stop| stop.symbol == position.symbol && stop.protects(position.direction))
            .find_map(protective);
        let opened_at = match self.shared.store.opened_at(self.name(), &position.symbol).await {
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
    /// realised profit and loss of the newly stored fills.
    pub(super) async fn book_fills(&self, symbol: &Symbol) -> Option<Usdt> {
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
        for fill in fills {
            realised = realised + fill.realised;
            self.book_fill(fill).await;
        }
        Some(realised)
    }

    async fn book_fill(&self, fill: crate::exchange::Fill) {
        let Ok(trade_id) = u64::try_from(fill.id) else {
            tracing::error!(account = %self.name(), id = fill.id, "a fill has a negative id and cannot be booked");
            return;
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
        let store = &self.shared.store;
        let results = [
            store.add_fill(&stored).await.map(|_| ()),
            store.add_ledger(&commission).await.map(|_| ()),
            store.add_ledger(&realised).await.map(|_| ()),
        ];
        for error in results.into_iter().filter_map(Result::err) {
            tracing::error!(account = %self.name(), %error, "a fill could not be booked");
        }
    }
}

/// The id after the last known one; 0 asks for all there are.
fn next_trade(last: Option<u64>) -> i64 {
    last.and_then(|id| i64::try_from(id).ok()).map_or(0, |id| id + 1)
}

fn protective(stop: &AlgoOrder) -> Option<ProtectiveStop> {
    let id = stop.client_order_id.clone().or_else(|| ClientOrderId::new(stop.algo_id.to_string()).ok())?;
    Some(ProtectiveStop { trigger: stop.trigger?, client_order_id: id })
}
