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
        Rule::Halted,
        Rule::Unresolved,
        Rule::NoPrice,
        Rule::StaleData,
        Rule::PriceSanity,
        Rule::Stop,
    ];
    // 400 USDT of equity are enough for a whole classic allocation, so that case passes here.
    assert_eq!(kept, expected);
}

#[test]
fn the_first_in_the_list_has_the_word() {
    let names = Guards::of(&Settings::default()).names();
    let place = |rule: Rule| names.iter().position(|name| *name == rule).unwrap();
    assert_eq!(place(Rule::Threshold), 0);
    assert!(place(Rule::NoPrice) < place(Rule::Sizing) && place(Rule::Sizing) < place(Rule::Exposure));
    let mut scene = refused_only_by(Rule::Exposure);
    scene.own().traded = dec!(100000);
    assert_eq!(scene.refused_by(), Some(Rule::Turnover));
    scene.unresolved = true;
    assert_eq!(scene.refused_by(), Some(Rule::Unresolved));
    scene.proposal.confidence =
        Some("0.1".parse::<Decimal>().map(crate::domain::Confidence::new).unwrap().unwrap());
    assert_eq!(scene.refused_by(), Some(Rule::Threshold));
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
fn nothing_but_a_halt_and_the_minimum_hold_ever_refuses_a_close() {
    for rule in Guards::of(&Settings::default()).names() {
        let mut scene = refused_only_by(rule);
        let close = Scene::close();
        let mut position = close.position.unwrap();
        position.opened_at = None;
        (scene.proposal, scene.position) = (close.proposal, Some(position));
        assert_eq!(scene.refused_by(), None, "{rule:?}");
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
    assert!(limits.iter().all(|(rule, _)| *rule != Rule::Cooldown));
    assert!(limits.contains(&(Rule::MaximumPositions, "6 positions".to_owned())));
    assert!(limits.contains(&(Rule::MinimumHold, "3h".to_owned())));
    assert!(limits.contains(&(Rule::ExpectedMove, "ATR of 4 h at least 0.3 % (3 round trips)".to_owned())));
    let sight = Sight { book: &scene.book, market: &scene.market, now: scene.now, halts: &[], budget: None };
    let readings = guards.readings(&sight);
    for rule in guards.names() {
        let of_rule: Vec<&GuardReading> = readings.iter().filter(|reading| reading.rule == rule).collect();
        assert!(!of_rule.is_empty(), "{rule:?} is not shown");
        assert!(of_rule.iter().all(|reading| reading.on == (rule != Rule::Cooldown)), "{rule:?}");
        assert!(of_rule.iter().all(|reading| !reading.refuses), "{of_rule:?}");
    }
}
