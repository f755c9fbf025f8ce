//! Every action by name, and the themes by name.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use unicode_width::UnicodeWidthStr;

use super::super::asking::found;
use super::super::keymap::Binding;
use super::super::possible::why_not;
use super::super::state::State;
use super::super::theme::{Meaning, Theme};
use super::super::wrap::wrap;
use super::accounts::highlighted;
use super::columns::{Column, Fitted, cell};
use super::{boxed, window};

/// Width of the palette.
const WIDTH: u16 = 88;

/// Rows of the list that stay however long a sentence is.
const LEAST_ROWS: u16 = 3;

/// Rows every sentence has at least.
const DETAIL_ROWS: usize = 2;

/// Draws the palette.
pub fn draw(
    frame: &mut Frame<'_>,
    screen: Rect,
    typed: &str,
    selected: Option<usize>,
    state: &State,
    theme: &Theme,
) {
    let height = screen.height.saturating_sub(4).min(24);
    let area = screen
        .centered(Constraint::Length(WIDTH.min(screen.width.saturating_sub(2))), Constraint::Length(height));
    let inner = boxed(
        frame,
        area,
        state,
        theme,
        "What shall be done?",
        if selected.is_some() { "enter does it, esc leaves" } else { "type, or choose with ↓" },
    );
    let line = Line::from(vec![
        Span::styled(" > ", theme.style(Meaning::Key)),
        Span::styled(format!("{typed}▏"), theme.style(Meaning::Text)),
    ]);
    frame.render_widget(line, Rect { height: 1, ..inner });
    let list = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    let found = found(typed);
    if found.is_empty() {
        frame
            .render_widget(Line::styled("   no action has these letters", theme.style(Meaning::Muted)), list);
        return;
    }
    let columns =
        [Column::left("", 1, 0), Column::left("", 15, 0), Column::left("", 13, 1), Column::left("", 20, 0)];
    let fitted = Fitted::new(&columns, list.width, 3);
    let words = |binding: &Binding| {
        why_not(binding.action, state)
            .map_or_else(|| binding.help.to_owned(), |why| format!("not now: {why}"))
    };
    let selected = selected.map(|at| at.min(found.len() - 1));
    let details = selected
        .and_then(|at| found.get(at))
        .map_or_else(Vec::new, |chosen| details(chosen.name, &words(chosen), list, theme));
    let below = u16::try_from(details.len()).unwrap_or(0).min(list.height.saturating_sub(LEAST_ROWS));
    let [list, place] = Layout::vertical([Constraint::Fill(1), Constraint::Length(below)]).areas::<2>(list);
    frame.render_widget(Paragraph::new(details), place);
    let rows = usize::from(list.height);
    let first = window(selected.unwrap_or(0), found.len(), rows);
    let mut lines = Vec::new();
    for (index, binding) in found.iter().enumerate().skip(first).take(rows) {
        let here = Some(index) == selected;
        let possible = why_not(binding.action, state).is_none();
        let meaning = if possible { Meaning::Text } else { Meaning::Muted };
        let line = fitted.row(&[
            cell(if here { "▸" } else { " " }, theme.style(Meaning::Focus)),
            cell(binding.name, theme.style(meaning)),
            cell(state.keys.label(binding), theme.style(Meaning::Key)),
            cell(words(binding), theme.style(Meaning::Muted)),
        ]);
        lines.push(if here { highlighted(line, theme) } else { line });
    }
    frame.render_widget(Paragraph::new(lines), list);
}

/// The sentence of the selected action in full, below the list: a row has no room for most of them.
fn details(name: &str, words: &str, list: Rect, theme: &Theme) -> Vec<Line<'static>> {
    let border = theme.style(Meaning::Border);
    let rest = "─".repeat(usize::from(list.width).saturating_sub(name.width() + 3));
    let head = Line::from(vec![
        Span::styled("─ ", border),
        Span::styled(name.to_owned(), theme.style(Meaning::Title)),
        Span::styled(format!(" {rest}"), border),
    ]);
    let mut sentence = wrap(words, usize::from(list.width.saturating_sub(2)));
    // The list does not jump while the selection walks over short and long sentences.
    sentence.resize(sentence.len().max(DETAIL_ROWS), String::new());
    let sentence =
        sentence.into_iter().map(|line| Line::styled(format!(" {line}"), theme.style(Meaning::Text)));
    std::iter::once(head).chain(sentence).collect()
}

/// Draws the list of themes at the right, so that the screen behind it shows the selected one.
pub fn draw_themes(frame: &mut Frame<'_>, screen: Rect, selected: usize, state: &State, theme: &Theme) {
    let names = &state.themes.0;
    let height = u16::try_from(names.len() + 2).unwrap_or(u16::MAX).min(screen.height.saturating_sub(4));
    let width = 34.min(screen.width);
    let area = Rect { x: screen.right().saturating_sub(width + 1), y: screen.y + 3, width, height }
        .intersection(screen);
    let inner = boxed(frame, area, state, theme, "Theme", "enter keeps");
    let rows = usize::from(inner.height);
    let first = window(selected, names.len(), rows);
    let lines: Vec<Line<'_>> = names
        .iter()
        .enumerate()
        .skip(first)
        .take(rows)
        .map(|(index, name)| {
            let here = index == selected;
            let line = Line::from(vec![
                Span::styled(if here { " ▸ " } else { "   " }, theme.style(Meaning::Focus)),
                Span::styled(name.clone(), theme.style(Meaning::Text)),
            ]);
            if here { highlighted(line, theme) } else { line }
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), inner);
}
