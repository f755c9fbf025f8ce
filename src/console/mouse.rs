//! What the mouse does where it is asked for: the wheel scrolls, a click chooses, dragging marks text that is copied.

use ratatui::layout::{Position, Rect};

use super::keymap::Action;
use super::marked::Marked;
use super::screens::{Screen, cycles};
use super::state::{Panel, State};
use super::update::{Effect, Step, act, move_by};
use super::{asking, layout, view};

/// Lines a notch of the wheel moves.
const NOTCH: isize = 3;

/// The wheel turned over this column and row; true is down. What lies there moves, whatever has the focus.
pub fn wheel(state: &mut State, down: bool, column: u16, row: u16) -> Vec<Effect> {
    if state.overlay.is_some() || asking::types_prompt(state) {
        return Vec::new();
    }
    let step = Step::Lines(if down { NOTCH } else { -NOTCH });
    let focus = (state.focus, state.guards.reading, state.market.reading);
    match state.screen {
        Screen::Desk => state.focus = panel_at(state, column, row).map_or(focus.0, |(panel, _)| panel),
        Screen::Guards => state.guards.reading = is_readings(state, column, row),
        Screen::Market => state.market.reading = view::market::is_news(state, column, row),
        _ => {}
    }
    let effects = move_by(state, step);
    (state.focus, state.guards.reading, state.market.reading) = focus;
    effects
}

/// The panel of the desk at a place.
fn panel_at(state: &State, column: u16, row: u16) -> Option<(Panel, Rect)> {
    let screen = Rect::new(0, 0, state.size.0, state.size.1);
    let areas = layout::areas(screen, state)?;
    areas.panels.into_iter().find(|(_, area)| area.contains(Position::new(column, row)))
}

/// Whether a place belongs to the guards' readings beside the ladder.
fn is_readings(state: &State, column: u16, row: u16) -> bool {
    let [_, readings] = view::guards::places(layout::body(state), state);
    readings.contains(Position::new(column, row))
}

/// The button went down: a name in the bar or a panel is chosen, and text is marked from here on.
pub fn press(state: &mut State, column: u16, row: u16) -> Vec<Effect> {
    state.marked = Marked::begin(state, column, row);
    click(state, column, row)
}

/// The mouse moved with the button down.
pub fn drag(state: &mut State, column: u16, row: u16) {
    if let Some(marked) = &mut state.marked {
        marked.reach(column, row);
    }
}

/// The button was let go: what is marked is copied and stays marked until the next key.
pub fn release(state: &State) -> Vec<Effect> {
    let marked = state.marked.as_ref().filter(|marked| marked.is_wide());
    marked.map(|marked| Effect::CopyMarked(marked.clone())).into_iter().collect()
}

/// A press of the mouse: a name in the bar, a panel, a row.
fn click(state: &mut State, column: u16, row: u16) -> Vec<Effect> {
    let screen = Rect::new(0, 0, state.size.0, state.size.1);
    let Some(areas) = layout::areas(screen, state).filter(|_| state.overlay.is_none()) else {
        return Vec::new();
    };
    if let Some(named) = view::bar::screen_at(areas.bar, state, column, row) {
        return act(state, Action::Show(named));
    }
    choose(state, column, row);
    Vec::new()
}

/// Chooses what stands at a place: a panel, and in a list the row.
fn choose(state: &mut State, column: u16, row: u16) {
    match state.screen {
        Screen::Desk => {
            let Some((panel, area)) = panel_at(state, column, row) else { return };
            state.focus = panel;
            match panel {
                Panel::Accounts => {
                    if let Some(place) = view::accounts::position_at(state, area, row) {
                        state.select_position(place);
                    }
                }
                Panel::Decisions => {
                    state.decision = view::decisions::row_at(state, area, row).unwrap_or(state.decision);
                }
                Panel::Tools => state.call = view::tools::call_at(state, area, row).or(state.call),
                Panel::Analysis => {}
            }
        }
        Screen::Market if state.market.chart.is_none() => {
            state.market.reading = view::market::is_news(state, column, row);
            if let Some(place) = view::market::coin_at(state, row).filter(|_| !state.market.reading) {
                state.market.selected = place;
            }
        }
        Screen::Cycles if state.cycles.open.is_none() => {
            if let Some(place) = view::cycles::row_at(state, row) {
                let id = cycles::shown(state).get(place).map(|line| line.id.clone());
                state.cycles.selected = (place, id);
            }
        }
        Screen::Guards => {
            state.guards.reading = is_readings(state, column, row);
            if let Some(place) = view::guards::rung_at(state, row).filter(|_| !state.guards.reading) {
                state.guards.selected = place;
            }
        }
        _ => {}
    }
}
