//! One host we read from: address, concurrency, retries, and the pause it may ask for.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::domain::Untrusted;
use crate::net::{Answer, NetError, Transport, retry};

use super::circuit::Circuits;
use super::error::SourceError;
use super::vitals::Vitals;

/// Time for one try.
const TRY_DEADLINE: Duration = Duration::from_secs(4);
/// Tries after the first one.
const MORE_TRIES: usize = 2;
/// Shortest pause before the second try; doubles, and up to as much again is added so that those who
/// failed together do not come back together.
const FIRST_PAUSE: Duration = Duration::from_millis(150);
/// A pause asked for that is no longer than this is waited out within the read.
const SHORT_WAIT: Duration = Duration::from_secs(2);
/// The pause kept after 429 or 418 without `retry-after`: at least 60 s are due.
const DEFAULT_WAIT: Duration = Duration::from_mins(1);
/// How the exchange says what this address used of its minute.
const USED_WEIGHT: HeaderName = HeaderName::from_static("x-mbx-used-weight-1m");
/// Nothing is sent for this long when the minute's weight is nearly used up: a ban would last far longer.
const WEIGHT_WAIT: Duration = Duration::from_secs(10);
/// No documented answer comes near this size.
const BODY_LIMIT: usize = 8 * 1024 * 1024;

/// A source's host. Clones share the pause.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    name: Arc<str>,
    base: Arc<str>,
    transport: Transport,
    permits: Arc<Semaphore>,
    quiet_until: Arc<Mutex<Option<Instant>>>,
    used_weight: Arc<AtomicU32>,
    weight_limit: Option<u32>,
    default_wait: Duration,
    redirects: usize,
    circuits: Arc<Circuits>,
    vitals: Arc<Vitals>,
}

impl Upstream {
    pub(crate) fn new(name: &str, base: &str, transport: &Transport, permits: &Arc<Semaphore>) -> Self {
        Self {
            name: name.into(),
            base: base.trim_end_matches('/').into(),
            transport: transport.clone(),
            permits: Arc::clone(permits),
            quiet_until: Arc::default(),
            used_weight: Arc::default(),
            weight_limit: None,
            default_wait: DEFAULT_WAIT,
            redirects: 0,
            circuits: Arc::default(),
            vitals: Arc::default(),
        }
    }

    /// Follows up to three redirects, as newspapers need. Only for hosts that are sent no key.
    pub(crate) fn following_redirects(self) -> Self {
        Self { redirects: 3, ..self }
    }

    /// The pause kept when the host asks for one without saying how long.
    pub(crate) fn with_default_wait(self, default_wait: Duration) -> Self {
        Self { default_wait, ..self }
    }

    /// Keeps below this weight a minute, by what the host says was used.
    pub(crate) fn with_weight_limit(self, limit: u32) -> Self {
        Self { weight_limit: Some(limit), ..self }
    }

    /// The weight used in the running minute as the host last said it; zero when it says nothing.
    pub(crate) fn used_weight(&self) -> u32 {
        self.used_weight.load(Ordering::Relaxed)
    }

    /// The source's name as answers show it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn name_shared(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// Sends nothing to this host for a while.
    pub(crate) fn keep_quiet(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut quiet = self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner);
        *quiet = Some(quiet.map_or(until, |before| before.max(until)));
        tracing::warn!(source = %self.name, ?wait, "left alone");
    }

    /// Whether the source asked to be left alone, and for how much longer.
    pub(crate) fn pause_left(&self) -> Option<Duration> {
        let until = (*self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner))?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// Paths that failed too often and are left alone now, with the seconds left.
    pub(crate) fn resting(&self) -> Vec<(String, u64)> {
        self.circuits.resting()
    }

    /// How its paths are doing.
    pub(crate) fn vitals(&self) -> &Vitals {
        &self.vitals
    }

    /// Reads a JSON object. `target` is path and query, already encoded.
    pub(crate) async fn object<T: DeserializeOwned>(
        &self,
        target: &str,
        headers: &HeaderMap,
    ) -> Result<T, SourceError> {
        self.read(target, headers, |answer| self.decode(&answer.body, b'{')).await
    }

    /// Reads a JSON array, row by row so that one broken row does not spoil the rest.
    pub(crate) async fn list(&self, target: &str, headers: &HeaderMap) -> Result<Vec<Value>, SourceError> {
        self.read(target, headers, |answer| self.decode(&answer.body, b'[')).await
    }

    /// Reads a JSON array with a reader of its own, which is given bytes that begin like one.
    pub(crate) async fn array<T>(
        &self,
        target: &str,
        read: impl Fn(&[u8]) -> Result<T, serde_json::Error>,
    ) -> Result<T, SourceError> {
        self.read(target, &HeaderMap::new(), |answer| {
            self.check_opening(&answer.body, b'[')?;
            read(&answer.body).map_err(|error| self.not_as_documented(&error))
        })
        .await
    }

    /// Reads a body of any kind.
    pub(crate) async fn bytes(&self, target: &str, headers: &HeaderMap) -> Result<Bytes, SourceError> {
        self.read(target, headers, |answer| self.whole(answer)).await
    }

    /// Reads a body of any kind with the validators that came with it, unless it is still the one to which `known`
    /// belongs: then nothing.
    pub(crate) async fn bytes_if_changed(
        &self,
        target: &str,
        known: &Validators,
    ) -> Result<Option<(Bytes, Validators)>, SourceError> {
        self.read(target, &known.asking(), |answer| match answer.status {
            StatusCode::NOT_MODIFIED => Ok(None),
            _ => Ok(Some((self.whole(answer)?, Validators::of(&answer.headers)))),
        })
        .await
    }

    fn whole(&self, answer: &Answer) -> Result<Bytes, SourceError> {
        match answer.body.trim_ascii() {
            [] => Err(self.malformed("an empty body")),
            _ => Ok(answer.body.clone()),
        }
    }

    pub(crate) fn malformed(&self, reason: impl Into<String>) -> SourceError {
        SourceError::Malformed { upstream: Arc::clone(&self.name), reason: reason.into() }
    }

    pub(crate) fn empty(&self, what: &'static str) -> SourceError {
        SourceError::Empty { upstream: Arc::clone(&self.name), what }
    }

    pub(crate) fn no_key(&self) -> SourceError {
        SourceError::NoKey { upstream: Arc::clone(&self.name) }
    }

    /// Reads and decodes; what the source did wrong counts against its path.
    async fn read<T>(
        &self,
        target: &str,
        headers: &HeaderMap,
        decode: impl Fn(&Answer) -> Result<T, SourceError>,
    ) -> Result<T, SourceError> {
        let path = target.split('?').next().unwrap_or(target);
        if let Err(left) = self.circuits.admit(path) {
            return Err(SourceError::Resting { upstream: Arc::clone(&self.name), left });
        }
        let result = match self.try_repeatedly(target, headers).await {
            Ok(answer) => decode(&answer),
            Err(failure) => Err(failure),
        };
        match &result {
            Err(failure) if is_fault_of_the_source(failure) => {
                self.vitals.failed(path, failure);
                if let Some(rest) = self.circuits.failed(path) {
                    tracing::warn!(source = %self.name, path, ?rest, "failed too often; left alone");
                }
            }
            // What the pause says is enough.
            Err(SourceError::RateLimited { .. }) => {}
            Err(failure @ SourceError::NoAccess { .. }) => {
                self.vitals.failed(path, failure);
                self.circuits.succeeded(path);
            }
            _ => {
                self.vitals.succeeded(path);
                self.circuits.succeeded(path);
            }
        }
        result
    }

    /// Tries until there is a good answer, the caller's own fault, or no try left.
    async fn try_repeatedly(&self, target: &str, headers: &HeaderMap) -> Result<Answer, SourceError> {
        let mut pauses = ExponentialBuilder::default()
            .with_min_delay(FIRST_PAUSE)
            .with_factor(2.0)
            .with_max_times(MORE_TRIES)
            .with_jitter()
            .with_jitter_seed(spread_of(&self.name, target))
            .build();
        loop {
            self.wait_out_pause().await?;
            let failure = match self.try_once(target, headers).await {
                Ok(answer) if is_good(answer.status, headers) => return Ok(answer),
                Ok(answer) => {
                    let failure = self.judge(&answer);
                    if !worth_another_try(answer.status) {
                        return Err(failure);
                    }
                    failure
                }
                Err(failure) => failure,
            };
            let Some(pause) = pauses.next().filter(|_| !is_slow(&failure)) else { return Err(failure) };
            tracing::debug!(source = %self.name, %failure, "reading again");
            if !matches!(failure, SourceError::RateLimited { .. }) {
                tokio::time::sleep(pause).await;
            }
        }
    }

    async fn wait_out_pause(&self) -> Result<(), SourceError> {
        match self.pause_left() {
            Some(wait) if wait > SHORT_WAIT => {
                Err(SourceError::RateLimited { upstream: Arc::clone(&self.name), wait })
            }
            Some(wait) => {
                tokio::time::sleep(wait).await;
                Ok(())
            }
            None => Ok(()),
        }
    }

    async fn try_once(&self, target: &str, headers: &HeaderMap) -> Result<Answer, SourceError> {
        let network = |error: NetError| SourceError::Network { upstream: Arc::clone(&self.name), error };
        let mut address = format!("{}{target}", self.base);
        // The semaphore is never closed; if it were, reading without a permit is still right.
        let _permit = self.permits.acquire().await.ok();
        for left in (0..=self.redirects).rev() {
            let mut request = Request::get(&address)
                .body(Bytes::new())
                .map_err(|error| self.malformed(format!("its address is not usable: {error}")))?;
            *request.headers_mut() = headers.clone();
            let answer = self.transport.fetch(request, TRY_DEADLINE, BODY_LIMIT).await.map_err(network)?;
            self.note_weight(&answer.headers);
            match self.redirected(&answer).filter(|_| left > 0) {
                Some(elsewhere) => address = elsewhere,
                None => return Ok(answer),
            }
        }
        Err(self.malformed("more redirects than are followed"))
    }

    /// Where a redirect leads: the same scheme, here or on another host.
    fn redirected(&self, answer: &Answer) -> Option<String> {
        let location = answer.headers.get(http::header::LOCATION)?.to_str().ok()?;
        let scheme_end = self.base.find("://")? + 3;
        if !answer.status.is_redirection() {
            None
        } else if location.starts_with(&self.base[..scheme_end]) {
            Some(location.to_owned())
        } else {
            (location.starts_with('/') && !location.starts_with("//"))
                .then(|| format!("{}{location}", self.base))
        }
    }

    fn note_weight(&self, headers: &HeaderMap) {
        let said = headers.get(USED_WEIGHT).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let Some(used) = said else { return };
        self.used_weight.store(used, Ordering::Relaxed);
        // Five percent are left to requests already on their way.
        if self.weight_limit.is_some_and(|limit| used >= limit - limit / 20) {
            self.keep_quiet(WEIGHT_WAIT);
        }
    }

    /// What a status other than success means; 429 and 418 start a pause for every user of this host.
    fn judge(&self, answer: &Answer) -> SourceError {
        let status = answer.status;
        if status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::IM_A_TEAPOT {
            let wait = retry::retry_after(answer).unwrap_or(self.default_wait);
            self.keep_quiet(wait);
            return SourceError::RateLimited { upstream: Arc::clone(&self.name), wait };
        }
        if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
            return SourceError::NoAccess { upstream: Arc::clone(&self.name), status: status.as_u16() };
        }
        let (code, message) = refusal(&answer.body);
        SourceError::Refused { upstream: Arc::clone(&self.name), status: status.as_u16(), code, message }
    }

    /// A web page with status 200 is how some hosts say no. The first byte is checked because an array would also
    /// pass for an object without fields.
    fn decode<T: DeserializeOwned>(&self, body: &[u8], opening: u8) -> Result<T, SourceError> {
        self.check_opening(body, opening)?;
        serde_json::from_slice(body).map_err(|error| self.not_as_documented(&error))
    }

    fn check_opening(&self, body: &[u8], opening: u8) -> Result<(), SourceError> {
        match body.trim_ascii_start().first() {
            None => Err(self.malformed("an empty body")),
            Some(first) if *first == opening => Ok(()),
            Some(b'<') => Err(self.malformed("a web page instead of JSON")),
            Some(_) => Err(self.malformed("not the JSON it documents")),
        }
    }

    fn not_as_documented(&self, error: &serde_json::Error) -> SourceError {
        let reason = Untrusted::new(error.to_string()).line(160);
        self.malformed(format!("not the JSON it documents: {reason}"))
    }
}

/// Binance's own error object; anything else has no code, and a short text is its message.
fn refusal(body: &[u8]) -> (Option<i64>, Untrusted) {
    #[derive(serde::Deserialize)]
    struct Wire {
        code: Option<i64>,
        #[serde(alias = "error", alias = "message")]
        msg: Option<String>,
    }
    match serde_json::from_slice::<Wire>(body) {
        Ok(wire) => (wire.code, Untrusted::new(wire.msg.unwrap_or_default())),
        Err(_) => (None, Untrusted::default()),
    }
}

/// What a source says of a body so that it need not send it twice (RFC 9110 §13).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Validators {
    etag: Option<HeaderValue>,
    last_modified: Option<HeaderValue>,
}

impl Validators {
    fn of(headers: &HeaderMap) -> Self {
        Self {
            etag: headers.get(header::ETAG).cloned(),
            last_modified: headers.get(header::LAST_MODIFIED).cloned(),
        }
    }

    /// The headers that ask for the body only if it is another one.
    fn asking(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(etag) = &self.etag {
            headers.insert(header::IF_NONE_MATCH, etag.clone());
        }
        if let Some(date) = &self.last_modified {
            headers.insert(header::IF_MODIFIED_SINCE, date.clone());
        }
        headers
    }
}

/// What spreads the pauses of requests that failed together: other for each of them, and the same in every run, so that
/// a simulation can be repeated.
fn spread_of(name: &str, target: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (name, target).hash(&mut hasher);
    hasher.finish()
}

/// Whether there is something to read, or nothing new for somebody who asked for news.
fn is_good(status: StatusCode, asked: &HeaderMap) -> bool {
    let asked_for_news =
        asked.contains_key(header::IF_NONE_MATCH) || asked.contains_key(header::IF_MODIFIED_SINCE);
    status.is_success() || (status == StatusCode::NOT_MODIFIED && asked_for_news)
}

/// Whether the source, not the question, is to blame.
fn is_fault_of_the_source(failure: &SourceError) -> bool {
    match failure {
        SourceError::Network { .. } | SourceError::Malformed { .. } => true,
        SourceError::Refused { status, .. } => *status >= 500 || *status == 408,
        _ => false,
    }
}

/// Who asked has waited long enough already.
fn is_slow(failure: &SourceError) -> bool {
    matches!(failure, SourceError::Network { error: NetError::TimedOut { .. }, .. })
}

fn worth_another_try(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
        || status.is_server_error()
}
