//! A panic anywhere ends the program: a money program does not go on with a dead task, and start-up is recovery.

use std::backtrace::Backtrace;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::domain::{Clock, SystemClock};

static REPORTS: OnceLock<PathBuf> = OnceLock::new();
static PANICKED: AtomicBool = AtomicBool::new(false);

/// Where reports go from now on: the data folder, once it is known.
pub fn report_into(folder: PathBuf) {
    // Set once; a second desk in one process would only want the same.
    let _ = REPORTS.set(folder);
}

/// Restores the terminal, writes a report without values (they might hold secrets), and exits with 70.
pub fn install() {
    std::panic::set_hook(Box::new(|panic| {
        if PANICKED.swap(true, Ordering::SeqCst) {
            // The first panic reports and ends the program.
            return;
        }
        crate::console::terminal::restore();
        let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        let report = write_report(&place);
        super::note(&format!("jarvis: internal error at {place}"));
        match report {
            Some(file) => super::note(&format!("jarvis: the report is in {}", file.display())),
            None => super::note("jarvis: no report could be written"),
        }
        std::process::exit(i32::from(super::failure::INTERNAL));
    }));
}

fn write_report(place: &str) -> Option<PathBuf> {
    let now = SystemClock.now();
    let folder = REPORTS.get().cloned().unwrap_or_else(std::env::temp_dir);
    let file = folder.join(format!("crash-{}.txt", now.format("%Y%m%dT%H%M%SZ")));
    let thread = std::thread::current();
    let text = format!(
        "jarvis {} stopped at {now}\nthread {:?} at {place}\n\n{}\n",
        env!("CARGO_PKG_VERSION"),
        thread.name().unwrap_or("unnamed"),
        Backtrace::force_capture()
    );
    let mut opened = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file).ok()?;
    opened.write_all(text.as_bytes()).ok()?;
    Some(file)
}
