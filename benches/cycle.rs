//! How long a cycle takes on the in-process world, the analyst's streaming delay at 0, measured on the real binary.
//!
//! `cargo bench --bench cycle` runs `jarvis cycle --json` on fresh data folders and prints the minimum, median and
//! maximum of each step, and of the whole process from start to end.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a measuring command prints, and stops when it cannot measure"
)]

use std::process::Command;
use std::time::Instant;

/// Counted runs, after one that is not.
const RUNS: usize = 15;

fn main() {
    let mut figures: Vec<(String, Vec<f64>)> = Vec::new();
    for run in 0..=RUNS {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let began = Instant::now();
        let output = Command::new(env!("CARGO_BIN_EXE_jarvis"))
            .args(["cycle", "--json", "--data-dir"])
            .arg(folder.path())
            .env("XDG_CONFIG_HOME", folder.path())
            .output()
            .expect("the binary runs");
        let process = began.elapsed().as_secs_f64() * 1000.0;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        if run == 0 {
            continue;
        }
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
        let timings = report["timings_ms"].as_object().expect("timings");
        let measured = timings.iter().filter_map(|(name, ms)| Some((name.clone(), ms.as_f64()?)));
        for (name, ms) in measured.chain([("process".to_owned(), process)]) {
            match figures.iter_mut().find(|(known, _)| *known == name) {
                Some((_, all)) => all.push(ms),
                None => figures.push((name, vec![ms])),
            }
        }
    }
    println!("one cycle, 3 accounts x 10 coins, in-process world, {RUNS} runs (ms)");
    println!("{:<10} {:>8} {:>8} {:>8}", "step", "min", "median", "max");
    for (name, mut all) in figures {
        all.sort_by(f64::total_cmp);
        println!("{name:<10} {:>8.1} {:>8.1} {:>8.1}", all[0], all[all.len() / 2], all[all.len() - 1]);
    }
}
