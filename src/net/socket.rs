//! Websockets: a stream and a sink of messages, from the network or from within the process.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio_tungstenite::tungstenite;

use super::http_transport::NetError;

/// One message of a websocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketMessage {
    /// A text frame.
    Text(String),
    /// The other side asks for a sign of life; answer with the same bytes.
    Ping(Bytes),
    /// A sign of life.
    Pong(Bytes),
    /// The other side closed, with its code if it gave one.
    Close(Option<u16>),
}

type Incoming = Pin<Box<dyn Stream<Item = Result<SocketMessage, NetError>> + Send>>;
type Outgoing = Pin<Box<dyn Sink<SocketMessage, Error = NetError> + Send>>;

/// An open websocket.
pub struct Socket {
    incoming: Incoming,
    outgoing: Outgoing,
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Socket")
    }
}

impl Socket {
    /// Joins two halves.
    pub fn new(
        incoming: impl Stream<Item = Result<SocketMessage, NetError>> + Send + 'static,
        outgoing: impl Sink<SocketMessage, Error = NetError> + Send + 'static,
    ) -> Self {
        Self { incoming: Box::pin(incoming), outgoing: Box::pin(outgoing) }
    }

    /// The next message; `None` when the other side is gone.
    pub async fn next(&mut self) -> Option<Result<SocketMessage, NetError>> {
        self.incoming.next().await
    }

    /// Sends one message.
    pub async fn send(&mut self, message: SocketMessage) -> Result<(), NetError> {
        self.outgoing.send(message).await
    }
}

type Connect = dyn Fn(String) -> BoxFuture<'static, Result<Socket, NetError>> + Send + Sync;

/// Opens websockets by URL.
#[derive(Clone)]
pub struct SocketConnector(Arc<Connect>);

impl std::fmt::Debug for SocketConnector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SocketConnector")
    }
}

impl SocketConnector {
    /// Reaches the network.
    pub fn network() -> Self {
        Self::from_fn(|url| Box::pin(connect(url)))
    }

    /// Opens sockets by any means: a world in this process, a test's double.
    pub fn from_fn(
        open: impl Fn(String) -> BoxFuture<'static, Result<Socket, NetError>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(open))
    }

    /// Opens a socket to `url` (`ws://` or `wss://`).
    pub async fn connect(&self, url: impl Into<String>) -> Result<Socket, NetError> {
        (self.0)(url.into()).await
    }
}

async fn connect(url: String) -> Result<Socket, NetError> {
    let host =
        url.split("//").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or("the network").to_owned();
    let (stream, _response) = tokio_tungstenite::connect_async(url.as_str())
        .await
        .map_err(|error| NetError::NotSent { host: host.clone(), reason: without_url(&error) })?;
    let (sink, stream) = stream.split();
    let reading_host = host.clone();
    let incoming = stream.filter_map(move |message| {
        let host = reading_host.clone();
        async move {
            match message {
                Ok(tungstenite::Message::Text(text)) => Some(Ok(SocketMessage::Text(text.to_string()))),
                Ok(tungstenite::Message::Ping(payload)) => Some(Ok(SocketMessage::Ping(payload))),
                Ok(tungstenite::Message::Pong(payload)) => Some(Ok(SocketMessage::Pong(payload))),
                Ok(tungstenite::Message::Close(frame)) => {
                    Some(Ok(SocketMessage::Close(frame.map(|frame| frame.code.into()))))
                }
                Ok(tungstenite::Message::Binary(_) | tungstenite::Message::Frame(_)) => None,
                Err(error) => Some(Err(NetError::Interrupted { host, reason: without_url(&error) })),
            }
        }
    });
    let outgoing = sink
        .sink_map_err(move |error| NetError::Interrupted { host: host.clone(), reason: without_url(&error) })
        .with(|message: SocketMessage| async move {
            Ok::<_, NetError>(match message {
                SocketMessage::Text(text) => tungstenite::Message::text(text),
                SocketMessage::Ping(payload) => tungstenite::Message::Ping(payload),
                SocketMessage::Pong(payload) => tungstenite::Message::Pong(payload),
                SocketMessage::Close(_code) => tungstenite::Message::Close(None),
            })
        });
    Ok(Socket::new(incoming, outgoing))
}

/// A listen key stands in the URL, so an error that carries the URL is told by its kind only.
fn without_url(error: &tungstenite::Error) -> String {
    match error {
        tungstenite::Error::Url(_) => "the URL is not usable".to_owned(),
        tungstenite::Error::Http(response) => format!("the server answered {}", response.status()),
        other => other.to_string(),
    }
}
