//! What a coin costs at an instant.

use rust_decimal::Decimal;

use super::rng::{hash_text, unit_at, wave_at};
use super::shocks::shocked;
use super::{Coin, Market, Quote};
use crate::domain::Symbol;

impl Market {
    /// The prices of a contract at an instant; nothing where its path is unknown or not recorded.
    ///
    /// The mark is the last price smoothed over a quarter of a minute and a basis point aside, so that a single print
    /// does not move it; a jump moves all prices at once.
    pub fn quote(&self, symbol: &Symbol, at_ms: i64) -> Option<Quote> {
        if let Some(heard) = &self.heard {
            return heard.get(symbol).filter(|heard| heard.is_fresh_at(at_ms)).map(|heard| heard.told.quote);
        }
        let (listing, coin) = self.coin(symbol)?;
        let ticks = coin.ticks_at(at_ms)?;
        let price = |ticks: i64| listing.tick * Decimal::from(ticks);
        let spread = i64::from(coin.behaviour.spread_ticks);
        let (bid, ask) = if unit_at(self.seed ^ hash_text(symbol.as_str()), at_ms.div_euclid(1000)) < 0.5 {
            (ticks, ticks + spread)
        } else {
            ((ticks - spread).max(1), ticks.max(2))
        };
        let mark = coin.mark_ticks(at_ms)?;
        let premium =
            0.000_15 * wave_at(self.seed ^ hash_text("premium") ^ hash_text(symbol.as_str()), at_ms, 900_000);
        let fine = |ticks: f64| {
            listing.tick / Decimal::ONE_HUNDRED * Decimal::from(((ticks * 100.0).round() as i64).max(1))
        };
        Some(Quote {
            last: price(ticks),
            mark: fine(mark * (1.0 + 0.3 * premium)),
            index: fine(mark * (1.0 - 0.7 * premium)),
            bid: price(bid),
            ask: price(ask),
        })
    }
}

impl Coin {
    /// The last price in ticks, jumps included.
    pub(super) fn ticks_at(&self, at_ms: i64) -> Option<i64> {
        Some(shocked(self.path.ticks_at(at_ms)?, self.shocks.factor_at(at_ms)))
    }

    /// The last price as a number of USDT: for statistics.
    pub(super) fn level_at(&self, at_ms: i64) -> Option<f64> {
        Some(self.ticks_at(at_ms)? as f64 * self.behaviour.tick)
    }

    /// The smoothed price in ticks: the path before jumps over the last seconds, times the factor of now.
    fn mark_ticks(&self, at_ms: i64) -> Option<f64> {
        let now = f64::from(self.path.ticks_at(at_ms)?);
        let (mut sum, mut weights) = (now * 3.0, 3.0);
        for (age, weight) in [(4_000, 2.0), (9_000, 1.0), (15_000, 1.0)] {
            if let Some(ticks) = self.path.ticks_at(at_ms - age) {
                sum += f64::from(ticks) * weight;
                weights += weight;
            }
        }
        Some(sum / weights * self.shocks.factor_at(at_ms))
    }
}
