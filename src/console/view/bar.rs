//! The names of the screens with their keys, and at the right what holds on all of them.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::super::screens::Screen;
use super::super::state::State;
use super::super::theme::{Meaning, Theme};
use crate::domain::{HaltLevel, HaltScope};

/// How the bar is filled: as much as fits, and what holds goes before the names of screens that are out of sight.
struct Arrangement {
    /// Whether only the screen in sight has its name beside its number.
    short: bool,
    standing: Vec<(String, Meaning)>,
}

impl Arrangement {
    fn of(area: Rect, state: &State) -> Self {
        let width = usize::from(area.width);
        let variants = [(false, true), (false, false), (true, true), (true, false)];
        let fitting = variants.into_iter().find_map(|(short, long)| {
            let standing = standing(state, long);
            let needed: usize = standing.iter().map(|(text, _)| text.width() + 2).sum();
            (names_width(area, state, short) + needed < width + 2).then_some(Self { short, standing })
        });
        fitting.unwrap_or_else(|| Self { short: true, standing: standing(state, false) })
    }
}

/// What stands for a screen.
fn name(screen: Screen, state: &State, short: bool) -> String {
    if short && screen != state.screen {
        screen.number().to_string()
    } else {
        format!("{} {}", screen.number(), screen.title())
    }
}

/// Columns of all names with what stands between them.
fn names_width(area: Rect, state: &State, short: bool) -> usize {
    let names: usize = Screen::ALL.into_iter().map(|screen| name(screen, state, short).len() + 1).sum();
    names + usize::from(gap(area)) * (Screen::ALL.len() - 1) + 1
}

/// Draws the bar. The screen in sight stands in brackets, so that it can be told without colour.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let (key, muted) = (theme.style(Meaning::Key), theme.style(Meaning::Muted));
    let arrangement = Arrangement::of(area, state);
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
        let name = name(screen, state, arrangement.short);
        let (number, title) = name.split_at(1);
        line.push_span(Span::styled(number.to_owned(), key));
        let style = if here { theme.style(Meaning::Focus) } else { muted };
        line.push_span(Span::styled(title.to_owned(), style));
    }
    line.push_span(Span::styled(closing, theme.style(Meaning::Focus)));
    let used = line.width();
    frame.render_widget(line, area);
    let mut right = Line::default();
    for (text, meaning) in arrangement.standing {
        let gap = if right.width() > 0 { "  " } else { "" };
        if used + right.width() + gap.len() + text.width() < usize::from(area.width) {
            right.push_span(Span::styled(format!("{gap}{text}"), theme.style(meaning)));
        }
    }
    right.push_span(" ");
    let width = u16::try_from(right.width()).unwrap_or(0);
    frame.render_widget(right, Rect { x: area.right().saturating_sub(width), width, ..area });
}

/// What holds on all screens: halts, the armed accounts, a note that waits, what happened while nobody looked.
fn standing(state: &State, long: bool) -> Vec<(String, Meaning)> {
    let Some(desk) = &state.desk else { return Vec::new() };
    let mut standing = Vec::new();
    let of_all = desk.halts.iter().filter(|halt| halt.scope == HaltScope::Desk).map(|halt| halt.level).max();
    let others = desk.halts.iter().filter(|halt| halt.scope != HaltScope::Desk).count();
    let word = of_all.map(|level| match level {
        HaltLevel::NoEntries => "■ no entries",
        HaltLevel::Frozen => "■ FROZEN",
        HaltLevel::Flattened => "■ FLATTENED",
    });
    let halts = match (word, others) {
        (None, 0) => None,
        (None, 1) => Some("■ 1 halt".to_owned()),
        (None, count) => Some(format!("■ {count} halts")),
        (Some(word), 0) => Some(word.to_owned()),
        (Some(word), count) => Some(format!("{word} +{count}")),
    };
    standing.extend(halts.map(|text| (text, Meaning::Danger)));
    if !desk.armed.is_empty() {
        let names: Vec<&str> = desk.armed.iter().map(crate::domain::AccountName::as_str).collect();
        let text = if long {
            format!("▲ armed: {}", names.join(", "))
        } else {
            format!("▲ {} armed", names.len())
        };
        standing.push((text, Meaning::Warn));
    }
    if state.events.unread > 0 {
        let count = state.events.unread;
        let text =
            if long { format!("◆ {count} while you were away") } else { format!("◆ {count} away") };
        standing.push((text, Meaning::Warn));
    }
    if desk.note.is_some() {
        let text = if long { "▪ note for the next cycle" } else { "▪ note" };
        standing.push((text.to_owned(), Meaning::Warn));
    }
    standing
}

/// Columns between two names, where there is room for any.
const fn gap(area: Rect) -> u16 {
    if area.width >= 72 { 1 } else { 0 }
}

/// The screen whose name stands at a place.
pub fn screen_at(area: Rect, state: &State, column: u16, row: u16) -> Option<Screen> {
    if !area.contains(Position::new(column, row)) {
        return None;
    }
    let short = Arrangement::of(area, state).short;
    let mut left = area.x;
    Screen::ALL.into_iter().find(|screen| {
        let name = name(*screen, state, short);
        let width = u16::try_from(name.len() + 1).unwrap_or(u16::MAX) + gap(area);
        let hit = (left..left.saturating_add(width)).contains(&column);
        left = left.saturating_add(width);
        hit
    })
}
