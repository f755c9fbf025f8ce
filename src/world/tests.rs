//! The world as a whole: time, state, keys, controls.

use std::sync::Arc;

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use rust_decimal::Decimal;
use rust_decimal_macros::dec;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::engine::{
    AlgoKind, AlgoRequest, IncomeKind, MarginType, OrderKind, OrderRequest, TimeInForce, WorkingType,
};
use super::*;
use crate::domain::{ManualClock, Side};

pub(crate) const START: &str = "2026-03-02T07:30:00Z";

/// All worlds of these tests begin alike.
pub(crate) static HISTORIES: Histories = Histories::new();

pub(crate) fn options() -> WorldOptions {
    WorldOptions {
        seed: 7,
        accounts: ["mirat", "mevlut"].map(|name| AccountName::new(name).unwrap()).to_vec(),
        balance: Usdt::of(dec!(1000)),
        speed: 1.0,
        token_delay: Duration::ZERO,
        enforce_limits: false,
        recorded: None,
        state_file: None,
    }
}

pub(crate) fn wall() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(START.parse().unwrap()))
}

pub(crate) fn world() -> (Arc<ManualClock>, Arc<World>) {
    let wall = wall();
    let world = World::open_from(&HISTORIES, options(), wall.clone()).unwrap();
    (wall, world)
}

fn bitcoin() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

async fn call(world: &Arc<World>, method: &str, path: &str, body: &Value) -> (StatusCode, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .body(if body.is_null() { Body::empty() } else { Body::from(body.to_string()) })
        .unwrap();
    let response = world.router().oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

/// Opens a small isolated long with a stop, straight at the engine.
fn open_long(world: &World, stop_share: Decimal) {
    let mut core = world.core();
    let (now, who) = (core.played_ms, core.engine.accounts().next().unwrap().0);
    let mark = core.engine.quote(&bitcoin()).unwrap().mark;
    core.engine.set_margin_type(who, &bitcoin(), MarginType::Isolated, now).unwrap();
    core.engine.set_leverage(who, &bitcoin(), 3, now).unwrap();
    let order = OrderRequest {
        symbol: bitcoin(),
        side: Side::Buy,
        kind: OrderKind::Market,
        time_in_force: TimeInForce::Gtc,
        quantity: dec!(0.004),
        price: Decimal::ZERO,
        reduce_only: false,
        client_id: None,
        good_till: None,
    };
    core.engine.place(who, order, now).unwrap();
    let stop = AlgoRequest {
        symbol: bitcoin(),
        side: Side::Sell,
        kind: AlgoKind::StopMarket,
        time_in_force: TimeInForce::Gtc,
        quantity: None,
        price: None,
        trigger_price: Some((mark * stop_share).round_dp(1)),
        callback_rate: None,
        activate_price: None,
        working: WorkingType::Contract,
        close_position: true,
        reduce_only: false,
        price_protect: false,
        client_id: None,
        good_till: None,
    };
    core.engine.place_algo(who, stop, now).unwrap();
    World::touch(&mut core);
}

fn first_account(world: &World) -> engine::Account {
    world.core().engine.accounts().next().unwrap().1.clone()
}

#[test]
fn keys_come_from_seed_and_name_alone() {
    let (_, first) = world();
    let (_, second) = world();
    assert_eq!(first.keys(), second.keys());
    let other = World::open_from(&HISTORIES, WorldOptions { seed: 8, ..options() }, wall()).unwrap();
    assert_ne!(first.keys()[0].api_key, other.keys()[0].api_key);
    assert_ne!(first.keys()[0].api_key, first.keys()[1].api_key);
}

#[test]
fn market_time_starts_at_the_wall_and_runs_at_the_speed() {
    let wall = wall();
    let world =
        World::open_from(&HISTORIES, WorldOptions { speed: 60.0, ..options() }, wall.clone()).unwrap();
    wall.advance(chrono::Duration::seconds(10));
    let elapsed = world.clock().now() - START.parse::<Timestamp>().unwrap();
    assert_eq!(elapsed.num_seconds(), 600);
    assert!(World::open_from(&HISTORIES, WorldOptions { speed: -1.0, ..options() }, wall.clone()).is_err());
    assert!(World::open_from(&HISTORIES, WorldOptions { speed: f64::NAN, ..options() }, wall).is_err());
}

#[test]
fn funding_is_paid_at_its_hour_while_time_is_advanced() {
    let (_, world) = world();
    open_long(&world, dec!(0.5));
    world.advance(3600);
    let rows: Vec<_> =
        first_account(&world).income.into_iter().filter(|row| row.kind == IncomeKind::FundingFee).collect();
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0].time, "2026-03-02T08:00:00Z".parse::<Timestamp>().unwrap().timestamp_millis());
    let told = world.market().funding_history(&bitcoin(), None, rows[0].time, 1)[0];
    assert_eq!(rows[0].amount, -engine::money(dec!(0.004) * told.2 * told.1));
}

#[test]
fn a_jump_through_a_stop_fills_it_at_the_new_price() {
    let (_, world) = world();
    open_long(&world, dec!(0.9));
    let last = world.core().engine.quote(&bitcoin()).unwrap().last;
    world.set_price(&bitcoin(), (last * dec!(0.85)).round_dp(1)).unwrap();
    let account = first_account(&world);
    assert_eq!(account.amount(&bitcoin()), dec!(0));
    let fill = account.trades.last().unwrap().price / last;
    assert!(fill > dec!(0.849) && fill < dec!(0.851), "{fill}");
    assert!(world.set_price(&bitcoin(), dec!(-1)).is_err());
    assert!(world.set_price(&bitcoin(), dec!(0.123)).is_err());
}

#[test]
fn a_saved_world_goes_on_where_it_was_and_plays_the_pause_through() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deep/world.json");
    let options = || WorldOptions { state_file: Some(file.clone()), ..options() };
    let wall = wall();
    let world = World::open_from(&HISTORIES, options(), wall.clone()).unwrap();
    assert!(world.is_fresh());
    open_long(&world, dec!(0.5));
    world.set_price(&bitcoin(), dec!(60000)).unwrap();
    world.save().unwrap();
    let bytes = std::fs::read(&file).unwrap();
    let keys = world.keys();
    drop(world);

    let same = World::open_from(&HISTORIES, options(), wall.clone()).unwrap();
    same.save().unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), bytes, "loading and saving changes nothing");
    assert!(!same.is_fresh());
    assert_eq!(same.keys(), keys);
    drop(same);

    wall.advance(chrono::Duration::hours(9));
    let later = World::open_from(&HISTORIES, options(), wall.clone()).unwrap();
    let account = first_account(&later);
    let paid = account.income.iter().filter(|row| row.kind == IncomeKind::FundingFee).count();
    assert_eq!(paid, 2, "08:00 and 16:00");
    let price = later.core().engine.quote(&bitcoin()).unwrap().last;
    assert!(price > dec!(50000) && price < dec!(72000), "the jump is remembered: {price}");
}

#[test]
fn accounts_named_beside_a_state_file_are_added_and_none_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("world.json");
    let named = |names: &[&str], balance: Decimal| WorldOptions {
        accounts: names.iter().map(|name| AccountName::new(name).unwrap()).collect(),
        balance: Usdt::of(balance),
        state_file: Some(file.clone()),
        ..options()
    };
    let first = World::open_from(&HISTORIES, named(&["mirat", "mevlut"], dec!(1000)), wall()).unwrap();
    open_long(&first, dec!(0.9));
    first.save().unwrap();
    let before = first_account(&first);
    drop(first);
    let again = World::open_from(&HISTORIES, named(&["mevlut", "yeni"], dec!(500)), wall()).unwrap();
    let names: Vec<String> = again.keys().iter().map(|key| key.name.to_string()).collect();
    assert_eq!(names, ["mirat", "mevlut", "yeni"]);
    assert_eq!(first_account(&again), before);
    let wallets: Vec<Decimal> = again.core().engine.accounts().map(|(_, account)| account.wallet()).collect();
    assert_eq!(wallets[1..], [dec!(1000), dec!(500)], "balances of known accounts are not touched");
}

#[test]
fn a_state_file_of_something_else_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("world.json");
    std::fs::write(&file, "{\"version\":99").unwrap();
    let options = WorldOptions { state_file: Some(file.clone()), ..options() };
    assert!(matches!(World::open_from(&HISTORIES, options, wall()), Err(WorldError::State { .. })));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "{\"version\":99");
}

/// A world with a state file in which a long was opened after the file was written: the journal tells of it.
fn journalled(folder: &std::path::Path) -> (WorldOptions, Arc<ManualClock>, engine::Account) {
    let options = WorldOptions { state_file: Some(folder.join("world.json")), ..options() };
    let wall = wall();
    let world = World::open_from(&HISTORIES, options.clone(), wall.clone()).unwrap();
    let whole = std::fs::read(folder.join("world.json")).unwrap();
    open_long(&world, dec!(0.9));
    world.step();
    assert_eq!(std::fs::read(folder.join("world.json")).unwrap(), whole, "only the journal grows");
    let account = first_account(&world);
    assert_eq!(account.trades.len(), 1);
    (options, wall, account)
}

#[test]
fn a_line_that_was_being_written_when_the_program_was_killed_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let (options, wall, account) = journalled(folder.path());
    let journal = folder.path().join("world.json.journal");
    let mut text = std::fs::read_to_string(&journal).unwrap();
    text.push_str("{\"clock\":{\"market_ms\":");
    std::fs::write(&journal, text).unwrap();
    assert_eq!(first_account(&World::open_from(&HISTORIES, options, wall).unwrap()), account);
}

#[test]
fn a_journal_that_the_file_already_contains_is_not_played_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (options, wall, account) = journalled(folder.path());
    let journal = folder.path().join("world.json.journal");
    let old = std::fs::read(&journal).unwrap();
    World::open_from(&HISTORIES, options.clone(), wall.clone()).unwrap().save().unwrap();
    std::fs::write(&journal, old).unwrap();
    assert_eq!(first_account(&World::open_from(&HISTORIES, options, wall).unwrap()), account);
}

#[test]
fn a_broken_journal_is_refused_with_its_line_and_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let (options, wall, _) = journalled(folder.path());
    let journal = folder.path().join("world.json.journal");
    let text = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(&journal, text.replacen("{\"clock\"", "{\"cl", 1)).unwrap();
    let refused = World::open_from(&HISTORIES, options.clone(), wall.clone()).unwrap_err().to_string();
    assert!(refused.contains("line 2 of its journal") && refused.contains("move the file away"), "{refused}");
    std::fs::remove_file(folder.path().join("world.json")).unwrap();
    assert!(World::open_from(&HISTORIES, options, wall).unwrap().is_fresh());
}

#[test]
fn a_state_file_from_before_dates_and_amendments_still_loads() {
    fn without_new_fields(value: &mut Value) {
        match value {
            Value::Object(map) => {
                for field in ["queued", "good_till", "amendments"] {
                    map.remove(field);
                }
                map.values_mut().for_each(without_new_fields);
            }
            Value::Array(rows) => rows.iter_mut().for_each(without_new_fields),
            _ => {}
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let (options, wall, account) = journalled(folder.path());
    World::open_from(&HISTORIES, options.clone(), wall.clone()).unwrap().save().unwrap();
    let file = folder.path().join("world.json");
    let mut saved: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    without_new_fields(&mut saved);
    assert!(!saved.to_string().contains("good_till"));
    std::fs::write(&file, saved.to_string()).unwrap();
    let loaded = first_account(&World::open_from(&HISTORIES, options, wall).unwrap());
    assert_eq!((loaded.trades, loaded.positions), (account.trades, account.positions));
    assert_eq!(loaded.open_algos, account.open_algos);
}

#[tokio::test]
async fn the_controls_answer_and_refuse_nonsense() {
    let (_, world) = world();
    let (status, body) = call(&world, "GET", "/world/clock", &Value::Null).await;
    assert_eq!((status, &body["market_time"]), (StatusCode::OK, &json!("2026-03-02T07:30:00.000Z")));
    let (status, body) = call(&world, "POST", "/world/advance", &json!({"seconds": 90})).await;
    assert_eq!((status, &body["market_time"]), (StatusCode::OK, &json!("2026-03-02T07:31:30.000Z")));
    for (path, body) in [
        ("/world/advance", json!({"seconds": -1})),
        ("/world/advance", json!({"seconds": 1e18})),
        ("/world/advance", json!({"minutes": 1})),
        ("/world/price", json!({"symbol": "btc", "price": "1"})),
        ("/world/price", json!({"symbol": "XXXUSDT", "price": "1"})),
        ("/world/price", json!({"symbol": "BTCUSDT", "price": "cheap"})),
        ("/world/price", json!({"symbol": "BTCUSDT", "price": "79228162514264337593543950335"})),
        ("/world/price", json!({"symbol": "BTCUSDT", "price": "0"})),
    ] {
        assert_eq!(call(&world, "POST", path, &body).await.0, StatusCode::BAD_REQUEST, "{path} {body}");
    }
    let (status, body) =
        call(&world, "POST", "/world/price", &json!({"symbol": "BTCUSDT", "price": 60000.5})).await;
    assert_eq!((status, &body["price"]), (StatusCode::OK, &json!("60000.5")), "{body}");
    assert_eq!(call(&world, "POST", "/world/faults", &json!({})).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_state_shows_every_account_with_its_keys_and_books() {
    let (_, world) = world();
    open_long(&world, dec!(0.9));
    let (_, state) = call(&world, "GET", "/world/state", &Value::Null).await;
    let account = &state["accounts"][0];
    assert_eq!(account["name"], "mirat");
    assert_eq!(account["api_key"], json!(world.keys()[0].api_key));
    assert_eq!(account["positions"][0]["amount"], "0.004");
    assert_eq!(account["algo_orders"].as_array().unwrap().len(), 1);
    assert_eq!(account["ledger"][0]["kind"], "TRANSFER");
    assert_eq!(state["prices"].as_object().unwrap().len(), 10);
}

#[tokio::test]
async fn a_reset_world_is_as_fresh() {
    let (_, world) = world();
    open_long(&world, dec!(0.9));
    world.set_price(&bitcoin(), dec!(60000)).unwrap();
    assert_eq!(call(&world, "POST", "/world/reset", &Value::Null).await.0, StatusCode::OK);
    let account = first_account(&world);
    assert_eq!((account.wallet(), account.trades.len()), (dec!(1000), 0));
    assert_eq!(world.market().jumps().len(), 0);
}

#[tokio::test]
async fn sources_and_model_answer_on_the_same_port() {
    let (_, world) = world();
    assert_eq!(call(&world, "GET", "/fng/?limit=1", &Value::Null).await.0, StatusCode::OK);
    assert_eq!(call(&world, "GET", "/v1/models", &Value::Null).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_unknown_path_is_told_with_the_nearest_known_one() {
    let (_, world) = world();
    let (status, body) = call(&world, "GET", "/world/stat", &Value::Null).await;
    assert_eq!((status, &body["nearest"]), (StatusCode::NOT_FOUND, &json!("/world/state")));
    let (status, body) = call(&world, "POST", "/fng2", &Value::Null).await;
    assert_eq!((status, &body["nearest"]), (StatusCode::NOT_FOUND, &json!("/fng/")));
    assert_eq!(body["error"], "nothing is served at /fng2");
}

#[test]
fn a_stop_passed_while_nobody_looked_fills_near_its_trigger() {
    let (_, world) = world();
    open_long(&world, dec!(0.985));
    world.advance(10 * 86_400);
    let account = first_account(&world);
    let algo = account.algos.values().next().unwrap();
    assert_eq!(account.amount(&bitcoin()), dec!(0), "this seed falls by 1.5 % within ten days");
    let slip = dec!(1) - algo.actual_price / algo.trigger_price;
    assert!(slip >= dec!(-0.0005) && slip < dec!(0.002), "{slip}");
}

#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_survives_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("world.json");
    let options = || WorldOptions { state_file: Some(file.clone()), ..options() };
    let wall = wall();
    let crashed = World::open_from(&HISTORIES, options(), wall.clone()).unwrap();
    let body = json!({"symbol": "BTCUSDT", "price": "60000"});
    assert_eq!(call(&crashed, "POST", "/world/price", &body).await.0, StatusCode::OK);
    open_long(&crashed, dec!(0.9));
    crashed.step();
    let seen = first_account(&crashed);
    let again = World::open_from(&HISTORIES, options(), wall).unwrap();
    assert_eq!(first_account(&again), seen);
    assert_eq!(again.market().jumps().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_driven_world_speaks_every_second_even_when_its_clock_stands_still() {
    let world = World::open_from(&HISTORIES, WorldOptions { speed: 0.0, ..options() }, wall()).unwrap();
    let mut socket = world.open_socket("/market/ws/ethusdt@markPrice@1s");
    let driving = tokio::spawn(Arc::clone(&world).drive());
    let started = tokio::time::Instant::now();
    for _ in 0..3 {
        let event: Value = serde_json::from_str(&socket.from_world.recv().await.unwrap()).unwrap();
        assert_eq!(event["E"], json!(START.parse::<Timestamp>().unwrap().timestamp_millis()));
    }
    assert!(started.elapsed() >= Duration::from_secs(2));
    driving.abort();
}
