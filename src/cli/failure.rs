//! How a command ends: exit codes are a contract with scripts.

use std::path::Path;
use std::process::ExitCode;

use crate::config::ConfigError;
use crate::store::StoreError;

/// Something failed.
pub const FAILED: u8 = 1;
/// The command line is wrong.
pub const USAGE: u8 = 2;
/// The settings are wrong.
pub const SETTINGS: u8 = 3;
/// Ended by a signal.
pub const INTERRUPTED: u8 = 130;
/// Done in part.
pub const PARTLY: u8 = 4;
/// Another desk holds the lock.
pub const LOCKED: u8 = 5;
/// An internal error.
pub const INTERNAL: u8 = 70;
/// The desk's tasks stood still, and the program ended itself to be started anew.
pub const STUCK: u8 = 75;

/// A command that did not succeed: what to say, and the exit code.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// Something failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { code: FAILED, message: message.into() }
    }

    /// The settings ask for something that cannot be had.
    pub fn settings(message: impl Into<String>) -> Self {
        Self { code: SETTINGS, message: message.into() }
    }

    /// The command line asks for something that makes no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: USAGE, message: message.into() }
    }

    /// A task died that money depends on.
    pub fn internal(message: impl Into<String>) -> Self {
        Self { code: INTERNAL, message: message.into() }
    }

    /// Says it on stderr and gives the exit code.
    pub fn report(&self) -> ExitCode {
        super::note(&format!("jarvis: {}", self.message));
        ExitCode::from(self.code)
    }

    /// The same with the settings file it is about, if there is one.
    #[must_use]
    pub fn in_file(mut self, file: Option<&Path>) -> Self {
        if let Some(file) = file {
            self.message = format!("{}: {}", file.display(), self.message);
        }
        self
    }

    /// What to say.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self { code: SETTINGS, message: error.to_string() }
    }
}

impl From<crate::console::theme::ThemeError> for Failure {
    fn from(error: crate::console::theme::ThemeError) -> Self {
        Self { code: SETTINGS, message: format!("console.theme: {error}") }
    }
}

impl From<crate::console::KeymapError> for Failure {
    fn from(error: crate::console::KeymapError) -> Self {
        Self { code: SETTINGS, message: error.to_string() }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let code = if matches!(error, StoreError::Held { .. }) { LOCKED } else { FAILED };
        Self { code, message: error.to_string() }
    }
}

macro_rules! failed_from {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::failed(error.to_string())
            }
        })*
    };
}

failed_from!(
    crate::desk::CycleError,
    crate::desk::DeskError,
    crate::desk::playback::PlaybackError,
    crate::desk::prompt::PromptError,
    crate::exchange::ExchangeError,
    crate::net::NetError,
    crate::world::WorldError,
    std::io::Error,
    serde_json::Error,
);
