//! What changed between two prompts, line by line.

use serde::Serialize;

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Change {
    /// It stands in both.
    #[serde(rename = " ")]
    Same,
    /// It stands only in the old one.
    #[serde(rename = "-")]
    Gone,
    /// It stands only in the new one.
    #[serde(rename = "+")]
    New,
}

impl Change {
    /// The mark before a line.
    pub const fn mark(self) -> char {
        match self {
            Self::Same => ' ',
            Self::Gone => '-',
            Self::New => '+',
        }
    }
}

/// Every line of both texts, once, in order: the fewest changes that lead from one to the other.
pub fn diff<'t>(old: &'t str, new: &'t str) -> Vec<(Change, &'t str)> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let head = old.iter().zip(&new).take_while(|(left, right)| left == right).count();
    let (rest_old, rest_new) = (&old[head..], &new[head..]);
    let tail =
        rest_old.iter().rev().zip(rest_new.iter().rev()).take_while(|(left, right)| left == right).count();
    let (middle_old, middle_new) = (&rest_old[..rest_old.len() - tail], &rest_new[..rest_new.len() - tail]);
    let same = |line: &&'t str| (Change::Same, *line);
    let mut lines: Vec<(Change, &str)> = old[..head].iter().map(same).collect();
    lines.extend(changed(middle_old, middle_new));
    lines.extend(rest_old[rest_old.len() - tail..].iter().map(same));
    lines
}

/// The longest common subsequence, by the table of its lengths.
fn changed<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<(Change, &'t str)> {
    let width = new.len() + 1;
    let mut longest = vec![0_u32; (old.len() + 1) * width];
    for left in (0..old.len()).rev() {
        for right in (0..new.len()).rev() {
            longest[left * width + right] = if old[left] == new[right] {
                longest[(left + 1) * width + right + 1] + 1
            } else {
                longest[(left + 1) * width + right].max(longest[left * width + right + 1])
            };
        }
    }
    let (mut left, mut right, mut lines) = (0, 0, Vec::new());
    while left < old.len() || right < new.len() {
        let both = left < old.len() && right < new.len();
        if both && old[left] == new[right] {
            lines.push((Change::Same, old[left]));
            (left, right) = (left + 1, right + 1);
        } else if right == new.len()
            || (both && longest[(left + 1) * width + right] >= longest[left * width + right + 1])
        {
            lines.push((Change::Gone, old[left]));
            left += 1;
        } else {
            lines.push((Change::New, new[right]));
            right += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(lines: &[(Change, &str)], without: Change) -> Vec<String> {
        lines.iter().filter(|(change, _)| *change != without).map(|(_, line)| (*line).to_owned()).collect()
    }

    #[test]
    fn only_what_changed_is_marked() {
        let marks: String =
            diff("a\nb\nc\nd", "a\nx\nc\nd\ne").iter().map(|(change, _)| change.mark()).collect();
        assert_eq!(marks, " -+  +");
    }

    proptest! {
        #[test]
        fn both_texts_can_be_read_from_the_difference(
            old in prop::collection::vec("[abc]", 0..12), new in prop::collection::vec("[abc]", 0..12),
        ) {
            let (joined_old, joined_new) = (old.join("\n"), new.join("\n"));
            let lines = diff(&joined_old, &joined_new);
            prop_assert_eq!(text(&lines, Change::New), old);
            prop_assert_eq!(text(&lines, Change::Gone), new);
        }
    }
}
