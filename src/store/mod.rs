//! SQLite: what happened and why, written before the next step starts.
//!
//! One thread owns the one writing connection; calls hand it jobs and return when their work is on the disk
//! (WAL, `synchronous=FULL`). Jobs that wait at the same moment share one commit. Reads run on a second, read-only
//! connection with a thread of its own, so that no query ever stands before an order's journal entry.
//!
//! Table and column names are a contract with outside programs: times are UTC milliseconds, money is TEXT decimal,
//! words are TEXT. One file here for each family of tables.
//!
//! A file may see several venues one after another (the embedded world, a recorded one, the testnet), each of which
//! counts its orders and trades from the start. A handle is bound to one of them with [`Store::at`]: what it writes
//! bears the venue's name, and what it reads of orders, fills, money and cycles is of that venue alone.

#![cfg_attr(not(test), deny(clippy::float_arithmetic))]

mod alarms;
mod aside;
mod conversation;
mod costs;
mod cycles;
mod decisions;
mod differences;
mod equity;
mod error;
mod events;
mod fills;
mod halts;
mod history;
mod ledger;
mod lock;
mod meta;
mod open;
mod operator;
mod orders;
mod prompts;
mod schema;
mod starts;
mod trades;
mod values;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use rusqlite::Connection;

pub use conversation::{Ending, ModelCall, Spending, ToolHabit};
pub use costs::{CycleCost, DayCost, ModelCost, by_day};
pub use cycles::{CycleLine, CycleStart, CycleState};
pub use differences::{Difference, DifferenceKind};
pub use error::StoreError;
pub use fills::Fill;
pub use history::{ModelSpending, Movement};
pub use ledger::{LedgerKind, LedgerRow};
pub use lock::DeskLock;
pub use open::Check;
pub use operator::{ActionKind, OperatorAction};
pub use orders::{OrderIntent, OrderUpdate, Origin, StoredOrder};
pub use prompts::{PromptKind, content_hash};
pub use starts::Start;
pub use trades::{ClosedByHand, CoinMoney, Opening, TransferRow};

use worker::Worker;

/// The name of the store's file in the data folder.
pub const FILE_NAME: &str = "jarvis.db";

/// A handle on the store at one venue; clones share the file, which is closed when the last one is dropped.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
    venue: Arc<str>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    // Dropped in this order: the reader lets go first, so that the writer can fold the log into the file.
    reader: Worker,
    /// Absent in a store that is only read.
    writer: Option<Worker>,
    /// Fills that were new since the file was opened.
    fills: AtomicU64,
    totals: ledger::KnownTotals,
}

impl Store {
    /// Opens or creates the file at `path`: folder 0700, file 0600, integrity checked, schema brought up to date.
    ///
    /// Blocks for the length of the check; call it from a blocking place. The handle's venue is `""`; see [`Self::at`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_after(path, Check::Whole)
    }

    /// The same with as much of a check as the end of the run before calls for.
    pub fn open_after(path: &Path, check: Check) -> Result<Self, StoreError> {
        Self::open_patiently(path, check, open::PATIENCE)
    }

    fn open_patiently(path: &Path, check: Check, patience: std::time::Duration) -> Result<Self, StoreError> {
        drop(open::prepare_file(path)?);
        let writer = Worker::writer(open::writer(path, check, patience)?)?;
        let reader = Worker::reader(open::reader(path, patience)?)?;
        Ok(Self::of(path, reader, Some(writer)))
    }

    fn of(path: &Path, reader: Worker, writer: Option<Worker>) -> Self {
        let (fills, totals) = (AtomicU64::new(0), ledger::KnownTotals::default());
        let inner = Inner { path: path.to_owned(), reader, writer, fills, totals };
        Self { inner: Arc::new(inner), venue: "".into() }
    }

    /// The file at `path` for somebody who only looks, also beside the desk that writes it: nothing is made, mended or
    /// changed, and every write is refused. Without a file it is a store with nothing in it. Blocks like [`Self::open`].
    pub fn open_for_reading(path: &Path) -> Result<Self, StoreError> {
        let connection =
            if path.is_file() { open::reader(path, open::PATIENCE)? } else { open::nothing(path)? };
        Ok(Self::of(path, Worker::reader(connection)?, None))
    }

    /// A handle on the same file for the orders, fills, money and cycles of one venue: a name that every run at the
    /// same world or exchange shares and no other has.
    #[must_use]
    pub fn at(&self, venue: &str) -> Self {
        Self { inner: Arc::clone(&self.inner), venue: venue.into() }
    }

    /// Which venue this handle writes and reads.
    pub fn venue(&self) -> &str {
        &self.venue
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Does `work` in a transaction of the writer and returns when it is on the disk.
    async fn write<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.inner.writer.as_ref().ok_or(StoreError::ReadOnly)?.run(work).await
    }

    /// Does `work` on the reading connection.
    async fn read<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.inner.reader.run(work).await
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
