//! Putting halts in force and taking them back: by command, by file, by the desk itself, and when their time is up.

use std::time::Duration;

use super::mailbox::{self, HaltRequest, Letter, Request};
use super::told;
use crate::desk::execution::Shared;
use crate::desk::floor::Floor;
use crate::domain::{
    AccountName, Event, Halt, HaltLevel, HaltOrigin, HaltScope, Severity, Symbol, Timestamp,
};
use crate::store::{ActionKind, OperatorAction, Start, StoreError};

/// Pause between looks at the halt file, the requests and the clock.
const LOOK: Duration = Duration::from_millis(250);

impl Shared {
    /// Puts a halt in force at once, then writes it down and tells it. One that no operator asked for never loosens a
    /// stricter one of the same scope. Returns whether it is the halt in force now.
    pub async fn impose(&self, halt: Halt) -> bool {
        if halt.origin != HaltOrigin::Operator
            && self.halts.standing(&halt.scope).is_some_and(|known| known.level >= halt.level)
        {
            return false;
        }
        self.put_in_force(halt).await;
        true
    }

    /// Returns whether it is stored as well.
    async fn put_in_force(&self, halt: Halt) -> bool {
        let text = told(&halt);
        // In force before it is written: from here on no order leaves that it forbids.
        self.halts.put(halt.clone());
        let stored = self.store.put_halt(&halt).await;
        if let Err(error) = &stored {
            let text = format!("{text}; but it could not be stored and will not outlive this run: {error}");
            self.bulletin.record(None, Event::Alarm { severity: Severity::Critical, text });
        }
        if halt.origin == HaltOrigin::Operator {
            self.note_operator(ActionKind::Halt, None, None, text).await;
        }
        self.bulletin.record(None, Event::Halted { halt });
        self.publish_halts();
        self.halts.flattening.notify_waiters();
        stored.is_ok()
    }

    /// Says beside the desk what is in force.
    pub(in crate::desk) fn publish_halts(&self) {
        let Some(folder) = &self.halts.folder else { return };
        let halts = self.halts.in_force(self.clock.now());
        if let Err(error) = mailbox::publish(folder, &halts) {
            tracing::error!(%error, "the halts in force could not be written beside the desk");
        }
    }

    /// Keeps what an operator did, for the record and for the next cycle's prompt.
    pub(in crate::desk) async fn note_operator(
        &self,
        kind: ActionKind,
        account: Option<&AccountName>,
        symbol: Option<&Symbol>,
        detail: String,
    ) {
        let action = OperatorAction {
            at: self.clock.now(),
            kind,
            account: account.cloned(),
            symbol: symbol.cloned(),
            detail,
        };
        if let Err(error) = self.store.put_operator_action(&action).await {
            tracing::error!(%error, detail = action.detail, "what an operator did could not be stored");
        }
    }
}

impl Floor {
    /// Nothing is opened from now on until an operator resumes the desk: something about this start needs a look first.
    /// A desk-wide halt that is there keeps its level and loses its end. Returns whether it is stored, and so outlives
    /// this run.
    pub async fn begin_closing_only(&self, reason: &str) -> bool {
        let text = format!("nothing is opened until an operator resumes the whole desk: {reason}");
        self.shared.bulletin.record(None, Event::Alarm { severity: Severity::Critical, text });
        let mut halt = Halt {
            scope: HaltScope::Desk,
            level: HaltLevel::NoEntries,
            origin: HaltOrigin::Desk,
            reason: reason.into(),
            since: self.shared.clock.now(),
            until: None,
        };
        if let Some(known) = self.shared.halts.standing(&halt.scope) {
            halt.level = halt.level.max(known.level);
            if !known.reason.is_empty() && !known.reason.raw().contains(reason) {
                halt.reason = format!("{reason}; and before it: {}", known.reason.raw()).into();
            }
        }
        self.shared.put_in_force(halt).await
    }

    /// Takes a halt back, or says why there is nothing to take back.
    pub async fn lift(&self, scope: &HaltScope, reason: &str) -> Result<(), String> {
        if *scope == HaltScope::Desk && self.shared.halts.file().is_some() {
            return Err(format!(
                "the file {} in the data folder halts the whole desk; remove it",
                mailbox::HALT_FILE
            ));
        }
        let Some(halt) = self.shared.halts.standing(scope) else {
            return Err(format!("{scope} is not halted"));
        };
        // Written before it is in force: a halt that cannot be forgotten must not come back at the next start.
        self.shared.store.remove_halt(scope).await.map_err(|error| error.to_string())?;
        if halt.origin == HaltOrigin::Desk
            && let HaltScope::Account(name) = scope
            && let Some(account) = self.account(name)
        {
            account.accept_other_desks().await;
        }
        if *scope == HaltScope::Desk {
            self.forget_crashes();
        }
        self.shared.halts.remove(scope);
        self.shared
            .note_operator(ActionKind::Resume, None, None, format!("{scope} trades again: {reason}"))
            .await;
        self.tell_resumed(scope, reason);
        Ok(())
    }

    /// An operator looked at the whole desk: the crashes before count no longer.
    fn forget_crashes(&self) {
        if let Some(folder) = &self.shared.halts.folder
            && let Err(error) = Start::forget_crashes(folder)
        {
            tracing::error!(%error, "the starts that crashed could not be forgotten; they may halt the next start");
        }
    }

    /// The command of an operator, from wherever it came.
    pub(in crate::desk) async fn halt_by_hand(
        &self,
        scope: HaltScope,
        level: HaltLevel,
        until: Option<Timestamp>,
        reason: String,
    ) -> Result<String, String> {
        self.knows(&scope)?;
        if until.is_some_and(|until| until <= self.shared.clock.now()) {
            return Err("its time is up already".to_owned());
        }
        let since = self.shared.clock.now();
        let halt = Halt { scope, level, origin: HaltOrigin::Operator, reason: reason.into(), since, until };
        let text = told(&halt);
        self.shared.impose(halt).await;
        Ok(text)
    }

    fn knows(&self, scope: &HaltScope) -> Result<(), String> {
        match scope {
            HaltScope::Account(name) if self.account(name).is_none() => {
                Err(format!("there is no account {name}"))
            }
            HaltScope::Coin(symbol) if !self.symbols().contains(symbol) => {
                Err(format!("no account trades {symbol}"))
            }
            _ => Ok(()),
        }
    }

    /// Looks at files and clock until the desk ends.
    pub(in crate::desk) async fn keep_halts(&self) {
        loop {
            self.look_at_halts().await;
            tokio::select! {
                () = self.ending.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// One look: at the halt file, at what was asked for by file, and at halts whose time is up.
    pub(in crate::desk) async fn look_at_halts(&self) {
        self.look_at_file();
        self.read_mailbox().await;
        for scope in self.shared.halts.run_out(self.shared.clock.now()) {
            if let Err(error) = self.shared.store.remove_halt(&scope).await {
                tracing::error!(%error, "a halt that ran out could not be forgotten; it is tried again");
                continue;
            }
            self.shared.halts.remove(&scope);
            self.tell_resumed(&scope, "its time was up");
        }
    }

    fn look_at_file(&self) {
        let Some(folder) = &self.shared.halts.folder else { return };
        let before = self.shared.halts.file();
        match (mailbox::halt_file(folder), before) {
            (Some(text), None) => {
                let halt = Halt {
                    scope: HaltScope::Desk,
                    level: HaltLevel::Frozen,
                    origin: HaltOrigin::File,
                    reason: text.into(),
                    since: self.shared.clock.now(),
                    until: None,
                };
                self.shared.halts.set_file(Some(halt));
                self.tell_desk_wide();
            }
            (None, Some(_)) => {
                self.shared.halts.set_file(None);
                match self.shared.halts.standing(&HaltScope::Desk) {
                    Some(_) => self.tell_desk_wide(),
                    None => self.tell_resumed(&HaltScope::Desk, "the halt file was removed"),
                }
            }
            _ => {}
        }
    }

    /// The desk-wide halt in force changed with the file.
    fn tell_desk_wide(&self) {
        let now = self.shared.clock.now();
        if let Some(halt) =
            self.shared.halts.in_force(now).into_iter().find(|halt| halt.scope == HaltScope::Desk)
        {
            self.shared.bulletin.record(None, Event::Halted { halt });
        }
        self.shared.publish_halts();
    }

    fn tell_resumed(&self, scope: &HaltScope, reason: &str) {
        self.shared.bulletin.record(None, Event::Resumed { scope: scope.clone(), reason: reason.to_owned() });
        self.shared.publish_halts();
    }

    async fn read_mailbox(&self) {
        let Some(folder) = &self.shared.halts.folder else { return };
        let letters = match mailbox::waiting(folder) {
            Ok(letters) => letters,
            Err(error) => {
                tracing::error!(%error, "the requests in the data folder cannot be read");
                return;
            }
        };
        for letter in letters {
            let done = match &letter.request {
                Ok(asked) => self.carry_out_request(asked).await,
                Err(why) => Err(format!("it cannot be read: {why}")),
            };
            self.answer_letter(&letter, done);
        }
    }

    fn answer_letter(&self, letter: &Letter, done: Result<String, String>) {
        let answered = match done {
            Ok(_) => letter.taken(),
            Err(why) => {
                let text = format!("the request {} was not carried out: {why}", letter.path().display());
                self.shared.bulletin.record(None, Event::Alarm { severity: Severity::Warning, text });
                letter.refused(&why)
            }
        };
        if let Err(error) = answered {
            tracing::error!(%error, file = %letter.path().display(), "a request could not be removed");
        }
    }

    async fn carry_out_request(&self, asked: &HaltRequest) -> Result<String, String> {
        match &asked.request {
            Request::Halt { scope, level, seconds, reason } => {
                let until = match seconds {
                    None => None,
                    Some(seconds) => {
                        let left = mailbox::left(*seconds, asked.at, self.shared.wall.now())
                            .ok_or("its time was up before a desk took it")?;
                        Some(self.shared.clock.now() + left)
                    }
                };
                self.halt_by_hand(scope.clone(), *level, until, reason.clone()).await
            }
            Request::Resume { scope } => {
                self.lift(scope, "by request").await.map(|()| format!("{scope} trades again"))
            }
        }
    }

    /// What operators did after an instant (market time), one line each: what the next cycle is told.
    pub async fn operator_actions_since(&self, since: Timestamp) -> Result<Vec<String>, StoreError> {
        let actions = self.shared.store.operator_actions_since(since).await?;
        Ok(actions
            .into_iter()
            .map(|action| format!("{} {}", action.at.format("%Y-%m-%d %H:%MZ"), action.detail))
            .collect())
    }
}
