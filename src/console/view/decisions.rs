//! One row for every account and coin: the word, how sure, and what became of it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use unicode_width::UnicodeWidthStr;

use super::super::kept_back::NOT_ARMED;
use super::super::state::{Order, Panel, State};
use super::super::theme::{Meaning, Theme};
use super::super::update::safe;
use super::super::wrap::wrap;
use super::accounts::highlighted;
use super::columns::{Column, Fitted, cell};
use super::{framed, grid, mark_part, placeholder, progress, window};
use crate::domain::untrusted::truncate_columns;
use crate::domain::{Confidence, CycleView, DecisionWord, Outcome, OutcomeKind, Proposal, Rule};

const ACCOUNT: usize = 1;
const BAR: usize = 4;
const OUTCOME: usize = 7;
const RULE: usize = 8;
const DETAIL: usize = 9;

/// Columns a name has at least where room is short.
const NARROW_ACCOUNT: u16 = 5;

/// Cells a confidence bar may have, the threshold's tick not counted; the first that fits is taken.
const BAR_CELLS: [u16; 3] = [12, 8, 4];

/// Whether a long word may need the room for a mark behind it.
fn widened(cycle: &CycleView) -> bool {
    cycle.decisions.iter().any(|(proposal, _)| proposal.decision == Some(DecisionWord::NoTrade))
}

/// As wide as the longest rule that refused something, and not at all wider than its title when none did.
fn rule_width(cycle: &CycleView) -> u16 {
    let rules = cycle.decisions.iter().filter_map(|(_, outcome)| outcome.as_ref()?.rule);
    let longest = rules.map(|rule| rule.as_str().len()).max().unwrap_or(0);
    u16::try_from(longest.clamp(4, 14)).unwrap_or(14)
}

/// A rule as it is read out.
pub(super) fn spoken(rule: Rule) -> String {
    rule.as_str().replace('_', " ")
}

/// As wide as what became of any decision.
fn outcome_width(cycle: &CycleView, kept_back: &str) -> u16 {
    let kept = |outcome: &Outcome| outcome.kind == OutcomeKind::DryRun;
    let any_kept = cycle.decisions.iter().any(|(_, outcome)| outcome.as_ref().is_some_and(kept));
    let longest = if any_kept { kept_back.len().max(7) } else { 7 };
    // The mark stands before the word.
    u16::try_from(longest + 2).unwrap_or(9)
}

/// Rank says which column goes first when room is short.
fn columns(cycle: &CycleView, kept_back: &str, bar_cells: u16) -> [Column; 10] {
    let widest = |least: usize, most: usize, name: fn(&Proposal) -> &str| {
        let longest = cycle.decisions.iter().map(|(proposal, _)| name(proposal).len()).max().unwrap_or(0);
        u16::try_from(longest.clamp(least, most)).unwrap_or(8)
    };
    [
        Column::left("", 1, 0),
        Column::left("account", widest(7, 10, |proposal| proposal.account.as_str()), 1),
        Column::left("coin", widest(4, 9, |proposal| proposal.symbol.coin()), 0),
        Column::left("decision", if widened(cycle) { 10 } else { 8 }, 0),
        Column::left("", bar_cells + 1, 3),
        Column::left("conf", 4, 0),
        Column::left("", 1, 0),
        Column::left("  outcome", outcome_width(cycle, kept_back), 0),
        Column::left("rule", rule_width(cycle), 4),
        Column::left("", 20, 5),
    ]
}

/// The columns with the longest bar that costs no other column than the detail.
fn fit(cycle: &CycleView, kept_back: &str, width: u16) -> (Fitted, u16) {
    let named = |narrow: bool| {
        let columns = |cells| {
            let mut columns = columns(cycle, kept_back, cells);
            if narrow {
                columns[ACCOUNT].width = columns[ACCOUNT].width.min(NARROW_ACCOUNT);
            }
            columns
        };
        fit_bar(columns, width)
    };
    // A shortened name is better than none.
    let (fitted, cells) = named(false);
    if fitted.shows(ACCOUNT) { (fitted, cells) } else { named(true) }
}

fn fit_bar(columns: impl Fn(u16) -> [Column; 10], width: u16) -> (Fitted, u16) {
    let fits = BAR_CELLS.map(|cells| (Fitted::new(&columns(cells), width, DETAIL), cells));
    let best = fits
        .iter()
        .find(|(fitted, _)| fitted.shows(RULE))
        .or_else(|| fits.iter().find(|(fitted, _)| fitted.shows(BAR)));
    let cells = best.map_or(BAR_CELLS[2], |(_, cells)| *cells);
    let stretch =
        [DETAIL, RULE].into_iter().find(|column| best.is_some_and(|(fitted, _)| fitted.shows(*column)));
    (Fitted::new(&columns(cells), width, stretch.unwrap_or(OUTCOME)), cells)
}

/// Draws the panel.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let Some(desk) = &state.desk else { return };
    let focused = state.focus == Panel::Decisions;
    let threshold = desk.facts.threshold;
    let note = Span::styled(note(state, threshold, area.width), theme.style(Meaning::Muted));
    let inner = framed(frame, area, state, theme, Panel::Decisions.title(), &note, focused);
    let Some(cycle) = desk.cycle.as_ref().filter(|cycle| !cycle.decisions.is_empty()) else {
        if let Some((cycle, phase)) =
            desk.cycle.as_ref().and_then(|cycle| cycle.phase.map(|phase| (cycle, phase)))
        {
            progress::draw(frame, inner, cycle, phase, state, theme);
            return;
        }
        let sentence = if desk.cycle.is_some() {
            "The last cycle ended without a decision; its alarms say why."
        } else {
            "One row for every account and coin appears here after the first cycle. Press f to run one now."
        };
        placeholder(frame, inner, theme, &[sentence]);
        return;
    };
    let rows = state.decision_rows();
    let Some(last) = rows.len().checked_sub(1) else {
        placeholder(frame, inner, theme, &["No decision contains these words; esc takes the filter away."]);
        return;
    };
    let selected = state.decision.min(last);
    let place = rows.get(selected).copied().unwrap_or(0);
    let details = detail_lines(cycle, place, inner, theme);
    let detail_rows = u16::try_from(details.len()).unwrap_or(0);
    let list = Rect { height: inner.height - detail_rows, ..inner };
    let below = Rect { y: list.bottom(), height: detail_rows, ..inner };
    frame.render_widget(Paragraph::new(details), below);
    if state.table.grid {
        grid::draw(frame, (list, area), state, theme, cycle, (&rows, place));
        return;
    }
    draw_list(frame, list, state, theme, cycle, &rows, selected);
    let room = usize::from(list.height.saturating_sub(1));
    let count = rows.len();
    mark_part(frame, area, theme, window(selected, count, room), room, count);
}

/// How the list is narrowed and ordered, and from which confidence on there is an opening; what was changed by hand last
/// goes where not all of it has room.
fn note(state: &State, threshold: Confidence, width: u16) -> String {
    let order = (state.table.order != Order::Asked).then(|| state.table.order.title().to_owned());
    let filter = Some(&state.table.filter).filter(|filter| !filter.is_empty());
    let filter = filter.map(|filter| format!("with {filter:?}"));
    let opens = Some(format!("opens from {threshold}"));
    let joined = |parts: &[&Option<String>]| {
        parts.iter().filter_map(|part| part.as_deref()).collect::<Vec<_>>().join(", ")
    };
    let room = usize::from(width).saturating_sub(Panel::Decisions.title().len() + 7);
    let variants = [joined(&[&filter, &order, &opens]), joined(&[&filter, &order]), joined(&[&order])];
    let fitting = variants.iter().find(|words| words.width() <= room);
    fitting.unwrap_or(&variants[1]).clone()
}

fn draw_list(
    frame: &mut Frame<'_>,
    area: Rect,
    state: &State,
    theme: &Theme,
    cycle: &CycleView,
    rows: &[usize],
    selected: usize,
) {
    let kept_back = state.kept_back_now();
    let (fitted, bar_cells) = fit(cycle, kept_back, area.width);
    let threshold = state.desk.as_ref().map(|desk| desk.facts.threshold);
    let room = usize::from(area.height.saturating_sub(1));
    let first = window(selected, rows.len(), room);
    let mut lines = vec![fitted.titles(theme.style(Meaning::Muted))];
    let mut names: Vec<&str> =
        cycle.decisions.iter().map(|(proposal, _)| proposal.account.as_str()).collect();
    names.dedup();
    let mut account_above = None;
    for (index, place) in rows.iter().enumerate().skip(first).take(room) {
        let Some((proposal, outcome)) = cycle.decisions.get(*place) else { continue };
        let same_account = account_above == Some(&proposal.account) && index != selected;
        account_above = Some(&proposal.account);
        let focused = index == selected && state.focus == Panel::Decisions;
        let changed = state
            .word_before(&proposal.account, &proposal.symbol)
            .is_some_and(|before| before != proposal.decision);
        let row = Row {
            proposal,
            name: distinct(proposal.account.as_str(), &names, fitted.width(ACCOUNT)),
            outcome: outcome.as_ref(),
            threshold,
            kept_back,
            same_account,
            selected: focused,
            changed,
        };
        let line = row.line(theme, &fitted, bar_cells);
        lines.push(if focused { highlighted(line, theme) } else { line });
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// A name within a width, by its end where its beginning is that of another one as well.
pub(super) fn distinct(name: &str, all: &[&str], width: usize) -> String {
    let beginning = truncate_columns(name, width);
    let is_shared = all.iter().any(|other| *other != name && truncate_columns(other, width) == beginning);
    if !is_shared {
        return beginning;
    }
    // Names of accounts are ASCII.
    let end = name.get(name.len().saturating_sub(width.saturating_sub(1))..).unwrap_or(name);
    format!("…{end}")
}

/// What one row is drawn from.
struct Row<'a> {
    proposal: &'a Proposal,
    /// The account's name as far as there is room for it.
    name: String,
    outcome: Option<&'a Outcome>,
    threshold: Option<Confidence>,
    /// Why an order was computed and not sent.
    kept_back: &'static str,
    same_account: bool,
    selected: bool,
    /// Whether the word was another one in the cycle before.
    changed: bool,
}

impl Row<'_> {
    fn line(&self, theme: &Theme, fitted: &Fitted, bar_cells: u16) -> Line<'static> {
        let (text, muted) = (theme.style(Meaning::Text), theme.style(Meaning::Muted));
        let Proposal { symbol, decision, confidence, .. } = self.proposal;
        let level = confidence.zip(self.threshold).map(|(value, threshold)| level(value, threshold));
        let level_style = level.map_or(muted, |level| theme.style(level.meaning()));
        let word = decision.map_or_else(
            || cell("?", theme.style(Meaning::Danger)),
            |word| {
                let mut word = cell(word.as_str(), word_style(word, theme));
                if self.changed {
                    word.push(Span::styled(" ◇", theme.style(Meaning::Key)));
                }
                word
            },
        );
        let bar = match confidence.zip(self.threshold) {
            Some((value, threshold)) => bar(value, threshold, bar_cells, theme),
            None => cell("·", muted),
        };
        let kind = self.outcome.map(|outcome| outcome.kind);
        let rule = self.outcome.and_then(|outcome| outcome.rule).map_or_else(String::new, spoken);
        let detail =
            self.outcome.map_or_else(String::new, |outcome| safe(&outcome.detail, fitted.width(DETAIL)));
        fitted.row(&[
            cell(if self.selected { "▸" } else { " " }, theme.style(Meaning::Focus)),
            cell(if self.same_account { "" } else { self.name.as_str() }, text),
            cell(symbol.coin().to_owned(), text),
            word,
            bar,
            cell(confidence.map_or_else(|| "–".to_owned(), |value| value.to_string()), level_style),
            cell(level.map_or(" ", Level::mark), level_style),
            cell(
                format!("{} {}", outcome_mark(kind, self.kept_back), outcome_word(kind, self.kept_back)),
                kind.map_or(muted, |kind| outcome_style(kind, theme)),
            ),
            cell(rule, muted),
            cell(detail, muted),
        ])
    }
}

/// Where a confidence lies against the threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Above,
    Near,
    Below,
}

impl Level {
    pub(super) const fn meaning(self) -> Meaning {
        match self {
            Self::Above => Meaning::Above,
            Self::Near => Meaning::Near,
            Self::Below => Meaning::Below,
        }
    }

    /// Says the same without colour.
    const fn mark(self) -> &'static str {
        match self {
            Self::Above => "●",
            Self::Near | Self::Below => "○",
        }
    }
}

/// Near is within 0.05 below the threshold.
pub(super) fn level(confidence: Confidence, threshold: Confidence) -> Level {
    if confidence >= threshold {
        Level::Above
    } else if confidence.value() + Decimal::new(5, 2) >= threshold.value() {
        Level::Near
    } else {
        Level::Below
    }
}

/// A bar with a tick at the threshold; it reaches the tick exactly when the threshold is met. Drawn in half cells.
fn bar(confidence: Confidence, threshold: Confidence, cells: u16, theme: &Theme) -> Vec<Span<'static>> {
    let halves =
        |share: Confidence| (share.value() * Decimal::from(2 * cells)).floor().to_usize().unwrap_or(0);
    let cells = usize::from(cells);
    let tick = halves(threshold).div_ceil(2).clamp(1, cells);
    let level = level(confidence, threshold);
    let filled = match level {
        Level::Above => halves(confidence).max(2 * tick),
        Level::Near | Level::Below => halves(confidence).min(2 * tick - 1),
    };
    let (full, rest) = (theme.style(level.meaning()), theme.style(Meaning::Track));
    let part = |from: usize, to: usize| {
        let halves = filled.clamp(2 * from, 2 * to) - 2 * from;
        let strong = "━".repeat(halves / 2) + if halves % 2 == 1 { "╸" } else { "" };
        let weak = "─".repeat(to - from - halves.div_ceil(2));
        [Span::styled(strong, full), Span::styled(weak, rest)]
    };
    let mut spans = part(0, tick).to_vec();
    spans.push(Span::styled("│", if level == Level::Above { full } else { theme.style(Meaning::Muted) }));
    spans.extend(part(tick, cells));
    spans
}

pub(super) fn word_style(word: DecisionWord, theme: &Theme) -> Style {
    theme.style(match word {
        DecisionWord::Long => Meaning::Gain,
        DecisionWord::Short => Meaning::Loss,
        DecisionWord::Close => Meaning::Warn,
        DecisionWord::Hold => Meaning::Text,
        DecisionWord::NoTrade => Meaning::Muted,
    })
}

/// The outcome in a word; `kept_back` is the one for an order that was computed and not sent.
const fn outcome_word(kind: Option<OutcomeKind>, kept_back: &'static str) -> &'static str {
    match kind {
        None => "",
        Some(OutcomeKind::None) => "–",
        Some(OutcomeKind::DryRun) => kept_back,
        Some(
            kind @ (OutcomeKind::Opened
            | OutcomeKind::Closed
            | OutcomeKind::Refused
            | OutcomeKind::Invalid
            | OutcomeKind::Failed),
        ) => kind.as_str(),
    }
}

/// Says the same without colour and without words.
pub(super) fn outcome_mark(kind: Option<OutcomeKind>, kept_back: &str) -> &'static str {
    match kind {
        Some(OutcomeKind::Opened | OutcomeKind::Closed) => "✓",
        Some(OutcomeKind::Refused) => "✕",
        Some(OutcomeKind::Invalid | OutcomeKind::Failed) => "■",
        // The hollow form of the mark of an armed account.
        Some(OutcomeKind::DryRun) if kept_back == NOT_ARMED => "△",
        Some(OutcomeKind::DryRun) => "○",
        Some(OutcomeKind::None) => " ",
        None => "…",
    }
}

pub(super) fn outcome_style(kind: OutcomeKind, theme: &Theme) -> Style {
    theme.style(match kind {
        OutcomeKind::Opened | OutcomeKind::Closed => Meaning::Above,
        OutcomeKind::None => Meaning::Muted,
        OutcomeKind::Refused | OutcomeKind::DryRun => Meaning::Warn,
        OutcomeKind::Invalid | OutcomeKind::Failed => Meaning::Danger,
    })
}

/// The selected decision with what became of it.
pub fn selected(state: &State) -> Option<&(Proposal, Option<Outcome>)> {
    let rows = state.decision_rows();
    let place = rows.get(state.decision.min(rows.len().checked_sub(1)?))?;
    state.cycle()?.decisions.get(*place)
}

/// The place in the list of the decision whose row stands on a row of the screen.
pub fn row_at(state: &State, area: Rect, row: u16) -> Option<usize> {
    let count = state.decision_rows().len();
    let selected = state.decision.min(count.checked_sub(1)?);
    let room = capacity(area, state);
    let place = usize::from(row.checked_sub(area.y + 2)?);
    let at = window(selected, count, room) + place;
    (!state.table.grid && place < room && at < count).then_some(at)
}

/// How many decisions an area shows at once.
pub fn capacity(area: Rect, state: &State) -> usize {
    let rows = area.height.saturating_sub(2);
    if state.table.grid {
        return state.desk.as_ref().map_or(1, |desk| desk.accounts.len()).max(1);
    }
    usize::from(rows.saturating_sub(detail_rows(rows) + 1))
}

/// How many rows the details may take in a panel of so many.
const fn detail_rows(height: u16) -> u16 {
    match height {
        ..6 => 0,
        6..9 => 1,
        9..14 => 3,
        14..24 => 5,
        _ => 6,
    }
}

/// Why the selected row is what it is, in as many rows as the panel can spare.
fn detail_lines(cycle: &CycleView, selected: usize, inner: Rect, theme: &Theme) -> Vec<Line<'static>> {
    let rows = usize::from(detail_rows(inner.height));
    let Some((proposal, outcome)) = cycle.decisions.get(selected).filter(|_| rows > 0) else {
        return Vec::new();
    };
    let width = usize::from(inner.width.saturating_sub(2));
    let muted = theme.style(Meaning::Muted);
    let mut lines = Vec::new();
    if rows > 1 {
        let name = format!("{} {}", proposal.account, proposal.symbol.coin());
        let rest = "─".repeat(usize::from(inner.width).saturating_sub(name.len() + 3));
        let border = theme.style(Meaning::Border);
        lines.push(Line::from(vec![
            Span::styled("─ ", border),
            Span::styled(name, muted),
            Span::styled(format!(" {rest}"), border),
        ]));
    }
    let mut add = |text: String, style: Style| {
        for line in wrap(&text, width) {
            lines.push(Line::styled(format!(" {line}"), style));
        }
    };
    // Where there is one row for both, why it came to nothing counts more than why it was wanted.
    let came_to_nothing = outcome.as_ref().is_some_and(|outcome| {
        matches!(outcome.kind, OutcomeKind::Failed | OutcomeKind::Invalid | OutcomeKind::Refused)
    });
    let reason_only = rows == 1 && !proposal.reason.is_empty() && !came_to_nothing;
    if let Some(outcome) = outcome.as_ref().filter(|outcome| !outcome.detail.is_empty() && !reason_only) {
        add(safe(&outcome.detail, 400), outcome_style(outcome.kind, theme));
    }
    if !proposal.reason.is_empty() {
        add(proposal.reason.line(800), theme.style(Meaning::Text));
    }
    if let Some(note) = proposal.risk_note.as_ref().filter(|note| !note.is_empty()) {
        add(format!("Risk: {}", note.line(400)), theme.style(Meaning::Warn));
    }
    if lines.len() > rows {
        lines.truncate(rows);
        if let Some(last) = lines.last_mut() {
            last.push_span(Span::styled("…", muted));
        }
    }
    lines.resize(rows, Line::default());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_begin_alike_are_told_apart_by_their_ends() {
        let all = ["binance-main", "binance-hedge", "okx"];
        let short = |width| all.map(|name| distinct(name, &all, width));
        assert_eq!(short(13), ["binance-main", "binance-hedge", "okx"]);
        assert_eq!(short(5), ["…main", "…edge", "okx"]);
    }
    use proptest::prelude::*;

    fn confidence(hundredths: i64) -> Confidence {
        Confidence::new(Decimal::new(hundredths, 2)).unwrap()
    }

    /// Half cells filled, and the half cell the tick stands at.
    fn filled(value: Confidence, threshold: Confidence, cells: u16) -> (usize, usize) {
        let theme = Theme::load("jarvis-dark", None).unwrap();
        let text: String =
            bar(value, threshold, cells, &theme).iter().map(|span| span.content.to_string()).collect();
        assert_eq!(text.chars().count(), usize::from(cells) + 1, "{text}");
        let tick = text.chars().position(|c| c == '│').unwrap();
        let halves = |c: char| match c {
            '━' => 2,
            '╸' => 1,
            _ => 0,
        };
        (text.chars().map(halves).sum(), 2 * tick)
    }

    #[test]
    fn the_bar_reaches_its_tick_exactly_at_the_threshold() {
        assert_eq!(filled(confidence(74), confidence(75), 12), (17, 18));
        assert_eq!(filled(confidence(75), confidence(75), 12), (18, 18));
        assert_eq!(filled(confidence(100), confidence(75), 8), (16, 12));
        assert_eq!(filled(confidence(0), confidence(75), 4), (0, 6));
    }

    proptest! {
        #[test]
        fn the_bar_never_contradicts_the_threshold(value in 0_i64..=100, threshold in 0_i64..=100, kind in 0_usize..3) {
            let (filled, tick) = filled(confidence(value), confidence(threshold), BAR_CELLS[kind]);
            prop_assert_eq!(filled >= tick, value >= threshold);
        }
    }
}
