//! The settings file: defaults, validation, secrets.
