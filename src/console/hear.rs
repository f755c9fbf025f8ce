//! What the desk says, taken into the state.

use std::time::Duration;

use super::format;
use super::keymap::Action;
use super::screens::{self, Screen, log, market};
use super::stamps;
use super::state::{Confirm, LOG_LENGTH, Notice, Overlay, Question, State};
use super::telling::{place, sentences};
use super::update::{Effect, tell};
use crate::domain::{
    AccountName, AccountState, Alarm, CommandId, Envelope, Event, Feed, Severity, Snapshot, Symbol, Timestamp,
};

/// The least wall time between two rings of the bell.
const BELL: Duration = Duration::from_secs(10);

/// Takes a feed.
pub fn take(state: &mut State, feed: Feed) -> Vec<Effect> {
    match feed {
        Feed::Starting { step } => {
            state.steps.push(step);
            Vec::new()
        }
        Feed::Page { id, page } => screens::answer(state, id, page),
        Feed::Lost { reason } => {
            state.connected = false;
            tell(state, Severity::Warning, reason);
            Vec::new()
        }
        Feed::Undelivered { id, reason } => {
            state.asked.retain(|(asked, _)| *asked != id);
            tell(state, Severity::Warning, reason);
            Vec::new()
        }
        Feed::Snapshot(snapshot) => {
            let first = state.desk.is_none();
            let away = !std::mem::replace(&mut state.connected, true);
            let different =
                state.desk.as_ref().map_or_else(Vec::new, |before| happened(before, &snapshot, state.zone));
            for (severity, text) in &different {
                let notice = Notice { at: Some(snapshot.at), severity: *severity, text: text.clone() };
                record(state, notice);
            }
            if let Some((from, _)) = state.heard.filter(|_| away || !different.is_empty()) {
                tell(state, Severity::Info, back(from, snapshot.at, different.len(), state));
                log::note_gap(state, (from, snapshot.at), different);
            }
            state.heard = Some((snapshot.at, state.now));
            let mut desk = *snapshot;
            stamps::localize(&mut desk, state.zone);
            state.desk = Some(desk);
            anchor_selection(state);
            forget_stale_question(state);
            // Whatever was asked of the desk before may have been lost with the events in between.
            if first { Vec::new() } else { screens::ask(state) }
        }
        Feed::Event(envelope) => hear(state, &envelope),
    }
}

/// What is said first after a gap.
fn back(from: Timestamp, to: Timestamp, different: usize, state: &State) -> String {
    let lasted = format::lasted((to - from).num_seconds());
    let key = state.keys.key_of(Action::Show(Screen::Log));
    match different {
        0 => format!("the desk is back after {lasted}; nothing is different"),
        1 => format!("the desk is back after {lasted}: 1 thing happened, {key} says what"),
        count => format!("the desk is back after {lasted}: {count} things happened, {key} lists them"),
    }
}

/// What is different after a gap in what was heard, in sentences.
fn happened(before: &Snapshot, after: &Snapshot, zone: chrono::FixedOffset) -> Vec<(Severity, String)> {
    let mut lines = Vec::new();
    let mut note = |severity, text: String| lines.push((severity, format!("while you were away: {text}")));
    if let Some(cycle) =
        after.cycle.as_ref().filter(|cycle| before.cycle.as_ref().map(|c| &c.id) != Some(&cycle.id))
    {
        note(Severity::Info, format!("cycle {}", cycle.id));
    }
    let held = |desk: &Snapshot| -> Vec<(AccountName, Symbol)> {
        let of = |account: &AccountState| {
            let name = account.name.clone();
            account.positions.iter().map(move |held| (name.clone(), held.symbol.clone())).collect::<Vec<_>>()
        };
        desk.accounts.iter().flat_map(of).collect()
    };
    let (earlier, now) = (held(before), held(after));
    for (account, symbol) in now.iter().filter(|held| !earlier.contains(held)) {
        note(Severity::Info, format!("{account} opened {}", symbol.coin()));
    }
    for (account, symbol) in earlier.iter().filter(|held| !now.contains(held)) {
        note(Severity::Info, format!("{account} {} was closed", symbol.coin()));
    }
    // A restart numbers them anew.
    let text = |alarm: &Alarm| stamps::in_zone(&alarm.text, zone);
    let is_known =
        |alarm: &Alarm| before.alarms.iter().any(|known| known.at == alarm.at && known.text == text(alarm));
    for alarm in after.alarms.iter().filter(|alarm| before.seq > 0 && !is_known(alarm)) {
        note(alarm.severity, text(alarm));
    }
    for halt in after.halts.iter().filter(|halt| !before.halts.contains(halt)) {
        note(Severity::Warning, super::telling::halted(halt, zone));
    }
    lines
}

fn hear(state: &mut State, envelope: &Envelope) -> Vec<Effect> {
    remember_words(state, envelope);
    let Some(desk) = state.desk.as_mut() else { return Vec::new() };
    let missed = desk.apply(envelope);
    desk.trim_alarms();
    stamps::localize_news(desk, &envelope.event, state.zone);
    state.heard = Some((envelope.at, state.now));
    if missed {
        let text = "some events were missed; what is shown may lag until the next reading".to_owned();
        record(state, Notice { at: Some(envelope.at), severity: Severity::Warning, text });
    }
    log::hear(state, envelope);
    if matches!(envelope.event, Event::Marks { .. }) {
        market::follow(state);
    }
    let mut effects = announce(state, envelope);
    anchor_selection(state);
    forget_stale_question(state);
    effects.extend(screens::overtaken_by(state, &envelope.event));
    effects
}

/// Keeps the words of the last cycle when another begins, to tell what has changed.
fn remember_words(state: &mut State, envelope: &Envelope) {
    let (Event::CycleStarted { .. }, Some(id)) = (&envelope.event, &envelope.cycle) else { return };
    state.table.began_dry = state.desk.as_ref().map(|desk| (id.clone(), desk.dry_run));
    let Some(last) = state.cycle().filter(|last| &last.id != id && !last.decisions.is_empty()) else {
        return;
    };
    let word = |(proposal, _): &(crate::domain::Proposal, Option<crate::domain::Outcome>)| {
        (proposal.account.clone(), proposal.symbol.clone(), proposal.decision)
    };
    state.table.before = Some((id.clone(), last.decisions.iter().map(word).collect()));
}

fn record(state: &mut State, notice: Notice) {
    state.log.push_back(notice);
    keep_the_newest(state);
}

fn keep_the_newest(state: &mut State) {
    while state.log.len() > LOG_LENGTH {
        state.log.pop_front();
    }
}

/// Turns events into sentences: answers into the status line, everything worth keeping into the log.
fn announce(state: &mut State, envelope: &Envelope) -> Vec<Effect> {
    for (severity, text) in sentences(envelope, state.zone) {
        let notice = Notice { at: Some(envelope.at), severity, text };
        place(&mut state.log, envelope, notice, |notice| (notice.at, &notice.text));
        keep_the_newest(state);
    }
    match &envelope.event {
        Event::CommandAccepted { id, detail, .. } => {
            return answer(state, *id, Severity::Info, detail);
        }
        Event::CommandRefused { id, reason } => return answer(state, *id, Severity::Warning, reason),
        Event::CycleRefused { reason } => tell(state, Severity::Warning, format!("no cycle: {reason}")),
        Event::CycleStarted { .. } => {
            state.analysis_top = None;
            state.call = None;
            state.decision = 0;
        }
        Event::Alarm { severity, .. } if *severity > Severity::Info => return ring(state),
        _ => {}
    }
    Vec::new()
}

/// The bell, unless it rang a moment ago.
fn ring(state: &mut State) -> Vec<Effect> {
    let again = state.rang.is_none_or(|rang| state.now.saturating_sub(rang) >= BELL);
    if again {
        state.rang = Some(state.now);
        return vec![Effect::Bell];
    }
    Vec::new()
}

/// Shows the desk's answer if it was this console that asked, and lets go of a draft that is in force now.
fn answer(state: &mut State, id: CommandId, severity: Severity, text: &str) -> Vec<Effect> {
    let asked = state.asked.iter().position(|(asked, _)| *asked == id).map(|at| state.asked.remove(at));
    let Some((_, command)) = asked else { return Vec::new() };
    let text = stamps::in_zone(text, state.zone);
    tell(state, severity, text);
    if severity == Severity::Info { super::asking::carried_out(state, &command) } else { Vec::new() }
}

/// Keeps the selection on its position. When that is gone, its neighbour in the same account is next, and stays.
fn anchor_selection(state: &mut State) {
    let all = state.positions();
    let (row, chosen) = &state.position;
    let Some((account, symbol)) = chosen else { return };
    let same = |(owner, held): &(&AccountState, &crate::domain::Position)| {
        &owner.name == account && &held.symbol == symbol
    };
    let place = all.iter().position(same).or_else(|| {
        let mine = all.iter().enumerate().filter(|(_, (owner, _))| &owner.name == account);
        let nearest = mine.min_by_key(|(place, _)| place.abs_diff(*row)).map(|(place, _)| place);
        nearest.or_else(|| all.len().checked_sub(1).map(|last| last.min(*row)))
    });
    let next =
        place.and_then(|place| all.get(place)).map(|(owner, held)| (owner.name.clone(), held.symbol.clone()));
    state.position = (place.unwrap_or(0), next);
}

/// A question about a position that has changed meanwhile must not be answered any more; it says so where it stands.
fn forget_stale_question(state: &mut State) {
    let Some(Overlay::Confirm(Confirm { question, .. })) = &state.overlay else { return };
    let (account, symbol, unchanged) = match question {
        Question::Close { account, symbol, direction, quantity } => {
            let same = state.positions().iter().any(|(owner, held)| {
                &owner.name == account
                    && &held.symbol == symbol
                    && held.direction == *direction
                    && held.quantity == *quantity
            });
            (account, symbol, same)
        }
        Question::MoveStop { account, symbol, direction, .. } => {
            let held = |(owner, held): &(&AccountState, &crate::domain::Position)| {
                &owner.name == account && &held.symbol == symbol && held.direction == *direction
            };
            (account, symbol, state.positions().iter().any(held))
        }
        _ => return,
    };
    if unchanged {
        return;
    }
    let what = if matches!(question, Question::Close { .. }) {
        "nothing was closed"
    } else {
        "its stop was not moved"
    };
    let text = format!("{account} {} changed meanwhile; {what}", symbol.coin());
    if let Some(Overlay::Confirm(confirm)) = &mut state.overlay {
        confirm.over.get_or_insert(text);
    }
}
