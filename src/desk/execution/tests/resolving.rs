//! Orders nobody knows the fate of, fills and movements that are hard to book, and a journal that does not answer.

use super::*;
use crate::domain::ClientOrderId;

const UNREADABLE: &str = "<html>bad gateway</html>";
const FOUND_ABSENT: i64 = 184;

/// Takes a table away from whoever reads or writes the journal, or gives it back.
pub(super) fn rename(room: &Room, table: &str, name: &str) {
    let journal = rusqlite::Connection::open(room.folder.path().join("jarvis.db")).unwrap();
    journal
        .execute_batch(&format!("PRAGMA legacy_alter_table=ON; ALTER TABLE {table} RENAME TO {name}"))
        .unwrap();
}

/// From now on the journal takes no rows of a table that a condition on `NEW` names.
fn refuse_writes(room: &Room, table: &str, when: &str) {
    let journal = rusqlite::Connection::open(room.folder.path().join("jarvis.db")).unwrap();
    let trigger = format!(
        "CREATE TRIGGER refuse_{table} BEFORE INSERT ON {table} WHEN {when}
         BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
    );
    journal.execute_batch(&trigger).unwrap();
}

async fn state(room: &Room, id: &ClientOrderId) -> OrderState {
    room.store.order(id).await.unwrap().unwrap().state
}

/// An order of ours in the journal, as far as it came.
async fn journaled(
    room: &Room,
    purpose: OrderPurpose,
    state: OrderState,
    number: Option<&str>,
) -> ClientOrderId {
    let intent = OrderIntent { purpose, sent_at: at(1_000_000), ..left_open(room, "j1", btc()) };
    room.store.record_intent(&intent).await.unwrap();
    let update = OrderUpdate { exchange_id: number.map(str::to_owned), ..OrderUpdate::at(at(1)) };
    room.store.update_order(&intent.client_order_id, state, update).await.unwrap();
    intent.client_order_id
}

#[tokio::test]
async fn while_the_journal_cannot_be_read_every_coin_is_blocked() {
    let room = Room::new();
    rename(&room, "orders", "away");
    room.desk.recall_unresolved().await;
    assert!(room.desk.is_unresolved(&btc()));
    assert!(!room.desk.openings_in_doubt().is_empty(), "and may yet be opened");
    rename(&room, "away", "orders");
    room.desk.recall_unresolved().await;
    room.desk.resolve_unresolved().await;
    assert!(!room.desk.is_unresolved(&btc()));
}

#[tokio::test]
async fn an_order_whose_fate_cannot_be_asked_stays_unresolved() {
    let room = Room::new();
    let id = journaled(&room, OrderPurpose::Open, OrderState::Unknown, None).await;
    room.wall.set(at(1_000_000 + FOUND_ABSENT));
    for (order, trades) in [(Some(UNREADABLE), "[]"), (None, UNREADABLE)] {
        if let Some(order) = order {
            room.fake.set("/fapi/v1/order", order);
        }
        room.fake.set("/fapi/v1/userTrades", trades);
        room.desk.resolve_unresolved().await;
        assert_eq!((state(&room, &id).await, room.desk.is_unresolved(&btc())), (OrderState::Unknown, true));
    }
}

#[tokio::test]
async fn an_opening_that_only_a_position_spoke_for_is_rejected_once_its_absence_is_proven() {
    for (number, seconds, expected) in [
        (None, FOUND_ABSENT - 1, OrderState::Accepted),
        (None, FOUND_ABSENT, OrderState::Rejected),
        (Some("4711"), FOUND_ABSENT, OrderState::Accepted),
    ] {
        let room = Room::new();
        room.fake.set("/fapi/v1/userTrades", "[]");
        let id = journaled(&room, OrderPurpose::Open, OrderState::Accepted, number).await;
        room.wall.set(at(1_000_000 + seconds));
        room.desk.resolve_unresolved().await;
        assert_eq!(state(&room, &id).await, expected, "{number:?} after {seconds} s");
        assert!(!room.desk.is_unresolved(&btc()));
    }
}

#[tokio::test]
async fn a_stop_that_is_not_found_is_given_up_only_when_it_is_surely_not_resting() {
    let resting = r#"[{"algoId":1,"clientAlgoId":"j1","symbol":"BTCUSDT","side":"SELL","orderType":"STOP_MARKET",
        "algoStatus":"NEW","triggerPrice":"54000","closePosition":true}]"#;
    for (before, after) in
        [(OrderState::Unknown, OrderState::NotPlaced), (OrderState::Accepted, OrderState::Cancelled)]
    {
        for (stops, seconds, is_given_up) in [
            ("[]", FOUND_ABSENT - 1, false),
            (UNREADABLE, FOUND_ABSENT, false),
            (resting, FOUND_ABSENT, false),
            ("[]", FOUND_ABSENT, true),
        ] {
            let room = Room::new();
            let id = journaled(&room, OrderPurpose::Stop, before, None).await;
            room.wall.set(at(1_000_000 + seconds));
            room.fake.set("/fapi/v1/openAlgoOrders", stops);
            room.desk.resolve_unresolved().await;
            let expected = if is_given_up { after } else { before };
            assert_eq!(state(&room, &id).await, expected, "{before:?}, {stops} after {seconds} s");
            assert!(!room.desk.is_unresolved(&btc()), "a stop in doubt blocks nothing");
        }
    }
}

#[tokio::test]
async fn a_stop_ends_in_the_journal_as_it_ended_at_the_exchange() {
    use OrderState::{Accepted, Cancelled, Rejected, Unknown};
    for (word, expected) in [
        ("NEW", Accepted),
        ("TRIGGERING", Accepted),
        ("CANCELED", Cancelled),
        ("EXPIRED", Cancelled),
        ("REJECTED", Rejected),
    ] {
        for before in [Unknown, Accepted] {
            let room = Room::new();
            let id = journaled(&room, OrderPurpose::Stop, before, None).await;
            room.fake.set(
                "/fapi/v1/algoOrder",
                format!(
                    r#"{{"algoId":7,"clientAlgoId":"j1","symbol":"BTCUSDT","side":"SELL","orderType":"STOP_MARKET",
                        "algoStatus":"{word}","triggerPrice":"54000","closePosition":true}}"#
                ),
            );
            room.desk.resolve_unresolved().await;
            assert_eq!(state(&room, &id).await, expected, "{before:?}, {word}");
        }
    }
}

fn fill(id: i64, order: i64) -> String {
    format!(
        r#"{{"id":{id},"orderId":{order},"side":"SELL","price":"60000","qty":"0.01","commission":"0.3",
            "commissionAsset":"USDT","realizedPnl":"-5","time":1772400001000}}"#
    )
}

#[tokio::test]
async fn a_fill_that_the_journal_did_not_take_keeps_its_coin_unbooked() {
    for table in ["fills", "ledger"] {
        let room = Room::new();
        room.fake.set("/fapi/v1/userTrades", format!("[{}]", fill(1, 4711)));
        refuse_writes(&room, table, "1");
        room.desk.book_fills(&btc()).await;
        assert!(room.desk.is_unbooked(&btc()) && !room.desk.is_all_booked(), "{table}");
    }
}

#[tokio::test]
async fn a_fill_nobody_can_book_does_not_keep_its_coin_unbooked() {
    let room = Room::new();
    room.fake.set("/fapi/v1/userTrades", format!("[{},{}]", fill(-1, 4711), fill(1, 4712)));
    assert_eq!(room.desk.book_fills(&btc()).await, Some("-10".parse().unwrap()));
    assert!(room.desk.is_all_booked());
    assert_eq!(room.store.fills_since(room.desk.name(), at(0)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn after_a_movement_that_the_journal_did_not_take_none_later_is_booked() {
    let room = Room::new();
    let rows = [income("TRANSFER", "1000", 1, -50), income("FUNDING_FEE", "-0.5", 2, -40)];
    room.fake.set("/fapi/v1/income", format!("[{}]", rows.join(",")));
    refuse_writes(&room, "ledger", "NEW.source_id = '1'");
    room.desk.book_income().await;
    assert_eq!(room.totals().await, [], "the next catch-up has to begin before both");
}

#[tokio::test]
async fn whose_a_fill_is_is_asked_until_the_order_behind_it_came_to_its_end() {
    let report = |name: &str| {
        format!(
            r#"{{"orderId":4711,"clientOrderId":"{name}","symbol":"BTCUSDT","side":"SELL","status":"FILLED",
                "avgPrice":"60000","executedQty":"0.01"}}"#
        )
    };
    for (before, is_open) in [
        (OrderState::Unknown, true),
        (OrderState::Accepted, true),
        (OrderState::NotPlaced, false),
        (OrderState::Filled, false),
    ] {
        let room = Room::new();
        let id = journaled(&room, OrderPurpose::Close, before, None).await;
        room.fake.set("/fapi/v1/userTrades", format!("[{}]", fill(1, 4711)));
        room.fake.set("/fapi/v1/order", report("j1"));
        room.desk.book_fills(&btc()).await;
        let expected = if is_open { before } else { OrderState::Filled };
        assert_eq!(state(&room, &id).await, expected, "{before:?}");
        assert_eq!(room.desk.unexplained.lock().unwrap().len(), usize::from(is_open), "{before:?}");
        let told = room.desk.shared.bulletin.read(|present| present.alarms.len());
        assert_eq!(told, usize::from(before == OrderState::NotPlaced), "{before:?}");
    }
    for stranger in ["web-1", ""] {
        let room = Room::new();
        room.fake.set("/fapi/v1/userTrades", format!("[{}]", fill(1, 4711)));
        room.fake.set("/fapi/v1/order", report(stranger));
        room.desk.book_fills(&btc()).await;
        assert!(room.desk.unexplained.lock().unwrap().is_empty(), "{stranger}: no more asking");
    }
}

/// What an operator would read of orders and alarms from here on.
struct Told(tokio::sync::broadcast::Receiver<std::sync::Arc<crate::domain::Envelope>>);

impl Told {
    fn from(room: &Room) -> Self {
        Self(room.desk.shared.bulletin.subscribe().1)
    }

    fn orders_and_alarms(&mut self) -> (Vec<OrderState>, Vec<String>) {
        let (mut orders, mut alarms) = (Vec::new(), Vec::new());
        while let Ok(told) = self.0.try_recv() {
            match &told.event {
                crate::domain::Event::Order { state, .. } => orders.push(*state),
                crate::domain::Event::Alarm { text, .. } => alarms.push(text.clone()),
                _ => {}
            }
        }
        (orders, alarms)
    }
}

#[tokio::test]
async fn an_order_that_is_found_is_settled_as_far_as_the_exchange_says_it_came() {
    use OrderState::{Accepted, Filled, Rejected, Unknown};
    for (status, executed, expected) in [
        ("NEW", "0", Accepted),
        ("PARTIALLY_FILLED", "0.004", Filled),
        ("FILLED", "0.01", Filled),
        ("EXPIRED", "0.004", Filled),
        ("EXPIRED", "0", Rejected),
        ("CANCELED", "0", Rejected),
    ] {
        for before in [Unknown, Accepted] {
            let room = Room::new();
            let id = journaled(&room, OrderPurpose::Open, before, None).await;
            room.fake.set(
                "/fapi/v1/order",
                format!(
                    r#"{{"orderId":4711,"clientOrderId":"j1","symbol":"BTCUSDT","side":"BUY","status":"{status}",
                        "avgPrice":"60000","executedQty":"{executed}"}}"#
                ),
            );
            room.fake.set("/fapi/v1/userTrades", "[]");
            let mut told = Told::from(&room);
            room.desk.resolve_unresolved().await;
            let found = room.store.order(&id).await.unwrap().unwrap();
            let is_news = before != expected;
            assert_eq!(found.state, expected, "{before:?}, {status} {executed}");
            assert_eq!(
                found.exchange_id.as_deref(),
                is_news.then_some("4711"),
                "{before:?}, {status} {executed}"
            );
            let (orders, alarms) = told.orders_and_alarms();
            assert_eq!(orders.len(), usize::from(is_news), "{before:?}, {status} {executed}: {orders:?}");
            assert_eq!(
                alarms.len(),
                usize::from(before == Unknown),
                "{before:?}, {status} {executed}: {alarms:?}"
            );
            assert_eq!(
                !room.fake.asked("GET /fapi/v1/userTrades").is_empty(),
                is_news,
                "its fills are booked"
            );
            assert!(!room.desk.is_unresolved(&btc()));
        }
    }
}

#[tokio::test]
async fn an_order_that_its_fills_tell_of_is_booked_and_blocks_its_coin_no_longer() {
    let room = Room::new();
    let order = room.journaled().await;
    room.fake.set("/fapi/v1/userTrades", format!("[{}]", fill(1, 4711).replace("0.01", "0.003")));
    room.desk.resolve_unresolved().await;
    assert_eq!(state(&room, &order.id).await, OrderState::Filled);
    assert!(!room.desk.is_unresolved(&btc()));
    assert_eq!(room.store.fills_since(room.desk.name(), at(0)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_order_is_not_settled_while_the_journal_does_not_say_which_fills_are_new() {
    let room = Room::new();
    let order = room.journaled().await;
    room.fake.set("/fapi/v1/userTrades", format!("[{}]", fill(1, 4711).replace("0.01", "0.003")));
    rename(&room, "fills", "away");
    room.desk.resolve_unresolved().await;
    assert_ne!(state(&room, &order.id).await, OrderState::Filled);
    assert!(room.desk.is_unresolved(&btc()));
}

#[tokio::test]
async fn an_order_that_cannot_be_looked_up_in_the_journal_is_not_taken_for_settled() {
    let room = Room::new();
    let order = room.journaled().await;
    let listed = room.store.order(&order.id).await.unwrap().unwrap();
    rename(&room, "orders", "away");
    assert!(!room.desk.resolve(&listed).await);
}

#[tokio::test]
async fn what_an_earlier_run_left_open_is_recalled_once() {
    let room = Room::new();
    journaled(&room, OrderPurpose::Open, OrderState::Unknown, None).await;
    room.desk.recall_unresolved().await;
    assert!(room.desk.is_unresolved(&btc()));
    // Whoever works on the coin by now knows better than the journal of the start.
    room.desk.set_unresolved(&btc(), Unresolved::NONE);
    room.desk.recall_unresolved().await;
    assert!(!room.desk.is_unresolved(&btc()));
}

#[tokio::test]
async fn of_the_accepted_orders_of_an_account_only_the_stops_of_the_coin_are_settled() {
    use OrderPurpose::{Open, Stop};
    let room = Room::new();
    let eth = Symbol::new("ETHUSDT").unwrap();
    for (id, purpose, symbol) in [("j1", Stop, &btc()), ("j2", Stop, &eth), ("j3", Open, &btc())] {
        let intent = OrderIntent { purpose, ..left_open(&room, id, symbol.clone()) };
        room.store.record_intent(&intent).await.unwrap();
        let update = OrderUpdate::at(at(1));
        room.store.update_order(&intent.client_order_id, OrderState::Accepted, update).await.unwrap();
    }
    room.fake.set(
        "/fapi/v1/algoOrder",
        r#"{"algoId":7,"clientAlgoId":"j1","symbol":"BTCUSDT","side":"SELL","orderType":"STOP_MARKET",
            "algoStatus":"CANCELED","triggerPrice":"54000","closePosition":true}"#,
    );
    room.fake.set(
        "/fapi/v1/order",
        r#"{"orderId":4711,"clientOrderId":"j3","symbol":"BTCUSDT","side":"BUY","status":"EXPIRED","executedQty":"0"}"#,
    );
    room.desk.settle_stops(&btc()).await;
    for (id, expected) in
        [("j1", OrderState::Cancelled), ("j2", OrderState::Accepted), ("j3", OrderState::Accepted)]
    {
        assert_eq!(state(&room, &ClientOrderId::new(id).unwrap()).await, expected, "{id}");
    }
}

#[tokio::test]
async fn a_stop_that_rests_as_the_journal_says_is_no_news() {
    let room = Room::new();
    journaled(&room, OrderPurpose::Stop, OrderState::Accepted, Some("7")).await;
    room.fake.set(
        "/fapi/v1/algoOrder",
        r#"{"algoId":7,"clientAlgoId":"j1","symbol":"BTCUSDT","side":"SELL","orderType":"STOP_MARKET",
            "algoStatus":"NEW","triggerPrice":"54000","closePosition":true}"#,
    );
    let mut told = Told::from(&room);
    room.desk.resolve_unresolved().await;
    assert_eq!(told.orders_and_alarms(), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn a_stop_that_was_executed_is_told_with_what_it_brought_and_its_fills_are_booked() {
    let room = Room::new();
    let id = journaled(&room, OrderPurpose::Stop, OrderState::Accepted, Some("7")).await;
    room.fake.set(
        "/fapi/v1/algoOrder",
        r#"{"algoId":7,"clientAlgoId":"j1","symbol":"BTCUSDT","side":"SELL","orderType":"STOP_MARKET",
            "algoStatus":"FINISHED","triggerPrice":"54000","closePosition":true,"actualOrderId":"4711"}"#,
    );
    room.fake.set("/fapi/v1/userTrades", format!("[{},{}]", fill(1, 4711), fill(2, 4711)));
    let mut told = Told::from(&room);
    room.desk.resolve_unresolved().await;
    assert_eq!(state(&room, &id).await, OrderState::Filled);
    let text = "a BTCUSDT: the stop at 54000 was triggered: 0.02 closed at 60000, -10 USDT before fees";
    assert_eq!(told.orders_and_alarms(), (vec![OrderState::Filled], vec![text.to_owned()]));
    assert_eq!(room.store.fills_since(room.desk.name(), at(0)).await.unwrap().len(), 2);
}
