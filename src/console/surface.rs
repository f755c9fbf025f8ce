//! What a frame is written to.

use std::io;

use ratatui::backend::{Backend, TestBackend};

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
