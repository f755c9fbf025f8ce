//! The events of record, the newest at the bottom.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::layout;
use super::super::screens::log;
use super::super::state::State;
use super::super::theme::{Meaning, Theme};
use super::super::update::safe;
use super::super::wrap::wrap;
use super::{framed, mark_part, page, placeholder, severity};
use crate::domain::Severity;

/// Columns of time and mark.
const HEAD: usize = 18;

/// How many lines there are, and how many rows for them; a line counts once however long it is.
pub fn extent(state: &State) -> (usize, usize) {
    (log::shown(state).len(), usize::from(layout::body(state).height.saturating_sub(2)))
}

/// Draws the screen.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let asked = &state.events.page;
    let least = match state.events.least {
        Severity::Info => "",
        Severity::Warning => ", warnings and worse",
        Severity::Critical => ", critical only",
    };
    let words = if state.events.filter.is_empty() {
        String::new()
    } else {
        format!(" with {:?}", state.events.filter)
    };
    let note = match state.events.top {
        Some(_) => Span::styled("held; end follows", theme.style(Meaning::Warn)),
        None => page::age(asked, state, theme),
    };
    let inner = framed(frame, area, state, theme, &format!("Log{least}{words}"), &note, true);
    let lines = log::shown(state);
    if lines.is_empty() {
        if !page::awaited(frame, inner, asked, state, theme) {
            placeholder(frame, inner, theme, &["Nothing of this kind is on record."]);
        }
        return;
    }
    let rows = usize::from(inner.height);
    let width = usize::from(inner.width).saturating_sub(HEAD);
    let count = lines.len();
    let end = count.saturating_sub(rows);
    let top = state.events.top.unwrap_or(end).min(end);
    let mut shown: Vec<Line<'_>> = Vec::new();
    for (at, loud, text) in lines.iter().skip(top).take(rows) {
        let (style, mark) = severity(*loud, theme);
        for (index, text) in wrap(&safe(text, width * 4), width).into_iter().enumerate() {
            let head =
                if index == 0 { format!(" {} ", state.clock(*at, "%d %b %H:%M:%S")) } else { String::new() };
            let mark = if index == 0 { mark } else { " " };
            shown.push(Line::from(vec![
                Span::styled(format!("{head:<16}"), theme.style(Meaning::Muted)),
                Span::styled(format!("{mark} {text}"), style),
            ]));
        }
    }
    // Where long lines were broken, the end is what is followed.
    let surplus = if state.events.top.is_none() { shown.len().saturating_sub(rows) } else { 0 };
    frame.render_widget(Paragraph::new(shown.split_off(surplus)), inner);
    mark_part(frame, area, theme, top, rows, count);
}
