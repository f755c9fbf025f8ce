//! Rate limits: counted for every request, told in headers, enforced only when asked.

use std::collections::BTreeMap;

use super::error::ApiError;
use crate::world::engine::AccountId;
use http::StatusCode;

const MINUTE: i64 = 60_000;
const FIVE_MINUTES: i64 = 5 * MINUTE;
const TEN_SECONDS: i64 = 10_000;
/// Request weight a minute.
pub(crate) const WEIGHT_LIMIT: u32 = 2400;
/// Orders a minute and account.
pub(crate) const ORDERS_MINUTE: u32 = 1200;
/// Orders in ten seconds and account.
pub(crate) const ORDERS_TEN_SECONDS: u32 = 300;

/// A limit that some endpoints share, beside the weight: requests in five minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pool {
    /// `/futures/data/*`.
    Data,
    /// Funding rates and their settings.
    Funding,
}

impl Pool {
    const fn limit(self) -> u32 {
        match self {
            Self::Data => 1000,
            Self::Funding => 500,
        }
    }
}

/// A count that starts again with each window of wall time.
#[derive(Debug, Clone, Copy, Default)]
struct Window {
    number: i64,
    used: u32,
}

impl Window {
    fn add(&mut self, number: i64, amount: u32) -> u32 {
        if self.number != number {
            *self = Self { number, used: 0 };
        }
        self.used = self.used.saturating_add(amount);
        self.used
    }
}

/// What was used so far. All clients of a world share one address.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    weight: Window,
    data: Window,
    funding: Window,
    orders: BTreeMap<AccountId, (Window, Window)>,
}

/// The counts a response reports.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Used {
    pub weight: u32,
    pub orders: Option<(u32, u32)>,
}

impl Limits {
    /// Counts a request's weight and says how much the minute has seen.
    pub fn weigh(&mut self, wall_ms: i64, weight: u32, enforce: bool) -> (u32, Result<(), ApiError>) {
        let used = self.weight.add(wall_ms.div_euclid(MINUTE), weight);
        let verdict = if enforce && used > WEIGHT_LIMIT {
            Err(ApiError {
                status: StatusCode::TOO_MANY_REQUESTS,
                retry_after: Some((MINUTE - wall_ms.rem_euclid(MINUTE)) / 1000 + 1),
                ..ApiError::new(
                    -1003,
                    "Too many requests; current limit of IP is 2400 requests per minute. Please use the websocket for live updates to avoid polling the API.",
                )
            })
        } else {
            Ok(())
        };
        (used, verdict)
    }

    /// How much weight this minute has seen.
    pub fn used(&mut self, wall_ms: i64) -> u32 {
        self.weight.add(wall_ms.div_euclid(MINUTE), 0)
    }

    /// Counts a request against the limit it shares with others.
    pub fn share(&mut self, pool: Pool, wall_ms: i64, enforce: bool) -> Result<(), ApiError> {
        let window = match pool {
            Pool::Data => &mut self.data,
            Pool::Funding => &mut self.funding,
        };
        let used = window.add(wall_ms.div_euclid(FIVE_MINUTES), 1);
        if !enforce || used <= pool.limit() {
            return Ok(());
        }
        Err(ApiError {
            status: StatusCode::TOO_MANY_REQUESTS,
            retry_after: Some((FIVE_MINUTES - wall_ms.rem_euclid(FIVE_MINUTES)) / 1000 + 1),
            ..ApiError::new(
                -1003,
                format!("Too many requests; current limit of IP is {} requests per 5 minutes.", pool.limit()),
            )
        })
    }

    /// Counts orders of an account: in ten seconds and in the minute.
    pub fn order(
        &mut self,
        who: AccountId,
        wall_ms: i64,
        amount: (u32, u32),
        enforce: bool,
    ) -> ((u32, u32), Result<(), ApiError>) {
        let (short, long) = self.orders.entry(who).or_default();
        let short = short.add(wall_ms.div_euclid(TEN_SECONDS), amount.0);
        let long = long.add(wall_ms.div_euclid(MINUTE), amount.1);
        let exceeded = if long > ORDERS_MINUTE {
            Some((MINUTE, ORDERS_MINUTE, "MINUTE"))
        } else {
            (short > ORDERS_TEN_SECONDS).then_some((TEN_SECONDS, ORDERS_TEN_SECONDS, "TEN_SECONDS"))
        };
        let verdict = match exceeded.filter(|_| enforce) {
            None => Ok(()),
            Some((window, limit, name)) => Err(ApiError {
                status: StatusCode::TOO_MANY_REQUESTS,
                retry_after: Some((window - wall_ms.rem_euclid(window)) / 1000 + 1),
                ..ApiError::new(
                    -1015,
                    format!("Too many new orders; current limit is {limit} orders per {name}."),
                )
            }),
        };
        ((short, long), verdict)
    }
}
