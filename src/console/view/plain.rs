//! The screen in letters every terminal has: for the Linux console, old fonts and LANG=C.

use ratatui::buffer::Buffer;
use unicode_width::UnicodeWidthStr;

/// Replaces what is drawn with symbols by letters that say the same. Words keep theirs, of whatever alphabet.
pub fn spell(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        let symbol = cell.symbol();
        let mut letters = symbol.chars();
        if let (Some(letter), None) = (letters.next(), letters.next())
            && !letter.is_ascii()
            && symbol.width() == 1
            && let Some(plain) = plain(letter)
        {
            cell.set_char(plain);
        }
    }
}

fn plain(letter: char) -> Option<char> {
    const TABLE: [(&str, char); 16] = [
        // A bar and what is left of it are two letters.
        ("━╸", '='),
        ("─╌┄┈–—═", '-'),
        ("≈…", '~'),
        ("│┃╽╿╷╵╻╹▏║", '|'),
        ("╭╮╰╯┌┐└┘┏┓┗┛├┤┼", '+'),
        ("▸▹▶→≥", '>'),
        ("◂←≤", '<'),
        ("▲↑", '^'),
        ("▼↓✓", 'v'),
        ("■", '!'),
        ("●▪", '*'),
        ("○△", 'o'),
        ("·▁▂", '.'),
        ("▃▄▅", ':'),
        ("▆▇█", '#'),
        ("✕×", 'x'),
    ];
    let known = TABLE.iter().find(|(symbols, _)| symbols.contains(letter)).map(|(_, plain)| *plain);
    known.or(match letter {
        '◇' => Some('~'),
        '\u{2800}' => Some(' '),
        '\u{2801}'..='\u{28ff}' => Some('*'),
        letter if letter.is_alphanumeric() => None,
        _ => Some('?'),
    })
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    use super::*;

    #[test]
    fn symbols_become_letters_and_words_stay() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 12, 1));
        buffer.set_string(0, 0, "╭─▸ günaydın", Style::new());
        spell(&mut buffer);
        let text: String = buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect();
        assert_eq!(text, "+-> günaydın");
    }
}
