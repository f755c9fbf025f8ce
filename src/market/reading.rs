//! A datum together with its age.

use crate::domain::Timestamp;

/// Something a source said, when it was true, and whether it is older than its kind allows.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading<T> {
    /// What was read.
    pub value: T,
    /// Market time the data belongs to: the source's own stamp where it gives one, else the time of fetching.
    pub as_of: Timestamp,
    /// Whether it is older than its kind allows, or kept after its source failed.
    pub stale: bool,
    /// What a reader should know about it: a failed refresh, refused rows.
    pub note: Option<String>,
}

impl<T> Reading<T> {
    /// Seconds between the data and `now`, never below zero.
    pub fn age_s(&self, now: Timestamp) -> i64 {
        (now - self.as_of).num_seconds().max(0)
    }

    /// The same reading around another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Reading<U> {
        Reading { value: change(self.value), as_of: self.as_of, stale: self.stale, note: self.note }
    }
}
