//! Finding the decisions in the model's text.
//!
//! The array is taken from a place that was agreed: fenced blocks after the analysis or, without any, complete arrays of
//! objects; never from prose that happens to contain brackets. Two that differ are one too many: nobody can tell which was
//! meant.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::domain::{Rule, Untrusted};

/// Largest answer that is looked at, bytes.
const LARGEST_ANSWER: usize = 256 * 1024;

/// Stands for `NaN`, `Infinity` and `-Infinity`, which are not JSON but happen.
const STAND_IN: &str = "not a finite number";

/// The text between `<analysis>` and `</analysis>`; without the tags, everything before the first fence or array.
pub fn analysis_of(text: &str) -> &str {
    let start = text.find("<analysis>").map_or(0, |at| at + "<analysis>".len());
    let rest = &text[start..];
    let end = rest.find("</analysis>").or_else(|| rest.find("```")).unwrap_or(rest.len());
    rest[..end].trim()
}

/// Why no rows could be taken from a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRows {
    /// There are none that could be used.
    Unusable(&'static str),
    /// There are two lists that differ.
    Ambiguous,
}

/// One row as it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What it says; `null` when it is no JSON.
    pub value: Value,
    /// What is wrong with its writing, whatever it says.
    pub fault: Option<(Rule, String)>,
}

impl From<Value> for Row {
    fn from(value: Value) -> Self {
        Self { value, fault: None }
    }
}

/// The rows of the decision array, each parsed on its own.
pub fn rows_of(text: &str) -> Result<Vec<Row>, NoRows> {
    if text.len() > LARGEST_ANSWER {
        return Err(NoRows::Unusable("it is larger than 256 KiB"));
    }
    let region = text.rfind("</analysis>").map_or(text, |at| &text[at + "</analysis>".len()..]);
    let fences = fences(region).map_err(NoRows::Unusable)?;
    let lists = match fences.as_slice() {
        [] => arrays(region).map_err(NoRows::Unusable)?,
        blocks => blocks.iter().filter_map(|block| rows_in(block)).collect(),
    };
    // A list without one row that names an account is no list of decisions; alone, it is shown for what it is.
    let decides = |rows: &Vec<Row>| rows.iter().any(|row| row.value.get("account").is_some());
    let mut deciding: Vec<Vec<Row>> = lists.iter().filter(|rows| decides(rows)).cloned().collect();
    let Some(last) = deciding.pop() else {
        return lists.into_iter().next_back().ok_or(NoRows::Unusable(if fences.is_empty() {
            "it holds no complete array of decisions"
        } else {
            "the fenced block holds no complete array of objects"
        }));
    };
    if deciding.iter().all(|rows| *rows == last) { Ok(last) } else { Err(NoRows::Ambiguous) }
}

/// The rows in the input of the submitting tool, each read as a row of text is.
pub fn rows_of_call(input: &str) -> Result<Vec<Row>, NoRows> {
    if input.len() > LARGEST_ANSWER {
        return Err(NoRows::Unusable("it is larger than 256 KiB"));
    }
    let Ok(Fields(fields)) = serde_json::from_str(input) else {
        return Err(NoRows::Unusable("the call's input is not an object"));
    };
    match fields.iter().filter(|(name, _)| name == "decisions").count() {
        0 => Err(NoRows::Unusable("the call has no `decisions`")),
        1 => match serde_json::from_str(input) {
            Ok(Wrapped { decisions }) => Ok(decisions.into_iter().map(Row::from).collect()),
            Err(_) => Err(NoRows::Unusable("`decisions` is not an array of objects")),
        },
        _ => Err(NoRows::Ambiguous),
    }
}

/// The object that rows may stand in.
#[derive(Deserialize)]
struct Wrapped {
    decisions: Vec<Written>,
}

/// The content of every fenced block that begins like JSON. An opened fence that never closes is a truncation.
fn fences(text: &str) -> Result<Vec<&str>, &'static str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find("```") {
        let after = &rest[open + 3..];
        let body_start = after.find('\n').map_or(after.len(), |at| at + 1);
        let language = after[..body_start].trim();
        let body = &after[body_start..];
        let Some(close) = body.find("```") else {
            if language.is_empty() || language.eq_ignore_ascii_case("json") {
                return Err("its fenced block never ends");
            }
            break;
        };
        if language.eq_ignore_ascii_case("json") || body.trim_start().starts_with(['[', '{']) {
            found.push(&body[..close]);
        }
        rest = &body[close + 3..];
    }
    Ok(found)
}

/// Every top-level array of objects in `text`. One that begins and never ends is a truncation.
fn arrays(text: &str) -> Result<Vec<Vec<Row>>, &'static str> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(offset) = text[from..].find('[') {
        let start = from + offset;
        match balanced_end(&text[start..]) {
            Some(length) => {
                found.extend(rows_in(&text[start..start + length]));
                from = start + length;
            }
            None if text[start + 1..].trim_start().starts_with('{') => {
                return Err("its array of decisions never ends");
            }
            None => from = start + 1,
        }
    }
    Ok(found)
}

/// The objects of an array, or of `{"decisions": [...]}`, or a single object.
fn rows_in(block: &str) -> Option<Vec<Row>> {
    let block = block.trim().trim_start_matches('\u{feff}');
    if block.starts_with('[')
        && let Ok(rows) = serde_json::from_str::<Vec<Written>>(block)
    {
        let rows: Vec<Row> = rows.into_iter().map(Row::from).collect();
        return rows.iter().any(|row| row.value.is_object()).then_some(rows);
    }
    if block.starts_with('{') {
        if let Ok(Wrapped { decisions }) = serde_json::from_str(block) {
            return Some(decisions.into_iter().map(Row::from).collect());
        }
        let single = Row::from(serde_json::from_str::<Written>(block).ok()?);
        return single.value.get("account").is_some().then(|| vec![single]);
    }
    // One broken row must not take the others with it: split on object borders and parse each alone.
    if !(block.starts_with('[') && balanced_end(block) == Some(block.len())) {
        return None;
    }
    let mut rows = Vec::new();
    let mut rest = &block[1..];
    while let Some(start) = rest.find('{') {
        let length = balanced_end(&rest[start..])?;
        rows.push(parse_row(&rest[start..start + length]));
        rest = &rest[start + length..];
    }
    (!rows.is_empty()).then_some(rows)
}

fn parse_row(row: &str) -> Row {
    if let Ok(row) = serde_json::from_str::<Written>(row) {
        return row.into();
    }
    let Ok(written) = serde_json::from_str::<Written>(&replace_impossible_numbers(row)) else {
        return Value::Null.into();
    };
    let mut row = Row::from(written);
    // What JSON does not have leaves no row usable, wherever it stands.
    row.fault.get_or_insert_with(|| {
        let place =
            row.value.as_object().and_then(|fields| fields.iter().find(|(_, value)| holds_stand_in(value)));
        match place {
            Some((field, _)) if field == "confidence" => {
                (Rule::OutOfRange, "confidence is not a finite number".to_owned())
            }
            _ => (Rule::Malformed, "it holds a number that JSON does not have".to_owned()),
        }
    });
    row
}

fn holds_stand_in(value: &Value) -> bool {
    match value {
        Value::String(text) => text == STAND_IN,
        Value::Array(values) => values.iter().any(holds_stand_in),
        Value::Object(fields) => fields.values().any(holds_stand_in),
        _ => false,
    }
}

/// A JSON value as it was written: an object keeps a field that comes twice.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Object(Fields),
    Other(Value),
}

/// The fields of an object in their order, repeated ones included.
struct Fields(Vec<(String, Value)>);

impl From<Written> for Row {
    fn from(written: Written) -> Self {
        let fields = match written {
            Written::Object(Fields(fields)) => fields,
            Written::Other(value) => return value.into(),
        };
        let mut object = Map::with_capacity(fields.len());
        let mut fault = None;
        for (name, value) in fields {
            if object.contains_key(&name) {
                // Which of the two was meant, nobody knows.
                let shown = Untrusted::new(name.as_str()).line(30);
                fault = Some((Rule::Malformed, format!("the field {shown:?} is written twice")));
            }
            object.insert(name, value);
        }
        Self { value: Value::Object(object), fault }
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collected;
        impl<'de> Visitor<'de> for Collected {
            type Value = Fields;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields, M::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Collected)
    }
}

/// Puts the stand-in where a bare `NaN` or `Infinity`, or a number no float can hold, stands outside strings.
fn replace_impossible_numbers(row: &str) -> String {
    let mut out = String::with_capacity(row.len());
    let mut rest = row;
    let mut in_string = false;
    while let Some(character) = rest.chars().next() {
        if in_string && character == '\\' {
            let length = rest.char_indices().nth(2).map_or(rest.len(), |(at, _)| at);
            out.push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        }
        if character == '"' {
            in_string = !in_string;
        }
        let word = (!in_string).then(|| impossible_number(rest)).flatten();
        if let Some(word) = word {
            out.push('"');
            out.push_str(STAND_IN);
            out.push('"');
            rest = &rest[word.len()..];
        } else {
            out.push(character);
            rest = &rest[character.len_utf8()..];
        }
    }
    out
}

/// The bare word or number at the start of `text` that stands for no finite number, if one does.
fn impossible_number(text: &str) -> Option<&str> {
    let word = ["-Infinity", "Infinity", "NaN", "nan"].into_iter().find(|word| text.starts_with(word));
    word.map(|word| &text[..word.len()]).or_else(|| {
        let end =
            text.find(|character: char| !matches!(character, '0'..='9' | '+' | '-' | '.' | 'e' | 'E'))?;
        let number = text[..end].parse::<f64>();
        number.is_ok_and(f64::is_infinite).then(|| &text[..end])
    })
}

/// The length of the bracketed value `text` begins with, strings respected; `None` when it never ends.
fn balanced_end(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}
