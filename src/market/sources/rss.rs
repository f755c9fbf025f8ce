//! News without a key: RSS and Atom feeds of newspapers and central banks (data.md §3.5).

use std::sync::{Arc, Mutex, PoisonError};

use super::finnhub::{Headline, News, NewsCategory, without_doubles};
use super::wire;
use crate::domain::Timestamp;
use crate::market::error::SourceError;
use crate::market::upstream::{Upstream, Validators};

/// A feed: what it is about, who publishes it, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedAddress {
    /// Which of our categories it fills.
    pub category: NewsCategory,
    /// Who publishes it, as headlines show it.
    pub name: String,
    /// Scheme and host.
    pub host: String,
    /// Path and query.
    pub path: String,
}

impl FeedAddress {
    /// The feeds read when no key for a news service is there. All are public and need no key.
    pub fn real() -> Vec<Self> {
        use NewsCategory::{Crypto, Forex, General};
        [
            (Crypto, "CoinDesk", "https://www.coindesk.com", "/arc/outboundfeeds/rss/"),
            (Crypto, "Cointelegraph", "https://cointelegraph.com", "/rss"),
            (Crypto, "Decrypt", "https://decrypt.co", "/feed"),
            (General, "Federal Reserve", "https://www.federalreserve.gov", "/feeds/press_all.xml"),
            (General, "CNBC", "https://www.cnbc.com", "/id/20910258/device/rss/rss.html"),
            (General, "MarketWatch", "https://feeds.content.dowjones.io", "/public/rss/mw_topstories"),
            (Forex, "ECB", "https://www.ecb.europa.eu", "/rss/press.html"),
        ]
        .map(|(category, name, host, path)| Self {
            category,
            name: name.to_owned(),
            host: host.to_owned(),
            path: path.to_owned(),
        })
        .to_vec()
    }
}

/// The feeds of every category.
#[derive(Debug)]
pub(crate) struct Rss {
    pub(crate) feeds: Vec<Feed>,
}

/// One feed, and what it said last, so that it need not say it again.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) address: FeedAddress,
    pub(crate) upstream: Upstream,
    kept: Mutex<Option<(Validators, Items)>>,
}

/// What can be read of a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Items {
    headlines: Vec<Headline>,
    /// Items without a title or a time.
    unusable: usize,
}

impl Rss {
    /// The headlines of every feed of a category that can be read, or why none can; `None` when there is no feed.
    pub(crate) async fn news(
        &self,
        category: NewsCategory,
        now: Timestamp,
    ) -> Option<Result<News, SourceError>> {
        let feeds = self.feeds.iter().filter(|feed| feed.address.category == category);
        let read = futures_util::future::join_all(feeds.map(|feed| feed.read(now))).await;
        let mut headlines = Vec::new();
        let (mut refused, mut names, mut first_failure) = (0, Vec::new(), None);
        for result in read {
            match result {
                Ok((name, mut items)) => {
                    headlines.append(&mut items.headlines);
                    refused += items.unusable;
                    names.push(name);
                }
                Err(error) => {
                    tracing::info!(%error, "a feed could not be read");
                    first_failure.get_or_insert(error);
                }
            }
        }
        if names.is_empty() {
            return first_failure.map(Err);
        }
        let source = Arc::from(format!("rss ({})", names.join(", ")));
        Some(Ok(News { headlines: without_doubles(headlines), refused, source, instead_of: None }))
    }
}

impl Feed {
    pub(crate) fn new(address: FeedAddress, upstream: Upstream) -> Self {
        Self { address, upstream, kept: Mutex::default() }
    }

    /// Its name and its items; those of the last time when it says that nothing changed.
    async fn read(&self, now: Timestamp) -> Result<(&str, Items), SourceError> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (known, items) = kept.map_or_else(Default::default, |(known, items)| (known, Some(items)));
        let name = self.address.name.as_str();
        match (self.upstream.bytes_if_changed(&self.address.path, &known).await?, items) {
            (None, Some(items)) => Ok((name, items)),
            // Nothing new to somebody who has nothing: such an answer is only taken with validators.
            (None, None) => Err(self.upstream.empty("feed")),
            (Some((body, validators)), _) => {
                let items = items_of(&body, name, now).map_err(|broken| match broken {
                    Broken::NoFeed => self.upstream.malformed("neither RSS nor Atom"),
                    Broken::NoItem => self.upstream.empty("item with a title and a time"),
                })?;
                let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
                *kept = Some((validators, items.clone()));
                Ok((name, items))
            }
        }
    }
}

/// Why a body has no headline.
enum Broken {
    NoFeed,
    NoItem,
}

/// The items of a feed's body; `name` is who published them.
fn items_of(body: &[u8], name: &str, now: Timestamp) -> Result<Items, Broken> {
    let parsed = feed_rs::parser::parse(body).map_err(|_| Broken::NoFeed)?;
    let rows = parsed.entries.len();
    let headlines: Vec<_> = parsed
        .entries
        .into_iter()
        .filter_map(|entry| {
            let text = wire::cleaned_text(&without_markup(&entry.title?.content));
            let at = entry.published.or(entry.updated)?;
            // A feed that dates its items ahead would otherwise stay on top.
            let at = at.min(now);
            (!text.is_empty()).then(|| Headline { text, source: wire::cleaned_text(name), at })
        })
        .collect();
    if headlines.is_empty() {
        return Err(Broken::NoItem);
    }
    Ok(Items { unusable: rows - headlines.len(), headlines })
}

/// Titles are text by the standard and HTML in practice.
fn without_markup(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        plain.push_str(&rest[..at]);
        let tag = &rest[at..];
        let is_tag = tag[1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!');
        if let Some(end) = tag.find('>').filter(|_| is_tag) {
            plain.push(' ');
            rest = &tag[end + 1..];
        } else {
            plain.push('<');
            rest = &tag[1..];
        }
    }
    plain.push_str(rest);
    [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&apos;", "'"),
        ("&nbsp;", " "),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(plain, |text, (entity, character)| text.replace(entity, character))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::simsar::{Simsar, SimsarOptions};
    use crate::market::test_sources::{Served, noon};

    const COINDESK: &str = r#"<?xml version="1.0"?><rss version="2.0"><channel><title>CoinDesk</title>
        <item><title><![CDATA[<b>Bitcoin</b> slips below 66,000 &amp; recovers]]></title>
          <link>https://example.org/a</link><guid>a</guid><pubDate>Mon, 02 Mar 2026 09:00:00 +0000</pubDate></item>
        <item><title>Undated</title><guid>b</guid></item>
        <item><title>From the future</title><guid>c</guid><pubDate>Tue, 03 Mar 2026 09:00:00 +0000</pubDate></item>
        </channel></rss>"#;
    const DECRYPT: &str = r#"<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><title>Decrypt</title><id>d</id>
        <updated>2026-03-02T10:00:00Z</updated>
        <entry><id>1</id><title>BITCOIN slips below 66,000 &amp; recovers</title><updated>2026-03-02T08:00:00Z</updated></entry>
        <entry><id>2</id><title>Fees fall</title><updated>2026-03-02T08:30:00Z</updated></entry></feed>"#;

    fn keyless(served: &Served) -> Simsar {
        let mut options = SimsarOptions { finnhub_token: None, ..Served::options() };
        options.addresses.feeds = ["/coindesk", "/decrypt"]
            .map(|path| FeedAddress {
                category: NewsCategory::Crypto,
                name: path[1..].to_owned(),
                host: "http://sources".to_owned(),
                path: path.to_owned(),
            })
            .to_vec();
        Simsar::new(options, served.transport(), served.clock.clone())
    }

    #[tokio::test]
    async fn feeds_stand_in_when_there_is_no_key_and_are_named() {
        let served = Served::new();
        served.says("/coindesk", COINDESK);
        served.says("/decrypt", DECRYPT);
        let simsar = keyless(&served);
        let news = simsar.news(NewsCategory::Crypto).await.unwrap();
        let texts: Vec<_> = news.value.headlines.iter().map(|headline| headline.text.raw()).collect();
        assert_eq!(texts, ["From the future", "Bitcoin slips below 66,000 & recovers", "Fees fall"]);
        assert_eq!(news.value.headlines[0].at, noon(), "never later than now");
        assert_eq!((&*news.value.source, news.value.refused), ("rss (coindesk, decrypt)", 1));
        assert!(news.value.instead_of.as_ref().unwrap().contains("finnhub: no key"));
        assert!(simsar.news(NewsCategory::Forex).await.unwrap_err().is_no_access(), "no feed, no news");
    }

    #[tokio::test(start_paused = true)]
    async fn one_dead_feed_does_not_take_the_other_and_a_page_is_no_feed() {
        let served = Served::new();
        served.says("/coindesk", "<html><body>Just a moment...</body></html>");
        served.says("/decrypt", DECRYPT);
        let news = keyless(&served).news(NewsCategory::Crypto).await.unwrap().value;
        assert_eq!((&*news.source, news.headlines.len()), ("rss (decrypt)", 2));
        served.says("/decrypt", "");
        let error = keyless(&served).news(NewsCategory::Crypto).await.unwrap_err().to_string();
        assert!(error.contains("finnhub: no key") && error.contains("neither RSS nor Atom"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_feed_that_moved_is_followed_and_one_that_moves_in_circles_is_not() {
        let served = Served::new();
        served.says("/decrypt", "");
        served.answers("/coindesk", 308, Some("/new/place"), "", usize::MAX);
        served.answers("/new/place", 301, Some("http://sources/newer"), "", usize::MAX);
        served.says("/newer", COINDESK);
        assert!(keyless(&served).news(NewsCategory::Crypto).await.is_ok());
        served.answers("/newer", 302, Some("/coindesk"), "", usize::MAX);
        assert!(keyless(&served).news(NewsCategory::Crypto).await.is_err());
        served.answers("/newer", 302, Some("//elsewhere/x"), "", usize::MAX);
        assert!(keyless(&served).news(NewsCategory::Crypto).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_feed_that_did_not_change_is_not_read_twice() {
        let served = Served::new();
        served.says("/decrypt", DECRYPT);
        served.says("/coindesk", COINDESK);
        served
            .carries("/coindesk", &[("etag", "W/\"7\""), ("last-modified", "Mon, 02 Mar 2026 09:30:00 GMT")]);
        let simsar = keyless(&served);
        let first = simsar.news(NewsCategory::Crypto).await.unwrap();
        let later = async || {
            served.clock.advance(chrono::Duration::minutes(6));
            tokio::time::advance(std::time::Duration::from_mins(6)).await;
            simsar.news(NewsCategory::Crypto).await.unwrap()
        };
        served.answers("/coindesk", 304, None, "", usize::MAX);
        assert_eq!(later().await.value.headlines, first.value.headlines, "the ones at hand");
        let headers = served.headers_of("/coindesk");
        assert_eq!(headers["if-none-match"], "W/\"7\"");
        assert_eq!(headers["if-modified-since"], "Mon, 02 Mar 2026 09:30:00 GMT");
        assert!(!served.headers_of("/decrypt").contains_key("if-none-match"), "it named no validator");
        served.says("/coindesk", COINDESK.replace("recovers", "falls on"));
        assert_ne!(later().await.value.headlines, first.value.headlines, "it changed");
        served.answers("/decrypt", 304, None, "", usize::MAX);
        assert_eq!(&*later().await.value.source, "rss (coindesk)", "nothing new, unasked, is no answer");
    }

    #[test]
    fn markup_goes_and_mathematics_stays() {
        assert_eq!(without_markup("a<br/>b <script>x</script>&lt;c"), "a b  x <c");
        assert_eq!(without_markup("BTC < 5 and ETH <"), "BTC < 5 and ETH <");
    }
}
