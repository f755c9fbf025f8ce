//! The clock is a parameter: a day can run in a second, and a test can stand at 00:04:59.

use std::sync::Mutex;

use chrono::{DateTime, Duration, Utc};

/// An instant in UTC.
pub type Timestamp = DateTime<Utc>;

/// Tells the market's time: the system's, or a world's own.
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;

    /// How many seconds of this clock pass in one second of wall time; 0 stands still.
    fn speed(&self) -> f64 {
        1.0
    }
}

/// The machine's own clock. Only the outermost room and request signing may take it.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system clock")]
    fn now(&self) -> Timestamp {
        Utc::now()
    }
}

/// A clock that moves only when it is told to.
#[derive(Debug)]
pub struct ManualClock(Mutex<Timestamp>);

impl ManualClock {
    /// Stands at `start`.
    pub fn new(start: Timestamp) -> Self {
        Self(Mutex::new(start))
    }

    /// Moves the clock; negative durations move it back.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *now += by;
    }

    /// Puts the clock at an instant.
    pub fn set(&self, to: Timestamp) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = to;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn speed(&self) -> f64 {
        0.0
    }
}
