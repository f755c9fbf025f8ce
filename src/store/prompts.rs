//! The texts the model was given, each kept once under the hash of its content.

use rusqlite::params;
use sha2::{Digest, Sha256};

use super::Store;
use super::error::StoreError;
use crate::domain::CycleId;

/// What a prompt is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PromptKind {
    /// Who the model is and how it answers.
    System,
    /// Portfolio, market and task of one cycle.
    User,
}

impl PromptKind {
    /// The word kept in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
        }
    }
}

/// The SHA-256 of a text, in small hexadecimal digits.
pub fn content_hash(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

impl Store {
    /// Keeps a prompt and returns its content hash; a text that is there already is kept once.
    pub async fn put_prompt(&self, kind: PromptKind, text: &str) -> Result<String, StoreError> {
        let text = text.to_owned();
        self.write(move |connection| {
            let hash = content_hash(&text);
            connection.execute(
                "INSERT INTO prompts (hash, kind, text) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                params![hash, kind.as_str(), text],
            )?;
            Ok(hash)
        })
        .await
    }

    /// Notes which prompts a cycle used, by their content hashes.
    pub async fn link_prompts(&self, cycle: &CycleId, system: &str, user: &str) -> Result<(), StoreError> {
        let (cycle, hashes) = (cycle.clone(), [system.to_owned(), user.to_owned()]);
        self.write(move |connection| {
            for hash in &hashes {
                let known = "SELECT EXISTS (SELECT 1 FROM prompts WHERE hash = ?1)";
                if !connection.query_row(known, [hash], |row| row.get::<_, bool>(0))? {
                    return Err(StoreError::UnknownPrompt(hash.clone()));
                }
            }
            let [system, user] = hashes;
            let linked = connection.execute(
                "UPDATE cycles SET system_prompt = ?2, user_prompt = ?3 WHERE id = ?1",
                params![cycle.as_str(), system, user],
            )?;
            if linked == 1 { Ok(()) } else { Err(StoreError::UnknownCycle(cycle)) }
        })
        .await
    }

    /// The text of a prompt, by its content hash.
    pub async fn prompt(&self, hash: &str) -> Result<Option<String>, StoreError> {
        let hash = hash.to_owned();
        self.read(move |connection| {
            let mut statement = connection.prepare_cached("SELECT text FROM prompts WHERE hash = ?1")?;
            super::values::first(&mut statement, [hash], |row| Ok(row.get(0)?))
        })
        .await
    }

    /// The system and the user prompt a cycle was decided on, if it came to that.
    pub async fn prompts_of(&self, cycle: &CycleId) -> Result<Option<(String, String)>, StoreError> {
        let cycle = cycle.clone();
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT system.text, user.text FROM cycles
                 JOIN prompts AS system ON system.hash = cycles.system_prompt
                 JOIN prompts AS user ON user.hash = cycles.user_prompt
                 WHERE cycles.id = ?1",
            )?;
            super::values::first(&mut statement, [cycle.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        })
        .await
    }

    /// The texts that a name can mean: those whose content hash begins with it, or the user prompt of the cycle of that
    /// name.
    pub async fn find_prompts(&self, name: &str) -> Result<Vec<String>, StoreError> {
        let name = name.to_owned();
        self.read(move |connection| {
            let is_hash = name.len() >= 4 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
            let mut statement = connection.prepare_cached(
                "SELECT text FROM prompts WHERE (?2 AND substr(hash, 1, length(?1)) = lower(?1))
                     OR hash = (SELECT user_prompt FROM cycles WHERE id = ?1)",
            )?;
            super::values::collect(&mut statement, params![name, is_hash], |row| Ok(row.get(0)?))
        })
        .await
    }
}
