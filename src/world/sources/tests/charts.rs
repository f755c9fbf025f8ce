//! Yahoo's charts, FRED's file, and recorded figures in their place.

use super::*;

fn column(result: &Value, name: &str) -> Vec<f64> {
    result["indicators"]["quote"][0][name].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn times(result: &Value) -> Vec<i64> {
    result["timestamp"].as_array().unwrap().iter().map(|time| time.as_i64().unwrap() * 1000).collect()
}

async fn chart(path: &str) -> Value {
    let answer = json(path).await;
    assert_eq!(answer["chart"]["error"], Value::Null);
    assert_eq!(answer["chart"]["result"].as_array().unwrap().len(), 1);
    answer["chart"]["result"][0].clone()
}

fn assert_bars(result: &Value) {
    let [open, high, low, close, volume] =
        ["open", "high", "low", "close", "volume"].map(|name| column(result, name));
    let times = times(result);
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
    for number in 0..times.len() {
        assert!(low[number] <= open[number].min(close[number]), "bar {number}");
        assert!(high[number] >= open[number].max(close[number]), "bar {number}");
        assert!(volume[number] >= 0.0);
    }
    assert_eq!(close.len(), times.len());
}

#[tokio::test]
async fn a_chart_of_the_dow_has_yahoos_shape() {
    let result = chart("/v8/finance/chart/%5EDJI?interval=1d&range=1mo").await;
    assert_eq!(keys(&result), ["meta", "timestamp", "indicators"]);
    let meta = &result["meta"];
    for (key, value) in [
        ("currency", "USD"),
        ("symbol", "^DJI"),
        ("instrumentType", "INDEX"),
        ("timezone", "EST"),
        ("exchangeTimezoneName", "America/New_York"),
        ("dataGranularity", "1d"),
        ("range", "1mo"),
        ("source", BUILT_IN),
    ] {
        assert_eq!(meta[key], value);
    }
    assert_eq!(meta["gmtoffset"], -18_000);
    let regular = &meta["currentTradingPeriod"]["regular"];
    assert_eq!(regular["start"], at("2026-11-20T14:30:00Z") / 1000);
    assert_eq!(regular["end"], at("2026-11-20T21:00:00Z") / 1000);
    assert_eq!(meta["regularMarketTime"], at(NOW) / 1000);
    assert_bars(&result);
    let times = times(&result);
    assert!((20..=23).contains(&times.len()), "weekdays of a month: {}", times.len());
    assert_eq!(times.last(), Some(&at("2026-11-20T14:30:00Z")), "the running session is the last bar");
    let close = column(&result, "close");
    let price = meta["regularMarketPrice"].as_f64().unwrap();
    assert!((price - close[close.len() - 1]).abs() < 0.01);
    assert_eq!(result["indicators"]["adjclose"][0]["adjclose"], result["indicators"]["quote"][0]["close"]);
    assert!(meta["chartPreviousClose"].as_f64().unwrap() > 10_000.0);
}

#[tokio::test]
async fn the_index_trades_in_new_yorks_hours_and_the_futures_nearly_always() {
    let index = chart("/v8/finance/chart/%5EDJI?interval=1h&range=5d").await;
    assert_bars(&index);
    assert_eq!(times(&index).len(), 4 * 7 + 2, "four whole sessions and two bars of today's");
    assert_eq!(times(&index)[0], at("2026-11-16T14:30:00Z"));
    assert!(index["indicators"].get("adjclose").is_none());
    for symbol in ["YM=F", "GC=F"] {
        let future = chart(&format!("/v8/finance/chart/{symbol}?interval=60m&range=5d")).await;
        assert_bars(&future);
        assert!(times(&future).len() > 80, "{symbol}: {}", times(&future).len());
        let day = chart(&format!("/v8/finance/chart/{symbol}?interval=1d&range=5d")).await;
        assert_eq!(times(&day).last(), Some(&at("2026-11-20T05:00:00Z")), "a day is named by its midnight");
    }
}

#[tokio::test]
async fn at_a_weekend_the_last_session_stands() {
    let answer = json_at("/v8/finance/chart/%5EDJI?interval=1d&range=5d", "2026-11-22T12:00:00Z").await;
    let result = &answer["chart"]["result"][0];
    assert_eq!(times(result).len(), 5);
    assert_eq!(times(result)[4], at("2026-11-20T14:30:00Z"));
    assert_eq!(result["meta"]["regularMarketTime"], at("2026-11-20T21:00:00Z") / 1000);
    assert_eq!(result["meta"]["currentTradingPeriod"]["regular"]["end"], at("2026-11-20T21:00:00Z") / 1000);
}

#[tokio::test]
async fn closed_bars_stay_as_they_were_when_time_runs_on() {
    let path = format!(
        "/v8/finance/chart/%5EDJI?interval=1h&period1={}&period2={}",
        at("2026-11-18T00:00:00Z") / 1000,
        at("2026-11-20T15:00:00Z") / 1000
    );
    let early = json(&path).await;
    let late = json_at(&path, "2026-11-25T00:00:00Z").await;
    let (early, late) = (&early["chart"]["result"][0], &late["chart"]["result"][0]);
    assert_eq!(times(early), times(late));
    let whole = times(early).len() - 1;
    assert_eq!(column(early, "close")[..whole], column(late, "close")[..whole]);
}

#[tokio::test]
async fn fred_has_daily_closes_until_the_day_before() {
    let (status, kind, body) = get_at("/fredgraph.csv?id=DJIA&cosd=2026-11-12", NOW).await;
    assert_eq!((status, kind.as_str()), (StatusCode::OK, "application/csv"));
    let lines: Vec<&str> = body.lines().collect();
    assert_eq!(lines[0], "observation_date,DJIA");
    let dates: Vec<&str> = lines[1..].iter().map(|line| line.split_once(',').unwrap().0).collect();
    assert_eq!(dates, ["2026-11-12", "2026-11-13", "2026-11-16", "2026-11-17", "2026-11-18", "2026-11-19"]);
    let daily = chart("/v8/finance/chart/%5EDJI?interval=1d&range=1mo").await;
    let close = column(&daily, "close");
    assert_eq!(
        lines[6],
        format!("2026-11-19,{:.2}", close[close.len() - 2]),
        "both providers tell one story"
    );
}

#[tokio::test]
async fn recorded_figures_are_served_where_they_reach() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("daily_DJI.csv"),
        "date,symbol,open,high,low,close,change,volume\n\
         2026-11-18,^DJI,50000.25,50500.5,49800.75,50400.0,0.1,400000000\n\
         2026-11-19,^DJI,50400.0,50600.0,50100.0,50200.5,0.1,410000000\n\
         2026-11-20,^DJI,50210.0,50900.0,50150.0,50800.0,0.1,420000000\n",
    )
    .unwrap();
    std::fs::write(
        folder.path().join("crypto_fear_greed_daily.csv"),
        "date,timestamp,value,classification\n2026-11-19,1795046400,17.0,Extreme Fear\n2026-11-20,1795132800,44.0,Fear\n",
    )
    .unwrap();
    let files = MacroFiles::read(folder.path()).unwrap();
    let clock = Arc::new(ManualClock::new(NOW.parse().unwrap()));
    let router = router(Arc::new(RwLock::new(MARKET.clone())), clock.clone(), Some(files));
    let fetch = async |path: &str| -> Value {
        serde_json::from_str(&ask(router.clone(), path, None).await.2).unwrap()
    };
    let mood = fetch("/fng/?limit=2").await;
    assert_eq!(mood["data"][0]["value"], "44");
    assert_eq!(mood["data"][1]["value"], "17");
    assert_eq!(mood["metadata"]["source"], "macro files");
    assert_eq!(fetch("/fng/?limit=3").await["metadata"]["source"], BUILT_IN, "the third day is made up");
    let daily = fetch("/v8/finance/chart/%5EDJI?interval=1d&range=1mo").await["chart"]["result"][0].clone();
    assert_eq!(daily["meta"]["source"], "macro files");
    assert_eq!(times(&daily).len(), 3);
    assert_eq!(column(&daily, "close")[..2], [50_400.0, 50_200.5]);
    assert_eq!(column(&daily, "open")[2..], [50_210.0]);
    assert!(column(&daily, "high")[2] <= 50_900.0, "the running session shows what has happened");
    clock.set("2026-11-20T22:00:00Z".parse().unwrap());
    let evening = fetch("/v8/finance/chart/%5EDJI?interval=1d&range=1d").await["chart"]["result"][0].clone();
    assert_eq!(column(&evening, "high"), [50_900.0]);
    assert_eq!(evening["meta"]["regularMarketPrice"], 50_800.0);
    clock.set("2026-12-20T22:00:00Z".parse().unwrap());
    let later = fetch("/v8/finance/chart/%5EDJI?interval=1d&range=1d").await;
    assert_eq!(later["chart"]["result"][0]["meta"]["source"], BUILT_IN);
}

#[test]
fn unusable_recorded_figures_are_refused_with_a_place() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(MacroFiles::read(folder.path()), Err(MacroError::Empty { .. })));
    let file = folder.path().join("daily_DJI.csv");
    std::fs::write(&file, "date,symbol,open,high,low,close\n2026-11-20,^DJI,1,2,x,3\n").unwrap();
    let refusal = MacroFiles::read(folder.path()).unwrap_err().to_string();
    assert!(refusal.contains("daily_DJI.csv:2"), "{refusal}");
}

#[test]
fn the_dow_follows_bitcoin_in_part_and_gold_hardly() {
    let now = at(NOW);
    let sessions: Vec<(f64, f64)> = (1..380)
        .rev()
        .filter_map(|back| {
            let noon = at("2026-11-20T17:00:00Z") - back * 86_400_000;
            let (_, end) = crate::world::market::calendar_time::new_york_session(noon)?;
            let reference = crate::world::market::reference::Reference::Dow;
            let dow = MARKET.reference(reference, end - 60_000, end, now)?.close;
            Some((dow, MARKET.level(0, end)?))
        })
        .collect();
    let returns: Vec<(f64, f64)> =
        sessions.windows(2).map(|p| ((p[1].0 / p[0].0).ln(), (p[1].1 / p[0].1).ln())).collect();
    let count = returns.len() as f64;
    let (x, y) = returns.iter().fold((0.0, 0.0), |(x, y), r| (x + r.0 / count, y + r.1 / count));
    let (xx, yy, xy) = returns.iter().fold((0.0, 0.0, 0.0), |(xx, yy, xy), r| {
        (xx + (r.0 - x).powi(2), yy + (r.1 - y).powi(2), xy + (r.0 - x) * (r.1 - y))
    });
    let correlation = xy / (xx * yy).sqrt();
    let yearly = (xx / count * 252.0).sqrt();
    assert!((0.25..0.65).contains(&correlation), "real: 0.44; here {correlation:.2}");
    assert!((0.08..0.20).contains(&yearly), "real: 0.125; here {yearly:.3}");
}
