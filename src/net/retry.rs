//! Retrying reads. Only GET requests, only when the caller asks for it.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};

use super::http_transport::{Answer, NetError, Transport};

/// How often and how long a read is tried.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// Tries in all; 1 never retries.
    pub attempts: u32,
    /// Pause before the second try; doubles each time.
    pub first_pause: Duration,
    /// A `retry-after` longer than this ends the tries.
    pub longest_pause: Duration,
}

impl RetryPolicy {
    /// One try.
    pub const NEVER: Self = Self { attempts: 1, first_pause: Duration::ZERO, longest_pause: Duration::ZERO };

    /// Three tries, 200 ms and 400 ms apart.
    pub const READS: Self =
        Self { attempts: 3, first_pause: Duration::from_millis(200), longest_pause: Duration::from_secs(5) };
}

impl Transport {
    /// [`Transport::fetch`], tried again on network faults, 429, 408 and 5xx. Anything but GET is sent once.
    pub async fn fetch_retrying(
        &self,
        request: Request<Bytes>,
        deadline: Duration,
        limit: usize,
        policy: RetryPolicy,
    ) -> Result<Answer, NetError> {
        let attempts = if request.method() == Method::GET { policy.attempts.max(1) } else { 1 };
        let mut pause = policy.first_pause;
        let mut attempt = 1;
        loop {
            let result = self.fetch(request.clone(), deadline, limit).await;
            let wait = match &result {
                Ok(answer) if worth_retrying(answer.status) => retry_after(answer).unwrap_or(pause),
                Ok(_) | Err(NetError::TooLarge { .. }) => return result,
                Err(_) => pause,
            };
            if attempt >= attempts || wait > policy.longest_pause {
                return result;
            }
            tokio::time::sleep(wait).await;
            pause *= 2;
            attempt += 1;
        }
    }
}

fn worth_retrying(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
        || status.is_server_error()
}

/// The `retry-after` header in seconds, if the server sent one.
pub fn retry_after(answer: &Answer) -> Option<Duration> {
    let seconds = answer.headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::routing::any;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn failing_twice(calls: &Arc<AtomicU32>) -> Transport {
        let calls = Arc::clone(calls);
        Transport::in_process(Router::new().route(
            "/",
            any(move || {
                let call = calls.fetch_add(1, Ordering::SeqCst);
                async move {
                    if call < 2 { (StatusCode::SERVICE_UNAVAILABLE, "busy") } else { (StatusCode::OK, "ok") }
                }
            }),
        ))
    }

    fn request(method: Method) -> Request<Bytes> {
        Request::builder().method(method).uri("http://world/").body(Bytes::new()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_is_tried_until_it_succeeds() {
        let calls = Arc::default();
        let answer = failing_twice(&calls)
            .fetch_retrying(request(Method::GET), Duration::from_secs(1), 100, RetryPolicy::READS)
            .await
            .unwrap();
        assert_eq!((answer.status, calls.load(Ordering::SeqCst)), (StatusCode::OK, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_leaves_exactly_once() {
        let calls = Arc::default();
        let answer = failing_twice(&calls)
            .fetch_retrying(request(Method::POST), Duration::from_secs(1), 100, RetryPolicy::READS)
            .await
            .unwrap();
        assert_eq!((answer.status, calls.load(Ordering::SeqCst)), (StatusCode::SERVICE_UNAVAILABLE, 1));
    }
}
