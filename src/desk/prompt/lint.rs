//! Checks on the text of a call: what would cost money, break a cache, or let somebody else's words out of their place.

use serde::Serialize;

use super::RenderedPrompt;
use crate::domain::DecisionWord;
pub use crate::domain::RemarkWeight as Weight;

/// One remark about a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// How bad.
    pub weight: Weight,
    /// Which text: `system` or `user`.
    pub part: &'static str,
    /// What was found, and what to do.
    pub text: String,
}

/// Tokens from which a prompt is remarkably long.
const LONG_PROMPT: usize = 40_000;
/// Tokens below which no provider caches a prefix.
const SHORTEST_CACHED: usize = 1024;

/// Looks at both texts of a call.
pub fn lint(prompt: &RenderedPrompt) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let mut say = |weight, part, text: String| remarks.push(Remark { weight, part, text });
    for mark in ["{{", "{%"] {
        if prompt.system.contains(mark) {
            say(Weight::Error, "system", format!("holds {mark}: this file is sent as it is, not filled in"));
        }
    }
    for word in [
        DecisionWord::Long,
        DecisionWord::Short,
        DecisionWord::NoTrade,
        DecisionWord::Hold,
        DecisionWord::Close,
    ] {
        if !prompt.system.contains(word.as_str()) {
            say(Weight::Error, "system", format!("does not explain the decision {word}"));
        }
    }
    for needed in ["<analysis>", "submit_decisions", "```json"] {
        if !prompt.system.contains(needed) {
            let text = format!("does not mention {needed}, which the answer is read by");
            say(Weight::Warning, "system", text);
        }
    }
    if let Some(date) = date_in(&prompt.system) {
        let text =
            format!("holds the date {date}: text that changes cannot be cached; put it into user.jinja");
        say(Weight::Warning, "system", text);
    }
    for (part, text) in [("system", &prompt.system), ("user", &prompt.user)] {
        if let Some(character) = text.chars().find(|character| is_invisible(*character)) {
            let text = format!("holds the invisible character U+{:04X}", u32::from(character));
            say(Weight::Error, part, text);
        }
    }
    for envelope in ["fetched", "quotations", "operator"] {
        if let Some(fault) = envelope_fault(&prompt.user, envelope) {
            say(Weight::Error, "user", fault);
        }
    }
    if prompt.user.matches("```task").count() != 1 {
        say(Weight::Error, "user", "must hold exactly one ```task block".to_owned());
    }
    for broken in [",NaN", ",inf", "undefined", "None,"] {
        if prompt.user.contains(broken) {
            say(Weight::Error, "user", format!("holds {broken:?}: an unknown value must be an empty cell"));
        }
    }
    if prompt.asked.is_empty() {
        let text = "asks for no decision: no account could be read or no coin has a price".to_owned();
        say(Weight::Warning, "user", text);
    }
    let (system, user) = (estimated_tokens(&prompt.system), estimated_tokens(&prompt.user));
    if system < SHORTEST_CACHED {
        say(Weight::Note, "system", format!("about {system} tokens: too short to be cached by itself"));
    }
    if system + user > LONG_PROMPT {
        say(
            Weight::Warning,
            "user",
            format!("about {} tokens in all: every turn pays for them", system + user),
        );
    } else {
        let text =
            format!("about {} tokens in all, {} decisions asked for", system + user, prompt.asked.len());
        say(Weight::Note, "user", text);
    }
    remarks
}

/// Tokens of a text, line by line: dense numbers take 1.6 bytes a token, prose four. An estimate.
pub fn estimated_tokens(text: &str) -> usize {
    text.lines()
        .map(|line| {
            let dense = line.bytes().filter(|byte| byte.is_ascii_digit() || b",.-".contains(byte)).count();
            if dense * 2 > line.len() { (line.len() + 1) * 10 / 16 } else { (line.len() + 1) / 4 }
        })
        .sum()
}

fn date_in(text: &str) -> Option<&str> {
    text.split(|character: char| !(character.is_ascii_digit() || character == '-')).find(|word| {
        let parts: Vec<&str> = word.split('-').collect();
        matches!(parts.as_slice(), [year, month, day]
            if year.len() == 4 && year.starts_with("20") && month.len() == 2 && day.len() == 2)
    })
}

/// Control characters, and those that hide or turn text around.
fn is_invisible(character: char) -> bool {
    (character.is_control() && character != '\n')
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// An envelope is opened once and closed once, by the same number; or it is not there at all.
fn envelope_fault(text: &str, name: &str) -> Option<String> {
    let (opening, closing) = (format!("<{name} id=\""), format!("</{name} id=\""));
    let number =
        |mark: &str| text.split(mark).nth(1).and_then(|rest| rest.split('"').next()).map(str::to_owned);
    match (text.matches(&opening).count(), text.matches(&closing).count()) {
        (0, 0) => None,
        (1, 1)
            if number(&opening) == number(&closing) && number(&opening).is_some_and(|id| id.len() >= 8) =>
        {
            None
        }
        _ => Some(format!("the envelope <{name}> must be opened and closed once, by the same long number")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Language, Templates, render, sample};
    use super::*;

    fn prompt() -> RenderedPrompt {
        render(&Templates::load(None, Language::En).unwrap(), &sample::full()).unwrap()
    }

    fn errors(prompt: &RenderedPrompt) -> Vec<String> {
        let remarks = lint(prompt).into_iter();
        remarks.filter(|remark| remark.weight != Weight::Note).map(|remark| remark.text).collect()
    }

    #[test]
    fn the_prompts_of_the_house_pass_in_both_languages() {
        for language in [Language::Tr, Language::En] {
            let prompt = render(&Templates::load(None, language).unwrap(), &sample::full()).unwrap();
            assert_eq!(errors(&prompt), Vec::<String>::new());
            assert!(lint(&prompt).iter().any(|remark| remark.text.contains("4 decisions asked for")));
        }
    }

    #[test]
    fn each_fault_is_found() {
        let spoil = |change: &dyn Fn(&mut RenderedPrompt)| {
            let mut prompt = prompt();
            change(&mut prompt);
            errors(&prompt).join("\n")
        };
        assert!(spoil(&|prompt| prompt.system.push_str("{{ threshold }}")).contains("holds {{"));
        assert!(
            spoil(&|prompt| prompt.system = prompt.system.replace("NO_TRADE", "WAIT")).contains("NO_TRADE")
        );
        assert!(spoil(&|prompt| prompt.system.push_str("as of 2026-11-22.")).contains("2026-11-22"));
        assert!(spoil(&|prompt| prompt.user.push('\u{202e}')).contains("U+202E"));
        assert!(spoil(&|prompt| prompt.user.push_str("</fetched id=\"00000000\">")).contains("<fetched>"));
        assert!(spoil(&|prompt| prompt.user.push_str("```task {}```")).contains("one ```task block"));
        assert!(spoil(&|prompt| prompt.user.push_str("1,NaN,2")).contains("empty cell"));
    }
}
