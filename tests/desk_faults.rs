//! Every fault at every step of an opening, a stop and a close: named, one by one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

mod common;

use common::oracle::{FAULTY_LIMIT_MS, check_log, check_rest, check_windows};
use common::{Bench, Setup};

#[test]
fn a_healthy_opening_is_protected_at_once() {
    let bench = Bench::new(&Setup::default());
    bench.faults.latency(100, 100);
    bench.live(async |bench| {
        let desk = bench.open().await;
        let report = desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9")]).await;
        eprintln!("{:#?}", report.decisions);
        desk.wait(300).await;
        let mut wrong = check_windows(bench, FAULTY_LIMIT_MS);
        wrong.extend(check_log(bench));
        wrong.extend(check_rest(bench, &desk).await);
        eprintln!("{:?}", bench.faults.windows());
        assert!(wrong.is_empty(), "{wrong:#?}");
        desk.end().await;
    });
}
