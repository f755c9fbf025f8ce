//! Rows of candles as the exchange sends them.
//!
//! A brief reads fifteen thousand of them. They are read as the twelve columns they are documented to have, without a
//! value tree in between; when any row differs, all are read again one by one so that only what is broken is refused.

use std::borrow::Cow;

use rust_decimal::Decimal;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::price_of;
use crate::domain::{Candle, Price};
use crate::market::sources::wire;

/// A row: when it opened and closes, and the candle if it can be one.
#[derive(Debug, PartialEq)]
pub(super) struct Row {
    pub(super) open_time: i64,
    pub(super) close_time: Option<i64>,
    pub(super) candle: Option<Candle>,
}

/// Open time, open, high, low, close, volume, close time, and what nobody here needs.
#[derive(Deserialize)]
struct Documented<'a>(
    i64,
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
    i64,
    IgnoredAny,
    IgnoredAny,
    IgnoredAny,
    IgnoredAny,
    IgnoredAny,
);

/// Every row of an answer.
pub(super) fn read(body: &[u8]) -> Result<Vec<Row>, serde_json::Error> {
    if let Ok(rows) = serde_json::from_slice::<Vec<Documented<'_>>>(body) {
        return Ok(rows.iter().map(Row::documented).collect());
    }
    let rows: Vec<Value> = serde_json::from_slice(body)?;
    Ok(rows.iter().map(Row::tolerant).collect())
}

impl Row {
    fn documented(row: &Documented<'_>) -> Self {
        let price = |text: &str| Price::new(wire::decimal_of(text)?).ok();
        let prices = [price(&row.1), price(&row.2), price(&row.3), price(&row.4)];
        Self::of(row.0, Some(row.6), prices, wire::decimal_of(&row.5))
    }

    fn tolerant(row: &Value) -> Self {
        let prices = [1, 2, 3, 4].map(|column| price_of(&row[column]));
        let open_time = wire::integer(&row[0]).unwrap_or(0);
        Self::of(open_time, wire::integer(&row[6]), prices, wire::decimal(&row[5]))
    }

    fn of(
        open_time: i64,
        close_time: Option<i64>,
        prices: [Option<Price>; 4],
        volume: Option<Decimal>,
    ) -> Self {
        let candle = match (prices, volume) {
            ([Some(open), Some(high), Some(low), Some(close)], Some(volume)) => {
                Some(Candle { open_time, open, high, low, close, volume })
            }
            _ => None,
        };
        let in_order = open_time > 0 && close_time.is_some_and(|close| close > open_time);
        let candle = candle.filter(|candle| in_order && candle.is_consistent());
        Self { open_time, close_time, candle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    proptest! {
        #[test]
        fn both_ways_of_reading_a_documented_row_agree(columns in prop::collection::vec("[0-9]{1,6}(\\.[0-9]{1,8})?|NaN|", 5),
                                                       open in 1_i64..2_000_000_000_000) {
            let [a, b, c, d, e] = columns.try_into().unwrap();
            let row = json!([open, a, b, c, d, e, open + 59_999, "0", 1, "0", "0", "0"]);
            let body = json!([row]).to_string();
            prop_assert!(serde_json::from_str::<Vec<Documented<'_>>>(&body).is_ok());
            prop_assert_eq!(read(body.as_bytes()).unwrap(), vec![Row::tolerant(&row)]);
        }
    }

    #[test]
    fn numbers_for_text_and_short_rows_are_read_by_the_patient_way() {
        let rows = read(br#"[[60000,1,2.5,"0.5",2,"3","119999"],[1]]"#).unwrap();
        assert_eq!(rows[0].candle.unwrap().high.to_string(), "2.5");
        assert_eq!((rows[0].close_time, rows[1].candle), (Some(119_999), None));
    }
}
