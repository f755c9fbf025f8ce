//! What an operator may ask of a desk. Every command is answered by an event that carries its id.

use serde::{Deserialize, Serialize};

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
    },
}
