//! The two protocols a model may be asked in, behind one trait: inside the house there are only turns and blocks.

use serde_json::json;

use crate::domain::Untrusted;

use super::assembler::Assembler;
use super::client::LlmOptions;
use super::error::Interruption;
use super::message::{Block, Output, RawUsage, StopReason};
use super::turn::{TurnEvent, TurnRequest};

/// The version of the Messages API this client speaks. It knows no temperature.
const API_VERSION: &str = "2026-10-21";

/// How one protocol writes a request and reads its stream.
pub(super) trait Dialect: Sync {
    /// Where requests go, from the base address of the settings.
    fn address(&self, base_url: &str) -> String;
    /// Headers beside the key.
    fn headers(&self) -> &'static [(&'static str, &'static str)];
    /// The body: the same bytes for the same request, or nothing could be cached or replayed.
    fn body(&self, options: &LlmOptions, request: &TurnRequest) -> Vec<u8>;
    /// What reads the stream of one answer.
    fn assembler(&self) -> Box<dyn Assemble + Send>;
}

/// A base address without `/v1` at its end. Some name it with that, some without; both mean the same.
pub(super) fn without_version(base_url: &str) -> &str {
    let base = base_url.trim_end_matches('/');
    base.strip_suffix("/v1").unwrap_or(base)
}

/// Puts one answer together from the data of its stream's events.
pub(super) trait Assemble {
    /// Takes one event's data and says what is worth showing.
    fn feed(&mut self, data: &str) -> Result<Vec<TurnEvent>, Interruption>;
    /// Whether the stream said that the answer is complete.
    fn is_complete(&self) -> bool;
    /// Whether the answer is whole if the stream simply ends here.
    fn may_end(&self) -> bool;
    /// What has come, when the stream has ended, for better or worse.
    fn assembled(&mut self) -> Assembled;
}

/// An answer as far as it came.
#[derive(Debug, Default)]
pub(super) struct Assembled {
    pub content: Vec<Block>,
    pub usage: RawUsage,
    pub output: Output,
    pub stop_reason: Option<StopReason>,
    pub refusal: Option<Untrusted>,
    pub model: Option<Untrusted>,
}

/// The Messages API.
pub(super) struct Messages;

impl Dialect for Messages {
    fn address(&self, base_url: &str) -> String {
        format!("{}/v1/messages", without_version(base_url))
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[("anthropic-version", API_VERSION)]
    }

    fn body(&self, options: &LlmOptions, request: &TurnRequest) -> Vec<u8> {
        let mut body = json!({ "model": options.model, "max_tokens": options.max_tokens, "stream": true });
        if request.cache {
            body["cache_control"] = json!({ "type": "ephemeral" });
        }
        if options.shows_thinking {
            body["thinking"] = json!({ "type": "adaptive", "display": "summarized" });
        }
        if let Some(effort) = &options.effort {
            body["output_config"] = json!({ "effort": effort });
        }
        if !request.tools.is_empty() {
            body["tools"] = json!(request.tools);
        }
        if !request.system.is_empty() {
            body["system"] = json!([{ "type": "text", "text": request.system }]);
        }
        body["messages"] = json!(request.messages);
        body.to_string().into_bytes()
    }

    fn assembler(&self) -> Box<dyn Assemble + Send> {
        Box::new(Assembler::default())
    }
}

impl Assemble for Assembler {
    fn feed(&mut self, data: &str) -> Result<Vec<TurnEvent>, Interruption> {
        Ok(self.take(data)?.into_iter().collect())
    }

    fn is_complete(&self) -> bool {
        self.complete()
    }

    /// The protocol has a word for the end, so an end without it is a cut.
    fn may_end(&self) -> bool {
        self.complete()
    }

    fn assembled(&mut self) -> Assembled {
        Assembled {
            content: self.content(),
            usage: self.usage,
            output: self.output,
            stop_reason: self.stop_reason.take(),
            refusal: self.refusal.take(),
            model: self.model.take(),
        }
    }
}
