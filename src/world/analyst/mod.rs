//! A model server for those who have no key: it speaks the Messages API, and behind it sits a rule-based analyst.
//!
//! The analyst is deterministic and reads nothing but the conversation: the fenced `task` block, the CSV tables of the
//! prompt and the results of the tool calls it asked for. It never looks at the world's own memory, so what it knows is
//! what a real model would know. The model id is answered as it was asked for; message and tool ids say `builtin`.
//!
//! Tokens are estimated, not counted, line by line: 1.6 bytes a token for CSV, 2.3 for JSON and dense numbers, 4 for prose
//! (`tokens`). Prompt caching is simulated by prefix, with its lifetimes and a minimum of 1 024 tokens (`cache`).

mod cache;
mod conversation;
mod decisions;
mod error;
mod events;
mod fault;
mod reading;
mod reply;
mod report;
mod server;
mod signals;
mod tables;
mod tokens;
mod turn;
mod wishes;
mod words;

use std::time::Duration;

/// How the analyst behaves on the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AnalystOptions {
    /// Pause before each piece of streamed text; zero streams at once and sets no timer.
    pub token_delay: Duration,
    /// How it goes wrong, if it does.
    pub fault: Option<Fault>,
    /// How many of its first answers go wrong; all of them when `None`.
    pub faulty_answers: Option<u64>,
}

pub use fault::Fault;
pub use server::{Analyst, router};

#[cfg(test)]
mod any_input;
#[cfg(test)]
mod tests;
