//! Measures the world's exchange from outside: signed market orders over keep-alive connections, load generator
//! included, and one market order from our client to the engine within the process. `cargo bench --bench world` prints
//! one JSON object a measure and fails nothing: the machine it ran on decides what the numbers mean.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a measuring program prints, may stop loudly, and rounds"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use jarvis::domain::{AccountName, ClientOrderId, Clock, Quantity, Side, Symbol, SystemClock, Usdt};
use jarvis::exchange::{Credentials, ExchangeClient, MarketOrder};
use jarvis::net::Transport;
use jarvis::world::{World, WorldKey, WorldOptions};
use rust_decimal::Decimal;
use serde_json::json;
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Connections that send at once.
const CONNECTIONS: usize = 16;
/// How long each measure runs.
const RUN: Duration = Duration::from_secs(5);

fn world(state_file: Option<std::path::PathBuf>) -> Arc<World> {
    let accounts =
        (0..CONNECTIONS).map(|number| format!("load{number}").parse::<AccountName>().expect("a name"));
    let options = WorldOptions {
        seed: 7,
        accounts: accounts.collect(),
        balance: Usdt::of(Decimal::from(1_000_000)),
        speed: 1.0,
        token_delay: Duration::ZERO,
        enforce_limits: false,
        recorded: None,
        state_file,
    };
    World::open(options, Arc::new(SystemClock)).expect("a fresh world")
}

/// One keep-alive connection that speaks just enough HTTP.
struct Connection {
    stream: TcpStream,
    key: WorldKey,
    signer: Hmac<Sha256>,
    buffer: Vec<u8>,
    sent: u64,
}

impl Connection {
    async fn open(address: SocketAddr, key: WorldKey) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        let signer = Hmac::<Sha256>::new_from_slice(key.api_secret.as_bytes()).expect("any key");
        Self { stream, key, signer, buffer: Vec::with_capacity(4096), sent: 0 }
    }

    /// Places one market order, buying and selling in turn, and waits for its answer.
    async fn order(&mut self) {
        let side = if self.sent.is_multiple_of(2) { "BUY" } else { "SELL" };
        self.sent += 1;
        let now = SystemClock.now().timestamp_millis();
        let params = format!(
            "symbol=SOLUSDT&side={side}&type=MARKET&quantity=1&newClientOrderId=b{}&timestamp={now}",
            self.sent
        );
        let mut signer = self.signer.clone();
        signer.update(params.as_bytes());
        let body = format!("{params}&signature={}", hex::encode(signer.finalize().into_bytes()));
        let request = format!(
            "POST /fapi/v1/order HTTP/1.1\r\nhost: world\r\nx-mbx-apikey: {}\r\ncontent-type: \
             application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
            self.key.api_key,
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await.expect("sent");
        self.buffer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await.expect("an answer");
            assert!(read > 0, "the world hung up");
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.buffer[..end]).to_ascii_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let length: usize = length.expect("a length").trim().parse().expect("a number");
                if self.buffer.len() >= end + 4 + length {
                    assert!(head.starts_with("http/1.1 200"), "{}", String::from_utf8_lossy(&self.buffer));
                    return;
                }
            }
        }
    }
}

async fn serve(world: &Arc<World>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = world.router();
    tokio::spawn(async move {
        axum::serve(
            axum::serve::ListenerExt::tap_io(listener, |stream| {
                // Small answers must not wait for company.
                let _best_effort = stream.set_nodelay(true);
            }),
            router,
        )
        .await
    });
    address
}

/// As many orders as go through; returns orders a second.
async fn saturate(name: &str, world: &Arc<World>) -> f64 {
    let address = serve(world).await;
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut senders = Vec::new();
    for key in world.keys() {
        let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
        senders.push(tokio::spawn(async move {
            let mut connection = Connection::open(address, key).await;
            while !stop.load(Ordering::Relaxed) {
                connection.order().await;
                done.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (begun, before) = (Instant::now(), done.load(Ordering::Relaxed));
    tokio::time::sleep(RUN).await;
    let rate = (done.load(Ordering::Relaxed) - before) as f64 / begun.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    for sender in senders {
        sender.await.expect("a sender that ended well");
    }
    println!(
        "{}",
        json!({"measure": name, "orders_per_second": rate.round(), "target": 10_000, "met": rate >= 1e4})
    );
    rate
}

/// Orders at a fixed pace; an order that starts late counts from when it should have.
async fn pace(name: &str, world: &Arc<World>, rate: f64) {
    let address = serve(world).await;
    let each = Duration::from_secs_f64(CONNECTIONS as f64 / rate);
    let mut senders = Vec::new();
    for (number, key) in world.keys().into_iter().enumerate() {
        senders.push(tokio::spawn(async move {
            let mut connection = Connection::open(address, key).await;
            let mut taken = Vec::new();
            let begun = Instant::now() + each.mul_f64(number as f64 / CONNECTIONS as f64);
            let mut due = begun;
            while due < begun + RUN {
                tokio::time::sleep_until(due.into()).await;
                // The timer counts whole milliseconds; what it sleeps too long is not the world's.
                let sent = Instant::now().max(due);
                let late = sent.saturating_duration_since(due);
                connection.order().await;
                let waited = if late > Duration::from_millis(2) { late } else { Duration::ZERO };
                taken.push((sent.elapsed() + waited).as_secs_f64() * 1e3);
                due += each;
            }
            taken
        }));
    }
    let mut taken = Vec::new();
    for sender in senders {
        taken.extend(sender.await.expect("a sender that ended well"));
    }
    taken.sort_by(f64::total_cmp);
    let at = |share: f64| taken[((taken.len() - 1) as f64 * share) as usize];
    println!(
        "{}",
        json!({
            "measure": name, "orders": taken.len(), "orders_per_second": rate.round(), "p50_ms": at(0.5),
            "p99_ms": at(0.99), "max_ms": at(1.0), "target_p99_ms": 5, "met": at(0.99) < 5.0,
        })
    );
}

/// Market orders from our own client over the in-process transport, one after the other.
async fn within_the_process() {
    let world = world(None);
    let key = world.keys().remove(0);
    let credentials = Credentials { api_key: key.api_key.into(), api_secret: key.api_secret.into() };
    let client = ExchangeClient::new(
        Transport::in_process(world.router()),
        "http://world",
        credentials,
        Arc::new(SystemClock),
    );
    let mut taken = Vec::new();
    for number in 0..5_000_u32 {
        let order = MarketOrder {
            symbol: Symbol::new("SOLUSDT").expect("a contract"),
            side: if number % 2 == 0 { Side::Buy } else { Side::Sell },
            quantity: Quantity::new(Decimal::ONE).expect("above zero"),
            reduce_only: false,
            client_order_id: ClientOrderId::new(format!("bench-{number}")).expect("an id"),
        };
        let begun = Instant::now();
        let outcome = client.place_market(&order).await;
        taken.push(begun.elapsed().as_secs_f64() * 1e6);
        assert!(format!("{outcome:?}").starts_with("Accepted"), "{outcome:?}");
    }
    taken.sort_by(f64::total_cmp);
    let (middle, late) = (taken[taken.len() / 2], taken[taken.len() * 99 / 100]);
    println!(
        "{}",
        json!({
            "measure": "market order, our client to the engine in process", "median_us": middle, "p99_us": late,
            "target_us": 150, "met": middle < 150.0,
        })
    );
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        within_the_process().await;
        let rate = saturate("signed market orders over keep-alive", &world(None)).await;
        pace("the same at half that load", &world(None), rate / 2.0).await;
        let folder = tempfile::tempdir().expect("a folder");
        let kept = world(Some(folder.path().join("world.json")));
        saturate("the same with a state file", &kept).await;
    });
}
