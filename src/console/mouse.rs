//! What the mouse does where it is asked for: the wheel scrolls, a click chooses, dragging marks text that is copied.

use ratatui::layout::{Position, Rect};

use super::marked::Marked;
use super::state::State;
use super::update::{Effect, Step, move_by};
use super::{asking, layout, screens, view};

/// Lines a notch of the wheel moves.
const NOTCH: isize = 3;

/// The wheel turned; true is down.
pub fn wheel(state: &mut State, down: bool) -> Vec<Effect> {
    if state.overlay.is_some() || asking::types_prompt(state) {
        return Vec::new();
    }
    move_by(state, Step::Lines(if down { NOTCH } else { -NOTCH }))
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

/// A press of the mouse: a name in the bar, or a panel.
fn click(state: &mut State, column: u16, row: u16) -> Vec<Effect> {
    let screen = Rect::new(0, 0, state.size.0, state.size.1);
    let Some(areas) = layout::areas(screen, state).filter(|_| state.overlay.is_none()) else {
        return Vec::new();
    };
    if let Some(named) = view::bar::screen_at(areas.bar, column, row) {
        return screens::enter(state, named);
    }
    let place = Position::new(column, row);
    let hit = areas.panels.iter().find(|(_, area)| area.contains(place)).map(|(panel, _)| *panel);
    if let Some(panel) = hit {
        state.focus = panel;
    }
    Vec::new()
}
