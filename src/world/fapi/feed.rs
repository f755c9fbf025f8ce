//! What websocket sessions listen to: the second's tick and the accounts' events.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

use super::rendered::Rendered;
use crate::domain::{AccountName, Symbol};
use crate::world::engine::AccountId;
use crate::world::faults::{Class, Effect, Farewell, Faults, Passing};

/// Messages a slow session may fall behind before it is disconnected.
const BACKLOG: usize = 8192;

/// What becomes of an event on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// It comes.
    Plain,
    /// It never comes.
    Lost,
    /// It comes twice.
    Doubled,
    /// It comes after the next one.
    Held,
    /// Nothing comes from here on, and the socket stays open.
    Silent,
    /// The socket is closed.
    Cut(Farewell),
}

/// One message to all sessions.
#[derive(Debug, Clone)]
pub(crate) enum Signal {
    /// Prices have moved on; every session renders what it subscribed.
    Tick,
    /// An event of an account's user stream.
    User {
        account: AccountId,
        /// The event's name, such as `ORDER_TRADE_UPDATE`.
        event: &'static str,
        /// The event as JSON.
        text: Arc<str>,
        delivery: Delivery,
    },
    /// A position was liquidated: a public event.
    Liquidation {
        symbol: Symbol,
        /// The event as JSON.
        text: Arc<str>,
    },
    /// The sessions with this account's stream, or all, are closed in this way, or fall silent when there is none.
    End { account: Option<AccountId>, farewell: Option<Farewell> },
}

/// Whose event, about which contract.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whose<'a> {
    pub account: AccountId,
    pub name: &'a AccountName,
    pub symbol: Option<&'a Symbol>,
}

/// The sending side.
#[derive(Debug)]
pub(crate) struct Feed {
    signals: broadcast::Sender<Signal>,
    /// What the sessions say at the present moment; locked after the core.
    rendered: Mutex<Rendered>,
    faults: Arc<Faults>,
}

impl Feed {
    pub fn new(faults: Arc<Faults>) -> Self {
        Self { signals: broadcast::channel(BACKLOG).0, rendered: Mutex::default(), faults }
    }

    pub fn listen(&self) -> broadcast::Receiver<Signal> {
        self.signals.subscribe()
    }

    /// Whether anybody is there to be told.
    pub fn is_heard(&self) -> bool {
        self.signals.receiver_count() > 0
    }

    /// Tells all sessions that prices have moved on. Without sessions nobody hears it, which is fine.
    pub fn tick(&self) {
        self.lock_rendered().turn_to_next_tick();
        let _listeners = self.signals.send(Signal::Tick);
    }

    /// Something has changed, perhaps at a time that stands still: nothing rendered before is true any more.
    pub fn forget_rendered(&self) {
        *self.lock_rendered() = Rendered::default();
    }

    /// What was rendered at market time `now` so far, for others to say again.
    pub fn rendered(&self, now: i64) -> MutexGuard<'_, Rendered> {
        let mut rendered = self.lock_rendered();
        rendered.turn_to(now);
        rendered
    }

    fn lock_rendered(&self) -> MutexGuard<'_, Rendered> {
        self.rendered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells everybody who listens to liquidations.
    pub fn liquidation(&self, symbol: &Symbol, text: &serde_json::Value) {
        let text = text.to_string().into();
        let _listeners = self.signals.send(Signal::Liquidation { symbol: symbol.clone(), text });
    }

    /// Closes the sessions with an account's stream, or all; without a farewell they fall silent.
    pub fn end(&self, account: Option<AccountId>, farewell: Option<Farewell>) {
        let _listeners = self.signals.send(Signal::End { account, farewell });
    }

    /// Tells an account's sessions; `wall_ms` is for the faults' scripts.
    pub fn user(&self, whose: Whose<'_>, event: &'static str, text: &serde_json::Value, wall_ms: i64) {
        let symbol = whose.symbol.map(Symbol::as_str);
        let delivery = self.delivery(event, Some(whose.name), symbol, wall_ms);
        let text = text.to_string().into();
        let _listeners = self.signals.send(Signal::User { account: whose.account, event, text, delivery });
    }

    /// What the weather does to an event, named by itself or by its stream.
    pub fn delivery(
        &self,
        name: &str,
        account: Option<&AccountName>,
        symbol: Option<&str>,
        wall_ms: i64,
    ) -> Delivery {
        if self.faults.is_idle() {
            return Delivery::Plain;
        }
        let passing =
            Passing { classes: vec![Class::Stream], path: name, account, symbol, ..Passing::default() };
        let struck = self.faults.strike(&passing, wall_ms);
        struck.into_iter().next().map_or(Delivery::Plain, |struck| match struck.effect {
            Effect::Lost {} => Delivery::Lost,
            Effect::Doubled {} => Delivery::Doubled,
            Effect::Reordered {} => Delivery::Held,
            Effect::Silent {} => Delivery::Silent,
            Effect::Disconnect { code } => Delivery::Cut(code),
            _ => Delivery::Plain,
        })
    }
}
