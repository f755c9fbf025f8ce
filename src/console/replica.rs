//! Builds the desk's present state from what the desk tells.

use crate::domain::{
    Alarm, CycleReport, CycleView, Envelope, Event, Outcome, Phase, Snapshot, ToolCallView, Trigger,
    Untrusted,
};

/// How many alarms are kept, as many as a screen could ever list.
const ALARMS_KEPT: usize = 100;

/// Applies one event. Returns whether events before it were missed.
pub fn apply(desk: &mut Snapshot, envelope: &Envelope) -> bool {
    if envelope.seq <= desk.seq && desk.seq > 0 {
        return false;
    }
    let missed = envelope.seq > desk.seq + 1;
    desk.seq = envelope.seq;
    desk.at = envelope.at;
    match &envelope.event {
        Event::CycleStarted { trigger } => start_cycle(desk, envelope, *trigger),
        Event::CycleFinished { report, cost_today } => {
            desk.cost_today = *cost_today;
            finish_cycle(desk, envelope, report);
        }
        Event::Account { state } => {
            match desk.accounts.iter_mut().find(|account| account.name == state.name) {
                Some(account) => *account = state.clone(),
                None => desk.accounts.push(state.clone()),
            }
        }
        Event::Marks { marks } => {
            for (symbol, price) in marks {
                match desk.marks.iter_mut().find(|(name, _)| name == symbol) {
                    Some((_, mark)) => *mark = *price,
                    None => desk.marks.push((symbol.clone(), *price)),
                }
            }
        }
        Event::NextCycle { at } => desk.next_cycle = *at,
        Event::DryRun { on } => desk.dry_run = *on,
        Event::Alarm { severity, text } => {
            desk.alarms.push(Alarm { at: envelope.at, severity: *severity, text: text.clone() });
        }
        Event::PhaseEntered { .. }
        | Event::BriefReady { .. }
        | Event::AnalysisDelta { .. }
        | Event::ToolCallStarted { .. }
        | Event::ToolCallFinished { .. }
        | Event::Decided { .. }
        | Event::Settled { .. } => {
            if let Some(cycle) = running(desk, envelope) {
                advance(cycle, envelope);
            }
        }
        Event::ModelTurn { .. }
        | Event::Order { .. }
        | Event::CycleRefused { .. }
        | Event::CommandAccepted { .. }
        | Event::CommandRefused { .. } => {}
    }
    missed
}

/// Drops the oldest alarms beyond what is kept; returns how many.
pub fn trim_alarms(desk: &mut Snapshot) -> usize {
    let surplus = desk.alarms.len().saturating_sub(ALARMS_KEPT);
    desk.alarms.drain(..surplus);
    surplus
}

fn start_cycle(desk: &mut Snapshot, envelope: &Envelope, trigger: Trigger) {
    let Some(id) = envelope.cycle.clone() else { return };
    desk.cycle = Some(CycleView {
        id,
        trigger,
        started_at: envelope.at,
        phase: Some(Phase::Gathering),
        analysis: Untrusted::default(),
        tool_calls: Vec::new(),
        sources: Vec::new(),
        decisions: Vec::new(),
        report: None,
    });
}

/// The cycle an event belongs to, if it is the one on the screen.
fn running<'a>(desk: &'a mut Snapshot, envelope: &Envelope) -> Option<&'a mut CycleView> {
    desk.cycle.as_mut().filter(|cycle| envelope.cycle.as_ref().is_none_or(|id| *id == cycle.id))
}

fn advance(cycle: &mut CycleView, envelope: &Envelope) {
    match &envelope.event {
        Event::PhaseEntered { phase } => cycle.phase = Some(*phase),
        Event::BriefReady { brief } => cycle.sources.clone_from(&brief.sources),
        Event::AnalysisDelta { text } => cycle.analysis.push(text),
        Event::ToolCallStarted { call, endpoint, params } => cycle.tool_calls.push(ToolCallView {
            call: *call,
            started_at: envelope.at,
            endpoint: endpoint.clone(),
            params: params.clone(),
            finished: None,
        }),
        Event::ToolCallFinished { call, status, bytes, ms } => {
            if let Some(open) = cycle.tool_calls.iter_mut().rev().find(|view| view.call == *call) {
                open.finished = Some((*status, *bytes, *ms));
            }
        }
        Event::Decided { proposals } => {
            cycle.decisions = proposals.iter().map(|proposal| (proposal.clone(), None)).collect();
        }
        Event::Settled { account, symbol, outcome } => {
            let row =
                cycle.decisions.iter_mut().find(|(row, _)| &row.account == account && &row.symbol == symbol);
            if let Some((_, settled)) = row {
                *settled = Some(Outcome::clone(outcome));
            }
        }
        _ => {}
    }
}

fn finish_cycle(desk: &mut Snapshot, envelope: &Envelope, report: &CycleReport) {
    let known = desk.cycle.as_ref().is_some_and(|cycle| cycle.id == report.cycle_id);
    if !known {
        start_cycle(desk, envelope, report.trigger);
    }
    let Some(cycle) = desk.cycle.as_mut().filter(|cycle| cycle.id == report.cycle_id) else { return };
    cycle.phase = None;
    if cycle.analysis.is_empty() {
        cycle.analysis = report.analysis.clone();
    }
    cycle.sources.clone_from(&report.brief.sources);
    cycle.decisions =
        report.decisions.iter().map(|row| (row.proposal.clone(), Some(row.outcome.clone()))).collect();
    cycle.report = Some(Box::new(report.clone()));
}
