//! The desk at work: guardians, streams, schedule and commands, until it is told to end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_cron_scheduler::{Job, JobScheduler};

use super::done::Done;
use super::execution::{AccountDesk, Cause};
use super::floor::Floor;
use super::guardian::Nudge;
use super::guards::close_whole;
use crate::domain::{
    AccountName, Command, CommandId, Direction, Event, OperatorCommand, Position, Severity, Symbol,
    Timestamp, ToldElsewhere, Trigger, Untrusted,
};
use crate::exchange::UserEvent;
use crate::net::SocketConnector;
use crate::store::ActionKind;

/// Where the streams are.
#[derive(Debug, Clone)]
pub struct Streams {
    /// Opens sockets.
    pub connector: SocketConnector,
    /// `ws://host` before the routes.
    pub ws_url: String,
}

/// How long an order between send and stop may hold up the end.
const LAST_ORDERS: Duration = Duration::from_secs(5);
/// Longest note to the model, in columns.
const LONGEST_NOTE: usize = 1_000;
/// Pause between looks at the schedule when the clock does not run at wall speed.
const PACED_LOOK: Duration = Duration::from_millis(250);

/// A task of the desk died; money must not go on without it.
#[derive(Debug, thiserror::Error)]
#[error("a task of the desk ended unexpectedly: {0}")]
pub struct TaskDied(String);

impl Floor {
    /// Works until [`Floor::end`] is called or a task dies. On an empty store a first cycle starts by itself.
    pub async fn serve(
        self: &Arc<Self>,
        streams: Streams,
        commands: mpsc::Receiver<OperatorCommand>,
        first_cycle: bool,
    ) -> Result<(), TaskDied> {
        let mut tasks: JoinSet<()> = JoinSet::new();
        for account in &self.accounts {
            let (nudge, nudges) = mpsc::channel(16);
            tasks.spawn(self.guardian(account).watch(nudges));
            tasks.spawn(Arc::clone(self).keep_flat(Arc::clone(account)));
            let (events, heard) = mpsc::channel(256);
            let client = account.client().clone();
            let Streams { connector, ws_url } = streams.clone();
            tasks.spawn(crate::exchange::user_stream::follow(client, connector, ws_url, events));
            tasks.spawn(pass_on(heard, Arc::clone(account), nudge));
        }
        let (marks, heard) = mpsc::channel(64);
        let Streams { connector, ws_url } = streams;
        let quotes = (self.simsar.clone(), connector.clone(), ws_url.clone());
        tasks.spawn(async move { quotes.0.follow_quotes(quotes.1, quotes.2).await });
        tasks.spawn(crate::market::follow_marks(connector, ws_url, self.symbols(), marks));
        tasks.spawn(Arc::clone(self).tell_marks(heard));
        tasks.spawn(Arc::clone(self).keep_guards());
        let halts = Arc::clone(self);
        tasks.spawn(async move { halts.keep_halts().await });
        tasks.spawn(Arc::clone(self).keep_schedule());
        let (asked, requests) = mpsc::channel(1);
        tasks.spawn(Arc::clone(self).run_requested(requests));
        if first_cycle {
            // The slot that is due now, if any, is this cycle: it is not run twice.
            self.claim_due_slot().await;
            let _ = asked.send(Trigger::Manual).await;
        }
        tasks.spawn(Arc::clone(self).obey(commands, asked));
        let died = tokio::select! {
            () = self.ending.cancelled() => None,
            Some(ended) = tasks.join_next() => Some(match ended {
                Ok(()) if self.ending.is_cancelled() => return self.wind_up(tasks).await,
                Ok(()) => "it returned".to_owned(),
                Err(error) => error.to_string(),
            }),
        };
        self.ending.cancel();
        self.wind_up(tasks).await?;
        died.map_or(Ok(()), |how| Err(TaskDied(how)))
    }

    /// Begins an orderly end: no new order, and nothing that is between send and stop is cut off.
    pub fn end(&self) {
        self.ending.cancel();
    }

    async fn wind_up(&self, mut tasks: JoinSet<()>) -> Result<(), TaskDied> {
        // The running cycle sees the token and comes to its end; orders under way are given their time.
        let quiet = async {
            let _cycle = self.cycle_gate.lock().await;
            for account in &self.accounts {
                account.settle_down().await;
            }
            self.leave_nothing_open().await;
        };
        if tokio::time::timeout(LAST_ORDERS, quiet).await.is_err() {
            tracing::warn!("an order was still under way after five seconds; the next start settles it");
        }
        tasks.shutdown().await;
        Ok(())
    }

    async fn run_requested(self: Arc<Self>, mut requests: mpsc::Receiver<Trigger>) {
        while let Some(trigger) = requests.recv().await {
            if let Err(error) = self.run_cycle(trigger).await {
                tracing::warn!(%error, "a cycle was not run");
                self.shared.bulletin.record(None, Event::CycleRefused { reason: error.to_string() });
            }
        }
    }

    async fn obey(
        self: Arc<Self>,
        mut commands: mpsc::Receiver<OperatorCommand>,
        cycles: mpsc::Sender<Trigger>,
    ) {
        while let Some(OperatorCommand { id, command }) = commands.recv().await {
            match command {
                Command::RunCycle => self.force_cycle(id, &cycles),
                Command::SetDryRun(on) => {
                    let done = self.switch_dry_run(on).await;
                    self.answer(id, done);
                }
                Command::ClosePosition { account, symbol, direction } => {
                    // A close takes a while; the next command does not wait for it.
                    let floor = Arc::clone(&self);
                    tokio::spawn(async move { floor.close_by_hand(id, &account, &symbol, direction).await });
                }
                Command::AcknowledgeAlarms { up_to } => {
                    self.shared.bulletin.record(None, Event::AlarmsAcknowledged { up_to });
                    self.accept(id, Done::told("alarms acknowledged".to_owned()));
                }
                Command::Halt { scope, level, until, reason } => {
                    let done = self.halt_by_hand(scope, level, until, reason).await;
                    self.answer(id, done);
                }
                Command::Resume { scope } => {
                    let done = self.lift(&scope, "by an operator").await;
                    self.answer(id, done.map(|()| Done::told(format!("the halt of {scope} is taken back"))));
                }
                Command::MoveStop { account, symbol, direction, trigger } => {
                    let floor = Arc::clone(&self);
                    tokio::spawn(async move {
                        floor.move_stop_by_hand(id, &account, (&symbol, direction), trigger).await;
                    });
                }
                Command::NoteToModel { text } => {
                    let done = self.note_to_model(&text).await;
                    self.answer(id, done.map(Done::told));
                }
                Command::Arm { account } => {
                    // The checks ask the exchange; the next command does not wait for them.
                    let (floor, disarmings) = (Arc::clone(&self), self.disarmings());
                    tokio::spawn(async move {
                        let done = floor.arm(&account, disarmings).await;
                        floor.answer(id, done.map(Done::told));
                    });
                }
                Command::Disarm => {
                    let done = self.disarm().await;
                    self.answer(id, done.map(Done::told));
                }
                Command::ApplyPrompt { name, text } => {
                    let done = self.prompts.apply(&name, &text).map_err(|error| error.to_string());
                    let counts = if self.prompts.uses(&name) {
                        format!("{name} counts from the next cycle on")
                    } else {
                        format!(
                            "{name} is kept; this desk's prompts are in the other language and do not use it"
                        )
                    };
                    self.answer(id, done.map(|()| counts));
                }
                Command::RevertPrompt { name } => {
                    let done = self.prompts.revert(&name).map_err(|error| error.to_string());
                    self.answer(
                        id,
                        done.map(|aside| match aside {
                            Some(aside) => format!(
                                "the built-in {name} counts from the next cycle on; yours is {}",
                                aside.display()
                            ),
                            None => format!("{name} is the built-in text already"),
                        }),
                    );
                }
            }
        }
        // The console went away; the desk goes on until it is told to end.
        self.ending.cancelled().await;
    }

    /// Stored before it counts, so that no restart forgets it. It is not begun while a position waits for its stop,
    /// because then nobody could place one.
    async fn switch_dry_run(&self, on: bool) -> Result<Done, String> {
        if on && let Some((account, symbol)) = self.naked_position() {
            return Err(format!(
                "{account} {symbol} has no stop, and dry-run would send none; close it, or wait until one rests"
            ));
        }
        let begins = on && !self.shared.is_dry_run();
        if begins {
            self.refuse_while_unsettled()?;
        }
        self.remember_dry_run(on)
            .await
            .map_err(|error| format!("dry-run stays as it is, it could not be stored: {error}"))?;
        // Switched first, then looked at again: an opening that began meanwhile is seen here, or sees the switch.
        self.shared.dry_run.store(on, Ordering::SeqCst);
        if begins && let Err(reason) = self.refuse_while_unsettled() {
            self.shared.dry_run.store(false, Ordering::SeqCst);
            if let Err(error) = self.remember_dry_run(false).await {
                tracing::error!(%error, "that dry-run was refused could not be stored; the next start begins in it");
            }
            return Err(reason);
        }
        self.set_dry_run(on);
        Ok(if on {
            Done::told("dry-run is on: no order is sent".to_owned())
        } else if self.keeps_orders_back() {
            const BUT: &str = "nothing is opened until an account is armed by its name";
            let elsewhere = ToldElsewhere::AllBut(BUT.to_owned());
            Done { text: format!("dry-run is off; {BUT}"), elsewhere }
        } else {
            Done::told("dry-run is off: orders are sent".to_owned())
        })
    }

    /// What is on its way, or may have been executed, could stand without a stop under a dry run.
    fn refuse_while_unsettled(&self) -> Result<(), String> {
        let mut armed = self.accounts.iter().filter(|account| !account.is_never_armed());
        let unsettled = armed.find_map(|account| Some((account.name(), account.unsettled_coin()?)));
        match unsettled {
            Some((account, symbol)) => Err(format!(
                "{account} {symbol}: an order is under way, or its fate is not known, and dry-run would send no stop behind it; try again when it is settled"
            )),
            None => Ok(()),
        }
    }

    /// A position that was seen without a stop where one may be sent.
    pub(super) fn naked_position(&self) -> Option<(AccountName, Symbol)> {
        self.shared.bulletin.read(|present| {
            present
                .accounts
                .iter()
                .filter(|state| self.account(&state.name).is_some_and(|account| !account.is_dry()))
                .flat_map(|state| state.positions.iter().map(|position| (&state.name, position)))
                .find(|(_, position)| position.stop.is_none())
                .map(|(account, position)| (account.clone(), position.symbol.clone()))
        })
    }

    fn force_cycle(&self, id: CommandId, cycles: &mpsc::Sender<Trigger>) {
        if self.cycle_gate.try_lock().is_err() {
            return self.refuse(id, "a cycle is running; wait until it has finished".to_owned());
        }
        match cycles.try_send(Trigger::Manual) {
            Ok(()) => self.accept(id, Done::told("a cycle starts now".to_owned())),
            Err(_) => self.refuse(id, "a cycle is about to start already".to_owned()),
        }
    }

    async fn close_by_hand(
        &self,
        id: CommandId,
        account: &AccountName,
        symbol: &Symbol,
        direction: Direction,
    ) {
        let Some(desk) = self.account(account) else {
            return self.refuse(id, format!("there is no account {account}"));
        };
        if desk.is_dry() {
            return self
                .refuse(id, "no order is sent: dry-run is on, or the account was never armed".to_owned());
        }
        // What is held, and nothing more: whatever is said of the balance keeps nobody from closing.
        let seen = match desk.look().await {
            Ok(seen) => seen,
            Err(error) => return self.refuse(id, format!("{account} cannot be read: {error}")),
        };
        let Some(position) = seen.position(symbol) else {
            self.tell_account(desk).await;
            return self.refuse(id, format!("{account} has no position in {symbol}"));
        };
        let cause = Cause::Operator(format!("close {id} {}", self.shared.wall.now().timestamp_micros()));
        let looked_at = Position { direction, ..position.clone() };
        let outcome = desk.close(&cause, &close_whole(account, &looked_at)).await;
        self.tell_account(desk).await;
        let text = format!("{account} {symbol}: {}", outcome.detail);
        match outcome.kind {
            crate::domain::OutcomeKind::Closed => {
                let done = format!("closed by hand: {text}");
                self.shared.note_operator(ActionKind::Close, Some(account), Some(symbol), done).await;
                self.accept(id, text);
            }
            _ => self.refuse(id, text),
        }
    }

    /// What an account holds after a hand was laid on it.
    async fn tell_account(&self, desk: &AccountDesk) {
        if let Ok(state) = desk.read().await {
            desk.tell(Event::Account { state });
        }
    }

    async fn move_stop_by_hand(
        &self,
        id: CommandId,
        account: &AccountName,
        (symbol, direction): (&Symbol, Direction),
        trigger: crate::domain::Price,
    ) {
        let Some(desk) = self.account(account) else {
            return self.refuse(id, format!("there is no account {account}"));
        };
        let cause = Cause::Operator(format!("move stop {id} {}", self.shared.wall.now().timestamp_micros()));
        let moved = desk.move_stop(&cause, (symbol, direction), trigger).await;
        self.tell_account(desk).await;
        let told = moved.map(|what| format!("{account} {symbol}: {what}"));
        if let Ok(text) = &told {
            self.shared.note_operator(ActionKind::MoveStop, Some(account), Some(symbol), text.clone()).await;
        }
        self.answer(id, told);
    }

    /// Keeps the operator's words for the next cycle, or takes them back when there are none.
    async fn note_to_model(&self, text: &str) -> Result<String, String> {
        let text = Untrusted::new(text).line(LONGEST_NOTE).trim().to_owned();
        let note = (!text.is_empty()).then_some(text);
        let kept = note.as_deref().map(|text| (text, self.shared.clock.now()));
        self.shared
            .store
            .set_note(kept)
            .await
            .map_err(|error| format!("the note could not be stored: {error}"))?;
        self.shared.bulletin.record(None, Event::Note { text: note.clone() });
        Ok(if note.is_some() { "the next cycle reads the note" } else { "no note waits" }.to_owned())
    }

    fn answer(&self, id: CommandId, done: Result<impl Into<Done>, String>) {
        match done {
            Ok(done) => self.accept(id, done),
            Err(reason) => self.refuse(id, reason),
        }
    }

    fn accept(&self, id: CommandId, done: impl Into<Done>) {
        let Done { text: detail, elsewhere } = done.into();
        self.shared.bulletin.record(None, Event::CommandAccepted { id, detail, elsewhere });
    }

    fn refuse(&self, id: CommandId, reason: String) {
        self.shared.bulletin.record(None, Event::CommandRefused { id, reason });
    }

    /// Starts a cycle at every slot. At wall speed the cron scheduler wakes us; on a world's own time we look often.
    async fn keep_schedule(self: Arc<Self>) {
        let speed = self.shared.clock.speed();
        if speed <= 0.0 {
            return self.ending.cancelled().await;
        }
        self.tell_missed(None).await;
        if (speed - 1.0).abs() < f64::EPSILON {
            match self.start_cron().await {
                Ok(mut scheduler) => {
                    self.ending.cancelled().await;
                    if let Err(error) = scheduler.shutdown().await {
                        tracing::warn!(%error, "the scheduler did not shut down in order");
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "the cron scheduler does not start; looking at the clock instead");
                    self.look_at_clock().await;
                }
            }
        } else {
            self.look_at_clock().await;
        }
    }

    async fn start_cron(self: &Arc<Self>) -> Result<JobScheduler, tokio_cron_scheduler::JobSchedulerError> {
        let scheduler = JobScheduler::new().await?;
        let floor = Arc::clone(self);
        let job = Job::new_async(self.schedule.as_str(), move |_id, _scheduler| {
            let floor = Arc::clone(&floor);
            Box::pin(async move { floor.slot_if_due().await })
        })?;
        scheduler.add(job).await?;
        scheduler.start().await?;
        // A start within the ten minutes after a slot makes it up, unless it was claimed before.
        self.slot_if_due().await;
        Ok(scheduler)
    }

    async fn look_at_clock(&self) {
        loop {
            self.slot_if_due().await;
            tokio::select! {
                () = self.ending.cancelled() => return,
                () = tokio::time::sleep(PACED_LOOK) => {}
            }
        }
    }

    async fn claim_due_slot(&self) -> bool {
        let Some(slot) = self.schedule.due(self.shared.clock.now()) else { return false };
        match self.shared.store.claim_slot(slot).await {
            Ok(claimed) => {
                if claimed {
                    self.tell_missed(Some(slot)).await;
                }
                claimed
            }
            Err(error) => {
                tracing::error!(%error, "a slot could not be claimed, so its cycle is not run");
                false
            }
        }
    }

    /// Slots in which nobody was at work are told once, and claimed so far that none of them is ever run late. `taken` is
    /// the slot that was just claimed, if one was.
    async fn tell_missed(&self, taken: Option<Timestamp>) {
        let now = self.shared.clock.now();
        let last = match self.shared.store.last_slot_before(taken.unwrap_or(now)).await {
            Ok(Some(last)) => last,
            // The first slot of a journal has none before it.
            Ok(None) => return,
            Err(error) => {
                tracing::error!(%error, "the last slot could not be read; missed ones are not told");
                return;
            }
        };
        let missed = match taken {
            Some(taken) => self.schedule.between(last, taken),
            None => self.schedule.missed_since(last, now),
        };
        let Some(missed) = missed else { return };
        match self.shared.store.claim_slot(missed.last).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => tracing::error!(%error, "a missed slot could not be claimed"),
        }
        let slots = if missed.count == 1 { "slot" } else { "slots" };
        let text = format!(
            "{} {slots} missed since {}: no desk was at work; nothing is made up for",
            missed.count,
            missed.first.format("%Y-%m-%d %H:%MZ")
        );
        self.shared.bulletin.record(None, Event::Alarm { severity: Severity::Info, text });
    }

    async fn slot_if_due(&self) {
        if !self.claim_due_slot().await {
            return;
        }
        if let Err(error) = self.run_cycle(Trigger::Schedule).await {
            self.shared.bulletin.record(None, Event::CycleRefused { reason: error.to_string() });
        }
        let at = self.schedule.next_after(self.shared.clock.now());
        self.shared.bulletin.record(None, Event::NextCycle { at });
    }
}

/// Every event of the user stream makes the guardian look, and whoever waits for an order.
async fn pass_on(
    mut heard: mpsc::Receiver<UserEvent>,
    account: Arc<AccountDesk>,
    nudge: mpsc::Sender<Nudge>,
) {
    while let Some(event) = heard.recv().await {
        account.stir();
        if let UserEvent::Settings { symbol, leverage } = &event {
            account.settings_changed(symbol.as_ref(), *leverage);
        }
        if event == UserEvent::Reconnected {
            // This one must not be lost; the guardian reads on after its pass.
            if nudge.send(Nudge::Reconnected).await.is_err() {
                return;
            }
        } else {
            // A full channel means that a look is due already.
            let _ = nudge.try_send(Nudge::Look);
        }
    }
}
