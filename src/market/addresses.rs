//! Where the sources are.

use super::sources::rss::FeedAddress;

/// Where each source is reached: scheme and host, without a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceAddresses {
    /// Binance USDⓈ-M futures, below it `/fapi/…` and `/futures/data/…`.
    pub binance: String,
    /// Alternative.me, below it `/fng/`.
    pub alternative_me: String,
    /// Finnhub, below it `/api/v1/…`.
    pub finnhub: String,
    /// FairEconomy's weekly calendar, below it `/ff_calendar_thisweek.json`.
    pub fair_economy: String,
    /// Yahoo, below it `/v8/finance/chart/…`.
    pub yahoo: String,
    /// FRED, below it `/graph/fredgraph.csv`.
    pub fred: String,
    /// The news feeds read when there is no key for news.
    pub feeds: Vec<FeedAddress>,
}

impl SourceAddresses {
    /// The providers' own hosts.
    pub fn real() -> Self {
        Self {
            binance: "https://fapi.binance.com".into(),
            alternative_me: "https://api.alternative.me".into(),
            finnhub: "https://finnhub.io".into(),
            fair_economy: "https://nfs.faireconomy.media".into(),
            yahoo: "https://query1.finance.yahoo.com".into(),
            fred: "https://fred.stlouisfed.org".into(),
            feeds: FeedAddress::real(),
        }
    }

    /// One host that speaks for all of them, without news feeds.
    pub fn one_host(base_url: &str) -> Self {
        let base = base_url.trim_end_matches('/').to_owned();
        Self {
            binance: base.clone(),
            alternative_me: base.clone(),
            finnhub: base.clone(),
            fair_economy: base.clone(),
            yahoo: base.clone(),
            fred: base,
            feeds: Vec::new(),
        }
    }
}
