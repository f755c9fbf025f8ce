//! The desk's two tools: reading the market-data API, and handing in the decisions.

use serde_json::{Map, Value, json};

use super::message::Tool;

/// Name of the tool that reads the market-data API.
pub const CALL_API: &str = "call_api";

/// The tool as offered to the model. `endpoints` are the path patterns it may ask for.
pub fn call_api(endpoints: &[&str]) -> Tool {
    Tool {
        name: CALL_API.to_owned(),
        description: format!(
            "Reads live market data. Ask only for what the brief does not contain. Paths:\n{}",
            endpoints.join("\n")
        ),
        input_schema: json!({
            "type": "object",
            "properties": {
                "endpoint": {
                    "type": "string",
                    "description": "One of the paths, with its {parts} filled in, such as /indicators/rsi/BTCUSDT",
                },
                "params": {
                    "type": "object",
                    "description": "Query parameters, such as {\"interval\": \"1h\", \"period\": \"14\"}",
                },
            },
            "required": ["endpoint"],
        }),
        strict: false,
    }
}

/// Name of the tool that takes the decisions.
pub const SUBMIT_DECISIONS: &str = "submit_decisions";

/// The tool that ends a conversation, held to its schema by providers that can. The grammar of a strict schema knows no
/// ranges and charges for unions, so `risk_note` is always a text and ranges stay the desk's own business.
pub fn submit_decisions() -> Tool {
    let text = |description: &str| json!({ "type": "string", "description": description });
    Tool {
        name: SUBMIT_DECISIONS.to_owned(),
        description: "Hands in the decisions: one object for every account and coin of the task, in its order. Call it \
                      exactly once, alone in its turn, after the analysis and after every result you asked for."
            .to_owned(),
        input_schema: json!({
            "type": "object",
            "properties": {
                "decisions": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "account": text("As written in the task"),
                            "symbol": text("As written in the task"),
                            "decision": { "type": "string", "enum": ["LONG", "SHORT", "NO_TRADE", "HOLD", "CLOSE"] },
                            "confidence": { "type": "number", "description": "From 0 to 1" },
                            "reason": text("One or two sentences with the figures that decided"),
                            "market_bias": { "type": "string", "enum": ["bullish", "bearish", "neutral"] },
                            "risk_note": text("One sentence about what could go wrong, or none"),
                        },
                        "required": [
                            "account", "symbol", "decision", "confidence", "reason", "market_bias", "risk_note",
                        ],
                        "additionalProperties": false,
                    },
                },
            },
            "required": ["decisions"],
            "additionalProperties": false,
        }),
        strict: true,
    }
}

/// A call of `call_api`, read from its input. Whether the path exists is for the market room to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiCall {
    /// The path, starting with `/`, without a query.
    pub endpoint: String,
    /// Query parameters in the model's order; a query in the path comes first.
    pub params: Vec<(String, String)>,
}

impl ApiCall {
    /// Reads the tool's input. The error is written for the model.
    pub fn from_input(input: &Map<String, Value>) -> Result<Self, String> {
        let Some(endpoint) = input.get("endpoint").and_then(Value::as_str) else {
            return Err("`endpoint` is missing: give one of the paths as a string".to_owned());
        };
        let (path, query) = endpoint.split_once('?').unwrap_or((endpoint, ""));
        if !path.starts_with('/') || path.starts_with("//") || path.contains("..") {
            return Err("`endpoint` must be a plain path that starts with `/`".to_owned());
        }
        let mut params = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            params.push((name.to_owned(), value.to_owned()));
        }
        match input.get("params") {
            None | Some(Value::Null) => {}
            Some(Value::Object(map)) => {
                for (name, value) in map {
                    match value {
                        Value::Null => {}
                        Value::String(text) => params.push((name.clone(), text.clone())),
                        Value::Number(_) | Value::Bool(_) => params.push((name.clone(), value.to_string())),
                        Value::Array(_) | Value::Object(_) => {
                            return Err(format!("`params.{name}` must be a text or a number"));
                        }
                    }
                }
            }
            Some(_) => return Err("`params` must be an object".to_owned()),
        }
        let mut names = std::collections::BTreeSet::new();
        if let Some((twice, _)) = params.iter().find(|(name, _)| !names.insert(name.as_str())) {
            let twice = crate::domain::Untrusted::new(twice.as_str()).line(30);
            return Err(format!("the parameter {twice:?} is given twice"));
        }
        Ok(Self { endpoint: path.to_owned(), params })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &Value) -> Result<ApiCall, String> {
        ApiCall::from_input(input.as_object().unwrap())
    }

    #[test]
    fn numbers_and_a_query_in_the_path_are_understood() {
        let call =
            read(&json!({"endpoint": "/candles/BTCUSDT?interval=1h", "params": {"limit": 20}})).unwrap();
        assert_eq!(call.endpoint, "/candles/BTCUSDT");
        let expected = [("interval", "1h"), ("limit", "20")];
        assert_eq!(call.params, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn addresses_and_climbing_paths_are_refused() {
        for endpoint in ["http://evil/", "//evil/x", "price/BTCUSDT", "/price/../../etc", ""] {
            assert!(read(&json!({ "endpoint": endpoint })).is_err(), "{endpoint}");
        }
        assert!(read(&json!({"params": {}})).is_err());
        let twice = read(&json!({"endpoint": "/candles/BTCUSDT?limit=5", "params": {"limit": 9}}));
        assert_eq!(twice.unwrap_err(), "the parameter \"limit\" is given twice");
        assert!(read(&json!({"endpoint": "/price/BTCUSDT", "params": {"a": [1]}})).is_err());
    }
}
