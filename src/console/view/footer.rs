//! The last answer to the operator, and the keys.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::super::keymap::{Action, BINDINGS, Binding};
use super::super::layout::Areas;
use super::super::possible::{commands, why_not};
use super::super::screens::{Screen, prompt};
use super::super::state::State;
use super::super::theme::{Meaning, Theme};
use super::super::update::safe;
use super::severity;

/// Draws what the console last told its operator.
pub fn draw_status(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let Some(notice) = &state.status else { return };
    let (style, mark) = severity(notice.severity, theme);
    let time = notice.at.map(|at| format!("{} ", state.time(at))).unwrap_or_default();
    let room = usize::from(area.width).saturating_sub(time.len() + 4);
    let line = Line::from(vec![
        Span::styled(format!(" {mark} "), style),
        Span::styled(time, theme.style(Meaning::Muted)),
        Span::styled(safe(&notice.text, room), style),
    ]);
    frame.render_widget(line, area);
}

/// Draws as many keys as fit, the most important first; help and the way out always. What is not possible now is muted,
/// and a console that only watches is offered no commands at all.
pub fn draw_keys(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme, areas: &Areas) {
    if let Some(words) = elsewhere(state) {
        let esc = Span::styled(" esc ", theme.style(Meaning::Key));
        frame.render_widget(Line::from(vec![esc, Span::styled(words, theme.style(Meaning::Muted))]), area);
        return;
    }
    let offered = |binding: &&Binding| {
        !binding.hint.is_empty()
            && binding.on.includes(state.screen)
            && !(state.read_only && commands(binding.action))
    };
    let always = |action: Action| matches!(action, Action::Help | Action::Quit);
    let room = usize::from(area.width);
    let mut all: Vec<(&Binding, [Span<'static>; 2])> = BINDINGS
        .iter()
        .filter(offered)
        .map(|binding| (binding, pair(binding, state, theme, areas)))
        .collect();
    // What is halted is taken back more likely than halted further.
    if why_not(Action::Resume, state).is_none() {
        all.sort_by_key(|(binding, _)| binding.action != Action::Resume);
    }
    let width = |pair: &[Span<'_>; 2]| pair.iter().map(Span::width).sum::<usize>();
    let mut reserved: usize =
        all.iter().filter(|(binding, _)| always(binding.action)).map(|(_, pair)| width(pair)).sum();
    let mut line = Line::default();
    for (binding, pair) in all {
        if always(binding.action) {
            reserved -= width(&pair);
        }
        if line.width() + width(&pair) + reserved <= room {
            line.spans.extend(pair);
        }
    }
    frame.render_widget(line, area);
}

/// What the way out leads to while keys go somewhere else than to the table of keys.
fn elsewhere(state: &State) -> Option<&'static str> {
    if prompt::is_editing(state) {
        return Some("leaves the text and has it checked; other keys write");
    }
    state.overlay.as_ref().map(|_| "leaves what is open above")
}

/// A key and two words about it.
fn pair(binding: &Binding, state: &State, theme: &Theme, areas: &Areas) -> [Span<'static>; 2] {
    let off = why_not(binding.action, state).is_some();
    let key = theme.style(if off { Meaning::Muted } else { Meaning::Key });
    let dry_run = state.desk.as_ref().is_some_and(|desk| desk.dry_run);
    let hint = match binding.action {
        Action::FocusNext if state.screen == Screen::Desk => next_panel(state, areas),
        Action::FocusNext if state.screen == Screen::Prompt => "file",
        Action::FocusNext | Action::Open
            if state.screen == Screen::Market && state.market.chart.is_some() =>
        {
            ""
        }
        Action::Open | Action::ForceCycle | Action::Filter
            if state.screen == Screen::Cycles && state.cycles.open.is_some() =>
        {
            ""
        }
        Action::Back => match state.screen {
            Screen::Market if state.market.chart.is_some() => "back",
            Screen::Cycles if state.cycles.open.is_some() => "back",
            _ => "",
        },
        Action::Right => match state.screen {
            Screen::Market if state.market.chart.is_none() => "",
            Screen::Market => "interval",
            Screen::Money => "period",
            Screen::Cycles if state.cycles.open.is_none() => "",
            Screen::Cycles => "part",
            _ => "view",
        },
        // Nothing is sent in a dry-run: what only sends orders is not offered.
        Action::Flatten | Action::ClosePosition | Action::MoveStop if dry_run => "",
        Action::ToggleDryRun if dry_run => "trade again",
        _ => binding.hint,
    };
    if hint.is_empty() {
        return [Span::default(), Span::default()];
    }
    [
        Span::styled(format!(" {} ", state.keys.key_of(binding.action)), key),
        Span::styled(format!("{hint} "), theme.style(Meaning::Muted)),
    ]
}

/// Where tab leads, by name when that panel is out of sight.
fn next_panel(state: &State, areas: &Areas) -> &'static str {
    use super::super::state::Panel;
    let here = Panel::ALL.iter().position(|panel| *panel == state.focus).unwrap_or(0);
    let next = Panel::ALL.get((here + 1) % Panel::ALL.len()).copied().unwrap_or(Panel::Accounts);
    if areas.hidden().any(|hidden| hidden == next) { next.title() } else { "panel" }
}
