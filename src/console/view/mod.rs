//! The screen as a pure function of the state: one file a panel, each `draw(frame, area, &state, &theme)`.

pub mod accounts;
pub mod alarms;
pub mod analysis;
pub mod bar;
mod budget;
pub mod chart;
pub mod columns;
pub mod confirm;
pub mod cycle;
pub mod cycles;
pub mod decisions;
pub mod entry;
pub mod footer;
mod grid;
pub mod guards;
pub mod header;
pub mod help;
pub mod log;
pub mod market;
pub mod money;
pub mod page;
pub mod palette;
mod plain;
pub mod prices;
pub mod progress;
pub mod prompt;
pub mod readings;
pub mod starting;
pub mod too_small;
pub mod tools;

use ratatui::Frame;
use ratatui::layout::{Margin, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Paragraph};

use super::layout;
use super::screens::Screen;
use super::state::{Overlay, Panel, State};
use super::theme::{Meaning, Theme};
use crate::domain::{Mode, Severity};

/// Draws the whole screen.
pub fn draw(frame: &mut Frame<'_>, state: &State, theme: &Theme) {
    let screen = frame.area();
    frame.buffer_mut().set_style(screen, theme.style(Meaning::Text));
    let Some(areas) = layout::areas(screen, state) else {
        too_small::draw(frame, screen, state, theme);
        if state.ascii {
            plain::spell(frame.buffer_mut());
        }
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
        bar::draw(frame, areas.bar, state, theme);
        let body = areas.body;
        match state.screen {
            Screen::Desk => draw_desk(frame, &areas, state, theme),
            Screen::Market => market::draw(frame, body, state, theme),
            Screen::Cycles => cycles::draw(frame, body, state, theme),
            Screen::Money => money::draw(frame, body, state, theme),
            Screen::Guards => guards::draw(frame, body, state, theme),
            Screen::Prompt => prompt::draw(frame, body, state, theme),
            Screen::Log => log::draw(frame, body, state, theme),
        }
        if !state.connected {
            fade(frame, &areas, theme);
        }
    }
    footer::draw_status(frame, areas.status, state, theme);
    footer::draw_keys(frame, areas.footer, state, theme, &areas);
    match &state.overlay {
        Some(Overlay::Help(top)) => help::draw(frame, screen, *top, state, theme),
        Some(Overlay::Confirm(confirm)) => confirm::draw(frame, screen, confirm, state, theme),
        Some(Overlay::Entry(entry)) => entry::draw(frame, screen, areas.footer, entry, state, theme),
        Some(Overlay::Palette { typed, selected }) => {
            palette::draw(frame, screen, typed, *selected, state, theme);
        }
        Some(Overlay::Themes { selected, .. }) => {
            palette::draw_themes(frame, screen, *selected, state, theme);
        }
        None => {}
    }
    if let Some(marked) = &state.marked {
        marked.show(frame.buffer_mut());
    }
    if state.ascii {
        plain::spell(frame.buffer_mut());
    }
}

/// What was heard last stays readable, and does not look like what is.
fn fade(frame: &mut Frame<'_>, areas: &layout::Areas, theme: &Theme) {
    let faded = match theme.style(Meaning::Muted).fg {
        Some(colour) => Style::new().fg(colour),
        None => Style::new().add_modifier(ratatui::style::Modifier::DIM),
    };
    for area in areas.prices.iter().chain([&areas.body]) {
        frame.buffer_mut().set_style(*area, faded);
    }
}

fn draw_desk(frame: &mut Frame<'_>, areas: &layout::Areas, state: &State, theme: &Theme) {
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

/// Clears a box over the screen and frames it; what is left inside is returned.
fn boxed(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme, title: &str, note: &str) -> Rect {
    let screen = frame.area();
    let around = Rect { x: area.x.saturating_sub(1), width: area.width + 2, ..area }.intersection(screen);
    frame.render_widget(ratatui::widgets::Clear, around);
    frame.buffer_mut().set_style(around, theme.style(Meaning::Text));
    let note = Span::styled(note.to_owned(), theme.style(Meaning::Muted));
    let edges = [theme.style(Meaning::Focus); 2];
    framed_as(frame, area, state, title, &note, edges)
}

/// What is selected, as text for the clipboard.
pub fn copied(state: &State) -> String {
    use super::screens::{cycles as past, market as coins};
    match state.screen {
        Screen::Desk => match state.focus {
            Panel::Accounts => state.selected_position().map_or_else(String::new, |(_, account, held)| {
                format!(
                    "{} {} {} {} entry {} mark {}",
                    account.name,
                    held.symbol,
                    held.direction.as_str(),
                    held.quantity,
                    held.entry,
                    state.mark_of(held)
                )
            }),
            Panel::Decisions => decisions::selected(state).map_or_else(String::new, |(proposal, outcome)| {
                let word = proposal.decision.map_or("?", crate::domain::DecisionWord::as_str);
                let end = outcome.as_ref().map_or_else(String::new, |outcome| format!(" {}", outcome.detail));
                format!(
                    "{} {} {word}: {}{end}",
                    proposal.account,
                    proposal.symbol,
                    proposal.reason.line(2_000)
                )
            }),
            Panel::Analysis => {
                state.cycle().map_or_else(String::new, |cycle| super::prose::lines(cycle, 10_000).join("\n"))
            }
            Panel::Tools => state.cycle().map_or_else(String::new, |cycle| {
                let call = |call: &crate::domain::ToolCallView| {
                    format!("{} {}", call.endpoint.line(200), call.params.line(1_000))
                };
                cycle.tool_calls.iter().map(call).collect::<Vec<_>>().join("\n")
            }),
        },
        Screen::Market => coins::selected(state).map_or_else(String::new, |symbol| symbol.to_string()),
        Screen::Cycles => match &state.cycles.open {
            Some(open) => open.id.to_string(),
            None => past::shown(state)
                .get(past::selected(state))
                .map_or_else(String::new, |line| line.id.to_string()),
        },
        Screen::Prompt => state.prompt.page.page.as_ref().map_or_else(String::new, |page| page.text.clone()),
        Screen::Log => {
            let lines = super::screens::log::shown(state).into_iter().rev().take(200);
            let mut lines: Vec<String> =
                lines.map(|(at, _, text)| format!("{} {text}", at.to_rfc3339())).collect();
            lines.reverse();
            lines.join("\n")
        }
        Screen::Money | Screen::Guards => String::new(),
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
    let name = if focused { theme.style(Meaning::Focus) } else { theme.style(Meaning::Title) };
    if focused {
        // Brackets say the same without colour.
        return framed_as(frame, area, state, &format!("[{title}]"), note, [edge, name]);
    }
    framed_as(frame, area, state, title, note, [edge, name])
}

/// A frame with the styles of its edge and its title.
fn framed_as(
    frame: &mut Frame<'_>,
    area: Rect,
    state: &State,
    title: &str,
    note: &Span<'_>,
    [edge, name]: [Style; 2],
) -> Rect {
    let name = alone(name);
    let title = crate::domain::untrusted::truncate_columns(title, usize::from(area.width.saturating_sub(4)));
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

/// How many entries of a panel's list an area shows at once; so far a page goes.
pub fn capacity(panel: Panel, area: Rect, state: &State) -> usize {
    let rows = usize::from(area.height.saturating_sub(2));
    match panel {
        Panel::Analysis => rows,
        // Every account has a row of its own between the positions.
        Panel::Accounts => {
            rows.saturating_sub(1 + state.desk.as_ref().map_or(0, |desk| desk.accounts.len())).max(1)
        }
        Panel::Decisions => decisions::capacity(area, state),
        Panel::Tools => tools::capacity(area, state),
    }
}

/// Says on the lower border which part of a list is in sight, if not all of it is.
fn mark_part(frame: &mut Frame<'_>, area: Rect, theme: &Theme, first: usize, shown: usize, count: usize) {
    if shown >= count || area.width < 20 {
        return;
    }
    part(frame, area, theme, &format!(" {}–{} of {count} ", first + 1, (first + shown).min(count)));
}

/// The same for a list that was not read to its end.
fn mark_stretch(
    frame: &mut Frame<'_>,
    area: Rect,
    theme: &Theme,
    (first, shown): (usize, usize),
    count: usize,
    goes_on: bool,
) {
    if !goes_on {
        return mark_part(frame, area, theme, first, shown, count);
    }
    if area.width >= 20 {
        let last = (first + shown).min(count);
        part(frame, area, theme, &format!(" {}–{last} of {count} and older ", first + 1));
    }
}

fn part(frame: &mut Frame<'_>, area: Rect, theme: &Theme, text: &str) {
    let width = u16::try_from(text.chars().count()).unwrap_or(u16::MAX);
    let place = Rect { x: area.right().saturating_sub(width + 2), y: area.bottom() - 1, width, height: 1 };
    frame.render_widget(Line::styled(text.to_owned(), alone(theme.style(Meaning::Muted))), place);
}

/// The lines of a longer text from `top` on, and on the frame `around` them which part of it that is.
fn stretch(
    frame: &mut Frame<'_>,
    area: Rect,
    around: Rect,
    lines: Vec<(Meaning, String)>,
    top: usize,
    theme: &Theme,
) {
    let (rows, count) = (usize::from(area.height), lines.len());
    let top = top.min(count.saturating_sub(rows));
    let shown: Vec<Line<'_>> = lines
        .into_iter()
        .skip(top)
        .take(rows)
        .map(|(meaning, line)| Line::styled(format!(" {line}"), theme.style(meaning)))
        .collect();
    frame.render_widget(Paragraph::new(shown), area);
    mark_part(frame, around, theme, top, rows, count);
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
    let meaning = match severity {
        Severity::Info => Meaning::Text,
        Severity::Warning => Meaning::Warn,
        Severity::Critical => Meaning::Danger,
    };
    (theme.style(meaning), mark(severity))
}

/// The mark of a severity.
const fn mark(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "·",
        Severity::Warning => "▲",
        Severity::Critical => "■",
    }
}

/// The window of `rows` rows of a list of `count` that keeps `selected` in sight, as its first index.
fn window(selected: usize, count: usize, rows: usize) -> usize {
    let last = count.saturating_sub(rows);
    selected.saturating_sub(rows / 2).min(last)
}
