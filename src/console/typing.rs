//! A line that is being typed: what each key does to its letters and to the cursor among them.

use crossterm::event::KeyCode;

use super::keymap::Key;
use super::state::Entry;

/// The most letters a typed line may have.
const LONGEST: usize = 500;

impl Entry {
    /// Where the cursor stands, in bytes.
    pub fn cursor(&self) -> usize {
        let from_end = self.typed.char_indices().rev().map(|(at, _)| at);
        self.back.checked_sub(1).map_or(self.typed.len(), |back| from_end.take(back + 1).last().unwrap_or(0))
    }

    /// The letters with a mark where the cursor stands.
    pub fn marked(&self) -> String {
        let (before, after) = self.typed.split_at(self.cursor());
        format!("{before}▏{after}")
    }

    /// Puts letters in at the cursor, as many as there is room for.
    pub fn put(&mut self, letters: &str) {
        let room = LONGEST.saturating_sub(self.typed.chars().count());
        let letters: String = letters.chars().filter(|letter| !letter.is_control()).take(room).collect();
        self.typed.insert_str(self.cursor(), &letters);
    }

    /// Does what a key means for the line. Keys that mean nothing leave it as it is.
    pub fn press(&mut self, key: Key) {
        let cursor = self.cursor();
        let letters = self.typed.chars().count();
        match key {
            Key::Char(letter) => self.put(letter.encode_utf8(&mut [0; 4])),
            Key::Code(KeyCode::Backspace) => {
                if let Some(letter) = self.typed.get(..cursor).and_then(|before| before.chars().next_back()) {
                    self.typed.remove(cursor - letter.len_utf8());
                }
            }
            Key::Code(KeyCode::Delete) if self.back > 0 => {
                self.typed.remove(cursor);
                self.back -= 1;
            }
            Key::Code(KeyCode::Left) => self.back = (self.back + 1).min(letters),
            Key::Code(KeyCode::Right) => self.back = self.back.saturating_sub(1),
            Key::Code(KeyCode::Home) | Key::Ctrl('a') => self.back = letters,
            Key::Code(KeyCode::End) | Key::Ctrl('e') => self.back = 0,
            Key::Ctrl('u') => self.typed.replace_range(..cursor, ""),
            Key::Ctrl('w') => {
                let before = self.typed.get(..cursor).unwrap_or_default().trim_end();
                let kept = before.rfind(' ').map_or(0, |space| space + 1);
                self.typed.replace_range(kept..cursor, "");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::Purpose;
    use super::*;

    fn after(typed: &str, keys: &[Key]) -> String {
        let mut entry = Entry::begun(Purpose::Note, typed.to_owned());
        for key in keys {
            entry.press(*key);
        }
        entry.marked()
    }

    #[test]
    fn letters_go_in_where_the_cursor_stands() {
        let (left, right) = (Key::Code(KeyCode::Left), Key::Code(KeyCode::Right));
        assert_eq!(after("6125", &[Key::Char('0')]), "61250▏");
        assert_eq!(after("6250", &[left, left, left, Key::Char('1')]), "61▏250");
        assert_eq!(after("ığü", &[left, left, Key::Char('ş'), right]), "ışğ▏ü");
        assert_eq!(after("ab", &[left, left, left, Key::Char('x')]), "x▏ab");
        assert_eq!(after("ab", &[Key::Code(KeyCode::Home), Key::Char('x'), Key::Code(KeyCode::End)]), "xab▏");
    }

    #[test]
    fn what_goes_is_beside_the_cursor() {
        let (left, home) = (Key::Code(KeyCode::Left), Key::Code(KeyCode::Home));
        assert_eq!(after("ığü", &[left, Key::Code(KeyCode::Backspace)]), "ı▏ü");
        assert_eq!(after("ığü", &[left, Key::Code(KeyCode::Delete)]), "ığ▏");
        assert_eq!(after("ab", &[home, Key::Code(KeyCode::Backspace)]), "▏ab");
        assert_eq!(after("ab", &[Key::Code(KeyCode::Delete)]), "ab▏");
        assert_eq!(after("one two x", &[left, Key::Ctrl('w')]), "one ▏x");
        assert_eq!(after("one two", &[left, Key::Ctrl('u')]), "▏o");
    }
}
