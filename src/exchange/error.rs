//! Why a read has no answer.

use std::time::Duration;

use http::StatusCode;

use crate::domain::Untrusted;
use crate::net::{Answer, NetError, retry::retry_after};

use super::outcome::{Rejection, codes, error_body};

/// Why a read has no answer. None of them means "nothing there": an unreadable account is not a flat one.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ExchangeError {
    /// The network failed.
    #[error("{endpoint}: {source}")]
    Net {
        /// What was asked.
        endpoint: String,
        /// What failed.
        #[source]
        source: NetError,
    },
    /// The exchange answered with an error.
    #[error("{endpoint}: {rejection}{}", advice(rejection.code))]
    Refused {
        /// What was asked.
        endpoint: String,
        /// Status, code and words.
        rejection: Rejection,
        /// How long it asked to wait, if it did.
        retry_after: Option<Duration>,
    },
    /// The answer cannot be read.
    #[error("{endpoint}: the answer cannot be read: {reason}")]
    BadAnswer {
        /// What was asked.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
        /// Its beginning, as it came.
        body: Untrusted,
        /// Whether it broke off: the same question may be answered whole.
        is_cut: bool,
    },
    /// Answered, and not believed before it is said again.
    #[error("{endpoint}: not believed yet: {reason}")]
    Implausible {
        /// What was asked.
        endpoint: String,
        /// What speaks against the answer.
        reason: String,
    },
    /// Not asked: the exchange told this address to wait.
    #[error("{endpoint}: not sent, because the exchange asked this address to wait {}s more", wait.as_secs_f64().ceil())]
    Throttled {
        /// What would have been asked.
        endpoint: String,
        /// How long still.
        wait: Duration,
    },
    /// Not asked: the request budget of this address is kept for what is more urgent.
    #[error(
        "{endpoint}: not sent, because the request budget of this address is used up for {}s more",
        wait.as_secs_f64().ceil()
    )]
    OverBudget {
        /// What would have been asked.
        endpoint: String,
        /// How long until the exchange counts anew.
        wait: Duration,
    },
}

/// What the operator can do about a code, where there is something.
fn advice(code: i64) -> &'static str {
    match code {
        codes::BAD_KEY | codes::KEY_REFUSED => {
            " (check the API key, its permission for futures and its allowed addresses)"
        }
        codes::CLOCK | codes::ENGINE_CLOCK => " (the system clock drifts: check time synchronisation)",
        -1022 => " (check the API secret)",
        _ => "",
    }
}

impl ExchangeError {
    /// From an answer whose status is not a success.
    pub(super) fn from_answer(endpoint: &str, answer: &Answer) -> Self {
        let body = error_body(&answer.body);
        let message =
            body.msg.unwrap_or_else(|| String::from_utf8_lossy(&answer.body).chars().take(500).collect());
        Self::Refused {
            endpoint: endpoint.to_owned(),
            rejection: Rejection {
                code: body.code.unwrap_or(0),
                message: Untrusted::new(message),
                status: answer.status.as_u16(),
            },
            retry_after: retry_after(answer),
        }
    }

    /// From a success whose content makes no sense.
    pub(super) fn bad_answer(endpoint: &str, reason: &impl ToString) -> Self {
        Self::BadAnswer {
            endpoint: endpoint.to_owned(),
            reason: reason.to_string(),
            body: Untrusted::default(),
            is_cut: false,
        }
    }

    /// From a success that does not decode.
    pub(super) fn undecodable(endpoint: &str, error: &serde_json::Error, body: &[u8]) -> Self {
        Self::BadAnswer {
            endpoint: endpoint.to_owned(),
            reason: error.to_string(),
            body: Untrusted::new(String::from_utf8_lossy(body).chars().take(500).collect::<String>()),
            is_cut: error.is_eof(),
        }
    }

    /// The exchange's code, if it gave one.
    pub const fn code(&self) -> Option<i64> {
        match self {
            Self::Refused { rejection, .. } if rejection.code != 0 => Some(rejection.code),
            _ => None,
        }
    }

    /// Whether our time stamp was refused.
    pub(super) const fn is_clock_skew(&self) -> bool {
        matches!(self.code(), Some(codes::CLOCK | codes::ENGINE_CLOCK))
    }

    /// How long to wait before the same read may work; `None` when waiting does not help.
    pub(super) fn worth_waiting(&self, pause: Duration) -> Option<Duration> {
        match self {
            Self::Net { source: NetError::TooLarge { .. }, .. }
            | Self::BadAnswer { is_cut: false, .. }
            | Self::Implausible { .. } => None,
            Self::Net { .. } | Self::BadAnswer { is_cut: true, .. } => Some(pause),
            Self::Throttled { wait, .. } | Self::OverBudget { wait, .. } => Some(*wait),
            Self::Refused { rejection, retry_after, .. } => {
                let status = StatusCode::from_u16(rejection.status).ok()?;
                let passing = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
                    || status.is_server_error();
                passing.then(|| retry_after.unwrap_or(pause))
            }
        }
    }
}
