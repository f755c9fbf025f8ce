//! The console in a real terminal: the binary in a pty, its bytes read by a terminal emulator.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use tempfile::TempDir;

/// A wait that only ends a broken run; a right one ends as soon as the screen shows what is waited for.
const GIVE_UP: Duration = Duration::from_mins(1);

struct Console {
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    bytes: Receiver<Vec<u8>>,
    screen: vt100::Parser,
    _home: Rc<TempDir>,
}

impl Console {
    fn start(rows: u16, cols: u16, arguments: &[&str]) -> Self {
        Self::start_at_home(Rc::new(tempfile::tempdir().unwrap()), rows, cols, arguments)
    }

    fn start_at_home(home: Rc<TempDir>, rows: u16, cols: u16, arguments: &[&str]) -> Self {
        let pty =
            native_pty_system().openpty(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_jarvis"));
        command.env_clear();
        command.env("HOME", home.path());
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        command.args(arguments);
        let child = pty.slave.spawn_command(command).unwrap();
        drop(pty.slave);
        let mut reader = pty.master.try_clone_reader().unwrap();
        let (sender, bytes) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        let keys = pty.master.take_writer().unwrap();
        Self {
            child,
            master: pty.master,
            keys,
            bytes,
            screen: vt100::Parser::new(rows, cols, 0),
            _home: home,
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    fn text(&self) -> String {
        self.screen.screen().contents()
    }

    fn wait_for(&mut self, what: &str, seen: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + GIVE_UP;
        while !seen(&self.text()) {
            match self.bytes.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.screen.process(&bytes),
                Err(error) => panic!("waiting for {what}: {error}; the screen:\n{}", self.text()),
            }
        }
    }

    /// Waits for the end and returns the exit code; by then everything written was read.
    fn end(mut self) -> (u32, vt100::Parser) {
        let deadline = Instant::now() + GIVE_UP;
        loop {
            match self.bytes.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.screen.process(&bytes),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end; the screen:\n{}", self.text()),
            }
        }
        let screen = std::mem::replace(&mut self.screen, vt100::Parser::new(1, 1, 0));
        (self.child.wait().unwrap().exit_code(), screen)
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // Ends a console that a failed test leaves behind; one that ended is gone already.
        let _ = self.child.kill();
    }
}

fn signal(signal: &str, pid: u32) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

/// A desk without a console, ready for some.
struct Served {
    child: std::process::Child,
    socket: std::path::PathBuf,
}

impl Served {
    fn start(home: &TempDir) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_jarvis"))
            .env_clear()
            .env("HOME", home.path())
            .arg("serve")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        let socket = ready["socket"].as_str().unwrap().into();
        Self { child, socket }
    }

    /// Asks it to end, and returns its exit code.
    fn end(mut self) -> Option<i32> {
        signal("-TERM", self.child.id());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Ends a desk that a failed test leaves behind; one that ended is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn assert_restored(screen: &vt100::Parser) {
    let screen = screen.screen();
    assert!(!screen.alternate_screen(), "the alternate screen is still on");
    assert!(!screen.hide_cursor(), "the cursor is still hidden");
    assert!(!screen.bracketed_paste(), "bracketed paste is still on");
}

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
    console.master.resize(PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 }).unwrap();
    console.screen.screen_mut().set_size(24, 80);
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

/// The lines a process prints, as they come.
struct Printed {
    child: std::process::Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    seen: Vec<String>,
}

impl Printed {
    fn start(home: &TempDir, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_jarvis"))
            .env_clear()
            .env("HOME", home.path())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, seen: Vec::new() }
    }

    /// Reads on until a line contains a word.
    fn wait_for(&mut self, word: &str) {
        while !self.seen.iter().any(|line| line.contains(word)) {
            let line = self.lines.next().unwrap_or_else(|| panic!("no {word} in {:#?}", self.seen)).unwrap();
            self.seen.push(line);
        }
    }

    /// Sends a signal and reads everything up to the end.
    fn end(mut self, how: &str) -> (Option<i32>, Vec<String>) {
        signal(how, self.child.id());
        self.seen.extend(self.lines.by_ref().map(Result::unwrap));
        (self.child.wait().unwrap().code(), std::mem::take(&mut self.seen))
    }
}

impl Drop for Printed {
    fn drop(&mut self) {
        // Ends one that a failed test leaves behind; one that ended is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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

/// The word that answers the question on the screen.
fn word_asked(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("type ")?;
    rest.split_once(" and press enter").map(|(word, _)| word.to_owned())
}

#[test]
fn a_position_is_closed_and_the_desk_is_frozen_and_resumed_by_typed_answers_alone() {
    let mut console = Console::start(40, 120, &[]);
    // The header tells how a cycle went once it is over.
    let told = |text: &str| text.lines().nth(1).is_some_and(|line| line.contains("opened"));
    console.wait_for("the first cycle to end", told);
    // Neither y nor enter is an answer.
    console.press("x");
    console.wait_for("the question", |text| word_asked(text).is_some());
    console.press("y\r");
    console.wait_for("that nothing was done", |text| text.contains("left as it was"));
    console.press("x");
    console.wait_for("the question again", |text| word_asked(text).is_some());
    let word = word_asked(&console.text()).unwrap();
    console.press(&format!("{word}\r"));
    console.wait_for("the close", |text| !text.contains("Close this position?") && text.contains("closed"));

    console.press("5");
    console.wait_for("the ladder", |text| text.contains("nothing is halted"));
    for (key, seen) in [("z", "1 in force"), ("r", "nothing is halted")] {
        console.press(key);
        console.wait_for("its question", |text| word_asked(text).is_some());
        let word = word_asked(&console.text()).unwrap();
        console.press(&format!("{word}\r"));
        console.wait_for(seen, |text| text.contains(seen));
    }
    console.press("1");
    console.master.resize(PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 }).unwrap();
    console.screen.screen_mut().set_size(24, 80);
    console.wait_for("the desk at the new size", |text| text.contains("[Accounts]"));
    console.press("q");
    let (code, screen) = console.end();
    assert_eq!(code, 0);
    assert_restored(&screen);
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

/// Keys a monkey presses on a real console; as many as `JARVIS_MONKEY_KEYS` says.
const MONKEY_KEYS: usize = 2_000;

/// A key of a monkey, as a terminal sends it. It leaves only by way of the palette: the keys that quit are not among
/// them. Escape comes in its long form: the short one and the next key would be read as the beginning of a sequence.
fn monkey_key(random: u64) -> String {
    const SPECIAL: [&str; 16] = [
        "\r",
        "\t",
        "\u{1b}[27u",
        "\u{7f}",
        "\u{1b}[A",
        "\u{1b}[B",
        "\u{1b}[C",
        "\u{1b}[D",
        "\u{1b}[5~",
        "\u{1b}[6~",
        "\u{1b}[H",
        "\u{1b}[F",
        "\u{1b}[Z",
        "\u{10}",
        "ğ",
        "日",
    ];
    let pick = usize::try_from(random >> 8).unwrap();
    if random.is_multiple_of(3) {
        return SPECIAL[pick % SPECIAL.len()].to_owned();
    }
    match char::from(b' ' + u8::try_from(pick % 95).unwrap()) {
        'q' => "1".to_owned(),
        other => other.to_string(),
    }
}

#[test]
fn a_monkey_at_the_keys_breaks_neither_the_console_nor_the_desk() {
    let keys = std::env::var("JARVIS_MONKEY_KEYS").map_or(MONKEY_KEYS, |count| count.parse().unwrap());
    let home = Rc::new(tempfile::tempdir().unwrap());
    let desk = Served::start(&home);
    let start = || Console::start_at_home(Rc::clone(&home), 40, 120, &["attach"]);
    let mut console = start();
    console.wait_for("the desk", |text| text.contains("[Accounts]"));
    let mut random: u64 = 7;
    for pressed in 0..keys {
        // A full-period generator of 64 bits (Knuth's MMIX constants); its upper bits are the random ones.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let key = monkey_key(random >> 24);
        let gone = console.keys.write_all(key.as_bytes()).is_err();
        while let Ok(bytes) = console.bytes.try_recv() {
            console.screen.process(&bytes);
        }
        if gone || (pressed % 64 == 0 && console.child.try_wait().unwrap().is_some()) {
            let (code, screen) = console.end();
            assert_eq!(code, 0, "after {pressed} keys");
            assert_restored(&screen);
            console = start();
            console.wait_for("the desk", |text| text.contains("1 Desk"));
        }
    }
    // Leaves whatever lies over the screen, then the console.
    for key in ["\u{1b}[27u", "\u{1b}[27u", "\u{3}", "\u{3}"] {
        // One that has left already takes no more keys.
        let _ = console.keys.write_all(key.as_bytes());
    }
    let (code, screen) = console.end();
    assert_eq!(code, 0);
    assert_restored(&screen);
    assert_eq!(desk.end(), Some(0), "the desk lives through all of it");
}
