//! Limits against present values, and the halt ladder.

use super::super::layout;
use super::super::state::{Question, State};
use super::super::update::Step;
use super::super::view;
use crate::domain::{AccountState, Halt, HaltLevel, HaltScope, Position};

/// What the screen knows beside the desk's own readings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Guards {
    /// The selected rung: the desk, an account, a coin.
    pub selected: usize,
    /// Whether the keys move the readings and not the ladder.
    pub reading: bool,
    /// The first line of the readings in sight.
    pub top: usize,
}

/// Everything that can be halted: the desk, every account, every coin.
pub fn scopes(state: &State) -> Vec<HaltScope> {
    let Some(desk) = &state.desk else { return Vec::new() };
    let accounts = desk.accounts.iter().map(|account| HaltScope::Account(account.name.clone()));
    let coins = desk.facts.symbols.iter().map(|symbol| HaltScope::Coin(symbol.clone()));
    std::iter::once(HaltScope::Desk).chain(accounts).chain(coins).collect()
}

/// The selected scope.
pub fn selected(state: &State) -> Option<HaltScope> {
    let scopes = scopes(state);
    scopes.get(state.guards.selected.min(scopes.len().checked_sub(1)?)).cloned()
}

/// The halt in force over exactly this scope.
pub fn halt<'a>(state: &'a State, scope: &HaltScope) -> Option<&'a Halt> {
    state.desk.as_ref()?.halts.iter().find(|halt| &halt.scope == scope)
}

/// The positions a scope covers.
pub fn covered<'a>(state: &'a State, scope: &HaltScope) -> Vec<(&'a AccountState, &'a Position)> {
    let covers = |(account, held): &(&AccountState, &Position)| scope.covers(&account.name, &held.symbol);
    state.positions().into_iter().filter(covers).collect()
}

/// What halts flatten and is open still, with how many positions: the first order that may leave closes it.
pub fn to_be_closed(state: &State) -> Vec<(&HaltScope, usize)> {
    let halts = state.desk.iter().flat_map(|desk| &desk.halts);
    let flattened = halts.filter(|halt| halt.level == HaltLevel::Flattened);
    let open = flattened.map(|halt| (&halt.scope, covered(state, &halt.scope).len()));
    open.filter(|(_, count)| *count > 0).collect()
}

/// The question before a rung of the ladder is taken.
pub fn ask(state: &State, level: HaltLevel) -> Option<(Question, String)> {
    let scope = selected(state)?;
    let word = match (level, &scope) {
        (HaltLevel::NoEntries, _) => "halt".to_owned(),
        (HaltLevel::Frozen, _) => "freeze".to_owned(),
        (HaltLevel::Flattened, HaltScope::Account(account)) => account.to_string(),
        (HaltLevel::Flattened, HaltScope::Coin(symbol)) => symbol.to_string(),
        (HaltLevel::Flattened, HaltScope::Desk) => "FLATTEN ALL".to_owned(),
    };
    Some((Question::Halt { scope, level, until: None, reason: String::new() }, word))
}

/// Another rung, or other readings.
pub fn scroll(state: &mut State, step: Step) {
    if !state.guards.reading {
        state.guards.selected = step.from(state.guards.selected, scopes(state).len(), 5);
        return;
    }
    let [_, place] = view::guards::places(layout::body(state), state);
    let rows = usize::from(place.height.saturating_sub(2));
    let last = view::readings::count(state, place.width).saturating_sub(rows);
    state.guards.top = step.from(state.guards.top.min(last), last + 1, rows);
}
