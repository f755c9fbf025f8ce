//! What a frame is written to.

use std::io::{self, Write};

use crossterm::queue;
use crossterm::terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate};
use ratatui::backend::{Backend, CrosstermBackend, TestBackend};

/// A backend that can be told where a frame begins and ends.
pub trait Surface: Backend {
    /// What follows belongs together, and the terminal knows how to show it so.
    fn begin(&mut self) -> io::Result<()>;
    /// What began is complete.
    fn end(&mut self) -> io::Result<()>;
    /// Everything written so far is on its way.
    fn deliver(&mut self) -> io::Result<()>;
    /// Says something beside the frames: the bell, the clipboard.
    fn say(&mut self, escape: &str) -> io::Result<()>;
}

impl<W: Write> Surface for CrosstermBackend<W> {
    fn begin(&mut self) -> io::Result<()> {
        queue!(self, BeginSynchronizedUpdate)
    }
    fn end(&mut self) -> io::Result<()> {
        queue!(self, EndSynchronizedUpdate)
    }
    fn deliver(&mut self) -> io::Result<()> {
        Write::flush(self)
    }
    fn say(&mut self, escape: &str) -> io::Result<()> {
        self.write_all(escape.as_bytes())?;
        Write::flush(self)
    }
}

impl Surface for TestBackend {
    fn begin(&mut self) -> io::Result<()> {
        Ok(())
    }
    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
    fn deliver(&mut self) -> io::Result<()> {
        Ok(())
    }
    fn say(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }
}
