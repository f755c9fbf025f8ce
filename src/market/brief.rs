//! The brief: all the market data of one cycle, gathered side by side before the model is asked (SPEC §2.2).
//!
//! What fails or is old is named among the sources and never keeps the rest from arriving.

use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use crate::domain::{Candle, Interval, Price, SourceStatus, Symbol, Timestamp};

use super::error::SourceError;
use super::indicators::{Bars, Indicator, to_float};
use super::reading::Reading;
use super::simsar::Simsar;
use super::sources::alternative_me::FearGreed;
use super::sources::binance::{CandleWindow, Premium};
use super::sources::finnhub::{CalendarEntry, Headline, NewsCategory};
use super::sources::yahoo::IndexBar;

/// The timeframe of the brief.
const INTERVAL: Interval = Interval::Hour4;
/// Candles shown of each coin.
const SHOWN_CANDLES: usize = 20;
/// Headlines shown of each category.
const SHOWN_HEADLINES: usize = 10;
/// Daily bars shown of the index.
const SHOWN_BARS: usize = 5;
/// Bars of 4 h in a day and in a week.
const DAY: usize = 6;
const WEEK: usize = 42;

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

/// One coin. What could not be had is absent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CoinBrief {
    /// The contract.
    pub symbol: Symbol,
    /// Last traded price. Without it the coin is not offered to the model.
    pub price: Option<Price>,
    /// Mark price.
    pub mark_price: Option<Price>,
    /// The last 20 closed candles of 4 h, oldest first.
    pub candles_4h: Vec<Candle>,
    /// How many closed candles the indicators were computed on; an indicator that needs more is absent.
    pub candles_used: usize,
    /// RSI(14).
    pub rsi: Option<f64>,
    /// MACD(12, 26, 9): the line.
    pub macd_line: Option<f64>,
    /// Its signal.
    pub macd_signal: Option<f64>,
    /// Line minus signal.
    pub macd_histogram: Option<f64>,
    /// ADX(14).
    pub adx: Option<f64>,
    /// Bollinger bands (20, 2): the lower.
    pub bb_lower: Option<f64>,
    /// The middle.
    pub bb_middle: Option<f64>,
    /// The upper.
    pub bb_upper: Option<f64>,
    /// ATR(14), in USDT.
    pub atr: Option<f64>,
    /// Rate of the running funding interval, as a share; positive: longs pay.
    pub funding_rate: Option<f64>,
    /// When it is paid next.
    pub next_funding: Option<Timestamp>,
    /// Percent from the close before to the last close of 4 h.
    pub change_4h_pct: Option<f64>,
    /// Percent over the last six closed candles of 4 h.
    pub change_24h_pct: Option<f64>,
    /// Percent over the last 42 closed candles of 4 h.
    pub change_7d_pct: Option<f64>,
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
        let coins = futures_util::future::join_all(symbols.iter().map(|symbol| self.coin(symbol, limit)));
        let news =
            futures_util::future::join_all(NewsCategory::ALL.map(|category| self.headlines(category, limit)));
        let fear_greed = limit.read("alternative_me/fear-greed", self.fear_greed());
        let calendar = limit.read("finnhub/calendar", self.calendar());
        let us30 = limit.read("yahoo/us30", self.us30());
        let (coins, news, fear_greed, calendar, us30) = tokio::join!(coins, news, fear_greed, calendar, us30);

        let mut sources = Vec::new();
        let coins = coins
            .into_iter()
            .map(|(coin, statuses)| {
                sources.extend(statuses);
                coin
            })
            .collect();
        let (fear_greed, status) = fear_greed;
        sources.push(status);
        let mut news = news.into_iter().map(|(headlines, status)| {
            sources.push(status);
            headlines
        });
        let mut next = || news.next().unwrap_or_default();
        let news_brief = NewsBrief { general: next(), crypto: next(), forex: next() };
        drop(news);
        let (calendar, mut status) = calendar;
        if calendar.as_ref().is_some_and(|calendar| calendar.value.instead_of.is_some()) {
            "fair_economy/calendar".clone_into(&mut status.name);
        }
        sources.push(status);
        let (chart, status) = us30;
        sources.push(status);
        let us30 = chart.as_ref().and_then(|chart| {
            let price = chart.value.price?;
            Some(IndexQuote {
                price,
                as_of: chart.as_of,
                session_open: chart.value.session_open,
                change_pct: chart.value.change_pct(),
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

    async fn coin(&self, symbol: &Symbol, limit: Limit) -> (CoinBrief, Vec<SourceStatus>) {
        let (price, premium, window) = tokio::join!(
            limit.read(format!("binance/price/{symbol}"), self.price(symbol)),
            limit.read(format!("binance/funding-rate/{symbol}"), self.premium(symbol)),
            limit.read(format!("binance/klines/{symbol}/{INTERVAL}"), self.window(symbol, INTERVAL)),
        );
        let (window, window_status) = window;
        let empty = CandleWindow::default();
        let candles = window.as_ref().map_or(&empty, |reading| reading.value.as_ref());
        let coin = coin_brief(
            symbol,
            price.0.map(|reading| reading.value),
            premium.0.as_ref().map(|reading| &reading.value),
            candles,
        );
        (coin, vec![price.1, premium.1, window_status])
    }

    async fn headlines(&self, category: NewsCategory, limit: Limit) -> (Vec<Headline>, SourceStatus) {
        let name = format!("finnhub/news/{}", category.as_str());
        let (news, status) = limit.read(name, self.news(category)).await;
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

fn coin_brief(
    symbol: &Symbol,
    price: Option<Price>,
    premium: Option<&Premium>,
    window: &CandleWindow,
) -> CoinBrief {
    let bars = Bars::of(&window.candles);
    let [rsi] = last_values("rsi", &bars);
    let [macd_line, macd_signal, macd_histogram] = last_values("macd", &bars);
    let [adx] = last_values("adx", &bars);
    let [bb_lower, bb_middle, bb_upper] = last_values("bbands", &bars);
    let [atr] = last_values("atr", &bars);
    CoinBrief {
        symbol: symbol.clone(),
        price,
        mark_price: premium.and_then(|premium| premium.mark_price),
        candles_4h: window.last(SHOWN_CANDLES).to_vec(),
        candles_used: window.candles.len(),
        rsi,
        macd_line,
        macd_signal,
        macd_histogram,
        adx,
        bb_lower,
        bb_middle,
        bb_upper,
        atr,
        funding_rate: premium.and_then(|premium| premium.funding_rate).map(to_float),
        next_funding: premium.and_then(|premium| premium.next_funding),
        change_4h_pct: change_pct(&bars.close, 1),
        change_24h_pct: change_pct(&bars.close, DAY),
        change_7d_pct: change_pct(&bars.close, WEEK),
    }
}

/// The last values of an indicator with its default settings; default settings are never refused.
fn last_values<const N: usize>(name: &str, bars: &Bars) -> [Option<f64>; N] {
    let lines = Indicator::named(name).and_then(|indicator| indicator.over(bars).ok()).unwrap_or_default();
    std::array::from_fn(|index| lines.get(index).and_then(super::indicators::Line::last))
}

/// Percent between the last close and the one `bars` before it.
fn change_pct(closes: &[f64], bars: usize) -> Option<f64> {
    let last = closes.len().checked_sub(1)?;
    let before = closes[last.checked_sub(bars)?];
    Some((closes[last] / before - 1.0) * 100.0)
}

fn first<T>(items: &[T], count: usize) -> &[T] {
    &items[..items.len().min(count)]
}

fn last<T>(items: &[T], count: usize) -> &[T] {
    &items[items.len().saturating_sub(count)..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::test_sources::{Served, noon, symbol};

    const DEADLINE: Duration = Duration::from_secs(20);

    fn coins() -> Vec<Symbol> {
        vec![symbol("BTCUSDT"), symbol("ETHUSDT")]
    }

    fn failed(brief: &Brief) -> Vec<&str> {
        let failed = brief.sources.iter().filter(|source| source.error.is_some());
        failed.map(|source| source.name.as_str()).collect()
    }

    #[tokio::test]
    async fn everything_of_the_cycle_is_there_and_each_datum_was_asked_for_once() {
        let served = Served::new();
        let brief = served.simsar().brief(&coins(), DEADLINE).await;
        let coin = &brief.coins[1];
        assert_eq!((coin.symbol.as_str(), coin.price.unwrap().to_string().as_str()), ("ETHUSDT", "66491.8"));
        assert_eq!((coin.candles_4h.len(), coin.candles_used, coin.funding_rate), (20, 499, Some(0.0001)));
        let all = [
            coin.rsi,
            coin.macd_line,
            coin.macd_signal,
            coin.macd_histogram,
            coin.adx,
            coin.bb_lower,
            coin.bb_middle,
            coin.bb_upper,
            coin.atr,
            coin.change_4h_pct,
            coin.change_24h_pct,
            coin.change_7d_pct,
        ];
        assert!(all.iter().all(Option::is_some), "{coin:?}");
        assert!(coin.bb_lower < coin.bb_middle && coin.bb_middle < coin.bb_upper);
        assert_eq!(brief.fear_greed.as_ref().unwrap().class, "Extreme Fear");
        assert_eq!((brief.news.general.len(), brief.news.forex.len(), brief.calendar.len()), (2, 2, 2));
        assert_eq!((brief.us30.as_ref().unwrap().price, brief.us30_candles.len()), (53277.01, 4));
        assert_eq!(brief.as_of, noon());
        assert_eq!(failed(&brief), [""; 0]);
        assert_eq!(brief.sources.len(), 2 * 3 + 6);
        assert!(brief.sources.iter().all(|source| source.as_of.is_some() && !source.stale));
        assert_eq!(served.requests().len(), 2 * 3 + 6);
    }

    #[tokio::test]
    async fn indicators_and_changes_are_those_of_the_candles() {
        let simsar = Served::new().simsar();
        let brief = simsar.brief(&coins(), DEADLINE).await;
        let window = simsar.window(&coins()[0], INTERVAL).await.unwrap().value;
        assert_eq!(brief.coins[0].candles_4h, window.last(20));
        let closes: Vec<f64> = window.last(43).iter().map(|candle| to_float(candle.close.value())).collect();
        let expected = (closes[42] / closes[36] - 1.0) * 100.0;
        assert!((brief.coins[0].change_24h_pct.unwrap() - expected).abs() < 1e-12);
        let rsi = Indicator::Rsi { period: 14 }.over(&Bars::of(&window.candles)).unwrap()[0].last();
        assert_eq!(brief.coins[0].rsi, rsi);
    }

    #[tokio::test(start_paused = true)]
    async fn each_dead_source_is_named_and_the_rest_arrives() {
        for (path, named) in [
            ("/fapi/v2/ticker/price", vec!["binance/price/BTCUSDT", "binance/price/ETHUSDT"]),
            ("/fapi/v1/premiumIndex", vec!["binance/funding-rate/BTCUSDT", "binance/funding-rate/ETHUSDT"]),
            ("/fapi/v1/klines", vec!["binance/klines/BTCUSDT/4h", "binance/klines/ETHUSDT/4h"]),
            ("/fng/", vec!["alternative_me/fear-greed"]),
            ("/api/v1/news", vec!["finnhub/news/general", "finnhub/news/crypto", "finnhub/news/forex"]),
            ("/api/v1/calendar/economic", vec!["finnhub/calendar"]),
            ("/v8/finance/chart/%5EDJI", vec!["yahoo/us30"]),
        ] {
            for lie in ["<html>no</html>", "{}", "[]", "[[]]", "null", "{\"data\":5}", "[{\"x\""] {
                let served = Served::new();
                served.says(path, lie);
                let brief = served.simsar().brief(&coins(), DEADLINE).await;
                assert_eq!(failed(&brief), named, "{path} says {lie}");
                assert_eq!(brief.us30.is_none(), path.contains("DJI"), "{lie}");
                assert_eq!(brief.coins.len(), 2);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_source_costs_no_more_than_the_deadline() {
        let served = Served::new();
        served.falls_silent("/api/v1/");
        let begun = Instant::now();
        let brief = served.simsar().brief(&coins(), Duration::from_secs(3)).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(3));
        assert!(brief.coins.iter().all(|coin| coin.price.is_some() && coin.rsi.is_some()));
        let silent = brief.sources.iter().find(|source| source.name == "finnhub/news/crypto").unwrap();
        assert_eq!(silent.error.as_deref(), Some("no answer within 3s"));
        assert!(brief.news.crypto.is_empty() && brief.fear_greed.is_some());
    }

    #[tokio::test]
    async fn a_young_contract_has_the_indicators_its_history_allows() {
        let served = Served::new();
        let row = |bar: i64| {
            let open = noon().timestamp_millis() - (21 - bar) * 14_400_000;
            serde_json::json!([open, "10", "12", "9", "11", "1", open + 14_399_999])
        };
        served.says("/fapi/v1/klines", (0..20).map(row).collect::<serde_json::Value>().to_string());
        let brief = served.simsar().brief(&coins()[..1], DEADLINE).await;
        assert!(brief.coins[0].rsi.is_some() && brief.coins[0].adx.is_none());
        assert_eq!((brief.coins[0].candles_used, failed(&brief).len()), (20, 0), "young is not broken");
    }
}
