//! The loop, on a screen that is not a terminal.

use std::future::pending;
use std::io;
use std::time::Duration;

use futures_util::stream;
use jarvis::console::input::Heard;
use jarvis::console::{ColorDepth, ConsoleOptions, Exit, Habits, drive};
use jarvis::domain::{Command, Envelope, Event, Feed, OperatorCommand, Request, Snapshot};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{Event as Input, KeyCode, KeyEvent, KeyModifiers};
use tokio::sync::mpsc::{self, Receiver};
use tokio::time::sleep;

use crate::fixture::{busy, empty, text, theme};

fn options() -> ConsoleOptions {
    ConsoleOptions { theme: theme(), read_only: false, color: ColorDepth::True, habits: Habits::default() }
}

fn key(character: char) -> Input {
    Input::Key(KeyEvent::new(KeyCode::Char(character), KeyModifiers::NONE))
}

/// A console on a screen of its own, fed before it starts; `script` types after two seconds.
async fn run(fed: Vec<Feed>, script: Vec<Input>) -> (Exit, String, Vec<Request>) {
    let mut screen = Terminal::new(TestBackend::new(80, 24)).unwrap();
    let (feeds, incoming) = mpsc::channel(64);
    let (outgoing, mut commands) = mpsc::channel(1);
    for feed in fed {
        feeds.send(feed).await.unwrap();
    }
    let (typed, inputs) = mpsc::channel(8);
    let inputs = Box::pin(stream::unfold(inputs, |mut inputs: Receiver<Input>| async {
        inputs.recv().await.map(|input| (Ok::<_, io::Error>(Heard::from(input)), inputs))
    }));
    let script = async move {
        sleep(Duration::from_secs(2)).await;
        for input in script {
            typed.send(input).await.unwrap();
        }
        sleep(Duration::from_secs(2)).await;
        drop((typed, feeds));
    };
    let console = drive(&mut screen, inputs, pending(), incoming, outgoing, options());
    let (exit, ()) = tokio::join!(console, script);
    let mut sent = Vec::new();
    while let Some(command) = commands.recv().await {
        sent.push(command);
    }
    (exit, text(screen.backend().buffer()), sent)
}

fn snapshot(of: Snapshot) -> Feed {
    Feed::Snapshot(Box::new(of))
}

#[tokio::test(start_paused = true)]
async fn the_first_frame_needs_no_desk() {
    let mut screen = Terminal::new(TestBackend::new(80, 24)).unwrap();
    let (_feeds, incoming) = mpsc::channel(1);
    let (outgoing, _commands) = mpsc::channel(1);
    let exit = drive(&mut screen, stream::pending(), async { 15 }, incoming, outgoing, options()).await;
    assert_eq!(exit, Exit::Signal(15));
    assert!(text(screen.backend().buffer()).contains("The desk is starting"));
}

#[tokio::test(start_paused = true)]
async fn a_feed_is_drawn_and_a_key_reaches_the_desk() {
    let (exit, screen, sent) = run(vec![snapshot(empty())], vec![key('f'), key('q')]).await;
    assert_eq!(exit, Exit::Quit);
    assert_eq!(sent, [Request::Command(OperatorCommand { id: 1, command: Command::RunCycle })]);
    assert!(screen.contains("PAPER"));
}

#[tokio::test(start_paused = true)]
async fn a_lost_terminal_ends_the_console() {
    assert_eq!(run(Vec::new(), Vec::new()).await.0, Exit::TerminalGone);
    let mut screen = Terminal::new(TestBackend::new(80, 24)).unwrap();
    let (_feeds, incoming) = mpsc::channel(1);
    let (outgoing, _commands) = mpsc::channel(1);
    let broken = stream::iter([Err(io::Error::from(io::ErrorKind::BrokenPipe))]);
    let exit = drive(&mut screen, broken, pending(), incoming, outgoing, options()).await;
    assert_eq!(exit, Exit::TerminalGone);
}

#[tokio::test(start_paused = true)]
async fn pasted_text_is_not_taken_for_keys() {
    let (exit, _, sent) = run(vec![snapshot(busy())], vec![Input::Paste("fxyq".into()), key('?')]).await;
    assert_eq!((exit, sent), (Exit::TerminalGone, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_desk_too_busy_to_take_a_command_is_said_so() {
    let (_, screen, sent) = run(vec![snapshot(empty())], vec![key('f'), key('f')]).await;
    assert!(screen.contains("the desk is busy"), "{screen}");
    assert_eq!(sent.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_key_changes_the_theme_and_says_its_name() {
    let (_, screen, _) = run(vec![snapshot(empty())], vec![key('t')]).await;
    assert!(screen.contains("theme: jarvis-light"), "{screen}");
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_events_ends_in_the_last_one() {
    let start = empty();
    let (seq, at) = (start.seq, start.at);
    let mut fed = vec![snapshot(start)];
    for step in 1..=20 {
        let event = Event::DryRun { on: step % 2 == 0 };
        fed.push(Feed::Event(Envelope { seq: seq + step, at, cycle: None, event }));
    }
    let (_, screen, _) = run(fed, Vec::new()).await;
    assert!(screen.contains("DRY-RUN"), "{screen}");
}
