//! The exchange's face: REST and websockets with Binance's paths, shapes, codes and headers.

pub(crate) mod account;
mod algos;
mod auth;
mod book;
mod data;
mod error;
pub(crate) mod feed;
mod history;
pub(crate) mod lag;
pub(crate) mod limits;
pub(crate) mod listen_key;
pub(crate) mod local_book;
mod market_data;
mod orders;
pub(crate) mod params;
mod rendered;
mod rules;
pub(crate) mod socket;
mod socket_tcp;
mod streams;
mod table;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod user_stream;
mod wire;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Extension, Router};
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use serde_json::Value;

use self::error::ApiError;
use self::limits::Used;
use self::params::Params;
use self::table::{Endpoint, FromPrices, Handler, Security, find};
use super::engine::{AccountId, Contract, refusal};
use super::faults::layer::Twist;
use super::{Core, World};
use crate::domain::Symbol;

/// Every answer tells how much of the minute's weight is used.
const USED_WEIGHT: &str = "x-mbx-used-weight-1m";
/// Longest request body taken, bytes.
const BODY_LIMIT: usize = 256 * 1024;
/// How much of a longer body is read, bytes: a client that still writes would not see why it is refused.
const DRAINED: usize = 32 * 1024 * 1024;

/// What an endpoint answers.
enum Reply {
    Whole(Value),
    /// Still to be made, when the world is unlocked again.
    FromPrices(FromPrices),
}

/// One request on its way through an endpoint. The world is at the present and locked.
pub(crate) struct Call<'a> {
    pub world: &'a World,
    pub core: &'a mut Core,
    pub params: &'a Params,
    /// Who signed; only present where the endpoint asks for a key.
    pub who: Option<AccountId>,
    /// Market time, ms.
    pub now: i64,
    /// Wall time as the exchange sees it, ms.
    pub wall: i64,
    /// What a fault has this request see.
    pub twist: Twist,
}

impl Call<'_> {
    /// The account of a keyed request.
    pub fn account(&self) -> Result<AccountId, ApiError> {
        self.who.ok_or_else(|| ApiError::unauthorized(-2014, "API-key format invalid."))
    }

    /// The listed contract named by `symbol`.
    pub fn symbol(&self) -> Result<Symbol, ApiError> {
        self.optional_symbol()?.ok_or_else(|| ApiError::missing("symbol"))
    }

    /// The listed contract named by `symbol`, if one is named.
    pub fn optional_symbol(&self) -> Result<Option<Symbol>, ApiError> {
        let Some(symbol) = self.params.symbol()? else { return Ok(None) };
        self.core.engine.contract(&symbol)?;
        Ok(Some(symbol))
    }

    /// The rules of a listed contract.
    pub fn contract(&self, symbol: &Symbol) -> Result<&Contract, ApiError> {
        self.core.engine.contracts().get(symbol).ok_or_else(|| refusal::INVALID_SYMBOL.into())
    }

    /// The contract named, or all.
    pub fn symbols(&self) -> Result<Vec<Symbol>, ApiError> {
        Ok(match self.optional_symbol()? {
            Some(symbol) => vec![symbol],
            None => self.core.engine.contracts().keys().cloned().collect(),
        })
    }

    /// One object when a symbol was named, else an array of all.
    pub fn one_or_all(
        &self,
        row: impl Fn(&Self, &Symbol) -> Result<Value, ApiError>,
    ) -> Result<Value, ApiError> {
        match self.optional_symbol()? {
            Some(symbol) => row(self, &symbol),
            None => {
                Ok(self.core.engine.contracts().keys().filter_map(|symbol| row(self, symbol).ok()).collect())
            }
        }
    }
}

/// The exchange's part of the port.
pub(crate) fn router(world: Arc<World>) -> Router {
    let mut router = Router::new();
    for prefix in ["/fapi", "/futures/data", "/sapi"] {
        // A rest that is empty is no rest to the router.
        for path in ["", "/", "/{*path}"] {
            router = router.route(&format!("{prefix}{path}"), any(rest));
        }
    }
    for prefix in ["", "/public", "/market", "/private"] {
        for kind in ["ws", "stream"] {
            router = router
                .route(&format!("{prefix}/{kind}"), get(socket_tcp::over_tcp))
                .route(&format!("{prefix}/{kind}/"), get(socket_tcp::over_tcp))
                .route(&format!("{prefix}/{kind}/{{*streams}}"), get(socket_tcp::over_tcp));
        }
    }
    router.with_state(world)
}

/// A request's body, if it comes whole and is not too large.
async fn whole(body: Body) -> Option<Vec<u8>> {
    let mut pieces = body.into_data_stream();
    let (mut whole, mut length) = (Vec::new(), 0);
    while let Some(piece) = pieces.next().await {
        let piece = piece.ok()?;
        length += piece.len();
        if length > DRAINED {
            return None;
        }
        if length <= BODY_LIMIT {
            whole.extend_from_slice(&piece);
        }
    }
    (length <= BODY_LIMIT).then_some(whole)
}

/// A request as it came.
struct Asked<'a> {
    method: &'a Method,
    path: &'a str,
    query: &'a str,
    body: &'a str,
    key: Option<&'a str>,
    twist: Twist,
}

async fn rest(
    State(world): State<Arc<World>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    twist: Option<Extension<Twist>>,
    body: Body,
) -> Response {
    let Some(body) = whole(body).await else {
        let error = ApiError::new(-1102, "A request body that is too large or broken was sent.");
        let (weight, _) = world.core().limits.weigh(world.wall_ms(), 1, false);
        return ([(USED_WEIGHT, HeaderValue::from(weight))], error.into_response()).into_response();
    };
    // Clients send text; whatever is not is replaced, and then neither signed nor a known value.
    let body = String::from_utf8_lossy(&body);
    let key = headers.get("x-mbx-apikey").map(|key| key.to_str().unwrap_or_default());
    let asked = Asked {
        method: &method,
        path: uri.path(),
        query: uri.query().unwrap_or_default(),
        body: &body,
        key,
        twist: twist.map(|Extension(twist)| twist).unwrap_or_default(),
    };
    let (answer, used) = answer(&world, &asked);
    let mut response = match answer {
        Ok(Reply::Whole(value)) => axum::Json(value).into_response(),
        Ok(Reply::FromPrices(make)) => {
            let text = make(&world.market());
            ([(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text)
                .into_response()
        }
        Err(error) => {
            let mut response = error.clone().into_response();
            if let Some(seconds) = error.retry_after {
                response.headers_mut().insert("retry-after", HeaderValue::from(seconds));
            }
            response
        }
    };
    let headers = response.headers_mut();
    headers.insert(USED_WEIGHT, HeaderValue::from(used.weight));
    if let Some((short, long)) = used.orders {
        headers.insert("x-mbx-order-count-10s", HeaderValue::from(short));
        headers.insert("x-mbx-order-count-1m", HeaderValue::from(long));
    }
    response
}

/// Finds the endpoint, checks the limits and who asks, and lets the endpoint answer on a world at the present.
fn answer(world: &World, asked: &Asked<'_>) -> (Result<Reply, ApiError>, Used) {
    let Asked { method, path, query, body, twist, .. } = *asked;
    let mut core = world.core();
    let core = &mut *core;
    let wall = world.wall_ms();
    let skewed = wall.saturating_add(twist.skew_ms);
    let params = Params::parse(query, body);
    let endpoint = find(method, path);
    let weight = endpoint.map_or(1, |endpoint| endpoint.weight(&params));
    let (weight, within) = core.limits.weigh(wall, weight, world.enforces_limits());
    let mut used = Used { weight, orders: None };
    let is_fed = world.market().is_fed();
    let respond = || {
        let served = endpoint.filter(|endpoint| !(is_fed && endpoint.needs_history()));
        let endpoint = served.ok_or_else(|| ApiError {
            status: StatusCode::NOT_FOUND,
            ..ApiError::new(-5000, format!("Path {path}, Method {method} is invalid"))
        })?;
        within?;
        if let Some(pool) = endpoint.pool() {
            core.limits.share(pool, wall, world.enforces_limits())?;
        }
        let who = identify(core, endpoint, asked, &params, skewed)?;
        if let (Some(who), Some(amount)) = (who, endpoint.orders) {
            let (counts, within) = core.limits.order(who, wall, amount, world.enforces_limits());
            used.orders = Some(counts);
            within?;
        }
        let now = world.settle(core);
        if twist.lag_ms != 0 {
            // What has just happened is not known to this request either.
            world.finish(core);
        }
        let call = &mut Call { world, core, params: &params, who, now, wall: skewed, twist };
        let result = match endpoint.handler {
            Handler::Locked(answer) => answer(call).map(Reply::Whole),
            Handler::Unlocked(question) => question(call).map(Reply::FromPrices),
        };
        world.finish(core);
        result
    };
    let result = respond();
    (result, used)
}

fn identify(
    core: &Core,
    endpoint: &Endpoint,
    asked: &Asked<'_>,
    params: &Params,
    wall: i64,
) -> Result<Option<AccountId>, ApiError> {
    if endpoint.security == Security::Open {
        return Ok(None);
    }
    let key = asked
        .key
        .filter(|key| !key.is_empty())
        .ok_or_else(|| ApiError::unauthorized(-2014, "API-key format invalid."))?;
    let (who, secret) = core
        .account_of_key(key)
        .ok_or_else(|| ApiError::unauthorized(-2015, "Invalid API-key, IP, or permissions for action."))?;
    if endpoint.security == Security::Signed {
        auth::check_signed(asked.query, asked.body, params, secret, wall)?;
    }
    Ok(Some(who))
}
