//! What surrounds the prices: funding, open interest, who is long, who is taking.
//!
//! Each figure is a function of the path up to its instant and of seeded waves, so that history stays what it was.

use std::sync::{Mutex, PoisonError};

use rust_decimal::Decimal;
use rust_decimal::prelude::FromPrimitive;

use super::assets::{Asset, find};
use super::calendar_time::{DAY_MS, HOUR_MS, sane};
use super::rng::{hash_text, normal_at, wave_at};
use super::{Coin, Listing, Market};
use crate::domain::Symbol;

/// The constants of a coin that statistics need.
#[derive(Debug, Clone, Copy)]
pub(super) struct Behaviour {
    /// Price increment, USDT.
    pub(super) tick: f64,
    /// Price where the logarithm of the process is zero (synthetic).
    pub(super) reference: f64,
    pub(super) spread_ticks: u32,
    /// Usual open interest, coins.
    open_interest: f64,
    /// Mean funding rate, basis points.
    funding_mean: f64,
}

impl Behaviour {
    pub(super) fn synthetic(asset: &Asset, reference: f64) -> Self {
        Self {
            tick: 1.0 / 10_f64.powi(asset.tick_decimals.cast_signed()),
            reference,
            spread_ticks: asset.spread_ticks,
            open_interest: asset.open_interest / asset.level,
            funding_mean: asset.funding_mean,
        }
    }

    /// A recorded coin: known ones behave like themselves, others like a small coin.
    pub(super) fn recorded(symbol: &str, tick: f64, level: f64) -> Self {
        let asset = find(symbol);
        Self {
            tick,
            reference: level,
            spread_ticks: asset.map_or(1, |asset| asset.spread_ticks),
            open_interest: asset.map_or(1e8, |asset| asset.open_interest) / level.max(tick),
            funding_mean: asset.map_or(0.2, |asset| asset.funding_mean),
        }
    }
}

/// How strongly funding remembers the settlement before.
const FUNDING_MEMORY: f64 = 0.66;

impl Market {
    /// The rate that will be paid at [`Market::next_funding_ms`] of the same instant, as a share of the position's
    /// notional: above zero, longs pay shorts. Zero for a contract that is not listed.
    pub fn funding_rate(&self, symbol: &Symbol, at_ms: i64) -> Decimal {
        if let Some(heard) = self.heard_of(symbol) {
            return heard.told.funding_rate;
        }
        let Some((listing, coin)) = self.coin(symbol) else { return Decimal::ZERO };
        let due = self.next_funding_ms(symbol, at_ms);
        coin.rate.at(due, || self.rate_of(listing, coin, due))
    }

    /// The first funding strictly after an instant, UTC milliseconds.
    pub fn next_funding_ms(&self, symbol: &Symbol, at_ms: i64) -> i64 {
        if let Some(heard) = self.heard_of(symbol) {
            return heard.told.next_funding_ms;
        }
        let hours = self.listing(symbol).map_or(8, |listing| listing.funding_hours);
        let interval = i64::from(hours) * HOUR_MS;
        (sane(at_ms).div_euclid(interval) + 1) * interval
    }

    /// The settled fundings of a contract with `start_ms <= time <= end_ms`, oldest first: time, rate, mark price. At most
    /// `limit`: the first ones from a given start, the newest ones without. The caller's `end_ms` is at most now.
    pub fn funding_history(
        &self,
        symbol: &Symbol,
        start_ms: Option<i64>,
        end_ms: i64,
        limit: usize,
    ) -> Vec<(i64, Decimal, Decimal)> {
        let Some((listing, coin)) = self.coin(symbol) else { return Vec::new() };
        let (start_ms, end_ms) = (start_ms.map(sane), sane(end_ms));
        let interval = i64::from(listing.funding_hours) * HOUR_MS;
        let first = coin.path.start().unwrap_or(i64::MAX).max(start_ms.unwrap_or(i64::MIN));
        let end = end_ms.min(coin.path.end().unwrap_or(i64::MIN));
        let last = end.div_euclid(interval);
        let mut number = first.div_euclid(interval) + i64::from(first.rem_euclid(interval) != 0);
        if start_ms.is_none() {
            number = number.max(last + 1 - i64::try_from(limit).unwrap_or(i64::MAX / 2));
        }
        (number..=last)
            .map(|number| number * interval)
            .filter_map(|time| {
                Some((time, self.rate_of(listing, coin, time), self.quote(symbol, time)?.mark))
            })
            .take(limit)
            .collect()
    }

    /// The rate settled at `time`: it remembers the settlements before, leans with the three-day return, and piles up
    /// at its cap. It is known one interval ahead.
    fn rate_of(&self, listing: &Listing, coin: &Coin, time: i64) -> Decimal {
        let interval = i64::from(listing.funding_hours) * HOUR_MS;
        let number = time.div_euclid(interval);
        let seed = self.seed ^ hash_text("funding") ^ hash_text(listing.symbol.as_str());
        let mut weight = 1.0;
        let mut lean = 0.0;
        for back in 1..=9 {
            let known = (number - back) * interval;
            let trend = coin.log_return(known - 3 * DAY_MS, known).unwrap_or(0.0);
            lean += weight * (4.0 * trend.clamp(-0.25, 0.25) + 0.36 * normal_at(seed, number - back));
            weight *= FUNDING_MEMORY;
        }
        let cap = if listing.funding_hours < 8 { 0.5 } else { 1.0 };
        let points = (coin.behaviour.funding_mean + lean).clamp(-7.5, cap);
        decimal(points * 1e-4, 8)
    }

    /// Open contracts in coins.
    pub fn open_interest(&self, symbol: &Symbol, at_ms: i64) -> Decimal {
        let Some((listing, coin)) = self.coin(symbol) else { return Decimal::ZERO };
        let seed = self.seed ^ hash_text("interest") ^ hash_text(symbol.as_str());
        let day = coin.log_return(at_ms - DAY_MS, at_ms).unwrap_or(0.0);
        let log = 0.014 * wave_at(seed, at_ms, 6 * HOUR_MS)
            + 0.04 * wave_at(seed ^ 1, at_ms, 2 * DAY_MS)
            + 0.10 * wave_at(seed ^ 2, at_ms, 20 * DAY_MS)
            + 0.25 * day.clamp(-0.5, 0.5);
        decimal(coin.behaviour.open_interest * libm::exp(log), listing.step.scale().max(1))
    }

    /// Accounts that are long for one that is short, over all accounts: small traders lean against the last day.
    pub fn long_short_ratio(&self, symbol: &Symbol, at_ms: i64) -> f64 {
        self.ratio(symbol, at_ms, "long-short", 0.45, -2.5)
    }

    /// The same over the accounts of the largest traders.
    pub fn top_trader_account_ratio(&self, symbol: &Symbol, at_ms: i64) -> f64 {
        self.ratio(symbol, at_ms, "top accounts", 0.40, -1.5)
    }

    /// Long to short positions, by size, of the largest traders: these follow the market.
    pub fn top_trader_position_ratio(&self, symbol: &Symbol, at_ms: i64) -> f64 {
        self.ratio(symbol, at_ms, "top positions", 0.15, 0.8)
    }

    /// What takers bought and sold in the hour before an instant, in coins.
    pub fn taker_ratio(&self, symbol: &Symbol, at_ms: i64) -> (f64, f64) {
        let Some((_, coin)) = self.coin(symbol) else { return (0.0, 0.0) };
        let volume = coin.volume_between(at_ms - HOUR_MS, at_ms);
        let seed = self.seed ^ hash_text("takers") ^ hash_text(symbol.as_str());
        let hour = coin.log_return(at_ms - HOUR_MS, at_ms).unwrap_or(0.0);
        let bought = (0.5 + 3.0 * hour + 0.02 * wave_at(seed, at_ms, HOUR_MS / 4)).clamp(0.2, 0.8);
        (volume * bought, volume * (1.0 - bought))
    }

    fn ratio(&self, symbol: &Symbol, at_ms: i64, purpose: &str, usual: f64, lean: f64) -> f64 {
        let day = self
            .coin(symbol)
            .and_then(|(_, coin)| coin.log_return(at_ms - DAY_MS, at_ms))
            .unwrap_or(0.0)
            .clamp(-0.25, 0.25);
        let seed = self.seed ^ hash_text(purpose) ^ hash_text(symbol.as_str());
        let waves = 0.06 * wave_at(seed, at_ms, 4 * HOUR_MS) + 0.18 * wave_at(seed ^ 1, at_ms, 4 * DAY_MS);
        libm::exp(usual + lean * day + waves)
    }
}

/// The rate of the settlement that was asked for last: each price that is told bears it, once a second, and it stays the same
/// for hours.
#[derive(Debug, Default)]
pub(super) struct LastRate(Mutex<Option<(i64, Decimal)>>);

impl LastRate {
    fn at(&self, due_ms: i64, rate: impl FnOnce() -> Decimal) -> Decimal {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *last {
            Some((due, rate)) if due == due_ms => rate,
            _ => last.insert((due_ms, rate())).1,
        }
    }
}

/// A copy may live through other jumps.
impl Clone for LastRate {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Coin {
    /// Logarithm of how much the price grew between two instants.
    pub(super) fn log_return(&self, from_ms: i64, to_ms: i64) -> Option<f64> {
        Some(libm::log(self.level_at(to_ms)? / self.level_at(from_ms)?))
    }
}

/// A statistic as a decimal with so many places; not for money.
pub(super) fn decimal(value: f64, places: u32) -> Decimal {
    /// Above it a float no longer tells whole numbers apart.
    const EXACT: f64 = 9e15;
    let scaled = value * 10_f64.powi(places.cast_signed());
    if scaled.abs() < EXACT {
        // The general conversion looks for the shortest decimal, which takes ten times as long.
        Decimal::new(scaled.round_ties_even() as i64, places)
    } else {
        Decimal::from_f64(value).unwrap_or_default().round_dp(places)
    }
}
