//! What the desk tells: numbered events, and the snapshot they add up to.
//!
//! The facts an event speaks of (orders, decisions, reports) are in the store before it is told. The event itself goes
//! to the log in the order it was told, by a task of its own, so that nobody waits for it. Streams (text as it arrives,
//! mark prices) are not logged one by one: the finished text and the prices a cycle saw are.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{broadcast, mpsc, oneshot};

use crate::domain::{Alarm, Clock, CycleId, Envelope, Event, Snapshot};
use crate::store::Store;

/// How many events a slow listener may lag behind before it has to ask for a snapshot.
const BACKLOG: usize = 4_096;

enum Entry {
    Event(Arc<Envelope>),
    /// The alarms that are open now: those are there again after a restart.
    OpenAlarms(Vec<Alarm>),
    Flushed(oneshot::Sender<()>),
}

/// Publishes events in order and keeps the snapshot.
pub struct Bulletin {
    clock: Arc<dyn Clock>,
    present: Mutex<Snapshot>,
    sender: broadcast::Sender<Arc<Envelope>>,
    log: mpsc::UnboundedSender<Entry>,
}

impl std::fmt::Debug for Bulletin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bulletin")
    }
}

impl Bulletin {
    /// Starts from a first snapshot. Must be called within a runtime: the log's task is started here.
    pub fn new(first: Snapshot, clock: Arc<dyn Clock>, store: Store) -> Self {
        let (sender, _) = broadcast::channel(BACKLOG);
        let (log, entries) = mpsc::unbounded_channel();
        tokio::spawn(write_log(store, entries));
        Self { clock, present: Mutex::new(first), sender, log }
    }

    /// Tells an event of record and puts it in the log.
    pub fn record(&self, cycle: Option<&CycleId>, event: Event) {
        self.publish(cycle, event, true);
    }

    /// Tells an event that is part of a stream, without logging it.
    pub fn tell(&self, cycle: Option<&CycleId>, event: Event) {
        self.publish(cycle, event, false);
    }

    fn publish(&self, cycle: Option<&CycleId>, event: Event, logged: bool) {
        let mut present = self.lock();
        let envelope =
            Arc::new(Envelope { seq: present.seq + 1, at: self.clock.now(), cycle: cycle.cloned(), event });
        present.apply(&envelope);
        present.trim_alarms();
        // Both are sent under the lock, so that a snapshot, the events after it and the log always fit together. No
        // listener is not an error: a desk works unwatched. A log task that is gone has said so itself.
        let _ = self.sender.send(Arc::clone(&envelope));
        if logged {
            let is_of_alarms =
                matches!(envelope.event, Event::Alarm { .. } | Event::AlarmsAcknowledged { .. });
            let _ = self.log.send(Entry::Event(envelope));
            if is_of_alarms {
                let open = present.alarms.iter().filter(|alarm| !alarm.acknowledged).cloned().collect();
                let _ = self.log.send(Entry::OpenAlarms(open));
            }
        }
    }

    /// Waits until everything recorded so far is in the log.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.log.send(Entry::Flushed(done)).is_ok() {
            // An error means that the log's task is gone, and with it everything there was to wait for.
            let _ = flushed.await;
        }
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

async fn write_log(store: Store, mut entries: mpsc::UnboundedReceiver<Entry>) {
    while let Some(entry) = entries.recv().await {
        match entry {
            Entry::Event(envelope) => {
                if let Err(error) = store.put_event(&envelope).await {
                    tracing::error!(%error, "an event could not be logged");
                }
            }
            Entry::OpenAlarms(open) => {
                if let Err(error) = store.keep_open_alarms(&open).await {
                    tracing::error!(%error, "the open alarms could not be kept for the next start");
                }
            }
            Entry::Flushed(done) => {
                let _ = done.send(());
            }
        }
    }
}
