//! Our indicators against TA-Lib's own output on six made cases.

#![expect(clippy::unwrap_used, reason = "a malformed reference file should fail the test")]

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

/// Bars and values: one case gives every bar in a list, the others some bars by their number.
fn expected_values(series: &Value) -> Vec<(usize, Option<f64>)> {
    match series {
        Value::Array(values) => values.iter().map(Value::as_f64).enumerate().collect(),
        Value::Object(values) => {
            values.iter().map(|(bar, value)| (bar.parse().unwrap(), value.as_f64())).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn every_indicator_agrees_with_ta_lib_bar_by_bar() {
    let reference: Value = serde_json::from_str(include_str!("indicators_reference_synth.json")).unwrap();
    let cases = reference["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 6);
    for case in cases {
        let bars = Bars {
            high: column(case, "high"),
            low: column(case, "low"),
            close: column(case, "close"),
            volume: column(case, "volume"),
        };
        for name in Indicator::NAMES {
            let lines = Indicator::named(name).unwrap().over(&bars).unwrap();
            let reference_names = reference_names(name);
            assert_eq!(lines.len(), reference_names.len());
            for (line, reference_name) in lines.iter().zip(reference_names) {
                let expected = expected_values(&case["expected"][reference_name]);
                assert!(expected.iter().any(|(_, value)| value.is_some()), "{reference_name}");
                let largest = line.values.iter().flatten().fold(1.0_f64, |most, value| most.max(value.abs()));
                for (bar, theirs) in expected {
                    let ours = line.values[bar];
                    let agree = match (ours, theirs) {
                        (Some(ours), Some(theirs)) => (ours - theirs).abs() <= 1e-9 * largest,
                        (ours, theirs) => ours == theirs,
                    };
                    assert!(agree, "{} {reference_name} bar {bar}: {ours:?} {theirs:?}", case["name"]);
                }
            }
        }
    }
}
