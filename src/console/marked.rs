//! Text marked with the mouse: from where it was pressed to where it is, within one panel, line by line.

use ratatui::buffer::Buffer;
use ratatui::layout::{Margin, Position, Rect};
use ratatui::style::Modifier;

use super::layout;
use super::state::State;

/// A stretch of the screen, as the mouse marks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    /// What it cannot leave: a panel without its frame.
    within: Rect,
    from: Position,
    to: Position,
}

impl Marked {
    /// Begins where the mouse is pressed: in a panel of the desk, in the body of another screen, anywhere on what lies
    /// over them.
    pub fn begin(state: &State, column: u16, row: u16) -> Option<Self> {
        let at = Position::new(column, row);
        let screen = Rect::new(0, 0, state.size.0, state.size.1);
        let areas = layout::areas(screen, state)?;
        let within = if state.overlay.is_some() {
            screen
        } else {
            let panels = areas.panels.iter().map(|(_, area)| *area);
            let framed = panels.chain(areas.log).chain([areas.body]).find(|area| area.contains(at));
            // The bars have no frame and are marked as they are.
            framed.map_or(Rect { y: row, height: 1, ..screen }, |area| area.inner(Margin::new(1, 1)))
        };
        within.contains(at).then_some(Self { within, from: at, to: at })
    }

    /// Goes on to where the mouse is, or as near as the panel allows.
    pub fn reach(&mut self, column: u16, row: u16) {
        let Rect { x, y, .. } = self.within;
        let (right, bottom) = (self.within.right().saturating_sub(1), self.within.bottom().saturating_sub(1));
        self.to = Position::new(column.clamp(x, right.max(x)), row.clamp(y, bottom.max(y)));
    }

    /// Whether it is more than the place of a click.
    pub fn is_wide(&self) -> bool {
        self.from != self.to
    }

    /// The marked columns of every marked row: row, first column, column after the last.
    fn rows(&self) -> impl Iterator<Item = (u16, u16, u16)> {
        let key = |at: Position| (at.y, at.x);
        let (first, last) =
            if key(self.from) <= key(self.to) { (self.from, self.to) } else { (self.to, self.from) };
        let within = self.within;
        (first.y..=last.y).map(move |row| {
            let left = if row == first.y { first.x } else { within.left() };
            let right = if row == last.y { last.x + 1 } else { within.right() };
            (row, left, right)
        })
    }

    /// Turns its cells over, so that it shows without any colour.
    pub fn show(&self, screen: &mut Buffer) {
        if !self.is_wide() {
            return;
        }
        for (row, left, right) in self.rows() {
            for column in left..right {
                if let Some(cell) = screen.cell_mut(Position::new(column, row)) {
                    cell.modifier.toggle(Modifier::REVERSED);
                }
            }
        }
    }

    /// Its text, without the blanks at the ends of lines.
    pub fn text(&self, screen: &Buffer) -> String {
        let lines = self.rows().map(|(row, left, right)| {
            let mut line = String::new();
            let mut column = left;
            while column < right {
                let Some(cell) = screen.cell(Position::new(column, row)) else { break };
                line.push_str(cell.symbol());
                // A wide character fills the cells behind it.
                let width = unicode_width::UnicodeWidthStr::width(cell.symbol());
                column = column.saturating_add(u16::try_from(width).unwrap_or(1).max(1));
            }
            line.trim_end().to_owned()
        });
        lines.collect::<Vec<_>>().join("\n").trim_matches('\n').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(from: (u16, u16), to: (u16, u16)) -> Marked {
        let mut marked =
            Marked { within: Rect::new(2, 0, 6, 3), from: Position::from(from), to: Position::from(from) };
        marked.reach(to.0, to.1);
        marked
    }

    #[test]
    fn it_runs_line_by_line_within_its_panel() {
        let screen = Buffer::with_lines(["##abcdef##", "##日本 x ##", "##ghijkl##"]);
        assert_eq!(marked((4, 0), (5, 2)).text(&screen), "cdef\n日本 x\nghij");
        assert_eq!(marked((5, 2), (4, 0)).text(&screen), "cdef\n日本 x\nghij", "backwards");
        assert_eq!(marked((3, 0), (9, 0)).text(&screen), "bcdef", "it stays in the panel");
        assert!(!marked((3, 0), (3, 0)).is_wide());
    }

    #[test]
    fn its_cells_are_turned_over() {
        let mut screen = Buffer::with_lines(["##abcdef##"]);
        marked((3, 0), (4, 0)).show(&mut screen);
        let turned = |column| screen[(column, 0)].modifier.contains(Modifier::REVERSED);
        assert_eq!([2, 3, 4, 5].map(turned), [false, true, true, false]);
    }
}
