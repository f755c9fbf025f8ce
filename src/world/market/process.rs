//! The synthetic market, hour by hour: hidden regimes, one crypto factor, ten coins, gold and the Dow Jones.
//!
//! Volatility is the exponential of several mean-reverting waves, a profile over the day and the week, announcements
//! and the market's own excitement; returns have fat tails and rare jumps. An hour is drawn whole and, where
//! five-minute bars are kept, split by a bridge, so that every interval is an aggregate of one path. The generator only
//! ever moves forward by one hour: extending in small steps or in one gives the same market.

use super::announcements;
use super::assets::{ASSETS, Asset};
use super::calendar_time::{HOUR_MS, is_futures_session, is_new_york_session, is_weekend};
use super::rng::Stream;

/// A bar in natural logarithms of the price, relative to the coin's level; volume in USDT.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogCell {
    pub(super) start: i64,
    pub(super) length: u32,
    pub(super) open: f64,
    pub(super) high: f64,
    pub(super) low: f64,
    pub(super) close: f64,
    pub(super) volume: f64,
}

/// Parts of an hour where five-minute bars are kept.
const PARTS: usize = 12;
/// Standard deviation of the factor's hourly return at the usual level of volatility.
const FACTOR_SIGMA: f64 = 0.0041;
const GOLD_SIGMA: f64 = 0.0026;
/// Usual turnover of the Dow Jones in an hour of its session, US dollars times points.
const DOW_TURNOVER: f64 = 3.2e12;
/// Hourly standard deviation of the Dow Jones in its session; outside it the future is quieter.
const DOW_SIGMA: f64 = 0.0024;

#[derive(Debug, Clone, Copy)]
struct Regime {
    dwell_hours: f64,
    drift_per_day: f64,
    log_vol: f64,
    jumps: f64,
}

const REGIMES: [Regime; 5] = [
    Regime { dwell_hours: 240.0, drift_per_day: 0.0, log_vol: -0.35, jumps: 0.5 },
    Regime { dwell_hours: 300.0, drift_per_day: 0.0028, log_vol: -0.10, jumps: 0.8 },
    Regime { dwell_hours: 260.0, drift_per_day: -0.0030, log_vol: 0.15, jumps: 1.3 },
    Regime { dwell_hours: 200.0, drift_per_day: 0.0, log_vol: 0.10, jumps: 1.0 },
    Regime { dwell_hours: 36.0, drift_per_day: -0.010, log_vol: 0.75, jumps: 4.0 },
];

/// A mean-reverting wave around zero, stepped once an hour.
#[derive(Debug, Clone)]
struct Wave {
    keep: f64,
    kick: f64,
    level: f64,
}

impl Wave {
    fn new(hours: f64, deviation: f64) -> Self {
        let keep = libm::exp(-1.0 / hours);
        Self { keep, kick: deviation * libm::sqrt(1.0 - keep * keep), level: 0.0 }
    }

    fn step(&mut self, stream: &mut Stream) -> f64 {
        self.level = self.keep * self.level + self.kick * stream.normal();
        self.level
    }
}

/// What one hour did to a driver: its return by parts (one part where only the hour is kept) and its diffusive scale.
#[derive(Debug, Clone, Copy)]
struct Hour {
    parts: [f64; PARTS],
    scale: f64,
}

#[derive(Debug, Clone)]
struct Coin {
    asset: &'static Asset,
    noise: Stream,
    shape: Stream,
    volume: Stream,
    own_vol: Wave,
    own_sigma: f64,
    volume_wave: Wave,
    price: f64,
}

/// The state of the synthetic market before the next hour.
#[derive(Debug, Clone)]
pub(super) struct Generator {
    next_hour: i64,
    regimes: Stream,
    factor: Stream,
    jumps: Stream,
    weights: Stream,
    regime: usize,
    hours_left: f64,
    drift: f64,
    regime_vol: f64,
    jump_factor: f64,
    waves: [Wave; 3],
    excitement: f64,
    leverage: f64,
    coins: Vec<Coin>,
    dow: Dow,
}

#[derive(Debug, Clone)]
struct Dow {
    noise: Stream,
    shape: Stream,
    wave: Wave,
    price: f64,
}

impl Generator {
    /// The market of `seed` standing before the hour that begins at `start_ms`.
    pub(super) fn new(seed: u64, start_ms: i64) -> Self {
        let stream = |purpose| Stream::new(seed, "market", purpose);
        Self {
            next_hour: start_ms.div_euclid(HOUR_MS),
            regimes: stream("regimes"),
            factor: stream("factor"),
            jumps: stream("jumps"),
            weights: stream("weights"),
            regime: 0,
            hours_left: REGIMES[0].dwell_hours,
            drift: 0.0,
            regime_vol: REGIMES[0].log_vol,
            jump_factor: REGIMES[0].jumps,
            waves: [Wave::new(3.0, 0.26), Wave::new(40.0, 0.20), Wave::new(500.0, 0.22)],
            excitement: 0.0,
            leverage: 0.0,
            coins: ASSETS.iter().map(|asset| Coin::new(seed, asset)).collect(),
            dow: Dow {
                noise: Stream::new(seed, "DJI", "noise"),
                shape: Stream::new(seed, "DJI", "shape"),
                wave: Wave::new(120.0, 0.35),
                price: 0.0,
            },
        }
    }

    /// Start of the hour that comes next.
    pub(super) fn next_start(&self) -> i64 {
        self.next_hour * HOUR_MS
    }

    /// Lives one hour and hands each bar to `keep` with the number of its series: the coins in listing order, then the
    /// Dow Jones. `fine` keeps five-minute bars instead of the hour.
    pub(super) fn hour(&mut self, fine: bool, keep: &mut impl FnMut(usize, LogCell)) {
        let start = self.next_start();
        self.next_hour += 1;
        self.change_regime();
        let announced = announcements::excitement(start);
        let log_vol = announced + self.common_log_vol(start);
        let (weights, parts) = if fine { (self.split(), PARTS) } else { ([1.0; PARTS], 1) };
        let factor = self.factor_hour(log_vol, &weights, parts);
        let frame = Frame { start, parts, weights: &weights, factor: &factor, log_vol, announced };
        for (number, coin) in self.coins.iter_mut().enumerate() {
            coin.hour(&frame, &mut |cell| keep(number, cell));
        }
        self.dow.hour(&frame, &mut |cell| keep(ASSETS.len(), cell));
    }

    fn change_regime(&mut self) {
        self.hours_left -= 1.0;
        if self.hours_left <= 0.0 {
            self.regime = next_regime(self.regime, self.regimes.unit());
            self.hours_left = 1.0 + REGIMES[self.regime].dwell_hours * self.regimes.exponential();
        }
        // a regime fades in over about half a day
        let target = REGIMES[self.regime];
        let fade = 1.0 / 6.0;
        self.drift += fade * (target.drift_per_day / 24.0 - self.drift);
        self.regime_vol += fade * (target.log_vol - self.regime_vol);
        self.jump_factor += fade * (target.jumps - self.jump_factor);
    }

    fn common_log_vol(&mut self, start: i64) -> f64 {
        let waves: f64 = self.waves.iter_mut().map(|wave| wave.step(&mut self.factor)).sum();
        waves
            + self.regime_vol
            + day_profile(start)
            + if is_weekend(start) { -0.26 } else { 0.0 }
            + self.excitement
            + self.leverage
    }

    /// How the activity of an hour falls on its five-minute parts.
    fn split(&mut self) -> [f64; PARTS] {
        let mut weights = [0.0; PARTS];
        for weight in &mut weights {
            *weight = self.weights.gamma(2.5);
        }
        let sum: f64 = weights.iter().sum();
        weights.map(|weight| weight / sum)
    }

    fn factor_hour(&mut self, log_vol: f64, weights: &[f64; PARTS], parts: usize) -> Hour {
        let scale = FACTOR_SIGMA * libm::exp(log_vol) * self.factor.student_scale(4.5);
        let diffusion = scale * self.factor.normal();
        let jump = jump(&mut self.jumps, 0.0022 * self.jump_factor, FACTOR_SIGMA * libm::exp(0.5 * log_vol));
        let mut hour = bridge(&mut self.factor, diffusion, scale, weights, parts);
        if let Some((size, place)) = jump {
            hour.parts[(place * parts as f64) as usize] += size;
        }
        for (part, weight) in hour.parts[..parts].iter_mut().zip(weights) {
            *part += self.drift * weight;
        }
        let total: f64 = hour.parts[..parts].iter().sum();
        let surprise = total / (FACTOR_SIGMA * libm::exp(log_vol - self.excitement));
        self.excitement = 0.82 * self.excitement + 0.045 * (surprise.abs().min(6.0) - 0.7);
        self.leverage = (-0.05 * surprise).clamp(-0.2, 0.2);
        hour
    }
}

impl Coin {
    fn new(seed: u64, asset: &'static Asset) -> Self {
        let stream = |purpose| Stream::new(seed, asset.symbol, purpose);
        let own_sigma = if asset.is_gold() {
            GOLD_SIGMA
        } else {
            FACTOR_SIGMA * asset.beta * libm::sqrt(asset.own_share / (1.0 - asset.own_share))
        };
        Self {
            asset,
            noise: stream("noise"),
            shape: stream("shape"),
            volume: stream("volume"),
            own_vol: if asset.is_gold() { Wave::new(60.0, 0.42) } else { Wave::new(20.0, 0.28) },
            own_sigma,
            volume_wave: Wave::new(30.0, 0.50),
            price: 0.0,
        }
    }

    fn hour(&mut self, frame: &Frame<'_>, keep: &mut impl FnMut(LogCell)) {
        let own = self.own_vol.step(&mut self.noise);
        let log_vol = if self.asset.is_gold() {
            let closed = if is_futures_session(frame.start) { 0.0 } else { -0.85 };
            own + closed + 0.9 * day_profile(frame.start) + frame.announced
        } else {
            own + 0.85 * frame.log_vol
        };
        let scale = self.own_sigma * libm::exp(log_vol) * self.noise.student_scale(4.2);
        let diffusion = scale * self.noise.normal();
        let mut own = bridge(&mut self.noise, diffusion, scale, frame.weights, frame.parts);
        if let Some((size, place)) = jump(&mut self.noise, 0.0006, self.own_sigma * libm::exp(log_vol)) {
            own.parts[(place * frame.parts as f64) as usize] += size;
        }
        let beta = self.asset.beta;
        let scale = libm::sqrt(beta * beta * frame.factor.scale * frame.factor.scale + own.scale * own.scale);
        let returns: [f64; PARTS] =
            std::array::from_fn(|part| beta * frame.factor.parts[part] + own.parts[part]);
        let total: f64 = returns[..frame.parts].iter().sum();
        let local = if self.asset.is_gold() {
            self.own_sigma * libm::exp(log_vol)
        } else {
            FACTOR_SIGMA * beta * libm::exp(frame.log_vol)
        };
        let activity =
            self.activity(total, local, if self.asset.is_gold() { log_vol } else { frame.log_vol });
        for (part, gain) in returns[..frame.parts].iter().enumerate() {
            let weight = frame.weights[part];
            let (high, low) = extremes(&mut self.shape, *gain, scale * libm::sqrt(weight));
            let (open, close) = (self.price, self.price + gain);
            self.price = close;
            let volume = if frame.parts == 1 { activity } else { activity * weight };
            keep(LogCell {
                start: frame.part_start(part),
                length: frame.part_length(),
                open,
                high: open + high,
                low: open + low,
                close,
                volume,
            });
        }
    }

    /// Volume of an hour in USDT: more when prices move and when volatility is high.
    fn activity(&mut self, total: f64, local_sigma: f64, log_vol: f64) -> f64 {
        let wave = self.volume_wave.step(&mut self.volume);
        let surprise = (total.abs() / local_sigma).clamp(0.05, 30.0);
        self.asset.hourly_volume
            * libm::exp(0.85 * log_vol + 0.40 * libm::log(surprise) + wave + 0.22 * self.volume.normal())
    }
}

impl Dow {
    /// The Dow Jones future: it follows the factor in part, in its own hours only.
    fn hour(&mut self, frame: &Frame<'_>, keep: &mut impl FnMut(LogCell)) {
        let wave = self.wave.step(&mut self.noise);
        let closed = !is_futures_session(frame.start);
        let quiet = if is_new_york_session(frame.start) { 1.0 } else { 0.42 };
        let sigma = DOW_SIGMA * quiet * libm::exp(wave);
        let own_scale = 0.87 * sigma * self.noise.student_scale(5.0);
        let diffusion = own_scale * self.noise.normal();
        let own = bridge(&mut self.noise, diffusion, own_scale, frame.weights, frame.parts);
        for part in 0..frame.parts {
            let pulled = (frame.factor.parts[part] / FACTOR_SIGMA).clamp(-6.0, 6.0) * 0.50 * sigma;
            let gain = if closed { 0.0 } else { own.parts[part] + pulled };
            let weight = libm::sqrt(frame.weights[part]);
            let (high, low) =
                if closed { (0.0, 0.0) } else { extremes(&mut self.shape, gain, sigma * weight) };
            let (open, close) = (self.price, self.price + gain);
            self.price = close;
            let volume = if closed { 0.0 } else { DOW_TURNOVER * quiet * libm::exp(wave) * weight * weight };
            keep(LogCell {
                start: frame.part_start(part),
                length: frame.part_length(),
                open,
                high: open + high,
                low: open + low,
                close,
                volume,
            });
        }
    }
}

/// What the coins of one hour share.
struct Frame<'a> {
    start: i64,
    parts: usize,
    weights: &'a [f64; PARTS],
    factor: &'a Hour,
    log_vol: f64,
    announced: f64,
}

impl Frame<'_> {
    fn part_length(&self) -> u32 {
        if self.parts == 1 { 3_600_000 } else { 300_000 }
    }

    fn part_start(&self, part: usize) -> i64 {
        self.start + part as i64 * i64::from(self.part_length())
    }
}

/// Stress follows anything but rarely, and is followed by chop or a bear market more often than not.
fn next_regime(from: usize, draw: f64) -> usize {
    let odds: [f64; 5] = match from {
        0 => [0.0, 0.42, 0.22, 0.28, 0.08],
        1 => [0.30, 0.0, 0.22, 0.34, 0.14],
        2 => [0.24, 0.24, 0.0, 0.34, 0.18],
        3 => [0.30, 0.30, 0.26, 0.0, 0.14],
        _ => [0.14, 0.20, 0.30, 0.36, 0.0],
    };
    let mut left = draw;
    for (number, share) in odds.iter().enumerate() {
        left -= share;
        if left < 0.0 {
            return number;
        }
    }
    3
}

/// Busiest between 14 and 15 UTC, when New York is awake and London is not yet asleep.
fn day_profile(start: i64) -> f64 {
    let hour = start.rem_euclid(24 * HOUR_MS) as f64 / HOUR_MS as f64 + 0.5;
    let turn = (hour - 15.0) * std::f64::consts::TAU / 24.0;
    0.20 * libm::cos(turn) + 0.10 * libm::cos(2.0 * turn)
}

/// A jump of the hour, if there is one: its size, and where in the hour it falls.
fn jump(stream: &mut Stream, chance: f64, sigma: f64) -> Option<(f64, f64)> {
    if stream.unit() >= chance {
        return None;
    }
    let size = sigma * (3.0 + 2.0 * stream.exponential());
    let sign = if stream.unit() < 0.62 { -1.0 } else { 1.0 };
    Some((sign * size, stream.unit()))
}

/// Splits a return into parts that add up to it and wander as a walk of this scale would.
fn bridge(stream: &mut Stream, total: f64, scale: f64, weights: &[f64; PARTS], parts: usize) -> Hour {
    let mut hour = Hour { parts: [0.0; PARTS], scale };
    if parts == 1 {
        hour.parts[0] = total;
        return hour;
    }
    let mut sum = 0.0;
    for (part, weight) in hour.parts.iter_mut().zip(weights) {
        *part = libm::sqrt(*weight) * scale * stream.normal();
        sum += *part;
    }
    for (part, weight) in hour.parts.iter_mut().zip(weights) {
        *part += weight * (total - sum);
    }
    hour
}

/// The highest and lowest point of a walk from 0 to `gain`, as a Brownian bridge would reach them, with a little wick.
fn extremes(stream: &mut Stream, gain: f64, scale: f64) -> (f64, f64) {
    let reach = |stream: &mut Stream, end: f64| {
        let top = 0.5 * (end + libm::sqrt(end * end + 2.0 * scale * scale * stream.exponential()));
        top + (top - end.max(0.0)) * 0.12
    };
    (reach(stream, gain), -reach(stream, -gain))
}
