//! The coins in a table, with what moves them beside it.

use chrono::Timelike;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use rust_decimal::prelude::ToPrimitive;

use super::super::format;
use super::super::layout;
use super::super::state::State;
use super::super::theme::{Meaning, Theme};
use super::super::wrap::wrap;
use super::accounts::highlighted;
use super::columns::{Column, Fitted, cell};
use super::{framed, mark_part, page, placeholder, window};
use crate::domain::{MarketCoin, MarketPage, Price, Timestamp};

const SPARK: usize = 4;

/// Hours a sparkline spans: so long is the change beside it.
const HOURS: usize = 24;

/// Rows of what moves the market that are always left to it, where there is room for any.
const LEAST_NEWS: u16 = 5;

/// Rank says which goes first when room is short.
const COLUMNS: [Column; 13] = [
    Column::left("", 1, 0),
    Column::left("coin", 5, 0),
    Column::right("price", 9, 0),
    Column::right("24 h", 7, 0),
    Column::left("last 24 h", 8, 2),
    Column::right("RSI", 4, 0),
    Column::right("MACD", 8, 1),
    Column::right("ADX", 3, 3),
    Column::right("ATR %", 5, 4),
    Column::right("funding", 8, 1),
    Column::right("OI 24 h", 7, 5),
    Column::right("corr", 5, 6),
    Column::right("beta", 5, 7),
];

/// What a sparkline is drawn with. No block fills its cell: full ones of two rows would grow together.
const LEVELS: [char; 7] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇'];

/// Draws the screen, or the chart over it.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    if let Some(chart) = &state.market.chart {
        super::chart::draw(frame, area, chart, state, theme);
        return;
    }
    let asked = &state.market.page;
    let Some(page) = &asked.page else {
        let inner = framed(frame, area, state, theme, "Market", &page::age(asked, state, theme), true);
        page::awaited(frame, inner, asked, state, theme);
        return;
    };
    let [table, news] = places(area, page, state);
    draw_table(frame, table, page, state, theme);
    if news.height > 2 {
        draw_news(frame, news, page, state, theme);
    }
}

/// The places of the table and of what moves it: side by side, or the one in focus the larger.
fn places(area: Rect, page: &MarketPage, state: &State) -> [Rect; 2] {
    if area.width >= 170 {
        return Layout::horizontal([Constraint::Percentage(58), Constraint::Fill(1)]).areas(area);
    }
    let wanted = u16::try_from(page.coins.len() + 3).unwrap_or(u16::MAX);
    let most = if state.market.reading { area.height / 3 } else { area.height.saturating_sub(LEAST_NEWS) };
    Layout::vertical([Constraint::Length(wanted.min(most.max(5))), Constraint::Fill(1)]).areas(area)
}

/// How many lines tell what moves the market, and how many rows there are for them.
pub fn extent(state: &State) -> (usize, usize) {
    let Some(page) = &state.market.page.page else { return (0, 0) };
    let [_, place] = places(layout::body(state), page, state);
    let look = |_| Style::new();
    (
        news(page, state, &look, place.width.saturating_sub(2)).len(),
        usize::from(place.height.saturating_sub(2)),
    )
}

/// The coin whose row stands on a row of the screen.
pub fn coin_at(state: &State, row: u16) -> Option<usize> {
    let page = state.market.page.page.as_ref()?;
    let [table, _] = places(layout::body(state), page, state);
    let room = usize::from(table.height.saturating_sub(3));
    let place = usize::from(row.checked_sub(table.y + 2)?);
    let first = window(state.market.selected.min(page.coins.len().checked_sub(1)?), page.coins.len(), room);
    (place < room && first + place < page.coins.len()).then_some(first + place)
}

/// Whether a row of the screen belongs to what moves the market.
pub fn is_news(state: &State, column: u16, row: u16) -> bool {
    let page = state.market.page.page.as_ref();
    page.is_some_and(|page| places(layout::body(state), page, state)[1].contains((column, row).into()))
}

fn draw_table(frame: &mut Frame<'_>, area: Rect, page: &MarketPage, state: &State, theme: &Theme) {
    let note = page::age(&state.market.page, state, theme);
    let inner = framed(frame, area, state, theme, "Market", &note, !state.market.reading);
    if page.coins.is_empty() {
        placeholder(
            frame,
            inner,
            theme,
            &["The market is seen through the brief of a cycle; none has run yet."],
        );
        return;
    }
    let fitted = Fitted::new(&COLUMNS, inner.width, SPARK);
    let selected = state.market.selected.min(page.coins.len() - 1);
    let room = usize::from(inner.height.saturating_sub(1));
    let first = window(selected, page.coins.len(), room);
    let mut lines = vec![fitted.titles(theme.style(Meaning::Muted))];
    for (index, coin) in page.coins.iter().enumerate().skip(first).take(room) {
        let line = row(coin, page.as_of, state, theme, &fitted, index == selected);
        lines.push(if index == selected { highlighted(line, theme) } else { line });
    }
    frame.render_widget(Paragraph::new(lines), inner);
    mark_part(frame, area, theme, first, room, page.coins.len());
}

fn row(
    coin: &MarketCoin,
    as_of: Timestamp,
    state: &State,
    theme: &Theme,
    fitted: &Fitted,
    selected: bool,
) -> Line<'static> {
    let (text, muted) = (theme.style(Meaning::Text), theme.style(Meaning::Muted));
    let price = state.mark(&coin.symbol).or(coin.price);
    let number = |value: Option<f64>, places: usize| {
        value
            .filter(|value| value.is_finite())
            .map_or_else(|| "–".to_owned(), |value| format!("{value:.places$}"))
    };
    let strength = |value: Option<f64>| match value {
        Some(rsi) if rsi >= 70.0 => theme.style(Meaning::Warn),
        Some(rsi) if rsi <= 30.0 => theme.style(Meaning::Near),
        _ => text,
    };
    fitted.row(&[
        cell(if selected { "▸" } else { " " }, theme.style(Meaning::Focus)),
        cell(coin.symbol.coin().to_owned(), text),
        cell(price.map_or_else(|| "–".to_owned(), format::price), text),
        share(change(coin, price, as_of), 2, theme),
        cell(last_day(coin, price, fitted.width(SPARK)), muted),
        cell(number(coin.rsi, 0), strength(coin.rsi)),
        cell(significant(coin.macd_histogram), signed(coin.macd_histogram, theme)),
        cell(number(coin.adx, 0), text),
        cell(number(coin.atr_share.map(|share| share * 100.0), 2), muted),
        share(coin.funding, 4, theme),
        share(coin.open_interest_change, 1, theme),
        cell(number(coin.correlation, 2), muted),
        cell(number(coin.beta, 2), muted),
    ])
}

/// The change of the present price over 24 hours. The hour that held its beginning is known by its ends; what lies between
/// is taken as straight.
fn change(coin: &MarketCoin, now: Option<Price>, as_of: Timestamp) -> Option<f64> {
    let now = now.or(coin.price)?.value().to_f64()?;
    let first = coin.closes.len().checked_sub(HOURS + 1)?;
    let (from, to) = (coin.closes.get(first)?, coin.closes.get(first + 1)?);
    let passed = f64::from(as_of.minute() * 60 + as_of.second()) / 3600.0;
    let then = from + (to - from) * passed;
    (then > 0.0).then(|| now / then - 1.0)
}

/// The last day as a sparkline that ends at the present price, spread over so many columns.
fn last_day(coin: &MarketCoin, now: Option<Price>, columns: usize) -> String {
    let mut hours = coin.closes.get(coin.closes.len().saturating_sub(HOURS)..).unwrap_or_default().to_vec();
    hours.extend(now.and_then(|price| price.value().to_f64()));
    let Some(last) = hours.len().checked_sub(1) else { return String::new() };
    let columns = columns.min(hours.len());
    let place = |column: usize| if columns < 2 { last } else { column * last / (columns - 1) };
    let spread: Vec<f64> = (0..columns).filter_map(|column| hours.get(place(column)).copied()).collect();
    sparkline(&spread, columns)
}

/// A share as percent with its sign.
fn share(value: Option<f64>, places: usize, theme: &Theme) -> Vec<Span<'static>> {
    match value.filter(|value| value.is_finite()) {
        Some(share) => cell(format!("{:+.places$}%", share * 100.0), signed(Some(share), theme)),
        None => cell("–", theme.style(Meaning::Muted)),
    }
}

/// How what is gained, lost or unknown looks.
fn signed(value: Option<f64>, theme: &Theme) -> Style {
    theme.style(match value {
        Some(value) if value > 0.0 => Meaning::Gain,
        Some(value) if value < 0.0 => Meaning::Loss,
        _ => Meaning::Muted,
    })
}

/// A figure in price units: three digits that say something, and its sign.
fn significant(value: Option<f64>) -> String {
    let Some(value) = value.filter(|value| value.is_finite()) else { return "–".to_owned() };
    let size = value.abs();
    if size < 1e-9 {
        return "0".to_owned();
    }
    let places = [100.0, 10.0, 1.0, 0.1, 0.01].iter().filter(|from| size < **from).count();
    format!("{value:+.places$}")
}

/// The last closes as a row of bars of as many columns.
pub fn sparkline(closes: &[f64], columns: usize) -> String {
    let closes = closes.get(closes.len().saturating_sub(columns)..).unwrap_or_default();
    let low = closes.iter().copied().fold(f64::INFINITY, f64::min);
    let high = closes.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let level = |close: &f64| {
        let share = if high > low { (close - low) / (high - low) } else { 0.5 };
        let index = (share * 6.0).round().to_usize().unwrap_or(0);
        LEVELS.get(index).copied().unwrap_or(' ')
    };
    closes.iter().map(level).collect()
}

/// Fear & Greed, what is on the calendar, and the headlines.
fn draw_news(frame: &mut Frame<'_>, area: Rect, page: &MarketPage, state: &State, theme: &Theme) {
    let muted = theme.style(Meaning::Muted);
    let failed = page.sources.iter().filter(|source| source.error.is_some()).count();
    let stale = page.sources.iter().filter(|source| source.stale && source.error.is_none()).count();
    let note = if failed + stale > 0 {
        Span::styled(format!("▲ sources: {failed} failed, {stale} stale"), theme.style(Meaning::Warn))
    } else {
        Span::styled(format!("{} readings", page.sources.len()), muted)
    };
    let inner = framed(frame, area, state, theme, "What moves it", &note, state.market.reading);
    let lines = news(page, state, &|meaning| theme.style(meaning), inner.width);
    if lines.is_empty() {
        placeholder(frame, inner, theme, &["The brief brought no headlines and no calendar."]);
        return;
    }
    let (count, rows) = (lines.len(), usize::from(inner.height));
    let top = state.market.top.min(count.saturating_sub(rows));
    frame.render_widget(Paragraph::new(lines.into_iter().skip(top).collect::<Vec<_>>()), inner);
    mark_part(frame, area, theme, top, rows, count);
}

/// What moves the market, line by line.
fn news(
    page: &MarketPage,
    state: &State,
    style: &dyn Fn(Meaning) -> Style,
    width: u16,
) -> Vec<Line<'static>> {
    let (text, muted) = (style(Meaning::Text), style(Meaning::Muted));
    let width = usize::from(width.saturating_sub(2));
    let mut lines = Vec::new();
    if let Some((value, class)) = &page.fear_greed {
        let filled = usize::try_from(*value).unwrap_or(0).min(100) / 5;
        lines.push(Line::from(vec![
            Span::styled(" Fear & Greed ", muted),
            Span::styled(format!("{value} {} ", class.line(20)), text),
            Span::styled("━".repeat(filled), style(Meaning::Near)),
            Span::styled("─".repeat(20 - filled), style(Meaning::Track)),
        ]));
    }
    for (at, weight, what) in &page.events {
        let head = format!(" {} ", state.clock(*at, "%d %b %H:%M"));
        let weight = weight.line(6);
        let room = width.saturating_sub(head.len() + weight.chars().count() + 1);
        let loud = if weight.eq_ignore_ascii_case("high") { Meaning::Warn } else { Meaning::Muted };
        lines.push(Line::from(vec![
            Span::styled(head, muted),
            Span::styled(format!("{weight} "), style(loud)),
            Span::styled(what.line(room), text),
        ]));
    }
    let day = |at: Timestamp| state.clock(at, "%d %b");
    let today = day(page.as_of);
    for (at, source, what) in &page.headlines {
        // One of today has its time, an earlier one its day: a time alone would make it news.
        let time = match at {
            None => String::new(),
            Some(at) if day(*at) == today => state.clock(*at, "%H:%M"),
            Some(at) => day(*at),
        };
        let head = format!(" {time:<6} {:<14} ", source.line(14));
        let room = width.saturating_sub(head.chars().count());
        for (index, line) in wrap(&what.line(400), room.max(10)).into_iter().take(2).enumerate() {
            let head = if index == 0 { head.clone() } else { " ".repeat(head.chars().count()) };
            lines.push(Line::from(vec![Span::styled(head, muted), Span::styled(line, text)]));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_shows_the_last_closes_from_low_to_high() {
        assert_eq!(sparkline(&[9.0, 1.0, 2.0, 3.0], 3), "▁▄▇");
        assert_eq!(sparkline(&[5.0, 5.0], 4), "▄▄");
        assert_eq!(sparkline(&[], 4), "");
    }

    #[test]
    fn small_figures_keep_their_digits() {
        let shown = [Some(312.4), Some(-3.4567), Some(0.01234), None].map(significant);
        assert_eq!(shown, ["+312", "-3.46", "+0.0123", "–"]);
    }
}
