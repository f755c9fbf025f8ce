//! Table rows that drop their least important columns when room is short.

use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use crate::domain::untrusted::truncate_columns;

/// One column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its title.
    pub title: &'static str,
    /// Its width in terminal columns.
    pub width: u16,
    /// Whether its cells stand at the right.
    pub right: bool,
    /// When it goes: the highest rank first, rank 0 never.
    pub rank: u8,
}

impl Column {
    /// A column whose cells stand at the left.
    pub const fn left(title: &'static str, width: u16, rank: u8) -> Self {
        Self { title, width, right: false, rank }
    }

    /// A column whose cells stand at the right.
    pub const fn right(title: &'static str, width: u16, rank: u8) -> Self {
        Self { title, width, right: true, rank }
    }
}

/// The columns that fit into a width, one blank between two.
#[derive(Debug, Clone)]
pub struct Fitted {
    shown: Vec<(usize, Column)>,
}

impl Fitted {
    /// Chooses the columns; the one at `stretch` takes what is left over.
    pub fn new(columns: &[Column], width: u16, stretch: usize) -> Self {
        Self::some(columns, |_| true, width, stretch)
    }

    /// The same of those columns that are wanted at all, by their index.
    pub fn some(columns: &[Column], wanted: impl Fn(usize) -> bool, width: u16, stretch: usize) -> Self {
        let wanted = columns.iter().copied().enumerate().filter(|(index, _)| wanted(*index));
        let mut shown: Vec<(usize, Column)> = wanted.collect();
        while total(&shown) > width {
            let least = shown.iter().enumerate().rev().max_by_key(|(at, (_, column))| (column.rank, *at));
            match least {
                Some((at, (_, column))) if column.rank > 0 => shown.remove(at),
                _ => break,
            };
        }
        let spare = width.saturating_sub(total(&shown));
        if let Some((_, column)) = shown.iter_mut().find(|(index, _)| *index == stretch) {
            column.width += spare;
        }
        Self { shown }
    }

    /// Whether what must be shown has room.
    pub fn fits(&self, width: u16) -> bool {
        total(&self.shown) <= width
    }

    /// Whether a column is shown.
    pub fn shows(&self, index: usize) -> bool {
        self.shown.iter().any(|(shown, _)| *shown == index)
    }

    /// The width a column got; 0 when it is not shown.
    pub fn width(&self, index: usize) -> usize {
        self.shown
            .iter()
            .find(|(shown, _)| *shown == index)
            .map_or(0, |(_, column)| usize::from(column.width))
    }

    /// Where a column begins; 0 when it is not shown.
    pub fn offset(&self, index: usize) -> usize {
        if !self.shows(index) {
            return 0;
        }
        let before = self.shown.iter().take_while(|(shown, _)| *shown != index);
        before.map(|(_, column)| usize::from(column.width) + 1).sum()
    }

    /// The row of titles.
    pub fn titles(&self, style: Style) -> Line<'static> {
        self.line(|_, column| vec![Span::styled(column.title, style)])
    }

    /// A row; `cells` holds one cell for every column, shown or not.
    pub fn row(&self, cells: &[Vec<Span<'static>>]) -> Line<'static> {
        self.line(|index, _| cells.get(index).cloned().unwrap_or_default())
    }

    fn line(&self, cell: impl Fn(usize, Column) -> Vec<Span<'static>>) -> Line<'static> {
        let mut spans = Vec::with_capacity(self.shown.len() * 2);
        for (place, (index, column)) in self.shown.iter().enumerate() {
            if place > 0 {
                spans.push(Span::raw(" "));
            }
            fill(&mut spans, cell(*index, *column), usize::from(column.width), column.right);
        }
        Line::from(spans)
    }
}

/// One plain cell.
pub fn cell(text: impl Into<String>, style: Style) -> Vec<Span<'static>> {
    vec![Span::styled(text.into(), style)]
}

fn total(shown: &[(usize, Column)]) -> u16 {
    let gaps = u16::try_from(shown.len().saturating_sub(1)).unwrap_or(u16::MAX);
    shown.iter().map(|(_, column)| column.width).fold(gaps, u16::saturating_add)
}

/// Appends a cell padded or cut to exactly `width` columns.
fn fill(spans: &mut Vec<Span<'static>>, cell: Vec<Span<'static>>, width: usize, right: bool) {
    let mut used = 0;
    let mut kept = Vec::with_capacity(cell.len());
    for span in cell {
        let room = width - used;
        let text = truncate_columns(&span.content, room);
        used += text.width();
        kept.push(Span::styled(text, span.style));
        if used >= width {
            break;
        }
    }
    let padding = Span::raw(" ".repeat(width.saturating_sub(used)));
    if right {
        spans.push(padding);
        spans.extend(kept);
    } else {
        spans.extend(kept);
        spans.push(padding);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] =
        [Column::left("coin", 5, 0), Column::right("price", 8, 1), Column::left("held", 4, 2)];

    fn text(line: &Line<'_>) -> String {
        line.spans.iter().map(|span| span.content.as_ref()).collect()
    }

    #[test]
    fn the_least_important_column_goes_first_and_one_takes_what_is_left() {
        let cells = [cell("BTC", Style::new()), cell("1.5", Style::new()), cell("3h", Style::new())];
        assert_eq!(text(&Fitted::new(&COLUMNS, 19, 0).row(&cells)), "BTC        1.5 3h  ");
        assert_eq!(text(&Fitted::new(&COLUMNS, 18, 0).row(&cells)), "BTC            1.5");
        assert_eq!(text(&Fitted::new(&COLUMNS, 3, 0).row(&cells)), "BTC  ");
    }

    #[test]
    fn a_cell_that_is_too_long_says_so() {
        let cells = [cell("日本語テキスト", Style::new()), cell("123456789", Style::new())];
        assert_eq!(text(&Fitted::new(&COLUMNS, 14, 2).row(&cells)), "日本… 1234567…");
    }
}
