//! The guards' limits against the present values: a heading for every guard, below it a row for every account.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use rust_decimal::prelude::ToPrimitive;

use super::super::state::State;
use super::super::theme::{Meaning, Theme};
use super::super::update::safe;
use super::super::wrap::wrap;
use super::columns::{Column, Fitted, cell};
use super::decisions::spoken;
use super::{budget, framed, mark_part, placeholder};
use crate::domain::{GuardReading, Mode, Rule};

/// How a meaning looks.
type Look<'a> = &'a dyn Fn(Meaning) -> Style;

/// Cells of a bar.
const BAR: u16 = 8;

/// Cells a guard's name gets.
const NAME: usize = 18;

/// A row below a guard's heading; the value takes what is left over.
const ROW: [Column; 5] = [
    Column::left("", 1, 0),
    Column::left("", 8, 0),
    Column::left("", BAR, 1),
    Column::left("", 12, 0),
    Column::left("", 10, 0),
];

/// The column of [`ROW`] that holds the value.
const VALUE: usize = 3;

/// Draws the panel.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let Some(desk) = &state.desk else { return };
    let refusing = desk.guards.iter().filter(|reading| reading.on && reading.refuses).count();
    let unarmed = desk.facts.mode == Mode::Live && desk.armed.is_empty();
    let note = match refusing {
        0 if unarmed => Span::styled("▲ no account is armed: nothing is sent", theme.style(Meaning::Warn)),
        0 => Span::styled("none would refuse an opening now", theme.style(Meaning::Muted)),
        count => {
            Span::styled(format!("▲ {count} refusing now: first, then as asked"), theme.style(Meaning::Warn))
        }
    };
    let inner = framed(frame, area, state, theme, "Guards", &note, state.guards.reading);
    if desk.guards.is_empty() {
        placeholder(frame, inner, theme, &["The guards have not been read yet; they are with every cycle."]);
        return;
    }
    let look = |meaning| theme.style(meaning);
    let mut lines = lines(&desk.guards, &look, inner.width);
    lines.extend(budget::lines(state, &look, inner.width));
    let (count, rows) = (lines.len(), usize::from(inner.height));
    let top = state.guards.top.min(count.saturating_sub(rows));
    let shown: Vec<Line<'_>> = lines.into_iter().skip(top).take(rows).collect();
    frame.render_widget(Paragraph::new(shown), inner);
    mark_part(frame, area, theme, top, rows, count);
}

/// How many lines there are for a panel of this width.
pub fn count(state: &State, width: u16) -> usize {
    let (plain, width) = (|_| Style::new(), width.saturating_sub(2));
    let of_guards = state.desk.as_ref().map_or(0, |desk| lines(&desk.guards, &plain, width).len());
    of_guards + budget::lines(state, &plain, width).len()
}

/// The readings by guard. A guard that refuses stands before those that do not, and one that can be measured now before
/// one that is only asked at an opening; otherwise they stay in the order in which they are asked, so that nothing moves
/// while a value does.
fn grouped(readings: &[GuardReading]) -> Vec<(Rule, Vec<&GuardReading>)> {
    let mut groups: Vec<(Rule, Vec<&GuardReading>)> = Vec::new();
    for reading in readings {
        match groups.iter_mut().find(|(rule, _)| *rule == reading.rule) {
            Some((_, group)) => group.push(reading),
            None => groups.push((reading.rule, vec![reading])),
        }
    }
    // The sort is stable.
    groups.sort_by_key(|(_, group)| {
        (!group.iter().any(|reading| reading.on && reading.refuses), !is_measured(group))
    });
    groups
}

/// Whether there is anything to tell between two cycles.
fn is_measured(group: &[&GuardReading]) -> bool {
    group.iter().any(|reading| !reading.value.is_empty() || reading.used.is_some())
}

/// Whether one row says it all.
fn is_alike(group: &[&GuardReading]) -> bool {
    let told = |reading: &GuardReading| (reading.value.clone(), reading.used, reading.on, reading.refuses);
    group.windows(2).all(|pair| matches!(pair, [one, other] if told(one) == told(other))) && group.len() > 1
}

fn lines(readings: &[GuardReading], style: Look<'_>, width: u16) -> Vec<Line<'static>> {
    let groups = grouped(readings);
    let (on, off): (Vec<_>, Vec<_>) =
        groups.into_iter().partition(|(_, group)| group.iter().any(|reading| reading.on));
    let mut lines = Vec::new();
    for (rule, group) in on {
        add_group(&mut lines, rule, &group, style, width);
    }
    if !off.is_empty() {
        let names: Vec<String> = off.iter().map(|(rule, _)| spoken(*rule)).collect();
        let muted = style(Meaning::Muted);
        let text = format!("off: {}", names.join(", "));
        let room = usize::from(width.saturating_sub(2));
        lines.extend(wrap(&text, room).into_iter().map(|line| Line::styled(format!(" {line}"), muted)));
    }
    lines
}

/// When a rule that has no reading of its own is measured.
const fn measured_at(rule: Rule) -> &'static str {
    match rule {
        Rule::MinimumHold => "measured at a close",
        _ => "measured at an opening",
    }
}

/// A guard: its limit, then how far each account is from it.
fn add_group(
    lines: &mut Vec<Line<'static>>,
    rule: Rule,
    group: &[&GuardReading],
    style: Look<'_>,
    width: u16,
) {
    let (title, muted) = (style(Meaning::Title), style(Meaning::Muted));
    let limit = group.first().map_or("", |reading| reading.limit.as_str());
    let common = group.iter().all(|reading| reading.limit == limit);
    let measured = is_measured(group);
    let mut words = if common { safe(limit, 400) } else { String::new() };
    if !measured {
        let refusing = group.iter().any(|reading| reading.refuses);
        let end = if refusing { "■ refuses" } else { measured_at(rule) };
        words = if words.is_empty() { end.to_owned() } else { format!("{words}; {end}") };
    }
    let room = usize::from(width).saturating_sub(NAME + 2).max(8);
    let wrapped = wrap(&words, room);
    let first = wrapped.first().cloned().unwrap_or_default();
    lines.push(Line::from(vec![
        Span::styled(format!(" {:<NAME$}", safe(&spoken(rule), NAME - 1)), title),
        Span::styled(first, muted),
    ]));
    for rest in wrapped.iter().skip(1) {
        lines.push(Line::styled(format!(" {:<NAME$}{rest}", ""), muted));
    }
    if measured {
        let fitted = Fitted::new(&ROW, width.saturating_sub(1), VALUE);
        let alike = common && is_alike(group);
        let rows = group.iter().take(if alike { 1 } else { group.len() });
        for reading in rows {
            let account = reading.account.as_ref().map_or("desk", |account| account.as_str());
            lines.extend(measured_rows(reading, if alike { "all" } else { account }, common, style, &fitted));
        }
    }
}

/// One account's reading; a value that is too long goes on below itself.
fn measured_rows(
    reading: &GuardReading,
    account: &str,
    common: bool,
    style: Look<'_>,
    fitted: &Fitted,
) -> Vec<Line<'static>> {
    let (text, muted) = (style(Meaning::Text), style(Meaning::Muted));
    let (word, meaning) = match (reading.on, reading.refuses) {
        (false, _) => ("off", Meaning::Muted),
        (true, true) => ("■ refuses", Meaning::Danger),
        (true, false) => ("allows", Meaning::Gain),
    };
    let value = match (reading.rule, reading.value.as_str()) {
        (_, "") => "–".to_owned(),
        // The rung of the ladder in the words of the ladder.
        (Rule::Halted, rung) => safe(&rung.replace('_', " "), 120),
        (_, value) => safe(value, 120),
    };
    let value = if common { value } else { format!("{value} of {}", safe(&reading.limit, 120)) };
    let parts = wrap(&value, fitted.width(VALUE).max(1));
    let rows = parts.into_iter().enumerate().map(|(place, part)| {
        let part = cell(part, if reading.on { text } else { muted });
        let mut line = if place == 0 {
            let account = cell(account.to_owned(), muted);
            fitted.row(&[Vec::new(), account, bar(reading, style), part, cell(word, style(meaning))])
        } else {
            fitted.row(&[Vec::new(), Vec::new(), Vec::new(), part, Vec::new()])
        };
        line.spans.insert(0, Span::raw(" "));
        line
    });
    rows.collect()
}

/// How much of its limit is used up; beyond it the bar ends in a mark.
fn bar(reading: &GuardReading, style: Look<'_>) -> Vec<Span<'static>> {
    let Some(used) = reading.used.filter(|used| used.is_finite() && reading.on) else {
        return cell("", style(Meaning::Track));
    };
    meter(used, style)
}

/// A share of a limit as a bar.
pub(super) fn meter(used: f64, style: Look<'_>) -> Vec<Span<'static>> {
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
        Span::styled(format!("{full}{over}"), style(meaning)),
        Span::styled("─".repeat(cells - filled), style(Meaning::Track)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(rule: Rule, refuses: bool) -> GuardReading {
        GuardReading {
            rule,
            account: None,
            on: true,
            limit: "a limit that is far too long to fit into one row of a narrow panel".into(),
            value: "3".into(),
            used: Some(0.5),
            refuses,
        }
    }

    #[test]
    fn what_refuses_comes_first_and_the_rest_keeps_its_order() {
        let readings = [
            (Rule::Drawdown, false),
            (Rule::Cooldown, false),
            (Rule::DailyLoss, true),
            (Rule::Cooldown, false),
        ];
        let readings = readings.map(|(rule, refuses)| reading(rule, refuses));
        let order: Vec<(Rule, usize)> =
            grouped(&readings).iter().map(|(rule, group)| (*rule, group.len())).collect();
        assert_eq!(order, [(Rule::DailyLoss, 1), (Rule::Drawdown, 1), (Rule::Cooldown, 2)]);
    }

    #[test]
    fn a_limit_is_never_cut() {
        let text: Vec<String> = lines(&[reading(Rule::Drawdown, false)], &|_| Style::new(), 50)
            .iter()
            .map(|line| line.spans.iter().map(|span| span.content.as_ref()).collect())
            .collect();
        assert!(text.len() > 2 && text.concat().contains("narrow"), "{text:?}");
        assert!(text.iter().all(|line| !line.contains('…') && line.chars().count() <= 50), "{text:?}");
    }

    #[test]
    fn a_value_is_never_cut() {
        let value = "alice 1.62 = BTC 0.40 + ETH 0.72 + SOL 0.50, as many times the equity";
        let reading = GuardReading { value: value.into(), ..reading(Rule::Drawdown, true) };
        let lines = lines(&[reading], &|_| Style::new(), 60);
        let text: Vec<String> =
            lines.iter().map(|line| line.spans.iter().map(|span| span.content.as_ref()).collect()).collect();
        let words: Vec<&str> = text.iter().flat_map(|line| line.split_whitespace()).collect();
        assert!(value.split(' ').all(|word| words.contains(&word)), "{text:?}");
        assert_eq!(words.iter().filter(|word| **word == "refuses").count(), 1, "{text:?}");
    }
}
