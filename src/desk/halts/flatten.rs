//! Flattening: everything a halt covers is closed reduce-only, side by side, and the exchange's own word is the proof.
//!
//! It needs no model, no brief and no journal of positions: it asks the exchange what is there, closes it, asks again,
//! and goes on until nothing is left. It stays that way until the halt is taken back.

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

impl Floor {
    /// Keeps an account flat wherever a halt says so, until the desk ends. Accounts wait for nobody.
    pub(in crate::desk) async fn keep_flat(self: Arc<Self>, account: Arc<AccountDesk>) {
        loop {
            let last = self.flatten_round(&account).await;
            let is_done = last.is_none_or(|left| left.trouble.is_none() && left.remaining.is_empty());
            let pause = if is_done { STAYS_FLAT } else { AGAIN };
            tokio::select! {
                () = self.ending.cancelled() => return,
                () = self.shared.halts.flattening.notified() => {}
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
        let held = match account.client().positions().await {
            Ok(positions) => self.covered(account, positions),
            Err(error) => return left(self.last_seen(account), false, Some(error.to_string())),
        };
        let names = |held: &[ExchangePosition]| held.iter().map(|one| one.symbol.clone()).collect::<Vec<_>>();
        if held.is_empty() {
            return left(Vec::new(), true, None);
        }
        if account.is_dry() {
            return left(names(&held), true, Some("dry-run is on: no order is sent".to_owned()));
        }
        let troubles = join_all(held.iter().map(|position| self.flatten_coin(account, position))).await;
        match account.client().positions().await {
            Ok(positions) => {
                let remaining = names(&self.covered(account, positions));
                let trouble = troubles.into_iter().flatten().next().filter(|_| !remaining.is_empty());
                left(remaining, true, trouble)
            }
            Err(error) => left(names(&held), false, Some(error.to_string())),
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

    fn covered(&self, account: &AccountDesk, positions: Vec<ExchangePosition>) -> Vec<ExchangePosition> {
        positions.into_iter().filter(|position| self.is_covered(account, &position.symbol)).collect()
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
