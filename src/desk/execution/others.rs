//! Another jarvis on the same account: seen by the names of its orders.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use chrono::TimeDelta;
use futures_util::future::join_all;

use super::AccountDesk;
use super::ids::{tag_in, tag_of};
use crate::domain::{ClientOrderId, Halt, HaltLevel, HaltOrigin, HaltScope};
use crate::exchange::ExchangeError;

/// How far back another desk's orders count.
const HOURS_BACK: TimeDelta = TimeDelta::hours(6);

/// Other installations by the tags of their orders.
#[derive(Debug, Default)]
pub(super) struct Others {
    seen: BTreeSet<String>,
    accepted: BTreeSet<String>,
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

    /// Looks for orders of another desk: those that rest and, with `history`, those of the last hours. Returns the halt
    /// that follows; a dry run shares an account with everybody.
    pub async fn look_for_others(&self, history: bool) -> Result<Option<Halt>, ExchangeError> {
        if self.is_dry() {
            return Ok(None);
        }
        let (stops, orders) =
            tokio::try_join!(self.client.open_algo_orders(None), self.client.open_orders(None))?;
        let mut names: Vec<ClientOrderId> =
            stops.into_iter().filter_map(|stop| stop.client_order_id).collect();
        names.extend(orders.into_iter().filter_map(|order| order.client_order_id));
        if history {
            let since = self.shared.clock.now() - HOURS_BACK;
            let past = join_all(
                self.terms.symbols.iter().map(|symbol| self.client.all_algo_orders(symbol, Some(since))),
            )
            .await;
            for order in past.into_iter().flatten().flatten() {
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
            ),
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
