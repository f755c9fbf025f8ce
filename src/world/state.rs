//! What a world keeps over a restart: where its path is anchored, what an operator did, and the exchange's books.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::WorldError;
use super::clock::Timebase;
use super::engine::{AccountId, EngineDelta, EngineState};
use super::fapi::account::MarginMove;
use super::market::Heard;
use crate::domain::Symbol;

/// A journal may always grow so far before the file is written anew, bytes.
const SHORTEST_JOURNAL: usize = 1 << 20;

/// What the price path is made from; never changes in a world's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Origin {
    /// Made up from the seed, with its history before the anchor.
    Synthetic {
        /// Creation, market time, ms.
        anchor_ms: i64,
    },
    /// Read from files.
    Recorded {
        /// The folder.
        candles: PathBuf,
        /// Where it starts, ms.
        from_ms: i64,
    },
    /// Told from outside.
    Fed {
        /// By whom.
        source: String,
    },
}

/// One price jump made by an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Jump {
    pub at_ms: i64,
    pub symbol: Symbol,
    pub price: Decimal,
}

/// A dead-man switch: when all orders of a contract are taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Countdown {
    pub account: AccountId,
    pub symbol: Symbol,
    /// Market time, ms.
    pub at_ms: i64,
}

/// The whole file. Its engine may have been changed since by the lines of the journal beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedWorld<'a> {
    pub version: u32,
    pub seed: u64,
    /// Wall time of its creation, ms: with seed and origin it names the world.
    pub created_ms: i64,
    pub origin: Origin,
    pub clock: Timebase,
    /// Market time up to which the books are played, ms.
    pub played_ms: i64,
    pub jumps: Vec<Jump>,
    /// What was told last of each contract, where prices come from outside.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub heard: BTreeMap<Symbol, Heard>,
    pub engine: Cow<'a, EngineState>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub countdowns: Vec<Countdown>,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub margin_moves: Cow<'a, [MarginMove]>,
}

#[expect(clippy::ptr_arg, reason = "serde hands the field over as it is")]
fn is_empty(moves: &Cow<'_, [MarginMove]>) -> bool {
    moves.as_ref().is_empty()
}

/// The first line of a journal: which file it continues.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Heading {
    /// SHA-256 of that file, hex.
    continues: String,
}

/// One line of a journal: what a request or a moment changed.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    clock: Timebase,
    played_ms: i64,
    /// All of them, when there are more than before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jumps: Option<Vec<Jump>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    heard: BTreeMap<Symbol, Heard>,
    engine: EngineDelta,
    /// All of them, when they are not those of the line before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    countdowns: Option<Vec<Countdown>>,
    /// Those that are new.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    margin_moves: Vec<MarginMove>,
}

impl SavedWorld<'_> {
    /// The format this program writes.
    pub const VERSION: u32 = 1;

    /// Reads a file and what its journal adds; `None` when there is none yet.
    pub fn read(path: &Path) -> Result<Option<SavedWorld<'static>>, WorldError> {
        let failed = |reason: String| WorldError::State { path: path.to_owned(), reason };
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error.to_string())),
        };
        let mut saved: SavedWorld<'static> =
            serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))?;
        if saved.version != Self::VERSION {
            let (found, known) = (saved.version, Self::VERSION);
            return Err(failed(format!("it has format {found}, this program reads format {known}")));
        }
        match std::fs::read(beside(path, "journal")) {
            Ok(journal) => saved.continue_with(&journal, &digest(&bytes)).map_err(failed)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error.to_string())),
        }
        let mut named = saved.countdowns.iter().map(|countdown| countdown.account);
        if named.any(|account| !saved.engine.has(account)) {
            return Err(failed("a countdown names an account it does not have".to_owned()));
        }
        Ok(Some(saved))
    }

    /// Takes over the lines of a journal that continues this file. A last line without an end was being written when
    /// the program was killed: nobody was told of it, and it is left out.
    fn continue_with(&mut self, journal: &[u8], digest: &str) -> Result<(), String> {
        let whole = journal.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let mut lines = journal[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let Some(heading) = lines.next() else { return Ok(()) };
        let heading: Heading =
            serde_json::from_slice(heading).map_err(|error| format!("its journal's heading: {error}"))?;
        if heading.continues != digest {
            // The file was written anew after that journal and contains it.
            return Ok(());
        }
        for (number, line) in (2..).zip(lines) {
            let line: Line = serde_json::from_slice(line)
                .map_err(|error| format!("line {number} of its journal cannot be read: {error}"))?;
            self.clock = line.clock;
            self.played_ms = line.played_ms;
            if let Some(jumps) = line.jumps {
                self.jumps = jumps;
            }
            if !line.heard.is_empty() {
                self.heard = line.heard;
            }
            if let Some(countdowns) = line.countdowns {
                self.countdowns = countdowns;
            }
            self.margin_moves.to_mut().extend(line.margin_moves);
            if !self.engine.to_mut().apply(line.engine) {
                return Err(format!("line {number} of its journal names an account it does not have"));
            }
        }
        Ok(())
    }
}

/// A path beside the state file.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Keeps a world on disk: a whole file now and then, and a line in a journal for every change since.
#[derive(Debug)]
pub(super) struct Keeper {
    path: PathBuf,
    journal: Option<File>,
    /// Bytes of the whole file and of the journal.
    sizes: (usize, usize),
    jumps: usize,
    countdowns: Vec<Countdown>,
    margin_moves: usize,
}

impl Keeper {
    pub fn new(path: PathBuf) -> Self {
        Self { path, journal: None, sizes: (0, 0), jumps: 0, countdowns: Vec::new(), margin_moves: 0 }
    }

    fn failed(&self, error: &impl ToString) -> WorldError {
        WorldError::State { path: self.path.clone(), reason: error.to_string() }
    }

    /// Whether a change should be added to the journal, and not lead to a new file.
    pub fn continues(&self) -> bool {
        self.journal.is_some() && self.sizes.1 < self.sizes.0.max(SHORTEST_JOURNAL)
    }

    /// Adds one change. It is with the operating system when this returns: it survives the program, though not a
    /// failure of power.
    pub fn add(
        &mut self,
        clock: Timebase,
        played_ms: i64,
        jumps: &[Jump],
        heard: BTreeMap<Symbol, Heard>,
        engine: EngineDelta,
        (countdowns, margin_moves): (Vec<Countdown>, &[MarginMove]),
    ) -> Result<(), WorldError> {
        let line = Line {
            clock,
            played_ms,
            jumps: (jumps.len() != self.jumps).then(|| jumps.to_vec()),
            heard,
            engine,
            countdowns: (countdowns != self.countdowns).then(|| countdowns.clone()),
            margin_moves: margin_moves.get(self.margin_moves..).unwrap_or_default().to_vec(),
        };
        let mut text = serde_json::to_vec(&line).map_err(|error| self.failed(&error))?;
        text.push(b'\n');
        let written = self.journal.as_mut().map_or(Ok(()), |journal| journal.write_all(&text));
        if let Err(error) = written {
            // What reached the disk is unknown: the next change writes everything anew.
            self.journal = None;
            return Err(self.failed(&error));
        }
        self.sizes.1 += text.len();
        self.jumps = jumps.len();
        (self.countdowns, self.margin_moves) = (countdowns, margin_moves.len());
        Ok(())
    }

    /// Writes the file beside itself and renames it, so that a crash leaves the old or the new one, and begins an
    /// empty journal.
    pub fn write(&mut self, saved: &SavedWorld<'_>) -> Result<(), WorldError> {
        self.journal = None;
        let text = serde_json::to_vec(saved).map_err(|error| self.failed(&error))?;
        let written = (|| {
            if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                std::fs::create_dir_all(folder)?;
            }
            let fresh = beside(&self.path, "new");
            let mut file = private(&fresh)?;
            file.write_all(&text)?;
            file.sync_data()?;
            std::fs::rename(&fresh, &self.path)?;
            let mut journal = private(&beside(&self.path, "journal"))?;
            let mut heading = serde_json::to_vec(&Heading { continues: digest(&text) })?;
            heading.push(b'\n');
            journal.write_all(&heading)?;
            Ok(journal)
        })();
        let journal = written.map_err(|error: std::io::Error| self.failed(&error))?;
        self.sizes = (text.len(), 0);
        self.jumps = saved.jumps.len();
        (self.countdowns, self.margin_moves) = (saved.countdowns.clone(), saved.margin_moves.len());
        self.journal = Some(journal);
        Ok(())
    }
}

/// An empty file that only its owner may read.
fn private(path: &Path) -> std::io::Result<File> {
    std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}
