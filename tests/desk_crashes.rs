//! The desk dies at every step and at any await; the next start finds the same store and the same exchange.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test may fail loudly")]
#![allow(clippy::disallowed_methods, reason = "a program is killed by the wall clock")]

mod common;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::faults::{Call, Fate};
use common::oracle::{STOP_LIMIT_MS, check_log, check_rest, check_windows};
use common::{Bench, Setup, polled, rows_of};
use jarvis::domain::Trigger;

const OPENINGS: &[(usize, &str, &str, &str)] =
    &[(0, "BTCUSDT", "LONG", "0.9"), (0, "ETHUSDT", "SHORT", "0.9")];
const CLOSES: &[(usize, &str, &str, &str)] =
    &[(0, "BTCUSDT", "CLOSE", "0.9"), (0, "ETHUSDT", "CLOSE", "0.9")];

/// After a death: starts again, and judges once everything had time to settle.
fn recovered(bench: &Bench) -> Vec<String> {
    bench.faults.heal();
    bench.live(async |bench| {
        let desk = bench.open().await;
        let mut wrong = check_windows(bench, STOP_LIMIT_MS);
        desk.wait(240).await;
        wrong.extend(check_windows(bench, STOP_LIMIT_MS));
        wrong.extend(check_log(bench));
        wrong.extend(check_rest(bench, &desk).await);
        desk.end().await;
        wrong
    })
}

/// A life that ends when a rule says so, or with its last cycle.
fn live_until_death(bench: &Bench, cycles: &[&[(usize, &str, &str, &str)]]) -> bool {
    bench.live(async |bench| {
        let work = async {
            let desk = bench.open().await;
            for rows in cycles {
                desk.cycle(bench, rows).await;
            }
        };
        tokio::select! {
            biased;
            () = bench.faults.death.notified() => true,
            () = work => false,
        }
    })
}

#[test]
fn a_death_at_every_named_step_is_recovered_from() {
    type Step = (&'static str, fn(&Call) -> bool, bool);
    let steps: [Step; 12] = [
        ("before the opening arrives", Call::is_opening, false),
        ("after the opening was executed", Call::is_opening, true),
        ("after the fill, before it is asked for", |call| call.is("GET", "/v1/order"), false),
        ("after the fill was told, before the stop", |call| call.is("GET", "/v1/order"), true),
        ("before the stop arrives", Call::is_stop, false),
        ("after the stop, before it is journaled", Call::is_stop, true),
        ("after the stop was seen", |call| call.is("GET", "/openAlgoOrders") && call.nth > 4, true),
        ("before fills are read", |call| call.is("GET", "/userTrades") && call.nth > 1, false),
        ("before the close arrives", Call::is_close, false),
        ("after the close was executed", Call::is_close, true),
        ("before leverage is set", |call| call.is("POST", "/leverage"), false),
        ("after margin was set", |call| call.is("POST", "/marginType"), true),
    ];
    let mut wrong = Vec::new();
    for (name, step, delivered) in steps {
        let bench = Bench::new(&Setup::default());
        bench.faults.latency(100, 100);
        bench.faults.first(1, step, Fate::Crash { delivered });
        assert!(live_until_death(&bench, &[OPENINGS, CLOSES]), "{name}: this step was never reached");
        let found = recovered(&bench);
        if !found.is_empty() {
            wrong.push(format!("{name}: {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_cycle_cut_off_at_any_await_is_recovered_from() {
    let most: u32 = std::env::var("JARVIS_CRASHES").ok().and_then(|text| text.parse().ok()).unwrap_or(12);
    let mut wrong = Vec::new();
    for number in 0..most {
        let bench = Bench::new(&Setup { seed: u64::from(number) + 1, ..Setup::default() });
        bench.faults.latency(50, 250);
        // The polls of a whole cycle are some hundreds; half of the deaths fall into the execution at its end.
        let polls = 40 + u32::try_from(bench.faults.roll("polls") % 260).unwrap();
        let ended = bench.live(async |bench| {
            let desk = bench.open().await;
            bench.script.say(&rows_of(bench, OPENINGS));
            let opened = polled(desk.floor.run_cycle(Trigger::Manual), polls).await.is_some();
            if opened {
                bench.script.say(&rows_of(bench, CLOSES));
                polled(desk.floor.run_cycle(Trigger::Manual), polls / 2).await.is_some()
            } else {
                false
            }
        });
        let found = recovered(&bench);
        if !found.is_empty() {
            wrong.push(format!("{polls} polls (both ended: {ended}): {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `jarvis cycle --json` on a data folder.
fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jarvis"));
    command
        .arg("cycle")
        .arg("--json")
        .arg("--data-dir")
        .arg(folder.join("data"))
        .env("HOME", folder)
        .env("XDG_CONFIG_HOME", folder.join("config"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Every open position in a world's file, and whether a stop rests for it.
fn positions_in(world: &Path) -> Vec<(String, bool)> {
    let state: serde_json::Value = serde_json::from_slice(&std::fs::read(world).unwrap()).unwrap();
    let accounts = state["engine"]["accounts"].as_array().unwrap();
    let mut found = Vec::new();
    for account in accounts {
        let algos: Vec<&serde_json::Value> = account["algos"].as_object().map_or_else(
            || account["algos"].as_array().unwrap().iter().collect(),
            |algos| algos.values().collect(),
        );
        let resting = |symbol: &str| {
            algos.iter().any(|algo| {
                algo["symbol"] == symbol
                    && algo["status"].as_str().is_some_and(|word| word.eq_ignore_ascii_case("new"))
            })
        };
        for (symbol, position) in account["positions"].as_object().unwrap() {
            let amount = position["amount"].as_str().unwrap_or("0");
            if amount.parse::<rust_decimal::Decimal>().unwrap() != rust_decimal::Decimal::ZERO {
                found.push((symbol.clone(), resting(symbol)));
            }
        }
    }
    found
}

#[test]
fn the_program_killed_at_any_moment_goes_on_and_every_position_has_its_stop() {
    let kills: u64 = std::env::var("JARVIS_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(4);
    let folder = tempfile::tempdir().unwrap();
    let began = std::time::Instant::now();
    let first = program(folder.path()).output().unwrap();
    let whole = began.elapsed();
    assert!(matches!(first.status.code(), Some(0 | 4)), "{}", String::from_utf8_lossy(&first.stderr));
    for kill in 0..kills {
        let mut child = program(folder.path()).spawn().unwrap();
        // Spread over the length of a cycle.
        let share = (kill * 37 + 11) % 100;
        std::thread::sleep(Duration::from_millis(u64::try_from(whole.as_millis()).unwrap() * share / 100));
        child.kill().unwrap();
        child.wait().unwrap();
        if kill % 5 == 4 || kill + 1 == kills {
            let next = program(folder.path()).output().unwrap();
            let told = String::from_utf8_lossy(&next.stderr).into_owned();
            assert!(matches!(next.status.code(), Some(0 | 4)), "after kill {kill}: {told}");
            let report: serde_json::Value = serde_json::from_slice(&next.stdout).unwrap();
            assert!(!report["decisions"].as_array().unwrap().is_empty());
            let positions = positions_in(&folder.path().join("data/world.json"));
            assert!(positions.iter().all(|(_, safe)| *safe), "after kill {kill}: {positions:?}");
        }
    }
}
