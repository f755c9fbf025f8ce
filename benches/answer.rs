//! Measures the way of an answer: how long thirty rows take to be parsed and checked, and how long a piece of text takes
//! from the model's socket to whoever listens to the desk.
//!
//! `cargo bench --bench answer` prints one JSON object a measure and fails nothing: the machine it ran on decides what the
//! numbers mean.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measuring program prints and may stop loudly"
)]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use jarvis::desk::answer::{Answer, Handed, Pair};
use jarvis::desk::bulletin::Bulletin;
use jarvis::desk::conversation::{Around, Budget, Conversation, Lookup};
use jarvis::domain::{
    AccountName, Clock, CycleId, DeskFacts, Event, Mode, Profile, Snapshot, Symbol, SystemClock,
};
use jarvis::llm::{LlmClient, LlmOptions};
use jarvis::market::{Simsar, SimsarOptions, SourceAddresses};
use jarvis::net::Transport;
use jarvis::store::Store;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// Repetitions of the check.
const CHECKS: usize = 5_000;
/// Pieces of text, and the pause between two.
const PIECES: usize = 1_000;
const PAUSE: Duration = Duration::from_millis(3);

const ACCOUNTS: [&str; 3] = ["mirat", "mevlut", "tugrul"];
const COINS: [&str; 10] = [
    "BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "DOGEUSDT", "ADAUSDT", "AVAXUSDT", "LINKUSDT",
    "PAXGUSDT",
];

fn main() {
    // As the program does before its first connection.
    rustls::crypto::ring::default_provider().install_default().expect("the first provider");
    checking();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(showing());
}

fn told(measure: &str, mut micros: Vec<f64>) {
    micros.sort_by(f64::total_cmp);
    let at = |percent: usize| micros[(micros.len() - 1) * percent / 100];
    println!(
        "{}",
        json!({"measure": measure, "unit": "us", "n": micros.len(), "p50": at(50), "p99": at(99), "max": at(100)})
    );
}

fn pairs() -> Vec<Pair> {
    let pair = |account: &str, coin: &str| -> Pair {
        (AccountName::new(account).expect("a name"), Symbol::new(coin).expect("a contract"))
    };
    ACCOUNTS.iter().flat_map(|account| COINS.iter().map(move |coin| pair(account, coin))).collect()
}

/// A whole answer for every pair, both ways.
fn checking() {
    let pairs = pairs();
    let rows: Vec<Value> = pairs
        .iter()
        .map(|(account, symbol)| {
            json!({"account": account, "symbol": symbol, "decision": "NO_TRADE", "confidence": 0.41,
                "reason": "ADX 17 and an RSI of 48 leave no direction; the move would not pay for its costs.",
                "market_bias": "neutral", "risk_note": "A break of the band would change the picture."})
        })
        .collect();
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    let analysis = "A line of the analysis about risk, market and formations.\n".repeat(15);
    let text = format!("<analysis>\n{analysis}</analysis>\n```json\n[\n{}\n]\n```", lines.join(",\n"));
    let submitted = format!("{{\"decisions\":[{}]}}", lines.join(","));
    let by_text = || Answer::check(&text, &pairs);
    let by_call = || Answer::check_handed(&Handed::Call(submitted.clone()), &pairs);
    assert_eq!((by_text().faulty().count(), by_call().faulty().count()), (0, 0));
    let measured = |check: &dyn Fn() -> Answer| {
        let once = || {
            let began = Instant::now();
            std::hint::black_box(check());
            began.elapsed().as_secs_f64() * 1e6
        };
        (0..CHECKS).map(|_| once()).collect()
    };
    told("parse and check 30 rows of text", measured(&by_text));
    told("parse and check 30 rows of a submitting call", measured(&by_call));
}

type Sent = Arc<Mutex<Vec<Instant>>>;

/// A model that writes one piece after the other and notes when each left.
fn model(sent: &Sent) -> Router {
    let sent = Arc::clone(sent);
    Router::new().fallback(move || {
        let sent = Arc::clone(&sent);
        async move {
            let pieces = stream::unfold(0_usize, move |number| {
                let sent = Arc::clone(&sent);
                async move {
                    let frame = match number {
                        0 => concat!(
                            "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":1}}}\n\n",
                            "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,",
                            "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
                        )
                        .to_owned(),
                        1..=PIECES => {
                            tokio::time::sleep(PAUSE).await;
                            sent.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
                            format!(
                                "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\
                                 \"delta\":{{\"type\":\"text_delta\",\"text\":\"#{number} \"}}}}\n\n"
                            )
                        }
                        _ if number == PIECES + 1 => concat!(
                            "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},",
                            "\"usage\":{\"output_tokens\":1}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
                        )
                        .to_owned(),
                        _ => return None,
                    };
                    Some((Ok::<_, std::convert::Infallible>(Bytes::from(frame)), number + 1))
                }
            });
            ([("content-type", "text/event-stream")], Body::from_stream(pieces))
        }
    })
}

/// From the model's socket to a listener of the bulletin, within this process and over a loopback socket.
async fn showing() {
    let sent = Sent::default();
    let within = Transport::in_process(model(&sent));
    told("text within the process, sent to shown", shown(&sent, within, "http://model".to_owned()).await);
    let sent = Sent::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let serving = tokio::spawn(axum::serve(listener, model(&sent)).into_future());
    let over = Transport::network().expect("a transport");
    told("text over a loopback socket, sent to shown", shown(&sent, over, format!("http://{address}")).await);
    serving.abort();
}

async fn shown(sent: &Sent, transport: Transport, base_url: String) -> Vec<f64> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(&folder.path().join("jarvis.db")).expect("a store");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let bulletin = Bulletin::new(nothing(clock.now()), Arc::clone(&clock), store.clone());
    let (_, mut events) = bulletin.subscribe();
    let listening = tokio::spawn(async move {
        let mut seen = Vec::with_capacity(PIECES);
        while seen.len() < PIECES {
            if let Event::AnalysisDelta { text } = &events.recv().await.expect("an event").event
                && text.raw().contains('#')
            {
                seen.push(Instant::now());
            }
        }
        seen
    });
    let nowhere = Transport::in_process(Router::new());
    let options = SimsarOptions {
        addresses: SourceAddresses::one_host("http://nowhere"),
        finnhub_token: None,
        symbols: Vec::new(),
        concurrency: 1,
        built_in: true,
        data_dir: None,
    };
    let simsar = Simsar::new(options, nowhere, Arc::clone(&clock));
    let llm = LlmClient::new(
        transport,
        LlmOptions::new("measured", base_url, "claude-sonnet-4-6", "key".to_owned().into()),
    );
    let cycle = CycleId::new(clock.now(), 1);
    let around = Around {
        llm: &llm,
        market: Lookup::Simsar(&simsar),
        bulletin: Some(&bulletin),
        store: None,
        clock: clock.as_ref(),
        cycle: &cycle,
        turkish: false,
        cache: false,
        ending: &CancellationToken::new(),
        ended_then: None,
    };
    let budget = Budget::unbounded(1, Duration::from_mins(5));
    let mut conversation = Conversation::new(around, budget, "system".to_owned(), "user".to_owned());
    conversation.answer().await.expect("an answer");
    let seen = listening.await.expect("the listener ends");
    let sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(sent.len(), seen.len());
    sent.iter().zip(seen).map(|(sent, seen)| seen.duration_since(*sent).as_secs_f64() * 1e6).collect()
}

fn nothing(at: jarvis::domain::Timestamp) -> Snapshot {
    Snapshot {
        dry_run: true,
        ..Snapshot::beginning(
            at,
            DeskFacts {
                mode: Mode::Paper,
                profile: Profile::Guarded,
                threshold: jarvis::domain::Confidence::new(rust_decimal::Decimal::ONE)
                    .expect("within 0 to 1"),
                provider: "measured".to_owned(),
                model: "measured".to_owned(),
                input_price: None,
                built_in_market: true,
                built_in_analyst: false,
                clock_speed: 1.0,
                accounts: Vec::new(),
                symbols: Vec::new(),
            },
        )
    }
}
