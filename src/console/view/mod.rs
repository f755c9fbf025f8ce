//! The screen as a pure function of the state: one file a panel, each `draw(frame, area, &state, &theme)`.

pub mod accounts;
pub mod alarms;
pub mod analysis;
pub mod columns;
pub mod confirm;
pub mod decisions;
pub mod footer;
pub mod header;
pub mod help;
pub mod prices;
pub mod progress;
pub mod starting;
pub mod too_small;
pub mod tools;

use ratatui::Frame;
use ratatui::layout::{Margin, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Paragraph};

use super::layout;
use super::state::{Overlay, Panel, State};
use super::theme::{Meaning, Theme};
use crate::domain::{Mode, Severity};

/// Draws the whole screen.
pub fn draw(frame: &mut Frame<'_>, state: &State, theme: &Theme) {
    let screen = frame.area();
    frame.buffer_mut().set_style(screen, theme.style(Meaning::Text));
    let Some(areas) = layout::areas(screen, state) else {
        too_small::draw(frame, screen, state, theme);
        return;
    };
    header::draw(frame, areas.header, state, theme);
    if state.desk.is_none() {
        let body =
            Rect { y: areas.header.bottom(), height: areas.status.y - areas.header.bottom(), ..screen };
        starting::draw(frame, body, state, theme);
    } else {
        if let Some(area) = areas.prices {
            prices::draw(frame, area, state, theme);
        }
        if let Some(area) = areas.alarm {
            alarms::draw(frame, area, state, theme);
        }
        for (panel, area) in &areas.panels {
            match panel {
                Panel::Accounts => accounts::draw(frame, *area, state, theme),
                Panel::Decisions => decisions::draw(frame, *area, state, theme),
                Panel::Analysis => analysis::draw(frame, *area, state, theme),
                Panel::Tools => tools::draw(frame, *area, state, theme),
            }
        }
        if let Some(area) = areas.log {
            alarms::draw_log(frame, area, state, theme);
        }
    }
    footer::draw_status(frame, areas.status, state, theme);
    footer::draw_keys(frame, areas.footer, state, theme, &areas);
    match &state.overlay {
        Some(Overlay::Help(top)) => help::draw(frame, screen, *top, state, theme),
        Some(Overlay::Confirm(confirm)) => confirm::draw(frame, screen, confirm, state, theme),
        None => {}
    }
}

/// Draws a panel's frame; what is left inside is returned. `note` stands at the right of the title.
fn framed(
    frame: &mut Frame<'_>,
    area: Rect,
    state: &State,
    theme: &Theme,
    title: &str,
    note: &Span<'_>,
    focused: bool,
) -> Rect {
    let edge = if focused { theme.style(Meaning::Focus) } else { theme.style(Meaning::Border) };
    let name = alone(if focused { theme.style(Meaning::Focus) } else { theme.style(Meaning::Title) });
    let room = usize::from(area.width).saturating_sub(title.chars().count() + 7);
    let note =
        Span::styled(crate::domain::untrusted::truncate_columns(&note.content, room), alone(note.style));
    let mut block = Block::bordered()
        .border_type(border_type(state))
        .border_style(edge)
        .title(Line::from(vec![Span::styled(format!(" {title} "), name)]));
    if !note.content.is_empty() {
        let note = Span::styled(format!(" {} ", note.content), note.style);
        block = block.title(Line::from(note).right_aligned());
    }
    frame.render_widget(block, area);
    area.inner(Margin::new(1, 1))
}

/// A style that takes nothing over from what it is drawn on.
fn alone(style: Style) -> Style {
    Style { sub_modifier: !style.add_modifier, ..style }
}

/// Real money has thick borders, so that it is told apart without colour.
fn border_type(state: &State) -> BorderType {
    if state.mode() == Some(Mode::Live) { BorderType::Thick } else { BorderType::Rounded }
}

/// How many entries of a panel's list an area shows at once.
pub fn capacity(panel: Panel, area: Rect) -> usize {
    let rows = usize::from(area.height.saturating_sub(2));
    match panel {
        Panel::Analysis => rows,
        Panel::Accounts | Panel::Decisions => rows.saturating_sub(1),
        Panel::Tools => tools::capacity(area),
    }
}

/// Says on the lower border which part of a list is in sight, if not all of it is.
fn mark_part(frame: &mut Frame<'_>, area: Rect, theme: &Theme, first: usize, shown: usize, count: usize) {
    if shown >= count || area.width < 20 {
        return;
    }
    let text = format!(" {}–{} of {count} ", first + 1, (first + shown).min(count));
    let width = u16::try_from(text.chars().count()).unwrap_or(u16::MAX);
    let place = Rect { x: area.right().saturating_sub(width + 2), y: area.bottom() - 1, width, height: 1 };
    frame.render_widget(Line::styled(text, alone(theme.style(Meaning::Muted))), place);
}

/// Muted sentences in an empty panel, saying what will come.
fn placeholder(frame: &mut Frame<'_>, area: Rect, theme: &Theme, sentences: &[&str]) {
    let width = usize::from(area.width.saturating_sub(2));
    let style = theme.style(Meaning::Muted);
    let lines: Vec<Line<'_>> = sentences
        .iter()
        .flat_map(|sentence| super::wrap::wrap(sentence, width))
        .map(|line| Line::styled(format!(" {line}"), style))
        .collect();
    frame.render_widget(Paragraph::new(lines), area);
}

/// How loud a severity looks, and the mark that says so without colour.
fn severity(severity: Severity, theme: &Theme) -> (Style, &'static str) {
    match severity {
        Severity::Info => (theme.style(Meaning::Text), "·"),
        Severity::Warning => (theme.style(Meaning::Warn), "▲"),
        Severity::Critical => (theme.style(Meaning::Danger), "■"),
    }
}

/// The window of `rows` rows of a list of `count` that keeps `selected` in sight, as its first index.
fn window(selected: usize, count: usize, rows: usize) -> usize {
    let last = count.saturating_sub(rows);
    selected.saturating_sub(rows / 2).min(last)
}
