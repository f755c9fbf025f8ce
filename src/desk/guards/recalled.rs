//! What the last cycle saw of the market that outlives a run: kept for the next start, so that what is held then is not
//! counted as if it moved as bitcoin does, and nobody reads that no event is in sight, until the first cycle looks again.

use std::sync::Arc;

use chrono::TimeDelta;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::bias::Trend;
use super::{CoinFacts, MarketFacts};
use crate::desk::floor::Floor;
use crate::domain::{Symbol, Timestamp, Untrusted};

/// How long after it was measured the direction of the market is told: a cycle runs every hour.
const TREND_LASTS: TimeDelta = TimeDelta::hours(2);

/// One coin's measure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Measured {
    symbol: Symbol,
    beta: Decimal,
    correlation: Option<Decimal>,
}

impl Measured {
    fn of(coin: &CoinFacts) -> Option<Self> {
        Some(Self { symbol: coin.symbol.clone(), beta: coin.beta?, correlation: coin.correlation })
    }

    /// A coin of which nothing else is known: no price of it may be taken for a present one.
    fn into_facts(self) -> CoinFacts {
        CoinFacts {
            symbol: self.symbol,
            seen: None,
            mark: None,
            index: None,
            last_close: None,
            now: None,
            atr: None,
            beta: Some(self.beta),
            correlation: self.correlation,
            stale: None,
            silent_s: None,
        }
    }
}

/// What is kept.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    coins: Vec<Measured>,
    trend: Trend,
    events: Vec<(Timestamp, Untrusted)>,
    as_of: Timestamp,
}

impl Kept {
    /// Nothing of a market that was not seen or not measured.
    fn of(market: &MarketFacts) -> Option<Self> {
        let coins: Vec<Measured> = market.coins.iter().filter_map(Measured::of).collect();
        let (trend, events, as_of) = (market.trend, market.events.clone(), market.as_of?);
        (!coins.is_empty()).then_some(Self { coins, trend, events, as_of })
    }

    /// Where the market went is told for some hours only; how coins move and what is in the calendar stays.
    fn into_facts(self, now: Timestamp) -> MarketFacts {
        let is_new = now - self.as_of < TREND_LASTS;
        MarketFacts {
            coins: self.coins.into_iter().map(Measured::into_facts).collect(),
            trend: if is_new { self.trend } else { Trend::Flat },
            events: self.events,
            ..MarketFacts::unknown()
        }
    }
}

impl Floor {
    fn market_key(&self) -> String {
        format!("market {}", self.shared.store.venue())
    }

    /// Keeps what this cycle saw of the market, for the next start.
    pub(in crate::desk) async fn keep_market(&self) {
        let Some(kept) = Kept::of(&self.guards.market()) else { return };
        let kept = match serde_json::to_string(&kept) {
            Ok(text) => self.shared.store.set_meta(&self.market_key(), &text).await,
            Err(error) => return tracing::error!(%error, "the market could not be written down"),
        };
        if let Err(error) = kept {
            tracing::warn!(%error, "the market could not be kept for the next start");
        }
    }

    /// At a start: the market of the last cycle, until one of this run has seen its own.
    pub(super) async fn recall_market(&self) {
        let text = match self.shared.store.meta(&self.market_key()).await {
            Ok(Some(text)) => text,
            Ok(None) => return,
            Err(error) => return tracing::warn!(%error, "the last market could not be read"),
        };
        match serde_json::from_str::<Kept>(&text) {
            Ok(kept) => self.guards.begin_with(kept.into_facts(self.shared.clock.now())),
            Err(error) => tracing::warn!(%error, "the last market makes no sense"),
        }
    }
}

impl super::GuardRoom {
    /// Takes a market over unless one was seen meanwhile.
    fn begin_with(&self, market: MarketFacts) {
        let mut memory = self.memory();
        if memory.market.as_of.is_none() {
            memory.market = Arc::new(market);
        }
    }
}

#[cfg(test)]
mod tests {
    use rust_decimal_macros::dec;

    use super::super::GuardRoom;
    use super::super::scene::coin;
    use super::*;
    use crate::config::Settings;

    #[test]
    fn what_was_measured_counts_at_the_next_start_until_a_market_is_seen() {
        let measured = CoinFacts { beta: Some(dec!(1.6)), correlation: Some(dec!(0.7)), ..coin("SOLUSDT") };
        let unmeasured = CoinFacts { beta: None, ..coin("PAXGUSDT") };
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let events = vec![(at("2026-03-02T13:15:00Z"), Untrusted::new("EU rates"))];
        let as_of = Some(at("2026-03-02T08:05:00Z"));
        let market =
            MarketFacts { coins: vec![measured.clone(), unmeasured], trend: Trend::Falling, events, as_of };
        let text = serde_json::to_string(&Kept::of(&market).unwrap()).unwrap();
        let again = |now: &str| serde_json::from_str::<Kept>(&text).unwrap().into_facts(at(now));
        let (soon, late) = (again("2026-03-02T10:04:59Z"), again("2026-03-02T10:05:00Z"));
        assert_eq!((soon.trend, late.trend), (Trend::Falling, Trend::Flat));
        assert_eq!((&late.events, late.as_of), (&market.events, None), "it was not seen in this run");
        assert_eq!(late.coins.len(), 1, "what was not measured is not known");

        let room = GuardRoom::new(&Settings::default());
        let recalled = || again("2026-03-02T08:10:00Z");
        room.begin_with(recalled());
        let market = room.market();
        let shown = market.coin(&measured.symbol).unwrap();
        assert_eq!(
            (shown.beta, shown.correlation, shown.price()),
            (measured.beta, measured.correlation, None)
        );

        let seen =
            MarketFacts { as_of: Some(crate::domain::Timestamp::UNIX_EPOCH), ..MarketFacts::unknown() };
        room.memory().market = Arc::new(seen);
        room.begin_with(recalled());
        assert!(room.market().coins.is_empty(), "what was seen in this run is newer");
    }
}
