//! How another program reaches a desk, running or not: small files in the data folder.
//!
//! A request is a file of its own in `halts/`, written beside and renamed into place; the desk takes it at once where the
//! kernel tells of files and within a second elsewhere, or at its next start, and removes it once what it asked for is on
//! the disk. `halts.json` is what the desk says is in force. A file called `HALT`, whoever made it and whatever is in it,
//! freezes the whole desk while it is there.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::domain::{Halt, HaltLevel, HaltScope, Timestamp, Untrusted};

/// Freezes the desk while it is there.
pub const HALT_FILE: &str = "HALT";
/// The folder of requests.
const REQUESTS: &str = "halts";
/// What is in force, as the desk says.
const IN_FORCE: &str = "halts.json";
/// Longest text taken from a halt file, in characters.
const LONGEST_REASON: usize = 200;
/// A request larger than this is none.
const LARGEST_REQUEST: u64 = 16 * 1024;

/// Counts this program's requests, so that two of one moment have two names.
static POSTED: AtomicU64 = AtomicU64::new(0);

/// What is asked of the desk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Request {
    /// Halt something.
    Halt {
        /// What.
        scope: HaltScope,
        /// How far.
        level: HaltLevel,
        /// How many seconds of market time; for ever when absent.
        seconds: Option<i64>,
        /// Why; may be empty.
        reason: String,
    },
    /// Take a halt back.
    Resume {
        /// What trades again.
        scope: HaltScope,
    },
}

impl Request {
    /// What is asked, for an operator: `halt BTCUSDT (no entries)`.
    pub fn words(&self) -> String {
        match self {
            Self::Halt { scope, level, .. } => format!("halt {scope} ({})", level.words()),
            Self::Resume { scope } => format!("resume {scope}"),
        }
    }
}

/// A request with the wall time it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaltRequest {
    /// Wall time.
    pub at: Timestamp,
    /// What is asked.
    #[serde(flatten)]
    pub request: Request,
}

/// A file in the mailbox.
#[derive(Debug)]
pub struct Letter {
    path: PathBuf,
    /// What it says; an error says why it cannot be read.
    pub request: Result<HaltRequest, String>,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// No desk has taken it yet.
    Waiting,
    /// It is in force.
    Taken,
    /// The desk did not take it, and why.
    Refused(String),
}

/// Puts a request where the desk finds it and returns its file.
pub fn post(folder: &Path, request: &HaltRequest) -> io::Result<PathBuf> {
    let requests = requests(folder)?;
    // The time first, so that requests are taken in the order they were made.
    let number = POSTED.fetch_add(1, Ordering::Relaxed);
    let name = format!("{:020}-{}-{number}.json", request.at.timestamp_micros(), std::process::id());
    let path = requests.join(name);
    write_atomically(&path, &serde_json::to_vec(request)?)?;
    Ok(path)
}

/// The folder of requests, which is there afterwards.
pub(super) fn requests(folder: &Path) -> io::Result<PathBuf> {
    let requests = folder.join(REQUESTS);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&requests)?;
    Ok(requests)
}

/// What became of a request that was posted.
pub fn fate(posted: &Path) -> Fate {
    if posted.exists() {
        return Fate::Waiting;
    }
    match fs::read_to_string(refusal_of(posted)) {
        Ok(why) => Fate::Refused(why),
        Err(_) => Fate::Taken,
    }
}

/// Every request that waits, in the order they were made.
pub fn waiting(folder: &Path) -> io::Result<Vec<Letter>> {
    let entries = match fs::read_dir(folder.join(REQUESTS)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .collect();
    paths.sort();
    Ok(paths.into_iter().map(read_letter).collect())
}

fn read_letter(path: PathBuf) -> Letter {
    let read = || -> Result<HaltRequest, String> {
        let size = fs::metadata(&path).map_err(|error| error.to_string())?.len();
        if size > LARGEST_REQUEST {
            return Err(format!("it has {size} bytes"));
        }
        let bytes = fs::read(&path).map_err(|error| error.to_string())?;
        serde_json::from_slice(&bytes).map_err(|error| error.to_string())
    };
    let request = read();
    Letter { path, request }
}

impl Letter {
    /// The request is done.
    pub fn taken(&self) -> io::Result<()> {
        remove(&self.path)
    }

    /// The request is not done; whoever made it finds out why beside it.
    pub fn refused(&self, why: &str) -> io::Result<()> {
        write_atomically(&refusal_of(&self.path), why.as_bytes())?;
        remove(&self.path)
    }

    /// Its file, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn refusal_of(posted: &Path) -> PathBuf {
    posted.with_extension("refused")
}

/// What is written in the halt file, if it is there. A file that cannot be read halts as well.
pub fn halt_file(folder: &Path) -> Option<String> {
    let path = folder.join(HALT_FILE);
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Ok(found) if found.is_file() && found.len() <= LARGEST_REQUEST => {
            let text = fs::read(&path).unwrap_or_default();
            Some(Untrusted::new(String::from_utf8_lossy(&text)).line(LONGEST_REASON).trim().to_owned())
        }
        Ok(_) | Err(_) => Some(String::new()),
    }
}

/// Says what is in force, for programs beside the desk.
pub fn publish(folder: &Path, halts: &[Halt]) -> io::Result<()> {
    write_atomically(&folder.join(IN_FORCE), &serde_json::to_vec_pretty(halts)?)
}

/// What the desk last said is in force.
pub fn published(folder: &Path) -> io::Result<Vec<Halt>> {
    match fs::read(folder.join(IN_FORCE)) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// How long a halt still has to last when its request is taken: time spent waiting for a desk counts. `None` when
/// nothing is left of it.
pub fn left(seconds: i64, asked: Timestamp, now: Timestamp) -> Option<TimeDelta> {
    let waited = (now - asked).max(TimeDelta::zero());
    TimeDelta::try_seconds(seconds)?.checked_sub(&waited).filter(|left| *left > TimeDelta::zero())
}

fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension(format!("tmp{}", std::process::id()));
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_timestamp(1_772_400_000 + seconds, 0).unwrap()
    }

    #[test]
    fn requests_are_found_in_the_order_they_were_made_and_gone_once_taken() {
        let folder = tempfile::tempdir().unwrap();
        assert!(waiting(folder.path()).unwrap().is_empty());
        let ask = |seconds: i64, reason: &str| HaltRequest {
            at: at(seconds),
            request: Request::Halt {
                scope: HaltScope::Desk,
                level: HaltLevel::NoEntries,
                seconds: Some(60),
                reason: reason.to_owned(),
            },
        };
        let second = post(folder.path(), &ask(2, "second")).unwrap();
        let first = post(folder.path(), &ask(1, "first")).unwrap();
        fs::write(folder.path().join("halts/9.json"), "not json").unwrap();
        let found = waiting(folder.path()).unwrap();
        assert_eq!(found[0].request.as_ref().unwrap(), &ask(1, "first"));
        assert_eq!(found[1].request.as_ref().unwrap(), &ask(2, "second"));
        assert!(found[2].request.is_err());
        found[0].taken().unwrap();
        found[1].refused("no such account").unwrap();
        assert_eq!(fate(&first), Fate::Taken);
        assert_eq!(fate(&second), Fate::Refused("no such account".to_owned()));
        assert_eq!(waiting(folder.path()).unwrap().len(), 1);
    }

    #[test]
    fn any_halt_file_halts_and_only_its_absence_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(HALT_FILE);
        assert_eq!(halt_file(folder.path()), None);
        fs::write(&file, "").unwrap();
        assert_eq!(halt_file(folder.path()).as_deref(), Some(""));
        fs::write(&file, "news at\n14:30\u{1b}[31m").unwrap();
        assert!(halt_file(folder.path()).unwrap().starts_with("news at"));
        assert!(!halt_file(folder.path()).unwrap().contains('\u{1b}'));
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert_eq!(halt_file(folder.path()).as_deref(), Some(""));
    }

    #[test]
    fn a_request_waits_until_it_is_taken_and_is_taken_once() {
        let folder = tempfile::tempdir().unwrap();
        let resume = HaltRequest { at: at(0), request: Request::Resume { scope: HaltScope::Desk } };
        let posted = post(folder.path(), &resume).unwrap();
        assert_eq!(fate(&posted), Fate::Waiting);
        let letter = waiting(folder.path()).unwrap().pop().unwrap();
        assert_eq!(letter.path(), posted);
        letter.taken().unwrap();
        letter.taken().unwrap();
        fs::create_dir(&posted).unwrap();
        assert!(letter.taken().is_err(), "what cannot be removed is said");
    }

    #[test]
    fn what_is_too_large_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let request = HaltRequest { at: at(0), request: Request::Resume { scope: HaltScope::Desk } };
        let posted = post(folder.path(), &request).unwrap();
        let file = folder.path().join(HALT_FILE);
        let largest = usize::try_from(LARGEST_REQUEST).unwrap();
        for (size, is_read) in [(largest, true), (largest + 1, false)] {
            let mut letter = serde_json::to_vec(&request).unwrap();
            letter.resize(size, b' ');
            fs::write(&posted, letter).unwrap();
            let read = waiting(folder.path()).unwrap().pop().unwrap().request;
            assert_eq!(read, if is_read { Ok(request.clone()) } else { Err(format!("it has {size} bytes")) });
            let mut text = b"news".to_vec();
            text.resize(size, b' ');
            fs::write(&file, text).unwrap();
            assert_eq!(halt_file(folder.path()).as_deref(), Some(if is_read { "news" } else { "" }));
        }
    }

    #[test]
    fn what_is_published_is_read_back_and_nothing_was_before() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(published(folder.path()).unwrap(), []);
        let halt = Halt {
            scope: HaltScope::Desk,
            level: HaltLevel::Frozen,
            origin: crate::domain::HaltOrigin::File,
            reason: "why".into(),
            since: at(0),
            until: Some(at(60)),
        };
        publish(folder.path(), std::slice::from_ref(&halt)).unwrap();
        assert_eq!(published(folder.path()).unwrap(), [halt]);
        // A program that died in the middle of it, with the number that this one has now, left more than is written.
        let beside = folder.path().join(IN_FORCE).with_extension(format!("tmp{}", std::process::id()));
        fs::write(beside, "x".repeat(10_000)).unwrap();
        publish(folder.path(), &[]).unwrap();
        assert_eq!(published(folder.path()).unwrap(), []);
    }

    #[test]
    fn what_cannot_be_looked_at_is_an_error_or_a_halt_and_never_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let no_folder = folder.path().join("file");
        fs::write(&no_folder, "").unwrap();
        assert!(waiting(&no_folder).is_err());
        assert!(published(&no_folder).is_err());
        assert_eq!(halt_file(&no_folder).as_deref(), Some(""));
    }

    #[test]
    fn the_time_a_request_waited_is_taken_off() {
        assert_eq!(left(60, at(0), at(20)), Some(TimeDelta::seconds(40)));
        assert_eq!(left(60, at(0), at(60)), None);
        assert_eq!(left(60, at(30), at(0)), Some(TimeDelta::seconds(60)), "a clock set back adds nothing");
    }
}
