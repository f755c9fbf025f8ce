//! The tables. Their names and columns are a contract with outside programs.

use std::path::Path;

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

use super::error::StoreError;
use super::open;

/// Every step from an empty file to the present schema. A step that was once released is never changed again.
const STEPS: &[M<'static>] = &[
    M::up(include_str!("schema/0001_first_light.sql")),
    M::up(include_str!("schema/0002_halts_and_books.sql")),
    M::up(include_str!("schema/0003_every_try_of_the_model.sql")),
    M::up(include_str!("schema/0004_spans_of_time.sql")),
    M::up(include_str!("schema/0005_how_conversations_ended.sql")),
    M::up(include_str!("schema/0006_rate_limits.sql")),
];

/// Brings the tables up to date, each step in a transaction of its own.
pub(super) fn bring_up_to_date(path: &Path, connection: &mut Connection) -> Result<(), StoreError> {
    Migrations::from_slice(STEPS).to_latest(connection).map_err(|error| match error {
        rusqlite_migration::Error::RusqliteError { err, .. } if open::is_damage(&err) => {
            open::damaged(path, err.to_string())
        }
        other => StoreError::Schema { path: path.to_owned(), detail: other.to_string() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_can_be_taken() {
        Migrations::from_slice(STEPS).validate().unwrap();
    }
}
