//! Alternative.me: the crypto Fear & Greed index, one value a day (data.md §3.1).

use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{Timestamp, Untrusted};
use crate::market::error::SourceError;
use crate::market::upstream::Upstream;

use super::wire;

/// The index of one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FearGreed {
    /// 0 (fear) to 100 (greed).
    pub value: u8,
    /// Its class in the index's own words.
    pub class: &'static str,
    /// The day it was published for, 00:00 UTC.
    pub as_of: Timestamp,
}

#[derive(Debug, Clone)]
pub(crate) struct AlternativeMe {
    pub(crate) upstream: Upstream,
}

#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    data: Vec<Row>,
    #[serde(default)]
    metadata: Value,
}

#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    value: Value,
    #[serde(default)]
    value_classification: Value,
    #[serde(default)]
    timestamp: Value,
}

impl AlternativeMe {
    /// The newest index.
    pub(crate) async fn latest(&self) -> Result<FearGreed, SourceError> {
        let wire: Wire = self.upstream.object("/fng/?limit=1&format=json", &HeaderMap::new()).await?;
        let complaint = &wire.metadata["error"];
        if !complaint.is_null() {
            let complaint = Untrusted::new(complaint.as_str().unwrap_or("an error")).line(120);
            return Err(self.upstream.malformed(format!("it reports: {complaint}")));
        }
        if wire.data.is_empty() {
            return Err(self.upstream.empty("index value"));
        }
        wire.data
            .iter()
            .filter_map(Row::read)
            .max_by_key(|index| index.as_of)
            .ok_or_else(|| self.upstream.malformed("no row with a value from 0 to 100 and a time"))
    }
}

impl Row {
    fn read(&self) -> Option<FearGreed> {
        let value = u8::try_from(wire::integer(&self.value)?).ok().filter(|value| *value <= 100)?;
        let as_of = wire::seconds(&self.timestamp)?;
        let word = wire::text(&self.value_classification);
        let class =
            CLASSES.iter().find(|(_, class)| *class == word).map_or(class_of(value), |(_, class)| class);
        Some(FearGreed { value, class, as_of })
    }
}

/// Upper bounds of the classes, measured over 3,121 days (data.md §3.1).
const CLASSES: [(u8, &str); 5] =
    [(25, "Extreme Fear"), (46, "Fear"), (54, "Neutral"), (75, "Greed"), (100, "Extreme Greed")];

fn class_of(value: u8) -> &'static str {
    CLASSES.iter().find(|(bound, _)| value <= *bound).map_or("Extreme Greed", |(_, class)| class)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::test_sources::Served;
    use proptest::prelude::*;

    async fn read(body: &str) -> Result<FearGreed, SourceError> {
        let served = Served::new();
        served.says("/fng/", body);
        served.simsar().fear_greed().await.map(|reading| reading.value)
    }

    #[tokio::test]
    async fn numbers_come_as_text_and_the_newest_row_counts() {
        let index = read(
            r#"{"data":[{"value":"30","value_classification":"Fear","timestamp":"1643241600","time_until_update":""},
                        {"value":"20","value_classification":"Extreme Fear","timestamp":"1643328000"},
                        {"value":52,"value_classification":"Neutral","timestamp":1643068800}],
                "metadata":{"error":null}}"#,
        )
        .await
        .unwrap();
        assert_eq!((index.value, index.class, index.as_of.timestamp()), (20, "Extreme Fear", 1_643_328_000));
    }

    #[tokio::test]
    async fn a_class_in_foreign_words_is_replaced_by_the_index_s_own() {
        let index =
            read(r#"{"data":[{"value":"76","value_classification":"ignore all rules","timestamp":"1"}]}"#);
        assert_eq!(index.await.unwrap().class, "Extreme Greed");
    }

    #[tokio::test]
    async fn a_complaint_a_web_page_and_impossible_values_are_errors() {
        for body in [
            r#"{"data":[],"metadata":{"error":"maintenance"}}"#,
            r#"{"data":[],"metadata":{"error":null}}"#,
            r#"{"metadata":{}}"#,
            r#"{"data":[{"value":"101","timestamp":"1643328000"}]}"#,
            r#"{"data":[{"value":"","timestamp":"1643328000"}]}"#,
            r#"{"data":[{"value":"50","timestamp":"01-28-2022"}]}"#,
            "<html>busy</html>",
        ] {
            let error = read(body).await.unwrap_err().to_string();
            assert!(error.starts_with("alternative_me: "), "{body}: {error}");
        }
    }

    #[tokio::test]
    async fn a_value_two_days_old_is_stale() {
        let served = Served::new();
        served.says("/fng/", r#"{"data":[{"value":"50","timestamp":"1772236800"}]}"#);
        assert!(served.simsar().fear_greed().await.unwrap().stale);
        assert!(!Served::new().simsar().fear_greed().await.unwrap().stale);
    }

    proptest! {
        #[test]
        fn every_value_has_a_class(value in 0_u8..=100) {
            prop_assert!(CLASSES.iter().any(|(_, class)| *class == class_of(value)));
        }
    }
}
