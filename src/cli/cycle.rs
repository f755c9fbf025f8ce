//! `jarvis cycle`: one cycle now, then exit.

use std::process::ExitCode;
use std::sync::Arc;

use chrono::Datelike;

use super::arguments::{CycleOptions, Global};
use super::failure::{FAILED, Failure, INTERRUPTED, PARTLY};
use super::heartbeat::Heartbeat;
use super::venue::Venue;
use super::{desk, logs, serving, setup};
use crate::desk::{CycleError, Streams, playback};
use crate::domain::{CycleId, CycleReport, DecisionRow, OutcomeKind, ParityLeg, Usage, parity};
use crate::store::{CycleState, DeskLock, FILE_NAME, Store};

/// Runs the command.
pub async fn run(global: &Global, options: &CycleOptions) -> Result<ExitCode, Failure> {
    let _logs = logs::to_stderr(global);
    if let Some(cycle) = &options.played_back {
        return play_back(global, cycle).await;
    }
    // Heard from the first moment on; nothing that is between send and stop is cut off.
    let ended = serving::asked_to_end()?;
    let loaded = setup::settings(global)?;
    let mut settings = loaded.settings;
    settings.dry_run |= options.dry_run;
    // Nobody watches the text arrive.
    settings.world.token_delay_ms = 0;
    let data_dir = setup::data_dir(global)?;
    let _lock = DeskLock::acquire(&data_dir)?;
    let start = setup::start(&data_dir, settings.dry_run)?;
    let _heartbeat = Heartbeat::start()?;
    let install = setup::install_id(&data_dir)?;
    let venue = if options.recorded.candles.is_some() {
        if global.world.is_some() {
            return Err(Failure::failed("--candles makes a world of its own; leave out --world"));
        }
        Venue::recorded(&settings, &options.recorded).await?
    } else {
        Venue::open(&settings, global.world.as_deref(), &data_dir).await?
    };
    let (store, lost) = setup::journal(&data_dir, &start).await?;
    let driver = venue.world.clone().map(|world| tokio::spawn(Arc::clone(&world).drive()));
    let floor = desk::open(&settings, &loaded.directory, &venue, &store, install, Some(&data_dir)).await?;
    desk::doubt(&floor, &start, lost, &data_dir).await?;
    if let Some(text) = venue.without_prices() {
        tracing::warn!("{text}");
    }
    let streams = Streams { connector: venue.connector.clone(), ws_url: venue.ws_url.clone() };
    let mut cycle = std::pin::pin!(floor.run_single_cycle(streams));
    let (done, was_interrupted) = tokio::select! {
        done = &mut cycle => (done, false),
        () = ended => {
            floor.end();
            (cycle.await, true)
        }
    };
    let report = match done {
        Err(CycleError::Ending) => return Ok(ExitCode::from(INTERRUPTED)),
        done => done?,
    };
    for alarm in floor.bulletin().read(|present| present.alarms.clone()) {
        super::note(&format!("jarvis: {}", crate::domain::Untrusted::new(alarm.text).line(300)));
    }
    floor.bulletin().flush().await;
    if let Some(driver) = driver {
        driver.abort();
    }
    venue.save()?;
    if global.json {
        super::say(&serde_json::to_string(&report)?);
    } else {
        print(&report);
        print_parity(&store.at(&venue.id), &report).await?;
        print_cost(&store, &report).await?;
    }
    if !report.decisions.iter().any(is_usable) {
        let why = report.errors.first().map_or("no row of the answer was usable", String::as_str);
        super::note(&format!("jarvis: no usable decision: {}", crate::domain::Untrusted::new(why).line(200)));
    }
    Ok(if was_interrupted { ExitCode::from(INTERRUPTED) } else { exit_code(&report) })
}

/// Has a stored cycle again. Only the store is read, so it works beside a running desk.
async fn play_back(global: &Global, cycle: &str) -> Result<ExitCode, Failure> {
    // Nobody is asked, so no key is needed.
    let iterations = setup::settings_without_secrets(global)?.settings.model.max_iterations;
    let file = setup::data_dir(global)?.join(FILE_NAME);
    let store = tokio::task::spawn_blocking(move || Store::open_for_reading(&file))
        .await
        .map_err(|error| Failure::internal(error.to_string()))??;
    let cycle = match cycle {
        "latest" => {
            let lines = store.cycles(200).await?;
            let last = lines.into_iter().find(|line| line.state == CycleState::Finished);
            last.map(|line| line.start.id)
                .ok_or_else(|| Failure::failed("no finished cycle is stored; run `jarvis cycle` first"))?
        }
        id => CycleId::from_stored(id),
    };
    let played = playback::play_back(&store, &cycle, iterations).await?;
    if global.json {
        super::say(&serde_json::to_string(&played.report)?);
    } else {
        print(&played.report);
    }
    super::note(&format!(
        "jarvis: {} requests made again equal to the byte, sha256 of all recorded ones {}",
        played.equal_requests, played.requests_hash
    ));
    for difference in &played.differences {
        super::note(&format!("jarvis: {}", crate::domain::Untrusted::new(difference.as_str()).line(200)));
    }
    Ok(if played.differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// One plan in several accounts: a line for each coin that more than one of them has and any of them acted on.
async fn print_parity(store: &Store, report: &CycleReport) -> Result<(), Failure> {
    let fills = store.fills_of_cycle(&report.cycle_id).await?;
    for row in parity(report, &fills).into_iter().filter(|row| row.legs.len() > 1) {
        let legs: Vec<String> = row.legs.iter().map(leg).collect();
        let plan = if row.is_same_decision { "same decision" } else { "decisions differ" };
        let gap = row.gap_bps.map_or_else(String::new, |gap| format!(", {gap} bp apart"));
        super::say(&format!("parity {:<9} {plan}{gap}: {}", row.symbol, legs.join("; ")));
    }
    Ok(())
}

fn leg(leg: &ParityLeg) -> String {
    let price = leg.price.map_or_else(String::new, |price| format!(" at {price}"));
    let skipped = leg.skipped_because.as_ref().map_or_else(String::new, |why| {
        format!(" ({})", crate::domain::Untrusted::new(why.as_str()).line(60))
    });
    format!("{} {}{price}{skipped}", leg.account, leg.kind.as_str())
}

/// What the model cost: this cycle, each usable decision of it, today and this month (UTC, market time, all venues).
async fn print_cost(store: &Store, report: &CycleReport) -> Result<(), Failure> {
    let at = report.market_time;
    let midnight = |day: chrono::NaiveDate| day.and_time(chrono::NaiveTime::MIN).and_utc();
    let today = store.usage_since(midnight(at.date_naive())).await?;
    let first = at.date_naive().with_day(1).unwrap_or_else(|| at.date_naive());
    let month = store.usage_since(midnight(first)).await?;
    let this = store.model_costs(at, at + chrono::TimeDelta::milliseconds(1)).await?;
    let this = this.into_iter().find(|line| line.cycle == report.cycle_id).map(|line| line.cost);
    let each = this.and_then(|cost| cost.per_decision());
    let each = each.map_or_else(String::new, |each| format!(" (${} a decision)", each.round_dp(5)));
    super::say(&format!(
        "model: {}{each}, {} today, {} this month",
        dollars(&report.usage),
        dollars(&today),
        dollars(&month)
    ));
    Ok(())
}

/// A cost, and whether it is an estimate.
fn dollars(usage: &Usage) -> String {
    format!("${}{}", usage.cost_usd.round_dp(4), if usage.is_estimate { " est." } else { "" })
}

/// 0 when all went well, 1 without one usable decision, 4 when an account, an order or a source failed.
fn exit_code(report: &CycleReport) -> ExitCode {
    if !report.decisions.iter().any(is_usable) {
        return ExitCode::from(FAILED);
    }
    let failed = |row: &DecisionRow| matches!(row.outcome.kind, OutcomeKind::Failed | OutcomeKind::Invalid);
    // A source that only remarks on its data has given it; one without a time has given nothing.
    let source_failed =
        report.brief.sources.iter().any(|source| source.error.is_some() && source.as_of.is_none());
    if source_failed || !report.errors.is_empty() || report.decisions.iter().any(failed) {
        return ExitCode::from(PARTLY);
    }
    ExitCode::SUCCESS
}

fn is_usable(row: &DecisionRow) -> bool {
    row.proposal.decision.is_some() && row.proposal.confidence.is_some()
}

fn print(report: &CycleReport) {
    let dry = if report.dry_run { ", dry run" } else { "" };
    super::say(&format!(
        "{} at {} ({}, {}{dry}), model {} ({}), {:.0} ms",
        report.cycle_id,
        report.market_time.format("%Y-%m-%d %H:%M:%S UTC"),
        report.mode,
        report.profile.as_str(),
        report.model.id,
        report.model.provider,
        report.timings_ms.total
    ));
    super::say(&format!("\n{}\n", report.analysis.lines().trim()));
    for row in &report.decisions {
        let proposal = &row.proposal;
        super::say(&format!(
            "{:<10} {:<9} {:<9} {:>4}  {:<8} {}",
            proposal.account,
            proposal.symbol,
            proposal.decision.map_or("-", crate::domain::DecisionWord::as_str),
            proposal.confidence.map_or_else(|| "-".to_owned(), |confidence| confidence.to_string()),
            row.outcome.kind.as_str(),
            crate::domain::Untrusted::new(row.outcome.detail.as_str()).line(120),
        ));
    }
    for source in report.brief.sources.iter().filter(|source| source.error.is_some() || source.stale) {
        let what = source.error.as_deref().unwrap_or("stale");
        super::say(&format!("source {}: {}", source.name, crate::domain::Untrusted::new(what).line(160)));
    }
    for error in &report.errors {
        super::say(&format!("error: {}", crate::domain::Untrusted::new(error.as_str()).line(200)));
    }
}
