//! The loop, on a screen that is not a terminal.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream;
use jarvis::console::input::Heard;
use jarvis::console::{ColorDepth, ConsoleOptions, Exit, Habits, Pen, drive};
use jarvis::domain::{Command, Envelope, Event, Feed, OperatorCommand, Request, Snapshot};
use ratatui::backend::{Backend, CrosstermBackend, TestBackend};
use ratatui::crossterm::event::{Event as Input, KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};
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
    run_with(options(), fed, script).await
}

async fn run_with(
    options: ConsoleOptions,
    fed: Vec<Feed>,
    script: Vec<Input>,
) -> (Exit, String, Vec<Request>) {
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
    let console = drive(&mut screen, inputs, pending(), incoming, outgoing, options);
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
async fn a_theme_that_changes_nothing_on_this_terminal_says_so() {
    for (color, why) in [
        (ColorDepth::Ansi16, "nothing changes, 16 colours are all here"),
        (ColorDepth::None, "nothing changes, there are no colours here"),
    ] {
        let down = Input::Key(KeyEvent::new(KeyCode::Down, KeyModifiers::NONE));
        for keys in [vec![key('t')], vec![key('T'), down]] {
            let (_, screen, _) =
                run_with(ConsoleOptions { color, ..options() }, vec![snapshot(empty())], keys).await;
            assert!(screen.contains(&format!("theme: jarvis-light; {why}")), "{screen}");
        }
    }
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

/// Counts what is written.
struct Counter(Arc<AtomicU64>);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes that go to a terminal of 120×40 for a second of an analyst who writes about 300 letters a second, over a minute.
#[tokio::test(start_paused = true)]
async fn an_analyst_who_writes_costs_less_than_three_kilobytes_a_second() {
    const SECONDS: u64 = 60;
    let sent = Arc::new(AtomicU64::new(0));
    let options = TerminalOptions { viewport: Viewport::Fixed(Rect::new(0, 0, 120, 40)) };
    let mut screen = Terminal::with_options(Pen::new(Counter(Arc::clone(&sent))), options).unwrap();
    let (feeds, incoming) = mpsc::channel(64);
    let (outgoing, _commands) = mpsc::channel(1);
    let start = busy();
    let (mut seq, at) = (start.seq, start.at);
    let id = Some(jarvis::domain::CycleId::new(at, 7));
    let mut next = move |event| {
        seq += 1;
        Feed::Event(Envelope { seq, at, cycle: id.clone(), event })
    };
    let began = [
        Event::CycleStarted { trigger: jarvis::domain::Trigger::Manual },
        Event::PhaseEntered { phase: jarvis::domain::Phase::Model },
    ];
    feeds.send(snapshot(start)).await.unwrap();
    for event in began {
        feeds.send(next(event)).await.unwrap();
    }
    let writer = async move {
        let words = crate::fixture::ANALYSIS.replace(['<', '>'], " ");
        let letters: Vec<char> =
            words.chars().cycle().take(300 * usize::try_from(SECONDS).unwrap()).collect();
        for piece in letters.chunks(15) {
            let text: String = piece.iter().collect();
            feeds.send(next(Event::AnalysisDelta { text: text.as_str().into() })).await.unwrap();
            sleep(Duration::from_millis(50)).await;
        }
        15
    };
    let inputs = stream::pending::<io::Result<Heard>>();
    let exit = drive(&mut screen, inputs, writer, incoming, outgoing, self::options()).await;
    assert_eq!(exit, Exit::Signal(15));
    let bytes = sent.load(Ordering::Relaxed) / SECONDS;
    assert!((300..3_000).contains(&bytes), "{bytes} bytes a second");
}

/// Ground and ink are said when they change, each for itself, and ink only for what shows it.
#[test]
fn a_whole_screen_takes_a_quarter_less_than_ratatui_would_write() {
    ratatui::crossterm::style::force_color_output(true);
    let desk = crate::fixture::finished();
    let shown = crate::fixture::draw(&desk.state, &theme(), (200, 60));
    let cells = || (0..).zip(&shown.content).map(|(at, cell): (u16, _)| (at % 200, at / 200, cell));
    let [ours, theirs] = [Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0))];
    Pen::new(Counter(Arc::clone(&ours))).draw(cells()).unwrap();
    CrosstermBackend::new(Counter(Arc::clone(&theirs))).draw(cells()).unwrap();
    let [ours, theirs] = [ours, theirs].map(|bytes| bytes.load(Ordering::Relaxed));
    assert!(4 * ours < 3 * theirs, "{ours} bytes, and {theirs} by ratatui");
}

/// Counts what is delivered.
struct Deliveries(Arc<AtomicU64>);

impl io::Write for Deliveries {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Prices that come once a second move the clock with them; without them it moves by itself.
#[tokio::test(start_paused = true)]
async fn a_second_has_one_frame() {
    for (prices, expected) in [(true, 58..=62), (false, 55..=62)] {
        let frames = Arc::new(AtomicU64::new(0));
        let options = TerminalOptions { viewport: Viewport::Fixed(Rect::new(0, 0, 120, 40)) };
        let backend = Pen::new(Deliveries(Arc::clone(&frames)));
        let mut screen = Terminal::with_options(backend, options).unwrap();
        let (feeds, incoming) = mpsc::channel(64);
        let (outgoing, _commands) = mpsc::channel(1);
        let start = busy();
        let (seq, at) = (start.seq, start.at);
        feeds.send(snapshot(start)).await.unwrap();
        let told = async move {
            sleep(Duration::from_millis(400)).await;
            for second in 1..=60_u32 {
                if prices {
                    let at = at + chrono::Duration::seconds(second.into());
                    let mark = crate::fixture::price(&(66_000 + second).to_string());
                    let event = Event::Marks { marks: vec![(crate::fixture::symbol("BTC"), mark)] };
                    let envelope = Envelope { seq: seq + u64::from(second), at, cycle: None, event };
                    feeds.send(Feed::Event(envelope)).await.unwrap();
                }
                // Now a little early, now a little late.
                sleep(Duration::from_millis(if second % 2 == 0 { 980 } else { 1_020 })).await;
            }
            15
        };
        let inputs = stream::pending::<io::Result<Heard>>();
        drive(&mut screen, inputs, told, incoming, outgoing, self::options()).await;
        let frames = frames.load(Ordering::Relaxed);
        assert!(expected.contains(&frames), "{frames} frames in a minute, prices: {prices}");
    }
}

/// The window is not looked at, and yet a key's page comes at once.
#[tokio::test(start_paused = true)]
async fn a_key_counts_as_a_look() {
    let mut screen = Terminal::new(TestBackend::new(80, 24)).unwrap();
    let (feeds, incoming) = mpsc::channel(64);
    let (outgoing, mut requests) = mpsc::channel(8);
    feeds.send(snapshot(busy())).await.unwrap();
    let (typed, inputs) = mpsc::channel(8);
    let inputs = Box::pin(stream::unfold(inputs, |mut inputs: Receiver<Input>| async {
        inputs.recv().await.map(|input| (Ok::<_, io::Error>(Heard::from(input)), inputs))
    }));
    let script = async move {
        sleep(Duration::from_secs(1)).await;
        typed.send(Input::FocusLost).await.unwrap();
        sleep(Duration::from_millis(1_500)).await;
        typed.send(key('2')).await.unwrap();
        let Some(Request::Query { id, query }) = requests.recv().await else { panic!("a question") };
        let page = Ok(Box::new(crate::pages::page(&query)));
        feeds.send(Feed::Page { id, page }).await.unwrap();
        // Less than the pause between two frames nobody looks at.
        sleep(Duration::from_millis(300)).await;
        15
    };
    drive(&mut screen, inputs, script, incoming, outgoing, options()).await;
    let shown = text(screen.backend().buffer());
    assert!(shown.contains("What moves it"), "{shown}");
}
