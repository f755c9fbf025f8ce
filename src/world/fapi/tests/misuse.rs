//! What no client should send, over the network and without.

use std::net::SocketAddr;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::{Client, client};
use crate::domain::Clock;

async fn served(client: &Client) -> (JoinHandle<std::io::Result<()>>, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = client.router.clone();
    (tokio::spawn(async move { axum::serve(listener, router).await }), address)
}

#[tokio::test]
async fn a_client_writes_its_too_large_body_out_and_then_reads_the_refusal() {
    const LENGTH: usize = 10_000_000;
    let (server, address) = served(&client()).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /fapi/v1/order HTTP/1.1\r\nhost: world\r\nconnection: close\r\ncontent-length: {LENGTH}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&vec![b'a'; LENGTH]).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("-1102"), "{answer}");
    server.abort();
}

#[tokio::test]
async fn an_order_whose_numbers_have_blanks_or_a_plus_sign_is_not_carried_out() {
    let client = client();
    let now = client.wall.now().timestamp_millis();
    let order = "symbol=SOLUSDT&side=BUY&type=MARKET";
    for (params, name) in [
        (format!("{order}&quantity=1&timestamp=+{now}"), "timestamp"),
        (format!("{order}&quantity=1&timestamp=%2B{now}"), "timestamp"),
        (format!("{order}&quantity=%201%20&timestamp={now}"), "quantity"),
        (format!("{order}&quantity=%2B1&timestamp={now}"), "quantity"),
        (format!("{order}&quantity=1&recvWindow=1e4&timestamp={now}"), "recvWindow"),
    ] {
        let signed = format!("{params}&signature={}", client.signature(&params));
        let reply = client.raw("POST", "/fapi/v1/order", &signed, Some(&client.key.api_key)).await;
        assert_eq!((reply.status.as_u16(), reply.code()), (400, -1100), "{params} {}", reply.body);
        let told = format!("Illegal characters found in parameter '{name}'; legal range is '^");
        assert!(reply.body["msg"].as_str().unwrap().starts_with(&told), "{}", reply.body);
    }
    let positions = client.signed("GET", "/fapi/v3/positionRisk", "").await.body;
    assert_eq!(positions, json!([]));
}

#[tokio::test]
async fn a_window_that_ends_before_it_starts_is_refused_by_every_listing() {
    let client = client();
    let window = "symbol=BTCUSDT&startTime=1600000000002&endTime=1600000000001";
    for path in ["/fapi/v1/klines?interval=1h", "/fapi/v1/aggTrades?limit=5", "/fapi/v1/fundingRate?limit=5"]
    {
        let reply = client.get(&format!("{path}&{window}")).await;
        assert_eq!((reply.status.as_u16(), reply.code()), (400, -1023), "{path}");
    }
    for path in ["income", "userTrades", "allOrders", "allAlgoOrders", "positionMargin/history"] {
        let reply = client.signed("GET", &format!("/fapi/v1/{path}"), window).await;
        assert_eq!((reply.status.as_u16(), reply.code()), (400, -1023), "{path} {}", reply.body);
    }
}

/// A frame as a client sends it, masked with zeros: its first byte, its payload.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | u8::try_from(length).unwrap()),
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&u64::try_from(length).unwrap().to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// Makes a websocket of a connection.
async fn upgrade(socket: &mut TcpStream, path: &str) {
    let upgrade = "HTTP/1.1\r\nhost: world\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(format!("GET {path} {upgrade}").as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"));
}

/// Everything the exchange says to such bytes on a websocket, until it hangs up.
async fn answered(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(address).await.unwrap();
    upgrade(&mut socket, "/market/ws").await;
    socket.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_websocket_that_breaks_the_protocol_is_closed_with_the_code_that_says_how() {
    let (server, address) = served(&client()).await;
    for (bytes, code, what) in [
        (vec![0x81, 0x01, b'a'], 1002_u16, "unmasked"),
        (frame(0x83, b""), 1002, "reserved opcode"),
        (frame(0xC1, b"a"), 1002, "reserved bit"),
        (frame(0x89, &[b'a'; 126]), 1002, "long ping"),
        (frame(0x09, b""), 1002, "ping in pieces"),
        (frame(0x80, b""), 1002, "continuation of nothing"),
        (frame(0x81, &[0xFF]), 1007, "text that is none"),
        (frame(0x81, &vec![b'a'; 64 * 1024 + 1]), 1009, "long text"),
    ] {
        let [high, low] = code.to_be_bytes();
        assert_eq!(answered(address, &bytes).await, [0x88, 0x02, high, low], "{what}");
    }
    server.abort();
}

#[tokio::test(start_paused = true)]
async fn who_never_reads_is_disconnected() {
    let client = client();
    let (server, address) = served(&client).await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut socket = socket.connect(address).await.unwrap();
    let books: Vec<String> = {
        let core = client.world.core();
        let symbols = core.engine.contracts().keys();
        symbols.map(|symbol| format!("{}@depth20", symbol.as_str().to_lowercase())).collect()
    };
    upgrade(&mut socket, &format!("/public/ws/{}", books.join("/"))).await;
    assert!(client.world.feed().is_heard());
    // Seconds of tokio's own time, in which the buffers fill up and are not emptied.
    let mut seconds = 0;
    while client.world.feed().is_heard() {
        seconds += 1;
        assert!(seconds < 3000, "still connected");
        client.wall.advance(chrono::Duration::seconds(1));
        client.world.step();
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    assert!(seconds > 60, "{seconds}");
    server.abort();
}

#[tokio::test]
async fn more_streams_than_a_connection_carries_are_refused_in_its_address_too() {
    let client = client();
    let (server, address) = served(&client).await;
    let named =
        |count: usize| (0..count).map(|number| format!("s{number}@trade")).collect::<Vec<_>>().join("/");
    for (path, streams, status) in [
        ("/public/stream?streams=", named(1024), None),
        ("/public/stream?streams=", named(1025), Some(400)),
        ("/public/ws/", named(1025), Some(400)),
        ("/public/ws/", format!("{0}/{0}", named(1024)), None),
    ] {
        let url = format!("ws://{address}{path}{streams}");
        let refused = match tokio_tungstenite::connect_async(url).await {
            Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => Some(answer.status().as_u16()),
            other => other.map(|_| None).unwrap(),
        };
        assert_eq!(refused, status, "{path}");
    }
    server.abort();
}
