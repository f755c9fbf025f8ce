//! A market replayed from recorded candles: `SYMBOL-{1h,4h,1d}.csv`, twelve columns with a header.

use std::collections::BTreeMap;
use std::path::Path as FilePath;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::assets::{ASSETS, find};
use super::calendar_time::{HOUR_MS, is_futures_session, is_new_york_session, sane};
use super::context::{Behaviour, LastRate};
use super::path::{Cell, Path, Seeds};
use super::rng::Stream;
use super::shocks::Shocks;
use super::synthetic::DOW_TICK;
use super::{Bar, Coin, Listing, Market, MarketError};
use crate::domain::{Interval, Symbol};

/// The intervals that files may hold, finest first.
const INTERVALS: [Interval; 3] = [Interval::Hour1, Interval::Hour4, Interval::Day1];
/// Dow Jones points of a recorded market without recorded points, at its start.
const DOW_LEVEL: f64 = 45_000.0;

impl Market {
    /// The market of the recorded candles in a folder, to be lived from `from_ms` (UTC milliseconds) on. The way inside
    /// each candle, and all that is not recorded, comes from `seed`.
    ///
    /// Not every coin, interval or period has to be there: where hourly candles are missing, the four-hourly and then the
    /// daily ones carry the path; a coin without a candle at an instant has no price there. Fails when the folder holds no
    /// candles, a line is not one, or nothing covers `from_ms`.
    pub fn recorded(candles: &FilePath, from_ms: i64, seed: u64) -> Result<Self, MarketError> {
        let files = read_folder(candles)?;
        let mut market = Self {
            seed,
            listings: Vec::new(),
            coins: Vec::new(),
            dow: Path::new(Vec::new(), Seeds::of(seed, "DJI")),
            dow_reference: DOW_LEVEL,
            generator: None,
            fine_from_ms: i64::MIN,
            jumps: Vec::new(),
            heard: None,
        };
        for (symbol, bars) in files {
            let listing = listing(&symbol, &bars);
            market.coins.push(coin(&listing, bars, seed, candles, from_ms)?);
            market.listings.push(listing);
        }
        let first_ms = market.coins.iter().filter_map(|coin| coin.path.start()).min().unwrap_or(0);
        let last_ms = market.coins.iter().filter_map(|coin| coin.path.end()).max().unwrap_or(0);
        if !market.coins.iter().any(|coin| coin.path.ticks_at(from_ms).is_some()) {
            return Err(MarketError::NotCovered { from_ms, first_ms, last_ms });
        }
        market.dow = dow(&market, from_ms, first_ms, last_ms);
        Ok(market)
    }
}

/// The bars of a coin's files, by interval.
type Files = Vec<(Interval, Vec<Bar>)>;

/// Every candle file of a folder; known coins first, in the exchange's order.
fn read_folder(folder: &FilePath) -> Result<Vec<(Symbol, Files)>, MarketError> {
    let failed = |path: &FilePath| {
        let path = path.display().to_string();
        move |source| MarketError::Read { path, source }
    };
    let mut found: BTreeMap<(usize, Symbol), Files> = BTreeMap::new();
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed(folder))? {
        paths.push(entry.map_err(failed(folder))?.path());
    }
    paths.sort();
    for path in paths {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let Some((symbol, word)) = name.strip_suffix(".csv").and_then(|stem| stem.rsplit_once('-')) else {
            continue;
        };
        let (Ok(symbol), Ok(interval)) = (Symbol::new(symbol), word.parse::<Interval>()) else { continue };
        if !INTERVALS.contains(&interval) {
            continue;
        }
        let text = std::fs::read_to_string(&path).map_err(failed(&path))?;
        let bars = parse(&text, interval, &path.display().to_string())?;
        let rank = ASSETS.iter().position(|asset| asset.symbol == symbol.as_str()).unwrap_or(ASSETS.len());
        found.entry((rank, symbol)).or_default().push((interval, bars));
    }
    if found.values().flatten().all(|(_, bars)| bars.is_empty()) {
        return Err(MarketError::Empty { path: folder.display().to_string() });
    }
    Ok(found.into_iter().map(|((_, symbol), bars)| (symbol, bars)).collect())
}

/// The candles of one file, in order of time. Extra columns are ignored; a header and empty lines are skipped.
fn parse(text: &str, interval: Interval, path: &str) -> Result<Vec<Bar>, MarketError> {
    let mut bars: Vec<Bar> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || (number == 0 && line.starts_with(|first: char| first.is_ascii_alphabetic())) {
            continue;
        }
        let bar = parse_line(line, interval).map_err(|reason| MarketError::Malformed {
            path: path.to_owned(),
            line: number + 1,
            reason,
        })?;
        if let Some(before) = bars.last().filter(|before| before.open_time >= bar.open_time) {
            return Err(MarketError::Malformed {
                path: path.to_owned(),
                line: number + 1,
                reason: format!("open_time {} does not come after {}", bar.open_time, before.open_time),
            });
        }
        bars.push(bar);
    }
    Ok(bars)
}

fn parse_line(line: &str, interval: Interval) -> Result<Bar, String> {
    let columns: Vec<&str> = line.split(',').map(str::trim).collect();
    let text = |place: usize| columns.get(place).copied().ok_or(format!("column {} is missing", place + 1));
    let amount = |place: usize| {
        let text = text(place)?;
        text.parse::<Decimal>()
            .or_else(|_| Decimal::from_scientific(text))
            .map_err(|_| format!("column {}: {text:?} is not a number", place + 1))
    };
    let whole = |place: usize| {
        let text = text(place)?;
        text.parse::<i64>().map_err(|_| format!("column {}: {text:?} is not a whole number", place + 1))
    };
    let open_time = whole(0)?;
    let length = interval.millis().unwrap_or(HOUR_MS);
    if sane(open_time) != open_time || open_time.rem_euclid(length) != 0 {
        return Err(format!("open_time {open_time} is not the start of a {interval} bar"));
    }
    let bar = Bar {
        open_time,
        close_time: open_time + length - 1,
        open: amount(1)?,
        high: amount(2)?,
        low: amount(3)?,
        close: amount(4)?,
        volume: amount(5)?,
        quote_volume: if columns.len() > 7 { amount(7)? } else { Decimal::ZERO },
        trades: if columns.len() > 8 { whole(8)?.max(0).cast_unsigned() } else { 0 },
    };
    let sound = bar.low > Decimal::ZERO
        && bar.low <= bar.open.min(bar.close)
        && bar.high >= bar.open.max(bar.close)
        && bar.volume >= Decimal::ZERO;
    if sound { Ok(bar) } else { Err("open, high, low and close do not belong to one bar".to_owned()) }
}

/// The rules of a recorded coin: the exchange's for a known one, read off its figures for another.
fn listing(symbol: &Symbol, files: &[(Interval, Vec<Bar>)]) -> Listing {
    if let Some(asset) = find(symbol.as_str()) {
        return Listing {
            symbol: symbol.clone(),
            tick: asset.tick(),
            price_digits: asset.price_digits(),
            step: asset.step(),
            minimum_notional: Decimal::from(asset.minimum_notional),
            funding_hours: asset.funding_hours,
        };
    }
    let bars = || files.iter().flat_map(|(_, bars)| bars);
    let places =
        |values: [Decimal; 4]| values.iter().map(|value| value.normalize().scale()).max().unwrap_or(0);
    let digits = bars().map(|bar| places([bar.open, bar.high, bar.low, bar.close])).max().unwrap_or(2).min(8);
    let step = bars().map(|bar| bar.volume.normalize().scale()).max().unwrap_or(0);
    Listing {
        symbol: symbol.clone(),
        tick: Decimal::new(1, digits),
        price_digits: digits,
        step: Decimal::new(1, step.min(3)),
        minimum_notional: Decimal::from(5),
        funding_hours: 8,
    }
}

fn coin(
    listing: &Listing,
    mut files: Files,
    seed: u64,
    folder: &FilePath,
    from_ms: i64,
) -> Result<Coin, MarketError> {
    files.sort_by_key(|(interval, _)| *interval);
    let mut cells: Vec<Cell> = Vec::new();
    for (_, bars) in &files {
        // a coarser bar carries the path only where no finer one does
        let finer = cells.clone();
        for bar in bars {
            let place = finer.partition_point(|cell| cell.end() <= bar.open_time);
            if finer.get(place).is_none_or(|cell| cell.start > bar.close_time) {
                cells.push(cell(bar, listing.tick).ok_or_else(|| MarketError::Malformed {
                    path: folder.display().to_string(),
                    line: 0,
                    reason: format!("a price of {} at {} is out of range", listing.symbol, bar.open_time),
                })?);
            }
        }
        cells.sort_by_key(|cell| cell.start);
    }
    let path = Path::new(cells, Seeds::of(seed, listing.symbol.as_str()));
    let tick = listing.tick.to_f64().unwrap_or(1.0);
    let level = path.ticks_at(from_ms).or_else(|| path.cells().last().map(|cell| cell.close)).unwrap_or(1);
    let behaviour = Behaviour::recorded(listing.symbol.as_str(), tick, f64::from(level) * tick);
    Ok(Coin { behaviour, path, shocks: Shocks::default(), files, rate: LastRate::default() })
}

fn cell(bar: &Bar, tick: Decimal) -> Option<Cell> {
    let ticks = |price: Decimal| price.checked_div(tick)?.round().to_u32().map(|ticks| ticks.max(1));
    Some(Cell {
        start: bar.open_time,
        length: u32::try_from(bar.close_time + 1 - bar.open_time).ok()?,
        open: ticks(bar.open)?,
        high: ticks(bar.high)?,
        low: ticks(bar.low)?,
        close: ticks(bar.close)?,
        volume: bar.volume.to_f64()?,
    })
}

/// A Dow Jones to go with the recorded prices: in its hours it follows the first coin in part, as measured, and wanders
/// on its own for the rest. Anchored at `from_ms`.
fn dow(market: &Market, from_ms: i64, first_ms: i64, last_ms: i64) -> Path {
    const SIGMA: f64 = 0.0024;
    const COIN_SIGMA: f64 = 0.005;
    let mut noise = Stream::new(market.seed, "DJI", "noise");
    let mut shape = Stream::new(market.seed, "DJI", "shape");
    let mut logs = Vec::new();
    let (mut level, mut anchored) = (0.0, 0.0);
    let mut hour = first_ms.div_euclid(HOUR_MS) * HOUR_MS;
    let mut before = None;
    while hour < last_ms {
        let price = market.coins.first().and_then(|coin| coin.level_at(hour + HOUR_MS - 1));
        let surprise = match (before, price) {
            (Some(before), Some(price)) => libm::log(price / before) / COIN_SIGMA,
            _ => 0.0,
        };
        before = price.or(before);
        let open = level;
        let (mut high, mut low) = (open, open);
        if is_futures_session(hour) {
            let sigma = if is_new_york_session(hour) { SIGMA } else { 0.42 * SIGMA };
            level += sigma * (0.44 * surprise.clamp(-5.0, 5.0) + 0.87 * noise.normal());
            high = open.max(level) + 0.3 * sigma * shape.exponential();
            low = open.min(level) - 0.3 * sigma * shape.exponential();
        }
        if hour <= from_ms {
            anchored = level;
        }
        logs.push((hour, [open, high, low, level]));
        hour += HOUR_MS;
    }
    let points = |log: f64| (DOW_LEVEL / DOW_TICK * libm::exp(log - anchored)).round() as u32;
    let cells = logs.into_iter().map(|(start, logs)| {
        let [open, high, low, close] = logs.map(points);
        let volume = if high == low { 0.0 } else { 6e7 };
        Cell { start, length: 3_600_000, open, high, low, close, volume }
    });
    Path::new(cells.collect(), Seeds::of(market.seed, "DJI"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[0-9a-z,.e+ \n-]{0,200}") {
            let _ = parse(&text, Interval::Hour1, "any");
        }

        #[test]
        fn every_figure_a_line_may_hold_is_refused_or_kept_exactly(
            hour in any::<i64>(), price in any::<[u8; 12]>(), scale in 0_u32..28, volume in any::<u64>(),
        ) {
            let mut digits = [0_u8; 16];
            digits[..12].copy_from_slice(&price);
            let price = Decimal::from_i128_with_scale(i128::from_le_bytes(digits), scale);
            let line = format!("{},{price},{price},{price},{price},{volume}", hour.wrapping_mul(HOUR_MS));
            if let Ok(bar) = parse_line(&line, Interval::Hour1) {
                prop_assert_eq!((bar.open, bar.close, bar.volume), (price, price, Decimal::from(volume)));
                // too large for a path is an error later, not a panic
                let _ = cell(&bar, Decimal::new(1, 5));
            }
        }
    }
}
