//! Candles of a coin with our fills and the model's decisions on them.

use chrono::{DateTime, TimeDelta};

use super::unreadable;
use crate::desk::floor::Floor;
use crate::domain::{ChartPage, Interval, Symbol};

/// Candles of a chart: more than the widest terminal can show.
const CANDLES: usize = 300;

impl Floor {
    pub(super) async fn chart_page(&self, symbol: Symbol, interval: Interval) -> Result<ChartPage, String> {
        if !self.symbols().contains(&symbol) {
            return Err(format!("{symbol} is not traded by any account"));
        }
        let window = self.simsar.window(&symbol, interval).await;
        let window = window.map_err(|error| format!("no candles of {symbol}: {error}"))?;
        let candles = window.value.last(CANDLES).to_vec();
        let now = self.shared.clock.now();
        let from = candles
            .first()
            .and_then(|candle| DateTime::from_timestamp_millis(candle.open_time))
            .unwrap_or(now);
        let to = now + TimeDelta::milliseconds(1);
        let store = &self.shared.store;
        let fills = store.fills_between(&symbol, from, to).await.map_err(|error| unreadable(&error))?;
        let decisions =
            store.decisions_between(&symbol, from, to).await.map_err(|error| unreadable(&error))?;
        Ok(ChartPage { symbol, interval, candles, fills, decisions })
    }
}
