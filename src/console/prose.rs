//! The analysis as lines of text: the model's words without the machinery around them.

use super::format;
use super::wrap::wrap;
use crate::domain::CycleView;

/// The analysis of a cycle, broken at `columns`.
pub fn lines(cycle: &CycleView, columns: usize) -> Vec<String> {
    let text = cycle.analysis.lines();
    let (words, machinery) = split(&text);
    let mut lines = wrap(&without_markup(words), columns);
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    if machinery > 0 && cycle.decisions.is_empty() && cycle.phase.is_some() {
        lines.push(String::new());
        lines.push(format!("… writing its decisions, {} so far", format::bytes(machinery)));
    }
    lines
}

/// What the model lets be seen of its thinking while it has not gone on writing, under a heading of its own.
pub fn thinking(cycle: &CycleView, columns: usize) -> Vec<String> {
    let thought = cycle.thinking.lines();
    if thought.trim().is_empty() {
        return Vec::new();
    }
    let heading = ["(thinking)".to_owned()].into_iter();
    heading.chain(wrap(without_markup(&thought).trim(), columns)).collect()
}

/// Models like to set words in bold and lines as headings; a terminal shows the marks instead.
fn without_markup(words: &str) -> String {
    let plain = |line: &str| line.trim_start_matches('#').trim_start().replace("**", "");
    words.lines().map(plain).collect::<Vec<_>>().join("\n")
}

/// The words to read, and how many bytes of decision list follow them.
fn split(text: &str) -> (&str, u64) {
    let start = text.find("<analysis>").map_or(0, |at| at + "<analysis>".len());
    let body = text.get(start..).unwrap_or("");
    let end = ["</analysis>", "```", "\n[", "\n{"].iter().filter_map(|mark| body.find(mark)).min();
    match end {
        Some(at) => {
            let rest = body.get(at..).unwrap_or("").trim_start_matches("</analysis>").trim();
            (body.get(..at).unwrap_or("").trim(), rest.len() as u64)
        }
        None => (without_half_a_tag(body.trim_start()), 0),
    }
}

/// A closing tag that has only half arrived would flicker on the screen.
fn without_half_a_tag(text: &str) -> &str {
    let half =
        text.rfind('<').filter(|at| text.get(*at..).is_some_and(|tail| "</analysis>".starts_with(tail)));
    half.and_then(|at| text.get(..at)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bold_marks_and_heading_marks_are_not_read_out() {
        assert_eq!(without_markup("## Risk\n**Low:** a * b"), "Risk\nLow: a * b");
    }

    #[test]
    fn tags_and_the_decision_list_are_not_read_out() {
        let text =
            "Let me look.\n<analysis>\nRisk is low.\n</analysis>\n```json\n[{\"account\":\"mirat\"}]\n```";
        assert_eq!(split(text), ("Risk is low.", 33));
        assert_eq!(split("<analysis>Calm"), ("Calm", 0));
        assert_eq!(split("<analysis>Calm analysis</ana"), ("Calm analysis", 0));
        assert_eq!(split("no tags at all\n[{\"a\":1}]"), ("no tags at all", 9));
    }
}
