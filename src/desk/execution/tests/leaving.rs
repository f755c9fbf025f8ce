//! What leaves for the exchange, and what does not leave any more.

use super::*;
use crate::desk::guards::{Approved, CloseOrder, OpenOrder};

fn long() -> OpenOrder {
    OpenOrder {
        account: AccountName::new("a").unwrap(),
        symbol: btc(),
        direction: Direction::Long,
        quantity: "0.01".parse().unwrap(),
        reference: "60000".parse().unwrap(),
        margin: "200".parse().unwrap(),
    }
}

fn close_of(direction: Direction) -> Approved<CloseOrder> {
    let OpenOrder { account, symbol, quantity, .. } = long();
    Approved::unseen(CloseOrder { account, symbol, direction, quantity })
}

impl Room {
    /// The quantities of the orders at market that were sent, in order.
    fn sent(&self) -> Vec<String> {
        let orders = self.fake.asked("POST /fapi/v1/order");
        let quantities = orders.iter().filter_map(|parameters| {
            parameters.split('&').find_map(|parameter| parameter.strip_prefix("quantity="))
        });
        quantities.map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn a_close_leaves_a_position_alone_that_points_the_other_way_by_now() {
    let room = Room::new();
    room.fake.set("/fapi/v3/positionRisk", position("-0.01", "70000"));
    let cause = Cause::Operator("by hand".to_owned());
    let outcome = room.desk.close(&cause, &close_of(Direction::Long)).await;
    assert_eq!(outcome.kind, crate::domain::OutcomeKind::Failed);
    assert_eq!(outcome.detail, "it is a SHORT by now, not the LONG that was looked at; nothing was closed");
    assert_eq!(room.sent(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_position_larger_than_a_market_order_may_be_is_closed_in_parts() {
    let room = Room::new();
    let small = crate::exchange::Bounds { max: "0.004".parse().unwrap(), ..rules().market_quantity };
    let rules = SymbolRules { market_quantity: small, ..rules() };
    room.desk.shared.rules.write().unwrap().insert(btc(), rules);
    room.fake.set("/fapi/v3/positionRisk", position("0.01", "50000"));
    room.fake.set(
        "/fapi/v1/order",
        r#"{"orderId":1,"symbol":"BTCUSDT","status":"FILLED","executedQty":"0.004","avgPrice":"60000"}"#,
    );
    let cause = Cause::Operator("by hand".to_owned());
    room.desk.close(&cause, &close_of(Direction::Long)).await;
    let sent = room.sent();
    assert!(sent.len() > 3, "a part is no try that failed: {sent:?}");
    assert!(sent.iter().all(|quantity| quantity == "0.004"), "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn an_opening_that_waited_too_long_for_its_coin_does_not_leave() {
    for (seconds, leaves) in [(14, true), (16, false)] {
        let room = Room::new();
        room.desk.shared.rules.write().unwrap().insert(btc(), rules());
        room.fake.set("/fapi/v1/positionSide/dual", r#"{"dualSidePosition":false}"#);
        room.fake.set("/fapi/v1/userTrades", "[]");
        room.fake.set(
            "/fapi/v1/symbolConfig",
            r#"[{"symbol":"BTCUSDT","marginType":"ISOLATED","leverage":3,"maxNotionalValue":"1000000"}]"#,
        );
        let coin = room.desk.hold_coin(&btc()).await;
        let cause = Cause::Operator("by hand".to_owned());
        let order = Approved::unseen(long());
        let (outcome, ()) = tokio::join!(room.desk.open(&cause, &order), async {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            drop(coin);
        });
        assert_eq!(room.sent().len(), usize::from(leaves), "{seconds} s: {outcome:?}");
        assert_eq!(outcome.detail.contains("after it was judged"), !leaves, "{outcome:?}");
    }
}

#[tokio::test]
async fn a_close_of_unknown_fate_makes_nothing_ours_and_an_opening_does() {
    let room = Room::new();
    room.fake.set("/fapi/v3/positionRisk", position("0.01", "50000"));
    room.fake.set("/fapi/v1/userTrades", "[]");
    let held = room.desk.client.positions().await.unwrap().remove(0);
    for may_open in [false, true] {
        room.desk.set_unresolved(&btc(), Unresolved { count: 1, may_open });
        assert_eq!(room.desk.opened_by_us(&held).await, may_open);
    }
}

#[tokio::test]
async fn a_side_of_a_hedge_is_no_position_that_orders_without_a_side_could_reach() {
    let room = Room::new();
    let sided = position("0.01", "50000").replace('{', r#"{"positionSide":"LONG","#);
    room.fake.set("/fapi/v3/positionRisk", sided);
    let seen = room.desk.look().await.unwrap();
    assert!(seen.positions.is_empty() && !seen.is_flat(&btc()), "{seen:?}");
    assert!(seen.unreadable[0].1.contains("hedge mode"), "{seen:?}");
}
