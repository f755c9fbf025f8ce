//! The client against a server that plays scripts, cut and stalled wherever it hurts.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::testing::{Play, Server, block, end, frames, ok, run, start, status, text_block, tool_block};
use super::*;

/// Text, unknown things, thinking and two calls: everything a turn can hold.
fn rich_answer() -> String {
    let mut events = vec![start(), json!({"type":"ping"})];
    events.extend(block(
        0,
        &json!({"type":"thinking","thinking":"","signature":""}),
        &[
            json!({"type":"thinking_delta","thinking":"hm"}),
            json!({"type":"signature_delta","signature":"s1g"}),
        ],
    ));
    events.extend(text_block(1, &["Günaydın ", "日本 🚀"]));
    events.push(json!({"type":"brand_new_event","x":1}));
    events.extend(tool_block(2, &["", "{\"endpoint\": \"/price/", "BTCUSDT\"}"]));
    events.extend(tool_block(3, &[""]));
    events.extend(block(4, &json!({"type":"novelty","y":[1]}), &[json!({"type":"novel_delta","z":2})]));
    events.extend(end("tool_use"));
    frames(&events)
}

fn assert_rich(turn: &Turn) {
    assert_eq!(turn.stop_reason, StopReason::ToolUse);
    assert_eq!(turn.text().raw(), "Günaydın 日本 🚀");
    let calls = turn.tool_calls();
    assert_eq!(calls[0].input.complete().unwrap()["endpoint"], "/price/BTCUSDT");
    assert!(calls[1].input.complete().unwrap().is_empty());
    assert_eq!(turn.content[0], Block::Other(json!({"type":"thinking","thinking":"hm","signature":"s1g"})));
    assert_eq!(turn.content[4], Block::Other(json!({"type":"novelty","y":[1]})));
    let expected = RawUsage {
        input_tokens: 25,
        output_tokens: 89,
        cache_read_input_tokens: 3,
        cache_creation_input_tokens: 7,
        cache_creation_1h_input_tokens: 2,
        estimated: false,
    };
    assert_eq!(turn.usage, expected);
}

fn in_a_minute() -> Until {
    Until::at(Instant::now() + Duration::from_mins(1))
}

/// The failed tries among what was told.
fn failed_tries(events: &[TurnEvent]) -> Vec<&FailedTry> {
    fn failed(event: &TurnEvent) -> Option<&FailedTry> {
        if let TurnEvent::TryFailed(failed) = event { Some(failed) } else { None }
    }
    events.iter().filter_map(failed).collect()
}

fn in_two(text: &str, cut: usize) -> Body {
    let (head, tail) = text.as_bytes().split_at(cut);
    let chunks = [head, tail].map(|part| Ok::<_, std::io::Error>(Bytes::copy_from_slice(part)));
    Body::from_stream(futures_util::stream::iter(chunks))
}

#[tokio::test]
async fn a_turn_is_the_same_wherever_its_bytes_are_split() {
    for text in [rich_answer(), rich_answer().replace('\n', "\r\n"), rich_answer().replace("data: ", "data:")]
    {
        for cut in 0..=text.len() {
            let (turn, _) = Server::playing([ok(in_two(&text, cut))]).run().await;
            let turn = turn.unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
            assert_rich(&turn);
            assert_eq!(turn.raw_response, text.as_bytes());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_early_is_never_a_turn() {
    let text = rich_answer();
    for end in 1..text.len() {
        let (result, _) = Server::playing([ok(text[..text.floor_char_boundary(end)].to_owned())]).run().await;
        let Err(LlmError::Interrupted { cause: Interruption::EndedEarly, partial }) = result else {
            panic!("ended at {end}: {result:?}");
        };
        assert_eq!(partial.raw_response.len(), text.floor_char_boundary(end));
    }
}

#[tokio::test]
async fn what_arrives_is_told_in_order() {
    let (_, events) = Server::playing([ok(rich_answer())]).run().await;
    let words: Vec<_> = events
        .iter()
        .map(|event| match event {
            TurnEvent::TextDelta(text) | TurnEvent::ThinkingDelta(text) => text.raw().to_owned(),
            TurnEvent::ToolUseStarted { id, .. } => format!("start {id}"),
            TurnEvent::ToolUseReady(call) => format!("ready {}", call.id),
            TurnEvent::Retrying { .. } => "retry".to_owned(),
            TurnEvent::TryFailed(failed) => failed.error.clone(),
        })
        .collect();
    let expected =
        ["hm", "Günaydın ", "日本 🚀", "start toolu_2", "ready toolu_2", "start toolu_3", "ready toolu_3"];
    assert_eq!(words, expected);
}

#[tokio::test]
async fn an_answer_goes_back_as_it_came_with_all_results_in_one_message() {
    let (turn, _) = Server::playing([ok(rich_answer())]).run().await;
    let turn = turn.unwrap();
    let result = |id: &str, is_error| Block::ToolResult {
        tool_use_id: id.to_owned(),
        content: "{}".to_owned(),
        is_error,
    };
    let request = TurnRequest {
        system: "be brief".to_owned(),
        messages: vec![
            Message::user("hello"),
            Message::assistant(turn.content),
            Message::tool_results(vec![result("toolu_2", false), result("toolu_3", true)]),
        ],
        tools: vec![tools::call_api(&["/price/{symbol}"])],
        cache: true,
    };
    let server = Server::playing([ok(frames(&[start()]) + &frames(&end("end_turn")))]);
    let client = server.client_with(|_| ());
    let turn = client.run_turn(&request, &in_a_minute(), &mut |_| ()).await.unwrap();
    assert_eq!(turn.stop_reason, StopReason::EndTurn);
    let seen = server.seen.lock().unwrap();
    let (headers, body) = &seen[0];
    assert_eq!(headers["anthropic-version"], "2026-10-21");
    assert_eq!(headers["authorization"], "Bearer sk-very-secret");
    assert!(!headers.contains_key("x-api-key"));
    assert_eq!(turn.raw_request, body.to_string().into_bytes());
    for key in ["temperature", "top_p", "top_k", "tool_choice"] {
        assert!(body.get(key).is_none(), "{key}");
    }
    assert_eq!((&body["stream"], &body["max_tokens"]), (&json!(true), &json!(8192)));
    assert_eq!(body["cache_control"], json!({"type":"ephemeral"}));
    assert_eq!(
        body["messages"],
        json!([
            {"role":"user","content":[{"type":"text","text":"hello"}]},
            {"role":"assistant","content":[
                {"type":"thinking","thinking":"hm","signature":"s1g"},
                {"type":"text","text":"Günaydın 日本 🚀"},
                {"type":"tool_use","id":"toolu_2","name":"call_api","input":{"endpoint":"/price/BTCUSDT"}},
                {"type":"tool_use","id":"toolu_3","name":"call_api","input":{}},
                {"type":"novelty","y":[1]}]},
            {"role":"user","content":[
                {"type":"tool_result","tool_use_id":"toolu_2","content":"{}"},
                {"type":"tool_result","tool_use_id":"toolu_3","content":"{}","is_error":true}]},
        ])
    );
}

#[tokio::test]
async fn a_key_can_travel_in_its_own_header() {
    let server = Server::playing([ok(rich_answer())]);
    let client = server.client_with(|options| options.auth = Auth::XApiKey);
    run(&client, Duration::from_secs(9)).await.0.unwrap();
    let seen = server.seen.lock().unwrap();
    assert_eq!(seen[0].0["x-api-key"], "sk-very-secret");
    assert!(!seen[0].0.contains_key("authorization"));
    assert!(!format!("{client:?}").contains("sk-very-secret"));
}

#[tokio::test]
async fn a_call_cut_by_the_token_limit_is_broken_and_not_empty() {
    for pieces in [&["{\"endpoint\": \"/pri"][..], &[""], &[]] {
        let mut events = vec![start()];
        events.extend(tool_block(0, pieces));
        events.extend(end("max_tokens"));
        let (turn, _) = Server::playing([ok(frames(&events))]).run().await;
        let turn = turn.unwrap();
        assert_eq!(turn.stop_reason, StopReason::MaxTokens);
        assert!(turn.tool_calls().is_empty());
        let Block::ToolUse(call) = &turn.content[0] else { panic!("{:?}", turn.content) };
        assert!(matches!(call.input, ToolInput::Broken(_)), "{pieces:?}: {:?}", call.input);
    }
}

#[tokio::test]
async fn an_input_that_is_not_an_object_is_broken() {
    for text in ["{\"a\":", "[1]", "\"x\"", "{\"a\":1}}"] {
        let mut events = vec![start()];
        events.extend(tool_block(0, &[text]));
        events.extend(end("tool_use"));
        let (turn, _) = Server::playing([ok(frames(&events))]).run().await;
        let turn = turn.unwrap();
        assert_eq!(turn.tool_calls()[0].input, ToolInput::Broken(text.into()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_waits_as_long_as_it_is_told() {
    let server = Server::playing([
        status(
            429,
            &[
                ("retry-after", "7"),
                ("anthropic-ratelimit-requests-limit", "50"),
                ("anthropic-ratelimit-requests-remaining", "0"),
            ],
            r#"{"error":{"type":"rate_limit_error","message":"slow"}}"#,
        ),
        ok(rich_answer()),
    ]);
    let began = Instant::now();
    let (turn, events) = server.run().await;
    assert_eq!(turn.unwrap().attempts, 2);
    assert_eq!(began.elapsed(), Duration::from_secs(7));
    assert!(matches!(&events[1], TurnEvent::Retrying { attempt: 2, wait, reason }
        if *wait == Duration::from_secs(7) && reason.contains("slow")));
    assert_eq!(failed_tries(&events)[0].rate_limits.as_deref(), Some("0 of 50 requests"));
}

#[tokio::test(start_paused = true)]
async fn overload_and_faults_of_the_server_are_tried_three_times() {
    // A rate limit that does not say how long, and that is not a spent budget, is one of them.
    for code in [408, 409, 429, 500, 503, 504, 529] {
        let server = Server::playing((0..3).map(|_| status(code, &[], "<html>busy</html>")));
        let (result, events) = server.run().await;
        let Err(LlmError::Refused { status, attempts: 3, .. }) = result else { panic!("{result:?}") };
        let tries = failed_tries(&events);
        assert_eq!((status, server.requests(), events.len(), tries.len()), (code, 3, 5, 3));
        let sent = server.seen.lock().unwrap()[0].1.to_string().into_bytes();
        for tried in tries {
            assert_eq!((tried.status, &tried.request), (Some(code), &sent));
            assert_eq!(tried.response, b"<html>busy</html>");
            assert_eq!(tried.usage, RawUsage::default(), "who refuses bills nothing");
        }
    }
}

#[tokio::test]
async fn what_waiting_cannot_help_is_asked_once() {
    let spent = r#"{"error":{"type":"rate_limit_error","message":"m","details":{"error_code":"enforced_spend_limit_reached"}}}"#;
    let cases = [(400, ""), (401, ""), (402, ""), (403, ""), (404, ""), (413, "<html>"), (429, spent)];
    for (code, body) in cases {
        let server = Server::playing([status(code, &[], body)]);
        let (result, _) = server.run().await;
        let Err(LlmError::Refused { status, spend_limit, .. }) = result else { panic!("{result:?}") };
        assert_eq!((status, spend_limit, server.requests()), (code, code == 429, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_beyond_the_deadline_is_not_begun() {
    let server = Server::playing([status(429, &[("retry-after", "600")], "")]);
    let began = Instant::now();
    let (result, _) = run(&server.client_with(|_| ()), Duration::from_mins(2)).await;
    assert!(matches!(result, Err(LlmError::Refused { status: 429, .. })), "{result:?}");
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn an_error_in_the_stream_is_told_and_not_retried() {
    let error = json!({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}});
    let mut events = vec![start()];
    events.extend(text_block(0, &["half"]));
    events.push(error);
    let server = Server::playing([ok(frames(&events))]);
    let (result, _) = server.run().await;
    let Err(LlmError::Interrupted { cause: Interruption::Reported { kind, .. }, partial }) = result else {
        panic!("{result:?}")
    };
    assert_eq!((kind.raw(), server.requests()), ("overloaded_error", 1));
    assert_eq!(partial.content, [Block::Text("half".into())]);
    assert_eq!(partial.usage.input_tokens, 25);
}

#[tokio::test]
async fn a_connection_cut_in_the_stream_is_told_and_not_retried() {
    let chunks = [Ok(Bytes::from(frames(&[start()]))), Err(std::io::Error::other("reset"))];
    let server = Server::playing([ok(Body::from_stream(futures_util::stream::iter(chunks)))]);
    let (result, _) = server.run().await;
    assert!(matches!(result, Err(LlmError::Interrupted { cause: Interruption::Net(_), .. })), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_cut_before_the_first_byte_is_tried_again() {
    let cut = || {
        let chunks = [Err::<Bytes, _>(std::io::Error::other("reset"))];
        ok(Body::from_stream(futures_util::stream::iter(chunks)))
    };
    let server = Server::playing([cut(), ok(""), ok(rich_answer())]);
    let (turn, _) = server.run().await;
    assert_eq!(turn.unwrap().attempts, 3);
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_turn_but_a_comment_keeps_it_alive() {
    let late = |chunk: Bytes, seconds| async move {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        Ok::<_, std::io::Error>(chunk)
    };
    let text = rich_answer();
    let border = text.find("event: content_block_start").unwrap();
    let (head, tail) = (Bytes::from(text[..border].to_owned()), Bytes::from(text[border..].to_owned()));
    let slow = [(head.clone(), 80), (Bytes::from(": still here\n\n"), 80), (tail, 80)];
    let slow = futures_util::stream::iter(slow).then(move |(chunk, seconds)| late(chunk, seconds));
    let (turn, _) = Server::playing([ok(Body::from_stream(slow))]).run().await;
    assert_rich(&turn.unwrap());

    let stalled =
        futures_util::stream::iter([Ok::<_, std::io::Error>(head)]).chain(futures_util::stream::pending());
    let began = Instant::now();
    let (result, _) = Server::playing([ok(Body::from_stream(stalled))]).run().await;
    assert!(
        matches!(result, Err(LlmError::Interrupted { cause: Interruption::Silent(_), .. })),
        "{result:?}"
    );
    assert_eq!(began.elapsed(), Duration::from_secs(90));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_tried_until_the_deadline() {
    let server = Server::playing([Play::Silence, Play::Silence]);
    let began = Instant::now();
    let (result, _) = run(&server.client_with(|_| ()), Duration::from_mins(2)).await;
    assert!(matches!(result, Err(LlmError::OutOfTime)), "{result:?}");
    assert_eq!((server.requests(), began.elapsed()), (2, Duration::from_mins(2)));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_a_stream_that_still_flows() {
    let drip = futures_util::stream::repeat(Bytes::from(": alive\n\n")).then(|chunk| async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        Ok::<_, std::io::Error>(chunk)
    });
    let server = Server::playing([ok(Body::from_stream(drip))]);
    let (result, _) = run(&server.client_with(|_| ()), Duration::from_mins(5)).await;
    assert!(
        matches!(result, Err(LlmError::Interrupted { cause: Interruption::OutOfTime, .. })),
        "{result:?}"
    );
}

#[tokio::test]
async fn broken_frames_are_errors_and_not_gaps() {
    let delta = json!({"type":"content_block_delta","index":9,"delta":{"type":"text_delta","text":"x"}});
    let bodies = [
        "event: message_start\ndata: {\"type\":\n\n".to_owned(),
        frames(&[start(), delta]),
        frames(&[start(), json!({"type":"message_stop"})]),
        "data: \u{fffd}".replace('\u{fffd}', "x\n\n"),
    ];
    for body in bodies {
        let (result, _) = Server::playing([ok(body.clone())]).run().await;
        assert!(
            matches!(result, Err(LlmError::Interrupted { cause: Interruption::Unreadable(_), .. })),
            "{body}: {result:?}"
        );
    }
}

#[tokio::test]
async fn a_refusal_is_a_turn_with_its_reason() {
    let stop = json!({"type":"message_delta","usage":{"output_tokens":3},
        "delta":{"stop_reason":"refusal","stop_details":{"type":"refusal","explanation":"no"}}});
    let body = frames(&[start(), stop, json!({"type":"message_stop"})]);
    let (turn, _) = Server::playing([ok(body)]).run().await;
    let turn = turn.unwrap();
    assert_eq!((turn.stop_reason, turn.refusal), (StopReason::Refusal, Some("no".into())));
}

#[tokio::test]
async fn a_key_quoted_by_a_server_in_between_is_removed() {
    let server = Server::playing([status(400, &[], "bad header sk-very-secret here")]);
    let (result, events) = server.run().await;
    let error = result.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("sk-very-secret"));
    let [kept] = failed_tries(&events)[..] else { panic!("{events:?}") };
    assert_eq!(kept.response, b"bad header [removed] here");
}

#[tokio::test]
async fn what_the_provider_does_not_count_is_estimated_and_marked() {
    let mut silent = start();
    silent["message"]["usage"] = json!({});
    let mut stop = end("end_turn");
    for event in &mut stop {
        event["usage"] = json!(null);
    }
    let body = |start: Value, words: &str, end: &[Value]| {
        frames(&[vec![start], text_block(0, &[words]), end.to_vec()].concat())
    };
    let thousand = "word ".repeat(200);
    // No figure at all, in an answer that is whole.
    let (turn, _) = Server::playing([ok(body(silent, &thousand, &stop))]).run().await;
    let turn = turn.unwrap();
    let sent = u64::try_from(turn.raw_request.len()).unwrap();
    assert_eq!((turn.usage.input_tokens, turn.usage.output_tokens), (sent.div_ceil(2), 500));
    assert!(turn.usage.estimated);
    // Only the figure every stream begins with.
    let (turn, _) = Server::playing([ok(body(start(), &thousand, &stop))]).run().await;
    let usage = turn.unwrap().usage;
    assert_eq!((usage.input_tokens, usage.output_tokens, usage.estimated), (25, 500, true));
    // A whole answer that was counted is taken at its word.
    let (turn, _) = Server::playing([ok(body(start(), &thousand, &end("end_turn")))]).run().await;
    let usage = turn.unwrap().usage;
    assert_eq!((usage.output_tokens, usage.estimated), (89, false));
}

#[tokio::test]
async fn an_answer_that_breaks_off_counts_as_far_as_it_was_written() {
    let words = "word ".repeat(8000);
    let mut events = vec![start()];
    events.extend(text_block(0, &[&words]));
    let (result, told) = Server::playing([ok(frames(&events))]).run().await;
    let Err(LlmError::Interrupted { partial, .. }) = result else { panic!("{result:?}") };
    assert_eq!((partial.usage.output_tokens, partial.usage.estimated), (20_000, true));
    assert_eq!(failed_tries(&told)[0].usage, partial.usage);
}

#[tokio::test(start_paused = true)]
async fn a_request_nobody_answered_counts_as_read_and_one_that_never_left_does_not() {
    let (result, events) =
        run(&Server::playing([Play::Silence]).client_with(|_| ()), Duration::from_mins(1)).await;
    assert!(matches!(result, Err(LlmError::OutOfTime)), "{result:?}");
    let [tried] = failed_tries(&events)[..] else { panic!("{events:?}") };
    assert_eq!(tried.usage.input_tokens, u64::try_from(tried.request.len()).unwrap().div_ceil(2));
    assert!(tried.usage.estimated && tried.status.is_none());
}

#[tokio::test]
async fn a_cancelled_turn_hands_over_what_had_come() {
    let half = frames(&[vec![start()], text_block(0, &["half an answer"])].concat());
    let stalled = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from(half.clone()))])
        .chain(futures_util::stream::pending());
    let server = Server::playing([ok(Body::from_stream(stalled))]);
    let until = in_a_minute();
    let ending = until.ending.clone();
    let mut events = Vec::new();
    let request = TurnRequest { messages: vec![Message::user("hello")], ..TurnRequest::default() };
    let result = server
        .client_with(|_| ())
        .run_turn(&request, &until, &mut |event| {
            if matches!(event, TurnEvent::TextDelta(_)) {
                ending.cancel();
            }
            events.push(event);
        })
        .await;
    let Err(LlmError::Interrupted { cause: Interruption::Cancelled, partial }) = result else {
        panic!("{result:?}")
    };
    assert_eq!(partial.content, [Block::Text("half an answer".into())]);
    assert_eq!(failed_tries(&events)[0].response, half.as_bytes());
    // Cancelled before it began, it does not begin: the script has no second answer.
    let mut silent = |_| ();
    let result = server.client_with(|_| ()).run_turn(&request, &until, &mut silent).await;
    assert!(matches!(result, Err(LlmError::Cancelled)), "{result:?}");
}

#[tokio::test]
async fn an_input_keeps_what_was_written_twice() {
    let doubled = r#"{"decision":"HOLD","decision":"LONG"}"#;
    let events = [vec![start()], tool_block(0, &[doubled]), end("tool_use")].concat();
    let (turn, _) = Server::playing([ok(frames(&events))]).run().await;
    let ToolInput::Complete { written, .. } = &turn.unwrap().tool_calls()[0].input.clone() else { panic!() };
    assert_eq!(written, doubled);
    // An input that comes with the start of its block is read as part of the event: what was doubled is lost there.
    let start_with = |input: &str| {
        let block = r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"n","input":INPUT}}"#;
        let stop = json!({"type":"content_block_stop","index":0});
        let head = frames(&[start()]);
        format!(
            "{head}data: {}

{}",
            block.replace("INPUT", input),
            frames(&[vec![stop], end("tool_use")].concat())
        )
    };
    let (turn, _) = Server::playing([ok(start_with(doubled))]).run().await;
    assert!(matches!(turn.unwrap().tool_calls()[0].input, ToolInput::Broken(_)));
    let (turn, _) = Server::playing([ok(start_with(r#"{"decision":"HOLD"}"#))]).run().await;
    assert!(turn.unwrap().tool_calls()[0].input.complete().is_some());
}

/// The value with each of its parts in turn replaced by what it must not be, or taken out.
fn disturbed(whole: &Value) -> Vec<Value> {
    fn pointers(value: &Value, here: &str, all: &mut Vec<String>) {
        if let Value::Object(map) = value {
            for (key, part) in map {
                let there = format!("{here}/{key}");
                pointers(part, &there, all);
                all.push(there);
            }
        }
    }
    let mut places = Vec::new();
    pointers(whole, "", &mut places);
    let mut out = Vec::new();
    for place in places {
        for other in [json!(null), json!(u64::MAX), json!(-1), json!("x"), json!([]), json!({})] {
            let mut changed = whole.clone();
            *changed.pointer_mut(&place).unwrap() = other;
            out.push(changed);
        }
        let (parent, key) = place.rsplit_once('/').unwrap();
        let mut changed = whole.clone();
        changed.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key);
        out.push(changed);
    }
    out
}

#[tokio::test]
async fn no_disturbed_event_panics_or_turns_an_input_into_an_empty_one() {
    let mut events = vec![start()];
    events.extend(text_block(0, &["text"]));
    events.extend(tool_block(1, &["{\"endpoint\": ", "\"/price/BTCUSDT\"}"]));
    events.extend(end("tool_use"));
    for place in 0..events.len() {
        for changed in disturbed(&events[place]) {
            let mut events = events.clone();
            events[place] = changed.clone();
            let body: String =
                events.iter().fold(String::new(), |body, event| body + &format!("data: {event}\n\n"));
            let (result, _) = Server::playing([ok(body)]).run().await;
            let Ok(turn) = result else { continue };
            for call in turn.tool_calls() {
                if let Some(input) = call.input.complete() {
                    assert_eq!(input.get("endpoint"), Some(&json!("/price/BTCUSDT")), "{changed}");
                }
            }
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_stream_of_bytes_makes_the_client_panic(text in "(data: |event: |\\{\"type\":\"|content_block_start|\",\"index\":0|\\}|\n|é){0,40}") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let (result, _) = runtime.block_on(Server::playing((0..3).map(|_| ok(text.clone()))).run());
        proptest::prop_assert!(result.is_err());
    }
}

#[tokio::test]
async fn effort_and_a_summary_of_the_thinking_are_asked_for_where_the_model_knows_them() {
    for (id, effort, thinks) in [
        ("claude-sonnet-4-6", json!("medium"), Value::Null),
        ("claude-opus-5-5", Value::Null, json!({"type": "adaptive", "display": "summarized"})),
        ("llama-9", Value::Null, Value::Null),
    ] {
        let server = Server::playing([ok(frames(&[vec![start()], end("end_turn")].concat()))]);
        let client = server.client_with(|options| {
            *options = LlmOptions::new("test", "http://model/v1/", id, "sk-very-secret".into());
        });
        run(&client, Duration::from_hours(1)).await.0.unwrap();
        let body = server.seen.lock().unwrap()[0].1.clone();
        assert_eq!((&body["output_config"]["effort"], &body["thinking"]), (&effort, &thinks), "{id}");
    }
}

#[tokio::test]
async fn a_request_has_its_id_under_either_name() {
    for name in ["request-id", "x-request-id"] {
        let body = frames(&[vec![start()], end("end_turn")].concat());
        let play = Play::Answer { status: 200, headers: vec![(name, "req_9")], body: body.into() };
        let turn = Server::playing([play]).run().await.0.unwrap();
        assert_eq!(turn.request_id.as_deref(), Some("req_9"), "{name}");
    }
}
