//! Each guard at its limit, on both sides of it.

use chrono::TimeDelta;
use rust_decimal_macros::dec;

use super::scene::{Scene, held, name, steps, symbol};
use super::tests::halt;
use super::*;
use crate::domain::{DecisionWord, HaltLevel, HaltScope};

fn price(text: &str) -> Option<Price> {
    text.parse().ok()
}

#[test]
fn the_threshold_is_inclusive() {
    assert_eq!(Scene::new(DecisionWord::Short, "0.7499").refused_by(), Some(Rule::Threshold));
    let mut scene = Scene::new(DecisionWord::Short, "0.75");
    scene.own().equity = dec!(10000);
    assert_eq!(scene.refused_by(), None);
}

#[test]
fn a_halt_reaches_what_it_covers_for_as_long_as_it_lasts() {
    let covering = [HaltScope::Desk, HaltScope::Account(name("mirat")), HaltScope::Coin(symbol("BTCUSDT"))];
    for scope in covering {
        for level in [HaltLevel::NoEntries, HaltLevel::Frozen, HaltLevel::Flattened] {
            let mut scene = Scene::long();
            scene.halts = vec![halt(scope.clone(), level)];
            assert_eq!(scene.refused_by(), Some(Rule::Halted));
            let mut close = Scene::close();
            close.position.as_mut().unwrap().opened_at = None;
            close.halts.clone_from(&scene.halts);
            let expected = (level != HaltLevel::NoEntries).then_some(Rule::Halted);
            assert_eq!(close.refused_by(), expected, "a close under {level:?}");
            scene.halts[0].until = Some(scene.now);
            assert_eq!(scene.refused_by(), None, "it has run out");
            scene.halts[0].until = Some(scene.now + TimeDelta::seconds(1));
            assert_eq!(scene.refused_by(), Some(Rule::Halted));
        }
    }
    let mut scene = Scene::long();
    scene.halts = vec![
        halt(HaltScope::Account(name("mevlut")), HaltLevel::Flattened),
        halt(HaltScope::Coin(symbol("ETHUSDT")), HaltLevel::Flattened),
    ];
    assert_eq!(scene.refused_by(), None);
    scene.halts.push(halt(HaltScope::Desk, HaltLevel::NoEntries));
    scene.halts.push(halt(HaltScope::Account(name("mirat")), HaltLevel::Frozen));
    let Verdict::Settled(outcome) = scene.judge() else { panic!("not refused") };
    assert_eq!(outcome.detail, "account mirat is halted (frozen): why", "the strictest one is named");
}

#[test]
fn an_unresolved_order_blocks_the_coin() {
    let mut scene = Scene::long();
    scene.unresolved = true;
    assert_eq!(scene.refused_by(), Some(Rule::Unresolved));
}

#[test]
fn without_one_of_the_two_prices_nothing_opens() {
    let mut scene = Scene::long();
    scene.coin().seen = None;
    assert_eq!(scene.refused_by(), Some(Rule::NoPrice));
    scene.coin().now = None;
    assert_eq!(scene.refused_by(), Some(Rule::NoPrice));
    scene.coin().seen = price("60000");
    assert_eq!(scene.refused_by(), Some(Rule::NoPrice));
}

#[test]
fn a_price_that_ran_away_either_way_refuses_and_one_at_the_limit_does_not() {
    for (now, expected) in
        [("60601", Some(Rule::StaleData)), ("60600", None), ("59400", None), ("59399", Some(Rule::StaleData))]
    {
        let mut scene = Scene::long();
        scene.price(now);
        scene.own().equity = dec!(2000);
        assert_eq!(scene.refused_by(), expected, "{now}");
    }
}

#[test]
fn prices_that_contradict_each_other_refuse() {
    type Change = fn(&mut CoinFacts, &str);
    let changes: [(Change, &str, &str); 3] = [
        (|coin, text| coin.mark = price(text), "60600", "60601"),
        (|coin, text| coin.index = price(text), "59400", "59399"),
        // The candle may be three ATR (3 %) and the limit away.
        (|coin, text| coin.last_close = price(text), "62400", "62401"),
    ];
    for (change, at_the_limit, beyond) in changes {
        let mut scene = Scene::long();
        change(scene.coin(), at_the_limit);
        assert_eq!(scene.refused_by(), None, "{at_the_limit}");
        change(scene.coin(), beyond);
        assert_eq!(scene.refused_by(), Some(Rule::PriceSanity), "{beyond}");
    }
    let mut scene = Scene::long();
    (scene.coin().mark, scene.coin().index) = (price("59700"), price("60300"));
    assert_eq!(scene.refused_by(), Some(Rule::PriceSanity), "each near the last price, but not each other");
    let mut scene = Scene::long();
    (scene.coin().mark, scene.coin().index, scene.coin().last_close) = (None, None, None);
    assert_eq!(scene.refused_by(), None, "what is not known contradicts nothing");
    let mut scene = Scene::long();
    scene.settings.risk.guards.expected_move = None;
    scene.settings.profile = Profile::Classic;
    scene.coin().atr = None;
    scene.coin().last_close = price("66600");
    assert_eq!(scene.refused_by(), None, "without an ATR a tenth is room enough");
    scene.coin().last_close = price("66601");
    assert_eq!(scene.refused_by(), Some(Rule::PriceSanity));
}

#[test]
fn a_stop_that_could_not_protect_refuses_the_opening_before_anything_is_sent() {
    for (distance, leverage) in [("100%", 1), ("50%", 3), ("10%", 10), ("0.0001%", 3)] {
        for mut scene in [Scene::long(), Scene::short()] {
            (scene.stop_distance, scene.leverage) = (distance, leverage);
            assert_eq!(scene.refused_by(), Some(Rule::Stop), "{distance} at {leverage}x");
        }
    }
    let mut scene = Scene::long();
    assert_eq!(scene.refused_by(), None);
    scene.rules = None;
    assert_eq!(scene.refused_by(), Some(Rule::Stop), "a coin without rules has no price grid");
}

#[test]
fn the_day_and_the_fall_from_the_top_refuse_at_their_limits_for_an_account_and_for_all() {
    for all in [false, true] {
        let set = |scene: &mut Scene, standing: Standing| {
            if all { scene.book.standing = standing } else { scene.own().standing = standing }
        };
        for (day, drawdown, expected) in [
            (dec!(-0.0399), dec!(0), None),
            (dec!(-0.04), dec!(0), Some(Rule::DailyLoss)),
            (dec!(0.04), dec!(0), None),
            (dec!(0), dec!(0.1199), None),
            (dec!(0), dec!(0.12), Some(Rule::Drawdown)),
        ] {
            let mut scene = Scene::long();
            set(&mut scene, Standing { day, drawdown });
            assert_eq!(scene.refused_by(), expected, "{day} {drawdown}");
            let halts = Guards::of(&scene.settings).halts(&scene.book, scene.now);
            let scope = if all { HaltScope::Desk } else { HaltScope::Account(name("mirat")) };
            let midnight = "2026-03-03T00:00:00Z".parse::<Timestamp>().unwrap();
            let begun: Vec<_> =
                halts.iter().map(|halt| (halt.scope.clone(), halt.level, halt.until)).collect();
            let wanted = expected
                .map(|rule| (scope, HaltLevel::NoEntries, (rule == Rule::DailyLoss).then_some(midnight)));
            assert_eq!(begun, Vec::from_iter(wanted));
            let origins: Vec<_> = halts.into_iter().map(|halt| halt.origin).collect();
            assert_eq!(origins, Vec::from_iter(expected.map(crate::domain::HaltOrigin::Guard)));
        }
    }
    let mut scene = Scene::long();
    scene.book.accounts[1].standing.day = dec!(-0.5);
    assert_eq!(scene.refused_by(), None, "another account's loss is not ours");
    (scene.settings.risk.guards.daily_loss, scene.settings.risk.guards.drawdown) = (None, None);
    assert_eq!(Guards::of(&scene.settings).halts(&scene.book, scene.now), []);
}

#[test]
fn a_size_below_the_exchange_s_minimum_is_refused_and_not_rounded_up() {
    let mut scene = Scene::long();
    scene.own().equity = dec!(500);
    assert_eq!(scene.refused_by(), None, "120 USDT are enough");
    scene.own().equity = dec!(400);
    assert_eq!(scene.refused_by(), Some(Rule::Sizing), "96 USDT round down to 60");
    scene.own().equity = dec!(1000);
    scene.own().free_margin = dec!(0);
    assert_eq!(scene.refused_by(), Some(Rule::Sizing), "no free margin");
    scene.own().free_margin = dec!(1000);
    scene.brackets =
        Some(steps(&[(125, dec!(130), dec!(0.004), dec!(0)), (2, dec!(9000), dec!(0.25), dec!(32))]));
    assert_eq!(scene.order().quantity.to_string(), "0.002", "the leverage step cuts it");
    scene.rules.as_mut().unwrap().status = crate::domain::Untrusted::new("SETTLING");
    assert_eq!(scene.refused_by(), Some(Rule::Sizing));
}

#[test]
fn the_sixth_position_is_the_last() {
    let mut scene = Scene::long();
    scene.own().holdings = vec![held("ETHUSDT", Direction::Short, dec!(1)); 5];
    assert_eq!(scene.refused_by(), None);
    scene.own().holdings.push(held("SOLUSDT", Direction::Short, dec!(1)));
    assert_eq!(scene.refused_by(), Some(Rule::MaximumPositions));
    let other = scene.own().holdings.clone();
    scene.own().holdings.clear();
    scene.book.accounts[1].holdings = other;
    assert_eq!(scene.refused_by(), None, "another account's positions are not ours");
}

#[test]
fn the_model_takes_no_small_loss_for_three_hours() {
    // Entry 60600, stop 10 % away: half the way is 3030.
    for (long, short) in [("57571", "63629"), ("60599", "60601")] {
        for (direction, now) in [(Direction::Long, long), (Direction::Short, short)] {
            let mut scene = Scene::close();
            scene.position.as_mut().unwrap().direction = direction;
            scene.price(now);
            assert_eq!(scene.refused_by(), Some(Rule::MinimumHold), "{direction:?} {now}");
            scene.position.as_mut().unwrap().opened_at = Some(scene.now - TimeDelta::hours(3));
            assert_eq!(scene.refused_by(), None, "three hours are over");
            scene.position.as_mut().unwrap().opened_at =
                Some(scene.now - TimeDelta::hours(3) + TimeDelta::seconds(1));
            assert_eq!(scene.refused_by(), Some(Rule::MinimumHold));
        }
    }
    // Half the way and more; no loss; a small gain; a large one.
    for (long, short) in
        [("57570", "63630"), ("50000", "70000"), ("60600", "60600"), ("60601", "60599"), ("64000", "57000")]
    {
        for (direction, now) in [(Direction::Long, long), (Direction::Short, short)] {
            let mut scene = Scene::close();
            scene.position.as_mut().unwrap().direction = direction;
            scene.price(now);
            assert_eq!(scene.refused_by(), None, "{direction:?} at {now}");
        }
    }
    let mut blind = Scene::close();
    blind.coin().now = None;
    blind.position.as_mut().unwrap().mark = "60000".parse().unwrap();
    assert_eq!(blind.refused_by(), Some(Rule::MinimumHold), "the position's own mark counts then");
    blind.position.as_mut().unwrap().mark = "50000".parse().unwrap();
    assert_eq!(blind.refused_by(), None);
    let close = close_whole(&name("mirat"), blind.position.as_ref().unwrap());
    assert_eq!(close.order().quantity.to_string(), "0.01", "an operator is not asked");
}

#[test]
fn a_closed_coin_is_left_alone_for_four_hours() {
    let mut scene = Scene::long();
    for (minutes, expected) in [(0, Some(Rule::Cooldown)), (239, Some(Rule::Cooldown)), (240, None)] {
        let closed = scene.now - TimeDelta::minutes(minutes);
        scene.own().closed.insert(symbol("BTCUSDT"), closed);
        assert_eq!(scene.refused_by(), expected, "{minutes} min");
    }
    let now = scene.now;
    scene.own().closed.insert(symbol("ETHUSDT"), now);
    scene.book.accounts[1].closed.insert(symbol("BTCUSDT"), now);
    assert_eq!(scene.refused_by(), None, "another coin and another account are free");
}

#[test]
fn turnover_counts_the_opening_itself_and_ends_at_three_times_the_equity() {
    let mut scene = Scene::long();
    scene.own().traded = dec!(2760);
    assert_eq!(scene.refused_by(), None, "2760 and 240 are 3000");
    scene.own().traded = dec!(2760.01);
    assert_eq!(scene.refused_by(), Some(Rule::Turnover));
}

#[test]
fn a_coin_must_move_three_round_trips_in_four_hours() {
    let mut scene = Scene::long();
    scene.coin().atr = Some(dec!(180));
    assert_eq!(scene.refused_by(), None);
    scene.coin().atr = Some(dec!(179.99));
    assert_eq!(scene.refused_by(), Some(Rule::ExpectedMove));
    scene.coin().atr = None;
    assert_eq!(scene.refused_by(), Some(Rule::Sizing), "nor can it be sized");
    assert_eq!(scene.refused_without(Rule::Sizing), Some(Rule::ExpectedMove));
}

#[test]
fn the_accounts_own_commission_counts_where_it_is_known() {
    let mut scene = Scene::long();
    scene.round_trip = Some(dec!(0.0008));
    scene.coin().atr = Some(dec!(144));
    assert_eq!(scene.refused_by(), None, "three times 0.08 % of 60000");
    scene.coin().atr = Some(dec!(143.99));
    assert_eq!(scene.refused_by(), Some(Rule::ExpectedMove));
}

#[test]
fn what_was_old_when_it_was_shown_or_is_by_now_opens_nothing() {
    let mut scene = Scene::long();
    scene.market.as_of = Some(scene.now - TimeDelta::hours(1));
    assert_eq!(scene.refused_by(), None);
    scene.market.as_of = Some(scene.now - TimeDelta::hours(1) - TimeDelta::seconds(1));
    assert_eq!(scene.refused_by(), Some(Rule::StaleData));
    let mut scene = Scene::long();
    scene.coin().stale = Some("binance/price/BTCUSDT".to_owned());
    assert_eq!(scene.refused_by(), Some(Rule::StaleData));
    scene.settings.risk.guards.stale_data = None;
    assert_eq!(scene.refused_by(), None, "switched off");
    let mut scene = Scene::long();
    scene.coin().silent_s = Some(17);
    assert_eq!(scene.refused_by(), Some(Rule::StaleData), "its price is not heard any more");
}

#[test]
fn an_account_that_cannot_be_read_counts_for_the_desk_with_what_it_held() {
    let mut scene = Scene::long();
    let lost = |notional| LastSeen {
        name: name("tugrul"),
        equity: dec!(0),
        holdings: vec![held("ETHUSDT", Direction::Long, notional)],
    };
    let limit = scene.settings.risk.guards.exposure_direction.unwrap().share() * dec!(2000);
    // The opening itself is 240 USDT.
    scene.book.unreadable = vec![lost(limit - dec!(240))];
    assert_eq!(scene.refused_by(), None);
    scene.book.unreadable = vec![lost(limit - dec!(239))];
    assert_eq!(scene.refused_by(), Some(Rule::Exposure));
    scene.book.unreadable[0].equity = dec!(1000);
    assert_eq!(scene.refused_by(), None, "what it was worth counts, too");
}

#[test]
fn openings_against_the_market_are_told_then_halved_then_refused() {
    use Direction::{Long, Short};
    for (trend, direction, make) in
        [(Trend::Falling, Long, Scene::long as fn() -> Scene), (Trend::Rising, Short, Scene::short)]
    {
        // Longs before this one, whether it is told, its quantity, whether it is refused.
        for (before, told, quantity) in [
            (11, false, Some("0.08")),
            (12, true, Some("0.08")),
            (13, true, Some("0.08")),
            (14, true, Some("0.04")),
            (15, true, Some("0.04")),
            (16, true, None),
            (30, true, None),
        ] {
            let mut scene = make();
            scene.own().equity = dec!(20000);
            scene.own().free_margin = dec!(20000);
            scene.market.trend = trend;
            scene.book.openings = vec![direction; before];
            let remarks = scene.with(|facts| Guards::of(&scene.settings).remarks(facts));
            assert_eq!(!remarks.is_empty(), told, "{before}");
            match quantity {
                Some(quantity) => assert_eq!(scene.order().quantity.to_string(), quantity, "{before}"),
                None => assert_eq!(scene.refused_by(), Some(Rule::LongBias), "{before}"),
            }
            for calm in [Trend::Flat, if trend == Trend::Falling { Trend::Rising } else { Trend::Falling }] {
                scene.market.trend = calm;
                assert_eq!(scene.order().quantity.to_string(), "0.08");
            }
        }
        let mut scene = make();
        scene.market.trend = trend;
        let other = if direction == Long { Short } else { Long };
        scene.book.openings = [vec![direction; 30], vec![other; 4]].concat();
        assert_eq!(scene.refused_by(), None, "only the last 20 count, this one among them");
    }
}

#[test]
fn a_market_is_judged_by_its_middle_coin_and_by_the_week_when_the_day_is_quiet() {
    let trend = |day: &[f64], week: &[f64]| {
        Trend::of(day.iter().zip(week).map(|(day, week)| [Some(*day), Some(*week)]))
    };
    assert_eq!(trend(&[], &[]), Trend::Flat);
    assert_eq!(trend(&[-1.01, -1.01, 40.0], &[0.0; 3]), Trend::Falling);
    assert_eq!(trend(&[1.01, 1.01, -40.0], &[-9.0; 3]), Trend::Rising);
    assert_eq!(trend(&[-1.0, 1.0], &[3.0, -3.0]), Trend::Flat);
    assert_eq!(trend(&[1.0], &[3.0]), Trend::Flat);
    assert_eq!(trend(&[0.5], &[-3.01]), Trend::Falling);
    assert_eq!(trend(&[-0.5], &[3.01]), Trend::Rising);
    assert_eq!(trend(&[-2.0, 2.0], &[0.0; 2]), Trend::Falling, "the lower one of two");
}

#[test]
fn nothing_is_opened_within_half_an_hour_of_an_announcement() {
    for (seconds, expected) in [
        (-1801, None),
        (-1800, Some(Rule::EventBlackout)),
        (0, Some(Rule::EventBlackout)),
        (1800, Some(Rule::EventBlackout)),
        (1801, None),
    ] {
        let mut scene = Scene::long();
        let at = scene.now + TimeDelta::seconds(seconds);
        scene.market.events = vec![(at, "US CPI".into())];
        assert_eq!(scene.refused_by(), expected, "{seconds} s");
    }
}

#[test]
fn exposure_in_one_direction_ends_at_the_equity_and_gross_at_half_as_much_again() {
    let mut scene = Scene::long();
    scene.own().holdings = vec![held("ETHUSDT", Direction::Long, dec!(760))];
    assert_eq!(scene.refused_by(), None, "760 and 240 are 1000");
    scene.own().holdings = vec![held("ETHUSDT", Direction::Long, dec!(760.01))];
    assert_eq!(scene.refused_by(), Some(Rule::Exposure));
    scene.own().holdings =
        vec![held("ETHUSDT", Direction::Long, dec!(660)), held("SOLUSDT", Direction::Short, dec!(600))];
    assert_eq!(scene.refused_by(), None, "1500 gross");
    scene.own().holdings[1].notional = dec!(600.01);
    assert_eq!(scene.refused_by(), Some(Rule::Exposure), "gross");
    let mut short = Scene::short();
    short.own().holdings = vec![held("ETHUSDT", Direction::Short, dec!(760.01))];
    assert_eq!(short.refused_by(), Some(Rule::Exposure));
}

#[test]
fn a_measured_hedge_makes_room_and_an_unmeasured_one_does_not() {
    // Long 500 of BTC-like coins beside a short of 400 in another: net 100 when the short is earned.
    let with_short = |beta: Option<Decimal>, correlation: Option<Decimal>| {
        let mut scene = Scene::long();
        scene.own().holdings =
            vec![held("ETHUSDT", Direction::Long, dec!(800)), held("PAXGUSDT", Direction::Short, dec!(400))];
        (scene.market.coins[2].beta, scene.market.coins[2].correlation) = (beta, correlation);
        scene.refused_by()
    };
    assert_eq!(with_short(Some(dec!(1)), Some(dec!(0.9))), None, "a short that moves with bitcoin hedges");
    assert_eq!(with_short(Some(dec!(1)), Some(dec!(0.5))), None, "at the limit it is earned");
    assert_eq!(with_short(Some(dec!(1)), Some(dec!(0.49))), Some(Rule::Exposure));
    assert_eq!(with_short(None, None), Some(Rule::Exposure), "nobody measured it");
    assert_eq!(with_short(Some(dec!(1)), None), Some(Rule::Exposure));
    let mut short = Scene::short();
    short.own().holdings =
        vec![held("ETHUSDT", Direction::Short, dec!(800)), held("PAXGUSDT", Direction::Long, dec!(400))];
    assert_eq!(short.refused_by(), None, "an earned long makes room for a short");
    short.market.coins[2].correlation = Some(dec!(0.49));
    assert_eq!(short.refused_by(), Some(Rule::Exposure));
}

#[test]
fn long_gold_beside_long_coins_is_exposure_unless_it_was_measured_to_fall_when_they_rise() {
    let with_gold = |beta: Decimal, correlation: Decimal, coins: Decimal| {
        let mut scene = Scene::long();
        scene.own().holdings =
            vec![held("ETHUSDT", Direction::Long, coins), held("PAXGUSDT", Direction::Long, dec!(400))];
        (scene.market.coins[2].beta, scene.market.coins[2].correlation) = (Some(beta), Some(correlation));
        scene.refused_by()
    };
    // Hardly correlated gold counts at least half, and for the direction it is held in.
    assert_eq!(with_gold(dec!(0.1), dec!(0.2), dec!(560)), None, "560 + 200 + 240");
    assert_eq!(with_gold(dec!(0.1), dec!(0.2), dec!(560.01)), Some(Rule::Exposure));
    assert_eq!(with_gold(dec!(-0.1), dec!(-0.2), dec!(560.01)), Some(Rule::Exposure), "not a hedge");
    assert_eq!(with_gold(dec!(-0.5), dec!(-0.49), dec!(560.01)), Some(Rule::Exposure));
    // Strongly against bitcoin it takes its beta off: 900 + 240 - 0.5 × 400 = 940.
    assert_eq!(with_gold(dec!(-0.5), dec!(-0.8), dec!(900)), None);
    assert_eq!(with_gold(dec!(-0.5), dec!(-0.8), dec!(960.01)), Some(Rule::Exposure));
    // And long gold that falls when bitcoin rises is a bet against bitcoin.
    let mut scene = Scene::long();
    scene.proposal.symbol = symbol("PAXGUSDT");
    (scene.market.coins[2].beta, scene.market.coins[2].correlation) = (Some(dec!(-2)), Some(dec!(-0.9)));
    scene.own().holdings = vec![held("ETHUSDT", Direction::Short, dec!(530))];
    assert_eq!(scene.refused_by(), Some(Rule::Exposure), "530 and 480 are short of bitcoin");
    scene.own().holdings[0].notional = dec!(520);
    assert_eq!(scene.refused_by(), None);
}

#[test]
fn an_opening_that_lessens_a_direction_is_not_refused_for_it() {
    let mut scene = Scene::short();
    scene.settings.risk.guards.exposure = None;
    scene.own().holdings = vec![held("ETHUSDT", Direction::Long, dec!(1400))];
    assert_eq!(scene.refused_by(), None, "1400 long is too much, and 1160 still is, but less so");
}

#[test]
fn all_accounts_together_have_the_same_limits() {
    let mut scene = Scene::long();
    scene.book.accounts[1].holdings = vec![held("ETHUSDT", Direction::Long, dec!(1760))];
    assert_eq!(scene.refused_by(), None, "1760 and 240 of 2000");
    scene.book.accounts[1].holdings[0].notional = dec!(1760.01);
    assert_eq!(scene.refused_by(), Some(Rule::Exposure));
}

#[test]
fn either_exposure_limit_can_be_switched_off_alone() {
    let mut scene = Scene::long();
    scene.own().holdings = vec![held("ETHUSDT", Direction::Long, dec!(1000))];
    scene.settings.risk.guards.exposure_direction = None;
    assert_eq!(scene.refused_by(), None, "1240 gross");
    scene.own().holdings[0].notional = dec!(1300);
    assert_eq!(scene.refused_by(), Some(Rule::Exposure));
    scene.settings.risk.guards.exposure = None;
    assert_eq!(scene.refused_by(), None);
}

#[test]
fn readings_show_limit_and_value_of_each_account_and_of_all() {
    let mut scene = Scene::long();
    scene.own().holdings = vec![held("ETHUSDT", Direction::Long, dec!(1000)); 6];
    scene.own().traded = dec!(1500);
    scene.own().standing = Standing { day: dec!(-0.02), drawdown: dec!(0.12) };
    let now = scene.now;
    scene.own().closed.insert(symbol("SOLUSDT"), now - TimeDelta::hours(1));
    scene.own().closed.insert(symbol("ADAUSDT"), now - TimeDelta::hours(4));
    scene.market.trend = Trend::Falling;
    scene.book.openings = vec![Direction::Long; 16];
    scene.market.events = vec![(now + TimeDelta::minutes(20), "US CPI".into())];
    let halts = [halt(HaltScope::Account(name("mirat")), HaltLevel::Frozen)];
    let sight = Sight {
        book: &scene.book,
        market: &scene.market,
        now,
        halts: &halts,
        silent: None,
        budget: Some((dec!(1.25), dec!(5))),
    };
    let readings = Guards::of(&scene.settings).readings(&sight);
    let of = |rule: Rule, account: Option<&str>| {
        let found = readings.iter().find(|reading| {
            reading.rule == rule && reading.account.as_ref().map(AccountName::as_str) == account
        });
        let reading = found.unwrap_or_else(|| panic!("no reading of {rule:?} {account:?}"));
        (reading.value.as_str(), reading.used, reading.refuses)
    };
    assert_eq!(of(Rule::Halted, Some("mirat")), ("frozen", None, true));
    assert_eq!(of(Rule::Halted, Some("mevlut")), ("free", None, false));
    assert_eq!(of(Rule::DailyLoss, Some("mirat")), ("-2 %", Some(0.5), false));
    assert_eq!(of(Rule::Drawdown, Some("mirat")), ("-12 %", Some(1.0), true));
    assert_eq!(of(Rule::DailyLoss, None), ("0 %", Some(0.0), false));
    assert_eq!(of(Rule::MaximumPositions, Some("mirat")), ("6", Some(1.0), true));
    assert_eq!(of(Rule::Turnover, Some("mirat")), ("150 %", Some(0.5), false));
    assert_eq!(of(Rule::Cooldown, Some("mirat")), ("SOL", None, true));
    assert_eq!(of(Rule::Cooldown, Some("mevlut")), ("none", None, false));
    assert_eq!(of(Rule::LongBias, None), ("16 of 16 LONG, market falling", Some(1.0), true));
    let cpi = format!("US CPI, {}", (now + TimeDelta::minutes(20)).format("%d %b %H:%MZ"));
    assert_eq!(of(Rule::EventBlackout, None), (cpi.as_str(), None, true));
    let exposed = "gross 600 %, long 600 %, short 0 %";
    assert_eq!(of(Rule::Exposure, Some("mirat")), (exposed, Some(6.0), true));
    assert_eq!(of(Rule::Exposure, None), ("gross 300 %, long 300 %, short 0 %", Some(3.0), true));
    assert_eq!(of(Rule::ModelBudget, None), ("$1.25", Some(0.25), false));
}
