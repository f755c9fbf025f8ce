//! The events of record: those of the store, and those that came since.

use std::collections::VecDeque;

use super::super::pages::Asked;
use super::super::state::State;
use super::super::telling::sentences;
use super::super::update::Step;
use super::super::view;
use crate::domain::{Envelope, LogPage, Query, Severity, Timestamp};

/// How many events are asked for at once.
const LIMIT: u32 = 1_000;

/// How many events that came since are kept.
const LIVE: usize = 1_000;

/// What the screen knows.
#[derive(Debug, Clone, PartialEq)]
pub struct Events {
    /// The events of the store.
    pub page: Asked<LogPage>,
    /// What came since, oldest first.
    pub live: VecDeque<Envelope>,
    /// Only what is at least so loud.
    pub least: Severity,
    /// Only lines that contain this.
    pub filter: String,
    /// The first line in sight; `None` follows the end.
    pub top: Option<usize>,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            page: Asked::default(),
            live: VecDeque::new(),
            least: Severity::Info,
            filter: String::new(),
            top: None,
        }
    }
}

/// What the screen needs.
pub fn query() -> Query {
    Query::Log { before: None, limit: LIMIT }
}

/// Keeps an event that was told.
pub fn hear(state: &mut State, envelope: &Envelope) {
    if sentences(&envelope.event).is_empty() {
        return;
    }
    state.events.live.push_back(envelope.clone());
    while state.events.live.len() > LIVE {
        state.events.live.pop_front();
    }
}

/// One line of the log.
pub type Line = (Timestamp, Severity, String);

/// The lines that pass the filters, oldest first.
pub fn shown(state: &State) -> Vec<Line> {
    let stored = state.events.page.page.as_ref().map_or(&[][..], |page| &page.lines);
    let newest = stored.first().map(|(_, envelope)| (envelope.at, envelope.seq));
    let since =
        state.events.live.iter().filter(|told| newest.is_none_or(|newest| (told.at, told.seq) > newest));
    let words = state.events.filter.to_lowercase();
    stored
        .iter()
        .rev()
        .map(|(_, envelope)| envelope)
        .chain(since)
        .flat_map(|envelope| {
            sentences(&envelope.event).into_iter().map(|(severity, text)| (envelope.at, severity, text))
        })
        .filter(|(_, severity, text)| {
            *severity >= state.events.least && (words.is_empty() || text.to_lowercase().contains(&words))
        })
        .collect()
}

/// Asks for more or for less.
pub fn next_severity(state: &mut State) {
    state.events.least = match state.events.least {
        Severity::Info => Severity::Warning,
        Severity::Warning => Severity::Critical,
        Severity::Critical => Severity::Info,
    };
    state.events.top = None;
}

/// Other lines; at the end they are followed.
pub fn scroll(state: &mut State, step: Step) {
    let (lines, rows) = view::log::extent(state);
    state.events.top = super::super::update::new_top(state.events.top, step, lines, rows);
}
