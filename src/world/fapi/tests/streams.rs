//! Websocket sessions, as clients use them.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Client, client};
use crate::world::{World, WorldSocket};

/// A socket with the questions tests ask.
struct WorldSocketProbe(WorldSocket);

impl WorldSocketProbe {
    fn open(world: &Arc<World>, path: &str) -> Self {
        Self(world.open_socket(path))
    }

    async fn say(&self, text: &str) {
        self.0.to_world.send(text.to_owned()).await.unwrap();
    }

    async fn next(&mut self) -> Value {
        serde_json::from_str(&self.0.from_world.recv().await.unwrap()).unwrap()
    }

    async fn ask(&mut self, command: Value) -> Value {
        self.say(&command.to_string()).await;
        self.next().await
    }

    /// Waits until the session listens and shows that nothing else was said before.
    async fn settled(&mut self) {
        let reply = self.ask(json!({"method": "LIST_SUBSCRIPTIONS", "id": "settled"})).await;
        assert_eq!(reply["id"], "settled", "{reply}");
    }
}

async fn listen_key(client: &Client) -> String {
    let reply = client.raw("POST", "/fapi/v1/listenKey", "", Some(&client.key.api_key)).await;
    reply.body["listenKey"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_user_stream_tells_an_order_from_acceptance_to_balance() {
    let client = client();
    client.prepare().await;
    let key = listen_key(&client).await;
    let mut plain = WorldSocketProbe::open(&client.world, &format!("/private/ws/{key}"));
    let mut narrow = WorldSocketProbe::open(
        &client.world,
        &format!("/private/stream?listenKey={key}&events=ACCOUNT_UPDATE"),
    );
    plain.settled().await;
    narrow.settled().await;
    client
        .post("/fapi/v1/order", "symbol=SOLUSDT&side=BUY&type=MARKET&quantity=1&newClientOrderId=jv-1")
        .await;
    let words: Vec<Value> =
        [plain.next().await, plain.next().await, plain.next().await, plain.next().await].to_vec();
    let kinds: Vec<&str> = words.iter().map(|event| event["e"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["ORDER_TRADE_UPDATE", "TRADE_LITE", "ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE"]);
    assert_eq!((&words[2]["o"]["c"], &words[2]["o"]["X"]), (&json!("jv-1"), &json!("FILLED")));
    assert_eq!(words[3]["a"]["P"][0]["mt"], "isolated");
    let wrapped = narrow.next().await;
    assert_eq!((&wrapped["stream"], &wrapped["data"]["e"]), (&json!(key), &json!("ACCOUNT_UPDATE")));
}

#[tokio::test]
async fn an_expired_listen_key_is_told_once_and_its_socket_falls_mute() {
    let client = client();
    let key = listen_key(&client).await;
    let mut socket = WorldSocketProbe::open(&client.world, &format!("/ws?listenKey={key}"));
    socket.settled().await;
    client.wall.advance(chrono::Duration::minutes(61));
    client.world.step();
    assert_eq!(socket.next().await["e"], "listenKeyExpired");
    client.post("/fapi/v1/order", "symbol=SOLUSDT&side=BUY&type=MARKET&quantity=1").await;
    client.world.step();
    socket.settled().await;
    let reply = client.raw("PUT", "/fapi/v1/listenKey", "", Some(&client.key.api_key)).await;
    assert_eq!(reply.code(), -1125);
}

#[tokio::test]
async fn market_streams_speak_on_their_route_only() {
    let client = client();
    let mut market = WorldSocketProbe::open(&client.world, "/market/stream?streams=");
    assert_eq!(
        market.ask(json!({"method": "SUBSCRIBE", "params": ["btcusdt@markPrice@1s", "btcusdt@bookTicker"], "id": "7f-x"})).await,
        json!({"result": null, "id": "7f-x"})
    );
    let event = market.next().await;
    assert_eq!(
        (&event["stream"], &event["data"]["e"]),
        (&json!("btcusdt@markPrice@1s"), &json!("markPriceUpdate"))
    );
    client.wall.advance(chrono::Duration::seconds(1));
    client.world.step();
    assert_eq!(market.next().await["data"]["s"], "BTCUSDT");
    let listed = market.ask(json!({"method": "LIST_SUBSCRIPTIONS", "id": 3})).await;
    assert_eq!(listed["result"], json!(["btcusdt@markPrice@1s", "btcusdt@bookTicker"]));
    let mut book = WorldSocketProbe::open(&client.world, "/public/ws/btcusdt@bookTicker/ethusdt@bookTicker");
    book.settled().await;
    client.world.step();
    assert_eq!(
        (book.next().await["s"].clone(), book.next().await["s"].clone()),
        (json!("BTCUSDT"), json!("ETHUSDT"))
    );
}

#[tokio::test]
async fn who_talks_too_much_is_disconnected_where_limits_are_real() {
    let options = crate::world::WorldOptions { enforce_limits: true, ..crate::world::tests::options() };
    let world =
        World::open_from(&crate::world::tests::HISTORIES, options, crate::world::tests::wall()).unwrap();
    let mut socket = WorldSocketProbe::open(&world, "/ws");
    for _ in 0..10 {
        socket.settled().await;
    }
    socket.say("{\"method\":\"LIST_SUBSCRIPTIONS\",\"id\":1}").await;
    assert_eq!(socket.0.from_world.recv().await, None);
    let mut socket = WorldSocketProbe::open(&world, "/ws");
    let names: Vec<String> = (0..1025).map(|number| format!("s{number}usdt@trade")).collect();
    let reply = socket.ask(json!({"method": "SUBSCRIBE", "params": names, "id": 2})).await;
    assert_eq!(reply["code"], 2);
    let listed = socket.ask(json!({"method": "LIST_SUBSCRIPTIONS", "id": 3})).await;
    assert_eq!(listed["result"], json!([]));
}

#[tokio::test]
async fn a_candle_stream_tells_the_close_of_a_bar() {
    let client = client();
    let mut socket = WorldSocketProbe::open(&client.world, "/market/ws/btcusdt@kline_1m");
    let mut pair = WorldSocketProbe::open(&client.world, "/market/ws/btcusdt_perpetual@continuousKline_1m");
    socket.settled().await;
    pair.settled().await;
    client.world.advance(61);
    let closed = socket.next().await;
    let running = socket.next().await;
    assert_eq!((&closed["k"]["x"], &running["k"]["x"]), (&json!(true), &json!(false)));
    assert_eq!(closed["k"]["T"].as_i64().unwrap() + 1, running["k"]["t"].as_i64().unwrap());
    let same = pair.next().await;
    assert_eq!((&same["e"], &same["ps"]), (&json!("continuous_kline"), &json!("BTCUSDT")));
    assert_eq!((&same["k"]["c"], same["k"].get("s")), (&closed["k"]["c"], None));
}

#[tokio::test]
async fn broken_commands_are_answered_and_wrong_paths_close() {
    let client = client();
    let mut socket = WorldSocketProbe::open(&client.world, "/ws/1");
    for text in [
        "",
        "{",
        "[]",
        "{}",
        "{\"method\":\"JUMP\",\"id\":1}",
        "{\"method\":\"SUBSCRIBE\",\"params\":\"x\",\"id\":1}",
    ] {
        socket.say(text).await;
        assert!(socket.next().await["code"].is_number(), "{text}");
    }
    let mut nowhere = client.world.open_socket("/nowhere");
    assert_eq!(nowhere.from_world.recv().await, None);
}

#[tokio::test]
async fn the_wrapper_of_messages_is_switched_and_told() {
    let client = client();
    let mut socket = WorldSocketProbe::open(&client.world, "/market/ws/btcusdt@markPrice@1s");
    let told = async |socket: &mut WorldSocketProbe| {
        socket.ask(json!({"method": "GET_PROPERTY", "params": ["combined"], "id": 1})).await["result"].clone()
    };
    assert_eq!(told(&mut socket).await, json!(false));
    for combined in [true, false] {
        let set = json!({"method": "SET_PROPERTY", "params": ["combined", combined], "id": 5});
        assert_eq!(socket.ask(set).await, json!({"result": null, "id": 5}));
        assert_eq!(told(&mut socket).await, json!(combined));
        client.wall.advance(chrono::Duration::seconds(1));
        client.world.step();
        let event = socket.next().await;
        let (name, bare) = (event["stream"].as_str(), event["e"].as_str());
        assert_eq!((name, bare.is_some()), (combined.then_some("btcusdt@markPrice@1s"), !combined));
    }
    for (method, params, code) in [
        ("SET_PROPERTY", json!(["combined", 7]), 1),
        ("SET_PROPERTY", json!(["combined"]), 1),
        ("SET_PROPERTY", json!(["zzz", true]), 0),
        ("GET_PROPERTY", json!(["zz"]), 0),
        ("GET_PROPERTY", json!([]), 2),
        ("SET_PROPERTY", json!([true, "combined"]), 2),
        ("SET_PROPERTY", json!(["combined", true, 1]), 2),
    ] {
        let reply = socket.ask(json!({"method": method, "params": params, "id": 6})).await;
        assert_eq!((&reply["code"], &reply["id"]), (&json!(code), &json!(6)), "{method} {params} {reply}");
    }
    assert_eq!(told(&mut socket).await, json!(false));
}

#[tokio::test]
async fn a_command_is_answered_under_its_own_id_or_told_that_it_has_none() {
    let client = client();
    let mut socket = WorldSocketProbe::open(&client.world, "/ws");
    for id in ["0", "18446744073709551615", "\"7f-x\"", "\"\""] {
        socket.say(&format!("{{\"method\":\"LIST_SUBSCRIPTIONS\",\"id\":{id}}}")).await;
        let told = socket.0.from_world.recv().await.unwrap();
        assert_eq!(told, format!("{{\"result\":[],\"id\":{id}}}"));
    }
    for id in ["-1", "1.5", "1e3", "99999999999999999999999", "null", "[]", "{}", "true"] {
        socket.say(&format!("{{\"method\":\"LIST_SUBSCRIPTIONS\",\"id\":{id}}}")).await;
        let reply = socket.next().await;
        let told = json!({"code": 2, "msg": "Invalid request: request ID must be an unsigned integer"});
        assert_eq!(reply, told, "{id}");
    }
    socket.say("{\"method\":\"LIST_SUBSCRIPTIONS\"}").await;
    assert_eq!(socket.next().await["code"], 2);
    let reply = socket.ask(json!({"method": "SUBSCRIBE", "id": 1})).await;
    assert_eq!(reply["msg"], "Invalid request: params must be a list of strings");
    let same = vec!["btcusdt@trade"; 2000];
    let reply = socket.ask(json!({"method": "SUBSCRIBE", "params": same, "id": 2})).await;
    assert_eq!(reply, json!({"result": null, "id": 2}));
}

#[tokio::test]
async fn no_closed_candle_is_left_out_when_an_hour_passes_at_once() {
    let client = client();
    let mut socket = WorldSocketProbe::open(&client.world, "/market/ws/btcusdt@kline_1m");
    socket.settled().await;
    client.world.step();
    let first = socket.next().await["k"]["t"].as_i64().unwrap();
    client.world.advance(3_600);
    let mut opened = Vec::new();
    while opened.last().is_none_or(|last| *last < first + 3_600_000) {
        opened.push(socket.next().await["k"]["t"].as_i64().unwrap());
    }
    let minutes: Vec<i64> = (0..=60).map(|minute| first + minute * 60_000).collect();
    assert_eq!(opened, minutes);
}

#[tokio::test]
async fn a_changed_margin_type_is_told() {
    let client = client();
    client.prepare().await;
    let key = listen_key(&client).await;
    let mut socket = WorldSocketProbe::open(&client.world, &format!("/private/ws/{key}"));
    socket.settled().await;
    client.post("/fapi/v1/marginType", "symbol=SOLUSDT&marginType=CROSSED").await;
    let event = socket.next().await;
    assert_eq!((&event["e"], &event["a"]["m"]), (&json!("ACCOUNT_UPDATE"), &json!("MARGIN_TYPE_CHANGE")));
    let row = &event["a"]["P"][0];
    assert_eq!((&row["s"], &row["mt"], &row["pa"]), (&json!("SOLUSDT"), &json!("cross"), &json!("0")));
}

#[tokio::test]
async fn over_tcp_a_session_is_the_same() {
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::CloseFrame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
    let client = client();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = client.world.router();
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let url = format!("ws://{address}/market/stream?streams=btcusdt@markPrice@1s");
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    socket.send(Message::text("{\"method\":\"LIST_SUBSCRIPTIONS\",\"id\":9}")).await.unwrap();
    let text = socket.next().await.unwrap().unwrap().into_text().unwrap();
    assert_eq!(text.as_str(), "{\"result\":[\"btcusdt@markPrice@1s\"],\"id\":9}");
    client.world.step();
    let text = socket.next().await.unwrap().unwrap().into_text().unwrap();
    assert!(text.contains("markPriceUpdate"), "{text}");
    socket.send(Message::Ping(b"x".to_vec().into())).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::Pong(b"x".to_vec().into()));
    let goodbye = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    socket.send(Message::Close(Some(goodbye.clone()))).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::Close(Some(goodbye)));
    assert!(socket.next().await.is_none());
    server.abort();
}

fn level(row: &Value) -> (rust_decimal::Decimal, rust_decimal::Decimal) {
    (row[0].as_str().unwrap().parse().unwrap(), row[1].as_str().unwrap().parse().unwrap())
}

/// A client's copy of one side of the book.
fn apply(side: &mut std::collections::BTreeMap<rust_decimal::Decimal, rust_decimal::Decimal>, rows: &Value) {
    for (price, size) in rows.as_array().unwrap().iter().map(level) {
        if size.is_zero() {
            side.remove(&price);
        } else {
            side.insert(price, size);
        }
    }
}

#[tokio::test]
async fn a_local_book_begun_with_any_snapshot_follows_the_changes_and_stays_the_exchanges() {
    let client = client();
    let mut socket = WorldSocketProbe::open(&client.world, "/public/ws/btcusdt@depth@100ms");
    socket.settled().await;
    client.world.step();
    let whole = socket.next().await;
    let snapshot = async || client.get("/fapi/v1/depth?symbol=BTCUSDT&limit=1000").await.body;
    let mut last = whole["u"].clone();
    for round in 0..5 {
        // The market moves on between the last message, the snapshot and the next message.
        client.wall.advance(chrono::Duration::milliseconds(1400));
        let begun = snapshot().await;
        client.wall.advance(chrono::Duration::milliseconds(2600));
        if round == 3 {
            let jump = rust_decimal::Decimal::from(50_000 + round);
            client.world.set_price(&crate::domain::Symbol::new("BTCUSDT").unwrap(), jump).unwrap();
        } else {
            client.world.step();
        }
        let change = socket.next().await;
        assert_eq!((&change["e"], &change["pu"]), (&json!("depthUpdate"), &last), "chained");
        last = change["u"].clone();
        let number = |value: &Value| value.as_i64().unwrap();
        let id = number(&begun["lastUpdateId"]);
        assert!(
            number(&change["U"]) <= id && number(&change["u"]) >= id,
            "{} {id} {}",
            change["U"],
            change["u"]
        );
        let (mut bids, mut asks) = (std::collections::BTreeMap::new(), std::collections::BTreeMap::new());
        for (side, name, key) in [(&mut bids, "bids", "b"), (&mut asks, "asks", "a")] {
            apply(side, &begun[name]);
            apply(side, &change[key]);
        }
        let present = snapshot().await;
        let rows = |name: &str| present[name].as_array().unwrap().iter().map(level).collect::<Vec<_>>();
        assert_eq!(bids.into_iter().rev().collect::<Vec<_>>(), rows("bids"), "round {round}");
        assert_eq!(asks.into_iter().collect::<Vec<_>>(), rows("asks"), "round {round}");
    }
}

#[tokio::test]
async fn a_mark_price_comes_every_third_second_unless_every_second_is_asked_for() {
    let client = client();
    let mut socket = WorldSocketProbe::open(
        &client.world,
        "/market/stream?streams=btcusdt@markPrice/btcusdt@markPrice@1s",
    );
    socket.settled().await;
    let mut names = Vec::new();
    for _ in 0..6 {
        client.world.step();
        socket.say("{\"method\":\"LIST_SUBSCRIPTIONS\",\"id\":0}").await;
        loop {
            let event = socket.next().await;
            match event["stream"].as_str() {
                Some(name) => names.push(name.trim_start_matches("btcusdt@markPrice").to_owned()),
                None => break,
            }
        }
        client.wall.advance(chrono::Duration::seconds(1));
    }
    assert_eq!(names, ["", "@1s", "@1s", "@1s", "", "@1s", "@1s", "@1s"]);
}

#[tokio::test]
async fn a_liquidation_is_told_to_everybody_who_listens_for_it() {
    let client = client();
    client.prepare().await;
    client.post("/fapi/v1/leverage", "symbol=SOLUSDT&leverage=50").await;
    client.post("/fapi/v1/order", "symbol=SOLUSDT&side=BUY&type=MARKET&quantity=2").await;
    let mut all = WorldSocketProbe::open(&client.world, "/market/ws/!forceOrder@arr/btcusdt@forceOrder");
    let mut one = WorldSocketProbe::open(&client.world, "/market/ws/solusdt@forceOrder");
    all.settled().await;
    one.settled().await;
    let sunk = (client.sol().await * rust_decimal_macros::dec!(0.9)).round_dp(2);
    client.world.set_price(&crate::domain::Symbol::new("SOLUSDT").unwrap(), sunk).unwrap();
    let told = one.next().await;
    assert_eq!(
        (&told["e"], &told["o"]["s"], &told["o"]["S"]),
        (&json!("forceOrder"), &json!("SOLUSDT"), &json!("SELL"))
    );
    assert_eq!(
        (&told["o"]["q"], &told["o"]["z"], &told["o"]["X"]),
        (&json!("2.00"), &json!("2.00"), &json!("FILLED"))
    );
    assert_eq!(all.next().await, told);
    all.settled().await;
}
