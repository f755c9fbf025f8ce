//! History longer than one answer: older stretches are asked for where they are come near, and nothing is passed over.

use jarvis::console::update::{Effect, Msg};
use jarvis::domain::{
    CycleLine, CycleOutcomes, Envelope, Event, Feed, LogPage, Page, Query, QueryId, Severity, Trigger,
};
use ratatui::crossterm::event::KeyCode;

use crate::fixture::{Desk, alarm, busy, draw, text, theme, time};
use crate::pages::line;

const CYCLES: u64 = 1_200;
const EVENTS: i64 = 2_300;

fn cycles() -> Vec<CycleLine> {
    let at = |hours: u64| time("2026-03-02T11:05:00Z") - chrono::Duration::hours(hours.cast_signed());
    (0..CYCLES).map(|hours| line(at(hours), hours, CycleOutcomes::default())).collect()
}

/// Every fifth is too long for one row.
fn event(place: i64) -> (i64, Envelope) {
    let long =
        if place % 5 == 0 { " and what was done about it, in many words".repeat(4) } else { String::new() };
    let at = time("2026-03-01T00:00:00Z") + chrono::Duration::seconds(place);
    let event = alarm(Severity::Warning, &format!("event <{place}>{long}"));
    (place, Envelope { seq: place.cast_unsigned(), at, cycle: None, event })
}

fn page(query: &Query) -> Page {
    match query {
        Query::Cycles { before, limit } => {
            let all =
                cycles().into_iter().filter(|line| before.is_none_or(|before| line.started_at < before));
            Page::Cycles { lines: all.take(*limit as usize).collect() }
        }
        Query::Log { before, limit } => {
            let all = (1..=EVENTS).rev().filter(|place| before.is_none_or(|before| *place < before));
            Page::Log(LogPage { lines: all.take(*limit as usize).map(event).collect() })
        }
        other => panic!("nobody asked {other:?}"),
    }
}

/// Answers what was asked; returns the questions.
fn answer(desk: &mut Desk, effects: Vec<Effect>) -> Vec<Query> {
    let asked = effects.into_iter().filter_map(|effect| match effect {
        Effect::Ask(id, query) => Some((id, query)),
        _ => None,
    });
    let asked: Vec<(QueryId, Query)> = asked.collect();
    for (id, query) in &asked {
        let page = Ok(Box::new(page(query)));
        desk.apply(Msg::Feed(Box::new(Feed::Page { id: *id, page })));
    }
    asked.into_iter().map(|(_, query)| query).collect()
}

fn press(desk: &mut Desk, code: KeyCode) -> Vec<Query> {
    let effects = desk.press(code);
    answer(desk, effects)
}

fn on(screen: char, size: (u16, u16)) -> Desk {
    let mut desk = Desk::new(busy());
    desk.apply(Msg::Resize(size.0, size.1));
    press(&mut desk, KeyCode::Char(screen));
    desk
}

fn screen(desk: &Desk) -> String {
    text(&draw(&desk.state, &theme(), desk.state.size))
}

#[test]
fn the_end_of_the_cycles_leads_to_older_ones_until_there_are_none() {
    let mut desk = on('3', (120, 40));
    assert!(screen(&desk).contains("of 500 and older"), "{}", screen(&desk));
    assert_eq!(press(&mut desk, KeyCode::PageDown), [], "the end is far");
    let last = cycles()[499].started_at;
    assert_eq!(press(&mut desk, KeyCode::End), [Query::Cycles { before: Some(last), limit: 500 }]);
    press(&mut desk, KeyCode::End);
    assert!(screen(&desk).contains(&format!("of {CYCLES} ")), "{}", screen(&desk));
    press(&mut desk, KeyCode::End);
    assert_eq!(press(&mut desk, KeyCode::End), [], "everything is known");
    let oldest = cycles().last().unwrap().market_time.format("%d %b %H:%M").to_string();
    assert!(screen(&desk).contains(&oldest));
    // A cycle that begins asks for the newest again; the older ones stay.
    desk.tell(Event::CycleStarted { trigger: Trigger::Manual });
    press(&mut desk, KeyCode::Char('3'));
    assert_eq!(desk.state.cycles.list.page.as_ref().unwrap().len() as u64, CYCLES);
}

#[test]
fn an_older_stretch_is_asked_for_once_at_a_time_and_again_after_a_failure() {
    let mut desk = on('3', (80, 24));
    let first = desk.press(KeyCode::End);
    assert_eq!(first.len(), 1);
    assert_eq!(desk.press(KeyCode::End), [], "one is on its way");
    let Effect::Ask(id, _) = first[0] else { panic!("{first:?}") };
    desk.apply(Msg::Feed(Box::new(Feed::Page { id, page: Err("busy".into()) })));
    assert_eq!(desk.press(KeyCode::End).len(), 1);
}

#[test]
fn paging_through_the_log_shows_every_line() {
    for size in [(60, 20), (80, 24), (120, 40)] {
        let mut desk = on('7', size);
        // The last stretch that was read, from its first line to its last.
        for key in [KeyCode::Home; 8] {
            press(&mut desk, key);
        }
        assert!(screen(&desk).contains("event <1>"), "{}", screen(&desk));
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..EVENTS {
            for part in screen(&desk).split("event <").skip(1) {
                seen.insert(part.split('>').next().unwrap().parse::<i64>().unwrap());
            }
            if desk.state.events.top.is_none() {
                break;
            }
            press(&mut desk, KeyCode::PageDown);
        }
        assert_eq!(seen.len() as i64, EVENTS, "{size:?}");
    }
}

#[test]
fn older_lines_do_not_move_those_in_sight() {
    let mut desk = on('7', (120, 40));
    let effects = desk.press(KeyCode::Home);
    let before = screen(&desk);
    assert!(before.contains("event <1901>"), "{before}");
    answer(&mut desk, effects);
    let after = screen(&desk);
    let lines = |text: &str| -> Vec<String> {
        text.lines().filter(|line| line.contains("event <")).map(str::to_owned).collect()
    };
    assert_eq!(lines(&before), lines(&after));
    assert!(after.contains("of 800 and older"), "{after}");
}

#[test]
fn a_drag_marks_text_in_its_panel_and_letting_go_copies_it() {
    let mut desk = on('7', (120, 40));
    let inside = |desk: &mut Desk, msg| desk.apply(msg);
    assert_eq!(inside(&mut desk, Msg::Click(3, 10)), []);
    assert_eq!(inside(&mut desk, Msg::Release), [], "a click copies nothing");
    inside(&mut desk, Msg::Click(19, 10));
    inside(&mut desk, Msg::Drag(500, 11));
    let plain = draw(&on('7', (120, 40)).state, &theme(), (120, 40));
    let effects = inside(&mut desk, Msg::Release);
    let [Effect::CopyMarked(marked)] = effects.as_slice() else { panic!("{effects:?}") };
    let copied = marked.text(&plain);
    assert_eq!(copied.lines().count(), 2, "{copied}");
    assert!(copied.contains("event <") && !copied.contains('│'), "the frame is no text: {copied}");
    let turned = draw(&desk.state, &theme(), (120, 40));
    assert_ne!(turned[(30, 10)].modifier, plain[(30, 10)].modifier, "it shows");
    desk.press(KeyCode::Char('?'));
    assert_eq!(desk.state.marked, None, "the next key ends it");
}
