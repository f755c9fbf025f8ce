//! What was read lately, so that a datum is fetched once however many ask for it.
//!
//! A reading is fresh while market time is within its validity and wall time within the shelf's own limit: market
//! time may stand still or race. Whoever asks first fetches; the others wait for that answer.
//!
//! A general cache such as `moka` ages its entries by a clock of its own and has forgotten a value the moment it
//! expires, while here freshness is judged by market time, which may stand still, race or be set back, and an expired
//! reading stays to stand in, marked stale, for a source that fails. Its shared fetches would also tell a failure only
//! to those who wait at that moment; here it is remembered for a second, so that a dead source is not asked by everybody.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::{Clock, Timestamp};

use super::error::SourceError;
use super::reading::Reading;

/// A failure is handed to everybody who asks within this time, instead of asking again.
const FAILURE_FOR: Duration = Duration::from_secs(1);
/// The same for a key without access, which does not heal by asking.
const NO_ACCESS_FOR: Duration = Duration::from_mins(1);
/// More keys than symbols × intervals can make; beyond it the shelf is emptied.
const MOST_KEYS: usize = 4096;

/// What a fetch brings home.
pub(crate) struct Taken<V> {
    pub(crate) value: V,
    /// Market time the data belongs to.
    pub(crate) as_of: Timestamp,
    /// Market time from which it must be read again.
    pub(crate) fresh_until: Timestamp,
    /// From this age on the data is stale.
    pub(crate) stale_after: chrono::Duration,
    pub(crate) note: Option<String>,
}

struct Stored<V> {
    taken: Taken<V>,
    at: Timestamp,
    wall: Instant,
}

struct Slot<V> {
    good: Option<Stored<V>>,
    failed: Option<(Instant, SourceError)>,
}

impl<V> Default for Slot<V> {
    fn default() -> Self {
        Self { good: None, failed: None }
    }
}

type Slots<K, V> = Mutex<HashMap<K, Arc<tokio::sync::Mutex<Slot<V>>>>>;

/// Readings of one kind by key.
pub(crate) struct Shelf<K, V> {
    clock: Arc<dyn Clock>,
    wall_limit: Duration,
    keep_for: chrono::Duration,
    slots: Slots<K, V>,
}

impl<K: Eq + Hash + Clone, V: Clone> Shelf<K, V> {
    /// `keep_for`: how long after it was read a reading may stand in, marked stale, when its source fails.
    pub(crate) fn new(clock: Arc<dyn Clock>, wall_limit: Duration, keep_for: chrono::Duration) -> Self {
        Self { clock, wall_limit, keep_for, slots: Mutex::default() }
    }

    /// The reading on the shelf if it is fresh, else what `fetch` brings.
    pub(crate) async fn get<F>(&self, key: &K, fetch: F) -> Result<Reading<V>, SourceError>
    where
        F: Future<Output = Result<Taken<V>, SourceError>>,
    {
        let slot = self.slot(key);
        let mut slot = slot.lock().await;
        let now = self.clock.now();
        if let Some(good) = slot.good.as_ref().filter(|good| self.is_fresh(good, now)) {
            return Ok(self.reading(good, now));
        }
        if let Some(error) = recent_failure(&slot) {
            return self.stand_in(&slot, error);
        }
        match fetch.await {
            Ok(taken) => {
                let stored = Stored { taken, at: now, wall: Instant::now() };
                let reading = self.reading(&stored, self.clock.now());
                *slot = Slot { good: Some(stored), failed: None };
                Ok(reading)
            }
            Err(error) => {
                slot.failed = Some((Instant::now(), error.clone()));
                self.stand_in(&slot, error)
            }
        }
    }

    fn slot(&self, key: &K) -> Arc<tokio::sync::Mutex<Slot<V>>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MOST_KEYS && !slots.contains_key(key) {
            slots.clear();
        }
        Arc::clone(slots.entry(key.clone()).or_default())
    }

    fn is_fresh(&self, good: &Stored<V>, now: Timestamp) -> bool {
        good.at <= now && now < good.taken.fresh_until && good.wall.elapsed() < self.wall_limit
    }

    fn reading(&self, good: &Stored<V>, now: Timestamp) -> Reading<V> {
        let as_of = good.taken.as_of.min(now);
        Reading {
            value: good.taken.value.clone(),
            as_of,
            stale: now - as_of > scaled(good.taken.stale_after, self.clock.speed()),
            note: good.taken.note.clone(),
        }
    }

    /// The last good reading, marked stale, if it may still stand in for a source that failed.
    fn stand_in(&self, slot: &Slot<V>, error: SourceError) -> Result<Reading<V>, SourceError> {
        let now = self.clock.now();
        match &slot.good {
            Some(good) if good.at <= now && now - good.at < self.keep_for => {
                let mut reading = self.reading(good, now);
                reading.stale = true;
                reading.note = Some(error.to_string());
                Ok(reading)
            }
            _ => Err(error),
        }
    }
}

fn recent_failure<V>(slot: &Slot<V>) -> Option<SourceError> {
    let (at, error) = slot.failed.as_ref()?;
    let remembered = if error.is_no_access() { NO_ACCESS_FOR } else { FAILURE_FOR };
    (at.elapsed() < remembered).then(|| error.clone())
}

/// On a clock that races, a second on the way is many seconds of market time.
fn scaled(limit: chrono::Duration, speed: f64) -> chrono::Duration {
    if speed <= 1.0 {
        return limit;
    }
    let whole = limit.to_std().unwrap_or_default().as_secs_f64() * speed;
    Duration::try_from_secs_f64(whole)
        .ok()
        .and_then(|scaled| chrono::Duration::from_std(scaled).ok())
        .unwrap_or(chrono::Duration::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::domain::ManualClock;
    use crate::market::test_sources::noon;

    struct Fixture {
        clock: Arc<ManualClock>,
        shelf: Shelf<u8, u32>,
        fetches: AtomicU32,
    }

    impl Fixture {
        fn new() -> Self {
            let clock = Arc::new(ManualClock::new(noon()));
            let shelf = Shelf::new(clock.clone(), Duration::from_mins(1), chrono::Duration::zero());
            Self { clock, shelf, fetches: AtomicU32::new(0) }
        }

        /// The number of the fetch that brought what the shelf gives.
        async fn get(&self, key: u8) -> Result<u32, SourceError> {
            let now = self.clock.now();
            let fetch = async {
                let count = self.fetches.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::time::sleep(Duration::from_millis(10)).await;
                if key == 0 {
                    return Err(SourceError::Empty { upstream: "nobody".into(), what: "thing" });
                }
                Ok(Taken {
                    value: count,
                    as_of: now,
                    fresh_until: now + chrono::Duration::seconds(10),
                    stale_after: chrono::Duration::seconds(20),
                    note: None,
                })
            };
            self.shelf.get(&key, fetch).await.map(|reading| reading.value)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn fifty_who_ask_at_once_cause_one_fetch() {
        let fixture = Fixture::new();
        let all = futures_util::future::join_all((0..50).map(|_| fixture.get(1))).await;
        assert!(all.iter().all(|value| matches!(value, Ok(1))));
    }

    #[tokio::test(start_paused = true)]
    async fn fifty_who_ask_a_broken_source_at_once_cause_one_fetch() {
        let fixture = Fixture::new();
        let all = futures_util::future::join_all((0..50).map(|_| fixture.get(0))).await;
        assert!(all.iter().all(Result::is_err));
        assert_eq!(fixture.fetches.load(Ordering::SeqCst), 1);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(fixture.get(0).await.is_err());
        assert_eq!(fixture.fetches.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn market_time_ages_a_reading_and_so_does_wall_time() {
        let fixture = Fixture::new();
        assert_eq!(fixture.get(1).await.unwrap(), 1);
        fixture.clock.advance(chrono::Duration::milliseconds(9_999));
        assert_eq!(fixture.get(1).await.unwrap(), 1);
        fixture.clock.advance(chrono::Duration::milliseconds(1));
        assert_eq!(fixture.get(1).await.unwrap(), 2);
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(fixture.get(1).await.unwrap(), 3, "the market's clock stands still, ours does not");
        fixture.clock.advance(chrono::Duration::seconds(-1));
        assert_eq!(fixture.get(1).await.unwrap(), 4, "a market set back has another history");
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_while_fetching_does_not_block_the_next() {
        let fixture = Fixture::new();
        let impatient = tokio::time::timeout(Duration::from_millis(1), fixture.get(1)).await;
        assert!(impatient.is_err());
        assert_eq!(fixture.get(1).await.unwrap(), 2);
    }

    #[test]
    fn limits_stretch_with_the_speed_of_the_clock() {
        let minute = chrono::Duration::minutes(1);
        assert_eq!((scaled(minute, 0.0), scaled(minute, 60.0)), (minute, chrono::Duration::hours(1)));
        assert_eq!(scaled(minute, f64::INFINITY), chrono::Duration::MAX);
    }
}
