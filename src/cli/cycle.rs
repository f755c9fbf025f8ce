//! `jarvis cycle`: one cycle now, then exit.

use std::process::ExitCode;
use std::sync::Arc;

use super::arguments::{CycleOptions, Global};
use super::failure::{FAILED, Failure, PARTLY};
use super::venue::Venue;
use super::{desk, logs, setup};
use crate::domain::{CycleReport, DecisionRow, OutcomeKind, Trigger};
use crate::store::{DeskLock, FILE_NAME, Store};

/// Runs the command.
pub async fn run(global: &Global, options: &CycleOptions) -> Result<ExitCode, Failure> {
    let _logs = logs::to_stderr(global);
    let loaded = setup::settings(global)?;
    let mut settings = loaded.settings;
    settings.dry_run |= options.dry_run;
    // Nobody watches the text arrive.
    settings.world.token_delay_ms = 0;
    let data_dir = setup::data_dir(global)?;
    let _lock = DeskLock::acquire(&data_dir)?;
    let install = setup::install_id(&data_dir)?;
    let venue = if options.recorded.candles.is_some() {
        if global.world.is_some() {
            return Err(Failure::failed("--candles makes a world of its own; leave out --world"));
        }
        Venue::recorded(&settings, &options.recorded).await?
    } else {
        Venue::open(&settings, global.world.as_deref(), &data_dir).await?
    };
    let store_file = data_dir.join(FILE_NAME);
    let store = tokio::task::spawn_blocking(move || Store::open(&store_file))
        .await
        .map_err(|error| Failure::internal(error.to_string()))??;
    let driver = venue.world.clone().map(|world| tokio::spawn(Arc::clone(&world).drive()));
    let floor = desk::open(&settings, &loaded.directory, &venue, &store, install, Some(&data_dir)).await?;
    let report = floor.run_cycle(Trigger::Manual).await?;
    floor.bulletin().flush().await;
    if let Some(driver) = driver {
        driver.abort();
    }
    venue.save()?;
    if global.json {
        super::say(&serde_json::to_string(&report)?);
    } else {
        print(&report);
    }
    if !report.decisions.iter().any(is_usable) {
        let why = report.errors.first().map_or("no row of the answer was usable", String::as_str);
        super::note(&format!("jarvis: no usable decision: {}", crate::domain::Untrusted::new(why).line(200)));
    }
    Ok(exit_code(&report))
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
