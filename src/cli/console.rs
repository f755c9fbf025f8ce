//! `jarvis`: the console with the desk inside.
//!
//! The console draws its first frame at once; the world, the store and the desk come up behind it.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::arguments::{Color, Global};
use super::failure::Failure;
use super::venue::Venue;
use super::{desk, logs, reception, setup};
use crate::config::Settings;
use crate::console::{ColorChoice, ColorDepth, ConsoleOptions, Exit, Habits, Theme};
use crate::desk::{Floor, Streams};
use crate::domain::{Feed, Request};
use crate::store::{DeskLock, FILE_NAME, Store};

/// Everything that runs behind the console.
struct Behind {
    floor: Arc<Floor>,
    venue: Venue,
    driver: Option<JoinHandle<()>>,
    service: JoinHandle<Result<(), crate::desk::TaskDied>>,
}

/// Runs the command.
pub async fn run(global: &Global, read_only: bool) -> Result<ExitCode, Failure> {
    if global.json {
        return Err(Failure::usage("the console has no JSON to print; `jarvis cycle --json` does"));
    }
    let loaded = setup::settings(global)?;
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(Failure::failed("the console needs a terminal; `jarvis cycle` runs without one"));
    }
    let data_dir = setup::data_dir(global)?;
    let _lock = DeskLock::acquire(&data_dir)?;
    let _logs = logs::to_file(global, &data_dir)?;
    let options = ConsoleOptions {
        theme: Theme::load(&loaded.settings.console.theme, Some(&loaded.directory))?,
        read_only,
        color: ColorDepth::detect(color(global.color), setup::environment),
        habits: Habits::new(&loaded.settings.console, setup::environment, false)?,
    };
    let (feeds, fed) = mpsc::channel(1024);
    let (requests, asked) = mpsc::channel(16);
    let world_url = global.world.clone();
    let mut starting = tokio::spawn(async move {
        start(loaded.settings, loaded.directory, world_url, data_dir, feeds, asked).await
    });
    let mut console = std::pin::pin!(crate::console::run(fed, requests, options));
    // Whichever comes first: the operator leaves, or the start fails.
    let started = tokio::select! {
        exit = &mut console => {
            let exit = exit?;
            starting.abort();
            return leave(exit, starting.await.ok().transpose()?).await;
        }
        started = &mut starting => started.map_err(|error| Failure::internal(error.to_string()))?,
    };
    let mut behind = match started {
        Ok(behind) => behind,
        Err(failure) => {
            crate::console::terminal::restore();
            return Err(failure);
        }
    };
    tokio::select! {
        exit = console => {
            let exit = exit?;
            leave(exit, Some(behind)).await
        }
        died = &mut behind.service => {
            crate::console::terminal::restore();
            let reason = match died {
                Ok(Ok(())) => "the desk ended by itself".to_owned(),
                Ok(Err(died)) => died.to_string(),
                Err(error) => error.to_string(),
            };
            behind.venue.save()?;
            Err(Failure::internal(reason))
        }
    }
}

/// Ends the desk in order: nothing between send and stop is cut off, and the world is written down.
async fn leave(exit: Exit, behind: Option<Behind>) -> Result<ExitCode, Failure> {
    if let Some(behind) = behind {
        behind.floor.end();
        let ended = behind.service.await.map_err(|error| Failure::internal(error.to_string()))?;
        behind.floor.bulletin().flush().await;
        if let Some(driver) = behind.driver {
            driver.abort();
        }
        behind.venue.save()?;
        ended.map_err(|died| Failure::internal(died.to_string()))?;
    }
    match exit {
        Exit::Quit | Exit::Signal(1 | 15) | Exit::TerminalGone => Ok(ExitCode::SUCCESS),
        Exit::Signal(_) => Ok(ExitCode::from(130)),
    }
}

async fn start(
    settings: Settings,
    settings_dir: std::path::PathBuf,
    world_url: Option<String>,
    data_dir: std::path::PathBuf,
    feeds: mpsc::Sender<Feed>,
    requests: mpsc::Receiver<Request>,
) -> Result<Behind, Failure> {
    let step = |step: &str| {
        // A console that is gone needs no progress; the select in `run` notices by itself.
        let _ = feeds.try_send(Feed::Starting { step: step.to_owned() });
    };
    step("opening the journal");
    let install = setup::install_id(&data_dir)?;
    let store_file = data_dir.join(FILE_NAME);
    let store = tokio::task::spawn_blocking(move || Store::open(&store_file))
        .await
        .map_err(|error| Failure::internal(error.to_string()))??;
    step("building the market");
    let venue = Venue::open(&settings, world_url.as_deref(), &data_dir).await?;
    step("reading accounts and settling what was left open");
    let floor = desk::open(&settings, &settings_dir, &venue, &store, install, Some(&data_dir)).await?;
    let driver = venue.world.clone().map(|world| tokio::spawn(Arc::clone(&world).drive()));
    let (orders, commands) = mpsc::channel(16);
    tokio::spawn(reception::forward(Arc::clone(&floor), feeds.clone()));
    tokio::spawn(reception::take(Arc::clone(&floor), requests, orders, feeds));
    // A newcomer on the offline world sees the desk at work within seconds.
    let first_cycle = venue.built_in && floor.is_new().await?;
    let streams = Streams { connector: venue.connector.clone(), ws_url: venue.ws_url.clone() };
    let serving = Arc::clone(&floor);
    let service = tokio::spawn(async move { serving.serve(streams, commands, first_cycle).await });
    Ok(Behind { floor, venue, driver, service })
}

fn color(color: Color) -> ColorChoice {
    match color {
        Color::Auto => ColorChoice::Auto,
        Color::Never => ColorChoice::Never,
        Color::Sixteen => ColorChoice::Sixteen,
        Color::TwoHundredFiftySix => ColorChoice::Palette,
        Color::True => ColorChoice::True,
    }
}
