//! The events of record: those of the store, and those that came since. Older ones are asked for when they are come near.

use std::collections::VecDeque;

use super::super::format;
use super::super::pages::{Asked, question};
use super::super::state::{State, holds_words};
use super::super::telling::{place, sentences};
use super::super::update::{Effect, Step};
use super::super::view;
use super::Screen;
use crate::domain::{Envelope, LogPage, Query, QueryId, Severity, Timestamp};

/// How many events are asked for at once: reports are among them, and every one of them has to be read and sent.
const LIMIT: u32 = 400;

/// How many lines that came since are kept.
const LIVE: usize = 1_000;

/// One line of the log.
pub type Line = (Timestamp, Severity, String);

/// What the screen knows.
#[derive(Debug, Clone, PartialEq)]
pub struct Events {
    /// The events of the store, as far back as was asked.
    pub page: Asked<Stored>,
    /// The question for older ones that is not answered yet.
    pub older: Option<QueryId>,
    /// What came since, oldest first, with its place in the desk's telling.
    pub live: VecDeque<(u64, Line)>,
    /// Only what is at least so loud.
    pub least: Severity,
    /// Only lines that contain this.
    pub filter: String,
    /// The first line in sight; `None` follows the end.
    pub top: Option<usize>,
    /// When this console heard nothing, and what was found different afterwards; the oldest first.
    pub away: VecDeque<Away>,
    /// How many lines of what happened meanwhile were never in sight.
    pub unread: usize,
    /// What was told before this market time was told while this console stood still.
    catching_up: Option<Timestamp>,
}

/// A time in which this console heard nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Away {
    from: Timestamp,
    lines: Vec<Line>,
}

/// How many gaps are remembered.
const GAPS: usize = 20;

impl Default for Events {
    fn default() -> Self {
        Self {
            page: Asked::default(),
            older: None,
            live: VecDeque::new(),
            least: Severity::Info,
            filter: String::new(),
            top: None,
            away: VecDeque::new(),
            unread: 0,
            catching_up: None,
        }
    }
}

/// A stretch of the log up to its newest event.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stored {
    /// Its lines, oldest first.
    pub lines: VecDeque<Line>,
    /// The newest event.
    newest: Option<(Timestamp, u64)>,
    /// The place of the oldest event; `None` when there is nothing older.
    oldest: Option<i64>,
}

impl Stored {
    /// The newest stretch.
    pub fn new(page: &LogPage, zone: chrono::FixedOffset) -> Self {
        let newest = page.lines.first().map(|(_, envelope)| (envelope.at, envelope.seq));
        let mut stored = Self { newest, ..Self::default() };
        stored.go_back(page, zone);
        stored
    }

    /// Takes the stretch before; returns how many lines it has.
    fn go_back(&mut self, page: &LogPage, zone: chrono::FixedOffset) -> usize {
        let before = self.lines.len();
        let mut older = VecDeque::new();
        for (_, envelope) in page.lines.iter().rev() {
            for line in told(envelope, zone) {
                place(&mut older, envelope, line, |(at, _, text)| (Some(*at), text));
            }
        }
        older.append(&mut self.lines);
        self.lines = older;
        let full = page.lines.len() >= LIMIT as usize;
        self.oldest = page.lines.last().map(|(place, _)| *place).filter(|_| full);
        self.lines.len() - before
    }

    /// Whether the store holds older events.
    pub fn goes_on(&self) -> bool {
        self.oldest.is_some()
    }
}

fn told(envelope: &Envelope, zone: chrono::FixedOffset) -> Vec<Line> {
    let sentences = sentences(envelope, zone).into_iter();
    sentences.map(|(severity, text)| (envelope.at, severity, text)).collect()
}

/// What the screen needs.
pub fn query() -> Query {
    Query::Log { before: None, limit: LIMIT }
}

/// Takes the newest stretch, or an older one that was asked for.
pub fn answer(state: &mut State, id: QueryId, page: &LogPage, now: Option<Timestamp>) {
    let (events, zone) = (&mut state.events, state.zone);
    if events.older == Some(id) {
        events.older = None;
        let Some(stored) = &mut events.page.page else { return };
        let more = stored.go_back(page, zone);
        if events.filter.is_empty() && events.least == Severity::Info {
            events.top = events.top.map(|top| top + more);
        } else {
            // Which of them pass the filter is not known before they are looked at.
            let passing =
                stored.lines.iter().take(more).filter(|line| passes(line, events.least, &events.filter));
            let passing = passing.count();
            events.top = events.top.map(|top| top + passing);
        }
        return;
    }
    if events.page.answer(id, Stored::new(page, zone), now) {
        // Older stretches went with the one they hung on.
        events.older = None;
    }
}

/// Notes that there is no answer to the question for older events. True when it was one.
pub fn refuse_older(state: &mut State, id: QueryId) -> bool {
    let is_it = state.events.older == Some(id);
    if is_it {
        state.events.older = None;
    }
    is_it
}

/// Notes that nothing was heard for a while, and what is different since.
pub fn note_gap(state: &mut State, (from, to): (Timestamp, Timestamp), different: Vec<(Severity, String)>) {
    let text = format!(
        "away from here to {} ({}): this console heard nothing",
        state.time(to),
        format::lasted((to - from).num_seconds())
    );
    let seen = state.screen == Screen::Log;
    let events = &mut state.events;
    events.unread = if seen { 0 } else { events.unread + different.len() };
    let mut lines = vec![(from, Severity::Warning, text)];
    lines.extend(different.into_iter().map(|(severity, text)| (to, severity, text)));
    events.away.push_back(Away { from, lines });
    while events.away.len() > GAPS {
        events.away.pop_front();
    }
}

/// This console stood still between two market times; what was told meanwhile is yet to be heard.
pub fn stood_still(state: &mut State, span: (Timestamp, Timestamp)) {
    note_gap(state, span, Vec::new());
    state.events.catching_up = Some(span.1);
}

/// Keeps an event that was told.
pub fn hear(state: &mut State, envelope: &Envelope) {
    let events = &mut state.events;
    events.catching_up = events.catching_up.filter(|until| envelope.at < *until);
    let missed = events.catching_up.is_some() && state.screen != Screen::Log;
    for line in told(envelope, state.zone) {
        state.events.unread += usize::from(missed);
        place(&mut state.events.live, envelope, (envelope.seq, line), |(_, (at, _, text))| (Some(*at), text));
    }
    while state.events.live.len() > LIVE {
        state.events.live.pop_front();
    }
}

fn passes((_, severity, text): &Line, least: Severity, words: &str) -> bool {
    *severity >= least && holds_words(text, words)
}

/// The lines that pass the filters, oldest first.
pub fn shown(state: &State) -> Vec<&Line> {
    let events = &state.events;
    let stored = events.page.page.as_ref();
    let newest = stored.and_then(|stored| stored.newest);
    let since = events
        .live
        .iter()
        .filter(|(seq, line)| newest.is_none_or(|newest| (line.0, *seq) > newest))
        .map(|(_, line)| line);
    let stored = stored.into_iter().flat_map(|stored| &stored.lines);
    let mut lines: Vec<&Line> = stored.chain(since).collect();
    for gap in &events.away {
        let place = lines.iter().position(|(at, ..)| *at > gap.from).unwrap_or(lines.len());
        lines.splice(place..place, &gap.lines);
    }
    lines.retain(|line| passes(line, events.least, &events.filter));
    lines
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

/// Other lines; at the end they are followed, and near the beginning older ones are asked for.
pub fn scroll(state: &mut State, step: Step) -> Vec<Effect> {
    state.events.top = view::log::moved(state, step);
    let near = state.events.top.is_some_and(|top| top < layout_rows(state));
    let oldest = state.events.page.page.as_ref().and_then(|stored| stored.oldest);
    let (Some(before), true, None) = (oldest, near, state.events.older) else { return Vec::new() };
    let (id, effect) = question(state, Query::Log { before: Some(before), limit: LIMIT });
    state.events.older = Some(id);
    vec![effect]
}

fn layout_rows(state: &State) -> usize {
    usize::from(super::super::layout::body(state).height)
}
