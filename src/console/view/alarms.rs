//! What an operator should know: the loudest open alarm on one row, and the log where there is room.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::format;
use super::super::state::State;
use super::super::theme::{Meaning, Theme};
use super::super::update::safe;
use super::super::wrap::wrap;
use super::{framed, placeholder, severity};

/// Draws the loudest open alarm, the newest of several.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let open = state.open_alarms();
    let Some(alarm) = open.iter().max_by_key(|alarm| (alarm.severity, alarm.at)) else { return };
    let (style, mark) = severity(alarm.severity, theme);
    let more = match open.len() {
        1 => " a: put aside ".to_owned(),
        count => format!(" +{} more, a: put aside ", count - 1),
    };
    let head = format!(" {mark} {} ", format::time(alarm.at));
    let room = usize::from(area.width).saturating_sub(head.chars().count() + more.len());
    let text = safe(&alarm.text, room);
    let line = Line::from(vec![Span::styled(head, style), Span::styled(text, style)]);
    let end = Line::styled(more, theme.style(Meaning::Muted)).right_aligned();
    frame.render_widget(end, area);
    let width = u16::try_from(line.width()).unwrap_or(u16::MAX).min(area.width);
    frame.render_widget(line, Rect { width, ..area });
}

/// Draws what happened lately, the newest at the bottom.
pub fn draw_log(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let inner = framed(frame, area, state, theme, "Log", &Span::default(), false);
    if state.log.is_empty() {
        placeholder(frame, inner, theme, &["Orders, alarms and answers to your keys will be listed here."]);
        return;
    }
    let rows = usize::from(inner.height);
    let width = usize::from(inner.width).saturating_sub(13);
    let mut lines: Vec<Line<'_>> = Vec::new();
    for notice in state.log.iter().rev() {
        let (style, mark) = severity(notice.severity, theme);
        let time = notice.at.map_or_else(|| " ".repeat(8), format::time);
        let mut block = Vec::new();
        for (index, text) in wrap(&safe(&notice.text, width * 4), width).into_iter().enumerate() {
            let head = if index == 0 { format!(" {time} ") } else { " ".repeat(10) };
            let mark = if index == 0 { mark } else { " " };
            block.push(Line::from(vec![
                Span::styled(head, theme.style(Meaning::Muted)),
                Span::styled(format!("{mark} {text}"), style),
            ]));
        }
        lines.extend(block.into_iter().rev());
        if lines.len() >= rows {
            break;
        }
    }
    lines.truncate(rows);
    lines.reverse();
    frame.render_widget(Paragraph::new(lines), inner);
}
