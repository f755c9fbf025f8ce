//! `/health`: how every source is doing, and whether all of it is well.

use serde_json::{Value, json};

use crate::market::simsar::Simsar;
use crate::market::upstream::Upstream;

/// The fields of the answer: `status` is `ok`, or `degraded` when any source that was asked cannot be read now.
pub(super) fn fields(simsar: &Simsar) -> Value {
    let inner = &simsar.inner;
    let hosts = [
        &inner.binance.upstream,
        &inner.alternative_me.upstream,
        &inner.finnhub.upstream,
        &inner.fair_economy.upstream,
        &inner.yahoo.upstream,
        &inner.fred.upstream,
    ];
    let feeds = inner.rss.feeds.iter().map(|feed| &feed.upstream);
    let (mut sources, mut degraded) = (Vec::new(), false);
    for upstream in hosts.into_iter().chain(feeds) {
        let state = State::of(upstream);
        degraded |= state.is_trouble();
        sources.push(source(upstream, state));
    }
    json!({
        "status": if degraded { "degraded" } else { "ok" },
        "streamed_prices": inner.live.count(),
        "sources": sources,
    })
}

/// How a source is doing, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It asked to be left alone.
    Paused,
    /// A path of it failed too often and is left alone for a while.
    Resting,
    /// A path of it failed when it was last asked.
    Failing,
    /// The key is missing or not allowed to read a path; another source stands in where there is one.
    NoAccess,
    /// It answers.
    Ok,
    /// Nobody asked it yet.
    Unused,
}

impl State {
    fn of(upstream: &Upstream) -> Self {
        let failing = upstream.vitals().failing();
        if upstream.pause_left().is_some() {
            Self::Paused
        } else if !upstream.resting().is_empty() {
            Self::Resting
        } else if failing.iter().any(|path| !path.no_access) {
            Self::Failing
        } else if !failing.is_empty() {
            Self::NoAccess
        } else if upstream.vitals().last_success_age_s().is_some() {
            Self::Ok
        } else {
            Self::Unused
        }
    }

    fn is_trouble(self) -> bool {
        matches!(self, Self::Paused | Self::Resting | Self::Failing)
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Resting => "resting",
            Self::Failing => "failing",
            Self::NoAccess => "no_access",
            Self::Ok => "ok",
            Self::Unused => "unused",
        }
    }
}

fn source(upstream: &Upstream, state: State) -> Value {
    let resting: Vec<Value> =
        upstream.resting().iter().map(|(path, left)| json!({ "path": path, "left_s": left })).collect();
    let failing = upstream.vitals().failing();
    let failing_for = failing.iter().filter(|path| !path.no_access).map(|path| path.for_s).max();
    let failing: Vec<Value> = failing
        .iter()
        .map(|path| json!({ "path": path.path, "for_s": path.for_s, "error": path.error }))
        .collect();
    json!({
        "name": upstream.name(),
        "state": state.as_str(),
        "last_success_age_s": upstream.vitals().last_success_age_s(),
        "failing_for_s": failing_for,
        "paused_s": upstream.pause_left().map_or(0, |left| left.as_secs().max(1)),
        "used_weight_1m": upstream.used_weight(),
        "resting": resting,
        "failing": failing,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;

    use crate::market::simsar::Simsar;
    use crate::market::test_sources::Served;

    fn health(simsar: &Simsar) -> Value {
        super::fields(simsar)
    }

    fn of<'a>(health: &'a Value, name: &str) -> &'a Value {
        health["sources"].as_array().unwrap().iter().find(|source| source["name"] == name).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_source_degrades_health_and_a_healed_one_restores_it() {
        let served = Served::new();
        let simsar = served.simsar();
        let fresh = health(&simsar);
        assert_eq!((&fresh["status"], &of(&fresh, "binance")["state"]), (&"ok".into(), &"unused".into()));
        simsar.call("/price/BTCUSDT", &[]).await;
        served.answers("/fng/", 500, None, "", usize::MAX);
        simsar.call("/fear-greed", &[]).await;
        tokio::time::advance(Duration::from_secs(3)).await;
        let ill = health(&simsar);
        assert_eq!(ill["status"], "degraded");
        let binance = of(&ill, "binance");
        assert_eq!((&binance["state"], &binance["failing_for_s"]), (&"ok".into(), &Value::Null));
        assert!(binance["last_success_age_s"].as_u64().unwrap() >= 3, "{binance}");
        let dead = of(&ill, "alternative_me");
        assert_eq!((&dead["state"], &dead["failing_for_s"]), (&"failing".into(), &3.into()));
        assert!(dead["failing"][0]["error"].as_str().unwrap().contains("HTTP 500"), "{dead}");
        for _ in 0..4 {
            tokio::time::advance(Duration::from_secs(2)).await;
            simsar.call("/fear-greed", &[]).await;
        }
        let resting = of(&health(&simsar), "alternative_me").clone();
        assert_eq!((&resting["state"], &resting["resting"][0]["path"]), (&"resting".into(), &"/fng/".into()));
        served.answers("/fng/", 500, None, "", 0);
        tokio::time::advance(Duration::from_secs(6)).await;
        simsar.call("/fear-greed", &[]).await;
        let well = health(&simsar);
        assert_eq!((&well["status"], &of(&well, "alternative_me")["state"]), (&"ok".into(), &"ok".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_asks_for_a_pause_is_paused_and_one_that_refuses_the_key_is_not_ill() {
        let served = Served::new();
        let simsar = served.simsar();
        served.answers("/api/v1/news", 401, None, "", usize::MAX);
        simsar.call("/news/crypto", &[]).await;
        let refused = health(&simsar);
        assert_eq!(
            (&refused["status"], &of(&refused, "finnhub")["state"]),
            (&"ok".into(), &"no_access".into())
        );
        served.answers("/fapi/v1/klines", 429, Some("30"), "", usize::MAX);
        simsar.call("/candles/BTCUSDT", &[]).await;
        let paused = health(&simsar);
        assert_eq!(
            (&paused["status"], &of(&paused, "binance")["state"]),
            (&"degraded".into(), &"paused".into())
        );
        assert!(of(&paused, "binance")["paused_s"].as_u64().unwrap() >= 29);
    }
}
