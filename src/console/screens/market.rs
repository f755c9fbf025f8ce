//! The market: a row for each coin, and a chart of one.

use super::super::pages::Asked;
use super::super::state::State;
use super::super::update::{Effect, Step};
use crate::domain::{ChartPage, Interval, MarketPage, Query, QueryId, Symbol};

/// The intervals a chart walks through.
pub const INTERVALS: [Interval; 6] = [
    Interval::Minute5,
    Interval::Minute15,
    Interval::Hour1,
    Interval::Hour4,
    Interval::Hour12,
    Interval::Day1,
];

/// What the screen knows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Market {
    /// The coins.
    pub page: Asked<MarketPage>,
    /// The selected coin.
    pub selected: usize,
    /// The chart that lies over the table.
    pub chart: Option<Chart>,
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
    match &mut state.market.chart {
        Some(chart) => chart.page.wait_for(id),
        None => state.market.page.wait_for(id),
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
    let wide = usize::from(state.size.0 / 2);
    match &mut state.market.chart {
        Some(chart) => {
            let most = chart.page.page.as_ref().map_or(0, |page| page.candles.len().saturating_sub(8));
            let at = most - chart.back.min(most);
            chart.back = most - step.from(at, most + 1, wide);
        }
        None => state.market.selected = step.from(state.market.selected, count, 5),
    }
}
