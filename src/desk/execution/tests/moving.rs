//! Another stop for a position: what is laid, what is taken away, and what stays when the exchange refuses or is silent.

use std::slice::from_ref;

use tokio::time::Instant;

use super::*;

const TAKEN: &str = r#"{"algoId":1,"algoStatus":"NEW"}"#;
const GONE: &str = r#"{"code":"200","msg":"success"}"#;
const CAUSE: &str = "stop by hand";

/// The name of the first or the second stop that is laid.
fn laid(attempt: u32) -> String {
    let reason = ids::OrderReason {
        install: "test",
        account: &AccountName::new("a").unwrap(),
        symbol: &btc(),
        cause: CAUSE,
        purpose: OrderPurpose::Stop,
        attempt,
    };
    ids::client_order_id(&reason).to_string()
}

fn stop(number: u32, id: &str, side: &str, is_whole: bool) -> String {
    format!(
        r#"{{"algoId":{number},"clientAlgoId":"{id}","symbol":"BTCUSDT","side":"{side}","orderType":"STOP_MARKET",
            "algoStatus":"NEW","triggerPrice":"54000","quantity":"0.01","closePosition":{is_whole},
            "reduceOnly":true}}"#
    )
}

fn list(stops: &[String]) -> String {
    format!("[{}]", stops.join(","))
}

/// A room with a long position of 0.01 at 60000, in which the exchange takes and cancels stops.
fn room() -> Room {
    let room = Room::new();
    room.desk.shared.rules.write().unwrap().insert(btc(), rules());
    room.fake.set("/fapi/v3/positionRisk", position("0.01", "50000"));
    room.fake.set("/fapi/v1/userTrades", "[]");
    room.fake.set("POST /fapi/v1/algoOrder", TAKEN);
    room.fake.set("DELETE /fapi/v1/algoOrder", GONE);
    room
}

impl Room {
    async fn move_to_55000(&self) -> Result<String, String> {
        let cause = Cause::Operator(CAUSE.to_owned());
        self.desk.move_stop(&cause, (&btc(), Direction::Long), "55000".parse().unwrap()).await
    }

    /// Which stops were sent: whole ones, or those of a size.
    fn sent_whole(&self) -> Vec<bool> {
        let sent = self.fake.asked("POST /fapi/v1/algoOrder");
        sent.iter().map(|parameters| parameters.contains("closePosition=true")).collect()
    }

    /// The names of the stops that were to be taken away, in order.
    fn taken_away(&self) -> Vec<String> {
        let taken = self.fake.asked("DELETE /fapi/v1/algoOrder");
        let name = |parameters: &String| {
            let name = parameters.split('&').find_map(|part| part.strip_prefix("clientAlgoId="));
            name.unwrap().to_owned()
        };
        taken.iter().map(name).collect()
    }

    async fn state_of(&self, id: &str) -> OrderState {
        self.store.order(&crate::domain::ClientOrderId::new(id).unwrap()).await.unwrap().unwrap().state
    }
}

#[tokio::test(start_paused = true)]
async fn a_whole_stop_is_moved_over_a_bridge_of_the_positions_size() {
    let room = room();
    let (old, bridge, whole) =
        (stop(1, "web-1", "SELL", true), stop(2, &laid(1), "SELL", false), stop(3, &laid(2), "SELL", true));
    let seen = [list(from_ref(&old)), list(&[old, bridge.clone()]), list(&[bridge, whole])];
    room.fake.set_turns("/fapi/v1/openAlgoOrders", &seen.each_ref().map(String::as_str));
    let moved = room.move_to_55000().await;
    assert_eq!(moved, Ok("the stop of LONG 0.01 moved from 54000 to 55000".to_owned()));
    assert_eq!(room.sent_whole(), [false, true]);
    assert_eq!(room.taken_away(), ["web-1".to_owned(), laid(1)]);
    assert_eq!(room.state_of(&laid(1)).await, OrderState::Cancelled);
    assert_eq!(room.state_of(&laid(2)).await, OrderState::Accepted);
    let resting =
        room.store.order(&crate::domain::ClientOrderId::new(laid(2)).unwrap()).await.unwrap().unwrap();
    assert_eq!(resting.exchange_id.as_deref(), Some("3"));
}

#[tokio::test(start_paused = true)]
async fn no_bridge_is_needed_where_no_whole_stop_closes_the_position() {
    for (old, from) in [
        (None, "without a stop"),
        (Some(stop(1, "web-1", "SELL", false)), "from 54000"),
        (Some(stop(1, "web-1", "BUY", true)), "without a stop"),
    ] {
        let room = room();
        let before = list(old.as_slice());
        let whole = stop(3, &laid(1), "SELL", true);
        let after = list(&old.iter().cloned().chain([whole]).collect::<Vec<_>>());
        room.fake.set_turns("/fapi/v1/openAlgoOrders", &[&before, &after]);
        let moved = room.move_to_55000().await;
        assert_eq!(moved, Ok(format!("the stop of LONG 0.01 moved {from} to 55000")), "{before}");
        assert_eq!(room.sent_whole(), [true], "{before}");
        assert_eq!(room.taken_away().len(), usize::from(old.is_some()), "{before}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_stop_or_of_another_coin_is_left_alone() {
    let take_profit = stop(1, "web-1", "SELL", true).replace("STOP_MARKET", "TAKE_PROFIT_MARKET");
    let of_ether = stop(1, "web-2", "SELL", true).replace("BTCUSDT", "ETHUSDT");
    let over = stop(1, "web-3", "SELL", true).replace("NEW", "CANCELED");
    for other in [take_profit, of_ether, over] {
        let room = room();
        let after = list(&[other.clone(), stop(3, &laid(1), "SELL", true)]);
        room.fake.set_turns("/fapi/v1/openAlgoOrders", &[&list(from_ref(&other)), &after]);
        let moved = room.move_to_55000().await;
        assert_eq!(moved, Ok("the stop of LONG 0.01 moved without a stop to 55000".to_owned()), "{other}");
        assert_eq!((room.sent_whole(), room.taken_away()), (vec![true], Vec::new()), "{other}");
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_old_stop_cannot_be_taken_away_the_bridge_stays_beside_it_and_nothing_more_is_laid() {
    for has_name in [true, false] {
        let room = room();
        let mut old = stop(1, "web-1", "SELL", true);
        if !has_name {
            old = old.replace(r#""clientAlgoId":"web-1","#, "");
        }
        let beside = list(&[old.clone(), stop(2, &laid(1), "SELL", false)]);
        room.fake.set_turns("/fapi/v1/openAlgoOrders", &[&list(&[old]), &beside]);
        room.fake.set("DELETE /fapi/v1/algoOrder", "<html>bad gateway</html>");
        let refused = room.move_to_55000().await.unwrap_err();
        assert!(refused.starts_with("the old stop may still rest beside the new one"), "{refused}");
        assert_eq!(room.sent_whole(), [false]);
        assert_eq!(room.taken_away().len(), usize::from(has_name), "what has no name cannot be taken away");
        assert_eq!(room.state_of(&laid(1)).await, OrderState::Accepted);
    }
}

#[tokio::test(start_paused = true)]
async fn a_bridge_stays_where_no_whole_stop_comes_to_rest() {
    let room = room();
    let (old, bridge) = (stop(1, "web-1", "SELL", true), stop(2, &laid(1), "SELL", false));
    let seen = [list(from_ref(&old)), list(&[old, bridge.clone()]), list(&[bridge])];
    room.fake.set_turns("/fapi/v1/openAlgoOrders", &seen.each_ref().map(String::as_str));
    let moved = room.move_to_55000().await;
    assert_eq!(moved, Ok("the stop of LONG 0.01 moved from 54000 to 55000".to_owned()));
    assert_eq!(room.taken_away(), ["web-1".to_owned(), laid(2)], "what was not seen is taken back");
    assert_eq!(room.state_of(&laid(1)).await, OrderState::Accepted);
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_is_not_seen_is_looked_for_a_while_and_then_taken_back() {
    let room = room();
    let began = Instant::now();
    let refused = room.move_to_55000().await.unwrap_err();
    let why = "acknowledged, but not seen resting";
    assert_eq!(refused, format!("the new stop was not seen resting ({why})"));
    assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
    assert_eq!(
        room.fake.asked("GET /fapi/v1/openAlgoOrders").len(),
        4,
        "one look before it, and three for it"
    );
    assert_eq!(room.taken_away(), [laid(1)]);
    let order =
        room.store.order(&crate::domain::ClientOrderId::new(laid(1)).unwrap()).await.unwrap().unwrap();
    assert_eq!((order.state, order.error.as_deref()), (OrderState::Cancelled, Some(why)));
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_the_exchange_says_it_has_already_is_looked_for() {
    let room = room();
    room.fake.set("POST /fapi/v1/algoOrder", r#"{"code":-4116,"msg":"ClientOrderId is duplicated."}"#);
    room.fake.set_turns("/fapi/v1/openAlgoOrders", &["[]", &list(&[stop(3, &laid(1), "SELL", true)])]);
    assert!(room.move_to_55000().await.is_ok());
    assert_eq!(room.state_of(&laid(1)).await, OrderState::Accepted);
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_was_refused_ends_in_the_journal_and_is_not_looked_for() {
    let room = room();
    room.fake.set("POST /fapi/v1/algoOrder", r#"{"code":-1121,"msg":"Invalid symbol."}"#);
    let refused = room.move_to_55000().await.unwrap_err();
    assert!(refused.starts_with("the exchange refused the stop"), "{refused}");
    assert_eq!(room.state_of(&laid(1)).await, OrderState::Rejected);
    assert_eq!(room.taken_away(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_operators_stop_that_cannot_be_written_down_is_not_sent() {
    let room = room();
    super::resolving::rename(&room, "orders", "away");
    let refused = room.move_to_55000().await.unwrap_err();
    assert!(refused.starts_with("the stop could not be journaled, so it was not sent"), "{refused}");
    assert_eq!(room.sent_whole(), Vec::<bool>::new());
}

/// A whole stop of the position at a price.
fn whole_at(number: u32, id: &str, trigger: &str) -> String {
    stop(number, id, "SELL", true).replace("54000", trigger)
}

#[tokio::test(start_paused = true)]
async fn one_whole_stop_at_its_place_is_left_alone_and_so_is_a_coin_without_a_position() {
    for (held, stops) in [
        (position("0.01", "50000"), list(&[stop(1, "web-1", "SELL", true)])),
        (
            position("0.01", "50000"),
            list(&[
                stop(1, "web-1", "SELL", true),
                stop(2, "web-2", "SELL", true).replace("STOP_MARKET", "LIMIT"),
            ]),
        ),
        ("[]".to_owned(), list(&[whole_at(1, "web-1", "40000")])),
    ] {
        let room = room();
        room.fake.set("/fapi/v3/positionRisk", held);
        room.fake.set("/fapi/v1/openAlgoOrders", stops.as_str());
        assert_eq!(room.desk.repair_stop(&btc()).await, Finding::Nothing, "{stops}");
        assert_eq!((room.sent_whole(), room.taken_away()), (Vec::new(), Vec::new()), "{stops}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_several_stops_the_whole_one_at_its_place_stays() {
    for (good, others) in [(1, [2, 3]), (2, [1, 3]), (3, [1, 2])] {
        for are_removed in [true, false] {
            let room = room();
            let one = |number: u32| {
                let id = format!("web-{number}");
                if number == good {
                    stop(number, &id, "SELL", true)
                } else {
                    stop(number, &id, "SELL", false)
                }
            };
            room.fake.set("/fapi/v1/openAlgoOrders", list(&[one(1), one(2), one(3)]));
            if !are_removed {
                room.fake.set("DELETE /fapi/v1/algoOrder", "<html>bad gateway</html>");
            }
            let found = room.desk.repair_stop(&btc()).await;
            let is_repaired = matches!(
                &found,
                Finding::Repaired(how) if how.ends_with(&format!("SELL all at 54000 (web-{good}) stays"))
            );
            let is_not = matches!(&found, Finding::Unrepaired(why) if why.ends_with("and cannot be removed"));
            assert_eq!((is_repaired, is_not), (are_removed, !are_removed), "{found:?}");
            assert_eq!(room.taken_away(), others.map(|number| format!("web-{number}")));
            assert_eq!(room.sent_whole(), Vec::<bool>::new());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_protects_is_not_replaced_without_end_and_one_that_does_not_is() {
    let wrong_side = stop(1, "web-1", "BUY", true).replace("54000", "66000");
    for (resting, is_left) in [(whole_at(1, "web-1", "52000"), true), (wrong_side, false)] {
        let room = room();
        room.fake.set("POST /fapi/v1/algoOrder", r#"{"code":-1121,"msg":"Invalid symbol."}"#);
        room.fake.set("/fapi/v1/openAlgoOrders", list(&[resting]));
        for second in 0..41 {
            room.wall.set(at(2_000_000 + second));
            let Finding::Unrepaired(why) = room.desk.repair_stop(&btc()).await else { panic!("repaired") };
            let is_given_up = why.contains("was replaced again and again");
            assert_eq!(is_given_up, is_left && second == 40, "{second}: {why}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_position_whose_price_is_past_the_place_of_its_stop_is_closed_if_it_is_ours_and_told_if_not() {
    for is_ours in [true, false] {
        let room = room();
        room.fake
            .set("POST /fapi/v1/algoOrder", r#"{"code":-2021,"msg":"Order would immediately trigger."}"#);
        room.fake.set("/fapi/v1/openAlgoOrders", list(&[whole_at(1, "web-1", "40000")]));
        room.fake.set_turns("/fapi/v3/positionRisk", &[&position("0.01", "30000"), "[]"]);
        room.fake.set(
            "POST /fapi/v1/order",
            r#"{"orderId":9,"symbol":"BTCUSDT","side":"SELL","status":"FILLED","executedQty":"0.01","avgPrice":"60000"}"#,
        );
        room.desk.set_unresolved(&btc(), Unresolved { count: 1, may_open: is_ours });
        let found = room.desk.repair_stop(&btc()).await;
        let alarmed = room.desk.shared.bulletin.read(|present| {
            present.alarms.iter().any(|alarm| alarm.text.ends_with("already beyond 54000; closing at market"))
        });
        assert_eq!(alarmed, is_ours, "{found:?}");
        assert_eq!(matches!(found, Finding::Left(_)), !is_ours, "{found:?}");
    }
}
