//! What keys and events do.

use std::time::Duration;

use jarvis::console::keymap::Keymap;
use jarvis::console::screens::Screen;
use jarvis::console::state::{Overlay, Panel, Question};
use jarvis::console::update::{Effect, Msg};
use jarvis::domain::{Command, Direction, Event, OperatorCommand, Phase, Severity, ToldElsewhere, Trigger};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::fixture::{
    Desk, account_name, alarm, busy, draw, empty, finished, live, price, status, streaming, symbol, text,
    theme, time,
};

fn commands(effects: &[Effect]) -> Vec<&Command> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Send(OperatorCommand { command, .. }) => Some(command),
            _ => None,
        })
        .collect()
}

#[test]
fn f_asks_for_a_cycle_and_shows_the_answer() {
    let mut desk = Desk::new(empty());
    let effects = desk.press(KeyCode::Char('f'));
    assert_eq!(commands(&effects), [&Command::RunCycle]);
    desk.tell(Event::CommandAccepted {
        id: 1,
        detail: "the cycle starts".into(),
        elsewhere: ToldElsewhere::Nothing,
    });
    assert_eq!(status(&desk), "the cycle starts");
    assert!(desk.state.asked.is_empty());
}

#[test]
fn an_answer_to_somebody_else_does_not_pretend_to_be_ours() {
    let mut desk = Desk::new(empty());
    desk.press(KeyCode::Char('f'));
    desk.tell(Event::CommandRefused { id: 99, reason: "not you".into() });
    assert_eq!(status(&desk), "asked for a cycle …");
}

#[test]
fn f_while_a_cycle_runs_says_so_and_sends_nothing() {
    let mut desk = streaming();
    assert!(desk.press(KeyCode::Char('f')).is_empty());
    assert_eq!(status(&desk), "a cycle is running; wait for its end");
}

#[test]
fn x_without_a_position_says_why_it_does_nothing() {
    let mut desk = Desk::new(empty());
    assert!(desk.press(KeyCode::Char('x')).is_empty());
    assert_eq!(status(&desk), "no open position to close");
    assert_eq!(desk.state.overlay, None);
}

fn type_word(desk: &mut Desk, word: &str) {
    for letter in word.chars() {
        assert!(desk.press(KeyCode::Char(letter)).is_empty());
    }
}

#[test]
fn closing_takes_the_name_of_the_coin() {
    let mut desk = Desk::new(busy());
    desk.press(KeyCode::Down);
    assert!(desk.press(KeyCode::Char('x')).is_empty());
    type_word(&mut desk, "eth");
    let effects = desk.press(KeyCode::Enter);
    let close = Command::ClosePosition {
        account: account_name("mirat"),
        symbol: symbol("ETH"),
        direction: Direction::Short,
    };
    assert_eq!(commands(&effects), [&close]);
    desk.press(KeyCode::Char('1'));
    assert_eq!(desk.state.overlay, None);
}

#[test]
fn everything_but_the_word_is_no() {
    for keys in ["", "y", "btx", "eth"] {
        let mut desk = Desk::new(busy());
        desk.press(KeyCode::Char('x'));
        type_word(&mut desk, keys);
        assert!(desk.press(KeyCode::Enter).is_empty(), "{keys:?}");
        if !keys.is_empty() {
            // Another word keeps the question, so that what is typed next is no command.
            assert!(desk.state.overlay.is_some(), "{keys:?}");
            assert!(desk.press(KeyCode::Enter).is_empty(), "{keys:?}");
        }
        assert_eq!((status(&desk), &desk.state.overlay), ("left as it was", &None), "{keys:?}");
    }
    let mut desk = Desk::new(busy());
    desk.press(KeyCode::Char('x'));
    type_word(&mut desk, "btc");
    assert!(desk.press(KeyCode::Esc).is_empty());
    assert_eq!(status(&desk), "left as it was");
}

#[test]
fn with_real_money_the_symbol_must_be_typed() {
    let mut desk = live(Desk::new(busy()));
    desk.press(KeyCode::Char('x'));
    assert!(desk.press(KeyCode::Char('y')).is_empty());
    assert!(desk.press(KeyCode::Enter).is_empty());
    assert!(desk.press(KeyCode::Enter).is_empty());
    assert_eq!(status(&desk), "left as it was");

    desk.press(KeyCode::Char('x'));
    for letter in "btcusdt".chars() {
        assert!(desk.press(KeyCode::Char(letter)).is_empty());
    }
    let effects = desk.press(KeyCode::Enter);
    let close = Command::ClosePosition {
        account: account_name("mirat"),
        symbol: symbol("BTC"),
        direction: Direction::Long,
    };
    assert_eq!(commands(&effects), [&close]);
}

#[test]
fn a_question_about_a_position_that_changed_is_withdrawn() {
    let mut desk = Desk::new(busy());
    desk.press(KeyCode::Char('x'));
    let mut account = busy().accounts[0].clone();
    account.positions[0].quantity = "0.001".parse().unwrap();
    desk.tell(Event::Account { state: account });
    let over = |desk: &Desk| match &desk.state.overlay {
        Some(Overlay::Confirm(confirm)) => confirm.over.clone(),
        _ => None,
    };
    assert_eq!(over(&desk).as_deref(), Some("mirat BTC changed meanwhile; nothing was closed"));
    // What is still being typed is taken for no key, neither for a close nor for a dry-run.
    for letter in ['d', 'B', 'T', 'C', 'A', 'q'] {
        assert!(desk.press(KeyCode::Char(letter)).is_empty(), "{letter}");
    }
    assert!(over(&desk).is_some());
    assert!(desk.press(KeyCode::Enter).is_empty());
    assert_eq!(desk.state.overlay, None);
}

#[test]
fn a_question_is_answered_by_yes_or_no_and_by_nothing_else() {
    let mut desk = live(Desk::new(busy()));
    desk.press(KeyCode::Char('q'));
    for letter in ['d', 'x', ' ', '1'] {
        assert!(desk.press(KeyCode::Char(letter)).is_empty(), "{letter}");
        assert!(desk.state.overlay.is_some(), "{letter}");
    }
    assert!(desk.press(KeyCode::Char('n')).is_empty());
    assert_eq!((&desk.state.overlay, status(&desk)), (&None, "left as it was"));
}

#[test]
fn enter_in_a_palette_in_which_nothing_was_chosen_does_nothing() {
    let mut desk = Desk::new(busy());
    desk.press(KeyCode::Char(':'));
    assert!(desk.press(KeyCode::Enter).is_empty());
    assert!(matches!(desk.state.overlay, Some(Overlay::Palette { selected: None, .. })));
    desk.press(KeyCode::Down);
    assert_eq!(commands(&desk.press(KeyCode::Enter)), [&Command::RunCycle]);
}

#[test]
fn what_was_opened_from_the_desk_leads_back_to_it() {
    let mut desk = Desk::new(busy());
    let screen = |desk: &Desk| desk.state.screen;
    for key in [KeyCode::Enter, KeyCode::Char('w')] {
        desk.press(key);
        assert_ne!(screen(&desk), Screen::Desk);
        desk.press(KeyCode::Esc);
        assert_eq!(screen(&desk), Screen::Desk, "{key:?}");
    }
    // Who chose another screen meanwhile did not come from the desk.
    desk.press(KeyCode::Enter);
    desk.press(KeyCode::Char('2'));
    desk.press(KeyCode::Esc);
    assert_eq!(screen(&desk), Screen::Market);
}

#[test]
fn the_selection_follows_the_position_and_not_its_row() {
    let mut desk = Desk::new(busy());
    desk.press(KeyCode::Down);
    let mut account = busy().accounts[0].clone();
    account.positions.remove(0);
    desk.tell(Event::Account { state: account });
    let (index, _, position) = desk.state.selected_position().unwrap();
    assert_eq!((index, &position.symbol), (0, &symbol("ETH")));
}

#[test]
fn dry_run_starts_at_once_and_ends_only_after_a_word() {
    let mut desk = Desk::new(busy());
    assert_eq!(commands(&desk.press(KeyCode::Char('d'))), [&Command::SetDryRun(true)]);
    desk.tell(Event::DryRun { on: true });
    assert!(desk.press(KeyCode::Char('d')).is_empty());
    assert!(
        matches!(&desk.state.overlay, Some(Overlay::Confirm(confirm)) if confirm.question == Question::Trade)
    );
    type_word(&mut desk, "trade");
    assert_eq!(commands(&desk.press(KeyCode::Enter)), [&Command::SetDryRun(false)]);
}

#[test]
fn q_leaves_paper_at_once_and_asks_with_real_money() {
    let mut desk = Desk::new(busy());
    assert_eq!(desk.press(KeyCode::Char('q')), [Effect::Quit]);
    let mut desk = live(desk);
    assert!(desk.press(KeyCode::Char('q')).is_empty());
    assert_eq!(desk.press(KeyCode::Char('y')), [Effect::Quit]);
}

#[test]
fn control_c_leaves_as_q_does_also_from_the_help_page() {
    let mut desk = Desk::new(busy());
    desk.press(KeyCode::Char('?'));
    let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(desk.apply(Msg::Key(control_c)), [Effect::Quit]);
    // Also where the settings give the way out another key.
    desk.state.overlay = None;
    desk.state.keys = Keymap::new(&[("quit".to_owned(), vec!["F12".to_owned()])].into()).unwrap();
    assert_eq!(desk.apply(Msg::Key(control_c)), [Effect::Quit]);
    assert!(desk.press(KeyCode::Char('q')).is_empty());
}

#[test]
fn a_read_only_console_sends_nothing_and_says_why() {
    let mut desk = Desk::new(busy());
    desk.state.read_only = true;
    for key in ['f', 'd', 'x'] {
        assert!(desk.press(KeyCode::Char(key)).is_empty());
        assert_eq!(status(&desk), "this console is read-only");
        assert_eq!(desk.state.overlay, None);
    }
    assert!(text(&draw(&desk.state, &theme(), (120, 40))).contains("READ-ONLY"));
}

#[test]
fn nothing_dangerous_can_be_asked_on_a_screen_too_small_to_show_it() {
    let mut desk = Desk::new(busy());
    desk.apply(Msg::Resize(50, 15));
    for key in ['x', 'f', 'd'] {
        assert!(desk.press(KeyCode::Char(key)).is_empty());
        assert_eq!(desk.state.overlay, None);
    }
}

#[test]
fn profit_follows_the_marks() {
    let mut desk = Desk::new(busy());
    desk.tell(Event::Marks { marks: vec![(symbol("BTC"), price("70000"))] });
    let screen = text(&draw(&desk.state, &theme(), (120, 40)));
    // 0.003 x (70 000 - 65 210.4) = 14.3688
    assert!(screen.contains("+14.37"), "{screen}");
    assert!(screen.contains("+7.34%"), "{screen}");
}

#[test]
fn the_clock_runs_on_between_events_at_the_speed_of_the_world() {
    let mut snapshot = empty();
    snapshot.facts.clock_speed = 60.0;
    snapshot.next_cycle = Some(time("2026-03-02T13:05:00Z"));
    let mut desk = Desk::new(snapshot);
    desk.apply(Msg::Clock(Duration::from_secs(10)));
    assert_eq!(desk.state.market_time(), Some(time("2026-03-02T12:14:59Z")));
    assert!(text(&draw(&desk.state, &theme(), (120, 40))).contains("next cycle in 50m 01s"));
}

#[test]
fn a_clock_that_stands_still_needs_no_timer() {
    let mut snapshot = empty();
    snapshot.facts.clock_speed = 0.0;
    let mut desk = Desk::new(snapshot);
    desk.apply(Msg::Clock(Duration::from_secs(10)));
    assert_eq!(desk.state.market_time(), Some(time("2026-03-02T12:04:59Z")));
    assert!(!desk.state.clock_runs());
}

#[test]
fn the_analysis_follows_its_end_until_it_is_scrolled_and_again_from_its_end() {
    let mut desk = streaming();
    desk.apply(Msg::Resize(80, 24));
    desk.press(KeyCode::BackTab);
    desk.press(KeyCode::BackTab);
    assert_eq!(desk.state.focus, Panel::Analysis);
    desk.press(KeyCode::Up);
    let held = desk.state.analysis_top;
    assert!(held.is_some());
    desk.tell(Event::AnalysisDelta { text: "\nmore\nand more\n".into() });
    assert_eq!(desk.state.analysis_top, held);
    desk.press(KeyCode::End);
    assert_eq!(desk.state.analysis_top, None);
}

#[test]
fn thinking_is_seen_marked_until_the_model_goes_on_writing_and_is_no_part_of_its_analysis() {
    let mut desk = Desk::new(empty());
    desk.wait(1).start_cycle();
    desk.tell(Event::PhaseEntered { phase: Phase::Model }).tell(Event::ModelTurn { iteration: 1 });
    for piece in ["Funding is ", "negative \u{1b}[2Jeverywhere."] {
        desk.tell(Event::ThinkingDelta { text: piece.into() });
    }
    let screen = |desk: &Desk| text(&draw(&desk.state, &theme(), (120, 40)));
    let thinking = screen(&desk);
    assert!(thinking.contains("(thinking)") && thinking.contains("Funding is negative"), "{thinking}");
    assert!(!thinking.contains('\u{1b}'));
    desk.tell(Event::AnalysisDelta { text: "\n\n".into() });
    assert!(screen(&desk).contains("(thinking)"), "a pause between two turns says nothing");
    desk.tell(Event::AnalysisDelta { text: "BTC leads.".into() });
    let writing = screen(&desk);
    assert!(writing.contains("BTC leads.") && !writing.contains("(thinking)"), "{writing}");
    let cycle = desk.state.desk.as_ref().unwrap().cycle.as_ref().unwrap();
    assert_eq!(cycle.analysis.raw().trim(), "BTC leads.");
}

#[test]
fn a_new_cycle_clears_what_the_last_one_left() {
    let mut desk = finished();
    desk.wait(3_600).start_cycle();
    let cycle = desk.state.desk.as_ref().unwrap().cycle.as_ref().unwrap();
    assert!(cycle.decisions.is_empty() && cycle.tool_calls.is_empty() && cycle.analysis.is_empty());
    assert_eq!(cycle.trigger, Trigger::Schedule);
}

#[test]
fn events_of_another_cycle_do_not_mix_into_this_one() {
    let mut desk = finished();
    let before = desk.state.desk.as_ref().unwrap().cycle.clone();
    desk.wait(3_600).start_cycle();
    desk.state.desk.as_mut().unwrap().cycle.clone_from(&before);
    desk.tell(Event::AnalysisDelta { text: "stray".into() });
    assert_eq!(desk.state.desk.as_ref().unwrap().cycle, before);
}

#[test]
fn a_gap_in_the_events_is_not_kept_quiet() {
    let mut desk = Desk::new(empty());
    desk.tell(Event::DryRun { on: true });
    let mut later = Desk::new(empty());
    later.tell(Event::DryRun { on: true }).tell(Event::DryRun { on: false });
    let missed = |desk: &Desk| desk.state.log.iter().any(|notice| notice.text.contains("missed"));
    assert!(!missed(&desk) && !missed(&later));
    desk.state.desk.as_mut().unwrap().seq -= 1;
    desk.tell(Event::DryRun { on: false });
    assert!(missed(&desk));
}

#[test]
fn the_loudest_alarm_is_shown_until_somebody_acknowledges_it() {
    let mut desk = Desk::new(busy());
    desk.tell(alarm(Severity::Critical, "no stop")).wait(5).tell(alarm(Severity::Warning, "slow data"));
    let screen = text(&draw(&desk.state, &theme(), (80, 24)));
    assert!(screen.contains("■ 12:04:59 no stop") && screen.contains("+1 more"), "{screen}");
    let effects = desk.press(KeyCode::Char('a'));
    assert_eq!(commands(&effects), [&Command::AcknowledgeAlarms { up_to: 12 }]);
    assert!(
        text(&draw(&desk.state, &theme(), (80, 24))).contains("no stop"),
        "only the desk says it is seen"
    );
    desk.tell(Event::AlarmsAcknowledged { up_to: 12 });
    assert!(!text(&draw(&desk.state, &theme(), (80, 24))).contains("no stop"));
    desk.wait(5).tell(alarm(Severity::Info, "back again"));
    assert!(text(&draw(&desk.state, &theme(), (80, 24))).contains("back again"));
}

#[test]
fn a_long_alarm_is_shown_whole_where_a_row_is_too_short_for_it() {
    let mut desk = Desk::new(busy());
    let words =
        "mirat DOGE has no stop at the exchange; placing one failed twice with -2021, trying again in 5 s";
    desk.tell(alarm(Severity::Critical, words));
    for size in [(80, 24), (120, 40), (200, 60)] {
        let screen = text(&draw(&desk.state, &theme(), size));
        let flat = screen.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(words), "{size:?}\n{screen}");
    }
}

#[test]
fn the_bell_rings_for_an_alarm_and_not_again_at_once() {
    let mut desk = Desk::new(busy());
    let ring = |desk: &mut Desk, severity| {
        let seq = desk.state.desk.as_ref().unwrap().seq + 1;
        let at = desk.state.desk.as_ref().unwrap().at;
        let event = alarm(severity, "again");
        let envelope = jarvis::domain::Envelope { seq, at, cycle: None, event };
        desk.apply(Msg::Feed(Box::new(jarvis::domain::Feed::Event(envelope))))
    };
    assert_eq!(ring(&mut desk, Severity::Critical), [Effect::Bell]);
    assert_eq!(ring(&mut desk, Severity::Critical), []);
    desk.apply(Msg::Clock(Duration::from_secs(11)));
    assert_eq!(ring(&mut desk, Severity::Info), []);
    assert_eq!(ring(&mut desk, Severity::Warning), [Effect::Bell]);
}

#[test]
fn a_desk_that_stops_is_said_so_and_q_still_leaves() {
    let mut desk = live(Desk::new(busy()));
    desk.apply(Msg::FeedEnded);
    assert!(text(&draw(&desk.state, &theme(), (60, 20))).contains("the desk has stopped"));
    desk.press(KeyCode::Char('f'));
    assert_eq!(status(&desk), "the desk has stopped");
    assert_eq!(desk.press(KeyCode::Char('q')), [Effect::Quit]);
}

#[test]
fn what_is_made_up_is_marked_at_every_size() {
    let mut desk = finished();
    desk.tell(Event::DryRun { on: true });
    for size in [(20, 5), (30, 8), (60, 20), (80, 24), (120, 40), (200, 60)] {
        let screen = text(&draw(&desk.state, &theme(), size));
        for word in ["PAPER", "DRY-RUN", "BUILT-IN PRICES", "BUILT-IN ANALYST"] {
            assert!(screen.contains(word), "{size:?} {word}\n{screen}");
        }
    }
}

#[test]
fn paper_money_on_real_prices_says_what_is_real_and_what_is_made_here() {
    for (dry_run, fills) in [(false, "BUILT-IN FILLS, ANALYST"), (true, "BUILT-IN ANALYST")] {
        let mut desk = finished();
        desk.state.desk.as_mut().unwrap().facts.built_in_market = false;
        desk.tell(Event::DryRun { on: dry_run });
        for size in [(60, 20), (80, 24), (120, 40), (200, 60)] {
            let screen = text(&draw(&desk.state, &theme(), size));
            for word in ["PAPER ▪ REAL PRICES", fills] {
                assert!(screen.contains(word), "{size:?} {word}\n{screen}");
            }
            assert!(!screen.contains("BUILT-IN PRICES"), "{screen}");
            assert_eq!(screen.contains("DRY-RUN"), dry_run, "{screen}");
        }
        desk.state.desk.as_mut().unwrap().facts.built_in_analyst = false;
        let screen = text(&draw(&desk.state, &theme(), (120, 40)));
        assert_eq!(screen.contains("BUILT-IN FILLS"), !dry_run, "{screen}");
        assert!(!screen.contains("ANALYST "), "{screen}");
    }
}

#[test]
fn real_money_is_told_apart_by_words_and_borders() {
    let desk = live(finished());
    for size in [(20, 5), (60, 20), (120, 40)] {
        let screen = text(&draw(&desk.state, &theme(), size));
        assert!(
            screen.contains("LIVE") && !screen.contains("PAPER") && !screen.contains("BUILT-IN"),
            "{screen}"
        );
        assert!(size.0 < 60 || (screen.contains('┏') && !screen.contains('╭')), "{screen}");
    }
}
