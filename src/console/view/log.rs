//! The events of record, the newest at the bottom.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::layout;
use super::super::screens::log;
use super::super::state::State;
use super::super::theme::{Meaning, Theme};
use super::super::update::{Step, safe};
use super::super::wrap::wrap;
use super::{framed, mark_stretch, page, placeholder, severity};
use crate::domain::Severity;

/// Columns of time and mark.
const HEAD: usize = 19;

/// The first line in sight after a movement; `None` when the end is in sight and followed. Long lines take several
/// rows: a page is what is in sight, so that none is passed over.
pub fn moved(state: &State, step: Step) -> Option<usize> {
    let body = layout::body(state);
    let (rows, width) =
        (usize::from(body.height.saturating_sub(2)), usize::from(body.width.saturating_sub(2)));
    let lines = log::shown(state);
    let end = fitting_before(&lines, lines.len(), rows, width);
    let top = state.events.top.unwrap_or(end).min(end);
    let moved = match step {
        Step::Lines(by) => top.saturating_add_signed(by),
        Step::Pages(by) if by < 0 => fitting_before(&lines, top, rows, width),
        Step::Pages(_) => top + fitting_from(&lines, top, rows, width).max(1),
        Step::First => 0,
        Step::Last => end,
    };
    (moved < end).then_some(moved)
}

/// Rows a line takes.
fn height((.., text): &log::Line, width: usize) -> usize {
    let width = width.saturating_sub(HEAD);
    wrap(&safe(text, width * 4), width).len().max(1)
}

/// How many lines from `top` on are wholly in sight.
fn fitting_from(lines: &[&log::Line], top: usize, rows: usize, width: usize) -> usize {
    let mut left = rows;
    lines
        .iter()
        .skip(top)
        .take_while(|line| {
            let needed = height(line, width);
            let fits = needed <= left;
            left = left.saturating_sub(needed);
            fits
        })
        .count()
}

/// The first of the lines before `below` that are wholly in sight above it.
fn fitting_before(lines: &[&log::Line], below: usize, rows: usize, width: usize) -> usize {
    let mut left = rows;
    let above = lines.iter().take(below).rev().take_while(|line| {
        let needed = height(line, width);
        let fits = needed <= left;
        left = left.saturating_sub(needed);
        fits
    });
    below.saturating_sub(above.count().max(1))
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
        Some(_) if state.events.older.is_some() => {
            Span::styled("asking for older lines …", theme.style(Meaning::Muted))
        }
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
    let end = fitting_before(&lines, count, rows, usize::from(inner.width));
    let top = state.events.top.unwrap_or(end).min(end);
    let in_sight = fitting_from(&lines, top, rows, usize::from(inner.width)).max(1);
    let mut shown: Vec<Line<'_>> = Vec::new();
    for (at, loud, text) in lines.iter().skip(top).take(rows) {
        let (style, mark) = severity(*loud, theme);
        for (index, text) in wrap(&safe(text, width * 4), width).into_iter().enumerate() {
            let head =
                if index == 0 { format!(" {} ", state.clock(*at, "%d %b %H:%M:%S")) } else { String::new() };
            let mark = if index == 0 { mark } else { " " };
            shown.push(Line::from(vec![
                Span::styled(format!("{head:<17}"), theme.style(Meaning::Muted)),
                Span::styled(format!("{mark} {text}"), style),
            ]));
        }
    }
    frame.render_widget(Paragraph::new(shown), inner);
    let goes_on = asked.page.as_ref().is_some_and(log::Stored::goes_on);
    mark_stretch(frame, area, theme, (top, in_sight), count, goes_on);
}
