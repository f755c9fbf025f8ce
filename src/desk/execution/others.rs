//! Another jarvis on the same account, and a journal that does not know our own orders: seen by the names at the exchange.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use chrono::TimeDelta;
use futures_util::future::join_all;

use super::AccountDesk;
use super::ids::{is_ours, tag_in, tag_of};
use crate::domain::{ClientOrderId, Halt, HaltLevel, HaltOrigin, HaltScope, Symbol};
use crate::exchange::ExchangeError;
use crate::store::StoreError;

/// How far back another desk's orders count.
const HOURS_BACK: TimeDelta = TimeDelta::hours(6);

/// At most so many trades without an order are asked about by number, the newest.
const ASKED_BY_NUMBER: usize = 40;

/// Other installations by the tags of their orders, and single orders of ours that the journal does not know.
#[derive(Debug, Default)]
pub(super) struct Others {
    seen: BTreeSet<String>,
    lost: BTreeSet<String>,
    /// Tags of installations, and whole names of orders: an operator knows of them.
    accepted: BTreeSet<String>,
    /// Whether this run compared the exchange's past with the journal.
    is_past_compared: bool,
    /// Names under which this run sent what protects although the journal could not take it.
    unwritten: BTreeSet<String>,
}

/// Why another desk could not be looked for.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The exchange does not tell.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// Our own fills cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AccountDesk {
    /// Remembers which other installations an operator accepted on this account.
    pub async fn recall_accepted(&self) {
        match self.shared.store.accepted_installs(self.name()).await {
            Ok(tags) => self.others.lock().unwrap_or_else(PoisonError::into_inner).accepted.extend(tags),
            Err(error) => {
                tracing::error!(account = %self.name(), %error, "the accepted installations could not be read");
            }
        }
    }

    /// Whether an order was named by another desk that nobody has accepted: hands off.
    pub(super) fn is_of_another_desk(&self, id: &ClientOrderId) -> bool {
        let Some(tag) = tag_in(id.as_str()).filter(|tag| *tag != tag_of(&self.shared.install)) else {
            return false;
        };
        !self.others.lock().unwrap_or_else(PoisonError::into_inner).accepted.contains(tag)
    }

    /// Looks for orders of another desk, and for orders of ours that the journal does not know: those that rest, `names`,
    /// and with `history` those of the last hours. Returns the halt that follows. A dry run shares an account with
    /// everybody, and so does a live desk that was never armed.
    pub async fn look_for_others(
        &self,
        mut names: Vec<ClientOrderId>,
        history: bool,
    ) -> Result<Option<Halt>, HistoryError> {
        if self.shared.is_dry_run() {
            return Ok(None);
        }
        let is_first = !self.others.lock().unwrap_or_else(PoisonError::into_inner).is_past_compared;
        // Our fills say which coins to ask about: without all of them the past is not known.
        let is_all_booked = self.is_all_booked();
        if history || is_first {
            names.extend(self.names_of_the_past().await?);
        }
        // What leaves now is written first. A name that is not there is of a journal that was lost, or of a desk that runs
        // on a copy of this one.
        let lost = self.unknown_to_the_journal(&names).await?;
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        others.is_past_compared |= is_all_booked;
        let is_guarded = !self.is_dry();
        let strangers: BTreeSet<String> = names
            .iter()
            .filter_map(|id| tag_in(id.as_str()))
            .filter(|tag| {
                is_guarded && *tag != tag_of(&self.shared.install) && !others.accepted.contains(*tag)
            })
            .map(str::to_owned)
            .collect();
        let lost: BTreeSet<String> =
            lost.difference(&others.accepted).filter(|id| !others.unwritten.contains(*id)).cloned().collect();
        others.seen.extend(strangers.iter().cloned());
        others.lost.extend(lost.iter().cloned());
        drop(others);
        if !strangers.is_empty() {
            let tags = strangers.into_iter().collect::<Vec<_>>().join(", ");
            return Ok(Some(self.own_halt(
                HaltLevel::Frozen,
                format!(
                    "another jarvis (installation {tags}) has orders on this account; end it there, then `jarvis resume \
                     --account {}` takes the account over",
                    self.name()
                ),
            )));
        }
        let Some(example) = lost.first() else { return Ok(None) };
        Ok(Some(self.own_halt(
            HaltLevel::NoEntries,
            format!(
                "the exchange knows {} of our orders that the journal does not ({example}): the journal was lost, is an \
                 older copy, could not be written, or a desk on a copy of it runs elsewhere; look at the account, then \
                 `jarvis resume --account {}` opens again",
                lost.len(),
                self.name()
            ),
        )))
    }

    /// Remembers a name that goes out without a journal entry.
    pub(super) fn note_unwritten(&self, id: &ClientOrderId) {
        self.others.lock().unwrap_or_else(PoisonError::into_inner).unwritten.insert(id.as_str().to_owned());
    }

    fn own_halt(&self, level: HaltLevel, reason: String) -> Halt {
        Halt {
            scope: HaltScope::Account(self.name().clone()),
            level,
            origin: HaltOrigin::Desk,
            reason: reason.into(),
            since: self.shared.clock.now(),
            until: None,
        }
    }

    /// The names of conditional orders of the last hours, and of the orders behind fills that nothing in the journal
    /// explains. A desk that traded left fills, and they are booked by now: the other coins need not be asked about.
    async fn names_of_the_past(&self) -> Result<Vec<ClientOrderId>, HistoryError> {
        let since = self.shared.clock.now() - HOURS_BACK;
        let fills = self.shared.store.fills_since(self.name(), since).await?;
        let traded: BTreeSet<Symbol> = fills.iter().map(|fill| fill.symbol.clone()).collect();
        let past =
            join_all(traded.iter().map(|symbol| self.client.all_algo_orders(symbol, Some(since)))).await;
        let mut names = Vec::new();
        for order in past.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten() {
            if order.created_at.is_none_or(|at| at >= since) {
                names.extend(order.client_order_id);
            }
        }
        let unexplained: BTreeSet<(i64, &Symbol)> = fills
            .iter()
            .filter(|fill| fill.client_order_id.is_none())
            .filter_map(|fill| Some((fill.exchange_id.parse().ok()?, &fill.symbol)))
            .collect();
        let newest = unexplained.into_iter().rev().take(ASKED_BY_NUMBER);
        let orders =
            join_all(newest.map(|(number, symbol)| self.client.order_by_number(symbol, number))).await;
        for order in orders.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten() {
            names.extend(order.client_order_id);
        }
        Ok(names)
    }

    async fn unknown_to_the_journal(&self, names: &[ClientOrderId]) -> Result<BTreeSet<String>, StoreError> {
        let mut unknown = BTreeSet::new();
        for id in names.iter().filter(|id| is_ours(id.as_str(), &self.shared.install)) {
            if self.shared.store.order(id).await?.is_none() {
                unknown.insert(id.to_string());
            }
        }
        Ok(unknown)
    }

    /// Whether the exchange's past was compared with the journal by now; if not, this is the last moment to do it.
    /// The caller holds the coin.
    pub(super) async fn compare_past_once(&self, symbol: &Symbol) -> Result<(), String> {
        if self.others.lock().unwrap_or_else(PoisonError::into_inner).is_past_compared {
            return Ok(());
        }
        if self.is_unbooked(symbol) {
            self.book_fills(symbol).await;
        }
        if !self.is_all_booked() {
            self.book_what_is_left(&[]).await;
        }
        if !self.is_all_booked() {
            return Err(
                "the account's fills are not all read yet, and with them what it traded before".to_owned()
            );
        }
        let not_known =
            |error: String| format!("what the exchange knows of our orders cannot be read: {error}");
        let resting =
            self.client.open_algo_orders(None).await.map_err(|error| not_known(error.to_string()))?;
        let names = resting.into_iter().filter_map(|order| order.client_order_id).collect();
        let found = self.look_for_others(names, true).await.map_err(|error| not_known(error.to_string()))?;
        let Some(halt) = found else { return Ok(()) };
        let reason = halt.reason.raw().to_owned();
        self.shared.impose(halt).await;
        Err(reason)
    }

    /// Whether the exchange showed orders of ours that the journal does not know: an earlier run traded here.
    pub fn has_lost_orders(&self) -> bool {
        !self.others.lock().unwrap_or_else(PoisonError::into_inner).lost.is_empty()
    }

    /// An operator knows that the journal lost orders: they count as known from now on.
    pub async fn accept_lost_orders(&self) {
        let lost = std::mem::take(&mut self.others.lock().unwrap_or_else(PoisonError::into_inner).lost);
        self.accept(lost).await;
    }

    /// An operator takes the account over: what the other desks left there is ours to keep in order.
    pub async fn accept_other_desks(&self) {
        let seen = std::mem::take(&mut self.others.lock().unwrap_or_else(PoisonError::into_inner).seen);
        self.accept(seen).await;
        self.accept_lost_orders().await;
    }

    async fn accept(&self, names: BTreeSet<String>) {
        let accepted = names.iter().cloned();
        self.others.lock().unwrap_or_else(PoisonError::into_inner).accepted.extend(accepted);
        for name in names {
            if let Err(error) = self.shared.store.accept_install(self.name(), &name).await {
                tracing::error!(account = %self.name(), %error, "what an operator accepted could not be stored");
            }
        }
    }
}
