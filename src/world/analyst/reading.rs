//! What the analyst understands of a conversation: the task, the market, the tool results, the language.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::conversation::{Block, Conversation, Role};
use super::tables::{self, Table};

/// The language the analyst writes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tongue {
    Turkish,
    English,
}

impl Tongue {
    /// The word of the two that belongs to the language.
    pub fn pick<'a>(self, turkish: &'a str, english: &'a str) -> &'a str {
        match self {
            Self::Turkish => turkish,
            Self::English => english,
        }
    }
}

/// The `task` block.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Task {
    #[serde(default)]
    language: String,
    /// Who is asked about.
    pub accounts: Vec<TaskAccount>,
}

impl Task {
    /// Gives every coin its list.
    fn spelled_out(mut self) -> Self {
        for account in &mut self.accounts {
            for coin in account.coins.iter_mut().filter(|coin| coin.allowed.is_empty()) {
                coin.allowed.clone_from(&account.allowed);
            }
        }
        self
    }
}

/// One account of the task.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct TaskAccount {
    /// Its name.
    pub account: String,
    /// The words that may be used for coins without a list of their own.
    #[serde(default)]
    allowed: Vec<String>,
    /// Its coins.
    pub coins: Vec<TaskCoin>,
}

/// One coin of an account.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct TaskCoin {
    /// The contract.
    pub symbol: String,
    /// The words that may be used.
    #[serde(default)]
    pub allowed: Vec<String>,
    /// What is held.
    #[serde(default)]
    pub position: Option<Holding>,
}

/// An open position as the task tells it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Holding {
    /// `LONG` or `SHORT`.
    pub side: String,
    #[serde(default)]
    entry: Value,
    /// Hours since the opening, if known.
    #[serde(default)]
    pub held_h: Option<f64>,
}

impl Holding {
    /// The entry price, written as a number or as text.
    pub fn entry(&self) -> Option<f64> {
        number_of(&self.entry).filter(|entry| *entry > 0.0)
    }

    /// 1 for a long, -1 for a short position.
    pub fn direction(&self) -> f64 {
        if self.side.eq_ignore_ascii_case("short") { -1.0 } else { 1.0 }
    }
}

/// One coin's figures.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct CoinFigures {
    pub price: Option<f64>,
    pub change_4h: Option<f64>,
    pub rsi: Option<f64>,
    pub macd_hist: Option<f64>,
    pub adx: Option<f64>,
    pub band_lower: Option<f64>,
    pub band_upper: Option<f64>,
    pub atr: Option<f64>,
    pub funding: Option<f64>,
    /// Closed bars, oldest first.
    pub bars: Vec<Bar>,
}

/// One bar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bar {
    pub open: f64,
    pub high: f64,
    pub low: f64,
    pub close: f64,
}

/// What stands outside the coins.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct General {
    /// 0 to 100.
    pub fear_greed: Option<f64>,
    /// Percent against the previous close.
    pub us30_change: Option<f64>,
    /// Daily closes, oldest first.
    pub us30_closes: Vec<f64>,
    /// High-impact calendar entries, as `time event`.
    pub high_impact: Vec<String>,
    /// Headlines seen in the prompt and in tool results, each as its JSON line.
    pub headlines: Vec<String>,
}

/// One tool call of this conversation with its answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Finding {
    /// The path asked for, with the query if it was part of it.
    pub path: String,
    /// The answer; `None` when the tool failed.
    pub answer: Option<Value>,
}

/// Everything the analyst goes by.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub tongue: Tongue,
    pub task: Option<Task>,
    pub coins: BTreeMap<String, CoinFigures>,
    pub general: General,
    pub findings: Vec<Finding>,
    /// Turns in which `call_api` was used.
    pub tool_turns: usize,
    /// Whether `submit_decisions` was called and accepted since the user last wrote text.
    pub submitted: bool,
    /// Whether the user wrote text beside the last tool results, which asks for an end.
    pub hurried: bool,
    /// Whether an answer without a tool call came before: this is a repair or a follow-up.
    pub answered_before: bool,
}

impl Reading {
    /// Reads a conversation.
    pub fn of(conversation: &Conversation) -> Self {
        let task = conversation.user_texts().filter_map(task_of).last();
        let tongue = tongue(task.as_ref(), conversation);
        let mut reading = Self {
            tongue,
            task,
            coins: BTreeMap::new(),
            general: General::default(),
            findings: findings(conversation),
            tool_turns: tool_turns(conversation),
            submitted: submitted(conversation),
            hurried: hurried(conversation),
            answered_before: answered_before(conversation),
        };
        for text in conversation.user_texts() {
            for table in tables::read(text) {
                reading.take_table(&table);
            }
            reading.general.headlines.extend(
                text.lines()
                    .filter(|line| line.starts_with('{') && line.contains("\"headline\""))
                    .map(str::to_owned),
            );
        }
        reading
    }

    fn take_table(&mut self, table: &Table) {
        if let Some(symbol) = &table.symbol {
            let coin = self.coins.entry(symbol.clone()).or_default();
            if table.has(&["price", "rsi14"]) {
                take_indicators(coin, table, 0);
            } else if table.has(&["open", "high", "low", "close"]) {
                coin.bars = bars(table);
            }
        } else if table.has(&["coin", "price", "rsi14"]) {
            for row in 0..table.len() {
                let Some(name) = table.text(row, "coin") else { continue };
                let symbol = if tables::is_symbol(name) { name.to_owned() } else { format!("{name}USDT") };
                take_indicators(self.coins.entry(symbol).or_default(), table, row);
            }
        } else if table.has(&["fear_greed"]) {
            self.general.fear_greed = table.number(0, "fear_greed");
        } else if table.has(&["us30_price"]) {
            self.general.us30_change = table.number(0, "us30_change_pct");
        } else if table.has(&["days_ago", "close"]) {
            self.general.us30_closes = table.numbers("close");
        } else if table.has(&["impact", "event"]) {
            self.general.high_impact = high_impact(table);
        }
    }

    /// The last successful answer to a path that starts with `start`.
    pub fn finding(&self, start: &str) -> Option<&Value> {
        self.findings
            .iter()
            .rev()
            .find(|finding| finding.path.starts_with(start))
            .and_then(|finding| finding.answer.as_ref())
    }
}

fn take_indicators(coin: &mut CoinFigures, table: &Table, row: usize) {
    let cell = |column: &str| table.number(row, column);
    coin.price = cell("price");
    coin.change_4h = cell("change_4h_pct");
    coin.rsi = cell("rsi14");
    coin.macd_hist = cell("macd_hist");
    coin.adx = cell("adx14");
    coin.band_lower = cell("bb_lower");
    coin.band_upper = cell("bb_upper");
    coin.atr = cell("atr14").filter(|atr| *atr > 0.0);
    coin.funding = cell("funding_rate_pct");
}

fn bars(table: &Table) -> Vec<Bar> {
    (0..table.len())
        .filter_map(|row| {
            Some(Bar {
                open: table.number(row, "open")?,
                high: table.number(row, "high")?,
                low: table.number(row, "low")?,
                close: table.number(row, "close")?,
            })
        })
        .collect()
}

fn high_impact(table: &Table) -> Vec<String> {
    (0..table.len())
        .filter(|row| table.text(*row, "impact").is_some_and(|impact| impact.eq_ignore_ascii_case("high")))
        .filter_map(|row| Some(format!("{} {}", table.text(row, "time_utc")?, table.text(row, "event")?)))
        .collect()
}

/// The last fenced `task` block of a text that can be read.
fn task_of(text: &str) -> Option<Task> {
    let mut last: Option<Task> = None;
    let mut rest = text;
    while let Some(start) = rest.find("```task") {
        rest = rest.get(start + "```task".len()..)?;
        let block = rest.split("```").next().unwrap_or_default();
        last = serde_json::from_str(block.trim()).ok().or(last);
    }
    last.map(Task::spelled_out)
}

fn tongue(task: Option<&Task>, conversation: &Conversation) -> Tongue {
    match task.map(|task| task.language.to_ascii_lowercase()) {
        Some(language) if language.starts_with("tr") => return Tongue::Turkish,
        Some(language) if language.starts_with("en") => return Tongue::English,
        _ => {}
    }
    let turkish = |text: &str| {
        let letters = text.chars().filter(|letter| "ğĞşŞıİ".contains(*letter)).count();
        letters * 200 > text.chars().count()
    };
    let texts: String = conversation.user_texts().collect::<Vec<_>>().join(" ");
    if turkish(&texts) || (texts.is_ascii() && turkish(&conversation.system)) {
        Tongue::Turkish
    } else {
        Tongue::English
    }
}

fn findings(conversation: &Conversation) -> Vec<Finding> {
    let mut findings = Vec::new();
    for block in conversation.turns.iter().flat_map(|turn| &turn.blocks) {
        let Block::ToolUse { id, name, input } = block else { continue };
        if name != CALL_API {
            continue;
        }
        let answer = conversation.turns.iter().flat_map(|turn| &turn.blocks).find_map(|block| match block {
            Block::ToolResult { id: answered, text, is_error } if answered == id => {
                Some(if *is_error { None } else { Some(answer_of(text)).filter(usable) })
            }
            _ => None,
        });
        let path = ["path", "endpoint"].iter().find_map(|field| input.get(*field)).and_then(Value::as_str);
        findings.push(Finding { path: path.unwrap_or_default().to_owned(), answer: answer.flatten() });
    }
    findings
}

/// A tool's answer; one that is not JSON, or no longer since it was cut, stays text.
fn answer_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// Anything but an object that reports an error.
fn usable(answer: &Value) -> bool {
    answer.get("error").is_none_or(Value::is_null)
}

/// The name of the tool that fetches data.
pub(super) const CALL_API: &str = "call_api";

/// The name of the tool that takes the decisions.
pub(super) const SUBMIT: &str = "submit_decisions";

fn calls(blocks: &[Block], wanted: &str) -> bool {
    blocks.iter().any(|block| matches!(block, Block::ToolUse { name, .. } if name == wanted))
}

fn tool_turns(conversation: &Conversation) -> usize {
    conversation
        .turns
        .iter()
        .filter(|turn| turn.role == Role::Assistant && calls(&turn.blocks, CALL_API))
        .count()
}

fn submitted(conversation: &Conversation) -> bool {
    let Some(last) = conversation.turns.last() else { return false };
    let asked_again = last.blocks.iter().any(|block| matches!(block, Block::Text(_)));
    let before = conversation.turns.len().checked_sub(2).and_then(|place| conversation.turns.get(place));
    let submit_id = before.and_then(|turn| {
        turn.blocks.iter().find_map(|block| match block {
            Block::ToolUse { id, name, .. } if name == SUBMIT => Some(id),
            _ => None,
        })
    });
    let accepted = last
        .blocks
        .iter()
        .any(|block| matches!(block, Block::ToolResult { id, is_error: false, .. } if Some(id) == submit_id));
    accepted && !asked_again
}

fn hurried(conversation: &Conversation) -> bool {
    conversation.turns.last().is_some_and(|turn| {
        turn.blocks.iter().any(|block| matches!(block, Block::ToolResult { .. }))
            && turn.blocks.iter().any(|block| matches!(block, Block::Text(_)))
    })
}

fn answered_before(conversation: &Conversation) -> bool {
    conversation.turns.iter().any(|turn| turn.role == Role::Assistant && !calls(&turn.blocks, CALL_API))
}

/// A number written as a number or as text.
pub(super) fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
    .filter(|number: &f64| number.is_finite())
}
