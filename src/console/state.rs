//! What the console knows: a replica of the desk, and where the operator is looking.

use std::collections::VecDeque;
use std::time::Duration;

use crate::domain::{
    AccountName, AccountState, Alarm, Command, CommandId, Direction, Mode, Position, Price, Quantity,
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

/// What lies over the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Overlay {
    /// The keys, scrolled down by so many lines.
    Help(usize),
    /// A question that must be answered first.
    Confirm(Confirm),
}

/// A question before something that cannot be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirm {
    /// What is asked.
    pub question: Question,
    /// The word that must be typed; `None` when the key `y` is enough.
    pub word: Option<String>,
    /// What has been typed so far.
    pub typed: String,
}

/// The questions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Close this position, as it was when the question came up.
    Close {
        /// Whose.
        account: AccountName,
        /// Which.
        symbol: Symbol,
        /// Which way it pointed.
        direction: Direction,
        /// How large it was.
        quantity: Quantity,
    },
    /// Leave dry-run: orders are sent from now on.
    Trade,
    /// Leave the console, and the desk inside it.
    Quit,
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
    /// First line shown of the tool calls; `None` follows their end.
    pub tools_top: Option<usize>,
    /// The last answer to the operator.
    pub status: Option<Notice>,
    /// What happened lately, oldest first.
    pub log: VecDeque<Notice>,
    /// How many of the desk's alarms the operator has put aside on this console, newest counted from the start.
    pub alarms_seen: usize,
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
            tools_top: None,
            status: None,
            log: VecDeque::new(),
            alarms_seen: 0,
            asked: Vec::new(),
            next_command: 1,
            size: (80, 24),
            now: Duration::ZERO,
            heard: None,
        }
    }

    /// Market time at this moment: the last one heard, carried on by the desk's clock speed.
    pub fn market_time(&self) -> Option<Timestamp> {
        let (at, heard) = self.heard?;
        let speed = self.desk.as_ref().map_or(1.0, |desk| desk.facts.clock_speed);
        let passed = self.now.saturating_sub(heard).as_secs_f64() * speed.max(0.0);
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

    /// The alarms the operator has not put aside, oldest first.
    pub fn open_alarms(&self) -> &[Alarm] {
        self.desk.as_ref().map_or(&[], |desk| desk.alarms.get(self.alarms_seen..).unwrap_or(&[]))
    }
}
