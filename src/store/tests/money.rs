//! Money: every digit, every row once.

use proptest::prelude::*;
use rust_decimal::Decimal;

use crate::domain::{Side, Usdt};
use crate::store::testing::*;
use crate::store::*;

fn movement(source_id: &str, amount: Decimal) -> LedgerRow {
    LedgerRow {
        account: account("a"),
        kind: LedgerKind::Funding,
        amount: Usdt::of(amount),
        asset: "USDT".into(),
        symbol: Some(symbol("BTCUSDT")),
        at: at(0),
        source_id: source_id.into(),
    }
}

fn fill(trade_id: u64) -> Fill {
    Fill {
        account: account("a"),
        symbol: symbol("BTCUSDT"),
        trade_id,
        exchange_id: "4711".into(),
        client_order_id: Some(order_id("j1")),
        side: Side::Sell,
        price: "66491.80".parse().unwrap(),
        quantity: "0.003".parse().unwrap(),
        commission: Usdt::of("0.09973770".parse().unwrap()),
        commission_asset: "USDT".into(),
        realised: Usdt::of("-7.59".parse().unwrap()),
        at: at(3),
    }
}

#[tokio::test]
async fn a_fill_that_comes_twice_counts_once() {
    let fixture = Fixture::new();
    assert!(fixture.store.add_fill(&fill(8)).await.unwrap());
    assert!(!fixture.store.add_fill(&fill(8)).await.unwrap());
    assert!(fixture.store.add_fill(&Fill { account: account("b"), ..fill(8) }).await.unwrap());
    assert!(fixture.store.add_fill(&Fill { client_order_id: None, ..fill(9) }).await.unwrap());
    let fills = fixture.store.fills_since(&account("a"), at(3)).await.unwrap();
    assert_eq!(fills, [fill(8), Fill { client_order_id: None, ..fill(9) }]);
    assert!(fixture.store.fills_since(&account("a"), at(4)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_catch_up_begins_after_the_highest_trade_id() {
    let fixture = Fixture::new();
    let last = async || fixture.store.last_fill_id(&account("a"), &symbol("BTCUSDT")).await.unwrap();
    assert_eq!(last().await, None);
    for trade_id in [5, 9, 7] {
        fixture.store.add_fill(&fill(trade_id)).await.unwrap();
    }
    assert_eq!(last().await, Some(9));
    assert_eq!(fixture.store.last_fill_id(&account("a"), &symbol("ETHUSDT")).await.unwrap(), None);
}

#[tokio::test]
async fn a_trade_id_beyond_sqlites_integers_is_refused_and_not_cut() {
    let fixture = Fixture::new();
    assert!(matches!(fixture.store.add_fill(&fill(u64::MAX)).await, Err(StoreError::TooLarge(u64::MAX))));
}

#[tokio::test]
async fn a_movement_is_told_apart_by_account_kind_and_source() {
    let fixture = Fixture::new();
    let first = movement("1", Decimal::ONE);
    assert!(fixture.store.add_ledger(&first).await.unwrap());
    assert!(!fixture.store.add_ledger(&movement("1", Decimal::TEN)).await.unwrap());
    assert!(
        fixture.store.add_ledger(&LedgerRow { kind: LedgerKind::Commission, ..first.clone() }).await.unwrap()
    );
    assert!(
        fixture
            .store
            .add_ledger(&LedgerRow { asset: "BNB".into(), ..movement("2", Decimal::TWO) })
            .await
            .unwrap()
    );
    let totals = fixture.store.ledger_totals(&account("a"), at(0)).await.unwrap();
    assert_eq!(
        totals,
        [
            (LedgerKind::Commission, "USDT".to_owned(), Usdt::of(Decimal::ONE)),
            (LedgerKind::Funding, "BNB".to_owned(), Usdt::of(Decimal::TWO)),
            (LedgerKind::Funding, "USDT".to_owned(), Usdt::of(Decimal::ONE)),
        ]
    );
    assert!(fixture.store.ledger_totals(&account("a"), at(1)).await.unwrap().is_empty());
}

#[tokio::test]
async fn equity_is_a_line_through_time_with_one_point_an_instant() {
    let fixture = Fixture::new();
    let usdt = |text: &str| text.parse::<Usdt>().unwrap();
    for (second, equity) in [(2, "1001.5"), (1, "999.99"), (2, "1002.50")] {
        fixture.store.put_equity(&account("a"), at(second), usdt("1000"), usdt(equity)).await.unwrap();
    }
    let line = fixture.store.equity_since(&account("a"), at(1)).await.unwrap();
    assert_eq!(line, [(at(1), usdt("999.99")), (at(2), usdt("1002.50"))]);
}

#[tokio::test]
async fn the_models_cost_is_summed_exactly_from_an_instant_on() {
    let (fixture, cycle) = Fixture::with_decision().await;
    for (second, cost) in [(0, "5"), (10, "0.1"), (20, "0.2")] {
        fixture.store.put_model_call(&model_call(&cycle, second, cost)).await.unwrap();
    }
    let today = fixture.store.usage_since(at(10)).await.unwrap();
    assert_eq!(today.cost_usd, "0.3".parse().unwrap());
    assert_eq!((today.input_tokens, today.output_tokens), (40_000, 4_000));
    assert_eq!((today.cache_read_input_tokens, today.cache_creation_input_tokens), (10, 14));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    /// The sum of the texts in the file is the sum of the amounts, to the last digit, and no text became a float.
    #[test]
    fn stored_money_adds_up_exactly(parts in prop::collection::vec((-9_000_000_000_000_i64..9_000_000_000_000, 0_u32..=8), 1..20)) {
        let amounts: Vec<Decimal> = parts.into_iter().map(|(digits, scale)| Decimal::new(digits, scale)).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let fixture = Fixture::new();
        runtime.block_on(async {
            for (index, amount) in amounts.iter().enumerate() {
                fixture.store.add_ledger(&movement(&index.to_string(), *amount)).await.unwrap();
            }
        });
        let total: Decimal = amounts.iter().sum();
        let totals = runtime.block_on(fixture.store.ledger_totals(&account("a"), at(0))).unwrap();
        prop_assert_eq!(totals[0].2.value(), total);

        // As another program would see it: exact in units of 1e-8, from the text alone.
        let stranger = fixture.stranger();
        let mut rows = stranger.prepare("SELECT amount, typeof(amount) FROM ledger ORDER BY CAST(source_id AS INTEGER)").unwrap();
        let read: Vec<(String, String)> = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
        prop_assert!(read.iter().all(|(_, kind)| kind == "text"));
        let texts: Vec<String> = amounts.iter().map(ToString::to_string).collect();
        prop_assert_eq!(read.into_iter().map(|(amount, _)| amount).collect::<Vec<_>>(), texts);
    }
}
