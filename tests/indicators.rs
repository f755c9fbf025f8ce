//! Our indicators against TA-Lib's own output on six made cases.

use jarvis::market::indicators::{Bars, Indicator};
use serde_json::Value;

fn column(case: &Value, name: &str) -> Vec<f64> {
    case[name].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

/// The reference's names of an indicator's outputs, in our order.
fn reference_names(name: &str) -> Vec<&str> {
    match name {
        "macd" => vec!["macd", "macds", "macdh"],
        "bbands" => vec!["bbl", "bbm", "bbu"],
        "stoch" => vec!["stk", "std"],
        other => vec![other],
    }
}

#[test]
fn every_indicator_agrees_with_ta_lib_bar_by_bar() {
    let text = include_str!("indicators_reference_synth.json");
    let reference: Value = serde_json::from_str(text).unwrap();
    let cases = reference["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 6);
    let mut compared = 0;
    for case in cases {
        let bars = Bars {
            high: column(case, "high"),
            low: column(case, "low"),
            close: column(case, "close"),
            volume: column(case, "volume"),
        };
        for name in Indicator::NAMES {
            let lines = Indicator::named(name).unwrap().over(&bars).unwrap();
            let expected_names = reference_names(name);
            assert_eq!(lines.len(), expected_names.len());
            for (line, expected_name) in lines.iter().zip(expected_names) {
                let expected = case["expected"][expected_name].as_array().unwrap();
                let largest = expected.iter().filter_map(Value::as_f64).fold(1.0_f64, |a, b| a.max(b.abs()));
                assert_eq!(line.values.len(), expected.len());
                for (bar, (ours, theirs)) in line.values.iter().zip(expected).enumerate() {
                    let what = format!("{} {expected_name} bar {bar}: {ours:?} {theirs}", case["name"]);
                    match (ours, theirs.as_f64()) {
                        (None, None) => {}
                        (Some(ours), Some(theirs)) => {
                            assert!((ours - theirs).abs() <= 1e-9 * largest, "{what}");
                            compared += 1;
                        }
                        _ => panic!("{what}"),
                    }
                }
            }
        }
    }
    assert!(compared > 15_000, "only {compared} values compared");
}
