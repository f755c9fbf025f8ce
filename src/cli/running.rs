//! A desk at work behind consoles: in `jarvis` behind one of this process, in `jarvis serve` behind none.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::failure::Failure;
use super::heartbeat::Heartbeat;
use super::reception::Reception;
use super::socket::{self, Door};
use super::venue::Venue;
use super::{desk, setup};
use crate::config::Loaded;
use crate::desk::{Floor, Streams, TaskDied};
use crate::domain::{Event, Severity};
use crate::store::Start;

/// Commands that may wait for the desk.
const COMMANDS: usize = 16;

/// A desk at work.
pub struct Running {
    floor: Arc<Floor>,
    venue: Venue,
    driver: Option<JoinHandle<()>>,
    heartbeat: Heartbeat,
    start: Start,
    service: JoinHandle<Result<(), TaskDied>>,
    door: Door,
    /// Lets consoles in.
    pub reception: Reception,
}

impl Running {
    /// Opens the journal, the venue and the desk, lets it recover, and sets it to work. Consoles may come in by the
    /// socket in the data folder from then on.
    pub async fn start(
        loaded: Loaded,
        world_url: Option<String>,
        data_dir: PathBuf,
        step: impl Fn(&str),
    ) -> Result<Self, Failure> {
        step("opening the journal");
        let install = setup::install_id(&data_dir)?;
        let start = setup::start(&data_dir, loaded.settings.dry_run)?;
        let heartbeat = Heartbeat::start()?;
        let (store, lost) = setup::journal(&data_dir, &start).await?;
        step("building the market");
        let venue = Venue::open(&loaded.settings, world_url.as_deref(), &data_dir).await?;
        step("reading accounts and settling what was left open");
        let floor =
            desk::open(&loaded.settings, &loaded.directory, &venue, &store, install, Some(&data_dir)).await?;
        desk::doubt(&floor, &start, lost, &data_dir).await?;
        if let Some(text) = venue.without_prices() {
            floor.bulletin().record(None, Event::Alarm { severity: Severity::Warning, text });
        }
        let driver = venue.world.clone().map(|world| tokio::spawn(Arc::clone(&world).drive()));
        // A newcomer on the offline world sees the desk at work within seconds.
        let first_cycle = venue.built_in && floor.is_new().await?;
        let streams = Streams { connector: venue.connector.clone(), ws_url: venue.ws_url.clone() };
        let (orders, commands) = mpsc::channel(COMMANDS);
        let reception = Reception::new(Arc::clone(&floor), orders);
        let door = socket::open(&data_dir, reception.clone())?;
        let serving = Arc::clone(&floor);
        let service = tokio::spawn(async move { serving.serve(streams, commands, first_cycle).await });
        Ok(Self { floor, venue, driver, heartbeat, start, service, door, reception })
    }

    /// Waits until the desk ends without having been asked to, which is never in order.
    pub async fn died(&mut self) -> Failure {
        let reason = match (&mut self.service).await {
            Ok(Ok(())) => "the desk ended by itself".to_owned(),
            Ok(Err(died)) => died.to_string(),
            Err(error) => error.to_string(),
        };
        self.start.desk_died();
        match self.venue.save() {
            Ok(()) => Failure::internal(reason),
            Err(unsaved) => Failure::internal(format!("{reason}; and {}", unsaved.message())),
        }
    }

    /// Ends the desk in order: nothing between send and stop is cut off, and the world is written down.
    pub async fn end(self) -> Result<(), Failure> {
        drop(self.door);
        self.floor.end();
        let ended = match self.service.await {
            Ok(ended) => ended.map_err(|died| died.to_string()),
            Err(error) => Err(error.to_string()),
        };
        drop(self.heartbeat);
        if ended.is_err() {
            self.start.desk_died();
        }
        self.floor.bulletin().flush().await;
        if let Some(driver) = self.driver {
            driver.abort();
        }
        self.venue.save()?;
        ended.map_err(Failure::internal)
    }
}
