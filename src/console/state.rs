//! What the console knows: a replica of the desk, and where the operator is looking.

use std::collections::VecDeque;
use std::time::Duration;

use super::keymap::Keymap;
use super::marked::Marked;
pub use super::overlay::{Confirm, Entry, Overlay, Purpose, Question, Unsaved};
use super::pages::Asked;
use super::screens::Screen;
use super::screens::cycles::Cycles;
use super::screens::guards::Guards;
use super::screens::log::Events;
use super::screens::market::Market;
use super::screens::money::Money;
use super::screens::prompt::Prompt;
pub use super::table::{Order, Table, Word, holds_words};
use crate::domain::{
    AccountName, AccountState, Alarm, Command, CommandId, Mode, Position, Price, PriceGridPage, QueryId,
    Severity, Snapshot, Symbol, Timestamp, Usdt,
};

/// How many past happenings are kept for the log panel.
pub const LOG_LENGTH: usize = 200;

/// The panels that can be focused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Panel {
    /// Accounts and their positions.
    Accounts,
    /// What was decided, and what became of it.
    Decisions,
    /// What the model writes.
    Analysis,
    /// What the model asks its tool.
    Tools,
}

impl Panel {
    /// All panels, in the order the focus walks.
    pub const ALL: [Self; 4] = [Self::Accounts, Self::Decisions, Self::Analysis, Self::Tools];

    /// Its title.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Accounts => "Accounts",
            Self::Decisions => "Decisions",
            Self::Analysis => "Analysis",
            Self::Tools => "Tool calls",
        }
    }
}

/// A sentence for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Market time, once there is one.
    pub at: Option<Timestamp>,
    /// How loud.
    pub severity: Severity,
    /// The sentence.
    pub text: String,
}

/// Everything a frame is drawn from.
#[derive(Debug, Clone)]
pub struct State {
    /// The desk as last heard; `None` until it is ready.
    pub desk: Option<Snapshot>,
    /// What was said about the start so far.
    pub steps: Vec<String>,
    /// Whether the desk still talks to us.
    pub connected: bool,
    /// Whether commands are switched off.
    pub read_only: bool,
    /// What lies over the screen.
    pub overlay: Option<Overlay>,
    /// The panel that arrows and paging act on.
    pub focus: Panel,
    /// The panel shown where there is room for one besides the accounts.
    pub main: Panel,
    /// The panel shown where decisions have one neighbour: analysis or tool calls.
    pub side: Panel,
    /// The position last selected, and its place in the list should it vanish.
    pub position: (usize, Option<(AccountName, Symbol)>),
    /// The selected row of the decision table.
    pub decision: usize,
    /// First line shown of the analysis; `None` follows its end.
    pub analysis_top: Option<usize>,
    /// The selected tool call; `None` follows the newest.
    pub call: Option<usize>,
    /// The last answer to the operator.
    pub status: Option<Notice>,
    /// When it was given, in wall time since the console began.
    pub status_since: Duration,
    /// What happened lately, oldest first.
    pub log: VecDeque<Notice>,
    /// The screen in sight.
    pub screen: Screen,
    /// Whether the chart or the cycle in sight was opened from the desk, so that the way back leads there.
    pub came_from_desk: bool,
    /// How the decision table is shown.
    pub table: Table,
    /// The market screen.
    pub market: Market,
    /// The cycles screen.
    pub cycles: Cycles,
    /// The money screen.
    pub money: Money,
    /// The guards screen.
    pub guards: Guards,
    /// The prompt screen.
    pub prompt: Prompt,
    /// The log screen.
    pub events: Events,
    /// The prices that the stop which is being moved may have.
    pub grid: Asked<PriceGridPage>,
    /// A note to the model that was begun and left.
    pub note_begun: Option<String>,
    /// The id of the next question.
    pub next_query: QueryId,
    /// Which key does what.
    pub keys: Keymap,
    /// The themes there are, and the name of the one in force.
    pub themes: (Vec<String>, String),
    /// Where the operator's clock stands, as an offset from UTC in seconds.
    pub zone: chrono::FixedOffset,
    /// Whether the terminal shows letters only: no box drawing, no symbols.
    pub ascii: bool,
    /// Whether this console can be stopped and resumed: not when the desk lives in the same process.
    pub suspendable: bool,
    /// What the mouse marks.
    pub marked: Option<Marked>,
    /// When the bell last rang, in wall time since the console began.
    pub rang: Option<Duration>,
    /// Commands that have not been answered.
    pub asked: Vec<(CommandId, Command)>,
    /// The id of the next command.
    pub next_command: CommandId,
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// Wall time since the console began.
    pub now: Duration,
    /// A market time and when it was heard.
    pub heard: Option<(Timestamp, Duration)>,
}

impl State {
    /// Before anything is known.
    pub fn starting() -> Self {
        Self {
            desk: None,
            steps: Vec::new(),
            connected: true,
            read_only: false,
            overlay: None,
            focus: Panel::Accounts,
            main: Panel::Decisions,
            side: Panel::Analysis,
            position: (0, None),
            decision: 0,
            analysis_top: None,
            call: None,
            status: None,
            status_since: Duration::ZERO,
            log: VecDeque::new(),
            screen: Screen::Desk,
            came_from_desk: false,
            table: Table::default(),
            market: Market::default(),
            cycles: Cycles::default(),
            money: Money::default(),
            guards: Guards::default(),
            prompt: Prompt::default(),
            events: Events::default(),
            grid: Asked::default(),
            note_begun: None,
            next_query: 1,
            keys: Keymap::default(),
            themes: (Vec::new(), String::new()),
            zone: chrono::Offset::fix(&chrono::Utc),
            ascii: false,
            suspendable: false,
            marked: None,
            rang: None,
            asked: Vec::new(),
            next_command: 1,
            size: (80, 24),
            now: Duration::ZERO,
            heard: None,
        }
    }

    /// Market time at this moment: the last one heard, carried on by the desk's clock speed. It stands still while the
    /// desk is not heard: what is shown is of then.
    pub fn market_time(&self) -> Option<Timestamp> {
        let (at, heard) = self.heard?;
        let speed = self.desk.as_ref().map_or(1.0, |desk| desk.facts.clock_speed);
        let now = if self.connected { self.now } else { heard };
        let passed = now.saturating_sub(heard).as_secs_f64() * speed.max(0.0);
        let passed = Duration::try_from_secs_f64(passed).ok()?;
        at.checked_add_signed(chrono::Duration::from_std(passed).ok()?)
    }

    /// Whether a second hand is visible: a market clock that moves.
    pub fn clock_runs(&self) -> bool {
        self.connected && self.desk.as_ref().is_some_and(|desk| desk.facts.clock_speed > 0.0)
    }

    /// Which money is at stake, once it is known.
    pub fn mode(&self) -> Option<Mode> {
        self.desk.as_ref().map(|desk| desk.facts.mode)
    }

    /// Whether a cycle is running.
    pub fn cycle_runs(&self) -> bool {
        self.desk.as_ref().and_then(|desk| desk.cycle.as_ref()).is_some_and(|cycle| cycle.phase.is_some())
    }

    /// The last known mark of a coin.
    pub fn mark(&self, symbol: &Symbol) -> Option<Price> {
        self.desk.as_ref()?.marks.iter().find(|(name, _)| name == symbol).map(|(_, price)| *price)
    }

    /// The mark a position is valued at: the latest, or the one it was read with.
    pub fn mark_of(&self, position: &Position) -> Price {
        self.mark(&position.symbol).unwrap_or(position.mark)
    }

    /// A position's profit and loss at the latest mark.
    pub fn live_profit(&self, position: &Position) -> Usdt {
        position.unrealised_at(self.mark_of(position))
    }

    /// An account's profit and loss over its open positions at the latest marks.
    pub fn account_profit(&self, account: &AccountState) -> Usdt {
        account.positions.iter().map(|position| self.live_profit(position)).sum()
    }

    /// All open positions with their accounts, in display order.
    pub fn positions(&self) -> Vec<(&AccountState, &Position)> {
        self.desk.as_ref().map_or_else(Vec::new, |desk| {
            let held = |account: &'_ AccountState| account.positions.len();
            let mut all = Vec::with_capacity(desk.accounts.iter().map(held).sum());
            for account in &desk.accounts {
                all.extend(account.positions.iter().map(|position| (account, position)));
            }
            all
        })
    }

    /// The place of the selected position in the list of all, and the position.
    pub fn selected_position(&self) -> Option<(usize, &AccountState, &Position)> {
        let all = self.positions();
        let by_name = self.position.1.as_ref().and_then(|(account, symbol)| {
            all.iter().position(|(owner, held)| &owner.name == account && &held.symbol == symbol)
        });
        let index = by_name.unwrap_or(self.position.0).min(all.len().checked_sub(1)?);
        all.get(index).map(|(account, position)| (index, *account, *position))
    }

    /// Selects the position at a place in the list of all; beyond its end, nothing by name.
    pub fn select_position(&mut self, place: usize) {
        let all = self.positions();
        let chosen = all.get(place).map(|(owner, held)| (owner.name.clone(), held.symbol.clone()));
        self.position = (place, chosen);
    }

    /// The alarms nobody has acknowledged, oldest first.
    pub fn open_alarms(&self) -> Vec<&Alarm> {
        let alarms = self.desk.iter().flat_map(|desk| &desk.alarms);
        alarms.filter(|alarm| !alarm.acknowledged).collect()
    }

    /// A moment in the operator's time zone.
    pub fn clock(&self, at: Timestamp, pattern: &str) -> String {
        at.with_timezone(&self.zone).format(pattern).to_string()
    }

    /// What the operator's time zone is called.
    pub fn zone_name(&self) -> String {
        if self.zone.local_minus_utc() == 0 { "UTC".to_owned() } else { format!("UTC{}", self.zone) }
    }

    /// The time of day in the operator's time zone.
    pub fn time(&self, at: Timestamp) -> String {
        self.clock(at, "%H:%M:%S")
    }

    /// The running cycle, or the last one.
    pub fn cycle(&self) -> Option<&crate::domain::CycleView> {
        self.desk.as_ref()?.cycle.as_ref()
    }

    /// The accounts a live desk may send orders for.
    pub fn is_armed(&self, account: &AccountName) -> bool {
        self.desk.as_ref().is_some_and(|desk| desk.armed.contains(account))
    }
}
