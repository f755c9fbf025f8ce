//! The request as it arrives: checked by the rules of the Messages API and merged into turns.
//!
//! Unknown fields are ignored. What is refused, and in which words, follows the vendor's own server: no temperature, no
//! prefilled answer, no tool call without its result.

use serde_json::{Map, Value};

use super::error::ApiError;

/// The version from which sampling parameters are refused.
const VERSION_WITHOUT_SAMPLING: &str = "2026-10-21";

/// The API versions this server speaks.
pub(super) const VERSIONS: [&str; 2] = ["2023-06-01", VERSION_WITHOUT_SAMPLING];

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    User,
    Assistant,
}

/// One content block, reduced to what the analyst reads.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Block {
    /// Plain text.
    Text(String),
    /// A tool call of an earlier answer.
    ToolUse { id: String, name: String, input: Value },
    /// What a tool answered.
    ToolResult { id: String, text: String, is_error: bool },
    /// Anything else: images, documents, thinking.
    Other,
}

/// Consecutive messages of one role, merged as the API merges them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Turn {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub blocks: Vec<Block>,
}

/// A tool on offer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tool {
    /// Its name.
    pub name: String,
    /// The JSON schema of its input.
    pub schema: Value,
}

/// What the caller demands about tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ToolChoice {
    Auto,
    Any,
    Named(String),
    None,
}

/// A checked request.
#[derive(Debug, Clone)]
pub(super) struct Conversation {
    /// The model id as requested.
    pub model: String,
    /// The most output tokens allowed; `None` when only counting.
    pub max_tokens: Option<u64>,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// The system text.
    pub system: String,
    /// The tools on offer, in order.
    pub tools: Vec<Tool>,
    /// What is demanded about tools.
    pub tool_choice: ToolChoice,
    /// Whether several calls in one turn are allowed.
    pub parallel: bool,
    /// Texts that end the answer.
    pub stop_sequences: Vec<String>,
    /// The merged turns; the last one is the user's.
    pub turns: Vec<Turn>,
}

impl Conversation {
    /// Checks a request body. `counting` is true for `count_tokens`, which has no `max_tokens`.
    pub fn read(body: &Value, version: &str, counting: bool) -> Result<Self, ApiError> {
        let fields = body.as_object().ok_or_else(|| ApiError::invalid("the body must be a JSON object"))?;
        let model = required_text(fields, "model")?;
        let stream = match fields.get("stream") {
            None | Some(Value::Null) => false,
            Some(wish) => wish.as_bool().ok_or_else(|| ApiError::invalid("stream: must be true or false"))?,
        };
        if fields
            .get("system")
            .is_some_and(|system| !(system.is_string() || system.is_array() || system.is_null()))
        {
            return Err(ApiError::invalid("system: must be a string or a list of blocks"));
        }
        let max_tokens = if counting { None } else { Some(max_tokens(fields, stream)?) };
        refuse_sampling(fields, version)?;
        refuse_output_format(fields)?;
        let tools = tools(fields.get("tools"))?;
        let (tool_choice, parallel) = tool_choice(fields.get("tool_choice"), &tools)?;
        let turns = turns(fields.get("messages"), version)?;
        check_tool_pairs(&turns)?;
        Ok(Self {
            model,
            max_tokens,
            stream,
            system: fields.get("system").map(text_of).unwrap_or_default(),
            tools,
            tool_choice,
            parallel,
            stop_sequences: texts(fields.get("stop_sequences")),
            turns,
        })
    }

    /// A tool on offer by name, unless tools are switched off.
    pub fn tool(&self, name: &str) -> Option<&Tool> {
        if self.tool_choice == ToolChoice::None {
            return None;
        }
        self.tools.iter().find(|tool| tool.name == name)
    }

    /// Every text the user wrote, in order.
    pub fn user_texts(&self) -> impl Iterator<Item = &str> {
        self.turns.iter().filter(|turn| turn.role == Role::User).flat_map(|turn| &turn.blocks).filter_map(
            |block| match block {
                Block::Text(text) => Some(text.as_str()),
                Block::ToolUse { .. } | Block::ToolResult { .. } | Block::Other => None,
            },
        )
    }
}

fn required_text(fields: &Map<String, Value>, name: &str) -> Result<String, ApiError> {
    match fields.get(name) {
        None | Some(Value::Null) => Err(ApiError::invalid(format!("{name}: Field required"))),
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(_) => Err(ApiError::invalid(format!("{name}: must be a non-empty string"))),
    }
}

fn max_tokens(fields: &Map<String, Value>, stream: bool) -> Result<u64, ApiError> {
    match fields.get("max_tokens") {
        None | Some(Value::Null) => Err(ApiError::invalid("max_tokens: Field required")),
        Some(value) => match value.as_u64() {
            Some(0) if stream => Err(ApiError::invalid("max_tokens: 0 cannot be combined with stream")),
            Some(tokens) => Ok(tokens),
            None => Err(ApiError::invalid("max_tokens: must be a whole number of 0 or more")),
        },
    }
}

fn refuse_sampling(fields: &Map<String, Value>, version: &str) -> Result<(), ApiError> {
    if version != VERSION_WITHOUT_SAMPLING {
        return Ok(());
    }
    match ["temperature", "top_p", "top_k"].into_iter().find(|name| fields.contains_key(*name)) {
        Some(name) => Err(ApiError::invalid(format!(
            "{name}: not supported from API version {VERSION_WITHOUT_SAMPLING} on; leave it out"
        ))),
        None => Ok(()),
    }
}

fn refuse_output_format(fields: &Map<String, Value>) -> Result<(), ApiError> {
    let format = fields.get("output_config").and_then(|config| config.get("format"));
    if format.is_some_and(|format| !format.is_null()) {
        return Err(ApiError::invalid("output_config.format: the built-in analyst writes free text only"));
    }
    Ok(())
}

fn tools(value: Option<&Value>) -> Result<Vec<Tool>, ApiError> {
    let list = match value {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(ApiError::invalid("tools: must be an array")),
    };
    let mut tools = Vec::with_capacity(list.len());
    for (index, tool) in list.iter().enumerate() {
        let name = tool.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| ApiError::invalid(format!("tools.{index}.name: Field required")))?;
        let schema = match tool.get("input_schema") {
            Some(schema) if schema.is_object() => schema.clone(),
            // A server tool has a versioned type instead of a schema; it is never called here.
            _ if tool.get("type").and_then(Value::as_str).is_some_and(|kind| kind != "custom") => Value::Null,
            _ => {
                return Err(ApiError::invalid(format!("tools.{index}.input_schema: must be an object")));
            }
        };
        if tools.iter().any(|known: &Tool| known.name == name) {
            return Err(ApiError::invalid("tools: Tool names must be unique."));
        }
        tools.push(Tool { name: name.to_owned(), schema });
    }
    Ok(tools)
}

fn tool_choice(value: Option<&Value>, tools: &[Tool]) -> Result<(ToolChoice, bool), ApiError> {
    let Some(choice) = value.filter(|value| !value.is_null()) else {
        return Ok((ToolChoice::Auto, true));
    };
    let serial = choice.get("disable_parallel_tool_use").and_then(Value::as_bool).unwrap_or(false);
    let kind = match choice.get("type").and_then(Value::as_str) {
        Some("auto") => ToolChoice::Auto,
        Some("none") => ToolChoice::None,
        Some("any") if !tools.is_empty() => ToolChoice::Any,
        Some("tool") => {
            let name = choice.get("name").and_then(Value::as_str).unwrap_or_default();
            if !tools.iter().any(|tool| tool.name == name) {
                return Err(ApiError::invalid(format!("tool_choice: tool {name:?} is not among the tools")));
            }
            ToolChoice::Named(name.to_owned())
        }
        _ => {
            return Err(ApiError::invalid("tool_choice.type: one of auto, any, tool, none; any needs tools"));
        }
    };
    Ok((kind, !serial))
}

fn turns(value: Option<&Value>, version: &str) -> Result<Vec<Turn>, ApiError> {
    let messages = match value {
        None | Some(Value::Null) => return Err(ApiError::invalid("messages: Field required")),
        Some(Value::Array(messages)) if !messages.is_empty() => messages,
        Some(Value::Array(_)) => return Err(ApiError::invalid("messages: at least one message is required")),
        Some(_) => return Err(ApiError::invalid("messages: must be an array")),
    };
    let mut turns: Vec<Turn> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let role = match message.get("role").and_then(Value::as_str) {
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            _ => return Err(ApiError::invalid(format!("messages.{index}.role: must be user or assistant"))),
        };
        let blocks = blocks(message.get("content"), role, index, version)?;
        match turns.last_mut() {
            Some(turn) if turn.role == role => turn.blocks.extend(blocks),
            _ => turns.push(Turn { role, blocks }),
        }
    }
    if turns.first().is_some_and(|turn| turn.role == Role::Assistant) {
        return Err(ApiError::invalid("messages: the first message must use the \"user\" role"));
    }
    if turns.last().is_some_and(|turn| turn.role == Role::Assistant) {
        return Err(ApiError::invalid(
            "This model does not support assistant message prefill. The conversation must end with a user message.",
        ));
    }
    Ok(turns)
}

fn blocks(content: Option<&Value>, role: Role, index: usize, version: &str) -> Result<Vec<Block>, ApiError> {
    match content {
        Some(Value::String(text)) if !text.is_empty() => Ok(vec![Block::Text(text.clone())]),
        Some(Value::Array(list)) if !list.is_empty() => list
            .iter()
            .enumerate()
            .map(|(place, value)| block(value, role, version, &format!("messages.{index}.content.{place}")))
            .collect(),
        Some(Value::String(_) | Value::Array(_)) => {
            Err(ApiError::invalid(format!("messages.{index}: content must not be empty")))
        }
        _ => Err(ApiError::invalid(format!("messages.{index}.content: Field required"))),
    }
}

fn block(value: &Value, role: Role, version: &str, place: &str) -> Result<Block, ApiError> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let required = |name: &str| {
        text(name)
            .map(str::to_owned)
            .ok_or_else(|| ApiError::invalid(format!("{place}.{name}: Field required")))
    };
    let newest = version == VERSION_WITHOUT_SAMPLING;
    match (text("type"), role) {
        (Some("text"), _) => {
            let cited = value.get("citations").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
            if newest && role == Role::User && cited {
                return Err(ApiError::invalid(format!("{place}.citations: not allowed on user text")));
            }
            let words = required("text")
                .map_err(|_| ApiError::invalid(format!("{place}: text content blocks must be non-empty")))?;
            Ok(Block::Text(words))
        }
        (Some("tool_use"), Role::Assistant) => Ok(Block::ToolUse {
            id: required("id")?,
            name: required("name")?,
            input: value.get("input").cloned().unwrap_or(Value::Null),
        }),
        (Some("tool_result"), Role::User) => Ok(Block::ToolResult {
            id: required("tool_use_id")?,
            text: value.get("content").map(text_of).unwrap_or_default(),
            is_error: value.get("is_error").and_then(Value::as_bool).unwrap_or(false),
        }),
        (Some("tool_use"), Role::User) | (Some("tool_result"), Role::Assistant) => {
            Err(ApiError::invalid(format!("{place}: this block type belongs to the other role")))
        }
        (Some("document"), Role::Assistant) if newest => {
            Err(ApiError::invalid(format!("{place}: document blocks are not allowed in assistant messages")))
        }
        (Some(_), _) => Ok(Block::Other),
        (None, _) => Err(ApiError::invalid(format!("{place}.type: Field required"))),
    }
}

/// Each tool call must be answered in the very next turn, with the results before any text.
fn check_tool_pairs(turns: &[Turn]) -> Result<(), ApiError> {
    for (index, turn) in turns.iter().enumerate().filter(|(_, turn)| turn.role == Role::User) {
        let asked: Vec<&str> =
            index.checked_sub(1).and_then(|before| turns.get(before)).map_or_else(Vec::new, |before| {
                before
                    .blocks
                    .iter()
                    .filter_map(|block| match block {
                        Block::ToolUse { id, .. } => Some(id.as_str()),
                        _ => None,
                    })
                    .collect()
            });
        let answered: Vec<&str> = turn
            .blocks
            .iter()
            .filter_map(|block| match block {
                Block::ToolResult { id, .. } => Some(id.as_str()),
                _ => None,
            })
            .collect();
        let open: Vec<&str> = asked.iter().filter(|id| !answered.contains(id)).copied().collect();
        if !open.is_empty() {
            return Err(ApiError::invalid(format!(
                "messages: `tool_use` ids were found without `tool_result` blocks immediately after: {}",
                open.join(", ")
            )));
        }
        if let Some(stranger) = answered.iter().find(|id| !asked.contains(id)) {
            return Err(ApiError::invalid(format!(
                "messages: `tool_result` names the id {stranger}, which no `tool_use` of the message before has"
            )));
        }
        let first_other = turn.blocks.iter().position(|block| !matches!(block, Block::ToolResult { .. }));
        let last_result = turn.blocks.iter().rposition(|block| matches!(block, Block::ToolResult { .. }));
        if let (Some(other), Some(result)) = (first_other, last_result)
            && other < result
        {
            return Err(ApiError::invalid(
                "messages: `tool_result` blocks must come before any other content",
            ));
        }
    }
    Ok(())
}

/// The text of a string or of a list of text blocks.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list
            .iter()
            .filter_map(|block| block.get("text").and_then(Value::as_str))
            .collect::<Vec<_>>()
            .join("\n"),
        _ => String::new(),
    }
}

fn texts(value: Option<&Value>) -> Vec<String> {
    value
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refusal(body: &Value) -> String {
        Conversation::read(body, "2026-10-21", false).unwrap_err().message
    }

    fn with_messages(messages: &Value) -> Value {
        json!({"model": "claude-sonnet-4-6", "max_tokens": 100, "messages": messages})
    }

    #[test]
    fn missing_fields_are_named() {
        assert_eq!(refusal(&json!({"model": "claude-x", "max_tokens": 5})), "messages: Field required");
        assert_eq!(
            refusal(&json!({"model": "claude-x", "messages": [{"role": "user", "content": "hi"}]})),
            "max_tokens: Field required"
        );
    }

    #[test]
    fn a_field_of_another_kind_is_refused_by_its_name() {
        for (name, value) in [("stream", json!("yes")), ("stream", json!(1)), ("system", json!(5))] {
            let mut body = with_messages(&json!([{"role": "user", "content": "hi"}]));
            body[name] = value;
            assert!(refusal(&body).starts_with(&format!("{name}: must be")), "{body}");
        }
    }

    #[test]
    fn sampling_parameters_are_refused_only_by_the_newest_version() {
        for name in ["temperature", "top_p", "top_k"] {
            let mut body = with_messages(&json!([{"role": "user", "content": "hi"}]));
            body[name] = json!(1);
            assert!(refusal(&body).contains(name));
            assert!(Conversation::read(&body, "2023-06-01", false).is_ok());
        }
    }

    #[test]
    fn a_conversation_must_not_end_with_the_assistant() {
        let body = with_messages(&json!([{"role": "user", "content": "hi"},
                                         {"role": "assistant", "content": "{"}]));
        assert!(refusal(&body).contains("prefill"));
    }

    #[test]
    fn every_tool_call_needs_its_result_and_results_come_first() {
        let call = json!({"role": "assistant", "content": [
            {"type": "tool_use", "id": "a", "name": "call_api", "input": {}},
            {"type": "tool_use", "id": "b", "name": "call_api", "input": {}}]});
        let result = |id: &str| json!({"type": "tool_result", "tool_use_id": id, "content": "1"});
        let body = |content: Value| {
            with_messages(&json!([{"role": "user", "content": "hi"}, call,
                                  {"role": "user", "content": content}]))
        };
        let missing = refusal(&body(json!([result("a")])));
        assert!(missing.ends_with("immediately after: b"), "{missing}");
        let late = refusal(&body(json!([{"type": "text", "text": "so"}, result("a"), result("b")])));
        assert!(late.contains("before any other content"), "{late}");
        let stranger = refusal(&body(json!([result("a"), result("b"), result("c")])));
        assert!(stranger.contains("the id c"), "{stranger}");
        assert!(Conversation::read(&body(json!([result("b"), result("a")])), "2026-10-21", false).is_ok());
    }

    #[test]
    fn consecutive_messages_of_one_role_become_one_turn() {
        let body = with_messages(&json!([{"role": "user", "content": "one"},
                                         {"role": "user", "content": [{"type": "text", "text": "two"}]}]));
        let conversation = Conversation::read(&body, "2026-10-21", false).unwrap();
        assert_eq!(conversation.turns.len(), 1);
        assert_eq!(conversation.user_texts().collect::<Vec<_>>(), ["one", "two"]);
    }

    #[test]
    fn tools_without_a_schema_and_choices_of_unknown_tools_are_refused() {
        let mut body = with_messages(&json!([{"role": "user", "content": "hi"}]));
        body["tools"] = json!([{"name": "call_api"}]);
        assert!(refusal(&body).contains("tools.0.input_schema"));
        body["tools"] = json!([{"name": "call_api", "input_schema": {"type": "object"}}]);
        body["tool_choice"] = json!({"type": "tool", "name": "other"});
        assert!(refusal(&body).contains("other"));
    }
}
