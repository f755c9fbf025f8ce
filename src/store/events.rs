//! Everything the desk told, as it told it.

use rusqlite::params;

use super::Store;
use super::error::StoreError;
use super::values::{collect, count, instant, uncount};
use crate::domain::{CycleId, Envelope};

impl Store {
    /// Keeps an event.
    pub async fn put_event(&self, envelope: &Envelope) -> Result<(), StoreError> {
        let event = serde_json::to_value(&envelope.event)?;
        let kind = event.get("kind").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        let (seq, at) = (count(envelope.seq)?, envelope.at.timestamp_millis());
        let cycle = envelope.cycle.as_ref().map(|cycle| cycle.as_str().to_owned());
        self.write(move |connection| {
            let mut statement = connection.prepare_cached(
                "INSERT INTO events (seq, at, cycle, kind, event) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            statement.execute(params![seq, at, cycle, kind, event.to_string()])?;
            Ok(())
        })
        .await
    }

    /// The events of one cycle, in the order they were told.
    pub async fn events_of(&self, cycle: &CycleId) -> Result<Vec<Envelope>, StoreError> {
        let cycle = cycle.clone();
        self.read(move |connection| {
            let mut statement = connection
                .prepare_cached("SELECT seq, at, event FROM events WHERE cycle = ?1 ORDER BY id")?;
            collect(&mut statement, [cycle.as_str()], |row| {
                let event: String = row.get(2)?;
                Ok(Envelope {
                    seq: uncount("events.seq", row.get(0)?)?,
                    at: instant("events.at", row.get(1)?)?,
                    cycle: Some(cycle.clone()),
                    event: serde_json::from_str(&event)?,
                })
            })
        })
        .await
    }
}
