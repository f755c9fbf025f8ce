//! How a source is doing, by path: when it last answered as it should, and since when it fails.
//!
//! By path, because a host of many endpoints is neither well nor ill as a whole.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::error::SourceError;

#[derive(Debug, Default)]
struct Vital {
    last_success: Option<Instant>,
    failing: Option<Failing>,
}

#[derive(Debug)]
struct Failing {
    since: Instant,
    error: String,
    no_access: bool,
}

/// A path that failed when it was last asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FailingPath {
    pub(crate) path: String,
    /// Seconds since the first failure after the last success.
    pub(crate) for_s: u64,
    /// What the latest one was.
    pub(crate) error: String,
    /// Whether the key is missing or not allowed to read this, which is no illness of the source.
    pub(crate) no_access: bool,
}

/// The paths of one host. There are as many as the host has endpoints: what is asked of them is in the query.
#[derive(Debug, Default)]
pub(crate) struct Vitals(Mutex<BTreeMap<String, Vital>>);

impl Vitals {
    /// The path answered as it should, or refused for the caller's own fault.
    pub(crate) fn succeeded(&self, path: &str) {
        self.change(path, |vital| *vital = Vital { last_success: Some(Instant::now()), failing: None });
    }

    /// The path could not be read.
    pub(crate) fn failed(&self, path: &str, error: &SourceError) {
        self.change(path, |vital| {
            let since = vital.failing.as_ref().map_or_else(Instant::now, |failing| failing.since);
            let (error, no_access) = (error.to_string(), error.is_no_access());
            vital.failing = Some(Failing { since, error, no_access });
        });
    }

    fn change(&self, path: &str, change: impl FnOnce(&mut Vital)) {
        let mut paths = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match paths.get_mut(path) {
            Some(vital) => change(vital),
            None => change(paths.entry(path.to_owned()).or_default()),
        }
    }

    /// Seconds since any path last answered as it should.
    pub(crate) fn last_success_age_s(&self) -> Option<u64> {
        let paths = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        paths.values().filter_map(|vital| vital.last_success).max().map(|at| at.elapsed().as_secs())
    }

    /// The paths that failed when they were last asked, by name.
    pub(crate) fn failing(&self) -> Vec<FailingPath> {
        let paths = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let failing = paths.iter().filter_map(|(path, vital)| {
            let failing = vital.failing.as_ref()?;
            Some(FailingPath {
                path: path.clone(),
                for_s: failing.since.elapsed().as_secs(),
                error: failing.error.clone(),
                no_access: failing.no_access,
            })
        });
        failing.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn broken() -> SourceError {
        SourceError::Malformed { upstream: "x".into(), reason: "a web page".to_owned() }
    }

    #[tokio::test(start_paused = true)]
    async fn failing_counts_from_the_first_failure_and_a_success_ends_it() {
        let vitals = Vitals::default();
        assert_eq!((vitals.last_success_age_s(), vitals.failing()), (None, vec![]));
        vitals.succeeded("/a");
        tokio::time::advance(Duration::from_secs(5)).await;
        vitals.failed("/b", &broken());
        tokio::time::advance(Duration::from_secs(7)).await;
        vitals.failed("/b", &broken());
        assert_eq!(vitals.last_success_age_s(), Some(12), "of any path");
        let failing = vitals.failing();
        assert_eq!((failing.len(), failing[0].path.as_str(), failing[0].for_s), (1, "/b", 7));
        assert!(failing[0].error.contains("a web page") && !failing[0].no_access);
        vitals.succeeded("/b");
        assert_eq!((vitals.last_success_age_s(), vitals.failing()), (Some(0), vec![]));
    }
}
