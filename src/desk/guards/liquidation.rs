//! A stop and the liquidation behind it, on both sides of the edge.

use rust_decimal_macros::dec;

use super::scene::{Scene, steps};
use super::*;
use crate::config::StopLoss;

/// What the guard says of a stop this far away.
fn no_to(scene: impl Fn() -> Scene, distance: &'static str, leverage: u32) -> Option<String> {
    let mut scene = scene();
    (scene.stop_distance, scene.leverage) = (distance, leverage);
    match scene.judge() {
        Verdict::Settled(outcome) if outcome.rule == Some(Rule::Stop) => Some(outcome.detail),
        _ => None,
    }
}

/// Bitcoin where 125x is allowed, up to 500 USDT and then with a twentieth of the notional.
fn told(mut scene: Scene) -> Scene {
    scene.brackets =
        Some(steps(&[(125, dec!(500), dec!(0.004), dec!(0)), (20, dec!(9000), dec!(0.05), dec!(23))]));
    scene
}

/// The first step alone, however large.
fn told_of_one_step(mut scene: Scene) -> Scene {
    scene.brackets = Some(steps(&[(125, dec!(9000000), dec!(0.004), dec!(0))]));
    scene
}

#[test]
fn without_the_steps_of_the_exchange_two_percent_are_kept() {
    for scene in [Scene::long, Scene::short] {
        assert_eq!(no_to(scene, "7.99%", 10), None);
        let no = no_to(scene, "8%", 10).unwrap();
        assert_eq!(
            no,
            "a stop 8% from the entry lies beyond liquidation at 10x: with 2 % of maintenance margin, a careful guess, it has to be less than 8 % away; lower stop_loss or leverage"
        );
        for leverage in 3..=8 {
            assert_eq!(no_to(scene, "10%", leverage), None, "{leverage}x");
        }
        assert!(no_to(scene, "10%", 9).is_some());
        for leverage in [0, 1] {
            assert_eq!(
                no_to(scene, "97.9%", leverage),
                None,
                "without leverage the whole price is there to lose"
            );
            assert!(no_to(scene, "98%", leverage).is_some());
        }
    }
}

#[test]
fn the_steps_of_the_exchange_count_where_they_are_known() {
    let long = || told_of_one_step(Scene::long());
    assert_eq!(no_to(long, "9.59%", 10), None);
    let no = no_to(long, "9.6%", 10).unwrap();
    assert!(
        no.contains("at 10x: with 0.4 % of maintenance margin it has to be less than 9.6 % away"),
        "{no}"
    );
    // At its stop a short is worth more than it was, and so is what has to be kept.
    let short = || told_of_one_step(Scene::short());
    assert_eq!(no_to(short, "9.56%", 10), None);
    assert!(no_to(short, "9.57%", 10).is_some());
}

#[test]
fn the_step_is_that_of_the_size_that_is_opened() {
    // 780 USDT: a twentieth less 23 USDT are 16 USDT, or 2.05 %.
    let long = || told(Scene::long());
    assert_eq!(no_to(long, "7.94%", 10), None);
    assert!(no_to(long, "7.95%", 10).unwrap().contains("with 2.05 % of maintenance margin it"));
    let small = || {
        let mut scene = told(Scene::long());
        scene.own().equity = dec!(500);
        scene
    };
    assert_eq!(no_to(small, "9.59%", 10), None, "360 USDT are within the first step");
}

#[test]
fn a_stop_that_goes_by_the_margin_leaves_the_maintenance_margin_too() {
    let told = || told_of_one_step(Scene::long());
    for (of_margin, distance, is_refused, is_refused_untold) in
        [("50%", "2.5%", false, false), ("60%", "3%", false, true), ("90%", "4.5%", false, true)]
    {
        let stop = StopLoss::Margin(of_margin.parse().unwrap());
        assert_eq!(stop.price_percent(20).unwrap().to_string(), distance);
        assert_eq!(no_to(told, distance, 20).is_some(), is_refused, "{of_margin}");
        assert_eq!(no_to(Scene::long, distance, 20).is_some(), is_refused_untold, "{of_margin}");
    }
    let stop = StopLoss::Margin("95%".parse().unwrap());
    assert_eq!(stop.price_percent(20).unwrap().to_string(), "4.75%");
    assert!(no_to(told, "4.75%", 20).is_some(), "the last 5 % of the margin are the exchange's");
}
