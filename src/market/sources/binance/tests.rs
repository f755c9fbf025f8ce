//! The exchange as it really answers, and as it lies.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::market::test_sources::{Served, close_of, noon, symbol};

const KLINES: &str = "/fapi/v1/klines";

#[tokio::test]
async fn the_running_candle_is_dropped_and_the_window_is_full_without_it() {
    let served = Served::new();
    let window = served.simsar().window(&symbol("BTCUSDT"), Interval::Hour4).await.unwrap().value;
    assert_eq!((window.candles.len(), window.refused.len()), (498, 0));
    let last = window.candles.last().unwrap();
    assert_eq!(last.open_time, "2026-03-02T04:00:00Z".parse::<Timestamp>().unwrap().timestamp_millis());
    assert_eq!(last.close.to_string(), format!("{}.5", close_of(last.open_time / 14_400_000)));
    assert_eq!(last.close.value().scale(), 2, "the digits of the wire are kept");
}

#[tokio::test]
async fn fifteen_hundred_closed_candles_take_one_more_request() {
    let served = Served::new();
    let simsar = served.simsar();
    let window = simsar.closed_candles(&symbol("BTCUSDT"), Interval::Minute1, 1500).await.unwrap().value;
    assert_eq!(window.candles.len(), 1500);
    assert!(window.candles.windows(2).all(|pair| pair[1].open_time - pair[0].open_time == 60_000));
    assert_eq!(served.requests().len(), 2);
}

fn row(open_time: i64, open: &str, high: &str, low: &str, close: &str) -> Value {
    json!([open_time, open, high, low, close, "1.5", open_time + 14_399_999, "0", 1, "0", "0", "0"])
}

#[tokio::test]
async fn impossible_candles_are_refused_and_nothing_is_computed_across_them() {
    let start = noon().timestamp_millis() - 40 * 14_400_000;
    let at = |bar: i64| start + bar * 14_400_000;
    for bad in [
        row(at(1), "10", "9", "8", "10"),
        row(at(1), "10", "NaN", "8", "9"),
        row(at(1), "10", "11", "0", "9"),
        row(at(0), "10", "11", "9", "10"),
        json!([at(1), "10", null, "9", "10", "1", at(2) - 1]),
        json!([at(1), "10", "11", "9", "10", "-1", at(2) - 1]),
        json!([at(1), "10", "11", "9", "10", "1", at(1) - 1]),
        json!([i64::MAX, "10", "11", "9", "10", "1", at(1)]),
        json!("not a row"),
    ] {
        let served = Served::new();
        let good = |bar| row(at(bar), "10", "12", "9", "11");
        served.says(KLINES, json!([good(0), bad, good(2), good(3)]).to_string());
        let reading = served.simsar().window(&symbol("BTCUSDT"), Interval::Hour4).await.unwrap();
        let times: Vec<_> = reading.value.candles.iter().map(|candle| candle.open_time).collect();
        assert_eq!(times, [at(2), at(3)], "{bad}");
        assert_eq!(reading.value.refused.len(), 1);
        assert!(reading.note.unwrap().contains("1 candle(s) refused"), "{bad}");
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_no_answers_name_the_source_and_say_why() {
    for (status, body, said) in [
        (200, "<html><body>Request denied</body></html>", "web page"),
        (200, "", "empty body"),
        (200, "{\"symbol\":\"BTCUSDT\",\"pri", "not the JSON"),
        (200, "{\"symbol\":\"BTCUSDT\",\"price\":\"0.00\",\"time\":1}", "no price"),
        (200, "[1,2,3]", "not the JSON"),
        (500, "Internal \u{1b}[31merror", "HTTP 500"),
        (503, "{\"code\":-1001,\"msg\":\"Internal error\"}", "-1001: Internal error"),
        (403, "<html>", "no access"),
    ] {
        let served = Served::new();
        served.answers("/fapi/v2/ticker/price", status, None, body, usize::MAX);
        let error = served.simsar().price(&symbol("BTCUSDT")).await.unwrap_err().to_string();
        assert!(error.starts_with("binance: ") && error.contains(said), "{body}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_the_source_is_tried_again_and_one_of_ours_is_not() {
    let served = Served::new();
    served.answers("/fapi/v2/ticker/price", 502, None, "", 2);
    assert!(served.simsar().price(&symbol("BTCUSDT")).await.is_ok());
    assert_eq!(served.requests().len(), 3);

    let served = Served::new();
    let unknown = "{\"code\":-1121,\"msg\":\"Invalid symbol.\"}";
    served.answers("/fapi/v2/ticker/price", 400, None, unknown, usize::MAX);
    let error = served.simsar().price(&symbol("BTCUSDT")).await.unwrap_err();
    assert!(error.is_unknown_symbol());
    assert_eq!(served.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_long_pause_asked_for_is_kept_by_everybody_and_a_short_one_is_waited_out() {
    for status in [429, 418] {
        let served = Served::new();
        let simsar = served.simsar();
        served.answers("/fapi/v2/ticker/price", status, Some("30"), "", 1);
        let error = simsar.price(&symbol("BTCUSDT")).await.unwrap_err();
        assert!(error.to_string().contains("wait 30 s"), "{error}");
        assert!(simsar.premium(&symbol("ETHUSDT")).await.is_err());
        assert_eq!(served.requests().len(), 1, "nothing was sent during the pause");
        tokio::time::advance(Duration::from_secs(31)).await;
        assert!(simsar.price(&symbol("BTCUSDT")).await.is_ok());
    }
    let served = Served::new();
    served.answers("/fapi/v2/ticker/price", 429, Some("1"), "", 1);
    assert!(served.simsar().price(&symbol("BTCUSDT")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_pause_without_a_length_lasts_a_minute() {
    let served = Served::new();
    served.answers("/fapi/v2/ticker/price", 418, None, "", 1);
    let error = served.simsar().price(&symbol("BTCUSDT")).await.unwrap_err();
    assert!(error.to_string().contains("wait 60 s"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_minute_nearly_used_up_is_waited_out_before_the_exchange_bans() {
    let served = Served::new();
    let simsar = served.simsar();
    for (weight, then) in [("2279", true), ("nonsense", true), ("2280", false)] {
        served.uses_weight(weight);
        assert!(simsar.premium(&symbol("BTCUSDT")).await.is_ok(), "{weight}");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(simsar.price(&symbol("ETHUSDT")).await.is_ok(), then, "{weight}");
        tokio::time::advance(Duration::from_secs(2)).await;
    }
    let health = health(&simsar).await;
    assert_eq!((&health["used_weight_1m"], &health["paused_s"]), (&json!(2280), &json!(6)));
    served.uses_weight("40");
    tokio::time::advance(Duration::from_secs(7)).await;
    assert!(simsar.price(&symbol("ETHUSDT")).await.is_ok());
}

/// What `/health` says about the exchange.
async fn health(simsar: &crate::market::Simsar) -> Value {
    use http_body_util::BodyExt;
    use tower::ServiceExt;
    let request = http::Request::get("/health").body(axum::body::Body::empty()).unwrap();
    let body = simsar.router().oneshot(request).await.unwrap().into_body().collect().await.unwrap();
    let health: Value = serde_json::from_slice(&body.to_bytes()).unwrap();
    health["sources"][0].clone()
}

#[tokio::test]
async fn ratios_are_sorted_whether_their_times_are_text_or_numbers() {
    let served = Served::new();
    let ratios =
        served.simsar().long_short(RatioKind::AllAccounts, &symbol("BTCUSDT"), "1h", 2).await.unwrap();
    assert_eq!(ratios.value.iter().map(|r| r.ratio.to_string()).collect::<Vec<_>>(), ["1.1000", "1.2500"]);
    assert_eq!(ratios.as_of, ratios.value[1].time);
}

#[tokio::test]
async fn no_ratio_is_an_error_and_an_absent_funding_rate_is_not_zero() {
    let served = Served::new();
    served.says("/futures/data/topLongShortPositionRatio", "[]");
    let simsar = served.simsar();
    assert!(simsar.long_short(RatioKind::TopPositions, &symbol("BTCUSDT"), "1h", 2).await.is_err());
    served.says(
        "/fapi/v1/premiumIndex",
        "{\"markPrice\":\"7.5\",\"lastFundingRate\":\"\",\"nextFundingTime\":0}",
    );
    let premium = simsar.premium(&symbol("BTCUSDT")).await.unwrap().value;
    assert_eq!((premium.funding_rate, premium.next_funding), (None, None));
}
