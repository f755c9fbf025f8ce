//! The binary from outside, without its console.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod halts;
mod line;
mod prompts;
