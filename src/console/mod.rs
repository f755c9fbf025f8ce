//! The terminal: state, update, views, keymap, theme.
//!
//! A console is a replica of a desk. It is fed [`Feed`](crate::domain::Feed)s, sends
//! [`Request`](crate::domain::Request)s, and knows nothing else of the house:
//!
//! ```text
//! keys ──► keymap ──► update(&mut State, Msg) -> Vec<Effect> ──► requests
//! feed ────────────►        (pure)
//!                             │
//!                             ▼ when something changed, at most ten times a second
//!                     view::draw(frame, &State, &Theme)   (pure)
//! ```

pub mod colour;
mod driver;
pub mod format;
pub mod keymap;
pub mod layout;
pub mod picture;
mod prose;
pub mod state;
pub mod terminal;
pub mod theme;
pub mod update;
pub mod view;
mod wrap;

pub use driver::{Surface, drive, run};
pub use theme::{ColorChoice, ColorDepth, Theme};

/// What a console is told about its operator.
#[derive(Debug, Clone)]
pub struct ConsoleOptions {
    /// How everything looks; shown at the depth of `color`.
    pub theme: Theme,
    /// Whether commands are switched off.
    pub read_only: bool,
    /// The colours the terminal can show.
    pub color: ColorDepth,
}

/// Why a console ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The operator left.
    Quit,
    /// A signal said so: its number.
    Signal(i32),
    /// The terminal is no longer there.
    TerminalGone,
}
