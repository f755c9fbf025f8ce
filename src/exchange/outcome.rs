//! What became of a call that changes state: the one place that decides between "refused" and "nobody knows".

use http::StatusCode;
use serde::Deserialize;

use crate::domain::Untrusted;
use crate::net::{Answer, NetError};

/// Codes the desk reacts to by name.
pub mod codes {
    /// Backend timeout; the order may live.
    pub const TIMEOUT: i64 = -1007;
    /// Throttled by system-level protection; not executed.
    pub const THROTTLED: i64 = -1008;
    /// Too many orders of this account.
    pub const TOO_MANY_ORDERS: i64 = -1015;
    /// Our clock is off; the client has measured it anew.
    pub const CLOCK: i64 = -1021;
    /// The same, told by the matching engine.
    pub const ENGINE_CLOCK: i64 = -5028;
    /// The listen key is gone.
    pub const LISTEN_KEY_GONE: i64 = -1125;
    /// Nothing open to cancel under this id.
    pub const CANCEL_REJECTED: i64 = -2011;
    /// No such order; for fresh orders this is not proof.
    pub const NO_SUCH_ORDER: i64 = -2013;
    /// The API key is malformed or unknown.
    pub const BAD_KEY: i64 = -2014;
    /// Key, address or permission refused.
    pub const KEY_REFUSED: i64 = -2015;
    /// Not enough margin.
    pub const MARGIN: i64 = -2019;
    /// The stop's price is already through.
    pub const WOULD_TRIGGER: i64 = -2021;
    /// Reduce-only refused: flat, or the wrong side.
    pub const REDUCE_ONLY: i64 = -2022;
    /// The margin type is already the wanted one.
    pub const MARGIN_TYPE_SET: i64 = -4046;
    /// The order does not fit the account's position mode (one-way or hedge).
    pub const WRONG_POSITION_SIDE: i64 = -4061;
    /// The position mode is already the wanted one.
    pub const POSITION_MODE_SET: i64 = -4059;
    /// An open order already has this client order id: an earlier send worked.
    pub const DUPLICATE_ID: i64 = -4116;
    /// A stop that closes this position already rests.
    pub const STOP_EXISTS: i64 = -4130;
    /// The order is smaller than the contract's least notional.
    pub const NOTIONAL: i64 = -4164;
    /// A closing stop needs an open position.
    pub const FLAT: i64 = -4509;
}

/// A definite refusal: nothing was executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The exchange's code; 0 when the answer carried none (an edge server's page).
    pub code: i64,
    /// The exchange's words.
    pub message: Untrusted,
    /// HTTP status.
    pub status: u16,
}

impl std::fmt::Display for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "refused with {} (HTTP {}): {}", self.code, self.status, self.message.line(200))
    }
}

/// What is known about a call that changes state, after it was tried once.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "an unknown outcome has to be resolved"]
pub enum Outcome<T> {
    /// The exchange took it.
    Accepted(T),
    /// The exchange refused it: nothing was executed.
    Rejected(Rejection),
    /// It never left: nothing was executed. Says why.
    NotSent(String),
    /// It may or may not have been executed; evidence must decide. Says why.
    Unknown(String),
}

impl<T> Outcome<T> {
    /// What the exchange answered, if it took the call.
    pub fn accepted(self) -> Option<T> {
        match self {
            Self::Accepted(value) => Some(value),
            _ => None,
        }
    }

    /// Whether it may or may not have been executed.
    pub const fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }

    /// The refusal's code, if it was refused.
    pub const fn rejection_code(&self) -> Option<i64> {
        match self {
            Self::Rejected(rejection) => Some(rejection.code),
            _ => None,
        }
    }

    /// One clean line for a log or a row; `None` when accepted.
    pub fn trouble(&self) -> Option<String> {
        match self {
            Self::Accepted(_) => None,
            Self::Rejected(rejection) => Some(rejection.to_string()),
            Self::NotSent(reason) => Some(format!("not sent: {reason}")),
            Self::Unknown(reason) => Some(format!("outcome unknown: {reason}")),
        }
    }

    /// Changes what was accepted.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Accepted(value) => Outcome::Accepted(change(value)),
            Self::Rejected(rejection) => Outcome::Rejected(rejection),
            Self::NotSent(reason) => Outcome::NotSent(reason),
            Self::Unknown(reason) => Outcome::Unknown(reason),
        }
    }

    /// Takes a refusal with `code` as success: the wanted state was there already.
    pub(super) fn or_if_code(self, code: i64, value: T) -> Self {
        if self.rejection_code() == Some(code) { Self::Accepted(value) } else { self }
    }
}

/// The body of an error.
#[derive(Deserialize, Default)]
pub(super) struct ErrorBody {
    pub(super) code: Option<i64>,
    pub(super) msg: Option<String>,
}

pub(super) fn error_body(body: &[u8]) -> ErrorBody {
    serde_json::from_slice(body).unwrap_or_default()
}

/// A failed transport: only what surely never left counts as not sent.
pub(super) fn from_net_error<T>(error: &NetError) -> Outcome<T> {
    match error {
        NetError::NotSent { .. } => Outcome::NotSent(error.to_string()),
        NetError::Interrupted { .. } | NetError::TimedOut { .. } | NetError::TooLarge { .. } => {
            Outcome::Unknown(error.to_string())
        }
    }
}

/// An answer: `decode` reads a success, and what it cannot read is unknown.
pub(super) fn from_answer<T>(
    answer: &Answer,
    decode: impl FnOnce(&[u8]) -> Result<T, serde_json::Error>,
) -> Outcome<T> {
    if answer.status.is_success() {
        return match decode(&answer.body) {
            Ok(value) => Outcome::Accepted(value),
            Err(error) => Outcome::Unknown(format!(
                "HTTP {} with an answer that cannot be read: {error}",
                answer.status.as_u16()
            )),
        };
    }
    let body = error_body(&answer.body);
    let text = body.msg.unwrap_or_else(|| String::from_utf8_lossy(&answer.body).chars().take(500).collect());
    let message = Untrusted::new(text);
    if was_surely_refused(answer.status, body.code, message.raw()) {
        Outcome::Rejected(Rejection { code: body.code.unwrap_or(0), message, status: answer.status.as_u16() })
    } else {
        let code = body.code.map_or_else(String::new, |code| format!(" {code}"));
        Outcome::Unknown(format!("HTTP {}{code}: {}", answer.status.as_u16(), message.line(200)))
    }
}

/// Whether a failing answer proves that nothing was executed. In doubt: no.
fn was_surely_refused(status: StatusCode, code: Option<i64>, message: &str) -> bool {
    match status.as_u16() {
        // Stopped at the edge, before any engine: firewall, rate limit, ban.
        403 | 418 | 429 => true,
        408 => false,
        400..=499 => code.is_some_and(is_definite_code),
        // One status, four meanings; only these three are promised to be failures.
        503 => {
            code == Some(codes::THROTTLED)
                || message.starts_with("Service Unavailable.")
                || message.starts_with("Internal error; unable to process your request.")
        }
        _ => false,
    }
}

/// Codes that a 4xx uses to refuse. Those of the general family (-10xx) are listed one by one, because some of them
/// (-1000 unknown, -1001 disconnected, -1006 unexpected response, -1007 timeout) say that nobody knows.
fn is_definite_code(code: i64) -> bool {
    matches!(code, -1002 | -1003 | -1008 | -1011 | -1016..=-1013 | -1023..=-1020)
        || (-5999..=-1099).contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::HeaderMap;
    use std::time::Duration;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Class {
        Accepted,
        Rejected,
        Unknown,
    }

    fn class_of(status: u16, body: &str) -> Class {
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        };
        let decode = |body: &[u8]| {
            #[derive(Deserialize)]
            struct Needed {
                #[serde(rename = "orderId")]
                order_id: i64,
            }
            serde_json::from_slice::<Needed>(body).map(|needed| needed.order_id)
        };
        match from_answer(&answer, decode) {
            Outcome::Accepted(_) => Class::Accepted,
            Outcome::Rejected(_) => Class::Rejected,
            Outcome::Unknown(_) => Class::Unknown,
            Outcome::NotSent(reason) => panic!("an answer proves that it was sent: {reason}"),
        }
    }

    #[test]
    fn every_row_of_the_classification_table_holds() {
        use Class::{Accepted, Rejected, Unknown};
        let unknown_503 =
            r#"{"code":-1000,"msg":"Unknown error, please check your request or try again later."}"#;
        let internal_503 =
            r#"{"code":-1001,"msg":"Internal error; unable to process your request. Please try again."}"#;
        let throttled = r#"{"code":-1008,"msg":"Request throttled by system-level protection. x"}"#;
        let table = [
            (200, r#"{"orderId":1,"news":[]}"#, Accepted),
            (200, r#"{"orderId":1"#, Unknown),
            (200, "", Unknown),
            (200, r#"{"code":-2019,"msg":"x"}"#, Unknown),
            (302, "", Unknown),
            (400, r#"{"code":-2019,"msg":"Margin is insufficient."}"#, Rejected),
            (400, r#"{"code":-1021,"msg":"x"}"#, Rejected),
            (400, r#"{"code":-1111,"msg":"x"}"#, Rejected),
            (400, r#"{"code":-4130,"msg":"x"}"#, Rejected),
            (400, r#"{"code":-4509,"msg":"x"}"#, Rejected),
            (400, r#"{"code":-5028,"msg":"x"}"#, Rejected),
            (401, r#"{"code":-2015,"msg":"x"}"#, Rejected),
            (404, r#"{"code":-5000,"msg":"Path /x, Method GET is invalid"}"#, Rejected),
            (400, r#"{"code":-1000,"msg":"x"}"#, Unknown),
            (400, r#"{"code":-1001,"msg":"x"}"#, Unknown),
            (400, r#"{"code":-1006,"msg":"x"}"#, Unknown),
            (400, r#"{"code":-1007,"msg":"x"}"#, Unknown),
            (400, r#"{"code":7,"msg":"x"}"#, Unknown),
            (400, "<html>bad request</html>", Unknown),
            (403, "<html>blocked</html>", Rejected),
            (408, r#"{"code":-1007,"msg":"Timeout"}"#, Unknown),
            (408, r#"{"code":-2019,"msg":"x"}"#, Unknown),
            (418, r#"{"code":-1003,"msg":"banned until 1"}"#, Rejected),
            (429, r#"{"code":-1003,"msg":"x"}"#, Rejected),
            (429, r#"{"code":-1015,"msg":"x"}"#, Rejected),
            (500, r#"{"code":-2019,"msg":"x"}"#, Unknown),
            (500, "", Unknown),
            (502, "<html>bad gateway</html>", Unknown),
            (503, unknown_503, Unknown),
            (503, throttled, Rejected),
            (503, "Service Unavailable.", Rejected),
            (503, r#"{"code":0,"msg":"Service Unavailable."}"#, Rejected),
            (503, internal_503, Rejected),
            (503, r#"{"code":-1007,"msg":"Timeout waiting for response"}"#, Unknown),
            (503, "<html>maintenance</html>", Unknown),
            (504, "", Unknown),
        ];
        for (status, body, expected) in table {
            assert_eq!(class_of(status, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn only_a_failed_connect_counts_as_not_sent() {
        let host = || "x".to_owned();
        let cases = [
            (NetError::NotSent { host: host(), reason: "refused".into() }, false),
            (NetError::Interrupted { host: host(), reason: "reset".into() }, true),
            (NetError::TimedOut { host: host(), after: Duration::from_secs(5) }, true),
            (NetError::TooLarge { host: host(), limit: 1 }, true),
        ];
        for (error, unknown) in cases {
            assert_eq!(from_net_error::<()>(&error).is_unknown(), unknown, "{error}");
        }
    }

    #[test]
    fn no_server_fault_of_any_code_is_taken_for_a_refusal_unless_promised() {
        for code in -6000..=0 {
            for status in [408, 500, 502, 504, 599] {
                let body = format!(r#"{{"code":{code},"msg":"x"}}"#);
                assert_eq!(class_of(status, &body), Class::Unknown, "{status} {body}");
            }
        }
    }
}
