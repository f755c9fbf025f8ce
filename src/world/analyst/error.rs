//! Refusals in the shape of the Messages API.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// Why a request was refused: a status, the API's word for it and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    /// HTTP status.
    pub status: StatusCode,
    /// The API's word, such as `invalid_request_error`.
    pub kind: &'static str,
    /// What is wrong and where.
    pub message: String,
    /// A finer word beside it, for the few errors that have one.
    pub code: Option<&'static str>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    r#type: &'static str,
    error: ErrorDetail<'a>,
    request_id: &'a str,
}

#[derive(Serialize)]
struct ErrorDetail<'a> {
    r#type: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
}

#[derive(Serialize)]
struct Details {
    error_code: &'static str,
}

impl ApiError {
    /// 400: the request breaks a rule of the API.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            kind: "invalid_request_error",
            message: message.into(),
            code: None,
        }
    }

    /// 401: no key.
    pub fn authentication() -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            kind: "authentication_error",
            message: "no key: send any non-empty x-api-key or Authorization: Bearer header".to_owned(),
            code: None,
        }
    }

    /// 404: unknown path or model.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, kind: "not_found_error", message: message.into(), code: None }
    }

    /// 405: known path, wrong method.
    pub fn method_not_allowed() -> Self {
        Self {
            status: StatusCode::METHOD_NOT_ALLOWED,
            kind: "invalid_request_error",
            message: "this path does not take that method".to_owned(),
            code: None,
        }
    }

    /// 413: the body is over the limit.
    pub fn too_large() -> Self {
        Self {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            kind: "request_too_large",
            message: "the request is larger than 32 MB".to_owned(),
            code: None,
        }
    }

    /// 529: too many ask at once.
    pub fn overloaded() -> Self {
        let status = StatusCode::from_u16(529).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        Self { status, kind: "overloaded_error", message: "Overloaded".to_owned(), code: None }
    }

    /// 429 for want of money; it has no `retry-after`.
    pub fn spend_limit() -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            kind: "rate_limit_error",
            message: "the built-in analyst was told that its spend limit is reached".to_owned(),
            code: Some("enforced_spend_limit_reached"),
        }
    }

    /// The error as JSON text, as it stands in the middle of a stream.
    pub fn json(&self, request_id: &str) -> String {
        serde_json::to_string(&self.body(request_id)).unwrap_or_default()
    }

    fn body<'a>(&'a self, request_id: &'a str) -> ErrorBody<'a> {
        ErrorBody {
            r#type: "error",
            error: ErrorDetail {
                r#type: self.kind,
                message: &self.message,
                details: self.code.map(|error_code| Details { error_code }),
            },
            request_id,
        }
    }

    /// The answer on the wire; the id stands in the header and in the body.
    pub fn respond(&self, request_id: &str) -> Response {
        let mut response = (self.status, axum::Json(self.body(request_id))).into_response();
        if let Ok(value) = HeaderValue::from_str(request_id) {
            response.headers_mut().insert("request-id", value);
        }
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }
}
