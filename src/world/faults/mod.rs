//! Bad weather on demand: rules that delay, lose, cut, refuse and confuse what passes between the world and its clients.
//!
//! Everything random is drawn from a seed and the place of a rule and of a match, so the same rules and the same
//! requests give the same injections. What was done is logged.

mod answers;
pub(super) mod carry;
mod farewell;
pub(super) mod layer;
mod rule;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::DateTime;
use serde::Serialize;
use serde_json::{Value, json};

pub use self::farewell::Farewell;
pub use self::rule::{Class, Effect, Match, Rule, Schedule, Stretch};
use crate::domain::{AccountName, Side, Symbol};
use crate::world::market::rng::{hash_at, unit_at};

/// How many injections the log keeps.
const LOG: usize = 10_000;
/// How many rules may be armed at once.
const MOST_RULES: usize = 1_000;

/// Why a rule cannot be armed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FaultError(pub(super) String);

/// What passes by: a request or an event.
#[derive(Debug, Clone, Default)]
pub(crate) struct Passing<'a> {
    /// Families it belongs to.
    pub classes: Vec<Class>,
    pub method: &'a str,
    pub path: &'a str,
    pub account: Option<&'a AccountName>,
    pub symbol: Option<&'a str>,
    pub side: Option<Side>,
    pub reduce_only: bool,
    pub client_id: Option<String>,
}

/// What a rule does to what passes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Struck {
    /// Its line in the log.
    pub number: u64,
    pub effect: Effect,
    /// A draw of its own, 0 to 1.
    pub draw: f64,
    /// Whose, when it is nobody's request.
    pub account: Option<AccountName>,
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Injection {
    /// Counts from 1.
    pub number: u64,
    /// Wall time, RFC 3339.
    pub time: String,
    /// The rule's number.
    pub rule: u64,
    /// The rule's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Method and path, an event's name, or `time`.
    pub request: String,
    /// Whose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountName>,
    /// Contract.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
    /// The client's name of the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// What was done.
    pub effect: Effect,
    /// The status of the true answer behind it, when the request was carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered: Option<u16>,
}

/// A rule at work.
#[derive(Debug)]
struct Armed {
    id: u64,
    rule: Rule,
    /// From which its draws come.
    seed: u64,
    since_ms: i64,
    /// How much fitted.
    seen: u64,
    /// How often it struck.
    struck: u64,
    /// Stretches of a script that a timed effect has had.
    stretches_done: usize,
}

#[derive(Debug)]
struct State {
    seed: u64,
    rules: Vec<Armed>,
    /// Rules armed since the seed was set: their draws differ by it.
    armed_since: i64,
    next_rule: u64,
    log: VecDeque<Injection>,
    logged: u64,
    banned_until_ms: i64,
}

/// The rules of a world, shared by everything that serves it.
#[derive(Debug)]
pub struct Faults {
    state: Mutex<State>,
    /// Whether there is nothing to do at all, so that fair weather costs nothing.
    idle: AtomicBool,
}

impl Faults {
    /// Fair weather; draws will come from `seed`.
    pub fn new(seed: u64) -> Self {
        let state = State {
            seed,
            rules: Vec::new(),
            armed_since: 0,
            next_rule: 1,
            log: VecDeque::new(),
            logged: 0,
            banned_until_ms: i64::MIN,
        };
        Self { state: Mutex::new(state), idle: AtomicBool::new(true) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether no rule is armed and no ban runs.
    pub(crate) fn is_idle(&self) -> bool {
        self.idle.load(Ordering::Acquire)
    }

    /// Checks rules and arms all of them or none; returns their numbers. `wall_ms` is when their scripts begin.
    pub(super) fn arm(
        &self,
        seed: Option<u64>,
        rules: Vec<Rule>,
        wall_ms: i64,
    ) -> Result<Vec<u64>, FaultError> {
        for rule in &rules {
            rule.check().map_err(FaultError)?;
        }
        let mut state = self.state();
        if state.rules.len() + rules.len() > MOST_RULES {
            return Err(FaultError(format!(
                "{MOST_RULES} rules may be armed at once; DELETE /world/faults clears them"
            )));
        }
        if let Some(seed) = seed {
            (state.seed, state.armed_since) = (seed, 0);
        }
        let numbers = rules
            .into_iter()
            .map(|rule| {
                let id = state.next_rule;
                state.next_rule += 1;
                let seed = hash_at(state.seed, state.armed_since);
                state.armed_since += 1;
                let armed =
                    Armed { id, rule, seed, since_ms: wall_ms, seen: 0, struck: 0, stretches_done: 0 };
                state.rules.push(armed);
                id
            })
            .collect();
        self.idle.store(false, Ordering::Release);
        Ok(numbers)
    }

    /// Takes one rule back; false when there is none of this number.
    pub fn disarm(&self, id: u64) -> bool {
        let mut state = self.state();
        let before = state.rules.len();
        state.rules.retain(|armed| armed.id != id);
        state.rules.len() != before
    }

    /// The numbers of the rules that are armed.
    pub fn armed(&self) -> Vec<u64> {
        self.state().rules.iter().map(|armed| armed.id).collect()
    }

    /// Fair weather again: no rule, no ban, draws from the beginning. The log stays.
    pub fn clear(&self) {
        let mut state = self.state();
        state.rules.clear();
        state.armed_since = 0;
        state.banned_until_ms = i64::MIN;
        self.idle.store(true, Ordering::Release);
    }

    /// Forgets the log too.
    pub(super) fn forget(&self) {
        self.clear();
        let mut state = self.state();
        state.log.clear();
        state.logged = 0;
        state.next_rule = 1;
    }

    /// What was done, oldest first; the log keeps the last ten thousand.
    pub fn injected(&self) -> Vec<Injection> {
        self.state().log.iter().cloned().collect()
    }

    /// What is armed and what was done after line `since`, as `GET /world/faults` tells it.
    pub(super) fn told(&self, since: u64) -> Value {
        let state = self.state();
        let armed: Vec<Value> = state
            .rules
            .iter()
            .map(|armed| {
                json!({
                    "rule": armed.id, "name": armed.rule.name, "match": armed.rule.wanted,
                    "effect": armed.rule.effect, "schedule": armed.rule.schedule, "seen": armed.seen,
                    "struck": armed.struck,
                })
            })
            .collect();
        let injected: Vec<&Injection> = state.log.iter().filter(|line| line.number > since).collect();
        json!({"seed": state.seed, "armed": armed, "injected": injected, "injected_in_all": state.logged})
    }

    /// Lets a request or an event pass by every rule and says which of them strike, in the order they were armed.
    pub(crate) fn strike(&self, passing: &Passing<'_>, wall_ms: i64) -> Vec<Struck> {
        let mut state = self.state();
        let state = &mut *state;
        let mut struck = Vec::new();
        for armed in state.rules.iter_mut().filter(|armed| !armed.rule.is_timed()) {
            if !fits(&armed.rule, passing) {
                continue;
            }
            armed.seen += 1;
            if armed.strikes(wall_ms) {
                armed.struck += 1;
                let request = if passing.method.is_empty() {
                    passing.path.to_owned()
                } else {
                    format!("{} {}", passing.method, passing.path)
                };
                struck.push(log(
                    &mut state.log,
                    &mut state.logged,
                    armed,
                    wall_ms,
                    request,
                    (passing.account.cloned(), passing.symbol.map(str::to_owned), passing.client_id.clone()),
                ));
            }
        }
        struck
    }

    /// What is due by time alone.
    pub(super) fn due(&self, wall_ms: i64) -> Vec<Struck> {
        let mut state = self.state();
        let state = &mut *state;
        let mut struck = Vec::new();
        for armed in state.rules.iter_mut().filter(|armed| armed.rule.is_timed()) {
            if armed.is_due(wall_ms) {
                armed.struck += 1;
                let whose = (
                    armed.rule.wanted.account.clone(),
                    armed.rule.wanted.symbol.as_ref().map(ToString::to_string),
                    None,
                );
                struck.push(log(&mut state.log, &mut state.logged, armed, wall_ms, "time".to_owned(), whose));
            }
        }
        struck
    }

    /// Writes the true answer's status into a line of the log.
    fn note_answer(&self, number: u64, status: u16) {
        let mut state = self.state();
        if let Some(line) = state.log.iter_mut().rev().find(|line| line.number == number) {
            line.answered = Some(status);
        }
    }

    fn ban(&self, until_ms: i64) {
        let mut state = self.state();
        state.banned_until_ms = state.banned_until_ms.max(until_ms);
    }

    /// Until when exchange requests are refused, wall time, ms.
    fn banned_until(&self, wall_ms: i64) -> Option<i64> {
        Some(self.state().banned_until_ms).filter(|until| *until > wall_ms)
    }
}

/// What the rule wants, what kind of effect it has, and who passes.
fn fits(rule: &Rule, passing: &Passing<'_>) -> bool {
    let wanted = &rule.wanted;
    let of_streams = passing.classes.contains(&Class::Stream);
    let family = match (&wanted.class, &rule.effect) {
        (Some(class), _) => passing.classes.contains(class),
        (None, Effect::Analyst { .. }) => passing.classes.contains(&Class::Messages),
        (None, Effect::StopRejected { .. } | Effect::StopVanished { .. }) => {
            passing.classes.contains(&Class::Algo)
        }
        (None, effect) if effect.is_for_streams() => of_streams,
        (None, _) => wanted.path.is_some() || passing.classes.contains(&Class::Exchange),
    };
    let effect_allows = match &rule.effect {
        Effect::StopRejected { .. } | Effect::StopVanished { .. } => {
            passing.method == "POST" && passing.path.ends_with("/algoOrder")
        }
        Effect::SocketLife { .. } => passing.method == "GET" && is_socket(passing.path),
        Effect::PartialFill { .. } => passing.method == "POST" && passing.path.ends_with("/order"),
        // Closing and cancelling go through under load.
        Effect::Throttled503 {} => !passing.reduce_only && passing.method != "DELETE",
        _ => true,
    };
    family
        && effect_allows
        && of_streams == rule.effect.is_for_streams()
        && wanted.method.as_ref().is_none_or(|method| method.eq_ignore_ascii_case(passing.method))
        && wanted.path.as_ref().is_none_or(|path| passing.path.ends_with(path.as_str()))
        && wanted.account.as_ref().is_none_or(|account| passing.account == Some(account))
        && wanted.symbol.as_ref().map(Symbol::as_str).is_none_or(|symbol| passing.symbol == Some(symbol))
        && wanted.reduce_only.is_none_or(|reduce_only| passing.reduce_only == reduce_only)
        && wanted.side.is_none_or(|side| passing.side == Some(side))
}

/// Whether a path opens a websocket.
fn is_socket(path: &str) -> bool {
    path.trim_matches('/').split('/').take(2).any(|part| matches!(part, "ws" | "stream"))
}

impl Armed {
    /// The draw of the match just seen; `lane` keeps chance and size apart.
    fn draw(&self, lane: i64) -> f64 {
        unit_at(self.seed, i64::try_from(self.seen).unwrap_or(i64::MAX).wrapping_mul(2).wrapping_add(lane))
    }

    /// Whether the match just counted is hit.
    fn strikes(&self, wall_ms: i64) -> bool {
        if self.rule.wanted.nth.is_some_and(|nth| nth != self.seen) {
            return false;
        }
        match &self.rule.schedule {
            Schedule::Always => true,
            Schedule::Once => self.struck == 0,
            Schedule::Count(count) => self.struck < *count,
            Schedule::Rate(rate) => self.draw(0) < *rate,
            Schedule::Script(stretches) => {
                let at = self.age_seconds(wall_ms);
                stretches
                    .iter()
                    .find(|stretch| (stretch.at_seconds..stretch.until_seconds).contains(&at))
                    .is_some_and(|stretch| stretch.rate.is_none_or(|rate| self.draw(0) < rate))
            }
        }
    }

    /// Whether an effect that waits for time alone happens now.
    fn is_due(&mut self, wall_ms: i64) -> bool {
        self.seen += 1;
        if let Schedule::Script(stretches) = &self.rule.schedule {
            let at = self.age_seconds(wall_ms);
            let begun = stretches.iter().filter(|stretch| stretch.at_seconds <= at).count();
            let due = begun > self.stretches_done;
            self.stretches_done = begun;
            return due;
        }
        self.strikes(wall_ms)
    }

    #[expect(clippy::cast_precision_loss, reason = "ages are far below 2^52 ms")]
    fn age_seconds(&self, wall_ms: i64) -> f64 {
        wall_ms.saturating_sub(self.since_ms) as f64 / 1000.0
    }
}

fn log(
    lines: &mut VecDeque<Injection>,
    logged: &mut u64,
    armed: &Armed,
    wall_ms: i64,
    request: String,
    (account, symbol, client_id): (Option<AccountName>, Option<String>, Option<String>),
) -> Struck {
    *logged += 1;
    let time = DateTime::from_timestamp_millis(wall_ms).unwrap_or_default();
    lines.push_back(Injection {
        number: *logged,
        time: time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        rule: armed.id,
        name: armed.rule.name.clone(),
        request,
        account: account.clone(),
        symbol,
        client_id,
        effect: armed.rule.effect.clone(),
        answered: None,
    });
    if lines.len() > LOG {
        lines.pop_front();
    }
    Struck { number: *logged, effect: armed.rule.effect.clone(), draw: armed.draw(1), account }
}
