//! What the model asks its tool, live.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use rust_decimal::Decimal;
use unicode_width::UnicodeWidthStr;

use super::super::format;
use super::super::state::{Panel, State};
use super::super::theme::{Meaning, Theme};
use super::accounts::highlighted;
use super::columns::{Column, Fitted, cell};
use super::{framed, mark_part, placeholder, window};
use crate::domain::{ToolCallRecord, ToolCallView, Untrusted};

const CALL: usize = 1;

const COLUMNS: [Column; 7] = [
    Column::left(" time", 9, 4),
    Column::left("call", 14, 0),
    Column::right("status", 6, 0),
    Column::right("size", 8, 3),
    Column::right("tokens", 7, 5),
    Column::right("cost $", 8, 1),
    Column::right("took", 7, 2),
];

/// Below this width a call takes two rows: what was asked, and how it went.
const ONE_ROW: u16 = 70;

/// Whether the calls take two rows each: only where they are narrow and there is room for all of them.
fn spacious(area: Rect, state: &State) -> bool {
    let calls = state.cycle().map_or(0, |cycle| cycle.tool_calls.len());
    area.width < ONE_ROW && 2 * calls <= usize::from(area.height.saturating_sub(2))
}

/// How many calls an area shows at once.
pub fn capacity(area: Rect, state: &State) -> usize {
    let rows = usize::from(area.height.saturating_sub(2));
    if spacious(area, state) { rows / 2 } else { rows.saturating_sub(1) }
}

/// The call whose row stands on a row of the screen.
pub fn call_at(state: &State, area: Rect, row: u16) -> Option<usize> {
    let calls = state.cycle().map_or(0, |cycle| cycle.tool_calls.len());
    let last = calls.checked_sub(1)?;
    let room = capacity(area, state);
    let below = usize::from(row.checked_sub(area.y + 1)?);
    // Two rows each, or one row each below the titles.
    let place = if spacious(area, state) { below / 2 } else { below.checked_sub(1)? };
    let at = window(state.call.unwrap_or(last).min(last), calls, room) + place;
    (place < room && at < calls).then_some(at)
}

/// Draws the panel.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let focused = state.focus == Panel::Tools;
    let cycle = state.desk.as_ref().and_then(|desk| desk.cycle.as_ref());
    let calls = cycle.map_or(&[][..], |cycle| &cycle.tool_calls);
    let open = calls.iter().filter(|call| call.finished.is_none()).count();
    let note = match (calls.len(), open) {
        (0, _) => String::new(),
        (1, 0) => "1 call".to_owned(),
        (count, 0) => format!("{count} calls"),
        (count, open) => format!("{count} calls, {open} waiting"),
    };
    let note = Span::styled(note, theme.style(Meaning::Muted));
    let inner = framed(frame, area, state, theme, Panel::Tools.title(), &note, focused);
    if calls.is_empty() {
        let sentence = if state.cycle_runs() {
            "The analyst has asked for nothing yet."
        } else if cycle.is_some() {
            "The analyst asked for nothing beyond its brief."
        } else {
            "Every call the analyst makes for more data is listed here as it happens."
        };
        placeholder(frame, inner, theme, &[sentence]);
        return;
    }
    let room = capacity(area, state);
    let last = calls.len() - 1;
    let selected = state.call.unwrap_or(last).min(last);
    let top = window(selected, calls.len(), room);
    let shown = calls.iter().enumerate().skip(top).take(room);
    let marked = |(index, line): (usize, Line<'static>)| {
        if focused && index == selected { highlighted(pointed(line, theme), theme) } else { line }
    };
    let lines: Vec<Line<'_>> = if spacious(area, state) {
        let rows = |(index, call)| two_rows(call, state, theme, inner.width).map(|line| (index, line));
        shown.flat_map(rows).map(marked).collect()
    } else {
        let fitted = Fitted::new(&COLUMNS, inner.width, CALL);
        let titles = fitted.titles(theme.style(Meaning::Muted));
        let rows = shown.map(|(index, call)| (index, row(call, state, theme, &fitted)));
        std::iter::once(titles).chain(rows.map(marked)).collect()
    };
    frame.render_widget(Paragraph::new(lines), inner);
    mark_part(frame, area, theme, top, room, calls.len());
}

/// A line whose first column says that it is selected.
fn pointed(mut line: Line<'static>, theme: &Theme) -> Line<'static> {
    if let Some(first) = line.spans.first_mut() {
        let rest = first.content.chars().skip(1).collect::<String>();
        let style = first.style;
        *first = Span::styled(rest, style);
        line.spans.insert(0, Span::styled("▸", theme.style(Meaning::Focus)));
    }
    line
}

/// Status, size and duration of a call as they are shown; what is not known yet is waited for.
fn progress(call: &ToolCallView, state: &State, theme: &Theme) -> [Span<'static>; 3] {
    let (text, muted) = (theme.style(Meaning::Text), theme.style(Meaning::Muted));
    if let Some((status, bytes, ms)) = call.finished {
        let good = (200..300).contains(&status);
        let shown = if status == 0 { "failed".to_owned() } else { status.to_string() };
        let style = theme.style(if good { Meaning::Gain } else { Meaning::Danger });
        [
            Span::styled(shown, style),
            Span::styled(format::bytes(bytes), muted),
            Span::styled(format::millis(ms), text),
        ]
    } else {
        let waited = state.market_time().map_or(0, |now| (now - call.started_at).num_seconds());
        let warn = theme.style(Meaning::Warn);
        [Span::styled("…", warn), Span::raw(""), Span::styled(format!("{} …", format::lasted(waited)), warn)]
    }
}

/// About how many tokens the model reads of an answer of this size. The one estimate for every screen: what a provider
/// counts is of a whole turn, and comes when the next one is over.
pub fn tokens(bytes: u64) -> u64 {
    format::tokens(bytes.min(ToolCallRecord::MOST_GIVEN as u64))
}

/// What so many tokens of input cost, in US dollars, where the model's price is known.
pub fn dollars(tokens: u64, state: &State) -> Option<String> {
    let price = state.desk.as_ref()?.facts.input_price?;
    let dollars = Decimal::from(tokens).checked_mul(price)? / Decimal::from(1_000_000);
    Some(format::grouped(dollars, 4))
}

/// About what the model reads the answer for.
fn cost(call: &ToolCallView, state: &State) -> Option<String> {
    let (_, bytes, _) = call.finished?;
    Some(format!("≈{}", dollars(tokens(bytes), state)?))
}

fn row(call: &ToolCallView, state: &State, theme: &Theme, fitted: &Fitted) -> Line<'static> {
    let (text, muted) = (theme.style(Meaning::Text), theme.style(Meaning::Muted));
    let endpoint = call.endpoint.line(fitted.width(CALL));
    let params = params(&call.params, fitted.width(CALL).saturating_sub(endpoint.width() + 1));
    let asked = vec![Span::styled(endpoint, text), Span::raw(" "), Span::styled(params, muted)];
    let [status, size, took] = progress(call, state, theme);
    let time = cell(format!(" {}", state.time(call.started_at)), muted);
    let read = |(_, bytes, _)| format!("≈{}", format::thousands(tokens(bytes)));
    let tokens = cell(call.finished.map_or_else(String::new, read), muted);
    let cost = cell(cost(call, state).unwrap_or_default(), muted);
    fitted.row(&[time, asked, vec![status], vec![size], tokens, cost, vec![took]])
}

fn two_rows(call: &ToolCallView, state: &State, theme: &Theme, width: u16) -> [Line<'static>; 2] {
    let (text, muted) = (theme.style(Meaning::Text), theme.style(Meaning::Muted));
    let [status, size, took] = progress(call, state, theme);
    let wide = |span: &Span<'_>, least: usize| u16::try_from(span.width().max(least)).unwrap_or(u16::MAX);
    // What is narrow leaves its room to what was asked, which goes before how large the answer was.
    let ended = Column::right("", wide(&status, 3), 0);
    let asked = Fitted::new(&[Column::left("", 1, 0), Column::left("", 0, 0), ended], width, 1);
    let figures = [(wide(&size, 0), 1), (8, 0), (wide(&took, 6), 0)];
    let figures = figures.map(|(width, rank)| Column::right("", width, rank));
    let [size_column, cost_column, took_column] = figures;
    let went = Fitted::new(
        &[Column::left("", 1, 0), Column::left("", 10, 0), size_column, cost_column, took_column],
        width,
        1,
    );
    let endpoint = call.endpoint.line(asked.width(1));
    let params = params(&call.params, went.width(1).saturating_sub(2));
    let cost = cost(call, state).map_or_else(String::new, |cost| cost.replace('≈', "≈$"));
    [
        asked.row(&[Vec::new(), cell(endpoint, text), vec![status]]),
        went.row(&[
            Vec::new(),
            cell(format!("  {params}"), muted),
            vec![size],
            cell(cost, muted),
            vec![took],
        ]),
    ]
}

/// The parameters as `name=value`, as far as they are an object; otherwise as they came.
fn params(json: &Untrusted, columns: usize) -> String {
    let text = match serde_json::from_str(json.raw()) {
        Ok(serde_json::Value::Object(pairs)) => pairs
            .iter()
            .map(|(name, value)| match value {
                serde_json::Value::String(text) => format!("{name}={text}"),
                other => format!("{name}={other}"),
            })
            .collect::<Vec<_>>()
            .join(" "),
        _ => json.raw().to_owned(),
    };
    Untrusted::new(text).line(columns)
}
