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
pub fn enter(depth: ColorDepth) -> io::Result<(Screen, Taken)> {
    style::force_color_output(depth != ColorDepth::None);
    terminal::enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    let taken = Taken(());
    let mut out = BufWriter::with_capacity(16 * 1024, io::stdout());
    execute!(out, EnterAlternateScreen, event::EnableBracketedPaste, cursor::Hide)?;
    let screen = Terminal::new(CrosstermBackend::new(out))?;
    Ok((screen, taken))
}

/// Gives the terminal back. Safe to call from anywhere any number of times: only the first call after [`enter`]
/// writes, because a second one would move the cursor over what was printed since.
pub fn restore() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    // Nothing can be reported when the terminal is the thing that fails.
    let mut out = io::stdout();
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
