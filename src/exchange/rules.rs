//! The rules of a contract: what prices and quantities it allows, and rounding to them. All of it is exact.

use rust_decimal::Decimal;
use serde::Deserialize;

use crate::domain::{Notional, Price, Quantity, Symbol, Untrusted};

use super::orders::MarketOrder;
use super::wire::opt_num;

/// Least, most and grid of an amount; zero switches a bound off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Least; the grid starts here.
    pub min: Decimal,
    /// Most.
    pub max: Decimal,
    /// Distance of two neighbours on the grid.
    pub step: Decimal,
}

impl Bounds {
    /// The largest allowed amount that is not above `value`; `None` if there is none.
    pub fn round_down(&self, value: Decimal) -> Option<Decimal> {
        let capped = if self.max.is_zero() { value } else { value.min(self.max) };
        if capped < self.min {
            return None;
        }
        capped.checked_sub(self.excess(capped)?)
    }

    /// The smallest allowed amount that is not below `value`; `None` if there is none.
    pub fn round_up(&self, value: Decimal) -> Option<Decimal> {
        let raised = value.max(self.min);
        let excess = self.excess(raised)?;
        let up =
            if excess.is_zero() { raised } else { raised.checked_sub(excess)?.checked_add(self.step)? };
        (self.max.is_zero() || up <= self.max).then_some(up)
    }

    /// Whether the amount lies within the bounds and on the grid.
    pub fn allows(&self, value: Decimal) -> bool {
        value >= self.min
            && (self.max.is_zero() || value <= self.max)
            && self.excess(value).is_some_and(|excess| excess.is_zero())
    }

    /// How far above its grid point the amount lies; `None` when that cannot be computed.
    fn excess(&self, value: Decimal) -> Option<Decimal> {
        if self.step.is_zero() {
            return Some(Decimal::ZERO);
        }
        value.checked_sub(self.min)?.checked_rem(self.step)
    }
}

/// Which way to round a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toward {
    /// To the next tick at or below.
    Lower,
    /// To the next tick at or above.
    Higher,
}

/// Why an order would be refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleViolation {
    /// The contract is not open for trading.
    #[error("{symbol} is not trading: {}", status.line(30))]
    NotTrading {
        /// The contract.
        symbol: Symbol,
        /// Its state.
        status: Untrusted,
    },
    /// The quantity is out of bounds or off the grid.
    #[error("{symbol}: {quantity} is not an allowed quantity (least {}, most {}, step {})", bounds.min.normalize(), bounds.max.normalize(), bounds.step.normalize())]
    Quantity {
        /// The contract.
        symbol: Symbol,
        /// What was wanted.
        quantity: Quantity,
        /// What is allowed.
        bounds: Bounds,
    },
    /// The price is out of bounds or off the grid.
    #[error("{symbol}: {price} is not an allowed price (least {}, most {}, tick {})", bounds.min.normalize(), bounds.max.normalize(), bounds.step.normalize())]
    Price {
        /// The contract.
        symbol: Symbol,
        /// What was wanted.
        price: Price,
        /// What is allowed.
        bounds: Bounds,
    },
    /// The order is too small.
    #[error("{symbol}: {notional} USDT is below the least notional of {least} USDT")]
    Notional {
        /// The contract.
        symbol: Symbol,
        /// Quantity times mark price.
        notional: Notional,
        /// What is allowed.
        least: Notional,
    },
}

/// The rules of one contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SymbolRules {
    /// The contract.
    pub symbol: Symbol,
    /// `TRADING` when open.
    pub status: Untrusted,
    /// `PERPETUAL` for what the desk trades.
    pub contract: Untrusted,
    /// Currency prices are in.
    pub quote: Untrusted,
    /// Prices of orders and triggers.
    pub price: Bounds,
    /// Quantities of market orders.
    pub market_quantity: Bounds,
    /// Least quantity times mark price, USDT; reduce-only orders are exempt.
    pub min_notional: Notional,
}

impl SymbolRules {
    /// Whether the desk may open here: a perpetual in USDT that is trading.
    pub fn is_tradable(&self) -> bool {
        self.status.raw() == "TRADING" && self.contract.raw() == "PERPETUAL" && self.quote.raw() == "USDT"
    }

    /// The largest quantity a market order may have that is not above the given one; zero if there is none.
    pub fn round_quantity_down(&self, quantity: Quantity) -> Quantity {
        self.market_quantity
            .round_down(quantity.value())
            .and_then(|rounded| Quantity::new(rounded).ok())
            .unwrap_or(Quantity::ZERO)
    }

    /// The nearest allowed price on the given side.
    pub fn round_price(&self, price: Price, toward: Toward) -> Result<Price, RuleViolation> {
        let rounded = match toward {
            Toward::Lower => self.price.round_down(price.value()),
            Toward::Higher => self.price.round_up(price.value()),
        };
        rounded.and_then(|rounded| Price::new(rounded).ok()).ok_or_else(|| self.bad_price(price))
    }

    /// Whether the exchange's filters let a market order through at this mark price.
    pub fn check(&self, order: &MarketOrder, mark: Price) -> Result<(), RuleViolation> {
        self.check_market(order.quantity, order.reduce_only, mark)
    }

    /// Whether the exchange's filters let a market opening of this size through at this mark price.
    pub fn check_opening(&self, quantity: Quantity, mark: Price) -> Result<(), RuleViolation> {
        self.check_market(quantity, false, mark)
    }

    fn check_market(&self, quantity: Quantity, reduce_only: bool, mark: Price) -> Result<(), RuleViolation> {
        let symbol = || self.symbol.clone();
        if self.status.raw() != "TRADING" {
            return Err(RuleViolation::NotTrading { symbol: symbol(), status: self.status.clone() });
        }
        if quantity.is_zero() || !self.market_quantity.allows(quantity.value()) {
            return Err(RuleViolation::Quantity { symbol: symbol(), quantity, bounds: self.market_quantity });
        }
        let notional = mark.notional(quantity);
        if !reduce_only && notional < self.min_notional {
            return Err(RuleViolation::Notional { symbol: symbol(), notional, least: self.min_notional });
        }
        Ok(())
    }

    /// Whether the exchange's filters let this trigger price through.
    pub fn check_trigger(&self, trigger: Price) -> Result<(), RuleViolation> {
        if self.price.allows(trigger.value()) { Ok(()) } else { Err(self.bad_price(trigger)) }
    }

    fn bad_price(&self, price: Price) -> RuleViolation {
        RuleViolation::Price { symbol: self.symbol.clone(), price, bounds: self.price }
    }

    /// From a row of `exchangeInfo`. `None`, and a line in the log if it matters, for contracts we cannot name or round for.
    pub(super) fn from_wire(raw: RawSymbol) -> Option<Self> {
        // Delivery contracts and coins outside our alphabet: hundreds, and never ours.
        let symbol = Symbol::new(&raw.symbol).ok()?;
        let filter = |kind: &str| raw.filters.iter().find(|filter| filter.kind == kind);
        let (Some(prices), Some(lots)) = (filter("PRICE_FILTER"), filter("LOT_SIZE")) else {
            tracing::warn!(%symbol, "the exchange gives no tick or step for this contract; it is left out");
            return None;
        };
        let tick = or_zero(Some(prices.tick_size?));
        let lots = Bounds {
            min: or_zero(lots.min_qty),
            max: or_zero(lots.max_qty),
            step: or_zero(Some(lots.step_size?)),
        };
        let market = filter("MARKET_LOT_SIZE").map_or(lots, |market| Bounds {
            min: set(market.min_qty).unwrap_or(lots.min),
            max: set(market.max_qty).unwrap_or(lots.max),
            step: set(market.step_size).unwrap_or(lots.step),
        });
        let notional = filter("MIN_NOTIONAL").and_then(|filter| filter.notional);
        Some(Self {
            symbol,
            status: raw.status.into(),
            contract: raw.contract_type.into(),
            quote: raw.quote_asset.into(),
            price: Bounds { min: or_zero(prices.min_price), max: or_zero(prices.max_price), step: tick },
            market_quantity: market,
            min_notional: Notional::new(or_zero(notional)).ok()?,
        })
    }
}

/// A bound, if it is one.
fn set(bound: Option<Decimal>) -> Option<Decimal> {
    bound.filter(|bound| *bound > Decimal::ZERO)
}

/// In a filter, absent and zero both mean that there is no such bound.
fn or_zero(bound: Option<Decimal>) -> Decimal {
    set(bound).unwrap_or(Decimal::ZERO)
}

/// A row of `exchangeInfo`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawSymbol {
    symbol: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    contract_type: String,
    #[serde(default)]
    quote_asset: String,
    #[serde(default)]
    filters: Vec<RawFilter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFilter {
    #[serde(default, rename = "filterType")]
    kind: String,
    #[serde(default, deserialize_with = "opt_num")]
    min_price: Option<Decimal>,
    #[serde(default, deserialize_with = "opt_num")]
    max_price: Option<Decimal>,
    #[serde(default, deserialize_with = "opt_num")]
    tick_size: Option<Decimal>,
    #[serde(default, deserialize_with = "opt_num")]
    min_qty: Option<Decimal>,
    #[serde(default, deserialize_with = "opt_num")]
    max_qty: Option<Decimal>,
    #[serde(default, deserialize_with = "opt_num")]
    step_size: Option<Decimal>,
    #[serde(default, deserialize_with = "opt_num")]
    notional: Option<Decimal>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ClientOrderId, Side};
    use proptest::prelude::*;

    fn bitcoin() -> SymbolRules {
        let row = r#"{"symbol":"BTCUSDT","status":"TRADING","contractType":"PERPETUAL","quoteAsset":"USDT","news":{},
            "filters":[{"filterType":"PRICE_FILTER","minPrice":"556.80","maxPrice":"4529764","tickSize":"0.10"},
            {"filterType":"LOT_SIZE","minQty":"0.001","maxQty":"1000","stepSize":"0.001"},
            {"filterType":"MARKET_LOT_SIZE","minQty":"0.001","maxQty":"120","stepSize":"0.001"},
            {"filterType":"MIN_NOTIONAL","notional":"100"},{"filterType":"UNHEARD_OF","limit":7}]}"#;
        SymbolRules::from_wire(serde_json::from_str(row).unwrap()).unwrap()
    }

    fn order(quantity: &str, reduce_only: bool) -> MarketOrder {
        MarketOrder {
            symbol: Symbol::new("BTCUSDT").unwrap(),
            side: Side::Buy,
            quantity: quantity.parse().unwrap(),
            reduce_only,
            client_order_id: ClientOrderId::new("x").unwrap(),
        }
    }

    #[test]
    fn quantities_are_rounded_down_to_the_step_of_market_orders() {
        let rules = bitcoin();
        for (wanted, allowed) in
            [("0.0129", "0.012"), ("0.001", "0.001"), ("0.0009", "0"), ("500", "120"), ("0", "0")]
        {
            let rounded = rules.round_quantity_down(wanted.parse().unwrap());
            assert_eq!(rounded.to_string(), allowed, "{wanted}");
        }
    }

    #[test]
    fn an_amount_is_rounded_up_to_the_very_most_and_no_further() {
        let bounds = Bounds { min: Decimal::ZERO, max: Decimal::TEN, step: Decimal::ONE };
        for (wanted, allowed) in [("9.5", Some(Decimal::TEN)), ("10", Some(Decimal::TEN)), ("10.1", None)] {
            assert_eq!(bounds.round_up(wanted.parse().unwrap()), allowed, "{wanted}");
        }
    }

    #[test]
    fn a_filter_of_market_orders_that_sets_nothing_leaves_the_bounds_of_all_orders() {
        let row = r#"{"symbol":"BTCUSDT","filters":[
            {"filterType":"PRICE_FILTER","minPrice":"0","maxPrice":"0","tickSize":"0.10"},
            {"filterType":"LOT_SIZE","minQty":"0.002","maxQty":"1000","stepSize":"0.001"},
            {"filterType":"MARKET_LOT_SIZE","minQty":"0","maxQty":"0","stepSize":"0"}]}"#;
        let rules = SymbolRules::from_wire(serde_json::from_str(row).unwrap()).unwrap();
        let number = |text: &str| text.parse::<Decimal>().unwrap();
        let lots = Bounds { min: number("0.002"), max: number("1000"), step: number("0.001") };
        assert_eq!(rules.market_quantity, lots);
    }

    #[test]
    fn a_stop_can_be_rounded_to_either_side() {
        let rules = bitcoin();
        let wanted = "59842.6234".parse().unwrap();
        assert_eq!(rules.round_price(wanted, Toward::Lower).unwrap().to_string(), "59842.6");
        assert_eq!(rules.round_price(wanted, Toward::Higher).unwrap().to_string(), "59842.7");
        assert!(rules.round_price("500".parse().unwrap(), Toward::Lower).is_err());
        assert!(rules.round_price("5000000".parse().unwrap(), Toward::Higher).is_err());
        assert!(rules.check_trigger("59842.65".parse().unwrap()).is_err());
        assert!(rules.check_trigger("59842.6".parse().unwrap()).is_ok());
    }

    #[test]
    fn an_order_is_checked_before_the_exchange_does_it() {
        let rules = bitcoin();
        let mark = "50000".parse().unwrap();
        assert_eq!(rules.check(&order("0.002", false), mark), Ok(()));
        let too_small = rules.check(&order("0.001", false), mark).unwrap_err();
        assert_eq!(too_small.to_string(), "BTCUSDT: 50 USDT is below the least notional of 100 USDT");
        assert_eq!(rules.check(&order("0.001", true), mark), Ok(()));
        for bad in ["0", "0.0025", "121"] {
            let refusal = rules.check(&order(bad, false), mark);
            assert!(matches!(refusal, Err(RuleViolation::Quantity { .. })), "{bad}");
        }
        let mut halted = bitcoin();
        halted.status = "SETTLING".into();
        assert!(matches!(halted.check(&order("0.002", false), mark), Err(RuleViolation::NotTrading { .. })));
        assert!(!halted.is_tradable() && rules.is_tradable());
    }

    #[test]
    fn a_contract_without_a_step_is_left_out() {
        let row = r#"{"symbol":"BTCUSDT","filters":[{"filterType":"PRICE_FILTER","tickSize":"0.1"}]}"#;
        assert_eq!(SymbolRules::from_wire(serde_json::from_str(row).unwrap()), None);
    }

    fn amount() -> impl Strategy<Value = Decimal> {
        (0_i64..10_000_000_000_000, 0_u32..9).prop_map(|(digits, scale)| Decimal::new(digits, scale))
    }

    fn bounds() -> impl Strategy<Value = Bounds> {
        let step = (prop_oneof![Just(0_i64), 1_i64..1000], 0_u32..9)
            .prop_map(|(digits, scale)| Decimal::new(digits, scale));
        (amount(), prop_oneof![Just(Decimal::ZERO), amount()], step).prop_map(|(min, max, step)| Bounds {
            min,
            max,
            step,
        })
    }

    proptest! {
        #[test]
        fn rounding_down_stays_below_on_the_grid_and_takes_the_nearest(bounds in bounds(), value in amount()) {
            if let Some(rounded) = bounds.round_down(value) {
                prop_assert!(rounded <= value);
                prop_assert!(bounds.allows(rounded), "{rounded} {bounds:?}");
                if !bounds.step.is_zero() {
                    prop_assert!(((rounded - bounds.min) % bounds.step).is_zero());
                    prop_assert!(!(rounded + bounds.step <= value && bounds.allows(rounded + bounds.step)));
                }
            } else {
                prop_assert!(value < bounds.min || bounds.max < bounds.min);
            }
        }

        #[test]
        fn rounding_up_stays_above_on_the_grid_and_takes_the_nearest(bounds in bounds(), value in amount()) {
            if let Some(rounded) = bounds.round_up(value) {
                prop_assert!(rounded >= value);
                prop_assert!(bounds.allows(rounded), "{rounded} {bounds:?}");
                if !bounds.step.is_zero() {
                    prop_assert!(!(rounded - bounds.step >= value && bounds.allows(rounded - bounds.step)));
                }
            }
        }

        #[test]
        fn what_is_allowed_is_left_as_it_is(bounds in bounds(), value in amount()) {
            if bounds.allows(value) {
                prop_assert_eq!(bounds.round_down(value), Some(value));
                prop_assert_eq!(bounds.round_up(value), Some(value));
            }
        }
    }
}
