//! Between the desk and the exchange: decides for every request what becomes of it, and watches the truth behind it.
//!
//! What is delivered is carried out whether or not the desk still waits for it, as packets are.

mod stops;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use jarvis::domain::{Direction, Symbol};
use jarvis::exchange::{Credentials, ExchangeClient, ExchangePosition};
use jarvis::net::{Body, NetError, Transport};
use jarvis::world::World;
use rust_decimal::Decimal;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use tokio::sync::Notify;

use super::clock::SimClock;

/// What becomes of one request.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// As without us.
    Pass,
    /// The connection cannot be made.
    Refuse,
    /// The connection takes so long to make; nothing leaves when the caller goes away meanwhile.
    Connects(Duration),
    /// Lost on the way there; nobody answers.
    DropBefore,
    /// Executed; nobody answers.
    LoseAnswer,
    /// Executed; the connection breaks.
    Reset,
    /// Executed so much later; nobody answers in time.
    Late(Duration),
    /// Executed; half of the answer comes.
    Truncate,
    /// Answered by the edge; executed or not.
    Answer { delivered: bool, status: u16, body: &'static str, retry_after: Option<u64> },
    /// The desk dies here; delivered or not.
    Crash { delivered: bool },
}

pub const UNKNOWN_503: &str =
    r#"{"code":-1000,"msg":"Unknown error, please check your request or try again later."}"#;
pub const THROTTLED_503: &str = r#"{"code":-1008,"msg":"Request throttled by system-level protection."}"#;
pub const UNAVAILABLE_503: &str = r#"{"code":0,"msg":"Service Unavailable."}"#;
pub const TIMEOUT_408: &str = r#"{"code":-1007,"msg":"Timeout waiting for response from backend server."}"#;
pub const TOO_MANY_429: &str = r#"{"code":-1003,"msg":"Too many requests."}"#;
pub const LAG: &str = r#"{"code":-2013,"msg":"Order does not exist."}"#;
pub const WOULD_TRIGGER: &str = r#"{"code":-2021,"msg":"Order would immediately trigger."}"#;
pub const REFUSED_STOP: &str = r#"{"code":-4000,"msg":"Stop refused by the bench."}"#;
pub const BAD_KEY: &str = r#"{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}"#;

impl Fate {
    pub fn answer(delivered: bool, status: u16, body: &'static str) -> Self {
        Self::Answer { delivered, status, body, retry_after: None }
    }
}

/// A request as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub account: usize,
    pub method: String,
    pub path: String,
    pub symbol: String,
    pub id: String,
    pub reduce_only: bool,
    /// How many calls of this account with this method and path came before it in this life.
    pub nth: u64,
}

impl Call {
    pub fn is(&self, method: &str, path: &str) -> bool {
        self.method == method && self.path.ends_with(path)
    }

    pub fn is_opening(&self) -> bool {
        self.is("POST", "/v1/order") && !self.reduce_only
    }

    pub fn is_close(&self) -> bool {
        self.is("POST", "/v1/order") && self.reduce_only
    }

    pub fn is_stop(&self) -> bool {
        self.is("POST", "/v1/algoOrder")
    }

    /// Whether it changes anything but a listen key.
    pub fn mutates(&self) -> bool {
        self.method != "GET" && !self.path.ends_with("/listenKey")
    }
}

/// A call with what was done to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub at_ms: i64,
    pub call: Call,
    pub fate: Fate,
    /// What the exchange answered, if it was reached.
    pub status: Option<u16>,
}

type Rule = Box<dyn Fn(&Call) -> Option<Fate> + Send + Sync>;

/// A position that is, or was, without a stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    pub account: usize,
    pub symbol: Symbol,
    pub from_ms: i64,
    pub lasted_ms: i64,
    /// How it ended: protected, flat, or still open.
    pub end: &'static str,
}

/// A stop that outlived its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphanage {
    pub account: usize,
    pub symbol: Symbol,
    pub from_ms: i64,
    pub lasted_ms: i64,
}

#[derive(Default)]
struct State {
    counts: BTreeMap<(usize, String, String), u64>,
    log: Vec<Entry>,
    naked: BTreeMap<(usize, Symbol), i64>,
    /// Signed sizes at the last look.
    held: BTreeMap<(usize, Symbol), Decimal>,
    windows: Vec<Window>,
    violations: Vec<String>,
    latency: Option<(u64, u64)>,
    /// Late requests that the exchange has not carried out yet.
    under_way: u64,
    /// How often somebody else traded.
    strangers: u64,
    stops_vanish_after: Option<Duration>,
    /// When the exchange answers nobody.
    outages: Vec<(i64, i64)>,
    /// Stops without a position by their account and number: the coin, and since when.
    orphans: BTreeMap<(usize, i64), (Symbol, i64)>,
    orphanages: Vec<Orphanage>,
    lives: u64,
}

/// The layer itself.
pub struct Faults {
    clock: Arc<SimClock>,
    inner: Transport,
    /// Past all weather.
    calm: Transport,
    truths: Vec<ExchangeClient>,
    /// Each account's key and what it signs with.
    keys: Vec<(String, SecretString)>,
    seed: u64,
    state: Mutex<State>,
    /// Apart from the rest, because rules roll.
    rules: Mutex<Vec<Rule>>,
    rolls: Mutex<BTreeMap<String, u64>>,
    /// Rung when a rule says the desk dies.
    pub death: Notify,
}

impl Faults {
    pub fn over(world: &Arc<World>, clock: Arc<SimClock>, seed: u64) -> Arc<Self> {
        let inner = Transport::in_process(world.router());
        // Who judges sees through all weather.
        let calm = Transport::in_process(world.calm_router());
        let keys = world.keys();
        let truths = keys
            .iter()
            .map(|key| {
                let credentials = Credentials {
                    api_key: key.api_key.clone().into(),
                    api_secret: key.api_secret.clone().into(),
                };
                ExchangeClient::new(calm.clone(), "http://truth", credentials, clock.clone())
            })
            .collect();
        Arc::new(Self {
            clock,
            inner,
            calm,
            truths,
            keys: keys.into_iter().map(|key| (key.api_key, SecretString::from(key.api_secret))).collect(),
            seed,
            state: Mutex::default(),
            rules: Mutex::default(),
            rolls: Mutex::default(),
            death: Notify::new(),
        })
    }

    /// Adds a rule; the first that has a fate for a call decides.
    pub fn rule(&self, rule: impl Fn(&Call) -> Option<Fate> + Send + Sync + 'static) {
        self.rules.lock().unwrap().push(Box::new(rule));
    }

    /// The first `times` calls that match meet this fate.
    pub fn first(&self, times: u64, matches: impl Fn(&Call) -> bool + Send + Sync + 'static, fate: Fate) {
        let left = Mutex::new(times);
        self.rule(move |call| {
            let mut left = left.lock().unwrap();
            (*left > 0 && matches(call)).then(|| {
                *left -= 1;
                fate.clone()
            })
        });
    }

    /// From now on everything works.
    pub fn heal(&self) {
        self.rules.lock().unwrap().clear();
    }

    /// Every round trip takes between these many milliseconds.
    pub fn latency(&self, least: u64, most: u64) {
        self.state.lock().unwrap().latency = Some((least, most));
    }

    /// Whether a request is still on its way to the exchange.
    pub fn is_under_way(&self) -> bool {
        self.state.lock().unwrap().under_way > 0
    }

    pub fn log(&self) -> Vec<Entry> {
        self.state.lock().unwrap().log.clone()
    }

    pub fn windows(&self) -> Vec<Window> {
        self.state.lock().unwrap().windows.clone()
    }

    pub fn violations(&self) -> Vec<String> {
        self.state.lock().unwrap().violations.clone()
    }

    pub fn blame(&self, what: String) {
        self.state.lock().unwrap().violations.push(what);
    }

    pub fn truth(&self, account: usize) -> ExchangeClient {
        self.truths[account].clone()
    }

    pub fn mark(&self, symbol: &Symbol) -> Decimal {
        let request = Request::get("http://truth/world/state").body(Bytes::new()).unwrap();
        let answer = futures_util::FutureExt::now_or_never(self.inner.fetch(
            request,
            Duration::from_secs(5),
            64 << 20,
        ));
        let body = answer.unwrap().unwrap().body;
        let state: serde_json::Value = serde_json::from_slice(&body).unwrap();
        state["prices"][symbol.as_str()]["mark"].as_str().unwrap().parse().unwrap()
    }

    /// Positions left naked by a crash are counted from the start of the next life: nobody could see them before.
    pub async fn begin_life(self: &Arc<Self>) {
        self.look_everywhere().await;
        for account in 0..self.truths.len() {
            self.look_when_stops_vanished(account);
        }
        let now = self.clock.now_ms();
        let mut state = self.state.lock().unwrap();
        state.lives += 1;
        state.counts.clear();
        // A crash of the bench's runtime loses them; a real one would not, which the late ones of one life show.
        state.under_way = 0;
        for since in state.naked.values_mut() {
            *since = now;
        }
        for (_, since) in state.orphans.values_mut() {
            *since = now;
        }
    }

    /// Accepted stops may vanish after this long without a word to anybody: then the truth is looked at.
    pub fn stops_vanish_after(&self, ms: u64) {
        self.state.lock().unwrap().stops_vanish_after = Some(Duration::from_millis(ms));
    }

    fn look_when_stops_vanished(self: &Arc<Self>, account: usize) {
        let Some(after) = self.state.lock().unwrap().stops_vanish_after else { return };
        let layer = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(after + Duration::from_millis(1)).await;
            layer.look(account).await;
        });
    }

    /// From one instant to the other the exchange answers nobody.
    pub fn outage(&self, from_ms: i64, to_ms: i64) {
        self.state.lock().unwrap().outages.push((from_ms, to_ms));
    }

    /// How much of a time the exchange answered nobody, ms.
    pub fn down_within(&self, from_ms: i64, to_ms: i64) -> i64 {
        let state = self.state.lock().unwrap();
        state.outages.iter().map(|(from, to)| (to_ms.min(*to) - from_ms.max(*from)).max(0)).sum()
    }

    /// Stops that outlived their position: whose, since when, how long.
    pub fn orphanages(&self) -> Vec<Orphanage> {
        self.state.lock().unwrap().orphanages.clone()
    }

    /// Somebody else trades.
    pub fn stranger_trades(&self) {
        self.state.lock().unwrap().strangers += 1;
    }

    fn strangers(&self) -> u64 {
        self.state.lock().unwrap().strangers
    }

    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Closes the books on what was naked when the life ended.
    pub fn end_life(&self) {
        let now = self.clock.now_ms();
        let mut state = self.state.lock().unwrap();
        let open: Vec<_> = state.naked.iter().map(|(whose, since)| (whose.clone(), *since)).collect();
        for ((account, symbol), from_ms) in open {
            state.windows.push(Window { account, symbol, from_ms, lasted_ms: now - from_ms, end: "crash" });
        }
    }

    pub fn transport(self: &Arc<Self>) -> Transport {
        let layer = Arc::clone(self);
        Transport::from_service(tower::service_fn(move |request: Request<Bytes>| {
            let layer = Arc::clone(&layer);
            async move { layer.carry(request).await }
        }))
    }

    /// A number that depends on the seed, a name and how often it was asked for.
    pub fn roll(&self, what: &str) -> u64 {
        let mut rolls = self.rolls.lock().unwrap();
        let count = rolls.entry(what.to_owned()).or_default();
        *count += 1;
        let mut hasher = DefaultHasher::new();
        (self.seed, what, *count).hash(&mut hasher);
        hasher.finish()
    }

    /// A number that depends on the seed, the call and the instant: the same for whoever asks first in an instant.
    pub fn roll_now(&self, what: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, what, self.clock.now_ms()).hash(&mut hasher);
        hasher.finish()
    }

    fn call_of(&self, request: &Request<Bytes>) -> Call {
        let body = String::from_utf8_lossy(request.body()).into_owned();
        let params = format!("{}&{body}", request.uri().query().unwrap_or_default());
        let get = |names: &[&str]| {
            params
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .find(|(name, _)| names.contains(name))
                .map(|(_, value)| value.to_owned())
                .unwrap_or_default()
        };
        let key = request.headers().get("x-mbx-apikey").and_then(|key| key.to_str().ok()).unwrap_or_default();
        let account = self.keys.iter().position(|(known, _)| known == key).unwrap_or(usize::MAX);
        let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
        let mut state = self.state.lock().unwrap();
        let nth = state.counts.entry((account, method.clone(), path.clone())).or_default();
        *nth += 1;
        Call {
            account,
            nth: *nth - 1,
            symbol: get(&["symbol"]),
            id: get(&["newClientOrderId", "clientAlgoId", "origClientOrderId"]),
            reduce_only: [get(&["reduceOnly"]), get(&["closePosition"])].iter().any(|flag| flag == "true"),
            method,
            path,
        }
    }

    async fn carry(self: &Arc<Self>, request: Request<Bytes>) -> Result<Response<Body>, NetError> {
        let call = self.call_of(&request);
        // The third letter of our names says what an order is for.
        let is_to_reduce =
            call.id.starts_with("j2") && matches!(call.id.as_bytes().get(2), Some(b'c' | b'e' | b's'));
        if call.method == "POST" && is_to_reduce && !call.reduce_only {
            self.blame(format!("{call:?} may do more than reduce"));
        }
        let fate = self.rules.lock().unwrap().iter().find_map(|rule| rule(&call)).unwrap_or(Fate::Pass);
        let index = {
            let mut state = self.state.lock().unwrap();
            let at_ms = self.clock.now_ms();
            state.log.push(Entry { at_ms, call: call.clone(), fate: fate.clone(), status: None });
            state.log.len() - 1
        };
        if fate == Fate::Refuse {
            return Err(NetError::NotSent { host: "bench".to_owned(), reason: "refused".to_owned() });
        }
        let half = self.half_trip(&call);
        tokio::time::sleep(half).await;
        match &fate {
            Fate::Connects(by) => tokio::time::sleep(*by).await,
            Fate::DropBefore => return std::future::pending().await,
            Fate::Crash { delivered: false } => {
                self.death.notify_one();
                return std::future::pending().await;
            }
            Fate::Answer { delivered: false, status, body, retry_after } => {
                tokio::time::sleep(half).await;
                return Ok(edge(*status, body, *retry_after));
            }
            _ => {}
        }
        let layer = Arc::clone(self);
        let late = if let Fate::Late(by) = fate { Some(by) } else { None };
        let delivered = tokio::spawn(async move {
            let Some(by) = late else { return layer.deliver(&call, request, index).await };
            layer.state.lock().unwrap().under_way += 1;
            tokio::time::sleep(by).await;
            let request = layer.taken_in_time(&call, request);
            let answered = layer.deliver(&call, request, index).await;
            layer.state.lock().unwrap().under_way -= 1;
            answered
        });
        let answered = delivered.await.unwrap();
        tokio::time::sleep(half).await;
        match fate {
            Fate::LoseAnswer | Fate::Late(_) => std::future::pending().await,
            Fate::Crash { .. } => {
                self.death.notify_one();
                std::future::pending().await
            }
            Fate::Reset => {
                Err(NetError::Interrupted { host: "bench".to_owned(), reason: "reset".to_owned() })
            }
            Fate::Answer { status, body, retry_after, .. } => Ok(edge(status, body, retry_after)),
            Fate::Truncate => {
                let (parts, body) = answered?.into_parts();
                let half = body.slice(..body.len() / 2);
                Ok(Response::from_parts(parts, whole(half)))
            }
            _ => Ok(answered?.map(whole)),
        }
    }

    /// The request as one that was taken in time and waited behind the gateway: its time is checked no more, so it
    /// bears the present one.
    fn taken_in_time(&self, call: &Call, request: Request<Bytes>) -> Request<Bytes> {
        let Some((_, secret)) = self.keys.get(call.account) else { return request };
        let now = self.clock.now_ms();
        let (mut parts, body) = request.into_parts();
        let query = parts.uri.query().unwrap_or_default();
        if query.contains("signature=") {
            let path = format!("{}?{}", parts.uri.path(), signed_anew(query, secret, now));
            let mut uri = parts.uri.clone().into_parts();
            uri.path_and_query = Some(path.parse().unwrap());
            parts.uri = http::Uri::from_parts(uri).unwrap();
            return Request::from_parts(parts, body);
        }
        let text = String::from_utf8_lossy(&body).into_owned();
        Request::from_parts(parts, signed_anew(&text, secret, now).into())
    }

    fn half_trip(&self, call: &Call) -> Duration {
        let latency = self.state.lock().unwrap().latency;
        let Some((least, most)) = latency else { return Duration::ZERO };
        let spread = most - least + 1;
        let name = format!("latency {} {} {} {}", call.account, call.method, call.path, call.symbol);
        Duration::from_micros((least + self.roll_now(&name) % spread) * 500)
    }

    /// Delivers, and looks at what it did.
    async fn deliver(
        self: &Arc<Self>,
        call: &Call,
        request: Request<Bytes>,
        index: usize,
    ) -> Result<Response<Bytes>, NetError> {
        let before =
            if call.is_opening() || call.is_close() { self.signed(call).await } else { Decimal::ZERO };
        let strangers = self.strangers();
        let answered = async {
            let (parts, body) = self.inner.send(request).await?.into_parts();
            Ok::<_, NetError>(Response::from_parts(parts, body.collect().await?.to_bytes()))
        };
        let answered = answered.await;
        let status = answered.as_ref().ok().map(|response| response.status().as_u16());
        // Weather may hold an answer back for long after the execution: what a stranger did meanwhile is not the order's.
        if (call.is_opening() || call.is_close()) && self.strangers() == strangers {
            let after = self.signed(call).await;
            if call.is_close() {
                self.only_reduced(&call.symbol, before, after);
            } else if !before.is_zero() && after != before {
                self.blame(format!("an opening in {} met a position: {before} became {after}", call.symbol));
            }
        }
        self.state.lock().unwrap().log[index].status = status;
        if call.mutates() {
            self.look(call.account).await;
        }
        if call.is_stop() {
            self.look_when_stops_vanished(call.account);
        }
        answered
    }

    /// What an account holds of a call's coin, shorts negative.
    async fn signed(&self, call: &Call) -> Decimal {
        let Some(truth) = self.truths.get(call.account) else { return Decimal::ZERO };
        let positions = truth.positions().await.unwrap();
        positions.iter().find(|held| held.symbol.as_str() == call.symbol).map_or(Decimal::ZERO, signed_size)
    }

    /// I7: what closes never adds and never turns a position around.
    pub fn only_reduced(&self, symbol: &str, before: Decimal, after: Decimal) {
        if after.abs() > before.abs() || after * before < Decimal::ZERO {
            self.blame(format!("{symbol}: a close made {before} into {after}"));
        }
    }

    /// What all accounts held at the last look, shorts negative.
    pub fn held(&self) -> BTreeMap<(usize, Symbol), Decimal> {
        self.state.lock().unwrap().held.clone()
    }

    pub async fn look_everywhere(&self) {
        for account in 0..self.truths.len() {
            self.look(account).await;
        }
    }

    /// Reads the truth of an account and notes which positions stand without a stop, and since when.
    pub async fn look(&self, account: usize) {
        let Some(truth) = self.truths.get(account) else { return };
        let positions = truth.positions().await.unwrap();
        let stops = self.resting_stops(account).await;
        let now = self.clock.now_ms();
        let mut state = self.state.lock().unwrap();
        let held: BTreeSet<Symbol> = positions.iter().map(|position| position.symbol.clone()).collect();
        state.held.retain(|(whose, _), _| *whose != account);
        state.held.extend(positions.iter().map(|held| ((account, held.symbol.clone()), signed_size(held))));
        for position in &positions {
            let whose = (account, position.symbol.clone());
            if stops.iter().any(|stop| stop.protects(position)) {
                state.ended(&whose, now, "protected");
            } else {
                state.naked.entry(whose).or_insert(now);
            }
        }
        let gone: Vec<_> = state
            .naked
            .keys()
            .filter(|(whose, symbol)| *whose == account && !held.contains(symbol))
            .cloned()
            .collect();
        for whose in gone {
            state.ended(&whose, now, "flat");
        }
        let mut left = std::mem::take(&mut state.orphans);
        for stop in stops {
            let symbol = Symbol::new(&stop.symbol).unwrap();
            if held.contains(&symbol) {
                continue;
            }
            let whose = (account, stop.id);
            let known = left.remove(&whose).unwrap_or((symbol, now));
            state.orphans.insert(whose, known);
        }
        for ((whose, id), (symbol, from_ms)) in left {
            if whose == account {
                state.orphanages.push(Orphanage { account, symbol, from_ms, lasted_ms: now - from_ms });
            } else {
                state.orphans.insert((whose, id), (symbol, from_ms));
            }
        }
    }
}

impl State {
    fn ended(&mut self, whose: &(usize, Symbol), now: i64, end: &'static str) {
        if let Some(from_ms) = self.naked.remove(whose) {
            let (account, symbol) = whose.clone();
            self.windows.push(Window { account, symbol, from_ms, lasted_ms: now - from_ms, end });
        }
    }
}

fn signed_size(position: &ExchangePosition) -> Decimal {
    match position.direction {
        Direction::Long => position.quantity.value(),
        Direction::Short => -position.quantity.value(),
    }
}

/// Parameters with another time and the signature that belongs to it.
fn signed_anew(params: &str, secret: &SecretString, now_ms: i64) -> String {
    let (unsigned, _) = params.split_once("&signature=").unwrap_or((params, ""));
    let pairs: Vec<String> = unsigned
        .split('&')
        .map(
            |pair| {
                if pair.starts_with("timestamp=") { format!("timestamp={now_ms}") } else { pair.to_owned() }
            },
        )
        .collect();
    let text = pairs.join("&");
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).unwrap();
    mac.update(text.as_bytes());
    format!("{text}&signature={}", hex::encode(mac.finalize().into_bytes()))
}

fn edge(status: u16, body: &'static str, retry_after: Option<u64>) -> Response<Body> {
    let mut response = Response::new(whole(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    if let Some(seconds) = retry_after {
        response.headers_mut().insert("retry-after", seconds.into());
    }
    response
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}
