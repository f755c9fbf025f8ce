//! How far a running cycle has come, in the place where its decisions will stand.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::state::State;
use super::super::theme::{Meaning, Theme};
use super::super::update::safe;
use crate::domain::untrusted::truncate_columns;
use crate::domain::{CycleView, Phase};

/// Draws the steps of a cycle, and the sources its brief had to do without.
pub fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    cycle: &CycleView,
    phase: Phase,
    state: &State,
    theme: &Theme,
) {
    let reached = |step: Phase| (phase as u8).cmp(&(step as u8));
    let mut lines = Vec::new();
    let mut step = |at: Phase, before: String, during: String, after: String| {
        let (mark, text, meaning) = match reached(at) {
            std::cmp::Ordering::Less => ("·", before, Meaning::Muted),
            std::cmp::Ordering::Equal => ("…", during, Meaning::Text),
            std::cmp::Ordering::Greater => ("✓", after, Meaning::Muted),
        };
        lines.push(Line::from(vec![
            Span::styled(format!(" {mark} "), theme.style(Meaning::Key)),
            Span::styled(
                truncate_columns(&text, usize::from(area.width).saturating_sub(3)),
                theme.style(meaning),
            ),
        ]));
        if at == Phase::Gathering {
            lines.extend(troubles(cycle, usize::from(area.width), theme));
        }
    };
    let calls = match cycle.tool_calls.len() {
        0 => String::new(),
        1 => ", 1 call for more data".to_owned(),
        count => format!(", {count} calls for more data"),
    };
    let accounts = state.desk.as_ref().map_or(0, |desk| desk.accounts.len());
    step(
        Phase::Gathering,
        String::new(),
        "reading accounts, gathering the brief".to_owned(),
        format!("{accounts} accounts and {} sources read", cycle.sources.len()),
    );
    step(
        Phase::Model,
        "the analyst decides".to_owned(),
        format!("analyst at work{calls}"),
        format!("analyst has answered{calls}"),
    );
    step(
        Phase::Execution,
        "guards, orders and stops".to_owned(),
        "checking the answer".to_owned(),
        String::new(),
    );
    frame.render_widget(Paragraph::new(lines), area);
}

/// The sources that failed or are stale, by name.
fn troubles(cycle: &CycleView, columns: usize, theme: &Theme) -> Vec<Line<'static>> {
    let style: Style = theme.style(Meaning::Warn);
    let what = |source: &crate::domain::SourceStatus| match (&source.error, source.stale) {
        (Some(error), _) => Some(format!("{}: {error}", source.name)),
        (None, true) => Some(format!("{}: stale", source.name)),
        (None, false) => None,
    };
    let line = |text: String| Line::styled(format!("   ▲ {}", safe(&text, columns.saturating_sub(6))), style);
    cycle.sources.iter().filter_map(what).map(line).collect()
}
