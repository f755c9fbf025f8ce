//! Paper money on real prices: an embedded exchange that is told what Binance's public streams say.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{REAL_REST, REAL_STREAMS, Venue, options};
use crate::cli::failure::Failure;
use crate::cli::feed::{self, Feed};
use crate::config::Settings;
use crate::domain::{Clock, Symbol, SystemClock};
use crate::market::{Simsar, SimsarOptions, SourceAddresses};
use crate::net::{SocketConnector, Transport};
use crate::world::{FedPrices, World, WorldError, WorldOptions};

/// Where the embedded world of paper money on real prices is kept: never in the file of one that makes its own.
pub(super) const STATE: &str = "world-binance.json";
/// How long a desk waits for the first real prices before it begins without them.
const FIRST_PRICES: Duration = Duration::from_secs(10);
/// Requests in flight of whoever feeds a world.
const FEED_CONCURRENCY: usize = 8;

/// A way to open a world that is told its prices.
type Opening = fn(WorldOptions, FedPrices, Arc<dyn Clock>) -> Result<Arc<World>, WorldError>;

impl Venue {
    /// An embedded world whose exchange fills orders at the prices Binance tells.
    pub(super) async fn fed(open: Opening, settings: &Settings, state: &Path) -> Result<Self, Failure> {
        let (base_url, ws_url) = real_market(settings);
        let data = Transport::network()?;
        let wall: Arc<dyn Clock> = Arc::new(SystemClock);
        let listings = feed::listings(&data, &base_url, Arc::clone(&wall)).await?;
        let prices = FedPrices { source: base_url, listings };
        let options = options(settings, 1.0, None, Some(state));
        let opening = move |options, wall| open(options, prices, wall);
        let mut venue = Self::embedded_by(opening, options, wall).await?;
        let Some(world) = venue.world.clone() else { return Ok(venue) };
        venue.id = format!("fed:{}", world.id());
        venue.built_in = false;
        venue.data = data.clone();
        let symbols = followed(settings, &world);
        let simsar = SimsarOptions {
            addresses: sources(settings),
            finnhub_token: None,
            symbols: symbols.clone(),
            concurrency: FEED_CONCURRENCY,
            built_in: false,
            data_dir: None,
        };
        let simsar = Simsar::new(simsar, data, Arc::clone(&venue.clock));
        let source = feed::Source { simsar, connector: SocketConnector::network(), ws_url };
        venue.feed = Some(Feed::start(Arc::clone(&world), source, symbols.clone()));
        venue.silent = feed::first_prices(&world, &symbols, FIRST_PRICES).await;
        Ok(venue)
    }
}

/// Where real prices are read and heard, or what stands in for that on this machine.
pub(super) fn real_market(settings: &Settings) -> (String, String) {
    match &settings.market.base_url {
        Some(stand_in) => (stand_in.clone(), stand_in.replacen("http", "ws", 1)),
        None => (REAL_REST.to_owned(), REAL_STREAMS.to_owned()),
    }
}

/// Where the data providers are, or what stands in for all of them on this machine.
pub fn sources(settings: &Settings) -> SourceAddresses {
    match &settings.market.base_url {
        Some(stand_in) => SourceAddresses::one_host(stand_in),
        None => SourceAddresses::real(),
    }
}

/// The contracts whose prices are told to a world: those of the accounts, and whatever else is still held there.
fn followed(settings: &Settings, world: &World) -> Vec<Symbol> {
    let enabled = settings.accounts.iter().filter(|account| account.enabled);
    let own = enabled.flat_map(|account| &account.symbols);
    let exposed = world.exposed_symbols();
    let wanted = Symbol::each_once(own.chain(&exposed));
    let (listed, strange): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|symbol| world.lists(symbol));
    for symbol in strange {
        tracing::warn!(%symbol, "this contract is not traded where the prices come from: it has no price");
    }
    listed
}
