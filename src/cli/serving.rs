//! Serving a router over TCP: one line of JSON when ready, an orderly end at SIGINT or SIGTERM.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::serve::{Listener, ListenerExt};
use futures_util::{StreamExt, stream};
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, timeout_at};
use tower::ServiceExt;

use super::failure::Failure;

/// How long a connection may wait for the next request, and a request's head may take.
const HEAD_TIME: Duration = Duration::from_secs(75);
/// How long a request's body may take.
const BODY_TIME: Duration = Duration::from_secs(30);

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
    tokio::select! {
        never = answer(listener, router) => match never {},
        // Open streams and sockets would hold a graceful shutdown up for ever; they are cut.
        () = ended => Ok(()),
    }
}

/// Answers everybody who connects; who sends too slowly, or nothing, is dropped.
async fn answer<L: Listener>(mut listener: L, router: Router) -> Infallible {
    let service = router.map_request(in_time);
    loop {
        let (stream, _) = listener.accept().await;
        let service = TowerToHyperService::new(service.clone());
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection broke");
            }
        });
    }
}

/// The request with a body that fails when it does not come in time.
fn in_time(request: Request<Incoming>) -> Request<Body> {
    let until = Instant::now() + BODY_TIME;
    request.map(|body| {
        if body.is_end_stream() {
            return Body::empty();
        }
        let pieces = Body::new(body).into_data_stream();
        Body::from_stream(stream::try_unfold(pieces, move |mut pieces| async move {
            match timeout_at(until, pieces.next()).await {
                Ok(Some(piece)) => Ok(Some((piece?, pieces))),
                Ok(None) => Ok(None),
                Err(late) => Err(axum::Error::new(late)),
            }
        }))
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Bytes;
    use axum::extract::ws::{Message, WebSocketUpgrade};
    use axum::routing::{any, post};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    async fn served() -> SocketAddr {
        let (listener, address) = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let late = |upgrade: WebSocketUpgrade| async move {
            upgrade.on_upgrade(|mut socket| async move {
                tokio::time::sleep(4 * HEAD_TIME).await;
                socket.send(Message::Text("late".into())).await.unwrap();
            })
        };
        let echo = |body: Bytes| async move { body };
        let router = Router::new().route("/", post(echo)).route("/socket", any(late));
        tokio::spawn(serve(listener, router, std::future::pending()));
        address
    }

    /// What is answered to such bytes, and after how many seconds the connection ends.
    async fn answered(bytes: &str) -> (String, u64) {
        let mut socket = TcpStream::connect(served().await).await.unwrap();
        socket.write_all(bytes.as_bytes()).await.unwrap();
        let (begun, mut answer) = (Instant::now(), String::new());
        socket.read_to_string(&mut answer).await.unwrap();
        (answer, begun.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_nothing_or_half_a_head_is_dropped() {
        for bytes in ["", "P", "POST / HTTP/1.1\r\nhost: x\r\nx-slow: "] {
            let (answer, seconds) = answered(bytes).await;
            assert!((75..77).contains(&seconds), "{bytes:?} {seconds} s {answer}");
        }
        let whole = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi";
        let (answer, seconds) = answered(whole).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\nhi"), "{answer}");
        assert!((75..77).contains(&seconds), "{seconds} s");
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_half_a_body_is_refused_and_dropped() {
        for length in ["content-length: 20", "transfer-encoding: chunked"] {
            let (answer, seconds) =
                answered(&format!("POST / HTTP/1.1\r\nhost: x\r\n{length}\r\n\r\n2\r\nhi\r\n")).await;
            assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
            assert!((30..32).contains(&seconds), "{length} {seconds} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_websocket_may_be_silent_as_long_as_it_likes() {
        let url = format!("ws://{}/socket", served().await);
        let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        let text = socket.next().await.unwrap().unwrap().into_text().unwrap();
        assert_eq!(text.as_str(), "late");
    }
}
