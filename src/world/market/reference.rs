//! What is looked at but not traded: the Dow Jones and gold, in US dollars.

use super::bars::span;
use super::path::{Cell, Path, Seeds};
use super::shocks::Shocks;
use super::synthetic::DOW_TICK;
use super::{Coin, Market};

/// A market beside the coins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reference {
    /// The Dow Jones Industrial Average, nearly around the clock as its future trades.
    Dow,
    /// Gold, an ounce; the token on gold a trifle below the metal.
    Gold,
}

/// What a reference did in a span of time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ReferenceBar {
    pub(crate) open: f64,
    pub(crate) high: f64,
    pub(crate) low: f64,
    pub(crate) close: f64,
    pub(crate) volume: f64,
}

/// Gold in the vault is worth a little more than its token.
const GOLD_PREMIUM: f64 = 1.002;

impl Market {
    /// What a reference did in `from_ms..to_ms` as far as it is known at `now_ms`; nothing where there is no price.
    pub(crate) fn reference(
        &self,
        which: Reference,
        from_ms: i64,
        to_ms: i64,
        now_ms: i64,
    ) -> Option<ReferenceBar> {
        match which {
            Reference::Dow => bar(&self.dow, &Shocks::default(), DOW_TICK, from_ms, to_ms, now_ms),
            Reference::Gold => {
                let coin = self.gold()?;
                let unit = coin.behaviour.tick * GOLD_PREMIUM;
                bar(&coin.path, &coin.shocks, unit, from_ms, to_ms, now_ms)
            }
        }
    }

    /// Where the history of a reference begins, UTC milliseconds.
    pub(crate) fn reference_start(&self, which: Reference) -> Option<i64> {
        match which {
            Reference::Dow => self.dow.start(),
            Reference::Gold => self.gold()?.path.start(),
        }
    }

    fn gold(&self) -> Option<&Coin> {
        let number = self.listings.iter().position(|listing| listing.symbol.as_str() == "PAXGUSDT")?;
        self.coins.get(number)
    }

    /// The last price of a listed coin as a number, by its place in the listing: for words, not for money.
    pub(crate) fn level(&self, number: usize, at_ms: i64) -> Option<f64> {
        self.coins.get(number)?.level_at(at_ms)
    }
}

fn bar(
    path: &Path,
    shocks: &Shocks,
    unit: f64,
    from_ms: i64,
    to_ms: i64,
    now_ms: i64,
) -> Option<ReferenceBar> {
    let span = span(path, shocks, from_ms, to_ms, now_ms)?;
    let points = |ticks: i64| (ticks as f64 * unit * 100.0).round() / 100.0;
    Some(ReferenceBar {
        open: points(span.open),
        high: points(span.high),
        low: points(span.low),
        close: points(span.close),
        volume: span.volume,
    })
}

/// Recorded sessions of an index, each lived on a seeded way through its open, high, low and close.
#[derive(Debug, Clone)]
pub(crate) struct Sessions(Path);

impl Sessions {
    /// Sessions in order of time: start, end, the four prices, volume. What is not a session is left out.
    pub(crate) fn new(sessions: impl Iterator<Item = (i64, i64, [f64; 4], f64)>, seed: u64) -> Self {
        let ticks = |points: f64| (points / DOW_TICK).round() as u32;
        let cells = sessions.filter_map(|(start, end, [open, high, low, close], volume)| {
            Some(Cell {
                start,
                length: u32::try_from(end - start).ok()?,
                open: ticks(open),
                high: ticks(high.max(open).max(close)),
                low: ticks(low.min(open).min(close)),
                close: ticks(close),
                volume,
            })
        });
        Self(Path::new(cells.collect(), Seeds::of(seed, "DJI")))
    }

    /// As [`Market::reference`].
    pub(crate) fn bar(&self, from_ms: i64, to_ms: i64, now_ms: i64) -> Option<ReferenceBar> {
        bar(&self.0, &Shocks::default(), DOW_TICK, from_ms, to_ms, now_ms)
    }

    /// Start of the first and end of the last session.
    pub(crate) fn reach(&self) -> Option<(i64, i64)> {
        Some((self.0.start()?, self.0.end()?))
    }
}
