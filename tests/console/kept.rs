//! What was begun is not lost, and what is shown is the same everywhere.

use std::time::Duration;

use jarvis::console::state::{Overlay, Question};
use jarvis::console::update::{Effect, Msg};
use jarvis::console::view;
use jarvis::domain::{
    Command, CycleId, Event, Feed, HaltLevel, HaltOrigin, HaltScope, OrderPurpose, OrderState, Query,
    Severity, Side, Trigger,
};
use ratatui::crossterm::event::KeyCode;

use crate::fixture::{Desk, SIZES, account_name, alarm, busy, finished, live, screen, status, symbol, time};
use crate::pages::{answer, guarded, page, walk};

#[test]
fn a_tool_call_costs_the_same_on_every_screen() {
    let mut desk = finished();
    assert!(screen(&desk, (200, 60)).contains("≈$0.0081"));
    walk(&mut desk, "3\n");
    let shown = (0..8)
        .map(|_| {
            walk(&mut desk, "→");
            screen(&desk, (120, 40))
        })
        .find(|shown| shown.contains("/candles/SOLUSDT  200"))
        .expect("the part of the tool calls");
    assert!(shown.contains("5.4 KB, ≈2.7k tokens ≈$0.0081"), "{shown}");
}

#[test]
fn the_oldest_candles_fill_the_chart() {
    for size in [(60, 20), (80, 24), (120, 40)] {
        let mut desk = Desk::new(busy());
        desk.apply(Msg::Resize(size.0, size.1));
        walk(&mut desk, "2\n");
        desk.press(KeyCode::Home);
        let columns = view::chart::columns(&desk.state);
        let chart = desk.state.market.chart.as_ref().unwrap();
        assert_eq!(chart.back + columns, 121, "{size:?}");
        let shown = screen(&desk, size);
        // Every column of the plot has a candle.
        let rows: Vec<Vec<char>> = shown.lines().map(|line| line.chars().collect()).collect();
        let drawn = |column: usize| {
            rows.iter().any(|row| row.get(column).is_some_and(|cell| "┃│╽╿╷╵╻╹".contains(*cell)))
        };
        assert!((1..=columns).all(drawn), "{shown}");
        desk.press(KeyCode::End);
        assert_eq!(desk.state.market.chart.as_ref().unwrap().back, 0);
    }
}

fn screen_of(desk: &mut Desk, keys: &str) -> String {
    walk(desk, keys);
    screen(desk, (120, 40))
}

#[test]
fn a_stop_off_the_grid_is_said_while_its_price_is_typed() {
    let mut desk = Desk::new(busy());
    let shown = screen_of(&mut desk, "s64000.12");
    assert!(shown.contains("the exchange takes steps of 0.1: 64000.1 or 64000.2"), "{shown}");
    walk(&mut desk, "\n");
    assert!(matches!(&desk.state.overlay, Some(Overlay::Entry(_))), "it is not asked about");
    desk.press(KeyCode::Backspace);
    walk(&mut desk, "\n");
    assert!(matches!(&desk.state.overlay, Some(Overlay::Confirm(_))));
}

#[test]
fn the_price_of_a_stop_can_be_mended_in_its_middle() {
    let mut desk = Desk::new(busy());
    walk(&mut desk, "s6000");
    for code in [KeyCode::Left, KeyCode::Left, KeyCode::Left, KeyCode::Char('4')] {
        desk.press(code);
    }
    assert!(screen(&desk, (80, 24)).contains("> 64▏000"), "{}", screen(&desk, (80, 24)));
}

#[test]
fn every_digit_of_a_stop_is_shown_where_no_grid_is_known() {
    let mut desk = Desk::new(busy());
    walk(&mut desk, "s");
    desk.state.grid = jarvis::console::Asked::default();
    assert!(
        screen_of(&mut desk, "64000.123456\n").contains("64,000.123456"),
        "what is sent is what is shown"
    );
}
