//! The client of one account: sends, signs, meters, retries reads. What to ask stands in `reads` and `orders`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::domain::Clock;
use crate::net::retry::retry_after;
use crate::net::{Answer, NetError, RetryPolicy, Transport};

use super::budget::{OrderCounts, OrderMeter, Urgency, cost, number};
use super::error::ExchangeError;
use super::key::KeyStanding;
use super::limits::Limits;
use super::outcome::{Outcome, codes, from_answer, from_net_error};
use super::signing::Params;

/// Whole time allowed for a read of an account: a lost one must not hold up the watch over its stops, and three tries
/// fit into the ten seconds a cycle gives an account.
const READ_DEADLINE: Duration = Duration::from_secs(3);
/// Whole time allowed for a public read: the rules of all contracts are large.
const PUBLIC_DEADLINE: Duration = Duration::from_secs(10);
/// Whole time allowed for a call that changes state.
const WRITE_DEADLINE: Duration = Duration::from_secs(5);
/// How late a read may reach the exchange.
const READ_WINDOW_MS: i64 = 5000;
/// How late an order may reach the exchange; short, so that a lost one cannot arrive later.
const WRITE_WINDOW_MS: i64 = 3000;
/// A clock sample that took longer is asked for again.
const SLOW_SAMPLE_MS: i64 = 500;
/// The most clock samples in one go.
const CLOCK_SAMPLES: u32 = 3;
/// How long whatever is on its way waits for a look at the clock.
const CLOCK_ON_THE_WAY: Duration = Duration::from_secs(1);
/// The header that tells the weight an address used in the running minute.
const USED_WEIGHT: &str = "x-mbx-used-weight-1m";
/// The rules of all contracts.
pub(super) const RULES: &str = "/fapi/v1/exchangeInfo";
/// The rules of all contracts take more than a megabyte.
const BODY_LIMIT: usize = 16 * 1024 * 1024;

/// The key pair of one account. Its `Debug` shows neither.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// Sent with every request.
    pub api_key: SecretString,
    /// Signs, never sent.
    pub api_secret: SecretString,
}

/// Opens the private user stream of an account for an hour. Its `Debug` does not show it.
#[derive(Debug, Clone)]
pub struct ListenKey(pub(super) SecretString);

/// What a path wants to know about us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Security {
    /// Nothing.
    Public,
    /// The key, without a signature.
    Key,
    /// Key, time and signature.
    Signed { window_ms: i64 },
}

impl Security {
    pub(super) const READ: Self = Self::Signed { window_ms: READ_WINDOW_MS };
}

/// Where futures are traded, and where the same owner's keys and wallets are asked about.
const FUTURES_AND_WALLET: (&str, &str) = ("https://fapi.binance.com", "https://api.binance.com");

/// The host that answers `/sapi` beside a futures host. Only the real exchange has one of its own; a world or a
/// stand-in answers everything at one address.
fn wallet_url(futures: &str) -> &str {
    if futures == FUTURES_AND_WALLET.0 { FUTURES_AND_WALLET.1 } else { futures }
}

struct Inner {
    transport: Transport,
    base_url: String,
    credentials: Credentials,
    wall: Arc<dyn Clock>,
    limits: Arc<Limits>,
    orders: Arc<OrderMeter>,
    key: KeyStanding,
}

/// Talks to the exchange for one account. Cheap to clone.
#[derive(Clone)]
pub struct ExchangeClient {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for ExchangeClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExchangeClient").field("base_url", &self.inner.base_url).finish_non_exhaustive()
    }
}

impl ExchangeClient {
    /// A client for one account with a gate of its own. `base_url` has no path (`https://fapi.binance.com`); `wall`
    /// is the system's clock, used for signing only.
    pub fn new(
        transport: Transport,
        base_url: impl Into<String>,
        credentials: Credentials,
        wall: Arc<dyn Clock>,
    ) -> Self {
        Self::sharing(transport, base_url, credentials, wall, Arc::default())
    }

    /// Like [`Self::new`], with the gate, the meter and the measured clock of the other accounts behind the same
    /// address.
    pub fn sharing(
        transport: Transport,
        base_url: impl Into<String>,
        credentials: Credentials,
        wall: Arc<dyn Clock>,
        limits: Arc<Limits>,
    ) -> Self {
        let base_url = base_url.into().trim_end_matches('/').to_owned();
        let orders = Arc::new(OrderMeter::new());
        limits.add_account(&orders);
        let key = KeyStanding::default();
        let inner = Inner { transport, base_url, credentials, wall, limits, orders, key };
        Self { inner: Arc::new(inner) }
    }

    /// A client for another account at the same exchange, behind the same address.
    #[must_use]
    pub fn for_account(&self, credentials: Credentials) -> Self {
        let inner = &self.inner;
        Self::sharing(
            inner.transport.clone(),
            inner.base_url.clone(),
            credentials,
            Arc::clone(&inner.wall),
            Arc::clone(&inner.limits),
        )
    }

    /// Tells the accounts apart; never print it.
    pub(super) fn api_key(&self) -> &SecretString {
        &self.inner.credentials.api_key
    }

    /// The gate and the weight meter of the address.
    pub fn limits(&self) -> &Arc<Limits> {
        &self.inner.limits
    }

    /// How many orders this account sent lately.
    pub fn order_counts(&self) -> OrderCounts {
        self.inner.orders.read()
    }

    /// Why the exchange does not take this account's key, until it answers again; `None` while it does. A key that may read
    /// and not trade is tried again after a while: no read would tell that it may by now.
    pub fn key_trouble(&self) -> Option<String> {
        self.inner.key.trouble()
    }

    /// The exchange's time, as far as we know it, in milliseconds.
    fn server_now_ms(&self) -> i64 {
        self.inner.wall.now().timestamp_millis().saturating_add(self.inner.limits.clock_offset_ms())
    }

    /// Measures how far the exchange's clock is from ours and signs by it from now on. Returns the offset (its time
    /// minus ours) in milliseconds.
    pub async fn sync_clock(&self) -> Result<i64, ExchangeError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Time {
            server_time: i64,
        }
        const PATH: &str = "/fapi/v1/time";
        self.inner.limits.measuring_clock();
        let mut best: Option<(i64, i64)> = None;
        let mut attempt = 1;
        loop {
            // Every try is a sample of its own: pauses and lost answers in between would be taken for a clock that is off.
            let before = self.inner.wall.now().timestamp_millis();
            let answer = self.read_once(PATH, Params::new(), Security::Public).await;
            let took = self.inner.wall.now().timestamp_millis().saturating_sub(before);
            match answer.and_then(|body| decode::<Time>(PATH, &body)) {
                Ok(time) => {
                    let offset = time.server_time.saturating_sub(before + took / 2);
                    if best.is_none_or(|(least, _)| took < least) {
                        best = Some((took, offset));
                        // At once: whoever asked may have no time for the next sample, and signs by this one then.
                        self.inner.limits.set_clock_offset_ms(offset);
                    }
                }
                Err(error) if best.is_none() => {
                    let policy = RetryPolicy::READS;
                    let wait = error.worth_waiting(policy.first_pause);
                    let Some(wait) = wait.filter(|wait| *wait <= policy.longest_pause) else {
                        return Err(error);
                    };
                    if attempt >= policy.attempts {
                        return Err(error);
                    }
                    tokio::time::sleep(wait).await;
                }
                Err(_) => {}
            }
            attempt += 1;
            // A slow answer says little: half of what it took is the error. A few more are asked for, the quickest counts.
            if let Some((took, offset)) = best
                && (took <= SLOW_SAMPLE_MS || attempt > CLOCK_SAMPLES)
            {
                self.inner.limits.measured_clock(offset);
                return Ok(offset);
            }
        }
    }

    /// Measures the clock as [`Self::sync_clock`] does, but holds nobody up for more than a second. The offset, if it was
    /// told in time; otherwise the last known one counts on.
    pub async fn glance_at_clock(&self) -> Option<i64> {
        match tokio::time::timeout(CLOCK_ON_THE_WAY, self.sync_clock()).await {
            Ok(Ok(offset_ms)) => return Some(offset_ms),
            Ok(Err(error)) => tracing::warn!(%error, "the exchange's clock could not be measured"),
            Err(_elapsed) => tracing::warn!("the exchange's clock could not be measured within a second"),
        }
        None
    }

    /// Asks and decodes; retried, and signed anew, once, after measuring the clock if that was the trouble. The clock
    /// is measured every hour on the way, by reads only: an order never waits for it.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        path: &str,
        params: Params,
        security: Security,
    ) -> Result<T, ExchangeError> {
        if self.inner.limits.clock_is_due() {
            // The reading itself is what matters; the clock is due again soon.
            self.glance_at_clock().await;
        }
        match self.read_patiently(path, &params, security).await {
            Err(error) if error.is_clock_skew() => {
                let offset_ms = self.sync_clock().await?;
                tracing::warn!(offset_ms, "the exchange refused our time stamp; measured its clock anew");
                self.read_patiently(path, &params, security).await
            }
            result => result,
        }
    }

    /// The retry loop. It stands here and not in `net`, because every try needs a fresh time stamp and the gate, and
    /// because only who decodes an answer sees that it broke off.
    async fn read_patiently<T: DeserializeOwned>(
        &self,
        path: &str,
        params: &Params,
        security: Security,
    ) -> Result<T, ExchangeError> {
        let policy = RetryPolicy::READS;
        let mut pause = policy.first_pause;
        let mut attempt = 1;
        loop {
            let answer = self.read_once(path, params.clone(), security).await;
            let error = match answer.and_then(|body| decode(path, &body)) {
                Ok(read) => return Ok(read),
                Err(error) => error,
            };
            let Some(wait) = error.worth_waiting(pause) else { return Err(error) };
            if attempt >= policy.attempts || wait > policy.longest_pause {
                return Err(error);
            }
            tracing::debug!(path, attempt, %error, "a read failed and is tried again");
            tokio::time::sleep(wait).await;
            pause *= 2;
            attempt += 1;
        }
    }

    async fn read_once(
        &self,
        path: &str,
        params: Params,
        security: Security,
    ) -> Result<Bytes, ExchangeError> {
        if let Some(wait) = self.inner.limits.closed_for() {
            return Err(ExchangeError::Throttled { endpoint: path.to_owned(), wait });
        }
        let deadline = if security == Security::Public { PUBLIC_DEADLINE } else { READ_DEADLINE };
        let (weight, mut urgency) = cost(&Method::GET, path, params.has("symbol"));
        let limits = &self.inner.limits;
        if path == RULES && !limits.knows_rules() {
            // Stops are exact only with them.
            urgency = Urgency::Protective;
        }
        let mut claim = limits
            .claim(weight, urgency, self.server_now_ms())
            .map_err(|wait| ExchangeError::OverBudget { endpoint: path.to_owned(), wait })?;
        let answer = match self.send(Method::GET, path, params, security, deadline).await {
            Ok(answer) => answer,
            Err(source) => {
                if matches!(source, NetError::NotSent { .. }) {
                    claim.forgo();
                }
                return Err(ExchangeError::Net { endpoint: path.to_owned(), source });
            }
        };
        claim.reported(number(&answer.headers, USED_WEIGHT));
        if answer.status.is_success() {
            Ok(answer.body)
        } else {
            Err(ExchangeError::from_answer(path, &answer))
        }
    }

    /// Sends a call that changes state, exactly once. When the time stamp was refused the clock is measured, so that
    /// the caller's next call is signed right; this one is not repeated.
    pub(super) async fn write<T>(
        &self,
        method: Method,
        path: &str,
        params: Params,
        decode: impl FnOnce(&[u8]) -> Result<T, serde_json::Error>,
    ) -> Outcome<T> {
        let security = Security::Signed { window_ms: WRITE_WINDOW_MS };
        let outcome = self.write_with(method, path, params, security, decode).await;
        self.after_write(&outcome).await;
        outcome
    }

    /// Like [`Self::write`], for an order: it also needs room in the account's own budget. `protects` says that the
    /// order closes or guards; such an order is never held back.
    pub(super) async fn write_order<T>(
        &self,
        path: &str,
        params: Params,
        protects: bool,
        decode: impl FnOnce(&[u8]) -> Result<T, serde_json::Error>,
    ) -> Outcome<T> {
        if let Some(reason) = self.closed() {
            return Outcome::NotSent(reason);
        }
        let inner = &self.inner;
        let urgency = if protects { Urgency::Protective } else { Urgency::Ordinary };
        let mut claim = match inner.orders.claim(urgency, inner.limits.is_budgeted(), self.server_now_ms()) {
            Ok(claim) => claim,
            Err(wait) => {
                return Outcome::NotSent(format!(
                    "too many orders of this account; openings wait {}s more",
                    wait.as_secs_f64().ceil()
                ));
            }
        };
        // An order weighs nothing, so this is always granted; its answer tells what the address used.
        let mut weight = inner.limits.claim(0, Urgency::Protective, self.server_now_ms()).ok();
        let security = Security::Signed { window_ms: WRITE_WINDOW_MS };
        let outcome = match self.send(Method::POST, path, params, security, WRITE_DEADLINE).await {
            Ok(answer) => {
                claim.note(&answer.headers);
                if let Some(weight) = &mut weight {
                    weight.reported(number(&answer.headers, USED_WEIGHT));
                }
                let outcome = from_answer(&answer, decode);
                if outcome.rejection_code() == Some(codes::TOO_MANY_ORDERS) {
                    inner.orders.hold(retry_after(&answer));
                }
                drop(claim);
                outcome
            }
            Err(error) => {
                if matches!(error, NetError::NotSent { .. }) {
                    claim.forgo();
                }
                from_net_error(&error)
            }
        };
        drop(weight);
        self.after_write(&outcome).await;
        outcome
    }

    async fn after_write<T>(&self, outcome: &Outcome<T>) {
        if matches!(outcome.rejection_code(), Some(codes::CLOCK | codes::ENGINE_CLOCK)) {
            let offset_ms = self.glance_at_clock().await;
            tracing::warn!(offset_ms, "an order's time stamp was refused");
        }
    }

    /// Why nothing may be sent now, after a 429 or a ban.
    fn closed(&self) -> Option<String> {
        let wait = self.inner.limits.closed_for()?;
        Some(format!("the exchange asked this address to wait {}s more", wait.as_secs_f64().ceil()))
    }

    /// Sends once with the given security and classifies what came back.
    pub(super) async fn write_with<T>(
        &self,
        method: Method,
        path: &str,
        params: Params,
        security: Security,
        decode: impl FnOnce(&[u8]) -> Result<T, serde_json::Error>,
    ) -> Outcome<T> {
        if let Some(reason) = self.closed() {
            return Outcome::NotSent(reason);
        }
        let (weight, urgency) = cost(&method, path, params.has("symbol"));
        let mut claim = match self.inner.limits.claim(weight, urgency, self.server_now_ms()) {
            Ok(claim) => claim,
            Err(wait) => {
                return Outcome::NotSent(format!(
                    "the request budget of this address is used up for {}s more",
                    wait.as_secs_f64().ceil()
                ));
            }
        };
        match self.send(method, path, params, security, WRITE_DEADLINE).await {
            Ok(answer) => {
                claim.reported(number(&answer.headers, USED_WEIGHT));
                from_answer(&answer, decode)
            }
            Err(error) => {
                if matches!(error, NetError::NotSent { .. }) {
                    claim.forgo();
                }
                from_net_error(&error)
            }
        }
    }

    /// One request, one answer. Everything that could reveal a secret is removed from a failing answer's body.
    async fn send(
        &self,
        method: Method,
        path: &str,
        params: Params,
        security: Security,
        deadline: Duration,
    ) -> Result<Answer, NetError> {
        let inner = &self.inner;
        let is_read = method == Method::GET;
        let (text, signature) = match security {
            Security::Signed { window_ms } => {
                let (text, signature) =
                    params.signed(&inner.credentials.api_secret, self.server_now_ms(), window_ms);
                (text, Some(signature))
            }
            Security::Public | Security::Key => (params.into_string(), None),
        };
        let request = self.request(method, path, &text, security).map_err(|()| NetError::NotSent {
            host: inner.base_url.clone(),
            reason: "the address or the API key has characters that cannot be sent".to_owned(),
        })?;
        let mut answer = inner.transport.fetch(request, deadline, BODY_LIMIT).await?;
        inner.limits.note(&answer, self.server_now_ms(), inner.wall.now());
        if matches!(security, Security::Signed { .. }) {
            inner.key.note(is_read, &answer);
        }
        if !answer.status.is_success() {
            answer.body = without_secrets(&answer.body, &inner.credentials, signature.as_deref());
        }
        Ok(answer)
    }

    /// GET and DELETE carry their parameters in the query, POST and PUT in a form body.
    fn request(
        &self,
        method: Method,
        path: &str,
        params: &str,
        security: Security,
    ) -> Result<Request<Bytes>, ()> {
        let in_body = method == Method::POST || method == Method::PUT;
        let base = self.inner.base_url.as_str();
        let base = if path.starts_with("/sapi/") { wallet_url(base) } else { base };
        let uri = if in_body || params.is_empty() {
            format!("{base}{path}")
        } else {
            format!("{base}{path}?{params}")
        };
        let mut request = Request::builder().method(method).uri(uri);
        if security != Security::Public {
            let key = self.inner.credentials.api_key.expose_secret();
            let mut key = HeaderValue::from_str(key).map_err(|_| ())?;
            key.set_sensitive(true);
            request = request.header("X-MBX-APIKEY", key);
        }
        let body = if in_body {
            request = request.header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            Bytes::copy_from_slice(params.as_bytes())
        } else {
            Bytes::new()
        };
        request.body(body).map_err(|_| ())
    }
}

/// Decodes a success.
pub(super) fn decode<T: DeserializeOwned>(endpoint: &str, body: &[u8]) -> Result<T, ExchangeError> {
    serde_json::from_slice(body).map_err(|error| ExchangeError::undecodable(endpoint, &error, body))
}

/// An edge server may quote the request it refused.
fn without_secrets(body: &Bytes, credentials: &Credentials, signature: Option<&str>) -> Bytes {
    let mut text = String::from_utf8_lossy(body).into_owned();
    let secrets = [
        signature.unwrap_or_default(),
        credentials.api_key.expose_secret(),
        credentials.api_secret.expose_secret(),
    ];
    for secret in secrets.into_iter().filter(|secret| secret.len() >= 8) {
        text = text.replace(secret, "[removed]");
    }
    Bytes::from(text)
}
