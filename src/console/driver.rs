//! The loop around the pure parts: waits, applies, draws what changed.

use std::future::Future;
use std::io;
use std::task::Poll;
use std::time::Duration;

use crossterm::event::{Event as Input, KeyEvent, MouseButton, MouseEvent, MouseEventKind};
use futures_util::{Stream, StreamExt};
use ratatui::Terminal;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::input::Heard;
use super::state::State;
pub use super::surface::Surface;
use super::theme::Theme;
use super::update::{Effect, Msg, update};
use super::{ConsoleOptions, Exit, reader, terminal, view};
use crate::domain::{Event, Feed, OperatorCommand, Query, QueryId, Request, Severity};

/// The least time between two frames that no key asked for.
const FRAME: Duration = Duration::from_millis(100);

/// The same while nothing but the model's words comes in: nobody reads them letter by letter, and every frame has bytes of
/// its own.
const WORDS_FRAME: Duration = Duration::from_millis(200);

/// So long after a key somebody is taken to look, whatever the terminal says: what a key asked for comes a moment later.
const LOOKS_ON: Duration = Duration::from_secs(3);

/// The same while the terminal says that somebody looks elsewhere.
const UNWATCHED_FRAME: Duration = Duration::from_secs(1);

/// The clock moves on by itself when nothing was drawn for so long: a little more than the second between two readings of
/// the prices, so that one frame shows both.
const QUIET: Duration = Duration::from_millis(1_050);

/// How many waiting feeds or inputs are applied before a frame is drawn.
const DRAIN: usize = 512;

/// Runs a console on this process's terminal until the operator leaves, a signal ends it or the terminal is gone.
/// The terminal is given back before this returns.
///
/// # Errors
/// When the terminal cannot be taken over or signals cannot be heard.
pub async fn run(
    feeds: Receiver<Feed>,
    requests: Sender<Request>,
    options: ConsoleOptions,
) -> io::Result<Exit> {
    let signals = Signals::new()?;
    let (mut screen, _taken) = terminal::enter(options.color, options.habits.mouse)?;
    Ok(drive(&mut screen, reader::listen()?, signals.next(), feeds, requests, options).await)
}

/// The signals that end a console.
struct Signals([(i32, Signal); 3]);

impl Signals {
    fn new() -> io::Result<Self> {
        let listen = |kind: SignalKind| Ok::<_, io::Error>((kind.as_raw_value(), signal(kind)?));
        Ok(Self([
            listen(SignalKind::hangup())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::interrupt())?,
        ]))
    }

    async fn next(self) -> i32 {
        let [(hangup, mut on_hangup), (terminate, mut on_terminate), (interrupt, mut on_interrupt)] = self.0;
        tokio::select! {
            _ = on_hangup.recv() => hangup,
            _ = on_terminate.recv() => terminate,
            _ = on_interrupt.recv() => interrupt,
        }
    }
}

/// The same as [`run`] on any surface, with any source of input and any signal.
pub async fn drive<S: Surface>(
    screen: &mut Terminal<S>,
    inputs: impl Stream<Item = io::Result<Heard>> + Unpin,
    signal: impl Future<Output = i32>,
    mut feeds: Receiver<Feed>,
    requests: Sender<Request>,
    options: ConsoleOptions,
) -> Exit {
    let mut inputs = inputs;
    let mut signal = std::pin::pin!(signal);
    let mut second = interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut session = Session::new(requests, options);
    loop {
        if session.frame_is_due() {
            session.drain(&mut feeds);
            let other_than_the_clock = !session.only_clock;
            if session.speak(screen).await.is_none() || session.draw(screen).is_none() {
                return Exit::TerminalGone;
            }
            if other_than_the_clock {
                second.reset_after(QUIET);
            }
        }
        tokio::select! {
            biased;
            number = &mut signal => return Exit::Signal(number),
            input = inputs.next() => match input {
                Some(Ok(input)) => {
                    if let Some(exit) = session.inputs(&input, &mut inputs).await {
                        return exit;
                    }
                }
                Some(Err(_)) | None => return Exit::TerminalGone,
            },
            () = sleep_until(session.due()), if session.dirty => {}
            feed = feeds.recv(), if !session.ended => session.feed(feed),
            _ = second.tick(), if session.state.clock_runs() => session.clock_moved(),
        }
    }
}

/// The next input if one is at hand, without waiting for one.
///
/// Polled with this task's own waker: the terminal's stream remembers the waker it was last polled with, and a key that
/// came after a look with another one would wait for something else to wake the console.
async fn at_hand<S: Stream + Unpin>(inputs: &mut S) -> Option<Option<S::Item>> {
    std::future::poll_fn(|context| match inputs.poll_next_unpin(context) {
        Poll::Ready(input) => Poll::Ready(Some(input)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Whether a message brings nothing but words of the model.
fn is_words(msg: &Msg) -> bool {
    let Msg::Feed(feed) = msg else { return false };
    let Feed::Event(envelope) = &**feed else { return false };
    matches!(envelope.event, Event::AnalysisDelta { .. } | Event::ThinkingDelta { .. })
}

/// A console at work.
struct Session {
    state: State,
    theme: Theme,
    requests: Sender<Request>,
    began: Instant,
    /// Whether the state may look different from the screen.
    dirty: bool,
    /// Whether nothing but words of the model made it different.
    only_words: bool,
    /// Whether nothing but the clock made it different.
    only_clock: bool,
    /// Whether the next frame is awaited: a key asked for it, or something rang.
    urgent: bool,
    /// When the last frame was drawn.
    drawn: Instant,
    /// When somebody last pressed a key.
    pressed: Option<Instant>,
    /// What is on the screen.
    shown: Buffer,
    /// What waits to be said to the terminal beside the frames.
    spoken: Vec<Spoken>,
    mouse: bool,
    /// Whether the terminal said that it knows synchronized output.
    synchronizes: bool,
    /// Whether the terminal said that somebody looks elsewhere.
    unwatched: bool,
    /// Whether nothing will be heard any more.
    ended: bool,
}

/// What is said to the terminal beside the frames.
enum Spoken {
    Bell,
    Copy(String),
    Suspend,
    Redraw,
}

impl Session {
    fn new(requests: Sender<Request>, options: ConsoleOptions) -> Self {
        let mut state = State::starting();
        state.read_only = options.read_only;
        state.keys = options.habits.keys;
        state.zone = options.habits.zone;
        state.ascii = options.habits.ascii;
        state.suspendable = options.habits.suspendable;
        let now = Instant::now();
        let theme = options.theme.with_depth(options.color);
        state.themes = (theme.siblings(), theme.name().to_owned());
        Self {
            state,
            theme,
            requests,
            began: now,
            dirty: true,
            only_words: false,
            only_clock: false,
            urgent: true,
            drawn: now,
            pressed: None,
            shown: Buffer::default(),
            spoken: Vec::new(),
            mouse: options.habits.mouse,
            synchronizes: false,
            unwatched: false,
            ended: false,
        }
    }

    fn frame_is_due(&self) -> bool {
        self.dirty && Instant::now() >= self.due()
    }

    /// When the next frame may be drawn.
    fn due(&self) -> Instant {
        let now = Instant::now();
        let looks_on = self.pressed.is_some_and(|pressed| now.duration_since(pressed) < LOOKS_ON);
        self.drawn
            + match () {
                () if self.urgent => Duration::ZERO,
                () if self.unwatched && !looks_on => UNWATCHED_FRAME,
                () if self.only_words => WORDS_FRAME,
                () => FRAME,
            }
    }

    /// Another second has begun.
    fn clock_moved(&mut self) {
        self.only_clock = !self.dirty;
        self.dirty = true;
        self.only_words = false;
    }

    /// Applies a message and does what it asks for. True when the console is to end.
    fn apply(&mut self, msg: Msg) -> bool {
        if !self.dirty || !is_words(&msg) {
            self.only_words = is_words(&msg);
        }
        self.dirty = true;
        self.only_clock = false;
        update(&mut self.state, Msg::Clock(self.began.elapsed()));
        for effect in update(&mut self.state, msg) {
            match effect {
                Effect::Quit => return true,
                Effect::Send(command) => self.send(command),
                Effect::Ask(id, query) => self.ask(id, query),
                Effect::NextTheme => self.next_theme(),
                Effect::Theme(name) => self.take_theme(&name),
                Effect::Bell => {
                    // What rings is shown at once, even to somebody who looks elsewhere.
                    self.urgent = true;
                    self.spoken.push(Spoken::Bell);
                }
                Effect::Copy(text) => self.spoken.push(Spoken::Copy(text)),
                Effect::CopyMarked(marked) => self.copy(&marked.text(&self.shown)),
                Effect::Suspend => self.spoken.push(Spoken::Suspend),
                Effect::Redraw => self.spoken.push(Spoken::Redraw),
            }
        }
        false
    }

    /// Applies an input and all that wait behind it, so that a held key is answered by one frame. What ends the
    /// console, if anything does.
    async fn inputs(
        &mut self,
        first: &Heard,
        more: &mut (impl Stream<Item = io::Result<Heard>> + Unpin),
    ) -> Option<Exit> {
        if self.heard(first) {
            return Some(Exit::Quit);
        }
        for _ in 0..DRAIN {
            match at_hand(more).await {
                Some(Some(Ok(input))) => {
                    if self.heard(&input) {
                        return Some(Exit::Quit);
                    }
                }
                Some(Some(Err(_)) | None) => return Some(Exit::TerminalGone),
                None => break,
            }
        }
        None
    }

    fn heard(&mut self, heard: &Heard) -> bool {
        match heard {
            Heard::Input(input) => self.input(input),
            Heard::Synchronizes(known) => {
                self.synchronizes = *known;
                false
            }
        }
    }

    fn input(&mut self, input: &Input) -> bool {
        match input {
            Input::Key(key) => {
                self.awaited();
                self.key(*key)
            }
            Input::Resize(columns, rows) => {
                self.urgent = true;
                self.apply(Msg::Resize(*columns, *rows))
            }
            // Pasted text is never taken for keys: a stray clipboard must not trade.
            Input::Paste(text) => {
                self.awaited();
                self.apply(Msg::Paste(text.clone()))
            }
            Input::Mouse(mouse) => self.mouse(*mouse),
            Input::FocusGained => {
                self.unwatched = false;
                self.urgent = true;
                false
            }
            Input::FocusLost => {
                self.unwatched = true;
                false
            }
        }
    }

    fn mouse(&mut self, mouse: MouseEvent) -> bool {
        let msg = match mouse.kind {
            MouseEventKind::ScrollDown => Msg::Wheel(true, mouse.column, mouse.row),
            MouseEventKind::ScrollUp => Msg::Wheel(false, mouse.column, mouse.row),
            MouseEventKind::Down(MouseButton::Left) => Msg::Click(mouse.column, mouse.row),
            MouseEventKind::Drag(MouseButton::Left) => Msg::Drag(mouse.column, mouse.row),
            MouseEventKind::Up(MouseButton::Left) => Msg::Release,
            _ => return false,
        };
        self.awaited();
        self.apply(msg)
    }

    /// Somebody did something and waits for what comes of it.
    fn awaited(&mut self) {
        self.urgent = true;
        self.pressed = Some(Instant::now());
    }

    fn key(&mut self, key: KeyEvent) -> bool {
        self.apply(Msg::Key(key))
    }

    fn feed(&mut self, feed: Option<Feed>) {
        self.ended = feed.is_none();
        self.apply(feed.map_or(Msg::FeedEnded, |feed| Msg::Feed(Box::new(feed))));
    }

    /// Applies what is waiting, so that one frame shows all of it.
    fn drain(&mut self, feeds: &mut Receiver<Feed>) {
        for _ in 0..DRAIN {
            match feeds.try_recv() {
                Ok(feed) => self.feed(Some(feed)),
                Err(_) => break,
            }
        }
    }

    /// Puts what was marked with the mouse into the clipboard.
    fn copy(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let lines = text.lines().count();
        let told =
            if lines == 1 { "copied what was marked".to_owned() } else { format!("copied {lines} lines") };
        update(&mut self.state, Msg::Told(Severity::Info, told));
        self.spoken.push(Spoken::Copy(text.to_owned()));
    }

    /// Hands a command over without waiting: a full queue means that the desk is not keeping up.
    fn send(&mut self, command: OperatorCommand) {
        let id = command.id;
        if let Err(why) = self.hand_over(Request::Command(command)) {
            update(&mut self.state, Msg::Undelivered(id, why.to_owned()));
        }
    }

    /// Hands a question over without waiting.
    fn ask(&mut self, id: QueryId, query: Query) {
        if let Err(why) = self.hand_over(Request::Query { id, query }) {
            let unanswered = Feed::Page { id, page: Err(why.to_owned()) };
            update(&mut self.state, Msg::Feed(Box::new(unanswered)));
        }
    }

    fn hand_over(&self, request: Request) -> Result<(), &'static str> {
        self.requests.try_send(request).map_err(|error| match error {
            TrySendError::Full(_) => "the desk is busy; try again",
            TrySendError::Closed(_) => "the desk has stopped and answers no more",
        })
    }

    fn take_theme(&mut self, name: &str) {
        match self.theme.sibling(name) {
            Ok(theme) => {
                let same = theme.same_as(&self.theme);
                self.theme = theme;
                name.clone_into(&mut self.state.themes.1);
                if let Some(why) = same {
                    update(&mut self.state, Msg::Told(Severity::Info, format!("theme: {name}; {why}")));
                }
            }
            Err(error) => {
                update(&mut self.state, Msg::Told(Severity::Warning, error.to_string()));
            }
        }
    }

    fn next_theme(&mut self) {
        let (theme, unusable) = self.theme.next();
        let same = theme.same_as(&self.theme).map(|why| format!("; {why}")).unwrap_or_default();
        self.theme = theme;
        self.theme.name().clone_into(&mut self.state.themes.1);
        let name = format!("theme: {}{same}", self.theme.name());
        let msg = match unusable.first() {
            None => Msg::Told(Severity::Info, name),
            Some(error) => Msg::Told(Severity::Warning, format!("{name}; skipped {error}")),
        };
        update(&mut self.state, msg);
    }

    /// Says what waits to be said. `None` when the terminal does not take it.
    async fn speak<S: Surface>(&mut self, screen: &mut Terminal<S>) -> Option<()> {
        for spoken in std::mem::take(&mut self.spoken) {
            match spoken {
                Spoken::Bell => screen.backend_mut().say("\u{7}").ok()?,
                Spoken::Copy(text) => screen.backend_mut().say(&terminal::clipboard(&text)).ok()?,
                Spoken::Suspend => {
                    if let Err(error) = terminal::suspend(self.mouse).await {
                        update(
                            &mut self.state,
                            Msg::Told(Severity::Warning, format!("not stopped: {error}")),
                        );
                    }
                    update(&mut self.state, Msg::Continued(self.began.elapsed()));
                    self.forget_screen(screen)?;
                }
                Spoken::Redraw => self.forget_screen(screen)?,
            }
        }
        Some(())
    }

    /// Nothing of what was drawn is on the screen any more.
    ///
    /// Told as a resize: `Terminal::clear` asks the terminal where its cursor is, and the answer would be read by the
    /// stream of keys, never by the one who asked.
    fn forget_screen<S: Surface>(&mut self, screen: &mut Terminal<S>) -> Option<()> {
        self.shown = Buffer::default();
        let size = screen.size().ok()?;
        screen.resize(Rect::from((Position::ORIGIN, size))).ok()
    }

    /// Draws a frame and writes it if it differs from the screen. `None` when the terminal does not take it.
    fn draw<S: Surface>(&mut self, screen: &mut Terminal<S>) -> Option<()> {
        (self.dirty, self.only_words, self.only_clock, self.urgent) = (false, false, false, false);
        self.drawn = Instant::now();
        update(&mut self.state, Msg::Clock(self.began.elapsed()));
        screen.autoresize().ok()?;
        let mut frame = screen.get_frame();
        let area = frame.area();
        update(&mut self.state, Msg::Resize(area.width, area.height));
        view::draw(&mut frame, &self.state, &self.theme);
        if !overtake(&mut self.shown, screen.current_buffer_mut()) {
            screen.current_buffer_mut().reset();
            return Some(());
        }
        if self.synchronizes {
            screen.backend_mut().begin().ok()?;
        }
        screen.flush().ok()?;
        screen.swap_buffers();
        if self.synchronizes {
            screen.backend_mut().end().ok()?;
        }
        screen.backend_mut().deliver().ok()
    }
}

/// Takes over what differs of a new frame; whether anything did. Most of a screen stays as it is, and is not copied.
fn overtake(shown: &mut Buffer, new: &Buffer) -> bool {
    if shown.area != new.area {
        shown.clone_from(new);
        return true;
    }
    let mut different = false;
    for (old, new) in shown.content.iter_mut().zip(&new.content).filter(|(old, new)| *old != *new) {
        old.clone_from(new);
        different = true;
    }
    different
}
