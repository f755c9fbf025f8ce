//! Movements: of the selection, of the lines in sight, of the focus.

use ratatui::layout::Rect;

use super::layout::{self, Areas};
use super::screens::{self, Screen};
use super::state::{Panel, State};
use super::update::Effect;
use super::{prose, view};

/// Moves within what is in sight.
pub(super) fn move_by(state: &mut State, step: Step) -> Vec<Effect> {
    if state.screen == Screen::Desk {
        scroll(state, step);
        return Vec::new();
    }
    screens::scroll(state, step)
}

pub(super) fn move_focus(state: &mut State, by: usize) {
    let here = Panel::ALL.iter().position(|panel| *panel == state.focus).unwrap_or(0);
    let next = Panel::ALL.get((here + by) % Panel::ALL.len()).copied().unwrap_or(Panel::Accounts);
    state.focus = next;
    if next != Panel::Accounts {
        state.main = next;
    }
    if matches!(next, Panel::Analysis | Panel::Tools) {
        state.side = next;
    }
}

/// A movement within a panel.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "each name is its meaning")]
pub enum Step {
    Lines(isize),
    Pages(isize),
    First,
    Last,
}

impl Step {
    /// Where a movement from `at` leads in a list of `count` with `page` rows visible.
    pub fn from(self, at: usize, count: usize, page: usize) -> usize {
        let page = isize::try_from(page.max(1)).unwrap_or(1);
        let last = count.saturating_sub(1);
        match self {
            Self::Lines(by) => at.saturating_add_signed(by).min(last),
            Self::Pages(by) => at.saturating_add_signed(by * page).min(last),
            Self::First => 0,
            Self::Last => last,
        }
    }
}

fn scroll(state: &mut State, step: Step) {
    let screen = Rect::new(0, 0, state.size.0, state.size.1);
    let Some(place) = layout::areas(screen, state).and_then(|areas: Areas| areas.of(state.focus)) else {
        return;
    };
    let rows = view::capacity(state.focus, place, state);
    match state.focus {
        Panel::Accounts => {
            let here = state.selected_position().map_or(0, |(index, ..)| index);
            let count = state.positions().len();
            state.select_position(step.from(here, count, rows));
        }
        Panel::Decisions => {
            let count = state.decision_rows().len();
            state.decision = step.from(state.decision.min(count.saturating_sub(1)), count, rows);
        }
        Panel::Analysis => {
            let width = view::analysis::text_width(place);
            let cycle = state.desk.as_ref().and_then(|desk| desk.cycle.as_ref());
            let lines = cycle
                .map_or(0, |cycle| prose::lines(cycle, width).len() + prose::thinking(cycle, width).len());
            state.analysis_top = new_top(state.analysis_top, step, lines, rows);
        }
        Panel::Tools => {
            let calls = state.cycle().map_or(0, |cycle| cycle.tool_calls.len());
            let last = calls.saturating_sub(1);
            let moved = step.from(state.call.unwrap_or(last).min(last), calls, rows);
            state.call = (moved < last).then_some(moved);
        }
    }
}

/// The first line shown after a movement; `None` when the end is in sight and followed again.
pub(super) fn new_top(top: Option<usize>, step: Step, lines: usize, rows: usize) -> Option<usize> {
    let end = lines.saturating_sub(rows);
    let moved = step.from(top.unwrap_or(end).min(end), end + 1, rows);
    (moved < end).then_some(moved)
}
