//! Each provider's wire against the shape its real answers have.

mod charts;
mod figures;
mod news;

use std::sync::{Arc, LazyLock, RwLock};

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use rust_decimal::Decimal;
use serde_json::Value;
use tower::ServiceExt;

use super::*;
use crate::domain::{ManualClock, Symbol};

const NOW: &str = "2026-11-20T15:47:10Z";

static MARKET: LazyLock<Market> = LazyLock::new(|| Market::synthetic(42, at(NOW)));

pub(super) fn at(text: &str) -> i64 {
    text.parse::<chrono::DateTime<chrono::Utc>>().unwrap().timestamp_millis()
}

/// An answer: status, content type, body.
pub(super) type Answer = (StatusCode, String, String);

async fn ask(router: Router, path: &str, token: Option<&str>) -> Answer {
    let mut request = Request::get(path);
    if let Some(token) = token {
        request = request.header("X-Finnhub-Token", token);
    }
    let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.headers()["x-source"], BUILT_IN);
    let status = response.status();
    let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, kind.unwrap_or_default(), String::from_utf8(body.to_vec()).unwrap())
}

/// Asks the built-in world of the tests at an instant.
pub(super) async fn get_at(path: &str, now: &str) -> Answer {
    let clock = Arc::new(ManualClock::new(now.parse().unwrap()));
    let mut market = MARKET.clone();
    market.extend_to(at(now));
    ask(router(Arc::new(RwLock::new(market)), clock, None), path, Some("key")).await
}

pub(super) async fn json_at(path: &str, now: &str) -> Value {
    let (status, kind, body) = get_at(path, now).await;
    assert_eq!(status, StatusCode::OK, "{path}: {body}");
    assert!(kind.starts_with("application/json"), "{kind}");
    serde_json::from_str(&body).unwrap()
}

pub(super) async fn json(path: &str) -> Value {
    json_at(path, NOW).await
}

pub(super) fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn unusable_values_are_refused_with_a_reason_and_never_a_server_error() {
    for (path, status, reason) in [
        ("/fng/?limit=many", 400, "limit"),
        ("/fng/?limit=-1", 400, "limit"),
        ("/fng/?date_format=mars", 400, "us, cn, kr, world"),
        ("/fng/?format=csv", 400, "json"),
        ("/api/v1/news", 422, "general, forex, crypto, merger"),
        ("/api/v1/news?category=sports", 422, "general, forex, crypto, merger"),
        ("/api/v1/news?category=crypto&minId=x", 422, "minId"),
        ("/api/v1/calendar/economic?from=2026-13-45", 400, "from"),
        ("/api/v1/calendar/economic?from=2026-11-22&to=2026-11-01", 400, "366"),
        ("/api/v1/calendar/economic?from=1000-01-01&to=9999-01-01", 400, "366"),
        ("/v8/finance/chart/AAPL", 404, "No data found"),
        ("/v8/finance/chart/%5EDJI?interval=7m", 422, "Valid intervals"),
        ("/v8/finance/chart/%5EDJI?range=forever", 422, "Valid ranges"),
        ("/v8/finance/chart/%5EDJI?period1=soon", 422, "unix seconds"),
        ("/v8/finance/chart/%5EDJI?period1=99999999999999999", 422, "unix seconds"),
        ("/rss/sports", 404, "general, crypto, forex"),
        ("/fredgraph.csv", 404, "DJIA"),
        ("/fredgraph.csv?id=GDP", 404, "DJIA"),
        ("/fredgraph.csv?id=DJIA&cosd=x", 400, "cosd"),
    ] {
        let (found, _, body) = get_at(path, NOW).await;
        assert_eq!(found.as_u16(), status, "{path}: {body}");
        assert!(body.contains(reason), "{path}: {body}");
    }
}

#[tokio::test]
async fn far_away_times_are_answered_empty() {
    for path in [
        "/v8/finance/chart/%5EDJI?period1=0&period2=1000&interval=1d",
        "/v8/finance/chart/GC=F?period1=99000000000&interval=1h",
        "/v8/finance/chart/GC=F?period1=-10000000000&period2=100000000000&interval=1d",
        "/fredgraph.csv?id=DJIA&cosd=9000-01-01",
        "/fredgraph.csv?id=DJIA&coed=0001-01-01",
        "/api/v1/news?category=merger&unknown=1",
    ] {
        let (status, _, body) = get_at(path, NOW).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
    }
}

#[tokio::test]
async fn finnhub_wants_any_token_in_the_query_or_the_header() {
    let clock = Arc::new(ManualClock::new(NOW.parse().unwrap()));
    let router = router(Arc::new(RwLock::new(MARKET.clone())), clock, None);
    for path in ["/api/v1/news?category=general", "/api/v1/calendar/economic"] {
        for (token, query, status) in [
            (None, "", 401),
            (Some("  "), "", 401),
            (Some("k"), "", 200),
            (None, "k", 200),
            (None, "%20", 401),
        ] {
            let glue = if path.contains('?') { '&' } else { '?' };
            let full = if query.is_empty() { path.to_owned() } else { format!("{path}{glue}token={query}") };
            let (found, _, body) = ask(router.clone(), &full, token).await;
            assert_eq!(found.as_u16(), status, "{full} {token:?}");
            assert_eq!(status == 401, body == r#"{"error":"Please use an API key."}"#);
        }
    }
}
