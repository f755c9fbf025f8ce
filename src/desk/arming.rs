//! A live desk computes until an operator arms an account by its name; what has to be right for that is looked at here.
//! An account that was armed once stays guarded for good, so that a restart leaves no position without a stop.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use futures_util::future::join_all;

use super::execution::Arming;
use super::floor::Floor;
use super::guardian::Guardian;
use crate::domain::{AccountName, Event, Mode, Severity};
use crate::store::{ActionKind, StoreError};

/// A clock further away than this signs requests that may be refused, milliseconds.
const LARGEST_SKEW_MS: i64 = 2_000;
/// What the accounts that may open are stored under, and those that are guarded.
const ARMED: &str = "armed";
const GUARDED: &str = "guarded";

impl Floor {
    /// Whether no order of a cycle can leave: a dry run, or a live desk without an armed account.
    pub(super) fn keeps_orders_back(&self) -> bool {
        self.accounts.iter().all(|account| !account.may_open())
    }

    /// How often everything was disarmed so far.
    pub(super) fn disarmings(&self) -> u64 {
        self.disarmings.load(Ordering::SeqCst)
    }

    /// Allows an account of a live desk to send orders, if nothing speaks against it and nobody disarmed since it was
    /// asked for, which was after so many disarmings.
    pub(super) async fn arm(&self, name: &AccountName, disarmings: u64) -> Result<String, String> {
        if self.settings.mode != Mode::Live {
            return Err(format!(
                "mode {} needs no arming; orders are sent unless dry-run is on",
                self.settings.mode
            ));
        }
        self.check_readiness(name).await?;
        let gate = self.arming_gate.lock().await;
        if self.disarmings() != disarmings {
            return Err(format!("{name} is not armed: everything was disarmed while it was looked at"));
        }
        // Stored first: an account whose orders left is guarded after every restart.
        let with = |arming: &mut Arming| {
            arming.armed.insert(name.clone());
            arming.guarded.insert(name.clone());
        };
        let mut wanted = self.arming();
        with(&mut wanted);
        self.store_arming(&wanted)
            .await
            .map_err(|error| format!("{name} is not armed: that could not be stored: {error}"))?;
        self.change_arming(with);
        self.tell_armed();
        drop(gate);
        let but = if self.shared.is_dry_run() { ", once dry-run is off" } else { "" };
        let text = format!("{name} is armed: its orders are sent with real money{but}");
        self.shared.note_operator(ActionKind::Arm, Some(name), None, text.clone()).await;
        // What openings need was not set while nothing might be sent.
        if let Some(account) = self.account(name)
            && let Err(reason) = account.prepare_account().await
        {
            account.alarm(Severity::Warning, format!("{name}: nothing is opened yet: {reason}"));
        }
        Ok(text)
    }

    async fn check_readiness(&self, name: &AccountName) -> Result<(), String> {
        let obstacles = self.obstacles(name).await?;
        if obstacles.is_empty() {
            return Ok(());
        }
        Err(format!("{name} is not armed: {}", obstacles.join("; ")))
    }

    /// Forbids every account of a live desk to open. What was opened stays guarded. It counts at once, and is said to be
    /// done when the next start knows it as well.
    pub(super) async fn disarm(&self) -> Result<String, String> {
        if self.settings.mode != Mode::Live {
            return Err("this desk is not live; dry-run keeps its orders back".to_owned());
        }
        self.disarmings.fetch_add(1, Ordering::SeqCst);
        self.change_arming(|arming| arming.armed.clear());
        let gate = self.arming_gate.lock().await;
        // Whoever was being armed meanwhile is disarmed with the others.
        let arming = self.change_arming(|arming| arming.armed.clear());
        let stored = self.store_arming(&arming).await;
        self.tell_armed();
        drop(gate);
        if let Err(error) = stored {
            let but = if self.settings.stay_armed {
                "the next start arms again what was armed before; disarm again, or set stay_armed = false"
            } else {
                "disarm again"
            };
            let text = format!(
                "nothing is armed in this run, but that could not be stored, so that it is not done: {but}: {error}"
            );
            let alarm = Event::Alarm { severity: Severity::Critical, text: text.clone() };
            self.shared.bulletin.record(None, alarm);
            return Err(text);
        }
        let text = "nothing is armed: nothing is opened; stops stay at the exchange and are looked after";
        self.shared.note_operator(ActionKind::Disarm, None, None, text.to_owned()).await;
        Ok(text.to_owned())
    }

    /// Everything that speaks against sending this account's orders, one line each.
    async fn obstacles(&self, name: &AccountName) -> Result<Vec<String>, String> {
        let account = self.account(name).ok_or_else(|| format!("there is no account {name}"))?;
        let client = account.client();
        let mut found = Vec::new();
        match client.account_flags().await {
            Ok(flags) => found.extend(flags.obstacles().into_iter().map(str::to_owned)),
            Err(error) => found.push(format!("its settings cannot be read: {error}")),
        }
        match client.key_permissions().await {
            Ok(key) => {
                found.extend(key.obstacles().into_iter().map(str::to_owned));
                if key.ip_restricted != Some(true) {
                    const TEXT: &str = "its key works from every address; restrict it to this machine's";
                    account.alarm(Severity::Warning, format!("{name}: {TEXT}"));
                }
            }
            Err(error) => found.push(format!("what its key may do cannot be read: {error}")),
        }
        match client.sync_clock().await {
            Ok(offset) if offset.abs() > LARGEST_SKEW_MS => {
                found.push(format!("this machine's clock is {offset} ms away from the exchange's; set it"));
            }
            Ok(_) => {}
            Err(error) => found.push(format!("the exchange's clock cannot be read: {error}")),
        }
        if let Err(error) = self.refresh_rules().await {
            found.push(format!("the exchange's rules cannot be read: {error}"));
        }
        for symbol in &account.terms().symbols {
            match self.shared.rules_of(symbol) {
                Some(rules) if rules.is_tradable() => {}
                Some(_) => found.push(format!("{symbol} is not trading")),
                None => found.push(format!("the exchange does not know {symbol}")),
            }
        }
        Ok(found)
    }

    /// Changes who is armed and guarded, and returns what it is now.
    fn change_arming(&self, change: impl FnOnce(&mut Arming)) -> Arming {
        let mut arming = self.shared.arming.write().unwrap_or_else(PoisonError::into_inner);
        let arming = arming.get_or_insert_default();
        change(arming);
        arming.clone()
    }

    fn arming(&self) -> Arming {
        self.shared.arming.read().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
    }

    fn tell_armed(&self) {
        let accounts = self.arming().armed.into_iter().collect();
        self.shared.bulletin.record(None, Event::Armed { accounts });
    }

    /// Whom the next start finds guarded and, where the settings say so, armed.
    async fn store_arming(&self, arming: &Arming) -> Result<(), StoreError> {
        // Those that are guarded first: nobody is ever armed without being guarded.
        for (what, accounts) in [(GUARDED, &arming.guarded), (ARMED, &arming.armed)] {
            let names = accounts.iter().map(AccountName::as_str).collect::<Vec<_>>().join(",");
            self.shared.store.set_meta(&self.arming_key(what), &names).await?;
        }
        Ok(())
    }

    fn arming_key(&self, what: &str) -> String {
        format!("{what} {}", self.shared.store.venue())
    }

    async fn remembered(&self, what: &str) -> Vec<AccountName> {
        let names = match self.shared.store.meta(&self.arming_key(what)).await {
            Ok(names) => names.unwrap_or_default(),
            Err(error) => {
                tracing::error!(%error, what, "which accounts were armed could not be read");
                return Vec::new();
            }
        };
        names.split(',').filter_map(|name| AccountName::new(name).ok()).collect()
    }

    /// At a start: an account at which the exchange shows orders of ours was armed once, also when the journal that said so
    /// is gone. It is guarded again, at once.
    pub(super) async fn guard_what_was_lost(&self) {
        let lost: Vec<_> = self.accounts.iter().filter(|account| account.has_lost_orders()).collect();
        if self.settings.mode != Mode::Live || self.shared.is_dry_run() || lost.is_empty() {
            return;
        }
        let gate = self.arming_gate.lock().await;
        let found = lost.iter().map(|account| account.name().clone());
        let arming = self.change_arming(|arming| arming.guarded.extend(found));
        if let Err(error) = self.store_arming(&arming).await {
            tracing::error!(%error, "which accounts are guarded could not be stored; the next start looks again");
        }
        drop(gate);
        join_all(lost.into_iter().map(|account| async { Guardian::new(Arc::clone(account)).pass().await }))
            .await;
    }

    /// At a start, before anything is asked of the exchange: what was armed before is guarded again.
    pub(super) async fn restore_guarded(&self) {
        if self.settings.mode != Mode::Live {
            return;
        }
        let armed = self.remembered(ARMED).await;
        let guarded = self.remembered(GUARDED).await;
        self.change_arming(|arming| arming.guarded.extend(guarded.into_iter().chain(armed)));
        self.tell_armed();
    }

    /// At a start, once every position has its stop: what was armed before is armed again where the settings say so.
    pub(super) async fn arm_again(&self) {
        if self.settings.mode != Mode::Live {
            return;
        }
        for name in self.remembered(ARMED).await {
            if !self.settings.stay_armed {
                let text = format!(
                    "{name} was armed before this start and is not now: its positions are guarded, nothing is opened; \
                     arm it again by its name"
                );
                self.shared.bulletin.record(None, Event::Alarm { severity: Severity::Info, text });
            } else if let Err(reason) = self.check_readiness(&name).await {
                let text = format!("{reason}; its positions are guarded, nothing is opened");
                self.shared.bulletin.record(None, Event::Alarm { severity: Severity::Warning, text });
            } else {
                self.change_arming(|arming| _ = arming.armed.insert(name));
                self.tell_armed();
            }
        }
    }
}
