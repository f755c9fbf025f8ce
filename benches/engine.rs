//! How fast the offline exchange's engine is: events a second, and the time to mark many accounts to a new price.
//!
//! `cargo bench --bench engine` prints, for each case, the median and the best of several rounds. Events are what the
//! engine reports: an order accepted, a fill, a balance, a conditional order's change. Time is what this thread spent
//! on a processor where the system tells it (Linux), so that other work on the machine does not count; else wall time.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a measuring command prints, and stops when it cannot measure"
)]

use std::time::{Duration, Instant};

use jarvis::domain::{AccountName, Side, Symbol};
use jarvis::world::engine::{
    AccountId, AlgoKind, AlgoRequest, Engine, Handle, MarginType, OrderKind, OrderRequest, TimeInForce,
    WorkingType,
};
use jarvis::world::market::{Listing, Quote};
use rust_decimal::Decimal;

/// Counted rounds of each case, after one that is not.
const ROUNDS: usize = 9;
/// New prices in a round of marking.
const MARKS: u32 = 50;
const START: i64 = 1_790_000_000_000;
const COINS: [&str; 10] = [
    "BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "DOGEUSDT", "ADAUSDT", "AVAXUSDT", "LINKUSDT",
    "PAXGUSDT",
];

/// A moment to measure from.
struct Watch {
    wall: Instant,
    processor: Option<Duration>,
}

/// What this thread has spent on a processor, if the system tells.
fn processor_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(text.split_whitespace().next()?.parse().ok()?))
}

impl Watch {
    fn start() -> Self {
        Self { processor: processor_time(), wall: Instant::now() }
    }

    fn seconds(&self) -> f64 {
        let spent = processor_time().zip(self.processor).map(|(now, before)| now.saturating_sub(before));
        spent.unwrap_or_else(|| self.wall.elapsed()).as_secs_f64()
    }
}

fn symbol(name: &str) -> Symbol {
    Symbol::new(name).expect("a symbol")
}

fn exchange() -> Engine {
    let listing = |name: &str| Listing {
        symbol: symbol(name),
        tick: Decimal::new(1, 2),
        price_digits: 2,
        step: Decimal::new(1, 2),
        minimum_notional: Decimal::from(5),
        funding_hours: 8,
    };
    let mut engine = Engine::new(COINS.map(listing));
    tell(&mut engine, 10_000, START);
    engine
}

/// New prices of every coin, in cents.
fn tell(engine: &mut Engine, cents: i64, now: i64) {
    engine.update(COINS.map(|name| (symbol(name), quote(cents))), now);
}

fn quote(cents: i64) -> Quote {
    let price = Decimal::new(cents, 2);
    Quote { last: price, mark: price, index: price, bid: price, ask: Decimal::new(cents + 1, 2) }
}

fn account(engine: &mut Engine, number: usize, balance: i64) -> AccountId {
    let name = AccountName::new(&format!("trader{number}")).expect("a name");
    engine.open_account(name, Decimal::from(balance), START)
}

fn order(coin: &Symbol, side: Side) -> OrderRequest {
    OrderRequest {
        symbol: coin.clone(),
        side,
        kind: OrderKind::Market,
        time_in_force: TimeInForce::Gtc,
        quantity: Decimal::from(3),
        price: Decimal::ZERO,
        reduce_only: false,
        client_id: None,
        good_till: None,
    }
}

/// Runs a case and prints events a second.
fn rate(name: &str, mut round: impl FnMut() -> (usize, f64)) {
    let mut rates: Vec<f64> = (0..=ROUNDS)
        .map(|_| {
            let (events, seconds) = round();
            #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
            let rate = events as f64 / seconds;
            rate
        })
        .skip(1)
        .collect();
    rates.sort_by(f64::total_cmp);
    println!("{name}: median {:.0} events/s, best {:.0}", rates[ROUNDS / 2], rates[ROUNDS - 1]);
}

/// Market orders to and fro: accepted, filled, balance.
fn market_orders(held: usize) -> (usize, f64) {
    let mut engine = exchange();
    let who = account(&mut engine, 0, 1_000_000);
    for name in COINS.iter().skip(1).take(held) {
        engine.place(who, order(&symbol(name), Side::Buy), START).expect("filled");
    }
    engine.drain_happenings();
    let coin = symbol("BTCUSDT");
    let mut events = 0;
    let began = Watch::start();
    for number in 0..40_000_i64 {
        let side = if number % 2 == 0 { Side::Buy } else { Side::Sell };
        engine.place(who, order(&coin, side), START + number).expect("filled");
        if number % 100 == 99 {
            engine.update([(coin.clone(), quote(10_000 + number % 7))], START + number);
            events += engine.drain_happenings().len();
        }
    }
    (events, began.seconds())
}

/// Limit orders that rest and are taken back.
fn resting_orders() -> (usize, f64) {
    let mut engine = exchange();
    let who = account(&mut engine, 0, 1_000_000);
    let coin = symbol("BTCUSDT");
    let mut events = 0;
    let began = Watch::start();
    for number in 0..40_000_i64 {
        let request = OrderRequest {
            kind: OrderKind::Limit,
            price: Decimal::new(9_900 - number % 50, 2),
            ..order(&coin, Side::Buy)
        };
        let placed = engine.place(who, request, START + number).expect("rests");
        engine.cancel(who, &coin, &Handle::Id(placed.id), START + number).expect("taken back");
        if number % 100 == 99 {
            events += engine.drain_happenings().len();
        }
    }
    (events, began.seconds())
}

/// Positions opened, protected by a stop, and stopped out by a falling price.
fn stops() -> (usize, f64) {
    let mut engine = exchange();
    let who = account(&mut engine, 0, 1_000_000);
    let coin = symbol("BTCUSDT");
    let mut events = 0;
    let began = Watch::start();
    for number in 0..20_000_i64 {
        let now = START + number;
        engine.place(who, order(&coin, Side::Buy), now).expect("filled");
        let stop = AlgoRequest {
            symbol: coin.clone(),
            side: Side::Sell,
            kind: AlgoKind::StopMarket,
            time_in_force: TimeInForce::Gtc,
            quantity: None,
            price: None,
            trigger_price: Some(Decimal::new(9_990, 2)),
            callback_rate: None,
            activate_price: None,
            working: WorkingType::Mark,
            close_position: true,
            reduce_only: false,
            price_protect: false,
            client_id: None,
            good_till: None,
        };
        engine.place_algo(who, stop, now).expect("waits");
        engine.update([(coin.clone(), quote(9_980))], now);
        engine.update([(coin.clone(), quote(10_000))], now);
        if number % 100 == 99 {
            events += engine.drain_happenings().len();
        }
    }
    (events, began.seconds())
}

/// 1 000 accounts with ten positions each, half of them isolated, marked to new prices.
fn marking() {
    let mut engine = exchange();
    for number in 0..1_000 {
        let who = account(&mut engine, number, 100_000);
        for (place, name) in COINS.iter().enumerate() {
            let coin = symbol(name);
            if place % 2 == 0 {
                engine.set_margin_type(who, &coin, MarginType::Isolated, 0).expect("set");
            }
            let side = if (place + number) % 3 == 0 { Side::Sell } else { Side::Buy };
            engine.place(who, order(&coin, side), START).expect("filled");
        }
        tell(&mut engine, 10_000, START);
    }
    engine.drain_happenings();
    let mut now = START;
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let began = Watch::start();
            for step in 0..MARKS {
                now += 1000;
                tell(&mut engine, 10_000 + i64::from(step) % 9, now);
            }
            began.seconds() * 1000.0 / f64::from(MARKS)
        })
        .collect();
    assert!(engine.drain_happenings().is_empty(), "nobody is liquidated by a few cents");
    times.sort_by(f64::total_cmp);
    println!(
        "1 000 accounts x 10 positions marked: median {:.2} ms, best {:.2} ms",
        times[ROUNDS / 2],
        times[0]
    );
}

fn main() {
    rate("market orders, one position", || market_orders(0));
    rate("market orders, nine other positions", || market_orders(9));
    rate("limit orders placed and taken back", resting_orders);
    rate("stops armed and fired", stops);
    marking();
}
