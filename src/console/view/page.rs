//! What the screens that show pages have in common: how old an answer is, and what stands there before one came.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::pages::Asked;
use super::super::state::State;
use super::super::theme::{Meaning, Theme};
use super::super::update::safe;
use super::super::wrap::wrap;
use super::placeholder;

/// When the answer came, or that it is old, or that one is awaited.
pub fn age<T>(asked: &Asked<T>, state: &State, theme: &Theme) -> Span<'static> {
    let at = asked.read_at.map(|at| state.time(at)).unwrap_or_default();
    match (asked.waiting, &asked.page, &asked.trouble, asked.stale) {
        (Some(_), Some(_), ..) => Span::styled(format!("as of {at}, asking …"), theme.style(Meaning::Muted)),
        (Some(_), None, ..) => Span::styled("asking …", theme.style(Meaning::Muted)),
        (None, Some(_), Some(_), _) => {
            Span::styled(format!("▲ as of {at}, not answered since"), theme.style(Meaning::Warn))
        }
        (None, Some(_), None, true) => {
            Span::styled(format!("▲ as of {at}, overtaken"), theme.style(Meaning::Warn))
        }
        (None, Some(_), None, false) => Span::styled(format!("as of {at}"), theme.style(Meaning::Muted)),
        (None, None, ..) => Span::default(),
    }
}

/// What stands in an area as long as there is no answer; `false` when there is one.
pub fn awaited<T>(frame: &mut Frame<'_>, area: Rect, asked: &Asked<T>, state: &State, theme: &Theme) -> bool {
    if asked.page.is_some() {
        return false;
    }
    match (&asked.trouble, asked.waiting) {
        (Some(why), None) => {
            let width = usize::from(area.width.saturating_sub(4));
            let text = format!("The desk could not answer: {}", safe(why, 400));
            let lines: Vec<Line<'_>> = wrap(&text, width)
                .into_iter()
                .enumerate()
                .map(|(index, line)| {
                    let mark = if index == 0 { " ▲ " } else { "   " };
                    Line::styled(format!("{mark}{line}"), theme.style(Meaning::Warn))
                })
                .collect();
            frame.render_widget(Paragraph::new(lines), area);
        }
        _ if !state.connected => {
            placeholder(frame, area, theme, &["The desk has stopped and answers no more."]);
        }
        _ => placeholder(frame, area, theme, &["Asking the desk …"]),
    }
    true
}
