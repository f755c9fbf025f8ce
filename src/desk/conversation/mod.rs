//! One conversation with the model: turns, tool calls, text as it arrives, and a bounded number of all of them.

mod budget;
mod calls;
mod habit;
mod records;
mod tool;
mod visible;

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answer::{Handed, analysis_of};
use super::bulletin::Bulletin;
use crate::domain::{Clock, CycleId, Event, Severity, ToolCallRecord, Untrusted, Usage};
use crate::llm::tools::{self, SUBMIT_DECISIONS};
use crate::llm::{
    Block, FailedTry, Interruption, LlmClient, LlmError, Message, StopReason, Tool, ToolInput, Turn,
    TurnEvent, TurnRequest, Until,
};
use crate::store::{Ending, Store, StoreError};

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
    /// When a stored conversation is had again: how it ended then, if not with an answer. What bounded it then, a budget
    /// or the clock, bounds nothing now.
    pub ended_then: Option<&'a Ending>,
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
    /// An answer that came with the end of a budget.
    over_budget: Option<Handed>,
    until: Until,
    request: TurnRequest,
    memory: calls::Memory,
    /// Different calls made so far, failed ones included.
    calls_made: usize,
    /// The submitting call that was taken last and is not answered yet.
    open_submission: Option<String>,
    /// The last analysis any turn wrote.
    analysis: String,
    /// What turns that broke off or were cut had written of one, in case no whole turn writes any.
    cut_analysis: String,
    /// What the model let see of its thinking in the last turn that did, in case nothing else is there.
    thinking: String,
    ended_then: Option<&'a Ending>,
    /// Answers taken so far.
    answers: u32,
    /// Requests made so far, repeated ones included.
    requests: u32,
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
    /// How it ended, if not with an answer.
    pub ending: Option<Ending>,
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
    /// What was said and what it cost cannot be written down.
    #[error("the conversation could not be recorded: {0}")]
    Store(#[from] StoreError),
    /// It ended like this when it was recorded.
    #[error("{}", .0.words)]
    Recorded(Ending),
}

impl ConversationError {
    /// Whether nothing of the cycle may trade: a budget of tokens, money or time is at its end, or the conversation leaves
    /// no record.
    pub const fn forbids_trading(&self) -> bool {
        match self {
            Self::Store(_) => true,
            _ => self.is_of_a_budget(),
        }
    }

    /// Whether a budget of tokens, money or time is at its end. What forbade trading in a recorded conversation was one:
    /// without a record there is nothing to have again.
    pub const fn is_of_a_budget(&self) -> bool {
        match self {
            Self::Spent(_) | Self::Llm(LlmError::OutOfTime) => true,
            Self::Recorded(ending) => ending.forbids_trading,
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
        let Around { llm, market, bulletin, store, clock, cycle, turkish, cache: _, ending, ended_then } =
            around;
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
            calls_made: 0,
            open_submission: None,
            analysis: String::new(),
            cut_analysis: String::new(),
            thinking: String::new(),
            ended_then,
            over_budget: None,
            answers: 0,
            requests: 0,
            done: Progress::default(),
        }
    }

    /// What the conversation has come to so far.
    pub fn progress(&self) -> &Progress {
        &self.done
    }

    /// The analysis as far as one was written; without any, what was seen of the model's thinking.
    pub fn analysis(&self) -> Untrusted {
        let written = [&self.analysis, &self.cut_analysis, &self.thinking];
        Untrusted::new(written.into_iter().find(|text| !text.is_empty()).cloned().unwrap_or_default())
    }

    /// Whether everything said so far stayed within the budgets.
    pub fn check_spent(&self) -> Result<(), ConversationError> {
        Ok(self.budget.check_after(&self.done.usage, self.done.waited)?)
    }

    /// Goes on until the model has handed its decisions over, by the submitting tool or in its text. An answer that went
    /// over a budget is not taken.
    pub async fn answer(&mut self) -> Result<Handed, ConversationError> {
        let answered = self.next_answer().await;
        let allowed = self.check_spent().and_then(|()| self.as_it_ended_then());
        let answered = match (allowed, answered) {
            (Ok(()), answered) => answered,
            (Err(error), answered) => {
                self.over_budget = answered.ok().filter(|_| error.is_of_a_budget());
                Err(error)
            }
        };
        match &answered {
            Ok(_) => self.answers += 1,
            Err(error) => {
                self.done.ending = Some(Ending {
                    answers: self.answers,
                    requests: self.requests,
                    words: error.to_string(),
                    forbids_trading: error.forbids_trading(),
                });
            }
        }
        answered
    }

    /// The end of the recorded conversation, when this one has come as far.
    fn as_it_ended_then(&self) -> Result<(), ConversationError> {
        match self.ended_then {
            Some(then) if (then.answers, then.requests) == (self.answers, self.requests) => {
                Err(ConversationError::Recorded(then.clone()))
            }
            _ => Ok(()),
        }
    }

    /// The answer that was had with the budget's end and therefore not taken.
    pub fn take_over_budget(&mut self) -> Option<Handed> {
        self.over_budget.take()
    }

    async fn next_answer(&mut self) -> Result<Handed, ConversationError> {
        let (mut nudged, mut shortened) = (false, false);
        loop {
            let mut turn = self.turn().await?;
            let text = turn.text();
            match &turn.stop_reason {
                StopReason::ToolUse if !turn.tool_calls().is_empty() => {
                    self.keep_analysis(text.raw(), false);
                    if let Some(handed) = self.take_submission(&turn) {
                        return Ok(handed);
                    }
                    let refused =
                        if self.takes_submissions() { calls::submission_fault(&turn) } else { None };
                    let ending = self.until.ending.clone();
                    tokio::select! {
                        done = self.run_tools(&turn, refused) => done?,
                        () = ending.cancelled() => return Err(LlmError::Cancelled.into()),
                    }
                }
                // Who stops for a tool and calls none has said everything.
                StopReason::EndTurn | StopReason::StopSequence | StopReason::ToolUse => {
                    if !text.raw().trim().is_empty() {
                        self.keep_analysis(text.raw(), true);
                        // A call beside an answer has no result, and could not be sent back without one.
                        turn.content.retain(|block| !matches!(block, Block::ToolUse(_)));
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
                StopReason::PauseTurn if !turn.content.is_empty() => {
                    self.keep_analysis(text.raw(), false);
                    self.request.messages.push(Message::assistant(turn.content));
                }
                // The turn is dropped: half of it would be in the way of a whole answer.
                StopReason::MaxTokens | StopReason::Other(_) if !shortened => {
                    shortened = true;
                    self.keep_cut(text.raw());
                    self.say(self.pick(
                        "Cevabın yarıda kesildi. Yalnızca kararları yaz; her gerekçe tek kısa cümle olsun.",
                        "Your answer was cut. Write only the decisions, each reason in one short sentence.",
                    ));
                }
                other => {
                    let unfinished = ConversationError::NotFinished(other.word());
                    self.keep_cut(text.raw());
                    return Err(unfinished);
                }
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

    /// Remembers what a turn that is not whole had written of the analysis.
    fn keep_cut(&mut self, text: &str) {
        let written = analysis_of(text);
        if !written.is_empty() {
            written.clone_into(&mut self.cut_analysis);
        }
    }

    /// One turn. An answer that broke off is asked for once more, at its price.
    async fn turn(&mut self) -> Result<Turn, ConversationError> {
        if self.done.iterations >= self.budget.iterations {
            return Err(ConversationError::TooManyTurns(self.budget.iterations));
        }
        self.check_next()?;
        self.done.iterations += 1;
        self.tell(Event::ModelTurn { iteration: self.done.iterations });
        if self.done.iterations > 1 {
            // Turns are paragraphs of their own.
            self.show("\n\n".to_owned());
        }
        let turn = match self.request_turn().await {
            Err(ConversationError::Llm(error)) if error.may_pass_when_repeated() => {
                self.check_next()?;
                self.tell_asked_again(&error.to_string());
                self.show("\n\n".to_owned());
                self.request_turn().await?
            }
            other => other?,
        };
        if let Some(text) = &turn.running_short {
            self.tell(Event::Alarm { severity: Severity::Warning, text: text.clone() });
        }
        self.done.stop_reason = turn.stop_reason.word();
        let thinking = turn.thinking();
        if !thinking.trim().is_empty() {
            thinking.trim().clone_into(&mut self.thinking);
        }
        Ok(turn)
    }

    /// Whether another request may be made, of which its input is certain.
    fn check_next(&self) -> Result<(), ConversationError> {
        self.as_it_ended_then()?;
        let used = &self.done.usage;
        // Whatever was sent before may come from the provider's cache.
        let least = self.llm.least_usage(&self.request, *used != Usage::default());
        Ok(self.budget.check_next(used, self.done.waited, self.usage_of(&least))?)
    }

    /// Makes the request of this turn, written down before and after.
    async fn request_turn(&mut self) -> Result<Turn, ConversationError> {
        let sent_at = self.clock.now();
        let mut open = self.open_row(sent_at, &self.llm.body_of(&self.request)).await?;
        self.requests += 1;
        let mut failed = Vec::new();
        let result = self.follow(&mut failed).await;
        for tried in &failed {
            self.keep(&self.failed_call(sent_at, tried), &mut open).await?;
        }
        if let Ok(turn) = &result {
            self.keep(&self.whole_call(sent_at, turn), &mut open).await?;
        }
        self.close_row(open).await?;
        if let Err(LlmError::Interrupted { partial, .. }) = &result {
            self.keep_cut(partial.text().raw());
        }
        Ok(result?)
    }

    fn tell_asked_again(&self, why: &str) {
        let text = format!("the model is asked once more: {why}");
        self.tell(Event::Alarm { severity: Severity::Info, text });
    }

    /// Makes the request, shows what arrives, and collects the tries that failed.
    async fn follow(&self, failed: &mut Vec<FailedTry>) -> Result<Turn, LlmError> {
        let mut visible = VisibleText::default();
        let mut on_event = |event: TurnEvent| match event {
            TurnEvent::TextDelta(text) => self.show(visible.push(text.raw())),
            TurnEvent::ThinkingDelta(text) => self.show_thinking(text),
            TurnEvent::TryFailed(tried) => failed.push(*tried),
            TurnEvent::Retrying { attempt, wait, reason } => {
                let tries = self.llm.options().attempts;
                let seconds = wait.as_secs_f64();
                let text =
                    format!("the model is asked again ({attempt} of {tries}) in {seconds:.1} s: {reason}");
                self.tell(Event::Alarm { severity: Severity::Info, text });
            }
            TurnEvent::ToolUseStarted { .. } | TurnEvent::ToolUseReady(_) => {}
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
}
