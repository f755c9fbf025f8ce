//! Every effect, over the router as clients meet it.

use std::time::Duration;

use http::StatusCode;
use proptest::prelude::*;
use rust_decimal::Decimal;
use rust_decimal_macros::dec;
use serde_json::{Value, json};

use super::{Effect, Match, Rule, Schedule};
use crate::world::fapi::tests::{Client, Reply, client};

const BUY: &str = "symbol=SOLUSDT&side=BUY&type=MARKET&quantity=1&newOrderRespType=RESULT";

impl Client {
    async fn world(&self, method: &str, path: &str, body: &Value) -> Reply {
        self.raw(method, path, &body.to_string(), None).await
    }

    async fn arm(&self, rule: Value) {
        let reply = self.world("POST", "/world/faults", &rule).await;
        assert_eq!(reply.status, StatusCode::OK, "{} {rule}", reply.body);
    }

    async fn log(&self) -> Vec<Value> {
        let told = self.get("/world/faults").await.body;
        told["injected"].as_array().unwrap().clone()
    }

    async fn held(&self) -> Decimal {
        let rows = self.signed("GET", "/fapi/v2/positionRisk", "symbol=SOLUSDT").await.body;
        rows[0]["positionAmt"].as_str().unwrap().parse().unwrap()
    }

    async fn stop(&self, share: Decimal) -> Reply {
        let trigger = (self.sol().await * share).round_dp(2);
        let stop = format!(
            "algoType=CONDITIONAL&symbol=SOLUSDT&side=SELL&type=STOP_MARKET&triggerPrice={trigger}&closePosition=true&clientAlgoId=sl"
        );
        self.post("/fapi/v1/algoOrder", &stop).await
    }

    async fn listen(&self) -> crate::world::WorldSocket {
        let key = self.raw("POST", "/fapi/v1/listenKey", "", Some(&self.key.api_key)).await.body["listenKey"]
            .clone();
        self.world.open_socket(&format!("/private/ws/{}", key.as_str().unwrap()))
    }
}

/// The names of the events that have come so far, ended by an answer to a question of ours.
async fn events(socket: &mut crate::world::WorldSocket) -> Vec<String> {
    socket.to_world.send("{\"method\":\"LIST_SUBSCRIPTIONS\",\"id\":\"mark\"}".to_owned()).await.unwrap();
    let mut names = Vec::new();
    loop {
        let event: Value = serde_json::from_str(&socket.from_world.recv().await.unwrap()).unwrap();
        if event["id"] == "mark" {
            return names;
        }
        names.push(event["e"].as_str().unwrap().to_owned());
    }
}

#[tokio::test]
async fn a_rule_that_makes_no_sense_is_refused_with_what_is_allowed_and_nothing_is_armed() {
    let client = client();
    for (rule, hint) in [
        (json!({}), "missing field `effect`"),
        (json!({"effect": {"kind": "earthquake"}}), "`503_unknown`"),
        (json!({"effect": {"kind": "latency", "ms": 5, "colour": "red"}}), "`spread_ms`"),
        (json!({"effect": {"kind": "latency", "ms": -5}}), "u64"),
        (json!({"effect": {"kind": "latency", "ms": 5, "spread_ms": 6}}), "allowed are 0 to ms"),
        (json!({"effect": {"kind": "lost", "extra": 1}}), "unknown field"),
        (json!({"effect": {"kind": "timeout"}}), "acted"),
        (json!({"effect": {"kind": "rejected", "code": -1}}), "-2021"),
        (json!({"effect": {"kind": "price_gap", "symbol": "BTCUSDT", "percent": "-100"}}), "more than -100"),
        (json!({"effect": {"kind": "price_gap", "symbol": "MOONUSDT", "percent": "5"}}), "BTCUSDT"),
        (json!({"effect": {"kind": "partial_fill", "share": 1}}), "less than 1"),
        (json!({"effect": {"kind": "analyst", "fault": "drunk"}}), "prose-only"),
        (json!({"effect": {"kind": "answer", "status": 42}}), "200 to 599"),
        (json!({"effect": {"kind": "clock_skew", "ms": 0}}), "without 0"),
        (json!({"effect": {"kind": "reset"}, "match": {"klass": "order"}}), "`class`"),
        (json!({"effect": {"kind": "reset"}, "match": {"class": "orders"}}), "`listen_key`"),
        (json!({"effect": {"kind": "reset"}, "match": {"class": "source:moon"}}), "fear_greed"),
        (json!({"effect": {"kind": "reset"}, "match": {"class": "stream"}}), "lost, doubled"),
        (json!({"effect": {"kind": "lost"}, "match": {"method": "POST"}}), "class `stream`"),
        (json!({"effect": {"kind": "reset"}, "match": {"account": "nobody"}}), "mirat"),
        (json!({"effect": {"kind": "reset"}, "match": {"nth": 0}}), "counts from 1"),
        (json!({"effect": {"kind": "reset"}, "schedule": {"rate": 1.5}}), "0 to 1"),
        (json!({"effect": {"kind": "reset"}, "schedule": {"count": 0}}), "1 and more"),
        (json!({"effect": {"kind": "reset"}, "schedule": "sometimes"}), "`always`"),
        (json!({"effect": {"kind": "reset"}, "schedule": {"script": []}}), "at_seconds"),
        (
            json!({"effect": {"kind": "reset"}, "schedule": {"script": [{"at_seconds": 5, "until_seconds": 5}]}}),
            "at_seconds < until_seconds",
        ),
        (json!({"rules": [{"effect": {"kind": "reset"}}, {"effect": {"kind": "x"}}]}), "unknown variant"),
    ] {
        let reply = client.world("POST", "/world/faults", &rule).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{rule}");
        let error = reply.body["error"].as_str().unwrap();
        assert!(error.contains(hint), "{rule}: {error}");
    }
    let seed = client.get("/world/faults").await.body["seed"].clone();
    let nonsense = json!({"seed": 99, "rules": [{"effect": {"kind": "rejected", "code": 5}}]});
    assert_eq!(client.world("POST", "/world/faults", &nonsense).await.status, 400);
    let told = client.get("/world/faults").await.body;
    assert_eq!((&told["armed"], &told["seed"]), (&json!([]), &seed));
    assert_eq!(client.world("DELETE", "/world/faults?rule=7", &Value::Null).await.status, 404);
    assert_eq!(client.world("DELETE", "/world/faults?all", &Value::Null).await.status, 400);
    assert_eq!(client.world("PATCH", "/world/faults", &Value::Null).await.status, 405);
    assert_eq!(client.post("/fapi/v1/order", BUY).await.status, 200);
}

#[tokio::test]
async fn the_endings_show_their_answer_and_act_or_not() {
    for (effect, status, code, acted) in [
        (json!({"kind": "503_unknown", "acted": true}), 503, -1000, true),
        (json!({"kind": "503_unknown", "acted": false}), 503, -1000, false),
        (json!({"kind": "503_throttled"}), 503, -1008, false),
        (json!({"kind": "503_unavailable"}), 503, 0, false),
        (json!({"kind": "503_internal"}), 503, -1001, false),
        (json!({"kind": "408", "acted": true}), 408, -1007, true),
        (json!({"kind": "408", "acted": false}), 408, -1007, false),
        (json!({"kind": "429", "retry_after": 7}), 429, -1003, false),
        (json!({"kind": "418", "retry_after": 0}), 418, -1003, false),
        (json!({"kind": "maintenance"}), 503, -1016, false),
        (json!({"kind": "rejected", "code": -2019}), 400, -2019, false),
        (json!({"kind": "answer", "status": 502, "body": "<html>", "acted": true}), 502, 0, true),
    ] {
        let client = client();
        client.arm(json!({"effect": effect, "match": {"class": "order"}, "schedule": "once"})).await;
        let reply = client.post("/fapi/v1/order", BUY).await;
        assert_eq!((reply.status.as_u16(), reply.code()), (status, code), "{effect}");
        assert_eq!(reply.headers["x-mbx-used-weight-1m"], "0", "{effect}");
        if status == 429 {
            assert_eq!(reply.headers["retry-after"], "7");
        }
        assert_eq!(client.held().await, if acted { dec!(1) } else { dec!(0) }, "{effect}");
        let log = client.log().await;
        assert_eq!((log.len(), &log[0]["request"]), (1, &json!("POST /fapi/v1/order")));
        assert_eq!(log[0].get("answered"), acted.then_some(&json!(200)));
        assert_eq!(client.post("/fapi/v1/order", BUY).await.status, 200, "once is once");
    }
}

#[tokio::test(start_paused = true)]
async fn cut_connections_give_no_answer_and_act_or_not() {
    for (effect, acted, hangs) in [
        (json!({"kind": "timeout", "acted": false, "hang_ms": 3000}), false, 3000),
        (json!({"kind": "timeout", "acted": true, "hang_ms": 3000}), true, 3000),
        (json!({"kind": "reset"}), true, 0),
        (json!({"kind": "reset", "acted": false}), false, 0),
        (json!({"kind": "truncated"}), true, 0),
    ] {
        let client = client();
        client.arm(json!({"effect": effect, "match": {"path": "/order"}, "schedule": {"count": 1}})).await;
        let begun = tokio::time::Instant::now();
        assert!(client.post("/fapi/v1/order", BUY).await.cut, "{effect}");
        assert_eq!(begun.elapsed().as_millis() / 10 * 10, hangs, "{effect}");
        assert_eq!(client.held().await, if acted { dec!(1) } else { dec!(0) }, "{effect}");
    }
}

#[tokio::test(start_paused = true)]
async fn latency_is_drawn_around_its_middle_and_a_request_under_way_is_carried_out_without_its_sender() {
    let client = client();
    client
        .arm(json!({"effect": {"kind": "latency", "ms": 200, "spread_ms": 100}, "match": {"method": "GET"}}))
        .await;
    let mut seen = Vec::new();
    for _ in 0..20 {
        let begun = tokio::time::Instant::now();
        client.get("/fapi/v1/ping").await;
        seen.push(begun.elapsed().as_millis());
    }
    assert!(seen.iter().all(|ms| (100..=301).contains(ms)), "{seen:?}");
    assert!(seen.iter().max() > seen.iter().min(), "{seen:?}");
    client.world("DELETE", "/world/faults", &Value::Null).await;
    client.arm(json!({"effect": {"kind": "latency", "ms": 1000}, "match": {"class": "order"}})).await;
    let sent = client.post("/fapi/v1/order", BUY);
    assert!(tokio::time::timeout(Duration::from_millis(100), sent).await.is_err());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(client.held().await, dec!(1));
}

#[tokio::test]
async fn a_ban_refuses_everything_until_it_is_over() {
    let client = client();
    client.arm(json!({"effect": {"kind": "418", "retry_after": 120}, "schedule": "once"})).await;
    for _ in 0..2 {
        let reply = client.get("/fapi/v1/ping").await;
        assert_eq!((reply.status.as_u16(), reply.code()), (418, -1003));
        assert_eq!(reply.headers["retry-after"], "120");
        assert!(reply.body["msg"].as_str().unwrap().contains("banned until 17"), "{}", reply.body);
    }
    client.wall.advance(chrono::Duration::seconds(120));
    assert_eq!(client.get("/fapi/v1/ping").await.status, 200);
}

#[tokio::test]
async fn a_skewed_clock_refuses_honest_timestamps_and_tells_the_skewed_time() {
    use crate::domain::Clock;
    let client = client();
    client.arm(json!({"effect": {"kind": "clock_skew", "ms": 6000}})).await;
    assert_eq!(client.signed("GET", "/fapi/v3/balance", "").await.code(), -1021);
    let told = client.get("/fapi/v1/time").await.body["serverTime"].as_i64().unwrap();
    assert_eq!(told, client.wall.now().timestamp_millis() + 6000);
    assert_eq!(client.signed("GET", "/fapi/v3/balance", "recvWindow=7000").await.status, 200);
}

#[tokio::test]
async fn throttling_lets_closes_and_cancels_through() {
    let client = client();
    client.post("/fapi/v1/order", BUY).await;
    client.arm(json!({"effect": {"kind": "503_throttled"}})).await;
    assert_eq!(client.post("/fapi/v1/order", BUY).await.code(), -1008);
    let close = "symbol=SOLUSDT&side=SELL&type=MARKET&quantity=1&reduceOnly=true";
    assert_eq!(client.post("/fapi/v1/order", close).await.status, 200);
    assert_eq!(client.signed("DELETE", "/fapi/v1/allOpenOrders", "symbol=SOLUSDT").await.status, 200);
}

#[tokio::test]
async fn lagging_reads_tell_orders_as_they_stood() {
    let client = client();
    client.post("/fapi/v1/order", BUY).await;
    assert_eq!(client.stop(dec!(0.9)).await.status, 200);
    client.arm(json!({"effect": {"kind": "read_lag", "ms": 5000}})).await;
    let open = async || client.signed("GET", "/fapi/v1/openAlgoOrders", "").await.body;
    let query = async || client.signed("GET", "/fapi/v1/algoOrder", "clientAlgoId=sl").await;
    assert_eq!((open().await, query().await.code()), (json!([]), -2013));
    assert_eq!(client.signed("GET", "/fapi/v1/allOrders", "symbol=SOLUSDT").await.body, json!([]));
    client.wall.advance(chrono::Duration::seconds(5));
    assert_eq!(open().await[0]["clientAlgoId"], "sl");
    assert_eq!(
        client.signed("GET", "/fapi/v1/allOrders", "symbol=SOLUSDT").await.body[0]["status"],
        "FILLED"
    );
    client.signed("DELETE", "/fapi/v1/algoOrder", "clientAlgoId=sl").await;
    assert_eq!(
        (&open().await[0]["algoStatus"], &query().await.body["algoStatus"]),
        (&json!("NEW"), &json!("NEW"))
    );
    client.wall.advance(chrono::Duration::seconds(5));
    assert_eq!((open().await, &query().await.body["algoStatus"]), (json!([]), &json!("CANCELED")));
}

#[tokio::test]
async fn a_stop_may_be_refused_or_vanish_without_a_word() {
    let client = client();
    client.post("/fapi/v1/order", BUY).await;
    let mut socket = client.listen().await;
    client.arm(json!({"effect": {"kind": "stop_rejected"}, "schedule": "once"})).await;
    assert_eq!(client.stop(dec!(0.9)).await.code(), -2021);
    client.arm(json!({"effect": {"kind": "stop_vanished", "after_ms": 500}, "schedule": "once"})).await;
    assert_eq!(client.stop(dec!(0.9)).await.body["algoStatus"], "NEW");
    assert_eq!(client.signed("GET", "/fapi/v1/openAlgoOrders", "").await.body[0]["clientAlgoId"], "sl");
    client.wall.advance(chrono::Duration::milliseconds(500));
    assert_eq!(client.signed("GET", "/fapi/v1/openAlgoOrders", "").await.body, json!([]));
    assert_eq!(client.signed("GET", "/fapi/v1/algoOrder", "clientAlgoId=sl").await.code(), -2013);
    assert_eq!(events(&mut socket).await, ["ALGO_UPDATE"], "only its acceptance was told");
    assert_eq!(client.stop(dec!(0.9)).await.status, 200, "the next one stays");
}

#[tokio::test]
async fn an_order_fills_in_part_and_a_refused_one_leaves_no_share_behind() {
    let client = client();
    client.arm(json!({"effect": {"kind": "partial_fill", "share": 0.4}, "schedule": {"count": 2}})).await;
    let refused = client.post("/fapi/v1/order", "symbol=SOLUSDT&side=BUY&type=MARKET&quantity=9999").await;
    assert_eq!(refused.code(), -2019);
    let reply = client.post("/fapi/v1/order", BUY).await.body;
    assert_eq!((&reply["status"], &reply["executedQty"]), (&json!("EXPIRED"), &json!("0.40")));
    assert_eq!(client.held().await, dec!(0.4));
    assert_eq!(client.post("/fapi/v1/order", BUY).await.body["executedQty"], "1.00");
}

#[tokio::test]
async fn a_price_gap_comes_with_a_request_or_with_time() {
    let client = client();
    let gap = json!({"kind": "price_gap", "symbol": "SOLUSDT", "percent": "-20"});
    let before = client.sol().await;
    client
        .arm(json!({"effect": gap, "match": {"class": "algo", "method": "POST"}, "schedule": "once"}))
        .await;
    client.post("/fapi/v1/order", BUY).await;
    let trigger = (before * dec!(0.9)).round_dp(2);
    let stop = format!(
        "algoType=CONDITIONAL&symbol=SOLUSDT&side=SELL&type=STOP_MARKET&triggerPrice={trigger}&closePosition=true"
    );
    assert_eq!(client.post("/fapi/v1/algoOrder", &stop).await.code(), -2021, "the gap came first");
    let fallen = client.sol().await / before;
    assert!(fallen > dec!(0.79) && fallen < dec!(0.81), "{fallen}");
    let script = json!({"script": [{"at_seconds": 10, "until_seconds": 11}]});
    client.arm(json!({"effect": gap, "schedule": script})).await;
    client.wall.advance(chrono::Duration::seconds(9));
    client.world.step();
    assert!(client.sol().await > before * dec!(0.75));
    client.wall.advance(chrono::Duration::seconds(30));
    client.world.step();
    client.world.step();
    let fallen = client.sol().await / before;
    assert!(fallen > dec!(0.62) && fallen < dec!(0.66), "once, and not forgotten: {fallen}");
}

#[tokio::test]
async fn events_are_lost_doubled_and_reordered() {
    for (effect, expected) in [
        ("lost", vec!["ORDER_TRADE_UPDATE", "TRADE_LITE", "ORDER_TRADE_UPDATE"]),
        (
            "doubled",
            vec![
                "ORDER_TRADE_UPDATE",
                "TRADE_LITE",
                "ORDER_TRADE_UPDATE",
                "ACCOUNT_UPDATE",
                "ACCOUNT_UPDATE",
            ],
        ),
    ] {
        let client = client();
        let mut socket = client.listen().await;
        client.arm(json!({"effect": {"kind": effect}, "match": {"path": "ACCOUNT_UPDATE"}})).await;
        client.post("/fapi/v1/order", BUY).await;
        assert_eq!(events(&mut socket).await, expected);
        assert_eq!(client.log().await[0]["request"], "ACCOUNT_UPDATE");
    }
    let client = client();
    let mut socket = client.listen().await;
    client.arm(json!({"effect": {"kind": "reordered"}, "match": {"nth": 1, "account": "mirat"}})).await;
    client.post("/fapi/v1/order", BUY).await;
    assert_eq!(
        events(&mut socket).await,
        ["TRADE_LITE", "ORDER_TRADE_UPDATE", "ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE"]
    );
}

#[tokio::test]
async fn public_streams_have_weather_too() {
    let client = client();
    let mut socket = client.world.open_socket("/market/ws/btcusdt@markPrice@1s/ethusdt@markPrice@1s");
    client.arm(json!({"effect": {"kind": "lost"}, "match": {"symbol": "BTCUSDT"}})).await;
    client.world.step();
    let event: Value = serde_json::from_str(&socket.from_world.recv().await.unwrap()).unwrap();
    assert_eq!(event["s"], "ETHUSDT");
}

#[tokio::test(start_paused = true)]
async fn sockets_are_closed_or_fall_silent_and_listen_keys_end() {
    let client = client();
    let mut socket = client.listen().await;
    client
        .arm(json!({"effect": {"kind": "disconnect"}, "match": {"account": "mirat"}, "schedule": "once"}))
        .await;
    assert_eq!(socket.from_world.recv().await, None);

    let mut socket = client.listen().await;
    client.arm(json!({"effect": {"kind": "listen_key_expired"}, "schedule": "once"})).await;
    client.world.step();
    assert_eq!(events(&mut socket).await, ["listenKeyExpired"]);
    let reply = client.raw("PUT", "/fapi/v1/listenKey", "", Some(&client.key.api_key)).await;
    assert_eq!(reply.code(), -1125);

    let mut socket = client.listen().await;
    client
        .arm(json!({"effect": {"kind": "silent"}, "match": {"path": "TRADE_LITE"}, "schedule": "once"}))
        .await;
    client.post("/fapi/v1/order", BUY).await;
    let first: Value = serde_json::from_str(&socket.from_world.recv().await.unwrap()).unwrap();
    assert_eq!(first["e"], "ORDER_TRADE_UPDATE");
    client.post("/fapi/v1/order", BUY).await;
    socket.to_world.send("{\"method\":\"LIST_SUBSCRIPTIONS\",\"id\":1}".to_owned()).await.unwrap();
    let more = tokio::time::timeout(Duration::from_hours(1), socket.from_world.recv()).await;
    assert!(more.is_err(), "open, and silent: {more:?}");
}

#[tokio::test]
async fn sources_and_the_model_have_weather_of_their_own() {
    let client = client();
    client
        .arm(json!({"rules": [
            {"effect": {"kind": "answer", "status": 500}, "match": {"class": "source:fear_greed"}},
            {"effect": {"kind": "429"}, "match": {"class": "messages"}, "schedule": "once"},
            {"effect": {"kind": "analyst", "fault": "overload"}, "schedule": "once"},
        ]}))
        .await;
    assert_eq!(client.get("/fng/?limit=1").await.status, 500);
    assert_eq!(client.get("/rss/coindesk").await.status, client_without_weather("/rss/coindesk").await);
    assert_eq!(client.get("/fapi/v1/ping").await.status, 200);
    let reply = client.raw("POST", "/v1/messages", "{}", None).await;
    assert_eq!((reply.status.as_u16(), &reply.body["error"]["type"]), (429, &json!("rate_limit_error")));
    assert!(reply.body["request_id"].as_str().unwrap().starts_with("req_"));
    assert_eq!(reply.headers["request-id"], reply.body["request_id"].as_str().unwrap());
    assert!(!reply.headers.contains_key("x-mbx-used-weight-1m"));
    let log = client.log().await;
    assert_eq!(log.len(), 3, "the analyst's fault was drawn too: {log:?}");
    client.arm(json!({"effect": {"kind": "analyst", "fault": "overload"}, "schedule": "once"})).await;
    assert_eq!(client.raw("POST", "/v1/messages", "{}", None).await.status, 529);
    assert_eq!(client.raw("POST", "/v1/messages", "{}", None).await.status, 401);
}

async fn client_without_weather(path: &str) -> StatusCode {
    client().get(path).await.status
}

#[tokio::test]
async fn scripts_follow_wall_time_and_rules_narrow_by_what_an_order_is() {
    let client = client();
    let script = json!({"script": [{"at_seconds": 5, "until_seconds": 10}]});
    client.arm(json!({"name": "storm", "effect": {"kind": "maintenance"}, "schedule": script})).await;
    for (seconds, status) in [(0, 200), (5, 503), (4, 503), (1, 200)] {
        client.wall.advance(chrono::Duration::seconds(seconds));
        assert_eq!(client.get("/fapi/v1/ping").await.status, status);
    }
    assert_eq!(client.log().await[1]["name"], "storm");
    client.world("DELETE", "/world/faults", &Value::Null).await;
    client
        .arm(json!({
            "effect": {"kind": "503_internal"},
            "match": {"class": "order", "symbol": "SOLUSDT", "side": "SELL", "reduce_only": true, "nth": 2},
        }))
        .await;
    client.post("/fapi/v1/order", BUY).await;
    let close = "symbol=SOLUSDT&side=SELL&type=MARKET&quantity=0.1&reduceOnly=true";
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(client.post("/fapi/v1/order", close).await.status.as_u16());
    }
    assert_eq!(answers, [200, 503, 200]);
    let told = client.get("/world/faults?since=1").await.body;
    assert_eq!((&told["armed"][0]["seen"], &told["armed"][0]["struck"]), (&json!(3), &json!(1)));
    assert_eq!(
        told["injected"].as_array().unwrap().len() as u64 + 1,
        told["injected_in_all"].as_u64().unwrap()
    );
    assert_eq!(client.world("POST", "/world/reset", &Value::Null).await.status, 200);
    assert_eq!(client.get("/world/faults").await.body["injected_in_all"], 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_same_seed_and_requests_give_the_same_injections(seed: u64, rate in 0.05..0.95_f64) {
        let run = || {
            let faults = super::Faults::new(seed);
            let rules = vec![
                Rule::new(Effect::Reset { acted: true }).scheduled(Schedule::Rate(rate)),
                Rule::new(Effect::Latency { ms: 9, spread_ms: 4 })
                    .matching(Match { path: Some("/order".to_owned()), ..Match::default() })
                    .scheduled(Schedule::Rate(rate)),
            ];
            faults.arm(None, rules, 0).unwrap();
            let struck: Vec<_> = (0..200_i64)
                .map(|at| {
                    let path = if at % 3 == 0 { "/fapi/v1/order" } else { "/fapi/v1/ping" };
                    let passing = super::Passing {
                        classes: vec![super::Class::Exchange], method: "GET", path, ..Default::default()
                    };
                    faults.strike(&passing, at)
                })
                .collect();
            (struck, faults.injected())
        };
        let (first, second) = (run(), run());
        prop_assert_eq!(&first, &second);
        let hits = first.1.iter().filter(|line| matches!(line.effect, Effect::Reset { .. })).count();
        prop_assert!(hits > 0 && hits < 200, "{}", hits);
    }

    #[test]
    fn a_rule_survives_its_own_json(count in 1..9_u64, ms in 1..9_000_i64) {
        for effect in [Effect::ClockSkew { ms }, Effect::Throttled503 {}, Effect::Lost {}] {
            let rule = Rule::new(effect).scheduled(Schedule::Count(count));
            let text = serde_json::to_string(&rule).unwrap();
            prop_assert_eq!(serde_json::from_str::<Rule>(&text).unwrap(), rule);
        }
    }
}

#[tokio::test]
async fn a_read_lags_by_wall_time_even_where_the_markets_clock_stands_still() {
    let wall = crate::world::tests::wall();
    let options = crate::world::WorldOptions { speed: 0.0, ..crate::world::tests::options() };
    let world =
        crate::world::World::open_from(&crate::world::tests::HISTORIES, options, wall.clone()).unwrap();
    let client = Client { wall, router: world.router(), key: world.keys()[0].clone(), world };
    client.arm(json!({"effect": {"kind": "read_lag", "ms": 300}})).await;
    client.post("/fapi/v1/order", BUY).await;
    assert_eq!(client.stop(dec!(0.9)).await.status, 200);
    let query = async || client.signed("GET", "/fapi/v1/algoOrder", "clientAlgoId=sl").await;
    let orders = async || client.signed("GET", "/fapi/v1/allOrders", "symbol=SOLUSDT").await.body;
    client.wall.advance(chrono::Duration::milliseconds(299));
    assert_eq!((query().await.code(), orders().await), (-2013, json!([])));
    client.wall.advance(chrono::Duration::milliseconds(1));
    assert_eq!(query().await.body["algoStatus"], "NEW");
    assert_eq!(orders().await[0]["status"], "FILLED");
    client.signed("DELETE", "/fapi/v1/algoOrder", "clientAlgoId=sl").await;
    assert_eq!(query().await.body["algoStatus"], "NEW");
    client.wall.advance(chrono::Duration::milliseconds(300));
    assert_eq!(query().await.body["algoStatus"], "CANCELED");
}

#[tokio::test]
async fn sockets_are_closed_with_the_code_a_rule_names_and_live_as_long_as_it_says() {
    use futures_util::StreamExt;
    use tokio_tungstenite::tungstenite::Message;
    let client = client();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = client.router.clone();
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let open = async || {
        let url = format!("ws://{address}/market/ws/btcusdt@forceOrder");
        tokio_tungstenite::connect_async(url).await.unwrap().0
    };
    for by_age in [false, true] {
        for (code, expected) in [
            (json!(1000), Some(Some(1000))),
            (json!(1001), Some(Some(1001))),
            (json!(1008), Some(Some(1008))),
            (json!("none"), Some(None)),
            (json!("abrupt"), None),
        ] {
            let disconnect = json!({"effect": {"kind": "disconnect", "code": code}, "schedule": "once"});
            let life = json!({"effect": {"kind": "socket_life", "ms": 20, "code": code}, "schedule": "once"});
            let mut socket;
            if by_age {
                client.arm(life).await;
                client.get("/fapi/v1/ping").await;
                socket = open().await;
            } else {
                socket = open().await;
                client.arm(disconnect).await;
            }
            let last = tokio::time::timeout(Duration::from_secs(30), socket.next()).await.unwrap();
            let closed = match last {
                Some(Ok(Message::Close(frame))) => Some(frame.map(|frame| u16::from(frame.code))),
                Some(Err(_)) | None => None,
                other => panic!("neither closed nor cut: {other:?}"),
            };
            assert_eq!(closed, expected, "{code}, by age: {by_age}");
        }
    }
    let refused =
        client.world("POST", "/world/faults", &json!({"effect": {"kind": "disconnect", "code": 1005}})).await;
    assert_eq!(refused.status, 400);
    assert!(refused.body["error"].as_str().unwrap().contains("1008"), "{}", refused.body);
    server.abort();
}
