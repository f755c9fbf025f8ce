//! What a prompt is made of, in the house's own types. The desk fills these from the accounts and the market brief.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use chrono::TimeDelta;

use crate::desk::signals::allowed_decisions;
use crate::domain::{
    AccountName, AccountState, Candle, Confidence, DecisionWord, Direction, Proposal, SourceStatus, Symbol,
    Timestamp, Untrusted,
};

/// The language of the prompts and, with them, of the model's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Turkish, the default.
    #[default]
    Tr,
    /// English.
    En,
}

impl Language {
    /// `tr` or `en`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tr => "tr",
            Self::En => "en",
        }
    }
}

impl std::str::FromStr for Language {
    type Err = crate::domain::InvalidName;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "tr" => Ok(Self::Tr),
            "en" => Ok(Self::En),
            _ => Err(crate::domain::InvalidName {
                kind: "prompt language",
                value: text.to_owned(),
                allowed: "one of tr, en",
            }),
        }
    }
}

/// Everything one user prompt says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PromptInput {
    /// Market time the decisions belong to.
    pub market_time: Timestamp,
    /// Confidence from which an opening is carried out.
    pub threshold: Confidence,
    /// The other limits that code enforces, each as a name and its value, such as `stop_loss` and `10% of price`.
    pub limits: Vec<(String, String)>,
    /// The accounts, in the settings' order. One that could not be read carries its trouble and is not asked about.
    pub accounts: Vec<AccountInput>,
    /// The coins of all accounts, in order of first mention.
    pub coins: Vec<CoinInput>,
    /// Fear & Greed, if it could be had.
    pub fear_greed: Option<FearGreedInput>,
    /// The Dow Jones, if it could be had.
    pub us30: Option<Us30Input>,
    /// The economic calendar, soonest first.
    pub calendar: Vec<CalendarInput>,
    /// Headlines of all categories, newest first.
    pub news: Vec<NewsInput>,
    /// What the model is told of its own past.
    pub memory: MemoryInput,
    /// Every source of the brief; only those that failed or are stale are told.
    pub sources: Vec<SourceStatus>,
}

/// One account and what it may do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AccountInput {
    /// What the exchange says it holds.
    pub state: AccountState,
    /// The decisions allowed for each of its coins.
    pub allowed: Vec<(Symbol, Vec<DecisionWord>)>,
}

impl AccountInput {
    /// An account under the plain rule: hold or close what is open, open or stay out where nothing is.
    pub fn plain(state: AccountState) -> Self {
        let allowed = state
            .symbols
            .iter()
            .map(|symbol| (symbol.clone(), allowed_decisions(state.position(symbol)).to_vec()))
            .collect();
        Self { state, allowed }
    }
}

/// One coin's figures, all on closed 4 h candles. What is not known is `None` and becomes an empty cell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CoinInput {
    /// Which coin.
    pub symbol: Symbol,
    /// Its price; a coin without one is not asked about.
    pub price: Option<Decimal>,
    /// Change over the last 4 h, in percent.
    pub change_4h_pct: Option<f64>,
    /// RSI(14).
    pub rsi14: Option<f64>,
    /// MACD(12,26,9) line.
    pub macd: Option<f64>,
    /// MACD signal.
    pub macd_signal: Option<f64>,
    /// MACD histogram.
    pub macd_hist: Option<f64>,
    /// ADX(14).
    pub adx14: Option<f64>,
    /// Lower Bollinger band (20, 2).
    pub bb_lower: Option<f64>,
    /// Middle Bollinger band.
    pub bb_middle: Option<f64>,
    /// Upper Bollinger band.
    pub bb_upper: Option<f64>,
    /// ATR(14), in USDT.
    pub atr14: Option<f64>,
    /// Funding rate of the running interval, in percent.
    pub funding_rate_pct: Option<f64>,
    /// Closed 4 h candles, oldest first; the last 20 are shown.
    pub candles: Vec<Candle>,
    /// A line a timeframe, shortest first.
    pub timeframes: Vec<TimeframeInput>,
    /// How it moved and who holds it.
    pub statistics: StatisticsInput,
}

/// One timeframe of one coin.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct TimeframeInput {
    /// Length of its bars, such as `4h`.
    pub interval: String,
    /// `up`, `down` or `flat`.
    pub trend: Option<&'static str>,
    /// RSI(14).
    pub rsi14: Option<f64>,
    /// MACD histogram in percent of the price.
    pub macd_hist_pct: Option<f64>,
    /// ATR(14) in percent of the price.
    pub atr_pct: Option<f64>,
    /// Percent up to the high of 20 bars.
    pub to_high20_pct: Option<f64>,
    /// Percent down to the low of 20 bars.
    pub to_low20_pct: Option<f64>,
    /// Slope of OBV a bar in percent of the average volume.
    pub obv_slope_pct: Option<f64>,
}

/// How one coin moved lately and how its traders are positioned.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct StatisticsInput {
    /// Percent over the last 1, 4, 24 and 168 closed hours.
    pub returns_pct: [Option<f64>; 4],
    /// Volatility a day, in percent, over 24 hours and over 30 days.
    pub volatility_pct: [Option<f64>; 2],
    /// Correlation to bitcoin over 30 days.
    pub correlation_btc: Option<f64>,
    /// Beta to bitcoin over 30 days.
    pub beta_btc: Option<f64>,
    /// Open interest in millions of USDT.
    pub open_interest_musdt: Option<f64>,
    /// Change of open interest over 4 and over 24 hours, in percent.
    pub open_interest_change_pct: [Option<f64>; 2],
    /// Longs by shorts: of all accounts, of the largest traders by size, of the largest traders by head.
    pub long_short: [Option<f64>; 3],
}

impl CoinInput {
    /// A coin of which nothing is known yet.
    pub fn unknown(symbol: Symbol) -> Self {
        Self {
            symbol,
            price: None,
            change_4h_pct: None,
            rsi14: None,
            macd: None,
            macd_signal: None,
            macd_hist: None,
            adx14: None,
            bb_lower: None,
            bb_middle: None,
            bb_upper: None,
            atr14: None,
            funding_rate_pct: None,
            candles: Vec::new(),
            timeframes: Vec::new(),
            statistics: StatisticsInput::default(),
        }
    }
}

/// The Fear & Greed index.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FearGreedInput {
    /// 0 (fear) to 100 (greed).
    pub value: u8,
    /// The source's word for it, such as `Extreme Fear`.
    pub class: Untrusted,
}

/// The Dow Jones index.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Us30Input {
    /// The last quote.
    pub price: Option<Decimal>,
    /// Change against the previous close, in percent.
    pub change_pct: Option<f64>,
    /// Daily candles, oldest first; the last five are shown.
    pub candles: Vec<Candle>,
    /// The contract that stands for the index when it is not the index itself: its level is another.
    pub proxy: Option<&'static str>,
}

/// One entry of the economic calendar.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CalendarInput {
    /// When it is published.
    pub time: Timestamp,
    /// Country code, such as `US`.
    pub country: Untrusted,
    /// `low`, `medium` or `high`.
    pub impact: Untrusted,
    /// What is published.
    pub event: Untrusted,
    /// The published figure, once there is one.
    pub actual: Option<f64>,
    /// What was expected.
    pub estimate: Option<f64>,
    /// The figure before.
    pub previous: Option<f64>,
}

/// One headline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NewsInput {
    /// `general`, `crypto` or `forex`.
    pub category: String,
    /// Who published it.
    pub source: Untrusted,
    /// When it was published.
    pub published: Timestamp,
    /// The headline as it came.
    pub headline: Untrusted,
}

/// The past, as far as it can be proven.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct MemoryInput {
    /// Why each open position was opened.
    pub theses: Vec<ThesisInput>,
    /// Trades closed last, the newest first.
    pub outcomes: Vec<OutcomeInput>,
    /// What closed trades add up to, by group.
    pub lessons: Vec<LessonInput>,
    /// What the operator did since the last cycle, one line each, oldest first.
    pub operator: Vec<String>,
    /// What the operator wants to be read in this cycle.
    pub note: Option<Untrusted>,
}

/// What the model said when it opened a position that is still open.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ThesisInput {
    /// Its words then.
    pub opening: Proposal,
    /// How long ago.
    #[serde(skip)]
    pub age: TimeDelta,
    /// Its words in the last cycle.
    pub last: Option<Proposal>,
}

/// A closed trade with all its money.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OutcomeInput {
    /// Whose.
    pub account: AccountName,
    /// Which coin.
    pub symbol: Symbol,
    /// Which way.
    pub direction: Direction,
    /// The confidence it was opened with.
    pub confidence: Option<Confidence>,
    /// How long ago it was opened.
    #[serde(skip)]
    pub age: TimeDelta,
    /// USDT, after commission and funding.
    pub net: Decimal,
}

/// What a group of closed trades adds up to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LessonInput {
    /// What they have in common.
    pub group: String,
    /// How many.
    pub cases: usize,
    /// How many made money.
    pub won: usize,
    /// USDT, after commission and funding.
    pub net: Decimal,
    /// The confidence they were opened with.
    pub mean_confidence: Decimal,
}
