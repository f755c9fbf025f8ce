//! The binary in a pty, its bytes read by a terminal emulator; desks without a console; logs line by line.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use tempfile::TempDir;

/// A wait that only ends a broken run; a right one ends as soon as the screen shows what is waited for.
const GIVE_UP: Duration = Duration::from_mins(1);

pub struct Console {
    pub child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    pub keys: Box<dyn Write + Send>,
    bytes: Receiver<Vec<u8>>,
    pub screen: vt100::Parser,
    /// Everything it wrote, as it came.
    pub written: Vec<u8>,
    _home: Rc<TempDir>,
}

impl Console {
    pub fn start(rows: u16, cols: u16, arguments: &[&str]) -> Self {
        Self::start_at_home(Rc::new(tempfile::tempdir().unwrap()), rows, cols, arguments)
    }

    pub fn start_at_home(home: Rc<TempDir>, rows: u16, cols: u16, arguments: &[&str]) -> Self {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_jarvis"));
        command.args(arguments);
        Self::run(home, rows, cols, command)
    }

    /// Any program on a terminal of its own.
    pub fn run(home: Rc<TempDir>, rows: u16, cols: u16, mut command: CommandBuilder) -> Self {
        let pty =
            native_pty_system().openpty(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
        command.env_clear();
        command.env("HOME", home.path());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        command.env("PS1", "shell> ");
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
            written: Vec::new(),
            _home: home,
        }
    }

    pub fn press(&mut self, keys: &str) {
        self.press_bytes(keys.as_bytes());
    }

    pub fn press_bytes(&mut self, bytes: &[u8]) {
        self.keys.write_all(bytes).unwrap();
        self.keys.flush().unwrap();
    }

    pub fn take(&mut self, bytes: &[u8]) {
        self.written.extend_from_slice(bytes);
        self.screen.process(bytes);
    }

    /// Reads for a while, or until the screen shows what is looked for; whether it does.
    pub fn shows_within(&mut self, wait: Duration, seen: impl Fn(&str) -> bool) -> bool {
        let deadline = Instant::now() + wait;
        while !seen(&self.text()) {
            match self.bytes.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.take(&bytes),
                Err(_) => return false,
            }
        }
        true
    }

    pub fn resize(&mut self, rows: u16, cols: u16) {
        self.master.resize(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
        self.screen.screen_mut().set_size(rows, cols);
    }

    pub fn text(&self) -> String {
        self.screen.screen().contents()
    }

    pub fn wait_for(&mut self, what: &str, seen: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + GIVE_UP;
        while !seen(&self.text()) {
            match self.bytes.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.take(&bytes),
                Err(error) => panic!("waiting for {what}: {error}; the screen:\n{}", self.text()),
            }
        }
    }

    /// Waits for the end and returns the exit code; by then everything written was read.
    pub fn end(mut self) -> (u32, vt100::Parser) {
        let deadline = Instant::now() + GIVE_UP;
        loop {
            match self.bytes.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.take(&bytes),
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

pub fn signal(signal: &str, pid: u32) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

/// A desk without a console, ready for some.
pub struct Served {
    child: std::process::Child,
    pub socket: std::path::PathBuf,
}

impl Served {
    pub fn start(home: &TempDir) -> Self {
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
    pub fn end(mut self) -> Option<i32> {
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

/// Whether a mode is on after everything that was written.
pub fn is_on(written: &[u8], mode: &str) -> bool {
    let last = |end: char| {
        let sequence = format!("\u{1b}[?{mode}{end}");
        written.windows(sequence.len()).rposition(|window| window == sequence.as_bytes())
    };
    last('h') > last('l')
}

pub fn assert_restored(screen: &vt100::Parser) {
    let screen = screen.screen();
    assert!(!screen.alternate_screen(), "the alternate screen is still on");
    assert!(!screen.hide_cursor(), "the cursor is still hidden");
    assert!(!screen.bracketed_paste(), "bracketed paste is still on");
}

/// The lines a process prints, as they come.
pub struct Printed {
    child: std::process::Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    seen: Vec<String>,
}

impl Printed {
    pub fn start(home: &TempDir, arguments: &[&str]) -> Self {
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
    pub fn wait_for(&mut self, word: &str) {
        while !self.seen.iter().any(|line| line.contains(word)) {
            let line = self.lines.next().unwrap_or_else(|| panic!("no {word} in {:#?}", self.seen)).unwrap();
            self.seen.push(line);
        }
    }

    /// Sends a signal and reads everything up to the end.
    pub fn end(mut self, how: &str) -> (Option<i32>, Vec<String>) {
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
