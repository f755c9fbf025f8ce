//! The desk as a whole in front of an offline world and an analyst that may go wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod budgets;
mod faults;
mod hostile;
mod memory;
mod pages;
mod recording;
mod rig;
mod scripted;
mod sources;
