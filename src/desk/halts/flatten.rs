//! Flattening: everything a halt covers is closed reduce-only, side by side, and the exchange's own word is the proof.
//!
//! It needs no model, no brief and no journal of positions: it asks the exchange what is there, closes it, asks again,
//! and goes on until nothing is left. It stays that way until the halt is taken back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::desk::execution::{AccountDesk, Cause};
use crate::desk::floor::Floor;
use crate::domain::{Event, Flattening, HaltLevel, HaltScope, OutcomeKind, Symbol};
use crate::exchange::ExchangePosition;
use crate::store::ActionKind;

/// Pause between rounds while something is left, or nobody knows.
const AGAIN: Duration = Duration::from_secs(1);
/// Pause between looks at an account that is flat, or not to be flattened.
const STAYS_FLAT: Duration = Duration::from_secs(5);

/// What halts cover of one account.
struct Covered {
    positions: Vec<ExchangePosition>,
    /// Coins of which nobody can tell whether they are flat, with why.
    doubts: BTreeMap<Symbol, String>,
}

impl Covered {
    fn is_empty(&self) -> bool {
        self.positions.is_empty() && self.doubts.is_empty()
    }

    fn coins(&self) -> Vec<Symbol> {
        let held = self.positions.iter().map(|position| &position.symbol);
        held.chain(self.doubts.keys()).cloned().collect()
    }
}

impl Floor {
    /// Keeps an account flat wherever a halt says so, until the desk ends. Accounts wait for nobody.
    pub(in crate::desk) async fn keep_flat(self: Arc<Self>, account: Arc<AccountDesk>) {
        loop {
            // Listening begins before the round: a halt that comes in the middle of it is heard after it.
            let woken = self.shared.halts.flattening.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            let last = self.flatten_round(&account).await;
            let is_done = last.is_none_or(|left| left.trouble.is_none() && left.remaining.is_empty());
            let pause = if is_done { STAYS_FLAT } else { AGAIN };
            tokio::select! {
                () = self.ending.cancelled() => return,
                () = woken => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Closes what halts cover in one account, then asks the exchange what is left. `None` when no halt flattens it.
    pub(in crate::desk) async fn flatten_round(&self, account: &AccountDesk) -> Option<Flattening> {
        if !self.is_to_be_flattened(account) {
            return None;
        }
        let flattening = self.flatten(account).await;
        let is_news = self.shared.bulletin.read(|present| {
            let known = present.flattenings.iter().find(|known| known.account == flattening.account);
            known.is_none_or(|known| {
                known.remaining != flattening.remaining
                    || known.trouble != flattening.trouble
                    || known.proven_at.is_none()
            })
        });
        let event = Event::Flattened { flattening: flattening.clone() };
        if is_news {
            self.shared.bulletin.record(None, event);
        } else {
            self.shared.bulletin.tell(None, event);
        }
        Some(flattening)
    }

    async fn flatten(&self, account: &AccountDesk) -> Flattening {
        let left = |remaining: Vec<Symbol>, proven: bool, trouble: Option<String>| Flattening {
            account: account.name().clone(),
            remaining,
            proven_at: proven.then(|| self.shared.clock.now()),
            trouble,
        };
        let held = match self.covered(account).await {
            Ok(held) => held,
            Err(error) => return left(self.last_seen(account), false, Some(error)),
        };
        if held.is_empty() {
            return left(Vec::new(), true, None);
        }
        if account.is_dry() {
            return left(held.coins(), true, Some("dry-run is on: no order is sent".to_owned()));
        }
        let closes = held.positions.iter().map(|position| self.flatten_coin(account, position));
        let troubles = join_all(closes).await;
        match self.covered(account).await {
            Ok(rest) => {
                let trouble =
                    troubles.into_iter().flatten().next().or_else(|| rest.doubts.values().next().cloned());
                let trouble = trouble.filter(|_| !rest.is_empty());
                left(rest.coins(), true, trouble)
            }
            Err(error) => left(held.coins(), false, Some(error)),
        }
    }

    /// Closes one position and says why that failed, if it did.
    async fn flatten_coin(&self, account: &AccountDesk, position: &ExchangePosition) -> Option<String> {
        let cause = Cause::Operator(format!("flatten {}", self.shared.wall.now().timestamp_micros()));
        let outcome = account.close_position(&cause, position).await;
        let text = format!("{} {}: {}", account.name(), position.symbol, outcome.detail);
        if outcome.kind != OutcomeKind::Closed {
            return Some(text);
        }
        let (name, symbol) = (Some(account.name()), Some(&position.symbol));
        self.shared.note_operator(ActionKind::Flatten, name, symbol, format!("flattened: {text}")).await;
        None
    }

    /// What is held of what halts cover, and what of it nobody can tell: an empty answer alone is no proof.
    async fn covered(&self, account: &AccountDesk) -> Result<Covered, String> {
        let held = account.client().held().await.map_err(|error| error.to_string())?;
        let is_proven = self.shared.bulletin.read(|present| {
            let known = present.flattenings.iter().find(|known| &known.account == account.name());
            known.is_some_and(|known| known.proven_at.is_some() && known.remaining.is_empty())
        });
        let mut doubts = account.unclear_coins(&held, !is_proven).await;
        doubts.extend(held.unreadable);
        // What an opening may still bring is not flat yet.
        doubts.extend(account.openings_in_doubt());
        doubts.retain(|symbol, _| self.is_covered(account, symbol));
        let positions = held.positions.into_iter();
        let positions = positions.filter(|position| self.is_covered(account, &position.symbol)).collect();
        Ok(Covered { positions, doubts })
    }

    fn is_covered(&self, account: &AccountDesk, symbol: &Symbol) -> bool {
        let halt = self.shared.halts.over(account.name(), symbol, self.shared.clock.now());
        halt.is_some_and(|halt| halt.level == HaltLevel::Flattened)
    }

    fn is_to_be_flattened(&self, account: &AccountDesk) -> bool {
        self.shared.halts.in_force(self.shared.clock.now()).iter().any(|halt| {
            halt.level == HaltLevel::Flattened
                && match &halt.scope {
                    HaltScope::Account(name) => name == account.name(),
                    HaltScope::Coin(_) | HaltScope::Desk => true,
                }
        })
    }

    /// The covered positions of the last reading: what may be left when the exchange cannot be asked.
    fn last_seen(&self, account: &AccountDesk) -> Vec<Symbol> {
        let held: Vec<Symbol> = self.shared.bulletin.read(|present| {
            let known = present.accounts.iter().filter(|known| &known.name == account.name());
            known.flat_map(|known| &known.positions).map(|position| position.symbol.clone()).collect()
        });
        held.into_iter().filter(|symbol| self.is_covered(account, symbol)).collect()
    }
}
