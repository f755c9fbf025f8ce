//! The keys and the marks, explained.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};

use super::super::keymap::{BINDINGS, disabled};
use super::super::state::State;
use super::super::theme::{Meaning, Theme};
use super::super::wrap::wrap;
use super::framed;

/// What the marks on the screen mean.
const MARKS: [(&str, &str); 9] = [
    ("● ○", "confidence at or above the threshold, below it"),
    ("━━│──", "confidence as a bar; the tick is the threshold"),
    ("▸", "the selected row; x acts on the selected position"),
    ("▲ ■", "a warning, something critical"),
    ("stale", "a source of the brief older than its kind allows; failed: one that did not answer"),
    ("NO STOP", "a position without a stop at the exchange"),
    ("PnL", "open profit and loss at the latest mark price"),
    ("PnL %", "of a position: how far the price went from entry; of an account: of its wallet"),
    ("est.", "the built-in analyst costs nothing: what its tokens would have cost"),
];

/// Width of the page and of its first column.
const WIDTH: u16 = 92;
const KEYS: usize = 11;

/// The place of a page of so many lines on a screen.
fn place(screen: Rect, lines: usize) -> Rect {
    let rows = u16::try_from(lines + 2).unwrap_or(u16::MAX);
    screen.centered(
        Constraint::Length(width(screen.width)),
        Constraint::Length(rows.min(screen.height.saturating_sub(2))),
    )
}

fn width(screen: u16) -> u16 {
    WIDTH.min(screen.saturating_sub(2))
}

/// The last line that can be the first one shown.
pub fn last_top(state: &State) -> usize {
    let screen = Rect::new(0, 0, state.size.0, state.size.1);
    let count = entries(state, screen.width).len();
    count.saturating_sub(usize::from(place(screen, count).height.saturating_sub(2)))
}

/// One line of the page: a key or mark, what it does, and whether it works at the moment.
type Entry = (&'static str, String, bool);

/// The whole page, broken to the width of a screen.
fn entries(state: &State, screen: u16) -> Vec<Entry> {
    let columns = usize::from(width(screen)).saturating_sub(KEYS + 4);
    let mut entries = Vec::new();
    let mut add = |key: &'static str, text: &str, on: bool| {
        for (index, line) in wrap(text, columns).into_iter().enumerate() {
            entries.push((if index == 0 { key } else { "" }, line, on));
        }
    };
    for binding in BINDINGS {
        match disabled(binding.action, state) {
            Some(why) => add(binding.label, &format!("{} (not now: {why})", binding.help), false),
            None => add(binding.label, binding.help, true),
        }
    }
    add("", " ", true);
    for (mark, meaning) in MARKS {
        add(mark, meaning, true);
    }
    entries
}

/// Draws the page from line `top` on.
pub fn draw(frame: &mut Frame<'_>, screen: Rect, top: usize, state: &State, theme: &Theme) {
    let entries = entries(state, screen.width);
    let area = place(screen, entries.len());
    frame.render_widget(Clear, area);
    frame.buffer_mut().set_style(area, theme.style(Meaning::Text));
    let hidden = entries.len().saturating_sub(usize::from(area.height.saturating_sub(2)));
    let note = if hidden > 0 { "↑↓ scroll, any other key closes" } else { "any key closes" };
    let note = Span::styled(note, theme.style(Meaning::Muted));
    let inner = framed(frame, area, state, theme, "Keys and marks", &note, true);
    let lines: Vec<Line<'_>> = entries
        .into_iter()
        .skip(top.min(hidden))
        .map(|(key, text, on)| {
            let style = theme.style(if on { Meaning::Text } else { Meaning::Muted });
            Line::from(vec![
                Span::styled(format!(" {key:<KEYS$}"), theme.style(Meaning::Key)),
                Span::styled(text, style),
            ])
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), inner);
}
