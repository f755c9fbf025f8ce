//! All a newcomer needs to draw the desk.

use serde::{Deserialize, Serialize};

use super::account::AccountState;
use super::clock::Timestamp;
use super::cycle::{CycleReport, Mode, Profile, SourceStatus, Trigger, Usage};
use super::decision::{Confidence, Outcome, Proposal};
use super::event::{Envelope, Phase, Severity};
use super::ids::CycleId;
use super::money::Price;
use super::symbol::Symbol;
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
    /// Whether prices and money are made up by an offline world.
    pub built_in_market: bool,
    /// Whether the analyst is the built-in, rule-based one.
    pub built_in_analyst: bool,
    /// Seconds of market time in a second of wall time; 0 stands still.
    pub clock_speed: f64,
    /// All coins of all accounts, in order of first mention.
    pub symbols: Vec<Symbol>,
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
    /// Market time.
    pub at: Timestamp,
    /// How loud.
    pub severity: Severity,
    /// What happened, to what, and what was done about it.
    pub text: String,
}
