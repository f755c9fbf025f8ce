//! Whatever a data provider answers, simsar answers JSON: a reading or an error that names the source.
#![no_main]

mod support;

use std::sync::Arc;

use jarvis::domain::{ManualClock, Timestamp};
use jarvis::market::{Simsar, SimsarOptions, SourceAddresses};
use libfuzzer_sys::fuzz_target;

const PATHS: [&str; 15] = [
    "/price/BTCUSDT",
    "/candles/BTCUSDT?interval=1h&limit=5",
    "/indicators/rsi/BTCUSDT?interval=1h",
    "/indicators/macd/BTCUSDT?interval=4h",
    "/indicators/bbands/BTCUSDT?interval=1d",
    "/indicators/stoch/BTCUSDT?interval=1h",
    "/futures/funding-rate/BTCUSDT",
    "/futures/open-interest/BTCUSDT",
    "/futures/long-short-ratio/BTCUSDT",
    "/futures/top-trader-ratio/BTCUSDT",
    "/fear-greed",
    "/macro/us30/candles",
    "/macro/us30",
    "/news/crypto",
    "/calendar",
];

fuzz_target!(|data: &[u8]| {
    let [which, status, body @ ..] = data else { return };
    let options = SimsarOptions {
        addresses: SourceAddresses::one_host("http://sources"),
        finnhub_token: (which & 0x80 == 0).then(|| "token".into()),
        symbols: Vec::new(),
        concurrency: 4,
        built_in: false,
        data_dir: None,
    };
    let clock =
        Arc::new(ManualClock::new(Timestamp::from_timestamp_millis(1_700_000_000_000).expect("a time")));
    let status = [200, 200, 200, 404, 500][usize::from(*status) % 5];
    let simsar = Simsar::new(options, support::answering(status, "application/json", body), clock);
    support::ask(&simsar, PATHS[usize::from(*which & 0x7f) % PATHS.len()]);
});
