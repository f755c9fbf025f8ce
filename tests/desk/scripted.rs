//! Conversations written turn by turn: what the desk answers to each.

use bytes::Bytes;
use jarvis::config::{Provider, Settings};
use jarvis::desk::conversation::MOST_CALLS;
use jarvis::domain::{CycleReport, OutcomeKind, Profile, Rule};
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

/// The stream of an answer whose provider counts nothing.
fn uncounted(blocks: &[Value], stop_reason: &str) -> Bytes {
    let stream = String::from_utf8(turn(blocks, stop_reason).to_vec()).unwrap();
    let stream = stream.replace("\"usage\":{\"input_tokens\":10}", "\"usage\":{}");
    let uncounted = stream.replace("\"usage\":{\"output_tokens\":5}", "\"usage\":null");
    assert!(!uncounted.contains("_tokens"), "{uncounted}");
    uncounted.into()
}

/// An answer that breaks off after its last block.
fn broken(blocks: &[Value]) -> Bytes {
    let whole = String::from_utf8(turn(blocks, "end_turn").to_vec()).unwrap();
    whole.split("event: message_delta").next().unwrap().to_owned().into()
}

/// What the operator was told.
fn alarms(rig: &Rig) -> String {
    let told = rig.floor.bulletin().read(|desk| desk.alarms.clone());
    let lines: Vec<String> =
        told.iter().map(|alarm| format!("{:?} {}", alarm.severity, alarm.text)).collect();
    lines.join("\n")
}

/// A whole answer in which one row opens a position.
fn one_long() -> Value {
    let mut rows = quiet_rows();
    rows[0]["decision"] = json!("LONG");
    rows[0]["confidence"] = json!(0.99);
    rows
}

/// Settings of a model that is paid for; only threshold and allowed decision keep an opening from leaving.
fn paid() -> Settings {
    let mut settings = Settings { profile: Profile::Classic, ..Settings::default() };
    settings.model.provider = Provider::Anthropic;
    settings
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
    assert!(second[16]["text"].as_str().unwrap().contains("Artık call_api yok"));
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

#[tokio::test]
async fn a_budget_spent_before_the_repair_takes_the_right_rows_with_it() {
    let mut rows = quiet_rows();
    rows[0]["decision"] = json!("LONG");
    rows[0]["confidence"] = json!(0.99);
    rows[1]["confidence"] = json!("high");
    let first = [submit("a", &rows)];
    // With money for it, the wrong row is asked for again and the right one counts.
    let again = vec![turn(&first, "tool_use"), turn(&[submit("b", &json!([quiet_rows()[1]]))], "tool_use")];
    let (report, _) = play(again, paid()).await;
    assert!(usable(&report), "{:?}", report.errors);
    assert_eq!(report.decisions[0].outcome.kind, OutcomeKind::Opened, "{:?}", report.decisions[0].outcome);
    let mut settings = paid();
    // Enough for the first request and not for another one, however much of it is cached.
    settings.model.cycle_budget_usd = rust_decimal::Decimal::new(585, 4);
    let costly = String::from_utf8(turn(&first, "tool_use").to_vec()).unwrap();
    let costly = costly.replace("\"input_tokens\":10}", "\"input_tokens\":19000}");
    let (report, requests) = play(vec![costly.into()], settings).await;
    assert_eq!(requests.len(), 1);
    let why = "with the next request the cycle's budget of $0.0585 is spent";
    assert!(report.errors.iter().any(|error| error.contains(why)), "{:?}", report.errors);
    let right = &report.decisions[0].outcome;
    assert_eq!((right.kind, right.rule), (OutcomeKind::Refused, Some(Rule::ModelBudget)), "{right:?}");
    assert!(right.detail.contains(why) && right.orders.is_empty(), "{right:?}");
    assert_eq!(report.decisions[1].outcome.kind, OutcomeKind::Invalid, "the wrong one stays wrong");
    assert!(report.decisions.iter().all(|row| row.outcome.orders.is_empty()));
}

#[tokio::test]
async fn a_provider_that_counts_nothing_is_counted_and_its_day_ends_too() {
    let script = vec![uncounted(&[submit("a", &quiet_rows())], "tool_use")];
    let (whole, _) = play(script.clone(), paid()).await;
    let mut settings = paid();
    settings.model.daily_budget_usd = whole.usage.cost_usd;
    let rig = Rig::new(Plan { settings, script, ..Plan::default() }).await;
    let first = rig.cycle().await;
    assert!(usable(&first), "{:?}", first.errors);
    let call = &rig.store.model_calls_of(&first.cycle_id).await.unwrap()[0];
    assert!(call.usage.is_estimate);
    let half = |bytes: &[u8]| u64::try_from(bytes.len()).unwrap().div_ceil(2);
    assert_eq!(call.usage.input_tokens, half(&call.request));
    assert!(call.usage.output_tokens > half(quiet_rows().to_string().as_bytes()));
    assert_eq!(call.usage, first.usage);
    let second = rig.cycle().await;
    assert!(second.errors.iter().any(|error| error.contains("the day's budget")), "{:?}", second.errors);
    assert_eq!(second.model.iterations, 0);
}

#[tokio::test]
async fn a_field_written_twice_in_a_submission_never_trades() {
    let row = json!({"account": "mirat", "symbol": "BTCUSDT", "decision": "HOLD", "confidence": 0.1, "reason": "r",
        "market_bias": "neutral"});
    let doubled = row.to_string().replacen('}', ",\"decision\":\"LONG\",\"confidence\":0.99}", 1);
    let input = format!("{{\"decisions\":[{doubled}]}}");
    let start = json!({"type": "content_block_start", "index": 0,
        "content_block": call("a", "submit_decisions", &json!({}))});
    let delta = json!({"type": "content_block_delta", "index": 0,
        "delta": {"type": "input_json_delta", "partial_json": input}});
    let whole =
        String::from_utf8(turn(&[call("a", "submit_decisions", &json!({}))], "tool_use").to_vec()).unwrap();
    let written =
        whole.replace(&start.to_string(), &format!("{start}\n\nevent: content_block_delta\ndata: {delta}"));
    assert_ne!(whole, written);
    let script = vec![Bytes::from(written.clone()), Bytes::from(written)];
    let (report, _) = play(script, Settings::default()).await;
    let row = &report.decisions[0];
    assert_eq!((row.outcome.kind, row.proposal.decision), (OutcomeKind::Invalid, None));
    assert!(row.outcome.detail.contains("written twice"), "{}", row.outcome.detail);
}

#[tokio::test]
async fn an_answer_that_goes_over_a_budget_does_not_trade() {
    let counted = |tokens: u32| {
        let whole = String::from_utf8(turn(&[submit("a", &one_long())], "tool_use").to_vec()).unwrap();
        Bytes::from(whole.replace("\"output_tokens\":5}", &format!("\"output_tokens\":{tokens}}}")))
    };
    let mut settings = paid();
    settings.model.cycle_budget_usd = rust_decimal::Decimal::new(15, 2);
    let (report, _) = play(vec![counted(9_900)], settings.clone()).await;
    assert_eq!(report.decisions[0].outcome.kind, OutcomeKind::Opened, "{:?}", report.errors);
    let (report, requests) = play(vec![counted(10_100)], settings).await;
    assert_eq!(requests.len(), 1);
    assert!(report.errors[0].contains("the cycle's budget of $0.15 is spent"), "{:?}", report.errors);
    let row = &report.decisions[0];
    assert!(row.proposal.decision.is_some(), "what it decided is known");
    assert_eq!((row.outcome.kind, row.outcome.rule), (OutcomeKind::Refused, Some(Rule::ModelBudget)));
    assert!(row.outcome.detail.contains("the cycle's budget of $0.15 is spent ($0.15"), "{:?}", row.outcome);
    assert!(report.decisions.iter().all(|row| row.outcome.orders.is_empty()));
}

#[tokio::test]
async fn a_request_that_is_certain_to_go_over_a_budget_is_never_sent() {
    let mut settings = paid();
    settings.model.cycle_tokens = 2000;
    let (report, requests) = play(vec![turn(&[], "end_turn")], settings).await;
    assert_eq!((requests.len(), report.model.iterations), (0, 0));
    let why = "with the next request the cycle's budget of 2000 tokens is used up";
    assert!(report.errors[0].contains(why), "{:?}", report.errors);
}

#[tokio::test]
async fn a_broken_answer_is_asked_for_once_more_at_its_price_and_what_it_said_is_kept() {
    let cut = broken(&[text("<analysis>\nhalf a look")]);
    let script = vec![cut.clone(), turn(&[submit("a", &one_long())], "tool_use")];
    let rig = Rig::new(Plan { settings: paid(), script, ..Plan::default() }).await;
    let report = rig.cycle().await;
    assert_eq!(report.decisions[0].outcome.kind, OutcomeKind::Opened, "{:?}", report.errors);
    assert_eq!(report.analysis.raw(), "half a look");
    let calls = rig.store.model_calls_of(&report.cycle_id).await.unwrap();
    let [first, second] = &calls[..] else { panic!("{calls:?}") };
    assert_eq!((first.iteration, second.iteration, &first.request), (1, 1, &second.request));
    assert!(first.error.as_ref().unwrap().contains("before the message was complete"), "{:?}", first.error);
    assert!(first.usage.cost_usd > rust_decimal::Decimal::ZERO && second.error.is_none());
    assert_eq!(report.usage.input_tokens, first.usage.input_tokens + second.usage.input_tokens);
    assert!(
        alarms(&rig).contains("Info the model is asked once more: the model's answer broke off"),
        "{}",
        alarms(&rig)
    );
    // Twice broken is broken, and its words are there to be read.
    let (report, requests) = play(vec![cut.clone(), cut], paid()).await;
    assert_eq!((requests.len(), report.analysis.raw()), (2, "half a look"));
    assert!(report.decisions.iter().all(|row| row.outcome.kind == OutcomeKind::Invalid));
}

#[tokio::test]
async fn a_cut_answer_is_dropped_and_asked_for_once_in_short() {
    for reason in ["max_tokens", "something_new"] {
        let cut = turn(&[text("<analysis>\nall I saw\n</analysis>"), submit("a", &json!([]))], reason);
        let script = vec![cut.clone(), turn(&[submit("b", &quiet_rows())], "tool_use")];
        let (report, requests) = play(script, Settings::default()).await;
        assert!(usable(&report), "{:?}", report.errors);
        assert_eq!(report.analysis.raw(), "all I saw");
        let messages = requests[1]["messages"].as_array().unwrap();
        assert!(messages.iter().all(|message| message["role"] == "user"), "the cut turn is not sent back");
        assert!(last_content(&requests[1])[0]["text"].as_str().unwrap().contains("yarıda kesildi"));
        let (report, requests) = play(vec![cut.clone(), cut], Settings::default()).await;
        assert_eq!(requests.len(), 2);
        assert!(report.errors[0].contains(&format!("{reason:?}")), "{:?}", report.errors);
        assert_eq!(report.analysis.raw(), "all I saw");
    }
}

#[tokio::test]
async fn whoever_stops_for_a_tool_and_calls_none_has_answered() {
    let written = format!("<analysis>x</analysis>\n```json\n{}\n```", quiet_rows());
    let (report, requests) = play(vec![turn(&[text(&written)], "tool_use")], Settings::default()).await;
    assert!(usable(&report), "{:?}", report.errors);
    assert_eq!(requests.len(), 1);
    let script = vec![turn(&[], "tool_use"), turn(&[submit("a", &quiet_rows())], "tool_use")];
    let (report, requests) = play(script, Settings::default()).await;
    assert!(usable(&report), "{:?}", report.errors);
    for message in requests[1]["messages"].as_array().unwrap() {
        assert!(!message["content"].as_array().unwrap().is_empty(), "{message}");
    }
}

#[tokio::test]
async fn a_call_beside_an_answer_that_ended_is_not_sent_back_without_its_result() {
    let blocks = [text("<analysis>x</analysis>\n```json\n[]\n```"), look("a", "/price/BTCUSDT")];
    for reason in ["end_turn", "stop_sequence"] {
        let script = vec![turn(&blocks, reason), turn(&[submit("b", &quiet_rows())], "tool_use")];
        let (report, requests) = play(script, Settings::default()).await;
        assert!(usable(&report), "{:?}", report.errors);
        assert!(!requests[1]["messages"].to_string().contains("tool_use"), "{}", requests[1]["messages"]);
    }
}

#[tokio::test]
async fn a_pause_is_answered_with_what_was_said_and_nothing_else() {
    let script =
        vec![turn(&[text("a moment")], "pause_turn"), turn(&[submit("a", &quiet_rows())], "tool_use")];
    let (report, requests) = play(script, Settings::default()).await;
    assert!(usable(&report), "{:?}", report.errors);
    let messages = requests[1]["messages"].as_array().unwrap();
    assert_eq!((messages.len(), &messages[1]["role"]), (2, &json!("assistant")));
    assert_eq!(last_content(&requests[1])[0]["text"], "a moment");
}

#[tokio::test]
async fn thinking_stands_in_for_an_analysis_that_was_not_written() {
    let thinking = json!({"type": "thinking", "thinking": "BTC is heavy.", "signature": "s"});
    let script = vec![
        turn(&[thinking, look("a", "/price/BTCUSDT")], "tool_use"),
        turn(&[submit("b", &quiet_rows())], "tool_use"),
    ];
    let (report, requests) = play(script, Settings::default()).await;
    assert_eq!(report.analysis.raw(), "BTC is heavy.");
    assert_eq!(requests[1]["messages"][1]["content"][0]["signature"], "s", "it goes back as it came");
}

/// Lets the store refuse rows of a table from now on.
fn refuse(rig: &Rig, table: &str, when: &str) {
    let connection = rusqlite::Connection::open(rig.store.path()).unwrap();
    let trigger = format!(
        "CREATE TRIGGER full BEFORE INSERT ON {table} WHEN {when} BEGIN SELECT RAISE(ABORT, 'disk full'); END"
    );
    connection.execute_batch(&trigger).unwrap();
}

#[tokio::test]
async fn what_cannot_be_recorded_does_not_trade_and_is_not_asked_if_that_is_known_before() {
    for (table, when, requests) in [
        ("model_calls", "NEW.status IS NULL", 0),
        ("model_calls", "NEW.status = 200", 1),
        ("tool_calls", "1", 1),
    ] {
        let blocks = if table == "tool_calls" { look("a", "/health") } else { submit("a", &one_long()) };
        let script = vec![turn(&[blocks], "tool_use"), turn(&[submit("b", &one_long())], "tool_use")];
        let rig = Rig::new(Plan { settings: paid(), script, ..Plan::default() }).await;
        refuse(&rig, table, when);
        let report = rig.cycle().await;
        assert!(report.errors[0].contains("the conversation could not be recorded"), "{:?}", report.errors);
        assert!(report.decisions.iter().all(|row| row.outcome.orders.is_empty()), "{table} {when}");
        assert_eq!(report.model.iterations, 1);
        let kept = rig.store.model_calls_of(&report.cycle_id).await.unwrap();
        assert_eq!(kept.len(), requests, "{table} {when}: {kept:?}");
        let paid = report.usage.cost_usd > rust_decimal::Decimal::ZERO;
        assert_eq!(paid, requests > 0, "what was answered is counted: {table} {when}");
    }
}
