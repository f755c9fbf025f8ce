//! What a desk needs before it can be put together: settings, folders, the lock, the installation's name.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::arguments::Global;
use super::failure::Failure;
use crate::config::{self, Loaded};
use crate::domain::{Clock, SystemClock};
use crate::store::{Check, FILE_NAME, Start, Store};

/// Reads an environment variable; empty counts as absent.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The settings, checked. On a served world no secret is asked for: keys come from the world.
pub fn settings(global: &Global) -> Result<Loaded, Failure> {
    let explicit = global.config.as_deref();
    let loaded = if global.world.is_some() {
        config::read(explicit, &environment)?
    } else {
        config::load(explicit, &environment)?
    };
    Ok(loaded)
}

/// The settings, checked, whether their secrets can be had or not: for what talks to nobody.
pub fn settings_without_secrets(global: &Global) -> Result<Loaded, Failure> {
    Ok(config::read(global.config.as_deref(), &environment)?)
}

/// The data folder, made if it is not there, readable by its owner only.
pub fn data_dir(global: &Global) -> Result<PathBuf, Failure> {
    let folder = config::data_dir(global.data_dir.as_deref(), &environment)?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|error| {
        Failure::failed(format!("the data folder {} cannot be made: {error}", folder.display()))
    })?;
    super::panics::report_into(folder.clone());
    Ok(folder)
}

/// Notes that a desk starts here. Its lock is held; what is returned is dropped when the desk has ended in order.
pub fn start(data_dir: &Path, is_dry: bool) -> Result<Start, Failure> {
    Ok(Start::note(data_dir, SystemClock.now(), is_dry)?)
}

/// The name of this installation, in a file of its own, made at the first start.
pub fn install_id(data_dir: &Path) -> Result<Arc<str>, Failure> {
    let file = data_dir.join("install-id");
    match fs::read_to_string(&file) {
        Ok(id) if !id.trim().is_empty() => return Ok(id.trim().into()),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(Failure::failed(format!("{} cannot be read: {error}", file.display()))),
    }
    let id = new_install_id(data_dir);
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&file)
        .and_then(|mut opened| opened.write_all(id.as_bytes()));
    written.map_err(|error| Failure::failed(format!("{} cannot be written: {error}", file.display())))?;
    Ok(id.into())
}

/// Opens the journal of a data folder whose lock is held, as thoroughly as the end of the run before calls for. The second
/// value says that the journal before it was lost.
pub async fn journal(data_dir: &Path, start: &Start) -> Result<(Store, Option<String>), Failure> {
    let check = if start.follows_an_orderly_end() { Check::IfSmall } else { Check::Whole };
    let file = data_dir.join(FILE_NAME);
    let opening = move || Store::open_or_begin_anew(&file, check, SystemClock.now());
    Ok(tokio::task::spawn_blocking(opening).await.map_err(|error| Failure::internal(error.to_string()))??)
}

/// Sixteen hexadecimal digits from the time, the process and the folder: two installations differ in at least one.
fn new_install_id(data_dir: &Path) -> String {
    let mut hash = Sha256::new();
    hash.update(SystemClock.now().timestamp_nanos_opt().unwrap_or_default().to_be_bytes());
    hash.update(std::process::id().to_be_bytes());
    hash.update(data_dir.as_os_str().as_encoded_bytes());
    hex::encode(&hash.finalize()[..8])
}
