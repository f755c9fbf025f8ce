//! The prompt files: compiled in, and replaced by files of the same name in the settings folder.

use std::path::{Path, PathBuf};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};

use super::PromptError;
use super::input::{Language, PromptInput};
use super::sample;
use super::view::PromptView;

const SYSTEM_TR: &str = include_str!("../../../prompts/system.tr.md");
const SYSTEM_EN: &str = include_str!("../../../prompts/system.en.md");
const USER: &str = include_str!("../../../prompts/user.jinja");

/// The name of the user template, also its file name.
const USER_NAME: &str = "user.jinja";
/// What the user template includes: name, also the file name, and the compiled-in text.
const PARTIALS: [(&str, &str); 1] = [("memory.jinja", include_str!("../../../prompts/memory.jinja"))];

/// Every file a prompt may be made of, with its compiled-in text.
const FILES: [(&str, &str); 4] =
    [("system.tr.md", SYSTEM_TR), ("system.en.md", SYSTEM_EN), (USER_NAME, USER), PARTIALS[0]];

/// The names of all prompt files, of both languages.
pub(super) fn file_names() -> [&'static str; 4] {
    FILES.map(|(name, _)| name)
}

/// The name of the system prompt's file.
pub(super) fn system_name(language: Language) -> &'static str {
    match language {
        Language::Tr => "system.tr.md",
        Language::En => "system.en.md",
    }
}

/// One prompt file as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct File {
    name: &'static str,
    /// Where the text came from, for messages.
    place: String,
    text: String,
}

/// The texts one language's prompts are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Texts(Vec<File>);

impl Texts {
    /// The files of the settings folder where they exist, the compiled-in texts elsewhere.
    pub fn read(folder: Option<&Path>, language: Language) -> Result<Self, PromptError> {
        FILES
            .into_iter()
            .filter(|(name, _)| belongs(name, language))
            .map(|(name, compiled_in)| {
                let (place, text) = text_of(folder, name, compiled_in)?;
                Ok(File { name, place, text })
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The same texts with one of them replaced; its place is then its name.
    pub fn with(mut self, name: &str, text: &str) -> Self {
        for file in self.0.iter_mut().filter(|file| file.name == name) {
            text.clone_into(&mut file.text);
            name.clone_into(&mut file.place);
        }
        self
    }

    /// The files in which the text differs from another reading.
    pub fn changed_since(&self, earlier: &Self) -> Vec<&'static str> {
        let known = |file: &&File| earlier.0.iter().any(|old| old.name == file.name && old.text == file.text);
        self.0.iter().filter(|file| !known(file)).map(|file| file.name).collect()
    }

    fn file<'a>(&'a self, name: &'a str) -> (&'a str, &'a str) {
        self.0
            .iter()
            .find(|file| file.name == name)
            .map_or((name, ""), |file| (file.place.as_str(), file.text.as_str()))
    }
}

/// Whether a file is part of one language's prompts: all but the other language's system prompt.
pub(super) fn belongs(name: &str, language: Language) -> bool {
    !name.starts_with("system.") || name == system_name(language)
}

/// A file's text as compiled in, if there is such a file.
pub(super) fn compiled_in(name: &str) -> Option<&'static str> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The prompts of one language, checked and ready to render.
#[derive(Debug)]
pub struct Templates {
    language: Language,
    pub(super) folder: Option<PathBuf>,
    pub(super) texts: Texts,
    pub(super) system: String,
    environment: Environment<'static>,
    /// Where the user template came from, for messages.
    user_place: String,
}

impl Templates {
    /// Takes the compiled-in prompts, or files of the same name in `settings_dir` where they exist.
    pub fn load(settings_dir: Option<&Path>, language: Language) -> Result<Self, PromptError> {
        Self::of(settings_dir, language, Texts::read(settings_dir, language)?)
    }

    /// Makes templates of texts that were read from `folder`.
    ///
    /// Every template is rendered once on sample data, a full one and an empty one, so that a broken one is refused here
    /// with its file and line, and not at minute five of the hour.
    pub(super) fn of(folder: Option<&Path>, language: Language, texts: Texts) -> Result<Self, PromptError> {
        let (system_place, system) = texts.file(system_name(language));
        if system.trim().is_empty() {
            return Err(PromptError::Empty { file: system_place.to_owned() });
        }
        let (user_place, user) = texts.file(USER_NAME);
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| PromptError::template(user_place, &error))?);
        for (name, _) in PARTIALS {
            let (place, partial) = texts.file(name);
            environment
                .add_template_owned(name, partial.to_owned())
                .map_err(|error| PromptError::template(place, &error))?;
        }
        environment
            .add_template_owned(USER_NAME, user.to_owned())
            .map_err(|error| PromptError::template(user_place, &error))?;
        let templates = Self {
            language,
            folder: folder.map(Path::to_owned),
            system: system.to_owned(),
            environment,
            user_place: user_place.to_owned(),
            texts,
        };
        for sample in [sample::full(), sample::bare()] {
            let text = templates.user(&sample)?;
            if task_block(&text).is_none() {
                return Err(PromptError::NoTask { file: templates.user_place });
            }
        }
        templates.check_names()?;
        Ok(templates)
    }

    /// Looks for names that are no part of the data, also where no sample comes by: they would fail in the hour that
    /// does.
    fn check_names(&self) -> Result<(), PromptError> {
        let data = serde_json::to_value(PromptView::of(&sample::full(), self.language)?)?;
        let user = self.texts.file(USER_NAME).1;
        for name in std::iter::once(USER_NAME).chain(PARTIALS.map(|(name, _)| name)) {
            let template = self
                .environment
                .get_template(name)
                .map_err(|error| self.placed(PromptError::template(name, &error)))?;
            let mut unknown: Vec<String> = template
                .undeclared_variables(true)
                .into_iter()
                .filter(|path| !is_known(&data, path))
                // What the user template sets, its partials see.
                .filter(|path| !user.contains(&format!("set {path} ")))
                .filter(|path| !self.environment.globals().any(|(global, _)| global == path))
                .collect();
            unknown.sort();
            if let Some(path) = unknown.first() {
                return Err(PromptError::Faulty {
                    file: self.texts.file(name).0.to_owned(),
                    reason: format!("{path} is no part of a prompt's data"),
                });
            }
        }
        Ok(())
    }

    /// The language these prompts are written in.
    pub fn language(&self) -> Language {
        self.language
    }

    /// Renders the user prompt.
    pub(super) fn user(&self, input: &PromptInput) -> Result<String, PromptError> {
        let view = PromptView::of(input, self.language)?;
        self.environment
            .get_template(USER_NAME)
            .and_then(|template| template.render(Serde(view)))
            .map_err(|error| self.placed(PromptError::template(&self.user_place, &error)))
    }

    /// An included file is known to the engine by its name; an operator wants to know where it lies.
    fn placed(&self, error: PromptError) -> PromptError {
        match error {
            PromptError::Template { file, line, reason } => {
                let file = self.texts.file(&file).0.to_owned();
                PromptError::Template { file, line, reason }
            }
            other => other,
        }
    }
}

/// Whether a dotted name leads somewhere in the data.
fn is_known(data: &serde_json::Value, path: &str) -> bool {
    let mut here = data;
    for field in path.split('.') {
        match here {
            serde_json::Value::Object(fields) => match fields.get(field) {
                Some(value) => here = value,
                None => return false,
            },
            // Nothing is there in the sample, and what could be is not written down.
            serde_json::Value::Null => return true,
            _ => return false,
        }
    }
    true
}

/// The JSON of the `task` block a prompt must end with.
pub fn task_block(prompt: &str) -> Option<serde_json::Value> {
    let (_, block) = prompt.rsplit_once("\n```task\n")?;
    let json = block.trim_end().strip_suffix("```")?;
    serde_json::from_str(json).ok()
}

fn text_of(
    settings_dir: Option<&Path>,
    name: &str,
    compiled_in: &'static str,
) -> Result<(String, String), PromptError> {
    let Some(path) = settings_dir.map(|folder| folder.join(name)).filter(|path| path.exists()) else {
        return Ok((format!("prompts/{name}"), compiled_in.to_owned()));
    };
    let text = std::fs::read_to_string(&path).map_err(|source| unreadable(&path, &source))?;
    Ok((path.display().to_string(), text))
}

fn unreadable(path: &Path, source: &std::io::Error) -> PromptError {
    PromptError::Unreadable { file: PathBuf::from(path), reason: source.to_string() }
}
