//! A provider that only knows what was said before: it plays a stored conversation back, byte for byte, without a network.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::Response;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde_json::json;

use crate::net::Transport;

use super::client::{LlmClient, LlmOptions};

/// One request and what came back, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedCall {
    /// The body that was sent.
    pub request: Vec<u8>,
    /// HTTP status; `None` when not even a head came.
    pub status: Option<u16>,
    /// What came, as far as it came; empty when nothing did.
    pub response: Vec<u8>,
    /// The provider's id of the request.
    pub request_id: Option<String>,
    /// What failed, if it did.
    pub error: Option<String>,
}

/// A conversation that can be had again. Each request must be the next one that was made, to the byte; another one is
/// refused with the place where it differs, and never answered with something that was said to something else.
#[derive(Debug, Clone, Default)]
pub struct Recorded(Arc<Mutex<VecDeque<RecordedCall>>>);

impl Recorded {
    /// The calls of one cycle, in the order they were made. Calls of which not even the request was kept are left out.
    pub fn new(calls: impl IntoIterator<Item = RecordedCall>) -> Self {
        let calls = calls.into_iter().filter(|call| !call.request.is_empty()).collect();
        Self(Arc::new(Mutex::new(calls)))
    }

    /// A client that is answered from this recording. `options` must be those it was recorded with, as far as they shape
    /// requests: model, protocol and output tokens. One try: what failed then fails now.
    pub fn client(&self, mut options: LlmOptions) -> LlmClient {
        options.attempts = 1;
        let router = Router::new().fallback(play).layer(DefaultBodyLimit::disable()).with_state(self.clone());
        LlmClient::new(Transport::in_process(router), options)
    }

    /// Calls that were not asked for again.
    pub fn left(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn answer(&self, request: &[u8]) -> Result<RecordedCall, String> {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(next) = calls.front() else {
            return Err("the recording has no further answer".to_owned());
        };
        if next.request != request {
            let same = next.request.iter().zip(request).take_while(|(then, now)| then == now).count();
            return Err(format!(
                "this request differs from the recorded one at byte {same} of {}",
                next.request.len()
            ));
        }
        calls.pop_front().ok_or_else(|| "the recording has no further answer".to_owned())
    }
}

async fn play(State(recorded): State<Recorded>, request: Bytes) -> Result<Response, Infallible> {
    let refuse = |reason: &str| {
        let body = json!({ "error": { "type": "not_recorded", "message": reason } });
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = StatusCode::CONFLICT;
        // Asking again would not change it.
        response.headers_mut().insert("x-should-retry", HeaderValue::from_static("false"));
        response
    };
    Ok(match recorded.answer(&request) {
        Err(reason) => refuse(&reason),
        Ok(call) if call.response.is_empty() => {
            refuse(call.error.as_deref().unwrap_or("nothing came back when this was recorded"))
        }
        Ok(call) => {
            let mut response = Response::new(Body::from(call.response));
            let status = call.status.and_then(|status| StatusCode::from_u16(status).ok());
            *response.status_mut() = status.unwrap_or(StatusCode::OK);
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
            if let Some(id) = call.request_id.and_then(|id| HeaderValue::from_str(&id).ok()) {
                headers.insert("request-id", id);
            }
            response
        }
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::testing::{Server, end, frames, ok, run, start, text_block};
    use super::*;
    use crate::llm::{LlmError, Turn};

    fn stream() -> String {
        frames(&[vec![start()], text_block(0, &["Mer", "haba"]), end("end_turn")].concat())
    }

    fn options() -> LlmOptions {
        LlmOptions::new("recorded", "http://model", "claude-sonnet-4-6", "key".into())
    }

    async fn first() -> Turn {
        Server::playing([ok(stream())]).run().await.0.unwrap()
    }

    fn call_of(turn: &Turn) -> RecordedCall {
        RecordedCall {
            request: turn.raw_request.clone(),
            status: Some(200),
            response: turn.raw_response.clone(),
            request_id: turn.request_id.clone(),
            error: None,
        }
    }

    #[tokio::test]
    async fn a_stored_turn_comes_back_to_the_byte() {
        let before = first().await;
        let recorded = Recorded::new([call_of(&before)]);
        let (after, events) = run(&recorded.client(options()), Duration::from_hours(1)).await;
        let after = after.unwrap();
        assert_eq!((&after.content, &after.raw_response), (&before.content, &before.raw_response));
        assert_eq!((after.usage, after.request_id), (before.usage, before.request_id));
        assert_eq!((events.len(), recorded.left()), (2, 0));
    }

    #[tokio::test]
    async fn a_refusal_comes_back_with_its_status_and_words() {
        let body = r#"{"error":{"type":"invalid_request_error","message":"too long"}}"#;
        let refused = RecordedCall {
            status: Some(400),
            response: body.into(),
            error: Some("refused".to_owned()),
            ..call_of(&first().await)
        };
        let recorded = Recorded::new([refused]);
        let error = run(&recorded.client(options()), Duration::from_hours(1)).await.0.unwrap_err();
        assert!(error.to_string().contains("HTTP 400 (invalid_request_error): too long"), "{error}");
        assert_eq!(recorded.left(), 0);
    }

    #[tokio::test]
    async fn another_request_is_refused_with_the_place_and_uses_nothing_up() {
        let mut call = call_of(&first().await);
        call.request[10] ^= 1;
        let recorded = Recorded::new([call]);
        let error = run(&recorded.client(options()), Duration::from_hours(1)).await.0.unwrap_err();
        assert!(error.to_string().contains("differs from the recorded one at byte 10"), "{error}");
        assert_eq!(recorded.left(), 1);
    }

    #[tokio::test]
    async fn what_failed_then_fails_now() {
        let whole = call_of(&first().await);
        let cut =
            RecordedCall { response: whole.response[..whole.response.len() / 2].to_vec(), ..whole.clone() };
        let nothing = RecordedCall { response: Vec::new(), error: Some("no route".to_owned()), ..whole };
        let error =
            run(&Recorded::new([cut]).client(options()), Duration::from_hours(1)).await.0.unwrap_err();
        assert!(matches!(error, LlmError::Interrupted { .. }), "{error}");
        let error =
            run(&Recorded::new([nothing]).client(options()), Duration::from_hours(1)).await.0.unwrap_err();
        assert!(error.to_string().contains("no route"), "{error}");
    }
}
