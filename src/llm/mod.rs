//! The model's wire: Messages API and chat completions client, event stream, tools, cost.
//!
//! [`LlmClient::run_turn`] makes one request and follows its stream to the end; the loop over turns belongs to the
//! desk. A turn is complete or it is an error: a cut stream, a tool input that cannot be read and a token limit in the
//! middle of one are told apart and never look like an empty answer.

mod assembler;
pub mod capability;
mod chat;
mod client;
mod dialect;
mod doubled;
mod error;
mod headers;
mod message;
pub mod price;
mod recorded;
pub mod tools;
mod turn;

pub use client::{Auth, LlmClient, LlmOptions, Protocol};
pub use error::{Interruption, LlmError, Partial};
pub use message::{Block, Message, RawUsage, Role, StopReason, Tool, ToolCall, ToolInput};
pub use recorded::{Recorded, RecordedCall};
pub use turn::{FailedTry, Turn, TurnEvent, TurnRequest, Until};

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
