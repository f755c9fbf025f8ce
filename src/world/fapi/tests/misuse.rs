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
