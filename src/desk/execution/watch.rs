//! What the guardian may ask of an account's hands.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::journal::{Cause, in_time};
use super::protect::Protection;
use super::reading::covers;
use super::restop::loses;
use super::{AccountDesk, Busy, Seen, is_ours};
use crate::domain::{ClientOrderId, Event, Price, Symbol, Usdt};
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
    /// An operator has to decide, and why; nothing is sent meanwhile.
    Left(String),
}

/// Time one look at a coin that seems naked may take, and how often it is tried.
const LOOK_AGAIN: Duration = Duration::from_millis(1500);
const LOOKS_AGAIN: u32 = 3;
/// How long a repair waits for the coin.
const COIN_TIME: Duration = Duration::from_secs(15);
/// How long a position without a stop waits for the exchange's rules.
const RULES_TIME: Duration = Duration::from_secs(2);

/// What is said of a position that is beyond its stop and not ours.
pub(super) fn left_behind(trigger: Price) -> String {
    format!(
        "another hand opened it, and the price is already beyond where its stop belongs ({trigger}); it is not closed: close it, or put a stop where it may rest"
    )
}

impl AccountDesk {
    /// Tells an event of this account.
    pub fn tell(&self, event: Event) {
        self.shared.bulletin.tell(None, event);
    }

    /// Looks again at a position that seemed to have no stop, and gives it one.
    pub async fn repair_naked(&self, symbol: &Symbol) -> Finding {
        let Ok(_coin) = self.wait_for_coin(symbol).await else { return Finding::Busy };
        let position = match self.still_naked(symbol).await {
            Ok(Some(position)) => position,
            Ok(None) => return Finding::Nothing,
            Err(reason) => return Finding::Unrepaired(reason),
        };
        if self.is_dry() {
            return Finding::Unrepaired("dry-run sends no order".to_owned());
        }
        let seen_at = Instant::now();
        // Rules make the price exact; without them it is coarse, and nothing waits for them long.
        if self.shared.rules_of_stop(symbol).is_none()
            && !matches!(tokio::time::timeout(RULES_TIME, self.learn_rules()).await, Ok(Ok(())))
        {
            tracing::warn!(account = %self.name(), %symbol, "a stop is placed without the exchange's rules");
        }
        let _under_way = self.under_way(symbol, false);
        match self.give_stop(&position, seen_at).await {
            Ok(Protection::Resting { trigger, .. }) => {
                Finding::Repaired(format!("one rests at {trigger} now"))
            }
            Ok(Protection::Flat) => Finding::Nothing,
            Ok(Protection::Emptied { reason, .. }) => {
                self.book_fills(symbol).await;
                Finding::Repaired(format!("{reason}; closed at market"))
            }
            Ok(Protection::Naked { reason }) => Finding::Unrepaired(reason),
            Err(reason) => Finding::Left(reason),
        }
    }

    /// The position of a coin if no stop covers it. An answer that is lost must not hold up the repair: it is asked again.
    async fn still_naked(&self, symbol: &Symbol) -> Result<Option<ExchangePosition>, String> {
        let mut trouble = String::new();
        for _ in 0..LOOKS_AGAIN {
            match self.look_at(symbol).await {
                Ok((position, is_covered)) => return Ok(position.filter(|_| !is_covered)),
                Err(error) => trouble = error,
            }
        }
        Err(trouble)
    }

    /// The position of a coin, and whether a stop covers it; fails when that is not answered in time.
    async fn look_at(&self, symbol: &Symbol) -> Result<(Option<ExchangePosition>, bool), String> {
        let both = async { tokio::try_join!(self.client.held(), self.client.open_algo_orders(Some(symbol))) };
        let (held, stops) = match tokio::time::timeout(LOOK_AGAIN, both).await {
            Ok(looked) => looked.map_err(|error| error.to_string())?,
            Err(_elapsed) => return Err("the account was not told in time".to_owned()),
        };
        let position = held.of(symbol)?.cloned();
        let is_covered = position.as_ref().is_some_and(|held| stops.iter().any(|stop| covers(stop, held)));
        Ok((position, is_covered))
    }

    /// Whether every one of these coins still has a position with a stop behind it, as far as a cheap look tells: an
    /// answer that fails or comes late is a no, and a look at everything follows.
    pub async fn are_covered(&self, coins: &BTreeSet<Symbol>) -> bool {
        let coins: Vec<&Symbol> = coins.iter().collect();
        let stops = join_all(coins.iter().map(|symbol| self.client.open_algo_orders(Some(symbol))));
        let looked = tokio::time::timeout(LOOK_AGAIN, async { tokio::join!(self.client.held(), stops) });
        let Ok((Ok(held), stops)) = looked.await else { return false };
        coins.iter().zip(stops).all(|(symbol, stops)| {
            let (Ok(Some(position)), Ok(stops)) = (held.of(symbol), stops) else { return false };
            stops.iter().any(|stop| covers(stop, position))
        })
    }

    /// Whether everything that is held has a stop behind it, as far as a cheap look tells: an answer that fails or comes
    /// late is a no.
    pub async fn is_all_covered(&self) -> bool {
        let look = async {
            let held = self.client.held().await.ok()?;
            let each = join_all(held.positions.iter().map(|position| async move {
                let stops = self.client.open_algo_orders(Some(&position.symbol)).await;
                stops.is_ok_and(|stops| stops.iter().any(|stop| covers(stop, position)))
            }));
            Some(each.await.into_iter().all(|is_covered| is_covered))
        };
        matches!(tokio::time::timeout(LOOK_AGAIN, look).await, Ok(Some(true)))
    }

    /// A stop where the operator or the terms want it, or a close. Not so what another hand opened and the price has left
    /// behind already: that is an operator's to decide, and the error says so.
    async fn give_stop(&self, position: &ExchangePosition, seen_at: Instant) -> Result<Protection, String> {
        let (symbol, direction, cause) = (&position.symbol, position.direction, self.guardian_cause("naked"));
        let wanted = match self.moved_trigger(position).await {
            Some(moved) => Some(moved),
            None => self.trigger_for(symbol, direction, position.entry),
        };
        let Some(trigger) = wanted else {
            return Ok(self.protect(&cause, (symbol, direction), position.entry, seen_at).await);
        };
        if !loses(position, trigger) && !self.opened_by_us(position).await {
            return Err(left_behind(trigger));
        }
        match self.try_protect(&cause, (symbol, direction), trigger, seen_at).await {
            Ok(protection) => Ok(protection),
            Err(failure) if failure.is_beyond && !self.opened_by_us(position).await => {
                Err(left_behind(trigger))
            }
            Err(failure) => Ok(self.emergency(&cause, symbol, direction, &failure.reason).await),
        }
    }

    /// Whether an opening of ours made a position, as far as anybody can tell; the caller holds the coin.
    pub(super) async fn opened_by_us(&self, position: &ExchangePosition) -> bool {
        let symbol = &position.symbol;
        if self.may_have_opened(symbol) {
            return true;
        }
        self.book_fills(symbol).await;
        let side = position.direction.opening_side();
        in_time(self.shared.store.is_opened_by_us(self.name(), symbol, side)).await.unwrap_or_else(|error| {
            tracing::error!(account = %self.name(), %symbol, %error, "who opened a position could not be read");
            true
        })
    }

    /// Whatever has the coin lets go of it soon, chores above all: a repair is worth waiting for it.
    pub(super) async fn wait_for_coin(
        &self,
        symbol: &Symbol,
    ) -> Result<Option<tokio::sync::MutexGuard<'_, ()>>, Busy> {
        tokio::time::timeout(COIN_TIME, self.hold_coin(symbol)).await.map_err(|_elapsed| Busy)
    }

    /// Reads filters and limits of all coins, for every account: they are public.
    pub(in crate::desk) async fn learn_rules(&self) -> Result<(), ExchangeError> {
        let rules = self.client.exchange_info().await?;
        self.shared.keep_rules(rules).await;
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
