//! What this world lists, and how each coin behaves.

use rust_decimal::Decimal;

/// The constants of one coin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asset {
    pub(super) symbol: &'static str,
    /// Price increment as mantissa 1 and this many decimals.
    pub(super) tick_decimals: u32,
    /// Quantity increment as mantissa 1 and this many decimals.
    pub(super) step_decimals: u32,
    pub(super) minimum_notional: i64,
    pub(super) funding_hours: u32,
    /// Price around which the coin stands when a world is made, USDT.
    pub(super) level: f64,
    /// Weight of the common crypto factor.
    pub(super) beta: f64,
    /// Share of the coin's variance that is its own.
    pub(super) own_share: f64,
    /// Usual volume of an hour, USDT.
    pub(super) hourly_volume: f64,
    /// Open interest, USDT.
    pub(super) open_interest: f64,
    /// Mean funding rate, basis points.
    pub(super) funding_mean: f64,
    /// Half the distance between bid and ask, in ticks, rounded up.
    pub(super) spread_ticks: u32,
}

impl Asset {
    pub(super) fn tick(&self) -> Decimal {
        Decimal::new(1, self.tick_decimals)
    }

    /// Bitcoin's prices are written with a digit more than the increment needs, as at the exchange: a client that
    /// rounds by digits instead of increments finds out here.
    pub(super) fn price_digits(&self) -> u32 {
        self.tick_decimals + u32::from(self.symbol == "BTCUSDT")
    }

    pub(super) fn step(&self) -> Decimal {
        Decimal::new(1, self.step_decimals)
    }

    /// Gold follows its own process, not the crypto factor.
    pub(super) fn is_gold(&self) -> bool {
        self.symbol == "PAXGUSDT"
    }
}

/// Looks an asset up by its contract.
pub(super) fn find(symbol: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.symbol == symbol)
}

const fn coin(symbol: &'static str, tick_decimals: u32, step_decimals: u32, level: f64) -> Asset {
    Asset {
        symbol,
        tick_decimals,
        step_decimals,
        minimum_notional: 5,
        funding_hours: 8,
        level,
        beta: 1.5,
        own_share: 0.2,
        hourly_volume: 2e7,
        open_interest: 2e8,
        funding_mean: 0.3,
        spread_ticks: 1,
    }
}

/// The ten coins in the order the exchange lists them. Betas and own shares are chosen so that the volatilities and
/// the correlation matrix come out as measured on real hourly candles.
pub(super) const ASSETS: [Asset; 10] = [
    Asset {
        minimum_notional: 100,
        beta: 1.0,
        own_share: 0.17,
        hourly_volume: 6e8,
        open_interest: 6.1e9,
        funding_mean: 0.33,
        ..coin("BTCUSDT", 1, 3, 68_000.0)
    },
    Asset {
        minimum_notional: 20,
        beta: 1.46,
        own_share: 0.14,
        hourly_volume: 5e8,
        open_interest: 4.8e9,
        funding_mean: 0.30,
        ..coin("ETHUSDT", 2, 3, 2_000.0)
    },
    Asset {
        beta: 1.62,
        own_share: 0.17,
        hourly_volume: 1.2e8,
        open_interest: 7.7e8,
        funding_mean: -0.03,
        ..coin("SOLUSDT", 2, 2, 85.0)
    },
    Asset {
        beta: 1.18,
        own_share: 0.28,
        hourly_volume: 3e7,
        open_interest: 4.5e8,
        funding_mean: 0.10,
        ..coin("BNBUSDT", 2, 2, 640.0)
    },
    Asset {
        beta: 1.44,
        own_share: 0.23,
        hourly_volume: 6e7,
        open_interest: 4.0e8,
        funding_mean: 0.22,
        ..coin("XRPUSDT", 4, 1, 1.40)
    },
    Asset {
        beta: 1.70,
        own_share: 0.20,
        hourly_volume: 5e7,
        open_interest: 1.7e8,
        funding_mean: 0.32,
        ..coin("DOGEUSDT", 5, 0, 0.095)
    },
    Asset {
        beta: 1.72,
        own_share: 0.18,
        hourly_volume: 2.2e7,
        open_interest: 1.2e8,
        funding_mean: 0.33,
        ..coin("ADAUSDT", 4, 0, 0.52)
    },
    Asset {
        beta: 1.66,
        own_share: 0.25,
        hourly_volume: 1.5e7,
        open_interest: 1.0e8,
        funding_mean: 0.01,
        ..coin("AVAXUSDT", 3, 0, 9.2)
    },
    Asset {
        beta: 1.72,
        own_share: 0.17,
        hourly_volume: 1.8e7,
        open_interest: 1.5e8,
        funding_mean: 0.44,
        ..coin("LINKUSDT", 3, 2, 8.8)
    },
    Asset {
        beta: 0.10,
        own_share: 0.97,
        funding_hours: 4,
        hourly_volume: 4e6,
        open_interest: 1.6e8,
        funding_mean: 0.11,
        spread_ticks: 12,
        ..coin("PAXGUSDT", 2, 3, 4_600.0)
    },
];
