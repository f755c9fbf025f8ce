//! Why a turn failed, and what of it is worth keeping.

use std::time::Duration;

use crate::domain::Untrusted;
use crate::net::NetError;

use super::message::{Block, RawUsage, text_of};

/// Why a turn failed.
#[derive(Debug, thiserror::Error)]
pub enum LlmError {
    /// The request could not be made from the settings.
    #[error("the model's address or key has characters that cannot be sent; check base_url and the key")]
    BadSettings,
    /// The provider could not be reached, or answered nothing, in all tries.
    #[error("the model did not answer in {attempts} tries: {reason}")]
    NoAnswer {
        /// Tries made.
        attempts: u32,
        /// What failed last.
        reason: String,
    },
    /// The provider refused the request.
    #[error("the model's provider refused with HTTP {status} ({}): {}{}", kind.line(40), message.line(200), advice(*status, *spend_limit))]
    Refused {
        /// HTTP status.
        status: u16,
        /// The provider's error type, such as `invalid_request_error`.
        kind: Untrusted,
        /// Its words.
        message: Untrusted,
        /// The request's id, for the provider's support.
        request_id: Option<String>,
        /// Whether money is the reason: waiting does not help.
        spend_limit: bool,
        /// Tries made.
        attempts: u32,
    },
    /// The answer began and did not end. It has been paid for; nothing of it may be acted on.
    #[error("the model's answer broke off: {cause}")]
    Interrupted {
        /// What ended it.
        cause: Interruption,
        /// What had arrived.
        partial: Box<Partial>,
    },
    /// The time for this turn is over before an answer began.
    #[error("no time is left for the model's answer")]
    OutOfTime,
    /// Nobody waits for the answer any more, and it had not begun.
    #[error("the desk ended before the model answered")]
    Cancelled,
}

impl LlmError {
    /// Whether an answer had begun and something cut it that need not happen again. The same request may then be made
    /// once more, by whoever counts what both cost: this client makes none again of which something has come.
    pub fn may_pass_when_repeated(&self) -> bool {
        let Self::Interrupted { cause, partial } = self else { return false };
        let passes = matches!(
            cause,
            Interruption::Reported { .. }
                | Interruption::Net(_)
                | Interruption::EndedEarly
                | Interruption::Silent(_)
        );
        passes && !partial.raw_response.is_empty()
    }
}

/// What the operator can do about a refusal.
fn advice(status: u16, spend_limit: bool) -> &'static str {
    match status {
        _ if spend_limit => " (raise the spend limit at the provider)",
        401 | 403 => " (check the API key and auth)",
        402 => " (check the billing at the provider)",
        404 => " (check the model's id and base_url)",
        _ => "",
    }
}

/// What ended a stream too early.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Interruption {
    /// The provider said so in the stream.
    #[error("the provider reported {}: {}", kind.line(40), message.line(200))]
    Reported {
        /// Its error type, such as `overloaded_error`.
        kind: Untrusted,
        /// Its words.
        message: Untrusted,
    },
    /// The connection failed.
    #[error(transparent)]
    Net(NetError),
    /// The stream ended without saying that the message is complete.
    #[error("the stream ended before the message was complete")]
    EndedEarly,
    /// Nothing came for too long.
    #[error("nothing came for {}s", .0.as_secs())]
    Silent(Duration),
    /// The turn's time was over.
    #[error("the time for the answer was over")]
    OutOfTime,
    /// Nobody waits for it any more.
    #[error("the desk ended")]
    Cancelled,
    /// What came is not the protocol.
    #[error("the stream cannot be read: {0}")]
    Unreadable(String),
}

/// What had arrived of an answer that broke off.
#[derive(Debug, Clone, PartialEq)]
pub struct Partial {
    /// Blocks begun; their last words may be missing.
    pub content: Vec<Block>,
    /// Tokens as far as told, and our estimate of what was not.
    pub usage: RawUsage,
    /// The request's id.
    pub request_id: Option<String>,
    /// The bytes of the stream so far.
    pub raw_response: Vec<u8>,
    /// Tries made.
    pub attempts: u32,
}

impl Partial {
    /// All text that had come.
    pub fn text(&self) -> Untrusted {
        text_of(&self.content)
    }
}
