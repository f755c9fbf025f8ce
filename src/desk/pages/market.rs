//! The market at a glance, from the same brief a cycle reads.

use futures_util::future::join_all;
use rust_decimal::prelude::ToPrimitive;

use crate::desk::floor::{BRIEF_TIME, Floor};
use crate::domain::{Interval, MarketCoin, MarketPage, Price, Symbol, Untrusted};
use crate::market::CalendarEntry;
use crate::market::brief::{Brief, CoinBrief};

/// Hourly closes of a sparkline: two days.
const CLOSES: usize = 48;
/// Headlines shown of each category.
const HEADLINES: usize = 5;

impl Floor {
    /// Asks simsar, whose shelves answer what is fresh enough without asking anybody.
    pub(super) async fn market_page(&self) -> MarketPage {
        let brief = self.simsar.brief(&self.symbols(), BRIEF_TIME).await;
        let coins = join_all(brief.coins.iter().map(|coin| async {
            let closes = self.closes(&coin.symbol).await;
            row(coin, closes)
        }))
        .await;
        MarketPage { as_of: brief.as_of, coins, ..around(brief) }
    }

    async fn closes(&self, symbol: &Symbol) -> Vec<f64> {
        match self.simsar.window(symbol, Interval::Hour1).await {
            Ok(window) => window.value.last(CLOSES).iter().filter_map(|candle| float(candle.close)).collect(),
            // The coin's own row says what failed: the brief has just asked for the same candles.
            Err(_) => Vec::new(),
        }
    }
}

fn row(coin: &CoinBrief, closes: Vec<f64>) -> MarketCoin {
    let share = |percent: f64| percent / 100.0;
    MarketCoin {
        symbol: coin.symbol.clone(),
        price: coin.price,
        closes,
        rsi: coin.rsi,
        macd_histogram: coin.macd_histogram,
        adx: coin.adx,
        atr_share: coin.atr.zip(coin.price.and_then(float)).map(|(atr, price)| atr / price),
        funding: coin.funding_rate,
        open_interest_change: coin.positioning.open_interest_24h_pct.map(share),
        correlation: coin.correlation_btc,
        beta: coin.beta_btc,
    }
}

/// A price as a point of a line: nothing is reckoned with it.
fn float(price: Price) -> Option<f64> {
    price.value().to_f64()
}

fn around(brief: Brief) -> MarketPage {
    let news = [&brief.news.general, &brief.news.crypto, &brief.news.forex];
    let mut headlines: Vec<_> =
        news.into_iter().flat_map(|category| category.iter().take(HEADLINES)).collect();
    headlines.sort_by_key(|headline| std::cmp::Reverse(headline.at));
    MarketPage {
        as_of: brief.as_of,
        coins: Vec::new(),
        fear_greed: brief.fear_greed.map(|index| (u32::from(index.value), Untrusted::new(index.class))),
        headlines: headlines
            .into_iter()
            .map(|headline| (Some(headline.at), headline.source.clone(), headline.text.clone()))
            .collect(),
        events: brief
            .calendar
            .iter()
            .map(|entry| (entry.at, Untrusted::new(entry.impact), with_country(entry)))
            .collect(),
        sources: brief.sources,
    }
}

/// What is published, after the country it is published in, where the source names one.
fn with_country(entry: &CalendarEntry) -> Untrusted {
    match entry.country.as_str() {
        "" => entry.event.clone(),
        country => Untrusted::new(format!("{country} {}", entry.event.raw())),
    }
}
