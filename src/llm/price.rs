//! What tokens cost. The provider's API does not tell prices, so they stand here with a date.

#![cfg_attr(not(test), deny(clippy::float_arithmetic))]

use rust_decimal::Decimal;

use crate::domain::Usage;

use super::message::RawUsage;

/// The day the table was checked against the provider's list.
pub const AS_OF: &str = "2026-11-22";

/// Prices of one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelPrice {
    /// US dollars for a million input tokens.
    pub input: Decimal,
    /// US dollars for a million output tokens.
    pub output: Decimal,
    /// US dollars for a million tokens written to the cache for five minutes.
    pub cache_write: Decimal,
    /// US dollars for a million tokens written to the cache for an hour.
    pub cache_write_1h: Decimal,
    /// US dollars for a million tokens read from the cache.
    pub cache_read: Decimal,
    /// Above this many input tokens everything costs five times as much.
    pub surcharge_above: Option<u64>,
}

/// Model id; then mills (a thousandth of a dollar) for a million tokens: input, output, five-minute write, one-hour
/// write, read.
const TABLE: [(&str, [i64; 5]); 14] = [
    ("claude-sonnet-4-6", [3000, 15_000, 3750, 6000, 300]),
    ("claude-sonnet-5", [2000, 10_000, 2500, 4000, 200]),
    ("claude-sonnet-5-5", [2000, 10_000, 2500, 4000, 100]),
    ("claude-haiku-5-5", [100, 500, 125, 200, 10]),
    ("claude-haiku-4-5", [1000, 5000, 1250, 2000, 100]),
    ("claude-opus-5-5", [4000, 20_000, 5000, 8000, 200]),
    ("claude-opus-5", [5000, 25_000, 6250, 10_000, 500]),
    ("claude-opus-4-8", [5000, 25_000, 6250, 10_000, 500]),
    ("claude-opus-4-7", [5000, 25_000, 6250, 10_000, 500]),
    ("claude-opus-4-6", [5000, 25_000, 6250, 10_000, 500]),
    ("claude-opus-4-5", [5000, 25_000, 6250, 10_000, 500]),
    ("claude-fable-5-2", [8000, 40_000, 10_000, 16_000, 200]),
    ("claude-fable-5-1", [10_000, 50_000, 12_500, 20_000, 250]),
    ("claude-fable-5", [10_000, 50_000, 12_500, 20_000, 1000]),
];

/// The price of a model, by its id with or without a date at its end. `None` for a model the table does not know.
pub fn of(model: &str) -> Option<ModelPrice> {
    let (_, mills) = TABLE.iter().find(|(id, _)| *id == without_date(model))?;
    let dollars = |mills: i64| Decimal::new(mills, 3);
    let [input, output, cache_write, cache_write_1h, cache_read] = mills.map(dollars);
    let surcharge_above = (without_date(model) == "claude-haiku-5-5").then_some(100_000);
    Some(ModelPrice { input, output, cache_write, cache_write_1h, cache_read, surcharge_above })
}

/// The id without the date some names end in.
pub(super) fn without_date(model: &str) -> &str {
    match model.rsplit_once('-') {
        Some((id, date)) if date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit()) => id,
        _ => model,
    }
}

/// Every id of the table.
#[cfg(test)]
pub(super) fn ids() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(id, _)| *id)
}

impl ModelPrice {
    /// A model that costs nothing, such as one on this machine.
    pub const FREE: Self = Self {
        input: Decimal::ZERO,
        output: Decimal::ZERO,
        cache_write: Decimal::ZERO,
        cache_write_1h: Decimal::ZERO,
        cache_read: Decimal::ZERO,
        surcharge_above: None,
    };

    /// The price of a model of which only input and output are known: the cache's prices follow from the input's by the
    /// provider's usual factors, 1.25 and 2 for writing and 0.1 for reading.
    pub fn of_input_and_output(input: Decimal, output: Decimal) -> Self {
        Self {
            input,
            output,
            cache_write: input * Decimal::new(125, 2),
            cache_write_1h: input * Decimal::TWO,
            cache_read: input * Decimal::new(1, 1),
            surcharge_above: None,
        }
    }

    /// What a turn cost, in US dollars.
    pub fn cost(&self, usage: &RawUsage) -> Decimal {
        let one_hour = usage.cache_creation_1h_input_tokens.min(usage.cache_creation_input_tokens);
        let five_minutes = usage.cache_creation_input_tokens - one_hour;
        let total = Decimal::from(usage.input_tokens) * self.input
            + Decimal::from(usage.output_tokens) * self.output
            + Decimal::from(five_minutes) * self.cache_write
            + Decimal::from(one_hour) * self.cache_write_1h
            + Decimal::from(usage.cache_read_input_tokens) * self.cache_read;
        let surcharge = self.surcharge_above.is_some_and(|limit| usage.total_input() > limit);
        total * Decimal::from(if surcharge { 5 } else { 1 }) / Decimal::from(1_000_000)
    }
}

/// Tokens and cost in the house's words. Without a known price the cost stays zero, so a budget must ask for the price
/// first.
pub fn usage(price: Option<&ModelPrice>, usage: &RawUsage) -> Usage {
    Usage {
        input_tokens: usage.input_tokens,
        output_tokens: usage.output_tokens,
        cache_read_input_tokens: usage.cache_read_input_tokens,
        cache_creation_input_tokens: usage.cache_creation_input_tokens,
        cost_usd: price.map(|price| price.cost(usage)).unwrap_or_default().normalize(),
        is_estimate: usage.estimated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(model: &str, usage: &RawUsage) -> Option<Decimal> {
        of(model).map(|price| price.cost(usage))
    }

    #[test]
    fn a_plain_cycle_of_the_first_desk_costs_nine_cents() {
        let usage = RawUsage { input_tokens: 20_000, output_tokens: 2000, ..RawUsage::default() };
        assert_eq!(cost("claude-sonnet-4-6", &usage).unwrap(), Decimal::new(9, 2));
    }

    #[test]
    fn cache_reads_and_both_kinds_of_writes_have_their_own_price() {
        let usage = RawUsage {
            cache_read_input_tokens: 1_000_000,
            cache_creation_input_tokens: 3_000_000,
            cache_creation_1h_input_tokens: 1_000_000,
            ..RawUsage::default()
        };
        // 0.30 + 2 * 3.75 + 6
        assert_eq!(cost("claude-sonnet-4-6", &usage).unwrap(), Decimal::new(138, 1));
    }

    #[test]
    fn a_dated_id_has_the_price_of_its_model_and_an_unknown_one_has_none() {
        assert_ne!(of("claude-fable-5-20260301"), of("claude-fable-5-1"));
        assert_eq!(of("claude-fable-5").unwrap().cache_read, Decimal::ONE);
        assert_eq!(of("claude-haiku-4-5-20251001"), of("claude-haiku-4-5"));
        assert_eq!(of("llama-9"), None);
    }

    #[test]
    fn a_long_prompt_costs_five_times_as_much_where_the_list_says_so() {
        let short = RawUsage { input_tokens: 100_000, ..RawUsage::default() };
        let long = RawUsage { input_tokens: 100_001, ..RawUsage::default() };
        assert_eq!(cost("claude-haiku-5-5", &short).unwrap(), Decimal::new(1, 2));
        assert!(cost("claude-haiku-5-5", &long).unwrap() > Decimal::new(5, 2));
    }
}
