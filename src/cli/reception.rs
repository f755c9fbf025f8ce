//! Between a desk and its consoles, in this process or behind a socket: feeds out, requests in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{broadcast, mpsc};

use crate::desk::Floor;
use crate::domain::{CommandId, Envelope, Event, Feed, OperatorCommand, Request};

/// The lower half of a command's id is its console's own number, the upper half names the console.
const CONSOLE_SHIFT: u32 = 32;

/// Lets consoles in. Each numbers its commands from one; the desk hears numbers that no two of them share.
#[derive(Debug, Clone)]
pub struct Reception {
    floor: Arc<Floor>,
    commands: mpsc::Sender<OperatorCommand>,
    consoles: Arc<AtomicU64>,
}

/// What a console may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// See and command.
    Command,
    /// See.
    Watch,
}

impl Reception {
    /// For a desk that hears commands through `commands`.
    pub fn new(floor: Arc<Floor>, commands: mpsc::Sender<OperatorCommand>) -> Self {
        Self { floor, commands, consoles: Arc::new(AtomicU64::new(1)) }
    }

    /// Serves one console until it is gone.
    pub async fn attend(self, rights: Rights, requests: mpsc::Receiver<Request>, feeds: mpsc::Sender<Feed>) {
        let console = self.consoles.fetch_add(1, Ordering::Relaxed);
        let told = forward(Arc::clone(&self.floor), console, feeds.clone());
        let heard = self.take(console, rights, requests, feeds);
        tokio::select! {
            () = told => {}
            () = heard => {}
        }
    }

    /// Takes a console's requests: commands go to the desk in their order, questions are answered side by side.
    async fn take(
        &self,
        console: u64,
        rights: Rights,
        mut requests: mpsc::Receiver<Request>,
        feeds: mpsc::Sender<Feed>,
    ) {
        while let Some(request) = requests.recv().await {
            match request {
                // A console that only watches does not send any; one that does all the same is not heard.
                Request::Command(_) if rights == Rights::Watch => {}
                Request::Command(OperatorCommand { id, command }) => {
                    let id = (console << CONSOLE_SHIFT) | own_number(id);
                    if self.commands.send(OperatorCommand { id, command }).await.is_err() {
                        return;
                    }
                }
                Request::Query { id, query } => {
                    let (floor, feeds) = (Arc::clone(&self.floor), feeds.clone());
                    tokio::spawn(async move {
                        let page = floor.page(query).await.map(Box::new);
                        // A console that is gone has no use for its answer.
                        let _ = feeds.send(Feed::Page { id, page }).await;
                    });
                }
            }
        }
    }
}

const fn own_number(id: CommandId) -> u64 {
    id & ((1 << CONSOLE_SHIFT) - 1)
}

/// Feeds a console: a snapshot first, then every event; after falling behind, a snapshot again.
async fn forward(floor: Arc<Floor>, console: u64, feeds: mpsc::Sender<Feed>) {
    loop {
        let (snapshot, mut events) = floor.bulletin().subscribe();
        if feeds.send(Feed::Snapshot(Box::new(snapshot))).await.is_err() {
            return;
        }
        loop {
            match events.recv().await {
                Ok(envelope) => {
                    let envelope = addressed(envelope.as_ref().clone(), console);
                    if feeds.send(Feed::Event(envelope)).await.is_err() {
                        return;
                    }
                }
                Err(broadcast::error::RecvError::Lagged(_)) => break,
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }
}

/// Gives the answers to this console's commands the numbers it knows them by. Those to others keep theirs, which no
/// console uses.
fn addressed(mut envelope: Envelope, console: u64) -> Envelope {
    if let Event::CommandAccepted { id, .. } | Event::CommandRefused { id, .. } = &mut envelope.event
        && *id >> CONSOLE_SHIFT == console
    {
        *id = own_number(*id);
    }
    envelope
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_bears_the_askers_number_and_is_nobody_elses() {
        let told = |id| Envelope {
            seq: 1,
            at: chrono::DateTime::UNIX_EPOCH,
            cycle: None,
            event: Event::CommandAccepted {
                id,
                detail: String::new(),
                elsewhere: crate::domain::ToldElsewhere::Nothing,
            },
        };
        let number = |envelope: Envelope| match envelope.event {
            Event::CommandAccepted { id, .. } => id,
            _ => 0,
        };
        let asked_by_two = (2 << CONSOLE_SHIFT) | 7;
        assert_eq!(number(addressed(told(asked_by_two), 2)), 7);
        assert_eq!(number(addressed(told(asked_by_two), 3)), asked_by_two);
    }
}
