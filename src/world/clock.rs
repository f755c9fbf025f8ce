//! Market time of a world: wall time scaled by its speed, plus what an operator advanced it by.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::DateTime;
use serde::{Deserialize, Serialize};

use crate::domain::{Clock, Timestamp};

/// From which instant market time is counted. A standing clock does not remember wall time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Timebase {
    /// Market time at the base, ms.
    pub market_ms: i64,
    /// Wall time at the base, ms; `None` for a clock that stands still.
    pub wall_ms: Option<i64>,
    /// Seconds of market time in one second of wall time.
    pub speed: f64,
}

impl Timebase {
    /// Market time starts at `market_ms` now.
    pub fn starting(market_ms: i64, wall_ms: i64, speed: f64) -> Self {
        Self { market_ms, wall_ms: (speed != 0.0).then_some(wall_ms), speed }
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "elapsed milliseconds are far below 2^52, and the cast back saturates"
    )]
    fn at(&self, wall_ms: i64) -> i64 {
        let Some(base) = self.wall_ms else { return self.market_ms };
        let elapsed = wall_ms.saturating_sub(base).max(0);
        if (self.speed - 1.0).abs() < f64::EPSILON {
            return self.market_ms.saturating_add(elapsed);
        }
        self.market_ms.saturating_add((elapsed as f64 * self.speed) as i64)
    }
}

/// The market clock.
pub(super) struct WorldClock {
    wall: Arc<dyn Clock>,
    base: Mutex<Timebase>,
}

impl WorldClock {
    pub fn new(wall: Arc<dyn Clock>, base: Timebase) -> Self {
        Self { wall, base: Mutex::new(base) }
    }

    /// Where time is counted from.
    pub fn base(&self) -> Timebase {
        *self.base.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts from another base from now on.
    pub fn rebase(&self, base: Timebase) {
        *self.base.lock().unwrap_or_else(PoisonError::into_inner) = base;
    }

    /// Market time, ms.
    pub fn now_ms(&self) -> i64 {
        self.base().at(self.wall_ms())
    }

    /// Wall time, ms.
    pub fn wall_ms(&self) -> i64 {
        self.wall.now().timestamp_millis()
    }

    /// Moves market time forward.
    pub fn advance_ms(&self, by: i64) {
        let mut base = self.base.lock().unwrap_or_else(PoisonError::into_inner);
        base.market_ms = base.market_ms.saturating_add(by.max(0));
    }
}

impl Clock for WorldClock {
    fn now(&self) -> Timestamp {
        DateTime::from_timestamp_millis(self.now_ms()).unwrap_or_else(|| self.wall.now())
    }

    fn speed(&self) -> f64 {
        self.base().speed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ManualClock;
    use chrono::Duration;

    fn clock(speed: f64) -> (Arc<ManualClock>, WorldClock) {
        let wall = Arc::new(ManualClock::new(DateTime::from_timestamp_millis(1_000_000).unwrap()));
        let base = Timebase::starting(5_000_000, 1_000_000, speed);
        (wall.clone(), WorldClock::new(wall, base))
    }

    #[test]
    fn market_time_passes_at_the_speed_of_the_world() {
        let (wall, clock) = clock(60.0);
        wall.advance(Duration::seconds(2));
        assert_eq!(clock.now_ms(), 5_000_000 + 120_000);
    }

    #[test]
    fn a_standing_clock_moves_only_when_advanced() {
        let (wall, clock) = clock(0.0);
        wall.advance(Duration::hours(1));
        assert_eq!(clock.now_ms(), 5_000_000);
        clock.advance_ms(10);
        assert_eq!(clock.now_ms(), 5_000_010);
    }
}
