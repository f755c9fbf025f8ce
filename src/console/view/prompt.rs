//! The prompt files: text, editor, comparison, and what is wrong with a draft.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::keymap::Action;
use super::super::layout;
use super::super::screens::prompt::{self, Change, View};
use super::super::state::State;
use super::super::theme::{Meaning, Theme};
use super::super::update::safe;
use super::super::wrap::wrap;
use super::{framed, page, stretch};
use crate::domain::{PromptFile, PromptRemark, RemarkWeight, Untrusted};

/// How many rows the findings may take.
const FINDINGS: usize = 6;

/// How many lines are shown altogether, and how many rows there are for them.
pub fn extent(state: &State) -> (usize, usize) {
    let area = layout::body(state);
    let columns = usize::from(area.width.saturating_sub(4)).max(1);
    let rows = usize::from(area.height.saturating_sub(3)).saturating_sub(findings(state, columns).len());
    (lines(state, columns).len(), rows)
}

/// Draws the screen.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let asked = &state.prompt.page;
    let title = asked.page.as_ref().map_or("Prompt", |page| page.name.as_str());
    let note = match (&state.prompt.draft, prompt::is_editing(state)) {
        (Some(_), true) => Span::styled("editing; esc leaves and checks", theme.style(Meaning::Warn)),
        (Some(draft), false) if draft.name == title => {
            Span::styled("▲ draft, not in force", theme.style(Meaning::Warn))
        }
        _ => page::age(asked, state, theme),
    };
    let inner = framed(frame, area, state, theme, title, &note, true);
    let body = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    if page::awaited(frame, inner, asked, state, theme) {
        return;
    }
    frame.render_widget(files(state, theme, inner.width), Rect { height: 1, ..inner });
    let columns = usize::from(area.width.saturating_sub(4)).max(1);
    let findings = findings(state, columns);
    let below = u16::try_from(findings.len()).unwrap_or(0).min(body.height / 2);
    let text = Rect { height: body.height - below, ..body };
    let notes: Vec<Line<'_>> = findings
        .into_iter()
        .map(|(meaning, line)| Line::styled(format!(" {line}"), theme.style(meaning)))
        .collect();
    frame.render_widget(Paragraph::new(notes), Rect { y: text.bottom(), height: below, ..body });
    if prompt::is_editing(state) {
        draw_editor(frame, text, state, theme);
        return;
    }
    let lines = lines(state, columns);
    stretch(frame, text, area, lines, state.prompt.top, theme);
}

fn draw_editor(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let Some(draft) = &state.prompt.draft else { return };
    let mut editor = draft.editor.clone();
    editor.set_style(theme.style(Meaning::Text));
    editor.set_cursor_line_style(ratatui::style::Style::new());
    editor.set_cursor_style(theme.style(Meaning::Text).add_modifier(ratatui::style::Modifier::REVERSED));
    editor.set_selection_style(theme.style(Meaning::Selection));
    editor.set_line_number_style(theme.style(Meaning::Muted));
    frame.render_widget(&editor, area);
}

/// The files with a mark where one of the settings folder is in force, and what is shown of the one in sight. Where not
/// all of it has room, the other files are only counted: a comparison that does not say with what is none.
fn files(state: &State, theme: &Theme, width: u16) -> Line<'static> {
    let mut line = Line::styled(" tab ", theme.style(Meaning::Key));
    let Some(page) = &state.prompt.page.page else { return line };
    let name = |file: &PromptFile| {
        let here = file.name == page.name;
        let own = match (file.is_used, file.is_override) {
            (false, _) => " (not used)",
            (true, true) => " (own)",
            (true, false) => "",
        };
        let name = safe(&file.name, 24);
        let text = if here { format!("[{name}{own}]") } else { format!(" {name}{own} ") };
        Span::styled(text, theme.style(if here { Meaning::Focus } else { Meaning::Muted }))
    };
    let view = |title: &'static str| {
        [Span::styled("  ← → ", theme.style(Meaning::Key)), Span::styled(title, theme.style(Meaning::Text))]
    };
    let (long, short) = (view(state.prompt.view.title()), view(state.prompt.view.short_title()));
    let wide = |spans: &[Span<'_>]| spans.iter().map(Span::width).sum::<usize>();
    let room = usize::from(width).saturating_sub(line.width());
    let names: Vec<Span<'_>> = page.files.iter().map(name).collect();
    let shown = if wide(&names) + wide(&long) <= room {
        names
    } else {
        let place = page.files.iter().position(|file| file.name == page.name).unwrap_or(0);
        let count = format!(" {} of {}", place + 1, page.files.len());
        let count = Span::styled(count, theme.style(Meaning::Muted));
        names.into_iter().nth(place).into_iter().chain([count]).collect()
    };
    let view = if wide(&shown) + wide(&long) <= room { long } else { short };
    line.spans.extend(shown);
    line.spans.extend(view);
    line
}

/// The text, or how it differs, broken to a width.
fn lines(state: &State, columns: usize) -> Vec<(Meaning, String)> {
    let Some(page) = &state.prompt.page.page else { return Vec::new() };
    let draft = state.prompt.draft.as_ref().filter(|draft| draft.name == page.name);
    let text = draft.map_or_else(|| page.text.clone(), prompt::Draft::text);
    let clean = |line: &str| Untrusted::new(line).lines();
    let broken = |meaning: Meaning, line: &str| {
        wrap(&clean(line), columns).into_iter().map(move |line| (meaning, line)).collect::<Vec<_>>()
    };
    let before = match state.prompt.view {
        View::Text => {
            return text.lines().flat_map(|line| broken(Meaning::Text, line)).collect();
        }
        View::AgainstInForce => &page.text,
        View::AgainstBuiltIn => &page.built_in,
    };
    let changes = prompt::compared(before, &text);
    if changes.iter().all(|(change, _)| *change == Change::Same) {
        return vec![(Meaning::Muted, "There is no difference.".to_owned())];
    }
    let near = |place: usize| {
        let around = changes.get(place.saturating_sub(2)..(place + 3).min(changes.len()));
        around.is_some_and(|lines| lines.iter().any(|(change, _)| *change != Change::Same))
    };
    let mut lines = Vec::new();
    let mut skipped = 0;
    for (place, (change, line)) in changes.iter().enumerate() {
        if !near(place) {
            skipped += 1;
            continue;
        }
        if skipped > 0 {
            lines.push((Meaning::Muted, format!("  … {skipped} lines the same")));
            skipped = 0;
        }
        let (mark, meaning) = match change {
            Change::Same => (" ", Meaning::Muted),
            Change::Added => ("+", Meaning::Gain),
            Change::Removed => ("-", Meaning::Loss),
        };
        lines.extend(broken(meaning, &format!("{mark} {line}")));
    }
    if skipped > 0 {
        lines.push((Meaning::Muted, format!("  … {skipped} lines the same")));
    }
    lines
}

/// What there is to say about the draft, or about the file on disk.
fn findings(state: &State, columns: usize) -> Vec<(Meaning, String)> {
    let Some(page) = &state.prompt.page.page else { return Vec::new() };
    let mut lines = Vec::new();
    let mut add = |meaning: Meaning, text: String| {
        lines.extend(wrap(&safe(&text, 400), columns).into_iter().map(|line| (meaning, line)));
    };
    if state.prompt.draft.is_some() {
        match (&state.prompt.lint.page, &state.prompt.lint.trouble, state.prompt.lint.waiting) {
            (_, _, Some(_)) => add(Meaning::Muted, "checking the draft …".to_owned()),
            (Some(remarks), ..) => {
                if remarks.iter().all(|remark| remark.weight == RemarkWeight::Note) {
                    let key = state.keys.key_of(Action::ApplyPrompt);
                    let text =
                        format!("✓ nothing is wrong with the draft; {key} uses it from the next cycle on");
                    add(Meaning::Gain, text);
                }
                for remark in by_weight(remarks) {
                    let (meaning, mark) = look(remark.weight);
                    add(meaning, format!("{mark} {}", remark.text));
                }
            }
            (None, Some(trouble), None) => {
                add(Meaning::Warn, format!("▲ the draft could not be checked: {trouble}"));
            }
            (None, None, None) => {}
        }
    }
    for remark in by_weight(&page.remarks).into_iter().filter(|_| state.prompt.draft.is_none()) {
        let (meaning, mark) = look(remark.weight);
        let head = if page.is_usable { "" } else { "the file on disk is not in force: " };
        add(meaning, format!("{mark} {head}{}", remark.text));
    }
    lines.truncate(FINDINGS);
    lines
}

/// The worst remark first; otherwise in their order.
fn by_weight(remarks: &[PromptRemark]) -> Vec<&PromptRemark> {
    let mut sorted: Vec<&PromptRemark> = remarks.iter().collect();
    sorted.sort_by_key(|remark| std::cmp::Reverse(remark.weight));
    sorted
}

/// How a remark looks, and the mark that says so without colour.
const fn look(weight: RemarkWeight) -> (Meaning, &'static str) {
    match weight {
        RemarkWeight::Error => (Meaning::Danger, "■"),
        RemarkWeight::Warning => (Meaning::Warn, "▲"),
        RemarkWeight::Note => (Meaning::Muted, "·"),
    }
}
