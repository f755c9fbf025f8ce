//! `jarvis world`: the offline world over TCP.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::arguments::{Global, Limits, WorldOptions as Options};
use super::failure::Failure;
use super::{logs, serving, setup};
use crate::domain::{AccountName, SystemClock, Usdt};
use crate::world::{Recorded, World, WorldOptions};

/// Runs the command.
pub async fn run(global: &Global, options: &Options) -> Result<ExitCode, Failure> {
    let _logs = logs::to_stderr(global);
    let settings = setup::settings(global)?.settings;
    let accounts: Vec<AccountName> = if options.accounts.is_empty() {
        settings
            .accounts
            .iter()
            .filter(|account| account.enabled)
            .map(|account| account.name.clone())
            .collect()
    } else {
        options.accounts.clone()
    };
    let world_options = WorldOptions {
        seed: options.seed.unwrap_or(settings.world.seed),
        accounts,
        balance: options.balance.map_or(settings.world.balance, Usdt::of),
        speed: options.speed,
        token_delay: Duration::from_millis(options.token_delay),
        enforce_limits: options.limits == Limits::Real,
        recorded: options
            .recorded
            .candles
            .clone()
            .zip(options.recorded.from)
            .map(|(candles, from)| Recorded { candles, from, macro_dir: options.macro_dir.clone() }),
        state_file: options.state.clone(),
    };
    let (listener, address) = serving::bind(options.listen).await?;
    let world = tokio::task::spawn_blocking(move || World::open(world_options, Arc::new(SystemClock)))
        .await
        .map_err(|error| Failure::internal(error.to_string()))??;
    world.analyst().set_fault(options.analyst_fault, None);
    let keys: Vec<_> = world
        .keys()
        .into_iter()
        .map(|key| json!({ "name": key.name, "api_key": key.api_key, "api_secret": key.api_secret }))
        .collect();
    let ended = serving::asked_to_end()?;
    super::say(
        &json!({
            "base_url": format!("http://{address}"),
            "ws_url": format!("ws://{address}"),
            "accounts": keys,
        })
        .to_string(),
    );
    let driver = tokio::spawn(Arc::clone(&world).drive());
    serving::serve(listener, world.router(), ended).await?;
    driver.abort();
    world.save()?;
    Ok(ExitCode::SUCCESS)
}
