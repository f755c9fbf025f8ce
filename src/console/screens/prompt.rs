//! The prompt files: read, edit, check, compare, use, go back.

use crossterm::event::KeyEvent;
use similar::{ChangeTag, TextDiff};
use tui_textarea::TextArea;

use super::super::keymap::Action;
use super::super::pages::{Asked, question};
use super::super::state::State;
use super::super::update::{Effect, Step, new_top, tell};
use super::super::view;
use crate::domain::{PromptPage, PromptRemark, Query, QueryId, RemarkWeight, Severity, Timestamp};

/// What is shown of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum View {
    /// The text itself.
    #[default]
    Text,
    /// How the draft differs from the text in force.
    AgainstInForce,
    /// How the text differs from the built-in one.
    AgainstBuiltIn,
}

impl View {
    /// All views in their order.
    pub const ALL: [Self; 3] = [Self::Text, Self::AgainstInForce, Self::AgainstBuiltIn];

    /// Its name.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::AgainstInForce => "changes to the text in force",
            Self::AgainstBuiltIn => "changes to the built-in text",
        }
    }

    /// The same where there is little room.
    pub const fn short_title(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::AgainstInForce => "against in force",
            Self::AgainstBuiltIn => "against built-in",
        }
    }
}

/// What the screen knows.
#[derive(Debug, Clone, Default)]
pub struct Prompt {
    /// The answer.
    pub page: Asked<PromptPage>,
    /// The file asked for; `None` takes the first.
    pub file: Option<String>,
    /// A text that is not in force.
    pub draft: Option<Draft>,
    /// What there is to say about the draft.
    pub lint: Asked<Vec<PromptRemark>>,
    /// What is shown.
    pub view: View,
    /// The first line in sight.
    pub top: usize,
    /// What waits for the answer: the palette asked for it before the screen had anything.
    pub then: Option<Action>,
}

/// A text in the making.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The file it would be.
    pub name: String,
    /// The text.
    pub editor: TextArea<'static>,
    /// Whether keys go into the text.
    pub editing: bool,
}

impl Draft {
    /// The whole text, ending in a line break as files do.
    pub fn text(&self) -> String {
        let mut text = self.editor.lines().join("\n");
        if !text.ends_with('\n') {
            text.push('\n');
        }
        text
    }
}

/// What the screen needs.
pub fn query(state: &State) -> Option<Query> {
    Some(Query::Prompt { name: state.prompt.file.clone() })
}

/// Takes a file and its neighbours.
pub fn answer(state: &mut State, id: QueryId, page: PromptPage, now: Option<Timestamp>) {
    let name = page.name.clone();
    if state.prompt.page.answer(id, page, now) {
        state.prompt.file = Some(name);
    }
}

/// Whether keys go into the text.
pub fn is_editing(state: &State) -> bool {
    state.screen == super::Screen::Prompt && state.prompt.draft.as_ref().is_some_and(|draft| draft.editing)
}

/// The file of which a draft differs from the text in force.
pub fn unsaved(state: &State) -> Option<String> {
    let draft = state.prompt.draft.as_ref()?;
    (!is_in_force(state, draft)).then(|| draft.name.clone())
}

/// Whether a draft says what is in force already.
fn is_in_force(state: &State, draft: &Draft) -> bool {
    let page = state.prompt.page.page.as_ref();
    page.is_some_and(|page| page.name == draft.name && page.text.trim_end() == draft.text().trim_end())
}

/// Begins or goes on editing.
pub fn edit(state: &mut State) {
    let Some(page) = &state.prompt.page.page else { return };
    state.prompt.view = View::Text;
    if let Some(draft) = &mut state.prompt.draft {
        draft.editing = true;
        return;
    }
    let mut editor = TextArea::new(page.text.lines().map(str::to_owned).collect());
    editor.set_max_histories(500);
    state.prompt.draft = Some(Draft { name: page.name.clone(), editor, editing: true });
}

/// A key while the text is edited. What was said of the text before it does not hold any more.
pub fn type_key(state: &mut State, event: KeyEvent) {
    if let Some(draft) = &mut state.prompt.draft
        && draft.editor.input(event)
    {
        state.prompt.lint = Asked::default();
    }
}

/// Pasted text while the text is edited.
pub fn paste(state: &mut State, text: &str) {
    if let Some(draft) = &mut state.prompt.draft {
        draft.editor.insert_str(text.replace("\r\n", "\n").replace('\r', "\n"));
        state.prompt.lint = Asked::default();
    }
}

/// Leaves the text, keeps the draft, and has it checked.
pub fn leave_editor(state: &mut State) -> Vec<Effect> {
    let Some(draft) = &mut state.prompt.draft else { return Vec::new() };
    draft.editing = false;
    if unsaved(state).is_none() {
        state.prompt.draft = None;
        state.prompt.lint = Asked::default();
        return Vec::new();
    }
    check(state)
}

/// Has the draft checked.
pub fn check(state: &mut State) -> Vec<Effect> {
    let Some(draft) = &state.prompt.draft else { return Vec::new() };
    let (name, text) = (draft.name.clone(), draft.text());
    let (id, effect) = question(state, Query::LintPrompt { name, text });
    state.prompt.lint.page = None;
    state.prompt.lint.wait_for(id);
    vec![effect]
}

/// Takes what there is to say about the draft, and says in a sentence what it comes to.
pub fn answer_check(state: &mut State, id: QueryId, remarks: Vec<PromptRemark>, now: Option<Timestamp>) {
    let worst = remarks.iter().map(|remark| remark.weight).max();
    if !state.prompt.lint.answer(id, remarks, now) {
        return;
    }
    let key = state.keys.key_of(Action::ApplyPrompt);
    let (severity, text) = match worst {
        Some(RemarkWeight::Error) => {
            (Severity::Warning, "the draft was checked: it would break the next cycle".to_owned())
        }
        Some(RemarkWeight::Warning) => {
            (Severity::Info, format!("the draft was checked: it works, with warnings; {key} uses it"))
        }
        Some(RemarkWeight::Note) | None => {
            (Severity::Info, format!("the draft was checked: nothing is wrong; {key} uses it"))
        }
    };
    tell(state, severity, text);
}

/// Lets the draft go.
pub fn discard(state: &mut State) {
    state.prompt.draft = None;
    state.prompt.lint = Asked::default();
    tell(state, Severity::Info, "the draft was thrown away".to_owned());
}

/// Another file; a draft must be used or thrown away first.
pub fn turn_file(state: &mut State, by: usize) -> Vec<Effect> {
    let Some(page) = &state.prompt.page.page else { return Vec::new() };
    let here = page.files.iter().position(|file| file.name == page.name).unwrap_or(0);
    let count = page.files.len().max(1);
    let step = by % count;
    state.prompt.file = page.files.get((here + step) % count).map(|file| file.name.clone());
    state.prompt.top = 0;
    super::ask(state)
}

/// Another way to look at the text.
pub fn turn_view(state: &mut State, forward: bool) {
    let here = View::ALL.iter().position(|view| *view == state.prompt.view).unwrap_or(0);
    let next = if forward { here + 1 } else { here + View::ALL.len() - 1 } % View::ALL.len();
    state.prompt.view = View::ALL.get(next).copied().unwrap_or_default();
    state.prompt.top = 0;
}

/// One line of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each name is its meaning")]
pub enum Change {
    Same,
    Added,
    Removed,
}

/// How one text differs from another, line by line.
pub fn compared(before: &str, after: &str) -> Vec<(Change, String)> {
    TextDiff::from_lines(before, after)
        .iter_all_changes()
        .map(|change| {
            let kind = match change.tag() {
                ChangeTag::Equal => Change::Same,
                ChangeTag::Insert => Change::Added,
                ChangeTag::Delete => Change::Removed,
            };
            (kind, change.value().trim_end().to_owned())
        })
        .collect()
}

/// Other lines.
pub fn scroll(state: &mut State, step: Step) {
    let (lines, rows) = view::prompt::extent(state);
    let top = new_top(Some(state.prompt.top), step, lines, rows);
    state.prompt.top = top.unwrap_or_else(|| lines.saturating_sub(rows));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_names_what_came_and_what_went() {
        let changes = compared("a\nb\nc\n", "a\nx\nc\n");
        let marks: Vec<_> = changes.iter().map(|(change, line)| (*change, line.as_str())).collect();
        assert_eq!(
            marks,
            [(Change::Same, "a"), (Change::Removed, "b"), (Change::Added, "x"), (Change::Same, "c")]
        );
    }
}
