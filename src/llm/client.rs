//! One request to the model and its streamed answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use eventsource_stream::{EventStreamError, Eventsource};
use futures_util::StreamExt;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Limited};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::time::Instant;

use crate::domain::{Clock, SystemClock, Untrusted};
use crate::net::{Body, NetError, Transport};

use super::capability;
use super::chat::ChatCompletions;
use super::dialect::{Assemble, Assembled, Dialect, Messages};
use super::error::{Interruption, LlmError, Partial};
use super::headers::{backoff, rate_limits, request_id, retry_after, worth_retrying};
use super::message::RawUsage;
use super::price::{self, ModelPrice};
use super::turn::{Cut, FailedTry, Turn, TurnEvent, TurnRequest, Until};

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
    /// Address, with or without `/v1`, such as `https://api.anthropic.com`.
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
    /// Whether no model answers but something that stands in for one: its tokens and their cost are estimates.
    pub is_simulated: bool,
    /// Whether the provider is asked to keep a conversation for its next turn.
    pub caches: bool,
    /// The effort that is asked for, if any. Messages API only.
    pub effort: Option<String>,
    /// Whether a summary of the model's thinking is asked for. Messages API only.
    pub shows_thinking: bool,
}

impl LlmOptions {
    /// The usual way: 8192 output tokens, the key as a bearer, 90 s of silence, three tries, strict tools, price and
    /// capabilities of the tables.
    pub fn new(
        provider: impl Into<String>,
        base_url: impl Into<String>,
        model: impl Into<String>,
        api_key: SecretString,
    ) -> Self {
        let model = model.into();
        let known = capability::of(&model);
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
            is_simulated: false,
            caches: true,
            effort: known.and_then(|known| known.effort).map(str::to_owned),
            shows_thinking: known.is_some_and(|known| known.thinks),
        }
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

    /// The body a request is sent with.
    pub fn body_of(&self, request: &TurnRequest) -> Vec<u8> {
        self.options.protocol.dialect().body(&self.options, request)
    }

    /// What a request is certain to take, however it is answered. `may_be_cached`: most of it was sent before.
    pub fn least_usage(&self, request: &TurnRequest, may_be_cached: bool) -> RawUsage {
        RawUsage::at_least(self.body_of(request).len(), may_be_cached)
    }

    /// Makes one request and follows its answer to the end, as long as `until` allows. Failed tries are repeated only
    /// while nothing of an answer has arrived; each is told, for it may have been paid for.
    pub async fn run_turn(
        &self,
        request: &TurnRequest,
        until: &Until,
        on_event: &mut (dyn FnMut(TurnEvent) + Send),
    ) -> Result<Turn, LlmError> {
        let raw_request = self.body_of(request);
        let mut attempt = 1;
        loop {
            if until.ending.is_cancelled() {
                return Err(LlmError::Cancelled);
            }
            let began = Instant::now();
            let failure = match self.try_once(&raw_request, attempt, until, on_event).await {
                Ok(turn) => return Ok(turn),
                Err(failure) => failure,
            };
            if let Some(kept) = failure.kept {
                on_event(TurnEvent::TryFailed(Box::new(FailedTry {
                    request: raw_request.clone(),
                    status: kept.status,
                    response: kept.response,
                    request_id: kept.request_id,
                    rate_limits: kept.rate_limits,
                    usage: kept.usage,
                    ms: millis(began),
                    error: failure.error.to_string(),
                })));
            }
            let wait = failure.retry_after.unwrap_or_else(|| backoff(attempt));
            let in_time = Instant::now().checked_add(wait).is_some_and(|then| then < until.deadline);
            if !failure.retryable || attempt >= self.options.attempts || !in_time {
                return Err(failure.error);
            }
            attempt += 1;
            tracing::warn!(attempt, error = %failure.error, "the model is asked again");
            on_event(TurnEvent::Retrying { attempt, wait, reason: failure.error.to_string() });
            // However the pause ends, the next round sees whether anybody still waits.
            let _ = until.wait(Duration::MAX, tokio::time::sleep(wait)).await;
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
        until: &Until,
        on_event: &mut (dyn FnMut(TurnEvent) + Send),
    ) -> Result<Turn, Failure> {
        let began = Instant::now();
        let request = self.request(raw_request).map_err(Failure::last)?;
        let response = self.head(request, attempts, until).await?;
        if !response.status().is_success() {
            return Err(self.refusal(response, attempts, until).await);
        }
        let status = response.status().as_u16();
        let request_id = request_id(response.headers());
        let limits = rate_limits(response.headers());
        let mut assembler = self.options.protocol.dialect().assembler();
        let raw = Arc::new(Mutex::new(Vec::new()));
        let ended = self.follow(response.into_body(), &raw, assembler.as_mut(), until, on_event).await;
        let raw_response = std::mem::take(&mut *raw.lock().unwrap_or_else(PoisonError::into_inner));
        let Assembled { content, usage, output, stop_reason, refusal, model } = assembler.assembled();
        let usage = usage.filled_in(raw_request.len(), output, ended.is_ok());
        let cause = match (ended, stop_reason) {
            (Ok(()), Some(stop_reason)) => {
                return Ok(Turn {
                    content,
                    stop_reason,
                    model,
                    refusal,
                    usage,
                    request_id,
                    rate_limits: limits.all,
                    running_short: limits.running_short,
                    raw_request: raw_request.to_vec(),
                    raw_response,
                    attempts,
                    ms: millis(began),
                });
            }
            (Ok(()), None) => Interruption::Unreadable("the message has no stop reason".to_owned()),
            (Err(cause), _) => cause,
        };
        Err(Failure {
            retryable: raw_response.is_empty() && !matches!(cause, Interruption::Cancelled),
            retry_after: None,
            kept: Some(Kept {
                status: Some(status),
                response: raw_response.clone(),
                request_id: request_id.clone(),
                rate_limits: limits.all,
                usage,
            }),
            error: LlmError::Interrupted {
                cause,
                partial: Box::new(Partial { content, usage, request_id, raw_response, attempts }),
            },
        })
    }

    /// Sends the request and waits for the head of its answer.
    async fn head(
        &self,
        request: Request<Bytes>,
        attempts: u32,
        until: &Until,
    ) -> Result<Response<Body>, Failure> {
        let sent = request.body().len();
        let idle = self.options.idle_timeout;
        let no_answer = |reason| LlmError::NoAnswer { attempts, reason };
        let (error, retryable, usage) = match until.wait(idle, self.transport.send(request)).await {
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(error @ NetError::NotSent { .. })) => {
                (no_answer(error.to_string()), true, RawUsage::default())
            }
            // It was on its way: whoever took it may bill it.
            Ok(Err(error)) => (no_answer(error.to_string()), true, RawUsage::of_unanswered(sent)),
            Err(Cut::Silence) => {
                let reason = format!("nothing came for {}s", idle.as_secs());
                (no_answer(reason), true, RawUsage::of_unanswered(sent))
            }
            Err(Cut::Deadline) => (LlmError::OutOfTime, false, RawUsage::of_unanswered(sent)),
            Err(Cut::Cancelled) => (LlmError::Cancelled, false, RawUsage::of_unanswered(sent)),
        };
        let kept = Kept { status: None, response: Vec::new(), request_id: None, rate_limits: None, usage };
        Err(Failure { error, retryable, retry_after: None, kept: Some(kept) })
    }

    /// Reads the stream until the message is complete.
    async fn follow(
        &self,
        body: Body,
        raw: &Arc<Mutex<Vec<u8>>>,
        assembler: &mut (dyn Assemble + Send),
        until: &Until,
        on_event: &mut (dyn FnMut(TurnEvent) + Send),
    ) -> Result<(), Interruption> {
        let copy = Arc::clone(raw);
        let idle = self.options.idle_timeout;
        // Silence is measured on bytes, so that comments of a server that keeps the line open count as life.
        let chunks = futures_util::stream::unfold(body.into_data_stream(), move |mut chunks| {
            let copy = Arc::clone(&copy);
            async move {
                let chunk = match until.wait(idle, chunks.next()).await {
                    Ok(None) => return None,
                    Ok(Some(Err(error))) => Err(Interruption::Net(error)),
                    Err(Cut::Deadline) => Err(Interruption::OutOfTime),
                    Err(Cut::Cancelled) => Err(Interruption::Cancelled),
                    Err(Cut::Silence) => Err(Interruption::Silent(idle)),
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
            let event = match event {
                Ok(event) => event,
                // Everything was said; only the word that nothing follows is missing.
                Err(EventStreamError::Transport(Interruption::Net(_) | Interruption::Silent(_)))
                    if assembler.may_end() =>
                {
                    return Ok(());
                }
                Err(EventStreamError::Transport(cause)) => return Err(cause),
                Err(EventStreamError::Utf8(_)) => {
                    return Err(Interruption::Unreadable("it is not UTF-8".to_owned()));
                }
                Err(EventStreamError::Parser(_)) => {
                    return Err(Interruption::Unreadable("it is not an event stream".to_owned()));
                }
            };
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
    async fn refusal(&self, response: Response<Body>, attempts: u32, until: &Until) -> Failure {
        let (parts, body) = response.into_parts();
        let reading = Limited::new(body, ERROR_BODY_LIMIT).collect();
        let collected = until.wait(self.options.idle_timeout, reading).await;
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
        let request_id = request_id(&parts.headers)
            .or_else(|| json["request_id"].as_str().map(|id| Untrusted::from(id).line(80)));
        Failure {
            retryable: !spend_limit && worth_retrying(parts.status, &parts.headers),
            retry_after: retry_after(&parts.headers, SystemClock.now()),
            kept: Some(Kept {
                status: Some(parts.status.as_u16()),
                response: text.clone().into_bytes(),
                request_id: request_id.clone(),
                rate_limits: rate_limits(&parts.headers).all,
                usage: RawUsage::default(),
            }),
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

/// A failed try, and whether another may help.
struct Failure {
    error: LlmError,
    retryable: bool,
    retry_after: Option<Duration>,
    /// What is kept of it; `None` when nothing was sent.
    kept: Option<Kept>,
}

/// What is kept of a failed try.
struct Kept {
    status: Option<u16>,
    response: Vec<u8>,
    request_id: Option<String>,
    rate_limits: Option<String>,
    usage: RawUsage,
}

impl Failure {
    const fn last(error: LlmError) -> Self {
        Self { error, retryable: false, retry_after: None, kept: None }
    }
}

/// Milliseconds since an instant, to a tenth.
fn millis(since: Instant) -> f64 {
    (since.elapsed().as_secs_f64() * 10_000.0).round() / 10.0
}

fn without_key(text: &str, key: &SecretString) -> String {
    let key = key.expose_secret();
    if key.len() >= 8 { text.replace(key, "[removed]") } else { text.to_owned() }
}
