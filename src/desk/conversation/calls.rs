//! Answering the tool calls of one turn: side by side, each asked once a cycle, no more than a few.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::join_all;
use tokio::time::Instant;

use super::tool::{Asked, ToolAnswer};
use super::{Conversation, ConversationError};
use crate::domain::{Event, ToolCallRecord, Untrusted};
use crate::llm::tools::SUBMIT_DECISIONS;
use crate::llm::{Block, Message, ToolCall, Turn};

/// Different calls a cycle may make; repeated ones are answered from memory and do not count.
pub const MOST_CALLS: usize = 12;

/// Numbers tool calls for the console; unique within this process.
static CALLS: AtomicU64 = AtomicU64::new(1);

/// Answers of this cycle by what was asked.
pub(super) type Memory = BTreeMap<String, ToolAnswer>;

/// What became of a call that left: its answer, its time in milliseconds.
type Fetched = (ToolAnswer, f64);

impl Conversation<'_> {
    /// Answers every call of a turn. `submit_refused` is told to submitting calls, which are not carried out here.
    pub(super) async fn run_tools(
        &mut self,
        turn: &Turn,
        submit_refused: Option<&str>,
    ) -> Result<(), ConversationError> {
        let calls = turn.tool_calls();
        let asked: Vec<(&ToolCall, Asked)> = calls
            .into_iter()
            .filter(|call| submit_refused.is_none() || call.name != SUBMIT_DECISIONS)
            .map(|call| (call, Asked::read(call)))
            .collect();
        let mut fetched = self.fetch(asked.iter().map(|(_, asked)| asked)).await;
        let mut content = Vec::with_capacity(asked.len() + 2);
        for (call, asked) in asked {
            let (answer, ms) = self.answer_of(&asked, &mut fetched);
            let record = ToolCallRecord {
                endpoint: asked.endpoint,
                params: asked.params,
                status: answer.status,
                bytes: answer.size,
                ms,
            };
            let body = answer.text.as_bytes();
            if let Some(store) = self.store {
                store.put_tool_call(self.cycle, self.done.iterations, &record, body).await?;
            }
            self.done.tool_calls.push(record);
            content.push(Block::ToolResult {
                tool_use_id: call.id.clone(),
                content: answer.text,
                is_error: answer.is_error,
            });
        }
        // What failed at its source may be had in a later turn.
        self.memory.retain(|_, answer| answer.is_settled());
        if let Some(reason) = submit_refused {
            content.extend(refused_submissions(turn, reason));
        }
        if self.done.iterations + 1 >= self.budget.iterations || self.calls_made >= MOST_CALLS {
            content.push(Block::Text(Untrusted::new(self.last_call())));
        }
        self.request.messages.push(Message::assistant(turn.content.clone()));
        self.request.messages.push(Message::tool_results(content));
        Ok(())
    }

    /// Said when nothing more may be looked up. Handing the decisions over is a call too, and stays allowed.
    fn last_call(&self) -> &'static str {
        if self.takes_submissions() {
            self.pick(
                "Artık call_api yok; kararlarını şimdi submit_decisions ile ver.",
                "No more call_api; submit your decisions now.",
            )
        } else {
            self.pick("Artık araç çağrısı yok; şimdi cevap ver.", "No more tool calls; answer now.")
        }
    }

    /// Makes the calls of a turn that were not made before, all at once, and remembers their answers.
    async fn fetch(&mut self, asked: impl Iterator<Item = &Asked>) -> BTreeMap<String, Fetched> {
        let left = MOST_CALLS.saturating_sub(self.calls_made);
        let mut new: BTreeMap<String, &Asked> = BTreeMap::new();
        for asked in asked {
            if let Some(key) = asked.key()
                && !self.memory.contains_key(&key)
                && (new.len() < left || new.contains_key(&key))
            {
                new.entry(key).or_insert(asked);
            }
        }
        let fetched: BTreeMap<String, Fetched> = join_all(new.into_iter().map(|(key, asked)| async {
            let number = self.announce(asked);
            let began = Instant::now();
            let answer = self.market.answer(asked).await;
            let ms = super::millis(began.elapsed());
            // Told as each of them ends: nobody takes a quick one for as slow as the slowest beside it.
            self.tell_end(number, &answer, ms);
            (key, (answer, ms))
        }))
        .await
        .into_iter()
        .collect();
        self.calls_made += fetched.len();
        for (key, (answer, _)) in &fetched {
            self.memory.insert(key.clone(), answer.clone());
        }
        fetched
    }

    /// The answer of one call: just fetched, remembered, or a refusal.
    fn answer_of(&self, asked: &Asked, fetched: &mut BTreeMap<String, Fetched>) -> Fetched {
        let key = asked.key();
        if let Some(fetched) = key.as_ref().and_then(|key| fetched.remove(key)) {
            return fetched;
        }
        let answer = match key.and_then(|key| self.memory.get(&key)) {
            Some(remembered) => remembered.clone(),
            None => ToolAnswer::refused(
                asked
                    .fault()
                    .unwrap_or("the different calls of this cycle are used up; decide with what you have"),
            ),
        };
        self.tell_end(self.announce(asked), &answer, 0.0);
        (answer, 0.0)
    }

    fn tell_end(&self, call: u64, answer: &ToolAnswer, ms: f64) {
        self.tell(Event::ToolCallFinished { call, status: answer.status, bytes: answer.size, ms });
    }

    fn announce(&self, asked: &Asked) -> u64 {
        let call = CALLS.fetch_add(1, Ordering::Relaxed);
        let params = Untrusted::new(asked.params.to_string());
        self.tell(Event::ToolCallStarted { call, endpoint: asked.endpoint.clone(), params });
        call
    }
}

/// Why the submitting calls of a turn cannot be taken; `None` when there is one, alone and whole, or there is none.
pub(super) fn submission_fault(turn: &Turn) -> Option<&'static str> {
    let calls = turn.tool_calls();
    let submissions: Vec<_> = calls.iter().filter(|call| call.name == SUBMIT_DECISIONS).collect();
    match submissions.as_slice() {
        [] => None,
        [one] if calls.len() == 1 => {
            one.input.complete().is_none().then_some("not taken: its input is no JSON object; submit again")
        }
        [_] => Some("not taken: the data you asked for came with it; read it, then submit again"),
        _ => Some("not taken: submit once, with all decisions"),
    }
}

/// Every call of the model is answered, also those that were not taken.
fn refused_submissions(turn: &Turn, reason: &str) -> Vec<Block> {
    turn.tool_calls()
        .into_iter()
        .filter(|call| call.name == SUBMIT_DECISIONS)
        .map(|call| refused_submission(&call.id, reason))
        .collect()
}

/// The answer to one submitting call that was not taken.
pub(super) fn refused_submission(id: &str, reason: &str) -> Block {
    Block::ToolResult {
        tool_use_id: id.to_owned(),
        content: serde_json::json!({ "accepted": false, "error": reason }).to_string(),
        is_error: true,
    }
}
