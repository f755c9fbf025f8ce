//! Puts a message together from the events of its stream.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::domain::Untrusted;

use super::doubled::writes_a_field_twice;
use super::error::Interruption;
use super::message::{Block, Output, RawUsage, StopReason, ToolCall, ToolInput};
use super::turn::TurnEvent;

/// A message as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    blocks: BTreeMap<u64, Pending>,
    pub(super) usage: RawUsage,
    pub(super) output: Output,
    pub(super) stop_reason: Option<StopReason>,
    pub(super) refusal: Option<Untrusted>,
    pub(super) model: Option<Untrusted>,
    complete: bool,
}

/// A block as far as it has come: its start, changed by every delta we know.
#[derive(Debug)]
struct Pending {
    start: Value,
    input_json: String,
    /// Whether the event it began with writes a field twice: what its input was is lost then.
    is_doubled: bool,
}

impl Assembler {
    /// Whether the stream said that the message is complete.
    pub(super) const fn complete(&self) -> bool {
        self.complete
    }

    /// Takes one event's data. Kinds we do not know are passed over, as the protocol asks.
    pub(super) fn take(&mut self, data: &str) -> Result<Option<TurnEvent>, Interruption> {
        let event: Value = serde_json::from_str(data)
            .map_err(|error| Interruption::Unreadable(format!("an event is not JSON: {error}")))?;
        match text(&event, "type") {
            "message_start" => {
                self.usage.overwrite_with(&event["message"]["usage"]);
                self.model = event["message"]["model"].as_str().map(Untrusted::from);
                Ok(None)
            }
            "content_block_start" => self.begin(&event, data),
            "content_block_delta" => self.extend(&event),
            "content_block_stop" => Ok(self.finished_call(&event)),
            "message_delta" => {
                if let Some(reason) = event["delta"]["stop_reason"].as_str() {
                    self.stop_reason = Some(StopReason::from_wire(reason));
                }
                if let Some(why) = event["delta"]["stop_details"]["explanation"].as_str() {
                    self.refusal = Some(why.into());
                }
                self.usage.overwrite_with(&event["usage"]);
                self.output.is_counted |= event["usage"]["output_tokens"].is_u64();
                Ok(None)
            }
            "message_stop" => {
                self.complete = true;
                Ok(None)
            }
            "error" => Err(Interruption::Reported {
                kind: text(&event["error"], "type").into(),
                message: text(&event["error"], "message").into(),
            }),
            _ => Ok(None),
        }
    }

    fn begin(&mut self, event: &Value, data: &str) -> Result<Option<TurnEvent>, Interruption> {
        let start = event["content_block"].clone();
        if !start.is_object() {
            return Err(Interruption::Unreadable("a block starts without content".to_owned()));
        }
        let told = match text(&start, "type") {
            "tool_use" => Some(TurnEvent::ToolUseStarted {
                id: needed(&start, "id")?.to_owned(),
                name: needed(&start, "name")?.into(),
            }),
            "text" if !text(&start, "text").is_empty() => {
                Some(TurnEvent::TextDelta(text(&start, "text").into()))
            }
            _ => None,
        };
        let written = ["text", "thinking"].map(|key| text(&start, key).len()).iter().sum::<usize>();
        let input = start["input"].as_object().filter(|input| !input.is_empty());
        self.output.bytes += written + input.map_or(0, |_| start["input"].to_string().len());
        let is_doubled = writes_a_field_twice(data);
        self.blocks.insert(index(event)?, Pending { start, input_json: String::new(), is_doubled });
        Ok(told)
    }

    fn extend(&mut self, event: &Value) -> Result<Option<TurnEvent>, Interruption> {
        let Some(block) = self.blocks.get_mut(&index(event)?) else {
            return Err(Interruption::Unreadable("a delta belongs to no block".to_owned()));
        };
        let delta = &event["delta"];
        self.output.bytes +=
            ["text", "thinking", "partial_json"].map(|key| text(delta, key).len()).iter().sum::<usize>();
        match text(delta, "type") {
            "text_delta" => {
                let more = needed(delta, "text")?;
                append(&mut block.start, "text", more);
                Ok(Some(TurnEvent::TextDelta(more.into())))
            }
            "thinking_delta" => {
                let more = needed(delta, "thinking")?;
                append(&mut block.start, "thinking", more);
                Ok(Some(TurnEvent::ThinkingDelta(more.into())))
            }
            "signature_delta" => {
                block.start["signature"] = delta["signature"].clone();
                Ok(None)
            }
            "input_json_delta" => {
                block.input_json.push_str(needed(delta, "partial_json")?);
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    fn finished_call(&self, event: &Value) -> Option<TurnEvent> {
        let block = self.blocks.get(&event["index"].as_u64()?)?;
        if text(&block.start, "type") != "tool_use" {
            return None;
        }
        Some(TurnEvent::ToolUseReady(block.call(true)))
    }

    /// The blocks in order. Call it when the stream has ended, for better or worse.
    pub(super) fn content(&self) -> Vec<Block> {
        // Without this stop reason a call was cut off: nothing written is then not the same as an empty input.
        let calls_are_whole = self.complete && self.stop_reason == Some(StopReason::ToolUse);
        self.blocks
            .values()
            .map(|block| match text(&block.start, "type") {
                "text" => Block::Text(text(&block.start, "text").into()),
                "tool_use" => Block::ToolUse(block.call(calls_are_whole)),
                _ => Block::Other(block.start.clone()),
            })
            .collect()
    }
}

impl Pending {
    /// The call, with `{}` for an input of which nothing was written, if that can be meant.
    fn call(&self, empty_is_meant: bool) -> ToolCall {
        let input = if self.input_json.trim().is_empty() {
            // Some servers put the whole input into the start of the block.
            match self.start["input"].as_object() {
                Some(_) if self.is_doubled => ToolInput::Broken(self.start["input"].to_string().into()),
                Some(input) if empty_is_meant || !input.is_empty() => ToolInput::whole(input.clone()),
                None if empty_is_meant => ToolInput::whole(Map::new()),
                _ => ToolInput::Broken(Untrusted::default()),
            }
        } else {
            ToolInput::read(&self.input_json)
        };
        ToolCall { id: text(&self.start, "id").to_owned(), name: text(&self.start, "name").to_owned(), input }
    }
}

fn index(event: &Value) -> Result<u64, Interruption> {
    event["index"].as_u64().ok_or_else(|| Interruption::Unreadable("a block has no index".to_owned()))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// A text that an event of a known kind cannot do without: a lost piece would change the meaning.
fn needed<'a>(value: &'a Value, key: &str) -> Result<&'a str, Interruption> {
    value[key].as_str().ok_or_else(|| Interruption::Unreadable(format!("an event lacks its {key}")))
}

fn append(block: &mut Value, key: &str, more: &str) {
    match &mut block[key] {
        Value::String(present) => present.push_str(more),
        other => *other = Value::String(more.to_owned()),
    }
}
