//! Serving a router over TCP: one line of JSON when ready, an orderly end at SIGINT or SIGTERM.

use std::net::SocketAddr;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::failure::Failure;

/// Binds an address.
pub async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Failure> {
    let cannot = |error: std::io::Error| Failure::failed(format!("{address} cannot be listened on: {error}"));
    let listener = TcpListener::bind(address).await.map_err(cannot)?;
    let local = listener.local_addr().map_err(cannot)?;
    Ok((listener, local))
}

/// Serves until `ended`, which is heard from before the program said that it is ready: see [`asked_to_end`].
pub async fn serve(
    listener: TcpListener,
    router: Router,
    ended: impl Future<Output = ()>,
) -> Result<(), Failure> {
    // Answers are small and streams come in small pieces: none of them may wait for the receipt of the one before.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection collects small packets");
        }
    });
    let service = axum::serve(listener, router);
    tokio::select! {
        result = service.into_future() => Ok(result?),
        // Open streams and sockets would hold a graceful shutdown up for ever; they are cut.
        () = ended => Ok(()),
    }
}

/// Resolves at SIGINT, SIGTERM or SIGHUP, whichever comes first from this call on: no signal is lost before it is awaited.
pub fn asked_to_end() -> Result<impl Future<Output = ()>, Failure> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}
