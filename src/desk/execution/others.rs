//! Another jarvis on the same account: seen by the names of its orders.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use chrono::TimeDelta;
use futures_util::future::join_all;

use super::AccountDesk;
use super::ids::{tag_in, tag_of};
use crate::domain::{ClientOrderId, Halt, HaltLevel, HaltOrigin, HaltScope, Symbol};
use crate::exchange::ExchangeError;
use crate::store::StoreError;

/// How far back another desk's orders count.
const HOURS_BACK: TimeDelta = TimeDelta::hours(6);

/// Other installations by the tags of their orders.
#[derive(Debug, Default)]
pub(super) struct Others {
    seen: BTreeSet<String>,
    accepted: BTreeSet<String>,
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

    /// Looks for orders of another desk: those that rest, `names`, and with `history` those of the last hours. Returns the
    /// halt that follows; a dry run shares an account with everybody.
    pub async fn look_for_others(
        &self,
        mut names: Vec<ClientOrderId>,
        history: bool,
    ) -> Result<Option<Halt>, HistoryError> {
        if self.is_dry() {
            return Ok(None);
        }
        if history {
            let since = self.shared.clock.now() - HOURS_BACK;
            // A desk that traded left fills, and they are booked by now: the other coins need not be asked about.
            let fills = self.shared.store.fills_since(self.name(), since).await?;
            let traded: BTreeSet<Symbol> = fills.into_iter().map(|fill| fill.symbol).collect();
            let past =
                join_all(traded.iter().map(|symbol| self.client.all_algo_orders(symbol, Some(since)))).await;
            for order in past.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten() {
                if order.created_at.is_none_or(|at| at >= since) {
                    names.extend(order.client_order_id);
                }
            }
        }
        let strangers: BTreeSet<String> = names
            .iter()
            .filter(|id| self.is_of_another_desk(id))
            .filter_map(|id| tag_in(id.as_str()).map(str::to_owned))
            .collect();
        if strangers.is_empty() {
            return Ok(None);
        }
        let tags = strangers.iter().cloned().collect::<Vec<_>>().join(", ");
        self.others.lock().unwrap_or_else(PoisonError::into_inner).seen.extend(strangers);
        Ok(Some(Halt {
            scope: HaltScope::Account(self.name().clone()),
            level: HaltLevel::Frozen,
            origin: HaltOrigin::Desk,
            reason: format!(
                "another jarvis (installation {tags}) has orders on this account; end it there, then `jarvis resume \
                 --account {}` takes the account over",
                self.name()
            )
            .into(),
            since: self.shared.clock.now(),
            until: None,
        }))
    }

    /// An operator takes the account over: what the other desks left there is ours to keep in order.
    pub async fn accept_other_desks(&self) {
        let seen = {
            let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
            let seen = std::mem::take(&mut others.seen);
            others.accepted.extend(seen.iter().cloned());
            seen
        };
        for tag in seen {
            if let Err(error) = self.shared.store.accept_install(self.name(), &tag).await {
                tracing::error!(account = %self.name(), %error, "an accepted installation could not be stored");
            }
        }
    }
}
