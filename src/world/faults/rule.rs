//! A rule: which requests or events it is for, what it does to them, and when.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::farewell::Farewell;
use crate::domain::{AccountName, Side, Symbol};
use crate::world::analyst;

/// Longest latency or hang a rule may ask for, ms: ten minutes.
const LONGEST_MS: u64 = 600_000;
/// Largest offset of the exchange's clock, ms: a day.
const LARGEST_SKEW: u64 = 86_400_000;
/// Longest ban, seconds: the exchange's three days.
const LONGEST_BAN: u64 = 3 * 86_400;
/// Largest price gap, percent.
const LARGEST_GAP: i64 = 1_000;
/// How long a request hangs before its connection is cut, unless said otherwise, ms.
const USUAL_HANG: u64 = 10_000;
/// `Retry-After` unless said otherwise, seconds.
const USUAL_RETRY: u64 = 10;
/// The refusal of a stop unless said otherwise: it would trigger at once.
const USUAL_STOP_REFUSAL: i32 = -2021;

/// The refusals a rule may order, with the exchange's sentences.
pub(super) const REFUSALS: &[(i32, &str)] = &[
    (-1000, "An unknown error occurred while processing the request."),
    (-1015, "Too many new orders."),
    (-2011, "Unknown order sent."),
    (-2013, "Order does not exist."),
    (-2019, "Margin is insufficient."),
    (-2020, "Unable to fill."),
    (-2021, "Order would immediately trigger."),
    (-2022, "ReduceOnly Order is rejected."),
    (-2025, "Reach max open order limit."),
    (-2027, "Exceeded the maximum allowable position at current leverage."),
    (-4045, "Reach max stop order limit."),
    (-4116, "ClientOrderId is duplicated."),
    (-4120, "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead."),
    (-4130, "An open stop or take profit order with GTE and closePosition in the direction is existing."),
    (-4140, "Invalid symbol status for opening position."),
    (-4164, "Order's notional must be no smaller than the minimum (unless you choose reduce only)."),
    (
        -4509,
        "Time in Force (TIF) GTE can only be used with open positions. Please ensure that positions are available.",
    ),
];

/// Families of requests and events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// Everything below `/fapi`, `/futures/data` and `/sapi`, and websocket upgrades.
    Exchange,
    /// Changes of market and limit orders.
    Order,
    /// Changes of conditional orders.
    Algo,
    /// Every exchange request that changes nothing.
    Read,
    /// The listen key's requests.
    ListenKey,
    /// Events on websockets.
    Stream,
    /// The model.
    Messages,
    /// A data provider by name; all of them without one.
    Source(Option<String>),
}

/// The data providers a rule may name, with the paths they answer.
pub(super) const SOURCES: &[(&str, &str)] = &[
    ("fear_greed", "/fng"),
    ("finnhub_news", "/api/v1/news"),
    ("finnhub_calendar", "/api/v1/calendar"),
    ("yahoo", "/v8/finance/chart"),
    ("fair_economy", "/ff_calendar_thisweek.json"),
    ("rss", "/rss"),
    ("fred", "/fredgraph.csv"),
];

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exchange => f.write_str("exchange"),
            Self::Order => f.write_str("order"),
            Self::Algo => f.write_str("algo"),
            Self::Read => f.write_str("read"),
            Self::ListenKey => f.write_str("listen_key"),
            Self::Stream => f.write_str("stream"),
            Self::Messages => f.write_str("messages"),
            Self::Source(None) => f.write_str("source"),
            Self::Source(Some(name)) => write!(f, "source:{name}"),
        }
    }
}

impl TryFrom<String> for Class {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Ok(match text.as_str() {
            "exchange" => Self::Exchange,
            "order" => Self::Order,
            "algo" => Self::Algo,
            "read" => Self::Read,
            "listen_key" => Self::ListenKey,
            "stream" => Self::Stream,
            "messages" => Self::Messages,
            "source" => Self::Source(None),
            other => {
                let named = other.strip_prefix("source:").unwrap_or_default();
                if !SOURCES.iter().any(|(name, _)| *name == named) {
                    let sources: Vec<&str> = SOURCES.iter().map(|(name, _)| *name).collect();
                    return Err(format!(
                        "unknown class `{other}`, expected one of `exchange`, `order`, `algo`, `read`, `listen_key`, \
                         `stream`, `messages`, `source`, or `source:` with one of {}",
                        sources.join(", ")
                    ));
                }
                Self::Source(Some(named.to_owned()))
            }
        })
    }
}

impl<'de> Deserialize<'de> for Class {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl Serialize for Class {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Which requests or events a rule is for; what is absent does not matter. Empty, it is every exchange request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    /// HTTP method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// How the path ends; of an event its name (`ORDER_TRADE_UPDATE`) or its stream (`btcusdt@markPrice@1s`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Family.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// Whose key, or whose event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountName>,
    /// Contract.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symbol: Option<Symbol>,
    /// Whether the order only reduces (`reduceOnly` or `closePosition`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reduce_only: Option<bool>,
    /// Buy or sell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
    /// Only this one of those that fit, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nth: Option<u64>,
}

impl Match {
    /// Whether it names requests or events at all; what does not waits for time alone where an effect can.
    pub(super) fn names_traffic(&self) -> bool {
        self.method.is_some()
            || self.path.is_some()
            || self.class.is_some()
            || self.reduce_only.is_some()
            || self.side.is_some()
            || self.nth.is_some()
    }
}

fn usual_hang() -> u64 {
    USUAL_HANG
}

fn usual_retry() -> u64 {
    USUAL_RETRY
}

fn usual_stop_refusal() -> i32 {
    USUAL_STOP_REFUSAL
}

/// A decimal written as text or as a number.
fn decimal<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
    let text = match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    Decimal::from_str_exact(&text).map_err(|_| {
        serde::de::Error::custom(format!("{text} is no decimal; expected one such as -5 or \"0.25\""))
    })
}

const fn yes() -> bool {
    true
}

/// What a rule does. `acted` says whether the other side carried the request out behind the failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Effect {
    /// The answer comes later, by a uniform draw around `ms`.
    Latency {
        /// Middle, ms.
        ms: u64,
        /// Half of the width of the draw, ms.
        #[serde(default)]
        spread_ms: u64,
    },
    /// No answer; after a while the connection is cut.
    Timeout {
        /// Whether the request was carried out.
        acted: bool,
        /// How long it hangs, ms.
        #[serde(default = "usual_hang")]
        hang_ms: u64,
    },
    /// 503 whose outcome is unknown: it may have been executed.
    #[serde(rename = "503_unknown")]
    Unknown503 {
        /// Whether the request was carried out.
        acted: bool,
    },
    /// 503 with -1008: refused for load; reduce-only orders, closes and cancels are let through.
    #[serde(rename = "503_throttled")]
    Throttled503 {},
    /// 503 "Service Unavailable.": certainly not carried out.
    #[serde(rename = "503_unavailable")]
    Unavailable503 {},
    /// 503 "Internal error; unable to process": certainly not carried out.
    #[serde(rename = "503_internal")]
    Internal503 {},
    /// 408 with -1007.
    #[serde(rename = "408")]
    BackendTimeout {
        /// Whether the request was carried out.
        acted: bool,
    },
    /// 429 with `Retry-After`.
    #[serde(rename = "429")]
    TooMany {
        /// Seconds.
        #[serde(default = "usual_retry")]
        retry_after: u64,
    },
    /// 418: every exchange request is refused until the ban is over.
    #[serde(rename = "418")]
    Banned {
        /// Seconds.
        #[serde(default = "usual_retry")]
        retry_after: u64,
    },
    /// The exchange's clock is so far ahead (or behind, below zero): honest timestamps get -1021.
    ClockSkew {
        /// Offset, ms.
        ms: i64,
    },
    /// Carried out; half of the answer comes, then the connection is cut.
    Truncated {},
    /// The connection is cut instead of an answer.
    Reset {
        /// Whether the request was carried out.
        #[serde(default = "yes")]
        acted: bool,
    },
    /// Order reads tell what was known so long ago (wall time).
    ReadLag {
        /// Age of what is told, ms.
        ms: u64,
    },
    /// Refused with a documented code.
    Rejected {
        /// The exchange's error code.
        code: i32,
    },
    /// A conditional order is refused with a documented code.
    StopRejected {
        /// The exchange's error code.
        #[serde(default = "usual_stop_refusal")]
        code: i32,
    },
    /// An order takes only so much of its quantity from the book; the rest expires or rests as its kind has it.
    PartialFill {
        /// Share, more than 0 and less than 1. Text or number.
        #[serde(deserialize_with = "decimal")]
        share: Decimal,
    },
    /// A conditional order is accepted and then is gone without a word.
    StopVanished {
        /// How long it lives, wall time, ms.
        #[serde(default)]
        after_ms: u64,
    },
    /// The price jumps, with everything that triggers.
    PriceGap {
        /// Contract.
        symbol: Symbol,
        /// Of the last price; below zero it falls. Text or number.
        #[serde(deserialize_with = "decimal")]
        percent: Decimal,
    },
    /// Every exchange request gets 503 with -1016, websocket upgrades too.
    Maintenance {},
    /// Any other answer, word for word.
    Answer {
        /// HTTP status.
        status: u16,
        /// Body.
        #[serde(default)]
        body: String,
        /// Whether the request was carried out.
        #[serde(default)]
        acted: bool,
    },
    /// The model goes wrong in a way of its own.
    Analyst {
        /// Which.
        fault: String,
    },
    /// The event never comes.
    Lost {},
    /// The event comes twice.
    Doubled {},
    /// The event comes after the next one.
    Reordered {},
    /// The socket stays open and says nothing any more.
    Silent {},
    /// The socket is closed.
    Disconnect {
        /// In which way.
        #[serde(default, skip_serializing_if = "Farewell::is_bare")]
        code: Farewell,
    },
    /// A socket that is opened over TCP lives so long, instead of a day.
    SocketLife {
        /// Wall time, ms.
        ms: u64,
        /// In which way it is closed then.
        #[serde(default, skip_serializing_if = "Farewell::is_bare")]
        code: Farewell,
    },
    /// The listen key ends: told once, then silence.
    ListenKeyExpired {},
}

impl Effect {
    /// Whether it happens to events, not to requests.
    pub(super) fn is_for_streams(&self) -> bool {
        matches!(
            self,
            Self::Lost {} | Self::Doubled {} | Self::Reordered {} | Self::Silent {} | Self::Disconnect { .. }
        )
    }

    /// Whether it can happen without a request or an event, by time alone.
    pub(super) fn can_wait_for_time(&self) -> bool {
        matches!(
            self,
            Self::PriceGap { .. } | Self::ListenKeyExpired {} | Self::Silent {} | Self::Disconnect { .. }
        )
    }

    fn check(&self) -> Result<(), String> {
        let at_most = |name: &str, value: u64, most: u64| {
            if value <= most { Ok(()) } else { Err(format!("{name} is {value}; allowed are 0 to {most}")) }
        };
        match self {
            Self::Latency { ms, spread_ms } => {
                at_most("ms", *ms, LONGEST_MS)?;
                if spread_ms > ms {
                    return Err(format!("spread_ms is {spread_ms}; allowed are 0 to ms, which is {ms}"));
                }
                Ok(())
            }
            Self::Timeout { hang_ms, .. } => at_most("hang_ms", *hang_ms, LONGEST_MS),
            Self::StopVanished { after_ms } => at_most("after_ms", *after_ms, LONGEST_MS),
            Self::ReadLag { ms } => at_most("ms", *ms, 7 * LARGEST_SKEW),
            Self::SocketLife { ms, .. } => at_most("ms", *ms, LARGEST_SKEW),
            Self::ClockSkew { ms } if ms.unsigned_abs() > LARGEST_SKEW || *ms == 0 => {
                Err(format!("ms is {ms}; allowed are -86400000 to 86400000 without 0"))
            }
            Self::TooMany { retry_after } | Self::Banned { retry_after } => {
                at_most("retry_after", *retry_after, LONGEST_BAN)
            }
            Self::Rejected { code } | Self::StopRejected { code }
                if !REFUSALS.iter().any(|(known, _)| known == code) =>
            {
                let known: Vec<String> = REFUSALS.iter().map(|(code, _)| code.to_string()).collect();
                Err(format!("code is {code}; allowed are {}", known.join(", ")))
            }
            Self::PriceGap { percent, .. }
                if percent.is_zero()
                    || *percent <= Decimal::NEGATIVE_ONE * Decimal::ONE_HUNDRED
                    || *percent > Decimal::from(LARGEST_GAP) =>
            {
                Err(format!("percent is {percent}; allowed is more than -100 up to {LARGEST_GAP} without 0"))
            }
            Self::PartialFill { share } if *share <= Decimal::ZERO || *share >= Decimal::ONE => {
                Err(format!("share is {share}; allowed is more than 0 and less than 1"))
            }
            Self::Answer { status, .. } if !(200..=599).contains(status) => {
                Err(format!("status is {status}; allowed are 200 to 599"))
            }
            Self::Analyst { fault } => {
                fault.parse::<analyst::Fault>().map(|_| ()).map_err(|unknown| unknown.to_string())
            }
            _ => Ok(()),
        }
    }
}

/// A stretch of a script, seconds of wall time after the rule was armed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stretch {
    /// Beginning, included.
    pub at_seconds: f64,
    /// End, not included.
    pub until_seconds: f64,
    /// Share of what fits that is hit meanwhile; everything when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
}

/// When a rule strikes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Every time.
    #[default]
    Always,
    /// The first time.
    Once,
    /// The first so many times.
    Count(u64),
    /// Each time by chance, 0 to 1, drawn from the seed.
    Rate(f64),
    /// Within stretches of time; what waits for time alone happens once at the beginning of each.
    Script(Vec<Stretch>),
}

impl Schedule {
    fn check(&self) -> Result<(), String> {
        let share = |rate: f64| {
            if (0.0..=1.0).contains(&rate) {
                Ok(())
            } else {
                Err(format!("rate is {rate}; allowed are 0 to 1"))
            }
        };
        match self {
            Self::Count(0) => Err("count is 0; allowed is 1 and more".to_owned()),
            Self::Always | Self::Once | Self::Count(_) => Ok(()),
            Self::Rate(rate) => share(*rate),
            Self::Script(stretches) => {
                if stretches.is_empty() {
                    return Err(
                        "script is empty; allowed is a list of {at_seconds, until_seconds}".to_owned()
                    );
                }
                for stretch in stretches {
                    share(stretch.rate.unwrap_or(1.0))?;
                    // Written so that what is no number is refused too.
                    if !(stretch.at_seconds >= 0.0
                        && stretch.at_seconds < stretch.until_seconds
                        && stretch.until_seconds <= 1e9)
                    {
                        return Err(format!(
                            "a stretch from {} to {} seconds; allowed is 0 <= at_seconds < until_seconds <= 1e9",
                            stretch.at_seconds, stretch.until_seconds
                        ));
                    }
                }
                Ok(())
            }
        }
    }
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What the log calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is for.
    #[serde(default, rename = "match")]
    pub wanted: Match,
    /// What it does.
    pub effect: Effect,
    /// When.
    #[serde(default)]
    pub schedule: Schedule,
}

impl Rule {
    /// A rule for every exchange request (or every event, for the effects on streams), every time.
    pub fn new(effect: Effect) -> Self {
        Self { name: None, wanted: Match::default(), effect, schedule: Schedule::Always }
    }

    /// The same for less.
    #[must_use]
    pub fn matching(self, wanted: Match) -> Self {
        Self { wanted, ..self }
    }

    /// The same at other times.
    #[must_use]
    pub fn scheduled(self, schedule: Schedule) -> Self {
        Self { schedule, ..self }
    }

    /// Whether it makes sense; says what is allowed when not.
    pub(super) fn check(&self) -> Result<(), String> {
        self.effect.check()?;
        self.schedule.check()?;
        let wanted = &self.wanted;
        if wanted.nth == Some(0) {
            return Err("nth is 0; it counts from 1".to_owned());
        }
        if self.effect.is_for_streams() {
            let of_requests =
                wanted.method.is_some() || wanted.side.is_some() || wanted.reduce_only.is_some();
            if of_requests || wanted.class.as_ref().is_some_and(|class| *class != Class::Stream) {
                return Err("an effect on streams matches by class `stream`, path, account, symbol and nth \
                            alone"
                    .to_owned());
            }
        } else if wanted.class == Some(Class::Stream) {
            return Err("class `stream` goes with lost, doubled, reordered, silent and disconnect".to_owned());
        }
        if matches!(self.effect, Effect::Analyst { .. })
            && wanted.class.as_ref().is_some_and(|class| *class != Class::Messages)
        {
            return Err("the effect analyst goes with class `messages`".to_owned());
        }
        Ok(())
    }

    /// Whether it waits for time alone.
    pub(super) fn is_timed(&self) -> bool {
        self.effect.can_wait_for_time() && !self.wanted.names_traffic()
    }
}
