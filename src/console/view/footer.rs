//! The last answer to the operator, and the keys.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::super::format;
use super::super::keymap::{Action, BINDINGS, disabled};
use super::super::layout::Areas;
use super::super::state::State;
use super::super::theme::{Meaning, Theme};
use super::super::update::safe;
use super::severity;

/// Draws what the console last told its operator.
pub fn draw_status(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let Some(notice) = &state.status else { return };
    let (style, mark) = severity(notice.severity, theme);
    let time = notice.at.map(|at| format!("{} ", format::time(at))).unwrap_or_default();
    let room = usize::from(area.width).saturating_sub(time.len() + 4);
    let line = Line::from(vec![
        Span::styled(format!(" {mark} "), style),
        Span::styled(time, theme.style(Meaning::Muted)),
        Span::styled(safe(&notice.text, room), style),
    ]);
    frame.render_widget(line, area);
}

/// Draws as many keys as fit, the most important first; what is not possible now is muted.
pub fn draw_keys(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme, areas: &Areas) {
    let mut line = Line::default();
    for binding in BINDINGS.iter().filter(|binding| !binding.hint.is_empty()) {
        let off = disabled(binding.action, state).is_some();
        let key = theme.style(if off { Meaning::Muted } else { Meaning::Key });
        let hint = match binding.action {
            Action::FocusNext => next_panel(state, areas),
            Action::ToggleDryRun if state.desk.as_ref().is_some_and(|desk| desk.dry_run) => "trade again",
            _ => binding.hint,
        };
        let pair = [
            Span::styled(format!(" {} ", binding.label), key),
            Span::styled(format!("{hint} "), theme.style(Meaning::Muted)),
        ];
        if line.width() + pair.iter().map(Span::width).sum::<usize>() <= usize::from(area.width) {
            line.spans.extend(pair);
        }
    }
    frame.render_widget(line, area);
}

/// Where tab leads, by name when that panel is out of sight.
fn next_panel(state: &State, areas: &Areas) -> &'static str {
    use super::super::state::Panel;
    let here = Panel::ALL.iter().position(|panel| *panel == state.focus).unwrap_or(0);
    let next = Panel::ALL.get((here + 1) % Panel::ALL.len()).copied().unwrap_or(Panel::Accounts);
    if areas.hidden().any(|hidden| hidden == next) { next.title() } else { "panel" }
}
