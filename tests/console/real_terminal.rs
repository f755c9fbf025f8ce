//! The console on a real terminal: this test binary starts itself again inside a pty, and a screen model reads along.

use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use jarvis::console::{ColorDepth, ConsoleOptions, Exit, Habits, run};
use jarvis::domain::Feed;
use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use tokio::sync::mpsc;

use crate::fixture::{busy, theme};

const CHILD: &str = "JARVIS_CONSOLE_TEST_CHILD";

/// The inside of the pty: a console fed one snapshot. Does nothing when run as an ordinary test.
#[test]
fn inside_the_pty() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let exit = runtime.block_on(async {
        let (feeds, incoming) = mpsc::channel(4);
        let (outgoing, _commands) = mpsc::channel(4);
        feeds.send(Feed::Snapshot(Box::new(busy()))).await.unwrap();
        let options = ConsoleOptions {
            theme: theme(),
            read_only: false,
            color: ColorDepth::Ansi256,
            habits: Habits::default(),
        };
        run(incoming, outgoing, options).await
    });
    std::process::exit(match exit {
        Ok(Exit::Quit) => 0,
        Ok(Exit::Signal(number)) => 100 + number,
        Ok(Exit::TerminalGone) => 90,
        Err(_) => 91,
    });
}

/// The outside of the pty. Ends its child whatever happens.
struct Outside {
    master: Box<dyn portable_pty::MasterPty + Send>,
    child: Box<dyn portable_pty::Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    written: Receiver<Vec<u8>>,
    screen: vt100::Parser,
}

impl Outside {
    fn start() -> Self {
        let size = PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
        command.args(["--exact", "real_terminal::inside_the_pty", "--nocapture", "--test-threads=1"]);
        command.env(CHILD, "1");
        command.env("TERM", "xterm-256color");
        let child = pair.slave.spawn_command(command).unwrap();
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (chunks, written) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                if chunks.send(bytes[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        let keys = pair.master.take_writer().unwrap();
        Self { master: pair.master, child, keys, written, screen: vt100::Parser::new(24, 80, 0) }
    }

    /// Reads along until the screen satisfies a condition.
    fn until(&mut self, what: &str, condition: impl Fn(&vt100::Screen) -> bool) {
        while !condition(self.screen.screen()) {
            match self.written.recv_timeout(Duration::from_secs(30)) {
                Ok(bytes) => self.screen.process(&bytes),
                Err(error) => panic!("never saw {what}, {error}:\n{}", self.screen.screen().contents()),
            }
        }
    }

    fn sees(&mut self, text: &str) {
        self.until(text, |screen| screen.contents().contains(text));
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    fn ends_with(mut self, code: u32) {
        while let Ok(bytes) = self.written.recv_timeout(Duration::from_secs(30)) {
            self.screen.process(&bytes);
        }
        assert_eq!(self.child.wait().unwrap().exit_code(), code);
        let screen = self.screen.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste());
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        // It has usually ended by itself.
        let _ = self.child.kill();
    }
}

#[test]
fn q_gives_the_terminal_back() {
    let mut outside = Outside::start();
    outside.sees("PAPER");
    outside.until("the alternate screen", |screen| screen.alternate_screen() && screen.hide_cursor());
    outside.press("?");
    outside.sees("Keys and marks");
    outside.press("q");
    outside.until("the page gone", |screen| !screen.contents().contains("Keys and marks"));
    outside.press("q");
    outside.ends_with(0);
}

#[test]
fn control_c_gives_the_terminal_back() {
    let mut outside = Outside::start();
    outside.sees("PAPER");
    outside.press("\u{3}");
    outside.ends_with(0);
}

#[test]
fn a_terminate_signal_gives_the_terminal_back() {
    let mut outside = Outside::start();
    outside.sees("PAPER");
    let pid = outside.child.process_id().unwrap();
    assert!(std::process::Command::new("kill").arg(pid.to_string()).status().unwrap().success());
    outside.ends_with(115);
}

#[test]
fn a_resized_terminal_is_drawn_anew() {
    let mut outside = Outside::start();
    outside.sees("Decisions");
    outside.screen.screen_mut().set_size(10, 40);
    outside.master.resize(PtySize { rows: 10, cols: 40, pixel_width: 0, pixel_height: 0 }).unwrap();
    outside.sees("Please enlarge");
    outside.press("q");
    outside.ends_with(0);
}
