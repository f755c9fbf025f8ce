//! The answer before it is put on the wire: content blocks, held within the caller's token budget.

use serde_json::Value;

use super::reading::CALL_API;
use super::tokens;

/// One block of the answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ReplyBlock {
    /// Text.
    Text(String),
    /// A call of the caller's tool.
    ToolUse {
        /// Which tool.
        name: String,
        /// Its input as JSON text. Not valid JSON when the token budget cut it.
        input: String,
    },
}

/// Why the answer ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// Everything is said.
    EndTurn,
    /// The caller is to run tools.
    ToolUse,
    /// The budget ran out.
    MaxTokens,
    /// It declines.
    Refusal,
    /// One of the caller's stop sequences came up.
    Sequence(String),
}

impl Stop {
    /// The wire word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::EndTurn => "end_turn",
            Self::ToolUse => "tool_use",
            Self::MaxTokens => "max_tokens",
            Self::Refusal => "refusal",
            Self::Sequence(_) => "stop_sequence",
        }
    }

    /// The stop sequence that came up.
    pub fn sequence(&self) -> Option<&str> {
        match self {
            Self::Sequence(text) => Some(text),
            Self::EndTurn | Self::ToolUse | Self::MaxTokens | Self::Refusal => None,
        }
    }
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reply {
    /// Its blocks, in order.
    pub blocks: Vec<ReplyBlock>,
    /// Why it ends.
    pub stop: Stop,
    /// Estimated output tokens.
    pub output_tokens: u64,
}

impl Reply {
    /// A refusal, in the way a declining model answers: no word of the answer, and a reason beside it.
    pub fn refusal() -> Self {
        Self { blocks: Vec::new(), stop: Stop::Refusal, output_tokens: 1 }
    }

    /// Whether it hands something in or answers, instead of looking things up.
    pub fn is_final(&self) -> bool {
        let looks_up =
            |block: &ReplyBlock| matches!(block, ReplyBlock::ToolUse { name, .. } if name == CALL_API);
        !self.blocks.iter().any(looks_up)
    }

    /// Holds `blocks` within `budget` tokens and the stop sequences.
    pub fn within(blocks: Vec<ReplyBlock>, budget: u64, stop_sequences: &[String]) -> Self {
        let calls = blocks.iter().any(|block| matches!(block, ReplyBlock::ToolUse { .. }));
        let mut reply = Self {
            blocks: Vec::with_capacity(blocks.len()),
            stop: if calls { Stop::ToolUse } else { Stop::EndTurn },
            output_tokens: 0,
        };
        for block in blocks {
            let left = budget.saturating_sub(reply.output_tokens);
            if left == 0 {
                reply.stop = Stop::MaxTokens;
                break;
            }
            let (block, cost, stop) = match block {
                ReplyBlock::Text(text) => fit_text(&text, left, stop_sequences),
                ReplyBlock::ToolUse { name, input } => fit_call(name, input, left),
            };
            reply.output_tokens += cost;
            reply.blocks.push(block);
            if let Some(stop) = stop {
                reply.stop = stop;
                break;
            }
        }
        reply
    }
}

fn fit_text(text: &str, left: u64, stop_sequences: &[String]) -> (ReplyBlock, u64, Option<Stop>) {
    let first_stop = stop_sequences
        .iter()
        .filter_map(|sequence| text.find(sequence.as_str()).map(|place| (place, sequence)))
        .min_by_key(|(place, _)| *place);
    let (said, stop) = match first_stop {
        Some((place, sequence)) => {
            (text.get(..place).unwrap_or_default(), Some(Stop::Sequence(sequence.clone())))
        }
        None => (text, None),
    };
    if tokens::estimate(said) <= left {
        return (ReplyBlock::Text(said.to_owned()), tokens::estimate(said), stop);
    }
    (ReplyBlock::Text(tokens::cut(said, left).to_owned()), left, Some(Stop::MaxTokens))
}

fn fit_call(name: String, input: String, left: u64) -> (ReplyBlock, u64, Option<Stop>) {
    let cost = tokens::estimate(&input) + tokens::estimate(&name);
    if cost <= left {
        return (ReplyBlock::ToolUse { name, input }, cost, None);
    }
    let input = tokens::cut(&input, left).to_owned();
    (ReplyBlock::ToolUse { name, input }, left, Some(Stop::MaxTokens))
}

/// A tool's input as an object; `{}` when the budget cut it, as the vendor's own client makes of such a block.
pub(super) fn input_object(input: &str) -> Value {
    serde_json::from_str(input).unwrap_or_else(|_| Value::Object(serde_json::Map::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_over_the_budget_is_cut_and_says_so() {
        let reply = Reply::within(vec![ReplyBlock::Text("word ".repeat(100))], 10, &[]);
        assert_eq!((reply.stop, reply.output_tokens), (Stop::MaxTokens, 10));
        assert_eq!(reply.blocks, [ReplyBlock::Text("word ".repeat(8))]);
    }

    #[test]
    fn a_cut_call_ends_with_max_tokens_and_never_with_tool_use() {
        let input = format!("{{\"decisions\":[{}]}}", "1,".repeat(200));
        let reply = Reply::within(vec![ReplyBlock::ToolUse { name: "t".into(), input }], 20, &[]);
        assert_eq!(reply.stop, Stop::MaxTokens);
        let ReplyBlock::ToolUse { input, .. } = &reply.blocks[0] else { panic!("a call") };
        assert_eq!(input_object(input), serde_json::json!({}));
    }

    #[test]
    fn the_first_stop_sequence_ends_the_text_and_is_not_part_of_it() {
        let stops = ["END".to_owned(), "###".to_owned()];
        let reply = Reply::within(vec![ReplyBlock::Text("one ### two END".into())], 100, &stops);
        assert_eq!(reply.blocks, [ReplyBlock::Text("one ".into())]);
        assert_eq!(reply.stop.sequence(), Some("###"));
    }
}
