//! What the guards take over from a brief, an account's reading and the store.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use rust_decimal_macros::dec;

use super::past::Resumed;
use super::scene::{name, symbol};
use super::*;
use crate::domain::{
    AccountState, ClientOrderId, OrderPurpose, OrderState, Side, SourceStatus, Untrusted, Usdt,
};
use crate::market::{Brief, CalendarEntry, CoinBrief};
use crate::store::{Fill, OrderIntent, OrderUpdate, Origin, Store};

fn now() -> Timestamp {
    "2026-03-02T08:00:00Z".parse().unwrap()
}

fn coin(text: &str) -> CoinBrief {
    CoinBrief {
        symbol: symbol(text),
        price: "60000".parse().ok(),
        mark_price: "60010".parse().ok(),
        index_price: "60020".parse().ok(),
        candles_4h: Vec::new(),
        candles_used: 0,
        rsi: None,
        macd_line: None,
        macd_signal: None,
        macd_histogram: None,
        adx: None,
        bb_lower: None,
        bb_middle: None,
        bb_upper: None,
        atr: Some(600.0),
        funding_rate: None,
        next_funding: None,
        funding_interval_h: None,
        change_4h_pct: None,
        change_24h_pct: Some(-2.0),
        change_7d_pct: None,
        timeframes: Vec::new(),
        returns_pct: [None; 4],
        volatility_24h_pct: None,
        volatility_30d_pct: None,
        correlation_btc: Some(0.9),
        beta_btc: Some(1.5),
        positioning: crate::market::brief::Positioning::default(),
    }
}

fn brief(coins: Vec<CoinBrief>) -> Brief {
    Brief {
        as_of: now(),
        coins,
        fear_greed: None,
        news: crate::market::brief::NewsBrief::default(),
        calendar: Vec::new(),
        us30: None,
        us30_candles: Vec::new(),
        sources: Vec::new(),
    }
}

fn source(name: &str, stale: bool) -> SourceStatus {
    SourceStatus { name: name.to_owned(), as_of: None, stale, error: None }
}

fn entry(event: &str, impact: &'static str) -> CalendarEntry {
    CalendarEntry {
        at: now(),
        country: "US".to_owned(),
        event: Untrusted::new(event),
        impact,
        estimate: None,
        previous: None,
        actual: None,
        unit: Untrusted::new(""),
    }
}

#[test]
fn an_atr_that_is_none_is_not_taken_for_one() {
    for (atr, expected) in [
        (Some(600.0), Some(dec!(600))),
        (Some(0.123_456_789_4), Some(dec!(0.123456789))),
        (Some(0.0), None),
        (Some(-1.0), None),
        (Some(f64::NAN), None),
        (None, None),
    ] {
        assert_eq!(CoinFacts::of(&CoinBrief { atr, ..coin("BTCUSDT") }).atr, expected, "{atr:?}");
    }
}

#[test]
fn a_coin_is_priced_by_the_newest_mark_else_the_briefs_else_the_last_trade() {
    let brief =
        brief(vec![coin("BTCUSDT"), coin("ETHUSDT"), CoinBrief { mark_price: None, ..coin("SOLUSDT") }]);
    let heard = |coin: &Symbol| "61000".parse::<Price>().ok().filter(|_| *coin == symbol("BTCUSDT"));
    let facts = MarketFacts::of(&brief, heard);
    let price = |text: &str| facts.coin(&symbol(text)).unwrap().price().unwrap().to_string();
    assert_eq!(["BTCUSDT", "ETHUSDT", "SOLUSDT"].map(price), ["61000", "60010", "60000"]);
    assert_eq!(facts.coin(&symbol("XRPUSDT")), None);
    assert_eq!((facts.trend, facts.as_of), (Trend::Falling, Some(now())));
}

#[test]
fn only_high_impact_entries_are_announcements() {
    let mut brief = brief(Vec::new());
    brief.calendar = vec![entry("CPI", "high"), entry("PMI", "medium"), entry("Speech", "unknown")];
    assert_eq!(MarketFacts::of(&brief, |_| None).events, [(now(), "US CPI".into())]);
}

#[test]
fn a_coin_is_stale_by_its_own_price_or_candles_of_4_h_and_by_nothing_else() {
    for (sources, expected) in [
        (vec![source("binance/price/BTCUSDT", true)], Some("binance/price/BTCUSDT")),
        (vec![source("binance/klines/BTCUSDT/4h", true)], Some("binance/klines/BTCUSDT/4h")),
        (vec![source("binance/price/BTCUSDT", false)], None),
        (vec![source("binance/klines/BTCUSDT/1h", true), source("binance/price/ETHUSDT", true)], None),
    ] {
        let mut brief = brief(vec![coin("BTCUSDT")]);
        brief.sources = sources;
        let facts = MarketFacts::of(&brief, |_| None);
        assert_eq!(facts.coins[0].stale.as_deref(), expected, "{:?}", brief.sources);
    }
}

#[test]
fn an_account_that_could_not_be_read_is_not_taken_as_seen() {
    let mut position = crate::desk::signals::tests::long_position();
    position.quantity = "0.02".parse().unwrap();
    let mut state = AccountState {
        name: name("mirat"),
        leverage: 3,
        symbols: vec![symbol("BTCUSDT")],
        wallet: Usdt::of(dec!(1000)),
        equity: Usdt::of(dec!(1012)),
        available: Usdt::of(dec!(900)),
        positions: vec![position],
        as_of: now(),
        trouble: None,
    };
    let seen = LastSeen::of(&state).unwrap();
    assert_eq!((seen.name, seen.equity, seen.holdings[0].notional), (name("mirat"), dec!(1012), dec!(1212)));
    let book = Book::of(std::slice::from_ref(&state), &Past::default());
    assert_eq!((book.accounts[0].free_margin, book.accounts[0].holdings.len()), (dec!(900), 1));
    state.trouble = Some("no answer".to_owned());
    assert_eq!(LastSeen::of(&state), None);
    assert_eq!(Book::of(&[state], &Past::default()).accounts, []);
}

#[tokio::test]
async fn the_past_is_what_was_traded_in_a_day_closed_in_a_month_and_held_in_a_quarter() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("jarvis.db")).unwrap().at("here");
    let mirat = name("mirat");
    let ago = |hours: i64| now() - TimeDelta::hours(hours);
    let mut trade_id = 0;
    let mut fill = |coin: &str, hours: i64| {
        trade_id += 1;
        Fill {
            account: name("mirat"),
            symbol: symbol(coin),
            trade_id,
            exchange_id: trade_id.to_string(),
            client_order_id: None,
            side: Side::Sell,
            price: "50000".parse().unwrap(),
            quantity: "0.002".parse().unwrap(),
            commission: Usdt::ZERO,
            commission_asset: "USDT".into(),
            realised: Usdt::of(dec!(1)),
            at: ago(hours),
        }
    };
    for (coin, hours) in [("BTCUSDT", 1), ("BTCUSDT", 23), ("ETHUSDT", 25), ("SOLUSDT", 31 * 24)] {
        store.add_fill(&fill(coin, hours)).await.unwrap();
    }
    for (hours, equity) in [(91 * 24, 5000), (89 * 24, 1000), (9, 800), (1, 760)] {
        let equity = Usdt::of(Decimal::from(equity));
        store.put_equity(&mirat, ago(hours), equity, equity).await.unwrap();
    }
    let read = async |resumed: &BTreeMap<Option<AccountName>, Resumed>| {
        Past::read(&store, std::slice::from_ref(&mirat), resumed, now()).await.unwrap()
    };
    let mut past = read(&BTreeMap::new()).await;
    let own = past.account(&mirat).unwrap().clone();
    assert_eq!(own.traded, dec!(200), "two of 100 USDT within a day");
    let closed = BTreeMap::from([(symbol("BTCUSDT"), ago(1)), (symbol("ETHUSDT"), ago(25))]);
    assert_eq!(own.closed, closed);
    let standing = own.track.standing(std::iter::empty());
    assert_eq!(
        (standing.day, standing.drawdown),
        (dec!(-0.05), dec!(0.24)),
        "800 at midnight, 1000 at the top"
    );
    assert_eq!(past.desk.standing(std::iter::empty()), standing);
    past.read_trades(&store, now()).await.unwrap();
    assert_eq!(past.account(&mirat), Some(&own), "read again, nothing counts twice");
    past.read_trades(&store, now() + TimeDelta::days(30)).await.unwrap();
    let later = past.account(&mirat).unwrap();
    assert_eq!(
        (later.traded, &later.closed),
        (dec!(0), &BTreeMap::new()),
        "and a month later nothing is left"
    );

    let since = Resumed { day: Some(ago(1)), highest: Some(ago(9)) };
    let resumed = read(&BTreeMap::from([(Some(mirat.clone()), since)])).await;
    let standing = resumed.account(&mirat).unwrap().track.standing(std::iter::empty());
    assert_eq!((standing.day, standing.drawdown), (dec!(0), dec!(0.05)), "counted from where it was resumed");
    assert_eq!(resumed.desk, past.desk, "the desk's own count goes on");
}

#[tokio::test]
async fn the_desks_day_is_counted_over_the_readings_of_all_accounts_in_the_order_they_were_made() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("jarvis.db")).unwrap().at("here");
    let names = [name("mirat"), name("mevlut")];
    let ago = |hours: i64| now() - TimeDelta::hours(hours);
    for (account, readings) in names.iter().zip([[(9, 1000), (1, 900)], [(9, 1000), (1, 1000)]]) {
        for (hours, equity) in readings {
            let equity = Usdt::of(Decimal::from(equity));
            store.put_equity(account, ago(hours), equity, equity).await.unwrap();
        }
    }
    let past = Past::read(&store, &names, &BTreeMap::new(), now()).await.unwrap();
    let standing = past.desk.standing(std::iter::empty());
    assert_eq!((standing.day, standing.drawdown), (dec!(-0.05), dec!(0.05)), "100 of 2000 since midnight");
}

#[tokio::test]
async fn the_last_twenty_openings_are_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("jarvis.db")).unwrap().at("here");
    for number in 0..21 {
        let intent = OrderIntent {
            client_order_id: ClientOrderId::new(format!("j{number}")).unwrap(),
            account: name("mirat"),
            symbol: symbol("BTCUSDT"),
            purpose: OrderPurpose::Open,
            side: if number == 0 { Side::Sell } else { Side::Buy },
            quantity: None,
            trigger: None,
            origin: Origin::Operator { command: "by hand".to_owned() },
            attempt: 1,
            market_time: now() + TimeDelta::minutes(number),
            sent_at: now(),
        };
        store.record_intent(&intent).await.unwrap();
        let filled = OrderUpdate::at(intent.market_time);
        store.update_order(&intent.client_order_id, OrderState::Filled, filled).await.unwrap();
    }
    let past = Past::read(&store, &[], &BTreeMap::new(), now()).await.unwrap();
    assert_eq!(past.openings, [Direction::Long; 20], "the short one was the first of 21");
}

#[tokio::test]
async fn what_was_opened_and_what_an_operator_closed_is_remembered_as_it_stands_in_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("jarvis.db")).unwrap().at("here");
    let (mirat, market_time, sent_at) =
        (name("mirat"), now() - TimeDelta::hours(1), now() + TimeDelta::hours(5));
    let order = |id: &str, purpose: OrderPurpose, coin: &str| OrderIntent {
        client_order_id: ClientOrderId::new(id).unwrap(),
        account: mirat.clone(),
        symbol: symbol(coin),
        purpose,
        side: Side::Sell,
        quantity: None,
        trigger: None,
        origin: Origin::Operator { command: "by hand".to_owned() },
        attempt: 1,
        market_time,
        sent_at,
    };
    for (intent, state) in [
        (order("1", OrderPurpose::Open, "BTCUSDT"), OrderState::Filled),
        (order("2", OrderPurpose::Close, "BTCUSDT"), OrderState::Filled),
        (order("3", OrderPurpose::Close, "ETHUSDT"), OrderState::Rejected),
    ] {
        store.record_intent(&intent).await.unwrap();
        store.update_order(&intent.client_order_id, state, OrderUpdate::at(market_time)).await.unwrap();
    }
    let mut past = Past::read(&store, std::slice::from_ref(&mirat), &BTreeMap::new(), now()).await.unwrap();
    let by_hand = BTreeMap::from([(symbol("BTCUSDT"), (market_time, sent_at))]);
    assert_eq!(past.openings, [Direction::Short]);
    assert_eq!(past.account(&mirat).unwrap().closed_by_hand, by_hand);
    // Only what the journal still says counts when it is read again.
    let elsewhere = store.at("elsewhere");
    past.read_trades(&elsewhere, now()).await.unwrap();
    assert_eq!(past.openings, []);
    assert_eq!(past.account(&mirat).unwrap().closed_by_hand, BTreeMap::new());
    assert_eq!(past.account(&mirat).unwrap().closed, BTreeMap::new());
}
