//! The trading floor: one cycle from brief to audit, and everything that guards it.
//!
//! The desk knows neither the console nor the world. It tells what happens through the [`bulletin`], takes
//! [`crate::domain::Command`]s, and writes every step to the store before the next one starts.

pub mod answer;
mod arming;
pub mod bulletin;
pub mod conversation;
pub mod cycle;
mod done;
pub mod execution;
pub mod floor;
pub mod gathering;
pub mod guardian;
pub mod guards;
pub mod halts;
mod hearing;
pub mod memory;
pub mod pages;
pub mod playback;
pub mod prompt;
pub mod reconciliation;
pub mod schedule;
pub mod service;
pub mod signals;
mod single;
pub mod sizing;

pub use cycle::CycleError;
pub use execution::AccountTerms;
pub use floor::{DeskError, DeskParts, Floor};
pub use service::{Streams, TaskDied};
