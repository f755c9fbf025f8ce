//! A monkey at the keyboard: seeded random keys and raw bytes through the whole console, with a desk that answers.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::task::Poll;

use futures_util::stream;
use jarvis::console::input::{Decoder, Heard};
use jarvis::console::{ColorDepth, ConsoleOptions, Exit, Habits, drive};
use jarvis::domain::{Envelope, Event, Feed, Mode, Request, Severity, ToldElsewhere};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{Event as Input, KeyCode, KeyEvent, KeyModifiers};
use tokio::sync::mpsc;

use crate::fixture::{alarm, theme};
use crate::pages::{guarded, page};

/// Keys that are pressed: more by `JARVIS_MONKEY_KEYS`.
const KEYS: usize = 4_000;

const SIZES: &[(u16, u16)] = &[(60, 20), (80, 24), (120, 40), (200, 60), (20, 5), (1, 1)];

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(otherwise)
}

/// What the monkey does next; keys that leave are not among it, so that it stays to the end.
struct Monkey {
    random: ChaCha8Rng,
    decoder: Decoder,
    next: VecDeque<Heard>,
    left: usize,
    /// Lets the console draw before the next key.
    pause: bool,
}

impl Monkey {
    fn new(seed: u64, keys: usize) -> Self {
        Self {
            random: ChaCha8Rng::seed_from_u64(seed),
            decoder: Decoder::default(),
            next: VecDeque::new(),
            left: keys,
            pause: false,
        }
    }

    fn below(&mut self, end: usize) -> usize {
        self.random.next_u64() as usize % end
    }

    fn act(&mut self) {
        use KeyCode::{BackTab, Backspace, Delete, Down, End, Enter, Esc, F, Home, Left, PageDown, PageUp};
        use KeyCode::{Right, Tab, Up};
        const CODES: &[KeyCode] = &[
            Enter,
            Enter,
            Enter,
            Esc,
            Tab,
            BackTab,
            Up,
            Down,
            Left,
            Right,
            PageUp,
            PageDown,
            Home,
            End,
            Backspace,
            Delete,
            F(1),
            F(5),
        ];
        const WORDS: &[&str] =
            &["halt", "flatten", "resume", "BTC", "ETH", "trade", "2h pause", "62000", "use", "y"];
        let key = |code, modifiers| Heard::from(Input::Key(KeyEvent::new(code, modifiers)));
        match self.below(16) {
            0..5 => {
                let code = CODES[self.below(CODES.len())];
                self.next.push_back(key(code, KeyModifiers::NONE));
            }
            5..12 => {
                let character = (b' ' + self.below(95) as u8) as char;
                let held = [KeyModifiers::NONE, KeyModifiers::NONE, KeyModifiers::CONTROL, KeyModifiers::ALT];
                let held = held[self.below(held.len())];
                self.next.push_back(key(KeyCode::Char(character), held));
            }
            12 => {
                for character in WORDS[self.below(WORDS.len())].chars() {
                    self.next.push_back(key(KeyCode::Char(character), KeyModifiers::NONE));
                }
                self.next.push_back(key(Enter, KeyModifiers::NONE));
            }
            13 => {
                let bytes: Vec<u8> = (0..self.below(24)).map(|_| self.below(256) as u8).collect();
                self.decoder.feed(b"\x1b[");
                self.decoder.feed(&bytes);
                self.decoder.silence();
                self.next.extend(self.decoder.take());
            }
            14 => {
                let (column, row) = (1 + self.below(200), 1 + self.below(60));
                let (to_column, to_row) = (1 + self.below(200), 1 + self.below(60));
                let drag = format!(
                    "\x1b[<0;{column};{row}M\x1b[<32;{to_column};{to_row}M\x1b[<0;{to_column};{to_row}m\x1b[<65;1;1M"
                );
                self.decoder.feed(drag.as_bytes());
                self.next.extend(self.decoder.take());
            }
            _ => {
                let focus =
                    [Input::FocusLost, Input::FocusGained, Input::Paste("x\nflatten\u{1b}[2J".into())];
                let chosen = self.below(focus.len());
                self.next.push_back(focus[chosen].clone().into());
            }
        }
        // A word for leaving may still come together in the palette; one key to it is taken away.
        self.next.retain(|heard| match heard {
            Heard::Input(Input::Key(key)) => {
                let leaves = matches!(key.code, KeyCode::Char('q' | 'Q'))
                    || (key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL));
                !leaves
            }
            _ => true,
        });
    }

    /// The next input; `None` at the end, and now and then a pause in which a frame is drawn.
    fn poll(&mut self, waker: &std::task::Waker) -> Poll<Option<io::Result<Heard>>> {
        if std::mem::take(&mut self.pause) {
            waker.wake_by_ref();
            return Poll::Pending;
        }
        while self.next.is_empty() {
            if self.left == 0 {
                return Poll::Ready(None);
            }
            self.act();
        }
        self.pause = self.below(3) == 0;
        self.left = self.left.saturating_sub(1);
        Poll::Ready(self.next.pop_front().map(Ok))
    }
}

/// Answers what is asked and tells what a desk tells.
async fn desk(mut asked: mpsc::Receiver<Request>, feeds: mpsc::Sender<Feed>, live: bool) -> usize {
    let mut snapshot = guarded();
    if live {
        snapshot.facts.mode = Mode::Live;
    }
    let (mut seq, at) = (snapshot.seq, snapshot.at);
    let mut commands = 0;
    let _ = feeds.send(Feed::Snapshot(Box::new(snapshot))).await;
    while let Some(request) = asked.recv().await {
        let feed = match request {
            Request::Query { id, query } => Feed::Page { id, page: Ok(Box::new(page(&query))) },
            Request::Command(command) => {
                commands += 1;
                seq += 1;
                let event = match commands % 4 {
                    0 => alarm(Severity::Critical, "mirat DOGE has no stop at the exchange"),
                    1 => Event::CommandRefused { id: command.id, reason: "no".into() },
                    _ => Event::CommandAccepted {
                        id: command.id,
                        detail: "yes".into(),
                        elsewhere: ToldElsewhere::Nothing,
                    },
                };
                Feed::Event(Envelope { seq, at, cycle: None, event })
            }
        };
        if feeds.send(feed).await.is_err() {
            break;
        }
    }
    commands
}

async fn at_the_keyboard(seed: u64, keys: usize, live: bool, read_only: bool) {
    println!("seed {seed}, {keys} keys, live {live}, read-only {read_only}");
    let mut monkey = Monkey::new(seed, keys);
    while monkey.left > 0 {
        let (columns, rows) = SIZES[monkey.below(SIZES.len())];
        let mut screen = Terminal::new(TestBackend::new(columns, rows)).unwrap();
        let (feeds, fed) = mpsc::channel(64);
        let (requests, asked) = mpsc::channel(64);
        let habits = Habits { mouse: true, ascii: monkey.below(4) == 0, ..Habits::default() };
        let options = ConsoleOptions { theme: theme(), read_only, color: ColorDepth::True, habits };
        // A stretch on one size, then another console on another size.
        let mut stretch = 500.min(monkey.left);
        let inputs = stream::poll_fn(|context| {
            if stretch == 0 {
                return Poll::Ready(None);
            }
            let next = monkey.poll(context.waker());
            stretch -= usize::from(next.is_ready());
            next
        });
        let console = drive(&mut screen, inputs, pending(), fed, requests, options);
        let (exit, commands) = tokio::join!(console, desk(asked, feeds, live));
        assert!(matches!(exit, Exit::TerminalGone | Exit::Quit), "{exit:?}");
        assert!(!read_only || commands == 0, "a read-only console sent {commands} commands");
        for cell in screen.backend().buffer().content() {
            assert!(!cell.symbol().contains(char::is_control), "{:?}", cell.symbol());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_monkey_breaks_nothing() {
    let (keys, seed) = (number("JARVIS_MONKEY_KEYS", KEYS), number("JARVIS_MONKEY_SEED", 1) as u64);
    at_the_keyboard(seed, keys / 2, false, false).await;
    at_the_keyboard(seed + 1, keys / 4, true, false).await;
    at_the_keyboard(seed + 2, keys / 4, false, true).await;
}
