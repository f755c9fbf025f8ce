//! How much of what the exchange allows one address is used: a meter below the guards.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::super::state::State;
use super::super::theme::Meaning;
use super::super::wrap::wrap;
use super::readings;

/// Columns of a meter's name.
const NAME: usize = 18;

/// A heading and three meters; nothing until they were read.
pub fn lines(state: &State, style: &dyn Fn(Meaning) -> Style, width: u16) -> Vec<Line<'static>> {
    let Some(budget) = state.desk.as_ref().and_then(|desk| desk.budget) else { return Vec::new() };
    let (title, muted) = (style(Meaning::Title), style(Meaning::Muted));
    let (note, meaning) = match (budget.closed_until, budget.enforced) {
        (Some(until), _) => {
            let until = state.time(until);
            (format!("■ nothing is sent until {until}: the exchange saw too much"), Meaning::Danger)
        }
        (None, true) => ("what can wait is held back before a limit".to_owned(), Meaning::Muted),
        (None, false) => ("not enforced here: this world only counts".to_owned(), Meaning::Muted),
    };
    let room = usize::from(width).saturating_sub(NAME + 2).max(8);
    let mut lines = Vec::new();
    for (index, line) in wrap(&note, room).into_iter().enumerate() {
        let name = if index == 0 { "exchange limits" } else { "" };
        let name = Span::styled(format!(" {name:<NAME$}"), title);
        lines.push(Line::from(vec![name, Span::styled(line, style(meaning))]));
    }
    for (name, (used, limit)) in [
        ("weight 1 min", budget.weight),
        ("orders 10 s", budget.orders_10s),
        ("orders 1 min", budget.orders_1m),
    ] {
        let mut spans = vec![Span::styled(format!("  {name:<13}"), muted)];
        spans.extend(readings::meter(f64::from(used) / f64::from(limit.max(1)), style));
        spans.push(Span::styled(format!("  {used} of {limit}"), style(Meaning::Text)));
        lines.push(Line::from(spans));
    }
    lines
}
