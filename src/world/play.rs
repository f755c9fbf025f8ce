//! Time passes: prices, funding, triggers and liquidations, each at its instant.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::engine::Engine;
use super::market::{Heard, Market, Quote};
use crate::domain::Symbol;

/// Longest and shortest step of market time while something is at stake, ms.
const LONGEST_STEP: i64 = 60_000;
const SHORTEST_STEP: i64 = 1_000;
/// How near, in units of 0.01 %, the nearest trigger may be for a step of so many milliseconds.
const STEPS: [(i64, i64); 3] = [(30, SHORTEST_STEP), (100, 5_000), (300, 15_000)];
/// Into how many parts a step is cut that may have jumped over a trigger.
const CUT: i64 = 4;

/// Plays the engine from `from` to `to` (market time, ms) along the path of `market`, which must be known to `to`.
///
/// The nearer a trigger, a resting order or a liquidation price is, the smaller the steps; and a step that moved as far
/// as the nearest of them is taken again in smaller ones. So a stop fills near its trigger unless the path itself jumps.
pub(super) fn play(engine: &mut Engine, market: &Market, from: i64, to: i64) {
    if market.is_fed() {
        return pass(engine, market, from, to);
    }
    let symbols: Vec<Symbol> = engine.contracts().keys().cloned().collect();
    let mut at = from;
    let mut told = None;
    while at < to && engine.is_exposed() {
        let next_funding = symbols.iter().map(|symbol| market.next_funding_ms(symbol, at)).min();
        let next_expiry = engine.next_expiry().filter(|expiry| *expiry > at);
        let end = to.min(next_funding.unwrap_or(to)).min(next_expiry.unwrap_or(to));
        let distances = engine.distances();
        let mut step = longest_step(&distances);
        let (next, quotes) = loop {
            let next = (at + step).min(end);
            let quotes = quotes(market, &symbols, next);
            if step <= SHORTEST_STEP || !reaches(engine, &quotes, &distances) {
                break (next, quotes);
            }
            step = (step / CUT).max(SHORTEST_STEP);
        };
        for symbol in &symbols {
            if market.next_funding_ms(symbol, at) == next
                && let Some(quote) = market.quote(symbol, next)
            {
                // The rate that is paid at `next` is the one told until then.
                engine.fund(symbol, market.funding_rate(symbol, next - 1), quote.mark, next);
            }
        }
        told = (next == to).then(|| quotes.clone());
        engine.update(quotes, next);
        at = next;
    }
    engine.update(told.unwrap_or_else(|| quotes(market, &symbols, to)), to);
}

/// Lets time pass where prices are told from outside: fundings come due, orders end, and what was not heard of lately
/// freezes. New prices come with [`World::hear`](super::World::hear).
fn pass(engine: &mut Engine, market: &Market, from: i64, to: i64) {
    let due = |(symbol, heard): (&Symbol, &Heard)| {
        let (at, rate) = heard.funding_within(from, to)?;
        Some((at, symbol.clone(), rate, heard.told.quote.mark))
    };
    let mut due: Vec<_> = market.heard().iter().filter_map(due).collect();
    due.sort_by_key(|(at, ..)| *at);
    for (at, symbol, rate, mark) in due {
        engine.fund(&symbol, rate, mark, at);
    }
    engine.update(None, to);
    for (symbol, heard) in market.heard().iter().filter(|(_, heard)| !heard.is_fresh_at(to)) {
        engine.freeze(symbol, heard.told.quote);
    }
}

/// Tells a resumed engine the prices it knew at `then` (market time, ms), when its state was taken.
pub(super) fn recall(engine: &mut Engine, market: &Market, then: i64) {
    let symbols: Vec<Symbol> = engine.contracts().keys().cloned().collect();
    engine.recall(quotes(market, &symbols, then), then);
}

fn quotes(market: &Market, symbols: &[Symbol], at: i64) -> Vec<(Symbol, Quote)> {
    symbols.iter().filter_map(|symbol| Some((symbol.clone(), market.quote(symbol, at)?))).collect()
}

fn longest_step(distances: &BTreeMap<Symbol, Decimal>) -> i64 {
    let nearest = distances.values().min();
    nearest
        .and_then(|nearest| STEPS.iter().find(|(near, _)| *nearest < Decimal::new(*near, 4)))
        .map_or(LONGEST_STEP, |(_, step)| *step)
}

/// Whether a price has moved as far as something that waits for it.
fn reaches(engine: &Engine, quotes: &[(Symbol, Quote)], distances: &BTreeMap<Symbol, Decimal>) -> bool {
    quotes.iter().any(|(symbol, quote)| {
        let (Some(distance), Ok(before)) = (distances.get(symbol), engine.quote(symbol)) else {
            return false;
        };
        let moved = |now: Decimal, then: Decimal| (now - then).abs() >= then * *distance;
        moved(quote.last, before.last) || moved(quote.mark, before.mark)
    })
}
