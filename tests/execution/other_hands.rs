//! Other hands and other desks on the same account, and what the operator's own hand leaves behind.

use super::halts::stops_of;
use crate::common::{Bench, Setup, epoch, symbol};
use jarvis::domain::{
    ClientOrderId, Command, Direction, HaltLevel, HaltOrigin, HaltScope, OrderPurpose, OrderState,
    OutcomeKind, Side,
};
use jarvis::exchange::{StopOrder, StopSize};
use jarvis::store::{DifferenceKind, LedgerKind, LedgerRow};
use rust_decimal::Decimal;

#[test]
fn a_trade_by_hand_is_named_once_and_kept() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9")]).await;
        desk.wait(120).await;
        let name = &bench.names[0];
        assert_eq!(
            desk.store.open_differences(name).await.unwrap(),
            [],
            "a desk alone agrees with the exchange"
        );
        bench.trade_by_hand(0, &symbol("ETHUSDT"), Side::Sell, "0.5").await;
        desk.wait(60).await;
        let open = desk.store.open_differences(name).await.unwrap();
        assert_eq!(open.len(), 1, "{open:?}");
        assert_eq!(open[0].kind, DifferenceKind::ForeignTrade);
        desk.wait(300).await;
        let told = desk.alarms().iter().filter(|alarm| alarm.contains("not ours")).count();
        assert_eq!(told, 1, "{:?}", desk.alarms());
        bench.world.advance(25 * 3_600);
        desk.wait(120).await;
        assert!(desk.store.open_differences(name).await.unwrap().is_empty());
        assert_eq!(desk.store.differences_since(epoch()).await.unwrap().len(), 1, "it stays queryable");
        desk.end().await;
    });
}

#[test]
fn a_wallet_that_is_not_what_the_ledger_says_is_named_once_and_ends_when_it_is_again() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.wait(120).await;
        let name = &bench.names[0];
        assert_eq!(desk.store.open_differences(name).await.unwrap(), []);
        let booking = |source_id: &str, amount: &str| LedgerRow {
            account: name.clone(),
            kind: LedgerKind::Other,
            amount: amount.parse().unwrap(),
            asset: "USDT".to_owned(),
            symbol: None,
            at: bench.world.clock().now(),
            source_id: source_id.to_owned(),
        };
        desk.store.add_ledger(&booking("less than a cent", "0.009")).await.unwrap();
        desk.wait(120).await;
        assert_eq!(desk.store.open_differences(name).await.unwrap(), []);
        desk.store.add_ledger(&booking("to the cent", "0.001")).await.unwrap();
        desk.wait(240).await;
        let open = desk.store.open_differences(name).await.unwrap();
        assert_eq!(open.len(), 1, "{open:?}");
        assert_eq!(open[0].kind, DifferenceKind::Wallet);
        assert!(open[0].detail.contains("10000.01") || open[0].detail.contains("10000 USDT"), "{open:?}");
        let told = desk.alarms().iter().filter(|alarm| alarm.contains("the wallet and the ledger")).count();
        assert_eq!(told, 1, "{:?}", desk.alarms());
        desk.store.add_ledger(&booking("taken back", "-0.01")).await.unwrap();
        desk.wait(120).await;
        assert_eq!(desk.store.open_differences(name).await.unwrap(), []);
        assert_eq!(desk.store.differences_since(epoch()).await.unwrap().len(), 1, "it stays queryable");
        desk.end().await;
    });
}

#[test]
fn another_desk_on_the_account_freezes_it_until_an_operator_takes_over() {
    for dry_run in [false, true] {
        let mut bench = Bench::new(&Setup::default());
        let other = bench.live(async |bench| {
            let desk = bench.open().await;
            desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9")]).await;
            stops_of(bench, 0, "BTCUSDT").await[0].clone()
        });
        // The same account, another folder: another installation with a journal of its own.
        bench.install = "another".into();
        bench.folder = tempfile::tempdir().unwrap();
        bench.settings.dry_run = dry_run;
        bench.live(async |bench| {
            let desk = bench.open().await;
            if dry_run {
                assert!(desk.halts().is_empty(), "a dry run is never refused");
                return desk.end().await;
            }
            let scope = HaltScope::Account(bench.names[0].clone());
            let found = desk.halts();
            assert_eq!((&found[0].scope, &found[0].origin), (&scope, &HaltOrigin::Desk));
            assert!(found[0].reason.raw().contains("jarvis resume --account"), "{found:?}");
            desk.cycle(bench, &[(0, "ETHUSDT", "LONG", "0.9")]).await;
            desk.wait(60).await;
            assert_eq!(bench.truth(0).positions().await.unwrap().len(), 1);
            assert_eq!(stops_of(bench, 0, "BTCUSDT").await[0].algo_id, other.algo_id, "hands off its stop");
            desk.command(1, Command::Resume { scope }).await;
            desk.wait(120).await;
            assert!(desk.halts().is_empty(), "{:?}", desk.halts());
            let report = desk.cycle(bench, &[(0, "ETHUSDT", "LONG", "0.9")]).await;
            assert!(report.decisions.iter().any(|row| row.outcome.kind == OutcomeKind::Opened), "{report:?}");
            desk.end().await;
        });
    }
}

#[test]
fn a_desk_on_a_copy_of_the_folder_is_noticed_while_both_run() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9")]).await;
        desk.wait(120).await;
        assert!(desk.halts().is_empty(), "{:?}", desk.halts());
        // The copy bears our name, and writes into a journal of its own.
        let ours = stops_of(bench, 0, "BTCUSDT").await[0].client_order_id.clone().unwrap();
        let theirs = format!("{}{}", &ours.as_str()[..ours.as_str().len() - 4], "0000");
        let ether = symbol("ETHUSDT");
        bench.trade_by_hand(0, &ether, Side::Buy, "0.05").await;
        let stop = StopOrder {
            symbol: ether.clone(),
            side: Side::Sell,
            trigger: (bench.mark(&ether) * Decimal::new(90, 2)).round_dp(0).to_string().parse().unwrap(),
            size: StopSize::WholePosition,
            client_order_id: ClientOrderId::new(&theirs).unwrap(),
        };
        assert!(bench.truth(0).place_stop(&stop).await.accepted().is_some());
        desk.wait(90).await;
        let halts = desk.halts();
        assert_eq!(halts.len(), 1, "{halts:?}");
        assert_eq!((halts[0].level, &halts[0].origin), (HaltLevel::NoEntries, &HaltOrigin::Desk));
        assert!(halts[0].reason.raw().contains(&theirs), "{halts:?}");
        desk.end().await;
    });
}

#[test]
fn the_next_prompt_tells_what_the_operator_did_and_said_and_the_one_after_does_not() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9")]).await;
        bench.world.advance(60);
        let account = bench.names[0].clone();
        desk.command(
            1,
            Command::ClosePosition { account, symbol: symbol("BTCUSDT"), direction: Direction::Long },
        )
        .await;
        desk.command(2, Command::NoteToModel { text: "CPI at 13:30".to_owned() }).await;
        desk.wait(5).await;
        assert_eq!(
            desk.floor.bulletin().read(|present| present.note.clone()).as_deref(),
            Some("CPI at 13:30")
        );
        let user = desk.floor.draft_prompts().await.unwrap().user;
        assert!(user.contains("closed by hand") && user.contains("CPI at 13:30"), "{user}");
        bench.world.advance(60);
        desk.cycle(bench, &[(0, "ETHUSDT", "LONG", "0.9")]).await;
        bench.world.advance(60);
        let user = desk.floor.draft_prompts().await.unwrap().user;
        assert!(!user.contains("closed by hand") && !user.contains("CPI at 13:30"), "{user}");
        assert_eq!(desk.floor.bulletin().read(|present| present.note.clone()), None);
        desk.end().await;
    });
}

#[test]
fn stops_in_the_journal_carry_the_exchanges_id_no_price_and_come_to_their_end() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9")]).await;
        let stop = |orders: Vec<jarvis::store::StoredOrder>| {
            orders.into_iter().find(|order| order.intent.purpose == OrderPurpose::Stop).unwrap()
        };
        let orders = async || desk.store.orders_of(&bench.names[0], &symbol("BTCUSDT"), 10).await.unwrap();
        let resting = stop(orders().await);
        let truth = stops_of(bench, 0, "BTCUSDT").await[0].algo_id.to_string();
        assert_eq!((resting.state, resting.exchange_id), (OrderState::Accepted, Some(truth)));
        assert_eq!(resting.average_price, None, "nothing was executed");
        desk.cycle(bench, &[(0, "BTCUSDT", "CLOSE", "0.9")]).await;
        assert_eq!(stop(orders().await).state, OrderState::Cancelled, "without waiting for the guardian");
        desk.end().await;
    });
}
