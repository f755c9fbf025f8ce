//! `jarvis halt`, `resume` and `halts` from outside: beside a running desk, and without one.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

/// The program on a data folder, with nothing else around it.
fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jarvis"));
    command.env_clear().env("HOME", folder).args(arguments).arg("--data-dir").arg(folder.join("data"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(folder: &Path, arguments: &[&str]) -> (i32, Value) {
    let Output { status, stdout, stderr } = program(folder, arguments).output().unwrap();
    let document = serde_json::from_slice(&stdout)
        .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}", String::from_utf8_lossy(&stderr)));
    (status.code().unwrap(), document)
}

/// A desk without a console that has said where its door is.
struct Served(Child);

impl Served {
    fn start(folder: &Path) -> Self {
        let mut child = program(folder, &["serve"]).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        assert!(Path::new(said["socket"].as_str().unwrap()).exists(), "{said}");
        Self(child)
    }

    /// Asks it to end, as a service manager would.
    fn end(mut self) {
        let child = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(child, rustix::process::Signal::TERM).unwrap();
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }
}

fn scopes(halts: &Value) -> Vec<Value> {
    halts["halts"].as_array().unwrap().iter().map(|halt| halt["scope"].clone()).collect()
}

#[test]
fn a_running_desk_takes_a_halt_shows_it_and_takes_it_back() {
    let home = tempfile::tempdir().unwrap();
    let desk = Served::start(home.path());
    let (code, halts) = run(home.path(), &["halts", "--json"]);
    assert_eq!((code, &halts["desk_runs"], scopes(&halts)), (0, &json!(true), Vec::new()));
    let halt =
        ["halt", "--json", "--coin", "BTCUSDT", "--level", "frozen", "--for", "2h", "--reason", "a test"];
    let (code, told) = run(home.path(), &halt);
    assert_eq!((code, &told["in_force"], &told["desk_runs"]), (0, &json!(true), &json!(true)), "{told}");
    let (_, halts) = run(home.path(), &["halts", "--json"]);
    assert_eq!(halts["halts"].as_array().unwrap().len(), 1, "{halts}");
    assert_eq!(
        (&halts["halts"][0]["level"], &halts["halts"][0]["reason"]),
        (&json!("frozen"), &json!("a test"))
    );
    assert!(halts["halts"][0]["until"].is_string(), "{halts}");
    let (code, told) = run(home.path(), &["resume", "--json", "--coin", "btc"]);
    assert_eq!((code, &told["in_force"]), (0, &json!(true)), "{told}");
    assert_eq!(scopes(&run(home.path(), &["halts", "--json"]).1), Vec::<Value>::new());
    let unknown = program(home.path(), &["halt", "--json", "--coin", "NOSUCHUSDT"]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("NOSUCHUSDT"), "{unknown:?}");
    desk.end();
}

#[test]
fn without_a_desk_a_halt_waits_for_the_next_one_which_starts_with_it() {
    let home = tempfile::tempdir().unwrap();
    let (code, told) = run(home.path(), &["halt", "--json", "--level", "frozen", "--reason", "holidays"]);
    assert_eq!((code, &told["in_force"], &told["desk_runs"]), (0, &json!(false), &json!(false)), "{told}");
    let (_, halts) = run(home.path(), &["halts", "--json"]);
    assert_eq!(
        (&halts["desk_runs"], halts["waiting"].as_array().unwrap().len()),
        (&json!(false), 1),
        "{halts}"
    );
    let desk = Served::start(home.path());
    let (_, halts) = run(home.path(), &["halts", "--json"]);
    assert_eq!((halts["halts"].as_array().unwrap().len(), &halts["waiting"]), (1, &json!([])), "{halts}");
    assert_eq!(halts["halts"][0]["reason"], "holidays");
    desk.end();
    let (_, halts) = run(home.path(), &["halts", "--json"]);
    assert_eq!(
        (&halts["desk_runs"], halts["halts"].as_array().unwrap().len()),
        (&json!(false), 1),
        "it is kept"
    );
}

#[test]
fn five_crashes_in_a_row_open_nothing_until_an_operator_resumes() {
    let home = tempfile::tempdir().unwrap();
    for _ in 0..5 {
        // Dropped in the middle of its work: killed.
        drop(Served::start(home.path()));
    }
    let desk = Served::start(home.path());
    let (_, halts) = run(home.path(), &["halts", "--json"]);
    assert_eq!((&halts["halts"][0]["level"], scopes(&halts).len()), (&json!("no_entries"), 1), "{halts}");
    let reason = halts["halts"][0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("the 5 starts before this one did not end in order"), "{reason}");
    assert_eq!(run(home.path(), &["resume", "--json"]).0, 0);
    desk.end();
    let desk = Served::start(home.path());
    let (_, halts) = run(home.path(), &["halts", "--json"]);
    assert_eq!(scopes(&halts), Vec::<Value>::new(), "an operator looked at it: {halts}");
    desk.end();
}

#[test]
fn a_desk_on_a_damaged_journal_starts_halted_and_keeps_the_damaged_file() {
    let home = tempfile::tempdir().unwrap();
    Served::start(home.path()).end();
    let data = home.path().join("data");
    std::fs::write(data.join("jarvis.db"), "a torn page ".repeat(500)).unwrap();
    let desk = Served::start(home.path());
    let (_, halts) = run(home.path(), &["halts", "--json"]);
    let reason =
        halts["halts"].as_array().unwrap().iter().find(|halt| halt["scope"] == "desk").unwrap()["reason"]
            .as_str()
            .unwrap();
    assert!(reason.contains("jarvis-damaged-"), "{halts}");
    desk.end();
    let entries = std::fs::read_dir(&data).unwrap();
    let names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    assert!(names.iter().any(|name| name.starts_with("jarvis-damaged-")), "{names:?}");
    assert!(!names.contains(&"journal-lost".to_owned()), "the halt is stored: {names:?}");
    assert!(!names.contains(&"starts".to_owned()), "it ended in order: {names:?}");
}
