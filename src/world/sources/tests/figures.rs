//! Fear & Greed and the calendar.

use super::*;

#[tokio::test]
async fn fear_and_greed_speaks_in_strings_newest_first() {
    let answer = json("/fng/?limit=5").await;
    assert_eq!(answer["name"], "Fear and Greed Index");
    assert_eq!(answer["metadata"]["error"], Value::Null);
    assert_eq!(answer["metadata"]["source"], BUILT_IN);
    let rows = answer["data"].as_array().unwrap();
    assert_eq!(rows.len(), 5);
    for (number, row) in (0..).zip(rows) {
        assert_eq!(keys(row), ["value", "value_classification", "timestamp", "time_until_update"]);
        let day: i64 = row["timestamp"].as_str().unwrap().parse().unwrap();
        assert_eq!(day * 1000, at("2026-11-20T00:00:00Z") - number * 86_400_000);
        let value: i64 = row["value"].as_str().unwrap().parse().unwrap();
        assert!((3..=97).contains(&value));
        let class = row["value_classification"].as_str().unwrap();
        let bounds = match class {
            "Extreme Fear" => 0..=25,
            "Fear" => 26..=46,
            "Neutral" => 47..=54,
            "Greed" => 55..=75,
            "Extreme Greed" => 76..=100,
            other => panic!("{other}"),
        };
        assert!(bounds.contains(&value), "{value} {class}");
    }
    assert_eq!(rows[0]["time_until_update"], (8 * 3600 + 12 * 60 + 50).to_string());
    assert_eq!(rows[1]["time_until_update"], "");
}

#[tokio::test]
async fn fear_and_greed_defaults_to_one_row_and_tells_all_with_zero() {
    assert_eq!(json("/fng/").await["data"].as_array().unwrap().len(), 1);
    assert_eq!(json("/fng").await["data"].as_array().unwrap().len(), 1);
    let all = json("/fng/?limit=0&date_format=world").await;
    let rows = all["data"].as_array().unwrap();
    assert!(rows.len() > 400, "{}", rows.len());
    assert_eq!(rows[0]["timestamp"], "20-11-2026");
    let values: Vec<f64> = rows.iter().map(|row| row["value"].as_str().unwrap().parse().unwrap()).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let spread = (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / values.len() as f64).sqrt();
    let step = values.windows(2).map(|pair| (pair[0] - pair[1]).powi(2)).sum::<f64>() / values.len() as f64;
    assert!((8.0..30.0).contains(&spread), "real: 22.6; here {spread:.1}");
    assert!((2.5..9.0).contains(&step.sqrt()), "real: 5.9 a day; here {:.1}", step.sqrt());
}

#[tokio::test]
async fn fear_and_greed_of_a_day_does_not_change_while_the_day_runs() {
    let morning = json_at("/fng/?limit=3", "2026-11-20T00:00:00Z").await;
    let night = json_at("/fng/?limit=3", "2026-11-20T23:59:59Z").await;
    for row in 0..3 {
        assert_eq!(morning["data"][row]["value"], night["data"][row]["value"]);
        assert_eq!(morning["data"][row]["timestamp"], night["data"][row]["timestamp"]);
    }
}

#[tokio::test]
async fn finnhubs_calendar_has_results_only_for_what_is_out() {
    let answer = json("/api/v1/calendar/economic?from=2026-11-01&to=2026-12-31").await;
    let rows = answer["economicCalendar"].as_array().unwrap();
    assert!(rows.len() > 20);
    for row in rows {
        assert_eq!(
            keys(row),
            ["actual", "country", "estimate", "event", "impact", "prev", "time", "unit", "source"]
        );
        let time = row["time"].as_str().unwrap();
        assert!(chrono::NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M:%S").is_ok(), "{time}");
        assert!(["high", "medium", "low"].contains(&row["impact"].as_str().unwrap()));
        assert_eq!(row["actual"].is_number(), time <= "2026-11-20 15:47:10", "{row}");
        assert!(row["prev"].is_number() && row["estimate"].is_number());
    }
    let times: Vec<&str> = rows.iter().map(|row| row["time"].as_str().unwrap()).collect();
    assert!(times.is_sorted());
    let payrolls: Vec<&Value> =
        rows.iter().filter(|row| row["event"] == "Non-Farm Employment Change").collect();
    assert_eq!(payrolls.len(), 2);
    assert_eq!(payrolls[0]["time"], "2026-11-06 13:30:00");
    assert_eq!(payrolls[1]["prev"], payrolls[0]["actual"], "what was the result is what was before");
}

#[tokio::test]
async fn the_free_calendar_shows_this_week_in_new_yorks_time_without_results() {
    let answer = json("/ff_calendar_thisweek.json").await;
    let rows = answer.as_array().unwrap();
    assert!(rows.len() >= 2);
    for row in rows {
        assert_eq!(keys(row), ["title", "country", "date", "impact", "forecast", "previous", "source"]);
        let date = chrono::DateTime::parse_from_rfc3339(row["date"].as_str().unwrap()).unwrap();
        assert_eq!(date.offset().local_minus_utc(), -5 * 3600);
        assert!(date.timestamp_millis() >= at("2026-11-15T00:00:00Z"));
        assert!(date.timestamp_millis() < at("2026-11-22T00:00:00Z"));
        assert!(["High", "Medium", "Low"].contains(&row["impact"].as_str().unwrap()));
        assert!(row["forecast"].is_string());
    }
    let summer = json_at("/ff_calendar_thisweek.json", "2027-07-01T00:00:00Z").await;
    assert!(summer[0]["date"].as_str().unwrap().ends_with("-04:00"));
}
