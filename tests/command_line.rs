//! The binary from outside: commands, exit codes, and JSON that scripts rely on.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Output;

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
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::null())
                .spawn()
                .unwrap();
            let mut line = String::new();
            let mut said = std::io::BufReader::new(child.stdout.take().unwrap());
            std::io::BufRead::read_line(&mut said, &mut line).unwrap();
            let process = rustix::process::Pid::from_child(&child);
            rustix::process::kill_process(process, signal).unwrap();
            assert!(line.contains("base_url"), "{line}");
            let status = child.wait().unwrap();
            assert_eq!(status.code(), Some(0), "{command} number {number}, {signal:?}: {status}");
            assert_eq!(state.exists(), *command == "world");
        }
    }
}
