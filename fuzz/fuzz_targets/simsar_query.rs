//! Whatever simsar is asked, it answers JSON and never fails inside.
#![no_main]

mod support;

use std::sync::Arc;

use jarvis::domain::{ManualClock, Timestamp};
use jarvis::market::{Simsar, SimsarOptions, SourceAddresses};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let options = SimsarOptions {
        addresses: SourceAddresses::one_host("http://sources"),
        finnhub_token: None,
        symbols: Vec::new(),
        concurrency: 4,
        built_in: false,
        data_dir: None,
    };
    let clock =
        Arc::new(ManualClock::new(Timestamp::from_timestamp_millis(1_700_000_000_000).expect("a time")));
    let simsar = Simsar::new(options, support::answering(200, "application/json", b"[]"), clock);
    support::ask(&simsar, text);
});
