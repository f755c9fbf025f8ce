//! What may be on its way to the exchange right now.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::AccountDesk;
use crate::domain::Symbol;

/// The coins something is sent for, with whether it may open.
#[derive(Debug, Default)]
pub(super) struct UnderWay(Mutex<BTreeMap<Symbol, bool>>);

/// As long as it lives something may be sent for its coin.
#[derive(Debug)]
pub(super) struct Step<'a> {
    all: &'a UnderWay,
    symbol: Symbol,
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        self.all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.symbol);
    }
}

impl AccountDesk {
    /// From here on something may be sent for a coin, which the caller holds.
    pub(super) fn under_way(&self, symbol: &Symbol, may_open: bool) -> Step<'_> {
        let all = &self.under_way;
        all.0.lock().unwrap_or_else(PoisonError::into_inner).insert(symbol.clone(), may_open);
        Step { all, symbol: symbol.clone() }
    }

    /// A coin for which an order may be on its way, or of whose order nobody knows the fate.
    pub(in crate::desk) fn unsettled_coin(&self) -> Option<Symbol> {
        let sending = self.under_way.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sending = sending.keys().next().cloned();
        sending.or_else(|| {
            let unresolved = self.unresolved.lock().unwrap_or_else(PoisonError::into_inner);
            unresolved.keys().next().cloned()
        })
    }

    /// Coins that an opening may still give a position, with why.
    pub(in crate::desk) fn openings_in_doubt(&self) -> BTreeMap<Symbol, String> {
        let mut coins = BTreeMap::new();
        for (symbol, left) in self.unresolved.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if left.may_open {
                coins.insert(symbol.clone(), format!("nobody knows the fate of an opening in {symbol} yet"));
            }
        }
        for (symbol, may_open) in self.under_way.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if *may_open {
                coins.insert(symbol.clone(), format!("an opening in {symbol} is under way"));
            }
        }
        coins
    }
}
