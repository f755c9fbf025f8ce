//! Several venues in one file, each counting from the start.

use chrono::TimeDelta;

use crate::domain::{ClientOrderId, OrderState, Side, Usdt};
use crate::store::testing::*;
use crate::store::*;

fn fill(trade_id: u64, exchange_id: &str, price: &str) -> Fill {
    Fill {
        account: account("a"),
        symbol: symbol("BTCUSDT"),
        trade_id,
        exchange_id: exchange_id.into(),
        client_order_id: None,
        side: Side::Buy,
        price: price.parse().unwrap(),
        quantity: "0.003".parse().unwrap(),
        commission: Usdt::of("0.09".parse().unwrap()),
        commission_asset: "USDT".into(),
        realised: Usdt::ZERO,
        at: at(3),
    }
}

fn funding(source_id: &str, amount: &str, second: i64) -> LedgerRow {
    LedgerRow {
        account: account("a"),
        kind: LedgerKind::Funding,
        amount: amount.parse().unwrap(),
        asset: "USDT".into(),
        symbol: None,
        at: at(second),
        source_id: source_id.into(),
    }
}

fn known_as(exchange_id: &str, second: i64) -> OrderUpdate {
    OrderUpdate { exchange_id: Some(exchange_id.into()), ..OrderUpdate::at(at(second)) }
}

/// Two handles on one file, as two runs at different venues have them.
fn two_venues(fixture: &Fixture) -> [Store; 2] {
    ["recorded 1", "recorded 2"].map(|venue| fixture.store.at(venue))
}

#[tokio::test]
async fn a_journal_is_an_exchanges_or_the_worlds_and_refuses_the_other() {
    for (first, same, others) in [
        ("world:1", "world:2", ["live:https://fapi.binance.com", "testnet:https://demo-fapi.binance.com"]),
        ("live:https://fapi.binance.com", "live:https://fapi.binance.com", ["testnet:https://x", "world:1"]),
        ("world:1", "world:2", ["fed:1", "fed:2"]),
        ("fed:1", "fed:2", ["world:1", "live:https://fapi.binance.com"]),
    ] {
        let fixture = Fixture::new();
        fixture.store.at(first).claim_for_venue().await.unwrap();
        fixture.store.at(same).claim_for_venue().await.unwrap();
        let again = Store::open(&fixture.path()).unwrap();
        for other in others {
            let refused = again.at(other).claim_for_venue().await.unwrap_err();
            assert!(matches!(refused, StoreError::Elsewhere { .. }), "{first} and {other}: {refused}");
        }
        again.at(same).claim_for_venue().await.unwrap();
    }
}

#[tokio::test]
async fn the_same_trade_id_at_two_venues_is_two_trades() {
    let fixture = Fixture::new();
    let [first, second] = two_venues(&fixture);
    assert!(first.add_fill(&fill(1, "1", "100")).await.unwrap());
    assert!(first.add_fill(&fill(2, "1", "100")).await.unwrap());
    assert_eq!(second.last_fill_id(&account("a"), &symbol("BTCUSDT")).await.unwrap(), None);
    assert!(second.add_fill(&fill(1, "1", "200")).await.unwrap());
    assert!(!second.add_fill(&fill(1, "1", "300")).await.unwrap());
    assert_eq!(second.last_fill_id(&account("a"), &symbol("BTCUSDT")).await.unwrap(), Some(1));
    assert_eq!(second.fills_since(&account("a"), at(0)).await.unwrap(), [fill(1, "1", "200")]);
    assert_eq!(first.fills_since(&account("a"), at(0)).await.unwrap().len(), 2);
    assert!(fixture.store.fills_since(&account("a"), at(0)).await.unwrap().is_empty());
}

#[tokio::test]
async fn money_of_two_venues_is_not_added_up() {
    let fixture = Fixture::new();
    let [first, second] = two_venues(&fixture);
    for (store, amount, second, equity) in [(&first, "-0.5", 10, "900"), (&second, "0.25", 20, "1100")] {
        assert!(store.add_ledger(&funding("7", amount, second)).await.unwrap());
        assert!(!store.add_ledger(&funding("7", amount, second)).await.unwrap());
        let equity: Usdt = equity.parse().unwrap();
        store.put_equity(&account("a"), at(0), equity, equity).await.unwrap();
    }
    for (store, amount, second, equity) in [(&first, "-0.5", 10, "900"), (&second, "0.25", 20, "1100")] {
        let totals = store.ledger_totals(&account("a")).await.unwrap();
        assert_eq!(totals, [(LedgerKind::Funding, "USDT".to_owned(), amount.parse().unwrap())]);
        let line = store.equity_since(&account("a"), at(0)).await.unwrap();
        assert_eq!(line, [(at(0), equity.parse().unwrap())]);
        let last = store.last_ledger_time(&account("a"), LedgerKind::Funding).await.unwrap();
        assert_eq!(last, Some(at(second)));
        assert_eq!(store.last_ledger_time(&account("a"), LedgerKind::Transfer).await.unwrap(), None);
        assert_eq!(store.last_ledger_time(&account("b"), LedgerKind::Funding).await.unwrap(), None);
    }
}

#[tokio::test]
async fn orders_of_one_venue_are_invisible_at_another() {
    let fixture = Fixture::new();
    let [first, second] = two_venues(&fixture);
    let (name, coin) = (account("a"), symbol("BTCUSDT"));
    first.record_intent(&intent("j1", by_operator())).await.unwrap();
    first.record_intent(&intent("j2", by_operator())).await.unwrap();
    first.update_order(&order_id("j2"), OrderState::Filled, OrderUpdate::at(at(5))).await.unwrap();
    assert_eq!(first.unresolved_orders().await.unwrap().len(), 1);
    assert_eq!(first.orders_of(&name, &coin, 9).await.unwrap().len(), 2);
    assert_eq!(first.opened_at(&name, &coin).await.unwrap(), Some(at(5)));

    assert!(second.unresolved_orders().await.unwrap().is_empty());
    assert!(second.orders_of(&name, &coin, 9).await.unwrap().is_empty());
    assert_eq!(second.opened_at(&name, &coin).await.unwrap(), None);
    assert_eq!(second.order(&order_id("j1")).await.unwrap(), None);
    let strange = second.update_order(&order_id("j1"), OrderState::Filled, OrderUpdate::at(at(6))).await;
    assert!(matches!(strange, Err(StoreError::UnknownOrder(_))));

    // A name that another venue has seen is free here, and only here.
    second.record_intent(&intent("j1", by_operator())).await.unwrap();
    second.update_order(&order_id("j1"), OrderState::Rejected, OrderUpdate::at(at(6))).await.unwrap();
    assert_eq!(first.order(&order_id("j1")).await.unwrap().unwrap().state, OrderState::Sent);
    let again = first.record_intent(&intent("j1", by_operator())).await;
    assert!(matches!(again, Err(StoreError::DuplicateOrder(_))));
}

#[tokio::test]
async fn each_venue_has_its_own_last_cycle_and_slots_but_all_share_numbers_and_the_bill() {
    let fixture = Fixture::new();
    let [first, second] = two_venues(&fixture);
    let start = cycle_start(1);
    first.begin_cycle(&start).await.unwrap();
    first.put_model_call(&model_call(&start.id, 1, "0.25")).await.unwrap();
    first.finish_cycle(&report(&start)).await.unwrap();
    assert!(!first.is_empty().await.unwrap());
    assert!(second.is_empty().await.unwrap());
    assert!(first.last_report().await.unwrap().is_some());
    assert_eq!(second.last_report().await.unwrap(), None);
    assert_eq!(second.usage_since(at(0)).await.unwrap().cost_usd, "0.25".parse().unwrap());

    assert!(first.claim_slot(at(0)).await.unwrap());
    assert!(second.claim_slot(at(0)).await.unwrap());
    assert!(!second.claim_slot(at(0)).await.unwrap());
    assert_eq!(first.next_cycle_number().await.unwrap(), 1);
    assert_eq!(second.next_cycle_number().await.unwrap(), 2);

    second.begin_cycle(&cycle_start(2)).await.unwrap();
    let venues: Vec<String> =
        fixture.store.cycles(9).await.unwrap().into_iter().map(|line| line.venue).collect();
    assert_eq!(venues, ["recorded 2", "recorded 1"]);
}

#[tokio::test]
async fn a_venue_is_known_again_after_a_restart_and_a_bare_handle_has_none() {
    let fixture = Fixture::new();
    assert_eq!((fixture.store.venue(), fixture.store.at("testnet").venue()), ("", "testnet"));
    fixture.store.at("testnet").record_intent(&intent("j1", by_operator())).await.unwrap();
    let again = Store::open(&fixture.path()).unwrap();
    assert!(again.unresolved_orders().await.unwrap().is_empty());
    let unresolved = again.at("testnet").unresolved_orders().await.unwrap();
    assert_eq!(unresolved[0].intent.sent_at, at(0) + TimeDelta::seconds(7));
}

#[tokio::test]
async fn a_fill_finds_the_order_that_is_known_by_its_exchange_id() {
    let fixture = Fixture::new();
    let [first, second] = two_venues(&fixture);
    first.record_intent(&intent("j1", by_operator())).await.unwrap();
    first.update_order(&order_id("j1"), OrderState::Filled, known_as("4711", 1)).await.unwrap();
    let elsewhere = [
        Fill { account: account("b"), ..fill(2, "4711", "100") },
        Fill { symbol: symbol("ETHUSDT"), ..fill(3, "4711", "100") },
        fill(4, "4712", "100"),
    ];
    first.add_fill(&fill(1, "4711", "100")).await.unwrap();
    for stranger in &elsewhere {
        first.add_fill(stranger).await.unwrap();
    }
    second.add_fill(&fill(1, "4711", "100")).await.unwrap();

    let named: Vec<Option<ClientOrderId>> = names(&first, "a").await;
    assert_eq!(named, [Some(order_id("j1")), None, None]);
    assert_eq!(names(&first, "b").await, [None]);
    assert_eq!(names(&second, "a").await, [None]);
}

#[tokio::test]
async fn an_order_that_learns_its_exchange_id_names_the_fills_that_came_before() {
    let fixture = Fixture::new();
    let [first, second] = two_venues(&fixture);
    for store in [&first, &second] {
        store.record_intent(&intent("j1", by_operator())).await.unwrap();
        store.add_fill(&fill(1, "4711", "100")).await.unwrap();
        store.add_fill(&fill(2, "4712", "100")).await.unwrap();
    }
    first.update_order(&order_id("j1"), OrderState::Unknown, OrderUpdate::at(at(1))).await.unwrap();
    assert_eq!(names(&first, "a").await, [None, None]);
    first.update_order(&order_id("j1"), OrderState::Filled, OrderUpdate::at(at(2))).await.unwrap();
    // Late news of an order that came to its end completes it all the same.
    first.update_order(&order_id("j1"), OrderState::Accepted, known_as("4711", 1)).await.unwrap();
    assert_eq!(names(&first, "a").await, [Some(order_id("j1")), None]);
    assert_eq!(names(&second, "a").await, [None, None]);
}

#[tokio::test]
async fn a_name_a_fill_came_with_is_not_replaced() {
    let fixture = Fixture::new();
    let named = Fill { client_order_id: Some(order_id("autoclose-1")), ..fill(1, "4711", "100") };
    fixture.store.add_fill(&named).await.unwrap();
    fixture.store.record_intent(&intent("j1", by_operator())).await.unwrap();
    fixture.store.update_order(&order_id("j1"), OrderState::Filled, known_as("4711", 1)).await.unwrap();
    assert_eq!(names(&fixture.store, "a").await, [Some(order_id("autoclose-1"))]);
}

async fn names(store: &Store, name: &str) -> Vec<Option<ClientOrderId>> {
    let fills = store.fills_since(&account(name), at(0)).await.unwrap();
    fills.into_iter().map(|fill| fill.client_order_id).collect()
}
