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

/// Draws the palette.
pub fn draw(frame: &mut Frame<'_>, screen: Rect, typed: &str, selected: usize, state: &State, theme: &Theme) {
    let height = screen.height.saturating_sub(4).min(24);
    let area = screen
        .centered(Constraint::Length(WIDTH.min(screen.width.saturating_sub(2))), Constraint::Length(height));
    let inner = boxed(frame, area, state, theme, "What shall be done?", "enter does it, esc leaves");
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
        [Column::left("", 1, 0), Column::left("", 15, 0), Column::left("", 10, 1), Column::left("", 20, 0)];
    let fitted = Fitted::new(&columns, list.width, 3);
    let words = |binding: &Binding| {
        why_not(binding.action, state)
            .map_or_else(|| binding.help.to_owned(), |why| format!("not now: {why}"))
    };
    // What does not fit into its row is said in full below, for the selected one.
    let cut = |text: &String| text.width() > fitted.width(3);
    let whole = found.get(selected).map(|binding| words(binding)).filter(cut);
    let whole = whole.map_or_else(Vec::new, |text| wrap(&text, usize::from(list.width.saturating_sub(4))));
    let below = u16::try_from(whole.len()).unwrap_or(0).min(list.height / 3);
    let [list, details] = Layout::vertical([Constraint::Fill(1), Constraint::Length(below)]).areas::<2>(list);
    let whole = whole.into_iter().map(|line| Line::styled(format!("   {line}"), theme.style(Meaning::Text)));
    frame.render_widget(Paragraph::new(whole.collect::<Vec<_>>()), details);
    let rows = usize::from(list.height);
    let first = window(selected, found.len(), rows);
    let mut lines = Vec::new();
    for (index, binding) in found.iter().enumerate().skip(first).take(rows) {
        let here = index == selected;
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
