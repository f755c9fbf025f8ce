//! Edges of halts, flattening, openings and closes: what lies just beside is left alone, and what is just not so is refused.

use crate::common::faults::Fate;
use crate::common::oracle::{STOP_LIMIT_MS, verdict};
use crate::common::{Bench, Desk, Setup, symbol};
use chrono::TimeDelta;
use jarvis::desk::halts::mailbox::{self, HaltRequest, Request};
use jarvis::domain::{
    AccountName, ClientOrderId, Clock, Command, Direction, Event, HaltLevel, HaltScope, OutcomeKind, Price,
    Side, ToldElsewhere,
};
use jarvis::exchange::{StopOrder, StopSize};
use jarvis::store::{LedgerKind, LedgerRow};
use rust_decimal::Decimal;

const BOTH: &[(usize, &str, &str, &str)] = &[(0, "BTCUSDT", "LONG", "0.9"), (0, "ETHUSDT", "SHORT", "0.9")];

fn halt(scope: HaltScope, level: HaltLevel) -> Command {
    Command::Halt { scope, level, until: None, reason: String::new() }
}

async fn held(bench: &Bench, account: usize) -> Vec<String> {
    let positions = bench.truth(account).positions().await.unwrap();
    positions.into_iter().map(|position| position.symbol.to_string()).collect()
}

fn closes(bench: &Bench) -> usize {
    bench.faults.log().iter().filter(|entry| entry.call.is_close()).count()
}

fn openings(bench: &Bench) -> usize {
    bench.faults.log().iter().filter(|entry| entry.call.is_opening()).count()
}

/// A reduce-only stop of another hand, which may rest without a position.
async fn foreign_stop(bench: &Bench, coin: &str, id: &str) {
    let coin = symbol(coin);
    let far = (bench.mark(&coin) * Decimal::new(5, 1)).round_dp(0);
    let stop = StopOrder {
        symbol: coin,
        side: Side::Sell,
        trigger: Price::new(far).unwrap(),
        size: StopSize::ReduceOnly("1".parse().unwrap()),
        client_order_id: ClientOrderId::new(id).unwrap(),
    };
    assert!(bench.truth(0).place_stop(&stop).await.accepted().is_some());
}

async fn wrong(bench: &Bench, desk: &Desk) -> Vec<String> {
    verdict(bench, desk, STOP_LIMIT_MS).await
}

#[test]
fn flattening_a_coin_closes_it_in_every_account_and_nothing_else() {
    let bench = Bench::new(&Setup { accounts: 2, ..Setup::default() });
    bench.live(async |bench| {
        let desk = bench.open().await;
        let rows = [0, 1].map(|account| BOTH.iter().map(move |row| (account, row.1, row.2, row.3)));
        desk.cycle(bench, &rows.into_iter().flatten().collect::<Vec<_>>()).await;
        desk.command(1, halt(HaltScope::Coin(symbol("BTCUSDT")), HaltLevel::Flattened)).await;
        desk.wait(10).await;
        for account in [0, 1] {
            assert_eq!(held(bench, account).await, ["ETHUSDT"], "account {account}");
        }
        assert_eq!(wrong(bench, &desk).await, Vec::<String>::new());
        desk.end().await;
    });
}

#[test]
fn a_frozen_account_beside_a_flattened_coin_closes_nothing_more_than_the_coin() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.cycle(bench, BOTH).await;
        desk.command(1, halt(HaltScope::Account(bench.names[0].clone()), HaltLevel::Frozen)).await;
        desk.wait(10).await;
        assert_eq!((held(bench, 0).await.len(), closes(bench)), (2, 0));
        desk.command(2, halt(HaltScope::Coin(symbol("ETHUSDT")), HaltLevel::Flattened)).await;
        desk.wait(10).await;
        assert_eq!(held(bench, 0).await, ["BTCUSDT"]);
        desk.end().await;
    });
}

#[test]
fn a_dry_run_flattens_nothing_and_says_so() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.cycle(bench, BOTH).await;
        desk.command(1, Command::SetDryRun(true)).await;
        desk.wait(1).await;
        desk.command(2, halt(HaltScope::Desk, HaltLevel::Flattened)).await;
        desk.wait(10).await;
        assert_eq!((held(bench, 0).await.len(), closes(bench)), (2, 0));
        let told = desk.floor.bulletin().read(|present| present.flattenings.clone());
        assert_eq!((told[0].remaining.len(), told[0].trouble.is_some()), (2, true), "{told:?}");
        assert!(told[0].proven_at.is_some(), "the exchange was asked: {told:?}");
        desk.command(3, Command::SetDryRun(false)).await;
        desk.wait(10).await;
        assert_eq!(held(bench, 0).await, Vec::<String>::new());
        desk.end().await;
    });
}

#[test]
fn a_halt_whose_time_is_up_or_whose_scope_nobody_knows_is_refused() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        let now = bench.world.clock().now();
        let timed = |until| Command::Halt {
            scope: HaltScope::Desk,
            level: HaltLevel::Frozen,
            until: Some(until),
            reason: String::new(),
        };
        desk.command(1, timed(now)).await;
        desk.command(2, halt(HaltScope::Account(AccountName::new("ghost").unwrap()), HaltLevel::Frozen))
            .await;
        desk.command(3, halt(HaltScope::Coin(symbol("DOGEUSDT")), HaltLevel::Frozen)).await;
        desk.wait(1).await;
        assert_eq!(desk.halts(), []);
        desk.command(4, Command::Resume { scope: HaltScope::Desk }).await;
        desk.command(5, timed(now + TimeDelta::milliseconds(1))).await;
        desk.wait(1).await;
        assert_eq!(desk.halts().len(), 1);
        desk.end().await;
    });
}

#[test]
fn no_coin_is_opened_where_a_stop_of_another_hand_waits_and_its_neighbour_is() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        foreign_stop(bench, "BTCUSDT", "web-old").await;
        let report = desk.cycle(bench, BOTH).await;
        let outcomes: Vec<_> = report.decisions.iter().map(|row| &row.outcome).collect();
        assert!(outcomes[0].detail.contains("a conditional order rests (web-old)"), "{outcomes:?}");
        assert_eq!(outcomes[1].kind, OutcomeKind::Opened, "{outcomes:?}");
        assert_eq!(openings(bench), 1);
        desk.end().await;
    });
}

#[test]
fn a_leverage_that_the_exchange_set_otherwise_opens_nothing() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let other = r#"{"leverage":5,"maxNotionalValue":"1000000","symbol":"BTCUSDT"}"#;
        bench.faults.rule(move |call| call.is("POST", "/leverage").then(|| Fate::answer(false, 200, other)));
        let desk = bench.open().await;
        let report = desk.cycle(bench, &BOTH[..1]).await;
        let outcome = &report.decisions[0].outcome;
        assert!(outcome.detail.contains("the exchange set 5x instead of 3x"), "{outcome:?}");
        assert_eq!(openings(bench), 0);
        desk.end().await;
    });
}

#[test]
fn after_a_close_our_stop_goes_and_another_hands_stays() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.cycle(bench, &BOTH[..1]).await;
        desk.command(1, halt(HaltScope::Desk, HaltLevel::NoEntries)).await;
        foreign_stop(bench, "ETHUSDT", "web-other").await;
        let report = desk.cycle(bench, &[(0, "BTCUSDT", "CLOSE", "0.9")]).await;
        assert_eq!(report.decisions[0].outcome.kind, OutcomeKind::Closed, "{report:?}");
        let left = bench.truth(0).open_algo_orders(None).await.unwrap();
        let names: Vec<_> = left.iter().filter_map(|stop| stop.client_order_id.clone()).collect();
        assert_eq!(names, [ClientOrderId::new("web-other").unwrap()]);
        desk.end().await;
    });
}

#[test]
fn a_close_of_what_another_hand_closed_meanwhile_sends_nothing_and_is_done() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.cycle(bench, &BOTH[..1]).await;
        let size = bench.truth(0).positions().await.unwrap()[0].quantity.to_string();
        bench.script.think(std::time::Duration::from_millis(500));
        bench.script.say(&crate::common::rows_of(bench, &[(0, "BTCUSDT", "CLOSE", "0.9")]));
        // The guardian is not due in between: the cycle still believes in the position.
        let by_hand = async {
            tokio::time::sleep(std::time::Duration::from_millis(250)).await;
            bench.trade_by_hand(0, &symbol("BTCUSDT"), Side::Sell, &size).await;
        };
        let (report, ()) = tokio::join!(desk.floor.run_cycle(jarvis::domain::Trigger::Manual), by_hand);
        let outcome = &report.unwrap().decisions[0].outcome;
        assert_eq!((outcome.kind, closes(bench)), (OutcomeKind::Closed, 0), "{outcome:?}");
        assert_eq!(outcome.detail, "the position was already gone at the exchange");
        desk.end().await;
    });
}

#[test]
fn what_an_operator_asked_of_a_position_is_not_done_to_one_that_points_the_other_way() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.cycle(bench, &[(0, "BTCUSDT", "SHORT", "0.9")]).await;
        let (account, btc) = (bench.names[0].clone(), symbol("BTCUSDT"));
        let stops = bench.truth(0).open_algo_orders(None).await.unwrap();
        let trigger = Price::new((bench.mark(&btc) * Decimal::new(915, 3)).round_dp(0)).unwrap();
        let (symbol, direction) = (btc.clone(), Direction::Long);
        let close = Command::ClosePosition { account: account.clone(), symbol: symbol.clone(), direction };
        desk.command(1, close).await;
        desk.command(2, Command::MoveStop { account, symbol, direction, trigger }).await;
        desk.wait(20).await;
        assert_eq!((held(bench, 0).await, closes(bench)), (vec!["BTCUSDT".to_owned()], 0));
        assert_eq!(bench.truth(0).open_algo_orders(None).await.unwrap(), stops);
        assert!(wrong(bench, &desk).await.is_empty());
        desk.end().await;
    });
}

#[test]
fn a_fill_that_could_not_be_booked_is_booked_before_those_that_follow_it() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        bench.refuse_writes("fills", "NEW.side = 'BUY'");
        desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9")]).await;
        let size = bench.truth(0).positions().await.unwrap()[0].quantity.to_string();
        bench.trade_by_hand(0, &symbol("BTCUSDT"), Side::Sell, &size).await;
        desk.wait(60).await;
        let totals = desk.store.ledger_totals(&bench.names[0]).await.unwrap();
        let moved = totals.iter().any(|row| row.0 == LedgerKind::Commission);
        assert!(!moved, "money is booked with its fill and not before it: {totals:?}");
        bench.allow_writes("fills");
        desk.wait(120).await;
        assert_eq!(wrong(bench, &desk).await, Vec::<String>::new());
        desk.end().await;
    });
}

#[test]
fn an_answer_says_how_much_of_it_events_tell() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9")]).await;
        let (_, mut events) = desk.floor.bulletin().subscribe();
        let account = HaltScope::Account(bench.names[0].clone());
        for (id, command) in [
            Command::SetDryRun(true),
            Command::SetDryRun(false),
            halt(account.clone(), HaltLevel::Frozen),
            halt(account.clone(), HaltLevel::NoEntries),
            Command::Resume { scope: account },
            Command::NoteToModel { text: "calm".to_owned() },
            Command::AcknowledgeAlarms { up_to: 1 },
            Command::ClosePosition {
                account: bench.names[0].clone(),
                symbol: symbol("BTCUSDT"),
                direction: Direction::Long,
            },
        ]
        .into_iter()
        .enumerate()
        {
            desk.command(id as u64, command).await;
        }
        desk.wait(20).await;
        let mut told = Vec::new();
        while let Ok(envelope) = events.try_recv() {
            if let Event::CommandAccepted { id, elsewhere, .. } = &envelope.event {
                told.push((*id, elsewhere.clone()));
            }
        }
        // What became of the close is in the answer alone.
        let expected: Vec<_> = (0..8)
            .map(|id| (id, if id == 7 { ToldElsewhere::Nothing } else { ToldElsewhere::All }))
            .collect();
        assert_eq!(told, expected);
        desk.end().await;
    });
}

#[test]
fn a_request_by_file_stays_until_its_halt_is_stored() {
    for is_killed in [false, true] {
        let mut bench = Bench::new(&Setup::default());
        bench.has_mailbox = true;
        let scope = HaltScope::Coin(symbol("BTCUSDT"));
        let posted = bench.live(async |bench| {
            let desk = bench.open().await;
            bench.refuse_writes("halts", "1");
            let (level, reason) = (HaltLevel::Frozen, "by file".to_owned());
            let request = Request::Halt { scope: scope.clone(), level, seconds: None, reason };
            let request = HaltRequest { at: bench.clock.now(), request };
            let posted = mailbox::post(bench.folder.path(), &request).unwrap();
            desk.wait(3).await;
            assert_eq!(desk.halts().len(), 1, "in force all the same");
            assert_eq!(mailbox::fate(&posted), mailbox::Fate::Waiting);
            let told = desk.alarms().iter().filter(|alarm| alarm.contains("could not be stored")).count();
            assert_eq!(told, 1, "{:?}", desk.alarms());
            if !is_killed {
                bench.allow_writes("halts");
                desk.wait(1).await;
                assert_eq!(mailbox::fate(&posted), mailbox::Fate::Taken);
            }
            posted
        });
        if is_killed {
            bench.allow_writes("halts");
        }
        bench.live(async |bench| {
            let desk = bench.open().await;
            assert_eq!(mailbox::fate(&posted), mailbox::Fate::Taken);
            assert_eq!(desk.halts()[0].scope, scope);
            assert_eq!(desk.store.halts().await.unwrap().len(), 1);
            desk.end().await;
        });
    }
}

#[test]
fn a_wallets_difference_is_told_again_when_it_grew_by_a_cent() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.wait(120).await;
        let told =
            || desk.alarms().iter().filter(|alarm| alarm.contains("the wallet and the ledger")).count();
        for (source, amount, times) in
            [("a", "0.02", 1), ("b", "0.006", 1), ("c", "0.006", 2), ("d", "300", 3), ("e", "0", 3)]
        {
            let booking = LedgerRow {
                account: bench.names[0].clone(),
                kind: LedgerKind::Other,
                amount: amount.parse().unwrap(),
                asset: "USDT".to_owned(),
                symbol: None,
                at: bench.world.clock().now(),
                source_id: source.to_owned(),
            };
            desk.store.add_ledger(&booking).await.unwrap();
            desk.wait(240).await;
            assert_eq!(told(), times, "{source}: {:?}", desk.alarms());
            assert_eq!(desk.store.open_differences(&bench.names[0]).await.unwrap().len(), 1);
        }
        desk.end().await;
    });
}

/// The rules of a market whose largest order is half of what is held.
const NARROW: &str = r#"{"symbols":[{"symbol":"BTCUSDT","status":"TRADING","contractType":"PERPETUAL","quoteAsset":"USDT",
    "filters":[{"filterType":"PRICE_FILTER","minPrice":"0.1","maxPrice":"4529764","tickSize":"0.10"},
    {"filterType":"LOT_SIZE","minQty":"0.001","maxQty":"1000","stepSize":"0.001"},
    {"filterType":"MARKET_LOT_SIZE","minQty":"0.001","maxQty":"0.02","stepSize":"0.001"},
    {"filterType":"MIN_NOTIONAL","notional":"100"}]}]}"#;

#[test]
fn a_stop_over_more_than_the_largest_order_moves_over_a_bridge_in_parts() {
    let bench = Bench::new(&Setup { coins: &["BTCUSDT"], ..Setup::default() });
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9")]).await;
        bench.faults.rule(|call| call.is("GET", "/exchangeInfo").then(|| Fate::answer(false, 200, NARROW)));
        desk.cycle(bench, &[(0, "BTCUSDT", "HOLD", "0.9")]).await;
        let coin = symbol("BTCUSDT");
        let trigger = Price::new((bench.mark(&coin) * Decimal::new(915, 3)).round_dp(0)).unwrap();
        let placed = || bench.faults.log().iter().filter(|entry| entry.call.is_stop()).count();
        let before = placed();
        let account = bench.names[0].clone();
        let direction = Direction::Long;
        desk.command(1, Command::MoveStop { account, symbol: coin.clone(), direction, trigger }).await;
        desk.wait(30).await;
        assert_eq!(placed() - before, 3, "two halves and the whole");
        let resting = bench.truth(0).open_algo_orders(Some(&coin)).await.unwrap();
        let resting = resting.iter().map(|stop| (stop.trigger, stop.close_position));
        assert_eq!(resting.collect::<Vec<_>>(), [(Some(trigger), true)]);
        assert_eq!(wrong(bench, &desk).await, Vec::<String>::new());
        desk.end().await;
    });
}
