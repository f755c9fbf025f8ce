//! One conversation with the model: turns, tool calls, text as it arrives, and a bounded number of all of them.

mod tool;
mod visible;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::bulletin::Bulletin;
use crate::domain::{CycleId, Event, ToolCallRecord, Untrusted, Usage};
use crate::llm::{Block, LlmClient, LlmError, Message, Role, StopReason, Turn, TurnEvent, TurnRequest};
use crate::market::Simsar;
use crate::store::{ModelCall, Store};

pub use tool::{LARGEST_RESULT, call_api};
use visible::VisibleText;

/// Everything a conversation needs.
#[derive(Debug)]
pub struct Conversation<'a> {
    /// The model.
    pub llm: &'a LlmClient,
    /// Answers the tool.
    pub simsar: &'a Simsar,
    /// Where text and tool calls are told.
    pub bulletin: &'a Bulletin,
    /// Where requests and answers are kept.
    pub store: &'a Store,
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
        cycle: &'a CycleId,
        max_iterations: u32,
        time: Duration,
        turkish: bool,
        prompts: (String, String),
    ) -> Self {
        let (system, user) = prompts;
        let request = TurnRequest {
            system,
            messages: vec![Message { role: Role::User, content: vec![Block::text(user)] }],
            tools: vec![crate::llm::tools::call_api()],
        };
        Self {
            llm,
            simsar,
            bulletin,
            store,
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
                    let text = text_of(&turn.content);
                    if !text.trim().is_empty() {
                        self.request.messages.push(Message { role: Role::Assistant, content: turn.content });
                        return Ok(text);
                    }
                    if nudged {
                        return Err(ConversationError::NotFinished("an empty answer, twice".to_owned()));
                    }
                    nudged = true;
                    let nudge = if self.turkish { "Cevabın boş geldi. Lütfen kararlarını yaz." } else { "Your answer was empty. Please write your decisions." };
                    self.say(nudge);
                }
                other => return Err(ConversationError::NotFinished(other.as_str().to_owned())),
            }
        }
    }

    /// Adds a message of ours, for a repair.
    pub fn say(&mut self, text: &str) {
        self.request.messages.push(Message { role: Role::User, content: vec![Block::text(text)] });
    }

    async fn turn(&mut self) -> Result<Turn, ConversationError> {
        if self.done.iterations >= self.max_iterations {
            return Err(ConversationError::TooManyTurns(self.max_iterations));
        }
        self.done.iterations += 1;
        self.bulletin.tell(Some(self.cycle), Event::ModelTurn { iteration: self.done.iterations });
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
        self.keep(&result, began).await;
        let turn = result?;
        turn.stop_reason.as_str().clone_into(&mut self.done.stop_reason);
        self.done.usage += self.llm.usage_of(&turn.usage);
        Ok(turn)
    }

    async fn keep(&self, result: &Result<Turn, LlmError>, began: Instant) {
        let ms = began.elapsed().as_secs_f64() * 1000.0;
        let call = match result {
            Ok(turn) => ModelCall {
                cycle: self.cycle.clone(),
                iteration: self.done.iterations,
                request: turn.raw_request.clone(),
                response: turn.raw_response.clone(),
                stop_reason: Some(turn.stop_reason.as_str().to_owned()),
                usage: self.llm.usage_of(&turn.usage),
                request_id: turn.request_id.clone(),
                ms,
                error: None,
            },
            Err(error) => ModelCall {
                cycle: self.cycle.clone(),
                iteration: self.done.iterations,
                request: Vec::new(),
                response: Vec::new(),
                stop_reason: None,
                usage: Usage::default(),
                request_id: None,
                ms,
                error: Some(error.to_string()),
            },
        };
        if let Err(error) = self.store.put_model_call(call).await {
            tracing::error!(%error, "a model call could not be stored");
        }
    }

    async fn run_tools(&mut self, turn: &Turn) {
        let calls: Vec<(String, String, serde_json::Value)> = turn
            .content
            .iter()
            .filter_map(|block| match block {
                Block::ToolUse { id, name, input } => Some((id.clone(), name.clone(), input.clone())),
                _ => None,
            })
            .collect();
        let results = join_all(calls.iter().map(|(id, name, input)| self.run_tool(id, name, input))).await;
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
            content.push(Block::text(if self.turkish {
                "Artık araç çağrısı yok; şimdi cevap ver."
            } else {
                "No more tool calls; answer now."
            }));
        }
        self.request.messages.push(Message { role: Role::Assistant, content: turn.content.clone() });
        self.request.messages.push(Message { role: Role::User, content });
    }

    async fn run_tool(&self, id: &str, name: &str, input: &serde_json::Value) -> (Block, ToolCallRecord, Vec<u8>) {
        let call = CALLS.fetch_add(1, Ordering::Relaxed);
        let asked = tool::Asked::read(name, input);
        self.bulletin.tell(Some(self.cycle), Event::ToolCallStarted {
            call,
            endpoint: asked.endpoint.clone(),
            params: Untrusted::new(asked.params.to_string()),
        });
        let began = Instant::now();
        let answer = call_api(self.simsar, &asked).await;
        let record = ToolCallRecord {
            endpoint: asked.endpoint,
            params: asked.params,
            status: answer.status,
            bytes: answer.size,
            ms: began.elapsed().as_secs_f64() * 1000.0,
        };
        self.bulletin.tell(Some(self.cycle), Event::ToolCallFinished {
            call,
            status: record.status,
            bytes: record.bytes,
            ms: record.ms,
        });
        let block = Block::ToolResult { tool_use_id: id.to_owned(), content: answer.text.clone(), is_error: answer.is_error };
        (block, record, answer.text.into_bytes())
    }
}

fn text_of(content: &[Block]) -> String {
    content
        .iter()
        .filter_map(|block| match block {
            Block::Text { text } => Some(text.as_str()),
            _ => None,
        })
        .collect()
}
