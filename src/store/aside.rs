//! A journal that is damaged is moved aside and a new one begun. That this happened is on the disk before anything is
//! moved, and stays there until the desk has it among its halts: a program that dies in between does not start as if
//! nothing had been.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::{Check, Store};
use crate::domain::Timestamp;

/// Says that a journal was moved aside, and why, until the desk has halted its openings.
const NOTE: &str = "journal-lost";
/// Longest text taken from it, in characters.
const LONGEST_NOTE: usize = 500;

impl Store {
    /// Like [`Store::open_after`], but a damaged file is moved aside with its log, under a name with the date, and a new
    /// one begun. The second value says so, also when it was an earlier start that did it and never came to
    /// [`Store::loss_is_known`]: nothing may be opened before an operator has looked.
    pub fn open_or_begin_anew(
        path: &Path,
        check: Check,
        now: Timestamp,
    ) -> Result<(Self, Option<String>), StoreError> {
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        match Self::open_after(path, check) {
            Err(StoreError::Corrupt { detail, .. }) => {
                let aside = free_name(path, now);
                let loss = format!(
                    "the journal was damaged ({detail}) and is kept as {}; a new one was begun, and positions are read \
                     from the exchange",
                    aside.display()
                );
                write_note(folder, &loss)?;
                move_aside(path, &aside)?;
                tracing::error!("{loss}");
                Ok((Self::open_after(path, Check::Whole)?, Some(loss)))
            }
            opened => Ok((opened?, read_note(folder)?)),
        }
    }

    /// The halt that follows from a lost journal is stored: the note about it in the data folder has done its work.
    pub fn loss_is_known(folder: &Path) -> Result<(), StoreError> {
        let path = folder.join(NOTE);
        match fs::remove_file(&path) {
            Err(reason) if reason.kind() != ErrorKind::NotFound => Err(StoreError::Place { path, reason }),
            _ => Ok(()),
        }
    }
}

/// A name beside the file with the date in it, that nothing has yet.
fn free_name(path: &Path, now: Timestamp) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let dated = format!("{stem}-damaged-{}", now.format("%Y%m%dT%H%M%SZ"));
    let name = |number: u32| match number {
        1 => path.with_file_name(format!("{dated}.db")),
        _ => path.with_file_name(format!("{dated}-{number}.db")),
    };
    (1..1_000).map(name).find(|free| !free.exists()).unwrap_or_else(|| name(1))
}

/// Moves the file, its log and the log's index, so that they can be opened together later.
fn move_aside(path: &Path, aside: &Path) -> Result<(), StoreError> {
    for ending in ["", "-wal", "-shm"] {
        let (from, to) = (with_ending(path, ending), with_ending(aside, ending));
        match fs::rename(&from, &to) {
            Err(reason) if reason.kind() != ErrorKind::NotFound => {
                return Err(StoreError::Place { path: from, reason });
            }
            _ => {}
        }
    }
    Ok(())
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut whole = path.as_os_str().to_owned();
    whole.push(ending);
    whole.into()
}

fn write_note(folder: &Path, text: &str) -> Result<(), StoreError> {
    let path = folder.join(NOTE);
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| File::open(if folder.as_os_str().is_empty() { Path::new(".") } else { folder }))
        .and_then(|folder| folder.sync_all());
    written.map_err(|reason| StoreError::Place { path, reason })
}

fn read_note(folder: &Path) -> Result<Option<String>, StoreError> {
    let path = folder.join(NOTE);
    match fs::read(&path) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes).chars().take(LONGEST_NOTE).collect::<String>();
            let text = text.trim().to_owned();
            Ok(Some(if text.is_empty() {
                "an earlier start found the journal damaged".to_owned()
            } else {
                text
            }))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(reason) => Err(StoreError::Place { path, reason }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_moved_with_its_log_and_its_index_and_without_them() {
        let folder = tempfile::tempdir().unwrap();
        let (path, aside) = (folder.path().join("jarvis.db"), folder.path().join("aside.db"));
        for endings in [&["", "-wal", "-shm"][..], &[""]] {
            for ending in endings {
                fs::write(with_ending(&path, ending), ending).unwrap();
            }
            move_aside(&path, &aside).unwrap();
            for ending in endings {
                assert!(!with_ending(&path, ending).exists(), "{ending}");
                assert_eq!(fs::read_to_string(with_ending(&aside, ending)).unwrap(), *ending);
            }
        }
    }
}
