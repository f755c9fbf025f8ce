//! The offline world: everything made up lives here. It speaks the real wires and shares no wire type with the clients.

pub mod analyst;
mod clock;
mod control;
mod core;
pub mod engine;
pub mod fapi;
pub mod faults;
mod fed;
mod histories;
pub mod market;
mod opening;
mod play;
pub mod sources;
mod state;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use axum::{Router, middleware};
use rust_decimal::Decimal;
use sha2::{Digest, Sha256};

use self::clock::WorldClock;
pub(crate) use self::core::Core;
use self::engine::Happening;
use self::fapi::feed::Feed;
pub use self::fapi::socket::WorldSocket;
use self::faults::Faults;
pub use self::fed::{FedPrices, MissedFunding, Told};
pub use self::histories::Histories;
use self::market::{Market, MarketError};
use self::opening::{Given, created, kept, resumed};
use self::sources::{MacroError, MacroFiles};
use self::state::{Jump, Keeper, SavedWorld};
use crate::domain::{AccountName, Clock, Symbol, Timestamp, Usdt};

/// After how many seconds a driven world writes down how far time has come.
const SAVE_EVERY_TICKS: u32 = 30;

/// Recorded prices instead of made-up ones.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Folder of candle files.
    pub candles: PathBuf,
    /// Where market time starts.
    pub from: Timestamp,
    /// Folder of recorded Fear & Greed, US30, news and calendar, if any.
    pub macro_dir: Option<PathBuf>,
}

/// How a world is set up.
#[derive(Debug, Clone)]
pub struct WorldOptions {
    /// Everything random comes from it.
    pub seed: u64,
    /// The accounts of the exchange. Beside a state file: those it does not know yet are opened, and those it knows stay.
    pub accounts: Vec<AccountName>,
    /// What each account starts with.
    pub balance: Usdt,
    /// Seconds of market time in one second of wall time; 0 stands still.
    pub speed: f64,
    /// Pause of the analyst between two pieces of streamed text.
    pub token_delay: Duration,
    /// Whether rate limits refuse requests, or are only reported.
    pub enforce_limits: bool,
    /// Recorded prices instead of made-up ones.
    pub recorded: Option<Recorded>,
    /// Where the world is kept; without it, it is forgotten.
    pub state_file: Option<PathBuf>,
}

/// What is wrong with a world.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The state file cannot be read or written.
    #[error("the world's state {path}: {reason}; move the file away to start afresh")]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The state file belongs to another world.
    #[error(
        "the world's state {path} was made from other prices; give the same source of prices as then (--candles and \
         --from, or the address they are told by), or another file"
    )]
    OtherOrigin {
        /// The file.
        path: PathBuf,
    },
    /// A world whose prices are told from outside, at a time of its own or with recorded prices beside.
    #[error("prices that are told from outside run at the speed of 1, and without recorded candles")]
    FedTime,
    /// A speed that is no speed.
    #[error("a speed of {0} is not possible; give 0 to stand still, 1 for real time, up to 1000000")]
    Speed(f64),
    /// Prices cannot be made or read.
    #[error(transparent)]
    Market(#[from] MarketError),
    /// Recorded figures beside the candles cannot be read.
    #[error(transparent)]
    Macro(#[from] MacroError),
}

/// The keys of an account of this world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorldKey {
    /// The account.
    pub name: AccountName,
    /// What goes into the `X-MBX-APIKEY` header.
    pub api_key: String,
    /// What signs. It opens nothing but this world.
    pub api_secret: String,
}

/// An offline world.
pub struct World {
    options: WorldOptions,
    /// Who tells its prices, if they come from outside.
    fed: Option<FedPrices>,
    clock: Arc<WorldClock>,
    market: Arc<RwLock<Market>>,
    core: Mutex<Core>,
    /// What keeps it on disk, if anything does; locked after the core.
    keeper: Option<Mutex<Keeper>>,
    feed: Feed,
    faults: Arc<Faults>,
    sources: Router,
    analyst: analyst::Analyst,
    fresh: bool,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("options", &self.options).finish_non_exhaustive()
    }
}

impl World {
    /// A fresh world, or the one kept in the state file with the time since played through.
    pub fn open(options: WorldOptions, wall: Arc<dyn Clock>) -> Result<Arc<Self>, WorldError> {
        let saved = kept(&options)?;
        Self::begin(options, Given::default(), saved, wall)
    }

    /// The same for whoever opens many worlds of one seed and hour: what was made before is not made anew.
    pub fn open_from(
        histories: &Histories,
        options: WorldOptions,
        wall: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, WorldError> {
        let saved = kept(&options)?;
        let given = Given { histories: Some(histories), fed: None };
        Self::begin(options, given, saved, wall)
    }

    /// The same for somebody who only looks: the state file is read, and what happens from here on is forgotten.
    pub fn open_unkept(mut options: WorldOptions, wall: Arc<dyn Clock>) -> Result<Arc<Self>, WorldError> {
        let saved = kept(&options)?;
        options.state_file = None;
        Self::begin(options, Given::default(), saved, wall)
    }

    fn begin(
        options: WorldOptions,
        given: Given<'_>,
        saved: Option<SavedWorld>,
        wall: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, WorldError> {
        if !options.speed.is_finite() || !(0.0..=1e6).contains(&options.speed) {
            return Err(WorldError::Speed(options.speed));
        }
        let fresh = saved.is_none();
        let wall_ms = wall.now().timestamp_millis();
        let (base, market, core) = match saved {
            Some(saved) => resumed(&options, &given, saved, wall_ms)?,
            None => created(&options, &given, wall_ms)?,
        };
        let clock = Arc::new(WorldClock::new(wall, base));
        let market = Arc::new(RwLock::new(market));
        let macro_dir = options.recorded.as_ref().and_then(|recorded| recorded.macro_dir.as_deref());
        let macro_files = macro_dir.map(MacroFiles::read).transpose()?;
        let analyst = analyst::AnalystOptions { token_delay: options.token_delay, ..Default::default() };
        let faults = Arc::new(Faults::new(options.seed));
        let world = Arc::new(Self {
            sources: sources::router(Arc::clone(&market), Arc::clone(&clock) as Arc<dyn Clock>, macro_files),
            analyst: analyst::Analyst::new(analyst),
            clock,
            market,
            core: Mutex::new(core),
            keeper: options.state_file.clone().map(|path| Mutex::new(Keeper::new(path))),
            feed: Feed::new(Arc::clone(&faults)),
            faults,
            fresh,
            fed: given.fed,
            options,
        });
        let mut core = world.core();
        world.settle(&mut core);
        world.finish(&mut core);
        drop(core);
        Ok(world)
    }

    /// Whether this world began with this opening, instead of being loaded.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Names this world among all others: a fresh one has another name, a resumed one keeps its own.
    pub fn id(&self) -> String {
        let core = self.core();
        let named = format!("{} {} {:?}", core.seed, core.created_ms, core.origin);
        hex::encode(&Sha256::digest(named)[..6])
    }

    /// Everything on one port: exchange, sources, model and controls. Where prices are told from outside,
    /// the exchange alone: the rest is asked where the prices come from.
    pub fn router(self: &Arc<Self>) -> Router {
        if self.fed.is_some() {
            return fapi::router(Arc::clone(self));
        }
        let weather = middleware::from_fn_with_state(Arc::clone(self), faults::layer::weather);
        self.served().layer(weather).merge(control::router(Arc::clone(self)))
    }

    /// The same without bad weather, for whoever judges what the weather did.
    pub fn calm_router(self: &Arc<Self>) -> Router {
        self.served().merge(control::router(Arc::clone(self)))
    }

    fn served(self: &Arc<Self>) -> Router {
        let settling = middleware::from_fn_with_state(Arc::clone(self), settle_first);
        fapi::router(Arc::clone(self))
            .merge(self.sources.clone().layer(settling))
            .merge(self.analyst.router())
    }

    /// The analyst, to give it a bad day or end one.
    pub fn analyst(&self) -> &analyst::Analyst {
        &self.analyst
    }

    /// Market time.
    pub fn clock(self: &Arc<Self>) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }

    /// The accounts' keys, derived from seed and name.
    pub fn keys(&self) -> Vec<WorldKey> {
        self.core().keys().to_vec()
    }

    /// Opens a websocket without a network. `path_and_query` as in the URL, such as `/market/stream?streams=…`.
    ///
    /// Needs a tokio runtime. A path that is none of the exchange's closes at once.
    pub fn open_socket(self: &Arc<Self>, path_and_query: &str) -> WorldSocket {
        fapi::socket::open(Arc::clone(self), path_and_query)
    }

    /// Brings prices, funding, triggers and liquidations to the present and tells the streams.
    pub fn step(&self) {
        self.run_timed_faults();
        let mut core = self.core();
        if self.clock.now_ms() > core.played_ms {
            core.ticked_ms = self.settle(&mut core);
        } else {
            // Market time stands still: whoever changed anything since has played it to the end. Only the wall's time
            // goes on.
            core.vanish(self.clock.wall_ms());
            core.ticked_ms = core.played_ms;
        }
        self.finish(&mut core);
        drop(core);
        self.feed.tick();
    }

    /// Steps once a second of wall time for ever. What happened is saved at once, how far time has come every
    /// half minute.
    pub async fn drive(self: Arc<Self>) {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut ticks = 0_u32;
        loop {
            second.tick().await;
            self.step();
            ticks = ticks.wrapping_add(1);
            if ticks.is_multiple_of(SAVE_EVERY_TICKS) {
                self.remember_time();
            }
        }
    }

    /// Writes the state file, if there is one: the same world gives the same bytes.
    pub fn save(&self) -> Result<(), WorldError> {
        let mut core = self.core();
        core.engine.forget_changes();
        self.save_core(&mut core, &[])
    }

    /// Moves market time forward by whole seconds, playing through everything on the way. Never goes back; where prices
    /// are told from outside, market time is wall time and stays it.
    pub fn advance(&self, seconds: i64) {
        if self.fed.is_some() {
            return;
        }
        let mut core = self.core();
        self.clock.advance_ms(seconds.max(0).saturating_mul(1000));
        core.dirty = true;
        self.settle(&mut core);
        self.finish(&mut core);
        if core.played_ms - core.ticked_ms >= 1000 {
            core.ticked_ms = core.played_ms;
            self.feed.tick();
        }
    }

    /// From now on the path of `symbol` continues from `price`, with everything that triggers.
    pub fn set_price(&self, symbol: &Symbol, price: Decimal) -> Result<(), WorldError> {
        let mut core = self.core();
        let now = self.settle(&mut core);
        if let Ok(contract) = core.engine.contract(symbol)
            && !(contract.min_price..=contract.max_price).contains(&price)
        {
            let tick = contract.listing.tick;
            return Err(MarketError::BadPrice { symbol: symbol.clone(), price, tick }.into());
        }
        self.market.write().unwrap_or_else(PoisonError::into_inner).jump(symbol, now, price)?;
        core.dirty = true;
        self.settle(&mut core);
        self.finish(&mut core);
        drop(core);
        self.feed.tick();
        Ok(())
    }

    /// Starts over: accounts, prices and time as a fresh world of the same options has them.
    pub fn reset(&self) -> Result<(), WorldError> {
        let given = Given { histories: None, fed: self.fed.clone() };
        let (base, market, core) = created(&self.options, &given, self.clock.wall_ms())?;
        let mut present = self.core();
        *self.market.write().unwrap_or_else(PoisonError::into_inner) = market;
        self.clock.rebase(base);
        *present = core;
        present.dirty = true;
        self.faults.forget();
        self.settle(&mut present);
        self.finish(&mut present);
        drop(present);
        self.feed.tick();
        Ok(())
    }

    pub(crate) fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn market(&self) -> RwLockReadGuard<'_, Market> {
        self.market.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wall_ms(&self) -> i64 {
        self.clock.wall_ms()
    }

    pub(crate) fn feed(&self) -> &Feed {
        &self.feed
    }

    pub(crate) fn enforces_limits(&self) -> bool {
        self.options.enforce_limits
    }

    pub(crate) fn speed(&self) -> f64 {
        self.clock.speed()
    }

    /// Plays the books to the present; [`World::finish`] must follow. Returns market time, ms.
    pub(crate) fn settle(&self, core: &mut Core) -> i64 {
        let now = self.clock.now_ms().max(core.played_ms);
        // Asking first lets those who only read prices read on: a writer waits for all of them.
        if !self.market().reaches(now) {
            self.market.write().unwrap_or_else(PoisonError::into_inner).extend_to(now);
        }
        while let Some(at) = core.next_countdown(now) {
            play::play(&mut core.engine, &self.market(), core.played_ms, at);
            core.played_ms = at;
            core.run_countdowns(at);
        }
        play::play(&mut core.engine, &self.market(), core.played_ms, now);
        core.played_ms = now;
        core.vanish(self.clock.wall_ms());
        now
    }

    /// Saves what changed and then tells the streams: what anybody was told must survive a crash.
    pub(crate) fn finish(&self, core: &mut Core) {
        let happenings = core.engine.drain_happenings();
        if core.dirty || !happenings.is_empty() {
            self.feed.forget_rendered();
            if let Err(error) = self.save_core(core, &happenings) {
                tracing::error!(%error, "the world could not be saved");
            }
        }
        if happenings.is_empty() {
            return;
        }
        let wall_ms = self.clock.wall_ms();
        if self.feed.is_heard() {
            for happening in &happenings {
                fapi::user_stream::publish(&self.feed, &core.engine, happening, wall_ms);
            }
        }
        core.heard.note(happenings, wall_ms);
    }

    /// Marks the books as changed by a request that the engine does not report.
    pub(crate) fn touch(core: &mut Core) {
        core.dirty = true;
    }

    /// While something is at stake, the state file must not fall far behind: what was seen not to happen must not
    /// happen when the time is played again.
    fn remember_time(&self) {
        let mut core = self.core();
        core.dirty |= core.engine.is_exposed() && self.speed() > 0.0;
        self.finish(&mut core);
    }

    /// Keeps what changed, given everything the engine reported since the last time.
    fn save_core(&self, core: &mut Core, happenings: &[Happening]) -> Result<(), WorldError> {
        core.dirty = false;
        let Some(keeper) = &self.keeper else { return Ok(()) };
        let changes = core.engine.changes(happenings);
        let mut keeper = keeper.lock().unwrap_or_else(PoisonError::into_inner);
        let jumps = self
            .market()
            .jumps()
            .iter()
            .map(|(at_ms, symbol, price)| Jump { at_ms: *at_ms, symbol: symbol.clone(), price: *price })
            .collect::<Vec<_>>();
        let heard = self.market().heard().clone();
        let kept = match changes {
            Some(changes) if keeper.continues() => {
                let face = (core.countdowns(), core.margin_moves.as_slice());
                keeper.add(self.clock.base(), core.played_ms, &jumps, heard, changes, face)
            }
            _ => keeper.write(&SavedWorld {
                version: SavedWorld::VERSION,
                seed: core.seed,
                created_ms: core.created_ms,
                origin: core.origin.clone(),
                clock: self.clock.base(),
                played_ms: core.played_ms,
                jumps,
                heard,
                engine: Cow::Borrowed(core.engine.state()),
                countdowns: core.countdowns(),
                margin_moves: Cow::Borrowed(&core.margin_moves),
            }),
        };
        // What could not be written is tried again with the next change, as a whole.
        kept.inspect_err(|_| {
            core.dirty = true;
            core.engine.forget_changes();
        })
    }
}

/// Brings the market to the present before a source reads it.
async fn settle_first(State(world): State<Arc<World>>, request: Request, next: Next) -> Response {
    {
        let mut core = world.core();
        world.settle(&mut core);
        world.finish(&mut core);
    }
    next.run(request).await
}
