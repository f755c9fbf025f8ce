//! What every market must hold, made up or recorded.

mod recorded;
mod statistics;
mod synthetic;

use rust_decimal::Decimal;

use super::*;

pub(super) fn symbol(name: &str) -> Symbol {
    Symbol::new(name).unwrap()
}

pub(super) fn at(text: &str) -> i64 {
    text.parse::<chrono::DateTime<chrono::Utc>>().unwrap().timestamp_millis()
}

pub(super) fn assert_consistent(bars: &[Bar]) {
    for bar in bars {
        assert!(bar.low <= bar.open.min(bar.close) && bar.high >= bar.open.max(bar.close), "{bar:?}");
        assert!(bar.low > Decimal::ZERO && bar.volume >= Decimal::ZERO, "{bar:?}");
    }
    for pair in bars.windows(2) {
        assert!(pair[0].close_time < pair[1].open_time, "{pair:?}");
    }
}

/// Open, high, low and close of bars taken together.
pub(super) fn together(bars: &[Bar]) -> [Decimal; 4] {
    [
        bars[0].open,
        bars.iter().map(|bar| bar.high).max().unwrap(),
        bars.iter().map(|bar| bar.low).min().unwrap(),
        bars[bars.len() - 1].close,
    ]
}
