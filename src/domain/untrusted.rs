//! Text from outside: headlines, model output, exchange messages.
//!
//! The type has no `Display`. It reaches a terminal or a log only through [`Untrusted::line`] and
//! [`Untrusted::lines`], which remove everything that could steer a terminal or hide meaning.

use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Text that somebody else wrote.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Untrusted(String);

impl Untrusted {
    /// Marks a text as coming from outside.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text as it came: for the store and for parsing, never for a screen, a log or an instruction.
    pub fn raw(&self) -> &str {
        &self.0
    }

    /// Adds what arrived next in the same stream.
    pub fn push(&mut self, more: &Self) {
        self.0.push_str(&more.0);
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One clean line of at most `columns` terminal columns; longer text ends in `…`.
    pub fn line(&self, columns: usize) -> String {
        let clean = clean(&self.0);
        let joined = clean.split_whitespace().collect::<Vec<_>>().join(" ");
        truncate_columns(&joined, columns)
    }

    /// Clean text that keeps its line breaks.
    pub fn lines(&self) -> String {
        clean(&self.0)
    }
}

impl From<String> for Untrusted {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Untrusted {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// Removes escape sequences, control, bidirectional, zero-width and tag characters, and stacks of combining marks.
fn clean(text: &str) -> String {
    let without_escapes = strip_ansi_escapes::strip_str(text);
    let mut out = String::with_capacity(without_escapes.len());
    let mut marks = 0_usize;
    for character in without_escapes.chars() {
        if character == '\n' {
            out.push('\n');
            marks = 0;
        } else if character == '\t' {
            out.push(' ');
            marks = 0;
        } else if is_hidden(character) {
            // Dropped: it shows nothing and can only steer or deceive.
        } else if is_combining(character) {
            marks += 1;
            if marks <= 2 {
                out.push(character);
            }
        } else {
            out.push(character);
            marks = 0;
        }
    }
    out
}

fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e000}'..='\u{f8ff}'
            | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}')
}

fn is_combining(character: char) -> bool {
    matches!(character,
        '\u{0300}'..='\u{036f}' | '\u{0483}'..='\u{0489}' | '\u{1ab0}'..='\u{1aff}'
        | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// Cuts at a grapheme border so that the result is at most `columns` wide, `…` included.
pub fn truncate_columns(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(1);
    let mut out = String::new();
    let mut used = 0;
    for grapheme in text.graphemes(true) {
        let width = grapheme.width();
        if used + width > room {
            break;
        }
        out.push_str(grapheme);
        used += width;
    }
    if columns > 0 {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escape_sequences_and_bidi_tricks_never_come_out() {
        let hostile = Untrusted::new("a\u{1b}]0;pwned\u{7}b\u{1b}[2Jc\u{202e}d\u{200b}e\u{9b}31mf\rg");
        let line = hostile.line(80);
        assert!(line.chars().all(|character| !is_hidden(character)), "{line:?}");
        assert!(line.starts_with("ab"));
    }

    #[test]
    fn long_text_is_cut_at_a_column_and_says_so() {
        assert_eq!(Untrusted::new("günaydın dünya").line(8), "günaydı…");
        assert_eq!(Untrusted::new("日本語テキスト").line(6), "日本…");
    }

    #[test]
    fn a_tower_of_combining_marks_is_cut_to_two() {
        let tower = format!("a{}", "\u{0301}".repeat(1000));
        assert_eq!(Untrusted::new(tower).line(10).chars().count(), 3);
    }

    proptest! {
        #[test]
        fn nothing_hidden_survives_and_the_width_holds(text in "\\PC*|[\\x00-\\x1f\\x7f-\\x9f\\u{200b}-\\u{206f}a-z]*",
                                                       columns in 0_usize..60) {
            let line = Untrusted::new(text).line(columns);
            prop_assert!(line.chars().all(|character| !is_hidden(character)));
            prop_assert!(line.width() <= columns);
        }
    }
}
