//! The desk as lines of text: one for every event of record, without escape codes, for screen readers and pipes.

use chrono::{Offset, Utc};

use super::telling::sentences;
use crate::domain::{Envelope, Event, Feed, Mode, OutcomeKind, Severity, Snapshot, Untrusted};

/// The longest line, in columns.
const LONGEST: usize = 1_000;

/// The lines a feed is worth, each with the market time and how loud it is; none for what only a screen shows.
pub fn lines(feed: &Feed) -> Vec<String> {
    match feed {
        Feed::Starting { step } => vec![clean(&format!("starting: {step}"))],
        Feed::Lost { reason } => vec![clean(&format!("warning: {reason}"))],
        Feed::Snapshot(snapshot) => {
            vec![clean(&format!("{} info {}", stamp(snapshot.at), present(snapshot)))]
        }
        Feed::Event(envelope) => told(envelope),
        Feed::Page { .. } | Feed::Undelivered { .. } => Vec::new(),
    }
}

fn told(envelope: &Envelope) -> Vec<String> {
    let mut said = sentences(envelope, Utc.fix());
    said.extend(traded(&envelope.event));
    said.into_iter()
        .map(|(severity, text)| {
            let cycle = match (&envelope.event, &envelope.cycle) {
                (Event::CycleStarted { .. } | Event::CycleFinished { .. }, Some(id)) => format!(" [{id}]"),
                _ => String::new(),
            };
            clean(&format!("{} {} {text}{cycle}", stamp(envelope.at), word(severity)))
        })
        .collect()
}

/// A decision that traded, or that something kept from trading.
fn traded(event: &Event) -> Option<(Severity, String)> {
    let Event::Settled { account, symbol, outcome } = event else { return None };
    let (severity, word) = match outcome.kind {
        OutcomeKind::Opened => (Severity::Info, "opened"),
        OutcomeKind::Closed => (Severity::Info, "closed"),
        OutcomeKind::Failed => (Severity::Warning, "failed"),
        _ => return None,
    };
    let detail = if outcome.detail.is_empty() { String::new() } else { format!(": {}", outcome.detail) };
    Some((severity, format!("{account} {} {word}{detail}", symbol.coin())))
}

/// Where the desk stands, for whoever begins to read.
fn present(desk: &Snapshot) -> String {
    let mode = match desk.facts.mode {
        Mode::Live => "live",
        Mode::Testnet => "testnet",
        Mode::Paper if desk.facts.is_paper_on_real_prices() => "paper money on real prices",
        Mode::Paper => "paper",
    };
    let dry = if desk.dry_run { ", dry-run" } else { "" };
    let held: usize = desk.accounts.iter().map(|account| account.positions.len()).sum();
    let next = desk
        .next_cycle
        .map(|at| format!(", next cycle {}", at.format("%d %b %H:%M UTC")))
        .unwrap_or_default();
    format!(
        "the desk: {mode}{dry}, {} accounts, {held} open positions, {} halts{next}",
        desk.accounts.len(),
        desk.halts.len()
    )
}

fn stamp(at: crate::domain::Timestamp) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

const fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "CRITICAL",
    }
}

/// One line, whatever was in it.
fn clean(text: &str) -> String {
    Untrusted::new(text).line(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(event: Event) -> Feed {
        let at = chrono::DateTime::UNIX_EPOCH;
        Feed::Event(Envelope { seq: 1, at, cycle: None, event })
    }

    #[test]
    fn an_alarm_is_one_line_without_escape_codes() {
        let text = "stop lost\u{1b}[2J\r\nnow\u{202e}".to_owned();
        let said = lines(&event(Event::Alarm { severity: Severity::Critical, text }));
        assert_eq!(said.len(), 1);
        let [line] = &said[..] else { return };
        assert!(line.starts_with("1970-01-01T00:00:00Z CRITICAL stop lost"), "{line}");
        assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}'), "{line:?}");
    }

    #[test]
    fn what_only_a_screen_shows_is_silent() {
        let delta = Event::AnalysisDelta { text: Untrusted::new("words") };
        assert!(lines(&event(delta)).is_empty());
        assert!(lines(&event(Event::Marks { marks: Vec::new() })).is_empty());
    }
}
