//! The model's tool for reading the market-data API in this process. It has no other verb.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::domain::{ToolCallRecord, Untrusted};
use crate::llm::tools::{ApiCall, CALL_API};
use crate::llm::{ToolCall, ToolInput};
use crate::market::Simsar;

/// Largest result given to the model, bytes; what is longer is cut and says so.
pub const LARGEST_RESULT: usize = ToolCallRecord::MOST_GIVEN;
/// Time one call may take.
const CALL_TIME: Duration = Duration::from_secs(5);

/// What the model asked for, as far as it could be read.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The path, for the log.
    pub endpoint: Untrusted,
    /// Its parameters, for the log: a JSON object.
    pub params: Value,
    call: Result<ApiCall, String>,
}

/// What the tool answers.
#[derive(Debug, Clone)]
pub struct ToolAnswer {
    /// HTTP status; 0 when the call never left.
    pub status: u16,
    /// Size of the whole result in bytes, before cutting.
    pub size: u64,
    /// The text for the model.
    pub text: String,
    /// Whether the model is told that it failed.
    pub is_error: bool,
}

impl Asked {
    /// Reads a call of the tool. What cannot be read is kept as the error the model is told.
    pub fn read(call: &ToolCall) -> Self {
        let input = match &call.input {
            ToolInput::Complete { object, .. } if call.name == CALL_API => object,
            ToolInput::Complete { .. } => {
                return Self::refused(&call.name, "there is no such tool; market data comes from call_api");
            }
            ToolInput::Broken(_) => {
                return Self::refused("", "the tool's input is no JSON object; write it again");
            }
        };
        match ApiCall::from_input(input) {
            Ok(call) => {
                let params: Map<String, Value> = call
                    .params
                    .iter()
                    .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
                    .collect();
                Self {
                    endpoint: Untrusted::new(call.endpoint.as_str()),
                    params: Value::Object(params),
                    call: Ok(call),
                }
            }
            Err(reason) => {
                let endpoint = input.get("endpoint").and_then(Value::as_str).unwrap_or_default();
                Self::refused(endpoint, &reason)
            }
        }
    }

    /// What makes two calls the same: path and parameters, in whatever order. `None` for one that cannot be read.
    pub fn key(&self) -> Option<String> {
        let call = self.call.as_ref().ok()?;
        Some(key_of(&call.endpoint, call.params.clone()))
    }

    /// Why it cannot be read, for the model.
    pub fn fault(&self) -> Option<&str> {
        self.call.as_ref().err().map(String::as_str)
    }

    fn refused(endpoint: &str, reason: &str) -> Self {
        Self { endpoint: Untrusted::new(endpoint), params: json!({}), call: Err(reason.to_owned()) }
    }
}

impl ToolAnswer {
    /// Whether asking the same again would bring the same: it was answered, or it was wrong.
    pub const fn is_settled(&self) -> bool {
        matches!(self.status, 200 | 400..500)
    }

    /// A call that never left, with the reason for the model.
    pub fn refused(reason: &str) -> Self {
        Self { status: 0, size: 0, text: json!({ "error": reason }).to_string(), is_error: true }
    }
}

/// Where the tool's answers come from.
#[derive(Debug, Clone, Copy)]
pub enum Lookup<'a> {
    /// The market-data API.
    Simsar(&'a Simsar),
    /// What it answered in a cycle that is had again.
    Recorded(&'a RecordedAnswers),
}

impl Lookup<'_> {
    pub(super) async fn answer(&self, asked: &Asked) -> ToolAnswer {
        match self {
            Self::Simsar(simsar) => call_api(simsar, asked).await,
            Self::Recorded(answers) => answers.answer(asked),
        }
    }
}

/// The answers of one cycle's tool calls, by what was asked: one for each turn that asked for it, in their order.
#[derive(Debug, Default)]
pub struct RecordedAnswers(Mutex<BTreeMap<String, VecDeque<(u32, ToolAnswer)>>>);

impl RecordedAnswers {
    /// From calls as they are stored: the turn, what was asked, and the text the model was given.
    pub fn new(calls: impl IntoIterator<Item = (u32, ToolCallRecord, Vec<u8>)>) -> Self {
        let mut answers: BTreeMap<String, VecDeque<(u32, ToolAnswer)>> = BTreeMap::new();
        for (turn, call, body) in calls {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let params = call.params.as_object().into_iter().flatten();
            let params: Vec<_> = params.map(|(name, value)| (name.clone(), text(value))).collect();
            let of_call = answers.entry(key_of(call.endpoint.raw(), params)).or_default();
            if of_call.back().is_some_and(|(last, _)| *last == turn) {
                continue;
            }
            let answer = ToolAnswer {
                status: call.status,
                size: call.bytes,
                text: String::from_utf8_lossy(&body).into_owned(),
                is_error: call.status != 200,
            };
            of_call.push_back((turn, answer));
        }
        Self(Mutex::new(answers))
    }

    fn answer(&self, asked: &Asked) -> ToolAnswer {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = asked.key().and_then(|key| answers.get_mut(&key)).and_then(VecDeque::pop_front);
        next.map_or_else(
            || ToolAnswer::refused("this was not looked up when the cycle was recorded"),
            |(_, answer)| answer,
        )
    }
}

/// Path and parameters, in whatever order.
fn key_of(endpoint: &str, mut params: Vec<(String, String)>) -> String {
    params.sort();
    json!([endpoint, params]).to_string()
}

/// Asks the market-data API. A call that cannot be read never leaves.
async fn call_api(simsar: &Simsar, asked: &Asked) -> ToolAnswer {
    let call = match &asked.call {
        Ok(call) => call,
        Err(reason) => return ToolAnswer::refused(reason),
    };
    match tokio::time::timeout(CALL_TIME, simsar.call(&call.endpoint, &call.params)).await {
        Ok(answer) => {
            let text = String::from_utf8_lossy(&answer.body);
            ToolAnswer {
                status: answer.status,
                size: answer.body.len() as u64,
                text: cut(&text),
                is_error: answer.status != 200,
            }
        }
        Err(_elapsed) => ToolAnswer::refused("no answer within 5 seconds"),
    }
}

/// Cuts a long result between two rows and says so; the sentence about it counts too.
fn cut(text: &str) -> String {
    if text.len() <= LARGEST_RESULT {
        return text.to_owned();
    }
    let notice = |at: usize| format!(" … cut at {at} of {} bytes; ask for fewer rows", text.len());
    let room = LARGEST_RESULT - notice(LARGEST_RESULT).len();
    // The rows of a whole table, however long each is, end where nothing is quoted.
    let end = last_border(text, room);
    format!("{}{}", &text[..end], notice(end))
}

/// The end of the last row that ends within so many bytes: in JSON the comma after it, in anything else its line break. 0
/// when none does.
fn last_border(text: &str, room: usize) -> usize {
    let first_letters = text.trim_start();
    if !first_letters.starts_with(['{', '[']) {
        let mut room = room;
        while !text.is_char_boundary(room) {
            room -= 1;
        }
        return text[..room].rfind('\n').unwrap_or(0);
    }
    let (mut depth, mut rows_at) = (0_usize, None);
    let (mut in_string, mut escaped) = (false, false);
    let mut border = 0;
    for (at, byte) in text.bytes().enumerate().take_while(|(at, _)| *at <= room) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                if byte == b'[' && rows_at.is_none() {
                    rows_at = Some(depth);
                }
            }
            b']' | b'}' => {
                if rows_at == Some(depth) {
                    rows_at = None;
                }
                depth = depth.saturating_sub(1);
            }
            // Rows stand in the outermost list; outside of any, the fields of the answer are its rows.
            b',' if depth == rows_at.unwrap_or(1) => border = at,
            _ => {}
        }
    }
    border
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, input: Value) -> ToolCall {
        let Value::Object(input) = input else { panic!("an object") };
        ToolCall { id: "toolu_1".into(), name: name.into(), input: ToolInput::whole(input) }
    }

    #[test]
    fn a_query_within_the_endpoint_is_logged_as_parameters() {
        let asked = Asked::read(&call(
            "call_api",
            json!({"endpoint": "/candles/BTCUSDT?limit=5", "params": {"interval": "1h"}}),
        ));
        assert_eq!(asked.endpoint.raw(), "/candles/BTCUSDT");
        assert_eq!(asked.params, json!({"limit": "5", "interval": "1h"}));
    }

    #[test]
    fn two_calls_are_the_same_whatever_the_order_of_their_parameters() {
        let first = Asked::read(&call(
            "call_api",
            json!({"endpoint": "/candles/BTCUSDT", "params": {"limit": 5, "interval": "1h"}}),
        ));
        let second =
            Asked::read(&call("call_api", json!({"endpoint": "/candles/BTCUSDT?interval=1h&limit=5"})));
        let other =
            Asked::read(&call("call_api", json!({"endpoint": "/candles/BTCUSDT?interval=4h&limit=5"})));
        assert_eq!(first.key(), second.key());
        assert_ne!(first.key(), other.key());
        assert_eq!(Asked::read(&call("rm", json!({}))).key(), None);
    }

    #[test]
    fn a_long_result_is_cut_between_two_rows_wherever_the_limit_falls() {
        for padding in 0..60 {
            let row = |number: usize| json!({"headline": format!("{number} a }} and ], \"quoted\" {}", "ş".repeat(padding)), "tags": ["x", "y"]});
            let rows: Vec<Value> = (0..400).map(row).collect();
            let text = json!({"source": "wire", "stale": false, "headlines": rows}).to_string();
            let told = cut(&text);
            assert!(told.len() <= LARGEST_RESULT, "{}", told.len());
            let (kept, notice) = told.split_once(" … cut at ").unwrap();
            assert!(notice.ends_with("bytes; ask for fewer rows") && text.starts_with(kept));
            // Closed as it was opened, what is left is whole rows and nothing else.
            let whole: Value = serde_json::from_str(&format!("{kept}]}}")).unwrap();
            let whole = whole["headlines"].as_array().unwrap();
            assert!(whole.len() > 20 && whole[..] == rows[..whole.len()]);
        }
    }

    #[test]
    fn rows_that_are_lists_or_numbers_or_lines_have_borders_too() {
        let kept = |text: &str| cut(text).split_once(" … cut at ").unwrap().0.to_owned();
        let lists = format!("[{}]", vec!["[1,2.5,3]"; 2000].join(","));
        assert!(serde_json::from_str::<Vec<[f64; 3]>>(&format!("{}]", kept(&lists))).is_ok());
        let numbers = format!("{{\"a\":[1],\"values\":[{}]}}", vec!["12345"; 3000].join(","));
        assert!(serde_json::from_str::<Value>(&format!("{}]}}", kept(&numbers))).is_ok());
        assert!(kept(&"time,open\n".repeat(2000)).ends_with("time,open"));
        assert_eq!(
            kept(&format!("{{\"text\":\"{}\"}}", "a,b}]".repeat(4000))),
            "",
            "there is no row to keep"
        );
        assert!(cut(&"é".repeat(9000)).len() <= LARGEST_RESULT);
    }

    #[test]
    fn what_failed_at_its_source_is_no_answer_to_be_remembered() {
        let answer = |status| ToolAnswer { status, ..ToolAnswer::refused("") };
        for (status, settled) in
            [(200, true), (400, true), (404, true), (0, false), (502, false), (504, false)]
        {
            assert_eq!(answer(status).is_settled(), settled, "{status}");
        }
    }

    #[test]
    fn a_recording_answers_each_turn_as_it_was_answered_then() {
        let record = |turn, status, body: &str| {
            let record = ToolCallRecord {
                endpoint: Untrusted::new("/price/BTCUSDT"),
                params: json!({"a": "1"}),
                status,
                bytes: 1,
                ms: 1.0,
            };
            (turn, record, body.as_bytes().to_vec())
        };
        let recorded = RecordedAnswers::new([
            record(1, 502, "down"),
            record(1, 502, "down"),
            record(3, 200, "up"),
            record(4, 200, "up"),
        ]);
        let asked = Asked::read(&call("call_api", json!({"endpoint": "/price/BTCUSDT?a=1"})));
        let told =
            [recorded.answer(&asked), recorded.answer(&asked)].map(|answer| (answer.status, answer.text));
        assert_eq!(told, [(502, "down".to_owned()), (200, "up".to_owned())]);
        let other = Asked::read(&call("call_api", json!({"endpoint": "/news"})));
        assert_eq!(recorded.answer(&other).status, 0);
    }

    #[test]
    fn an_unknown_tool_and_a_foreign_address_never_leave() {
        assert!(Asked::read(&call("rm", json!({"endpoint": "/health"}))).call.is_err());
        assert!(Asked::read(&call("call_api", json!({"endpoint": "http://evil/"}))).call.is_err());
    }
}
