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
async fn only_fills_that_are_new_are_counted_as_taken() {
    let fixture = Fixture::new();
    for trade_id in [8, 8, 9] {
        fixture.store.add_fill(&fill(trade_id)).await.unwrap();
    }
    assert_eq!(fixture.store.fills_taken(), 2);
    assert_eq!(fixture.store.at("elsewhere").fills_taken(), 2, "a handle on the same file");
}

#[test]
fn money_and_cycles_of_a_day_are_not_looked_for_in_all_of_history() {
    let fixture = Fixture::new();
    let plan = |query: &str| -> String {
        fixture
            .stranger()
            .query_row(&format!("EXPLAIN QUERY PLAN {query}"), [], |row| row.get::<_, String>(3))
            .unwrap()
    };
    let ledger = plan("SELECT amount FROM ledger WHERE venue = 'v' AND at >= 1 AND at < 2");
    assert!(ledger.contains("ledger_by_venue"), "{ledger}");
    let cycles = plan("SELECT id FROM cycles WHERE venue = 'v' AND market_time >= 1 AND market_time < 2");
    assert!(cycles.contains("cycles_by_market_time"), "{cycles}");
}

#[tokio::test]
async fn a_curve_keeps_its_ends_and_is_no_longer_than_asked() {
    let fixture = Fixture::new();
    for second in 0..103 {
        let worth = Usdt::of(Decimal::from(second));
        fixture.store.put_equity(&account("a"), at(second), worth, worth).await.unwrap();
    }
    for points in [2, 7, 50, 500] {
        let curve = fixture.store.equity_curve(&account("a"), (at(1), at(102)), points).await.unwrap();
        assert!(curve.len() <= points as usize + 1, "{points}: {}", curve.len());
        assert_eq!((curve[0].0, curve[curve.len() - 1].0), (at(1), at(101)), "{points}");
        assert!(curve.is_sorted_by_key(|(at, _)| *at));
    }
    assert_eq!(fixture.store.equity_curve(&account("b"), (at(1), at(102)), 9).await.unwrap(), []);
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
    let totals = fixture.store.ledger_totals(&account("a")).await.unwrap();
    assert_eq!(
        totals,
        [
            (LedgerKind::Commission, "USDT".to_owned(), Usdt::of(Decimal::ONE)),
            (LedgerKind::Funding, "BNB".to_owned(), Usdt::of(Decimal::TWO)),
            (LedgerKind::Funding, "USDT".to_owned(), Usdt::of(Decimal::ONE)),
        ]
    );
    let late = LedgerRow { kind: LedgerKind::Funding, ..movement("3", Decimal::TEN) };
    assert!(fixture.store.add_ledger(&late).await.unwrap());
    let totals = fixture.store.ledger_totals(&account("a")).await.unwrap();
    assert_eq!(totals[2].2, Usdt::of(Decimal::from(11)), "what was added up before is not all there is");
    assert!(fixture.store.ledger_totals(&account("b")).await.unwrap().is_empty());
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
        let totals = runtime.block_on(fixture.store.ledger_totals(&account("a"))).unwrap();
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

#[tokio::test]
async fn what_was_traded_is_added_up_exactly_by_account_from_an_instant_on() {
    let fixture = Fixture::new();
    for fill in [
        Fill { at: at(2), ..fill(1) },
        fill(2),
        Fill { price: "0.1".parse().unwrap(), quantity: "3".parse().unwrap(), at: at(9), ..fill(3) },
        Fill { account: account("b"), ..fill(4) },
    ] {
        fixture.store.add_fill(&fill).await.unwrap();
    }
    let traded = fixture.store.traded_since(at(3)).await.unwrap();
    let one: Decimal = "199.4754".parse().unwrap();
    assert_eq!(traded, [(account("a"), one + Decimal::new(3, 1)), (account("b"), one)]);
    assert_eq!(fixture.store.at("elsewhere").traded_since(at(0)).await.unwrap(), []);
}

#[tokio::test]
async fn a_close_is_a_fill_that_realised_something_or_one_of_an_order_that_closes() {
    use crate::domain::{OrderPurpose, OrderState};
    let fixture = Fixture::new();
    let even = Usdt::of("0.00000000".parse().unwrap());
    let bare = Fill { realised: even, client_order_id: None, ..fill(1) };
    fixture.store.add_fill(&bare).await.unwrap();
    assert_eq!(fixture.store.closes_since(at(0)).await.unwrap(), [], "an opening");
    let gain = Fill { realised: Usdt::of("0.00100000".parse().unwrap()), at: at(5), ..bare.clone() };
    fixture.store.add_fill(&Fill { trade_id: 2, ..gain.clone() }).await.unwrap();
    fixture.store.add_fill(&Fill { trade_id: 3, at: at(7), ..gain.clone() }).await.unwrap();
    fixture.store.add_fill(&Fill { trade_id: 4, at: at(9), ..bare.clone() }).await.unwrap();
    // A stop that was hit right at the entry: nothing realised, and closed all the same.
    let mut stop = intent("j-stop", by_operator());
    stop.purpose = OrderPurpose::Stop;
    fixture.store.record_intent(&stop).await.unwrap();
    fixture
        .store
        .update_order(&order_id("j-stop"), OrderState::Accepted, OrderUpdate::at(at(1)))
        .await
        .unwrap();
    let stopped =
        Fill { account: account("b"), client_order_id: Some(order_id("j-stop")), at: at(8), ..bare };
    fixture.store.add_fill(&stopped).await.unwrap();
    let closes = fixture.store.closes_since(at(0)).await.unwrap();
    let coin = symbol("BTCUSDT");
    assert_eq!(closes, [(account("a"), coin.clone(), at(7)), (account("b"), coin, at(8))]);
    assert_eq!(fixture.store.closes_since(at(9)).await.unwrap(), []);
}

#[tokio::test]
async fn only_transfers_of_usdt_are_money_put_in_or_taken_out() {
    let fixture = Fixture::new();
    let amount: Decimal = "-250.5".parse().unwrap();
    let transfer =
        LedgerRow { kind: LedgerKind::Transfer, symbol: None, at: at(4), ..movement("t1", amount) };
    for row in [
        movement("f1", amount),
        transfer.clone(),
        LedgerRow { asset: "BNB".into(), source_id: "t2".into(), ..transfer.clone() },
        LedgerRow { at: at(1), source_id: "t3".into(), ..transfer },
    ] {
        fixture.store.add_ledger(&row).await.unwrap();
    }
    let rows = fixture.store.transfers_since(at(2)).await.unwrap();
    assert_eq!(rows, [TransferRow { account: account("a"), at: at(4), amount: Usdt::of(amount) }]);
}

#[tokio::test]
async fn the_last_openings_are_those_that_were_executed() {
    use crate::domain::{Direction, OrderPurpose, OrderState};
    let fixture = Fixture::new();
    for (number, side, purpose, state) in [
        (1, Side::Buy, OrderPurpose::Open, OrderState::Filled),
        (2, Side::Sell, OrderPurpose::Open, OrderState::Accepted),
        (3, Side::Buy, OrderPurpose::Open, OrderState::Rejected),
        (4, Side::Buy, OrderPurpose::Close, OrderState::Filled),
        (5, Side::Buy, OrderPurpose::Open, OrderState::Filled),
    ] {
        let id = format!("j{number}");
        let mut opening = intent(&id, by_operator());
        (opening.side, opening.purpose, opening.market_time) = (side, purpose, at(number));
        fixture.store.record_intent(&opening).await.unwrap();
        fixture.store.update_order(&order_id(&id), state, OrderUpdate::at(at(number))).await.unwrap();
    }
    let last = fixture.store.last_openings(2).await.unwrap();
    assert_eq!(last, [Direction::Short, Direction::Long]);
    assert_eq!(fixture.store.last_openings(9).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_difference_is_told_again_when_its_amount_became_another_one() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let found = async |kind: DifferenceKind, amount: Option<&str>, second: i64| {
        let difference = Difference {
            account: account("a"),
            kind,
            subject: "x".to_owned(),
            detail: format!("{amount:?}"),
            amount: amount.map(|amount| amount.parse().unwrap()),
            first_seen: at(second),
            last_seen: at(second),
            ended_at: None,
        };
        !store.note_differences(&account("a"), vec![difference], at(second)).await.unwrap().is_empty()
    };
    let wallet =
        [("0.02", true), ("0.029", false), ("0.03", true), ("300", true), ("300", false), ("0.03", true)];
    for (second, (amount, is_told)) in (0..).zip(wallet) {
        assert_eq!(found(DifferenceKind::Wallet, Some(amount), second).await, is_told, "{amount}");
    }
    let open = store.open_differences(&account("a")).await.unwrap();
    assert_eq!((open.len(), open[0].first_seen, open[0].last_seen), (1, at(0), at(5)));
    for (amount, is_told) in [("-0.5", true), ("-0.501", true), ("-0.501", false)] {
        assert_eq!(found(DifferenceKind::Position, Some(amount), 9).await, is_told, "{amount}");
    }
    for is_told in [true, false] {
        assert_eq!(found(DifferenceKind::ForeignTrade, None, 9).await, is_told);
    }
}
