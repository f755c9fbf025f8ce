//! The desk as a whole: its accounts, its model, its market, and the loops that keep it going.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use super::bulletin::Bulletin;
use super::execution::{AccountDesk, AccountTerms, Arming, Shared};
use super::guardian::Guardian;
use super::guards::GuardRoom;
use super::halts::Halts;
use super::hearing::Hearing;
use super::prompt::PromptFiles;
use super::schedule::{InvalidCron, Schedule};
use crate::config::Settings;
use crate::domain::{
    AccountName, AccountState, Clock, CycleView, DeskFacts, Halt, Mode, Price, Severity, Snapshot, Symbol,
    Usage, Usdt,
};
use crate::exchange::{ExchangeClient, ExchangeError, Limits};
use crate::llm::LlmClient;
use crate::market::{Brief, Simsar};
use crate::store::{Store, StoreError};

/// Time the market brief may take.
pub(super) const BRIEF_TIME: Duration = Duration::from_secs(20);
/// Time reading one account may take.
const READ_TIME: Duration = Duration::from_secs(10);

/// Everything a desk is put together from.
pub struct DeskParts {
    /// The settings.
    pub settings: Settings,
    /// Market time.
    pub clock: Arc<dyn Clock>,
    /// Wall time.
    pub wall: Arc<dyn Clock>,
    /// The journal.
    pub store: Store,
    /// The market-data API.
    pub simsar: Simsar,
    /// The model.
    pub llm: LlmClient,
    /// One client for each enabled account, in the settings' order.
    pub accounts: Vec<(AccountTerms, ExchangeClient)>,
    /// The prompts.
    pub prompts: PromptFiles,
    /// Names this installation in order ids.
    pub install: Arc<str>,
    /// Whether prices and money come from an offline world.
    pub built_in_market: bool,
    /// The data folder, where other programs leave requests; `None` where nobody can.
    pub data_dir: Option<PathBuf>,
}

/// Why a desk could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The schedule's cron expression is wrong.
    #[error(transparent)]
    Cron(#[from] InvalidCron),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The desk's inside; its loops and cycles share it.
pub struct Floor {
    pub(super) settings: Settings,
    pub(super) shared: Shared,
    pub(super) simsar: Simsar,
    pub(super) llm: LlmClient,
    pub(super) accounts: Vec<Arc<AccountDesk>>,
    /// Who watched while the desk started, until the desk is at work.
    guardians: StdMutex<BTreeMap<AccountName, Guardian>>,
    pub(super) prompts: PromptFiles,
    pub(super) schedule: Schedule,
    pub(super) guards: GuardRoom,
    pub(super) hearing: Hearing,
    /// What the exchange allows all accounts together; `None` on a desk without accounts.
    pub(super) limits: Option<Arc<Limits>>,
    pub(super) cycle_gate: Mutex<()>,
    /// Held while it is stored who is armed.
    pub(super) arming_gate: Mutex<()>,
    pub(super) disarmings: AtomicU64,
    pub(super) ending: CancellationToken,
}

impl std::fmt::Debug for Floor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Floor")
    }
}

impl Floor {
    /// Puts the desk together. Start-up is recovery: interrupted orders are settled and every position is looked at
    /// before anything else may happen.
    pub async fn open(parts: DeskParts) -> Result<Arc<Self>, DeskError> {
        let floor = Self::put_together(parts).await?;
        // What was asked for while no desk ran counts before the first order could leave.
        floor.restore_guarded().await;
        floor.look_at_halts().await;
        floor.shared.publish_halts();
        floor.start().await?;
        // A file that was broken already at the start is told now, and not with the first cycle.
        floor.look_at_prompts();
        Ok(floor)
    }

    /// Recovers, and closes what halts flatten. Each account is watched from its own first look on: the slowest of them
    /// may take a minute, and what an earlier run sent for another may be executed meanwhile.
    async fn start(&self) -> Result<(), DeskError> {
        self.settle_interrupted_cycles().await?;
        // Protection comes first, by the last rules there were; what openings need comes after it.
        self.shared.recall_rules().await;
        let mut guardians: Vec<Guardian> =
            self.accounts.iter().map(|account| Guardian::new(Arc::clone(account))).collect();
        let (looked_at, mut all_looked_at) = watch::channel(0);
        let looked_at = &looked_at;
        let watching =
            join_all(self.accounts.iter().zip(&mut guardians).map(|(account, guardian)| async move {
                // It keeps nobody from looking for long: whatever is refused for its time measures it again.
                account.client().glance_at_clock().await;
                account.recall_accepted().await;
                guardian.pass().await;
                looked_at.send_modify(|count| *count += 1);
                guardian.watch_the_start().await;
            }));
        let recovering = async {
            // The counter lives as long as whoever counts.
            let _ = all_looked_at.wait_for(|count| *count == self.accounts.len()).await;
            self.prepare_openings().await;
            self.guard_what_was_lost().await;
            join_all(self.accounts.iter().map(|account| self.flatten_round(account))).await;
        };
        tokio::select! {
            () = recovering => {}
            never = async { watching.await; std::future::pending().await } => never,
        }
        let watched =
            guardians.into_iter().zip(&self.accounts).map(|(own, account)| (account.name().clone(), own));
        self.guardians.lock().unwrap_or_else(PoisonError::into_inner).extend(watched);
        Ok(())
    }

    /// Who watches an account from now on: whoever watched it while the desk started, with what is being repaired.
    pub(super) fn guardian(&self, account: &Arc<AccountDesk>) -> Guardian {
        let mut guardians = self.guardians.lock().unwrap_or_else(PoisonError::into_inner);
        guardians.remove(account.name()).unwrap_or_else(|| Guardian::new(Arc::clone(account)))
    }

    /// The desk for somebody who only looks at it: nothing is recovered, protected or written. It can draft prompts;
    /// it is not for trading.
    pub async fn open_for_looking(parts: DeskParts) -> Result<Arc<Self>, DeskError> {
        let floor = Self::put_together(parts).await?;
        join_all(floor.accounts.iter().map(|account| async {
            if let Err(error) = account.sync_clock().await {
                tracing::warn!(account = %account.name(), %error, "the exchange's clock could not be measured");
            }
        }))
        .await;
        Ok(floor)
    }

    async fn put_together(parts: DeskParts) -> Result<Arc<Self>, DeskError> {
        let schedule = Schedule::parse(&parts.settings.schedule.cron)?;
        let halts = Halts::new(parts.store.halts().await?, parts.data_dir.clone());
        let dry_run = parts.settings.dry_run || was_dry_run(&parts.store).await?;
        let snapshot = first_snapshot(&parts, &schedule, &halts.in_force(parts.clock.now()), dry_run).await?;
        let arming = (parts.settings.mode == Mode::Live).then(Arming::default);
        let ending = CancellationToken::new();
        let shared = Shared {
            install: parts.install,
            clock: Arc::clone(&parts.clock),
            wall: parts.wall,
            store: parts.store.clone(),
            bulletin: Arc::new(Bulletin::new(snapshot, parts.clock, parts.store)),
            dry_run: Arc::new(AtomicBool::new(dry_run)),
            arming: Arc::new(RwLock::new(arming)),
            ending: ending.clone(),
            halts: Arc::new(halts),
            rules: Arc::new(RwLock::new(BTreeMap::new())),
            last_rules: Arc::default(),
        };
        let limits = parts.accounts.first().map(|(_, client)| Arc::clone(client.limits()));
        let accounts = parts
            .accounts
            .into_iter()
            .map(|(terms, client)| Arc::new(AccountDesk::new(terms, client, shared.clone())))
            .collect();
        Ok(Arc::new(Self {
            guards: GuardRoom::new(&parts.settings),
            hearing: Hearing::default(),
            limits,
            settings: parts.settings,
            shared,
            simsar: parts.simsar,
            llm: parts.llm,
            accounts,
            guardians: StdMutex::default(),
            prompts: parts.prompts,
            schedule,
            cycle_gate: Mutex::new(()),
            arming_gate: Mutex::new(()),
            disarmings: AtomicU64::new(0),
            ending,
        }))
    }

    /// What the desk tells.
    pub fn bulletin(&self) -> &Arc<Bulletin> {
        &self.shared.bulletin
    }

    /// The prompt files: to look at, check, change and put back. What is changed counts from the next cycle on.
    pub fn prompts(&self) -> &PromptFiles {
        &self.prompts
    }

    /// Whether the store holds no cycle yet.
    pub async fn is_new(&self) -> Result<bool, StoreError> {
        self.shared.store.is_empty().await
    }

    async fn settle_interrupted_cycles(&self) -> Result<(), StoreError> {
        for cycle in self.shared.store.fail_running_cycles("the program ended in the middle of it").await? {
            let text = format!(
                "cycle {cycle} was cut off by an earlier end of the program; what it sent is settled now"
            );
            self.shared.bulletin.record(None, crate::domain::Event::Alarm { severity: Severity::Info, text });
        }
        Ok(())
    }

    /// What openings need: rules, who is armed, modes and leverage.
    async fn prepare_openings(&self) {
        if let Err(error) = self.refresh_rules().await {
            // Positions are looked after all the same; without rules nothing is opened.
            let text =
                format!("the exchange's rules could not be read, nothing is opened until they are: {error}");
            self.shared
                .bulletin
                .record(None, crate::domain::Event::Alarm { severity: Severity::Warning, text });
        }
        self.arm_again().await;
        join_all(self.accounts.iter().map(|account| async {
            if let Err(reason) = account.prepare_account().await {
                let text =
                    format!("{}: the account is not ready, nothing is opened: {reason}", account.name());
                account.alarm(Severity::Warning, text);
            }
        }))
        .await;
    }

    /// Reads filters and limits of all coins. Any account's client will do: they are public.
    pub(super) async fn refresh_rules(&self) -> Result<(), ExchangeError> {
        match self.accounts.first() {
            Some(account) => account.learn_rules().await,
            None => Ok(()),
        }
    }

    pub(super) fn account(&self, name: &AccountName) -> Option<&Arc<AccountDesk>> {
        self.accounts.iter().find(|account| account.name() == name)
    }

    /// Every account side by side, its worth booked; one that cannot be read comes back with its trouble.
    pub(super) async fn read_accounts(&self) -> Vec<AccountState> {
        let states = self.glance_at_accounts().await;
        join_all(
            self.accounts
                .iter()
                .zip(&states)
                .filter(|(_, state)| state.trouble.is_none())
                .map(|(account, state)| account.book_equity(state)),
        )
        .await;
        states
    }

    /// The same without booking anything.
    pub(super) async fn glance_at_accounts(&self) -> Vec<AccountState> {
        join_all(self.accounts.iter().map(|account| async {
            match tokio::time::timeout(READ_TIME, account.read()).await {
                Ok(Ok(state)) => state,
                Ok(Err(error)) => self.unreadable(account.terms(), &error.to_string()),
                Err(_elapsed) => self.unreadable(account.terms(), "no answer within 10 seconds"),
            }
        }))
        .await
    }

    fn unreadable(&self, terms: &AccountTerms, trouble: &str) -> AccountState {
        AccountState {
            name: terms.name.clone(),
            leverage: terms.leverage,
            symbols: terms.symbols.clone(),
            wallet: Usdt::ZERO,
            equity: Usdt::ZERO,
            available: Usdt::ZERO,
            positions: Vec::new(),
            as_of: self.shared.clock.now(),
            // In the words of the alarm that tells it.
            trouble: Some(format!("the account cannot be read: {trouble}")),
        }
    }

    pub(super) async fn read_brief(&self) -> Brief {
        if let Err(error) = self.refresh_rules().await {
            tracing::warn!(%error, "the exchange's rules could not be refreshed; the last known ones stay");
        }
        self.simsar.brief(&self.symbols(), BRIEF_TIME).await
    }

    /// All coins of all accounts, in order of first mention.
    pub fn symbols(&self) -> Vec<Symbol> {
        Symbol::each_once(self.accounts.iter().flat_map(|account| &account.terms().symbols))
    }

    /// The newest reading of an account: the one given, or a later one that was told since.
    pub(super) fn newest(&self, state: &AccountState) -> AccountState {
        let later = self.shared.bulletin.read(|present| {
            let told = present.accounts.iter().find(|told| told.name == state.name);
            told.filter(|told| told.trouble.is_none() && told.as_of > state.as_of).cloned()
        });
        later.filter(|_| state.trouble.is_none()).unwrap_or_else(|| state.clone())
    }

    /// The last mark price heard, if any.
    pub(super) fn mark_of(&self, symbol: &Symbol) -> Option<Price> {
        self.shared
            .bulletin
            .read(|present| present.marks.iter().find(|(known, _)| known == symbol).map(|(_, mark)| *mark))
    }

    /// Reads every account again and tells what is seen, how the guards stand by it, and when the next cycle is due.
    pub async fn look_again(&self) {
        for state in self.read_accounts().await {
            self.shared.bulletin.tell(None, crate::domain::Event::Account { state });
        }
        self.look_at_guards().await;
        let at = self.schedule.next_after(self.shared.clock.now());
        self.shared.bulletin.tell(None, crate::domain::Event::NextCycle { at });
    }

    /// Keeps whether this venue is in dry-run for the next start.
    pub(super) async fn remember_dry_run(&self, on: bool) -> Result<(), StoreError> {
        let store = &self.shared.store;
        store.set_meta(&dry_run_key(store), if on { "on" } else { "off" }).await
    }

    /// Switches dry-run and says so.
    pub fn set_dry_run(&self, on: bool) {
        self.shared.dry_run.store(on, Ordering::SeqCst);
        self.shared.bulletin.record(None, crate::domain::Event::DryRun { on });
    }
}

/// Where a venue's dry-run is kept across restarts.
fn dry_run_key(store: &Store) -> String {
    format!("dry_run {}", store.venue())
}

/// Whether an operator left the desk in dry-run.
async fn was_dry_run(store: &Store) -> Result<bool, StoreError> {
    Ok(store.meta(&dry_run_key(store)).await?.as_deref() == Some("on"))
}

async fn first_snapshot(
    parts: &DeskParts,
    schedule: &Schedule,
    halts: &[Halt],
    dry_run: bool,
) -> Result<Snapshot, DeskError> {
    let now = parts.clock.now();
    let midnight = now.date_naive().and_time(chrono::NaiveTime::MIN).and_utc();
    let cost_today: Usage = parts.store.usage_since(midnight).await?;
    let cycle = parts.store.last_report().await?.map(CycleView::from_report);
    let provider = parts.settings.model.provider;
    // Numbered anew: this run's events, and with them its alarms, are counted from there.
    let mut alarms = parts.store.open_alarms().await?;
    for (id, alarm) in (1..).zip(&mut alarms) {
        alarm.id = id;
    }
    Ok(Snapshot {
        seq: alarms.last().map_or(0, |alarm| alarm.id),
        alarms,
        dry_run,
        next_cycle: if parts.clock.speed() > 0.0 { schedule.next_after(now) } else { None },
        cycle,
        cost_today,
        halts: halts.to_vec(),
        note: parts.store.note().await?,
        ..Snapshot::beginning(
            now,
            DeskFacts {
                mode: parts.settings.mode,
                profile: parts.settings.profile,
                threshold: parts.settings.model.confidence_threshold,
                provider: provider.as_str().to_owned(),
                model: parts.settings.model.id.clone(),
                input_price: parts.llm.options().price.map(|price| price.input),
                built_in_market: parts.built_in_market,
                built_in_analyst: provider == crate::config::Provider::Builtin,
                clock_speed: parts.clock.speed(),
                accounts: parts.accounts.iter().map(|(terms, _)| terms.name.clone()).collect(),
                symbols: Symbol::each_once(parts.accounts.iter().flat_map(|(terms, _)| &terms.symbols)),
            },
        )
    })
}
