//! A socket of the embedded world, as a wire would carry it.

use futures_util::FutureExt;
use tokio::sync::mpsc;

use crate::net::{NetError, Socket, SocketMessage};
use crate::world::WorldSocket;

/// A world's channels as a socket. The channels carry text only: a ping is answered here, as the other end of a wire
/// would, until the stream is dead.
pub fn joined(socket: WorldSocket) -> Socket {
    let WorldSocket { to_world, from_world, dead } = socket;
    let (pong, pongs) = mpsc::channel(4);
    let incoming =
        futures_util::stream::unfold((from_world, pongs), |(mut from_world, mut pongs)| async move {
            let message = tokio::select! {
                biased;
                text = from_world.recv() => SocketMessage::Text(text?),
                Some(pong) = pongs.recv() => pong,
            };
            Some((Ok(message), (from_world, pongs)))
        });
    let outgoing = futures_util::sink::unfold(
        (to_world, pong, dead, false),
        |(to_world, pong, dead, was_dead), message| async move {
            let is_dead = was_dead || dead.notified().now_or_never().is_some();
            match message {
                SocketMessage::Text(text) => to_world.send(text).await.map_err(|_| gone())?,
                SocketMessage::Ping(payload) if !is_dead => {
                    pong.send(SocketMessage::Pong(payload)).await.map_err(|_| gone())?;
                }
                SocketMessage::Ping(_) | SocketMessage::Pong(_) | SocketMessage::Close(_) => {}
            }
            Ok((to_world, pong, dead, is_dead))
        },
    );
    Socket::new(incoming, outgoing)
}

fn gone() -> NetError {
    NetError::Interrupted { host: "the embedded world".to_owned(), reason: "the world ended".to_owned() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pings_are_answered_until_the_stream_is_dead() {
        let (to_world, _heard) = mpsc::channel(4);
        let (_told, from_world) = mpsc::channel(4);
        let dead = Arc::new(Notify::new());
        let mut socket = joined(WorldSocket { to_world, from_world, dead: Arc::clone(&dead) });
        let ping = SocketMessage::Ping(Bytes::from_static(b"x"));
        socket.send(ping.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), SocketMessage::Pong(Bytes::from_static(b"x")));
        dead.notify_one();
        for _ in 0..2 {
            socket.send(ping.clone()).await.unwrap();
            let silence = tokio::time::timeout(std::time::Duration::from_mins(1), socket.next()).await;
            assert!(silence.is_err(), "{silence:?}");
        }
    }
}
