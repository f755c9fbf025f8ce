//! What holds whatever a trader and the market do.

use proptest::prelude::*;
use rust_decimal::Decimal;
use rust_decimal_macros::dec;

use super::super::*;
use super::{Bench, bench, limit, market, stop, symbol};
use crate::domain::Side;

/// What a trader or the market may do in the property tests.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Market(bool, Side, i64, bool),
    Limit(bool, Side, i64, i64),
    Stop(bool, Side, i64, bool),
    Price(bool, i64),
    Fund(bool, i64),
    Leverage(bool, u32),
    Margin(bool, bool),
    Move(bool, i64),
    CancelAll(bool),
}

fn deed() -> impl Strategy<Value = Deed> {
    let side = prop_oneof![Just(Side::Buy), Just(Side::Sell)];
    prop_oneof![
        4 => (any::<bool>(), side.clone(), 1..3000_i64, any::<bool>()).prop_map(|(a, b, c, d)| Deed::Market(a, b, c, d)),
        2 => (any::<bool>(), side.clone(), 1..3000_i64, -300..300_i64).prop_map(|(a, b, c, d)| Deed::Limit(a, b, c, d)),
        2 => (any::<bool>(), side, -2000..2000_i64, any::<bool>()).prop_map(|(a, b, c, d)| Deed::Stop(a, b, c, d)),
        6 => (any::<bool>(), 2000..30000_i64).prop_map(|(a, b)| Deed::Price(a, b)),
        1 => (any::<bool>(), -100..100_i64).prop_map(|(a, b)| Deed::Fund(a, b)),
        1 => (any::<bool>(), 0..130_u32).prop_map(|(a, b)| Deed::Leverage(a, b)),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(a, b)| Deed::Margin(a, b)),
        1 => (any::<bool>(), -9999..9999_i64).prop_map(|(a, b)| Deed::Move(a, b)),
        1 => any::<bool>().prop_map(Deed::CancelAll),
    ]
}

fn act(bench: &mut Bench, deed: Deed) {
    let name = |first: bool| if first { "SOLUSDT" } else { "BTCUSDT" };
    let unit = |first: bool| if first { dec!(0.01) } else { dec!(0.001) };
    let last = |bench: &Bench, first: bool| bench.engine.quote(&symbol(name(first))).unwrap().last;
    let around =
        |price: Decimal, bps: i64| ((price * (dec!(1) + Decimal::new(bps, 4))).round_dp(1)).max(dec!(0.1));
    let (who, now) = (bench.who, bench.now);
    // Refusals are part of life here; what counts is that they leave the books in order.
    match deed {
        Deed::Market(first, side, size, reduce_only) => {
            let request = market(name(first), side, unit(first) * Decimal::from(size));
            let _ = bench.place(OrderRequest { reduce_only, ..request });
        }
        Deed::Limit(first, side, size, bps) => {
            let price = around(last(bench, first), bps);
            let _ = bench.place(limit(name(first), side, unit(first) * Decimal::from(size), price));
        }
        Deed::Stop(first, side, bps, close_position) => {
            let price = around(last(bench, first), bps);
            let quantity = (!close_position).then_some(unit(first) * dec!(10));
            let request = AlgoRequest { quantity, close_position, ..stop(name(first), side, price) };
            let _ = bench.arm(AlgoRequest { reduce_only: !close_position && bps % 2 == 0, ..request });
        }
        Deed::Price(first, bps_of_base) => {
            let base = if first { dec!(100) } else { dec!(100000) };
            bench.price(name(first), (base * Decimal::new(bps_of_base, 4)).round_dp(1));
        }
        Deed::Fund(first, bps) => {
            let mark = last(bench, first);
            bench.engine.fund(&symbol(name(first)), Decimal::new(bps, 4), mark, now);
        }
        Deed::Leverage(first, leverage) => {
            let _ = bench.engine.set_leverage(who, &symbol(name(first)), leverage, now);
        }
        Deed::Margin(first, cross) => {
            let margin = if cross { MarginType::Cross } else { MarginType::Isolated };
            let _ = bench.engine.set_margin_type(who, &symbol(name(first)), margin, now);
        }
        Deed::Move(first, cents) => {
            let _ = bench.engine.move_margin(who, &symbol(name(first)), Decimal::new(cents, 2), now);
        }
        Deed::CancelAll(first) => {
            let _ = bench.engine.cancel_all(who, &symbol(name(first)), now);
        }
    }
}

proptest! {
    #[test]
    fn the_wallet_is_the_sum_of_the_ledger_whatever_happens(deeds in prop::collection::vec(deed(), 1..60)) {
        let mut bench = bench();
        for deed in deeds {
            act(&mut bench, deed);
            prop_assert_eq!(bench.account().wallet(), bench.ledger(), "after {:?}", deed);
            for (symbol, position) in &bench.account().positions {
                if position.is_flat() {
                    prop_assert_eq!(position.isolated_wallet, dec!(0), "{}", symbol);
                    prop_assert!(!bench.account().waiting().any(|a| a.close_position && a.symbol == *symbol));
                }
            }
        }
        let sum: Decimal = bench.account().trades.iter()
            .map(|trade| if trade.side == Side::Buy { trade.quantity } else { -trade.quantity }).sum();
        let held: Decimal = bench.account().positions.values().map(|position| position.amount).sum();
        prop_assert_eq!(sum, held);
        let ids: Vec<i64> = bench.account().trades.iter().map(|trade| trade.id).collect();
        prop_assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn the_same_deeds_leave_the_same_bytes(deeds in prop::collection::vec(deed(), 1..30)) {
        let run = |deeds: Vec<Deed>| {
            let mut bench = bench();
            for deed in deeds { act(&mut bench, deed); }
            let text = serde_json::to_string(bench.engine.state()).unwrap();
            let read: EngineState = serde_json::from_str(&text).unwrap();
            assert_eq!(&read, bench.engine.state());
            text
        };
        prop_assert_eq!(run(deeds.clone()), run(deeds));
    }
}
