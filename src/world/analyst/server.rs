//! The HTTP face: paths, headers and refusals.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::AnalystOptions;
use super::cache::{Prefix, PromptCache};
use super::conversation::{Conversation, VERSIONS};
use super::error::ApiError;
use super::events::{Frame, Identity, frames, message, split_in_characters, with_unknown_kinds};
use super::fault::Fault;
use super::reply::Reply;
use super::turn;

/// The API's limit for one request.
const BODY_LIMIT: usize = 32 * 1024 * 1024;

/// The models `GET /v1/models` lists: id, name shown, context, most output tokens.
const MODELS: [(&str, &str, u64, u64); 2] = [
    ("claude-sonnet-4-6", "Built-in rule-based analyst, answering for claude-sonnet-4-6", 1_000_000, 128_000),
    ("builtin", "Built-in rule-based analyst", 1_000_000, 128_000),
];

/// The families of Claude models.
const FAMILIES: [&str; 4] = ["opus", "sonnet", "haiku", "fable"];

struct Server {
    options: AnalystOptions,
    requests: AtomicU64,
    /// How the coming answers go wrong, and how many of them; all when there is no number.
    bad_day: Mutex<Option<(Fault, Option<u64>)>>,
    cache: PromptCache,
}

impl Server {
    fn request_id(&self) -> String {
        format!("req_builtin_{:012x}", self.requests.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// How the next answer goes wrong, if it does.
    fn next_fault(&self) -> Option<Fault> {
        let mut bad_day = self.bad_day.lock().unwrap_or_else(PoisonError::into_inner);
        let (fault, left) = (*bad_day)?;
        *bad_day = match left {
            None => return Some(fault),
            Some(0) => None,
            Some(left) => Some((fault, Some(left - 1))),
        };
        bad_day.map(|_| fault)
    }
}

/// The analyst as a server, and the hand that gives it a bad day. Clones share both.
#[derive(Clone)]
pub struct Analyst(Arc<Server>);

impl std::fmt::Debug for Analyst {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Analyst").field("fault", &self.fault()).finish_non_exhaustive()
    }
}

impl Analyst {
    /// One that behaves as the options say.
    pub fn new(options: AnalystOptions) -> Self {
        Self(Arc::new(Server {
            options,
            requests: AtomicU64::new(0),
            bad_day: Mutex::new(options.fault.map(|fault| (fault, options.faulty_answers))),
            cache: PromptCache::default(),
        }))
    }

    /// From the next answer on it goes wrong in this way, for so many answers (for ever when `None`); without a fault it
    /// is right again. An answer under way ends as it began.
    pub fn set_fault(&self, fault: Option<Fault>, answers: Option<u32>) {
        *self.0.bad_day.lock().unwrap_or_else(PoisonError::into_inner) =
            fault.map(|fault| (fault, answers.map(u64::from)));
    }

    /// How the next answer will go wrong, if it will, and how many more.
    pub fn fault(&self) -> Option<(Fault, Option<u64>)> {
        let bad_day = *self.0.bad_day.lock().unwrap_or_else(PoisonError::into_inner);
        bad_day.filter(|(_, left)| *left != Some(0))
    }

    /// A Messages-API-compatible server with the rule-based analyst behind it.
    ///
    /// Paths: `POST /v1/messages` (streamed or whole), `POST /v1/messages/count_tokens`, `GET` and `HEAD /v1/models` and
    /// `/v1/models/{id}`. Unknown paths below `/v1/` are answered 404 in the API's shape. The router has no fallback, so
    /// it merges with others.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/v1/messages", post(messages).fallback(wrong_method))
            .route("/v1/messages/count_tokens", post(count_tokens).fallback(wrong_method))
            .route("/v1/models", get(models).fallback(wrong_method))
            .route("/v1/models/{id}", get(one_model).fallback(wrong_method))
            .route("/v1/{*rest}", any(unknown_path))
            .layer(DefaultBodyLimit::max(BODY_LIMIT))
            .with_state(Arc::clone(&self.0))
    }
}

/// The server of an analyst whose behaviour never changes.
pub fn router(options: AnalystOptions) -> Router {
    Analyst::new(options).router()
}

async fn messages(
    State(server): State<Arc<Server>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let request_id = server.request_id();
    let fault = server.next_fault();
    match fault {
        Some(Fault::Overload) => return ApiError::overloaded().respond(&request_id),
        Some(Fault::SpendLimit) => return ApiError::spend_limit().respond(&request_id),
        _ => {}
    }
    match answer(&headers, body, fault) {
        Ok((identity, conversation, reply, prefix)) => {
            let usage = server.cache.account(&prefix, Instant::now());
            let response = if conversation.stream {
                let frames = spoiled(frames(&identity, &reply, usage), fault, &request_id);
                event_stream(frames, server.options.token_delay, fault)
            } else {
                axum::Json(message(&identity, &reply, usage)).into_response()
            };
            marked(response, &request_id)
        }
        Err(error) => error.respond(&request_id),
    }
}

/// The frames that come: fewer when the stream stalls or reports an error, more when it speaks of unknown things.
fn spoiled(mut frames: Vec<Frame>, fault: Option<Fault>, request_id: &str) -> Vec<Frame> {
    match fault {
        Some(Fault::Stall) => frames.truncate(3),
        Some(Fault::OverloadMidStream) => {
            frames.truncate(frames.len() / 2);
            frames.push(Frame::error(&ApiError::overloaded(), request_id));
        }
        Some(Fault::UnknownKinds) => frames = with_unknown_kinds(frames),
        _ => {}
    }
    frames
}

fn answer(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
    fault: Option<Fault>,
) -> Result<(Identity, Conversation, Reply, Prefix), ApiError> {
    let (conversation, prefix, fingerprint) = read(headers, body, false)?;
    let budget = conversation.max_tokens.unwrap_or(u64::MAX);
    let within =
        |budget| Reply::within(turn::answer(&conversation, fault), budget, &conversation.stop_sequences);
    let reply = match fault {
        Some(Fault::Refuse) => Reply::refusal(),
        Some(Fault::Truncate) => {
            let whole = within(budget);
            if whole.is_final() { within(whole.output_tokens * 2 / 3) } else { whole }
        }
        _ => within(budget),
    };
    let identity =
        Identity { message_id: format!("msg_builtin_{fingerprint}"), model: conversation.model.clone() };
    Ok((identity, conversation, reply, prefix))
}

async fn count_tokens(
    State(server): State<Arc<Server>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let request_id = server.request_id();
    match read(&headers, body, true) {
        Ok((_, prefix, _)) => {
            marked(axum::Json(json!({"input_tokens": prefix.total()})).into_response(), &request_id)
        }
        Err(error) => error.respond(&request_id),
    }
}

async fn models(State(server): State<Arc<Server>>, headers: HeaderMap) -> Response {
    let request_id = server.request_id();
    if let Err(error) = check_headers(&headers) {
        return error.respond(&request_id);
    }
    let data: Vec<Value> = MODELS.iter().map(|(id, ..)| model_card(id)).collect();
    let list = json!({
        "data": data,
        "has_more": false,
        "first_id": MODELS.first().map(|(id, ..)| id),
        "last_id": MODELS.last().map(|(id, ..)| id),
    });
    marked(axum::Json(list).into_response(), &request_id)
}

async fn one_model(
    State(server): State<Arc<Server>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let request_id = server.request_id();
    let card = check_headers(&headers).and_then(|_| {
        check_model(&id)?;
        Ok(model_card(&id))
    });
    match card {
        Ok(card) => marked(axum::Json(card).into_response(), &request_id),
        Err(error) => error.respond(&request_id),
    }
}

fn model_card(id: &str) -> Value {
    let (_, name, context, output) =
        MODELS.iter().find(|(known, ..)| *known == id).copied().unwrap_or(MODELS[1]);
    json!({
        "type": "model",
        "id": id,
        "display_name": name,
        "created_at": "2026-11-22T00:00:00Z",
        "lifecycle": "active",
        "max_input_tokens": context,
        "max_tokens": output,
        "capabilities": null,
    })
}

async fn unknown_path(State(server): State<Arc<Server>>, Path(rest): Path<String>) -> Response {
    ApiError::not_found(format!(
        "no path /v1/{rest}; there are /v1/messages, /v1/messages/count_tokens and /v1/models"
    ))
    .respond(&server.request_id())
}

async fn wrong_method(State(server): State<Arc<Server>>) -> Response {
    ApiError::method_not_allowed().respond(&server.request_id())
}

fn read(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
    counting: bool,
) -> Result<(Conversation, Prefix, String), ApiError> {
    let version = check_headers(headers)?;
    let bytes = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::too_large(),
        _ => ApiError::invalid(format!("the body could not be read: {}", rejection.body_text())),
    })?;
    let value: Value = serde_json::from_slice(&bytes)
        .map_err(|error| ApiError::invalid(format!("the body is not valid JSON: {error}")))?;
    let conversation = Conversation::read(&value, version, counting)?;
    check_model(&conversation.model)?;
    let prefix = Prefix::of(&value)?;
    let fingerprint = hex::encode(Sha256::digest(&bytes)).chars().take(20).collect();
    Ok((conversation, prefix, fingerprint))
}

/// A key must be there, its value does not matter; the version must be a known one.
fn check_headers(headers: &HeaderMap) -> Result<&'static str, ApiError> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let key = text("x-api-key").is_some_and(|key| !key.is_empty());
    let bearer = text("authorization").is_some_and(|value| {
        value
            .split_once(' ')
            .is_some_and(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty())
    });
    if !key && !bearer {
        return Err(ApiError::authentication());
    }
    let version = text("anthropic-version")
        .ok_or_else(|| ApiError::invalid("anthropic-version: header is required"))?;
    VERSIONS.into_iter().find(|known| *known == version).ok_or_else(|| {
        ApiError::invalid(format!("anthropic-version: {version:?} is not one of {}", VERSIONS.join(", ")))
    })
}

fn check_model(id: &str) -> Result<(), ApiError> {
    if is_claude(id) || id.starts_with("builtin") {
        Ok(())
    } else {
        Err(ApiError::not_found(format!("model: {id}")))
    }
}

/// Whether an id is made like those of the Claude models: a family with one or two numbers of a version behind it (or,
/// as in the early ones, before it), and perhaps a date or `latest` at the end. New versions need no new list.
fn is_claude(id: &str) -> bool {
    let digits = |part: &&str, most: usize| {
        (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let Some(name) = id.strip_prefix("claude-") else { return false };
    let mut parts: Vec<&str> = name.split('-').collect();
    if parts.last().is_some_and(|last| *last == "latest" || (last.len() == 8 && digits(last, 8))) {
        parts.pop();
    }
    let version = match parts.as_slice() {
        [first, version @ ..] if FAMILIES.contains(first) => version,
        [version @ .., last] if FAMILIES.contains(last) => version,
        _ => return false,
    };
    (1..=2).contains(&version.len()) && version.iter().all(|part| digits(part, 2))
}

fn event_stream(frames: Vec<Frame>, delay: Duration, fault: Option<Fault>) -> Response {
    let is_split = fault == Some(Fault::SplitUtf8);
    let paced = stream::iter(frames).then(move |frame| async move {
        if frame.paced && !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let pieces = if is_split { split_in_characters(&frame.text) } else { vec![Bytes::from(frame.text)] };
        stream::iter(pieces.into_iter().map(Ok::<_, Infallible>))
    });
    let paced = paced.flatten();
    let body = if fault == Some(Fault::Stall) {
        Body::from_stream(paced.chain(stream::pending()))
    } else {
        Body::from_stream(paced)
    };
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    response
}

fn marked(mut response: Response, request_id: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert("request-id", value);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
