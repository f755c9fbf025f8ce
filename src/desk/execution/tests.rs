//! Books and recovery of one account, against an exchange that gives set answers and remembers what it was asked.

use std::sync::Mutex as StdMutex;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use chrono::TimeDelta;

use super::*;
use crate::desk::guardian::Guardian;
use crate::domain::{
    Confidence, DeskFacts, ManualClock, Mode, OrderPurpose, OrderState, Profile, Side, Snapshot, Timestamp,
    Usdt,
};
use crate::exchange::Credentials;
use crate::net::Transport;
use crate::store::{LedgerKind, OrderIntent, OrderUpdate, Origin};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp_millis(1_772_400_000_000).unwrap() + TimeDelta::seconds(seconds)
}

fn btc() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

/// Answers by path; what has none is not known there.
#[derive(Clone, Default)]
struct Fake {
    answers: Arc<StdMutex<BTreeMap<&'static str, String>>>,
    asked: Arc<StdMutex<Vec<(String, String)>>>,
}

impl Fake {
    fn set(&self, path: &'static str, body: impl Into<String>) {
        self.answers.lock().unwrap().insert(path, body.into());
    }

    /// The `startTime` of every question for income, in order.
    fn income_asked_since(&self) -> Vec<Option<i64>> {
        let since =
            |query: &str| query.split('&').find_map(|part| part.strip_prefix("startTime=")?.parse().ok());
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(path, _)| path == "/fapi/v1/income").map(|(_, query)| since(query)).collect()
    }

    fn transport(&self) -> Transport {
        async fn answer(State(fake): State<Fake>, request: Request) -> Response {
            let (path, query) =
                (request.uri().path().to_owned(), request.uri().query().unwrap_or_default().to_owned());
            let body = fake.answers.lock().unwrap().get(path.as_str()).cloned();
            fake.asked.lock().unwrap().push((path, query));
            match body {
                Some(body) => Response::new(Body::from(body)),
                None => Response::builder()
                    .status(400)
                    .body(Body::from(r#"{"code":-2013,"msg":"Order does not exist."}"#))
                    .unwrap(),
            }
        }
        Transport::in_process(Router::new().fallback(answer).with_state(self.clone()))
    }
}

/// One account with its clocks, its exchange and its store.
struct Room {
    fake: Fake,
    market: Arc<ManualClock>,
    wall: Arc<ManualClock>,
    store: Store,
    desk: Arc<AccountDesk>,
    _folder: tempfile::TempDir,
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
        };
        let terms = AccountTerms {
            name: AccountName::new("a").unwrap(),
            leverage: 3,
            symbols: vec![btc()],
            allocation: CoinAllocation::Equal { coins: 1 },
            stop_distance: "10%".parse().unwrap(),
        };
        let desk = Arc::new(AccountDesk::new(terms, client, shared));
        Self { fake, market, wall, store, desk, _folder: folder }
    }

    async fn journaled(&self) -> journal::Journaled {
        let cause = Cause::Operator("close".to_owned());
        let size = (Some("0.003".parse().unwrap()), None);
        self.desk.journal(&cause, &btc(), OrderPurpose::Close, Side::Sell, size, 1).await.unwrap()
    }

    async fn totals(&self) -> Vec<(LedgerKind, String, Usdt)> {
        self.store.ledger_totals(self.desk.name(), at(-1_000_000)).await.unwrap()
    }
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
            built_in_market: true,
            built_in_analyst: true,
            clock_speed: 0.0,
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
    let file = room._folder.path().join("jarvis.db");
    let hog = rusqlite::Connection::open(file).unwrap();
    hog.execute_batch("BEGIN IMMEDIATE").unwrap();
    let cause = Cause::Guardian("test".to_owned());
    let size = (Some("0.003".parse().unwrap()), None);
    let late = room.desk.journal_in_time(&cause, &btc(), OrderPurpose::Emergency, Side::Sell, size, 1).await;
    assert!(matches!(late, Err(journal::Unjournaled::Late)), "{late:?}");
    hog.execute_batch("ROLLBACK").unwrap();
    let size = (Some("0.003".parse().unwrap()), None);
    let next = room.desk.journal(&cause, &btc(), OrderPurpose::Emergency, Side::Sell, size, 2).await;
    assert!(next.is_ok(), "{next:?}");
    // Both are in the journal by now: what came late is settled like any other.
    assert_eq!(room.store.unresolved_orders().await.unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_age_of_a_mark_is_counted_by_the_slower_of_the_two_clocks() {
    let room = Room::new();
    let age = || room.desk.shared().bulletin.mark_age(&btc());
    assert_eq!(age(), None);
    let marks = vec![(btc(), "66000".parse().unwrap())];
    room.desk.shared().bulletin.tell(None, crate::domain::Event::Marks { marks });
    room.market.set(at(40));
    assert_eq!(age(), Some(TimeDelta::zero()), "a fast market alone makes no mark old");
    tokio::time::advance(Duration::from_secs(31)).await;
    assert_eq!(age(), Some(TimeDelta::seconds(31)));
}
