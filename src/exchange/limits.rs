//! What the exchange lets one address do, shared by all its accounts.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use crate::domain::Timestamp;
use crate::net::{Answer, retry::retry_after};

use super::budget::{Budget, Claim, OrderCounts, OrderMeter, Urgency};

/// Pause after a 429 or 418 that names no time.
const UNNAMED_PAUSE: Duration = Duration::from_mins(1);

/// A ban is at most three days; a longer one in an answer is a mistake.
const LONGEST_PAUSE: Duration = Duration::from_hours(72);

/// How often the exchange's clock is measured.
const CLOCK_PERIOD: Duration = Duration::from_hours(1);

/// When it is tried again after it could not be measured.
const CLOCK_AGAIN: Duration = Duration::from_mins(1);

/// The weight budget, the gate and the measured clock of one IP address. Share one among all accounts behind the
/// address.
///
/// The default counts and obeys: it stops when the exchange says so. [`Limits::budgeted`] also holds back before the
/// exchange would refuse; worlds without limits have no use for that.
#[derive(Debug)]
pub struct Limits {
    budgeted: bool,
    weight: Budget,
    weight_limit: AtomicU32,
    /// Whether the exchange told its rules since the start.
    knows_rules: AtomicBool,
    clock_offset_ms: AtomicI64,
    clock_due: Mutex<Option<Instant>>,
    closed: Mutex<Option<Closed>>,
    accounts: Mutex<Vec<Weak<OrderMeter>>>,
}

#[derive(Debug, Clone, Copy)]
struct Closed {
    until: Instant,
    /// The same instant by the wall clock.
    told: Option<Timestamp>,
}

/// The budgets at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meter {
    /// Whether what can wait is held back before a limit.
    pub enforced: bool,
    /// Request weight the address used in the running minute, with what is on its way.
    pub used_weight: u32,
    /// Request weight the address may use a minute.
    pub weight_limit: u32,
    /// Orders of the busiest account in the running ten seconds.
    pub orders_10s: u32,
    /// Orders of the busiest account in the running minute.
    pub orders_1m: u32,
    /// Orders an account may send in ten seconds and in a minute.
    pub order_limits: (u32, u32),
    /// Until when nothing is sent, by the wall clock, after a 429 or a ban.
    pub banned_until: Option<Timestamp>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            budgeted: false,
            weight: Budget::a(Duration::from_mins(1)),
            weight_limit: AtomicU32::new(Self::WEIGHT_A_MINUTE),
            knows_rules: AtomicBool::new(false),
            clock_offset_ms: AtomicI64::new(0),
            clock_due: Mutex::default(),
            closed: Mutex::default(),
            accounts: Mutex::default(),
        }
    }
}

impl Limits {
    /// Weight allowed a minute and address, unless the exchange's rules say otherwise.
    pub const WEIGHT_A_MINUTE: u32 = 2400;

    /// Holds back what can wait before a limit is reached.
    #[must_use]
    pub fn budgeted() -> Self {
        Self { budgeted: true, ..Self::default() }
    }

    /// The budgets at a glance.
    pub fn meter(&self) -> Meter {
        let mut orders = OrderCounts::default();
        for account in lock(&self.accounts).iter().filter_map(Weak::upgrade) {
            let counts = account.read();
            orders.ten_seconds = orders.ten_seconds.max(counts.ten_seconds);
            orders.minute = orders.minute.max(counts.minute);
        }
        Meter {
            enforced: self.budgeted,
            used_weight: self.used_weight(),
            weight_limit: self.weight_limit.load(Ordering::Relaxed),
            orders_10s: orders.ten_seconds,
            orders_1m: orders.minute,
            order_limits: OrderMeter::LIMITS,
            banned_until: self.closed().and_then(|closed| closed.told),
        }
    }

    /// Request weight used in the running minute, as counted here and corrected by the exchange's reports
    /// (`X-MBX-USED-WEIGHT-1M`).
    pub fn used_weight(&self) -> u32 {
        self.weight.used()
    }

    /// How long nothing may be sent yet, after a 429 or a ban; `None` when the gate is open.
    pub fn closed_for(&self) -> Option<Duration> {
        self.closed().map(|closed| closed.until.saturating_duration_since(Instant::now()))
    }

    fn closed(&self) -> Option<Closed> {
        (*lock(&self.closed)).filter(|closed| closed.until > Instant::now())
    }

    /// Claims the weight of a call, or says how long it has to wait.
    pub(super) fn claim(
        &self,
        weight: u32,
        urgency: Urgency,
        server_now_ms: i64,
    ) -> Result<Claim<'_>, Duration> {
        let most = self.budgeted.then(|| urgency.of(self.weight_limit.load(Ordering::Relaxed)));
        self.weight.claim(weight, most, server_now_ms)
    }

    /// Whether orders are held back before their limits.
    pub(super) const fn is_budgeted(&self) -> bool {
        self.budgeted
    }

    /// Adds an account to the meter.
    pub(super) fn add_account(&self, orders: &Arc<OrderMeter>) {
        let mut accounts = lock(&self.accounts);
        accounts.retain(|account| account.strong_count() > 0);
        accounts.push(Arc::downgrade(orders));
    }

    /// The weight the exchange's rules allow a minute.
    pub(super) fn set_weight_limit(&self, limit: u32) {
        self.weight_limit.store(limit, Ordering::Relaxed);
    }

    /// Whether the exchange told its rules since the start.
    pub(super) fn knows_rules(&self) -> bool {
        self.knows_rules.load(Ordering::Relaxed)
    }

    /// The exchange told its rules.
    pub(super) fn rules_are_known(&self) {
        self.knows_rules.store(true, Ordering::Relaxed);
    }

    /// Server time minus our wall time, in milliseconds.
    pub fn clock_offset_ms(&self) -> i64 {
        self.clock_offset_ms.load(Ordering::Relaxed)
    }

    pub(super) fn set_clock_offset_ms(&self, offset: i64) {
        self.clock_offset_ms.store(offset, Ordering::Relaxed);
    }

    /// Whether the clock should be measured again: an hour after it was, a minute after it could not be. Never before
    /// somebody measured it for the first time.
    pub(super) fn clock_is_due(&self) -> bool {
        lock(&self.clock_due).is_some_and(|due| Instant::now() >= due)
    }

    /// Somebody measures the clock now, so that nobody else has to; it fails unless told otherwise.
    pub(super) fn measuring_clock(&self) {
        *lock(&self.clock_due) = Instant::now().checked_add(CLOCK_AGAIN);
    }

    /// The clock was measured.
    pub(super) fn measured_clock(&self, offset: i64) {
        self.set_clock_offset_ms(offset);
        *lock(&self.clock_due) = Instant::now().checked_add(CLOCK_PERIOD);
    }

    /// Learns from an answer whether to stop sending. `server_now_ms` is the exchange's time, `wall` ours.
    pub(super) fn note(&self, answer: &Answer, server_now_ms: i64, wall: Timestamp) {
        let banned = answer.status == StatusCode::IM_A_TEAPOT;
        if !banned && answer.status != StatusCode::TOO_MANY_REQUESTS {
            return;
        }
        let text = String::from_utf8_lossy(&answer.body);
        // -1015 counts one account's orders; it says nothing about the address.
        if !banned && text.contains("-1015") {
            return;
        }
        let pause = retry_after(answer)
            .or_else(|| banned_until(&text).map(|until| millis(until.saturating_sub(server_now_ms))))
            .unwrap_or(UNNAMED_PAUSE)
            .min(LONGEST_PAUSE);
        self.close_for(pause, wall);
    }

    fn close_for(&self, pause: Duration, wall: Timestamp) {
        let Some(until) = Instant::now().checked_add(pause) else { return };
        let told = chrono::TimeDelta::from_std(pause).ok().and_then(|pause| wall.checked_add_signed(pause));
        let mut closed = lock(&self.closed);
        if closed.is_none_or(|present| present.until < until) {
            *closed = Some(Closed { until, told });
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn millis(amount: i64) -> Duration {
    Duration::from_millis(u64::try_from(amount).unwrap_or(0))
}

/// The instant in a ban's text: `… banned until 1570000000000 …`, which comes with code -1003.
fn banned_until(text: &str) -> Option<i64> {
    let rest = text.split("banned until ").nth(1)?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::HeaderMap;

    const WALL: Timestamp = Timestamp::UNIX_EPOCH;

    fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> Answer {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        Answer { status: StatusCode::from_u16(status).unwrap(), headers: map, body: Bytes::from(body) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_retry_after_closes_the_gate_until_it_has_passed() {
        let limits = Limits::default();
        limits.note(&answer(429, &[("retry-after", "7")], r#"{"code":-1003}"#), 0, WALL);
        assert_eq!(limits.closed_for(), Some(Duration::from_secs(7)));
        assert_eq!(limits.meter().banned_until, Some(WALL + Duration::from_secs(7)));
        tokio::time::advance(Duration::from_secs(7)).await;
        assert_eq!((limits.closed_for(), limits.meter().banned_until), (None, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_ban_without_a_header_is_read_from_its_text() {
        let limits = Limits::default();
        let text =
            r#"{"code":-1003,"msg":"Way too much request weight used; IP banned until 1570000120000. x"}"#;
        limits.note(&answer(418, &[], text), 1_570_000_000_000, WALL);
        assert_eq!(limits.closed_for(), Some(Duration::from_mins(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_shorter_pause_never_opens_the_gate_earlier() {
        let limits = Limits::default();
        limits.note(&answer(418, &[], ""), 0, WALL);
        limits.note(&answer(429, &[("retry-after", "1")], ""), 0, WALL);
        assert_eq!(limits.closed_for(), Some(UNNAMED_PAUSE));
    }

    #[tokio::test(start_paused = true)]
    async fn one_accounts_order_rate_does_not_stop_the_others() {
        let limits = Limits::default();
        limits.note(&answer(429, &[], r#"{"code":-1015,"msg":"Too many new orders."}"#), 0, WALL);
        assert_eq!(limits.closed_for(), None);
    }
}
