//! What websocket sessions listen to: the second's tick and the accounts' events.

use std::sync::Arc;

use tokio::sync::broadcast;

use crate::world::engine::AccountId;

/// Messages a slow session may fall behind before it is disconnected.
const BACKLOG: usize = 8192;

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
    },
}

/// The sending side.
#[derive(Debug)]
pub(crate) struct Feed(broadcast::Sender<Signal>);

impl Feed {
    pub fn new() -> Self {
        Self(broadcast::channel(BACKLOG).0)
    }

    pub fn listen(&self) -> broadcast::Receiver<Signal> {
        self.0.subscribe()
    }

    /// Tells all sessions that prices have moved on. Without sessions nobody hears it, which is fine.
    pub fn tick(&self) {
        let _listeners = self.0.send(Signal::Tick);
    }

    pub fn user(&self, account: AccountId, event: &'static str, text: &serde_json::Value) {
        let _listeners = self.0.send(Signal::User { account, event, text: text.to_string().into() });
    }
}
