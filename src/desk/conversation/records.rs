//! The record of a conversation's requests. Each stands in the store, with what it costs at least, before it leaves: who
//! is killed while the model writes has paid all the same.

use std::time::Duration;

use super::{Conversation, ConversationError};
use crate::domain::{Timestamp, Usage};
use crate::llm::{FailedTry, RawUsage, Turn, price};
use crate::store::ModelCall;

/// What stands in the place of an answer that has not come.
const UNANSWERED: &str = "no answer had come when this was written";

/// The row of a request that was written before it left, until an answer or a failed try takes its place.
pub(super) struct OpenRow(Option<i64>);

impl Conversation<'_> {
    /// Writes a request down before it leaves. Without a record nothing is asked.
    pub(super) async fn open_row(&self, at: Timestamp, body: &[u8]) -> Result<OpenRow, ConversationError> {
        let Some(store) = self.store else { return Ok(OpenRow(None)) };
        let call = ModelCall {
            request: body.to_vec(),
            status: None,
            response: Vec::new(),
            stop_reason: None,
            usage: self.usage_of(&RawUsage::of_unanswered(body.len())),
            request_id: None,
            rate_limits: None,
            ms: 0.0,
            error: Some(UNANSWERED.to_owned()),
            ..self.call_at(at)
        };
        Ok(OpenRow(Some(store.put_model_call(&call).await?)))
    }

    /// Counts a call and stores it, the first one in the place that was kept for it.
    pub(super) async fn keep(
        &mut self,
        call: &ModelCall,
        open: &mut OpenRow,
    ) -> Result<(), ConversationError> {
        self.done.usage += call.usage;
        self.done.waited += Duration::try_from_secs_f64(call.ms / 1000.0).unwrap_or_default();
        let Some(store) = self.store else { return Ok(()) };
        match open.0.take() {
            Some(row) => store.replace_model_call(row, call).await?,
            None => drop(store.put_model_call(call).await?),
        }
        Ok(())
    }

    /// Takes the row away again when nothing was sent.
    pub(super) async fn close_row(&self, open: OpenRow) -> Result<(), ConversationError> {
        if let (Some(store), Some(row)) = (self.store, open.0) {
            store.forget_model_call(row).await?;
        }
        Ok(())
    }

    /// Tokens and money of a call. Of the built-in analyst every figure is an estimate of what a model would cost.
    pub(super) fn usage_of(&self, usage: &RawUsage) -> Usage {
        let options = self.llm.options();
        let mut usage = price::usage(options.price.as_ref(), usage);
        usage.is_estimate |= options.is_simulated;
        usage
    }

    pub(super) fn whole_call(&self, at: Timestamp, turn: &Turn) -> ModelCall {
        ModelCall {
            request: turn.raw_request.clone(),
            status: Some(200),
            response: turn.raw_response.clone(),
            stop_reason: Some(turn.stop_reason.word()),
            usage: self.usage_of(&turn.usage),
            request_id: turn.request_id.clone(),
            rate_limits: turn.rate_limits.clone(),
            ms: turn.ms,
            ..self.call_at(at)
        }
    }

    /// What is kept of a try that failed: a broken stream was paid for as far as it came.
    pub(super) fn failed_call(&self, at: Timestamp, tried: &FailedTry) -> ModelCall {
        ModelCall {
            request: tried.request.clone(),
            status: tried.status,
            response: tried.response.clone(),
            usage: self.usage_of(&tried.usage),
            request_id: tried.request_id.clone(),
            rate_limits: tried.rate_limits.clone(),
            ms: tried.ms,
            error: Some(tried.error.clone()),
            ..self.call_at(at)
        }
    }

    /// A call of the present turn of which nothing is known yet.
    fn call_at(&self, at: Timestamp) -> ModelCall {
        ModelCall {
            cycle: self.cycle.clone(),
            iteration: self.done.iterations,
            at,
            request: Vec::new(),
            status: None,
            response: Vec::new(),
            stop_reason: None,
            usage: Usage::default(),
            request_id: None,
            rate_limits: None,
            ms: 0.0,
            error: None,
        }
    }
}
