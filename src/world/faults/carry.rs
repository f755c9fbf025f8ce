//! What rules do to the world itself, not to a request on its way.

use std::sync::Arc;

use axum::Router;
use rust_decimal::Decimal;

use super::{Effect, FaultError, Faults, Rule, Struck};
use crate::domain::{AccountName, Symbol};
use crate::world::engine::AccountId;
use crate::world::market::MarketError;
use crate::world::{World, WorldError, analyst};

/// A conditional order that will be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Vanishing {
    /// Wall time, ms.
    pub at_ms: i64,
    pub account: AccountId,
    pub algo: i64,
}

impl World {
    /// The weather: what is armed and what was done.
    pub fn faults(&self) -> &Arc<Faults> {
        &self.faults
    }

    /// Arms rules, all of them or none, from now on, with draws from `seed` if there is one; returns their numbers.
    pub fn arm(&self, seed: Option<u64>, rules: Vec<Rule>) -> Result<Vec<u64>, FaultError> {
        {
            let core = self.core();
            for rule in &rules {
                let gap = match &rule.effect {
                    Effect::PriceGap { symbol, .. } => Some(symbol),
                    _ => None,
                };
                if let Some(symbol) = gap
                    .into_iter()
                    .chain(&rule.wanted.symbol)
                    .find(|symbol| !core.engine.contracts().contains_key(symbol))
                {
                    let listed: Vec<&str> = core.engine.contracts().keys().map(Symbol::as_str).collect();
                    return Err(FaultError(format!(
                        "unknown symbol {symbol}; allowed are {}",
                        listed.join(", ")
                    )));
                }
                if let Some(name) = rule.wanted.account.as_ref()
                    && account_named(&core, name).is_none()
                {
                    let names: Vec<&str> =
                        core.engine.accounts().map(|(_, account)| account.name.as_str()).collect();
                    return Err(FaultError(format!(
                        "unknown account {name}; allowed are {}",
                        names.join(", ")
                    )));
                }
            }
        }
        let numbers = self.faults.arm(seed, rules, self.wall_ms())?;
        self.run_timed_faults();
        Ok(numbers)
    }

    /// Lets happen what is due by time alone.
    pub(crate) fn run_timed_faults(&self) {
        if !self.faults.is_idle() {
            self.carry_out(&self.faults.due(self.wall_ms()), None);
        }
    }

    /// Does what of `struck` happens to the world. `account` sent the request that was struck, if one was.
    pub(crate) fn carry_out(&self, struck: &[Struck], account: Option<&AccountName>) {
        for struck in struck {
            let account = struck.account.as_ref().or(account);
            match &struck.effect {
                Effect::PriceGap { symbol, percent } => {
                    if let Err(error) = self.gap(symbol, *percent) {
                        tracing::warn!(%error, "a price gap was not possible");
                    }
                }
                Effect::ListenKeyExpired {} => {
                    let mut core = self.core();
                    let who = account.and_then(|name| account_named(&core, name));
                    core.listen_keys.expire(who);
                }
                Effect::Silent {} | Effect::Disconnect { .. } => {
                    let who = account.and_then(|name| account_named(&self.core(), name));
                    let farewell = match &struck.effect {
                        Effect::Disconnect { code } => Some(*code),
                        _ => None,
                    };
                    self.feed.end(who, farewell);
                }
                _ => {}
            }
        }
    }

    /// Moves the last price by so many percent, to the nearest tick.
    fn gap(&self, symbol: &Symbol, percent: Decimal) -> Result<(), WorldError> {
        let price = {
            let core = self.core();
            let unknown =
                || MarketError::BadPrice { symbol: symbol.clone(), price: percent, tick: Decimal::ZERO };
            let quote = core.engine.quote(symbol).map_err(|_| unknown())?;
            let tick = core.engine.contract(symbol).map_err(|_| unknown())?.listing.tick;
            let moved = quote.last * (Decimal::ONE_HUNDRED + percent) / Decimal::ONE_HUNDRED;
            (moved / tick).round() * tick
        };
        self.set_price(symbol, price)
    }

    /// The analyst on a bad day.
    pub(crate) fn faulty_analyst(&self, fault: analyst::Fault) -> Router {
        analyst::router(analyst::AnalystOptions {
            token_delay: self.options.token_delay,
            fault: Some(fault),
            ..Default::default()
        })
    }
}

fn account_named(core: &crate::world::Core, name: &AccountName) -> Option<AccountId> {
    core.engine.accounts().find(|(_, account)| account.name == *name).map(|(id, _)| id)
}
