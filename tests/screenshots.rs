//! The pictures in `screenshots/` are those the present code draws.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

/// Accounts trade side by side, and the log tells of them in the order they happened to be done: pictures that show it
/// need only be there.
const SHOW_THE_LOG: [&str; 2] = ["log-", "desk-200x60"];

fn pictures(folder: &Path) -> BTreeMap<String, String> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|file| file.extension().is_some_and(|extension| extension == "svg"))
        .map(|file| {
            (file.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(&file).unwrap())
        })
        .collect()
}

#[test]
fn the_pictures_are_fresh() {
    let drawn = tempfile::tempdir().unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_jarvis"))
        .arg("screenshots")
        .arg(drawn.path())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let kept = pictures(&Path::new(env!("CARGO_MANIFEST_DIR")).join("screenshots"));
    let drawn = pictures(drawn.path());
    assert!(!drawn.is_empty());
    let names = |set: &BTreeMap<String, String>| set.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&kept), names(&drawn), "draw them anew: cargo run -- screenshots screenshots");
    let stale: Vec<&String> = drawn
        .iter()
        .filter(|(name, _)| !SHOW_THE_LOG.iter().any(|shown| name.starts_with(shown)))
        .filter(|(name, picture)| kept.get(*name) != Some(picture))
        .map(|(name, _)| name)
        .collect();
    assert!(stale.is_empty(), "draw them anew with `cargo run -- screenshots screenshots`: {stale:?}");
}
