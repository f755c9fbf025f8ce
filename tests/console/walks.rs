//! Ways through the screens: what is asked, what is shown while it is asked, what is sent.

use jarvis::console::screens::Screen;
use jarvis::console::screens::cycles::Section;
use jarvis::console::state::{Overlay, Panel};
use jarvis::console::update::{Effect, Msg};
use jarvis::console::{Habits, Keymap};
use jarvis::domain::{
    Command, Direction, Envelope, Event, Feed, HaltLevel, HaltScope, OperatorCommand, Query, Severity,
    ToldElsewhere,
};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::fixture::{
    Desk, account_name, alarm, busy, filled, finished, live, price, screen, status, symbol, time,
};
use crate::pages::{answer, guarded, walk};

fn asked(effects: &[Effect]) -> Vec<&Query> {
    let mut queries = Vec::new();
    for effect in effects {
        if let Effect::Ask(_, query) = effect {
            queries.push(query);
        }
    }
    queries
}

#[test]
fn entering_a_screen_asks_and_says_so_until_the_answer_comes() {
    let mut desk = Desk::new(busy());
    let effects = desk.press(KeyCode::Char('2'));
    assert_eq!(asked(&effects), [&Query::Market]);
    assert!(screen(&desk, (80, 24)).contains("Asking the desk"));
    answer(&mut desk, effects);
    let shown = screen(&desk, (80, 24));
    assert!(shown.contains("BTC") && shown.contains("of 12:04:59"), "{shown}");
}

#[test]
fn an_answer_that_does_not_come_is_said_with_its_reason() {
    let mut desk = Desk::new(busy());
    let effects = desk.press(KeyCode::Char('4'));
    let [Effect::Ask(id, _)] = effects[..] else { panic!("one question, not {effects:?}") };
    desk.apply(Msg::Feed(Box::new(Feed::Page { id, page: Err("the store is busy".into()) })));
    assert!(screen(&desk, (60, 20)).contains("The desk could not answer: the store is busy"));
}

#[test]
fn a_page_that_is_overtaken_out_of_sight_is_marked_and_asked_for_again() {
    let mut desk = Desk::new(busy());
    walk(&mut desk, "41");
    desk.tell(filled());
    assert!(desk.state.money.page.stale);
    let effects = desk.press(KeyCode::Char('4'));
    assert!(matches!(asked(&effects)[..], [Query::Money { .. }]));
    assert!(screen(&desk, (120, 40)).contains("asking …"));
}

#[test]
fn from_a_position_one_key_leads_to_the_words_behind_it() {
    let mut desk = Desk::new(busy());
    walk(&mut desk, "w");
    assert_eq!(desk.state.screen, Screen::Cycles);
    let open = desk.state.cycles.open.as_ref().unwrap();
    assert_eq!(open.page.page.as_ref().unwrap().line.market_time, time("2026-03-02T08:05:00Z"));
    let shown = screen(&desk, (120, 40));
    assert!(shown.contains("▸ mirat BTC  HOLD 0.81  opened"), "{shown}");
    walk(&mut desk, "→→");
    assert!(screen(&desk, (120, 40)).contains("You are the analyst of a desk."));
    walk(&mut desk, "⎋");
    assert_eq!(desk.state.cycles.open, None);
}

#[test]
fn a_position_no_cycle_on_record_opened_is_said_so() {
    let mut desk = Desk::new(busy());
    desk.state.desk.as_mut().unwrap().accounts[0].positions[0].opened_at = Some(time("2026-02-01T00:00:00Z"));
    walk(&mut desk, "w");
    assert_eq!((status(&desk), &desk.state.cycles.open), ("no cycle on record opened mirat BTC", &None));
}

#[test]
fn every_part_of_a_cycle_can_be_read() {
    let mut desk = Desk::new(busy());
    walk(&mut desk, "3\n");
    for (section, word) in [
        (Section::Decisions, "low confidence: 0.74 is below 0.75"),
        (Section::Analysis, "Fear & Greed"),
        (Section::Prompts, "User prompt"),
        (Section::Turns, "message_start"),
        (Section::Tools, "/candles/SOLUSDT"),
        (Section::Orders, "filled 0.003 at 65,210.4"),
        (Section::Cost, "19.8k in"),
    ] {
        assert_eq!(desk.state.cycles.open.as_ref().unwrap().section, section);
        let shown = screen(&desk, (120, 40));
        assert!(shown.contains(word), "{section:?}\n{shown}");
        walk(&mut desk, "→");
    }
}

#[test]
fn a_filter_narrows_the_list_while_it_is_typed_and_escape_takes_it_back() {
    let mut desk = Desk::new(busy());
    walk(&mut desk, "3/failed");
    let shown = screen(&desk, (120, 40));
    assert!(shown.contains("■ the model did not") && shown.contains("failed▏"), "{shown}");
    walk(&mut desk, "⎋");
    assert_eq!(desk.state.cycles.filter, "");
    walk(&mut desk, "/manual\n");
    assert_eq!(desk.state.cycles.filter, "manual");
}

#[test]
fn flattening_everything_takes_the_exact_words() {
    let mut desk = Desk::new(guarded());
    assert!(walk(&mut desk, "5Xflatten all\n⎋").is_empty());
    let sent = walk(&mut desk, "XFLATTEN ALL\n");
    let Command::Halt { scope, level, until, .. } = &sent[0] else { panic!("{sent:?}") };
    assert_eq!((scope, *level, *until), (&HaltScope::Desk, HaltLevel::Flattened, None));
}

#[test]
fn the_question_before_a_flattening_names_what_is_held_and_what_it_costs() {
    let mut desk = Desk::new(guarded());
    walk(&mut desk, "5↓X");
    let shown = screen(&desk, (120, 40));
    let words =
        ["account mirat", "3 positions", "mirat BTC LONG 0.003", "taker 0.05 %", "PAPER", "type mirat"];
    for word in words {
        assert!(shown.contains(word), "{word}\n{shown}");
    }
}

#[test]
fn a_coin_is_paused_with_an_end_and_a_reason() {
    let mut desk = Desk::new(guarded());
    desk.state.guards.selected = 4;
    walk(&mut desk, "5psoon\n");
    assert!(screen(&desk, (80, 24)).contains("first how long"));
    walk(&mut desk, "⎋");
    let sent = walk(&mut desk, "p4h rate decision\nhalt\n");
    let expected = Command::Halt {
        scope: HaltScope::Coin(symbol("BTC")),
        level: HaltLevel::NoEntries,
        until: Some(time("2026-03-02T16:04:59Z")),
        reason: "rate decision".into(),
    };
    assert_eq!(sent, [expected]);
}

#[test]
fn a_halt_is_taken_back_by_its_scope_and_only_where_there_is_one() {
    let mut desk = Desk::new(guarded());
    assert!(walk(&mut desk, "5r").is_empty());
    assert_eq!(status(&desk), "nothing halts the whole desk");
    desk.state.guards.selected = 3;
    let sent = walk(&mut desk, "rresume\n");
    assert_eq!(sent, [Command::Resume { scope: HaltScope::Account(account_name("tugrul")) }]);
}

#[test]
fn a_stop_is_moved_only_to_where_it_protects() {
    let mut desk = Desk::new(busy());
    walk(&mut desk, "s70000\n");
    assert!(screen(&desk, (80, 24)).contains("lies below the mark price"));
    let held = &mut desk.state.desk.as_mut().unwrap().accounts[0].positions[0];
    held.liquidation = Some(price("52000"));
    walk(&mut desk, "⎋s51999\n");
    assert!(screen(&desk, (80, 24)).contains("liquidated at 52,000.0 before it"));
    walk(&mut desk, "⎋s64,000");
    let shown = screen(&desk, (80, 24));
    assert!(shown.contains("-3.75%") && shown.contains("-3.63 USDT from entry"), "{shown}");
    let sent = walk(&mut desk, "\nbtc\n");
    let expected = Command::MoveStop {
        account: account_name("mirat"),
        symbol: symbol("BTC"),
        direction: Direction::Long,
        trigger: price("64000"),
    };
    assert_eq!(sent, [expected]);
}

#[test]
fn a_note_for_the_model_is_sent_and_a_waiting_one_can_be_changed() {
    let mut desk = Desk::new(guarded());
    let sent = walk(&mut desk, "n Thanks.\n");
    assert_eq!(sent, [Command::NoteToModel { text: "Mind the rate decision at 13:15. Thanks.".into() }]);
}

#[test]
fn text_may_be_pasted_into_a_note_and_never_into_a_question() {
    let mut desk = Desk::new(busy());
    walk(&mut desk, "n");
    desk.apply(Msg::Paste("calm\u{1b}[2J\nplease".into()));
    assert_eq!(walk(&mut desk, "\n"), [Command::NoteToModel { text: "calm please".into() }]);
    walk(&mut desk, "x");
    desk.apply(Msg::Paste("BTC".into()));
    assert!(walk(&mut desk, "\n").is_empty());
}

#[test]
fn only_a_live_desk_is_armed_by_the_name_of_the_account() {
    let mut desk = Desk::new(busy());
    assert!(walk(&mut desk, "A").is_empty());
    assert!(status(&desk).contains("only a live desk"));
    let mut desk = live(desk);
    assert_eq!(walk(&mut desk, "Amirat\n"), [Command::Arm { account: account_name("mirat") }]);
    desk.tell(Event::Armed { accounts: vec![account_name("mirat")] });
    assert_eq!(walk(&mut desk, "D"), [Command::Disarm]);
}

#[test]
fn a_prompt_is_edited_checked_compared_and_used() {
    let mut desk = Desk::new(busy());
    walk(&mut desk, "6eHello 1q");
    assert_eq!(desk.state.screen, Screen::Prompt, "keys go into the text");
    walk(&mut desk, "⎋");
    let shown = screen(&desk, (80, 24));
    assert!(shown.contains("Hello 1qYou are very") && shown.contains("nothing is wrong"), "{shown}");
    walk(&mut desk, "→");
    let shown = screen(&desk, (80, 24));
    assert!(shown.contains("- You are very careful.") && shown.contains("+ Hello 1qYou are"), "{shown}");
    let sent = walk(&mut desk, "uuse\n");
    let text = "Hello 1qYou are very careful.\nCosts come first.\n{{ brief }}\n".to_owned();
    assert_eq!(sent, [Command::ApplyPrompt { name: "system.en.jinja".into(), text }]);
    let id = desk.state.asked[0].0;
    let event = Event::CommandAccepted {
        id,
        detail: "in use from the next cycle on".into(),
        elsewhere: ToldElsewhere::Nothing,
    };
    let answered = Envelope { seq: busy().seq + 1, at: busy().at, cycle: None, event };
    let effects = desk.apply(Msg::Feed(Box::new(Feed::Event(answered))));
    assert!(desk.state.prompt.draft.is_none());
    assert!(matches!(asked(&effects)[..], [Query::Prompt { .. }]), "the text in force is read again");
}

#[test]
fn what_was_said_of_a_draft_goes_when_the_draft_changes() {
    let mut desk = Desk::new(busy());
    walk(&mut desk, "6eHello⎋");
    assert!(screen(&desk, (80, 24)).contains("✓ nothing is wrong"));
    walk(&mut desk, "e{");
    assert!(!screen(&desk, (80, 24)).contains("✓ nothing is wrong"));
}

#[test]
fn a_broken_draft_is_not_offered_for_use() {
    let mut desk = Desk::new(busy());
    walk(&mut desk, "6e{{ nothing }}⎋");
    assert!(screen(&desk, (80, 24)).contains("undefined value"));
    assert!(walk(&mut desk, "u").is_empty());
    assert!(status(&desk).contains("would break"));
    walk(&mut desk, "Rn");
    assert!(desk.state.prompt.draft.is_some(), "one key throws nothing away");
    assert_eq!(status(&desk), "left as it was");
    walk(&mut desk, "Ry");
    assert!(desk.state.prompt.draft.is_none());
}

#[test]
fn the_log_follows_and_can_be_narrowed() {
    let mut desk = Desk::new(busy());
    walk(&mut desk, "7");
    desk.wait(60).tell(alarm(Severity::Warning, "something new"));
    let shown = screen(&desk, (80, 24));
    assert!(shown.contains("something new") && shown.contains("has no stop"), "{shown}");
    walk(&mut desk, "vv");
    let shown = screen(&desk, (80, 24));
    let lines: Vec<&str> = shown.lines().filter(|line| line.contains("02 Mar")).collect();
    assert!(lines.len() == 1 && lines[0].contains("has no stop"), "{shown}");
}

#[test]
fn the_palette_does_an_action_on_its_screen_and_says_why_not() {
    let mut desk = Desk::new(guarded());
    walk(&mut desk, ":freez\n");
    assert_eq!(desk.state.screen, Screen::Guards);
    assert!(matches!(&desk.state.overlay, Some(Overlay::Confirm(_))));
    walk(&mut desk, "⎋:arm");
    assert!(screen(&desk, (120, 40)).contains("not now: only a live desk"));
}

#[test]
fn a_key_of_another_screen_says_where_it_works() {
    let mut desk = Desk::new(busy());
    walk(&mut desk, "r");
    assert_eq!(status(&desk), "resume works on Guards (5)");
}

#[test]
fn keys_of_the_settings_dispatch_and_are_shown() {
    let own = [("force-cycle".to_owned(), vec!["F5".to_owned()])].into();
    let mut desk = Desk::new(busy());
    desk.state.keys = Keymap::new(&own).unwrap();
    assert!(screen(&desk, (120, 40)).contains(" F5 force"));
    let f5 = desk.press(KeyCode::F(5));
    assert!(matches!(&f5[..], [Effect::Send(OperatorCommand { command: Command::RunCycle, .. })]));
}

#[test]
fn the_time_zone_of_the_settings_is_shown_and_named() {
    let mut desk = Desk::new(busy());
    desk.state.zone = "+03:00".parse().unwrap();
    let shown = screen(&desk, (120, 40));
    assert!(shown.contains("15:04:59 UTC+03:00"), "{shown}");
}

#[test]
fn letters_only_leave_no_symbol_on_the_screen() {
    let mut desk = finished();
    desk.state.ascii = true;
    for keys in ["", "2", "\n", "3", "4", "5", "6", "7", ":", "⎋?"] {
        walk(&mut desk, keys);
        let shown = screen(&desk, (120, 40));
        assert!(shown.chars().all(|c| c.is_ascii() || c.is_alphabetic()), "{keys:?}\n{shown}");
    }
}

#[test]
fn a_locale_without_utf8_and_the_linux_console_get_letters_only() {
    let settings = jarvis::config::Settings::default().console;
    let habits = |pairs: &'static [(&str, &str)]| {
        let find =
            |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Habits::new(&settings, find, false).unwrap().ascii
    };
    assert!(habits(&[("LANG", "C")]) && habits(&[("TERM", "linux"), ("LANG", "tr_TR.UTF-8")]));
    assert!(!habits(&[("LANG", "C.UTF-8")]) && !habits(&[]));
}

#[test]
fn decisions_are_sorted_filtered_and_shown_as_a_grid() {
    let mut desk = finished();
    walk(&mut desk, "\to");
    assert!(screen(&desk, (120, 40)).contains("by confidence, opens from 0.75"));
    let first = desk.state.decision_rows()[0];
    let best = desk.state.cycle().unwrap().decisions[first].0.confidence.unwrap();
    assert_eq!(best.to_string(), "0.81");
    walk(&mut desk, "/doge\n");
    assert_eq!(desk.state.decision_rows().len(), 3);
    walk(&mut desk, "⎋/doge mevlut\n");
    assert_eq!(desk.state.decision_rows().len(), 1, "each word counts, in any order");
    walk(&mut desk, "⎋m");
    let shown = screen(&desk, (120, 40));
    assert!(shown.contains("mevlut") && shown.contains("L 0.78✓"), "{shown}");
}

#[test]
fn a_word_that_changed_since_the_last_cycle_is_marked() {
    let mut desk = finished();
    desk.wait(3_600).start_cycle();
    let mut rows: Vec<_> = crate::fixture::rows().into_iter().map(|row| row.proposal).collect();
    rows[0].decision = Some(jarvis::domain::DecisionWord::Close);
    desk.tell(Event::Decided { proposals: rows });
    let shown = screen(&desk, (120, 40));
    assert!(shown.matches('◇').count() == 1 && shown.contains("CLOSE ◇"), "{shown}");
}

#[test]
fn after_a_close_the_selection_stays_with_its_neighbour() {
    let mut desk = Desk::new(busy());
    walk(&mut desk, "↓↓");
    let mut account = busy().accounts[0].clone();
    account.positions.remove(2);
    desk.tell(Event::Account { state: account.clone() });
    let (_, owner, held) = desk.state.selected_position().unwrap();
    assert_eq!((owner.name.as_str(), held.symbol.coin()), ("mirat", "ETH"));
    account.positions.remove(0);
    desk.tell(Event::Account { state: account });
    assert_eq!(desk.state.selected_position().unwrap().2.symbol.coin(), "ETH", "and follows it");
}

#[test]
fn what_was_told_goes_when_it_is_old_and_with_the_next_key() {
    let mut desk = Desk::new(busy());
    walk(&mut desk, "f");
    assert_ne!(status(&desk), "");
    desk.apply(Msg::Clock(std::time::Duration::from_secs(21)));
    assert_eq!(status(&desk), "");
    walk(&mut desk, "f↓");
    assert_eq!(status(&desk), "");
}

#[test]
fn dry_run_refuses_a_close_before_the_question() {
    let mut desk = Desk::new(busy());
    desk.tell(Event::DryRun { on: true });
    walk(&mut desk, "x");
    assert_eq!(
        (status(&desk), &desk.state.overlay),
        ("dry-run is on and no order is sent; d ends it", &None)
    );
}

#[test]
fn a_read_only_console_offers_no_commands() {
    let mut desk = Desk::new(busy());
    desk.state.read_only = true;
    let shown = screen(&desk, (120, 40));
    let keys = shown.lines().last().unwrap();
    assert!(!keys.contains("force") && !keys.contains("close") && keys.contains("q quit"), "{keys}");
}

#[test]
fn the_way_out_is_offered_on_every_screen_at_every_size() {
    for number in '1'..='7' {
        let mut desk = finished();
        walk(&mut desk, &number.to_string());
        for size in [(60, 20), (80, 24), (120, 40), (200, 60)] {
            assert!(screen(&desk, size).lines().last().unwrap().contains("q quit"), "{number} {size:?}");
        }
    }
}

#[test]
fn coins_without_room_are_counted() {
    let shown = screen(&Desk::new(busy()), (80, 24));
    assert!(shown.contains("+5 more"), "{shown}");
}

#[test]
fn what_happened_during_a_gap_is_told() {
    let mut desk = Desk::new(busy());
    desk.apply(Msg::Feed(Box::new(Feed::Lost { reason: "looking for it again".into() })));
    let mut later = busy();
    later.accounts[0].positions.remove(1);
    desk.apply(Msg::Feed(Box::new(Feed::Snapshot(Box::new(later)))));
    let told = |words: &str| desk.state.log.iter().any(|notice| notice.text.contains(words));
    assert!(told("while you were away: mirat ETH was closed"));
    assert!(status(&desk).contains("the desk is back"));
}

#[test]
fn the_theme_in_the_list_is_tried_at_once_and_escape_brings_the_old_one_back() {
    let mut desk = Desk::new(busy());
    desk.state.themes = (vec!["jarvis-dark".into(), "nord".into()], "jarvis-dark".into());
    desk.press(KeyCode::Char('T'));
    assert_eq!(desk.press(KeyCode::Down), [Effect::Theme("nord".into())]);
    assert_eq!(desk.press(KeyCode::Esc), [Effect::Theme("jarvis-dark".into())]);
}

#[test]
fn what_is_selected_can_be_copied() {
    let mut desk = Desk::new(busy());
    let effects = desk.press(KeyCode::Char('y'));
    assert!(matches!(&effects[..], [Effect::Copy(text)] if text.starts_with("mirat BTCUSDT LONG 0.003")));
}

#[test]
fn a_console_with_the_desk_inside_is_not_stopped_by_control_z() {
    let mut desk = Desk::new(busy());
    let control_z = KeyEvent::new(KeyCode::Char('z'), KeyModifiers::CONTROL);
    assert!(desk.apply(Msg::Key(control_z)).is_empty());
    assert!(status(&desk).contains("would stand still"));
    desk.state.suspendable = true;
    assert_eq!(desk.apply(Msg::Key(control_z)), [Effect::Suspend]);
}

#[test]
fn the_wheel_scrolls_and_a_click_chooses_a_screen_or_a_panel() {
    let mut desk = Desk::new(busy());
    desk.apply(Msg::Resize(120, 40));
    desk.apply(Msg::Wheel(true, 10, 6));
    assert_eq!(desk.state.selected_position().unwrap().0, 3);
    desk.apply(Msg::Click(80, 10));
    assert_eq!(desk.state.focus, Panel::Analysis);
    let effects = desk.apply(Msg::Click(12, 2));
    assert_eq!(asked(&effects), [&Query::Market]);
}

#[test]
fn a_page_down_skips_no_row() {
    let mut desk = finished();
    desk.apply(Msg::Resize(120, 40));
    walk(&mut desk, "\t");
    desk.press(KeyCode::PageDown);
    assert!((1..=15).contains(&desk.state.decision), "{} rows were passed", desk.state.decision);
}
