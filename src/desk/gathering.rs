//! What a cycle knows before it asks: the accounts and the market brief, and the prompt's input made of them.

use rust_decimal::Decimal;
use rust_decimal::prelude::FromPrimitive;

use super::answer::{Answer, Pair};
use super::guards::Bar;
use super::prompt::{
    AccountInput, CalendarInput, CoinInput, FearGreedInput, MemoryInput, NewsInput, PromptInput,
    StatisticsInput, TimeframeInput, Us30Input,
};
use super::signals::allowed_decisions;
use crate::config::{Settings, StopLoss};
use crate::domain::{
    AccountState, Candle, DecisionWord, Price, Proposal, Rule, Symbol, Timestamp, Untrusted,
};
use crate::market::statistics::{TimeframeLine, Trend};
use crate::market::{Brief, CoinBrief, IndexBar};

/// Headlines of one category that go into a prompt.
const HEADLINES_A_CATEGORY: usize = 5;
/// Calendar entries that go into a prompt.
const CALENDAR_ENTRIES: usize = 20;

/// Accounts and market at the start of a cycle.
#[derive(Debug, Clone)]
pub struct Gathered {
    /// Every enabled account, readable or not.
    pub accounts: Vec<AccountState>,
    /// The market.
    pub brief: Brief,
    /// What the guards refuse whatever the model says.
    pub bars: Vec<Bar>,
    /// The guards' limits in words, by name.
    pub guards: Vec<(Rule, String)>,
}

impl Gathered {
    /// The pairs an answer is asked for: coins with a price, of accounts that could be read.
    pub fn pairs(&self) -> Vec<Pair> {
        self.every_pair()
            .filter(|(state, symbol)| self.is_offered(state, symbol))
            .map(|(state, symbol)| (state.name.clone(), symbol.clone()))
            .collect()
    }

    /// One proposal for every account and coin; those that were not asked for are empty.
    pub fn all_rows(&self, answer: &Answer) -> Vec<Proposal> {
        self.every_pair()
            .map(|(state, symbol)| {
                let answered = answer
                    .rows
                    .iter()
                    .map(|row| &row.proposal)
                    .find(|proposal| proposal.account == state.name && &proposal.symbol == symbol);
                answered.cloned().unwrap_or_else(|| Proposal::empty(state.name.clone(), symbol.clone()))
            })
            .collect()
    }

    fn every_pair(&self) -> impl Iterator<Item = (&AccountState, &Symbol)> {
        self.accounts.iter().flat_map(|state| state.symbols.iter().map(move |symbol| (state, symbol)))
    }

    fn is_offered(&self, state: &AccountState, symbol: &Symbol) -> bool {
        state.trouble.is_none() && self.brief.coin(symbol).is_some_and(|coin| coin.price.is_some())
    }
}

/// Maps what was gathered onto what the prompt shows; the memory is still empty.
pub fn prompt_input(settings: &Settings, gathered: &Gathered, now: Timestamp) -> PromptInput {
    let brief = &gathered.brief;
    PromptInput {
        market_time: now,
        threshold: settings.model.confidence_threshold,
        limits: limits(settings, gathered),
        accounts: gathered
            .accounts
            .iter()
            .filter(|state| state.trouble.is_none())
            .map(|state| account_input(gathered, state))
            .collect(),
        coins: brief.coins.iter().map(coin_input).collect(),
        fear_greed: brief
            .fear_greed
            .as_ref()
            .map(|index| FearGreedInput { value: index.value, class: Untrusted::new(index.class) }),
        us30: brief.us30.as_ref().map(|us30| Us30Input {
            price: Decimal::from_f64(us30.price).map(|price| price.round_dp(2)),
            change_pct: us30.change_pct,
            proxy: us30.proxy,
            candles: brief.us30_candles.iter().filter_map(candle_of).collect(),
        }),
        calendar: brief.calendar.iter().take(CALENDAR_ENTRIES).map(calendar_input).collect(),
        news: news(brief),
        memory: MemoryInput::default(),
        sources: brief.sources.clone(),
    }
}

/// The limits that code enforces, told to the model beforehand, and what they leave out of the task now.
fn limits(settings: &Settings, gathered: &Gathered) -> Vec<(String, String)> {
    let mut limits = vec![
        ("confidence_threshold".to_owned(), settings.model.confidence_threshold.to_string()),
        ("stop_loss".to_owned(), stop_in_words(settings.risk.stop_loss)),
        ("profile".to_owned(), settings.profile.as_str().to_owned()),
    ];
    if settings.profile == crate::domain::Profile::Guarded {
        limits.push(("margin_share_of_equity".to_owned(), settings.risk.margin_share.to_string()));
        limits.push(("target_volatility_atr_4h".to_owned(), settings.risk.target_volatility.to_string()));
        if let Some(part) = settings.risk.guards.confidence_scale {
            limits.push(("margin_at_threshold".to_owned(), format!("{part} of that at confidence 1")));
        }
    }
    let told = gathered.guards.iter().filter(|(rule, _)| !is_said_elsewhere(*rule));
    limits.extend(told.map(|(rule, limit)| (rule.as_str().to_owned(), limit.clone())));
    limits.extend(barred(gathered));
    limits
}

/// What holds always, and what the prompt says in another place.
const fn is_said_elsewhere(rule: Rule) -> bool {
    matches!(
        rule,
        Rule::Threshold
            | Rule::AllowedAction
            | Rule::Halted
            | Rule::Unresolved
            | Rule::NoPrice
            | Rule::StaleData
            | Rule::PriceSanity
            | Rule::Stop
            | Rule::Sizing
    )
}

/// One line a guard: whom it leaves nothing to decide about, and why. What is the same for all coins of an account is
/// said once, and so is what is the same for all accounts.
fn barred(gathered: &Gathered) -> Vec<(String, String)> {
    let mut lines: Vec<(Rule, &str, Vec<&Bar>)> = Vec::new();
    for bar in &gathered.bars {
        let same =
            |line: &&mut (Rule, &str, Vec<&Bar>)| line.0 == bar.refusal.rule && line.1 == bar.refusal.told();
        match lines.iter_mut().find(same) {
            Some((.., bars)) => bars.push(bar),
            None => lines.push((bar.refusal.rule, bar.refusal.told(), vec![bar])),
        }
    }
    lines
        .into_iter()
        .map(|(rule, why, bars)| {
            let left_out = |words: &[DecisionWord]| {
                let of_word = |word: &DecisionWord| bars.iter().any(|bar| bar.word == *word);
                let named: Vec<&str> =
                    words.iter().filter(|word| of_word(word)).map(|word| word.as_str()).collect();
                named.join("/")
            };
            let words = left_out(&[DecisionWord::Long, DecisionWord::Short, DecisionWord::Close]);
            (format!("not_offered_{}", rule.as_str()), format!("{} {words}: {why}", covered(gathered, &bars)))
        })
        .collect()
}

/// The pairs of some bars, as short as they can be named.
fn covered(gathered: &Gathered, bars: &[&Bar]) -> String {
    let has = |state: &AccountState, symbol: &Symbol| {
        bars.iter().any(|bar| bar.account == state.name && &bar.symbol == symbol)
    };
    let readable = gathered.accounts.iter().filter(|state| state.trouble.is_none());
    let each: Vec<(&AccountState, bool)> = readable
        .map(|state| {
            let mut open_to = state
                .symbols
                .iter()
                .filter(|symbol| state.position(symbol).is_none() && gathered.is_offered(state, symbol));
            (state, open_to.all(|symbol| has(state, symbol)))
        })
        .collect();
    if each.iter().all(|(_, whole)| *whole) {
        return "all accounts".to_owned();
    }
    let named = each.into_iter().filter_map(|(state, whole)| {
        let coins: Vec<&str> =
            state.symbols.iter().filter(|symbol| has(state, symbol)).map(Symbol::as_str).collect();
        match (coins.is_empty(), whole) {
            (true, _) => None,
            (false, true) => Some(state.name.to_string()),
            (false, false) => Some(format!("{} {}", state.name, coins.join(" "))),
        }
    });
    named.collect::<Vec<_>>().join("; ")
}

fn stop_in_words(stop: StopLoss) -> String {
    match stop {
        StopLoss::Price(distance) => format!("{distance} of the entry price"),
        StopLoss::Margin(distance) => format!("{distance} of the margin"),
    }
}

/// A daily bar of an index as a candle; one that cannot be is left out.
fn candle_of(bar: &IndexBar) -> Option<Candle> {
    let price = |value: f64| Price::new(Decimal::from_f64(value)?.round_dp(2)).ok();
    Some(Candle {
        open_time: bar.open_time,
        open: price(bar.open)?,
        high: price(bar.high)?,
        low: price(bar.low)?,
        close: price(bar.close)?,
        volume: bar.volume.and_then(Decimal::from_f64).unwrap_or_default(),
    })
}

fn account_input(gathered: &Gathered, state: &AccountState) -> AccountInput {
    let allowed = state
        .symbols
        .iter()
        .filter(|symbol| gathered.is_offered(state, symbol))
        .map(|symbol| {
            let is_open = |word: &DecisionWord| {
                let mut bars = gathered.bars.iter();
                !bars.any(|bar| bar.account == state.name && &bar.symbol == symbol && bar.word == *word)
            };
            let words = allowed_decisions(state.position(symbol)).iter().copied().filter(is_open);
            (symbol.clone(), words.collect())
        })
        .collect();
    AccountInput { state: state.clone(), allowed }
}

fn coin_input(coin: &CoinBrief) -> CoinInput {
    let held = coin.positioning;
    CoinInput {
        symbol: coin.symbol.clone(),
        price: coin.price.map(Decimal::from),
        change_4h_pct: coin.change_4h_pct,
        rsi14: coin.rsi,
        macd: coin.macd_line,
        macd_signal: coin.macd_signal,
        macd_hist: coin.macd_histogram,
        adx14: coin.adx,
        bb_lower: coin.bb_lower,
        bb_middle: coin.bb_middle,
        bb_upper: coin.bb_upper,
        atr14: coin.atr,
        funding_rate_pct: coin.funding_rate.map(|rate| rate * 100.0),
        candles: coin.candles_4h.clone(),
        timeframes: coin.timeframes.iter().map(timeframe_input).collect(),
        statistics: StatisticsInput {
            returns_pct: coin.returns_pct,
            volatility_pct: [coin.volatility_24h_pct, coin.volatility_30d_pct],
            correlation_btc: coin.correlation_btc,
            beta_btc: coin.beta_btc,
            open_interest_musdt: held.open_interest_musdt,
            open_interest_change_pct: [held.open_interest_4h_pct, held.open_interest_24h_pct],
            long_short: [
                held.long_short_accounts,
                held.long_short_top_positions,
                held.long_short_top_accounts,
            ],
        },
    }
}

fn timeframe_input(line: &TimeframeLine) -> TimeframeInput {
    TimeframeInput {
        interval: line.interval.to_string(),
        trend: line.trend.map(Trend::as_str),
        rsi14: line.rsi,
        macd_hist_pct: line.macd_histogram_pct,
        atr_pct: line.atr_pct,
        to_high20_pct: line.to_high_pct,
        to_low20_pct: line.to_low_pct,
        obv_slope_pct: line.obv_slope_pct,
    }
}

fn calendar_input(entry: &crate::market::CalendarEntry) -> CalendarInput {
    CalendarInput {
        time: entry.at,
        country: Untrusted::new(entry.country.as_str()),
        impact: Untrusted::new(entry.impact),
        event: entry.event.clone(),
        actual: entry.actual,
        estimate: entry.estimate,
        previous: entry.previous,
    }
}

fn news(brief: &Brief) -> Vec<NewsInput> {
    [("general", &brief.news.general), ("crypto", &brief.news.crypto), ("forex", &brief.news.forex)]
        .into_iter()
        .flat_map(|(category, headlines)| {
            headlines.iter().take(HEADLINES_A_CATEGORY).map(move |headline| NewsInput {
                category: category.to_owned(),
                source: headline.source.clone(),
                published: headline.at,
                headline: headline.text.clone(),
            })
        })
        .collect()
}
