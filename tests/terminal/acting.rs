//! What an operator does with the keys, against the whole program.

use std::rc::Rc;

use portable_pty::CommandBuilder;

use crate::pty::{Console, Served, assert_restored, is_on};

/// The coin of the selected position, as the accounts panel marks it.
fn selected_coin(text: &str) -> Option<String> {
    let marked = text.lines().find_map(|line| line.split("│▸ ").nth(1))?;
    Some(marked.split_whitespace().next()?.to_owned())
}

/// How many positions the accounts panel says are open.
fn open_positions(text: &str) -> usize {
    let count = |line: &str| -> Option<usize> {
        let (before, _) = line.split_once(" open, ")?;
        before.split_whitespace().last()?.parse().ok()
    };
    text.lines().filter_map(count).sum()
}

#[test]
fn an_operator_forces_a_cycle_closes_a_position_and_halts_by_key() {
    let mut console = Console::start(40, 120, &[]);
    console.wait_for("the first cycle's end", |text| text.contains("opened") && text.contains(" est."));

    console.press("3");
    console.wait_for("the first cycle in the list", |text| text.matches(" first ").count() == 1);
    console.press("f");
    console.wait_for("the forced cycle as well", |text| {
        text.matches(" manual ").count() == 1 && !text.contains("running")
    });

    console.press("1");
    // The keys are the last of a frame to be drawn.
    console.wait_for("a position", |text| selected_coin(text).is_some() && text.contains(" x close "));
    let coin = selected_coin(&console.text()).unwrap();
    let held = open_positions(&console.text());
    console.press("x");
    console.wait_for("the question", |text| text.contains("Close this position?") && text.contains("PAPER"));
    // What is typed out of habit closes nothing, and the question stays until it is answered or left.
    console.press("y\r");
    console.wait_for("what was wrong", |text| text.contains("that is another word; nothing was done"));
    console.press("\u{1b}");
    let asks = |text: &str| text.contains("Close this position?") || text.contains(" and press enter");
    console.wait_for("no question", |text| !asks(text) && text.contains(" x close "));
    assert_eq!(open_positions(&console.text()), held);
    console.press("x");
    console.wait_for("the question again", |text| text.contains(&format!("type {coin} ")));
    console.press(&format!("{coin}\r"));
    console.wait_for("one position less", |text| open_positions(text) == held - 1);

    console.press("5e");
    console.wait_for("the question", |text| text.contains("Open nothing?"));
    console.press("halt\r");
    console.wait_for("the halt", |text| text.contains("▲ no entries") && text.contains("1 in force"));
    console.press("r");
    console.wait_for("the question", |text| text.contains("type resume "));
    console.press("resume\r");
    console.wait_for("no halt", |text| text.contains("nothing is halted"));

    for (rows, cols) in [(20, 60), (60, 200), (24, 80)] {
        console.resize(rows, cols);
        console.wait_for("the ladder at another size", |text| {
            let lines = text.lines().count();
            text.contains("Halt ladder") && text.contains("Guards") && lines > usize::from(rows) - 3
        });
    }
    console.press("q");
    let (code, screen) = console.end();
    assert_eq!(code, 0);
    assert_restored(&screen);
}

#[test]
fn an_attached_console_stops_on_control_z_and_comes_back_with_fg() {
    let home = Rc::new(tempfile::tempdir().unwrap());
    let desk = Served::start(&home);
    let mut shell = CommandBuilder::new("sh");
    shell.arg("-m");
    let mut console = Console::run(home, 24, 80, shell);
    console.wait_for("the shell", |text| text.contains("shell>"));
    console.press(&format!("{} attach\r", env!("CARGO_BIN_EXE_jarvis")));
    for _ in 0..3 {
        console.wait_for("the console", |text| text.contains("[Accounts]"));
        console.press("\u{1a}");
        console.wait_for("the shell's word", |text| text.contains("Stopped"));
        assert!(!console.screen.screen().alternate_screen(), "the shell has its screen back");
        assert!(!console.screen.screen().hide_cursor());
        // A raw terminal would neither echo nor end a line at a carriage return.
        console.press("echo lines=$(stty -a | grep -c -w -e -icanon)\r");
        console.wait_for("a cooked terminal", |text| text.contains("lines=0"));
        console.press("clear; fg\r");
    }
    console.wait_for("the console", |text| text.contains("[Accounts]"));
    assert!(console.screen.screen().alternate_screen() && console.screen.screen().bracketed_paste());
    assert!(is_on(&console.written, "1004"), "focus is reported again");
    // It hears keys, redraws on request and leaves in order.
    console.press("?");
    console.wait_for("the help", |text| text.contains("Keys and marks"));
    console.press("q");
    console.wait_for("the desk", |text| !text.contains("Keys and marks"));
    console.press("\u{c}");
    console.press("q");
    console.wait_for("the shell", |text| text.contains("shell>"));
    assert!(!is_on(&console.written, "1004"));
    console.press("echo left=$?\r");
    console.wait_for("a clean end", |text| text.contains("left=0"));
    console.press("exit\r");
    console.end();
    assert_eq!(desk.end(), Some(0));
}

#[test]
fn frames_are_bracketed_only_for_a_terminal_that_says_it_knows_how() {
    const BEGIN: &[u8] = b"\x1b[?2026h";
    let brackets = |written: &[u8]| written.windows(BEGIN.len()).filter(|window| *window == BEGIN).count();
    let mut console = Console::start(24, 80, &[]);
    console.wait_for("the badges", |text| text.contains("PAPER"));
    assert!(console.written.windows(9).any(|window| window == b"\x1b[?2026$p"), "it asks");
    console.press("?");
    console.wait_for("the help", |text| text.contains("Keys and marks"));
    assert_eq!(brackets(&console.written), 0, "a silent terminal gets plain frames");
    console.press("\u{1b}[?2026;2$yq");
    console.wait_for("the desk", |text| !text.contains("Keys and marks"));
    assert!(brackets(&console.written) > 0);
    console.press("q");
    let (code, screen) = console.end();
    assert_eq!(code, 0);
    assert_restored(&screen);
}
