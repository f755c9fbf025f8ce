//! One table of keys: it dispatches, fills the footer, writes the help page and the palette.

use std::collections::BTreeMap;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::screens::Screen;

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the table below says what each does")]
pub enum Action {
    ForceCycle,
    ClosePosition,
    ToggleDryRun,
    Pause,
    NoEntries,
    Freeze,
    Flatten,
    Resume,
    EditPrompt,
    ApplyPrompt,
    RevertPrompt,
    CheckPrompt,
    LeastSeverity,
    Left,
    Right,
    FocusNext,
    Open,
    Back,
    Why,
    MoveStop,
    Help,
    Quit,
    Palette,
    Acknowledge,
    Note,
    Sort,
    Filter,
    Grid,
    Copy,
    Arm,
    Disarm,
    NextTheme,
    Themes,
    Show(Screen),
    FocusPrevious,
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Suspend,
    Redraw,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Binding {
    /// Its name in the settings and in the palette.
    pub name: &'static str,
    /// Keys that trigger it, unless the settings say others.
    pub keys: &'static [Key],
    /// What they do.
    pub action: Action,
    /// Where they do it.
    pub on: On,
    /// Two words for the footer; empty keeps it out of there.
    pub hint: &'static str,
    /// One line for the help page.
    pub help: &'static str,
}

/// The screens a key works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// All of them.
    Every,
    /// These.
    Only(&'static [Screen]),
}

impl On {
    /// Whether a screen is among them.
    pub fn includes(self, screen: Screen) -> bool {
        match self {
            Self::Every => true,
            Self::Only(screens) => screens.contains(&screen),
        }
    }
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

const fn row(
    name: &'static str,
    keys: &'static [Key],
    action: Action,
    on: On,
    hint: &'static str,
    help: &'static str,
) -> Binding {
    Binding { name, keys, action, on, hint, help }
}

/// All bindings, most important first.
#[rustfmt::skip]
pub const BINDINGS: &[Binding] = &[
    row("force-cycle", &[Key::Char('f')], Action::ForceCycle, On::Only(&[Screen::Desk, Screen::Cycles]), "force", "run a cycle now"),
    row("close-position", &[Key::Char('x')], Action::ClosePosition, On::Only(&[Screen::Desk]), "close", "close the selected position at market; asks first"),
    row("dry-run", &[Key::Char('d')], Action::ToggleDryRun, On::Every, "dry-run", "decide and store but send no orders; asks before trading again"),
    row("pause", &[Key::Char('p')], Action::Pause, On::Only(&[Screen::Guards]), "pause", "halt for a while: open nothing in what is selected; how long and why is asked"),
    row("no-entries", &[Key::Char('e')], Action::NoEntries, On::Only(&[Screen::Guards]), "no entries", "halt: open nothing in what is selected until it is resumed; asks first"),
    row("freeze", &[Key::Char('z')], Action::Freeze, On::Only(&[Screen::Guards]), "freeze", "halt: let the model change nothing in what is selected; stops stay; asks first"),
    row("flatten", &[Key::Char('X')], Action::Flatten, On::Only(&[Screen::Guards]), "flatten", "halt: close everything held by the selected account, or by all; asks first"),
    row("resume", &[Key::Char('r')], Action::Resume, On::Only(&[Screen::Guards]), "resume", "take the halt of what is selected back; asks first"),
    row("edit-prompt", &[Key::Char('e')], Action::EditPrompt, On::Only(&[Screen::Prompt]), "edit", "edit the prompt file; escape leaves the text and has it checked"),
    row("apply-prompt", &[Key::Char('u')], Action::ApplyPrompt, On::Only(&[Screen::Prompt]), "use", "use the draft from the next cycle on; asks first"),
    row("revert-prompt", &[Key::Char('R')], Action::RevertPrompt, On::Only(&[Screen::Prompt]), "revert", "throw the draft away, or go back to the built-in text; asks first"),
    row("check-prompt", &[Key::Char('c')], Action::CheckPrompt, On::Only(&[Screen::Prompt]), "check", "say what is wrong with the draft"),
    row("least-severity", &[Key::Char('v')], Action::LeastSeverity, On::Only(&[Screen::Log]), "severity", "everything, warnings and worse, or critical only"),
    row("left", &[Key::Code(KeyCode::Left), Key::Char('[')], Action::Left, On::Only(&[Screen::Market, Screen::Cycles, Screen::Money, Screen::Prompt]), "", "previous period, interval, part or view"),
    row("right", &[Key::Code(KeyCode::Right), Key::Char(']')], Action::Right, On::Only(&[Screen::Market, Screen::Cycles, Screen::Money, Screen::Prompt]), "turn", "next period, interval, part or view"),
    row("next-panel", &[Key::Code(KeyCode::Tab)], Action::FocusNext, On::Only(&[Screen::Desk, Screen::Market, Screen::Guards, Screen::Prompt]), "panel", "next panel, next prompt file"),
    row("open", &[Key::Code(KeyCode::Enter)], Action::Open, On::Only(&[Screen::Desk, Screen::Market, Screen::Cycles]), "open", "open what is selected: a chart, a cycle, a tool call"),
    row("back", &[Key::Code(KeyCode::Esc), Key::Code(KeyCode::Backspace)], Action::Back, On::Every, "back", "back to the list, or take the filter away"),
    row("why", &[Key::Char('w')], Action::Why, On::Only(&[Screen::Desk]), "why", "the cycle that opened the selected position, with the model's words"),
    row("move-stop", &[Key::Char('s')], Action::MoveStop, On::Only(&[Screen::Desk]), "stop", "put the stop of the selected position at another price; asks first"),
    row("help", &[Key::Char('?'), Key::Code(KeyCode::F(1))], Action::Help, On::Every, "help", "this page"),
    row("quit", &[Key::Char('q'), Key::Ctrl('c')], Action::Quit, On::Every, "quit", "leave; the stops stay at the exchange"),
    row("palette", &[Key::Char(':'), Key::Ctrl('p')], Action::Palette, On::Every, "all", "every action by name"),
    row("acknowledge", &[Key::Char('a')], Action::Acknowledge, On::Every, "", "say that the alarms were seen, on every console"),
    row("note", &[Key::Char('n')], Action::Note, On::Every, "note", "tell the model something in the next cycle"),
    row("sort", &[Key::Char('o')], Action::Sort, On::Only(&[Screen::Desk]), "sort", "order the decisions by account, confidence, outcome or coin"),
    row("filter", &[Key::Char('/')], Action::Filter, On::Only(&[Screen::Desk, Screen::Cycles, Screen::Log]), "filter", "narrow the list by words"),
    row("grid", &[Key::Char('m')], Action::Grid, On::Only(&[Screen::Desk]), "grid", "decisions as accounts against coins, or as a list"),
    row("copy", &[Key::Char('y')], Action::Copy, On::Every, "", "copy what is selected to the clipboard of the terminal (in tmux: set-clipboard on)"),
    row("arm", &[Key::Char('A')], Action::Arm, On::Every, "", "let the account of the selected position send orders with real money; asks first"),
    row("disarm", &[Key::Char('D')], Action::Disarm, On::Every, "", "let no account send orders with real money, at once"),
    row("next-theme", &[Key::Char('t')], Action::NextTheme, On::Every, "theme", "next theme"),
    row("themes", &[Key::Char('T')], Action::Themes, On::Every, "", "choose a theme; the selected one is in sight at once"),
    row("show-desk", &[Key::Char('1')], Action::Show(Screen::Desk), On::Every, "", "the desk"),
    row("show-market", &[Key::Char('2')], Action::Show(Screen::Market), On::Every, "", "the market"),
    row("show-cycles", &[Key::Char('3')], Action::Show(Screen::Cycles), On::Every, "", "past cycles"),
    row("show-money", &[Key::Char('4')], Action::Show(Screen::Money), On::Every, "", "money"),
    row("show-guards", &[Key::Char('5')], Action::Show(Screen::Guards), On::Every, "", "guards and the halt ladder"),
    row("show-prompt", &[Key::Char('6')], Action::Show(Screen::Prompt), On::Every, "", "the prompt"),
    row("show-log", &[Key::Char('7')], Action::Show(Screen::Log), On::Every, "", "the log"),
    row("previous-panel", &[Key::Code(KeyCode::BackTab)], Action::FocusPrevious, On::Only(&[Screen::Desk, Screen::Market, Screen::Guards, Screen::Prompt]), "", "previous panel, previous prompt file"),
    row("up", &[Key::Code(KeyCode::Up), Key::Char('k')], Action::Up, On::Every, "", "one row up"),
    row("down", &[Key::Code(KeyCode::Down), Key::Char('j')], Action::Down, On::Every, "", "one row down"),
    row("page-up", &[Key::Code(KeyCode::PageUp), Key::Ctrl('b')], Action::PageUp, On::Every, "", "one page up"),
    row("page-down", &[Key::Code(KeyCode::PageDown), Key::Ctrl('f'), Key::Char(' ')], Action::PageDown, On::Every, "", "one page down"),
    row("first", &[Key::Code(KeyCode::Home), Key::Char('g')], Action::First, On::Every, "", "to the beginning"),
    row("last", &[Key::Code(KeyCode::End), Key::Char('G')], Action::Last, On::Every, "", "to the end, and follow what is written there"),
    row("suspend", &[Key::Ctrl('z')], Action::Suspend, On::Every, "", "stop this console and go back to the shell; fg brings it back"),
    row("redraw", &[Key::Ctrl('l')], Action::Redraw, On::Every, "", "draw the whole screen anew"),
];

/// The keys that have names in the settings and in labels.
const NAMED: [(&str, KeyCode); 15] = [
    ("enter", KeyCode::Enter),
    ("esc", KeyCode::Esc),
    ("tab", KeyCode::Tab),
    ("shift-tab", KeyCode::BackTab),
    ("backspace", KeyCode::Backspace),
    ("delete", KeyCode::Delete),
    ("insert", KeyCode::Insert),
    ("up", KeyCode::Up),
    ("down", KeyCode::Down),
    ("left", KeyCode::Left),
    ("right", KeyCode::Right),
    ("pgup", KeyCode::PageUp),
    ("pgdn", KeyCode::PageDown),
    ("home", KeyCode::Home),
    ("end", KeyCode::End),
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

    /// The key a text of the settings means: `x`, `ctrl-x`, `f5`, `enter`, `space`.
    fn parse(text: &str) -> Option<Self> {
        let single = |text: &str| {
            let mut letters = text.chars();
            letters.next().filter(|letter| letters.next().is_none() && !letter.is_control())
        };
        if let Some(letter) = single(text) {
            return Some(Self::Char(letter));
        }
        let word = text.to_ascii_lowercase();
        if let Some(rest) = word.strip_prefix("ctrl-") {
            return single(rest).filter(char::is_ascii_lowercase).map(Self::Ctrl);
        }
        if word == "space" {
            return Some(Self::Char(' '));
        }
        if let Some(number) = word.strip_prefix('f').and_then(|number| number.parse().ok()) {
            return (1..=12).contains(&number).then_some(Self::Code(KeyCode::F(number)));
        }
        NAMED.iter().find(|(name, _)| *name == word).map(|(_, code)| Self::Code(*code))
    }

    /// How it is written in hints.
    fn label(self) -> String {
        match self {
            Self::Char(' ') => "space".to_owned(),
            Self::Char(letter) => letter.to_string(),
            Self::Ctrl(letter) => format!("ctrl-{letter}"),
            Self::Code(KeyCode::F(number)) => format!("F{number}"),
            Self::Code(KeyCode::Up) => "↑".to_owned(),
            Self::Code(KeyCode::Down) => "↓".to_owned(),
            Self::Code(KeyCode::Left) => "←".to_owned(),
            Self::Code(KeyCode::Right) => "→".to_owned(),
            Self::Code(code) => {
                NAMED.iter().find(|(_, known)| *known == code).map_or("", |(name, _)| name).to_owned()
            }
        }
    }
}

/// Keys in the settings that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("console.keys: {0}")]
pub struct KeymapError(String);

/// The table with the operator's own keys in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Keymap {
    own: Vec<(&'static str, Vec<Key>)>,
}

impl Keymap {
    /// Takes keys from the settings: action's name to keys. Every name must be known, every key readable, no key may
    /// mean two things on one screen, and the console must stay possible to leave.
    pub fn new(overrides: &BTreeMap<String, Vec<String>>) -> Result<Self, KeymapError> {
        let mut own = Vec::new();
        for (name, texts) in overrides {
            let Some(binding) = BINDINGS.iter().find(|binding| binding.name == name) else {
                let names: Vec<&str> = BINDINGS.iter().map(|binding| binding.name).collect();
                let all = names.join(", ");
                return Err(KeymapError(format!("there is no action {name:?}; there are: {all}")));
            };
            let mut keys = Vec::new();
            for text in texts {
                keys.push(Key::parse(text).ok_or_else(|| {
                    KeymapError(format!(
                        "{name} = {text:?}: a key is one character, or space, ctrl-a to ctrl-z, f1 to f12, {}",
                        NAMED.map(|(name, _)| name).join(", ")
                    ))
                })?);
            }
            own.push((binding.name, keys));
        }
        let keymap = Self { own };
        keymap.check()?;
        Ok(keymap)
    }

    fn check(&self) -> Result<(), KeymapError> {
        let needed = [Action::Quit, Action::Help];
        if let Some(binding) = BINDINGS.iter().find(|b| needed.contains(&b.action) && self.keys(b).is_empty())
        {
            return Err(KeymapError(format!("{} needs a key", binding.name)));
        }
        for screen in Screen::ALL {
            let here: Vec<&Binding> = BINDINGS.iter().filter(|binding| binding.on.includes(screen)).collect();
            for (place, binding) in here.iter().enumerate() {
                let later = here.iter().skip(place + 1);
                for other in later {
                    if let Some(key) = self.keys(binding).iter().find(|key| self.keys(other).contains(key)) {
                        return Err(KeymapError(format!(
                            "{} means both {} and {} on the {} screen",
                            key.label(),
                            binding.name,
                            other.name,
                            screen.title()
                        )));
                    }
                }
            }
        }
        Ok(())
    }

    /// The keys of a row.
    pub fn keys<'a>(&'a self, binding: &Binding) -> &'a [Key] {
        self.own.iter().find(|(name, _)| *name == binding.name).map_or(binding.keys, |(_, keys)| keys)
    }

    /// How the keys of a row are written: the first two.
    pub fn label(&self, binding: &Binding) -> String {
        let labels: Vec<String> = self.keys(binding).iter().take(2).map(|key| key.label()).collect();
        labels.join(" ")
    }

    /// How the first key of an action is written.
    pub fn key_of(&self, action: Action) -> String {
        let binding = BINDINGS.iter().find(|binding| binding.action == action);
        binding.and_then(|binding| self.keys(binding).first()).map_or_else(String::new, |key| key.label())
    }

    /// What a key asks for on a screen, if anything.
    pub fn lookup(&self, key: Key, screen: Screen) -> Option<Action> {
        let mut here = BINDINGS.iter().filter(|binding| binding.on.includes(screen));
        here.find(|binding| self.keys(binding).contains(&key)).map(|binding| binding.action)
    }

    /// Where a key works, if not on this screen.
    pub fn elsewhere(&self, key: Key, screen: Screen) -> Option<&'static Binding> {
        BINDINGS.iter().find(|binding| !binding.on.includes(screen) && self.keys(binding).contains(&key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keymap(pairs: &[(&str, &str)]) -> Result<Keymap, String> {
        let own = pairs.iter().map(|(name, key)| ((*name).to_owned(), vec![(*key).to_owned()])).collect();
        Keymap::new(&own).map_err(|error| error.to_string())
    }

    #[test]
    fn no_key_means_two_things_on_one_screen() {
        assert_eq!(Keymap::default().check(), Ok(()));
    }

    #[test]
    fn every_binding_explains_itself() {
        for binding in BINDINGS {
            assert!(
                !Keymap::default().label(binding).is_empty() && !binding.help.is_empty(),
                "{}",
                binding.name
            );
            assert_eq!(
                BINDINGS.iter().filter(|other| other.name == binding.name).count(),
                1,
                "{}",
                binding.name
            );
        }
    }

    #[test]
    fn shift_tab_is_one_key_however_the_terminal_says_it() {
        let plain = Key::of(KeyEvent::new(KeyCode::BackTab, KeyModifiers::SHIFT));
        let shifted = Key::of(KeyEvent::new(KeyCode::Tab, KeyModifiers::SHIFT));
        assert_eq!(plain, shifted);
        let action = plain.and_then(|key| Keymap::default().lookup(key, Screen::Desk));
        assert_eq!(action, Some(Action::FocusPrevious));
    }

    #[test]
    fn a_key_of_the_settings_takes_the_place_of_the_usual_one() {
        let keymap = keymap(&[("force-cycle", "F5")]).unwrap();
        assert_eq!(keymap.lookup(Key::Code(KeyCode::F(5)), Screen::Desk), Some(Action::ForceCycle));
        assert_eq!(keymap.lookup(Key::Char('f'), Screen::Desk), None);
        assert_eq!(keymap.key_of(Action::ForceCycle), "F5");
    }

    #[test]
    fn keys_that_cannot_be_used_say_why() {
        let refused = |pairs: &[(&str, &str)]| keymap(pairs).unwrap_err();
        assert!(refused(&[("force", "f")]).contains("there is no action \"force\"; there are: force-cycle"));
        assert!(refused(&[("quit", "ctrl-%")]).contains("one character"));
        assert!(
            refused(&[("quit", "x")]).contains("x means both close-position and quit on the Desk screen")
        );
        let none = BTreeMap::from([("quit".to_owned(), Vec::new())]);
        assert!(Keymap::new(&none).unwrap_err().to_string().contains("quit needs a key"));
    }

    #[test]
    fn every_written_key_can_be_read_back() {
        for key in BINDINGS.iter().flat_map(|binding| binding.keys) {
            let text = match key {
                Key::Code(KeyCode::Up) => "up".to_owned(),
                Key::Code(KeyCode::Down) => "down".to_owned(),
                Key::Code(KeyCode::Left) => "left".to_owned(),
                Key::Code(KeyCode::Right) => "right".to_owned(),
                other => other.label(),
            };
            assert_eq!(Key::parse(&text), Some(*key), "{text}");
        }
    }
}
