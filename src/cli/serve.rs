//! `jarvis serve`: the desk without a console; consoles come in by the socket in the data folder.

use std::process::ExitCode;

use super::arguments::Global;
use super::failure::Failure;
use super::running::Running;
use super::{logs, serving, setup, socket};
use crate::store::DeskLock;

/// Runs the command.
pub async fn run(global: &Global) -> Result<ExitCode, Failure> {
    let loaded = setup::settings(global)?;
    let data_dir = setup::data_dir(global)?;
    let _lock = DeskLock::acquire(&data_dir)?;
    let _logs = logs::to_file(global, &data_dir)?;
    // Heard from the first moment on: a stop during the start is an orderly end too.
    let mut ended = std::pin::pin!(serving::asked_to_end()?);
    let starting = Running::start(loaded, global.world.clone(), data_dir.clone(), |step| {
        tracing::info!(step, "starting")
    });
    let mut running = tokio::select! {
        running = starting => running?,
        () = &mut ended => return Ok(ExitCode::SUCCESS),
    };
    super::say(&serde_json::json!({ "socket": socket::place(&data_dir) }).to_string());
    tokio::select! {
        () = ended => running.end().await.map(|()| ExitCode::SUCCESS),
        failure = running.died() => Err(failure),
    }
}
