//! Paper money on real prices: tells an embedded exchange what the public streams of Binance say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use rust_decimal::Decimal;
use secrecy::SecretString;
use tokio::sync::mpsc::{self, Receiver};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, sleep, sleep_until, timeout};

use super::failure::Failure;
use crate::domain::{Clock, Price, Symbol};
use crate::exchange::{Credentials, ExchangeClient, SymbolRules};
use crate::market::stream::{Quote as Book, follow_premiums, follow_quotes};
use crate::market::{Premium, Simsar};
use crate::net::{SocketConnector, Transport};
use crate::world::market::{FedQuote, Listing, Quote};
use crate::world::{MissedFunding, Told, World};

/// Batches that may wait.
const BACKLOG: usize = 64;
/// Half of a quote that was heard longer ago makes no quote any more.
const LONGEST_SILENCE: Duration = Duration::from_secs(10);
/// How long a new mark waits for the book that belongs to it: after a jump, a stop must not fill at the book before.
const BOOK_FOLLOWS: Duration = Duration::from_millis(500);
/// How long the exchange may take to tell of fundings nobody heard of. Stops wait for it.
const FUNDINGS_TIME: Duration = Duration::from_secs(5);
/// How often silence is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// How often the first prices are looked for.
const FIRST_LOOK: Duration = Duration::from_millis(50);

/// Where the prices are.
pub struct Source {
    /// Reads what the streams do not repeat.
    pub simsar: Simsar,
    /// Opens sockets.
    pub connector: SocketConnector,
    /// `wss://host` before the routes.
    pub ws_url: String,
}

/// Prices flow for as long as it is held.
pub struct Feed(JoinHandle<()>);

impl Drop for Feed {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Feed {
    /// Begins to tell `world` the prices of these contracts.
    pub fn start(world: Arc<World>, source: Source, symbols: Vec<Symbol>) -> Self {
        Self(tokio::spawn(flow(world, source, symbols)))
    }
}

/// The contracts in USDT that are traded there, with their rules.
pub async fn listings(
    transport: &Transport,
    base_url: &str,
    wall: Arc<dyn Clock>,
) -> Result<Vec<Listing>, Failure> {
    // The rules are public: nothing is signed.
    let nobody = Credentials { api_key: SecretString::from(""), api_secret: SecretString::from("") };
    let client = ExchangeClient::new(transport.clone(), base_url, nobody, wall);
    let rules = client.exchange_info().await.map_err(|error| {
        Failure::failed(format!(
            "the contracts traded at {base_url} could not be read: {error}; paper money on real prices \
             (market.source = \"binance\") needs them"
        ))
    })?;
    let listings = rules.into_values().filter(SymbolRules::is_tradable).map(|rules| Listing {
        symbol: rules.symbol,
        tick: rules.price.step.normalize(),
        // As the increment is written there: 0.10 has two.
        price_digits: rules.price.step.scale(),
        step: rules.market_quantity.step.normalize(),
        minimum_notional: rules.min_notional.value(),
        // When fundings are paid is told with the prices.
        funding_hours: 8,
    });
    Ok(listings.filter(|listing| !listing.tick.is_zero() && !listing.step.is_zero()).collect())
}

/// Waits until every contract has a price, at most for `limit`. The contracts without one.
pub async fn first_prices(world: &World, symbols: &[Symbol], limit: Duration) -> Vec<Symbol> {
    let all = async {
        while !world.hears_all(symbols) {
            sleep(FIRST_LOOK).await;
        }
    };
    if timeout(limit, all).await.is_ok() { Vec::new() } else { silent(world, symbols) }
}

fn silent(world: &World, symbols: &[Symbol]) -> Vec<Symbol> {
    symbols.iter().filter(|symbol| !world.hears_all(std::slice::from_ref(*symbol))).cloned().collect()
}

async fn flow(world: Arc<World>, source: Source, symbols: Vec<Symbol>) {
    let Source { simsar, connector, ws_url } = source;
    let (premiums_out, premiums) = mpsc::channel(BACKLOG);
    let (books_out, books) = mpsc::channel(BACKLOG);
    let coins = symbols.iter().map(|symbol| (symbol.clone(), Coin::default())).collect();
    let pouring = Pouring { world, simsar, symbols: symbols.clone(), coins, was_silent: false };
    tokio::join!(
        follow_premiums(connector.clone(), ws_url.clone(), symbols.clone(), premiums_out),
        follow_quotes(connector, ws_url, symbols, books_out),
        pouring.run(premiums, books),
    );
}

/// What was heard of one contract.
#[derive(Default)]
struct Coin {
    premium: Option<(Premium, Instant)>,
    book: Option<(Book, Instant)>,
    /// The last price told: it follows the book as a trade would.
    last: Option<Decimal>,
    /// When what was heard is told.
    due: Option<Instant>,
    /// Fundings that went by unheard, once they are known.
    missed: Option<Vec<MissedFunding>>,
}

impl Coin {
    fn hear_premium(&mut self, premium: Premium, now: Instant) {
        self.premium = Some((premium, now));
        self.due = self.due.or(Some(now + BOOK_FOLLOWS));
    }

    fn hear_book(&mut self, book: Book, now: Instant) {
        self.book = Some((book, now));
        self.due = Some(now);
    }

    /// Both halves as one, if both are of now.
    fn quote(&mut self, now: Instant) -> Option<FedQuote> {
        let is_new = |heard: Instant| now.saturating_duration_since(heard) < LONGEST_SILENCE;
        let (premium, _) = self.premium.as_ref().filter(|(_, heard)| is_new(*heard))?;
        let (book, _) = self.book.filter(|(_, heard)| is_new(*heard))?;
        let (bid, ask) = (book.bid.value(), book.ask.value());
        let mark = premium.mark_price?.value();
        let last = self.last.unwrap_or(mark).max(bid).min(ask);
        self.last = Some(last);
        let index = premium.index_price.map_or(mark, Price::value);
        Some(FedQuote {
            quote: Quote { last, mark, index, bid, ask },
            funding_rate: premium.funding_rate?,
            next_funding_ms: premium.next_funding?.timestamp_millis(),
        })
    }
}

struct Pouring {
    world: Arc<World>,
    simsar: Simsar,
    symbols: Vec<Symbol>,
    coins: BTreeMap<Symbol, Coin>,
    was_silent: bool,
}

impl Pouring {
    async fn run(
        mut self,
        mut premiums: Receiver<Vec<(Symbol, Premium)>>,
        mut books: Receiver<Vec<(Symbol, Book)>>,
    ) {
        let mut look = interval(LOOK);
        look.reset();
        loop {
            let due = self.coins.values().filter_map(|coin| coin.due).min();
            tokio::select! {
                // What was heard is taken in before anything is told: only the newest is.
                biased;
                heard = premiums.recv() => {
                    let Some(heard) = heard else { return };
                    self.hear(heard, Coin::hear_premium);
                }
                heard = books.recv() => {
                    let Some(heard) = heard else { return };
                    self.hear(heard, Coin::hear_book);
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.tell().await,
                _ = look.tick() => self.note_silence(),
            }
        }
    }

    fn hear<T>(&mut self, heard: Vec<(Symbol, T)>, take: impl Fn(&mut Coin, T, Instant)) {
        let now = Instant::now();
        for (symbol, what) in heard {
            if let Some(coin) = self.coins.get_mut(&symbol) {
                take(coin, what, now);
            }
        }
    }

    /// Tells the world what is due; a contract with fundings nobody heard of first asks for them, and is told after.
    async fn tell(&mut self) {
        self.ask_for_missed().await;
        let now = Instant::now();
        let mut told = Told::default();
        for (symbol, coin) in &mut self.coins {
            if coin.due.is_none_or(|due| due > now) {
                continue;
            }
            coin.due = None;
            if let Some(quote) = coin.quote(now) {
                told.missed.extend(coin.missed.take().unwrap_or_default());
                told.quotes.push((symbol.clone(), quote));
            }
        }
        if !told.quotes.is_empty() {
            self.world.hear(told);
        }
    }

    /// After a silence over a funding, the exchange says at which rate and price it was settled.
    async fn ask_for_missed(&mut self) {
        let now_ms = self.world.clock().now().timestamp_millis();
        let gaps = self.coins.iter().filter(|(_, coin)| coin.missed.is_none()).filter_map(|(symbol, _)| {
            let heard = self.world.heard_of(symbol)?;
            heard.has_missed(now_ms).then(|| (symbol.clone(), heard.funded_to_ms))
        });
        let mut gaps: Vec<(Symbol, i64)> = gaps.collect();
        if gaps.is_empty() {
            return;
        }
        let exposed = self.world.exposed_symbols();
        gaps.retain(|(symbol, _)| exposed.contains(symbol));
        let simsar = &self.simsar;
        let answers = join_all(gaps.iter().map(|(symbol, since)| async move {
            timeout(FUNDINGS_TIME, simsar.fundings_since(symbol, *since)).await
        }))
        .await;
        for ((symbol, _), answer) in gaps.into_iter().zip(answers) {
            let reason = match answer {
                Ok(Ok(paid)) if !paid.is_empty() => {
                    let missed = paid.into_iter().map(|paid| MissedFunding {
                        symbol: symbol.clone(),
                        at_ms: paid.time.timestamp_millis(),
                        rate: paid.rate,
                        mark: paid.mark_price.map(Price::value),
                    });
                    if let Some(coin) = self.coins.get_mut(&symbol) {
                        coin.missed = Some(missed.collect());
                    }
                    continue;
                }
                Ok(Ok(_)) => "the exchange does not tell of it yet".to_owned(),
                Ok(Err(error)) => error.to_string(),
                Err(_elapsed) => format!("no answer within {FUNDINGS_TIME:?}"),
            };
            // A stop must not wait for a funding: what cannot be known is left out, and said.
            tracing::warn!(%symbol, reason, "a funding of the time without prices is not known and not booked");
            if let Some(coin) = self.coins.get_mut(&symbol) {
                coin.missed = Some(Vec::new());
            }
        }
    }

    /// Says in the log when prices stand still, and when they come again.
    fn note_silence(&mut self) {
        let silent = silent(&self.world, &self.symbols);
        if silent.is_empty() && self.was_silent {
            tracing::info!("all prices are heard again");
        } else if !silent.is_empty() && !self.was_silent {
            let silent: Vec<&str> = silent.iter().map(Symbol::as_str).collect();
            tracing::warn!(coins = silent.join(" "), "no price is heard: nothing trades there until one is");
        }
        self.was_silent = !silent.is_empty();
    }
}

#[cfg(test)]
mod tests;
