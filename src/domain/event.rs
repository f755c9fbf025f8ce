//! What happened. A console is a replica built from these and nothing else.

use serde::{Deserialize, Serialize};

use super::account::AccountState;
use super::clock::Timestamp;
use super::command::CommandId;
use super::cycle::{BriefSummary, CycleReport, Trigger, Usage};
use super::decision::{Outcome, Proposal};
use super::halt::{BudgetReading, Flattening, GuardReading, Halt, HaltScope};
use super::ids::{ClientOrderId, CycleId};
use super::money::{Price, Quantity};
use super::order::{OrderPurpose, Side};
use super::symbol::{AccountName, Symbol};
use super::untrusted::Untrusted;

/// An event with its place in the order of things.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// Counts up by one from the desk's start; a gap means something was missed.
    pub seq: u64,
    /// Market time.
    pub at: Timestamp,
    /// The cycle it belongs to.
    pub cycle: Option<CycleId>,
    /// What happened.
    pub event: Event,
}

/// The steps of a cycle, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Reading accounts and gathering the market brief, side by side.
    Gathering,
    /// The model reads, calls its tool and writes.
    Model,
    /// Guards, orders, stops.
    Execution,
}

/// How loud something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// For the record.
    Info,
    /// Look at it when you can.
    Warning,
    /// Look at it now.
    Critical,
}

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    /// Written down, on its way.
    Sent,
    /// The exchange has it (a stop: it rests).
    Accepted,
    /// Executed.
    Filled,
    /// The exchange said no.
    Rejected,
    /// No answer that proves anything.
    Unknown,
    /// Proven never to have existed at the exchange.
    NotPlaced,
    /// Cancelled, or expired with its position.
    Cancelled,
}

impl OrderState {
    /// The word kept in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Accepted => "accepted",
            Self::Filled => "filled",
            Self::Rejected => "rejected",
            Self::Unknown => "unknown",
            Self::NotPlaced => "not_placed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// How much of an answer the events of its action tell: a log has one line for one action.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToldElsewhere {
    /// Nothing: the answer is all there is.
    #[default]
    Nothing,
    /// All of it.
    All,
    /// All but these words.
    AllBut(String),
}

/// Everything a desk tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// A cycle began.
    CycleStarted {
        /// What started it.
        trigger: Trigger,
    },
    /// The cycle entered a step.
    PhaseEntered {
        /// Which.
        phase: Phase,
    },
    /// The market brief is complete.
    BriefReady {
        /// How each source did.
        brief: BriefSummary,
    },
    /// The model began another turn.
    ModelTurn {
        /// 1 for the first.
        iteration: u32,
    },
    /// The model wrote more text.
    AnalysisDelta {
        /// What was added.
        text: Untrusted,
    },
    /// The model let more of its thinking be seen. Never a part of its answer.
    ThinkingDelta {
        /// What was added.
        text: Untrusted,
    },
    /// The model asked its tool for something.
    ToolCallStarted {
        /// Joins start and end.
        call: u64,
        /// The path asked for.
        endpoint: Untrusted,
        /// Its parameters as compact JSON.
        params: Untrusted,
    },
    /// The tool answered.
    ToolCallFinished {
        /// Joins start and end.
        call: u64,
        /// HTTP status; 0 when the call never left.
        status: u16,
        /// Size of the answer.
        bytes: u64,
        /// Duration in milliseconds.
        ms: f64,
    },
    /// The model's answer was checked.
    Decided {
        /// One row for every account and coin.
        proposals: Vec<Proposal>,
    },
    /// It is known what became of one row.
    Settled {
        /// Whose row.
        account: AccountName,
        /// Which coin.
        symbol: Symbol,
        /// What became of it.
        outcome: Outcome,
    },
    /// An order changed state.
    Order {
        /// Whose.
        account: AccountName,
        /// Which coin.
        symbol: Symbol,
        /// Why it exists.
        purpose: OrderPurpose,
        /// Buy or sell.
        side: Side,
        /// Our name for it.
        client_order_id: ClientOrderId,
        /// Where it stands.
        state: OrderState,
        /// Executed or ordered quantity; `None` for a stop that covers the whole position.
        quantity: Option<Quantity>,
        /// Average fill price, or a stop's trigger.
        price: Option<Price>,
    },
    /// The cycle ended.
    CycleFinished {
        /// The whole of it.
        report: Box<CycleReport>,
        /// What the model cost today, this cycle included.
        cost_today: Usage,
    },
    /// A cycle was asked for and not started.
    CycleRefused {
        /// Why.
        reason: String,
    },
    /// An account was read again.
    Account {
        /// The new reading.
        state: AccountState,
    },
    /// Mark prices moved.
    Marks {
        /// The new marks; coins that did not move are absent.
        marks: Vec<(Symbol, Price)>,
    },
    /// The next scheduled cycle.
    NextCycle {
        /// Market time of the slot; `None` when the clock stands still.
        at: Option<Timestamp>,
    },
    /// Dry-run was switched.
    DryRun {
        /// Whether orders are only computed from now on.
        on: bool,
    },
    /// A command was taken.
    CommandAccepted {
        /// Which.
        id: CommandId,
        /// What will happen.
        detail: String,
        /// How much of that other events tell.
        #[serde(default)]
        elsewhere: ToldElsewhere,
    },
    /// A command was not taken, or came to nothing.
    CommandRefused {
        /// Which.
        id: CommandId,
        /// Why, and what to do.
        reason: String,
    },
    /// Something an operator should know.
    Alarm {
        /// How loud.
        severity: Severity,
        /// What happened, to what, and what was done about it.
        text: String,
    },
    /// The operator saw alarms: every one up to this id.
    AlarmsAcknowledged {
        /// The id of the last one.
        up_to: u64,
    },
    /// Something may not trade from now on, or not as before.
    Halted {
        /// The halt; it replaces an earlier one of the same scope.
        halt: Halt,
    },
    /// A halt was taken back or ran out.
    Resumed {
        /// What trades again.
        scope: HaltScope,
        /// By whom or what.
        reason: String,
    },
    /// How far the flattening of an account has come, read from the exchange.
    Flattened {
        /// What is left.
        flattening: Flattening,
    },
    /// How the guards stand; replaces the earlier readings.
    Guards {
        /// Every guard, in the order they are asked.
        readings: Vec<GuardReading>,
    },
    /// How much of what the exchange allows is used.
    Budget {
        /// Now.
        reading: BudgetReading,
    },
    /// The note that waits for the next cycle.
    Note {
        /// The operator's words; `None` when none waits.
        text: Option<String>,
    },
    /// Whether a live desk may send orders.
    Armed {
        /// Which accounts may.
        accounts: Vec<AccountName>,
    },
}
