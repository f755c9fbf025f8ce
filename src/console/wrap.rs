//! Breaks text into lines by terminal columns.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// The lines of `text` at most `columns` wide, broken between words, and within a word that is too long for a line.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    if columns == 0 {
        return lines;
    }
    for paragraph in text.split('\n') {
        wrap_paragraph(paragraph.trim_end(), columns, &mut lines);
    }
    lines
}

fn wrap_paragraph(paragraph: &str, columns: usize, lines: &mut Vec<String>) {
    let mut line = String::new();
    let mut used = 0;
    for word in paragraph.split_word_bounds() {
        let width = word.width();
        if used + width <= columns {
            line.push_str(word);
            used += width;
        } else if word.trim().is_empty() {
            lines.push(take_line(&mut line));
            used = 0;
        } else {
            // The word and what clings to its left (an opening bracket, a minus) move down together.
            let carried = carry(&mut line, columns, width);
            if used > 0 {
                lines.push(take_line(&mut line));
            }
            line = carried;
            used = line.width();
            for grapheme in word.graphemes(true) {
                let width = grapheme.width();
                if used + width > columns {
                    lines.push(take_line(&mut line));
                    used = 0;
                }
                line.push_str(grapheme);
                used += width;
            }
        }
    }
    lines.push(take_line(&mut line));
}

/// Takes from the end of a line what is not separated by a space, if it fits on the next line with the word.
fn carry(line: &mut String, columns: usize, word_width: usize) -> String {
    match line.rfind(' ') {
        Some(space) if space + 1 < line.len() => {
            let tail = line.split_off(space + 1);
            if tail.width() + word_width <= columns {
                tail
            } else {
                line.push_str(&tail);
                String::new()
            }
        }
        _ => String::new(),
    }
}

fn take_line(line: &mut String) -> String {
    let taken = line.trim_end().to_owned();
    line.clear();
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn breaks_fall_between_words() {
        assert_eq!(wrap("BTC holds above 66 000", 10), ["BTC holds", "above 66", "000"]);
        assert_eq!(wrap("risk (very) high", 9), ["risk", "(very)", "high"]);
    }

    #[test]
    fn a_word_too_long_is_cut_and_empty_lines_stay() {
        assert_eq!(wrap("abcdefgh\n\nx", 4), ["abcd", "efgh", "", "x"]);
        assert_eq!(wrap("日本語", 4), ["日本", "語"]);
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_asked_and_no_word_is_lost(text in "[a-zğüşı0-9 ()\n,.-]{0,200}", columns in 2_usize..40) {
            let lines = wrap(&text, columns);
            for line in &lines {
                prop_assert!(line.width() <= columns, "{line:?}");
            }
            let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }
}
