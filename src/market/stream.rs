//! Live prices over the public streams: mark prices for what positions are worth, and the best bid
//! and ask for what a coin costs. Each has a route of its own; on the other one it would be silent.
//!
//! A stream can be accepted and stay silent for ever, so every contract has its own sign of life; one that is silent
//! too long ends the connection and a new one is made. A connection that grew old is followed until the next one has
//! brought its first price, so that there is no moment without one.

mod successor;

use std::collections::HashMap;
use std::pin::pin;
use std::time::Duration;

use rust_decimal::Decimal;
use serde_json::Value;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::domain::{Price, Symbol};
use crate::net::{Socket, SocketConnector, SocketMessage};

use self::successor::Successor;
use super::sources::binance::{Premium, price_of};
use super::sources::wire;

/// A contract silent for longer ends the connection.
const LONGEST_SILENCE: Duration = Duration::from_mins(1);
/// The server ends every connection after 24 h; ours ends before, at a time of our choosing.
const LIFETIME: Duration = Duration::from_hours(23);
/// Prices that arrive within this time travel together.
const BATCH: Duration = Duration::from_millis(50);
/// A connection that is not made by then is tried again.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The best prices somebody bids and asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quote {
    pub(crate) bid: Price,
    pub(crate) ask: Price,
}

impl Quote {
    /// Half way between the two.
    pub(crate) fn middle(&self) -> Option<Price> {
        let sum = self.bid.value().checked_add(self.ask.value())?;
        Price::new((sum / Decimal::TWO).normalize()).ok()
    }
}

/// What a stream of one kind is called, and how its messages are read.
struct Kind<T> {
    name: &'static str,
    route: &'static str,
    suffix: &'static str,
    read: fn(&Value) -> Option<(&str, T)>,
    /// Whether every contract is told once a second: when all were heard, nothing more is to be waited for.
    every_second: bool,
}

const MARKS: Kind<Price> = Kind {
    name: "mark price",
    route: "market",
    suffix: "@markPrice@1s",
    read: read_mark,
    every_second: true,
};
const PREMIUMS: Kind<Premium> = Kind {
    name: "mark price and funding",
    route: "market",
    suffix: "@markPrice@1s",
    read: read_premium,
    every_second: true,
};
const QUOTES: Kind<Quote> = Kind {
    name: "best bid and ask",
    route: "public",
    suffix: "@bookTicker",
    read: read_quote,
    every_second: false,
};

/// Follows the best bids and asks of `symbols` until nobody receives them any more.
pub(crate) async fn follow_quotes(
    connector: SocketConnector,
    ws_url: String,
    symbols: Vec<Symbol>,
    out: Sender<Vec<(Symbol, Quote)>>,
) {
    follow(connector, ws_url, symbols, out, &QUOTES).await;
}

/// Follows mark prices, index prices and running fundings of `symbols` until nobody receives them any more.
pub(crate) async fn follow_premiums(
    connector: SocketConnector,
    ws_url: String,
    symbols: Vec<Symbol>,
    out: Sender<Vec<(Symbol, Premium)>>,
) {
    follow(connector, ws_url, symbols, out, &PREMIUMS).await;
}

/// Follows the mark prices of `symbols` until nobody receives them any more. `ws_url` is scheme and host.
///
/// Every message is one batch, each contract at most once, with its latest price.
pub async fn follow_marks(
    connector: SocketConnector,
    ws_url: String,
    symbols: Vec<Symbol>,
    out: Sender<Vec<(Symbol, Price)>>,
) {
    follow(connector, ws_url, symbols, out, &MARKS).await;
}

async fn follow<T>(
    connector: SocketConnector,
    ws_url: String,
    symbols: Vec<Symbol>,
    out: Sender<Vec<(Symbol, T)>>,
    kind: &Kind<T>,
) {
    if symbols.is_empty() {
        out.closed().await;
        return;
    }
    let url = kind.url(&ws_url, &symbols);
    let mut pause = FIRST_PAUSE;
    loop {
        let ended = tokio::select! {
            () = out.closed() => return,
            ended = connected(&connector, &url, &symbols, &out, kind) => ended,
        };
        pause = match ended {
            Ended::Lost { had_prices: true, .. } => FIRST_PAUSE,
            Ended::Lost { had_prices: false, .. } => pause,
            Ended::Unwanted => return,
        };
        if let Ended::Lost { reason, .. } = ended {
            tracing::warn!(%reason, ?pause, stream = kind.name, "a price stream ended; connecting again");
        }
        tokio::select! {
            () = out.closed() => return,
            () = sleep(pause) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

impl<T> Kind<T> {
    /// Stream names are in small letters, or the server accepts them and stays silent.
    fn url(&self, ws_url: &str, symbols: &[Symbol]) -> String {
        let streams: Vec<_> = symbols
            .iter()
            .map(|symbol| format!("{}{}", symbol.as_str().to_ascii_lowercase(), self.suffix))
            .collect();
        format!("{}/{}/stream?streams={}", ws_url.trim_end_matches('/'), self.route, streams.join("/"))
    }
}

/// Why there is no connection any more.
enum Ended {
    /// It broke, was closed, could not be made, or fell silent.
    Lost { reason: String, had_prices: bool },
    /// Nobody receives any more.
    Unwanted,
}

/// Follows one connection after the other for as long as each takes over from the one before.
async fn connected<T>(
    connector: &SocketConnector,
    url: &str,
    symbols: &[Symbol],
    out: &Sender<Vec<(Symbol, T)>>,
    kind: &Kind<T>,
) -> Ended {
    let lost = |reason: String| Ended::Lost { reason, had_prices: false };
    match timeout(CONNECT_LIMIT, connector.connect(url)).await {
        Ok(Ok(socket)) => {
            let successor = Successor::due(connector, url, kind.read);
            Following::new(symbols, out, kind).run(socket, successor).await
        }
        Ok(Err(error)) => lost(error.to_string()),
        Err(_elapsed) => lost(format!("no connection within {CONNECT_LIMIT:?}")),
    }
}

/// Connections being followed, one at a time but for the moment of their change.
struct Following<'a, T> {
    kind: &'a Kind<T>,
    last_seen: HashMap<&'a Symbol, Instant>,
    batch: Vec<(Symbol, T)>,
    out: &'a Sender<Vec<(Symbol, T)>>,
    had_prices: bool,
}

impl<'a, T> Following<'a, T> {
    fn new(symbols: &'a [Symbol], out: &'a Sender<Vec<(Symbol, T)>>, kind: &'a Kind<T>) -> Self {
        let now = Instant::now();
        let last_seen = symbols.iter().map(|symbol| (symbol, now)).collect();
        Self { kind, last_seen, batch: Vec::new(), out, had_prices: false }
    }

    async fn run(mut self, mut socket: Socket, mut successor: Successor<T>) -> Ended {
        // Timers are set when they are due and not with every message, of which there are many a second.
        let mut silence = pin!(sleep_until(self.silence_ends()));
        let mut flush = pin!(sleep(BATCH));
        let mut is_batching = false;
        loop {
            let mut is_flushed = false;
            let lost = tokio::select! {
                // Timers first: a flood of messages must not outvote them.
                biased;
                () = &mut flush, if is_batching => {
                    is_flushed = true;
                    None
                }
                () = &mut silence => {
                    silence.as_mut().reset(self.silence_ends());
                    let silent = self.silent();
                    (!silent.is_empty())
                        .then(|| format!("no {} for {LONGEST_SILENCE:?}: {}", self.kind.name, silent.join(" ")))
                }
                (next, text) = successor.first_price() => {
                    // The old one has done its duty; its contracts have so long to be heard of on the new one.
                    socket = next;
                    self.note(&text);
                    None
                }
                message = socket.next() => match message {
                    Some(Ok(SocketMessage::Text(text))) => {
                        self.note(&text);
                        None
                    }
                    Some(Ok(SocketMessage::Ping(payload))) => {
                        socket.send(SocketMessage::Pong(payload)).await.err().map(|error| error.to_string())
                    }
                    Some(Ok(SocketMessage::Pong(_))) => None,
                    Some(Ok(SocketMessage::Close(code))) => Some(format!("closed with code {code:?}")),
                    Some(Err(error)) => Some(error.to_string()),
                    None => Some("the connection ended".to_owned()),
                },
            };
            if is_flushed || (self.kind.every_second && self.batch.len() == self.last_seen.len()) {
                is_batching = false;
                if self.out.send(std::mem::take(&mut self.batch)).await.is_err() {
                    return Ended::Unwanted;
                }
            } else if !is_batching && !self.batch.is_empty() {
                is_batching = true;
                flush.as_mut().reset(Instant::now() + BATCH);
            }
            let Some(reason) = lost else { continue };
            let Some(next) = successor.take_open() else { return self.lost(reason) };
            tracing::info!(%reason, stream = self.kind.name, "the old connection ended before the next had spoken");
            socket = next;
            self.last_seen.values_mut().for_each(|seen| *seen = Instant::now());
            silence.as_mut().reset(self.silence_ends());
        }
    }

    /// When the contract that was heard of least recently has been silent for too long.
    fn silence_ends(&self) -> Instant {
        self.oldest_sign() + LONGEST_SILENCE
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

    /// Takes a price from a message, with or without the combined stream's wrapper, if there is one.
    fn note(&mut self, text: &str) {
        let message: Value = serde_json::from_str(text).unwrap_or_default();
        let Some((name, price)) = (self.kind.read)(update_of(&message)) else {
            tracing::debug!(bytes = text.len(), stream = self.kind.name, "a stream message without a price");
            return;
        };
        let Some((symbol, seen)) = self.last_seen.iter_mut().find(|(symbol, _)| symbol.as_str() == name)
        else {
            return;
        };
        *seen = Instant::now();
        self.had_prices = true;
        match self.batch.iter_mut().find(|(known, _)| known == *symbol) {
            Some(entry) => entry.1 = price,
            None => self.batch.push(((*symbol).clone(), price)),
        }
    }
}

/// What a message says, out of the combined stream's wrapper if it has one.
fn update_of(message: &Value) -> &Value {
    if message["data"].is_object() { &message["data"] } else { message }
}

/// Symbol and mark price of a `markPriceUpdate`.
fn read_mark(update: &Value) -> Option<(&str, Price)> {
    (update["e"] == "markPriceUpdate").then(|| Some((update["s"].as_str()?, price_of(&update["p"])?)))?
}

/// Symbol, prices and funding of a `markPriceUpdate`.
fn read_premium(update: &Value) -> Option<(&str, Premium)> {
    let (symbol, mark) = read_mark(update)?;
    let premium = Premium {
        mark_price: Some(mark),
        index_price: price_of(&update["i"]),
        funding_rate: wire::decimal(&update["r"]),
        next_funding: wire::millis(&update["T"]),
        time: wire::millis(&update["E"]),
    };
    Some((symbol, premium))
}

/// Symbol and quote of a `bookTicker`; a crossed book is no quote.
fn read_quote(update: &Value) -> Option<(&str, Quote)> {
    if update["e"] != "bookTicker" {
        return None;
    }
    let quote = Quote { bid: price_of(&update["b"])?, ask: price_of(&update["a"])? };
    (quote.bid <= quote.ask).then_some((update["s"].as_str()?, quote))
}

#[cfg(test)]
mod tests;
