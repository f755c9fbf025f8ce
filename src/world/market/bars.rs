//! Bars of every interval, aggregated from the one path of a coin; recorded closed bars are served as they are.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::calendar_time::{DAY_MS, civil, from_civil, sane};
use super::context::decimal;
use super::path::{Cell, Path};
use super::rng::{hash_at, unit_at};
use super::shocks::{Shocks, shocked};
use super::{Bar, Coin, Listing, Market};
use crate::domain::{Interval, Symbol};

/// What the path did in a span, in ticks and coins.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Span {
    pub(crate) open: i64,
    pub(crate) high: i64,
    pub(crate) low: i64,
    pub(crate) close: i64,
    pub(crate) volume: f64,
    /// Volume times price, in ticks.
    pub(crate) turnover: f64,
    touched: bool,
}

impl Span {
    fn add(&mut self, ticks: i64) {
        if self.touched {
            self.high = self.high.max(ticks);
            self.low = self.low.min(ticks);
        } else {
            (self.open, self.high, self.low, self.touched) = (ticks, ticks, ticks, true);
        }
        self.close = ticks;
    }

    /// Adds a whole bar that nothing disturbed.
    fn join(&mut self, cell: &Cell) {
        let [open, high, low, close] =
            [cell.open, cell.high, cell.low, cell.close].map(|ticks| i64::from(ticks).max(1));
        if self.touched {
            self.high = self.high.max(high);
            self.low = self.low.min(low);
        } else {
            (self.open, self.high, self.low, self.touched) = (open, high, low, true);
        }
        self.close = close;
    }

    fn trade(&mut self, volume: f64, price: f64) {
        self.volume += volume;
        self.turnover += volume * price;
    }
}

/// What a path did in `from_ms..to_ms`, seen at `now_ms` (an instant at or before now is known); nothing when it did
/// not begin. `shocks` are applied.
pub(super) fn span(path: &Path, shocks: &Shocks, from_ms: i64, to_ms: i64, now_ms: i64) -> Option<Span> {
    let mut span = Span::default();
    let end = to_ms.min(now_ms.saturating_add(1));
    let first = path.index_at(from_ms).unwrap_or(0);
    for cell in path.cells()[first.min(path.cells().len())..].iter().take_while(|cell| cell.start < end) {
        if cell.end() <= from_ms {
            continue;
        }
        let (from, until) = (cell.start.max(from_ms), cell.end().min(end));
        let jumped = shocks.inside(cell.start, cell.end()).next().is_some();
        if from == cell.start && until == cell.end() && shocks.is_empty() {
            span.join(cell);
        } else if from == cell.start && until == cell.end() && !jumped {
            let factor = shocks.factor_at(cell.start);
            for ticks in [cell.open, cell.high, cell.low, cell.close] {
                span.add(shocked(ticks, factor));
            }
        } else {
            walk_part(path, cell, shocks, from, until, &mut span);
        }
        let part = volume_share(path.seeds().noise, cell, from, until);
        let typical = (span.high + span.low + 2 * span.close) as f64 / 4.0;
        span.trade(cell.volume * part, typical);
    }
    span.touched.then_some(span)
}

/// Adds what the way did in a part of a bar: the stretches between the jumps, each under its own factor, and each jump
/// itself, which takes the price of the second before it along.
fn walk_part(path: &Path, cell: &Cell, shocks: &Shocks, from: i64, until: i64, span: &mut Span) {
    let last = (until - 1 - cell.start).div_euclid(1000);
    let mut second = (from - cell.start).div_euclid(1000);
    let mut at = from;
    let mut held = None;
    for jump in shocks.inside(from, until).map(Some).chain([None]) {
        // the first second at or after the jump begins the next stretch
        let next = jump.map_or(last + 1, |jump| (jump - cell.start + 999).div_euclid(1000)).min(last + 1);
        let factor = shocks.factor_at(at);
        if second < next {
            let stretch = path.stretch(cell, second, next - 1);
            for ticks in [stretch.open, stretch.high, stretch.low, stretch.close] {
                span.add(shocked(ticks, factor));
            }
            held = Some(stretch.close);
            second = next;
        }
        if let Some(jump) = jump {
            if let Some(ticks) = held {
                span.add(shocked(ticks, shocks.factor_at(jump)));
            }
            at = jump;
        }
    }
}

/// The share of a bar's volume that falls on a part of it: each minute has its own seeded weight.
fn volume_share(seed: u64, cell: &Cell, from: i64, until: i64) -> f64 {
    if from == cell.start && until == cell.end() {
        return 1.0;
    }
    let seed = hash_at(seed ^ 0x70_6c_75_6d_65, cell.start);
    let (mut inside, mut whole) = (0.0, 0.0);
    let mut minute = cell.start;
    while minute < cell.end() {
        let weight = 0.4 + 1.2 * unit_at(seed, minute);
        let overlap = (until.min(minute + 60_000) - from.max(minute)).max(0) as f64 / 60_000.0;
        inside += weight * overlap;
        whole += weight;
        minute += 60_000;
    }
    inside / whole
}

/// Start of the bar of an interval that holds an instant. Days begin at midnight UTC, weeks on Monday.
pub(crate) fn bar_start(interval: Interval, at_ms: i64) -> i64 {
    match (interval, interval.millis()) {
        (Interval::Week1, Some(week)) => (at_ms + 3 * DAY_MS).div_euclid(week) * week - 3 * DAY_MS,
        (_, Some(length)) => at_ms.div_euclid(length) * length,
        (_, None) => {
            let (year, month, _) = civil(at_ms);
            from_civil(year, month, 1)
        }
    }
}

/// Start of the bar after the one that starts at `start_ms`.
pub(crate) fn next_bar(interval: Interval, start_ms: i64) -> i64 {
    interval.millis().map_or_else(
        || {
            let (year, month, _) = civil(start_ms);
            from_civil(year, month + 1, 1)
        },
        |length| start_ms + length,
    )
}

impl Market {
    /// Bars of a contract, oldest first, as the exchange serves them: open times in `start_ms..=end_ms`; at most
    /// `limit`, the first ones from a given start, the newest ones without. The last one may be open still: it holds what
    /// the path did up to `now_ms`. Nothing after `now_ms` is ever shown. Intervals below an hour reach back to where
    /// five-minute bars begin.
    pub fn bars(
        &self,
        symbol: &Symbol,
        interval: Interval,
        start_ms: Option<i64>,
        end_ms: Option<i64>,
        limit: usize,
        now_ms: i64,
    ) -> Vec<Bar> {
        let (now_ms, start_ms, end_ms) = (sane(now_ms), start_ms.map(sane), end_ms.map(sane));
        let Some((listing, coin)) = self.coin(symbol) else { return Vec::new() };
        let Some(first) = self.first_bar(coin, interval) else { return Vec::new() };
        let newest = bar_start(interval, now_ms.min(end_ms.unwrap_or(i64::MAX)));
        let mut start = match start_ms {
            Some(start) if start > first => {
                let held = bar_start(interval, start);
                if held < start { next_bar(interval, held) } else { held }
            }
            Some(_) => first,
            None => {
                let mut start = newest;
                for _ in 1..limit {
                    if start <= first {
                        break;
                    }
                    start = bar_start(interval, start - 1);
                }
                start.max(first)
            }
        };
        let file = coin.files.iter().find(|(of, _)| *of == interval).map_or(&[][..], |(_, bars)| bars);
        let end = newest.min(coin.path.end().unwrap_or(first) - 1);
        let mut bars = Vec::with_capacity(limit.min(1500));
        while start <= end && bars.len() < limit {
            let next = next_bar(interval, start);
            let recorded = file
                .binary_search_by_key(&start, |bar| bar.open_time)
                .ok()
                .filter(|_| next <= now_ms && coin.shocks.is_quiet_until(next));
            match recorded {
                Some(place) => bars.push(file[place].clone()),
                None => bars.extend(coin.bar(listing, start, next, now_ms)),
            }
            start = next;
        }
        bars
    }

    /// Lowest and highest last price in `from_ms..=to_ms`, jumps included; nothing where there is no path. Who plays
    /// through a long stretch may skip what cannot matter; a mark, being smoothed, may lag a little outside.
    pub fn range(&self, symbol: &Symbol, from_ms: i64, to_ms: i64) -> Option<(Decimal, Decimal)> {
        let (listing, coin) = self.coin(symbol)?;
        let (from, to) = (sane(from_ms), sane(to_ms));
        let span = span(&coin.path, &coin.shocks, from, to + 1, to)?;
        Some((listing.tick * Decimal::from(span.low), listing.tick * Decimal::from(span.high)))
    }

    /// Start of the first whole bar of an interval.
    fn first_bar(&self, coin: &Coin, interval: Interval) -> Option<i64> {
        let hour = Interval::Hour1.millis();
        let mut from = coin.path.start()?;
        if !self.is_recorded() && interval.millis().is_some_and(|length| Some(length) < hour) {
            from = from.max(self.fine_from_ms);
        }
        let held = bar_start(interval, from);
        Some(if held < from { next_bar(interval, held) } else { held })
    }
}

impl Coin {
    /// The bar of a span as far as it is known.
    fn bar(&self, listing: &Listing, start: i64, next: i64, now_ms: i64) -> Option<Bar> {
        let span = span(&self.path, &self.shocks, start, next, now_ms)?;
        let price = |ticks: i64| listing.tick * Decimal::from(ticks);
        let volume = decimal(span.volume, listing.step.scale());
        let quote_volume = decimal(span.turnover * self.behaviour.tick, 4);
        Some(Bar {
            open_time: start,
            close_time: next - 1,
            open: price(span.open),
            high: price(span.high),
            low: price(span.low),
            close: price(span.close),
            volume,
            quote_volume,
            // a trade is worth a few thousand dollars on the large coins, some hundreds on the small ones
            trades: (libm::pow(quote_volume.to_f64().unwrap_or(0.0).max(0.0), 0.82) / 12.0) as u64,
        })
    }

    /// Traded coins between two instants.
    pub(super) fn volume_between(&self, from_ms: i64, to_ms: i64) -> f64 {
        span(&self.path, &self.shocks, from_ms, to_ms, to_ms).map_or(0.0, |span| span.volume)
    }
}
