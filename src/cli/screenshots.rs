//! `jarvis screenshots`: every screen as SVG, drawn by the real views from real cycles on a fixed seed.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::arguments::{Global, ScreenshotOptions};
use super::failure::Failure;
use super::venue::Venue;
use super::{desk, logs};
use crate::config::{PromptLanguage, Settings};
use crate::console::state::State;
use crate::console::update::{Effect, Msg, update};
use crate::console::{ColorDepth, Theme, picture};
use crate::desk::Floor;
use crate::domain::{
    Clock, CycleReport, Envelope, Event, Feed, ManualClock, Page, Profile, Symbol, Timestamp, TimingsMs,
    Trigger, Usdt,
};
use crate::store::{FILE_NAME, Store};
use crate::world::WorldOptions;

/// The seed all pictures are drawn from.
const SEED: u64 = 11;
/// The moment of the first cycle: 2026-03-02 08:05:00 UTC.
const MOMENT: i64 = 1_772_438_700_000;

/// Time between the cycles of the pictures.
const SLOT: chrono::TimeDelta = chrono::TimeDelta::hours(4);

/// A picture: its name, its size, its theme, and the keys pressed before it is taken.
struct Shot {
    name: &'static str,
    size: (u16, u16),
    theme: &'static str,
    keys: &'static [KeyCode],
}

const SHOTS: &[Shot] = &[
    Shot { name: "desk-120x40", size: (120, 40), theme: "jarvis-dark", keys: &[] },
    Shot { name: "desk-80x24", size: (80, 24), theme: "jarvis-dark", keys: &[] },
    Shot { name: "desk-60x20", size: (60, 20), theme: "jarvis-dark", keys: &[] },
    Shot { name: "desk-200x60", size: (200, 60), theme: "jarvis-dark", keys: &[] },
    Shot { name: "desk-light", size: (120, 40), theme: "jarvis-light", keys: &[] },
    Shot { name: "desk-16-colours", size: (120, 40), theme: "sixteen", keys: &[] },
    Shot { name: "desk-high-contrast", size: (120, 40), theme: "high-contrast", keys: &[] },
    Shot { name: "desk-grid", size: (120, 40), theme: "jarvis-dark", keys: &[KeyCode::Char('m')] },
    Shot {
        name: "close-question",
        size: (120, 40),
        theme: "jarvis-dark",
        keys: &[KeyCode::Down, KeyCode::Char('x')],
    },
    Shot {
        name: "move-stop",
        size: (120, 40),
        theme: "jarvis-dark",
        keys: &[
            KeyCode::Char('s'),
            KeyCode::Char('6'),
            KeyCode::Char('1'),
            KeyCode::Char('0'),
            KeyCode::Char('0'),
            KeyCode::Char('0'),
        ],
    },
    Shot { name: "market-120x40", size: (120, 40), theme: "jarvis-dark", keys: &[KeyCode::Char('2')] },
    Shot { name: "market-80x24", size: (80, 24), theme: "jarvis-dark", keys: &[KeyCode::Char('2')] },
    Shot { name: "market-200x60", size: (200, 60), theme: "jarvis-dark", keys: &[KeyCode::Char('2')] },
    Shot { name: "chart-120x40", size: (120, 40), theme: "jarvis-dark", keys: &[KeyCode::Enter] },
    Shot { name: "chart-200x60", size: (200, 60), theme: "jarvis-dark", keys: &[KeyCode::Enter] },
    Shot { name: "cycles-120x40", size: (120, 40), theme: "jarvis-dark", keys: &[KeyCode::Char('3')] },
    Shot { name: "cycle-decisions", size: (120, 40), theme: "jarvis-dark", keys: &[KeyCode::Char('w')] },
    Shot {
        name: "cycle-prompts",
        size: (120, 40),
        theme: "jarvis-dark",
        keys: &[KeyCode::Char('w'), KeyCode::Right, KeyCode::Right],
    },
    Shot {
        name: "cycle-tools",
        size: (120, 40),
        theme: "jarvis-dark",
        keys: &[KeyCode::Char('w'), KeyCode::Right, KeyCode::Right, KeyCode::Right, KeyCode::Right],
    },
    Shot { name: "money-120x40", size: (120, 40), theme: "jarvis-dark", keys: &[KeyCode::Char('4')] },
    Shot { name: "money-80x24", size: (80, 24), theme: "jarvis-dark", keys: &[KeyCode::Char('4')] },
    Shot {
        name: "guards-120x40",
        size: (120, 40),
        theme: "jarvis-dark",
        keys: &[KeyCode::Char('5'), KeyCode::Down],
    },
    Shot {
        name: "flatten-question",
        size: (120, 40),
        theme: "jarvis-dark",
        keys: &[KeyCode::Char('5'), KeyCode::Char('X')],
    },
    Shot { name: "guards-80x24", size: (80, 24), theme: "jarvis-dark", keys: &[KeyCode::Char('5')] },
    Shot { name: "cycles-80x24", size: (80, 24), theme: "jarvis-dark", keys: &[KeyCode::Char('3')] },
    Shot { name: "prompt-80x24", size: (80, 24), theme: "jarvis-dark", keys: &[KeyCode::Char('6')] },
    Shot { name: "log-80x24", size: (80, 24), theme: "jarvis-dark", keys: &[KeyCode::Char('7')] },
    Shot { name: "prompt-120x40", size: (120, 40), theme: "jarvis-dark", keys: &[KeyCode::Char('6')] },
    Shot { name: "log-120x40", size: (120, 40), theme: "jarvis-dark", keys: &[KeyCode::Char('7')] },
    Shot {
        name: "palette",
        size: (120, 40),
        theme: "jarvis-dark",
        keys: &[KeyCode::Char(':'), KeyCode::Char('s'), KeyCode::Char('t')],
    },
    Shot { name: "help", size: (120, 40), theme: "jarvis-dark", keys: &[KeyCode::Char('?')] },
];

/// Runs the command.
pub async fn run(global: &Global, options: &ScreenshotOptions) -> Result<ExitCode, Failure> {
    let _logs = logs::to_stderr(global);
    fs::create_dir_all(&options.directory)?;
    let folder = scratch_folder()?;
    let drawn = Box::pin(draw_all(options, &folder, global.json)).await;
    // The folder is in the system's temporary folder; one that cannot be removed does no harm.
    let _ = fs::remove_dir_all(&folder);
    let files = drawn?;
    if global.json {
        super::say(&serde_json::json!({ "files": files }).to_string());
    }
    Ok(ExitCode::SUCCESS)
}

async fn draw_all(
    options: &ScreenshotOptions,
    folder: &Path,
    quiet: bool,
) -> Result<Vec<std::path::PathBuf>, Failure> {
    let (state, floor) = after_some_cycles(folder).await?;
    let mut files = Vec::new();
    for shot in SHOTS {
        let theme = Theme::load(shot.theme, None)?.with_depth(ColorDepth::True);
        let mut state = state.clone();
        update(&mut state, Msg::Resize(shot.size.0, shot.size.1));
        for key in shot.keys {
            let effects = update(&mut state, Msg::Key(KeyEvent::new(*key, KeyModifiers::NONE)));
            answer(&mut state, &floor, effects).await;
        }
        let file = options.directory.join(format!("{}.svg", shot.name));
        fs::write(&file, picture::svg(&state, &theme, shot.size.0, shot.size.1))?;
        if !quiet {
            super::say(&file.display().to_string());
        }
        files.push(file);
    }
    Ok(files)
}

/// Has the desk answer what the console asks, as long as it asks.
async fn answer(state: &mut State, floor: &Floor, mut effects: Vec<Effect>) {
    while let Some(effect) = effects.pop() {
        if let Effect::Ask(id, query) = effect {
            let page = floor.page(query).await.map(|mut page| {
                steady_page(&mut page);
                Box::new(page)
            });
            effects.extend(update(state, Msg::Feed(Box::new(Feed::Page { id, page }))));
        }
    }
}

/// The console's state after some cycles of the real desk on the world of the fixed seed, at the fixed moment.
async fn after_some_cycles(folder: &Path) -> Result<(State, Arc<Floor>), Failure> {
    let moment = Timestamp::from_timestamp_millis(MOMENT)
        .ok_or_else(|| Failure::internal("the moment is not a time"))?;
    let wall: Arc<ManualClock> = Arc::new(ManualClock::new(moment));
    let settings = pictured_settings()?;
    let options = WorldOptions {
        seed: SEED,
        accounts: settings.accounts.iter().map(|account| account.name.clone()).collect(),
        balance: Usdt::of(rust_decimal::Decimal::ONE_THOUSAND),
        speed: 1.0,
        token_delay: Duration::ZERO,
        enforce_limits: false,
        recorded: None,
        state_file: None,
    };
    let venue = Venue::embedded_at(options, Arc::clone(&wall) as Arc<dyn Clock>).await?;
    let store = Store::open(&folder.join(FILE_NAME))?;
    let floor = desk::open(&settings, folder, &venue, &store, "pictures".into(), None).await?;
    let (snapshot, mut events) = floor.bulletin().subscribe();
    let mut state = State::starting();
    update(&mut state, Msg::Feed(Box::new(Feed::Snapshot(Box::new(snapshot)))));
    // Three slots, so that the book is not all of one kind, and then 25 minutes in which the market goes on.
    for wait in [SLOT, SLOT, chrono::TimeDelta::minutes(25)] {
        floor.run_cycle(Trigger::Schedule).await?;
        wall.advance(wait);
        if let Some(world) = &venue.world {
            world.step();
        }
    }
    floor.look_again().await;
    floor.bulletin().flush().await;
    let mut heard = Vec::new();
    while let Ok(envelope) = events.try_recv() {
        heard.push(envelope.as_ref().clone());
    }
    let places: Vec<u64> = heard.iter().map(|envelope| envelope.seq).collect();
    steady_order(&mut heard, |envelope| envelope);
    for (mut envelope, seq) in heard.into_iter().zip(places) {
        envelope.seq = seq;
        steady_event(&mut envelope.event);
        update(&mut state, Msg::Feed(Box::new(Feed::Event(envelope))));
    }
    Ok((state, floor))
}

/// Durations are the only thing in the pictures that differs from run to run; in their place stand these, in
/// milliseconds, so that the same code draws the same bytes.
const TIMINGS: TimingsMs =
    TimingsMs { accounts: 4.0, brief: 31.0, prompt: 2.0, model: 58.0, execution: 12.0, total: 107.0 };

/// In place of how long a call of the tool took.
const CALL_MS: f64 = 1.2;

/// Accounts trade side by side, and in each of them its coins, so which is told first differs as well: here one goes after
/// the other, each in its own order.
fn steady_order<T>(told: &mut [T], envelope: impl Fn(&T) -> &Envelope) {
    let whose = |one: &T| match &envelope(one).event {
        Event::Order { account, symbol, .. } | Event::Settled { account, symbol, .. } => {
            Some((account.clone(), Some(symbol.clone())))
        }
        Event::Account { state } => Some((state.name.clone(), None)),
        _ => None,
    };
    for run in told.chunk_by_mut(|one, other| whose(one).is_some() == whose(other).is_some()) {
        run.sort_by_key(&whose);
    }
}

fn steady_event(event: &mut Event) {
    match event {
        Event::ToolCallFinished { ms, .. } => *ms = CALL_MS,
        Event::CycleFinished { report, .. } => steady_report(report),
        _ => {}
    }
}

fn steady_report(report: &mut CycleReport) {
    report.timings_ms = TIMINGS;
    for call in &mut report.tool_calls {
        call.ms = CALL_MS;
    }
}

fn steady_page(page: &mut Page) {
    match page {
        Page::Cycles { lines } => {
            for line in lines {
                line.total_ms = line.total_ms.map(|_| TIMINGS.total);
            }
        }
        Page::Cycle(page) => {
            if let Some(report) = &mut page.report {
                steady_report(report);
            }
            page.line.total_ms = page.line.total_ms.map(|_| TIMINGS.total);
            for turn in &mut page.turns {
                turn.ms = TIMINGS.model;
            }
            for call in &mut page.tool_calls {
                call.ms = CALL_MS;
            }
        }
        Page::Log(page) => {
            steady_order(&mut page.lines, |(_, envelope)| envelope);
            for (_, envelope) in &mut page.lines {
                steady_event(&mut envelope.event);
            }
        }
        _ => {}
    }
}

/// Three accounts with lists of their own, in English, so that the pictures show what differs between accounts.
fn pictured_settings() -> Result<Settings, Failure> {
    let mut settings = Settings { profile: Profile::Guarded, ..Settings::default() };
    settings.model.prompt = PromptLanguage::English;
    let lists: [&[&str]; 3] = [
        &[
            "BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "DOGEUSDT", "ADAUSDT", "AVAXUSDT",
            "LINKUSDT", "PAXGUSDT",
        ],
        &["ETHUSDT", "SOLUSDT", "AVAXUSDT", "PAXGUSDT"],
        &["BTCUSDT", "BNBUSDT", "XRPUSDT", "DOGEUSDT"],
    ];
    for (account, list) in settings.accounts.iter_mut().zip(lists) {
        let symbols: Result<Vec<Symbol>, _> = list.iter().map(|coin| Symbol::new(coin)).collect();
        account.symbols = symbols.map_err(|error| Failure::internal(error.to_string()))?;
    }
    Ok(settings)
}

fn scratch_folder() -> Result<std::path::PathBuf, Failure> {
    let folder = std::env::temp_dir().join(format!("jarvis-screenshots-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
