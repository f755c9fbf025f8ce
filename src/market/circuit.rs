//! Circuit breakers: an endpoint that failed several times in a row is left alone for a while, then tried by one.
//!
//! They are kept by path, so that one broken endpoint of a host does not take the others with it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row that open a circuit.
const FAILURES: u32 = 5;
/// How long it stays open the first time; doubles with every trial that fails.
const FIRST_REST: Duration = Duration::from_secs(5);
const LONGEST_REST: Duration = Duration::from_mins(2);
/// A trial that was given up without an answer counts as failed after this time.
const TRIAL_TIME: Duration = Duration::from_secs(15);

#[derive(Debug, Default)]
struct Circuit {
    failures: u32,
    /// Nothing is sent before.
    rests_until: Option<Instant>,
}

/// The circuits of one host.
#[derive(Debug, Default)]
pub(crate) struct Circuits(Mutex<HashMap<String, Circuit>>);

impl Circuits {
    /// Whether a request may be sent; else for how long the path is left alone. After a rest, the first who asks is
    /// let through and the others wait for what becomes of it.
    pub(crate) fn admit(&self, path: &str) -> Result<(), Duration> {
        let mut circuits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(circuit) = circuits.get_mut(path) else { return Ok(()) };
        let Some(until) = circuit.rests_until else { return Ok(()) };
        let now = Instant::now();
        if now < until {
            return Err(until - now);
        }
        circuit.rests_until = Some(now + TRIAL_TIME);
        Ok(())
    }

    /// The path answered as it should, or refused for the caller's own fault.
    pub(crate) fn succeeded(&self, path: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
    }

    /// The path failed; whether that opened the circuit.
    pub(crate) fn failed(&self, path: &str) -> Option<Duration> {
        let mut circuits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let circuit = circuits.entry(path.to_owned()).or_default();
        circuit.failures = circuit.failures.saturating_add(1);
        let beyond = circuit.failures.checked_sub(FAILURES)?;
        let rest = FIRST_REST.saturating_mul(1 << beyond.min(16)).min(LONGEST_REST);
        circuit.rests_until = Some(Instant::now() + rest);
        Some(rest)
    }

    /// The paths that are left alone now, with the seconds left.
    pub(crate) fn resting(&self) -> Vec<(String, u64)> {
        let circuits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let mut resting: Vec<_> = circuits
            .iter()
            .filter_map(|(path, circuit)| {
                let left = circuit.rests_until?.checked_duration_since(now)?;
                (!left.is_zero()).then(|| (path.clone(), left.as_secs().max(1)))
            })
            .collect();
        resting.sort();
        resting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn five_failures_open_it_one_trial_follows_and_success_closes_it() {
        let circuits = Circuits::default();
        for _ in 0..4 {
            assert_eq!(circuits.failed("/a"), None);
            assert!(circuits.admit("/a").is_ok());
        }
        assert_eq!(circuits.failed("/a"), Some(FIRST_REST));
        assert_eq!((circuits.admit("/a"), circuits.admit("/b")), (Err(FIRST_REST), Ok(())));
        assert_eq!(circuits.resting(), [("/a".to_owned(), 5)]);
        tokio::time::advance(FIRST_REST).await;
        assert!(circuits.admit("/a").is_ok(), "the trial");
        assert!(circuits.admit("/a").is_err(), "only one");
        assert_eq!(circuits.failed("/a"), Some(FIRST_REST * 2));
        tokio::time::advance(FIRST_REST * 2).await;
        assert!(circuits.admit("/a").is_ok());
        circuits.succeeded("/a");
        assert!(circuits.admit("/a").is_ok() && circuits.resting().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_that_was_given_up_does_not_close_the_path_for_ever() {
        let circuits = Circuits::default();
        for _ in 0..FAILURES {
            circuits.failed("/a");
        }
        tokio::time::advance(FIRST_REST).await;
        assert!(circuits.admit("/a").is_ok());
        tokio::time::advance(TRIAL_TIME).await;
        assert!(circuits.admit("/a").is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_rest_never_grows_beyond_two_minutes() {
        let circuits = Circuits::default();
        let longest = (0..100).filter_map(|_| circuits.failed("/a")).max();
        assert_eq!(longest, Some(LONGEST_REST));
    }
}
