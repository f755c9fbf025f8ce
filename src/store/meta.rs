//! Facts about the store itself, counters, and the slots of the schedule.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::Store;
use super::error::StoreError;
use super::values::{count, instant, uncount, unreadable};
use crate::domain::Timestamp;

const CYCLE_NUMBER: &str = "cycle_number";
const OWNER: &str = "journal_of";
/// Begins the name of every venue that is made up.
const WORLD: &str = "world:";
/// Begins the name of every venue where paper money is traded on real prices.
const FED: &str = "fed:";

impl Store {
    /// A fact noted earlier; facts are of the file, whatever the venue.
    pub async fn meta(&self, key: &str) -> Result<Option<String>, StoreError> {
        let key = key.to_owned();
        self.read(move |connection| {
            let value =
                connection.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0));
            Ok(value.optional()?)
        })
        .await
    }

    /// Notes a fact, in place of what was noted under the same key.
    pub async fn set_meta(&self, key: &str, value: &str) -> Result<(), StoreError> {
        let (key, value) = (key.to_owned(), value.to_owned());
        self.write(move |connection| {
            connection.execute(
                "INSERT INTO meta (key, value) VALUES (?1, ?2)
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                [key, value],
            )?;
            Ok(())
        })
        .await
    }

    /// Notes that this journal is a venue's, and refuses it to every other: an exchange's orders stand in no journal of
    /// another exchange or of a world. Worlds come and go and share one; so do those whose prices are real, among
    /// themselves.
    pub async fn claim_for_venue(&self) -> Result<(), StoreError> {
        let families = [(WORLD, "a world"), (FED, "paper money on real prices")];
        let family = families.iter().find(|(beginning, _)| self.venue.starts_with(beginning));
        let asked = family.map_or_else(|| self.venue.to_string(), |(_, name)| (*name).to_owned());
        self.write(move |connection| {
            connection.execute(
                "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                [OWNER, &asked],
            )?;
            let owner: String =
                connection.query_row("SELECT value FROM meta WHERE key = ?1", [OWNER], |row| row.get(0))?;
            if owner == asked { Ok(()) } else { Err(StoreError::Elsewhere { owner, asked }) }
        })
        .await
    }

    /// A number no cycle of this store had before; counts up from 1.
    pub async fn next_cycle_number(&self) -> Result<u64, StoreError> {
        self.write(count_up).await
    }

    /// Claims a slot of this venue's schedule; false when it was claimed before, also by an earlier run of the program.
    pub async fn claim_slot(&self, slot: Timestamp) -> Result<bool, StoreError> {
        let venue = Arc::clone(&self.venue);
        self.write(move |connection| {
            let claimed = connection.execute(
                "INSERT INTO slots (venue, slot) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                params![venue, slot.timestamp_millis()],
            )?;
            Ok(claimed == 1)
        })
        .await
    }

    /// The newest slot of this venue that was claimed, before an instant.
    pub async fn last_slot_before(&self, before: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let venue = Arc::clone(&self.venue);
        self.read(move |connection| {
            let slot: Option<i64> = connection.query_row(
                "SELECT max(slot) FROM slots WHERE venue = ?1 AND slot < ?2",
                params![venue, before.timestamp_millis()],
                |row| row.get(0),
            )?;
            slot.map(|slot| instant("slots.slot", slot)).transpose()
        })
        .await
    }
}

fn count_up(connection: &Connection) -> Result<u64, StoreError> {
    let last: Option<String> = connection
        .query_row("SELECT value FROM meta WHERE key = ?1", [CYCLE_NUMBER], |row| row.get(0))
        .optional()?;
    let last: i64 = match last {
        Some(text) => text.parse().map_err(|_| unreadable("meta.value", text))?,
        None => 0,
    };
    let next = uncount("meta.value", last)? + 1;
    connection.execute(
        "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        [CYCLE_NUMBER.to_owned(), count(next)?.to_string()],
    )?;
    Ok(next)
}
