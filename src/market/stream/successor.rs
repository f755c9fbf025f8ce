//! The connection that will take the place of the one being followed.

use std::pin::Pin;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, Sleep, sleep, timeout, timeout_at};

use super::{CONNECT_LIMIT, LIFETIME, LONGEST_PAUSE, LONGEST_SILENCE};
use crate::net::{NetError, Socket, SocketConnector, SocketMessage};

type Connecting = Pin<Box<dyn Future<Output = Result<Socket, NetError>> + Send>>;

/// How far it has come. Kept between polls, so that waiting for it can be given up and taken up again.
enum Stage {
    /// It is made when this timer rings.
    Due(Pin<Box<Sleep>>),
    Connecting(Connecting, Instant),
    /// It is there and must bring a price by then.
    Open(Socket, Instant),
}

impl Stage {
    fn due_in(pause: Duration) -> Self {
        Self::Due(Box::pin(sleep(pause)))
    }
}

/// The next connection, made when the present one grows old.
pub(super) struct Successor<T> {
    connector: SocketConnector,
    url: String,
    read: fn(&Value) -> Option<(&str, T)>,
    stage: Stage,
}

impl<T> Successor<T> {
    /// Due when a connection made now has grown old.
    pub(super) fn due(connector: &SocketConnector, url: &str, read: fn(&Value) -> Option<(&str, T)>) -> Self {
        Self { connector: connector.clone(), url: url.to_owned(), read, stage: Stage::due_in(LIFETIME) }
    }

    /// The next connection together with its first message that holds a price, whenever that is; from then on, it is
    /// the one after it. Nothing is lost when this is dropped before it is done.
    pub(super) async fn first_price(&mut self) -> (Socket, String) {
        loop {
            match self.step().await {
                Ok(None) => {}
                Ok(Some(text)) => {
                    if let Some(socket) = self.take_open() {
                        return (socket, text);
                    }
                }
                Err(reason) => {
                    tracing::warn!(%reason, url = self.url, "the next price stream could not be made");
                    self.stage = Stage::due_in(LONGEST_PAUSE);
                }
            }
        }
    }

    /// The next connection if it is there already, though it has not spoken; then the one after it is due in its time.
    pub(super) fn take_open(&mut self) -> Option<Socket> {
        if !matches!(self.stage, Stage::Open(..)) {
            return None;
        }
        match std::mem::replace(&mut self.stage, Stage::due_in(LIFETIME)) {
            Stage::Open(socket, _) => Some(socket),
            Stage::Due(_) | Stage::Connecting(..) => None,
        }
    }

    /// One step further; a message with a price if that was it.
    async fn step(&mut self) -> Result<Option<String>, String> {
        let told = |error: NetError| error.to_string();
        match &mut self.stage {
            Stage::Due(timer) => {
                timer.await;
                let (connector, url) = (self.connector.clone(), self.url.clone());
                let connecting = Box::pin(async move { connector.connect(url).await });
                self.stage = Stage::Connecting(connecting, Instant::now() + CONNECT_LIMIT);
                Ok(None)
            }
            Stage::Connecting(connecting, until) => {
                let made = timeout_at(*until, connecting).await;
                let socket =
                    made.map_err(|_| format!("no connection within {CONNECT_LIMIT:?}"))?.map_err(told)?;
                self.stage = Stage::Open(socket, Instant::now() + LONGEST_SILENCE);
                Ok(None)
            }
            Stage::Open(socket, until) => {
                let message = timeout_at(*until, socket.next()).await;
                match message.map_err(|_| format!("no price within {LONGEST_SILENCE:?}"))? {
                    Some(Ok(SocketMessage::Text(text))) => Ok(holds_price(&text, self.read).then_some(text)),
                    Some(Ok(SocketMessage::Ping(payload))) => {
                        let pong = socket.send(SocketMessage::Pong(payload));
                        let sent = timeout(CONNECT_LIMIT, pong).await;
                        sent.map_err(|_| "a pong could not be sent".to_owned())?.map_err(told)?;
                        Ok(None)
                    }
                    Some(Ok(SocketMessage::Pong(_))) => Ok(None),
                    Some(Ok(SocketMessage::Close(code))) => Err(format!("closed with code {code:?}")),
                    Some(Err(error)) => Err(told(error)),
                    None => Err("the connection ended".to_owned()),
                }
            }
        }
    }
}

fn holds_price<T>(text: &str, read: fn(&Value) -> Option<(&str, T)>) -> bool {
    let message: Value = serde_json::from_str(text).unwrap_or_default();
    read(super::update_of(&message)).is_some()
}
