//! All a newcomer needs to draw the desk.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::account::AccountState;
use super::clock::Timestamp;
use super::command::CommandId;
use super::cycle::{CycleReport, Mode, Profile, SourceStatus, Trigger, Usage};
use super::decision::{Confidence, Outcome, Proposal};
use super::event::{Envelope, Event, Phase, Severity};
use super::halt::{BudgetReading, Flattening, GuardReading, Halt};
use super::ids::CycleId;
use super::money::Price;
use super::query::{Page, QueryId};
use super::symbol::{AccountName, Symbol};
use super::untrusted::Untrusted;

/// What a console is fed: once everything, then every change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "feed", rename_all = "snake_case")]
pub enum Feed {
    /// A line about the start, before the desk is ready.
    Starting {
        /// What is being done.
        step: String,
    },
    /// The present state of the desk.
    Snapshot(Box<Snapshot>),
    /// A change.
    Event(Envelope),
    /// The desk is away; what is shown is what was last heard. A snapshot follows when it is back.
    Lost {
        /// What is known of it.
        reason: String,
    },
    /// A command that did not reach the desk.
    Undelivered {
        /// Which.
        id: CommandId,
        /// Why.
        reason: String,
    },
    /// The answer to a question of this console, and of no other.
    Page {
        /// The question's id.
        id: QueryId,
        /// What was found, or a sentence on why nothing was.
        page: Result<Box<Page>, String>,
    },
}

/// The desk at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The sequence number of the last event it contains.
    pub seq: u64,
    /// Market time it was taken.
    pub at: Timestamp,
    /// What does not change while a desk runs.
    pub facts: DeskFacts,
    /// Whether orders are only computed.
    pub dry_run: bool,
    /// The last reading of every account, in the settings' order.
    pub accounts: Vec<AccountState>,
    /// The last known mark prices.
    pub marks: Vec<(Symbol, Price)>,
    /// The next scheduled cycle.
    pub next_cycle: Option<Timestamp>,
    /// The running cycle, or the last one.
    pub cycle: Option<CycleView>,
    /// What the model cost today.
    pub cost_today: Usage,
    /// The latest alarms, oldest first.
    pub alarms: Vec<Alarm>,
    /// The halts in force.
    pub halts: Vec<Halt>,
    /// The last word on every account that was flattened since the start.
    pub flattenings: Vec<Flattening>,
    /// How the guards stand, in the order they are asked.
    pub guards: Vec<GuardReading>,
    /// How much of what the exchange allows is used; `None` until it was read.
    #[serde(default)]
    pub budget: Option<BudgetReading>,
    /// The operator's note that waits for the next cycle.
    pub note: Option<String>,
    /// The accounts a live desk may send orders for; empty in every other mode.
    pub armed: Vec<AccountName>,
}

/// What does not change while a desk runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeskFacts {
    /// Which money.
    pub mode: Mode,
    /// How openings are sized.
    pub profile: Profile,
    /// Confidence from which an opening is allowed.
    pub threshold: Confidence,
    /// The model provider: `builtin`, `anthropic`, `openai`.
    pub provider: String,
    /// The model's id.
    pub model: String,
    /// US dollars for a million tokens the model reads, if that is known; of the built-in analyst what a model would cost.
    #[serde(default)]
    pub input_price: Option<Decimal>,
    /// Whether prices and money are made up by an offline world.
    pub built_in_market: bool,
    /// Whether the analyst is the built-in, rule-based one.
    pub built_in_analyst: bool,
    /// Seconds of market time in a second of wall time; 0 stands still.
    pub clock_speed: f64,
    /// The accounts, in the settings' order.
    pub accounts: Vec<AccountName>,
    /// All coins of all accounts, in order of first mention.
    pub symbols: Vec<Symbol>,
}

impl DeskFacts {
    /// Whether paper money is traded on real prices: fills are made on this machine, prices are not.
    pub fn is_paper_on_real_prices(&self) -> bool {
        self.mode == Mode::Paper && !self.built_in_market
    }
}

/// A cycle as far as it has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CycleView {
    /// Identity.
    pub id: CycleId,
    /// What started it.
    pub trigger: Trigger,
    /// Market time of its start.
    pub started_at: Timestamp,
    /// The present step; `None` when it has ended.
    pub phase: Option<Phase>,
    /// Everything the model wrote so far.
    pub analysis: Untrusted,
    /// What it lets see of its thinking since it last wrote something else; empty once it goes on writing.
    #[serde(default)]
    pub thinking: Untrusted,
    /// Tool calls so far.
    pub tool_calls: Vec<ToolCallView>,
    /// The sources of the brief.
    pub sources: Vec<SourceStatus>,
    /// Proposals with what became of them so far.
    pub decisions: Vec<(Proposal, Option<Outcome>)>,
    /// The report, once it ended.
    pub report: Option<Box<CycleReport>>,
}

/// One tool call as far as it has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCallView {
    /// Joins start and end.
    pub call: u64,
    /// Market time of its start.
    pub started_at: Timestamp,
    /// The path asked for.
    pub endpoint: Untrusted,
    /// Its parameters as compact JSON.
    pub params: Untrusted,
    /// HTTP status, size and milliseconds, once it ended.
    pub finished: Option<(u16, u64, f64)>,
}

/// Something an operator should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Counts up; the sequence number of the event that told it.
    pub id: u64,
    /// Market time.
    pub at: Timestamp,
    /// How loud.
    pub severity: Severity,
    /// What happened, to what, and what was done about it.
    pub text: String,
    /// Whether an operator has said that it was seen.
    pub acknowledged: bool,
}

/// How many alarms a snapshot keeps.
const ALARMS_KEPT: usize = 100;

impl Snapshot {
    /// A desk of which only the facts are known: nothing was read, nothing happened, and it trades.
    pub fn beginning(at: Timestamp, facts: DeskFacts) -> Self {
        Self {
            seq: 0,
            at,
            facts,
            dry_run: false,
            accounts: Vec::new(),
            marks: Vec::new(),
            next_cycle: None,
            cycle: None,
            cost_today: Usage::default(),
            alarms: Vec::new(),
            halts: Vec::new(),
            flattenings: Vec::new(),
            guards: Vec::new(),
            budget: None,
            note: None,
            armed: Vec::new(),
        }
    }

    /// The desk one event later. A desk and everyone who watches it fold the same events with this function, so that
    /// they cannot drift apart. Returns whether events before this one were missed; an event that is contained already
    /// changes nothing.
    pub fn apply(&mut self, envelope: &Envelope) -> bool {
        if envelope.seq <= self.seq && self.seq > 0 {
            return false;
        }
        let missed = envelope.seq > self.seq + 1;
        self.seq = envelope.seq;
        self.at = envelope.at;
        match &envelope.event {
            Event::Account { state } => self.replace_account(state),
            Event::Marks { marks } => self.merge_marks(marks),
            Event::NextCycle { at } => self.next_cycle = *at,
            Event::DryRun { on } => self.dry_run = *on,
            Event::Alarm { severity, text } => {
                self.alarms.push(Alarm {
                    id: envelope.seq,
                    at: envelope.at,
                    severity: *severity,
                    text: text.clone(),
                    acknowledged: false,
                });
            }
            Event::AlarmsAcknowledged { up_to } => {
                for alarm in self.alarms.iter_mut().filter(|alarm| alarm.id <= *up_to) {
                    alarm.acknowledged = true;
                }
            }
            Event::Halted { halt } => {
                self.halts.retain(|known| known.scope != halt.scope);
                self.halts.push(halt.clone());
            }
            Event::Resumed { scope, .. } => self.halts.retain(|known| &known.scope != scope),
            Event::Flattened { flattening } => {
                self.flattenings.retain(|known| known.account != flattening.account);
                self.flattenings.push(flattening.clone());
            }
            Event::Guards { readings } => self.guards.clone_from(readings),
            Event::Budget { reading } => self.budget = Some(*reading),
            Event::Note { text } => self.note.clone_from(text),
            Event::Armed { accounts } => self.armed.clone_from(accounts),
            Event::CycleStarted { trigger } => {
                if let Some(id) = &envelope.cycle {
                    self.cycle = Some(CycleView::started(id.clone(), *trigger, envelope.at));
                }
            }
            Event::CycleFinished { report, cost_today } => {
                self.cost_today = *cost_today;
                self.finish_cycle(report);
            }
            other => {
                if let Some(cycle) = self.cycle_of(envelope) {
                    cycle.apply(envelope.at, other);
                }
            }
        }
        missed
    }

    /// Drops the oldest alarms beyond what is kept; returns how many.
    pub fn trim_alarms(&mut self) -> usize {
        let surplus = self.alarms.len().saturating_sub(ALARMS_KEPT);
        self.alarms.drain(..surplus);
        surplus
    }

    /// The report has the last word; what streamed in stays where it says more.
    fn finish_cycle(&mut self, report: &CycleReport) {
        let mut finished = CycleView::from_report(report.clone());
        if let Some(seen) = self.cycle.take().filter(|seen| seen.id == finished.id) {
            finished.started_at = seen.started_at;
            if !seen.analysis.is_empty() {
                finished.analysis = seen.analysis;
            }
            if !seen.tool_calls.is_empty() {
                finished.tool_calls = seen.tool_calls;
            }
        }
        self.cycle = Some(finished);
    }

    fn cycle_of(&mut self, envelope: &Envelope) -> Option<&mut CycleView> {
        self.cycle.as_mut().filter(|cycle| Some(&cycle.id) == envelope.cycle.as_ref())
    }

    fn replace_account(&mut self, state: &AccountState) {
        if let Some(account) = self.accounts.iter_mut().find(|account| account.name == state.name) {
            if state.trouble.is_some() {
                // That it could not be read says nothing of what it holds: what was read last stays, as old as it is.
                account.trouble.clone_from(&state.trouble);
            } else {
                account.clone_from(state);
            }
        } else {
            // Accounts are read side by side; who was read first does not matter.
            let place = |name: &AccountName| {
                self.facts.accounts.iter().position(|known| known == name).unwrap_or(usize::MAX)
            };
            let own = place(&state.name);
            let at = self.accounts.partition_point(|known| place(&known.name) <= own);
            self.accounts.insert(at, state.clone());
        }
        for position in &state.positions {
            self.set_mark(&position.symbol, position.mark);
        }
    }

    fn merge_marks(&mut self, marks: &[(Symbol, Price)]) {
        for (symbol, mark) in marks {
            self.set_mark(symbol, *mark);
        }
    }

    fn set_mark(&mut self, symbol: &Symbol, mark: Price) {
        match self.marks.iter_mut().find(|(known, _)| known == symbol) {
            Some((_, known)) => *known = mark,
            None => self.marks.push((symbol.clone(), mark)),
        }
    }
}

impl CycleView {
    fn started(id: CycleId, trigger: Trigger, at: Timestamp) -> Self {
        Self {
            id,
            trigger,
            started_at: at,
            phase: Some(Phase::Gathering),
            analysis: Untrusted::default(),
            thinking: Untrusted::default(),
            tool_calls: Vec::new(),
            sources: Vec::new(),
            decisions: Vec::new(),
            report: None,
        }
    }

    /// A finished cycle read back from the store.
    pub fn from_report(report: CycleReport) -> Self {
        let tool_calls = report
            .tool_calls
            .iter()
            .zip(1..)
            .map(|(call, number)| ToolCallView {
                call: number,
                started_at: report.market_time,
                endpoint: call.endpoint.clone(),
                params: Untrusted::new(call.params.to_string()),
                finished: Some((call.status, call.bytes, call.ms)),
            })
            .collect();
        Self {
            id: report.cycle_id.clone(),
            trigger: report.trigger,
            started_at: report.market_time,
            phase: None,
            analysis: report.analysis.clone(),
            thinking: Untrusted::default(),
            tool_calls,
            sources: report.brief.sources.clone(),
            decisions: report
                .decisions
                .iter()
                .map(|row| (row.proposal.clone(), Some(row.outcome.clone())))
                .collect(),
            report: Some(Box::new(report)),
        }
    }

    fn apply(&mut self, at: Timestamp, event: &Event) {
        match event {
            Event::PhaseEntered { phase } => {
                self.phase = Some(*phase);
                self.thinking = Untrusted::default();
            }
            Event::BriefReady { brief } => self.sources.clone_from(&brief.sources),
            Event::AnalysisDelta { text } => {
                self.analysis.push(text);
                if !text.raw().trim().is_empty() {
                    self.thinking = Untrusted::default();
                }
            }
            Event::ThinkingDelta { text } => self.thinking.push(text),
            Event::ToolCallStarted { call, endpoint, params } => self.tool_calls.push(ToolCallView {
                call: *call,
                started_at: at,
                endpoint: endpoint.clone(),
                params: params.clone(),
                finished: None,
            }),
            Event::ToolCallFinished { call, status, bytes, ms } => {
                if let Some(view) = self.tool_calls.iter_mut().find(|view| view.call == *call) {
                    view.finished = Some((*status, *bytes, *ms));
                }
            }
            Event::Decided { proposals } => {
                self.decisions = proposals.iter().map(|proposal| (proposal.clone(), None)).collect();
            }
            Event::Settled { account, symbol, outcome } => {
                let row = self
                    .decisions
                    .iter_mut()
                    .find(|(proposal, _)| &proposal.account == account && &proposal.symbol == symbol);
                if let Some((_, settled)) = row {
                    *settled = Some(outcome.clone());
                }
            }
            _ => {}
        }
    }
}
