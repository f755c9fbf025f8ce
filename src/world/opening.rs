//! How a world begins: made anew from its options, or resumed from what was kept of it.

use super::clock::Timebase;
use super::core::Core;
use super::engine::Engine;
use super::market::Market;
use super::state::{Origin, SavedWorld};
use super::{FedPrices, Histories, WorldError, WorldOptions, play};

/// What the state file keeps of a world with such options, if there is one.
pub(super) fn kept(options: &WorldOptions) -> Result<Option<SavedWorld<'static>>, WorldError> {
    Ok(options.state_file.as_deref().map(SavedWorld::read).transpose()?.flatten())
}

/// What a world's prices may come from beside its options.
#[derive(Default)]
pub(super) struct Given<'a> {
    /// Histories that were made before.
    pub histories: Option<&'a Histories>,
    /// Whoever tells the prices from outside.
    pub fed: Option<FedPrices>,
}

/// A fresh world: its time, its prices, its books.
pub(super) fn created(
    options: &WorldOptions,
    given: &Given<'_>,
    wall_ms: i64,
) -> Result<(Timebase, Market, Core), WorldError> {
    let (origin, start) = match (&given.fed, &options.recorded) {
        (Some(fed), _) => (Origin::Fed { source: fed.source.clone() }, wall_ms),
        (None, None) => (Origin::Synthetic { anchor_ms: wall_ms }, wall_ms),
        (None, Some(recorded)) => {
            let from_ms = recorded.from.timestamp_millis();
            (Origin::Recorded { candles: recorded.candles.clone(), from_ms }, from_ms)
        }
    };
    let market = market_of(&origin, given, options.seed)?;
    let engine = Engine::new(market.listings().iter().cloned()).seeded(options.seed);
    let base = Timebase::starting(start, wall_ms, options.speed);
    Ok((base, market, Core::new(options, (options.seed, wall_ms, origin), engine, start)))
}

/// The world that was kept, if it is of the same origin.
pub(super) fn resumed(
    options: &WorldOptions,
    given: &Given<'_>,
    saved: SavedWorld<'_>,
    wall_ms: i64,
) -> Result<(Timebase, Market, Core), WorldError> {
    let same = match (&given.fed, &options.recorded, &saved.origin) {
        (Some(fed), _, Origin::Fed { source }) => fed.source == *source,
        (None, None, Origin::Synthetic { .. }) => true,
        (None, Some(recorded), Origin::Recorded { candles, from_ms }) => {
            recorded.candles == *candles && recorded.from.timestamp_millis() == *from_ms
        }
        _ => false,
    };
    if !same {
        let path = options.state_file.clone().unwrap_or_default();
        return Err(WorldError::OtherOrigin { path });
    }
    let mut market = market_of(&saved.origin, given, saved.seed)?;
    for jump in &saved.jumps {
        market.jump(&jump.symbol, jump.at_ms, jump.price)?;
    }
    // At another speed than before, the world goes on from where it stood.
    let base = if given.fed.is_some() {
        Timebase::starting(wall_ms, wall_ms, options.speed)
    } else if (options.speed - saved.clock.speed).abs() < f64::EPSILON {
        saved.clock
    } else {
        Timebase::starting(saved.played_ms, wall_ms, options.speed)
    };
    let mut engine =
        Engine::resume(market.listings().iter().cloned(), saved.engine.into_owned()).seeded(saved.seed);
    if saved.heard.is_empty() {
        market.extend_to(saved.played_ms);
        play::recall(&mut engine, &market, saved.played_ms);
    }
    // Told prices are of the past until they are told again.
    for (symbol, heard) in &saved.heard {
        engine.freeze(symbol, heard.told.quote);
    }
    market.hear(saved.heard);
    let mut core = Core::new(options, (saved.seed, saved.created_ms, saved.origin), engine, saved.played_ms);
    let switches = saved.countdowns.into_iter();
    core.countdowns = switches.map(|switch| ((switch.account, switch.symbol), switch.at_ms)).collect();
    core.margin_moves = saved.margin_moves.into_owned();
    Ok((base, market, core))
}

fn market_of(origin: &Origin, given: &Given<'_>, seed: u64) -> Result<Market, WorldError> {
    Ok(match origin {
        Origin::Fed { .. } => {
            Market::fed(seed, given.fed.as_ref().map(|fed| fed.listings.clone()).unwrap_or_default())
        }
        Origin::Synthetic { anchor_ms } => match given.histories {
            Some(histories) => histories.synthetic(seed, *anchor_ms),
            None => Market::synthetic(seed, *anchor_ms),
        },
        Origin::Recorded { candles, from_ms } => Market::recorded(candles, *from_ms, seed)?,
    })
}
