//! The words of a conversation, as sent and as answered.

use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};
use serde_json::{Map, Value, json};

use crate::domain::Untrusted;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The desk, tool results included.
    User,
    /// The model.
    Assistant,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order. An answer goes back exactly as it came.
    pub content: Vec<Block>,
}

impl Message {
    /// The desk says a text.
    pub fn user(text: impl Into<String>) -> Self {
        Self { role: Role::User, content: vec![Block::Text(Untrusted::new(text))] }
    }

    /// The desk answers tool calls; all calls of a turn are answered in one message.
    pub fn tool_results(results: Vec<Block>) -> Self {
        Self { role: Role::User, content: results }
    }

    /// The model's answer, to be sent back in the next turn.
    pub fn assistant(content: Vec<Block>) -> Self {
        Self { role: Role::Assistant, content }
    }
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// The API refuses empty texts, but a model may answer one.
        struct Content<'a>(&'a [Block]);
        impl Serialize for Content<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut blocks = serializer.serialize_seq(None)?;
                for block in self.0.iter().filter(|block| !block.is_empty_text()) {
                    blocks.serialize_element(block)?;
                }
                blocks.end()
            }
        }
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("role", &self.role)?;
        map.serialize_entry("content", &Content(&self.content))?;
        map.end()
    }
}

/// One block of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// Text; the message's role says whose.
    Text(Untrusted),
    /// The model calls a tool.
    ToolUse(ToolCall),
    /// The desk answers a call.
    ToolResult {
        /// The call's id.
        tool_use_id: String,
        /// The answer.
        content: String,
        /// Whether the call failed.
        is_error: bool,
    },
    /// Thinking, and everything we do not know: kept and sent back as it came.
    Other(Value),
}

impl Block {
    fn is_empty_text(&self) -> bool {
        matches!(self, Self::Text(text) if text.is_empty())
    }
}

/// All text of some blocks.
pub(super) fn text_of(content: &[Block]) -> Untrusted {
    let mut whole = Untrusted::default();
    for block in content {
        if let Block::Text(text) = block {
            whole.push(text);
        }
    }
    whole
}

impl Serialize for Block {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => json!({ "type": "text", "text": text.raw() }).serialize(serializer),
            Self::ToolUse(call) => {
                let input = call.input.complete().cloned().unwrap_or_default();
                json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": input })
                    .serialize(serializer)
            }
            Self::ToolResult { tool_use_id, content, is_error } => {
                let mut result =
                    json!({ "type": "tool_result", "tool_use_id": tool_use_id, "content": content });
                if *is_error {
                    result["is_error"] = Value::Bool(true);
                }
                result.serialize(serializer)
            }
            Self::Other(value) => value.serialize(serializer),
        }
    }
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// Joins the call to its result.
    pub id: String,
    /// The tool's name as the model wrote it.
    pub name: String,
    /// Its input.
    pub input: ToolInput,
}

/// The input of a tool call.
#[derive(Debug, Clone, PartialEq)]
pub enum ToolInput {
    /// A whole JSON object.
    Complete {
        /// What it says; of a field that was written twice, the last.
        object: Map<String, Value>,
        /// The JSON as the model wrote it, with everything that was written twice.
        written: String,
    },
    /// Cut off, or not a JSON object; as it came. Never to be acted on. It goes back as an empty object, beside a result
    /// that says so.
    Broken(Untrusted),
}

impl ToolInput {
    /// Reads what the model wrote.
    pub fn read(written: &str) -> Self {
        match serde_json::from_str(written) {
            Ok(object) => Self::Complete { object, written: written.to_owned() },
            Err(_) => Self::Broken(written.into()),
        }
    }

    /// An object that came as one, with no field written twice.
    pub fn whole(object: Map<String, Value>) -> Self {
        let value = Value::Object(object.clone());
        Self::Complete { object, written: value.to_string() }
    }

    /// The object, if it is whole.
    pub const fn complete(&self) -> Option<&Map<String, Value>> {
        match self {
            Self::Complete { object, .. } => Some(object),
            Self::Broken(_) => None,
        }
    }
}

/// A tool the model may call.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it does and when to use it.
    pub description: String,
    /// JSON schema of its input.
    pub input_schema: Value,
    /// Whether the provider shall hold the model to the schema; not every provider can.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
}

/// Why the model stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// It is done.
    EndTurn,
    /// It waits for tool results.
    ToolUse,
    /// The token limit cut it off.
    MaxTokens,
    /// It wrote a stop sequence.
    StopSequence,
    /// A tool of the provider takes long; send the answer back as it is.
    PauseTurn,
    /// It declines.
    Refusal,
    /// The conversation no longer fits.
    ContextWindowExceeded,
    /// A word we do not know.
    Other(Untrusted),
}

impl StopReason {
    pub(super) fn from_wire(word: &str) -> Self {
        match word {
            "end_turn" => Self::EndTurn,
            "tool_use" => Self::ToolUse,
            "max_tokens" => Self::MaxTokens,
            "stop_sequence" => Self::StopSequence,
            "pause_turn" => Self::PauseTurn,
            "refusal" => Self::Refusal,
            "model_context_window_exceeded" => Self::ContextWindowExceeded,
            other => Self::Other(other.into()),
        }
    }

    /// The wire word, cleaned for a screen.
    pub fn word(&self) -> String {
        match self {
            Self::EndTurn => "end_turn".to_owned(),
            Self::ToolUse => "tool_use".to_owned(),
            Self::MaxTokens => "max_tokens".to_owned(),
            Self::StopSequence => "stop_sequence".to_owned(),
            Self::PauseTurn => "pause_turn".to_owned(),
            Self::Refusal => "refusal".to_owned(),
            Self::ContextWindowExceeded => "model_context_window_exceeded".to_owned(),
            Self::Other(word) => word.line(40),
        }
    }
}

/// Tokens of one turn as the provider counted them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RawUsage {
    /// Input after the last cache breakpoint.
    pub input_tokens: u64,
    /// Output, thinking included.
    pub output_tokens: u64,
    /// Input read from the cache.
    pub cache_read_input_tokens: u64,
    /// Input written to the cache.
    pub cache_creation_input_tokens: u64,
    /// The part of it that is kept for an hour, which costs more.
    pub cache_creation_1h_input_tokens: u64,
    /// Whether a figure is our estimate, because the provider told none.
    pub estimated: bool,
}

/// What an assembler saw of an answer's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Output {
    /// Bytes of text, thinking and tool input that came.
    pub bytes: usize,
    /// Whether the provider counted it, beyond the figure that every stream begins with.
    pub is_counted: bool,
}

impl RawUsage {
    /// All input tokens, however billed.
    pub const fn total_input(&self) -> u64 {
        self.input_tokens
            .saturating_add(self.cache_read_input_tokens)
            .saturating_add(self.cache_creation_input_tokens)
    }

    /// A request that was sent and brought nothing back: it may be billed all the same.
    pub fn of_unanswered(sent: usize) -> Self {
        Self::default().filled_in(sent, Output::default(), false)
    }

    /// What a request of so many bytes is certain to take before it is answered: no text has more than four bytes a token,
    /// and nothing is cheaper than the cache.
    pub(super) fn at_least(sent: usize, may_be_cached: bool) -> Self {
        let tokens = sent as u64 / 4;
        let (input_tokens, cache_read_input_tokens) = if may_be_cached { (0, tokens) } else { (tokens, 0) };
        Self { input_tokens, cache_read_input_tokens, estimated: true, ..Self::default() }
    }

    /// Estimates what the provider did not tell, so that nothing counts as free by silence: the input from the bytes
    /// `sent`, the output from what came of it. An answer that broke off has at least been written as far as it came.
    pub(super) fn filled_in(mut self, sent: usize, output: Output, has_ended: bool) -> Self {
        if self.total_input() == 0 {
            self.input_tokens = estimate(sent);
            self.estimated = true;
        }
        let written = estimate(output.bytes);
        let is_told = has_ended && output.is_counted && self.output_tokens > 0;
        if !is_told && written > self.output_tokens {
            self.output_tokens = written;
            self.estimated = true;
        }
        self
    }

    /// Takes over the figures that are present: they are running totals, not increments.
    pub(super) fn overwrite_with(&mut self, usage: &Value) {
        let one_hour = &usage["cache_creation"]["ephemeral_1h_input_tokens"];
        let figures = [
            (&mut self.input_tokens, &usage["input_tokens"]),
            (&mut self.output_tokens, &usage["output_tokens"]),
            (&mut self.cache_read_input_tokens, &usage["cache_read_input_tokens"]),
            (&mut self.cache_creation_input_tokens, &usage["cache_creation_input_tokens"]),
            (&mut self.cache_creation_1h_input_tokens, one_hour),
        ];
        for (figure, value) in figures {
            if let Some(value) = value.as_u64() {
                *figure = value;
            }
        }
    }
}

/// Tokens of so many bytes. Tables of numbers have 1.6 to 2.3 bytes a token, prose has more; too many is right here.
fn estimate(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(2)
}
