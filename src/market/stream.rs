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
const LONGEST_SILENCE: Duration = Duration::from_mins(1);
/// The server ends every connection after 24 h; ours ends before, at a time of our choosing.
const LIFETIME: Duration = Duration::from_hours(23);
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
                // Timers first: a flood of messages must not outvote them.
                biased;
                () = sleep_until(flush_at.unwrap_or(rotate_at)), if flush_at.is_some() => {
                    flush_at = None;
                    if self.out.send(std::mem::take(&mut self.batch)).await.is_err() {
                        return Ended::Unwanted;
                    }
                }
                () = sleep_until(silence_ends) => {
                    let silent = self.silent().join(" ");
                    return self.lost(format!("no mark price for {LONGEST_SILENCE:?}: {silent}"));
                }
                () = sleep_until(rotate_at) => return Ended::Rotated,
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use bytes::Bytes;
    use tokio::sync::mpsc;

    use super::*;
    use crate::net::NetError;

    type Incoming = Result<SocketMessage, NetError>;

    /// The server's ends of one connection.
    struct Served {
        url: String,
        at: Instant,
        send: mpsc::UnboundedSender<Incoming>,
        received: mpsc::UnboundedReceiver<SocketMessage>,
    }

    impl Served {
        fn says(&self, message: SocketMessage) {
            self.send.send(Ok(message)).unwrap();
        }

        fn mark(&self, symbol: &str, price: &str) {
            self.says(SocketMessage::Text(format!(
                r#"{{"stream":"x","data":{{"e":"markPriceUpdate","E":1,"s":"{symbol}","p":"{price}","st":1}}}}"#
            )));
        }
    }

    /// A server that refuses the first `refusals` connections, and the prices that come out.
    fn following(refusals: usize) -> (mpsc::Receiver<Served>, mpsc::Receiver<Vec<(Symbol, Price)>>) {
        let (opened, connections) = mpsc::channel(10);
        let refusals = Arc::new(Mutex::new(refusals));
        let connector = SocketConnector::from_fn(move |url| {
            let (opened, refusals) = (opened.clone(), Arc::clone(&refusals));
            Box::pin(async move {
                {
                    let mut left = refusals.lock().unwrap();
                    if *left > 0 {
                        *left -= 1;
                        return Err(NetError::NotSent { host: "world".into(), reason: "refused".into() });
                    }
                }
                let (send, incoming) = mpsc::unbounded_channel();
                let (outgoing, received) = mpsc::unbounded_channel();
                let incoming = futures_util::stream::unfold(incoming, async |mut incoming| {
                    incoming.recv().await.map(|message| (message, incoming))
                });
                let outgoing = futures_util::sink::unfold(outgoing, async |outgoing, message| {
                    outgoing
                        .send(message)
                        .map(|()| outgoing)
                        .map_err(|_| NetError::Interrupted { host: "world".into(), reason: "gone".into() })
                });
                opened.send(Served { url, at: Instant::now(), send, received }).await.unwrap();
                Ok(Socket::new(incoming, outgoing))
            })
        });
        let symbols = ["BTCUSDT", "ETHUSDT"].map(|name| Symbol::new(name).unwrap()).to_vec();
        let (out, prices) = mpsc::channel(10);
        tokio::spawn(follow_marks(connector, "ws://world/".into(), symbols, out));
        (connections, prices)
    }

    fn written(batch: &[(Symbol, Price)]) -> Vec<String> {
        batch.iter().map(|(symbol, price)| format!("{symbol} {price}")).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn prices_that_come_together_travel_together_the_latest_of_each() {
        let (mut connections, mut prices) = following(0);
        let server = connections.recv().await.unwrap();
        assert_eq!(server.url, "ws://world/market/stream?streams=btcusdt@markPrice@1s/ethusdt@markPrice@1s");
        server.mark("BTCUSDT", "1.5");
        server.mark("ETHUSDT", "2.5");
        server.mark("BTCUSDT", "1.6");
        assert_eq!(written(&prices.recv().await.unwrap()), ["BTCUSDT 1.6", "ETHUSDT 2.5"]);
        server.mark("BTCUSDT", "1.7");
        assert_eq!(written(&prices.recv().await.unwrap()), ["BTCUSDT 1.7"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_price_of_ours_is_passed_over() {
        let (mut connections, mut prices) = following(0);
        let server = connections.recv().await.unwrap();
        for text in [
            "",
            "[]",
            r#"{"result":null,"id":1}"#,
            r#"{"e":"kline","s":"BTCUSDT","p":"9"}"#,
            r#"{"e":"markPriceUpdate","s":"DOGEUSDT","p":"9"}"#,
            r#"{"e":"markPriceUpdate","s":"BTCUSDT","p":"0"}"#,
            r#"{"e":"markPriceUpdate","s":"BTCUSDT","p":"NaN"}"#,
            r#"{"e":"markPriceUpdate","s":"BTCUSDT"}"#,
            r#"{"e":"markPriceUpdate","s":"BTCUSDT","p":4.25}"#,
        ] {
            server.says(SocketMessage::Text(text.into()));
        }
        assert_eq!(written(&prices.recv().await.unwrap()), ["BTCUSDT 4.25"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_ping_is_answered_with_its_own_bytes() {
        let (mut connections, _prices) = following(0);
        let mut server = connections.recv().await.unwrap();
        server.says(SocketMessage::Ping(Bytes::from_static(b"17")));
        assert_eq!(server.received.recv().await, Some(SocketMessage::Pong(Bytes::from_static(b"17"))));
    }

    #[tokio::test(start_paused = true)]
    async fn one_silent_contract_ends_the_connection_though_the_other_talks() {
        let (mut connections, mut prices) = following(0);
        let first = connections.recv().await.unwrap();
        let (second, _) = tokio::join!(connections.recv(), async {
            for second in 0..100 {
                if first.send.is_closed() {
                    return second;
                }
                first.mark("BTCUSDT", "1");
                sleep(Duration::from_secs(1)).await;
                while prices.try_recv().is_ok() {}
            }
            100
        });
        let waited = second.unwrap().at - first.at;
        assert!(waited >= LONGEST_SILENCE && waited < LONGEST_SILENCE + Duration::from_secs(2), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn every_way_of_ending_leads_to_a_new_connection() {
        let (mut connections, mut prices) = following(0);
        let broken = NetError::Interrupted { host: "world".into(), reason: "reset".into() };
        let ways: [Option<Incoming>; 4] = [
            Some(Ok(SocketMessage::Close(Some(1000)))),
            Some(Ok(SocketMessage::Close(None))),
            Some(Err(broken)),
            None,
        ];
        for way in ways {
            let server = connections.recv().await.unwrap();
            server.mark("ETHUSDT", "3");
            assert_eq!(prices.recv().await.unwrap().len(), 1);
            match way {
                Some(message) => server.send.send(message).unwrap(),
                None => drop(server.send),
            }
        }
        assert!(connections.recv().await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_refuses_is_asked_ever_more_rarely() {
        let begun = Instant::now();
        let (mut connections, _prices) = following(5);
        let server = connections.recv().await.unwrap();
        assert_eq!(server.at - begun, FIRST_PAUSE * (1 + 2 + 4 + 8 + 16));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_replaced_before_the_server_ends_it() {
        let (mut connections, mut prices) = following(0);
        let first = connections.recv().await.unwrap();
        let mut hours = 0;
        let second = loop {
            tokio::select! {
                biased;
                next = connections.recv() => break next.unwrap(),
                () = sleep(Duration::from_secs(30)) => {
                    hours += 1;
                    first.mark("BTCUSDT", "1");
                    first.mark("ETHUSDT", "1");
                }
                _ = prices.recv() => {}
            }
            assert!(hours < 24 * 120, "no rotation in a day");
        };
        assert_eq!(second.at - first.at, LIFETIME);
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_when_nobody_listens() {
        let (mut connections, prices) = following(0);
        let server = connections.recv().await.unwrap();
        drop(prices);
        server.send.closed().await;
    }
}
