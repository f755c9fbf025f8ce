//! A world whose prices are told from outside: paper money on real prices. The exchange is this world's own, the prices
//! are whoever's tells them, and market time is wall time.
//!
//! Between two tellings a price holds for ten seconds, then its contract freezes: nothing trades at a price of the past.
//! The next one told is a gap, and triggers what it reaches.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use rust_decimal::Decimal;

use super::engine::Engine;
use super::market::{FedQuote, Heard, Listing};
use super::opening::{Given, kept};
use super::state::SavedWorld;
use super::{World, WorldError, WorldOptions};
use crate::domain::{Clock, Symbol};

/// Who tells the prices, and of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FedPrices {
    /// Names the source, such as its address: a state file belongs to one.
    pub source: String,
    /// The contracts and their rules.
    pub listings: Vec<Listing>,
}

/// A funding that the source settled while nothing was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissedFunding {
    /// The contract.
    pub symbol: Symbol,
    /// When it was settled, UTC milliseconds.
    pub at_ms: i64,
    /// The rate, as a share of the notional: above zero, longs pay shorts.
    pub rate: Decimal,
    /// The mark price then, where the source tells it.
    pub mark: Option<Decimal>,
}

/// What is told at once.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// Fundings of the time in which nothing was heard, oldest first. What was paid already, or is older than that
    /// time, is not paid again.
    pub missed: Vec<MissedFunding>,
    /// Prices of now.
    pub quotes: Vec<(Symbol, FedQuote)>,
}

impl World {
    /// A world whose prices are told from outside; `options` as for [`World::open`], with a speed of 1 and nothing
    /// recorded. A kept one comes back with the last known prices, frozen until new ones are told.
    pub fn open_fed(
        options: WorldOptions,
        fed: FedPrices,
        wall: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, WorldError> {
        let saved = saved(&options)?;
        Self::begin(options, Given { histories: None, fed: Some(fed) }, saved, wall)
    }

    /// The same for somebody who only looks: the state file is read, and what happens from here on is forgotten.
    pub fn open_fed_unkept(
        mut options: WorldOptions,
        fed: FedPrices,
        wall: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, WorldError> {
        let saved = saved(&options)?;
        options.state_file = None;
        Self::begin(options, Given { histories: None, fed: Some(fed) }, saved, wall)
    }

    /// Takes in what is told now, with everything it causes: fundings that were missed, then stops, liquidations and
    /// resting orders at the new prices. Contracts that are not listed are left out; a world with prices of its own
    /// hears nothing.
    pub fn hear(&self, told: Told) {
        if self.fed.is_none() {
            return;
        }
        let mut core = self.core();
        let now = self.settle(&mut core);
        let mut market = self.market.write().unwrap_or_else(PoisonError::into_inner);
        for funding in told.missed {
            let heard = market.heard_of(&funding.symbol);
            let Some(heard) = heard.filter(|heard| heard.missed(funding.at_ms) && funding.at_ms <= now)
            else {
                continue;
            };
            let mark = funding.mark.unwrap_or(heard.told.quote.mark);
            core.engine.fund(&funding.symbol, funding.rate, mark, funding.at_ms);
        }
        let mut quotes = Vec::with_capacity(told.quotes.len());
        for (symbol, quote) in told.quotes {
            if market.listing(&symbol).is_none() {
                continue;
            }
            let before = market.heard_of(&symbol).copied();
            let early = before.and_then(|before| Some((before, before.settled_early(&quote, now)?)));
            if let Some((before, (_, rate))) = early {
                core.engine.fund(&symbol, rate, before.told.quote.mark, now);
            }
            let settled = early.map(|(_, (due, _))| due);
            market.hear([(symbol.clone(), Heard::now(quote, now, settled))]);
            quotes.push((symbol, quote.quote));
        }
        drop(market);
        core.engine.update(quotes, now);
        self.feed.forget_rendered();
        self.finish(&mut core);
    }

    /// What was told last of a contract, and when.
    pub fn heard_of(&self, symbol: &Symbol) -> Option<Heard> {
        self.market().heard_of(symbol).copied()
    }

    /// Whether a contract is traded here.
    pub fn lists(&self, symbol: &Symbol) -> bool {
        self.market().listing(symbol).is_some()
    }

    /// Whether every one of these contracts has a price of now. One that was told to an earlier run of this world is
    /// none, however short ago that was: what happened since is not known.
    pub fn hears_all(&self, symbols: &[Symbol]) -> bool {
        let now = self.clock.now_ms();
        let core = self.core();
        let market = self.market();
        symbols.iter().all(|symbol| {
            !core.engine.is_frozen(symbol)
                && market.heard_of(symbol).is_some_and(|heard| heard.is_fresh_at(now))
        })
    }

    /// The contracts in which any account holds a position or has an order waiting.
    pub fn exposed_symbols(&self) -> BTreeSet<Symbol> {
        exposed(&self.core().engine)
    }
}

/// What is kept of a world with such options, which must not contradict prices from outside.
fn saved(options: &WorldOptions) -> Result<Option<SavedWorld<'static>>, WorldError> {
    if (options.speed - 1.0).abs() > f64::EPSILON || options.recorded.is_some() {
        return Err(WorldError::FedTime);
    }
    kept(options)
}

fn exposed(engine: &Engine) -> BTreeSet<Symbol> {
    let accounts = engine.accounts().flat_map(|(id, account)| {
        let waiting = account.waiting().map(|algo| algo.symbol.clone());
        engine.active_symbols(id).into_iter().chain(waiting)
    });
    accounts.collect()
}

#[cfg(test)]
mod tests;
