//! What an operator should know: the loudest open alarm as a banner that stays until it is acknowledged, and the log where there is room.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::format;
use super::super::keymap::Action;
use super::super::state::State;
use super::super::theme::{Meaning, Theme};
use super::super::update::safe;
use super::super::wrap::wrap;
use super::{framed, mark, placeholder, severity};
use crate::domain::Severity;

/// How many rows the banner takes on a screen: all of the text where that is possible, never more than three.
pub fn rows(state: &State, screen: Rect) -> u16 {
    let most = if screen.height < 24 { 2 } else { 3 };
    u16::try_from(lines(state, screen.width, most).1.len()).unwrap_or(0)
}

/// The loudest open alarm, the newest of several, broken into at most so many lines.
fn lines(state: &State, width: u16, most: usize) -> (Severity, Vec<String>) {
    let open = state.open_alarms();
    let Some(alarm) = open.iter().max_by_key(|alarm| (alarm.severity, alarm.at)) else {
        return (Severity::Info, Vec::new());
    };
    let mark = mark(alarm.severity);
    let age = state.market_time().map(|now| format::held((now - alarm.at).num_seconds()));
    let more = match open.len() {
        1 => String::new(),
        count => format!(", +{} more", count - 1),
    };
    let key = state.keys.key_of(Action::Acknowledge);
    // A blank that no line is broken at holds the key and its word together.
    let answer = format!("{key}\u{a0}acknowledges)");
    let end = format!(" ({} old{more}; {answer}", age.unwrap_or_default());
    let head = format!("{mark} {} ", state.time(alarm.at));
    let columns = usize::from(width.saturating_sub(2)).max(1);
    let said = without_ids(&alarm.text);
    // Breaking between words wastes columns; the key that takes the banner away is never what is cut.
    let longest = columns * most;
    let lines = (0..=longest / 4)
        .map(|less| wrap(&format!("{head}{}{end}", safe(&said, longest - 4 * less)), columns))
        .find(|lines| lines.len() <= most && lines.last().is_some_and(|last| last.contains(&answer)));
    let lines =
        lines.unwrap_or_else(|| wrap(&format!("{head}{end}"), columns).into_iter().take(most).collect());
    (alarm.severity, lines.into_iter().map(|line| line.replace('\u{a0}', " ")).collect())
}

/// The text with the names of orders cut short: they fill a row and say nothing here; the log has them whole.
fn without_ids(text: &str) -> String {
    let is_id = |word: &str| {
        word.len() > 20 && word.contains('-') && word.bytes().filter(u8::is_ascii_digit).count() > 3
    };
    let short = |word: &str| {
        if is_id(word) { format!("{}…", word.chars().take(6).collect::<String>()) } else { word.to_owned() }
    };
    text.split(' ').map(short).collect::<Vec<_>>().join(" ")
}

/// Draws the loudest open alarm: all of what was said, how old it is, how many more there are.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let (loud, lines) = lines(state, area.width, usize::from(area.height));
    let (style, _) = severity(loud, theme);
    let lines: Vec<Line<'_>> =
        lines.into_iter().map(|line| Line::styled(format!(" {line}"), style)).collect();
    frame.render_widget(Paragraph::new(lines), area);
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
        let time = notice.at.map_or_else(|| " ".repeat(8), |at| state.time(at));
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
