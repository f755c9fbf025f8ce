//! Where log lines go: a rotated file while the console owns the terminal, stderr otherwise. Never stdout.

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use super::arguments::Global;
use super::failure::Failure;

/// Days of logs that are kept.
const DAYS_KEPT: usize = 14;

/// Keeps the log file's writer alive; dropping it flushes.
#[derive(Debug)]
pub struct LogGuard(
    #[expect(dead_code, reason = "held for its drop")] Option<tracing_appender::non_blocking::WorkerGuard>,
);

fn level(global: &Global, usual: &str) -> EnvFilter {
    let level = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (_, 0) => usual,
        (_, 1) => "debug",
        _ => "trace",
    };
    // Only our own words: libraries log wire details that may hold keys.
    EnvFilter::new(format!("warn,jarvis={level},hyper=off,reqwest=off,tungstenite=off,rustls=off"))
}

/// Logs to stderr.
pub fn to_stderr(global: &Global) -> LogGuard {
    install(level(global, "warn"), BoxMakeWriter::new(std::io::stderr), false);
    LogGuard(None)
}

/// Logs to `logs/jarvis.DATE.log` below the data folder, a file a day, two weeks kept.
pub fn to_file(global: &Global, data_dir: &Path) -> Result<LogGuard, Failure> {
    let folder = data_dir.join("logs");
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|error| {
        Failure::failed(format!("the log folder {} cannot be made: {error}", folder.display()))
    })?;
    let appender = tracing_appender::rolling::RollingFileAppender::builder()
        .rotation(tracing_appender::rolling::Rotation::DAILY)
        .filename_prefix("jarvis")
        .filename_suffix("log")
        .max_log_files(DAYS_KEPT)
        .build(&folder)
        .map_err(|error| {
            Failure::failed(format!("logs cannot be written to {}: {error}", folder.display()))
        })?;
    let (writer, guard) = tracing_appender::non_blocking(appender);
    install(level(global, "info"), BoxMakeWriter::new(writer), true);
    Ok(LogGuard(Some(guard)))
}

fn install(filter: EnvFilter, writer: BoxMakeWriter, json: bool) {
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(false);
    // A second installation in one process changes nothing; the first one stays.
    let _ = if json { builder.json().try_init() } else { builder.without_time().try_init() };
}
