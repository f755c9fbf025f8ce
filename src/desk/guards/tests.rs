//! The list as a whole: its order, its profiles, and that each of its guards is needed.

use chrono::TimeDelta;
use rust_decimal_macros::dec;

use super::scene::{Scene, held, name, symbol};
use super::*;
use crate::config::GuardSettings;
use crate::domain::{DecisionWord, HaltLevel, HaltOrigin, HaltScope};

/// A case that the guard of this name refuses, and no other.
fn refused_only_by(rule: Rule) -> Scene {
    let mut scene = Scene::long();
    match rule {
        Rule::Threshold => scene = Scene::new(DecisionWord::Long, "0.7499"),
        Rule::AllowedAction => scene.position = Some(crate::desk::signals::tests::long_position()),
        Rule::Halted => scene.halts.push(halt(HaltScope::Desk, HaltLevel::NoEntries)),
        Rule::Unresolved => scene.unresolved = true,
        Rule::NoPrice => scene.coin().now = None,
        Rule::StaleData => scene.price("60601"),
        Rule::PriceSanity => scene.coin().index = Some("60601".parse().unwrap()),
        Rule::Stop => scene.stop_distance = "40%",
        Rule::MinimumHold => scene = Scene::close(),
        Rule::DailyLoss => scene.own().standing.day = dec!(-0.04),
        Rule::Drawdown => scene.own().standing.drawdown = dec!(0.12),
        Rule::EventBlackout => {
            let at = scene.now + TimeDelta::minutes(30);
            scene.market.events.push((at, "US CPI".into()));
        }
        Rule::Cooldown => {
            let closed = scene.now - TimeDelta::minutes(239);
            scene.own().closed.insert(symbol("BTCUSDT"), closed);
        }
        Rule::MaximumPositions => {
            scene.own().holdings = vec![held("ETHUSDT", Direction::Short, dec!(1)); 6];
        }
        Rule::ExpectedMove => scene.coin().atr = Some(dec!(179)),
        Rule::LongBias => {
            scene.market.trend = Trend::Falling;
            scene.book.openings = vec![Direction::Long; 16];
        }
        Rule::Sizing => scene.own().equity = dec!(400),
        Rule::Turnover => scene.own().traded = dec!(2761),
        Rule::Exposure => scene.own().holdings = vec![held("ETHUSDT", Direction::Long, dec!(761))],
        Rule::ModelBudget => scene.spent = Some("the cycle's budget of $0.5 is spent ($0.6)"),
        other => panic!("{other:?} is no guard of the list"),
    }
    scene
}

pub(super) fn halt(scope: HaltScope, level: HaltLevel) -> Halt {
    let since = Timestamp::from_timestamp_millis(1_772_438_000_000).unwrap();
    Halt { scope, level, origin: HaltOrigin::Operator, reason: "why".into(), since, until: None }
}

#[test]
fn an_opening_that_every_guard_lets_through_is_sized_on_the_step() {
    let order = Scene::long().order();
    assert_eq!((order.quantity.to_string().as_str(), order.margin), ("0.004", dec!(80)));
    assert_eq!((order.direction, order.reference.to_string().as_str()), (Direction::Long, "60000"));
    assert_eq!(Scene::short().order().direction, Direction::Short);
}

#[test]
fn each_guard_refuses_what_no_other_would_refuse_in_its_place() {
    for rule in Guards::of(&Settings::default()).names() {
        let scene = refused_only_by(rule);
        assert_eq!(scene.refused_by(), Some(rule), "{rule:?}");
        assert_eq!(scene.refused_without(rule), None, "without {rule:?} somebody else refuses");
    }
}

#[test]
fn each_switch_switches_its_own_guard_off_and_no_other() {
    type Switch = fn(&mut GuardSettings);
    let switches: [(Rule, Switch); 12] = [
        (Rule::StaleData, |guards| guards.stale_data = None),
        (Rule::PriceSanity, |guards| guards.price_sanity = None),
        (Rule::DailyLoss, |guards| guards.daily_loss = None),
        (Rule::Drawdown, |guards| guards.drawdown = None),
        (Rule::MaximumPositions, |guards| guards.maximum_positions = None),
        (Rule::Cooldown, |guards| guards.cooldown = None),
        (Rule::ExpectedMove, |guards| guards.expected_move = None),
        (Rule::EventBlackout, |guards| guards.event_blackout = None),
        (Rule::LongBias, |guards| guards.long_bias = None),
        (Rule::Turnover, |guards| guards.turnover = None),
        (Rule::Exposure, |guards| (guards.exposure, guards.exposure_direction) = (None, None)),
        (Rule::MinimumHold, |guards| guards.minimum_hold = None),
    ];
    for (rule, switch) in switches {
        for other in Guards::of(&Settings::default()).names() {
            let mut scene = refused_only_by(other);
            switch(&mut scene.settings.risk.guards);
            let expected = (other != rule).then_some(other);
            assert_eq!(scene.refused_by(), expected, "{rule:?} off, a case for {other:?}");
        }
    }
}

#[test]
fn classic_keeps_the_threshold_the_allowed_action_and_what_safety_needs() {
    let mut kept = Vec::new();
    for rule in Guards::of(&Settings::default()).names() {
        let mut scene = refused_only_by(rule);
        scene.settings.profile = Profile::Classic;
        if let Some(refused_by) = scene.refused_by() {
            assert_eq!(refused_by, rule);
            kept.push(rule);
        }
    }
    let expected = [
        Rule::Threshold,
        Rule::AllowedAction,
        Rule::NoPrice,
        Rule::StaleData,
        Rule::PriceSanity,
        Rule::Halted,
        Rule::Unresolved,
        Rule::Stop,
        Rule::ModelBudget,
    ];
    // 400 USDT of equity are enough for a whole classic allocation, so that case passes here.
    assert_eq!(kept, expected);
}

/// The order of the design: threshold; allowed action; stale data; price sanity; frozen or halted; maximum positions;
/// sizing; exposure; anti-churn; long-bias brake; blackout; daily and drawdown loss; model budget.
const ORDER: [Rule; 20] = [
    Rule::Threshold,
    Rule::AllowedAction,
    Rule::NoPrice,
    Rule::StaleData,
    Rule::PriceSanity,
    Rule::Halted,
    Rule::Unresolved,
    Rule::MaximumPositions,
    Rule::Stop,
    Rule::Sizing,
    Rule::Exposure,
    Rule::MinimumHold,
    Rule::Cooldown,
    Rule::Turnover,
    Rule::ExpectedMove,
    Rule::LongBias,
    Rule::EventBlackout,
    Rule::DailyLoss,
    Rule::Drawdown,
    Rule::ModelBudget,
];

#[test]
fn the_guards_are_asked_in_the_order_of_the_design() {
    assert_eq!(Guards::of(&Settings::default()).names(), ORDER);
}

#[test]
fn of_all_guards_that_refuse_the_first_in_the_order_has_the_word() {
    let opening = ORDER.into_iter().filter(|rule| *rule != Rule::MinimumHold);
    let mut scene = Scene::new(DecisionWord::Long, "0.1");
    scene.position = Some(crate::desk::signals::tests::long_position());
    (scene.unresolved, scene.spent, scene.stop_distance) = (true, Some("spent"), "40%");
    scene.halts.push(halt(HaltScope::Desk, HaltLevel::NoEntries));
    scene.market.events.push((scene.now, "US CPI".into()));
    scene.market.trend = Trend::Falling;
    scene.book.openings = vec![Direction::Long; 16];
    let now = scene.now;
    let coin = scene.coin();
    (coin.now, coin.stale, coin.atr) = (None, Some("a source".to_owned()), Some(dec!(1)));
    coin.index = Some("99999".parse().unwrap());
    let own = scene.own();
    own.holdings = vec![held("ETHUSDT", Direction::Long, dec!(761)); 6];
    own.standing = Standing { day: dec!(-0.04), drawdown: dec!(0.12) };
    (own.free_margin, own.traded) = (dec!(0), dec!(100000));
    own.closed.insert(symbol("BTCUSDT"), now);
    let mut guards = Guards::of(&scene.settings);
    for rule in opening {
        if rule == Rule::Exposure {
            // What has no size adds nothing.
            scene.own().free_margin = dec!(1000);
            scene.proposal.confidence = Scene::long().proposal.confidence;
        }
        let Verdict::Settled(outcome) = scene.with(|facts| guards.judge(facts)) else { panic!("{rule:?}") };
        assert_eq!(outcome.rule, Some(rule));
        guards = guards.without(rule);
    }
    assert!(matches!(scene.with(|facts| guards.judge(facts)), Verdict::Open(_)), "nobody is left to refuse");
    let mut close = Scene::close();
    close.spent = Some("spent");
    assert_eq!(close.refused_by(), Some(Rule::MinimumHold));
    close.halts.push(halt(HaltScope::Desk, HaltLevel::Frozen));
    assert_eq!(close.refused_by(), Some(Rule::Halted));
}

#[test]
fn a_spent_budget_of_the_model_refuses_with_its_limit_and_its_value_closes_included() {
    for mut scene in [Scene::long(), Scene::short(), Scene::close()] {
        scene.settings.risk.guards.minimum_hold = None;
        scene.spent = Some("the cycle's budget of $0.5 is spent ($0.6)");
        let Verdict::Settled(outcome) = scene.judge() else { panic!("not refused") };
        assert_eq!((outcome.kind, outcome.rule), (OutcomeKind::Refused, Some(Rule::ModelBudget)));
        assert_eq!(outcome.detail, scene.spent.unwrap());
    }
}

#[test]
fn a_row_that_is_not_usable_is_never_traded() {
    let mut scene = Scene::long();
    scene.proposal.confidence = None;
    assert_eq!(scene.refused_by(), Some(Rule::Malformed));
}

#[test]
fn hold_and_no_trade_settle_as_nothing_whatever_the_guards_think() {
    for word in [DecisionWord::NoTrade, DecisionWord::Hold] {
        let mut scene = Scene::new(word, "0.9");
        scene.halts.push(halt(HaltScope::Desk, HaltLevel::Flattened));
        let Verdict::Settled(outcome) = scene.judge() else { panic!("not settled") };
        assert_eq!((outcome.kind, outcome.detail.as_str()), (OutcomeKind::None, "no position is wanted"));
        scene.position = Scene::close().position;
        let Verdict::Settled(outcome) = scene.judge() else { panic!("not settled") };
        assert_eq!(outcome.detail, "the position is kept");
    }
}

#[test]
fn a_close_without_a_position_is_not_allowed_and_one_with_a_position_needs_no_confidence() {
    let mut scene = Scene::close();
    scene.position.as_mut().unwrap().opened_at = None;
    let Verdict::Close(approved) = scene.judge() else { panic!("not closed") };
    assert_eq!(
        (approved.order().direction, approved.order().quantity),
        (Direction::Long, "0.01".parse().unwrap())
    );
    scene.position = None;
    assert_eq!(scene.refused_by(), Some(Rule::AllowedAction));
}

#[test]
fn a_position_is_neither_added_to_nor_reversed() {
    for word in [DecisionWord::Long, DecisionWord::Short] {
        let mut scene = Scene::new(word, "0.95");
        scene.position = Scene::close().position;
        assert_eq!(scene.refused_by(), Some(Rule::AllowedAction));
    }
}

#[test]
fn nothing_but_a_halt_the_minimum_hold_and_a_spent_budget_ever_refuses_a_close() {
    for rule in Guards::of(&Settings::default()).names() {
        let mut scene = refused_only_by(rule);
        let close = Scene::close();
        let mut position = close.position.unwrap();
        position.opened_at = None;
        (scene.proposal, scene.position) = (close.proposal, Some(position));
        let expected = (rule == Rule::ModelBudget).then_some(rule);
        assert_eq!(scene.refused_by(), expected, "{rule:?}");
    }
}

#[test]
fn an_account_that_traded_far_too_much_may_still_close() {
    let traded = |mut scene: Scene| {
        scene.own().traded = dec!(1000000);
        scene.refused_by()
    };
    assert_eq!(traded(Scene::long()), Some(Rule::Turnover));
    let mut close = Scene::close();
    close.position.as_mut().unwrap().opened_at = None;
    assert_eq!(traded(close), None);
}

#[test]
fn only_a_model_that_is_paid_for_has_a_budget() {
    for (provider, is_paid) in [(Provider::Builtin, false), (Provider::Anthropic, true)] {
        let mut settings = Settings::default();
        settings.model.provider = provider;
        settings.model.daily_budget_usd = "2.50".parse().unwrap();
        let limits = Guards::of(&settings).limits();
        let told =
            limits.iter().find(|(rule, _)| *rule == Rule::ModelBudget).map(|(_, words)| words.as_str());
        assert_eq!(told, is_paid.then_some("$2.5 a day"), "{limits:?}");
    }
}

#[test]
fn the_middle_coin_is_found_in_whatever_order_the_coins_stand() {
    for changes in [[40.0, -2.0, -1.5], [-2.0, 40.0, -1.5], [-2.0, -1.5, 40.0]] {
        assert_eq!(Trend::of(changes.iter().map(|day| [Some(*day), None])), Trend::Falling, "{changes:?}");
    }
}

#[test]
fn what_is_certain_before_the_model_is_asked_bars_the_opening_and_the_rest_does_not() {
    let certain = [
        Rule::Halted,
        Rule::DailyLoss,
        Rule::Drawdown,
        Rule::EventBlackout,
        Rule::Cooldown,
        Rule::MaximumPositions,
        Rule::ExpectedMove,
        Rule::LongBias,
    ];
    for rule in Guards::of(&Settings::default()).names() {
        let mut scene = refused_only_by(rule);
        scene.position = None;
        scene.proposal = crate::domain::Proposal::empty(name("mirat"), symbol("BTCUSDT"));
        let guards = Guards::of(&scene.settings);
        let barred = scene.with(|facts| guards.bar(facts, Direction::Long)).map(|refusal| refusal.rule);
        assert_eq!(barred, certain.contains(&rule).then_some(rule), "{rule:?}");
    }
    let mut scene = refused_only_by(Rule::LongBias);
    let guards = Guards::of(&scene.settings);
    assert_eq!(scene.with(|facts| guards.bar(facts, Direction::Short)), None, "the other way stays open");
    let position = Scene::close().position.unwrap();
    assert_eq!(scene.with(|facts| guards.bar_close(facts, &position)), None);
    scene.halts.push(halt(HaltScope::Desk, HaltLevel::Frozen));
    assert!(scene.with(|facts| guards.bar_close(facts, &position)).is_some());
}

#[test]
fn what_was_approved_counts_for_the_next() {
    let mut scene = Scene::long();
    let order = scene.order();
    scene.book.promise(&order);
    let own = scene.book.account(&name("mirat")).unwrap();
    assert_eq!((own.free_margin, own.traded), (dec!(920), dec!(240)));
    assert_eq!(own.holdings, [held("BTCUSDT", Direction::Long, dec!(240))]);
    assert_eq!(scene.book.openings, [Direction::Long]);
    assert_eq!(scene.book.account(&name("mevlut")).unwrap().holdings, []);
}

#[test]
fn only_what_is_on_is_told_as_a_limit_and_everything_is_shown() {
    let mut scene = Scene::long();
    scene.settings.risk.guards.cooldown = None;
    let guards = Guards::of(&scene.settings);
    let limits = guards.limits();
    let limits: Vec<(Rule, &str)> = limits.iter().map(|(rule, words)| (*rule, words.as_str())).collect();
    assert_eq!(
        limits,
        [
            (Rule::Threshold, "0.75"),
            (Rule::AllowedAction, "no adding, no reversing"),
            (Rule::NoPrice, "a price then and now"),
            (Rule::StaleData, "1% since the brief"),
            (Rule::PriceSanity, "1% between mark, last and index"),
            (Rule::Halted, "no halt"),
            (Rule::Unresolved, "no order of unknown fate"),
            (Rule::MaximumPositions, "6 positions"),
            (Rule::Stop, "a stop before liquidation"),
            (Rule::Sizing, "the exchange's filters and the free margin"),
            (Rule::Exposure, "150% of equity gross, 100% a direction, beta-weighted"),
            (Rule::MinimumHold, "3h"),
            (Rule::Turnover, "300% of equity in 24 h"),
            (Rule::ExpectedMove, "ATR of 4 h at least 0.3 % (3 round trips)"),
            (Rule::LongBias, "80% of 20 openings against the market"),
            (Rule::EventBlackout, "30m around a high-impact entry"),
            (Rule::DailyLoss, "-4% a day"),
            (Rule::Drawdown, "-12% from the highest equity"),
        ]
    );
    let sight = Sight {
        book: &scene.book,
        market: &scene.market,
        now: scene.now,
        halts: &[],
        silent: None,
        budget: None,
    };
    let readings = guards.readings(&sight);
    assert!(readings.iter().all(|reading| reading.rule != Rule::ModelBudget), "it costs nothing here");
    for rule in guards.names().into_iter().filter(|rule| *rule != Rule::ModelBudget) {
        let of_rule: Vec<&GuardReading> = readings.iter().filter(|reading| reading.rule == rule).collect();
        assert!(!of_rule.is_empty(), "{rule:?} is not shown");
        assert!(of_rule.iter().all(|reading| reading.on == (rule != Rule::Cooldown)), "{rule:?}");
        assert!(of_rule.iter().all(|reading| !reading.refuses), "{of_rule:?}");
    }
}
