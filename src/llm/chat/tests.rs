//! Chat completions against a server that plays scripts.

use std::time::Duration;

use serde_json::{Map, json};
use tokio::time::Instant;

use super::*;
use crate::llm::testing::{Play, Server, ok, status};
use crate::llm::{LlmClient, LlmError, Protocol, Turn, Until, tools};

fn client(server: &Server) -> LlmClient {
    server.client_with(|options| options.protocol = Protocol::ChatCompletions)
}

async fn ask(server: &Server, messages: Vec<Message>) -> (Result<Turn, LlmError>, Vec<TurnEvent>) {
    let request = TurnRequest {
        system: "who you are".to_owned(),
        messages,
        tools: vec![tools::call_api(&["/price/{symbol}"])],
        cache: true,
    };
    let mut events = Vec::new();
    let deadline = Instant::now() + Duration::from_hours(1);
    let result =
        client(server).run_turn(&request, &Until::at(deadline), &mut |event| events.push(event)).await;
    (result, events)
}

fn chunks(chunks: &[Value], end: &str) -> Play {
    ok(chunks.iter().fold(String::new(), |text, chunk| text + &format!("data: {chunk}\n\n")) + end)
}

fn delta(delta: &Value, finish: Option<&str>) -> Value {
    json!({"model": "qwen", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
}

fn usage() -> Value {
    json!({"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 60}}})
}

#[tokio::test]
async fn text_streams_and_cached_input_is_told_apart() {
    let script = [
        delta(&json!({"role": "assistant", "content": "Mer"}), None),
        delta(&json!({"content": "haba"}), None),
        delta(&json!({}), Some("stop")),
        usage(),
    ];
    let server = Server::playing([chunks(&script, "data: [DONE]\n\n")]);
    let (turn, events) = ask(&server, vec![Message::user("hello")]).await;
    let turn = turn.unwrap();
    assert_eq!((turn.text().raw(), turn.stop_reason), ("Merhaba", StopReason::EndTurn));
    assert_eq!(events, ["Mer", "haba"].map(|text| TurnEvent::TextDelta(text.into())));
    assert_eq!(turn.usage.input_tokens, 40);
    assert_eq!((turn.usage.cache_read_input_tokens, turn.usage.output_tokens), (60, 20));
    let seen = server.seen.lock().unwrap();
    let (headers, body) = &seen[0];
    assert_eq!(headers["authorization"], "Bearer sk-very-secret");
    assert_eq!(body["messages"][0], json!({"role": "system", "content": "who you are"}));
    assert_eq!(body["tools"][0]["function"]["name"], "call_api");
    assert_eq!((&body["max_tokens"], &body["stream_options"]["include_usage"]), (&json!(8192), &json!(true)));
    assert!(body.get("cache_control").is_none());
}

#[tokio::test]
async fn calls_grow_by_their_index_and_go_back_as_tool_messages() {
    let part = |index: u64, id: Value, name: Value, arguments: &str| json!({"tool_calls": [{"index": index, "id": id, "function": {"name": name, "arguments": arguments}}]});
    let script = [
        delta(&part(0, json!("a"), json!("call_api"), ""), None),
        delta(&part(1, json!("b"), json!("call_api"), "{\"endpoint\":"), None),
        delta(&part(0, Value::Null, Value::Null, "{\"endpoint\": \"/price/BTCUSDT\"}"), None),
        delta(&part(1, Value::Null, Value::Null, "\"/news\"}"), None),
        delta(&json!({}), Some("tool_calls")),
    ];
    let server = Server::playing([chunks(&script, ""), chunks(&[delta(&json!({}), Some("stop"))], "")]);
    let (turn, _) = ask(&server, vec![Message::user("hello")]).await;
    let turn = turn.unwrap();
    let endpoints: Vec<&Value> =
        turn.tool_calls().iter().map(|call| &call.input.complete().unwrap()["endpoint"]).collect();
    assert_eq!(endpoints, ["/price/BTCUSDT", "/news"]);
    let result = |id: &str| Block::ToolResult {
        tool_use_id: id.to_owned(),
        content: "{}".to_owned(),
        is_error: false,
    };
    let results = vec![result("a"), result("b"), Block::Text("answer now".into())];
    let messages =
        vec![Message::user("hello"), Message::assistant(turn.content), Message::tool_results(results)];
    ask(&server, messages).await.0.unwrap();
    let seen = server.seen.lock().unwrap();
    let sent = seen[1].1["messages"].as_array().unwrap();
    let roles: Vec<&str> = sent.iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "tool", "user"]);
    assert_eq!(sent[2]["content"], Value::Null);
    assert_eq!(sent[2]["tool_calls"][1]["function"]["arguments"], "{\"endpoint\":\"/news\"}");
    assert_eq!(sent[4]["tool_call_id"], "b");
}

#[tokio::test]
async fn a_call_that_was_cut_off_is_never_whole() {
    let cut =
        json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "call_api", "arguments": "{}"}}]});
    let server = Server::playing([chunks(&[delta(&cut, Some("length"))], "data: [DONE]\n\n")]);
    let turn = ask(&server, vec![Message::user("hello")]).await.0.unwrap();
    assert_eq!(turn.stop_reason, StopReason::MaxTokens);
    assert!(turn.tool_calls().is_empty());
    let Block::ToolUse(call) = &turn.content[0] else { panic!("a call") };
    assert!(matches!(call.input, ToolInput::Broken(_)));
}

#[tokio::test]
async fn a_plain_stop_after_whole_calls_means_the_calls() {
    let whole =
        json!({"tool_calls": [{"function": {"name": "call_api", "arguments": {"endpoint": "/news"}}}]});
    let server = Server::playing([chunks(&[delta(&whole, Some("stop"))], "")]);
    let turn = ask(&server, vec![Message::user("hello")]).await.0.unwrap();
    let mut expected = Map::new();
    expected.insert("endpoint".to_owned(), json!("/news"));
    assert_eq!(turn.tool_calls()[0].input.complete(), Some(&expected));
    assert_eq!(turn.tool_calls()[0].id, "call_0");
}

#[tokio::test]
async fn an_end_without_a_reason_and_an_error_in_the_stream_are_no_answers() {
    let server = Server::playing([
        chunks(&[delta(&json!({"content": "half"}), None)], ""),
        chunks(&[json!({"error": {"type": "server_error", "message": "out of memory"}})], ""),
    ]);
    for expected in ["before the message was complete", "server_error: out of memory"] {
        let error = ask(&server, vec![Message::user("hello")]).await.0.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn an_empty_purse_is_not_asked_twice() {
    let body = r#"{"error":{"type":"insufficient_quota","code":"insufficient_quota","message":"no money"}}"#;
    let server = Server::playing([status(429, &[], body)]);
    let error = ask(&server, vec![Message::user("hello")]).await.0.unwrap_err();
    assert!(matches!(error, LlmError::Refused { spend_limit: true, attempts: 1, .. }), "{error}");
}

#[test]
fn the_base_may_end_in_v1_or_not() {
    for base in ["http://localhost:11434", "http://localhost:11434/", "http://localhost:11434/v1"] {
        assert_eq!(ChatCompletions.address(base), "http://localhost:11434/v1/chat/completions");
    }
}

#[tokio::test]
async fn a_server_that_counts_nothing_is_estimated_whole_and_cut() {
    let words = "word ".repeat(200);
    let script = [delta(&json!({"content": words}), None), delta(&json!({}), Some("stop"))];
    let (turn, _) =
        ask(&Server::playing([chunks(&script, "data: [DONE]\n\n")]), vec![Message::user("hello")]).await;
    let turn = turn.unwrap();
    let sent = u64::try_from(turn.raw_request.len()).unwrap().div_ceil(2);
    assert_eq!((turn.usage.input_tokens, turn.usage.output_tokens, turn.usage.estimated), (sent, 500, true));
    let (result, _) = ask(&Server::playing([chunks(&script[..1], "")]), vec![Message::user("hello")]).await;
    let Err(LlmError::Interrupted { partial, .. }) = result else { panic!("{result:?}") };
    assert_eq!((partial.usage.input_tokens, partial.usage.output_tokens), (sent, 500));
}

#[tokio::test]
async fn arguments_that_come_as_an_object_with_a_field_written_twice_are_broken() {
    let whole = |arguments: &str| {
        let chunk = r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"id":"1","function":{"name":"call_api","arguments":ARGUMENTS}}]},"finish_reason":"tool_calls"}]}"#;
        ok(format!("data: {}\n\n", chunk.replace("ARGUMENTS", arguments)))
    };
    for (arguments, is_whole) in [(r#"{"a":1,"b":2}"#, true), (r#"{"a":1,"a":2}"#, false)] {
        let (turn, _) = ask(&Server::playing([whole(arguments)]), vec![Message::user("hello")]).await;
        assert_eq!(turn.unwrap().tool_calls()[0].input.complete().is_some(), is_whole, "{arguments}");
    }
}

#[tokio::test]
async fn calls_that_share_an_index_are_told_apart_by_their_ids_and_parts_without_any_go_on_with_the_last() {
    let whole = |id: &str, endpoint: &str| json!({"index": 0, "id": id, "function": {"name": "call_api", "arguments": format!("{{\"endpoint\":\"{endpoint}\"}}")}});
    let bare = |id: Value, arguments: &str| json!({"id": id, "function": {"arguments": arguments}});
    let scripts = [
        vec![json!([whole("a", "/news"), whole("b", "/health")])],
        vec![json!([whole("a", "/news")]), json!([whole("b", "/health")])],
        vec![
            json!([{"id": "a", "function": {"name": "call_api", "arguments": ""}}]),
            json!([bare(Value::Null, "{\"endpoint\":")]),
            json!([bare(json!("a"), "\"/news\"}")]),
            json!([{"id": "b", "function": {"name": "call_api", "arguments": "{\"endpoint\":\"/hea"}}]),
            json!([bare(Value::Null, "lth\"}")]),
        ],
    ];
    for script in scripts {
        let mut events: Vec<Value> =
            script.iter().map(|calls| delta(&json!({ "tool_calls": calls }), None)).collect();
        events.push(delta(&json!({}), Some("tool_calls")));
        let server = Server::playing([chunks(&events, "data: [DONE]\n\n")]);
        let turn = ask(&server, vec![Message::user("hello")]).await.0.unwrap();
        let calls: Vec<_> = turn
            .tool_calls()
            .iter()
            .map(|call| (call.id.clone(), call.input.complete().unwrap()["endpoint"].clone()))
            .collect();
        assert_eq!(
            calls,
            [("a".to_owned(), json!("/news")), ("b".to_owned(), json!("/health"))],
            "{script:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_reason_to_stop_came_may_fall_silent_or_break() {
    use futures_util::StreamExt;
    for tail in ["", "data: {\"choi"] {
        let said = delta(&json!({"content": "whole"}), Some("stop"));
        let head =
            || futures_util::stream::iter([Ok::<_, std::io::Error>(format!("data: {said}\n\n{tail}"))]);
        let silent = axum::body::Body::from_stream(head().chain(futures_util::stream::pending()));
        let cut = futures_util::stream::iter([Err(std::io::Error::other("reset"))]);
        let cut = axum::body::Body::from_stream(head().chain(cut));
        for body in [silent, cut] {
            let turn = ask(&Server::playing([ok(body)]), vec![Message::user("hello")]).await.0.unwrap();
            assert_eq!((turn.text().raw(), turn.stop_reason), ("whole", StopReason::EndTurn));
        }
    }
}

#[tokio::test]
async fn thinking_that_is_written_under_both_its_names_is_told_once() {
    let both = json!({"reasoning": "hm", "reasoning_content": "hm"});
    let one = json!({"reasoning": " so", "reasoning_content": ""});
    let events = [delta(&both, None), delta(&one, None), delta(&json!({"content": "x"}), Some("stop"))];
    let server = Server::playing([chunks(&events, "data: [DONE]\n\n")]);
    let (turn, told) = ask(&server, vec![Message::user("hello")]).await;
    turn.unwrap();
    let thought: String = told
        .iter()
        .filter_map(|event| if let TurnEvent::ThinkingDelta(text) = event { Some(text.raw()) } else { None })
        .collect();
    assert_eq!(thought, "hm so");
}
