//! One conversation with the model: turns, tool calls, text as it arrives, and a bounded number of all of them.

mod budget;
mod calls;
mod habit;
mod tool;
mod visible;

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answer::{Handed, analysis_of};
use super::bulletin::Bulletin;
use crate::domain::{Clock, CycleId, Event, Severity, Timestamp, ToolCallRecord, Untrusted, Usage};
use crate::llm::tools::{self, SUBMIT_DECISIONS};
use crate::llm::{
    Block, FailedTry, Interruption, LlmClient, LlmError, Message, RawUsage, StopReason, Tool, ToolInput,
    Turn, TurnEvent, TurnRequest, Until, price,
};
use crate::store::{ModelCall, Store};

pub use budget::{Budget, PaidBudget, Spent};
pub use calls::MOST_CALLS;
pub use habit::{HABIT_CYCLES, caching_pays};
pub use tool::{LARGEST_RESULT, Lookup, RecordedAnswers};
use visible::VisibleText;

/// What a conversation is put together from.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// The model.
    pub llm: &'a LlmClient,
    /// Answers the tool.
    pub market: Lookup<'a>,
    /// Where text and tool calls are told, if anybody listens.
    pub bulletin: Option<&'a Bulletin>,
    /// Where requests and answers are kept; nowhere when they are only had again.
    pub store: Option<&'a Store>,
    /// Market time.
    pub clock: &'a dyn Clock,
    /// The cycle it belongs to.
    pub cycle: &'a CycleId,
    /// Language of the few sentences we add.
    pub turkish: bool,
    /// Whether the provider shall cache the conversation between turns.
    pub cache: bool,
    /// Cancelled when the desk ends: the turn under way then ends too, and is kept as far as it came.
    pub ending: &'a CancellationToken,
}

/// One conversation under way.
pub struct Conversation<'a> {
    llm: &'a LlmClient,
    market: Lookup<'a>,
    bulletin: Option<&'a Bulletin>,
    store: Option<&'a Store>,
    clock: &'a dyn Clock,
    cycle: &'a CycleId,
    turkish: bool,
    budget: Budget,
    until: Until,
    request: TurnRequest,
    memory: calls::Memory,
    /// The submitting call that was taken last and is not answered yet.
    open_submission: Option<String>,
    /// The last analysis any turn wrote.
    analysis: String,
    done: Progress,
}

impl std::fmt::Debug for Conversation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Conversation({}, {:?})", self.cycle, self.done)
    }
}

/// What a conversation has come to.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// Requests made.
    pub iterations: u32,
    /// The last stop reason, in the provider's word.
    pub stop_reason: String,
    /// Tokens and money so far.
    pub usage: Usage,
    /// How long the model was waited for.
    pub waited: Duration,
    /// Tool calls so far.
    pub tool_calls: Vec<ToolCallRecord>,
}

/// Why a conversation ended without a finished answer.
#[derive(Debug, thiserror::Error)]
pub enum ConversationError {
    /// The provider failed.
    #[error("the model could not be reached or broke off: {0}")]
    Llm(#[from] LlmError),
    /// The allowed number of requests is used up.
    #[error("no finished answer within {0} requests")]
    TooManyTurns(u32),
    /// The model declined.
    #[error("the model declined to answer{}", explanation(.0.as_ref()))]
    Declined(Option<Untrusted>),
    /// The model stopped for a reason that leaves no whole answer.
    #[error("the model stopped with {0:?}: its answer is not whole")]
    NotFinished(String),
    /// A budget is used up.
    #[error(transparent)]
    Spent(#[from] Spent),
}

impl ConversationError {
    /// Whether a budget of tokens, money or time is at its end: then nothing of the cycle may trade.
    pub const fn is_out_of_budget(&self) -> bool {
        match self {
            Self::Spent(_) | Self::Llm(LlmError::OutOfTime) => true,
            Self::Llm(LlmError::Interrupted { cause, .. }) => matches!(cause, Interruption::OutOfTime),
            _ => false,
        }
    }
}

/// Why it declined, if it said so.
fn explanation(why: Option<&Untrusted>) -> String {
    why.map_or_else(String::new, |why| format!(": {}", why.line(300)))
}

/// The tools on offer: market data with the paths the API serves and no other and, where the provider can hold the model
/// to a schema, the one that takes the decisions. Their order is part of what is cached.
pub fn tools_of(llm: &LlmClient) -> Vec<Tool> {
    let paths = crate::market::api::tool_paths();
    let mut offered = vec![tools::call_api(&paths.iter().map(String::as_str).collect::<Vec<_>>())];
    if llm.options().strict_tools {
        offered.push(tools::submit_decisions());
    }
    offered
}

/// Milliseconds to a thousandth: so few digits that they are read back as they were written.
fn millis(time: std::time::Duration) -> f64 {
    (time.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

impl<'a> Conversation<'a> {
    /// Begins with the two prompts.
    pub fn new(around: Around<'a>, budget: Budget, system: String, user: String) -> Self {
        let request = TurnRequest {
            system,
            messages: vec![Message::user(user)],
            tools: tools_of(around.llm),
            cache: around.cache,
        };
        let Around { llm, market, bulletin, store, clock, cycle, turkish, cache: _, ending } = around;
        Self {
            llm,
            market,
            bulletin,
            store,
            clock,
            cycle,
            turkish,
            until: Until { deadline: Instant::now() + budget.time, ending: ending.clone() },
            budget,
            request,
            memory: calls::Memory::new(),
            open_submission: None,
            analysis: String::new(),
            done: Progress::default(),
        }
    }

    /// What the conversation has come to so far.
    pub fn progress(&self) -> &Progress {
        &self.done
    }

    /// The analysis as far as one was written.
    pub fn analysis(&self) -> Untrusted {
        Untrusted::new(self.analysis.as_str())
    }

    /// Goes on until the model has handed its decisions over, by the submitting tool or in its text.
    pub async fn answer(&mut self) -> Result<Handed, ConversationError> {
        let mut nudged = false;
        loop {
            let turn = self.turn().await?;
            let text = turn.text();
            match &turn.stop_reason {
                StopReason::ToolUse => {
                    self.keep_analysis(text.raw(), false);
                    if let Some(handed) = self.take_submission(&turn) {
                        return Ok(handed);
                    }
                    let refused =
                        if self.takes_submissions() { calls::submission_fault(&turn) } else { None };
                    let ending = self.until.ending.clone();
                    tokio::select! {
                        () = self.run_tools(&turn, refused) => {}
                        () = ending.cancelled() => return Err(LlmError::Cancelled.into()),
                    }
                }
                StopReason::EndTurn | StopReason::StopSequence => {
                    if !text.raw().trim().is_empty() {
                        self.keep_analysis(text.raw(), true);
                        self.request.messages.push(Message::assistant(turn.content));
                        return Ok(Handed::Text(text.raw().to_owned()));
                    }
                    if nudged {
                        return Err(ConversationError::NotFinished("an empty answer, twice".to_owned()));
                    }
                    nudged = true;
                    self.say(self.pick(
                        "Cevabın boş geldi. Lütfen kararlarını yaz.",
                        "Your answer was empty. Please write your decisions.",
                    ));
                }
                StopReason::Refusal => {
                    let declined = ConversationError::Declined(turn.refusal);
                    let told = format!("[{declined}]");
                    self.show(format!("\n\n{told}"));
                    self.keep_analysis(text.raw(), false);
                    if self.analysis.is_empty() {
                        self.analysis = told;
                    }
                    return Err(declined);
                }
                other => return Err(ConversationError::NotFinished(other.word())),
            }
        }
    }

    /// Whether decisions are taken by tool.
    pub fn takes_submissions(&self) -> bool {
        self.llm.options().strict_tools
    }

    /// Asks for a repair in a message of ours, which also answers the submitting call it is about.
    pub fn ask_again(&mut self, text: &str) {
        match self.open_submission.take() {
            Some(id) => {
                let refused = calls::refused_submission(&id, "some rows could not be used");
                let content = vec![refused, Block::Text(Untrusted::new(text))];
                self.request.messages.push(Message::tool_results(content));
            }
            None => self.say(text),
        }
    }

    fn say(&mut self, text: &str) {
        self.request.messages.push(Message::user(text));
    }

    fn pick(&self, turkish: &'static str, english: &'static str) -> &'static str {
        if self.turkish { turkish } else { english }
    }

    /// The decisions, when the turn is one whole submitting call and nothing else.
    fn take_submission(&mut self, turn: &Turn) -> Option<Handed> {
        let calls = turn.tool_calls();
        let [call] = calls.as_slice() else { return None };
        if call.name != SUBMIT_DECISIONS || !self.takes_submissions() {
            return None;
        }
        let ToolInput::Complete { written, .. } = &call.input else { return None };
        let written = written.clone();
        self.open_submission = Some(call.id.clone());
        self.request.messages.push(Message::assistant(turn.content.clone()));
        Some(Handed::Call(written))
    }

    /// Remembers the analysis of a turn: what is marked as one, else the first text that ends a conversation.
    fn keep_analysis(&mut self, text: &str, ends: bool) {
        let marked = text.contains("<analysis>");
        if marked || (self.analysis.is_empty() && (ends || !text.trim().is_empty())) {
            analysis_of(text).clone_into(&mut self.analysis);
        }
    }

    async fn turn(&mut self) -> Result<Turn, ConversationError> {
        if self.done.iterations >= self.budget.iterations {
            return Err(ConversationError::TooManyTurns(self.budget.iterations));
        }
        self.budget.check(&self.done.usage, self.done.waited)?;
        self.done.iterations += 1;
        self.tell(Event::ModelTurn { iteration: self.done.iterations });
        if self.done.iterations > 1 {
            // Turns are paragraphs of their own.
            self.show("\n\n".to_owned());
        }
        let sent_at = self.clock.now();
        let mut failed = Vec::new();
        let result = self.follow(&mut failed).await;
        for tried in &failed {
            self.keep(&self.failed_call(sent_at, tried)).await;
        }
        let turn = result?;
        self.keep(&self.whole_call(sent_at, &turn)).await;
        if let Some(text) = &turn.running_short {
            self.tell(Event::Alarm { severity: Severity::Warning, text: text.clone() });
        }
        self.done.stop_reason = turn.stop_reason.word();
        Ok(turn)
    }

    /// Makes the request, shows what arrives, and collects the tries that failed.
    async fn follow(&self, failed: &mut Vec<FailedTry>) -> Result<Turn, LlmError> {
        let mut visible = VisibleText::default();
        let mut on_event = |event: TurnEvent| match event {
            TurnEvent::TextDelta(text) => self.show(visible.push(text.raw())),
            TurnEvent::ThinkingDelta(text) => self.show_thinking(text),
            TurnEvent::TryFailed(tried) => failed.push(*tried),
            TurnEvent::ToolUseStarted { .. } | TurnEvent::ToolUseReady(_) | TurnEvent::Retrying { .. } => {}
        };
        let result = self.llm.run_turn(&self.request, &self.until, &mut on_event).await;
        self.show(visible.finish());
        result
    }

    fn show(&self, text: String) {
        if let Some(bulletin) = self.bulletin.filter(|_| !text.is_empty()) {
            bulletin.tell(Some(self.cycle), Event::AnalysisDelta { text: Untrusted::new(text) });
        }
    }

    fn show_thinking(&self, text: Untrusted) {
        if let Some(bulletin) = self.bulletin.filter(|_| !text.is_empty()) {
            bulletin.tell(Some(self.cycle), Event::ThinkingDelta { text });
        }
    }

    fn tell(&self, event: Event) {
        if let Some(bulletin) = self.bulletin {
            bulletin.record(Some(self.cycle), event);
        }
    }

    fn usage_of(&self, usage: &RawUsage) -> Usage {
        price::usage(self.llm.options().price.as_ref(), usage)
    }

    /// Counts and stores a call.
    async fn keep(&mut self, call: &ModelCall) {
        self.done.usage += call.usage;
        self.done.waited += Duration::try_from_secs_f64(call.ms / 1000.0).unwrap_or_default();
        if let Some(store) = self.store
            && let Err(error) = store.put_model_call(call).await
        {
            tracing::error!(%error, "a model call could not be stored");
        }
    }

    fn whole_call(&self, at: Timestamp, turn: &Turn) -> ModelCall {
        ModelCall {
            cycle: self.cycle.clone(),
            iteration: self.done.iterations,
            at,
            request: turn.raw_request.clone(),
            status: Some(200),
            response: turn.raw_response.clone(),
            stop_reason: Some(turn.stop_reason.word()),
            usage: self.usage_of(&turn.usage),
            is_estimate: turn.usage.estimated,
            request_id: turn.request_id.clone(),
            ms: turn.ms,
            error: None,
        }
    }

    /// What is kept of a try that failed: a broken stream was paid for as far as it came.
    fn failed_call(&self, at: Timestamp, tried: &FailedTry) -> ModelCall {
        ModelCall {
            cycle: self.cycle.clone(),
            iteration: self.done.iterations,
            at,
            request: tried.request.clone(),
            status: tried.status,
            response: tried.response.clone(),
            stop_reason: None,
            usage: self.usage_of(&tried.usage),
            is_estimate: tried.usage.estimated,
            request_id: tried.request_id.clone(),
            ms: tried.ms,
            error: Some(tried.error.clone()),
        }
    }
}
