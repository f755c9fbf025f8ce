//! What can be wrong with the settings, told so that it can be put right.

use std::path::PathBuf;

/// Why the settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file named on the command line is not there.
    #[error("{}: no such settings file; `--config` must name an existing one", .file.display())]
    Missing {
        /// As it was given.
        file: PathBuf,
    },
    /// The file is there and cannot be read.
    #[error("{}: cannot be read: {reason}", .file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The file is not TOML.
    #[error("{}, line {line}: {reason}", .file.display())]
    Syntax {
        /// Which file.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What the parser expected.
        reason: String,
    },
    /// A key nobody reads.
    #[error("{}, line {line}: unknown key {key}; {}", .file.display(), hint(.nearest.as_deref(), .known))]
    UnknownKey {
        /// Which file.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The key with its sections, as in `model.max_token`.
        key: String,
        /// The known key that is spelled most like it, if one is close.
        nearest: Option<String>,
        /// Every key known in that place.
        known: Vec<String>,
    },
    /// A value its key does not allow.
    #[error("{}, line {line}: {key} is {found}; allowed: {allowed}", .file.display())]
    Value {
        /// Which file.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The key with its sections.
        key: String,
        /// The value, or what is wrong with it. Never a secret.
        found: String,
        /// What would be accepted.
        allowed: String,
    },
    /// A secret that is needed and cannot be had.
    #[error("{}{key}: {problem}", place(.file.as_ref(), *.line))]
    Secret {
        /// The settings file, if the secret is asked for on behalf of one.
        file: Option<PathBuf>,
        /// The line of the account or section that needs it.
        line: Option<usize>,
        /// The key that names the secret.
        key: String,
        /// What is wrong and how to put it right. Never the secret itself.
        problem: String,
    },
    /// Neither the XDG variable nor HOME says where files belong.
    #[error(
        "no place for the {what}: set {variable} or HOME to an absolute path, or name the place with {flag}"
    )]
    NoHome {
        /// What was looked for.
        what: &'static str,
        /// The variable that would say it.
        variable: &'static str,
        /// The command line flag that would say it.
        flag: &'static str,
    },
}

fn hint(nearest: Option<&str>, known: &[String]) -> String {
    match nearest {
        Some(nearest) => format!("did you mean {nearest}? Known here: {}", known.join(", ")),
        None => format!("known here: {}", known.join(", ")),
    }
}

fn place(file: Option<&PathBuf>, line: Option<usize>) -> String {
    match (file, line) {
        (Some(file), Some(line)) => format!("{}, line {line}: ", file.display()),
        (Some(file), None) => format!("{}: ", file.display()),
        (None, _) => String::new(),
    }
}
