//! The world's own paths, for tests and operators only; no vendor serves them.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::DateTime;
use http::{Method, StatusCode, Uri};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json};

use super::World;
use super::engine::{Account, AccountId, Engine};
use super::faults::Rule;
use crate::domain::Symbol;

/// The farthest an operator may advance at once, seconds: a year.
const LONGEST_ADVANCE: i64 = 366 * 86_400;

pub(super) fn router(world: Arc<World>) -> Router {
    Router::new()
        .route("/world/state", get(state))
        .route("/world/clock", get(clock))
        .route("/world/advance", post(advance))
        .route("/world/price", post(price))
        .route("/world/reset", post(reset))
        .route("/world/faults", get(faults).post(arm).delete(clear).fallback(wrong_method))
        .fallback(nowhere)
        .with_state(world)
}

fn refused(status: StatusCode, error: &str, allowed: &str) -> Response {
    (status, Json(json!({"error": error, "allowed": allowed}))).into_response()
}

fn clock_body(world: &World, now: i64) -> Value {
    let time = DateTime::from_timestamp_millis(now)
        .map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true));
    json!({"market_time": time, "speed": world.speed()})
}

async fn clock(State(world): State<Arc<World>>) -> Json<Value> {
    let mut core = world.core();
    let now = world.settle(&mut core);
    world.finish(&mut core);
    drop(core);
    Json(clock_body(&world, now))
}

#[derive(Deserialize)]
struct Advance {
    seconds: i64,
}

async fn advance(State(world): State<Arc<World>>, body: Bytes) -> Response {
    match serde_json::from_slice(&body) {
        Ok(Advance { seconds }) if (0..=LONGEST_ADVANCE).contains(&seconds) => {
            // A year takes seconds of computing; other requests must not wait behind it on this thread.
            let playing = Arc::clone(&world);
            let done = tokio::task::spawn_blocking(move || {
                playing.advance(seconds);
                playing.core().played_ms
            })
            .await;
            match done {
                Ok(now) => Json(clock_body(&world, now)).into_response(),
                Err(error) => refused(
                    StatusCode::SERVICE_UNAVAILABLE,
                    &error.to_string(),
                    "a world that is not shutting down",
                ),
            }
        }
        Ok(Advance { seconds }) => refused(
            StatusCode::BAD_REQUEST,
            &format!("cannot advance by {seconds} seconds"),
            "seconds from 0 to 31622400",
        ),
        Err(error) => refused(StatusCode::BAD_REQUEST, &error.to_string(), "{\"seconds\": N}"),
    }
}

#[derive(Deserialize)]
struct PriceJump {
    symbol: Symbol,
    /// A string or a number.
    price: Value,
}

async fn price(State(world): State<Arc<World>>, body: Bytes) -> Response {
    const ALLOWED: &str = "{\"symbol\": \"BTCUSDT\", \"price\": \"65000.0\"}";
    let jump: PriceJump = match serde_json::from_slice(&body) {
        Ok(jump) => jump,
        Err(error) => return refused(StatusCode::BAD_REQUEST, &error.to_string(), ALLOWED),
    };
    let text = match &jump.price {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let Ok(price) = Decimal::from_str_exact(&text) else {
        return refused(StatusCode::BAD_REQUEST, &format!("{text} is no price"), ALLOWED);
    };
    match world.set_price(&jump.symbol, price) {
        Ok(()) => {
            let core = world.core();
            let quote = core.engine.quote(&jump.symbol).ok();
            Json(json!({
                "symbol": jump.symbol,
                "price": quote.map(|quote| quote.last.to_string()),
                "mark": quote.map(|quote| quote.mark.to_string()),
            }))
            .into_response()
        }
        Err(error) => refused(StatusCode::BAD_REQUEST, &error.to_string(), ALLOWED),
    }
}

/// Rules in a request: one, or several with a seed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Weather {
    /// From which draws come from now on.
    #[serde(default)]
    seed: Option<u64>,
    rules: Vec<Rule>,
}

const RULE: &str = "{\"seed\": N, \"rules\": [RULE, …]} or one RULE: {\"name\", \"match\": {\"method\", \"path\", \"class\", \
                    \"account\", \"symbol\", \"reduce_only\", \"side\", \"nth\"}, \"effect\": {\"kind\", …}, \"schedule\": \
                    \"always\" | \"once\" | {\"count\": N} | {\"rate\": 0..1} | {\"script\": [{\"at_seconds\", \
                    \"until_seconds\", \"rate\"}]}}";

fn weather(body: &[u8]) -> Result<Weather, String> {
    let value: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if value.get("rules").is_some() {
        return Weather::deserialize(value).map_err(|error| error.to_string());
    }
    let rule = Rule::deserialize(value).map_err(|error| error.to_string())?;
    Ok(Weather { seed: None, rules: vec![rule] })
}

async fn arm(State(world): State<Arc<World>>, body: Bytes) -> Response {
    let armed = weather(&body)
        .and_then(|Weather { seed, rules }| world.arm(seed, rules).map_err(|error| error.to_string()));
    match armed {
        Ok(numbers) => Json(json!({ "armed": numbers })).into_response(),
        Err(error) => refused(StatusCode::BAD_REQUEST, &error, RULE),
    }
}

/// A number in the query; an error when it is something else.
fn number_in(query: Option<&str>, name: &str) -> Result<Option<u64>, String> {
    let mut found = None;
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some((key, value)) if key == name => {
                found = Some(value.parse().map_err(|_| format!("{name}={value} is no number"))?);
            }
            _ => return Err(format!("unknown parameter {pair}")),
        }
    }
    Ok(found)
}

async fn faults(State(world): State<Arc<World>>, uri: Uri) -> Response {
    match number_in(uri.query(), "since") {
        Ok(since) => Json(world.faults().told(since.unwrap_or_default())).into_response(),
        Err(error) => refused(StatusCode::BAD_REQUEST, &error, "?since=NUMBER, the last line already known"),
    }
}

async fn clear(State(world): State<Arc<World>>, uri: Uri) -> Response {
    match number_in(uri.query(), "rule") {
        Ok(None) => world.faults().clear(),
        Ok(Some(rule)) if world.faults().disarm(rule) => {}
        Ok(Some(rule)) => {
            return refused(StatusCode::NOT_FOUND, &format!("no rule {rule} is armed"), "GET /world/faults");
        }
        Err(error) => return refused(StatusCode::BAD_REQUEST, &error, "?rule=NUMBER, or nothing for all"),
    }
    Json(json!({"armed": world.faults().armed()})).into_response()
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    let error = format!("{method} {} is not possible", uri.path());
    refused(StatusCode::METHOD_NOT_ALLOWED, &error, "GET, POST and DELETE")
}

/// The paths of the world, for telling which one a client may have meant.
const PATHS: &[&str] = &[
    "/fapi/v1/",
    "/futures/data/",
    "/public/ws",
    "/public/stream",
    "/market/ws",
    "/market/stream",
    "/private/ws",
    "/private/stream",
    "/ws",
    "/stream",
    "/fng/",
    "/api/v1/news",
    "/api/v1/calendar/economic",
    "/v8/finance/chart/",
    "/ff_calendar_thisweek.json",
    "/rss/",
    "/fredgraph.csv",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1/models",
    "/world/state",
    "/world/clock",
    "/world/advance",
    "/world/price",
    "/world/reset",
    "/world/faults",
];

/// What nobody serves is told with the nearest path that somebody does.
async fn nowhere(uri: Uri) -> Response {
    let path = uri.path();
    let nearest = PATHS.iter().min_by_key(|known| distance(path, known)).copied().unwrap_or_default();
    let body = json!({
        "error": format!("nothing is served at {path}"),
        "nearest": nearest,
        "allowed": PATHS,
    });
    (StatusCode::NOT_FOUND, Json(body)).into_response()
}

/// How many letters must be put in, taken out or changed to make one text of the other, up to their first 64.
fn distance(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=one.len()).collect();
    for (line, letter) in other.chars().take(64).enumerate() {
        let mut diagonal = line;
        if let Some(first) = row.first_mut() {
            *first = line + 1;
        }
        for (column, mine) in one.iter().enumerate() {
            let (Some(left), Some(above)) = (row.get(column).copied(), row.get(column + 1).copied()) else {
                break;
            };
            let cost = if *mine == letter { diagonal } else { 1 + diagonal.min(left).min(above) };
            diagonal = above;
            if let Some(place) = row.get_mut(column + 1) {
                *place = cost;
            }
        }
    }
    row.last().copied().unwrap_or_default()
}

async fn reset(State(world): State<Arc<World>>) -> Response {
    match world.reset() {
        Ok(()) => {
            let now = world.core().played_ms;
            Json(clock_body(&world, now)).into_response()
        }
        Err(error) => {
            refused(StatusCode::BAD_REQUEST, &error.to_string(), "a world whose files are still there")
        }
    }
}

async fn state(State(world): State<Arc<World>>) -> Json<Value> {
    let mut core = world.core();
    let now = world.settle(&mut core);
    world.finish(&mut core);
    let engine = &core.engine;
    let prices: serde_json::Map<String, Value> = engine
        .contracts()
        .keys()
        .filter_map(|symbol| {
            let quote = engine.last_quote(symbol)?;
            Some((symbol.to_string(), json!({
                "last": quote.last, "mark": quote.mark, "index": quote.index, "bid": quote.bid, "ask": quote.ask,
            })))
        })
        .collect();
    let accounts: Vec<Value> = core
        .keys()
        .iter()
        .zip(engine.accounts())
        .map(|(key, (id, account))| {
            let mut body = account_body(engine, id, account);
            body["api_key"] = json!(key.api_key);
            body["api_secret"] = json!(key.api_secret);
            body
        })
        .collect();
    drop(core);
    let mut body = clock_body(&world, now);
    body["id"] = json!(world.id());
    body["limited"] = json!(world.enforces_limits());
    body["prices"] = Value::Object(prices);
    body["accounts"] = Value::Array(accounts);
    Json(body)
}

fn account_body(engine: &Engine, id: AccountId, account: &Account) -> Value {
    let totals = engine.totals(id);
    let positions: Vec<Value> = account
        .positions
        .iter()
        .filter(|(_, position)| !position.is_flat())
        .map(|(symbol, position)| {
            let standing = engine.standing(id, symbol);
            let settings = account.settings(symbol);
            json!({
                "symbol": symbol, "amount": position.amount, "entry_price": position.entry, "mark_price": standing.mark,
                "unrealized": standing.unrealized, "leverage": settings.leverage,
                "margin_type": settings.margin.as_str(), "isolated_wallet": position.isolated_wallet,
                "liquidation_price": engine.liquidation_price(id, symbol),
            })
        })
        .collect();
    json!({
        "name": account.name,
        "balances": {
            "wallet": totals.wallet, "available": totals.available, "unrealized": totals.unrealized,
            "equity": totals.wallet + totals.unrealized,
        },
        "positions": positions,
        "orders": account.orders.values().collect::<Vec<_>>(),
        "algo_orders": account.algos.values().collect::<Vec<_>>(),
        "trades": account.trades,
        "ledger": account.income,
    })
}
