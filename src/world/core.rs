//! The exchange and its surroundings: what is locked, saved and played through time together.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::engine::{AccountId, Engine};
use super::fapi::account::MarginMove;
use super::fapi::lag::Heard;
use super::fapi::limits::Limits;
use super::fapi::listen_key::ListenKeys;
use super::fapi::local_book::ShownBooks;
use super::faults::carry::Vanishing;
use super::state::{Countdown, Origin};
use super::{WorldKey, WorldOptions};
use crate::domain::{AccountName, Symbol};

/// The exchange and its surroundings, behind one lock.
pub(crate) struct Core {
    pub engine: Engine,
    /// Market time the books are played to, ms.
    pub played_ms: i64,
    pub listen_keys: ListenKeys,
    pub limits: Limits,
    /// Dead-man switches: when all orders of a contract are taken back, market time, ms.
    pub countdowns: BTreeMap<(AccountId, Symbol), i64>,
    /// What owners moved into and out of isolated positions.
    pub margin_moves: Vec<MarginMove>,
    /// Order books that clients may keep a copy of.
    pub shown_books: ShownBooks,
    /// What became of orders, by wall time: what reads that lag tell.
    pub heard: Heard,
    /// Conditional orders that a fault takes away.
    pub vanishing: Vec<Vanishing>,
    pub(super) origin: Origin,
    /// When the world began, wall time, ms.
    pub created_ms: i64,
    pub(super) seed: u64,
    keys: Vec<WorldKey>,
    /// Whether something changed that is not on the disk yet.
    pub(super) dirty: bool,
    /// Market time the streams were told last, ms.
    pub(super) ticked_ms: i64,
}

impl Core {
    pub(super) fn new(
        options: &WorldOptions,
        (seed, created_ms, origin): (u64, i64, Origin),
        engine: Engine,
        played_ms: i64,
    ) -> Self {
        let mut core = Self {
            engine,
            played_ms,
            listen_keys: ListenKeys::new(seed),
            limits: Limits::default(),
            countdowns: BTreeMap::new(),
            margin_moves: Vec::new(),
            shown_books: ShownBooks::default(),
            heard: Heard::default(),
            vanishing: Vec::new(),
            origin,
            seed,
            created_ms,
            keys: Vec::new(),
            dirty: true,
            ticked_ms: i64::MIN / 2,
        };
        for name in &options.accounts {
            if !core.engine.accounts().any(|(_, account)| account.name == *name) {
                core.engine.open_account(name.clone(), options.balance.value(), played_ms);
                tracing::info!(account = %name, balance = %options.balance.value(), "account opened");
            }
        }
        for (_, account) in
            core.engine.accounts().filter(|(_, account)| !options.accounts.contains(&account.name))
        {
            tracing::info!(account = %account.name, "account kept from the state file, though it was not named");
        }
        core.keys = core.engine.accounts().map(|(_, account)| key(seed, &account.name)).collect();
        core
    }

    /// The dead-man switches as they are saved.
    pub(super) fn countdowns(&self) -> Vec<Countdown> {
        let countdown = |((account, symbol), at_ms): (&(AccountId, Symbol), &i64)| Countdown {
            account: *account,
            symbol: symbol.clone(),
            at_ms: *at_ms,
        };
        self.countdowns.iter().map(countdown).collect()
    }

    /// The accounts' keys, in the accounts' order.
    pub(crate) fn keys(&self) -> &[WorldKey] {
        &self.keys
    }

    /// The account an API key belongs to, with its secret.
    pub(crate) fn account_of_key(&self, api_key: &str) -> Option<(AccountId, &str)> {
        let (key, (id, _)) =
            self.keys.iter().zip(self.engine.accounts()).find(|(key, _)| key.api_key == api_key)?;
        Some((id, &key.api_secret))
    }

    /// Takes away the conditional orders whose time has come.
    pub(super) fn vanish(&mut self, wall_ms: i64) {
        let engine = &mut self.engine;
        let dirty = &mut self.dirty;
        self.vanishing.retain(|gone| {
            let is_due = gone.at_ms <= wall_ms;
            if is_due {
                *dirty |= engine.forget_algo(gone.account, gone.algo);
            }
            !is_due
        });
    }

    /// When the next dead-man switch goes off, market time, ms, if not after `now`.
    pub(super) fn next_countdown(&self, now: i64) -> Option<i64> {
        let next = self.countdowns.values().min().copied();
        next.filter(|at| *at <= now).map(|at| at.max(self.played_ms))
    }

    pub(super) fn run_countdowns(&mut self, now: i64) {
        let due: Vec<(AccountId, Symbol)> =
            self.countdowns.iter().filter(|(_, at)| **at <= now).map(|(whose, _)| whose.clone()).collect();
        for whose in due {
            self.countdowns.remove(&whose);
            self.dirty = true;
            if let Err(refusal) = self.engine.cancel_all(whose.0, &whose.1, now) {
                tracing::warn!(%refusal, "a countdown could not cancel orders");
            }
        }
    }
}

fn key(seed: u64, name: &AccountName) -> WorldKey {
    let derived =
        |purpose: &str| hex::encode(Sha256::digest(format!("jarvis world {seed} {name} {purpose}")));
    WorldKey { name: name.clone(), api_key: derived("key"), api_secret: derived("secret") }
}
