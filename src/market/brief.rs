//! The brief: all the market data of one cycle, gathered side by side before the model is asked.
//!
//! What fails or is old is named among the sources and never keeps the rest from arriving.

mod coin;

use std::collections::HashSet;
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::domain::{SourceStatus, Symbol, Timestamp};

use self::coin::CoinReadings;
pub use self::coin::{CoinBrief, Positioning};
use super::error::SourceError;
use super::reading::Reading;
use super::simsar::Simsar;
use super::sources::alternative_me::FearGreed;
use super::sources::finnhub::{CalendarEntry, Headline, NewsCategory, gist};
use super::sources::yahoo::IndexBar;

/// Headlines shown of each category.
const SHOWN_HEADLINES: usize = 10;
/// Daily bars shown of the index.
const SHOWN_BARS: usize = 5;
/// Coins read side by side; within a coin everything is.
const COINS_AT_ONCE: usize = 16;

/// The market as one cycle sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Brief {
    /// Market time at which gathering began.
    pub as_of: Timestamp,
    /// One entry a coin, in the order asked.
    pub coins: Vec<CoinBrief>,
    /// The Fear & Greed index.
    pub fear_greed: Option<FearGreed>,
    /// The latest headlines.
    pub news: NewsBrief,
    /// The economic calendar, soonest first.
    pub calendar: Vec<CalendarEntry>,
    /// The Dow Jones.
    pub us30: Option<IndexQuote>,
    /// Its last five closed daily bars, oldest first.
    pub us30_candles: Vec<IndexBar>,
    /// What was read, how old it is and what failed.
    pub sources: Vec<SourceStatus>,
}

/// Headlines by category, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct NewsBrief {
    /// Everything.
    pub general: Vec<Headline>,
    /// Crypto.
    pub crypto: Vec<Headline>,
    /// Currencies.
    pub forex: Vec<Headline>,
}

/// The value of an index.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IndexQuote {
    /// Points.
    pub price: f64,
    /// When it was taken.
    pub as_of: Timestamp,
    /// Whether its exchange is open.
    pub session_open: bool,
    /// Percent from the close of the session before the one the value belongs to.
    pub change_pct: Option<f64>,
    /// The contract on shares that stands for the index, when it is not the index itself.
    pub proxy: Option<&'static str>,
}

impl Brief {
    /// What is known of one coin.
    pub fn coin(&self, symbol: &Symbol) -> Option<&CoinBrief> {
        self.coins.iter().find(|coin| &coin.symbol == symbol)
    }
}

impl Simsar {
    /// Gathers everything within `deadline`; what is not there by then is reported as missing.
    pub async fn brief(&self, symbols: &[Symbol], deadline: Duration) -> Brief {
        // Boxed: with every request of the cycle inside it is tens of kilobytes.
        Box::pin(self.gather(symbols, deadline)).await
    }

    async fn gather(&self, symbols: &[Symbol], deadline: Duration) -> Brief {
        let as_of = self.inner.clock.now();
        let limit = Limit { at: Instant::now() + deadline, span: deadline };
        let coins = self.coins(symbols, limit);
        let news =
            futures_util::future::join_all(NewsCategory::ALL.map(|category| self.headlines(category, limit)));
        let fear_greed = limit.read("alternative_me/fear-greed", self.fear_greed());
        let calendar = limit.read("finnhub/calendar", self.calendar());
        let us30 = limit.read("yahoo/us30", self.us30());
        let intervals = limit.read("binance/funding-intervals", self.funding_intervals());
        let (coins, news, fear_greed, calendar, us30, (_, intervals)) =
            tokio::join!(coins, news, fear_greed, calendar, us30, intervals);

        let (coins, mut sources) = coins;
        sources.push(intervals);
        let (fear_greed, status) = fear_greed;
        sources.push(status);
        let mut news = news.into_iter().map(|(headlines, status)| {
            sources.push(status);
            headlines
        });
        let mut next = || news.next().unwrap_or_default();
        let mut news_brief = NewsBrief { general: next(), crypto: next(), forex: next() };
        drop(news);
        news_brief.tell_each_once();
        let (calendar, mut status) = calendar;
        if calendar.as_ref().is_some_and(|calendar| calendar.value.instead_of.is_some()) {
            "fair_economy/calendar".clone_into(&mut status.name);
        }
        sources.push(status);
        let (chart, mut status) = us30;
        if let Some(chart) = chart.as_ref().filter(|chart| chart.value.instead_of.is_some()) {
            status.name = format!("{}/us30", first_word(&chart.value.source));
        }
        sources.push(status);
        let us30 = chart.as_ref().and_then(|chart| {
            let price = chart.value.price?;
            Some(IndexQuote {
                price,
                as_of: chart.as_of,
                session_open: chart.value.session_open,
                change_pct: chart.value.change_pct(),
                proxy: Some(chart.value.instrument).filter(|name| name.ends_with("USDT")),
            })
        });
        Brief {
            as_of,
            coins,
            fear_greed: fear_greed.map(|reading| reading.value),
            news: news_brief,
            calendar: calendar.map(|reading| reading.value.entries.clone()).unwrap_or_default(),
            us30,
            us30_candles: chart.map(|chart| last(&chart.value.bars, SHOWN_BARS).to_vec()).unwrap_or_default(),
            sources,
        }
    }

    /// Every coin in a task of its own, so that decoding one does not wait for another.
    async fn coins(&self, symbols: &[Symbol], limit: Limit) -> (Vec<CoinBrief>, Vec<SourceStatus>) {
        let bitcoin = symbols.iter().find(|symbol| symbol.as_str() == "BTCUSDT").cloned();
        let mut waiting = symbols.iter().cloned().enumerate();
        let mut running = JoinSet::new();
        let mut read: Vec<Option<CoinReadings>> = symbols.iter().map(|_| None).collect();
        loop {
            while running.len() < COINS_AT_ONCE
                && let Some((place, symbol)) = waiting.next()
            {
                let simsar = self.clone();
                running.spawn(async move {
                    (place, Box::pin(CoinReadings::gather(&simsar, symbol, limit)).await)
                });
            }
            match running.join_next().await {
                None => break,
                Some(Ok((place, readings))) => read[place] = Some(readings),
                Some(Err(error)) => tracing::error!(%error, "reading a coin ended unexpectedly"),
            }
        }
        let place = bitcoin.and_then(|bitcoin| symbols.iter().position(|symbol| *symbol == bitcoin));
        let bitcoin = place.and_then(|place| read[place].as_ref()).map(CoinReadings::candles_4h);
        let mut coins = Vec::with_capacity(symbols.len());
        let mut sources = Vec::new();
        for (symbol, readings) in symbols.iter().zip(&mut read) {
            match readings {
                Some(readings) => {
                    coins.push(readings.brief(bitcoin.as_deref()));
                    sources.append(&mut readings.take_statuses());
                }
                None => coins.push(CoinReadings::nothing(symbol.clone()).brief(None)),
            }
        }
        (coins, sources)
    }

    async fn headlines(&self, category: NewsCategory, limit: Limit) -> (Vec<Headline>, SourceStatus) {
        let name = format!("finnhub/news/{}", category.as_str());
        let (news, mut status) = limit.read(name, self.news(category)).await;
        if news.as_ref().is_some_and(|news| news.value.instead_of.is_some()) {
            status.name = format!("rss/news/{}", category.as_str());
        }
        let headlines = news.map(|reading| first(&reading.value.headlines, SHOWN_HEADLINES).to_vec());
        (headlines.unwrap_or_default(), status)
    }
}

/// The moment by which everything must be there.
#[derive(Clone, Copy)]
struct Limit {
    at: Instant,
    span: Duration,
}

impl Limit {
    /// A reading that is told of elsewhere, should it be missing.
    async fn within<T>(self, reading: impl Future<Output = Result<T, SourceError>>) -> Option<T> {
        timeout_at(self.at, reading).await.ok()?.ok()
    }

    /// A reading and how it went, under a name.
    async fn read<T>(
        self,
        name: impl Into<String>,
        reading: impl Future<Output = Result<Reading<T>, SourceError>>,
    ) -> (Option<Reading<T>>, SourceStatus) {
        let mut status = SourceStatus { name: name.into(), as_of: None, stale: false, error: None };
        match timeout_at(self.at, reading).await {
            Ok(Ok(reading)) => {
                status.as_of = Some(reading.as_of);
                status.stale = reading.stale;
                status.error.clone_from(&reading.note);
                return (Some(reading), status);
            }
            Ok(Err(error)) => status.error = Some(error.to_string()),
            Err(_elapsed) => status.error = Some(format!("no answer within {:?}", self.span)),
        }
        (None, status)
    }
}

impl NewsBrief {
    /// A headline that several categories carry stays in the first of them that is narrower than `general`.
    fn tell_each_once(&mut self) {
        let mut seen = HashSet::new();
        for category in [&mut self.crypto, &mut self.forex, &mut self.general] {
            category.retain(|headline| seen.insert(gist(headline.text.raw())));
        }
    }
}

fn first_word(text: &str) -> &str {
    text.split(' ').next().unwrap_or(text)
}

fn first<T>(items: &[T], count: usize) -> &[T] {
    &items[..items.len().min(count)]
}

fn last<T>(items: &[T], count: usize) -> &[T] {
    &items[items.len().saturating_sub(count)..]
}

#[cfg(test)]
mod tests;
