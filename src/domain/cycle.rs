//! One cycle from trigger to report. The report's JSON is a contract with outside scripts.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::clock::Timestamp;
use super::decision::DecisionRow;
use super::ids::CycleId;
use super::untrusted::Untrusted;

/// Which kind of money is at stake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A world's paper money.
    #[default]
    Paper,
    /// The exchange's own test network.
    Testnet,
    /// Real money.
    Live,
}

impl Mode {
    /// The wire word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Paper => "paper",
            Self::Testnet => "testnet",
            Self::Live => "live",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How openings are sized and guarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// The first desk's way: the full allocation of the coin.
    Classic,
    /// A fixed margin share, scaled down in wild markets.
    #[default]
    Guarded,
}

impl Profile {
    /// The wire word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Guarded => "guarded",
        }
    }
}

/// What started a cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// An operator, or the first start on an empty store.
    Manual,
    /// The hourly schedule.
    Schedule,
    /// A replay over recorded candles.
    Replay,
}

impl Trigger {
    /// The wire word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Schedule => "schedule",
            Self::Replay => "replay",
        }
    }
}

/// The whole of one cycle, as printed by `jarvis cycle --json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CycleReport {
    /// Identity.
    pub cycle_id: CycleId,
    /// What started it.
    pub trigger: Trigger,
    /// Which money.
    pub mode: Mode,
    /// Whether orders were only computed.
    pub dry_run: bool,
    /// How openings were sized.
    pub profile: Profile,
    /// Wall time of the start.
    pub started_at: Timestamp,
    /// Wall time of the end.
    pub finished_at: Timestamp,
    /// Market time the decisions belong to.
    pub market_time: Timestamp,
    /// The model that answered.
    pub model: ModelSummary,
    /// The text of the `<analysis>` block.
    pub analysis: Untrusted,
    /// Every tool call, in order.
    pub tool_calls: Vec<ToolCallRecord>,
    /// What was gathered beforehand, and how fresh.
    pub brief: BriefSummary,
    /// One row for every enabled account and each of its coins.
    pub decisions: Vec<DecisionRow>,
    /// Tokens and money of the model.
    pub usage: Usage,
    /// Where the time went, in milliseconds.
    pub timings_ms: TimingsMs,
    /// What went wrong beside the rows.
    pub errors: Vec<String>,
}

/// Which model answered, and how the conversation ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct ModelSummary {
    /// `builtin`, `anthropic` or `openai`.
    pub provider: String,
    /// The model's id.
    pub id: String,
    /// Requests made, repair included.
    pub iterations: u32,
    /// The last stop reason.
    pub stop_reason: String,
}

/// One call of the model's tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCallRecord {
    /// The path asked for.
    pub endpoint: Untrusted,
    /// Its parameters.
    pub params: serde_json::Value,
    /// HTTP status of the answer; 0 when the call never left.
    pub status: u16,
    /// Size of the answer.
    pub bytes: u64,
    /// Duration in milliseconds.
    pub ms: f64,
}

impl ToolCallRecord {
    /// The most bytes of an answer that the model is given; what is longer is cut and says so.
    pub const MOST_GIVEN: usize = 6 * 1024;
}

/// The sources of a brief.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct BriefSummary {
    /// One entry a source.
    pub sources: Vec<SourceStatus>,
}

/// How one source did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// Its name, such as `binance/klines/BTCUSDT/4h`.
    pub name: String,
    /// When its data was taken.
    pub as_of: Option<Timestamp>,
    /// Whether the data is older than its kind allows.
    pub stale: bool,
    /// What failed, if it did.
    pub error: Option<String>,
}

/// Tokens and money of the model calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Usage {
    /// Input tokens after the last cache breakpoint.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Input tokens read from the cache.
    pub cache_read_input_tokens: u64,
    /// Input tokens written to the cache.
    pub cache_creation_input_tokens: u64,
    /// Cost in US dollars.
    pub cost_usd: Decimal,
    /// Whether a figure is an estimate: a provider told none, or no model was asked but the built-in analyst.
    #[serde(default)]
    pub is_estimate: bool,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input_tokens += other.input_tokens;
        self.output_tokens += other.output_tokens;
        self.cache_read_input_tokens += other.cache_read_input_tokens;
        self.cache_creation_input_tokens += other.cache_creation_input_tokens;
        self.cost_usd += other.cost_usd;
        self.is_estimate |= other.is_estimate;
    }
}

/// Durations of a cycle's steps, milliseconds of wall time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
pub struct TimingsMs {
    /// Reading the accounts.
    pub accounts: f64,
    /// Gathering the market brief.
    pub brief: f64,
    /// Rendering the prompt.
    pub prompt: f64,
    /// The model, tools included.
    pub model: f64,
    /// Orders and stops.
    pub execution: f64,
    /// All of it.
    pub total: f64,
}
