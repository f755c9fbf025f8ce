//! Chat completions, as OpenAI, OpenRouter, Ollama, vLLM and llama.cpp serve them.

use serde_json::{Value, json};

use crate::domain::Untrusted;

use super::client::LlmOptions;
use super::dialect::{Assemble, Assembled, Dialect, without_version};
use super::doubled::writes_a_field_twice;
use super::error::Interruption;
use super::message::{Block, Message, Output, RawUsage, Role, StopReason, ToolCall, ToolInput};
use super::turn::{TurnEvent, TurnRequest};

/// The protocol.
pub(super) struct ChatCompletions;

impl Dialect for ChatCompletions {
    fn address(&self, base_url: &str) -> String {
        format!("{}/v1/chat/completions", without_version(base_url))
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    fn body(&self, options: &LlmOptions, request: &TurnRequest) -> Vec<u8> {
        let mut messages = Vec::new();
        if !request.system.is_empty() {
            messages.push(json!({ "role": "system", "content": request.system }));
        }
        for message in &request.messages {
            write_message(message, &mut messages);
        }
        let mut body = json!({
            "model": options.model,
            "stream": true,
            "stream_options": { "include_usage": true },
            "messages": messages,
        });
        // The vendor's newer models refuse the old name, servers of open models often know no other.
        let limit =
            if options.base_url.contains("api.openai.com") { "max_completion_tokens" } else { "max_tokens" };
        body[limit] = json!(options.max_tokens);
        if !request.tools.is_empty() {
            let tools = request.tools.iter().map(|tool| {
                let mut function = json!({
                    "name": tool.name, "description": tool.description, "parameters": tool.input_schema,
                });
                if tool.strict {
                    function["strict"] = json!(true);
                }
                json!({ "type": "function", "function": function })
            });
            body["tools"] = tools.collect();
        }
        body.to_string().into_bytes()
    }

    fn assembler(&self) -> Box<dyn Assemble + Send> {
        Box::new(ChatAssembler::default())
    }
}

/// One of our messages becomes one or several: each tool result is a message of its own here.
fn write_message(message: &Message, out: &mut Vec<Value>) {
    let mut text = String::new();
    let mut calls = Vec::new();
    for block in &message.content {
        match block {
            Block::Text(more) => {
                if !text.is_empty() && !more.is_empty() {
                    text.push('\n');
                }
                text.push_str(more.raw());
            }
            Block::ToolUse(call) => {
                let input = call.input.complete().cloned().unwrap_or_default();
                calls.push(json!({
                    "id": call.id,
                    "type": "function",
                    "function": { "name": call.name, "arguments": Value::Object(input).to_string() },
                }));
            }
            Block::ToolResult { tool_use_id, content, is_error: _ } => {
                out.push(json!({ "role": "tool", "tool_call_id": tool_use_id, "content": content }));
            }
            // What only another protocol knows cannot be said here.
            Block::Other(_) => {}
        }
    }
    match message.role {
        Role::User if !text.is_empty() => out.push(json!({ "role": "user", "content": text })),
        Role::User => {}
        Role::Assistant => {
            let content = if text.is_empty() { Value::Null } else { Value::String(text) };
            let mut answer = json!({ "role": "assistant", "content": content });
            if !calls.is_empty() {
                answer["tool_calls"] = Value::Array(calls);
            }
            out.push(answer);
        }
    }
}

/// An answer as far as its chunks have come.
#[derive(Debug, Default)]
struct ChatAssembler {
    text: String,
    /// In the order they began.
    calls: Vec<PendingCall>,
    finish: Option<String>,
    refusal: String,
    usage: RawUsage,
    output: Output,
    model: Option<Untrusted>,
    done: bool,
}

/// A tool call as far as it has come: its name stands in the first chunk, its arguments grow.
#[derive(Debug, Default)]
struct PendingCall {
    /// The server's number of it, where it gives one.
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
    /// Whether they came as an object in a chunk that writes a field twice: what they were is lost then.
    is_doubled: bool,
}

impl Assemble for ChatAssembler {
    fn feed(&mut self, data: &str) -> Result<Vec<TurnEvent>, Interruption> {
        if data.trim() == "[DONE]" {
            self.done = true;
            return Ok(Vec::new());
        }
        let chunk: Value = serde_json::from_str(data)
            .map_err(|error| Interruption::Unreadable(format!("a chunk is not JSON: {error}")))?;
        let error = &chunk["error"];
        if !error.is_null() {
            let kind = error["type"].as_str().or_else(|| error["code"].as_str()).unwrap_or("an error");
            let message = error["message"].as_str().or_else(|| error.as_str()).unwrap_or_default();
            return Err(Interruption::Reported { kind: kind.into(), message: message.into() });
        }
        if self.model.is_none() {
            self.model = chunk["model"].as_str().map(Untrusted::from);
        }
        self.take_usage(&chunk["usage"]);
        let choice = &chunk["choices"][0];
        let mut told = Vec::new();
        let delta = &choice["delta"];
        if let Some(more) = delta["content"].as_str().filter(|more| !more.is_empty()) {
            self.text.push_str(more);
            self.output.bytes += more.len();
            told.push(TurnEvent::TextDelta(more.into()));
        }
        // Two names for the same thing, and some servers write both.
        let mut thinking =
            ["reasoning_content", "reasoning"].into_iter().filter_map(|name| delta[name].as_str());
        if let Some(more) = thinking.find(|more| !more.is_empty()) {
            self.output.bytes += more.len();
            told.push(TurnEvent::ThinkingDelta(more.into()));
        }
        self.refusal.push_str(delta["refusal"].as_str().unwrap_or_default());
        for part in delta["tool_calls"].as_array().into_iter().flatten() {
            told.extend(self.take_call(part, data));
        }
        if let Some(reason) = choice["finish_reason"].as_str() {
            self.finish = Some(reason.to_owned());
        }
        Ok(told)
    }

    fn is_complete(&self) -> bool {
        self.done
    }

    /// Not every server sends the closing word; the reason to stop says as much.
    fn may_end(&self) -> bool {
        self.finish.is_some()
    }

    fn assembled(&mut self) -> Assembled {
        let stop_reason = self.finish.as_deref().map(|word| self.stop_reason(word));
        let calls_are_whole = stop_reason == Some(StopReason::ToolUse);
        let mut content = Vec::new();
        if !self.text.is_empty() {
            content.push(Block::Text(self.text.as_str().into()));
        }
        content.extend(self.calls.iter().enumerate().map(|(place, call)| call.block(place, calls_are_whole)));
        Assembled {
            content,
            usage: self.usage,
            output: self.output,
            stop_reason,
            refusal: (!self.refusal.is_empty()).then(|| self.refusal.as_str().into()),
            model: self.model.take(),
        }
    }
}

impl ChatAssembler {
    fn take_call(&mut self, part: &Value, data: &str) -> Option<TurnEvent> {
        let function = &part["function"];
        let said = |value: &'_ Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let (index, id, name) = (part["index"].as_u64(), said(&part["id"]), said(&function["name"]));
        let known = self.continued(index, id.as_deref(), name.as_deref());
        let is_new = known.is_none();
        if is_new {
            self.calls.push(PendingCall { index, ..PendingCall::default() });
        }
        let call = match known {
            Some(place) => &mut self.calls[place],
            None => self.calls.last_mut()?,
        };
        if let Some(id) = id {
            call.id = id;
        }
        if let Some(name) = name {
            call.name = name;
        }
        match &function["arguments"] {
            Value::String(more) => {
                self.output.bytes += more.len();
                call.arguments.push_str(more);
            }
            Value::Object(whole) => {
                call.arguments = Value::Object(whole.clone()).to_string();
                call.is_doubled = writes_a_field_twice(data);
                self.output.bytes += call.arguments.len();
            }
            _ => {}
        }
        is_new.then(|| TurnEvent::ToolUseStarted { id: call.id.clone(), name: call.name.as_str().into() })
    }

    /// The call that a part goes on with; `None` when it begins another. The server's number says so, unless the part
    /// bears an id of its own: some servers number every call 0. Without number and id, a name begins a call, and a part
    /// without anything goes on with the last.
    fn continued(&self, index: Option<u64>, id: Option<&str>, name: Option<&str>) -> Option<usize> {
        let fits = |call: &PendingCall| id.is_none_or(|id| call.id.is_empty() || call.id == id);
        match (index, id, name) {
            (Some(index), ..) => self
                .calls
                .iter()
                .rposition(|call| call.index == Some(index))
                .filter(|place| fits(&self.calls[*place])),
            (None, Some(id), _) => self.calls.iter().rposition(|call| call.id == id),
            (None, None, Some(_)) => None,
            (None, None, None) => self.calls.len().checked_sub(1),
        }
    }

    /// Cached input is a part of the prompt here; inside the house it stands beside it.
    fn take_usage(&mut self, usage: &Value) {
        if let Some(prompt) = usage["prompt_tokens"].as_u64() {
            let cached = usage["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap_or(0).min(prompt);
            self.usage.input_tokens = prompt - cached;
            self.usage.cache_read_input_tokens = cached;
        }
        if let Some(output) = usage["completion_tokens"].as_u64() {
            self.usage.output_tokens = output;
            self.output.is_counted = true;
        }
    }

    fn stop_reason(&self, word: &str) -> StopReason {
        match word {
            _ if !self.refusal.is_empty() => StopReason::Refusal,
            // Some servers stop plainly after whole calls.
            "stop" if !self.calls.is_empty() => StopReason::ToolUse,
            "stop" => StopReason::EndTurn,
            "tool_calls" => StopReason::ToolUse,
            "length" => StopReason::MaxTokens,
            "content_filter" => StopReason::Refusal,
            other => StopReason::Other(other.into()),
        }
    }
}

impl PendingCall {
    fn block(&self, place: usize, is_whole: bool) -> Block {
        let written =
            if self.arguments.trim().is_empty() && is_whole { "{}" } else { self.arguments.as_str() };
        let input = if is_whole && !self.is_doubled {
            ToolInput::read(written)
        } else {
            ToolInput::Broken(self.arguments.as_str().into())
        };
        // Without an id of the server's there must still be one that joins call and result.
        let id = if self.id.is_empty() { format!("call_{place}") } else { self.id.clone() };
        Block::ToolUse(ToolCall { id, name: self.name.clone(), input })
    }
}

#[cfg(test)]
mod tests;
