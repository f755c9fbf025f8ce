//! `jarvis --plain` and `jarvis attach --plain`: the desk as lines on stdout. No terminal is needed, stdin is not read.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::arguments::Global;
use super::failure::Failure;
use super::reception::Rights;
use super::running::Running;
use super::{attach, logs, serving, setup};
use crate::console::line_log;
use crate::domain::Feed;
use crate::store::DeskLock;

/// How long a reader may take to take the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// How long the desk's last words may be on their way through this process.
const ON_ITS_WAY: Duration = Duration::from_millis(50);

/// Runs the desk and prints what it does, until a signal or the reader ends it.
pub async fn run(global: &Global) -> Result<ExitCode, Failure> {
    refuse_json(global)?;
    let loaded = setup::settings(global)?;
    let data_dir = setup::data_dir(global)?;
    let _lock = DeskLock::acquire(&data_dir)?;
    let _logs = logs::to_file(global, &data_dir)?;
    let mut ended = std::pin::pin!(serving::asked_to_end()?);
    let mut printer = Printer::start()?;
    let (feeds, mut fed) = mpsc::channel(1024);
    let steps = feeds.clone();
    let starting = Running::start(loaded, global.world.clone(), data_dir, |step| {
        // Progress that does not fit is not worth waiting for.
        let _ = steps.try_send(Feed::Starting { step: step.to_owned() });
    });
    let mut running = tokio::select! {
        running = starting => running?,
        () = &mut ended => return Ok(ExitCode::SUCCESS),
    };
    drop(steps);
    // Held open and never used: nothing is commanded from here.
    let (_requests, asked) = mpsc::channel(1);
    let attending = tokio::spawn(running.reception.clone().attend(Rights::Watch, asked, feeds));
    let died = tokio::select! {
        () = printer.print(&mut fed) => None,
        () = &mut ended => None,
        failure = running.died() => Some(failure),
    };
    if let Some(failure) = died {
        printer.finish(&mut fed).await;
        return Err(failure);
    }
    let mut ending = std::pin::pin!(running.end());
    let over = tokio::select! {
        over = &mut ending => over,
        // The reader is gone; the desk ends in order all the same.
        () = printer.print(&mut fed) => ending.await,
    };
    printer.print_rest(&mut fed).await;
    attending.abort();
    printer.finish(&mut fed).await;
    over.map(|()| ExitCode::SUCCESS)
}

/// Prints what a served desk does, until a signal or the reader ends it; the desk does not notice.
pub async fn attach(global: &Global) -> Result<ExitCode, Failure> {
    refuse_json(global)?;
    let data_dir = setup::data_dir(global)?;
    let mut ended = std::pin::pin!(serving::asked_to_end()?);
    let (_requests, asked) = mpsc::channel(1);
    let (mut fed, relay) = attach::connect(data_dir, true, asked).await?;
    let mut printer = Printer::start()?;
    tokio::select! {
        () = printer.print(&mut fed) => {}
        () = &mut ended => {}
    }
    relay.abort();
    printer.finish(&mut fed).await;
    Ok(ExitCode::SUCCESS)
}

fn refuse_json(global: &Global) -> Result<(), Failure> {
    if global.json {
        return Err(Failure::usage("--plain prints lines for people, --json documents: choose one"));
    }
    Ok(())
}

/// Writes lines from a thread of its own, so that a reader who is slow holds up neither the desk nor a signal.
struct Printer {
    lines: mpsc::Sender<String>,
    written: JoinHandle<()>,
}

impl Printer {
    fn start() -> Result<Self, Failure> {
        let (lines, mut waiting) = mpsc::channel::<String>(64);
        let (done, over) = tokio::sync::oneshot::channel();
        std::thread::Builder::new().name("lines".to_owned()).spawn(move || {
            while let Some(line) = waiting.blocking_recv() {
                let mut out = std::io::stdout().lock();
                if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
                    break;
                }
            }
            // Nobody may be waiting for it any more.
            let _ = done.send(());
        })?;
        let written = tokio::spawn(async {
            // An error says that the thread is gone, which is what is waited for.
            let _ = over.await;
        });
        Ok(Self { lines, written })
    }

    /// Prints until the desk says nothing more or the reader is gone.
    async fn print(&mut self, feeds: &mut mpsc::Receiver<Feed>) {
        loop {
            let feed = tokio::select! {
                feed = feeds.recv() => feed,
                () = self.lines.closed() => return,
            };
            let Some(feed) = feed else { return };
            for line in line_log::lines(&feed) {
                if self.lines.send(line).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Prints what the desk said at its end and is still on its way.
    async fn print_rest(&mut self, feeds: &mut mpsc::Receiver<Feed>) {
        // Running into the limit is the usual case: nothing more comes.
        let _ = tokio::time::timeout(ON_ITS_WAY, self.print(feeds)).await;
    }

    /// Prints what is left, as far as somebody takes it.
    async fn finish(self, feeds: &mut mpsc::Receiver<Feed>) {
        while let Ok(feed) = feeds.try_recv() {
            for line in line_log::lines(&feed) {
                // A reader who does not keep up loses the last lines, not the desk its end.
                let _ = self.lines.try_send(line);
            }
        }
        drop(self.lines);
        // Longer than this nobody is reading.
        let _ = tokio::time::timeout(LAST_LINES, self.written).await;
    }
}
