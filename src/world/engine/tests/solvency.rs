//! Whether an account can pay for what its orders may come to.

use proptest::prelude::*;
use rust_decimal::Decimal;
use rust_decimal_macros::dec;

use super::super::*;
use super::{Bench, bench, limit, market, symbol};
use crate::domain::Side;

const COINS: [(&str, Decimal, Decimal); 2] =
    [("SOLUSDT", dec!(100), dec!(0.01)), ("BTCUSDT", dec!(100000), dec!(0.001))];

fn leveraged(leverage: u32) -> Bench {
    let mut bench = bench();
    bench.engine.set_leverage(bench.who, &symbol("SOLUSDT"), leverage, bench.now).unwrap();
    bench
}

/// What the account has lost so far by closing at a loss and in liquidations, USDT.
fn losses(account: &Account) -> Decimal {
    let lost = account.income.iter().filter(|row| {
        matches!(row.kind, IncomeKind::RealizedPnl | IncomeKind::InsuranceClear)
            && row.amount.is_sign_negative()
    });
    -lost.map(|row| row.amount).sum::<Decimal>()
}

#[test]
fn resting_orders_beyond_the_position_need_margin_of_their_own() {
    let mut bench = leveraged(10);
    bench.place(market("SOLUSDT", Side::Buy, dec!(90))).unwrap();
    let sell = || limit("SOLUSDT", Side::Sell, dec!(90), dec!(101));
    bench.place(sell()).unwrap();
    bench.place(sell()).unwrap();
    assert_eq!(bench.place(sell()).unwrap_err(), -2019, "the first closes, the second turns around");
    bench.price("SOLUSDT", dec!(103));
    assert_eq!(bench.held("SOLUSDT"), dec!(-90));
    assert!(bench.account().cross_wallet > dec!(0));
}

#[test]
fn a_position_is_turned_around_by_what_its_own_margin_pays_for() {
    let mut bench = leveraged(10);
    bench.place(market("SOLUSDT", Side::Buy, dec!(90))).unwrap();
    assert_eq!(bench.place(market("SOLUSDT", Side::Sell, dec!(280))).unwrap_err(), -2019);
    bench.place(market("SOLUSDT", Side::Sell, dec!(180))).unwrap();
    assert_eq!(bench.held("SOLUSDT"), dec!(-90));
    assert!(bench.account().cross_wallet > dec!(0));
}

#[test]
fn an_order_that_nothing_pays_for_any_more_ends_instead_of_filling() {
    let mut bench = leveraged(10);
    bench.place(market("SOLUSDT", Side::Buy, dec!(90))).unwrap();
    let first = bench.place(limit("SOLUSDT", Side::Sell, dec!(90), dec!(101))).unwrap();
    let second = bench.place(limit("SOLUSDT", Side::Sell, dec!(90), dec!(102))).unwrap();
    // The position the two were to turn around goes another way.
    let close = OrderRequest { reduce_only: true, ..market("SOLUSDT", Side::Sell, dec!(90)) };
    bench.place(close).unwrap();
    bench.price("SOLUSDT", dec!(104));
    let orders = &bench.account().orders;
    assert_eq!(orders[&first.id].status, OrderStatus::Filled);
    assert_eq!((orders[&second.id].status, orders[&second.id].executed), (OrderStatus::Expired, dec!(0)));
    assert_eq!(bench.held("SOLUSDT"), dec!(-90));
    assert!(bench.account().cross_wallet >= dec!(0));
    assert_eq!(bench.account().wallet(), bench.ledger());
    assert!(bench.account().open_orders.is_empty());
}

#[test]
fn leverage_is_not_lowered_below_what_pays_for_resting_orders() {
    for margin in [MarginType::Isolated, MarginType::Cross] {
        let mut bench = bench();
        let sol = symbol("SOLUSDT");
        if margin == MarginType::Cross {
            bench.engine.set_margin_type(bench.who, &sol, margin, bench.now).unwrap();
        }
        let leverage = |bench: &mut Bench, to| {
            bench.engine.set_leverage(bench.who, &sol, to, bench.now).map_err(|refusal| refusal.code)
        };
        leverage(&mut bench, 20).unwrap();
        bench.place(limit("SOLUSDT", Side::Buy, dec!(147), dec!(100))).unwrap();
        assert_eq!(leverage(&mut bench, 1), Err(-2028), "{margin:?}");
        assert_eq!(bench.account().settings(&sol).leverage, 20);
        leverage(&mut bench, 15).unwrap();
        assert_eq!(bench.engine.totals(bench.who).open_order_initial, dec!(980));
        bench.price("SOLUSDT", dec!(99));
        bench.price("SOLUSDT", dec!(98));
        assert_eq!(bench.held("SOLUSDT"), dec!(147));
        assert!(bench.account().cross_wallet > dec!(0), "{margin:?}");
    }
}

/// What a trader does while the price stands still, and what happens afterwards.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Place(usize, Side, i64, i64),
    Amend(usize, i64, i64),
    Take(usize, Side, i64, bool),
    Leverage(usize, u32),
    Price(usize, i64),
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Buy), Just(Side::Sell)]
}

fn placing() -> impl Strategy<Value = Deed> {
    prop_oneof![
        6 => (0..2_usize, side(), 1..9000_i64, -400..400_i64).prop_map(|(a, b, c, d)| Deed::Place(a, b, c, d)),
        2 => (0..9_usize, 1..9000_i64, -400..400_i64).prop_map(|(a, b, c)| Deed::Amend(a, b, c)),
        2 => (0..2_usize, side(), 1..9000_i64, any::<bool>()).prop_map(|(a, b, c, d)| Deed::Take(a, b, c, d)),
        1 => (0..2_usize, 1..75_u32).prop_map(|(a, b)| Deed::Leverage(a, b)),
    ]
}

fn filling() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => (0..2_usize, 9200..10800_i64).prop_map(|(a, b)| Deed::Price(a, b)),
        1 => (0..2_usize, side(), 1..9000_i64).prop_map(|(a, b, c)| Deed::Take(a, b, c, true)),
    ]
}

fn act(bench: &mut Bench, deed: Deed) {
    let priced = |coin: usize, bps: i64| {
        let (_, base, _) = COINS[coin];
        (base * (dec!(1) + Decimal::new(bps, 4))).round_dp(1)
    };
    let units = |coin: usize, size: i64| COINS[coin].2 * Decimal::from(size);
    // Refusals are the point here: what is accepted must be paid for.
    match deed {
        Deed::Place(coin, side, size, bps) => {
            let _ = bench.place(limit(COINS[coin].0, side, units(coin, size), priced(coin, bps)));
        }
        Deed::Amend(which, size, bps) => {
            let order = bench.account().resting().nth(which).cloned();
            let Some(order) = order else { return };
            let coin = usize::from(order.symbol == symbol("BTCUSDT"));
            let change = Amendment {
                symbol: order.symbol,
                handle: Handle::Id(order.id),
                side: order.side,
                quantity: units(coin, size),
                price: priced(coin, bps),
            };
            let _ = bench.engine.modify(bench.who, &change, bench.now);
        }
        Deed::Take(coin, side, size, reduce_only) => {
            let request = market(COINS[coin].0, side, units(coin, size));
            let _ = bench.place(OrderRequest { reduce_only, ..request });
        }
        Deed::Leverage(coin, leverage) => {
            let _ = bench.engine.set_leverage(bench.who, &symbol(COINS[coin].0), leverage, bench.now);
        }
        Deed::Price(coin, bps) => bench.price(COINS[coin].0, COINS[coin].1 * Decimal::new(bps, 4)),
    }
}

proptest! {
    #[test]
    fn no_wallet_falls_below_zero_but_by_a_loss_whatever_was_accepted_fills(
        placed in prop::collection::vec(placing(), 1..30),
        filled in prop::collection::vec(filling(), 1..20),
        cross in any::<bool>(),
    ) {
        let mut bench = bench();
        if cross {
            bench.engine.set_margin_type(bench.who, &symbol("BTCUSDT"), MarginType::Cross, bench.now).unwrap();
        }
        for deed in placed.into_iter().chain(filled) {
            act(&mut bench, deed);
            let account = bench.account();
            let left = account.cross_wallet + losses(account);
            prop_assert!(left >= dec!(0), "{} after {:?}", left, deed);
            prop_assert_eq!(account.wallet(), bench.ledger());
        }
    }
}
