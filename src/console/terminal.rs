//! Takes the terminal over and gives it back, once.

use std::io::{self, BufWriter, Stdout, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::style::Print;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{cursor, event, execute, style, terminal};
use ratatui::Terminal;
use rustix::process::{Signal, getpid, getsid, kill_current_process_group};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use super::colour::ColorDepth;
use super::pen::Pen;

/// Whether the terminal is ours at the moment.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Whether the mouse is ours at the moment.
static MOUSE: AtomicBool = AtomicBool::new(false);

/// Asks whether the terminal knows synchronized output (DECRQM). Terminals that know nothing of the question are
/// silent.
const ASK_SYNCHRONIZED: &str = "\x1b[?2026$p";

/// Presses, drags and the wheel, by numbers that have no end at column 223. Bare motion is not asked for: over a slow
/// line it costs more than it tells.
const MOUSE_ON: &str = "\x1b[?1000h\x1b[?1002h\x1b[?1006h";
const MOUSE_OFF: &str = "\x1b[?1006l\x1b[?1002l\x1b[?1000l";

/// How long this process may go on before it is stopped.
const UNTIL_STOPPED: Duration = Duration::from_millis(200);

/// The terminal a console draws on.
pub type Screen = Terminal<Pen<BufWriter<Stdout>>>;

/// Gives the terminal back when dropped.
#[derive(Debug)]
pub struct Taken(());

impl Drop for Taken {
    fn drop(&mut self) {
        restore();
    }
}

/// Raw mode, alternate screen, bracketed paste, focus reports, no cursor. [`restore`] undoes it, also from a panic hook.
/// The mouse is taken only when asked: it takes away the terminal's own selecting and scrolling.
/// Whether the terminal knows synchronized output is asked and not waited for: the answer comes with the keys.
pub fn enter(depth: ColorDepth, mouse: bool) -> io::Result<(Screen, Taken)> {
    style::force_color_output(depth != ColorDepth::None);
    let taken = Taken(());
    let mut out = BufWriter::with_capacity(16 * 1024, io::stdout());
    take(&mut out, mouse)?;
    execute!(out, Print(ASK_SYNCHRONIZED))?;
    let screen = Terminal::new(Pen::new(out))?;
    Ok((screen, taken))
}

fn take(out: &mut impl Write, mouse: bool) -> io::Result<()> {
    terminal::enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    execute!(out, EnterAlternateScreen, event::EnableBracketedPaste, event::EnableFocusChange, cursor::Hide)?;
    if mouse {
        execute!(out, Print(MOUSE_ON))?;
        MOUSE.store(true, Ordering::SeqCst);
    }
    Ok(())
}

/// Stops this job as ctrl-z does anywhere else; when it goes on, the terminal is taken over again.
///
/// # Errors
/// When no shell waits behind this console, or the terminal cannot be taken over again.
pub async fn suspend(mouse: bool) -> io::Result<()> {
    if getsid(None)? == getpid() {
        return Err(io::Error::other("no shell started this console that could go on instead"));
    }
    let mut goes_on = signal(SignalKind::from_raw(Signal::CONT.as_raw()))?;
    restore();
    kill_current_process_group(Signal::TSTP)?;
    // The signal may reach another thread first. Taking the terminal over before this one stands still as well would
    // leave the shell with a raw one. A job that nobody can continue is not stopped at all: hence the limit.
    let _ = timeout(UNTIL_STOPPED, goes_on.recv()).await;
    take(&mut io::stdout(), mouse)
}

/// The escape sequence that puts a text into the terminal's clipboard (OSC 52).
pub fn clipboard(text: &str) -> String {
    let mut sequence = String::new();
    // Writing to a String cannot fail.
    let _ = crossterm::Command::write_ansi(
        &crossterm::clipboard::CopyToClipboard::to_clipboard_from(text),
        &mut sequence,
    );
    sequence
}

/// Gives the terminal back. Safe to call from anywhere any number of times: only the first call after [`enter`]
/// writes, because a second one would move the cursor over what was printed since.
pub fn restore() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    // Nothing can be reported when the terminal is the thing that fails.
    let mut out = io::stdout();
    if MOUSE.swap(false, Ordering::SeqCst) {
        let _ = execute!(out, Print(MOUSE_OFF));
    }
    let off = (event::DisableFocusChange, event::DisableBracketedPaste);
    // A terminal that grew meanwhile would keep what stood here: some let go of no more than they had at first.
    let cleared = (style::ResetColor, terminal::Clear(terminal::ClearType::All));
    let _ = execute!(out, off.0, off.1, cleared.0, cleared.1, cursor::Show, LeaveAlternateScreen);
    let _ = terminal::disable_raw_mode();
    let _ = out.flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_that_was_never_taken_is_left_alone() {
        restore();
        assert!(!TAKEN.load(Ordering::SeqCst));
    }
}
