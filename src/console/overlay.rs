//! What lies over a screen: help, questions, lines to be typed, lists to choose from.

use crate::domain::{AccountName, Direction, HaltLevel, HaltScope, Price, Quantity, Symbol, Timestamp};

/// What lies over the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Overlay {
    /// The keys, scrolled down by so many lines.
    Help(usize),
    /// A question that must be answered first.
    Confirm(Confirm),
    /// A line to be typed.
    Entry(Entry),
    /// Every action by name.
    Palette {
        /// What has been typed so far.
        typed: String,
        /// The selected action among those that match; none until something was typed or one was chosen, so that enter
        /// out of habit does nothing.
        selected: Option<usize>,
    },
    /// The themes by name; the selected one is in sight.
    Themes {
        /// The selected one.
        selected: usize,
        /// The one that comes back on escape.
        before: String,
    },
}

/// A line to be typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What for.
    pub purpose: Purpose,
    /// What has been typed so far.
    pub typed: String,
    /// How many letters the cursor stands before its end.
    pub back: usize,
    /// What is wrong with it.
    pub trouble: Option<String>,
}

impl Entry {
    /// A line with its cursor at the end.
    pub fn begun(purpose: Purpose, typed: String) -> Self {
        Self { purpose, typed, back: 0, trouble: None }
    }
}

/// What a typed line is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// Words for the model in the next cycle.
    Note,
    /// The price of a stop.
    Stop {
        /// Whose.
        account: AccountName,
        /// Which.
        symbol: Symbol,
    },
    /// For how long something opens nothing, and why.
    Pause(HaltScope),
    /// The words a list is narrowed by; the list follows while they are typed.
    Filter {
        /// The words that come back on escape.
        before: String,
    },
}

/// A question before something that cannot be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirm {
    /// What is asked.
    pub question: Question,
    /// The word that must be typed; `None` when the key `y` is enough, because no money moves.
    pub word: Option<String>,
    /// What has been typed so far.
    pub typed: String,
    /// Whether another word was answered.
    pub missed: bool,
    /// Why there is nothing to answer any more. The box stays until it is closed, so that what is still being typed is
    /// not taken for keys.
    pub over: Option<String>,
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
    /// Take a rung of the halt ladder.
    Halt {
        /// What.
        scope: HaltScope,
        /// How far.
        level: HaltLevel,
        /// Market time it runs out by itself.
        until: Option<Timestamp>,
        /// Why, in the operator's words.
        reason: String,
    },
    /// Take a halt back.
    Resume(HaltScope),
    /// Put a stop at another price.
    MoveStop {
        /// Whose.
        account: AccountName,
        /// Which.
        symbol: Symbol,
        /// The way it points.
        direction: Direction,
        /// The price that triggers it from then on.
        trigger: Price,
    },
    /// Let a live account send orders.
    Arm(AccountName),
    /// Use the draft of a prompt file.
    ApplyPrompt(String),
    /// Go back to the built-in text of a prompt file.
    RevertPrompt(String),
    /// Throw the draft of a prompt file away.
    DiscardDraft(String),
    /// Leave dry-run: orders are sent from now on.
    Trade,
    /// Leave the console, and the desk inside it.
    Quit {
        /// Whether a live desk ends with it.
        ends_live: bool,
        /// What was written and would be lost.
        unsaved: Unsaved,
    },
}

/// What was written on this console and nobody has yet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unsaved {
    /// The prompt file there is a draft of.
    pub draft: Option<String>,
    /// Whether a note to the model was begun and not sent.
    pub note: bool,
}

impl Unsaved {
    /// Whether there is anything.
    pub fn is_any(&self) -> bool {
        self.note || self.draft.is_some()
    }
}
