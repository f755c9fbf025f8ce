//! What the headers of an answer say: whether and when to ask again, and how much may still be asked.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode};

use crate::domain::{Timestamp, Untrusted};

/// Which statuses pass by themselves; the provider's own word goes first.
pub(super) fn worth_retrying(status: StatusCode, headers: &HeaderMap) -> bool {
    match headers.get("x-should-retry").map(HeaderValue::as_bytes) {
        Some(b"true") => true,
        Some(b"false") => false,
        _ => matches!(status.as_u16(), 408 | 409 | 429) || status.is_server_error(),
    }
}

/// Half a second, doubled each time up to 8 s, shortened at random by up to a quarter.
pub(super) fn backoff(attempt: u32) -> Duration {
    use std::hash::{BuildHasher, Hasher};
    let whole = Duration::from_millis(500) * 2_u32.pow(attempt.saturating_sub(1).min(4));
    let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
    whole * (1000 - u32::try_from(random % 250).unwrap_or(0)) / 1000
}

/// How long the provider asks to wait: in milliseconds, in seconds, or until a date. A date counts from the answer's own
/// `date`, so that no clock of ours has to agree with the provider's; without one, from `now`.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let number = |name: &str| text(name)?.parse::<f64>().ok();
    let seconds = number("retry-after-ms").map(|ms| ms / 1000.0).or_else(|| number("retry-after"));
    if let Some(seconds) = seconds {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = |name: &str| chrono::DateTime::parse_from_rfc2822(text(name)?).ok();
    let now = date("date").unwrap_or_else(|| now.fixed_offset());
    (date("retry-after")? - now).to_std().ok()
}

/// The request's id, by either protocol's name of it.
pub(super) fn request_id(headers: &HeaderMap) -> Option<String> {
    header(headers, "request-id").or_else(|| header(headers, "x-request-id"))
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(Untrusted::from(headers.get(name)?.to_str().ok()?).line(80))
}

/// What the provider says of its rate limits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RateLimits {
    /// Each with what is left of it and when it is whole again; `None` when none was named.
    pub(super) all: Option<String>,
    /// Those of which less than a twentieth is left, in a sentence.
    pub(super) running_short: Option<String>,
}

/// The rate limits an answer names, by either protocol's names.
pub(super) fn rate_limits(headers: &HeaderMap) -> RateLimits {
    let text = |name: &str| header(headers, name);
    let number = |name: &str| text(name)?.parse::<f64>().ok();
    let limits: Vec<(bool, String)> = headers
        .keys()
        .map(http::HeaderName::as_str)
        .filter(|name| ["anthropic-ratelimit-", "x-ratelimit-"].iter().any(|start| name.starts_with(start)))
        .filter(|name| name.contains("remaining"))
        .filter_map(|name| {
            let limit = number(&name.replace("remaining", "limit"))?;
            let left = number(name)?;
            let what = name.replace("anthropic-ratelimit-", "").replace("x-ratelimit-", "");
            let what = what.replace("remaining", "");
            let until = text(&name.replace("remaining", "reset"));
            let until = until.map_or_else(String::new, |until| format!(", whole again: {until}"));
            Some((left * 20.0 < limit, format!("{left} of {limit} {}{until}", what.trim_matches('-'))))
        })
        .collect();
    let join = |chosen: Vec<&str>| (!chosen.is_empty()).then(|| chosen.join("; "));
    let short = limits.iter().filter(|(is_short, _)| *is_short).map(|(_, limit)| limit.as_str()).collect();
    RateLimits {
        all: join(limits.iter().map(|(_, limit)| limit.as_str()).collect()),
        running_short: join(short).map(|short| format!("the model's rate limit is nearly used up: {short}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_wait_may_be_a_number_or_a_date_told_by_the_same_clock() {
        let date = ("date", "Sun, 22 Nov 2026 10:00:00 GMT");
        let now: Timestamp = "2026-11-22T10:00:30Z".parse().unwrap();
        let wait = |pairs: &[_]| retry_after(&headers(pairs), now);
        assert_eq!(wait(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(
            wait(&[("retry-after-ms", "250"), ("retry-after", "7")]),
            Some(Duration::from_millis(250))
        );
        let until = ("retry-after", "Sun, 22 Nov 2026 10:01:30 GMT");
        assert_eq!(wait(&[date, until]), Some(Duration::from_secs(90)));
        assert_eq!(wait(&[until]), Some(Duration::from_mins(1)));
        let past = ("retry-after", "Sun, 22 Nov 2026 09:59:59 GMT");
        assert_eq!(wait(&[date, past]), None);
        for nonsense in ["soon", "-3", "NaN", "1e300", ""] {
            assert_eq!(wait(&[date, ("retry-after", nonsense)]), None, "{nonsense}");
        }
    }

    #[test]
    fn a_limit_is_told_when_less_than_a_twentieth_is_left() {
        let told = |left| {
            rate_limits(&headers(&[
                ("anthropic-ratelimit-requests-limit", "50"),
                ("anthropic-ratelimit-requests-remaining", "49"),
                ("anthropic-ratelimit-tokens-limit", "80000"),
                ("anthropic-ratelimit-tokens-remaining", left),
                ("anthropic-ratelimit-tokens-reset", "2026-11-22T10:01:00Z"),
            ]))
        };
        assert_eq!(told("4000").running_short, None);
        let short = told("3000").running_short.unwrap();
        assert!(!short.contains("requests"), "{short}");
        assert!(short.ends_with("3000 of 80000 tokens, whole again: 2026-11-22T10:01:00Z"), "{short}");
        let other = [("x-ratelimit-limit-requests", "500"), ("x-ratelimit-remaining-requests", "0")];
        assert!(rate_limits(&headers(&other)).running_short.unwrap().ends_with("0 of 500 requests"));
        let all = "49 of 50 requests; 4000 of 80000 tokens, whole again: 2026-11-22T10:01:00Z";
        assert_eq!(told("4000").all.as_deref(), Some(all));
        assert_eq!(rate_limits(&headers(&[])), RateLimits::default());
    }
}
