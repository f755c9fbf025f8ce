//! `jarvis`: the console with the desk inside.
//!
//! The console draws its first frame at once; the world, the store and the desk come up behind it.

use std::io::IsTerminal;
use std::process::ExitCode;

use tokio::sync::mpsc;

use super::arguments::{Color, Global};
use super::failure::{Failure, INTERRUPTED};
use super::reception::Rights;
use super::running::Running;
use super::{logs, setup};
use crate::config::Loaded;
use crate::console::{ColorChoice, ColorDepth, ConsoleOptions, Exit, Habits, Theme};
use crate::domain::Feed;
use crate::store::DeskLock;

/// Runs the command.
pub async fn run(global: &Global, read_only: bool) -> Result<ExitCode, Failure> {
    let loaded = setup::settings(global)?;
    let options = options(global, &loaded, read_only)?;
    let data_dir = setup::data_dir(global)?;
    let _lock = DeskLock::acquire(&data_dir)?;
    let _logs = logs::to_file(global, &data_dir)?;
    let (feeds, fed) = mpsc::channel(1024);
    let (requests, asked) = mpsc::channel(16);
    let world_url = global.world.clone();
    let mut starting = tokio::spawn(async move {
        let running = Running::start(loaded, world_url, data_dir, |step| {
            // A console that is gone needs no progress; the select below notices by itself.
            let _ = feeds.try_send(Feed::Starting { step: step.to_owned() });
        })
        .await?;
        tokio::spawn(running.reception.clone().attend(rights(read_only), asked, feeds));
        Ok::<_, Failure>(running)
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
    let mut running = started.inspect_err(|_| crate::console::terminal::restore())?;
    tokio::select! {
        exit = console => {
            let exit = exit?;
            leave(exit, Some(running)).await
        }
        failure = running.died() => {
            crate::console::terminal::restore();
            Err(failure)
        }
    }
}

/// What a console of this terminal is told about its operator.
pub fn options(global: &Global, loaded: &Loaded, read_only: bool) -> Result<ConsoleOptions, Failure> {
    if global.json {
        return Err(Failure::usage("the console has no JSON to print; `jarvis cycle --json` does"));
    }
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(Failure::failed(
            "the console needs a terminal; --plain prints a log of lines without one",
        ));
    }
    let theme = Theme::load(&loaded.settings.console.theme, Some(&loaded.directory));
    let habits = Habits::new(&loaded.settings.console, setup::environment, false);
    let file = loaded.file.as_deref();
    Ok(ConsoleOptions {
        theme: theme.map_err(|error| Failure::from(error).in_file(file))?,
        read_only,
        color: ColorDepth::detect(color(global.color), setup::environment),
        habits: habits.map_err(|error| Failure::from(error).in_file(file))?,
    })
}

fn rights(read_only: bool) -> Rights {
    if read_only { Rights::Watch } else { Rights::Command }
}

async fn leave(exit: Exit, running: Option<Running>) -> Result<ExitCode, Failure> {
    if let Some(running) = running {
        running.end().await?;
    }
    Ok(exit_code(exit))
}

/// How the process ends when its console ended so.
pub fn exit_code(exit: Exit) -> ExitCode {
    match exit {
        Exit::Quit | Exit::Signal(1 | 15) | Exit::TerminalGone => ExitCode::SUCCESS,
        Exit::Signal(_) => ExitCode::from(INTERRUPTED),
    }
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
