//! The OpenAPI document, made from the same tables that answer: the paths, the contracts, and the limits of every
//! parameter.

use serde_json::json;
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem, PathsBuilder,
};
use utoipa::openapi::schema::{ArrayBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, ObjectBuilder, OpenApi, OpenApiBuilder, Ref, RefOr,
    Required, ResponseBuilder,
};

use super::params::{Kind, parameters_of};
use super::route::{SYMBOL, other_paths, tool_paths};
use crate::domain::Symbol;

/// The document. `symbols` are the allowed contracts; empty allows every well-spelled one.
pub(super) fn document(symbols: &[Symbol]) -> OpenApi {
    let mut paths = PathsBuilder::new();
    for path in other_paths().map(str::to_owned).into_iter().chain(tool_paths()) {
        let item = PathItem::new(HttpMethod::Get, operation(&path, symbols));
        paths = paths.path(path, item);
    }
    let components = ComponentsBuilder::new()
        .schema("Refused", refusal(&[]))
        .schema("NoSuchPath", refusal(&["nearest"]))
        .schema("SourceFailed", refusal(&["upstream"]));
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("simsar")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some("Market data with source and age. Times are UTC; prices are decimal text."))
                .build(),
        )
        .paths(paths)
        .components(Some(components.build()))
        .build()
}

fn operation(path: &str, symbols: &[Symbol]) -> Operation {
    let mut operation = OperationBuilder::new()
        .operation_id(Some(operation_id(path)))
        .summary(Some(summary(path)))
        .response("200", json_response("The datum, where it comes from, and how old it is.", answer(path)))
        .response("400", json_response("A symbol or parameter is not allowed.", reference("Refused")));
    if !other_paths().contains(&path) || path == "/brief" {
        operation = operation
            .response("404", json_response("No such path.", reference("NoSuchPath")))
            .response("502", json_response("The source gave nothing usable.", reference("SourceFailed")));
    }
    if path.contains(SYMBOL) {
        operation = operation.parameter(symbol_parameter(symbols));
    }
    for (name, kind) in parameters_of(path) {
        operation = operation.parameter(query_parameter(name, kind));
    }
    operation.build()
}

fn operation_id(path: &str) -> String {
    let words: Vec<_> = path.trim_matches('/').split(['/', '-']).filter(|word| *word != SYMBOL).collect();
    if words == [""] { "index".to_owned() } else { words.join("_").replace('.', "_") }
}

fn summary(path: &str) -> String {
    match path.trim_start_matches('/').split('/').collect::<Vec<_>>().as_slice() {
        [""] => "Which paths there are".to_owned(),
        ["indicators", "macd", _] => "MACD on closed candles; the shorter period is the fast one".to_owned(),
        ["indicators", "obv", _] => {
            "OBV on closed candles, and its slope: the level means nothing".to_owned()
        }
        ["indicators", name, _] => format!("{} on closed candles", name.to_uppercase()),
        words => words.iter().filter(|word| **word != SYMBOL).copied().collect::<Vec<_>>().join(" "),
    }
}

fn symbol_parameter(symbols: &[Symbol]) -> Parameter {
    let text = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String));
    let schema = if symbols.is_empty() {
        text.pattern(Some("^[A-Z0-9]{2,20}$"))
    } else {
        text.enum_values(Some(symbols.iter().map(|symbol| json!(symbol))))
    };
    ParameterBuilder::new()
        .name("symbol")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .schema(Some(Schema::Object(schema.build())))
        .build()
}

fn query_parameter(name: &str, kind: &Kind) -> Parameter {
    let of = |of: Type| ObjectBuilder::new().schema_type(SchemaType::Type(of));
    let schema = match kind {
        Kind::Whole(least, most) => {
            of(Type::Integer).minimum(Some(f64::from(*least))).maximum(Some(f64::from(*most)))
        }
        Kind::Positive(most) => of(Type::Number).exclusive_minimum(Some(0.0)).maximum(Some(*most)),
        Kind::Words(words) => of(Type::String).enum_values(Some(words().into_iter().map(|word| json!(word)))),
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .schema(Some(Schema::Object(schema.build())))
        .build()
}

fn typed(of: Type) -> Schema {
    Schema::Object(ObjectBuilder::new().schema_type(SchemaType::Type(of)).build())
}

fn nullable_number() -> Schema {
    let types = SchemaType::from_iter([Type::Number, Type::Null]);
    Schema::Object(ObjectBuilder::new().schema_type(types).build())
}

fn list() -> Schema {
    Schema::Array(ArrayBuilder::new().items(RefOr::T(typed(Type::Object))).build())
}

/// The four fields every answer begins with, and those that make this one.
fn answer(path: &str) -> RefOr<Schema> {
    if path == "/openapi.json" {
        return RefOr::T(typed(Type::Object));
    }
    let mut fields = vec![
        ("source", typed(Type::String)),
        ("as_of", typed(Type::String)),
        ("stale", typed(Type::Boolean)),
        ("age_s", typed(Type::Integer)),
    ];
    match path.trim_start_matches('/').split('/').collect::<Vec<_>>().as_slice() {
        ["health"] => fields.push(("sources", list())),
        ["brief"] => fields.extend([("coins", list()), ("sources", list()), ("calendar", list())]),
        ["price", _] => fields.push(("price", typed(Type::String))),
        ["candles", _] | ["macro", "us30", "candles"] => fields.push(("candles", list())),
        ["indicators", "macd", _] => {
            fields.extend(["line", "signal", "histogram"].map(|name| (name, nullable_number())));
        }
        ["indicators", "bbands", _] => {
            fields.extend(["lower", "middle", "upper"].map(|name| (name, nullable_number())));
        }
        ["indicators", "stoch", _] => fields.extend(["k", "d"].map(|name| (name, nullable_number()))),
        ["indicators", ..] => fields.push(("value", nullable_number())),
        ["futures", "open-interest", _] => fields.push(("open_interest", typed(Type::String))),
        ["futures", "long-short-ratio" | "top-trader-ratio", _] => {
            fields.push(("ratio", typed(Type::String)));
        }
        ["fear-greed"] => fields.push(("value", typed(Type::Integer))),
        ["news", _] => fields.push(("headlines", list())),
        ["calendar"] => fields.push(("entries", list())),
        ["macro", "us30"] => fields.push(("price", typed(Type::Number))),
        _ => {}
    }
    let object = fields
        .into_iter()
        .fold(ObjectBuilder::new(), |object, (name, schema)| object.property(name, schema).required(name));
    RefOr::T(Schema::Object(object.build()))
}

/// What went wrong and what is allowed instead.
fn refusal(more: &[&str]) -> Schema {
    let object = more.iter().fold(
        ObjectBuilder::new()
            .property("error", typed(Type::String))
            .required("error")
            .property(
                "allowed",
                Schema::Object(ObjectBuilder::new().schema_type(SchemaType::AnyValue).build()),
            )
            .required("allowed"),
        |object, name| object.property(*name, typed(Type::String)).required(*name),
    );
    Schema::Object(object.build())
}

fn reference(name: &str) -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(name))
}

fn json_response(description: &str, schema: RefOr<Schema>) -> utoipa::openapi::Response {
    ResponseBuilder::new()
        .description(description)
        .content("application/json", ContentBuilder::new().schema(Some(schema)).build())
        .build()
}
