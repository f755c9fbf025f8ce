//! A live desk computes until an operator arms an account by its name; what has to be right for that is looked at here.
//! An account that was armed once stays guarded for good, so that a restart leaves no position without a stop.

use std::sync::{Arc, PoisonError};

use futures_util::future::join_all;

use super::execution::Arming;
use super::floor::Floor;
use super::guardian::Guardian;
use crate::domain::{AccountName, Event, Mode, Severity};
use crate::store::ActionKind;

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

    /// Allows an account of a live desk to send orders, if nothing speaks against it.
    pub(super) async fn arm(&self, name: &AccountName) -> Result<String, String> {
        if self.settings.mode != Mode::Live {
            return Err(format!(
                "mode {} needs no arming; orders are sent unless dry-run is on",
                self.settings.mode
            ));
        }
        self.arm_if_ready(name).await?;
        self.remember_arming().await;
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

    async fn arm_if_ready(&self, name: &AccountName) -> Result<(), String> {
        let obstacles = self.obstacles(name).await?;
        if !obstacles.is_empty() {
            return Err(format!("{name} is not armed: {}", obstacles.join("; ")));
        }
        self.change_arming(|arming| {
            arming.armed.insert(name.clone());
            arming.guarded.insert(name.clone());
        });
        Ok(())
    }

    /// Forbids every account of a live desk to open. What was opened stays guarded.
    pub(super) async fn disarm(&self) -> Result<String, String> {
        if self.settings.mode != Mode::Live {
            return Err("this desk is not live; dry-run keeps its orders back".to_owned());
        }
        self.change_arming(|arming| arming.armed.clear());
        self.remember_arming().await;
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

    fn change_arming(&self, change: impl FnOnce(&mut Arming)) {
        let accounts = {
            let mut arming = self.shared.arming.write().unwrap_or_else(PoisonError::into_inner);
            let arming = arming.get_or_insert_default();
            change(arming);
            arming.armed.iter().cloned().collect()
        };
        self.shared.bulletin.record(None, Event::Armed { accounts });
    }

    async fn remember_arming(&self) {
        let arming = {
            let arming = self.shared.arming.read().unwrap_or_else(PoisonError::into_inner);
            arming.clone().unwrap_or_default()
        };
        for (what, accounts) in [(ARMED, &arming.armed), (GUARDED, &arming.guarded)] {
            let names = accounts.iter().map(AccountName::as_str).collect::<Vec<_>>().join(",");
            if let Err(error) = self.shared.store.set_meta(&self.arming_key(what), &names).await {
                tracing::error!(%error, what, "which accounts are armed could not be stored; the next start arms none");
            }
        }
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
        self.change_arming(|arming| arming.guarded.extend(lost.iter().map(|account| account.name().clone())));
        self.remember_arming().await;
        join_all(lost.into_iter().map(|account| async { Guardian::new(Arc::clone(account)).pass().await }))
            .await;
    }

    /// At a start: what was armed before is guarded again, and armed again where the settings say so.
    pub(super) async fn restore_armed(&self) {
        if self.settings.mode != Mode::Live {
            return;
        }
        let armed = self.remembered(ARMED).await;
        let guarded = self.remembered(GUARDED).await;
        self.change_arming(|arming| arming.guarded.extend(guarded.into_iter().chain(armed.iter().cloned())));
        for name in armed {
            if !self.settings.stay_armed {
                let text = format!(
                    "{name} was armed before this start and is not now: its positions are guarded, nothing is opened; \
                     arm it again by its name"
                );
                self.shared.bulletin.record(None, Event::Alarm { severity: Severity::Info, text });
            } else if let Err(reason) = self.arm_if_ready(&name).await {
                let text = format!("{reason}; its positions are guarded, nothing is opened");
                self.shared.bulletin.record(None, Event::Alarm { severity: Severity::Warning, text });
            }
        }
    }
}
