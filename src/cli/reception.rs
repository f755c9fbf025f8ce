//! Between a desk and its consoles, in this process or behind a socket: feeds out, requests in.

use std::sync::Arc;

use tokio::sync::{broadcast, mpsc};

use crate::desk::Floor;
use crate::domain::{Feed, OperatorCommand, Request};

/// Feeds a console: a snapshot first, then every event; after falling behind, a snapshot again.
pub async fn forward(floor: Arc<Floor>, feeds: mpsc::Sender<Feed>) {
    loop {
        let (snapshot, mut events) = floor.bulletin().subscribe();
        if feeds.send(Feed::Snapshot(Box::new(snapshot))).await.is_err() {
            return;
        }
        loop {
            match events.recv().await {
                Ok(envelope) => {
                    if feeds.send(Feed::Event(envelope.as_ref().clone())).await.is_err() {
                        return;
                    }
                }
                Err(broadcast::error::RecvError::Lagged(_)) => break,
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }
}

/// Takes a console's requests: commands go to the desk in their order, questions are answered side by side.
pub async fn take(
    floor: Arc<Floor>,
    mut requests: mpsc::Receiver<Request>,
    commands: mpsc::Sender<OperatorCommand>,
    feeds: mpsc::Sender<Feed>,
) {
    while let Some(request) = requests.recv().await {
        match request {
            Request::Command(command) => {
                if commands.send(command).await.is_err() {
                    return;
                }
            }
            Request::Query { id, query } => {
                let (floor, feeds) = (Arc::clone(&floor), feeds.clone());
                tokio::spawn(async move {
                    let page = floor.page(query).await.map(Box::new);
                    // A console that is gone has no use for its answer.
                    let _ = feeds.send(Feed::Page { id, page }).await;
                });
            }
        }
    }
}
