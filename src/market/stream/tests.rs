//! The streams against a server that talks, stays silent, refuses and breaks.

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

#[test]
fn a_mark_price_update_tells_of_the_index_and_the_funding_too() {
    let update = serde_json::json!({
        "e": "markPriceUpdate", "E": 1_772_438_700_000_i64, "s": "BTCUSDT", "p": "66000.5", "i": "66001",
        "P": "65000", "r": "-0.00012", "T": 1_772_438_800_000_i64, "st": 1,
    });
    let (symbol, premium) = read_premium(&update).unwrap();
    let price = |value: Option<Price>| value.map(|price| price.to_string());
    assert_eq!(
        (symbol, price(premium.mark_price), price(premium.index_price)),
        ("BTCUSDT", Some("66000.5".into()), Some("66001".into()))
    );
    assert_eq!(premium.funding_rate.map(|rate| rate.to_string()).as_deref(), Some("-0.00012"));
    assert_eq!(premium.next_funding.map(|at| at.timestamp_millis()), Some(1_772_438_800_000));
    // A contract that is delivered has no funding.
    let update =
        serde_json::json!({"e": "markPriceUpdate", "s": "BTCUSDT_261225", "p": "1", "r": "", "T": 0});
    assert_eq!(read_premium(&update).unwrap().1.funding_rate, None);
    assert!(read_premium(&serde_json::json!({"e": "bookTicker", "s": "BTCUSDT"})).is_none());
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
    server.mark("BTCUSDT", "1.6");
    server.mark("ETHUSDT", "2.5");
    let began = Instant::now();
    assert_eq!(written(&prices.recv().await.unwrap()), ["BTCUSDT 1.6", "ETHUSDT 2.5"]);
    assert_eq!(began.elapsed(), Duration::ZERO, "nobody waits for more when all were heard");
    server.mark("BTCUSDT", "1.7");
    assert_eq!(written(&prices.recv().await.unwrap()), ["BTCUSDT 1.7"]);
    assert!(began.elapsed() >= BATCH, "others may come along");
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

/// Lets `old` talk until there is another connection.
async fn until_the_next(
    connections: &mut mpsc::Receiver<Served>,
    prices: &mut mpsc::Receiver<Vec<(Symbol, Price)>>,
    old: &Served,
) -> Served {
    let day = Instant::now() + Duration::from_hours(24);
    while Instant::now() < day {
        tokio::select! {
            biased;
            next = connections.recv() => {
                // What the old one said last is still on its way.
                sleep(Duration::from_secs(1)).await;
                while prices.try_recv().is_ok() {}
                return next.unwrap();
            }
            () = sleep(Duration::from_secs(30)) => {
                old.mark("BTCUSDT", "1");
                old.mark("ETHUSDT", "1");
            }
        }
        while prices.try_recv().is_ok() {}
    }
    panic!("no other connection in a day");
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_is_followed_until_the_next_one_has_brought_a_price() {
    let (mut connections, mut prices) = following(0);
    let first = connections.recv().await.unwrap();
    let second = until_the_next(&mut connections, &mut prices, &first).await;
    assert_eq!(second.at - first.at, LIFETIME, "well before the server ends it");
    first.mark("BTCUSDT", "5");
    assert_eq!(written(&prices.recv().await.unwrap()), ["BTCUSDT 5"], "the old one still counts");
    second.says(SocketMessage::Text(r#"{"result":null,"id":1}"#.to_owned()));
    first.mark("BTCUSDT", "6");
    assert_eq!(written(&prices.recv().await.unwrap()), ["BTCUSDT 6"], "an answer is no price");
    second.mark("ETHUSDT", "7");
    assert_eq!(written(&prices.recv().await.unwrap()), ["ETHUSDT 7"]);
    first.send.closed().await;
    second.mark("BTCUSDT", "8");
    assert_eq!(written(&prices.recv().await.unwrap()), ["BTCUSDT 8"]);
    let third = until_the_next(&mut connections, &mut prices, &second).await;
    assert!(third.at - second.at >= LIFETIME, "and so on");
}

#[tokio::test(start_paused = true)]
async fn a_next_connection_that_stays_silent_is_given_up_and_another_is_tried() {
    let (mut connections, mut prices) = following(0);
    let first = connections.recv().await.unwrap();
    let silent = until_the_next(&mut connections, &mut prices, &first).await;
    let another = until_the_next(&mut connections, &mut prices, &first).await;
    assert!(another.at - silent.at >= LONGEST_SILENCE);
    assert!(silent.send.is_closed() && !first.send.is_closed());
    another.mark("BTCUSDT", "9");
    first.send.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_while_the_next_has_not_spoken_is_replaced_at_once() {
    let (mut connections, mut prices) = following(0);
    let first = connections.recv().await.unwrap();
    let second = until_the_next(&mut connections, &mut prices, &first).await;
    first.says(SocketMessage::Close(Some(1000)));
    first.send.closed().await;
    second.mark("BTCUSDT", "4");
    assert_eq!(written(&prices.recv().await.unwrap()), ["BTCUSDT 4"]);
    assert!(connections.try_recv().is_err(), "no third one was needed");
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_nobody_listens() {
    let (mut connections, prices) = following(0);
    let server = connections.recv().await.unwrap();
    drop(prices);
    server.send.closed().await;
}

#[tokio::test(start_paused = true)]
async fn quotes_come_over_their_own_route_and_a_crossed_book_is_none() {
    let (opened, mut connections) = mpsc::channel(1);
    let connector = SocketConnector::from_fn(move |url| {
        let opened = opened.clone();
        Box::pin(async move {
            let (send, incoming) = mpsc::unbounded_channel();
            let incoming = futures_util::stream::unfold(incoming, async |mut incoming| {
                incoming.recv().await.map(|message| (message, incoming))
            });
            opened.send((url, send)).await.unwrap();
            Ok(Socket::new(incoming, futures_util::sink::unfold((), async |(), _| Ok(()))))
        })
    });
    let (out, mut quotes) = mpsc::channel(1);
    let symbols = vec![Symbol::new("BTCUSDT").unwrap()];
    tokio::spawn(follow_quotes(connector, "ws://world".into(), symbols, out));
    let (url, server) = connections.recv().await.unwrap();
    assert_eq!(url, "ws://world/public/stream?streams=btcusdt@bookTicker");
    for (bid, ask) in [("5", "4"), ("0", "1"), ("NaN", "1"), ("4.5", "5.5")] {
        let text = format!(r#"{{"data":{{"e":"bookTicker","u":1,"s":"BTCUSDT","b":"{bid}","a":"{ask}"}}}}"#);
        server.send(Ok::<_, NetError>(SocketMessage::Text(text))).unwrap();
    }
    let batch = quotes.recv().await.unwrap();
    assert_eq!((batch.len(), batch[0].1.middle().unwrap().to_string()), (1, "5".to_owned()));
}
