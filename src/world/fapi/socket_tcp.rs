//! Websocket sessions over TCP: upgrades, pings, and how a connection ends.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseCode, CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::Uri;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite;

use super::socket::{LIFE, QUEUE, Session};
use crate::world::World;
use crate::world::faults::Farewell;
use crate::world::faults::layer::Twist;

/// How often the server asks for a sign of life, and how many may go unanswered.
const PING_EVERY: Duration = Duration::from_mins(3);
const UNANSWERED_PINGS: u32 = 3;
/// How long a client that said goodbye may take to hang up.
const GOODBYE: Duration = Duration::from_secs(5);
/// How long a client may read nothing of what waits for it.
const DEAF: Duration = Duration::from_mins(1);
/// Longest message a client may send, bytes.
const LONGEST_MESSAGE: usize = 64 * 1024;

/// Takes a TCP connection's upgrade.
pub(super) async fn over_tcp(
    State(world): State<Arc<World>>,
    uri: Uri,
    twist: Option<Extension<Twist>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade.max_message_size(LONGEST_MESSAGE),
        Err(rejection) => return rejection.into_response(),
    };
    let mut session = match Session::new(world, uri.path(), uri.query().unwrap_or_default()) {
        Ok(session) => session,
        Err(status) => return status.into_response(),
    };
    if let Some((ms, farewell)) = twist.and_then(|Extension(twist)| twist.socket_life) {
        session.life = (Duration::from_millis(ms), farewell);
    }
    upgrade.on_upgrade(|socket| bridge(socket, session))
}

/// Carries messages between a TCP websocket and its session, and keeps it alive.
async fn bridge(mut socket: WebSocket, session: Session) {
    let (to_world, incoming) = mpsc::channel(QUEUE);
    let (outgoing, mut from_world) = mpsc::channel(QUEUE);
    let dead = Arc::clone(&session.dead);
    let farewell = Arc::clone(&session.farewell);
    let running = tokio::spawn(session.run(incoming, outgoing));
    let mut ping = tokio::time::interval_at(tokio::time::Instant::now() + PING_EVERY, PING_EVERY);
    let mut unanswered = 0;
    let mut fault = None;
    loop {
        tokio::select! {
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => {
                    // Waiting here could wait for ever on a client that talks but never reads.
                    if to_world.try_send(text.to_string()).is_err() {
                        break;
                    }
                }
                Some(Ok(Message::Pong(_))) => unanswered = 0,
                // Pings are answered by the websocket layer; binary frames mean nothing here.
                Some(Ok(Message::Ping(_) | Message::Binary(_))) => {}
                // The answer to it leaves while the socket is read on.
                Some(Ok(Message::Close(_))) => {
                    running.abort();
                    let _gone = tokio::time::timeout(GOODBYE, async { while socket.recv().await.is_some() {} }).await;
                    return;
                }
                Some(Err(error)) => {
                    fault = fault_code(&error.into_inner());
                    break;
                }
                None => break,
            },
            text = from_world.recv() => {
                let Some(text) = text else { break };
                if !sent(&mut socket, Message::Text(text.into())).await {
                    break;
                }
            }
            // Open and deaf, as a half-dead route leaves it: not even pings are answered.
            () = dead.notified() => {
                tokio::time::sleep(LIFE).await;
                break;
            }
            _ = ping.tick() => {
                unanswered += 1;
                if unanswered > UNANSWERED_PINGS
                    || !sent(&mut socket, Message::Ping(Bytes::from_static(b"ping"))).await
                {
                    break;
                }
            }
        }
    }
    running.abort();
    let code = match farewell.get().copied().unwrap_or_default() {
        Farewell::Abrupt => return,
        Farewell::Bare => fault,
        Farewell::Coded(code) => Some(code),
    };
    let frame = code.map(|code| CloseFrame { code, reason: "".into() });
    // The other side may be gone already, which is what closing wants.
    let _gone = tokio::time::timeout(GOODBYE, socket.send(Message::Close(frame))).await;
}

/// Sends a message, unless the client is gone or reads nothing.
async fn sent(socket: &mut WebSocket, message: Message) -> bool {
    matches!(tokio::time::timeout(DEAF, socket.send(message)).await, Ok(Ok(())))
}

/// The code that says what a client did against the protocol; `None` when the connection itself failed.
fn fault_code(error: &axum::BoxError) -> Option<CloseCode> {
    match error.downcast_ref::<tungstenite::Error>()? {
        tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => None,
        tungstenite::Error::Protocol(_) | tungstenite::Error::AttackAttempt => Some(close_code::PROTOCOL),
        tungstenite::Error::Utf8(_) => Some(close_code::INVALID),
        tungstenite::Error::Capacity(_) => Some(close_code::SIZE),
        _ => None,
    }
}
