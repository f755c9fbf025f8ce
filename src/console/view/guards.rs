//! Limits against present values, and the halt ladder.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Margin, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::format;
use super::super::keymap::Action;
use super::super::layout;
use super::super::possible;
use super::super::screens::guards;
use super::super::state::State;
use super::super::telling;
use super::super::theme::{Meaning, Theme};
use super::super::update::safe;
use super::super::wrap::wrap;
use super::accounts::highlighted;
use super::{framed, mark_part, readings, window};
use crate::domain::untrusted::truncate_columns;
use crate::domain::{Flattening, HaltLevel, HaltScope, Mode};

/// Columns of the ladder beside the readings: as much as its longest line needs.
const LADDER: u16 = 40;

/// Columns of a rung beside its name: the mark, how much is open there, and blanks.
const BESIDE_NAME: usize = 9;

/// Columns a rung's word has at least.
const WORD: usize = 14;

/// Draws the screen.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let [ladder, readings] = places(area, state);
    draw_ladder(frame, ladder, state, theme);
    if readings.height > 2 {
        readings::draw(frame, readings, state, theme);
    }
}

/// The places of the ladder and of the readings: side by side, or the one in focus the larger.
pub fn places(area: Rect, state: &State) -> [Rect; 2] {
    if area.width >= 110 {
        return Layout::horizontal([Constraint::Length(LADDER), Constraint::Fill(1)]).areas(area);
    }
    let scopes = u16::try_from(guards::scopes(state).len() + 5).unwrap_or(u16::MAX);
    let most = if state.guards.reading { area.height / 3 } else { area.height / 2 };
    Layout::vertical([Constraint::Length(scopes.min(most.max(5))), Constraint::Fill(1)]).areas(area)
}

/// What trades and what does not; the selected row is what the keys act on.
fn draw_ladder(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let Some(desk) = &state.desk else { return };
    let note = match desk.halts.len() {
        0 => Span::styled("nothing is halted", theme.style(Meaning::Muted)),
        count => Span::styled(format!("■ {count} in force"), theme.style(Meaning::Danger)),
    };
    let inner = framed(frame, area, state, theme, "Halt ladder", &note, !state.guards.reading);
    let scopes = guards::scopes(state);
    let details = details(state, &|meaning| theme.style(meaning), inner);
    let below = detail_rows(details.len(), inner);
    let list = Rect { height: inner.height - below, ..inner };
    let selected = state.guards.selected.min(scopes.len().saturating_sub(1));
    let rows = usize::from(list.height);
    let first = window(selected, scopes.len(), rows);
    let width = usize::from(inner.width);
    let column = name_column(&scopes, width);
    let mut lines = Vec::new();
    for (index, scope) in scopes.iter().enumerate().skip(first).take(rows) {
        let line = rung(state, theme, scope, index == selected, (column, width));
        lines.push(if index == selected { highlighted(line, theme) } else { line });
    }
    frame.render_widget(Paragraph::new(lines), list);
    frame.render_widget(Paragraph::new(details), Rect { y: list.bottom(), height: below, ..inner });
    mark_part(frame, area, theme, first, rows, scopes.len());
}

/// Rows below the ladder; a line alone would part nothing from nothing.
fn detail_rows(lines: usize, inner: Rect) -> u16 {
    let rows = u16::try_from(lines).unwrap_or(0).min(inner.height / 3);
    if rows < 2 { 0 } else { rows }
}

/// The rung that stands on a row of the screen.
pub fn rung_at(state: &State, row: u16) -> Option<usize> {
    let [ladder, _] = places(layout::body(state), state);
    let inner = ladder.inner(Margin::new(1, 1));
    let below = detail_rows(details(state, &|_| Style::new(), inner).len(), inner);
    let rows = usize::from(inner.height - below);
    let count = guards::scopes(state).len();
    let first = window(state.guards.selected.min(count.checked_sub(1)?), count, rows);
    let place = usize::from(row.checked_sub(inner.y)?);
    (place < rows && first + place < count).then_some(first + place)
}

/// How wide the names of the ladder stand: as the longest of them, as far as its word has room beside it.
fn name_column(scopes: &[HaltScope], width: usize) -> usize {
    let longest = scopes.iter().map(|scope| match scope {
        HaltScope::Account(account) => account.as_str().len() + 3,
        HaltScope::Desk | HaltScope::Coin(_) => 0,
    });
    longest.max().unwrap_or(0).clamp(15, width.saturating_sub(BESIDE_NAME + WORD).max(15))
}

fn rung(
    state: &State,
    theme: &Theme,
    scope: &HaltScope,
    selected: bool,
    (column, width): (usize, usize),
) -> Line<'static> {
    let (text, muted) = (theme.style(Meaning::Text), theme.style(Meaning::Muted));
    let name = match scope {
        HaltScope::Desk => "the whole desk".to_owned(),
        HaltScope::Account(account) => format!("  {account}"),
        HaltScope::Coin(symbol) => format!("    {}", symbol.coin()),
    };
    let named = column + BESIDE_NAME;
    let held = guards::covered(state, scope).len();
    let held = if held > 0 { format!("{held} open") } else { String::new() };
    let above = guards::halt(state, &HaltScope::Desk).filter(|_| *scope != HaltScope::Desk);
    let (word, meaning) = match guards::halt(state, scope) {
        // Its own halt would read as if more were allowed than is.
        Some(halt) if above.is_some_and(|above| above.level > halt.level) => {
            let strictest = above.map_or(halt.level, |above| above.level);
            (rung_word(strictest).to_owned(), Meaning::Danger)
        }
        Some(halt) => {
            let word = rung_word(halt.level);
            let until = halt.until.map(|at| format!(" until {}", state.clock(at, "%d %b %H:%M")));
            let whole = format!("{word}{}", until.unwrap_or_default());
            // When it ends is said below too; half of it says nothing.
            let fits = whole.chars().count() + named <= width;
            (if fits { whole } else { word.to_owned() }, Meaning::Danger)
        }
        None if above.is_some() => ("with the desk".to_owned(), Meaning::Warn),
        None => trades(state, scope),
    };
    let room = width.saturating_sub(named);
    Line::from(vec![
        Span::styled(if selected { "▸" } else { " " }, theme.style(Meaning::Focus)),
        Span::styled(format!("{:<column$}", truncate_columns(&name, column - 1)), text),
        Span::styled(format!("{held:<7} "), muted),
        Span::styled(safe(&word, room), theme.style(meaning)),
    ])
}

/// What stands for a scope that nothing halts: whether orders leave for it at all.
fn trades(state: &State, scope: &HaltScope) -> (String, Meaning) {
    let Some(desk) = &state.desk else { return (String::new(), Meaning::Muted) };
    let armed = match scope {
        HaltScope::Account(account) => state.is_armed(account),
        HaltScope::Desk | HaltScope::Coin(_) => !desk.armed.is_empty(),
    };
    let (word, meaning) = match (desk.facts.mode, armed) {
        _ if desk.dry_run => ("dry-run", Meaning::Warn),
        (Mode::Live, false) => ("not armed", Meaning::Warn),
        (Mode::Live, true) if matches!(scope, HaltScope::Account(_)) => ("▲ armed", Meaning::Gain),
        _ => ("trades", Meaning::Gain),
    };
    (word.to_owned(), meaning)
}

fn rung_word(level: HaltLevel) -> &'static str {
    match level {
        HaltLevel::NoEntries => "▲ no entries",
        HaltLevel::Frozen => "■ frozen",
        HaltLevel::Flattened => "■ flattened",
    }
}

/// Why the selected one is halted, and how far a flattening has come.
fn details(state: &State, style: &dyn Fn(Meaning) -> Style, inner: Rect) -> Vec<Line<'static>> {
    let width = usize::from(inner.width.saturating_sub(2));
    let Some(scope) = guards::selected(state) else { return Vec::new() };
    let mut lines = vec![Line::styled("─".repeat(usize::from(inner.width)), style(Meaning::Border))];
    let mut add = |text: &str, meaning: Meaning| {
        for line in wrap(text, width) {
            lines.push(Line::styled(format!(" {}", line.replace('\u{a0}', " ")), style(meaning)));
        }
    };
    match guards::halt(state, &scope) {
        Some(halt) => {
            add(&safe(&telling::halted(halt, state.zone), 400), Meaning::Warn);
            let since = format!("since {}", state.clock(halt.since, "%d %b %H:%M:%S"));
            let resumes = possible::why_not(Action::Resume, state).is_none();
            let key = state.keys.key_of(Action::Resume);
            add(&if resumes { format!("{since}; {key} resumes") } else { since }, Meaning::Muted);
        }
        // In our own words, with blanks at which no line is broken.
        None => add(&ladder_words(state, &scope), Meaning::Muted),
    }
    let flattenings = state.desk.iter().flat_map(|desk| &desk.flattenings);
    for flattening in flattenings.filter(|flattening| match &scope {
        HaltScope::Account(account) => &flattening.account == account,
        HaltScope::Desk => true,
        HaltScope::Coin(_) => false,
    }) {
        let (text, meaning) = progress(flattening, state);
        add(&safe(&text, 400), meaning);
    }
    lines
}

/// The rungs that can be taken. No line is broken between a key and what it does.
fn ladder_words(state: &State, scope: &HaltScope) -> String {
    let rung = |action, word: &str| {
        format!("{}\u{a0}{}", state.keys.key_of(action), word.replacen(' ', "\u{a0}", 1))
    };
    let mut rungs = vec![
        rung(Action::Pause, "pause"),
        rung(Action::NoEntries, "no entries"),
        rung(Action::Freeze, "freeze"),
    ];
    // Offered only where the key would be heard: not in a dry-run.
    let closes = possible::why_not(Action::Flatten, state).is_none();
    match scope {
        HaltScope::Coin(_) => return format!("{}: for this coin in every account", rungs.join(", ")),
        _ if !closes => {}
        HaltScope::Account(_) => rungs.push(rung(Action::Flatten, "close everything this account holds")),
        HaltScope::Desk => rungs.push(rung(Action::Flatten, "close everything all accounts hold")),
    }
    rungs.join(", ")
}

/// How far a flattening has come, and how that is known.
fn progress(flattening: &Flattening, state: &State) -> (String, Meaning) {
    let account = &flattening.account;
    let proof = match flattening.proven_at {
        Some(at) => format!("read from the exchange at {}", state.time(at)),
        None => "the exchange could not be asked".to_owned(),
    };
    let left: Vec<&str> = flattening.remaining.iter().map(crate::domain::Symbol::coin).collect();
    match (&flattening.trouble, left.is_empty()) {
        (Some(trouble), _) => {
            (format!("■ {account}: {trouble}; left: {}; {proof}", left.join(" ")), Meaning::Danger)
        }
        (None, true) => (format!("✓ {account} is flat, {proof}"), Meaning::Gain),
        (None, false) => (format!("… {account} still holds {}, {proof}", left.join(" ")), Meaning::Warn),
    }
}

/// What a halt would do, in a sentence, with what it costs.
pub fn estimate(state: &State, scope: &HaltScope) -> (usize, crate::domain::Usdt, crate::domain::Usdt) {
    let held = guards::covered(state, scope);
    let mut notional = rust_decimal::Decimal::ZERO;
    for (_, position) in &held {
        notional += state.mark_of(position).notional(position.quantity).value();
    }
    let fee = notional.checked_mul(super::confirm::TAKER_FEE).unwrap_or_default();
    (held.len(), crate::domain::Usdt::of(notional), crate::domain::Usdt::of(fee))
}

/// A scope's positions in a few words.
pub fn held_words(state: &State, scope: &HaltScope, most: usize) -> String {
    let held = guards::covered(state, scope);
    let mut words: Vec<String> = held
        .iter()
        .take(most)
        .map(|(account, position)| {
            format!(
                "{} {} {} {}",
                account.name,
                position.symbol.coin(),
                position.direction.as_str(),
                format::quantity(position.quantity)
            )
        })
        .collect();
    if held.len() > most {
        words.push(format!("and {} more", held.len() - most));
    }
    words.join(", ")
}
