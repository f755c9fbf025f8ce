//! What a client gets to see instead of the truth.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde_json::json;

use super::rule::{Effect, REFUSALS};

/// How a request ends, when not with its true answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ending {
    /// Whether the request is carried out.
    pub acted: bool,
    pub show: Show,
}

/// What is shown.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Show {
    /// A status with an error code.
    Error { status: u16, code: i32, message: String, retry_after: Option<u64> },
    /// Any answer.
    Text { status: u16, body: String },
    /// Half of the true answer.
    Half,
    /// Nothing, after so long.
    Nothing(Duration),
}

fn error(status: u16, code: i32, message: impl Into<String>) -> Show {
    Show::Error { status, code, message: message.into(), retry_after: None }
}

fn refusal(code: i32) -> Show {
    let sentence = REFUSALS.iter().find(|(known, _)| *known == code).map_or("", |(_, sentence)| *sentence);
    error(400, code, sentence)
}

fn limited(status: u16, message: String, retry_after: u64) -> Show {
    Show::Error { status, code: -1003, message, retry_after: Some(retry_after) }
}

/// A ban, told as the exchange tells it.
pub(super) fn banned(until_ms: i64, wall_ms: i64) -> Ending {
    let seconds = u64::try_from((until_ms - wall_ms + 999) / 1000).unwrap_or_default();
    let message = format!(
        "Way too many requests; IP banned until {until_ms}. Please use the websocket for live updates to avoid bans."
    );
    Ending { acted: false, show: limited(418, message, seconds) }
}

/// How an effect ends a request; `None` when it lets the true answer through.
pub(super) fn ending(effect: &Effect) -> Option<Ending> {
    let (acted, show) = match effect {
        Effect::Timeout { acted, hang_ms } => (*acted, Show::Nothing(Duration::from_millis(*hang_ms))),
        Effect::Reset { acted } => (*acted, Show::Nothing(Duration::ZERO)),
        Effect::Truncated {} => (true, Show::Half),
        Effect::Unknown503 { acted } => {
            (*acted, error(503, -1000, "Unknown error, please check your request or try again later."))
        }
        Effect::Throttled503 {} => {
            (false, error(503, -1008, "Request throttled by system-level protection. Reduce-only/close-position orders are exempt. Please try again."))
        }
        Effect::Unavailable503 {} => (false, Show::Text { status: 503, body: "Service Unavailable.".to_owned() }),
        Effect::Internal503 {} => {
            (false, error(503, -1001, "Internal error; unable to process your request. Please try again."))
        }
        Effect::BackendTimeout { acted } => (
            *acted,
            error(408, -1007, "Timeout waiting for response from backend server. Send status unknown; execution status unknown."),
        ),
        Effect::TooMany { retry_after } => (
            false,
            limited(429, "Too many requests; current limit of IP is 2400 requests per minute. Please use the websocket for live updates to avoid polling the API.".to_owned(), *retry_after),
        ),
        Effect::Maintenance {} => (false, error(503, -1016, "This service is no longer available.")),
        Effect::Rejected { code } | Effect::StopRejected { code } => (false, refusal(*code)),
        Effect::Answer { status, body, acted } => {
            (*acted, Show::Text { status: *status, body: body.clone() })
        }
        _ => return None,
    };
    Some(Ending { acted, show })
}

/// The name of a request to the model that was struck, by its line in the log.
pub(super) fn request_id(number: u64) -> String {
    format!("req_weather{number:016}")
}

/// Makes the answer; `truth` is the true one, when the request was carried out. A request to the model has an id, which
/// stands in the header of every answer and in the body of errors.
pub(super) async fn shown(show: Show, truth: Option<Response>, request_id: Option<String>) -> Response {
    let mut response = plain(show, truth, request_id.as_deref()).await;
    if let Some(id) = request_id.and_then(|id| HeaderValue::try_from(id).ok()) {
        response.headers_mut().entry("request-id").or_insert(id);
    }
    response
}

async fn plain(show: Show, truth: Option<Response>, request_id: Option<&str>) -> Response {
    match show {
        Show::Error { status, code, message, retry_after } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            let body = if let Some(request_id) = request_id {
                let kind = match status.as_u16() {
                    429 => "rate_limit_error",
                    400..=428 => "invalid_request_error",
                    _ => "api_error",
                };
                json!({
                    "type": "error", "error": {"type": kind, "message": message}, "request_id": request_id,
                })
            } else {
                json!({"code": code, "msg": message})
            };
            let mut response = (status, axum::Json(body)).into_response();
            if let Some(seconds) = retry_after {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
            response
        }
        Show::Text { status, body } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            let kind = if body.starts_with(['{', '[']) { "application/json" } else { "text/html" };
            (status, [(CONTENT_TYPE, kind)], body).into_response()
        }
        Show::Half => match truth {
            Some(truth) => halved(truth).await,
            None => cut_off(),
        },
        Show::Nothing(after) => {
            tokio::time::sleep(after).await;
            cut_off()
        }
    }
}

/// A connection that is cut: the server writes nothing when a body fails before its first byte.
pub(super) fn cut_off() -> Response {
    Response::new(Body::from_stream(stream::once(async { Err::<Bytes, _>(cut()) })))
}

fn cut() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::ConnectionReset, "the connection was cut on purpose")
}

/// The head and half of the body of an answer, then a cut connection.
async fn halved(truth: Response) -> Response {
    let (mut parts, body) = truth.into_parts();
    let Ok(whole) = axum::body::to_bytes(body, usize::MAX).await else { return cut_off() };
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(whole.len()));
    let half = whole.slice(..whole.len() / 2);
    let pieces = stream::unfold(0_u8, move |piece| {
        let half = half.clone();
        async move {
            match piece {
                0 => Some((Ok(half), 1)),
                1 => {
                    // Gives the server a turn to send what it has.
                    tokio::task::yield_now().await;
                    Some((Err(cut()), 2))
                }
                _ => None,
            }
        }
    });
    Response::from_parts(parts, Body::from_stream(pieces))
}
