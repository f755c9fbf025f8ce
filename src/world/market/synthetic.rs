//! A made-up market: history behind an anchor, and a future that is lived hour by hour.

use rust_decimal::Decimal;

use super::assets::ASSETS;
use super::calendar_time::{DAY_MS, weekday};
use super::context::{Behaviour, LastRate};
use super::path::{Cell, Path, Seeds};
use super::process::{Generator, LogCell};
use super::rng::Stream;
use super::shocks::Shocks;
use super::{Coin, Listing, Market};
use crate::domain::Symbol;

/// How far the hourly history reaches behind the anchor: enough for 499 closed daily candles and the warm-up of the
/// process.
const HISTORY_DAYS: i64 = 540;
/// How far the five-minute bars reach behind the anchor.
const FINE_DAYS: i64 = 30;
/// Dow Jones points around which a made-up world stands, and its increment.
const DOW_LEVEL: f64 = 53_000.0;
pub(super) const DOW_TICK: f64 = 0.01;

impl Market {
    /// The market of `seed` with its history before `anchor_ms` (UTC milliseconds): five-minute bars for thirty days,
    /// hourly ones for 540 days. The same seed and anchor give the same market.
    pub fn synthetic(seed: u64, anchor_ms: i64) -> Self {
        let today = anchor_ms.div_euclid(DAY_MS) * DAY_MS;
        let start = today - (HISTORY_DAYS + weekday(today)) * DAY_MS;
        let fine_from = today - FINE_DAYS * DAY_MS;
        let mut generator = Generator::new(seed, start);
        let mut history: Vec<Vec<LogCell>> = vec![Vec::new(); ASSETS.len() + 1];
        while generator.next_start() <= anchor_ms {
            let fine = generator.next_start() >= fine_from;
            generator.hour(fine, &mut |series, cell| history[series].push(cell));
        }
        let mut paths = history.iter().enumerate().map(|(series, cells)| {
            let scale = Scale::of(series, seed, cells);
            let name = ASSETS.get(series).map_or("DJI", |asset| asset.symbol);
            let cells = cells.iter().map(|cell| scale.cell(cell)).collect();
            (Path::new(cells, Seeds::of(seed, name)), scale)
        });
        let mut coins = Vec::new();
        for asset in &ASSETS {
            if let Some((path, scale)) = paths.next() {
                let behaviour = Behaviour::synthetic(asset, scale.reference);
                let (shocks, rate) = (Shocks::default(), LastRate::default());
                coins.push(Coin { behaviour, path, shocks, files: Vec::new(), rate });
            }
        }
        let (dow, dow_scale) = paths
            .next()
            .unwrap_or_else(|| (Path::new(Vec::new(), Seeds::of(seed, "DJI")), Scale::of(0, seed, &[])));
        Self {
            seed,
            listings: ASSETS.iter().filter_map(listing).collect(),
            coins,
            dow,
            dow_reference: dow_scale.reference,
            generator: Some(generator),
            fine_from_ms: fine_from,
            jumps: Vec::new(),
            heard: None,
        }
    }

    /// Whether there is nothing to add to be known up to `now_ms`.
    pub fn reaches(&self, now_ms: i64) -> bool {
        self.generator.as_ref().is_none_or(|generator| generator.next_start() > now_ms)
    }

    /// Makes the path known up to `now_ms`. Cheap when it is already; a recorded market has nothing to add.
    pub fn extend_to(&mut self, now_ms: i64) {
        let Some(generator) = &mut self.generator else { return };
        while generator.next_start() <= now_ms {
            let (coins, dow, reference) = (&mut self.coins, &mut self.dow, self.dow_reference);
            generator.hour(true, &mut |series, cell| match coins.get_mut(series) {
                Some(coin) => {
                    let scale = Scale { reference: coin.behaviour.reference, tick: coin.behaviour.tick };
                    coin.path.push(scale.cell(&cell));
                }
                None => dow.push(Scale { reference, tick: DOW_TICK }.cell(&cell)),
            });
        }
    }
}

fn listing(asset: &super::assets::Asset) -> Option<Listing> {
    Some(Listing {
        symbol: Symbol::new(asset.symbol).ok()?,
        tick: asset.tick(),
        price_digits: asset.price_digits(),
        step: asset.step(),
        minimum_notional: Decimal::from(asset.minimum_notional),
        funding_hours: asset.funding_hours,
    })
}

/// How the logarithms of a series become prices.
#[derive(Debug, Clone, Copy)]
struct Scale {
    /// The price where the logarithm is zero.
    reference: f64,
    tick: f64,
}

impl Scale {
    /// Chosen so that the history ends near the level of the asset.
    fn of(series: usize, seed: u64, cells: &[LogCell]) -> Self {
        let asset = ASSETS.get(series);
        let (name, level, tick, spread) = asset.map_or(("DJI", DOW_LEVEL, DOW_TICK, 0.02), |asset| {
            (asset.symbol, asset.level, 1.0 / 10_f64.powi(asset.tick_decimals.cast_signed()), 0.06)
        });
        let end = cells.last().map_or(0.0, |cell| cell.close);
        let chance = spread * Stream::new(seed, name, "level").normal();
        Self { reference: level * libm::exp(chance.clamp(-0.2, 0.2) - end), tick }
    }

    fn cell(&self, cell: &LogCell) -> Cell {
        let price = |log: f64| self.reference * libm::exp(log);
        let ticks = |log: f64| (price(log) / self.tick).round().clamp(1.0, f64::from(u32::MAX / 4)) as u32;
        let (open, close) = (ticks(cell.open), ticks(cell.close));
        Cell {
            start: cell.start,
            length: cell.length,
            open,
            high: ticks(cell.high).max(open).max(close),
            low: ticks(cell.low).min(open).min(close),
            close,
            volume: cell.volume / price(cell.close),
        }
    }
}
