//! The brief over hand-written sources: whole, with parts missing, and late.

use super::*;
use crate::domain::Interval;
use crate::market::indicators::{Bars, Indicator, to_float};
use crate::market::statistics::{TimeframeLine, timeframe};
use crate::market::test_sources::{Served, noon, symbol};

const DEADLINE: Duration = Duration::from_secs(20);

fn coins() -> Vec<Symbol> {
    vec![symbol("BTCUSDT"), symbol("ETHUSDT")]
}

fn failed(brief: &Brief) -> Vec<&str> {
    let failed = brief.sources.iter().filter(|source| source.error.is_some());
    failed.map(|source| source.name.as_str()).collect()
}

#[tokio::test]
async fn everything_of_the_cycle_is_there_and_each_datum_was_asked_for_once() {
    let served = Served::new();
    let brief = served.simsar().brief(&coins(), DEADLINE).await;
    let coin = &brief.coins[1];
    assert_eq!((coin.symbol.as_str(), coin.price.unwrap().to_string().as_str()), ("ETHUSDT", "66491.8"));
    assert_eq!((coin.candles_4h.len(), coin.candles_used, coin.funding_rate), (20, 498, Some(0.0001)));
    let all = [
        coin.rsi,
        coin.macd_line,
        coin.macd_signal,
        coin.macd_histogram,
        coin.adx,
        coin.bb_lower,
        coin.bb_middle,
        coin.bb_upper,
        coin.atr,
        coin.change_4h_pct,
        coin.change_24h_pct,
        coin.change_7d_pct,
    ];
    assert!(all.iter().all(Option::is_some), "{coin:?}");
    assert!(coin.bb_lower < coin.bb_middle && coin.bb_middle < coin.bb_upper);
    assert_eq!(brief.fear_greed.as_ref().unwrap().class, "Extreme Fear");
    assert_eq!((brief.news.crypto.len(), brief.calendar.len()), (2, 2));
    assert_eq!((brief.us30.as_ref().unwrap().price, brief.us30_candles.len()), (53277.01, 4));
    assert_eq!(brief.as_of, noon());
    assert_eq!(failed(&brief), [""; 0]);
    assert_eq!(brief.sources.len(), 2 * 9 + 7);
    assert!(brief.sources.iter().all(|source| source.as_of.is_some() && !source.stale));
    assert_eq!(served.requests().len(), 2 * 9 + 6 + 1, "and the funding intervals once");
}

#[tokio::test]
async fn indicators_and_changes_are_those_of_the_candles() {
    let simsar = Served::new().simsar();
    let brief = simsar.brief(&coins(), DEADLINE).await;
    let window = simsar.window(&coins()[0], Interval::Hour4).await.unwrap().value;
    assert_eq!(brief.coins[0].candles_4h, window.last(20));
    let closes: Vec<f64> = window.last(43).iter().map(|candle| to_float(candle.close.value())).collect();
    let expected = (closes[42] / closes[36] - 1.0) * 100.0;
    assert!((brief.coins[0].change_24h_pct.unwrap() - expected).abs() < 1e-12);
    let rsi = Indicator::Rsi { period: 14 }.over(&Bars::of(&window.candles)).unwrap()[0].last();
    assert_eq!(brief.coins[0].rsi, rsi);
}

#[tokio::test(start_paused = true)]
async fn each_dead_source_is_named_and_the_rest_arrives() {
    for (path, named) in [
        ("/fapi/v2/ticker/price", vec!["binance/price/BTCUSDT", "binance/price/ETHUSDT"]),
        ("/fapi/v1/premiumIndex", vec!["binance/funding-rate/BTCUSDT", "binance/funding-rate/ETHUSDT"]),
        (
            "/fapi/v1/klines",
            vec![
                "binance/klines/BTCUSDT/1h",
                "binance/klines/BTCUSDT/4h",
                "binance/klines/BTCUSDT/1d",
                "binance/klines/ETHUSDT/1h",
                "binance/klines/ETHUSDT/4h",
                "binance/klines/ETHUSDT/1d",
            ],
        ),
        (
            "/futures/data/openInterestHist",
            vec!["binance/open-interest/BTCUSDT", "binance/open-interest/ETHUSDT"],
        ),
        (
            "/futures/data/topLongShortAccountRatio",
            vec!["binance/top-trader-accounts/BTCUSDT", "binance/top-trader-accounts/ETHUSDT"],
        ),
        ("/fng/", vec!["alternative_me/fear-greed"]),
        ("/api/v1/news", vec!["finnhub/news/general", "finnhub/news/crypto", "finnhub/news/forex"]),
        ("/api/v1/calendar/economic", vec!["finnhub/calendar"]),
        ("/v8/finance/chart/%5EDJI", vec!["yahoo/us30"]),
    ] {
        for lie in ["<html>no</html>", "{}", "[]", "[[]]", "null", "{\"data\":5}", "[{\"x\""] {
            let served = Served::new();
            served.says(path, lie);
            let brief = served.simsar().brief(&coins(), DEADLINE).await;
            assert_eq!(failed(&brief), named, "{path} says {lie}");
            assert_eq!(brief.us30.is_none(), path.contains("DJI"), "{lie}");
            assert_eq!(brief.coins.len(), 2);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_source_costs_no_more_than_the_deadline() {
    let served = Served::new();
    served.falls_silent("/api/v1/");
    let begun = Instant::now();
    let brief = served.simsar().brief(&coins(), Duration::from_secs(3)).await;
    assert_eq!(begun.elapsed(), Duration::from_secs(3));
    assert!(brief.coins.iter().all(|coin| coin.price.is_some() && coin.rsi.is_some()));
    let silent = brief.sources.iter().find(|source| source.name == "finnhub/news/crypto").unwrap();
    assert_eq!(silent.error.as_deref(), Some("no answer within 3s"));
    assert!(brief.news.crypto.is_empty() && brief.fear_greed.is_some());
}

#[tokio::test]
async fn a_young_contract_has_the_indicators_its_history_allows() {
    let served = Served::new();
    let row = |bar: i64| {
        let open = noon().timestamp_millis() - (21 - bar) * 14_400_000;
        serde_json::json!([open, "10", "12", "9", "11", "1", open + 14_399_999])
    };
    served.says("/fapi/v1/klines", (0..20).map(row).collect::<serde_json::Value>().to_string());
    let brief = served.simsar().brief(&coins()[..1], DEADLINE).await;
    assert!(brief.coins[0].rsi.is_some() && brief.coins[0].adx.is_none());
    assert_eq!((brief.coins[0].candles_used, failed(&brief).len()), (20, 0), "young is not broken");
}

#[tokio::test]
async fn three_timeframes_returns_and_positions_are_those_of_what_was_read() {
    let served = Served::new();
    let interest = |hour: i64, contracts: &str| {
        serde_json::json!({ "symbol": "x", "sumOpenInterest": contracts, "sumOpenInterestValue": "6000000000",
            "timestamp": noon().timestamp_millis() - (24 - hour) * 3_600_000 })
    };
    let history: serde_json::Value =
        (0..25).map(|hour| interest(hour, if hour == 24 { "110" } else { "100" })).collect();
    served.says("/futures/data/openInterestHist", history.to_string());
    let simsar = served.simsar();
    let brief = simsar.brief(&coins(), DEADLINE).await;
    let [bitcoin, ether] = brief.coins.as_slice() else { panic!("two coins") };
    let intervals = [Interval::Hour1, Interval::Hour4, Interval::Day1];
    for (line, interval) in ether.timeframes.iter().zip(intervals) {
        let window = simsar.window(&coins()[1], interval).await.unwrap().value;
        assert_eq!(*line, timeframe(interval, &Bars::of(&window.candles)));
        let TimeframeLine { trend, rsi, to_low_pct, obv_slope_pct, .. } = line;
        assert!(trend.is_some() && rsi.is_some() && to_low_pct.is_some() && obv_slope_pct.is_some());
    }
    let hours = Bars::of(&simsar.window(&coins()[1], Interval::Hour1).await.unwrap().value.candles).close;
    let week = (hours[497] / hours[497 - 168] - 1.0) * 100.0;
    assert!(ether.returns_pct.iter().all(Option::is_some) && ether.returns_pct[3] == Some(week));
    assert!(ether.volatility_24h_pct.is_some() && ether.volatility_30d_pct.is_some());
    let held = ether.positioning;
    assert!((held.open_interest_24h_pct.unwrap() - 10.0).abs() < 1e-9);
    assert_eq!((held.open_interest_musdt, held.long_short_accounts), (Some(6000.0), Some(1.25)));
    assert!((bitcoin.correlation_btc.unwrap() - 1.0).abs() < 1e-9);
    assert!((bitcoin.beta_btc.unwrap() - 1.0).abs() < 1e-9);
    assert_eq!((bitcoin.funding_interval_h, ether.funding_interval_h), (Some(8), Some(4)));
}

#[tokio::test]
async fn a_headline_in_two_categories_is_told_once() {
    let brief = Served::new().simsar().brief(&coins(), DEADLINE).await;
    assert_eq!((brief.news.crypto.len(), brief.news.forex.len(), brief.news.general.len()), (2, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_refuses_is_named_and_takes_nobody_else_with_it() {
    for path in
        ["/fapi/v1/klines", "/fapi/v1/premiumIndex", "/fng/", "/api/v1/news", "/api/v1/calendar/economic"]
    {
        for (status, retry_after) in [(429, Some("30")), (418, None), (403, None), (503, None)] {
            let served = Served::new();
            served.answers(path, status, retry_after, "{\"msg\":\"no\"", usize::MAX);
            let brief = served.simsar().brief(&coins(), DEADLINE).await;
            assert!(!failed(&brief).is_empty(), "{path} {status}");
            assert!(brief.us30.is_some(), "{path} {status}");
            let of_binance = path.starts_with("/fapi");
            assert_eq!(brief.fear_greed.is_some(), !path.starts_with("/fng"), "{path} {status}");
            if !of_binance {
                assert!(brief.coins.iter().all(|coin| coin.price.is_some() && coin.rsi.is_some()));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_keeps_failing_rests_while_the_others_of_its_host_are_read() {
    let served = Served::new();
    served.answers("/fapi/v1/klines", 503, None, "", usize::MAX);
    let simsar = served.simsar();
    simsar.brief(&coins(), DEADLINE).await;
    let asked = |served: &Served| served.requests().iter().filter(|target| target.contains("klines")).count();
    let before = asked(&served);
    tokio::time::advance(Duration::from_secs(2)).await;
    served.clock.advance(chrono::Duration::seconds(2));
    let brief = simsar.brief(&coins(), DEADLINE).await;
    assert_eq!(asked(&served), before, "six failures in a row");
    let klines = brief.sources.iter().find(|source| source.name.contains("klines")).unwrap();
    assert!(klines.error.as_ref().unwrap().contains("failed too often"), "{klines:?}");
    assert!(brief.coins.iter().all(|coin| coin.price.is_some()));
}
