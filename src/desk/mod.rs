//! The trading floor: one cycle from brief to audit, and everything that guards it.
//!
//! The desk knows neither the console nor the world. It tells what happens through the [`bulletin`], takes
//! [`crate::domain::Command`]s, and writes every step to the store before the next one starts.

pub mod answer;
pub mod bulletin;
pub mod guards;
pub mod signals;
pub mod sizing;
