//! The accounts with their positions, valued at the latest marks.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use rust_decimal::Decimal;
use unicode_width::UnicodeWidthStr;

use super::super::format;
use super::super::state::{Panel, State};
use super::super::theme::{Meaning, Theme};
use super::super::update::safe;
use super::columns::{Column, Fitted, cell};
use super::{framed, mark_part, placeholder, window};
use crate::domain::untrusted::truncate_columns;
use crate::domain::{AccountState, Mode, Position, Usdt};

const COIN: usize = 1;
const PROFIT: usize = 6;
const PERCENT: usize = 7;

/// What an account's first figure is, where there is room to say so.
const LABEL: &str = "equity ";

/// Rank says which goes first when room is short: what an operator acts on stays.
const COLUMNS: [Column; 11] = [
    Column::left("", 1, 0),
    Column::left("coin", 5, 0),
    Column::left("side", 5, 0),
    Column::right("quantity", 9, 3),
    Column::right("entry", 9, 2),
    Column::right("mark", 9, 1),
    Column::right("PnL", 9, 0),
    Column::right("PnL %", 7, 0),
    Column::right("stop", 9, 0),
    Column::right("held", 6, 4),
    Column::right("notional", 10, 5),
];

/// Draws the panel.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let Some(desk) = &state.desk else { return };
    let focused = state.focus == Panel::Accounts;
    let equity: Usdt =
        desk.accounts.iter().map(|account| account.wallet + state.account_profit(account)).sum();
    let note = Span::styled(format!("equity {} USDT", format::usdt(equity)), theme.style(Meaning::Muted));
    let inner = framed(frame, area, state, theme, Panel::Accounts.title(), &note, focused);
    if desk.accounts.is_empty() {
        placeholder(
            frame,
            inner,
            theme,
            &["No account is switched on. Accounts come from the settings file."],
        );
        return;
    }
    let fitted = Fitted::new(&COLUMNS, inner.width, COIN);
    let (lines, chosen) = rows(state, theme, &fitted, inner.width);
    let room = usize::from(inner.height.saturating_sub(1));
    let count = lines.len();
    let first = window(chosen, count, room);
    let titles = fitted.titles(theme.style(Meaning::Muted));
    let shown = std::iter::once(titles).chain(lines.into_iter().skip(first).take(room));
    frame.render_widget(Paragraph::new(shown.collect::<Vec<_>>()), inner);
    mark_part(frame, area, theme, first, room, count);
}

/// The position whose row stands on a row of the screen, by its place in the list of all.
pub fn position_at(state: &State, area: Rect, row: u16) -> Option<usize> {
    let mut lines = Vec::new();
    let mut count = 0;
    for account in state.desk.iter().flat_map(|desk| &desk.accounts) {
        lines.push(None);
        for _ in &account.positions {
            lines.push(Some(count));
            count += 1;
        }
    }
    let selected = state.selected_position().map(|(index, ..)| index);
    let chosen = lines.iter().position(|line| line.is_some() && *line == selected).unwrap_or(0);
    let room = usize::from(area.height.saturating_sub(3));
    let place = usize::from(row.checked_sub(area.y + 2)?);
    let first = window(chosen, lines.len(), room);
    lines.get(first + place).copied().flatten().filter(|_| place < room)
}

/// All rows, and the place of the selected one among them.
fn rows(state: &State, theme: &Theme, fitted: &Fitted, width: u16) -> (Vec<Line<'static>>, usize) {
    let selected = state.selected_position().map(|(index, ..)| index);
    let mut lines = Vec::new();
    let (mut chosen, mut count) = (0, 0);
    for account in state.desk.iter().flat_map(|desk| &desk.accounts) {
        lines.push(summary(state, theme, fitted, account, width));
        for position in &account.positions {
            let here = selected == Some(count);
            if here {
                chosen = lines.len();
            }
            lines.push(position_row(state, theme, fitted, position, here));
            count += 1;
        }
    }
    (lines, chosen)
}

/// An account's own row: name, equity, profit and loss under the positions' own, what is free; or what is wrong with it.
fn summary(
    state: &State,
    theme: &Theme,
    fitted: &Fitted,
    account: &AccountState,
    width: u16,
) -> Line<'static> {
    let muted = theme.style(Meaning::Muted);
    let title = theme.style(Meaning::Title);
    let name = account.name.as_str();
    if let Some(trouble) = &account.trouble {
        let text = safe(trouble, usize::from(width).saturating_sub(name.len() + 4));
        return Line::from(vec![
            Span::styled(format!(" {name} "), title),
            Span::styled(format!("■ {text}"), theme.style(Meaning::Danger)),
        ]);
    }
    let profit = state.account_profit(account);
    let style = gain(profit.value(), theme);
    let equity = format::usdt(account.wallet + profit);
    let before = fitted.offset(PROFIT).saturating_sub(equity.len() + 2);
    let (words, mark, look) = armed(state, account);
    let name = truncate_columns(name, before.saturating_sub(1));
    let armed = [words, mark].into_iter().find(|text| before > name.width() + text.width() + 1).unwrap_or("");
    let rest = before.saturating_sub(name.width() + if armed.is_empty() { 0 } else { armed.width() + 1 });
    let label = if rest > LABEL.len() { LABEL } else { "" };
    let rest = rest - label.len();
    let percent = percent_of(profit.value(), account.wallet.value());
    let mut spans = vec![Span::styled(format!(" {name}"), title)];
    if !armed.is_empty() {
        spans.push(Span::styled(format!(" {armed}"), theme.style(look)));
    }
    spans.extend([
        Span::styled(format!("{:rest$}{label}", ""), muted),
        Span::styled(format!("{equity} "), title),
        Span::styled(format!("{:>1$} ", format::signed_usdt(profit), fitted.width(PROFIT)), style),
        Span::styled(format!("{percent:>0$}", fitted.width(PERCENT)), style),
    ]);
    let open = match account.positions.len() {
        0 => "flat".to_owned(),
        count => format!("{count} open"),
    };
    let more =
        [format!("  {open}, {}x", account.leverage), format!(", {} free", format::usdt(account.available))];
    let mut used: usize = spans.iter().map(Span::width).sum();
    for text in more {
        used += text.chars().count();
        if used > usize::from(width) {
            break;
        }
        spans.push(Span::styled(text, muted));
    }
    Line::from(spans)
}

/// Whether orders with real money leave for an account: in words, and in a mark where words have no room.
fn armed(state: &State, account: &AccountState) -> (&'static str, &'static str, Meaning) {
    match state.mode() {
        Some(Mode::Live) if state.is_armed(&account.name) => ("▲ armed", "▲", Meaning::Warn),
        Some(Mode::Live) => ("not armed", "", Meaning::Muted),
        _ => ("", "", Meaning::Muted),
    }
}

fn position_row(
    state: &State,
    theme: &Theme,
    fitted: &Fitted,
    position: &Position,
    selected: bool,
) -> Line<'static> {
    let text = theme.style(Meaning::Text);
    let muted = theme.style(Meaning::Muted);
    let mark = state.mark_of(position);
    let profit = state.live_profit(position);
    let worth = position.entry.notional(position.quantity);
    let stop = match &position.stop {
        Some(stop) => cell(format::price(stop.trigger), text),
        None => cell("■ NO STOP", theme.style(Meaning::Danger)),
    };
    let held = match (position.opened_at, state.market_time()) {
        (Some(opened), Some(now)) => format::held((now - opened).num_seconds()),
        _ => "?".to_owned(),
    };
    let side = if position.direction.as_str() == "LONG" { Meaning::Gain } else { Meaning::Loss };
    let line = fitted.row(&[
        // The one position that x and s act on stays marked while another panel has the focus.
        cell(
            match (selected, state.focus == Panel::Accounts) {
                (true, true) => "▸",
                (true, false) => "▹",
                (false, _) => " ",
            },
            theme.style(Meaning::Focus),
        ),
        cell(position.symbol.coin().to_owned(), text),
        cell(position.direction.as_str(), theme.style(side)),
        cell(format::quantity(position.quantity), text),
        cell(format::price(position.entry), muted),
        cell(format::price(mark), text),
        cell(format::signed_usdt(profit), gain(profit.value(), theme)),
        cell(percent_of(profit.value(), worth.value()), gain(profit.value(), theme)),
        stop,
        cell(held, muted),
        cell(format::grouped(mark.notional(position.quantity).value(), 2), muted),
    ]);
    if selected && state.focus == Panel::Accounts { highlighted(line, theme) } else { line }
}

/// A selected row: its ground changes, what its colours mean stays where it can be read.
pub fn highlighted(line: Line<'static>, theme: &Theme) -> Line<'static> {
    let selection = theme.style(Meaning::Selection);
    let ground = theme.style(Meaning::Text).bg;
    let spans = line.spans.into_iter().map(|span| {
        // Words on a ground of their own are read on that.
        let has_own_ground = span.style.bg.is_some() && span.style.bg != ground;
        let style = if has_own_ground {
            span.style
        } else if selection.bg.is_some() && selection.fg.is_some() && !span.content.trim().is_empty() {
            span.style.patch(Style { fg: None, ..selection })
        } else {
            span.style.patch(selection)
        };
        Span::styled(span.content, style)
    });
    Line::from(spans.collect::<Vec<_>>())
}

/// How a gain, a loss or nothing looks.
fn gain(value: Decimal, theme: &Theme) -> Style {
    match value.round_dp(2) {
        value if value > Decimal::ZERO => theme.style(Meaning::Gain),
        value if value < Decimal::ZERO => theme.style(Meaning::Loss),
        _ => theme.style(Meaning::Muted),
    }
}

/// A part of a whole in percent points; nothing when there is no whole.
fn percent_of(part: Decimal, whole: Decimal) -> String {
    part.checked_div(whole)
        .and_then(|share| share.checked_mul(Decimal::ONE_HUNDRED))
        .map_or_else(|| "–".to_owned(), format::signed_percent)
}
