//! One desk a data folder: two desks would trade the same accounts and answer for the same journal.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use super::error::StoreError;
use super::open;

const LOCK_FILE: &str = "jarvis.lock";

/// The right to be the desk of a data folder. The system takes it back when the process ends, however it ends.
#[derive(Debug)]
pub struct DeskLock {
    _held: File,
}

impl DeskLock {
    /// Takes the lock of a data folder, or says who has it ([`StoreError::Held`]). Never waits.
    pub fn acquire(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(LOCK_FILE);
        let mut file = open::prepare_file(&path)?;
        let place = |reason| StoreError::Place { path: path.clone(), reason };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Only a courtesy for the message: without a number the refusal stands all the same.
                let holder = file.read_to_string(&mut holder).ok().and_then(|_| holder.trim().parse().ok());
                return Err(StoreError::Held { path, holder });
            }
            Err(TryLockError::Error(reason)) => return Err(place(reason)),
        }
        file.set_len(0).and_then(|()| file.rewind()).map_err(place)?;
        writeln!(file, "{}", std::process::id()).map_err(place)?;
        Ok(Self { _held: file })
    }
}
