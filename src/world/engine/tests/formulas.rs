//! Liquidation prices and funding against the exchange's published formulas, worked out here a second time.

use proptest::prelude::*;
use rust_decimal::Decimal;
use rust_decimal_macros::dec;

use super::super::*;
use super::{T0, listing, market, quote, symbol};
use crate::domain::Side;

/// Maintenance ratio and deduction of a notional in the bracket table of ordinary contracts, by the published rule
/// `cum(n) = floor(n) * (ratio(n) - ratio(n-1)) + cum(n-1)`.
fn bracket(notional: f64) -> (f64, f64) {
    let table = [
        (0.0, 0.0065),
        (10_000.0, 0.01),
        (50_000.0, 0.02),
        (500_000.0, 0.025),
        (1_000_000.0, 0.05),
        (5_000_000.0, 0.1),
    ];
    let (mut ratio, mut deduction) = (0.0, 0.0);
    for (floor, next) in table {
        if notional >= floor {
            deduction += floor * (next - ratio);
            ratio = next;
        }
    }
    (ratio, deduction)
}

struct Held {
    amount: f64,
    entry: f64,
}

impl Held {
    fn profit(&self, mark: f64) -> f64 {
        (mark - self.entry) * self.amount
    }

    fn maintenance(&self, mark: f64) -> f64 {
        let notional = (self.amount * mark).abs();
        let (ratio, deduction) = bracket(notional);
        notional * ratio - deduction
    }

    /// `(WB - TMM + UPNL + cum - side*pos*EP) / (pos*MMR - side*pos)`, the bracket found by trying.
    fn liquidation(&self, wallet: f64, others_maintenance: f64, others_profit: f64) -> f64 {
        let (size, side) = (self.amount.abs(), self.amount.signum());
        let mut price = self.entry;
        for _ in 0..100 {
            let (ratio, deduction) = bracket(size * price.max(0.0));
            price = (wallet - others_maintenance + others_profit + deduction - side * size * self.entry)
                / (size * ratio - side * size);
        }
        price.max(0.0)
    }
}

fn number(value: Decimal) -> f64 {
    value.to_string().parse().unwrap()
}

fn engine() -> Engine {
    let mut engine = Engine::new([
        listing("SOLUSDT", dec!(0.01), dec!(0.01), 5, 8),
        listing("XRPUSDT", dec!(0.01), dec!(0.01), 5, 8),
    ]);
    for name in ["SOLUSDT", "XRPUSDT"] {
        engine.update([(symbol(name), quote(dec!(100), dec!(0.01)))], T0);
    }
    engine
}

fn held(engine: &Engine, who: AccountId, name: &str) -> Held {
    let position = &engine.account(who).positions[&symbol(name)];
    Held { amount: number(position.amount), entry: number(position.entry) }
}

fn side(buy: bool) -> Side {
    if buy { Side::Buy } else { Side::Sell }
}

/// Equal to a millionth, or next to a bracket's edge, where trying may end in the neighbour that gives the same.
fn same(told: Decimal, expected: f64) -> bool {
    (number(told) - expected).abs() <= expected.abs() * 1e-6 + 1e-6
}

proptest! {
    #[test]
    fn isolated_liquidation_prices_are_those_of_the_formula(
        buy in any::<bool>(), size in 10..200_000_i64, leverage in 1..20_u32, added in 0..5_000_i64,
    ) {
        let mut engine = engine();
        let who = engine.open_account(AccountName::new("rich").unwrap(), dec!(100000000), T0);
        let sol = symbol("SOLUSDT");
        engine.set_margin_type(who, &sol, MarginType::Isolated, T0).unwrap();
        engine.set_leverage(who, &sol, leverage, T0).unwrap();
        let placed = engine.place(who, market("SOLUSDT", side(buy), Decimal::new(size, 2)), T0);
        prop_assume!(placed.is_ok());
        engine.move_margin(who, &sol, Decimal::from(added), T0).unwrap();
        let wallet = number(engine.account(who).positions[&sol].isolated_wallet);
        let expected = held(&engine, who, "SOLUSDT").liquidation(wallet, 0.0, 0.0);
        let told = engine.liquidation_price(who, &sol);
        prop_assert!(same(told, expected), "{told} {expected}");
        if told > dec!(1) && told < dec!(10000) {
            // A tick before it stands, a tick behind it is gone.
            let away = if buy { dec!(0.01) } else { dec!(-0.01) };
            engine.update([(sol.clone(), quote(told + away, dec!(0.01)))], T0 + 1);
            prop_assert!(!engine.account(who).amount(&sol).is_zero());
            engine.update([(sol.clone(), quote(told - away, dec!(0.01)))], T0 + 2);
            prop_assert!(engine.account(who).amount(&sol).is_zero());
        }
    }

    #[test]
    fn cross_liquidation_prices_count_what_the_other_positions_need_and_gain(
        buy in any::<bool>(), size in 100..60_000_i64, other_buy in any::<bool>(), other_size in 100..30_000_i64,
        mark in 9_000..11_000_i64, balance in 6_000..200_000_i64,
    ) {
        let mut engine = engine();
        let who = engine.open_account(AccountName::new("cross").unwrap(), Decimal::from(balance), T0);
        let first = engine.place(who, market("SOLUSDT", side(buy), Decimal::new(size, 2)), T0);
        let second = engine.place(who, market("XRPUSDT", side(other_buy), Decimal::new(other_size, 2)), T0);
        prop_assume!(first.is_ok() && second.is_ok());
        engine.update([(symbol("XRPUSDT"), quote(Decimal::new(mark, 2), dec!(0.01)))], T0 + 1);
        prop_assume!(!engine.account(who).amount(&symbol("XRPUSDT")).is_zero());
        let other = held(&engine, who, "XRPUSDT");
        let other_mark = number(Decimal::new(mark, 2));
        let wallet = number(engine.account(who).cross_wallet);
        let expected = held(&engine, who, "SOLUSDT")
            .liquidation(wallet, other.maintenance(other_mark), other.profit(other_mark));
        let told = engine.liquidation_price(who, &symbol("SOLUSDT"));
        prop_assert!(same(told, expected), "{told} {expected}");
    }

    #[test]
    fn funding_is_minus_amount_times_mark_times_rate(
        buy in any::<bool>(), size in 10..5_000_i64, rate in -300..300_i64, mark in 5_000..20_000_i64,
        isolated in any::<bool>(),
    ) {
        let mut engine = engine();
        let sol = symbol("SOLUSDT");
        let who = engine.open_account(AccountName::new("rich").unwrap(), dec!(1000000), T0);
        if isolated {
            engine.set_margin_type(who, &sol, MarginType::Isolated, T0).unwrap();
        }
        engine.place(who, market("SOLUSDT", side(buy), Decimal::new(size, 2)), T0).unwrap();
        let before = engine.account(who).clone();
        engine.fund(&sol, Decimal::new(rate, 6), Decimal::new(mark, 2), T0 + 1);
        let after = engine.account(who);
        // In units of 1e-10 USDT: hundredths of coins, cents and millionths, all whole numbers.
        let owed = -(i128::from(if buy { size } else { -size }) * i128::from(mark) * i128::from(rate));
        let owed = Decimal::from_i128_with_scale(owed, 10).round_dp(8);
        prop_assert_eq!(after.wallet() - before.wallet(), owed);
        let isolated_change = after.positions[&sol].isolated_wallet - before.positions[&sol].isolated_wallet;
        prop_assert_eq!(isolated_change, if isolated { owed } else { dec!(0) });
    }
}
