//! A desk that is shut down while the model thinks.

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
