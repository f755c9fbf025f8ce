//! Opening a position, when the exchange refuses the order, lets it expire, or does not tell its fill.

use super::*;
use crate::desk::guards::scene::Scene;
use crate::desk::guards::{Approved, OpenOrder, Verdict};

/// A room in which BTC is ready to be opened.
fn ready() -> Room {
    let room = Room::new();
    room.desk.shared.rules.write().unwrap().insert(btc(), rules());
    room.fake.set("/fapi/v1/positionSide/dual", r#"{"dualSidePosition":false}"#);
    room.fake.set(
        "/fapi/v1/symbolConfig",
        r#"[{"symbol":"BTCUSDT","marginType":"ISOLATED","isAutoAddMargin":false,"leverage":3,"maxNotionalValue":"1000000"}]"#,
    );
    for path in ["/fapi/v1/userTrades", "/fapi/v1/allAlgoOrders"] {
        room.fake.set(path, "[]");
    }
    room
}

/// A long that every guard allows, at 60000.
fn long() -> Approved<OpenOrder> {
    match Scene::long().judge() {
        Verdict::Open(approved) => approved,
        other => panic!("{other:?}"),
    }
}

async fn open(room: &Room, number: u32) -> (Outcome, Option<OrderState>) {
    // Without a cycle in the store there is no decision to name.
    let cause = Cause::Operator(format!("open {number}"));
    let outcome = room.desk.open(&cause, &long()).await;
    let orders = room.store.orders_of(room.desk.name(), &btc(), 10).await.unwrap();
    let opening = orders.iter().find(|order| order.intent.purpose == OrderPurpose::Open);
    (outcome, opening.map(|order| order.state))
}

const STOP: &str = r#"[{"algoId":1,"clientAlgoId":"web-1","symbol":"BTCUSDT","side":"SELL","orderType":"STOP_MARKET",
    "algoStatus":"NEW","triggerPrice":"54000","closePosition":true}]"#;

#[tokio::test(start_paused = true)]
async fn after_a_refusal_for_the_position_mode_it_is_looked_at_again() {
    let room = ready();
    room.fake.set("POST /fapi/v1/order", r#"{"code":-4061,"msg":"Order's position side does not match."}"#);
    for number in 1..=2 {
        let (outcome, state) = open(&room, number).await;
        assert_eq!((outcome.kind, state), (OutcomeKind::Failed, Some(OrderState::Rejected)), "{outcome:?}");
        assert_eq!(room.fake.asked("GET /fapi/v1/positionSide/dual").len(), number as usize);
    }
    room.fake.set("POST /fapi/v1/order", r#"{"code":-2019,"msg":"Margin is insufficient."}"#);
    open(&room, 3).await;
    open(&room, 4).await;
    assert_eq!(
        room.fake.asked("GET /fapi/v1/positionSide/dual").len(),
        3,
        "any other refusal says nothing of it"
    );
}

#[tokio::test(start_paused = true)]
async fn an_order_that_expired_without_a_fill_opened_nothing() {
    const EXPIRED: &str =
        r#"{"orderId":7,"symbol":"BTCUSDT","side":"BUY","status":"EXPIRED","executedQty":"0"}"#;
    const TAKEN: &str = r#"{"orderId":7,"status":"NEW"}"#;
    for (ack, report) in [(EXPIRED, None), (TAKEN, Some(EXPIRED))] {
        let room = ready();
        room.fake.set("POST /fapi/v1/order", ack);
        if let Some(report) = report {
            room.fake.set("GET /fapi/v1/order", report);
        }
        let (outcome, state) = open(&room, 1).await;
        assert_eq!((outcome.kind, state), (OutcomeKind::Failed, Some(OrderState::Rejected)), "{outcome:?}");
        assert!(outcome.detail.contains("expired without a fill"), "{outcome:?}");
        assert!(room.fake.asked("POST /fapi/v1/algoOrder").is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_without_a_word_about_what_was_executed_is_no_end_without_a_fill() {
    let room = ready();
    room.fake.set("POST /fapi/v1/order", r#"{"orderId":7,"status":"EXPIRED"}"#);
    room.fake
        .set("GET /fapi/v1/order", r#"{"orderId":7,"symbol":"BTCUSDT","side":"BUY","status":"EXPIRED"}"#);
    let held = position("0.01", "50000");
    room.fake.set_turns("/fapi/v3/positionRisk", &["[]", "[]", &held]);
    room.fake.set_turns("/fapi/v1/openAlgoOrders", &["[]", "[]", "[]", STOP]);
    room.fake.set("POST /fapi/v1/algoOrder", r#"{"algoId":1,"algoStatus":"NEW"}"#);
    let (outcome, _) = open(&room, 1).await;
    assert_eq!(outcome.kind, OutcomeKind::Opened, "{outcome:?}");
    assert!(outcome.detail.contains("LONG 0.01 at 60000"), "the position tells: {outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn a_fill_that_nobody_tells_is_protected_by_the_price_it_was_sized_by() {
    let room = ready();
    room.fake.set("POST /fapi/v1/order", r#"{"orderId":7,"status":"NEW"}"#);
    room.fake.set_turns("/fapi/v1/openAlgoOrders", &["[]", "[]", "[]", STOP]);
    room.fake.set("POST /fapi/v1/algoOrder", r#"{"algoId":1,"algoStatus":"NEW"}"#);
    let (outcome, state) = open(&room, 1).await;
    assert_eq!((outcome.kind, state), (OutcomeKind::Opened, Some(OrderState::Accepted)), "{outcome:?}");
    let stop = room.fake.asked("POST /fapi/v1/algoOrder").remove(0);
    assert!(stop.contains("side=SELL") && stop.contains("triggerPrice=54000&"), "{stop}");
    let booked = room.fake.asked("GET /fapi/v1/userTrades");
    assert!(!booked.is_empty(), "what it traded is looked for");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_opened_in_an_account_whose_room_for_stops_is_taken_or_not_known() {
    let row = |number: u32| {
        format!(
            r#"{{"algoId":{number},"clientAlgoId":"web-{number}","symbol":"ETHUSDT","side":"SELL",
                "orderType":"STOP_MARKET","algoStatus":"NEW","triggerPrice":"2000","quantity":"1"}}"#
        )
    };
    let rows: Vec<String> = (0..200).map(row).collect();
    for (resting, kind, detail) in [
        (format!("[{}]", rows.join(",")), OutcomeKind::Refused, "no room for its stop: 200"),
        ("<html>bad gateway</html>".to_owned(), OutcomeKind::Failed, "how many stops rest cannot be read"),
    ] {
        let room = ready();
        room.fake.set("/fapi/v1/openAlgoOrders", resting);
        let (outcome, state) = open(&room, 1).await;
        assert_eq!((outcome.kind, state), (kind, None), "{outcome:?}");
        assert!(outcome.detail.contains(detail), "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_opening_whose_answer_proves_nothing_blocks_its_coin_until_something_speaks_for_it() {
    for is_there in [true, false] {
        let room = ready();
        room.fake.set("POST /fapi/v1/order", "<html>bad gateway</html>");
        room.fake.set("POST /fapi/v1/algoOrder", r#"{"algoId":1,"algoStatus":"NEW"}"#);
        room.fake.set_turns("/fapi/v1/openAlgoOrders", &["[]", "[]", "[]", STOP]);
        let held = position("0.01", "50000");
        room.fake.set_turns("/fapi/v3/positionRisk", &["[]", "[]", if is_there { &held } else { "[]" }]);
        let (outcome, state) = open(&room, 1).await;
        let (kind, expected) = if is_there {
            (OutcomeKind::Opened, OrderState::Accepted)
        } else {
            (OutcomeKind::Failed, OrderState::Unknown)
        };
        assert_eq!((outcome.kind, state), (kind, Some(expected)), "{outcome:?}");
        assert_eq!(room.desk.is_unresolved(&btc()), !is_there);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_opened_while_a_sudden_loss_is_not_believed() {
    const FULL: &str =
        r#"{"totalWalletBalance":"1000","totalMarginBalance":"1000","availableBalance":"1000"}"#;
    let room = ready();
    for (balance, is_told) in
        [(FULL.to_owned(), true), (FULL.replace("1000", "0"), false), (FULL.to_owned(), true)]
    {
        room.fake.set("/fapi/v3/account", balance);
        assert_eq!(room.desk.balance().await.is_ok(), is_told);
        let refusal = room.desk.ready_to_open(&btc()).await.err();
        let is_refused =
            refusal.as_ref().is_some_and(|refusal| refusal.contains("from one reading to the next"));
        assert_eq!(is_refused, !is_told, "{refusal:?}");
    }
}
