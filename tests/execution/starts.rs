//! Starts after something went wrong outside: a journal that is damaged, lost or an older copy, hours without a desk, an
//! account without room for one more stop.

use std::cell::Cell;
use std::time::Duration;

use crate::common::faults::{Call, Fate};
use crate::common::oracle::{STOP_LIMIT_MS, check_windows, verdict};
use crate::common::{Bench, Desk, Setup, symbol};
use jarvis::domain::{
    ClientOrderId, Command, CycleReport, HaltLevel, HaltOrigin, HaltScope, Mode, OutcomeKind, Price, Rule,
    Side,
};
use jarvis::exchange::{StopOrder, StopSize};
use rust_decimal::Decimal;

const BTC: (usize, &str, &str, &str) = (0, "BTCUSDT", "LONG", "0.9");
const ETH: (usize, &str, &str, &str) = (0, "ETHUSDT", "LONG", "0.9");

/// What became of a coin's row.
fn became(report: &CycleReport, coin: &str) -> (OutcomeKind, Option<Rule>) {
    let row = report.decisions.iter().find(|row| row.proposal.symbol == symbol(coin)).unwrap();
    (row.outcome.kind, row.outcome.rule)
}

async fn resume(desk: &Desk, scope: HaltScope) {
    desk.command(90, Command::Resume { scope }).await;
    desk.wait(1).await;
}

/// A life in which BTC is opened; the journal is closed at its end.
fn open_btc(bench: &Bench) {
    bench.live(async |bench| {
        let desk = bench.open().await;
        assert_eq!(became(&desk.cycle(bench, &[BTC]).await, "BTCUSDT").0, OutcomeKind::Opened);
        desk.end().await;
    });
}

/// A start after an operator looked.
fn nothing_is_asked_again(bench: &Bench) {
    bench.live(async |bench| {
        let desk = bench.open().await;
        assert_eq!(desk.halts(), [], "what an operator looked at is known for good");
        desk.end().await;
    });
}

#[test]
fn a_damaged_journal_is_moved_aside_and_the_desk_only_protects_and_closes_until_it_is_resumed() {
    let bench = Bench::new(&Setup::default());
    open_btc(&bench);
    bench.replace_journal(Some("no database at all ".repeat(1000).as_bytes()));
    bench.live(async |bench| {
        bench.take_stops_away(0).await;
        let desk = bench.open().await;
        assert_eq!(bench.stops(0).await, 1, "what is held is protected first: {:?}", desk.alarms());
        assert!(desk.told("the journal was damaged"), "{:?}", desk.alarms());
        let whole = desk.halts().into_iter().find(|halt| halt.scope == HaltScope::Desk).unwrap();
        assert_eq!((whole.level, whole.origin), (HaltLevel::NoEntries, HaltOrigin::Desk));
        let report = desk.cycle(bench, &[(0, "BTCUSDT", "CLOSE", "0.9"), ETH]).await;
        assert_eq!(became(&report, "BTCUSDT").0, OutcomeKind::Closed, "{:?}", report.decisions);
        assert_eq!(became(&report, "ETHUSDT"), (OutcomeKind::Refused, Some(Rule::Halted)));
        desk.end().await;
    });
    bench.live(async |bench| {
        let desk = bench.open().await;
        assert_eq!(
            became(&desk.cycle(bench, &[ETH]).await, "ETHUSDT").1,
            Some(Rule::Halted),
            "no restart forgets it"
        );
        for halt in desk.halts() {
            resume(&desk, halt.scope).await;
        }
        assert_eq!(became(&desk.cycle(bench, &[ETH]).await, "ETHUSDT").0, OutcomeKind::Opened);
        assert_eq!(check_windows(bench, STOP_LIMIT_MS), Vec::<String>::new());
        desk.end().await;
    });
    nothing_is_asked_again(&bench);
}

#[test]
fn a_desk_wide_halt_that_ran_out_by_itself_does_not_after_a_doubtful_start() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        let until = Some(bench.world.clock().now() + chrono::TimeDelta::seconds(60));
        let level = HaltLevel::Frozen;
        let reason = "lunch".to_owned();
        desk.command(1, Command::Halt { scope: HaltScope::Desk, level, until, reason }).await;
        desk.wait(1).await;
        assert!(desk.floor.begin_closing_only("a doubt").await);
        bench.world.advance(120);
        desk.wait(2).await;
        let halts = desk.halts();
        assert_eq!((halts.len(), halts[0].level, halts[0].until), (1, HaltLevel::Frozen, None));
        assert!(
            halts[0].reason.raw().contains("a doubt") && halts[0].reason.raw().contains("lunch"),
            "{halts:?}"
        );
        desk.end().await;
    });
}

#[test]
fn no_pause_of_an_operator_takes_the_place_of_a_halt_that_waits_for_a_resume() {
    for level in [HaltLevel::NoEntries, HaltLevel::Frozen] {
        let bench = Bench::new(&Setup::default());
        let waits = |desk: &Desk| {
            let halts = desk.halts();
            assert_eq!(halts.len(), 1, "{halts:?}");
            assert_eq!((&halts[0].origin, halts[0].level), (&HaltOrigin::Desk, HaltLevel::NoEntries));
            assert_eq!(halts[0].until, None);
        };
        bench.live(async |bench| {
            let desk = bench.open().await;
            assert!(desk.floor.begin_closing_only("a doubt").await);
            let until = Some(bench.world.clock().now() + chrono::TimeDelta::seconds(60));
            let reason = "lunch".to_owned();
            desk.command(1, Command::Halt { scope: HaltScope::Desk, level, until, reason }).await;
            desk.wait(1).await;
            assert_eq!(desk.halts()[0].level, level);
        });
        bench.live(async |bench| {
            let desk = bench.open().await;
            assert_eq!(desk.halts()[0].level, level, "a restart finds both");
            bench.world.advance(120);
            desk.wait(2).await;
            waits(&desk);
            assert_eq!(became(&desk.cycle(bench, &[ETH]).await, "ETHUSDT").1, Some(Rule::Halted));
        });
        bench.live(async |bench| {
            let desk = bench.open().await;
            waits(&desk);
            resume(&desk, HaltScope::Desk).await;
            assert_eq!(became(&desk.cycle(bench, &[ETH]).await, "ETHUSDT").0, OutcomeKind::Opened);
            desk.end().await;
        });
        nothing_is_asked_again(&bench);
    }
}

#[test]
fn a_lost_or_older_journal_opens_nothing_until_an_operator_says_so() {
    for is_older_copy in [false, true] {
        let bench = Bench::new(&Setup::default());
        bench.live(async |bench| bench.open().await.end().await);
        let older = std::fs::read(bench.store_file()).unwrap();
        open_btc(&bench);
        bench.replace_journal(is_older_copy.then_some(older.as_slice()));
        bench.live(async |bench| {
            let stop = bench.truth(0).open_algo_orders(None).await.unwrap().remove(0);
            let desk = bench.open().await;
            let scope = HaltScope::Account(bench.names[0].clone());
            let halts = desk.halts();
            assert_eq!((halts.len(), &halts[0].scope), (1, &scope), "{halts:?}");
            assert_eq!((halts[0].level, &halts[0].origin), (HaltLevel::NoEntries, &HaltOrigin::Desk));
            assert!(halts[0].reason.raw().contains("jarvis resume --account"), "{halts:?}");
            assert_eq!(became(&desk.cycle(bench, &[ETH]).await, "ETHUSDT").1, Some(Rule::Halted));
            let kept = bench.truth(0).open_algo_orders(None).await.unwrap();
            assert_eq!((kept.len(), kept[0].algo_id), (1, stop.algo_id), "the stop is ours and stays");
            resume(&desk, scope).await;
            assert_eq!(became(&desk.cycle(bench, &[ETH]).await, "ETHUSDT").0, OutcomeKind::Opened);
            desk.end().await;
        });
        nothing_is_asked_again(&bench);
    }
}

#[test]
fn an_order_without_a_stop_tells_of_a_lost_journal_as_well() {
    let bench = Bench::new(&Setup::default());
    bench.faults.first(1, Call::is_stop, Fate::Crash { delivered: false });
    bench.live(async |bench| {
        let work = async {
            let desk = bench.open().await;
            desk.cycle(bench, &[BTC]).await;
        };
        tokio::select! {
            biased;
            () = bench.faults.death.notified() => {}
            () = work => panic!("the desk outlived its first stop"),
        }
    });
    bench.faults.heal();
    bench.replace_journal(None);
    bench.live(async |bench| {
        let desk = bench.open().await;
        assert_eq!(bench.stops(0).await, 1, "{:?}", desk.alarms());
        assert!(desk.halts()[0].reason.raw().contains("the journal was lost"), "{:?}", desk.halts());
        desk.end().await;
    });
}

#[test]
fn a_past_that_cannot_be_read_at_the_start_is_compared_before_the_first_opening() {
    let bench = Bench::new(&Setup::default());
    open_btc(&bench);
    bench.replace_journal(None);
    bench.faults.rule(|call| call.is("GET", "/openOrders").then_some(Fate::Refuse));
    bench.live(async |bench| {
        let desk = bench.open().await;
        assert_eq!(desk.halts(), [], "the exchange does not tell what rests");
        let report = desk.cycle(bench, &[ETH]).await;
        assert_eq!(became(&report, "ETHUSDT").0, OutcomeKind::Failed, "{:?}", report.decisions);
        assert_eq!(bench.truth(0).positions().await.unwrap().len(), 1);
        assert_eq!(desk.halts().len(), 1);
        desk.end().await;
    });
}

#[test]
fn a_past_whose_fills_cannot_be_read_is_not_taken_for_compared() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.cycle(bench, &[BTC]).await;
        desk.cycle(bench, &[(0, "BTCUSDT", "CLOSE", "0.9")]).await;
        desk.end().await;
    });
    bench.replace_journal(None);
    bench.faults.rule(|call| call.is("GET", "/userTrades").then_some(Fate::Refuse));
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.wait(130).await;
        assert_eq!(desk.halts(), [], "nothing rests, and which coins were traded is not told");
        let report = desk.cycle(bench, &[ETH]).await;
        assert_eq!(became(&report, "ETHUSDT").0, OutcomeKind::Failed, "{:?}", report.decisions);
        bench.faults.heal();
        desk.wait(130).await;
        assert!(desk.halts()[0].reason.raw().contains("the journal was lost"), "{:?}", desk.halts());
        desk.end().await;
    });
}

#[test]
fn a_live_desk_that_lost_its_journal_guards_what_it_once_opened() {
    let mut bench = Bench::new(&Setup::default());
    bench.settings.mode = Mode::Live;
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.arm(bench).await;
        desk.cycle(bench, &[BTC, ETH]).await;
        assert_eq!(bench.stops(0).await, 2);
        desk.end().await;
    });
    bench.replace_journal(None);
    bench.live(async |bench| {
        let btc = bench.truth(0).open_algo_orders(Some(&symbol("BTCUSDT"))).await.unwrap().remove(0);
        let gone = bench.truth(0).cancel_algo(&btc.client_order_id.unwrap()).await;
        assert!(gone.accepted().is_some());
        let desk = bench.open().await;
        assert!(desk.floor.bulletin().read(|present| present.armed.is_empty()), "nothing is opened");
        assert_eq!(bench.stops(0).await, 2, "{:?}", desk.alarms());
        desk.end().await;
    });
}

#[test]
fn slots_without_a_desk_are_told_once_and_never_run_late() {
    const HOUR: i64 = 3600;
    let mut bench = Bench::new(&Setup::default());
    "0 5 * * * *".clone_into(&mut bench.settings.schedule.cron);
    bench.pace = 60.0;
    bench.script.say(&crate::common::rows_of(&bench, &[]));
    let missed =
        |desk: &Desk| desk.alarms().into_iter().filter(|alarm| alarm.contains("missed since")).collect();
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.wait(5).await;
        assert_eq!(desk.store.cycles(9).await.unwrap().len(), 1, "the slot of the start");
        assert_eq!(missed(&desk), Vec::<String>::new());
        desk.end().await;
    });
    bench.world.advance(3 * HOUR + HOUR / 3);
    let told = bench.live(async |bench| {
        let desk = bench.open().await;
        desk.wait(5).await;
        let told: Vec<String> = missed(&desk);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("3 slots missed since 2026-03-02 09:05Z"), "{told:?}");
        assert_eq!(desk.store.cycles(9).await.unwrap().len(), 1, "none is run late");
        // The next one in time; then the machine sleeps over one and wakes up within the one after it.
        bench.world.advance(HOUR - HOUR / 3);
        desk.wait(5).await;
        assert_eq!((desk.store.cycles(9).await.unwrap().len(), missed(&desk).len()), (2, 1));
        bench.world.advance(2 * HOUR);
        desk.wait(5).await;
        assert_eq!(desk.store.cycles(9).await.unwrap().len(), 3);
        let told: Vec<String> = missed(&desk);
        assert!(told.len() == 2 && told[1].starts_with("1 slot missed since 2026-03-02 13:05Z"), "{told:?}");
        desk.end().await;
        told
    });
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.wait(5).await;
        assert_eq!(missed(&desk), told, "told once each, and there until somebody acknowledges them");
        desk.end().await;
    });
}

/// Fills an account with conditional orders of another hand, far below the price.
async fn fill_up(bench: &Bench, count: usize) {
    let bnb = symbol("BNBUSDT");
    let far = (bench.mark(&bnb) * Decimal::new(5, 1)).round_dp(0);
    for number in 0..count {
        let stop = StopOrder {
            symbol: bnb.clone(),
            side: Side::Sell,
            trigger: Price::new(far).unwrap(),
            size: StopSize::ReduceOnly("1".parse().unwrap()),
            client_order_id: ClientOrderId::new(format!("web-{number}")).unwrap(),
        };
        assert!(bench.truth(0).place_stop(&stop).await.accepted().is_some());
    }
}

#[test]
fn a_position_is_not_opened_where_the_exchange_would_take_no_stop_for_it() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        fill_up(bench, 199).await;
        let desk = bench.open().await;
        let report = desk.cycle(bench, &[BTC, ETH]).await;
        let mut outcomes = [became(&report, "BTCUSDT"), became(&report, "ETHUSDT")];
        outcomes.sort_by_key(|(kind, _)| *kind != OutcomeKind::Opened);
        let expected = [(OutcomeKind::Opened, None), (OutcomeKind::Refused, Some(Rule::Stop))];
        assert_eq!(outcomes, expected, "{:?}", report.decisions);
        let openings = bench.faults.log().iter().filter(|entry| entry.call.is_opening()).count();
        assert_eq!((openings, bench.stops(0).await), (1, 200));
        let by_hand = ClientOrderId::new("web-0").unwrap();
        assert!(bench.truth(0).cancel_algo(&by_hand).await.accepted().is_some());
        let again = desk.cycle(bench, &[BTC, ETH]).await;
        assert!(again.decisions.iter().any(|row| row.outcome.kind == OutcomeKind::Opened), "{again:?}");
        desk.wait(60).await;
        assert_eq!(check_windows(bench, STOP_LIMIT_MS), Vec::<String>::new());
        desk.end().await;
    });
}

#[test]
fn nothing_of_this_is_said_of_a_healthy_restart() {
    let bench = Bench::new(&Setup::default());
    open_btc(&bench);
    bench.live(async |bench| {
        let desk = bench.open().await;
        assert_eq!(desk.halts(), []);
        assert_eq!(became(&desk.cycle(bench, &[ETH]).await, "ETHUSDT").0, OutcomeKind::Opened);
        assert_eq!(verdict(bench, &desk, STOP_LIMIT_MS).await, Vec::<String>::new());
        desk.end().await;
    });
}

#[test]
fn while_one_account_hangs_at_the_start_no_other_is_left_without_its_stop() {
    let bench = Bench::new(&Setup { accounts: 2, ..Setup::default() });
    open_btc(&bench);
    bench.faults.rule(|call| (call.account == 1).then_some(Fate::DropBefore));
    bench.live(async |bench| {
        let is_open = Cell::new(false);
        let opening = async {
            let desk = bench.open().await;
            is_open.set(true);
            desk
        };
        let meanwhile = async {
            tokio::time::sleep(Duration::from_secs(4)).await;
            bench.take_stops_away(0).await;
            bench.faults.look(0).await;
            tokio::time::sleep(Duration::from_secs(6)).await;
            assert_eq!(bench.stops(0).await, 1);
            // As an order does that an earlier run sent and the exchange executes only now.
            bench.trade_by_hand(0, &symbol("ETHUSDT"), Side::Buy, "0.5").await;
            tokio::time::sleep(Duration::from_secs(6)).await;
            assert_eq!(bench.stops(0).await, 2);
            assert!(!is_open.get(), "the start was through before");
        };
        let (desk, ()) = tokio::join!(opening, meanwhile);
        assert_eq!(check_windows(bench, STOP_LIMIT_MS), Vec::<String>::new());
        let told = |words: &str| desk.alarms().iter().filter(|alarm| alarm.contains(words)).count();
        desk.wait(5).await;
        assert_eq!(
            (told("BTCUSDT: had no stop"), told("ETHUSDT: had no stop")),
            (1, 1),
            "{:?}",
            desk.alarms()
        );
        bench.faults.heal();
        desk.wait(60).await;
        desk.end().await;
    });
}

#[test]
fn a_clock_that_is_not_told_holds_up_no_stop_at_the_start() {
    let bench = Bench::new(&Setup::default());
    open_btc(&bench);
    bench.faults.rule(|call| call.is("GET", "/v1/time").then_some(Fate::DropBefore));
    bench.live(async |bench| {
        bench.take_stops_away(0).await;
        bench.faults.look(0).await;
        let desk = bench.open().await;
        assert_eq!(bench.stops(0).await, 1);
        assert_eq!(check_windows(bench, STOP_LIMIT_MS), Vec::<String>::new());
        desk.end().await;
    });
}
