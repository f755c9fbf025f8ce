//! What a world keeps over a restart: where its path is anchored, what an operator did, and the exchange's books.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::WorldError;
use super::clock::Timebase;
use super::engine::EngineState;
use crate::domain::Symbol;

/// The format this program writes.
const VERSION: u32 = 1;

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
}

/// One price jump made by an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Jump {
    pub at_ms: i64,
    pub symbol: Symbol,
    pub price: Decimal,
}

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedWorld {
    pub version: u32,
    pub seed: u64,
    /// Wall time of its creation, ms: with seed and origin it names the world.
    pub created_ms: i64,
    pub origin: Origin,
    pub clock: Timebase,
    /// Market time up to which the books are played, ms.
    pub played_ms: i64,
    pub jumps: Vec<Jump>,
    pub engine: EngineState,
}

impl SavedWorld {
    pub fn new(
        seed: u64,
        created_ms: i64,
        origin: Origin,
        clock: Timebase,
        played_ms: i64,
        jumps: Vec<Jump>,
        engine: EngineState,
    ) -> Self {
        Self { version: VERSION, seed, created_ms, origin, clock, played_ms, jumps, engine }
    }

    /// Reads a file; `None` when there is none yet.
    pub fn read(path: &Path) -> Result<Option<Self>, WorldError> {
        let failed = |reason: String| WorldError::State { path: path.to_owned(), reason };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error.to_string())),
        };
        let saved: Self = serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
        if saved.version == VERSION {
            Ok(Some(saved))
        } else {
            Err(failed(format!("it has format {}, this program reads format {VERSION}", saved.version)))
        }
    }

    /// Writes the file beside itself and renames it, so that a crash leaves the old or the new one.
    pub fn write(&self, path: &Path) -> Result<(), WorldError> {
        let failed = |reason: String| WorldError::State { path: path.to_owned(), reason };
        let text = serde_json::to_vec(self).map_err(|error| failed(error.to_string()))?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        let written = (|| {
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                std::fs::create_dir_all(folder)?;
            }
            let mut options = std::fs::OpenOptions::new();
            let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
            file.write_all(&text)?;
            file.sync_data()?;
            std::fs::rename(&beside, path)
        })();
        written.map_err(|error: std::io::Error| failed(error.to_string()))
    }
}
