//! The names of the screens with their keys, and at the right what holds on all of them.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};

use super::super::screens::Screen;
use super::super::state::State;
use super::super::theme::{Meaning, Theme};

/// Draws the bar. The screen in sight stands in brackets, so that it can be told without colour.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let (key, muted) = (theme.style(Meaning::Key), theme.style(Meaning::Muted));
    let mut line = Line::default();
    let mut closing = " ";
    let gap = gap(area);
    for screen in Screen::ALL {
        let here = screen == state.screen;
        if gap > 0 && screen != Screen::Desk {
            line.push_span(Span::styled(closing, theme.style(Meaning::Focus)));
            closing = " ";
        }
        line.push_span(Span::styled(if here { "[" } else { closing }, theme.style(Meaning::Focus)));
        closing = if here { "]" } else { " " };
        line.push_span(Span::styled(screen.number().to_string(), key));
        let style = if here { theme.style(Meaning::Focus) } else { muted };
        line.push_span(Span::styled(format!(" {}", screen.title()), style));
    }
    line.push_span(Span::styled(closing, theme.style(Meaning::Focus)));
    let used = line.width();
    frame.render_widget(line, area);
    let room = usize::from(area.width).saturating_sub(used + 1);
    let mut right = Line::default();
    for (text, meaning) in standing(state) {
        if right.width() + text.chars().count() + 2 <= room {
            right.push_span(Span::styled(format!("{text}  "), theme.style(meaning)));
        }
    }
    let width = u16::try_from(right.width()).unwrap_or(0);
    frame.render_widget(right, Rect { x: area.right().saturating_sub(width), width, ..area });
}

/// What holds on all screens: halts, a note that waits, the armed accounts.
fn standing(state: &State) -> Vec<(String, Meaning)> {
    let Some(desk) = &state.desk else { return Vec::new() };
    let mut standing = Vec::new();
    match desk.halts.len() {
        0 => {}
        1 => standing.push(("■ 1 halt".to_owned(), Meaning::Danger)),
        count => standing.push((format!("■ {count} halts"), Meaning::Danger)),
    }
    if !desk.armed.is_empty() {
        standing.push((format!("▲ {} armed", desk.armed.len()), Meaning::Warn));
    }
    if desk.note.is_some() {
        standing.push(("▪ note for the next cycle".to_owned(), Meaning::Warn));
    }
    standing
}

/// Columns between two names, where there is room for any.
const fn gap(area: Rect) -> u16 {
    if area.width >= 72 { 1 } else { 0 }
}

/// The screen whose name stands at a place.
pub fn screen_at(area: Rect, column: u16, row: u16) -> Option<Screen> {
    if !area.contains(Position::new(column, row)) {
        return None;
    }
    let mut left = area.x;
    Screen::ALL.into_iter().find(|screen| {
        let width = u16::try_from(screen.title().len() + 3).unwrap_or(u16::MAX) + gap(area);
        let hit = (left..left.saturating_add(width)).contains(&column);
        left = left.saturating_add(width);
        hit
    })
}
