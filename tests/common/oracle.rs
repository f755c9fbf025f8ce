//! What must hold after every run, judged by the exchange's truth and the desk's journal.

use jarvis::domain::{Direction, OrderPurpose, OrderState, Side};
use rust_decimal::Decimal;

use super::faults::Entry;
use super::{BALANCE, Bench, Desk, epoch};

/// A healthy exchange must see every stop within this.
pub const STOP_LIMIT_MS: i64 = 5_000;
/// What every account's terms say.
const LEVERAGE: u32 = 3;
/// With requests failing at random: the stop's limit, the guardian's period, and the time requests hang.
pub const FAULTY_LIMIT_MS: i64 = 20_000;

/// The orders that left, as (account, coin, purpose letter, name): the same seed gives the same list.
pub fn orders_sent(log: &[Entry]) -> Vec<(i64, usize, String, String)> {
    let mut sent: Vec<_> = log
        .iter()
        .filter(|entry| entry.call.is("POST", "/order") || entry.call.is_stop())
        .map(|entry| (entry.at_ms, entry.call.account, entry.call.symbol.clone(), entry.call.id.clone()))
        .collect();
    sent.sort();
    sent
}

/// I1: no position stood without a stop longer than `limit_ms` while anybody lived.
pub fn check_windows(bench: &Bench, limit_ms: i64) -> Vec<String> {
    bench
        .faults
        .windows()
        .into_iter()
        .filter(|window| window.lasted_ms > limit_ms)
        .map(|window| format!("naked for {} ms (limit {limit_ms}): {window:?}", window.lasted_ms))
        .collect()
}

/// I2: no opening left twice. I7, which the layer watches at every close, stop and price: what closes only reduces.
pub fn check_log(bench: &Bench) -> Vec<String> {
    let mut wrong = bench.faults.violations();
    let mut seen = std::collections::BTreeSet::new();
    for entry in bench.faults.log() {
        if entry.call.is_opening() && !seen.insert(entry.call.id.clone()) {
            wrong.push(format!("an opening left twice: {}", entry.call.id));
        }
        if entry.call.path.ends_with("allOpenOrders") || entry.call.path.ends_with("algoOpenOrders") {
            wrong.push(format!("everything was cancelled at once: {:?}", entry.call));
        }
    }
    wrong
}

fn opened_by_us(bench: &Bench, account: usize, symbol: &str) -> bool {
    bench.faults.log().iter().any(|entry| {
        let call = &entry.call;
        call.is_opening() && call.account == account && call.symbol == symbol && entry.status == Some(200)
    })
}

/// I3, I5, I6, I12, I15 and the place of every stop: once the faults have stopped and time has passed.
pub async fn check_rest(bench: &Bench, desk: &Desk) -> Vec<String> {
    let mut wrong = Vec::new();
    let unresolved = desk.store.unresolved_orders().await.unwrap();
    if !unresolved.is_empty() {
        wrong.push(format!("unresolved: {unresolved:?}"));
    }
    for (number, name) in bench.names.iter().enumerate() {
        let truth = bench.truth(number);
        let positions = truth.positions().await.unwrap();
        let stops = truth.open_algo_orders(None).await.unwrap();
        for position in &positions {
            let found = stops.iter().find(|stop| {
                stop.symbol == position.symbol && stop.protects(position.direction) && stop.close_position
            });
            match found.and_then(|stop| stop.trigger) {
                None => wrong.push(format!("{name} {}: no stop at the end", position.symbol)),
                Some(trigger) => {
                    let away = (trigger.value() / position.entry.value() - Decimal::ONE)
                        * if position.direction == Direction::Long {
                            Decimal::NEGATIVE_ONE
                        } else {
                            Decimal::ONE
                        };
                    if !(Decimal::new(8, 2)..=Decimal::new(12, 2)).contains(&away) {
                        wrong.push(format!("{name} {}: stop {away} away", position.symbol));
                    }
                }
            }
        }
        // What we opened stands at our leverage, with its own margin only.
        let configs = truth.symbol_configs(None).await.unwrap();
        for position in positions.iter().filter(|held| opened_by_us(bench, number, held.symbol.as_str())) {
            let config = configs.iter().find(|config| config.symbol == position.symbol).unwrap();
            if config.leverage != LEVERAGE || !config.isolated {
                wrong.push(format!("{name} {}: opened with {config:?}", position.symbol));
            }
        }
        for stop in &stops {
            if !positions.iter().any(|position| position.symbol == stop.symbol) {
                wrong.push(format!("{name} {}: an orphaned stop", stop.symbol));
            }
        }
        let fills = desk.store.fills_since(name, epoch()).await.unwrap();
        for symbol in &bench.symbols {
            let held: Decimal = positions
                .iter()
                .filter(|position| position.symbol == *symbol)
                .map(|position| match position.direction {
                    Direction::Long => position.quantity.value(),
                    Direction::Short => -position.quantity.value(),
                })
                .sum();
            let booked: Decimal = fills
                .iter()
                .filter(|fill| fill.symbol == *symbol)
                .map(|fill| match fill.side {
                    Side::Buy => fill.quantity.value(),
                    Side::Sell => -fill.quantity.value(),
                })
                .sum();
            if held != booked {
                wrong.push(format!("{name} {symbol}: fills say {booked}, the exchange {held}"));
            }
            for order in desk.store.orders_of(name, symbol, 1000).await.unwrap() {
                let rests = stops
                    .iter()
                    .any(|stop| stop.client_order_id.as_ref() == Some(&order.intent.client_order_id));
                match (order.intent.purpose, order.state) {
                    (OrderPurpose::Stop, OrderState::Accepted) if !rests => {
                        wrong.push(format!(
                            "{name} {symbol}: stop {} is accepted but gone",
                            order.intent.client_order_id
                        ));
                    }
                    (OrderPurpose::Stop, state) if rests && state != OrderState::Accepted => {
                        wrong.push(format!(
                            "{name} {symbol}: stop {} rests but is {state:?}",
                            order.intent.client_order_id
                        ));
                    }
                    _ => {}
                }
            }
        }
        for fill in &fills {
            if fill.client_order_id.is_none() && !bench.by_hand(&fill.exchange_id) {
                let near: Vec<_> = desk.store.orders_of(name, &fill.symbol, 1000).await.unwrap();
                let near: Vec<_> = near
                    .iter()
                    .filter(|order| {
                        order.intent.side == fill.side
                            && (order.intent.market_time - fill.at).abs() < chrono::TimeDelta::seconds(300)
                    })
                    .map(|order| {
                        (order.intent.purpose, order.state, order.exchange_id.clone(), order.error.clone())
                    })
                    .collect();
                wrong.push(format!(
                    "{name} {}: fill {} of order {} has no order of ours; near it: {near:?}",
                    fill.symbol, fill.trade_id, fill.exchange_id
                ));
            }
        }
        let wallet = truth.account().await.unwrap().wallet.value();
        let booked: Decimal =
            desk.store.ledger_totals(name, epoch()).await.unwrap().iter().map(|row| row.2.value()).sum();
        // The world's ledger begins with the deposit where it tells it; else it is the balance's beginning.
        if wallet != booked && wallet != booked + Decimal::from(BALANCE) {
            wrong.push(format!("{name}: the wallet is {wallet}, the ledger {booked} (+{BALANCE})"));
        }
        for entry in bench.faults.log() {
            let ours =
                entry.call.account == number && (entry.call.is("POST", "/v1/order") || entry.call.is_stop());
            if ours {
                let id = jarvis::domain::ClientOrderId::new(entry.call.id.as_str()).unwrap();
                if desk.store.order(&id).await.unwrap().is_none() {
                    wrong.push(format!("{name}: {id} left without a journal entry"));
                }
            }
        }
    }
    wrong
}
