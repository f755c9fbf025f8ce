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

/// The prompts of one language, checked and ready to render.
#[derive(Debug)]
pub struct Templates {
    language: Language,
    pub(super) system: String,
    environment: Environment<'static>,
    /// Where the user template came from, for messages.
    user_place: String,
}

impl Templates {
    /// Takes the compiled-in prompts, or files of the same name in `settings_dir` where they exist.
    ///
    /// Every template is rendered once on sample data, a full one and an empty one, so that a broken one is refused here
    /// with its file and line, and not at minute five of the hour.
    pub fn load(settings_dir: Option<&Path>, language: Language) -> Result<Self, PromptError> {
        let (system_name, compiled_in) = match language {
            Language::Tr => ("system.tr.md", SYSTEM_TR),
            Language::En => ("system.en.md", SYSTEM_EN),
        };
        let (system_place, system) = text_of(settings_dir, system_name, compiled_in)?;
        if system.trim().is_empty() {
            return Err(PromptError::Empty { file: system_place });
        }
        let (user_place, user) = text_of(settings_dir, USER_NAME, USER)?;
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| PromptError::template(&user_place, &error))?);
        for (name, compiled_in) in PARTIALS {
            let (place, partial) = text_of(settings_dir, name, compiled_in)?;
            environment
                .add_template_owned(name, partial)
                .map_err(|error| PromptError::template(&place, &error))?;
        }
        environment
            .add_template_owned(USER_NAME, user)
            .map_err(|error| PromptError::template(&user_place, &error))?;
        let templates = Self { language, system, environment, user_place };
        for sample in [sample::full(), sample::bare()] {
            let text = templates.user(&sample)?;
            if task_block(&text).is_none() {
                return Err(PromptError::NoTask { file: templates.user_place });
            }
        }
        Ok(templates)
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
            .map_err(|error| PromptError::template(&self.user_place, &error))
    }
}

/// The JSON of the `task` block a prompt must end with.
fn task_block(prompt: &str) -> Option<serde_json::Value> {
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
