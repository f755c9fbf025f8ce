//! What the desk tells: numbered events, and the snapshot they add up to.
//!
//! Events of record are in the store before anybody sees them. Streams (text as it arrives, mark prices) are not
//! stored one by one: the finished text and the prices a cycle saw are.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

use crate::domain::{Clock, CycleId, Envelope, Event, Snapshot};
use crate::store::Store;

/// How many events a slow listener may lag behind before it has to ask for a snapshot.
const BACKLOG: usize = 4_096;

/// Publishes events in order and keeps the snapshot.
pub struct Bulletin {
    clock: Arc<dyn Clock>,
    store: Store,
    present: Mutex<Snapshot>,
    sender: broadcast::Sender<Arc<Envelope>>,
}

impl std::fmt::Debug for Bulletin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bulletin")
    }
}

impl Bulletin {
    /// Starts from a first snapshot.
    pub fn new(first: Snapshot, clock: Arc<dyn Clock>, store: Store) -> Self {
        let (sender, _) = broadcast::channel(BACKLOG);
        Self { clock, store, present: Mutex::new(first), sender }
    }

    /// Stores an event of record, then tells it. A store that fails is logged; the event is still told, because the
    /// operator must see what happens all the more.
    pub async fn record(&self, cycle: Option<&CycleId>, event: Event) {
        match serde_json::to_string(&event) {
            Ok(json) => {
                let stored = self.store.put_event(self.clock.now(), cycle, kind_of(&event), &json).await;
                if let Err(error) = stored {
                    tracing::error!(%error, "an event could not be stored");
                }
            }
            Err(error) => tracing::error!(%error, "an event could not be written as JSON"),
        }
        self.tell(cycle, event);
    }

    /// Tells an event that is part of a stream, without storing it.
    pub fn tell(&self, cycle: Option<&CycleId>, event: Event) {
        let mut present = self.lock();
        let envelope =
            Envelope { seq: present.seq + 1, at: self.clock.now(), cycle: cycle.cloned(), event };
        present.apply(&envelope);
        // Sent under the lock, so that a snapshot and the events after it always fit together.
        // No listener is not an error: a desk works unwatched.
        let _ = self.sender.send(Arc::new(envelope));
    }

    /// The present snapshot and every event after it.
    pub fn subscribe(&self) -> (Snapshot, broadcast::Receiver<Arc<Envelope>>) {
        let present = self.lock();
        (present.clone(), self.sender.subscribe())
    }

    /// Reads something from the present snapshot.
    pub fn read<T>(&self, look: impl FnOnce(&Snapshot) -> T) -> T {
        look(&self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Snapshot> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn kind_of(event: &Event) -> &'static str {
    match event {
        Event::CycleStarted { .. } => "cycle_started",
        Event::PhaseEntered { .. } => "phase_entered",
        Event::BriefReady { .. } => "brief_ready",
        Event::ModelTurn { .. } => "model_turn",
        Event::AnalysisDelta { .. } => "analysis_delta",
        Event::ToolCallStarted { .. } => "tool_call_started",
        Event::ToolCallFinished { .. } => "tool_call_finished",
        Event::Decided { .. } => "decided",
        Event::Settled { .. } => "settled",
        Event::Order { .. } => "order",
        Event::CycleFinished { .. } => "cycle_finished",
        Event::CycleRefused { .. } => "cycle_refused",
        Event::Account { .. } => "account",
        Event::Marks { .. } => "marks",
        Event::NextCycle { .. } => "next_cycle",
        Event::DryRun { .. } => "dry_run",
        Event::CommandAccepted { .. } => "command_accepted",
        Event::CommandRefused { .. } => "command_refused",
        Event::Alarm { .. } => "alarm",
    }
}
