//! What one turn is asked, what happens in it, and what comes of it.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::Untrusted;

use super::message::{Block, Message, RawUsage, StopReason, Tool, ToolCall, text_of};

/// How long a turn may go on, whatever has come by then.
#[derive(Debug, Clone)]
pub struct Until {
    /// The end of its time.
    pub deadline: Instant,
    /// Cancelled when nobody waits for the answer any more.
    pub ending: CancellationToken,
}

/// What cut a wait short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// It was longer than may be waited for one thing.
    Silence,
    /// The time is over.
    Deadline,
    /// Nobody waits any more.
    Cancelled,
}

impl Until {
    /// Until an instant, and nobody cancels it.
    pub fn at(deadline: Instant) -> Self {
        Self { deadline, ending: CancellationToken::new() }
    }

    /// Waits for something, so long at most.
    pub(super) async fn wait<T>(&self, longest: Duration, work: impl Future<Output = T>) -> Result<T, Cut> {
        let end = Instant::now().checked_add(longest).map_or(self.deadline, |end| end.min(self.deadline));
        tokio::select! {
            biased;
            () = self.ending.cancelled() => Err(Cut::Cancelled),
            done = tokio::time::timeout_at(end, work) => {
                done.map_err(|_elapsed| if end == self.deadline { Cut::Deadline } else { Cut::Silence })
            }
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

/// What happens while a turn runs. For showing and for the records only: act on the finished [`Turn`].
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
    /// A try brought no whole answer, the last one included. For the store: it may have been paid for.
    TryFailed(Box<FailedTry>),
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
    /// The provider's rate limits, each with what is left of it.
    pub rate_limits: Option<String>,
    /// Rate limits of which less than a twentieth is left, in one sentence.
    pub running_short: Option<String>,
    /// The request's body, for the store.
    pub raw_request: Vec<u8>,
    /// The bytes of the stream, for the store.
    pub raw_response: Vec<u8>,
    /// Tries made, this one included.
    pub attempts: u32,
    /// Duration of this try in milliseconds.
    pub ms: f64,
}

/// A try that brought no whole answer, as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct FailedTry {
    /// The request's body.
    pub request: Vec<u8>,
    /// HTTP status; `None` when not even a head came.
    pub status: Option<u16>,
    /// The bytes that came: a refusal's body without the key, or a stream as far as it came.
    pub response: Vec<u8>,
    /// The request's id, for the provider's support.
    pub request_id: Option<String>,
    /// The provider's rate limits, each with what is left of it.
    pub rate_limits: Option<String>,
    /// What it may have cost.
    pub usage: RawUsage,
    /// Duration in milliseconds.
    pub ms: f64,
    /// What failed, fit for a screen.
    pub error: String,
}

impl Turn {
    /// All text of the answer.
    pub fn text(&self) -> Untrusted {
        text_of(&self.content)
    }

    /// What the model let see of its thinking.
    pub fn thinking(&self) -> String {
        let thoughts = self.content.iter().filter_map(|block| match block {
            Block::Other(value) if value["type"] == "thinking" => value["thinking"].as_str(),
            _ => None,
        });
        thoughts.filter(|thought| !thought.is_empty()).collect::<Vec<_>>().join("\n\n")
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
