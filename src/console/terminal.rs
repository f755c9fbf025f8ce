//! Takes the terminal over and gives it back, once.

use std::io::{self, BufWriter, Stdout, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{cursor, event, execute, style, terminal};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

use super::colour::ColorDepth;

/// Whether the terminal is ours at the moment.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Whether the mouse is ours at the moment.
static MOUSE: AtomicBool = AtomicBool::new(false);

/// The terminal a console draws on.
pub type Screen = Terminal<CrosstermBackend<BufWriter<Stdout>>>;

/// Gives the terminal back when dropped.
#[derive(Debug)]
pub struct Taken(());

impl Drop for Taken {
    fn drop(&mut self) {
        restore();
    }
}

/// Raw mode, alternate screen, bracketed paste, no cursor. [`restore`] undoes it, also from a panic hook.
/// The mouse is taken only when asked: it takes away the terminal's own selecting and scrolling.
pub fn enter(depth: ColorDepth, mouse: bool) -> io::Result<(Screen, Taken)> {
    style::force_color_output(depth != ColorDepth::None);
    let taken = Taken(());
    let mut out = BufWriter::with_capacity(16 * 1024, io::stdout());
    take(&mut out, mouse)?;
    let screen = Terminal::new(CrosstermBackend::new(out))?;
    Ok((screen, taken))
}

fn take(out: &mut impl Write, mouse: bool) -> io::Result<()> {
    terminal::enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    execute!(out, EnterAlternateScreen, event::EnableBracketedPaste, cursor::Hide)?;
    if mouse {
        execute!(out, event::EnableMouseCapture)?;
        MOUSE.store(true, Ordering::SeqCst);
    }
    Ok(())
}

/// Stops this process as ctrl-z does anywhere else; when it goes on, the terminal is taken over again.
pub fn suspend(mouse: bool) -> io::Result<()> {
    restore();
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TSTP)?;
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
        let _ = execute!(out, event::DisableMouseCapture);
    }
    let _ = execute!(out, event::DisableBracketedPaste, cursor::Show, LeaveAlternateScreen);
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
