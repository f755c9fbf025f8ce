//! What was earned, what it cost, and what is left.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use ratatui::widgets::canvas::{Canvas, Line as Stroke};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use unicode_width::UnicodeWidthStr;

use super::super::format;
use super::super::layout;
use super::super::screens::money::Period;
use super::super::state::State;
use super::super::theme::{Meaning, Theme};
use super::columns::{Column, Fitted, cell};
use super::{framed, mark_part, page, placeholder};
use crate::domain::{AccountName, MoneyPage, MoneyRow, Timestamp};

/// The place of the first cost among the columns, and of all costs in one.
const COMMISSION: usize = 2;
const COSTS: usize = 5;

/// From this width on the curves stand beside the tables.
const BESIDE: u16 = 112;

/// Columns the tables have at least beside the curves: every figure, so that no narrower terminal shows more of them.
const TABLES: u16 = 72;

/// Rows of the curves where they are a line for each account.
const LINES: u16 = 5;

/// Where the tables and the curves lie.
fn places(area: Rect) -> (Rect, Rect) {
    let [tables, curves] = if area.width >= BESIDE {
        let width = (area.width * 52 / 100).max(TABLES);
        Layout::horizontal([Constraint::Length(width), Constraint::Fill(1)]).areas(area)
    } else {
        // Where there is no room for curves, every account still has a line of its own.
        let rows = if area.height > 20 { area.height * 2 / 5 } else { LINES };
        Layout::vertical([Constraint::Fill(1), Constraint::Length(rows)]).areas(area)
    };
    (tables, curves)
}

/// How many rows the tables have, and how many are in sight.
pub fn extent(state: &State) -> (usize, usize) {
    let (tables, _) = places(layout::body(state));
    let count = state.money.page.page.as_ref().map_or(0, |page| rows(page, state).len());
    (count, usize::from(tables.height.saturating_sub(4)))
}

/// Draws the screen.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let (tables, curves) = places(area);
    let asked = &state.money.page;
    let inner = framed(frame, tables, state, theme, "Money", &page::age(asked, state, theme), true);
    frame.render_widget(periods(state, theme, inner.width), Rect { height: 1, ..inner });
    let body = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    if let (false, Some(page)) = (page::awaited(frame, body, asked, state, theme), &asked.page) {
        draw_tables(frame, tables, body, page, state, theme);
    }
    if curves.height > 3 && curves.width > 20 {
        draw_curves(frame, curves, asked.page.as_ref(), state, theme);
    }
}

/// The periods to choose from, and what the net beside the curves leaves out.
fn periods(state: &State, theme: &Theme, width: u16) -> Line<'static> {
    let mut line = Line::styled(" ← → ", theme.style(Meaning::Key));
    for period in Period::ALL {
        let here = period == state.money.period;
        let style = theme.style(if here { Meaning::Focus } else { Meaning::Muted });
        let title = period.title();
        line.push_span(Span::styled(if here { format!("[{title}]") } else { format!(" {title} ") }, style));
    }
    let room = usize::from(width).saturating_sub(line.width() + 1);
    if let Some(said) = NET.iter().find(|said| said.len() < room) {
        line.push_span(Span::styled(format!("{said:>room$}"), theme.style(Meaning::Muted)));
    }
    line
}

/// What the net is without, in as many words as there is room for.
const NET: [&str; 2] = ["net is of what was closed, without open PnL", "net without open PnL"];

/// One row of the tables.
enum Row<'a> {
    Title(&'static str),
    Other(&'a str, Decimal),
    Note(&'static str),
    Figures(&'a str, &'a MoneyRow, bool),
}

/// All tables as one list: the total first.
fn rows<'a>(page: &'a MoneyPage, state: &State) -> Vec<Row<'a>> {
    let paid = paid(state);
    // Days are counted as the guards and the exchange count them.
    let other_days = state.zone.local_minus_utc() != 0;
    let mut rows = vec![Row::Figures("all", &page.total, true)];
    let tables = [
        ("by account", &page.accounts, false),
        ("by coin", &page.coins, false),
        (if other_days { "by day of UTC" } else { "by day" }, &page.days, true),
    ];
    for (title, table, model) in tables {
        if !table.is_empty() {
            rows.push(Row::Title(title));
            rows.extend(table.iter().map(|row| Row::Figures(row.label.as_str(), row, model)));
        }
    }
    if !page.other_assets.is_empty() {
        rows.push(Row::Title("in other assets, in no row above"));
        rows.extend(page.other_assets.iter().map(|(asset, sum)| Row::Other(asset, *sum)));
    }
    rows.push(Row::Note(""));
    rows.extend(if paid { &NOTES[..1] } else { &NOTES[..] }.iter().copied().map(Row::Note));
    rows
}

/// What the figures leave out; the second where no model was paid.
const NOTES: [&str; 2] =
    ["net leaves open PnL out; the equity holds it", "(…) what a model would have cost; not paid, in no net"];

fn draw_tables(
    frame: &mut Frame<'_>,
    around: Rect,
    area: Rect,
    page: &MoneyPage,
    state: &State,
    theme: &Theme,
) {
    let paid = paid(state);
    let rows = rows(page, state);
    let fitted = fit(&rows, paid, area.width.saturating_sub(1));
    let room = usize::from(area.height.saturating_sub(1));
    let top = state.money.top.min(rows.len().saturating_sub(room));
    let mut lines = vec![indented(fitted.titles(theme.style(Meaning::Muted)))];
    for row in rows.iter().skip(top).take(room) {
        lines.push(indented(match row {
            Row::Title(title) => Line::styled(*title, theme.style(Meaning::Title)),
            Row::Note(text) => Line::styled(*text, theme.style(Meaning::Muted)),
            Row::Other(asset, sum) => Line::from(vec![
                Span::styled(
                    format!("{:<10} ", super::super::update::safe(asset, 10)),
                    theme.style(Meaning::Text),
                ),
                Span::styled(sum.normalize().to_string(), gain(*sum, theme)),
            ]),
            Row::Figures(label, row, model) => figures(label, row, model.then_some(paid), theme, &fitted),
        }));
    }
    frame.render_widget(Paragraph::new(lines), area);
    mark_part(frame, around, theme, top, room, rows.len());
}

fn indented(mut line: Line<'static>) -> Line<'static> {
    line.spans.insert(0, Span::raw(" "));
    line
}

/// The figures of a row; `paid` says whether its model's cost was paid, where it has one.
fn figures(label: &str, row: &MoneyRow, paid: Option<bool>, theme: &Theme, fitted: &Fitted) -> Line<'static> {
    let muted = theme.style(Meaning::Muted);
    let money = |value: Decimal| cell(amount(value), gain(value, theme));
    let sums = Sums::of(row, paid);
    let cost = if paid == Some(true) { gain(-row.model_cost, theme) } else { muted };
    fitted.row(&[
        cell(short(label).to_owned(), theme.style(Meaning::Text)),
        money(row.gross),
        money(row.commission),
        money(row.funding),
        cell(sums.model, cost),
        money(sums.costs),
        money(sums.net),
        cell(row.trades.to_string(), muted),
    ])
}

/// A coin without what it is paid in.
fn short(label: &str) -> &str {
    label.strip_suffix("USDT").filter(|coin| !coin.is_empty()).unwrap_or(label)
}

/// What has to be added up before it is shown.
struct Sums {
    /// The model's cost as it is written.
    model: String,
    /// All costs together.
    costs: Decimal,
    net: Decimal,
}

impl Sums {
    fn of(row: &MoneyRow, paid: Option<bool>) -> Self {
        let mark = if row.is_estimate { "≈" } else { "" };
        let costs = row.commission + row.funding;
        match paid {
            // Like every cost in these columns it stands with its minus: gross, costs and net add up across.
            Some(true) => Self {
                model: format!("{mark}{}", amount(-row.model_cost)),
                costs: costs - row.model_cost,
                net: row.net(),
            },
            Some(false) => Self {
                model: format!("({})", format::grouped(row.model_cost, 2)),
                costs,
                net: row.net() + row.model_cost,
            },
            None => Self { model: String::new(), costs, net: row.net() },
        }
    }
}

/// Whether a model is paid for. Where nobody was, what one would have cost is no money spent, and in no net.
fn paid(state: &State) -> bool {
    state.desk.as_ref().is_none_or(|desk| !desk.facts.built_in_analyst)
}

/// The columns that fit. What adds up to the net stays together: where its parts have no room beside each other, all
/// costs are one column.
fn fit(rows: &[Row<'_>], paid: bool, width: u16) -> Fitted {
    let widest = |least: usize, figure: fn(&MoneyRow, Option<bool>) -> String| {
        let figures = rows.iter().filter_map(|row| match row {
            Row::Figures(_, row, model) => Some(figure(row, model.then_some(paid)).width()),
            _ => None,
        });
        u16::try_from(figures.max().unwrap_or(0).max(least)).unwrap_or(u16::MAX)
    };
    let columns = [
        Column::left("", 10, 0),
        Column::right("gross", widest(9, |row, _| amount(row.gross)), 0),
        Column::right("commission", widest(10, |row, _| amount(row.commission)), 0),
        Column::right("funding", widest(7, |row, _| amount(row.funding)), 0),
        if paid {
            Column::right("model $", widest(7, |row, paid| Sums::of(row, paid).model), 0)
        } else {
            Column::right("model est.", widest(10, |row, paid| Sums::of(row, paid).model), 3)
        },
        Column::right("costs", widest(9, |row, paid| amount(Sums::of(row, paid).costs)), 0),
        Column::right("net", widest(9, |row, paid| amount(Sums::of(row, paid).net)), 0),
        Column::right("trades", 6, 2),
    ];
    let parts = Fitted::some(&columns, |index| index != COSTS, width, 0);
    if parts.fits(width) {
        return parts;
    }
    Fitted::some(&columns, |index| !(COMMISSION..COSTS).contains(&index), width, 0)
}

fn amount(value: Decimal) -> String {
    format::signed_usdt(crate::domain::Usdt::of(value))
}

fn gain(value: Decimal, theme: &Theme) -> Style {
    match value.round_dp(2) {
        value if value > Decimal::ZERO => theme.style(Meaning::Gain),
        value if value < Decimal::ZERO => theme.style(Meaning::Loss),
        _ => theme.style(Meaning::Muted),
    }
}

/// The equity of every account over time, each on a scale of its own.
fn draw_curves(frame: &mut Frame<'_>, area: Rect, page: Option<&MoneyPage>, state: &State, theme: &Theme) {
    let note = Span::styled("each on its own scale", theme.style(Meaning::Muted));
    let inner = framed(frame, area, state, theme, "Equity", &note, false);
    let curves: Vec<_> = page
        .map_or(&[][..], |page| &page.equity)
        .iter()
        .filter(|(_, points)| points.len() > 1)
        .map(|(name, points)| (name, to_the_present(name, points, state)))
        .collect();
    if curves.is_empty() {
        placeholder(frame, inner, theme, &["Curves appear here once the accounts were read a few times."]);
        return;
    }
    let room = usize::from(inner.height);
    if room < 3 * curves.len() {
        let first = first_line(state, curves.len().saturating_sub(room));
        let lines = curves.iter().skip(first).take(room);
        let lines: Vec<Line<'_>> =
            lines.map(|(name, points)| in_a_line(name, points, inner.width, theme)).collect();
        frame.render_widget(Paragraph::new(lines), inner);
        mark_part(frame, area, theme, first, room, curves.len());
        return;
    }
    let count = u32::try_from(curves.len()).unwrap_or(1);
    let areas = Layout::vertical(curves.iter().map(|_| Constraint::Ratio(1, count))).split(inner);
    for ((name, points), area) in curves.iter().zip(areas.iter()) {
        draw_curve(frame, *area, name, points, state, theme);
    }
}

/// A curve that ends with what the account is worth now: it was written down some time ago, and the rest of the console
/// counts on.
fn to_the_present(
    name: &AccountName,
    points: &[(Timestamp, Decimal)],
    state: &State,
) -> Vec<(Timestamp, Decimal)> {
    let mut points = points.to_vec();
    let accounts = state.desk.iter().flat_map(|desk| &desk.accounts);
    let known = accounts.into_iter().find(|account| &account.name == name && account.trouble.is_none());
    if let Some((account, now)) = known.zip(state.market_time()) {
        let worth = (account.wallet + state.account_profit(account)).value();
        match points.last_mut() {
            Some((at, value)) if now <= *at => *value = worth,
            _ => points.push((now, worth)),
        }
    }
    points
}

/// The first account in sight where not all have a line: the accounts move with the tables, and are at their end with them.
fn first_line(state: &State, hidden: usize) -> usize {
    let (count, rows) = extent(state);
    let last = count.saturating_sub(rows);
    (state.money.top.min(last) * hidden).checked_div(last).unwrap_or(0)
}

/// An account's equity where there is one row for it.
fn in_a_line(
    name: &AccountName,
    points: &[(Timestamp, Decimal)],
    width: u16,
    theme: &Theme,
) -> Line<'static> {
    let worth = points.last().map_or(Decimal::ZERO, |(_, value)| *value);
    let change = worth - points.first().map_or(worth, |(_, value)| *value);
    let head =
        format!(" {:<10} {:>10} ", super::super::update::safe(name.as_str(), 10), format::grouped(worth, 2));
    let moved = format!("{:>9} ", amount(change));
    let columns = usize::from(width).saturating_sub(head.chars().count() + moved.len() + 1);
    let last = points.len().saturating_sub(1);
    let place = |column: usize| column * last / columns.saturating_sub(1).max(1);
    let spread: Vec<f64> = (0..columns).filter_map(|column| points.get(place(column))?.1.to_f64()).collect();
    Line::from(vec![
        Span::styled(head, theme.style(Meaning::Text)),
        Span::styled(moved, gain(change, theme)),
        Span::styled(super::market::sparkline(&spread, columns), theme.style(Meaning::Muted)),
    ])
}

fn draw_curve(
    frame: &mut Frame<'_>,
    area: Rect,
    name: &AccountName,
    points: &[(Timestamp, Decimal)],
    state: &State,
    theme: &Theme,
) {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return };
    if area.height < 3 {
        return;
    }
    let change = last.1 - first.1;
    let low = points.iter().map(|(_, value)| *value).min().unwrap_or_default();
    let high = points.iter().map(|(_, value)| *value).max().unwrap_or_default();
    let head = Line::from(vec![
        Span::styled(format!(" {name} "), theme.style(Meaning::Title)),
        Span::styled(format::grouped(last.1, 2), theme.style(Meaning::Text)),
        Span::styled(format!(" {}", amount(change)), gain(change, theme)),
        Span::styled(
            format!("  {} to {}", format::grouped(low, 2), format::grouped(high, 2)),
            theme.style(Meaning::Muted),
        ),
    ]);
    frame.render_widget(head, Rect { height: 1, ..area });
    let span = |at: Timestamp| (at - first.0).num_seconds().to_f64().unwrap_or(0.0);
    let plot: Vec<(f64, f64)> =
        points.iter().filter_map(|(at, value)| Some((span(*at), value.to_f64()?))).collect();
    let (low, high) = (low.to_f64().unwrap_or(0.0), high.to_f64().unwrap_or(0.0));
    let margin = ((high - low) * 0.05).max(high.abs() * 1e-6).max(1e-9);
    let style = gain(change, theme).fg.or(theme.style(Meaning::Text).fg).unwrap_or_default();
    let canvas = Canvas::default()
        .marker(Marker::Braille)
        .background_color(theme.style(Meaning::Text).bg.unwrap_or_default())
        .x_bounds([0.0, span(last.0).max(1.0)])
        .y_bounds([low - margin, high + margin])
        .paint(move |context| {
            for pair in plot.windows(2) {
                if let [(x1, y1), (x2, y2)] = *pair {
                    context.draw(&Stroke { x1, y1, x2, y2, color: style });
                }
            }
        });
    let body = Rect {
        x: area.x + 1,
        y: area.y + 1,
        width: area.width.saturating_sub(2),
        height: area.height.saturating_sub(2),
    };
    frame.render_widget(canvas, body);
    let times = Rect { y: area.bottom() - 1, height: 1, ..body };
    let muted = theme.style(Meaning::Muted);
    frame.render_widget(Line::styled(state.clock(first.0, "%d %b %H:%M"), muted), times);
    frame.render_widget(Line::styled(state.clock(last.0, "%d %b %H:%M"), muted).right_aligned(), times);
}
