//! Finding the decisions in the model's text.
//!
//! The array is taken from a place that was agreed (the last fenced block after the analysis) or is the last complete
//! array of objects; never from prose that happens to contain brackets.

use serde_json::Value;

/// Largest answer that is looked at, bytes.
const LARGEST_ANSWER: usize = 256 * 1024;

/// Stands for `NaN`, `Infinity` and `-Infinity`, which are not JSON but happen.
const STAND_IN: &str = "not a finite number";

/// Whether a text is the stand-in for a number that JSON does not have.
pub fn is_stand_in(text: &str) -> bool {
    text == STAND_IN
}

/// The text between `<analysis>` and `</analysis>`; without the tags, everything before the first fence or array.
pub fn analysis_of(text: &str) -> &str {
    let start = text.find("<analysis>").map_or(0, |at| at + "<analysis>".len());
    let rest = &text[start..];
    let end = rest.find("</analysis>").or_else(|| rest.find("```")).unwrap_or(rest.len());
    rest[..end].trim()
}

/// The rows of the decision array, each parsed on its own. Rows that are no JSON come as `null`.
pub fn rows_of(text: &str) -> Result<Vec<Value>, &'static str> {
    if text.len() > LARGEST_ANSWER {
        return Err("it is larger than 256 KiB");
    }
    let region = text.rfind("</analysis>").map_or(text, |at| &text[at + "</analysis>".len()..]);
    if let Some(block) = last_fence(region) {
        let block = block?;
        return rows_in(block).ok_or("the fenced block holds no complete array of objects");
    }
    last_array(region).ok_or("it holds no complete array of decisions")
}

/// The content of the last fenced block that begins like JSON. An opened fence that never closes is a truncation.
fn last_fence(text: &str) -> Option<Result<&str, &'static str>> {
    let mut last = None;
    let mut rest = text;
    while let Some(open) = rest.find("```") {
        let after = &rest[open + 3..];
        let body_start = after.find('\n').map_or(after.len(), |at| at + 1);
        let language = after[..body_start].trim();
        let body = &after[body_start..];
        let Some(close) = body.find("```") else {
            if matches!(language, "json" | "") {
                return Some(Err("its fenced block never ends"));
            }
            break;
        };
        if language.eq_ignore_ascii_case("json") || body.trim_start().starts_with(['[', '{']) {
            last = Some(Ok(&body[..close]));
        }
        rest = &body[close + 3..];
    }
    last
}

/// The last top-level array of objects that begins and ends in `text`.
fn last_array(text: &str) -> Option<Vec<Value>> {
    let mut found = None;
    let mut from = 0;
    while let Some(offset) = text[from..].find('[') {
        let start = from + offset;
        match balanced_end(&text[start..]) {
            Some(length) => {
                if let Some(rows) = rows_in(&text[start..start + length]) {
                    found = Some(rows);
                }
                from = start + length;
            }
            None => from = start + 1,
        }
    }
    found
}

/// The objects of an array, or of `{"decisions": [...]}`, or a single object.
fn rows_in(block: &str) -> Option<Vec<Value>> {
    let block = block.trim().trim_start_matches('\u{feff}');
    match serde_json::from_str::<Value>(block) {
        Ok(Value::Array(rows)) => return rows.iter().any(Value::is_object).then_some(rows),
        Ok(Value::Object(mut object)) => {
            return match object.remove("decisions") {
                Some(Value::Array(rows)) => Some(rows),
                _ => object.contains_key("account").then(|| vec![Value::Object(object)]),
            };
        }
        _ => {}
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

fn parse_row(row: &str) -> Value {
    serde_json::from_str(row)
        .or_else(|_| serde_json::from_str(&replace_impossible_numbers(row)))
        .unwrap_or(Value::Null)
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
