//! What the exchange says is not always so: empty answers over full accounts, refusals taken for success, settings changed
//! by another hand, prices nobody heard, keys that are refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::faults::{BAD_KEY, Call, Fate, UNAVAILABLE_503};
use crate::common::oracle::{FAULTY_LIMIT_MS, STOP_LIMIT_MS, verdict};
use crate::common::{Bench, Desk, Setup, symbol};
use jarvis::domain::{
    ClientOrderId, Command, Direction, HaltLevel, HaltScope, OrderPurpose, OrderState, OutcomeKind, Rule,
    Side, Trigger,
};
use jarvis::exchange::{StopOrder, StopSize};
use rust_decimal::Decimal;

const EMPTY: &str = "[]";
const UNREADABLE: &str =
    r#"[{"symbol":"BTCUSDT","positionAmt":"0.01","entryPrice":"0","markPrice":"0","unRealizedProfit":"0"}]"#;
const NOT_OPEN: &str = r#"{"code":-2011,"msg":"Unknown order sent."}"#;

fn reads_positions(call: &Call) -> bool {
    call.is("GET", "/positionRisk")
}

/// From the switch on every reading of positions is empty.
fn empty_readings(bench: &Bench) -> Arc<AtomicBool> {
    let on = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&on);
    bench.faults.rule(move |call| {
        (switch.load(Ordering::SeqCst) && reads_positions(call)).then(|| Fate::answer(false, 200, EMPTY))
    });
    on
}

fn openings(bench: &Bench) -> usize {
    bench.faults.log().iter().filter(|entry| entry.call.is_opening()).count()
}

async fn nothing_wrong(bench: &Bench, desk: &Desk, limit_ms: i64) {
    assert_eq!(verdict(bench, desk, limit_ms).await, Vec::<String>::new());
}

#[test]
fn an_empty_answer_over_a_held_coin_opens_nothing_and_takes_no_stop_away() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9")]).await;
        let on = empty_readings(bench);
        desk.wait(60).await;
        let report = desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9")]).await;
        let outcome = &report.decisions[0].outcome;
        assert!(outcome.detail.contains("position unclear"), "{outcome:?}");
        desk.wait(60).await;
        assert_eq!((openings(bench), bench.stops(0).await), (1, 1));
        on.store(false, Ordering::SeqCst);
        desk.wait(60).await;
        nothing_wrong(bench, &desk, STOP_LIMIT_MS).await;
        assert_eq!(bench.truth(0).positions().await.unwrap().len(), 1);
        desk.end().await;
    });
}

#[test]
fn one_empty_answer_ends_no_close_before_it_was_sent() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9")]).await;
        let read = bench.faults.log().iter().filter(|entry| reads_positions(&entry.call)).count() as u64;
        // The cycle reads the account once; what follows is the close's own look.
        bench.faults.rule(move |call| {
            (reads_positions(call) && call.nth == read + 1).then(|| Fate::answer(false, 200, EMPTY))
        });
        let report = desk.cycle(bench, &[(0, "BTCUSDT", "CLOSE", "0.9")]).await;
        assert_eq!(report.decisions[0].outcome.kind, OutcomeKind::Closed, "{:?}", report.decisions[0]);
        assert_eq!(bench.faults.log().iter().filter(|entry| entry.call.is_close()).count(), 1);
        assert!(bench.truth(0).positions().await.unwrap().is_empty());
        desk.wait(60).await;
        nothing_wrong(bench, &desk, STOP_LIMIT_MS).await;
        desk.end().await;
    });
}

#[test]
fn a_close_that_meets_only_empty_answers_is_not_told_as_done() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9")]).await;
        let read = bench.faults.log().iter().filter(|entry| reads_positions(&entry.call)).count() as u64;
        bench.faults.rule(move |call| {
            (reads_positions(call) && call.nth > read).then(|| Fate::answer(false, 200, EMPTY))
        });
        let report = desk.cycle(bench, &[(0, "BTCUSDT", "CLOSE", "0.9")]).await;
        let outcome = &report.decisions[0].outcome;
        assert_eq!(outcome.kind, OutcomeKind::Failed, "{outcome:?}");
        assert!(outcome.detail.contains("position unclear"), "{outcome:?}");
        assert_eq!(bench.stops(0).await, 1);
        bench.faults.heal();
        desk.wait(30).await;
        nothing_wrong(bench, &desk, STOP_LIMIT_MS).await;
        desk.end().await;
    });
}

#[test]
fn an_empty_answer_proves_no_flattening() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9")]).await;
        let on = empty_readings(bench);
        let flatten = Command::Halt {
            scope: HaltScope::Account(bench.names[0].clone()),
            level: HaltLevel::Flattened,
            until: None,
            reason: String::new(),
        };
        desk.command(1, flatten).await;
        desk.wait(30).await;
        let seen = desk.floor.bulletin().read(|present| present.flattenings.clone());
        assert_eq!(seen[0].remaining, [symbol("BTCUSDT")], "{seen:?}");
        assert!(seen[0].trouble.as_ref().unwrap().contains("position unclear"), "{seen:?}");
        on.store(false, Ordering::SeqCst);
        desk.wait(20).await;
        let seen = desk.floor.bulletin().read(|present| present.flattenings.clone());
        assert!(seen[0].remaining.is_empty() && seen[0].proven_at.is_some(), "{seen:?}");
        assert!(bench.truth(0).positions().await.unwrap().is_empty());
        desk.end().await;
    });
}

#[test]
fn a_refused_leverage_opens_nothing() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        bench
            .faults
            .rule(|call| call.is("POST", "/leverage").then(|| Fate::answer(false, 503, UNAVAILABLE_503)));
        let desk = bench.open().await;
        let report = desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9")]).await;
        let outcome = &report.decisions[0].outcome;
        assert!(outcome.detail.contains("leverage"), "{outcome:?}");
        assert_eq!(openings(bench), 0);
        bench.faults.heal();
        let report = desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9")]).await;
        assert_eq!(report.decisions[0].outcome.kind, OutcomeKind::Opened);
        nothing_wrong(bench, &desk, STOP_LIMIT_MS).await;
        desk.end().await;
    });
}

#[test]
fn leverage_changed_by_another_hand_is_told_and_set_again_before_the_next_opening() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        // By then the account was set up anew, as it is whenever its stream was opened.
        desk.wait(20).await;
        let set = bench.truth(0).set_leverage(&symbol("BTCUSDT"), 20).await;
        assert_eq!(set.accepted(), Some(20));
        desk.wait(60).await;
        assert!(desk.told("20x"), "{:?}", desk.alarms());
        let report = desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9")]).await;
        assert_eq!(report.decisions[0].outcome.kind, OutcomeKind::Opened);
        nothing_wrong(bench, &desk, STOP_LIMIT_MS).await;
        desk.end().await;
    });
}

#[test]
fn a_position_that_would_be_liquidated_before_its_stop_is_told() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.wait(20).await;
        let set = bench.truth(0).set_leverage(&symbol("BTCUSDT"), 20).await;
        assert_eq!(set.accepted(), Some(20));
        bench.trade_by_hand(0, &symbol("BTCUSDT"), Side::Buy, "0.01").await;
        desk.wait(40).await;
        let position = bench.truth(0).positions().await.unwrap().remove(0);
        let stop = bench.truth(0).open_algo_orders(None).await.unwrap()[0].trigger.unwrap();
        assert!(position.liquidation.unwrap() > stop, "{position:?}, stop at {stop}");
        assert!(desk.told("liquidated at"), "{:?}", desk.alarms());
        desk.end().await;
    });
}

#[test]
fn a_balance_that_cannot_be_read_keeps_no_position_without_its_stop() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        bench.faults.rule(|call| {
            call.is("GET", "/v3/account").then(|| Fate::answer(false, 502, "<html>bad gateway</html>"))
        });
        bench.trade_by_hand(0, &symbol("ETHUSDT"), Side::Sell, "0.5").await;
        desk.wait(40).await;
        assert!(desk.told("the balance cannot be read"), "{:?}", desk.alarms());
        bench.faults.heal();
        desk.wait(60).await;
        nothing_wrong(bench, &desk, 20_000).await;
        desk.end().await;
    });
}

#[test]
fn a_position_row_without_sense_is_told_and_never_taken_for_flat() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9")]).await;
        bench.faults.rule(|call| reads_positions(call).then(|| Fate::answer(false, 200, UNREADABLE)));
        desk.wait(60).await;
        assert!(desk.told("something is held that cannot be read"), "{:?}", desk.alarms());
        let report = desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9"), (0, "ETHUSDT", "LONG", "0.9")]).await;
        let outcomes: Vec<_> = report.decisions.iter().map(|row| row.outcome.kind).collect();
        assert_eq!(outcomes[0], OutcomeKind::Failed, "{:?}", report.decisions);
        assert_eq!(outcomes[1], OutcomeKind::Opened, "{:?}", report.decisions);
        bench.faults.heal();
        desk.wait(60).await;
        nothing_wrong(bench, &desk, STOP_LIMIT_MS).await;
        desk.end().await;
    });
}

#[test]
fn a_strangers_stop_far_behind_a_price_that_is_past_ours_is_not_waited_for() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        let btc = symbol("BTCUSDT");
        desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9")]).await;
        let far = (bench.mark(&btc) * Decimal::new(75, 2)).round_dp(0);
        let stop = StopOrder {
            symbol: btc.clone(),
            side: Side::Sell,
            trigger: far.to_string().parse().unwrap(),
            size: StopSize::WholePosition,
            client_order_id: ClientOrderId::new("web-stop").unwrap(),
        };
        bench.take_stops_away(0).await;
        assert!(bench.truth(0).place_stop(&stop).await.accepted().is_some());
        bench.shock(&btc, "-0.12".parse().unwrap()).await;
        desk.wait(40).await;
        assert!(bench.truth(0).positions().await.unwrap().is_empty());
        assert!(desk.told("closing at market"), "{:?}", desk.alarms());
        nothing_wrong(bench, &desk, 16_000).await;
        desk.end().await;
    });
}

#[test]
fn a_coin_whose_stop_fired_while_the_model_thought_is_not_opened_again_by_the_same_cycle() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9")]).await;
        bench.script.think(Duration::from_secs(25));
        bench.script.say(&crate::common::rows_of(bench, &[(0, "BTCUSDT", "LONG", "0.9")]));
        let (report, ()) = tokio::join!(desk.floor.run_cycle(Trigger::Manual), async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            bench.shock(&symbol("BTCUSDT"), "-0.12".parse().unwrap()).await;
            bench.world.advance(20);
        });
        let outcome = &report.unwrap().decisions[0].outcome;
        assert_eq!(outcome.rule, Some(Rule::AllowedAction), "{outcome:?}");
        assert_eq!(openings(bench), 1);
        desk.end().await;
    });
}

#[test]
fn a_coin_closed_by_hand_is_left_alone_for_ten_minutes_in_every_profile() {
    for profile in [jarvis::domain::Profile::Classic, jarvis::domain::Profile::Guarded] {
        let mut bench = Bench::new(&Setup::default());
        bench.settings.profile = profile;
        bench.live(async |bench| {
            let desk = bench.open().await;
            let long = [(0, "BTCUSDT", "LONG", "0.9")];
            desk.cycle(bench, &long).await;
            let account = bench.names[0].clone();
            desk.command(
                1,
                Command::ClosePosition { account, symbol: symbol("BTCUSDT"), direction: Direction::Long },
            )
            .await;
            desk.wait(60).await;
            assert!(bench.truth(0).positions().await.unwrap().is_empty());
            let outcome = desk.cycle(bench, &long).await.decisions[0].outcome.clone();
            assert_eq!(outcome.rule, Some(Rule::Cooldown), "{outcome:?}");
            desk.wait(530).await;
            let outcome = desk.cycle(bench, &long).await.decisions[0].outcome.clone();
            assert_eq!(outcome.rule, Some(Rule::Cooldown), "{outcome:?}");
            desk.wait(20).await;
            let outcome = desk.cycle(bench, &long).await.decisions[0].outcome.clone();
            assert_eq!(outcome.kind, OutcomeKind::Opened, "{outcome:?}");
            desk.end().await;
        });
    }
}

#[test]
fn nothing_is_opened_on_a_mark_that_nobody_heard_for_long() {
    let mut bench = Bench::new(&Setup::default());
    bench.settings.risk.guards.stale_data = jarvis::config::GuardSettings::default().stale_data;
    bench.live(async |bench| {
        let desk = bench.open().await;
        for (thinking, expected) in [(40, OutcomeKind::Refused), (10, OutcomeKind::Opened)] {
            bench.script.think(Duration::from_secs(thinking));
            bench.script.say(&crate::common::rows_of(bench, &[(0, "BTCUSDT", "LONG", "0.9")]));
            let (report, ()) = tokio::join!(desk.floor.run_cycle(Trigger::Manual), async {
                tokio::time::sleep(Duration::from_secs(2)).await;
                bench.world.advance(i64::try_from(thinking).unwrap());
            });
            let outcome = &report.unwrap().decisions[0].outcome;
            assert_eq!(outcome.kind, expected, "{outcome:?}");
        }
        desk.end().await;
    });
}

#[test]
fn an_operators_stop_belongs_to_its_position_and_not_to_the_next() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        let btc = symbol("BTCUSDT");
        desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9")]).await;
        let held = bench.truth(0).positions().await.unwrap()[0].quantity.to_string();
        let near = (bench.mark(&btc) * Decimal::new(91, 2)).round_dp(0);
        let (account, trigger) = (bench.names[0].clone(), near.to_string().parse().unwrap());
        desk.command(
            1,
            Command::MoveStop { account, symbol: btc.clone(), direction: Direction::Long, trigger },
        )
        .await;
        desk.wait(20).await;
        let moved = bench.truth(0).open_algo_orders(None).await.unwrap();
        assert_eq!(moved[0].trigger, Some(trigger), "{moved:?}");
        // Another hand sells it, and later buys again.
        bench.trade_by_hand(0, &btc, Side::Sell, &held).await;
        desk.wait(60).await;
        bench.world.advance(60);
        bench.trade_by_hand(0, &btc, Side::Buy, &held).await;
        desk.wait(60).await;
        let anew = bench.truth(0).open_algo_orders(None).await.unwrap();
        assert_ne!(anew[0].trigger, Some(trigger), "{anew:?}");
        nothing_wrong(bench, &desk, 16_000).await;
        desk.end().await;
    });
}

#[test]
fn a_stop_that_is_said_not_to_be_open_and_rests_is_not_written_off() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        let btc = symbol("BTCUSDT");
        desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9")]).await;
        bench.faults.first(1, |call| call.is("DELETE", "/algoOrder"), Fate::answer(false, 400, NOT_OPEN));
        let near = (bench.mark(&btc) * Decimal::new(91, 2)).round_dp(0);
        let (account, trigger) = (bench.names[0].clone(), near.to_string().parse().unwrap());
        desk.command(1, Command::MoveStop { account, symbol: btc, direction: Direction::Long, trigger })
            .await;
        desk.wait(60).await;
        nothing_wrong(bench, &desk, STOP_LIMIT_MS).await;
        desk.end().await;
    });
}

#[test]
fn a_key_that_is_refused_for_an_order_opens_nothing_until_it_is_tried_again() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        bench.faults.rule(|call| call.is_opening().then(|| Fate::answer(false, 401, BAD_KEY)));
        desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9")]).await;
        assert_eq!(openings(bench), 1);
        desk.wait(20).await;
        assert!(desk.told("refuses the key"), "{:?}", desk.alarms());
        desk.cycle(bench, &[(0, "ETHUSDT", "LONG", "0.9")]).await;
        assert_eq!(openings(bench), 1, "frozen: nothing is sent");
        bench.faults.heal();
        desk.wait(600).await;
        let report = desk.cycle(bench, &[(0, "ETHUSDT", "LONG", "0.9")]).await;
        assert!(report.decisions.iter().any(|row| row.outcome.kind == OutcomeKind::Opened));
        nothing_wrong(bench, &desk, STOP_LIMIT_MS).await;
        desk.end().await;
    });
}

/// An order is told as filled before its fills are booked: its stop does not wait for what is only written down.
#[test]
fn what_was_traded_counts_towards_turnover_once_its_fills_are_booked() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        let account = &bench.names[0];
        let turnover = || {
            let of_account = |reading: &&jarvis::domain::GuardReading| {
                reading.rule == jarvis::domain::Rule::Turnover && reading.account.as_ref() == Some(account)
            };
            desk.floor
                .bulletin()
                .read(|present| present.guards.iter().find(of_account).map(|reading| reading.value.clone()))
        };
        desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9")]).await;
        desk.wait(30).await;
        let opened = turnover().unwrap();
        assert_ne!(opened, "0 %");
        desk.cycle(bench, &[(0, "BTCUSDT", "CLOSE", "0.9")]).await;
        desk.wait(30).await;
        assert_ne!(turnover().unwrap(), opened, "a close is traded, too");
        desk.end().await;
    });
}

#[test]
fn an_opening_that_arrives_after_it_was_given_up_is_known_by_its_fill_and_told() {
    let bench = Bench::new(&Setup::default());
    bench.faults.rule(|call| call.is_opening().then_some(Fate::Late(Duration::from_secs(400))));
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9")]).await;
        desk.wait(240).await;
        let orders = async || desk.store.orders_of(&bench.names[0], &symbol("BTCUSDT"), 9).await.unwrap();
        assert_eq!(orders().await[0].state, OrderState::NotPlaced);
        desk.wait(240).await;
        assert_eq!(bench.truth(0).positions().await.unwrap().len(), 1, "the exchange had it all the time");
        let orders = orders().await;
        let opening = orders.iter().find(|order| order.intent.purpose == OrderPurpose::Open).unwrap();
        assert_eq!(opening.state, OrderState::Filled);
        assert!(
            desk.alarms().iter().any(|text| text.contains("given up as not placed")),
            "{:?}",
            desk.alarms()
        );
        nothing_wrong(bench, &desk, FAULTY_LIMIT_MS).await;
        desk.end().await;
    });
}
