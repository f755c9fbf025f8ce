//! The server as a client sees it.

use axum::Router;
use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{Analyst, AnalystOptions, Fault, router};

struct Seen {
    status: StatusCode,
    headers: http::HeaderMap,
    body: String,
}

impl Seen {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

async fn send(router: &Router, request: Request<Body>) -> Seen {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Seen { status: parts.status, headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

fn server() -> Router {
    router(AnalystOptions::default())
}

fn request(path: &str, body: &Value) -> Request<Body> {
    Request::post(path)
        .header("authorization", "Bearer anything")
        .header("anthropic-version", "2026-10-21")
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

async fn post(body: &Value) -> Seen {
    send(&server(), request("/v1/messages", body)).await
}

fn base(prompt: &str) -> Value {
    json!({"model": "claude-sonnet-4-6", "max_tokens": 8192, "messages": [{"role": "user", "content": prompt}]})
}

/// One coin's section with a trend of `slope` a bar.
fn section(symbol: &str, slope: f64, rsi: f64, adx: f64) -> String {
    let price = 100.0 + 20.0 * slope;
    let mut text = format!(
        "## {symbol}\n```csv\nprice,change_4h_pct,rsi14,macd,macd_signal,macd_hist,adx14,bb_lower,bb_middle,bb_upper,\
         atr14,funding_rate_pct\n{price},{slope},{rsi},1,1,{},{adx},60,100,140,1.5,0.01\n```\n```csv\n\
         hours_ago,open,high,low,close,volume\n",
        slope / 2.0
    );
    for bar in 0..20 {
        let close = 100.0 + slope * f64::from(bar);
        let row = [f64::from(4 * (19 - bar)), close - slope, close + 1.0, close - 1.0, close, 10.0];
        text.push_str(&row.map(|cell| cell.to_string()).join(","));
        text.push('\n');
    }
    text + "```\n"
}

fn flat(symbol: &str) -> Value {
    json!({"symbol": symbol, "allowed": ["LONG", "SHORT", "NO_TRADE"], "position": null})
}

fn task(language: &str, accounts: &Value) -> String {
    let task = json!({"market_time": "2026-03-02T08:05:00Z", "language": language, "threshold": 0.75,
                      "accounts": accounts, "answer": "one object for every account and coin"});
    format!("# Task\n```task\n{task}\n```\n")
}

/// Three accounts, nothing held, one coin rising, one falling, one in between.
fn empty_book(language: &str) -> String {
    let coins = json!([flat("BTCUSDT"), flat("ETHUSDT"), flat("SOLUSDT")]);
    let accounts: Vec<Value> =
        ["mirat", "mevlut", "tugrul"].map(|name| json!({"account": name, "coins": coins})).into();
    [
        section("BTCUSDT", 0.8, 64.0, 33.0),
        section("ETHUSDT", -0.7, 37.0, 30.0),
        section("SOLUSDT", 0.01, 50.0, 15.0),
        task(language, &json!(accounts)),
    ]
    .concat()
}

fn tools() -> Value {
    json!([{"name": "call_api", "description": "reads", "input_schema": {"type": "object",
            "properties": {"path": {"type": "string"}}, "required": ["path"]}}])
}

fn fenced_rows(text: &str) -> Vec<Value> {
    let (analysis, rest) = text.split_once("</analysis>").expect("an analysis first");
    let lines = analysis.trim().lines().count() - 1;
    assert!((10..=15).contains(&lines), "{lines} lines");
    let json =
        rest.trim().strip_prefix("```json").and_then(|rest| rest.strip_suffix("```")).expect("one fence");
    serde_json::from_str(json).unwrap()
}

fn text_of(message: &Value) -> &str {
    message["content"][0]["text"].as_str().unwrap()
}

#[tokio::test]
async fn without_a_key_or_a_version_nothing_is_answered() {
    let body = base("hi").to_string();
    let bare = Request::post("/v1/messages").header("anthropic-version", "2026-10-21");
    let refused = send(&server(), bare.body(Body::from(body.clone())).unwrap()).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(refused.json()["error"]["type"], "authentication_error");
    assert_eq!(refused.json()["request_id"], refused.headers["request-id"].to_str().unwrap());
    let versionless = Request::post("/v1/messages").header("x-api-key", "k").body(Body::from(body)).unwrap();
    assert_eq!(send(&server(), versionless).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn unknown_models_and_paths_are_not_found_and_every_claude_is_answered_under_its_name() {
    let mut body = base("hi");
    for unknown in [
        "gpt-5",
        "x",
        "claude",
        "claude-none",
        "claude-sonet-4-6",
        "claude-sonnet",
        "claude-sonnet-",
        "claude-sonnet-4-6-1",
        "claude-sonnet-4-6-2025",
        "claude-sonnet-4-6x",
        "claude-sonnet-20251001",
        "claude-4-6",
        "Claude-sonnet-4-6",
    ] {
        body["model"] = json!(unknown);
        let refused = post(&body).await;
        assert_eq!(refused.status, StatusCode::NOT_FOUND, "{unknown}");
        assert_eq!(refused.json()["error"]["type"], "not_found_error");
        assert_eq!(refused.json()["error"]["message"], format!("model: {unknown}"));
    }
    let lost = send(&server(), request("/v1/complete", &body)).await;
    assert_eq!(
        (lost.status, lost.json()["error"]["type"].clone()),
        (StatusCode::NOT_FOUND, json!("not_found_error"))
    );
    for known in [
        "claude-sonnet-4-6",
        "claude-haiku-4-5-20251001",
        "claude-fable-5",
        "claude-fable-5-2",
        "claude-opus-9",
        "claude-opus-10-1-latest",
        "claude-3-5-sonnet-20241022",
        "claude-3-haiku-latest",
        "builtin",
    ] {
        body["model"] = json!(known);
        let message = post(&body).await.json();
        assert_eq!(message["model"], known);
        assert!(message["id"].as_str().unwrap().starts_with("msg_builtin_"));
    }
}

#[tokio::test]
async fn broken_json_is_a_typed_refusal() {
    let mut raw = request("/v1/messages", &Value::Null);
    *raw.body_mut() = Body::from("{\"model\":");
    let refused = send(&server(), raw).await;
    assert_eq!((refused.status, refused.json()["type"].clone()), (StatusCode::BAD_REQUEST, json!("error")));
}

#[tokio::test]
async fn models_are_listed_and_found_also_by_head() {
    let get = |method: &str, path: &str| {
        Request::builder()
            .method(method)
            .uri(path)
            .header("x-api-key", "k")
            .header("anthropic-version", "2023-06-01")
            .body(Body::empty())
            .unwrap()
    };
    let list = send(&server(), get("GET", "/v1/models")).await.json();
    assert_eq!(list["data"][0]["id"], "claude-sonnet-4-6");
    assert_eq!(send(&server(), get("HEAD", "/v1/models/claude-sonnet-4-6")).await.status, StatusCode::OK);
    assert_eq!(send(&server(), get("GET", "/v1/models/llama")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(send(&server(), get("DELETE", "/v1/models")).await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn counting_agrees_with_the_usage_of_the_answer() {
    let body = base(&empty_book("en"));
    let counted = send(&server(), request("/v1/messages/count_tokens", &body)).await.json();
    let answered = post(&body).await.json();
    assert_eq!(counted["input_tokens"], answered["usage"]["input_tokens"]);
    assert!(counted["input_tokens"].as_u64().unwrap() > 1000);
}

/// The data of every event, checked against its name.
fn events(stream: &str) -> Vec<Value> {
    stream
        .split("\n\n")
        .filter(|frame| !frame.is_empty())
        .map(|frame| {
            let (name, data) = frame.split_once('\n').unwrap();
            let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(name.strip_prefix("event: ").unwrap(), data["type"]);
            data
        })
        .collect()
}

#[tokio::test]
async fn the_stream_carries_the_same_answer_in_the_documented_order() {
    let mut body = base(&empty_book("en"));
    body["tools"] = tools();
    let whole = post(&body).await.json();
    body["stream"] = json!(true);
    let streamed = post(&body).await;
    assert_eq!(streamed.headers["content-type"], "text/event-stream; charset=utf-8");
    let events = events(&streamed.body);
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds[..3], ["message_start", "ping", "content_block_start"]);
    assert_eq!(kinds[kinds.len() - 3..], ["content_block_stop", "message_delta", "message_stop"]);
    let mut blocks = vec![String::new(); whole["content"].as_array().unwrap().len()];
    for event in events.iter().filter(|event| event["type"] == "content_block_delta") {
        let index = usize::try_from(event["index"].as_u64().unwrap()).unwrap();
        let delta = &event["delta"];
        blocks[index] += delta["text"].as_str().or(delta["partial_json"].as_str()).unwrap();
    }
    assert_eq!(blocks[0], whole["content"][0]["text"].as_str().unwrap());
    assert_eq!(serde_json::from_str::<Value>(&blocks[1]).unwrap(), whole["content"][1]["input"]);
    let first_json = events.iter().find(|event| event["delta"]["type"] == "input_json_delta").unwrap();
    assert_eq!(first_json["delta"]["partial_json"], "");
    let end = &events[events.len() - 2];
    assert_eq!(end["delta"]["stop_reason"], "tool_use");
    assert_eq!(end["usage"]["output_tokens"], whole["usage"]["output_tokens"]);
}

#[tokio::test(start_paused = true)]
async fn the_token_delay_paces_the_text_and_nothing_else() {
    let mut body = base("hello");
    body["stream"] = json!(true);
    let began = tokio::time::Instant::now();
    let delayed =
        router(AnalystOptions { token_delay: std::time::Duration::from_millis(15), ..Default::default() });
    let pieces = events(&send(&delayed, request("/v1/messages", &body)).await.body)
        .iter()
        .filter(|event| event["type"] == "content_block_delta")
        .count();
    assert!(pieces > 3);
    assert_eq!(began.elapsed().as_millis(), 15 * pieces as u128);
}

#[tokio::test]
async fn an_empty_book_gets_strong_openings_of_both_directions_and_every_pair_a_row() {
    let message = post(&base(&empty_book("en"))).await.json();
    assert_eq!(message["stop_reason"], "end_turn");
    let rows = fenced_rows(text_of(&message));
    assert_eq!(rows.len(), 9);
    for account in ["mirat", "mevlut", "tugrul"] {
        let strong: Vec<&str> = rows
            .iter()
            .filter(|row| row["account"] == account && row["confidence"].as_f64().unwrap() >= 0.75)
            .map(|row| row["decision"].as_str().unwrap())
            .collect();
        assert_eq!(strong, ["LONG", "SHORT"], "{account}");
    }
    let quiet = rows.iter().find(|row| row["symbol"] == "SOLUSDT").unwrap();
    assert_eq!(quiet["decision"], "NO_TRADE");
}

#[tokio::test]
async fn the_answer_is_in_the_language_of_the_task() {
    let turkish = post(&base(&empty_book("tr"))).await.json();
    assert!(text_of(&turkish).contains("Yerleşik"), "{turkish}");
    let english = post(&base(&empty_book("en"))).await.json();
    assert!(text_of(&english).contains("Built-in"));
}

/// Lets the analyst call until it stops, answering every call with `answer`; the last message and the calls made.
async fn converse(mut body: Value, answer: impl Fn(&Value) -> Value) -> (Value, Vec<Value>) {
    let mut calls = Vec::new();
    for _ in 0..10 {
        let message = post(&body).await.json();
        let asked: Vec<Value> = message["content"]
            .as_array()
            .unwrap_or_else(|| panic!("refused: {message}"))
            .iter()
            .filter(|block| block["name"] == "call_api")
            .cloned()
            .collect();
        if asked.is_empty() {
            return (message, calls);
        }
        let results: Vec<Value> = asked
            .iter()
            .map(|call| {
                let mut result = answer(&call["input"]);
                result["type"] = json!("tool_result");
                result["tool_use_id"] = call["id"].clone();
                result
            })
            .collect();
        calls.extend(asked);
        let messages = body["messages"].as_array_mut().unwrap();
        messages.push(json!({"role": "assistant", "content": message["content"]}));
        messages.push(json!({"role": "user", "content": results}));
    }
    panic!("no end within ten turns");
}

#[tokio::test]
async fn with_the_tool_on_offer_it_looks_up_two_or_three_things_and_then_decides() {
    let mut body = base(&empty_book("en"));
    body["tools"] = tools();
    let (message, calls) =
        converse(body, |_| json!({"content": "{\"source\":\"binance\",\"value\":\"61.5\"}"})).await;
    let paths: Vec<&str> = calls.iter().map(|call| call["input"]["path"].as_str().unwrap()).collect();
    assert_eq!(
        paths,
        ["/futures/funding-rate/BTCUSDT", "/indicators/rsi/BTCUSDT?interval=1h", "/news/crypto"]
    );
    assert_eq!(message["stop_reason"], "end_turn");
    assert!(text_of(&message).contains("61.5"), "the result is told");
    assert_eq!(fenced_rows(text_of(&message)).len(), 9);
}

#[tokio::test]
async fn a_tool_that_fails_does_not_stop_it() {
    let mut body = base(&empty_book("en"));
    body["tools"] = tools();
    let (message, calls) = converse(body, |_| json!({"content": "timeout", "is_error": true})).await;
    assert_eq!(calls.len(), 2, "it does not go on asking");
    assert!(text_of(&message).contains("failed"));
    assert_eq!(fenced_rows(text_of(&message)).len(), 9);
}

#[tokio::test]
async fn one_call_at_a_time_when_the_caller_wants_that() {
    let mut body = base(&empty_book("en"));
    body["tools"] = tools();
    body["tool_choice"] = json!({"type": "auto", "disable_parallel_tool_use": true});
    let first = post(&body).await.json();
    assert_eq!(first["content"].as_array().unwrap().len(), 2, "a text and one call");
    let (_, calls) = converse(body, |_| json!({"content": "{}"})).await;
    assert_eq!(calls.len(), 3);
}

#[tokio::test]
async fn tools_switched_off_are_not_called() {
    let mut body = base(&empty_book("en"));
    body["tools"] = tools();
    body["tool_choice"] = json!({"type": "none"});
    assert_eq!(post(&body).await.json()["stop_reason"], "end_turn");
}

#[tokio::test]
async fn the_decisions_go_through_the_submitting_tool_in_its_own_words() {
    let mut body = base(&empty_book("en"));
    body["tools"] = json!([{"name": "submit_decisions", "input_schema": {"type": "object", "properties": {
        "decisions": {"type": "array", "items": {"type": "object", "properties": {
            "account": {"type": "string"}, "symbol": {"type": "string"},
            "action": {"type": "string", "enum": ["long", "short", "no_trade", "hold", "close"]},
            "confidence": {"type": "number"}, "reason": {"type": "string"}, "risk_note": {"type": "string"},
            "horizon": {"type": "string"}},
            "required": ["account", "symbol", "action", "confidence", "reason", "risk_note", "horizon"]}}},
        "required": ["decisions"]}}]);
    let message = post(&body).await.json();
    assert_eq!(message["stop_reason"], "tool_use");
    let call = &message["content"][1];
    let rows = call["input"]["decisions"].as_array().unwrap();
    assert_eq!(rows.len(), 9);
    assert_eq!(rows[0]["action"], "long");
    assert_eq!(rows[0]["horizon"], "none");
    assert!(rows.iter().all(|row| row.get("decision").is_none() && row.get("market_bias").is_none()));
    let messages = body["messages"].as_array_mut().unwrap();
    messages.push(json!({"role": "assistant", "content": message["content"]}));
    messages.push(json!({"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": call["id"], "content": "taken"}]}));
    assert_eq!(post(&body).await.json()["stop_reason"], "end_turn", "a second submission would trade twice");
}

#[tokio::test]
async fn a_repair_request_gets_the_full_array_again_without_more_calls() {
    let mut body = base(&empty_book("en"));
    body["tools"] = tools();
    let (message, _) = converse(body.clone(), |_| json!({"content": "{\"value\": 55}"})).await;
    let mut repaired = body;
    // The loop's turns are not repeated here: what counts is that an answer stands before the request.
    let call = json!({"type": "tool_use", "id": "t1", "name": "call_api", "input": {"path": "/fear-greed"}});
    repaired["messages"].as_array_mut().unwrap().extend([
        json!({"role": "assistant", "content": [call]}),
        json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "{}"}]}),
        json!({"role": "assistant", "content": message["content"]}),
        json!({"role": "user", "content": "These rows were wrong: mirat ETHUSDT (missing). Answer again in full."}),
    ]);
    let again = post(&repaired).await.json();
    assert_eq!(again["stop_reason"], "end_turn");
    assert_eq!(fenced_rows(text_of(&again)).len(), 9);
}

fn held(side: &str, entry: f64, hours: f64) -> Value {
    json!({"symbol": "BTCUSDT", "allowed": ["HOLD", "CLOSE"],
           "position": {"side": side, "entry": entry.to_string(), "unrealised_usdt": "0", "held_h": hours}})
}

/// What it does with one BTC position while BTC rises at 116.
async fn managed(position: Value) -> Value {
    let prompt = section("BTCUSDT", 0.8, 64.0, 33.0)
        + &task("en", &json!([{"account": "mirat", "coins": [position]}]));
    fenced_rows(text_of(&post(&base(&prompt)).await.json())).remove(0)
}

#[tokio::test]
async fn positions_are_held_with_the_signal_and_closed_against_it_but_not_while_young() {
    for (side, entry, hours, word) in [
        ("LONG", 115.0, 6.0, "HOLD"),
        ("SHORT", 116.0, 6.0, "CLOSE"),
        ("SHORT", 116.0, 1.0, "HOLD"),
        ("SHORT", 109.0, 1.0, "CLOSE"),
    ] {
        let row = managed(held(side, entry, hours)).await;
        assert_eq!(row["decision"], word, "{side} from {entry} for {hours} h: {row}");
    }
}

#[tokio::test]
async fn only_allowed_words_are_ever_said() {
    for allowed in [json!(["SHORT", "NO_TRADE"]), json!(["NO_TRADE"]), json!(["HOLD"])] {
        let coin = json!({"symbol": "BTCUSDT", "allowed": allowed, "position": null});
        let row = managed(coin).await;
        assert!(allowed.as_array().unwrap().contains(&row["decision"]), "{row}");
    }
}

#[tokio::test]
async fn any_prompt_is_answered_even_with_little_room() {
    for prompt in ["Merhaba", "```task\n{broken\n```", "What is BTCUSDT doing?", "{}"] {
        let mut body = base(prompt);
        body["max_tokens"] = json!(512);
        let message = post(&body).await.json();
        assert_eq!(message["stop_reason"], "end_turn", "{prompt}");
        body["tools"] = tools();
        let (message, calls) = converse(body, |_| json!({"content": "{\"price\":\"1\"}"})).await;
        assert_eq!((message["stop_reason"].as_str(), calls.len()), (Some("end_turn"), 1), "{prompt}");
    }
}

#[tokio::test]
async fn an_array_that_does_not_fit_is_cut_and_called_so() {
    let coins: Vec<Value> = (0..60).map(|number| flat(&format!("C{number}USDT"))).collect();
    let mut body = base(&task("en", &json!([{"account": "mirat", "coins": coins}])));
    body["max_tokens"] = json!(512);
    let message = post(&body).await.json();
    assert_eq!(
        (message["stop_reason"].as_str(), message["usage"]["output_tokens"].as_u64()),
        (Some("max_tokens"), Some(512))
    );
}

#[tokio::test]
async fn two_equal_conversations_get_equal_answers() {
    let body = base(&empty_book("tr"));
    assert_eq!(post(&body).await.body, post(&body).await.body);
}

#[tokio::test]
async fn a_full_book_gets_no_more_strong_openings() {
    let held = |number: usize| {
        json!({"symbol": format!("C{number}USDT"), "allowed": ["HOLD", "CLOSE"],
               "position": {"side": "LONG", "entry": "100", "unrealised_usdt": "0", "held_h": 5.0}})
    };
    for (positions, opens) in [(0, true), (4, true), (5, false)] {
        let coins: Vec<Value> = (0..positions).map(held).chain([flat("BTCUSDT")]).collect();
        let accounts = json!([{"account": "mirat", "coins": coins}]);
        let prompt = section("BTCUSDT", 0.8, 64.0, 33.0) + &task("en", &accounts);
        let rows = fenced_rows(text_of(&post(&base(&prompt)).await.json()));
        let btc = rows.last().unwrap();
        assert_eq!(btc["confidence"].as_f64().unwrap() >= 0.75, opens, "{positions} held: {btc}");
    }
}

#[tokio::test]
async fn a_bad_day_can_begin_and_end_while_the_server_runs() {
    let analyst = Analyst::new(AnalystOptions::default());
    let router = analyst.router();
    let status = async || send(&router, request("/v1/messages", &base("hello"))).await.status.as_u16();
    assert_eq!((status().await, analyst.fault()), (200, None));
    analyst.set_fault(Some(Fault::Overload), Some(2));
    assert_eq!((status().await, analyst.fault()), (529, Some((Fault::Overload, Some(1)))));
    assert_eq!((status().await, analyst.fault()), (529, None));
    assert_eq!(status().await, 200);
    analyst.clone().set_fault(Some(Fault::Overload), None);
    assert_eq!([status().await, status().await, status().await], [529; 3]);
    analyst.set_fault(None, None);
    assert_eq!(status().await, 200);
}
