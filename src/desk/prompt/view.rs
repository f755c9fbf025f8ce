//! The input as the template sees it: text that is already formatted, and untrusted text already made harmless.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::Serialize;

use super::fetched;
use super::input::{AccountInput, CoinInput, Language, PromptInput};
use super::number::{cents, instant, rough, shortened, significant, significant_decimal};
use super::past::{LessonRow, OutcomeRow, lesson_row, operator, outcome_row, theses};
use crate::domain::{
    AccountName, AccountState, Candle, DecisionWord, Position, Symbol, Timestamp, Untrusted,
};

/// 4 h candles shown for each coin.
const COIN_CANDLES: usize = 20;
/// Hours from one of them to the next.
const COIN_CANDLE_HOURS: i64 = 4;
/// Daily candles shown for the Dow Jones.
const US30_CANDLES: usize = 5;
/// Columns of a line of ours outside of every envelope.
const LINE_COLUMNS: usize = 2_000;
/// The words a calendar entry's impact may be told in; another one is left out.
const IMPACTS: [&str; 4] = ["low", "medium", "high", "holiday"];
/// The words the Fear & Greed index may be told in, likewise.
const CLASSES: [&str; 5] = ["Extreme Fear", "Fear", "Neutral", "Greed", "Extreme Greed"];

/// What the user template may name. The field names are the template's vocabulary.
#[derive(Debug, Serialize)]
pub(super) struct PromptView {
    language: &'static str,
    market_time: String,
    threshold: String,
    limits: Vec<Limit>,
    balances: Vec<Balance>,
    positions: Vec<PositionRow>,
    unread_accounts: Vec<String>,
    fear_greed: Option<FearGreed>,
    us30: Option<Us30>,
    funding: Option<FundingOverview>,
    /// Rows of cells, in the order of the template's header; one row a coin and timeframe.
    timeframes: Vec<Vec<String>>,
    /// Rows of cells, one a coin.
    statistics: Vec<Vec<String>>,
    coins: Vec<Coin>,
    coins_without_price: Vec<String>,
    calendar: Vec<CalendarRow>,
    nonce: String,
    /// One JSON object a thesis.
    theses: Vec<String>,
    /// One JSON object for everything an operator did or said.
    operator: Vec<String>,
    outcomes: Vec<OutcomeRow>,
    lessons: Vec<LessonRow>,
    /// Everything that others wrote and that was fetched, one JSON object a line: the names of the calendar's rows, the
    /// headlines, and what troubles sources and accounts.
    fetched: Vec<String>,
    /// Whether a headline is among it.
    has_headlines: bool,
    problems: Vec<Problem>,
    /// The content of the `task` block.
    task: String,
}

#[derive(Debug, Serialize)]
struct Limit {
    name: String,
    value: String,
}

#[derive(Debug, Serialize)]
struct Balance {
    account: String,
    leverage: u32,
    wallet: String,
    equity: String,
    available: String,
    positions: usize,
}

#[derive(Debug, Serialize)]
struct PositionRow {
    account: String,
    symbol: String,
    side: &'static str,
    quantity: String,
    entry: String,
    mark: String,
    unrealised: String,
    held_h: String,
    stop: String,
}

#[derive(Debug, Serialize)]
struct FearGreed {
    value: u8,
    class: &'static str,
}

#[derive(Debug, Serialize)]
struct Us30 {
    proxy: Option<&'static str>,
    price: String,
    change_pct: String,
    candles: Vec<CandleRow>,
}

#[derive(Debug, Serialize)]
struct FundingOverview {
    mean: String,
    lowest: String,
    lowest_symbol: String,
    highest: String,
    highest_symbol: String,
    negative: usize,
    coins: usize,
}

#[derive(Debug, Serialize)]
struct Coin {
    symbol: String,
    /// The contract without its quote currency.
    name: String,
    /// The cells of the indicator row, in the order of the template's header.
    indicators: Vec<String>,
    candles: Vec<CandleRow>,
}

#[derive(Debug, Serialize)]
struct CandleRow {
    age: i64,
    open: String,
    high: String,
    low: String,
    close: String,
    volume: String,
}

#[derive(Debug, Serialize)]
struct CalendarRow {
    /// Joins the row to its name, which somebody else wrote.
    number: usize,
    time: String,
    impact: &'static str,
    actual: String,
    estimate: String,
    previous: String,
}

#[derive(Debug, Serialize)]
struct Problem {
    source: String,
    /// In our words; the source's own stand with what was fetched.
    detail: String,
}

#[derive(Debug, Serialize)]
struct Task {
    market_time: String,
    language: &'static str,
    threshold: serde_json::Number,
    accounts: Vec<TaskAccount>,
    answer: &'static str,
}

#[derive(Debug, Serialize)]
struct TaskAccount {
    account: AccountName,
    /// What is allowed for each coin that has no list of its own.
    allowed: Vec<DecisionWord>,
    coins: Vec<TaskCoin>,
}

#[derive(Debug, Serialize)]
struct TaskCoin {
    symbol: Symbol,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed: Option<Vec<DecisionWord>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<TaskPosition>,
}

#[derive(Debug, Serialize)]
struct TaskPosition {
    side: &'static str,
    entry: String,
    unrealised_usdt: String,
    held_h: Option<f64>,
}

impl PromptView {
    /// Formats everything once.
    pub fn of(input: &PromptInput, language: Language) -> Result<Self, serde_json::Error> {
        let now = input.market_time;
        let (readable, unread): (Vec<&AccountInput>, Vec<&AccountInput>) =
            input.accounts.iter().partition(|account| account.state.trouble.is_none());
        Ok(Self {
            language: language.as_str(),
            market_time: instant(now),
            threshold: input.threshold.value().normalize().to_string(),
            limits: input
                .limits
                .iter()
                .map(|(name, value)| Limit { name: flat(name), value: flat(value) })
                .collect(),
            balances: readable.iter().map(|account| balance(&account.state)).collect(),
            positions: readable.iter().flat_map(|account| position_rows(&account.state, now)).collect(),
            unread_accounts: unread.iter().map(|account| account.state.name.to_string()).collect(),
            fear_greed: input
                .fear_greed
                .as_ref()
                .map(|index| FearGreed { value: index.value, class: known(&index.class, &CLASSES) }),
            us30: input.us30.as_ref().map(|us30| Us30 {
                proxy: us30.proxy,
                price: us30.price.map(significant_decimal).unwrap_or_default(),
                change_pct: significant(us30.change_pct),
                candles: candle_rows(&us30.candles, US30_CANDLES, now, 24),
            }),
            funding: funding_overview(&input.coins),
            timeframes: priced(input).flat_map(timeframe_rows).collect(),
            statistics: priced(input).map(statistics_row).collect(),
            coins: input.coins.iter().filter_map(|coin| coin_view(coin, now)).collect(),
            coins_without_price: input
                .coins
                .iter()
                .filter(|coin| coin.price.is_none())
                .map(|coin| coin.symbol.to_string())
                .collect(),
            calendar: calendar_rows(input),
            nonce: fetched::nonce(input),
            theses: theses(input)?,
            operator: operator(input)?,
            outcomes: input.memory.outcomes.iter().map(outcome_row).collect(),
            lessons: input.memory.lessons.iter().map(lesson_row).collect(),
            fetched: fetched::lines(input)?,
            has_headlines: !input.news.is_empty(),
            problems: problems(input),
            task: serde_json::to_string(&task(input, language)?)?,
        })
    }
}

/// The pairs a prompt asks about, with what is allowed: readable accounts, coins with a price.
pub(super) fn asked_pairs(input: &PromptInput) -> Vec<(AccountName, Symbol, Vec<DecisionWord>)> {
    let priced =
        |symbol: &Symbol| input.coins.iter().any(|coin| &coin.symbol == symbol && coin.price.is_some());
    input
        .accounts
        .iter()
        .filter(|account| account.state.trouble.is_none())
        .flat_map(|account| {
            account
                .allowed
                .iter()
                .filter(|(symbol, _)| priced(symbol))
                .map(|(symbol, words)| (account.state.name.clone(), symbol.clone(), words.clone()))
        })
        .collect()
}

fn task(input: &PromptInput, language: Language) -> Result<Task, serde_json::Error> {
    let mut by_account: BTreeMap<AccountName, Vec<TaskCoin>> = BTreeMap::new();
    for (account, symbol, allowed) in asked_pairs(input) {
        let position = input
            .accounts
            .iter()
            .find(|candidate| candidate.state.name == account)
            .and_then(|candidate| candidate.state.position(&symbol))
            .map(|position| task_position(position, input.market_time));
        by_account.entry(account).or_default().push(TaskCoin { symbol, allowed: Some(allowed), position });
    }
    let accounts = input
        .accounts
        .iter()
        .filter_map(|account| by_account.remove_entry(&account.state.name))
        .map(|(account, coins)| task_account(account, coins))
        .collect();
    Ok(Task {
        market_time: instant(input.market_time),
        language: language.as_str(),
        threshold: serde_json::from_str(&input.threshold.value().normalize().to_string())?,
        accounts,
        answer: "one object for every account and coin",
    })
}

/// The list most coins share is told once, for the account; the others keep theirs.
fn task_account(account: AccountName, mut coins: Vec<TaskCoin>) -> TaskAccount {
    let shared_by =
        |words: &Vec<DecisionWord>| coins.iter().filter(|coin| coin.allowed.as_ref() == Some(words)).count();
    let allowed: Vec<DecisionWord> = coins
        .iter()
        .filter_map(|coin| coin.allowed.as_ref())
        .rev()
        .max_by_key(|words| shared_by(words))
        .cloned()
        .unwrap_or_default();
    for coin in &mut coins {
        coin.allowed.take_if(|words| *words == allowed);
    }
    TaskAccount { account, allowed, coins }
}

fn task_position(position: &Position, now: Timestamp) -> TaskPosition {
    TaskPosition {
        side: position.direction.as_str(),
        entry: position.entry.to_string(),
        unrealised_usdt: cents(position.unrealised.value()),
        held_h: position.opened_at.map(|opened| held_hours(opened, now)),
    }
}

/// Hours a position has been open, to a tenth.
fn held_hours(opened: Timestamp, now: Timestamp) -> f64 {
    hours(now - opened)
}

/// Whole tenths of hours; none below zero.
pub(super) fn hours(age: TimeDelta) -> f64 {
    let tenths = age.num_minutes().max(0) / 6;
    f64::from(i32::try_from(tenths).unwrap_or(i32::MAX)) / 10.0
}

fn balance(state: &AccountState) -> Balance {
    Balance {
        account: state.name.to_string(),
        leverage: state.leverage,
        wallet: cents(state.wallet.value()),
        equity: cents(state.equity.value()),
        available: cents(state.available.value()),
        positions: state.positions.len(),
    }
}

fn position_rows(state: &AccountState, now: Timestamp) -> impl Iterator<Item = PositionRow> {
    state.positions.iter().map(move |position| PositionRow {
        account: state.name.to_string(),
        symbol: position.symbol.to_string(),
        side: position.direction.as_str(),
        quantity: position.quantity.to_string(),
        entry: position.entry.to_string(),
        mark: position.mark.to_string(),
        unrealised: cents(position.unrealised.value()),
        held_h: position
            .opened_at
            .map(|opened| format!("{:.1}", held_hours(opened, now)))
            .unwrap_or_default(),
        stop: position.stop.as_ref().map(|stop| stop.trigger.to_string()).unwrap_or_default(),
    })
}

fn coin_view(coin: &CoinInput, now: Timestamp) -> Option<Coin> {
    let price = coin.price?;
    let mut indicators = vec![significant_decimal(price)];
    indicators.extend(
        [
            coin.change_4h_pct,
            coin.rsi14,
            coin.macd,
            coin.macd_signal,
            coin.macd_hist,
            coin.adx14,
            coin.bb_lower,
            coin.bb_middle,
            coin.bb_upper,
            coin.atr14,
            coin.funding_rate_pct,
        ]
        .map(significant),
    );
    let candles = candle_rows(unbroken(&coin.candles), COIN_CANDLES, now, COIN_CANDLE_HOURS);
    indicators.push(candles.last().map(|newest| newest.age.to_string()).unwrap_or_default());
    Some(Coin { symbol: coin.symbol.to_string(), name: short_name(&coin.symbol), indicators, candles })
}

fn priced(input: &PromptInput) -> impl Iterator<Item = &CoinInput> {
    input.coins.iter().filter(|coin| coin.price.is_some())
}

/// Every contract here is quoted in USDT, which a row of forty need not repeat.
fn short_name(symbol: &Symbol) -> String {
    let name = symbol.as_str();
    name.strip_suffix("USDT").unwrap_or(name).to_owned()
}

fn timeframe_rows(coin: &CoinInput) -> impl Iterator<Item = Vec<String>> {
    coin.timeframes.iter().map(|line| {
        let mut row =
            vec![short_name(&coin.symbol), line.interval.clone(), line.trend.unwrap_or_default().to_owned()];
        row.extend(
            [
                line.rsi14,
                line.macd_hist_pct,
                line.atr_pct,
                line.to_high20_pct,
                line.to_low20_pct,
                line.obv_slope_pct,
            ]
            .map(rough),
        );
        row
    })
}

fn statistics_row(coin: &CoinInput) -> Vec<String> {
    let figures = &coin.statistics;
    let mut row = vec![short_name(&coin.symbol)];
    row.extend(figures.returns_pct.map(rough));
    row.extend(figures.volatility_pct.map(rough));
    row.extend([figures.correlation_btc, figures.beta_btc, figures.open_interest_musdt].map(rough));
    row.extend(figures.open_interest_change_pct.map(rough));
    row.extend(figures.long_short.map(rough));
    row
}

/// The newest candles up to the first hole: their rows carry no time of their own.
fn unbroken(candles: &[Candle]) -> &[Candle] {
    let follows = |pair: &[Candle]| pair[1].open_time - pair[0].open_time == COIN_CANDLE_HOURS * 3_600_000;
    let hole = candles.windows(2).rposition(|pair| !follows(pair));
    &candles[hole.map_or(0, |at| at + 1)..]
}

/// The last `count` candles, oldest first; the age counts from the close, in hours, or in days for daily bars.
fn candle_rows(candles: &[Candle], count: usize, now: Timestamp, hours: i64) -> Vec<CandleRow> {
    const HOUR_MS: i64 = 3_600_000;
    let unit = if hours == 24 { 24 * HOUR_MS } else { HOUR_MS };
    candles
        .iter()
        .skip(candles.len().saturating_sub(count))
        .map(|candle| CandleRow {
            age: (now.timestamp_millis() - candle.open_time - hours * HOUR_MS).max(0) / unit,
            open: significant_decimal(candle.open.value()),
            high: significant_decimal(candle.high.value()),
            low: significant_decimal(candle.low.value()),
            close: significant_decimal(candle.close.value()),
            volume: shortened(candle.volume),
        })
        .collect()
}

fn funding_overview(coins: &[CoinInput]) -> Option<FundingOverview> {
    let rates: Vec<(&Symbol, f64)> = coins
        .iter()
        .filter_map(|coin| Some((&coin.symbol, coin.funding_rate_pct.filter(|rate| rate.is_finite())?)))
        .collect();
    let (lowest_symbol, lowest) = rates.iter().min_by(|left, right| left.1.total_cmp(&right.1))?;
    let (highest_symbol, highest) = rates.iter().max_by(|left, right| left.1.total_cmp(&right.1))?;
    let count = f64::from(u32::try_from(rates.len()).unwrap_or(u32::MAX));
    let mean = rates.iter().map(|(_, rate)| rate).sum::<f64>() / count;
    Some(FundingOverview {
        mean: significant(Some(mean)),
        lowest: significant(Some(*lowest)),
        lowest_symbol: lowest_symbol.to_string(),
        highest: significant(Some(*highest)),
        highest_symbol: highest_symbol.to_string(),
        negative: rates.iter().filter(|(_, rate)| *rate < 0.0).count(),
        coins: rates.len(),
    })
}

fn calendar_rows(input: &PromptInput) -> Vec<CalendarRow> {
    (1..)
        .zip(fetched::calendar_entries(input))
        .map(|(number, entry)| CalendarRow {
            number,
            time: entry.time.format("%m-%dT%H:%M").to_string(),
            impact: known(&entry.impact, &IMPACTS),
            actual: significant(entry.actual),
            estimate: significant(entry.estimate),
            previous: significant(entry.previous),
        })
        .collect()
}

/// A text of ours that stands outside of every envelope. Whatever went into it, it begins no line and no heading.
fn flat(text: &str) -> String {
    Untrusted::new(text).line(LINE_COLUMNS)
}

/// One of the words a source may say; nothing when it says another.
fn known(said: &Untrusted, words: &[&'static str]) -> &'static str {
    let said = said.raw().trim();
    words.iter().find(|word| word.eq_ignore_ascii_case(said)).copied().unwrap_or_default()
}

fn problems(input: &PromptInput) -> Vec<Problem> {
    input
        .sources
        .iter()
        .filter_map(|source| {
            let detail = match (&source.error, source.stale, source.as_of) {
                (Some(_), _, _) => "failed".to_owned(),
                (None, true, Some(as_of)) => format!("stale, as of {}", instant(as_of)),
                (None, true, None) => "stale".to_owned(),
                (None, false, _) => return None,
            };
            Some(Problem { source: flat(&source.name), detail })
        })
        .collect()
}
