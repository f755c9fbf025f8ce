//! A price path: bars of known open, high, low and close, and a seeded way through each of them, second by second.
//!
//! The way starts at the bar's open, ends at its close, touches its high and its low, and never leaves them. It is a
//! function of the bar alone: asking for one second or for all of them, today or in a year, gives the same prices.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::rng::{hash_at, hash_text, normal_at, unit_at};

/// What decides the way through the bars of a path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seeds {
    /// The wandering of this path alone.
    pub(crate) noise: u64,
    /// When bars reach their highs and lows: shared by the coins of a market, so that they fall together.
    pub(crate) timing: u64,
}

/// One bar of a path; prices in ticks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cell {
    /// Start, UTC milliseconds.
    pub(crate) start: i64,
    /// Length in milliseconds, a whole number of seconds.
    pub(crate) length: u32,
    /// First price.
    pub(crate) open: u32,
    /// Highest price.
    pub(crate) high: u32,
    /// Lowest price.
    pub(crate) low: u32,
    /// Last price.
    pub(crate) close: u32,
    /// Volume in coins.
    pub(crate) volume: f64,
}

impl Seeds {
    /// The seeds of `name` in the market of `seed`.
    pub(crate) fn of(seed: u64, name: &str) -> Self {
        Self { noise: seed ^ hash_text(name), timing: seed ^ hash_text("timing") }
    }
}

impl Cell {
    /// First millisecond after the bar.
    pub(crate) fn end(&self) -> i64 {
        self.start + i64::from(self.length)
    }

    /// The last whole second of the bar, counted from its start.
    pub(crate) fn last_second(&self) -> i64 {
        (i64::from(self.length) / 1000 - 1).max(0)
    }

    /// Calls `visit(second, ticks)` for every second of `from..=to`, counted from the start of the bar.
    pub(crate) fn walk(&self, seeds: Seeds, from: i64, to: i64, visit: &mut impl FnMut(i64, u32)) {
        let last = self.last_second();
        let (from, to) = (from.clamp(0, last), to.clamp(0, last));
        if last == 0 || self.high == self.low {
            (from..=to).for_each(|second| visit(second, if second == last { self.close } else { self.open }));
            return;
        }
        let (knots, count) = self.knots(hash_at(seeds.timing, self.start), last);
        let way = Way {
            seed: hash_at(seeds.noise, self.start),
            floor: f64::from(self.low),
            ceiling: f64::from(self.high),
            // a walk of n steps spans about 1.6 √n standard deviations
            step: f64::from(self.high - self.low) / (1.6 * libm::sqrt(last as f64)),
            from,
            to,
        };
        for pair in knots[..count].windows(2) {
            // a knot belongs to the leg it begins
            way.leg(pair[0], pair[1], visit);
        }
        if to == last {
            visit(last, self.close);
        }
    }

    /// Where the way is held: open, the two extremes in a seeded order, close.
    fn knots(&self, timing: u64, last: i64) -> ([Knot; 4], usize) {
        let place = |number: i64, from: f64, to: f64| {
            (last as f64 * (from + (to - from) * unit_at(timing, -number))) as i64
        };
        // a rising bar usually makes its low first
        let low_first = (unit_at(timing, -3) < 0.72) == (self.close >= self.open);
        let (first, second) = if low_first { (self.low, self.high) } else { (self.high, self.low) };
        let mut knots = [Knot { second: 0, price: f64::from(self.open) }; 4];
        let mut count = 1;
        let legs =
            [(place(1, 0.04, 0.48).max(1), first), (place(2, 0.52, 0.96).max(2), second), (last, self.close)];
        for (at, price) in legs {
            if at > knots[count - 1].second && at <= last {
                knots[count] = Knot { second: at, price: f64::from(price) };
                count += 1;
            }
        }
        (knots, count)
    }
}

/// What the way through a bar did in some of its seconds; prices in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) open: u32,
    pub(crate) high: u32,
    pub(crate) low: u32,
    pub(crate) close: u32,
}

/// Stretches that were walked before, by the bar's start and the two seconds.
///
/// A chart of days that open at half past asks for the same half hours again and again, and walking one takes a
/// thousand times as long as finding it. A stretch follows from its bar alone, so what is kept here never ages.
#[derive(Debug, Default)]
struct Walked(Mutex<HashMap<(i64, i64, i64), Stretch>>);

impl Walked {
    /// As many as a year's days need a few times over; then it begins anew.
    const LIMIT: usize = 2048;

    fn get(&self, key: (i64, i64, i64), walk: impl FnOnce() -> Stretch) -> Stretch {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stretch) = kept.get(&key) {
            return *stretch;
        }
        if kept.len() >= Self::LIMIT {
            kept.clear();
        }
        let stretch = walk();
        kept.insert(key, stretch);
        stretch
    }
}

#[derive(Debug, Clone, Copy)]
struct Knot {
    second: i64,
    price: f64,
}

struct Way {
    seed: u64,
    floor: f64,
    ceiling: f64,
    step: f64,
    from: i64,
    to: i64,
}

impl Way {
    /// Halves the leg between two known seconds until the wanted ones are known.
    fn leg(&self, left: Knot, right: Knot, visit: &mut impl FnMut(i64, u32)) {
        if left.second > self.to || right.second <= self.from {
            return;
        }
        if right.second - left.second <= 1 {
            visit(left.second, left.price.round() as u32);
            return;
        }
        let second = i64::midpoint(left.second, right.second);
        let (before, after) = ((second - left.second) as f64, (right.second - second) as f64);
        let straight = (left.price * after + right.price * before) / (before + after);
        let spread = self.step * libm::sqrt(before * after / (before + after));
        let price = (straight + spread * normal_at(self.seed, second)).clamp(self.floor, self.ceiling);
        let middle = Knot { second, price };
        self.leg(left, middle, visit);
        self.leg(middle, right, visit);
    }
}

/// Bars in order of time, never overlapping; gaps hold the last price.
#[derive(Debug, Clone)]
pub(crate) struct Path {
    cells: Vec<Cell>,
    seeds: Seeds,
    /// Shared by all copies: one that grows on grows the same bars.
    walked: Arc<Walked>,
}

impl Path {
    /// A path over bars that are sorted by start and do not overlap.
    pub(crate) fn new(cells: Vec<Cell>, seeds: Seeds) -> Self {
        Self { cells, seeds, walked: Arc::default() }
    }

    /// Adds the next bar.
    pub(crate) fn push(&mut self, cell: Cell) {
        self.cells.push(cell);
    }

    /// The bars.
    pub(crate) fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// What decides the way through the bars.
    pub(crate) fn seeds(&self) -> Seeds {
        self.seeds
    }

    /// Start of the first bar.
    pub(crate) fn start(&self) -> Option<i64> {
        self.cells.first().map(|cell| cell.start)
    }

    /// End of the last bar.
    pub(crate) fn end(&self) -> Option<i64> {
        self.cells.last().map(Cell::end)
    }

    /// The number of the last bar that starts at or before an instant.
    pub(crate) fn index_at(&self, at_ms: i64) -> Option<usize> {
        self.cells.partition_point(|cell| cell.start <= at_ms).checked_sub(1)
    }

    /// What the way through a bar of this path did in the seconds `from..=to`, counted from the start of the bar.
    pub(crate) fn stretch(&self, cell: &Cell, from: i64, to: i64) -> Stretch {
        self.walked.get((cell.start, from, to), || {
            let mut stretch: Option<Stretch> = None;
            cell.walk(self.seeds, from, to, &mut |_, ticks| {
                let so_far =
                    stretch.get_or_insert(Stretch { open: ticks, high: ticks, low: ticks, close: ticks });
                so_far.high = so_far.high.max(ticks);
                so_far.low = so_far.low.min(ticks);
                so_far.close = ticks;
            });
            stretch.unwrap_or(Stretch { open: cell.open, high: cell.open, low: cell.open, close: cell.open })
        })
    }

    /// The price at an instant, in ticks; nothing before the first bar and after the last.
    pub(crate) fn ticks_at(&self, at_ms: i64) -> Option<u32> {
        let cell = &self.cells[self.index_at(at_ms)?];
        if at_ms >= self.end()? {
            return None;
        }
        let second = ((at_ms - cell.start) / 1000).min(cell.last_second());
        let mut price = None;
        cell.walk(self.seeds, second, second, &mut |_, ticks| price = Some(ticks));
        price
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SEEDS: Seeds = Seeds { noise: 7, timing: 8 };

    fn all_seconds(cell: &Cell) -> Vec<(i64, u32)> {
        let mut seen = Vec::new();
        cell.walk(SEEDS, 0, cell.last_second(), &mut |second, ticks| seen.push((second, ticks)));
        seen
    }

    proptest! {
        #[test]
        fn the_way_touches_exactly_open_high_low_and_close(
            start in 0_i64..1_000_000, minutes in prop::sample::select(vec![5_u32, 60, 240, 1440]),
            low in 1_u32..1_000_000, span in 0_u32..5_000, open in 0.0..1.0_f64, close in 0.0..1.0_f64,
        ) {
            let high = low + span;
            let inside = |share: f64| low + (share * f64::from(span)) as u32;
            let cell = Cell {
                start: start * 60_000, length: minutes * 60_000,
                open: inside(open), high, low, close: inside(close), volume: 1.0,
            };
            let seen = all_seconds(&cell);
            prop_assert_eq!(seen.len(), minutes as usize * 60);
            prop_assert!(seen.iter().enumerate().all(|(i, (second, _))| i as i64 == *second));
            prop_assert_eq!(seen[0].1, cell.open);
            prop_assert_eq!(seen[seen.len() - 1].1, cell.close);
            prop_assert_eq!(seen.iter().map(|s| s.1).max(), Some(high));
            prop_assert_eq!(seen.iter().map(|s| s.1).min(), Some(low));
        }
    }

    #[test]
    fn one_second_asked_alone_equals_the_same_second_of_the_whole_way() {
        let cell = Cell { start: 0, length: 300_000, open: 100, high: 160, low: 80, close: 140, volume: 1.0 };
        let path = Path::new(vec![cell], SEEDS);
        for (second, ticks) in all_seconds(&cell) {
            assert_eq!(path.ticks_at(second * 1000 + 999), Some(ticks), "second {second}");
        }
        assert_eq!(path.ticks_at(-1), None);
        assert_eq!(path.ticks_at(300_000), None);
    }
}
