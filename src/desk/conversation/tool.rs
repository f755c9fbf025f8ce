//! The model's one tool: reading the market-data API in this process. It has no other verb.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::domain::Untrusted;
use crate::market::Simsar;

/// Largest result given to the model, bytes; what is longer is cut and says so.
pub const LARGEST_RESULT: usize = 6 * 1024;
/// Time one call may take.
const CALL_TIME: Duration = Duration::from_secs(5);

/// What the model asked for, as far as it could be read.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The path.
    pub endpoint: Untrusted,
    /// Its parameters: a JSON object.
    pub params: Value,
    fault: Option<&'static str>,
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
    /// Reads `{endpoint, params}`; a query string within the endpoint counts as parameters.
    pub fn read(tool: &str, input: &Value) -> Self {
        let endpoint = input.get("endpoint").and_then(Value::as_str).unwrap_or_default();
        let (path, query) = endpoint.split_once('?').unwrap_or((endpoint, ""));
        let mut params = match input.get("params") {
            Some(Value::Object(params)) => params.clone(),
            _ => Map::new(),
        };
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            params.insert(key.to_owned(), Value::from(value));
        }
        let fault = match (tool, path) {
            ("call_api", "") => Some("endpoint is missing"),
            ("call_api", _) => None,
            _ => Some("there is no such tool; the only tool is call_api"),
        };
        Self { endpoint: Untrusted::new(path), params: Value::Object(params), fault }
    }

    fn query(&self) -> Result<Vec<(String, String)>, &'static str> {
        let Value::Object(params) = &self.params else { return Ok(Vec::new()) };
        params
            .iter()
            .map(|(key, value)| match value {
                Value::String(text) => Ok((key.clone(), text.clone())),
                Value::Number(number) => Ok((key.clone(), number.to_string())),
                _ => Err("every parameter must be a text or a number"),
            })
            .collect()
    }
}

/// Asks the market-data API. Errors come back as fixed sentences, never as internals.
pub async fn call_api(simsar: &Simsar, asked: &Asked) -> ToolAnswer {
    let failed = |reason: &str| ToolAnswer {
        status: 0,
        size: 0,
        text: serde_json::json!({ "error": reason }).to_string(),
        is_error: true,
    };
    if let Some(fault) = asked.fault {
        return failed(fault);
    }
    let query = match asked.query() {
        Ok(query) => query,
        Err(reason) => return failed(reason),
    };
    match tokio::time::timeout(CALL_TIME, simsar.call(asked.endpoint.raw(), &query)).await {
        Ok(answer) => {
            let text = String::from_utf8_lossy(&answer.body);
            ToolAnswer {
                status: answer.status,
                size: answer.body.len() as u64,
                text: cut(&text),
                is_error: answer.status != 200,
            }
        }
        Err(_elapsed) => failed("no answer within 5 seconds"),
    }
}

/// Cuts on a row border and says so.
fn cut(text: &str) -> String {
    if text.len() <= LARGEST_RESULT {
        return text.to_owned();
    }
    let mut end = LARGEST_RESULT;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let border = text[..end].rfind(['}', ']', '\n']).map_or(end, |at| at + 1);
    format!("{} … cut at {border} of {} bytes; ask for fewer rows", &text[..border], text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_within_the_endpoint_counts_as_parameters() {
        let asked = Asked::read("call_api", &serde_json::json!({"endpoint": "/candles/BTCUSDT?limit=5", "params": {"interval": "1h"}}));
        assert_eq!(asked.endpoint.raw(), "/candles/BTCUSDT");
        assert_eq!(asked.query().unwrap(), [("interval".into(), "1h".into()), ("limit".into(), "5".into())]);
    }

    #[test]
    fn a_long_result_is_cut_on_a_row_and_says_so() {
        let rows = "{\"a\":1},".repeat(2000);
        let text = cut(&rows);
        assert!(text.len() < LARGEST_RESULT + 100);
        assert!(text.contains("} … cut at"));
    }

    #[test]
    fn an_unknown_tool_and_a_nested_parameter_are_refused() {
        assert!(Asked::read("rm", &serde_json::json!({"endpoint": "/"})).fault.is_some());
        let nested = Asked::read("call_api", &serde_json::json!({"endpoint": "/health", "params": {"a": {"b": 1}}}));
        assert!(nested.query().is_err());
    }
}
