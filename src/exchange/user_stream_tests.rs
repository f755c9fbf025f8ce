//! The private stream against a socket that is fed by hand, on a paused clock.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::tests::Fake;
use super::user_stream::follow;
use super::{AlgoStatus, OrderStatus, UserEvent};
use crate::net::{NetError, Socket, SocketConnector, SocketMessage};

type Incoming = Result<SocketMessage, NetError>;

/// The server's side of one connection.
struct Line {
    url: String,
    to_client: mpsc::UnboundedSender<Incoming>,
    from_client: mpsc::UnboundedReceiver<SocketMessage>,
}

impl Line {
    fn say(&self, text: &str) {
        self.to_client.send(Ok(SocketMessage::Text(text.to_owned()))).unwrap();
    }
}

/// A stream being followed, with everything a test needs to steer it.
struct Stage {
    fake: Fake,
    lines: mpsc::UnboundedReceiver<Line>,
    events: mpsc::Receiver<UserEvent>,
    task: JoinHandle<()>,
}

impl Stage {
    /// `keys` are what the exchange answers to one request for a listen key after the other.
    fn with_keys(keys: &[&str]) -> Self {
        Self::answering(keys.iter().map(|key| (200, format!(r#"{{"listenKey":"{key}"}}"#))))
    }

    fn answering(answers: impl IntoIterator<Item = (u16, String)>) -> Self {
        let fake = Fake::answering(answers);
        let (line_sender, lines) = mpsc::unbounded_channel();
        let line_sender = Arc::new(Mutex::new(line_sender));
        let connector = SocketConnector::from_fn(move |url| {
            let (to_client, incoming) = mpsc::unbounded_channel();
            let (outgoing, from_client) = mpsc::unbounded_channel();
            line_sender.lock().unwrap().send(Line { url, to_client, from_client }).unwrap();
            let incoming = futures_util::stream::unfold(incoming, |mut incoming| async {
                incoming.recv().await.map(|message| (message, incoming))
            });
            let outgoing = futures_util::sink::unfold(outgoing, |outgoing, message| async {
                // A line dropped by the test swallows what is sent to it, as a dead network does.
                let _ = mpsc::UnboundedSender::send(&outgoing, message);
                Ok::<_, NetError>(outgoing)
            });
            Box::pin(async { Ok(Socket::new(incoming, outgoing)) })
        });
        let (out, events) = mpsc::channel(64);
        let task = tokio::spawn(follow(fake.client(), connector, "ws://exchange/".to_owned(), out));
        Self { fake, lines, events, task }
    }

    async fn line(&mut self) -> Line {
        self.lines.recv().await.unwrap()
    }

    async fn event(&mut self) -> UserEvent {
        self.events.recv().await.unwrap()
    }

    async fn reconnected(&mut self) -> Line {
        let line = self.line().await;
        assert_eq!(self.event().await, UserEvent::Reconnected);
        line
    }

    async fn lost(&mut self) -> String {
        match self.event().await {
            UserEvent::Disconnected { reason } => reason,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn events_of_every_kind_are_told_and_unknown_ones_do_no_harm() {
    let mut stage = Stage::with_keys(&["k1"]);
    let line = stage.reconnected().await;
    assert_eq!(line.url, "ws://exchange/private/ws?listenKey=k1");
    line.say(r#"{"result":null,"id":1}"#);
    line.say(
        r#"{"e":"ORDER_TRADE_UPDATE","E":1700000000001,"T":1,"st":1,"o":{"s":"BTCUSDT","c":"jv-o1","S":"BUY","o":"MARKET","q":"0.010",
        "ap":"60000.5","x":"TRADE","X":"FILLED","i":8886774,"l":"0.010","z":"0.010","L":"60000.5","N":"USDT","n":"0.3","t":42,"m":false,"R":false,"rp":"0","er":"0"}}"#,
    );
    line.say(
        r#"{"e":"ALGO_UPDATE","E":2,"o":{"caid":"s1","aid":2148719,"o":"STOP_MARKET","s":"BTCUSDT","S":"SELL","X":"REJECTED","ai":"","tp":"54000","rm":"Reduce Only reject"}}"#,
    );
    line.say(
        r#"{"e":"ACCOUNT_UPDATE","E":3,"a":{"m":"ORDER","B":[{"a":"BNB","wb":"1"},{"a":"USDT","wb":"999.7","bc":"0"}],"P":[{"s":"BTCUSDT","pa":"-0.010","ep":"60000.5","up":"0.1","mt":"isolated"}]}}"#,
    );
    line.say(r#"{"e":"TRADE_LITE","E":4,"s":"BTCUSDT"}"#);
    let UserEvent::Order(order) = stage.event().await else { panic!() };
    assert_eq!((order.order_id, order.trade_id, order.status), (8_886_774, Some(42), OrderStatus::Filled));
    assert_eq!(order.commission.unwrap().to_string(), "0.3");
    let UserEvent::Algo(algo) = stage.event().await else { panic!() };
    assert_eq!((algo.status, algo.order_id), (AlgoStatus::Rejected, None));
    assert_eq!(algo.failure.unwrap().raw(), "Reduce Only reject");
    let UserEvent::Account(account) = stage.event().await else { panic!() };
    assert_eq!(account.wallet.unwrap().to_string(), "999.7");
    assert_eq!(account.positions[0].amount.to_string(), "-0.010");
    assert_eq!(stage.event().await, UserEvent::Other { kind: "TRADE_LITE".into() });
}

#[tokio::test(start_paused = true)]
async fn a_new_order_without_a_fee_or_a_fill_is_read() {
    let mut stage = Stage::with_keys(&["k1"]);
    let line = stage.reconnected().await;
    line.say(r#"{"e":"ORDER_TRADE_UPDATE","E":1,"o":{"s":"BTCUSDT","c":"a","x":"NEW","X":"NEW","i":7,"ap":"0","n":null,"N":null,"t":0}}"#);
    let UserEvent::Order(order) = stage.event().await else { panic!() };
    assert_eq!((order.average_price, order.commission, order.trade_id), (None, None, None));
}

#[tokio::test(start_paused = true)]
async fn any_end_of_a_connection_leads_to_the_next_one() {
    let endings: [Option<Incoming>; 6] = [
        Some(Ok(SocketMessage::Close(Some(1000)))),
        Some(Ok(SocketMessage::Close(Some(1008)))),
        Some(Ok(SocketMessage::Close(Some(1001)))),
        Some(Ok(SocketMessage::Close(None))),
        Some(Err(NetError::Interrupted { host: "exchange".into(), reason: "reset".into() })),
        None,
    ];
    let mut stage = Stage::with_keys(&["k1"; 7]);
    let mut line = stage.reconnected().await;
    for ending in endings {
        if let Some(message) = ending {
            line.to_client.send(message).unwrap();
        }
        drop(line);
        let reason = stage.lost().await;
        assert!(!reason.contains("k1"), "{reason}");
        line = stage.reconnected().await;
    }
}

#[tokio::test(start_paused = true)]
async fn pings_are_answered_with_their_own_bytes() {
    let mut stage = Stage::with_keys(&["k1"]);
    let mut line = stage.reconnected().await;
    line.to_client.send(Ok(SocketMessage::Ping(Bytes::from_static(b"17")))).unwrap();
    assert_eq!(line.from_client.recv().await, Some(SocketMessage::Pong(Bytes::from_static(b"17"))));
}

#[tokio::test(start_paused = true)]
async fn a_silent_socket_counts_as_dead() {
    let mut stage = Stage::with_keys(&["k1", "k1"]);
    let began = tokio::time::Instant::now();
    let _mute = stage.reconnected().await;
    assert!(stage.lost().await.contains("silent"));
    assert_eq!(began.elapsed(), Duration::from_secs(150));
    stage.reconnected().await;
}

/// Answers pings for as long as the client keeps the line, and counts the closes it was sent.
fn alive(mut line: Line) -> JoinHandle<usize> {
    tokio::spawn(async move {
        let mut closes = 0;
        while let Some(message) = line.from_client.recv().await {
            match message {
                // A client that is gone needs no answer; its end of the line closes too.
                SocketMessage::Ping(payload) => {
                    let _ = line.to_client.send(Ok(SocketMessage::Pong(payload)));
                }
                SocketMessage::Close(_) => closes += 1,
                _ => {}
            }
        }
        closes
    })
}

#[tokio::test(start_paused = true)]
async fn a_living_socket_is_renewed_before_its_day_is_over_without_a_gap() {
    // One key to open, one for each half hour of 23 hours, one for the next connection.
    let mut stage = Stage::with_keys(&["k1"; 49]);
    let began = tokio::time::Instant::now();
    let old = alive(stage.reconnected().await);
    let new = stage.line().await;
    assert_eq!(began.elapsed(), Duration::from_hours(23));
    new.say(r#"{"e":"TRADE_LITE","E":4,"s":"BTCUSDT"}"#);
    assert!(stage.events.try_recv().is_err(), "the old one holds until the new one has answered");
    let new = alive(new);
    assert_eq!(stage.event().await, UserEvent::Reconnected);
    assert_eq!(stage.event().await, UserEvent::Other { kind: "TRADE_LITE".into() });
    assert_eq!(old.await.unwrap(), 1, "the old one is closed in order");
    assert!(!new.is_finished());
    let paths = stage.fake.paths();
    assert!((46..=48).contains(&paths.len()), "{}", paths.len());
    assert!(paths.iter().all(|path| path == "POST /fapi/v1/listenKey"));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_does_not_answer_leaves_the_old_connection_and_is_tried_again() {
    let mut stage = Stage::with_keys(&["k1"; 60]);
    let old = alive(stage.reconnected().await);
    let mute = stage.line().await;
    let later = stage.line().await;
    assert!(stage.events.try_recv().is_err() && !old.is_finished());
    drop(mute);
    let _later = alive(later);
    assert_eq!(stage.event().await, UserEvent::Reconnected);
    assert_eq!(old.await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_is_away_is_asked_ever_more_rarely_and_never_given_up() {
    let fake = Fake::answering(std::iter::repeat_n((503, "Service Unavailable."), 14));
    let (out, mut events) = mpsc::channel(1);
    let connector = SocketConnector::from_fn(|_| panic!("there is no key to connect with"));
    let task = tokio::spawn(follow(fake.client(), connector, "ws://exchange".to_owned(), out));
    let mut at = Vec::new();
    for _ in 0..14 {
        let event = events.recv().await.unwrap();
        assert!(matches!(event, UserEvent::Disconnected { .. }), "{event:?}");
        at.push(tokio::time::Instant::now());
    }
    task.abort();
    let gaps: Vec<f64> = at.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
    for (gap, pause) in
        gaps.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0, 60.0, 60.0, 60.0, 60.0])
    {
        assert!((pause..=pause * 1.25 + 0.01).contains(gap), "{gaps:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_cannot_be_extended_is_tried_each_minute() {
    let answers = [
        (200, r#"{"listenKey":"k1"}"#),
        (503, "Service Unavailable."),
        (503, "Service Unavailable."),
        (200, r#"{"listenKey":"k1"}"#),
        (200, r#"{"listenKey":"k2"}"#),
        (200, r#"{"listenKey":"k2"}"#),
    ];
    let mut stage = Stage::answering(answers.map(|(status, body)| (status, body.to_owned())));
    let began = tokio::time::Instant::now();
    let line = alive(stage.reconnected().await);
    assert!(stage.lost().await.contains("changed"));
    assert_eq!(began.elapsed(), Duration::from_mins(30 + 2 + 30));
    line.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_expired_key_is_replaced() {
    let mut stage = Stage::with_keys(&["k1", "k2"]);
    let line = stage.reconnected().await;
    line.say(r#"{"e":"listenKeyExpired","E":1,"listenKey":"k1"}"#);
    assert!(stage.lost().await.contains("expired"));
    assert!(stage.reconnected().await.url.ends_with("=k2"));
}

#[tokio::test(start_paused = true)]
async fn a_different_key_at_the_keep_alive_means_a_new_connection() {
    let mut stage = Stage::with_keys(&["k1", "k2", "k2"]);
    let line = stage.reconnected().await;
    let feeding = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_mins(1)).await;
            if line.to_client.send(Ok(SocketMessage::Pong(Bytes::new()))).is_err() {
                return;
            }
        }
    });
    assert!(stage.lost().await.contains("changed"));
    assert!(stage.reconnected().await.url.ends_with("=k2"));
    feeding.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_read_asks_for_a_fresh_look() {
    let mut stage = Stage::with_keys(&["k1"]);
    let line = stage.reconnected().await;
    for broken in [
        "{",
        r#"{"e":"ORDER_TRADE_UPDATE"}"#,
        r#"{"e":"ORDER_TRADE_UPDATE","o":{"s":"BTCUSDT","X":"NEW","z":"many"}}"#,
    ] {
        line.say(broken);
        assert_eq!(stage.event().await, UserEvent::Reconnected, "{broken}");
    }
}

#[tokio::test(start_paused = true)]
async fn following_ends_when_nobody_listens() {
    let mut stage = Stage::with_keys(&["k1"]);
    let _line = stage.reconnected().await;
    drop(stage.events);
    stage.task.await.unwrap();
}
