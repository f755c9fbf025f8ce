//! `jarvis init`: writes a commented settings file, and never over one that is there.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::process::ExitCode;

use super::arguments::Global;
use super::failure::Failure;
use super::setup::environment;
use crate::config::{DEFAULT_FILE, settings_file};

/// Runs the command.
pub fn run(global: &Global) -> Result<ExitCode, Failure> {
    let file = match &global.config {
        Some(file) => file.clone(),
        None => settings_file(&environment)?,
    };
    let fails = |error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => {
            Failure::failed(format!("{} is there already; it was left as it is", file.display()))
        }
        _ => Failure::failed(format!("{} cannot be written: {error}", file.display())),
    };
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(fails)?;
    }
    let mut opened =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file).map_err(fails)?;
    opened.write_all(DEFAULT_FILE.as_bytes()).map_err(fails)?;
    if global.json {
        super::say(&serde_json::json!({ "file": file }).to_string());
    } else {
        super::say(&format!("wrote {}", file.display()));
    }
    Ok(ExitCode::SUCCESS)
}
