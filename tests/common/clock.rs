//! Wall time that follows a paused runtime, and stands still between two lives.

use std::sync::{Arc, Mutex};

use chrono::TimeDelta;
use jarvis::domain::{Clock, Timestamp};
use tokio::time::Instant;

pub struct SimClock(Mutex<(Timestamp, Option<Instant>)>);

impl SimClock {
    pub fn new(start: Timestamp) -> Self {
        Self(Mutex::new((start, None)))
    }

    pub fn start(&self) {
        self.0.lock().unwrap().1 = Some(Instant::now());
    }

    pub fn stop(&self) {
        let now = self.now();
        *self.0.lock().unwrap() = (now, None);
    }

    /// What happens while the desk is dead.
    pub fn skip(&self, by: TimeDelta) {
        self.0.lock().unwrap().0 += by;
    }

    pub fn now_ms(&self) -> i64 {
        self.now().timestamp_millis()
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let (base, since) = *self.0.lock().unwrap();
        match since {
            Some(since) => base + TimeDelta::from_std(since.elapsed()).unwrap(),
            None => base,
        }
    }
}

/// Another clock that says how fast it runs.
pub struct Paced(pub Arc<dyn Clock>, pub f64);

impl Clock for Paced {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn speed(&self) -> f64 {
        self.1
    }
}
