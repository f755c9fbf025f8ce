//! Live mark prices over the public market stream (binance.md §1.9).
//!
//! A stream can be accepted and stay silent for ever, so every contract has its own sign of life; one that is silent
//! too long ends the connection and a new one is made.

use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::domain::{Price, Symbol};
use crate::net::{Socket, SocketConnector, SocketMessage};

use super::sources::binance::price_of;

/// A contract silent for longer ends the connection.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);
/// The server ends every connection after 24 h; ours ends before, at a time of our choosing.
const LIFETIME: Duration = Duration::from_secs(23 * 3600);
/// Prices that arrive within this time travel together.
const BATCH: Duration = Duration::from_millis(50);
/// A connection that is not made by then is tried again.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Follows the mark prices of `symbols` until nobody receives them any more. `ws_url` is scheme and host.
///
/// Every message is one batch, each contract at most once, with its latest price.
pub async fn follow_marks(
    connector: SocketConnector,
    ws_url: String,
    symbols: Vec<Symbol>,
    out: Sender<Vec<(Symbol, Price)>>,
) {
    if symbols.is_empty() {
        out.closed().await;
        return;
    }
    let url = marks_url(&ws_url, &symbols);
    let mut pause = FIRST_PAUSE;
    loop {
        let ended = tokio::select! {
            () = out.closed() => return,
            ended = one_connection(&connector, &url, &symbols, &out) => ended,
        };
        pause = match ended {
            Ended::Rotated => continue,
            Ended::Lost { had_prices: true, .. } => FIRST_PAUSE,
            Ended::Lost { had_prices: false, .. } => pause,
            Ended::Unwanted => return,
        };
        if let Ended::Lost { reason, .. } = ended {
            tracing::warn!(%reason, ?pause, "the mark price stream ended; connecting again");
        }
        tokio::select! {
            () = out.closed() => return,
            () = sleep(pause) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Stream names are in small letters, or the server accepts them and stays silent.
fn marks_url(ws_url: &str, symbols: &[Symbol]) -> String {
    let streams: Vec<_> = symbols
        .iter()
        .map(|symbol| format!("{}@markPrice@1s", symbol.as_str().to_ascii_lowercase()))
        .collect();
    format!("{}/market/stream?streams={}", ws_url.trim_end_matches('/'), streams.join("/"))
}

/// Why a connection ended.
enum Ended {
    /// It was old enough.
    Rotated,
    /// It broke, was closed, could not be made, or fell silent.
    Lost { reason: String, had_prices: bool },
    /// Nobody receives any more.
    Unwanted,
}

async fn one_connection(
    connector: &SocketConnector,
    url: &str,
    symbols: &[Symbol],
    out: &Sender<Vec<(Symbol, Price)>>,
) -> Ended {
    let lost = |reason: String| Ended::Lost { reason, had_prices: false };
    match timeout(CONNECT_LIMIT, connector.connect(url)).await {
        Ok(Ok(socket)) => Following::new(symbols, out).run(socket).await,
        Ok(Err(error)) => lost(error.to_string()),
        Err(_elapsed) => lost(format!("no connection within {CONNECT_LIMIT:?}")),
    }
}

/// One connection being followed.
struct Following<'a> {
    last_seen: HashMap<&'a Symbol, Instant>,
    batch: Vec<(Symbol, Price)>,
    out: &'a Sender<Vec<(Symbol, Price)>>,
    had_prices: bool,
}

impl<'a> Following<'a> {
    fn new(symbols: &'a [Symbol], out: &'a Sender<Vec<(Symbol, Price)>>) -> Self {
        let now = Instant::now();
        let last_seen = symbols.iter().map(|symbol| (symbol, now)).collect();
        Self { last_seen, batch: Vec::new(), out, had_prices: false }
    }

    async fn run(mut self, mut socket: Socket) -> Ended {
        let rotate_at = Instant::now() + LIFETIME;
        let mut flush_at = None;
        loop {
            let silence_ends = self.oldest_sign() + LONGEST_SILENCE;
            tokio::select! {
                biased;
                () = sleep_until(flush_at.unwrap_or(rotate_at)), if flush_at.is_some() => {
                    flush_at = None;
                    if self.out.send(std::mem::take(&mut self.batch)).await.is_err() {
                        return Ended::Unwanted;
                    }
                }
                message = socket.next() => match message {
                    Some(Ok(SocketMessage::Text(text))) => {
                        if self.note(&text) && flush_at.is_none() {
                            flush_at = Some(Instant::now() + BATCH);
                        }
                    }
                    Some(Ok(SocketMessage::Ping(payload))) => {
                        if let Err(error) = socket.send(SocketMessage::Pong(payload)).await {
                            return self.lost(error.to_string());
                        }
                    }
                    Some(Ok(SocketMessage::Pong(_))) => {}
                    Some(Ok(SocketMessage::Close(code))) => return self.lost(format!("closed with code {code:?}")),
                    Some(Err(error)) => return self.lost(error.to_string()),
                    None => return self.lost("the connection ended".to_owned()),
                },
                () = sleep_until(silence_ends) => {
                    let silent = self.silent().join(" ");
                    return self.lost(format!("no mark price for {LONGEST_SILENCE:?}: {silent}"));
                }
                () = sleep_until(rotate_at) => return Ended::Rotated,
            }
        }
    }

    fn lost(&self, reason: String) -> Ended {
        Ended::Lost { reason, had_prices: self.had_prices }
    }

    fn oldest_sign(&self) -> Instant {
        self.last_seen.values().min().copied().unwrap_or_else(Instant::now)
    }

    fn silent(&self) -> Vec<&str> {
        let mut silent: Vec<_> = self
            .last_seen
            .iter()
            .filter(|(_, seen)| seen.elapsed() >= LONGEST_SILENCE)
            .map(|(symbol, _)| symbol.as_str())
            .collect();
        silent.sort_unstable();
        silent
    }

    /// Takes a price from a message; whether there was one.
    fn note(&mut self, text: &str) -> bool {
        let Some((name, price)) = read_mark(text) else {
            tracing::debug!(bytes = text.len(), "a stream message without a mark price");
            return false;
        };
        let Some((symbol, seen)) = self.last_seen.iter_mut().find(|(symbol, _)| symbol.as_str() == name)
        else {
            return false;
        };
        *seen = Instant::now();
        self.had_prices = true;
        match self.batch.iter_mut().find(|(known, _)| known == *symbol) {
            Some(entry) => entry.1 = price,
            None => self.batch.push(((*symbol).clone(), price)),
        }
        true
    }
}

/// Symbol and mark price of a `markPriceUpdate`, with or without the combined stream's wrapper.
fn read_mark(text: &str) -> Option<(String, Price)> {
    #[derive(Deserialize)]
    struct Update {
        s: String,
        p: Value,
    }
    let value: Value = serde_json::from_str(text).ok()?;
    let update = if value["data"].is_object() { value["data"].clone() } else { value };
    if update["e"] != "markPriceUpdate" {
        return None;
    }
    let update: Update = serde_json::from_value(update).ok()?;
    Some((update.s, price_of(&update.p)?))
}
