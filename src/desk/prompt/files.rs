//! The prompt files while a desk runs: read again before every call, tried before they count, changed by the operator.
//!
//! A file that is broken (syntax, a name that does not exist, no task at its end) never counts: the last good prompts
//! stay in force until a reading of all files is whole again. At a start those are the compiled-in ones.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::input::Language;
use super::lint::{self, Remark, Weight};
use super::templates::{Templates, Texts, belongs, compiled_in, file_names, system_name};
use super::{PromptError, RenderedPrompt, render, sample};

/// The prompts in force, and the folder they may be replaced from.
#[derive(Debug)]
pub struct PromptFiles {
    folder: Option<PathBuf>,
    language: Language,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    good: Arc<Templates>,
    /// What was refused last, so that it is told once and not every hour.
    refused: Option<Refused>,
}

#[derive(Debug, PartialEq)]
enum Refused {
    /// Whole texts that are no prompt.
    Texts(Texts),
    /// A file could not be read, for this reason.
    Unreadable(String),
}

/// What a look at the files came to.
#[derive(Debug)]
pub enum Look {
    /// Nothing that was not told before.
    Same,
    /// These files changed and count from now on.
    Taken(Vec<&'static str>),
    /// They changed and cannot be used; what counted before still counts.
    Refused(PromptError),
}

impl PromptFiles {
    /// Begins with the files of a folder, or with the compiled-in prompts where those are broken; the first look says
    /// what is wrong then.
    pub fn open(folder: &Path, language: Language) -> Result<Self, PromptError> {
        let built_in = Texts::read(None, language)?;
        let files = Self::holding(Templates::of(Some(folder), language, built_in)?);
        let whole = Texts::read(Some(folder), language).and_then(|texts| files.usable(texts));
        if let Ok(templates) = whole {
            files.state().good = Arc::new(templates);
        }
        Ok(files)
    }

    /// Begins with prompts that were loaded, and watches the folder they were loaded from.
    pub fn holding(templates: Templates) -> Self {
        Self {
            folder: templates.folder.clone(),
            language: templates.language(),
            state: Mutex::new(State { good: Arc::new(templates), refused: None }),
        }
    }

    /// The prompts in force.
    pub fn present(&self) -> Arc<Templates> {
        Arc::clone(&self.state().good)
    }

    /// Whether no file of the settings folder counts.
    pub fn are_built_in(&self) -> bool {
        let built_in = Texts::read(None, self.language);
        built_in.is_ok_and(|built_in| self.present().texts.changed_since(&built_in).is_empty())
    }

    /// Reads the files again and takes them if they are whole. Three small files: no reason to leave the thread.
    pub fn look(&self) -> Look {
        let read = Texts::read(self.folder.as_deref(), self.language);
        if read.as_ref().is_ok_and(|texts| *texts == self.present().texts) {
            self.state().refused = None;
            return Look::Same;
        }
        let (refused, error) = match read {
            Ok(texts) => match self.usable(texts.clone()) {
                Ok(templates) => {
                    let mut state = self.state();
                    let changed = texts.changed_since(&state.good.texts);
                    *state = State { good: Arc::new(templates), refused: None };
                    // A file that only moved, its text unchanged, is nothing to tell.
                    return if changed.is_empty() { Look::Same } else { Look::Taken(changed) };
                }
                Err(error) => (Refused::Texts(texts), error),
            },
            Err(error) => (Refused::Unreadable(error.to_string()), error),
        };
        let mut state = self.state();
        if state.refused.as_ref() == Some(&refused) {
            return Look::Same;
        }
        state.refused = Some(refused);
        Look::Refused(error)
    }

    /// Templates of texts in which nothing is wrong, neither as templates nor in what they say.
    fn usable(&self, texts: Texts) -> Result<Templates, PromptError> {
        let changed = texts.changed_since(&self.present().texts);
        let templates = Templates::of(self.folder.as_deref(), self.language, texts)?;
        let remarks = lint::lint(&render(&templates, &sample::full())?);
        match remarks.into_iter().find(|remark| remark.weight == Weight::Error) {
            None => Ok(templates),
            Some(fault) => Err(PromptError::Faulty { file: changed.join(", "), reason: fault.text }),
        }
    }

    /// The files prompts are made of, of both languages.
    pub fn names(&self) -> [&'static str; 4] {
        file_names()
    }

    /// Whether the prompts in force are made of a file, or only those in the other language.
    pub fn uses(&self, name: &str) -> bool {
        belongs(name, self.language)
    }

    /// A file's text as it stands now, and whether it is one of the settings folder.
    pub fn text(&self, name: &str) -> Result<(String, bool), PromptError> {
        let (name, house) = known(name)?;
        let Some(path) = self.path(name) else { return Ok((house.to_owned(), false)) };
        match fs::read_to_string(&path) {
            Ok(text) => Ok((text, true)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok((house.to_owned(), false)),
            Err(error) => Err(PromptError::Unreadable { file: path, reason: error.to_string() }),
        }
    }

    /// The text a file has when the settings folder has none of its name.
    pub fn built_in(&self, name: &str) -> Result<&'static str, PromptError> {
        known(name).map(|(_, house)| house)
    }

    /// What there is to say about a text before it takes a file's place: it is rendered on sample data together with the
    /// other files as they stand.
    pub fn check(&self, name: &str, text: &str) -> Vec<Remark> {
        match self.rendered(name, text) {
            Ok(prompt) => {
                let mut remarks = lint::lint(&prompt);
                let text = "counted on a small sample of accounts and coins; what this desk sends is longer";
                remarks.push(Remark { weight: Weight::Note, part: "user", text: text.to_owned() });
                remarks
            }
            Err(error) => {
                let part = if name.starts_with("system.") { "system" } else { "user" };
                vec![Remark { weight: Weight::Error, part, text: error.to_string() }]
            }
        }
    }

    /// Whether a text in a file's place counts: a prompt can be made of it, and says nothing wrong.
    pub fn is_usable(&self, name: &str, text: &str) -> bool {
        self.check(name, text).iter().all(|remark| remark.weight != Weight::Error)
    }

    /// The prompt of sample data with a text in a file's place.
    fn rendered(&self, name: &str, text: &str) -> Result<RenderedPrompt, PromptError> {
        let language = if name == system_name(Language::Tr) {
            Language::Tr
        } else if name == system_name(Language::En) {
            Language::En
        } else {
            self.language
        };
        known(name)
            .and_then(|_| Texts::read(self.folder.as_deref(), language))
            .and_then(|texts| Templates::of(self.folder.as_deref(), language, texts.with(name, text)))
            .and_then(|templates| render(&templates, &sample::full()))
    }

    /// Puts a text in a file's place in the settings folder, whole or not at all; it counts from the next cycle on. One
    /// with an error in it is refused.
    pub fn apply(&self, name: &str, text: &str) -> Result<(), PromptError> {
        let (name, _) = known(name)?;
        let path = self.path(name).ok_or(PromptError::NoFolder)?;
        if let Some(fault) = self.check(name, text).into_iter().find(|remark| remark.weight == Weight::Error)
        {
            return Err(PromptError::Faulty { file: name.to_owned(), reason: fault.text });
        }
        replace(&path, text).map_err(|error| unwritable(&path, &error))
    }

    /// Puts a file of the settings folder aside, under a name that nothing reads and none has yet; the compiled-in text
    /// counts from the next cycle on. Where it is now, if there was one.
    pub fn revert(&self, name: &str) -> Result<Option<PathBuf>, PromptError> {
        let (name, _) = known(name)?;
        let path = self.path(name).ok_or(PromptError::NoFolder)?;
        let aside = (1..).map(|number| path.with_file_name(format!("{name}.old{number}")));
        let Some(aside) = aside.into_iter().find(|aside| !aside.exists()) else { return Ok(None) };
        match fs::rename(&path, &aside) {
            Ok(()) => Ok(Some(aside)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unwritable(&path, &error)),
        }
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(name))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn known(name: &str) -> Result<(&'static str, &'static str), PromptError> {
    let found = file_names().into_iter().find(|known| *known == name);
    found
        .and_then(|name| Some((name, compiled_in(name)?)))
        .ok_or_else(|| PromptError::UnknownFile { name: name.to_owned(), allowed: file_names().join(", ") })
}

fn unwritable(path: &Path, error: &std::io::Error) -> PromptError {
    PromptError::Unwritable { file: path.to_owned(), reason: error.to_string() }
}

/// Writes beside the file and moves it into place, so that no reader ever sees half of it.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let beside = path.with_extension("new");
    let mut file = fs::File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> PromptFiles {
        PromptFiles::holding(Templates::load(Some(folder), Language::En).unwrap())
    }

    fn user_of(files: &PromptFiles) -> String {
        render(&files.present(), &sample::full()).unwrap().user
    }

    #[test]
    fn a_file_that_appears_counts_at_the_next_look_and_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        assert!(matches!(files.look(), Look::Same));
        let (text, own) = files.text("user.jinja").unwrap();
        assert!(!own);
        fs::write(folder.path().join("user.jinja"), format!("Mind the gap.\n{text}")).unwrap();
        assert!(!user_of(&files).contains("Mind the gap."));
        let Look::Taken(changed) = files.look() else { panic!("taken") };
        assert_eq!(changed, ["user.jinja"]);
        assert!(user_of(&files).starts_with("Mind the gap."));
        assert!(matches!(files.look(), Look::Same));
    }

    #[test]
    fn a_broken_file_is_refused_once_with_its_place_and_the_last_good_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        let before = user_of(&files);
        let own = folder.path().join("memory.jinja");
        for (broken, place) in [
            ("\n{{ no_such_thing }}\n", "memory.jinja:2: undefined"),
            ("{% if theses %}\nopen for ever\n", "memory.jinja:"),
        ] {
            fs::write(&own, broken).unwrap();
            let Look::Refused(error) = files.look() else { panic!("refused") };
            assert!(error.to_string().contains(place), "{error}");
            assert!(matches!(files.look(), Look::Same), "told once");
            assert_eq!(user_of(&files), before);
        }
        fs::write(&own, "Nothing is remembered.\n").unwrap();
        assert!(matches!(files.look(), Look::Taken(_)));
        assert!(user_of(&files).contains("Nothing is remembered."));
        fs::write(&own, [0xff, 0xfe]).unwrap();
        assert!(matches!(files.look(), Look::Refused(PromptError::Unreadable { .. })));
        assert!(user_of(&files).contains("Nothing is remembered."));
    }

    #[test]
    fn a_file_that_is_broken_at_the_start_never_counts_and_the_first_look_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("system.en.md");
        let open = || PromptFiles::open(folder.path(), Language::En).unwrap();
        for (broken, place) in [
            ("Just trade.", "system.en.md: does not explain the decision LONG"),
            ("", "system.en.md: the system prompt is empty"),
        ] {
            fs::write(&own, broken).unwrap();
            let files = open();
            assert!(files.are_built_in(), "{broken:?} counts");
            let Look::Refused(error) = files.look() else { panic!("refused") };
            assert!(error.to_string().contains(place), "{error}");
            assert!(matches!(files.look(), Look::Same), "told once");
        }
        let brief = format!("{}\nBe brief.\n", compiled_in("system.en.md").unwrap());
        fs::write(&own, &brief).unwrap();
        let files = open();
        assert_eq!(files.present().system, brief);
        assert!(!files.are_built_in());
        assert!(matches!(files.look(), Look::Same), "what counts from the start is no change");
    }

    #[test]
    fn a_text_that_says_something_wrong_is_refused_when_it_is_read_as_when_it_is_applied() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        let before = render(&files.present(), &sample::full()).unwrap().system;
        fs::write(folder.path().join("system.en.md"), "Just trade.").unwrap();
        let Look::Refused(error) = files.look() else { panic!("refused") };
        assert!(error.to_string().starts_with("system.en.md: does not explain the decision LONG"), "{error}");
        assert!(matches!(files.look(), Look::Same), "told once");
        assert_eq!(render(&files.present(), &sample::full()).unwrap().system, before);
    }

    #[test]
    fn a_name_that_no_prompt_has_is_found_where_no_sample_comes_by() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        let (user, _) = files.text("user.jinja").unwrap();
        for (line, name) in [
            ("{% if us30 and not us30 %}{{ no_such_thing }}{% endif %}", "no_such_thing"),
            ("{% if us30 and not us30 %}{{ us30.no_such_field }}{% endif %}", "us30.no_such_field"),
        ] {
            fs::write(folder.path().join("user.jinja"), format!("{line}\n{user}")).unwrap();
            let Look::Refused(error) = files.look() else { panic!("refused") };
            assert!(error.to_string().contains(&format!("{name} is no part of a prompt's data")), "{error}");
        }
        fs::remove_file(folder.path().join("user.jinja")).unwrap();
        let (memory, _) = files.text("memory.jinja").unwrap();
        let spoilt = format!("{memory}{{% if not tr and tr %}}{{{{ lesson }}}}{{% endif %}}");
        fs::write(folder.path().join("memory.jinja"), spoilt).unwrap();
        let Look::Refused(error) = files.look() else { panic!("refused") };
        assert!(
            error.to_string().contains("memory.jinja") && error.to_string().contains("lesson is no"),
            "{error}"
        );
    }

    #[test]
    fn a_fault_that_comes_back_after_it_was_mended_is_told_again() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        let own = folder.path().join("user.jinja");
        fs::write(&own, "no task").unwrap();
        assert!(matches!(files.look(), Look::Refused(PromptError::NoTask { .. })));
        fs::remove_file(&own).unwrap();
        assert!(matches!(files.look(), Look::Same));
        fs::write(&own, "no task").unwrap();
        assert!(matches!(files.look(), Look::Refused(PromptError::NoTask { .. })));
    }

    #[test]
    fn a_text_is_checked_before_it_is_applied_and_can_be_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(&folder.path().join("not-there-yet"));
        let (house, _) = files.text("system.en.md").unwrap();
        let refused = files.apply("system.en.md", "Just trade.").unwrap_err().to_string();
        assert!(refused.contains("does not explain the decision LONG"), "{refused}");
        let own = format!("{house}\nBe brief.\n");
        assert!(files.check("system.en.md", &own).iter().all(|remark| remark.weight != Weight::Error));
        files.apply("system.en.md", &own).unwrap();
        assert_eq!(files.text("system.en.md").unwrap(), (own.clone(), true));
        assert!(matches!(files.look(), Look::Taken(_)));
        assert_eq!(render(&files.present(), &sample::bare()).unwrap().system, own);
        let aside = files.revert("system.en.md").unwrap().unwrap();
        assert_eq!(fs::read_to_string(&aside).unwrap(), own, "what an operator wrote is never thrown away");
        assert_eq!(files.revert("system.en.md").unwrap(), None, "there is none any more");
        assert!(matches!(files.look(), Look::Taken(_)));
        assert_eq!(render(&files.present(), &sample::bare()).unwrap().system, house);
    }

    #[test]
    fn the_other_language_is_checked_by_itself_and_foreign_names_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        assert_eq!(files.check("system.tr.md", " ")[0].weight, Weight::Error);
        assert!(matches!(files.apply("../jarvis.toml", "x"), Err(PromptError::UnknownFile { .. })));
        assert!(matches!(files.revert("jarvis.toml"), Err(PromptError::UnknownFile { .. })));
        let nowhere = PromptFiles::holding(Templates::load(None, Language::En).unwrap());
        assert!(matches!(nowhere.revert("user.jinja"), Err(PromptError::NoFolder)));
    }
}
