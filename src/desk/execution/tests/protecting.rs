//! The stop behind a position and the close in its place, when the exchange refuses, forgets or contradicts itself.

use tokio::time::Instant;

use super::*;
use crate::domain::{CycleId, Direction, Price};

const TAKEN: &str = r#"{"algoId":1,"algoStatus":"NEW"}"#;
const FLAT: &str = r#"{"code":-4509,"msg":"TIF GTE can only be used with open positions."}"#;
const BEYOND: &str = r#"{"code":-2021,"msg":"Order would immediately trigger."}"#;
const UNREADABLE: &str = "<html>bad gateway</html>";
const STOP: &str = r#"[{"algoId":1,"clientAlgoId":"web-1","symbol":"BTCUSDT","side":"SELL","orderType":"STOP_MARKET",
    "algoStatus":"NEW","triggerPrice":"54000","closePosition":true}]"#;

fn price(text: &str) -> Price {
    text.parse().unwrap()
}

/// A room with the exchange's rules, in which nothing was traded.
fn room() -> Room {
    let room = Room::new();
    room.desk.shared.rules.write().unwrap().insert(btc(), rules());
    room.fake.set("/fapi/v1/userTrades", "[]");
    room
}

fn fill(id: u32, side: &str, quantity: &str) -> String {
    format!(
        r#"{{"id":{id},"orderId":{id},"side":"{side}","price":"60000","qty":"{quantity}","commission":"0.3",
            "commissionAsset":"USDT","realizedPnl":"0","time":1772400001000}}"#
    )
}

fn guardians() -> Cause {
    Cause::Guardian("naked".to_owned())
}

async fn try_protect(room: &Room, cause: &Cause) -> Result<Protection, String> {
    let protected =
        room.desk.try_protect(cause, (&btc(), Direction::Long), price("54000"), Instant::now()).await;
    protected.map_err(|unprotected| unprotected.reason)
}

/// Where the stops and closes in the journal stand, newest first.
async fn states(room: &Room) -> Vec<OrderState> {
    let orders = room.store.orders_of(room.desk.name(), &btc(), 10).await.unwrap();
    orders.iter().map(|order| order.state).collect()
}

#[tokio::test(start_paused = true)]
async fn a_stop_for_a_position_that_is_gone_ends_in_the_journal() {
    let room = room();
    room.fake.set("POST /fapi/v1/algoOrder", FLAT);
    assert_eq!(try_protect(&room, &guardians()).await, Ok(Protection::Flat));
    assert_eq!(states(&room).await, [OrderState::Rejected]);
}

#[tokio::test(start_paused = true)]
async fn right_after_an_opening_a_position_is_gone_only_when_the_fills_of_its_coin_say_so() {
    let both = format!("[{},{}]", fill(1, "BUY", "0.01"), fill(2, "SELL", "0.01"));
    let cycle = Cause::Cycle(CycleId::from_stored("c1".to_owned()));
    for (traded, is_gone) in [("[]", false), (both.as_str(), true)] {
        let room = room();
        let of_another_coin = crate::store::Fill {
            account: room.desk.name().clone(),
            symbol: Symbol::new("ETHUSDT").unwrap(),
            trade_id: 9,
            exchange_id: "9".to_owned(),
            client_order_id: None,
            side: Side::Buy,
            price: price("3000"),
            quantity: "1".parse().unwrap(),
            commission: Usdt::ZERO,
            commission_asset: "USDT".to_owned(),
            realised: Usdt::ZERO,
            at: at(1),
        };
        room.store.add_fill(&of_another_coin).await.unwrap();
        room.fake.set_turns("/fapi/v1/userTrades", &[traded, "[]"]);
        room.fake.set("POST /fapi/v1/algoOrder", FLAT);
        let protected = try_protect(&room, &cycle).await;
        if is_gone {
            assert_eq!(protected, Ok(Protection::Flat));
        } else {
            let reason = protected.unwrap_err();
            assert!(reason.contains("the fill of its opening is not told yet"), "{reason}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_because_a_stop_rests_is_no_failure_where_one_is_seen() {
    for (refusal, stops, is_protected) in [
        (r#"{"code":-4130,"msg":"An open stop order exists."}"#, STOP, true),
        (r#"{"code":-4116,"msg":"ClientOrderId is duplicated."}"#, STOP, true),
        (r#"{"code":-4130,"msg":"An open stop order exists."}"#, "[]", false),
        (r#"{"code":-1121,"msg":"Invalid symbol."}"#, STOP, false),
    ] {
        let room = room();
        room.fake.set("POST /fapi/v1/algoOrder", refusal);
        room.fake.set("/fapi/v1/openAlgoOrders", stops);
        let protected = try_protect(&room, &guardians()).await;
        let resting = Protection::Resting { trigger: price("54000"), order: None };
        assert_eq!(protected.clone().ok(), is_protected.then_some(resting), "{refusal}");
        let expected = match (is_protected, stops) {
            (true, _) => OrderState::NotPlaced,
            (false, "[]") => OrderState::Unknown,
            _ => OrderState::Rejected,
        };
        assert_eq!(states(&room).await, [expected], "{refusal}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_came_to_rest_meanwhile_spares_the_emergency_close() {
    let room = room();
    room.fake.set("/fapi/v3/positionRisk", position("0.01", "50000"));
    room.fake.set("/fapi/v1/openAlgoOrders", STOP);
    let spared = room.desk.emergency(&guardians(), &btc(), Direction::Long, "no answer").await;
    assert!(matches!(spared, Protection::Resting { trigger, .. } if trigger == price("54000")), "{spared:?}");
    assert!(room.fake.asked("POST /fapi/v1/order").is_empty());
    let other_way = room.desk.emergency(&guardians(), &btc(), Direction::Short, "no answer").await;
    assert_eq!(other_way, Protection::Flat, "it would close nothing short, and nothing short is held");
}

#[tokio::test(start_paused = true)]
async fn an_emergency_close_that_fails_says_why_the_position_is_naked() {
    let bought = format!("[{}]", fill(1, "BUY", "0.01"));
    for (held, traded, sent, reason) in [
        (UNREADABLE.to_owned(), "[]", None, "positionRisk"),
        ("[]".to_owned(), bought.as_str(), None, "our fills add up to 0.01"),
        (position("0.01", "50000"), "[]", Some(r#"{"code":-2019,"msg":"Margin is insufficient."}"#), "-2019"),
    ] {
        let room = room();
        room.fake.set("/fapi/v3/positionRisk", held);
        room.fake.set_turns("/fapi/v1/userTrades", &[traded, "[]"]);
        if let Some(sent) = sent {
            room.fake.set("POST /fapi/v1/order", sent);
        }
        let began = Instant::now();
        let closed = room.desk.emergency(&guardians(), &btc(), Direction::Long, "no stop").await;
        let Protection::Naked { reason: why } = closed else { panic!("{closed:?}") };
        assert!(why.contains(reason), "{why}");
        let alarms = room.desk.shared.bulletin.read(|present| present.alarms.clone());
        assert!(
            alarms.iter().any(|alarm| alarm.text.contains("no stop (no stop); closing at market")),
            "{alarms:?}"
        );
        assert_eq!(room.fake.asked("POST /fapi/v1/order").len(), if sent.is_some() { 5 } else { 0 });
        assert!(began.elapsed() >= Duration::from_secs(10), "it is tried again after a pause each time");
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_stands_in_the_journal_as_the_exchange_tells_its_end() {
    use OrderState::{Accepted, Filled, Rejected};
    for (told, state) in [
        (r#""status":"FILLED","executedQty":"0.01""#, Filled),
        (r#""status":"EXPIRED","executedQty":"0.004""#, Filled),
        (r#""status":"EXPIRED","executedQty":"0""#, Rejected),
        (r#""status":"NEW","executedQty":"0""#, Accepted),
        (r#""status":"PARTIALLY_FILLED","executedQty":"0.004""#, Accepted),
    ] {
        for is_in_the_answer in [true, false] {
            let room = room();
            room.fake.set("/fapi/v3/positionRisk", position("0.01", "50000"));
            let held = room.desk.client.positions().await.unwrap().remove(0);
            let report = format!(r#"{{"orderId":7,"symbol":"BTCUSDT","side":"SELL",{told}}}"#);
            if is_in_the_answer {
                room.fake.set("POST /fapi/v1/order", report);
            } else {
                room.fake.set("POST /fapi/v1/order", r#"{"orderId":7,"status":"NEW"}"#);
                room.fake.set("GET /fapi/v1/order", report);
            }
            let sent = room.desk.send_close(&guardians(), &held, OrderPurpose::Emergency, 1).await.unwrap();
            assert_eq!(states(&room).await, [state], "{told}");
            let executed = sent.executed.map(|executed| executed.value().to_string());
            assert!(told.ends_with(&format!(r#""{}""#, executed.unwrap())), "{told}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_hand_opened_is_not_closed_when_its_stop_is_refused_as_beyond_the_price() {
    let bought = format!("[{}]", fill(1, "BUY", "0.01"));
    for is_ours in [false, true] {
        let room = room();
        if is_ours {
            let opening = left_open(&room, "j1", btc());
            room.store.record_intent(&opening).await.unwrap();
            let filled = OrderUpdate { exchange_id: Some("1".to_owned()), ..OrderUpdate::at(at(1)) };
            room.store.update_order(&opening.client_order_id, OrderState::Filled, filled).await.unwrap();
        }
        room.fake.set_turns("/fapi/v1/userTrades", &[&bought, "[]"]);
        room.fake.set("/fapi/v3/positionRisk", position("0.01", "50000"));
        // The mark that was read lies above the stop; the exchange's own has passed it meanwhile.
        room.fake.set("POST /fapi/v1/algoOrder", BEYOND);
        let found = room.desk.repair_naked(&btc()).await;
        let closes = room.fake.asked("POST /fapi/v1/order").len();
        if is_ours {
            assert!(matches!(found, Finding::Unrepaired(_)) && closes > 0, "{found:?}");
        } else {
            assert!(
                matches!(&found, Finding::Left(why) if why.contains("another hand opened it")),
                "{found:?}"
            );
            assert_eq!(closes, 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_counts_as_placed_only_where_it_is_seen() {
    let room = room();
    room.fake.set("POST /fapi/v1/algoOrder", TAKEN);
    let reason = try_protect(&room, &guardians()).await.unwrap_err();
    assert_eq!(reason, "acknowledged, but not seen resting");
    assert_eq!(states(&room).await, [OrderState::Unknown]);
}

#[tokio::test(start_paused = true)]
async fn an_emergency_close_is_over_when_the_exchange_executed_all_of_it_whatever_the_books_say() {
    let bought = format!("[{}]", fill(1, "BUY", "0.01"));
    for (executed, is_over) in [("0.01", true), ("0.004", false)] {
        let room = room();
        let held = position("0.01", "50000");
        room.fake.set_turns("/fapi/v3/positionRisk", &[&held, "[]"]);
        room.fake.set_turns("/fapi/v1/userTrades", &[&bought, "[]"]);
        room.fake.set(
            "/fapi/v1/order",
            format!(
                r#"{{"orderId":7,"symbol":"BTCUSDT","side":"SELL","status":"FILLED","executedQty":"{executed}"}}"#
            ),
        );
        let closed = room.desk.emergency(&guardians(), &btc(), Direction::Long, "no stop").await;
        if is_over {
            assert!(
                matches!(&closed, Protection::Emptied { reason, .. } if reason == "no stop"),
                "{closed:?}"
            );
        } else {
            assert!(
                matches!(&closed, Protection::Naked { reason } if reason.contains("unclear")),
                "{closed:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_word_that_a_position_is_gone_ends_no_try_to_protect_it() {
    let room = room();
    room.fake.set_turns("POST /fapi/v1/algoOrder", &[FLAT, TAKEN]);
    room.fake.set("/fapi/v1/openAlgoOrders", STOP.replace("web-1", "other"));
    let protected = try_protect(&room, &guardians()).await;
    assert_eq!(protected, Ok(Protection::Resting { trigger: price("54000"), order: None }));
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_is_refused_says_why() {
    for (refusal, reason) in
        [(FLAT, "the exchange sees no position to protect"), (BEYOND, "the price is already beyond the stop")]
    {
        let room = room();
        room.fake.set("/fapi/v3/positionRisk", position("0.01", "50000"));
        room.fake.set("POST /fapi/v1/algoOrder", refusal);
        assert_eq!(try_protect(&room, &guardians()).await, Err(reason.to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_over_a_part_is_none_over_the_position() {
    let room = room();
    room.fake.set("POST /fapi/v1/algoOrder", r#"{"code":-4130,"msg":"An open stop order exists."}"#);
    let part = STOP.replace(r#""closePosition":true"#, r#""quantity":"0.001","reduceOnly":true"#);
    room.fake.set("/fapi/v1/openAlgoOrders", part);
    assert!(try_protect(&room, &guardians()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_close_whose_answer_proves_nothing_stands_as_unknown() {
    let room = room();
    room.fake.set("/fapi/v3/positionRisk", position("0.01", "50000"));
    let held = room.desk.client.positions().await.unwrap().remove(0);
    room.fake.set("POST /fapi/v1/order", UNREADABLE);
    let sent = room.desk.send_close(&guardians(), &held, OrderPurpose::Emergency, 1).await;
    assert!(sent.is_err());
    assert_eq!(states(&room).await, [OrderState::Unknown]);
}
