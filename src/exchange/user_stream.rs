//! Keeps an account's private stream open: keep-alive, liveness, renewal before the exchange's 24 hours, and a new
//! connection after any close.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::OptionFuture;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use crate::net::{Socket, SocketConnector, SocketMessage};

use super::client::{ExchangeClient, ListenKey};
use super::outcome::Outcome;
use super::user_events::{Frame, UserEvent, parse};

/// A key lives an hour; half of it leaves room for failures.
const EXTEND_EVERY: Duration = Duration::from_mins(30);
/// After a failed extension.
const EXTEND_AGAIN: Duration = Duration::from_mins(1);
/// How often we ask for a sign of life.
const PING_EVERY: Duration = Duration::from_mins(1);
/// Without any frame for this long the socket counts as dead, whatever it says of itself.
const SILENCE_LIMIT: Duration = Duration::from_secs(150);
/// The exchange cuts connections at 24 hours; the next one is opened and proven before.
const RENEW_AFTER: Duration = Duration::from_hours(23);
/// After a renewal that failed.
const RENEW_AGAIN: Duration = Duration::from_mins(5);
/// What our pings carry.
const PING: &[u8] = b"jarvis";
/// How long the old connection may take to be closed.
const CLOSE_DEADLINE: Duration = Duration::from_secs(1);
/// How long opening a socket may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// Pauses between failed connections.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Why a connection ended.
enum Ending {
    /// Nobody listens to us any more.
    ReceiverGone,
    /// Its key is no longer good; open the next one at once.
    Renew(&'static str),
    /// It failed.
    Failed(String),
}

/// Follows the private stream of the client's account and sends what it tells to `out`, until `out` is closed. After
/// every (re)connection [`UserEvent::Reconnected`] comes first: the stream has no replay, so the caller reads the
/// account anew. `ws_url` has no path (`wss://fstream.binance.com`).
pub async fn follow(
    client: ExchangeClient,
    connector: SocketConnector,
    ws_url: String,
    out: mpsc::Sender<UserEvent>,
) {
    let mut pause = FIRST_PAUSE;
    let mut times = 0_u32;
    loop {
        let began = Instant::now();
        let reason = match connect(&client, &connector, &ws_url).await {
            Ok((socket, key)) => {
                let connection =
                    Connection { client: &client, connector: &connector, ws_url: &ws_url, out: &out, key };
                match connection.run(socket).await {
                    Ending::ReceiverGone => return,
                    Ending::Renew(reason) => {
                        pause = Duration::ZERO;
                        reason.to_owned()
                    }
                    Ending::Failed(reason) => reason,
                }
            }
            Err(reason) => reason,
        };
        tracing::info!(%reason, "the private stream ended and is opened again");
        if out.send(UserEvent::Disconnected { reason }).await.is_err() {
            return;
        }
        if began.elapsed() > LONGEST_PAUSE {
            pause = pause.min(FIRST_PAUSE);
        }
        times = times.wrapping_add(1);
        tokio::select! {
            biased;
            () = out.closed() => return,
            () = sleep(pause + jitter(pause, client.api_key(), times)) => {}
        }
        pause = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
    }
}

/// Up to a quarter more, other for each key and each time, so that several accounts do not come back in step.
fn jitter(pause: Duration, api_key: &SecretString, times: u32) -> Duration {
    let mut hasher = DefaultHasher::new();
    (api_key.expose_secret(), times).hash(&mut hasher);
    let share = u32::try_from(hasher.finish() % 250).unwrap_or(0);
    pause * share / 1000
}

async fn connect(
    client: &ExchangeClient,
    connector: &SocketConnector,
    ws_url: &str,
) -> Result<(Socket, ListenKey), String> {
    let key = match client.start_listen_key().await {
        Outcome::Accepted(key) => key,
        other => return Err(format!("no listen key: {}", other.trouble().unwrap_or_default())),
    };
    let opening = connector.connect(key.stream_url(ws_url));
    match tokio::time::timeout(CONNECT_DEADLINE, opening).await {
        Ok(Ok(socket)) => Ok((socket, key)),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_elapsed) => Err("the stream did not open in time".to_owned()),
    }
}

/// Says goodbye to a connection that is no longer needed; it is gone either way.
async fn close(mut socket: Socket) {
    match tokio::time::timeout(CLOSE_DEADLINE, socket.send(SocketMessage::Close(None))).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "the old connection was not closed in order"),
        Err(_elapsed) => tracing::debug!("the old connection took too long to be closed"),
    }
}

/// A connection that has shown that it is alive, with what it told meanwhile.
struct Proven {
    socket: Socket,
    key: ListenKey,
    told: Vec<String>,
}

/// Opens a connection and has it answer a ping.
async fn connect_proven(
    client: &ExchangeClient,
    connector: &SocketConnector,
    ws_url: &str,
) -> Result<Proven, String> {
    let (mut socket, key) = connect(client, connector, ws_url).await?;
    let proof = async {
        socket
            .send(SocketMessage::Ping(Bytes::from_static(PING)))
            .await
            .map_err(|error| error.to_string())?;
        let mut told = Vec::new();
        loop {
            match socket.next().await {
                Some(Ok(SocketMessage::Pong(_))) => return Ok(told),
                Some(Ok(SocketMessage::Text(text))) => told.push(text),
                Some(Ok(SocketMessage::Ping(payload))) => {
                    let sent = socket.send(SocketMessage::Pong(payload)).await;
                    sent.map_err(|error| error.to_string())?;
                }
                Some(Ok(SocketMessage::Close(_))) | None => {
                    return Err("the exchange closed the new stream".to_owned());
                }
                Some(Err(error)) => return Err(error.to_string()),
            }
        }
    };
    match tokio::time::timeout(CONNECT_DEADLINE, proof).await {
        Ok(Ok(told)) => Ok(Proven { socket, key, told }),
        Ok(Err(reason)) => Err(reason),
        Err(_elapsed) => Err("the new stream did not answer in time".to_owned()),
    }
}

/// One open socket and the key it was opened with.
struct Connection<'a> {
    client: &'a ExchangeClient,
    connector: &'a SocketConnector,
    ws_url: &'a str,
    out: &'a mpsc::Sender<UserEvent>,
    key: ListenKey,
}

impl Connection<'_> {
    async fn run(mut self, mut socket: Socket) -> Ending {
        if self.out.send(UserEvent::Reconnected).await.is_err() {
            return Ending::ReceiverGone;
        }
        let (client, connector, ws_url) = (self.client, self.connector, self.ws_url);
        let mut renew_at = Instant::now() + RENEW_AFTER;
        let mut extend_at = Instant::now() + EXTEND_EVERY;
        let mut ping_at = Instant::now() + PING_EVERY;
        let mut heard_at = Instant::now();
        // The next connection, while it proves itself beside this one.
        let mut next: OptionFuture<_> = None.into();
        loop {
            tokio::select! {
                // What is due goes first; silence is judged last, after what waits to be read.
                biased;
                () = self.out.closed() => return Ending::ReceiverGone,
                () = sleep_until(renew_at) => {
                    renew_at = Instant::now() + RENEW_AGAIN;
                    next = Some(Box::pin(connect_proven(client, connector, ws_url))).into();
                }
                Some(proven) = &mut next => {
                    next = None.into();
                    match proven {
                        Ok(proven) => {
                            tracing::info!("the private stream was renewed before the exchange's 24 hours");
                            let old = std::mem::replace(&mut socket, proven.socket);
                            close(old).await;
                            self.key = proven.key;
                            heard_at = Instant::now();
                            (renew_at, extend_at) = (heard_at + RENEW_AFTER, heard_at + EXTEND_EVERY);
                            if self.out.send(UserEvent::Reconnected).await.is_err() {
                                return Ending::ReceiverGone;
                            }
                            for text in proven.told {
                                if let Some(ending) = self.tell(&text).await {
                                    return ending;
                                }
                            }
                        }
                        Err(reason) => tracing::warn!(%reason, "the private stream could not be renewed yet"),
                    }
                }
                () = sleep_until(extend_at) => match self.extend().await {
                    Ok(pause) => extend_at = Instant::now() + pause,
                    Err(ending) => return ending,
                },
                () = sleep_until(ping_at) => {
                    ping_at = Instant::now() + PING_EVERY;
                    if let Err(error) = socket.send(SocketMessage::Ping(Bytes::from_static(PING))).await {
                        return Ending::Failed(error.to_string());
                    }
                }
                message = socket.next() => {
                    heard_at = Instant::now();
                    if let Some(ending) = self.hear(message, &mut socket).await {
                        return ending;
                    }
                }
                () = sleep_until(heard_at + SILENCE_LIMIT) => {
                    return Ending::Failed("the stream fell silent".to_owned());
                }
            }
        }
    }

    /// Asks for the key again, which extends it. A different key means that ours died and the socket is mute.
    async fn extend(&self) -> Result<Duration, Ending> {
        match self.client.start_listen_key().await {
            Outcome::Accepted(key) if key.is_same_as(&self.key) => Ok(EXTEND_EVERY),
            Outcome::Accepted(_) => Err(Ending::Renew("the listen key changed")),
            other => {
                tracing::warn!(reason = other.trouble(), "the listen key could not be extended");
                Ok(EXTEND_AGAIN)
            }
        }
    }

    async fn hear(
        &self,
        message: Option<Result<SocketMessage, crate::net::NetError>>,
        socket: &mut Socket,
    ) -> Option<Ending> {
        match message {
            None => Some(Ending::Failed("the exchange closed the stream".to_owned())),
            Some(Err(error)) => Some(Ending::Failed(error.to_string())),
            Some(Ok(SocketMessage::Close(code))) => {
                let code = code.map_or_else(|| "no code".to_owned(), |code| code.to_string());
                Some(Ending::Failed(format!("the exchange closed the stream ({code})")))
            }
            Some(Ok(SocketMessage::Ping(payload))) => {
                let sent = socket.send(SocketMessage::Pong(payload)).await;
                sent.err().map(|error| Ending::Failed(error.to_string()))
            }
            Some(Ok(SocketMessage::Pong(_))) => None,
            Some(Ok(SocketMessage::Text(text))) => self.tell(&text).await,
        }
    }

    async fn tell(&self, text: &str) -> Option<Ending> {
        let event = match parse(text) {
            Ok(Frame::Event(event)) => *event,
            Ok(Frame::KeyExpired) => return Some(Ending::Renew("the listen key expired")),
            Ok(Frame::Nothing) => return None,
            Err(error) => {
                // An event we cannot read may be about our money: have the caller read the account.
                tracing::warn!(%error, "an event of the private stream cannot be read");
                UserEvent::Reconnected
            }
        };
        self.out.send(event).await.is_err().then_some(Ending::ReceiverGone)
    }
}
