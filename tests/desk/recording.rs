//! A stored cycle, had again without the model.

use jarvis::domain::{CycleReport, DecisionRow};
use jarvis::llm::{Recorded, RecordedCall};
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
