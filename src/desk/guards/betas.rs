//! How coins moved with bitcoin when it was measured last: kept for the next start, so that what is held then is not
//! counted as if it moved as bitcoin does until the first cycle measures again.

use std::sync::Arc;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{CoinFacts, MarketFacts};
use crate::desk::floor::Floor;
use crate::domain::Symbol;

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

impl Floor {
    fn betas_key(&self) -> String {
        format!("betas {}", self.shared.store.venue())
    }

    /// Keeps what the market of this cycle was measured to do, for the next start.
    pub(in crate::desk) async fn keep_betas(&self) {
        let measured: Vec<Measured> = self.guards.market().coins.iter().filter_map(Measured::of).collect();
        if measured.is_empty() {
            return;
        }
        let kept = match serde_json::to_string(&measured) {
            Ok(text) => self.shared.store.set_meta(&self.betas_key(), &text).await,
            Err(error) => return tracing::error!(%error, "the betas could not be written down"),
        };
        if let Err(error) = kept {
            tracing::warn!(%error, "the betas could not be kept for the next start");
        }
    }

    /// At a start: the measures of the last cycle, until one of this run has its own.
    pub(super) async fn recall_betas(&self) {
        let text = match self.shared.store.meta(&self.betas_key()).await {
            Ok(Some(text)) => text,
            Ok(None) => return,
            Err(error) => return tracing::warn!(%error, "the last betas could not be read"),
        };
        match serde_json::from_str::<Vec<Measured>>(&text) {
            Ok(measured) => {
                let coins = measured.into_iter().map(Measured::into_facts).collect();
                self.guards.begin_with(MarketFacts { coins, ..MarketFacts::unknown() });
            }
            Err(error) => tracing::warn!(%error, "the last betas make no sense"),
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
        let kept: Vec<Measured> = [&measured, &unmeasured].into_iter().filter_map(Measured::of).collect();
        let text = serde_json::to_string(&kept).unwrap();
        let again: Vec<Measured> = serde_json::from_str(&text).unwrap();
        assert_eq!(again, kept);

        let room = GuardRoom::new(&Settings::default());
        let coins: Vec<CoinFacts> = again.into_iter().map(Measured::into_facts).collect();
        let recalled = || MarketFacts { coins: coins.clone(), ..MarketFacts::unknown() };
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
