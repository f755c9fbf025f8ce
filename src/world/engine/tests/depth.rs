//! The order book: what large orders pay, and what resting orders get.

use rust_decimal::Decimal;
use rust_decimal_macros::dec;

use super::*;

/// A contract with little behind its best price (50 000 USDT a basis point), and a rich account at 2x.
pub(super) fn thin() -> Bench {
    let mut engine = Engine::new([listing("THINUSDT", dec!(0.01), dec!(1), 5, 8)]);
    let who = engine.open_account(AccountName::new("rich").unwrap(), dec!(100000000), T0);
    let mut bench = Bench { engine, who, now: T0 };
    bench.price("THINUSDT", dec!(100));
    bench.engine.set_leverage(who, &symbol("THINUSDT"), 2, T0).unwrap();
    bench.engine.drain_happenings();
    bench
}

fn asks(bench: &Bench, count: u32) -> Vec<Level> {
    let thin = symbol("THINUSDT");
    let quote = bench.engine.quote(&thin).unwrap();
    bench.engine.contract(&thin).unwrap().levels(quote, Side::Buy, count).collect()
}

#[test]
fn an_order_of_ordinary_size_fills_in_one_trade_at_the_best_price_of_every_contract() {
    for (name, _) in [("PAXGUSDT", 0), ("BTCUSDT", 0), ("THINUSDT", 0)] {
        for seed in 0..200 {
            let engine = Engine::new([listing(name, dec!(0.01), dec!(0.001), 5, 8)]).seeded(seed);
            let contract = engine.contract(&symbol(name)).unwrap();
            let quote = quote(dec!(100) + Decimal::new(i64::try_from(seed).unwrap(), 2), dec!(0.01));
            for side in [Side::Buy, Side::Sell] {
                let best = contract.levels(quote, side, 1).next().unwrap();
                assert!(best.quantity * best.price > dec!(10000), "{name} {seed} {best:?}");
            }
        }
    }
}

#[test]
fn a_large_order_eats_the_told_levels_one_trade_each() {
    let mut bench = thin();
    let levels = asks(&bench, 3);
    let quantity = levels[0].quantity + levels[1].quantity + dec!(7);
    let order = bench.place(market("THINUSDT", Side::Buy, quantity)).unwrap();
    assert_eq!((order.status, order.executed), (OrderStatus::Filled, quantity));
    let fills: Vec<(Decimal, Decimal)> =
        bench.account().trades.iter().map(|trade| (trade.price, trade.quantity)).collect();
    let told: Vec<(Decimal, Decimal)> = vec![
        (levels[0].price, levels[0].quantity),
        (levels[1].price, levels[1].quantity),
        (levels[2].price, dec!(7)),
    ];
    assert_eq!(fills, told);
    assert_eq!(
        bench.stream(),
        [
            "order NEW web_870000000001",
            "order TRADE PARTIALLY_FILLED",
            "account ORDER",
            "order TRADE PARTIALLY_FILLED",
            "account ORDER",
            "order TRADE FILLED",
            "account ORDER",
        ]
    );
    let paid: Decimal = fills.iter().map(|(price, quantity)| price * quantity).sum();
    assert_eq!(order.executed_quote, paid);
    assert_eq!(bench.account().wallet(), dec!(100000000) - paid * dec!(0.0005));
    assert_eq!(bench.account().wallet(), bench.ledger());
}

#[test]
fn what_one_order_took_is_gone_until_the_next_price() {
    let mut bench = thin();
    let first = asks(&bench, 1)[0];
    bench.place(market("THINUSDT", Side::Buy, first.quantity)).unwrap();
    let worse = bench.place(market("THINUSDT", Side::Buy, dec!(1))).unwrap();
    assert!(worse.average() > first.price);
    bench.price("THINUSDT", dec!(100));
    let again = bench.place(market("THINUSDT", Side::Buy, dec!(1))).unwrap();
    assert_eq!(again.average(), first.price);
}

#[test]
fn what_a_market_order_cannot_find_in_the_book_expires() {
    let mut bench = thin();
    let order = bench.place(market("THINUSDT", Side::Buy, dec!(150000))).unwrap();
    assert_eq!((order.status, order.expiry_reason), (OrderStatus::Expired, 9));
    let book: Decimal = asks(&bench, LEVELS).iter().map(|level| level.quantity).sum();
    assert_eq!((order.executed, bench.held("THINUSDT")), (book, book));
    assert_eq!(bench.account().wallet(), bench.ledger());
}

#[test]
fn a_limit_order_takes_up_to_its_price_and_the_rest_does_as_its_time_in_force_says() {
    for (time_in_force, status, reason) in
        [(TimeInForce::Gtc, OrderStatus::PartiallyFilled, 0), (TimeInForce::Ioc, OrderStatus::Expired, 2)]
    {
        let mut bench = thin();
        let levels = asks(&bench, 2);
        let quantity = levels[0].quantity + levels[1].quantity + dec!(5);
        let request = limit("THINUSDT", Side::Buy, quantity, levels[1].price);
        let order = bench.place(OrderRequest { time_in_force, ..request }).unwrap();
        assert_eq!((order.status, order.expiry_reason), (status, reason), "{time_in_force:?}");
        assert_eq!(order.remaining(), dec!(5));
        assert_eq!(bench.account().trades.iter().filter(|trade| trade.maker).count(), 0);
        assert_eq!(bench.account().open_orders.len(), usize::from(time_in_force == TimeInForce::Gtc));
    }
}

#[test]
fn fill_or_kill_finds_everything_or_is_refused() {
    let mut bench = thin();
    let levels = asks(&bench, 2);
    let whole = levels[0].quantity + levels[1].quantity;
    let kill = |quantity| OrderRequest {
        time_in_force: TimeInForce::Fok,
        ..limit("THINUSDT", Side::Buy, quantity, levels[1].price)
    };
    assert_eq!(bench.place(kill(whole + dec!(1))), Err(-5021));
    assert_eq!(bench.place(kill(whole)).unwrap().status, OrderStatus::Filled);
}

#[test]
fn a_large_resting_order_fills_as_the_market_comes_to_it_and_at_its_own_price() {
    let mut bench = thin();
    let order = bench.place(limit("THINUSDT", Side::Buy, dec!(5000), dec!(99))).unwrap();
    bench.price("THINUSDT", dec!(99));
    let touched = bench.held("THINUSDT");
    assert!(touched > dec!(0) && touched < dec!(1000), "only what trades at the touch: {touched}");
    assert_eq!(bench.account().orders[&order.id].status, OrderStatus::PartiallyFilled);
    bench.price("THINUSDT", dec!(99));
    assert!(bench.held("THINUSDT") > touched, "and more with every price that touches it");
    bench.price("THINUSDT", dec!(98));
    assert_eq!(bench.held("THINUSDT"), dec!(5000), "a market that went through it fills it");
    assert!(bench.account().trades.iter().all(|trade| trade.price == dec!(99) && trade.maker));
    assert_eq!(bench.account().wallet(), bench.ledger());
}

#[test]
fn resting_orders_at_one_price_fill_in_the_order_they_came() {
    let mut bench = thin();
    let late = bench.engine.open_account(AccountName::new("late").unwrap(), dec!(100000000), T0);
    bench.engine.set_leverage(late, &symbol("THINUSDT"), 2, T0).unwrap();
    let request = limit("THINUSDT", Side::Buy, dec!(100000), dec!(99));
    bench.now += 5;
    bench.engine.place(late, request.clone(), bench.now + 1).unwrap();
    bench.place(request).unwrap();
    bench.price("THINUSDT", dec!(99));
    assert!(bench.held("THINUSDT") > dec!(0));
    assert_eq!(bench.engine.account(late).amount(&symbol("THINUSDT")), dec!(0));
}

#[test]
fn stops_that_fire_together_push_each_other_down() {
    let mut bench = thin();
    let other = bench.engine.open_account(AccountName::new("other").unwrap(), dec!(100000000), T0);
    bench.engine.set_leverage(other, &symbol("THINUSDT"), 2, T0).unwrap();
    for who in [bench.who, other] {
        bench.engine.place(who, market("THINUSDT", Side::Buy, dec!(5000)), bench.now).unwrap();
        bench.engine.place_algo(who, stop("THINUSDT", Side::Sell, dec!(95)), bench.now).unwrap();
        bench.price("THINUSDT", dec!(100));
    }
    bench.price("THINUSDT", dec!(94));
    let paid = |who| bench.engine.account(who).algos.values().next().unwrap().actual_price;
    assert!(paid(other) < paid(bench.who) && paid(bench.who) < dec!(94));
}

#[test]
fn the_same_seed_makes_the_same_book_and_another_seed_another() {
    let book = |seed| {
        let engine = Engine::new([listing("THINUSDT", dec!(0.01), dec!(1), 5, 8)]).seeded(seed);
        let contract = engine.contract(&symbol("THINUSDT")).unwrap().clone();
        contract.levels(quote(dec!(100), dec!(0.01)), Side::Sell, 20).collect::<Vec<_>>()
    };
    assert_eq!(book(7), book(7));
    assert_ne!(book(7), book(8));
}

#[test]
fn an_injected_share_fills_the_next_order_in_part_and_no_other() {
    let mut bench = bench();
    bench.engine.fill_only(bench.who, dec!(0.5));
    let part = bench.place(market("SOLUSDT", Side::Buy, dec!(1.01))).unwrap();
    assert_eq!((part.status, part.executed, part.expiry_reason), (OrderStatus::Expired, dec!(0.5), 9));
    let whole = bench.place(market("SOLUSDT", Side::Buy, dec!(1))).unwrap();
    assert_eq!(whole.status, OrderStatus::Filled);
    bench.engine.fill_only(bench.who, dec!(0));
    let rests = bench.place(limit("SOLUSDT", Side::Buy, dec!(1), dec!(101))).unwrap();
    assert_eq!((rests.status, rests.executed), (OrderStatus::New, dec!(0)));
    bench.price("SOLUSDT", dec!(100));
    assert_eq!(bench.account().orders[&rests.id].status, OrderStatus::Filled);
    assert_eq!(bench.account().wallet(), bench.ledger());
}

#[test]
fn a_market_order_is_refused_when_the_book_stands_outside_the_band_around_the_mark() {
    let mut bench = bench();
    let far = Quote { mark: dec!(90), ..quote(dec!(100), dec!(0.01)) };
    bench.engine.update([(symbol("SOLUSDT"), far)], bench.now);
    assert_eq!(bench.place(market("SOLUSDT", Side::Buy, dec!(1))), Err(-4131));
    assert!(bench.place(market("SOLUSDT", Side::Sell, dec!(1))).is_ok());
}

#[test]
fn a_liquidation_finds_a_buyer_even_beyond_the_book() {
    let mut bench = thin();
    for _ in 0..3 {
        bench.place(market("THINUSDT", Side::Buy, dec!(70000))).unwrap();
        bench.price("THINUSDT", dec!(100));
    }
    let wallet = bench.account().wallet();
    bench.engine.state.accounts[0].cross_wallet = dec!(500000);
    bench.price("THINUSDT", dec!(97));
    assert_eq!(bench.held("THINUSDT"), dec!(0));
    assert_eq!(bench.account().wallet(), dec!(0));
    assert_eq!(bench.ledger() + dec!(500000) - wallet, dec!(0));
}

#[test]
fn a_moment_that_was_seen_already_fills_nothing_again() {
    let mut bench = thin();
    let best = asks(&bench, 1)[0];
    let order = limit("THINUSDT", Side::Buy, best.quantity * dec!(4), best.price);
    let order = bench.place(order).unwrap();
    assert_eq!(order.executed, best.quantity);
    let told = bench.engine.quote(&symbol("THINUSDT")).unwrap();
    for _ in 0..5 {
        bench.engine.update([(symbol("THINUSDT"), told)], bench.now);
    }
    assert_eq!(bench.held("THINUSDT"), best.quantity);
    bench.engine.update([(symbol("THINUSDT"), told)], bench.now + 1);
    assert!(bench.held("THINUSDT") > best.quantity, "a later moment has a full book again");
}
