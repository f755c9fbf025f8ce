//! Putting halts in force and taking them back: by command, by file, by the desk itself, and when their time is up.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::mailbox::{self, HaltRequest, Letter, Request};
use super::notice::Notice;
use super::{Standing, told};
use crate::desk::done::Done;
use crate::desk::execution::Shared;
use crate::desk::floor::Floor;
use crate::domain::{
    AccountName, Event, Halt, HaltLevel, HaltOrigin, HaltScope, Severity, Symbol, Timestamp,
};
use crate::store::{ActionKind, OperatorAction, Start, StoreError};

/// Pause between looks at the halt file, the requests and the clock where nobody tells of files.
const LOOK: Duration = Duration::from_millis(250);
/// The same where the kernel tells of them, for what it does not tell: time passes by itself, and so do the files of other
/// machines.
const LOOK_ANYHOW: Duration = Duration::from_secs(1);
/// Between the notice of a file and the look at it: whoever made it writes into it first.
const WRITTEN: Duration = Duration::from_millis(20);

/// Has the kernel tell of the files of a data folder, if it does.
fn listen(folder: &Path) -> Option<Notice> {
    Notice::of(folder)
        .inspect_err(|error| tracing::debug!(%error, "the kernel does not tell of halt files; the desk looks for them"))
        .ok()
}

/// Waits for the kernel's word; for ever where it says nothing.
async fn given(notice: Option<&Notice>) {
    match notice {
        Some(notice) => notice.given().await,
        None => std::future::pending().await,
    }
}

/// What became of a halt that was put in force.
struct Imposed {
    number: u64,
    /// Whether a restart finds it.
    is_stored: bool,
}

impl Shared {
    /// Puts a halt in force at once, then writes it down and tells it. One that no operator asked for never loosens a
    /// stricter one by the same hand. Returns whether it was new.
    pub async fn impose(&self, halt: Halt) -> bool {
        // In force before it is written: from here on no order leaves that it forbids.
        let number = if halt.origin == HaltOrigin::Operator {
            Some(self.halts.put(halt.clone()))
        } else {
            self.halts.put_if_stricter(halt.clone())
        };
        let Some(number) = number else { return false };
        self.make_known(number, &halt).await;
        true
    }

    /// Writes down and tells what is in force.
    async fn make_known(&self, number: u64, halt: &Halt) -> Imposed {
        self.halts.flattening.notify_waiters();
        let stored = self.store_halt(number, halt).await;
        if let Err(error) = &stored {
            let text = format!(
                "{}; but it could not be stored and does not outlive this run; it is tried again: {error}",
                told(halt)
            );
            self.bulletin.record(None, Event::Alarm { severity: Severity::Critical, text });
        }
        if halt.origin == HaltOrigin::Operator {
            self.note_operator(ActionKind::Halt, None, None, told(halt)).await;
        }
        self.tell_in_force(&halt.scope);
        Imposed { number, is_stored: stored.is_ok() }
    }

    /// Stores a halt, unless another has taken its place meanwhile.
    async fn store_halt(&self, number: u64, halt: &Halt) -> Result<(), StoreError> {
        let _writing = self.halts.writing.lock().await;
        if self.halts.is_standing(number) {
            self.store.put_halt(halt).await?;
            self.halts.set_stored(number);
        }
        Ok(())
    }

    /// Tries again to store what could not be.
    async fn store_what_is_left(&self) {
        for left in self.halts.unstored() {
            match self.store_halt(left.number, &left.halt).await {
                Ok(()) => {
                    let text = format!("{}; it is stored now", told(&left.halt));
                    self.bulletin.record(None, Event::Alarm { severity: Severity::Info, text });
                }
                Err(error) => tracing::debug!(%error, "a halt could still not be stored"),
            }
        }
    }

    /// Tells the halt of a scope that counts, if there is one.
    fn tell_in_force(&self, scope: &HaltScope) -> bool {
        let halt = self.halts.in_force_of(scope, self.clock.now());
        let is_halted = halt.is_some();
        if let Some(halt) = halt {
            self.bulletin.record(None, Event::Halted { halt });
        }
        self.publish_halts();
        is_halted
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
    /// It is at least as strict as what halts the whole desk already, and has no end. Returns whether it is stored, and so
    /// outlives this run.
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
        let number = self.shared.halts.put(halt.clone());
        self.shared.make_known(number, &halt).await.is_stored
    }

    /// Takes a halt back, or says why there is nothing to take back.
    pub async fn lift(&self, scope: &HaltScope, reason: &str) -> Result<(), String> {
        if *scope == HaltScope::Desk && self.shared.halts.file().is_some() {
            return Err(format!(
                "the file {} in the data folder halts the whole desk; remove it",
                mailbox::HALT_FILE
            ));
        }
        let writing = self.shared.halts.writing.lock().await;
        let standing = self.shared.halts.all_of(scope);
        if standing.is_empty() {
            return Err(format!("{scope} is not halted"));
        }
        // Written before they are taken back: a halt that cannot be forgotten must not come back at the next start.
        self.forget(&standing).await.map_err(|error| error.to_string())?;
        if standing.iter().any(|standing| standing.halt.origin == HaltOrigin::Desk)
            && let HaltScope::Account(name) = scope
            && let Some(account) = self.account(name)
        {
            account.accept_other_desks().await;
        }
        if *scope == HaltScope::Desk {
            self.forget_crashes();
        }
        self.take_back(&standing).await;
        drop(writing);
        self.shared
            .note_operator(
                ActionKind::Resume,
                None,
                None,
                format!("the halt of {scope} is taken back: {reason}"),
            )
            .await;
        self.tell_resumed(scope, reason);
        if self.shared.halts.standing(scope).is_some() {
            return Err(format!("{scope} was halted anew meanwhile; that one stands"));
        }
        Ok(())
    }

    async fn forget(&self, standing: &[Standing]) -> Result<(), StoreError> {
        let halts: Vec<Halt> = standing.iter().map(|standing| standing.halt.clone()).collect();
        self.shared.store.remove_halts(&halts).await
    }

    /// Takes back the very halts that were seen; what was put in their place meanwhile stays. Returns whether any of them
    /// still stood.
    async fn take_back(&self, standing: &[Standing]) -> bool {
        let mut any = false;
        for Standing { number, halt, .. } in standing {
            if let HaltOrigin::Guard(rule) = halt.origin {
                self.count_anew(&halt.scope, rule).await;
            }
            any |= self.shared.halts.remove(*number);
        }
        any
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
    ) -> Result<Done, String> {
        let (halt, imposed) = self.begin_by_hand(scope, level, until, reason).await?;
        let mut done = Done::told(told(&halt));
        if let Some(counts) = self.shared.halts.in_force_of(&halt.scope, self.shared.clock.now())
            && counts != halt
        {
            let text = format!(
                "{}; until an operator resumes it, this counts beside it: {}",
                done.text,
                told(&counts)
            );
            done = text.into();
        }
        if !imposed.is_stored {
            done = format!("{}; it could not be stored and does not outlive this run", done.text).into();
        }
        Ok(done)
    }

    async fn begin_by_hand(
        &self,
        scope: HaltScope,
        level: HaltLevel,
        until: Option<Timestamp>,
        reason: String,
    ) -> Result<(Halt, Imposed), String> {
        self.knows(&scope)?;
        if until.is_some_and(|until| until <= self.shared.clock.now()) {
            return Err("its time is up already".to_owned());
        }
        let since = self.shared.clock.now();
        let halt = Halt { scope, level, origin: HaltOrigin::Operator, reason: reason.into(), since, until };
        let number = self.shared.halts.put(halt.clone());
        let imposed = self.shared.make_known(number, &halt).await;
        Ok((halt, imposed))
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
        let notice = self.shared.halts.folder.as_deref().and_then(listen);
        let pause = if notice.is_some() { LOOK_ANYHOW } else { LOOK };
        loop {
            self.look_at_halts().await;
            let looked = Instant::now();
            let due = tokio::select! {
                () = self.ending.cancelled() => return,
                () = given(notice.as_ref()) => (Instant::now() + WRITTEN).max(looked + LOOK),
                () = tokio::time::sleep(pause) => continue,
            };
            // Many files, or those this desk writes itself, are not looked at more often than without a notice.
            tokio::select! {
                () = self.ending.cancelled() => return,
                () = tokio::time::sleep_until(due) => {}
            }
        }
    }

    /// One look: at the halt file, at what was asked for by file, and at halts whose time is up.
    pub(in crate::desk) async fn look_at_halts(&self) {
        self.look_at_file();
        self.shared.store_what_is_left().await;
        self.read_mailbox().await;
        for over in self.shared.halts.run_out(self.shared.clock.now()) {
            self.end_of_time(over).await;
        }
    }

    /// Ends a halt whose time is up.
    async fn end_of_time(&self, over: Standing) {
        let _writing = self.shared.halts.writing.lock().await;
        let over = [over];
        if !self.shared.halts.is_standing(over[0].number) {
            return;
        }
        if let Err(error) = self.forget(&over).await {
            tracing::error!(%error, "a halt that ran out could not be forgotten; it is tried again");
            return;
        }
        if self.take_back(&over).await {
            self.tell_resumed(&over[0].halt.scope, "its time was up");
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
                self.shared.tell_in_force(&HaltScope::Desk);
            }
            (None, Some(_)) => {
                self.shared.halts.set_file(None);
                self.tell_resumed(&HaltScope::Desk, "the halt file was removed");
            }
            _ => {}
        }
    }

    /// Tells that a halt ended: what still halts the scope, or that nothing does.
    fn tell_resumed(&self, scope: &HaltScope, reason: &str) {
        if !self.shared.tell_in_force(scope) {
            let (scope, reason) = (scope.clone(), reason.to_owned());
            self.shared.bulletin.record(None, Event::Resumed { scope, reason });
        }
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
            let done = match (self.shared.halts.has_waited(letter.path()), &letter.request) {
                (Some(true), _) => Ok(None),
                (Some(false), _) => continue,
                (None, Ok(asked)) => self.carry_out_request(asked).await,
                (None, Err(why)) => Err(format!("it cannot be read: {why}")),
            };
            match done {
                // It is in force; the request is what a restart finds until the halt is stored.
                Ok(Some(unstored)) => self.shared.halts.keep_waiting(letter.path(), unstored),
                Ok(None) => self.answer_letter(&letter, Ok(())),
                Err(why) => self.answer_letter(&letter, Err(why)),
            }
        }
    }

    fn answer_letter(&self, letter: &Letter, done: Result<(), String>) {
        let answered = match done {
            Ok(()) => letter.taken(),
            Err(why) => {
                let asked = letter
                    .request
                    .as_ref()
                    .map_or_else(|_| "a request".to_owned(), |asked| asked.request.words());
                let text = format!("{asked}, asked for beside the desk, was not carried out: {why}");
                self.shared.bulletin.record(None, Event::Alarm { severity: Severity::Warning, text });
                letter.refused(&why)
            }
        };
        if let Err(error) = answered {
            tracing::error!(%error, file = %letter.path().display(), "a request could not be removed");
        }
    }

    /// Returns the number of the halt that was asked for if it is not stored yet.
    async fn carry_out_request(&self, asked: &HaltRequest) -> Result<Option<u64>, String> {
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
                let (_, imposed) = self.begin_by_hand(scope.clone(), *level, until, reason.clone()).await?;
                Ok((!imposed.is_stored).then_some(imposed.number))
            }
            Request::Resume { scope } => self.lift(scope, "by request").await.map(|()| None),
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
