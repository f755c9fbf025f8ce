//! Every way the analyst can go wrong, and what the desk makes of it.

use std::time::Duration;

use jarvis::domain::{CycleReport, DecisionRow, OutcomeKind, Rule};
use jarvis::world::analyst::{AnalystOptions, Fault};

use crate::rig::{Plan, Rig};

async fn rig_with(fault: Fault) -> Rig {
    let analyst = AnalystOptions { fault: Some(fault), ..AnalystOptions::default() };
    let mut plan = Plan { analyst, ..Plan::default() };
    if fault == Fault::Stall {
        // Whether it is silent from the first turn on or, on a slow machine, seems so a little earlier: nothing comes.
        plan.patience = Duration::from_millis(300);
    }
    Rig::new(plan).await
}

fn invalid(report: &CycleReport) -> usize {
    report.decisions.iter().filter(|row| row.outcome.kind == OutcomeKind::Invalid).count()
}

fn orders(report: &CycleReport) -> usize {
    report.decisions.iter().map(|row| row.outcome.orders.len()).sum()
}

fn essence(row: &DecisionRow) -> (String, String, String, String) {
    let proposal = &row.proposal;
    (
        format!("{}/{}", proposal.account, proposal.symbol),
        format!("{:?}", proposal.decision),
        format!("{:?} {}", proposal.confidence, proposal.reason.raw()),
        format!("{:?}", row.outcome.kind),
    )
}

#[tokio::test]
async fn decisions_come_the_same_by_tool_and_by_text() {
    let mut seen = Vec::new();
    for strict_tools in [true, false] {
        let rig = Rig::new(Plan { strict_tools, ..Plan::default() }).await;
        let report = rig.cycle().await;
        assert_eq!(invalid(&report), 0, "{:?}", report.errors);
        assert_eq!(report.decisions.len(), 30);
        assert!(!report.analysis.is_empty());
        assert_eq!(report.model.stop_reason, if strict_tools { "tool_use" } else { "end_turn" });
        assert!(orders(&report) > 0, "the first hour opens something");
        seen.push((report.decisions.iter().map(essence).collect::<Vec<_>>(), report.analysis));
    }
    assert_eq!(seen[0], seen[1]);
}

#[tokio::test]
async fn an_answer_that_never_came_leaves_every_row_invalid_and_sends_nothing() {
    for (fault, word) in [
        (Fault::Truncate, "max_tokens"),
        (Fault::Refuse, "declined to answer: The built-in analyst was told to decline."),
        (Fault::SpendLimit, "raise the spend limit at the provider"),
        (Fault::Stall, "nothing came"),
        (Fault::Overload, "529"),
        (Fault::OverloadMidStream, "overloaded_error"),
        (Fault::ProseOnly, "no complete array"),
    ] {
        let rig = rig_with(fault).await;
        let report = rig.cycle().await;
        assert_eq!((invalid(&report), orders(&report)), (30, 0), "{fault:?}");
        assert!(report.decisions.iter().all(|row| row.outcome.rule == Some(Rule::Missing)), "{fault:?}");
        assert!(report.errors.iter().any(|error| error.contains(word)), "{fault:?}: {:?}", report.errors);
    }
}

#[tokio::test]
async fn broken_rows_are_invalid_each_by_its_rule_and_the_others_count() {
    let report = rig_with(Fault::MalformedRows).await.cycle().await;
    assert_eq!(invalid(&report), 15);
    for row in &report.decisions {
        let broken = row.outcome.kind == OutcomeKind::Invalid;
        assert_eq!(broken, row.proposal.decision.is_none());
        assert!(!broken || row.outcome.orders.is_empty());
    }
    for rule in [Rule::Malformed, Rule::UnknownWord, Rule::OutOfRange] {
        assert!(report.decisions.iter().any(|row| row.outcome.rule == Some(rule)), "{rule:?}");
    }
}

#[tokio::test]
async fn one_repair_turn_mends_what_was_broken_by_tool_and_by_text() {
    for strict_tools in [true, false] {
        // Two look-ups and the first answer go wrong, the repair does not.
        let analyst = AnalystOptions {
            fault: Some(Fault::MalformedRows),
            faulty_answers: Some(3),
            ..AnalystOptions::default()
        };
        let report = Rig::new(Plan { analyst, strict_tools, ..Plan::default() }).await.cycle().await;
        assert_eq!(invalid(&report), 0, "{:?}", report.errors);
        assert_eq!(report.model.iterations, 4);
    }
}

#[tokio::test]
async fn a_row_that_comes_twice_counts_for_neither_word() {
    let report = rig_with(Fault::Duplicates).await.cycle().await;
    assert_eq!(invalid(&report), 1);
    assert_eq!(report.decisions[0].outcome.rule, Some(Rule::Duplicate));
    assert!(report.decisions[0].outcome.orders.is_empty());
}

#[tokio::test]
async fn rows_nobody_asked_for_are_reported_and_never_traded() {
    let report = rig_with(Fault::HallucinatedCoin).await.cycle().await;
    assert_eq!((report.decisions.len(), invalid(&report)), (30, 0));
    for stranger in ["mirat MOONUSDT", "nobody BTCUSDT"] {
        assert!(report.errors.iter().any(|error| error.contains(stranger)), "{:?}", report.errors);
    }
}

#[tokio::test]
async fn whoever_is_long_everywhere_is_held_to_size_and_never_reverses_or_adds() {
    let rig = rig_with(Fault::AlwaysLong).await;
    let first = rig.cycle().await;
    let opened = first.decisions.iter().filter(|row| row.outcome.kind == OutcomeKind::Opened).count();
    assert!(opened > 0);
    let held = rig.accounts().await;
    let again = rig.cycle().await;
    for row in &again.decisions {
        let account = held.iter().find(|account| account.name == row.proposal.account).unwrap();
        if account.position(&row.proposal.symbol).is_some() {
            assert_eq!(row.outcome.rule, Some(Rule::AllowedAction));
        }
    }
    assert_eq!(orders(&again), 0);
}

#[tokio::test]
async fn a_refusal_is_told_with_its_reason_where_the_analysis_would_stand() {
    let rig = rig_with(Fault::Refuse).await;
    let report = rig.cycle().await;
    let told = "[the model declined to answer: The built-in analyst was told to decline.]";
    assert_eq!(report.analysis.raw(), told);
    let shown = rig.floor.bulletin().read(|desk| desk.cycle.as_ref().unwrap().analysis.clone());
    assert_eq!(shown.raw().trim(), told);
}

#[tokio::test]
async fn what_only_looks_strange_changes_no_decision() {
    let plain = Rig::new(Plan::default()).await.cycle().await;
    for fault in [Fault::UnknownKinds, Fault::SplitUtf8] {
        let report = rig_with(fault).await.cycle().await;
        assert_eq!(report.errors, plain.errors, "{fault}");
        assert_eq!(report.analysis, plain.analysis, "{fault}");
        let essences = |report: &CycleReport| report.decisions.iter().map(essence).collect::<Vec<_>>();
        assert_eq!(essences(&report), essences(&plain), "{fault}");
    }
}
