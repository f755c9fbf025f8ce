//! What must be said, however little room there is: what stands still, what is armed, what is old, what happened meanwhile.

use std::time::Duration;

use jarvis::console::screens::Screen;
use jarvis::console::state::{Overlay, Panel};
use jarvis::console::update::{Effect, Msg};
use jarvis::domain::{CycleId, Envelope, Event, Feed, RemarkWeight, Severity};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::fixture::{
    Desk, SIZES, account_name, alarm, busy, draw, finished, live, price, screen, status, streaming, symbol,
    theme,
};
use crate::pages::{answer, guarded, walk};

#[test]
fn a_draft_with_notes_can_be_used_and_the_notes_look_like_notes() {
    let mut desk = Desk::new(busy());
    walk(&mut desk, "6eHello⎋");
    assert!(status(&desk).contains("nothing is wrong"), "{}", status(&desk));
    let shown = screen(&desk, (80, 24));
    assert!(shown.contains("· about 2936 tokens") && !shown.contains("■ about"), "{shown}");
    assert_eq!(walk(&mut desk, "uuse\n").len(), 1);
}

#[test]
fn a_healthy_file_of_the_settings_folder_is_not_said_to_be_out_of_force() {
    let mut desk = Desk::new(busy());
    walk(&mut desk, "6");
    let shown = screen(&desk, (80, 24));
    assert!(!shown.contains("not in force") && shown.contains("· about 2936 tokens"), "{shown}");
    let page = desk.state.prompt.page.page.as_mut().unwrap();
    page.is_usable = false;
    page.remarks[0].weight = RemarkWeight::Error;
    let shown = screen(&desk, (80, 24));
    assert!(shown.contains("■ the file on disk is not in force"), "{shown}");
}

#[test]
fn halts_arming_and_a_waiting_note_are_told_at_every_size() {
    let mut desk = live(Desk::new(guarded()));
    desk.tell(Event::Armed { accounts: vec![account_name("mirat")] });
    for size in SIZES {
        for number in ['1', '5', '7'] {
            walk(&mut desk, &number.to_string());
            let shown = screen(&desk, size);
            let bar = shown.lines().nth(2).unwrap();
            for word in ["■ 2 halts", "armed", "▪ note"] {
                assert!(bar.contains(word), "{size:?} {word}\n{shown}");
            }
        }
        walk(&mut desk, "1");
        let shown = screen(&desk, size);
        let row = |name: &str| shown.lines().find(|line| line.contains(&format!("┃ {name} "))).unwrap();
        assert!(row("mirat").contains("▲ armed"), "{shown}");
    }
    let shown = screen(&desk, (120, 40));
    assert!(shown.contains("▲ armed: mirat") && shown.contains("not armed"), "{shown}");
}

#[test]
fn a_number_in_a_short_bar_is_still_where_it_is_clicked() {
    let mut desk = Desk::new(guarded());
    desk.apply(Msg::Resize(60, 20));
    let shown = screen(&desk, (60, 20));
    let bar = shown.lines().nth(2).unwrap();
    let column = bar.chars().position(|letter| letter == '4').unwrap();
    assert!(!bar.contains("Money"), "{bar}");
    desk.apply(Msg::Click(u16::try_from(column).unwrap(), 2));
    assert_eq!(desk.state.screen, Screen::Money);
}

#[test]
fn the_ladder_tells_armed_from_unarmed_accounts() {
    let mut desk = live(Desk::new(guarded()));
    walk(&mut desk, "5");
    let shown = screen(&desk, (120, 40));
    let rung = |shown: &str, name: &str| {
        shown.lines().find(|line| line.contains(&format!("  {name} "))).unwrap().to_owned()
    };
    assert!(rung(&shown, "mevlut").contains("not armed"), "{shown}");
    desk.tell(Event::Armed { accounts: vec![account_name("mevlut")] });
    let shown = screen(&desk, (120, 40));
    assert!(rung(&shown, "mevlut").contains("▲ armed"), "{shown}");
    assert!(rung(&shown, "mirat").contains("not armed"), "{shown}");
}

#[test]
fn without_an_armed_account_the_guards_do_not_say_that_nothing_refuses() {
    let mut desk = live(Desk::new(busy()));
    desk.state.desk.as_mut().unwrap().guards = guarded().guards.into_iter().filter(|g| !g.refuses).collect();
    walk(&mut desk, "5");
    assert!(screen(&desk, (120, 40)).contains("no account is armed: nothing is sent"));
}

#[test]
fn a_stopped_desk_and_a_read_only_console_are_said_before_what_is_made_up() {
    let mut desk = finished();
    desk.state.read_only = true;
    desk.tell(Event::DryRun { on: true });
    let before = draw(&desk.state, &theme(), (60, 20));
    desk.apply(Msg::Feed(Box::new(Feed::Lost { reason: "looking for it again".into() })));
    for size in SIZES {
        let shown = screen(&desk, size);
        let first = shown.lines().next().unwrap();
        for word in ["PAPER", "STOPPED", "READ-ONLY", "DRY-RUN", "BUILT-IN"] {
            assert!(first.contains(word), "{size:?} {word}\n{shown}");
        }
        assert!(shown.contains("last heard"), "{shown}");
    }
    let after = draw(&desk.state, &theme(), (60, 20));
    let colour = |buffer: &ratatui::buffer::Buffer, word: &str| {
        let row = (0..20).find(|row| line(buffer, *row).contains(word)).unwrap();
        let column = line(buffer, row).chars().position(|letter| letter == '+').unwrap();
        buffer[(u16::try_from(column).unwrap(), row)].fg
    };
    assert_ne!(
        colour(&before, "+3.84"),
        colour(&after, "+3.84"),
        "old figures do not look like present ones"
    );
}

fn line(buffer: &ratatui::buffer::Buffer, row: u16) -> String {
    (0..buffer.area.width).map(|column| buffer[(column, row)].symbol()).collect()
}

#[test]
fn time_stands_still_while_the_desk_is_not_heard() {
    let mut desk = Desk::new(busy());
    desk.apply(Msg::Feed(Box::new(Feed::Lost { reason: "gone".into() })));
    let heard = desk.state.market_time();
    desk.apply(Msg::Clock(Duration::from_secs(90)));
    assert_eq!(desk.state.market_time(), heard);
}

#[test]
fn the_change_of_a_day_follows_the_price_beside_it() {
    let mut desk = Desk::new(busy());
    walk(&mut desk, "2");
    assert!(screen(&desk, (80, 24)).contains("66,491.8  +1.00%"));
    let before = screen(&desk, (80, 24));
    desk.tell(Event::Marks { marks: vec![(symbol("BTC"), price("60000"))] });
    let shown = screen(&desk, (80, 24));
    // The closes of 12:00 and 13:00 the day before, 65 831.1 and 65 829.4, say 65 831.0 for 12:04; 60 000 is 8.86 % below.
    assert!(shown.contains("60,000.0  -8.86%"), "{shown}");
    let row = |shown: &str| shown.lines().find(|line| line.contains(" BTC ")).unwrap().to_owned();
    assert_ne!(row(&before).split('%').nth(1), row(&shown).split('%').nth(1), "the line ends at the price");
}

#[test]
fn the_market_is_asked_for_again_once_a_minute_while_it_is_looked_at() {
    let mut desk = Desk::new(busy());
    walk(&mut desk, "2");
    let marks = |desk: &mut Desk| {
        let seq = desk.state.desk.as_ref().unwrap().seq + 1;
        let at = desk.state.desk.as_ref().unwrap().at;
        let event = Event::Marks { marks: vec![(symbol("BTC"), price("66000"))] };
        let envelope = Envelope { seq, at, cycle: None, event };
        desk.apply(Msg::Feed(Box::new(Feed::Event(envelope))))
    };
    assert_eq!(marks(&mut desk), []);
    desk.apply(Msg::Clock(Duration::from_secs(61)));
    assert!(matches!(&marks(&mut desk)[..], [Effect::Ask(..)]));
    assert_eq!(marks(&mut desk), [], "one question at a time");
}

#[test]
fn the_running_candle_follows_the_price_and_the_price_stays_in_sight() {
    let mut desk = Desk::new(busy());
    desk.apply(Msg::Resize(120, 40));
    walk(&mut desk, "2\n");
    desk.tell(Event::Marks { marks: vec![(symbol("BTC"), price("73000"))] });
    let page = desk.state.market.chart.as_ref().unwrap().page.page.as_ref().unwrap();
    let forming = page.forming.unwrap();
    assert_eq!((forming.high, forming.close), (price("73000"), price("73000")));
    assert_eq!(forming.open, price("66210"));
    assert!(screen(&desk, (120, 40)).contains("◂73,000.0"), "{}", screen(&desk, (120, 40)));
    let closed = page.candles.len();
    desk.wait(3_600).tell(Event::Marks { marks: vec![(symbol("BTC"), price("72000"))] });
    let page = desk.state.market.chart.as_ref().unwrap().page.page.as_ref().unwrap();
    assert_eq!((page.candles.len(), page.forming.unwrap().open), (closed + 1, price("72000")));
}

#[test]
fn after_a_gap_the_bar_counts_what_happened_and_the_log_shows_where_it_began() {
    let mut desk = Desk::new(busy());
    desk.apply(Msg::Feed(Box::new(Feed::Lost { reason: "looking for it again".into() })));
    let mut later = busy();
    later.accounts[0].positions.remove(1);
    later.at += chrono::Duration::minutes(25);
    desk.apply(Msg::Feed(Box::new(Feed::Snapshot(Box::new(later)))));
    assert!(status(&desk).contains("after 25m00s: 1 thing happened, 7 says what"), "{}", status(&desk));
    for size in SIZES {
        assert!(screen(&desk, size).lines().nth(2).unwrap().contains("◆ 1"), "{size:?}");
    }
    walk(&mut desk, "7");
    for size in SIZES {
        let shown = screen(&desk, size);
        assert!(shown.contains("away from here") && shown.contains("while you were away: mirat"), "{shown}");
        assert!(!shown.contains('◆'), "it was read: {shown}");
    }
}

#[test]
fn after_a_stop_it_is_said_how_long_it_was_and_what_came_meanwhile_is_counted() {
    let mut desk = Desk::new(busy());
    desk.apply(Msg::Clock(Duration::from_secs(10)));
    desk.apply(Msg::Continued(Duration::from_secs(610)));
    assert_eq!(status(&desk), "back after 10m00s; 7 lists what happened meanwhile");
    desk.wait(300).tell(alarm(Severity::Warning, "one that came while it stood still"));
    desk.wait(600).tell(alarm(Severity::Warning, "one of now"));
    assert!(screen(&desk, (120, 40)).contains("◆ 1 while you were away"));
    walk(&mut desk, "7");
    assert!(screen(&desk, (120, 40)).contains("away from here"));
    let mut desk = Desk::new(busy());
    desk.apply(Msg::Continued(Duration::from_secs(2)));
    assert_eq!(status(&desk), "", "a moment is not worth a word");
}

#[test]
fn what_a_tool_call_costs_is_shown_at_the_price_of_the_model() {
    let desk = finished();
    // 5 412 bytes are about 2 706 tokens, at 3 dollars for a million.
    assert!(screen(&desk, (200, 60)).contains("≈$0.0081"), "{}", screen(&desk, (200, 60)));
    let mut desk = finished();
    desk.state.focus = Panel::Tools;
    desk.state.main = Panel::Tools;
    desk.state.side = Panel::Tools;
    for size in SIZES {
        assert!(screen(&desk, size).contains("0.0081"), "{}", screen(&desk, size));
    }
    desk.state.desk.as_mut().unwrap().facts.input_price = None;
    assert!(!screen(&desk, (200, 60)).contains("≈$"), "an unknown price is not guessed");
}

#[test]
fn another_word_than_the_asked_one_keeps_the_question_and_says_so() {
    let mut desk = Desk::new(busy());
    walk(&mut desk, "xbtx\n");
    assert!(matches!(&desk.state.overlay, Some(Overlay::Confirm(confirm)) if confirm.missed));
    for size in SIZES {
        assert!(screen(&desk, size).contains("that is another word; nothing was done"));
    }
    assert!(walk(&mut desk, "d\n").is_empty(), "what is typed further is no command");
    assert_eq!(walk(&mut desk, "btc\n").len(), 1);
}

#[test]
fn a_key_right_behind_an_escape_is_not_lost() {
    let mut desk = Desk::new(busy());
    walk(&mut desk, "?");
    let alt = |letter| KeyEvent::new(KeyCode::Char(letter), KeyModifiers::ALT);
    let effects = desk.apply(Msg::Key(alt('4')));
    assert_eq!((desk.state.screen, &desk.state.overlay), (Screen::Money, &None));
    answer(&mut desk, effects);
    walk(&mut desk, "6eHello");
    let effects = desk.apply(Msg::Key(alt('1')));
    answer(&mut desk, effects);
    assert_eq!(desk.state.screen, Screen::Desk, "the editor was left");
    walk(&mut desk, "6e");
    desk.apply(Msg::Key(alt('f')));
    assert!(desk.state.prompt.draft.as_ref().unwrap().editing, "a word forward is a key of the editor");
}

#[test]
fn the_question_before_a_stop_is_moved_names_result_and_cost_whole() {
    for size in SIZES {
        let mut desk = Desk::new(busy());
        desk.apply(Msg::Resize(size.0, size.1));
        walk(&mut desk, "s61000\n");
        let shown = screen(&desk, size);
        for words in ["-12.63 USDT if it triggers there", "about 0.09 USDT then (taker 0.05 %), slippage"] {
            assert!(shown.contains(words), "{size:?} {words}\n{shown}");
        }
    }
    let mut desk = Desk::new(busy());
    walk(&mut desk, "s70000\n");
    assert_eq!(screen(&desk, (80, 24)).matches("lies below the mark").count(), 1);
}

#[test]
fn no_letter_of_what_is_flattened_is_lost_on_a_narrow_screen() {
    let mut desk = Desk::new(guarded());
    desk.apply(Msg::Resize(60, 20));
    walk(&mut desk, "5X");
    let shown = screen(&desk, (60, 20));
    let flat = shown.replace(['│', '\n'], " ").split_whitespace().collect::<Vec<_>>().join(" ");
    let words = "mirat BTC LONG 0.003, mirat ETH SHORT 0.061, mirat DOGE LONG 1,310, mevlut PAXG LONG 0.094";
    assert!(flat.contains(words), "{shown}");
}

#[test]
fn the_key_that_takes_an_alarm_away_is_never_what_is_cut() {
    let mut desk = Desk::new(busy());
    let words = "mevlut PAXGUSDT: the stop j-01JNQ8Z3M4X7K2-00017-stop-2 was refused with -2021 at 2,431.89 USDT; \
        the guardian places another one at 2,430.00 USDT and tries again every five seconds until it rests";
    desk.tell(alarm(Severity::Critical, words));
    for size in SIZES {
        let shown = screen(&desk, size);
        assert!(shown.contains("a acknowledges)"), "{size:?}\n{shown}");
        let banner: String = shown.lines().take(8).collect();
        assert!(!banner.contains("00017-stop-2"), "{shown}");
    }
}

#[test]
fn the_grid_follows_sort_and_filter_and_says_which_part_is_in_sight() {
    let mut desk = finished();
    walk(&mut desk, "m");
    assert!(screen(&desk, (80, 24)).contains("of 10 "), "{}", screen(&desk, (80, 24)));
    walk(&mut desk, "/doge\n");
    let shown = screen(&desk, (120, 40));
    let grid = shown.split("Decisions").nth(1).unwrap();
    assert!(grid.contains(" DOGE ") && !grid.contains(" LINK "), "{shown}");
}

#[test]
fn cycles_are_found_by_what_they_traded_and_by_being_dry() {
    let mut desk = Desk::new(busy());
    walk(&mut desk, "3/ada\n");
    let shown = jarvis::console::screens::cycles::shown(&desk.state);
    assert!(!shown.is_empty() && shown.iter().all(|line| line.outcomes.opened > 0));
    desk.state.cycles.list.page.as_mut().unwrap()[4].dry_run = true;
    walk(&mut desk, "⎋/dry-run\n");
    assert_eq!(jarvis::console::screens::cycles::shown(&desk.state).len(), 1);
}

#[test]
fn a_click_chooses_the_row_it_hits() {
    let mut desk = finished();
    desk.apply(Msg::Resize(120, 40));
    let at = |desk: &Desk, word: &str| {
        let shown = screen(desk, (120, 40));
        u16::try_from(shown.lines().position(|line| line.contains(word)).unwrap()).unwrap()
    };
    let row = at(&desk, "■ NO STOP");
    desk.apply(Msg::Click(10, row));
    assert_eq!(desk.state.selected_position().unwrap().2.symbol, symbol("DOGE"));
    let row = at(&desk, "LINK NO_TRADE");
    desk.apply(Msg::Click(20, row));
    assert_eq!((desk.state.focus, desk.state.decision), (Panel::Decisions, 8));
    for (number, word) in [('2', " SOL "), ('3', "02 Mar 08:05"), ('5', "    BNB ")] {
        walk(&mut desk, &number.to_string());
        let row = at(&desk, word);
        desk.apply(Msg::Click(20, row));
        let shown = screen(&desk, (120, 40));
        let line = shown.lines().nth(usize::from(row)).unwrap();
        assert!(line.contains('▸') && line.contains(word), "{number}\n{shown}");
    }
}

#[test]
fn the_wheel_moves_what_lies_under_it_and_leaves_the_focus() {
    let mut desk = finished();
    desk.apply(Msg::Resize(120, 40));
    assert_eq!(desk.state.focus, Panel::Accounts);
    desk.apply(Msg::Wheel(true, 20, 30));
    assert_eq!((desk.state.focus, desk.state.decision), (Panel::Accounts, 3));
}

#[test]
fn what_moves_the_market_can_be_read_to_its_end_at_every_size() {
    let mut desk = Desk::new(busy());
    for size in [(60, 20), (80, 24)] {
        desk.apply(Msg::Resize(size.0, size.1));
        walk(&mut desk, "2\t");
        desk.press(KeyCode::End);
        assert!(screen(&desk, size).contains("Gold at a record"), "{}", screen(&desk, size));
        walk(&mut desk, "\t");
    }
}

#[test]
fn a_cost_nobody_paid_is_in_no_net_and_one_that_was_paid_carries_its_minus() {
    let mut desk = Desk::new(busy());
    walk(&mut desk, "4");
    let all = |desk: &Desk| {
        let shown = screen(desk, (120, 40));
        shown.lines().find(|line| line.contains("│ all ") || line.contains("┃ all ")).unwrap().to_owned()
    };
    // -7.59 - 6.12 + 0.31
    assert!(all(&desk).contains("(1.22)") && all(&desk).contains("-13.40"), "{}", all(&desk));
    let desk = live(desk);
    assert!(all(&desk).contains("-1.22") && all(&desk).contains("-14.62"), "{}", all(&desk));
}

#[test]
fn every_account_has_its_equity_where_there_is_no_room_for_curves() {
    let mut desk = Desk::new(busy());
    walk(&mut desk, "4");
    for size in [(60, 20), (80, 24)] {
        let shown = screen(&desk, size);
        assert!(shown.contains("Equity") && shown.contains("1,0"), "{shown}");
        assert!(shown.lines().filter(|line| line.contains('▇')).count() >= 3, "{shown}");
    }
}

#[test]
fn the_cost_of_the_built_in_analyst_is_marked_as_an_estimate() {
    let mut desk = Desk::new(busy());
    walk(&mut desk, "3\n→→→→→→");
    let page = desk.state.cycles.open.as_mut().unwrap().page.page.as_mut().unwrap();
    page.report.as_mut().unwrap().model.provider = "builtin".into();
    assert!(screen(&desk, (120, 40)).contains("$0.0898 est."), "{}", screen(&desk, (120, 40)));
    walk(&mut desk, "⎋");
    desk.state.cycles.list.page.as_mut().unwrap()[0].usage.as_mut().unwrap().is_estimate = true;
    assert_eq!(screen(&desk, (120, 40)).matches("≈0.0898").count(), 1);
}

#[test]
fn keys_that_turn_nothing_say_what_they_would_turn() {
    let mut desk = Desk::new(busy());
    for (number, word) in [("2", "interval of a chart"), ("3", "parts of a cycle")] {
        walk(&mut desk, number);
        walk(&mut desk, "→");
        assert!(status(&desk).contains(word), "{}", status(&desk));
    }
    walk(&mut desk, "4f");
    assert_eq!(status(&desk), "force cycle works on Desk (1), Cycles (3)");
}

#[test]
fn a_note_the_model_was_given_is_not_said_to_be_missing() {
    let mut desk = Desk::new(guarded());
    let at = desk.state.desk.as_ref().unwrap().at;
    let seq = desk.state.desk.as_ref().unwrap().seq + 1;
    let cycle = Some(CycleId::new(at, 7));
    let envelope = Envelope { seq, at, cycle, event: Event::Note { text: None } };
    desk.apply(Msg::Feed(Box::new(Feed::Event(envelope))));
    assert_eq!(desk.state.log.back().unwrap().text, "the model was given the note");
}

#[test]
fn a_page_that_is_full_is_turned_over_and_keeps_its_last_lines() {
    let mut desk = streaming();
    desk.apply(Msg::Resize(80, 24));
    let body = |desk: &Desk| {
        let shown = screen(desk, (80, 24));
        shown.lines().filter(|line| line.contains("││")).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut turned = 0;
    let mut before = body(&desk);
    for number in 0..60 {
        desk.tell(Event::AnalysisDelta { text: format!("\nline {number}").as_str().into() });
        let after = body(&desk);
        let moved = before.iter().zip(&after).filter(|(one, other)| one != other).count();
        turned += usize::from(moved > 3);
        before = after;
    }
    assert!((1..=15).contains(&turned), "{turned} pages for sixty lines");
}
