//! Where the weather meets requests: around everything the world serves but its own controls.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use rust_decimal::Decimal;
use tower::ServiceExt;

use super::answers::{self, Ending};
use super::rule::SOURCES;
use super::{Class, Effect, Farewell, Passing, Struck};
use crate::domain::{AccountName, Side};
use crate::world::World;
use crate::world::analyst;
use crate::world::fapi::params::Params;

/// The largest body that passes, bytes: the model's limit.
const BODY_LIMIT: usize = 32 * 1024 * 1024;

/// What the exchange's endpoints do differently for one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Twist {
    /// How far the exchange's clock is ahead, ms.
    pub skew_ms: i64,
    /// How old what order reads tell is, wall time, ms.
    pub lag_ms: i64,
    /// How long a socket that is opened lives, ms, and how it is closed then.
    pub socket_life: Option<(u64, Farewell)>,
    /// When an accepted conditional order vanishes, ms later.
    pub vanish_after_ms: Option<u64>,
    /// How much of its quantity an order takes at once.
    pub fill_share: Option<Decimal>,
}

/// A request as the rules see it.
struct Seen {
    method: String,
    path: String,
    account: Option<AccountName>,
    symbol: Option<String>,
    side: Option<Side>,
    reduce_only: bool,
    client_id: Option<String>,
}

impl Seen {
    fn of(world: &World, parts: &Parts, body: &[u8]) -> Self {
        let path = parts.uri.path().to_owned();
        let body = if is_exchange(&path) { String::from_utf8_lossy(body) } else { "".into() };
        let params = Params::parse(parts.uri.query().unwrap_or_default(), &body);
        let key = parts.headers.get("x-mbx-apikey").and_then(|key| key.to_str().ok());
        let account = key.and_then(|key| {
            let core = world.core();
            let (who, _) = core.account_of_key(key)?;
            Some(core.engine.account(who).name.clone())
        });
        let told = |name: &str| params.get(name).map(ToOwned::to_owned);
        let is_true = |name: &str| params.get(name).is_some_and(|text| text.eq_ignore_ascii_case("true"));
        Self {
            method: parts.method.as_str().to_owned(),
            path,
            account,
            symbol: told("symbol"),
            side: match params.get("side") {
                Some("BUY") => Some(Side::Buy),
                Some("SELL") => Some(Side::Sell),
                _ => None,
            },
            reduce_only: is_true("reduceOnly") || is_true("closePosition"),
            client_id: told("newClientOrderId").or_else(|| told("clientAlgoId")),
        }
    }

    fn passing(&self) -> Passing<'_> {
        Passing {
            classes: classes(&self.method, &self.path),
            method: &self.method,
            path: &self.path,
            account: self.account.as_ref(),
            symbol: self.symbol.as_deref(),
            side: self.side,
            reduce_only: self.reduce_only,
            client_id: self.client_id.clone(),
        }
    }
}

fn is_exchange(path: &str) -> bool {
    ["/fapi/", "/futures/", "/sapi/", "/public/", "/market/", "/private/", "/ws", "/stream"]
        .iter()
        .any(|start| path.starts_with(start))
}

/// The families a request belongs to.
fn classes(method: &str, path: &str) -> Vec<Class> {
    let mut classes = Vec::new();
    if is_exchange(path) {
        classes.push(Class::Exchange);
        let ends = |ends: &[&str]| ends.iter().any(|end| path.ends_with(end));
        if ends(&["/listenKey"]) {
            classes.push(Class::ListenKey);
        } else if method == "GET" {
            classes.push(Class::Read);
        } else if ends(&["/algoOrder", "/algoOpenOrders"]) {
            classes.push(Class::Algo);
        } else if ends(&["/order", "/order/test", "/batchOrders", "/allOpenOrders", "/countdownCancelAll"]) {
            classes.push(Class::Order);
        }
    } else if path.starts_with("/v1/") {
        classes.push(Class::Messages);
    } else if let Some((name, _)) = SOURCES.iter().find(|(_, start)| path.starts_with(start)) {
        classes.push(Class::Source(None));
        classes.push(Class::Source(Some((*name).to_owned())));
    }
    classes
}

/// Everything that happens to one request.
#[derive(Default)]
struct Plan {
    latency: Duration,
    twist: Twist,
    analyst: Option<analyst::Fault>,
    /// The ending with the log line it belongs to.
    ending: Option<(u64, Ending)>,
}

impl Plan {
    fn of(struck: &[Struck]) -> Self {
        let mut plan = Self::default();
        for Struck { number, effect, draw, .. } in struck {
            match effect {
                Effect::Latency { ms, spread_ms } => plan.latency += latency(*ms, *spread_ms, *draw),
                Effect::ClockSkew { ms } => plan.twist.skew_ms = plan.twist.skew_ms.saturating_add(*ms),
                Effect::ReadLag { ms } => {
                    plan.twist.lag_ms = plan.twist.lag_ms.max(i64::try_from(*ms).unwrap_or(i64::MAX));
                }
                Effect::SocketLife { ms, code } => plan.twist.socket_life = Some((*ms, *code)),
                Effect::PartialFill { share } => plan.twist.fill_share = Some(*share),
                Effect::StopVanished { after_ms } => plan.twist.vanish_after_ms = Some(*after_ms),
                Effect::Analyst { fault } => plan.analyst = fault.parse().ok(),
                other => {
                    if plan.ending.is_none() {
                        plan.ending = answers::ending(other).map(|ending| (*number, ending));
                    }
                }
            }
        }
        plan
    }
}

/// Between `ms - spread_ms` and `ms + spread_ms`.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "at most ten minutes, and never below zero as the spread is at most the middle"
)]
fn latency(ms: u64, spread_ms: u64, draw: f64) -> Duration {
    Duration::from_micros(((ms as f64 + (2.0 * draw - 1.0) * spread_ms as f64) * 1000.0) as u64)
}

/// Lets a request pass by the rules.
pub(crate) async fn weather(State(world): State<Arc<World>>, request: Request, next: Next) -> Response {
    if world.faults().is_idle() {
        return next.run(request).await;
    }
    world.run_timed_faults();
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let seen = Seen::of(&world, &parts, &body);
    let wall_ms = world.wall_ms();
    let is_exchange = is_exchange(&seen.path);
    let is_message = seen.path.starts_with("/v1/");
    if is_exchange && let Some(until) = world.faults().banned_until(wall_ms) {
        let answer = answers::shown(answers::banned(until, wall_ms).show, None, None).await;
        return with_weight(&world, answer);
    }
    let struck = world.faults().strike(&seen.passing(), wall_ms);
    if struck.is_empty() {
        return next.run(Request::from_parts(parts, Body::from(body))).await;
    }
    world.carry_out(&struck, seen.account.as_ref());
    let mut plan = Plan::of(&struck);
    if let Some((number, retry_after)) = ban(&struck) {
        let until = wall_ms.saturating_add(i64::try_from(retry_after).unwrap_or_default() * 1000);
        world.faults().ban(until);
        if plan.ending.is_none() {
            plan.ending = Some((number, answers::banned(until, wall_ms)));
        }
    }
    // A request under way is carried out even when its sender no longer waits.
    let under_way = tokio::spawn(go_through(Arc::clone(&world), parts, body, next, plan, is_message));
    let answer = under_way.await.unwrap_or_else(|_| answers::cut_off());
    if is_exchange { with_weight(&world, answer) } else { answer }
}

/// Every answer of the exchange tells the weight used, the bad ones too.
fn with_weight(world: &World, mut answer: Response) -> Response {
    let used = world.core().limits.used(world.wall_ms());
    answer.headers_mut().entry("x-mbx-used-weight-1m").or_insert_with(|| HeaderValue::from(used));
    answer
}

fn ban(struck: &[Struck]) -> Option<(u64, u64)> {
    struck.iter().find_map(|struck| match struck.effect {
        Effect::Banned { retry_after } => Some((struck.number, retry_after)),
        _ => None,
    })
}

async fn go_through(
    world: Arc<World>,
    mut parts: Parts,
    body: Bytes,
    next: Next,
    plan: Plan,
    is_message: bool,
) -> Response {
    tokio::time::sleep(plan.latency).await;
    parts.extensions.insert(plan.twist);
    let request = Request::from_parts(parts, Body::from(body));
    let acted = plan.ending.as_ref().is_none_or(|(_, ending)| ending.acted);
    let truth = match (acted, plan.analyst) {
        (false, _) => None,
        (true, None) => Some(next.run(request).await),
        (true, Some(fault)) => Some(world.faulty_analyst(fault).oneshot(request).await.into_response()),
    };
    let Some((number, ending)) = plan.ending else { return truth.unwrap_or_else(answers::cut_off) };
    if let Some(truth) = &truth {
        world.faults().note_answer(number, truth.status().as_u16());
    }
    answers::shown(ending.show, truth, is_message.then(|| answers::request_id(number))).await
}
