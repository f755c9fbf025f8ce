//! `jarvis attach`: a console on a desk that runs in another process. It comes and goes; the desk does not notice.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::arguments::Global;
use super::failure::Failure;
use super::socket::{self, Line};
use super::{console, setup};
use crate::domain::{Feed, Request};

/// Time between two tries to reach a desk that went away.
const RETRY: Duration = Duration::from_millis(500);

/// Runs the command.
pub async fn run(global: &Global, read_only: bool) -> Result<ExitCode, Failure> {
    let loaded = setup::settings(global)?;
    let mut options = console::options(global, &loaded, read_only)?;
    // Only the console stops on ctrl-z; the desk it looks at goes on.
    options.habits.suspendable = true;
    let data_dir = setup::data_dir(global)?;
    let (requests, asked) = mpsc::channel(16);
    let (fed, relay) = connect(data_dir, read_only, asked).await?;
    let exit = crate::console::run(fed, requests, options).await?;
    relay.abort();
    Ok(console::exit_code(exit))
}

/// A line to the desk that looks for the desk again whenever it goes away; what it says comes out of the receiver until
/// the task is ended.
pub async fn connect(
    data_dir: PathBuf,
    read_only: bool,
    asked: mpsc::Receiver<Request>,
) -> Result<(mpsc::Receiver<Feed>, JoinHandle<()>), Failure> {
    let line = socket::connect(&data_dir, read_only).await.map_err(|error| {
        Failure::failed(format!(
            "no desk answers at {}: {error}; start one with `jarvis serve`",
            socket::place(&data_dir).display()
        ))
    })?;
    let (feeds, fed) = mpsc::channel(1024);
    Ok((fed, tokio::spawn(relay(line, data_dir, read_only, asked, feeds))))
}

/// Passes on what both sides say, and looks for the desk again whenever it goes away.
async fn relay(
    mut line: Line,
    data_dir: PathBuf,
    read_only: bool,
    mut asked: mpsc::Receiver<Request>,
    feeds: mpsc::Sender<Feed>,
) {
    loop {
        let over = pass_on(&mut line, &mut asked, &feeds).await;
        if matches!(over, Over::Console) {
            return;
        }
        let reason = "the desk does not answer; looking for it again".to_owned();
        if feeds.send(Feed::Lost { reason }).await.is_err() {
            return;
        }
        match reconnect(&data_dir, read_only, &mut asked, &feeds).await {
            Some(found) => line = found,
            None => return,
        }
    }
}

/// Which side ended.
enum Over {
    Desk,
    Console,
}

async fn pass_on(line: &mut Line, asked: &mut mpsc::Receiver<Request>, feeds: &mpsc::Sender<Feed>) -> Over {
    loop {
        tokio::select! {
            feed = line.feeds.recv() => match feed {
                Some(feed) => if feeds.send(feed).await.is_err() { return Over::Console },
                None => return Over::Desk,
            },
            request = asked.recv() => match request {
                Some(request) => if line.requests.send(request).await.is_err() { return Over::Desk },
                None => return Over::Console,
            },
        }
    }
}

/// Tries until the desk is there again. What is asked meanwhile is refused: an order given to a desk that is away must
/// not be carried out minutes later.
async fn reconnect(
    data_dir: &Path,
    read_only: bool,
    asked: &mut mpsc::Receiver<Request>,
    feeds: &mpsc::Sender<Feed>,
) -> Option<Line> {
    loop {
        if let Ok(line) = socket::connect(data_dir, read_only).await {
            return Some(line);
        }
        let pause = tokio::time::sleep(RETRY);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => break,
                request = asked.recv() => refuse(request?, feeds).await?,
            }
        }
    }
}

async fn refuse(request: Request, feeds: &mpsc::Sender<Feed>) -> Option<()> {
    let away = "the desk is away; nothing was sent".to_owned();
    let feed = match request {
        Request::Command(command) => Feed::Undelivered { id: command.id, reason: away },
        Request::Query { id, .. } => Feed::Page { id, page: Err(away) },
    };
    feeds.send(feed).await.ok()
}
