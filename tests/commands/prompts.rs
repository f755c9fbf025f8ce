//! `jarvis prompt` as an operator calls it, on the embedded world.

use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

fn jarvis(home: &Path) -> Command {
    let mut command = Command::cargo_bin("jarvis").unwrap();
    command.env("XDG_CONFIG_HOME", home.join("config")).env("XDG_DATA_HOME", home.join("data"));
    command
}

fn json(command: &mut Command) -> Value {
    let output = command.arg("--json").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn show_prints_what_would_be_sent_and_lint_finds_no_fault_in_it() {
    let home = tempfile::tempdir().unwrap();
    let shown = json(jarvis(home.path()).args(["prompt", "show"]));
    assert!(shown["user"].as_str().unwrap().contains("```task"));
    let tools: Vec<&str> =
        shown["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(tools, ["call_api", "submit_decisions"]);
    let linted = json(jarvis(home.path()).args(["prompt", "lint"]));
    assert_eq!(linted["ok"], true, "{linted}");
}

#[test]
fn a_broken_prompt_file_is_refused_with_its_line_and_a_bad_one_is_an_error() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("config/jarvis");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("memory.jinja"), "\n{{ no_such_thing }}\n").unwrap();
    let output = jarvis(home.path()).args(["prompt", "lint"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("memory.jinja:2: undefined"), "{stderr}");
    std::fs::remove_file(folder.join("memory.jinja")).unwrap();
    std::fs::write(folder.join("system.tr.md"), "Sen bir ajansın: {{ ad }}").unwrap();
    let output = jarvis(home.path()).args(["prompt", "lint"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("does not explain the decision LONG"), "{stdout}");
}

#[test]
fn diff_takes_files_hashes_and_says_what_it_does_not_know() {
    let home = tempfile::tempdir().unwrap();
    let (old, new) = (home.path().join("old"), home.path().join("new"));
    std::fs::write(&old, "one\ntwo\nthree\n").unwrap();
    std::fs::write(&new, "one\n2\nthree\n").unwrap();
    let output = jarvis(home.path()).args(["prompt", "diff"]).arg(&old).arg(&new).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "  one\n- two\n+ 2\n  three\n");
    let report = json(jarvis(home.path()).args(["cycle", "--dry-run"]));
    let cycle = report["cycle_id"].as_str().unwrap();
    let same = json(jarvis(home.path()).args(["prompt", "diff", cycle, cycle]));
    assert_eq!(same["equal"], true);
    let unknown = jarvis(home.path()).args(["prompt", "diff", "no-such", cycle]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(1));
}

/// Everything of a folder but what `SQLite` keeps beside its file while somebody reads.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .filter(|(name, _)| !name.ends_with("-shm") && !name.ends_with("-wal"))
        .collect();
    files.sort();
    files
}

#[test]
fn show_and_lint_work_beside_a_running_desk_and_leave_everything_as_it_was() {
    let home = tempfile::tempdir().unwrap();
    let report = json(jarvis(home.path()).arg("cycle"));
    let opened =
        report["decisions"].as_array().unwrap().iter().filter(|row| row["outcome"]["kind"] == "opened");
    let opened: Vec<String> =
        opened.map(|row| format!("{},{},", row["account"], row["symbol"]).replace('"', "")).collect();
    assert!(!opened.is_empty(), "{report}");
    let folder = home.path().join("data/jarvis");
    let _desk = jarvis::store::DeskLock::acquire(&folder).unwrap();
    let before = contents(&folder);
    assert!(before.iter().any(|(name, _)| name == "world.json"));
    let shown = json(jarvis(home.path()).args(["prompt", "show"]));
    let user = shown["user"].as_str().unwrap();
    for position in &opened {
        assert!(user.contains(position), "{position} in {user}");
    }
    assert!(user.contains("<quotations id="), "the memory is read from the store");
    assert_eq!(json(jarvis(home.path()).args(["prompt", "lint"]))["ok"], true);
    let after = contents(&folder);
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&before), names(&after));
    assert!(before == after, "a file was changed");
}

#[test]
fn a_stored_cycle_is_played_back_beside_a_running_desk_and_shows_the_same_decisions() {
    let home = tempfile::tempdir().unwrap();
    let unknown = jarvis(home.path()).args(["cycle", "--recorded", "latest"]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(1), "nothing is stored yet");
    let report = json(jarvis(home.path()).arg("cycle"));
    let _desk = jarvis::store::DeskLock::acquire(&home.path().join("data/jarvis")).unwrap();
    for name in ["latest", report["cycle_id"].as_str().unwrap()] {
        let played = json(jarvis(home.path()).args(["cycle", "--recorded", name]));
        assert_eq!(played["decisions"], report["decisions"]);
        assert_eq!((&played["analysis"], &played["cycle_id"]), (&report["analysis"], &report["cycle_id"]));
    }
    let both = jarvis(home.path()).args(["cycle", "--recorded", "latest", "--dry-run"]).output().unwrap();
    assert_eq!(both.status.code(), Some(2));
}
