//! The settings as the other rooms see them, and their defaults.

use std::collections::BTreeMap;

use chrono::FixedOffset;
use rust_decimal::Decimal;

use super::account::{self, AccountSettings};
use super::guards::GuardSettings;
use super::secret::SecretRef;
use super::values::{EquityPercent, StopLoss};
use crate::domain::{Confidence, Mode, PricePercent, Profile, Usdt};

/// Everything an operator may set.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Which kind of money is at stake.
    pub mode: Mode,
    /// Whether orders are only computed.
    pub dry_run: bool,
    /// Mode live: whether accounts that were armed stay armed across a restart.
    pub stay_armed: bool,
    /// How openings are sized and guarded.
    pub profile: Profile,
    /// When cycles run.
    pub schedule: Schedule,
    /// Who decides.
    pub model: ModelSettings,
    /// How market data is gathered.
    pub market: MarketSettings,
    /// Where the exchange is.
    pub exchange: ExchangeSettings,
    /// The embedded world.
    pub world: WorldSettings,
    /// Stops and sizes.
    pub risk: Risk,
    /// The screen.
    pub console: ConsoleSettings,
    /// The trading accounts, in the file's order; never empty, names unique, at least one enabled.
    pub accounts: Vec<AccountSettings>,
}

/// When cycles run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Six cron fields, seconds first, in UTC.
    pub cron: String,
}

/// Who decides, and in which protocol it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Provider {
    /// The rule-based analyst of the embedded world.
    Builtin,
    /// Anthropic's Messages API, or whoever else speaks it.
    Anthropic,
    /// OpenAI's chat completions, or whoever else speaks them: OpenRouter, Ollama, vLLM, llama.cpp.
    OpenAi,
}

impl Provider {
    /// The word of the settings and of the cycle report.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Builtin => "builtin",
            Self::Anthropic => "anthropic",
            Self::OpenAi => "openai",
        }
    }
}

/// The language of the prompts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each name is its meaning")]
pub enum PromptLanguage {
    Turkish,
    English,
}

impl PromptLanguage {
    /// `tr` or `en`: the word of the settings and the ending of the prompt files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Turkish => "tr",
            Self::English => "en",
        }
    }
}

/// Who decides, and within which limits.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSettings {
    /// Who answers.
    pub provider: Provider,
    /// Instead of the provider's own address; https, or http on loopback. Of the built-in analyst loopback only.
    pub base_url: Option<String>,
    /// The model's id.
    pub id: String,
    /// The provider's key; there is always one named for `anthropic`, and for `openai` unless it runs on this machine.
    pub api_key: Option<SecretRef>,
    /// Output tokens a response may have; more is asked for where all decisions need more.
    pub max_tokens: u32,
    /// Requests a cycle may make before it must have its answer.
    pub max_iterations: u32,
    /// Seconds the model may take in one cycle, all requests and tool calls together.
    pub cycle_seconds: u64,
    /// Input and output tokens of one cycle together.
    pub cycle_tokens: u64,
    /// How the key is sent.
    pub auth: KeyHeader,
    /// Seconds in which nothing may come before an answer is given up; more for a model of one's own than for a vendor's
    /// while it is `None`.
    pub idle_seconds: Option<u64>,
    /// Whether the provider can hold the model to the submitting tool's schema; while it is `None`, vendors of the
    /// Messages API are taken to.
    pub strict_tools: Option<bool>,
    /// Whether the provider may be asked to cache the conversation between turns; while it is `None`, vendors are.
    pub prompt_cache: Option<bool>,
    /// US dollars one cycle may cost.
    pub cycle_budget_usd: Decimal,
    /// US dollars the model may cost from midnight to midnight, UTC by the wall clock. The built-in analyst costs none.
    pub daily_budget_usd: Decimal,
    /// Input and output tokens of a day together, likewise.
    pub daily_tokens: u64,
    /// Seconds the model may be waited for in a day, likewise.
    pub daily_seconds: u64,
    /// The operator's own price of the model, instead of the table's.
    pub price: Option<PriceSettings>,
    /// Confidence from which an opening is allowed, inclusive.
    pub confidence_threshold: Confidence,
    /// The language of the prompts.
    pub prompt: PromptLanguage,
}

impl ModelSettings {
    /// Whether the model is asked on this machine.
    pub fn is_local(&self) -> bool {
        self.base_url.as_deref().is_some_and(super::read::is_loopback)
    }

    /// The model as records and reports name it. The built-in rules are no model: the id only says whose price their
    /// cost is estimated by.
    pub fn told_id(&self) -> String {
        match self.provider {
            Provider::Builtin => format!("builtin-rules (priced as {})", self.id),
            Provider::Anthropic | Provider::OpenAi => self.id.clone(),
        }
    }
}

/// In which header the model's key is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyHeader {
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// `x-api-key: KEY`.
    XApiKey,
}

impl KeyHeader {
    /// The word in the settings file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::XApiKey => "x-api-key",
        }
    }
}

/// US dollars for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PriceSettings {
    /// Of input.
    pub input: Decimal,
    /// Of output.
    pub output: Decimal,
    /// Of input written to the cache for five minutes; 1.25 times the input's when absent.
    pub cache_write: Option<Decimal>,
    /// Of input read from the cache; a tenth of the input's when absent.
    pub cache_read: Option<Decimal>,
}

/// Where prices, news and the calendar of paper money come from. The other modes always read the real ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MarketSource {
    /// Made up by the embedded world.
    World,
    /// Binance and the real providers; the embedded world's exchange fills orders at these prices.
    Binance,
}

/// How market data is gathered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarketSettings {
    /// Mode paper: whose prices.
    pub source: MarketSource,
    /// Requests in flight at once while a brief is gathered.
    pub concurrency: usize,
    /// Finnhub's key where the settings name one; without it, `FINNHUB_API_KEY` is used if it is set, and else the
    /// news feeds and FairEconomy's calendar.
    pub finnhub_api_key: Option<SecretRef>,
    /// One host that stands in for every data provider. Loopback only.
    pub base_url: Option<String>,
}

impl Default for MarketSettings {
    fn default() -> Self {
        Self { source: MarketSource::World, concurrency: 64, finnhub_api_key: None, base_url: None }
    }
}

impl MarketSettings {
    /// The variable that holds Finnhub's key when the settings name no place.
    pub const FINNHUB_VARIABLE: &'static str = "FINNHUB_API_KEY";
}

/// Where the exchange is, if not where its mode says. Loopback only.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExchangeSettings {
    /// REST address.
    pub base_url: Option<String>,
    /// Websocket address.
    pub ws_url: Option<String>,
}

/// The embedded world.
#[derive(Debug, Clone, PartialEq)]
pub struct WorldSettings {
    /// What its prices grow from.
    pub seed: u64,
    /// What each account starts with.
    pub balance: Usdt,
    /// Seconds of market time in a second of wall time; 0 stands still.
    pub speed: f64,
    /// Pause between two pieces of the analyst's text, milliseconds.
    pub token_delay_ms: u64,
}

/// Stops and sizes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Risk {
    /// The protective stop placed with every opening.
    pub stop_loss: StopLoss,
    /// Profile `guarded`: the margin of one opening as a share of equity.
    pub margin_share: EquityPercent,
    /// Profile `guarded`: the 4 h ATR, as a share of price, up to which `margin_share` is taken whole; above it the
    /// margin shrinks in proportion.
    pub target_volatility: PricePercent,
    /// What each guard lets through.
    pub guards: GuardSettings,
}

/// The screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleSettings {
    /// Name of a theme.
    pub theme: String,
    /// Whose time of day is shown, as an offset from UTC; market data and the schedule stay in UTC.
    pub time_zone: FixedOffset,
    /// Whether the console takes the mouse away from the terminal.
    pub mouse: bool,
    /// Whether only letters are drawn: no box drawing, no symbols.
    pub ascii: bool,
    /// The operator's own keys: the action's name, and the keys in place of the usual ones. The console checks them.
    pub keys: BTreeMap<String, Vec<String>>,
}

impl Settings {
    /// Whether paper money is traded on real prices: those of Binance, with orders filled here.
    pub fn is_paper_on_real_prices(&self) -> bool {
        self.mode == Mode::Paper && self.market.source == MarketSource::Binance
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::Paper,
            dry_run: false,
            stay_armed: false,
            profile: Profile::Guarded,
            schedule: Schedule { cron: "0 5 * * * *".to_owned() },
            model: ModelSettings::default(),
            market: MarketSettings::default(),
            exchange: ExchangeSettings::default(),
            world: WorldSettings {
                seed: 1,
                balance: Usdt::of(Decimal::ONE_THOUSAND),
                speed: 1.0,
                token_delay_ms: 15,
            },
            risk: Risk::default(),
            console: ConsoleSettings {
                theme: "jarvis-dark".to_owned(),
                time_zone: chrono::Offset::fix(&chrono::Utc),
                mouse: false,
                ascii: false,
                keys: BTreeMap::new(),
            },
            accounts: account::defaults(),
        }
    }
}

impl Default for ModelSettings {
    #[expect(clippy::expect_used, reason = "a constant within the range; the tests build every default")]
    fn default() -> Self {
        Self {
            provider: Provider::Builtin,
            base_url: None,
            id: "claude-sonnet-4-6".to_owned(),
            api_key: None,
            max_tokens: 8192,
            max_iterations: 10,
            cycle_seconds: 240,
            cycle_tokens: 400_000,
            cycle_budget_usd: Decimal::ONE,
            daily_budget_usd: Decimal::from(5),
            daily_tokens: 10_000_000,
            daily_seconds: 14_400,
            auth: KeyHeader::Bearer,
            idle_seconds: None,
            strict_tools: None,
            prompt_cache: None,
            price: None,
            confidence_threshold: Confidence::new(Decimal::new(75, 2)).expect("0.75 lies within 0 to 1"),
            prompt: PromptLanguage::Turkish,
        }
    }
}

impl Default for Risk {
    #[expect(clippy::expect_used, reason = "constants within their ranges; the tests build every default")]
    fn default() -> Self {
        Self {
            stop_loss: StopLoss::ten_percent(false),
            margin_share: EquityPercent::from_points(Decimal::from(8)).expect("8 % is a percentage"),
            target_volatility: PricePercent::from_points(Decimal::TWO).expect("2 % is a percentage"),
            guards: GuardSettings::default(),
        }
    }
}
