//! The world over TCP, as programs of others meet it: cut connections, dead sockets, odd requests.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use hmac::{Hmac, KeyInit, Mac};
use http::{Method, Request};
use jarvis::domain::{ManualClock, Usdt};
use jarvis::net::{Answer, NetError, Transport};
use jarvis::world::faults::{Effect, Match, Rule, Schedule};
use jarvis::world::{Histories, World, WorldKey, WorldOptions};
use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

const START: &str = "2026-03-02T07:30:00Z";
const BUY: &str = "symbol=SOLUSDT&side=BUY&type=MARKET&quantity=1&newOrderRespType=RESULT";

static HISTORIES: Histories = Histories::new();

fn world() -> Arc<World> {
    let options = WorldOptions {
        seed: 7,
        accounts: vec!["mirat".parse().unwrap()],
        balance: Usdt::of(Decimal::ONE_THOUSAND),
        speed: 0.0,
        token_delay: Duration::ZERO,
        enforce_limits: false,
        recorded: None,
        state_file: None,
    };
    World::open_from(&HISTORIES, options, Arc::new(ManualClock::new(START.parse().unwrap()))).unwrap()
}

/// A client of a world, over the network or within the process.
struct Outsider {
    world: Arc<World>,
    key: WorldKey,
    base: String,
    transport: Transport,
}

impl Outsider {
    async fn over_tcp() -> Self {
        // Another test may have been first, which is as good.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let world = world();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = world.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { key: world.keys()[0].clone(), base, transport: Transport::network().unwrap(), world }
    }

    fn in_process(world: Arc<World>) -> Self {
        let transport = Transport::in_process(world.router());
        Self { key: world.keys()[0].clone(), base: "http://world".to_owned(), transport, world }
    }

    fn sign(&self, params: &str) -> String {
        let now = START.parse::<jarvis::domain::Timestamp>().unwrap().timestamp_millis();
        let stamped = format!("{params}{}timestamp={now}", if params.is_empty() { "" } else { "&" });
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.api_secret.as_bytes()).unwrap();
        mac.update(stamped.as_bytes());
        format!("{stamped}&signature={}", hex::encode(mac.finalize().into_bytes()))
    }

    async fn send(&self, method: &Method, path: &str, body: String) -> Result<Answer, NetError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("X-MBX-APIKEY", &self.key.api_key)
            .body(Bytes::from(body))
            .unwrap();
        self.transport.fetch(request, Duration::from_secs(20), 4 << 20).await
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.send(&Method::GET, path, String::new()).await.unwrap();
        serde_json::from_slice(&answer.body).unwrap()
    }

    async fn buy(&self) -> Result<Answer, NetError> {
        self.send(&Method::POST, "/fapi/v1/order", self.sign(BUY)).await
    }

    async fn orders(&self) -> usize {
        let signed = self.sign("symbol=SOLUSDT");
        self.get(&format!("/fapi/v1/allOrders?{signed}")).await.as_array().unwrap().len()
    }

    async fn control(&self, method: &Method, rule: &Value) {
        let answer = self.send(method, "/world/faults", rule.to_string()).await.unwrap();
        assert_eq!(answer.status, 200, "{:?}", answer.body);
    }
}

#[tokio::test]
async fn a_connection_is_cut_without_an_answer_and_the_order_stands_or_not() {
    let outsider = Outsider::over_tcp().await;
    for (effect, orders) in [
        (json!({"kind": "reset", "acted": false}), 0),
        (json!({"kind": "reset"}), 1),
        (json!({"kind": "timeout", "acted": true, "hang_ms": 20}), 2),
        (json!({"kind": "timeout", "acted": false, "hang_ms": 20}), 2),
        (json!({"kind": "truncated"}), 3),
    ] {
        outsider.control(&Method::POST, &json!({"effect": effect, "match": {"class": "order"}})).await;
        let failed = outsider.buy().await.unwrap_err();
        assert!(matches!(failed, NetError::Interrupted { .. }), "{effect}: {failed:?}");
        outsider.control(&Method::DELETE, &Value::Null).await;
        assert_eq!(outsider.orders().await, orders, "{effect}");
    }
    assert_eq!(outsider.buy().await.unwrap().status, 200, "the next connection is fine");
}

#[tokio::test]
async fn a_truncated_answer_arrives_by_half_before_the_cut() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let outsider = Outsider::over_tcp().await;
    outsider
        .control(&Method::POST, &json!({"effect": {"kind": "truncated"}, "match": {"path": "/exchangeInfo"}}))
        .await;
    let mut stream =
        tokio::net::TcpStream::connect(outsider.base.trim_start_matches("http://")).await.unwrap();
    stream.write_all(b"GET /fapi/v1/exchangeInfo HTTP/1.1\r\nhost: world\r\n\r\n").await.unwrap();
    let mut all = Vec::new();
    // A cut may show as an end or as an error; what came before counts.
    let _end = stream.read_to_end(&mut all).await;
    let text = String::from_utf8_lossy(&all);
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let length: usize = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned))
        .unwrap()
        .parse()
        .unwrap();
    assert!(body.len() == length / 2 && body.starts_with('{'), "{} of {length}", body.len());
}

#[tokio::test]
async fn a_dead_socket_answers_no_ping_while_a_living_one_does() {
    use futures_util::SinkExt;
    let outsider = Outsider::over_tcp().await;
    let url = format!("{}/market/ws/btcusdt@markPrice@1s", outsider.base.replace("http", "ws"));
    let (mut socket, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
    socket.send(Message::Ping(Bytes::from_static(b"1"))).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::Pong(Bytes::from_static(b"1")));
    outsider.control(&Method::POST, &json!({"effect": {"kind": "silent"}, "schedule": "once"})).await;
    outsider.world.step();
    // A second connection shows that the world lives on while the first says nothing.
    let (mut other, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
    socket.send(Message::Ping(Bytes::from_static(b"2"))).await.unwrap();
    other.send(Message::Ping(Bytes::from_static(b"3"))).await.unwrap();
    assert_eq!(other.next().await.unwrap().unwrap(), Message::Pong(Bytes::from_static(b"3")));
    outsider.world.step();
    assert!(other.next().await.unwrap().unwrap().into_text().unwrap().contains("markPriceUpdate"));
    let said = futures_util::FutureExt::now_or_never(socket.next());
    assert!(said.is_none(), "{said:?}");
    outsider.control(&Method::POST, &json!({"effect": {"kind": "disconnect"}, "schedule": "once"})).await;
    assert!(matches!(other.next().await, Some(Ok(Message::Close(_)))));
}

#[tokio::test]
async fn the_library_arms_the_same_rules_and_reads_the_same_log() {
    let outsider = Outsider::in_process(world());
    let rule = Rule::new(Effect::Unknown503 { acted: true })
        .matching(Match { path: Some("/order".to_owned()), nth: Some(2), ..Match::default() })
        .scheduled(Schedule::Once);
    assert_eq!(outsider.world.arm(None, vec![rule]).unwrap(), [1]);
    let statuses = [outsider.buy().await.unwrap().status, outsider.buy().await.unwrap().status];
    assert_eq!(statuses.map(|status| status.as_u16()), [200, 503]);
    let log = outsider.world.faults().injected();
    assert_eq!((log.len(), log[0].answered), (1, Some(200)));
    let told = outsider.get("/world/faults").await;
    assert_eq!(told["injected"], serde_json::to_value(&log).unwrap());
    assert_eq!(outsider.orders().await, 2);
}

/// The books without what passes by itself.
async fn books(outsider: &Outsider) -> Value {
    outsider.get("/world/state").await["accounts"].clone()
}

fn method() -> impl Strategy<Value = Method> {
    prop_oneof![
        Just(Method::GET),
        Just(Method::POST),
        Just(Method::PUT),
        Just(Method::DELETE),
        Just(Method::PATCH),
        Just(Method::OPTIONS),
        Just(Method::HEAD),
    ]
}

fn path() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "/fapi/v1/order",
        "/fapi/v1/order/test",
        "/fapi/v1/batchOrders",
        "/fapi/v1/algoOrder",
        "/fapi/v1/openOrders",
        "/fapi/v1/algoOpenOrders",
        "/fapi/v1/openAlgoOrders",
        "/fapi/v1/allOpenOrders",
        "/fapi/v1/leverage",
        "/fapi/v1/marginType",
        "/fapi/v1/positionMargin",
        "/fapi/v1/countdownCancelAll",
        "/fapi/v1/income",
        "/fapi/v1/userTrades",
        "/fapi/v1/klines",
        "/fapi/v1/aggTrades",
        "/fapi/v1/depth",
        "/fapi/v1/listenKey",
        "/fapi/v3/account",
        "/fapi/v2/positionRisk",
        "/futures/data/openInterestHist",
        "/sapi/v1/capital/config/getall",
    ]);
    prop_oneof![
        4 => known.prop_map(str::to_owned),
        1 => "/(fapi|futures|sapi|ws|stream|private)(/[a-zA-Z0-9%._-]{0,12}){0,4}",
        1 => "(/[!-~&&[^?#\\[\\]{}<>\"\\\\^`|%/]]{0,10}){1,4}",
    ]
}

fn params() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "symbol",
        "side",
        "type",
        "quantity",
        "price",
        "timeInForce",
        "orderId",
        "origClientOrderId",
        "algoType",
        "triggerPrice",
        "callbackRate",
        "closePosition",
        "reduceOnly",
        "leverage",
        "marginType",
        "amount",
        "limit",
        "startTime",
        "endTime",
        "fromId",
        "interval",
        "period",
        "batchOrders",
        "orderIdList",
        "countdownTime",
        "newClientOrderId",
        "recvWindow",
        "timestamp",
        "signature",
        "goodTillDate",
        "workingType",
        "positionSide",
    ]);
    let value = prop_oneof![
        prop::sample::select(vec![
            "SOLUSDT",
            "BTCUSDT",
            "BUY",
            "SELL",
            "MARKET",
            "LIMIT",
            "STOP_MARKET",
            "GTC",
            "GTD",
            "CONDITIONAL",
            "true",
            "0",
            "-1",
            "1e9",
            "NaN",
            "9223372036854775808",
            "79228162514264337593543950336",
            "0.00000001",
            "%5B%5D",
            "%5B%7B%7D%5D",
            "%00",
            "%",
            "%C3%28",
            "1h",
            "ISOLATED",
            "[[",
            "{",
            "null",
        ])
        .prop_map(str::to_owned),
        "[a-zA-Z0-9%.+_-]{0,24}",
    ];
    prop::collection::vec((name, value), 0..8).prop_map(|pairs| {
        pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, max_shrink_iters: 200, ..ProptestConfig::default() })]

    /// Whatever is asked, the answer is the documented kind, and what was refused left no trace in the books.
    #[test]
    fn anything_at_all_is_answered_as_documented_and_a_refusal_changes_nothing(
        method in method(), path in path(), query in params(), body in prop_oneof![params(), ".{0,40}"],
        signed: bool, in_query: bool,
    ) {
        static WORLD: std::sync::OnceLock<Arc<World>> = std::sync::OnceLock::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let world = Arc::clone(WORLD.get_or_init(world));
        runtime.block_on(async move {
            let outsider = Outsider::in_process(world);
            let before = books(&outsider).await;
            let (query, body) = match (signed, in_query) {
                (true, true) => (outsider.sign(&query), String::new()),
                (true, false) => (String::new(), outsider.sign(&body.replace(['?', '#'], ""))),
                (false, _) => (query, body),
            };
            let target = if query.is_empty() { path.clone() } else { format!("{path}?{query}") };
            prop_assume!(target.parse::<http::Uri>().is_ok() && !path.starts_with("/world"));
            let answer = outsider.send(&method, &target, body).await.unwrap();
            let status = answer.status.as_u16();
            prop_assert!(status < 500, "{method} {target} {status}");
            let is_api = ["/fapi/", "/futures/data/", "/sapi/"].iter().any(|start| path.starts_with(start));
            if is_api && method != Method::HEAD {
                let told: Value = serde_json::from_slice(&answer.body).expect("JSON always");
                if status >= 400 {
                    prop_assert!(told["code"].as_i64().is_some_and(|code| code < 0), "{told}");
                    prop_assert!(told["msg"].as_str().is_some_and(|text| !text.is_empty()), "{told}");
                }
                prop_assert!(answer.headers.contains_key("x-mbx-used-weight-1m"));
            }
            if status >= 400 {
                prop_assert_eq!(books(&outsider).await, before, "{} {}", method, target);
            }
            Ok(())
        })?;
    }
}
