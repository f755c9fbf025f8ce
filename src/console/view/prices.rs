//! The latest marks on one row.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::super::format;
use super::super::state::State;
use super::super::theme::{Meaning, Theme};

/// Columns of the count of coins that do not fit.
const MORE: usize = 9;

/// Draws as many coins as fit, each whole.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let Some(desk) = &state.desk else { return };
    let room = usize::from(area.width);
    let mut line = Line::default();
    for (shown_coins, symbol) in desk.facts.symbols.iter().enumerate() {
        let shown = state.mark(symbol).map_or_else(|| "no price".to_owned(), format::price);
        let pair = [
            Span::styled(format!(" {} ", symbol.coin()), theme.style(Meaning::Muted)),
            Span::styled(format!("{shown} "), theme.style(Meaning::Text)),
        ];
        // What does not fit is counted, never dropped without a word.
        let left = desk.facts.symbols.len() - shown_coins;
        let reserve = if left > 1 { MORE } else { 0 };
        if line.width() + pair.iter().map(Span::width).sum::<usize>() + reserve > room {
            line.push_span(Span::styled(format!(" +{left} more"), theme.style(Meaning::Muted)));
            break;
        }
        line.spans.extend(pair);
    }
    frame.render_widget(line, area);
}
