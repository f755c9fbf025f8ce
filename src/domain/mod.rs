//! The vocabulary of the house: pure types, no I/O, no async.
//!
//! Every other room may use this one; this one uses nothing of ours. What a desk tells ([`Event`]), what it may be
//! asked ([`Command`]) and all a newcomer needs ([`Snapshot`]) are defined here, so that the desk never has to know
//! who is watching.

pub mod account;
pub mod candle;
pub mod clock;
pub mod command;
pub mod cycle;
pub mod decision;
pub mod event;
pub mod halt;
pub mod ids;
pub mod money;
pub mod order;
pub mod parity;
pub mod percent;
pub mod query;
pub mod short;
pub mod snapshot;
pub mod symbol;
pub mod untrusted;

pub use account::{AccountState, Position, ProtectiveStop};
pub use candle::{Candle, Interval};
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use command::{Command, CommandId, OperatorCommand};
pub use cycle::{
    BriefSummary, CycleReport, Mode, ModelSummary, Profile, SourceStatus, TimingsMs, ToolCallRecord, Trigger,
    Usage,
};
pub use decision::{Confidence, DecisionRow, DecisionWord, MarketBias, Outcome, OutcomeKind, Proposal, Rule};
pub use event::{Envelope, Event, OrderState, Phase, Severity, ToldElsewhere};
pub use halt::{BudgetReading, Flattening, GuardReading, Halt, HaltLevel, HaltOrigin, HaltScope};
pub use ids::{ClientOrderId, CycleId};
pub use money::{InvalidAmount, Notional, Price, Quantity, Usdt};
pub use order::{Direction, OrderPurpose, Side};
pub use parity::{ParityLeg, ParityRow, parity};
pub use percent::{MarginPercent, PricePercent};
pub use query::{
    ChartPage, CycleLine, CycleOutcomes, CyclePage, DecisionMark, FillLine, LogPage, MarketCoin, MarketPage,
    MoneyPage, MoneyRow, OrderLine, Page, PriceGrid, PriceGridPage, PromptFile, PromptPage, PromptRemark,
    Query, QueryId, RemarkWeight, Request, ToolCallPage, TurnPage,
};
pub use short::Short;
pub use snapshot::{Alarm, CycleView, DeskFacts, Feed, Snapshot, ToolCallView};
pub use symbol::{AccountName, InvalidName, Symbol};
pub use untrusted::Untrusted;
