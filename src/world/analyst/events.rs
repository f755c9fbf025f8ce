//! The answer on the wire: one message object, or its named events.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use super::error::ApiError;
use super::reply::{Reply, ReplyBlock, Stop, input_object};

/// Input token counts of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct InputUsage {
    /// Tokens after the last cache breakpoint.
    pub input: u64,
    /// Tokens read from the cache.
    pub cache_read: u64,
    /// Tokens written to the cache for five minutes.
    pub cache_write_5m: u64,
    /// Tokens written to the cache for an hour.
    pub cache_write_1h: u64,
}

impl InputUsage {
    fn cache_write(&self) -> u64 {
        self.cache_write_5m + self.cache_write_1h
    }
}

/// What names one answer.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    /// The message id; says that the analyst is built in.
    pub message_id: String,
    /// The model as requested.
    pub model: String,
}

impl Identity {
    /// The id of the tool call in block `index`.
    fn tool_id(&self, index: usize) -> String {
        format!("{}_{index}", self.message_id.replacen("msg_", "toolu_", 1))
    }
}

fn usage(input: InputUsage, output_tokens: u64) -> Value {
    json!({
        "input_tokens": input.input,
        "cache_creation_input_tokens": input.cache_write(),
        "cache_read_input_tokens": input.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": input.cache_write_5m,
            "ephemeral_1h_input_tokens": input.cache_write_1h,
        },
        "output_tokens": output_tokens,
        "service_tier": "standard",
        "inference_geo": "builtin",
    })
}

/// Why it declines, beside a refusal; null otherwise.
fn stop_details(reply: &Reply) -> Value {
    if reply.stop == Stop::Refusal {
        json!({"type": "refusal", "category": "other", "explanation": "The built-in analyst was told to decline."})
    } else {
        Value::Null
    }
}

/// The whole answer as one object.
pub(super) fn message(identity: &Identity, reply: &Reply, input: InputUsage) -> Value {
    let content: Vec<Value> = reply
        .blocks
        .iter()
        .enumerate()
        .map(|(index, block)| match block {
            ReplyBlock::Text(text) => json!({"type": "text", "text": text, "citations": null}),
            ReplyBlock::ToolUse { name, input } => json!({
                "type": "tool_use", "id": identity.tool_id(index), "name": name, "input": input_object(input),
            }),
        })
        .collect();
    json!({
        "id": identity.message_id,
        "type": "message",
        "role": "assistant",
        "model": identity.model,
        "content": content,
        "stop_reason": reply.stop.reason(),
        "stop_sequence": reply.stop.sequence(),
        "stop_details": stop_details(reply),
        "usage": usage(input, reply.output_tokens),
    })
}

/// One server-sent event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    /// The bytes of the event.
    pub text: String,
    /// Whether a pause for the next piece of text comes before it.
    pub paced: bool,
}

impl Frame {
    fn new(name: &str, data: &impl Serialize) -> Self {
        let data = serde_json::to_string(data).unwrap_or_default();
        Self { text: format!("event: {name}\ndata: {data}\n\n"), paced: false }
    }

    /// An error in the middle of a stream.
    pub fn error(error: &ApiError, request_id: &str) -> Self {
        Self { text: format!("event: error\ndata: {}\n\n", error.json(request_id)), paced: false }
    }

    fn paced(mut self) -> Self {
        self.paced = true;
        self
    }
}

/// The whole answer as events.
pub(super) fn frames(identity: &Identity, reply: &Reply, input: InputUsage) -> Vec<Frame> {
    let mut frames = vec![
        Frame::new(
            "message_start",
            &json!({"type": "message_start", "message": {
                "id": identity.message_id,
                "type": "message",
                "role": "assistant",
                "model": identity.model,
                "content": [],
                "stop_reason": null,
                "stop_sequence": null,
                "stop_details": null,
                "usage": usage(input, 1),
            }}),
        ),
        Frame::new("ping", &json!({"type": "ping"})),
    ];
    for (index, block) in reply.blocks.iter().enumerate() {
        match block {
            ReplyBlock::Text(text) => text_frames(&mut frames, index, text),
            ReplyBlock::ToolUse { name, input } => {
                call_frames(&mut frames, index, &identity.tool_id(index), name, input);
            }
        }
    }
    frames.push(Frame::new(
        "message_delta",
        &json!({
            "type": "message_delta",
            "delta": {
                "stop_reason": reply.stop.reason(),
                "stop_sequence": reply.stop.sequence(),
                "stop_details": stop_details(reply),
            },
            "usage": {
                "input_tokens": input.input,
                "cache_creation_input_tokens": input.cache_write(),
                "cache_read_input_tokens": input.cache_read,
                "output_tokens": reply.output_tokens,
            },
        }),
    ));
    frames.push(Frame::new("message_stop", &json!({"type": "message_stop"})));
    frames
}

/// The frames with an event, a block and, in the first block of the answer, a delta that nobody knows yet; a client
/// passes over them.
pub(super) fn with_unknown_kinds(frames: Vec<Frame>) -> Vec<Frame> {
    let blocks = frames.iter().filter(|frame| frame.text.starts_with("event: content_block_start")).count();
    let mut told = Vec::with_capacity(frames.len() + 5);
    for (place, frame) in frames.into_iter().enumerate() {
        let ends = frame.text.starts_with("event: message_delta");
        if ends {
            told.push(block_start(blocks, &json!({"type": "novelty", "shape": [1, 2]})));
            told.push(block_delta(blocks, &json!({"type": "novelty_delta", "more": {"text": "unheard of"}})));
            told.push(block_stop(blocks));
        }
        let begins_first =
            frame.text.starts_with("event: content_block_start") && frame.text.contains("\"index\":0,");
        told.push(frame);
        if place == 0 {
            told.push(Frame::new("weather", &json!({"type": "weather", "sky": "clear"})));
        }
        if begins_first {
            told.push(block_delta(0, &json!({"type": "tone_delta", "tone": "calm"})));
        }
    }
    told
}

/// The bytes of a frame in pieces: two, or as many as it takes to cut each of its long characters in the middle.
pub(super) fn split_in_characters(text: &str) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    let mut rest = Bytes::copy_from_slice(text.as_bytes());
    while let Some(at) = (1..rest.len()).find(|at| rest[*at] & 0b1100_0000 == 0b1000_0000) {
        pieces.push(rest.split_to(at));
    }
    if pieces.is_empty() {
        pieces.push(rest.split_to(rest.len() / 2));
    }
    pieces.push(rest);
    pieces
}

fn text_frames(frames: &mut Vec<Frame>, index: usize, text: &str) {
    let start = json!({"type": "text", "text": ""});
    frames.push(block_start(index, &start));
    for piece in pieces(text) {
        frames.push(block_delta(index, &json!({"type": "text_delta", "text": piece})).paced());
    }
    frames.push(block_stop(index));
}

fn call_frames(frames: &mut Vec<Frame>, index: usize, id: &str, name: &str, input: &str) {
    let start = json!({"type": "tool_use", "id": id, "name": name, "input": {}});
    frames.push(block_start(index, &start));
    frames.push(block_delta(index, &json!({"type": "input_json_delta", "partial_json": ""})));
    for piece in pieces(input) {
        frames.push(block_delta(index, &json!({"type": "input_json_delta", "partial_json": piece})).paced());
    }
    frames.push(block_stop(index));
}

fn block_start(index: usize, block: &Value) -> Frame {
    Frame::new(
        "content_block_start",
        &json!({"type": "content_block_start", "index": index, "content_block": block}),
    )
}

fn block_delta(index: usize, delta: &Value) -> Frame {
    Frame::new("content_block_delta", &json!({"type": "content_block_delta", "index": index, "delta": delta}))
}

fn block_stop(index: usize) -> Frame {
    Frame::new("content_block_stop", &json!({"type": "content_block_stop", "index": index}))
}

/// Bytes of one piece of prose: a word or two, so that a reader sees writing.
const PROSE_PIECE: usize = 8;

/// Bytes of one piece of JSON: nobody reads it as it comes.
const JSON_PIECE: usize = 64;

/// Cuts a text into the pieces in which it is streamed, at character borders.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut json = false;
    for (place, character) in text.char_indices() {
        if place == start {
            json = matches!(character, '{' | '"' | '[') || json && character != '\n';
        }
        let enough = place - start >= if json { JSON_PIECE } else { PROSE_PIECE };
        if enough && (json || character == ' ' || character == '\n') {
            pieces.push(text.get(start..place).unwrap_or_default());
            start = place;
        }
    }
    pieces.push(text.get(start..).unwrap_or_default());
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_pieces_of_a_text_are_the_text(text in "\\PC{0,300}") {
            prop_assert_eq!(pieces(&text).concat(), text);
        }
    }

    #[test]
    fn a_frame_is_cut_within_each_long_character_and_loses_nothing() {
        for text in ["data: şu 🚀\n\n", "data: plain\n\n", ""] {
            let pieces = split_in_characters(text);
            assert_eq!(pieces.concat(), text.as_bytes());
            assert_eq!(
                pieces.iter().all(|piece| std::str::from_utf8(piece).is_ok()),
                text.is_ascii(),
                "{text}"
            );
        }
    }

    #[test]
    fn prose_comes_in_words_and_json_in_runs() {
        assert_eq!(pieces("Trend up, momentum strong"), ["Trend up,", " momentum", " strong"]);
        let json = format!("{{\"reason\":\"{}\"}}", "x".repeat(200));
        assert!(pieces(&json).iter().all(|piece| piece.len() <= JSON_PIECE));
        assert_eq!(pieces(&json).len(), 4);
    }
}
