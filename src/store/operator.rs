//! What an operator did and said, for the next cycle and for the record.

use std::sync::Arc;

use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::Store;
use super::error::StoreError;
use super::values::{collect, instant, unword, unword_some, word};
use crate::domain::{AccountName, Symbol, Timestamp};

/// What kind of thing an operator did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// Closed a position.
    Close,
    /// Put a stop at another price.
    MoveStop,
    /// Halted something.
    Halt,
    /// Took a halt back.
    Resume,
    /// Closed everything a halt covered.
    Flatten,
    /// Allowed a live desk to send orders.
    Arm,
    /// Forbade it.
    Disarm,
    /// Not the operator: the exchange itself closed something.
    ByExchange,
}

/// One thing an operator did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorAction {
    /// When (market time).
    pub at: Timestamp,
    /// What kind of thing.
    pub kind: ActionKind,
    /// To which account, if to one.
    pub account: Option<AccountName>,
    /// To which coin, if to one.
    pub symbol: Option<Symbol>,
    /// In words, with the figures.
    pub detail: String,
}

impl Store {
    /// Keeps what an operator did.
    pub async fn put_operator_action(&self, action: &OperatorAction) -> Result<(), StoreError> {
        let (venue, action) = (Arc::clone(&self.venue), action.clone());
        self.write(move |connection| {
            let mut statement = connection.prepare_cached(
                "INSERT INTO operator_actions (venue, at, kind, account, symbol, detail)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?;
            statement.execute(params![
                venue,
                action.at.timestamp_millis(),
                word(&action.kind)?,
                action.account.as_ref().map(AccountName::as_str),
                action.symbol.as_ref().map(Symbol::as_str),
                action.detail,
            ])?;
            Ok(())
        })
        .await
    }

    /// What operators did after an instant (market time), oldest first: what the next cycle is told.
    pub async fn operator_actions_since(&self, since: Timestamp) -> Result<Vec<OperatorAction>, StoreError> {
        let venue = Arc::clone(&self.venue);
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT at, kind, account, symbol, detail FROM operator_actions
                 WHERE venue = ?1 AND at > ?2 ORDER BY at, id",
            )?;
            collect(&mut statement, params![venue, since.timestamp_millis()], |row| {
                let maybe = |index: usize| row.get::<_, Option<String>>(index);
                Ok(OperatorAction {
                    at: instant("operator_actions.at", row.get(0)?)?,
                    kind: unword("operator_actions.kind", &row.get::<_, String>(1)?)?,
                    account: unword_some("operator_actions.account", maybe(2)?.as_deref())?,
                    symbol: unword_some("operator_actions.symbol", maybe(3)?.as_deref())?,
                    detail: row.get(4)?,
                })
            })
        })
        .await
    }

    /// Keeps the note for the next cycle, in place of one that waits; `None` takes it back.
    pub async fn set_note(&self, note: Option<(&str, Timestamp)>) -> Result<(), StoreError> {
        let venue = Arc::clone(&self.venue);
        let note = note.map(|(text, at)| (text.to_owned(), at.timestamp_millis()));
        self.write(move |connection| {
            match note {
                Some((text, at)) => connection.execute(
                    "INSERT INTO notes (venue, text, at) VALUES (?1, ?2, ?3)
                     ON CONFLICT (venue) DO UPDATE SET text = excluded.text, at = excluded.at",
                    params![venue, text, at],
                )?,
                None => connection.execute("DELETE FROM notes WHERE venue = ?1", [&*venue])?,
            };
            Ok(())
        })
        .await
    }

    /// The note that waits for the next cycle.
    pub async fn note(&self) -> Result<Option<String>, StoreError> {
        let venue = Arc::clone(&self.venue);
        self.read(move |connection| {
            let note =
                connection.query_row("SELECT text FROM notes WHERE venue = ?1", [&*venue], |row| row.get(0));
            Ok(note.optional()?)
        })
        .await
    }

    /// Accepts the orders of another installation beside ours on an account, by the tag its order names carry.
    pub async fn accept_install(&self, account: &AccountName, tag: &str) -> Result<(), StoreError> {
        let (venue, account, tag) = (Arc::clone(&self.venue), account.clone(), tag.to_owned());
        self.write(move |connection| {
            connection.execute(
                "INSERT INTO known_installs (venue, account, tag) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                params![venue, account.as_str(), tag],
            )?;
            Ok(())
        })
        .await
    }

    /// The other installations an operator has accepted on an account.
    pub async fn accepted_installs(&self, account: &AccountName) -> Result<Vec<String>, StoreError> {
        let (venue, account) = (Arc::clone(&self.venue), account.clone());
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT tag FROM known_installs WHERE venue = ?1 AND account = ?2 ORDER BY tag",
            )?;
            collect(&mut statement, params![venue, account.as_str()], |row| Ok(row.get(0)?))
        })
        .await
    }
}
