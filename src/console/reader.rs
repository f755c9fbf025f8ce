//! Reads the terminal: its bytes as they come, and its size when it changes.

use std::collections::VecDeque;
use std::io;

use crossterm::event::Event as Input;
use futures_util::{Stream, stream};
use rustix::event::{PollFd, PollFlags, poll};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, sleep_until};

use super::input::{Decoder, Heard};

/// Everything this process's terminal says, until it is gone.
///
/// # Errors
/// When the terminal or its resizing cannot be listened to.
pub fn listen() -> io::Result<impl Stream<Item = io::Result<Heard>> + Unpin> {
    let (sender, bytes) = channel(16);
    // A thread, because a terminal can only be waited for. It ends with the process.
    std::thread::Builder::new().name("terminal".to_owned()).spawn(move || pass_on(&sender))?;
    let reader = Reader {
        bytes,
        resized: signal(SignalKind::window_change())?,
        decoder: Decoder::default(),
        heard: VecDeque::new(),
        silent_at: None,
    };
    Ok(Box::pin(stream::unfold(Some(reader), |reader| async move {
        let mut reader = reader?;
        match reader.next().await {
            Ok(Some(heard)) => Some((Ok(heard), Some(reader))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })))
}

struct Reader {
    bytes: Receiver<io::Result<Vec<u8>>>,
    resized: Signal,
    decoder: Decoder,
    heard: VecDeque<Heard>,
    /// When an incomplete sequence is over.
    silent_at: Option<Instant>,
}

impl Reader {
    /// The next thing heard; `None` when the terminal is gone.
    async fn next(&mut self) -> io::Result<Option<Heard>> {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return Ok(Some(heard));
            }
            let silent_at = self.silent_at.unwrap_or_else(Instant::now);
            tokio::select! {
                biased;
                bytes = self.bytes.recv() => {
                    let Some(bytes) = bytes else { return Ok(None) };
                    self.decoder.feed(&bytes?);
                    self.silent_at = self.decoder.patience().map(|patience| Instant::now() + patience);
                }
                () = sleep_until(silent_at), if self.silent_at.is_some() => {
                    self.silent_at = None;
                    self.decoder.silence();
                }
                _ = self.resized.recv() => {
                    let (columns, rows) = crossterm::terminal::size()?;
                    self.heard.push_back(Input::Resize(columns, rows).into());
                }
            }
            self.heard.extend(self.decoder.take());
        }
    }
}

/// Passes on what the terminal says until it is gone or nobody listens.
fn pass_on(sender: &Sender<io::Result<Vec<u8>>>) {
    while let Some(bytes) = next(sender).transpose() {
        let failed = bytes.is_err();
        if sender.blocking_send(bytes).is_err() || failed {
            return;
        }
    }
}

fn next(sender: &Sender<io::Result<Vec<u8>>>) -> io::Result<Option<Vec<u8>>> {
    wait()?;
    // What comes when nobody listens any more is left to the next program.
    if sender.is_closed() {
        return Ok(None);
    }
    Ok(Some(read()?).filter(|bytes| !bytes.is_empty()))
}

/// Waits until there is something to read.
fn wait() -> io::Result<()> {
    let terminal = io::stdin();
    rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(&terminal, PollFlags::IN)], None))?;
    Ok(())
}

/// What the terminal says next; nothing when it is gone.
fn read() -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4096];
    let length = rustix::io::retry_on_intr(|| rustix::io::read(io::stdin(), &mut bytes))?;
    bytes.truncate(length);
    Ok(bytes)
}
