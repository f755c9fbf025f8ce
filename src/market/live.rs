//! The latest quotes of the stream, for whoever asks what a coin costs. A quote that is not from this very moment
//! is not given: REST answers then.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::simsar::Simsar;
use super::stream::{Quote, follow_quotes};
use crate::domain::{Clock, Price, Symbol, Timestamp};
use crate::net::SocketConnector;

/// A stream that said nothing of a contract for longer is quiet.
const QUIET_AFTER: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Copy)]
struct Heard {
    quote: Quote,
    /// Market time.
    at: Timestamp,
    wall: Instant,
}

/// The latest quotes by contract.
#[derive(Debug, Default)]
pub(crate) struct LiveQuotes(Mutex<HashMap<Symbol, Heard>>);

impl LiveQuotes {
    fn note(&self, quotes: Vec<(Symbol, Quote)>, at: Timestamp) {
        let wall = Instant::now();
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.extend(quotes.into_iter().map(|(symbol, quote)| (symbol, Heard { quote, at, wall })));
    }

    /// The middle of the book and when it was heard, if the stream talks. Market time may be set; a quote from before
    /// that or after is none.
    pub(crate) fn price(&self, symbol: &Symbol, clock: &dyn Clock) -> Option<(Price, Timestamp)> {
        let heard = *self.0.lock().unwrap_or_else(PoisonError::into_inner).get(symbol)?;
        let elapsed = heard.wall.elapsed();
        let age = (clock.now() - heard.at).to_std().ok()?;
        // A second of grace: the two clocks are not read at one instant.
        let longest = elapsed.mul_f64(clock.speed().clamp(1.0, 1e6)) + Duration::from_secs(1);
        (elapsed < QUIET_AFTER && age <= longest).then_some(())?;
        Some((heard.quote.middle()?, heard.at))
    }

    /// How many contracts the stream talks of now.
    pub(crate) fn count(&self) -> usize {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.values().filter(|heard| heard.wall.elapsed() < QUIET_AFTER).count()
    }
}

impl Simsar {
    /// Follows the best bids and asks of this desk's contracts for as long as it is polled; prices come from them
    /// while the stream talks. `ws_url` is scheme and host.
    pub async fn follow_quotes(&self, connector: SocketConnector, ws_url: String) {
        let (out, mut heard) = mpsc::channel(64);
        let noting = async {
            while let Some(quotes) = heard.recv().await {
                self.inner.live.note(quotes, self.inner.clock.now());
            }
        };
        tokio::join!(follow_quotes(connector, ws_url, self.symbols().to_vec(), out), noting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::test_sources::{Served, symbol};
    use rust_decimal_macros::dec;

    fn quote(bid: rust_decimal::Decimal, ask: rust_decimal::Decimal) -> Quote {
        Quote { bid: Price::new(bid).unwrap(), ask: Price::new(ask).unwrap() }
    }

    async fn price(simsar: &Simsar, name: &str) -> String {
        let answer = simsar.call(&format!("/price/{name}"), &[]).await;
        let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        format!("{} {}", answer["source"].as_str().unwrap(), answer["price"].as_str().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn the_stream_prices_while_it_talks_and_rest_when_it_is_quiet() {
        let served = Served::new();
        let simsar = served.simsar();
        simsar
            .inner
            .live
            .note(vec![(symbol("BTCUSDT"), quote(dec!(100.1), dec!(100.3)))], served.clock.now());
        assert_eq!(price(&simsar, "BTCUSDT").await, "binance (stream) 100.2");
        assert_eq!(price(&simsar, "ETHUSDT").await, "binance 66491.80", "not heard of");
        assert_eq!(served.requests().len(), 1);
        tokio::time::advance(QUIET_AFTER).await;
        assert_eq!(price(&simsar, "BTCUSDT").await, "binance 66491.80");
    }

    #[tokio::test(start_paused = true)]
    async fn a_quote_of_another_market_time_is_none() {
        let served = Served::new();
        let simsar = served.simsar();
        let btc = symbol("BTCUSDT");
        let clock = served.clock.as_ref();
        simsar.inner.live.note(vec![(btc.clone(), quote(dec!(1), dec!(1)))], clock.now());
        assert!(simsar.inner.live.price(&btc, clock).is_some());
        clock.advance(chrono::Duration::seconds(2));
        assert!(simsar.inner.live.price(&btc, clock).is_none(), "the market was set ahead");
        clock.advance(chrono::Duration::seconds(-5));
        assert!(simsar.inner.live.price(&btc, clock).is_none(), "and back");
    }
}
