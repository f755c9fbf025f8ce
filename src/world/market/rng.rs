//! Seeded randomness that gives the same numbers on every machine and in every version.
//!
//! A [`Stream`] is one sequence for one asset and one purpose, so that a new coin changes no other coin. The `hash`
//! functions are randomness without order: the same place always gives the same draw, in whatever order it is asked for.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// One independent sequence of draws.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    generator: ChaCha8Rng,
    spare: Option<f64>,
}

impl Stream {
    /// The sequence of `purpose` for `name` (a coin, or the market as a whole).
    pub(super) fn new(seed: u64, name: &str, purpose: &str) -> Self {
        let mut key = [0_u8; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&hash_text(name).to_le_bytes());
        key[16..24].copy_from_slice(&hash_text(purpose).to_le_bytes());
        Self { generator: ChaCha8Rng::from_seed(key), spare: None }
    }

    /// Uniform, strictly between 0 and 1.
    pub(super) fn unit(&mut self) -> f64 {
        to_unit(self.generator.next_u64())
    }

    /// Standard normal, by the polar method.
    pub(super) fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        loop {
            let (x, y) = (2.0 * self.unit() - 1.0, 2.0 * self.unit() - 1.0);
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                let factor = libm::sqrt(-2.0 * libm::log(square) / square);
                self.spare = Some(y * factor);
                return x * factor;
            }
        }
    }

    /// Exponential with mean 1.
    pub(super) fn exponential(&mut self) -> f64 {
        -libm::log(self.unit())
    }

    /// Gamma with the given shape (above 1) and scale 1, by squeezing a cubed normal.
    pub(super) fn gamma(&mut self, shape: f64) -> f64 {
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / libm::sqrt(9.0 * d);
        loop {
            let x = self.normal();
            let base = 1.0 + c * x;
            if base <= 0.0 {
                continue;
            }
            let cube = base * base * base;
            if libm::log(self.unit()) < 0.5 * x * x + d - d * cube + d * libm::log(cube) {
                return d * cube;
            }
        }
    }

    /// The random scale that turns a normal into Student's t of `freedom` (above 2) with variance 1.
    pub(super) fn student_scale(&mut self, freedom: f64) -> f64 {
        let chi_square = 2.0 * self.gamma(freedom / 2.0);
        libm::sqrt((freedom - 2.0) / chi_square)
    }
}

/// Scrambles 64 bits so that neighbours share nothing.
pub(super) fn mix(value: u64) -> u64 {
    let mut bits = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// One number for a text.
pub(crate) fn hash_text(text: &str) -> u64 {
    mix(text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)))
}

/// One number for a place: a seed, and where it is asked.
pub(crate) fn hash_at(seed: u64, place: i64) -> u64 {
    mix(seed ^ mix(place.cast_unsigned()))
}

/// Uniform draw of a place, strictly between 0 and 1.
pub(crate) fn unit_at(seed: u64, place: i64) -> f64 {
    to_unit(hash_at(seed, place))
}

/// Nearly normal draw of a place (four uniforms added): cheap, bounded at 3.5 standard deviations.
pub(crate) fn normal_at(seed: u64, place: i64) -> f64 {
    let bits = hash_at(seed, place);
    let sum: u64 = (0..4).map(|lane| (bits >> (16 * lane)) & 0xffff).sum();
    // four uniforms on 0..65535: mean 131 070, standard deviation 65 536 / sqrt(3)
    (sum as f64 - 131_070.0) / 37_837.227
}

/// A slow wave around zero with standard deviation about 1: draws at multiples of `period`, joined smoothly.
pub(crate) fn wave_at(seed: u64, at_ms: i64, period_ms: i64) -> f64 {
    let knot = at_ms.div_euclid(period_ms);
    let part = at_ms.rem_euclid(period_ms) as f64 / period_ms as f64;
    let blend = part * part * (3.0 - 2.0 * part);
    let (left, right) = (normal_at(seed, knot), normal_at(seed, knot + 1));
    // dividing by the norm of the weights keeps the variance level between the knots
    let (a, b) = (1.0 - blend, blend);
    (left * a + right * b) / libm::sqrt(a * a + b * b)
}

fn to_unit(bits: u64) -> f64 {
    ((bits >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(draws: &[f64]) -> (f64, f64) {
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        (mean, draws.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / draws.len() as f64)
    }

    #[test]
    fn draws_have_the_mean_and_variance_their_names_promise() {
        let mut stream = Stream::new(1, "BTC", "test");
        let normal: Vec<f64> = (0..20_000).map(|_| stream.normal()).collect();
        let gamma: Vec<f64> = (0..20_000).map(|_| stream.gamma(2.25)).collect();
        let hashed: Vec<f64> = (0..20_000).map(|place| normal_at(9, place)).collect();
        for (name, draws, mean, variance) in
            [("normal", normal, 0.0, 1.0), ("gamma", gamma, 2.25, 2.25), ("hashed", hashed, 0.0, 1.0)]
        {
            let (m, v) = moments(&draws);
            assert!((m - mean).abs() < 0.05, "{name} mean {m}");
            assert!((v / variance - 1.0).abs() < 0.06, "{name} variance {v}");
        }
    }

    #[test]
    fn streams_of_different_purposes_share_nothing() {
        let mut one = Stream::new(1, "BTC", "noise");
        let mut two = Stream::new(1, "BTC", "volume");
        let mut same = Stream::new(1, "BTC", "noise");
        let first = one.unit();
        assert!((first - two.unit()).abs() > 1e-12);
        assert!((first - same.unit()).abs() < 1e-15);
    }
}
