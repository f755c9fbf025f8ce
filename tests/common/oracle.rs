//! What must hold after every run, judged by the exchange's truth and the desk's journal.

use std::collections::{BTreeMap, BTreeSet};

use jarvis::domain::{ClientOrderId, Direction, OrderPurpose, OrderState, Side};
use jarvis::store::Origin;
use rust_decimal::Decimal;

use super::faults::Entry;
use super::{Bench, Desk, epoch};

/// A healthy exchange must see every stop within this.
pub const STOP_LIMIT_MS: i64 = 5_000;
/// What every account's terms say.
const LEVERAGE: u32 = 3;
/// With requests failing at random: the stop's limit, the guardian's period, and the time requests hang.
pub const FAULTY_LIMIT_MS: i64 = 20_000;
/// I12: two of the guardian's periods, and the ten seconds between the two looks that a stop without a position needs.
pub const ORPHAN_LIMIT_MS: i64 = 40_000;

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

/// I1: no position stood without a stop in its place longer than `limit_ms` while anybody lived and the exchange
/// answered.
pub fn check_windows(bench: &Bench, limit_ms: i64) -> Vec<String> {
    let mut wrong = Vec::new();
    for window in bench.faults.windows() {
        let down = bench.faults.down_within(window.from_ms, window.from_ms + window.lasted_ms);
        if window.lasted_ms - down > limit_ms {
            wrong.push(format!("naked for {} ms (limit {limit_ms} + {down}): {window:?}", window.lasted_ms));
        }
    }
    wrong
}

/// I12: no stop outlived its position longer than `limit_ms` while the exchange answered.
pub fn check_orphans(bench: &Bench, limit_ms: i64) -> Vec<String> {
    let mut wrong = Vec::new();
    for orphan in bench.faults.orphanages() {
        let down = bench.faults.down_within(orphan.from_ms, orphan.from_ms + orphan.lasted_ms);
        if orphan.lasted_ms - down > limit_ms {
            wrong.push(format!("a stop outlived its position (limit {limit_ms} + {down}): {orphan:?}"));
        }
    }
    wrong
}

/// The states orders were seen in, to see that none leaves its end again.
#[derive(Default)]
pub struct Journeys(BTreeMap<ClientOrderId, OrderState>);

impl Journeys {
    /// I13: looks at the latest orders; an end stays, but for late evidence that what seemed never placed exists.
    pub async fn look(&mut self, bench: &Bench, desk: &Desk) {
        for name in &bench.names {
            for symbol in &bench.symbols {
                for order in desk.store.orders_of(name, symbol, 20).await.unwrap() {
                    let id = order.intent.client_order_id;
                    let Some(before) = self.0.insert(id.clone(), order.state) else { continue };
                    let is_end = matches!(
                        before,
                        OrderState::Filled
                            | OrderState::Rejected
                            | OrderState::Cancelled
                            | OrderState::NotPlaced
                    );
                    let is_evidence = before == OrderState::NotPlaced
                        && matches!(
                            order.state,
                            OrderState::Accepted | OrderState::Filled | OrderState::Cancelled
                        );
                    if is_end && before != order.state && !is_evidence {
                        bench
                            .faults
                            .blame(format!("{name} {symbol} {id}: {before:?} became {:?}", order.state));
                    }
                }
            }
        }
    }
}

/// I2, I3 and I8 in the journal: each opening has the decision that wanted it, sure enough, and is alone in its cycle.
pub async fn check_reasons(bench: &Bench, desk: &Desk) -> Vec<String> {
    let mut wrong = Vec::new();
    let threshold = bench.settings.model.confidence_threshold;
    for name in &bench.names {
        for symbol in &bench.symbols {
            let mut seen = BTreeSet::new();
            for order in desk.store.orders_of(name, symbol, 10_000).await.unwrap() {
                let id = &order.intent.client_order_id;
                if order.intent.purpose != OrderPurpose::Open {
                    continue;
                }
                let Origin::Decision { cycle } = &order.intent.origin else {
                    wrong
                        .push(format!("{name} {symbol}: no decision opened {id}: {:?}", order.intent.origin));
                    continue;
                };
                if !seen.insert(cycle.clone()) {
                    wrong.push(format!("{name} {symbol}: two openings in {cycle}"));
                }
                let rows = desk.store.decisions_of(cycle).await.unwrap();
                let wanted =
                    rows.iter().map(|(row, _)| row).find(|row| row.account == *name && row.symbol == *symbol);
                let side = wanted.and_then(|row| row.decision?.opens()).map(Direction::opening_side);
                let is_sure = wanted.and_then(|row| row.confidence).is_some_and(|sure| sure >= threshold);
                if side != Some(order.intent.side) || !is_sure {
                    wrong.push(format!("{name} {symbol}: {id} was not decided: {wanted:?}"));
                }
            }
        }
    }
    wrong
}

/// I2: no opening left twice. I7, which the layer watches at every close, stop and price: what closes only reduces.
pub fn check_log(bench: &Bench) -> Vec<String> {
    let mut wrong = bench.faults.violations();
    let mut seen = BTreeSet::new();
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

/// Everything at once.
pub async fn verdict(bench: &Bench, desk: &Desk, limit_ms: i64) -> Vec<String> {
    let mut wrong = check_windows(bench, limit_ms);
    wrong.extend(check_log(bench));
    wrong.extend(check_rest(bench, desk).await);
    wrong
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
        let stops = bench.faults.resting_stops(number).await;
        for position in &positions {
            // By now it is the one that closes whatever there is, not a bridge for a part of it.
            if !stops.iter().any(|stop| stop.protects(position) && stop.close_position) {
                wrong.push(format!("{name}: no stop protects {position:?} at the end: {stops:?}"));
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
            if !positions.iter().any(|position| position.symbol.as_str() == stop.symbol) {
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
                let rests = stops.iter().any(|stop| stop.name == order.intent.client_order_id.as_str());
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
            desk.store.ledger_totals(name).await.unwrap().iter().map(|row| row.2.value()).sum();
        // To the last digit: the deposit is a transfer that the world tells among the income.
        if wallet != booked {
            wrong.push(format!("{name}: the wallet is {wallet}, the ledger {booked}"));
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
