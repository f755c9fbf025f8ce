//! Where log lines go: a rotated file while the console owns the terminal, stderr otherwise. Never stdout.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use super::arguments::Global;
use super::failure::Failure;
use crate::domain::{Clock, SystemClock};

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
    let file = DailyFile::open(folder.clone(), SystemClock.now().date_naive()).map_err(|error| {
        Failure::failed(format!("logs cannot be written to {}: {error}", folder.display()))
    })?;
    let (writer, guard) = tracing_appender::non_blocking(file);
    install(level(global, "info"), BoxMakeWriter::new(writer), true);
    Ok(LogGuard(Some(guard)))
}

/// A log file a day that only its owner can read.
struct DailyFile {
    folder: PathBuf,
    day: NaiveDate,
    file: File,
}

impl DailyFile {
    fn open(folder: PathBuf, day: NaiveDate) -> io::Result<Self> {
        let file = private_file(&folder, day)?;
        prune(&folder);
        Ok(Self { folder, day, file })
    }

    /// Goes on in the file of `day`.
    fn turn_to(&mut self, day: NaiveDate) -> io::Result<()> {
        if day != self.day {
            self.file = private_file(&self.folder, day)?;
            self.day = day;
            prune(&self.folder);
        }
        Ok(())
    }
}

impl Write for DailyFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.turn_to(SystemClock.now().date_naive())?;
        self.file.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn private_file(folder: &Path, day: NaiveDate) -> io::Result<File> {
    let path = folder.join(format!("jarvis.{day}.log"));
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    // One that an older version left behind may be open to others.
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Removes what is older than the files kept. A file that cannot be removed now is tried again tomorrow.
fn prune(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut names: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let date = name.strip_prefix("jarvis.").and_then(|rest| rest.strip_suffix(".log"));
            date.is_some_and(|date| date.parse::<NaiveDate>().is_ok())
        })
        .collect();
    // Dates sort as text.
    names.sort();
    let old = names.len().saturating_sub(DAYS_KEPT);
    for path in &names[..old] {
        if std::fs::remove_file(path).is_err() {
            return;
        }
    }
}

fn install(filter: EnvFilter, writer: BoxMakeWriter, json: bool) {
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(false);
    // A second installation in one process changes nothing; the first one stays.
    let _ = if json { builder.json().try_init() } else { builder.without_time().try_init() };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(number: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, number).unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn log_files_are_private_even_where_an_open_one_was_left() {
        let folder = tempfile::tempdir().unwrap();
        let old = folder.path().join("jarvis.2026-11-01.log");
        std::fs::write(&old, "before\n").unwrap();
        std::fs::set_permissions(&old, Permissions::from_mode(0o644)).unwrap();
        let mut file = DailyFile::open(folder.path().to_owned(), day(1)).unwrap();
        file.file.write_all(b"line\n").unwrap();
        assert_eq!(std::fs::read_to_string(&old).unwrap(), "before\nline\n");
        file.turn_to(day(2)).unwrap();
        for name in names(folder.path()) {
            let mode = std::fs::metadata(folder.path().join(&name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert_eq!(names(folder.path()).len(), 2);
    }

    #[test]
    fn two_weeks_are_kept_and_other_files_stay() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("notes.txt"), "").unwrap();
        let mut file = DailyFile::open(folder.path().to_owned(), day(1)).unwrap();
        for number in 2..=20 {
            file.turn_to(day(number)).unwrap();
        }
        let names = names(folder.path());
        assert_eq!((names.len(), names[0].as_str()), (DAYS_KEPT + 1, "jarvis.2026-11-07.log"));
        assert_eq!(names.last().unwrap(), "notes.txt");
    }
}
