//! A row of a plan on its way to the exchange. A cycle waits for it, but not for ever.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::desk::execution::{AccountDesk, Cause, Shared, would_close, would_open};
use crate::desk::guards::{Approved, CloseOrder, OpenOrder};
use crate::domain::{CycleId, Event, Outcome, OutcomeKind, Proposal};

/// How long a cycle waits for what its accounts carry out.
pub(super) const EXECUTION_TIME: Duration = Duration::from_mins(1);

/// What an approved row has done at the exchange.
#[derive(Debug)]
pub(super) enum Task {
    Open(Approved<OpenOrder>),
    Close(Approved<CloseOrder>),
}

/// A row, and what carrying it out needs.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) shared: Shared,
    pub(super) cycle: CycleId,
    pub(super) is_dry: bool,
    pub(super) proposal: Proposal,
}

impl Row {
    /// What became of the row by the deadline. What is between an order and its stop then is never cut off: it goes on
    /// by itself, and says so itself when it ends.
    pub(super) async fn done_by(self, deadline: Instant, account: Arc<AccountDesk>, task: Task) -> Outcome {
        let late = self.clone();
        let work = tokio::spawn(async move {
            let outcome = self.carry_out(&account, &task).await;
            self.settle(&outcome).await;
            outcome
        });
        match tokio::time::timeout_at(deadline, work).await {
            Ok(Ok(outcome)) => outcome,
            // An execution that died takes the desk with it, as every task does.
            Ok(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Ok(Err(_cancelled)) => failed("the desk ended while this was under way"),
            Err(_elapsed) => {
                let outcome = failed(&format!(
                    "still under way after {} s: the exchange answers too slowly; the cycle goes on without it",
                    EXECUTION_TIME.as_secs()
                ));
                late.settle(&outcome).await;
                outcome
            }
        }
    }

    async fn carry_out(&self, account: &AccountDesk, task: &Task) -> Outcome {
        let cause = Cause::Cycle(self.cycle.clone());
        match task {
            Task::Open(_) if self.shared.ending.is_cancelled() => {
                failed("the desk was shut down before this order was sent")
            }
            Task::Open(order) if self.is_dry => would_open(order.order()),
            Task::Open(order) => account.open(&cause, order).await,
            Task::Close(order) if self.is_dry => would_close(order.order()),
            Task::Close(order) => account.close(&cause, order).await,
        }
    }

    /// Writes down and tells what became of the row.
    pub(super) async fn settle(&self, outcome: &Outcome) {
        let Proposal { account, symbol, .. } = &self.proposal;
        let stored = self.shared.store.settle_decision(&self.cycle, account, symbol, outcome).await;
        if let Err(error) = stored {
            tracing::error!(%account, %symbol, %error, "an outcome could not be stored");
        }
        let event =
            Event::Settled { account: account.clone(), symbol: symbol.clone(), outcome: outcome.clone() };
        self.shared.bulletin.record(Some(&self.cycle), event);
    }
}

/// An outcome of a row that nothing came of.
pub(super) fn failed(detail: &str) -> Outcome {
    Outcome { kind: OutcomeKind::Failed, rule: None, detail: detail.to_owned(), orders: Vec::new() }
}
