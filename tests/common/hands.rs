//! An operator who presses keys in the middle of everything, and what must hold after each of them.

use std::sync::Mutex;
use std::time::Duration;

use chrono::TimeDelta;
use jarvis::domain::{ClientOrderId, Command, Direction, HaltLevel, HaltScope, OrderPurpose, Price, Symbol};
use jarvis::exchange::Toward;
use jarvis::store::Origin;
use rust_decimal::Decimal;

use super::{Bench, Desk};

/// From this long after a key on, no order leaves that it forbids.
const TAKES_HOLD_MS: i64 = 1_000;
/// From this long after a key that flattens on, nothing of it is held, while the exchange answers: a round each second,
/// of requests of which some fail, and the reading that proves it.
const FLATTENS_MS: i64 = 30_000;
/// A pause of a coin runs out by itself after this long, market time.
const PAUSE: TimeDelta = TimeDelta::minutes(1);

/// A halt from its key to the key that took it back, wall time.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    scope: HaltScope,
    level: HaltLevel,
    from_ms: i64,
    to_ms: Option<i64>,
}

/// What was pressed so far.
#[derive(Default)]
pub struct Hands {
    held: Mutex<Vec<Held>>,
    /// When this life of the desk began.
    lives_since_ms: Mutex<i64>,
}

impl Hands {
    /// Some keys at some moments of a cycle, or none.
    pub async fn press(&self, bench: &Bench, desk: &Desk, cycle: u64) {
        let roll = bench.faults.roll(&format!("hands {cycle}"));
        if !roll.is_multiple_of(3) {
            return;
        }
        for press in 0..=(roll / 3 % 3) {
            let roll = bench.faults.roll(&format!("press {cycle} {press}"));
            tokio::time::sleep(Duration::from_millis(roll % 2_500)).await;
            let account = usize::try_from(roll / 2_500).unwrap_or(0) % bench.names.len();
            let symbol =
                bench.symbols[usize::try_from(roll / 10_000).unwrap_or(0) % bench.symbols.len()].clone();
            let name = bench.names[account].clone();
            let id = cycle * 100 + press;
            let command = match roll / 100_000 % 12 {
                0 => self.halt(bench, HaltScope::Coin(symbol), HaltLevel::NoEntries),
                1 => self.halt(bench, HaltScope::Account(name), HaltLevel::Frozen),
                2 => self.halt(bench, HaltScope::Desk, HaltLevel::NoEntries),
                3 => self.halt(bench, HaltScope::Account(name), HaltLevel::Flattened),
                4 => Command::RunCycle,
                5 => Command::NoteToModel { text: format!("note {id}") },
                6 => Command::AcknowledgeAlarms { up_to: u64::MAX },
                7 | 8 => close_what_is_held(bench, account, symbol).await,
                9 => {
                    let points = Decimal::from(roll / 7 % 29) - Decimal::from(14);
                    bench.shock(&symbol, points / Decimal::ONE_HUNDRED).await;
                    continue;
                }
                _ => match nearer_stop(bench, account, &symbol).await {
                    Some((direction, trigger)) => {
                        Command::MoveStop { account: name, symbol, direction, trigger }
                    }
                    None => close_what_is_held(bench, account, symbol).await,
                },
            };
            desk.command(id, command).await;
        }
    }

    fn halt(&self, bench: &Bench, scope: HaltScope, level: HaltLevel) -> Command {
        let from_ms = bench.clock.now_ms();
        self.held.lock().unwrap().push(Held { scope: scope.clone(), level, from_ms, to_ms: None });
        let until = matches!(scope, HaltScope::Coin(_)).then(|| bench.world.clock().now() + PAUSE);
        Command::Halt { scope, level, until, reason: "a key".to_owned() }
    }

    /// A desk that was opened begins to do what was asked of the one before.
    pub fn desk_lives(&self, at_ms: i64) {
        *self.lives_since_ms.lock().unwrap() = at_ms;
    }

    /// Between two cycles some of what stands still is let go again; a pause runs out in the time that passes there.
    pub async fn let_go(&self, bench: &Bench, desk: &Desk, cycle: u64, all: bool) {
        let now = bench.clock.now_ms();
        let standing: Vec<Held> =
            self.held.lock().unwrap().iter().filter(|held| held.to_ms.is_none()).cloned().collect();
        for held in standing {
            if held.level == HaltLevel::Flattened {
                self.check_flat(bench, &held).await;
            }
            let is_let_go =
                all || bench.faults.roll(&format!("let go {cycle} {}", held.scope)).is_multiple_of(2);
            if is_let_go {
                desk.command(cycle * 100 + 50, Command::Resume { scope: held.scope.clone() }).await;
            }
            for entry in self.held.lock().unwrap().iter_mut().filter(|entry| entry.scope == held.scope) {
                if is_let_go || matches!(entry.scope, HaltScope::Coin(_)) {
                    entry.to_ms.get_or_insert(now);
                }
            }
        }
    }

    /// A key in the desk's last moment may have met nobody.
    pub fn desk_died(&self, at_ms: i64) {
        self.held.lock().unwrap().retain(|held| held.from_ms + TAKES_HOLD_MS < at_ms || held.to_ms.is_some());
    }

    /// What was flattened long enough ago holds nothing. Strangers trade only after this look, and a cycle of the desk's
    /// is long enough to close what they opened before the next.
    async fn check_flat(&self, bench: &Bench, held: &Held) {
        let now = bench.clock.now_ms();
        let from = held.from_ms.max(*self.lives_since_ms.lock().unwrap());
        if now - from - bench.faults.down_within(from, now) <= FLATTENS_MS {
            return;
        }
        for (account, name) in bench.names.iter().enumerate() {
            for position in bench.truth(account).positions().await.unwrap() {
                if held.scope.covers(name, &position.symbol) {
                    bench.faults.blame(format!("{name} {} stands at {now} under {held:?}", position.symbol));
                }
            }
        }
    }

    /// No opening left under a halt, and from a freeze on no close of the model's.
    pub async fn check(&self, bench: &Bench, desk: &Desk) -> Vec<String> {
        let held = self.held.lock().unwrap().clone();
        let mut wrong = Vec::new();
        for entry in bench.faults.log().iter().filter(|entry| entry.call.is("POST", "/v1/order")) {
            let least = if entry.call.is_opening() {
                HaltLevel::NoEntries
            } else if is_a_models_close(desk, &entry.call.id).await {
                HaltLevel::Frozen
            } else {
                // What an operator asked for, or what protects.
                continue;
            };
            let name = &bench.names[entry.call.account];
            let symbol = super::symbol(&entry.call.symbol);
            let forbids = |held: &&Held| {
                held.level >= least
                    && held.scope.covers(name, &symbol)
                    && entry.at_ms > held.from_ms + TAKES_HOLD_MS
                    && held.to_ms.is_none_or(|to| entry.at_ms < to)
            };
            if let Some(halt) = held.iter().find(forbids) {
                wrong.push(format!("an order left at {} under {halt:?}: {:?}", entry.at_ms, entry.call));
            }
        }
        wrong
    }

    /// How many halts were pressed.
    pub fn halts(&self) -> usize {
        self.held.lock().unwrap().len()
    }
}

/// Whether a cycle wanted a close, and not the protection of what it opened.
async fn is_a_models_close(desk: &Desk, id: &str) -> bool {
    let Ok(id) = ClientOrderId::new(id) else { return false };
    let Some(order) = desk.store.order(&id).await.unwrap() else { return false };
    order.intent.purpose == OrderPurpose::Close && matches!(order.intent.origin, Origin::Decision { .. })
}

/// What an operator would send who looks at the account now; without a position, for one that he only believes in.
async fn close_what_is_held(bench: &Bench, account: usize, symbol: Symbol) -> Command {
    let positions = bench.truth(account).positions().await.unwrap();
    let held = positions.iter().find(|held| held.symbol == symbol);
    let direction = held.map_or(Direction::Long, |held| held.direction);
    Command::ClosePosition { account: bench.names[account].clone(), symbol, direction }
}

/// A price one tenth nearer to the entry than the stop an account's terms ask for, and the way the position points.
async fn nearer_stop(bench: &Bench, account: usize, symbol: &Symbol) -> Option<(Direction, Price)> {
    let positions = bench.truth(account).positions().await.unwrap();
    let held = positions.iter().find(|held| held.symbol == *symbol)?;
    let share = if held.direction == Direction::Long { Decimal::new(91, 2) } else { Decimal::new(109, 2) };
    let rules = bench.truth(account).exchange_info().await.unwrap();
    let wanted = Price::new(held.entry.value() * share).ok()?;
    Some((held.direction, rules.get(symbol)?.round_price(wanted, Toward::Higher).ok()?))
}
