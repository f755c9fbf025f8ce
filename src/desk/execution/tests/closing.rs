//! Closing a position and taking its stops away, when the exchange gives odd answers.

use super::*;
use crate::domain::{ClientOrderId, CycleId, Halt, HaltLevel, HaltOrigin, HaltScope, Untrusted};
use crate::exchange::ExchangePosition;

const NOT_OPEN: &str = r#"{"code":-2011,"msg":"Unknown order sent."}"#;
const DONE: &str = r#"{"code":200,"msg":"success"}"#;

fn ours(number: u32) -> ClientOrderId {
    ClientOrderId::new(format!("j2s{}{number:024}", tag_of("test"))).unwrap()
}

fn stop_row(name: &str, symbol: &str) -> String {
    format!(
        r#"{{"algoId":1,"clientAlgoId":"{name}","symbol":"{symbol}","side":"SELL","orderType":"STOP_MARKET",
            "algoStatus":"NEW","triggerPrice":"54000","closePosition":true}}"#
    )
}

async fn held(room: &Room) -> ExchangePosition {
    room.fake.set("/fapi/v3/positionRisk", position("0.01", "50000"));
    room.desk.client.positions().await.unwrap().remove(0)
}

/// What was taken back, by name.
fn taken_back(room: &Room) -> Vec<String> {
    let asked = room.fake.asked("DELETE /fapi/v1/algoOrder");
    let name = |query: &String| {
        query.split('&').find_map(|part| part.strip_prefix("clientAlgoId=").map(str::to_owned))
    };
    asked.iter().filter_map(name).collect()
}

/// A stop of ours in the journal that the exchange took.
async fn resting_stop(room: &Room, number: u32) -> ClientOrderId {
    let id = ours(number);
    let intent = OrderIntent {
        client_order_id: id.clone(),
        purpose: OrderPurpose::Stop,
        side: Side::Sell,
        trigger: Some("54000".parse().unwrap()),
        ..left_open(room, "j1", btc())
    };
    room.store.record_intent(&intent).await.unwrap();
    room.store.update_order(&id, OrderState::Accepted, OrderUpdate::at(at(1))).await.unwrap();
    id
}

#[tokio::test(start_paused = true)]
async fn a_close_whose_position_cannot_be_read_says_so_and_sends_nothing() {
    let room = Room::new();
    let position = held(&room).await;
    room.fake.set("/fapi/v3/positionRisk", "<html>bad gateway</html>");
    let closed = room.desk.close_position(&Cause::Operator("close".to_owned()), &position).await;
    assert_eq!(closed.kind, OutcomeKind::Failed);
    assert!(closed.detail.contains("positionRisk"), "{closed:?}");
    assert!(room.fake.asked("POST /fapi/v1/order").is_empty());
    let alarms = room.desk.shared.bulletin.read(|present| present.alarms.clone());
    assert!(alarms.iter().any(|alarm| alarm.text.contains("still open after 3 closes")), "{alarms:?}");
}

#[tokio::test(start_paused = true)]
async fn a_close_of_the_models_is_kept_back_by_a_freeze_at_the_last_moment_and_an_operators_is_not() {
    let room = Room::new();
    let position = held(&room).await;
    let cycle = Cause::Cycle(CycleId::from_stored("c1".to_owned()));
    for (level, is_kept_back) in [(HaltLevel::NoEntries, false), (HaltLevel::Frozen, true)] {
        let (scope, origin, reason) = (HaltScope::Desk, HaltOrigin::Operator, Untrusted::new(""));
        let halt = Halt { scope, level, origin, reason, since: at(0), until: None };
        assert!(room.desk.shared.impose(halt).await);
        let sent = || room.fake.asked("POST /fapi/v1/order").len();
        let before = sent();
        let closed = room.desk.close_position(&cycle, &position).await;
        assert_eq!(closed.rule, is_kept_back.then_some(crate::domain::Rule::Halted), "{level:?}: {closed:?}");
        let operators = Cause::Operator(format!("close under {level:?}"));
        room.desk.close_position(&operators, &position).await;
        assert!(sent() > before, "{level:?}");
    }
}

#[tokio::test]
async fn of_the_stops_of_a_flat_coin_only_its_own_and_ours_are_taken_back() {
    let room = Room::new();
    room.fake.set("/fapi/v1/userTrades", "[]");
    let rows = [
        stop_row(ours(1).as_str(), "BTCUSDT"),
        stop_row(ours(2).as_str(), "ETHUSDT"),
        stop_row("web-1", "BTCUSDT"),
        stop_row(ours(3).as_str(), "BTCUSDT"),
    ];
    room.fake.set("/fapi/v1/openAlgoOrders", format!("[{}]", rows.join(",")));
    room.fake.set("DELETE /fapi/v1/algoOrder", DONE);
    assert!(room.desk.remove_orphan(&btc()).await);
    assert_eq!(taken_back(&room), [ours(1).to_string(), ours(3).to_string()]);
}

#[tokio::test]
async fn no_stop_is_taken_back_while_a_position_a_fill_or_another_hand_speaks_for_it() {
    let room = Room::new();
    room.fake.set("/fapi/v1/userTrades", "[]");
    room.fake.set("/fapi/v1/openAlgoOrders", format!("[{}]", stop_row(ours(1).as_str(), "BTCUSDT")));
    room.fake.set("DELETE /fapi/v1/algoOrder", DONE);
    let coin = room.desk.hold_coin(&btc()).await;
    assert!(!room.desk.remove_orphan(&btc()).await, "somebody works on it");
    drop(coin);
    for held in [position("0.01", "50000"), "<html>bad gateway</html>".to_owned()] {
        room.fake.set("/fapi/v3/positionRisk", held);
        assert!(!room.desk.remove_orphan(&btc()).await, "it is held, or nobody knows");
    }
    room.fake.set("/fapi/v3/positionRisk", "[]");
    let bought = r#"[{"id":1,"orderId":4711,"side":"BUY","price":"60000","qty":"0.01","commission":"0.3",
        "commissionAsset":"USDT","realizedPnl":"0","time":1772400001000}]"#;
    room.fake.set_turns("/fapi/v1/userTrades", &[bought, "[]"]);
    assert!(!room.desk.remove_orphan(&btc()).await, "our fills say it is held");
    assert_eq!(taken_back(&room), Vec::<String>::new());
}

#[tokio::test]
async fn a_stop_that_does_not_rest_any_more_is_gone_only_by_the_exchanges_own_word() {
    use OrderState::{Accepted, Cancelled, Filled};
    let row = |more: &str| {
        let row = stop_row(ours(1).as_str(), "BTCUSDT").replace(r#""algoStatus":"NEW""#, more);
        row.replace(r#""algoId":1"#, r#""algoId":7"#)
    };
    let sold = r#"[{"id":1,"orderId":4711,"side":"SELL","price":"53900","qty":"0.01","commission":"0.3",
        "commissionAsset":"USDT","realizedPnl":"-61","time":1772400001000}]"#;
    for (cancelled, looked, is_gone, state) in [
        (DONE, None, true, Cancelled),
        (NOT_OPEN, None, true, Cancelled),
        (NOT_OPEN, Some(row(r#""algoStatus":"CANCELED""#)), true, Cancelled),
        (NOT_OPEN, Some(row(r#""algoStatus":"NEW""#)), false, Accepted),
        (NOT_OPEN, Some("<html>bad gateway</html>".to_owned()), false, Accepted),
        (NOT_OPEN, Some(row(r#""algoStatus":"FINISHED","actualOrderId":"4711""#)), true, Filled),
        (
            r#"{"code":-1121,"msg":"Invalid symbol."}"#,
            Some(row(r#""algoStatus":"CANCELED""#)),
            false,
            Accepted,
        ),
    ] {
        let room = Room::new();
        let id = resting_stop(&room, 1).await;
        room.fake.set("DELETE /fapi/v1/algoOrder", cancelled);
        room.fake.set("/fapi/v1/userTrades", sold);
        if let Some(looked) = &looked {
            room.fake.set("GET /fapi/v1/algoOrder", looked);
        }
        assert_eq!(room.desk.remove_stop(&id).await, is_gone, "{cancelled} {looked:?}");
        assert_eq!(room.store.order(&id).await.unwrap().unwrap().state, state, "{cancelled} {looked:?}");
    }
}
