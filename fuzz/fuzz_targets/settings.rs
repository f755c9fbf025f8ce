//! Whatever stands in the settings file, it is read or refused with a place; what is read survives its own checks.
#![no_main]

use std::cell::LazyCell;

use libfuzzer_sys::fuzz_target;

thread_local! {
    static FILE: LazyCell<tempfile::NamedTempFile> =
        LazyCell::new(|| tempfile::NamedTempFile::new().expect("a file"));
}

fuzz_target!(|data: &[u8]| {
    FILE.with(|file| {
        std::fs::write(file.path(), data).expect("written");
        match jarvis::config::read(Some(file.path()), &|_| None) {
            Ok(loaded) => {
                assert!(loaded.settings.accounts.iter().any(|account| account.enabled));
                let _ = loaded.check_secrets(&|_| None).map_err(|error| error.to_string());
            }
            Err(error) => assert!(error.to_string().contains(&file.path().display().to_string())),
        }
    });
});
