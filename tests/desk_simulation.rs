//! The desk under random faults, shocks, crashes and hands of strangers: seeded, on a virtual clock.
//!
//! `JARVIS_SIM_SEEDS` and `JARVIS_SIM_CYCLES` lengthen the run; every failure names its seed, and the same seed sends
//! the same orders.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may fail loudly, and tells its seed"
)]

mod common;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::faults::{
    Call, Fate, Faults, LAG, REFUSED_STOP, THROTTLED_503, TIMEOUT_408, TOO_MANY_429, UNAVAILABLE_503,
    UNKNOWN_503, WOULD_TRIGGER,
};
use common::oracle::{FAULTY_LIMIT_MS, check_log, check_rest, check_windows, orders_sent};
use common::{Bench, Desk, Setup, rows_of};
use jarvis::desk::CycleError;
use jarvis::domain::{Command, Side, Trigger};
use rust_decimal::Decimal;

const COINS: &[&str] = &["BTCUSDT", "ETHUSDT", "SOLUSDT"];
/// One request in so many goes wrong.
const FAULT_EVERY: u64 = 12;
/// At one change in so many the desk dies, before or after it was delivered.
const CRASH_EVERY: u64 = 60;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What becomes of a call, from the seed alone.
fn fate_of(faults: &Faults, call: &Call) -> Option<Fate> {
    if call.path.ends_with("/listenKey") {
        return None;
    }
    let name = format!("{} {} {} {} {}", call.account, call.method, call.path, call.symbol, call.id);
    let roll = faults.roll_now(&name);
    if call.mutates() && (roll / 3).is_multiple_of(CRASH_EVERY) {
        return Some(Fate::Crash { delivered: roll.is_multiple_of(3) });
    }
    if !roll.is_multiple_of(FAULT_EVERY) {
        return None;
    }
    let kind = roll / FAULT_EVERY % 16;
    let delivered = (roll / 1000).is_multiple_of(2);
    Some(match kind {
        0 => Fate::DropBefore,
        1 => Fate::LoseAnswer,
        2 => Fate::Reset,
        3 => Fate::Truncate,
        4 => Fate::answer(delivered, 503, UNKNOWN_503),
        5 => Fate::answer(false, 503, THROTTLED_503),
        6 => Fate::answer(false, 503, UNAVAILABLE_503),
        7 => Fate::answer(delivered, 408, TIMEOUT_408),
        8 => Fate::Answer {
            delivered: false,
            status: 429,
            body: TOO_MANY_429,
            retry_after: Some(roll / 7 % 3),
        },
        9 => Fate::Refuse,
        10 | 11 if call.is("GET", "/order") || call.is("GET", "/algoOrder") => Fate::answer(false, 400, LAG),
        10 if call.is_stop() => Fate::answer(false, 400, WOULD_TRIGGER),
        11 | 12 if call.is_stop() => Fate::answer(false, 400, REFUSED_STOP),
        13 if call.is_opening() => Fate::Late(Duration::from_millis(5_500 + roll / 99 % 4000)),
        _ if call.mutates() => Fate::answer(delivered, 502, "<html>bad gateway</html>"),
        _ => Fate::answer(false, 502, "<html>bad gateway</html>"),
    })
}

/// What the model says: sometimes sensible, sometimes not, sometimes below the threshold.
async fn say(bench: &Bench, cycle: u64) {
    let mut rows = Vec::new();
    for account in 0..bench.names.len() {
        let held = bench.truth(account).positions().await.unwrap();
        for coin in COINS {
            let roll = bench.faults.roll(&format!("says {cycle} {account} {coin}"));
            let is_held = held.iter().any(|position| position.symbol.as_str() == *coin);
            let word = match (is_held, roll % 10) {
                (true, 0..=3) => "CLOSE",
                (false, 3..=5) => "SHORT",
                (false, 0..=2) | (_, 6) => "LONG",
                _ => "HOLD",
            };
            rows.push((account, *coin, word, if (roll / 10).is_multiple_of(5) { "0.70" } else { "0.80" }));
        }
    }
    bench.script.say(&rows_of(bench, &rows));
}

/// What the rest of the world does between two cycles.
async fn meanwhile(bench: &Bench, desk: &Desk, cycle: u64) {
    bench.world.advance(120);
    for coin in COINS {
        let roll = bench.faults.roll(&format!("shock {cycle} {coin}"));
        if roll.is_multiple_of(5) {
            let points = Decimal::from(roll / 5 % 29) - Decimal::from(14);
            bench.shock(&common::symbol(coin), points / Decimal::ONE_HUNDRED).await;
        }
    }
    let roll = bench.faults.roll(&format!("hand {cycle}"));
    if roll.is_multiple_of(12) {
        let account = usize::try_from(roll / 12).unwrap_or(0) % bench.names.len();
        let coin = common::symbol("ETHUSDT");
        let is_flat =
            !bench.truth(account).positions().await.unwrap().iter().any(|position| position.symbol == coin);
        if is_flat {
            bench.trade_by_hand(account, &coin, Side::Buy, "0.05").await;
        }
    }
    if roll.is_multiple_of(9) {
        let account = bench.names[usize::try_from(roll / 9).unwrap_or(0) % bench.names.len()].clone();
        let symbol = common::symbol("BTCUSDT");
        desk.command(cycle, Command::ClosePosition { account, symbol }).await;
    }
}

struct Run {
    cycles: u64,
    crashes: u64,
    wrong: Vec<String>,
    orders: Vec<(i64, usize, String, String)>,
    log: Vec<common::faults::Entry>,
}

fn run(seed: u64, cycles: u64) -> Run {
    let bench = Bench::new(&Setup { seed, accounts: 3, coins: COINS });
    bench.faults.latency(20, 250);
    let mut done = 0;
    let mut crashes = 0;
    while done < cycles {
        bench.faults.heal();
        let faults = Arc::clone(&bench.faults);
        bench.faults.rule(move |call| fate_of(&faults, call));
        let died = bench.live(async |bench| {
            let work = async {
                let Ok(desk) = bench.try_open().await else { return };
                while done < cycles {
                    say(bench, done).await;
                    match desk.floor.run_cycle(Trigger::Manual).await {
                        Ok(_) => {}
                        Err(CycleError::Busy | CycleError::Ending) => panic!("nobody else runs cycles here"),
                        Err(error) => bench.faults.blame(format!("a cycle failed: {error}")),
                    }
                    done += 1;
                    meanwhile(bench, &desk, done).await;
                    desk.wait(40).await;
                }
            };
            tokio::select! {
                biased;
                () = bench.faults.death.notified() => true,
                () = work => false,
            }
        });
        crashes += u64::from(died);
    }
    bench.faults.heal();
    let wrong = bench.live(async |bench| {
        let desk = bench.open().await;
        desk.wait(320).await;
        let mut wrong = check_windows(bench, FAULTY_LIMIT_MS);
        wrong.extend(check_log(bench));
        wrong.extend(check_rest(bench, &desk).await);
        desk.end().await;
        wrong
    });
    Run { cycles: done, crashes, wrong, orders: orders_sent(&bench.faults.log()), log: bench.faults.log() }
}

/// Every seed, as many side by side as there are cores: each has a world, a clock and a runtime of its own.
fn run_all(seeds: std::ops::Range<u64>, cycles: u64) -> Vec<(u64, Run)> {
    let next = AtomicU64::new(seeds.start);
    let done = Mutex::new(Vec::new());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed >= seeds.end {
                return;
            }
            let mut run = run(seed, cycles);
            // Long runs are many; nobody reads these.
            run.log = Vec::new();
            eprintln!(
                "seed {seed}: {} cycles, {} crashes, {} orders",
                run.cycles,
                run.crashes,
                run.orders.len()
            );
            done.lock().unwrap().push((seed, run));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let mut runs = done.into_inner().unwrap();
    runs.sort_by_key(|(seed, _)| *seed);
    assert_eq!(runs.len(), usize::try_from(seeds.end - seeds.start).unwrap());
    runs
}

#[test]
fn random_faults_leave_no_position_naked_and_send_no_opening_twice() {
    let seeds = number("JARVIS_SIM_SEEDS", 4);
    let cycles = number("JARVIS_SIM_CYCLES", 50);
    let first = number("JARVIS_SIM_FIRST", 1);
    let mut wrong = Vec::new();
    let (mut ran, mut crashes, mut orders) = (0, 0, 0);
    for (seed, run) in run_all(first..first + seeds, cycles) {
        ran += run.cycles;
        crashes += run.crashes;
        orders += run.orders.len();
        if !run.wrong.is_empty() {
            eprintln!("seed {seed} ({cycles} cycles): {:#?}", run.wrong);
            wrong.push(seed);
        }
    }
    eprintln!(
        "{ran} cycles, {crashes} crashes, {orders} orders and stops sent, seeds {first}..{}",
        first + seeds
    );
    assert!(wrong.is_empty(), "seeds with violations: {wrong:?}");
}

#[test]
fn the_same_seed_sends_the_same_orders() {
    let seed = number("JARVIS_SIM_FIRST", 7);
    let (one, two) = (run(seed, 12), run(seed, 12));
    assert!(!one.orders.is_empty());
    if let Some(at) = (0..one.log.len().min(two.log.len())).find(|at| one.log[*at] != two.log[*at]) {
        for entry in &one.log[at.saturating_sub(6)..(at + 3).min(one.log.len())] {
            eprintln!("one {entry:?}");
        }
        for entry in &two.log[at.saturating_sub(6)..(at + 3).min(two.log.len())] {
            eprintln!("two {entry:?}");
        }
    }
    let differs = one.orders.iter().zip(&two.orders).find(|(one, two)| one != two);
    assert_eq!(differs, None, "seed {seed}");
    assert_eq!(one.orders.len(), two.orders.len(), "seed {seed}");
}
