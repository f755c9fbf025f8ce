use std::path::Path;

use chrono::TimeDelta;
use rust_decimal_macros::dec;
use tower::ServiceExt;

use super::*;
use crate::domain::{ManualClock, Side, Timestamp};
use crate::world::engine::{
    Account, AccountId, AlgoKind, AlgoRequest, AlgoStatus, Handle, IncomeKind, MarginType, OrderKind,
    OrderRequest, TimeInForce, WorkingType, money,
};
use crate::world::market::Quote;
use crate::world::tests::{START, options, wall};

fn bitcoin() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

fn prices(source: &str) -> FedPrices {
    let listing = Listing {
        symbol: bitcoin(),
        tick: dec!(0.1),
        price_digits: 2,
        step: dec!(0.001),
        minimum_notional: dec!(100),
        funding_hours: 8,
    };
    FedPrices { source: source.to_owned(), listings: vec![listing] }
}

fn fed_world() -> (Arc<ManualClock>, Arc<World>) {
    let wall = wall();
    let world = World::open_fed(options(), prices("here"), wall.clone()).unwrap();
    (wall, world)
}

fn ms(time: &str) -> i64 {
    time.parse::<Timestamp>().unwrap().timestamp_millis()
}

/// A mark with a book of one tick around it; funding at 08:00.
fn quote(mark: Decimal) -> FedQuote {
    let quote = Quote { last: mark, mark, index: mark, bid: mark, ask: mark + dec!(0.1) };
    FedQuote { quote, funding_rate: dec!(0.0002), next_funding_ms: ms("2026-03-02T08:00:00Z") }
}

fn tell(world: &World, told: FedQuote) {
    world.hear(Told { quotes: vec![(bitcoin(), told)], missed: Vec::new() });
}

fn who(world: &World) -> AccountId {
    world.core().engine.accounts().next().unwrap().0
}

fn account(world: &World) -> Account {
    let id = who(world);
    world.core().engine.account(id).clone()
}

fn market_order(side: Side) -> OrderRequest {
    OrderRequest {
        symbol: bitcoin(),
        side,
        kind: OrderKind::Market,
        time_in_force: TimeInForce::Gtc,
        quantity: dec!(0.004),
        price: Decimal::ZERO,
        reduce_only: side == Side::Sell,
        client_id: None,
        good_till: None,
    }
}

fn stop(trigger: Decimal) -> AlgoRequest {
    AlgoRequest {
        symbol: bitcoin(),
        side: Side::Sell,
        kind: AlgoKind::StopMarket,
        time_in_force: TimeInForce::Gtc,
        quantity: None,
        price: None,
        trigger_price: Some(trigger),
        callback_rate: None,
        activate_price: None,
        working: WorkingType::Mark,
        close_position: true,
        reduce_only: false,
        price_protect: false,
        client_id: None,
        good_till: None,
    }
}

/// An isolated long of 0.004 at the book's ask, with three times its margin.
fn open_long(world: &World) {
    let id = who(world);
    let mut core = world.core();
    let now = core.played_ms;
    core.engine.set_margin_type(id, &bitcoin(), MarginType::Isolated, 0).unwrap();
    core.engine.set_leverage(id, &bitcoin(), 3, now).unwrap();
    core.engine.place(id, market_order(Side::Buy), now).unwrap();
}

fn place_stop(world: &World, trigger: Decimal) -> i64 {
    let id = who(world);
    let mut core = world.core();
    let now = core.played_ms;
    core.engine.place_algo(id, stop(trigger), now).unwrap().id
}

fn fundings(world: &World) -> Vec<(i64, Decimal)> {
    let rows = account(world).income;
    rows.iter().filter(|row| row.kind == IncomeKind::FundingFee).map(|row| (row.time, row.amount)).collect()
}

#[test]
fn orders_fill_at_the_told_book_and_a_told_price_fires_the_stop_it_passes() {
    let (wall, world) = fed_world();
    tell(&world, quote(dec!(60000)));
    open_long(&world);
    assert_eq!(account(&world).trades[0].price, dec!(60000.1), "the ask");
    let algo = place_stop(&world, dec!(54000));
    wall.advance(TimeDelta::seconds(1));
    tell(&world, quote(dec!(54000.1)));
    assert!(!account(&world).positions[&bitcoin()].is_flat());
    wall.advance(TimeDelta::seconds(1));
    tell(&world, quote(dec!(51000)));
    let account = account(&world);
    assert!(account.positions[&bitcoin()].is_flat());
    assert_eq!(account.trades.last().unwrap().price, dec!(51000), "the bid of then, far behind the trigger");
    assert_ne!(account.algos[&algo].status, AlgoStatus::New);
}

#[test]
fn a_position_whose_margin_is_gone_at_a_told_price_is_liquidated() {
    let (wall, world) = fed_world();
    tell(&world, quote(dec!(60000)));
    open_long(&world);
    wall.advance(TimeDelta::seconds(1));
    tell(&world, quote(dec!(39000)));
    let account = account(&world);
    assert!(account.positions[&bitcoin()].is_flat());
    assert!(account.orders.values().any(|order| order.kind == OrderKind::Liquidation));
}

#[test]
fn nothing_trades_at_a_price_of_the_past_and_everything_else_goes_on() {
    let (wall, world) = fed_world();
    let id = who(&world);
    let refused = world.core().engine.place(id, market_order(Side::Buy), ms(START)).unwrap_err();
    assert_eq!(refused.code, -4141, "no price was told yet");
    tell(&world, quote(dec!(60000)));
    open_long(&world);
    wall.advance(TimeDelta::seconds(11));
    world.step();
    assert!(!world.hears_all(&[bitcoin()]));
    for side in [Side::Buy, Side::Sell] {
        let mut core = world.core();
        let now = core.played_ms;
        let refused = core.engine.place(id, market_order(side), now).unwrap_err();
        assert_eq!((refused.code, refused.message.contains("no fresh price")), (-4141, true), "{side:?}");
    }
    assert!(world.core().engine.quote(&bitcoin()).is_err(), "streams and tickers fall silent");
    assert_eq!(world.core().engine.standing(id, &bitcoin()).mark, dec!(60000), "it keeps a worth");
    let algo = place_stop(&world, dec!(54000));
    {
        let mut core = world.core();
        let now = core.played_ms;
        core.engine.cancel_algo(id, &Handle::Id(algo), now).unwrap();
    }
    tell(&world, quote(dec!(59000)));
    assert!(world.hears_all(&[bitcoin()]));
    let mut core = world.core();
    let now = core.played_ms;
    let closed = core.engine.place(id, market_order(Side::Sell), now).unwrap();
    assert_eq!(closed.average(), dec!(59000));
}

fn kept(file: &Path) -> WorldOptions {
    WorldOptions { state_file: Some(file.to_owned()), ..options() }
}

#[test]
fn a_resumed_world_is_frozen_at_its_last_price_until_a_gap_triggers_what_it_passes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fed.json");
    let wall = wall();
    let world = World::open_fed(kept(&file), prices("here"), wall.clone()).unwrap();
    tell(&world, quote(dec!(60000)));
    open_long(&world);
    place_stop(&world, dec!(54000));
    tell(&world, quote(dec!(60500)));
    world.save().unwrap();
    let (name, keys) = (world.id(), world.keys());
    drop(world);

    for elsewhere in [
        World::open(kept(&file), wall.clone()).map(drop),
        World::open_fed(kept(&file), prices("there"), wall.clone()).map(drop),
    ] {
        assert!(matches!(elsewhere, Err(WorldError::OtherOrigin { .. })), "{elsewhere:?}");
    }
    wall.advance(TimeDelta::hours(30));
    let world = World::open_fed(kept(&file), prices("here"), wall.clone()).unwrap();
    assert_eq!((world.id(), world.keys()), (name, keys));
    assert_eq!(world.clock().now(), wall.now(), "market time is wall time");
    let id = who(&world);
    assert_eq!(world.core().engine.standing(id, &bitcoin()).mark, dec!(60500));
    assert!(world.core().engine.quote(&bitcoin()).is_err());
    assert_eq!(world.exposed_symbols().into_iter().collect::<Vec<_>>(), [bitcoin()]);
    world.step();
    assert!(!account(&world).positions[&bitcoin()].is_flat(), "nothing happens without a price");
    tell(&world, quote(dec!(50000)));
    assert_eq!(account(&world).trades.last().unwrap().price, dec!(50000));
    assert!(account(&world).positions[&bitcoin()].is_flat());
}

#[test]
fn a_world_made_of_its_own_prices_is_no_fed_one_and_needs_the_time_of_the_wall() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("world.json");
    World::open(kept(&file), wall()).unwrap().save().unwrap();
    let other = World::open_fed(kept(&file), prices("here"), wall()).map(drop);
    assert!(matches!(other, Err(WorldError::OtherOrigin { .. })), "{other:?}");
    let fast = WorldOptions { speed: 60.0, ..options() };
    assert!(matches!(World::open_fed(fast, prices("here"), wall()).map(drop), Err(WorldError::FedTime)));
    let (_, world) = fed_world();
    let before = world.clock().now();
    world.advance(3600);
    assert_eq!(world.clock().now(), before);
    assert!(world.set_price(&bitcoin(), dec!(60000)).is_err());
}

#[test]
fn funding_is_paid_once_at_its_time_with_the_rate_told_until_then() {
    let (wall, world) = fed_world();
    wall.advance(TimeDelta::seconds(1795));
    tell(&world, quote(dec!(60000)));
    open_long(&world);
    wall.advance(TimeDelta::seconds(7));
    world.step();
    let eight = ms("2026-03-02T08:00:00Z");
    let due = -money(dec!(0.004) * dec!(60000) * dec!(0.0002));
    assert_eq!(fundings(&world), [(eight, due)]);
    let record = MissedFunding { symbol: bitcoin(), at_ms: eight + 3, rate: dec!(0.0002), mark: None };
    world.hear(Told { missed: vec![record], quotes: vec![(bitcoin(), quote(dec!(60000)))] });
    assert_eq!(fundings(&world).len(), 1, "the source's record of it is the same funding");
}

#[test]
fn fundings_that_nobody_heard_are_paid_by_the_record_of_the_source() {
    let (wall, world) = fed_world();
    tell(&world, quote(dec!(60000)));
    open_long(&world);
    wall.advance(TimeDelta::hours(9));
    world.step();
    let [eight, four] = ["2026-03-02T08:00:00Z", "2026-03-02T16:00:00Z"].map(ms);
    assert!(fundings(&world).is_empty(), "half an hour before, nobody knows the rate");
    assert!(world.heard_of(&bitcoin()).unwrap().has_missed(world.clock().now().timestamp_millis()));
    let record = |at_ms, rate, mark| MissedFunding { symbol: bitcoin(), at_ms, rate, mark };
    let next = FedQuote { next_funding_ms: ms("2026-03-03T00:00:00Z"), ..quote(dec!(61000)) };
    world.hear(Told {
        missed: vec![
            record(ms("2026-03-02T00:00:00Z"), dec!(0.01), None),
            record(eight, dec!(0.0003), Some(dec!(60100))),
            record(four, dec!(-0.0001), Some(dec!(60900))),
            record(ms("2026-03-03T00:00:00Z"), dec!(0.01), None),
        ],
        quotes: vec![(bitcoin(), next)],
    });
    let paid = [
        (eight, -money(dec!(0.004) * dec!(60100) * dec!(0.0003))),
        (four, money(dec!(0.004) * dec!(60900) * dec!(0.0001))),
    ];
    assert_eq!(fundings(&world), paid, "not the one before the position was told of, nor one to come");
}

#[tokio::test]
async fn what_only_the_source_of_the_prices_knows_is_not_made_up() {
    let (_, world) = fed_world();
    tell(&world, quote(dec!(60000)));
    let ask = async |path: &str| {
        let request = http::Request::get(path).body(axum::body::Body::empty()).unwrap();
        world.router().oneshot(request).await.unwrap().status().as_u16()
    };
    assert_eq!(ask("/fapi/v1/premiumIndex?symbol=BTCUSDT").await, 200);
    assert_eq!(ask("/fapi/v1/exchangeInfo").await, 200);
    for path in [
        "/fapi/v1/klines?symbol=BTCUSDT&interval=1h",
        "/fapi/v1/openInterest?symbol=BTCUSDT",
        "/futures/data/globalLongShortAccountRatio?symbol=BTCUSDT&period=1h",
        "/fng/",
        "/api/v1/news?category=general",
        "/world/state",
    ] {
        assert_eq!(ask(path).await, 404, "{path}");
    }
}
