//! Books and recovery of one account, against an exchange that gives set answers and remembers what it was asked.

mod closing;
mod emptiness;
mod fake;
mod journaling;
mod leaving;
mod moving;
mod opening;
mod protecting;
mod resolving;
mod standing;
mod watching;

use std::time::Duration;

use chrono::TimeDelta;
use fake::Fake;

use super::*;
use crate::desk::guardian::Guardian;
use crate::domain::{
    Confidence, DeskFacts, Direction, ManualClock, Mode, OrderPurpose, OrderState, Profile, Side, Snapshot,
    Timestamp, Usdt,
};
use crate::exchange::Credentials;
use crate::store::{LedgerKind, OrderIntent, OrderUpdate, Origin};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp_millis(1_772_400_000_000).unwrap() + TimeDelta::seconds(seconds)
}

fn btc() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

/// One account with its clocks, its exchange and its store.
struct Room {
    fake: Fake,
    market: Arc<ManualClock>,
    wall: Arc<ManualClock>,
    store: Store,
    desk: Arc<AccountDesk>,
    folder: tempfile::TempDir,
}

impl Room {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("jarvis.db")).unwrap().at("here");
        let (market, wall) = (Arc::new(ManualClock::new(at(0))), Arc::new(ManualClock::new(at(1_000_000))));
        let fake = Fake::default();
        fake.set(
            "/fapi/v3/account",
            r#"{"totalWalletBalance":"1000.5","totalMarginBalance":"1002.25","availableBalance":"900"}"#,
        );
        for path in ["/fapi/v3/positionRisk", "/fapi/v1/openAlgoOrders", "/fapi/v1/income"] {
            fake.set(path, "[]");
        }
        let client = ExchangeClient::new(
            fake.transport(),
            "http://exchange",
            Credentials { api_key: "key".into(), api_secret: "secret".into() },
            wall.clone(),
        );
        let shared = Shared {
            install: "test".into(),
            clock: market.clone(),
            wall: wall.clone(),
            store: store.clone(),
            bulletin: Arc::new(Bulletin::new(blank(), market.clone(), store.clone())),
            dry_run: Arc::default(),
            arming: Arc::default(),
            ending: tokio_util::sync::CancellationToken::new(),
            halts: Arc::default(),
            rules: Arc::default(),
            last_rules: Arc::default(),
        };
        let terms = AccountTerms {
            name: AccountName::new("a").unwrap(),
            leverage: 3,
            symbols: vec![btc()],
            allocation: CoinAllocation::Equal { coins: 1 },
            stop_distance: "10%".parse().unwrap(),
        };
        let desk = Arc::new(AccountDesk::new(terms, client, shared));
        Self { fake, market, wall, store, desk, folder }
    }

    async fn journaled(&self) -> journal::Journaled {
        let cause = Cause::Operator("close".to_owned());
        self.desk.journal(&draft(&cause, OrderPurpose::Close, 1, &btc())).await.unwrap()
    }

    async fn totals(&self) -> Vec<(LedgerKind, String, Usdt)> {
        self.store.ledger_totals(self.desk.name()).await.unwrap()
    }
}

/// A sale of 0.003.
fn draft<'a>(
    cause: &'a Cause,
    purpose: OrderPurpose,
    attempt: u32,
    symbol: &'a Symbol,
) -> journal::Draft<'a> {
    let quantity = Some("0.003".parse().unwrap());
    journal::Draft { cause, symbol, purpose, side: Side::Sell, quantity, trigger: None, attempt }
}

fn blank() -> Snapshot {
    Snapshot::beginning(
        at(0),
        DeskFacts {
            mode: Mode::Paper,
            profile: Profile::Guarded,
            threshold: Confidence::new("0.75".parse().unwrap()).unwrap(),
            provider: "builtin".into(),
            model: "m".into(),
            input_price: None,
            built_in_market: true,
            built_in_analyst: true,
            clock_speed: 0.0,
            accounts: Vec::new(),
            symbols: vec![btc()],
        },
    )
}

fn income(kind: &str, amount: &str, id: u32, second: i64) -> String {
    let time = at(second).timestamp_millis();
    format!(
        r#"{{"symbol":"BTCUSDT","incomeType":"{kind}","income":"{amount}","asset":"USDT","time":{time},"tranId":{id},"tradeId":""}}"#
    )
}

#[tokio::test]
async fn funding_transfers_and_insurance_are_booked_once_and_what_fills_bring_is_not() {
    let room = Room::new();
    let rows = [
        income("TRANSFER", "1000", 1, -50_000),
        income("COMMISSION", "-0.1", 2, -40_000),
        income("REALIZED_PNL", "5", 2, -40_000),
        income("FUNDING_FEE", "-0.375", 3, -30_000),
        income("FUNDING_FEE", "0.125", 4, -1_200),
        income("INSURANCE_CLEAR", "-2", 4, -600),
        income("COMMISSION_REBATE", "0.5", 4, -500),
        income("API_REBATE", "0.25", 4, -500),
    ];
    room.fake.set("/fapi/v1/income", format!("[{}]", rows.join(",")));
    room.desk.book_income().await;
    let booked = room.totals().await;
    let usdt = |kind, amount: &str| (kind, "USDT".to_owned(), amount.parse::<Usdt>().unwrap());
    let mut kinds = [
        usdt(LedgerKind::Funding, "-0.250"),
        usdt(LedgerKind::Insurance, "-2"),
        usdt(LedgerKind::Other, "0.75"),
        usdt(LedgerKind::Transfer, "1000"),
    ];
    kinds.sort_by_key(|row| row.0);
    let mut sorted = booked.clone();
    sorted.sort_by_key(|row| row.0);
    assert_eq!(sorted, kinds);

    room.desk.book_income().await;
    assert_eq!(room.totals().await, booked);
    let overlap = at(-1_200 - 60).timestamp_millis();
    assert_eq!(room.fake.income_asked_since(), [None, Some(overlap)]);
}

#[tokio::test]
async fn a_full_page_of_income_is_followed_by_the_next() {
    let room = Room::new();
    let rows: Vec<String> =
        (0..1000).map(|number| income("COMMISSION", "-0.1", number, i64::from(number))).collect();
    room.fake.set("/fapi/v1/income", format!("[{}]", rows.join(",")));
    room.desk.book_income().await;
    // The same page again shows nothing newer, so asking ends there.
    let last = at(999).timestamp_millis();
    assert_eq!(room.fake.income_asked_since(), [None, Some(last)]);
}

#[tokio::test]
async fn the_guardian_keeps_the_books_at_its_first_pass_and_then_once_a_minute() {
    let room = Room::new();
    let mut guardian = Guardian::new(Arc::clone(&room.desk));
    guardian.pass().await;
    room.market.set(at(15));
    guardian.pass().await;
    assert_eq!(room.fake.income_asked_since().len(), 1);
    tokio::time::pause();
    tokio::time::advance(Duration::from_mins(1)).await;
    tokio::time::resume();
    room.market.set(at(75));
    guardian.pass().await;
    assert_eq!(room.fake.income_asked_since().len(), 2);
    let line = room.store.equity_since(room.desk.name(), at(0)).await.unwrap();
    let equity: Usdt = "1002.25".parse().unwrap();
    assert_eq!(line, [(at(0), equity), (at(75), equity)]);
}

#[tokio::test]
async fn absence_is_proven_by_wall_time_and_never_by_a_fast_market() {
    let room = Room::new();
    let order = room.journaled().await;
    let state = async || room.store.order(&order.id).await.unwrap().unwrap().state;
    room.market.set(at(1_000_000));
    room.desk.resolve_unresolved().await;
    assert_eq!(state().await, OrderState::Unknown);
    assert!(room.desk.is_unresolved(&btc()));
    room.wall.set(at(1_000_000 + 183));
    room.desk.resolve_unresolved().await;
    assert_eq!(state().await, OrderState::Unknown);
    room.wall.set(at(1_000_000 + 184));
    room.desk.resolve_unresolved().await;
    assert_eq!(state().await, OrderState::NotPlaced);
    assert!(!room.desk.is_unresolved(&btc()));
}

#[tokio::test]
async fn an_order_left_open_at_another_venue_is_not_asked_about_here() {
    let room = Room::new();
    let elsewhere = OrderIntent {
        client_order_id: crate::domain::ClientOrderId::new("j1").unwrap(),
        account: room.desk.name().clone(),
        symbol: btc(),
        purpose: OrderPurpose::Open,
        side: Side::Buy,
        quantity: None,
        trigger: None,
        origin: Origin::Operator { command: "open".into() },
        attempt: 1,
        market_time: at(-90_000),
        sent_at: at(-90_000),
    };
    room.store.at("elsewhere").record_intent(&elsewhere).await.unwrap();
    room.desk.resolve_unresolved().await;
    assert!(room.fake.asked.lock().unwrap().is_empty());
    assert!(!room.desk.is_unresolved(&btc()));
    let left = room.store.at("elsewhere").unresolved_orders().await.unwrap();
    assert_eq!(left[0].state, OrderState::Sent);
}

#[tokio::test]
async fn a_fill_that_is_read_bears_the_name_of_its_order() {
    let room = Room::new();
    let order = room.journaled().await;
    let known = OrderUpdate { exchange_id: Some("4711".into()), ..OrderUpdate::at(at(1)) };
    room.store.update_order(&order.id, OrderState::Filled, known).await.unwrap();
    room.fake.set(
        "/fapi/v1/userTrades",
        r#"[{"id":1,"orderId":4711,"side":"SELL","price":"66000","qty":"0.003","commission":"0.099",
            "commissionAsset":"USDT","realizedPnl":"-1.5","time":1772400001000}]"#,
    );
    let realised = room.desk.book_fills(&btc()).await;
    assert_eq!(realised, Some("-1.5".parse().unwrap()));
    let fills = room.store.fills_since(room.desk.name(), at(0)).await.unwrap();
    assert_eq!(fills[0].client_order_id.as_ref(), Some(&order.id));
}

/// An opening in the journal of which nobody knows what became of it.
fn left_open(room: &Room, id: &str, symbol: Symbol) -> OrderIntent {
    OrderIntent {
        client_order_id: crate::domain::ClientOrderId::new(id).unwrap(),
        account: room.desk.name().clone(),
        symbol,
        purpose: OrderPurpose::Open,
        side: Side::Buy,
        quantity: None,
        trigger: None,
        origin: Origin::Operator { command: "open".into() },
        attempt: 1,
        market_time: at(0),
        sent_at: at(0),
    }
}

#[tokio::test]
async fn what_an_earlier_run_left_open_blocks_its_coin_before_the_exchange_answers() {
    let room = Room::new();
    room.store.record_intent(&left_open(&room, "j1", btc())).await.unwrap();
    room.fake.set("/fapi/v3/positionRisk", "<html>bad gateway</html>");
    Guardian::new(Arc::clone(&room.desk)).pass().await;
    assert!(room.desk.is_unresolved(&btc()));
    let eth = Symbol::new("ETHUSDT").unwrap();
    assert!(!room.desk.is_unresolved(&eth));
}

#[tokio::test]
async fn two_orders_of_unknown_fate_close_the_account_for_openings() {
    for (left, refused) in [(1, false), (2, true)] {
        let room = Room::new();
        let eth = Symbol::new("ETHUSDT").unwrap();
        for number in 0..left {
            room.store.record_intent(&left_open(&room, &format!("j{number}"), eth.clone())).await.unwrap();
        }
        room.desk.recall_unresolved().await;
        let ready = room.desk.ready_to_open(&btc()).await.unwrap_err();
        assert_eq!(ready.contains("orders of this account are unresolved"), refused, "{ready}");
    }
}

#[tokio::test]
async fn a_liquidation_is_told_as_one_to_the_operator_and_the_next_cycle() {
    for (name, is_forced) in [("autoclose-177", true), ("web-1", false)] {
        let room = Room::new();
        room.fake.set(
            "/fapi/v1/userTrades",
            r#"[{"id":1,"orderId":4711,"side":"SELL","price":"66000","qty":"0.003","commission":"0.099",
                "commissionAsset":"USDT","realizedPnl":"-71.5","time":1772400001000}]"#,
        );
        room.fake.set(
            "/fapi/v1/order",
            format!(
                r#"{{"orderId":4711,"clientOrderId":"{name}","symbol":"BTCUSDT","side":"SELL","status":"FILLED"}}"#
            ),
        );
        room.desk.book_fills(&btc()).await;
        let told = room.store.operator_actions_since(at(-1)).await.unwrap();
        let told: Vec<&str> = told.iter().map(|action| action.detail.as_str()).collect();
        if is_forced {
            assert_eq!(told, ["a BTCUSDT: liquidated by the exchange: 0.003 closed, -71.5 USDT before fees"]);
        } else {
            assert!(told.is_empty(), "{told:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_protects_does_not_wait_for_a_disk_that_hangs() {
    let room = Room::new();
    let file = room.folder.path().join("jarvis.db");
    let hog = rusqlite::Connection::open(file).unwrap();
    hog.execute_batch("BEGIN IMMEDIATE").unwrap();
    let cause = Cause::Guardian("test".to_owned());
    let late = room.desk.journal_in_time(&draft(&cause, OrderPurpose::Emergency, 1, &btc())).await;
    assert!(matches!(late, Err(journal::Unjournaled::Late)), "{late:?}");
    hog.execute_batch("ROLLBACK").unwrap();
    let next = room.desk.journal(&draft(&cause, OrderPurpose::Emergency, 2, &btc())).await;
    assert!(next.is_ok(), "{next:?}");
    // Both are in the journal by now: what came late is settled like any other.
    assert_eq!(room.store.unresolved_orders().await.unwrap().len(), 2);
}

/// A position of 0.01 BTC marked at 60000.
fn position(amount: &str, liquidation: &str) -> String {
    format!(
        r#"[{{"symbol":"BTCUSDT","positionAmt":"{amount}","entryPrice":"60000","markPrice":"60000",
            "unRealizedProfit":"0","liquidationPrice":"{liquidation}","isolatedMargin":"200"}}]"#
    )
}

fn rules() -> SymbolRules {
    let number = |text: &str| text.parse().unwrap();
    let bounds = |step: &str, max: &str| crate::exchange::Bounds {
        min: number(step),
        max: number(max),
        step: number(step),
    };
    SymbolRules {
        symbol: btc(),
        status: "TRADING".into(),
        contract: "PERPETUAL".into(),
        quote: "USDT".into(),
        price: bounds("0.1", "1000000"),
        market_quantity: bounds("0.001", "100"),
        min_notional: "5".parse().unwrap(),
    }
}

#[tokio::test]
async fn a_stop_may_rest_between_mark_and_liquidation_and_nowhere_else() {
    let room = Room::new();
    room.desk.shared.rules.write().unwrap().insert(btc(), rules());
    for (number, (amount, liquidation, trigger, expected)) in [
        ("0.01", "50000", "60000", "must lie below the mark price 60000"),
        ("0.01", "50000", "60000.1", "must lie below the mark price 60000"),
        ("0.01", "50000", "59999.9", "the exchange refused the stop"),
        ("0.01", "50000", "50000.1", "the exchange refused the stop"),
        ("0.01", "50000", "50000", "liquidated at 50000"),
        ("0.01", "50000", "49999.9", "liquidated at 50000"),
        ("0.01", "50000", "55000.05", "not an allowed price"),
        ("-0.01", "70000", "60000", "must lie above the mark price 60000"),
        ("-0.01", "70000", "59999.9", "must lie above the mark price 60000"),
        ("-0.01", "70000", "60000.1", "the exchange refused the stop"),
        ("-0.01", "70000", "69999.9", "the exchange refused the stop"),
        ("-0.01", "70000", "70000", "liquidated at 70000"),
        ("-0.01", "70000", "70000.1", "liquidated at 70000"),
    ]
    .into_iter()
    .enumerate()
    {
        room.fake.set("/fapi/v3/positionRisk", position(amount, liquidation));
        let cause = Cause::Operator(format!("stop {number}"));
        let direction = if amount.starts_with('-') { Direction::Short } else { Direction::Long };
        let moved = room.desk.move_stop(&cause, (&btc(), direction), trigger.parse().unwrap()).await;
        let refused = moved.unwrap_err();
        assert!(refused.contains(expected), "{amount} at {trigger}: {refused}");
    }
    let cause = Cause::Operator("stop of the one before".to_owned());
    let moved = room.desk.move_stop(&cause, (&btc(), Direction::Long), "60000.1".parse().unwrap()).await;
    assert_eq!(
        moved,
        Err("it is a SHORT by now, not the LONG that was looked at; its stop was not moved".to_owned())
    );
    room.fake.set("/fapi/v3/positionRisk", "[]");
    let cause = Cause::Operator("stop".to_owned());
    let moved = room.desk.move_stop(&cause, (&btc(), Direction::Long), "55000".parse().unwrap()).await;
    assert_eq!(moved, Err("a has no position in BTCUSDT".to_owned()));
}

#[tokio::test]
async fn nothing_leaves_in_a_dry_run_or_from_an_account_that_is_not_armed() {
    let room = Room::new();
    room.fake.set("/fapi/v3/positionRisk", position("0.01", "50000"));
    let arm = |armed: Option<&[&str]>| {
        let arming = armed.map(|names| Arming {
            armed: names.iter().map(|name| AccountName::new(name).unwrap()).collect(),
            ..Arming::default()
        });
        *room.desk.shared.arming.write().unwrap() = arming;
    };
    for (dry_run, armed, is_dry) in [
        (false, None, false),
        (true, None, true),
        (false, Some(&["b"][..]), true),
        (false, Some(&["a", "b"][..]), false),
        (true, Some(&["a"][..]), true),
    ] {
        arm(armed);
        room.desk.shared.dry_run.store(dry_run, Ordering::SeqCst);
        assert_eq!(room.desk.is_dry(), is_dry, "{dry_run} {armed:?}");
    }
    let cause = Cause::Operator("by hand".to_owned());
    let moved = room.desk.move_stop(&cause, (&btc(), Direction::Long), "55000".parse().unwrap()).await;
    assert_eq!(moved, Err("dry-run is on: no order is sent".to_owned()));
    assert_eq!(
        room.desk.repair_naked(&btc()).await,
        Finding::Unrepaired("dry-run sends no order".to_owned())
    );
    assert_eq!(room.desk.repair_stop(&btc()).await, Finding::Unrepaired("dry-run sends no order".to_owned()));
    assert!(!room.desk.remove_orphan(&btc()).await);
    let held = room.desk.client.positions().await.unwrap().remove(0);
    let closed = room.desk.close_position(&cause, &held).await;
    assert_eq!((closed.kind, closed.detail.as_str()), (OutcomeKind::DryRun, "would close LONG 0.01"));
    assert_eq!(room.store.unresolved_orders().await.unwrap(), []);
}

#[tokio::test]
async fn an_account_in_hedge_mode_is_left_so_in_a_dry_run_and_while_it_holds_something() {
    let room = Room::new();
    room.fake.set("/fapi/v1/positionSide/dual", r#"{"dualSidePosition":true}"#);
    room.fake.set("/fapi/v3/positionRisk", position("0.01", "50000"));
    let held = room.desk.prepare_account().await.unwrap_err();
    assert!(held.ends_with("once its positions are closed"), "{held}");
    room.desk.shared.dry_run.store(true, Ordering::SeqCst);
    let dry = room.desk.prepare_account().await.unwrap_err();
    assert!(dry.ends_with("(a dry run, or a desk that is not armed, does not)"), "{dry}");
    room.fake.set("/fapi/v1/positionSide/dual", r#"{"dualSidePosition":false}"#);
    assert_eq!(room.desk.prepare_account().await, Ok(()));
}

#[tokio::test]
async fn another_desks_order_freezes_the_account_until_it_is_accepted() {
    let room = Room::new();
    let (own, other) = (tag_of("test"), tag_of("another"));
    let name = |tag: &str| crate::domain::ClientOrderId::new(format!("j2s{tag}{}", "0".repeat(24))).unwrap();
    let look = async |names| room.desk.look_for_others(names, false).await.unwrap();
    assert_eq!(look(vec![room.journaled().await.id]).await, None);
    let copied = look(vec![name(&own)]).await.unwrap();
    assert!(
        copied.level == crate::domain::HaltLevel::NoEntries && copied.reason.raw().contains("a copy"),
        "{copied:?}"
    );
    room.desk.note_unwritten(&name(&own));
    assert_eq!(look(vec![name(&own)]).await, None, "it went out although it could not be written");
    assert_eq!(look(vec![crate::domain::ClientOrderId::new("web_1").unwrap()]).await, None);
    let halt = look(vec![name(&own), name(&other)]).await.unwrap();
    assert!(halt.reason.raw().contains(&format!("installation {other})")), "{:?}", halt.reason);
    room.desk.shared.dry_run.store(true, Ordering::SeqCst);
    assert_eq!(look(vec![name(&other)]).await, None, "a dry run shares an account with everybody");
    room.desk.shared.dry_run.store(false, Ordering::SeqCst);
    room.desk.accept_other_desks().await;
    assert_eq!(look(vec![name(&other)]).await, None);
    assert_eq!(
        room.store.accepted_installs(room.desk.name()).await.unwrap(),
        [other, name(&own).to_string()]
    );
}
