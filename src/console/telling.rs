//! Events as sentences: for the log, the same words whether an event was just told or comes from the store.

use std::collections::VecDeque;

use chrono::{FixedOffset, TimeDelta};

use super::format;
use super::stamps::in_zone;
use crate::domain::{
    CycleId, Envelope, Event, Halt, HaltLevel, HaltOrigin, OrderPurpose, OrderState, OutcomeKind, Severity,
    Timestamp, ToldElsewhere, Trigger,
};

/// What is worth keeping of an event, times in a zone; most of a cycle's stream is not.
pub fn sentences(envelope: &Envelope, zone: FixedOffset) -> Vec<(Severity, String)> {
    let told = words(envelope, zone).into_iter();
    told.map(|(severity, text)| (severity, in_zone(&text, zone))).collect()
}

fn words(envelope: &Envelope, zone: FixedOffset) -> Vec<(Severity, String)> {
    let one = |severity, text: String| vec![(severity, text)];
    match &envelope.event {
        Event::CommandAccepted { detail, elsewhere, .. } => match elsewhere {
            ToldElsewhere::Nothing => one(Severity::Info, detail.clone()),
            ToldElsewhere::AllBut(rest) => one(Severity::Info, rest.clone()),
            ToldElsewhere::All => Vec::new(),
        },
        Event::CommandRefused { reason, .. } => one(Severity::Warning, reason.clone()),
        Event::CycleRefused { reason } => one(Severity::Warning, format!("no cycle: {reason}")),
        Event::CycleStarted { trigger } => {
            let by = begun_by(envelope.cycle.as_ref(), *trigger);
            one(Severity::Info, format!("cycle started ({by})"))
        }
        Event::CycleFinished { report, .. } => {
            let count = |kind| report.decisions.iter().filter(|row| row.outcome.kind == kind).count();
            let took = format::millis(report.timings_ms.total);
            let done = format!(
                "cycle done in {took}: {} opened, {} closed, {} refused",
                count(OutcomeKind::Opened),
                count(OutcomeKind::Closed),
                count(OutcomeKind::Refused),
            );
            let trouble = [(OutcomeKind::Failed, "failed"), (OutcomeKind::Invalid, "invalid")]
                .map(|(kind, word)| (count(kind), word))
                .into_iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, word)| format!(", {count} {word}"));
            let text = std::iter::once(done).chain(trouble).collect::<String>();
            let errors = report.errors.iter().map(|error| (Severity::Warning, error.clone()));
            std::iter::once((Severity::Info, text)).chain(errors).collect()
        }
        Event::Order { account, symbol, purpose, side, quantity, state, price, .. } => {
            let quantity =
                quantity.map_or_else(String::new, |quantity| format!(" {}", format::quantity(quantity)));
            let at = price.map(|price| format!(" at {}", format::price(price))).unwrap_or_default();
            let severity = match (state, purpose) {
                (
                    OrderState::Rejected | OrderState::Unknown,
                    OrderPurpose::Stop | OrderPurpose::Emergency,
                ) => Severity::Critical,
                (OrderState::Rejected | OrderState::Unknown, _) => Severity::Warning,
                _ => Severity::Info,
            };
            let (coin, purpose, side) = (symbol.coin(), purpose.as_str(), side.as_str());
            one(severity, format!("{account} {coin} {purpose} {side}{quantity} {}{at}", state.as_str()))
        }
        Event::DryRun { on: true } => {
            one(Severity::Info, "dry-run is on: orders are computed, none is sent".to_owned())
        }
        Event::DryRun { on: false } => one(Severity::Info, "dry-run is off".to_owned()),
        Event::Alarm { text, .. } if Halt::is_alarm(text) => Vec::new(),
        Event::Alarm { severity, text } => one(*severity, text.clone()),
        Event::AlarmsAcknowledged { .. } => one(Severity::Info, "alarms acknowledged".to_owned()),
        Event::Halted { halt } => {
            let is_guards = matches!(halt.origin, HaltOrigin::Guard(_));
            let severity = if is_guards { Severity::Critical } else { Severity::Warning };
            one(severity, halted(halt, zone))
        }
        Event::Resumed { scope, reason } => {
            one(Severity::Info, with_reason(format!("the halt of {scope} has ended"), reason))
        }
        Event::Flattened { flattening } => match (&flattening.trouble, flattening.remaining.len()) {
            (Some(trouble), _) => one(
                Severity::Critical,
                format!("{} could not be flattened completely: {trouble}", flattening.account),
            ),
            (None, 0) => {
                one(Severity::Info, format!("{} is flat, read from the exchange", flattening.account))
            }
            (None, left) => {
                one(Severity::Warning, format!("{}: {left} positions left to close", flattening.account))
            }
        },
        Event::Note { text: Some(text) } => one(Severity::Info, format!("note for the next cycle: {text}")),
        // Within a cycle it is the model that took it, not the operator.
        Event::Note { text: None } if envelope.cycle.is_some() => {
            one(Severity::Info, "the model was given the note".to_owned())
        }
        Event::Note { text: None } => one(Severity::Info, "no note waits for the next cycle".to_owned()),
        Event::Armed { accounts } if accounts.is_empty() => {
            one(Severity::Warning, "the desk is disarmed: no account may send orders".to_owned())
        }
        Event::Armed { accounts } => {
            let names: Vec<&str> = accounts.iter().map(crate::domain::AccountName::as_str).collect();
            one(Severity::Warning, format!("armed: {} may send orders", names.join(", ")))
        }
        _ => Vec::new(),
    }
}

/// How far back a stop is looked for that was told before what it protects: accounts trade side by side.
const STOP_BEFORE: usize = 24;

/// How long a stop may be told before what it protects.
const STOP_LEAD: TimeDelta = TimeDelta::seconds(10);

/// Adds a line of an event at the end of others, whose time and words `of` says. The desk places a stop before it takes
/// the time to tell of the fill behind it; whoever reads would see a stop without a position, so the fill goes before
/// its stop.
pub fn place<T>(
    lines: &mut VecDeque<T>,
    envelope: &Envelope,
    line: T,
    of: impl Fn(&T) -> (Option<Timestamp>, &str),
) {
    let Event::Order { account, symbol, purpose: OrderPurpose::Open, state: OrderState::Filled, .. } =
        &envelope.event
    else {
        lines.push_back(line);
        return;
    };
    let stop = format!("{account} {} {} ", symbol.coin(), OrderPurpose::Stop.as_str());
    let is_its_stop = |line: &T| {
        let (at, text) = of(line);
        text.starts_with(&stop) && at.is_some_and(|at| envelope.at - at <= STOP_LEAD)
    };
    let from = lines.len().saturating_sub(STOP_BEFORE);
    let first = lines.iter().skip(from).position(is_its_stop).map_or(lines.len(), |place| from + place);
    lines.insert(first, line);
}

/// A halt in a sentence, its end in a zone.
pub fn halted(halt: &Halt, zone: FixedOffset) -> String {
    let what = match halt.level {
        HaltLevel::NoEntries => "opens nothing",
        HaltLevel::Frozen => "is frozen",
        HaltLevel::Flattened => "is closed out and opens nothing",
    };
    let until = halt
        .until
        .map(|at| format!(" until {}", at.with_timezone(&zone).format("%d %b %H:%M")))
        .unwrap_or_default();
    with_reason(format!("{} {what}{until}, by {}", halt.scope, origin(&halt.origin)), &halt.reason.line(200))
}

/// Who or what began a cycle. A store's first one runs by itself at the start, and is a manual one on the wire.
pub fn begun_by(id: Option<&CycleId>, trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Manual if id.is_some_and(CycleId::is_first) => "first",
        other => other.as_str(),
    }
}

/// Who or what began a halt.
pub fn origin(origin: &HaltOrigin) -> String {
    match origin {
        HaltOrigin::Operator => "the operator".to_owned(),
        HaltOrigin::File => "the halt file".to_owned(),
        HaltOrigin::Guard(rule) => format!("the guard {}", rule.as_str().replace('_', " ")),
        HaltOrigin::Desk => "the desk".to_owned(),
    }
}

fn with_reason(text: String, reason: &str) -> String {
    if reason.is_empty() { text } else { format!("{text}: {reason}") }
}
