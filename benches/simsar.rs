//! Measures simsar: the brief against the offline world, within this process and over TCP with latency; the indicators;
//! many keep-alive clients; and memory over many requests. `cargo bench --bench simsar` prints one JSON object a measure
//! and fails nothing: the machine it ran on decides what the numbers mean. A word after `--` picks the measures it is
//! part of the name of: `indicators`, `near`, `far`, `clients`, `memory`.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measuring program prints and may stop loudly"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::serve::ListenerExt;
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
    simsar_at("http://world", world, transport)
}

fn simsar_at(base_url: &str, world: &Arc<World>, transport: Transport) -> Simsar {
    let options = SimsarOptions {
        addresses: SourceAddresses::one_host(base_url),
        finnhub_token: Some("paper".to_owned().into()),
        symbols: coins(),
        concurrency: 64,
        built_in: true,
        data_dir: None,
    };
    Simsar::new(options, transport, world.clock())
}

/// Counts what is asked.
fn counted(inner: Transport, asked: &Arc<AtomicUsize>) -> Transport {
    let asked = Arc::clone(asked);
    Transport::from_service(tower::service_fn(move |request: Request<Bytes>| {
        let inner = inner.clone();
        asked.fetch_add(1, Ordering::Relaxed);
        async move { inner.send(request).await }
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

/// Serves the world over TCP on this machine; every answer takes `latency` longer than it needs.
async fn far_world(world: &Arc<World>, latency: Duration) -> String {
    let delay = axum::middleware::from_fn(
        move |request: axum::extract::Request, next: axum::middleware::Next| async move {
            let (answer, ()) = tokio::join!(next.run(request), tokio::time::sleep(latency));
            answer
        },
    );
    let router = world.router().layer(delay);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound port");
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("an open stream"));
    tokio::spawn(axum::serve(listener, router).into_future());
    format!("http://{address}")
}

async fn measure_far_briefs() {
    let world = world();
    let base_url = far_world(&world, Duration::from_millis(100)).await;
    let transport = Transport::network().expect("a client");
    // Makes the connections.
    brief_ms(&simsar_at(&base_url, &world, transport.clone())).await;
    let mut runs = Vec::new();
    for _ in 0..15 {
        runs.push(brief_ms(&simsar_at(&base_url, &world, transport.clone())).await);
    }
    report(
        "brief over TCP, 100 ms a request, 64 in flight, connections warm, nothing read before",
        250.0,
        runs,
    );
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
    brief_ms(&simsar(&world, counted(router, &asked))).await;
    println!("{}", json!({ "measure": "requests of one brief", "count": asked.load(Ordering::Relaxed) }));
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

/// Two hundred clients that keep their connections and ask for what is on the shelves; they and the server share this
/// machine.
async fn measure_clients() {
    const CLIENTS: usize = 200;
    const REQUESTS: usize = 1000;
    let world = world();
    let simsar = simsar(&world, Transport::in_process(world.router()));
    brief_ms(&simsar).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound port");
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("an open stream"));
    tokio::spawn(axum::serve(listener, simsar.router()).into_future());
    let begun = Instant::now();
    let clients: Vec<_> =
        (0..CLIENTS).map(|client| tokio::spawn(one_client(address, client, REQUESTS))).collect();
    let mut waits = Vec::with_capacity(CLIENTS * REQUESTS);
    for client in clients {
        waits.append(&mut client.await.expect("a client"));
    }
    let seconds = begun.elapsed().as_secs_f64();
    waits.sort_by(f64::total_cmp);
    let line = json!({
        "measure": "200 keep-alive clients on cached paths", "requests": waits.len(),
        "requests_per_s": (waits.len() as f64 / seconds).round(), "target_per_s": 20_000,
        "p50_ms": waits[waits.len() / 2], "p99_ms": waits[waits.len() * 99 / 100], "target_p99_ms": 25.0,
    });
    println!("{line}");
}

/// Asks so many times on one connection; how long each took, in milliseconds.
async fn one_client(address: std::net::SocketAddr, client: usize, requests: usize) -> Vec<f64> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("an open stream");
    let coin = COINS[client % COINS.len()];
    let paths = [
        format!("/indicators/rsi/{coin}"),
        format!("/candles/{coin}?limit=5"),
        "/fear-greed".to_owned(),
        format!("/price/{coin}"),
    ];
    let mut waits = Vec::with_capacity(requests);
    let mut answer = vec![0; 64 * 1024];
    for number in 0..requests {
        let request = format!("GET {} HTTP/1.1\r\nhost: x\r\n\r\n", paths[number % paths.len()]);
        let begun = Instant::now();
        stream.write_all(request.as_bytes()).await.expect("a request is taken");
        let mut read = 0;
        loop {
            read += stream.read(&mut answer[read..]).await.expect("an answer");
            if is_whole(&answer[..read]) {
                break;
            }
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..read]));
        waits.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    waits
}

/// Whether an answer has come with all of its body.
fn is_whole(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let text = std::str::from_utf8(&answer[..head]).expect("a head is text");
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    answer.len() >= head + 4 + length.parse::<usize>().expect("a number")
}

#[tokio::main]
async fn main() {
    rustls::crypto::ring::default_provider().install_default().expect("the first to choose");
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted =
        |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| name.contains(wanted.as_str()));
    if is_wanted("indicators") {
        measure_indicators().await;
    }
    if is_wanted("near") {
        measure_briefs().await;
    }
    if is_wanted("far") {
        measure_far_briefs().await;
    }
    if is_wanted("clients") {
        measure_clients().await;
    }
    if is_wanted("memory") {
        measure_memory().await;
    }
}
