//! `jarvis simsar`: the market-data API over TCP.

use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;

use super::arguments::{Global, SimsarOptions};
use super::failure::Failure;
use super::venue::Venue;
use super::{desk, logs, serving, setup};
use crate::domain::Symbol;

/// Runs the command. It takes no lock and writes nothing: its embedded world, if any, is read and played on in memory.
pub async fn run(global: &Global, options: &SimsarOptions) -> Result<ExitCode, Failure> {
    let _logs = logs::to_stderr(global);
    let settings = setup::settings(global)?.settings;
    let (listener, address) = serving::bind(options.listen).await?;
    let venue = Venue::for_reading(&settings, global.world.as_deref()).await?;
    let symbols = Symbol::each_once(settings.accounts.iter().flat_map(|account| &account.symbols));
    let simsar = desk::simsar(&settings, &venue, symbols, None)?;
    let router = simsar.router();
    let (connector, ws_url) = (venue.connector.clone(), venue.ws_url.clone());
    let quotes = tokio::spawn(async move { simsar.follow_quotes(connector, ws_url).await });
    let ended = serving::asked_to_end()?;
    super::say(&json!({ "base_url": format!("http://{address}") }).to_string());
    let driver = venue.world.clone().map(|world| tokio::spawn(Arc::clone(&world).drive()));
    serving::serve(listener, router, ended).await?;
    quotes.abort();
    if let Some(driver) = driver {
        driver.abort();
    }
    Ok(ExitCode::SUCCESS)
}
