//! What the guardian asks of an account's hands when a disk hangs, an answer is late or another hand was there.

use super::*;

const SOLD: &str = r#"[{"id":1,"orderId":4711,"side":"SELL","price":"66000","qty":"0.003","commission":"0.099",
    "commissionAsset":"USDT","realizedPnl":"-71.5","time":1772400001000}]"#;

fn report(name: &str) -> String {
    format!(
        r#"{{"orderId":4711,"clientOrderId":"{name}","symbol":"BTCUSDT","side":"SELL","status":"FILLED"}}"#
    )
}

/// A whole stop of a position of 0.01 BTC.
fn stop_row(trigger: &str, more: &str) -> String {
    format!(
        r#"[{{"algoId":1,"clientAlgoId":"web-1","symbol":"BTCUSDT","side":"SELL","orderType":"STOP_MARKET",
            "algoStatus":"NEW","triggerPrice":"{trigger}","closePosition":true{more}}}]"#
    )
}

#[tokio::test]
async fn who_closed_a_position_is_asked_until_it_is_known_and_told_once() {
    let room = Room::new();
    room.fake.set("/fapi/v1/userTrades", SOLD);
    room.desk.book_fills(&btc()).await;
    let told = async || room.store.operator_actions_since(at(-1)).await.unwrap().len();
    room.desk.ask_again_who_traded().await;
    assert_eq!(told().await, 0, "the exchange does not find the order yet");
    room.fake.set("/fapi/v1/order", report("autoclose-177"));
    for _ in 0..2 {
        room.desk.ask_again_who_traded().await;
        assert_eq!(told().await, 1);
    }
}

/// The same account in the next run, which knows what the journal does.
fn after_a_death(room: &Room) -> AccountDesk {
    AccountDesk::new(room.desk.terms().clone(), room.desk.client().clone(), room.desk.shared().clone())
}

#[tokio::test]
async fn a_close_that_was_booked_and_not_explained_before_a_death_is_told_once_after_it() {
    for (hours, expected) in [(23, 1), (25, 0)] {
        let room = Room::new();
        room.fake.set("/fapi/v1/userTrades", SOLD);
        room.desk.book_fills(&btc()).await;
        let told = async || room.store.operator_actions_since(at(-1)).await.unwrap();
        assert_eq!(told().await, [], "the exchange does not find the order yet");
        room.fake.set("/fapi/v1/userTrades", "[]");
        room.fake.set("/fapi/v1/order", report("autoclose-177"));
        room.market.set(at(hours * 3600));
        for _ in 0..2 {
            after_a_death(&room).ask_again_who_traded().await;
            assert_eq!(told().await.len(), expected, "after {hours} h");
        }
        for action in told().await {
            assert_eq!(
                action.detail,
                "a BTCUSDT: liquidated by the exchange: 0.003 closed, -71.5 USDT before fees"
            );
        }
    }
}

#[tokio::test]
async fn what_is_explained_at_once_is_not_found_again_as_left_by_an_earlier_run() {
    let room = Room::new();
    room.fake.set("/fapi/v1/userTrades", SOLD);
    room.fake.set("/fapi/v1/order", report("autoclose-177"));
    room.desk.book_fills(&btc()).await;
    room.desk.ask_again_who_traded().await;
    assert_eq!(room.store.operator_actions_since(at(-1)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_close_that_went_on_after_a_death_is_told_as_a_whole() {
    let room = Room::new();
    room.fake.set("/fapi/v1/userTrades", SOLD);
    room.desk.book_fills(&btc()).await;
    room.fake.set("/fapi/v1/userTrades", SOLD.replace(r#""id":1"#, r#""id":2"#));
    room.fake.set("/fapi/v1/order", report("autoclose-177"));
    after_a_death(&room).book_fills(&btc()).await;
    let told = room.store.operator_actions_since(at(-1)).await.unwrap();
    assert_eq!(told.len(), 1);
    assert!(told[0].detail.contains("0.006 closed, -143.0 USDT"), "{told:?}");
}

#[tokio::test]
async fn an_order_that_was_given_up_gives_its_fill_a_name_after_a_death_too() {
    let room = Room::new();
    let order = room.journaled().await;
    room.store.update_order(&order.id, OrderState::NotPlaced, OrderUpdate::at(at(0))).await.unwrap();
    room.fake.set("/fapi/v1/userTrades", SOLD);
    room.desk.book_fills(&btc()).await;
    let name =
        async || room.store.fills_since(room.desk.name(), at(0)).await.unwrap().remove(0).client_order_id;
    assert_eq!(name().await, None);
    room.fake.set("/fapi/v1/order", report(order.id.as_str()));
    after_a_death(&room).ask_again_who_traded().await;
    assert_eq!(name().await, Some(order.id.clone()));
    assert_eq!(room.store.order(&order.id).await.unwrap().unwrap().state, OrderState::Filled);
}

#[tokio::test]
async fn an_unknown_close_is_not_settled_by_the_fills_of_a_stop_of_the_same_size() {
    for (name, expected) in [(Some("j2s-our-stop"), OrderState::Unknown), (None, OrderState::Filled)] {
        let room = Room::new();
        let order = room.journaled().await;
        room.fake.set("/fapi/v1/userTrades", SOLD);
        if let Some(name) = name {
            room.fake.set("/fapi/v1/order?orderId", report(name));
        }
        room.desk.resolve_unresolved().await;
        let state = room.store.order(&order.id).await.unwrap().unwrap().state;
        assert_eq!(state, expected, "{name:?}");
    }
}

#[tokio::test]
async fn a_stop_in_its_place_that_another_price_triggers_is_looked_at_closely() {
    let room = Room::new();
    room.fake.set("/fapi/v3/positionRisk", position("0.01", "40000"));
    for (more, is_odd) in [
        ("", false),
        (r#","workingType":"MARK_PRICE","priceProtect":false"#, false),
        (r#","workingType":"CONTRACT_PRICE","priceProtect":false"#, true),
        (r#","workingType":"MARK_PRICE","priceProtect":true"#, true),
    ] {
        room.fake.set("/fapi/v1/openAlgoOrders", stop_row("54000", more));
        let seen = room.desk.look().await.unwrap();
        let odd = room.desk.odd_stops(&seen.positions, &seen.stops).await;
        assert_eq!(!odd.is_empty(), is_odd, "{more}");
    }
}

/// Takes the disk away from whoever writes, until it is dropped.
pub(super) fn hanging_disk(room: &Room) -> rusqlite::Connection {
    let hog = rusqlite::Connection::open(room.folder.path().join("jarvis.db")).unwrap();
    hog.execute_batch("BEGIN IMMEDIATE").unwrap();
    hog
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misplaced_stop_is_replaced_although_the_disk_hangs() {
    let room = Room::new();
    room.desk.shared.rules.write().unwrap().insert(btc(), rules());
    room.fake.set("/fapi/v3/positionRisk", position("0.01", "20000"));
    room.fake.set("/fapi/v1/openAlgoOrders", stop_row("30000", ""));
    let hog = hanging_disk(&room);
    let found = tokio::time::timeout(Duration::from_secs(4), room.desk.repair_stop(&btc())).await.unwrap();
    let Finding::Unrepaired(why) = found else { panic!("{found:?}") };
    assert!(why.contains("the exchange refused the stop"), "it was sent: {why}");
    hog.execute_batch("ROLLBACK").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn news_of_an_order_keeps_no_coin_while_the_disk_hangs() {
    let room = Room::new();
    let order = room.journaled().await;
    let hog = hanging_disk(&room);
    let learned = room.desk.learn(&order, OrderState::Accepted, journal::Learned::default());
    tokio::time::timeout(Duration::from_secs(3), learned).await.unwrap();
    hog.execute_batch("ROLLBACK").unwrap();
    // What was not waited for is written all the same, in its turn.
    room.store.set_meta("written", "after it").await.unwrap();
    let state = room.store.order(&order.id).await.unwrap().unwrap().state;
    assert_eq!(state, OrderState::Accepted);
}

#[tokio::test]
async fn the_last_rules_are_kept_for_a_start_at_which_there_are_none_and_open_nothing() {
    let room = Room::new();
    room.desk.shared.keep_rules([(btc(), rules())].into()).await;
    let again = Room::new();
    let shared = Shared { store: room.store.clone(), ..again.desk.shared.clone() };
    assert_eq!(shared.rules_of_stop(&btc()), None);
    shared.recall_rules().await;
    assert_eq!(shared.rules_of_stop(&btc()), Some(rules()));
    assert_eq!(shared.rules_of(&btc()), None);
}

#[tokio::test]
async fn only_an_opening_that_may_have_been_executed_is_in_doubt() {
    let room = Room::new();
    let in_doubt = || !room.desk.openings_in_doubt().is_empty();
    assert!(room.desk.unsettled_coin().is_none() && !in_doubt());
    for may_open in [false, true] {
        let step = room.desk.under_way(&btc(), may_open);
        assert_eq!((room.desk.unsettled_coin(), in_doubt()), (Some(btc()), may_open));
        drop(step);
        assert_eq!(room.desk.unsettled_coin(), None);
        room.desk.set_unresolved(&btc(), Unresolved { count: 1, may_open });
        assert_eq!((room.desk.unsettled_coin(), in_doubt()), (Some(btc()), may_open));
        room.desk.set_unresolved(&btc(), Unresolved::NONE);
    }
}
