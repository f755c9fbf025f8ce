//! Every screen at every size, as text.

use jarvis::console::state::State;
use jarvis::console::update::{Msg, update};
use jarvis::domain::Feed;
use ratatui::crossterm::event::KeyCode;

use crate::fixture::{Desk, SIZES, busy, draw, empty, finished, live, streaming, text, theme};
use crate::pages::{answer, guarded};

fn snapshot(name: &str, state: &State) {
    for size in SIZES {
        let screen = text(&draw(state, &theme(), size));
        insta::assert_snapshot!(format!("{name}_{}x{}", size.0, size.1), screen);
    }
}

#[test]
fn starting() {
    let mut state = State::starting();
    for step in ["opening the store", "making the world's history", "reading three accounts"] {
        update(&mut state, Msg::Feed(Box::new(Feed::Starting { step: step.into() })));
    }
    snapshot("starting", &state);
}

#[test]
fn before_the_first_cycle() {
    snapshot("empty", &Desk::new(empty()).state);
}

#[test]
fn while_the_analyst_writes() {
    snapshot("streaming", &streaming().state);
}

#[test]
fn after_a_cycle_with_every_kind_of_end() {
    snapshot("finished", &finished().state);
}

#[test]
fn after_a_cycle_with_the_decisions_in_focus() {
    let mut desk = finished();
    desk.press(KeyCode::Tab);
    desk.press(KeyCode::Down);
    desk.press(KeyCode::Down);
    snapshot("decisions", &desk.state);
}

#[test]
fn with_the_tool_calls_in_focus() {
    let mut desk = finished();
    desk.press(KeyCode::BackTab);
    snapshot("tools", &desk.state);
}

#[test]
fn asking_before_a_position_is_closed() {
    let mut desk = Desk::new(busy());
    desk.press(KeyCode::Down);
    desk.press(KeyCode::Char('x'));
    snapshot("close", &desk.state);
}

#[test]
fn asking_with_real_money() {
    let mut desk = live(finished());
    desk.press(KeyCode::Char('x'));
    for letter in "btcu".chars() {
        desk.press(KeyCode::Char(letter));
    }
    snapshot("close_live", &desk.state);
}

#[test]
fn help() {
    let mut desk = Desk::new(busy());
    desk.press(KeyCode::Char('?'));
    snapshot("help", &desk.state);
}

#[test]
fn every_other_screen() {
    for (name, keys) in [
        ("market", "2"),
        ("chart", "2\n"),
        ("cycles", "3"),
        ("cycle", "w"),
        ("money", "4"),
        ("prompt", "6→→"),
        ("log", "7"),
        ("palette", ":halt"),
        ("note", "nCalm today?"),
        ("stop", "s61000"),
    ] {
        let mut desk = Desk::new(busy());
        type_keys(&mut desk, keys);
        snapshot(name, &desk.state);
    }
}

#[test]
fn guards_and_the_halt_ladder() {
    let mut desk = Desk::new(guarded());
    type_keys(&mut desk, "5");
    snapshot("guards", &desk.state);
    type_keys(&mut desk, "X");
    snapshot("flatten", &desk.state);
}

fn type_keys(desk: &mut Desk, keys: &str) {
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '→' => KeyCode::Right,
            other => KeyCode::Char(other),
        };
        let effects = desk.press(code);
        answer(desk, effects);
    }
}

#[test]
fn too_small() {
    let mut desk = finished();
    for size in [(20, 5), (40, 10), (59, 30)] {
        let screen = text(&draw(&desk.state, &theme(), size));
        insta::assert_snapshot!(format!("too_small_{}x{}", size.0, size.1), screen);
    }
    desk = live(desk);
    desk.apply(Msg::Resize(20, 5));
    desk.press(KeyCode::Char('q'));
    insta::assert_snapshot!("too_small_question", text(&draw(&desk.state, &theme(), (20, 5))));
}
