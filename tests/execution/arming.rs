//! Dry-run, arming and single cycles: what keeps orders back, and what must leave all the same.

use std::time::Duration;

use crate::common::faults::{Call, Fate, LAG, UNKNOWN_503};
use crate::common::oracle::{STOP_LIMIT_MS, check_windows};
use crate::common::{Bench, Desk, Setup, rows_of, symbol};
use jarvis::domain::{Command, Direction, Mode, OutcomeKind};

const LONG: &[(usize, &str, &str, &str)] = &[(0, "BTCUSDT", "LONG", "0.9")];

fn is_dry_run(desk: &Desk) -> bool {
    desk.floor.bulletin().read(|present| present.dry_run)
}

#[test]
fn a_live_desk_sends_nothing_until_the_account_is_armed_and_nothing_again_after_a_restart() {
    let mut bench = Bench::new(&Setup { accounts: 2, ..Setup::default() });
    bench.settings.mode = Mode::Live;
    let rows = [(0, "BTCUSDT", "LONG", "0.9"), (1, "BTCUSDT", "LONG", "0.9")];
    bench.live(async |bench| {
        let desk = bench.open().await;
        let report = desk.cycle(bench, &rows).await;
        assert!(report.dry_run, "nothing is armed");
        assert!(!bench.faults.log().iter().any(|entry| entry.call.mutates()));
        // An account that may not trade is not armed.
        bench.faults.first(
            1,
            |call| call.is("GET", "/accountConfig"),
            Fate::answer(
                false,
                200,
                r#"{"canTrade":false,"canWithdraw":true,"dualSidePosition":false,"multiAssetsMargin":false}"#,
            ),
        );
        desk.command(2, Command::Arm { account: bench.names[0].clone() }).await;
        desk.wait(2).await;
        assert!(desk.floor.bulletin().read(|present| present.armed.is_empty()));
        // Nor is one whose key may withdraw.
        bench.faults.first(
            1,
            |call| call.is("GET", "/apiRestrictions"),
            Fate::answer(
                false,
                200,
                r#"{"ipRestrict":true,"enableFutures":true,"enableWithdrawals":true,"enableInternalTransfer":false,
                    "permitsUniversalTransfer":false,"enableSpotAndMarginTrading":false}"#,
            ),
        );
        desk.command(3, Command::Arm { account: bench.names[0].clone() }).await;
        desk.wait(2).await;
        assert!(desk.floor.bulletin().read(|present| present.armed.is_empty()));
        desk.command(3, Command::Arm { account: bench.names[0].clone() }).await;
        desk.wait(2).await;
        assert_eq!(desk.floor.bulletin().read(|present| present.armed.clone()), [bench.names[0].clone()]);
        desk.cycle(bench, &rows).await;
        assert_eq!(bench.truth(0).positions().await.unwrap().len(), 1);
        assert!(bench.truth(1).positions().await.unwrap().is_empty(), "only the armed account trades");
        desk.command(4, Command::Disarm).await;
        desk.wait(1).await;
        desk.command(5, Command::Arm { account: bench.names[0].clone() }).await;
        desk.wait(2).await;
        desk.end().await;
    });
    for stays in [false, true] {
        bench.settings.stay_armed = stays;
        bench.live(async |bench| {
            let desk = bench.open().await;
            assert_eq!(desk.floor.bulletin().read(|present| present.armed.len()), usize::from(stays));
            desk.end().await;
        });
    }
}

fn armed(desk: &Desk) -> usize {
    desk.floor.bulletin().read(|present| present.armed.len())
}

#[test]
fn disarming_that_could_not_be_stored_counts_and_is_not_said_to_be_done() {
    let mut bench = Bench::new(&Setup::default());
    bench.settings.mode = Mode::Live;
    bench.settings.stay_armed = true;
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.arm(bench).await;
        bench.refuse_writes("meta", "NEW.key LIKE 'armed %'");
        let told = desk.answer(2, Command::Disarm).await.unwrap_err();
        assert!(told.contains("could not be stored") && told.contains("disarm again"), "{told}");
        assert!(desk.told("could not be stored"), "{:?}", desk.alarms());
        assert_eq!(armed(&desk), 0, "in this run it counts");
        assert_eq!(desk.cycle(bench, LONG).await.decisions[0].outcome.kind, OutcomeKind::DryRun);
        let told = desk.answer(3, Command::Arm { account: bench.names[0].clone() }).await.unwrap_err();
        assert!(told.contains("could not be stored"), "{told}");
        assert_eq!(armed(&desk), 0, "an account of which no restart would know is not armed");
        bench.allow_writes("meta");
        desk.answer(4, Command::Disarm).await.unwrap();
        desk.end().await;
    });
    bench.live(async |bench| {
        let desk = bench.open().await;
        assert_eq!(armed(&desk), 0, "what was answered as done outlives a restart");
        desk.end().await;
    });
}

#[test]
fn what_was_being_armed_when_everything_was_disarmed_is_not_armed() {
    let mut bench = Bench::new(&Setup::default());
    bench.settings.mode = Mode::Live;
    bench.faults.latency(100, 100);
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.command(1, Command::Arm { account: bench.names[0].clone() }).await;
        desk.command(2, Command::Disarm).await;
        desk.wait(10).await;
        assert_eq!(armed(&desk), 0);
        desk.end().await;
    });
}

#[test]
fn a_dry_run_outlives_a_restart_and_arming() {
    let mut bench = Bench::new(&Setup::default());
    bench.settings.mode = Mode::Live;
    bench.settings.stay_armed = true;
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.command(1, Command::SetDryRun(true)).await;
        desk.wait(1).await;
        desk.arm(bench).await;
        assert!(is_dry_run(&desk));
        desk.end().await;
    });
    bench.live(async |bench| {
        let desk = bench.open().await;
        assert!(is_dry_run(&desk), "an operator ended this desk in dry-run");
        assert_eq!(desk.cycle(bench, LONG).await.decisions[0].outcome.kind, OutcomeKind::DryRun);
        assert!(!bench.faults.log().iter().any(|entry| entry.call.mutates()));
        desk.command(1, Command::SetDryRun(false)).await;
        desk.wait(1).await;
        assert_eq!(desk.cycle(bench, LONG).await.decisions[0].outcome.kind, OutcomeKind::Opened);
        desk.end().await;
    });
    bench.settings.dry_run = true;
    bench.live(async |bench| {
        let desk = bench.open().await;
        assert!(is_dry_run(&desk), "the settings ask for it, whatever was armed before");
        desk.end().await;
    });
}

#[test]
fn a_desk_that_stays_armed_protects_before_it_looks_whether_it_may_be_armed_again() {
    let mut bench = Bench::new(&Setup::default());
    bench.settings.mode = Mode::Live;
    bench.settings.stay_armed = true;
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.arm(bench).await;
        desk.cycle(bench, LONG).await;
        desk.end().await;
    });
    bench.live(async |bench| {
        bench.take_stops_away(0).await;
        let before = bench.faults.log().len();
        let desk = bench.open().await;
        let log = bench.faults.log().split_off(before);
        let first = |wanted: fn(&Call) -> bool| log.iter().position(|entry| wanted(&entry.call)).unwrap();
        let looked = first(|call| call.is("GET", "/accountConfig") || call.is("GET", "/apiRestrictions"));
        assert!(first(Call::is_stop) < looked, "{log:#?}");
        assert_eq!((bench.stops(0).await, armed(&desk)), (1, 1));
        desk.end().await;
    });
}

#[test]
fn what_an_armed_desk_left_without_a_stop_gets_one_although_the_restart_disarmed_it() {
    let mut bench = Bench::new(&Setup::default());
    bench.settings.mode = Mode::Live;
    bench.faults.first(1, Call::is_stop, Fate::Crash { delivered: false });
    bench.live(async |bench| {
        let work = async {
            let desk = bench.open().await;
            desk.arm(bench).await;
            desk.cycle(bench, LONG).await;
        };
        tokio::select! {
            biased;
            () = bench.faults.death.notified() => {}
            () = work => panic!("the desk outlived its first stop"),
        }
    });
    bench.faults.heal();
    bench.live(async |bench| {
        assert_eq!(bench.stops(0).await, 0);
        let desk = bench.open().await;
        assert!(desk.floor.bulletin().read(|present| present.armed.is_empty()));
        assert_eq!(bench.stops(0).await, 1, "{:?}", desk.alarms());
        let report =
            desk.cycle(bench, &[(0, "BTCUSDT", "CLOSE", "0.9"), (0, "ETHUSDT", "LONG", "0.9")]).await;
        let kinds: Vec<_> = report.decisions.iter().map(|row| row.outcome.kind).collect();
        assert_eq!(kinds, [OutcomeKind::DryRun, OutcomeKind::DryRun], "the model may neither open nor close");
        let account = bench.names[0].clone();
        desk.command(
            2,
            Command::ClosePosition { account, symbol: symbol("BTCUSDT"), direction: Direction::Long },
        )
        .await;
        desk.wait(60).await;
        assert!(bench.truth(0).positions().await.unwrap().is_empty(), "an operator may close");
        assert_eq!(check_windows(bench, STOP_LIMIT_MS), Vec::<String>::new());
        desk.end().await;
    });
}

#[test]
fn dry_run_is_not_begun_while_a_position_waits_for_its_stop() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.cycle(bench, LONG).await;
        bench.faults.rule(|call| (call.is_stop() || call.is_close()).then_some(Fate::Refuse));
        bench.take_stops_away(0).await;
        desk.wait(30).await;
        desk.command(1, Command::SetDryRun(true)).await;
        desk.wait(1).await;
        assert!(!is_dry_run(&desk));
        bench.faults.heal();
        desk.wait(30).await;
        assert_eq!(bench.stops(0).await, 1, "{:?}", desk.alarms());
        desk.command(2, Command::SetDryRun(true)).await;
        desk.wait(1).await;
        assert!(is_dry_run(&desk));
        desk.end().await;
    });
}

#[test]
fn a_start_without_the_exchanges_rules_protects_what_it_finds() {
    let bench = Bench::new(&Setup::default());
    bench.faults.first(3, |call| call.is("GET", "/exchangeInfo"), Fate::answer(false, 400, "{}"));
    bench.live(async |bench| {
        bench.trade_by_hand(0, &symbol("BTCUSDT"), jarvis::domain::Side::Buy, "0.05").await;
        let desk = bench.open().await;
        desk.wait(60).await;
        assert_eq!(bench.stops(0).await, 1, "{:?}", desk.alarms());
        assert_eq!(bench.truth(0).positions().await.unwrap().len(), 1, "it was not closed for want of rules");
        desk.end().await;
    });
}

/// Every coin an account holds has its stop.
async fn all_protected(bench: &Bench) -> bool {
    let held = bench.truth(0).positions().await.unwrap();
    let stops = bench.truth(0).open_algo_orders(None).await.unwrap();
    held.iter().all(|position| stops.iter().any(|stop| stop.symbol == position.symbol))
}

#[test]
fn a_single_cycle_that_is_asked_to_end_leaves_no_position_without_a_stop() {
    for after_ms in (0..1_000).step_by(100) {
        let bench = Bench::new(&Setup::default());
        bench.faults.latency(100, 100);
        bench.live(async |bench| {
            let (floor, _store) = bench.open_floor().await.unwrap();
            bench
                .script
                .say(&rows_of(bench, &[(0, "BTCUSDT", "LONG", "0.9"), (0, "ETHUSDT", "SHORT", "0.9")]));
            let asked = async {
                tokio::time::sleep(Duration::from_millis(after_ms)).await;
                floor.end();
                bench.clock.now_ms()
            };
            let (report, at) = tokio::join!(floor.run_single_cycle(bench.streams()), asked);
            report.unwrap();
            assert!(all_protected(bench).await, "asked after {after_ms} ms");
            // One round trip may have been on its way.
            let late =
                |entry: &crate::common::faults::Entry| entry.at_ms > at + 100 && entry.call.is_opening();
            assert!(!bench.faults.log().iter().any(late), "asked after {after_ms} ms");
        });
    }
}

#[test]
fn a_single_cycle_waits_until_the_fate_of_its_order_is_known() {
    let bench = Bench::new(&Setup::default());
    bench.faults.first(1, Call::is_opening, Fate::answer(true, 503, UNKNOWN_503));
    bench.faults.first(3, |call| call.is("GET", "/order"), Fate::answer(false, 400, LAG));
    bench.faults.first(2, |call| call.is("GET", "/positionRisk") && call.nth > 3, Fate::Refuse);
    bench.live(async |bench| {
        let (floor, _store) = bench.open_floor().await.unwrap();
        bench.script.say(&rows_of(bench, LONG));
        floor.run_single_cycle(bench.streams()).await.unwrap();
        assert_eq!(bench.truth(0).positions().await.unwrap().len(), 1, "the order was carried out");
        assert!(all_protected(bench).await);
        assert_eq!(check_windows(bench, STOP_LIMIT_MS), Vec::<String>::new());
    });
}
