//! What the exchange lets one address do, shared by all its accounts.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

use crate::net::{Answer, retry::retry_after};

/// Pause after a 429 or 418 that names no time.
const UNNAMED_PAUSE: Duration = Duration::from_mins(1);

/// A ban is at most three days (facts: rate limits); a longer one in an answer is a mistake.
const LONGEST_PAUSE: Duration = Duration::from_hours(72);

/// The weight meter and the gate of one IP address. Share one among all accounts behind the address.
#[derive(Debug, Default)]
pub struct Limits {
    used_weight: AtomicU32,
    clock_offset_ms: AtomicI64,
    closed_until: Mutex<Option<Instant>>,
}

impl Limits {
    /// Weight allowed a minute and address (facts: rate limits).
    pub const WEIGHT_A_MINUTE: u32 = 2400;

    /// Request weight used in the running minute, as the exchange last reported it (`X-MBX-USED-WEIGHT-1M`).
    pub fn used_weight(&self) -> u32 {
        self.used_weight.load(Ordering::Relaxed)
    }

    /// How long nothing may be sent yet, after a 429 or a ban; `None` when the gate is open.
    pub fn closed_for(&self) -> Option<Duration> {
        let until = *self.closed_until.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        until
            .map(|until| until.saturating_duration_since(Instant::now()))
            .filter(|remaining| !remaining.is_zero())
    }

    /// Server time minus our wall time, in milliseconds.
    pub fn clock_offset_ms(&self) -> i64 {
        self.clock_offset_ms.load(Ordering::Relaxed)
    }

    pub(super) fn set_clock_offset_ms(&self, offset: i64) {
        self.clock_offset_ms.store(offset, Ordering::Relaxed);
    }

    /// Learns from an answer: the meter, and whether to stop sending. `server_now_ms` is the exchange's time.
    pub(super) fn note(&self, answer: &Answer, server_now_ms: i64) {
        if let Some(used) = number(&answer.headers, "x-mbx-used-weight-1m") {
            self.used_weight.store(used, Ordering::Relaxed);
        }
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
        self.close_for(pause);
    }

    fn close_for(&self, pause: Duration) {
        let Some(until) = Instant::now().checked_add(pause) else { return };
        let mut closed = self.closed_until.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *closed = Some(closed.map_or(until, |present| present.max(until)));
    }
}

fn millis(amount: i64) -> Duration {
    Duration::from_millis(u64::try_from(amount).unwrap_or(0))
}

/// The instant in a ban's text: `… banned until 1570000000000 …` (facts: -1003).
fn banned_until(text: &str) -> Option<i64> {
    let rest = text.split("banned until ").nth(1)?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn number(headers: &HeaderMap, name: &str) -> Option<u32> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// Orders one account sent lately, as the exchange last reported them. Its limits: 300 in 10 s, 1200 a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OrderCounts {
    /// In the running ten seconds (`X-MBX-ORDER-COUNT-10S`).
    pub ten_seconds: u32,
    /// In the running minute (`X-MBX-ORDER-COUNT-1M`).
    pub minute: u32,
}

/// Remembers [`OrderCounts`] of one account.
#[derive(Debug, Default)]
pub(super) struct OrderMeter {
    ten_seconds: AtomicU32,
    minute: AtomicU32,
}

impl OrderMeter {
    pub(super) fn note(&self, headers: &HeaderMap) {
        if let Some(count) = number(headers, "x-mbx-order-count-10s") {
            self.ten_seconds.store(count, Ordering::Relaxed);
        }
        if let Some(count) = number(headers, "x-mbx-order-count-1m") {
            self.minute.store(count, Ordering::Relaxed);
        }
    }

    pub(super) fn read(&self) -> OrderCounts {
        OrderCounts {
            ten_seconds: self.ten_seconds.load(Ordering::Relaxed),
            minute: self.minute.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

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
        limits.note(
            &answer(429, &[("retry-after", "7"), ("x-mbx-used-weight-1m", "2401")], r#"{"code":-1003}"#),
            0,
        );
        assert_eq!((limits.closed_for(), limits.used_weight()), (Some(Duration::from_secs(7)), 2401));
        tokio::time::advance(Duration::from_secs(7)).await;
        assert_eq!(limits.closed_for(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_ban_without_a_header_is_read_from_its_text() {
        let limits = Limits::default();
        let text =
            r#"{"code":-1003,"msg":"Way too much request weight used; IP banned until 1570000120000. x"}"#;
        limits.note(&answer(418, &[], text), 1_570_000_000_000);
        assert_eq!(limits.closed_for(), Some(Duration::from_mins(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_shorter_pause_never_opens_the_gate_earlier() {
        let limits = Limits::default();
        limits.note(&answer(418, &[], ""), 0);
        limits.note(&answer(429, &[("retry-after", "1")], ""), 0);
        assert_eq!(limits.closed_for(), Some(UNNAMED_PAUSE));
    }

    #[tokio::test(start_paused = true)]
    async fn one_accounts_order_rate_does_not_stop_the_others() {
        let limits = Limits::default();
        limits.note(&answer(429, &[], r#"{"code":-1015,"msg":"Too many new orders."}"#), 0);
        assert_eq!(limits.closed_for(), None);
    }
}
