//! What an operator may ask of a desk. Every command is answered by an event that carries its id.

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;
use super::halt::{HaltLevel, HaltScope};
use super::money::Price;
use super::order::Direction;
use super::symbol::{AccountName, Symbol};

/// Joins a command to the event that answers it.
pub type CommandId = u64;

/// A command on its way to the desk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorCommand {
    /// Chosen by the sender.
    pub id: CommandId,
    /// What is asked.
    pub command: Command,
}

/// The requests a desk understands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Run a cycle now.
    RunCycle,
    /// Compute and store, but send no order; or trade again.
    SetDryRun(bool),
    /// Close one position at market, reduce-only, and remove its stop.
    ClosePosition {
        /// Whose.
        account: AccountName,
        /// Which.
        symbol: Symbol,
        /// The way the position pointed that was looked at; one that points the other way is another one, and stays.
        direction: Direction,
    },
    /// Stop something from trading, up to closing everything it holds; lasts until it is resumed or runs out.
    Halt {
        /// What.
        scope: HaltScope,
        /// How far.
        level: HaltLevel,
        /// Market time at which it runs out by itself; never for `None`.
        until: Option<Timestamp>,
        /// Why, in the operator's words; may be empty.
        reason: String,
    },
    /// Take a halt back.
    Resume {
        /// What trades again.
        scope: HaltScope,
    },
    /// Put the stop of a position at another price; the new one rests before the old one goes.
    MoveStop {
        /// Whose.
        account: AccountName,
        /// Which.
        symbol: Symbol,
        /// The way the position pointed that was looked at; the stop of one that points the other way stays.
        direction: Direction,
        /// The price that triggers it from now on.
        trigger: Price,
    },
    /// Tell the model something in the next cycle. An empty text takes a waiting note back.
    NoteToModel {
        /// The operator's words.
        text: String,
    },
    /// Say that alarms were seen: every one up to this id.
    AcknowledgeAlarms {
        /// The id of the last alarm seen.
        up_to: u64,
    },
    /// Allow a live desk to send orders, after its checks.
    Arm {
        /// Whose; its name was typed to confirm.
        account: AccountName,
    },
    /// Forbid a live desk to send orders.
    Disarm,
    /// Use another text for a prompt file from the next cycle on. A broken one is refused.
    ApplyPrompt {
        /// The file, such as `user.jinja`.
        name: String,
        /// The whole text.
        text: String,
    },
    /// Go back to the built-in text of a prompt file.
    RevertPrompt {
        /// The file.
        name: String,
    },
}
