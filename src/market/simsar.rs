//! The one door to market data: sources, shelves and the clock in one handle.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU16;
use std::time::Duration;

use chrono::Duration as Span;
use secrecy::SecretString;
use tokio::sync::Semaphore;

use crate::domain::{Clock, Interval, Price, Symbol, Timestamp};
use crate::net::Transport;

use super::addresses::SourceAddresses;
use super::error::SourceError;
use super::indicators::WINDOW;
use super::live::LiveQuotes;
use super::reading::Reading;
use super::shelf::{Shelf, Taken};
use super::sources::alternative_me::{AlternativeMe, FearGreed};
use super::sources::binance::{
    Binance, CandleWindow, FundingPaid, LongShort, OpenInterest, Premium, RatioKind,
};
use super::sources::fair_economy::FairEconomy;
use super::sources::finnhub::{Calendar, Finnhub, News, NewsCategory};
use super::sources::fred::Fred;
use super::sources::rss::{Feed, Rss};
use super::sources::yahoo::{self, IndexChart, Yahoo};
use super::upstream::Upstream;

/// How simsar is set up.
#[derive(Debug, Clone)]
pub struct SimsarOptions {
    /// Where the sources are.
    pub addresses: SourceAddresses,
    /// Finnhub's key; without it news come from the feeds and the calendar from FairEconomy.
    pub finnhub_token: Option<SecretString>,
    /// The contracts it answers for; empty allows every well-spelled one.
    pub symbols: Vec<Symbol>,
    /// Most requests in flight, 64 by default.
    pub concurrency: usize,
    /// Whether the sources are an offline world's; their names then say so.
    pub built_in: bool,
    /// Folder in which the last calendar is kept; without it, it is not.
    pub data_dir: Option<PathBuf>,
}

/// The market-data API. Cheap to clone; clones share connections, shelves and limits.
#[derive(Clone)]
pub struct Simsar {
    pub(crate) inner: Arc<Inner>,
}

impl std::fmt::Debug for Simsar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simsar").field("symbols", &self.inner.symbols).finish_non_exhaustive()
    }
}

pub(crate) struct Inner {
    pub(crate) symbols: Vec<Symbol>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) binance: Binance,
    pub(crate) alternative_me: AlternativeMe,
    pub(crate) finnhub: Finnhub,
    pub(crate) fair_economy: FairEconomy,
    pub(crate) yahoo: Yahoo,
    pub(crate) fred: Fred,
    pub(crate) rss: Rss,
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) live: LiveQuotes,
    funding_intervals: Shelf<(), Arc<HashMap<String, u8>>>,
    prices: Shelf<Symbol, Price>,
    premiums: Shelf<Symbol, Premium>,
    windows: Shelf<(Symbol, Interval, usize), Arc<CandleWindow>>,
    fundings: Shelf<(Symbol, u32), Arc<[FundingPaid]>>,
    interests: Shelf<Symbol, OpenInterest>,
    interest_histories: Shelf<(Symbol, &'static str, u32), Arc<[OpenInterest]>>,
    ratios: Shelf<(RatioKind, Symbol, &'static str, u32), Arc<[LongShort]>>,
    fear_greed: Shelf<(), FearGreed>,
    news: Shelf<NewsCategory, Arc<News>>,
    calendar: Shelf<(), Arc<Calendar>>,
    us30: Shelf<(), Arc<IndexChart>>,
}

/// What the exchange allows one address a minute.
const WEIGHT_A_MINUTE: u32 = 2400;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

impl Simsar {
    /// Sets it up; nothing is asked before somebody asks.
    pub fn new(options: SimsarOptions, transport: Transport, clock: Arc<dyn Clock>) -> Self {
        let permits = Arc::new(Semaphore::new(options.concurrency.clamp(1, Semaphore::MAX_PERMITS)));
        let built_in = options.built_in;
        let upstream = move |name: &str, base: &str| {
            let name = if built_in { format!("{name} (built-in)") } else { name.to_owned() };
            Upstream::new(&name, base, &transport, &permits)
        };
        let addresses = options.addresses;
        let feeds = addresses.feeds.into_iter().map(|feed| {
            let name = format!("rss/{}", feed.name);
            let upstream = upstream(&name, &feed.host).following_redirects();
            Feed::new(feed, upstream)
        });
        let rss = Rss { feeds: feeds.collect() };
        let never = Span::zero();
        let inner = Inner {
            binance: Binance {
                // A world only reports weights, and its market time may race.
                upstream: match upstream("binance", &addresses.binance) {
                    binance if built_in => binance,
                    binance => binance.with_weight_limit(WEIGHT_A_MINUTE),
                },
            },
            alternative_me: AlternativeMe { upstream: upstream("alternative_me", &addresses.alternative_me) },
            finnhub: Finnhub {
                upstream: upstream("finnhub", &addresses.finnhub),
                token: options.finnhub_token,
                calendar_denied: AtomicU16::new(0),
            },
            fair_economy: FairEconomy { upstream: upstream("fair_economy", &addresses.fair_economy) },
            yahoo: Yahoo { upstream: upstream("yahoo", &addresses.yahoo).with_default_wait(yahoo::QUIET) },
            fred: Fred { upstream: upstream("fred", &addresses.fred) },
            rss,
            data_dir: options.data_dir,
            live: LiveQuotes::default(),
            funding_intervals: Shelf::new(Arc::clone(&clock), HOUR, Span::hours(24)),
            prices: Shelf::new(Arc::clone(&clock), SECOND, never),
            premiums: Shelf::new(Arc::clone(&clock), SECOND, never),
            windows: Shelf::new(Arc::clone(&clock), MINUTE, never),
            fundings: Shelf::new(Arc::clone(&clock), MINUTE, never),
            interests: Shelf::new(Arc::clone(&clock), 10 * SECOND, never),
            interest_histories: Shelf::new(Arc::clone(&clock), MINUTE, never),
            ratios: Shelf::new(Arc::clone(&clock), MINUTE, never),
            fear_greed: Shelf::new(Arc::clone(&clock), HOUR, Span::hours(48)),
            news: Shelf::new(Arc::clone(&clock), 5 * MINUTE, Span::hours(6)),
            calendar: Shelf::new(Arc::clone(&clock), HOUR, Span::hours(24)),
            us30: Shelf::new(Arc::clone(&clock), 5 * MINUTE, Span::hours(24)),
            symbols: options.symbols,
            clock,
        };
        Self { inner: Arc::new(inner) }
    }

    /// What a contract costs: the middle of the book while the stream talks, else the last traded price, at most a
    /// second old.
    pub async fn price(&self, symbol: &Symbol) -> Result<Reading<Price>, SourceError> {
        let inner = &self.inner;
        if let Some((value, as_of)) = inner.live.price(symbol, inner.clock.as_ref()) {
            return Ok(Reading { value, as_of, stale: false, note: None });
        }
        inner
            .prices
            .get(symbol, async {
                let (price, time) = inner.binance.price(symbol).await?;
                Ok(inner.live(price, time, Span::seconds(1)))
            })
            .await
    }

    /// The last traded prices of several contracts, asked for side by side.
    pub async fn prices(&self, symbols: &[Symbol]) -> Vec<(Symbol, Result<Reading<Price>, SourceError>)> {
        let prices = symbols.iter().map(|symbol| async move { (symbol.clone(), self.price(symbol).await) });
        futures_util::future::join_all(prices).await
    }

    /// Mark price and running funding of a contract.
    pub async fn premium(&self, symbol: &Symbol) -> Result<Reading<Premium>, SourceError> {
        let inner = &self.inner;
        inner
            .premiums
            .get(symbol, async {
                let premium = inner.binance.premium(symbol).await?;
                let time = premium.time;
                Ok(inner.live(premium, time, Span::seconds(1)))
            })
            .await
    }

    /// The window every indicator is computed on: up to 499 closed candles, oldest first.
    pub async fn window(
        &self,
        symbol: &Symbol,
        interval: Interval,
    ) -> Result<Reading<Arc<CandleWindow>>, SourceError> {
        self.closed_candles(symbol, interval, WINDOW).await
    }

    /// At least the last `count` closed candles, as far as they exist.
    pub(crate) async fn closed_candles(
        &self,
        symbol: &Symbol,
        interval: Interval,
        count: usize,
    ) -> Result<Reading<Arc<CandleWindow>>, SourceError> {
        const LONGEST: usize = 1500;
        let depth = if count <= WINDOW { WINDOW } else { LONGEST };
        let inner = &self.inner;
        inner
            .windows
            .get(&(symbol.clone(), interval, depth), async {
                let now = inner.clock.now();
                let window = inner.binance.closed_candles(symbol, interval, depth, now).await?;
                let length = interval.millis().map_or_else(|| Span::days(31), Span::milliseconds);
                let newest = window.candles.last().map(|candle| candle.open_time);
                let closed_at = newest.and_then(|open| span_after(open, length));
                let next_close = closed_at.map(|closed| closed + length).filter(|next| *next > now);
                let late = closed_at.is_none_or(|closed| now - closed > length * 2);
                let note = window.note();
                Ok(Taken {
                    as_of: if late { closed_at.unwrap_or(now) } else { now },
                    fresh_until: next_close.unwrap_or(now + Span::seconds(1)),
                    stale_after: length * 2,
                    note,
                    value: Arc::new(window),
                })
            })
            .await
    }

    pub(crate) async fn funding_history(
        &self,
        symbol: &Symbol,
        limit: u32,
    ) -> Result<Reading<Arc<[FundingPaid]>>, SourceError> {
        let inner = &self.inner;
        inner
            .fundings
            .get(&(symbol.clone(), limit), async {
                let paid = inner.binance.funding_history(symbol, limit).await?;
                Ok(inner.live(paid.into(), None, Span::minutes(1)))
            })
            .await
    }

    /// The fundings paid at or after an instant, oldest first, as the exchange has them now.
    pub(crate) async fn fundings_since(
        &self,
        symbol: &Symbol,
        start_ms: i64,
    ) -> Result<Vec<FundingPaid>, SourceError> {
        self.inner.binance.fundings_since(symbol, start_ms).await
    }

    pub(crate) async fn open_interest(&self, symbol: &Symbol) -> Result<Reading<OpenInterest>, SourceError> {
        let inner = &self.inner;
        inner
            .interests
            .get(symbol, async {
                let interest = inner.binance.open_interest(symbol).await?;
                let time = interest.time;
                let mut taken = inner.live(interest, time, Span::seconds(10));
                taken.stale_after = Span::minutes(15);
                Ok(taken)
            })
            .await
    }

    pub(crate) async fn open_interest_history(
        &self,
        symbol: &Symbol,
        period: &'static str,
        limit: u32,
    ) -> Result<Reading<Arc<[OpenInterest]>>, SourceError> {
        let inner = &self.inner;
        inner
            .interest_histories
            .get(&(symbol.clone(), period, limit), async {
                let history = inner.binance.open_interest_history(symbol, period, limit).await?;
                Ok(inner.live(history.into(), None, Span::minutes(1)))
            })
            .await
    }

    pub(crate) async fn long_short(
        &self,
        kind: RatioKind,
        symbol: &Symbol,
        period: &'static str,
        limit: u32,
    ) -> Result<Reading<Arc<[LongShort]>>, SourceError> {
        let inner = &self.inner;
        inner
            .ratios
            .get(&(kind, symbol.clone(), period, limit), async {
                let ratios = inner.binance.long_short(kind, symbol, period, limit).await?;
                let newest = ratios.last().map(|ratio| ratio.time);
                let mut taken = inner.live(ratios.into(), newest, Span::minutes(1));
                taken.stale_after = period_length(period) * 2 + Span::minutes(10);
                Ok(taken)
            })
            .await
    }

    /// The Fear & Greed index; as of the day it was published for.
    pub async fn fear_greed(&self) -> Result<Reading<FearGreed>, SourceError> {
        let inner = &self.inner;
        inner
            .fear_greed
            .get(&(), async {
                let index = inner.alternative_me.latest().await?;
                let day = index.as_of;
                let mut taken = inner.live(index, Some(day), Span::hours(1));
                // A new value comes every day; one missed hour of grace.
                taken.stale_after = Span::hours(25);
                Ok(taken)
            })
            .await
    }

    /// Hours between two fundings of a contract.
    pub(crate) async fn funding_interval(&self, symbol: &Symbol) -> Result<u8, SourceError> {
        /// What a contract has that the exchange does not list as different.
        const USUAL: u8 = 8;
        let intervals = self.funding_intervals().await?;
        Ok(intervals.value.get(symbol.as_str()).copied().unwrap_or(USUAL))
    }

    /// Hours between two fundings of the contracts that differ from the usual.
    pub(crate) async fn funding_intervals(&self) -> Result<Reading<Arc<HashMap<String, u8>>>, SourceError> {
        let inner = &self.inner;
        inner
            .funding_intervals
            .get(&(), async {
                let intervals = inner.binance.funding_intervals().await?;
                Ok(inner.live(Arc::new(intervals), None, Span::hours(1)))
            })
            .await
    }

    /// The latest headlines of a category; those of the feeds where no key covers them.
    pub async fn news(&self, category: NewsCategory) -> Result<Reading<Arc<News>>, SourceError> {
        let inner = &self.inner;
        inner
            .news
            .get(&category, async {
                let news = inner.read_news(category).await?;
                let note = refused_note(news.refused, "row(s) without a headline or a time");
                let taken = inner.live(Arc::new(news), None, Span::minutes(5));
                Ok(Taken { note, stale_after: Span::minutes(30), ..taken })
            })
            .await
    }

    /// The economic calendar from today to seven days ahead; FairEconomy's week where the key does not cover it, and
    /// the last copy kept on disk where nobody answers.
    pub async fn calendar(&self) -> Result<Reading<Arc<Calendar>>, SourceError> {
        let inner = &self.inner;
        inner
            .calendar
            .get(&(), async {
                let (calendar, at) = inner.read_calendar().await?;
                let note = refused_note(calendar.refused, "row(s) without an event or a time");
                // What only stands in is asked for again sooner.
                let fresh_for = if at < inner.clock.now() { Span::minutes(5) } else { Span::hours(1) };
                let taken = inner.live(Arc::new(calendar), Some(at), fresh_for);
                Ok(Taken { note, stale_after: Span::hours(2), ..taken })
            })
            .await
    }

    /// The Dow Jones, as of the time of its quote; a proxy or FRED's last close where Yahoo does not answer.
    pub async fn us30(&self) -> Result<Reading<Arc<IndexChart>>, SourceError> {
        let inner = &self.inner;
        inner
            .us30
            .get(&(), async {
                let chart = inner.read_us30().await?;
                let note = refused_note(chart.refused, "bar(s) incomplete or inconsistent");
                let (time, open) = (chart.price_time, chart.session_open);
                let taken = inner.live(Arc::new(chart), time, Span::minutes(5));
                // While New York is closed the last quote is the truth: a long weekend is under four days.
                let stale_after = if open { Span::minutes(30) } else { Span::hours(96) };
                Ok(Taken { stale_after, note, ..taken })
            })
            .await
    }

    /// The contracts it answers for; empty means every well-spelled one.
    pub fn symbols(&self) -> &[Symbol] {
        &self.inner.symbols
    }
}

impl Inner {
    /// A reading of something that moves: as of the source's stamp, or of now where it gives none.
    fn live<V>(&self, value: V, time: Option<Timestamp>, fresh_for: Span) -> Taken<V> {
        let now = self.clock.now();
        Taken {
            value,
            as_of: time.unwrap_or(now),
            fresh_until: now + fresh_for,
            stale_after: Span::minutes(1).max(fresh_for * 2),
            note: None,
        }
    }
}

fn span_after(open_time: i64, length: Span) -> Option<Timestamp> {
    chrono::DateTime::from_timestamp_millis(open_time)?.checked_add_signed(length)
}

fn refused_note(refused: usize, what: &str) -> Option<String> {
    (refused > 0).then(|| format!("{refused} {what} refused"))
}

/// The periods of the exchange's statistics.
pub(crate) const PERIODS: [(&str, i64); 9] = [
    ("5m", 5),
    ("15m", 15),
    ("30m", 30),
    ("1h", 60),
    ("2h", 120),
    ("4h", 240),
    ("6h", 360),
    ("12h", 720),
    ("1d", 1440),
];

fn period_length(period: &str) -> Span {
    let minutes = PERIODS.iter().find(|(word, _)| *word == period).map_or(60, |(_, minutes)| *minutes);
    Span::minutes(minutes)
}
