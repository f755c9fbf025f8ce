//! Writes a frame's cells to a terminal, with as few bytes as they need.
//!
//! ratatui's own writer repeats the ground with every change of ink, and changes the ink for blanks on which nobody sees
//! it: on a full screen in 24-bit colours that is as much again as the text. What is written here looks the same. Nothing
//! is erased to colour it: whether that takes the ground differs from terminal to terminal.

use std::io::{self, Write};

use crossterm::cursor::MoveTo;
use crossterm::queue;
use crossterm::style::{Attribute, Print, SetAttribute, SetBackgroundColor, SetForegroundColor};
use crossterm::terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate};
use ratatui::backend::{Backend, ClearType, CrosstermBackend, IntoCrossterm, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};
use ratatui::style::{Color, Modifier};

use super::surface::Surface;

/// A terminal that is written to.
#[derive(Debug)]
pub struct Pen<W: Write>(CrosstermBackend<W>);

impl<W: Write> Pen<W> {
    /// Writes to this.
    pub const fn new(out: W) -> Self {
        Self(CrosstermBackend::new(out))
    }
}

/// How the terminal writes the next letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ink {
    fg: Color,
    bg: Color,
    modifier: Modifier,
}

/// What makes a blank look different.
const SEEN_ON_BLANKS: Modifier = Modifier::REVERSED.union(Modifier::UNDERLINED).union(Modifier::CROSSED_OUT);

/// How each is begun and ended. Bold and dim end together.
const ATTRIBUTES: [(Modifier, Attribute, Attribute); 6] = [
    (Modifier::BOLD, Attribute::Bold, Attribute::NormalIntensity),
    (Modifier::DIM, Attribute::Dim, Attribute::NormalIntensity),
    (Modifier::ITALIC, Attribute::Italic, Attribute::NoItalic),
    (Modifier::UNDERLINED, Attribute::Underlined, Attribute::NoUnderline),
    (Modifier::REVERSED, Attribute::Reverse, Attribute::NoReverse),
    (Modifier::CROSSED_OUT, Attribute::CrossedOut, Attribute::NotCrossedOut),
];

impl Ink {
    /// As it is after a reset.
    const NONE: Self = Self { fg: Color::Reset, bg: Color::Reset, modifier: Modifier::empty() };

    /// What a cell needs; of the ink before it, whatever the cell does not show.
    fn of(cell: &Cell, before: Self) -> Self {
        let shown = cell.modifier.union(before.modifier).intersects(SEEN_ON_BLANKS);
        if cell.symbol() == " " && !shown {
            return Self { bg: cell.bg, ..before };
        }
        Self { fg: cell.fg, bg: cell.bg, modifier: cell.modifier }
    }

    /// Says what is different from the ink before.
    fn take(self, before: Self, out: &mut impl Write) -> io::Result<()> {
        if self.modifier != before.modifier {
            let (gone, mut new) = (before.modifier - self.modifier, self.modifier - before.modifier);
            let intensity = Modifier::BOLD.union(Modifier::DIM);
            if gone.intersects(intensity) {
                new |= self.modifier & intensity;
            }
            for (_, _, off) in ATTRIBUTES.iter().filter(|(modifier, ..)| gone.contains(*modifier)) {
                queue!(out, SetAttribute(*off))?;
            }
            for (_, on, _) in ATTRIBUTES.iter().filter(|(modifier, ..)| new.contains(*modifier)) {
                queue!(out, SetAttribute(*on))?;
            }
        }
        if self.fg != before.fg {
            queue!(out, SetForegroundColor(self.fg.into_crossterm()))?;
        }
        if self.bg != before.bg {
            queue!(out, SetBackgroundColor(self.bg.into_crossterm()))?;
        }
        Ok(())
    }
}

impl<W: Write> Backend for Pen<W> {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let mut ink = Ink::NONE;
        let mut next = None;
        for (x, y, cell) in content {
            if next != Some((x, y)) {
                queue!(self.0, MoveTo(x, y))?;
            }
            // Behind a wide letter the next cell is another one: terminals do not agree on which letters are wide.
            next = Some((x + 1, y));
            let needed = Ink::of(cell, ink);
            needed.take(ink, &mut self.0)?;
            ink = needed;
            queue!(self.0, Print(cell.symbol()))?;
        }
        queue!(self.0, SetAttribute(Attribute::Reset))
    }

    fn append_lines(&mut self, count: u16) -> io::Result<()> {
        self.0.append_lines(count)
    }
    fn hide_cursor(&mut self) -> io::Result<()> {
        self.0.hide_cursor()
    }
    fn show_cursor(&mut self) -> io::Result<()> {
        self.0.show_cursor()
    }
    fn get_cursor_position(&mut self) -> io::Result<Position> {
        self.0.get_cursor_position()
    }
    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        self.0.set_cursor_position(position)
    }
    fn clear(&mut self) -> io::Result<()> {
        self.0.clear()
    }
    fn clear_region(&mut self, region: ClearType) -> io::Result<()> {
        self.0.clear_region(region)
    }
    fn size(&self) -> io::Result<Size> {
        self.0.size()
    }
    fn window_size(&mut self) -> io::Result<WindowSize> {
        self.0.window_size()
    }
    fn flush(&mut self) -> io::Result<()> {
        Backend::flush(&mut self.0)
    }
}

impl<W: Write> Surface for Pen<W> {
    fn begin(&mut self) -> io::Result<()> {
        queue!(self.0, BeginSynchronizedUpdate)
    }
    fn end(&mut self) -> io::Result<()> {
        queue!(self.0, EndSynchronizedUpdate)
    }
    fn deliver(&mut self) -> io::Result<()> {
        Write::flush(&mut self.0)
    }
    fn say(&mut self, escape: &str) -> io::Result<()> {
        self.0.write_all(escape.as_bytes())?;
        Write::flush(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use ratatui::buffer::Buffer;
    use ratatui::style::Style;

    use super::*;

    fn written(cells: &Buffer) -> String {
        crossterm::style::force_color_output(true);
        let mut out = Vec::new();
        let wide = cells.area.width;
        let content = (0..).zip(&cells.content).map(|(at, cell)| (at % wide, at / wide, cell));
        Pen::new(&mut out).draw(content).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_ground_is_said_once_and_blanks_need_no_ink() {
        let ground = Style::new().bg(Color::Rgb(1, 2, 3));
        let mut cells = Buffer::with_lines(["a b c"]);
        cells.set_style(cells.area, ground);
        for (column, colour) in [(0, Color::Red), (1, Color::Blue), (2, Color::Red), (3, Color::Green)] {
            cells.set_style(ratatui::layout::Rect::new(column, 0, 1, 1), Style::new().fg(colour));
        }
        let text = written(&cells);
        assert_eq!(text, "\u{1b}[1;1H\u{1b}[38;5;1m\u{1b}[48;2;1;2;3ma b \u{1b}[39mc\u{1b}[0m");
    }

    #[test]
    fn a_blank_that_is_seen_is_written_as_it_looks() {
        let mut cells = Buffer::with_lines(["a b"]);
        cells.set_style(ratatui::layout::Rect::new(0, 0, 2, 1), Modifier::REVERSED);
        assert_eq!(written(&cells), "\u{1b}[1;1H\u{1b}[7ma \u{1b}[27mb\u{1b}[0m");
    }

    #[test]
    fn bold_ends_and_dim_goes_on() {
        let mut cells = Buffer::with_lines(["ab"]);
        cells.set_style(cells.area, Modifier::DIM);
        cells.set_style(ratatui::layout::Rect::new(0, 0, 1, 1), Modifier::BOLD);
        assert_eq!(written(&cells), "\u{1b}[1;1H\u{1b}[1m\u{1b}[2ma\u{1b}[22m\u{1b}[2mb\u{1b}[0m");
    }
}
