//! Whether the exchange takes the key of an account.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use super::outcome::{codes, error_body};
use crate::net::Answer;

/// How long a key that was refused for an order counts as refused.
const KEY_AGAIN: Duration = Duration::from_mins(10);

/// Whether the exchange takes the key of an account.
#[derive(Debug, Default)]
pub(super) struct KeyStanding {
    /// Why the last read was refused for the key's sake.
    reads: Mutex<Option<String>>,
    /// Why the last call that changes something was, and when.
    writes: Mutex<Option<(String, Instant)>>,
}

impl KeyStanding {
    pub(super) fn note(&self, is_read: bool, answer: &Answer) {
        let refusal = refuses_key(answer);
        if refusal.is_none() && !answer.status.is_success() {
            return;
        }
        if is_read {
            *self.reads.lock().unwrap_or_else(PoisonError::into_inner) = refusal;
        } else {
            let since = refusal.map(|refusal| (refusal, Instant::now()));
            *self.writes.lock().unwrap_or_else(PoisonError::into_inner) = since;
        }
    }

    pub(super) fn trouble(&self) -> Option<String> {
        let reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner).clone();
        reads.or_else(|| {
            let writes = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
            let (refusal, since) = writes.as_ref()?;
            (since.elapsed() < KEY_AGAIN).then(|| refusal.clone())
        })
    }
}

/// The refusal, when it is the key, its address or its permissions that is refused.
fn refuses_key(answer: &Answer) -> Option<String> {
    if answer.status.is_success() {
        return None;
    }
    let code = error_body(&answer.body).code;
    let is_refused =
        answer.status == StatusCode::FORBIDDEN || matches!(code, Some(codes::BAD_KEY | codes::KEY_REFUSED));
    let code = code.map_or_else(String::new, |code| format!(" {code}"));
    is_refused.then(|| format!("HTTP {}{code}", answer.status.as_u16()))
}
