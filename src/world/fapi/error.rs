//! Errors as the exchange answers them: a status, a code, a sentence.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

use crate::world::engine::Refusal;

/// A refusal on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub status: StatusCode,
    pub code: i32,
    pub message: Cow<'static, str>,
    /// Seconds for the `Retry-After` header.
    pub retry_after: Option<i64>,
}

impl ApiError {
    pub fn new(code: i32, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, message: message.into(), retry_after: None }
    }

    pub fn unauthorized(code: i32, message: &'static str) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, ..Self::new(code, message) }
    }

    pub fn missing(name: &str) -> Self {
        Self::new(-1102, format!("Mandatory parameter '{name}' was not sent, was empty/null, or malformed."))
    }

    pub fn illegal(name: &str, range: &str) -> Self {
        Self::new(-1100, format!("Illegal characters found in parameter '{name}'; legal range is '{range}'."))
    }

    pub fn invalid(name: &str) -> Self {
        Self::new(-1130, format!("Data sent for parameter '{name}' is not valid."))
    }

    pub fn body(&self) -> serde_json::Value {
        json!({"code": self.code, "msg": self.message})
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.code, refusal.message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, axum::Json(self.body())).into_response()
    }
}
