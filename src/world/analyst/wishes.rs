//! What the analyst wants to look up before it decides, and how a call fits the schema on offer.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::reading::{Reading, Tongue};
use super::signals::View;
use super::tables::is_symbol;

/// One thing to look up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    /// The path, without a query.
    pub path: String,
    /// The query.
    pub query: Vec<(&'static str, &'static str)>,
    /// Why, in the prompt's language.
    pub why: String,
}

/// What to look up, in order of importance: one to three wishes, the same for the same conversation.
pub(super) fn wishes(reading: &Reading, views: &BTreeMap<String, View>, texts: &[&str]) -> Vec<Wish> {
    let tongue = reading.tongue;
    let asked: Vec<&String> = reading
        .task
        .iter()
        .flat_map(|task| &task.accounts)
        .flat_map(|account| &account.coins)
        .map(|coin| &coin.symbol)
        .filter(|symbol| is_symbol(symbol))
        .collect();
    let mover = asked
        .iter()
        .filter_map(|symbol| Some((*symbol, reading.coins.get(*symbol)?.change_4h?)))
        .max_by(|left, right| left.1.abs().total_cmp(&right.1.abs()).then_with(|| right.0.cmp(left.0)));
    // The tool's own results must not change what counts as the best candidate: only the prompt's figures do.
    let best = asked
        .iter()
        .filter_map(|symbol| Some((*symbol, views.get(*symbol).filter(|view| view.known)?.score)))
        .max_by(|left, right| left.1.abs().total_cmp(&right.1.abs()).then_with(|| right.0.cmp(left.0)));
    let mut wishes = Vec::new();
    if let Some((symbol, change)) = mover {
        wishes.push(funding(symbol, change, tongue));
    }
    if let Some((symbol, _)) = best {
        wishes.push(hourly_rsi(symbol, tongue));
        wishes.push(if reading.general.headlines.is_empty() { news(tongue) } else { crowd(symbol, tongue) });
    }
    if wishes.is_empty() {
        wishes
            .push(fallback(asked.first().map(|symbol| symbol.as_str()).or_else(|| symbol_in(texts)), tongue));
    }
    wishes
}

fn funding(symbol: &str, change: f64, tongue: Tongue) -> Wish {
    let why = match tongue {
        Tongue::Turkish => {
            format!(
                "Son 4 saatte en çok {symbol} hareket etti ({change:+.2}%); fonlaması kalabalık tarafı gösterir."
            )
        }
        Tongue::English => {
            format!(
                "{symbol} moved most in the last 4 h ({change:+.2}%); its funding shows which side is crowded."
            )
        }
    };
    Wish { path: format!("/futures/funding-rate/{symbol}"), query: Vec::new(), why }
}

fn hourly_rsi(symbol: &str, tongue: Tongue) -> Wish {
    let why = match tongue {
        Tongue::Turkish => {
            format!("En güçlü aday {symbol}; 1 saatlik RSI girişin geç kalıp kalmadığını söyler.")
        }
        Tongue::English => {
            format!("{symbol} is the strongest candidate; its 1 h RSI tells whether an entry is late.")
        }
    };
    Wish { path: format!("/indicators/rsi/{symbol}"), query: vec![("interval", "1h")], why }
}

fn crowd(symbol: &str, tongue: Tongue) -> Wish {
    let why = match tongue {
        Tongue::Turkish => format!("{symbol} için son bir soru: kalabalık hangi tarafta?"),
        Tongue::English => format!("One last question about {symbol}: where does the crowd stand?"),
    };
    Wish { path: format!("/futures/long-short-ratio/{symbol}"), query: vec![("limit", "2")], why }
}

fn news(tongue: Tongue) -> Wish {
    let why = tongue.pick(
        "Elimde haber yok; kripto başlıklarına bakıyorum.",
        "There are no headlines yet; looking at crypto news.",
    );
    Wish { path: "/news/crypto".to_owned(), query: Vec::new(), why: why.to_owned() }
}

fn fallback(symbol: Option<&str>, tongue: Tongue) -> Wish {
    match symbol {
        Some(symbol) => Wish {
            path: format!("/price/{symbol}"),
            query: Vec::new(),
            why: match tongue {
                Tongue::Turkish => format!("{symbol} fiyatına bakıyorum."),
                Tongue::English => format!("Looking up the price of {symbol}."),
            },
        },
        None => Wish {
            path: "/fear-greed".to_owned(),
            query: Vec::new(),
            why: tongue
                .pick("Piyasanın havasına bakıyorum.", "Looking up the mood of the market.")
                .to_owned(),
        },
    }
}

fn symbol_in<'a>(texts: &[&'a str]) -> Option<&'a str> {
    texts
        .iter()
        .flat_map(|text| text.split(|letter: char| !letter.is_ascii_alphanumeric()))
        .find(|word| is_symbol(word))
}

/// The input of a call, in whichever fields the schema offers: `path`, or `endpoint` with `params`.
pub(super) fn call_input(schema: &Value, wish: &Wish) -> Value {
    let properties = schema.get("properties").and_then(Value::as_object);
    let has = |name: &str| properties.is_some_and(|fields| fields.contains_key(name));
    let target = ["path", "endpoint"].into_iter().find(|name| has(name)).unwrap_or("path");
    let mut input = Map::new();
    let split = has("params");
    let query =
        wish.query.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
    let whole = if split || query.is_empty() { wish.path.clone() } else { format!("{}?{query}", wish.path) };
    let declared = properties.and_then(|fields| fields.get(target));
    input.insert(target.to_owned(), Value::String(nearest(declared, &whole)));
    if split {
        let params = properties.and_then(|fields| fields.get("params"));
        input.insert("params".to_owned(), params_value(params, wish, &query));
    }
    fill_required(schema, &mut input);
    Value::Object(input)
}

/// The path itself, or the listed value most like it when the schema lists values.
fn nearest(declared: Option<&Value>, path: &str) -> String {
    let listed = declared.and_then(|field| field.get("enum")).and_then(Value::as_array);
    let Some(listed) = listed else { return path.to_owned() };
    let common = |candidate: &str| {
        candidate.bytes().zip(path.bytes()).take_while(|(left, right)| left == right).count()
    };
    listed
        .iter()
        .filter_map(Value::as_str)
        .max_by_key(|candidate| common(candidate))
        .map_or_else(|| path.to_owned(), str::to_owned)
}

fn params_value(declared: Option<&Value>, wish: &Wish, query: &str) -> Value {
    if declared.is_some_and(|field| field.get("type").and_then(Value::as_str) == Some("string")) {
        return Value::String(query.to_owned());
    }
    let known = declared.and_then(|field| field.get("properties")).and_then(Value::as_object);
    let mut params: Map<String, Value> = wish
        .query
        .iter()
        .filter(|(name, _)| known.is_none_or(|known| known.contains_key(*name)))
        .map(|(name, value)| ((*name).to_owned(), Value::String((*value).to_owned())))
        .collect();
    if let Some(declared) = declared {
        fill_required(declared, &mut params);
    }
    Value::Object(params)
}

/// Gives every required field that is still missing a neutral value of its type.
pub(super) fn fill_required(schema: &Value, object: &mut Map<String, Value>) {
    for name in
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    {
        if !object.contains_key(name) {
            let declared = schema.get("properties").and_then(|fields| fields.get(name));
            object.insert(name.to_owned(), declared.map_or(Value::Null, neutral));
        }
    }
}

fn neutral(schema: &Value) -> Value {
    if let Some(first) = schema.get("enum").and_then(Value::as_array).and_then(|listed| listed.first()) {
        return first.clone();
    }
    let kind = match schema.get("type") {
        Some(Value::String(kind)) => kind.as_str(),
        Some(Value::Array(kinds)) if kinds.iter().any(|kind| kind == "null") => "null",
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str).unwrap_or_default(),
        _ => "null",
    };
    match kind {
        "string" => json!("none"),
        "number" | "integer" => json!(0),
        "boolean" => json!(false),
        "array" => json!([]),
        "object" => {
            let mut object = Map::new();
            fill_required(schema, &mut object);
            Value::Object(object)
        }
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish() -> Wish {
        hourly_rsi("SOLUSDT", Tongue::English)
    }

    #[test]
    fn the_call_takes_the_shape_of_the_schema() {
        let path = json!({"properties": {"path": {"type": "string"}}, "required": ["path"]});
        assert_eq!(call_input(&path, &wish()), json!({"path": "/indicators/rsi/SOLUSDT?interval=1h"}));
        let endpoint = json!({"properties": {"endpoint": {"type": "string"}, "params": {"type": "object"}}});
        assert_eq!(
            call_input(&endpoint, &wish()),
            json!({"endpoint": "/indicators/rsi/SOLUSDT", "params": {"interval": "1h"}})
        );
    }

    #[test]
    fn required_fields_the_analyst_does_not_know_get_a_neutral_value() {
        let strict = json!({
            "properties": {
                "endpoint": {"type": "string"},
                "params": {"type": "object", "properties": {"interval": {"type": ["string", "null"]},
                           "limit": {"type": ["integer", "null"]}}, "required": ["interval", "limit"]},
                "note": {"type": "string"}},
            "required": ["endpoint", "params", "note"]});
        assert_eq!(
            call_input(&strict, &wish()),
            json!({"endpoint": "/indicators/rsi/SOLUSDT", "params": {"interval": "1h", "limit": null},
                   "note": "none"})
        );
    }
}
