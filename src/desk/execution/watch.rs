//! What the guardian may ask of an account's hands.

use std::sync::PoisonError;

use tokio::time::Instant;

use super::journal::Cause;
use super::protect::Protection;
use super::{AccountDesk, Seen, is_ours};
use crate::domain::{ClientOrderId, Event, Symbol, Usdt};
use crate::exchange::{ExchangeError, ExchangePosition};

/// What looking at a position without a stop led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// By now it has one, or it is gone.
    Nothing,
    /// An opening or closing of this coin is under way; it takes care of its own stop.
    Busy,
    /// Mended, and how.
    Repaired(String),
    /// Still without a stop, and why.
    Unrepaired(String),
}

impl AccountDesk {
    /// Tells an event of this account.
    pub fn tell(&self, event: Event) {
        self.shared.bulletin.tell(None, event);
    }

    /// Looks again at a position that seemed to have no stop, and gives it one.
    pub async fn repair_naked(&self, symbol: &Symbol) -> Finding {
        let Ok(_coin) = self.try_hold_coin(symbol) else { return Finding::Busy };
        let (position, stops) =
            match tokio::try_join!(self.client.held(), self.client.open_algo_orders(Some(symbol))) {
                Ok((held, stops)) => (held.of(symbol).map(Option::<&ExchangePosition>::cloned), stops),
                Err(error) => return Finding::Unrepaired(error.to_string()),
            };
        let position = match position {
            Ok(Some(position)) => position,
            Ok(None) => return Finding::Nothing,
            Err(reason) => return Finding::Unrepaired(reason),
        };
        if stops.iter().any(|stop| super::reading::covers(stop, &position)) {
            return Finding::Nothing;
        }
        if self.is_dry() {
            return Finding::Unrepaired("dry-run sends no order".to_owned());
        }
        // A start without the exchange's rules may find positions: their stops need the rules first.
        if self.shared.rules_of(symbol).is_none()
            && let Err(error) = self.learn_rules().await
        {
            return Finding::Unrepaired(format!("the rules of {symbol} cannot be read: {error}"));
        }
        let cause = self.guardian_cause("naked");
        let (naked, seen_at) = ((symbol, position.direction), Instant::now());
        let protection = match self.moved_trigger(&position).await {
            Some(moved) => self.protect_at(&cause, naked, moved, seen_at).await,
            None => self.protect(&cause, naked, position.entry, seen_at).await,
        };
        match protection {
            Protection::Resting { trigger, .. } => Finding::Repaired(format!("one rests at {trigger} now")),
            Protection::Flat => Finding::Nothing,
            Protection::Emptied { reason, .. } => {
                self.book_fills(symbol).await;
                Finding::Repaired(format!("{reason}; closed at market"))
            }
            Protection::Naked { reason } => Finding::Unrepaired(reason),
        }
    }

    /// Reads filters and limits of all coins, for every account: they are public.
    pub(in crate::desk) async fn learn_rules(&self) -> Result<(), ExchangeError> {
        let rules = self.client.exchange_info().await?;
        *self.shared.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
        Ok(())
    }

    /// Stops of ours that rest although their coin has no position.
    pub fn orphaned_stops(&self, seen: &Seen) -> Vec<(Symbol, ClientOrderId)> {
        seen.stops
            .iter()
            .filter(|stop| seen.is_flat(&stop.symbol))
            .filter_map(|stop| Some((stop.symbol.clone(), stop.client_order_id.clone()?)))
            .filter(|(_, id)| is_ours(id.as_str(), &self.shared.install))
            .collect()
    }

    /// Removes our stops of a coin, if nobody works on it, it still has no position, and our fills say the same: an empty
    /// reading over a full account must not take the stop from behind a position.
    pub async fn remove_orphan(&self, symbol: &Symbol) -> bool {
        if self.is_dry() {
            return false;
        }
        let Ok(_coin) = self.try_hold_coin(symbol) else { return false };
        if !matches!(self.position_of(symbol).await, Ok(None)) {
            return false;
        }
        if !self.books_of(symbol).await.is_ok_and(|booked| booked.is_zero()) {
            return false;
        }
        self.remove_stops(symbol).await;
        true
    }

    /// Books the fills of a position that is gone. `None` when somebody here is closing it, or nothing was new.
    pub async fn book_vanished(&self, symbol: &Symbol) -> Option<Usdt> {
        let Ok(_coin) = self.try_hold_coin(symbol) else { return None };
        self.book_fills(symbol).await.filter(|realised| *realised != Usdt::ZERO)
    }

    /// A cause that no two findings share: the rule and the wall time it was found at.
    pub(super) fn guardian_cause(&self, rule: &str) -> Cause {
        Cause::Guardian(format!("{rule} {}", self.shared.wall.now().timestamp_micros()))
    }
}
