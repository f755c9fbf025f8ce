//! Whether a JSON text writes a field of an object twice, which a parsed object no longer shows.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Whether any object in `json`, however deep, writes a field twice. A text that is no JSON does not.
pub(super) fn writes_a_field_twice(json: &str) -> bool {
    // Of the faults a reader of JSON knows, only this one is of data and not of syntax.
    serde_json::from_str::<Once>(json).is_err_and(|error| error.is_data())
}

/// A value none of whose objects writes a field twice.
struct Once;

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Walk)
    }
}

struct Walk;

impl<'de> Visitor<'de> for Walk {
    type Value = Once;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Once, M::Error> {
        let mut seen = BTreeSet::new();
        while let Some(field) = map.next_key::<String>()? {
            if !seen.insert(field) {
                return Err(M::Error::custom("a field is written twice"));
            }
            map.next_value::<Once>()?;
        }
        Ok(Once)
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut items: S) -> Result<Once, S::Error> {
        while items.next_element::<Once>()?.is_some() {}
        Ok(Once)
    }

    fn visit_unit<E>(self) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_str<E>(self, _: &str) -> Result<Once, E> {
        Ok(Once)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_written_twice_is_found_at_any_depth_and_the_same_name_elsewhere_is_none() {
        for json in
            [r#"{"a":1,"a":1}"#, r#"[0,{"x":{"b":[{"c":1,"d":null,"c":"z"}]}}]"#, r#"{"a":1,"\u0061":2}"#]
        {
            assert!(writes_a_field_twice(json), "{json}");
        }
        for json in
            [r#"{"a":{"a":1.5e3},"b":[{"a":-1},{"a":true}]}"#, "[]", "\"{\"", "{\"a\":1", "nonsense", ""]
        {
            assert!(!writes_a_field_twice(json), "{json}");
        }
    }
}
