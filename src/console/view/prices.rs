//! The latest marks on one row.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::super::format;
use super::super::state::State;
use super::super::theme::{Meaning, Theme};

/// Draws as many coins as fit, each whole.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let Some(desk) = &state.desk else { return };
    let room = usize::from(area.width);
    let mut line = Line::default();
    for symbol in &desk.facts.symbols {
        let shown = state.mark(symbol).map_or_else(|| "no price".to_owned(), format::price);
        let pair = [
            Span::styled(format!(" {} ", symbol.coin()), theme.style(Meaning::Muted)),
            Span::styled(format!("{shown} "), theme.style(Meaning::Text)),
        ];
        if line.width() + pair.iter().map(Span::width).sum::<usize>() > room {
            break;
        }
        line.spans.extend(pair);
    }
    frame.render_widget(line, area);
}
