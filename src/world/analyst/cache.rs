//! Simulated prompt caching, so that the desk's cost figures have something to count.
//!
//! The prefix order is tools, system, messages. An entry is written at each marked block and found again by any later
//! request of the same model whose prefix is equal up to there, looking back at most 20 blocks from a mark. A prefix of
//! fewer tokens than the model's minimum is neither written nor read (the documented minimum, not a measured one). An entry
//! lives from the start of the request that last wrote or read it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::error::ApiError;
use super::events::InputUsage;
use super::tokens;

/// Shortest prefix that is cached, tokens, of most models.
const MINIMUM_TOKENS: u64 = 1024;
/// Models with another one.
const OTHER_MINIMA: [(&str, u64); 4] =
    [("claude-opus-5", 512), ("claude-fable-5", 512), ("claude-haiku-4-5", 4096), ("claude-opus-4-6", 4096)];

/// The shortest prefix that a model caches. An id may go on with a version or a date.
fn minimum_tokens(model: &str) -> u64 {
    OTHER_MINIMA.iter().find(|(id, _)| model.starts_with(id)).map_or(MINIMUM_TOKENS, |(_, tokens)| *tokens)
}

const LOOK_BACK: usize = 20;
const MARKS_ALLOWED: usize = 4;

/// How long a mark keeps its entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ttl {
    FiveMinutes,
    OneHour,
}

impl Ttl {
    fn duration(self) -> Duration {
        Duration::from_secs(match self {
            Self::FiveMinutes => 300,
            Self::OneHour => 3600,
        })
    }
}

/// One block of the prefix.
#[derive(Debug)]
struct PrefixBlock {
    /// Stands for everything up to and including this block.
    hash: [u8; 32],
    /// Tokens up to and including this block.
    tokens: u64,
    mark: Option<Ttl>,
}

/// A request as the cache sees it.
#[derive(Debug)]
pub(super) struct Prefix {
    blocks: Vec<PrefixBlock>,
    minimum: u64,
}

impl Prefix {
    /// Reads the blocks and their marks from a request body.
    pub fn of(body: &Value) -> Result<Self, ApiError> {
        let mut reader = PrefixReader::new(body);
        for tool in body.get("tools").and_then(Value::as_array).into_iter().flatten() {
            reader.add("tool", tool)?;
        }
        reader.add_content("system", body.get("system"))?;
        for message in body.get("messages").and_then(Value::as_array).into_iter().flatten() {
            let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
            reader.add_content(role, message.get("content"))?;
        }
        let mut blocks = reader.blocks;
        if let Some(ttl) = mark(body)?
            && let Some(last) = blocks.last_mut()
        {
            last.mark = Some(ttl);
        }
        if blocks.iter().filter(|block| block.mark.is_some()).count() > MARKS_ALLOWED {
            return Err(ApiError::invalid("cache_control: at most 4 blocks may be marked"));
        }
        let model = body.get("model").and_then(Value::as_str).unwrap_or_default();
        Ok(Self { blocks, minimum: minimum_tokens(model) })
    }

    /// Estimated tokens of the whole request.
    pub fn total(&self) -> u64 {
        self.blocks.last().map_or(0, |block| block.tokens)
    }
}

struct PrefixReader {
    hasher: Sha256,
    tokens: u64,
    blocks: Vec<PrefixBlock>,
}

impl PrefixReader {
    fn new(body: &Value) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(body.get("model").and_then(Value::as_str).unwrap_or_default());
        let has_tools = body.get("tools").and_then(Value::as_array).is_some_and(|tools| !tools.is_empty());
        let choice = body.get("tool_choice").and_then(|choice| choice.get("type")).and_then(Value::as_str);
        let tokens = match choice {
            _ if !has_tools => 0,
            Some("any" | "tool") => tokens::FORCED_TOOL_PROMPT,
            _ => tokens::TOOL_PROMPT,
        };
        Self { hasher, tokens, blocks: Vec::new() }
    }

    fn add_content(&mut self, part: &str, content: Option<&Value>) -> Result<(), ApiError> {
        match content {
            Some(Value::Array(list)) => list.iter().try_for_each(|block| self.add(part, block)),
            Some(Value::String(text)) => {
                self.push(part, text, None);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn add(&mut self, part: &str, block: &Value) -> Result<(), ApiError> {
        let mark = mark(block)?;
        if let Some(text) = block.get("text").and_then(Value::as_str) {
            self.push(part, text, mark);
        } else {
            let mut bare = block.clone();
            if let Some(fields) = bare.as_object_mut() {
                fields.shift_remove("cache_control");
            }
            self.push(part, &bare.to_string(), mark);
        }
        Ok(())
    }

    fn push(&mut self, part: &str, text: &str, mark: Option<Ttl>) {
        self.hasher.update(part);
        self.hasher.update((text.len() as u64).to_le_bytes());
        self.hasher.update(text);
        self.tokens += tokens::estimate(text);
        self.blocks.push(PrefixBlock {
            hash: self.hasher.clone().finalize().into(),
            tokens: self.tokens,
            mark,
        });
    }
}

fn mark(holder: &Value) -> Result<Option<Ttl>, ApiError> {
    let Some(control) = holder.get("cache_control").filter(|control| !control.is_null()) else {
        return Ok(None);
    };
    if control.get("type").and_then(Value::as_str) != Some("ephemeral") {
        return Err(ApiError::invalid("cache_control.type: must be ephemeral"));
    }
    match control.get("ttl").and_then(Value::as_str) {
        None | Some("5m") => Ok(Some(Ttl::FiveMinutes)),
        Some("1h") => Ok(Some(Ttl::OneHour)),
        Some(_) => Err(ApiError::invalid("cache_control.ttl: one of 5m, 1h")),
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    expires: Instant,
    lifetime: Duration,
}

/// The entries of every earlier request.
#[derive(Debug, Default)]
pub(super) struct PromptCache {
    entries: Mutex<HashMap<[u8; 32], Entry>>,
}

impl PromptCache {
    /// Splits the tokens of a request into read, written and plain ones, and remembers what was written.
    pub fn account(&self, prefix: &Prefix, now: Instant) -> InputUsage {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, entry| entry.expires > now);
        let marks: Vec<usize> = (0..prefix.blocks.len())
            .filter(|place| {
                prefix
                    .blocks
                    .get(*place)
                    .is_some_and(|block| block.mark.is_some() && block.tokens >= prefix.minimum)
            })
            .collect();
        let read = marks.iter().rev().find_map(|place| {
            let from = place.saturating_sub(LOOK_BACK);
            prefix.blocks.get(from..=*place)?.iter().rev().find(|block| entries.contains_key(&block.hash))
        });
        let mut usage = InputUsage::default();
        let mut counted = 0;
        if let Some(block) = read {
            usage.cache_read = block.tokens;
            counted = block.tokens;
            if let Some(entry) = entries.get_mut(&block.hash) {
                entry.expires = now + entry.lifetime;
            }
        }
        for block in marks.iter().filter_map(|place| prefix.blocks.get(*place)) {
            let Some(ttl) = block.mark else { continue };
            if block.tokens > counted {
                let written = block.tokens - counted;
                counted = block.tokens;
                match ttl {
                    Ttl::FiveMinutes => usage.cache_write_5m += written,
                    Ttl::OneHour => usage.cache_write_1h += written,
                }
            }
            let lifetime = ttl.duration();
            entries.insert(block.hash, Entry { expires: now + lifetime, lifetime });
        }
        usage.input = prefix.total().saturating_sub(counted);
        usage
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn body(turns: usize, marked: bool) -> Value {
        let messages: Vec<Value> = (0..turns)
            .map(|turn| json!({"role": "user", "content": format!("{turn} {}", "long text ".repeat(600))}))
            .collect();
        let mut body = json!({"model": "claude-sonnet-4-6", "messages": messages});
        if marked {
            body["cache_control"] = json!({"type": "ephemeral"});
        }
        body
    }

    #[tokio::test(start_paused = true)]
    async fn the_second_turn_reads_what_the_first_one_wrote_until_it_expires() {
        let cache = PromptCache::default();
        let (one, two) = (Prefix::of(&body(1, true)).unwrap(), Prefix::of(&body(2, true)).unwrap());
        let first = cache.account(&one, Instant::now());
        assert_eq!((first.cache_read, first.cache_write_5m, first.input), (0, one.total(), 0));
        let second = cache.account(&two, Instant::now());
        assert_eq!((second.cache_read, second.cache_write_5m), (one.total(), two.total() - one.total()));
        tokio::time::advance(Duration::from_secs(301)).await;
        assert_eq!(cache.account(&two, Instant::now()).cache_read, 0);
    }

    #[tokio::test]
    async fn without_a_mark_nothing_is_cached() {
        let cache = PromptCache::default();
        let prefix = Prefix::of(&body(2, false)).unwrap();
        for _ in 0..2 {
            let usage = cache.account(&prefix, Instant::now());
            assert_eq!(usage, InputUsage { input: prefix.total(), ..InputUsage::default() });
        }
    }

    #[tokio::test]
    async fn a_prefix_below_the_minimum_of_its_model_is_not_cached() {
        for (model, cached) in
            [("claude-sonnet-4-6", true), ("claude-haiku-4-5-20251001", false), ("claude-opus-5-5", true)]
        {
            let mut body = body(1, true);
            body["model"] = json!(model);
            let usage = PromptCache::default().account(&Prefix::of(&body).unwrap(), Instant::now());
            assert_eq!(usage.cache_write_5m > 0, cached, "{model}: {usage:?}");
        }
    }

    #[test]
    fn five_marks_are_one_too_many() {
        let block = json!({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}});
        let body = json!({"messages": [{"role": "user", "content": vec![block; 5]}]});
        assert_eq!(Prefix::of(&body).unwrap_err().status, 400);
    }
}
