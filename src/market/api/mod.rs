//! The REST face: one way from a path to an answer, whether it comes over TCP, from the prefetch or from the
//! model's tool.

mod answers;
mod health;
mod openapi;
mod params;
mod route;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, Uri, header};
use serde_json::{Map, Value, json};

use crate::domain::Untrusted;

use super::error::SourceError;
use super::simsar::Simsar;

use route::Target;
pub use route::tool_paths;

/// A complete answer: HTTP status and a JSON body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolAnswer {
    /// HTTP status.
    pub status: u16,
    /// JSON.
    pub body: Bytes,
}

/// Why a request has no data to show.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// 400: a parameter or a symbol is not allowed.
    Parameter { error: String, allowed: Value },
    /// 404: no such path.
    Path { asked: String, nearest: String, allowed: Vec<String> },
    /// 502: the source gave nothing usable.
    Upstream(SourceError),
    /// 500: the arithmetic refused; a defect of ours.
    Internal(String),
}

impl From<SourceError> for Refusal {
    fn from(error: SourceError) -> Self {
        if error.is_unknown_symbol() {
            Self::Parameter {
                error: error.to_string(),
                allowed: json!("a contract the exchange lists, such as BTCUSDT"),
            }
        } else {
            Self::Upstream(error)
        }
    }
}

impl Refusal {
    fn answer(self) -> ToolAnswer {
        let (status, body) = match self {
            Self::Parameter { error, allowed } => {
                (StatusCode::BAD_REQUEST, json!({ "error": error, "allowed": allowed }))
            }
            Self::Path { asked, nearest, allowed } => (
                StatusCode::NOT_FOUND,
                json!({
                    "error": format!("there is no path {}; the nearest is {nearest}", shown(&asked)),
                    "nearest": nearest,
                    "allowed": allowed,
                }),
            ),
            Self::Upstream(error) => (
                StatusCode::BAD_GATEWAY,
                json!({ "error": error.to_string(), "upstream": error.upstream(), "allowed": [] }),
            ),
            Self::Internal(error) => {
                (StatusCode::INTERNAL_SERVER_ERROR, json!({ "error": error, "allowed": [] }))
            }
        };
        ToolAnswer::of(status, &body)
    }
}

/// What a caller wrote, fit to be shown.
fn shown(text: &str) -> String {
    Untrusted::new(text).line(80)
}

impl ToolAnswer {
    fn of(status: StatusCode, body: &Value) -> Self {
        Self { status: status.as_u16(), body: Bytes::from(body.to_string()) }
    }
}

impl IntoResponse for ToolAnswer {
    fn into_response(self) -> axum::response::Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        (status, kind, self.body).into_response()
    }
}

impl Simsar {
    /// Every path of market data, and `/`, `/health`, `/symbols`, `/openapi.json`, `/brief`. GET only.
    pub fn router(&self) -> axum::Router {
        axum::Router::new()
            .route("/", get(over_http))
            .route("/{*path}", get(over_http))
            .method_not_allowed_fallback(only_get)
            .with_state(self.clone())
    }

    /// Answers a path of market data within this process. Nothing else is reachable this way.
    ///
    /// A query that stands in `path` counts as well. Parameters are plain text, not percent-encoded.
    pub async fn call(&self, path: &str, query: &[(String, String)]) -> ToolAnswer {
        let (path, in_path) = path.split_once('?').unwrap_or((path, ""));
        let mut pairs: Vec<(String, String)> = in_path
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        pairs.extend_from_slice(query);
        match Target::find(path, self.symbols()) {
            Ok(target) if target.is_for_tool() => self.answer(target, &pairs).await,
            Ok(_) => Target::unknown(path).answer(),
            Err(refusal) => refusal.answer(),
        }
    }

    async fn answer(&self, target: Target, query: &[(String, String)]) -> ToolAnswer {
        match answers::build(self, target, query).await {
            Ok(body) => ToolAnswer::of(StatusCode::OK, &Value::Object(body)),
            Err(refusal) => refusal.answer(),
        }
    }
}

async fn over_http(
    State(simsar): State<Simsar>,
    uri: Uri,
    query: Result<axum::extract::Query<Vec<(String, String)>>, axum::extract::rejection::QueryRejection>,
) -> ToolAnswer {
    let Ok(axum::extract::Query(query)) = query else {
        return Refusal::Parameter {
            error: "the query string is not readable".to_owned(),
            allowed: json!("name=value pairs joined by &"),
        }
        .answer();
    };
    match Target::find(uri.path(), simsar.symbols()) {
        Ok(target) => simsar.answer(target, &query).await,
        Err(refusal) => refusal.answer(),
    }
}

async fn only_get(method: Method) -> ToolAnswer {
    let body = json!({ "error": format!("{method} is not answered here"), "allowed": ["GET"] });
    ToolAnswer::of(StatusCode::METHOD_NOT_ALLOWED, &body)
}

/// A JSON object in the order it is written.
pub(crate) type Object = Map<String, Value>;

#[cfg(test)]
mod tests;
