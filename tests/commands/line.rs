//! The binary from outside: commands, exit codes, and JSON that scripts rely on.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Output, Stdio};

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

fn jarvis(home: &Path, arguments: &[&str]) -> Output {
    Command::cargo_bin("jarvis").unwrap().env_clear().env("HOME", home).args(arguments).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("no exit code: {output:?}"))
}

fn with_settings(text: &str) -> (TempDir, String) {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("jarvis.toml");
    std::fs::write(&file, text).unwrap();
    (home, file.display().to_string())
}

#[test]
fn a_cycle_on_a_fresh_machine_decides_every_pair_and_protects_what_it_opens() {
    let home = tempfile::tempdir().unwrap();
    let output = jarvis(home.path(), &["cycle", "--json"]);
    assert_eq!(code(&output), 0, "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = report["decisions"].as_array().unwrap();
    assert_eq!(rows.len(), 30);
    let opened: Vec<&Value> = rows.iter().filter(|row| row["outcome"]["kind"] == "opened").collect();
    assert!(!opened.is_empty(), "the analyst opens something on an empty book");
    for row in opened {
        assert_eq!(row["outcome"]["orders"].as_array().unwrap().len(), 2, "an order and its stop: {row}");
        assert!(row["confidence"].as_f64().unwrap() >= 0.75);
    }
    assert!(!report["tool_calls"].as_array().unwrap().is_empty());
    assert!(report["usage"]["cost_usd"].is_string());
    assert!(home.path().join(".local/share/jarvis/jarvis.db").exists());
}

#[test]
fn a_dry_run_would_trade_and_sends_nothing() {
    let home = tempfile::tempdir().unwrap();
    let output = jarvis(home.path(), &["cycle", "--json", "--dry-run"]);
    assert_eq!(code(&output), 0, "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["dry_run"], true);
    let kinds: Vec<&str> = report["decisions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["outcome"]["kind"].as_str().unwrap())
        .collect();
    assert!(kinds.contains(&"dry_run") && !kinds.contains(&"opened"), "{kinds:?}");
    let world: Value =
        serde_json::from_slice(&std::fs::read(home.path().join(".local/share/jarvis/world.json")).unwrap())
            .unwrap();
    assert!(!world.to_string().contains("\"j1o"), "no order of ours reached the exchange");
}

#[test]
fn settings_that_are_wrong_exit_with_3_and_name_file_line_and_what_is_allowed() {
    for (text, line, hint) in [
        ("mode = \"paper\"\n[modle]\n", "line 2", "model"),
        ("[model]\nmax_tokens = \"many\"\n", "line 2", "max_tokens"),
        ("[[account]]\nname = \"mirat\"\nsymbols = [\"BTCUSDT\"]\nleverage = -3\n", "line 4", "1 to 125"),
        ("mode = \"testnet\"\n[[account]]\nname = \"mirat\"\nsymbols = [\"BTCUSDT\"]\n", "", "api_key_env"),
    ] {
        let (home, file) = with_settings(text);
        let output = jarvis(home.path(), &["cycle", "--config", &file]);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(code(&output), 3, "{text}: {stderr}");
        assert!(
            stderr.contains("jarvis.toml") && stderr.contains(line) && stderr.contains(hint),
            "{text}: {stderr}"
        );
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    let home = tempfile::tempdir().unwrap();
    for arguments in [
        &["dance"][..],
        &["cycle", "--from", "2025-10-10"],
        &["world", "--speed", "fast"],
        &["cycle", "--color", "pink"],
    ] {
        assert_eq!(code(&jarvis(home.path(), arguments)), 2, "{arguments:?}");
    }
}

#[test]
fn a_second_desk_on_the_same_data_exits_with_5() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("data");
    std::fs::create_dir(&folder).unwrap();
    let _held = jarvis::store::DeskLock::acquire(&folder).unwrap();
    let output = jarvis(home.path(), &["cycle", "--data-dir", &folder.display().to_string()]);
    assert_eq!(code(&output), 5, "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn init_writes_settings_that_load_and_never_over_others() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(code(&jarvis(home.path(), &["init"])), 0);
    let file = home.path().join(".config/jarvis/jarvis.toml");
    assert!(file.exists());
    assert_eq!(code(&jarvis(home.path(), &["init"])), 1);
    let output = jarvis(home.path(), &["cycle", "--json", "--dry-run"]);
    assert_eq!(code(&output), 0, "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn recorded_candles_that_are_not_there_are_an_error_that_names_the_folder() {
    let home = tempfile::tempdir().unwrap();
    let output = jarvis(home.path(), &["cycle", "--candles", "/nonexistent", "--from", "2025-10-10"]);
    assert_eq!(code(&output), 1);
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent"));
}

#[test]
fn pictures_are_drawn_and_hold_no_escape() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("pictures");
    let output = jarvis(home.path(), &["screenshots", &folder.display().to_string()]);
    assert_eq!(code(&output), 0, "{}", String::from_utf8_lossy(&output.stderr));
    let svg = std::fs::read_to_string(folder.join("desk-120x40.svg")).unwrap();
    assert!(svg.contains("<svg") && svg.contains("BUILT") && !svg.contains('\u{1b}'));
    assert!(!svg.contains("no price"), "every coin has a price");
}

/// A world over TCP, with faults on order.
struct Served {
    world: Child,
    base_url: String,
}

impl Served {
    fn start(home: &Path) -> Self {
        let mut world = std::process::Command::new(env!("CARGO_BIN_EXE_jarvis"))
            .env_clear()
            .env("HOME", home)
            .args(["world", "--listen", "127.0.0.1:0", "--accounts", "mirat"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(world.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        Self { world, base_url: said["base_url"].as_str().unwrap().to_owned() }
    }

    /// One request of one connection, and the JSON it is answered with.
    fn ask(&self, method: &str, path: &str, body: &str) -> Value {
        let host = self.base_url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        // A streamed answer comes in chunks; the document is what lies between its braces.
        serde_json::from_str(&body[body.find('{').unwrap()..=body.rfind('}').unwrap()]).unwrap()
    }

    fn account(&self) -> Value {
        self.ask("GET", "/world/state", "")["accounts"][0].clone()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.world.kill().unwrap();
        self.world.wait().unwrap();
    }
}

#[test]
fn a_cycle_interrupted_between_an_order_and_its_stop_ends_with_130_and_no_naked_position() {
    let home = tempfile::tempdir().unwrap();
    let served = Served::start(home.path());
    let slow = r#"{"match":{"method":"POST","path":"algoOrder"},"effect":{"kind":"latency","ms":1500}}"#;
    served.ask("POST", "/world/faults", slow);
    let mut cycle = std::process::Command::new(env!("CARGO_BIN_EXE_jarvis"))
        .env_clear()
        .env("HOME", home.path())
        .args(["cycle", "--json", "--world", &served.base_url])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let held = |account: &Value| account["positions"].as_array().unwrap().len();
    while held(&served.account()) == 0 {
        assert!(cycle.try_wait().unwrap().is_none(), "the cycle ended without an opening");
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&cycle), rustix::process::Signal::INT)
        .unwrap();
    assert_eq!(cycle.wait().unwrap().code(), Some(130));
    let account = served.account();
    let stops = account["algo_orders"].as_array().unwrap();
    assert!(held(&account) > 0);
    for position in account["positions"].as_array().unwrap() {
        assert!(stops.iter().any(|stop| stop["symbol"] == position["symbol"]), "{account}");
    }
}

#[test]
fn a_server_that_says_it_is_ready_ends_in_order_at_the_very_next_signal() {
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        for (number, command) in ["world", "world", "world", "simsar", "simsar", "simsar"].iter().enumerate()
        {
            let home = tempfile::tempdir().unwrap();
            let state = home.path().join("state.json");
            let mut arguments = vec![(*command).to_owned(), "--listen".to_owned(), "127.0.0.1:0".to_owned()];
            if *command == "world" {
                arguments.extend(["--state".to_owned(), state.display().to_string()]);
            }
            let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("jarvis"))
                .env_clear()
                .env("HOME", home.path())
                .args(&arguments)
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut line = String::new();
            let mut said = BufReader::new(child.stdout.take().unwrap());
            said.read_line(&mut line).unwrap();
            let process = rustix::process::Pid::from_child(&child);
            rustix::process::kill_process(process, signal).unwrap();
            assert!(line.contains("base_url"), "{line}");
            let status = child.wait().unwrap();
            assert_eq!(status.code(), Some(0), "{command} number {number}, {signal:?}: {status}");
            assert_eq!(state.exists(), *command == "world");
        }
    }
}
