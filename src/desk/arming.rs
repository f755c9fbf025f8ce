//! A live desk computes until an operator arms an account by its name; what has to be right for that is looked at here.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use super::floor::Floor;
use crate::domain::{AccountName, Event, Mode, Severity};
use crate::store::ActionKind;

/// A clock further away than this signs requests that may be refused, milliseconds.
const LARGEST_SKEW_MS: i64 = 2_000;

impl Floor {
    /// Allows an account of a live desk to send orders, if nothing speaks against it.
    pub(super) async fn arm(&self, name: &AccountName) -> Result<String, String> {
        if self.settings.mode != Mode::Live {
            return Err(format!(
                "mode {} needs no arming; orders are sent unless dry-run is on",
                self.settings.mode
            ));
        }
        let obstacles = self.obstacles(name).await?;
        if !obstacles.is_empty() {
            return Err(format!("{name} is not armed: {}", obstacles.join("; ")));
        }
        let armed = self.change_armed(|armed| {
            armed.insert(name.clone());
        });
        self.set_dry_run(false);
        self.remember_armed(&armed).await;
        let text = format!("{name} is armed: its orders are sent with real money");
        self.shared.note_operator(ActionKind::Arm, Some(name), None, text.clone()).await;
        // What openings need was not set while nothing might be sent.
        if let Some(account) = self.account(name)
            && let Err(reason) = account.prepare_account().await
        {
            account.alarm(Severity::Warning, format!("{name}: nothing is opened yet: {reason}"));
        }
        Ok(text)
    }

    /// Forbids every account of a live desk to send orders.
    pub(super) async fn disarm(&self) -> Result<String, String> {
        if self.settings.mode != Mode::Live {
            return Err("this desk is not live; dry-run keeps its orders back".to_owned());
        }
        let armed = self.change_armed(BTreeSet::clear);
        self.set_dry_run(true);
        self.remember_armed(&armed).await;
        let text = "nothing is armed: no order is sent; stops stay at the exchange".to_owned();
        self.shared.note_operator(ActionKind::Disarm, None, None, text.clone()).await;
        Ok(text)
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

    fn change_armed(&self, change: impl FnOnce(&mut BTreeSet<AccountName>)) -> Vec<AccountName> {
        let armed: Vec<AccountName> = {
            let mut armed = self.shared.armed.write().unwrap_or_else(PoisonError::into_inner);
            let armed = armed.get_or_insert_default();
            change(armed);
            armed.iter().cloned().collect()
        };
        self.shared.bulletin.record(None, Event::Armed { accounts: armed.clone() });
        armed
    }

    async fn remember_armed(&self, armed: &[AccountName]) {
        let names = armed.iter().map(AccountName::as_str).collect::<Vec<_>>().join(",");
        if let Err(error) = self.shared.store.set_meta(&self.armed_key(), &names).await {
            tracing::error!(%error, "which accounts are armed could not be stored; the next start arms none");
        }
    }

    fn armed_key(&self) -> String {
        format!("armed {}", self.shared.store.venue())
    }

    /// At a start: arms again what was armed, where the settings say so; otherwise nothing is.
    pub(super) async fn restore_armed(&self) {
        if self.settings.mode != Mode::Live {
            return;
        }
        let names = match self.shared.store.meta(&self.armed_key()).await {
            Ok(names) => names.unwrap_or_default(),
            Err(error) => {
                tracing::error!(%error, "which accounts were armed could not be read");
                return;
            }
        };
        for name in names.split(',').filter_map(|name| AccountName::new(name).ok()) {
            if !self.settings.stay_armed {
                let text =
                    format!("{name} was armed before this start and is not now; arm it again by its name");
                self.shared.bulletin.record(None, Event::Alarm { severity: Severity::Info, text });
            } else if let Err(reason) = self.arm(&name).await {
                self.shared.bulletin.record(None, Event::Alarm { severity: Severity::Warning, text: reason });
            }
        }
    }
}
