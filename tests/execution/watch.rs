//! The watch over positions: it is not blinded by what is slow, it never fights over a stop, and it leaves to an operator
//! what is not its own to end.

use std::sync::Mutex;
use std::time::Duration;

use crate::common::faults::{Call, Fate};
use crate::common::oracle::check_windows;
use crate::common::{Bench, Desk, Setup, symbol};
use jarvis::domain::{
    ClientOrderId, Command, Direction, Flattening, HaltLevel, HaltScope, OutcomeKind, Price, Side,
};
use jarvis::exchange::{StopOrder, StopSize};
use rust_decimal::Decimal;

const LONG: &[(usize, &str, &str, &str)] = &[(0, "BTCUSDT", "LONG", "0.9")];
const BOTH: &[(usize, &str, &str, &str)] = &[(0, "BTCUSDT", "LONG", "0.9"), (0, "ETHUSDT", "SHORT", "0.9")];
const NO_POSITION: &str = r#"{"code":-4509,"msg":"TIF GTE can only be used with open positions."}"#;
/// The stop's limit and the guardian's period, while the exchange answers for the coin.
const WATCHED_MS: i64 = 20_000;

fn stops_sent(bench: &Bench) -> usize {
    bench.faults.log().iter().filter(|entry| entry.call.is_stop()).count()
}

fn closes(bench: &Bench) -> usize {
    bench.faults.log().iter().filter(|entry| entry.call.is_close()).count()
}

fn times_told(desk: &Desk, words: &str) -> usize {
    desk.alarms().iter().filter(|alarm| alarm.contains(words)).count()
}

fn flattening(desk: &Desk) -> Flattening {
    desk.floor.bulletin().read(|present| present.flattenings[0].clone())
}

fn is_dry_run(desk: &Desk) -> bool {
    desk.floor.bulletin().read(|present| present.dry_run)
}

async fn triggers(bench: &Bench) -> Vec<Price> {
    let stops = bench.truth(0).open_algo_orders(None).await.unwrap();
    stops.into_iter().filter_map(|stop| stop.trigger).collect()
}

/// So much of the mark, on the grid.
fn share_of_mark(bench: &Bench, coin: &str, hundredths: i64) -> Price {
    Price::new((bench.mark(&symbol(coin)) * Decimal::new(hundredths, 2)).round_dp(0)).unwrap()
}

#[test]
fn a_moved_stop_that_vanishes_comes_back_where_it_was_put_and_is_left_there() {
    let bench = Bench::new(&Setup { has_streams: true, ..Setup::default() });
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.cycle(bench, LONG).await;
        // Nearer than the plan's place by half.
        let (account, trigger) = (bench.names[0].clone(), share_of_mark(bench, "BTCUSDT", 95));
        desk.command(
            1,
            Command::MoveStop { account, symbol: symbol("BTCUSDT"), direction: Direction::Long, trigger },
        )
        .await;
        desk.wait(20).await;
        assert_eq!(triggers(bench).await, [trigger]);
        for round in 0..3 {
            let before = stops_sent(bench);
            bench.take_stops_away(0).await;
            desk.wait(120).await;
            assert_eq!(triggers(bench).await, [trigger], "round {round}: {:?}", desk.alarms());
            assert_eq!(stops_sent(bench), before + 1, "round {round}: one stop for one that vanished");
        }
        assert!(!desk.told("was not as it should be"), "{:?}", desk.alarms());
        desk.end().await;
    });
}

#[test]
fn a_moved_stop_that_vanished_while_the_price_passed_it_is_not_put_further_away() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.cycle(bench, LONG).await;
        let (account, trigger) = (bench.names[0].clone(), share_of_mark(bench, "BTCUSDT", 98));
        let (symbol, direction) = (symbol("BTCUSDT"), Direction::Long);
        desk.command(1, Command::MoveStop { account, symbol: symbol.clone(), direction, trigger }).await;
        desk.wait(20).await;
        assert_eq!(triggers(bench).await, [trigger]);
        bench.take_stops_away(0).await;
        bench.shock(&symbol, Decimal::new(-4, 2)).await;
        desk.wait(20).await;
        let held = bench.truth(0).positions().await.unwrap();
        assert!(held.is_empty(), "the operator wanted to be out by now: {held:?} {:?}", desk.alarms());
        desk.end().await;
    });
}

#[test]
fn what_is_held_at_a_start_keeps_its_leverage() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let (btc, eth) = (symbol("BTCUSDT"), symbol("ETHUSDT"));
        bench.trade_by_hand(0, &eth, Side::Buy, "0.05").await;
        let leverage = async |coin: &jarvis::domain::Symbol| {
            bench.truth(0).symbol_configs(Some(coin)).await.unwrap()[0].leverage
        };
        let before = leverage(&eth).await;
        assert_ne!(before, 3, "the terms ask for another one");
        let desk = bench.open().await;
        desk.cycle(bench, LONG).await;
        assert_eq!((leverage(&btc).await, leverage(&eth).await), (3, before));
        let held = bench.truth(0).positions().await.unwrap().remove(1).quantity.to_string();
        bench.trade_by_hand(0, &eth, Side::Sell, &held).await;
        desk.wait(60).await;
        desk.cycle(bench, &[(0, "ETHUSDT", "SHORT", "0.9")]).await;
        assert_eq!(leverage(&eth).await, 3, "what we open stands at our leverage");
        desk.end().await;
    });
}

#[test]
fn a_stop_that_another_hand_moves_away_again_and_again_is_put_back_a_few_times_and_told_once() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.cycle(bench, LONG).await;
        let (trigger, before) = (share_of_mark(bench, "BTCUSDT", 80), stops_sent(bench));
        for round in 0..12 {
            bench.take_stops_away(0).await;
            let stop = StopOrder {
                symbol: symbol("BTCUSDT"),
                side: Side::Sell,
                trigger,
                size: StopSize::WholePosition,
                client_order_id: ClientOrderId::new(format!("web{round}")).unwrap(),
            };
            assert!(bench.truth(0).place_stop(&stop).await.accepted().is_some());
            desk.wait(30).await;
        }
        // A bridge and a whole one each time.
        assert_eq!(stops_sent(bench) - before, 8);
        assert_eq!(triggers(bench).await, [trigger], "what protects is left in the end");
        assert_eq!(times_told(&desk, "look who changes it"), 1, "{:?}", desk.alarms());
        desk.end().await;
    });
}

#[test]
fn books_that_nobody_answers_keep_the_watch_from_nothing() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.cycle(bench, BOTH).await;
        desk.wait(20).await;
        let slow = ["/v3/account", "/income", "/userTrades", "/symbolConfig", "/openOrders"];
        bench
            .faults
            .rule(move |call| slow.iter().any(|path| call.is("GET", path)).then_some(Fate::DropBefore));
        for _ in 0..12 {
            bench.take_stops_away(0).await;
            bench.faults.look(0).await;
            desk.wait(23).await;
        }
        bench.faults.look(0).await;
        assert_eq!(check_windows(bench, WATCHED_MS), Vec::<String>::new());
        desk.end().await;
    });
}

#[test]
fn a_coin_whose_orders_nobody_answers_keeps_no_other_from_its_stop() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.cycle(bench, BOTH).await;
        desk.wait(20).await;
        bench
            .faults
            .rule(|call| (call.method == "POST" && call.symbol == "ETHUSDT").then_some(Fate::DropBefore));
        bench.take_stops_away(0).await;
        bench.faults.look(0).await;
        let is_btc = |price: &Price| price.value() > Decimal::from(10_000);
        // ETHUSDT resists by now; what happens to the other coin is seen all the same.
        desk.wait(20).await;
        for round in 0..4 {
            bench.take_stops_away(0).await;
            desk.wait(18).await;
            assert!(triggers(bench).await.iter().any(is_btc), "round {round}: {:?}", desk.alarms());
        }
        desk.end().await;
    });
}

#[test]
fn a_position_of_another_hand_that_is_beyond_its_stop_is_told_and_not_closed() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        // By then the account was set up anew: it is liquidated nowhere near.
        desk.wait(20).await;
        let btc = symbol("BTCUSDT");
        bench.trade_by_hand(0, &btc, Side::Buy, "0.01").await;
        bench.shock(&btc, "-0.12".parse().unwrap()).await;
        desk.wait(120).await;
        assert_eq!((bench.truth(0).positions().await.unwrap().len(), closes(bench)), (1, 0));
        assert_eq!(times_told(&desk, "another hand opened it"), 1, "{:?}", desk.alarms());
        bench.shock(&btc, "0.1".parse().unwrap()).await;
        desk.wait(30).await;
        assert_eq!(bench.stops(0).await, 1, "it may rest by now: {:?}", desk.alarms());
        desk.end().await;
    });
}

#[test]
fn a_start_at_which_the_rules_hang_gives_every_position_its_stop_before_it_waits_for_them() {
    for is_journal_lost in [false, true] {
        let bench = Bench::new(&Setup::default());
        let planned = bench.live(async |bench| {
            let desk = bench.open().await;
            desk.cycle(bench, LONG).await;
            desk.wait(20).await;
            let planned = triggers(bench).await;
            desk.end().await;
            bench.take_stops_away(0).await;
            planned[0]
        });
        if is_journal_lost {
            bench.replace_journal(None);
        }
        bench.faults.rule(|call| call.is("GET", "/exchangeInfo").then_some(Fate::DropBefore));
        bench.live(async |bench| {
            let soon = async {
                tokio::time::sleep(Duration::from_secs(5)).await;
                triggers(bench).await
            };
            let (desk, placed) = tokio::join!(bench.open(), soon);
            let [placed] = placed[..] else { panic!("{placed:?}: {:?}", desk.alarms()) };
            let away = (placed.value() / planned.value() - Decimal::ONE).abs();
            assert!(away < Decimal::new(1, 3), "{placed} instead of {planned}");
            assert_eq!(placed == planned, !is_journal_lost, "{placed} instead of {planned}");
            desk.end().await;
        });
    }
}

/// An opening that is carried out long after everybody stopped waiting for it.
async fn opened_late(bench: &Bench, desk: &Desk) {
    bench.faults.first(1, Call::is_opening, Fate::Late(Duration::from_mins(1)));
    let report = desk.cycle(bench, LONG).await;
    assert!(report.decisions[0].outcome.detail.contains("nobody knows"), "{report:?}");
}

#[test]
fn dry_run_is_not_begun_while_the_fate_of_an_opening_is_unknown() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        opened_late(bench, &desk).await;
        desk.command(1, Command::SetDryRun(true)).await;
        desk.wait(1).await;
        assert!(!is_dry_run(&desk));
        desk.wait(90).await;
        assert_eq!((bench.truth(0).positions().await.unwrap().len(), bench.stops(0).await), (1, 1));
        desk.command(2, Command::SetDryRun(true)).await;
        desk.wait(1).await;
        assert!(is_dry_run(&desk));
        desk.end().await;
    });
}

#[test]
fn nothing_is_proven_flat_while_an_opening_may_still_arrive() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        opened_late(bench, &desk).await;
        let (scope, reason) = (HaltScope::Desk, String::new());
        let flatten = Command::Halt { scope, level: HaltLevel::Flattened, until: None, reason };
        desk.command(1, flatten).await;
        desk.wait(5).await;
        let told = flattening(&desk);
        assert_eq!(told.remaining, [symbol("BTCUSDT")], "{told:?}");
        assert!(told.trouble.as_ref().is_some_and(|trouble| trouble.contains("fate")), "{told:?}");
        desk.wait(120).await;
        let told = flattening(&desk);
        assert!(told.remaining.is_empty() && told.proven_at.is_some(), "{told:?}");
        assert_eq!((bench.truth(0).positions().await.unwrap().len(), closes(bench)), (0, 1));
        desk.end().await;
    });
}

#[test]
fn a_fresh_fill_is_not_taken_for_gone_because_the_exchange_does_not_see_it_yet() {
    let bench = Bench::new(&Setup::default());
    // Twice it sees no position to protect, and once right after it shows none.
    let (unseen, empty) = (Mutex::new(2), Mutex::new(1));
    bench.faults.rule(move |call| {
        let mut unseen = unseen.lock().unwrap();
        if call.is_stop() && *unseen > 0 {
            *unseen -= 1;
            return Some(Fate::answer(false, 400, NO_POSITION));
        }
        let mut empty = empty.lock().unwrap();
        (*unseen == 0 && *empty > 0 && call.is("GET", "/positionRisk")).then(|| {
            *empty -= 1;
            Fate::answer(false, 200, "[]")
        })
    });
    bench.live(async |bench| {
        let desk = bench.open().await;
        let report = desk.cycle(bench, LONG).await;
        assert_eq!(report.decisions[0].outcome.kind, OutcomeKind::Opened, "{report:?}");
        assert_eq!(bench.stops(0).await, 1);
        desk.end().await;
    });
}
