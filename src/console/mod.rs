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

mod asking;
pub mod colour;
mod driver;
pub mod format;
mod hear;
pub mod input;
mod kept_back;
pub mod keymap;
pub mod layout;
pub mod line_log;
pub mod marked;
mod mouse;
mod moving;
mod overlay;
mod pages;
mod pen;
pub mod picture;
mod possible;
mod prose;
mod reader;
pub mod screens;
mod stamps;
pub mod state;
mod surface;
mod table;
mod telling;
pub mod terminal;
pub mod theme;
mod typing;
pub mod update;
pub mod view;
mod wrap;

pub use driver::{Surface, drive, run};
pub use keymap::{Keymap, KeymapError};
pub use pages::Asked;
pub use pen::Pen;
pub use theme::{ColorChoice, ColorDepth, Theme};

use crate::config::ConsoleSettings;

/// What a console is told about its operator.
#[derive(Debug, Clone)]
pub struct ConsoleOptions {
    /// How everything looks; shown at the depth of `color`.
    pub theme: Theme,
    /// Whether commands are switched off.
    pub read_only: bool,
    /// The colours the terminal can show.
    pub color: ColorDepth,
    /// Keys, time zone, mouse, letters.
    pub habits: Habits,
}

/// What an operator is used to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Habits {
    /// Which key does what.
    pub keys: Keymap,
    /// Whose time of day is shown.
    pub zone: chrono::FixedOffset,
    /// Whether the console takes the mouse.
    pub mouse: bool,
    /// Whether only letters are drawn: no box drawing, no symbols.
    pub ascii: bool,
    /// Whether ctrl-z stops it: not when the desk lives in the same process.
    pub suspendable: bool,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            keys: Keymap::default(),
            zone: chrono::Offset::fix(&chrono::Utc),
            mouse: false,
            ascii: false,
            suspendable: false,
        }
    }
}

impl Habits {
    /// The habits of the settings. Letters only are also what the Linux console and a locale without UTF-8 get.
    ///
    /// # Errors
    /// When a key of the settings cannot be used; the message says which and what is allowed.
    pub fn new(
        settings: &ConsoleSettings,
        variable: impl Fn(&str) -> Option<String>,
        suspendable: bool,
    ) -> Result<Self, KeymapError> {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .find_map(|name| variable(name).filter(|value| !value.is_empty()))
            .unwrap_or_default()
            .to_ascii_lowercase();
        let plain_locale = matches!(locale.as_str(), "c" | "posix");
        let linux = variable("TERM").is_some_and(|term| term == "linux");
        Ok(Self {
            keys: Keymap::new(&settings.keys)?,
            zone: settings.time_zone,
            mouse: settings.mouse,
            ascii: settings.ascii || linux || plain_locale,
            suspendable,
        })
    }
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
