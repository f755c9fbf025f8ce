//! Limits against present values, and the halt ladder.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use rust_decimal::prelude::ToPrimitive;

use super::super::format;
use super::super::screens::guards;
use super::super::state::State;
use super::super::telling;
use super::super::theme::{Meaning, Theme};
use super::super::update::safe;
use super::super::wrap::wrap;
use super::accounts::highlighted;
use super::columns::{Column, Fitted, cell};
use super::{framed, mark_part, placeholder, window};
use crate::domain::{Flattening, GuardReading, HaltLevel, HaltScope};

/// Cells of a bar.
const BAR: u16 = 8;

/// Rank says which goes first when room is short.
const READINGS: [Column; 6] = [
    Column::left("guard", 17, 0),
    Column::left("account", 7, 2),
    Column::left("", BAR, 1),
    Column::right("value", 12, 0),
    Column::right("limit", 12, 3),
    Column::left("", 9, 0),
];

/// Draws the screen.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let scopes = u16::try_from(guards::scopes(state).len() + 2).unwrap_or(u16::MAX);
    let [ladder, readings] = if area.width >= 110 {
        Layout::horizontal([Constraint::Percentage(38), Constraint::Fill(1)]).areas(area)
    } else {
        let most = area.height / 2;
        Layout::vertical([Constraint::Length((scopes + 3).min(most.max(7))), Constraint::Fill(1)]).areas(area)
    };
    draw_ladder(frame, ladder, state, theme);
    if readings.height > 2 {
        draw_readings(frame, readings, state, theme);
    }
}

/// What trades and what does not; the selected row is what the keys act on.
fn draw_ladder(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let Some(desk) = &state.desk else { return };
    let note = match desk.halts.len() {
        0 => Span::styled("nothing is halted", theme.style(Meaning::Muted)),
        count => Span::styled(format!("■ {count} in force"), theme.style(Meaning::Danger)),
    };
    let inner = framed(frame, area, state, theme, "Halt ladder", &note, true);
    let scopes = guards::scopes(state);
    let details = details(state, theme, inner);
    let below = u16::try_from(details.len()).unwrap_or(0).min(inner.height / 3);
    // A line alone would part nothing from nothing.
    let below = if below < 2 { 0 } else { below };
    let list = Rect { height: inner.height - below, ..inner };
    let selected = state.guards.selected.min(scopes.len().saturating_sub(1));
    let rows = usize::from(list.height);
    let first = window(selected, scopes.len(), rows);
    let mut lines = Vec::new();
    for (index, scope) in scopes.iter().enumerate().skip(first).take(rows) {
        let line = rung(state, theme, scope, index == selected, usize::from(inner.width));
        lines.push(if index == selected { highlighted(line, theme) } else { line });
    }
    frame.render_widget(Paragraph::new(lines), list);
    frame.render_widget(Paragraph::new(details), Rect { y: list.bottom(), height: below, ..inner });
    mark_part(frame, area, theme, first, rows, scopes.len());
}

fn rung(state: &State, theme: &Theme, scope: &HaltScope, selected: bool, width: usize) -> Line<'static> {
    let (text, muted) = (theme.style(Meaning::Text), theme.style(Meaning::Muted));
    let name = match scope {
        HaltScope::Desk => "the whole desk".to_owned(),
        HaltScope::Account(account) => format!("  {account}"),
        HaltScope::Coin(symbol) => format!("    {}", symbol.coin()),
    };
    let held = guards::covered(state, scope).len();
    let held = if held > 0 { format!("{held} open") } else { String::new() };
    let (word, meaning) = match guards::halt(state, scope) {
        Some(halt) => {
            let word = match halt.level {
                HaltLevel::NoEntries => "▲ no entries",
                HaltLevel::Frozen => "■ frozen",
                HaltLevel::Flattened => "■ flattened",
            };
            let until = halt.until.map(|at| format!(" until {}", state.clock(at, "%d %b %H:%M")));
            let whole = format!("{word}{}", until.unwrap_or_default());
            // When it ends is said below too; half of it says nothing.
            let fits = whole.chars().count() + 30 <= width;
            (if fits { whole } else { word.to_owned() }, Meaning::Danger)
        }
        None if covered_from_above(state, scope) => ("halted with the desk".to_owned(), Meaning::Warn),
        None => ("trades".to_owned(), Meaning::Gain),
    };
    let room = width.saturating_sub(30);
    Line::from(vec![
        Span::styled(if selected { "▸" } else { " " }, theme.style(Meaning::Focus)),
        Span::styled(format!("{name:<19}"), text),
        Span::styled(format!("{held:<8} "), muted),
        Span::styled(safe(&word, room), theme.style(meaning)),
    ])
}

/// Whether a halt of something larger reaches it.
fn covered_from_above(state: &State, scope: &HaltScope) -> bool {
    let halts = state.desk.iter().flat_map(|desk| &desk.halts);
    let desk = halts.filter(|halt| halt.scope == HaltScope::Desk).count() > 0;
    desk && *scope != HaltScope::Desk
}

/// Why the selected one is halted, and how far a flattening has come.
fn details(state: &State, theme: &Theme, inner: Rect) -> Vec<Line<'static>> {
    let width = usize::from(inner.width.saturating_sub(2));
    let Some(scope) = guards::selected(state) else { return Vec::new() };
    let mut lines = vec![Line::styled("─".repeat(usize::from(inner.width)), theme.style(Meaning::Border))];
    let mut add = |text: &str, meaning: Meaning| {
        for line in wrap(&safe(text, 400), width) {
            lines.push(Line::styled(format!(" {line}"), theme.style(meaning)));
        }
    };
    match guards::halt(state, &scope) {
        Some(halt) => {
            add(&telling::halted(halt), Meaning::Warn);
            add(&format!("since {}", state.clock(halt.since, "%d %b %H:%M:%S")), Meaning::Muted);
        }
        None => add(ladder_words(&scope), Meaning::Muted),
    }
    let flattenings = state.desk.iter().flat_map(|desk| &desk.flattenings);
    for flattening in flattenings.filter(|flattening| match &scope {
        HaltScope::Account(account) => &flattening.account == account,
        HaltScope::Desk => true,
        HaltScope::Coin(_) => false,
    }) {
        let (text, meaning) = progress(flattening, state);
        add(&text, meaning);
    }
    lines
}

const fn ladder_words(scope: &HaltScope) -> &'static str {
    match scope {
        HaltScope::Coin(_) => "p pause for a while, e no entries, z freeze: for this coin in every account",
        HaltScope::Account(_) => "p pause, e no entries, z freeze, X close everything this account holds",
        HaltScope::Desk => "p pause, e no entries, z freeze, X close everything all accounts hold",
    }
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

fn draw_readings(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let Some(desk) = &state.desk else { return };
    let refusing = desk.guards.iter().filter(|reading| reading.refuses).count();
    let note = match refusing {
        0 => Span::styled("none would refuse an opening now", theme.style(Meaning::Muted)),
        count => Span::styled(format!("▲ {count} would refuse an opening now"), theme.style(Meaning::Warn)),
    };
    let inner = framed(frame, area, state, theme, "Guards", &note, false);
    if desk.guards.is_empty() {
        placeholder(frame, inner, theme, &["The guards have not been read yet; they are with every cycle."]);
        return;
    }
    let fitted = Fitted::new(&READINGS, inner.width.saturating_sub(1), 5);
    let room = usize::from(inner.height.saturating_sub(1));
    let mut title = fitted.titles(theme.style(Meaning::Muted));
    title.spans.insert(0, Span::raw(" "));
    let mut lines = vec![title];
    // What refuses comes first, then what is nearest to its limit: the list may be longer than the panel.
    let mut readings: Vec<&GuardReading> = desk.guards.iter().collect();
    if readings.len() > room {
        readings.sort_by(|one, other| {
            let rank = |reading: &GuardReading| {
                (reading.on && reading.refuses, reading.on, reading.used.unwrap_or(0.0))
            };
            rank(other).partial_cmp(&rank(one)).unwrap_or(std::cmp::Ordering::Equal)
        });
    }
    lines.extend(readings.iter().take(room).map(|reading| row(reading, theme, &fitted)));
    frame.render_widget(Paragraph::new(lines), inner);
    mark_part(frame, area, theme, 0, room, readings.len());
}

fn row(reading: &GuardReading, theme: &Theme, fitted: &Fitted) -> Line<'static> {
    let (text, muted) = (theme.style(Meaning::Text), theme.style(Meaning::Muted));
    let (word, meaning) = match (reading.on, reading.refuses) {
        (false, _) => ("off", Meaning::Muted),
        (true, true) => ("■ refuses", Meaning::Danger),
        (true, false) => ("allows", Meaning::Gain),
    };
    let account = reading.account.as_ref().map_or("all", |account| account.as_str());
    let value = if reading.value.is_empty() { "–".to_owned() } else { safe(&reading.value, 20) };
    let style = if reading.on { text } else { muted };
    let mut line = fitted.row(&[
        cell(reading.rule.as_str().replace('_', " "), style),
        cell(account.to_owned(), muted),
        bar(reading, theme),
        cell(value, style),
        cell(safe(&reading.limit, 20), muted),
        cell(word, theme.style(meaning)),
    ]);
    line.spans.insert(0, Span::raw(" "));
    line
}

/// How much of its limit is used up; beyond it the bar ends in a mark.
fn bar(reading: &GuardReading, theme: &Theme) -> Vec<Span<'static>> {
    let Some(used) = reading.used.filter(|used| used.is_finite() && reading.on) else {
        return cell("", theme.style(Meaning::Track));
    };
    let cells = usize::from(BAR);
    let filled = (used.clamp(0.0, 1.0) * f64::from(BAR)).round().to_usize().unwrap_or(0).min(cells);
    let meaning = match used {
        used if used >= 1.0 => Meaning::Danger,
        used if used >= 0.8 => Meaning::Warn,
        _ => Meaning::Above,
    };
    let full = "━".repeat(filled.saturating_sub(usize::from(used > 1.0)));
    let over = if used > 1.0 { "▶" } else { "" };
    vec![
        Span::styled(format!("{full}{over}"), theme.style(meaning)),
        Span::styled("─".repeat(cells - filled), theme.style(Meaning::Track)),
    ]
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
