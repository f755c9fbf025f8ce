//! One request to the model and its streamed answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use eventsource_stream::{EventStreamError, Eventsource};
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::time::Instant;

use crate::domain::Untrusted;
use crate::net::{Body, Transport};

use super::chat::ChatCompletions;
use super::dialect::{Assemble, Assembled, Dialect, Messages};
use super::error::{Interruption, LlmError, Partial};
use super::message::{Block, Message, RawUsage, StopReason, Tool, ToolCall};
use super::price::{self, ModelPrice};

/// An error's body is at most read this far.
const ERROR_BODY_LIMIT: usize = 64 * 1024;
/// No answer of a desk is larger.
const STREAM_LIMIT: usize = 64 * 1024 * 1024;

/// How the key is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// `x-api-key: KEY`.
    XApiKey,
}

/// In which protocol the model is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// The Messages API.
    Messages,
    /// OpenAI's chat completions.
    ChatCompletions,
}

impl Protocol {
    fn dialect(self) -> &'static dyn Dialect {
        match self {
            Self::Messages => &Messages,
            Self::ChatCompletions => &ChatCompletions,
        }
    }
}

/// Which model to ask, and how. Its `Debug` does not show the key.
#[derive(Debug, Clone)]
pub struct LlmOptions {
    /// `builtin`, `anthropic` or another name of the settings; for records only.
    pub provider: String,
    /// Address without `/v1`, such as `https://api.anthropic.com`.
    pub base_url: String,
    /// The model's id.
    pub model: String,
    /// Most output tokens of one turn.
    pub max_tokens: u32,
    /// The key.
    pub api_key: SecretString,
    /// How the key is sent.
    pub auth: Auth,
    /// How long nothing may come before the turn is given up.
    pub idle_timeout: Duration,
    /// Tries in all, as long as nothing of an answer has arrived.
    pub attempts: u32,
    /// In which protocol it is asked.
    pub protocol: Protocol,
    /// Whether the provider can hold the model to a tool's schema. Where it cannot, decisions come as text.
    pub strict_tools: bool,
    /// What tokens cost; `None` when nobody told.
    pub price: Option<ModelPrice>,
}

impl LlmOptions {
    /// The usual way: 8192 output tokens, the key as a bearer, 90 s of silence, three tries, strict tools, the price of
    /// the table.
    pub fn new(
        provider: impl Into<String>,
        base_url: impl Into<String>,
        model: impl Into<String>,
        api_key: SecretString,
    ) -> Self {
        let model = model.into();
        Self {
            price: price::of(&model),
            strict_tools: true,
            protocol: Protocol::Messages,
            provider: provider.into(),
            base_url: base_url.into(),
            model,
            max_tokens: 8192,
            api_key,
            auth: Auth::Bearer,
            idle_timeout: Duration::from_secs(90),
            attempts: 3,
        }
    }
}

/// What is asked in one turn.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TurnRequest {
    /// The system prompt.
    pub system: String,
    /// The conversation so far; the last message is the desk's.
    pub messages: Vec<Message>,
    /// What the model may call; the order is part of what is cached.
    pub tools: Vec<Tool>,
    /// Whether the provider shall cache the conversation up to here for five minutes. Writing costs a quarter more,
    /// reading a tenth.
    pub cache: bool,
}

/// What happens while a turn runs. For showing only: act on the finished [`Turn`].
#[derive(Debug, Clone, PartialEq)]
pub enum TurnEvent {
    /// More of the answer's text.
    TextDelta(Untrusted),
    /// More of what the model lets see of its thinking.
    ThinkingDelta(Untrusted),
    /// The model begins to call a tool.
    ToolUseStarted {
        /// The call's id.
        id: String,
        /// The tool's name.
        name: Untrusted,
    },
    /// A call's input has arrived.
    ToolUseReady(ToolCall),
    /// A try failed before anything arrived; the next one follows after a pause.
    Retrying {
        /// The try that follows, counted from 1.
        attempt: u32,
        /// The pause before it.
        wait: Duration,
        /// What failed, fit for a screen.
        reason: String,
    },
}

/// A complete answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// Its blocks, in order.
    pub content: Vec<Block>,
    /// Why the model stopped.
    pub stop_reason: StopReason,
    /// The model that answered, as it names itself.
    pub model: Option<Untrusted>,
    /// Why it declined, if it did and said so.
    pub refusal: Option<Untrusted>,
    /// Tokens.
    pub usage: RawUsage,
    /// The request's id, for the provider's support.
    pub request_id: Option<String>,
    /// The provider's rate-limit headers.
    pub rate_limits: Vec<(String, String)>,
    /// The request's body, for the store.
    pub raw_request: Vec<u8>,
    /// The bytes of the stream, for the store.
    pub raw_response: Vec<u8>,
    /// Tries made, this one included.
    pub attempts: u32,
    /// Duration in milliseconds, failed tries and pauses included.
    pub ms: f64,
}

impl Turn {
    /// All text of the answer.
    pub fn text(&self) -> Untrusted {
        let mut whole = Untrusted::default();
        for block in &self.content {
            if let Block::Text(text) = block {
                whole.push(text);
            }
        }
        whole
    }

    /// The calls the model waits for. None when it stopped for any other reason: a call may then be cut off.
    pub fn tool_calls(&self) -> Vec<&ToolCall> {
        if self.stop_reason != StopReason::ToolUse {
            return Vec::new();
        }
        self.content
            .iter()
            .filter_map(|block| if let Block::ToolUse(call) = block { Some(call) } else { None })
            .collect()
    }
}

/// Talks to one model. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LlmClient {
    transport: Transport,
    options: Arc<LlmOptions>,
}

impl LlmClient {
    /// Reaches the model through `transport`.
    pub fn new(transport: Transport, options: LlmOptions) -> Self {
        Self { transport, options: Arc::new(options) }
    }

    /// The options it was made with.
    pub fn options(&self) -> &LlmOptions {
        &self.options
    }

    /// Makes one request and follows its answer to the end, at most until `deadline`. Failed tries are repeated only
    /// while nothing of an answer has arrived. Dropping the future ends the request.
    pub async fn run_turn(
        &self,
        request: &TurnRequest,
        deadline: Instant,
        on_event: &mut (dyn FnMut(TurnEvent) + Send),
    ) -> Result<Turn, LlmError> {
        let started = Instant::now();
        let raw_request = self.options.protocol.dialect().body(&self.options, request);
        let mut attempt = 1;
        loop {
            let failure = match self.try_once(&raw_request, attempt, started, deadline, on_event).await {
                Ok(turn) => return Ok(turn),
                Err(failure) => failure,
            };
            let wait = failure.retry_after.unwrap_or_else(|| backoff(attempt));
            let in_time = Instant::now().checked_add(wait).is_some_and(|then| then < deadline);
            if !failure.retryable || attempt >= self.options.attempts || !in_time {
                return Err(failure.error);
            }
            attempt += 1;
            tracing::warn!(attempt, error = %failure.error, "the model is asked again");
            on_event(TurnEvent::Retrying { attempt, wait, reason: failure.error.to_string() });
            tokio::time::sleep(wait).await;
        }
    }

    fn request(&self, body: &[u8]) -> Result<Request<Bytes>, LlmError> {
        let options = &self.options;
        let dialect = options.protocol.dialect();
        let key = options.api_key.expose_secret();
        let (name, value) = match options.auth {
            Auth::Bearer => ("authorization", HeaderValue::from_str(&format!("Bearer {key}"))),
            Auth::XApiKey => ("x-api-key", HeaderValue::from_str(key)),
        };
        let mut value = value.map_err(|_| LlmError::BadSettings)?;
        value.set_sensitive(true);
        let mut request = Request::post(dialect.address(&options.base_url))
            .header("content-type", "application/json")
            .header("accept", "text/event-stream")
            .header(name, value);
        for (name, value) in dialect.headers() {
            request = request.header(*name, *value);
        }
        request.body(Bytes::copy_from_slice(body)).map_err(|_| LlmError::BadSettings)
    }

    async fn try_once(
        &self,
        raw_request: &[u8],
        attempts: u32,
        started: Instant,
        deadline: Instant,
        on_event: &mut (dyn FnMut(TurnEvent) + Send),
    ) -> Result<Turn, Failure> {
        let request = self.request(raw_request).map_err(Failure::last)?;
        let response = self.head(request, attempts, deadline).await?;
        if !response.status().is_success() {
            return Err(self.refusal(response, attempts, deadline).await);
        }
        let request_id = header(response.headers(), "request-id");
        let rate_limits = rate_limits(response.headers());
        let mut assembler = self.options.protocol.dialect().assembler();
        let raw = Arc::new(Mutex::new(Vec::new()));
        let ended = self.follow(response.into_body(), &raw, assembler.as_mut(), deadline, on_event).await;
        let raw_response = std::mem::take(&mut *raw.lock().unwrap_or_else(PoisonError::into_inner));
        let Assembled { content, usage, stop_reason, refusal, model } = assembler.assembled();
        let cause = match (ended, stop_reason) {
            (Ok(()), Some(stop_reason)) => {
                return Ok(Turn {
                    content,
                    stop_reason,
                    model,
                    refusal,
                    usage,
                    request_id,
                    rate_limits,
                    raw_request: raw_request.to_vec(),
                    raw_response,
                    attempts,
                    ms: (started.elapsed().as_secs_f64() * 10_000.0).round() / 10.0,
                });
            }
            (Ok(()), None) => Interruption::Unreadable("the message has no stop reason".to_owned()),
            (Err(cause), _) => cause,
        };
        let nothing_arrived = raw_response.is_empty();
        let partial = Box::new(Partial {
            content,
            usage,
            request_id,
            raw_request: raw_request.to_vec(),
            raw_response,
            attempts,
        });
        Err(Failure {
            error: LlmError::Interrupted { cause, partial },
            retryable: nothing_arrived,
            retry_after: None,
        })
    }

    /// Sends the request and waits for the head of its answer.
    async fn head(
        &self,
        request: Request<Bytes>,
        attempts: u32,
        deadline: Instant,
    ) -> Result<Response<Body>, Failure> {
        let until = no_later_than(deadline, self.options.idle_timeout);
        let reason = match tokio::time::timeout_at(until, self.transport.send(request)).await {
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(error)) => error.to_string(),
            Err(_elapsed) if until == deadline => return Err(Failure::last(LlmError::OutOfTime)),
            Err(_elapsed) => format!("nothing came for {}s", self.options.idle_timeout.as_secs()),
        };
        Err(Failure { error: LlmError::NoAnswer { attempts, reason }, retryable: true, retry_after: None })
    }

    /// Reads the stream until the message is complete.
    async fn follow(
        &self,
        body: Body,
        raw: &Arc<Mutex<Vec<u8>>>,
        assembler: &mut (dyn Assemble + Send),
        deadline: Instant,
        on_event: &mut (dyn FnMut(TurnEvent) + Send),
    ) -> Result<(), Interruption> {
        let copy = Arc::clone(raw);
        let idle = self.options.idle_timeout;
        // Silence is measured on bytes, so that comments of a server that keeps the line open count as life.
        let chunks = futures_util::stream::unfold(body.into_data_stream(), move |mut chunks| {
            let copy = Arc::clone(&copy);
            async move {
                let until = no_later_than(deadline, idle);
                let chunk = match tokio::time::timeout_at(until, chunks.next()).await {
                    Ok(None) => return None,
                    Ok(Some(Err(error))) => Err(Interruption::Net(error)),
                    Err(_elapsed) if until == deadline => Err(Interruption::OutOfTime),
                    Err(_elapsed) => Err(Interruption::Silent(idle)),
                    Ok(Some(Ok(chunk))) => {
                        let mut copy = copy.lock().unwrap_or_else(PoisonError::into_inner);
                        if copy.len() + chunk.len() > STREAM_LIMIT {
                            Err(Interruption::Unreadable("it is too long".to_owned()))
                        } else {
                            copy.extend_from_slice(&chunk);
                            Ok(chunk)
                        }
                    }
                };
                Some((chunk, chunks))
            }
        });
        let mut events = std::pin::pin!(chunks.eventsource());
        while let Some(event) = events.next().await {
            let event = event.map_err(|error| match error {
                EventStreamError::Transport(cause) => cause,
                EventStreamError::Utf8(_) => Interruption::Unreadable("it is not UTF-8".to_owned()),
                EventStreamError::Parser(_) => {
                    Interruption::Unreadable("it is not an event stream".to_owned())
                }
            })?;
            for told in assembler.feed(&event.data)? {
                on_event(told);
            }
            if assembler.is_complete() {
                return Ok(());
            }
        }
        if assembler.may_end() { Ok(()) } else { Err(Interruption::EndedEarly) }
    }

    /// Reads an error's body; bodies that are not JSON come from servers in between.
    async fn refusal(&self, response: Response<Body>, attempts: u32, deadline: Instant) -> Failure {
        let (parts, body) = response.into_parts();
        let until = no_later_than(deadline, self.options.idle_timeout);
        let collected = tokio::time::timeout_at(until, Limited::new(body, ERROR_BODY_LIMIT).collect()).await;
        let bytes = match collected {
            Ok(Ok(collected)) => collected.to_bytes(),
            Ok(Err(_)) | Err(_) => Bytes::new(),
        };
        let text = without_key(&String::from_utf8_lossy(&bytes), &self.options.api_key);
        let json: Value = serde_json::from_str(&text).unwrap_or_default();
        let error = &json["error"];
        let kind = error["type"].as_str().unwrap_or("no error type");
        let message = error["message"].as_str().unwrap_or(&text);
        let spend_limit =
            error["details"]["error_code"].as_str().is_some_and(|code| code.ends_with("spend_limit_reached"))
                || error["code"] == "insufficient_quota";
        let request_id = header(&parts.headers, "request-id")
            .or_else(|| json["request_id"].as_str().map(|id| Untrusted::from(id).line(80)));
        Failure {
            retryable: !spend_limit && worth_retrying(parts.status, &parts.headers),
            retry_after: retry_after(&parts.headers),
            error: LlmError::Refused {
                status: parts.status.as_u16(),
                kind: kind.into(),
                message: Untrusted::new(message.chars().take(2000).collect::<String>()),
                request_id,
                spend_limit,
                attempts,
            },
        }
    }
}

/// So long from now, but not beyond the deadline.
fn no_later_than(deadline: Instant, wait: Duration) -> Instant {
    Instant::now().checked_add(wait).map_or(deadline, |until| until.min(deadline))
}

/// A failed try, and whether another may help.
struct Failure {
    error: LlmError,
    retryable: bool,
    retry_after: Option<Duration>,
}

impl Failure {
    const fn last(error: LlmError) -> Self {
        Self { error, retryable: false, retry_after: None }
    }
}

/// Which statuses pass by themselves (facts: errors); the provider's own word goes first.
fn worth_retrying(status: StatusCode, headers: &HeaderMap) -> bool {
    match headers.get("x-should-retry").map(HeaderValue::as_bytes) {
        Some(b"true") => true,
        Some(b"false") => false,
        _ => matches!(status.as_u16(), 408 | 409 | 429) || status.is_server_error(),
    }
}

/// Half a second, doubled each time up to 8 s, shortened at random by up to a quarter.
fn backoff(attempt: u32) -> Duration {
    use std::hash::{BuildHasher, Hasher};
    let whole = Duration::from_millis(500) * 2_u32.pow(attempt.saturating_sub(1).min(4));
    let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
    whole * (1000 - u32::try_from(random % 250).unwrap_or(0)) / 1000
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let seconds = number("retry-after-ms").map(|ms| ms / 1000.0).or_else(|| number("retry-after"))?;
    Duration::try_from_secs_f64(seconds).ok()
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(Untrusted::from(headers.get(name)?.to_str().ok()?).line(80))
}

fn rate_limits(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .filter(|(name, _)| {
            ["anthropic-ratelimit-", "x-ratelimit-"].iter().any(|start| name.as_str().starts_with(start))
        })
        .filter_map(|(name, value)| Some((name.to_string(), Untrusted::from(value.to_str().ok()?).line(80))))
        .collect()
}

fn without_key(text: &str, key: &SecretString) -> String {
    let key = key.expose_secret();
    if key.len() >= 8 { text.replace(key, "[removed]") } else { text.to_owned() }
}
