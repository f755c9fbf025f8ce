//! Whether "no position" is the truth. The exchange answers with an empty list now and then although something is held,
//! and nothing that protects may be taken away on such a word alone: our own fills have to say the same, or the list has
//! to say it again a while later.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use rust_decimal::Decimal;
use tokio::time::Instant;

use super::AccountDesk;
use crate::domain::Symbol;
use crate::exchange::{AlgoOrder, ExchangePosition, Held};

/// An empty reading that no fill explains counts when it is repeated this much later.
const SECOND_LOOK: Duration = Duration::from_secs(10);

impl AccountDesk {
    /// The position of a coin, read now; an error is not "none".
    pub(super) async fn position_of(&self, symbol: &Symbol) -> Result<Option<ExchangePosition>, String> {
        let held = self.client.held().await.map_err(|error| error.to_string())?;
        held.of(symbol).map(Option::<&ExchangePosition>::cloned)
    }

    /// Why an empty reading of a coin is not believed yet, after its fills were booked; `None` when they explain it. The
    /// caller holds the coin.
    pub(super) async fn doubt_that_flat(&self, symbol: &Symbol) -> Option<String> {
        match self.books_of(symbol).await {
            Ok(sum) if sum.is_zero() => {}
            Ok(sum) => return Some(format!("our fills add up to {sum}")),
            Err(reason) => return Some(reason),
        }
        match self.client.open_algo_orders(Some(symbol)).await {
            Ok(stops) => {
                contradicts(&stops, symbol).then(|| "a stop over the whole position rests".to_owned())
            }
            Err(error) => Some(error.to_string()),
        }
    }

    /// Whether a coin that was just read empty is empty: explained by our fills, or read so again later with no stop left
    /// that the exchange would have removed. Otherwise says what speaks against it.
    pub(super) async fn sure_that_flat(&self, symbol: &Symbol) -> Result<(), String> {
        let Some(doubt) = self.doubt_that_flat(symbol).await else { return Ok(()) };
        tokio::time::sleep(SECOND_LOOK).await;
        if self.position_of(symbol).await?.is_some() {
            return Err(format!("a position is there after all ({doubt})"));
        }
        let stops = self.client.open_algo_orders(Some(symbol)).await.map_err(|error| error.to_string())?;
        if contradicts(&stops, symbol) {
            return Err(unclear(symbol, "a stop over the whole position rests"));
        }
        Ok(())
    }

    /// What our fills of a coin add up to, the newest ones included.
    pub(super) async fn books_of(&self, symbol: &Symbol) -> Result<Decimal, String> {
        if self.book_fills(symbol).await.is_none() {
            return Err("its fills cannot be read".to_owned());
        }
        let booked = self.shared.store.booked_position(self.name(), symbol).await;
        booked.map_err(|error| error.to_string())
    }

    /// Coins that a reading shows empty although our fills, or a stop that rests, say otherwise, with what is said.
    /// Without such a stop the same reading ten seconds later is believed. `with_stops` asks for the stops in any case;
    /// it is a dear read.
    pub(in crate::desk) async fn unclear_coins(
        &self,
        held: &Held,
        with_stops: bool,
    ) -> BTreeMap<Symbol, String> {
        self.book_what_is_left(&[]).await;
        let is_told = |symbol: &Symbol| !matches!(held.of(symbol), Ok(None));
        let coins = self.terms.symbols.iter();
        let mut doubts: BTreeMap<Symbol, String> = match self.shared.store.booked_positions(self.name()).await
        {
            Ok(booked) => booked
                .into_iter()
                .map(|(symbol, sum)| (symbol, format!("our fills add up to {sum}")))
                .collect(),
            Err(error) => coins.map(|symbol| (symbol.clone(), error.to_string())).collect(),
        };
        doubts.retain(|symbol, _| !is_told(symbol));
        {
            let mut since = self.empty_since.lock().unwrap_or_else(PoisonError::into_inner);
            since.retain(|symbol, _| doubts.contains_key(symbol));
            doubts.retain(|symbol, _| {
                since.entry(symbol.clone()).or_insert_with(Instant::now).elapsed() < SECOND_LOOK
            });
        }
        if with_stops || !doubts.is_empty() {
            match self.client.open_algo_orders(None).await {
                Ok(stops) => {
                    for stop in stops.iter().filter(|stop| is_over_all(stop) && !is_told(&stop.symbol)) {
                        doubts.insert(stop.symbol.clone(), "a stop over the whole position rests".to_owned());
                    }
                }
                Err(error) => {
                    tracing::warn!(account = %self.name(), %error, "stops could not be read to tell flat from unread");
                }
            }
        }
        doubts
            .into_iter()
            .map(|(symbol, why)| {
                let text = unclear(&symbol, &why);
                (symbol, text)
            })
            .collect()
    }
}

/// What is said of a coin whose readings contradict each other.
pub(super) fn unclear(symbol: &Symbol, why: &str) -> String {
    format!("position unclear: the exchange shows none in {symbol}, but {why}")
}

/// Whether a stop rests that the exchange removes by itself once its position is gone.
fn contradicts(stops: &[AlgoOrder], symbol: &Symbol) -> bool {
    stops.iter().any(|stop| &stop.symbol == symbol && is_over_all(stop))
}

fn is_over_all(stop: &AlgoOrder) -> bool {
    stop.close_position && stop.status.is_live()
}
