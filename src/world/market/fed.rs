//! Prices told from outside: a market without a path, which knows of each contract what it heard last.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::path::{Path, Seeds};
use super::{Listing, Market, Quote};
use crate::domain::Symbol;

/// For how long a price that was heard is the present one, ms. The sources speak once a second.
const FRESH_MS: i64 = 10_000;
/// How long before a funding its rate may have been heard last, ms: it is an average that hardly moves within a minute.
const RATE_HOLDS_MS: i64 = 60_000;
/// How far the source's clock and ours may stand apart, ms.
const CLOCKS_APART_MS: i64 = 60_000;

/// What is told of a contract: everything the exchange's engine goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FedQuote {
    /// The prices.
    pub quote: Quote,
    /// The rate of the running funding interval, as a share of the notional: above zero, longs pay shorts.
    pub funding_rate: Decimal,
    /// When it is paid, UTC milliseconds.
    pub next_funding_ms: i64,
}

/// What was told of a contract, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// Market time, UTC milliseconds.
    pub at_ms: i64,
    /// What.
    pub told: FedQuote,
    /// Up to where fundings are settled, market time, UTC milliseconds.
    pub funded_to_ms: i64,
}

impl Heard {
    /// Told now. `settled_ms` is a funding that is settled though it lies ahead by our clock.
    pub(crate) fn now(told: FedQuote, at_ms: i64, settled_ms: Option<i64>) -> Self {
        let funded_to_ms = settled_ms.map_or(at_ms, |due| due + CLOCKS_APART_MS);
        Self { at_ms, told, funded_to_ms }
    }

    /// Whether it still says what the contract costs.
    pub fn is_fresh_at(&self, now_ms: i64) -> bool {
        (self.at_ms..=self.at_ms.saturating_add(FRESH_MS)).contains(&now_ms)
    }

    /// The instant and the rate of the funding that comes due in `from_ms < t <= to_ms`, if the rate is known well
    /// enough.
    pub(crate) fn funding_within(&self, from_ms: i64, to_ms: i64) -> Option<(i64, Decimal)> {
        let due = self.told.next_funding_ms;
        (due > from_ms && due <= to_ms && self.knows_rate_of(due)).then_some((due, self.told.funding_rate))
    }

    /// The funding that the source has already settled when it begins to tell `next`, although by our clock it is still
    /// to come at `now_ms`.
    pub(crate) fn settled_early(&self, next: &FedQuote, now_ms: i64) -> Option<(i64, Decimal)> {
        let due = self.told.next_funding_ms;
        let soon = due > now_ms && due - now_ms <= CLOCKS_APART_MS;
        (soon && next.next_funding_ms > due && self.knows_rate_of(due))
            .then_some((due, self.told.funding_rate))
    }

    /// Whether a funding settled at `at_ms` went by unheard, so that somebody must tell of it. One whose rate was known
    /// was paid when its time came.
    pub(crate) fn missed(&self, at_ms: i64) -> bool {
        let due = self.told.next_funding_ms;
        let was_paid = self.knows_rate_of(due) && (at_ms - due).abs() <= CLOCKS_APART_MS;
        at_ms > self.funded_to_ms && !was_paid
    }

    /// Whether the funding told of last went by unheard.
    pub fn has_missed(&self, now_ms: i64) -> bool {
        self.told.next_funding_ms <= now_ms && self.missed(self.told.next_funding_ms)
    }

    fn knows_rate_of(&self, due_ms: i64) -> bool {
        due_ms - self.at_ms <= RATE_HOLDS_MS
    }
}

impl Market {
    /// A market of these contracts that has heard nothing yet. What is made up beside its prices, as the order books,
    /// comes from `seed`.
    pub fn fed(seed: u64, listings: Vec<Listing>) -> Self {
        Self {
            seed,
            listings,
            coins: Vec::new(),
            dow: Path::new(Vec::new(), Seeds::of(seed, "DJI")),
            dow_reference: 0.0,
            generator: None,
            fine_from_ms: i64::MIN,
            jumps: Vec::new(),
            heard: Some(BTreeMap::new()),
        }
    }

    /// Whether its prices are told from outside.
    pub fn is_fed(&self) -> bool {
        self.heard.is_some()
    }

    /// What was told last of every contract of a fed market.
    pub fn heard(&self) -> &BTreeMap<Symbol, Heard> {
        static NOTHING: BTreeMap<Symbol, Heard> = BTreeMap::new();
        self.heard.as_ref().unwrap_or(&NOTHING)
    }

    /// What was told last of one contract.
    pub fn heard_of(&self, symbol: &Symbol) -> Option<&Heard> {
        self.heard().get(symbol)
    }

    /// Takes over what is told of contracts, each at its instant; one that is not listed is left out, and a market that
    /// has a path of its own hears nothing.
    pub fn hear(&mut self, told: impl IntoIterator<Item = (Symbol, Heard)>) {
        let Some(known) = &mut self.heard else { return };
        let listings = &self.listings;
        known.extend(
            told.into_iter().filter(|(symbol, _)| listings.iter().any(|listing| listing.symbol == *symbol)),
        );
    }
}

#[cfg(test)]
mod tests {
    use rust_decimal_macros::dec;

    use super::*;

    const HOUR: i64 = 3_600_000;

    fn heard(at_ms: i64, next_funding_ms: i64) -> Heard {
        let quote =
            Quote { last: dec!(100), mark: dec!(100), index: dec!(100), bid: dec!(100), ask: dec!(100.1) };
        Heard::now(FedQuote { quote, funding_rate: dec!(0.0001), next_funding_ms }, at_ms, None)
    }

    #[test]
    fn a_price_is_one_only_for_ten_seconds() {
        let symbol = Symbol::new("BTCUSDT").unwrap();
        let listing = Listing {
            symbol: symbol.clone(),
            tick: dec!(0.1),
            price_digits: 2,
            step: dec!(0.001),
            minimum_notional: dec!(100),
            funding_hours: 8,
        };
        let mut market = Market::fed(1, vec![listing]);
        assert_eq!(market.quote(&symbol, 5_000), None);
        let strange = Symbol::new("XUSDT").unwrap();
        market.hear([(symbol.clone(), heard(5_000, HOUR)), (strange.clone(), heard(5_000, HOUR))]);
        assert_eq!(market.quote(&symbol, 4_999), None, "not known yet");
        assert_eq!(market.quote(&symbol, 15_000).map(|quote| quote.last), Some(dec!(100)));
        assert_eq!(market.quote(&symbol, 15_001), None, "not known any more");
        assert_eq!(market.heard_of(&strange), None, "not listed");
        assert!(matches!(market.jump(&symbol, 5_000, dec!(90)), Err(super::super::MarketError::Fed)));
        assert!(market.is_fed() && !market.is_recorded());
    }

    #[test]
    fn a_funding_is_paid_when_its_rate_was_heard_shortly_before_and_else_missed() {
        let close = heard(HOUR - 1_000, HOUR);
        assert_eq!(close.funding_within(HOUR - 1, HOUR), Some((HOUR, dec!(0.0001))));
        assert_eq!(close.funding_within(HOUR, HOUR + 5), None, "once only");
        assert!(!close.missed(HOUR + 2), "paid, although the source's record is a little later");
        assert!(close.missed(9 * HOUR), "the one after it");
        assert!(!close.missed(HOUR - 8 * HOUR), "the one before it");

        let far = heard(HOUR - RATE_HOLDS_MS - 1, HOUR);
        assert_eq!(far.funding_within(HOUR - 1, HOUR), None);
        assert!(far.missed(HOUR + 2));
    }

    #[test]
    fn a_source_whose_clock_is_ahead_has_settled_when_it_tells_of_the_next_funding() {
        let before = heard(HOUR - 3_000, HOUR);
        let next = heard(HOUR - 2_000, 9 * HOUR).told;
        assert_eq!(before.settled_early(&next, HOUR - 2_000), Some((HOUR, dec!(0.0001))));
        assert_eq!(before.settled_early(&next, HOUR), None, "our clock has come there: it was paid then");
        assert_eq!(before.settled_early(&before.told, HOUR - 2_000), None, "nothing new");
        let after = Heard::now(next, HOUR - 2_000, Some(HOUR));
        assert!(!after.missed(HOUR + 2) && after.missed(9 * HOUR));
        let long = heard(HOUR / 2, HOUR);
        assert_eq!(long.settled_early(&next, HOUR / 2), None, "the interval was made longer");
    }
}
