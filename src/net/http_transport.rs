//! HTTP requests and answers, over the network or within the process.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Limited};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};

/// A response body that arrives in pieces.
pub type Body = UnsyncBoxBody<Bytes, NetError>;

type BoxedService = BoxCloneSyncService<Request<Bytes>, Response<Body>, NetError>;

/// Why a request has no usable answer. The variants differ in whether the other side may have acted.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NetError {
    /// No byte left: name lookup, connect or TLS failed. The other side has not acted.
    #[error("could not reach {host}: {reason}; check the address and the network")]
    NotSent {
        /// Where it was going.
        host: String,
        /// What failed.
        reason: String,
    },
    /// The connection failed after the request was on its way. The other side may have acted.
    #[error("the connection to {host} broke before its answer was complete: {reason}")]
    Interrupted {
        /// Where it was going.
        host: String,
        /// What failed.
        reason: String,
    },
    /// No complete answer in time. The other side may have acted.
    #[error("{host} did not answer within {after:?}")]
    TimedOut {
        /// Where it was going.
        host: String,
        /// How long was waited.
        after: Duration,
    },
    /// The answer is larger than allowed.
    #[error("the answer of {host} is larger than {limit} bytes")]
    TooLarge {
        /// Who sent it.
        host: String,
        /// The limit in bytes.
        limit: usize,
    },
}

/// A complete answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers as they came.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// Sends requests somewhere: the network, a router in this process, or a test's double.
#[derive(Clone)]
pub struct Transport {
    service: BoxedService,
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Transport")
    }
}

/// Time allowed for a connection to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

impl Transport {
    /// Reaches the network. No redirects, no proxy, no retries: a request leaves once or not at all.
    pub fn network() -> Result<Self, NetError> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .tcp_keepalive(Duration::from_secs(30))
            .user_agent(concat!("jarvis/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| NetError::NotSent { host: "the network".into(), reason: chain(&error) })?;
        Ok(Self::from_service(tower::service_fn(move |request: Request<Bytes>| {
            let client = client.clone();
            async move {
                let host = host_of(&request);
                let request = reqwest::Request::try_from(request)
                    .map_err(|error| NetError::NotSent { host: host.clone(), reason: chain(&error) })?;
                let response = client.execute(request).await.map_err(|error| classify(&host, &error))?;
                let (parts, body) = http::Response::<reqwest::Body>::from(response).into_parts();
                let body = body.map_err(move |error| classify_after_send(&host, &error)).boxed_unsync();
                Ok(Response::from_parts(parts, body))
            }
        })))
    }

    /// Calls a router in this process.
    pub fn in_process<S>(router: S) -> Self
    where
        S: Service<Request<axum::body::Body>, Response = Response<axum::body::Body>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
    {
        Self::from_service(tower::service_fn(move |request: Request<Bytes>| {
            let router = router.clone();
            async move {
                let host = host_of(&request);
                let response = match router.oneshot(request.map(axum::body::Body::from)).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                };
                Ok(response.map(|body| {
                    body.map_err(move |error| NetError::Interrupted {
                        host: host.clone(),
                        reason: error.to_string(),
                    })
                    .boxed_unsync()
                }))
            }
        }))
    }

    /// Wraps any service, for fault layers and doubles.
    pub fn from_service<S>(service: S) -> Self
    where
        S: Service<Request<Bytes>, Response = Response<Body>, Error = NetError>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
    {
        Self { service: BoxCloneSyncService::new(service) }
    }

    /// Sends one request and returns as soon as the head of the answer is there.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Body>, NetError> {
        self.service.clone().oneshot(request).await
    }

    /// Sends one request and collects the whole answer, at most `limit` bytes, within `deadline`.
    pub async fn fetch(
        &self,
        request: Request<Bytes>,
        deadline: Duration,
        limit: usize,
    ) -> Result<Answer, NetError> {
        let host = host_of(&request);
        let whole = async {
            let (parts, body) = self.send(request).await?.into_parts();
            let collected = Limited::new(body, limit).collect().await.map_err(|error| {
                match error.downcast::<NetError>() {
                    Ok(error) => *error,
                    Err(_) => NetError::TooLarge { host: host.clone(), limit },
                }
            })?;
            Ok(Answer { status: parts.status, headers: parts.headers, body: collected.to_bytes() })
        };
        match tokio::time::timeout(deadline, whole).await {
            Ok(result) => result,
            Err(_elapsed) => Err(NetError::TimedOut { host, after: deadline }),
        }
    }
}

fn host_of<T>(request: &Request<T>) -> String {
    request.uri().authority().map_or_else(|| "in-process".to_owned(), ToString::to_string)
}

fn classify(host: &str, error: &reqwest::Error) -> NetError {
    if error.is_connect() || error.is_builder() {
        NetError::NotSent { host: host.to_owned(), reason: chain(error) }
    } else {
        classify_after_send(host, error)
    }
}

fn classify_after_send(host: &str, error: &reqwest::Error) -> NetError {
    NetError::Interrupted { host: host.to_owned(), reason: chain(error) }
}

/// The causes of an error, innermost last, without the URL: a signed URL must never reach a log.
fn chain(error: &dyn std::error::Error) -> String {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    if causes.is_empty() { "request failed".to_owned() } else { causes.join(": ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::routing::get;

    fn transport() -> Transport {
        Transport::in_process(
            Router::new()
                .route("/hello", get(async || "hello"))
                .route("/never", get(async || std::future::pending::<String>().await)),
        )
    }

    fn get_request(path: &str) -> Request<Bytes> {
        Request::get(format!("http://world{path}")).body(Bytes::new()).unwrap()
    }

    #[tokio::test]
    async fn a_router_in_this_process_answers_like_a_server() {
        let answer = transport().fetch(get_request("/hello"), Duration::from_secs(5), 100).await.unwrap();
        assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, &b"hello"[..]));
    }

    #[tokio::test]
    async fn an_answer_over_the_limit_is_refused() {
        let error = transport().fetch(get_request("/hello"), Duration::from_secs(5), 3).await.unwrap_err();
        assert!(matches!(error, NetError::TooLarge { limit: 3, .. }), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_times_out() {
        let error = transport().fetch(get_request("/never"), Duration::from_secs(5), 100).await.unwrap_err();
        assert!(matches!(error, NetError::TimedOut { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_refused_connection_counts_as_not_sent() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let request = Request::get(format!("http://{address}/?signature=secret")).body(Bytes::new()).unwrap();
        let error =
            Transport::network().unwrap().fetch(request, Duration::from_secs(5), 100).await.unwrap_err();
        assert!(matches!(error, NetError::NotSent { .. }), "{error}");
        assert!(!error.to_string().contains("secret"));
    }
}
