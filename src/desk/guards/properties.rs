//! Whatever is asked for in whatever order: the limits hold.

use proptest::prelude::*;
use rust_decimal_macros::dec;

use super::scene::{Scene, name, rules_of, symbol};
use super::*;
use crate::domain::{Confidence, DecisionWord, Proposal};

const COINS: [&str; 12] = [
    "BTCUSDT", "ETHUSDT", "PAXGUSDT", "AAAUSDT", "BBBUSDT", "CCCUSDT", "DDDUSDT", "EEEUSDT", "FFFUSDT",
    "GGGUSDT", "HHHUSDT", "IIIUSDT",
];

#[derive(Debug, Clone)]
struct Ask {
    account: usize,
    coin: usize,
    long: bool,
    confidence: i64,
}

fn asks() -> impl Strategy<Value = Vec<Ask>> {
    let ask = (0_usize..2, 0..COINS.len(), any::<bool>(), 70_i64..=100);
    let ask = ask.prop_map(|(account, coin, long, confidence)| Ask { account, coin, long, confidence });
    prop::collection::vec(ask, 1..40)
}

/// Beta and correlation of each coin in hundredths.
fn ties() -> impl Strategy<Value = Vec<(i64, i64)>> {
    prop::collection::vec((-150_i64..250, -100_i64..=100), COINS.len())
}

/// Plays the asks one after another, each seeing the ones before; returns the orders and the scene at the end.
fn play(asks: &[Ask], ties: &[(i64, i64)], profile: Profile, leverage: u32) -> (Vec<OpenOrder>, Scene) {
    let mut scene = Scene::long();
    scene.settings.profile = profile;
    scene.leverage = leverage;
    scene.stop_distance = "3%";
    scene.rules = Some(rules_of("BTCUSDT", "5"));
    scene.market.coins = COINS.iter().map(|text| super::scene::coin(text)).collect();
    for (coin, (beta, correlation)) in scene.market.coins.iter_mut().zip(ties) {
        coin.beta = Some(Decimal::new(*beta, 2));
        coin.correlation = Some(Decimal::new(*correlation, 2));
    }
    let mut orders: Vec<OpenOrder> = Vec::new();
    for ask in asks {
        let account = name(["mirat", "mevlut"][ask.account]);
        let coin = symbol(COINS[ask.coin]);
        if orders.iter().any(|order| order.account == account && order.symbol == coin) {
            continue;
        }
        scene.proposal = Proposal {
            decision: Some(if ask.long { DecisionWord::Long } else { DecisionWord::Short }),
            confidence: Some(Confidence::new(Decimal::new(ask.confidence, 2)).unwrap()),
            ..Proposal::empty(account, coin)
        };
        if let Verdict::Open(approved) = scene.judge() {
            scene.book.promise(approved.order());
            orders.push(approved.order().clone());
        }
    }
    (orders, scene)
}

/// Gross exposure, counted another way than the guard does: by its documented weights, order by order.
fn gross(orders: &[OpenOrder], ties: &[(i64, i64)], account: Option<&str>) -> Decimal {
    let of = orders.iter().filter(|order| account.is_none_or(|account| order.account.as_str() == account));
    of.map(|order| {
        let place = COINS.iter().position(|coin| *coin == order.symbol.as_str()).unwrap();
        let beta = Decimal::new(ties[place].0.abs(), 2).max(dec!(0.5));
        beta * order.reference.notional(order.quantity).value()
    })
    .sum()
}

/// Net exposure of one direction by the documented weights, with credit only for what is earned.
fn direction(orders: &[OpenOrder], ties: &[(i64, i64)], account: &str, long: bool) -> Decimal {
    let mut net = dec!(0);
    for order in orders.iter().filter(|order| order.account.as_str() == account) {
        let place = COINS.iter().position(|coin| *coin == order.symbol.as_str()).unwrap();
        let (beta, correlation) = (Decimal::new(ties[place].0, 2), Decimal::new(ties[place].1, 2));
        let earned = correlation.abs() >= dec!(0.5);
        let weight = if earned && beta < dec!(0) { beta } else { beta.abs().max(dec!(0.5)) };
        let same_way = (order.direction == Direction::Long) == long;
        let amount = order.reference.notional(order.quantity).value() * weight;
        let toward = if same_way { amount } else { -amount };
        if toward > dec!(0) || earned {
            net += toward;
        }
    }
    net
}

proptest! {
    #[test]
    fn guarded_openings_never_pass_a_limit(asks in asks(), ties in ties(), leverage in 1_u32..20) {
        let (orders, _) = play(&asks, &ties, Profile::Guarded, leverage);
        for account in ["mirat", "mevlut"] {
            let own: Vec<&OpenOrder> = orders.iter().filter(|order| order.account.as_str() == account).collect();
            prop_assert!(own.len() <= 6);
            let margin: Decimal = own.iter().map(|order| order.margin).sum();
            prop_assert!(own.iter().all(|order| order.margin <= dec!(80)) && margin < dec!(1000));
            let traded: Decimal =
                own.iter().map(|order| order.reference.notional(order.quantity).value()).sum();
            prop_assert!(traded <= dec!(3000));
            prop_assert!(gross(&orders, &ties, Some(account)) <= dec!(1500));
        }
        prop_assert!(gross(&orders, &ties, None) <= dec!(3000));
    }

    #[test]
    fn no_opening_takes_its_own_direction_beyond_the_equity(asks in asks(), ties in ties(), leverage in 1_u32..20) {
        let (orders, _) = play(&asks, &ties, Profile::Guarded, leverage);
        for count in 1..=orders.len() {
            let (before, after) = (&orders[..count - 1], &orders[..count]);
            for account in ["mirat", "mevlut"] {
                for long in [true, false] {
                    let (before, after) =
                        (direction(before, &ties, account, long), direction(after, &ties, account, long));
                    prop_assert!(after <= dec!(1000) || after <= before.max(dec!(0)), "{} {}", before, after);
                }
            }
        }
    }

    #[test]
    fn the_same_asks_get_the_same_answers_and_classic_is_only_bound_by_its_margin(
        asks in asks(), ties in ties(), leverage in 1_u32..20
    ) {
        let (once, again) =
            (play(&asks, &ties, Profile::Guarded, leverage).0, play(&asks, &ties, Profile::Guarded, leverage).0);
        prop_assert_eq!(&once, &again);
        let (classic, scene) = play(&asks, &ties, Profile::Classic, leverage);
        prop_assert!(classic.len() >= once.len());
        prop_assert!(classic.iter().all(|order| order.margin <= dec!(100)));
        prop_assert!(scene.book.accounts.iter().all(|account| account.free_margin >= dec!(0)));
    }
}
