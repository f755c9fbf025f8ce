//! How long the pages of history take to read when a year of it is there.
//!
//! `cargo bench --bench history` fills a store of its own through the store's own calls and prints, for every question a
//! console asks, the median and the slowest of several readings in milliseconds.
//!
//! `JARVIS_HISTORY_DIR` fills the store of that data directory instead, and leaves it there, so that a console can be
//! tried on it; then `JARVIS_HISTORY_VENUE` names the venue and `JARVIS_HISTORY_END` the time of the newest cycle.
//! `JARVIS_HISTORY_CYCLES` takes another number of cycles than 8 760. What is there already stays; the numbers of cycles go
//! back from the newest, so a directory is filled once.

#![expect(clippy::print_stdout, reason = "a measuring command prints")]
#![allow(clippy::unwrap_used, reason = "a measurement that cannot be taken ends")]

use std::path::PathBuf;
use std::time::Instant;

use chrono::TimeDelta;
use futures_util::future::try_join_all;
use jarvis::domain::{AccountName, CycleId, Envelope, Event, Symbol, Timestamp, Trigger, Usage, Usdt};
use jarvis::store::{CycleStart, LedgerKind, LedgerRow, ModelCall, Store, StoreError};

#[path = "../tests/console/fixture.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "the tests use all of it, and fail by panicking")]
mod fixture;

/// Cycles filled at once, so that their commits are grouped.
const AT_ONCE: u64 = 64;

/// Readings of each question.
const READINGS: usize = 15;

/// One cycle as a desk writes it: its report and decisions, its turn with the model, the events of record, the movements
/// of money, every account's worth. Returns how many rows that were.
async fn fill(store: &Store, number: u64, at: Timestamp) -> Result<u64, StoreError> {
    let mut desk = fixture::finished();
    let id = CycleId::new(at, number);
    let (mode, profile) = (jarvis::domain::Mode::Paper, jarvis::domain::Profile::Guarded);
    let trigger = Trigger::Schedule;
    store
        .begin_cycle(&CycleStart {
            id: id.clone(),
            trigger,
            mode,
            dry_run: false,
            profile,
            market_time: at,
            started_at: at,
        })
        .await?;
    let mut report = fixture::report(&desk, fixture::rows());
    (report.cycle_id, report.market_time) = (id.clone(), at);
    (report.started_at, report.finished_at) = (at, at + TimeDelta::seconds(7));
    store.finish_cycle(&report).await?;
    let usage = Usage { cost_usd: "0.0974".parse().unwrap(), ..report.usage };
    store
        .put_model_call(&ModelCall {
            cycle: id.clone(),
            iteration: 1,
            at,
            request: vec![b'q'; 2_000],
            status: Some(200),
            response: vec![b'a'; 2_000],
            stop_reason: Some("end_turn".into()),
            usage,
            request_id: None,
            rate_limits: None,
            ms: 4_100.0,
            error: None,
        })
        .await?;
    let started = Event::CycleStarted { trigger };
    let finished = Event::CycleFinished { report: Box::new(report.clone()), cost_today: usage };
    let warned = fixture::alarm(
        jarvis::domain::Severity::Warning,
        "the user stream of mirat ended; it is opened again",
    );
    for (step, event) in [started, warned, finished].into_iter().enumerate() {
        let seq = number * 10 + step as u64;
        store.put_event(&Envelope { seq, at, cycle: Some(id.clone()), event }).await?;
    }
    let accounts = ["mirat", "mevlut", "tugrul"].map(|name| AccountName::new(name).unwrap());
    for account in &accounts {
        let worth: Usdt =
            desk.state.desk.take().map_or_else(|| "1000".parse().unwrap(), |desk| desk.accounts[0].equity);
        store.put_equity(account, at, worth, worth).await?;
        for (kind, amount) in [
            (LedgerKind::RealisedPnl, "1.25"),
            (LedgerKind::Commission, "-0.11"),
            (LedgerKind::Funding, "0.02"),
        ] {
            let row = LedgerRow {
                account: account.clone(),
                kind,
                amount: amount.parse().unwrap(),
                asset: "USDT".into(),
                symbol: Some(Symbol::new("BTCUSDT").unwrap()),
                at,
                source_id: number.to_string(),
            };
            store.add_ledger(&row).await?;
        }
    }
    Ok(5 + report.decisions.len() as u64 + 3 * 4)
}

fn print(name: &str, mut took: Vec<f64>, rows: usize) {
    took.sort_by(f64::total_cmp);
    println!(
        "{name:<34} {rows:>6} rows  median {:8.3} ms  slowest {:8.3} ms",
        took[took.len() / 2],
        took[took.len() - 1]
    );
}

/// Times one question.
macro_rules! time {
    ($name:expr, $ask:expr) => {{
        let mut took = Vec::new();
        let mut rows = 0;
        for _ in 0..READINGS {
            let began = Instant::now();
            rows = $ask.await.unwrap().len();
            took.push(began.elapsed().as_secs_f64() * 1_000.0);
        }
        print($name, took, rows);
    }};
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let variable = |name: &str| std::env::var(name).ok();
    let own = tempfile::tempdir().unwrap();
    let folder = variable("JARVIS_HISTORY_DIR").map_or_else(|| own.path().to_owned(), PathBuf::from);
    let venue = variable("JARVIS_HISTORY_VENUE").unwrap_or_else(|| "world:bench".into());
    let cycles: u64 = variable("JARVIS_HISTORY_CYCLES").map_or(8_760, |number| number.parse().unwrap());
    let newest: Timestamp =
        variable("JARVIS_HISTORY_END").unwrap_or_else(|| "2026-03-02T12:05:00Z".into()).parse().unwrap();
    let store = Store::open(&folder.join(jarvis::store::FILE_NAME)).unwrap().at(&venue);
    let began = Instant::now();
    let mut rows = 0;
    for first in (1..=cycles).step_by(usize::try_from(AT_ONCE).unwrap()) {
        let group = (first..(first + AT_ONCE).min(cycles + 1))
            .map(|number| fill(&store, number, newest - TimeDelta::hours((cycles - number).cast_signed())));
        rows += try_join_all(group).await.unwrap().iter().sum::<u64>();
    }
    let size = std::fs::metadata(store.path()).unwrap().len() >> 20;
    println!("{cycles} cycles, {rows} rows, {size} MiB, filled in {:.1} s", began.elapsed().as_secs_f64());

    let year = newest - TimeDelta::days(365);
    let middle = newest - TimeDelta::days(180);
    let after = newest + TimeDelta::hours(1);
    let account = AccountName::new("mirat").unwrap();
    let coin = Symbol::new("BTCUSDT").unwrap();
    let place = i64::try_from(cycles * 3 / 2).unwrap();
    time!("cycles, the newest 500", store.cycle_lines(None, 500));
    time!("cycles, 500 from the middle", store.cycle_lines(Some(middle), 500));
    time!("log, the newest 1000", store.events_before(None, 1_000));
    time!("log, 1000 from the middle", store.events_before(Some(place), 1_000));
    for (span, from) in [("day", newest - TimeDelta::days(1)), ("year", year)] {
        let money = || store.movements_between(from, after, Vec::new(), |all, _| all.push(()));
        time!(&format!("money, a {span}"), money());
        let costs = || store.model_costs_between(from, after, Vec::new(), |all, _| all.push(()));
        time!(&format!("model costs, a {span}"), costs());
    }
    time!("equity, a year", store.equity_curve(&account, (year, after), 500));
    time!("chart, decisions of 30 days", store.decisions_between(&coin, newest - TimeDelta::days(30), after));
    time!("chart, fills of 30 days", store.fills_between(&coin, newest - TimeDelta::days(30), after));
}
