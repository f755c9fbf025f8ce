//! Which part of the model's text an operator sees while it streams: the analysis, not the decision array.

/// Passes on analysis text as it arrives; holds back what might become a tag, and stops at the decisions.
#[derive(Debug, Default)]
pub struct VisibleText {
    pending: String,
    ended: bool,
}

const OPENING: &str = "<analysis>";
const ENDINGS: [&str; 2] = ["</analysis>", "```"];

impl VisibleText {
    /// Takes what arrived and returns what may be shown now.
    pub fn push(&mut self, delta: &str) -> String {
        if self.ended {
            return String::new();
        }
        self.pending.push_str(delta);
        if let Some(at) = self.pending.find(OPENING) {
            self.pending.replace_range(at..at + OPENING.len(), "");
        }
        if let Some(end) = ENDINGS.iter().filter_map(|ending| self.pending.find(ending)).min() {
            self.ended = true;
            let visible = self.pending[..end].to_owned();
            self.pending.clear();
            return visible;
        }
        let held = held_back(&self.pending);
        let rest = self.pending.split_off(self.pending.len() - held);
        std::mem::replace(&mut self.pending, rest)
    }

    /// What was held back, at the end of a turn.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.pending)
    }
}

/// Bytes at the end of `text` that might be the beginning of a tag or a fence.
fn held_back(text: &str) -> usize {
    ENDINGS
        .iter()
        .chain([&OPENING])
        .flat_map(|tag| (1..tag.len()).map(move |length| &tag[..length]))
        .filter(|beginning| text.ends_with(beginning))
        .map(str::len)
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ANSWER: &str = "Looking.\n<analysis>\nBTC `up` < 5 %\n</analysis>\n```json\n[{}]\n```";

    #[test]
    fn tags_and_decisions_are_never_shown() {
        let mut visible = VisibleText::default();
        assert_eq!(visible.push(ANSWER), "Looking.\n\nBTC `up` < 5 %\n");
        assert_eq!(visible.push("more"), "");
    }

    proptest! {
        #[test]
        fn the_same_text_shows_however_it_is_cut(cuts in prop::collection::vec(0_usize..ANSWER.len(), 0..8)) {
            let mut cuts = cuts;
            cuts.extend([0, ANSWER.len()]);
            cuts.sort_unstable();
            let mut visible = VisibleText::default();
            let mut shown = String::new();
            for pair in cuts.windows(2) {
                shown.push_str(&visible.push(&ANSWER[pair[0]..pair[1]]));
            }
            shown.push_str(&visible.finish());
            prop_assert_eq!(shown, "Looking.\n\nBTC `up` < 5 %\n");
        }
    }
}
