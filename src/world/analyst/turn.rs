//! What the analyst says next: it looks things up, then analyses and decides.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::conversation::{Conversation, Tool, ToolChoice};
use super::decisions::{self, Decision};
use super::fault::{self, Fault};
use super::reading::{CALL_API, Reading, SUBMIT, Task, Tongue};
use super::reply::ReplyBlock;
use super::report;
use super::signals::{self, View};
use super::tokens;
use super::wishes::{self, Wish};
use super::words;

/// Turns with tool calls after which it stops asking, even if it is forced to use a tool.
const TOOL_TURNS_AT_MOST: usize = 8;

/// The blocks of the next answer, spoiled by `fault` as far as that is a matter of what is said.
pub(super) fn answer(conversation: &Conversation, fault: Option<Fault>) -> Vec<ReplyBlock> {
    let reading = Reading::of(conversation);
    let tongue = reading.tongue;
    if reading.submitted {
        let done = tongue.pick("Kararlar teslim edildi.", "The decisions are handed in.");
        return vec![ReplyBlock::Text(done.to_owned())];
    }
    if let Some(mut blocks) = look_up(conversation, &reading) {
        blocks.extend(fault::extra_calls(fault, conversation));
        return blocks;
    }
    if let ToolChoice::Named(name) = &conversation.tool_choice
        && name != SUBMIT
        && name != CALL_API
        && let Some(tool) = conversation.tool(name)
    {
        return vec![foreign_call(tool)];
    }
    match &reading.task {
        Some(task) => decide(conversation, &reading, task, fault),
        None => without_task(conversation, &reading),
    }
}

/// The next tool calls with their reason, or `None` when it knows enough.
fn look_up(conversation: &Conversation, reading: &Reading) -> Option<Vec<ReplyBlock>> {
    let tool = conversation.tool(CALL_API)?;
    let forced = match &conversation.tool_choice {
        ToolChoice::Named(name) => name == CALL_API,
        ToolChoice::Any => conversation.tool(SUBMIT).is_none(),
        ToolChoice::Auto | ToolChoice::None => false,
    };
    let first_time = reading.tool_turns == 0;
    let failed = !first_time && reading.findings.iter().all(|finding| finding.answer.is_none());
    let enough = !first_time && (reading.hurried || reading.answered_before || failed);
    if (enough && !forced) || reading.tool_turns >= TOOL_TURNS_AT_MOST {
        return None;
    }
    if let ToolChoice::Named(name) = &conversation.tool_choice
        && name != CALL_API
    {
        return None;
    }
    let texts: Vec<&str> = conversation.user_texts().collect();
    let prompt_only = Reading { findings: Vec::new(), ..reading.clone() };
    let (views, _) = views(&prompt_only);
    let wishes = wishes::wishes(reading, &views, &texts);
    let waves = waves(&wishes, conversation.parallel);
    let wave = match waves.get(reading.tool_turns) {
        Some(wave) => wave,
        None if forced => waves.first()?,
        None => return None,
    };
    let why = wave.iter().map(|wish| wish.why.as_str()).collect::<Vec<_>>().join(" ");
    let mut blocks = vec![ReplyBlock::Text(why)];
    blocks.extend(wave.iter().map(|wish| ReplyBlock::ToolUse {
        name: tool.name.clone(),
        input: wishes::call_input(&tool.schema, wish).to_string(),
    }));
    Some(blocks)
}

/// Two calls side by side, then one; one at a time when the caller wants that.
fn waves(wishes: &[Wish], parallel: bool) -> Vec<&[Wish]> {
    let first = if parallel { 2 } else { 1 }.min(wishes.len());
    let (head, tail) = wishes.split_at(first);
    std::iter::once(head).chain(tail.chunks(1)).collect()
}

/// The view of every coin of the prompt, and the mood they were seen in.
fn views(reading: &Reading) -> (BTreeMap<String, View>, f64) {
    let fetched = reading.finding("/news/").map(Value::to_string);
    let headlines = reading.general.headlines.iter().map(String::as_str).chain(fetched.as_deref());
    let mood = signals::mood(&reading.general, signals::news_mood(headlines));
    let views = reading
        .coins
        .iter()
        .map(|(symbol, coin)| (symbol.clone(), signals::view(symbol, coin, mood, reading)))
        .collect();
    (views, mood)
}

/// How much is said, so that it fits the caller's budget.
#[derive(Debug, Clone, Copy)]
struct Detail {
    /// Lines of the analysis.
    lines: usize,
    /// Facts in a reason.
    facts: usize,
    /// Whether risk notes are written.
    notes: bool,
}

impl Detail {
    const fn without_facts(self) -> Self {
        Self { facts: 0, ..self }
    }
}

/// Whether a coin without a position is left alone for the same reason in an account before: its figures were told there,
/// and telling them for every account is half of what an answer costs.
fn says_the_same(before: &Decision, decision: &Decision) -> bool {
    let left_alone = decision.gain_percent.is_none() && !decision.is_strong_opening();
    left_alone
        && (&before.symbol, &before.word, before.ground)
            == (&decision.symbol, &decision.word, decision.ground)
}

/// From everything to the bare minimum.
const DETAILS: [Detail; 4] = [
    Detail { lines: 15, facts: 2, notes: true },
    Detail { lines: 12, facts: 1, notes: false },
    Detail { lines: 10, facts: 0, notes: false },
    Detail { lines: 3, facts: 0, notes: false },
];

fn decide(
    conversation: &Conversation,
    reading: &Reading,
    task: &Task,
    fault: Option<Fault>,
) -> Vec<ReplyBlock> {
    let (views, mood) = views(reading);
    let decisions = decisions::decide(task, reading, &views);
    let lines = report::lines(task, reading, &views, &decisions, mood);
    let budget = conversation.max_tokens.unwrap_or(u64::MAX);
    let mut blocks = Vec::new();
    for detail in DETAILS {
        let rows: Vec<Map<String, Value>> = decisions
            .iter()
            .enumerate()
            .map(|(number, decision)| {
                let said = decisions[..number].iter().any(|before| says_the_same(before, decision));
                row(decision, &views, reading, if said { detail.without_facts() } else { detail })
            })
            .collect();
        let rows = fault::spoil_rows(fault, conversation, rows);
        let shown = lines.get(..detail.lines.min(lines.len())).unwrap_or(&lines).join("\n");
        blocks = match conversation.tool(SUBMIT) {
            _ if fault == Some(Fault::ProseOnly) => vec![ReplyBlock::Text(analysis(&shown))],
            Some(tool) => vec![ReplyBlock::Text(analysis(&shown)), submission(tool, rows)],
            None => vec![ReplyBlock::Text(format!("{}\n{}", analysis(&shown), fenced(&rows)))],
        };
        if cost(&blocks) <= budget {
            break;
        }
    }
    blocks
}

fn cost(blocks: &[ReplyBlock]) -> u64 {
    blocks
        .iter()
        .map(|block| match block {
            ReplyBlock::Text(text) => tokens::estimate(text),
            ReplyBlock::ToolUse { name, input } => tokens::estimate(input) + tokens::estimate(name),
        })
        .sum()
}

fn analysis(lines: &str) -> String {
    format!("<analysis>\n{lines}\n</analysis>\n")
}

/// One object a line, so that the array can be read while it grows.
fn fenced(rows: &[Map<String, Value>]) -> String {
    let lines: Vec<String> = rows.iter().map(|row| Value::Object(row.clone()).to_string()).collect();
    format!("```json\n[\n{}\n]\n```", lines.join(",\n"))
}

fn row(
    decision: &Decision,
    views: &BTreeMap<String, View>,
    reading: &Reading,
    detail: Detail,
) -> Map<String, Value> {
    let unknown = View::default();
    let view = views.get(&decision.symbol).unwrap_or(&unknown);
    let event = reading.general.high_impact.first().map(String::as_str);
    let note = if detail.notes { words::risk_note(decision, view, reading.tongue, event) } else { None };
    let mut row = Map::new();
    row.insert("account".to_owned(), json!(decision.account));
    row.insert("symbol".to_owned(), json!(decision.symbol));
    row.insert("decision".to_owned(), json!(decision.word));
    row.insert("confidence".to_owned(), json!(f64::from(decision.confidence) / 100.0));
    row.insert("reason".to_owned(), json!(words::reason(decision, view, reading.tongue, detail.facts)));
    row.insert("market_bias".to_owned(), json!(words::bias(view)));
    row.insert("risk_note".to_owned(), json!(note));
    row
}

/// The submitting call, in the field names of the schema on offer.
fn submission(tool: &Tool, rows: Vec<Map<String, Value>>) -> ReplyBlock {
    let list = list_field(&tool.schema);
    let item = tool
        .schema
        .get("properties")
        .and_then(|fields| fields.get(&list))
        .and_then(|field| field.get("items"));
    let rows: Vec<Value> = rows.into_iter().map(|row| Value::Object(shaped(row, item))).collect();
    let mut input = Map::new();
    input.insert(list, Value::Array(rows));
    wishes::fill_required(&tool.schema, &mut input);
    ReplyBlock::ToolUse { name: tool.name.clone(), input: Value::Object(input).to_string() }
}

/// `decisions`, or the schema's first list when it has no such field.
fn list_field(schema: &Value) -> String {
    let fields = schema.get("properties").and_then(Value::as_object);
    let is_list = |field: &Value| field.get("type").and_then(Value::as_str) == Some("array");
    fields
        .filter(|fields| !fields.contains_key("decisions"))
        .and_then(|fields| fields.iter().find(|(_, field)| is_list(field)))
        .map_or_else(|| "decisions".to_owned(), |(name, _)| name.clone())
}

/// A row in the words of the item schema: other names for the decision, no field it does not know, none missing.
fn shaped(mut row: Map<String, Value>, item: Option<&Value>) -> Map<String, Value> {
    let Some(known) = item.and_then(|item| item.get("properties")).and_then(Value::as_object) else {
        return row;
    };
    if !known.contains_key("decision") && known.contains_key("action") {
        row = row
            .into_iter()
            .map(|(name, value)| (if name == "decision" { "action".to_owned() } else { name }, value))
            .collect();
    }
    row.retain(|name, _| known.contains_key(name));
    for (name, value) in &mut row {
        if let Some(field) = known.get(name) {
            fit_value(value, field);
        }
    }
    if let Some(item) = item {
        wishes::fill_required(item, &mut row);
    }
    row
}

/// A null where only text is allowed becomes `none`; a word takes the spelling the schema lists.
fn fit_value(value: &mut Value, field: &Value) {
    if value.is_null() && field.get("type").and_then(Value::as_str) == Some("string") {
        *value = json!("none");
    }
    let listed = field.get("enum").and_then(Value::as_array);
    if let (Some(word), Some(listed)) = (value.as_str(), listed)
        && let Some(spelled) =
            listed.iter().find(|known| known.as_str().is_some_and(|known| known.eq_ignore_ascii_case(word)))
    {
        *value = spelled.clone();
    }
}

/// A call of a tool it does not know, only ever made when that is forced.
fn foreign_call(tool: &Tool) -> ReplyBlock {
    let mut input = Map::new();
    wishes::fill_required(&tool.schema, &mut input);
    ReplyBlock::ToolUse { name: tool.name.clone(), input: Value::Object(input).to_string() }
}

/// A short answer to whatever else is said to it.
fn without_task(conversation: &Conversation, reading: &Reading) -> Vec<ReplyBlock> {
    let forced = match &conversation.tool_choice {
        ToolChoice::Any => true,
        ToolChoice::Named(name) => name == SUBMIT,
        ToolChoice::Auto | ToolChoice::None => false,
    };
    if forced && let Some(tool) = conversation.tool(SUBMIT) {
        return vec![submission(tool, Vec::new())];
    }
    let fetched: Vec<String> = reading
        .findings
        .iter()
        .map(|finding| match (&finding.answer, reading.tongue) {
            (Some(_), Tongue::Turkish) => format!("{} okundu.", finding.path),
            (Some(_), Tongue::English) => format!("{} was read.", finding.path),
            (None, Tongue::Turkish) => format!("{} alınamadı.", finding.path),
            (None, Tongue::English) => format!("{} could not be had.", finding.path),
        })
        .collect();
    let lead = reading.tongue.pick(
        "Ben yerleşik, kural tabanlı analistim. Bu konuşmada karar verilecek bir görev bloğu yok.",
        "I am the built-in, rule-based analyst. This conversation has no task block to decide on.",
    );
    vec![ReplyBlock::Text(std::iter::once(lead.to_owned()).chain(fetched).collect::<Vec<_>>().join(" "))]
}
