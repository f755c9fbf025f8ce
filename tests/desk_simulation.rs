//! The desk under every fault at once: seeded, on a virtual clock.
//!
//! Requests are lost, late, cut, refused and executed behind a failure; stops vanish; the exchange lags, bans, goes down
//! and has its clock wrong; private streams lose, double and reorder events, fall silent and break; prices jump; the
//! desk dies; strangers trade by hand, and an operator presses keys meanwhile. The same seed sends the same orders.
//!
//! `cargo test --test desk_simulation -- --seeds 200` makes a longer run of it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may fail loudly, and tells its seed"
)]

mod common;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::Parser;
use common::faults::{
    Call, Fate, Faults, LAG, REFUSED_STOP, THROTTLED_503, TIMEOUT_408, TOO_MANY_429, UNAVAILABLE_503,
    UNKNOWN_503, WOULD_TRIGGER,
};
use common::hands::Hands;
use common::oracle::{
    FAULTY_LIMIT_MS, Journeys, ORPHAN_LIMIT_MS, check_log, check_orphans, check_reasons, check_rest,
    check_windows, orders_sent,
};
use common::{Bench, Desk, Setup, rows_of};
use jarvis::desk::CycleError;
use jarvis::domain::{Command, Direction, Side, Trigger};
use libtest_mimic::{Failed, Trial};
use rust_decimal::Decimal;

const COINS: [&str; 3] = ["ETHUSDT", "BTCUSDT", "SOLUSDT"];
/// One request in so many goes wrong.
const FAULT_EVERY: u64 = 12;
/// At one change in so many the desk dies, before or after it was delivered.
const CRASH_EVERY: u64 = 60;
/// Wall time of a cycle with what follows it, seconds, generously.
const CYCLE_SECONDS: u64 = 120;

/// How long to run.
#[derive(Debug, Clone, Parser)]
struct Options {
    /// How many seeds to run, each with a world of its own
    #[arg(long, default_value_t = 40)]
    seeds: u64,
    /// Cycles of each seed
    #[arg(long, default_value_t = 50)]
    cycles: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Print every request of the seeds that broke a rule
    #[arg(long)]
    requests: bool,
    #[command(flatten)]
    harness: libtest_mimic::Arguments,
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
async fn say(bench: &Bench, coins: &[&'static str], cycle: u64) {
    let mut rows = Vec::new();
    for account in 0..bench.names.len() {
        let held = bench.truth(account).positions().await.unwrap();
        for coin in coins {
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
    if bench.faults.roll(&format!("nonsense {cycle}")).is_multiple_of(15) {
        bench.script.say("I would rather not say.");
    } else {
        bench.script.say(&rows_of(bench, &rows));
    }
}

/// Another hand opens a position, or turns the one that is held around.
async fn a_stranger_trades(bench: &Bench, account: usize, roll: u64) {
    let coin = common::symbol("ETHUSDT");
    let held = bench.truth(account).positions().await.unwrap();
    let held = held.iter().find(|position| position.symbol == coin);
    if bench.faults.is_under_way() {
        return;
    }
    match held {
        None => bench.trade_by_hand(account, &coin, Side::Buy, "0.05").await,
        Some(position) if (roll / 100).is_multiple_of(2) => {
            let twice = (position.quantity.value() * Decimal::TWO).to_string();
            bench.trade_by_hand(account, &coin, position.direction.closing_side(), &twice).await;
        }
        Some(_) => {}
    }
}

/// What the rest of the world does between two cycles.
async fn meanwhile(bench: &Bench, desk: &Desk, coins: &[&str], cycle: u64) {
    bench.world.advance(120);
    for coin in coins {
        let roll = bench.faults.roll(&format!("shock {cycle} {coin}"));
        if roll.is_multiple_of(5) {
            let points = Decimal::from(roll / 5 % 29) - Decimal::from(14);
            bench.shock(&common::symbol(coin), points / Decimal::ONE_HUNDRED).await;
        }
    }
    let roll = bench.faults.roll(&format!("hand {cycle}"));
    if roll.is_multiple_of(12) {
        let account = usize::try_from(roll / 12).unwrap_or(0) % bench.names.len();
        a_stranger_trades(bench, account, roll).await;
    }
    if roll.is_multiple_of(9) {
        let account = bench.names[usize::try_from(roll / 9).unwrap_or(0) % bench.names.len()].clone();
        let symbol = common::symbol(coins[coins.len() / 2]);
        let close = Command::ClosePosition { account, symbol, direction: Direction::Long };
        desk.command(cycle, close).await;
    }
}

struct Run {
    cycles: u64,
    crashes: u64,
    halts: usize,
    wrong: Vec<String>,
    orders: Vec<(i64, usize, String, String)>,
    log: Vec<common::faults::Entry>,
    injected: usize,
}

/// How many accounts and coins a seed's desk has. Most of them are small, so that many can live in the time there is;
/// one in eight has three of each.
fn size_of(seed: u64) -> (usize, usize) {
    match seed % 8 {
        0 => (3, 3),
        1 => (2, 2),
        2 => (1, 3),
        3 => (3, 1),
        4 => (2, 1),
        5 => (1, 2),
        _ => (1, 1),
    }
}

fn run(seed: u64, cycles: u64) -> Run {
    let (accounts, coins) = size_of(seed);
    let coins = &COINS[..coins];
    let bench = Bench::new(&Setup { seed, accounts, coins, has_streams: true });
    bench.faults.latency(20, 250);
    bench.bring_bad_weather(cycles * CYCLE_SECONDS);
    let hands = Hands::default();
    let mut journeys = Journeys::default();
    let (mut done, mut crashes) = (0, 0);
    while done < cycles {
        bench.faults.heal();
        let faults = Arc::clone(&bench.faults);
        bench.faults.rule(move |call| fate_of(&faults, call));
        let died = bench.live(async |bench| {
            let work = async {
                let Ok(desk) = bench.try_open().await else { return };
                hands.desk_lives(bench.clock.now_ms());
                while done < cycles {
                    say(bench, coins, done).await;
                    let (ended, ()) =
                        tokio::join!(desk.floor.run_cycle(Trigger::Manual), hands.press(bench, &desk, done));
                    match ended {
                        Ok(_) => {}
                        Err(CycleError::Busy) => {
                            // A key started one just before.
                            desk.wait(20).await;
                            continue;
                        }
                        Err(CycleError::Ending) => panic!("nobody ends the desk here"),
                        Err(error) => bench.faults.blame(format!("a cycle failed: {error}")),
                    }
                    done += 1;
                    journeys.look(bench, &desk).await;
                    hands.let_go(bench, &desk, done, false).await;
                    meanwhile(bench, &desk, coins, done).await;
                    desk.wait(40).await;
                }
            };
            let died = tokio::select! {
                biased;
                () = bench.faults.death.notified() => true,
                () = work => false,
            };
            if died {
                hands.desk_died(bench.clock.now_ms());
            }
            died
        });
        crashes += u64::from(died);
    }
    bench.faults.heal();
    bench.world.faults().clear();
    let wrong = bench.live(async |bench| {
        let desk = bench.open().await;
        hands.let_go(bench, &desk, done, true).await;
        desk.wait(320).await;
        let mut wrong = check_windows(bench, FAULTY_LIMIT_MS);
        wrong.extend(check_orphans(bench, ORPHAN_LIMIT_MS));
        wrong.extend(check_log(bench));
        wrong.extend(hands.check(bench, &desk).await);
        journeys.look(bench, &desk).await;
        wrong.extend(check_reasons(bench, &desk).await);
        wrong.extend(check_rest(bench, &desk).await);
        desk.end().await;
        wrong
    });
    let log = bench.faults.log();
    let injected = bench.world.faults().injected().len();
    Run { cycles: done, crashes, halts: hands.halts(), wrong, orders: orders_sent(&log), log, injected }
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
            if run.wrong.is_empty() {
                // Long runs are many; nobody reads these.
                run.log = Vec::new();
            }
            eprintln!(
                "seed {seed}: {} cycles, {} crashes, {} halts, {} orders, {} troubles of the world's",
                run.cycles,
                run.crashes,
                run.halts,
                run.orders.len(),
                run.injected
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

fn random_faults_leave_no_position_naked_and_send_no_opening_twice(
    arguments: &Options,
) -> Result<(), Failed> {
    let Options { seeds, cycles, first, requests, .. } = *arguments;
    let began = Instant::now();
    let mut wrong = Vec::new();
    let (mut ran, mut crashes, mut halts, mut orders) = (0, 0, 0, 0);
    for (seed, run) in run_all(first..first + seeds, cycles) {
        ran += run.cycles;
        crashes += run.crashes;
        halts += run.halts;
        orders += run.orders.len();
        if !run.wrong.is_empty() {
            eprintln!("seed {seed} ({cycles} cycles): {:#?}", run.wrong);
            for entry in run.log.iter().filter(|_| requests) {
                eprintln!("{entry:?}");
            }
            wrong.push(seed);
        }
    }
    eprintln!(
        "{ran} cycles, {crashes} crashes, {halts} halts, {orders} orders and stops sent, seeds {first}..{}, {:.0?}",
        first + seeds,
        began.elapsed()
    );
    if wrong.is_empty() { Ok(()) } else { Err(format!("seeds with violations: {wrong:?}").into()) }
}

fn the_same_seed_sends_the_same_orders(first: u64) -> Result<(), Failed> {
    let seed = first + 6;
    let (one, two) = (run(seed, 12), run(seed, 12));
    assert!(!one.orders.is_empty());
    if let Some(at) = (0..one.log.len().min(two.log.len())).find(|at| one.log[*at] != two.log[*at]) {
        for (which, log) in [("one", &one.log), ("two", &two.log)] {
            for entry in &log[at.saturating_sub(6)..(at + 3).min(log.len())] {
                eprintln!("{which} {entry:?}");
            }
        }
        return Err(format!("seed {seed}: request {at} differs").into());
    }
    assert_eq!(one.log.len(), two.log.len(), "seed {seed}");
    assert_eq!(one.orders, two.orders, "seed {seed}");
    Ok(())
}

fn main() -> ExitCode {
    let arguments = Options::parse();
    let (harness, first) = (arguments.harness.clone(), arguments.first);
    let trials = vec![
        Trial::test("random_faults_leave_no_position_naked_and_send_no_opening_twice", move || {
            random_faults_leave_no_position_naked_and_send_no_opening_twice(&arguments)
        }),
        Trial::test("the_same_seed_sends_the_same_orders", move || {
            the_same_seed_sends_the_same_orders(first)
        }),
    ];
    libtest_mimic::run(&harness, trials).exit_code()
}
