//! The text of the model call: a fixed system prompt and a user prompt rendered from a template.
//!
//! The user prompt ends with a fenced `task` block that names every account and coin asked about and the decisions
//! allowed for it. Untrusted text appears only as JSON strings inside an envelope.

pub mod diff;
mod fetched;
mod files;
pub mod input;
pub mod lint;
pub mod number;
mod past;
mod sample;
mod templates;
mod view;

use std::path::PathBuf;

use sha2::{Digest, Sha256};

pub use super::signals::allowed_decisions;
pub use files::{Look, PromptFiles};
pub use input::{
    AccountInput, CalendarInput, CoinInput, FearGreedInput, Language, LessonInput, MemoryInput, NewsInput,
    OutcomeInput, PromptInput, StatisticsInput, ThesisInput, TimeframeInput, Us30Input,
};
pub use templates::Templates;
pub(super) use templates::task_block as task_of;

use crate::domain::{AccountName, DecisionWord, Symbol};

/// Why a prompt could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// A prompt file exists and cannot be read.
    #[error("{file}: {reason}; fix or remove the file", file = file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A system prompt without text.
    #[error("{file}: the system prompt is empty; write it or remove the file")]
    Empty {
        /// Which file.
        file: String,
    },
    /// A template that does not parse or names something that does not exist.
    #[error("{file}:{line}: {reason}")]
    Template {
        /// Which file.
        file: String,
        /// Which line; 0 when unknown.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A template whose text does not end with the task.
    #[error("{file}: the rendered prompt must end with a fenced ```task block that holds {{{{ task }}}}")]
    NoTask {
        /// Which file.
        file: String,
    },
    /// A name that is none of the prompt files'.
    #[error("there is no prompt file {name:?}; there are {allowed}")]
    UnknownFile {
        /// What was asked for.
        name: String,
        /// The names there are.
        allowed: String,
    },
    /// A text that would work, but say something wrong.
    #[error("{file}: {reason}")]
    Faulty {
        /// Which file.
        file: String,
        /// The first fault.
        reason: String,
    },
    /// Nothing can be written: the desk has no settings folder.
    #[error("there is no settings folder to keep prompts in; start with --config FILE")]
    NoFolder,
    /// A prompt file that cannot be written or removed.
    #[error("{file} cannot be changed: {reason}", file = file.display())]
    Unwritable {
        /// Which file.
        file: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A value that JSON cannot hold.
    #[error("the prompt's data could not be written: {0}")]
    Data(#[from] serde_json::Error),
}

impl PromptError {
    /// An error inside an included file is told with that file's name and line.
    fn template(file: &str, error: &minijinja::Error) -> Self {
        let (mut file, mut error) = (file, error);
        while let Some(inner) = std::error::Error::source(error).and_then(|cause| cause.downcast_ref()) {
            error = inner;
            file = error.name().unwrap_or(file);
        }
        Self::Template {
            file: file.to_owned(),
            line: error.line().unwrap_or(0),
            reason: error
                .detail()
                .map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind())),
        }
    }
}

/// Both prompts of one call, and what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedPrompt {
    /// The system prompt: the same bytes every hour, so that it can be cached.
    pub system: String,
    /// The user prompt.
    pub user: String,
    /// SHA-256 of the system prompt, hex.
    pub system_hash: String,
    /// SHA-256 of the user prompt, hex.
    pub user_hash: String,
    /// Every pair of the task with its allowed decisions, in the task's order. Unreadable accounts and coins without a
    /// price are not among them.
    pub asked: Vec<(AccountName, Symbol, Vec<DecisionWord>)>,
}

/// Renders both prompts of one call.
pub fn render(templates: &Templates, input: &PromptInput) -> Result<RenderedPrompt, PromptError> {
    let user = templates.user(input)?;
    Ok(RenderedPrompt {
        system: templates.system.clone(),
        system_hash: hash(&templates.system),
        user_hash: hash(&user),
        user,
        asked: view::asked_pairs(input),
    })
}

fn hash(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

#[cfg(test)]
mod tests;
