//! Where a desk trades: the embedded world, a world served elsewhere, or an exchange.

mod fed;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use secrecy::SecretString;
use serde::Deserialize;
use tokio::task::JoinHandle;

pub use self::fed::sources;
use super::arguments::RecordedOptions;
use super::embedded::joined;
use super::failure::Failure;
use super::feed::Feed;
use super::setup::environment;
use crate::config::{self, AccountSettings, Settings};
use crate::domain::{AccountName, Clock, Mode, Symbol, SystemClock, Timestamp};
use crate::exchange::Credentials;
use crate::net::{RetryPolicy, SocketConnector, Transport};
use crate::world::{Recorded, World, WorldError, WorldOptions};

/// Stands for the embedded world in URLs; nothing ever looks it up.
const EMBEDDED: &str = "embedded-world";
/// How often a served world's clock is read again.
const CLOCK_PERIOD: Duration = Duration::from_secs(1);
/// Largest answer of a world's own endpoints.
const WORLD_ANSWER: usize = 64 * 1024 * 1024;
/// Time a world may take to answer.
const WORLD_TIME: Duration = Duration::from_secs(10);

/// Binance itself.
const REAL_REST: &str = "https://fapi.binance.com";
const REAL_STREAMS: &str = "wss://fstream.binance.com";

/// Everything a desk must know about the place it trades at.
pub struct Venue {
    /// Tells one venue's records from another's in the store.
    pub id: String,
    /// Sends requests there.
    pub transport: Transport,
    /// Reads prices, news and the calendar: another way only where paper money meets real prices.
    pub data: Transport,
    /// Opens sockets there.
    pub connector: SocketConnector,
    /// Base of all requests.
    pub base_url: String,
    /// Base of all sockets.
    pub ws_url: String,
    /// Market time.
    pub clock: Arc<dyn Clock>,
    /// Wall time, as the venue counts it for signatures.
    pub wall: Arc<dyn Clock>,
    /// The accounts' keys, in order.
    pub keys: Vec<(AccountName, Credentials)>,
    /// Whether everything here is made up, prices included.
    pub built_in: bool,
    /// Whether rate limits are enforced here, so that it is wise to stay below them.
    pub limited: bool,
    /// The embedded world, if that is what it is.
    pub world: Option<Arc<World>>,
    /// Coins that had no price when the desk began; only where prices come from outside.
    pub silent: Vec<Symbol>,
    /// Tells the embedded world real prices.
    feed: Option<Feed>,
    /// Keeps a served world's clock right.
    clock_keeper: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Venue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Venue({})", self.id)
    }
}

impl Drop for Venue {
    fn drop(&mut self) {
        if let Some(keeper) = &self.clock_keeper {
            keeper.abort();
        }
    }
}

impl Venue {
    /// The place the settings and the command line name.
    pub async fn open(
        settings: &Settings,
        world_url: Option<&str>,
        data_dir: &Path,
    ) -> Result<Self, Failure> {
        match (world_url, settings.mode) {
            (Some(url), _) => Self::served(url).await,
            (None, _) if settings.is_paper_on_real_prices() => {
                let state = data_dir.join(fed::STATE);
                Self::fed(World::open_fed, settings, &state).await
            }
            (None, Mode::Paper) if settings.exchange.base_url.is_none() => {
                let state = data_dir.join("world.json");
                Self::embedded(options(settings, settings.world.speed, None, Some(&state))).await
            }
            (None, _) => Self::exchange(settings),
        }
    }

    /// The same place for somebody who only reads prices: no keys, and an embedded world that is not written down.
    pub async fn for_reading(settings: &Settings, world_url: Option<&str>) -> Result<Self, Failure> {
        match (world_url, settings.mode) {
            (Some(url), _) => Self::served(url).await,
            (None, _) if settings.is_paper_on_real_prices() => {
                let (base_url, ws_url) = fed::real_market(settings);
                Self::elsewhere("binance", base_url, ws_url, Vec::new())
            }
            (None, Mode::Paper) => Self::embedded(options(settings, settings.world.speed, None, None)).await,
            (None, Mode::Testnet | Mode::Live) => Self::exchange_with(settings, Vec::new()),
        }
    }

    /// The same place, accounts included, for somebody who only looks: an embedded world is the one kept in the data
    /// folder, and nothing is written into it.
    pub async fn for_looking(
        settings: &Settings,
        world_url: Option<&str>,
        data_dir: &Path,
    ) -> Result<Self, Failure> {
        if world_url.is_none() && settings.is_paper_on_real_prices() {
            return Self::fed(World::open_fed_unkept, settings, &data_dir.join(fed::STATE)).await;
        }
        if world_url.is_none() && settings.mode == Mode::Paper && settings.exchange.base_url.is_none() {
            let state = data_dir.join("world.json");
            let options = options(settings, settings.world.speed, None, Some(&state));
            return Self::embedded_by(World::open_unkept, options, Arc::new(SystemClock)).await;
        }
        Self::open(settings, world_url, data_dir).await
    }

    /// A fresh embedded world over recorded candles that stands still.
    pub async fn recorded(settings: &Settings, recorded: &RecordedOptions) -> Result<Self, Failure> {
        let recorded = recorded.candles.clone().zip(recorded.from);
        let recorded = recorded.map(|(candles, from)| Recorded { candles, from, macro_dir: None });
        Self::embedded(options(settings, 0.0, recorded, None)).await
    }

    async fn embedded(options: WorldOptions) -> Result<Self, Failure> {
        Self::embedded_at(options, Arc::new(SystemClock)).await
    }

    /// An embedded world on any wall clock, such as the one pictures are drawn from.
    pub async fn embedded_at(options: WorldOptions, wall: Arc<dyn Clock>) -> Result<Self, Failure> {
        Self::embedded_by(World::open, options, wall).await
    }

    async fn embedded_by(
        open: impl FnOnce(WorldOptions, Arc<dyn Clock>) -> Result<Arc<World>, WorldError> + Send + 'static,
        options: WorldOptions,
        wall: Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        let world_wall = Arc::clone(&wall);
        let world = tokio::task::spawn_blocking(move || open(options, world_wall))
            .await
            .map_err(|error| Failure::internal(error.to_string()))??;
        let keys = world
            .keys()
            .into_iter()
            .map(|key| (key.name, credentials(key.api_key, key.api_secret)))
            .collect();
        let sockets = Arc::clone(&world);
        let transport = Transport::in_process(world.router());
        Ok(Self {
            id: format!("world:{}", world.id()),
            data: transport.clone(),
            transport,
            connector: SocketConnector::from_fn(move |url| {
                let path = url.split_once(EMBEDDED).map_or(url.as_str(), |(_, path)| path).to_owned();
                let socket = sockets.open_socket(&path);
                Box::pin(async move { Ok(joined(socket)) })
            }),
            base_url: format!("http://{EMBEDDED}"),
            ws_url: format!("ws://{EMBEDDED}"),
            clock: world.clock(),
            wall,
            keys,
            built_in: true,
            limited: false,
            world: Some(world),
            silent: Vec::new(),
            feed: None,
            clock_keeper: None,
        })
    }

    /// A world served by `jarvis world`.
    async fn served(url: &str) -> Result<Self, Failure> {
        let base_url = url.trim_end_matches('/').to_owned();
        let rest = base_url.strip_prefix("http://").ok_or_else(|| {
            Failure::usage(format!(
                "--world {url}: write the base_url that `jarvis world` prints, such as http://127.0.0.1:4711"
            ))
        })?;
        let transport = Transport::network()?;
        let state: WorldState = read(&transport, &format!("{base_url}/world/state")).await?;
        let clock = Arc::new(ServedClock::new(read(&transport, &format!("{base_url}/world/clock")).await?));
        let keeper = tokio::spawn(keep_clock(Arc::clone(&clock), transport.clone(), base_url.clone()));
        Ok(Self {
            id: format!("world:{}", state.id),
            data: transport.clone(),
            transport,
            connector: SocketConnector::network(),
            ws_url: format!("ws://{rest}"),
            base_url,
            clock,
            wall: Arc::new(SystemClock),
            keys: state
                .accounts
                .into_iter()
                .map(|key| (key.name, credentials(key.api_key, key.api_secret)))
                .collect(),
            built_in: true,
            limited: state.limited,
            world: None,
            silent: Vec::new(),
            feed: None,
            clock_keeper: Some(keeper),
        })
    }

    /// An exchange: the test network, the real one, or a loopback stand-in for either.
    fn exchange(settings: &Settings) -> Result<Self, Failure> {
        let keys = settings
            .accounts
            .iter()
            .filter(|account| account.enabled)
            .map(|account| Ok((account.name.clone(), own_keys(account)?)))
            .collect::<Result<Vec<_>, Failure>>()?;
        Self::exchange_with(settings, keys)
    }

    fn exchange_with(settings: &Settings, keys: Vec<(AccountName, Credentials)>) -> Result<Self, Failure> {
        let (rest, sockets) = match settings.mode {
            Mode::Live => (REAL_REST, REAL_STREAMS),
            Mode::Testnet | Mode::Paper => {
                ("https://demo-fapi.binance.com", "wss://fstream.binancefuture.com")
            }
        };
        let base_url = settings.exchange.base_url.clone().unwrap_or_else(|| rest.to_owned());
        let ws_url = settings.exchange.ws_url.clone().unwrap_or_else(|| match &settings.exchange.base_url {
            Some(base) => base.replacen("http", "ws", 1),
            None => sockets.to_owned(),
        });
        Self::elsewhere(settings.mode.as_str(), base_url, ws_url, keys)
    }

    /// A place that is reached over the network and keeps wall time.
    fn elsewhere(
        kind: &str,
        base_url: String,
        ws_url: String,
        keys: Vec<(AccountName, Credentials)>,
    ) -> Result<Self, Failure> {
        let transport = Transport::network()?;
        Ok(Self {
            id: format!("{kind}:{base_url}"),
            data: transport.clone(),
            transport,
            connector: SocketConnector::network(),
            base_url,
            ws_url,
            clock: Arc::new(SystemClock),
            wall: Arc::new(SystemClock),
            keys,
            built_in: false,
            limited: true,
            world: None,
            silent: Vec::new(),
            feed: None,
            clock_keeper: None,
        })
    }

    /// What an operator should know when coins had no price at the start.
    pub fn without_prices(&self) -> Option<String> {
        let coins: Vec<&str> = self.silent.iter().map(Symbol::as_str).collect();
        let told =
            || format!("no price heard yet: {}; nothing trades there until there is one", coins.join(" "));
        (!coins.is_empty()).then(told)
    }

    /// Writes an embedded world down.
    pub fn save(&self) -> Result<(), Failure> {
        match &self.world {
            Some(world) => Ok(world.save()?),
            None => Ok(()),
        }
    }
}

fn options(
    settings: &Settings,
    speed: f64,
    recorded: Option<Recorded>,
    state: Option<&Path>,
) -> WorldOptions {
    WorldOptions {
        seed: settings.world.seed,
        accounts: settings
            .accounts
            .iter()
            .filter(|account| account.enabled)
            .map(|account| account.name.clone())
            .collect(),
        balance: settings.world.balance,
        speed,
        // A console shows the text as it is written; a command that exits has nobody to watch it.
        token_delay: Duration::from_millis(if recorded.is_some() {
            0
        } else {
            settings.world.token_delay_ms
        }),
        enforce_limits: false,
        recorded,
        state_file: state.map(Path::to_owned),
    }
}

fn credentials(key: String, secret: String) -> Credentials {
    Credentials { api_key: SecretString::from(key), api_secret: SecretString::from(secret) }
}

fn own_keys(account: &AccountSettings) -> Result<Credentials, Failure> {
    let (Some(key), Some(secret)) = (&account.api_key, &account.api_secret) else {
        return Err(Failure::failed(format!(
            "account {}: no keys; name their environment variables with api_key_env and api_secret_env",
            account.name
        )));
    };
    Ok(Credentials {
        api_key: config::secret(key, &environment)?,
        api_secret: config::secret(secret, &environment)?,
    })
}

#[derive(Deserialize)]
struct WorldState {
    id: String,
    /// Whether the world enforces its rate limits; a world that does not say so does not.
    #[serde(default)]
    limited: bool,
    accounts: Vec<WorldAccount>,
}

#[derive(Deserialize)]
struct WorldAccount {
    name: AccountName,
    api_key: String,
    api_secret: String,
}

#[derive(Deserialize)]
struct ClockReading {
    market_time: Timestamp,
    speed: f64,
}

async fn read<T: for<'de> Deserialize<'de>>(transport: &Transport, url: &str) -> Result<T, Failure> {
    let request = Request::get(url)
        .body(Bytes::new())
        .map_err(|error| Failure::failed(format!("{url} is not an address: {error}")))?;
    let answer = transport.fetch_retrying(request, WORLD_TIME, WORLD_ANSWER, RetryPolicy::READS).await?;
    if !answer.status.is_success() {
        return Err(Failure::failed(format!("{url} answered {}; is it a `jarvis world`?", answer.status)));
    }
    serde_json::from_slice(&answer.body)
        .map_err(|error| Failure::failed(format!("{url} is not a `jarvis world` of this version: {error}")))
}

/// The clock of a world elsewhere: its last reading, carried on at its speed.
struct ServedClock(Mutex<(ClockReading, Timestamp)>);

impl ServedClock {
    fn new(reading: ClockReading) -> Self {
        Self(Mutex::new((reading, SystemClock.now())))
    }

    fn set(&self, reading: ClockReading) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (reading, SystemClock.now());
    }
}

impl Clock for ServedClock {
    fn now(&self) -> Timestamp {
        let reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = (SystemClock.now() - reading.1).as_seconds_f64().max(0.0);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "milliseconds since the last reading, a few seconds ago"
        )]
        let passed = chrono::TimeDelta::milliseconds((since * 1000.0 * reading.0.speed) as i64);
        reading.0.market_time + passed
    }

    fn speed(&self) -> f64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.speed
    }
}

async fn keep_clock(clock: Arc<ServedClock>, transport: Transport, base_url: String) {
    let url = format!("{base_url}/world/clock");
    loop {
        tokio::time::sleep(CLOCK_PERIOD).await;
        match read(&transport, &url).await {
            Ok(reading) => clock.set(reading),
            Err(failure) => tracing::warn!(reason = failure.message(), "the world's clock could not be read"),
        }
    }
}
