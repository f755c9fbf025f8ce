//! What was begun is not lost, and what is shown is the same everywhere.

use std::time::Duration;

use jarvis::console::state::{Overlay, Question};
use jarvis::console::update::{Effect, Msg};
use jarvis::console::view;
use jarvis::domain::{
    Command, CycleId, Event, Feed, HaltLevel, HaltOrigin, HaltScope, Query, Severity, Trigger,
};
use ratatui::crossterm::event::KeyCode;

use crate::fixture::{Desk, SIZES, alarm, busy, filled, finished, live, screen, status, time};
use crate::pages::{answer, guarded, page, walk};

fn asks_to_leave(desk: &mut Desk) -> bool {
    let effects = desk.press(KeyCode::Char('q'));
    assert_eq!(effects.is_empty(), desk.state.overlay.is_some());
    matches!(&desk.state.overlay, Some(Overlay::Confirm(confirm)) if matches!(confirm.question, Question::Quit { .. }))
}

#[test]
fn leaving_asks_while_a_draft_is_not_in_use_and_a_no_keeps_it() {
    let mut desk = Desk::new(busy());
    walk(&mut desk, "6eHello ⎋");
    for size in SIZES {
        assert!(asks_to_leave(&mut desk));
        let shown = screen(&desk, size);
        assert!(shown.contains("The draft of system.en.jinja is not in use"), "{shown}");
        walk(&mut desk, "n");
        assert_eq!(status(&desk), "left as it was");
        assert!(desk.state.prompt.draft.as_ref().unwrap().text().starts_with("Hello "));
    }
    assert!(asks_to_leave(&mut desk));
    assert_eq!(desk.press(KeyCode::Char('y')), [Effect::Quit]);
    walk(&mut desk, "⎋e");
    for _ in "Hello ".chars() {
        desk.press(KeyCode::Backspace);
    }
    walk(&mut desk, "⎋");
    assert!(!asks_to_leave(&mut desk), "what is in force already is no draft");
}

#[test]
fn a_note_that_was_begun_is_there_again_and_leaving_asks_for_it() {
    let mut desk = Desk::new(busy());
    walk(&mut desk, "nCalm⎋");
    assert_eq!(status(&desk), "the note was not sent; n goes on with it");
    assert!(asks_to_leave(&mut desk));
    assert!(screen(&desk, (60, 20)).contains("The note to the model was not sent, and is lost."));
    walk(&mut desk, "⎋");
    let sent = walk(&mut desk, "n today?\n");
    assert_eq!(sent, [Command::NoteToModel { text: "Calm today?".into() }]);
    assert!(!asks_to_leave(&mut desk));
    let mut desk = Desk::new(guarded());
    walk(&mut desk, "n⎋");
    assert!(!asks_to_leave(&mut desk), "a note that waits already is kept by the desk");
}

#[test]
fn with_real_money_the_question_names_the_desk_and_what_would_be_lost() {
    let mut desk = live(Desk::new(busy()));
    walk(&mut desk, "nCalm⎋");
    assert!(asks_to_leave(&mut desk));
    let shown = screen(&desk, (80, 24));
    assert!(shown.contains("This ends the live desk") && shown.contains("was not sent"), "{shown}");
}

/// A fill is told before its money is booked, and the account after it.
#[test]
fn money_is_asked_for_again_until_a_fill_is_booked() {
    let mut desk = Desk::new(busy());
    walk(&mut desk, "4");
    let account = || Event::Account { state: busy().accounts[0].clone() };
    desk.tell(account());
    assert_eq!(desk.state.money.page.waiting, None, "nothing was filled");
    desk.tell(filled());
    let id = desk.state.money.page.waiting.expect("a fill asks");
    desk.tell(account());
    let (from, to) = desk.state.money.period.span(time("2026-03-02T12:05:00Z"));
    let page = Ok(Box::new(page(&Query::Money { from, to })));
    let effects = desk.apply(Msg::Feed(Box::new(Feed::Page { id, page })));
    assert!(matches!(effects[..], [Effect::Ask(_, Query::Money { .. })]), "the account came meanwhile");
    answer(&mut desk, effects);
    assert!(!desk.state.money.page.stale);
    desk.apply(Msg::Clock(Duration::from_mins(1)));
    desk.tell(account());
    assert_eq!(desk.state.money.page.waiting, None, "that fill is long booked");
}

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

#[test]
fn the_palette_opens_the_prompt_and_does_what_was_asked_there() {
    let mut desk = Desk::new(busy());
    assert!(!screen_of(&mut desk, ":revert-pr").contains("not now"));
    walk(&mut desk, "\n");
    let Some(Overlay::Confirm(confirm)) = &desk.state.overlay else { panic!("a question") };
    assert!(matches!(confirm.question, Question::RevertPrompt(_)));
    walk(&mut desk, "⎋1:edit-prompt\nHi");
    assert!(desk.state.prompt.draft.as_ref().unwrap().text().starts_with("Hi"));
    let mut desk = Desk::new(busy());
    walk(&mut desk, ":apply-prompt\n");
    assert_eq!(status(&desk), "there is no draft; edit the text first");
    // Another key before the answer, and it is not done any more.
    let mut desk = Desk::new(busy());
    walk(&mut desk, ":edit-prompt");
    let effects = desk.press(KeyCode::Enter);
    desk.press(KeyCode::Char('1'));
    answer(&mut desk, effects);
    assert!(desk.state.prompt.draft.is_none());
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
fn a_halt_that_is_taken_back_promises_nothing_another_one_forbids() {
    let mut snapshot = guarded();
    snapshot.halts.push(jarvis::domain::Halt {
        scope: HaltScope::Desk,
        level: HaltLevel::NoEntries,
        origin: HaltOrigin::Operator,
        ..snapshot.halts[0].clone()
    });
    let mut desk = Desk::new(snapshot);
    // The third account is halted, and so is the desk.
    let shown = screen_of(&mut desk, "5↓↓↓r");
    assert!(shown.contains("Nothing is opened there all the same: the whole desk is"), "{shown}");
    let shown = screen_of(&mut desk, "⎋gr");
    assert!(shown.contains("may open positions there again"), "{shown}");
    walk(&mut desk, "⎋");
    desk.tell(Event::Resumed { scope: HaltScope::Desk, reason: "by an operator".into() });
    let told = &desk.state.log.back().unwrap().text;
    assert_eq!(told, "the halt of the whole desk has ended: by an operator");
}

#[test]
fn nothing_that_only_sends_orders_is_offered_in_a_dry_run() {
    let mut snapshot = busy();
    let offered = |snapshot: &jarvis::domain::Snapshot| {
        let mut desk = Desk::new(snapshot.clone());
        let shown = screen_of(&mut desk, "5");
        (shown.contains("X close everything"), shown.lines().last().unwrap().contains(" X flatten"))
    };
    assert_eq!(offered(&snapshot), (true, true));
    snapshot.dry_run = true;
    assert_eq!(offered(&snapshot), (false, false));
}

#[test]
fn times_the_desk_wrote_are_shown_in_the_zone_of_the_operator() {
    let mut desk = Desk::new(busy());
    desk.state.zone = chrono::FixedOffset::east_opt(3 * 3600).unwrap();
    desk.tell(alarm(Severity::Warning, "mirat is halted until 2026-03-02 22:30:00Z"));
    let shown = screen(&desk, (120, 40));
    assert!(shown.contains("mirat is halted until 03 Mar 01:30"), "{shown}");
    assert_eq!(desk.state.log.back().unwrap().text, "mirat is halted until 03 Mar 01:30");
}

#[test]
fn the_first_cycle_of_a_store_is_not_called_a_manual_one() {
    let mut desk = Desk::new(busy());
    let mut started = |number| {
        let id = CycleId::new(busy().at, number);
        let seq = desk.state.desk.as_ref().unwrap().seq + 1;
        let event = Event::CycleStarted { trigger: Trigger::Manual };
        let envelope = jarvis::domain::Envelope { seq, at: busy().at, cycle: Some(id), event };
        desk.apply(Msg::Feed(Box::new(Feed::Event(envelope))));
        desk.state.log.back().unwrap().text.clone()
    };
    assert_eq!([started(1), started(2)], ["cycle started (first)", "cycle started (manual)"]);
}

#[test]
fn how_the_decisions_are_ordered_is_never_cut() {
    let mut desk = finished();
    for size in SIZES {
        for _ in 0..4 {
            walk(&mut desk, "o");
            let order = desk.state.table.order.title();
            let shown = screen(&desk, size);
            assert!(order == "by account" || shown.contains(order), "{order}\n{shown}");
        }
    }
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
