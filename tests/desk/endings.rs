//! A desk that is shut down while the model thinks.

use jarvis::config::{Provider, Settings};
use jarvis::domain::{Event, OutcomeKind, Phase, Trigger};
use jarvis::store::CycleState;
use jarvis::world::analyst::{AnalystOptions, Fault};

use crate::rig::{Plan, Rig};

#[tokio::test]
async fn a_cycle_that_ends_with_the_desk_is_stored_as_cut_off_and_no_row_is_called_invalid() {
    let analyst = AnalystOptions { fault: Some(Fault::Stall), ..AnalystOptions::default() };
    let rig = Rig::new(Plan { analyst, ..Plan::default() }).await;
    let (_, mut events) = rig.floor.bulletin().subscribe();
    let floor = std::sync::Arc::clone(&rig.floor);
    let running = tokio::spawn(async move { floor.run_cycle(Trigger::Manual).await.unwrap() });
    while events.recv().await.unwrap().event != (Event::PhaseEntered { phase: Phase::Model }) {}
    rig.floor.end();
    let report = running.await.unwrap();
    let reason = "the desk was shut down while the model was thinking";
    assert_eq!(report.decisions.len(), 30);
    for row in &report.decisions {
        assert_eq!((row.outcome.kind, row.outcome.detail.as_str()), (OutcomeKind::Failed, reason));
        assert_eq!(row.proposal.decision, None);
    }
    let line = &rig.store.cycles(1).await.unwrap()[0];
    assert_eq!((line.state, line.failure.as_deref()), (CycleState::Failed, Some(reason)));
    assert!(line.finished_at.is_some());
    assert_eq!(rig.store.report(&report.cycle_id).await.unwrap(), None);
    let stored = rig.store.decisions_of(&report.cycle_id).await.unwrap();
    assert!(stored.iter().all(|(_, outcome)| outcome.as_ref().unwrap().kind == OutcomeKind::Failed));
    assert!(rig.accounts().await.iter().all(|account| account.positions.is_empty()));
}

/// A desk whose model tells this usage and half a sentence, and then nothing more; and what it said.
async fn falls_silent(usage: &str) -> (Rig, String) {
    let mut settings = Settings::default();
    settings.model.provider = Provider::Anthropic;
    let half = format!(
        "event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{{\"usage\":{usage}}}}}\n\n\
         event: content_block_start\ndata: {{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{{\"type\":\"text\",\"text\":\"\"}}}}\n\n\
         event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"BTC looks\"}}}}\n\n"
    );
    let script = vec![half.clone().into()];
    (Rig::new(Plan { settings, script, falls_silent: true, ..Plan::default() }).await, half)
}

#[tokio::test]
async fn what_had_come_of_the_answer_when_the_desk_ended_is_stored_and_counted() {
    let (rig, half) = falls_silent(r#"{"input_tokens":1000,"output_tokens":1}"#).await;
    let (_, mut events) = rig.floor.bulletin().subscribe();
    let floor = std::sync::Arc::clone(&rig.floor);
    let running = tokio::spawn(async move { floor.run_cycle(Trigger::Manual).await.unwrap() });
    while !matches!(events.recv().await.unwrap().event, Event::AnalysisDelta { .. }) {}
    rig.floor.end();
    let report = running.await.unwrap();
    assert!(report.decisions.iter().all(|row| row.outcome.kind == OutcomeKind::Failed));
    let calls = rig.store.model_calls_of(&report.cycle_id).await.unwrap();
    let [call] = &calls[..] else { panic!("{calls:?}") };
    assert_eq!((call.status, call.response.as_slice()), (Some(200), half.as_bytes()));
    assert!(call.error.as_ref().unwrap().contains("the desk ended"), "{:?}", call.error);
    // Nine letters make five tokens, by our estimate; the provider had counted one.
    assert_eq!((call.usage.input_tokens, call.usage.output_tokens, call.usage.is_estimate), (1000, 5, true));
    assert_eq!(report.usage, call.usage);
    let spent =
        rig.store.spent_since(crate::rig::now() - chrono::Duration::days(1), "builtin").await.unwrap();
    assert_eq!((spent.usd, spent.tokens), (call.usage.cost_usd, 1005));
    assert!(spent.usd > rust_decimal::Decimal::ZERO);
}

#[tokio::test]
async fn what_was_being_written_when_the_program_was_killed_is_counted_all_the_same() {
    let (rig, _) = falls_silent(r#"{"input_tokens":1000}"#).await;
    let (_, mut events) = rig.floor.bulletin().subscribe();
    let floor = std::sync::Arc::clone(&rig.floor);
    let running = tokio::spawn(async move { floor.run_cycle(Trigger::Manual).await });
    let cycle = loop {
        let told = events.recv().await.unwrap();
        if matches!(told.event, Event::AnalysisDelta { .. }) {
            break told.cycle.clone().unwrap();
        }
    };
    running.abort();
    let calls = rig.store.model_calls_of(&cycle).await.unwrap();
    let [call] = &calls[..] else { panic!("{calls:?}") };
    let half_a_byte = u64::try_from(call.request.len()).unwrap().div_ceil(2);
    assert_eq!((call.usage.input_tokens, call.usage.is_estimate, call.status), (half_a_byte, true, None));
    let since = crate::rig::now() - chrono::Duration::days(1);
    assert_eq!(rig.store.spent_since(since, "builtin").await.unwrap().usd, call.usage.cost_usd);
}

#[tokio::test]
async fn a_note_waits_for_a_cycle_in_which_somebody_reads_it() {
    for (fault, waits) in [(Some(Fault::Overload), true), (Some(Fault::ProseOnly), false), (None, false)] {
        let analyst = AnalystOptions { fault, ..AnalystOptions::default() };
        let rig = Rig::new(Plan { analyst, ..Plan::default() }).await;
        rig.store.set_note(Some(("stay small", crate::rig::now()))).await.unwrap();
        rig.floor.bulletin().record(None, Event::Note { text: Some("stay small".to_owned()) });
        rig.cycle().await;
        assert_eq!(rig.store.note().await.unwrap().is_some(), waits, "{fault:?}");
    }
}
