//! One cycle from trigger to report: gather, ask, check, guard, execute, record.

mod rows;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use self::rows::{EXECUTION_TIME, Row, Task, failed};
use super::answer::{Answer, Pair};
use super::conversation::{
    Around, Budget, Conversation, HABIT_CYCLES, Lookup, PaidBudget, Progress, caching_pays,
};
use super::floor::Floor;
use super::gathering::{Gathered, prompt_input};
use super::guards::Verdict;
use super::hearing::Teller;
use super::memory;
use super::prompt::{Look, MemoryInput, PromptError, RenderedPrompt};
use crate::config::Provider;
use crate::domain::{
    AccountState, BriefSummary, CycleId, CycleReport, DecisionRow, Event, ModelSummary, Outcome, Phase,
    Proposal, Severity, Timestamp, TimingsMs, Trigger, Untrusted, Usage,
};
use crate::market::Brief;
use crate::store::{CycleStart, PromptKind, Spending, StoreError};

/// Said of a cycle, and of each of its rows, that ended with the desk.
const SHUT_DOWN: &str = "the desk was shut down while the model was thinking";

/// Why a cycle was not started or could not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum CycleError {
    /// One is running.
    #[error("a cycle is running; wait until it has finished")]
    Busy,
    /// The desk is ending.
    #[error("the desk is shutting down; no new cycle is started")]
    Ending,
    /// The store does not take it; without a record there is no cycle.
    #[error("the cycle could not be recorded, so it was not run: {0}")]
    Store(#[from] StoreError),
}

/// A cycle under way.
struct Run<'a> {
    floor: &'a Floor,
    id: CycleId,
    is_dry: bool,
    timings: TimingsMs,
    errors: Vec<String>,
    /// Whether the desk ended in the middle of the conversation.
    was_cut_off: bool,
}

impl Floor {
    /// Runs one cycle. Only one runs at a time; a second is refused, not queued.
    pub async fn run_cycle(&self, trigger: Trigger) -> Result<CycleReport, CycleError> {
        let Ok(_running) = self.cycle_gate.try_lock() else { return Err(CycleError::Busy) };
        if self.ending.is_cancelled() {
            return Err(CycleError::Ending);
        }
        let began = Instant::now();
        let market_time = self.shared.clock.now();
        let started_at = self.shared.wall.now();
        let number = self.shared.store.next_cycle_number().await?;
        let id = CycleId::new(market_time, number);
        let dry_run = self.keeps_orders_back();
        self.shared
            .store
            .begin_cycle(&CycleStart {
                id: id.clone(),
                trigger,
                mode: self.settings.mode,
                dry_run,
                profile: self.settings.profile,
                market_time,
                started_at,
            })
            .await?;
        self.shared.bulletin.record(Some(&id), Event::CycleStarted { trigger });
        let mut run = Run {
            floor: self,
            id: id.clone(),
            is_dry: dry_run,
            timings: TimingsMs::default(),
            errors: Vec::new(),
            was_cut_off: false,
        };
        let (rows, analysis, progress, brief) = run.go().await;
        run.timings.total = millis(began);
        let report = CycleReport {
            cycle_id: id.clone(),
            trigger,
            mode: self.settings.mode,
            dry_run,
            profile: self.settings.profile,
            started_at,
            finished_at: self.shared.wall.now(),
            market_time,
            model: ModelSummary {
                provider: self.settings.model.provider.as_str().to_owned(),
                id: self.settings.model.told_id(),
                iterations: progress.iterations,
                stop_reason: progress.stop_reason,
            },
            analysis,
            tool_calls: progress.tool_calls,
            brief,
            decisions: rows,
            usage: progress.usage,
            timings_ms: run.timings,
            errors: std::mem::take(&mut run.errors),
        };
        if run.was_cut_off {
            self.shared.store.interrupt_cycle(&report, SHUT_DOWN).await?;
        } else {
            self.shared.store.finish_cycle(&report).await?;
        }
        if !report.decisions.iter().any(|row| row.proposal.decision.is_some()) {
            let why = report.errors.first().map_or("no row of the answer was usable", String::as_str);
            let text =
                format!("a cycle ended without one usable decision: {}", Untrusted::new(why).line(160));
            self.shared.bulletin.record(Some(&id), Event::Alarm { severity: Severity::Warning, text });
        }
        let cost_today = self.cost_today().await;
        self.shared
            .bulletin
            .record(Some(&id), Event::CycleFinished { report: Box::new(report.clone()), cost_today });
        Ok(report)
    }

    /// Renders both prompts of what was gathered, the past included.
    async fn render_prompts(&self, gathered: &Gathered) -> Result<RenderedPrompt, PromptError> {
        let now = self.shared.clock.now();
        let mut input = prompt_input(&self.settings, gathered, now);
        // Without its past a cycle is poorer, not wrong.
        match self.memory(&gathered.accounts, now).await {
            Ok(memory) => input.memory = memory,
            Err(error) => tracing::error!(%error, "the memory could not be read; this cycle goes without"),
        }
        self.look_at_prompts();
        super::prompt::render(&self.prompts.present(), &input)
    }

    /// Takes over prompt files that the operator changed; a broken one is told and the last good ones stay.
    pub(super) fn look_at_prompts(&self) {
        let (severity, text) = match self.prompts.look() {
            Look::Same => return,
            Look::Taken(changed) => (
                Severity::Info,
                format!("prompt files changed and count from now on: {}", changed.join(", ")),
            ),
            Look::Refused(error) => {
                let instead = if self.prompts.are_built_in() {
                    "the built-in prompts are used until it is mended"
                } else {
                    "the prompts that counted before stay in force"
                };
                (Severity::Warning, format!("{error}; {instead}"))
            }
        };
        self.shared.bulletin.record(None, Event::Alarm { severity, text });
    }

    async fn memory(&self, accounts: &[AccountState], now: Timestamp) -> Result<MemoryInput, StoreError> {
        let since = now - memory::REACH;
        let store = &self.shared.store;
        let openings = store.openings_since(since).await?;
        let money = store.coin_money_since(since).await?;
        let last = store.last_report().await?;
        let mut memory = memory::remember(accounts, &openings, &money, last.as_ref(), now);
        let told_until = last.as_ref().map_or(since, |report| report.market_time);
        memory.operator = self.operator_actions_since(told_until).await?;
        memory.note = store.note().await?.map(Untrusted::new);
        Ok(memory)
    }

    /// Both prompts as the next cycle would send them, without asking anybody and without trading.
    pub async fn draft_prompts(&self) -> Result<RenderedPrompt, PromptError> {
        let (accounts, brief) = tokio::join!(self.glance_at_accounts(), self.read_brief());
        if let Err(error) = self.recall().await {
            tracing::error!(%error, "the past could not be read; what it forbids is offered all the same");
        }
        self.render_prompts(&self.gathered(accounts, brief)).await
    }

    /// What was read, with what the guards make of it before anybody decides.
    fn gathered(&self, accounts: Vec<AccountState>, brief: Brief) -> Gathered {
        self.see_market(&brief);
        let bars = self.bars(&accounts, &brief);
        Gathered { accounts, brief, bars, guards: self.guards.guards().limits() }
    }

    /// A note went into this cycle's prompt and was read: it waits no longer. One that came in its place meanwhile does.
    async fn note_was_read(&self, cycle: &CycleId, note: Option<&String>) {
        let waits = self.shared.bulletin.read(|present| present.note.as_ref() == note);
        if note.is_none() || !waits {
            return;
        }
        if let Err(error) = self.shared.store.set_note(None).await {
            tracing::error!(%error, "the note that was read could not be taken away; the next cycle reads it again");
            return;
        }
        self.shared.bulletin.record(Some(cycle), Event::Note { text: None });
    }

    /// The tools the model is offered, as they are sent.
    pub fn offered_tools(&self) -> Vec<crate::llm::Tool> {
        super::conversation::tools_of(&self.llm)
    }

    /// What the model cost since midnight UTC, market time.
    pub(super) async fn cost_today(&self) -> Usage {
        let midnight = self.shared.clock.now().date_naive().and_time(chrono::NaiveTime::MIN).and_utc();
        self.shared.store.usage_since(midnight).await.unwrap_or_else(|error| {
            tracing::error!(%error, "the cost of today could not be read");
            Usage::default()
        })
    }
}

type Ended = (Vec<DecisionRow>, Untrusted, Progress, BriefSummary);

impl Run<'_> {
    async fn go(&mut self) -> Ended {
        let gathered = self.gather().await;
        let brief = BriefSummary { sources: gathered.brief.sources.clone() };
        self.floor.shared.bulletin.record(Some(&self.id), Event::BriefReady { brief: brief.clone() });
        let pairs = gathered.pairs();
        let (answer, analysis, progress) = if pairs.is_empty() {
            self.errors
                .push("nothing can be decided: no account could be read, or no coin has a price".to_owned());
            (Answer::default(), Untrusted::default(), Progress::default())
        } else {
            self.enter(Phase::Model);
            self.ask(&gathered, &pairs).await
        };
        self.errors.extend(answer.errors.iter().cloned());
        let proposals: Vec<Proposal> = gathered.all_rows(&answer);
        if let Err(error) = self.floor.shared.store.put_decisions(&self.id, &proposals).await {
            self.errors.push(format!("decisions could not be stored, so none was carried out: {error}"));
            let rows = proposals
                .into_iter()
                .map(|proposal| row(proposal, failed("not stored, not carried out")))
                .collect();
            return (rows, analysis, progress, brief);
        }
        self.floor.shared.bulletin.record(Some(&self.id), Event::Decided { proposals: proposals.clone() });
        self.enter(Phase::Execution);
        let began = Instant::now();
        let rows = self.carry_out(&gathered, &answer, proposals).await;
        self.timings.execution = millis(began);
        (rows, analysis, progress, brief)
    }

    fn enter(&self, phase: Phase) {
        self.floor.shared.bulletin.record(Some(&self.id), Event::PhaseEntered { phase });
    }

    async fn gather(&mut self) -> Gathered {
        let (accounts, brief, ()) = tokio::join!(
            async {
                let began = Instant::now();
                (self.floor.read_accounts().await, millis(began))
            },
            async {
                let began = Instant::now();
                (self.floor.read_brief().await, millis(began))
            },
            self.floor.learn_terms()
        );
        self.timings.accounts = accounts.1;
        self.timings.brief = brief.1;
        for state in &accounts.0 {
            if let Some(trouble) = &state.trouble {
                self.errors.push(format!("{}: {trouble}", state.name));
            }
            self.floor.shared.bulletin.tell(None, Event::Account { state: state.clone() });
        }
        // What the brief saw is the newest price until a stream says more.
        let marks = brief
            .0
            .coins
            .iter()
            .filter_map(|coin| Some((coin.symbol.clone(), coin.mark_price.or(coin.price)?)));
        self.floor.hear(marks.collect(), Teller::Brief);
        // The readings above are in the store by now, so that the past includes them.
        if let Err(error) = self.floor.recall().await {
            self.errors.push(format!("the past of the accounts could not be read: {error}"));
        }
        self.floor.check_losses(Some(&self.id)).await;
        let gathered = self.floor.gathered(accounts.0, brief.0);
        self.floor.keep_market().await;
        gathered
    }

    /// Renders the prompts, holds the conversation and checks the answer, with one repair.
    async fn ask(&mut self, gathered: &Gathered, pairs: &[Pair]) -> (Answer, Untrusted, Progress) {
        let began = Instant::now();
        let prompts = match self.floor.render_prompts(gathered).await {
            Ok(prompts) => prompts,
            Err(error) => {
                let reason = format!("the prompt could not be rendered: {error}");
                return (Answer::unusable(&reason, pairs), Untrusted::default(), Progress::default());
            }
        };
        if let Err(error) = self.keep_prompts(gathered, &prompts).await {
            let reason = format!("the prompt could not be stored: {error}");
            return (Answer::unusable(&reason, pairs), Untrusted::default(), Progress::default());
        }
        self.timings.prompt = millis(began);
        let note = self.floor.shared.bulletin.read(|present| present.note.clone());
        let began = Instant::now();
        let turkish = self.floor.settings.model.prompt == crate::config::PromptLanguage::Turkish;
        let budget = match self.budget().await {
            Ok(budget) => budget,
            Err(reason) => {
                return (Answer::unusable(&reason, pairs), Untrusted::default(), Progress::default());
            }
        };
        let around = Around {
            llm: &self.floor.llm,
            market: Lookup::Simsar(&self.floor.simsar),
            bulletin: Some(&self.floor.shared.bulletin),
            store: Some(&self.floor.shared.store),
            clock: self.floor.shared.clock.as_ref(),
            cycle: &self.id,
            turkish,
            cache: self.floor.llm.options().caches && self.is_caching_worth_it().await,
            ending: &self.floor.ending,
            ended_then: None,
        };
        let mut conversation = Conversation::new(around, budget, prompts.system, prompts.user);
        let (mut answer, analysis) = converse(&mut conversation, pairs, turkish).await;
        // The conversation ended with the desk, or the desk with it: nobody is there to watch what would be traded.
        if self.floor.ending.is_cancelled() {
            self.was_cut_off = true;
            answer = Answer { errors: vec![SHUT_DOWN.to_owned()], ..Answer::default() };
        }
        let progress = conversation.progress().clone();
        self.timings.model = millis(began);
        // Without a whole turn nobody has read it.
        if !progress.stop_reason.is_empty() {
            self.floor.note_was_read(&self.id, note.as_ref()).await;
        }
        if let Some(ending) = &progress.ending
            && let Err(error) = self.floor.shared.store.put_ending(&self.id, ending).await
        {
            self.errors.push(format!("how the conversation ended could not be stored: {error}"));
        }
        (answer, analysis, progress)
    }

    /// What the model may use in this cycle. Whatever makes that unknown ends the cycle before it costs anything.
    async fn budget(&self) -> Result<Budget, String> {
        let model = &self.floor.settings.model;
        let paid = if model.provider == Provider::Builtin {
            None
        } else {
            if self.floor.llm.options().price.is_none() {
                return Err(format!(
                    "the price of model {} is not known, so no budget could be kept; set model.price_input and model.price_output",
                    model.id
                ));
            }
            let midnight =
                self.floor.shared.wall.now().date_naive().and_time(chrono::NaiveTime::MIN).and_utc();
            let spent = self.floor.shared.store.spent_since(midnight, Provider::Builtin.as_str()).await;
            let spent_before =
                spent.map_err(|error| format!("what the model cost today could not be read: {error}"))?;
            let day = Spending {
                usd: model.daily_budget_usd,
                tokens: model.daily_tokens,
                time: Duration::from_secs(model.daily_seconds),
            };
            Some(PaidBudget { cycle: model.cycle_budget_usd, day, spent_before })
        };
        Ok(Budget {
            iterations: model.max_iterations,
            time: Duration::from_secs(model.cycle_seconds),
            tokens: model.cycle_tokens,
            paid,
        })
    }

    /// Whether the model uses its tool often enough. When that cannot be read, it is taken to.
    async fn is_caching_worth_it(&self) -> bool {
        let provider = self.floor.settings.model.provider.as_str();
        match self.floor.shared.store.tool_habit(provider, HABIT_CYCLES).await {
            Ok(habit) => caching_pays(habit),
            Err(error) => {
                tracing::warn!(%error, "the use of tools in the last cycles could not be read");
                true
            }
        }
    }

    async fn keep_prompts(
        &self,
        gathered: &Gathered,
        prompts: &super::prompt::RenderedPrompt,
    ) -> Result<(), StoreError> {
        let store = &self.floor.shared.store;
        let system = store.put_prompt(PromptKind::System, &prompts.system).await?;
        let user = store.put_prompt(PromptKind::User, &prompts.user).await?;
        store.link_prompts(&self.id, &system, &user).await?;
        store.put_brief(&self.id, &serde_json::to_value(&gathered.brief)?).await
    }

    /// Judges all rows first, one after another and without waiting, so that what one account is granted counts for the
    /// next; then every account by itself, side by side: one that is slow or broken delays no other.
    async fn carry_out(
        &mut self,
        gathered: &Gathered,
        answer: &Answer,
        proposals: Vec<Proposal>,
    ) -> Vec<DecisionRow> {
        if self.was_cut_off {
            return proposals.into_iter().map(|proposal| row(proposal, failed(SHUT_DOWN))).collect();
        }
        // A stop may have been hit while the model thought.
        if let Err(error) = self.floor.recall_trades().await {
            self.errors.push(format!("what was traded could not be read again: {error}"));
        }
        // While the model thought, the guardian went on reading; its newest reading counts.
        let states: Vec<AccountState> =
            gathered.accounts.iter().map(|state| self.floor.newest(state)).collect();
        let judged = self.floor.judge_all(gathered, answer, &states, &proposals);
        if let Some(text) = judged.remark {
            let alarm = Event::Alarm { severity: Severity::Warning, text };
            self.floor.shared.bulletin.record(Some(&self.id), alarm);
        }
        let deadline = Instant::now() + EXECUTION_TIME;
        let run = &*self;
        let outcomes =
            join_all(proposals.iter().zip(judged.verdicts).map(|(proposal, verdict)| async move {
                let row = run.row(proposal);
                let (task, account) = match (verdict, run.floor.account(&proposal.account)) {
                    (Verdict::Open(order), Some(account)) => (Task::Open(order), account),
                    (Verdict::Close(order), Some(account)) => (Task::Close(order), account),
                    (verdict, _) => {
                        let outcome = match verdict {
                            Verdict::Settled(outcome) => outcome,
                            Verdict::Open(_) | Verdict::Close(_) => failed("this account has no desk"),
                        };
                        row.settle(&outcome).await;
                        return outcome;
                    }
                };
                row.done_by(deadline, Arc::clone(account), task).await
            }))
            .await;
        self.floor.tell_guards(Some(&self.id));
        proposals.into_iter().zip(outcomes).map(|(proposal, outcome)| row(proposal, outcome)).collect()
    }

    fn row(&self, proposal: &Proposal) -> Row {
        Row {
            shared: self.floor.shared.clone(),
            cycle: self.id.clone(),
            is_dry: self.is_dry,
            proposal: proposal.clone(),
        }
    }
}

/// The answer, repaired once where rows were wrong, and the analysis that came with it. A cycle out of budget trades
/// nothing: what was decided until then is kept, for its guard to refuse; without a decision there is nothing to refuse,
/// and the rows are missing.
pub(super) async fn converse(
    conversation: &mut Conversation<'_>,
    pairs: &[Pair],
    turkish: bool,
) -> (Answer, Untrusted) {
    let handed = match conversation.answer().await {
        Ok(handed) => handed,
        Err(error) => {
            let words = error.to_string();
            let answer = match conversation.take_over_budget() {
                Some(handed) => Answer::check_handed(&handed, pairs).beyond_budget(&words, &words),
                None => Answer::unusable(&words, pairs),
            };
            return (answer, conversation.analysis());
        }
    };
    let analysis = conversation.analysis();
    let mut answer = Answer::check_handed(&handed, pairs);
    if answer.faulty().next().is_some() {
        let by_call = conversation.takes_submissions();
        conversation.ask_again(&answer.repair_request(turkish, by_call));
        match conversation.answer().await {
            Ok(repaired) => answer.repair_with(Answer::check_handed(&repaired, pairs)),
            Err(error) if error.is_of_a_budget() => {
                if let Some(repaired) = conversation.take_over_budget() {
                    answer.repair_with(Answer::check_handed(&repaired, pairs));
                }
                let words = error.to_string();
                answer = answer.beyond_budget(&format!("its repair could not be had: {words}"), &words);
            }
            Err(error) if error.forbids_trading() => {
                answer = Answer::unusable(&format!("its repair could not be had: {error}"), pairs);
            }
            Err(error) => answer.errors.push(format!("the repair failed: {error}")),
        }
    }
    (answer, analysis)
}

fn row(proposal: Proposal, outcome: Outcome) -> DecisionRow {
    DecisionRow { proposal, outcome }
}

fn millis(since: Instant) -> f64 {
    (since.elapsed().as_secs_f64() * 1_000_000.0).round() / 1000.0
}
