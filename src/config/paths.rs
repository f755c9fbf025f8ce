//! Where the settings and the data are, by the XDG base directory rules: never the working directory.

use std::path::{Path, PathBuf};

use super::{ConfigError, Environment};

/// The name of the settings file in its folder.
pub const SETTINGS_FILE: &str = "jarvis.toml";

const FOLDER: &str = "jarvis";

/// The settings file that is read when none is named: `$XDG_CONFIG_HOME/jarvis/jarvis.toml`, or below `~/.config`.
pub fn settings_file(environment: Environment<'_>) -> Result<PathBuf, ConfigError> {
    let base = base(environment, "XDG_CONFIG_HOME", ".config").ok_or(ConfigError::NoHome {
        what: "settings",
        variable: "XDG_CONFIG_HOME",
        flag: "--config",
    })?;
    Ok(base.join(FOLDER).join(SETTINGS_FILE))
}

/// The folder for everything jarvis writes: `explicit`, or `$XDG_DATA_HOME/jarvis`, or below `~/.local/share`.
pub fn data_dir(explicit: Option<&Path>, environment: Environment<'_>) -> Result<PathBuf, ConfigError> {
    if let Some(explicit) = explicit {
        return Ok(explicit.to_owned());
    }
    let base = base(environment, "XDG_DATA_HOME", ".local/share").ok_or(ConfigError::NoHome {
        what: "data",
        variable: "XDG_DATA_HOME",
        flag: "--data-dir",
    })?;
    Ok(base.join(FOLDER))
}

/// The XDG rules have relative paths ignored, so that the working directory never matters.
fn base(environment: Environment<'_>, variable: &str, below_home: &str) -> Option<PathBuf> {
    let absolute = |name: &str| environment(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(below_home)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<'v>(pairs: &'v [(&'v str, &'v str)]) -> impl Fn(&str) -> Option<String> + 'v {
        move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn the_xdg_folders_win_over_home() {
        let environment = with(&[("XDG_CONFIG_HOME", "/x/c"), ("XDG_DATA_HOME", "/x/d"), ("HOME", "/h")]);
        assert_eq!(settings_file(&environment).unwrap(), Path::new("/x/c/jarvis/jarvis.toml"));
        assert_eq!(data_dir(None, &environment).unwrap(), Path::new("/x/d/jarvis"));
    }

    #[test]
    fn home_is_the_fallback_also_for_a_relative_xdg_folder() {
        let environment = with(&[("XDG_DATA_HOME", "here"), ("HOME", "/h")]);
        assert_eq!(settings_file(&environment).unwrap(), Path::new("/h/.config/jarvis/jarvis.toml"));
        assert_eq!(data_dir(None, &environment).unwrap(), Path::new("/h/.local/share/jarvis"));
    }

    #[test]
    fn without_any_home_the_error_names_the_flag_that_helps() {
        let refusal = data_dir(None, &with(&[])).unwrap_err();
        assert!(refusal.to_string().contains("--data-dir"), "{refusal}");
        assert_eq!(data_dir(Some(Path::new("d")), &with(&[])).unwrap(), Path::new("d"));
    }
}
