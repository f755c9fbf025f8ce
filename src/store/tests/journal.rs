//! Orders: written before they are sent, told apart for ever.

use crate::domain::{CycleId, OrderPurpose, OrderState, Side, Usdt};
use crate::store::testing::*;
use crate::store::*;
use OrderState::{Accepted, Cancelled, Filled, NotPlaced, Rejected, Sent, Unknown};

#[tokio::test]
async fn an_intent_reads_back_as_it_was_written() {
    let (fixture, cycle) = Fixture::with_decision().await;
    let stop = OrderIntent {
        purpose: OrderPurpose::Stop,
        quantity: None,
        trigger: Some("59842.60".parse().unwrap()),
        ..intent("j1-stop", Origin::Guardian { rule: "unprotected".into() })
    };
    let wanted = [intent("j1-open", Origin::Decision { cycle }), intent("j1-close", by_operator()), stop];
    for intent in &wanted {
        fixture.store.record_intent(intent).await.unwrap();
        let stored = fixture.store.order(&intent.client_order_id).await.unwrap().unwrap();
        assert_eq!(&stored.intent, intent);
        assert_eq!((stored.state, stored.settled_at, stored.executed), (Sent, None, None));
    }
    assert_eq!(fixture.store.orders_of(&account("a"), &symbol("BTCUSDT"), 2).await.unwrap().len(), 2);
    assert_eq!(fixture.store.order(&order_id("j1-other")).await.unwrap(), None);
}

#[tokio::test]
async fn a_name_is_never_used_twice_and_the_error_says_so() {
    let fixture = Fixture::new();
    fixture.store.record_intent(&intent("j1", by_operator())).await.unwrap();
    fixture.store.update_order(&order_id("j1"), Filled, OrderUpdate::at(at(1))).await.unwrap();
    let error = fixture.store.record_intent(&intent("j1", by_operator())).await.unwrap_err();
    assert!(matches!(&error, StoreError::DuplicateOrder(id) if id == &order_id("j1")), "{error}");
    assert!(error.to_string().contains("must not be sent again"));
    let stored = fixture.store.order(&order_id("j1")).await.unwrap().unwrap();
    assert_eq!(stored.state, Filled);
}

#[tokio::test]
async fn an_order_without_its_decision_is_refused() {
    let fixture = Fixture::new();
    let origin = Origin::Decision { cycle: CycleId::from_stored("c-none") };
    assert!(matches!(fixture.store.record_intent(&intent("j1", origin)).await, Err(StoreError::Sqlite(_))));
    assert_eq!(fixture.store.order(&order_id("j1")).await.unwrap(), None);
}

#[tokio::test]
async fn the_unresolved_orders_are_those_sent_or_unknown_oldest_first() {
    let fixture = Fixture::new();
    for (number, state) in
        [Sent, Accepted, Filled, Rejected, Unknown, NotPlaced, Cancelled].iter().enumerate()
    {
        let id = format!("j{number}");
        fixture.store.record_intent(&intent(&id, by_operator())).await.unwrap();
        fixture.store.update_order(&order_id(&id), *state, OrderUpdate::at(at(1))).await.unwrap();
    }
    let unresolved = fixture.store.unresolved_orders().await.unwrap();
    let names: Vec<&str> = unresolved.iter().map(|order| order.intent.client_order_id.as_str()).collect();
    assert_eq!(names, ["j0", "j4"]);
}

/// Where an order stands after each of all pairs of news.
#[tokio::test]
async fn an_end_stays_the_end_except_for_a_fill_and_an_order_thought_never_placed() {
    let fixture = Fixture::new();
    let all = [Sent, Accepted, Filled, Rejected, Unknown, NotPlaced, Cancelled];
    for (row, first) in all.into_iter().enumerate() {
        for (column, second) in all.into_iter().enumerate() {
            let id = format!("j-{row}-{column}");
            fixture.store.record_intent(&intent(&id, by_operator())).await.unwrap();
            fixture.store.update_order(&order_id(&id), first, OrderUpdate::at(at(1))).await.unwrap();
            let stands =
                fixture.store.update_order(&order_id(&id), second, OrderUpdate::at(at(2))).await.unwrap();
            let expected = match (first, second) {
                (Rejected | Cancelled, Filled) => Filled,
                (Filled | Rejected | Cancelled, _) | (_, Sent) => first,
                (Accepted, Unknown | NotPlaced) => Accepted,
                (NotPlaced, Rejected | Unknown) => NotPlaced,
                (_, second) => second,
            };
            assert_eq!(stands, expected, "{first:?} then {second:?}");
            let stored = fixture.store.order(&order_id(&id)).await.unwrap().unwrap();
            assert_eq!(stored.state, expected);
            let ended = matches!(expected, Filled | Rejected | NotPlaced | Cancelled);
            assert_eq!(stored.settled_at.is_some(), ended, "{first:?} then {second:?}");
        }
    }
}

#[tokio::test]
async fn late_news_completes_what_is_known_and_replaces_nothing() {
    let fixture = Fixture::new();
    fixture.store.record_intent(&intent("j1", by_operator())).await.unwrap();
    let filled = OrderUpdate {
        average_price: Some("66491.80".parse().unwrap()),
        executed: Some("0.003".parse().unwrap()),
        ..OrderUpdate::at(at(5))
    };
    fixture.store.update_order(&order_id("j1"), Filled, filled).await.unwrap();
    let late = OrderUpdate {
        exchange_id: Some("4711".into()),
        executed: Some("0".parse().unwrap()),
        ..OrderUpdate::at(at(3))
    };
    assert_eq!(fixture.store.update_order(&order_id("j1"), Accepted, late).await.unwrap(), Filled);
    let stored = fixture.store.order(&order_id("j1")).await.unwrap().unwrap();
    assert_eq!(stored.exchange_id.as_deref(), Some("4711"));
    assert_eq!(stored.executed, Some("0.003".parse().unwrap()));
    assert_eq!(stored.average_price, Some("66491.80".parse().unwrap()));
    assert_eq!((stored.settled_at, stored.updated_at), (Some(at(5)), at(5)));
}

#[tokio::test]
async fn news_of_a_strange_order_is_an_error() {
    let fixture = Fixture::new();
    let result = fixture.store.update_order(&order_id("j1"), Filled, OrderUpdate::at(at(1))).await;
    assert!(matches!(result, Err(StoreError::UnknownOrder(_))));
}

#[tokio::test]
async fn a_position_was_opened_when_its_last_filled_opening_was_filled() {
    let fixture = Fixture::new();
    let opened_at = async || fixture.store.opened_at(&account("a"), &symbol("BTCUSDT")).await.unwrap();
    assert_eq!(opened_at().await, None);
    let close = OrderIntent { purpose: OrderPurpose::Close, ..intent("j2", by_operator()) };
    for (intent, state, second) in [
        (intent("j1", by_operator()), Filled, 10),
        (close, Filled, 20),
        (intent("j3", by_operator()), Rejected, 30),
    ] {
        fixture.store.record_intent(&intent).await.unwrap();
        fixture
            .store
            .update_order(&intent.client_order_id, state, OrderUpdate::at(at(second)))
            .await
            .unwrap();
    }
    assert_eq!(opened_at().await, Some(at(10)));
    // The same news again, by the other channel, does not make the position younger.
    fixture.store.update_order(&order_id("j1"), Filled, OrderUpdate::at(at(40))).await.unwrap();
    assert_eq!(opened_at().await, Some(at(10)));
}

#[tokio::test]
async fn a_position_is_ours_where_our_last_opening_of_its_side_may_have_made_it() {
    let sell = |id: u64, order: &str, second: i64| Fill { side: Side::Sell, ..bought(id, order, second) };
    // The opening's number is 1, and it is sent at 10.
    for (state, fills, is_ours) in [
        (Sent, vec![], true),
        (Unknown, vec![], true),
        (Accepted, vec![], true),
        (Accepted, vec![bought(1, "9", 20)], true),
        (Rejected, vec![], false),
        (NotPlaced, vec![bought(1, "9", 20)], false),
        (Cancelled, vec![], false),
        (Filled, vec![], true),
        (Filled, vec![bought(1, "9", 5)], true),
        (Filled, vec![bought(1, "1", 10)], true),
        (Filled, vec![bought(1, "1", 20)], true),
        (Filled, vec![bought(1, "9", 20)], false),
        (Filled, vec![bought(1, "9", 10)], false),
        (Filled, vec![bought(1, "8", 5), bought(2, "9", 20)], false),
        (Filled, vec![bought(1, "1", 20), sell(2, "2", 30)], false),
        (Filled, vec![bought(1, "1", 20), sell(2, "2", 30), bought(3, "9", 40)], false),
        (Filled, vec![bought(1, "1", 20), bought(2, "9", 40)], true),
    ] {
        let fixture = Fixture::new();
        let opening = OrderIntent { side: Side::Buy, market_time: at(10), ..intent("j1", by_operator()) };
        fixture.store.record_intent(&opening).await.unwrap();
        let news = OrderUpdate { exchange_id: Some("1".into()), ..OrderUpdate::at(at(20)) };
        fixture.store.update_order(&order_id("j1"), state, news).await.unwrap();
        for fill in &fills {
            fixture.store.add_fill(fill).await.unwrap();
        }
        let said = async |name: &str, side| {
            fixture.store.is_opened_by_us(&account(name), &symbol("BTCUSDT"), side).await.unwrap()
        };
        assert_eq!(said("a", Side::Buy).await, is_ours, "{state:?} {fills:?}");
        assert!(!said("a", Side::Sell).await && !said("b", Side::Buy).await, "{state:?} {fills:?}");
    }
}

#[tokio::test]
async fn a_close_or_a_stop_makes_no_position_ours() {
    for purpose in [OrderPurpose::Close, OrderPurpose::Stop, OrderPurpose::Emergency] {
        let fixture = Fixture::new();
        let order = OrderIntent { purpose, side: Side::Buy, ..intent("j1", by_operator()) };
        fixture.store.record_intent(&order).await.unwrap();
        let (name, coin) = (account("a"), symbol("BTCUSDT"));
        assert!(!fixture.store.is_opened_by_us(&name, &coin, Side::Buy).await.unwrap(), "{purpose:?}");
    }
}

#[tokio::test]
async fn orders_are_found_by_account_coin_and_instant_and_by_having_been_accepted() {
    let fixture = Fixture::new();
    for (id, name, coin, second, state) in [
        ("j1", "a", "BTCUSDT", 10, Accepted),
        ("j2", "a", "BTCUSDT", 20, Filled),
        ("j3", "a", "BTCUSDT", 30, Accepted),
        ("j4", "b", "BTCUSDT", 30, Accepted),
        ("j5", "a", "ETHUSDT", 30, Unknown),
    ] {
        let order = OrderIntent {
            account: account(name),
            symbol: symbol(coin),
            market_time: at(second),
            ..intent(id, by_operator())
        };
        fixture.store.record_intent(&order).await.unwrap();
        fixture.store.update_order(&order_id(id), state, OrderUpdate::at(at(second))).await.unwrap();
    }
    let names = |orders: Vec<StoredOrder>| -> Vec<String> {
        orders.into_iter().map(|order| order.intent.client_order_id.to_string()).collect()
    };
    let since = fixture.store.orders_since(&account("a"), &symbol("BTCUSDT"), at(20)).await.unwrap();
    assert_eq!(names(since), ["j3", "j2"]);
    assert_eq!(names(fixture.store.accepted_orders(&account("a")).await.unwrap()), ["j1", "j3"]);
}

#[tokio::test]
async fn no_news_moves_an_order_where_its_state_does_not_lead() {
    let all = [Sent, Accepted, Filled, Rejected, Unknown, NotPlaced, Cancelled];
    let leads = |now, next| match now {
        Sent => next != Sent,
        Unknown => !matches!(next, Sent | Unknown),
        Accepted => matches!(next, Filled | Rejected | Cancelled),
        Rejected | Cancelled => next == Filled,
        NotPlaced => matches!(next, Accepted | Filled | Cancelled),
        Filled => false,
    };
    for now in all {
        for next in all {
            let fixture = Fixture::new();
            fixture.store.record_intent(&intent("j1", by_operator())).await.unwrap();
            if now != Sent {
                fixture.store.update_order(&order_id("j1"), now, OrderUpdate::at(at(1))).await.unwrap();
            }
            let news = OrderUpdate::at(at(2));
            let after = fixture.store.update_order(&order_id("j1"), next, news).await.unwrap();
            let moves = leads(now, next);
            assert_eq!(after, if moves { next } else { now }, "{now:?} and then {next:?}");
            let settled_at = fixture.store.order(&order_id("j1")).await.unwrap().unwrap().settled_at;
            let is_end = matches!(after, Filled | Rejected | NotPlaced | Cancelled);
            let expected = is_end.then(|| at(if moves { 2 } else { 1 }));
            assert_eq!(settled_at, expected, "{now:?} and then {next:?}");
        }
    }
}

#[tokio::test]
async fn fresh_news_of_an_execution_replaces_what_was_known_of_it() {
    let fixture = Fixture::new();
    fixture.store.record_intent(&intent("j1", by_operator())).await.unwrap();
    let news = |executed: &str, price: &str, second| OrderUpdate {
        executed: Some(executed.parse().unwrap()),
        average_price: Some(price.parse().unwrap()),
        ..OrderUpdate::at(at(second))
    };
    for (state, executed, price, second) in
        [(Accepted, "0.001", "60000", 1), (Accepted, "0.002", "60010", 2), (Filled, "0.003", "60020", 3)]
    {
        fixture.store.update_order(&order_id("j1"), state, news(executed, price, second)).await.unwrap();
        let stored = fixture.store.order(&order_id("j1")).await.unwrap().unwrap();
        assert_eq!(stored.executed, Some(executed.parse().unwrap()), "{state:?} at {second}");
        assert_eq!(stored.average_price, Some(price.parse().unwrap()), "{state:?} at {second}");
    }
}

#[tokio::test]
async fn a_position_that_came_after_the_one_we_opened_is_as_old_as_its_own_fills() {
    let fixture = Fixture::new();
    fixture.store.record_intent(&intent("j1", by_operator())).await.unwrap();
    let news = OrderUpdate { exchange_id: Some("1".into()), ..OrderUpdate::at(at(20)) };
    fixture.store.update_order(&order_id("j1"), Filled, news).await.unwrap();
    let opened_at = async || fixture.store.opened_at(&account("a"), &symbol("BTCUSDT")).await.unwrap();
    let bought = bought(1, "1", 19);
    for (fill, expected) in [
        (bought.clone(), Some(at(20))),
        (Fill { trade_id: 2, exchange_id: "2".into(), side: Side::Sell, at: at(30), ..bought.clone() }, None),
        (Fill { trade_id: 3, exchange_id: "3".into(), at: at(40), ..bought.clone() }, Some(at(40))),
    ] {
        fixture.store.add_fill(&fill).await.unwrap();
        assert_eq!(opened_at().await, expected, "{fill:?}");
    }
}

/// A purchase of 0.003 BTC.
fn bought(trade_id: u64, order: &str, second: i64) -> Fill {
    Fill {
        account: account("a"),
        symbol: symbol("BTCUSDT"),
        trade_id,
        exchange_id: order.into(),
        client_order_id: None,
        side: Side::Buy,
        price: "60000".parse().unwrap(),
        quantity: "0.003".parse().unwrap(),
        commission: Usdt::ZERO,
        commission_asset: "USDT".into(),
        realised: Usdt::ZERO,
        at: at(second),
    }
}
