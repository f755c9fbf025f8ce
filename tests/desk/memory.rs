//! What the second cycle is told of the first.

use jarvis::domain::OutcomeKind;
use serde_json::Value;

use crate::rig::{Plan, Rig};

#[tokio::test]
async fn the_next_cycle_quotes_the_thesis_of_every_position_the_last_one_opened() {
    let rig = Rig::new(Plan::default()).await;
    let first = rig.cycle().await;
    let opened: Vec<_> =
        first.decisions.iter().filter(|row| row.outcome.kind == OutcomeKind::Opened).collect();
    assert!(!opened.is_empty());
    let prompt = rig.floor.draft_prompts().await.unwrap().user;
    let inside = prompt.split("<quotations id=").nth(1).unwrap().split("</quotations").next().unwrap();
    let theses: Vec<Value> = inside
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(Value::is_object)
        .collect();
    assert_eq!(theses.len(), opened.len());
    for row in opened {
        let thesis = theses
            .iter()
            .find(|thesis| {
                thesis["account"] == row.proposal.account.as_str()
                    && thesis["symbol"] == row.proposal.symbol.as_str()
            })
            .unwrap();
        assert_eq!(thesis["decision"], row.proposal.decision.unwrap().as_str());
        assert_eq!(thesis["reason"], row.proposal.reason.line(240));
        assert_eq!(thesis["last_cycle"]["reason"], thesis["reason"]);
    }
    let second = rig.cycle().await;
    assert!(second.decisions.iter().all(|row| row.outcome.kind != OutcomeKind::Invalid));
}
