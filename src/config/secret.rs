//! Secrets: named in the settings, kept in the environment or in a file that only its owner can read.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::{ConfigError, Environment};

/// Far more than any key is long; a larger file is a mistake.
const LONGEST_SECRET: u64 = 64 * 1024;

/// Where a secret is kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SecretRef {
    /// In an environment variable of this name.
    Variable(String),
    /// In a file of mode 0600; surrounding white space is not part of the secret.
    File(PathBuf),
}

/// Fetches a secret. The error says what is wrong with the place, never what is in it.
pub fn secret(reference: &SecretRef, environment: Environment<'_>) -> Result<SecretString, ConfigError> {
    match reference {
        SecretRef::Variable(name) => from_variable(name, environment),
        SecretRef::File(path) => from_file(path),
    }
}

fn from_variable(name: &str, environment: Environment<'_>) -> Result<SecretString, ConfigError> {
    let value = environment(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    value.map(SecretString::from).ok_or_else(|| {
        refused(
            name,
            format!("the environment variable is not set or empty; set it, as in `export {name}=…`"),
        )
    })
}

fn from_file(path: &Path) -> Result<SecretString, ConfigError> {
    let key = path.display().to_string();
    let unreadable =
        |error: std::io::Error| refused(&key, format!("the secret file cannot be read: {error}"));
    // One handle for check and read: the file that was checked is the file that is read.
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let facts = file.metadata().map_err(unreadable)?;
    if !facts.is_file() {
        return Err(refused(&key, "is not a file".to_owned()));
    }
    let mode = facts.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let advice = format!("others may read the secret file (mode {mode:04o}); run `chmod 600 {key}`");
        return Err(refused(&key, advice));
    }
    let mut text = String::new();
    file.take(LONGEST_SECRET).read_to_string(&mut text).map_err(unreadable)?;
    let value = text.trim();
    if value.is_empty() {
        return Err(refused(&key, "the secret file is empty".to_owned()));
    }
    Ok(SecretString::from(value.to_owned()))
}

fn refused(key: &str, problem: String) -> ConfigError {
    ConfigError::Secret { file: None, line: None, key: key.to_owned(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    fn nothing(_: &str) -> Option<String> {
        None
    }

    fn file_with(mode: u32, text: &str) -> (tempfile::TempDir, SecretRef) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (folder, SecretRef::File(path))
    }

    #[test]
    fn a_variable_is_taken_without_its_line_break() {
        let found =
            secret(&SecretRef::Variable("K".into()), &|name| (name == "K").then(|| "abc\n".into())).unwrap();
        assert_eq!(found.expose_secret(), "abc");
    }

    #[test]
    fn a_missing_variable_is_named() {
        let refusal = secret(&SecretRef::Variable("JARVIS_KEY".into()), &nothing).unwrap_err();
        assert!(refusal.to_string().contains("JARVIS_KEY"), "{refusal}");
        assert!(secret(&SecretRef::Variable("K".into()), &|_| Some("  ".into())).is_err());
    }

    #[test]
    fn a_private_file_is_read_and_an_open_one_is_refused_without_telling_the_secret() {
        let (_kept, private) = file_with(0o600, "hush\n");
        assert_eq!(secret(&private, &nothing).unwrap().expose_secret(), "hush");
        let (_kept, open) = file_with(0o640, "hush\n");
        let refusal = secret(&open, &nothing).unwrap_err().to_string();
        assert!(
            refusal.contains("0640") && refusal.contains("chmod 600") && !refusal.contains("hush"),
            "{refusal}"
        );
    }

    #[test]
    fn an_empty_file_and_a_folder_hold_no_secret() {
        let (folder, empty) = file_with(0o600, " \n");
        assert!(secret(&empty, &nothing).is_err());
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        assert!(secret(&SecretRef::File(folder.path().to_owned()), &nothing).is_err());
    }
}
