//! What can go wrong with the store, and what to do then.

use std::path::PathBuf;

use crate::domain::{AccountName, ClientOrderId, CycleId, Symbol};

/// Why the store could not do its work. Whatever was asked for is then not in the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder or file cannot be made or its permissions set.
    #[error("{}: {reason}; check that the data folder belongs to you and has room", .path.display())]
    Place {
        /// Which.
        path: PathBuf,
        /// What the system said.
        reason: std::io::Error,
    },
    /// The file is damaged.
    #[error(
        "{}: the store is damaged ({detail}); move it aside and start again: positions are read from the exchange",
        .path.display()
    )]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// What the check found.
        detail: String,
    },
    /// The file was written by a newer jarvis, or the schema could not be brought up to date.
    #[error("{}: the store's tables do not fit this version of jarvis: {detail}", .path.display())]
    Schema {
        /// Which file.
        path: PathBuf,
        /// What the migration said.
        detail: String,
    },
    /// The connection did not take a setting that durability rests on.
    #[error("the store's {setting} is {found} instead of {wanted}; nothing written would be safe")]
    Setting {
        /// Which pragma.
        setting: &'static str,
        /// What it is.
        found: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// Somebody else held the write lock for longer than the patience of the connection.
    #[error("the store is locked by another program; close it (a backup, a database browser) and try again")]
    Busy,
    /// Another desk works in the same data folder.
    #[error(
        "another desk{} holds {}; end it, or take another --data-dir",
        .holder.as_ref().map(|holder| format!(" (process {holder})")).unwrap_or_default(), .path.display()
    )]
    Held {
        /// The lock file.
        path: PathBuf,
        /// The process that holds it, if it wrote its number down.
        holder: Option<u32>,
    },
    /// An order of this name was written down before.
    #[error("order {0} is already in the journal; it must not be sent again")]
    DuplicateOrder(ClientOrderId),
    /// It holds the journal of another exchange, or of a world.
    #[error("this journal belongs to {owner}, not to {asked}; use another data folder (--data-dir)")]
    Elsewhere {
        /// Whose orders it holds.
        owner: String,
        /// Who asked.
        asked: String,
    },
    /// It was opened for reading.
    #[error("the store was opened for reading only; nothing is written")]
    ReadOnly,
    /// No order of this name was written down.
    #[error("order {0} is not in the journal")]
    UnknownOrder(ClientOrderId),
    /// No cycle of this name is open to what was asked.
    #[error("cycle {0} was never begun, or has its report already")]
    UnknownCycle(CycleId),
    /// The model's row was not written down before what became of it.
    #[error("there is no decision of cycle {cycle} for {account} {symbol} in the store")]
    UnknownDecision {
        /// Which cycle.
        cycle: CycleId,
        /// Whose row.
        account: AccountName,
        /// Which coin.
        symbol: Symbol,
    },
    /// No prompt of this content was stored.
    #[error("no prompt with the content hash {0} is in the store")]
    UnknownPrompt(String),
    /// What is in a column is not what this version writes there.
    #[error("{column} holds {value:?}, which this version of jarvis cannot read")]
    Unreadable {
        /// Table and column, or the type.
        column: &'static str,
        /// What is there.
        value: String,
    },
    /// A number that SQLite's 64-bit integers cannot hold.
    #[error("{0} is too large to be stored")]
    TooLarge(u64),
    /// A value that has no JSON form.
    #[error("cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// SQLite refused for a reason of its own: disk full, read-only, a broken rule of the schema.
    #[error("the store refused: {0}")]
    Sqlite(rusqlite::Error),
    /// The group of writes this one belonged to was not committed.
    #[error("not written, because the commit failed: {0}")]
    Commit(String),
    /// The store's thread is gone.
    #[error("the store is closed")]
    Closed,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => Self::Busy,
            _ => Self::Sqlite(error),
        }
    }
}
