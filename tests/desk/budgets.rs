//! Money, tokens and repeated questions are bounded by code, and a spent budget ends a cycle without trades.

use jarvis::config::{Provider, Settings};
use jarvis::domain::{CycleReport, OutcomeKind};
use rust_decimal::Decimal;

use crate::rig::{Plan, Rig};

fn settings(change: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = Settings::default();
    settings.model.provider = Provider::Anthropic;
    change(&mut settings);
    settings
}

async fn rig(change: impl FnOnce(&mut Settings)) -> Rig {
    Rig::new(Plan { settings: settings(change), ..Plan::default() }).await
}

fn ended_without_trades(report: &CycleReport, why: &str) -> bool {
    report.decisions.iter().all(|row| row.outcome.kind == OutcomeKind::Invalid)
        && report.errors.iter().any(|error| error.contains(why))
}

#[tokio::test]
async fn a_spent_day_ends_the_cycle_and_then_nothing_is_asked_at_all() {
    let rig = rig(|settings| settings.model.daily_budget_usd = Decimal::new(1, 2)).await;
    let first = rig.cycle().await;
    assert!(ended_without_trades(&first, "the day's budget of $0.01 is spent"), "{:?}", first.errors);
    assert_eq!(first.model.iterations, 1, "the second turn is refused before it is sent");
    assert!(first.usage.cost_usd > Decimal::new(1, 2));
    let second = rig.cycle().await;
    assert!(ended_without_trades(&second, "the day's budget"), "{:?}", second.errors);
    assert_eq!(second.usage.input_tokens, 0);
}

#[tokio::test]
async fn a_cycle_has_budgets_of_its_own() {
    let tokens = rig(|settings| settings.model.cycle_tokens = 1000).await.cycle().await;
    assert!(ended_without_trades(&tokens, "budget of 1000 tokens"), "{:?}", tokens.errors);
    let money = rig(|settings| settings.model.cycle_budget_usd = Decimal::new(1, 3)).await.cycle().await;
    assert!(ended_without_trades(&money, "the cycle's budget of $0.001"), "{:?}", money.errors);
}

#[tokio::test]
async fn a_model_without_a_price_is_not_asked() {
    let plan = Plan { settings: settings(|_| ()), priced_as: None, ..Plan::default() };
    let report = Rig::new(plan).await.cycle().await;
    assert!(ended_without_trades(&report, "set model.price_input"), "{:?}", report.errors);
    assert_eq!(report.model.iterations, 0);
}

#[tokio::test]
async fn the_built_in_analyst_spends_no_budget_and_its_estimates_burden_no_other() {
    let mut settings = Settings::default();
    settings.model.daily_budget_usd = Decimal::ZERO;
    let rig = Rig::new(Plan { settings, ..Plan::default() }).await;
    let report = rig.cycle().await;
    assert!(report.usage.cost_usd > Decimal::ZERO, "an estimate is shown");
    assert!(report.decisions.iter().all(|row| row.outcome.kind != OutcomeKind::Invalid));
    let spent =
        rig.store.spent_since(crate::rig::now() - chrono::Duration::days(1), "builtin").await.unwrap();
    assert_eq!(spent, Decimal::ZERO);
    let other =
        rig.store.spent_since(crate::rig::now() - chrono::Duration::days(1), "anthropic").await.unwrap();
    assert_eq!(other, report.usage.cost_usd);
}

#[tokio::test]
async fn the_habit_of_using_tools_is_counted_per_provider() {
    let rig = rig(|_| ()).await;
    let none = rig.store.tool_habit("anthropic", 20).await.unwrap();
    assert_eq!((none.cycles, none.with_tools), (0, 0));
    rig.cycle().await;
    let one = rig.store.tool_habit("anthropic", 20).await.unwrap();
    assert_eq!((one.cycles, one.with_tools), (1, 1));
    assert_eq!(rig.store.tool_habit("builtin", 20).await.unwrap().cycles, 0);
}
