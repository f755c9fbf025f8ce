//! The REST face from outside: what every path answers, and how it refuses.

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use proptest::prelude::*;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::ToolAnswer;
use super::route::tool_paths;
use crate::domain::Candle;
use crate::market::indicators::{Bars, Indicator};
use crate::market::simsar::{Simsar, SimsarOptions};
use crate::market::test_sources::{Served, noon, symbol, usual};

fn body(answer: &ToolAnswer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

async fn over_http(simsar: &Simsar, method: &str, target: &str) -> (u16, Value) {
    let request = Request::builder().method(method).uri(target).body(Body::empty()).unwrap();
    let response = simsar.router().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/json");
    (status, serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap())
}

async fn get(target: &str) -> (u16, Value) {
    over_http(&Served::new().simsar(), "GET", target).await
}

#[tokio::test]
async fn every_path_answers_with_source_and_age_over_http_and_for_the_tool_alike() {
    let simsar = Served::new().simsar();
    assert_eq!(tool_paths().len(), 25);
    for template in tool_paths() {
        let path = template.replace("{symbol}", "BTCUSDT");
        let answer = simsar.call(&path, &[]).await;
        let tool = body(&answer);
        assert_eq!(answer.status, 200, "{path}: {tool}");
        let keys: Vec<_> = tool.as_object().unwrap().keys().take(4).map(String::as_str).collect();
        assert_eq!(keys, ["source", "as_of", "stale", "age_s"], "{path}");
        assert!(tool["source"].is_string() && tool["stale"].is_boolean() && tool["age_s"].is_u64(), "{tool}");
        tool["as_of"].as_str().unwrap().parse::<crate::domain::Timestamp>().unwrap();
        assert_eq!(over_http(&simsar, "GET", &path).await, (200, tool), "{path}");
    }
}

#[tokio::test]
async fn a_price_says_how_old_it_is_in_market_time() {
    let served = Served::new();
    served.says(
        "/fapi/v2/ticker/price",
        json!({ "price": "7.10", "time": noon().timestamp_millis() - 5_000 }).to_string(),
    );
    let (_, price) = over_http(&served.simsar(), "GET", "/price/BTCUSDT").await;
    assert_eq!(
        (&price["price"], &price["age_s"], &price["stale"]),
        (&json!("7.10"), &json!(5), &json!(false))
    );
    assert_eq!(price["as_of"], "2026-03-02T10:29:55Z");
    served.says(
        "/fapi/v2/ticker/price",
        json!({ "price": "7.10", "time": noon().timestamp_millis() - 90_000 }).to_string(),
    );
    let (_, price) = over_http(&served.simsar(), "GET", "/price/BTCUSDT").await;
    assert_eq!(price["stale"], true);
}

#[tokio::test]
async fn candles_are_closed_oldest_first_and_as_many_as_asked() {
    for (query, count) in [
        ("", 20),
        ("?limit=1", 1),
        ("?limit=499", 499),
        ("?limit=500&interval=1h", 500),
        ("?limit=1500", 1500),
    ] {
        let (status, answer) = get(&format!("/candles/ETHUSDT{query}")).await;
        let candles: Vec<Candle> = serde_json::from_value(answer["candles"].clone()).unwrap();
        assert_eq!((status, candles.len()), (200, count), "{query}");
        assert!(candles.windows(2).all(|pair| pair[0].open_time < pair[1].open_time));
        let length = if query.contains("1h") { 3_600_000 } else { 14_400_000 };
        assert!(candles.last().unwrap().open_time + length <= noon().timestamp_millis());
    }
}

#[tokio::test]
async fn an_indicator_uses_498_candles_whatever_the_limit() {
    let simsar = Served::new().simsar();
    let window = simsar.window(&symbol("BTCUSDT"), "1h".parse().unwrap()).await.unwrap().value;
    let expected = Indicator::Rsi { period: 21 }.over(&Bars::of(&window.candles)).unwrap()[0].last();
    for limit in ["", "&limit=5", "&limit=1500"] {
        let (_, answer) =
            over_http(&simsar, "GET", &format!("/indicators/rsi/BTCUSDT?interval=1h&period=21{limit}")).await;
        assert_eq!((answer["value"].as_f64(), &answer["candles_used"]), (expected, &json!(498)), "{limit}");
    }
    let (_, answer) = over_http(&simsar, "GET", "/indicators/macd/BTCUSDT?limit=3").await;
    assert_eq!(answer["series"].as_array().unwrap().len(), 3);
    assert_eq!(answer["series"][2]["histogram"], answer["histogram"]);
}

#[tokio::test]
async fn outputs_have_the_names_the_contract_gives_them() {
    for (name, outputs) in [
        ("macd", &["line", "signal", "histogram"][..]),
        ("bbands", &["lower", "middle", "upper"]),
        ("stoch", &["k", "d"]),
        ("obv", &["value", "slope"]),
        ("willr", &["value"]),
    ] {
        let (_, answer) = get(&format!("/indicators/{name}/BTCUSDT")).await;
        for output in outputs {
            assert!(answer[output].is_f64(), "{name} {output}: {answer}");
        }
    }
}

#[tokio::test]
async fn below_the_warm_up_the_value_is_null_with_the_reason() {
    let served = Served::new();
    let row = |bar: i64| {
        let open = noon().timestamp_millis() - (20 - bar) * 14_400_000;
        json!([open, "10", "12", "9", "11", "1", open + 14_399_999])
    };
    served.says("/fapi/v1/klines", (0..14).map(row).collect::<Value>().to_string());
    let simsar = served.simsar();
    for (name, output) in
        [("rsi", "value"), ("macd", "line"), ("adx", "value"), ("bbands", "upper"), ("stoch", "k")]
    {
        let (status, answer) = over_http(&simsar, "GET", &format!("/indicators/{name}/BTCUSDT")).await;
        assert_eq!(
            (status, &answer[output], &answer["reason"]),
            (200, &Value::Null, &json!("history")),
            "{name}"
        );
    }
    let (_, answer) = over_http(&simsar, "GET", "/indicators/sma/BTCUSDT?period=14").await;
    assert_eq!((&answer["value"], answer.get("reason")), (&json!(11.0), None));
}

#[tokio::test]
async fn bad_parameters_are_refused_with_what_is_allowed() {
    for target in [
        "/price/NOPEUSDT",
        "/price/btcusdt",
        "/price/BTCUSDT%2F..",
        "/price/BTCUSDT?limit=1",
        "/candles/BTCUSDT?interval=7m",
        "/candles/BTCUSDT?interval=",
        "/candles/BTCUSDT?limit=0",
        "/candles/BTCUSDT?limit=1501",
        "/candles/BTCUSDT?limit=-5",
        "/candles/BTCUSDT?limit=abc",
        "/candles/BTCUSDT?limit=1e2",
        "/candles/BTCUSDT?limit=5&limit=6",
        "/candles/BTCUSDT?Limit=5",
        "/candles/BTCUSDT?%FF=1",
        "/indicators/rsi/BTCUSDT?period=1",
        "/indicators/rsi/BTCUSDT?period=500",
        "/indicators/rsi/BTCUSDT?period=99999999999999999999",
        "/indicators/rsi/BTCUSDT?period=%2B5",
        "/futures/top-trader-ratio/BTCUSDT?by=weight",
        "/indicators/bbands/BTCUSDT?deviations=NaN",
        "/indicators/bbands/BTCUSDT?deviations=0",
        "/indicators/ema/DOGEUSDT",
        "/futures/open-interest/BTCUSDT?period=7m",
        "/futures/long-short-ratio/BTCUSDT?limit=501",
        "/fear-greed?limit=1",
        "/health?x",
        "/symbols?a=b",
    ] {
        let served = Served::new();
        let (status, answer) = over_http(&served.simsar(), "GET", target).await;
        assert_eq!(status, 400, "{target}: {answer}");
        assert!(answer["error"].is_string() && !answer["allowed"].is_null(), "{target}: {answer}");
        assert!(served.requests().is_empty(), "{target} reached a source");
    }
    let (_, answer) = get("/price/NOPE").await;
    assert_eq!(answer["allowed"], json!(["BTCUSDT", "ETHUSDT"]));
}

#[tokio::test]
async fn an_unknown_path_names_the_nearest() {
    for (path, nearest) in [
        ("/prices/BTCUSDT", "/price/{symbol}"),
        ("/price", "/price/{symbol}"),
        ("/candle/BTCUSDT", "/candles/{symbol}"),
        ("/indicators/rsii/BTCUSDT", "/indicators/rsi/{symbol}"),
        ("/futures/fundingrate/BTCUSDT", "/futures/funding-rate/{symbol}"),
        ("/news/crypt", "/news/crypto"),
        ("/fear_greed", "/fear-greed"),
        ("/macro/us30/candle", "/macro/us30/candles"),
        ("/price/BTCUSDT/", "/price/{symbol}"),
        ("/us30", "/macro/us30"),
        ("/US30", "/macro/us30"),
        ("/rsi/BTCUSDT", "/indicators/rsi/{symbol}"),
        ("/funding/BTCUSDT", "/futures/funding-rate/{symbol}"),
        ("/funding-rate/BTCUSDT", "/futures/funding-rate/{symbol}"),
        ("/BTCUSDT", "/price/{symbol}"),
        ("/crypto", "/news/crypto"),
        ("/openapi", "/openapi.json"),
        ("/macro", "/macro/us30"),
        ("/nope", "/"),
        ("/xyzzy/plugh/quux", "/"),
    ] {
        let (status, answer) = get(path).await;
        assert_eq!((status, &answer["nearest"]), (404, &json!(nearest)), "{path}");
        assert!(answer["error"].as_str().unwrap().contains(nearest));
    }
}

#[tokio::test]
async fn the_tool_reaches_the_listed_paths_and_nothing_else() {
    let simsar = Served::new().simsar();
    for path in [
        "/",
        "",
        "/health",
        "/symbols",
        "/fapi/v1/order",
        "http://elsewhere/price/BTCUSDT",
        "/../health",
        "/price/BTCUSDT/../../health",
    ] {
        assert_eq!(simsar.call(path, &[]).await.status, 404, "{path}");
    }
    for path in ["/", "/health", "/symbols", "/openapi.json", "/brief"] {
        assert_eq!(over_http(&simsar, "GET", path).await.0, 200, "{path}");
        assert_eq!(simsar.call(path, &[]).await.status, 404, "{path}");
    }
    let candles = simsar.call("candles/BTCUSDT?interval=1h", &[("limit".into(), "3".into())]).await;
    assert_eq!(body(&candles)["candles"].as_array().unwrap().len(), 3);
    assert_eq!(simsar.call("/candles/BTCUSDT?limit=3", &[("limit".into(), "3".into())]).await.status, 400);
}

#[tokio::test]
async fn only_reading_is_answered() {
    let simsar = Served::new().simsar();
    for method in ["POST", "DELETE", "PUT"] {
        let (status, answer) = over_http(&simsar, method, "/price/BTCUSDT").await;
        assert_eq!((status, &answer["allowed"]), (405, &json!(["GET"])), "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_source_is_named_and_nothing_is_made_up() {
    let served = Served::new();
    for path in [
        "/fapi/v2/ticker/price",
        "/fapi/v1/klines",
        "/fng/",
        "/api/v1/news",
        "/v8/finance/chart/%5EDJI",
        "/fapi/v1/openInterest",
    ] {
        served.answers(path, 500, None, "<html>", usize::MAX);
    }
    served.says("/futures/data/globalLongShortAccountRatio", "[]");
    served.says("/api/v1/calendar/economic", "{}");
    let simsar = served.simsar();
    for (path, upstream) in [
        ("/price/BTCUSDT", "binance"),
        ("/candles/BTCUSDT", "binance"),
        ("/indicators/rsi/BTCUSDT", "binance"),
        ("/futures/open-interest/BTCUSDT", "binance"),
        ("/futures/long-short-ratio/BTCUSDT", "binance"),
        ("/fear-greed", "alternative_me"),
        ("/news/general", "finnhub"),
        ("/calendar", "finnhub"),
        ("/macro/us30", "yahoo"),
        ("/macro/us30/candles", "yahoo"),
    ] {
        let (status, answer) = over_http(&simsar, "GET", path).await;
        assert_eq!((status, &answer["upstream"]), (502, &json!(upstream)), "{path}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains(upstream));
    }
}

#[tokio::test]
async fn a_missing_side_dish_does_not_spoil_the_answer() {
    let served = Served::new();
    served.answers("/fapi/v1/fundingRate", 400, None, "{}", usize::MAX);
    let (status, answer) = over_http(&served.simsar(), "GET", "/futures/funding-rate/BTCUSDT").await;
    assert_eq!(
        (status, &answer["funding_rate"], &answer["history"]),
        (200, &json!("0.00010000"), &Value::Null)
    );
    assert!(answer["note"].as_str().unwrap().contains("no history"));
}

#[tokio::test]
async fn sources_of_a_world_say_that_they_are_built_in() {
    let served = Served::new();
    let options = SimsarOptions { built_in: true, ..Served::options() };
    let simsar = Simsar::new(options, served.transport(), served.clock.clone());
    for (path, source) in
        [("/price/BTCUSDT", "binance (built-in)"), ("/fear-greed", "alternative_me (built-in)")]
    {
        assert_eq!(over_http(&simsar, "GET", path).await.1["source"], source);
    }
}

#[tokio::test]
async fn a_dozen_indicators_of_one_coin_cost_one_request() {
    let served = Served::new();
    let simsar = served.simsar();
    for name in Indicator::NAMES {
        assert_eq!(simsar.call(&format!("/indicators/{name}/BTCUSDT"), &[]).await.status, 200);
    }
    assert_eq!(served.requests(), ["http://sources/fapi/v1/klines?symbol=BTCUSDT&interval=4h&limit=499"]);
    served.clock.set("2026-03-02T12:00:00Z".parse().unwrap());
    simsar.call("/indicators/rsi/BTCUSDT", &[]).await;
    assert_eq!(served.requests().len(), 2, "a candle has closed");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn whatever_is_asked_there_is_a_json_object_and_a_sensible_status(
        path in "(/(price|candles|indicators|rsi|BTCUSDT|futures|news|macro|us30|[a-zA-Z0-9_.%-]{0,12}|\\PC{0,6})){0,4}",
        query in proptest::collection::vec(("interval|limit|period|fast|\\PC{0,5}", "4h|1M|20|-1|1e9|\\PC{0,5}"), 0..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answer = runtime.block_on(Served::new().simsar().call(&path, &query));
        let object = body(&answer);
        match answer.status {
            200 => prop_assert!(object["source"].is_string()),
            400 | 404 => prop_assert!(object["error"].is_string() && !object["allowed"].is_null()),
            other => prop_assert!(false, "{} {}", other, object),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn whatever_comes_over_http_there_is_a_json_object_and_never_a_500(
        path in "(/(price|candles|indicators|rsi|bbands|BTCUSDT|futures|open-interest|news|brief|health|%[0-9A-F]{2}|[!-~]{0,8})){1,5}",
        query in "(\\?((interval|limit|period|deviations|by|%[0-9a-fA-F]{2}|[!-~]{0,5})=?(4h|1M|-1|NaN|1e9|9{1,30}|%[0-9A-F]{2}|[!-~]{0,6})&?){0,4})?",
        method in "GET|GET|GET|HEAD|POST|OPTIONS|X",
    ) {
        let target = format!("{path}{query}");
        // What is no address never gets here.
        prop_assume!(target.parse::<http::Uri>().is_ok_and(|uri| uri.path().starts_with('/')));
        let simsar = Served::new().simsar();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let request = Request::builder().method(method.as_str()).uri(&target).body(Body::empty()).unwrap();
        let (status, body) = runtime.block_on(async {
            let response = simsar.router().oneshot(request).await.unwrap();
            (response.status().as_u16(), response.into_body().collect().await.unwrap().to_bytes())
        });
        prop_assert!([200, 400, 404, 405].contains(&status), "{target}: {status}");
        if method != "HEAD" {
            let object: Value = serde_json::from_slice(&body).unwrap();
            prop_assert!(object.is_object() && (status == 200 || object["error"].is_string()), "{target}: {object}");
        }
    }
}

#[tokio::test]
async fn the_openapi_document_lists_every_path_and_its_limits_are_the_real_ones() {
    let simsar = Served::new().simsar();
    let (status, document) = over_http(&simsar, "GET", "/openapi.json").await;
    assert_eq!((status, &document["info"]["title"]), (200, &json!("simsar")));
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), tool_paths().len() + 5);
    for (template, item) in paths {
        let path = template.replace("{symbol}", "BTCUSDT");
        for parameter in item["get"]["parameters"].as_array().into_iter().flatten() {
            let (name, schema) = (parameter["name"].as_str().unwrap(), &parameter["schema"]);
            let mut inside: Vec<String> = Vec::new();
            let mut outside = vec!["x".to_owned(), String::new()];
            if parameter["in"] == "path" {
                assert_eq!(schema["enum"], json!(["BTCUSDT", "ETHUSDT"]));
                continue;
            }
            if let (Some(least), Some(most)) = (schema["minimum"].as_f64(), schema["maximum"].as_f64()) {
                inside.extend([least, most].map(|number| number.to_string()));
                outside.extend([least - 1.0, most + 1.0].map(|number| number.to_string()));
            }
            inside.extend(
                schema["enum"].as_array().into_iter().flatten().map(|word| word.as_str().unwrap().into()),
            );
            for value in inside {
                let target = format!("{path}?{name}={value}");
                assert_eq!(over_http(&simsar, "GET", &target).await.0, 200, "{target}");
            }
            for value in outside {
                let target = format!("{path}?{name}={value}");
                assert_eq!(over_http(&simsar, "GET", &target).await.0, 400, "{target}");
            }
        }
    }
}

#[tokio::test]
async fn macd_takes_its_two_periods_in_either_order() {
    let simsar = Served::new().simsar();
    let (_, usual) = over_http(&simsar, "GET", "/indicators/macd/BTCUSDT").await;
    let (_, turned) = over_http(&simsar, "GET", "/indicators/macd/BTCUSDT?fast=26&slow=12").await;
    assert_eq!((&usual["line"], &turned["fast"]), (&turned["line"], &json!(12)));
}

#[tokio::test]
async fn the_largest_traders_are_counted_by_size_or_by_head() {
    let served = Served::new();
    let simsar = served.simsar();
    for by in ["", "?by=positions", "?by=accounts"] {
        over_http(&simsar, "GET", &format!("/futures/top-trader-ratio/BTCUSDT{by}")).await;
    }
    let asked = served.requests();
    assert_eq!(asked.len(), 2);
    assert!(asked[0].contains("topLongShortPositionRatio") && asked[1].contains("topLongShortAccountRatio"));
}

/// Replaces the `which`th node of a JSON tree, counted in depth-first order.
fn replace_node(tree: &mut Value, which: &mut usize, by: &Value) -> bool {
    if *which == 0 {
        *tree = by.clone();
        return true;
    }
    *which -= 1;
    match tree {
        Value::Array(rows) => rows.iter_mut().any(|row| replace_node(row, which, by)),
        Value::Object(fields) => fields.iter_mut().any(|(_, field)| replace_node(field, which, by)),
        _ => false,
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop_oneof!["NaN", "-1", "0", "1e308", "1e-30", "9999999999999999999999999999999", "\\PC{0,8}"]
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::hash_map("[a-z]{1,4}", inner, 0..3).prop_map(|fields| json!(fields)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn a_source_that_lies_in_one_place_never_breaks_an_answer(
        (source, path) in proptest::sample::select(vec![
            ("/fapi/v2/ticker/price", "/price/BTCUSDT"),
            ("/fapi/v1/klines", "/candles/BTCUSDT"),
            ("/fapi/v1/klines", "/indicators/macd/BTCUSDT"),
            ("/fapi/v1/premiumIndex", "/futures/funding-rate/BTCUSDT"),
            ("/fapi/v1/fundingRate", "/futures/funding-rate/BTCUSDT"),
            ("/fapi/v1/openInterest", "/futures/open-interest/BTCUSDT"),
            ("/futures/data/openInterestHist", "/futures/open-interest/BTCUSDT"),
            ("/futures/data/globalLongShortAccountRatio", "/futures/long-short-ratio/BTCUSDT"),
            ("/fng/", "/fear-greed"),
            ("/api/v1/news", "/news/crypto"),
            ("/api/v1/calendar/economic", "/calendar"),
            ("/v8/finance/chart/%5EDJI", "/macro/us30"),
            ("/v8/finance/chart/%5EDJI", "/macro/us30/candles"),
        ]),
        mut which in 0_usize..80,
        lie in any_json(),
    ) {
        let query = [("interval", "4h"), ("limit", "12"), ("category", "crypto"), ("symbol", "BTCUSDT")];
        let query = query.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
        let mut answer = usual(source, &query).unwrap();
        replace_node(&mut answer, &mut which, &lie);
        let served = Served::new();
        served.says(source, answer.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answer = runtime.block_on(served.simsar().call(path, &[]));
        let object = body(&answer);
        match answer.status {
            200 => {
                for candle in object["candles"].as_array().into_iter().flatten().filter(|_| path.starts_with("/candles")) {
                    let candle: Candle = serde_json::from_value(candle.clone()).unwrap();
                    prop_assert!(candle.is_consistent());
                }
                prop_assert!(object["age_s"].as_i64().unwrap() >= 0);
            }
            502 => prop_assert!(object["upstream"].is_string()),
            other => prop_assert!(false, "{} {}", other, object),
        }
    }
}
