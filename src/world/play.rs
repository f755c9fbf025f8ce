//! Time passes: prices, funding, triggers and liquidations, each at its instant.

use rust_decimal::Decimal;

use super::engine::Engine;
use super::market::{Market, Quote};
use crate::domain::Symbol;

/// Longest step of market time while something is at stake, ms.
const LONGEST_STEP: i64 = 60_000;
/// How near, in units of 0.01 %, the nearest trigger may be for a step of so many milliseconds.
const STEPS: [(i64, i64); 3] = [(30, 1_000), (100, 5_000), (300, 15_000)];

/// Plays the engine from `from` to `to` (market time, ms) along the path of `market`, which must be known to `to`.
///
/// The nearer a trigger, a resting order or a liquidation price is, the smaller the steps, so that a stop fills near
/// its trigger unless the path itself jumps.
pub(super) fn play(engine: &mut Engine, market: &Market, from: i64, to: i64) {
    let symbols: Vec<Symbol> = engine.contracts().keys().cloned().collect();
    let mut at = from;
    while at < to && engine.is_exposed() {
        let next_funding = symbols.iter().map(|symbol| market.next_funding_ms(symbol, at)).min();
        let next = (at + step(engine.nearest_level())).min(to).min(next_funding.unwrap_or(to));
        for symbol in &symbols {
            if market.next_funding_ms(symbol, at) == next
                && let Some(quote) = market.quote(symbol, next)
            {
                // The rate that is paid at `next` is the one told until then.
                engine.fund(symbol, market.funding_rate(symbol, next - 1), quote.mark, next);
            }
        }
        engine.update(quotes(market, &symbols, next), next);
        at = next;
    }
    engine.update(quotes(market, &symbols, to), to);
}

fn quotes<'a>(
    market: &'a Market,
    symbols: &'a [Symbol],
    at: i64,
) -> impl Iterator<Item = (Symbol, Quote)> + 'a {
    symbols.iter().filter_map(move |symbol| Some((symbol.clone(), market.quote(symbol, at)?)))
}

fn step(nearest: Option<Decimal>) -> i64 {
    nearest
        .and_then(|nearest| STEPS.iter().find(|(near, _)| nearest < Decimal::new(*near, 4)))
        .map_or(LONGEST_STEP, |(_, step)| *step)
}
