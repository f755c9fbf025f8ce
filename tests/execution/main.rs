//! The desk's hands on a bench: the real floor in front of the real world, with faults between them, on a virtual clock.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may fail loudly"
)]

mod arming;
#[path = "../common/mod.rs"]
mod common;
mod crashes;
mod doubts;
mod edges;
mod faults;
mod guards;
mod halts;
mod judging;
mod keeping;
mod ladder;
mod moved_stops;
mod other_hands;
mod patience;
mod requests;
mod starts;
mod watch;
