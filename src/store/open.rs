//! Opening: permissions, durability settings read back, integrity, schema.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::error::StoreError;
use super::schema;

/// How long a connection waits for somebody else's lock.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Makes the folder and the file with permissions for the owner alone, before anything is written into them.
pub(super) fn prepare_file(path: &Path) -> Result<File, StoreError> {
    private_file(path).map_err(|reason| StoreError::Place { path: path.to_owned(), reason })
}

fn private_file(path: &Path) -> std::io::Result<File> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        // A folder that was there before keeps its mode: it may be shared on purpose. The file is ours alone.
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// How much of a file is checked before it is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// All of it.
    Whole,
    /// All of a small file, which takes no time; of a larger one only what every opening reads. For a file whose last
    /// desk came to an orderly end.
    IfSmall,
}

/// A file up to this size, its log included, is checked at every start.
const SMALL: u64 = 64 * 1024 * 1024;

/// The connection that writes.
pub(super) fn writer(path: &Path, check: Check, patience: Duration) -> Result<Connection, StoreError> {
    open_writer(path, check, patience).map_err(|error| match error {
        StoreError::Sqlite(error) if is_damage(&error) => damaged(path, error.to_string()),
        other => other,
    })
}

fn open_writer(path: &Path, check: Check, patience: Duration) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(patience)?;
    if check == Check::Whole || size(path) <= SMALL {
        check_integrity(path, &connection)?;
    }
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    schema::bring_up_to_date(path, &mut connection)?;
    expect_setting(&connection, "journal_mode", "wal")?;
    expect_setting(&connection, "synchronous", "2")?;
    expect_setting(&connection, "foreign_keys", "1")?;
    Ok(connection)
}

/// The connection that reads and can do nothing else.
pub(super) fn reader(path: &Path, patience: Duration) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(patience)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// A connection to tables without a row, in memory.
pub(super) fn nothing(path: &Path) -> Result<Connection, StoreError> {
    let mut connection = Connection::open_in_memory()?;
    schema::bring_up_to_date(path, &mut connection)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn size(path: &Path) -> u64 {
    let of = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    of(path) + of(&path.with_extension("db-wal"))
}

fn check_integrity(path: &Path, connection: &Connection) -> Result<(), StoreError> {
    let found = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0))?;
    if found == "ok" { Ok(()) } else { Err(damaged(path, found)) }
}

/// Whether SQLite says that the file itself is broken.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error.sqlite_error_code(), Some(NotADatabase | DatabaseCorrupt))
}

pub(super) fn damaged(path: &Path, detail: String) -> StoreError {
    StoreError::Corrupt { path: path.to_owned(), detail }
}

/// Durability is only what the connection says about itself, not what it was told.
fn expect_setting(
    connection: &Connection,
    setting: &'static str,
    wanted: &'static str,
) -> Result<(), StoreError> {
    let value: rusqlite::types::Value = connection.pragma_query_value(None, setting, |row| row.get(0))?;
    let found = match value {
        rusqlite::types::Value::Integer(number) => number.to_string(),
        rusqlite::types::Value::Text(word) => word,
        other => format!("{other:?}"),
    };
    if found == wanted { Ok(()) } else { Err(StoreError::Setting { setting, found, wanted }) }
}
