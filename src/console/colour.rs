//! How many colours the terminal has, and how to come near a colour with fewer.

use std::str::FromStr;

use ratatui::style::Color;

/// The colours a terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ColorDepth {
    /// None: bold, dim and reverse carry the meaning.
    None,
    /// The sixteen names.
    Ansi16,
    /// The 256-colour palette.
    Ansi256,
    /// 24 bits.
    True,
}

/// The flag `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColorChoice {
    /// By what the environment says.
    #[default]
    Auto,
    /// No colour.
    Never,
    /// The sixteen names.
    Sixteen,
    /// The 256-colour palette.
    Palette,
    /// 24 bits.
    True,
}

impl FromStr for ColorChoice {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "auto" => Self::Auto,
            "never" => Self::Never,
            "16" => Self::Sixteen,
            "256" => Self::Palette,
            "true" => Self::True,
            other => return Err(format!("{other:?} is not one of auto, never, 16, 256, true")),
        })
    }
}

impl ColorDepth {
    /// The depth a choice means, given the environment's variables.
    pub fn detect(choice: ColorChoice, variable: impl Fn(&str) -> Option<String>) -> Self {
        match choice {
            ColorChoice::Never => return Self::None,
            ColorChoice::Sixteen => return Self::Ansi16,
            ColorChoice::Palette => return Self::Ansi256,
            ColorChoice::True => return Self::True,
            ColorChoice::Auto => {}
        }
        let term = variable("TERM").unwrap_or_default();
        if variable("NO_COLOR").is_some_and(|value| !value.is_empty()) || term == "dumb" {
            return Self::None;
        }
        let color_term = variable("COLORTERM").unwrap_or_default();
        if color_term == "truecolor" || color_term == "24bit" {
            Self::True
        } else if term.contains("256color") || term.starts_with("tmux") || term.starts_with("screen") {
            Self::Ansi256
        } else {
            Self::Ansi16
        }
    }
}

/// The nearest colour of the fixed part of the 256-colour palette: its 6x6x6 cube or its greys.
pub fn nearest_256(red: u8, green: u8, blue: u8) -> u8 {
    let cube = [red, green, blue].map(nearest_step);
    let cube_colour = cube.map(|step| STEPS[usize::from(step)]);
    let average = (u16::from(red) + u16::from(green) + u16::from(blue)) / 3;
    let grey = u8::try_from((average.saturating_sub(3) / 10).min(23)).unwrap_or(23);
    let grey_colour = [8 + 10 * grey; 3];
    if distance(grey_colour, [red, green, blue]) < distance(cube_colour, [red, green, blue]) {
        232 + grey
    } else {
        16 + 36 * cube[0] + 6 * cube[1] + cube[2]
    }
}

/// The levels of each side of the cube.
const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];

fn nearest_step(value: u8) -> u8 {
    let nearest = (0..6_u8).min_by_key(|step| STEPS[usize::from(*step)].abs_diff(value));
    nearest.unwrap_or(0)
}

fn distance(one: [u8; 3], other: [u8; 3]) -> u32 {
    one.into_iter().zip(other).map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum()
}

/// Red, green and blue of a colour as drawn in pictures; `None` for the terminal's own default.
pub fn rgb(color: Color) -> Option<[u8; 3]> {
    Some(match color {
        Color::Reset => return None,
        Color::Rgb(red, green, blue) => [red, green, blue],
        Color::Indexed(index) => indexed(index),
        named => indexed(ansi_index(named)),
    })
}

fn ansi_index(color: Color) -> u8 {
    let names = [
        Color::Black,
        Color::Red,
        Color::Green,
        Color::Yellow,
        Color::Blue,
        Color::Magenta,
        Color::Cyan,
        Color::Gray,
        Color::DarkGray,
        Color::LightRed,
        Color::LightGreen,
        Color::LightYellow,
        Color::LightBlue,
        Color::LightMagenta,
        Color::LightCyan,
        Color::White,
    ];
    names.iter().position(|name| *name == color).and_then(|at| u8::try_from(at).ok()).unwrap_or(7)
}

fn indexed(index: u8) -> [u8; 3] {
    /// The sixteen names as xterm shows them.
    const NAMED: [[u8; 3]; 16] = [
        [0, 0, 0],
        [205, 0, 0],
        [0, 205, 0],
        [205, 205, 0],
        [0, 0, 238],
        [205, 0, 205],
        [0, 205, 205],
        [229, 229, 229],
        [127, 127, 127],
        [255, 0, 0],
        [0, 255, 0],
        [255, 255, 0],
        [92, 92, 255],
        [255, 0, 255],
        [0, 255, 255],
        [255, 255, 255],
    ];
    match index {
        0..16 => NAMED[usize::from(index)],
        16..232 => {
            let place = index - 16;
            [place / 36, place / 6 % 6, place % 6].map(|step| STEPS[usize::from(step)])
        }
        232.. => [8 + 10 * (index - 232); 3],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detected(pairs: &[(&str, &str)]) -> ColorDepth {
        ColorDepth::detect(ColorChoice::Auto, |name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_says_how_many_colours_there_are() {
        assert_eq!(detected(&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")]), ColorDepth::True);
        assert_eq!(detected(&[("TERM", "tmux")]), ColorDepth::Ansi256);
        assert_eq!(detected(&[("TERM", "xterm")]), ColorDepth::Ansi16);
        assert_eq!(detected(&[("TERM", "dumb"), ("COLORTERM", "truecolor")]), ColorDepth::None);
        assert_eq!(detected(&[("NO_COLOR", "1"), ("COLORTERM", "truecolor")]), ColorDepth::None);
        assert_eq!(detected(&[("NO_COLOR", ""), ("TERM", "xterm-256color")]), ColorDepth::Ansi256);
    }

    #[test]
    fn a_flag_outranks_the_environment() {
        let no_color = |_: &str| Some("1".to_owned());
        assert_eq!(ColorDepth::detect("256".parse().unwrap(), no_color), ColorDepth::Ansi256);
        assert_eq!(ColorDepth::detect("never".parse().unwrap(), |_| None), ColorDepth::None);
        assert!("plenty".parse::<ColorChoice>().is_err());
    }

    #[test]
    fn palette_colours_find_themselves() {
        for index in 16..=255 {
            let [red, green, blue] = indexed(index);
            assert_eq!(indexed(nearest_256(red, green, blue)), [red, green, blue], "{index}");
        }
    }
}
