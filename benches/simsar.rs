//! Measures simsar: the brief against a transport with latency and against the offline world, the indicators, and
//! memory over many requests. `cargo bench --bench simsar` prints one JSON object a measure and fails nothing: the
//! machine it ran on decides what the numbers mean.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measuring program prints and may stop loudly"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use jarvis::domain::{Candle, Interval, Symbol, SystemClock, Usdt};
use jarvis::market::indicators::{Bars, Indicator};
use jarvis::market::{Simsar, SimsarOptions, SourceAddresses};
use jarvis::net::Transport;
use jarvis::world::{World, WorldOptions};
use rust_decimal::Decimal;
use serde_json::json;
use tower::ServiceExt;

const COINS: [&str; 10] = [
    "BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "DOGEUSDT", "ADAUSDT", "AVAXUSDT", "LINKUSDT",
    "PAXGUSDT",
];
const DEADLINE: Duration = Duration::from_mins(1);

fn coins() -> Vec<Symbol> {
    COINS.map(|name| Symbol::new(name).expect("spelled like a contract")).to_vec()
}

fn world() -> Arc<World> {
    let options = WorldOptions {
        seed: 7,
        accounts: vec!["mirat".parse().expect("a name")],
        balance: Usdt::of(Decimal::ONE_THOUSAND),
        speed: 0.0,
        token_delay: Duration::ZERO,
        enforce_limits: false,
        recorded: None,
        state_file: None,
    };
    World::open(options, Arc::new(SystemClock)).expect("a fresh world")
}

fn simsar(world: &Arc<World>, transport: Transport) -> Simsar {
    let options = SimsarOptions {
        addresses: SourceAddresses::one_host("http://world"),
        finnhub_token: Some("paper".to_owned().into()),
        symbols: coins(),
        concurrency: 64,
        built_in: true,
        data_dir: None,
    };
    Simsar::new(options, transport, world.clock())
}

/// Every answer takes this long, as if it came from afar; `asked` counts.
fn slowed(inner: Transport, latency: Duration, asked: &Arc<AtomicUsize>) -> Transport {
    let asked = Arc::clone(asked);
    Transport::from_service(tower::service_fn(move |request: Request<Bytes>| {
        let inner = inner.clone();
        asked.fetch_add(1, Ordering::Relaxed);
        async move {
            tokio::time::sleep(latency).await;
            inner.send(request).await
        }
    }))
}

/// Milliseconds: the least, the middle and the most of several runs.
fn report(name: &str, target_ms: f64, mut runs: Vec<f64>) {
    runs.sort_by(f64::total_cmp);
    let middle = runs[runs.len() / 2];
    let line = json!({
        "measure": name, "runs": runs.len(), "min_ms": runs.first(), "median_ms": middle, "max_ms": runs.last(),
        "target_ms": target_ms, "met": middle <= target_ms,
    });
    println!("{line}");
}

async fn brief_ms(simsar: &Simsar) -> f64 {
    let begun = Instant::now();
    let brief = simsar.brief(&coins(), DEADLINE).await;
    let elapsed = begun.elapsed().as_secs_f64() * 1e3;
    let missing: Vec<_> = brief.sources.iter().filter(|source| source.error.is_some()).collect();
    assert!(missing.is_empty(), "{missing:?}");
    elapsed
}

async fn measure_briefs() {
    let world = world();
    let router = Transport::in_process(world.router());
    let mut cold = Vec::new();
    for _ in 0..15 {
        cold.push(brief_ms(&simsar(&world, router.clone())).await);
    }
    report("brief, in-process world, nothing read before", 40.0, cold);

    let warmed = simsar(&world, router.clone());
    brief_ms(&warmed).await;
    let mut warm = Vec::new();
    for _ in 0..15 {
        // Prices are older than a second, candles are not due.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        warm.push(brief_ms(&warmed).await);
    }
    report("brief, in-process world, candles at hand, prices read again", 15.0, warm);

    let asked = Arc::new(AtomicUsize::new(0));
    let far = slowed(router, Duration::from_millis(100), &asked);
    let mut slow = Vec::new();
    for _ in 0..10 {
        slow.push(brief_ms(&simsar(&world, far.clone())).await);
    }
    println!(
        "{}",
        json!({ "measure": "requests of one brief", "count": asked.load(Ordering::Relaxed) / 10 })
    );
    report("brief, 100 ms a request, 64 in flight, nothing read before", 250.0, slow);
}

async fn measure_indicators() {
    let world = world();
    let simsar = simsar(&world, Transport::in_process(world.router()));
    let mut windows: Vec<Vec<Candle>> = Vec::new();
    for symbol in coins() {
        for interval in [Interval::Hour1, Interval::Hour4, Interval::Day1] {
            windows.push(simsar.window(&symbol, interval).await.expect("candles").value.candles.clone());
        }
    }
    let mut runs = Vec::new();
    for _ in 0..51 {
        let begun = Instant::now();
        for candles in &windows {
            let bars = Bars::of(candles);
            for name in Indicator::NAMES {
                let lines = Indicator::named(name).expect("its own name").over(&bars);
                std::hint::black_box(lines.expect("default settings"));
            }
        }
        runs.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    report("twelve indicators, ten coins, three timeframes", 5.0, runs);
}

/// Resident memory of this process in kilobytes.
fn resident_kb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().trim_end_matches(" kB").parse().ok()
}

/// A hundred thousand requests, half of them to symbols and paths that nobody knows.
async fn measure_memory() {
    let world = world();
    let simsar = simsar(&world, Transport::in_process(world.router()));
    let router = simsar.router();
    let ask = async |number: usize| {
        let path = match number % 4 {
            0 => format!("/price/{}", COINS[number % 10]),
            1 => format!("/indicators/rsi/{}?period={}", COINS[number % 10], 2 + number % 400),
            2 => format!("/price/A{number}USDT"),
            _ => format!("/nothing/{number}"),
        };
        let request = Request::get(path).body(axum::body::Body::empty()).expect("a request");
        let response = router.clone().oneshot(request).await.expect("an answer");
        http_body_util::BodyExt::collect(response.into_body()).await.expect("a body");
    };
    for number in 0..10_000 {
        ask(number).await;
    }
    let before = resident_kb();
    let begun = Instant::now();
    for number in 0..100_000 {
        ask(number).await;
    }
    let line = json!({
        "measure": "memory over 100,000 requests", "before_kb": before, "after_kb": resident_kb(),
        "seconds": begun.elapsed().as_secs_f64(),
    });
    println!("{line}");
}

#[tokio::main]
async fn main() {
    measure_indicators().await;
    measure_briefs().await;
    measure_memory().await;
}
