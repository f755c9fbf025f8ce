//! What a key, an event or a passing second does to the state. Pure: whatever must be done outside comes back as data.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind};
use ratatui::layout::Rect;

use super::keymap::{self, Action, Key};
use super::layout::{self, Areas};
use super::state::{Confirm, LOG_LENGTH, Notice, Overlay, Panel, Question, State};
use super::{format, prose, view};
use crate::domain::{
    Command, CommandId, Envelope, Event, Feed, Mode, OperatorCommand, OrderPurpose, OrderState, OutcomeKind,
    Query, QueryId, Severity, Untrusted,
};

/// What can happen to a console.
#[derive(Debug, Clone)]
pub enum Msg {
    /// A key was pressed.
    Key(KeyEvent),
    /// The terminal has this many columns and rows.
    Resize(u16, u16),
    /// The desk said something.
    Feed(Box<Feed>),
    /// The desk says nothing more.
    FeedEnded,
    /// So much wall time has passed since the console began.
    Clock(Duration),
    /// A command could not be handed to the desk.
    Undelivered(CommandId, String),
    /// Something the operator asked of the console itself was done, or not.
    Told(Severity, String),
}

/// What must be done outside the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Hand a command to the desk.
    Send(OperatorCommand),
    /// Ask the desk something; the answer comes back as a page with this id.
    Ask(QueryId, Query),
    /// Take the next theme.
    NextTheme,
    /// Leave.
    Quit,
}

/// Applies what happened.
pub fn update(state: &mut State, msg: Msg) -> Vec<Effect> {
    match msg {
        Msg::Key(event) if event.kind == KeyEventKind::Release => Vec::new(),
        Msg::Key(event) => press(state, event),
        Msg::Resize(columns, rows) => {
            state.size = (columns, rows);
            Vec::new()
        }
        Msg::Feed(feed) => {
            take(state, *feed);
            Vec::new()
        }
        Msg::FeedEnded => {
            state.connected = false;
            tell(state, Severity::Critical, "the desk has stopped; q leaves".to_owned());
            Vec::new()
        }
        Msg::Clock(now) => {
            state.now = state.now.max(now);
            Vec::new()
        }
        Msg::Undelivered(id, why) => {
            state.asked.retain(|(asked, _)| *asked != id);
            tell(state, Severity::Warning, why);
            Vec::new()
        }
        Msg::Told(severity, text) => {
            tell(state, severity, text);
            Vec::new()
        }
    }
}

fn tell(state: &mut State, severity: Severity, text: String) {
    state.status = Some(Notice { at: state.market_time(), severity, text });
}

fn record(state: &mut State, notice: Notice) {
    state.log.push_back(notice);
    while state.log.len() > LOG_LENGTH {
        state.log.pop_front();
    }
}

// --- what the desk says ---------------------------------------------------------------------------------------------

fn take(state: &mut State, feed: Feed) {
    match feed {
        Feed::Starting { step } => state.steps.push(step),
        Feed::Page { .. } => {}
        Feed::Lost { reason } => {
            state.connected = false;
            tell(state, Severity::Warning, reason);
        }
        Feed::Undelivered { id, reason } => {
            state.asked.retain(|(asked, _)| *asked != id);
            tell(state, Severity::Warning, reason);
        }
        Feed::Snapshot(snapshot) => {
            if !std::mem::replace(&mut state.connected, true) {
                tell(state, Severity::Info, "the desk is back".to_owned());
            }
            state.heard = Some((snapshot.at, state.now));
            state.alarms_seen = 0;
            state.desk = Some(*snapshot);
            forget_stale_question(state);
        }
        Feed::Event(envelope) => {
            let Some(desk) = state.desk.as_mut() else { return };
            let missed = desk.apply(&envelope);
            let dropped = desk.trim_alarms();
            state.alarms_seen = state.alarms_seen.saturating_sub(dropped);
            state.heard = Some((envelope.at, state.now));
            if missed {
                let text = "some events were missed; what is shown may lag until the next reading".to_owned();
                record(state, Notice { at: Some(envelope.at), severity: Severity::Warning, text });
            }
            announce(state, &envelope);
            forget_stale_question(state);
        }
    }
}

/// Turns events into sentences: answers into the status line, everything worth keeping into the log.
fn announce(state: &mut State, envelope: &Envelope) {
    let mut note = |severity: Severity, text: String| {
        record(state, Notice { at: Some(envelope.at), severity, text });
    };
    match &envelope.event {
        Event::CommandAccepted { id, detail } => {
            note(Severity::Info, detail.clone());
            answer(state, *id, Severity::Info, detail.clone());
        }
        Event::CommandRefused { id, reason } => {
            note(Severity::Warning, reason.clone());
            answer(state, *id, Severity::Warning, reason.clone());
        }
        Event::CycleRefused { reason } => {
            note(Severity::Warning, format!("no cycle: {reason}"));
            tell(state, Severity::Warning, format!("no cycle: {reason}"));
        }
        Event::CycleStarted { trigger } => {
            state.analysis_top = None;
            state.tools_top = None;
            record(
                state,
                Notice {
                    at: Some(envelope.at),
                    severity: Severity::Info,
                    text: format!("cycle started ({})", trigger.as_str()),
                },
            );
        }
        Event::CycleFinished { report, .. } => {
            let count = |kind| report.decisions.iter().filter(|row| row.outcome.kind == kind).count();
            let took = format::millis(report.timings_ms.total);
            let text = format!(
                "cycle done in {took}: {} opened, {} closed, {} refused",
                count(OutcomeKind::Opened),
                count(OutcomeKind::Closed),
                count(OutcomeKind::Refused),
            );
            note(Severity::Info, text);
            for error in &report.errors {
                note(Severity::Warning, error.clone());
            }
        }
        Event::Order { account, symbol, purpose, state: order, price, .. } => {
            let at = price.map(|price| format!(" at {}", format::price(price))).unwrap_or_default();
            let severity = match (order, purpose) {
                (
                    OrderState::Rejected | OrderState::Unknown,
                    OrderPurpose::Stop | OrderPurpose::Emergency,
                ) => Severity::Critical,
                (OrderState::Rejected | OrderState::Unknown, _) => Severity::Warning,
                _ => Severity::Info,
            };
            note(
                severity,
                format!("{account} {} {} {}{at}", symbol.coin(), purpose.as_str(), order.as_str()),
            );
        }
        Event::DryRun { on } => {
            let text =
                if *on { "dry-run: orders are computed, none is sent" } else { "orders are sent again" };
            note(Severity::Info, text.to_owned());
        }
        Event::Alarm { severity, text } => note(*severity, text.clone()),
        _ => {}
    }
}

/// Shows the desk's answer if it was this console that asked.
fn answer(state: &mut State, id: CommandId, severity: Severity, text: String) {
    let before = state.asked.len();
    state.asked.retain(|(asked, _)| *asked != id);
    if state.asked.len() < before {
        tell(state, severity, text);
    }
}

/// A question about a position that has changed meanwhile must not be answered any more.
fn forget_stale_question(state: &mut State) {
    let Some(Overlay::Confirm(Confirm {
        question: Question::Close { account, symbol, direction, quantity },
        ..
    })) = &state.overlay
    else {
        return;
    };
    let unchanged = state.positions().iter().any(|(owner, held)| {
        &owner.name == account
            && &held.symbol == symbol
            && held.direction == *direction
            && held.quantity == *quantity
    });
    if !unchanged {
        let text = format!("{account} {} changed meanwhile; nothing was closed", symbol.coin());
        state.overlay = None;
        tell(state, Severity::Warning, text);
    }
}

// --- what the operator does -----------------------------------------------------------------------------------------

fn press(state: &mut State, event: KeyEvent) -> Vec<Effect> {
    let Some(key) = Key::of(event) else { return Vec::new() };
    match state.overlay.take() {
        Some(Overlay::Confirm(confirm)) => answer_question(state, confirm, key),
        Some(Overlay::Help(top)) => read_help(state, top, key),
        None => keymap::lookup(key).map_or_else(Vec::new, |action| act(state, action)),
    }
}

/// In the question, ctrl-c and escape say no, like everything that is not a yes.
fn answer_question(state: &mut State, mut confirm: Confirm, key: Key) -> Vec<Effect> {
    let Some(word) = confirm.word.clone() else {
        if matches!(key, Key::Char('y' | 'Y')) {
            return carry_out(state, confirm.question);
        }
        tell(state, Severity::Info, "left as it was".to_owned());
        return Vec::new();
    };
    match key {
        Key::Char(character) if confirm.typed.len() < word.len() => {
            confirm.typed.push(character.to_ascii_uppercase());
        }
        Key::Code(KeyCode::Backspace) => {
            confirm.typed.pop();
        }
        Key::Code(KeyCode::Enter) if confirm.typed == word => return carry_out(state, confirm.question),
        Key::Code(KeyCode::Enter | KeyCode::Esc) | Key::Ctrl('c') => {
            tell(state, Severity::Info, "left as it was".to_owned());
            return Vec::new();
        }
        _ => {}
    }
    state.overlay = Some(Overlay::Confirm(confirm));
    Vec::new()
}

fn carry_out(state: &mut State, question: Question) -> Vec<Effect> {
    match question {
        Question::Close { account, symbol, .. } => send(state, Command::ClosePosition { account, symbol }),
        Question::Trade => send(state, Command::SetDryRun(false)),
        Question::Quit => vec![Effect::Quit],
    }
}

fn send(state: &mut State, command: Command) -> Vec<Effect> {
    let id = state.next_command;
    state.next_command += 1;
    state.asked.push((id, command.clone()));
    let text = match &command {
        Command::RunCycle => "asked for a cycle …".to_owned(),
        Command::SetDryRun(on) => format!("asked to switch dry-run {} …", if *on { "on" } else { "off" }),
        Command::ClosePosition { account, symbol } => format!("asked to close {account} {symbol} …"),
        _ => "asked the desk …".to_owned(),
    };
    tell(state, Severity::Info, text);
    vec![Effect::Send(OperatorCommand { id, command })]
}

fn read_help(state: &mut State, top: usize, key: Key) -> Vec<Effect> {
    let last = view::help::last_top(state);
    let page = usize::from(state.size.1 / 2).max(1);
    let top = match keymap::lookup(key) {
        Some(Action::Quit) if key == Key::Ctrl('c') => return act(state, Action::Quit),
        Some(Action::Up) => top.saturating_sub(1),
        Some(Action::Down) => top + 1,
        Some(Action::PageUp) => top.saturating_sub(page),
        Some(Action::PageDown) => top + page,
        Some(Action::First) => 0,
        Some(Action::Last) => last,
        Some(Action::NextTheme) => {
            state.overlay = Some(Overlay::Help(top));
            return vec![Effect::NextTheme];
        }
        _ => return Vec::new(),
    };
    state.overlay = Some(Overlay::Help(top.min(last)));
    Vec::new()
}

fn act(state: &mut State, action: Action) -> Vec<Effect> {
    let (columns, rows) = state.size;
    let too_small = columns < layout::SMALLEST.0 || rows < layout::SMALLEST.1;
    if too_small && action != Action::Quit {
        return Vec::new();
    }
    if let Some(why) = keymap::disabled(action, state) {
        tell(state, Severity::Warning, why.to_owned());
        return Vec::new();
    }
    match action {
        Action::ForceCycle => return send(state, Command::RunCycle),
        Action::ToggleDryRun => return toggle_dry_run(state),
        Action::ClosePosition => ask_to_close(state),
        Action::Acknowledge => {
            state.alarms_seen = state.desk.as_ref().map_or(0, |desk| desk.alarms.len());
        }
        Action::NextTheme => return vec![Effect::NextTheme],
        Action::Help => state.overlay = Some(Overlay::Help(0)),
        Action::Quit => return quit(state),
        Action::FocusNext => move_focus(state, 1),
        Action::FocusPrevious => move_focus(state, Panel::ALL.len() - 1),
        Action::Up => scroll(state, Step::Lines(-1)),
        Action::Down => scroll(state, Step::Lines(1)),
        Action::PageUp => scroll(state, Step::Pages(-1)),
        Action::PageDown => scroll(state, Step::Pages(1)),
        Action::First => scroll(state, Step::First),
        Action::Last => scroll(state, Step::Last),
    }
    Vec::new()
}

fn quit(state: &mut State) -> Vec<Effect> {
    if state.mode() != Some(Mode::Live) || !state.connected {
        return vec![Effect::Quit];
    }
    ask(state, Question::Quit, None);
    Vec::new()
}

fn toggle_dry_run(state: &mut State) -> Vec<Effect> {
    if state.desk.as_ref().is_some_and(|desk| desk.dry_run) {
        let word = (state.mode() == Some(Mode::Live)).then(|| "TRADE".to_owned());
        ask(state, Question::Trade, word);
        Vec::new()
    } else {
        send(state, Command::SetDryRun(true))
    }
}

fn ask_to_close(state: &mut State) {
    let Some((index, account, position)) = state.selected_position() else { return };
    let chosen = (account.name.clone(), position.symbol.clone());
    let question = Question::Close {
        account: account.name.clone(),
        symbol: position.symbol.clone(),
        direction: position.direction,
        quantity: position.quantity,
    };
    let word = (state.mode() == Some(Mode::Live)).then(|| position.symbol.as_str().to_owned());
    state.position = (index, Some(chosen));
    ask(state, question, word);
}

fn ask(state: &mut State, question: Question, word: Option<String>) {
    state.overlay = Some(Overlay::Confirm(Confirm { question, word, typed: String::new() }));
}

fn move_focus(state: &mut State, by: usize) {
    let here = Panel::ALL.iter().position(|panel| *panel == state.focus).unwrap_or(0);
    let next = Panel::ALL.get((here + by) % Panel::ALL.len()).copied().unwrap_or(Panel::Accounts);
    state.focus = next;
    if next != Panel::Accounts {
        state.main = next;
    }
    if matches!(next, Panel::Analysis | Panel::Tools) {
        state.side = next;
    }
}

/// A movement within a panel.
#[derive(Debug, Clone, Copy)]
enum Step {
    Lines(isize),
    Pages(isize),
    First,
    Last,
}

impl Step {
    /// Where a movement from `at` leads in a list of `count` with `page` rows visible.
    fn from(self, at: usize, count: usize, page: usize) -> usize {
        let page = isize::try_from(page.max(1)).unwrap_or(1);
        let last = count.saturating_sub(1);
        match self {
            Self::Lines(by) => at.saturating_add_signed(by).min(last),
            Self::Pages(by) => at.saturating_add_signed(by * page).min(last),
            Self::First => 0,
            Self::Last => last,
        }
    }
}

fn scroll(state: &mut State, step: Step) {
    let screen = Rect::new(0, 0, state.size.0, state.size.1);
    let Some(place) = layout::areas(screen, state).and_then(|areas: Areas| areas.of(state.focus)) else {
        return;
    };
    let rows = view::capacity(state.focus, place);
    match state.focus {
        Panel::Accounts => {
            let here = state.selected_position().map_or(0, |(index, ..)| index);
            let all = state.positions();
            let index = step.from(here, all.len(), rows);
            let chosen = all.get(index).map(|(account, held)| (account.name.clone(), held.symbol.clone()));
            state.position = (index, chosen);
        }
        Panel::Decisions => {
            let cycle = state.desk.as_ref().and_then(|desk| desk.cycle.as_ref());
            let count = cycle.map_or(0, |cycle| cycle.decisions.len());
            state.decision = step.from(state.decision.min(count.saturating_sub(1)), count, rows);
        }
        Panel::Analysis => {
            let width = view::analysis::text_width(place);
            let cycle = state.desk.as_ref().and_then(|desk| desk.cycle.as_ref());
            let lines = cycle.map_or(0, |cycle| prose::lines(cycle, width).len());
            state.analysis_top = new_top(state.analysis_top, step, lines, rows);
        }
        Panel::Tools => {
            let cycle = state.desk.as_ref().and_then(|desk| desk.cycle.as_ref());
            let calls = cycle.map_or(0, |cycle| cycle.tool_calls.len());
            state.tools_top = new_top(state.tools_top, step, calls, rows);
        }
    }
}

/// The first line shown after a movement; `None` when the end is in sight and followed again.
fn new_top(top: Option<usize>, step: Step, lines: usize, rows: usize) -> Option<usize> {
    let end = lines.saturating_sub(rows);
    let moved = step.from(top.unwrap_or(end).min(end), end + 1, rows);
    (moved < end).then_some(moved)
}

/// A sentence of ours or of the desk, made safe for a cell grid.
pub(super) fn safe(text: &str, columns: usize) -> String {
    Untrusted::new(text).line(columns)
}
