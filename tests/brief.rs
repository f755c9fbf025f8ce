//! The brief and its prompt against the offline world: what they cost and how long they are.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use jarvis::config::Settings;
use jarvis::desk::gathering::{Gathered, prompt_input};
use jarvis::desk::prompt::{Language, Templates, render};
use jarvis::domain::{AccountState, Clock, Symbol, SystemClock, Usdt};
use jarvis::market::{Simsar, SimsarOptions, SourceAddresses};
use jarvis::net::Transport;
use jarvis::world::{World, WorldOptions};
use rust_decimal::Decimal;

const COINS: [&str; 10] = [
    "BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "DOGEUSDT", "ADAUSDT", "AVAXUSDT", "LINKUSDT",
    "PAXGUSDT",
];

fn coins() -> Vec<Symbol> {
    COINS.map(|name| Symbol::new(name).unwrap()).to_vec()
}

/// A world that stands still, simsar in front of it, and what simsar asked it.
fn simsar_on_a_world() -> (Simsar, Arc<dyn Clock>, Arc<Mutex<Vec<String>>>) {
    let options = WorldOptions {
        seed: 7,
        accounts: vec!["mirat".parse().unwrap()],
        balance: Usdt::of(Decimal::ONE_THOUSAND),
        speed: 0.0,
        token_delay: Duration::ZERO,
        enforce_limits: false,
        recorded: None,
        state_file: None,
    };
    let world = World::open(options, Arc::new(SystemClock)).unwrap();
    let clock = world.clock();
    let inner = Transport::in_process(world.router());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let transport = Transport::from_service(tower::service_fn(move |request: Request<Bytes>| {
        log.lock().unwrap().push(request.uri().to_string());
        let inner = inner.clone();
        async move { inner.send(request).await }
    }));
    let options = SimsarOptions {
        addresses: SourceAddresses::one_host("http://world"),
        finnhub_token: Some("paper".to_owned().into()),
        symbols: coins(),
        concurrency: 64,
        built_in: true,
        data_dir: None,
    };
    (Simsar::new(options, transport, Arc::clone(&clock)), clock, asked)
}

/// What the brief says: general market, coins and macro, without the accounts before and the task behind.
fn market_sections(prompt: &str) -> &str {
    let sections: Vec<usize> = prompt.match_indices("\n# ").map(|(at, _)| at).collect();
    // Portfolio, general market, macro, limits, task.
    &prompt[sections[1]..sections[3]]
}

#[tokio::test]
async fn ten_coins_make_fifteen_kilobytes_of_prompt_from_ninety_seven_requests() {
    let (simsar, clock, asked) = simsar_on_a_world();
    let brief = simsar.brief(&coins(), Duration::from_mins(1)).await;
    let missing: Vec<_> = brief.sources.iter().filter(|source| source.error.is_some()).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(asked.lock().unwrap().len(), 10 * 9 + 1 + 6, "one a datum, and the funding intervals for all");
    for coin in &brief.coins {
        let figures = [coin.returns_pct[3], coin.volatility_30d_pct, coin.correlation_btc, coin.beta_btc];
        assert!(figures.iter().all(Option::is_some), "{coin:?}");
        assert!(coin.timeframes.iter().all(|line| line.trend.is_some()), "{coin:?}");
        assert!(coin.positioning.open_interest_24h_pct.is_some(), "{coin:?}");
    }
    simsar.brief(&coins(), Duration::from_mins(1)).await;
    assert_eq!(asked.lock().unwrap().len(), 97, "nothing is asked twice within its second");

    let accounts = ["mirat", "mevlut", "tugrul"].map(|name| AccountState {
        name: name.parse().unwrap(),
        leverage: 3,
        symbols: coins(),
        wallet: Usdt::of(Decimal::ONE_THOUSAND),
        equity: Usdt::of(Decimal::ONE_THOUSAND),
        available: Usdt::of(Decimal::ONE_THOUSAND),
        positions: vec![],
        as_of: clock.now(),
        trouble: None,
    });
    let gathered = Gathered { accounts: accounts.to_vec(), brief, bars: Vec::new(), guards: Vec::new() };
    let input = prompt_input(&Settings::default(), &gathered, clock.now());
    for language in [Language::Tr, Language::En] {
        let prompt = render(&Templates::load(None, language).unwrap(), &input).unwrap();
        if let Ok(folder) = std::env::var("PROMPT_FOLDER") {
            std::fs::write(format!("{folder}/{}.txt", language.as_str()), &prompt.user).unwrap();
        }
        let market = market_sections(&prompt.user);
        assert!(market.contains("<fetched id=") && market.contains("## PAXGUSDT"));
        assert!(market.len() <= 15 * 1024, "{} of {} bytes", market.len(), prompt.user.len());
    }
}
