//! One table of keys: it dispatches, fills the footer and writes the help page.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::state::{Panel, State};

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the table below says what each does")]
pub enum Action {
    ForceCycle,
    ToggleDryRun,
    ClosePosition,
    Acknowledge,
    NextTheme,
    Help,
    Quit,
    FocusNext,
    FocusPrevious,
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Binding {
    /// Keys that trigger it.
    pub keys: &'static [Key],
    /// How the keys are written.
    pub label: &'static str,
    /// What they do.
    pub action: Action,
    /// Two words for the footer; empty keeps it out of there.
    pub hint: &'static str,
    /// One line for the help page.
    pub help: &'static str,
}

/// A key without regard to how a terminal reports shift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A character.
    Char(char),
    /// A character with control held.
    Ctrl(char),
    /// Any other key.
    Code(KeyCode),
}

/// All bindings, most important first.
pub const BINDINGS: &[Binding] = &[
    Binding {
        keys: &[Key::Char('f')],
        label: "f",
        action: Action::ForceCycle,
        hint: "force",
        help: "run a cycle now",
    },
    Binding {
        keys: &[Key::Char('x')],
        label: "x",
        action: Action::ClosePosition,
        hint: "close",
        help: "close the selected position at market; asks first",
    },
    Binding {
        keys: &[Key::Char('d')],
        label: "d",
        action: Action::ToggleDryRun,
        hint: "dry-run",
        help: "decide and store but send no orders; asks before trading again",
    },
    Binding {
        keys: &[Key::Code(KeyCode::Tab)],
        label: "tab",
        action: Action::FocusNext,
        hint: "panel",
        help: "next panel",
    },
    Binding {
        keys: &[Key::Char('?'), Key::Code(KeyCode::F(1))],
        label: "?",
        action: Action::Help,
        hint: "help",
        help: "this page",
    },
    Binding {
        keys: &[Key::Char('q'), Key::Ctrl('c')],
        label: "q",
        action: Action::Quit,
        hint: "quit",
        help: "leave; the stops stay at the exchange (ctrl-c does the same)",
    },
    Binding {
        keys: &[Key::Char('a')],
        label: "a",
        action: Action::Acknowledge,
        hint: "",
        help: "put the alarms aside on this screen",
    },
    Binding {
        keys: &[Key::Char('t')],
        label: "t",
        action: Action::NextTheme,
        hint: "theme",
        help: "next theme",
    },
    Binding {
        keys: &[Key::Code(KeyCode::BackTab)],
        label: "shift-tab",
        action: Action::FocusPrevious,
        hint: "",
        help: "previous panel",
    },
    Binding {
        keys: &[Key::Code(KeyCode::Up), Key::Char('k')],
        label: "↑ k",
        action: Action::Up,
        hint: "",
        help: "one row up",
    },
    Binding {
        keys: &[Key::Code(KeyCode::Down), Key::Char('j')],
        label: "↓ j",
        action: Action::Down,
        hint: "",
        help: "one row down",
    },
    Binding {
        keys: &[Key::Code(KeyCode::PageUp), Key::Ctrl('b')],
        label: "pgup",
        action: Action::PageUp,
        hint: "",
        help: "one page up",
    },
    Binding {
        keys: &[Key::Code(KeyCode::PageDown), Key::Ctrl('f'), Key::Char(' ')],
        label: "pgdn",
        action: Action::PageDown,
        hint: "",
        help: "one page down",
    },
    Binding {
        keys: &[Key::Code(KeyCode::Home), Key::Char('g')],
        label: "home g",
        action: Action::First,
        hint: "",
        help: "to the beginning",
    },
    Binding {
        keys: &[Key::Code(KeyCode::End), Key::Char('G')],
        label: "end G",
        action: Action::Last,
        hint: "",
        help: "to the end, and follow what is written there",
    },
];

impl Key {
    /// The key behind a terminal's report; `None` for combinations no binding uses.
    pub fn of(event: KeyEvent) -> Option<Self> {
        let other = KeyModifiers::ALT | KeyModifiers::SUPER | KeyModifiers::HYPER | KeyModifiers::META;
        if event.modifiers.intersects(other) {
            return None;
        }
        Some(match event.code {
            KeyCode::Char(character) if event.modifiers.contains(KeyModifiers::CONTROL) => {
                Self::Ctrl(character.to_ascii_lowercase())
            }
            KeyCode::Char(character) => Self::Char(character),
            KeyCode::Tab if event.modifiers.contains(KeyModifiers::SHIFT) => Self::Code(KeyCode::BackTab),
            code => Self::Code(code),
        })
    }
}

/// What a key asks for, if anything.
pub fn lookup(key: Key) -> Option<Action> {
    BINDINGS.iter().find(|binding| binding.keys.contains(&key)).map(|binding| binding.action)
}

/// Why an action cannot be done at the moment.
pub fn disabled(action: Action, state: &State) -> Option<&'static str> {
    let commands = matches!(action, Action::ForceCycle | Action::ToggleDryRun | Action::ClosePosition);
    if commands && state.read_only {
        return Some("this console is read-only");
    }
    if commands && !state.connected {
        return Some("the desk has stopped");
    }
    if commands && state.desk.is_none() {
        return Some("the desk is still starting");
    }
    match action {
        Action::ForceCycle if state.cycle_runs() => Some("a cycle is running; wait for its end"),
        Action::ClosePosition if state.positions().is_empty() => Some("no open position to close"),
        Action::Acknowledge if state.open_alarms().is_empty() => Some("no alarms to put aside"),
        Action::Up | Action::Down if state.focus == Panel::Accounts && state.positions().is_empty() => {
            Some("no positions to choose from")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things() {
        let mut seen = Vec::new();
        for key in BINDINGS.iter().flat_map(|binding| binding.keys) {
            assert!(!seen.contains(key), "{key:?} is bound twice");
            seen.push(*key);
        }
    }

    #[test]
    fn every_binding_explains_itself() {
        for binding in BINDINGS {
            assert!(!binding.label.is_empty() && !binding.help.is_empty(), "{:?}", binding.action);
        }
    }

    #[test]
    fn shift_tab_is_one_key_however_the_terminal_says_it() {
        let plain = Key::of(KeyEvent::new(KeyCode::BackTab, KeyModifiers::SHIFT));
        let shifted = Key::of(KeyEvent::new(KeyCode::Tab, KeyModifiers::SHIFT));
        assert_eq!(plain, shifted);
        assert_eq!(plain.and_then(lookup), Some(Action::FocusPrevious));
    }

    #[test]
    fn a_key_before_the_desk_is_ready_says_so() {
        let state = State::starting();
        assert_eq!(disabled(Action::ForceCycle, &state), Some("the desk is still starting"));
        assert_eq!(disabled(Action::Quit, &state), None);
    }
}
