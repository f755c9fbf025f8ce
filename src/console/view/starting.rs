//! The first frames, before the desk is ready.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::state::State;
use super::super::theme::{Meaning, Theme};
use super::super::update::safe;

/// How many steps are listed.
const STEPS: usize = 8;

/// Draws the steps so far, the present one last.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let width = area.width.saturating_sub(2).min(72);
    let room = usize::from(width).saturating_sub(4);
    let mut lines = vec![Line::styled("The desk is starting", theme.style(Meaning::Title)), Line::default()];
    let first = state.steps.len().saturating_sub(STEPS);
    let last = state.steps.len().saturating_sub(1);
    for (index, step) in state.steps.iter().enumerate().skip(first) {
        let (mark, meaning) = if index == last { ("…", Meaning::Text) } else { ("✓", Meaning::Muted) };
        lines.push(Line::from(vec![
            Span::styled(format!("{mark} "), theme.style(Meaning::Key)),
            Span::styled(safe(step, room), theme.style(meaning)),
        ]));
    }
    if !state.connected {
        lines.push(Line::styled(
            "It stopped before it was ready; the log file says why.",
            theme.style(Meaning::Danger),
        ));
    }
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).min(area.height);
    let place = area.centered(Constraint::Length(width), Constraint::Length(height));
    frame.render_widget(Paragraph::new(lines), place);
}
