//! Whatever the private stream says, it is read, passed over, or asks for a fresh look; nothing ends the program.
#![no_main]

mod support;

use std::sync::Arc;

use jarvis::domain::{ManualClock, Timestamp};
use jarvis::exchange::{Credentials, ExchangeClient, UserEvent, user_stream};
use jarvis::net::{NetError, Socket, SocketConnector, SocketMessage};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let client = ExchangeClient::new(
        support::answering(200, "application/json", br#"{"listenKey":"k"}"#),
        "http://exchange",
        Credentials { api_key: "key".into(), api_secret: "secret".into() },
        Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH)),
    );
    let frames: Vec<String> = text.split('\u{1e}').take(8).map(ToOwned::to_owned).collect();
    let connector = SocketConnector::from_fn(move |_| {
        let frames = frames.clone();
        Box::pin(async move {
            let incoming =
                futures_util::stream::iter(frames.into_iter().map(|text| Ok(SocketMessage::Text(text))));
            let outgoing = futures_util::sink::unfold((), |(), _| async { Ok::<_, NetError>(()) });
            Ok(Socket::new(incoming, outgoing))
        })
    });
    support::block_on(async {
        let (out, mut events) = tokio::sync::mpsc::channel(64);
        let following = user_stream::follow(client, connector, "ws://exchange".to_owned(), out);
        let hearing = async {
            assert_eq!(events.recv().await, Some(UserEvent::Reconnected));
            loop {
                match events.recv().await {
                    Some(UserEvent::Disconnected { .. }) => break,
                    Some(event) => drop(format!("{event:?}")),
                    None => panic!("the stream is not to be given up"),
                }
            }
            drop(events);
        };
        tokio::join!(following, hearing);
    });
});
