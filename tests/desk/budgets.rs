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
    let rig = rig(|settings| settings.model.daily_budget_usd = Decimal::new(4, 2)).await;
    let first = rig.cycle().await;
    assert!(ended_without_trades(&first, "the day's budget of $0.04 is spent"), "{:?}", first.errors);
    assert_eq!(first.model.iterations, 1, "the second turn is refused before it is sent");
    assert!(first.usage.cost_usd > Decimal::new(4, 2), "{:?}", first.usage);
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
async fn a_day_has_tokens_and_seconds_as_it_has_dollars() {
    let rig = rig(|settings| settings.model.daily_tokens = 1000).await;
    let report = rig.cycle().await;
    assert!(ended_without_trades(&report, "the day's budget of 1000 tokens"), "{:?}", report.errors);
    assert_eq!(report.model.iterations, 0);
    let late = crate::budgets::rig(|settings| settings.model.daily_seconds = 0).await.cycle().await;
    assert!(ended_without_trades(&late, "the day's budget of 0 s"), "{:?}", late.errors);
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
    assert_eq!(spent, jarvis::store::Spending::default());
    let other =
        rig.store.spent_since(crate::rig::now() - chrono::Duration::days(1), "anthropic").await.unwrap();
    assert_eq!(other.usd, report.usage.cost_usd);
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

/// Tokens of one recorded stream: input, cache writes, cache reads, output; read by plain means.
fn tokens_of(stream: &[u8]) -> [u64; 4] {
    let mut told = [0; 4];
    let names = ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens"];
    for line in String::from_utf8_lossy(stream).lines() {
        let Some(data) = line.strip_prefix("data:") else { continue };
        let event: serde_json::Value = serde_json::from_str(data.trim()).unwrap();
        let usage =
            if event["type"] == "message_start" { &event["message"]["usage"] } else { &event["usage"] };
        for (tokens, name) in told.iter_mut().zip(names) {
            // What comes later replaces what came before.
            *tokens = usage[name].as_u64().unwrap_or(*tokens);
        }
    }
    told
}

#[tokio::test]
async fn three_cycles_counted_by_hand_from_what_was_recorded_cost_what_the_desk_says() {
    let plan = Plan { settings: settings(|settings| settings.dry_run = true), ..Plan::default() };
    let rig = Rig::new(plan).await;
    let mut all = Decimal::ZERO;
    for number in 1..=3 {
        let report = rig.cycle().await;
        let calls = rig.store.model_calls_of(&report.cycle_id).await.unwrap();
        let mut sum = [0_u64; 4];
        for call in &calls {
            for (sum, tokens) in sum.iter_mut().zip(tokens_of(&call.response)) {
                *sum += tokens;
            }
        }
        let [input, written, read, output] = sum;
        // Dollars for a million tokens of claude-sonnet-4-6: 3 in, 3.75 written, 0.30 read, 15 out.
        let micros = input * 300 + written * 375 + read * 30 + output * 1500;
        let dollars = Decimal::from(micros) / Decimal::from(100_000_000);
        let usage = &report.usage;
        let told = [
            usage.input_tokens,
            usage.cache_creation_input_tokens,
            usage.cache_read_input_tokens,
            usage.output_tokens,
        ];
        // The same cycle with two thousand tokens of output, as the first desk's model wrote.
        let usual = dollars - (Decimal::from(output) - Decimal::from(2000)) * Decimal::new(15, 6);
        println!(
            "cycle {number}: {} requests, {sum:?} tokens (in, written, read, out): ${dollars}, at 2000 out ${usual}",
            calls.len()
        );
        assert_eq!(told, sum);
        assert_eq!(usage.cost_usd, dollars.normalize());
        assert_eq!(calls.len(), 3, "two turns with tool calls, then the answer");
        assert!(usual.max(dollars) <= Decimal::new(10, 2), "a cycle with two tool turns costs ${dollars}");
        all += dollars;
    }
    let day = rig.store.usage_since(crate::rig::now() - chrono::Duration::hours(1)).await.unwrap();
    assert_eq!(day.cost_usd, all.normalize());
}
