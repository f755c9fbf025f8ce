//! The halts in force, so that a restart finds them before it does anything else.

use std::sync::Arc;

use rusqlite::params;

use super::Store;
use super::error::StoreError;
use super::values::{collect, instant, unreadable, unword, word};
use crate::domain::Halt;

impl Store {
    /// Keeps a halt in place of an earlier one of the same scope by the same hand.
    pub async fn put_halt(&self, halt: &Halt) -> Result<(), StoreError> {
        let (venue, halt) = (Arc::clone(&self.venue), halt.clone());
        self.write(move |connection| {
            let mut statement = connection.prepare_cached(
                "INSERT INTO halts (venue, scope, level, origin, reason, since, until, hand)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (venue, scope, hand) DO UPDATE SET level = excluded.level, origin = excluded.origin,
                     reason = excluded.reason, since = excluded.since, until = excluded.until",
            )?;
            statement.execute(params![
                venue,
                serde_json::to_string(&halt.scope)?,
                word(&halt.level)?,
                serde_json::to_string(&halt.origin)?,
                halt.reason.raw(),
                halt.since.timestamp_millis(),
                halt.until.map(|until| until.timestamp_millis()),
                halt.origin.hand(),
            ])?;
            Ok(())
        })
        .await
    }

    /// Forgets halts, all of them or none.
    pub async fn remove_halts(&self, halts: &[Halt]) -> Result<(), StoreError> {
        let venue = Arc::clone(&self.venue);
        let named: Vec<(String, &str)> = halts
            .iter()
            .map(|halt| Ok((serde_json::to_string(&halt.scope)?, halt.origin.hand())))
            .collect::<Result<_, StoreError>>()?;
        self.write(move |connection| {
            for (scope, hand) in &named {
                connection
                    .prepare_cached("DELETE FROM halts WHERE venue = ?1 AND scope = ?2 AND hand = ?3")?
                    .execute(params![venue, scope, hand])?;
            }
            Ok(())
        })
        .await
    }

    /// Every halt of this venue, oldest first.
    pub async fn halts(&self) -> Result<Vec<Halt>, StoreError> {
        let venue = Arc::clone(&self.venue);
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT scope, level, origin, reason, since, until FROM halts WHERE venue = ?1
                 ORDER BY since, scope, hand",
            )?;
            collect(&mut statement, [&*venue], |row| {
                let text = |index: usize| row.get::<_, String>(index);
                let (scope, origin) = (text(0)?, text(2)?);
                let until: Option<i64> = row.get(5)?;
                Ok(Halt {
                    scope: serde_json::from_str(&scope).map_err(|_| unreadable("halts.scope", &scope))?,
                    level: unword("halts.level", &text(1)?)?,
                    origin: serde_json::from_str(&origin).map_err(|_| unreadable("halts.origin", &origin))?,
                    reason: text(3)?.into(),
                    since: instant("halts.since", row.get(4)?)?,
                    until: until.map(|millis| instant("halts.until", millis)).transpose()?,
                })
            })
        })
        .await
    }
}
