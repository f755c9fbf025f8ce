//! Past cycles in a list.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

use super::super::format;
use super::super::layout;
use super::super::screens::cycles;
use super::super::state::State;
use super::super::telling::begun_by;
use super::super::theme::{Meaning, Theme};
use super::super::update::safe;
use super::accounts::highlighted;
use super::columns::{Column, Fitted, cell};
use super::{framed, mark_stretch, page, placeholder, window};
use crate::domain::{CycleLine, Mode, Usage};

const INVALID: usize = 6;
const UNSENT: usize = 8;
const REST: usize = 13;

/// Rank says which goes first when room is short.
const COLUMNS: [Column; 14] = [
    Column::left("", 1, 0),
    Column::left("time", 12, 0),
    Column::left("by", 8, 6),
    Column::right("open", 4, 0),
    Column::right("close", 5, 0),
    Column::right("refused", 7, 1),
    Column::right("invalid", 7, 2),
    Column::right("fail", 4, 0),
    Column::right("dry", 3, 4),
    Column::right("none", 4, 7),
    Column::right("cost $", 7, 0),
    Column::right("tokens", 11, 5),
    Column::right("took", 7, 3),
    Column::left("", 8, 0),
];

/// The cycle whose row stands on a row of the screen.
pub fn row_at(state: &State, row: u16) -> Option<usize> {
    let count = cycles::shown(state).len();
    let place = usize::from(row.checked_sub(layout::body(state).y + 2)?);
    let at = window(cycles::selected(state), count, rows(state)) + place;
    (place < rows(state) && at < count).then_some(at)
}

/// How many cycles are in sight at once.
pub fn rows(state: &State) -> usize {
    usize::from(layout::body(state).height.saturating_sub(3))
}

/// Draws the screen, or the opened cycle.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    if let Some(open) = &state.cycles.open {
        super::cycle::draw(frame, area, open, state, theme);
        return;
    }
    let asked = &state.cycles.list;
    let title = if state.cycles.filter.is_empty() {
        "Cycles".to_owned()
    } else {
        format!("Cycles with {:?}", state.cycles.filter)
    };
    let inner = framed(frame, area, state, theme, &title, &page::age(asked, state, theme), true);
    if page::awaited(frame, inner, asked, state, theme) {
        return;
    }
    let lines = cycles::shown(state);
    if lines.is_empty() {
        let sentence = if state.cycles.filter.is_empty() {
            "No cycle has run yet."
        } else {
            "No cycle contains these words; esc takes the filter away."
        };
        placeholder(frame, inner, theme, &[sentence]);
        return;
    }
    let mut columns = COLUMNS;
    if state.mode() == Some(Mode::Live) {
        // A dry run, or an account that nobody armed.
        columns[UNSENT] = Column::right("unsent", 6, columns[UNSENT].rank);
    }
    let fitted = Fitted::new(&columns, inner.width, REST);
    let selected = cycles::selected(state);
    let room = usize::from(inner.height.saturating_sub(1));
    let first = window(selected, lines.len(), room);
    let mut shown = vec![fitted.titles(theme.style(Meaning::Muted))];
    for (index, line) in lines.iter().enumerate().skip(first).take(room) {
        let here = index == selected;
        let row = row(line, state, theme, &fitted, here);
        shown.push(if here { highlighted(row, theme) } else { row });
    }
    frame.render_widget(Paragraph::new(shown), inner);
    mark_stretch(frame, area, theme, (first, room), lines.len(), !state.cycles.whole);
}

fn row(line: &CycleLine, state: &State, theme: &Theme, fitted: &Fitted, selected: bool) -> Line<'static> {
    let (text, muted) = (theme.style(Meaning::Text), theme.style(Meaning::Muted));
    let counts = &line.outcomes;
    let count = |value: u32, meaning| {
        let style = if value > 0 { theme.style(meaning) } else { muted };
        cell(if value > 0 { value.to_string() } else { "·".to_owned() }, style)
    };
    let tokens = line.usage.map(|usage| {
        let input = usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens;
        format!("{}+{}", format::thousands(input), format::thousands(usage.output_tokens))
    });
    let unknown = || "–".to_owned();
    let cost = |usage: Usage| {
        format!("{}{}", if usage.is_estimate { "≈" } else { "" }, format::grouped(usage.cost_usd, 4))
    };
    let (words, meaning) = match (&line.failure, line.state.as_str(), line.errors) {
        (Some(failure), ..) => (format!("■ {failure}"), Meaning::Danger),
        (None, "running", _) => ("… running".to_owned(), Meaning::Warn),
        // What the model got wrong is said where its column has no room.
        (None, ..) if counts.invalid > 0 && !fitted.shows(INVALID) => {
            let whole = format!("■ {} invalid", counts.invalid);
            let fits = whole.chars().count() <= fitted.width(REST);
            (if fits { whole } else { format!("■ {} inv.", counts.invalid) }, Meaning::Danger)
        }
        (None, _, 0) if line.dry_run => {
            (state.kept_back(&line.id, Some(line.dry_run)).to_owned(), Meaning::Warn)
        }
        (None, _, 0) => (String::new(), Meaning::Muted),
        (None, _, 1) => ("▲ 1 error".to_owned(), Meaning::Warn),
        (None, _, errors) => (format!("▲ {errors} errors"), Meaning::Warn),
    };
    fitted.row(&[
        cell(if selected { "▸" } else { " " }, theme.style(Meaning::Focus)),
        cell(state.clock(line.market_time, "%d %b %H:%M"), text),
        cell(begun_by(Some(&line.id), line.trigger), muted),
        count(counts.opened, Meaning::Above),
        count(counts.closed, Meaning::Above),
        count(counts.refused, Meaning::Warn),
        count(counts.invalid, Meaning::Danger),
        count(counts.failed, Meaning::Danger),
        count(counts.dry_run, Meaning::Warn),
        count(counts.none, Meaning::Muted),
        cell(line.usage.map_or_else(unknown, cost), text),
        cell(tokens.unwrap_or_else(unknown), muted),
        cell(line.total_ms.map_or_else(unknown, format::millis), muted),
        cell(safe(&words, fitted.width(REST)), theme.style(meaning)),
    ])
}
