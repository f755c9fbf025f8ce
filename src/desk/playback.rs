//! A stored cycle, had again: the same prompts, the model's recorded answers, the same checks. No network, no exchange,
//! nothing written.
//!
//! Every request is made anew by the present code and must equal the recorded one to the byte; where it does not, nothing
//! is answered and the place is told. What became of each row then is told beside it: executing is not repeated.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::answer::Pair;
use super::conversation::{Around, Budget, Conversation, Lookup, RecordedAnswers};
use super::cycle::converse;
use super::prompt::task_of;
use crate::domain::{
    AccountName, CycleId, CycleReport, DecisionRow, ManualClock, ModelSummary, Outcome, OutcomeKind,
    Proposal, Symbol,
};
use crate::llm::tools::SUBMIT_DECISIONS;
use crate::llm::{LlmOptions, Protocol, Recorded, RecordedCall};
use crate::store::{ModelCall, Store, StoreError};

/// Why a cycle cannot be had again.
#[derive(Debug, thiserror::Error)]
pub enum PlaybackError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is nothing to play.
    #[error("cycle {0} cannot be played back: {1}")]
    Nothing(CycleId, &'static str),
}

/// What a playback came to.
#[derive(Debug, Clone)]
pub struct Playback {
    /// The report: analysis, tool calls and decisions as had again, everything else as stored.
    pub report: CycleReport,
    /// SHA-256 over all requests, one after the other, as recorded.
    pub requests_hash: String,
    /// How many requests were made again, equal to the byte.
    pub equal_requests: usize,
    /// Where it differs from what is stored; empty when it is the same.
    pub differences: Vec<String>,
}

/// The task block, as far as it is needed.
#[derive(Deserialize)]
struct Task {
    language: String,
    accounts: Vec<TaskAccount>,
}

#[derive(Deserialize)]
struct TaskAccount {
    account: AccountName,
    coins: Vec<TaskCoin>,
}

#[derive(Deserialize)]
struct TaskCoin {
    symbol: Symbol,
}

/// Plays a finished cycle back. `iterations` is how many requests a cycle may make by the settings of then.
pub async fn play_back(store: &Store, cycle: &CycleId, iterations: u32) -> Result<Playback, PlaybackError> {
    let nothing = |why| PlaybackError::Nothing(cycle.clone(), why);
    let stored = store.report(cycle).await?.ok_or_else(|| nothing("it has no report"))?;
    let (system, user) =
        store.prompts_of(cycle).await?.ok_or_else(|| nothing("its prompts are not stored"))?;
    let task: Task = task_of(&user)
        .and_then(|task| serde_json::from_value(task).ok())
        .ok_or_else(|| nothing("its prompt has no task that this version can read"))?;
    let calls = answered_tries(store.model_calls_of(cycle).await?);
    let ended_then = store.ending_of(cycle).await?;
    let first: Value = calls
        .first()
        .and_then(|call| serde_json::from_slice(&call.request).ok())
        .ok_or_else(|| nothing("no request of it is stored"))?;
    let answers = RecordedAnswers::new(store.tool_calls_of(cycle).await?);
    let recorded = Recorded::new(calls.iter().map(recorded_call));
    let llm = recorded.client(options_of(&stored, &first));
    let clock = ManualClock::new(stored.market_time);
    let turkish = task.language == "tr";
    let around = Around {
        llm: &llm,
        market: Lookup::Recorded(&answers),
        bulletin: None,
        store: None,
        clock: &clock,
        cycle,
        turkish,
        cache: first.get("cache_control").is_some(),
        ending: &CancellationToken::new(),
        ended_then: ended_then.as_ref(),
    };
    // What was bounded then is bounded by the recording now.
    let budget = Budget::unbounded(iterations, Duration::from_hours(1));
    let mut conversation = Conversation::new(around, budget, system, user);
    let (answer, analysis) = converse(&mut conversation, &pairs_of(task), turkish).await;
    let progress = conversation.progress().clone();
    let equal_requests = calls.len() - recorded.left();
    let mut differences = answer.errors.clone();
    differences.retain(|error| !stored.errors.contains(error));
    if recorded.left() > 0 {
        differences.push(format!(
            "{} of {} recorded requests were not made again",
            recorded.left(),
            calls.len()
        ));
    }
    if analysis != stored.analysis {
        differences.push("the analysis differs".to_owned());
    }
    let had = |row: &DecisionRow| {
        let proposal = &row.proposal;
        answer
            .rows
            .iter()
            .map(|row| &row.proposal)
            .find(|again| again.account == proposal.account && again.symbol == proposal.symbol)
    };
    let decisions = stored.decisions.iter().map(|row| again(row, had(row), &mut differences)).collect();
    let report = CycleReport {
        analysis,
        tool_calls: progress.tool_calls,
        decisions,
        model: ModelSummary {
            iterations: progress.iterations,
            stop_reason: progress.stop_reason,
            ..stored.model.clone()
        },
        ..stored
    };
    Ok(Playback { report, requests_hash: hash_of(&calls), equal_requests, differences })
}

/// One row had again, with what became of it then; a row that was not asked about is as it was.
fn again(stored: &DecisionRow, had: Option<&Proposal>, differences: &mut Vec<String>) -> DecisionRow {
    let Some(had) = had.filter(|had| **had != stored.proposal) else { return stored.clone() };
    let said = |proposal: &Proposal| match (proposal.decision, proposal.confidence) {
        (Some(word), Some(confidence)) => format!("{word} {confidence}"),
        _ => "nothing usable".to_owned(),
    };
    let detail = format!("played back: {}; recorded: {}", said(had), said(&stored.proposal));
    differences.push(format!("{} {}: {detail}", had.account, had.symbol));
    let outcome = Outcome { kind: OutcomeKind::Failed, rule: None, detail, orders: Vec::new() };
    DecisionRow { proposal: had.clone(), outcome }
}

/// The tries that a conversation knew of: the last of each turn, and before it those whose answer had begun and broke
/// off. The others asked the same and brought nothing.
fn answered_tries(mut calls: Vec<ModelCall>) -> Vec<ModelCall> {
    let turns: Vec<u32> = calls.iter().map(|call| call.iteration).collect();
    let mut following = turns.iter().skip(1);
    calls.retain(|call| {
        let is_last = following.next() != Some(&call.iteration);
        is_last || (call.status == Some(200) && !call.response.is_empty())
    });
    calls
}

fn recorded_call(call: &ModelCall) -> RecordedCall {
    RecordedCall {
        request: call.request.clone(),
        status: call.status,
        response: call.response.clone(),
        request_id: call.request_id.clone(),
        error: call.error.clone(),
    }
}

/// The options that shape requests, read off the first one.
fn options_of(stored: &CycleReport, first: &Value) -> LlmOptions {
    let text = |field: &str| first.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let number =
        |field: &str| first.get(field).and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok());
    let chats = stored.model.provider == "openai";
    // Its own address is told by another name of the limit.
    let base_url = if first.get("max_completion_tokens").is_some() {
        "https://api.openai.com"
    } else {
        "http://recorded"
    };
    let mut options =
        LlmOptions::new(stored.model.provider.clone(), base_url, text("model"), SecretString::from("none"));
    if let Some(limit) = number("max_tokens").or_else(|| number("max_completion_tokens")) {
        options.max_tokens = limit;
    }
    if chats {
        options.protocol = Protocol::ChatCompletions;
    }
    let effort = first.get("output_config").and_then(|config| config.get("effort"));
    options.effort = effort.and_then(Value::as_str).map(str::to_owned);
    options.shows_thinking = first.get("thinking").is_some();
    options.strict_tools =
        first.get("tools").is_some_and(|tools| tools.to_string().contains(SUBMIT_DECISIONS));
    options
}

fn pairs_of(task: Task) -> Vec<Pair> {
    task.accounts
        .into_iter()
        .flat_map(|TaskAccount { account, coins }| {
            coins.into_iter().map(move |coin| (account.clone(), coin.symbol))
        })
        .collect()
}

fn hash_of(calls: &[ModelCall]) -> String {
    let mut hash = Sha256::new();
    for call in calls {
        hash.update(&call.request);
    }
    hex::encode(hash.finalize())
}
