//! Colours by meaning. This is the only file of the console that names a colour.

use std::path::{Path, PathBuf};

use ratatui::style::{Color, Modifier, Style};

use super::colour::nearest_256;
pub use super::colour::{ColorChoice, ColorDepth};

/// What a piece of the screen means; a theme says how each looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each name is its meaning")]
pub enum Meaning {
    Text,
    Muted,
    Border,
    Focus,
    Title,
    Gain,
    Loss,
    Warn,
    Danger,
    Above,
    Near,
    Below,
    Track,
    DryRun,
    Live,
    Paper,
    Testnet,
    BuiltIn,
    Key,
    Selection,
}

impl Meaning {
    /// Every meaning with its name in a theme file.
    pub const ALL: [(Self, &'static str); 20] = [
        (Self::Text, "text"),
        (Self::Muted, "muted"),
        (Self::Border, "border"),
        (Self::Focus, "focus"),
        (Self::Title, "title"),
        (Self::Gain, "gain"),
        (Self::Loss, "loss"),
        (Self::Warn, "warn"),
        (Self::Danger, "danger"),
        (Self::Above, "above"),
        (Self::Near, "near"),
        (Self::Below, "below"),
        (Self::Track, "track"),
        (Self::DryRun, "dry_run"),
        (Self::Live, "live"),
        (Self::Paper, "paper"),
        (Self::Testnet, "testnet"),
        (Self::BuiltIn, "built_in"),
        (Self::Key, "key"),
        (Self::Selection, "selection"),
    ];

    /// What is left of it without any colour.
    const fn without_colour(self) -> Modifier {
        match self {
            Self::Live | Self::Selection => Modifier::REVERSED.union(Modifier::BOLD),
            Self::Muted | Self::Below | Self::Track | Self::Border => Modifier::DIM,
            Self::Text | Self::Gain | Self::Loss | Self::Near => Modifier::empty(),
            Self::Danger => Modifier::BOLD.union(Modifier::UNDERLINED),
            Self::Focus
            | Self::Title
            | Self::Warn
            | Self::Above
            | Self::DryRun
            | Self::Paper
            | Self::Testnet
            | Self::BuiltIn
            | Self::Key => Modifier::BOLD,
        }
    }
}

/// The themes inside the program, the default first.
const BUILT_IN: [(&str, &str); 8] = [
    ("jarvis-dark", include_str!("../../themes/jarvis-dark.toml")),
    ("jarvis-light", include_str!("../../themes/jarvis-light.toml")),
    ("colour-blind", include_str!("../../themes/colour-blind.toml")),
    ("nord", include_str!("../../themes/nord.toml")),
    ("gruvbox-dark", include_str!("../../themes/gruvbox-dark.toml")),
    ("solarized-light", include_str!("../../themes/solarized-light.toml")),
    ("high-contrast", include_str!("../../themes/high-contrast.toml")),
    (SIXTEEN, include_str!("../../themes/sixteen.toml")),
];

/// The theme that uses the terminal's own sixteen colours, and stands in for the others where there are no more.
const SIXTEEN: &str = "sixteen";

/// How everything looks.
#[derive(Debug, Clone)]
pub struct Theme {
    name: String,
    folder: Option<PathBuf>,
    depth: ColorDepth,
    exact: [Style; Meaning::ALL.len()],
    shown: [Style; Meaning::ALL.len()],
}

/// A theme that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ThemeError {
    /// No theme of that name.
    #[error("there is no theme {name:?}; there are: {known}")]
    Unknown {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A theme file that could not be read.
    #[error("theme file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A theme file that says something a theme cannot say.
    #[error("theme {name:?}: {problem}")]
    Invalid {
        /// The theme.
        name: String,
        /// What is wrong, and what is allowed.
        problem: String,
    },
}

impl Theme {
    /// Loads a theme by name. A file `themes/NAME.toml` in the settings folder wins over a built-in one.
    pub fn load(name: &str, settings_dir: Option<&Path>) -> Result<Self, ThemeError> {
        let own = settings_dir.map(|folder| folder.join("themes").join(format!("{name}.toml")));
        let plain_name =
            !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
        let text = match own.filter(|path| plain_name && path.is_file()) {
            Some(path) => {
                std::fs::read_to_string(&path).map_err(|source| ThemeError::Unreadable { path, source })?
            }
            None => BUILT_IN
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, text)| (*text).to_owned())
                .ok_or_else(|| ThemeError::Unknown {
                    name: name.to_owned(),
                    known: Self::names(settings_dir).join(", "),
                })?,
        };
        let exact = parse(&text).map_err(|problem| ThemeError::Invalid { name: name.to_owned(), problem })?;
        let folder = settings_dir.map(Path::to_owned);
        Ok(Self { name: name.to_owned(), folder, depth: ColorDepth::True, exact, shown: exact })
    }

    /// The names of all themes: the built-in ones, then those of the settings folder by name.
    pub fn names(settings_dir: Option<&Path>) -> Vec<String> {
        let mut names: Vec<String> = BUILT_IN.iter().map(|(name, _)| (*name).to_owned()).collect();
        let entries = settings_dir.and_then(|folder| std::fs::read_dir(folder.join("themes")).ok());
        let mut own: Vec<String> = entries
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".toml").map(str::to_owned))
            .filter(|name| !names.contains(name))
            .collect();
        own.sort();
        names.extend(own);
        names
    }

    /// The same theme with the colours a terminal can show.
    #[must_use]
    pub fn with_depth(mut self, depth: ColorDepth) -> Self {
        let sixteen = || parse(BUILT_IN[BUILT_IN.len() - 1].1).unwrap_or(self.exact);
        let fallback = if depth == ColorDepth::Ansi16 { sixteen() } else { self.exact };
        self.depth = depth;
        for (index, (meaning, _)) in Meaning::ALL.iter().enumerate() {
            self.shown[index] = at_depth(self.exact[index], fallback[index], *meaning, depth);
        }
        self
    }

    /// Whether anything is told by colour.
    pub fn has_colour(&self) -> bool {
        self.depth != ColorDepth::None
    }

    /// The next theme that can be used, at the same depth, and why those before it could not.
    pub fn next(&self) -> (Self, Vec<ThemeError>) {
        let names = Self::names(self.folder.as_deref());
        let here = names.iter().position(|name| *name == self.name).unwrap_or(0);
        let mut unusable = Vec::new();
        for name in names.iter().cycle().skip(here + 1).take(names.len()) {
            match Self::load(name, self.folder.as_deref()) {
                Ok(theme) => return (theme.with_depth(self.depth), unusable),
                Err(error) => unusable.push(error),
            }
        }
        (self.clone(), unusable)
    }

    /// The names of all themes it can be changed for, itself among them.
    pub fn siblings(&self) -> Vec<String> {
        Self::names(self.folder.as_deref())
    }

    /// Another theme at the same depth.
    pub fn sibling(&self, name: &str) -> Result<Self, ThemeError> {
        Ok(Self::load(name, self.folder.as_deref())?.with_depth(self.depth))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Why it looks no different from another one on this terminal, if so.
    pub fn same_as(&self, other: &Self) -> Option<&'static str> {
        if self.name == other.name || self.shown != other.shown {
            return None;
        }
        Some(match self.depth {
            ColorDepth::None => "nothing changes, there are no colours here",
            ColorDepth::Ansi16 => "nothing changes, 16 colours are all here",
            ColorDepth::Ansi256 | ColorDepth::True => "nothing changes, its colours are the same",
        })
    }

    /// How a meaning looks.
    pub fn style(&self, meaning: Meaning) -> Style {
        self.shown[meaning as usize]
    }
}

fn at_depth(exact: Style, fallback: Style, meaning: Meaning, depth: ColorDepth) -> Style {
    match depth {
        ColorDepth::True => exact,
        ColorDepth::Ansi256 => Style { fg: exact.fg.map(to_256), bg: exact.bg.map(to_256), ..exact },
        ColorDepth::Ansi16 => {
            let beyond = |color: Option<Color>| matches!(color, Some(Color::Rgb(..)));
            if beyond(exact.fg) || beyond(exact.bg) { fallback } else { exact }
        }
        ColorDepth::None => Style::new().add_modifier(meaning.without_colour()),
    }
}

fn to_256(color: Color) -> Color {
    match color {
        Color::Rgb(red, green, blue) => Color::Indexed(nearest_256(red, green, blue)),
        other => other,
    }
}

/// Reads a theme file: a table from meaning to a colour, or to `{ fg, bg, bold, dim, reversed, underlined }`.
/// What it does not name looks like `text`.
fn parse(text: &str) -> Result<[Style; Meaning::ALL.len()], String> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    if let Some(unknown) = table.keys().find(|key| Meaning::ALL.iter().all(|(_, name)| name != key)) {
        let known = Meaning::ALL.map(|(_, name)| name).join(", ");
        return Err(format!("unknown meaning {unknown:?}; allowed: {known}"));
    }
    let style =
        |name: &str| table.get(name).map(|value| parse_style(value).map_err(|why| format!("{name}: {why}")));
    let base = style("text").transpose()?.unwrap_or_default();
    let mut styles = [base; Meaning::ALL.len()];
    for (slot, (_, name)) in styles.iter_mut().zip(Meaning::ALL) {
        if let Some(own) = style(name) {
            *slot = base.patch(own?);
        }
    }
    Ok(styles)
}

fn parse_style(value: &toml::Value) -> Result<Style, String> {
    let table = match value {
        toml::Value::String(color) => return Ok(Style::new().fg(parse_color(color)?)),
        toml::Value::Table(table) => table,
        _ => return Err("a colour or a table of fg, bg, bold, dim, reversed, underlined is allowed".into()),
    };
    let mut style = Style::new();
    for (key, value) in table {
        let modifier = match (key.as_str(), value) {
            ("fg", toml::Value::String(color)) => {
                style = style.fg(parse_color(color)?);
                continue;
            }
            ("bg", toml::Value::String(color)) => {
                style = style.bg(parse_color(color)?);
                continue;
            }
            ("bold", toml::Value::Boolean(on)) => on.then_some(Modifier::BOLD),
            ("dim", toml::Value::Boolean(on)) => on.then_some(Modifier::DIM),
            ("reversed", toml::Value::Boolean(on)) => on.then_some(Modifier::REVERSED),
            ("underlined", toml::Value::Boolean(on)) => on.then_some(Modifier::UNDERLINED),
            _ => {
                return Err(format!(
                    "{key} = {value}: fg and bg take a colour, bold, dim, reversed, underlined take true"
                ));
            }
        };
        style = style.add_modifier(modifier.unwrap_or_default());
    }
    Ok(style)
}

fn parse_color(text: &str) -> Result<Color, String> {
    text.parse().map_err(|_| {
        format!("{text:?} is not a colour; allowed: \"#rrggbb\", a name such as \"green\", \"reset\"")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::colour::rgb;

    /// Contrast ratio of two colours by WCAG 2: 1 to 21.
    fn contrast(one: [u8; 3], other: [u8; 3]) -> f64 {
        let luminance = |colour: [u8; 3]| {
            let [r, g, b] = colour.map(|part| {
                let share = f64::from(part) / 255.0;
                if share <= 0.04045 { share / 12.92 } else { libm::pow((share + 0.055) / 1.055, 2.4) }
            });
            0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        let (a, b) = (luminance(one), luminance(other));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn every_theme_loads_at_every_depth() {
        for name in Theme::names(None) {
            for depth in [ColorDepth::None, ColorDepth::Ansi16, ColorDepth::Ansi256, ColorDepth::True] {
                let theme = Theme::load(&name, None).unwrap().with_depth(depth);
                let colourless = |style: Style| style.fg.is_none() && style.bg.is_none();
                let any = Meaning::ALL.iter().any(|(meaning, _)| !colourless(theme.style(*meaning)));
                assert_eq!(any, depth != ColorDepth::None, "{name} {depth:?}");
                let rgb = |color: Option<Color>| matches!(color, Some(Color::Rgb(..)));
                let exact = Meaning::ALL.iter().any(|(meaning, _)| rgb(theme.style(*meaning).fg));
                assert!(!exact || depth == ColorDepth::True, "{name} {depth:?}");
            }
        }
    }

    #[test]
    fn words_can_be_read_on_their_ground_and_on_a_selected_row() {
        let depths = [ColorDepth::True, ColorDepth::Ansi256];
        for name in Theme::names(None).into_iter().filter(|name| name != SIXTEEN) {
            for theme in depths.map(|depth| Theme::load(&name, None).unwrap().with_depth(depth)) {
                readable(&name, &theme);
            }
        }
    }

    fn readable(name: &str, theme: &Theme) {
        let ground = theme.style(Meaning::Text).bg.and_then(rgb).unwrap();
        let selected = theme.style(Meaning::Selection).bg.and_then(rgb).unwrap();
        for (meaning, word) in Meaning::ALL {
            let style = theme.style(meaning);
            let ink = style.fg.and_then(rgb).unwrap();
            let paper = style.bg.and_then(rgb).unwrap_or(ground);
            let is_drawing = matches!(meaning, Meaning::Border | Meaning::Track);
            let least = if is_drawing { 1.4 } else { 4.5 };
            let depth = theme.style(Meaning::Text).fg;
            assert!(contrast(ink, paper) >= least, "{name} {word} {depth:?}: {:.2}", contrast(ink, paper));
            let chosen = contrast(ink, selected);
            let has_own_ground = paper != ground;
            assert!(
                is_drawing || has_own_ground || chosen >= 4.5,
                "{name} {word} selected {depth:?}: {chosen:.2}"
            );
        }
    }

    #[test]
    fn live_and_paper_differ_without_colour() {
        let theme = Theme::load("jarvis-dark", None).unwrap().with_depth(ColorDepth::None);
        assert_ne!(theme.style(Meaning::Live), theme.style(Meaning::Paper));
        assert!(theme.style(Meaning::Live).add_modifier.contains(Modifier::REVERSED));
    }

    #[test]
    fn a_file_in_the_settings_folder_wins_and_a_wrong_one_says_what_is_allowed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("themes")).unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join("themes").join(name), text).unwrap();
        write("sixteen.toml", "text = \"red\"");
        write("mine.toml", "txt = \"red\"");
        write("odd.toml", "text = \"reddish\"");
        let own = Theme::load("sixteen", Some(folder.path())).unwrap();
        assert_eq!(own.style(Meaning::Muted).fg, Some(Color::Red));
        let unknown = Theme::load("mine", Some(folder.path())).unwrap_err().to_string();
        assert!(unknown.contains("\"txt\"") && unknown.contains("muted"), "{unknown}");
        let colour = Theme::load("odd", Some(folder.path())).unwrap_err().to_string();
        assert!(colour.contains("reddish") && colour.contains("#rrggbb"), "{colour}");
        let mut theme = Theme::load("sixteen", Some(folder.path())).unwrap();
        let unusable;
        (theme, unusable) = theme.next();
        assert_eq!(
            (theme.name(), unusable.len()),
            ("jarvis-dark", 2),
            "what cannot be used is skipped and named"
        );
        let absent = Theme::load("../sixteen", Some(folder.path())).unwrap_err().to_string();
        assert!(absent.contains("jarvis-dark") && absent.contains("mine"), "{absent}");
    }

    #[test]
    fn the_next_theme_comes_round_to_the_first() {
        let mut theme = Theme::load("jarvis-dark", None).unwrap();
        for _ in Theme::names(None) {
            theme = theme.next().0;
        }
        assert_eq!(theme.name(), "jarvis-dark");
    }
}
