//! Which coins' prices are still heard. A stream can stay open and say nothing, and a screen does not show how old a
//! price is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::floor::Floor;
use super::guards::MarketFacts;
use crate::domain::{Event, Price, Severity, Symbol, Timestamp};
use crate::market::Brief;

/// After so much silence the last price heard is one of the past. Mark prices come once a second.
const LONGEST_SILENCE: Duration = Duration::from_secs(15);
/// How often the silence is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// Who told a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Teller {
    /// The stream, which is the one to listen to as soon as it spoke once.
    Stream,
    /// A brief that was read; it counts for coins no stream has told of.
    Brief,
}

/// When each coin's price was heard last, in market time and by a clock that never stands, and from whom.
#[derive(Debug, Default)]
pub(super) struct Hearing(Mutex<BTreeMap<Symbol, (Timestamp, Instant, Teller)>>);

impl Hearing {
    fn note(&self, marks: &[(Symbol, Price)], now: Timestamp, teller: Teller) {
        let news = (now, Instant::now(), teller);
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (symbol, _) in marks {
            let known = heard.entry(symbol.clone()).or_insert(news);
            if teller == Teller::Stream || known.2 == Teller::Brief {
                *known = news;
            }
        }
    }

    /// The coins that were heard of once and are silent for too long, and for how long. A world's clock may run faster
    /// than its streams, or stand still: the shorter of market time and real time counts.
    fn silent(&self, now: Timestamp) -> BTreeMap<Symbol, Duration> {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ages = heard.iter().map(|(symbol, (at, since, _))| {
            let in_the_market = (now - *at).to_std().unwrap_or_default();
            (symbol.clone(), in_the_market.min(since.elapsed()))
        });
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
                    self.hear(marks, Teller::Stream);
                }
                _ = look.tick() => self.tell_silence(&mut is_silent),
            }
        }
    }

    /// Takes in marks, whoever read them, and tells those that moved.
    pub(super) fn hear(&self, marks: Vec<(Symbol, Price)>, teller: Teller) {
        self.hearing.note(&marks, self.shared.clock.now(), teller);
        let moved = self.shared.bulletin.read(|present| {
            let is_known = |mark: &(Symbol, Price)| present.marks.contains(mark);
            marks.into_iter().filter(|mark| !is_known(mark)).collect::<Vec<_>>()
        });
        if !moved.is_empty() {
            self.shared.bulletin.tell(None, Event::Marks { marks: moved });
        }
    }

    /// How many coins no price is heard of any more, and for how long, in seconds; to ten, as it is told when it changes.
    pub(super) fn silence(&self) -> Option<(usize, u64)> {
        let silent = self.hearing.silent(self.shared.clock.now());
        let longest = silent.values().max()?.as_secs();
        Some((silent.len(), longest - longest % 10))
    }

    fn tell_silence(&self, was_silent: &mut bool) {
        let silent = self.hearing.silent(self.shared.clock.now());
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
        let silent = self.hearing.silent(self.shared.clock.now());
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
        let at = |seconds| Timestamp::UNIX_EPOCH + chrono::TimeDelta::seconds(seconds);
        hearing.note(&[(bitcoin.clone(), price), (ether.clone(), price)], at(0), Teller::Stream);
        tokio::time::advance(Duration::from_secs(14)).await;
        assert!(hearing.silent(at(14)).is_empty());
        hearing.note(&[(ether, price)], at(14), Teller::Stream);
        hearing.note(&[(bitcoin.clone(), price)], at(14), Teller::Brief);
        assert!(hearing.silent(at(60)).is_empty(), "a fast market alone makes no price old");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(hearing.silent(at(14)).is_empty(), "nor does one that stands still");
        let silent = hearing.silent(at(15));
        assert_eq!(silent.into_iter().collect::<Vec<_>>(), [(bitcoin.clone(), LONGEST_SILENCE)]);
        hearing.note(&[(bitcoin, price)], at(15), Teller::Stream);
        assert!(hearing.silent(at(15)).is_empty());
    }
}
