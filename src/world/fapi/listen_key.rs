//! Listen keys: one an account, an hour long, extended at will.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::world::engine::AccountId;

/// How long a key lives without being extended, wall time, ms.
const VALID: i64 = 60 * 60_000;

/// The keys in use.
#[derive(Debug)]
pub(crate) struct ListenKeys {
    seed: u64,
    made: u64,
    /// Key and wall time of expiry.
    keys: BTreeMap<AccountId, (String, i64)>,
}

impl ListenKeys {
    pub fn new(seed: u64) -> Self {
        Self { seed, made: 0, keys: BTreeMap::new() }
    }

    /// The account's key, made or extended.
    pub fn open(&mut self, who: AccountId, wall_ms: i64) -> String {
        if let Some(key) = self.extend(who, wall_ms) {
            return key;
        }
        self.made += 1;
        let text = format!("listen key {} {who:?} {} {wall_ms}", self.seed, self.made);
        let key = hex::encode(Sha256::digest(text));
        self.keys.insert(who, (key.clone(), wall_ms + VALID));
        key
    }

    /// Extends a living key.
    pub fn extend(&mut self, who: AccountId, wall_ms: i64) -> Option<String> {
        let (key, until) = self.keys.get_mut(&who).filter(|(_, until)| *until > wall_ms)?;
        *until = wall_ms + VALID;
        Some(key.clone())
    }

    /// Ends a key; the streams on it fall silent.
    pub fn close(&mut self, who: AccountId) {
        self.keys.remove(&who);
    }

    /// Lets an account's key run out, or everybody's.
    pub fn expire(&mut self, who: Option<AccountId>) {
        self.keys.retain(|owner, _| who.is_some_and(|who| who != *owner));
    }

    /// Whose key this is, if it lives.
    pub fn account(&self, key: &str, wall_ms: i64) -> Option<AccountId> {
        self.keys.iter().find(|(_, (text, until))| text == key && *until > wall_ms).map(|(who, _)| *who)
    }
}
