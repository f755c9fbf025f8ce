//! How long a full redraw takes: every screen at 200 x 60, from fixed states, without a terminal.
//!
//! `cargo bench --bench console` prints the median and the slowest of each screen in milliseconds.

#![expect(clippy::print_stdout, reason = "a measuring command prints")]

use std::time::Instant;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::KeyCode;

#[path = "../tests/console/fixture.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "the tests use all of it, and fail by panicking")]
mod fixture;
#[path = "../tests/console/pages.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "the tests use all of it, and fail by panicking")]
mod pages;

/// Counted frames of each screen.
const FRAMES: usize = 200;

fn main() {
    let theme = fixture::theme();
    for keys in ["1", "2", "2\n", "3", "3\n", "4", "5", "6", "7", ":", "?"] {
        let mut desk = fixture::finished();
        desk.apply(jarvis::console::update::Msg::Resize(200, 60));
        for key in keys.chars() {
            let code = if key == '\n' { KeyCode::Enter } else { KeyCode::Char(key) };
            let effects = desk.press(code);
            pages::answer(&mut desk, effects);
        }
        let Ok(mut terminal) = Terminal::new(TestBackend::new(200, 60));
        let mut took: Vec<f64> = (0..FRAMES)
            .map(|_| {
                // A cleared terminal has every cell to draw anew.
                let Ok(()) = terminal.clear();
                let began = Instant::now();
                let Ok(_) = terminal.draw(|frame| jarvis::console::view::draw(frame, &desk.state, &theme));
                began.elapsed().as_secs_f64() * 1_000.0
            })
            .collect();
        took.sort_by(f64::total_cmp);
        let name = format!("{keys:?}");
        println!("{name:<8} median {:6.3} ms  slowest {:6.3} ms", took[FRAMES / 2], took[FRAMES - 1]);
    }
}
