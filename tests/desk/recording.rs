//! A stored cycle, had again without the model.

use jarvis::config::{PromptLanguage, Settings};
use jarvis::desk::playback::play_back;
use jarvis::domain::{CycleId, CycleReport, DecisionRow};
use jarvis::llm::{Recorded, RecordedCall};
use jarvis::store::Store;
use jarvis::world::analyst::{AnalystOptions, Fault};

use crate::rig::{Plan, Rig};

/// Everything of a row but the names of its orders.
fn rows(report: &CycleReport) -> Vec<DecisionRow> {
    let nameless = |row: &DecisionRow| {
        let mut row = row.clone();
        row.outcome.orders.clear();
        row
    };
    report.decisions.iter().map(nameless).collect()
}

#[tokio::test]
async fn a_stored_cycle_is_replayed_to_the_byte_repair_included() {
    let analyst = AnalystOptions {
        fault: Some(Fault::MalformedRows),
        faulty_answers: Some(3),
        ..AnalystOptions::default()
    };
    let first = Rig::new(Plan { analyst, ..Plan::default() }).await;
    let before = first.cycle().await;
    let stored = first.store.model_calls_of(&before.cycle_id).await.unwrap();
    assert_eq!(stored.len(), 4);
    let recorded = Recorded::new(stored.iter().map(|call| RecordedCall {
        request: call.request.clone(),
        status: call.status,
        response: call.response.clone(),
        request_id: call.request_id.clone(),
        error: call.error.clone(),
    }));
    let again = Rig::new(Plan { recorded: Some(recorded.clone()), ..Plan::default() }).await;
    let after = again.cycle().await;
    assert_eq!(rows(&before), rows(&after), "{:?}", after.errors);
    assert_eq!((&before.analysis, &before.usage), (&after.analysis, &after.usage));
    assert_eq!(recorded.left(), 0);
    let replayed = again.store.model_calls_of(&after.cycle_id).await.unwrap();
    let bytes = |calls: &[jarvis::store::ModelCall]| {
        calls.iter().map(|call| (call.request.clone(), call.response.clone())).collect::<Vec<_>>()
    };
    assert_eq!(bytes(&stored), bytes(&replayed));
}

/// A desk that sends no order, in one language, with all the time there is.
fn quiet() -> Plan {
    let mut settings = Settings { dry_run: true, ..Settings::default() };
    settings.model.prompt = PromptLanguage::English;
    Plan { settings, ..Plan::default() }
}

#[tokio::test]
async fn a_stored_cycle_is_played_back_from_the_store_alone_with_the_same_decisions() {
    for (fault, strict_tools) in [(None, true), (Some(Fault::MalformedRows), false)] {
        let analyst = AnalystOptions { fault, faulty_answers: Some(3), ..AnalystOptions::default() };
        let rig = Rig::new(Plan { analyst, strict_tools, ..quiet() }).await;
        let before = rig.cycle().await;
        let requests = rig.store.model_calls_of(&before.cycle_id).await.unwrap().len();
        assert!(requests >= 3 && before.tool_calls.len() >= 3);
        let looking = Store::open_for_reading(rig.store.path()).unwrap();
        let played = play_back(&looking, &before.cycle_id, 10).await.unwrap();
        assert_eq!(played.differences, Vec::<String>::new());
        assert_eq!((played.equal_requests, &played.report.decisions), (requests, &before.decisions));
        assert_eq!((&played.report.analysis, played.report.usage), (&before.analysis, before.usage));
        assert_eq!(
            (played.report.tool_calls.len(), &played.report.model),
            (before.tool_calls.len(), &before.model)
        );
    }
}

#[tokio::test]
async fn a_playback_that_cannot_be_the_same_says_where() {
    let rig = Rig::new(quiet()).await;
    let before = rig.cycle().await;
    // With fewer requests allowed than then, the model would have been hurried.
    let played = play_back(&rig.store, &before.cycle_id, 2).await.unwrap();
    let told = played.differences.join("\n");
    assert!(told.contains("differs from the recorded one at byte"), "{told}");
    assert!(told.contains("recorded requests were not made again"), "{told}");
    assert!(played.report.decisions.iter().any(|row| row.outcome.detail.contains("recorded: ")));
    let unknown = CycleId::from_stored("no-such-cycle");
    assert!(play_back(&rig.store, &unknown, 10).await.unwrap_err().to_string().contains("no report"));
}

#[tokio::test]
async fn a_refused_request_is_stored_with_its_answer_and_refused_again() {
    let analyst = AnalystOptions { fault: Some(Fault::Overload), ..AnalystOptions::default() };
    let rig = Rig::new(Plan { analyst, attempts: 2, ..quiet() }).await;
    let before = rig.cycle().await;
    let tries = rig.store.model_calls_of(&before.cycle_id).await.unwrap();
    assert_eq!(tries.len(), 2, "a row a try");
    for tried in &tries {
        assert_eq!((tried.iteration, tried.status), (1, Some(529)));
        assert!(serde_json::from_slice::<serde_json::Value>(&tried.request).unwrap()["messages"].is_array());
        assert!(String::from_utf8_lossy(&tried.response).contains("overloaded_error"));
        assert!(tried.error.as_ref().unwrap().contains("HTTP 529"), "{:?}", tried.error);
    }
    let played = play_back(&rig.store, &before.cycle_id, 10).await.unwrap();
    assert_eq!(played.differences, Vec::<String>::new());
    assert_eq!(played.report.decisions, before.decisions);
}

#[tokio::test]
async fn a_try_that_failed_before_the_answer_is_kept_and_does_not_disturb_the_playback() {
    let analyst =
        AnalystOptions { fault: Some(Fault::Overload), faulty_answers: Some(1), ..AnalystOptions::default() };
    let rig = Rig::new(Plan { analyst, attempts: 2, ..quiet() }).await;
    let before = rig.cycle().await;
    let calls = rig.store.model_calls_of(&before.cycle_id).await.unwrap();
    let told: Vec<_> = calls.iter().map(|call| (call.iteration, call.status)).collect();
    assert_eq!(told[..2], [(1, Some(529)), (1, Some(200))]);
    assert_eq!(calls[0].request, calls[1].request);
    let played = play_back(&rig.store, &before.cycle_id, 10).await.unwrap();
    assert_eq!((played.differences, played.equal_requests), (Vec::new(), calls.len() - 1));
}

fn tokens(calls: &[jarvis::store::ModelCall]) -> u64 {
    let each = calls.iter().map(|call| {
        let usage = &call.usage;
        usage.input_tokens
            + usage.output_tokens
            + usage.cache_read_input_tokens
            + usage.cache_creation_input_tokens
    });
    each.sum()
}

#[tokio::test]
async fn a_cycle_that_a_budget_ended_ends_the_same_when_it_is_had_again() {
    let analyst = || AnalystOptions {
        fault: Some(Fault::MalformedRows),
        faulty_answers: Some(3),
        ..AnalystOptions::default()
    };
    let whole = Rig::new(Plan { analyst: analyst(), ..quiet() }).await;
    let calls = whole.store.model_calls_of(&whole.cycle().await.cycle_id).await.unwrap();
    assert_eq!(calls.len(), 4, "two looks, an answer, its repair");
    // Before the second turn; at the answer; before the repair; at the repair.
    for (asked, limit) in [
        (1, tokens(&calls[..1]) + 1),
        (3, tokens(&calls[..3]) - 1),
        (3, tokens(&calls[..3]) + 1),
        (4, tokens(&calls) - 1),
    ] {
        let mut plan = Plan { analyst: analyst(), ..quiet() };
        plan.settings.model.cycle_tokens = limit;
        let rig = Rig::new(plan).await;
        let before = rig.cycle().await;
        assert!(before.errors[0].contains(&format!("budget of {limit} tokens")), "{:?}", before.errors);
        assert_eq!(rig.store.model_calls_of(&before.cycle_id).await.unwrap().len(), asked);
        let played = play_back(&rig.store, &before.cycle_id, 10).await.unwrap();
        assert_eq!((played.differences, played.equal_requests), (Vec::new(), asked), "{limit}");
        assert_eq!((played.report.decisions, played.report.model), (before.decisions, before.model));
    }
}

#[tokio::test]
async fn an_answer_that_broke_off_twice_breaks_off_twice_when_it_is_had_again() {
    let analyst = AnalystOptions { fault: Some(Fault::OverloadMidStream), ..AnalystOptions::default() };
    let rig = Rig::new(Plan { analyst, ..quiet() }).await;
    let before = rig.cycle().await;
    assert_eq!(rig.store.model_calls_of(&before.cycle_id).await.unwrap().len(), 2);
    let played = play_back(&rig.store, &before.cycle_id, 10).await.unwrap();
    assert_eq!((played.differences, played.equal_requests), (Vec::new(), 2));
    assert_eq!(played.report.analysis, before.analysis);
}
