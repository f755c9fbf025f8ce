//! What each model of the price table can and wants to be told, checked on the same day.

use super::price::without_date;

/// What is known of one model beside its price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Most output tokens of one turn, thinking included.
    pub most_output: u32,
    /// Whether it thinks unasked, and says what it says between two calls only there: without being asked for a summary
    /// of it, such a model is silent for minutes.
    pub thinks: bool,
    /// The effort to ask for, where the one it takes by itself is more than this work needs.
    pub effort: Option<&'static str>,
}

/// Model id, most output tokens, whether it thinks unasked, effort to ask for.
const TABLE: [(&str, u32, bool, Option<&str>); 14] = [
    ("claude-sonnet-4-6", 128_000, false, Some("medium")),
    ("claude-sonnet-5", 128_000, true, None),
    ("claude-sonnet-5-5", 128_000, true, None),
    ("claude-haiku-5-5", 128_000, false, None),
    ("claude-haiku-4-5", 64_000, false, None),
    ("claude-opus-5-5", 128_000, true, None),
    ("claude-opus-5", 128_000, false, None),
    ("claude-opus-4-8", 128_000, false, None),
    ("claude-opus-4-7", 128_000, false, None),
    ("claude-opus-4-6", 128_000, false, None),
    ("claude-opus-4-5", 64_000, false, None),
    ("claude-fable-5-2", 128_000, true, None),
    ("claude-fable-5-1", 128_000, true, None),
    ("claude-fable-5", 128_000, true, None),
];

/// What is known of a model, by its id with or without a date at its end.
pub fn of(model: &str) -> Option<Capabilities> {
    let (_, most_output, thinks, effort) = TABLE.into_iter().find(|(id, ..)| *id == without_date(model))?;
    Some(Capabilities { most_output, thinks, effort })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_with_a_price_has_its_capabilities_and_no_other() {
        for id in super::super::price::ids() {
            assert!(of(id).is_some(), "{id}");
        }
        assert_eq!(TABLE.len(), super::super::price::ids().count());
        assert_eq!(of("claude-haiku-4-5-20251001").unwrap().most_output, 64_000);
        assert_eq!(of("llama-9"), None);
    }
}
