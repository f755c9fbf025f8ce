//! What a console asks for when it is not told by itself: history, one cycle whole, money by day, a chart, a prompt.
//!
//! A [`Query`] is answered by a [`Page`], read from the store at that moment, and only to the one who asked.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::candle::{Candle, Interval};
use super::clock::Timestamp;
use super::command::OperatorCommand;
use super::cycle::{CycleReport, SourceStatus, Trigger, Usage};
use super::decision::{Confidence, DecisionWord, OutcomeKind};
use super::event::{Envelope, OrderState};
use super::ids::{ClientOrderId, CycleId};
use super::money::{Price, Quantity, Usdt};
use super::order::{OrderPurpose, Side};
use super::symbol::{AccountName, Symbol};
use super::untrusted::Untrusted;

/// Joins a question to its answer.
pub type QueryId = u64;

/// What a console sends to a desk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Do something.
    Command(OperatorCommand),
    /// Tell something.
    Query {
        /// Chosen by the sender; the answer carries it.
        id: QueryId,
        /// What is asked.
        query: Query,
    },
}

/// The questions a desk answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "query", rename_all = "snake_case")]
pub enum Query {
    /// The coins as the brief of the last cycle saw them, brought up to date where that is cheap.
    Market,
    /// Candles of a coin with what we did on them.
    Chart {
        /// Which coin.
        symbol: Symbol,
        /// Which candles.
        interval: Interval,
    },
    /// Past cycles, newest first.
    Cycles {
        /// Only cycles that started before this wall time; `None` begins with the newest.
        before: Option<Timestamp>,
        /// At most so many, 1 to 500.
        limit: u32,
    },
    /// One cycle with everything behind it.
    Cycle {
        /// Which.
        id: CycleId,
    },
    /// Money over a span of market time.
    Money {
        /// From here on.
        from: Timestamp,
        /// Up to, not including.
        to: Timestamp,
    },
    /// The prompt files, and the text of one of them.
    Prompt {
        /// Which; `None` takes the first.
        name: Option<String>,
    },
    /// What is wrong with a text, were it this prompt file.
    LintPrompt {
        /// The file it would be.
        name: String,
        /// The text.
        text: String,
    },
    /// The prices that a stop of a coin may have.
    PriceGrid {
        /// Which coin.
        symbol: Symbol,
    },
    /// Events of record, newest first.
    Log {
        /// Only events before this place in the log; `None` begins with the newest.
        before: Option<i64>,
        /// At most so many, 1 to 1000.
        limit: u32,
    },
}

/// The answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "page", rename_all = "snake_case")]
#[expect(missing_docs, reason = "each answers the question of its name")]
pub enum Page {
    Market(MarketPage),
    Chart(ChartPage),
    Cycles { lines: Vec<CycleLine> },
    Cycle(Box<CyclePage>),
    Money(MoneyPage),
    Prompt(PromptPage),
    Lint { remarks: Vec<PromptRemark> },
    PriceGrid(PriceGridPage),
    Log(LogPage),
}

/// The prices that a stop of a coin may have, as far as the exchange told them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceGridPage {
    /// Which coin.
    pub symbol: Symbol,
    /// What is allowed; `None` while it is not known.
    pub grid: Option<PriceGrid>,
}

/// The prices an exchange takes; zero switches a bound off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceGrid {
    /// Least; the grid starts here.
    pub least: Decimal,
    /// Most.
    pub most: Decimal,
    /// Distance of two neighbours.
    pub step: Decimal,
}

impl PriceGrid {
    /// Why a price is not on the grid, with its neighbours that are.
    pub fn refuses(&self, price: Price) -> Option<String> {
        let value = price.value();
        if value < self.least {
            return Some(format!("the least the exchange takes is {}", self.least.normalize()));
        }
        if !self.most.is_zero() && value > self.most {
            return Some(format!("the most the exchange takes is {}", self.most.normalize()));
        }
        let excess = value.checked_sub(self.least)?.checked_rem(self.step)?;
        if excess.is_zero() {
            return None;
        }
        let lower = value - excess;
        let [lower, higher] = [lower, lower.checked_add(self.step)?].map(|price| price.normalize());
        Some(format!("the exchange takes steps of {}: {lower} or {higher}", self.step.normalize()))
    }
}

/// The market at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MarketPage {
    /// Market time of the reading.
    pub as_of: Timestamp,
    /// One row a coin, in the settings' order.
    pub coins: Vec<MarketCoin>,
    /// Fear & Greed: 0 to 100, and its class.
    pub fear_greed: Option<(u32, Untrusted)>,
    /// How each source did.
    pub sources: Vec<SourceStatus>,
    /// Headlines: when, from where, what.
    pub headlines: Vec<(Option<Timestamp>, Untrusted, Untrusted)>,
    /// Coming calendar entries: when, how important, what.
    pub events: Vec<(Timestamp, Untrusted, Untrusted)>,
}

/// One coin of the market. What is not known is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MarketCoin {
    /// Which.
    pub symbol: Symbol,
    /// Last price.
    pub price: Option<Price>,
    /// The last closes (up to 48), oldest first.
    pub closes: Vec<f64>,
    /// RSI(14), 0 to 100.
    pub rsi: Option<f64>,
    /// Histogram of MACD(12, 26, 9), in price units.
    pub macd_histogram: Option<f64>,
    /// ADX(14), 0 to 100.
    pub adx: Option<f64>,
    /// ATR(14) as a share of the price.
    pub atr_share: Option<f64>,
    /// Funding rate of the coming settlement, as a share.
    pub funding: Option<f64>,
    /// Change of open interest over 24 hours, as a share.
    pub open_interest_change: Option<f64>,
    /// Correlation to BTC over 30 days, -1 to 1.
    pub correlation: Option<f64>,
    /// Beta to BTC over 30 days.
    pub beta: Option<f64>,
}

/// Candles and what was done on them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChartPage {
    /// Which coin.
    pub symbol: Symbol,
    /// Length of a candle.
    pub interval: Interval,
    /// Closed candles, oldest first.
    pub candles: Vec<Candle>,
    /// The candle that is not closed yet, as far as it is known.
    #[serde(default)]
    pub forming: Option<Candle>,
    /// Our fills within the candles' span, oldest first.
    pub fills: Vec<FillLine>,
    /// What the model decided for the coin within that span, oldest first.
    pub decisions: Vec<DecisionMark>,
}

/// A decision on a chart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionMark {
    /// Market time of its cycle.
    pub at: Timestamp,
    /// For whom.
    pub account: AccountName,
    /// What was proposed.
    pub decision: Option<DecisionWord>,
    /// How sure.
    pub confidence: Option<Confidence>,
    /// What became of it.
    pub outcome: Option<OutcomeKind>,
}

/// How many decisions came to which end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each name is the kind it counts")]
pub struct CycleOutcomes {
    pub opened: u32,
    pub closed: u32,
    pub none: u32,
    pub refused: u32,
    pub invalid: u32,
    pub failed: u32,
    pub dry_run: u32,
}

/// A cycle in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CycleLine {
    /// Identity.
    pub id: CycleId,
    /// What started it.
    pub trigger: Trigger,
    /// Market time its decisions belong to.
    pub market_time: Timestamp,
    /// Wall time it began.
    pub started_at: Timestamp,
    /// Whether orders were only computed.
    pub dry_run: bool,
    /// `running`, `finished` or `failed`.
    pub state: String,
    /// Why it failed, if it did.
    pub failure: Option<String>,
    /// What became of its decisions.
    pub outcomes: CycleOutcomes,
    /// Tokens and dollars, once finished.
    pub usage: Option<Usage>,
    /// Whole duration in milliseconds, once finished.
    pub total_ms: Option<f64>,
    /// How many errors its report names.
    pub errors: u32,
    /// The coins something was opened or closed in.
    #[serde(default)]
    pub coins: Vec<Symbol>,
}

/// One cycle, down to the exact words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CyclePage {
    /// The report; `None` while it runs or when it failed.
    pub report: Option<CycleReport>,
    /// Its line in the list.
    pub line: CycleLine,
    /// The system prompt the model saw.
    pub system_prompt: Option<Untrusted>,
    /// The user prompt the model saw.
    pub user_prompt: Option<Untrusted>,
    /// The turns of the conversation.
    pub turns: Vec<TurnPage>,
    /// The tool calls with what they answered.
    pub tool_calls: Vec<ToolCallPage>,
    /// The orders it caused, in the order of the journal.
    pub orders: Vec<OrderLine>,
    /// The fills of those orders.
    pub fills: Vec<FillLine>,
}

impl CyclePage {
    /// Whether the built-in analyst was asked: its cost is what a model would have taken.
    pub fn is_unpaid(&self) -> bool {
        self.report.as_ref().is_some_and(|report| report.model.provider == "builtin")
    }
}

/// One turn of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TurnPage {
    /// 1 for the first.
    pub iteration: u32,
    /// Bytes of the request.
    pub request_bytes: u64,
    /// The answer's event stream, as it came.
    pub response: Untrusted,
    /// Why it stopped.
    pub stop_reason: Option<String>,
    /// The provider's id of the request.
    pub request_id: Option<String>,
    /// The provider's rate limits, each with what was left of it.
    pub rate_limits: Option<String>,
    /// Tokens and dollars.
    pub usage: Usage,
    /// Duration in milliseconds.
    pub ms: f64,
    /// What went wrong, if it did.
    pub error: Option<String>,
}

/// One tool call with its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCallPage {
    /// The turn it was asked in.
    pub iteration: u32,
    /// The path asked for.
    pub endpoint: Untrusted,
    /// Its parameters as compact JSON.
    pub params: Untrusted,
    /// HTTP status; 0 when the call never left.
    pub status: u16,
    /// Size of the whole answer.
    pub bytes: u64,
    /// Duration in milliseconds.
    pub ms: f64,
    /// What the model was given of it.
    pub body: Untrusted,
}

/// An order of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLine {
    /// Our name for it.
    pub client_order_id: ClientOrderId,
    /// Whose.
    pub account: AccountName,
    /// Which coin.
    pub symbol: Symbol,
    /// Why it exists.
    pub purpose: OrderPurpose,
    /// Buy or sell.
    pub side: Side,
    /// Ordered; `None` for a stop over the whole position.
    pub quantity: Option<Quantity>,
    /// A stop's trigger.
    pub trigger: Option<Price>,
    /// Where it stands.
    pub state: OrderState,
    /// Average fill price.
    pub average_price: Option<Price>,
    /// What went wrong, if it did.
    pub error: Option<String>,
    /// Market time it was journaled.
    pub at: Timestamp,
}

/// A fill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FillLine {
    /// Whose.
    pub account: AccountName,
    /// Which coin.
    pub symbol: Symbol,
    /// Buy or sell.
    pub side: Side,
    /// At which price.
    pub price: Price,
    /// How much.
    pub quantity: Quantity,
    /// What it cost, positive, in USDT.
    pub commission: Usdt,
    /// Realised profit and loss, before commission.
    pub realised: Usdt,
    /// Why its order existed, where that is known.
    pub purpose: Option<OrderPurpose>,
    /// Our name for its order, where it was ours.
    pub client_order_id: Option<ClientOrderId>,
    /// Market time.
    pub at: Timestamp,
}

/// Money over a span.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MoneyPage {
    /// From here on (market time).
    pub from: Timestamp,
    /// Up to, not including.
    pub to: Timestamp,
    /// Everything together.
    pub total: MoneyRow,
    /// By day, newest first.
    pub days: Vec<MoneyRow>,
    /// By account, in the settings' order.
    pub accounts: Vec<MoneyRow>,
    /// By coin, in the settings' order.
    pub coins: Vec<MoneyRow>,
    /// What moved in another asset than USDT, and is in no row: asset and sum.
    pub other_assets: Vec<(String, Decimal)>,
    /// Equity of every account over time, oldest first; thinned to at most 500 points an account.
    pub equity: Vec<(AccountName, Vec<(Timestamp, Decimal)>)>,
}

/// One row of money, USDT. Net is gross + commission + funding − model cost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoneyRow {
    /// The day, the account, the coin, or empty for all.
    pub label: String,
    /// Realised profit and loss before commission.
    pub gross: Decimal,
    /// Commission; negative is paid.
    pub commission: Decimal,
    /// Funding; negative is paid.
    pub funding: Decimal,
    /// What the model cost, in US dollars; only where it can be attributed (days and the total).
    pub model_cost: Decimal,
    /// Whether a figure of the model's cost is our estimate, because the provider told none.
    #[serde(default)]
    pub is_estimate: bool,
    /// Closing fills that were counted.
    pub trades: u32,
}

impl MoneyRow {
    /// What is left after everything.
    pub fn net(&self) -> Decimal {
        self.gross + self.commission + self.funding - self.model_cost
    }
}

/// The prompt files, and one of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptPage {
    /// All files, in the order they are used.
    pub files: Vec<PromptFile>,
    /// The one that was asked for.
    pub name: String,
    /// Its text as it stands on disk, or the built-in one.
    pub text: String,
    /// The built-in text, to compare with.
    pub built_in: String,
    /// What there is to say about a file of the settings folder; nothing about the built-in text.
    pub remarks: Vec<PromptRemark>,
    /// Whether a prompt can be made of the text; what cannot be used leaves the last good text in force.
    pub is_usable: bool,
}

/// How bad a remark about a prompt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RemarkWeight {
    /// Good to know.
    Note,
    /// It would work, worse than it could.
    Warning,
    /// The call would go wrong.
    Error,
}

/// One remark about a prompt file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptRemark {
    /// How bad.
    pub weight: RemarkWeight,
    /// What was found, and what to do.
    pub text: String,
}

/// One prompt file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptFile {
    /// Its name, such as `user.jinja`.
    pub name: String,
    /// Whether a file of the settings folder is in force instead of the built-in text.
    pub is_override: bool,
    /// Whether the prompts of this desk are made of it: a system prompt in the other language is not used.
    pub is_used: bool,
}

/// A stretch of the event log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogPage {
    /// Place in the log and event, newest first.
    pub lines: Vec<(i64, Envelope)>,
}
