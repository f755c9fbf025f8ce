//! The market: a row for each coin, and a chart of one.

use std::time::Duration;

use rust_decimal::Decimal;

use super::super::pages::Asked;
use super::super::state::State;
use super::super::update::{Effect, Step};
use super::super::view;
use crate::domain::{Candle, ChartPage, Interval, MarketPage, Query, QueryId, Symbol};

/// The intervals a chart walks through.
pub const INTERVALS: [Interval; 6] = [
    Interval::Minute5,
    Interval::Minute15,
    Interval::Hour1,
    Interval::Hour4,
    Interval::Hour12,
    Interval::Day1,
];

/// How long what is in sight lasts before it is asked for again.
const LASTS: Duration = Duration::from_mins(1);

/// What the screen knows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Market {
    /// The coins.
    pub page: Asked<MarketPage>,
    /// The selected coin.
    pub selected: usize,
    /// The chart that lies over the table.
    pub chart: Option<Chart>,
    /// Whether the keys move what stands below or beside the table.
    pub reading: bool,
    /// The first line of that in sight.
    pub top: usize,
    /// When the shown part was last asked for, in wall time since the console began.
    asked_at: Duration,
}

/// One coin's candles.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// Which coin.
    pub symbol: Symbol,
    /// Which candles.
    pub interval: Interval,
    /// The answer.
    pub page: Asked<ChartPage>,
    /// How many candles the right edge lies before the newest.
    pub back: usize,
}

/// What the shown part needs.
pub fn query(state: &State) -> Option<Query> {
    Some(match &state.market.chart {
        Some(chart) => Query::Chart { symbol: chart.symbol.clone(), interval: chart.interval },
        None => Query::Market,
    })
}

/// The question is on its way.
pub fn wait_for(state: &mut State, id: QueryId) {
    state.market.asked_at = state.now;
    match &mut state.market.chart {
        Some(chart) => chart.page.wait_for(id),
        None => state.market.page.wait_for(id),
    }
}

/// Whether what is shown should be asked for again: prices go on while it stands still.
pub fn is_old(state: &State) -> bool {
    state.now.saturating_sub(state.market.asked_at) >= LASTS
}

/// Takes the present price into the candle that is not closed yet; one that is over joins the closed ones.
pub fn follow(state: &mut State) {
    let Some(now) = state.market_time().map(|now| now.timestamp_millis()) else { return };
    let Some(mark) = state.market.chart.as_ref().and_then(|chart| state.mark(&chart.symbol)) else { return };
    let Some(page) = state.market.chart.as_mut().and_then(|chart| chart.page.page.as_mut()) else { return };
    let (Some(last), Some(length)) = (page.candles.last(), page.interval.millis()) else { return };
    let closed = last.open_time + length;
    if now < closed {
        return;
    }
    let open_time = closed + (now - closed) / length * length;
    let begun = Candle { open_time, open: mark, high: mark, low: mark, close: mark, volume: Decimal::ZERO };
    match &mut page.forming {
        Some(forming) if forming.open_time == open_time => {
            forming.high = forming.high.max(mark);
            forming.low = forming.low.min(mark);
            forming.close = mark;
        }
        forming => page.candles.extend(forming.replace(begun)),
    }
}

/// The coins in their order: the page's, or before there is one the desk's.
pub fn coins(state: &State) -> Vec<Symbol> {
    match &state.market.page.page {
        Some(page) => page.coins.iter().map(|coin| coin.symbol.clone()).collect(),
        None => state.desk.as_ref().map_or_else(Vec::new, |desk| desk.facts.symbols.clone()),
    }
}

/// The selected coin.
pub fn selected(state: &State) -> Option<Symbol> {
    let coins = coins(state);
    coins.get(state.market.selected.min(coins.len().checked_sub(1)?)).cloned()
}

/// How many candles there are, that of the running interval among them.
pub fn candles(page: &ChartPage) -> usize {
    page.candles.len() + usize::from(page.forming.is_some())
}

/// Shows the chart of a coin.
pub fn open(state: &mut State, symbol: Symbol) -> Vec<Effect> {
    state.market.chart = Some(Chart { symbol, interval: Interval::Hour1, page: Asked::default(), back: 0 });
    super::enter(state, super::Screen::Market)
}

/// Leaves the chart.
pub fn back(state: &mut State) -> Vec<Effect> {
    state.market.chart = None;
    if state.market.page.page.is_none() || state.market.page.stale { super::ask(state) } else { Vec::new() }
}

/// The next or the previous interval.
pub fn turn(state: &mut State, forward: bool) -> Vec<Effect> {
    let Some(chart) = &mut state.market.chart else { return Vec::new() };
    let here = INTERVALS.iter().position(|interval| *interval == chart.interval).unwrap_or(0);
    let next = if forward { here + 1 } else { here.wrapping_sub(1) };
    let Some(interval) = INTERVALS.get(next) else { return Vec::new() };
    chart.interval = *interval;
    chart.page = Asked::default();
    chart.back = 0;
    super::ask(state)
}

/// Another coin, or in the chart another stretch of time.
pub fn scroll(state: &mut State, step: Step) {
    let count = coins(state).len();
    let (wide, columns) = (usize::from(state.size.0 / 2), view::chart::columns(state));
    match &mut state.market.chart {
        Some(chart) => {
            // The oldest stretch fills the plot, as every other does.
            let most = chart.page.page.as_ref().map_or(0, |page| candles(page).saturating_sub(columns));
            let at = most - chart.back.min(most);
            chart.back = most - step.from(at, most + 1, wide);
        }
        None if state.market.reading => {
            let (lines, rows) = view::market::extent(state);
            let last = lines.saturating_sub(rows);
            state.market.top = step.from(state.market.top.min(last), last + 1, rows);
        }
        None => state.market.selected = step.from(state.market.selected, count, 5),
    }
}
