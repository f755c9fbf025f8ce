//! The past as the template sees it: quotations as JSON strings, outcomes and lessons as cells.

use serde::Serialize;

use super::fetched::inert;
use super::input::{LessonInput, OutcomeInput, PromptInput, ThesisInput};
use super::number::cents;
use super::view::hours;
use crate::domain::{AccountName, Confidence, DecisionWord, Symbol, Untrusted};

/// Columns of a sentence the model once wrote.
const QUOTATION_COLUMNS: usize = 240;
/// Columns of what an operator did or said.
const NOTE_COLUMNS: usize = 1_000;

/// One closed trade as a table row.
#[derive(Debug, Serialize)]
pub(super) struct OutcomeRow {
    account: String,
    symbol: String,
    side: &'static str,
    confidence: String,
    opened_h_ago: String,
    net: String,
}

/// One lesson as a table row.
#[derive(Debug, Serialize)]
pub(super) struct LessonRow {
    group: String,
    cases: usize,
    won: usize,
    net: String,
    mean_confidence: String,
}

#[derive(Serialize)]
struct Thesis {
    account: AccountName,
    symbol: Symbol,
    opened_h_ago: f64,
    decision: Option<DecisionWord>,
    confidence: Option<Confidence>,
    reason: String,
    wrong_if: Option<String>,
    last_cycle: Option<LastWords>,
}

#[derive(Serialize)]
struct LastWords {
    decision: Option<DecisionWord>,
    confidence: Option<Confidence>,
    reason: String,
}

/// One JSON object a thesis, harmless inside its envelope.
pub(super) fn theses(input: &PromptInput) -> Result<Vec<String>, serde_json::Error> {
    let quoted = |text: &Untrusted| text.line(QUOTATION_COLUMNS);
    let thesis = |thesis: &ThesisInput| {
        let opening = &thesis.opening;
        serde_json::to_string(&Thesis {
            account: opening.account.clone(),
            symbol: opening.symbol.clone(),
            opened_h_ago: hours(thesis.age),
            decision: opening.decision,
            confidence: opening.confidence,
            reason: quoted(&opening.reason),
            wrong_if: opening.risk_note.as_ref().map(quoted),
            last_cycle: thesis.last.as_ref().map(|last| LastWords {
                decision: last.decision,
                confidence: last.confidence,
                reason: quoted(&last.reason),
            }),
        })
        .map(|json| inert(&json))
    };
    input.memory.theses.iter().map(thesis).collect()
}

/// What the operator did and said, one JSON object a line, harmless inside its envelope.
pub(super) fn operator(input: &PromptInput) -> Result<Vec<String>, serde_json::Error> {
    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Line {
        Done(String),
        Note(String),
    }
    let done = input.memory.operator.iter().map(|line| Line::Done(Untrusted::new(line).line(NOTE_COLUMNS)));
    let note = input.memory.note.iter().map(|note| Line::Note(note.line(NOTE_COLUMNS)));
    done.chain(note).map(|line| serde_json::to_string(&line).map(|json| inert(&json))).collect()
}

/// A closed trade, formatted.
pub(super) fn outcome_row(outcome: &OutcomeInput) -> OutcomeRow {
    OutcomeRow {
        account: outcome.account.to_string(),
        symbol: outcome.symbol.to_string(),
        side: outcome.direction.as_str(),
        confidence: outcome.confidence.map(|confidence| confidence.to_string()).unwrap_or_default(),
        opened_h_ago: format!("{:.1}", hours(outcome.age)),
        net: cents(outcome.net),
    }
}

/// A lesson, formatted.
pub(super) fn lesson_row(lesson: &LessonInput) -> LessonRow {
    LessonRow {
        group: lesson.group.clone(),
        cases: lesson.cases,
        won: lesson.won,
        net: cents(lesson.net),
        mean_confidence: cents(lesson.mean_confidence),
    }
}
