//! The world's own paths, for tests and operators only (CONTRACTS §2).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::DateTime;
use http::StatusCode;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json};

use super::World;
use super::engine::{Account, AccountId, Engine};
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
            let quote = engine.quote(symbol).ok()?;
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
