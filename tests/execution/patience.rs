//! How long the desk waits: for a stop that does not come to rest, for an account that is slow, for a loss to be said again.

use std::time::Duration;

use tokio::time::Instant;

use crate::common::faults::{Call, Fate};
use crate::common::oracle::{STOP_LIMIT_MS, verdict};
use crate::common::{Bench, Desk, Setup, epoch, symbol};
use jarvis::domain::{Command, Direction, OutcomeKind, Proposal, Usdt};

/// One way to the exchange, there and back.
const TRIP: u64 = 100;
const EMPTIED: &str = r#"{"totalWalletBalance":"0","totalMarginBalance":"0","availableBalance":"0"}"#;

/// How a reading that is not believed is told.
const NOT_YET: &str = "from one reading to the next";

fn reads_balance(call: &Call) -> bool {
    call.is("GET", "/v3/account")
}

async fn nothing_wrong(bench: &Bench, desk: &Desk, limit_ms: i64) {
    assert_eq!(verdict(bench, desk, limit_ms).await, Vec::<String>::new());
}

#[test]
fn a_stop_that_is_lost_so_often_rests_in_time_or_its_position_is_closed() {
    for (name, fate) in [("dropped", Fate::DropBefore), ("unanswered", Fate::LoseAnswer)] {
        for lost in [1, 2, 3, 4, 5, 8] {
            let bench = Bench::new(&Setup::default());
            bench.faults.latency(TRIP, TRIP);
            bench.live(async |bench| {
                let desk = bench.open().await;
                bench.faults.first(lost, Call::is_stop, fate.clone());
                desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9")]).await;
                bench.faults.heal();
                desk.wait(300).await;
                nothing_wrong(bench, &desk, STOP_LIMIT_MS).await;
                let held = bench.truth(0).positions().await.unwrap().len();
                assert_eq!(held, usize::from(lost <= 3 || fate == Fate::LoseAnswer), "{name} {lost} times");
                desk.end().await;
            });
        }
    }
}

#[test]
fn a_cycle_goes_on_without_an_account_that_takes_a_minute_and_learns_later_what_became_of_it() {
    let bench = Bench::new(&Setup { accounts: 2, ..Setup::default() });
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9"), (1, "BTCUSDT", "LONG", "0.9")]).await;
        // The first account's closes are lost, and every look at its positions takes nearly as long as it may.
        bench.faults.rule(|call| {
            let is_slow = call.account == 0 && call.is("GET", "/positionRisk");
            is_slow.then_some(Fate::Connects(Duration::from_millis(2_900)))
        });
        bench.faults.rule(|call| (call.account == 0 && call.is_close()).then_some(Fate::DropBefore));
        // An operator's close has the coin for as long as that takes.
        let (account, symbol) = (bench.names[0].clone(), symbol("BTCUSDT"));
        let close = Command::ClosePosition { account, symbol: symbol.clone(), direction: Direction::Long };
        desk.command(1, close).await;
        desk.wait(4).await;
        let closes = [(0, "BTCUSDT", "CLOSE", "0.9"), (1, "BTCUSDT", "CLOSE", "0.9")];
        let began = Instant::now();
        let report = desk.cycle(bench, &closes).await;
        let took = began.elapsed().as_secs();
        assert!((60..=75).contains(&took), "{took} s");
        let of_coin = |proposal: &Proposal| proposal.symbol == symbol;
        for row in report.decisions.iter().filter(|row| of_coin(&row.proposal)) {
            let (is_slow, outcome) = (row.proposal.account == bench.names[0], &row.outcome);
            let expected = if is_slow { OutcomeKind::Failed } else { OutcomeKind::Closed };
            assert_eq!(outcome.kind, expected, "{outcome:?}");
            assert_eq!(outcome.detail.contains("still under way"), is_slow, "{outcome:?}");
        }
        bench.faults.heal();
        desk.wait(300).await;
        let rows = desk.store.decisions_of(&report.cycle_id).await.unwrap();
        let rows = rows.into_iter().filter(|(proposal, _)| of_coin(proposal));
        let settled = rows.map(|(_, outcome)| outcome.unwrap().kind);
        assert_eq!(settled.collect::<Vec<_>>(), [OutcomeKind::Closed, OutcomeKind::Closed]);
        assert!(bench.truth(0).positions().await.unwrap().is_empty());
        nothing_wrong(bench, &desk, STOP_LIMIT_MS).await;
        desk.end().await;
    });
}

/// What the first account is told to be worth.
fn worth(desk: &Desk) -> Usdt {
    desk.floor.bulletin().read(|present| present.accounts[0].equity)
}

#[test]
fn a_sudden_loss_that_is_not_said_again_is_neither_told_nor_booked() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.wait(70).await;
        let full = worth(&desk);
        bench.faults.first(1, reads_balance, Fate::answer(false, 200, EMPTIED));
        for second in 0..120 {
            let booked = desk.store.equity_since(&bench.names[0], epoch()).await.unwrap();
            assert_eq!((worth(&desk), booked.last().unwrap().1), (full, full), "second {second}");
            desk.wait(1).await;
        }
        let told = desk.alarms().iter().filter(|alarm| alarm.contains(NOT_YET)).count();
        assert_eq!(told, 1, "{:?}", desk.alarms());
        desk.end().await;
    });
}

#[test]
fn a_loss_that_is_said_again_is_believed() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.wait(70).await;
        bench.faults.rule(|call| reads_balance(call).then(|| Fate::answer(false, 200, EMPTIED)));
        desk.wait(40).await;
        assert_eq!(worth(&desk), Usdt::ZERO);
        desk.end().await;
    });
}

#[test]
fn a_cycle_leaves_out_an_account_whose_sudden_loss_is_not_believed() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.wait(70).await;
        bench.faults.first(1, reads_balance, Fate::answer(false, 200, EMPTIED));
        let report = desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9")]).await;
        let outcome = &report.decisions[0].outcome;
        assert_eq!(outcome.kind, OutcomeKind::Failed, "{outcome:?}");
        assert!(outcome.detail.contains(NOT_YET), "{outcome:?}");
        desk.end().await;
    });
}

#[test]
fn an_operator_closes_whatever_is_said_of_the_balance() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9")]).await;
        bench.faults.rule(|call| reads_balance(call).then(|| Fate::answer(false, 200, EMPTIED)));
        let (account, symbol) = (bench.names[0].clone(), symbol("BTCUSDT"));
        desk.command(1, Command::ClosePosition { account, symbol, direction: Direction::Long }).await;
        desk.wait(3).await;
        assert!(bench.truth(0).positions().await.unwrap().is_empty());
        bench.faults.heal();
        desk.wait(60).await;
        nothing_wrong(bench, &desk, STOP_LIMIT_MS).await;
        desk.end().await;
    });
}
