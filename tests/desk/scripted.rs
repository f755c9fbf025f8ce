//! Conversations written turn by turn: what the desk answers to each.

use bytes::Bytes;
use jarvis::config::Settings;
use jarvis::desk::conversation::MOST_CALLS;
use jarvis::domain::{CycleReport, OutcomeKind};
use serde_json::{Value, json};

use crate::rig::{Plan, Rig};

fn text(words: &str) -> Value {
    json!({"type": "text", "text": words})
}

fn call(id: &str, name: &str, input: &Value) -> Value {
    json!({"type": "tool_use", "id": id, "name": name, "input": input})
}

fn look(id: &str, endpoint: &str) -> Value {
    call(id, "call_api", &json!({ "endpoint": endpoint }))
}

fn submit(id: &str, rows: &Value) -> Value {
    call(id, "submit_decisions", &json!({ "decisions": rows }))
}

/// A row for every account and coin of the default settings, all of them quiet.
fn quiet_rows() -> Value {
    let settings = Settings::default();
    let rows = settings.accounts.iter().flat_map(|account| {
        account.symbols.iter().map(|symbol| {
            json!({"account": account.name.as_str(), "symbol": symbol.as_str(), "decision": "NO_TRADE",
                "confidence": 0.4, "reason": "quiet", "market_bias": "neutral", "risk_note": "none"})
        })
    });
    rows.collect()
}

/// One answer as a stream.
fn turn(blocks: &[Value], stop_reason: &str) -> Bytes {
    let mut events = vec![json!({"type": "message_start", "message": {"usage": {"input_tokens": 10}}})];
    for (index, block) in blocks.iter().enumerate() {
        events.push(json!({"type": "content_block_start", "index": index, "content_block": block}));
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    events.push(json!({"type": "message_delta", "delta": {"stop_reason": stop_reason}, "usage": {"output_tokens": 5}}));
    events.push(json!({"type": "message_stop"}));
    let frames =
        events.iter().map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()));
    frames.collect::<String>().into()
}

/// The report, and the requests in order.
async fn play(script: Vec<Bytes>, settings: Settings) -> (CycleReport, Vec<Value>) {
    let rig = Rig::new(Plan { settings, script, ..Plan::default() }).await;
    let report = rig.cycle().await;
    let calls = rig.store.model_calls_of(&report.cycle_id).await.unwrap();
    (report, calls.iter().map(|call| serde_json::from_slice(&call.request).unwrap()).collect())
}

fn usable(report: &CycleReport) -> bool {
    report.decisions.iter().all(|row| row.outcome.kind != OutcomeKind::Invalid)
}

fn last_content(request: &Value) -> &Vec<Value> {
    request["messages"].as_array().unwrap().last().unwrap()["content"].as_array().unwrap()
}

#[tokio::test]
async fn a_submission_beside_a_question_is_not_taken_and_both_are_answered() {
    let first = [
        text("<analysis>\nthe first look\n</analysis>"),
        look("a", "/price/BTCUSDT"),
        submit("b", &json!([])),
    ];
    let script = vec![turn(&first, "tool_use"), turn(&[submit("c", &quiet_rows())], "tool_use")];
    let (report, requests) = play(script, Settings::default()).await;
    assert!(usable(&report), "{:?}", report.errors);
    assert_eq!(report.analysis.raw(), "the first look");
    assert!(report.decisions.iter().all(|row| row.proposal.risk_note.is_none()), "none is no note");
    let results = last_content(&requests[1]);
    assert_eq!((results.len(), &results[0]["tool_use_id"]), (2, &json!("a")));
    assert!(results[0].get("is_error").is_none());
    assert_eq!((&results[1]["tool_use_id"], &results[1]["is_error"]), (&json!("b"), &json!(true)));
    assert!(results[1]["content"].as_str().unwrap().contains("submit again"));
    assert_eq!(report.tool_calls.len(), 1, "a submission is no look-up");
}

#[tokio::test]
async fn two_submissions_at_once_are_refused_and_text_with_a_fence_still_counts() {
    let twice = [submit("a", &quiet_rows()), submit("b", &quiet_rows())];
    let written = format!("<analysis>x</analysis>\n```json\n{}\n```", quiet_rows());
    let script = vec![turn(&twice, "tool_use"), turn(&[text(&written)], "end_turn")];
    let (report, requests) = play(script, Settings::default()).await;
    assert!(usable(&report), "{:?}", report.errors);
    assert!(last_content(&requests[1]).iter().all(|result| result["is_error"] == true));
}

#[tokio::test]
async fn a_submission_without_rows_is_repaired_once_with_every_fault_named() {
    let wrong = call("a", "submit_decisions", &json!({"decisions": quiet_rows().to_string()}));
    let script = vec![turn(&[wrong], "tool_use"), turn(&[submit("b", &quiet_rows())], "tool_use")];
    let (report, requests) = play(script, Settings::default()).await;
    assert!(usable(&report), "{:?}", report.errors);
    let asked = last_content(&requests[1]);
    assert_eq!((&asked[0]["type"], &asked[0]["is_error"]), (&json!("tool_result"), &json!(true)));
    let words = asked[1]["text"].as_str().unwrap();
    assert!(words.contains("mirat BTCUSDT") && words.contains("submit_decisions"), "{words}");
}

#[tokio::test]
async fn repeated_questions_are_answered_from_memory_and_the_different_ones_are_few() {
    let twice = [look("a", "/price/BTCUSDT"), look("b", "/price/BTCUSDT")];
    let mut many: Vec<Value> = (1..=15)
        .map(|limit| look(&format!("c{limit}"), &format!("/candles/BTCUSDT?interval=1h&limit={limit}")))
        .collect();
    many.push(look("again", "/price/BTCUSDT"));
    let script = vec![
        turn(&twice, "tool_use"),
        turn(&many, "tool_use"),
        turn(&[submit("s", &quiet_rows())], "tool_use"),
    ];
    let (report, requests) = play(script, Settings::default()).await;
    assert!(usable(&report), "{:?}", report.errors);
    let first = last_content(&requests[1]);
    assert_eq!(first[0]["content"], first[1]["content"]);
    let second = last_content(&requests[2]);
    let refused = second.iter().filter(|result| result["is_error"] == true).count();
    assert_eq!(refused, 15 - (MOST_CALLS - 1));
    assert_eq!(second[15]["content"], first[0]["content"]);
    assert!(second[16]["text"].as_str().unwrap().contains("Artık araç çağrısı yok"));
    assert_eq!(report.tool_calls.len(), 18);
}

#[tokio::test]
async fn the_last_turn_is_announced_and_an_empty_answer_is_asked_about_once() {
    let mut settings = Settings::default();
    settings.model.max_iterations = 2;
    let script = vec![
        turn(&[look("a", "/price/BTCUSDT")], "tool_use"),
        turn(&[submit("b", &quiet_rows())], "tool_use"),
    ];
    let (report, requests) = play(script, settings).await;
    assert!(usable(&report));
    assert_eq!(last_content(&requests[1])[1]["type"], "text");
    let script = vec![turn(&[], "end_turn"), turn(&[submit("b", &quiet_rows())], "tool_use")];
    let (report, requests) = play(script, Settings::default()).await;
    assert!(usable(&report), "{:?}", report.errors);
    assert!(last_content(&requests[1])[0]["text"].as_str().unwrap().contains("boş"));
}
