//! What the model writes, as it writes it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::state::{Panel, State};
use super::super::theme::{Meaning, Theme};
use super::super::{format, prose};
use super::header::step;
use super::{framed, placeholder};
use crate::domain::{CycleView, Phase};

/// The width text is broken at in a panel of this area.
pub const fn text_width(area: Rect) -> usize {
    area.width.saturating_sub(4) as usize
}

/// Draws the panel.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let focused = state.focus == Panel::Analysis;
    let cycle = state.desk.as_ref().and_then(|desk| desk.cycle.as_ref());
    let mut lines = cycle.map_or_else(Vec::new, |cycle| prose::lines(cycle, text_width(area)));
    let words = lines.len();
    lines.extend(cycle.map_or_else(Vec::new, |cycle| prose::thinking(cycle, text_width(area))));
    let rows = usize::from(area.height.saturating_sub(2));
    let end = lines.len().saturating_sub(rows);
    let writing = cycle.is_some_and(|cycle| cycle.phase == Some(Phase::Model));
    let top = state.analysis_top.map_or_else(|| follow(end, rows, writing), |top| top.min(end));
    let note = match state.analysis_top {
        Some(_) if end > 0 => Span::styled(
            format!("line {} of {}, end: follow", top + 1, lines.len()),
            theme.style(Meaning::Warn),
        ),
        // What is above the first line in sight is said, so that nobody takes the tail for the whole.
        None if top > 0 => {
            let warn = cycle.is_some_and(|cycle| cycle.sources.iter().any(|s| s.stale || s.error.is_some()));
            let mark = if warn { "▲ sources, " } else { "" };
            let style = theme.style(if warn { Meaning::Warn } else { Meaning::Muted });
            Span::styled(format!("{mark}↑ {top} lines above"), style)
        }
        _ => cycle.map_or_else(Span::default, |cycle| progress(cycle, area.width, theme)),
    };
    let inner = framed(frame, area, state, theme, Panel::Analysis.title(), &note, focused);
    let Some(cycle) = cycle else {
        placeholder(
            frame,
            inner,
            theme,
            &[
                "The analyst's view of the market appears here while it is being written.",
                "Press f to run a cycle now, or wait for the next one.",
            ],
        );
        return;
    };
    if lines.is_empty() {
        let sentence = match cycle.phase {
            Some(Phase::Gathering) => "Reading accounts and gathering prices, indicators, news …",
            Some(Phase::Model) => "The analyst is reading the brief …",
            Some(Phase::Execution) => "The analyst wrote no analysis; its decisions are being carried out.",
            None => "The analyst wrote no analysis in this cycle.",
        };
        placeholder(frame, inner, theme, &[sentence]);
        return;
    }
    let dimmed = |line: &str| Line::styled(format!(" {line}"), theme.style(Meaning::Muted));
    let styled = |(place, line): (usize, &String)| {
        if place < words { labelled(line, theme) } else { dimmed(line) }
    };
    let shown: Vec<Line<'_>> = lines.iter().enumerate().skip(top).take(rows).map(styled).collect();
    frame.render_widget(Paragraph::new(shown), inner);
}

/// Lines of the page before that stay at the top of a new one.
const KEPT: usize = 2;

/// The first line shown when the end is followed. While text streams in, it is turned over like a page when it is full: a
/// panel that moved with every line would be hard to read, and every line that moves is sent again.
fn follow(end: usize, rows: usize, writing: bool) -> usize {
    let step = if writing { rows.saturating_sub(KEPT).max(1) } else { 1 };
    end.div_ceil(step) * step
}

/// A line of text; a short label at its beginning, such as `Risk:`, stands out.
fn labelled(line: &str, theme: &Theme) -> Line<'static> {
    let text = theme.style(Meaning::Text);
    let is_label = |label: &str| {
        label.chars().count() <= 24
            && label.starts_with(char::is_uppercase)
            && label.chars().all(|c| c.is_alphabetic() || " &-/".contains(c))
    };
    match line.split_once(':').filter(|(label, _)| is_label(label)) {
        Some((label, rest)) => Line::from(vec![
            Span::styled(format!(" {label}:"), theme.style(Meaning::Title)),
            Span::styled(rest.to_owned(), text),
        ]),
        None => Line::styled(format!(" {line}"), text),
    }
}

/// What the brief lacks, or else how far the cycle has come and how long it took.
fn progress(cycle: &CycleView, width: u16, theme: &Theme) -> Span<'static> {
    let failed = cycle.sources.iter().filter(|source| source.error.is_some()).count();
    let stale = cycle.sources.iter().filter(|source| source.stale && source.error.is_none()).count();
    if failed + stale > 0 {
        let counts = [(failed, "failed"), (stale, "stale")];
        let words =
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}"));
        let head = if width < 44 { "▲" } else { "sources:" };
        let text = format!("{head} {}", words.collect::<Vec<_>>().join(", "));
        return Span::styled(text, theme.style(Meaning::Warn));
    }
    let text = match (cycle.phase, &cycle.report) {
        (Some(phase), _) => format!("{}, {} readings", step(phase), cycle.sources.len()),
        (None, Some(report)) => {
            format!("{}, took {}", cycle.started_at.format("%H:%M"), format::millis(report.timings_ms.total))
        }
        (None, None) => cycle.started_at.format("%H:%M").to_string(),
    };
    Span::styled(text, theme.style(Meaning::Muted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_in_sight_and_the_panel_moves_in_steps_while_text_streams_in() {
        for end in 0..50 {
            let top = follow(end, 20, true);
            assert!(top >= end && top < end + 18 && top.is_multiple_of(18), "{end} {top}");
            assert_eq!(follow(end, 20, false), end);
        }
    }
}
