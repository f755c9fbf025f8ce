//! One conversation with the model: turns, tool calls, text as it arrives, and a bounded number of all of them.

mod tool;
mod visible;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::bulletin::Bulletin;
use crate::domain::{Clock, CycleId, Event, ToolCallRecord, Untrusted, Usage};
use crate::llm::{
    Block, LlmClient, LlmError, Message, StopReason, ToolCall, Turn, TurnEvent, TurnRequest, price,
};
use crate::market::Simsar;
use crate::store::{ModelCall, Store};

pub use tool::{LARGEST_RESULT, call_api};
use visible::VisibleText;

/// Everything a conversation needs.
pub struct Conversation<'a> {
    /// The model.
    pub llm: &'a LlmClient,
    /// Answers the tool.
    pub simsar: &'a Simsar,
    /// Where text and tool calls are told.
    pub bulletin: &'a Bulletin,
    /// Where requests and answers are kept.
    pub store: &'a Store,
    /// Market time.
    pub clock: &'a dyn Clock,
    /// The cycle it belongs to.
    pub cycle: &'a CycleId,
    /// Requests allowed in all, repair included.
    pub max_iterations: u32,
    /// When it must have ended.
    pub deadline: Instant,
    /// Language of the few sentences we add.
    pub turkish: bool,
    request: TurnRequest,
    done: Progress,
}

impl std::fmt::Debug for Conversation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Conversation({}, {:?})", self.cycle, self.done)
    }
}

/// What a conversation has come to.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// Requests made.
    pub iterations: u32,
    /// The last stop reason, in the provider's word.
    pub stop_reason: String,
    /// Tokens and money so far.
    pub usage: Usage,
    /// Tool calls so far.
    pub tool_calls: Vec<ToolCallRecord>,
}

/// Why a conversation ended without a finished answer.
#[derive(Debug, thiserror::Error)]
pub enum ConversationError {
    /// The provider failed.
    #[error("the model could not be reached or broke off: {0}")]
    Llm(#[from] LlmError),
    /// The allowed number of requests is used up.
    #[error("no finished answer within {0} requests")]
    TooManyTurns(u32),
    /// The model stopped for a reason that leaves no whole answer.
    #[error("the model stopped with {0:?}: its answer is not whole")]
    NotFinished(String),
    /// The time of the cycle is used up.
    #[error("no finished answer within the cycle's time")]
    OutOfTime,
}

/// The tool with the paths the market-data API serves to it, and no other.
fn call_api_tool() -> crate::llm::Tool {
    let paths = crate::market::api::tool_paths();
    crate::llm::tools::call_api(&paths.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Numbers tool calls for the console; unique within this process.
static CALLS: AtomicU64 = AtomicU64::new(1);

impl<'a> Conversation<'a> {
    /// Begins with the two prompts.
    #[expect(clippy::too_many_arguments, reason = "each is a different part of the house")]
    pub fn new(
        llm: &'a LlmClient,
        simsar: &'a Simsar,
        bulletin: &'a Bulletin,
        store: &'a Store,
        clock: &'a dyn Clock,
        cycle: &'a CycleId,
        max_iterations: u32,
        time: Duration,
        turkish: bool,
        prompts: (String, String),
    ) -> Self {
        let (system, user) = prompts;
        let request = TurnRequest {
            system,
            messages: vec![Message::user(user)],
            tools: vec![call_api_tool()],
            cache: true,
        };
        Self {
            llm,
            simsar,
            bulletin,
            store,
            clock,
            cycle,
            max_iterations,
            deadline: Instant::now() + time,
            turkish,
            request,
            done: Progress::default(),
        }
    }

    /// What the conversation has come to so far.
    pub fn progress(&self) -> &Progress {
        &self.done
    }

    /// Goes on until the model has finished an answer; returns the text of its last turn.
    pub async fn answer(&mut self) -> Result<String, ConversationError> {
        let mut nudged = false;
        loop {
            let turn = self.turn().await?;
            match &turn.stop_reason {
                StopReason::ToolUse => self.run_tools(&turn).await,
                StopReason::EndTurn | StopReason::StopSequence => {
                    let text = turn.text();
                    if !text.raw().trim().is_empty() {
                        self.request.messages.push(Message::assistant(turn.content));
                        return Ok(text.raw().to_owned());
                    }
                    if nudged {
                        return Err(ConversationError::NotFinished("an empty answer, twice".to_owned()));
                    }
                    nudged = true;
                    let nudge = if self.turkish {
                        "Cevabın boş geldi. Lütfen kararlarını yaz."
                    } else {
                        "Your answer was empty. Please write your decisions."
                    };
                    self.say(nudge);
                }
                other => return Err(ConversationError::NotFinished(other.word())),
            }
        }
    }

    /// Adds a message of ours, for a repair.
    pub fn say(&mut self, text: &str) {
        self.request.messages.push(Message::user(text));
    }

    async fn turn(&mut self) -> Result<Turn, ConversationError> {
        if self.done.iterations >= self.max_iterations {
            return Err(ConversationError::TooManyTurns(self.max_iterations));
        }
        self.done.iterations += 1;
        self.bulletin.record(Some(self.cycle), Event::ModelTurn { iteration: self.done.iterations });
        let mut visible = VisibleText::default();
        let (bulletin, cycle) = (self.bulletin, self.cycle);
        let show = |text: String| {
            if !text.is_empty() {
                bulletin.tell(Some(cycle), Event::AnalysisDelta { text: Untrusted::new(text) });
            }
        };
        let began = Instant::now();
        let result = {
            let mut on_event = |event: TurnEvent| match event {
                TurnEvent::TextDelta(text) => show(visible.push(text.raw())),
                TurnEvent::Retrying { attempt, reason, .. } => {
                    tracing::warn!(attempt, reason, "the model call is tried again");
                }
                _ => {}
            };
            self.llm.run_turn(&self.request, self.deadline, &mut on_event).await
        };
        show(visible.finish());
        self.done.usage += self.keep(&result, began).await;
        let turn = result?;
        self.done.stop_reason = turn.stop_reason.word();
        Ok(turn)
    }

    fn usage_of(&self, turn: &Turn) -> Usage {
        price::usage(&self.llm.options().model, &turn.usage)
    }

    /// Stores a call and returns what it cost.
    async fn keep(&self, result: &Result<Turn, LlmError>, began: Instant) -> Usage {
        let ms = began.elapsed().as_secs_f64() * 1000.0;
        let call = match result {
            Ok(turn) => ModelCall {
                cycle: self.cycle.clone(),
                iteration: self.done.iterations,
                at: self.clock.now(),
                request: turn.raw_request.clone(),
                response: turn.raw_response.clone(),
                stop_reason: Some(turn.stop_reason.word()),
                usage: self.usage_of(turn),
                request_id: turn.request_id.clone(),
                ms,
                error: None,
            },
            Err(error) => self.broken_call(error, ms),
        };
        if let Err(error) = self.store.put_model_call(&call).await {
            tracing::error!(%error, "a model call could not be stored");
        }
        call.usage
    }

    /// What is worth keeping of a call that failed: a broken stream was paid for as far as it came.
    fn broken_call(&self, error: &LlmError, ms: f64) -> ModelCall {
        let partial = match error {
            LlmError::Interrupted { partial, .. } => Some(partial.as_ref()),
            _ => None,
        };
        ModelCall {
            cycle: self.cycle.clone(),
            iteration: self.done.iterations,
            at: self.clock.now(),
            request: partial.map(|partial| partial.raw_request.clone()).unwrap_or_default(),
            response: partial.map(|partial| partial.raw_response.clone()).unwrap_or_default(),
            stop_reason: None,
            usage: partial.map_or_else(Usage::default, |partial| {
                price::usage(&self.llm.options().model, &partial.usage)
            }),
            request_id: partial.and_then(|partial| partial.request_id.clone()),
            ms,
            error: Some(error.to_string()),
        }
    }

    async fn run_tools(&mut self, turn: &Turn) {
        let results = join_all(turn.tool_calls().into_iter().map(|call| self.run_tool(call))).await;
        let mut content = Vec::with_capacity(results.len() + 1);
        for (block, record, body) in results {
            let kept = self.store.put_tool_call(self.cycle, self.done.iterations, &record, &body).await;
            if let Err(error) = kept {
                tracing::error!(%error, "a tool call could not be stored");
            }
            self.done.tool_calls.push(record);
            content.push(block);
        }
        if self.done.iterations + 1 >= self.max_iterations {
            content.push(Block::Text(Untrusted::new(if self.turkish {
                "Artık araç çağrısı yok; şimdi cevap ver."
            } else {
                "No more tool calls; answer now."
            })));
        }
        self.request.messages.push(Message::assistant(turn.content.clone()));
        self.request.messages.push(Message::tool_results(content));
    }

    async fn run_tool(&self, asked_for: &ToolCall) -> (Block, ToolCallRecord, Vec<u8>) {
        let call = CALLS.fetch_add(1, Ordering::Relaxed);
        let asked = tool::Asked::read(asked_for);
        self.bulletin.record(
            Some(self.cycle),
            Event::ToolCallStarted {
                call,
                endpoint: asked.endpoint.clone(),
                params: Untrusted::new(asked.params.to_string()),
            },
        );
        let began = Instant::now();
        let answer = call_api(self.simsar, &asked).await;
        let record = ToolCallRecord {
            endpoint: asked.endpoint,
            params: asked.params,
            status: answer.status,
            bytes: answer.size,
            ms: began.elapsed().as_secs_f64() * 1000.0,
        };
        self.bulletin.record(
            Some(self.cycle),
            Event::ToolCallFinished { call, status: record.status, bytes: record.bytes, ms: record.ms },
        );
        let block = Block::ToolResult {
            tool_use_id: asked_for.id.clone(),
            content: answer.text.clone(),
            is_error: answer.is_error,
        };
        (block, record, answer.text.into_bytes())
    }
}
