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
