//! Which starts of a data folder's desk did not come to an orderly end.
//!
//! One line a start in a small file beside the journal. An orderly end takes its line away again; a desk that is killed,
//! panics or is ended by its supervisor leaves it there, which is how the next start knows.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{SecondsFormat, TimeDelta};

use super::error::StoreError;
use crate::domain::Timestamp;

/// The file's name in the data folder.
const FILE: &str = "starts";
/// So many starts without an orderly end within [`WITHIN`] are a loop of crashes.
const A_LOOP: usize = 5;
/// How far back a start counts.
const WITHIN: TimeDelta = TimeDelta::minutes(10);
/// Ends the line of a start that sends nothing.
const DRY: &str = " dry-run";

/// This start, noted until it is dropped. Made by the desk that holds the folder's lock: there is one at a time.
#[derive(Debug)]
pub struct Start {
    folder: PathBuf,
    follows_an_orderly_end: bool,
    now: Timestamp,
    has_died: AtomicBool,
}

/// A line of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Noted {
    /// `None` for a line that cannot be read: when it was written nobody knows.
    at: Option<Timestamp>,
    is_dry: bool,
}

impl Start {
    /// Notes a start at `now` (wall time).
    pub fn note(folder: &Path, now: Timestamp, is_dry: bool) -> Result<Self, StoreError> {
        let earlier = read(folder)?;
        let mut kept: Vec<Noted> = earlier.iter().filter(|start| start.counts_at(now)).copied().collect();
        kept.push(Noted { at: Some(now), is_dry });
        write(folder, &kept)?;
        Ok(Self {
            folder: folder.to_owned(),
            follows_an_orderly_end: earlier.is_empty(),
            now,
            has_died: AtomicBool::new(false),
        })
    }

    /// Whether the run before this one came to an orderly end.
    pub fn follows_an_orderly_end(&self) -> bool {
        self.follows_an_orderly_end
    }

    /// How many starts before this one crashed within the last ten minutes, when they are a loop that no operator has
    /// looked at yet.
    pub fn crash_loop(&self) -> Result<Option<usize>, StoreError> {
        let mut starts = read(&self.folder)?;
        starts.pop();
        let crashed = starts.iter().filter(|start| start.counts_at(self.now)).count();
        Ok((crashed >= A_LOOP).then_some(crashed))
    }

    /// The desk died although the program ends in order: the line stays.
    pub fn desk_died(&self) {
        self.has_died.store(true, Ordering::SeqCst);
    }

    /// Forgets the starts of a folder that crashed: an operator looked at them. The one that runs now stays noted.
    pub fn forget_crashes(folder: &Path) -> Result<(), StoreError> {
        let starts = read(folder)?;
        let running = starts.last().copied();
        write(folder, running.as_slice())
    }
}

impl Drop for Start {
    fn drop(&mut self) {
        if self.has_died.load(Ordering::SeqCst) {
            return;
        }
        let taken_away = read(&self.folder).and_then(|mut starts| {
            starts.pop();
            write(&self.folder, &starts)
        });
        if let Err(error) = taken_away {
            tracing::warn!(%error, "this orderly end could not be noted; the next start takes it for a crash");
        }
    }
}

impl Noted {
    /// A clock that was put back makes a start no older.
    fn counts_at(&self, now: Timestamp) -> bool {
        !self.is_dry && self.at.is_some_and(|at| (now - at).abs() < WITHIN)
    }

    fn of(line: &str) -> Self {
        let (at, is_dry) = line.strip_suffix(DRY).map_or((line, false), |at| (at, true));
        Self { at: at.parse().ok(), is_dry }
    }

    fn line(&self) -> String {
        let at = self.at.map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true)).unwrap_or_default();
        format!("{at}{}\n", if self.is_dry { DRY } else { "" })
    }
}

fn read(folder: &Path) -> Result<Vec<Noted>, StoreError> {
    let path = folder.join(FILE);
    match fs::read(&path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).lines().map(Noted::of).collect()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(reason) => Err(StoreError::Place { path, reason }),
    }
}

/// Beside and then into place, so that no kill leaves half a file.
fn write(folder: &Path, starts: &[Noted]) -> Result<(), StoreError> {
    let path = folder.join(FILE);
    let written = if starts.is_empty() {
        match fs::remove_file(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    } else {
        let beside = path.with_extension("new");
        let text: String = starts.iter().map(Noted::line).collect();
        fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .and_then(|()| fs::rename(&beside, &path))
    };
    written.map_err(|reason| StoreError::Place { path, reason })
}
