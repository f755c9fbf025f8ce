//! Does the made-up market look like a market? Fixed seeds against what was measured on real hourly candles.

use super::*;

/// Sixty days of hours, the window of the measured bands.
const WINDOW: usize = 1440;

/// Statistic, 5th and 95th percentile over 184 real windows of nine coins, 2019 to 2026.
const BANDS: [(&str, f64, f64); 15] = [
    ("yearly volatility", 0.425, 1.493),
    ("skew", -2.31, 1.31),
    ("excess kurtosis", 3.87, 48.7),
    ("tail index", 2.13, 3.53),
    ("autocorrelation of returns", -0.092, 0.069),
    ("autocorrelation of size, 1 h", 0.124, 0.360),
    ("autocorrelation of size, 6 h", 0.019, 0.241),
    ("autocorrelation of size, 24 h", 0.023, 0.177),
    ("autocorrelation of size, 168 h", -0.013, 0.134),
    ("size and volume", 0.52, 0.629),
    ("autocorrelation of volume, 1 h", 0.573, 0.790),
    ("range over closes", 1.022, 1.302),
    ("variance ratio of a day", 0.657, 1.187),
    ("busiest over quietest hour", 1.72, 3.16),
    ("weekend over week", 0.555, 0.932),
];

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn correlation(one: &[f64], other: &[f64]) -> f64 {
    let (a, b) = (mean(one), mean(other));
    let product: f64 = one.iter().zip(other).map(|(x, y)| (x - a) * (y - b)).sum();
    let square = |values: &[f64], m: f64| values.iter().map(|x| (x - m) * (x - m)).sum::<f64>();
    product / (square(one, a) * square(other, b)).sqrt()
}

fn lagged(values: &[f64], lag: usize) -> f64 {
    correlation(&values[lag..], &values[..values.len() - lag])
}

/// The statistics of [`BANDS`], in their order, over one window of hourly cells.
fn statistics(cells: &[path::Cell]) -> Vec<f64> {
    let returns: Vec<f64> =
        cells.windows(2).map(|pair| (f64::from(pair[1].close) / f64::from(pair[0].close)).ln()).collect();
    let cells = &cells[1..];
    let sizes: Vec<f64> = returns.iter().map(|r| r.abs()).collect();
    let volumes: Vec<f64> = cells.iter().map(|cell| cell.volume.ln()).collect();
    let centre = mean(&returns);
    let moment = |power: i32| mean(&returns.iter().map(|r| (r - centre).powi(power)).collect::<Vec<f64>>());
    let variance = moment(2);
    let mut sorted = sizes.clone();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let tail = sorted.len() / 20;
    let hill = 1.0 / mean(&sorted[..tail].iter().map(|x| (x / sorted[tail]).ln()).collect::<Vec<f64>>());
    let ranges: Vec<f64> = cells
        .iter()
        .map(|cell| (f64::from(cell.high) / f64::from(cell.low)).ln().powi(2) / (4.0 * 2_f64.ln()))
        .collect();
    let days: Vec<f64> = returns.windows(24).map(|day| day.iter().sum::<f64>()).collect();
    let day_mean = mean(&days);
    let day_variance = mean(&days.iter().map(|d| (d - day_mean).powi(2)).collect::<Vec<f64>>());
    let of = |wanted: &dyn Fn(i64) -> bool| {
        mean(
            &cells.iter().zip(&sizes).filter(|(c, _)| wanted(c.start)).map(|(_, s)| *s).collect::<Vec<f64>>(),
        )
    };
    let hours: Vec<f64> =
        (0..24).map(|hour| of(&|start| start.rem_euclid(86_400_000) / 3_600_000 == hour)).collect();
    let (busy, quiet) = hours.iter().fold((0.0_f64, f64::MAX), |(b, q), h| (b.max(*h), q.min(*h)));
    vec![
        (variance * 8760.0).sqrt(),
        moment(3) / variance.powf(1.5),
        moment(4) / (variance * variance) - 3.0,
        hill,
        lagged(&returns, 1),
        lagged(&sizes, 1),
        lagged(&sizes, 6),
        lagged(&sizes, 24),
        lagged(&sizes, 168),
        correlation(&sizes, &volumes),
        lagged(&volumes, 1),
        (mean(&ranges) / variance).sqrt(),
        day_variance / (24.0 * variance),
        busy / quiet,
        of(&calendar_time::is_weekend) / of(&|start| !calendar_time::is_weekend(start)),
    ]
}

fn hourly(market: &Market, coin: usize) -> &[path::Cell] {
    let cells = market.coins[coin].path.cells();
    let hours = cells.partition_point(|cell| cell.start < market.fine_from_ms);
    &cells[..hours]
}

#[test]
fn made_up_hours_look_like_real_hours() {
    let mut windows: Vec<Vec<f64>> = Vec::new();
    let mut pairs = Vec::new();
    let mut gold = Vec::new();
    let mut gold_volatility = Vec::new();
    for seed in [1, 2] {
        let market = Market::synthetic(seed, at("2026-11-22T12:34:56Z"));
        let crypto = market.listings().len() - 1;
        for coin in 0..crypto {
            windows.extend(hourly(&market, coin).chunks_exact(WINDOW).map(statistics));
        }
        gold_volatility
            .extend(hourly(&market, crypto).chunks_exact(WINDOW).map(|window| statistics(window)[0]));
        let returns: Vec<Vec<f64>> = (0..=crypto)
            .map(|coin| {
                let cells = &hourly(&market, coin)[..3 * WINDOW];
                cells.windows(2).map(|p| (f64::from(p[1].close) / f64::from(p[0].close)).ln()).collect()
            })
            .collect();
        for one in 0..crypto {
            gold.push(correlation(&returns[one], &returns[crypto]));
            pairs.extend((one + 1..crypto).map(|other| correlation(&returns[one], &returns[other])));
        }
    }
    let mut wrong = Vec::new();
    for (number, (name, low, high)) in BANDS.iter().enumerate() {
        let mut values: Vec<f64> = windows.iter().map(|window| window[number]).collect();
        values.sort_by(f64::total_cmp);
        let median = values[values.len() / 2];
        let inside =
            values.iter().filter(|v| (*low..=*high).contains(*v)).count() as f64 / values.len() as f64;
        let line = format!("{name}: median {median:.3}, {:.0} % inside {low}..{high}", inside * 100.0);
        println!("{line}");
        if !(*low..=*high).contains(&median) || inside < 0.6 {
            wrong.push(line);
        }
    }
    println!("gold volatility {gold_volatility:.2?}");
    println!("pairs {:.3}, gold {:.3}", mean(&pairs), mean(&gold));
    assert!(wrong.is_empty(), "outside the real bands: {wrong:#?}");
    let together = mean(&pairs);
    assert!((0.74..0.88).contains(&together), "coins move together as much as real ones: {together:.3}");
    let apart = mean(&gold);
    let calm = mean(&gold_volatility);
    assert!((0.14..0.38).contains(&calm), "gold is calmer than any coin: {calm:.3}");
    assert!((0.02..0.35).contains(&apart), "gold hardly follows them: {apart:.3}");
}
