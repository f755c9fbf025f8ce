//! A question before something that moves money or ends the desk.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};
use rust_decimal::Decimal;

use super::super::format;
use super::super::state::{Confirm, Question, State};
use super::super::theme::{Meaning, Theme};
use super::framed;
use crate::domain::{AccountName, Direction, Mode, Quantity, Symbol, Usdt};

/// Taker fee of one side, a share of the notional (facts: fee schedule, 0.05 %).
const TAKER_FEE: Decimal = Decimal::from_parts(5, 0, 0, false, 4);

/// Draws the question over the screen.
pub fn draw(frame: &mut Frame<'_>, screen: Rect, confirm: &Confirm, state: &State, theme: &Theme) {
    let (title, mut lines) = match &confirm.question {
        Question::Close { account, symbol, direction, quantity } => {
            ("Close this position?", close(state, theme, account, symbol, *direction, *quantity))
        }
        Question::Trade => ("Trade again?", trade(state, theme)),
        Question::Quit => ("Leave?", quit(theme)),
    };
    lines.push(Line::default());
    lines.push(answer(confirm, theme));
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX);
    let area = screen
        .centered(Constraint::Length(58.min(screen.width)), Constraint::Length(height.min(screen.height)));
    let around = Rect { x: area.x.saturating_sub(1), width: area.width + 2, ..area }.intersection(screen);
    frame.render_widget(Clear, around);
    frame.buffer_mut().set_style(around, theme.style(Meaning::Text));
    let inner = framed(frame, area, state, theme, title, &Span::default(), true);
    frame.render_widget(Paragraph::new(lines), inner);
}

/// The question in one sentence, for a terminal too small for the box.
pub fn sentence(confirm: &Confirm) -> String {
    let what = match &confirm.question {
        Question::Close { account, symbol, direction, quantity } => {
            format!("Close {account} {symbol} {} {}?", direction.as_str(), format::quantity(*quantity))
        }
        Question::Trade => "Send orders again?".to_owned(),
        Question::Quit => "Leave the live desk?".to_owned(),
    };
    match &confirm.word {
        Some(word) => format!("{what} Type {word}: {}", confirm.typed),
        None => format!("{what} [y/N]"),
    }
}

fn answer(confirm: &Confirm, theme: &Theme) -> Line<'static> {
    let (text, key) = (theme.style(Meaning::Text), theme.style(Meaning::Key));
    match &confirm.word {
        Some(word) => Line::from(vec![
            Span::styled(" type ", text),
            Span::styled(word.clone(), key),
            Span::styled(" and enter: ", text),
            Span::styled(format!("{}▏", confirm.typed), key),
        ]),
        None => Line::from(vec![
            Span::styled(" y", key),
            Span::styled(" yes    ", text),
            Span::styled("any other key", key),
            Span::styled(" no    [y/N]", text),
        ]),
    }
}

fn field(theme: &Theme, name: &str, value: Span<'static>) -> Line<'static> {
    Line::from(vec![Span::styled(format!(" {name:<11}"), theme.style(Meaning::Muted)), value])
}

fn mode_field(state: &State, theme: &Theme) -> Line<'static> {
    let (word, meaning) = match state.mode() {
        Some(Mode::Live) => (" LIVE ▪ REAL MONEY ", Meaning::Live),
        Some(Mode::Testnet) => (" TESTNET ", Meaning::Testnet),
        Some(Mode::Paper) | None => (" PAPER ", Meaning::Paper),
    };
    let mut line = field(theme, "mode", Span::styled(word, theme.style(meaning)));
    if state.desk.as_ref().is_some_and(|desk| desk.dry_run) {
        line.push_span(Span::raw(" "));
        line.push_span(Span::styled(" DRY-RUN ", theme.style(Meaning::DryRun)));
    }
    line
}

fn close(
    state: &State,
    theme: &Theme,
    account: &AccountName,
    symbol: &Symbol,
    direction: Direction,
    quantity: Quantity,
) -> Vec<Line<'static>> {
    let text = theme.style(Meaning::Text);
    let title = theme.style(Meaning::Title);
    let positions = state.positions();
    let held = positions.iter().find(|(owner, held)| &owner.name == account && &held.symbol == symbol);
    let mut lines = vec![
        Line::default(),
        mode_field(state, theme),
        field(theme, "account", Span::styled(account.to_string(), title)),
        field(theme, "position", Span::styled(format!("{symbol} {}", direction.as_str()), title)),
        field(
            theme,
            "quantity",
            Span::styled(
                format!(
                    "{} {}, {} at market, reduce-only",
                    format::quantity(quantity),
                    symbol.coin(),
                    direction.closing_side().as_str()
                ),
                text,
            ),
        ),
    ];
    if let Some((_, held)) = held {
        let notional = state.mark_of(held).notional(quantity).value();
        let fee = Usdt::of(notional.checked_mul(TAKER_FEE).unwrap_or_default());
        let profit = state.live_profit(held);
        lines.push(field(
            theme,
            "notional",
            Span::styled(format!("{} USDT at the mark price", format::grouped(notional, 2)), text),
        ));
        lines.push(field(
            theme,
            "fee",
            Span::styled(format!("about {} USDT (taker 0.05 %)", format::usdt(fee)), text),
        ));
        lines.push(field(
            theme,
            "open PnL",
            Span::styled(
                format!("{} USDT before the fee", format::signed_usdt(profit)),
                theme.style(if profit < Usdt::ZERO { Meaning::Loss } else { Meaning::Gain }),
            ),
        ));
    }
    lines.push(field(theme, "stop", Span::styled("is removed after the close", text)));
    lines
}

fn trade(state: &State, theme: &Theme) -> Vec<Line<'static>> {
    let text = theme.style(Meaning::Text);
    vec![
        Line::default(),
        mode_field(state, theme),
        Line::styled(" Dry-run ends: from the next cycle on, orders are sent.", text),
    ]
}

fn quit(theme: &Theme) -> Vec<Line<'static>> {
    let text = theme.style(Meaning::Text);
    vec![
        Line::default(),
        Line::styled(" This ends the live desk: no cycle runs until it is", text),
        Line::styled(" started again. Stops stay at the exchange.", text),
    ]
}
