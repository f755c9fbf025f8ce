//! What the text of a screen cannot show: colours.

use jarvis::console::theme::Meaning;
use jarvis::console::{ColorDepth, Theme, picture};
use jarvis::domain::{DecisionWord, Event, Phase};
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::KeyCode;
use ratatui::style::{Color, Modifier, Style};

use crate::fixture::{Desk, busy, draw, finished, live, proposal, text, theme};

/// The style of the first cell of `needle` on the screen.
fn style_of(buffer: &Buffer, needle: &str) -> Style {
    let screen = text(buffer);
    let (row, line) = screen.lines().enumerate().find(|(_, line)| line.contains(needle)).unwrap();
    let column = line[..line.find(needle).unwrap()].chars().count();
    buffer[(u16::try_from(column).unwrap(), u16::try_from(row).unwrap())].style()
}

#[test]
fn confidence_is_coloured_against_the_threshold() {
    let mut desk = Desk::new(busy());
    desk.start_cycle().tell(Event::PhaseEntered { phase: Phase::Execution });
    let row = |coin, value| proposal("mirat", coin, Some(DecisionWord::Long), Some(value), "");
    desk.tell(Event::Decided {
        proposals: vec![
            row("BTC", "0.50"),
            row("ETH", "0.74"),
            row("SOL", "0.75"),
            row("BNB", "0.76"),
            row("XRP", "0.7499"),
        ],
    });
    let theme = theme();
    let buffer = draw(&desk.state, &theme, (120, 40));
    let colour = |needle: &str| style_of(&buffer, needle).fg;
    assert_eq!(colour("0.50 ○"), theme.style(Meaning::Below).fg);
    assert_eq!(colour("0.74 ○"), theme.style(Meaning::Near).fg);
    assert_eq!(colour("0.75 ●"), theme.style(Meaning::Above).fg);
    assert_eq!(colour("0.76 ●"), theme.style(Meaning::Above).fg);
    assert!(!text(&buffer).contains("0.75 ○"), "0.7499 must not be shown as 0.75");
}

#[test]
fn a_missing_stop_is_loud() {
    let theme = theme();
    let buffer = draw(&Desk::new(busy()).state, &theme, (80, 24));
    assert_eq!(style_of(&buffer, "■ NO STOP").fg, theme.style(Meaning::Danger).fg);
}

#[test]
fn gains_and_losses_have_their_colours() {
    let theme = theme();
    let buffer = draw(&Desk::new(busy()).state, &theme, (80, 24));
    assert_eq!(style_of(&buffer, "+3.84").fg, theme.style(Meaning::Gain).fg);
    assert_eq!(style_of(&buffer, "-1.49").fg, theme.style(Meaning::Loss).fg);
}

#[test]
fn without_colour_no_cell_has_one_and_real_money_is_reversed() {
    let theme = theme().with_depth(ColorDepth::None);
    let buffer = draw(&live(finished()).state, &theme, (120, 40));
    for cell in buffer.content() {
        assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset));
    }
    assert!(style_of(&buffer, "LIVE").add_modifier.contains(Modifier::REVERSED));
    let paper = draw(&finished().state, &theme, (120, 40));
    assert!(!style_of(&paper, "PAPER").add_modifier.contains(Modifier::REVERSED));
}

#[test]
fn sixteen_colours_means_names_only() {
    for name in Theme::names(None) {
        let theme = Theme::load(&name, None).unwrap().with_depth(ColorDepth::Ansi16);
        let buffer = draw(&finished().state, &theme, (120, 40));
        let exact = |color: Color| matches!(color, Color::Rgb(..) | Color::Indexed(_));
        assert!(buffer.content().iter().all(|cell| !exact(cell.fg) && !exact(cell.bg)), "{name}");
    }
}

#[test]
fn a_selected_row_stands_on_its_own_ground() {
    let theme = theme();
    let mut desk = finished();
    desk.press(KeyCode::Tab);
    let buffer = draw(&desk.state, &theme, (120, 40));
    assert_eq!(style_of(&buffer, "▸ mirat").bg, theme.style(Meaning::Selection).bg);
}

#[test]
fn a_picture_is_the_screen_and_comes_out_the_same_twice() {
    let mut desk = finished();
    desk.press(KeyCode::Char('?'));
    let svg = picture::svg(&desk.state, &theme(), 80, 24);
    assert_eq!(svg, picture::svg(&desk.state, &theme(), 80, 24));
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    assert!(svg.contains(">PAPER</text>") && svg.contains("#5cc8d7"));
    assert!(!svg.contains("<script") && !svg.contains("& "));
}
