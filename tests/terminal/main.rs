//! The console in a real terminal.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod acting;
mod deafness;
mod pty;

use std::rc::Rc;

use self::pty::{Console, Printed, Served, assert_restored, signal};

#[test]
fn a_newcomer_sees_a_cycle_and_leaves_by_q_with_the_terminal_restored() {
    let mut console = Console::start(40, 120, &[]);
    console
        .wait_for("the badges", |text| text.contains("BUILT-IN PRICES") && text.contains("BUILT-IN ANALYST"));
    console.wait_for("the first cycle to open something", |text| text.contains("opened"));
    console.press("?");
    console.wait_for("the help", |text| text.contains("force"));
    console.press("?");
    console.press("f");
    console.wait_for("a forced cycle", |text| text.contains("cycle"));
    console.press("q");
    let (code, screen) = console.end();
    assert_eq!(code, 0);
    assert_restored(&screen);
}

#[test]
fn the_screen_is_drawn_anew_without_asking_the_terminal_anything() {
    let mut console = Console::start(24, 80, &[]);
    console.wait_for("the badges", |text| text.contains("PAPER"));
    // What somebody else left on the screen is gone after ctrl-l, and the console goes on.
    console.screen.process(b"\x1b[1;1Hsomebody else was here");
    console.press("\u{c}");
    console.wait_for("a clean screen", |text| text.contains("PAPER") && !text.contains("somebody"));
    console.press("?");
    console.wait_for("the help", |text| text.contains("Keys and marks"));
    console.press("q");
    console.press("q");
    assert_eq!(console.end().0, 0);
}

#[test]
fn a_hangup_ends_it_in_order() {
    let console = {
        let mut console = Console::start(24, 80, &[]);
        console.wait_for("the badges", |text| text.contains("PAPER"));
        console
    };
    let pid = console.child.process_id().unwrap();
    signal("-HUP", pid);
    let (code, screen) = console.end();
    assert_eq!(code, 0);
    assert_restored(&screen);
}

#[test]
fn a_tiny_terminal_gets_a_sentence_and_a_larger_one_the_desk() {
    let mut console = Console::start(5, 20, &[]);
    console.wait_for("something polite", |text| text.split_whitespace().count() > 2);
    console.resize(24, 80);
    console.wait_for("the desk", |text| text.contains("Accounts"));
    console.press("q");
    assert_eq!(console.end().0, 0);
}

#[test]
fn wrong_settings_leave_a_sentence_on_a_plain_terminal() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("broken.toml");
    std::fs::write(&file, "nonsense = 1\n").unwrap();
    let console = Console::start(24, 80, &["--config", &file.display().to_string()]);
    let (code, screen) = console.end();
    assert_eq!(code, 3);
    assert_restored(&screen);
    assert!(screen.screen().contents().contains("nonsense"));
}

#[test]
fn consoles_come_and_go_while_a_served_desk_works_on() {
    use std::os::unix::fs::PermissionsExt;

    let home = Rc::new(tempfile::tempdir().unwrap());
    let desk = Served::start(&home);
    let mode = std::fs::metadata(&desk.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "the socket is the owner's alone");

    let mut watcher = Console::start_at_home(Rc::clone(&home), 40, 120, &["attach", "--read-only"]);
    watcher.wait_for("the desk", |text| text.contains("mirat"));
    let mut console = Console::start_at_home(Rc::clone(&home), 40, 120, &["attach"]);
    console.wait_for("the first cycle", |text| text.contains("opened"));
    console.press("d");
    console.wait_for("dry-run", |text| text.contains("DRY"));
    watcher.wait_for("dry-run on the other console", |text| text.contains("DRY"));

    signal("-HUP", console.child.process_id().unwrap());
    let (code, screen) = console.end();
    assert_eq!(code, 0);
    assert_restored(&screen);

    let socket = desk.socket.clone();
    assert_eq!(desk.end(), Some(0), "TERM ends a served desk in order");
    assert!(!socket.exists(), "the door is shut");
    watcher.wait_for("that the desk is away", |text| text.contains("does not answer"));
    let desk = Served::start(&home);
    watcher.wait_for("the desk again", |text| text.contains("opened") && !text.contains("does not answer"));
    watcher.press("q");
    assert_eq!(watcher.end().0, 0, "leaving an attached console ends nothing else");
    assert_eq!(desk.end(), Some(0));
}

#[test]
fn attaching_to_nothing_says_how_to_start_a_desk() {
    let (code, screen) = Console::start(24, 80, &["attach"]).end();
    assert_eq!(code, 1);
    assert!(screen.screen().contents().contains("jarvis serve"));
}

#[test]
fn the_plain_log_tells_a_cycle_line_by_line_and_ends_on_a_signal() {
    for how in ["-TERM", "-INT", "-HUP"] {
        let home = tempfile::tempdir().unwrap();
        let mut log = Printed::start(&home, &["--plain"]);
        log.wait_for("cycle done");
        let (code, lines) = log.end(how);
        assert_eq!(code, Some(0), "{how}");
        for word in ["starting: ", "info the desk: paper", "cycle started", " opened", "filled"] {
            assert!(lines.iter().any(|line| line.contains(word)), "no {word} in {lines:#?}");
        }
        assert!(lines.iter().all(|line| !line.contains(char::is_control)), "{lines:#?}");
    }
}

#[test]
fn a_plain_log_of_a_served_desk_comes_and_goes() {
    let home = tempfile::tempdir().unwrap();
    let desk = Served::start(&home);
    let mut log = Printed::start(&home, &["attach", "--plain"]);
    log.wait_for("the desk: paper");
    let (code, _) = log.end("-TERM");
    assert_eq!(code, Some(0));
    assert_eq!(desk.end(), Some(0), "the desk did not notice");
}

#[test]
fn killing_an_attached_console_leaves_the_desk_and_the_next_one_alone() {
    let home = Rc::new(tempfile::tempdir().unwrap());
    let desk = Served::start(&home);
    let mut console = Console::start_at_home(Rc::clone(&home), 24, 80, &["attach"]);
    console.wait_for("the desk", |text| text.contains("[Accounts]"));
    signal("-KILL", console.child.process_id().unwrap());
    console.end();
    let mut next = Console::start_at_home(Rc::clone(&home), 24, 80, &["attach"]);
    next.wait_for("the desk again", |text| text.contains("[Accounts]"));
    next.press("q");
    assert_eq!(next.end().0, 0);
    assert_eq!(desk.end(), Some(0));
}
