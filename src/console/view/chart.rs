//! Candles of one coin with what we did on them: entries, exits, the stop and the model's decisions.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::super::format;
use super::super::layout;
use super::super::screens::market::{Chart, INTERVALS, candles};
use super::super::state::State;
use super::super::theme::{Meaning, Theme};
use super::super::update::safe;
use super::{framed, page, placeholder};
use crate::domain::{
    Candle, ChartPage, DecisionMark, DecisionWord, FillLine, OrderPurpose, OutcomeKind, Price, Side,
};

/// Columns of the price axis.
const AXIS: u16 = 11;

/// What stands in a half of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Half {
    Empty,
    Wick,
    Body,
}

/// How many candles are in sight at once.
pub fn columns(state: &State) -> usize {
    // The frame takes a column at each side.
    usize::from(layout::body(state).width.saturating_sub(AXIS + 2))
}

/// Draws the chart.
pub fn draw(frame: &mut Frame<'_>, area: Rect, chart: &Chart, state: &State, theme: &Theme) {
    let back = match chart.back {
        0 => String::new(),
        1 => ", 1 bar back".to_owned(),
        bars => format!(", {bars} bars back"),
    };
    let title = format!("{} {}{back}", chart.symbol.coin(), chart.interval);
    let note = page::age(&chart.page, state, theme);
    let inner = framed(frame, area, state, theme, &title, &note, true);
    let [head, below] =
        [0, inner.height.saturating_sub(1)].map(|row| Rect { y: inner.y + row, height: 1, ..inner });
    frame.render_widget(intervals(chart, theme), head);
    let body = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    let Some(page) = &chart.page.page else {
        page::awaited(frame, body, &chart.page, state, theme);
        return;
    };
    if page.candles.is_empty() || inner.height < 6 {
        placeholder(frame, body, theme, &["There are no candles of this coin and interval."]);
        return;
    }
    let plot =
        Rect { height: inner.height.saturating_sub(4), width: inner.width.saturating_sub(AXIS), ..body };
    let decisions = Rect { height: 1, y: plot.bottom(), ..plot };
    let times = Rect { y: plot.bottom() + 1, ..decisions };
    let (shown, until) = in_sight(page, chart.back, usize::from(plot.width));
    let shown = &Stretch { candles: &shown, until };
    // The present price is in sight wherever it went; looking back, it is not what is looked at.
    let mark = state.mark(&chart.symbol).filter(|_| chart.back == 0);
    let lines = lines_of(state, chart);
    let Some(scale) = Scale::new(shown.candles, plot, &lines, mark) else { return };
    let buffer = frame.buffer_mut();
    for (price, _, meaning) in &lines {
        level(buffer, &scale, *price, theme.style(*meaning));
    }
    for (column, candle) in (0..).zip(shown.candles) {
        draw_candle(buffer, &scale, column, candle, theme);
    }
    draw_fills(buffer, &scale, shown, page, theme);
    draw_axis(buffer, &scale, theme);
    draw_names(buffer, &scale, &lines, theme);
    draw_present(buffer, &scale, shown.candles, state, chart, theme);
    draw_decisions(buffer, decisions, shown, &page.decisions, theme);
    draw_times(buffer, times, shown.candles, state, theme);
    frame.render_widget(legend(theme, inner.width), below.intersection(inner));
}

/// The intervals, the one in sight in brackets.
fn intervals(chart: &Chart, theme: &Theme) -> Line<'static> {
    let mut line = Line::styled(" ← → ", theme.style(Meaning::Key));
    for interval in INTERVALS {
        let here = interval == chart.interval;
        let style = theme.style(if here { Meaning::Focus } else { Meaning::Muted });
        line.push_span(Span::styled(
            if here { format!("[{interval}]") } else { format!(" {interval} ") },
            style,
        ));
    }
    line
}

/// What the marks mean, in as many words as there is room for.
const LEGENDS: [[(&str, &str); 5]; 2] = [
    [
        ("▲▼", "opened "),
        ("✕", "closed "),
        ("┈", "entry, stop "),
        ("L S H C", "decided; capitals traded "),
        ("·", "no trade"),
    ],
    [("▲▼", "opened"), ("✕", "closed"), ("┈", "entry, stop"), ("LSHC", "decided"), ("·", "no trade")],
];

fn legend(theme: &Theme, width: u16) -> Line<'static> {
    let (muted, key) = (theme.style(Meaning::Muted), theme.style(Meaning::Key));
    let line = |parts: [(&str, &str); 5]| {
        let pair = |(mark, meaning): (&str, &str)| {
            [Span::styled(format!(" {mark} "), key), Span::styled(meaning.to_owned(), muted)]
        };
        Line::from(parts.into_iter().flat_map(pair).collect::<Vec<_>>())
    };
    let [long, short] = LEGENDS.map(line);
    if long.width() <= usize::from(width) { long } else { short }
}

/// The candles in sight, and when the next one begins that is out of sight.
struct Stretch<'a> {
    candles: &'a [Candle],
    until: Option<i64>,
}

impl Stretch<'_> {
    /// The column of a moment, if its candle is in sight.
    fn column_of(&self, millis: i64) -> Option<u16> {
        if self.until.is_some_and(|until| millis >= until) {
            return None;
        }
        let after = self.candles.partition_point(|candle| candle.open_time <= millis);
        u16::try_from(after.checked_sub(1)?).ok()
    }
}

/// The candles of the stretch in sight: one a column, the newest at the right, that of the running interval too; and,
/// looking back, when the first one after them begins.
fn in_sight(page: &ChartPage, back: usize, columns: usize) -> (Vec<Candle>, Option<i64>) {
    let count = candles(page);
    let end = count - back.min(count.saturating_sub(1));
    let all = || page.candles.iter().chain(&page.forming);
    let until = all().nth(end).map(|candle| candle.open_time);
    (all().take(end).skip(end.saturating_sub(columns)).copied().collect(), until)
}

/// The entry and the stop of what is held in this coin, each with the account it is of.
fn lines_of(state: &State, chart: &Chart) -> Vec<(Price, String, Meaning)> {
    let mut lines = Vec::new();
    for (owner, held) in state.positions().iter().filter(|(_, held)| held.symbol == chart.symbol) {
        lines.push((held.entry, format!("entry {}", owner.name), Meaning::Key));
        if let Some(stop) = &held.stop {
            lines.push((stop.trigger, format!("stop {}", owner.name), Meaning::Danger));
        }
    }
    lines
}

/// Prices to rows.
struct Scale {
    plot: Rect,
    low: f64,
    high: f64,
}

impl Scale {
    /// Spans the candles, the present price, and lines that are no further away than half the candles' own span: a
    /// stop far below must not press the candles flat, and is named at the edge instead.
    fn new(
        candles: &[Candle],
        plot: Rect,
        lines: &[(Price, String, Meaning)],
        mark: Option<Price>,
    ) -> Option<Self> {
        let float = |price: Price| price.value().to_f64();
        let mut low = candles.iter().filter_map(|candle| float(candle.low)).reduce(f64::min)?;
        let mut high = candles.iter().filter_map(|candle| float(candle.high)).reduce(f64::max)?;
        if let Some(mark) = mark.and_then(float) {
            (low, high) = (low.min(mark), high.max(mark));
        }
        let (bottom, top) = (low, high);
        let reach = (high - low).max(high * 1e-6) / 2.0;
        for (price, ..) in lines {
            let is_near = |price: &f64| *price > bottom - reach && *price < top + reach;
            let Some(price) = float(*price).filter(is_near) else { continue };
            (low, high) = (low.min(price), high.max(price));
        }
        let margin = (high - low).max(high * 1e-6) * 0.02;
        (plot.height > 0 && plot.width > 0).then_some(Self { plot, low: low - margin, high: high + margin })
    }

    /// The half row of a price, counted from the top; beyond the plot when it lies outside.
    fn half(&self, price: Price) -> Option<i64> {
        let share = (self.high - price.value().to_f64()?) / (self.high - self.low);
        (share * f64::from(self.plot.height) * 2.0).floor().to_i64()
    }

    /// The row of a price, if it is in sight.
    fn row(&self, price: Price) -> Option<u16> {
        let half = u16::try_from(self.half(price)?).ok()?;
        (half / 2 < self.plot.height).then_some(self.plot.y + half / 2)
    }

    /// The edge behind which a price out of sight lies: its row, and the mark that points there.
    fn edge(&self, price: Price) -> Option<(u16, &'static str)> {
        let half = self.half(price)?;
        if half < 0 {
            return Some((self.plot.y, "↑"));
        }
        let bottom = self.plot.bottom() - 1;
        (half / 2 >= i64::from(self.plot.height)).then_some((bottom, "↓"))
    }

    /// The price in the middle of a row.
    fn price_at(&self, row: u16) -> Option<Price> {
        let share = (f64::from(row) + 0.5) / f64::from(self.plot.height);
        Price::new(Decimal::from_f64_retain(self.high - share * (self.high - self.low))?).ok()
    }
}

/// The glyph of two halves of a falling candle where no colour tells it from a rising one: filled, as on paper.
const fn filled(upper: Half, lower: Half) -> &'static str {
    match (upper, lower) {
        (Half::Body, Half::Body) => "█",
        (Half::Body, _) => "▀",
        (_, Half::Body) => "▄",
        _ => glyph(upper, lower),
    }
}

/// The glyph of two halves.
const fn glyph(upper: Half, lower: Half) -> &'static str {
    match (upper, lower) {
        (Half::Empty, Half::Empty) => " ",
        (Half::Wick, Half::Wick) => "│",
        (Half::Body, Half::Body) => "┃",
        (Half::Wick, Half::Body) => "╽",
        (Half::Body, Half::Wick) => "╿",
        (Half::Empty, Half::Wick) => "╷",
        (Half::Wick, Half::Empty) => "╵",
        (Half::Empty, Half::Body) => "╻",
        (Half::Body, Half::Empty) => "╹",
    }
}

fn draw_candle(buffer: &mut Buffer, scale: &Scale, column: u16, candle: &Candle, theme: &Theme) {
    let rising = candle.close >= candle.open;
    let style = theme.style(if rising { Meaning::Gain } else { Meaning::Loss });
    let (top, bottom) = (candle.open.max(candle.close), candle.open.min(candle.close));
    let halves = [candle.high, top, bottom, candle.low].map(|price| scale.half(price));
    let [Some(high), Some(top), Some(bottom), Some(low)] = halves else { return };
    let at = |half: i64| {
        if (top..=bottom).contains(&half) {
            Half::Body
        } else if (high..=low).contains(&half) {
            Half::Wick
        } else {
            Half::Empty
        }
    };
    for row in 0..scale.plot.height {
        let half = 2 * i64::from(row);
        let (upper, lower) = (at(half), at(half + 1));
        let symbol = if rising || theme.has_colour() { glyph(upper, lower) } else { filled(upper, lower) };
        if symbol != " " {
            set(buffer, scale.plot.x + column, scale.plot.y + row, symbol, style);
        }
    }
}

fn set(buffer: &mut Buffer, column: u16, row: u16, symbol: &str, style: Style) {
    if buffer.area.contains((column, row).into()) {
        buffer.set_string(column, row, symbol, style);
    }
}

/// A dotted line at a price.
fn level(buffer: &mut Buffer, scale: &Scale, price: Price, style: Style) {
    let Some(row) = scale.row(price) else { return };
    for column in 0..scale.plot.width {
        set(buffer, scale.plot.x + column, row, "┈", style);
    }
}

fn draw_fills(buffer: &mut Buffer, scale: &Scale, shown: &Stretch<'_>, page: &ChartPage, theme: &Theme) {
    for fill in &page.fills {
        let column = shown.column_of(fill.at.timestamp_millis());
        let (Some(column), Some(row)) = (column, scale.row(fill.price)) else { continue };
        let (symbol, meaning) = mark_of(fill);
        let style = theme.style(meaning).patch(Style::new().add_modifier(ratatui::style::Modifier::BOLD));
        set(buffer, scale.plot.x + column, row, symbol, style);
    }
}

const fn mark_of(fill: &FillLine) -> (&'static str, Meaning) {
    match (fill.purpose, fill.side) {
        (Some(OrderPurpose::Open) | None, Side::Buy) => ("▲", Meaning::Key),
        (Some(OrderPurpose::Open) | None, Side::Sell) => ("▼", Meaning::Key),
        (Some(OrderPurpose::Stop | OrderPurpose::Emergency), _) => ("✕", Meaning::Danger),
        (Some(OrderPurpose::Close), _) => ("✕", Meaning::Warn),
    }
}

/// Prices at the right.
fn draw_axis(buffer: &mut Buffer, scale: &Scale, theme: &Theme) {
    let left = scale.plot.right() + 1;
    let every = (scale.plot.height / 6).max(2);
    for row in (0..scale.plot.height).step_by(usize::from(every)) {
        if let Some(price) = scale.price_at(row) {
            buffer.set_string(left, scale.plot.y + row, format::price(price), theme.style(Meaning::Muted));
        }
    }
}

/// What each line is, at its left end, and its price on the axis; one that is out of sight at the edge behind which it
/// lies. Lines on the same row share their words.
fn draw_names(buffer: &mut Buffer, scale: &Scale, lines: &[(Price, String, Meaning)], theme: &Theme) {
    let mut rows: Vec<(u16, Option<Price>, String, Meaning)> = Vec::new();
    for (price, name, meaning) in lines {
        // The axis does not reach as far as a price out of sight: it stands beside the name.
        let (row, on_axis, name) = match (scale.row(*price), scale.edge(*price)) {
            (Some(row), _) => (row, Some(*price), name.clone()),
            (None, Some((row, towards))) => {
                (row, None, format!("{towards} {name} {}", format::price(*price)))
            }
            (None, None) => continue,
        };
        match rows.iter_mut().find(|(other, ..)| *other == row) {
            Some((_, known, names, _)) => {
                *known = known.or(on_axis);
                names.push_str(", ");
                names.push_str(&name);
            }
            None => rows.push((row, on_axis, name, *meaning)),
        }
    }
    for (row, on_axis, names, meaning) in rows {
        let names = safe(&names, usize::from(scale.plot.width / 2));
        buffer.set_string(scale.plot.x, row, format!("{names} "), theme.style(meaning));
        if let Some(price) = on_axis {
            let text = format!("{:<width$}", format::price(price), width = usize::from(AXIS - 2));
            buffer.set_string(scale.plot.right() + 1, row, text, theme.style(meaning));
        }
    }
}

/// The present price on the axis, over all else.
fn draw_present(
    buffer: &mut Buffer,
    scale: &Scale,
    candles: &[Candle],
    state: &State,
    chart: &Chart,
    theme: &Theme,
) {
    let left = scale.plot.right() + 1;
    let last = state.mark(&chart.symbol).or(candles.last().map(|candle| candle.close));
    if let Some((price, row)) = last.and_then(|price| Some((price, scale.row(price)?))) {
        let text = format!("{:<width$}", format::price(price), width = usize::from(AXIS - 2));
        buffer.set_string(left - 1, row, "◂", theme.style(Meaning::Focus));
        buffer.set_string(left, row, text, theme.style(Meaning::Title));
    }
}

/// One letter under the candle in which something was decided; what traded stands in capitals.
fn draw_decisions(
    buffer: &mut Buffer,
    area: Rect,
    shown: &Stretch<'_>,
    decisions: &[DecisionMark],
    theme: &Theme,
) {
    for mark in decisions {
        let Some(column) = shown.column_of(mark.at.timestamp_millis()) else { continue };
        let traded = matches!(mark.outcome, Some(OutcomeKind::Opened | OutcomeKind::Closed));
        let letter = match mark.decision {
            Some(DecisionWord::Long) => "l",
            Some(DecisionWord::Short) => "s",
            Some(DecisionWord::Hold) => "h",
            Some(DecisionWord::Close) => "c",
            Some(DecisionWord::NoTrade) => "·",
            None => "?",
        };
        let already = buffer.cell((area.x + column, area.y)).is_some_and(|cell| {
            cell.symbol().chars().all(char::is_uppercase) && !cell.symbol().trim().is_empty()
        });
        if already && !traded {
            continue;
        }
        let (text, meaning) = if traded {
            (letter.to_uppercase(), Meaning::Above)
        } else {
            (letter.to_owned(), Meaning::Muted)
        };
        set(buffer, area.x + column, area.y, &text, theme.style(meaning));
    }
}

fn draw_times(buffer: &mut Buffer, area: Rect, candles: &[Candle], state: &State, theme: &Theme) {
    let days = candles
        .first()
        .zip(candles.get(16))
        .is_some_and(|(one, other)| other.open_time - one.open_time >= 24 * 3_600_000);
    let (pattern, every) = if days { ("%d %b", 16) } else { ("%d %b %H:%M", 18) };
    for (column, candle) in (0_u16..).zip(candles).step_by(every) {
        let Some(at) = crate::domain::Timestamp::from_timestamp_millis(candle.open_time) else { continue };
        let text = format!("╵{}", state.clock(at, pattern));
        if usize::from(column) + text.chars().count() <= usize::from(area.width) {
            buffer.set_string(area.x + column, area.y, text, theme.style(Meaning::Muted));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_present_price_widens_the_scale_and_the_running_candle_is_the_last() {
        let at = |open_time, price: &str| {
            let price: Price = price.parse().unwrap();
            Candle { open_time, open: price, high: price, low: price, close: price, volume: Decimal::ONE }
        };
        let page = ChartPage {
            symbol: crate::domain::Symbol::new("BTCUSDT").unwrap(),
            interval: crate::domain::Interval::Hour1,
            candles: vec![at(0, "100"), at(1, "101")],
            forming: Some(at(2, "102")),
            fills: Vec::new(),
            decisions: Vec::new(),
        };
        let times = |back, columns| -> Vec<i64> {
            in_sight(&page, back, columns).0.iter().map(|candle| candle.open_time).collect()
        };
        assert_eq!([0, 1, 2].map(|back| in_sight(&page, back, 2).1), [None, Some(2), Some(1)]);
        assert_eq!([times(0, 2), times(1, 2), times(9, 2)], [vec![1, 2], vec![0, 1], vec![0]]);
        let plot = Rect::new(0, 0, 10, 10);
        let far: Price = "500".parse().unwrap();
        let (candles, _) = in_sight(&page, 0, 9);
        assert_eq!(Scale::new(&candles, plot, &[], None).unwrap().row(far), None);
        assert!(Scale::new(&candles, plot, &[], Some(far)).unwrap().row(far).is_some());
        let stop = |price: &str| [(price.parse().unwrap(), "stop".to_owned(), Meaning::Danger)];
        let edge = |price: &str| {
            let scale = Scale::new(&candles, plot, &stop(price), None).unwrap();
            (scale.row(price.parse().unwrap()).is_some(), scale.edge(price.parse().unwrap()))
        };
        assert_eq!(edge("99.2"), (true, None), "half the span away");
        assert_eq!(edge("97"), (false, Some((9, "↓"))));
        assert_eq!(edge("500"), (false, Some((0, "↑"))));
    }

    #[test]
    fn a_moment_belongs_to_the_candle_it_lies_in() {
        let one = "1".parse().unwrap();
        let candle = |open_time| Candle {
            open_time,
            open: one,
            high: one,
            low: one,
            close: one,
            volume: Decimal::ONE,
        };
        let candles = [candle(100), candle(200), candle(300)];
        let columns = |until| {
            let shown = Stretch { candles: &candles, until };
            [99, 100, 199, 200, 999].map(|at| shown.column_of(at))
        };
        assert_eq!(columns(None), [None, Some(0), Some(0), Some(1), Some(2)]);
        assert_eq!(
            columns(Some(400)),
            [None, Some(0), Some(0), Some(1), None],
            "what came later is out of sight"
        );
    }
}
