//! The settings file: defaults, validation, secrets.
//!
//! [`load`] finds the file, reads it and checks everything that can be checked without a network, so that a desk that
//! started never stumbles over its own settings later. Without a file the defaults hold; they are written out, with
//! comments, in [`DEFAULT_FILE`].

mod account;
mod error;
mod guards;
mod paths;
mod read;
mod secret;
mod settings;
mod toml_reader;
mod values;

pub use account::{AccountSettings, Allocation};
pub use error::ConfigError;
pub use guards::GuardSettings;
pub use paths::{SETTINGS_FILE, data_dir, settings_file};
pub use read::{DEFAULT_FILE, Loaded, load, read};
pub use secret::{SecretRef, secret};
pub use settings::{
    ConsoleSettings, ExchangeSettings, KeyHeader, MarketSettings, MarketSource, ModelSettings, PriceSettings,
    PromptLanguage, Provider, Risk, Schedule, Settings, WorldSettings,
};
pub use values::{EquityMultiple, EquityPercent, Part, Span, StopLoss};

/// Looks up an environment variable; a parameter, so that tests need not change the process.
pub type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

#[cfg(test)]
mod tests;
