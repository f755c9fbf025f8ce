//! The keys and the marks, explained.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};

use super::super::keymap::{BINDINGS, disabled};
use super::super::state::State;
use super::super::theme::{Meaning, Theme};
use super::framed;

/// What the marks on the screen mean.
const MARKS: [(&str, &str); 8] = [
    ("● ○", "confidence at or above the threshold, below it"),
    ("━━│──", "confidence as a bar; the tick is the threshold"),
    ("▸", "the selected row; x acts on the selected position"),
    ("▲ ■", "a warning, something critical"),
    ("NO STOP", "a position without a stop at the exchange"),
    ("PnL", "open profit and loss at the latest mark price"),
    ("PnL %", "of a position: how far the price went from entry; of an account: of its wallet"),
    ("est.", "the built-in analyst costs nothing: what its tokens would have cost"),
];

/// Width of the page and of its first column.
const WIDTH: u16 = 92;
const KEYS: usize = 11;

/// The place of the page on a screen.
fn place(screen: Rect) -> Rect {
    let rows = u16::try_from(BINDINGS.len() + MARKS.len() + 4).unwrap_or(u16::MAX);
    screen.centered(
        ratatui::layout::Constraint::Length(WIDTH.min(screen.width.saturating_sub(2))),
        ratatui::layout::Constraint::Length(rows.min(screen.height.saturating_sub(2))),
    )
}

/// The last line that can be the first one shown on a screen of this size.
pub fn last_top(size: (u16, u16)) -> usize {
    let rows = usize::from(place(Rect::new(0, 0, size.0, size.1)).height.saturating_sub(2));
    (BINDINGS.len() + MARKS.len() + 2).saturating_sub(rows)
}

/// Draws the page from line `top` on.
pub fn draw(frame: &mut Frame<'_>, screen: Rect, top: usize, state: &State, theme: &Theme) {
    let area = place(screen);
    frame.render_widget(Clear, area);
    frame.buffer_mut().set_style(area, theme.style(Meaning::Text));
    let (text, muted) = (theme.style(Meaning::Text), theme.style(Meaning::Muted));
    let more = last_top((screen.width, screen.height)) > 0;
    let note = Span::styled(if more { "↑↓ scroll, any other key closes" } else { "any key closes" }, muted);
    let inner = framed(frame, area, state, theme, "Keys and marks", &note, true);
    let width = usize::from(inner.width).saturating_sub(KEYS + 1);
    let row = |key: &str, help: String, style| {
        Line::from(vec![
            Span::styled(format!(" {key:<KEYS$}"), theme.style(Meaning::Key)),
            Span::styled(crate::domain::untrusted::truncate_columns(&help, width), style),
        ])
    };
    let mut lines: Vec<Line<'_>> = BINDINGS
        .iter()
        .map(|binding| match disabled(binding.action, state) {
            Some(why) => row(binding.label, format!("{} — not now: {why}", binding.help), muted),
            None => row(binding.label, binding.help.to_owned(), text),
        })
        .collect();
    lines.push(Line::default());
    lines.extend(MARKS.iter().map(|(mark, meaning)| row(mark, (*meaning).to_owned(), text)));
    let shown: Vec<Line<'_>> = lines.into_iter().skip(top).collect();
    frame.render_widget(Paragraph::new(shown), inner);
}
