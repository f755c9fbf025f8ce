//! The exchange's rules, and what is kept of them for a start at which they cannot be read.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::Shared;
use super::journal::{Unjournaled, in_time};
use crate::domain::{Notional, Symbol, Untrusted};
use crate::exchange::{Bounds, SymbolRules};
use crate::store::StoreError;

/// The rules of one contract as they are kept.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    symbol: Symbol,
    status: Untrusted,
    contract: Untrusted,
    quote: Untrusted,
    price: [Decimal; 3],
    market_quantity: [Decimal; 3],
    min_notional: Notional,
}

impl Kept {
    fn of(rules: &SymbolRules) -> Self {
        let three = |bounds: Bounds| [bounds.min, bounds.max, bounds.step];
        Self {
            symbol: rules.symbol.clone(),
            status: rules.status.clone(),
            contract: rules.contract.clone(),
            quote: rules.quote.clone(),
            price: three(rules.price),
            market_quantity: three(rules.market_quantity),
            min_notional: rules.min_notional,
        }
    }

    fn into_rules(self) -> SymbolRules {
        let bounds = |[min, max, step]: [Decimal; 3]| Bounds { min, max, step };
        SymbolRules {
            symbol: self.symbol,
            status: self.status,
            contract: self.contract,
            quote: self.quote,
            price: bounds(self.price),
            market_quantity: bounds(self.market_quantity),
            min_notional: self.min_notional,
        }
    }
}

impl Shared {
    fn rules_key(&self) -> String {
        format!("rules {}", self.store.venue())
    }

    /// The rules a stop is priced by: those of the exchange, or the last ones it told before this start.
    pub(super) fn rules_of_stop(&self, symbol: &Symbol) -> Option<SymbolRules> {
        self.rules_of(symbol)
            .or_else(|| self.last_rules.read().unwrap_or_else(PoisonError::into_inner).get(symbol).cloned())
    }

    /// The exchange told its rules. They count at once, and are kept for the next start where they changed.
    pub(super) async fn keep_rules(&self, rules: BTreeMap<Symbol, SymbolRules>) {
        let kept: Vec<Kept> = rules.values().map(Kept::of).collect();
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules.clone();
        if *self.last_rules.read().unwrap_or_else(PoisonError::into_inner) == rules {
            return;
        }
        let text = match serde_json::to_string(&kept) {
            Ok(text) => text,
            Err(error) => return tracing::error!(%error, "the exchange's rules could not be written down"),
        };
        match in_time(self.store.set_meta(&self.rules_key(), &text)).await {
            Ok(()) => *self.last_rules.write().unwrap_or_else(PoisonError::into_inner) = rules,
            // Who only looks has nothing to keep.
            Err(Unjournaled::Store(StoreError::ReadOnly)) => {}
            Err(error) => tracing::warn!(%error, "the exchange's rules could not be kept for the next start"),
        }
    }

    /// At a start: the rules as they were told last, so that no stop has to wait for new ones.
    pub(in crate::desk) async fn recall_rules(&self) {
        let text = match in_time(self.store.meta(&self.rules_key())).await {
            Ok(Some(text)) => text,
            Ok(None) => return,
            Err(error) => return tracing::warn!(%error, "the exchange's last rules could not be read"),
        };
        match serde_json::from_str::<Vec<Kept>>(&text) {
            Ok(kept) => {
                let rules = kept.into_iter().map(Kept::into_rules);
                let rules = rules.map(|rules| (rules.symbol.clone(), rules)).collect();
                *self.last_rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
            }
            Err(error) => tracing::warn!(%error, "the exchange's last rules make no sense"),
        }
    }
}
