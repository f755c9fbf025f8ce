//! Websockets of a desk on the bench.

use jarvis::net::{Socket, SocketMessage};
use tokio::sync::mpsc;

/// A stream that lives and tells nothing.
pub fn quiet() -> Socket {
    let (pong, pongs) = mpsc::channel(4);
    let incoming = futures_util::stream::unfold(pongs, |mut pongs| async move {
        let message: SocketMessage = pongs.recv().await?;
        Some((Ok(message), pongs))
    });
    let outgoing = futures_util::sink::unfold(pong, |pong, message| async move {
        if let SocketMessage::Ping(payload) = message {
            // The other half may be gone already.
            let _ = pong.send(SocketMessage::Pong(payload)).await;
        }
        Ok(pong)
    });
    Socket::new(incoming, outgoing)
}
