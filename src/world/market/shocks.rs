//! Jumps made by an operator: from an instant on, the path continues from another price.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::calendar_time::DAY_MS;
use super::context::LastRate;
use super::{Market, MarketError};
use crate::domain::Symbol;

/// How far ahead of the known path a jump may lie.
const FURTHEST: i64 = 400 * DAY_MS;

/// The factors by which a coin's path is multiplied, each from its instant on; in order of time.
#[derive(Debug, Clone, Default)]
pub(super) struct Shocks(Vec<(i64, f64)>);

impl Shocks {
    /// What the path is multiplied by at an instant.
    pub(super) fn factor_at(&self, at_ms: i64) -> f64 {
        let passed = self.0.partition_point(|(from, _)| *from <= at_ms);
        passed.checked_sub(1).map_or(1.0, |last| self.0[last].1)
    }

    /// Whether nothing ever jumped.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The instants strictly inside a span at which the factor changes.
    pub(super) fn inside(&self, from_ms: i64, to_ms: i64) -> impl Iterator<Item = i64> + '_ {
        let first = self.0.partition_point(|(at, _)| *at <= from_ms);
        self.0[first..].iter().map(|(at, _)| *at).take_while(move |at| *at < to_ms)
    }

    /// Whether nothing jumped before an instant.
    pub(super) fn is_quiet_until(&self, end_ms: i64) -> bool {
        self.0.first().is_none_or(|(at, _)| *at >= end_ms)
    }

    fn last(&self) -> Option<i64> {
        self.0.last().map(|(at, _)| *at)
    }
}

/// A price in ticks after its factor; never below one tick.
pub(super) fn shocked(ticks: u32, factor: f64) -> i64 {
    ((f64::from(ticks) * factor).round() as i64).max(1)
}

impl Market {
    /// From `at_ms` on, the path of `symbol` continues from `price`: at once, for good, and without changing anything
    /// before.
    ///
    /// The path is made known up to `at_ms` first. Fails for an unlisted contract, a price off the tick grid or more than a hundred times away, an instant
    /// without a price, or one before an earlier jump of the same contract.
    pub fn jump(&mut self, symbol: &Symbol, at_ms: i64, price: Decimal) -> Result<(), MarketError> {
        if self.is_fed() {
            return Err(MarketError::Fed);
        }
        if at_ms <= self.known_to_ms().saturating_add(FURTHEST) {
            self.extend_to(at_ms);
        }
        let number = self
            .listings
            .iter()
            .position(|listing| listing.symbol == *symbol)
            .ok_or_else(|| MarketError::UnknownSymbol(symbol.clone()))?;
        let tick = self.listings[number].tick;
        let coin = &mut self.coins[number];
        coin.rate = LastRate::default();
        let bad_price = || MarketError::BadPrice { symbol: symbol.clone(), price, tick };
        let wanted = price.checked_div(tick).and_then(|ticks| ticks.to_f64()).ok_or_else(bad_price)?;
        let base = coin
            .path
            .ticks_at(at_ms)
            .filter(|_| coin.shocks.last().is_none_or(|last| last <= at_ms))
            .ok_or_else(|| MarketError::BadTime { symbol: symbol.clone(), at_ms })?;
        let now = shocked(base, coin.shocks.factor_at(at_ms)) as f64;
        if price.checked_rem(tick).is_none_or(|rest| !rest.is_zero())
            || wanted < 1.0
            || wanted < now / 100.0
            || wanted > now * 100.0
        {
            return Err(bad_price());
        }
        coin.shocks.0.push((at_ms, wanted / f64::from(base)));
        self.jumps.push((at_ms, symbol.clone(), price));
        Ok(())
    }
}
