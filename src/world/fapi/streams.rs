//! Public streams: their names, their routes, their messages.

use std::sync::Arc;

use serde_json::{Value, json};

use super::book::{best_size, levels};
use super::local_book::ToldBook;
use super::wire::{fixed, money};
use crate::domain::{Interval, Side, Symbol};
use crate::world::World;
use crate::world::engine::{Contract, Engine};
use crate::world::market::Bar;

/// Bars that may close between two ticks of a fast world and are still told, with the running one.
const TOLD_AT_ONCE: usize = 121;

/// Which family of streams a connection may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// Book streams; also what the unrouted paths have become.
    Public,
    /// Everything else that is public.
    Market,
    /// An account's events.
    Private,
}

/// What a subscription delivers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Content {
    MarkPrice(Symbol, Pace),
    AllMarkPrices(Pace),
    Kline(Symbol, Interval),
    ContinuousKline(Symbol, Interval),
    MiniTicker(Symbol),
    AllMiniTickers,
    Ticker(Symbol),
    AllTickers,
    AggregateTrade(Symbol),
    Trade(Symbol),
    BookTicker(Symbol),
    AllBookTickers,
    Depth(Symbol, u32),
    DepthChanges(Symbol),
    Liquidations(Symbol),
    AllLiquidations,
}

/// How often a mark price is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pace {
    EverySecond,
    EveryThird,
}

/// For how long a stream of the slow pace rests: nearly three seconds, as ticks come a little early or late.
const REST_MS: i64 = 2_900;

/// A stream as it was named, with what it delivers; silent when the name means nothing or belongs to another route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stream {
    /// As the client spelled it.
    pub name: String,
    content: Option<Content>,
    /// The book as it was last told here.
    book: Option<Arc<ToldBook>>,
    /// When it last spoke: wall and market time, ms.
    spoke: Option<(i64, i64)>,
}

impl Stream {
    pub fn new(name: &str, route: Route) -> Self {
        let content = content(name).filter(|content| content.route() == route);
        Self { name: name.to_owned(), content, book: None, spoke: None }
    }

    /// Whether it tells of liquidations in this contract.
    pub fn tells_liquidation(&self, symbol: &Symbol) -> bool {
        match &self.content {
            Some(Content::Liquidations(own)) => own == symbol,
            Some(Content::AllLiquidations) => true,
            _ => false,
        }
    }

    /// Whether its pace lets it rest; from the last word on it rests by wall time and by market time.
    fn rests(&mut self, wall: i64, now: i64) -> bool {
        if !self.content.as_ref().is_some_and(Content::is_slow) {
            return false;
        }
        let rests =
            self.spoke.is_some_and(|(then_wall, then)| wall - then_wall < REST_MS && now - then < REST_MS);
        if !rests {
            self.spoke = Some((wall, now));
        }
        rests
    }
}

impl Content {
    fn route(&self) -> Route {
        match self {
            Self::BookTicker(_)
            | Self::AllBookTickers
            | Self::Depth(..)
            | Self::DepthChanges(_)
            | Self::Trade(_) => Route::Public,
            _ => Route::Market,
        }
    }

    fn is_slow(&self) -> bool {
        matches!(self, Self::MarkPrice(_, Pace::EveryThird) | Self::AllMarkPrices(Pace::EveryThird))
    }
}

/// What a name stands for. `!contractInfo` is known to the exchange too and has nothing to say here, where no contract is
/// ever listed, settled or changed: like a name that means nothing, it stays silent.
fn content(name: &str) -> Option<Content> {
    match name {
        "!markPrice@arr" => return Some(Content::AllMarkPrices(Pace::EveryThird)),
        "!markPrice@arr@1s" => return Some(Content::AllMarkPrices(Pace::EverySecond)),
        "!forceOrder@arr" => return Some(Content::AllLiquidations),
        "!miniTicker@arr" => return Some(Content::AllMiniTickers),
        "!ticker@arr" => return Some(Content::AllTickers),
        "!bookTicker" => return Some(Content::AllBookTickers),
        _ => {}
    }
    let (symbol, kind) = name.split_once('@')?;
    if symbol.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    if let Some(interval) = kind.strip_prefix("continuousKline_") {
        let symbol = Symbol::new(&symbol.strip_suffix("_perpetual")?.to_ascii_uppercase()).ok()?;
        return Some(Content::ContinuousKline(symbol, interval.parse().ok()?));
    }
    let symbol = Symbol::new(&symbol.to_ascii_uppercase()).ok()?;
    Some(match kind {
        "markPrice" => Content::MarkPrice(symbol, Pace::EveryThird),
        "markPrice@1s" => Content::MarkPrice(symbol, Pace::EverySecond),
        "forceOrder" => Content::Liquidations(symbol),
        "miniTicker" => Content::MiniTicker(symbol),
        "ticker" => Content::Ticker(symbol),
        "aggTrade" => Content::AggregateTrade(symbol),
        "trade" => Content::Trade(symbol),
        "bookTicker" => Content::BookTicker(symbol),
        other => {
            if let Some(interval) = other.strip_prefix("kline_") {
                Content::Kline(symbol, interval.parse().ok()?)
            } else {
                let depth = other.strip_prefix("depth")?;
                let depth = depth.split('@').next().unwrap_or_default();
                if depth.is_empty() {
                    return Some(Content::DepthChanges(symbol));
                }
                let limit = depth.parse().ok()?;
                [5, 10, 20].contains(&limit).then_some(Content::Depth(symbol, limit))?
            }
        }
    })
}

/// What the streams have to say since `since` (market time, ms), and the market time now. Silent ones say nothing.
pub(super) fn render(world: &World, streams: &mut [Stream], since: i64) -> (Vec<(String, Arc<str>)>, i64) {
    let core = world.core();
    let (engine, now, wall) = (&core.engine, core.played_ms, world.wall_ms());
    let mut rendered = world.feed().rendered(now);
    let mut messages = Vec::new();
    for stream in streams {
        if stream.rests(wall, now) {
            continue;
        }
        let said = match &stream.content {
            None => continue,
            Some(Content::DepthChanges(symbol)) => {
                rendered.change(engine, &core.shown_books, symbol, &mut stream.book).into_iter().collect()
            }
            Some(content) => rendered.said(content, since, || say(world, engine, content, since, now)),
        };
        messages.extend(said.into_iter().map(|message| (stream.name.clone(), message)));
    }
    (messages, now)
}

fn say(world: &World, engine: &Engine, content: &Content, since: i64, now: i64) -> Vec<Value> {
    let all = |row: &dyn Fn(&Symbol) -> Option<Value>| -> Vec<Value> {
        engine.contracts().keys().filter_map(row).collect()
    };
    let together = |rows: Vec<Value>| vec![Value::Array(rows)];
    let one = |row: Option<Value>| row.into_iter().collect();
    match content {
        Content::MarkPrice(symbol, _) => one(mark_price(world, engine, symbol, now)),
        Content::AllMarkPrices(_) => together(all(&|symbol| mark_price(world, engine, symbol, now))),
        Content::Kline(symbol, interval) => klines(world, engine, symbol, *interval, since, now),
        Content::ContinuousKline(symbol, interval) => klines(world, engine, symbol, *interval, since, now)
            .iter()
            .map(|kline| continuous(kline, symbol))
            .collect(),
        Content::MiniTicker(symbol) => one(ticker(world, engine, symbol, now, false)),
        Content::AllMiniTickers => together(all(&|symbol| ticker(world, engine, symbol, now, false))),
        Content::Ticker(symbol) => one(ticker(world, engine, symbol, now, true)),
        Content::AllTickers => together(all(&|symbol| ticker(world, engine, symbol, now, true))),
        Content::AggregateTrade(symbol) => one(aggregate_trade(engine, symbol, now)),
        Content::Trade(symbol) => one(trade(engine, symbol, now)),
        Content::BookTicker(symbol) => one(book_ticker(engine, symbol, now)),
        Content::AllBookTickers => all(&|symbol| book_ticker(engine, symbol, now)),
        Content::Depth(symbol, limit) => one(depth(engine, symbol, *limit, now)),
        // Told by what was told before, and when they happen.
        Content::DepthChanges(_) | Content::Liquidations(_) | Content::AllLiquidations => Vec::new(),
    }
}

fn mark_price(world: &World, engine: &Engine, symbol: &Symbol, now: i64) -> Option<Value> {
    let quote = engine.quote(symbol).ok()?;
    let market = world.market();
    Some(json!({
        "e": "markPriceUpdate", "E": now, "s": symbol, "p": money(quote.mark), "ap": money(quote.mark),
        "P": money(quote.index), "i": money(quote.index), "r": money(market.funding_rate(symbol, now)),
        "T": market.next_funding_ms(symbol, now), "st": 1,
    }))
}

/// The bars that closed since the last time, and the running one.
fn klines(
    world: &World,
    engine: &Engine,
    symbol: &Symbol,
    interval: Interval,
    since: i64,
    now: i64,
) -> Vec<Value> {
    let Some(contract) = engine.contracts().get(symbol) else { return Vec::new() };
    world
        .market()
        .bars(symbol, interval, None, None, TOLD_AT_ONCE, now)
        .iter()
        .filter(|bar| bar.close_time >= since)
        .map(|bar| {
            json!({
                "e": "kline", "E": now, "s": symbol, "st": 1,
                "k": kline_body(contract, bar, interval, now),
            })
        })
        .collect()
}

/// The same bar under the name of its pair: perpetual contracts are their pairs' only ones here.
fn continuous(kline: &Value, symbol: &Symbol) -> Value {
    let mut bar = kline["k"].clone();
    if let Some(members) = bar.as_object_mut() {
        members.shift_remove("s");
    }
    json!({"e": "continuous_kline", "E": kline["E"], "ps": symbol, "ct": "PERPETUAL", "k": bar})
}

fn kline_body(contract: &Contract, bar: &Bar, interval: Interval, now: i64) -> Value {
    let price = |value| fixed(value, contract.price_digits());
    let quantity = |value| fixed(value, contract.quantity_digits());
    let half = rust_decimal::Decimal::new(5, 1);
    json!({
        "t": bar.open_time, "T": bar.close_time, "s": contract.listing.symbol, "i": interval.as_str(),
        "f": 1, "L": bar.trades, "o": price(bar.open), "c": price(bar.close), "h": price(bar.high),
        "l": price(bar.low), "v": quantity(bar.volume), "n": bar.trades, "x": bar.close_time < now,
        "q": fixed(bar.quote_volume, 5), "V": quantity(bar.volume * half),
        "Q": fixed(bar.quote_volume * half, 5), "B": "0",
    })
}

fn ticker(world: &World, engine: &Engine, symbol: &Symbol, now: i64, whole: bool) -> Option<Value> {
    let contract = engine.contracts().get(symbol)?;
    let quote = engine.quote(symbol).ok()?;
    let day = super::market_data::day_summary(world, symbol, now)?;
    let price = |value| fixed(value, contract.price_digits());
    let quantity = |value| fixed(value, contract.quantity_digits());
    let mut body = json!({
        "e": if whole { "24hrTicker" } else { "24hrMiniTicker" }, "E": now, "s": symbol, "st": 1,
        "c": price(quote.last), "o": price(day.open), "h": price(day.high.max(quote.last)),
        "l": price(day.low.min(quote.last)), "v": quantity(day.volume), "q": fixed(day.quote_volume, 2),
    });
    if whole {
        body["p"] = json!(price(quote.last - day.open));
        body["P"] = json!(fixed(day.change_percent(quote.last), 3));
        body["w"] = json!(price(day.weighted(quote.last)));
        body["Q"] = json!(quantity(contract.listing.step));
        body["O"] = json!(day.open_time);
        body["C"] = json!(now);
        body["F"] = json!(1);
        body["L"] = json!(day.trades);
        body["n"] = json!(day.trades);
    }
    Some(body)
}

fn aggregate_trade(engine: &Engine, symbol: &Symbol, now: i64) -> Option<Value> {
    let contract = engine.contracts().get(symbol)?;
    let quote = engine.quote(symbol).ok()?;
    let id = now.div_euclid(1000);
    Some(json!({
        "e": "aggTrade", "E": now, "s": symbol, "st": 1, "a": id,
        "p": fixed(quote.last, contract.price_digits()),
        "q": fixed(contract.listing.step, contract.quantity_digits()), "f": id, "l": id, "T": now,
        "m": quote.last == quote.bid,
    }))
}

fn trade(engine: &Engine, symbol: &Symbol, now: i64) -> Option<Value> {
    let contract = engine.contracts().get(symbol)?;
    let quote = engine.quote(symbol).ok()?;
    Some(json!({
        "e": "trade", "E": now, "T": now, "s": symbol, "st": 1, "t": now.div_euclid(1000),
        "p": fixed(quote.last, contract.price_digits()),
        "q": fixed(contract.listing.step, contract.quantity_digits()), "X": "MARKET",
        "m": quote.last == quote.bid,
    }))
}

fn book_ticker(engine: &Engine, symbol: &Symbol, now: i64) -> Option<Value> {
    let contract = engine.contracts().get(symbol)?;
    let quote = engine.quote(symbol).ok()?;
    let (price, quantity) = (contract.price_digits(), contract.quantity_digits());
    Some(json!({
        "e": "bookTicker", "u": engine.book_id(symbol), "E": now, "T": now, "s": symbol, "ps": symbol,
        "b": fixed(quote.bid, price), "B": fixed(best_size(contract, quote, Side::Sell), quantity),
        "a": fixed(quote.ask, price), "A": fixed(best_size(contract, quote, Side::Buy), quantity), "st": 1,
    }))
}

fn depth(engine: &Engine, symbol: &Symbol, limit: u32, now: i64) -> Option<Value> {
    let contract = engine.contracts().get(symbol)?;
    let (bids, asks) = levels(contract, engine.quote(symbol).ok()?, limit);
    let book = engine.book_id(symbol);
    Some(json!({
        "e": "depthUpdate", "E": now, "T": now, "s": symbol, "ps": symbol, "st": 1, "U": book, "u": book,
        "pu": book - 1, "b": bids, "a": asks,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_on_the_wrong_route_or_misspelled_is_silent() {
        assert!(Stream::new("btcusdt@markPrice@1s", Route::Market).content.is_some());
        assert!(Stream::new("btcusdt@markPrice@1s", Route::Public).content.is_none());
        assert!(Stream::new("btcusdt@bookTicker", Route::Public).content.is_some());
        assert!(Stream::new("BTCUSDT@bookTicker", Route::Public).content.is_none());
        assert!(Stream::new("btcusdt@kline_1s", Route::Market).content.is_none());
        assert!(Stream::new("btcusdt@kline_4h", Route::Market).content.is_some());
        assert!(Stream::new("btcusdt_perpetual@continuousKline_1m", Route::Market).content.is_some());
        assert!(Stream::new("btcusdt@continuousKline_1m", Route::Market).content.is_none());
        assert!(Stream::new("btcusdt@depth5@100ms", Route::Public).content.is_some());
        assert!(Stream::new("btcusdt@depth7", Route::Public).content.is_none());
    }
}
