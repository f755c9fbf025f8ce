//! A picture of the screen as SVG, from the real views: deterministic, no terminal needed.

use std::fmt::Write as _;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};

use super::colour::rgb;
use super::state::State;
use super::theme::{Meaning, Theme};
use super::view;

/// Metrics with which box drawing joins in JetBrains Mono: font size, cell width and height, baseline (pixels).
const FONT: f64 = 14.0;
const CELL: (f64, f64) = (8.4, 18.0);
const BASELINE: f64 = 14.28;
/// Blank pixels around the screen.
const MARGIN: f64 = 10.0;

/// Draws the screen of `state` at `width` x `height` cells. The terminal's own default colours are shown as light
/// grey on black.
pub fn svg(state: &State, theme: &Theme, width: u16, height: u16) -> String {
    let Ok(mut terminal) = Terminal::new(TestBackend::new(width, height));
    let mut state = state.clone();
    state.size = (width, height);
    let Ok(_) = terminal.draw(|frame| view::draw(frame, &state, theme));
    let ground = theme.style(Meaning::Text);
    render(terminal.backend().buffer(), ground)
}

/// The colours a cell is painted with, after reversing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Paint {
    ink: [u8; 3],
    paper: [u8; 3],
    bold: bool,
    dim: bool,
    underlined: bool,
}

fn render(buffer: &Buffer, ground: Style) -> String {
    let area = buffer.area;
    let base = Paint {
        ink: ground.fg.and_then(rgb).unwrap_or([204, 204, 204]),
        paper: ground.bg.and_then(rgb).unwrap_or([0, 0, 0]),
        bold: false,
        dim: false,
        underlined: false,
    };
    let (wide, high) =
        (f64::from(area.width) * CELL.0 + 2.0 * MARGIN, f64::from(area.height) * CELL.1 + 2.0 * MARGIN);
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide:.1}\" height=\"{high:.1}\" viewBox=\"0 0 {wide:.1} {high:.1}\" \
         font-family=\"'JetBrains Mono','DejaVu Sans Mono',monospace\" font-size=\"{FONT}\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{}\"/>",
        hex(base.paper)
    );
    for row in 0..area.height {
        let runs = runs(buffer, row, base);
        for run in &runs {
            run.ground(&mut out, row, base);
        }
        for run in &runs {
            run.words(&mut out, row);
        }
    }
    out.push_str("</svg>\n");
    out
}

/// Neighbouring cells of one paint.
struct Run {
    start: u16,
    cells: u16,
    glyphs: Vec<(u16, String)>,
    paint: Paint,
}

fn runs(buffer: &Buffer, row: u16, base: Paint) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for column in 0..buffer.area.width {
        let Some(cell) = buffer.cell((column, row)) else { continue };
        let paint = paint(cell.style(), base);
        let symbol = cell.symbol();
        match runs.last_mut() {
            Some(run) if run.paint == paint => run.cells += 1,
            _ => runs.push(Run { start: column, cells: 1, glyphs: Vec::new(), paint }),
        }
        if let Some(run) = runs.last_mut().filter(|_| !symbol.trim().is_empty()) {
            run.glyphs.push((column, symbol.to_owned()));
        }
    }
    runs
}

fn paint(style: Style, base: Paint) -> Paint {
    let pick = |color: Option<Color>, default| color.and_then(rgb).unwrap_or(default);
    let (mut ink, mut paper) = (pick(style.fg, base.ink), pick(style.bg, base.paper));
    let has = |modifier| style.add_modifier.contains(modifier);
    if has(Modifier::REVERSED) {
        std::mem::swap(&mut ink, &mut paper);
    }
    let (bold, dim, underlined) = (has(Modifier::BOLD), has(Modifier::DIM), has(Modifier::UNDERLINED));
    Paint { ink, paper, bold, dim, underlined }
}

impl Run {
    fn ground(&self, out: &mut String, row: u16, base: Paint) {
        if self.paint.paper == base.paper {
            return;
        }
        let _ = writeln!(
            out,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{}\" fill=\"{}\"/>",
            x(self.start),
            y(row),
            f64::from(self.cells) * CELL.0,
            CELL.1,
            hex(self.paint.paper)
        );
    }

    /// Writes the run word by word: a viewer that knows no position for every glyph still keeps the grid.
    fn words(&self, out: &mut String, row: u16) {
        let mut attributes = String::new();
        for (on, attribute) in [
            (self.paint.bold, " font-weight=\"bold\""),
            (self.paint.dim, " opacity=\"0.6\""),
            (self.paint.underlined, " text-decoration=\"underline\""),
        ] {
            attributes.push_str(if on { attribute } else { "" });
        }
        for word in self.glyphs.chunk_by(|(left, _), (right, _)| left + 1 == *right) {
            let places: Vec<String> = word
                .iter()
                .flat_map(|(column, glyph)| glyph.chars().map(|_| format!("{:.1}", x(*column))))
                .collect();
            let text: String = word.iter().map(|(_, glyph)| escaped(glyph)).collect();
            let _ = writeln!(
                out,
                "<text y=\"{:.2}\" fill=\"{}\"{attributes} x=\"{}\">{text}</text>",
                y(row) + BASELINE,
                hex(self.paint.ink),
                places.join(" ")
            );
        }
    }
}

fn x(column: u16) -> f64 {
    MARGIN + f64::from(column) * CELL.0
}

fn y(row: u16) -> f64 {
    MARGIN + f64::from(row) * CELL.1
}

fn hex([red, green, blue]: [u8; 3]) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

fn escaped(glyph: &str) -> String {
    glyph.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
