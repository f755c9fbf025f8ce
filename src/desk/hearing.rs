//! Which coins' prices are still heard. A stream can stay open and say nothing, and a screen does not show how old a
//! price is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::floor::Floor;
use super::guards::MarketFacts;
use crate::domain::{Event, Price, Severity, Symbol};
use crate::market::Brief;

/// After so much silence the last price heard is one of the past. Mark prices come once a second.
const LONGEST_SILENCE: Duration = Duration::from_secs(15);
/// How often the silence is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// When each coin's price was heard last.
#[derive(Debug, Default)]
pub(super) struct Hearing(Mutex<BTreeMap<Symbol, Instant>>);

impl Hearing {
    fn note(&self, marks: &[(Symbol, Price)]) {
        let now = Instant::now();
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.extend(marks.iter().map(|(symbol, _)| (symbol.clone(), now)));
    }

    /// The coins that were heard of once and are silent for too long, and for how long.
    fn silent(&self) -> BTreeMap<Symbol, Duration> {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ages = heard.iter().map(|(symbol, at)| (symbol.clone(), at.elapsed()));
        ages.filter(|(_, age)| *age >= LONGEST_SILENCE).collect()
    }
}

impl Floor {
    /// Tells the mark prices as they come, and when they stay away.
    pub(super) async fn tell_marks(self: Arc<Self>, mut heard: mpsc::Receiver<Vec<(Symbol, Price)>>) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut is_silent = false;
        loop {
            tokio::select! {
                marks = heard.recv() => {
                    let Some(marks) = marks else { return };
                    self.hearing.note(&marks);
                    self.shared.bulletin.tell(None, Event::Marks { marks });
                }
                _ = look.tick() => self.tell_silence(&mut is_silent),
            }
        }
    }

    fn tell_silence(&self, was_silent: &mut bool) {
        let silent = self.hearing.silent();
        if silent.is_empty() != *was_silent {
            return;
        }
        *was_silent = !silent.is_empty();
        let (severity, text) = if *was_silent {
            let coins: Vec<&str> = silent.keys().map(Symbol::as_str).collect();
            let text = format!(
                "no price heard for {} s: {}; what is shown of it is old, and nothing is opened there",
                LONGEST_SILENCE.as_secs(),
                coins.join(" ")
            );
            (Severity::Warning, text)
        } else {
            (Severity::Info, "all prices are heard again".to_owned())
        };
        self.shared.bulletin.record(None, Event::Alarm { severity, text });
    }

    /// The market of a brief with the newest marks, and with the coins whose marks stay away.
    pub(super) fn market_facts(&self, brief: &Brief) -> MarketFacts {
        let mut market = MarketFacts::of(brief, |symbol| self.mark_of(symbol));
        let silent = self.hearing.silent();
        for coin in &mut market.coins {
            coin.silent_s = silent.get(&coin.symbol).map(Duration::as_secs);
        }
        market
    }
}

#[cfg(test)]
mod tests {
    use rust_decimal::Decimal;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_coin_is_silent_when_it_was_heard_of_and_is_no_more() {
        let hearing = Hearing::default();
        let [bitcoin, ether] = ["BTCUSDT", "ETHUSDT"].map(|name| Symbol::new(name).unwrap());
        let price = Price::new(Decimal::ONE).unwrap();
        hearing.note(&[(bitcoin.clone(), price), (ether.clone(), price)]);
        tokio::time::advance(Duration::from_secs(14)).await;
        assert!(hearing.silent().is_empty());
        hearing.note(&[(ether, price)]);
        tokio::time::advance(Duration::from_secs(1)).await;
        let silent = hearing.silent();
        assert_eq!(silent.into_iter().collect::<Vec<_>>(), [(bitcoin.clone(), LONGEST_SILENCE)]);
        hearing.note(&[(bitcoin, price)]);
        assert!(hearing.silent().is_empty());
    }
}
