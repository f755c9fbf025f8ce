//! What may be sent before the exchange refuses: request weight of an address, orders of an account.
//!
//! Both budgets count what was sent, corrected by what the exchange reports, and hold back what can wait first. What
//! protects a position is the last to wait, and an order that protects never does.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, Method};
use tokio::time::Instant;

/// How badly a call is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Urgency {
    /// Protects a position, or sees whether it is protected: may use the whole budget.
    Protective,
    /// Belongs to a decision: leaves a tenth to what protects.
    Ordinary,
    /// Books and rules: can wait for a minute, leaves three tenths.
    Background,
}

impl Urgency {
    /// The share of a budget this urgency may use up, in hundredths.
    const fn share(self) -> u32 {
        match self {
            Self::Protective => 100,
            Self::Ordinary => 90,
            Self::Background => 70,
        }
    }

    /// How much of a limit it may use up.
    pub(super) const fn of(self, limit: u32) -> u32 {
        limit / 100 * self.share() + limit % 100 * self.share() / 100
    }
}

/// What a call costs an address, with a symbol and without one, and how badly it is needed. Orders weigh nothing; they have a budget of their own.
const CALLS: &[(&str, &str, u32, u32, Urgency)] = &[
    ("GET", "/fapi/v1/time", 1, 1, Urgency::Protective),
    ("GET", "/fapi/v1/exchangeInfo", 1, 1, Urgency::Background),
    ("GET", "/fapi/v3/account", 5, 5, Urgency::Ordinary),
    ("GET", "/fapi/v3/positionRisk", 5, 5, Urgency::Protective),
    ("GET", "/fapi/v1/symbolConfig", 5, 5, Urgency::Ordinary),
    ("GET", "/fapi/v1/accountConfig", 5, 5, Urgency::Ordinary),
    ("GET", "/sapi/v1/account/apiRestrictions", 1, 1, Urgency::Ordinary),
    ("GET", "/fapi/v1/positionSide/dual", 30, 30, Urgency::Ordinary),
    ("GET", "/fapi/v1/leverageBracket", 1, 1, Urgency::Background),
    ("GET", "/fapi/v1/commissionRate", 20, 20, Urgency::Background),
    ("GET", "/fapi/v1/income", 30, 30, Urgency::Background),
    ("GET", "/fapi/v1/userTrades", 5, 5, Urgency::Ordinary),
    ("GET", "/fapi/v1/order", 1, 1, Urgency::Protective),
    ("GET", "/fapi/v1/openOrders", 1, 40, Urgency::Protective),
    ("GET", "/fapi/v1/algoOrder", 1, 1, Urgency::Protective),
    ("GET", "/fapi/v1/openAlgoOrders", 1, 40, Urgency::Protective),
    ("GET", "/fapi/v1/allAlgoOrders", 5, 5, Urgency::Ordinary),
    ("POST", "/fapi/v1/countdownCancelAll", 10, 10, Urgency::Protective),
];

/// Weight and urgency of a call. What the table does not name (cancels, settings, listen keys) weighs one and
/// protects.
pub(super) fn cost(method: &Method, path: &str, with_symbol: bool) -> (u32, Urgency) {
    let row = CALLS.iter().find(|row| row.0 == method.as_str() && row.1 == path);
    row.map_or((1, Urgency::Protective), |row| (if with_symbol { row.2 } else { row.3 }, row.4))
}

/// What was used in a window that begins anew at its end.
#[derive(Debug, Default)]
struct Window {
    number: u64,
    ends: Option<Instant>,
    /// Surely used: reported by the exchange, or answered without a report.
    used: u32,
    /// On its way.
    in_flight: u32,
}

impl Window {
    /// Begins anew if the window is over. `into` is how far the exchange's clock is into a window of `length`.
    fn turn(&mut self, into: Duration, length: Duration) {
        let now = Instant::now();
        if self.ends.is_none_or(|ends| now >= ends) {
            *self = Self {
                number: self.number + 1,
                ends: now.checked_add(length.saturating_sub(into)),
                used: 0,
                in_flight: 0,
            };
        }
    }

    fn is_over(&self) -> bool {
        self.ends.is_none_or(|ends| Instant::now() >= ends)
    }

    fn total(&self) -> u32 {
        self.used.saturating_add(self.in_flight)
    }

    /// How long until the window ends.
    fn left(&self) -> Duration {
        self.ends.map_or(Duration::ZERO, |ends| ends.saturating_duration_since(Instant::now()))
    }

    fn settle(&mut self, number: u64, amount: u32, reported: Option<u32>) {
        // A report of an earlier window says nothing about this one.
        if self.number != number {
            return;
        }
        self.in_flight = self.in_flight.saturating_sub(amount);
        self.used = match reported {
            Some(reported) => self.used.max(reported),
            None => self.used.saturating_add(amount),
        };
    }
}

/// A budget with one window.
#[derive(Debug)]
pub(super) struct Budget {
    length: Duration,
    window: Mutex<Window>,
}

/// An amount that is on its way. Dropped without a report it counts as used.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    budget: &'a Budget,
    number: u64,
    amount: u32,
    reported: Option<u32>,
}

impl Claim<'_> {
    /// The exchange said what is used by now.
    pub(super) fn reported(&mut self, used: Option<u32>) {
        self.reported = used;
    }

    /// Nothing was sent, so nothing is used.
    pub(super) fn forgo(mut self) {
        let mut window = self.budget.window();
        if window.number == self.number {
            window.in_flight = window.in_flight.saturating_sub(self.amount);
        }
        drop(window);
        self.amount = 0;
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.budget.window().settle(self.number, self.amount, self.reported);
    }
}

impl Budget {
    pub(super) fn a(length: Duration) -> Self {
        Self { length, window: Mutex::default() }
    }

    fn window(&self) -> std::sync::MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims `amount` if no more than `most` are used with it; otherwise says how long the window lasts. Without
    /// `most` everything is granted and counted.
    pub(super) fn claim(
        &self,
        amount: u32,
        most: Option<u32>,
        server_now_ms: i64,
    ) -> Result<Claim<'_>, Duration> {
        let length_ms = i64::try_from(self.length.as_millis()).unwrap_or(i64::MAX).max(1);
        let into = u64::try_from(server_now_ms.rem_euclid(length_ms)).unwrap_or(0);
        let mut window = self.window();
        window.turn(Duration::from_millis(into), self.length);
        if amount > 0 && most.is_some_and(|most| window.total().saturating_add(amount) > most) {
            return Err(window.left());
        }
        window.in_flight = window.in_flight.saturating_add(amount);
        Ok(Claim { budget: self, number: window.number, amount, reported: None })
    }

    /// What is used in the running window, with what is on its way.
    pub(super) fn used(&self) -> u32 {
        let window = self.window();
        if window.is_over() { 0 } else { window.total() }
    }
}

pub(super) fn number(headers: &HeaderMap, name: &str) -> Option<u32> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// Orders of one account. Its limits: 300 in 10 s, 1200 a minute.
#[derive(Debug)]
pub(super) struct OrderMeter {
    short: Budget,
    long: Budget,
    /// Told by the exchange to send fewer (-1015).
    held_until: Mutex<Option<Instant>>,
}

/// Two claims that belong together.
pub(super) struct OrderClaim<'a> {
    short: Claim<'a>,
    long: Claim<'a>,
}

impl OrderClaim<'_> {
    pub(super) fn note(&mut self, headers: &HeaderMap) {
        self.short.reported(number(headers, "x-mbx-order-count-10s"));
        self.long.reported(number(headers, "x-mbx-order-count-1m"));
    }

    /// Nothing was sent, so nothing is used.
    pub(super) fn forgo(self) {
        self.short.forgo();
        self.long.forgo();
    }
}

impl OrderMeter {
    /// Orders allowed in ten seconds and in a minute.
    pub(super) const LIMITS: (u32, u32) = (300, 1200);
    /// Pause of openings after a -1015 that names no time.
    const UNNAMED_PAUSE: Duration = Duration::from_secs(10);

    pub(super) fn new() -> Self {
        Self {
            short: Budget::a(Duration::from_secs(10)),
            long: Budget::a(Duration::from_mins(1)),
            held_until: Mutex::default(),
        }
    }

    /// Claims one order, or says how long to wait. What protects is always granted.
    pub(super) fn claim(
        &self,
        urgency: Urgency,
        enforced: bool,
        server_now_ms: i64,
    ) -> Result<OrderClaim<'_>, Duration> {
        let free = urgency == Urgency::Protective;
        if !free && let Some(wait) = self.held_for() {
            return Err(wait);
        }
        let most = |limit| (enforced && !free).then(|| urgency.of(limit));
        let short = self.short.claim(1, most(Self::LIMITS.0), server_now_ms)?;
        match self.long.claim(1, most(Self::LIMITS.1), server_now_ms) {
            Ok(long) => Ok(OrderClaim { short, long }),
            Err(wait) => {
                short.forgo();
                Err(wait)
            }
        }
    }

    /// The exchange refused an order because there were too many.
    pub(super) fn hold(&self, pause: Option<Duration>) {
        let until = Instant::now().checked_add(pause.unwrap_or(Self::UNNAMED_PAUSE));
        *self.held_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    fn held_for(&self) -> Option<Duration> {
        let until = *self.held_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.map(|until| until.saturating_duration_since(Instant::now())).filter(|wait| !wait.is_zero())
    }

    pub(super) fn read(&self) -> OrderCounts {
        OrderCounts { ten_seconds: self.short.used(), minute: self.long.used() }
    }
}

/// Orders one account sent lately, as counted here and corrected by the exchange's reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OrderCounts {
    /// In the running ten seconds (`X-MBX-ORDER-COUNT-10S`).
    pub ten_seconds: u32,
    /// In the running minute (`X-MBX-ORDER-COUNT-1M`).
    pub minute: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_urgency_leaves_room_for_the_one_above_it() {
        assert_eq!(
            [Urgency::Protective, Urgency::Ordinary, Urgency::Background].map(|urgency| urgency.of(2400)),
            [2400, 2160, 1680]
        );
        assert_eq!(Urgency::Ordinary.of(u32::MAX), 3_865_470_565);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_on_its_way_counts_until_the_exchange_reports() {
        let budget = Budget::a(Duration::from_mins(1));
        let mut first = budget.claim(40, Some(100), 0).unwrap();
        let second = budget.claim(40, Some(100), 0).unwrap();
        assert_eq!(budget.claim(40, Some(100), 0).unwrap_err(), Duration::from_mins(1));
        first.reported(Some(41));
        drop(first);
        assert_eq!(budget.used(), 81);
        drop(second);
        assert_eq!(budget.used(), 81, "unreported counts as used");
        assert!(budget.claim(0, Some(10), 0).is_ok(), "what weighs nothing always passes");
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_begins_anew_with_the_exchanges_minute_and_ignores_late_reports() {
        let budget = Budget::a(Duration::from_mins(1));
        let mut late = budget.claim(100, Some(100), 1_700_000_000_000).unwrap();
        assert_eq!(
            budget.claim(1, Some(100), 1_700_000_000_000).unwrap_err(),
            Duration::from_secs(40),
            "the minute ends 40 s after :20"
        );
        tokio::time::advance(Duration::from_secs(40)).await;
        assert_eq!(budget.used(), 0);
        let next = budget.claim(1, Some(100), 1_700_000_040_000).unwrap();
        late.reported(Some(2400));
        drop(late);
        assert_eq!(budget.used(), 1);
        drop(next);
    }

    #[tokio::test(start_paused = true)]
    async fn openings_stop_before_the_order_limit_and_stops_go_on() {
        let meter = OrderMeter::new();
        let sent = (0..1000).take_while(|_| meter.claim(Urgency::Ordinary, true, 0).is_ok()).count();
        assert_eq!(sent, 270);
        assert!(meter.claim(Urgency::Protective, true, 0).is_ok());
        assert_eq!(meter.read(), OrderCounts { ten_seconds: 271, minute: 271 });
        assert!(meter.claim(Urgency::Ordinary, false, 0).is_ok(), "nobody enforces it there");
    }

    #[tokio::test(start_paused = true)]
    async fn an_opening_refused_by_the_minute_does_not_count_in_the_ten_seconds() {
        let meter = OrderMeter::new();
        for tens in 0..4 {
            for _ in 0..270 {
                let _ = meter.claim(Urgency::Ordinary, true, tens * 10_000);
            }
            tokio::time::advance(Duration::from_secs(10)).await;
        }
        assert_eq!(meter.read(), OrderCounts { ten_seconds: 0, minute: 1080 });
        assert_eq!(meter.claim(Urgency::Ordinary, true, 40_000).err(), Some(Duration::from_secs(20)));
        assert_eq!(meter.read().ten_seconds, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn too_many_orders_hold_openings_of_the_account_and_never_its_stops() {
        let meter = OrderMeter::new();
        meter.hold(Some(Duration::from_secs(3)));
        assert_eq!(meter.claim(Urgency::Ordinary, false, 0).err(), Some(Duration::from_secs(3)));
        assert!(meter.claim(Urgency::Protective, true, 0).is_ok());
        tokio::time::advance(Duration::from_secs(3)).await;
        assert!(meter.claim(Urgency::Ordinary, true, 0).is_ok());
    }
}
