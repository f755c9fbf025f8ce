//! The keys and the marks, explained.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::keymap::{BINDINGS, Binding, On};
use super::super::possible::why_not;
use super::super::state::State;
use super::super::theme::{Meaning, Theme};
use super::super::wrap::wrap;
use super::boxed;

/// What the marks on the screen mean.
const MARKS: [(&str, &str); 10] = [
    ("● ○", "confidence at or above the threshold, below it"),
    ("━━│──", "confidence as a bar; the tick is the threshold"),
    ("▸ ▹", "the selected row; the hollow one is the position that x and s act on from another panel"),
    ("◇", "a decision that is another word than in the cycle before"),
    ("▲ ■", "a warning, something critical"),
    ("stale", "a source of the brief older than its kind allows; failed: one that did not answer"),
    ("NO STOP", "a position without a stop at the exchange"),
    ("PnL", "open profit and loss at the latest mark price"),
    ("PnL %", "of a position: how far the price went from entry; of an account: of its wallet"),
    ("est.", "the built-in analyst costs nothing: what its tokens would have cost"),
];

/// Width of the page and of its first column.
const WIDTH: u16 = 92;
const KEYS: usize = 14;

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
type Entry = (String, String, bool);

/// The whole page, broken to the width of a screen.
fn entries(state: &State, screen: u16) -> Vec<Entry> {
    let columns = usize::from(width(screen)).saturating_sub(KEYS + 4);
    let mut entries = Vec::new();
    let mut add = |key: &str, text: &str, on: bool| {
        for (index, line) in wrap(text, columns).into_iter().enumerate() {
            entries.push((if index == 0 { key.to_owned() } else { String::new() }, line, on));
        }
    };
    let (here, elsewhere): (Vec<&Binding>, Vec<&Binding>) =
        BINDINGS.iter().partition(|binding| binding.on.includes(state.screen));
    for binding in here {
        let label = state.keys.label(binding);
        match why_not(binding.action, state) {
            Some(why) => add(&label, &format!("{} (not now: {why})", binding.help), false),
            None => add(&label, binding.help, true),
        }
    }
    add("", " ", true);
    for binding in elsewhere {
        if let On::Only(screens) = binding.on {
            let names: Vec<&str> = screens.iter().map(|screen| screen.title()).collect();
            let text = format!("on {}: {}", names.join(", "), binding.help);
            add(&state.keys.label(binding), &text, true);
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
    let hidden = entries.len().saturating_sub(usize::from(area.height.saturating_sub(2)));
    let note = if hidden > 0 { "↑↓ scroll, any other key closes" } else { "any key closes" };
    let inner = boxed(frame, area, state, theme, "Keys and marks", note);
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
