//! A line to be typed: a note, a price, a pause, a filter.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use rust_decimal::Decimal;

use super::super::asking::stop_price;
use super::super::format;
use super::super::state::{Entry, Purpose, State};
use super::super::theme::{Meaning, Theme};
use super::super::wrap::wrap;
use super::boxed;
use crate::domain::{AccountName, Symbol};

/// Draws the line over the screen; a filter stands on the row of the keys, because the list above follows it.
pub fn draw(frame: &mut Frame<'_>, screen: Rect, footer: Rect, entry: &Entry, state: &State, theme: &Theme) {
    if matches!(entry.purpose, Purpose::Filter { .. }) {
        let line = Line::from(vec![
            Span::styled(" / ", theme.style(Meaning::Key)),
            Span::styled(entry.marked(), theme.style(Meaning::Text)),
            Span::styled("  enter keeps, esc goes back", theme.style(Meaning::Muted)),
        ]);
        frame.render_widget(ratatui::widgets::Clear, footer);
        frame.buffer_mut().set_style(footer, theme.style(Meaning::Text));
        frame.render_widget(line, footer);
        return;
    }
    let width = 66.min(screen.width);
    let columns = usize::from(width.saturating_sub(4));
    let (title, words) = match &entry.purpose {
        Purpose::Note => (
            "Note to the model".to_owned(),
            vec![(
                Meaning::Muted,
                "It reads this once, in the next cycle. It is a wish, never an order: guards and limits stand. \
                 An empty line takes a waiting note back."
                    .to_owned(),
            )],
        ),
        Purpose::Stop { account, symbol } => {
            (format!("Move the stop of {account} {}", symbol.coin()), stop(state, account, symbol, entry))
        }
        Purpose::Pause(scope) => (
            format!("Pause {scope}"),
            vec![(
                Meaning::Muted,
                "Nothing is opened for so long; closing stays possible. How long, then why: 4h rate decision".to_owned(),
            )],
        ),
        Purpose::Filter { .. } => (String::new(), Vec::new()),
    };
    let mut lines = vec![Line::default()];
    for (meaning, text) in words {
        lines.extend(
            wrap(&text, columns)
                .into_iter()
                .map(|line| Line::styled(format!(" {line}"), theme.style(meaning))),
        );
    }
    lines.push(Line::default());
    let shown = wrap(&entry.marked(), columns.saturating_sub(2));
    for (index, line) in shown.iter().skip(shown.len().saturating_sub(5)).enumerate() {
        let head = if index == 0 { " > " } else { "   " };
        lines.push(Line::from(vec![
            Span::styled(head, theme.style(Meaning::Key)),
            Span::styled(line.clone(), theme.style(Meaning::Text)),
        ]));
    }
    if let Some(trouble) = &entry.trouble {
        lines.push(Line::styled(format!(" ▲ {trouble}"), theme.style(Meaning::Warn)));
    }
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(screen.height);
    let area = screen.centered(Constraint::Length(width), Constraint::Length(height));
    let inner = boxed(frame, area, state, theme, &title, "enter goes on, esc leaves");
    frame.render_widget(Paragraph::new(lines), inner);
}

/// What a stop at the typed price would mean.
fn stop(state: &State, account: &AccountName, symbol: &Symbol, entry: &Entry) -> Vec<(Meaning, String)> {
    let typed = entry.typed.as_str();
    let positions = state.positions();
    let held = positions.iter().find(|(owner, held)| &owner.name == account && &held.symbol == symbol);
    let Some((_, held)) = held else { return vec![(Meaning::Warn, "the position is gone".to_owned())] };
    let mark = state.mark_of(held);
    let now = held.stop.as_ref().map_or_else(|| "■ none".to_owned(), |stop| format::price(stop.trigger));
    let mut lines = vec![(
        Meaning::Text,
        format!(
            "{} {} from {}, mark {}, stop now {now}",
            held.direction.as_str(),
            format::quantity(held.quantity),
            format::price(held.entry),
            format::price(mark)
        ),
    )];
    match stop_price(state, account, symbol, typed) {
        Ok((_, trigger)) => {
            let distance = (trigger.value() - mark.value())
                .checked_div(mark.value())
                .and_then(|share| share.checked_mul(Decimal::ONE_HUNDRED))
                .unwrap_or_default();
            let result = held.unrealised_at(trigger);
            lines.push((
                Meaning::Text,
                format!(
                    "at {}: {} from the mark, {} USDT from entry before fees",
                    format::exact_price(trigger),
                    format::signed_percent(distance),
                    format::signed_usdt(result)
                ),
            ));
        }
        // Once it was refused, the reason stands below what was typed.
        Err(_) if entry.trouble.is_some() => {}
        Err(why) if !typed.trim().is_empty() => lines.push((Meaning::Muted, why)),
        Err(_) => lines.push((Meaning::Muted, "the new price that triggers it".to_owned())),
    }
    lines
}
