//! A polite sentence where the desk has no room; what money it is stays in sight.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

use super::super::layout::SMALLEST;
use super::super::state::{Overlay, State};
use super::super::theme::{Meaning, Theme};
use super::super::wrap::wrap;
use super::{confirm, header};

/// Draws the badges and the sentence, as much as there is room for.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let width = usize::from(area.width);
    let mut lines: Vec<Line<'_>> = Vec::new();
    for badge in header::badges(state, theme).into_iter().filter(|badge| !badge.content.trim().is_empty()) {
        match lines.last_mut() {
            Some(line) if line.width() + badge.width() < width => {
                line.push_span(" ");
                line.push_span(badge);
            }
            _ => lines.push(Line::from(badge)),
        }
    }
    let text = match &state.overlay {
        Some(Overlay::Confirm(question)) => confirm::sentence(question),
        _ => format!(
            "Please enlarge: {}x{} is needed, this is {}x{}. q quits.",
            SMALLEST.0, SMALLEST.1, area.width, area.height
        ),
    };
    let style = theme.style(Meaning::Text);
    let mut words = wrap(&text, width);
    if words.len() + lines.len() > usize::from(area.height) && state.overlay.is_none() {
        words = wrap(&format!("Needs {}x{}, q quits", SMALLEST.0, SMALLEST.1), width);
    }
    lines.extend(words.into_iter().map(|line| Line::styled(line, style)));
    frame.render_widget(Paragraph::new(lines), area);
}
