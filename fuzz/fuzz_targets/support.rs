//! What the targets share: a runtime whose sleeps cost nothing, and a server that answers what the fuzzer made up.

use std::future::Future;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use jarvis::net::Transport;

/// Runs `work` to its end on a paused clock.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime can be built").block_on(work)
}

/// Answers every request with the same status, content type and bytes.
#[allow(dead_code, reason = "the settings have no server")]
pub fn answering(status: u16, kind: &'static str, body: &[u8]) -> Transport {
    let body = body.to_vec();
    Transport::in_process(Router::new().fallback(move || {
        let body = body.clone();
        async move {
            let response = Response::builder().status(status).header("content-type", kind);
            response.body(Body::from(body)).expect("a valid answer")
        }
    }))
}

/// Asks simsar and checks that its answer is a JSON object and no failure of its own. A text that is no path is
/// passed over.
#[allow(dead_code, reason = "only the targets about market data ask simsar")]
pub fn ask(simsar: &jarvis::market::Simsar, path: &str) {
    let Ok(uri) = format!("/{}", path.trim_start_matches('/')).parse::<http::Uri>() else { return };
    let request = http::Request::get(uri).body(Default::default()).expect("a request");
    block_on(async {
        let transport = Transport::in_process(simsar.router());
        let time = std::time::Duration::from_secs(600);
        let answer = transport.fetch(request, time, 64 << 20).await.expect("simsar answers");
        assert_ne!(answer.status.as_u16(), 500, "simsar failed inside");
        assert!(answer.body.starts_with(b"{"), "not an object: {:?}", answer.body);
    });
}
