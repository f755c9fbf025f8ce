//! Candles of a coin with our fills and the model's decisions on them.

use chrono::{DateTime, TimeDelta};

use super::unreadable;
use crate::desk::floor::Floor;
use crate::domain::{Candle, ChartPage, Interval, Symbol};

/// Candles of a chart: more than the widest terminal can show.
const CANDLES: usize = 300;

/// Candles of five minutes in the longest interval a chart shows.
const SHORT_CANDLES: usize = 288;

impl Floor {
    pub(super) async fn chart_page(&self, symbol: Symbol, interval: Interval) -> Result<ChartPage, String> {
        if !self.symbols().contains(&symbol) {
            return Err(format!("{symbol} is not traded by any account"));
        }
        let window = self.simsar.window(&symbol, interval).await;
        let window = window.map_err(|error| format!("no candles of {symbol}: {error}"))?;
        let candles = window.value.last(CANDLES).to_vec();
        let forming = self.forming(&symbol, interval, candles.last()).await;
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
        Ok(ChartPage { symbol, interval, candles, forming, fills, decisions })
    }

    /// The candle after the last closed one, put together from the short ones within it that are closed; the present
    /// price, which a console knows better, goes on from there.
    async fn forming(&self, symbol: &Symbol, interval: Interval, last: Option<&Candle>) -> Option<Candle> {
        let begun = last?.open_time + interval.millis()?;
        let window = self.simsar.window(symbol, Interval::Minute5).await.ok()?;
        let short = window.value.last(SHORT_CANDLES).iter().filter(|candle| candle.open_time >= begun);
        short.copied().reduce(|whole, next| Candle {
            open_time: begun,
            open: whole.open,
            high: whole.high.max(next.high),
            low: whole.low.min(next.low),
            close: next.close,
            volume: whole.volume + next.volume,
        })
    }
}
